/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One try of a deletion (keys/deletions.c): the look, the request, and what its
 * answer means.
 */

#include <config.h>

#include <errno.h>
#include <string.h>

#include "nfsd/gate/keys/keys.h"
#include "nfsd/gate/object/object.h"
#include "nfsd/gate/upload/inside.h"
#include "nfsd/gate/worker/worker.h"

#define KEY_BUSY_MS 20
#define RETRY_MAX_MS 30000
#define REFUSED_MAX_MS 300000	/* of one that is refused: nobody's haste */
#define SAY_MS 60000
#define PARTS_TRIES 10		/* with growing pauses: minutes */
#define DENIALS_MIN 3
#define SOFT_MS 1000		/* a moment */
#define BELOW_FIRST_MS 20
#define BELOW_MAX_MS 2000
#define BELOW_LOOKS 64		/* at deletions given before, and after */

/* ---- the end of a try ---- */

/* From here on it may be another thread's, and gone. */
static void
try_later(struct deletion *d, uint64_t wait_ms, unsigned attempts)
{
	struct gate_export *x = d->x;
	struct gate *g = x->gate;
	struct deletes *s = &x->deletes;
	uint64_t due = clock_ms() + wait_ms;

	mutex_lock(&g->mutex);
	s->failing += attempts > 0 && d->attempts == 0;
	d->attempts += attempts;
	d->due_ms = due;
	s->running--;
	deletes_wait_locked(s, d);
	deletes_start_locked(x);
	/* Who waits for it has waited long enough. */
	if (attempts > 0)
		pthread_cond_broadcast(&g->progress);
	mutex_unlock(&g->mutex);
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

	mutex_lock(&g->mutex);
	d->gone = true;
	pthread_cond_broadcast(&g->progress);
	mutex_unlock(&g->mutex);
	meta_del_delete(b, d->row.id);
	if (meta_commit(g->meta, &b) < 0) {
		try_later(d, DELETE_RETRY_FIRST_MS, 0);
		return;
	}
	failpoint("delete-done");
	hidden_del(x, d->row.key);
	mutex_lock(&g->mutex);
	if (d->hh.tbl != NULL)		/* there was memory for it */
		HASH_DELETE(hh, s->by_id, d);
	if (d->hh_key.tbl != NULL)
		HASH_DELETE(hh_key, s->by_key, d);
	s->places--;
	s->running--;
	s->failing -= d->attempts > 0;
	s->refused -= d->refused;
	delete_set_denied_locked(d, false);
	g->deletes_pending--;
	deletes_start_locked(x);
	pthread_cond_broadcast(&g->progress);
	mutex_unlock(&g->mutex);
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

	mutex_lock(&g->mutex);
	say = s->said != r || s->said_ms + SAY_MS <= now;
	if (say) {
		others = s->unsaid;
		s->unsaid = 0;
		s->said = r;
		s->said_ms = now;
	} else {
		s->unsaid++;
	}
	mutex_unlock(&g->mutex);
	if (say)
		gate_say(g, 1, "cannot delete, will be tried again: key=%s "
			 "error=%s %s others=%u", d->row.key,
			 err->code[0] != '\0' ? err->code : strerror(-r),
			 err->message, others);
}

/* ---- multipart uploads ---- */

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

/* ---- what S3 says no to ---- */

static void
delete_set_refused(struct deletion *d, bool refused)
{
	struct gate *g = d->x->gate;

	mutex_lock(&g->mutex);
	d->x->deletes.refused += (unsigned)refused - (unsigned)d->refused;
	d->refused = refused;
	mutex_unlock(&g->mutex);
}

/* Does it stay so?  As of uploads that are refused (upload.c). */
static void
set_denied(struct deletion *d, bool denied)
{
	struct gate_export *x = d->x;
	uint64_t now = clock_ms();
	bool lasts;

	mutex_lock(&x->gate->mutex);
	d->denials = denied ? d->denials + 1 : 0;
	if (d->denials <= 1)
		d->denied_ms = now;
	lasts = d->denials >= DENIALS_MIN &&
		now - d->denied_ms >= x->c.refuse_grace_ms;
	delete_set_denied_locked(d, lasts);
	mutex_unlock(&x->gate->mutex);
}

static void
delete_nothing_left(struct deletion *d)
{
	struct gate *g = d->x->gate;

	mutex_lock(&g->mutex);
	if (d->row.parts && strcmp(d->row.etag, DELETE_NOTHING) != 0) {
		strcpy(d->row.etag, DELETE_NOTHING);
		if (d->row.ours != NULL)
			d->row.ours->count = 0;
		delete_put_row(d);
	}
	mutex_unlock(&g->mutex);
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

/* Is that one worth a wait?  Not if S3 says no to it, nor if nothing but its
 * row is left. */
static bool
is_due_below(const struct deletion *d, const char *key, size_t len)
{
	return d != NULL && !d->refused && !d->gone &&
	       strncmp(d->row.key, key, len) == 0 && d->row.key[len] != '\0';
}

/* Those of one directory are given together.  Mutex held. */
static bool
deletes_below_locked(const struct deletion *d)
{
	const struct deletion *a = d->hh.prev, *b = d->hh.next;
	const char *key = d->row.key;
	size_t len = strlen(key);

	for (int i = 0; i < BELOW_LOOKS && (a != NULL || b != NULL); i++) {
		if (is_due_below(a, key, len) || is_due_below(b, key, len))
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
	struct meta_keys one = { d->x->id, key, key, 1 };
	bool below = false, wanted;

	if (key[0] == '\0' || key[strlen(key) - 1] != '/')
		return false;
	mutex_lock(&g->mutex);
	wanted = d->wanted;
	below = !wanted && d->hh.tbl != NULL && deletes_below_locked(d);
	mutex_unlock(&g->mutex);
	/* What cannot be known is no reason to wait. */
	if (!wanted && !below)
		(void)!meta_each_relocating(g->meta, &one, one_below, &below);
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
	 * than that; it does not keep the key for ever.  Other failures, of
	 * an outage, count for nothing. */
	if (r == -EACCES && d->denied) {
		gate_say(x->gate, 1, "cannot see whether an upload without an "
			 "answer left an object of a file that was removed: "
			 "key=%s", d->row.key);
		return 0;
	}
	if (r < 0)
		return r;
	ours_or_known = (d->row.etag[0] != '\0' &&
			 strcmp(o.etag, d->row.etag) == 0) ||
			indoubt_is_one_of(x, d->row.key, &o, ours->sent,
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
	try_later(d,
		  delete_stays_refused(d) ? wait : heal_pause(d->x, wait), 1);
}
