/* SPDX-License-Identifier: Apache-2.0 */
/* Is the store there?  The breaker of s3/away.c, over a store that says what
 * the case wants. */
#include <config.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "s3/s3_priv.h"
#include "tests/unit.h"

#define WAIT_MS 200
#define LONG_MS 30000

static int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* True, by then. */
#define COMES(condition)                                                      \
	do {                                                                  \
		int64_t until_ = now_ms() + LONG_MS;                          \
		while (!(condition) && now_ms() < until_)                     \
			usleep(1000);                                         \
		CU_ASSERT(condition);                                         \
	} while (0)

struct store {
	struct s3 s3;		/* first */
	atomic_int head, list;	/* results of calls, */
	atomic_int ping[S3_ASKS];	/* ... and of the watcher's */
	atomic_bool silent;	/* questions hang until they are refused */
	atomic_int pings, hurries, gone, back;
};

static void
hang(struct store *s, enum s3_ask ask)
{
	const atomic_bool *refused = s3_away_flag(&s->s3, ask);

	while (atomic_load(&s->silent) && !atomic_load(refused))
		usleep(1000);
}

static int
head(struct s3 *s3, const char *key, struct s3_object *out,
     struct s3_error *err)
{
	struct store *s = (struct store *)s3;

	(void)key, (void)out, (void)err;
	hang(s, S3_ASK_HEAD);
	return atomic_load(&s->silent) ? -EAGAIN : atomic_load(&s->head);
}

static int
list_page(struct s3 *s3, const struct s3_list *list,
	  int (*each)(void *arg, const struct s3_entry *entry), void *arg,
	  char **next, struct s3_error *err)
{
	struct store *s = (struct store *)s3;

	(void)list, (void)each, (void)arg, (void)next, (void)err;
	hang(s, S3_ASK_LIST);
	return atomic_load(&s->silent) ? -EAGAIN : atomic_load(&s->list);
}

static int
ping(struct s3 *s3, enum s3_ask ask, const char *prefix, unsigned limit_ms,
     struct s3_error *err)
{
	struct store *s = (struct store *)s3;

	(void)prefix;
	s->pings++;
	if (atomic_load(&s->silent)) {
		usleep(limit_ms * 1000);
		return -EAGAIN;
	}
	snprintf(err->code, sizeof(err->code), "Why");
	return atomic_load(&s->ping[ask]);
}

static void
hurry(struct s3 *s3)
{
	((struct store *)s3)->hurries++;
}

static void
close_store(struct s3 *s3)
{
	(void)s3;
}

static const struct s3_ops ops = {
	.close = close_store, .head = head, .list_page = list_page,
	.ping = ping, .hurry = hurry,
};

static void
told(void *arg, bool away, const struct s3_absence *absence)
{
	struct store *s = arg;

	CU_ASSERT(absence->since_ns != 0);
	if (away)
		s->gone++;
	else
		s->back++;
}

static void
open_store_for(struct store *s, bool refuse, unsigned wait_ms)
{
	struct s3_watch watch = { .prefix = "p/", .wait_ms = wait_ms,
				  .refuse = refuse, .told = told,
				  .told_arg = s };

	memset(s, 0, sizeof(*s));
	s->s3.ops = &ops;
	s->s3.config.retry_ms = 10000;
	CU_ASSERT_EQUAL_FATAL(s3_watch(&s->s3, &watch), 0);
}

static void
open_store(struct store *s, bool refuse)
{
	open_store_for(s, refuse, WAIT_MS);
}

static void
end_store(struct store *s)
{
	struct s3 *s3 = &s->s3;

	atomic_store(&s->silent, false);
	s3_close(&s3);
}

static int
ask_head(struct store *s)
{
	struct s3_object o = { 0 };

	return s3_head(&s->s3, "key", &o, NULL);
}

static int
ask_list(struct store *s)
{
	struct s3_list list = { .prefix = "p/" };
	char *next = NULL;

	return s3_list_page(&s->s3, &list, NULL, NULL, &next, NULL);
}

static void
set_all(struct store *s, int result)
{
	atomic_store(&s->head, result);
	atomic_store(&s->list, result);
	atomic_store(&s->ping[S3_ASK_HEAD], result);
	atomic_store(&s->ping[S3_ASK_LIST], result);
}

static void
a_store_that_answers_is_not_asked_by_the_watcher(void)
{
	int64_t began, last, longest;
	int tries = 0;
	struct store s;

	open_store(&s, true);
	/* An answer that comes late, for the machine stood still, is looked
	 * after: once more then. */
	do {
		atomic_store(&s.pings, 0);
		began = last = now_ms();
		longest = 0;
		while (last < began + 2 * WAIT_MS) {
			CU_ASSERT_EQUAL(ask_head(&s), 0);
			CU_ASSERT_EQUAL(ask_list(&s), 0);
			usleep(5000);
			if (now_ms() - last > longest)
				longest = now_ms() - last;
			last = now_ms();
		}
	} while (longest > WAIT_MS / 4 && atomic_load(&s.pings) > 0 &&
		 ++tries < 20);
	CU_ASSERT_EQUAL(atomic_load(&s.pings), 0);
	CU_ASSERT(!s3_is_away(&s.s3, NULL));
	end_store(&s);
}

static void
who_asks_a_silent_store_waits_once(void)
{
	struct s3_absence absence;
	struct store s;
	int64_t began;

	open_store(&s, true);
	atomic_store(&s.silent, true);
	began = now_ms();
	CU_ASSERT_EQUAL(ask_list(&s), -EAGAIN);
	CU_ASSERT(now_ms() - began >= WAIT_MS);
	CU_ASSERT(now_ms() - began < WAIT_MS + LONG_MS);
	CU_ASSERT(s3_is_away(&s.s3, &absence));
	CU_ASSERT(absence.since_ns != 0 && absence.why[0] != '\0');
	COMES(atomic_load(s3_away_flag(&s.s3, S3_ASK_HEAD)));
	began = now_ms();
	for (int i = 0; i < 1000; i++) {
		CU_ASSERT_EQUAL(ask_list(&s), -EAGAIN);
		CU_ASSERT_EQUAL(ask_head(&s), -EAGAIN);
	}
	CU_ASSERT(now_ms() - began < LONG_MS);
	CU_ASSERT_EQUAL(atomic_load(&s.gone), 1);
	CU_ASSERT(atomic_load(&s.hurries) >= 1);
	end_store(&s);
}

static void
it_is_back_with_the_first_good_answer(void)
{
	struct store s;

	open_store(&s, true);
	set_all(&s, -EKEYREJECTED);
	CU_ASSERT_EQUAL(ask_head(&s), -EKEYREJECTED);
	COMES(s3_is_away(&s.s3, NULL));
	CU_ASSERT_EQUAL(ask_head(&s), -EAGAIN);
	set_all(&s, 0);
	COMES(atomic_load(&s.back) == 1);
	CU_ASSERT_EQUAL(ask_head(&s), 0);
	CU_ASSERT_EQUAL(ask_list(&s), 0);
	CU_ASSERT(!s3_is_away(&s.s3, NULL));
	CU_ASSERT_EQUAL(atomic_load(&s.gone), 1);
	end_store(&s);
}

/* The large listing takes long; a small one is answered. */
static void *
list_slowly(void *arg)
{
	CU_ASSERT_EQUAL(ask_list(arg), 0);
	return NULL;
}

static int
ping_well(struct s3 *s3, enum s3_ask ask, const char *prefix,
	  unsigned limit_ms, struct s3_error *err)
{
	(void)ask, (void)prefix, (void)limit_ms, (void)err;
	((struct store *)s3)->pings++;
	return 0;
}

static void
a_slow_answer_of_a_store_that_is_there_is_waited_for(void)
{
	struct s3_ops well = ops;
	pthread_t thread;
	struct store s;

	well.ping = ping_well;
	open_store(&s, true);
	s.s3.ops = &well;
	atomic_store(&s.silent, true);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, list_slowly, &s),
			      0);
	COMES(atomic_load(&s.pings) >= 6);
	CU_ASSERT(!s3_is_away(&s.s3, NULL));
	atomic_store(&s.silent, false);
	pthread_join(thread, NULL);
	CU_ASSERT_EQUAL(atomic_load(&s.gone), 0);
	end_store(&s);
}

static void
one_failure_among_answers_is_none_of_the_store(void)
{
	struct store s;

	open_store_for(&s, true, 1000);
	atomic_store(&s.ping[S3_ASK_HEAD], -EAGAIN);
	atomic_store(&s.head, -EAGAIN);
	CU_ASSERT_EQUAL(ask_head(&s), -EAGAIN);
	atomic_store(&s.head, -ENOENT);
	CU_ASSERT_EQUAL(ask_head(&s), -ENOENT);
	atomic_store(&s.head, -EACCES);
	CU_ASSERT_EQUAL(ask_head(&s), -EACCES);
	usleep(1200 * 1000);
	CU_ASSERT_EQUAL(atomic_load(&s.gone), 0);
	end_store(&s);
}

static void
a_store_without_listings_still_tells_of_objects(void)
{
	struct store s;

	open_store(&s, true);
	atomic_store(&s.list, -EAGAIN);
	atomic_store(&s.ping[S3_ASK_LIST], -EAGAIN);
	CU_ASSERT_EQUAL(ask_list(&s), -EAGAIN);
	COMES(s3_is_away(&s.s3, NULL));
	CU_ASSERT_EQUAL(ask_head(&s), 0);
	CU_ASSERT(!atomic_load(s3_away_flag(&s.s3, S3_ASK_GET)));
	end_store(&s);
}

/* A HEAD that is denied may speak of its object; not beside such a LIST. */
static void
who_may_do_nothing_is_not_told_of_one_object(void)
{
	struct store s;

	open_store(&s, true);
	set_all(&s, -EACCES);
	CU_ASSERT_EQUAL(ask_list(&s), -EACCES);
	COMES(atomic_load(s3_away_flag(&s.s3, S3_ASK_GET)));
	CU_ASSERT_EQUAL(ask_head(&s), -EAGAIN);
	CU_ASSERT_EQUAL(s3_away_change(&s.s3, NULL), -EAGAIN);
	set_all(&s, 0);
	COMES(!atomic_load(s3_away_flag(&s.s3, S3_ASK_GET)));
	CU_ASSERT_EQUAL(s3_away_change(&s.s3, NULL), 0);
	end_store(&s);
}

static void
questions_of_one_that_is_only_watched_go_out(void)
{
	struct s3_absence absence;
	struct store s;

	open_store(&s, false);
	set_all(&s, -EAGAIN);
	CU_ASSERT_EQUAL(ask_list(&s), -EAGAIN);
	COMES(s3_is_away(&s.s3, &absence));
	CU_ASSERT(!s3_is_away(&s.s3, NULL));
	atomic_store(&s.list, 0);
	CU_ASSERT_EQUAL(ask_list(&s), 0);
	CU_ASSERT_EQUAL(s3_away_retry_ms(&s.s3), 10000);
	end_store(&s);
}

static void
the_watcher_asks_at_a_bounded_rate(void)
{
	struct store s;
	int64_t began;
	int pings;

	open_store(&s, true);
	set_all(&s, -EAGAIN);
	CU_ASSERT_EQUAL(ask_list(&s), -EAGAIN);
	COMES(s3_is_away(&s.s3, NULL));
	began = now_ms();
	pings = atomic_load(&s.pings);
	usleep(1000 * 1000);
	pings = atomic_load(&s.pings) - pings;
	CU_ASSERT(pings <= (now_ms() - began) / 100);
	end_store(&s);
}

TEST_MAIN("s3_away", T(a_store_that_answers_is_not_asked_by_the_watcher),
	  T(who_asks_a_silent_store_waits_once),
	  T(it_is_back_with_the_first_good_answer),
	  T(a_slow_answer_of_a_store_that_is_there_is_waited_for),
	  T(one_failure_among_answers_is_none_of_the_store),
	  T(a_store_without_listings_still_tells_of_objects),
	  T(who_may_do_nothing_is_not_told_of_one_object),
	  T(questions_of_one_that_is_only_watched_go_out),
	  T(the_watcher_asks_at_a_bounded_rate))
