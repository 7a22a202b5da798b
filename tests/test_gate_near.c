/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread for what lies on this machine never waits for the store: what does
 * not need it is answered, and everything else says so before it has done
 * anything.  The store is silent in these tests.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/gate_fixture.h"
#include "tests/unit.h"

#define TOO_LONG_S 300		/* somebody waits for the store */

static void
hush(struct fixture *b)
{
	for (unsigned i = 0; i < S3_OP_COUNT; i++)
		fake_s3_hold(b->s3, (enum s3_op)i);
}

/* Nothing that was looked up is fresh any more. */
static void
let_age(struct fixture *b)
{
	uint64_t until = clock_ms() + b->export.attr_ttl_ms + 20;

	while (clock_ms() < until)
		nanosleep(&(struct timespec){ 0, 5000000 }, NULL);
}

static unsigned
all_calls(struct fixture *b)
{
	unsigned count = 0;

	for (unsigned i = 0; i < S3_OP_COUNT; i++)
		count += fake_s3_calls(b->s3, (enum s3_op)i);
	return count;
}

struct all {			/* handles that calls are made with */
	struct gate_fh file, dir, sym, locals;
	struct client c;
	struct fixture *b;
};

static int
no_entry(void *arg, const struct gate_dirent *e)
{
	(void)arg;
	(void)e;
	return 0;
}

static int
call_getattr(struct all *a)
{
	struct gate_attr attr;

	return gate_getattr(a->b->x, &a->c.rq, &a->file, &attr);
}

static int
call_setattr(struct all *a)
{
	struct gate_setattr set = { .set_mode = true, .mode = 0600 };
	struct gate_wcc wcc = { 0 };

	return gate_setattr(a->b->x, &a->c.rq, &a->file, &set, NULL, &wcc);
}

static int
call_truncate(struct all *a)
{
	struct gate_setattr set = { .set_size = true };
	struct gate_wcc wcc = { 0 };

	return gate_setattr(a->b->x, &a->c.rq, &a->file, &set, NULL, &wcc);
}

static int
lookup(struct all *a, const char *name)
{
	struct gate_attr attr;
	struct gate_wcc wcc = { 0 };
	struct gate_fh fh;

	return gate_lookup(a->b->x, &a->c.rq, &a->dir, name, &fh, &attr,
			   &wcc);
}

static int
call_lookup(struct all *a)
{
	return lookup(a, "known");
}

static int
call_lookup_absent(struct all *a)
{
	return lookup(a, "absent");
}

static int
call_access(struct all *a)
{
	struct gate_attr attr;
	uint32_t granted;

	return gate_access(a->b->x, &a->c.rq, &a->dir, 63, &granted, &attr);
}

static int
call_readlink(struct all *a)
{
	char target[GATE_PATH_MAX + 1];
	struct gate_attr attr;

	return gate_readlink(a->b->x, &a->c.rq, &a->sym, target, &attr);
}

static int
call_read(struct all *a)
{
	struct gate_attr attr;
	char buf[8];
	uint32_t got;
	bool eof;

	return gate_read(a->b->x, &a->c.rq, &a->file, 0, buf, sizeof(buf),
			 &got, &eof, &attr);
}

static int
call_write(struct all *a)
{
	enum gate_stable reached;
	struct gate_wcc wcc = { 0 };

	return gate_write(a->b->x, &a->c.rq, &a->file, 0, "x", 1,
			  GATE_UNSTABLE, &reached, &wcc);
}

static int
call_create(struct all *a)
{
	struct gate_setattr set = { 0 };
	struct gate_wcc wcc = { 0 };
	struct gate_attr attr;
	struct gate_fh fh;

	return gate_create(a->b->x, &a->c.rq, &a->dir, "new", GATE_UNCHECKED,
			   &set, NULL, &fh, &attr, &wcc);
}

static int
call_mkdir(struct all *a)
{
	struct gate_setattr set = { 0 };
	struct gate_wcc wcc = { 0 };
	struct gate_attr attr;
	struct gate_fh fh;

	return gate_mkdir(a->b->x, &a->c.rq, &a->dir, "new", &set, &fh, &attr,
			  &wcc);
}

static int
call_symlink(struct all *a)
{
	struct gate_setattr set = { 0 };
	struct gate_wcc wcc = { 0 };
	struct gate_attr attr;
	struct gate_fh fh;

	return gate_symlink(a->b->x, &a->c.rq, &a->dir, "new", "to", &set,
			    &fh, &attr, &wcc);
}

static int
call_mknod(struct all *a)
{
	struct gate_setattr set = { 0 };
	struct gate_wcc wcc = { 0 };
	struct gate_attr attr;
	struct gate_fh fh;

	return gate_mknod(a->b->x, &a->c.rq, &a->dir, "new", GATE_FIFO, 0, 0,
			  &set, &fh, &attr, &wcc);
}

static int
call_remove(struct all *a)
{
	struct gate_wcc wcc = { 0 };

	return gate_remove(a->b->x, &a->c.rq, &a->dir, "known", &wcc);
}

static int
call_rmdir(struct all *a)
{
	struct gate_wcc wcc = { 0 };

	return gate_rmdir(a->b->x, &a->c.rq, &a->dir, "empty", &wcc);
}

/* Its parent is fresh and knows it: whether it is empty, S3 has to tell. */
static int
call_rmdir_local(struct all *a)
{
	struct gate_wcc wcc = { 0 };

	return gate_rmdir(a->b->x, &a->c.rq, &a->b->root, "locals", &wcc);
}

static int
call_rename(struct all *a)
{
	struct gate_wcc one = { 0 }, two = { 0 };

	return gate_rename(a->b->x, &a->c.rq, &a->dir, "known", &a->dir,
			   "other", &one, &two);
}

static int
call_rename_dir(struct all *a)
{
	struct gate_wcc one = { 0 }, two = { 0 };

	return gate_rename(a->b->x, &a->c.rq, &a->dir, "empty", &a->dir,
			   "other", &one, &two);
}

static int
call_link(struct all *a)
{
	struct gate_attr attr;
	struct gate_wcc wcc = { 0 };

	return gate_link(a->b->x, &a->c.rq, &a->file, &a->dir, "other", &attr,
			 &wcc);
}

static int
readdir_any(struct all *a, bool plus)
{
	uint8_t verf[8] = { 0 };
	struct gate_wcc wcc = { 0 };
	bool eof;

	return gate_readdir(a->b->x, &a->c.rq, &a->dir, 0, verf, plus, 0,
			    no_entry, NULL, &eof, &wcc);
}

static int
call_readdir(struct all *a)
{
	return readdir_any(a, false);
}

static int
call_readdirplus(struct all *a)
{
	return readdir_any(a, true);
}

static const struct {
	const char *name;
	int (*run)(struct all *a);
} calls[] = {
	{ "GETATTR", call_getattr },
	{ "SETATTR", call_setattr },
	{ "SETATTR of the size", call_truncate },
	{ "LOOKUP", call_lookup },
	{ "LOOKUP of what is not there", call_lookup_absent },
	{ "ACCESS", call_access },
	{ "READLINK", call_readlink },
	{ "READ", call_read },
	{ "WRITE", call_write },
	{ "CREATE", call_create },
	{ "MKDIR", call_mkdir },
	{ "SYMLINK", call_symlink },
	{ "MKNOD", call_mknod },
	{ "REMOVE", call_remove },
	{ "RMDIR", call_rmdir },
	{ "RMDIR of one that was made here", call_rmdir_local },
	{ "RENAME", call_rename },
	{ "RENAME of a directory", call_rename_dir },
	{ "LINK", call_link },
	{ "READDIR", call_readdir },
	{ "READDIRPLUS", call_readdirplus },
};

static void
all_open(struct all *a, struct fixture *b)
{
	struct gate_setattr set = { 0 };
	struct gate_wcc wcc = { 0 };
	struct gate_attr attr;
	struct gate_fh fh;

	a->b = b;
	client_init(&a->c, "a");
	fixture_open(b);
	CU_ASSERT_EQUAL(do_file(b, &a->c, "file", "text", &a->file), 0);
	CU_ASSERT_EQUAL(do_mkdir(b, &a->c, "dir", &a->dir), 0);
	CU_ASSERT_EQUAL(do_create_in(b, &a->c, &a->dir, "known", &fh), 0);
	a->c.rq.may_block = true;
	CU_ASSERT_EQUAL(gate_mkdir(b->x, &a->c.rq, &a->dir, "empty", &set,
				   &fh, &attr, &wcc), 0);
	CU_ASSERT_EQUAL(gate_symlink(b->x, &a->c.rq, &b->root, "sym", "to",
				     &set, &a->sym, &attr, &wcc), 0);
	CU_ASSERT(fixture_settled(b));
	CU_ASSERT_EQUAL(do_lookup(b, &a->c, "sym", &fh), 0);
	let_age(b);
}

static void
a_near_thread_waits_for_the_store_in_no_procedure(void)
{
	struct fixture b = FIXTURE;
	struct all a;
	unsigned before;

	alarm(TOO_LONG_S);
	all_open(&a, &b);
	CU_ASSERT_EQUAL(do_mkdir(&b, &a.c, "locals", &a.locals), 0);
	CU_ASSERT(fixture_settled(&b));
	let_age(&b);
	hush(&b);
	before = all_calls(&b);
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
		int r;

		a.c.rq.may_block = a.c.rq.near = true;
		a.c.rq.token = NULL;
		a.c.rq.first_ms = clock_ms();
		a.c.rq.again = GATE_AGAIN_NONE;
		r = calls[i].run(&a);
		if (r != -EAGAIN || a.c.rq.again != GATE_NEEDS_STORE)
			fprintf(stderr, "%s: %d\n", calls[i].name, r);
		CU_ASSERT_EQUAL(r, -EAGAIN);
		CU_ASSERT_EQUAL(a.c.rq.again, GATE_NEEDS_STORE);
	}
	CU_ASSERT_EQUAL(all_calls(&b), before);
	fake_s3_release(b.s3);
	/* Nor has any of them done half of its work. */
	a.c.rq.near = false;
	CU_ASSERT_EQUAL(call_lookup(&a), 0);
	CU_ASSERT_EQUAL(lookup(&a, "new"), -ENOENT);
	CU_ASSERT_EQUAL(lookup(&a, "other"), -ENOENT);
	CU_ASSERT_EQUAL(lookup(&a, "empty"), 0);
	CU_ASSERT(do_read_is(&b, &a.c, &a.file, "text", 4));
	fixture_close(&b);
	alarm(0);
}

static void
what_lies_here_is_answered_by_a_near_thread(void)
{
	struct fixture b = FIXTURE;
	struct all a;
	struct gate_fsstat stat;
	struct gate_attr attr;
	struct gate_wcc wcc = { 0 };
	unsigned before;

	alarm(TOO_LONG_S);
	b.export.settle_ms = 60000;
	all_open(&a, &b);
	/* A file that is being written. */
	CU_ASSERT_EQUAL(do_create(&b, &a.c, "open", &a.file), 0);
	CU_ASSERT_EQUAL(do_write(&b, &a.c, &a.file, 0, "text", 4,
				 GATE_UNSTABLE), 0);
	let_age(&b);
	hush(&b);
	before = all_calls(&b);
	a.c.rq.may_block = a.c.rq.near = true;
	a.c.rq.token = NULL;
	CU_ASSERT_EQUAL(call_getattr(&a), 0);
	CU_ASSERT_EQUAL(call_setattr(&a), 0);
	CU_ASSERT_EQUAL(call_write(&a), 0);
	CU_ASSERT_EQUAL(gate_commit(b.x, &a.c.rq, &a.file, 0, 0, &wcc), 0);
	CU_ASSERT_EQUAL(call_read(&a), 0);
	CU_ASSERT_EQUAL(call_truncate(&a), 0);
	CU_ASSERT_EQUAL(gate_fsstat(b.x, &a.c.rq, &a.file, &stat, &attr), 0);
	CU_ASSERT_EQUAL(all_calls(&b), before);
	fake_s3_release(b.s3);
	a.c.rq.near = false;
	fixture_close(&b);
	alarm(0);
}

/* ---- bytes that have to be fetched ---- */

static int
read_near(struct all *a)
{
	a->c.rq.may_block = a->c.rq.near = true;
	a->c.rq.token = &a->c;
	a->c.rq.first_ms = clock_ms();
	a->c.rq.again = GATE_AGAIN_NONE;
	return call_read(a);
}

static bool
woken(struct client *c)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += FIXTURE_WAIT_MS / 1000;
	return sem_timedwait(&c->woken, &until) == 0;
}

static void
a_read_is_parked_until_its_bytes_have_come(void)
{
	struct fixture b = FIXTURE;
	struct all a = { .b = &b };

	alarm(TOO_LONG_S);
	b.export.attr_ttl_ms = 60000;
	client_init(&a.c, "a");
	fixture_open(&b);
	fake_s3_set(b.s3, "f", "textual", 7);
	CU_ASSERT_EQUAL(do_lookup(&b, &a.c, "f", &a.file), 0);
	hush(&b);
	CU_ASSERT_EQUAL(read_near(&a), -EAGAIN);
	CU_ASSERT_EQUAL(a.c.rq.again, GATE_HOLD);
	fake_s3_release(b.s3);
	CU_ASSERT(woken(&a.c));
	CU_ASSERT_EQUAL(read_near(&a), 0);
	/* Nobody wakes it twice. */
	CU_ASSERT_EQUAL(sem_trywait(&a.c.woken), -1);
	fixture_close(&b);
	alarm(0);
}

static void
a_read_whose_bytes_do_not_come_is_told_why(void)
{
	struct fixture b = FIXTURE;
	struct all a = { .b = &b };

	alarm(TOO_LONG_S);
	b.export.attr_ttl_ms = 60000;
	client_init(&a.c, "a");
	fixture_open(&b);
	fake_s3_set(b.s3, "f", "textual", 7);
	CU_ASSERT_EQUAL(do_lookup(&b, &a.c, "f", &a.file), 0);
	fake_s3_fail(b.s3, S3_OP_GET, 1, 1, -EACCES);
	if (read_near(&a) == -EAGAIN && a.c.rq.again == GATE_HOLD)
		CU_ASSERT(woken(&a.c));
	CU_ASSERT_EQUAL(read_near(&a), -EAGAIN);
	CU_ASSERT_EQUAL(a.c.rq.again, GATE_NEEDS_STORE);
	a.c.rq.near = false;
	CU_ASSERT_EQUAL(call_read(&a), -EACCES);
	CU_ASSERT_EQUAL(call_read(&a), 0);
	fixture_close(&b);
	alarm(0);
}

/* ---- rm gives the store a moment ---- */

#define AT_ONCE 12
#define MAY_WAIT 4

struct removal {
	struct all all;
	unsigned *done;		/* atomic */
};

static void *
remove_one(void *arg)
{
	struct removal *r = arg;
	struct all *a = &r->all;
	struct gate_wcc wcc = { 0 };

	a->c.rq.may_block = a->c.rq.near = true;
	a->c.rq.first_ms = clock_ms();
	CU_ASSERT_EQUAL(gate_remove(a->b->x, &a->c.rq, &a->b->root,
				    a->c.rq.who.name, &wcc), 0);
	__atomic_add_fetch(r->done, 1, __ATOMIC_RELEASE);
	return NULL;
}

static bool
comes_to(unsigned *value, unsigned want)
{
	AWAIT(__atomic_load_n(value, __ATOMIC_ACQUIRE) >= want);
	return __atomic_load_n(value, __ATOMIC_ACQUIRE) >= want;
}

static void
few_threads_wait_for_deletions(void)
{
	struct fixture b = FIXTURE;
	struct removal r[AT_ONCE];
	pthread_t threads[AT_ONCE];
	unsigned done = 0;

	b.export.attr_ttl_ms = 60000;
	b.export.hold_ms = 60000;
	fixture_open(&b);
	for (unsigned i = 0; i < AT_ONCE; i++) {
		char name[16];

		snprintf(name, sizeof(name), "f%u", i);
		r[i] = (struct removal){ { .b = &b }, &done };
		client_init(&r[i].all.c, name);
		CU_ASSERT_EQUAL(do_file(&b, &r[i].all.c, name, "text",
					&r[i].all.file), 0);
	}
	CU_ASSERT(fixture_settled(&b));
	hush(&b);
	for (unsigned i = 0; i < AT_ONCE; i++)
		pthread_create(&threads[i], NULL, remove_one, &r[i]);
	CU_ASSERT(comes_to(&done, AT_ONCE - MAY_WAIT));
	fake_s3_release(b.s3);
	CU_ASSERT(comes_to(&done, AT_ONCE));
	for (unsigned i = 0; i < AT_ONCE; i++)
		pthread_join(threads[i], NULL);
	CU_ASSERT(fixture_settled(&b));
	fixture_close(&b);
}

TEST_MAIN("gate_near", T(a_near_thread_waits_for_the_store_in_no_procedure),
	  T(what_lies_here_is_answered_by_a_near_thread),
	  T(a_read_is_parked_until_its_bytes_have_come),
	  T(a_read_whose_bytes_do_not_come_is_told_why),
	  T(few_threads_wait_for_deletions))
