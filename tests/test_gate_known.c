/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is remembered of a bucket: names that have left it go, and above
 * max_names those that nobody uses; nothing is lost or mistaken by that.
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/gate_fixture.h"
#include "tests/unit.h"

/* ---- what clients do ---- */

struct told {
	unsigned count, want;	/* 0: all */
	uint64_t cookie;	/* of the last one */
	char seen[32768];	/* how often each number was */
};

static int
tell(void *arg, const struct gate_dirent *e)
{
	struct told *t = arg;
	unsigned number;

	t->cookie = e->cookie;
	if (sscanf(e->name, "n%u", &number) != 1)
		return 0;
	t->count++;
	if (number < sizeof(t->seen))
		t->seen[number]++;
	return 0;
}

static void
list_from(struct fixture *b, struct client *c, uint64_t cookie, unsigned limit,
	  bool plus, struct told *t)
{
	struct gate_wcc wcc;
	uint8_t verf[8];
	bool eof = false;
	int r;

	c->rq.may_block = true;
	do {
		c->rq.again = GATE_AGAIN_NONE;
		r = gate_readdir(b->x, &c->rq, &b->root, cookie, verf, plus,
				 limit, tell, t, &eof, &wcc);
		cookie = t->cookie;
	} while ((r == 0 && !eof && limit == 0) || r == -EAGAIN);
	CU_ASSERT_EQUAL(r, 0);
}

static unsigned
list(struct fixture *b, struct client *c)
{
	struct told t = { 0 };

	list_from(b, c, 0, 0, false, &t);
	return t.count;
}

static void
key_of(unsigned i, char key[32])
{
	snprintf(key, 32, "n%05u", i);
}

static void
fill(struct fixture *b, unsigned from, unsigned to)
{
	char key[32];

	for (unsigned i = from; i < to; i++) {
		key_of(i, key);
		fake_s3_set(b->s3, key, key, strlen(key));
	}
}

static uint64_t
names(struct fixture *b)
{
	struct gate_status s = { 0 };

	gate_status(b->gate, &s);
	return s.names;
}

/* Comes true: so few names are remembered. */
static bool
shrinks_to(struct fixture *b, uint64_t most)
{
	AWAIT(names(b) <= most);
	return names(b) <= most;
}

/* ---- those that are gone ---- */

#define MANY 600

static void
names_that_have_left_the_bucket_take_their_rows_with_them(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	char key[32];

	client_init(&a, "a");
	fixture_open(&b);
	fill(&b, 0, MANY);
	CU_ASSERT_EQUAL(list(&b, &a), MANY);
	CU_ASSERT_EQUAL(names(&b), MANY);
	for (unsigned i = 10; i < MANY; i++) {
		key_of(i, key);
		fake_s3_unset(b.s3, key);
	}
	CU_ASSERT_EQUAL(gate_refresh(b.gate, "/b"), 0);
	CU_ASSERT_EQUAL(list(&b, &a), 10);
	CU_ASSERT_EQUAL(names(&b), 10);
	fixture_close(&b);
}

static void
unset(struct fixture *b, unsigned from, unsigned to)
{
	char key[32];

	for (unsigned i = from; i < to; i++) {
		key_of(i, key);
		fake_s3_unset(b->s3, key);
	}
}

/* In the bucket, and no listing has shown them yet: those that their creation
 * asks for are over when the first one gets there. */
static void
fill_unlisted(struct fixture *b, struct client *c, unsigned count)
{
	struct gate_fh fh;
	char key[32];

	fake_s3_hold(b->s3, S3_OP_PUT);
	for (unsigned i = 0; i < count; i++) {
		key_of(i, key);
		CU_ASSERT_EQUAL(do_file(b, c, key, "text", &fh), 0);
	}
	fake_s3_release(b->s3);
	CU_ASSERT(fixture_settled(b));
}

/* A listing may lack them since it lags: each is asked for. */
static void
many_that_are_new_do_not_keep_a_reader_waiting(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	unsigned heads, lists;

	client_init(&a, "a");
	fixture_open(&b);
	fill_unlisted(&b, &a, MANY);
	unset(&b, 10, MANY);
	CU_ASSERT_EQUAL(gate_refresh(b.gate, "/b"), 0);
	fake_s3_slow(b.s3, S3_OP_HEAD, 50);
	heads = fake_s3_calls(b.s3, S3_OP_HEAD);
	lists = fake_s3_calls(b.s3, S3_OP_LIST);
	AWAIT(list(&b, &a) < MANY);
	heads = fake_s3_calls(b.s3, S3_OP_HEAD) - heads;
	lists = fake_s3_calls(b.s3, S3_OP_LIST) - lists;
	CU_ASSERT(lists > 0 && heads <= 64 * lists);
	fake_s3_slow(b.s3, S3_OP_HEAD, 0);
	AWAIT(list(&b, &a) == 10);
	CU_ASSERT_EQUAL(list(&b, &a), 10);
	fixture_close(&b);
}

static void
what_cannot_be_asked_for_stays_and_the_listing_counts(void)
{
	struct fixture b = FIXTURE;
	struct client a;

	client_init(&a, "a");
	fixture_open(&b);
	fill_unlisted(&b, &a, 20);
	unset(&b, 5, 10);
	CU_ASSERT_EQUAL(gate_refresh(b.gate, "/b"), 0);
	fake_s3_fail(b.s3, S3_OP_HEAD, 1, 1000, -EACCES);
	CU_ASSERT_EQUAL(list(&b, &a), 20);
	fake_s3_fail(b.s3, S3_OP_HEAD, 1, 0, 0);
	CU_ASSERT_EQUAL(gate_refresh(b.gate, "/b"), 0);
	/* One that takes long asks for some only. */
	AWAIT(list(&b, &a) == 15);
	CU_ASSERT_EQUAL(list(&b, &a), 15);
	fixture_close(&b);
}

/* The directory is larger than one that is listed whole before it is told. */
static void
names_that_a_page_lacks_are_not_told_before_the_last_one(void)
{
	enum { LARGE = 10500 };
	struct told t = { 0 };
	struct fixture b = FIXTURE;
	struct client a;

	client_init(&a, "a");
	fixture_open(&b);
	fill(&b, 0, LARGE);
	CU_ASSERT_EQUAL(list(&b, &a), LARGE);
	unset(&b, 3, 203);
	CU_ASSERT_EQUAL(gate_refresh(b.gate, "/b"), 0);
	for (int plus = 0; plus < 2; plus++) {
		t = (struct told){ 0 };
		list_from(&b, &a, 0, 20, plus, &t);
		for (unsigned i = 0; i < 203; i++)
			CU_ASSERT_EQUAL(t.seen[i], i < 3);
		CU_ASSERT_EQUAL(t.seen[203], 1);
	}
	fixture_close(&b);
}

/* Rows of 4,000 names, of no export: there, or gone. */
static void
put_rows(struct fixture *b, bool there)
{
	struct meta_batch *batch = meta_batch_new();

	for (uint64_t i = 1; i <= 4000; i++) {
		struct meta_inode n = { .ino = i << 40, .kind = GATE_REG };

		snprintf(n.base_key, sizeof(n.base_key), "%0200d", (int)i);
		if (there)
			meta_add_inode(batch, &n);
		else
			meta_del_inode(batch, n.ino);
	}
	CU_ASSERT_EQUAL_FATAL(meta_commit(b->meta, &batch), 0);
}

static uint64_t
database(struct fixture *b)
{
	struct gate_status s = { 0 };

	gate_status(b->gate, &s);
	return s.database_bytes;
}

static void
the_database_is_small_again_when_its_rows_have_gone(void)
{
	struct fixture b = FIXTURE;
	uint64_t bytes;

	fixture_open(&b);
	put_rows(&b, true);
	bytes = database(&b);
	CU_ASSERT(bytes > 1000000);
	put_rows(&b, false);
	AWAIT(database(&b) <= bytes / 2);
	CU_ASSERT(database(&b) <= bytes / 2);
	fixture_close(&b);
}

/* ---- those that nobody uses ---- */

#define SOME 2500
#define MOST 1500

static void
open_small(struct fixture *b)
{
	b->config.max_nodes = 1000;
	b->config.max_names = MOST;
	b->config.names_idle_ms = 20;
	fixture_open(b);
}

static void
names_that_nobody_uses_are_forgotten_and_found_again(void)
{
	struct gate_fh fh, again;
	struct fixture b = FIXTURE;
	struct client a;

	client_init(&a, "a");
	open_small(&b);
	fill(&b, 0, SOME);
	CU_ASSERT_EQUAL(list(&b, &a), SOME);
	CU_ASSERT(shrinks_to(&b, MOST));
	/* All are there, with their bytes. */
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "n00003", &fh), 0);
	CU_ASSERT(do_read_is(&b, &a, &fh, "n00003", 6));
	CU_ASSERT_EQUAL(list(&b, &a), SOME);
	/* What is in use keeps its number. */
	CU_ASSERT(shrinks_to(&b, MOST));
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "n00003", &again), 0);
	CU_ASSERT_EQUAL(fh.ino, again.ino);
	CU_ASSERT(do_read_is(&b, &a, &fh, "n00003", 6));
	fixture_close(&b);
}

static void
a_handle_of_a_forgotten_file_is_stale_and_never_another(void)
{
	struct gate_fh old[2], now;
	struct gate_attr attr;
	struct fixture b = FIXTURE;
	struct client a;
	unsigned stale = 0;
	char key[32];

	client_init(&a, "a");
	b.config.max_names = 1;
	b.config.names_idle_ms = 20;
	fixture_open(&b);
	fill(&b, 0, 100);
	for (unsigned i = 0; i < 2; i++) {
		key_of(i, key);
		CU_ASSERT_EQUAL(do_lookup(&b, &a, key, &old[i]), 0);
	}
	/* The set of who was used lately does not outlive the daemon. */
	fixture_restart(&b);
	CU_ASSERT_EQUAL(list(&b, &a), 100);
	CU_ASSERT(shrinks_to(&b, 1));
	for (unsigned i = 0; i < 2; i++) {
		int r = gate_getattr(b.x, &a.rq, &old[i], &attr);

		key_of(i, key);
		CU_ASSERT(r == 0 || r == -ESTALE);
		stale += r == -ESTALE;
		CU_ASSERT_EQUAL(do_lookup(&b, &a, key, &now), 0);
		CU_ASSERT_EQUAL(now.ino == old[i].ino, r == 0);
		CU_ASSERT(do_read_is(&b, &a, &now, key, 6));
	}
	CU_ASSERT(stale >= 1);
	fixture_close(&b);
}

static void
what_the_bucket_does_not_have_is_not_forgotten(void)
{
	struct gate_fh fh, dir, in;
	struct fixture b = FIXTURE;
	struct client a;
	uint32_t got = 0;
	char text[8];

	client_init(&a, "a");
	b.export.settle_ms = 60000;
	open_small(&b);
	/* Before the first listing, which counts for a while. */
	fill(&b, 0, SOME);
	CU_ASSERT_EQUAL(do_mkdir(&b, &a, "d", &dir), 0);
	CU_ASSERT_EQUAL(do_create_in(&b, &a, &dir, "in", &in), 0);
	CU_ASSERT_EQUAL(do_file(&b, &a, "mine", "bytes", &fh), 0);
	CU_ASSERT_EQUAL(list(&b, &a), SOME);
	CU_ASSERT(shrinks_to(&b, MOST));
	CU_ASSERT_EQUAL(do_read(&b, &a, &fh, 0, text, 8, &got), 0);
	CU_ASSERT(got == 5 && memcmp(text, "bytes", 5) == 0);
	CU_ASSERT_EQUAL(do_write(&b, &a, &in, 0, "x", 1, GATE_FILE_SYNC), 0);
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "d", &fh), 0);
	CU_ASSERT_EQUAL(fh.ino, dir.ino);
	fixture_close(&b);
}

static void
a_directory_that_is_read_keeps_its_names_and_cookies(void)
{
	struct told t = { 0 };
	struct fixture b = FIXTURE;
	struct client a;

	client_init(&a, "a");
	b.config.max_nodes = 1000;
	b.config.max_names = MOST;
	b.config.names_idle_ms = 100000;
	fixture_open(&b);
	/* As if it had been up for so long. */
	b.gate->known.started_ms = 0;
	fill(&b, 0, SOME);
	list_from(&b, &a, 0, SOME / 2, false, &t);
	CU_ASSERT(t.count > 0 && t.count < SOME);
	/* A round of the thread. */
	for (uint64_t at = clock_ms() + FIXTURE_WAIT_MS;
	     __atomic_load_n(&b.gate->known.unbroken, __ATOMIC_RELAXED) == 0 &&
	     clock_ms() < at; )
		usleep(2000);
	list_from(&b, &a, t.cookie, 0, false, &t);
	CU_ASSERT_EQUAL(t.count, SOME);
	for (unsigned i = 0; i < SOME; i++)
		CU_ASSERT_EQUAL_FATAL(t.seen[i], 1);
	fixture_close(&b);
}

/* ... also when nobody has it in memory meanwhile. */
static void
so_does_one_that_has_left_memory(void)
{
	struct told t = { 0 };
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh dir, sub;
	struct node *n;

	client_init(&a, "a");
	b.config.max_nodes = 16;
	b.config.max_names = 20;
	b.config.names_idle_ms = 100000;
	fixture_open(&b);
	b.gate->known.started_ms = 0;
	for (unsigned i = 0; i < 60; i++) {
		char key[32];

		snprintf(key, sizeof(key), "d/n%05u", i);
		fake_s3_set(b.s3, key, "x", 1);
	}
	fill(&b, 100, 200);
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "d", &dir), 0);
	sub = b.root;
	b.root = dir;
	list_from(&b, &a, 0, 30, false, &t);
	b.root = sub;
	CU_ASSERT(t.count > 0 && t.count < 60);
	/* Others take its place. */
	for (uint64_t at = clock_ms() + FIXTURE_WAIT_MS; clock_ms() < at; ) {
		struct gate_fh fh;

		n = node_find(b.gate, dir.ino);
		if (n == NULL)
			break;
		node_put(&n);
		for (unsigned i = 100; i < 200; i++) {
			char key[32];

			key_of(i, key);
			CU_ASSERT_EQUAL(do_lookup(&b, &a, key, &fh), 0);
		}
	}
	CU_ASSERT_PTR_NULL(n);
	for (uint64_t at = clock_ms() + FIXTURE_WAIT_MS,
		      was = __atomic_load_n(&b.gate->known.unbroken,
					    __ATOMIC_RELAXED);
	     __atomic_load_n(&b.gate->known.unbroken, __ATOMIC_RELAXED) <=
		     was && clock_ms() < at; )
		usleep(2000);
	b.root = dir;
	list_from(&b, &a, t.cookie, 0, false, &t);
	b.root = sub;
	CU_ASSERT_EQUAL(t.count, 60);
	for (unsigned i = 0; i < 60; i++)
		CU_ASSERT_EQUAL(t.seen[i], 1);
	fixture_close(&b);
}

#define TIMED 8

/* Nothing in the bucket would tell it again. */
static void
a_time_that_only_we_know_is_not_forgotten(void)
{
	struct gate_setattr set = { .mtime_how = GATE_TIME_CLIENT,
				    .mtime_ns = 1000000000000000000LL };
	struct gate_wcc wcc = { 0 };
	struct gate_attr attr;
	struct gate_fh fh;
	struct fixture b = FIXTURE;
	struct client a;
	char name[8];

	client_init(&a, "a");
	b.export.metadata = GATE_META_NONE;
	open_small(&b);
	for (int i = 0; i < TIMED; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		CU_ASSERT_EQUAL(do_file(&b, &a, name, "bytes", &fh), 0);
		a.rq.may_block = true;
		CU_ASSERT_EQUAL(gate_setattr(b.x, &a.rq, &fh, &set, NULL,
					     &wcc), 0);
	}
	CU_ASSERT(fixture_settled(&b));
	fill(&b, 0, SOME);
	(void)list(&b, &a);
	CU_ASSERT(shrinks_to(&b, MOST));
	fixture_restart(&b);
	(void)list(&b, &a);
	CU_ASSERT(shrinks_to(&b, MOST));
	for (int i = 0; i < TIMED; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		CU_ASSERT_EQUAL(do_lookup(&b, &a, name, &fh), 0);
		a.rq.may_block = true;
		CU_ASSERT_EQUAL(gate_getattr(b.x, &a.rq, &fh, &attr), 0);
		CU_ASSERT_EQUAL(attr.mtime_ns, set.mtime_ns);
	}
	fixture_close(&b);
}

/* One try. */
static int
look_once(struct fixture *b, struct client *c, const char *name)
{
	struct gate_wcc wcc = { 0 };
	struct gate_attr attr;
	struct gate_fh fh;

	c->rq.may_block = true;
	c->rq.again = GATE_AGAIN_NONE;
	return gate_lookup(b->x, &c->rq, &b->root, name, &fh, &attr, &wcc);
}

static void
what_was_forgotten_is_not_denied_while_the_store_is_away(void)
{
	struct fixture b = FIXTURE;
	struct client a;

	client_init(&a, "a");
	b.export.offline_serve = true;
	open_small(&b);
	fill(&b, 0, MOST);
	CU_ASSERT_EQUAL(list(&b, &a), MOST);
	usleep(60000);		/* attr_ttl_ms is over */
	fake_s3_away(b.s3, true);
	CU_ASSERT_EQUAL(look_once(&b, &a, "none"), -ENOENT);
	CU_ASSERT_EQUAL(list(&b, &a), MOST);
	fake_s3_away(b.s3, false);
	fill(&b, MOST, SOME);
	CU_ASSERT_EQUAL(list(&b, &a), SOME);
	CU_ASSERT(shrinks_to(&b, MOST));
	usleep(60000);
	fake_s3_away(b.s3, true);
	CU_ASSERT_EQUAL(look_once(&b, &a, "n00000"), -EAGAIN);
	CU_ASSERT_EQUAL(a.rq.again, GATE_JUKEBOX);
	/* Nor after a restart. */
	fixture_restart(&b);
	CU_ASSERT_EQUAL(look_once(&b, &a, "n00000"), -EAGAIN);
	CU_ASSERT_EQUAL(a.rq.again, GATE_JUKEBOX);
	fake_s3_away(b.s3, false);
	CU_ASSERT_EQUAL(look_once(&b, &a, "n00000"), 0);
	fixture_close(&b);
}

TEST_MAIN("gate_known",
	  T(names_that_have_left_the_bucket_take_their_rows_with_them),
	  T(names_that_a_page_lacks_are_not_told_before_the_last_one),
	  T(many_that_are_new_do_not_keep_a_reader_waiting),
	  T(what_cannot_be_asked_for_stays_and_the_listing_counts),
	  T(the_database_is_small_again_when_its_rows_have_gone),
	  T(names_that_nobody_uses_are_forgotten_and_found_again),
	  T(a_handle_of_a_forgotten_file_is_stale_and_never_another),
	  T(what_the_bucket_does_not_have_is_not_forgotten),
	  T(a_directory_that_is_read_keeps_its_names_and_cookies),
	  T(so_does_one_that_has_left_memory),
	  T(a_time_that_only_we_know_is_not_forgotten),
	  T(what_was_forgotten_is_not_denied_while_the_store_is_away))
