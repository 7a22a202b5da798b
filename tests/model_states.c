/* SPDX-License-Identifier: Apache-2.0 */
/*
 * States of the model (model_priv.h): contents, sets, and the moves that need
 * no request: an upload ends or is refused, a reservation or a lease is over,
 * an empty new file has settled.
 */

#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "rpcgen/nfs3.h"
#include "tests/model_priv.h"

const uint32_t m_bound[M_CELLS + 1] = {
	0, 1, 100, 4096, 4097, 8192, 20000, 40000, 65536, 65537, 100000,
	131072
};

/* ---- bytes ---- */

void
m_fill(uint16_t value, uint32_t from, uint32_t to, void *out)
{
	unsigned char *p = out;
	uint32_t x;

	for (uint32_t i = from; i < to; i++) {
		x = (i + 1) * 2654435761U ^ (value * 40503U + 1) * 2246822519U;
		*p++ = value == 0 ? 0 : (unsigned char)((x >> 24) ^ (x >> 9));
	}
}

bool
m_bytes_are(const struct content *c, uint32_t from, uint32_t to,
	  const void *data)
{
	unsigned char want[40000];	/* the largest cell */

	for (unsigned i = 0; i < M_CELLS && m_bound[i] < to; i++) {
		uint32_t a = m_bound[i], b = m_bound[i + 1];

		if (b <= from)
			continue;
		if (a < from)
			a = from;
		if (b > to)
			b = to;
		m_fill(c->cell[i], a, b, want);
		if (memcmp(want, (const char *)data + (a - from), b - a) != 0)
			return false;
	}
	return true;
}

void
m_resize(struct content *c, unsigned cells)
{
	for (unsigned i = cells; i < M_CELLS; i++)
		c->cell[i] = 0;
	c->cells = (uint16_t)cells;
}

/* ---- sets ---- */

static uint64_t
hash_of(const struct state *s)
{
	const uint32_t *at = (const void *)s;
	uint64_t h = 0xcbf29ce484222325ULL;

	for (size_t i = 0; i < sizeof(*s) / sizeof(*at); i++)
		h = (h ^ at[i]) * 0x100000001b3ULL;
	return h;
}

/* All of its bits. */
static size_t
slot(uint64_t hash)
{
	return (size_t)(hash ^ hash >> 32);
}

/* Twice the room, and an index to twice of that. */
static void
grow(struct set *set)
{
	size_t mask;

	set->room = set->room ? set->room * 2 : 16;
	mask = set->room * 2 - 1;
	set->list = realloc(set->list, set->room * sizeof(*set->list));
	set->hash = realloc(set->hash, set->room * sizeof(*set->hash));
	free(set->index);
	set->index = calloc(mask + 1, sizeof(*set->index));
	if (set->list == NULL || set->hash == NULL || set->index == NULL)
		abort();
	for (size_t i = 0; i < set->count; i++) {
		size_t at = slot(set->hash[i]) & mask;

		while (set->index[at] != 0)
			at = (at + 1) & mask;
		set->index[at] = (uint32_t)i + 1;
	}
}

static void
add_hashed(struct set *set, const struct state *s, uint64_t hash)
{
	size_t mask, at;

	if (set->count == set->room)
		grow(set);
	mask = set->room * 2 - 1;
	for (at = slot(hash) & mask; set->index[at] != 0;
	     at = (at + 1) & mask) {
		size_t i = set->index[at] - 1;

		if (set->hash[i] == hash &&
		    memcmp(&set->list[i], s, sizeof(*s)) == 0)
			return;
	}
	if (set->count == STATES_MAX) {
		set->full = true;
		return;
	}
	set->hash[set->count] = hash;
	set->list[set->count++] = *s;
	set->index[at] = (uint32_t)set->count;
}

/* What nothing follows from any more is the same in all. */
static void
forget(struct file *f)
{
	if (f->number == 0)
		memset(f, 0, sizeof(*f));
	if (f->state != ACTIVE) {
		memset(&f->live, 0, sizeof(f->live));
		f->live_mtime = 0;
	}
	if (f->state == IDLE)
		f->last_ms = f->writer = 0;
	if (f->state != ACTIVE || !f->created)
		f->opened_ms = 0;
	if (f->kicked || !f->dirty)
		f->due_ms = 0;
	if (!f->has_shown)
		f->shown_mtime = 0;
	if (f->reserved == 0)
		f->reserved_until_ms = f->reserved_latest_ms = 0;
	if (f->owed_opener == 0)
		f->owed_until_ms = 0;
}

void
m_add(struct set *set, const struct state *s)
{
	struct state n = *s;

	for (unsigned i = 0; i < M_NAMES; i++)
		forget(&n.f[i]);
	add_hashed(set, &n, hash_of(&n));
}

void
m_add_all(struct set *set, const struct set *from)
{
	for (size_t i = 0; i < from->count; i++)
		add_hashed(set, &from->list[i], from->hash[i]);
	set->full |= from->full;
}

void
m_drop(struct set *set)
{
	free(set->list);
	free(set->hash);
	free(set->index);
	*set = (struct set){ 0 };
}

struct file *
m_by_number(struct state *s, uint16_t number)
{
	for (unsigned i = 0; i < M_NAMES; i++) {
		if (s->f[i].number == number && number != 0)
			return &s->f[i];
	}
	return NULL;
}

/* ---- what happens unseen ---- */

void
m_unshow(struct file *f)
{
	memset(&f->shown, 0, sizeof(f->shown));
	f->has_shown = f->shown_mtime = 0;
}

void
m_opened(struct file *f, unsigned client, int64_t ms)
{
	if (f->state != ACTIVE) {
		f->live = f->flushed;
		f->live_mtime = f->mtime;
		f->uncommitted = f->hardened = 0;
		memset(&f->hard, 0, sizeof(f->hard));
		m_unshow(f);
		f->riding = f->state == IDLE && f->dirty;
	}
	/* Who lost it without its own doing must look again. */
	if (f->state == IDLE || f->writer != client) {
		f->fenced |= f->lapsed & (uint8_t)~(1U << client);
		f->lapsed = 0;
	}
	f->lapsed &= (uint8_t)~(1U << client);
	f->state = ACTIVE;
	f->writer = (uint8_t)client;
	f->created = 0;
	f->reserved = 0;
	f->waited &= (uint8_t)~(1U << client);
	f->refused_ms[client] = 0;
	f->last_ms = ms;
}

void
m_harden(const struct m_world *w, struct file *f, unsigned from, unsigned to,
       int64_t ms)
{
	unsigned range = ((1U << to) - 1) & ~((1U << from) - 1);
	unsigned taken = f->uncommitted & range;

	f->uncommitted &= (uint16_t)~range;
	if (f->uncommitted != 0 && taken != 0) {
		/* Nobody sees it but its writer, and a crash. */
		if (f->hardened == 0)
			f->hard = f->flushed;
		for (unsigned i = 0; i < M_CELLS; i++) {
			if (!(taken >> i & 1))
				continue;
			f->hard.cell[i] = f->live.cell[i];
			if (f->hard.cells < i + 1)
				f->hard.cells = (uint16_t)(i + 1);
		}
		f->hardened |= (uint16_t)taken;
	}
	if (f->uncommitted == 0) {
		if (taken != 0 || f->hardened != 0) {
			f->mtime = f->live_mtime;
			f->dirty = 1;
			f->riding = 0;
			f->due_ms = ms + w->c.settle_ms;
		}
		f->flushed = f->live;
		f->hardened = 0;
		memset(&f->hard, 0, sizeof(f->hard));
		f->state = PENDING;
		m_unshow(f);
		f->created = f->born = 0;
		f->kicked = 0;
	}
}

void
m_put_off(const struct m_world *w, struct file *f, unsigned client,
	  int64_t ms)
{
	if (w->refuses)
		f->waited |= (uint8_t)(1U << client);
	if (w->c.busy_limit_ms < LONG_MS && f->refused_ms[client] == 0)
		f->refused_ms[client] = ms;
}

static void
stored(const struct m_world *w, struct file *f)
{
	if (w->refuses)
		f->object = f->flushed;
	f->has_object = 1;
	f->dirty = f->kicked = f->riding = 0;
	if (f->state == PENDING)
		f->state = IDLE;
}

/* Refused for good: back to what S3 has, and whoever wrote or waits is owed
 * an error. */
static void
failed(struct state *s, struct file *f, int64_t until_ms)
{
	if (f->state == PENDING && !(f->fenced >> f->writer & 1)) {
		f->owed_writer |= (uint8_t)(1U << f->writer);
		f->lapsed &= (uint8_t)~(1U << f->writer);
	}
	if (f->reserved != 0)
		f->owed_opener |= (uint8_t)(1U << (f->reserved - 1));
	f->owed_until_ms = until_ms;
	f->may_be_owed |= f->waited;
	f->waited = 0;
	f->reserved = 0;
	f->state = IDLE;
	f->dirty = f->kicked = 0;
	if (f->has_object) {
		f->flushed = f->object;
		/* The object's, once somebody has asked S3 for them. */
		f->mode = ANY_MODE;
		f->mtime = f->live_mtime = 0;
		return;
	}
	for (unsigned i = 0; i < ORPHANS; i++) {
		if (s->orphans[i] == 0) {
			s->orphans[i] = f->number;
			s->orphan_owed[i] = f->owed_writer | f->owed_opener |
					    f->may_be_owed;
			s->orphan_fenced[i] = f->fenced | f->hazy;
			break;
		}
	}
	s->told |= f->owed_writer | f->owed_opener | f->may_be_owed;
	memset(f, 0, sizeof(*f));
}

static void
lease_over(const struct m_world *w, struct file *f)
{
	uint8_t bit = (uint8_t)(1U << f->writer);

	/* Created and never written: that was meant. */
	if (f->created)
		return;
	f->owed_writer &= (uint8_t)~bit;
	if (!w->c.discard) {
		f->lapsed |= bit;
		return;
	}
	f->fenced |= bit;
	f->discarded |= bit;
	f->live = f->hardened ? f->hard : f->flushed;
	if (!f->hardened)
		f->live_mtime = f->mtime;
	f->uncommitted = 0;
}

/* Its writer may have been silent for so long. */
static void
silence(const struct m_world *w, struct set *set, size_t i, unsigned name,
	int64_t now)
{
	struct state s = set->list[i];
	struct file *f = &s.f[name];
	bool bytes = f->uncommitted != 0 || f->hardened != 0;

	if (f->state != ACTIVE)
		return;
	if (w->c.visible_ms != 0 && !w->c.live && bytes &&
	    now >= f->last_ms + w->c.visible_ms) {
		f->shown = f->live;
		f->shown_mtime = f->live_mtime;
		f->has_shown = 1;
		m_add(set, &s);
	}
	if (w->c.flush_ms == 0 || now < f->last_ms + w->c.flush_ms)
		return;
	/* As a COMMIT that nobody sent. */
	if (f->uncommitted != 0)
		f->lapsed |= (uint8_t)(1U << f->writer);
	m_harden(w, f, 0, M_CELLS, now);
	f->kicked = 1;
	m_add(set, &s);
}

static void
unseen_moves_of(struct m_world *w, struct set *set, size_t i, unsigned name,
		int64_t now)
{
	struct state s = set->list[i];
	struct file *f = &s.f[name];

	if (f->number == 0)
		return;
	if (f->reserved != 0 && now >= f->reserved_until_ms) {
		f->reserved = 0;
		m_add(set, &s);
		s = set->list[i];
	}
	silence(w, set, i, name, now);
	if (f->state == ACTIVE &&
	    ((f->created && now >= f->opened_ms + w->c.create_settle_ms) ||
	     now >= f->last_ms + w->c.lease_ms)) {
		if (now >= f->last_ms + w->c.lease_ms)
			lease_over(w, f);
		/* The row of that may have failed: it is tried again. */
		if (m_host_fails(w, now))
			m_add(set, &s);
		m_harden(w, f, 0, M_CELLS, now);
		f->kicked = 1;
		m_add(set, &s);
		s = set->list[i];
	}
	m_host_lose(w, &s, name, now, set);
	/* Flushed, and nothing to upload: nobody's. */
	if (f->state == PENDING && !f->dirty) {
		f->state = IDLE;
		m_add(set, &s);
		s = set->list[i];
	}
	if (!f->dirty || (f->state == ACTIVE && !f->riding) ||
	    (!f->kicked && now < f->due_ms))
		return;
	if (!w->refusing || now < w->refusing_since_ms + IN_FLIGHT_MS) {
		stored(w, f);
		m_add(set, &s);
		s = set->list[i];
	}
	if (w->refusing || now < w->refusing_until_ms + IN_FLIGHT_MS) {
		failed(&s, f, now + w->c.reserve_ms);
		m_add(set, &s);
	}
}

void
m_unseen(struct m_world *w, struct set *set, int64_t now)
{
	/* The list grows while it is walked, until nothing is new. */
	for (size_t i = 0; i < set->count; i++) {
		for (unsigned name = 0; name < M_NAMES; name++)
			unseen_moves_of(w, set, i, name, now);
	}
}
