/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What operators see and do: handles, uploads, flush, what is left, refresh,
 * restore, buckets in trouble (counts are in status.c, the quarantine is in
 * quarantine_ctl.c); and the way from a path to its node.  Lists are made from
 * nodes in memory; whoever has state that matters is there.
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "nfsd/gate/dir/dir.h"
#include "nfsd/gate/dirmove/dirmove.h"
#include "nfsd/gate/inside.h"
#include "nfsd/gate/keys/keys.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/path/path.h"
#include "nfsd/gate/pending/pending.h"
#include "nfsd/gate/worker/worker.h"
#include "nfsd/gate/writer/writer.h"

#define HINT_LEASE_MS 15000

static bool
below(const char *path, const char *want)
{
	size_t len = want == NULL ? 0 : strlen(want);

	return want == NULL ||
	       (strncmp(path, want, len) == 0 &&
		(path[len] == '\0' || path[len] == '/'));
}

struct handle_walk {
	const char *path;
	int (*each)(void *arg, const struct gate_handle_info *);
	void *arg;
};

static int
show_fenced(struct handle_walk *w, struct node *n, const char *path)
{
	struct gate_handle_info list[8];
	char who[8][META_CLIENT_MAX];
	size_t count = 0;
	struct fenced *f;
	int r = 0;

	mutex_lock(&n->mutex);
	LIST_FOREACH(f, &n->fenced, link) {
		if (f->state == META_FLUSHED || f->state == META_NONE ||
		    count == 8)
			continue;
		strcpy(who[count], f->who);
		list[count] = (struct gate_handle_info){
			.path = path,
			.client = who[count],
			.state = meta_state_name(f->state),
			.flushed_in_ms = -1,
		};
		count++;
	}
	if (n->reserved_client != NULL && count < 8) {
		strcpy(who[count], n->reserved_client);
		list[count] = (struct gate_handle_info){
			.path = path,
			.client = who[count],
			.state = meta_state_name(META_RESERVED),
			.flushed_in_ms = -1,
		};
		count++;
	}
	mutex_unlock(&n->mutex);
	for (size_t i = 0; r == 0 && i < count; i++)
		r = w->each(w->arg, &list[i]);
	return r;
}

static int
show_handle(void *arg, struct node *n)
{
	struct handle_walk *w = arg;
	struct gate_handle_info info = { .flushed_in_ms = -1 };
	char path[4096], client[META_CLIENT_MAX];
	bool any, held;

	mutex_lock(&n->mutex);
	held = any = n->h.state != META_NONE;
	strcpy(client, n->h.who);
	info.state = meta_state_name(n->h.state);
	info.uncommitted_bytes = n->uncommitted;
	info.staged_bytes = extents_bytes(&n->d.staged) +
			    extents_bytes(&n->d.durable);
	info.age_ms = run_ms(n->export->gate) - n->h_opened_ms;
	silence_tell_locked(n, &info);
	any |= !LIST_EMPTY(&n->fenced) || n->reserved_client != NULL;
	mutex_unlock(&n->mutex);
	if (!any)
		return 0;
	path_text(n, path, sizeof(path));
	if (!below(path, w->path))
		return 0;
	if (held) {
		int r;

		info.path = path;
		info.client = client;
		r = w->each(w->arg, &info);
		if (r != 0)
			return r;
	}
	return show_fenced(w, n, path);
}

int
gate_each_handle(struct gate *g, const char *path,
		 int (*each)(void *arg, const struct gate_handle_info *),
		 void *arg)
{
	struct handle_walk w = { path, each, arg };

	return each_node(g, show_handle, &w);
}

struct upload_walk {
	int (*each)(void *arg, const struct gate_upload_info *);
	void *arg;
};

static const char *
upload_state_locked(const struct node *n)
{
	mutex_must_hold(&n->mutex);
	if (n->up.run == UP_RUNNING)
		return n->h.state == META_FINISHING ? "FINISHING"
						    : "UPLOADING";
	return n->up.refusals != 0	? "REFUSED"
	       : n->up.failing_ms != 0 ? "RETRYING"
				       : "PENDING";
}

/* For how long S3 has refused it, and when that is believed. */
static void
refusal_locked(const struct node *n, struct gate_upload_info *info)
{
	uint64_t grace = n->export->c.refuse_grace_ms;

	mutex_must_hold(&n->mutex);
	info->refusals = n->up.refusals;
	info->refused_ms = upload_refused_ms_locked(n);
	info->grace_ms = info->refused_ms < grace ? grace - info->refused_ms
						   : 0;
}

static int
show_upload(void *arg, struct node *n)
{
	struct upload_walk *w = arg;
	struct gate_upload_info info = { 0 };
	char path[4096], key[META_KEY_MAX + 2], error[256];
	bool pending;

	mutex_lock(&n->mutex);
	pending = n->up.pending && !n->dead && !n->i.local_only;
	info.state = upload_state_locked(n);
	info.bytes_total = n->i.data_dirty ? n->i.size : 0;
	info.bytes_sent = n->up.run == UP_RUNNING ? n->up.bytes_sent : 0;
	info.attempts = n->up.attempts;
	if (n->up.refusals != 0)
		refusal_locked(n, &info);
	strcpy(error, n->up.row != NULL ? n->up.row->error : "");
	mutex_unlock(&n->mutex);
	if (!pending)
		return 0;
	path_text(n, path, sizeof(path));
	if (path_key(n, key) < 0)
		key[0] = '\0';
	info.path = path;
	info.key = key;
	info.error = error;
	return w->each(w->arg, &info);
}

int
gate_each_upload(struct gate *g,
		 int (*each)(void *arg, const struct gate_upload_info *),
		 void *arg)
{
	struct upload_walk w = { each, arg };

	return each_node(g, show_upload, &w);
}

/* ---- flush ---- */

struct flush {
	const char *path;
	uint64_t began_ms;
	uint64_t left, sent, total;
};

/* Does it wait for S3?  Bytes that a writer has not committed are not ours to
 * publish.  Mutex held. */
static bool
is_left_locked(const struct node *n)
{
	mutex_must_hold(&n->mutex);
	return n->up.pending && !n->dead && !n->i.local_only &&
	       (n->h.state != META_ACTIVE || n->d.staged.count > 0 ||
		n->flush_empty);
}

/* A file that is written without end always has something left: what it had
 * when the flush began is what counts. */
static bool
is_due_locked(const struct node *n, uint64_t began_ms)
{
	mutex_must_hold(&n->mutex);
	return is_left_locked(n) &&
	       (n->h.state == META_NONE || n->up.dirty_ms <= began_ms);
}

static int
flush_one(void *arg, struct node *n)
{
	struct flush *f = arg;
	char path[4096];
	bool pending;

	mutex_lock(&n->mutex);
	pending = is_due_locked(n, f->began_ms);
	mutex_unlock(&n->mutex);
	if (!pending)
		return 0;
	path_text(n, path, sizeof(path));
	if (!below(path, f->path))
		return 0;
	mutex_lock(&n->mutex);
	if (is_due_locked(n, f->began_ms)) {
		f->left++;
		f->total += n->i.data_dirty ? n->i.size : 0;
		f->sent += n->up.run == UP_RUNNING ? n->up.bytes_sent : 0;
		upload_want_locked(n);
	}
	mutex_unlock(&n->mutex);
	return 0;
}

int
gate_flush(struct gate *g, const char *path, uint64_t timeout_ms,
	   void (*progress)(void *arg, uint64_t sent, uint64_t total),
	   void *arg)
{
	uint64_t began = clock_ms(), until = began + timeout_ms, total = 0;
	struct node *there = NULL;
	int found = path == NULL ? 0 : path_walk(g, path, &there);

	node_put(&there);
	if (found == -ENOENT)
		return found;
	for (;;) {
		struct flush f = { .path = path, .began_ms = began };
		struct timespec ts;
		uint64_t now = clock_ms(), next = now + 200;
		int r = each_node(g, flush_one, &f);

		if (r < 0)
			return r;
		mutex_lock(&g->mutex);
		/* An end that waited for what S3 refuses would never come. */
		if (path == NULL)
			f.left += deletes_due_locked(g);
		mutex_unlock(&g->mutex);
		if (path == NULL)
			f.left += dirmoves_owed(g);
		if (f.total > total)
			total = f.total;
		if (progress != NULL)
			progress(arg, total - f.total + f.sent, total);
		if (f.left == 0)
			return 0;
		if (now >= until)
			return -ETIMEDOUT;
		ts.tv_sec = (time_t)(next / 1000);
		ts.tv_nsec = (long)(next % 1000) * 1000000;
		mutex_lock(&g->mutex);
		(void)mutex_wait(&g->mutex, &g->progress, &ts);
		mutex_unlock(&g->mutex);
	}
}

/* ---- what is left ---- */

struct left_walk {
	const char *path;
	int (*each)(void *arg, const struct gate_left_info *);
	void *arg;
};

static int
tell_left(void *arg, struct node *n)
{
	struct left_walk *w = arg;
	struct gate_left_info info = { 0 };
	char path[4096], error[256];
	bool left;

	mutex_lock(&n->mutex);
	left = is_left_locked(n);
	info.state = upload_state_locked(n);
	strcpy(error, n->up.row != NULL ? n->up.row->error : "");
	mutex_unlock(&n->mutex);
	if (!left)
		return 0;
	path_text(n, path, sizeof(path));
	if (!below(path, w->path))
		return 0;
	info.path = path;
	info.error = error;
	return w->each(w->arg, &info);
}

static int
tell_left_move(void *arg, const struct gate_dirmove_info *move)
{
	struct left_walk *w = arg;
	struct gate_left_info info = { move->path, move->phase, move->error };

	return w->each(w->arg, &info);
}

int
gate_each_left(struct gate *g, const char *path,
	       int (*each)(void *arg, const struct gate_left_info *),
	       void *arg)
{
	struct left_walk w = { path, each, arg };
	int r = each_node(g, tell_left, &w);

	if (r == 0 && path == NULL)
		r = gate_each_dirmove(g, tell_left_move, &w);
	return r != 0 || path != NULL ? r : deletes_each(g, each, arg);
}

int
gate_drain(struct gate *g, uint64_t timeout_ms)
{
	return gate_flush(g, NULL, timeout_ms, NULL, NULL);
}

/* ---- refresh ---- */

static int
refresh_one(void *arg, struct node *n)
{
	const char *want = arg;
	char path[4096];

	path_text(n, path, sizeof(path));
	if (!below(path, want))
		return 0;
	mutex_lock(&n->mutex);
	if (!node_is_local_locked(n)) {
		n->checked_ms = 0;
		if (n->i.kind != GATE_DIR)
			n->i.attr_known = false;
	}
	if (n->scan != NULL)
		n->scan->fresh_ms = 0;
	mutex_unlock(&n->mutex);
	return 0;
}

int
gate_refresh(struct gate *g, const char *path)
{
	struct negative *e, *next;
	struct node *n = NULL;
	int r;

	/* First: what is on its way now will not be believed. */
	mutex_lock(&g->mutex);
	__atomic_store_n(&g->refreshed_ms, clock_ms(), __ATOMIC_RELAXED);
	mutex_unlock(&g->mutex);
	r = each_node(g, refresh_one, (void *)path);
	mutex_lock(&g->mutex);
	HASH_ITER(hh, g->negatives, e, next)
		e->until_ms = 0;
	mutex_unlock(&g->mutex);
	if (r < 0)
		return r;
	r = path_walk(g, path, &n);
	node_put(&n);
	return r;
}

int
gate_restore(struct gate *g, const char *path, unsigned days, char *why,
	     size_t size)
{
	struct s3_error err = { 0 };
	char key[META_KEY_MAX + 2];
	struct node *n = NULL;
	int r = path_walk(g, path, &n);

	why[0] = '\0';
	if (r == 0 && node_kind(n) == GATE_DIR)
		r = -EISDIR;
	if (r == 0) {
		mutex_lock(&n->mutex);
		strcpy(key, n->i.base_key);
		mutex_unlock(&n->mutex);
		r = key[0] == '\0' ? -ENODATA :
		    s3_restore(n->export->s3, key, days, &err);
		if (r < 0)
			snprintf(why, size, "%s%s%s", err.code, err.code[0] !=
				 '\0' ? ": " : "", err.message);
	}
	node_put(&n);
	return r;
}

/* ---- buckets in trouble ---- */

int
gate_each_trouble(struct gate *g,
		  int (*each)(void *arg, const struct gate_trouble_info *),
		  void *arg)
{
	struct gate_export *x;
	int r = 0;

	LIST_FOREACH(x, &g->exports, link) {
		struct gate_trouble_info info = { .name = x->c.name };
		struct s3_trouble t;

		if (r != 0 || !s3_trouble(x->s3, &t))
			continue;
		info.error = t.what;
		info.since_ns = t.since_ns;
		info.refused = t.refused;
		r = each(arg, &info);
	}
	return r;
}

/* ---- clients ---- */

static int
hint_one(void *arg, struct node *n)
{
	struct gate_request rq = { .who = *(const struct gate_client *)arg };

	mutex_lock(&n->mutex);
	/* After a reboot what it held is not coming back; 15 s are for a
	 * client that only mounted once more (rule.md 1). */
	if (n->h.state == META_ACTIVE && client_holds_locked(n, &rq) &&
	    n->lease_ms > HINT_LEASE_MS) {
		n->lease_ms = HINT_LEASE_MS;
		node_tick_run_locked(n, n->h_last_ms + n->lease_ms);
	}
	mutex_unlock(&n->mutex);
	return 0;
}

void
gate_client_hint(struct gate *g, const struct gate_client *who)
{
	if (__atomic_load_n(&g->active, __ATOMIC_RELAXED) > 0 &&
	    each_node(g, hint_one, (void *)who) < 0)
		gate_say(g, 1, "no memory to look for a client's handles");
}

/* ---- from a path to its node ---- */

int
path_walk(struct gate *g, const char *path, struct node **out)
{
	struct gate_request rq = { .may_block = true };
	struct gate_export *x, *best = NULL;
	size_t best_len = 0;
	struct node *n = NULL;
	int r;

	LIST_FOREACH(x, &g->exports, link) {
		size_t len = strlen(x->c.name);

		if (len > best_len && strncmp(path, x->c.name, len) == 0 &&
		    (path[len] == '/' || path[len] == '\0')) {
			best = x;
			best_len = len;
		}
	}
	if (best == NULL)
		return -ENOENT;
	r = node_get(g, best->root, true, &n);
	path += best_len;
	while (r == 0 && *path != '\0') {
		char name[META_NAME_MAX + 1];
		struct node *child = NULL;
		size_t len;

		path += strspn(path, "/");
		len = strcspn(path, "/");
		if (len == 0)
			break;
		if (!path_name_ok(path, len)) {
			r = -ENOENT;
			break;
		}
		memcpy(name, path, len);
		name[len] = '\0';
		path += len;
		if (node_kind(n) != GATE_DIR)
			r = -ENOTDIR;
		else
			r = lookup_child(n, &rq, name, &child);
		node_put(&n);
		n = child;
	}
	if (r < 0) {
		node_put(&n);
		return r;
	}
	*out = n;
	return 0;
}
