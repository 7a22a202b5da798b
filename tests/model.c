/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model: see model.h.  A state says, for each of two names, which file
 * bears it, what all see of it (flushed), what its writer sees (live), which
 * cells are not committed, who writes, and what S3 has.  m_step() tries
 * requests that were sent together in every order, each after whatever may
 * have happened unseen (model_states.c), by the rule (model_rule.c).
 */

#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "rpcgen/nfs3.h"
#include "tests/model_priv.h"

/* ---- one step ---- */

/* The file that a request would write or read.  NULL: none. */
static struct file *
wanted(struct state *s, const struct m_op *op, const struct m_seen *seen)
{
	switch (op->kind) {
	case M_WRITE:
	case M_TRUNCATE:
	case M_READ:
		return m_by_number(s, seen->target);
	case M_CREATE:
		return op->how == UNCHECKED && op->to != M_NONE
			       ? &s->f[op->name]
			       : NULL;
	default:
		return NULL;
	}
}

/* Somebody else's flushed file is wanted: a READ starts its upload; who wants
 * to write, after the quiet time, has it reserved besides. */
static void
may_kick(struct m_world *w, struct set *set, const struct m_op *op,
	 const struct m_seen *seen)
{
	for (size_t i = 0, count = set->count; i < count; i++) {
		struct state s = set->list[i];
		struct file *f = wanted(&s, op, seen);

		if (f == NULL || f->state != PENDING ||
		    f->writer == op->client)
			continue;
		if (op->kind == M_READ) {
			f->kicked = 1;
			m_add(set, &s);
			continue;
		}
		if ((f->reserved != 0 && f->reserved != op->client + 1) ||
		    seen->recv_ms < f->last_ms + w->c.quiet_ms)
			continue;
		f->kicked = 1;
		f->reserved = (uint8_t)(op->client + 1);
		f->reserved_until_ms = seen->sent_ms + w->c.reserve_ms;
		f->reserved_latest_ms = seen->recv_ms + w->c.reserve_ms;
		m_add(set, &s);
	}
}

/* Or it waits: because of another that was sent with it, or for a writer that
 * was active when it came and is not when it is answered. */
static void
may_wait(const struct m_world *w, struct set *set, const struct m_op *op,
	 const struct m_seen *seen)
{
	for (size_t i = 0, count = set->count; i < count; i++) {
		struct state s = set->list[i];
		struct file *f = wanted(&s, op, seen);

		if (f == NULL || op->kind == M_READ || f->state == IDLE ||
		    (f->writer == op->client && f->reserved == 0))
			continue;
		m_put_off(w, f, op->client, seen->sent_ms);
		m_add(set, &s);
	}
}

/* Not carried out, or wholly, or refused as a failing machine does. */
static void
unanswered(struct m_world *w, const struct state *s, const struct m_op *op,
	   const struct m_seen *seen, struct set *out)
{
	struct m_seen blind = *seen;

	m_add(out, s);
	blind.status = NFS3_OK;
	blind.has_attr = false;
	m_apply(w, s, op, &blind, out);
	blind.status = NFS3ERR_IO;
	if (m_host_refused(w, &blind))
		m_apply(w, s, op, &blind, out);
}

/* What may have happened before this one, of those sent together with it
 * that are left, took effect. */
static void
one(struct m_world *w, const struct set *in, const struct m_op *const *ops,
    const struct m_seen *seen, size_t count, unsigned left, size_t this,
    struct set *out)
{
	struct set before = { 0 };

	m_add_all(&before, in);
	m_unseen(w, &before, seen[this].recv_ms);
	for (size_t i = 0; i < count; i++) {
		if (left >> i & 1)
			may_kick(w, &before, ops[i], &seen[i]);
		if (left >> i & 1)
			may_wait(w, &before, ops[i], &seen[i]);
	}
	m_unseen(w, &before, seen[this].recv_ms);
	for (size_t i = 0; i < before.count; i++) {
		if (seen[this].status == M_BLIND)
			unanswered(w, &before.list[i], ops[this], &seen[this],
				   out);
		else
			m_apply(w, &before.list[i], ops[this], &seen[this],
				out);
	}
	out->full |= before.full;
	m_drop(&before);
}

static void
orders(struct m_world *w, const struct set *in, const struct m_op *const *ops,
       const struct m_seen *seen, size_t count, unsigned left,
       struct set *out)
{
	if (left == 0) {
		m_add_all(out, in);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		struct set next = { 0 };

		if (!(left >> i & 1))
			continue;
		one(w, in, ops, seen, count, left, i, &next);
		orders(w, &next, ops, seen, count, left & ~(1U << i), out);
		m_drop(&next);
	}
}

/* A reservation does not outlive its time. */
static void
unreserve(struct m_world *w, int64_t now)
{
	struct set out = { 0 };

	for (size_t i = 0; i < w->now.count; i++) {
		struct state s = w->now.list[i];

		for (unsigned k = 0; k < M_NAMES; k++) {
			if (s.f[k].reserved != 0 &&
			    now > s.f[k].reserved_latest_ms)
				s.f[k].reserved = 0;
		}
		m_add(&out, &s);
	}
	m_drop(&w->now);
	w->now = out;
}

bool
m_step(struct m_world *w, const struct m_op *const *ops,
       const struct m_seen *seen, size_t count)
{
	struct set out = { 0 };

	for (size_t i = 0; i < count; i++) {
		/* A time that the client sets needs no guessing. */
		if (ops[i]->kind == M_MTIME) {
			w->known[ops[i]->id] = true;
			w->mtime_ns[ops[i]->id] = ops[i]->arg * 1000000000LL;
		}
	}
	w->bound = w->bind_differs = false;
	unreserve(w, seen[0].sent_ms);
	orders(w, &w->now, ops, seen, count, (1U << count) - 1, &out);
	w->full |= out.full;
	if (out.count == 0) {
		m_drop(&out);	/* keep the last good set for the report */
		return false;
	}
	if (count == 1 && w->bound && !w->bind_differs && w->bind != 0 &&
	    !w->known[w->bind]) {
		w->known[w->bind] = true;
		w->mtime_ns[w->bind] = seen[0].mtime_ns;
	}
	m_drop(&w->now);
	w->now = out;
	return true;
}

/* ---- what is done to the daemon ---- */

void
m_fault(struct m_world *w, enum m_fault fault, int64_t now_ms)
{
	m_unseen(w, &w->now, now_ms);
	if (w->refusing && fault != M_REFUSING)
		w->refusing_until_ms = now_ms;
	if (!w->refusing && fault == M_REFUSING)
		w->refusing_since_ms = now_ms;
	w->refusing = fault == M_REFUSING;
	w->slow |= fault == M_SLOW;
}

/* Uncommitted bytes are gone, reservations too; handles may or may not have
 * been on disk; whatever is dirty is uploaded anew. */
static void
crashed(const struct m_world *w, const struct state *s, int64_t now_ms,
	struct set *out)
{
	for (unsigned k = 0; k < 64; k++) {
		struct state n = *s;
		unsigned choice[M_NAMES] = { k % 4, k / 4 % 4 };
		bool forgets[M_NAMES] = { k & 16, k & 32 };

		for (unsigned i = 0; i < M_NAMES; i++) {
			struct file *f = &n.f[i];

			if (f->number == 0)
				continue;
			n.lost = 0;
			f->may_be_owed |= f->owed_opener | f->waited;
			f->reserved = f->waited = f->owed_opener = 0;
			/* Rows of fenced writers are there when somebody else
			 * has begun to write, and say no more than that. */
			f->hazy |= f->fenced;
			f->fenced = f->discarded = 0;
			/* Those of who was silent, until it COMMITs. */
			if (forgets[i] || w->c.flush_ms == 0)
				f->lapsed = 0;
			m_unshow(f);
			f->live = f->hardened ? f->hard : f->flushed;
			f->live_mtime = f->hardened ? 0 : f->mtime;
			f->uncommitted = 0;
			f->kicked = 1;
			f->riding = f->dirty;
			memset(f->refused_ms, 0, sizeof(f->refused_ms));
			memset(f->put_off_ms, 0, sizeof(f->put_off_ms));
			if (f->state == ACTIVE) {
				/* As a writer, as one from before, not at
				 * all, as one that has only created it. */
				f->last_ms = f->opened_ms = now_ms;
				if (f->hardened)
					continue;
				if (choice[i] == 1)
					f->state = PENDING, f->dirty = 1;
				else if (choice[i] == 2 && !f->created)
					f->state = IDLE;
				else if (choice[i] == 3)
					f->created = f->born;
			}
		}
		m_add(out, &n);
	}
}

void
m_crash(struct m_world *w, int64_t now_ms)
{
	struct set out = { 0 };

	m_unseen(w, &w->now, now_ms);
	for (size_t i = 0; i < w->now.count; i++)
		crashed(w, &w->now.list[i], now_ms, &out);
	w->full |= out.full || w->now.full;
	m_drop(&w->now);
	w->now = out;
}

bool
m_uploaded(struct m_world *w, int64_t now_ms)
{
	struct set out = { 0 };

	for (size_t i = 0; i < w->now.count; i++) {
		struct state s = w->now.list[i];

		for (unsigned k = 0; k < M_NAMES; k++)
			s.f[k].kicked |= s.f[k].dirty;
		m_add(&out, &s);
	}
	m_unseen(w, &out, now_ms);
	w->full |= out.full;
	m_drop(&w->now);
	w->now = out;
	out = (struct set){ 0 };
	for (size_t i = 0; i < w->now.count; i++) {
		bool all = true;

		for (unsigned k = 0; k < M_NAMES; k++) {
			const struct file *f = &w->now.list[i].f[k];

			all &= f->number == 0 || !f->dirty;
		}
		if (all)
			m_add(&out, &w->now.list[i]);
	}
	if (out.count == 0)
		return false;
	m_drop(&w->now);
	w->now = out;
	return true;
}

bool
m_bucket(struct m_world *w, unsigned name, const void *data, int64_t len)
{
	struct set out = { 0 };

	for (size_t i = 0; i < w->now.count; i++) {
		const struct file *f = &w->now.list[i].f[name];

		if (f->number == 0 ? len < 0
				   : len == m_bound[f->flushed.cells] &&
					     m_bytes_are(&f->flushed, 0,
						       (uint32_t)len, data))
			m_add(&out, &w->now.list[i]);
	}
	if (out.count == 0)
		return false;
	m_drop(&w->now);
	w->now = out;
	return true;
}

/* ---- life ---- */

struct m_world *
m_world_new(const struct m_config *config, bool refuses)
{
	struct m_world *w = calloc(1, sizeof(*w));
	struct state empty;

	if (w == NULL)
		abort();
	w->c = *config;
	w->refuses = refuses;
	w->refusing_until_ms = w->host_until_ms = INT64_MIN / 2;
	memset(&empty, 0, sizeof(empty));
	m_add(&w->now, &empty);
	return w;
}

void
m_world_free(struct m_world **w)
{
	if (*w != NULL)
		m_drop(&(*w)->now);
	free(*w);
	*w = NULL;
}

size_t
m_states(const struct m_world *w)
{
	return w->now.count;
}

bool
m_undecided(const struct m_world *w)
{
	return w->full;
}
