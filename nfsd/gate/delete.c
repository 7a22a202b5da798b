/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deletions of objects.  Each is a row before it is a request, so that a
 * crash or an S3 that does not answer forgets none; its key is hidden until
 * it is done.  A deletion takes the key as uploads do: it never overtakes an
 * upload of the file that was removed, nor meets the next one's.  It says
 * which version it is about (If-Match, or a look where the store ignores
 * that): what somebody else has put there since stays, and what this gateway
 * made after the copy from which its state directory was put back.  Only the
 * first try, a moment after the request, may go without that.  Where an upload
 * had no answer it may be one of several, and it is looked at first; of
 * multipart uploads only those go that may be ours, by their id, or by the time
 * at which they began.
 *
 * Those of an export that wait stand in a heap, the soonest on top, and some
 * of them are on their way: neither a bucket that says nothing nor one that
 * refuses thousands of them keeps anybody else waiting.  A directory's object
 * goes after what lay below it, since stores that keep directories (SeaweedFS)
 * would show an empty one for ever; but nobody who needs its key waits for
 * that.  Each that fails
 * waits longer the next time; what is said of it is one line a minute, with
 * the number of the others.
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/denied.h"
#include "nfsd/gate/lost.h"
#include "nfsd/gate/upload.h"

#define KEY_BUSY_MS 20
#define WAITERS_MAX 4
#define DELETE_RETRY_FIRST_MS 500
#define MOMENT_MS 600000		/* what passes has passed by then */
#define RETRY_MAX_MS 30000
#define REFUSED_MAX_MS 300000	/* of one that is refused: nobody's haste */
#define AT_ONCE 8		/* of an export */
#define SAY_MS 60000
#define PARTS_TRIES 10		/* with growing pauses: minutes */
#define DENIALS_MIN 3
#define SOFT_MS 1000		/* a moment */
#define BELOW_FIRST_MS 20
#define BELOW_MAX_MS 2000
#define BELOW_LOOKS 1000	/* at deletions given before, and after */

struct deletion {
	struct gate_export *x;
	struct meta_delete row;
	unsigned attempts;
	uint64_t since_ms, due_ms;
	int64_t asked_ns;	/* wall clock; of old rows, the start's */
	bool refused;		/* by S3, when it was tried last */
	uint64_t denied_ms;	/* it is denied since then; 0: it is not, */
	unsigned denials;	/* so often, */
	bool denied;		/* which is no bad moment any more */
	bool gone;		/* S3 has it no more; only the row is left */
	bool looked;		/* in doubt, and there was nothing */
	bool wanted;		/* its key: it waits for nothing below it */
	bool waiting;		/* in the heap, */
	size_t at;		/* here */
	UT_hash_handle hh;	/* by number */
	UT_hash_handle hh_key;	/* by key; two may have the same */
};

/* ---- those that wait; gate->mutex held ---- */

static void
put_at(struct deletes *s, size_t at, struct deletion *d)
{
	s->heap[at] = d;
	d->at = at;
}

static void
sift_up(struct deletes *s, struct deletion *d, size_t at)
{
	for (; at > 0 && s->heap[(at - 1) / 2]->due_ms > d->due_ms;
	     at = (at - 1) / 2)
		put_at(s, at, s->heap[(at - 1) / 2]);
	put_at(s, at, d);
}

/* There is room: each deletion has its place from the start. */
static void
deletes_wait_locked(struct deletes *s, struct deletion *d)
{
	d->waiting = true;
	sift_up(s, d, s->waiting++);
}

static struct deletion *
soonest_locked(struct deletes *s)
{
	struct deletion *top = s->heap[0], *last = s->heap[--s->waiting];
	size_t at = 0, child;

	top->waiting = false;
	if (s->waiting == 0)
		return top;
	while ((child = 2 * at + 1) < s->waiting) {
		if (child + 1 < s->waiting &&
		    s->heap[child + 1]->due_ms < s->heap[child]->due_ms)
			child++;
		if (s->heap[child]->due_ms >= last->due_ms)
			break;
		put_at(s, at, s->heap[child]);
		at = child;
	}
	put_at(s, at, last);
	return top;
}

static bool
has_doubt(const struct deletion *d)
{
	return d->row.ours != NULL && d->row.ours->count > 0;
}

/* Send off what is due, as many as may be on their way. */
static void
deletes_start_locked(struct gate_export *x)
{
	struct gate *g = x->gate;
	struct deletes *s = &x->deletes;
	uint64_t now = clock_ms();

	while (s->waiting > 0 && s->running < AT_ONCE &&
	       s->heap[0]->due_ms <= now) {
		struct deletion *d = soonest_locked(s);

		if (pool_add(&g->transfers, x, POOL_NEXT, s->run, d) < 0) {
			d->due_ms = now + DELETE_RETRY_FIRST_MS;
			deletes_wait_locked(s, d);
			timers_add(&g->timers, d->due_ms, 0);
			break;
		}
		s->running++;
	}
}

static void
deletion_end(struct deletion *d)
{
	free(d->row.ours);
	free(d);
}

/* ---- the end of a try ---- */

/* From here on it may be another thread's, and gone. */
static void
try_later(struct deletion *d, uint64_t wait_ms, unsigned attempts)
{
	struct gate_export *x = d->x;
	struct gate *g = x->gate;
	struct deletes *s = &x->deletes;
	uint64_t due = clock_ms() + wait_ms;

	pthread_mutex_lock(&g->mutex);
	s->failing += attempts > 0 && d->attempts == 0;
	d->attempts += attempts;
	d->due_ms = due;
	s->running--;
	deletes_wait_locked(s, d);
	deletes_start_locked(x);
	/* Who waits for it has waited long enough. */
	if (attempts > 0)
		pthread_cond_broadcast(&g->progress);
	pthread_mutex_unlock(&g->mutex);
	timers_add(&g->timers, due, 0);
}

/* A crash before the row is gone does it again, while the key is hidden and
 * nobody's.  So the key stays hidden until it is: with a row that could not be
 * taken out, the next start would delete what has come there since.  Who waits
 * for the object need not wait for that. */
static void
done(struct deletion *d)
{
	struct gate_export *x = d->x;
	struct gate *g = x->gate;
	struct deletes *s = &x->deletes;
	struct meta_batch *b = meta_batch_new();

	pthread_mutex_lock(&g->mutex);
	d->gone = true;
	pthread_cond_broadcast(&g->progress);
	pthread_mutex_unlock(&g->mutex);
	meta_del_delete(b, d->row.id);
	if (meta_commit(g->meta, &b) < 0) {
		try_later(d, DELETE_RETRY_FIRST_MS, 0);
		return;
	}
	failpoint("delete-done");
	hidden_del(x, d->row.key);
	pthread_mutex_lock(&g->mutex);
	if (d->hh.tbl != NULL)		/* there was memory for it */
		HASH_DELETE(hh, s->by_id, d);
	if (d->hh_key.tbl != NULL)
		HASH_DELETE(hh_key, s->by_key, d);
	s->places--;
	s->running--;
	s->failing -= d->attempts > 0;
	s->refused -= d->refused;
	s->denied -= d->denied;
	g->deletes_pending--;
	deletes_start_locked(x);
	pthread_cond_broadcast(&g->progress);
	pthread_mutex_unlock(&g->mutex);
	deletion_end(d);
	heal_over(x);
}

/* One line for all of a kind, then one a minute. */
static void
delete_say_failure(const struct deletion *d, int r, const struct s3_error *err)
{
	struct gate *g = d->x->gate;
	struct deletes *s = &d->x->deletes;
	uint64_t now = clock_ms();
	unsigned others = 0;
	bool say;

	pthread_mutex_lock(&g->mutex);
	say = s->said != r || s->said_ms + SAY_MS <= now;
	if (say) {
		others = s->unsaid;
		s->unsaid = 0;
		s->said = r;
		s->said_ms = now;
	} else {
		s->unsaid++;
	}
	pthread_mutex_unlock(&g->mutex);
	if (say)
		gate_say(g, 1, "cannot delete, will be tried again: key=%s "
			 "error=%s %s others=%u", d->row.key,
			 err->code[0] != '\0' ? err->code : strerror(-r),
			 err->message, others);
}

/* ---- multipart uploads ---- */

/* The store tells times to a second. */
#define STORE_STEP_NS 1000000000

struct orphan {
	struct gate_export *x;
	const char *key;
	int64_t since_ns, until_ns;
	int error;
};

/* Within those times it may be ours; before or after, it is another tool's.  The
 * store has just answered, so that its clock is known. */
static bool
may_be_ours(const struct orphan *o, int64_t initiated_ns)
{
	int64_t ahead_ns = s3_clock_ns(o->x->s3) - clock_ns();

	return initiated_ns == 0 ||
	       (initiated_ns + CLOCKS_NS >= o->since_ns &&
		initiated_ns <= o->until_ns + ahead_ns + STORE_STEP_NS);
}

static int
abort_orphan(void *arg, const char *key, const char *upload_id,
	     int64_t initiated_ns)
{
	struct orphan *o = arg;
	int r;

	if (strcmp(key, o->key) != 0 || !may_be_ours(o, initiated_ns))
		return 0;
	r = s3_upload_abort(o->x->s3, key, upload_id, NULL);
	if (r < 0 && r != -ENOENT)
		o->error = r;
	return 0;
}

int
delete_parts(struct gate_export *x, const char *key, int64_t since_ns,
	     int64_t until_ns)
{
	struct orphan o = { .x = x, .key = key, .since_ns = since_ns,
			    .until_ns = until_ns };
	int r = s3_upload_list(x->s3, key, abort_orphan, &o, NULL);

	return r == -ENOTSUP || r == -ENOENT ? 0 : r < 0 ? r : o.error;
}

/* A store that does not let us see to them, and stays at that, keeps nothing
 * else waiting. */
static int
parts_of(struct deletion *d)
{
	const struct meta_ours *ours = d->row.ours;
	int r;

	if (ours != NULL && ours->upload_id[0] != '\0')
		r = s3_upload_abort(d->x->s3, d->row.key, ours->upload_id,
				    NULL);
	else
		r = delete_parts(d->x, d->row.key,
				 ours != NULL ? ours->since_ns : 0,
				 ours != NULL ? ours->until_ns : d->asked_ns);
	if (r == -ENOENT)
		r = 0;
	if (r == 0 || upload_is_transient(r) || d->attempts < PARTS_TRIES)
		return r;
	gate_say(d->x->gate, 1, "cannot abort a multipart upload: key=%s %s",
		 d->row.key, strerror(-r));
	return 0;
}

static void
delete_set_refused(struct deletion *d, bool refused)
{
	struct gate *g = d->x->gate;

	pthread_mutex_lock(&g->mutex);
	d->x->deletes.refused += (unsigned)refused - (unsigned)d->refused;
	d->refused = refused;
	pthread_mutex_unlock(&g->mutex);
}

/* Does it stay so?  As of uploads that are refused (upload.c). */
static void
set_denied(struct deletion *d, bool denied)
{
	struct gate_export *x = d->x;
	uint64_t now = clock_ms();
	bool lasts;

	pthread_mutex_lock(&x->gate->mutex);
	d->denials = denied ? d->denials + 1 : 0;
	if (d->denials <= 1)
		d->denied_ms = now;
	lasts = d->denials >= DENIALS_MIN &&
		now - d->denied_ms >= x->c.refuse_grace_ms;
	x->deletes.denied += (unsigned)lasts - (unsigned)d->denied;
	d->denied = lasts;
	pthread_mutex_unlock(&x->gate->mutex);
}

bool
delete_any_denied(struct gate_export *x)
{
	bool any;

	pthread_mutex_lock(&x->gate->mutex);
	any = x->deletes.denied > 0;
	pthread_mutex_unlock(&x->gate->mutex);
	return any;
}

static size_t
directory_len(const char *key)
{
	size_t len = strlen(key);

	while (len > 0 && key[len - 1] == '/')
		len--;
	while (len > 0 && key[len - 1] != '/')
		len--;
	return len;
}

bool
delete_denied_beside(struct gate_export *x, const char *key)
{
	size_t len = directory_len(key);
	const struct deletion *d;

	pthread_mutex_lock(&x->gate->mutex);
	for (d = x->deletes.by_id; d != NULL; d = d->hh.next)
		if (d->denied && directory_len(d->row.key) == len &&
		    memcmp(d->row.key, key, len) == 0)
			break;
	pthread_mutex_unlock(&x->gate->mutex);
	return d != NULL;
}

/* For longer than a bad moment: thousands of those would be a storm each time
 * that S3 takes something else. */
static bool
delete_stays_refused(const struct deletion *d)
{
	return d->refused && d->since_ms + MOMENT_MS <= clock_ms();
}

static void
delete_put_row(struct deletion *d)
{
	struct meta_batch *b = meta_batch_new();

	meta_put_delete(b, &d->row);
	meta_post(d->x->gate->meta, &b);
}

static void
delete_nothing_left(struct deletion *d)
{
	struct gate *g = d->x->gate;

	pthread_mutex_lock(&g->mutex);
	if (d->row.parts && strcmp(d->row.etag, DELETE_NOTHING) != 0) {
		strcpy(d->row.etag, DELETE_NOTHING);
		if (d->row.ours != NULL)
			d->row.ours->count = 0;
		delete_put_row(d);
	}
	pthread_mutex_unlock(&g->mutex);
}

/* ---- what is below a directory ---- */

static int
one_below(void *arg, uint64_t ino, const char *key)
{
	(void)ino;
	(void)key;
	*(bool *)arg = true;
	return 1;
}

/* Those of one directory are given together.  Mutex held. */
static bool
deletes_below_locked(const struct deletion *d)
{
	const struct deletion *a = d->hh.prev, *b = d->hh.next;
	size_t len = strlen(d->row.key);

	for (int i = 0; i < BELOW_LOOKS && (a != NULL || b != NULL); i++) {
		if ((a != NULL && strncmp(a->row.key, d->row.key, len) == 0 &&
		     a->row.key[len] != '\0') ||
		    (b != NULL && strncmp(b->row.key, d->row.key, len) == 0 &&
		     b->row.key[len] != '\0'))
			return true;
		a = a != NULL ? a->hh.prev : NULL;
		b = b != NULL ? b->hh.next : NULL;
	}
	return false;
}

static bool
is_too_early(struct deletion *d)
{
	struct gate *g = d->x->gate;
	const char *key = d->row.key;
	bool below = false, wanted;

	if (key[0] == '\0' || key[strlen(key) - 1] != '/')
		return false;
	pthread_mutex_lock(&g->mutex);
	wanted = d->wanted;
	below = !wanted && d->hh.tbl != NULL && deletes_below_locked(d);
	pthread_mutex_unlock(&g->mutex);
	/* What cannot be known is no reason to wait. */
	if (!wanted && !below)
		(void)!meta_each_carried(g->meta, d->x->id, key, key, 1,
					 one_below, &below);
	return below;
}

/* The longer it has waited, the longer it does. */
static uint64_t
below_pause(const struct deletion *d)
{
	uint64_t wait = (clock_ms() - d->since_ms) / 4;

	return wait < BELOW_FIRST_MS ? BELOW_FIRST_MS :
	       wait > BELOW_MAX_MS   ? BELOW_MAX_MS :
				       wait;
}

/* ---- the object ---- */

/* Requests to the key had no answer: what lies there goes if it is one that
 * they may have left, or the one that was known before.  -ESTALE: it is
 * somebody else's; -EBUSY: it is to be looked at again. */
static int
remove_ours(struct deletion *d, struct s3_error *err)
{
	struct gate_export *x = d->x;
	const struct meta_ours *ours = d->row.ours;
	struct s3_object o = { 0 };
	bool ours_or_known;
	int r = s3_head(x->s3, d->row.key, &o, err);

	/* The request may be on its way still: once more, in a moment. */
	if (r == -ENOENT)
		return d->looked ? 0 : -EBUSY;
	/* Where only what is there may be looked at, a refusal says no more
	 * than that; it does not keep the key for ever. */
	if (r == -EACCES && d->attempts >= PARTS_TRIES) {
		gate_say(x->gate, 1, "cannot see whether an upload without an "
			 "answer left an object of a file that was removed: "
			 "key=%s", d->row.key);
		return 0;
	}
	if (r < 0)
		return r;
	ours_or_known = (d->row.etag[0] != '\0' &&
			 strcmp(o.etag, d->row.etag) == 0) ||
			lost_is_one_of(x, d->row.key, &o, ours->sent,
				       ours->count);
	r = -ESTALE;
	if (ours_or_known) {
		r = s3_delete(x->s3, d->row.key, o.etag, err);
		/* Another came in between: whose? */
		if (r == -ESTALE)
			r = -EAGAIN;
	}
	s3_object_free(&o);
	return r;
}

/* The key is ours.  -ESTALE: what is there is somebody else's; -EBUSY. */
static int
remove_object(struct deletion *d, struct s3_error *err)
{
	bool soft = d->row.soft && d->attempts == 0 &&
		    d->since_ms + SOFT_MS > clock_ms();

	if (strcmp(d->row.etag, DELETE_NOTHING) == 0)
		return 0;
	if (has_doubt(d))
		return remove_ours(d, err);
	return s3_delete(d->x->s3, d->row.key,
			 d->row.etag[0] != '\0' && !soft ? d->row.etag : NULL,
			 err);
}

/* ---- the run ---- */

void
delete_run(void *arg)
{
	struct deletion *d = arg;
	struct gate *g = d->x->gate;
	struct s3_error err = { 0 };
	uint64_t wait = DELETE_RETRY_FIRST_MS, longest;
	bool theirs, gone;
	int r;

	if (d->gone) {
		done(d);
		return;
	}
	if (is_too_early(d)) {
		try_later(d, below_pause(d), 0);
		return;
	}
	if (!key_try(d->x, d->row.key, KEY_ROW | d->row.id)) {
		try_later(d, KEY_BUSY_MS, 0);
		return;
	}
	failpoint("delete-before-s3");
	r = remove_object(d, &err);
	failpoint("delete-after-s3");
	if (r == -EBUSY) {
		d->looked = true;
		key_release(d->x, d->row.key, KEY_ROW | d->row.id);
		try_later(d, DELETE_RETRY_FIRST_MS, 1);
		return;
	}
	theirs = r == -ESTALE;
	gone = r == 0 || theirs || r == -ENOENT;
	if (gone && d->row.parts)
		r = parts_of(d);
	key_release(d->x, d->row.key, KEY_ROW | d->row.id);
	if (theirs) {
		__atomic_add_fetch(&g->conflicts, 1, __ATOMIC_RELAXED);
		gate_say(g, 1, "conflict: somebody else has put another object "
			 "where one was removed here; theirs stays: key=%s",
			 d->row.key);
	}
	/* Should its parts keep it: what comes to the key now is not ours. */
	if (gone)
		delete_nothing_left(d);
	if (r == 0 || r == -ESTALE || r == -ENOENT) {
		done(d);
		return;
	}
	delete_set_refused(d, !upload_is_transient(r));
	set_denied(d, r == -EACCES);
	longest = r == -EAGAIN ? RETRY_MAX_MS : REFUSED_MAX_MS;
	for (unsigned i = 0; i < d->attempts && wait < longest; i++)
		wait *= 2;
	delete_say_failure(d, r, &err);
	wait = wait < longest ? wait : longest;
	try_later(d, delete_stays_refused(d) ? wait : heal_pause(d->x, wait), 1);
}

void
delete_tick(struct gate *g)
{
	struct gate_export *x;

	pthread_mutex_lock(&g->mutex);
	LIST_FOREACH(x, &g->exports, link)
		deletes_start_locked(x);
	pthread_mutex_unlock(&g->mutex);
}

void
deletes_timer(struct gate *g)
{
	struct gate_export *x;

	pthread_mutex_lock(&g->mutex);
	LIST_FOREACH(x, &g->exports, link) {
		if (x->deletes.waiting > 0)
			timers_add(&g->timers, x->deletes.heap[0]->due_ms, 0);
	}
	pthread_mutex_unlock(&g->mutex);
}

void
deletes_hurry(struct gate_export *x)
{
	struct deletes *s = &x->deletes;
	struct gate *g = x->gate;
	uint64_t now = clock_ms();

	pthread_mutex_lock(&g->mutex);
	for (size_t i = 0; i < s->waiting; i++) {
		struct deletion *d = s->heap[i];

		if (d->due_ms <= now || delete_stays_refused(d))
			continue;
		d->due_ms = now;
		sift_up(s, d, i);
	}
	deletes_start_locked(x);
	pthread_mutex_unlock(&g->mutex);
}

/* A place for one more.  Mutex held. */
static bool
make_room_locked(struct deletes *s)
{
	size_t room = s->room ? s->room * 2 : 64;
	struct deletion **heap;

	if (s->places < s->room)
		return true;
	heap = realloc(s->heap, room * sizeof(struct deletion *));
	if (heap == NULL)
		return false;
	s->heap = heap;
	s->room = room;
	return true;
}

struct deletion *
delete_new(struct gate_export *x)
{
	struct gate *g = x->gate;
	struct deletion *d = calloc(1, sizeof(*d));
	bool room;

	if (d == NULL)
		return NULL;
	d->x = x;
	pthread_mutex_lock(&g->mutex);
	room = make_room_locked(&x->deletes);
	x->deletes.places += room;
	pthread_mutex_unlock(&g->mutex);
	if (!room)
		free(d);
	return room ? d : NULL;
}

void
delete_free(struct deletion *d)
{
	if (d == NULL)
		return;
	pthread_mutex_lock(&d->x->gate->mutex);
	d->x->deletes.places--;
	pthread_mutex_unlock(&d->x->gate->mutex);
	free(d);
}

void
delete_start(struct deletion *d, const struct meta_delete *row)
{
	struct gate_export *x = d->x;
	struct gate *g = x->gate;
	struct deletes *s = &x->deletes;

	d->row = *row;
	d->asked_ns = clock_ns();
	d->since_ms = clock_ms();
	pthread_mutex_lock(&g->mutex);
	HASH_ADD(hh, s->by_id, row.id, sizeof(d->row.id), d);
	HASH_ADD_KEYPTR(hh_key, s->by_key, d->row.key, strlen(d->row.key), d);
	g->deletes_pending++;
	deletes_wait_locked(s, d);
	deletes_start_locked(x);
	pthread_mutex_unlock(&g->mutex);
}

void
delete_refine(struct gate_export *x, const char *key, const char *etag)
{
	struct gate *g = x->gate;
	struct deletion *d;

	pthread_mutex_lock(&g->mutex);
	HASH_FIND(hh_key, x->deletes.by_key, key, strlen(key), d);
	if (d != NULL && !d->gone &&
	    (strcmp(d->row.etag, etag) != 0 || has_doubt(d))) {
		snprintf(d->row.etag, sizeof(d->row.etag), "%s", etag);
		if (has_doubt(d))
			d->row.ours->count = 0;
		/* Before the row that takes it out.  Only posted: what is not
		 * refined is another version, and stays. */
		delete_put_row(d);
	}
	pthread_mutex_unlock(&g->mutex);
}

void
delete_doubt(struct gate_export *x, const struct meta_sent *sent)
{
	struct gate *g = x->gate;
	struct deletion *d;

	pthread_mutex_lock(&g->mutex);
	HASH_FIND(hh_key, x->deletes.by_key, sent->key, strlen(sent->key), d);
	if (d != NULL && !d->gone) {
		struct meta_ours *was = d->row.ours, *ours;
		size_t count = was != NULL ? was->count : 0;

		/* Without memory for it, it is known by what the file said
		 * when it was removed. */
		ours = realloc(was, meta_ours_size(count + 1));
		if (ours != NULL) {
			if (was == NULL)
				memset(ours, 0, meta_ours_size(0));
			ours->sent[ours->count++] = *sent;
			d->row.ours = ours;
			if (strcmp(d->row.etag, DELETE_NOTHING) == 0)
				d->row.etag[0] = '\0';
			delete_put_row(d);
		}
	}
	pthread_mutex_unlock(&g->mutex);
}

unsigned
deletes_due_locked(const struct gate *g)
{
	const struct gate_export *x;
	unsigned due = g->deletes_pending;

	LIST_FOREACH(x, &g->exports, link)
		due -= x->deletes.refused;
	return due;
}

bool
delete_pending(struct gate_export *x, const char *key)
{
	struct gate *g = x->gate;
	struct deletion *d;

	pthread_mutex_lock(&g->mutex);
	HASH_FIND(hh_key, x->deletes.by_key, key, strlen(key), d);
	if (d != NULL)
		d->wanted = true;
	pthread_mutex_unlock(&g->mutex);
	return d != NULL;
}

void
delete_wait(struct gate_export *x, uint64_t id, uint64_t until_ms)
{
	struct gate *g = x->gate;
	struct timespec ts = { (time_t)(until_ms / 1000),
			       (long)(until_ms % 1000) * 1000000 };
	struct deletion *d;

	pthread_mutex_lock(&g->mutex);
	/* It is a courtesy: not more threads than can be spared, but one of
	 * each export. */
	if ((g->delete_waiters >= WAITERS_MAX && x->deletes.waiters > 0) ||
	    offline_now(x))
		until_ms = 0;
	g->delete_waiters++;
	x->deletes.waiters++;
	while (until_ms != 0) {
		HASH_FIND(hh, x->deletes.by_id, &id, sizeof(id), d);
		/* One that has failed already is not worth a wait. */
		if (d == NULL || d->gone || d->attempts > 0 ||
		    pthread_cond_timedwait(&g->progress, &g->mutex, &ts) ==
			    ETIMEDOUT)
			break;
	}
	g->delete_waiters--;
	x->deletes.waiters--;
	pthread_mutex_unlock(&g->mutex);
}

/* ---- for people ---- */

uint64_t
deletes_count(struct gate_export *x)
{
	uint64_t count;

	pthread_mutex_lock(&x->gate->mutex);
	count = HASH_COUNT(x->deletes.by_id);
	pthread_mutex_unlock(&x->gate->mutex);
	return count;
}

int
deletes_each(struct gate *g,
	     int (*each)(void *arg, const struct gate_left_info *), void *arg)
{
	struct gate_left_info info = { NULL, "DELETING", "" };
	struct gate_export *x;
	struct deletion *d;
	char **keys;
	size_t count = 0;
	int r = 0;

	pthread_mutex_lock(&g->mutex);
	keys = calloc(g->deletes_pending + 1, sizeof(*keys));
	LIST_FOREACH(x, &g->exports, link) {
		for (d = x->deletes.by_id; d != NULL; d = d->hh.next) {
			if (keys != NULL && count < g->deletes_pending &&
			    asprintf(&keys[count], "%s/%s", x->c.name,
				     d->row.key) >= 0)
				count++;
		}
	}
	pthread_mutex_unlock(&g->mutex);
	if (keys == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		info.path = keys[i];
		if (r == 0)
			r = each(arg, &info);
		free(keys[i]);
	}
	free(keys);
	return r;
}

void
deletes_free(struct gate_export *x)
{
	struct deletes *s = &x->deletes;
	struct deletion *d, *next;

	/* Their rows remain; the next start goes on. */
	HASH_CLEAR(hh_key, s->by_key);
	for (size_t i = 0; i < s->waiting; i++)
		if (s->heap[i]->hh.tbl == NULL)	/* no memory for it */
			deletion_end(s->heap[i]);
	HASH_ITER(hh, s->by_id, d, next) {
		HASH_DELETE(hh, s->by_id, d);
		deletion_end(d);
	}
	free(s->heap);
	*s = (struct deletes){ 0 };
}
