/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages of a listing: what they tell, and how far that can be believed.  A
 * component of a key that is no file name gets its own form (path/component.c);
 * nothing is left out but what has more than 1024 bytes, which no key has.  A
 * store may sort otherwise than by bytes, or tell for a while of what we have
 * deleted: HEAD decides, for so many keys of a page.  Directories that are seen
 * only since objects below them have not left yet are not there.
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/dir/inside.h"
#include "nfsd/gate/keys/keys.h"
#include "nfsd/gate/object/object.h"
#include "nfsd/gate/path/path.h"
#include "nfsd/gate/worker/worker.h"

static void
found_free(struct found *f)
{
	if (f->component != f->name)
		free(f->component);
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
	char component[COMPONENT_MAX + 1], name[META_NAME_MAX + 1];
	size_t len = e->key_len - p->prefix_len;
	struct found *f;

	cold_met(p->x, e->cold);
	if (e->key_len < p->prefix_len)
		return -EBADMSG;
	if (len == 0)
		return 0;	/* the directory's own object */
	if (e->is_prefix)
		len--;
	if (len > COMPONENT_MAX || (f = new_found(p)) == NULL)
		return len > COMPONENT_MAX ? 0 : -ENOMEM;
	memcpy(component, e->key + p->prefix_len, len);
	component[len] = '\0';
	component_to_name(p->x->any_bytes, component, false, name);
	*f = (struct found){ .is_dir = e->is_prefix, .size = e->size,
			     .mtime_ns = e->mtime_ns, .cold = e->cold };
	f->name = f->component = strdup(name);
	if (f->name != NULL && strcmp(name, component) != 0) {
		p->mangled++;
		f->component = strdup(component);
	}
	if (f->name == NULL || f->component == NULL) {
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
	char *place = malloc(strlen(f->component) + 2);

	if (place != NULL)
		sprintf(place, "%s%s", f->component, f->is_dir ? "/" : "");
	return place;
}

void
page_disorder(struct gate_export *x)
{
	if (!__atomic_exchange_n(&x->unordered, true, __ATOMIC_RELAXED))
		gate_say(x->gate, 1, "the store lists names in another order "
			 "than that of their bytes; what is gone is known when "
			 "all of a directory was listed: export=%s",
			 x->c.name);
}

bool
page_unordered(struct gate_export *x)
{
	return __atomic_load_n(&x->unordered, __ATOMIC_RELAXED);
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
		if (place != NULL && last != NULL && strcmp(last, place) > 0)
			page_disorder(p->x);
		free(before);
		before = place;
	}
	free(before);
	return ok;
}

/* ---- a listing that lags ---- */

#define LOOKS_MAX 64		/* for one page; the others wait for the next */
#define AGAIN_MAX (SCAN_PAGE / LOOKS_MAX + 1)

int
page_lags(struct gate_export *x, const char *key, int64_t mtime_ns,
	  unsigned *looks)
{
	struct s3_object o = { 0 };
	bool ask = false;
	int r;

	if (!hidden_lately(x, key, mtime_ns, &ask))
		return 0;
	if (!ask || (looks != NULL && (*looks)++ >= LOOKS_MAX))
		return 1;
	r = s3_head(x->s3, key, &o, NULL);
	s3_object_free(&o);
	if (r == 0 || r == -ENOENT)
		hidden_answer(x, key, mtime_ns, r == 0);
	return r == -ENOENT ? 1 : r;
}

/* ---- is there anything? ---- */

struct any {
	struct gate_export *x;
	bool source;		/* that is being listed, by all of its keys */
	uint64_t asked_ms;
	size_t own_len;		/* of a key that does not count; 0: none */
	bool found;
	unsigned again;		/* times that this page was asked for anew */
	struct doubt {			/* HEAD tells more of it */
		char *key;
		int64_t mtime_ns;
	} doubts[LOOKS_MAX];
	size_t doubt_count;
	bool more;			/* ... than there was room for */
	char last[META_KEY_MAX + 2];	/* that was met */
};

/* It may be the one that we deleted.  True: it is looked at later, or not at
 * all. */
static bool
is_doubtful(struct any *any, const struct s3_entry *e)
{
	bool ask = false;
	struct doubt *d = &any->doubts[any->doubt_count];

	if (any->source || !hidden_lately(any->x, e->key, e->mtime_ns, &ask))
		return false;
	if (!ask)
		return true;
	if (any->doubt_count == LOOKS_MAX && any->again < AGAIN_MAX) {
		any->more = true;
		return true;
	}
	if (any->doubt_count == LOOKS_MAX ||
	    (d->key = strdup(e->key)) == NULL)
		return false;
	d->mtime_ns = e->mtime_ns;
	any->doubt_count++;
	return true;
}

static int
look_at_doubts(struct any *any, int r)
{
	unsigned looks = 0;

	for (size_t i = 0; i < any->doubt_count; i++) {
		if (r == 0 && !any->found) {
			r = page_lags(any->x, any->doubts[i].key,
				      any->doubts[i].mtime_ns, &looks);
			any->found = r == 0;
			r = r < 0 ? r : 0;
		}
		free(any->doubts[i].key);
	}
	any->doubt_count = 0;
	return r;
}

static int
any_entry(void *arg, const struct s3_entry *e)
{
	struct any *any = arg;

	cold_met(any->x, e->cold);
	if (any->found)
		return 0;
	if (e->key_len <= META_KEY_MAX)
		strcpy(any->last, e->key);
	/* With bytes in it, it is not only the directory's own. */
	if ((e->key_len == any->own_len && e->size == 0) ||
	    (any->source ? hidden_exactly(any->x, e->key)
			 : hidden_since(any->x, e->key, any->asked_ms)) ||
	    is_doubtful(any, e))
		return 0;
	any->found = true;
	return 0;
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
					.max_keys = dirmoves_any(x->gate) ? 1000
						    : any->own_len > 0 ? 100
								       : 16 };

		next = NULL;
		any->more = false;
		any->last[0] = '\0';
		any->asked_ms = clock_ms();
		r = s3_list_page(x->s3, &list, any_entry, any, &next, NULL);
		r = look_at_doubts(any, r);
		/* What was denied is not asked about once more. */
		if (r == 0 && !any->found && any->more) {
			any->again++;
			free(next);
			continue;
		}
		any->again = 0;
		free(token);
		token = next;
		past[0] = '\0';
		if (r == 0 && token != NULL && !any->found &&
		    !page_unordered(x) && dirmove_skip(x, any->last, past)) {
			free(token);
			token = NULL;
		}
	} while (r == 0 && !any->found &&
		 (any->more || token != NULL || past[0] != '\0'));
	free(token);
	return any->found ? 1 : r;
}

int
scan_prefix_any(struct gate_export *x, const char *prefix)
{
	struct any any = { .x = x };

	/* Whoever lies there has left. */
	return dirmove_claims(x, prefix) ? 0 : prefix_any(&any, prefix);
}

int
scan_prefix_below(struct gate_export *x, const char *prefix)
{
	struct any any = { .x = x, .own_len = strlen(prefix) };

	return prefix_any(&any, prefix);
}

int
scan_source_any(struct gate_export *x, const char *prefix)
{
	struct any any = { .x = x, .source = true };

	return prefix_any(&any, prefix);
}

/* ---- what has left ---- */

struct leaving {
	struct page *page;
	struct found **dirs;	/* by their component */
	size_t count;
};

static int
by_part(const void *a, const void *b)
{
	const struct found *const *x = a, *const *y = b;

	return strcmp((*x)->component, (*y)->component);
}

static void
mark_left(void *arg, const char *below)
{
	struct leaving *l = arg;
	char component[META_KEY_MAX + 2];
	struct found one = { .component = component }, *p = &one, **found;
	size_t len = strcspn(below, "/");

	if (below[len] != '/')
		return;
	memcpy(component, below, len);
	component[len] = '\0';
	found = bsearch(&p, l->dirs, l->count, sizeof(*l->dirs), by_part);
	if (found != NULL)
		(*found)->left = true;
}

/* Directories with keys below them that are hidden. */
static int
mark_all_left(struct gate_export *x, const char *prefix, uint64_t since_ms,
	      struct page *p)
{
	struct leaving l = { .page = p };

	if (!hidden_any(x->gate))
		return 0;
	l.dirs = calloc(p->count + 1, sizeof(*l.dirs));
	if (l.dirs == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < p->count; i++) {
		if (p->list[i].is_dir)
			l.dirs[l.count++] = &p->list[i];
	}
	qsort(l.dirs, l.count, sizeof(*l.dirs), by_part);
	if (l.count > 0)
		hidden_below(x, prefix, since_ms, mark_left, &l);
	free(l.dirs);
	return 0;
}

/* A file that nobody knows, where we deleted one: does the listing lag? */
static int
is_left_file(struct node *dir, const char *key, const struct found *f,
	     unsigned *looks)
{
	struct meta_name name;
	bool ask;
	int r;

	if (!hidden_lately(dir->export, key, f->mtime_ns, &ask))
		return 0;
	r = meta_get_name(dir->export->gate->meta, dir->ino, f->name, &name);
	return r != -ENOENT ? (r < 0 ? r : 0)
			    : page_lags(dir->export, key, f->mtime_ns,
					looks);
}

int
page_drop_left(struct node *dir, const char *prefix, uint64_t since_ms,
	       struct page *p)
{
	char key[META_KEY_MAX + COMPONENT_MAX + 4];
	struct gate *g = dir->export->gate;
	size_t kept = 0;
	int r = mark_all_left(dir->export, prefix, hidden_lag_from(since_ms),
			      p);
	bool any = hidden_any(g);
	unsigned looks = 0;

	for (size_t i = 0; i < p->count; i++) {
		struct found *f = &p->list[i];
		struct meta_name name;
		bool drop = false;

		snprintf(key, sizeof(key), "%s%s/", prefix, f->component);
		if (r == 0 && f->is_dir && strlen(key) <= META_KEY_MAX &&
		    (f->left || dirmove_touches(dir->export, key))) {
			r = meta_get_name(g->meta, dir->ino, f->name, &name);
			if (r == -ENOENT ||
			    (r == 0 && name.kind != GATE_DIR)) {
				r = scan_prefix_any(dir->export, key);
				drop = r == 0;
			}
			r = r < 0 ? r : 0;
		}
		snprintf(key, sizeof(key), "%s%s", prefix, f->component);
		if (r == 0 && any && !f->is_dir &&
		    strlen(key) <= META_KEY_MAX) {
			r = is_left_file(dir, key, f, &looks);
			drop = r == 1;
			r = r < 0 ? r : 0;
		}
		if (drop)
			found_free(f);
		else
			p->list[kept++] = *f;
	}
	p->count = kept;
	return r;
}
