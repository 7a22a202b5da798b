/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_STATE_FILES_H
#define NFSD_GATE_STATE_FILES_H

/* Descriptors of data files: data/datafile.c. */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "nfsd/gate/state/mutex.h"

/*
 * A node has a struct data_file as long as it has a file; that is open while
 * somebody uses it, and afterwards until the descriptor is wanted by another
 * one.  So their number has a limit, whatever the number of files with bytes
 * here.
 *
 * What a flush says is kept here as well, since it says it once: after an
 * error the kernel holds the pages for clean, and a second flush is good.
 * `failed` stays until its node has drawn the conclusion (data_mend).
 */
struct data_file {
	TAILQ_ENTRY(data_file) link;
	struct files *of;
	uint64_t ino;
	/* files->mutex */
	int fd;			/* -1: closed for now */
	unsigned refs;		/* its node, and each use */
	unsigned users;		/* the descriptor is theirs */
	bool idle;		/* in the list: may be closed */
	bool written;		/* since the last flush began */
	bool failed;		/* what was written before may be lost */
	bool new_name;		/* its name is not on disk for sure */
};

/* All of a gate. */
struct files {
	int dir;		/* STATE_DIR/data */
	const char *state_dir;	/* its path, the gate's */
	unsigned limit;		/* that are open and not in use */
	struct mutex mutex;	/* a leaf */
	TAILQ_HEAD(data_file_list, data_file) idle;	/* oldest first */
	unsigned open;
	/* Somebody who may wait for the disk is to call files_flush, once; with
	 * no locks but node mutexes.  NULL: whoever wants a descriptor flushes
	 * himself. */
	int (*crowded)(void *arg);
	void *crowded_arg;
	bool flushing;		/* it was called, and is not done */
	pthread_cond_t eased;	/* it has closed some */
};

#endif
