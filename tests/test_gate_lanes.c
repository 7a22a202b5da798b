/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One bucket that does not answer costs the others nothing: each export has
 * threads, memory and handles of its own.
 */

#include <config.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/gate_fixture.h"
#include "tests/unit.h"

#define MANY 24

static void
hush(struct s3 *s3)
{
	for (unsigned i = 0; i < S3_OP_COUNT; i++)
		fake_s3_hold(s3, (enum s3_op)i);
}

static bool
is_there(struct s3 *s3, const char *key)
{
	AWAIT(fake_s3_has(s3, key));
	return fake_s3_has(s3, key);
}

/* The calls of the fixture, on the other export. */
static struct fixture
other(const struct fixture *b)
{
	struct fixture y = FIXTURE;

	y.gate = b->gate;
	y.x = b->y;
	y.s3 = b->s3y;
	y.root = b->rooty;
	return y;
}

static void
park_read(struct fixture *b, struct client *c, const struct gate_fh *fh)
{
	struct gate_attr attr;
	char buf[16];
	uint32_t got;
	bool eof;

	c->rq.may_block = c->rq.near = true;
	c->rq.first_ms = clock_ms();
	c->rq.token = c;
	CU_ASSERT_EQUAL(gate_read(b->x, &c->rq, fh, 0, buf, sizeof(buf), &got,
				  &eof, &attr), -EAGAIN);
	CU_ASSERT_EQUAL(c->rq.again, GATE_HOLD);
}

static bool
woken(struct client *c)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += FIXTURE_WAIT_MS / 1000;
	return sem_timedwait(&c->woken, &until) == 0;
}

/* READs of many files, none of which is answered. */
static void
read_many(struct fixture *b, struct client c[MANY], uint32_t len)
{
	static char data[1 << 20];

	for (unsigned i = 0; i < MANY; i++) {
		char name[16];

		snprintf(name, sizeof(name), "f%u", i);
		client_init(&c[i], name);
		fake_s3_set(b->s3, name, data, len);
	}
	for (unsigned i = 0; i < MANY; i++) {
		struct gate_fh fh;

		CU_ASSERT_EQUAL(do_lookup(b, &c[i], c[i].rq.who.name, &fh), 0);
		if (i == MANY - 1)
			hush(b->s3);
	}
	for (unsigned i = 0; i < MANY; i++) {
		struct gate_attr attr;
		struct gate_wcc wcc = { 0 };
		struct gate_fh fh;

		c[i].rq.may_block = c[i].rq.near = true;
		c[i].rq.first_ms = clock_ms();
		CU_ASSERT_EQUAL(gate_lookup(b->x, &c[i].rq, &b->root,
					    c[i].rq.who.name, &fh, &attr,
					    &wcc), 0);
		park_read(b, &c[i], &fh);
	}
}

static void
answers_come(struct fixture *b, struct client c[MANY])
{
	fake_s3_release(b->s3);
	for (unsigned i = 0; i < MANY; i++)
		CU_ASSERT(woken(&c[i]));
}

static void
fetches_of_one_export_do_not_wait_for_those_of_another(void)
{
	struct fixture b = FIXTURE, y;
	struct client c[MANY], d;
	struct gate_fh fh;

	alarm(300);
	b.two = true;
	b.export.attr_ttl_ms = 60000;
	fixture_open(&b);
	y = other(&b);
	read_many(&b, c, 16);
	client_init(&d, "d");
	fake_s3_set(y.s3, "g", "text", 4);
	CU_ASSERT_EQUAL(do_lookup(&y, &d, "g", &fh), 0);
	CU_ASSERT(do_read_is(&y, &d, &fh, "text", 4));
	answers_come(&b, c);
	fixture_close(&b);
	alarm(0);
}

static void
nor_do_they_take_all_of_the_memory(void)
{
	static char data[1 << 20];
	struct fixture b = FIXTURE, y;
	struct client c[MANY], d;
	struct gate_fh fh;

	alarm(300);
	b.two = true;
	b.export.attr_ttl_ms = 60000;
	b.config.memory_size = 1 << 20;
	fixture_open(&b);
	y = other(&b);
	read_many(&b, c, sizeof(data));
	client_init(&d, "d");
	fake_s3_set(y.s3, "g", data, sizeof(data));
	CU_ASSERT_EQUAL(do_lookup(&y, &d, "g", &fh), 0);
	CU_ASSERT(do_read_is(&y, &d, &fh, data, sizeof(data)));
	answers_come(&b, c);
	fixture_close(&b);
	alarm(0);
}

/* So many wait for memory, or more. */
static bool
want_memory(struct fixture *b, unsigned count)
{
	unsigned now;

	AWAIT((now = __atomic_load_n(&b->x->memory_wanted,
				     __ATOMIC_SEQ_CST)) >= count);
	return now >= count;
}

static bool
memory_comes_to(struct fixture *b, uint64_t bytes)
{
	uint64_t now;

	AWAIT((now = fixture_memory_used(b)) == bytes);
	return now == bytes;
}

#define UPLOADS 8

/* One byte of an object is another: the rest is fetched, to go up again. */
static void
change_object(struct fixture *b, struct client *c, const char *key, char *data)
{
	struct gate_fh fh;

	CU_ASSERT_EQUAL(do_lookup(b, c, key, &fh), 0);
	CU_ASSERT_EQUAL(do_write(b, c, &fh, 5, "n", 1, GATE_FILE_SYNC), 0);
	data[5] = 'n';
}

static void
nor_do_its_uploads(void)
{
	static char data[1 << 20], changed[1 << 20];
	struct fixture b = FIXTURE, y;
	struct client a;
	char name[16];

	alarm(300);
	b.two = true;
	b.config.memory_size = 8 * MIB;
	b.config.transfer_threads = UPLOADS;
	fixture_open(&b);
	y = other(&b);
	client_init(&a, "a");
	fake_s3_set(y.s3, "g", data, sizeof(data));
	for (unsigned i = 0; i < UPLOADS; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		fake_s3_set(b.s3, name, data, sizeof(data));
	}
	fake_s3_hold(b.s3, S3_OP_GET);
	for (unsigned i = 0; i < UPLOADS; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		change_object(&b, &a, name, changed);
	}
	/* The others have all that uploads of an export may have. */
	CU_ASSERT(want_memory(&b, 1));
	change_object(&y, &a, "g", changed);
	AWAIT(fake_s3_is(y.s3, "g", changed, sizeof(changed)));
	CU_ASSERT(fake_s3_is(y.s3, "g", changed, sizeof(changed)));
	fake_s3_release(b.s3);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "f0", changed, sizeof(changed)));
	fixture_close(&b);
	alarm(0);
}

static void *
take_much(void *arg)
{
	struct node *n = arg;

	fetch_memory_take(n, 8 * MIB);
	fetch_memory_give(n, 8 * MIB);
	return NULL;
}

static void
an_upload_does_not_wait_behind_the_fetches_of_its_export(void)
{
	enum { LEN = 4 << 20, READS = 4 };
	struct fixture b = FIXTURE;
	struct client c[READS];
	struct gate_fh fh[READS];
	struct node *n = NULL;
	char *data = calloc(1, LEN);
	pthread_t upload;

	alarm(300);
	b.config.memory_size = READS * LEN;
	b.export.attr_ttl_ms = 60000;
	fixture_open(&b);
	for (unsigned i = 0; i < READS; i++) {
		char name[16];

		snprintf(name, sizeof(name), "f%u", i);
		client_init(&c[i], name);
		fake_s3_set(b.s3, name, data, LEN);
	}
	for (unsigned i = 0; i < READS; i++)
		CU_ASSERT_EQUAL(do_lookup(&b, &c[i], c[i].rq.who.name,
					  &fh[i]), 0);
	fake_s3_hold(b.s3, S3_OP_GET);
	for (unsigned i = 0; i < READS - 1; i++)
		park_read(&b, &c[i], &fh[i]);
	CU_ASSERT(memory_comes_to(&b, (READS - 1) * LEN));
	n = node_find(b.gate, fh[0].ino);
	CU_ASSERT_PTR_NOT_NULL_FATAL(n);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&upload, NULL, take_much, n), 0);
	CU_ASSERT(want_memory(&b, 1));
	/* There is room for this one, and it waits all the same. */
	park_read(&b, &c[READS - 1], &fh[READS - 1]);
	CU_ASSERT(want_memory(&b, 2));
	fake_s3_release(b.s3);
	for (unsigned i = 0; i < READS; i++)
		CU_ASSERT(woken(&c[i]));
	pthread_join(upload, NULL);
	node_put(&n);
	free(data);
	fixture_close(&b);
	alarm(0);
}

static void
uploads_to_one_bucket_do_not_wait_for_those_to_another(void)
{
	struct fixture b = FIXTURE, y;
	struct client a;
	struct gate_fh fh;

	alarm(300);
	b.two = true;
	/* Nothing goes out while a file is being made. */
	b.export.create_settle_ms = 60000;
	fixture_open(&b);
	y = other(&b);
	client_init(&a, "a");
	for (unsigned i = 0; i < MANY; i++) {
		char name[16];

		snprintf(name, sizeof(name), "f%u", i);
		if (i == 1)
			fake_s3_hold(b.s3, S3_OP_PUT);
		CU_ASSERT_EQUAL(do_file(&b, &a, name, "text", &fh), 0);
	}
	CU_ASSERT(fake_s3_is_held(b.s3));
	CU_ASSERT_EQUAL(do_file(&y, &a, "g", "text", &fh), 0);
	CU_ASSERT(is_there(y.s3, "g"));
	fake_s3_release(b.s3);
	CU_ASSERT(fixture_settled(&b));
	fixture_close(&b);
	alarm(0);
}

static void
handles_are_counted_for_their_export(void)
{
	struct fixture b = FIXTURE, y;
	struct client a;
	struct gate_fh fh;

	b.two = true;
	b.export.max_handles = 3;
	b.export.create_settle_ms = b.export.settle_ms = 60000;
	fixture_open(&b);
	y = other(&b);
	client_init(&a, "a");
	CU_ASSERT_EQUAL(do_create(&b, &a, "one", &fh), 0);
	CU_ASSERT_EQUAL(do_create(&b, &a, "two", &fh), 0);
	CU_ASSERT_EQUAL(do_create(&b, &a, "three", &fh), 0);
	CU_ASSERT_EQUAL(do_create(&b, &a, "four", &fh), -EAGAIN);
	CU_ASSERT_EQUAL(do_create(&y, &a, "four", &fh), 0);
	fixture_close(&b);
}

/* ---- the pool itself ---- */

struct jobs {
	struct pool pool;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	bool begun, open;
	char order[64];
};

struct task {
	struct jobs *jobs;
	char name;
};

static void
run_task(void *arg)
{
	struct task *t = arg;
	struct jobs *j = t->jobs;

	pthread_mutex_lock(&j->mutex);
	j->begun = true;
	pthread_cond_broadcast(&j->changed);
	while (t->name == '!' && !j->open)
		pthread_cond_wait(&j->changed, &j->mutex);
	j->order[strlen(j->order)] = t->name;
	pthread_cond_broadcast(&j->changed);
	pthread_mutex_unlock(&j->mutex);
}

static void
what_is_awaited_goes_first_and_the_rest_is_not_forgotten(void)
{
	struct jobs j = { .mutex = PTHREAD_MUTEX_INITIALIZER,
			  .changed = PTHREAD_COND_INITIALIZER };
	static const char names[] = "!ababababaaaa";
	struct task tasks[sizeof(names) - 1], none = { &j, 'n' };

	CU_ASSERT_EQUAL_FATAL(pool_start(&j.pool, 1), 0);
	for (unsigned i = 0; i < sizeof(names) - 1; i++) {
		tasks[i] = (struct task){ &j, names[i] };
		CU_ASSERT_EQUAL(pool_add(&j.pool, &j, names[i] == 'b'
					 ? POOL_NEXT : POOL_AWAITED, run_task,
					 &tasks[i]), 0);
		pthread_mutex_lock(&j.mutex);
		while (!j.begun)
			pthread_cond_wait(&j.changed, &j.mutex);
		pthread_mutex_unlock(&j.mutex);
	}
	/* Another's does not wait for them. */
	CU_ASSERT_EQUAL(pool_add(&j.pool, NULL, POOL_NEXT, run_task, &none),
			0);
	pthread_mutex_lock(&j.mutex);
	while (j.order[0] == '\0')
		pthread_cond_wait(&j.changed, &j.mutex);
	j.open = true;
	pthread_cond_broadcast(&j.changed);
	pthread_mutex_unlock(&j.mutex);
	pool_stop(&j.pool);
	CU_ASSERT_STRING_EQUAL(j.order, "n!aaabaaabaabb");
}

static void
wait_inside(void *arg)
{
	struct jobs *j = arg;

	pool_may_wait(&j->pool);
}

/* In test builds. */
static void
who_waits_for_a_job_of_his_own_pool_is_stopped(void)
{
#ifdef FAILPOINTS
	struct jobs j = { .mutex = PTHREAD_MUTEX_INITIALIZER };
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		struct rlimit no_core = { 0, 0 };

		setrlimit(RLIMIT_CORE, &no_core);
		if (pool_start(&j.pool, 1) < 0)
			_exit(2);
		pool_may_wait(&j.pool);	/* any other thread may */
		(void)pool_add(&j.pool, NULL, POOL_NEXT, wait_inside, &j);
		pool_stop(&j.pool);
		_exit(0);
	}
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
#else
	(void)wait_inside;
#endif
}

TEST_MAIN("gate_lanes",
	  T(fetches_of_one_export_do_not_wait_for_those_of_another),
	  T(nor_do_they_take_all_of_the_memory),
	  T(nor_do_its_uploads),
	  T(an_upload_does_not_wait_behind_the_fetches_of_its_export),
	  T(uploads_to_one_bucket_do_not_wait_for_those_to_another),
	  T(handles_are_counted_for_their_export),
	  T(what_is_awaited_goes_first_and_the_rest_is_not_forgotten),
	  T(who_waits_for_a_job_of_his_own_pool_is_stopped))
