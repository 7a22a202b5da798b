/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rule, applied: who may begin to write a file (rule.md 3 to 7,
 * docs/semantics.md).
 *
 * meta_rule decides from states and times alone.  Here stands what follows
 * from its verdict: handles are opened, uploads kicked, reservations made,
 * requests held or refused, errors that are owed paid out (state.c keeps them).
 * The file lock makes each decision one step; nothing here waits for S3.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/data/data.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/path/path.h"
#include "nfsd/gate/pending/pending.h"
#include "nfsd/gate/worker/worker.h"
#include "nfsd/gate/writer/inside.h"

/* ---- errors that are owed ---- */

int
fence_room_locked(struct node *n, const char *who)
{
	mutex_must_hold(&n->mutex);
	return fence_of_locked(n, who) != NULL ? 0 : -ENOMEM;
}

int
admit_check_locked(struct node *n, const char *who, bool commit)
{
	struct fenced *f;

	mutex_must_hold(&n->mutex);
	LIST_FOREACH(f, &n->fenced, link) {
		if (strcmp(f->who, who) != 0)
			continue;
		if (f->state == META_FAILED) {
			bool told = f->told;

			/* It may have waited for others as well: once. */
			(void)admit_owed_locked(n, who);
			/* Told once; but where COMMIT speaks for S3 it must
			 * not say OK before something new was written. */
			if (commit && n->export->c.commit_s3) {
				f->told = true;
				return -EIO;
			}
			fenced_free(n, f);
			return told ? 0 : -EIO;
		}
		if (f->state != META_FENCED)
			return 0;
		if (!commit)
			f->refused_ms = run_ms(n->export->gate);
		return commit && !f->discarded ? 0 : -EIO;
	}
	return 0;
}

/* GETATTR alone is no open: Linux sends one by itself amid the late WRITEs
 * that fail, and the rest of them would be let in. */
void
admit_looked(struct node *n, const struct gate_request *rq, bool opens)
{
	char who[META_CLIENT_MAX];
	struct fenced *f;

	mutex_lock(&n->mutex);
	if (!LIST_EMPTY(&n->fenced)) {
		uint64_t now = run_ms(n->export->gate);

		client_id_text(n->export, rq, who);
		LIST_FOREACH(f, &n->fenced, link) {
			if (strcmp(f->who, who) != 0)
				continue;
			/* Not fenced yet: whoever may come between this look
			 * and its late pages has not come. */
			if (f->state != META_FENCED)
				break;
			/* The first word of a client that was away may come
			 * before its late pages: they have their time, too. */
			if (!opens && f->refused_ms == 0)
				f->refused_ms = now;
			if (opens ||
			    f->refused_ms + FENCE_QUIET_MS <= now)
				fenced_free(n, f);
			break;
		}
	}
	mutex_unlock(&n->mutex);
}

/* ---- refusals ---- */

static void
refusal_end_locked(struct node *n, const char *who, bool change)
{
	struct refused *r;

	mutex_must_hold(&n->mutex);
	LIST_FOREACH(r, &n->refusals, link) {
		if (strcmp(r->who, who) == 0 && r->change == change) {
			LIST_REMOVE(r, link);
			free(r);
			return;
		}
	}
}

/* Hold the request a while, then JUKEBOX. */
static int
hold_locked(struct node *n, struct gate_request *rq, uint64_t at_most_ms)
{
	uint64_t now = clock_ms();
	uint64_t until = rq->first_ms + n->export->c.hold_ms;

	mutex_must_hold(&n->mutex);
	if (now >= until) {
		rq->again = GATE_JUKEBOX;
		return -EAGAIN;
	}
	if (now + at_most_ms < until)
		until = now + at_most_ms;
	return node_hold_locked(n, rq, until);
}

/* Called without the mutex: what it tells may be a moment old. */
static void
log_refusal(struct node *n, const char *who, const char *what, uint64_t now)
{
	struct gate *g = n->export->gate;
	char path[512], holder[META_CLIENT_MAX], reserved[META_CLIENT_MAX] = "";
	uint64_t age, idle, lease, reserved_until;
	enum meta_state state;

	path_text(n, path, sizeof(path));
	mutex_lock(&n->mutex);
	state = n->h.state;
	strcpy(holder, n->h.who);
	if (n->reserved_client != NULL)
		strcpy(reserved, n->reserved_client);
	reserved_until = n->reserved_until_ms;
	age = now - n->h_opened_ms;
	idle = now > n->h_last_ms ? now - n->h_last_ms : 0;
	lease = n->lease_ms;
	mutex_unlock(&n->mutex);
	if (reserved[0] != '\0' && strcmp(reserved, who) != 0 &&
	    reserved_until > now)
		gate_say(g, 1,
			 "%s refused: file=%s client=%s reserved_for=%s "
			 "for_ms=%llu", what, path, who, reserved,
			 (unsigned long long)(reserved_until - now));
	else if (state != META_NONE)
		gate_say(g, 1,
			 "%s refused: file=%s client=%s holder=%s "
			 "state=%s age_ms=%llu idle_ms=%llu lease_left_ms=%llu",
			 what, path, who, holder, meta_state_name(state),
			 (unsigned long long)age, (unsigned long long)idle,
			 (unsigned long long)(lease > idle ? lease - idle : 0));
	else
		gate_say(g, 1,
			 "%s refused: file=%s client=%s holder=readers",
			 what, path, who);
}

/* at_most_ms: when to look again, if nothing changes before. */
static int
refuse_locked(struct node *n, struct gate_request *rq, const char *who,
	      uint64_t now, uint64_t at_most_ms, bool *log)
{
	const struct gate_export_config *c = &n->export->c;
	struct refused *r = admit_refusal_locked(n, who, false, now, log);

	mutex_must_hold(&n->mutex);
	if (r == NULL)
		return -ENOMEM;
	if (c->busy == GATE_BUSY_FAIL ||
	    now - r->first_ms >= c->busy_limit_ms) {
		refusal_end_locked(n, who, false);
		return -EACCES;
	}
	return hold_locked(n, rq, at_most_ms);
}

/* ---- reservations ---- */

/* Only posted, like its end: a start drops reservations, and who had one comes
 * back. */
static void
reserve_locked(struct node *n, const char *who, uint64_t now)
{
	struct gate *g = n->export->gate;
	struct meta_handle row = { .ino = n->ino, .state = META_RESERVED,
				   .opened_ns = clock_ns() };
	struct meta_batch *b;

	mutex_must_hold(&n->mutex);
	n->reserved_until_ms = now + n->export->c.reserve_ms;
	node_tick_run_locked(n, n->reserved_until_ms);
	if (n->reserved_client != NULL)
		return;
	n->reserved_client = strdup(who);
	strcpy(row.who, who);
	b = meta_batch_new();
	if (b != NULL)
		meta_put_handle(b, &row);
	meta_post(g->meta, &b);
	failpoint("reserved");
}

static struct fenced *
lapsed_locked(const struct node *n, const char *who)
{
	struct fenced *f;

	mutex_must_hold(&n->mutex);
	LIST_FOREACH(f, &n->fenced, link) {
		if (f->state == META_FLUSHED && strcmp(f->who, who) == 0)
			return f;
	}
	return NULL;
}

bool
admit_has_lapsed(const struct node *n, const char *who)
{
	return lapsed_locked(n, who) != NULL && !n->export->c.strict;
}

/* Only posted: as in fenced_free. */
void
admit_committed_locked(struct node *n, const char *who)
{
	bool holds = n->h.state != META_NONE && strcmp(n->h.who, who) == 0;
	struct fenced *f = lapsed_locked(n, who);
	struct meta_batch *b = meta_batch_new();

	mutex_must_hold(&n->mutex);
	LIST_REMOVE(f, link);
	free(f);
	if (holds)
		n->h.lapsed = false;
	if (b != NULL && holds)
		meta_put_handle(b, &n->h);
	else if (b != NULL)
		meta_del_handle(b, n->ino, who);
	meta_post(n->export->gate->meta, &b);
}

/* Those that this writer was to shut out: nothing came of it.  Only posted, as
 * their fences were. */
static void
unfence_locked(struct node *n)
{
	struct meta_batch *b = meta_batch_new();
	struct fenced *f;

	mutex_must_hold(&n->mutex);
	LIST_FOREACH(f, &n->fenced, link) {
		struct meta_handle row = { .ino = n->ino, .state = META_DONE,
					   .opened_ns = clock_ns(),
					   .lapsed = true };

		if (f->state != META_FENCED ||
		    f->content != n->content_version)
			continue;
		f->state = META_FLUSHED;
		f->content = UINT64_MAX;
		strcpy(row.who, f->who);
		meta_put_handle(b, &row);
	}
	meta_post(n->export->gate->meta, &b);
}

void
admit_undo_locked(struct node *n)
{
	mutex_must_hold(&n->mutex);
	if (n->h.state != META_ACTIVE || n->d.dirty.count > 0 ||
	    n->d.durable.count > 0 || n->d.writing > 0)
		return;
	if (!LIST_EMPTY(&n->fenced))
		unfence_locked(n);
	handle_transition_locked(n, META_EV_FLUSH);
	upload_schedule_locked(n, false);
	admit_flushed_locked(n);
}

/* ---- admission ---- */

static bool
readers_block_locked(struct node *n, const char *who, uint64_t now,
		     uint64_t *until)
{
	struct reader *r, *next;
	bool block = false;

	mutex_must_hold(&n->mutex);
	if (n->export->c.reads != GATE_READS_REFUSE)
		return false;
	for (r = LIST_FIRST(&n->readers); r != NULL; r = next) {
		next = LIST_NEXT(r, link);
		if (r->until_ms <= now && r->refused_ms == 0 &&
		    !r->waits && !r->owed_error) {
			LIST_REMOVE(r, link);
			free(r);
		} else if (r->until_ms > now &&
			   strcmp(r->who, who) != 0) {
			block = true;
			*until = r->until_ms;
		}
	}
	return block;
}

int
admit_room(struct gate_export *x, struct gate_request *rq)
{
	uint64_t total = __atomic_load_n(&x->active, __ATOMIC_RELAXED) +
			 __atomic_load_n(&x->pending, __ATOMIC_RELAXED);

	if (x->c.max_handles == 0 || total < x->c.max_handles)
		return 0;
	rq->again = GATE_JUKEBOX;
	return x->c.strict ? -ENOSPC : -EAGAIN;
}

void
admit_rows_locked(const struct node *n, struct meta_batch *b)
{
	const struct held_as *old;
	const struct fenced *f;

	mutex_must_hold(&n->mutex);
	/* But for where he is now: he may have come back. */
	LIST_FOREACH(old, &n->held_as, link) {
		if (n->h.state == META_NONE || strcmp(old->who, n->h.who) != 0)
			meta_del_handle(b, n->ino, old->who);
	}
	LIST_FOREACH(f, &n->fenced, link) {
		struct meta_handle row = { .ino = n->ino,
					   .state = META_FENCED,
					   .opened_ns = clock_ns(),
					   .lapsed = !f->discarded };

		if (f->state != META_FENCED)
			continue;
		strcpy(row.who, f->who);
		meta_put_handle(b, &row);
	}
}

void
admit_rows_written_locked(struct node *n)
{
	struct held_as *old;

	mutex_must_hold(&n->mutex);
	while ((old = LIST_FIRST(&n->held_as)) != NULL) {
		LIST_REMOVE(old, link);
		free(old);
	}
}

/*
 * Whoever lost the file without its own doing must look again before it may
 * write (rule.md 6), also after a restart.  Only posted: as long as nothing
 * of the new writer is committed there is nothing to write over, and a commit
 * has these rows once more.
 */
static void
fence_off_locked(struct node *n, const char *who)
{
	struct meta_batch *b;
	struct fenced *f;

	mutex_must_hold(&n->mutex);
	if (LIST_EMPTY(&n->fenced))
		return;
	LIST_FOREACH(f, &n->fenced, link) {
		if (f->state != META_FLUSHED || strcmp(f->who, who) == 0)
			continue;
		f->state = META_FENCED;
		f->content = n->content_version;
	}
	b = meta_batch_new();
	admit_rows_locked(n, b);
	meta_post(n->export->gate->meta, &b);
}

static void
unlapse_locked(struct node *n, const char *who)
{
	struct fenced *f = lapsed_locked(n, who);

	mutex_must_hold(&n->mutex);
	if (f != NULL)
		LIST_REMOVE(f, link);
	free(f);
}

static int
open_handle_locked(struct node *n, struct gate_request *rq, const char *who,
		   uint64_t now)
{
	struct gate_export *x = n->export;

	mutex_must_hold(&n->mutex);
	/* Audited, not believed: one writer or none. */
	if (n->h.state != META_NONE && strcmp(n->h.who, who) != 0) {
		audit_broken_locked(n, "a second writer was let in", who);
		return -EIO;
	}
	if (n->h.state == META_NONE) {
		int r = admit_room(x, rq);

		if (r < 0)
			return r;
		fence_off_locked(n, who);
		n->h = (struct meta_handle){
			.ino = n->ino,
			.state = META_NONE,
			.generation = n->h.generation + 1,
			.opened_ns = clock_ns(),
		};
		strcpy(n->h.who, who);
		n->h_opened_ms = now;
		n->up.kicked = n->up.wanted = false;
		quota_size_locked(n, n->i.size);
		n->writer_mtime_ns = n->i.mtime_ns;
	} else if (n->h.state != META_ACTIVE) {
		upload_outdate_locked(n);
	}
	/* It begins anew, and may be superseded like anybody: what it lost
	 * when its time ran out is over. */
	unlapse_locked(n, who);
	failpoint("admitted");
	handle_transition_locked(n, META_EV_OPEN);
	n->h_last_ms = now;
	n->lease_ms = x->c.lease_ms;
	n->flush_empty = n->h.lapsed = false;
	silence_opened_locked(n, rq);
	admit_unreserve_locked(n);
	refusal_end_locked(n, who, false);
	node_tick_run_locked(n, now + n->lease_ms);
	return 0;
}

/* The handle follows its client to a new address.  Only posted: a start that
 * finds the old one has it follow once more; what is committed has the new
 * one, and takes the row of the old one away once more. */
static int
rebind_locked(struct node *n, const char *who)
{
	struct gate *g = n->export->gate;
	struct held_as *old = malloc(sizeof(*old));
	struct meta_batch *b;

	mutex_must_hold(&n->mutex);
	if (old == NULL)
		return -ENOMEM;
	strcpy(old->who, n->h.who);
	LIST_INSERT_HEAD(&n->held_as, old, link);
	b = meta_batch_new();
	gate_say(g, 2, "writer has a new address: inode=%llu client=%s now=%s",
		 (unsigned long long)n->ino, n->h.who, who);
	if (b != NULL)
		meta_del_handle(b, n->ino, n->h.who);
	strcpy(n->h.who, who);
	if (b != NULL)
		meta_put_handle(b, &n->h);
	meta_post(g->meta, &b);
	return 0;
}

/* One look at the situation; the file lock is held. */
static int
decide_locked(struct node *n, struct gate_request *rq, const char *who,
	      bool *log)
{
	uint64_t now = run_ms(n->export->gate), wait_ms, until = 0;
	struct meta_situation s = {
		.holder = n->h.state,
		.own = n->h.state != META_NONE && strcmp(n->h.who, who) == 0,
		.holder_last_ms = n->h_last_ms,
		.reserved = n->reserved_client != NULL &&
			    n->reserved_until_ms > now,
		.now_ms = now,
		.quiet_ms = n->export->c.supersede_quiet_ms,
	};
	int r = admit_check_locked(n, who, false);
	bool fresh;

	mutex_must_hold(&n->mutex);
	if (r < 0)
		return r;
	if (!s.own && client_moved_locked(n, rq)) {
		r = rebind_locked(n, who);
		if (r < 0)
			return r;
		s.own = true;
	}
	if (admit_owed_locked(n, who))
		return -EIO;
	/* Set aside as a whole: it has no name to upload it to. */
	if (n->i.nlink == 0)
		return -ESTALE;
	if (s.reserved &&
	    n->reserved_until_ms > now + n->export->c.reserve_ms)
		audit_broken_locked(n, "a reservation is longer than its time",
				    n->reserved_client);
	/* Over, though its timer has not come yet: it is not to be prolonged
	 * by who asks now. */
	if (n->reserved_client != NULL && !s.reserved)
		admit_unreserve_locked(n);
	s.reserved_own = s.reserved && strcmp(n->reserved_client, who) == 0;
	switch (meta_rule(&s, &wait_ms)) {
	case META_ADMIT:
		if (readers_block_locked(n, who, now, &until)) {
			return refuse_locked(n, rq, who, now,
					     until > now ? until - now : 1,
					     log);
		}
		return open_handle_locked(n, rq, who, now);
	case META_REFUSE:
		return refuse_locked(n, rq, who, now, UINT64_MAX / 2, log);
	case META_WAIT_QUIET:
		return hold_locked(n, rq, wait_ms);
	case META_WAIT_UPLOAD:
		break;
	}
	if (!s.own) {
		reserve_locked(n, who, now);
		/* Who waits here is owed the error if it fails. */
		if (admit_refusal_locked(n, who, false, now, &fresh) == NULL)
			return -ENOMEM;
	}
	if (s.own)
		upload_schedule_locked(n, true);
	else
		upload_want_locked(n);
	return hold_locked(n, rq, UINT64_MAX / 2);
}

int
admit_writer(struct node *n, struct gate_request *rq, const char *who)
{
	for (;;) {
		bool log = false;
		int r = node_lock(n, rq);

		if (r < 0)
			return r;
		mutex_lock(&n->mutex);
		r = decide_locked(n, rq, who, &log);
		if (r < 0)
			node_unlock_locked(n);
		mutex_unlock(&n->mutex);
		if (log)
			log_refusal(n, who, "writer", run_ms(n->export->gate));
		/* Callers without a token wait in their own thread. */
		if (r == -EAGAIN && rq->again == GATE_NEEDS_THREAD &&
		    rq->may_block && rq->token == NULL)
			continue;
		return r;
	}
}

/* ---- changes that are no writing ---- */

/* Beside another's active handle (rule.md 5). */
static int
beside_active_locked(struct node *n, struct gate_request *rq, const char *who,
		     bool name, uint64_t now, bool *log)
{
	const struct gate_export_config *c = &n->export->c;
	struct meta_beside b = {
		.fails = c->busy == GATE_BUSY_FAIL || c->strict,
		.name = name,
		.heard = silence_broken_locked(n, now),
		.idle_flush_ms = c->idle_flush_ms,
		.busy_limit_ms = c->busy_limit_ms,
	};
	struct refused *r = admit_refusal_locked(n, who, true, now, log);
	uint64_t wait_ms;

	mutex_must_hold(&n->mutex);
	if (r == NULL)
		return -ENOMEM;
	b.waited_ms = now - r->first_ms;
	switch (meta_change_rule(&b, &wait_ms)) {
	case META_CHANGE:
		*log = false;
		return 0;
	case META_CHANGE_REFUSE:
		refusal_end_locked(n, who, true);
		return -EACCES;
	case META_CHANGE_WAIT:
		break;
	}
	return hold_locked(n, rq, wait_ms);
}

int
admit_change(struct node *n, struct gate_request *rq, const char *who,
	     bool name)
{
	uint64_t now = run_ms(n->export->gate);
	bool log = false;
	int r = 0;

	mutex_lock(&n->mutex);
	if (n->h.state == META_ACTIVE && strcmp(n->h.who, who) != 0 &&
	    client_moved_locked(n, rq))
		r = rebind_locked(n, who);
	if (r < 0)
		;
	else if (name && n->reserved_client != NULL &&
		 n->reserved_until_ms > now &&
		 strcmp(n->reserved_client, who) != 0)
		r = hold_locked(n, rq, n->reserved_until_ms - now);
	else if (n->h.state == META_ACTIVE && strcmp(n->h.who, who) != 0)
		r = beside_active_locked(n, rq, who, name, now, &log);
	if (r == 0)
		refusal_end_locked(n, who, true);
	mutex_unlock(&n->mutex);
	if (log)
		log_refusal(n, who, "change", now);
	return r;
}
