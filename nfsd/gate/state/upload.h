/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_STATE_UPLOAD_H
#define NFSD_GATE_STATE_UPLOAD_H

/* What a file owes S3, and whose turn it is. */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "meta/meta.h"
#include "nfsd/gate/state/data.h"
#include "nfsd/gate/state/mutex.h"
#include "s3/s3.h"

enum upload_run { UP_IDLE, UP_QUEUED, UP_RUNNING };

/* Whose upload goes first. */
enum urgency {
	UPLOAD_WANTED,		/* somebody waits, or it is too old */
	UPLOAD_SETTLED,		/* nobody does */
	UPLOAD_RELOCATION,		/* of a renamed directory */
	URGENCIES
};

struct upload {
	struct meta_upload *row;	/* node/upload_row.c; NULL: nothing to
				 * say */
	int64_t since_ns;	/* wall clock, of the first change */
	unsigned attempts;
	bool pending;		/* S3 has to be told of something */
	enum upload_run run;
	TAILQ_ENTRY(node) queue;	/* pending/schedule.c's, as the next
					 * two */
	bool queued;
	enum urgency urgency;
	bool cancel;		/* the running one should stop */
	bool keep;		/* ... goes on to its end, whoever writes */
	bool stopped;		/* the last one was, for its writer went on */
	bool kicked;		/* do not wait for the file to settle */
	bool wanted;		/* somebody waits for what is flushed now */
	bool recovered;		/* from before a crash: look first */
	LIST_HEAD(, indoubt) indoubt;	/* had no answer (node/node.h) */
	bool indoubt_rows;		/* some of them are on record */
	char *sent_key;		/* of the one under way */
	bool rowless;		/* pending as it is relocated: no row */
	bool by_relocation;	/* which wants to know when it has ended */
	uint64_t due_ms;	/* settle, or retry */
	uint64_t not_before_ms;	/* whoever kicks */
	uint64_t busy_ms;	/* waits for its key since; 0: it does not */
	uint64_t dirty_ms;	/* when the oldest unsent change was made */
	uint64_t begun_ms;	/* when the running one took its version, */
	uint64_t begun_content, begun_attr;	/* this one */
	uint64_t failing_ms;	/* first failure in a row; 0: none */
	unsigned refusals;	/* S3 said no so often, in a row, to this */
	uint64_t refused_version;	/* content_version; the first time */
	uint64_t refused_ms;	/* then (run_ms); 0: not in this run */
	uint64_t refused_before_ms;	/* so long in earlier ones */
	uint64_t bytes_total, bytes_sent;
	int64_t parts_ns;	/* when one by parts was begun last: our wall
				 * clock, after the answer */
	uint64_t expect_version;/* content_version of row->expect_etag */
	uint64_t plans;		/* changes begun that S3 is to hear of */
};

#define UPLOAD_THREADS_MAX (8 + 16)

/* The uploads of one export: those that wait, and threads for them, which are
 * made when they are needed (pending/schedule.c).  Files come by
 * pending/dirty.c, relocating ones by dirmove/relocate.c. */
struct schedule {
	struct mutex mutex;	/* a leaf; guards what follows */
	pthread_cond_t work_ready;
	TAILQ_HEAD(, node) queues[URGENCIES];
	unsigned running[URGENCIES];
	pthread_t threads[UPLOAD_THREADS_MAX];
	unsigned count, idle;
	bool stopping;
	void (*run)(void *node);
};

/*
 * One upload under way.  upload/send.c moves bytes and knows S3;
 * upload/upload.c decides what follows.
 */
struct sending {
	struct node *node;
	struct snapshot snap;
	struct s3_headers headers;
	struct s3_cond cond;
	char etag[S3_ETAG_MAX];		/* of the version that was made */
	struct s3_error err;
	bool beside;			/* under another name than the file's */
	bool base_gone;			/* nothing can be copied from it */
	bool theirs;			/* the file becomes what lies there */
	bool doubt;			/* the key may have got one of ours, of
					 * which nothing is known */
};

#endif
