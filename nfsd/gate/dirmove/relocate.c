/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Relocating objects to the keys that their names spell, after a directory
 * above them was renamed.
 *
 * One thread an export goes over the inodes that are marked, in the order of
 * their old keys, and sends each off as an upload (upload/upload.c,
 * upload/send.c): a copy inside the store, pinned to the version that was
 * listed, then the transaction that records the new key and the deletion of the
 * old one.  At most RELOCATE_AT_ONCE are on their way, so that clients' own
 * uploads, which have their own threads, are not kept waiting, and memory does
 * not grow with the directory.  Nothing is relocated before its whole source is
 * listed.
 *
 * What fails stays marked and is met by the next pass, after a pause that
 * grows.  A move is over when no inode below its source is marked any more,
 * and the source, listed once more, has nothing that belongs to it.  As long as
 * that listing tells keys that have left, it lags, and may lack others: the
 * move stays, and with it what keeps the old directory from being shown again.
 */

#include <config.h>

#include <errno.h>
#include <string.h>
#include <time.h>

#include "nfsd/gate/change/change.h"
#include "nfsd/gate/dirmove/inside.h"
#include "nfsd/gate/keys/keys.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/path/path.h"
#include "nfsd/gate/pending/pending.h"
#include "nfsd/gate/upload/upload.h"
#include "nfsd/gate/worker/worker.h"

#define BATCH 128
#define WAIT_MS 50		/* for what somebody else is at work on */
#define RETRY_FIRST_MS 500
#define RETRY_MAX_MS 30000
#define LOOK_FIRST_MS 100	/* while listings lag */
#define LOOK_MAX_MS 10000

static bool
stopping(struct gate *g)
{
	return __atomic_load_n(&g->stopping, __ATOMIC_RELAXED);
}

/* It went back to the key where its object lies. */
static int
unmark_at_home(struct node *n)
{
	CLEANUP_INODE struct meta_inode row = { 0 };
	int r = upload_copy_row(n, &row);

	if (r < 0)
		return r;
	dirmove_mark(&row, row.base_key);
	return upload_put_row(n, &row);
}

/* 1: it is off, or done, or waits for a listing, whose end wakes us; 0: it
 * has to wait. */
static int
relocate_one(struct gate_export *x, uint64_t ino)
{
	struct gate *g = x->gate;
	char key[META_KEY_MAX + 2];
	struct node *n = NULL;
	int r = node_get(g, ino, true, &n), started = 0;

	if (r < 0)
		return r == -ESTALE ? 1 : r;
	node_lock_wait(n);
	r = path_key(n, key);
	if (r == 0 && n->i.relocating && !n->dead &&
	    strcmp(key, n->i.base_key) == 0)
		r = unmark_at_home(n);
	node_unlock(n);
	if (dirmove_lists(n)) {
		node_put(&n);
		return 1;
	}
	if (r == -ENAMETOOLONG) {
		dirmove_failed(n->export, n->i.base_key, DIRMOVE_TOO_LONG);
		node_put(&n);
		return 0;
	}
	dirmove_wait_for_room(x, 1);
	meta_ease(g->meta);	/* deletions post, too */
	mutex_lock(&n->mutex);
	if (!n->i.relocating || n->dead) {
		started = 1;
	} else if (n->up.run == UP_IDLE && !stopping(g) &&
		   (!n->up.pending || n->up.rowless)) {
		/* With changes of its own it goes with those. */
		struct node *ref = node_ref(n);

		n->up.pending = n->up.rowless = n->up.by_relocation = true;
		n->up.run = UP_QUEUED;
		mutex_lock(&g->dirmoves.mutex);
		x->relocation.in_flight++;
		mutex_unlock(&g->dirmoves.mutex);
		started = schedule_add(&n->export->schedule, ref,
				       UPLOAD_RELOCATION) == 0;
		if (!started) {
			n->up.pending = n->up.rowless = false;
			n->up.by_relocation = false;
			n->up.run = UP_IDLE;
			mutex_lock(&g->dirmoves.mutex);
			x->relocation.in_flight--;
			mutex_unlock(&g->dirmoves.mutex);
			node_put(&ref);
		}
	}
	mutex_unlock(&n->mutex);
	node_put(&n);
	return started;
}

/* ---- the end of a move ---- */

/* Is there anything left that belongs to it?  1: no. */
static int
look_again(struct dirmove *m, bool *lags)
{
	struct dirmove_cursor at = { .token = NULL };
	uint64_t found = 0;
	int r;

	do {
		r = dirmove_list_page(m, true, &at, &found);
	} while (r == 1 && !stopping(m->x->gate));
	if (r >= 0)
		m->look_from += DIRMOVE_LOOKS;
	dirmove_cursor_fini(&at);
	*lags = at.lags;
	return r < 0 ? r : found == 0;
}

/* The listing is behind.  True: for longer than any does; those keys stay in
 * it for another reason. */
static bool
lagged_enough(struct dirmove *m)
{
	uint64_t now = clock_ms(), wait = 2 * m->look_wait_ms;

	if (m->lagging_ms == 0)
		m->lagging_ms = now;
	m->look_wait_ms = wait < LOOK_FIRST_MS ? LOOK_FIRST_MS
			  : wait > LOOK_MAX_MS ? LOOK_MAX_MS : wait;
	m->look_ms = now + m->look_wait_ms;
	mutex_lock(&m->x->gate->dirmoves.mutex);
	m->lagging = true;
	mutex_unlock(&m->x->gate->dirmoves.mutex);
	return m->lagging_ms < hidden_lag_from(now);
}

/* There is something to relocate, which somebody may wait for. */
static void
is_owed(struct dirmove *m)
{
	m->lagging_ms = 0;
	mutex_lock(&m->x->gate->dirmoves.mutex);
	m->lagging = false;
	mutex_unlock(&m->x->gate->dirmoves.mutex);
}

static int
finish(struct dirmove *m)
{
	struct gate *g = m->x->gate;
	struct meta_dirmove row = m->row;
	struct meta_batch *b;
	struct node *dir = NULL;
	char path[4096] = "?";
	bool lags = false;
	int r = look_again(m, &lags);

	if (r == 0)
		is_owed(m);
	if (r != 1)
		return r;
	if (lags && !lagged_enough(m))
		return 0;
	b = meta_batch_new();
	if (b != NULL)
		meta_del_dirmove(b, m->row.id);
	failpoint("dirmove-end-before-commit");
	r = meta_commit(g->meta, &b);
	failpoint("dirmove-end-after-commit");
	if (r < 0)
		return r;
	if (node_get(g, m->row.ino, true, &dir) == 0)
		path_text(dir, path, sizeof(path));
	node_put(&dir);
	gate_say(g, 2, "a renamed directory has moved: path=%s from=%s "
		 "objects=%llu bytes=%llu ms=%lld", path, row.source,
		 (unsigned long long)row.objects,
		 (unsigned long long)row.bytes,
		 (long long)(s3_clock_ns(m->x->s3) - row.since_ns) / 1000000);
	dirmove_undo(m);
	mutex_lock(&g->mutex);
	pthread_cond_broadcast(&g->progress);
	mutex_unlock(&g->mutex);
	return 1;
}

/* The first of the export's, from m on.  dirmoves.mutex held. */
static struct dirmove *
own_transition_locked(const struct gate_export *x, struct dirmove *m)
{
	while (m != NULL && m->x != x)
		m = LIST_NEXT(m, link);
	return m;
}

/* Does it wait for a listing?  Else it has to be looked after soon. */
static uint64_t
wait_of(const struct dirmove *m, uint64_t now)
{
	return m->look_ms > now + WAIT_MS ? m->look_ms - now : WAIT_MS;
}

/* The moves that are listed and have nothing left.  Some ms: something is, and
 * is to be looked after then. */
static uint64_t
finish_all(struct gate_export *x)
{
	struct gate *g = x->gate;
	struct dirmove *m, *next;
	uint64_t left = 0, wait;

	mutex_lock(&g->dirmoves.mutex);
	for (m = own_transition_locked(x, LIST_FIRST(&g->dirmoves.list));
	     m != NULL; m = next) {
		uint64_t count = 0, bytes;
		bool ready = m->row.listed;
		int r;

		/* Only this thread takes its own off the list. */
		next = own_transition_locked(x, LIST_NEXT(m, link));
		mutex_unlock(&g->dirmoves.mutex);
		if (ready) {
			/* In this order: an upload that has ended is in
			 * doubt until its row is written, and one that is
			 * that no more may be relocated since. */
			bool busy = keys_busy_below(m->x, m->row.source);
			bool lost = busy || indoubt_below(m->x, m->row.source);

			r = meta_count_relocating(
			    g->meta, m->x->id, m->row.source, &count, &bytes);
			if (r == 0 && count == 0 && !lost &&
			    m->look_ms <= clock_ms())
				r = finish(m);
			wait = r == 1 ? 0 : wait_of(m, clock_ms());
			if (wait != 0 && (left == 0 || wait < left))
				left = wait;
		}
		mutex_lock(&g->dirmoves.mutex);
	}
	mutex_unlock(&g->dirmoves.mutex);
	return left;
}

/* ---- passes ---- */

struct batch {
	uint64_t inos[BATCH];
	size_t count;
	char after[META_KEY_MAX + 2];
};

static int
take_relocating(void *arg, uint64_t ino, const char *key)
{
	struct batch *b = arg;

	b->inos[b->count++] = ino;
	strcpy(b->after, key);
	return 0;
}

/* All of an export once.  *waiting: some could not be sent off. */
static int
pass(struct gate_export *x, bool *waiting)
{
	struct gate *g = x->gate;
	struct batch b = { .count = BATCH };
	int r = 0;

	while (r == 0 && b.count == BATCH && !stopping(g)) {
		b.count = 0;
		r = meta_each_relocating(
			g->meta,
			&(struct meta_keys){ x->id, "", b.after, BATCH },
			take_relocating, &b);
		for (size_t i = 0; r == 0 && i < b.count && !stopping(g);
		     i++) {
			int one = relocate_one(x, b.inos[i]);

			*waiting |= one == 0;
			r = one < 0 ? one : 0;
		}
	}
	dirmove_wait_for_room(x, RELOCATE_AT_ONCE);
	return r;
}

static void
begin_pass(struct gate_export *x)
{
	struct gate *g = x->gate;
	struct dirmove *m;

	mutex_lock(&g->dirmoves.mutex);
	x->relocation.woken = g->dirmoves.wakes;
	x->relocation.failed = 0;
	LIST_FOREACH(m, &g->dirmoves.list, link) {
		if (m->x == x)
			m->failed = 0;
	}
	mutex_unlock(&g->dirmoves.mutex);
}

/* Until there is something to do: a listing has ended, or time is up. */
static void
sleep_until_woken(struct gate_export *x, uint64_t ms)
{
	struct gate *g = x->gate;
	struct dirmoves *all = &g->dirmoves;
	uint64_t until = clock_ms() + ms;
	struct timespec ts = { (time_t)(until / 1000),
			       (long)(until % 1000) * 1000000 };
	int r = 0;

	mutex_lock(&all->mutex);
	while (r == 0 && all->wakes == x->relocation.woken && !stopping(g)) {
		if (ms == 0)
			mutex_wait(&all->mutex, &all->changed, NULL);
		else
			r = mutex_wait(&all->mutex, &all->changed,
						   &ts);
	}
	mutex_unlock(&all->mutex);
}

void *
relocate_main(void *arg)
{
	struct gate_export *x = arg;
	struct gate *g = x->gate;
	uint64_t retry = RETRY_FIRST_MS;

	while (!stopping(g)) {
		bool waiting = false;
		uint64_t failed, left;
		int r;

		begin_pass(x);
		r = pass(x, &waiting);
		left = finish_all(x);
		mutex_lock(&g->dirmoves.mutex);
		failed = x->relocation.failed;
		mutex_unlock(&g->dirmoves.mutex);
		if (failed > 0 || r < 0) {
			sleep_until_woken(x, retry);
			retry = retry * 2 < RETRY_MAX_MS ? retry * 2
							 : RETRY_MAX_MS;
			continue;
		}
		retry = RETRY_FIRST_MS;
		sleep_until_woken(x, waiting ? WAIT_MS : left);
	}
	return NULL;
}
