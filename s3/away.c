/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is the store there?  A breaker for each bucket, so that only the first who
 * ask a store that is silent, or refuses everybody, have to wait for it.
 *
 *	HERE --no answer--> DOUBT --the watcher has none either--> AWAY
 *	   ^------answer------+  ^---------answer to the watcher-----+
 *
 * Questions (HEAD, and LIST apart from it, as stores lose one without the
 * other) are in doubt since the oldest was asked that has no answer, or since
 * the first that the store's trouble has ended.  After half of wait_ms the
 * watcher asks by itself, one small request of each kind at a time, within a
 * limit: a long listing of a store that is well is only slow.  When wait_ms is
 * over and its answer is no good either, questions are refused at once, those
 * that are under way end, and the watcher goes on asking: the first good
 * answer opens the door again for all.  GET goes with both, since a body may
 * take its time.  So do changes (PUT, DELETE, ...), but those that are under
 * way go on: on a line that they fill they are what keeps the watcher waiting.
 * That one failed makes the watcher look.
 *
 * A limit that was too short for a store that is there would call it away
 * again and again: it doubles with each round without an answer, and shrinks
 * only when answers are quick.
 */
#include <config.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "s3/s3_priv.h"

#define KINDS 2			/* S3_ASK_HEAD, S3_ASK_LIST */
#define LIMIT_MIN_MS 50
#define LIMIT_MAX_MS 5000
#define PAUSE_DOUBT_MS 200
#define PAUSE_FIRST_MS 250
#define PAUSE_LAST_MS 1000

struct kind {
	TAILQ_HEAD(asked, s3_asked) asked;	/* oldest first */
	int64_t good_ms;	/* of the last answer */
	int64_t bad_ms;		/* no good one since; 0: the last was good */
	bool away;
};

struct s3_watcher {
	struct s3 *s3;
	struct s3_watch c;	/* prefix owned */
	atomic_bool refused[S3_ASKS];
	pthread_t thread;
	unsigned limit_ms;	/* the thread's */

	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* Guarded by it: */
	struct kind kinds[KINDS];
	bool sleeps;		/* until it is woken */
	bool stopping, joined;
	struct s3_absence absence;	/* since_ns 0: the store is here */
};

/* Whoever ends the daemon may ask amid its start. */
static struct s3_watcher *
watcher_of(const struct s3 *s3)
{
	return __atomic_load_n(&s3->watcher, __ATOMIC_ACQUIRE);
}

static int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int64_t
wall_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* ---- what an answer says of the store ---- */

enum sound { GOOD, BAD, NEITHER };

static enum sound
sound_of(enum s3_ask ask, int result)
{
	switch (result) {
	case -EAGAIN:
	case -EKEYREJECTED:
	case -ENODEV:
	case -EBADMSG:
		return BAD;
	case -EACCES:		/* one object may be denied, a bucket not */
		return ask == S3_ASK_LIST ? BAD : NEITHER;
	case -ENOENT:
	case -ESTALE:
		return GOOD;
	}
	return result >= 0 ? GOOD : NEITHER;
}

static void
explain(int result, const struct s3_error *err, char *out, size_t size)
{
	snprintf(out, size, "%s%s%s",
		 err->code[0] != '\0' ? err->code : err->message,
		 err->code[0] != '\0' && err->message[0] != '\0' ? ": " : "",
		 err->code[0] != '\0' ? err->message : "");
	if (out[0] == '\0')
		snprintf(out, size, "%s", strerror(-result));
}

/* Since when there is no good answer; 0: nobody misses one. */
static int64_t
doubt_locked(const struct kind *k)
{
	const struct s3_asked *first = TAILQ_FIRST(&k->asked);
	int64_t since = k->bad_ms;

	if (first != NULL) {
		int64_t from = first->since_ms > k->good_ms ? first->since_ms
							    : k->good_ms;

		if (since == 0 || from < since)
			since = from;
	}
	return since;
}

static void
good_locked(struct kind *k)
{
	k->good_ms = now_ms();
	k->bad_ms = 0;
}

/* ---- those who ask ---- */

static void
wake_locked(struct s3_watcher *w)
{
	if (!w->sleeps)
		return;
	w->sleeps = false;
	pthread_cond_broadcast(&w->changed);
}

const atomic_bool *
s3_away_flag(const struct s3 *s3, enum s3_ask ask)
{
	struct s3_watcher *w = watcher_of(s3);

	return w != NULL ? &w->refused[ask] : NULL;
}

unsigned
s3_away_retry_ms(const struct s3 *s3)
{
	struct s3_watcher *w = watcher_of(s3);
	unsigned ms = s3->config.retry_ms;

	if (w != NULL && w->c.refuse && w->c.wait_ms < ms)
		ms = w->c.wait_ms;
	return ms;
}

static int
away_error(struct s3_watcher *w, struct s3_error *err)
{
	if (err == NULL)
		return -EAGAIN;
	memset(err, 0, sizeof(*err));
	pthread_mutex_lock(&w->lock);
	snprintf(err->message, sizeof(err->message), "the store is away: "
		 "%.200s", w->absence.why);
	pthread_mutex_unlock(&w->lock);
	return -EAGAIN;
}

int
s3_away_change(struct s3 *s3, struct s3_error *err)
{
	struct s3_watcher *w = watcher_of(s3);

	return w != NULL && atomic_load(&w->refused[S3_ASK_CHANGE]) ?
	       away_error(w, err) : 0;
}

int
s3_ask_begin(struct s3 *s3, enum s3_ask ask, struct s3_asked *asked,
	     struct s3_error *err)
{
	struct s3_watcher *w = watcher_of(s3);

	if (w == NULL)
		return 0;
	if (atomic_load_explicit(&w->refused[ask], memory_order_relaxed))
		return away_error(w, err);
	if (ask >= KINDS)
		return 0;
	asked->since_ms = now_ms();
	pthread_mutex_lock(&w->lock);
	TAILQ_INSERT_TAIL(&w->kinds[ask].asked, asked, link);
	wake_locked(w);
	pthread_mutex_unlock(&w->lock);
	return 0;
}

void
s3_ask_end(struct s3 *s3, enum s3_ask ask, struct s3_asked *asked, int result)
{
	struct s3_watcher *w = watcher_of(s3);
	struct kind *k;
	enum sound sound = sound_of(ask, result);

	if (w == NULL || ask >= KINDS)
		return;
	k = &w->kinds[ask];
	pthread_mutex_lock(&w->lock);
	TAILQ_REMOVE(&k->asked, asked, link);
	if (sound == GOOD && !k->away) {
		good_locked(k);
	} else if (sound == BAD && k->bad_ms == 0) {
		k->bad_ms = asked->since_ms;
		wake_locked(w);
	}
	pthread_mutex_unlock(&w->lock);
}

void
s3_away_hint(struct s3 *s3, ssize_t result)
{
	struct s3_watcher *w = watcher_of(s3);

	if (w == NULL || (result != -EAGAIN && result != -EKEYREJECTED &&
			  result != -ENODEV))
		return;
	pthread_mutex_lock(&w->lock);
	if (w->kinds[S3_ASK_LIST].bad_ms == 0) {
		w->kinds[S3_ASK_LIST].bad_ms = now_ms();
		wake_locked(w);
	}
	pthread_mutex_unlock(&w->lock);
}

/* ---- the watcher ---- */

static void
wait_until_locked(struct s3_watcher *w, int64_t at_ms)
{
	struct timespec until = {
		.tv_sec = (time_t)(at_ms / 1000),
		.tv_nsec = (long)(at_ms % 1000) * 1000000,
	};

	while (!w->stopping && pthread_cond_timedwait(&w->changed, &w->lock,
						      &until) != ETIMEDOUT)
		;
}

/* When a look is due; 0: when somebody asks. */
static int64_t
due_locked(const struct s3_watcher *w)
{
	int64_t due = 0;

	for (int i = 0; i < KINDS; i++) {
		const struct kind *k = &w->kinds[i];
		int64_t since = doubt_locked(k), at;

		if (!k->away && since == 0)
			continue;
		at = k->away ? 1 : since + w->c.wait_ms / 2;
		if (due == 0 || at < due)
			due = at;
	}
	return due;
}

static void
set_refused_locked(struct s3_watcher *w)
{
	bool head = w->kinds[S3_ASK_HEAD].away;
	bool list = w->kinds[S3_ASK_LIST].away;
	bool refuse = w->c.refuse;

	atomic_store(&w->refused[S3_ASK_HEAD], refuse && head);
	atomic_store(&w->refused[S3_ASK_LIST], refuse && list);
	atomic_store(&w->refused[S3_ASK_GET], refuse && head && list);
	atomic_store(&w->refused[S3_ASK_CHANGE], refuse && head && list);
}

/* What the watcher's own question says. */
static void
judge(struct s3_watcher *w, enum s3_ask ask, enum sound sound,
      const char *why)
{
	struct kind *k = &w->kinds[ask];
	const struct kind *other = &w->kinds[1 - ask];
	struct s3_absence absence;
	bool was_away, is_away, news;

	pthread_mutex_lock(&w->lock);
	if (w->stopping) {
		pthread_mutex_unlock(&w->lock);
		return;
	}
	was_away = k->away || other->away;
	news = k->away;
	if (sound != BAD) {
		good_locked(k);
		k->away = false;
	} else if (!k->away) {
		int64_t since = doubt_locked(k);

		if (k->bad_ms == 0)
			k->bad_ms = since != 0 ? since : now_ms();
		k->away = other->away ||
			  now_ms() - k->bad_ms >= (int64_t)w->c.wait_ms;
	}
	news = news != k->away;
	is_away = k->away || other->away;
	if (is_away && (!was_away || (news && k->away)))
		snprintf(w->absence.why, sizeof(w->absence.why), "%s", why);
	if (is_away && !was_away)
		w->absence.since_ns = wall_ns();
	set_refused_locked(w);
	absence = w->absence;
	if (!is_away)
		w->absence.since_ns = 0;
	pthread_mutex_unlock(&w->lock);
	if (news && w->s3->ops->hurry != NULL)
		w->s3->ops->hurry(w->s3);
	if (was_away != is_away && w->c.told != NULL)
		w->c.told(w->c.told_arg, is_away, &absence);
}

/* list: what the listing before it said.  Who may not list either may do
 * nothing at all. */
static enum sound
ask_once(struct s3_watcher *w, enum s3_ask ask, unsigned limit_ms,
	 enum sound list, char *why, size_t size)
{
	struct s3_error err = {0};
	int r = w->s3->ops->ping == NULL ? 0 :
		w->s3->ops->ping(w->s3, ask, w->c.prefix, limit_ms, &err);

	explain(r, &err, why, size);
	if ((r == -EACCES || r == -EINVAL) && list == BAD)
		return BAD;
	return r == 0 ? GOOD : sound_of(ask, r);
}

/* One question of each kind.  A store that has not answered the one within the
 * limit gets little time for the other.  True if one was good. */
static bool
look(struct s3_watcher *w)
{
	char why[sizeof(w->absence.why)];
	int64_t began = now_ms(), took;
	unsigned limit_ms = w->limit_ms;
	enum sound list, head;

	list = ask_once(w, S3_ASK_LIST, limit_ms, GOOD, why, sizeof(why));
	took = now_ms() - began;
	judge(w, S3_ASK_LIST, list, why);
	if (list == BAD && took >= (int64_t)limit_ms)
		limit_ms /= 4;
	head = ask_once(w, S3_ASK_HEAD, limit_ms, list, why, sizeof(why));
	judge(w, S3_ASK_HEAD, head, why);
	if (list == BAD && took >= (int64_t)w->limit_ms)
		w->limit_ms *= 2;
	else if (list != BAD && took < (int64_t)w->limit_ms / 4)
		w->limit_ms /= 2;
	if (w->limit_ms < w->c.wait_ms / 2)
		w->limit_ms = w->c.wait_ms / 2;
	if (w->limit_ms > LIMIT_MAX_MS)
		w->limit_ms = LIMIT_MAX_MS;
	if (w->limit_ms < LIMIT_MIN_MS)
		w->limit_ms = LIMIT_MIN_MS;
	return list != BAD && head != BAD;
}

static void *
watch_main(void *arg)
{
	struct s3_watcher *w = arg;
	unsigned pause_ms = PAUSE_FIRST_MS;

	pthread_mutex_lock(&w->lock);
	while (!w->stopping) {
		int64_t due = due_locked(w);
		bool good;

		if (due == 0) {
			w->sleeps = true;
			pthread_cond_wait(&w->changed, &w->lock);
			continue;
		}
		if (due > now_ms()) {
			wait_until_locked(w, due);
			continue;
		}
		pthread_mutex_unlock(&w->lock);
		good = look(w);
		pthread_mutex_lock(&w->lock);
		if (good) {
			pause_ms = PAUSE_FIRST_MS;
		} else if (w->absence.since_ns == 0) {
			wait_until_locked(w, now_ms() + PAUSE_DOUBT_MS);
		} else {
			wait_until_locked(w, now_ms() + pause_ms);
			pause_ms = pause_ms < PAUSE_LAST_MS / 2 ?
				   2 * pause_ms : PAUSE_LAST_MS;
		}
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

/* ---- life ---- */

static void
watcher_free(struct s3_watcher *w)
{
	pthread_cond_destroy(&w->changed);
	pthread_mutex_destroy(&w->lock);
	free((char *)w->c.prefix);
	free(w);
}

int
s3_watch(struct s3 *s3, const struct s3_watch *watch)
{
	struct s3_watcher *w = calloc(1, sizeof(*w));
	pthread_condattr_t attr;
	int r;

	if (w == NULL)
		return -ENOMEM;
	w->s3 = s3;
	w->c = *watch;
	w->limit_ms = watch->wait_ms / 2 > LIMIT_MIN_MS ? watch->wait_ms / 2 :
							  LIMIT_MIN_MS;
	for (int i = 0; i < KINDS; i++)
		TAILQ_INIT(&w->kinds[i].asked);
	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->changed, &attr);
	pthread_condattr_destroy(&attr);
	w->c.prefix = strdup(watch->prefix != NULL ? watch->prefix : "");
	r = w->c.prefix == NULL ? -ENOMEM :
	    -pthread_create(&w->thread, NULL, watch_main, w);
	if (r < 0) {
		watcher_free(w);
		return r;
	}
	__atomic_store_n(&s3->watcher, w, __ATOMIC_RELEASE);
	return 0;
}

void
s3_watch_stop(struct s3 *s3)
{
	struct s3_watcher *w = watcher_of(s3);

	if (w == NULL)
		return;
	pthread_mutex_lock(&w->lock);
	w->stopping = true;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

/* Not one that has been begun since s3_watch_stop looked. */
static bool
told_to_stop(struct s3_watcher *w)
{
	bool told;

	pthread_mutex_lock(&w->lock);
	told = w->stopping;
	pthread_mutex_unlock(&w->lock);
	return told;
}

/* One thread at a time. */
void
s3_watch_end(struct s3 *s3)
{
	struct s3_watcher *w = watcher_of(s3);

	if (w == NULL || w->joined || !told_to_stop(w))
		return;
	pthread_join(w->thread, NULL);
	w->joined = true;
}

void
s3_unwatch(struct s3 *s3)
{
	struct s3_watcher *w = watcher_of(s3);

	if (w == NULL)
		return;
	s3_watch_stop(s3);
	s3_watch_end(s3);
	s3->watcher = NULL;
	watcher_free(w);
}

bool
s3_is_away(struct s3 *s3, struct s3_absence *out)
{
	struct s3_watcher *w = watcher_of(s3);
	bool away;

	if (w == NULL)
		return false;
	if (out == NULL)
		return atomic_load_explicit(&w->refused[S3_ASK_HEAD],
					    memory_order_relaxed) ||
		       atomic_load_explicit(&w->refused[S3_ASK_LIST],
					    memory_order_relaxed);
	pthread_mutex_lock(&w->lock);
	*out = w->absence;
	away = w->absence.since_ns != 0;
	pthread_mutex_unlock(&w->lock);
	return away;
}
