/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program watches itself: four sentences of the design hold at any time,
 * or somebody is told.
 *
 *	one writer		never two active writers of one file
 *	one upload a key	never two changes of one key at once
 *	no byte astray		what was committed is in the staging area, in
 *				quarantine or in the bucket
 *	reservations end	none outlives its time
 *
 * Some of it is looked at where it would go wrong: when a writer is let in,
 * when bytes are staged (pending/invariant.c), before the request that changes
 * an object (upload/progress.c).  The rest is the audit's, which passes all
 * nodes every ten seconds, takes no lock for longer than a look and asks the
 * disk only about files with staged bytes.  What it sees must be there in two
 * passes running: nodes change while it walks.  Each failure is told once as
 * long as it lasts, in one line with file and client, and counted (`s3nfsctl
 * status`).  Nothing is mended here.
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nfsd/gate/data/data.h"
#include "nfsd/gate/inside.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/pending/pending.h"
#include "nfsd/gate/worker/worker.h"

#define PASS_MS 10000
#define LATE_MS 1000		/* a timer may be that late */
#define BAD_ROWS_MAX 16		/* of one pass */

enum {
	SEES_RESERVED = 1, SEES_STUCK = 2, SEES_UNSENT = 4, SEES_ASTRAY = 8,
	SEES_DIRTY = 16, SEES_ROWS = 32,
};

static const struct {
	unsigned sees;
	const char *what;
} names[] = {
	{ SEES_RESERVED, "a reservation has outlived its time" },
	{ SEES_STUCK, "nothing will end a flushed handle" },
	{ SEES_UNSENT, "no upload is due for committed bytes" },
	{ SEES_ASTRAY, "committed bytes are not in the staging area" },
	{ SEES_DIRTY, "uncommitted bytes without a writer" },
	{ SEES_ROWS, "two writers of one file in the database" },
};

/* Files that have two rows of writers. */
struct rows {
	uint64_t last, bad[BAD_ROWS_MAX];
	size_t count;
};

static int
look_at_row(void *arg, const struct meta_handle *h)
{
	struct rows *rows = arg;

	if (h->state != META_ACTIVE && h->state != META_FLUSHED &&
	    h->state != META_UPLOADING && h->state != META_FINISHING)
		return 0;
	if (h->ino == rows->last && rows->count < BAD_ROWS_MAX)
		rows->bad[rows->count++] = h->ino;
	rows->last = h->ino;
	return 0;
}

static bool
is_idle_locked(const struct node *n)
{
	mutex_must_hold(&n->mutex);
	return !n->up.pending && n->up.run == UP_IDLE && !n->locked;
}

/* Where the last staged byte lies in the data file; 0: none is in one. */
static uint64_t
file_end_locked(const struct node *n)
{
	const struct extents *const maps[] = { &n->d.staged, &n->d.durable };
	uint64_t end = 0;

	mutex_must_hold(&n->mutex);
	for (size_t m = 0; n->d.memory == NULL && m < 2; m++) {
		for (size_t i = 0; i < maps[m]->count; i++) {
			const struct meta_extent *e = &maps[m]->list[i];

			if (e->at + e->len > end)
				end = e->at + e->len;
		}
	}
	return end;
}

static unsigned
look_locked(const struct node *n, uint64_t now)
{
	unsigned sees = 0;

	mutex_must_hold(&n->mutex);
	if (n->reserved_client != NULL && n->reserved_until_ms + LATE_MS < now)
		sees |= SEES_RESERVED;
	if (n->h.state == META_FLUSHED && is_idle_locked(n))
		sees |= SEES_STUCK;
	if (n->d.staged.count > 0 && is_idle_locked(n) && !n->i.local_only &&
	    n->h.state != META_ACTIVE)
		sees |= SEES_UNSENT;
	if (n->d.dirty.count + n->d.durable.count > 0 &&
	    n->h.state != META_ACTIVE && !n->locked)
		sees |= SEES_DIRTY;
	return sees;
}

static bool
lacks_bytes(const struct node *n, uint64_t end)
{
	struct stat st;
	char name[32];

	data_file_name(n->ino, name);
	if (fstatat(n->export->gate->data_dir, name, &st, 0) < 0)
		return errno == ENOENT;
	return (uint64_t)st.st_size < end;
}

static int
pass_node(void *arg, struct node *n)
{
	const struct rows *rows = arg;
	uint64_t end, version;
	unsigned sees, tell;
	bool astray;

	mutex_lock(&n->mutex);
	end = n->dead ? 0 : file_end_locked(n);
	version = n->content_version;
	mutex_unlock(&n->mutex);
	astray = end > 0 && lacks_bytes(n, end);
	mutex_lock(&n->mutex);
	sees = n->dead ? 0 : look_locked(n, run_ms(n->export->gate));
	if (astray && !n->dead && version == n->content_version &&
	    file_end_locked(n) == end)
		sees |= SEES_ASTRAY;
	for (size_t i = 0; i < rows->count; i++)
		sees |= rows->bad[i] == n->ino ? SEES_ROWS : 0;
	tell = sees & n->audit_sees & ~n->audit_told;
	n->audit_sees = (uint8_t)sees;
	n->audit_told = (uint8_t)((n->audit_told & sees) | tell);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (tell & names[i].sees)
			audit_broken_locked(n, names[i].what,
					    names[i].sees == SEES_RESERVED
						    ? n->reserved_client
						    : n->h.who);
	}
	mutex_unlock(&n->mutex);
	return 0;
}

/* The first whose bytes are not there. */
struct quarantined {
	struct gate *g;
	uint64_t id;
	char path[512], who[META_CLIENT_MAX];
};

static int
look_at_quarantined(void *arg, const struct meta_quarantine *q)
{
	struct quarantined *k = arg;
	char name[64];

	quarantine_file_name(q->id, name);
	if (q->bytes == 0 || faccessat(k->g->data_dir, name, F_OK, 0) == 0 ||
	    errno != ENOENT)
		return 0;
	k->id = q->id;
	snprintf(k->path, sizeof(k->path), "%s", q->path);
	snprintf(k->who, sizeof(k->who), "%s", q->who);
	return 1;
}

static void
pass_quarantine(struct gate *g)
{
	struct quarantined k = { .g = g };
	bool moving;

	if (meta_each_quarantine(g->meta, look_at_quarantined, &k) < 0)
		return;
	/* A row is there a moment before its file, or longer on a busy
	 * machine. */
	mutex_lock(&g->mutex);
	moving = g->setting_aside > 0;
	mutex_unlock(&g->mutex);
	if (moving)
		k.id = 0;
	if (k.id != 0 && k.id == g->audit_missing && k.id != g->audit_told) {
		g->audit_told = k.id;
		audit_broken(g, "quarantined bytes are gone",
			     "file=%s client=%s id=%llu", k.path, k.who,
			     (unsigned long long)k.id);
	}
	g->audit_missing = k.id;
}

void
audit_pass(struct gate *g)
{
	struct rows rows = { 0 };

	there_look(g);
	/* Without memory or disk it looks again in ten seconds. */
	if (meta_each_handle(g->meta, 0, look_at_row, &rows) < 0)
		rows.count = 0;
	(void)!each_node(g, pass_node, &rows);
	pass_quarantine(g);
}

static uint64_t
pass_ms(void)
{
#ifdef FAILPOINTS
	const char *text = getenv("S3NFSD_WATCH_MS");

	if (text != NULL)
		return strtoull(text, NULL, 10);
#endif
	return PASS_MS;
}

void
audit_start(struct gate *g)
{
	uint64_t next = clock_ms() + pass_ms();

	__atomic_store_n(&g->audit_ms, next, __ATOMIC_RELAXED);
	timers_add(&g->timers, next, AUDIT_TICK);
}

void
audit_timer(struct gate *g)
{
	timers_add(&g->timers, __atomic_load_n(&g->audit_ms, __ATOMIC_RELAXED),
		   AUDIT_TICK);
}

static void
audit_job(void *arg)
{
	struct gate *g = arg;

	if (__atomic_load_n(&g->stopping, __ATOMIC_RELAXED))
		return;
	audit_pass(g);
	epoch_tick(g);
	again_tick(g);
	audit_start(g);
}

void
audit_tick(struct gate *g)
{
	uint64_t next = __atomic_load_n(&g->audit_ms, __ATOMIC_RELAXED);

	/* Of two timers the second comes too early, or for one at work. */
	if (next == 0 || next > clock_ms())
		return;
	__atomic_store_n(&g->audit_ms, 0, __ATOMIC_RELAXED);
	if (pool_add(&g->transfers, NULL, POOL_NEXT, audit_job, g) < 0)
		audit_start(g);
}
