/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_SCHEDULE_H
#define NFSD_GATE_SCHEDULE_H

#include <pthread.h>
#include <stdbool.h>
#include <sys/queue.h>

struct node;

/* Whose upload goes first. */
enum urgency {
	UPLOAD_WANTED,		/* somebody waits, or it is too old */
	UPLOAD_SETTLED,		/* nobody does */
	UPLOAD_CARRIED,		/* of a renamed directory (carry.c) */
	URGENCIES
};
#define UPLOAD_THREADS_MAX (8 + 16)

/* The uploads of one export: those that wait, and threads for them, which are
 * made when they are needed.  upload.c and carry.c alone use it. */
struct schedule {
	pthread_mutex_t mutex;	/* a leaf; guards what follows */
	pthread_cond_t work_ready;
	TAILQ_HEAD(, node) queues[URGENCIES];
	unsigned running[URGENCIES];
	pthread_t threads[UPLOAD_THREADS_MAX];
	unsigned count, idle;
	bool stopping;
	void (*run)(void *node);
};

/* run: an upload (upload_run), which owns a reference to the node. */
void schedule_init(struct schedule *s, void (*run)(void *node));
/* Run it with this node when its turn comes; it takes over the reference.
 * -EAGAIN: there is no thread for it; it was not taken.  Does not block. */
int schedule_add(struct schedule *s, struct node *n, enum urgency urgency)
	__attribute__((warn_unused_result));
/* Somebody waits for this one from now on, if it waits still. */
void schedule_hurry(struct schedule *s, struct node *n);
/* Runs what waits, then joins.  The gate is stopping. */
void schedule_stop(struct schedule *s);

#endif
