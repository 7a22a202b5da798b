/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deletions of objects: what is owed, and when it is tried.  One try, from the
 * look at the object to the end of the row, is upload/delete.c.
 *
 * Each is a row before it is a request, so that a crash or an S3 that does not
 * answer forgets none; its key is hidden until it is done.  A deletion takes
 * the key as uploads do: it never overtakes an upload of the file that was
 * removed, nor meets the next one's.  It says which version it is about
 * (If-Match, or a look where the store ignores that): what somebody else has
 * put there since stays, and what this gateway made after the copy from which
 * its state directory was put back.  Only the first try, a moment after the
 * request, may go without that.  Where an upload had no answer it may be one of
 * several, and it is looked at first; of multipart uploads only those go that
 * may be ours, by their id, or by the time at which they began.
 *
 * Those of an export that wait stand in a heap, the soonest on top, and some
 * of them are on their way: neither a bucket that says nothing nor one that
 * refuses thousands of them keeps anybody else waiting.  A directory's object
 * goes after what lay below it, since stores that keep directories (SeaweedFS)
 * would show an empty one for ever; but nobody who needs its key waits for
 * that.  Each that fails waits longer the next time; what is said of it is one
 * line a minute, with the number of the others.
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/keys/keys.h"
#include "nfsd/gate/object/object.h"
#include "nfsd/gate/worker/worker.h"

#define WAITERS_MAX 4
#define MOMENT_MS 600000		/* what passes has passed by then */
#define AT_ONCE 8		/* of an export */

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
void
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

bool
has_doubt(const struct deletion *d)
{
	return d->row.ours != NULL && d->row.ours->count > 0;
}

/* Send off what is due, as many as may be on their way. */
void
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

void
deletion_end(struct deletion *d)
{
	free(d->row.ours);
	free(d);
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

/* Within those times it may be ours; before or after, it is another tool's.
 * The store has just answered, so that its clock is known. */
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

/* ---- what S3 says no to ---- */

void
delete_set_denied_locked(struct deletion *d, bool denied)
{
	if (denied && !d->denied)
		LIST_INSERT_HEAD(&d->x->deletes.denied, d, denied_link);
	else if (!denied && d->denied)
		LIST_REMOVE(d, denied_link);
	d->denied = denied;
}

bool
delete_any_denied(struct gate_export *x)
{
	bool any;

	mutex_lock(&x->gate->mutex);
	any = !LIST_EMPTY(&x->deletes.denied);
	mutex_unlock(&x->gate->mutex);
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

	mutex_lock(&x->gate->mutex);
	LIST_FOREACH(d, &x->deletes.denied, denied_link) {
		if (directory_len(d->row.key) == len &&
		    memcmp(d->row.key, key, len) == 0)
			break;
	}
	mutex_unlock(&x->gate->mutex);
	return d != NULL;
}

/* For longer than a bad moment: thousands of those would be a storm each time
 * that S3 takes something else. */
bool
delete_stays_refused(const struct deletion *d)
{
	return d->refused && d->since_ms + MOMENT_MS <= clock_ms();
}

void
delete_put_row(struct deletion *d)
{
	struct meta_batch *b = meta_batch_new();

	meta_put_delete(b, &d->row);
	meta_post(d->x->gate->meta, &b);
}

/* ---- life of a deletion ---- */

void
delete_tick(struct gate *g)
{
	struct gate_export *x;

	mutex_lock(&g->mutex);
	LIST_FOREACH(x, &g->exports, link)
		deletes_start_locked(x);
	mutex_unlock(&g->mutex);
}

void
deletes_timer(struct gate *g)
{
	struct gate_export *x;

	mutex_lock(&g->mutex);
	LIST_FOREACH(x, &g->exports, link) {
		if (x->deletes.waiting > 0)
			timers_add(&g->timers, x->deletes.heap[0]->due_ms, 0);
	}
	mutex_unlock(&g->mutex);
}

void
deletes_hurry(struct gate_export *x)
{
	struct deletes *s = &x->deletes;
	struct gate *g = x->gate;
	uint64_t now = clock_ms();

	mutex_lock(&g->mutex);
	for (size_t i = 0; i < s->waiting; i++) {
		struct deletion *d = s->heap[i];

		if (d->due_ms <= now || delete_stays_refused(d))
			continue;
		d->due_ms = now;
		sift_up(s, d, i);
	}
	deletes_start_locked(x);
	mutex_unlock(&g->mutex);
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
	mutex_lock(&g->mutex);
	room = make_room_locked(&x->deletes);
	x->deletes.places += room;
	mutex_unlock(&g->mutex);
	if (!room)
		free(d);
	return room ? d : NULL;
}

void
delete_free(struct deletion *d)
{
	if (d == NULL)
		return;
	mutex_lock(&d->x->gate->mutex);
	d->x->deletes.places--;
	mutex_unlock(&d->x->gate->mutex);
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
	mutex_lock(&g->mutex);
	HASH_ADD(hh, s->by_id, row.id, sizeof(d->row.id), d);
	HASH_ADD_KEYPTR(hh_key, s->by_key, d->row.key, strlen(d->row.key), d);
	g->deletes_pending++;
	deletes_wait_locked(s, d);
	deletes_start_locked(x);
	mutex_unlock(&g->mutex);
}

void
delete_refine(struct gate_export *x, const char *key, const char *etag)
{
	struct gate *g = x->gate;
	struct deletion *d;

	mutex_lock(&g->mutex);
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
	mutex_unlock(&g->mutex);
}

void
delete_doubt(struct gate_export *x, const struct meta_indoubt *sent)
{
	struct gate *g = x->gate;
	struct deletion *d;

	mutex_lock(&g->mutex);
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
	mutex_unlock(&g->mutex);
}

unsigned
deletes_due_locked(const struct gate *g)
{
	const struct gate_export *x;
	unsigned due = g->deletes_pending;

	mutex_must_hold(&g->mutex);
	LIST_FOREACH(x, &g->exports, link)
		due -= x->deletes.refused;
	return due;
}

bool
delete_pending(struct gate_export *x, const char *key)
{
	struct gate *g = x->gate;
	struct deletion *d;

	mutex_lock(&g->mutex);
	HASH_FIND(hh_key, x->deletes.by_key, key, strlen(key), d);
	if (d != NULL)
		d->wanted = true;
	mutex_unlock(&g->mutex);
	return d != NULL;
}

void
delete_wait(struct gate_export *x, uint64_t id, uint64_t until_ms)
{
	struct gate *g = x->gate;
	struct timespec ts = { (time_t)(until_ms / 1000),
			       (long)(until_ms % 1000) * 1000000 };
	struct deletion *d;

	mutex_lock(&g->mutex);
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
		    mutex_wait(&g->mutex, &g->progress, &ts) ==
			    ETIMEDOUT)
			break;
	}
	g->delete_waiters--;
	x->deletes.waiters--;
	mutex_unlock(&g->mutex);
}

/* ---- for people ---- */

uint64_t
deletes_count(struct gate_export *x)
{
	uint64_t count;

	mutex_lock(&x->gate->mutex);
	count = HASH_COUNT(x->deletes.by_id);
	mutex_unlock(&x->gate->mutex);
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

	mutex_lock(&g->mutex);
	keys = calloc(g->deletes_pending + 1, sizeof(*keys));
	LIST_FOREACH(x, &g->exports, link) {
		for (d = x->deletes.by_id; d != NULL; d = d->hh.next) {
			if (keys != NULL && count < g->deletes_pending &&
			    asprintf(&keys[count], "%s/%s", x->c.name,
				     d->row.key) >= 0)
				count++;
		}
	}
	mutex_unlock(&g->mutex);
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
