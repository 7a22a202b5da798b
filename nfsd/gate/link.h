/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_LINK_H
#define NFSD_GATE_LINK_H

/*
 * Hard links.  A file with several names has one node that is the file, and
 * for each further name a node that is an alias of it: it has the name, an
 * object of its own and an upload, and nothing else.  Clients never see an
 * alias: names lead to the file.  link.c has the whole story.
 */

#include "nfsd/gate/change.h"
#include "nfsd/gate/lost.h"
#include "nfsd/gate/names.h"
#include "nfsd/gate/upload.h"

/* ---- what objects say of it: link_copy.c ---- */

struct link_mark {
	char id[META_LINK_MAX];
	uint32_t count;		/* of names */
	uint64_t version;
};
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

/* ---- aliases ---- */

bool link_is_alias(struct node *n);	/* takes the mutex */
/* From an alias to its file; other nodes stay what they are.  -ENOENT: there
 * is none any more; -EAGAIN. */
int link_resolve(struct node **n, struct gate_request *rq)
	__attribute__((warn_unused_result));

/* An alias was met whose object is of another version than its file's: after
 * a crash of a gateway that left nothing but the bucket.  The older one
 * follows.  No lock of either is held; blocks. */
int link_reconcile(struct node *alias) __attribute__((warn_unused_result));

/* A node by its name, and what it shares a file with: file is the node or
 * what it is an alias of; alias is the node if it is one, else some alias of
 * the file, or NULL. */
struct link_pair {
	struct node *file, *alias;
};
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

/*
 * The file gives up its name and takes that of an alias, which is then free
 * to go or to take another.  Both locks are held, both are quiet.
 */
struct link_turn {
	struct node *file, *alias;
	bool in_sync;		/* the alias's object becomes the base */
	bool leaves;		/* its own, under a name that it leaves */
	char old_key[META_KEY_MAX + 2], new_key[META_KEY_MAX + 2];
	struct meta_inode row;		/* the file's */
	struct meta_name entry;
	struct lost_heirloom heirloom;	/* that the alias leaves */
	/* in_sync: the deletion of what the file had, or NULL */
	const struct meta_delete *del;
};
/* keep: an object at the file's old key is somebody else's to replace.
 * less: a name goes.  The alias's rows are the caller's affair. */
int link_turn_rows(struct link_turn *t, struct node *file,
		   struct node *alias, struct change *c, bool keep,
		   bool less) __attribute__((warn_unused_result));
/* After the commit, when the alias has left its name. */
void link_turn_apply(struct link_turn *t);
void link_turn_free(struct link_turn *t);
#define CLEANUP_TURN __attribute__((cleanup(link_turn_free)))

/* REMOVE of the name that the file itself has; remove.c's part is done.
 * Locks as for link_turn_rows, and the directory's. */
int link_remove_first(struct change_dir *d, struct gate_request *rq,
		      const char *name, const struct link_pair *p,
		      uint64_t *delete_id)
	__attribute__((warn_unused_result));
/* RENAME of that name to .nfsXXXX: the file stays for the bucket. */
int link_set_aside(struct change_dir *from, struct change_dir *to,
		   struct gate_request *rq, const char *from_name,
		   const char *to_name, const struct link_pair *p)
	__attribute__((warn_unused_result));
/* An alias with a name for the bucket is to be uploaded: if its file has none
 * but .nfsXXXX, it takes that name.  No locks are held; blocks. */
void link_come_back(struct node *alias);
/* The file's object was removed or replaced by other hands, while it has an
 * alias with a good one: it lives there.  The file's lock is held.  1: it
 * does; 0: there is none. */
int link_move_over(struct node *file) __attribute__((warn_unused_result));
/* The alias's name is no longer the file's.  No locks are held. */
int link_detach(struct node *alias) __attribute__((warn_unused_result));

/* ---- uploads of aliases: link_copy.c ---- */

/* What to copy.  The alias's lock is held.  -ECANCELED: nothing for now. */
int link_snapshot(struct node *alias, struct snapshot *s)
	__attribute__((warn_unused_result));
/* The file has a new object: its aliases follow. */
struct link_followers {
	struct gate *gate;
	struct node **list;
	size_t count, room;
};
void link_followers_get(struct node *file, struct link_followers *out);
/* This one alone. */
void link_follow(struct node *alias);
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

#endif
