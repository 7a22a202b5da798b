/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Silence stands for the close that NFSv3 does not have (rule.md 15).
 *
 * Some clients send a closed file's WRITEs at once and their COMMIT half a
 * minute later.  So a writer that has sent nothing about the file for
 * idle_visible_ms shows it: others see what is there, as of that moment
 * (data/shown_map.c).  After idle_flush_ms it is as if its COMMIT had come.
 *
 * Silence counts from the last call about the file that was answered.  A call
 * that is held, waits for a thread or was told to come back is none, nor is
 * one that lies unread in the transport, which is asked for that when the
 * time seems to have come (gate_config.unread_ms).
 */

#include <config.h>

#include <errno.h>

#include "nfsd/gate/node/node.h"
#include "nfsd/gate/path/path.h"
#include "nfsd/gate/worker/worker.h"
#include "nfsd/gate/writer/inside.h"

#define PAUSE_MS 1000		/* shorter ones are none */
#define LOOK_AGAIN_MS 50	/* something may lie unread */

static bool
is_put_off(const struct gate_request *rq, int r)
{
	return r == -EAGAIN &&
	       (rq->again == GATE_HOLD ||
		(rq->again == GATE_NEEDS_THREAD && !rq->may_block));
}

static bool
any_active(const struct node *n)
{
	return __atomic_load_n(&n->export->gate->active,
			       __ATOMIC_RELAXED) > 0;
}

static bool
is_on(const struct node *n)
{
	return n->export->c.idle_visible_ms != 0 ||
	       n->export->c.idle_flush_ms != 0;
}

static bool
is_writers_locked(const struct node *n, const struct gate_request *rq)
{
	mutex_must_hold(&n->mutex);
	return n->h.state == META_ACTIVE && client_holds_locked(n, rq);
}

static void
count_locked(struct node *n, struct gate_request *rq)
{
	mutex_must_hold(&n->mutex);
	if (rq->own != 0)
		return;
	rq->own = n->h.generation;
	n->silence.m.calls++;
	n->silence.m.calls_ms = run_ms(n->export->gate);
}

void
silence_begin(struct node *n, struct gate_request *rq)
{
	if (rq->own != 0 || !is_on(n) || !any_active(n))
		return;
	mutex_lock(&n->mutex);
	if (is_writers_locked(n, rq))
		count_locked(n, rq);
	mutex_unlock(&n->mutex);
}

/* When something is due next, counted from now. */
static uint64_t
first_ms(const struct node *n)
{
	uint64_t visible = n->export->c.idle_visible_ms;
	uint64_t flush = n->export->c.idle_flush_ms;

	return visible == 0 || (flush != 0 && flush < visible) ? flush
							       : visible;
}

static void
answered_locked(struct node *n, bool comes_back)
{
	uint64_t now = run_ms(n->export->gate);

	mutex_must_hold(&n->mutex);
	n->silence.m.answered_ms = now;
	n->silence.m.back_ms = comes_back ? now + n->export->c.reserve_ms : 0;
	node_tick_run_locked(n, now + first_ms(n));
}

void
silence_end(struct node *n, struct gate_request *rq, int r)
{
	if (is_put_off(rq, r) || !is_on(n) ||
	    (rq->own == 0 && !any_active(n)))
		return;
	mutex_lock(&n->mutex);
	if (rq->own != 0 && rq->own == n->h.generation &&
	    n->silence.m.calls > 0) {
		n->silence.m.calls--;
		n->silence.m.calls_ms = run_ms(n->export->gate);
	}
	if (is_writers_locked(n, rq))
		answered_locked(n, r == -EAGAIN);
	mutex_unlock(&n->mutex);
	rq->own = 0;
}

void
silence_opened_locked(struct node *n, struct gate_request *rq)
{
	mutex_must_hold(&n->mutex);
	if (!is_on(n))
		return;
	if (rq != NULL && rq->own != n->h.generation) {
		n->silence.m.calls = 0;
		rq->own = 0;
		count_locked(n, rq);
	}
	answered_locked(n, false);
}

void
silence_recovered_locked(struct node *n)
{
	mutex_must_hold(&n->mutex);
	if (is_on(n))
		answered_locked(n, true);
}

uint64_t
silence_ms_locked(const struct node *n, uint64_t now)
{
	mutex_must_hold(&n->mutex);
	return meta_silent_ms(&n->silence.m, now);
}

bool
silence_broken_locked(const struct node *n, uint64_t now)
{
	uint64_t pause = n->export->c.idle_visible_ms;

	mutex_must_hold(&n->mutex);
	return meta_is_heard(&n->silence.m, pause != 0 ? pause : PAUSE_MS,
			     now);
}

/* The transport is asked only when it matters. */
static bool
is_silent_locked(const struct node *n, uint64_t now, uint64_t for_ms)
{
	const struct gate_export *x = n->export;
	const struct gate_config *c = &x->gate->config;
	uint64_t silent = silence_ms_locked(n, now), unread;

	mutex_must_hold(&n->mutex);
	if (silent < for_ms || for_ms == 0)
		return false;
	unread = c->unread_ms == NULL
			 ? 0
			 : c->unread_ms(c->wake_arg, x->c.identity,
					n->h.who);
	return silent >= for_ms + unread;
}

bool
silence_due_locked(const struct node *n, uint64_t now)
{
	mutex_must_hold(&n->mutex);
	return n->h.state == META_ACTIVE &&
	       is_silent_locked(n, now, n->export->c.idle_flush_ms);
}

static uint64_t
when_locked(const struct node *n, uint64_t now, uint64_t for_ms)
{
	uint64_t at = meta_silent_at(&n->silence.m, for_ms, now);

	mutex_must_hold(&n->mutex);
	return at > now ? at : now + LOOK_AGAIN_MS;
}

bool
silence_tick_locked(struct node *n, uint64_t now)
{
	const struct gate_export_config *c = &n->export->c;
	bool shows = c->idle_visible_ms != 0 && n->silence.changed &&
		     c->reads == GATE_READS_FLUSHED &&
		     (n->d.dirty.count > 0 || n->d.durable.count > 0);

	mutex_must_hold(&n->mutex);
	if (n->h.state != META_ACTIVE)
		return false;
	if (shows && is_silent_locked(n, now, c->idle_visible_ms)) {
		if (shown_take_locked(n) < 0) {
			node_tick_run_locked(n, now + 1000);
		} else {
			n->silence.changed = false;
			__atomic_add_fetch(&n->export->gate->idle_shown, 1,
					   __ATOMIC_RELAXED);
		}
	} else if (shows) {
		node_tick_run_locked(n,
				     when_locked(n, now, c->idle_visible_ms));
	}
	if (c->idle_flush_ms == 0)
		return false;
	if (silence_due_locked(n, now)) {
		node_tick_run_locked(n, now + 1000);	/* should that fail */
		return true;
	}
	node_tick_run_locked(n, when_locked(n, now, c->idle_flush_ms));
	return false;
}

void
silence_tell_locked(const struct node *n, struct gate_handle_info *out)
{
	uint64_t flush = n->export->c.idle_flush_ms, silent;

	mutex_must_hold(&n->mutex);
	if (n->h.state != META_ACTIVE || !is_on(n))
		return;
	silent = silence_ms_locked(n, run_ms(n->export->gate));
	out->silent_ms = silent;
	out->shown = n->shown != NULL;
	if (flush != 0)
		out->flushed_in_ms = silent < flush ? (int64_t)(flush - silent)
						    : 0;
}

void
silence_log(struct node *n, const char *who, uint64_t silent, uint64_t bytes)
{
	char path[512];

	path_text(n, path, sizeof(path));
	gate_say(n->export->gate, 3,
		 "a silent writer counts as having flushed: file=%s client=%s "
		 "silent_ms=%llu uncommitted=%llu", path, who,
		 (unsigned long long)silent, (unsigned long long)bytes);
}
