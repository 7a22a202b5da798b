/* SPDX-License-Identifier: Apache-2.0 */
/*
 * READ and READLINK.  What a client sees of a file is a stack of maps: its
 * own uncommitted bytes, if it is the writer; what was committed; the copy
 * of the base object; the base in S3; zeros.  The pieces are looked up under
 * the mutex and read without it, with the maps' places pinned.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "nfsd/gate/cache/cache.h"
#include "nfsd/gate/data/data.h"
#include "nfsd/gate/dir/dir.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/ops/inside.h"
#include "nfsd/gate/pending/pending.h"
#include "nfsd/gate/upload/upload.h"
#include "nfsd/gate/worker/worker.h"
#include "nfsd/gate/writer/writer.h"

#define PIECES_MAX 256		/* of one READ; more makes it shorter */
#define READER_LEASE_MS 5000
/* The version that a client was reading is gone: STALE, whatever else there
 * may be by now. */
#define REPLACED (-EREMCHG)

struct plan {
	struct piece pieces[PIECES_MAX];
	size_t count;
	uint64_t end;		/* what is covered ends here */
	unsigned generation;	/* of places, while it is read */
	bool eof;
};

/* Does this client see uncommitted bytes? */
static bool
sees_live_locked(const struct node *n, const struct gate_request *rq)
{
	mutex_must_hold(&n->mutex);
	return n->h.state == META_ACTIVE &&
	       (n->export->c.reads == GATE_READS_LIVE ||
		client_holds_locked(n, rq));
}

static struct reader *
reader_locked(struct node *n, const char *who)
{
	struct reader *r;

	mutex_must_hold(&n->mutex);
	LIST_FOREACH(r, &n->readers, link) {
		if (strcmp(r->who, who) == 0)
			return r;
	}
	r = calloc(1, sizeof(*r));
	if (r != NULL) {
		strcpy(r->who, who);
		LIST_INSERT_HEAD(&n->readers, r, link);
	}
	return r;
}

/*
 * A READ goes on with the version that the client reads, as long as its lease
 * lasts.  One that begins at the start, or beyond the end, begins anew.
 */
static bool
goes_on_locked(const struct node *n, const struct reader *r, uint64_t off)
{
	mutex_must_hold(&n->mutex);
	return r->until_ms > run_ms(n->export->gate) && off > 0 &&
	       off < n->i.size;
}

/* ... and that version need not be looked for, then. */
static bool
is_pinned(struct node *n, struct gate_request *rq, uint64_t off)
{
	char who[META_CLIENT_MAX];
	struct reader *r;
	bool pinned = false;

	if (n->export->c.reads != GATE_READS_REFUSE)
		return false;
	client_id_text(n->export, rq, who);
	mutex_lock(&n->mutex);
	LIST_FOREACH(r, &n->readers, link) {
		if (strcmp(r->who, who) == 0)
			pinned = goes_on_locked(n, r, off);
	}
	mutex_unlock(&n->mutex);
	return pinned;
}

/*
 * Strict exports refuse a reader beside an active writer, and remember who
 * read, and what (rule.md 10).
 */
static int
strict_locked(struct node *n, struct gate_request *rq, uint64_t off)
{
	struct gate_export *x = n->export;
	char who[META_CLIENT_MAX];
	uint64_t now = run_ms(x->gate);
	struct reader *r;

	mutex_must_hold(&n->mutex);
	if (x->c.reads != GATE_READS_REFUSE)
		return 0;
	client_id_text(x, rq, who);
	r = reader_locked(n, who);
	if (r == NULL)
		return -ENOMEM;
	if (r->owed_error) {
		r->owed_error = r->waits = false;
		return -EIO;
	}
	r->waits = false;
	if (n->h.state != META_NONE && strcmp(n->h.who, who) != 0) {
		if (n->h.state == META_ACTIVE) {
			if (r->refused_ms == 0)
				r->refused_ms = now;
			if (x->c.busy == GATE_BUSY_FAIL ||
			    now >= r->refused_ms + x->c.busy_limit_ms) {
				r->refused_ms = 0;
				return -EACCES;
			}
		} else {
			/* Flushed: wait until S3 has it. */
			r->waits = true;
			upload_want_locked(n);
		}
		if (clock_ms() < rq->first_ms + x->c.hold_ms)
			return node_hold_locked(n, rq,
						rq->first_ms + x->c.hold_ms);
		rq->again = GATE_JUKEBOX;
		return -EAGAIN;
	}
	r->refused_ms = 0;
	if (goes_on_locked(n, r, off) && r->version != n->replaced) {
		r->until_ms = 0;
		return REPLACED;
	}
	r->until_ms = now + READER_LEASE_MS;
	r->version = n->replaced;
	return 0;
}

/* Find the pieces; fetches what lacks.  Mutex held. */
static int
plan_locked(struct node *n, struct gate_request *rq, uint64_t off,
	    uint32_t len, struct plan *plan)
{
	bool live = sees_live_locked(n, rq);
	const struct shown *shown = shown_to_locked(n, rq);
	uint64_t size = live	       ? n->writer_size
			: shown != NULL ? shown->size
					: n->i.size;
	uint64_t end, at;

	mutex_must_hold(&n->mutex);
	plan->count = 0;
	if (off >= size) {
		plan->end = off;
		plan->eof = true;
		return 0;
	}
	end = size - off < len ? size : off + len;
	for (at = off; at < end && plan->count < PIECES_MAX;) {
		struct piece *p = &plan->pieces[plan->count];

		if (shown != NULL)
			shown_piece_locked(n, shown, at, end, p);
		else
			data_piece_locked(n, at, end, live, p);
		if (p->kind == PIECE_BASE)
			fetch_piece_locked(n, p);
		if (p->kind == PIECE_BASE && p->from == NULL) {
			int r;

			r = rq->may_block && !rq->near
				    ? fetch_wait_locked(n, at, at + p->len)
				    : fetch_hold_locked(n, rq, at,
							at + p->len);
			return r < 0 ? r : 1;
		}
		at += p->len;
		plan->count++;
	}
	plan->end = at;
	plan->eof = at == size;
	return 0;
}

static void
copy_fetch(const struct piece *p, char *to)
{
	memcpy(to, p->from->buf + (p->off - p->from->off), p->len);
}

/* Without the mutex.  -EAGAIN: the disk would have to be waited for. */
static int
copy_pieces(int fd, const struct plan *plan, uint64_t off, char *buf,
	    bool may_block)
{
	for (size_t i = 0; i < plan->count; i++) {
		const struct piece *p = &plan->pieces[i];
		uint64_t done = 0;

		if (p->kind == PIECE_ZERO) {
			memset(buf + (p->off - off), 0, p->len);
			continue;
		}
		if (p->from != NULL) {
			copy_fetch(p, buf + (p->off - off));
			continue;
		}
		while (done < p->len) {
			struct iovec v = { buf + (p->off - off) + done,
					   p->len - done };
			ssize_t n = preadv2(fd, &v, 1, (off_t)(p->at + done),
					    may_block ? 0 : RWF_NOWAIT);

			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0 && !may_block &&
			    (errno == EAGAIN || errno == EOPNOTSUPP))
				return -EAGAIN;
			if (n <= 0) {
				if (!may_block)
					return -EAGAIN;
				return -EIO;
			}
			done += (uint64_t)n;
		}
	}
	return 0;
}

/* A small file has no data file.  Mutex held. */
static void
copy_memory(const struct node *n, const struct plan *plan, uint64_t off,
	    char *buf)
{
	for (size_t i = 0; i < plan->count; i++) {
		const struct piece *p = &plan->pieces[i];

		if (p->kind == PIECE_ZERO)
			memset(buf + (p->off - off), 0, p->len);
		else if (p->from != NULL)
			copy_fetch(p, buf + (p->off - off));
		else
			memcpy(buf + (p->off - off), n->d.memory + p->at,
			       p->len);
	}
}

static void
pin_locked(struct node *n, struct plan *plan)
{
	mutex_must_hold(&n->mutex);
	plan->generation = place_read_locked(n);
	for (size_t i = 0; i < plan->count; i++) {
		if (plan->pieces[i].from != NULL)
			fetch_use_locked(&plan->pieces[i]);
	}
}

static void
unpin_locked(struct node *n, const struct plan *plan, bool taken,
	     struct fetch_list *gone)
{
	mutex_must_hold(&n->mutex);
	for (size_t i = 0; i < plan->count; i++) {
		if (plan->pieces[i].from != NULL)
			fetch_done_locked(&plan->pieces[i], taken, gone);
	}
	place_unread_locked(n, plan->generation);
	data_idle_locked(n);
}

/* The data file, if a piece lies there.  Mutex held. */
static int
use_file_locked(struct node *n, const struct plan *plan,
		struct data_file **out)
{
	bool wanted = false;
	int r;

	mutex_must_hold(&n->mutex);
	for (size_t i = 0; i < plan->count; i++)
		wanted |= plan->pieces[i].kind == PIECE_FILE;
	if (!wanted || n->d.memory != NULL)
		return 0;
	r = data_open_locked(n, false);
	if (r == 0)
		r = file_use(n->d.file);
	if (r == 0)
		*out = n->d.file;
	return r == 0 || r == -EAGAIN ? r : -EIO;
}

/* Some of what was read may never have reached the disk, and be gone.
 * 1: that is mended, read once more. */
static int
mend(struct node *n, struct gate_request *rq)
{
	int r = 0;

	if (!rq->may_block) {
		rq->again = GATE_NEEDS_THREAD;
		return -EAGAIN;
	}
	node_lock_wait(n);
	if (!n->dead)
		r = data_mend(n);
	node_unlock(n);
	return r < 0 ? r : 1;
}

static int
read_once(struct node *n, struct gate_request *rq, struct reading *to)
{
	struct fetch_list gone = LIST_HEAD_INITIALIZER(gone);
	struct data_file *file = NULL;
	bool failed = false;
	struct plan plan;
	uint64_t version;
	int r;

	mutex_lock(&n->mutex);
	fetch_reader_locked(n);
	r = strict_locked(n, rq, to->off);
	version = n->replaced;
	if (r == 0)
		fetch_want_locked(n, to->off, to->len);
	while (r == 0 &&
	       (r = plan_locked(n, rq, to->off, to->len, &plan)) == 1)
		r = n->dead ? -ESTALE : 0;
	/* While bytes were waited for. */
	if (r == 0 && version != n->replaced)
		r = strict_locked(n, rq, to->off);
	/* A foreign reader of flushed bytes: S3 should have them soon. */
	if (r == 0 && n->h.state == META_FLUSHED && !client_holds_locked(n, rq))
		upload_schedule_locked(n, true);
	if (r == 0 && n->d.memory != NULL)
		copy_memory(n, &plan, to->off, to->buf);
	else if (r == 0)
		r = use_file_locked(n, &plan, &file);
	if (r < 0) {
		fetch_read_locked(n, &gone);
		mutex_unlock(&n->mutex);
		fetch_free(&gone);
		return r;
	}
	/* Of the moment that the bytes are of: with later times a client would
	 * keep them for those of the next version. */
	if (to->attr != NULL)
		node_attr_locked(n, rq, to->attr);
	if (n->d.memory == NULL) {
		pin_locked(n, &plan);
		mutex_unlock(&n->mutex);
		r = copy_pieces(file != NULL ? file->fd : -1, &plan, to->off,
				to->buf, rq->may_block);
		failed = file != NULL && file_failed(file);
		file_done(&file);
		mutex_lock(&n->mutex);
		unpin_locked(n, &plan, r == 0 && !failed, &gone);
	}
	if (r == 0 && n->h.state != META_NONE && client_holds_locked(n, rq))
		n->h_last_ms = run_ms(n->export->gate);
	fetch_read_locked(n, &gone);
	mutex_unlock(&n->mutex);
	fetch_free(&gone);
	if (r == -EAGAIN)
		rq->again = GATE_NEEDS_THREAD;
	if (failed)
		return mend(n, rq);
	if (r < 0)
		return r;
	failpoint("read-copied");
	to->got = (uint32_t)(plan.end - to->off);
	to->eof = plan.eof;
	return 0;
}

int
read_node(struct node *n, struct gate_request *rq, struct reading *to)
{
	int r;

	do {
		r = read_once(n, rq, to);
	} while (r == 1);
	return r;
}

/*
 * The base is not at its key any more, and an upload of this file is due or
 * on its way: most likely its own new version is there, and the row does not
 * say so yet (also after a crash in between).  Its end tells.
 */
static int
wait_for_new_base(struct node *n, struct gate_request *rq, int error)
{
	uint64_t until = rq->first_ms + n->export->c.hold_ms;
	int r = error;

	mutex_lock(&n->mutex);
	if (n->up.pending && !n->dead &&
	    (n->h.state != META_ACTIVE || n->up.run == UP_RUNNING)) {
		n->d.fetch_error = 0;
		upload_want_locked(n);
		if (clock_ms() < until) {
			r = node_hold_locked(n, rq, until);
		} else {
			rq->again = GATE_JUKEBOX;
			r = -EAGAIN;
		}
	}
	mutex_unlock(&n->mutex);
	return r;
}

int
gate_read(struct gate_export *x, struct gate_request *rq,
	  const struct gate_fh *fh, uint64_t off, void *buf, uint32_t len,
	  uint32_t *got, bool *eof, struct gate_attr *attr)
{
	struct reading to = { .off = off, .buf = buf, .len = len,
			      .attr = attr };
	struct node *n = NULL;
	struct perm p;
	int adopted, r = node_from_fh(x, rq, fh, &n);

	if (r < 0)
		return r;
	silence_begin(n, rq);
	if (rq->may_block) {
		files_ease(&x->gate->files);
	} else if (files_many(&x->gate->files)) {
		rq->again = GATE_NEEDS_THREAD;
		r = -EAGAIN;
	}
	if (r == 0 && node_kind(n) != GATE_REG)
		r = node_kind(n) == GATE_DIR ? -EISDIR : -EINVAL;
	else if (r == 0 && !is_pinned(n, rq, off))
		r = lookup_refresh(n, rq);
	p = node_perm(n);
	/* Who may execute a program may read it (RFC 1813 4.4). */
	if (r == 0 && p.uid != rq->cred.uid && !perm_allows(rq, p, MAY_READ) &&
	    !perm_allows(rq, p, MAY_EXEC))
		r = -EACCES;
	for (int tries = 0; r == 0; tries++) {
		r = read_node(n, rq, &to);
		/* The object was replaced while its bytes were fetched: take
		 * the new version over and read that. */
		if ((r != -ESTALE && r != -ENOENT && r != -EBADMSG) ||
		    node_dead(n) || tries == 3)
			break;
		if (may_ask_store(rq) < 0) {
			r = -EAGAIN;
			break;
		}
		adopted = indoubt_adopt_base(n);
		/* It may be our own, which cannot be asked or recorded now:
		 * that is no reason to say that the file has gone. */
		if (adopted < 0)
			r = -EAGAIN;
		else if (adopted == 0)
			r = wait_for_new_base(n, rq, r);
		if (r == -EAGAIN)
			break;
		mutex_lock(&n->mutex);
		n->checked_ms = 0;
		n->i.attr_known = false;
		mutex_unlock(&n->mutex);
		r = lookup_refresh(n, rq);
	}
	if (r == -EBADMSG) {
		mutex_lock(&n->mutex);
		r = fetch_is_hopeless_locked(n) ? -EIO : -EAGAIN;
		mutex_unlock(&n->mutex);
	}
	if (r == -EAGAIN && rq->again == GATE_AGAIN_NONE)
		rq->again = GATE_JUKEBOX;
	else if (r == -ENOENT || r == REPLACED)
		r = -ESTALE;
	if (r == 0) {
		*got = to.got;
		*eof = to.eof;
	}
	silence_end(n, rq, r);
	node_put(&n);
	return r;
}

int
gate_readlink(struct gate_export *x, struct gate_request *rq,
	      const struct gate_fh *fh, char target[GATE_PATH_MAX + 1],
	      struct gate_attr *attr)
{
	struct node *n = NULL;
	int r = node_from_fh(x, rq, fh, &n);

	if (r == 0)
		r = lookup_refresh(n, rq);
	if (r == 0) {
		mutex_lock(&n->mutex);
		if (n->i.kind != GATE_LNK || n->i.target == NULL)
			r = -EINVAL;
		else
			strcpy(target, n->i.target);
		node_attr_locked(n, rq, attr);
		mutex_unlock(&n->mutex);
	}
	node_put(&n);
	return r;
}
