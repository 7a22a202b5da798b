/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Schedules from seeds.  What is drawn depends on the seed alone, never on
 * an answer, so that a seed is a schedule.  Chances are set so that files are
 * mostly there, mostly written and committed by one client for a while, and
 * then wanted by another.
 */

#include <config.h>

#include <string.h>

#include "rpcgen/nfs3.h"
#include "tests/model_schedule.h"

struct dice {
	uint64_t x;
};

static uint32_t
roll(struct dice *d, uint32_t below)
{
	uint64_t z = d->x += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return (uint32_t)((z ^ z >> 31) >> 33) % below;
}

/* 0..count-1, by weights. */
static unsigned
weighted(struct dice *d, const unsigned *weights, unsigned count)
{
	unsigned sum = 0, i, r;

	for (i = 0; i < count; i++)
		sum += weights[i];
	r = roll(d, sum);
	for (i = 0; r >= weights[i]; i++)
		r -= weights[i];
	return i;
}

static void
range(struct dice *d, bool far, struct m_op *op)
{
	unsigned len = roll(d, 10) == 0 ? 1 + roll(d, M_CELLS)
					: 1 + roll(d, 3);

	op->from = (uint8_t)roll(d, roll(d, 3) == 0 || far ? M_CELLS : 5);
	op->to = (uint8_t)(op->from + len > M_CELLS ? M_CELLS
						    : op->from + len);
}

static unsigned
host_fault(struct dice *d, const char *kinds)
{
	bool sql = strstr(kinds, "sql") != NULL;
	bool file = strstr(kinds, "file") != NULL;
	const unsigned weights[M_HOSTS] = {
		[M_SOUND] = 35, [M_SQL_ONCE] = sql ? 25 : 0,
		[M_SQL_OUTAGE] = sql ? 6 : 0, [M_FILE_ONCE] = file ? 18 : 0,
		[M_FILE_OUTAGE] = file ? 6 : 0, [M_DB_FILE] = sql ? 4 : 0,
		[M_ALLOC] = strstr(kinds, "alloc") != NULL ? 10 : 0
	};

	return weighted(d, weights, M_HOSTS);
}

static void
detail(struct dice *d, const struct schedule *s, struct m_op *op)
{
	static const uint16_t waits[] = { 1, 3, 8, 15, 25, 40, 60, 120, 350 };
	static const unsigned often[] = { 20, 20, 15, 15, 12, 10, 6, 3, 2 };

	switch (op->kind) {
	case M_WRITE:
		range(d, s->host != NULL, op);
		op->how = (uint8_t)(roll(d, 10) < 6 ? UNSTABLE
						    : 1 + roll(d, 2));
		break;
	case M_COMMIT:
		op->to = M_CELLS;
		if (roll(d, 4) == 0)
			range(d, s->host != NULL, op);
		break;
	case M_READ:
		op->to = M_CELLS;
		if (roll(d, 3) == 0)
			range(d, s->host != NULL, op);
		break;
	case M_TRUNCATE:
		op->to = (uint8_t)(roll(d, 3) ? roll(d, 6)
					      : roll(d, M_CELLS + 1));
		break;
	case M_MODE:
		op->arg = (uint16_t)(0600 | roll(d, 0100));
		break;
	case M_MTIME:
		op->arg = (uint16_t)(1 + roll(d, 60000));
		break;
	case M_CREATE:
		op->how = (uint8_t)(roll(d, 10) < 6 ? UNCHECKED
						    : 1 + roll(d, 2));
		op->arg = (uint16_t)(op->how == EXCLUSIVE
					     ? 1 + roll(d, 3)
					     : 0600 | roll(d, 0100));
		op->to = M_NONE;
		if (op->how == UNCHECKED && roll(d, 2) == 0)
			op->to = (uint8_t)(roll(d, 4) ? 0 : roll(d, 5));
		break;
	case M_WAIT:
		op->arg = waits[weighted(d, often, 9)];
		break;
	case M_FAULT:
		op->how = (uint8_t)(roll(d, 5) < 3 ? s->trouble : M_HEAL);
		op->arg = (uint16_t)(3 + roll(d, 40));
		break;
	case M_CRASH:
		op->arg = (uint16_t)roll(d, 3000);
		op->how = s->host != NULL && roll(d, 4) == 0;
		break;
	case M_HOST:
		op->how = (uint8_t)host_fault(d, s->host);
		op->arg = (uint16_t)roll(d, 0x10000);
		break;
	case M_CLOCK:
		op->arg = (uint16_t)roll(d, 60000);
		break;
	default:
		break;
	}
}

static void
draw(struct dice *d, struct schedule *s, const struct m_op *last,
     unsigned *crashes, struct m_op *op)
{
	unsigned weights[M_KINDS] = {
		[M_WRITE] = 26, [M_COMMIT] = 10, [M_READ] = 12,
		[M_GETATTR] = 6, [M_TRUNCATE] = 5, [M_MODE] = 2,
		[M_MTIME] = 2, [M_CREATE] = 8, [M_REMOVE] = 3,
		[M_RENAME] = 3, [M_LOOKUP] = 4, [M_READDIR] = 2,
		[M_WAIT] = 8, [M_AGAIN] = 3,
		[M_FAULT] = s->trouble != M_HEAL ? 5 : 0,
		[M_CRASH] = *crashes > 0 ? 3 : 0,
		[M_CLOCK] = s->clock ? 3 : 0,
		[M_HOST] = s->host != NULL ? 9 : 0,
	};

	/* What a rename leaves when its upload is refused is another story
	 * (docs/semantics.md). */
	if (s->trouble == M_REFUSING)
		weights[M_RENAME] = 0;
	op->client = last->client;
	op->name = last->name;
	if (roll(d, 10) < 3)
		op->client = (uint8_t)roll(d, M_CLIENTS);
	if (roll(d, 10) < 2)
		op->name = (uint8_t)roll(d, M_NAMES);
	op->stale = roll(d, 40) == 0;
	op->kind = (uint8_t)weighted(d, weights, M_KINDS);
	if (last->kind == M_WRITE && last->how == UNSTABLE &&
	    roll(d, 10) < 4) {
		op->kind = M_COMMIT;
		op->client = last->client;
		op->name = last->name;
	} else if (last->kind == M_COMMIT && roll(d, 10) < 4) {
		op->kind = roll(d, 3) ? M_WRITE : M_READ;
		op->client = (uint8_t)((last->client + 1 + roll(d, 2)) %
				       M_CLIENTS);
	}
	*crashes -= op->kind == M_CRASH;
	detail(d, s, op);
	/* Or nothing comes for longer than a lease. */
	if (last->kind == M_WRITE && last->how == UNSTABLE &&
	    op->kind != M_CRASH && roll(d, 25) == 0) {
		op->kind = M_WAIT;
		op->arg = 350;
	}
}

/* Neighbours of different clients go out together now and then. */
static void
join(struct dice *d, struct schedule *s)
{
	unsigned group = 1;

	for (unsigned i = 0; i + 1 < s->count; i++) {
		struct m_op *a = &s->ops[i], *b = &s->ops[i + 1];
		bool apart = a->kind < M_WAIT && b->kind < M_WAIT &&
			     a->client != b->client;

		if (group == 2)
			apart = apart && s->ops[i - 1].client != b->client;
		if (apart && group < M_CLIENTS && roll(d, 3) == 0) {
			a->with_next = 1;
			group++;
		} else {
			group = 1;
		}
	}
}

void
schedule_draw(uint64_t seed, unsigned length, const char *faults,
	      struct schedule *s)
{
	static const unsigned troubles[] = { 55, 15, 8, 12, 10 };
	struct dice d = { seed * 0x2545f4914f6cdd1dULL + 1 };
	struct m_op last = { .kind = M_LOOKUP };
	unsigned crashes;

	memset(s, 0, sizeof(*s));
	s->seed = seed;
	s->trouble = weighted(&d, troubles, 5);
	s->clock = roll(&d, 10) == 0;
	crashes = roll(&d, 8) == 0 ? 1 + roll(&d, 3) : 0;
	if (faults != NULL) {
		s->host = faults;
		/* Whether an upload was stored is not always known then, nor
		 * to what the file falls back. */
		if (s->trouble == M_REFUSING)
			s->trouble = M_LOSING;
		crashes = roll(&d, 2) == 0 ? 1 + roll(&d, 3) : 0;
	}
	if (length > M_OPS_MAX - 100)
		length = M_OPS_MAX - 100;
	for (s->count = 0; s->count < length; s->count++) {
		struct m_op *op = &s->ops[s->count];

		draw(&d, s, &last, &crashes, op);
		if (s->count == 0) {
			*op = (struct m_op){ .kind = M_CREATE, .arg = 0644,
					     .to = M_NONE };
			op->client = (uint8_t)roll(&d, M_CLIENTS);
		}
		op->id = (uint16_t)(s->count + 1);
		if (op->kind < M_WAIT)
			last = *op;
	}
	join(&d, s);
}
