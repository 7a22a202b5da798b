/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A page of a renamed directory's old keys, as the store tells it: what it
 * tells of what has left already is not taken.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/dir/dir.h"
#include "nfsd/gate/dirmove/inside.h"
#include "nfsd/gate/keys/keys.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/path/path.h"

static int
take_entry(void *arg, const struct s3_entry *e)
{
	struct dirmove_page *p = arg;
	struct listed *l;

	if (e->key_len > META_KEY_MAX)
		return -EBADMSG;
	if (p->count == p->room) {
		size_t room = p->room ? p->room * 2 : 256;
		struct listed *list = realloc(p->list, room * sizeof(*list));

		if (list == NULL)
			return -ENOMEM;
		p->list = list;
		p->room = room;
	}
	l = &p->list[p->count];
	*l = (struct listed){ .size = e->size, .mtime_ns = e->mtime_ns,
			      .cold = e->cold };
	l->key = strndup(e->key, e->key_len);
	if (l->key == NULL)
		return -ENOMEM;
	if (e->etag != NULL)
		strncpy(l->etag, e->etag, sizeof(l->etag) - 1);
	p->count++;
	return 0;
}

void
dirmove_page_free(struct dirmove_page *p)
{
	for (size_t i = 0; i < p->count; i++)
		free(p->list[i].key);
	free(p->list);
}

/* ---- what a key is by now ---- */

int
dirmove_key_known(struct gate_export *x, const char *key)
{
	struct gate_request rq = { .may_block = true };
	struct node *at = NULL;
	int r = node_get(x->gate, x->root, true, &at);

	key += strlen(x->c.prefix);
	while (r == 0 && *key != '\0') {
		char component[COMPONENT_MAX + 1], name[META_NAME_MAX + 1];
		struct node *n = NULL;
		size_t len = strcspn(key, "/");

		memcpy(component, key, len);
		component[len] = '\0';
		component_to_name(x->any_bytes, component, false, name);
		r = node_kind(at) == GATE_DIR
			    ? lookup_known(at, &rq, name, &n)
			    : -ENOENT;
		node_put(&at);
		at = n;
		key += len + (key[len] == '/');
	}
	node_put(&at);
	return r == 0 ? 1 : r == -ENOENT ? 0 : r;
}

/* By the store's clock, whose times are whole seconds mostly. */
bool
came_later(const struct lister *l, const struct listed *e)
{
	int64_t since_ns = l->m->row.since_ns, second = 1000000000;

	if (e->mtime_ns % second == 0)
		since_ns -= since_ns % second;
	else
		since_ns++;
	return e->mtime_ns >= since_ns;
}

/* ---- asking, and what lags ---- */

void
dirmove_cursor_fini(struct dirmove_cursor *at)
{
	free(at->token);
	at->token = NULL;
}

/* One page, from where the cursor is.  An empty *next: that was the last. */
int
dirmove_ask_page(struct lister *l, struct dirmove_page *page,
		 struct dirmove_cursor *at, char **next)
{
	struct s3_list list = { .prefix = l->m->row.source,
				.token = at->token };
	int r;

	if (at->token == NULL && page_unordered(l->x))
		at->after[0] = '\0';
	if (at->token == NULL && at->after[0] != '\0')
		list.start_after = at->after;
	r = s3_list_page(l->x->s3, &list, take_entry, page, next, NULL);
	if (r == 0 && page->count > 0 &&
	    strcmp(page->list[0].key, at->after) < 0)
		page_disorder(l->x);
	if (r == 0 && page->count > 0)
		strcpy(l->last, page->list[page->count - 1].key);
	return r;
}

/* Is the key listed, and not there?  1: so it is.  At the end of a move hardly
 * any key is expected to be: each is looked at. */
static int
is_behind(struct lister *l, const struct listed *e, unsigned *looks)
{
	struct s3_object o = { 0 };
	int r;

	if (dirmove_claims_other(l->m, e->key) || hidden_for_good(l->x, e->key))
		return 0;
	if (l->later) {
		r = came_later(l, e) ? 1 : dirmove_key_known(l->x, e->key);
		if (r != 0)
			return r < 0 ? r : 0;
	}
	r = page_lags(l->x, e->key, e->mtime_ns, l->later ? looks : NULL);
	if (r != 0 || !l->later)
		return r;
	if ((*looks)++ >= DIRMOVE_LOOKS)
		return 1;
	r = s3_head(l->x->s3, e->key, &o, NULL);
	s3_object_free(&o);
	return r == -ENOENT ? 1 : r;
}

/* Before anything is locked.  Those that are not asked for are taken for gone
 * until a later look begins with them. */
int
dirmove_drop_behind(struct lister *l, struct dirmove_page *page,
		    struct dirmove_cursor *at)
{
	unsigned looks = 0;
	size_t from = l->later ? l->m->look_from : 0, kept = 0;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < page->count; i++) {
		struct listed *e = &page->list[(from + i) % page->count];

		r = is_behind(l, e, &looks);
		e->behind = r == 1;
		at->lags |= e->behind;
	}
	for (size_t i = 0; i < page->count; i++) {
		if (page->list[i].behind)
			free(page->list[i].key);
		else
			page->list[kept++] = page->list[i];
	}
	page->count = kept;
	return r < 0 ? r : 0;
}
