/* SPDX-License-Identifier: Apache-2.0 */
/*
 * change_fixture.h.  The comparison asks both sides when nothing is under way:
 * everything posted is on disk (a commit comes after it), S3 refuses, and no
 * timer is near.
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "nfsd/gate/change/change.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/worker/worker.h"
#include "tests/change_fixture.h"
#include "tests/host_fault.h"
#include "tests/unit.h"

#define LONG_MS 100000
#define FAILURES_MAX 20
#define COMMITS "sql op=commit error=SQLITE_IOERR"
#define ALLOCATIONS "alloc"

/* ---- the harness ---- */

static const enum s3_op refused[] = { S3_OP_PUT, S3_OP_COPY, S3_OP_DELETE };

static void
refuse(struct harness *r, unsigned times)
{
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++)
		fake_s3_fail(r->fixture.s3, refused[i], 1, times, -EAGAIN);
}

void
harness_open(struct harness *r)
{
	/* Hundreds of gates: not on a disk, if there is a choice. */
	if (access("/dev/shm", W_OK) == 0)
		(void)setenv("TMPDIR", "/dev/shm", 1);
	*r = (struct harness){ .fixture = FIXTURE };
	r->fixture.export.settle_ms = r->fixture.export
					  .create_settle_ms = LONG_MS;
	r->fixture.export.lease_ms = r->fixture.export.attr_ttl_ms = LONG_MS;
	client_init(&r->a, "a");
	fixture_open(&r->fixture);
	refuse(r, UINT32_MAX);
}

void
harness_let_go(struct harness *r)
{
	refuse(r, 0);
}

static int
hurry_node(void *arg, struct node *n)
{
	uint64_t now = clock_ms();

	(void)arg;
	mutex_lock(&n->mutex);
	n->up.due_ms = n->up.not_before_ms = now;
	n->h_last_ms = n->h_opened_ms = 0;
	node_tick_at_locked(n, now + 1);
	mutex_unlock(&n->mutex);
	return 0;
}

void
harness_hurry(struct harness *r)
{
	struct gate_export_config *c = &r->fixture.x->c;

	c->settle_ms = c->create_settle_ms = 20;
	c->lease_ms = 200;
	(void)each_node(r->fixture.gate, hurry_node, NULL);
}

int
harness_run(struct harness *r)
{
	harness_let_go(r);
	r->hurry = true;
	return harness_settled(r, r->story->after) ? 0 : -ETIMEDOUT;
}

void
harness_close(struct harness *r)
{
	fixture_close(&r->fixture);
}

bool
harness_settled(struct harness *r, bool (*after)(struct harness *r))
{
	uint64_t until = clock_ms() + 30000;
	bool done;

	do {
		if (r->hurry)
			harness_hurry(r);
		done = gate_flush(r->fixture.gate, NULL, 50, NULL, NULL) == 0 &&
		       after(r);
		if (!done)
			nanosleep(&(struct timespec){ 0, 5000000 }, NULL);
	} while (!done && clock_ms() < until);
	return done;
}

static int
all_is_on_disk(struct harness *r)
{
	struct meta_batch *b = meta_batch_new();
	uint8_t one = 1;

	meta_put_setting(b, "test", &one, sizeof(one));
	return meta_commit(r->fixture.meta, &b);
}

void
harness_kill(struct harness *r)
{
	CU_ASSERT_EQUAL(all_is_on_disk(r), 0);
	/* Not the one that is on its way out. */
	refuse(r, UINT32_MAX);
	r->fixture.export.settle_ms = r->fixture.export.create_settle_ms = 20;
	fixture_keep(&r->fixture);
	fixture_stop(&r->fixture);
	fixture_put_back(&r->fixture);
	harness_let_go(r);
	fixture_start(&r->fixture);
}

/* ---- memory and rows ---- */

struct look {
	struct harness *r;
	unsigned wrong;
	/* of the node at hand */
	struct node *n;
	struct extents staged, durable;
	bool upload, handle;
	size_t sent;
};

static void
differs(struct look *l, const char *what)
{
	fprintf(stderr, "memory and rows differ: inode=%llu %s\n",
		(unsigned long long)(l->n != NULL ? l->n->ino : 0), what);
	l->wrong++;
}

static void
same(struct look *l, bool yes, const char *what)
{
	if (!yes)
		differs(l, what);
}

static int
take_extent(void *arg, const struct meta_extent *e, bool durable)
{
	struct look *l = arg;

	return extents_set(durable ? &l->durable : &l->staged, e->off, e->len,
			   e->at);
}

static bool
same_map(const struct extents *a, const struct extents *b)
{
	return a->count == b->count &&
	       (a->count == 0 ||
		memcmp(a->list, b->list, a->count * sizeof(*a->list)) == 0);
}

static int
take_upload(void *arg, const struct meta_upload *u)
{
	struct look *l = arg;

	l->upload |= u->ino == l->n->ino;
	return 0;
}

static int
take_handle(void *arg, const struct meta_handle *h)
{
	struct look *l = arg;

	/* Some rows are kept for those who are to be told of something. */
	l->handle |= h->state != META_DONE && h->state != META_FAILED &&
		     h->state != META_FENCED;
	return 0;
}

static void
look_at_row(struct look *l)
{
	const struct meta_inode *m = &l->n->i;
	struct meta_inode i = { 0 };

	if (meta_get_inode(l->r->fixture.meta, l->n->ino, &i) < 0) {
		differs(l, "there is no row");
		return;
	}
#define SAME(field) same(l, i.field == m->field, #field)
	SAME(kind);
	SAME(mode);
	SAME(uid);
	SAME(gid);
	SAME(nlink);
	SAME(size);
	SAME(atime_ns);
	SAME(mtime_ns);
	SAME(ctime_ns);
	SAME(base_size);
	SAME(base_limit);
	SAME(data_dirty);
	SAME(attr_dirty);
	SAME(name_dirty);
	SAME(relocating);
	SAME(marker);
	SAME(local_only);
	SAME(link_ino);
	SAME(link_version);
#undef SAME
	same(l, strcmp(i.base_key, m->base_key) == 0, "base_key");
	same(l, strcmp(i.base_etag, m->base_etag) == 0, "base_etag");
	same(l, strcmp(i.dest_etag, m->dest_etag) == 0, "dest_etag");
	same(l, strcmp(i.link_id, m->link_id) == 0, "link_id");
	meta_inode_fini(&i);
}

static void
look_at_name(struct look *l)
{
	struct node *n = l->n;
	struct meta_name name;
	int r = meta_name_of(l->r->fixture.meta, n->ino, &name);

	if (n->namekey == NULL || n->ino == l->r->fixture.x->root) {
		same(l, r == -ENOENT, "it has a name");
		return;
	}
	same(l, r == 0 && name.parent == n->parent && name.id == n->name_id &&
			strcmp(name.name, n->namekey + sizeof(uint64_t)) == 0,
	     "name");
}

static int
look_at_node(void *arg, struct node *n)
{
	struct look *l = arg;
	struct meta *meta = l->r->fixture.meta;

	l->n = n;
	mutex_lock(&n->mutex);
	if (n->dead) {
		struct meta_inode i = { 0 };

		same(l, meta_get_inode(meta, n->ino, &i) == -ENOENT,
		     "it is dead, and has a row");
		meta_inode_fini(&i);
		mutex_unlock(&n->mutex);
		return 0;
	}
	look_at_row(l);
	look_at_name(l);
	l->upload = l->handle = false;
	same(l, meta_each_extent(meta, n->ino, take_extent, l) == 0, "map");
	same(l, same_map(&l->staged, &n->d.staged), "staged");
	same(l, same_map(&l->durable, &n->d.durable), "hard");
	extents_free(&l->staged);
	extents_free(&l->durable);
	same(l, meta_each_upload(meta, take_upload, l) == 0, "uploads");
	same(l, l->upload == (n->up.pending && !n->up.rowless), "pending");
	same(l, meta_each_handle(meta, n->ino, take_handle, l) == 0,
	     "handles");
	/* Of who has nothing committed the row need not be there. */
	same(l, l->handle == (n->h.state != META_NONE) ||
			(!l->handle && n->h.state == META_ACTIVE &&
			 n->d.durable.count == 0 && !n->h.created), "handle");
	mutex_unlock(&n->mutex);
	return 0;
}

/* ---- hidden keys ---- */

struct count {
	struct look *l;
	const char *key;
	uint32_t export_id;
	unsigned owners;
};

static int
count_node(void *arg, struct node *n)
{
	struct count *c = arg;

	mutex_lock(&n->mutex);
	c->owners += !n->dead && name_left_key(n) && !n->i.relocating &&
		     strcmp(n->i.base_key, c->key) == 0;
	mutex_unlock(&n->mutex);
	return 0;
}

static int
count_delete(void *arg, const struct meta_delete *d)
{
	struct count *c = arg;

	c->owners += strcmp(d->key, c->key) == 0;
	return 0;
}

/* Each key is hidden by as many as have a reason. */
static void
look_at_hidden(struct look *l)
{
	struct gate *g = l->r->fixture.gate;
	struct hidden *h, *next;
	struct {
		char key[META_KEY_MAX + 2];
		unsigned count;
	} *all;
	size_t n = 0;

	mutex_lock(&g->mutex);
	all = calloc(HASH_COUNT(g->hidden) + 1, sizeof(*all));
	CU_ASSERT_PTR_NOT_NULL_FATAL(all);
	HASH_ITER(hh, g->hidden, h, next) {
		strcpy(all[n].key, h->key + sizeof(uint32_t));
		all[n++].count = h->count - h->strays;
	}
	mutex_unlock(&g->mutex);
	l->n = NULL;
	for (size_t i = 0; i < n; i++) {
		struct count c = { .l = l, .key = all[i].key };

		(void)each_node(g, count_node, &c);
		same(l,
		     meta_each_delete(l->r->fixture.meta, count_delete, &c) ==
			 0,
		     "deletions");
		if (c.owners != all[i].count)
			fprintf(stderr, "key=%s hidden=%u owners=%u\n",
				all[i].key, all[i].count, c.owners);
		same(l, c.owners == all[i].count, "hidden keys");
	}
	free(all);
}

static int
count_any_delete(void *arg, const struct meta_delete *d)
{
	(void)d;
	++*(unsigned *)arg;
	return 0;
}

static int
count_move(void *arg, const struct meta_dirmove *m)
{
	(void)m;
	++*(unsigned *)arg;
	return 0;
}

/* In memory; false if the rows are others at this moment. */
static bool
deletions(struct harness *r, unsigned *pending)
{
	struct gate *g = r->fixture.gate;
	unsigned rows = 0;
	int e = meta_each_delete(r->fixture.meta, count_any_delete, &rows);

	mutex_lock(&g->mutex);
	*pending = (unsigned)g->deletes_pending;
	mutex_unlock(&g->mutex);
	return e == 0 && rows == *pending;
}

static unsigned
differences(struct harness *r)
{
	struct look l = { .r = r };
	struct gate *g = r->fixture.gate;
	unsigned deletes = 0, moves = 0;

	same(&l, all_is_on_disk(r) == 0, "the database takes rows");
	/* Both are looked at under their mutexes, so that nothing changes. */
	meta_guard(r->fixture.meta, NULL);
	(void)each_node(g, look_at_node, &l);
	look_at_hidden(&l);
	meta_guard(r->fixture.meta, mutex_may_last);
	same(&l,
	     meta_each_delete(r->fixture.meta, count_any_delete, &deletes) == 0,
	     "deletions");
	mutex_lock(&g->mutex);
	same(&l, deletes == g->deletes_pending, "deletions pending");
	mutex_unlock(&g->mutex);
	same(&l, meta_each_dirmove(r->fixture.meta, count_move, &moves) == 0,
	     "moves");
	mutex_lock(&g->dirmoves.mutex);
	same(&l, moves == g->dirmoves.count, "moves under way");
	mutex_unlock(&g->dirmoves.mutex);
	return l.wrong;
}

bool
harness_agrees(struct harness *r)
{
	struct gate *g = r->fixture.gate;
	unsigned before, after, wrong;
	bool agree, still;

	/* The keys of a renamed directory are written as they are met. */
	AWAIT(__atomic_load_n(&g->dirmoves.listing, __ATOMIC_ACQUIRE) == 0);
	/* A deletion of what never reached the bucket ends by itself: what
	 * was seen beside that end does not count. */
	do {
		AWAIT((agree = deletions(r, &before)));
		wrong = differences(r);
		still = !agree || (deletions(r, &after) && after == before);
	} while (wrong > 0 && !still);
	return wrong == 0;
}

/* ---- stories ---- */

/* The rule, with a number in it.  True if something failed by it. */
static bool
play_once(const struct story *s, const char *form, unsigned nth)
{
	struct harness r;
	char rule[80];
	bool fired;
	int result;

	harness_open(&r);
	r.story = s;
	if (s->before != NULL)
		s->before(&r);
	CU_ASSERT(harness_agrees(&r));
	snprintf(rule, sizeof(rule), "%s nth=%u times=1", form, nth);
	CU_ASSERT_EQUAL(host_fault_set(rule), 0);
	result = s->act(&r);
	fired = host_fault_fired(0) > 0;
	CU_ASSERT_EQUAL(host_fault_set(NULL), 0);
	if (!harness_agrees(&r)) {
		fprintf(stderr, "after failure %u of: %s\n", nth, s->name);
		CU_FAIL("memory ran ahead of the database");
	}
	/* The client asks again, and everything is done. */
	if (result < 0)
		result = s->act(&r);
	if (result < 0)
		fprintf(stderr, "%s, again: %s\n", s->name,
			strerror(-result));
	CU_ASSERT_EQUAL(result, 0);
	CU_ASSERT(harness_agrees(&r));
	r.hurry = false;
	harness_kill(&r);
	if (!harness_settled(&r, s->after)) {
		fprintf(stderr, "failure %u of: %s\n", nth, s->name);
		CU_FAIL("S3 does not have what was answered");
	}
	CU_ASSERT(harness_agrees(&r));
	harness_close(&r);
	return fired;
}

unsigned
play(const struct story *s, bool memory)
{
	/* All of them take a minute: another sample each time. */
	unsigned n = 0, step = getenv("CHANGE_ALL") != NULL ? 1 : 13;

	while (n < FAILURES_MAX && play_once(s, COMMITS, n + 1))
		n++;
	for (unsigned k = 1 + (unsigned)getpid() % step;
	     memory && play_once(s, ALLOCATIONS, k);)
		k += step;
	if (n == 0)
		fprintf(stderr, "nothing failed: %s\n", s->name);
	return n;
}

/* ---- more calls ---- */

#define ACT(call)                                                             \
	do {                                                                  \
		r->a.rq.first_ms = clock_ms();                                \
		r->a.rq.token = NULL;                                         \
		r->a.rq.may_block = true;                                     \
		do {                                                          \
			r->a.rq.again = GATE_AGAIN_NONE;                      \
			result = (call);                                      \
		} while (result == -EAGAIN &&                                 \
			 r->a.rq.again == GATE_NEEDS_THREAD);                 \
	} while (0)

int
act_mode(struct harness *r, const struct gate_fh *fh, uint32_t mode)
{
	struct gate_setattr set = { .set_mode = true, .mode = mode };
	struct gate_wcc wcc = { 0 };
	int result;

	ACT(gate_setattr(r->fixture.x, &r->a.rq, fh, &set, NULL, &wcc));
	return result;
}

int
act_exclusive(struct harness *r, const char *name, struct gate_fh *fh)
{
	static const uint8_t verf[8] = "verifier";
	struct gate_attr attr;
	struct gate_wcc wcc = { 0 };
	int result;

	ACT(gate_create(r->fixture.x, &r->a.rq, &r->fixture.root, name,
			GATE_EXCLUSIVE, NULL, verf, fh, &attr, &wcc));
	return result;
}

int
act_symlink(struct harness *r, const char *name, struct gate_fh *fh)
{
	struct gate_setattr set = { 0 };
	struct gate_attr attr;
	struct gate_wcc wcc = { 0 };
	int result;

	ACT(gate_symlink(r->fixture.x, &r->a.rq, &r->fixture.root, name,
			 "target", &set, fh, &attr, &wcc));
	return result;
}

int
act_mknod(struct harness *r, const char *name, struct gate_fh *fh)
{
	struct gate_setattr set = { 0 };
	struct gate_attr attr;
	struct gate_wcc wcc = { 0 };
	int result;

	ACT(gate_mknod(r->fixture.x, &r->a.rq, &r->fixture.root, name,
		       GATE_FIFO, 0, 0, &set, fh, &attr, &wcc));
	return result;
}

int
act_link(struct harness *r, const struct gate_fh *fh, const char *name)
{
	struct gate_attr attr;
	struct gate_wcc wcc = { 0 };
	int result;

	ACT(gate_link(r->fixture.x, &r->a.rq, fh, &r->fixture.root, name, &attr,
		      &wcc));
	return result;
}

int
act_rmdir(struct harness *r, const char *name)
{
	struct gate_wcc wcc = { 0 };
	int result;

	ACT(gate_rmdir(r->fixture.x, &r->a.rq, &r->fixture.root, name, &wcc));
	return result;
}

/* ---- what many stories begin and end with ---- */

void
harness_new_file(struct harness *r)
{
	CU_ASSERT_EQUAL(do_file(&r->fixture, &r->a, "f", "old", &r->fh[0]), 0);
}

void
harness_old_file(struct harness *r)
{
	fake_s3_set(r->fixture.s3, "f", "old", 3);
	CU_ASSERT_EQUAL(do_lookup(&r->fixture, &r->a, "f", &r->fh[0]), 0);
}

void
harness_linked(struct harness *r)
{
	harness_new_file(r);
	CU_ASSERT_EQUAL(act_link(r, &r->fh[0], "g"), 0);
}

bool
harness_f_is_new(struct harness *r)
{
	return fake_s3_is(r->fixture.s3, "f", "new", 3);
}

bool
harness_f_is_old(struct harness *r)
{
	return fake_s3_is(r->fixture.s3, "f", "old", 3);
}

bool
harness_f_is_gone(struct harness *r)
{
	return !fake_s3_has(r->fixture.s3, "f");
}

bool
harness_only_g_is_old(struct harness *r)
{
	return harness_f_is_gone(r) && fake_s3_is(r->fixture.s3, "g", "old", 3);
}

bool
harness_f_and_g_are_old(struct harness *r)
{
	return harness_f_is_old(r) && fake_s3_is(r->fixture.s3, "g", "old", 3);
}
