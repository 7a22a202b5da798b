/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories on their way (RENAME of a directory: ops/rename_dir.c).
 *
 * The names change in one transaction, whatever is below.  A row (a move)
 * says that the keys below the old prefix, the source, belong below the
 * directory's inode, wherever that is by now.  Two phases follow:
 *
 *	listing		list.c pages through the source.  Each key gets
 *			an inode, if it has none, with base_key where the
 *			object lies and the flag `relocating`.  Until that is
 *			through, whatever nobody has met is looked for under
 *			the source too, nothing of the tree is uploaded, and
 *			the source is hidden from the old name, should that
 *			be created anew.
 *	relocation	From here on no path stands for a key any more: each
 *			inode knows its object.  relocate.c has object by object
 *			copied to the key that its name spells at that
 *			moment, which is recorded, and the old one deleted.
 *
 * So a second rename, of the tree, above it, inside it or out of it, is no
 * more than the first: another source (or several, while a listing is under
 * way), and names that spell other keys.  Of nested sources the longest owns
 * a key.  After a crash, listings go on behind the page that was merged last,
 * and the flags tell what is still to be relocated.
 *
 * The list of moves, which other rooms ask, is in keys/dirmoves.c; where a name
 * below one of them may lie is path/source.c's to tell.
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/change/change.h"
#include "nfsd/gate/dirmove/inside.h"
#include "nfsd/gate/keys/keys.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/path/path.h"
#include "nfsd/gate/worker/worker.h"

#define RETRY_FIRST_MS 200
#define RETRY_MAX_MS 30000

bool
dirmoves_owed(struct gate *g)
{
	struct dirmove *m;

	if (!dirmoves_any(g))
		return false;
	mutex_lock(&g->dirmoves.mutex);
	LIST_FOREACH(m, &g->dirmoves.list, link) {
		if (!m->lagging)
			break;
	}
	mutex_unlock(&g->dirmoves.mutex);
	return m != NULL;
}

/* ---- life of a move ---- */

struct dirmove *
dirmove_prepare(struct node *dir, const char *source, struct change *c)
{
	struct gate_export *x = dir->export;
	struct meta_dirmove row = { .export_id = x->id,
				    .ino = dir->ino,
				 .since_ns = s3_clock_ns(x->s3) };
	struct dirmove *m;

	if (meta_new_id(x->gate->meta, &row.id) < 0)
		return NULL;
	strcpy(row.source, source);
	meta_put_dirmove(c->batch, &row);
	m = dirmove_add(x, &row);
	return m != NULL && change_dirmove(c, m) ? m : NULL;
}

/* The store's clock may have been learnt since. */
static uint64_t
age_ms(const struct dirmove *m)
{
	int64_t ns = s3_clock_ns(m->x->s3) - m->row.since_ns;

	return ns > 0 ? (uint64_t)ns / 1000000 : 0;
}

/* One page is merged.  The move is listed when there are no more. */
static void
page_done(struct dirmove *m, bool listed)
{
	struct dirmoves *all = &m->x->gate->dirmoves;

	mutex_lock(&all->mutex);
	m->pages++;
	m->row.listed |= listed;
	m->error[0] = '\0';
	dirmoves_count_locked(all);
	mutex_unlock(&all->mutex);
}

/* Sleeps, unless the gate stops. */
static void
pause_ms(struct gate *g, uint64_t ms)
{
	struct dirmoves *all = &g->dirmoves;
	uint64_t until = clock_ms() + ms;
	struct timespec ts = { (time_t)(until / 1000),
			       (long)(until % 1000) * 1000000 };
	int r = 0;

	mutex_lock(&all->mutex);
	while (r == 0 && !__atomic_load_n(&g->stopping, __ATOMIC_RELAXED))
		r = mutex_wait(&all->mutex, &all->changed, &ts);
	mutex_unlock(&all->mutex);
}

static void
list_failed(struct dirmove *m, int r)
{
	struct dirmoves *all = &m->x->gate->dirmoves;

	mutex_lock(&all->mutex);
	m->failures++;
	snprintf(m->error, sizeof(m->error), "cannot list: %s", strerror(-r));
	mutex_unlock(&all->mutex);
}

/* All of a source, page by page. */
static void
list_run(void *arg)
{
	struct dirmove *m = arg;
	struct gate *g = m->x->gate;
	struct dirmove_cursor at = { .token = NULL };
	uint64_t wait = RETRY_FIRST_MS, found = 0;

	strcpy(at.after, m->row.after);
	while (!__atomic_load_n(&g->stopping, __ATOMIC_RELAXED)) {
		int r = dirmove_list_page(m, false, &at, &found);

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
	dirmove_cursor_fini(&at);
}

void
dirmove_begin(struct dirmove *m)
{
	struct gate *g = m->x->gate;

	/* Without memory it waits for the next start; until then its tree
	 * goes on as it is. */
	if (!m->row.listed && pool_add(&g->dirmoves.listers, m->x, POOL_NEXT,
				       list_run, m) < 0)
		gate_say(g, 0, "no memory to list a renamed directory: "
			 "prefix=%s", m->row.source);
}

static int
recover_dirmove(void *arg, const struct meta_dirmove *row)
{
	struct gate *g = arg;
	struct gate_export *x;

	LIST_FOREACH(x, &g->exports, link) {
		if (x->id == row->export_id && dirmove_add(x, row) == NULL)
			return -ENOMEM;
	}
	return 0;
}

int
dirmoves_load(struct gate *g)
{
	return meta_each_dirmove(g->meta, recover_dirmove, g);
}

int
dirmoves_start(struct gate *g)
{
	struct gate_export *x;
	struct dirmove *m;
	int r = 0;

	LIST_FOREACH(m, &g->dirmoves.list, link)
		dirmove_begin(m);
	/* Last: these are who takes moves off the list. */
	LIST_FOREACH(x, &g->exports, link) {
		if (r == 0)
			r = -pthread_create(&x->relocation.thread, NULL,
					    relocate_main, x);
		x->relocation.started = r == 0;
	}
	return r;
}

/* ---- for operators ---- */

/* Copies of what the list holds, since telling it asks SQLite. */
static struct dirmove *
copy_list(struct dirmoves *all, size_t *count)
{
	const struct dirmove *m;
	struct dirmove *list;
	size_t n = 0;

	mutex_lock(&all->mutex);
	list = calloc(all->count + 1, sizeof(*list));
	LIST_FOREACH(m, &all->list, link) {
		if (list != NULL)
			list[n++] = *m;
	}
	mutex_unlock(&all->mutex);
	*count = n;
	return list;
}

static int
tell(struct gate *g, const struct dirmove *m,
     int (*each)(void *arg, const struct gate_dirmove_info *), void *arg)
{
	struct gate_dirmove_info info = {
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
	int r = meta_count_relocating(g->meta, m->x->id, m->row.source,
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
gate_each_dirmove(struct gate *g,
		  int (*each)(void *arg, const struct gate_dirmove_info *),
		  void *arg)
{
	size_t count;
	struct dirmove *list = copy_list(&g->dirmoves, &count);
	int r = list == NULL ? -ENOMEM : 0;

	for (size_t i = 0; r == 0 && i < count; i++)
		r = tell(g, &list[i], each, arg);
	free(list);
	return r;
}

/* ---- the end ---- */

void
dirmoves_stop(struct gate *g)
{
	struct gate_export *x;

	mutex_lock(&g->dirmoves.mutex);
	pthread_cond_broadcast(&g->dirmoves.changed);
	mutex_unlock(&g->dirmoves.mutex);
	LIST_FOREACH(x, &g->exports, link) {
		if (x->relocation.started)
			pthread_join(x->relocation.thread, NULL);
		x->relocation.started = false;
	}
	pool_stop(&g->dirmoves.listers);
}
