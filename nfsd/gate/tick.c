/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a node's timer does: who waits too long, leases, retries and silent
 * writers, each at its time.
 */

#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/cache/cache.h"
#include "nfsd/gate/data/data.h"
#include "nfsd/gate/inside.h"
#include "nfsd/gate/keys/keys.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/path/path.h"
#include "nfsd/gate/pending/pending.h"
#include "nfsd/gate/upload/upload.h"
#include "nfsd/gate/worker/worker.h"
#include "nfsd/gate/writer/writer.h"

/* Wake those whose time is up. */
static uint64_t
wake_due_locked(struct node *n, uint64_t now)
{
	struct gate *g = n->export->gate;
	struct waiter *w, *next;
	uint64_t soonest = 0;

	mutex_must_hold(&n->mutex);
	for (w = TAILQ_FIRST(&n->waiters); w != NULL; w = next) {
		next = TAILQ_NEXT(w, link);
		if (w->until_ms > now) {
			if (soonest == 0 || w->until_ms < soonest)
				soonest = w->until_ms;
			continue;
		}
		TAILQ_REMOVE(&n->waiters, w, link);
		__atomic_sub_fetch(&g->held, 1, __ATOMIC_RELAXED);
		g->config.wake(g->config.wake_arg, w->token);
		free(w);
	}
	return soonest;
}

/* Created, and nothing came: the empty file is what was meant. */
static int
write_flush_empty(struct node *n)
{
	uint64_t now = run_ms(n->export->gate);
	bool due;
	int r = 0;

	node_lock_wait(n);
	mutex_lock(&n->mutex);
	due = !n->dead && n->h.state == META_ACTIVE && n->flush_empty &&
	      n->h_opened_ms + n->export->c.create_settle_ms <= now;
	mutex_unlock(&n->mutex);
	/* Should that fail, the timer comes back. */
	if (due)
		r = write_commit(n, 0, UINT64_MAX, NULL, 0);
	mutex_lock(&n->mutex);
	node_unlock_locked(n);
	mutex_unlock(&n->mutex);
	return r;
}

/* A writer whose machine is at work elsewhere gets more time: it may hold the
 * file open and idle (rule.md 7). */
static uint64_t
lease_locked(const struct node *n, uint64_t run)
{
	uint64_t alive = n->export->c.lease_ms / 9 * 30;

	mutex_must_hold(&n->mutex);
	if (n->lease_ms < n->export->c.lease_ms ||
	    client_last_ms(n->export, n->h.who) + n->lease_ms < run)
		return n->lease_ms;
	return alive > LEASE_ALIVE_MAX_MS ? LEASE_ALIVE_MAX_MS : alive;
}

/* What comes next for this node, and what of it is due (NULL: nothing that
 * takes a thread)? */
static int
(*tick_locked(struct node *n, uint64_t now,
	      struct fetch_list *gone))(struct node *)
{
	uint64_t soonest = wake_due_locked(n, now);
	uint64_t held = fetch_tick_locked(n, now, gone);
	uint64_t run = run_ms(n->export->gate);
	int (*due)(struct node *) = NULL;

#define SOONER(at)                                                            \
	do {                                                                  \
		if (soonest == 0 || (at) < soonest)                           \
			soonest = (at);                                       \
	} while (0)
/* Of that clock, and at the soonest then. */
#define SOONER_RUN(at) SOONER((at) > run ? now + ((at) - run) : now)
	if (held != 0)
		SOONER(held);
	if (n->reserved_client != NULL) {
		if (n->reserved_until_ms <= run) {
			admit_unreserve_locked(n);
		} else {
			SOONER_RUN(n->reserved_until_ms);
		}
	}
	if (n->h.state == META_ACTIVE) {
		uint64_t lease = lease_locked(n, run);
		uint64_t at = n->flush_empty
				      ? n->h_opened_ms +
						n->export->c.create_settle_ms
				      : n->h_last_ms + lease;

		/* Its machine may be found silent before that. */
		if (!n->flush_empty && lease > n->lease_ms)
			SOONER_RUN(client_last_ms(n->export, n->h.who) +
				   n->lease_ms + 1);
		if (at <= run) {
			due = n->flush_empty ? write_flush_empty
					     : write_abandon;
			SOONER(now + 1000);	/* should that fail */
		} else {
			SOONER_RUN(at);
		}
	}
	if (silence_tick_locked(n, run) && due == NULL)
		due = silence_flush;
	/* Sets its own time, where time is what it waits for. */
	upload_schedule_locked(n, false);
	if (soonest != 0)
		node_tick_at_locked(n, soonest);
#undef SOONER_RUN
#undef SOONER
	return due;
}

struct due {			/* what the timer thread hands to a pool */
	struct node *node;
	int (*run)(struct node *n);
};

static void
due_run(void *arg)
{
	struct due *due = arg;

	(void)due->run(due->node);
	node_put(&due->node);
	free(due);
}

#define NO_MEMORY_MS 100	/* there may be some again */

/* Somebody's time has come, or comes, and it is not known whose: each sets his
 * timer once more.  One that is there already does no harm. */
static void
tick_everybody(struct gate *g)
{
	delete_tick(g);
	deletes_timer(g);
	audit_timer(g);
	if (each_node(g, node_tick_anew, NULL) < 0)
		timers_add(&g->timers, clock_ms() + NO_MEMORY_MS, TIMERS_LOST);
}

void
node_tick(void *arg, uint64_t ino)
{
	struct fetch_list gone = LIST_HEAD_INITIALIZER(gone);
	struct gate *g = arg;
	struct node *n = NULL;
	int (*run)(struct node *) = NULL;
	struct due *due;

	if (ino == AUDIT_TICK) {
		audit_tick(g);
		return;
	}
	if (ino == TIMERS_LOST) {
		tick_everybody(g);
		return;
	}
	if (ino == 0) {		/* not a node's: a deletion is to be retried */
		delete_tick(g);
		return;
	}
	n = node_find(g, ino);
	if (n == NULL)
		return;
	mutex_lock(&n->mutex);
	n->tick_ms = 0;
	run = tick_locked(n, clock_ms(), &gone);
	mutex_unlock(&n->mutex);
	fetch_free(&gone);
	if (run != NULL) {
		due = malloc(sizeof(*due));
		if (due != NULL) {
			*due = (struct due){ node_ref(n), run };
			if (pool_add(&g->transfers, NULL, POOL_NEXT, due_run,
				     due) < 0) {
				node_put(&due->node);
				free(due);
			}
		}
	}
	node_put(&n);
}

/* ---- writers that went silent ---- */

int
write_abandon(struct node *n)
{
	struct gate_export *x = n->export;
	char path[512], who[META_CLIENT_MAX];
	bool due, publish = x->c.abandon == GATE_ABANDON_PUBLISH;
	uint64_t due_ms;
	int r = 0;

	path_text(n, path, sizeof(path));
	node_lock_wait(n);
	mutex_lock(&n->mutex);
	due_ms = n->h_last_ms + n->lease_ms;
	due = !n->dead && n->h.state == META_ACTIVE &&
	      due_ms <= run_ms(x->gate);
	strcpy(who, n->h.who);
	mutex_unlock(&n->mutex);
	/* It is we who are silent.  Looked at again in a second (tick). */
	if (due && client_waits(x, who, due_ms))
		due = false;
	if (!due) {
		node_unlock(n);
		return 0;
	}
	gate_say(x->gate, 1,
		 "writer went silent: file=%s client=%s uncommitted=%llu "
		 "policy=%s",
		 path, n->h.who, (unsigned long long)n->uncommitted,
		 publish ? "publish"
		 : x->c.abandon == GATE_ABANDON_DISCARD ? "discard"
							 : "quarantine");
	mutex_lock(&n->mutex);
	/* Without that nothing happens to it, or its COMMIT would be told OK
	 * of bytes that are gone. */
	r = fence_locked(n, n->h.who, publish ? META_FLUSHED : META_FENCED,
			 !publish);
	/* A WRITE under way would come after the others had gone. */
	while (r == 0 && !publish && n->d.writing > 0)
		mutex_wait(&n->mutex, &n->changed, NULL);
	if (r == 0 && x->c.abandon == GATE_ABANDON_DISCARD)
		data_drop_dirty_locked(n);
	mutex_unlock(&n->mutex);
	if (r == 0)
		r = write_commit(n, 0, UINT64_MAX, NULL, 0);
	/* Nothing that S3 lacks, nothing to set aside. */
	if (r == 0 && x->c.abandon == GATE_ABANDON_QUARANTINE &&
	    n->up.pending)
		r = quarantine_keep(n, "its writer went silent");
	node_unlock(n);
	return r;
}
