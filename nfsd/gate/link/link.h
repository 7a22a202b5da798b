/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_LINK_LINK_H
#define NFSD_GATE_LINK_LINK_H

/*
 * Files with more than one name, silly renames, and snapshots of what a file
 * is.
 *
 * Hard links.  A file with several names has one node that is the file, and
 * for each further name a node that is an alias of it: it has the name, an
 * object of its own and an upload, and nothing else.  Clients never see an
 * alias: names lead to the file.  link.c has the whole story.
 */

#include "nfsd/gate/node/node.h"
#include "nfsd/gate/state/state.h"

struct change;
struct change_dir;

/* A node by its name, and what it shares a file with: file is the node or
 * what it is an alias of; alias is the node if it is one, else some alias of
 * the file, or NULL. */
struct link_pair {
	struct node *file, *alias;
};

/*
 * The file gives up its name and takes that of an alias, which is then free
 * to go or to take another.  Both locks are held, both are quiet.
 */
struct link_turn {
	struct node *file, *alias;
	bool in_sync;		/* the alias's object becomes the base */
	bool old_hidden;	/* old_key, for other reasons */
	bool leaves;		/* its own, under a name that it leaves */
	char old_key[META_KEY_MAX + 2], new_key[META_KEY_MAX + 2];
	struct meta_inode row;		/* the file's */
	struct meta_name entry;
	struct indoubt_heirloom heirloom;	/* that the alias leaves */
	/* in_sync: the deletion of what the file had, or NULL */
	const struct meta_delete *del;
};

#define CLEANUP_TURN __attribute__((cleanup(link_turn_free)))

/* The file has a new object: its aliases follow. */
struct link_followers {
	struct gate *gate;
	struct node **list;
	size_t count, room;
};

/* A LINK under way: its rows. */
struct linking {
	struct meta_inode file, alias;
	struct meta_name entry;
	struct meta_upload upload;
};

/* ---- link.c ---- */
bool link_is_alias(struct node *n);	/* takes the mutex */
int link_pair_get(struct node *n, struct link_pair *out)
	__attribute__((warn_unused_result));
void link_pair_put(struct link_pair *p);
/* With locks held: is it still so?  0 or -EAGAIN. */
int link_pair_check(struct node *n, const struct link_pair *p)
	__attribute__((warn_unused_result));
/* No upload of it is under way, or the request waits. */
int link_quiet(struct node *n, struct gate_request *rq)
	__attribute__((warn_unused_result));
/* An alias goes: the row of its file with one name less, and memory after
 * the commit.  The file's lock is held. */
int link_less_rows(struct node *file, struct change *c,
		   struct meta_inode *row) __attribute__((warn_unused_result));
void link_less_apply(struct node *file, struct meta_inode *row);
/* keep: an object at the file's old key is somebody else's to replace.
 * less: a name goes.  The alias's rows are the caller's affair. */
int link_turn_rows(struct link_turn *t, struct node *file,
		   struct node *alias, struct change *c, bool keep,
		   bool less) __attribute__((warn_unused_result));
/* After the commit, when the alias has left its name. */
void link_turn_apply(struct link_turn *t);
void link_turn_free(struct link_turn *t);
/* The file's object was removed or replaced by other hands, while it has an
 * alias with a good one: it lives there.  The file's lock is held.  1: it
 * does; 0: there is none. */
int link_move_over(struct node *file) __attribute__((warn_unused_result));
/* The alias's name is no longer the file's.  No locks are held. */
int link_detach(struct node *alias) __attribute__((warn_unused_result));
void link_touch(struct meta_inode *row);	/* its ctime */
/* Of a LINK, into the change. */
void linking_rows(struct change_dir *d, struct gate_request *rq, struct node *n,
		  const struct linking *l, struct change *c);

/* ---- resolve.c ---- */
/* From an alias to its file; other nodes stay what they are.  -ENOENT: there
 * is none any more; -EAGAIN. */
int link_resolve(struct node **n, struct gate_request *rq)
	__attribute__((warn_unused_result));

/* ---- sillyrename.c ---- */
/* An alias with a name for the bucket is to be uploaded: if its file has none
 * but .nfsXXXX, it takes that name.  No locks are held; blocks. */
void link_come_back(struct node *alias);
/* An alias that is for no bucket: its row, and its memory after the commit. */
void sillyrename_row(struct meta_inode *row);
void sillyrename_memory(struct node *a);

/* ---- copy.c ---- */
/* All names of the file but its own. */
void link_followers_get(struct node *file, struct link_followers *out);
/* In one breath with the file's row, so that whoever waits for all uploads
 * does not look in between: the file's mutex is held, and aliases' are taken
 * below it. */
void link_follow_locked(struct link_followers *f);
/* One alias has to follow.  Its mutex is held. */
void link_again_locked(struct node *alias);
/* They start now. */
void link_followers_put(struct link_followers *f);
/* After a crash: those that had not followed. */
int link_recover(struct gate *g) __attribute__((warn_unused_result));
/* Is what lies at the alias's key the copy that was to be made?  0, 1, or a
 * negative errno. */
int link_is_ours(struct sending *s) __attribute__((warn_unused_result));
/* It is not: an older copy of ours, or somebody else's object.  The error to
 * go on with. */
int link_conflict(struct sending *s) __attribute__((warn_unused_result));
/* Does the object say that it is this version of a file with several names?
 * True for one that has but one. */
bool link_is_version(const struct sending *s, const struct s3_object *o);
/* The file has taken the name of one of its aliases, where a copy lies of
 * which nobody knew: it is what the next try replaces.  0, 1, or a
 * negative errno. */
int link_replaces(struct sending *s) __attribute__((warn_unused_result));
/* The object under a name that the alias has left goes without a copy: the
 * file has the bytes. */
int link_drop_base(struct node *alias) __attribute__((warn_unused_result));

/* ---- snapshot.c ---- */

/* The file lock is held.  -ESTALE if the file is gone. */
int snapshot_take(struct node *n, struct snapshot *s)
	__attribute__((warn_unused_result));
void snapshot_free(struct snapshot *s);
/* Does [off, off + len) need bytes of the base that are not here? */
bool snapshot_needs_base(const struct snapshot *s, uint64_t off,
			 uint64_t len);
/* Read; what lies in S3 is fetched, pinned to the base's ETag.  Blocks.
 * -ESTALE: the base was replaced. */
int snapshot_read(const struct snapshot *s, uint64_t off, void *buf,
		  uint64_t len) __attribute__((warn_unused_result));

#endif
