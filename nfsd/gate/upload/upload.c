/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What S3 is told, and what follows.  (When: pending/dirty.c, and by which
 * thread: pending/schedule.c.)
 *
 * A file with anything to tell has one row in `upload` and one entry here.
 * It waits until the file has settled, or until somebody kicks it (a foreign
 * opener or reader, commit=s3, an operator), or until its oldest change is
 * max_dirty_age old.  An uploader takes a snapshot under the file lock and
 * works without it; the outcome is applied under the lock again, in one
 * transaction: the row knows its new object, the handle is done, the staged
 * bytes have become a cache of the object.
 *
 * An upload of a committed version goes on beside new writes: it has its
 * snapshot.  One that was early, since the file had seemed to be settled, is
 * stopped when its writer goes on, so that S3 does not get a version for each
 * pause; but not twice in a row, not when somebody waits for it, and not when
 * its age would have it begin anew at once.
 *
 * Failures: a cancelled upload starts over when it is due again, and is none.
 * Any other is retried with growing pauses; after upload_retry those who wait
 * for it are told.  One that passes (s3_meaning) is retried for as long as it
 * takes.  What S3 refuses is too, at first, since it may have been a bad hour
 * of the store that spoke: only what it refused three times and more, for
 * refuse_grace and with no other answer in between, goes to quarantine: of the
 * time while we ran, which is on record, so that a start does not begin it
 * anew.  There the bytes are kept, and the file falls back to what S3 has.
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/cache/cache.h"
#include "nfsd/gate/change/change.h"
#include "nfsd/gate/data/data.h"
#include "nfsd/gate/keys/keys.h"
#include "nfsd/gate/link/link.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/object/object.h"
#include "nfsd/gate/path/path.h"
#include "nfsd/gate/pending/pending.h"
#include "nfsd/gate/upload/inside.h"
#include "nfsd/gate/worker/worker.h"
#include "nfsd/gate/writer/writer.h"

#define RETRY_FIRST_MS 500
#define RETRY_MAX_MS 30000
#define KEY_BUSY_MS 50
#define CIRCLE_MS 500
#define REFUSALS_MIN 3		/* before it is believed */

/* ---- failure ---- */

static void
describe(const struct sending *s, int r, char *out, size_t size)
{
	/* err may be of a request that went well and told of the object. */
	if (s->err.http >= 300 || s->err.message[0] != '\0')
		snprintf(out, size, "%s%s%s (HTTP %d)", s->err.code,
			 s->err.code[0] ? ": " : "", s->err.message,
			 s->err.http);
	else if (r == -ESTALE || r == -EEXIST)
		snprintf(out, size,
			 "the object was changed by somebody else");
	else
		snprintf(out, size, "%s", strerror(-r));
}

static void
upload_retry_later(struct sending *s, int r)
{
	struct node *n = s->node;
	struct gate_export *x = n->export;
	uint64_t now = clock_ms(), wait = RETRY_FIRST_MS;
	char error[256];
	bool first = false, passed;

	mutex_lock(&n->mutex);
	if (n->h.state == META_UPLOADING || n->h.state == META_FINISHING)
		handle_transition_locked(n, META_EV_STOP);
	/* Who stopped it is about to come back, and goes first. */
	if (r == -ECANCELED)
		n->up.not_before_ms = now + KEY_BUSY_MS;
	/* A request that the end of the program cut off says nothing. */
	passed = n->up.refusals != 0 && upload_is_transient(r) &&
		 !__atomic_load_n(&x->gate->stopping, __ATOMIC_RELAXED);
	if (passed)
		n->up.refusals = 0;
	if (r != -ECANCELED) {
		for (unsigned i = 0; i < n->up.attempts &&
				     wait < RETRY_MAX_MS; i++)
			wait *= 2;
		if (n->up.failing_ms == 0)
			n->up.failing_ms = now;
		/* What ails the account is told by its export (trouble.c). */
		first = n->up.attempts++ == 0 && !n->up.rowless &&
			s3_meaning(r) != S3_ACCOUNT;
		n->up.due_ms = now + heal_pause(x, wait);
		describe(s, r, error, sizeof(error));
		upload_row_error_locked(n, error);
		/* Else the row is of the next version already. */
		if ((passed || n->up.refusals != 0) &&
		    n->up.plans == s->snap.plans)
			upload_row_refused_locked(n);
		/* Who waits has waited long enough; the bytes stay and are
		 * tried again (docs/semantics.md). */
		if (now - n->up.failing_ms >= x->c.upload_retry_ms)
			admit_failed_locked(n);
	}
	mutex_unlock(&n->mutex);
	if (first)
		gate_say(x->gate, 1, "upload failed, will be retried: key=%s "
			 "error=%s", s->snap.key, error);
}

/* A version of before may be in the bucket, though its answer was lost: it is
 * what the file falls back to. */
static int
find_indoubt(struct sending *s)
{
	bool any;

	mutex_lock(&s->node->mutex);
	any = indoubt_at_locked(s->node, s->snap.key);
	mutex_unlock(&s->node->mutex);
	return any ? indoubt_adopt(s) : 0;
}

/* May it still pass?  A conflict does not. */
static bool
is_in_grace(struct sending *s, int r)
{
	struct node *n = s->node;
	uint64_t grace = n->export->c.refuse_grace_ms;
	bool in_grace;

	mutex_lock(&n->mutex);
	if (n->up.refusals == 0 ||
	    n->up.refused_version != s->snap.content_version) {
		n->up.refused_version = s->snap.content_version;
		n->up.refused_ms = n->up.refused_before_ms = 0;
		n->up.refusals = 0;
	}
	/* What passed between two runs is no time of refusal. */
	if (n->up.refused_ms == 0)
		n->up.refused_ms = run_ms(n->export->gate);
	n->up.refusals++;
	in_grace = grace != 0 && s3_meaning(r) == S3_REFUSED &&
		   (n->up.refusals < REFUSALS_MIN ||
		    upload_refused_ms_locked(n) < grace);
	mutex_unlock(&n->mutex);
	return in_grace;
}

static void
upload_refused(struct sending *s, int r)
{
	struct node *n = s->node;
	char error[256];
	int q;

	if (is_in_grace(s, r)) {
		upload_retry_later(s, r);
		return;
	}
	describe(s, r, error, sizeof(error));
	q = find_indoubt(s);
	if (q < 0) {
		upload_retry_later(s, q);
		return;
	}
	node_lock_wait(n);
	/* Not below a writer's feet: what it has not committed lies in the
	 * same file.  Nor a directory, whose files would be left without a
	 * path; it goes on being tried.  So does what is to be relocated: there
	 * are no bytes to set aside.  And a version that came meanwhile has
	 * not been refused. */
	if (n->h.state == META_ACTIVE || n->i.kind == GATE_DIR ||
	    n->content_version != s->snap.content_version ||
	    n->i.link_ino != 0 || send_is_relocation(s) ||
	    (n->i.relocating && !n->i.data_dirty)) {
		node_unlock(n);
		upload_retry_later(s, r);
		return;
	}
	q = n->dead ? 0 : quarantine_put(n, error);
	node_unlock(n);
	if (q == 0 && s->beside)
		conflict_count(s);
	if (q < 0) {
		gate_say(n->export->gate, 0,
			 "cannot set a refused upload aside: key=%s %s",
			 s->snap.key, strerror(-q));
		upload_retry_later(s, r);
	}
}

/* ---- the run ---- */

/* dirmove/relocate.c sent it off, and tries again itself.  Mutex held. */
static void
relocate_done_locked(struct node *n)
{
	mutex_must_hold(&n->mutex);
	if (!n->up.rowless)
		return;
	n->up.rowless = n->up.pending = n->up.kicked = n->up.wanted = false;
	n->up.failing_ms = n->up.not_before_ms = 0;
	n->up.attempts = n->up.refusals = 0;
	upload_row_drop_locked(n);
}

/* The path of a file changed below it, and nobody has noted it yet. */
static int
note_new_path(struct node *n)
{
	CLEANUP_INODE struct meta_inode row = { 0 };
	char key[META_KEY_MAX + 2];
	int r;

	if (n->i.base_key[0] == '\0' || n->i.name_dirty || n->i.local_only)
		return 0;
	r = path_key(n, key);
	if (r < 0 || strcmp(key, n->i.base_key) == 0)
		return r;
	r = upload_copy_row(n, &row);
	if (r < 0)
		return r;
	dirmove_mark(&row, key);
	return upload_put_row(n, &row);
}

/* Remember where the bytes go.  Mutex held. */
static int
note_key_locked(struct node *n, const char *key)
{
	char *copy = strdup(key);

	mutex_must_hold(&n->mutex);
	if (copy == NULL)
		return -ENOMEM;
	free(n->up.sent_key);
	n->up.sent_key = copy;
	return 0;
}

static const char *
why_no_version(int r)
{
	return r == -ENAMETOOLONG ? DIRMOVE_TOO_LONG : strerror(-r);
}

/* There is no key for it (a directory above has a longer name since), or it
 * could not be read.  S3 is not asked: the bytes wait, and go when there is a
 * shorter name.  True: for the first time.  Mutex held. */
static bool
no_version_locked(struct node *n, int r)
{
	uint64_t now = clock_ms(), wait = RETRY_FIRST_MS;
	bool first = n->up.failing_ms == 0;

	mutex_must_hold(&n->mutex);
	for (unsigned i = 0; i < n->up.attempts && wait < RETRY_MAX_MS; i++)
		wait *= 2;
	n->up.attempts++;
	if (first)
		n->up.failing_ms = now;
	upload_row_error_locked(n, why_no_version(r));
	n->up.due_ms = now + (wait < RETRY_MAX_MS ? wait : RETRY_MAX_MS);
	if (now - n->up.failing_ms >= n->export->c.upload_retry_ms)
		admit_failed_locked(n);
	node_tick_at_locked(n, n->up.due_ms);
	return first;
}

static void
say_no_version(struct node *n, int r)
{
	char path[4096];

	path_text(n, path, sizeof(path));
	gate_say(n->export->gate, 1, "an upload cannot begin, its bytes wait "
		 "here: file=%s error=%s", path, why_no_version(r));
}

/* Under the file lock: still wanted?  Then the version is fixed. */
static int
upload_begin(struct node *n, struct sending *s)
{
	/* Nothing of a tree is uploaded before it is known what lies there. */
	bool kicked, wanted, early = dirmove_lists(n), first = false;
	int r = 0;

	node_lock_wait(n);
	mutex_lock(&n->mutex);
	if (n->up.run != UP_QUEUED)
		audit_broken_locked(n, "two uploads of one file", n->h.who);
	kicked = n->up.kicked;
	n->up.keep = wanted = n->up.wanted;
	n->up.kicked = n->up.wanted = false;
	if (!n->up.pending || n->dead || !upload_has_work_locked(n) ||
	    __atomic_load_n(&n->export->gate->stopping, __ATOMIC_RELAXED))
		r = -ECANCELED;
	else if (early || (n->up.rowless && !n->i.relocating))
		r = -ECANCELED;
	else if (n->h.state == META_ACTIVE && !n->i.local_only &&
		 (!n->up.rowless || n->flush_empty) &&
		 (!upload_has_version_locked(n) ||
		  (!wanted && upload_too_old_ms(n) > clock_ms())))
		r = -ECANCELED;
	else if (n->h.state == META_FLUSHED && !kicked && !wanted &&
		 n->up.due_ms > clock_ms())
		/* Written and flushed once more while this waited for a
		 * thread: it settles anew. */
		r = -ECANCELED;
	mutex_unlock(&n->mutex);
	if (r == 0)
		r = note_new_path(n);
	if (r == 0)
		r = snapshot_take(n, &s->snap);
	mutex_lock(&n->mutex);
	if (r == 0)
		r = note_key_locked(n, s->snap.key);
	if (r == 0)
		s->doubt = indoubt_at_locked(n, s->snap.key);
	if (r == 0) {
		n->up.run = UP_RUNNING;
		n->up.cancel = false;
		n->up.keep |= upload_too_old_ms(n) <= clock_ms();
		n->up.begun_ms = clock_ms();
		n->up.begun_content = s->snap.content_version;
		n->up.begun_attr = s->snap.attr_version;
		n->up.bytes_sent = 0;
		n->up.bytes_total = n->i.data_dirty ? n->i.size : 0;
		if (n->h.state == META_FLUSHED && !n->i.local_only)
			handle_transition_locked(n, META_EV_START);
	} else {
		n->up.run = UP_IDLE;
		relocate_done_locked(n);
		if (early && n->up.pending) {
			n->up.kicked = kicked;
			n->up.wanted = wanted;
			n->up.not_before_ms = clock_ms() + KEY_BUSY_MS;
			upload_schedule_locked(n, false);
		}
		/* Not -ECANCELED: it could not be read.  It is not
		 * forgotten for that. */
		if (r != -ECANCELED && n->up.pending && !n->dead) {
			first = no_version_locked(n, r);
		} else if (n->h.state == META_FLUSHED) {
			upload_schedule_locked(n, false);
			admit_flushed_locked(n);
		}
	}
	node_unlock_locked(n);
	mutex_unlock(&n->mutex);
	if (first)
		say_no_version(n, r);
	return r;
}

static bool
key_is_free(const struct sending *s)
{
	struct gate_export *x = s->node->export;
	bool own;

	/* A removed file's object, or one that is to be copied away first. */
	if (delete_pending(x, s->snap.key))
		return false;
	/* The base of an alias's snapshot is its file's, which may be on its
	 * way from just this key. */
	mutex_lock(&s->node->mutex);
	own = strcmp(s->snap.key, s->snap.row.link_ino != 0
					  ? s->node->i.base_key
					  : s->snap.row.base_key) == 0;
	mutex_unlock(&s->node->mutex);
	return own || !hidden_has(x, s->snap.key);
}

/* Whatever it ended with: it was told to stop. */
static bool
was_stopped(struct node *n, int r)
{
	bool stopped;

	mutex_lock(&n->mutex);
	stopped = r < 0 && n->up.cancel && !n->dead;
	mutex_unlock(&n->mutex);
	return stopped && (upload_is_transient(r) || r == -ECANCELED);
}

static int
upload_end(struct node *n, struct sending *s, int r)
{
	bool was_kicked;

	if (was_stopped(n, r))
		r = -ECANCELED;
	if ((r == -ESTALE || r == -EEXIST) && send_is_relocation(s))
		r = relocate_conflict(s, r);
	if (r == 0)
		r = upload_done(s);
	else if ((r == -ESTALE || r == -EEXIST) && !send_is_relocation(s))
		r = upload_met_another(s, r);
	if (r != -EBUSY)
		n->up.busy_ms = 0;
	/* Something that it took on its way has gone (an upload that somebody
	 * cleared away, an object that it copies from): it begins anew. */
	if (r == -ENOENT)
		r = -EAGAIN;
	if (r == -ECANCELED || upload_is_transient(r)) {
		upload_retry_later(s, r);
	} else if (r == -EBUSY) {
		mutex_lock(&n->mutex);
		if (n->h.state == META_UPLOADING)
			handle_transition_locked(n, META_EV_STOP);
		n->up.not_before_ms = clock_ms() + KEY_BUSY_MS;
		if (n->up.busy_ms == 0)
			n->up.busy_ms = clock_ms();
		mutex_unlock(&n->mutex);
	} else if (r < 0) {
		upload_refused(s, r);
	}
	snapshot_free(&s->snap);
	s3_headers_free(&s->headers);
	mutex_lock(&n->mutex);
	n->up.run = UP_IDLE;
	n->up.cancel = n->up.keep = false;
	relocate_done_locked(n);
	was_kicked = n->up.kicked;
	n->up.kicked = was_kicked && n->up.pending;
	n->up.wanted = n->up.wanted && n->up.pending;
	data_idle_locked(n);
	node_changed_locked(n);
	upload_schedule_locked(n, was_kicked);
	/* What was flushed since it was stored may have changed nothing. */
	admit_flushed_locked(n);
	mutex_unlock(&n->mutex);
	if (r == 0)
		heal_over(n->export);
	return r;
}

/* What became of a recall.  If it failed, the next try is in a while; the
 * bytes are where they were. */
static void
recall_end(struct node *n, struct sending *s, int r)
{
	snapshot_free(&s->snap);
	mutex_lock(&n->mutex);
	n->up.run = UP_IDLE;
	n->up.cancel = false;
	n->up.busy_ms = 0;
	if (n->h.state == META_UPLOADING)
		handle_transition_locked(n, META_EV_STOP);
	if (r < 0)
		n->up.due_ms = clock_ms() + RETRY_MAX_MS;
	relocate_done_locked(n);
	data_idle_locked(n);
	node_changed_locked(n);
	admit_flushed_locked(n);
	upload_schedule_locked(n, false);
	mutex_unlock(&n->mutex);
}

/* Has it waited for its key a while, with an object of its own under another
 * key, for which somebody else may be waiting? */
static bool
waits_in_circle(const struct sending *s)
{
	const struct node *n = s->node;
	const struct meta_inode *i = &s->snap.row;

	/* An alias has nothing to copy yet, perhaps since the file waits for
	 * the key that the alias has left. */
	if (i->link_ino != 0 && i->base_key[0] == '\0')
		return true;
	return n->up.busy_ms != 0 && n->up.busy_ms + CIRCLE_MS < clock_ms() &&
	       i->name_dirty && i->base_key[0] != '\0' &&
	       (i->kind == GATE_REG || i->relocating || i->link_ino != 0) &&
	       i->base_limit <= n->export->gate->config.cache_size / 4 &&
	       !key_is_free(s);
}

/* As look_back, at one key. */
static int
look_at(struct sending *s, const char *sent)
{
	struct node *n = s->node;
	const struct meta_inode *i = &s->snap.row;
	struct s3_object o = { 0 };
	bool copy;
	int r;

	r = s3_head(n->export->s3, sent, &o, &s->err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	copy = i->base_key[0] != '\0' && o.size == i->base_size &&
	       strcmp(o.etag, i->base_etag) == 0;
	if (copy)
		r = indoubt_drop(n, sent, &o);
	s3_object_free(&o);
	if (copy || r < 0)
		return r;
	strcpy(s->snap.key, sent);
	r = upload_is_ours(s);
	if (r != 0)
		return r;
	r = indoubt_adopt_left(n, sent);
	return r == 1 ? -ECANCELED : r;
}

/*
 * A request that had no answer went to another key, which the path spelled
 * before a directory above was renamed: does an object of ours lie there?
 * 1: this version does, and the upload is to end as one to that key.
 * -ECANCELED: an older one, which is the base now.  0: no.
 */
static int
look_back(struct sending *s)
{
	struct node *n = s->node;
	char key[META_KEY_MAX + 2], sent[META_KEY_MAX + 2];
	bool any;
	int r;

	strcpy(key, s->snap.key);
	for (;;) {
		mutex_lock(&n->mutex);
		any = indoubt_elsewhere_locked(n, key, sent);
		mutex_unlock(&n->mutex);
		if (!any)
			return 0;
		r = look_at(s, sent);
		if (r != 0)
			return r;
		strcpy(s->snap.key, key);
		mutex_lock(&n->mutex);
		indoubt_forget_locked(n, sent);
		mutex_unlock(&n->mutex);
	}
}

/* The key is ours. */
static int
upload_send(struct sending *s)
{
	int r = look_back(s);

	if (r != 0)
		return r < 0 ? r : 0;
	/* Did the crash come between S3 and the row? */
	r = s->node->up.recovered ? upload_is_ours(s) : 0;
	return r == 0 ? send_version(s) : r < 0 ? r : 0;
}

/* Its deletion waits for the key: of what?  Where there was no answer, of
 * this version as well (indoubt_ended). */
static void
removed_meanwhile(struct sending *s, const char *key, int r)
{
	const struct meta_inode *i = &s->snap.row;
	const char *was = strcmp(i->base_key, key) == 0 ? i->base_etag
							 : i->dest_etag;

	/* Nothing of ours can be there: not even what others put there is
	 * to go. */
	if (was[0] == '\0')
		was = DELETE_NOTHING;
	if (r == 0)
		delete_refine(s->node->export, key, s->etag);
	else if (!s->doubt)
		delete_refine(s->node->export, key, was);
}

/* A directory above may have been renamed since the snapshot was made; whoever
 * follows that rename looks at the keys that are taken. */
static bool
goes_there_still(struct sending *s)
{
	char key[META_KEY_MAX + 2];

	return path_key(s->node, key) < 0 || strcmp(key, s->snap.key) == 0;
}

void
upload_run(void *arg)
{
	struct node *n = arg;
	struct gate *g = n->export->gate;
	struct sending s = { .node = n };
	bool by_relocation;
	int r;

	if (link_is_alias(n))
		link_come_back(n);
	r = upload_begin(n, &s);
	if (r == 0 && (s.snap.row.local_only || waits_in_circle(&s))) {
		recall_end(n, &s, s.snap.row.link_ino != 0 ? link_drop_base(n)
							 : recall_base(&s));
	} else if (r == 0) {
		char key[META_KEY_MAX + 2];
		bool mine = key_try(n->export, s.snap.key, n->ino);

		__atomic_add_fetch(&g->uploading, 1, __ATOMIC_RELAXED);
		strcpy(key, s.snap.key);
		failpoint("upload-begin");
		r = !mine || !goes_there_still(&s) || !key_is_free(&s)
			    ? -EBUSY
			    : upload_send(&s);
		if (mine && r < 0 && s.doubt)
			indoubt_ended(&s, key);
		if (mine && node_dead(n))
			removed_meanwhile(&s, key, r);
		if (mine)
			key_release(n->export, key, n->ino);
		r = upload_end(n, &s, r);
		__atomic_sub_fetch(&g->uploading, 1, __ATOMIC_RELAXED);
	} else {
		/* The file knows its snapshots, and this one ends here. */
		snapshot_free(&s.snap);
	}
	mutex_lock(&n->mutex);
	by_relocation = n->up.by_relocation;
	n->up.by_relocation = false;
	mutex_unlock(&n->mutex);
	if (by_relocation) {
		char error[256];

		describe(&s, r, error, sizeof(error));
		relocate_ended(n, r, error);
	}
	mutex_lock(&g->mutex);
	pthread_cond_broadcast(&g->progress);
	mutex_unlock(&g->mutex);
	node_put(&n);
	/* What was staged is a cache now, and may have to go. */
	if (space_short(g))
		space_make(g);
}
