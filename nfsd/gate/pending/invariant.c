/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Invariants of a file (audit.c has all of them): one that does not hold is
 * told, in the log and in a counter.
 */

#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/node/node.h"
#include "nfsd/gate/path/path.h"
#include "nfsd/gate/pending/pending.h"
#include "nfsd/gate/worker/worker.h"

/* A line that waits to be written: no path is spelled under a mutex. */
struct line {
	struct node *node;
	const char *what;
	enum meta_state state;
	char holder[META_CLIENT_MAX], client[META_CLIENT_MAX];
};

static void
say_line(void *arg)
{
	struct line *l = arg;
	char path[512];

	path_text(l->node, path, sizeof(path));
	gate_say(l->node->export->gate, 0,
		 "broken invariant: %s: file=%s inode=%llu holder=%s state=%s "
		 "client=%s", l->what, path, (unsigned long long)l->node->ino,
		 l->holder, meta_state_name(l->state), l->client);
	node_put(&l->node);
	free(l);
}

void
audit_broken_locked(struct node *n, const char *what, const char *client)
{
	struct gate *g = n->export->gate;
	struct line *l = calloc(1, sizeof(*l));

	mutex_must_hold(&n->mutex);
	audit_count(g);
	if (l != NULL) {
		l->node = node_ref(n);
		l->what = what;
		l->state = n->h.state;
		if (n->h.state != META_NONE)
			strcpy(l->holder, n->h.who);
		snprintf(l->client, sizeof(l->client), "%s", client);
		if (pool_add(&g->transfers, NULL, POOL_NEXT, say_line, l) == 0)
			return;
		node_put(&l->node);
		free(l);
	}
	gate_say(g, 0, "broken invariant: %s: inode=%llu client=%s", what,
		 (unsigned long long)n->ino, client);
}

/* ---- on the spot ---- */

int
audit_writer_locked(struct node *n, const char *who)
{
	mutex_must_hold(&n->mutex);
	if (n->h.state == META_ACTIVE && strcmp(n->h.who, who) == 0)
		return 0;
	audit_broken_locked(n, "bytes of who is not the writer", who);
	return -EIO;
}
