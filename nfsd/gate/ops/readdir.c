/* SPDX-License-Identifier: Apache-2.0 */
/*
 * READDIR and READDIRPLUS.  Entries come from SQLite in the order of their
 * ids, which are the cookies; pages of S3's listing are merged as they are
 * needed.  A name is told when a listing has passed it, so that a large
 * directory answers after its first page.
 *
 * READDIRPLUS wants attributes that a listing does not tell: the HEADs of a
 * batch of entries run side by side.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/dir/dir.h"
#include "nfsd/gate/keys/keys.h"
#include "nfsd/gate/link/link.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/object/object.h"
#include "nfsd/gate/path/path.h"
#include "nfsd/gate/worker/worker.h"

#define COOKIE_DOT 1
#define COOKIE_DOTDOT 2
#define BATCH 128

struct batch {
	struct meta_name names[BATCH];
	struct node *nodes[BATCH];
	size_t count;
};

static int
take_name(void *arg, const struct meta_name *name)
{
	struct batch *b = arg;

	b->names[b->count++] = *name;
	return 0;
}

/* ---- attributes, side by side ---- */

static bool
knows_attr(struct node *n)
{
	bool known;

	mutex_lock(&n->mutex);
	known = n->i.attr_known;
	mutex_unlock(&n->mutex);
	return known;
}

struct learning {
	struct mutex mutex;
	pthread_cond_t all_done;
	size_t left;
};

struct lesson {
	struct node *node;
	struct learning *learning;
};

static void
learn_run(void *arg)
{
	struct lesson *l = arg;
	struct learning *all = l->learning;

	/* A failure leaves the attributes out, which is allowed. */
	(void)lookup_learn(l->node);
	mutex_lock(&all->mutex);
	if (--all->left == 0)
		pthread_cond_signal(&all->all_done);
	mutex_unlock(&all->mutex);
}

static int
learn_batch(struct gate *g, struct gate_request *rq, struct batch *b)
{
	struct learning all = { MUTEX_INIT(MUTEX_LEAF),
				PTHREAD_COND_INITIALIZER, 0 };
	struct lesson lessons[BATCH];
	size_t count = 0;

	for (size_t i = 0; i < b->count; i++) {
		struct node *n = b->nodes[i];

		if (n != NULL && !knows_attr(n) && !offline_now(n->export))
			lessons[count++] = (struct lesson){ n, &all };
	}
	if (count > 0 && may_ask_store(rq) < 0)
		return -EAGAIN;
	all.left = count;
	for (size_t i = 0; i < count; i++) {
		if (pool_add(&g->transfers, lessons[i].node->export,
			     POOL_AWAITED, learn_run, &lessons[i]) < 0)
			learn_run(&lessons[i]);
	}
	pool_may_wait(&g->transfers);
	mutex_lock(&all.mutex);
	while (all.left > 0)
		mutex_wait(&all.mutex, &all.all_done, NULL);
	mutex_unlock(&all.mutex);
	mutex_destroy(&all.mutex);
	pthread_cond_destroy(&all.all_done);
	/* Each has posted its row. */
	if (count > 0)
		meta_ease(g->meta);
	return 0;
}

/* ---- the walk ---- */

struct walk {
	struct node *dir;
	struct gate_request *rq;
	bool plus;
	unsigned limit;
	int (*emit)(void *arg, const struct gate_dirent *entry);
	void *arg;
	unsigned emitted;
	bool full;
	bool checked;		/* the listing has nothing more to say */
};

static void
emit_one(struct walk *w, uint64_t cookie, const char *name, uint64_t ino,
	 struct node *n)
{
	struct gate_dirent e = { .fileid = ino, .cookie = cookie,
				 .name = name };

	if (w->plus && n != NULL && !node_dead(n)) {
		e.fh = node_fh(n);
		e.has_attr = knows_attr(n);
		if (e.has_attr)
			node_attr(n, w->rq, &e.attr);
	}
	if ((w->limit != 0 && w->emitted == w->limit) ||
	    w->emit(w->arg, &e) != 0)
		w->full = true;
	else
		w->emitted++;
}

static void
emit_dots(struct walk *w, uint64_t cookie)
{
	struct node *up = NULL;

	if (cookie < COOKIE_DOT)
		emit_one(w, COOKIE_DOT, ".", w->dir->ino, w->dir);
	if (w->full || cookie >= COOKIE_DOTDOT)
		return;
	if (w->dir->ino == w->dir->export->root)
		up = node_ref(w->dir);
	else if (node_get(w->dir->export->gate, w->dir->parent, true, &up) < 0)
		return;
	emit_one(w, COOKIE_DOTDOT, "..", up->ino, up);
	node_put(&up);
}

/* What the listing lacks keeps its name until the last page has come, and is
 * not told. */
static void
leave_out_gone(struct node *dir, struct batch *b)
{
	for (size_t i = 0; i < b->count; i++) {
		if (scan_lacks(dir, b->names[i].ino))
			b->names[i].ino = 0;
	}
}

/* One batch of entries after *cookie.  1: there may be more. */
static int
emit_batch(struct walk *w, uint64_t *cookie)
{
	struct gate *g = w->dir->export->gate;
	struct batch *b = calloc(1, sizeof(*b));
	int r;

	if (b == NULL)
		return -ENOMEM;
	r = meta_each_name(g->meta, w->dir->ino, *cookie, BATCH, take_name, b);
	leave_out_gone(w->dir, b);
	for (size_t i = 0; r == 0 && w->plus && i < b->count; i++) {
		if (b->names[i].ino == 0 ||
		    node_get(g, b->names[i].ino, true, &b->nodes[i]) < 0)
			b->nodes[i] = NULL;
	}
	if (r == 0 && w->plus)
		r = learn_batch(g, w->rq, b);
	for (size_t i = 0; r == 0 && w->plus && i < b->count; i++) {
		if (b->nodes[i] != NULL &&
		    link_resolve(&b->nodes[i], w->rq) < 0)
			b->nodes[i] = NULL;	/* as if it were gone */
	}
	for (size_t i = 0; r == 0 && i < b->count && !w->full; i++) {
		/* Gone between the two questions. */
		if (w->plus ? b->nodes[i] != NULL && !b->nodes[i]->dead
			    : b->names[i].ino != 0)
			emit_one(w, b->names[i].id, b->names[i].name,
				 w->plus ? b->nodes[i]->ino
					 : b->names[i].file,
				 b->nodes[i]);
		if (!w->full)
			*cookie = b->names[i].id;
	}
	if (r == 0)
		r = b->count == BATCH;
	for (size_t i = 0; i < b->count; i++)
		node_put(&b->nodes[i]);
	free(b);
	return r;
}

/* One more page of the listing, which is asked for if it is not fresh. */
static int
next_page(struct walk *w)
{
	struct gate_export *x = w->dir->export;
	bool quiet = scan_fresh(w->dir) && !dirmoves_any(x->gate);
	int r;

	if (!quiet && offline_now(x) && offline_listed(w->dir))
		return 0;
	r = quiet ? 0 : may_ask_store(w->rq);
	if (r < 0)
		return r;
	r = scan_step(w->dir);
	return r < 0 && offline_failed(x, w->rq, r) && offline_listed(w->dir)
		       ? 0
		       : r;
}

/* See that the listing has passed the next names.  1: it went on for that,
 * and some may be gone. */
static int
check_next(struct walk *w, uint64_t cookie)
{
	struct gate *g = w->dir->export->gate;
	struct batch *b;
	int r, stepped = 0;

	/* Renamed, and its old keys are being listed: what is known by now
	 * is there, and told before the last page is. */
	if (dirmove_lists(w->dir))
		return 0;
	b = calloc(1, sizeof(*b));
	if (b == NULL)
		return -ENOMEM;
	r = meta_each_name(g->meta, w->dir->ino, cookie, BATCH, take_name, b);
	for (size_t i = 0; r >= 0 && i < b->count; i++) {
		while (!w->checked && r >= 0 &&
		       !scan_passed(w->dir, &b->names[i])) {
			r = next_page(w);
			w->checked = r == 0;
			stepped = 1;
		}
	}
	free(b);
	return r < 0 ? r : stepped;
}

/*
 * What is known of the directory is told once the listing has passed it, so
 * that the first names come after the first page, however many there are.  A
 * small directory that was listed before is listed anew as a whole; a walk
 * that goes on after its listing is done goes on with what that told.
 */
static int
begin_walk(struct walk *w, uint64_t cookie)
{
	struct node *dir = w->dir;
	bool begins = cookie < COOKIE_DOTDOT + 1, complete, running;
	int r = 0;

	if (begins)
		scan_begin(dir);
	mutex_lock(&dir->mutex);
	complete = dir->scan != NULL && dir->scan->complete;
	running = dir->scan != NULL && dir->scan->running;
	mutex_unlock(&dir->mutex);
	w->checked = complete && !running && !begins;
	if (begins && complete && !dirmove_lists(dir) && scan_small(dir)) {
		while ((r = next_page(w)) == 1)
			;
		w->checked = r == 0;
	}
	return r;
}

static int
readdir_walk(struct walk *w, uint64_t cookie, bool *eof)
{
	int r = begin_walk(w, cookie);

	if (r < 0)
		return r;
	emit_dots(w, cookie);
	if (cookie < COOKIE_DOTDOT)
		cookie = COOKIE_DOTDOT;
	while (!w->full) {
		if (!w->checked && (r = check_next(w, cookie)) < 0)
			return r;
		r = emit_batch(w, &cookie);
		if (r < 0)
			return r;
		if (r == 1 || w->full)
			continue;
		r = w->checked ? 0 : next_page(w);
		if (r < 0)
			return r;
		if (r == 0) {
			/* The last page may have brought some. */
			w->checked = true;
			r = emit_batch(w, &cookie);
			if (r < 0)
				return r;
			if (r == 0)
				break;
		}
	}
	*eof = !w->full;
	return 0;
}

/* One more (1), or less (-1): its names, and their cookies, stay. */
static void
note_reader(struct node *dir, int delta)
{
	mutex_lock(&dir->mutex);
	dir->walkers += (unsigned)delta;
	dir->read_ms = clock_ms();
	mutex_unlock(&dir->mutex);
	known_read(dir->export->gate, dir->ino);
}

int
gate_readdir(struct gate_export *x, struct gate_request *rq,
	     const struct gate_fh *fh, uint64_t cookie, uint8_t cookieverf[8],
	     bool plus, unsigned limit,
	     int (*emit)(void *arg, const struct gate_dirent *entry),
	     void *arg, bool *eof, struct gate_wcc *dir_attr)
{
	struct walk w = { .rq = rq, .plus = plus, .limit = limit,
			  .emit = emit, .arg = arg };
	int r = node_from_fh(x, rq, fh, &w.dir);

	if (r < 0)
		return r;
	/* Cookies are rows: valid as long as the directory is. */
	memset(cookieverf, 0, 8);
	cookieverf[7] = 1;
	if (node_kind(w.dir) != GATE_DIR) {
		r = -ENOTDIR;
	} else if (!rq->may_block) {
		rq->again = GATE_NEEDS_THREAD;
		r = -EAGAIN;
	} else {
		r = lookup_refresh(w.dir, rq);
	}
	if (r == 0 && !perm_allows(rq, node_perm(w.dir), MAY_READ))
		r = -EACCES;
	if (r == 0) {
		note_reader(w.dir, 1);
		r = readdir_walk(&w, cookie, eof);
		note_reader(w.dir, -1);
	}
	if (r == -EAGAIN && rq->again == GATE_AGAIN_NONE)
		rq->again = GATE_JUKEBOX;
	wcc_after(w.dir, rq, dir_attr);
	node_put(&w.dir);
	return r;
}
