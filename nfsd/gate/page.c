/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages of a listing (page.h).  A part of a key that is no file name gets its
 * own form here (part.c); nothing is left out but what has more than 1024
 * bytes, which no key has.
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/move.h"
#include "nfsd/gate/page.h"

void
found_free(struct found *f)
{
	if (f->part != f->name)
		free(f->part);
	free(f->name);
}

void
page_free(struct page *p)
{
	for (size_t i = 0; i < p->count; i++)
		found_free(&p->list[i]);
	free(p->list);
}

static struct found *
new_found(struct page *p)
{
	if (p->count == p->room) {
		size_t room = p->room ? p->room * 2 : 256;
		struct found *list = realloc(p->list, room * sizeof(*list));

		if (list == NULL)
			return NULL;
		p->list = list;
		p->room = room;
	}
	return &p->list[p->count];
}

int
page_take(void *arg, const struct s3_entry *e)
{
	struct page *p = arg;
	char part[PART_MAX + 1], name[META_NAME_MAX + 1];
	size_t len = e->key_len - p->prefix_len;
	struct found *f;

	if (e->key_len < p->prefix_len)
		return -EBADMSG;
	if (len == 0)
		return 0;	/* the directory's own object */
	if (e->is_prefix)
		len--;
	if (len > PART_MAX || (f = new_found(p)) == NULL)
		return len > PART_MAX ? 0 : -ENOMEM;
	memcpy(part, e->key + p->prefix_len, len);
	part[len] = '\0';
	part_to_name(p->x->any_bytes, part, false, name);
	*f = (struct found){ .is_dir = e->is_prefix, .size = e->size,
			     .mtime_ns = e->mtime_ns };
	f->name = f->part = strdup(name);
	if (f->name != NULL && strcmp(name, part) != 0) {
		p->odd++;
		f->part = strdup(part);
	}
	if (f->name == NULL || f->part == NULL) {
		free(f->name);
		return -ENOMEM;
	}
	if (e->etag != NULL)
		strncpy(f->etag, e->etag, sizeof(f->etag) - 1);
	p->count++;
	return 0;
}

char *
found_place(const struct found *f)
{
	char *place = malloc(strlen(f->part) + 2);

	if (place != NULL)
		sprintf(place, "%s%s", f->part, f->is_dir ? "/" : "");
	return place;
}

bool
page_in_order(const struct page *p, const char *at)
{
	char *before = NULL;
	bool ok = true;

	for (size_t i = 0; ok && i < p->count; i++) {
		char *place = found_place(&p->list[i]);
		const char *last = i == 0 ? at : before;

		ok = place != NULL &&
		     (last == NULL || strcmp(last, place) < 0);
		free(before);
		before = place;
	}
	free(before);
	return ok;
}

/* ---- is there anything? ---- */

struct any {
	struct gate_export *x;
	bool (*hidden)(struct gate_export *x, const char *key);
	size_t own_len;		/* of a key that does not count; 0: none */
	bool found;
	char last[META_KEY_MAX + 2];	/* that was met */
};

static int
any_entry(void *arg, const struct s3_entry *e)
{
	struct any *any = arg;

	if (e->key_len <= META_KEY_MAX)
		strcpy(any->last, e->key);
	/* With bytes in it, it is not only the directory's own. */
	if ((e->key_len == any->own_len && e->size == 0) ||
	    any->hidden(any->x, e->key))
		return 0;
	any->found = true;
	return 1;
}

/* A page of keys that all belong to a large directory that has left: the
 * rest of those, perhaps a million, is not looked at. */
static int
prefix_any(struct any *any, const char *prefix)
{
	struct gate_export *x = any->x;
	char *token = NULL, *next = NULL, past[META_KEY_MAX + 8] = "";
	int r;

	do {
		/* There may be many that are hidden. */
		struct s3_list list = { .prefix = prefix, .token = token,
					.start_after = past,
					.max_keys = moves_any(x->gate) ? 1000
						    : any->own_len > 0 ? 100
								       : 16 };

		next = NULL;
		any->last[0] = '\0';
		r = s3_list_page(x->s3, &list, any_entry, any, &next, NULL);
		free(token);
		token = next;
		past[0] = '\0';
		if (r == 0 && token != NULL && !any->found &&
		    move_skip(x, any->last, past)) {
			free(token);
			token = NULL;
		}
	} while (r == 0 && !any->found && (token != NULL || past[0] != '\0'));
	free(token);
	return any->found ? 1 : r;
}

int
scan_prefix_any(struct gate_export *x, const char *prefix)
{
	struct any any = { .x = x, .hidden = hidden_has };

	/* Whoever lies there has left. */
	return move_claims(x, prefix) ? 0 : prefix_any(&any, prefix);
}

int
scan_prefix_below(struct gate_export *x, const char *prefix)
{
	struct any any = { .x = x, .hidden = hidden_has,
			   .own_len = strlen(prefix) };

	return prefix_any(&any, prefix);
}

int
scan_source_any(struct gate_export *x, const char *prefix)
{
	struct any any = { .x = x, .hidden = hidden_exactly };

	return prefix_any(&any, prefix);
}
