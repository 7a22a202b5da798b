/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_PATH_PATH_H
#define NFSD_GATE_PATH_PATH_H

/*
 * From a node to the key that its path spells, and to the one where its object
 * may lie.
 */

#include "nfsd/gate/state/state.h"

#define COMPONENT_MAX META_KEY_MAX

/* Between a component of a key (what is between two slashes) and a file name:
 * component.c tells the forms. */
enum component_form {
	COMPONENT_PLAIN,	/* it is the name, or made from it */
	COMPONENT_MANGLED,	/* it could be no name */
	COMPONENT_SHADOWED,	/* a file, with a directory of its name */
	COMPONENT_LONG,		/* as MANGLED; more than the name holds */
	COMPONENT_SHADOWED_LONG,
	COMPONENT_NONE		/* no component has this name */
};

/* ---- path.c ---- */
/* The key that the node's name spells now; directories end in '/'; a root
 * is the prefix.  -ENAMETOOLONG past S3_KEY_MAX; for a child, -EINVAL for a
 * name that cannot be made (component.c). */
int path_key(struct node *n, char key[META_KEY_MAX + 2])
	__attribute__((warn_unused_result));
int path_child_key(struct node *dir, const char *name, bool is_dir,
		   char key[META_KEY_MAX + 2])
	__attribute__((warn_unused_result));
/* The same with a component of the key for a name. */
int path_component_key(struct node *dir, const char *component, bool is_dir,
		       char key[META_KEY_MAX + 2])
	__attribute__((warn_unused_result));
/* "/BUCKET/a/b", for people. */
void path_text(struct node *n, char *out, size_t size);
/* Has it the form of a file name? */
bool path_name_ok(const char *name, size_t len);
/* The last component of a key, without the slash of a directory. */
int path_last_component(const char *key, char component[COMPONENT_MAX + 1]);

/* ---- source.c ---- */
/* Is the node below a directory whose objects have not all followed? */
bool dirmove_covers(struct node *n);
/* ... or whose old keys are not all known yet? */
bool dirmove_lists(struct node *n);
/*
 * Where names of this directory may lie that nobody has met yet: each() gets
 * prefixes, longest source first.  A nonzero result ends the walk and is
 * returned.  all: also of moves that are listed.
 */
int dirmove_sources(struct node *dir, bool all,
		    int (*each)(void *arg, const char *prefix), void *arg)
	__attribute__((warn_unused_result));
/* The key that a node's dest_etag speaks of: the one its name spells, or,
 * while the directory's keys are not known, spelled before. */
int dirmove_old_key(struct node *n, char key[META_KEY_MAX + 2])
	__attribute__((warn_unused_result));
/* Wait until the listing that the node waits for has got further.  1: it
 * has; 0: there is none; -EAGAIN: time is up, or it fails (rq->again). */
int dirmove_wait(struct node *n, struct gate_request *rq)
	__attribute__((warn_unused_result));
/* The path of an inode changed below it: its object is to be relocated.  Row
 * only; the file lock is held. */
void dirmove_mark(struct meta_inode *row, const char *key);

/* ---- component.c: pure functions ---- */

/*
 * The component that a name stands for; not written for the LONG forms and
 * NONE.  any_bytes: the bucket takes keys that are not UTF-8.
 */
enum component_form component_from_name(bool any_bytes, const char *name,
					char component[COMPONENT_MAX + 1]);
/* The name of a component of at most COMPONENT_MAX bytes.  shadowed: of a
 * file that has a directory of the same name beside it. */
void component_to_name(bool any_bytes, const char *component, bool shadowed,
		       char name[META_NAME_MAX + 1]);
/* The bytes that the component of a LONG name begins with. */
void component_head(const char *name, char head[META_NAME_MAX + 1]);

#endif
