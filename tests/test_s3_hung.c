/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The outside does not answer: a name server (getaddrinfo is ours here, for
 * libcurl too), a store.  Nobody waits for it once the program ends.
 */
#include <config.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "s3/remote.h"
#include "tests/unit.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned asked;
static bool answers;

int
getaddrinfo(const char *node, const char *service,
	    const struct addrinfo *hints, struct addrinfo **out)
{
	(void)node;
	(void)service;
	(void)hints;
	(void)out;
	pthread_mutex_lock(&lock);
	asked++;
	pthread_cond_broadcast(&changed);
	while (!answers)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
	return EAI_AGAIN;
}

static void *
head(void *arg)
{
	struct s3_object object;
	struct s3_error err;

	CU_ASSERT(s3_head(arg, "key", &object, &err) < 0);
	return NULL;
}

static void
a_name_that_is_not_found_does_not_hold_the_end(void)
{
	const struct s3_config config = {
		.url = "s3://bucket", .endpoint = "http://hung.example",
		.connect_ms = 60000, .stall_ms = 60000,
	};
	struct s3 *s3 = NULL;
	struct s3_error err;
	int64_t began;
	pthread_t thread;

	setenv("AWS_ACCESS_KEY_ID", "a", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "b", 1);
	CU_ASSERT_EQUAL_FATAL(s3_open(&config, &s3, &err), 0);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, head, s3), 0);
	pthread_mutex_lock(&lock);
	while (asked == 0)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
	began = s3_mono_ms();
	s3_cancel(s3);
	pthread_join(thread, NULL);
	s3_close(&s3);
	CU_ASSERT(s3_mono_ms() - began < 20000);
	pthread_mutex_lock(&lock);
	answers = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

TEST_MAIN("s3_hung", T(a_name_that_is_not_found_does_not_hold_the_end))
