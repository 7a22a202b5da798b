/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rule, as the model has it: a function a request, which adds the states
 * that may follow if the answer was one that the rule allows.  Nothing else
 * of the model knows the rule, nor does this know of time but that it passes
 * between a request and its reply.
 */

#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "rpcgen/nfs3.h"
#include "tests/model_priv.h"

/* A file that lost its name with its only version: it is empty, and takes no
 * bytes.  Who wrote it or waited for it is told once. */
static bool
is_orphan(const struct state *s, const struct m_seen *seen)
{
	for (unsigned i = 0; i < ORPHANS; i++) {
		if (s->orphans[i] == seen->target && seen->target != 0)
			return true;
	}
	return false;
}

static void
apply_orphan(const struct state *s, const struct m_op *op,
	     const struct m_seen *seen, struct set *out)
{
	struct state n = *s;
	uint8_t bit = (uint8_t)(1U << op->client);
	unsigned i = 0;

	while (i < ORPHANS && s->orphans[i] != seen->target)
		i++;
	if (i == ORPHANS || (seen->has_attr && seen->size != 0) ||
	    (op->kind == M_READ && seen->got != 0))
		return;
	if (seen->status == NFS3ERR_IO && (n.orphan_owed[i] & bit) &&
	    (op->kind == M_WRITE || op->kind == M_TRUNCATE ||
	     op->kind == M_COMMIT)) {
		n.orphan_owed[i] &= (uint8_t)~bit;
		m_add(out, &n);
	} else if (seen->status == NFS3ERR_IO && (n.orphan_fenced[i] & bit) &&
		   (op->kind == M_WRITE || op->kind == M_COMMIT)) {
		m_add(out, &n);
	} else if (op->kind == M_WRITE || op->kind == M_TRUNCATE) {
		if (seen->status == NFS3ERR_STALE)
			m_add(out, &n);
	} else if (seen->status == NFS3_OK) {
		m_add(out, &n);
	}
}

static bool
sees_live(const struct m_world *w, const struct file *f, unsigned client)
{
	return f->state == ACTIVE && (f->writer == client || w->c.live);
}

/* Does it see what was there when its writer fell silent? */
static bool
is_shown(const struct file *f, unsigned client)
{
	return f->state == ACTIVE && f->writer != client && f->has_shown;
}

static bool
attr_fits(struct m_world *w, const struct file *f, unsigned client,
	  const struct m_seen *seen)
{
	bool live = sees_live(w, f, client) &&
		    (f->uncommitted != 0 || f->hardened != 0);
	bool shown = !live && is_shown(f, client);
	const struct content *c = live	  ? &f->live
				  : shown ? &f->shown
					  : &f->flushed;
	uint16_t mtime = live	 ? f->live_mtime
			 : shown ? f->shown_mtime
				 : f->mtime;

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

/* Add the state if it is what the attributes tell: those of a moment between
 * request and reply (RFC 1813 2.6). */
static void
keep(struct m_world *w, const struct state *s, const struct file *f,
     unsigned client, const struct m_seen *seen, struct set *out)
{
	struct set later = { 0 };
	uint16_t number = f->number;

	if (attr_fits(w, f, client, seen)) {
		m_add(out, s);
		return;
	}
	m_add(&later, s);
	m_unseen(w, &later, seen->recv_ms);
	for (size_t i = 1; i < later.count; i++) {
		struct file *g = m_by_number(&later.list[i], number);

		if (g == NULL ? seen->size == 0
			      : attr_fits(w, g, client, seen))
			m_add(out, &later.list[i]);
	}
	out->full |= later.full;
	m_drop(&later);
}

/* Of one failure each client hears once. */
static void
told(struct file *f, unsigned bit)
{
	f->owed_writer &= (uint8_t)~bit;
	f->owed_opener &= (uint8_t)~bit;
	f->may_be_owed &= (uint8_t)~bit;
}

/* The client has looked at the file: its late pages are over.  Who has lapsed
 * and was not superseded yet has not looked since. */
static void
looked(struct file *f, unsigned client)
{
	uint8_t others = (uint8_t)~(1U << client);

	f->fenced &= others;
	f->discarded &= others;
	f->hazy &= others;
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

	if ((f->fenced | f->hazy) & bit) {
		if (seen->status == NFS3ERR_IO) {
			n.f[name].fenced |= (uint8_t)bit;
			m_add(out, &n);
		}
		if (f->fenced & bit)
			return false;
	}
	if (seen->status == NFS3_OK)
		return !must && !reserved && !foreign;
	if (seen->status == NFS3ERR_IO) {
		if (!((f->owed_writer | f->owed_opener | f->may_be_owed) &
		      bit))
			return false;
		told(f, bit);
		f->refused_ms[op->client] = 0;
		m_add(out, &n);
	} else if (seen->status == NFS3ERR_JUKEBOX) {
		if (must || (!reserved && !foreign && f->state != PENDING) ||
		    (w->c.busy_fail && f->state != PENDING))
			return false;
		m_put_off(w, f, op->client, seen->sent_ms);
		m_add(out, &n);
	} else if (seen->status == NFS3ERR_ACCES) {
		if (since == 0)
			since = seen->sent_ms;
		if (must || !(reserved || (foreign && f->state == ACTIVE)) ||
		    (!w->c.busy_fail &&
		     seen->recv_ms - since < w->c.busy_limit_ms))
			return false;
		f->refused_ms[op->client] = 0;
		m_add(out, &n);
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
	m_opened(f, op->client, seen->sent_ms);
	for (unsigned i = op->from; i < op->to; i++) {
		f->live.cell[i] = op->id;
		f->uncommitted |= (uint16_t)(1U << i);
	}
	if (f->live.cells < op->to)
		f->live.cells = op->to;
	f->live_mtime = op->id;
	if (op->how != UNSTABLE)
		m_harden(w, f, op->from, op->to, seen->sent_ms);
	keep(w, n, f, op->client, seen, out);
}

static void
truncated(struct m_world *w, struct state *n, unsigned name,
	  const struct m_op *op, const struct m_seen *seen, struct set *out)
{
	struct file *f = &n->f[name];
	bool changes = op->to != f->flushed.cells || f->uncommitted != 0 ||
		       f->hardened != 0 || f->created;

	/* It looked, and before it could go on somebody superseded it. */
	if (seen->racing && seen->status == NFS3ERR_IO &&
	    ((f->fenced | f->hazy) & (1U << op->client)))
		m_add(out, n);
	looked(f, op->client);
	if (!enter(w, n, name, op, seen, out))
		return;
	m_opened(f, op->client, seen->sent_ms);
	m_resize(&f->live, op->to);
	m_resize(&f->flushed, op->to);
	f->uncommitted &= (uint16_t)((1U << op->to) - 1);
	if (f->hardened != 0)
		m_resize(&f->hard, op->to);
	if (f->has_shown) {
		m_resize(&f->shown, op->to);
		f->shown_mtime = op->id;
	}
	f->mtime = f->live_mtime = op->id;
	if (changes) {
		f->dirty = 1;
		f->riding = 0;
	} else if (f->mode == ANY_MODE) {
		/* S3 was not told, and is to be asked. */
		f->mtime = f->live_mtime = 0;
	}
	if (f->uncommitted == 0) {
		f->flushed = f->live;
		f->hardened = 0;
		memset(&f->hard, 0, sizeof(f->hard));
		f->state = PENDING, f->kicked = f->born = 0;
		m_unshow(f);
	}
	f->due_ms = seen->sent_ms + w->c.settle_ms;
	keep(w, n, f, op->client, seen, out);
}

static void
apply_commit(struct m_world *w, struct state *n, unsigned name,
	     const struct m_op *op, const struct m_seen *seen,
	     struct set *out)
{
	struct file *f = &n->f[name];
	unsigned bit = 1U << op->client;

	if (seen->status == NFS3ERR_IO &&
	    ((f->fenced & f->discarded & bit) || (f->hazy & bit))) {
		f->fenced |= (uint8_t)bit;
		m_add(out, n);
		return;
	}
	if (f->fenced & f->discarded & ~f->hazy & bit)
		return;
	if (seen->status == NFS3ERR_IO && (f->owed_writer & bit)) {
		told(f, bit);
		m_add(out, n);
	}
	if (seen->status != NFS3_OK || (f->owed_writer & bit))
		return;
	/* It knows by now that nothing of it will come once more. */
	if (!(f->state == ACTIVE && f->writer == op->client) &&
	    op->from == 0 && op->to >= f->flushed.cells)
		f->lapsed &= (uint8_t)~bit;
	if (f->state == ACTIVE && f->writer == op->client) {
		f->created = 0;
		m_harden(w, f, op->from, op->to, seen->sent_ms);
		f->last_ms = seen->sent_ms;
	} else if ((f->lapsed & bit) && op->from == 0 &&
		   op->to >= f->flushed.cells) {
		/* It knows by now that all it wrote is committed. */
		keep(w, n, f, op->client, seen, out);
		f->lapsed &= (uint8_t)~bit;
	}
	keep(w, n, f, op->client, seen, out);
}

/* May its upload be under way? */
static bool
in_flight(const struct file *f, int64_t now)
{
	return f->number != 0 && f->dirty &&
	       (f->state != ACTIVE || f->riding) &&
	       (f->kicked || now >= f->due_ms);
}

static void
apply_read(struct m_world *w, struct state *n, unsigned name,
	   const struct m_op *op, const struct m_seen *seen, struct set *out)
{
	struct file *f = &n->f[name];
	const struct content *c = sees_live(w, f, op->client) ? &f->live
				  : is_shown(f, op->client)   ? &f->shown
							      : &f->flushed;
	uint32_t size = m_bound[c->cells], from = m_bound[op->from],
		 to = m_bound[op->to];

	/* Bytes of the object may come too late, or be replaced just then. */
	if (seen->status == NFS3ERR_JUKEBOX && f->has_object &&
	    (w->slow || in_flight(f, seen->recv_ms)))
		m_add(out, n);
	if (seen->status != NFS3_OK)
		return;
	if (to > size)
		to = size;
	if (to < from)
		to = from;
	if (seen->got != to - from || seen->eof != (to >= size) ||
	    !m_bytes_are(c, from, to, seen->data))
		return;
	if (f->state == PENDING && f->writer != op->client)
		f->kicked = 1;
	else if (f->state != IDLE && f->writer == op->client)
		f->last_ms = seen->sent_ms;
	keep(w, n, f, op->client, seen, out);
}

static void
apply_create(struct m_world *w, struct state *n, const struct m_op *op,
	     const struct m_seen *seen, struct set *out)
{
	struct file *f = &n->f[op->name];
	bool is_new = f->number == 0;
	struct file *other = m_by_number(n, seen->file);

	/* It found the file under this name, and another gave it the other
	 * one before it was opened. */
	if (seen->racing && other != NULL && other != f &&
	    op->how == UNCHECKED && seen->status == NFS3_OK) {
		if (op->to != M_NONE)
			truncated(w, n, (unsigned)(other - n->f), op, seen,
				  out);
		else
			m_add(out, n);
		return;
	}
	if (is_new) {
		if (seen->status == NFS3ERR_IO &&
		    (n->told >> op->client & 1)) {
			n->told &= (uint16_t)~(1U << op->client);
			m_add(out, n);
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
			m_resize(&f->flushed, op->to);
		f->live = f->flushed;
		f->opened_ms = f->last_ms = seen->sent_ms;
		f->due_ms = seen->sent_ms + w->c.settle_ms;
		keep(w, n, f, op->client, seen, out);
		return;
	}
	if (op->how == GUARDED ||
	    (op->how == EXCLUSIVE && f->verf != op->arg)) {
		if (seen->status == NFS3ERR_EXIST)
			m_add(out, n);
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
	if (op->how == UNCHECKED)
		looked(f, op->client);
	if (seen->status == NFS3_OK && attr_fits(w, f, op->client, seen))
		m_add(out, n);
}

/* A change that is no writing beside another's active handle: put off for a
 * while, then refused.  true: it may go on. */
static bool
beside(const struct m_world *w, struct file *f, unsigned client, bool name,
       const struct m_seen *seen, int *want)
{
	int64_t since = f->put_off_ms[client];

	*want = NFS3_OK;
	if (f->state != ACTIVE || f->writer == client)
		return true;
	*want = NFS3ERR_ACCES;
	if (w->c.busy_fail)
		return false;
	if (w->c.flush_ms == 0) {
		*want = name ? NFS3ERR_ACCES : NFS3_OK;
		return !name;
	}
	if (since == 0)
		since = seen->sent_ms;
	if (seen->status == NFS3ERR_ACCES &&
	    (seen->recv_ms - since >= w->c.flush_ms + 1000 ||
	     seen->recv_ms - since >= w->c.busy_limit_ms)) {
		f->put_off_ms[client] = 0;
		return false;
	}
	*want = NFS3ERR_JUKEBOX;
	f->put_off_ms[client] = since;
	return false;
}

/* May this client take the name away?  0, or the right answer. */
static int
unlinkable(const struct m_world *w, struct file *f, unsigned client,
	   const struct m_seen *seen)
{
	int want;

	if (f->reserved != 0 && f->reserved != client + 1)
		return NFS3ERR_JUKEBOX;
	(void)beside(w, f, client, true, seen, &want);
	return want;
}

static void
apply_names(const struct m_world *w, struct state *n, const struct m_op *op,
	    const struct m_seen *seen, struct set *out)
{
	struct file *f = &n->f[op->name], *to = &n->f[1 - op->name];
	int want = unlinkable(w, f, op->client, seen);

	if (f->number == 0)
		want = NFS3ERR_NOENT;
	else if (want == NFS3_OK && op->kind == M_RENAME && to->number != 0)
		want = unlinkable(w, to, op->client, seen);
	if (seen->status == NFS3ERR_JUKEBOX &&
	    (seen->racing ||
	     (op->kind == M_RENAME && (in_flight(f, seen->recv_ms) ||
				       in_flight(to, seen->recv_ms))))) {
		m_add(out, n);
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
	m_add(out, n);
}

static void
apply_lookup(struct m_world *w, struct state *n, const struct m_op *op,
	     const struct m_seen *seen, struct set *out)
{
	struct file *f = &n->f[op->name];

	if (f->number == 0) {
		if (seen->status == NFS3ERR_NOENT)
			m_add(out, n);
		return;
	}
	if (f->number == UNSEEN && seen->fresh)
		f->number = seen->file;
	looked(f, op->client);
	if (seen->status == NFS3_OK && seen->file == f->number &&
	    attr_fits(w, f, op->client, seen))
		m_add(out, n);
}

static void
apply_readdir(struct state *n, const struct m_seen *seen, struct set *out)
{
	if (seen->status != NFS3_OK)
		return;
	/* A listing is no snapshot: a file that is renamed just then may be
	 * met under both names. */
	if (seen->racing && seen->listed[0] == seen->listed[1] &&
	    m_by_number(n, seen->listed[0]) != NULL)
		m_add(out, n);
	for (unsigned i = 0; i < M_NAMES; i++) {
		if (n->f[i].number == UNSEEN && seen->listed_fresh[i])
			n->f[i].number = seen->listed[i];
		if (n->f[i].number != seen->listed[i])
			return;
	}
	m_add(out, n);
}

static void
apply_setattr(struct m_world *w, struct state *n, struct file *f,
	      const struct m_op *op, const struct m_seen *seen,
	      struct set *out)
{
	int want;

	if (!beside(w, f, op->client, false, seen, &want)) {
		if (seen->status == want)
			m_add(out, n);
		return;
	}
	if (seen->status != NFS3_OK)
		return;
	if (op->kind == M_MODE)
		f->mode = op->arg;
	else
		f->mtime = f->live_mtime = f->shown_mtime = op->id;
	f->dirty = 1;
	f->due_ms = seen->sent_ms + w->c.settle_ms;
	keep(w, n, f, op->client, seen, out);
}

/* It did not happen, or a stable WRITE was taken and is not stable. */
static void
refused(struct m_world *w, const struct state *s, const struct m_op *op,
	const struct m_seen *seen, struct set *out)
{
	struct state n = *s;
	struct file *f = m_by_number(&n, seen->target);
	struct m_op less = *op;
	struct m_seen taken = *seen;

	m_add(out, s);
	if (op->kind == M_CREATE)
		f = &n.f[op->name];
	if (f == NULL || (op->kind != M_WRITE && op->kind != M_TRUNCATE &&
			  op->kind != M_CREATE))
		return;
	/* It may have been seen to look before it failed. */
	if (op->kind != M_WRITE) {
		looked(f, op->client);
		m_add(out, &n);
		n = *s;
	}
	/* A writer who has nothing to flush then is none. */
	if (f->state == ACTIVE && f->writer == op->client &&
	    f->uncommitted == 0) {
		m_harden(w, f, 0, M_CELLS, seen->sent_ms);
		f->kicked = f->dirty;
		m_add(out, &n);
		n = *s;
	}
	if (op->kind != M_WRITE || op->how == UNSTABLE)
		return;
	less.how = UNSTABLE;
	taken.status = NFS3_OK;
	taken.has_attr = false;
	apply_write(w, &n, (unsigned)(f - n.f), &less, &taken, out);
}

static bool
by_handle(unsigned kind)
{
	return kind <= M_MTIME;
}

void
m_apply(struct m_world *w, const struct state *s, const struct m_op *op,
      const struct m_seen *seen, struct set *out)
{
	struct state n = *s;
	struct file *f = m_by_number(&n, seen->target);
	unsigned name;

	if (m_host_refused(w, seen))
		refused(w, s, op, seen, out);
	if (by_handle(op->kind) && f == NULL) {
		if (seen->status == NFS3ERR_STALE && !is_orphan(s, seen))
			m_add(out, s);
		else
			apply_orphan(s, op, seen, out);
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
		if (seen->status != NFS3_OK ||
		    !attr_fits(w, f, op->client, seen))
			break;
		m_add(out, &n);
		/* A look, once no late pages have come for a while. */
		looked(f, op->client);
		m_add(out, &n);
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
		apply_names(w, &n, op, seen, out);
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
