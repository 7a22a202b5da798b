/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_OPS_INSIDE_H
#define NFSD_GATE_OPS_INSIDE_H

/*
 * The procedures of NFS, one file for each family.
 * For its own files alone.
 */

#include "nfsd/gate/change/change.h"
#include "nfsd/gate/link/link.h"
#include "nfsd/gate/ops/ops.h"

struct change_dir;
struct link_pair;

/* A RENAME under way. */
struct rename {
	struct change_dir from, to;
	const char *from_name, *to_name;
	struct node *file, *victim;
	/* The same and what they share a file with. */
	struct link_pair files, victims;
	bool one_dir;
	bool files_locked, victims_locked;
	/* How the victim, which has other names, lives on. */
	struct link_turn turn;
	struct meta_inode less;
};

/* The bytes of one READ: those that are asked for; then how many are in buf. */
struct reading {
	uint64_t off;
	void *buf;
	uint32_t len, got;
	bool eof;
	struct gate_attr *attr;	/* of the same moment, or NULL */
};

/* ---- read.c ---- */

/* One try.  rq->again as gate_read. */
int read_node(struct node *n, struct gate_request *rq, struct reading *to)
	__attribute__((warn_unused_result));

/* ---- link.c ---- */

/* REMOVE of the name that the file itself has; remove.c's part is done.
 * Locks as for link_turn_rows, and the directory's. */
int link_remove_first(struct change_dir *d, struct gate_request *rq,
		      const char *name, const struct link_pair *p,
		      uint64_t *delete_id)
	__attribute__((warn_unused_result));

/* ---- sillyrename.c ---- */
/* RENAME of that name to .nfsXXXX: the file stays for the bucket. */
int link_sillyrename(struct change_dir *from, struct change_dir *to,
		     struct gate_request *rq, const char *from_name,
		     const char *to_name, const struct link_pair *p)
	__attribute__((warn_unused_result));

/* ---- change_dir.c ---- */

/* Find the directory and see that it may be changed; does not lock. */
int change_dir_begin(struct gate_export *x, struct gate_request *rq,
		     const struct gate_fh *fh, const char *name,
		     struct gate_wcc *wcc, struct change_dir *out)
	__attribute__((warn_unused_result));
/* The lock is held: copy the row with new times. */
int change_dir_copy(struct change_dir *d) __attribute__((warn_unused_result));
/* Take the lock and copy the row with new times. */
int change_dir_lock(struct change_dir *d, struct gate_request *rq)
	__attribute__((warn_unused_result));
/* The transaction is done. */
void change_dir_apply(struct change_dir *d);
void change_dir_end(struct change_dir *d, const struct gate_request *rq,
		    struct gate_wcc *wcc);

/* ---- remove.c ---- */

/* For RENAME over a file: may it go? */
int remove_check(struct node *n, struct gate_request *rq, const char *who)
	__attribute__((warn_unused_result));
/* Has the directory no names, here and in the bucket?  0, -ENOTEMPTY.
 * locked: its lock is held; only what is known here is looked at. */
int remove_dir_is_empty(struct node *n, struct gate_request *rq, bool locked)
	__attribute__((warn_unused_result));
/* A name has left the directory: an empty one needs an object. */
void remove_keep_directory(struct node *dir);

/* ---- rename_recheck.c ---- */

/* Do the names still mean what they meant before the locks? */
int rename_recheck(struct rename *m, struct gate_request *rq)
	__attribute__((warn_unused_result));

/* ---- fits.c ---- */

/* -ENAMETOOLONG if a key below the directory would be too long under its new
 * name, as far as that can be known now.  -EAGAIN with rq->again set.  No lock
 * is held. */
int rename_fits(struct rename *m, struct gate_request *rq)
	__attribute__((warn_unused_result));

/* ---- rename_dir.c ---- */

/* The file is a directory, and the victim one or NULL. */
int rename_dir(struct rename *m, struct gate_request *rq, const char *who)
	__attribute__((warn_unused_result));

#endif
