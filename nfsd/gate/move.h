/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_MOVE_H
#define NFSD_GATE_MOVE_H

#include <string.h>

#include "nfsd/gate/change.h"

static inline bool
text_begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/*
 * Directories that were renamed, until their objects have followed; move.c
 * tells how.  A move lists (all keys below its source get inodes), then it is
 * listed, and the objects are carried.
 */
struct move {
	LIST_ENTRY(move) link;
	struct gate_export *x;
	struct meta_move row;
	/* moves.mutex guards what follows, and row.listed */
	uint64_t pages;		/* merged: somebody may wait for more */
	uint64_t failed;	/* objects of the last pass, */
	uint64_t failures;	/* of all passes */
	bool too_long;		/* told: a path that no key can be */
	bool lagging;		/* all is carried, and still listed there */
	/* carry.c's alone */
	uint64_t look_ms, look_wait_ms;	/* when it looks again */
	uint64_t lagging_ms;	/* since */
	char error[256];	/* the last one */
};

/* ---- move.c ---- */

/* Is any directory on its way?  Cheap. */
bool moves_any(struct gate *g);
/* ... that has objects which have not followed? */
bool moves_owed(struct gate *g);
/* Is the key below a source that is being listed?  Then whatever lies there
 * belongs to the directory that left. */
bool move_claims(struct gate_export *x, const char *key);
/* The same, but for the move itself and sources shorter than its own. */
bool move_claims_other(struct move *m, const char *key);
/* Does the prefix hold, or lie in, the source of any move? */
bool move_touches(struct gate_export *x, const char *prefix);
/*
 * Sources of more than a page, all keys of which are known, so that nothing
 * but these is expected below them until they have left.  Does the key lie
 * below one?  past: a place behind all of that one's keys.
 */
bool move_skip(struct gate_export *x, const char *key,
	       char past[META_KEY_MAX + 8]);
/* Is the node below a directory whose objects have not all followed? */
bool move_covers(struct node *n);
/* ... or whose old keys are not all known yet? */
bool move_lists(struct node *n);
/*
 * Where names of this directory may lie that nobody has met yet: each() gets
 * prefixes, longest source first.  A nonzero result ends the walk and is
 * returned.  all: also of moves that are listed.
 */
int move_sources(struct node *dir, bool all,
		 int (*each)(void *arg, const char *prefix), void *arg)
	__attribute__((warn_unused_result));
/* The key that a node's dest_etag speaks of: the one its name spells, or,
 * while the directory's keys are not known, spelled before. */
int move_old_key(struct node *n, char key[META_KEY_MAX + 2])
	__attribute__((warn_unused_result));
/* Wait until the listing that the node waits for has got further.  1: it
 * has; 0: there is none; -EAGAIN: time is up, or it fails (rq->again). */
int move_wait(struct node *n, struct gate_request *rq)
	__attribute__((warn_unused_result));

/* A row for the change, and what memory has to know before that is committed;
 * after that, go on.  NULL: no memory, no number. */
struct move *move_prepare(struct node *dir, const char *source,
			  struct change *c);
void move_begin(struct move *m);
void move_undo(struct move *m);

/* The path of an inode changed below it: its object is to be carried.  Row
 * only; the file lock is held. */
void move_mark(struct meta_inode *row, const char *key);

/* After a restart: what is on record; and to work, once all is hidden that a
 * listing must not find. */
int moves_load(struct gate *g) __attribute__((warn_unused_result));
int moves_start(struct gate *g) __attribute__((warn_unused_result));
void moves_wake(struct gate *g);	/* there is something to be carried */
void moves_stop(struct gate *g);	/* threads end soon */
void moves_free(struct gate *g);

/* ---- move_list.c ---- */

/* Where a listing goes on.  The store's own token, while there is one: only
 * where names come in the order of their bytes is the last one as good. */
struct move_cursor {
	char after[META_KEY_MAX + 2];
	char *token;
	bool lags;		/* keys were listed that are not there */
};
void move_cursor_fini(struct move_cursor *at);
/* List one page and give inodes to what is there.  later: only what is older
 * than the move (LIST had left it out).  1: more to come; 0: that was all.
 * After an error the cursor is good for another try. */
int move_list_page(struct move *m, bool later, struct move_cursor *at,
		   uint64_t *found) __attribute__((warn_unused_result));

/* Does the key as a path lead to a file?  By what is known here.  0, 1 */
int move_key_known(struct gate_export *x, const char *key)
	__attribute__((warn_unused_result));

/* ---- carry.c ---- */

void *carry_main(void *export);	/* the thread, one each */
/* An upload that carry.c started has ended, well or not. */
void carry_ended(struct node *n, int r, const char *error);
/* Is the second the copy that was to be made of the first? */
bool carry_is_copy(const struct s3_object *from, const struct s3_object *to);
/* The object that is carried has changed or gone, or its new key is taken:
 * -ECANCELED: it is settled, look again; 0: what lies there is ours. */
struct sending;
int carry_conflict(struct sending *s, int r)
	__attribute__((warn_unused_result));

#endif
