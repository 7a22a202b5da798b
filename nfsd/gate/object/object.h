/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_OBJECT_OBJECT_H
#define NFSD_GATE_OBJECT_OBJECT_H

/*
 * S3 objects as inodes: attributes of a file as the metadata of its object
 * (attr.c tells which keys there are), headers, what an answer means.
 */

#include "nfsd/gate/state/state.h"

/* An answer of the bucket has told whether an object is archived. */
static inline void
cold_met(struct gate_export *x, enum s3_cold cold)
{
	if (cold == S3_COLD_YES)
		__atomic_store_n(&x->cold_met, true, __ATOMIC_RELAXED);
}

/* That an object is one name of several, in its metadata: link/copy.c. */
struct link_mark {
	char id[META_LINK_MAX];
	uint32_t count;		/* of names */
	uint64_t version;
};

struct objattr {
	enum gate_kind kind;
	uint32_t mode;		/* 07777 */
	uint32_t uid, gid;
	uint32_t rdev_major, rdev_minor;
	int64_t atime_ns, mtime_ns, ctime_ns;
	int64_t btime_ns;	/* format: 0 leaves what the object carries */
	bool explicit_mtime;	/* from metadata, not Last-Modified */
	bool explicit_mode;
};

struct objattr_defaults {	/* of the export */
	uint32_t file_mode, dir_mode, uid, gid;
	enum gate_dialect dialect;
};

/* ---- object.c ---- */
/* Fill the parts of a row that an object tells. */
void object_to_inode(struct gate_export *x, const char *key,
		     const struct s3_object *o, struct meta_inode *i);
/* A directory that has no object of its own. */
void object_implicit_dir(struct gate_export *x, const char *key,
			 struct meta_inode *i);
/* Read the symlink's target into the row. */
int object_read_target(struct gate_export *x, struct meta_inode *i);
/* As object_to_inode, of one that a page of a listing told. */
void object_from_listing(struct gate_export *x, const char *key,
			 const struct s3_entry *e, struct meta_inode *i);
/* Headers the next version shall carry; in: what it carries now. */
int object_headers(struct gate_export *x, const struct meta_inode *i,
		   struct s3_headers *headers)
	__attribute__((warn_unused_result));

/* ---- store.c ---- */
/* Is the store away, and are clients answered without it?  Takes no lock. */
bool offline_now(const struct gate_export *x);
/* Will it be another answer, some time? */
bool upload_is_transient(int r);

/* ---- link_mark.c ---- */
/* Does the object at this key say that it is a link? */
bool link_mark_read(const struct gate_export *x, const char *key,
		    const struct s3_headers *headers, struct link_mark *out);
/* Headers of a version of the file for this key; without a mark if it has
 * but one name. */
int link_mark_write(const struct gate_export *x, const char *key,
		    const struct meta_inode *file, uint64_t version,
		    struct s3_headers *headers)
	__attribute__((warn_unused_result));
/* Put what an object says into a row that is new: the first of its id is
 * the file, the others become aliases.  The caller holds gate->links, and
 * commits the row before it lets go of it. */
int link_mark_apply(struct gate *g, const struct link_mark *mark,
		    struct meta_inode *row)
	__attribute__((warn_unused_result));

/* ---- attr.c ---- */

/*
 * What the object's metadata says.  The key decides about a directory ('/'
 * at its end).  A value that is malformed or out of range counts as absent.
 * What is absent comes from the defaults; mtime and ctime from
 * Last-Modified, atime and btime from mtime.
 */
void gate_objattr_parse(const struct objattr_defaults *d, const char *key,
			const struct s3_object *object, struct objattr *out);
/*
 * headers: in, what the object carries now (may be empty); out, what the
 * next version shall carry.  s3_mtime_hint_ns: the Last-Modified that the
 * next version will have, if the caller knows (0: no); times equal to it are
 * left out.  0 or -ENOMEM.
 */
int gate_objattr_format(const struct objattr_defaults *d,
			const struct objattr *attr, int64_t s3_mtime_hint_ns,
			struct s3_headers *headers)
	__attribute__((warn_unused_result));

#endif
