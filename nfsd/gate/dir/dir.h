/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_DIR_DIR_H
#define NFSD_GATE_DIR_DIR_H

/*
 * Directories and their names as the bucket has them: LOOKUP, listings, and
 * what they lack.
 */

#include "nfsd/gate/state/state.h"

/* Some archived objects below a directory: at so many is looked. */
#define COLD_LOOKS 16

struct cold_list {
	char *keys[COLD_LOOKS];
	size_t count;
};

#define CLEANUP_COLD __attribute__((cleanup(cold_list_free)))

/* ---- cold.c ---- */

/*
 * What needs bytes of an object that cannot be read.  0, -EACCES: not before it
 * is restored, or never; -EAGAIN with rq->again set.  Asked after rights were,
 * and before anything is changed, with no lock held.
 */

/* [off, off + len) gets other bytes, and all other stay. */
int cold_may_write(struct node *n, struct gate_request *rq, uint64_t off,
		   uint64_t len) __attribute__((warn_unused_result));
int cold_may_resize(struct node *n, struct gate_request *rq, uint64_t size)
	__attribute__((warn_unused_result));
/* Other attributes, or a copy at new_key.  NULL: where it is. */
int cold_may_copy(struct node *n, struct gate_request *rq,
		  const char *new_key) __attribute__((warn_unused_result));
void cold_list_free(struct cold_list *l);
/* One more that is archived; more than COLD_LOOKS are left out. */
void cold_note(struct cold_list *l, const char *key, size_t len);
/* Has the export met any?  0, 1 */
int cold_any(struct gate_export *x) __attribute__((warn_unused_result));
/* Those below the prefix that are known here. */
int cold_known_below(struct gate_export *x, const char *prefix,
		     struct cold_list *l) __attribute__((warn_unused_result));
/* Can one of them not be copied?  -EACCES */
int cold_any_locked(struct gate_export *x, const struct cold_list *l)
	__attribute__((warn_unused_result));

/* ---- denied.c ---- */

/* May the object of a file or directory not be deleted, as is known by now?
 * -EACCES; -EAGAIN with rq->again set.  No lock is held. */
int denied_now(struct node *n, struct gate_request *rq)
	__attribute__((warn_unused_result));

/* ---- mangle.c ---- */
/* Remember that a long component is only in the row.  -ENOMEM. */
int mangled_note(struct gate_export *x, const char *key, struct meta_inode *i)
	__attribute__((warn_unused_result));
/* A file that is listed: under which name?  One that had to step aside for
 * a directory gets its name back when that is gone.  The directory is
 * locked. */
int mangled_file(struct node *dir, const char *component,
		 char name[META_NAME_MAX + 1])
	__attribute__((warn_unused_result));
/* A directory that is listed: a file of its name steps aside.  Locked. */
int mangled_dir(struct node *dir, const char *component, const char *name)
	__attribute__((warn_unused_result));
int mangled_load(struct gate *g) __attribute__((warn_unused_result));

/* ---- adopt.c ---- */
/* The attributes of a node whose object was only listed. */
int object_learn(struct node *n);
/* The inode goes, whatever it was.  Its lock is held. */
int lookup_detach(struct node *n) __attribute__((warn_unused_result));

/* ---- offline.c ---- */
/* Did a question end so for the store's trouble, and may what is known stand
 * in for its answer? */
bool offline_failed(const struct gate_export *x, const struct gate_request *rq,
		    int r);
/* Are all names of the directory known?  Takes its mutex. */
bool offline_listed(struct node *dir);

/* ---- lookup.c ---- */
/* The child of a locked or unlocked directory; asks S3 if need be.  A
 * further name of a file (link/link.h) leads to the file; */
int lookup_child(struct node *dir, struct gate_request *rq, const char *name,
		 struct node **out) __attribute__((warn_unused_result));
/* ... here to the node that has the name itself, for who changes names. */
int lookup_entry(struct node *dir, struct gate_request *rq, const char *name,
		 struct node **out) __attribute__((warn_unused_result));
/* Memory, then SQLite, not S3. -ENOENT: neither; -EAGAIN: may not block. */
int lookup_known(struct node *dir, struct gate_request *rq, const char *name,
		 struct node **out) __attribute__((warn_unused_result));

/* ---- refresh.c ---- */
/* Make sure the node agrees with S3 as of attr_ttl ago. */
int lookup_refresh(struct node *n, struct gate_request *rq)
	__attribute__((warn_unused_result));
/* Attributes that a listing does not tell, with one HEAD.  They may stay
 * unknown. */
int lookup_learn(struct node *n);

/* ---- scan.c ---- */
/* One more page of a directory's listing, unless it is fresh.  1: there is
 * more, 0: the listing is complete and fresh. */
int scan_step(struct node *dir) __attribute__((warn_unused_result));
/* A reader of the directory begins: a listing that nobody has gone on with
 * for a while is not the one to join. */
void scan_begin(struct node *dir);
/* Has the listing under way (or a fresh one) passed this name? */
bool scan_passed(struct node *dir, const struct meta_name *name);
/* Has the listing under way shown that this file of it is gone, so that it
 * only waits for the last page? */
bool scan_lacks(struct node *dir, uint64_t ino);

/* ---- page.c ---- */
/* Does S3 have anything below the prefix, hidden keys aside, but for an object
 * of no bytes at the prefix itself?  0 no, 1 */
int scan_prefix_below(struct gate_export *x, const char *prefix)
	__attribute__((warn_unused_result));
/* The store told a name behind one that it should follow.  From then on no
 * listing of the export is trusted to come in the order of bytes. */
void page_disorder(struct gate_export *x);
/* Does a listing that has this key with this time still tell of what we
 * deleted lately?  1: so it does.  looks: how often S3 was asked; from a few
 * dozen on it is not, and a key in doubt taken for gone.  NULL: always. */
int page_lags(struct gate_export *x, const char *key, int64_t mtime_ns,
	      unsigned *looks) __attribute__((warn_unused_result));
bool page_unordered(struct gate_export *x);

/* ---- nlink.c ---- */
/* A node was found to be gone, by others' doing: if it was a directory,
 * its parent's next listing is due. */
void nlink_gone(struct node *n);

/* ---- known.c ---- */
/* The thread that forgets names, and the sets of who was used. */
int known_init(struct gate *g) __attribute__((warn_unused_result));
int known_start(struct gate *g) __attribute__((warn_unused_result));
void known_stop(struct gate *g);
void known_fini(struct gate *g);

/* Somebody reads this directory. */
void known_read(struct gate *g, uint64_t ino);

#endif
