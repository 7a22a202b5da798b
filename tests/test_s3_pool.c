/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slots for requests: who has one waits for no other.
 */

#include <config.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "s3/remote.h"
#include "tests/unit.h"

static void
slots_come_back(void)
{
	struct s3_pool *pool = NULL;
	struct s3_transfer t = {0};

	CU_ASSERT_EQUAL_FATAL(s3_pool_new(1, 1000, &pool), 0);
	for (int i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(s3_pool_take(pool, &t), 0);
		s3_pool_give(pool, &t);
	}
	s3_pool_free(&pool);
}

/* In test builds. */
static void
who_holds_a_slot_and_asks_for_another_is_stopped(void)
{
#ifdef FAILPOINTS
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		struct rlimit no_core = { 0, 0 };
		struct s3_pool *pool = NULL;
		struct s3_transfer one = {0}, two = {0};

		setrlimit(RLIMIT_CORE, &no_core);
		if (s3_pool_new(2, 1000, &pool) < 0 ||
		    s3_pool_take(pool, &one) < 0)
			_exit(2);
		_exit(s3_pool_take(pool, &two) < 0);
	}
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
#endif
}

TEST_MAIN("s3_pool", T(slots_come_back),
	  T(who_holds_a_slot_and_asks_for_another_is_stopped))
