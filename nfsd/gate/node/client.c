/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who a client is, for the rule: machine name and address, as the export's
 * `identity` says; never uid or port (rule.md 1).
 */

#include <config.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/node/inside.h"
#include "nfsd/gate/worker/worker.h"

static void
text(enum gate_identity identity, const struct gate_client *who,
     char out[META_CLIENT_MAX])
{
	const uint8_t *a = who->addr.s6_addr;
	char addr[INET6_ADDRSTRLEN] = "";

	if (identity == GATE_ID_NAME && who->name[0] != '\0') {
		snprintf(out, META_CLIENT_MAX, "%s", who->name);
		return;
	}
	if (IN6_IS_ADDR_V4MAPPED(&who->addr))
		snprintf(addr, sizeof(addr), "%u.%u.%u.%u", a[12], a[13],
			 a[14], a[15]);
	else
		inet_ntop(AF_INET6, &who->addr, addr, sizeof(addr));
	if (identity == GATE_ID_ADDR || who->name[0] == '\0')
		snprintf(out, META_CLIENT_MAX, "%s", addr);
	else
		snprintf(out, META_CLIENT_MAX, "%s@%s", who->name, addr);
}

void
client_id_text(const struct gate_export *x, const struct gate_request *rq,
	       char out[META_CLIENT_MAX])
{
	text(x->c.identity, &rq->who, out);
}

/* ---- who is connected ---- */

bool
gate_client_is(enum gate_identity identity, const struct gate_client *who,
	       const char *wanted)
{
	char is[META_CLIENT_MAX];

	text(identity, who, is);
	return strcmp(is, wanted) == 0;
}

/* Exports know a client in three ways: it is in the table under each. */
#define KINDS 3

static void
key_of(enum gate_identity identity, const char *who,
       char key[1 + META_CLIENT_MAX])
{
	key[0] = (char)('0' + identity);
	snprintf(key + 1, META_CLIENT_MAX, "%s", who);
}

static struct identity *
find_locked(struct gate *g, enum gate_identity identity, const char *who)
{
	char key[1 + META_CLIENT_MAX];
	struct identity *i;

	mutex_must_hold(&g->mutex);
	key_of(identity, who, key);
	HASH_FIND_STR(g->identities, key, i);
	return i;
}

static void
connected_locked(struct gate *g, enum gate_identity identity,
		 const struct gate_client *who, int delta)
{
	char is[META_CLIENT_MAX];
	struct identity *i;

	mutex_must_hold(&g->mutex);
	text(identity, who, is);
	i = find_locked(g, identity, is);
	if (i == NULL && delta > 0 && (i = calloc(1, sizeof(*i))) != NULL) {
		key_of(identity, is, i->key);
		HASH_ADD_STR(g->identities, key, i);
		if (i->hh.tbl == NULL) {
			free(i);
			return;
		}
	}
	if (i == NULL)
		return;
	i->connections += delta;
	if (i->connections <= 0) {
		HASH_DEL(g->identities, i);
		free(i);
	}
}

void
gate_client_connected(struct gate *g, const struct gate_client *who, int delta)
{
	mutex_lock(&g->mutex);
	for (int kind = 0; kind < KINDS; kind++)
		connected_locked(g, (enum gate_identity)kind, who, delta);
	mutex_unlock(&g->mutex);
}

void
client_seen(struct gate *g, const struct gate_request *rq)
{
	uint64_t now = run_ms(g);

	mutex_lock(&g->mutex);
	for (int kind = 0; kind < KINDS; kind++) {
		char is[META_CLIENT_MAX];
		struct identity *i;

		text((enum gate_identity)kind, &rq->who, is);
		i = find_locked(g, (enum gate_identity)kind, is);
		if (i != NULL)
			i->last_ms = now;
	}
	mutex_unlock(&g->mutex);
}

uint64_t
client_last_ms(const struct gate_export *x, const char *who)
{
	struct gate *g = x->gate;
	struct identity *i;
	uint64_t last;

	mutex_lock(&g->mutex);
	i = find_locked(g, x->c.identity, who);
	last = i == NULL ? 0 : i->last_ms;
	mutex_unlock(&g->mutex);
	return last;
}

bool
client_connected(const struct gate_export *x, const char *who)
{
	struct gate *g = x->gate;
	struct identity *i;

	mutex_lock(&g->mutex);
	i = find_locked(g, x->c.identity, who);
	mutex_unlock(&g->mutex);
	return i != NULL;
}

bool
client_waits(const struct gate_export *x, const char *who, uint64_t since_ms)
{
	const struct gate_config *c = &x->gate->config;

	return c->waits != NULL &&
	       c->waits(c->wake_arg, x->c.identity, who, since_ms);
}

void
client_ids_free(struct gate *g)
{
	struct identity *i, *next;

	HASH_ITER(hh, g->identities, i, next) {
		HASH_DEL(g->identities, i);
		free(i);
	}
}

bool
client_moved_locked(const struct node *n, const struct gate_request *rq)
{
	const char *name = rq->who.name;
	size_t len = strlen(name);

	mutex_must_hold(&n->mutex);
	/* Names that say nothing about a machine. */
	if (n->export->c.identity != GATE_ID_NAME_ADDR || len == 0 ||
	    strcmp(name, "localhost") == 0 ||
	    strncmp(name, "localhost.", 10) == 0)
		return false;
	return n->h.state != META_NONE && strncmp(n->h.who, name, len) == 0 &&
	       n->h.who[len] == '@' && !client_connected(n->export, n->h.who);
}

bool
client_holds_locked(const struct node *n, const struct gate_request *rq)
{
	char who[META_CLIENT_MAX];

	mutex_must_hold(&n->mutex);
	if (n->h.state == META_NONE)
		return false;
	client_id_text(n->export, rq, who);
	return strcmp(who, n->h.who) == 0;
}

/* ---- errors that are owed ---- */

bool
admit_owes(const struct node *n)
{
	const struct fenced *f;

	LIST_FOREACH(f, &n->fenced, link) {
		/* Who lost the file flushed and finds nobody in it may begin
		 * anew without having looked. */
		if (f->state == META_FENCED || f->state == META_FAILED)
			return true;
	}
	return false;
}
