/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of locks (nfsd/gate/state/mutex.h) end the program that breaks
 * them, in builds with fail points.  Each break is made in a child.
 */

#include <config.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nfsd/gate/node/node.h"
#include "nfsd/gate/state/mutex.h"
#include "tests/gate_fixture.h"
#include "tests/unit.h"

#ifdef FAILPOINTS

/* Does it abort, and say so with these words? */
static bool
aborts(void (*run)(void *arg), void *arg, const char *words)
{
	char text[1000];
	size_t have = 0;
	ssize_t got;
	int fds[2], status;
	pid_t pid;

	if (pipe(fds) < 0)
		return false;
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		close(fds[0]);
		dup2(fds[1], 2);
		run(arg);
		_exit(0);
	}
	close(fds[1]);
	while (have < sizeof(text) - 1 &&
	       (got = read(fds[0], text + have, sizeof(text) - 1 - have)) > 0)
		have += (size_t)got;
	text[have] = '\0';
	close(fds[0]);
	return pid > 0 && waitpid(pid, &status, 0) == pid &&
	       WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT &&
	       strstr(text, words) != NULL;
}

struct pair {
	struct mutex one, two;
};

static void
pair_init(struct pair *p, enum mutex_rank one, enum mutex_rank two)
{
	mutex_init(&p->one, one);
	mutex_init(&p->two, two);
}

static void
take_both(void *arg)
{
	struct pair *p = arg;

	mutex_lock(&p->one);
	mutex_lock(&p->two);
}

static void
take_and_try(void *arg)
{
	struct pair *p = arg;

	mutex_lock(&p->one);
	(void)mutex_try(&p->two);
}

static void
take_three(void *arg)
{
	struct pair *p = arg;
	struct mutex third;

	mutex_init(&third, MUTEX_NODE);
	mutex_lock(&p->one);
	mutex_lock_second(&p->two);
	mutex_lock_second(&third);
}

static void
wait_under_another(void *arg)
{
	struct pair *p = arg;
	pthread_cond_t cond = PTHREAD_COND_INITIALIZER;

	mutex_lock(&p->one);
	mutex_lock(&p->two);
	(void)mutex_wait(&p->two, &cond, NULL);
}

static void
give_back(void *arg)
{
	mutex_unlock(arg);
}

static void
must_hold(void *arg)
{
	mutex_must_hold(arg);
}

static void
mutexes_are_taken_in_their_order(void)
{
	struct pair p;

	pair_init(&p, MUTEX_GATE, MUTEX_NODE);
	CU_ASSERT(aborts(take_both, &p, "out of order"));
	pair_init(&p, MUTEX_NODE, MUTEX_NODE);
	CU_ASSERT(aborts(take_both, &p, "out of order"));
	CU_ASSERT(aborts(take_three, &p, "out of order"));
	pair_init(&p, MUTEX_LEAF, MUTEX_LEAF);
	CU_ASSERT(aborts(take_both, &p, "out of order"));
	pair_init(&p, MUTEX_NODE, MUTEX_SHARD);
	CU_ASSERT(!aborts(take_both, &p, ""));
	pair_init(&p, MUTEX_SHARD, MUTEX_NODE);
	CU_ASSERT(!aborts(take_and_try, &p, ""));
}

static void
who_waits_holds_no_other(void)
{
	struct pair p;

	pair_init(&p, MUTEX_NODE, MUTEX_GATE);
	CU_ASSERT(aborts(wait_under_another, &p, "over what may last"));
}

static void *
take_for_good(void *arg)
{
	mutex_lock(arg);
	return NULL;
}

static void
what_another_thread_holds_is_not_ours(void)
{
	struct mutex m;
	pthread_t other;

	mutex_init(&m, MUTEX_NODE);
	CU_ASSERT(aborts(must_hold, &m, "not held"));
	CU_ASSERT(aborts(give_back, &m, "not held"));
	CU_ASSERT_EQUAL_FATAL(pthread_create(&other, NULL, take_for_good, &m),
			      0);
	pthread_join(other, NULL);
	CU_ASSERT(aborts(must_hold, &m, "not held"));
	CU_ASSERT(aborts(give_back, &m, "not held"));
}

/* ---- of a gate ---- */

struct scene {
	struct fixture b;
	struct client a;
	struct node *dir, *file;
};

static void
scene_open(struct scene *s)
{
	struct gate_fh fh;

	*s = (struct scene){ .b = FIXTURE };
	client_init(&s->a, "a");
	fixture_open(&s->b);
	CU_ASSERT_EQUAL(do_file(&s->b, &s->a, "f", "text", &fh), 0);
	CU_ASSERT(fixture_settled(&s->b));
	s->dir = node_find(s->b.gate, s->b.root.ino);
	s->file = node_find(s->b.gate, fh.ino);
	CU_ASSERT_PTR_NOT_NULL_FATAL(s->dir);
	CU_ASSERT_PTR_NOT_NULL_FATAL(s->file);
}

static void
scene_close(struct scene *s)
{
	node_put(&s->dir);
	node_put(&s->file);
	fixture_close(&s->b);
}

static void
lock_file_then_dir(void *arg)
{
	struct scene *s = arg;

	node_lock_wait(s->file);
	node_lock_wait(s->dir);
}

static void
lock_under_a_mutex(void *arg)
{
	struct scene *s = arg;

	mutex_lock(&s->dir->mutex);
	node_lock_wait(s->file);
}

static void
unlock_file(void *arg)
{
	node_unlock(((struct scene *)arg)->file);
}

static void
read_under_a_mutex(void *arg)
{
	struct scene *s = arg;
	struct meta_inode row = { 0 };

	mutex_lock(&s->file->mutex);
	CU_ASSERT_EQUAL(meta_get_inode(s->b.gate->meta, s->file->ino, &row), 0);
}

static void
write_under_a_mutex(void *arg)
{
	struct scene *s = arg;
	struct meta_batch *b = meta_batch_new();

	meta_put_setting(b, "x", "y", 1);
	mutex_lock(&s->b.gate->mutex);
	CU_ASSERT_EQUAL(meta_commit(s->b.gate->meta, &b), 0);
}

static void
directories_are_locked_before_files(void)
{
	struct scene s;

	scene_open(&s);
	CU_ASSERT(aborts(lock_file_then_dir, &s, "locked out of order"));
	CU_ASSERT(aborts(lock_under_a_mutex, &s, "over what may last"));
	CU_ASSERT(aborts(unlock_file, &s, "not locked by this thread"));
	scene_close(&s);
}

static void
sqlite_is_not_asked_under_a_mutex(void)
{
	struct scene s;

	scene_open(&s);
	CU_ASSERT(aborts(read_under_a_mutex, &s, "over what may last"));
	CU_ASSERT(aborts(write_under_a_mutex, &s, "over what may last"));
	scene_close(&s);
}

TEST_MAIN("gate_locks",
	  T(mutexes_are_taken_in_their_order),
	  T(who_waits_holds_no_other),
	  T(what_another_thread_holds_is_not_ours),
	  T(directories_are_locked_before_files),
	  T(sqlite_is_not_asked_under_a_mutex))

#else

int
main(void)
{
	printf("skipped: needs a build with --enable-failpoints\n");
	return 77;
}

#endif
