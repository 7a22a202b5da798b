/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_DATA_DATA_H
#define NFSD_GATE_DATA_DATA_H

/* Bytes on the gateway's disk: data files, places in them, who may see them. */

#include "nfsd/gate/state/state.h"

/* ---- datafile.c ---- */
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
/* From here to file_done the descriptor is open, and file->fd good.  -EAGAIN:
 * no descriptor is left, though all that can be closed at once is; -EIO: also
 * if the file is not there any more.  Not by two at once: its node's mutex is
 * held. */
int file_use(struct data_file *file) __attribute__((warn_unused_result));
void file_done(struct data_file **file);
/* Has anything been written since the last good flush began? */
bool file_written(struct data_file *file);
/* Has a flush, or the kernel by itself, failed to write it?  What was read
 * before the question was good if not. */
bool file_failed(struct data_file *file);
/* Of an inode's, below STATE_DIR/data. */
void data_file_name(uint64_t ino, char out[32]);

/* ---- data.c ---- */
void data_init(struct data *d);
void data_fini(struct node *n);		/* closes; the file stays */
/* Mutex held.  make: the file if there is none, else -ENOENT.  -EAGAIN: not
 * now, there is no descriptor for it. */
int data_open_locked(struct node *n, bool make)
	__attribute__((warn_unused_result));
/* Find a place for len bytes at off; reserves it.  base: they come from S3
 * and must not lie where uncommitted ones do.  Mutex held. */
int data_place_locked(struct node *n, uint64_t off, uint64_t len, bool base,
		      uint64_t *at);
/* Write to the place.  Mutex held, released while a file is written. */
int data_put_locked(struct node *n, const void *buf, uint64_t len,
		    uint64_t at);
/*
 * Was a flush bad, or what the kernel wrote by itself?  Then uncommitted
 * bytes are dropped, and the write verifier tells clients to send them again;
 * copies of the base, which are fetched again; what only the journal has for
 * sure is written once more.  What a good flush had written is good.
 * The file lock is held, no mutex.  0, 1 something was lost just now, or what
 * keeps the journal's bytes out of the file.
 */
int data_mend(struct node *n) __attribute__((warn_unused_result));
/* From memory to a file.  Mutex held. */
int data_spill_locked(struct node *n);
/* The place is written: it becomes part of `dirty` or `clean`. */
int data_dirty_locked(struct node *n, uint64_t off, uint64_t len, uint64_t at);
/* To stable storage, all that was written before.  The file lock is held, no
 * mutex; blocks.  After an error uncommitted bytes may be gone (data_mend),
 * but for -EAGAIN: no descriptor, nothing was done. */
int data_sync(struct node *n) __attribute__((warn_unused_result));
/* The place was not written: it is free again. */
void data_unplace_locked(struct node *n, uint64_t off, uint64_t len,
			 uint64_t at);
/* The durable map becomes part of the staged one.  Mutex held.  -ENOMEM. */
int data_publish_locked(struct node *n) __attribute__((warn_unused_result));
/* Where the last durable byte ends; 0: there is none. */
uint64_t data_durable_end(const struct data *d);
/* Cut what lies past size from every map.  Mutex held. */
int data_truncate_locked(struct node *n, uint64_t size);
/* All of the copy of the object, or this range, is none any more.  Mutex
 * held. */
void data_drop_clean_locked(struct node *n);
void data_unclean_locked(struct node *n, uint64_t off, uint64_t len);
/* What was written and not committed is gone.  Mutex held. */
void data_drop_dirty_locked(struct node *n);
void data_remove_locked(struct node *n);	/* and the file */
/* The name of the file only: of a node that leaves the tables. */
void data_unlink(struct node *n);
/* The file is no longer this node's; who reads it may finish. */
void data_forget_file_locked(struct node *n);
/* Close or shrink what is not needed.  Mutex held. */
void data_idle_locked(struct node *n);
/* All of [at, at + len) of a data file.  0 or -EIO, also where it is shorter.
 * Blocks on the disk; no mutex is held. */
int data_read_file(int fd, char *buf, uint64_t len, uint64_t at)
	__attribute__((warn_unused_result));
/* After a crash: bytes that only SQLite has. */
int data_replay(struct gate *g);
/* ... and data files without rows go: caches, and what nobody was promised. */
int data_clean_dir(struct gate *g);
/* What lies at off, as seen with or without uncommitted bytes; goes no
 * further than `end`.  Mutex held. */
void data_piece_locked(struct node *n, uint64_t off, uint64_t end, bool live,
		       struct piece *out);
/* Of a kept version's file, as seen from STATE_DIR/data. */
void quarantine_file_name(uint64_t id, char out[64]);

/* ---- places.c ---- */
/* Its share of what the gate has staged and clean has changed.  Mutex held. */
void data_account_locked(struct node *n);
/* Places that a map gives up are free when nobody is at them any more: all of
 * a map that is none from here on; frees it.  Mutex held, as for what
 * follows. */
void place_release_all_locked(struct node *n, struct extents *old);
/* Of a map, what it has where `over` lies. */
void place_release_below_locked(struct node *n, const struct extents *old,
				const struct extents *over);
/* extents_cut, extents_set, extents_free, with that. */
int place_cut_locked(struct node *n, struct extents *m, uint64_t off,
		     uint64_t len);
int place_set_locked(struct node *n, struct extents *m, uint64_t off,
		     uint64_t len, uint64_t at);
void place_drop_locked(struct node *n, struct extents *m);
/* From here to the end places that are in a map now keep their bytes. */
unsigned place_read_locked(struct node *n);
void place_unread_locked(struct node *n, unsigned generation);
void place_snapshot_locked(struct node *n, struct snapshot *s);
void place_snapshot_end_locked(struct node *n, struct snapshot *s);

/* ---- there.c ---- */
/* Has the state directory been taken away?  Looks, and says so. */
void there_look(struct gate *g);
bool there_is(const struct gate *g);	/* as of the last look */

/* ---- quota.c ---- */
/* May a file grow from one size to the other?  -EDQUOT. */
int quota_allows(struct gate_export *x, uint64_t from, uint64_t to)
	__attribute__((warn_unused_result));
/* Sets writer_size, and counts the difference.  Mutex held. */
void quota_size_locked(struct node *n, uint64_t size);

/* ---- shown_map.c ---- */

/* The ctime that others are to see with what they get next: it has to move
 * with the bytes, or clients keep what they have in their caches.  Mutex held,
 * as for all that follows. */
int64_t shown_next_ctime_locked(const struct node *n);
void shown_drop_locked(struct node *n);
/* The file has this size now, for everybody. */
void shown_resize_locked(struct node *n, uint64_t size);

#endif
