/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_DATAFILE_H
#define NFSD_GATE_DATAFILE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

/*
 * The descriptors of data files.  A node has a struct data_file as long as it
 * has a file; that is open while somebody uses it, and afterwards until the
 * descriptor is wanted by another one.  So their number has a limit, whatever
 * the number of files with bytes here.
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
	pthread_mutex_t mutex;	/* a leaf */
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

void files_init(struct files *all, int dir, const char *state_dir,
		unsigned limit);
void files_fini(struct files *all);
unsigned files_open(struct files *all);	/* how many are */

/* From here on no flush is waited for by who opens a file; NULL: as before. */
void files_crowded(struct files *all, int (*crowded)(void *arg), void *arg);
/* Close some that are idle, flushed first, until there is room.  Blocks. */
void files_flush(struct files *all);
/* Is one more to be waited for?  Then a request does that here, for two seconds
 * at most, with no lock held. */
bool files_many(struct files *all);
void files_ease(struct files *all);

/* make: a new one if there is none, else -ENOENT.  -EAGAIN: no descriptor is
 * left, though all that can be closed at once is; -ENOSPC, -EIO. */
int file_new(struct files *all, uint64_t ino, bool make,
	     struct data_file **out) __attribute__((warn_unused_result));
/* The node has it no more; who uses it may finish. */
void file_forget(struct data_file **file);
/* From here to file_done the descriptor is open, and file->fd good.  Errors
 * as above; -EIO if the file is not there any more.  Not by two at once: its
 * node's mutex is held. */
int file_use(struct data_file *file) __attribute__((warn_unused_result));
void file_done(struct data_file **file);

/* For users. */
int file_write(struct data_file *file, const void *buf, uint64_t len,
	       uint64_t at) __attribute__((warn_unused_result));
/* To stable storage, with its name, which has to be there still.  An error is
 * kept, too: it has failed. */
int file_flush(struct data_file *file);
/* Has anything been written since the last good flush began? */
bool file_written(struct data_file *file);
/* Has a flush, or the kernel by itself, failed to write it?  What was read
 * before the question was good if not. */
bool file_failed(struct data_file *file);
/* It had, and what may be lost is not believed in any more. */
void file_forgive(struct data_file *file);

#endif
