/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_DIRMOVE_DIRMOVE_H
#define NFSD_GATE_DIRMOVE_DIRMOVE_H

/* Renamed directories: their objects follow. */

#include "nfsd/gate/state/state.h"

struct change;
struct dirmove;

/* Where a listing goes on.  The store's own token, while there is one: only
 * where names come in the order of their bytes is the last one as good. */
struct dirmove_cursor {
	char after[META_KEY_MAX + 2];
	char *token;
	bool lags;		/* keys were listed that are not there */
};

/* ---- dirmove.c ---- */
/* Is any directory on its way that has objects which have not followed? */
bool dirmoves_owed(struct gate *g);
/* A row for the change, and what memory has to know before that is committed;
 * after that, go on.  NULL: no memory, no number. */
struct dirmove *dirmove_prepare(struct node *dir, const char *source,
				struct change *c);
void dirmove_begin(struct dirmove *m);
/* After a restart: what is on record; and to work, once all is hidden that a
 * listing must not find. */
int dirmoves_load(struct gate *g) __attribute__((warn_unused_result));
int dirmoves_start(struct gate *g) __attribute__((warn_unused_result));
void dirmoves_stop(struct gate *g);	/* threads end soon */

#endif
