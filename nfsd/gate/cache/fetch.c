/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes from S3 into data files: ranged GETs of at most 8 MiB, each pinned
 * to the ETag of the base (If-Match), so that a file never mixes two
 * versions.
 *
 * Readers have the bytes when they are in memory, before they are on disk.
 * That the disk cannot take them is the cache's trouble, not theirs: such
 * bytes are given to the READs that are under way or parked, and dropped.
 *
 * Readers of one file are told apart as streams.  READs of a stream arrive
 * out of order, so anything near where it was expected counts as going on;
 * its window doubles.  Anything else is a seek and fetches a small range.
 * Two readers that miss the same bytes wait for one GET.  The memory that all
 * of that is in: memory.c.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/cache/inside.h"
#include "nfsd/gate/data/data.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/object/object.h"
#include "nfsd/gate/path/path.h"
#include "nfsd/gate/worker/worker.h"

#define FETCH_SMALL (128ULL << 10)
#define WINDOW_FIRST (4 * MIB)
#define WINDOW_MAX (64 * MIB)
#define NEAR (8 * MIB)		/* disorder of READs of one stream */
#define FETCHES_MAX 8		/* in flight for one file */
#define FETCH_HOLD_MS 20000	/* a READ waits for its bytes */
#define HOPE_MS 30000		/* refused, or wrong, so long: it stays so */

/* ---- the buffers, from the last byte of the GET to the data file ---- */

/* Nobody shall find it any more. */
static void
leave_locked(struct fetch *f, struct fetch_list *gone)
{
	struct node *n = f->node;

	LIST_REMOVE(f, link);
	f->gone = true;
	if (f->users == 0)
		LIST_INSERT_HEAD(gone, f, link);
	pthread_cond_broadcast(&n->changed);
}

void
fetch_free(struct fetch_list *gone)
{
	struct fetch *f;

	while ((f = LIST_FIRST(gone)) != NULL) {
		LIST_REMOVE(f, link);
		if (f->buf != NULL)
			free(f->buf);
		memory_give(f->node->export, f->len, false);
		node_put(&f->node);
		free(f);
	}
}

/*
 * Readers come first: when the disk does not keep up and memory for the next
 * GETs is needed, what they have taken already is not stored; nor what is of
 * an old version.
 */
static void
skip_read_locked(struct node *n, struct fetch_list *gone)
{
	struct fetch *f, *next;

	mutex_must_hold(&n->mutex);
	for (f = LIST_FIRST(&n->d.fetches); f != NULL; f = next) {
		next = LIST_NEXT(f, link);
		if (f->buf != NULL && !f->storing &&
		    (f->given >= f->len ||
		     (f->unstored && f->users == 0 && f->awaited == 0) ||
		     strcmp(f->etag, n->i.base_etag) != 0))
			leave_locked(f, gone);
	}
}

void
fetch_piece_locked(struct node *n, struct piece *p)
{
	struct fetch *f;

	mutex_must_hold(&n->mutex);
	LIST_FOREACH(f, &n->d.fetches, link) {
		if (f->buf == NULL || p->off < f->off ||
		    p->off >= f->off + f->len ||
		    strcmp(f->etag, n->i.base_etag) != 0)
			continue;
		if (p->len > f->off + f->len - p->off)
			p->len = f->off + f->len - p->off;
		p->from = f;
		return;
	}
}

void
fetch_use_locked(const struct piece *p)
{
	p->from->users++;
}

void
fetch_done_locked(const struct piece *p, bool taken, struct fetch_list *gone)
{
	struct fetch *f = p->from;
	struct node *n = f->node;

	f->given += taken ? p->len : 0;
	f->awaited -= taken && f->awaited > 0;
	f->users--;
	if (f->gone && f->users == 0)
		LIST_INSERT_HEAD(gone, f, link);
	else if (__atomic_load_n(&n->export->memory_wanted,
				 __ATOMIC_SEQ_CST) > 0)
		skip_read_locked(n, gone);
}

/*
 * The bytes are here: put those that are still wanted where there is room.
 * Called with the mutex; released while the disk works.
 */
static int
store_locked(struct node *n, const struct fetch *f)
{
	uint64_t off = f->off, end = f->off + f->len;
	int r = 0;

	mutex_must_hold(&n->mutex);
	while (r == 0 && off < end) {
		struct piece p;
		uint64_t at, len;

		if (n->dead || strcmp(n->i.base_etag, f->etag) != 0)
			return 0;
		data_piece_locked(n, off, end, false, &p);
		if (p.kind != PIECE_BASE) {
			off += p.len;
			continue;
		}
		len = p.len;
		r = data_place_locked(n, off, len, true, &at);
		if (r < 0)
			break;
		r = data_put_locked(n, f->buf + (off - f->off), len, at);
		if (r == 0 && !n->dead &&
		    strcmp(n->i.base_etag, f->etag) == 0 &&
		    off + len <= n->i.base_limit)
			r = place_set_locked(n, &n->d.clean, off, len, at);
		data_unplace_locked(n, off, len, at);
		off += len;
	}
	data_account_locked(n);
	return r;
}

/* Is [off, off + len) near a reader? */
static bool
near_reader_locked(const struct node *n, uint64_t off, uint64_t len)
{
	mutex_must_hold(&n->mutex);
	for (size_t i = 0; i < STREAMS; i++) {
		const struct stream *s = &n->d.streams[i];

		if (s->window > 0 && off < s->next + WINDOW_MAX + NEAR &&
		    off + len + 2 * NEAR > s->next)
			return true;
	}
	return false;
}

/* The cache is full of this very file: what its readers have left behind
 * goes.  Without that, a file larger than the cache would fill the disk. */
static void
trim_behind_locked(struct node *n)
{
	struct data *d = &n->d;
	struct extents keep = { 0 }, old;

	mutex_must_hold(&n->mutex);
	if (d->memory != NULL)
		return;
	for (size_t i = 0; i < d->clean.count; i++) {
		uint64_t off = d->clean.list[i].off, at = d->clean.list[i].at;
		uint64_t end = off + d->clean.list[i].len;

		while (off < end) {
			uint64_t len = end - off < NEAR ? end - off : NEAR;

			if (near_reader_locked(n, off, len) &&
			    extents_set(&keep, off, len, at) < 0)
				break;	/* it is fetched again */
			off += len;
			at += len;
		}
	}
	old = d->clean;
	d->clean = keep;
	place_release_all_locked(n, &old);
	data_account_locked(n);
}

void
fetch_reader_locked(struct node *n)
{
	mutex_must_hold(&n->mutex);
	n->d.reading++;
}

void
fetch_read_locked(struct node *n, struct fetch_list *gone)
{
	struct fetch *f, *next;

	mutex_must_hold(&n->mutex);
	if (--n->d.reading > 0 || n->d.unstored_ms == 0)
		return;
	for (f = LIST_FIRST(&n->d.fetches); f != NULL; f = next) {
		next = LIST_NEXT(f, link);
		if (f->unstored && f->awaited == 0)
			leave_locked(f, gone);
	}
}

uint64_t
fetch_tick_locked(struct node *n, uint64_t now, struct fetch_list *gone)
{
	struct fetch *f, *next;
	uint64_t soonest = 0;

	mutex_must_hold(&n->mutex);
	for (f = LIST_FIRST(&n->d.fetches); f != NULL; f = next) {
		next = LIST_NEXT(f, link);
		if (!f->unstored || f->awaited == 0)
			continue;
		if (f->until_ms <= now) {
			f->awaited = 0;
			if (n->d.reading == 0)
				leave_locked(f, gone);
		} else if (soonest == 0 || f->until_ms < soonest) {
			soonest = f->until_ms;
		}
	}
	return soonest;
}

/* It could not be stored.  Is there anybody who needs it, and the memory?
 * Who waits for memory waits for this, too; who was parked for these bytes
 * has been called, and would have to fetch them again. */
static bool
wait_for_readers_locked(struct node *n, struct fetch *f)
{
	mutex_must_hold(&n->mutex);
	f->storing = false;
	f->unstored = true;
	n->d.unstored_ms = clock_ms();
	f->until_ms = n->d.unstored_ms + FETCH_HOLD_MS;
	if (f->awaited > 0)
		node_tick_at_locked(n, f->until_ms);
	return f->users > 0 || f->awaited > 0 ||
	       (n->d.reading > 0 &&
		__atomic_load_n(&n->export->memory_wanted,
				__ATOMIC_SEQ_CST) == 0);
}

static struct fetch *
to_store_locked(struct node *n)
{
	struct fetch *f, *found = NULL;

	mutex_must_hold(&n->mutex);
	/* The oldest: readers have passed it. */
	LIST_FOREACH(f, &n->d.fetches, link)
		found = f->buf != NULL && !f->unstored ? f : found;
	return found;
}

/* Put what has come into the data file.  One thread for each file does that,
 * the others go on fetching; readers are served meanwhile. */
static void
store_all_locked(struct node *n)
{
	struct fetch *f;

	mutex_must_hold(&n->mutex);
	if (n->d.storing)
		return;
	n->d.storing = true;
	while ((f = to_store_locked(n)) != NULL) {
		struct fetch_list gone = LIST_HEAD_INITIALIZER(gone);
		int r;

		f->storing = true;
		r = store_locked(n, f);
		if (r == 0 || !wait_for_readers_locked(n, f))
			leave_locked(f, &gone);
		mutex_unlock(&n->mutex);
		fetch_free(&gone);
		mutex_lock(&n->mutex);
	}
	n->d.storing = false;
}

/* Waits until there is memory for another one of this node. */
static void
memory_take(struct node *n, uint64_t bytes, bool upload)
{
	struct fetch_list gone = LIST_HEAD_INITIALIZER(gone);
	struct gate_export *x = n->export;

	if (memory_try(x, bytes, upload, false))
		return;
	/* From here on readers give what they have taken; before it they may
	 * have left it to be stored. */
	__atomic_add_fetch(&x->memory_wanted, 1, __ATOMIC_SEQ_CST);
	mutex_lock(&n->mutex);
	skip_read_locked(n, &gone);
	mutex_unlock(&n->mutex);
	fetch_free(&gone);
	(void)memory_try(x, bytes, upload, true);
	__atomic_sub_fetch(&x->memory_wanted, 1, __ATOMIC_SEQ_CST);
}

void
fetch_memory_take(struct node *n, uint64_t bytes)
{
	memory_take(n, bytes, true);
}

void
fetch_memory_give(struct node *n, uint64_t bytes)
{
	memory_give(n->export, bytes, true);
}

static char *
get(struct fetch *f, const char *key, int *error)
{
	struct gate_export *x = f->node->export;
	struct s3_error err = { 0 };
	enum s3_locked locked;
	char *buf = malloc(f->len);
	ssize_t got = -ENOMEM;

	if (buf != NULL)
		got = s3_get(x->s3, key, f->etag, f->off, buf, f->len, NULL,
			     &err);
	locked = s3_error_locked(got < 0 ? (int)got : 0, &err);
	if (locked != S3_LOCKED_NOT) {
		cold_learn(f->node, key, f->etag, locked);
		cold_say(f->node, key, locked);
	}
	/* The object is shorter than the listing said: not that version. */
	if (got >= 0 && (uint64_t)got < f->len)
		got = -EBADMSG;
	*error = got < 0 ? (int)got : 0;
	if (got < 0) {
		free(buf);
		buf = NULL;
	}
	return buf;
}

bool
fetch_is_hopeless_locked(const struct node *n)
{
	uint64_t grace = n->export->c.refuse_grace_ms;

	mutex_must_hold(&n->mutex);
	return n->d.doubt_ms != 0 &&
	       clock_ms() - n->d.doubt_ms >=
		       (grace < HOPE_MS ? grace : HOPE_MS);
}

/*
 * Some answers may be this object's for good (it is encrypted with a key that
 * we have not, or archived), or a bad moment of the store: who reads is told to
 * come again, for a while.  Denied is denied.
 */
static int
doubt_locked(struct node *n, int r)
{
	bool refused = s3_meaning(r) == S3_REFUSED && r != -EACCES;

	mutex_must_hold(&n->mutex);
	uint64_t now = clock_ms();

	if (r == 0) {
		n->d.doubt_ms = 0;
	} else if (refused || r == -EBADMSG) {
		/* What nobody has asked for meanwhile says nothing of now. */
		if (n->d.doubt_ms == 0 || n->d.doubted_ms + HOPE_MS < now)
			n->d.doubt_ms = now;
		n->d.doubted_ms = now;
	}
	if (!refused)
		return r;
	return fetch_is_hopeless_locked(n) ? -EIO : -EAGAIN;
}

static void
fetch_run(void *arg)
{
	struct fetch_list gone = LIST_HEAD_INITIALIZER(gone);
	struct fetch *f = arg;
	struct node *n = node_ref(f->node);
	struct gate *g = n->export->gate;
	char key[META_KEY_MAX + 2], *buf;
	int r;

	memory_take(n, f->len, false);
	mutex_lock(&n->mutex);
	strcpy(key, n->i.base_key);
	mutex_unlock(&n->mutex);
	buf = get(f, key, &r);
	mutex_lock(&n->mutex);
	r = doubt_locked(n, r);
	/* If it has moved: ask there. */
	n->d.fetch_error = r < 0 && strcmp(key, n->i.base_key) != 0 ? 0 : r;
	n->d.fetch_failed_ms = n->d.fetch_error < 0 ? clock_ms() : 0;
	if (buf != NULL) {
		f->buf = buf;
		node_changed_locked(n);
		store_all_locked(n);
	} else {
		leave_locked(f, &gone);
		node_changed_locked(n);
	}
	mutex_unlock(&n->mutex);
	fetch_free(&gone);
	if (space_short(g))
		space_make(g);
	if (space_short(g)) {
		mutex_lock(&n->mutex);
		trim_behind_locked(n);
		mutex_unlock(&n->mutex);
	}
	node_put(&n);
}

static unsigned
in_flight_locked(const struct node *n)
{
	const struct fetch *f;
	unsigned count = 0;

	mutex_must_hold(&n->mutex);
	LIST_FOREACH(f, &n->d.fetches, link)
		count += f->buf == NULL;
	return count;
}

/* The fetch of the present base that covers off, or how far none does. */
static struct fetch *
covering_locked(const struct node *n, uint64_t off, uint64_t *gap)
{
	struct fetch *f;

	mutex_must_hold(&n->mutex);
	LIST_FOREACH(f, &n->d.fetches, link) {
		if (strcmp(f->etag, n->i.base_etag) != 0)
			continue;
		if (f->off <= off && off < f->off + f->len)
			return f;
		if (f->off > off && f->off - off < *gap)
			*gap = f->off - off;
	}
	return NULL;
}

static int
start_locked(struct node *n, uint64_t off, uint64_t len, enum pool_rank rank)
{
	struct gate *g = n->export->gate;
	struct fetch *f = calloc(1, sizeof(*f));

	mutex_must_hold(&n->mutex);
	if (f == NULL)
		return -ENOMEM;
	f->off = off;
	f->len = len;
	strcpy(f->etag, n->i.base_etag);
	f->node = node_ref(n);
	LIST_INSERT_HEAD(&n->d.fetches, f, link);
	if (pool_add(&g->transfers, n->export, rank, fetch_run, f) < 0) {
		LIST_REMOVE(f, link);
		/* Not node_put: the caller has a reference of its own, so
		 * this is not the last; but it takes the shard's mutex,
		 * which comes after ours. */
		node_put(&f->node);
		free(f);
		return -ENOMEM;
	}
	return 0;
}

/* Start GETs for what [off, end) lacks.  Up to `awaited` a reader waits. */
static int
fill_locked(struct node *n, uint64_t off, uint64_t awaited, uint64_t end,
	    unsigned limit)
{
	mutex_must_hold(&n->mutex);
	if (end > n->i.base_limit)
		end = n->i.base_limit;
	while (off < end) {
		uint64_t len;
		struct piece p;
		const struct fetch *f;
		int r;

		data_piece_locked(n, off, end, false, &p);
		if (p.kind != PIECE_BASE) {
			off += p.len;
			continue;
		}
		len = p.len;
		f = covering_locked(n, off, &len);
		if (f != NULL) {
			off = f->off + f->len;
			continue;
		}
		if (in_flight_locked(n) >= limit)
			return 0;
		/* Keep to 8 MiB boundaries, so that ranges meet. */
		if (len > FETCH_MAX - off % FETCH_MAX)
			len = FETCH_MAX - off % FETCH_MAX;
		r = start_locked(n, off, len,
				 off < awaited ? POOL_AWAITED : POOL_NEXT);
		if (r < 0)
			return r;
		off += len;
	}
	return 0;
}

static struct stream *
stream_locked(struct node *n, uint64_t off, uint64_t len)
{
	struct stream *oldest = &n->d.streams[0];
	uint64_t now = clock_ms();

	mutex_must_hold(&n->mutex);
	for (size_t i = 0; i < STREAMS; i++) {
		struct stream *s = &n->d.streams[i];

		if (s->window > 0 && off + NEAR >= s->next &&
		    off <= s->next + NEAR) {
			if (off + len > s->next) {
				s->next = off + len;
				if (s->window < WINDOW_MAX)
					s->window += len > s->window
							     ? len
							     : s->window / 4;
			}
			s->used_ms = now;
			return s;
		}
		if (s->used_ms < oldest->used_ms)
			oldest = s;
	}
	*oldest = (struct stream){ off + len, off == 0 ? WINDOW_FIRST : len,
				   now };
	return oldest;
}

/* Do not ask again in the same breath what just failed. */
static bool
failed_lately_locked(const struct node *n)
{
	mutex_must_hold(&n->mutex);
	return n->d.fetch_error < 0 &&
	       n->d.fetch_failed_ms + 1000 > clock_ms();
}

void
fetch_want_locked(struct node *n, uint64_t off, uint64_t len)
{
	const struct stream *s;
	uint64_t window;

	mutex_must_hold(&n->mutex);
	if (n->i.base_limit == 0 || off >= n->i.base_limit ||
	    failed_lately_locked(n))
		return;
	s = stream_locked(n, off, len);
	window = s->window < WINDOW_MAX ? s->window : WINDOW_MAX;
	/* What nobody waits for yet would not be kept. */
	if (window <= len ||
	    (n->d.unstored_ms != 0 && n->d.unstored_ms + 1000 > clock_ms())) {
		uint64_t from = off / FETCH_SMALL * FETCH_SMALL;
		uint64_t to = (off + len + FETCH_SMALL - 1) / FETCH_SMALL *
			      FETCH_SMALL;

		(void)fill_locked(n, from, off + len, to, FETCHES_MAX + 1);
		return;
	}
	(void)fill_locked(n, off, off + len, s->next + window, FETCHES_MAX);
}

int
fetch_hold_locked(struct node *n, struct gate_request *rq, uint64_t off,
		  uint64_t end)
{
	uint64_t gap = UINT64_MAX, until = rq->first_ms + FETCH_HOLD_MS;
	struct fetch *f = NULL;
	int r;

	mutex_must_hold(&n->mutex);
	if (rq->token != NULL && !failed_lately_locked(n))
		(void)fill_locked(n, off / FETCH_SMALL * FETCH_SMALL, end,
				  end, UINT32_MAX);
	if (rq->token != NULL)
		f = covering_locked(n, off, &gap);
	/* None is on its way: a thread has to look why. */
	if (f == NULL)
		return may_ask_store(rq);
	if (clock_ms() >= until) {
		rq->again = GATE_JUKEBOX;
		return -EAGAIN;
	}
	r = node_hold_locked(n, rq, until);
	f->awaited += rq->again == GATE_HOLD;
	return r;
}

int
fetch_wait_locked(struct node *n, uint64_t off, uint64_t end)
{
	uint64_t gap = UINT64_MAX;
	int r;

	mutex_must_hold(&n->mutex);
	if (covering_locked(n, off, &gap) == NULL) {
		uint64_t from = off / FETCH_SMALL * FETCH_SMALL;

		if (failed_lately_locked(n)) {
			r = n->d.fetch_error;
			n->d.fetch_error = 0;
			return r;
		}
		r = fill_locked(n, from, end, end, UINT32_MAX);
		if (r < 0)
			return r;
	}
	mutex_wait(&n->mutex, &n->changed, NULL);
	return 0;
}

void
cold_learn(struct node *n, const char *key, const char *etag,
	   enum s3_locked why)
{
	struct meta_batch *b;

	if (why != S3_LOCKED_ARCHIVED)
		return;
	cold_met(n->export, S3_COLD_YES);
	mutex_lock(&n->mutex);
	if (!n->i.cold && !n->dead && strcmp(n->i.base_key, key) == 0 &&
	    strcmp(n->i.base_etag, etag) == 0) {
		n->i.cold = true;
		/* Whoever has it locked writes a row of his own. */
		b = n->locked ? NULL : meta_batch_new();
		if (b != NULL)
			meta_put_inode(b, &n->i);
		meta_post(n->export->gate->meta, &b);
	}
	mutex_unlock(&n->mutex);
}

void
cold_say(struct node *n, const char *key, enum s3_locked why)
{
	char path[4096];

	/* Once for each node in memory: who is refused asks again. */
	if (__atomic_exchange_n(&n->said_locked, true, __ATOMIC_RELAXED))
		return;
	path_text(n, path, sizeof(path));
	if (why == S3_LOCKED_ARCHIVED)
		gate_say(n->export->gate, 1, "an archived object can be "
			 "neither read nor changed before it is restored "
			 "(s3nfsctl restore %s): key=%s", path, key);
	else
		gate_say(n->export->gate, 1, "an object that is encrypted "
			 "with a customer's key can be neither read nor "
			 "changed: file=%s key=%s", path, key);
}
