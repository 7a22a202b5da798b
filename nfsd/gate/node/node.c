/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes: inodes in memory.  A node that somebody uses (refs) or that holds
 * state which SQLite has not (a writer, waiters, bytes under way) stays; the
 * others wait in a list and leave from its old end when there are too many.
 *
 * Tables are sharded by inode number; names by a hash of parent and name.
 * A node is found under the shard's mutex alone, so that GETATTR and LOOKUP
 * of what is known cost two short locks.
 */

#include <config.h>

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/data/data.h"
#include "nfsd/gate/node/inside.h"
#include "nfsd/gate/worker/worker.h"

static struct shard *
shard_of(struct gate *g, uint64_t ino)
{
	return &g->shards[ino % SHARDS];
}

/* Names live in the shard of their parent. */
static size_t
name_key(uint64_t parent, const char *name, char *out)
{
	size_t len = strlen(name);

	memcpy(out, &parent, sizeof(parent));
	memcpy(out + sizeof(parent), name, len + 1);
	return sizeof(parent) + len;
}

/* ---- life ---- */

/*
 * When as many nodes leave as come, each takes the place of one that left.
 * malloc would keep those for the thread that made them, in memory that is
 * never given back, and take new memory for the thread at work.  A few in
 * each shard are enough.
 */
#ifdef __SANITIZE_ADDRESS__	/* which wants to see who comes too late */
#define SPARES_MAX 0
#else
#define SPARES_MAX 64
#endif

static struct node *
memory_get(struct shard *s)
{
	struct node *n;

	mutex_lock(&s->mutex);
	n = TAILQ_FIRST(&s->spare);
	if (n != NULL) {
		TAILQ_REMOVE(&s->spare, n, lru);
		s->spares--;
	}
	mutex_unlock(&s->mutex);
	if (n == NULL)
		return calloc(1, sizeof(*n));
	memset(n, 0, sizeof(*n));
	return n;
}

static void
memory_put(struct shard *s, struct node *n)
{
	bool keep;

	mutex_lock(&s->mutex);
	keep = s->spares < SPARES_MAX;
	if (keep) {
		TAILQ_INSERT_HEAD(&s->spare, n, lru);
		s->spares++;
	}
	mutex_unlock(&s->mutex);
	if (!keep)
		free(n);
}

/* One more in the tables (1), or less (-1). */
static void
count(struct gate_export *x, int delta)
{
	__atomic_add_fetch(&x->nodes, (uint64_t)delta, __ATOMIC_RELAXED);
	__atomic_add_fetch(&x->gate->nodes, (uint64_t)delta, __ATOMIC_RELAXED);
}

static struct node *
node_new(struct gate_export *x, uint64_t ino)
{
	struct node *n = memory_get(shard_of(x->gate, ino));
	pthread_condattr_t attr;

	if (n == NULL)
		return NULL;
	n->export = x;
	n->ino = ino;
	mutex_init(&n->mutex, MUTEX_NODE);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&n->changed, &attr);
	pthread_cond_init(&n->unlocked, &attr);
	pthread_condattr_destroy(&attr);
	data_init(&n->d);
	LIST_INIT(&n->refusals);
	LIST_INIT(&n->readers);
	TAILQ_INIT(&n->waiters);
	LIST_INIT(&n->fenced);
	LIST_INIT(&n->held_as);
	LIST_INIT(&n->up.indoubt);
	return n;
}

#define FREE_LIST(head, type)                                                 \
	do {                                                                  \
		struct type *e_;                                              \
		while ((e_ = LIST_FIRST(head)) != NULL) {                     \
			LIST_REMOVE(e_, link);                                \
			free(e_);                                             \
		}                                                             \
	} while (0)

static void
node_free(struct node *n)
{
	mutex_own(&n->mutex);
	data_fini(n);
	FREE_LIST(&n->refusals, refused);
	FREE_LIST(&n->readers, reader);
	FREE_LIST(&n->fenced, fenced);
	FREE_LIST(&n->held_as, held_as);
	scan_forget(n);
	meta_inode_fini(&n->i);
	free(n->reserved_client);
	indoubt_forget_locked(n, NULL);
	upload_row_drop_locked(n);
	free(n->up.sent_key);
	free(n->namekey);
	free(n->next_namekey);
	mutex_disown(&n->mutex);
	mutex_destroy(&n->mutex);
	pthread_cond_destroy(&n->changed);
	pthread_cond_destroy(&n->unlocked);
	memory_put(shard_of(n->export->gate, n->ino), n);
}

/* May it leave memory?  Shard mutex held; nobody else has a reference. */
static bool
node_idle(const struct node *n)
{
	return n->h.state == META_NONE && n->reserved_client == NULL &&
	       !n->up.pending && n->up.run == UP_IDLE &&
	       n->d.staged.count == 0 && n->d.dirty.count == 0 &&
	       n->d.durable.count == 0 && TAILQ_EMPTY(&n->waiters) &&
	       !admit_owes(n) && LIST_EMPTY(&n->up.indoubt) &&
	       LIST_EMPTY(&n->d.fetches) && n->ino != n->export->root;
}

/* Take it out of the table of names.  Without memory it was not put there:
 * then it is found by its number alone. */
static void
unhash_name_locked(struct shard *s, struct node *n)
{
	mutex_must_hold(&s->mutex);
	if (n->hh_name.tbl != NULL)
		HASH_DELETE(hh_name, s->names, n);
	n->hh_name.tbl = NULL;
}

static void
unhash_name(struct gate *g, struct node *n)
{
	uint64_t parent;

	if (n->namekey == NULL)
		return;
	memcpy(&parent, n->namekey, sizeof(parent));
	unhash_name_locked(shard_of(g, parent), n);
}

/*
 * Drop the oldest unused nodes of a shard.  A node's name is in the table of
 * its parent's shard; both mutexes are taken in address order.
 */
static void
evict(struct gate *g, struct shard *s)
{
	unsigned limit = g->config.max_nodes / SHARDS + 1;

	for (int tries = 0; tries < 8; tries++) {
		struct shard *p;
		struct node *n;
		uint64_t parent = 0;

		mutex_lock(&s->mutex);
		if (s->count <= limit || (n = TAILQ_FIRST(&s->lru)) == NULL) {
			mutex_unlock(&s->mutex);
			return;
		}
		if (!node_idle(n)) {
			/* Comes back to the list with its next node_put. */
			TAILQ_REMOVE(&s->lru, n, lru);
			n->in_lru = false;
			mutex_unlock(&s->mutex);
			continue;
		}
		if (n->namekey != NULL)
			memcpy(&parent, n->namekey, sizeof(parent));
		p = shard_of(g, n->namekey != NULL ? parent : n->ino);
		if (p < s && !mutex_try(&p->mutex)) {
			mutex_unlock(&s->mutex);
			continue;
		}
		if (p > s)
			mutex_lock_second(&p->mutex);
		unhash_name(g, n);
		HASH_DELETE(hh, s->nodes, n);
		TAILQ_REMOVE(&s->lru, n, lru);
		s->count--;
		s->evictions++;
		known_used(g, n->ino);
		if (n->d.staged.count > 0 || n->d.durable.count > 0)
			audit_broken(g, "committed bytes left with a node",
				     "inode=%llu", (unsigned long long)n->ino);
		/* Clean bytes go with it: nothing remembers them.  Before
		 * anybody can load the inode anew and make a file of the
		 * same name. */
		data_unlink(n);
		if (p != s)
			mutex_unlock(&p->mutex);
		mutex_unlock(&s->mutex);
		count(n->export, -1);
		mutex_lock(&n->mutex);
		data_remove_locked(n);
		mutex_unlock(&n->mutex);
		node_free(n);
	}
}

static void
ref_locked(struct shard *s, struct node *n)
{
	mutex_must_hold(&s->mutex);
	if (n->in_lru) {
		TAILQ_REMOVE(&s->lru, n, lru);
		n->in_lru = false;
	}
	n->refs++;
}

struct node *
node_ref(struct node *n)
{
	struct shard *s = shard_of(n->export->gate, n->ino);

	mutex_lock(&s->mutex);
	ref_locked(s, n);
	mutex_unlock(&s->mutex);
	return n;
}

/* What an export has of max_nodes, however much the others hold. */
static bool
has_share_left(const struct gate_export *x)
{
	uint64_t nodes = __atomic_load_n(&x->nodes, __ATOMIC_RELAXED);
	const struct gate_export *other;
	unsigned exports = 0;

	LIST_FOREACH(other, &x->gate->exports, link)
		exports++;
	return nodes < x->gate->config.max_nodes / exports;
}

int
node_room(struct gate_export *x, struct gate_request *rq)
{
	const struct gate *g = x->gate;
	uint64_t nodes = __atomic_load_n(&g->nodes, __ATOMIC_RELAXED);

	/* Those that may leave do so above max_nodes: the others wait for
	 * uploads, or are in use. */
	if (nodes < 2ULL * g->config.max_nodes || has_share_left(x))
		return 0;
	rq->again = GATE_JUKEBOX;
	return -EAGAIN;
}

void
node_put(struct node **np)
{
	struct node *n = *np;
	struct shard *s;
	struct gate *g;
	bool gone = false, full;

	if (n == NULL)
		return;
	*np = NULL;
	g = n->export->gate;
	s = shard_of(g, n->ino);
	mutex_lock(&s->mutex);
	if (--n->refs == 0) {
		gone = node_dead(n);
		if (gone) {
			HASH_DELETE(hh, s->nodes, n);
			s->count--;
			s->evictions++;
		} else if (!n->in_lru) {
			TAILQ_INSERT_TAIL(&s->lru, n, lru);
			n->in_lru = true;
		}
	}
	full = s->count > g->config.max_nodes / SHARDS + 1;
	mutex_unlock(&s->mutex);
	if (gone) {
		/* Its name left the table when it died. */
		count(n->export, -1);
		mutex_lock(&n->mutex);
		data_remove_locked(n);
		mutex_unlock(&n->mutex);
		node_free(n);
	} else if (full) {
		evict(g, s);
	}
}

struct node *
node_find(struct gate *g, uint64_t ino)
{
	struct shard *s = shard_of(g, ino);
	struct node *n;

	mutex_lock(&s->mutex);
	HASH_FIND(hh, s->nodes, &ino, sizeof(ino), n);
	if (n != NULL)
		ref_locked(s, n);
	mutex_unlock(&s->mutex);
	return n;
}

struct node *
node_find_child(struct gate *g, uint64_t parent, const char *name)
{
	char key[sizeof(parent) + META_NAME_MAX + 1];
	struct shard *s = shard_of(g, parent);
	struct node *n = NULL;
	size_t len;

	if (strlen(name) > META_NAME_MAX)
		return NULL;
	len = name_key(parent, name, key);
	for (;;) {
		struct shard *own;

		mutex_lock(&s->mutex);
		HASH_FIND(hh_name, s->names, key, len, n);
		if (n == NULL) {
			mutex_unlock(&s->mutex);
			return NULL;
		}
		/* A reference belongs to the node's own shard. */
		own = shard_of(g, n->ino);
		if (own == s || mutex_try(&own->mutex)) {
			ref_locked(own, n);
			if (own != s)
				mutex_unlock(&own->mutex);
			mutex_unlock(&s->mutex);
			return n;
		}
		mutex_unlock(&s->mutex);
		sched_yield();
	}
}

/* Give the node a name in the table.  Its key is malloced already. */
static void
hash_name(struct gate *g, struct node *n)
{
	struct shard *s = shard_of(g, n->parent);
	struct node *old;

	mutex_lock(&s->mutex);
	HASH_FIND(hh_name, s->names, n->namekey, n->namekey_len, old);
	if (old != NULL && old != n)
		unhash_name_locked(s, old);
	if (old != n)
		HASH_ADD_KEYPTR(hh_name, s->names, n->namekey, n->namekey_len,
				n);
	if (old != NULL && old != n) {
		/* The name was given away; old is on its way out. */
		free(old->namekey);
		old->namekey = NULL;
		old->namekey_len = 0;
	}
	mutex_unlock(&s->mutex);
}

/* Room for the key of a name is made before, so that this cannot fail. */
static void
take_name(struct node *n, const struct meta_name *name, char *key)
{
	n->namekey = key;
	n->namekey_len = name_key(name->parent, name->name, key);
	n->parent = name->parent;
	n->name_id = name->id;
}

static char *
name_room(const struct meta_name *name)
{
	return malloc(sizeof(uint64_t) + strlen(name->name) + 1);
}

/* key: memory for it, or NULL. */
static int
set_name(struct node *n, const struct meta_name *name, char *key)
{
	if (key == NULL)
		return -ENOMEM;
	take_name(n, name, key);
	return 0;
}

static void
unname_locked(struct node *n)
{
	struct gate *g = n->export->gate;
	struct shard *s;
	char *old;

	mutex_must_hold(&n->mutex);
	s = shard_of(g, n->parent);
	mutex_lock(&s->mutex);
	unhash_name_locked(s, n);
	old = n->namekey;
	n->namekey = NULL;
	n->namekey_len = 0;
	mutex_unlock(&s->mutex);
	free(old);
}

void
node_unname(struct node *n)
{
	mutex_lock(&n->mutex);
	unname_locked(n);
	mutex_unlock(&n->mutex);
}

int
node_name_room(struct node *n, const struct meta_name *name)
{
	char *key = name_room(name);

	if (key == NULL)
		return -ENOMEM;
	mutex_lock(&n->mutex);
	free(n->next_namekey);
	n->next_namekey = key;
	mutex_unlock(&n->mutex);
	return 0;
}

void
node_rename(struct node *n, const struct meta_name *name)
{
	mutex_lock(&n->mutex);
	assert(n->next_namekey != NULL);
	unname_locked(n);
	take_name(n, name, n->next_namekey);
	n->next_namekey = NULL;
	hash_name(n->export->gate, n);
	mutex_unlock(&n->mutex);
}

void
node_name(struct node *n, uint64_t *parent, char name[META_NAME_MAX + 1])
{
	mutex_lock(&n->mutex);
	*parent = n->parent;
	name[0] = '\0';
	if (n->namekey != NULL)
		memcpy(name, n->namekey + sizeof(uint64_t),
		       n->namekey_len - sizeof(uint64_t) + 1);
	mutex_unlock(&n->mutex);
}

/* ---- loading ---- */

static int
load_extent(void *arg, const struct meta_extent *e, bool durable)
{
	struct node *n = arg;

	/* Memory that runs out here must not look like a file without
	 * bytes. */
	return extents_set(durable ? &n->d.durable : &n->d.staged, e->off,
			   e->len, e->at);
}

static struct gate_export *
export_by_id(struct gate *g, uint32_t id)
{
	struct gate_export *x;

	LIST_FOREACH(x, &g->exports, link) {
		if (x->id == id)
			return x;
	}
	return NULL;
}

static bool
is_leaving_locked(const struct shard *s, uint64_t ino)
{
	mutex_must_hold(&s->mutex);
	for (size_t i = 0; i < s->leaving_count; i++) {
		if (s->leaving[i] == ino)
			return true;
	}
	return false;
}

/*
 * Put a new node into the tables; *np may be replaced by one that is there
 * already.  Takes a reference.  Else *np is freed: -EAGAIN, if a node left the
 * shard since evictions was read, as it may have been this inode, changed
 * since its row was read, or if that row is about to go; -ENOMEM.
 */
static int
node_insert(struct gate *g, struct node **np, const uint64_t *evictions)
{
	struct node *n = *np, *old;
	struct shard *s = shard_of(g, n->ino);

	/* Until it has its name in the table nobody may change that. */
	mutex_lock(&n->mutex);
	mutex_lock(&s->mutex);
	HASH_FIND(hh, s->nodes, &n->ino, sizeof(n->ino), old);
	if (old != NULL || (evictions != NULL &&
			    (*evictions != s->evictions ||
			     is_leaving_locked(s, n->ino)))) {
		if (old != NULL)
			ref_locked(s, old);
		mutex_unlock(&s->mutex);
		mutex_unlock(&n->mutex);
		node_free(n);
		*np = old;
		return old != NULL ? 0 : -EAGAIN;
	}
	HASH_ADD(hh, s->nodes, ino, sizeof(n->ino), n);
	if (n->hh.tbl == NULL) {
		mutex_unlock(&s->mutex);
		mutex_unlock(&n->mutex);
		node_free(n);
		return -ENOMEM;
	}
	n->refs = 1;
	s->count++;
	mutex_unlock(&s->mutex);
	count(n->export, 1);
	if (n->namekey != NULL)
		hash_name(g, n);
	mutex_unlock(&n->mutex);
	return 0;
}

static int
node_load(struct gate *g, uint64_t ino, struct node **out)
{
	struct meta_inode row = { 0 };
	struct meta_name name;
	struct gate_export *x;
	struct node *n;
	int r = meta_get_inode(g->meta, ino, &row);

	if (r < 0)
		return r == -ENOENT ? -ESTALE : r;
	/* Of a kind that is none it is not served, and stays. */
	x = row.kind < GATE_REG || row.kind > GATE_FIFO
		    ? NULL
		    : export_by_id(g, row.export_id);
	n = x == NULL ? NULL : node_new(x, ino);
	if (n == NULL) {
		meta_inode_fini(&row);
		return x == NULL ? -ESTALE : -ENOMEM;
	}
	n->i = row;
	r = meta_each_extent(g->meta, ino, load_extent, n);
	if (r == 0 && ino != x->root) {
		r = meta_name_of(g->meta, ino, &name);
		if (r == 0)
			r = set_name(n, &name, name_room(&name));
		else if (r == -ENOENT)
			r = row.nlink == 0 ? 0 : -ESTALE;
	}
	if (r < 0) {
		node_free(n);
		return r;
	}
	n->writer_size = data_durable_end(&n->d);
	if (n->writer_size < row.size)
		n->writer_size = row.size;
	n->writer_mtime_ns = n->d.durable.count > 0 ? clock_ns() : row.mtime_ns;
	mutex_own(&n->mutex);
	data_account_locked(n);
	mutex_disown(&n->mutex);
	*out = n;
	return 0;
}

/* ---- inodes whose rows go (dir/known.c) ---- */

size_t
nodes_leave(struct gate *g, uint64_t *inos, size_t count)
{
	size_t kept = 0, at = 0;

	for (size_t i = 0; i < SHARDS; i++) {
		struct shard *s = &g->shards[i];
		size_t first = kept;

		mutex_lock(&s->mutex);
		for (; at < count && inos[at] % SHARDS == i; at++) {
			struct node *n;

			HASH_FIND(hh, s->nodes, &inos[at], sizeof(*inos), n);
			if (n == NULL)
				inos[kept++] = inos[at];
		}
		s->leaving = &inos[first];
		s->leaving_count = kept - first;
		mutex_unlock(&s->mutex);
	}
	return kept;
}

void
nodes_leave_end(struct gate *g)
{
	for (size_t i = 0; i < SHARDS; i++) {
		struct shard *s = &g->shards[i];

		mutex_lock(&s->mutex);
		/* Who has read a row before looks again. */
		s->evictions += s->leaving_count > 0;
		s->leaving = NULL;
		s->leaving_count = 0;
		pthread_cond_broadcast(&s->left);
		mutex_unlock(&s->mutex);
	}
}

/* ---- found, added, walked through ---- */

int
node_get(struct gate *g, uint64_t ino, bool may_block, struct node **out)
{
	struct shard *s = shard_of(g, ino);

	for (;;) {
		struct node *n = node_find(g, ino);
		uint64_t before;
		int r;

		if (n != NULL) {
			*out = n;
			return 0;
		}
		if (!may_block)
			return -EAGAIN;
		mutex_lock(&s->mutex);
		while (is_leaving_locked(s, ino))
			mutex_wait(&s->mutex, &s->left, NULL);
		before = s->evictions;
		mutex_unlock(&s->mutex);
		r = node_load(g, ino, &n);
		if (r < 0)
			return r;
		r = node_insert(g, &n, &before);
		if (r == -EAGAIN)
			continue;
		if (r < 0)
			return r;
		*out = n;
		return 0;
	}
}

int
node_add(struct gate_export *x, const struct meta_inode *row,
	 const struct meta_name *name, bool locked, struct node **out)
{
	struct node *n = node_new(x, row->ino);
	int r;

	if (n == NULL)
		return -ENOMEM;
	r = meta_inode_copy(row, &n->i);
	if (r == 0 && name != NULL)
		r = set_name(n, name, name_room(name));
	if (r < 0) {
		node_free(n);
		return r;
	}
	n->writer_size = row->size;
	n->writer_mtime_ns = row->mtime_ns;
	n->checked_ms = clock_ms();
	n->locked = locked;
	r = node_insert(x->gate, &n, NULL);
	if (r == 0 && locked)
		node_was_locked(n);
	if (r == 0)
		*out = n;
	return r;
}

/* At the end, when all threads have stopped. */
void
nodes_free(struct gate *g)
{
	/* A node may have its name in the table of another shard. */
	for (size_t i = 0; i < SHARDS; i++)
		HASH_CLEAR(hh_name, g->shards[i].names);
	for (size_t i = 0; i < SHARDS; i++) {
		struct node *n, *next;

		HASH_ITER(hh, g->shards[i].nodes, n, next) {
			struct waiter *w;
			struct fetch *f;

			HASH_DELETE(hh, g->shards[i].nodes, n);
			/* For READs that will not come any more. */
			while ((f = LIST_FIRST(&n->d.fetches)) != NULL) {
				LIST_REMOVE(f, link);
				free(f->buf);
				free(f);
			}
			while ((w = TAILQ_FIRST(&n->waiters)) != NULL) {
				TAILQ_REMOVE(&n->waiters, w, link);
				g->config.wake(g->config.wake_arg, w->token);
				free(w);
			}
			node_free(n);
		}
		while ((n = TAILQ_FIRST(&g->shards[i].spare)) != NULL) {
			TAILQ_REMOVE(&g->shards[i].spare, n, lru);
			free(n);
		}
		mutex_destroy(&g->shards[i].mutex);
		pthread_cond_destroy(&g->shards[i].left);
	}
}

/* Call each() for every node in memory, with a reference and no lock. */
int
each_node(struct gate *g, int (*each)(void *arg, struct node *n), void *arg)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < SHARDS; i++) {
		struct shard *s = &g->shards[i];
		struct node *n, *next, **list;
		size_t count = 0;

		mutex_lock(&s->mutex);
		list = calloc(s->count + 1, sizeof(*list));
		if (list == NULL) {
			mutex_unlock(&s->mutex);
			return -ENOMEM;
		}
		HASH_ITER(hh, s->nodes, n, next) {
			if (n->in_lru) {
				TAILQ_REMOVE(&s->lru, n, lru);
				n->in_lru = false;
			}
			n->refs++;
			list[count++] = n;
		}
		mutex_unlock(&s->mutex);
		for (size_t j = 0; j < count; j++) {
			if (r == 0)
				r = each(arg, list[j]);
			node_put(&list[j]);
		}
		free(list);
	}
	return r;
}
