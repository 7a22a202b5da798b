/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_DATA_INSIDE_H
#define NFSD_GATE_DATA_INSIDE_H

/*
 * Bytes on the gateway's disk: data files, places in them, who may see them.
 * For its own files alone.
 */

#include "nfsd/gate/data/data.h"

/* ---- datafile.c ---- */

/* make: a new one if there is none, else -ENOENT.  -EAGAIN: no descriptor is
 * left, though all that can be closed at once is; -ENOSPC, -EIO. */
int file_new(struct files *all, uint64_t ino, bool make,
	     struct data_file **out) __attribute__((warn_unused_result));
/* The node has it no more; who uses it may finish. */
void file_forget(struct data_file **file);
/* For users. */
int file_write(struct data_file *file, const void *buf, uint64_t len,
	       uint64_t at) __attribute__((warn_unused_result));
/* To stable storage, with its name, which has to be there still.  An error is
 * kept, too: it has failed. */
int file_flush(struct data_file *file);
/* It had, and what may be lost is not believed in any more. */
void file_forgive(struct data_file *file);
/* The node's file, open.  Mutex held; file_done gives it back. */
int data_use_locked(struct node *n, struct data_file **out);

/* ---- places.c ---- */
/* This range of the file lies there no more, by one of the maps.  If it is so
 * by none, the place is free, at the latest when nobody is at it. */
void place_release_locked(struct node *n, uint64_t off, uint64_t at,
			  uint64_t len);
/* Is a place below OVERFLOW_START given up, and not free yet? */
bool place_is_held(const struct node *n, uint64_t off, uint64_t len);
/* One above it.  -ENOSPC, -ENOMEM. */
int place_overflow_locked(struct node *n, uint64_t off, uint64_t len,
			  uint64_t *at) __attribute__((warn_unused_result));
/* The file is met for the first time, or is no more. */
int place_load_locked(struct node *n) __attribute__((warn_unused_result));
void place_forget_locked(struct node *n);
/* Punch what is in no map, if that may be (a crash, no memory). */
void place_tidy_locked(struct node *n);

/* ---- shown_map.c ---- */
/* Do bytes lie in [off, off + len) of the file, at their own offset, that are
 * shown? */
bool shown_in_place(const struct node *n, uint64_t off, uint64_t len);

#endif
