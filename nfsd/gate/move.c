/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories on their way (RENAME of a directory: rename_dir.c).
 *
 * The names change in one transaction, whatever is below.  A row (a move)
 * says that the keys below the old prefix, the source, belong below the
 * directory's inode, wherever that is by now.  Two phases follow:
 *
 *	listing		move_list.c pages through the source.  Each key gets
 *			an inode, if it has none, with base_key where the
 *			object lies and the flag `carried`.  Until that is
 *			through, whatever nobody has met is looked for under
 *			the source too, nothing of the tree is uploaded, and
 *			the source is hidden from the old name, should that
 *			be created anew.
 *	carrying	From here on no path stands for a key any more: each
 *			inode knows its object.  carry.c copies object by
 *			object to the key that its name spells at that
 *			moment, records it, and deletes the old one.
 *
 * So a second rename, of the tree, above it, inside it or out of it, is no
 * more than the first: another source (or several, while a listing is under
 * way), and names that spell other keys.  Of nested sources the longest owns
 * a key.  After a crash, listings go on behind the page that was merged last,
 * and the flags tell what is still to be carried.
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/move.h"

#define DEPTH_MAX 1100
#define RETRY_FIRST_MS 200
#define RETRY_MAX_MS 30000

bool
moves_any(struct gate *g)
{
	return __atomic_load_n(&g->moves.count, __ATOMIC_ACQUIRE) > 0;
}

bool
moves_owed(struct gate *g)
{
	struct move *m;

	if (!moves_any(g))
		return false;
	pthread_mutex_lock(&g->moves.mutex);
	LIST_FOREACH(m, &g->moves.list, link) {
		if (!m->lagging)
			break;
	}
	pthread_mutex_unlock(&g->moves.mutex);
	return m != NULL;
}

static bool
moves_any_lists(struct gate *g)
{
	return __atomic_load_n(&g->moves.listing, __ATOMIC_ACQUIRE) > 0;
}

/* ---- whose is a key? ---- */

bool
move_claims(struct gate_export *x, const char *key)
{
	struct moves *all = &x->gate->moves;
	struct move *m;

	if (!moves_any_lists(x->gate))
		return false;
	pthread_mutex_lock(&all->mutex);
	LIST_FOREACH(m, &all->list, link) {
		if (m->x == x && !m->row.listed && text_begins(key, m->row.source))
			break;
	}
	pthread_mutex_unlock(&all->mutex);
	return m != NULL;
}

bool
move_claims_other(struct move *mine, const char *key)
{
	struct moves *all = &mine->x->gate->moves;
	size_t len = strlen(mine->row.source);
	struct move *m;

	pthread_mutex_lock(&all->mutex);
	LIST_FOREACH(m, &all->list, link) {
		if (m->x == mine->x && !m->row.listed && m != mine &&
		    strlen(m->row.source) > len && text_begins(key, m->row.source))
			break;
	}
	pthread_mutex_unlock(&all->mutex);
	return m != NULL;
}

bool
move_touches(struct gate_export *x, const char *prefix)
{
	struct moves *all = &x->gate->moves;
	struct move *m;

	if (!moves_any(x->gate))
		return false;
	pthread_mutex_lock(&all->mutex);
	LIST_FOREACH(m, &all->list, link) {
		if (m->x == x && (text_begins(prefix, m->row.source) ||
				  text_begins(m->row.source, prefix)))
			break;
	}
	pthread_mutex_unlock(&all->mutex);
	return m != NULL;
}

bool
move_skip(struct gate_export *x, const char *key, char past[META_KEY_MAX + 8])
{
	struct moves *all = &x->gate->moves;
	const struct move *m, *in = NULL;

	if (!moves_any(x->gate))
		return false;
	pthread_mutex_lock(&all->mutex);
	LIST_FOREACH(m, &all->list, link) {
		if (m->x == x && m->row.listed &&
		    m->row.objects > SCAN_PAGE && text_begins(key, m->row.source) &&
		    (in == NULL ||
		     strlen(m->row.source) > strlen(in->row.source)))
			in = m;
	}
	/* The last character that there is. */
	if (in != NULL)
		snprintf(past, META_KEY_MAX + 8, "%s\xf4\x8f\xbf\xbf",
			 in->row.source);
	pthread_mutex_unlock(&all->mutex);
	return in != NULL && strlen(past) <= META_KEY_MAX;
}

/* ---- above a node ---- */

/* A source, and the names from its directory down to where we began. */
struct candidate {
	size_t source_len;
	char prefix[META_KEY_MAX + 2];
};

struct climb {
	struct gate_export *x;
	bool all;		/* also moves that are listed */
	bool only_ask;		/* is there one? */
	struct candidate *list;
	size_t count;
};

#define CANDIDATES_MAX 64

/* The moves of the directory `ino`, with these names below it. */
static bool
collect_locked(struct climb *c, uint64_t ino, const char *below)
{
	struct move *m;

	LIST_FOREACH(m, &c->x->gate->moves.list, link) {
		struct candidate *out;
		int len;

		if (m->row.ino != ino || m->x != c->x ||
		    (m->row.listed && !c->all))
			continue;
		if (c->only_ask)
			return true;
		if (c->count == CANDIDATES_MAX)
			continue;
		out = &c->list[c->count];
		len = snprintf(out->prefix, sizeof(out->prefix), "%s%s",
			       m->row.source, below);
		if (len > META_KEY_MAX)
			continue;
		out->source_len = strlen(m->row.source);
		c->count++;
	}
	return false;
}

/* From n up to the root.  `below` grows from the end of a buffer: "a/b/". */
static int
climb(struct climb *c, struct node *n)
{
	struct gate *g = n->export->gate;
	char below[META_KEY_MAX + 2], *p = below + sizeof(below) - 1;
	struct node *at = node_ref(n);
	int r = 0;

	*p = '\0';
	for (int depth = 0; r == 0; depth++) {
		char name[META_NAME_MAX + 1], part[PART_MAX + 1];
		struct node *up = NULL;
		uint64_t parent;
		size_t len;
		bool found = false;

		if (node_kind(at) == GATE_DIR) {
			pthread_mutex_lock(&g->moves.mutex);
			found = collect_locked(c, at->ino, p);
			pthread_mutex_unlock(&g->moves.mutex);
		}
		if (found) {
			r = 1;
			break;
		}
		if (at->ino == n->export->root || depth == DEPTH_MAX)
			break;
		node_name(at, &parent, name);
		if (name[0] == '\0')
			break;
		if (odd_part(at, name, part) < 0)
			part[0] = '\0';
		len = strlen(part);
		if ((size_t)(p - below) < len + 1) {
			r = c->only_ask ? 0 : -ENAMETOOLONG;
			if (r < 0)
				break;
		} else if (node_kind(at) == GATE_DIR) {
			*--p = '/';
			p -= len;
			memcpy(p, part, len);
		}
		r = node_get(g, parent, true, &up);
		node_put(&at);
		at = up;
		if (r < 0)
			return r;
	}
	node_put(&at);
	return r;
}

bool
move_covers(struct node *n)
{
	struct climb c = { .x = n->export, .only_ask = true, .all = true };

	return moves_any(n->export->gate) && climb(&c, n) == 1;
}

bool
move_lists(struct node *n)
{
	struct climb c = { .x = n->export, .only_ask = true };

	return moves_any_lists(n->export->gate) && climb(&c, n) == 1;
}

static int
longest_first(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	return x->source_len > y->source_len ? -1
					     : x->source_len < y->source_len;
}

/* Does another source, longer than that, own it? */
static bool
owned_by_other(struct gate_export *x, const struct candidate *c)
{
	struct moves *all = &x->gate->moves;
	struct move *m;

	pthread_mutex_lock(&all->mutex);
	LIST_FOREACH(m, &all->list, link) {
		if (m->x == x && !m->row.listed &&
		    strlen(m->row.source) > c->source_len &&
		    text_begins(c->prefix, m->row.source))
			break;
	}
	pthread_mutex_unlock(&all->mutex);
	return m != NULL;
}

int
move_sources(struct node *dir, bool all,
	     int (*each)(void *arg, const char *prefix), void *arg)
{
	struct climb c = { .x = dir->export, .all = all };
	int r;

	if (all ? !moves_any(dir->export->gate)
		: !moves_any_lists(dir->export->gate))
		return 0;
	c.list = calloc(CANDIDATES_MAX, sizeof(*c.list));
	if (c.list == NULL)
		return -ENOMEM;
	r = climb(&c, dir);
	if (r == 0)
		qsort(c.list, c.count, sizeof(*c.list), longest_first);
	for (size_t i = 0; r == 0 && i < c.count; i++) {
		if (!owned_by_other(c.x, &c.list[i]))
			r = each(arg, c.list[i].prefix);
	}
	free(c.list);
	return r;
}

static int
take_first(void *arg, const char *prefix)
{
	strcpy(arg, prefix);
	return 1;
}

int
move_old_key(struct node *n, char key[META_KEY_MAX + 2])
{
	char prefix[META_KEY_MAX + 2], name[META_NAME_MAX + 1];
	char part[PART_MAX + 1];
	struct node *dir = NULL;
	uint64_t parent;
	int r;

	if (!moves_any_lists(n->export->gate))
		return path_key(n, key);
	node_name(n, &parent, name);
	r = node_get(n->export->gate, parent, true, &dir);
	if (r < 0)
		return r;
	r = move_sources(dir, false, take_first, prefix);
	node_put(&dir);
	if (r == 1 && odd_part(n, name, part) < 0)
		r = 0;
	if (r != 1)
		return r < 0 ? r : path_key(n, key);
	r = snprintf(key, META_KEY_MAX + 2, "%s%s%s", prefix, part,
		     node_kind(n) == GATE_DIR ? "/" : "");
	return r > META_KEY_MAX ? -ENAMETOOLONG : 0;
}

/* ---- waiting for a listing ---- */

static uint64_t
moves_pages_locked(const struct moves *all)
{
	const struct move *m;
	uint64_t pages = 0;

	LIST_FOREACH(m, &all->list, link)
		pages += m->pages;
	return pages;
}

int
move_wait(struct node *n, struct gate_request *rq)
{
	struct moves *all = &n->export->gate->moves;
	uint64_t from = rq->first_ms != 0 ? rq->first_ms : clock_ms();
	uint64_t until = from + n->export->c.hold_ms, pages;
	struct timespec ts = { (time_t)(until / 1000),
			       (long)(until % 1000) * 1000000 };
	unsigned listing;
	int r = 0;

	if (!moves_any_lists(n->export->gate))
		return 0;
	pthread_mutex_lock(&all->mutex);
	pages = moves_pages_locked(all);
	listing = all->listing;
	pthread_mutex_unlock(&all->mutex);
	/* After the numbers were read: what comes now is seen. */
	if (!move_lists(n))
		return 0;
	pthread_mutex_lock(&all->mutex);
	while (r == 0 && pages == moves_pages_locked(all) &&
	       listing == all->listing)
		r = pthread_cond_timedwait(&all->changed, &all->mutex, &ts);
	pthread_mutex_unlock(&all->mutex);
	if (r == 0)
		return 1;
	rq->again = GATE_JUKEBOX;
	return -EAGAIN;
}

void
move_mark(struct meta_inode *row, const char *key)
{
	if (row->base_key[0] == '\0')
		return;
	/* What lay at the old key went with it, or stays; at the new one
	 * there is nothing yet. */
	row->name_dirty = strcmp(row->base_key, key) != 0;
	row->carried = row->name_dirty;
	if (row->name_dirty)
		row->dest_etag[0] = '\0';
	else
		strcpy(row->dest_etag, row->base_etag);
	/* A link's mark speaks of its key: not a mere copy. */
	if (row->name_dirty && row->link_id[0] != '\0')
		row->attr_dirty = true;
}

/* ---- life of a move ---- */

static void
moves_count_locked(struct moves *all)
{
	unsigned count = 0, listing = 0;
	struct move *m;

	LIST_FOREACH(m, &all->list, link) {
		count++;
		listing += !m->row.listed;
	}
	/* A page more is nothing to the carrier. */
	all->wakes += count != all->count || listing != all->listing;
	__atomic_store_n(&all->count, count, __ATOMIC_RELEASE);
	__atomic_store_n(&all->listing, listing, __ATOMIC_RELEASE);
	pthread_cond_broadcast(&all->changed);
}

static struct move *
move_add(struct gate_export *x, const struct meta_move *row)
{
	struct moves *all = &x->gate->moves;
	struct move *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return NULL;
	m->x = x;
	m->row = *row;
	pthread_mutex_lock(&all->mutex);
	LIST_INSERT_HEAD(&all->list, m, link);
	moves_count_locked(all);
	pthread_mutex_unlock(&all->mutex);
	return m;
}

void
move_undo(struct move *m)
{
	struct moves *all = &m->x->gate->moves;

	pthread_mutex_lock(&all->mutex);
	LIST_REMOVE(m, link);
	moves_count_locked(all);
	pthread_mutex_unlock(&all->mutex);
	free(m);
}

struct move *
move_prepare(struct node *dir, const char *source, struct change *c)
{
	struct gate_export *x = dir->export;
	struct meta_move row = { .export_id = x->id,
				 .ino = dir->ino,
				 .since_ns = s3_clock_ns(x->s3) };

	struct move *m;

	if (meta_new_id(x->gate->meta, &row.id) < 0)
		return NULL;
	strcpy(row.source, source);
	meta_put_move(c->batch, &row);
	m = move_add(x, &row);
	if (m != NULL)
		change_move(c, m);
	return m;
}

/* The store's clock may have been learnt since. */
static uint64_t
age_ms(const struct move *m)
{
	int64_t ns = s3_clock_ns(m->x->s3) - m->row.since_ns;

	return ns > 0 ? (uint64_t)ns / 1000000 : 0;
}

/* One page is merged.  The move is listed when there are no more. */
static void
page_done(struct move *m, bool listed)
{
	struct moves *all = &m->x->gate->moves;

	pthread_mutex_lock(&all->mutex);
	m->pages++;
	m->row.listed |= listed;
	m->error[0] = '\0';
	moves_count_locked(all);
	pthread_mutex_unlock(&all->mutex);
}

/* Sleeps, unless the gate stops. */
static void
pause_ms(struct gate *g, uint64_t ms)
{
	struct moves *all = &g->moves;
	uint64_t until = clock_ms() + ms;
	struct timespec ts = { (time_t)(until / 1000),
			       (long)(until % 1000) * 1000000 };
	int r = 0;

	pthread_mutex_lock(&all->mutex);
	while (r == 0 && !__atomic_load_n(&g->stopping, __ATOMIC_RELAXED))
		r = pthread_cond_timedwait(&all->changed, &all->mutex, &ts);
	pthread_mutex_unlock(&all->mutex);
}

static void
list_failed(struct move *m, int r)
{
	struct moves *all = &m->x->gate->moves;

	pthread_mutex_lock(&all->mutex);
	m->failures++;
	snprintf(m->error, sizeof(m->error), "cannot list: %s", strerror(-r));
	pthread_mutex_unlock(&all->mutex);
}

/* All of a source, page by page. */
static void
list_run(void *arg)
{
	struct move *m = arg;
	struct gate *g = m->x->gate;
	struct move_cursor at = { .token = NULL };
	uint64_t wait = RETRY_FIRST_MS, found = 0;

	strcpy(at.after, m->row.after);
	while (!__atomic_load_n(&g->stopping, __ATOMIC_RELAXED)) {
		int r = move_list_page(m, false, &at, &found);

		if (r < 0) {
			if (wait == RETRY_FIRST_MS)
				gate_say(g, 1, "cannot list a renamed "
					 "directory, will be tried again: "
					 "prefix=%s error=%s", m->row.source,
					 strerror(-r));
			list_failed(m, r);
			pause_ms(g, wait);
			wait = wait * 2 < RETRY_MAX_MS ? wait * 2
						       : RETRY_MAX_MS;
			continue;
		}
		wait = RETRY_FIRST_MS;
		page_done(m, r == 0);
		if (r == 0)
			break;
	}
	move_cursor_fini(&at);
}

void
move_begin(struct move *m)
{
	struct gate *g = m->x->gate;

	/* Without memory it waits for the next start; until then its tree
	 * goes on as it is. */
	if (!m->row.listed && pool_add(&g->moves.listers, m->x, POOL_NEXT,
				        list_run, m) < 0)
		gate_say(g, 0, "no memory to list a renamed directory: "
			 "prefix=%s", m->row.source);
}

static int
recover_move(void *arg, const struct meta_move *row)
{
	struct gate *g = arg;
	struct gate_export *x;

	LIST_FOREACH(x, &g->exports, link) {
		if (x->id == row->export_id && move_add(x, row) == NULL)
			return -ENOMEM;
	}
	return 0;
}

int
moves_load(struct gate *g)
{
	return meta_each_move(g->meta, recover_move, g);
}

int
moves_start(struct gate *g)
{
	struct gate_export *x;
	struct move *m;
	int r = 0;

	LIST_FOREACH(m, &g->moves.list, link)
		move_begin(m);
	/* Last: these are who takes moves off the list. */
	LIST_FOREACH(x, &g->exports, link) {
		if (r == 0)
			r = -pthread_create(&x->carrying.thread, NULL,
					    carry_main, x);
		x->carrying.started = r == 0;
	}
	return r;
}

/* ---- for operators ---- */

/* Copies of what the list holds, since telling it asks SQLite. */
static struct move *
copy_list(struct moves *all, size_t *count)
{
	const struct move *m;
	struct move *list;
	size_t n = 0;

	pthread_mutex_lock(&all->mutex);
	list = calloc(all->count + 1, sizeof(*list));
	LIST_FOREACH(m, &all->list, link) {
		if (list != NULL)
			list[n++] = *m;
	}
	pthread_mutex_unlock(&all->mutex);
	*count = n;
	return list;
}

static int
tell(struct gate *g, const struct move *m,
     int (*each)(void *arg, const struct gate_move_info *), void *arg)
{
	struct gate_move_info info = {
		.source = m->row.source,
		.phase = m->row.listed ? "MOVING" : "LISTING",
		.objects = m->row.objects,
		.bytes = m->row.bytes,
		.failures = m->failures,
		.error = m->error,
		.age_ms = age_ms(m),
	};
	struct node *dir = NULL;
	char path[4096] = "";
	int r = meta_count_carried(g->meta, m->x->id, m->row.source,
				   &info.objects_left, &info.bytes_left);

	if (r < 0)
		return r;
	if (node_get(g, m->row.ino, true, &dir) == 0)
		path_text(dir, path, sizeof(path));
	node_put(&dir);
	info.path = path;
	return each(arg, &info);
}

int
gate_each_move(struct gate *g,
	       int (*each)(void *arg, const struct gate_move_info *),
	       void *arg)
{
	size_t count;
	struct move *list = copy_list(&g->moves, &count);
	int r = list == NULL ? -ENOMEM : 0;

	for (size_t i = 0; r == 0 && i < count; i++)
		r = tell(g, &list[i], each, arg);
	free(list);
	return r;
}

void
moves_wake(struct gate *g)
{
	pthread_mutex_lock(&g->moves.mutex);
	g->moves.wakes++;
	pthread_cond_broadcast(&g->moves.changed);
	pthread_mutex_unlock(&g->moves.mutex);
}

void
moves_stop(struct gate *g)
{
	struct gate_export *x;

	pthread_mutex_lock(&g->moves.mutex);
	pthread_cond_broadcast(&g->moves.changed);
	pthread_mutex_unlock(&g->moves.mutex);
	LIST_FOREACH(x, &g->exports, link) {
		if (x->carrying.started)
			pthread_join(x->carrying.thread, NULL);
		x->carrying.started = false;
	}
	pool_stop(&g->moves.listers);
}

void
moves_free(struct gate *g)
{
	struct move *m;

	/* Their rows remain; the next start goes on. */
	while ((m = LIST_FIRST(&g->moves.list)) != NULL) {
		LIST_REMOVE(m, link);
		free(m);
	}
}
