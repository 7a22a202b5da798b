/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model: see model.h.  A state says, for each of two names, which file
 * bears it, what all see of it (flushed), what its writer sees (live), which
 * cells are not committed, who writes, and what S3 has.  unseen_moves() adds
 * whatever may have happened without a request; apply() is the rule, one
 * function a request; m_step() tries requests that were sent together in
 * every order.
 */

#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "rpcgen/nfs3.h"
#include "tests/model.h"

#define UNSEEN 0xffff		/* number of a file nobody has met yet */
#define ANY_MODE 0xffff
#define IN_FLIGHT_MS 1000	/* how long a request to S3 may be under way */
#define STATES_MAX 4000

const uint32_t m_bound[M_CELLS + 1] = {
	0, 1, 100, 4096, 4097, 8192, 20000, 40000, 65536, 65537, 100000,
	131072
};

enum holding { IDLE, ACTIVE, PENDING };

struct content {
	uint16_t cell[M_CELLS];
	uint16_t cells;		/* the size, in cells */
};

struct file {
	uint16_t number;	/* 0: the name is free */
	uint8_t state, writer;	/* enum holding; client */
	uint8_t created;	/* ... and not written since */
	uint8_t born;		/* ... and not flushed since */
	uint8_t dirty;		/* S3 lacks something */
	uint8_t kicked;		/* need not settle first */
	uint8_t riding;		/* an upload from before it was opened */
	uint8_t reserved;	/* client + 1 */
	uint8_t owed_writer, owed_opener, may_be_owed;	/* NFS3ERR_IO, once */
	uint8_t waited;		/* clients that were put off */
	uint8_t has_object;
	uint16_t uncommitted;	/* cells */
	uint16_t verf;
	uint16_t mode;
	uint16_t mtime, live_mtime;	/* ids; 0: any */
	struct content flushed, live, object;
	int64_t last_ms, opened_ms, due_ms, reserved_until_ms, owed_until_ms;
	int64_t refused_ms[M_CLIENTS];	/* since when; 0: not */
};

struct state {
	struct file f[M_NAMES];
	uint16_t orphans[4];	/* files whose only version S3 refused */
	uint16_t told;		/* clients that waited for one of them */
};

struct set {
	struct state *list;
	size_t count, room;
};

struct m_world {
	struct m_config c;
	struct set now;
	bool refusing;
	int64_t refusing_since_ms, refusing_until_ms;
	/* Times as they were seen, by id. */
	bool known[M_OPS_MAX + 1];
	int64_t mtime_ns[M_OPS_MAX + 1];
	/* What the states that are left agree on. */
	uint16_t bind;
	bool bind_differs, bound;
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

static bool
bytes_are(const struct content *c, uint32_t from, uint32_t to,
	  const void *data)
{
	static __thread unsigned char want[131072];

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

static void
resize(struct content *c, unsigned cells)
{
	for (unsigned i = cells; i < M_CELLS; i++)
		c->cell[i] = 0;
	c->cells = (uint16_t)cells;
}

/* ---- sets ---- */

static void
add(struct set *set, const struct state *s)
{
	for (size_t i = 0; i < set->count; i++) {
		if (memcmp(&set->list[i], s, sizeof(*s)) == 0)
			return;
	}
	if (set->count == STATES_MAX)
		return;
	if (set->count == set->room) {
		set->room = set->room ? set->room * 2 : 16;
		set->list = realloc(set->list, set->room * sizeof(*s));
		if (set->list == NULL)
			abort();
	}
	set->list[set->count++] = *s;
}

static void
drop(struct set *set)
{
	free(set->list);
	*set = (struct set){ 0 };
}

/* ---- what happens unseen ---- */

static void
opened(struct file *f, unsigned client, int64_t ms)
{
	if (f->state != ACTIVE) {
		f->live = f->flushed;
		f->live_mtime = f->mtime;
		f->uncommitted = 0;
		f->riding = f->state == IDLE && f->dirty;
	}
	f->state = ACTIVE;
	f->writer = (uint8_t)client;
	f->created = 0;
	f->reserved = 0;
	f->waited &= (uint8_t)~(1U << client);
	f->refused_ms[client] = 0;
	f->last_ms = ms;
}

/* COMMIT of a range, or what a stable WRITE does besides. */
static void
harden(const struct m_world *w, struct file *f, unsigned from, unsigned to,
       int64_t ms)
{
	unsigned range = ((1U << to) - 1) & ~((1U << from) - 1);
	unsigned taken = f->uncommitted & range;

	for (unsigned i = 0; i < M_CELLS; i++) {
		if (!(taken >> i & 1))
			continue;
		f->flushed.cell[i] = f->live.cell[i];
		if (f->flushed.cells < i + 1)
			f->flushed.cells = (uint16_t)(i + 1);
	}
	f->uncommitted &= (uint16_t)~range;
	if (taken != 0) {
		f->mtime = f->live_mtime;
		f->dirty = 1;
		f->riding = 0;
		f->due_ms = ms + w->c.settle_ms;
	}
	if (f->uncommitted == 0) {
		f->flushed = f->live;
		f->state = PENDING;
		f->created = f->born = 0;
		f->kicked = 0;
	}
}

static void
stored(struct file *f)
{
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
	if (f->state == PENDING)
		f->owed_writer |= (uint8_t)(1U << f->writer);
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
	for (unsigned i = 0; i < 4; i++) {
		if (s->orphans[i] == 0) {
			s->orphans[i] = f->number;
			break;
		}
	}
	s->told |= f->owed_opener | f->may_be_owed;
	memset(f, 0, sizeof(*f));
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
		add(set, &s);
		s = set->list[i];
	}
	if (f->state == ACTIVE &&
	    ((f->created && now >= f->opened_ms + w->c.create_settle_ms) ||
	     now >= f->last_ms + w->c.lease_ms)) {
		harden(w, f, 0, M_CELLS, now);
		f->kicked = 1;
		add(set, &s);
		s = set->list[i];
	}
	/* Flushed, and nothing to upload: nobody's. */
	if (f->state == PENDING && !f->dirty) {
		f->state = IDLE;
		add(set, &s);
		s = set->list[i];
	}
	if (!f->dirty || (f->state == ACTIVE && !f->riding) ||
	    (!f->kicked && now < f->due_ms))
		return;
	if (!w->refusing || now < w->refusing_since_ms + IN_FLIGHT_MS) {
		stored(f);
		add(set, &s);
		s = set->list[i];
	}
	if (w->refusing || now < w->refusing_until_ms + IN_FLIGHT_MS) {
		failed(&s, f, now + w->c.reserve_ms);
		add(set, &s);
	}
}

static void
unseen_moves(struct m_world *w, struct set *set, int64_t now)
{
	/* The list grows while it is walked, until nothing is new. */
	for (size_t i = 0; i < set->count; i++) {
		for (unsigned name = 0; name < M_NAMES; name++)
			unseen_moves_of(w, set, i, name, now);
	}
}

/* ---- the rule ---- */

static struct file *
by_number(struct state *s, uint16_t number)
{
	for (unsigned i = 0; i < M_NAMES; i++) {
		if (s->f[i].number == number && number != 0)
			return &s->f[i];
	}
	return NULL;
}

/* A file that lost its name with its only version: it is empty, and takes no
 * bytes. */
static bool
orphan_allows(const struct state *s, const struct m_op *op,
	      const struct m_seen *seen)
{
	bool is = false;

	for (unsigned i = 0; i < 4; i++)
		is |= s->orphans[i] == seen->target;
	if (!is || (seen->has_attr && seen->size != 0))
		return false;
	if (op->kind == M_WRITE || op->kind == M_TRUNCATE)
		return seen->status == NFS3ERR_IO;
	return seen->status == NFS3_OK || seen->status == NFS3ERR_IO;
}

static bool
sees_live(const struct m_world *w, const struct file *f, unsigned client)
{
	return f->state == ACTIVE && (f->writer == client || w->c.live);
}

static bool
attr_fits(struct m_world *w, const struct file *f, unsigned client,
	  const struct m_seen *seen)
{
	bool live = sees_live(w, f, client) && f->uncommitted != 0;
	const struct content *c = live ? &f->live : &f->flushed;
	uint16_t mtime = live ? f->live_mtime : f->mtime;

	if (!seen->has_attr)
		return true;
	if (seen->size != m_bound[c->cells] || seen->attr_file != f->number ||
	    (f->mode != ANY_MODE && seen->mode != f->mode))
		return false;
	if (mtime != 0 && w->known[mtime] &&
	    w->mtime_ns[mtime] != seen->mtime_ns)
		return false;
	/* If all that is left agrees whose time that is, it is known. */
	w->bind_differs |= w->bound && w->bind != mtime;
	w->bind = mtime;
	w->bound = true;
	return true;
}

/* An open for writing.  true: let in, the caller goes on.  Else what follows
 * from the refusal was added, if it was right. */
static bool
enter(struct m_world *w, const struct state *s, unsigned name,
      const struct m_op *op, const struct m_seen *seen, struct set *out)
{
	struct state n = *s;
	struct file *f = &n.f[name];
	unsigned bit = 1U << op->client;
	bool foreign = f->state != IDLE && f->writer != op->client;
	bool reserved = f->reserved != 0 && f->reserved != op->client + 1;
	bool must = (f->owed_writer & bit) ||
		    ((f->owed_opener & bit) &&
		     seen->recv_ms < f->owed_until_ms);
	int64_t since = f->refused_ms[op->client];

	if (seen->status == NFS3_OK)
		return !must && !reserved && !foreign;
	if (seen->status == NFS3ERR_IO) {
		if (f->owed_writer & bit)
			f->owed_writer &= (uint8_t)~bit;
		else if ((f->owed_opener | f->may_be_owed) & bit)
			f->owed_opener &= (uint8_t)~bit,
				f->may_be_owed &= (uint8_t)~bit;
		else
			return false;
		f->refused_ms[op->client] = 0;
		add(out, &n);
	} else if (seen->status == NFS3ERR_JUKEBOX) {
		if (must || (!reserved && !foreign && f->state != PENDING) ||
		    (w->c.busy_fail && f->state != PENDING))
			return false;
		f->waited |= (uint8_t)bit;
		if (since == 0)
			f->refused_ms[op->client] = seen->sent_ms;
		add(out, &n);
	} else if (seen->status == NFS3ERR_ACCES) {
		if (since == 0)
			since = seen->sent_ms;
		if (must || !(reserved || (foreign && f->state == ACTIVE)) ||
		    (!w->c.busy_fail &&
		     seen->recv_ms - since < w->c.busy_limit_ms))
			return false;
		f->refused_ms[op->client] = 0;
		add(out, &n);
	}
	return false;
}

static void
apply_write(struct m_world *w, struct state *n, unsigned name,
	    const struct m_op *op, const struct m_seen *seen, struct set *out)
{
	struct file *f = &n->f[name];

	if (!enter(w, n, name, op, seen, out))
		return;
	opened(f, op->client, seen->sent_ms);
	for (unsigned i = op->from; i < op->to; i++) {
		f->live.cell[i] = op->id;
		f->uncommitted |= (uint16_t)(1U << i);
	}
	if (f->live.cells < op->to)
		f->live.cells = op->to;
	f->live_mtime = op->id;
	if (op->how != UNSTABLE)
		harden(w, f, op->from, op->to, seen->sent_ms);
	if (attr_fits(w, f, op->client, seen))
		add(out, n);
}

static void
truncated(struct m_world *w, struct state *n, unsigned name,
	  const struct m_op *op, const struct m_seen *seen, struct set *out)
{
	struct file *f = &n->f[name];
	bool changes = op->to != f->flushed.cells || f->uncommitted != 0 ||
		       f->created;

	if (!enter(w, n, name, op, seen, out))
		return;
	opened(f, op->client, seen->sent_ms);
	resize(&f->live, op->to);
	resize(&f->flushed, op->to);
	f->uncommitted &= (uint16_t)((1U << op->to) - 1);
	f->mtime = f->live_mtime = op->id;
	if (changes) {
		f->dirty = 1;
		f->riding = 0;
	}
	if (f->uncommitted == 0)
		f->state = PENDING, f->kicked = f->born = 0;
	f->due_ms = seen->sent_ms + w->c.settle_ms;
	if (attr_fits(w, f, op->client, seen))
		add(out, n);
}

static void
apply_commit(struct m_world *w, struct state *n, unsigned name,
	     const struct m_op *op, const struct m_seen *seen,
	     struct set *out)
{
	struct file *f = &n->f[name];
	unsigned bit = 1U << op->client;

	if (seen->status == NFS3ERR_IO && (f->owed_writer & bit)) {
		f->owed_writer &= (uint8_t)~bit;
		add(out, n);
	}
	if (seen->status != NFS3_OK || (f->owed_writer & bit))
		return;
	if (f->state == ACTIVE && f->writer == op->client) {
		f->created = 0;
		harden(w, f, op->from, op->to, seen->sent_ms);
		f->last_ms = seen->sent_ms;
	}
	if (attr_fits(w, f, op->client, seen))
		add(out, n);
}

static void
apply_read(struct m_world *w, struct state *n, unsigned name,
	   const struct m_op *op, const struct m_seen *seen, struct set *out)
{
	struct file *f = &n->f[name];
	const struct content *c = sees_live(w, f, op->client) ? &f->live
							      : &f->flushed;
	uint32_t size = m_bound[c->cells], from = m_bound[op->from],
		 to = m_bound[op->to];

	if (seen->status != NFS3_OK)
		return;
	if (to > size)
		to = size;
	if (to < from)
		to = from;
	if (seen->got != to - from || seen->eof != (to >= size) ||
	    !bytes_are(c, from, to, seen->data) ||
	    !attr_fits(w, f, op->client, seen))
		return;
	if (f->state == PENDING && f->writer != op->client)
		f->kicked = 1;
	else if (f->state != IDLE && f->writer == op->client)
		f->last_ms = seen->sent_ms;
	add(out, n);
}

static void
apply_create(struct m_world *w, struct state *n, const struct m_op *op,
	     const struct m_seen *seen, struct set *out)
{
	struct file *f = &n->f[op->name];
	bool is_new = f->number == 0;

	if (is_new) {
		if (seen->status == NFS3ERR_IO &&
		    (n->told >> op->client & 1)) {
			n->told &= (uint16_t)~(1U << op->client);
			add(out, n);
		}
		if (seen->status != NFS3_OK || !(seen->fresh || !seen->file))
			return;
		f->number = seen->file ? seen->file : UNSEEN;
		f->state = ACTIVE;
		f->writer = op->client;
		f->created = f->born = f->dirty = 1;
		f->mode = op->how == EXCLUSIVE ? 0600 : op->arg;
		f->verf = op->how == EXCLUSIVE ? op->arg : 0;
		f->mtime = f->live_mtime = op->id;
		if (op->how != EXCLUSIVE && op->to != M_NONE)
			resize(&f->flushed, op->to);
		f->live = f->flushed;
		f->opened_ms = f->last_ms = seen->sent_ms;
		f->due_ms = seen->sent_ms + w->c.settle_ms;
		if (attr_fits(w, f, op->client, seen))
			add(out, n);
		return;
	}
	if (op->how == GUARDED ||
	    (op->how == EXCLUSIVE && f->verf != op->arg)) {
		if (seen->status == NFS3ERR_EXIST)
			add(out, n);
		return;
	}
	if (f->number == UNSEEN && seen->fresh)
		f->number = seen->file;
	if (seen->status == NFS3_OK && seen->file != 0 &&
	    seen->file != f->number)
		return;
	if (op->how == UNCHECKED && op->to != M_NONE) {
		truncated(w, n, op->name, op, seen, out);
		return;
	}
	if (seen->status == NFS3_OK && attr_fits(w, f, op->client, seen))
		add(out, n);
}

/* May this client take the name away?  0, or the right answer. */
static int
unlinkable(const struct file *f, unsigned client)
{
	if (f->reserved != 0 && f->reserved != client + 1)
		return NFS3ERR_JUKEBOX;
	if (f->state == ACTIVE && f->writer != client)
		return NFS3ERR_ACCES;
	return NFS3_OK;
}

static void
apply_names(struct state *n, const struct m_op *op, const struct m_seen *seen,
	    struct set *out)
{
	struct file *f = &n->f[op->name], *to = &n->f[1 - op->name];
	int want = unlinkable(f, op->client);

	if (f->number == 0)
		want = NFS3ERR_NOENT;
	else if (want == NFS3_OK && op->kind == M_RENAME && to->number != 0)
		want = unlinkable(to, op->client);
	if (seen->racing && seen->status == NFS3ERR_JUKEBOX) {
		add(out, n);
		return;
	}
	if (seen->status != want)
		return;
	if (want == NFS3_OK && op->kind == M_RENAME) {
		*to = *f;
		to->dirty = to->kicked = 1;
	}
	if (want == NFS3_OK)
		memset(f, 0, sizeof(*f));
	add(out, n);
}

static void
apply_lookup(struct m_world *w, struct state *n, const struct m_op *op,
	     const struct m_seen *seen, struct set *out)
{
	struct file *f = &n->f[op->name];

	if (f->number == 0) {
		if (seen->status == NFS3ERR_NOENT)
			add(out, n);
		return;
	}
	if (f->number == UNSEEN && seen->fresh)
		f->number = seen->file;
	if (seen->status == NFS3_OK && seen->file == f->number &&
	    attr_fits(w, f, op->client, seen))
		add(out, n);
}

static void
apply_readdir(struct state *n, const struct m_seen *seen, struct set *out)
{
	if (seen->status != NFS3_OK)
		return;
	for (unsigned i = 0; i < M_NAMES; i++) {
		if (n->f[i].number == UNSEEN && seen->listed_fresh[i])
			n->f[i].number = seen->listed[i];
		if (n->f[i].number != seen->listed[i])
			return;
	}
	add(out, n);
}

static void
apply_setattr(struct m_world *w, struct state *n, struct file *f,
	      const struct m_op *op, const struct m_seen *seen,
	      struct set *out)
{
	if (seen->status != NFS3_OK)
		return;
	if (op->kind == M_MODE)
		f->mode = op->arg;
	else
		f->mtime = f->live_mtime = op->id;
	f->dirty = 1;
	f->due_ms = seen->sent_ms + w->c.settle_ms;
	if (attr_fits(w, f, op->client, seen))
		add(out, n);
}

static bool
by_handle(unsigned kind)
{
	return kind <= M_MTIME;
}

static void
apply(struct m_world *w, const struct state *s, const struct m_op *op,
      const struct m_seen *seen, struct set *out)
{
	struct state n = *s;
	struct file *f = by_number(&n, seen->target);
	unsigned name;

	if (by_handle(op->kind) && f == NULL) {
		if (seen->status == NFS3ERR_STALE || orphan_allows(s, op, seen))
			add(out, s);
		return;
	}
	name = f == NULL ? 0 : (unsigned)(f - n.f);
	switch (op->kind) {
	case M_WRITE:
		apply_write(w, &n, name, op, seen, out);
		break;
	case M_TRUNCATE:
		truncated(w, &n, name, op, seen, out);
		break;
	case M_COMMIT:
		apply_commit(w, &n, name, op, seen, out);
		break;
	case M_READ:
		apply_read(w, &n, name, op, seen, out);
		break;
	case M_GETATTR:
		if (seen->status == NFS3_OK &&
		    attr_fits(w, f, op->client, seen))
			add(out, &n);
		break;
	case M_MODE:
	case M_MTIME:
		apply_setattr(w, &n, f, op, seen, out);
		break;
	case M_CREATE:
		apply_create(w, &n, op, seen, out);
		break;
	case M_REMOVE:
	case M_RENAME:
		apply_names(&n, op, seen, out);
		break;
	case M_LOOKUP:
		apply_lookup(w, &n, op, seen, out);
		break;
	case M_READDIR:
		apply_readdir(&n, seen, out);
		break;
	default:
		break;
	}
}

/* ---- one step ---- */

/* Somebody else's flushed file is wanted: after the quiet time it is
 * reserved and its upload starts at once. */
static void
may_kick(struct m_world *w, struct set *set, const struct m_op *op,
	 const struct m_seen *seen)
{
	bool creates = op->kind == M_CREATE && op->how == UNCHECKED &&
		       op->to != M_NONE;

	if (op->kind != M_WRITE && op->kind != M_TRUNCATE && !creates)
		return;
	for (size_t i = 0, count = set->count; i < count; i++) {
		struct state s = set->list[i];
		struct file *f = creates ? &s.f[op->name]
					 : by_number(&s, seen->target);

		if (f == NULL || f->state != PENDING ||
		    f->writer == op->client ||
		    (f->reserved != 0 && f->reserved != op->client + 1) ||
		    seen->recv_ms < f->last_ms + w->c.quiet_ms)
			continue;
		f->kicked = 1;
		f->reserved = (uint8_t)(op->client + 1);
		f->reserved_until_ms = seen->recv_ms + w->c.reserve_ms;
		add(set, &s);
	}
}

static void
one(struct m_world *w, const struct set *in, const struct m_op *op,
    const struct m_seen *seen, struct set *out)
{
	struct set before = { 0 };

	for (size_t i = 0; i < in->count; i++)
		add(&before, &in->list[i]);
	unseen_moves(w, &before, seen->recv_ms);
	may_kick(w, &before, op, seen);
	unseen_moves(w, &before, seen->recv_ms);
	for (size_t i = 0; i < before.count; i++) {
		if (seen->status == M_BLIND) {
			struct m_seen blind = *seen;

			/* Not carried out, or wholly. */
			add(out, &before.list[i]);
			blind.status = NFS3_OK;
			blind.has_attr = false;
			apply(w, &before.list[i], op, &blind, out);
		} else {
			apply(w, &before.list[i], op, seen, out);
		}
	}
	drop(&before);
}

static void
orders(struct m_world *w, const struct set *in, const struct m_op *const *ops,
       const struct m_seen *seen, size_t count, unsigned left,
       struct set *out)
{
	if (left == 0) {
		for (size_t i = 0; i < in->count; i++)
			add(out, &in->list[i]);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		struct set next = { 0 };

		if (!(left >> i & 1))
			continue;
		one(w, in, ops[i], &seen[i], &next);
		orders(w, &next, ops, seen, count, left & ~(1U << i), out);
		drop(&next);
	}
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
	orders(w, &w->now, ops, seen, count, (1U << count) - 1, &out);
	if (out.count == 0) {
		drop(&out);	/* keep the last good set for the report */
		return false;
	}
	if (count == 1 && w->bound && !w->bind_differs && w->bind != 0 &&
	    !w->known[w->bind]) {
		w->known[w->bind] = true;
		w->mtime_ns[w->bind] = seen[0].mtime_ns;
	}
	drop(&w->now);
	w->now = out;
	return true;
}

/* ---- what is done to the daemon ---- */

void
m_fault(struct m_world *w, enum m_fault fault, int64_t now_ms)
{
	unseen_moves(w, &w->now, now_ms);
	if (w->refusing && fault != M_REFUSING)
		w->refusing_until_ms = now_ms;
	if (!w->refusing && fault == M_REFUSING)
		w->refusing_since_ms = now_ms;
	w->refusing = fault == M_REFUSING;
}

/* Uncommitted bytes are gone, reservations too; handles may or may not have
 * been on disk; whatever is dirty is uploaded anew. */
static void
crashed(const struct state *s, int64_t now_ms, struct set *out)
{
	for (unsigned k = 0; k < 16; k++) {
		struct state n = *s;
		unsigned choice[M_NAMES] = { k % 4, k / 4 };

		for (unsigned i = 0; i < M_NAMES; i++) {
			struct file *f = &n.f[i];

			if (f->number == 0)
				continue;
			f->may_be_owed |= f->owed_opener | f->waited;
			f->reserved = f->waited = f->owed_opener = 0;
			f->live = f->flushed;
			f->live_mtime = f->mtime;
			f->uncommitted = 0;
			f->kicked = 1;
			f->riding = f->dirty;
			memset(f->refused_ms, 0, sizeof(f->refused_ms));
			if (f->state == ACTIVE) {
				/* As a writer, as one from before, not at
				 * all, as one that has only created it. */
				f->last_ms = f->opened_ms = now_ms;
				if (choice[i] == 1)
					f->state = PENDING, f->dirty = 1;
				else if (choice[i] == 2 && !f->created)
					f->state = IDLE;
				else if (choice[i] == 3)
					f->created = f->born;
			}
		}
		add(out, &n);
	}
}

void
m_crash(struct m_world *w, int64_t now_ms)
{
	struct set out = { 0 };

	unseen_moves(w, &w->now, now_ms);
	for (size_t i = 0; i < w->now.count; i++)
		crashed(&w->now.list[i], now_ms, &out);
	drop(&w->now);
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
		add(&out, &s);
	}
	unseen_moves(w, &out, now_ms);
	drop(&w->now);
	w->now = out;
	out = (struct set){ 0 };
	for (size_t i = 0; i < w->now.count; i++) {
		bool all = true;

		for (unsigned k = 0; k < M_NAMES; k++) {
			const struct file *f = &w->now.list[i].f[k];

			all &= f->number == 0 || !f->dirty;
		}
		if (all)
			add(&out, &w->now.list[i]);
	}
	if (out.count == 0)
		return false;
	drop(&w->now);
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
					     bytes_are(&f->flushed, 0,
						       (uint32_t)len, data))
			add(&out, &w->now.list[i]);
	}
	if (out.count == 0)
		return false;
	drop(&w->now);
	w->now = out;
	return true;
}

/* ---- life and print ---- */

struct m_world *
m_world_new(const struct m_config *config)
{
	struct m_world *w = calloc(1, sizeof(*w));
	struct state empty;

	if (w == NULL)
		abort();
	w->c = *config;
	w->refusing_until_ms = INT64_MIN / 2;
	memset(&empty, 0, sizeof(empty));
	add(&w->now, &empty);
	return w;
}

void
m_world_free(struct m_world **w)
{
	if (*w != NULL)
		drop(&(*w)->now);
	free(*w);
	*w = NULL;
}

size_t
m_states(const struct m_world *w)
{
	return w->now.count;
}

static void
print_content(const char *what, const struct content *c, FILE *out)
{
	fprintf(out, " %s=%u[", what, m_bound[c->cells]);
	for (unsigned i = 0; i < c->cells; i++)
		fprintf(out, "%s%u", i ? " " : "", c->cell[i]);
	fputc(']', out);
}

void
m_print(const struct m_world *w, FILE *out)
{
	static const char *const names[] = { "IDLE", "ACTIVE", "PENDING" };

	for (size_t i = 0; i < w->now.count && i < 12; i++) {
		fprintf(out, "  state %zu of %zu\n", i + 1, w->now.count);
		for (unsigned k = 0; k < M_NAMES; k++) {
			const struct file *f = &w->now.list[i].f[k];

			if (f->number == 0)
				continue;
			fprintf(out, "    %c: file %u %s", "ab"[k], f->number,
				names[f->state]);
			if (f->state != IDLE)
				fprintf(out, " writer %c", "ABC"[f->writer]);
			fprintf(out, "%s%s%s", f->created ? " created" : "",
				f->dirty ? " dirty" : "",
				f->kicked ? " kicked" : "");
			if (f->reserved)
				fprintf(out, " reserved for %c",
					"ABC"[f->reserved - 1]);
			fprintf(out, " mode=%o", f->mode);
			print_content("flushed", &f->flushed, out);
			if (f->state == ACTIVE)
				print_content("live", &f->live, out);
			if (f->has_object)
				print_content("object", &f->object, out);
			if (f->owed_writer | f->owed_opener | f->may_be_owed)
				fprintf(out, " owed=%x/%x/%x", f->owed_writer,
					f->owed_opener, f->may_be_owed);
			fprintf(out, " uncommitted=%x mtime=%u/%u\n",
				f->uncommitted, f->mtime, f->live_mtime);
		}
	}
}

void
m_op_print(const struct m_op *op, FILE *out)
{
	static const char *const kinds[M_KINDS] = {
		"WRITE", "COMMIT", "READ", "GETATTR", "SETATTR size",
		"SETATTR mode", "SETATTR mtime", "CREATE", "REMOVE", "RENAME",
		"LOOKUP", "READDIR", "wait", "fault", "kill -9",
		"retransmit", "clock"
	};
	static const char *const faults[] = { "none", "refusing", "failing",
					      "slow", "losing" };

	if (op->kind >= M_WAIT) {
		fprintf(out, "%s", kinds[op->kind]);
		if (op->kind == M_FAULT)
			fprintf(out, " %s", faults[op->how]);
		else
			fprintf(out, " %u", op->arg);
	} else {
		fprintf(out, "%c %s %c%s", "ABC"[op->client], kinds[op->kind],
			"ab"[op->name], op->stale ? " (old handle)" : "");
	}
	if (op->kind <= M_READ)
		fprintf(out, " %u..%u", m_bound[op->from], m_bound[op->to]);
	if (op->kind == M_WRITE)
		fprintf(out, " %s", op->how == UNSTABLE ? "unstable"
							: "stable");
	if (op->kind == M_CREATE)
		fprintf(out, " %s", op->how == UNCHECKED ? "unchecked"
				    : op->how == GUARDED ? "guarded"
							 : "exclusive");
	if ((op->kind == M_CREATE || op->kind == M_TRUNCATE) &&
	    op->to != M_NONE)
		fprintf(out, " size=%u", m_bound[op->to]);
	if (op->kind == M_CREATE || op->kind == M_MODE)
		fprintf(out, " 0%o", op->arg);
	if (op->kind == M_MTIME)
		fprintf(out, " %u", op->arg);
	fprintf(out, "%s", op->with_next ? " &" : "");
}
