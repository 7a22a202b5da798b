/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FAULT_TABLE_H
#define TESTS_FAULT_TABLE_H

/*
 * The fault table: S3 calls (columns) and answers (rows).  See
 * tests/check-faults for what is made of it.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "tests/s3_server.h"
#include "tests/scenario.h"

struct fault_call {
	const char *name;
	unsigned calls;		/* bits 1 << enum s3_server_call */
	bool large;		/* files in parts are needed to see it */
};
extern const struct fault_call fault_calls[];
extern const unsigned fault_call_count;
extern const struct s3_server_answer fault_answers[];
extern const unsigned fault_answer_count;

#define SMALL_LEN 20000		/* of `read`, which no cache has */
#define LARGE_LEN (17U << 20)	/* of what is made and goes in parts */
#define PATCHED_LEN (17U << 20)	/* of what lies there and is changed */
#define TAGS "kind=test"
#define READERS "uri=\"http://acs.amazonaws.com/groups/global/AllUsers\""

enum told_max { TOLD_MAX = 128, TEXT_MAX = 2000 };

struct told {			/* what a client was answered */
	const char *call;
	int status;
};

/* One call under one answer. */
struct cell {
	struct scene *s;
	struct s3_server *server;
	const struct fault_call *call;
	const struct s3_server_answer *answer;
	unsigned char *large;	/* PATCHED_LEN bytes */
	struct nc_fh list;	/* a directory that only is read */
	atomic_bool lifted;
	_Atomic uint64_t until_ms;	/* healed by then */
	pthread_mutex_t lock;
	struct told told[TOLD_MAX];
	unsigned told_count;
	char wrong[TEXT_MAX];	/* verdicts, each ended by "; " */
};

/* Puts what the clients will work on into the bucket. */
void fault_prepare(struct cell *x);
/* Clients with their handles; at work, each in a thread; back when all are done
 * or gave up. */
struct clients;
struct clients *fault_clients_start(struct cell *x);
void fault_clients_go(struct clients *clients);
void fault_clients_join(struct clients **clients);
/* Adds a verdict, once. */
void fault_wrong(struct cell *x, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Looks at bucket and mount until all is right, or until x->until_ms: then
 * what is not becomes verdicts. */
void fault_judge(struct cell *x);

#endif
