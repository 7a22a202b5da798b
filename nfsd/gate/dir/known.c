/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is remembered of the buckets.  Each name that a client or a listing has
 * met has rows in the database, with its cookie and the number that its file
 * handles bear.  Those of names that have left the bucket go when a listing
 * lacks them (prune.c); the others would stay for ever, and a bucket of a
 * billion objects that somebody walks through once would fill the disk.
 *
 * So above max_names a thread forgets some, those that were met first before
 * others, in the order of their cookies, a small batch at a time.  A name may
 * be forgotten if its rows say nothing but what the bucket says (meta_known),
 * nobody has its inode in memory, and it was not used lately.  That is kept in
 * two sets of bits (node/used.c), by a hash of the inode's number: now and
 * then (after a quarter of max_names was used, or when a round over all names
 * has found nothing) the younger set becomes the older, and a new one begins.
 * A hash that meets another's keeps a name longer, no more.
 *
 * A handle of a forgotten file is STALE.  Its object is found again under its
 * name, with another number: nothing in a handle could tell which object it
 * was, and a number is never given twice.
 *
 * Cookies of forgotten names would come again as others, and a reader would be
 * told such a name twice: so a directory keeps its names as long as it is being
 * read or listed, and for names_idle_ms after that, or twice as long (that is
 * kept apart, since its node may leave memory meanwhile).  One that has more
 * than max_names has them all as long as somebody reads it.  While directories
 * are on their way (dirmove/) nothing is forgotten.
 *
 * Nobody can bring the inodes of a batch into memory until it is over
 * (nodes_leave), and its directory is locked: so rows that were seen to be
 * plain are so when they go.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/dir/inside.h"
#include "nfsd/gate/keys/keys.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/object/object.h"
#include "nfsd/gate/worker/worker.h"

#define WINDOW 128		/* names that are looked at together */
#define IDLE_MS 600000
#define LOOK_MS 1000		/* is there anything to do? */
#define REST_MS 2		/* between windows: others want the disk, too */
#define SPARE 32		/* so small a part below the limit it ends */
#define USED_SHARE 4		/* of max_names: see above */
#define BITS_PER_USED 8		/* with HASHES: one in forty by mistake */
#define READ_WORDS 16384	/* 128 KiB: 100,000 directories at a time */
#define WORDS_MAX (1U << 20)	/* 8 MiB a set */

/* ---- who was used lately ---- */

static bool
was_used(struct known *k, uint64_t ino)
{
	uint64_t hash = known_hash(ino), bit;
	bool lately = true, before = true;

	mutex_lock(&k->mutex);
	for (unsigned i = 0; i < HASHES; i++) {
		size_t at = known_place(k, hash, i, &bit);

		lately = lately && (k->lately[at] & bit) != 0;
		before = before && (k->before[at] & bit) != 0;
	}
	mutex_unlock(&k->mutex);
	return lately || before;
}

/* ---- directories that were read ---- */

static uint64_t
idle_ms(const struct gate *g)
{
	return g->config.names_idle_ms > 0 ? g->config.names_idle_ms : IDLE_MS;
}

/* Each set is of so long a time: what is in neither was not read since. */
static void
turn_read_locked(struct gate *g)
{
	struct known *k = &g->known;
	uint64_t now = clock_ms(), passed = now - k->read_turned_ms;
	uint64_t *old = k->read_before;

	mutex_must_hold(&k->mutex);
	if (passed < idle_ms(g))
		return;
	k->read_before = k->read_lately;
	k->read_lately = old;
	memset(old, 0, READ_WORDS * sizeof(*old));
	if (passed >= 2 * idle_ms(g))
		memset(k->read_before, 0, READ_WORDS * sizeof(*old));
	k->read_turned_ms = now;
}

void
known_read(struct gate *g, uint64_t ino)
{
	struct known *k = &g->known;
	uint64_t hash = known_hash(ino), bit;

	if (g->config.max_names == 0)
		return;
	mutex_lock(&k->mutex);
	turn_read_locked(g);
	for (unsigned i = 0; i < HASHES; i++) {
		size_t at = place_in(READ_WORDS, hash, i, &bit);

		k->read_lately[at] |= bit;
	}
	mutex_unlock(&k->mutex);
}

static bool
was_read(struct gate *g, uint64_t ino)
{
	struct known *k = &g->known;
	uint64_t hash = known_hash(ino), bit;
	bool lately = true, before = true;

	mutex_lock(&k->mutex);
	turn_read_locked(g);
	for (unsigned i = 0; i < HASHES; i++) {
		size_t at = place_in(READ_WORDS, hash, i, &bit);

		lately = lately && (k->read_lately[at] & bit) != 0;
		before = before && (k->read_before[at] & bit) != 0;
	}
	mutex_unlock(&k->mutex);
	return lately || before;
}

/* ---- a window of names ---- */

struct window {
	struct gate *g;
	struct meta_known list[WINDOW];
	size_t count;
	uint64_t inos[WINDOW];	/* of one directory, that may go */
	size_t leaving;
};

static int
take_one(void *arg, const struct meta_known *k)
{
	struct window *w = arg;

	w->list[w->count++] = *k;
	return w->count == WINDOW;
}

#define SECOND_NS 1000000000

/* The object's, which some answers tell to a second. */
static bool
is_objects_time(const struct meta_known *k)
{
	return k->mtime_ns == k->base_mtime_ns ||
	       (k->mtime_ns % SECOND_NS == 0 &&
		k->mtime_ns / SECOND_NS == k->base_mtime_ns / SECOND_NS);
}

/* Without metadata the bucket tells the same of all of a kind, and the time at
 * which it got the object: not the one that a client set, or wrote at. */
static bool
is_told(const struct gate_export *x, const struct meta_known *k)
{
	uint32_t mode = k->name.kind == GATE_DIR ? x->c.dir_mode
						 : x->c.file_mode;

	return x->c.metadata != GATE_META_NONE ||
	       ((k->name.kind == GATE_REG || k->name.kind == GATE_DIR) &&
		(k->mode & 07777) == (mode & 07777) && k->uid == x->c.uid &&
		k->gid == x->c.gid &&
		(k->name.kind == GATE_DIR || is_objects_time(k)));
}

static int
by_shard(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a % SHARDS;
	uint64_t y = *(const uint64_t *)b % SHARDS;

	return x < y ? -1 : x > y;
}

/* Into the batch, if it is one of those, and nothing has come in between. */
static int
forget_one(struct window *w, struct meta_batch *b, const struct meta_known *k)
{
	for (size_t i = 0; k->plain && i < w->leaving; i++) {
		if (w->inos[i] != k->name.ino)
			continue;
		meta_del_inode(b, k->name.ino);
		return 1;
	}
	return 0;
}

struct second_look {
	struct window *w;
	struct meta_batch *batch;
	unsigned gone;
};

static int
look_again(void *arg, const struct meta_known *k)
{
	struct second_look *s = arg;

	s->gone += (unsigned)forget_one(s->w, s->batch, k);
	return 0;
}

/* w->inos, which are names of this directory, `span` of the window from the
 * first on.  It is locked.  How many went. */
static int
forget_locked(struct window *w, size_t first, size_t span)
{
	struct gate *g = w->g;
	struct second_look s = { .w = w, .batch = meta_batch_new() };
	int r = s.batch == NULL ? -ENOMEM : 0;

	qsort(w->inos, w->leaving, sizeof(*w->inos), by_shard);
	w->leaving = nodes_leave(g, w->inos, w->leaving);
	if (r == 0)
		r = meta_each_known(g->meta, w->list[first].name.id - 1,
				    (unsigned)span, look_again, &s);
	if (r == 0 && s.gone > 0)
		r = meta_commit(g->meta, &s.batch);
	nodes_leave_end(g);
	meta_batch_free(&s.batch);
	if (r < 0)
		return r;
	__atomic_add_fetch(&g->known.forgotten, s.gone, __ATOMIC_RELAXED);
	return (int)s.gone;
}

/* Those of the window that are in this directory, of which this is the
 * first. */
static int
forget_in(struct window *w, struct node *dir, size_t first)
{
	struct gate *g = w->g;
	uint64_t now = clock_ms(), idle = idle_ms(g);
	size_t last = first;
	int r = 0;

	w->leaving = 0;
	for (size_t i = first; i < w->count; i++) {
		const struct meta_known *k = &w->list[i];

		/* A client that has a directory mounted looks up no path. */
		if (k->name.parent != dir->ino || !k->plain ||
		    k->name.kind == GATE_DIR ||
		    !is_told(dir->export, k) ||
		    was_used(&g->known, k->name.ino))
			continue;
		w->inos[w->leaving++] = k->name.ino;
		last = i;
	}
	/* Names are not denied then, if all are known. */
	if (w->leaving == 0 || offline_now(dir->export) ||
	    was_read(g, dir->ino))
		return 0;
	node_lock_wait(dir);
	if (!node_dead(dir) && !dirmoves_any(g) &&
	    scan_unlearn(dir, now > idle ? now - idle : 0))
		r = forget_locked(w, first, last - first + 1);
	node_unlock(dir);
	return r;
}

/* One window.  How many went; *more: there are names behind it. */
static int
step(struct gate *g, struct window *w, bool *more)
{
	struct known *k = &g->known;
	int gone = 0, r;

	w->g = g;
	w->count = 0;
	r = meta_each_known(g->meta, k->at, WINDOW, take_one, w);
	if (r < 0)
		return r;
	*more = w->count == WINDOW;
	k->at = *more ? w->list[w->count - 1].name.id : 0;
	for (size_t i = 0; i < w->count; i++) {
		uint64_t parent = w->list[i].name.parent;
		struct node *dir = NULL;
		size_t first = 0;

		while (w->list[first].name.parent != parent)
			first++;
		if (first < i)
			continue;	/* with the first of that directory */
		/* Of an export that is not served they are kept. */
		r = node_get(g, parent, true, &dir);
		if (r == 0)
			r = forget_in(w, dir, i);
		node_put(&dir);
		if (r < 0 && r != -ESTALE)
			return r;
		gone += r > 0 ? r : 0;
	}
	return gone;
}

/* ---- the thread ---- */

static bool
is_stopping(const struct gate *g)
{
	return __atomic_load_n(&g->stopping, __ATOMIC_RELAXED);
}

/* A round over all names has ended, or an error has ended it. */
static void
end_round(struct gate *g, uint64_t began_ms, int r)
{
	struct known *k = &g->known;
	uint64_t took = clock_ms() - began_ms;

	if (r == 0 && k->round == 0) {
		mutex_lock(&k->mutex);
		known_turn_locked(k);
		mutex_unlock(&k->mutex);
		/* Nothing may go: ten times as much rest as work. */
		if (__atomic_add_fetch(&k->unbroken, 1, __ATOMIC_RELAXED) > 2)
			gate_rest(g, LOOK_MS + 10 * took);
	} else {
		__atomic_store_n(&k->unbroken, 0, __ATOMIC_RELAXED);
	}
	k->round = 0;
	if (r < 0)
		gate_rest(g, LOOK_MS);
}

static void
forget_some(struct gate *g, struct window *w)
{
	uint64_t goal = g->config.max_names - g->config.max_names / SPARE;
	uint64_t began_ms = clock_ms();
	bool more = true;
	int r = 0;

	while (!is_stopping(g) && meta_names(g->meta) > goal && more &&
	       r >= 0) {
		r = step(g, w, &more);
		if (r > 0)
			g->known.round += (uint64_t)r;
		gate_rest(g, REST_MS);
	}
	if (!more || r < 0)
		end_round(g, began_ms, r < 0 ? r : 0);
}

/* Who was reading a directory when the last run ended may go on now. */
static bool
is_due(struct gate *g)
{
	uint64_t max = g->config.max_names;

	return max > 0 && meta_names(g->meta) > max && !dirmoves_any(g) &&
	       clock_ms() >= g->known.started_ms + idle_ms(g);
}

static void *
known_main(void *arg)
{
	struct gate *g = arg;
	struct window *w = calloc(1, sizeof(*w));

	while (!is_stopping(g)) {
		if (w != NULL && is_due(g))
			forget_some(g, w);
		while (!is_stopping(g) && meta_tidy(g->meta) == 1)
			gate_rest(g, REST_MS);
		gate_rest(g, idle_ms(g) < LOOK_MS ? idle_ms(g) : LOOK_MS);
		if (w == NULL)
			w = calloc(1, sizeof(*w));
	}
	free(w);
	return NULL;
}

int
known_init(struct gate *g)
{
	struct known *k = &g->known;
	uint64_t used = g->config.max_names / USED_SHARE;
	uint64_t words = used * BITS_PER_USED / 64 + 1;

	if (g->config.max_names == 0)
		return 0;
	if (words > WORDS_MAX) {
		words = WORDS_MAX;
		used = words * 64 / BITS_PER_USED;
	}
	k->lately = calloc(words, sizeof(*k->lately));
	k->before = calloc(words, sizeof(*k->before));
	k->read_lately = calloc(READ_WORDS, sizeof(*k->read_lately));
	k->read_before = calloc(READ_WORDS, sizeof(*k->read_before));
	if (k->lately == NULL || k->before == NULL ||
	    k->read_lately == NULL || k->read_before == NULL)
		return -ENOMEM;
	k->read_turned_ms = clock_ms();
	k->words = words;
	k->marks_max = used > 0 ? used : 1;
	return 0;
}

int
known_start(struct gate *g)
{
	int r;

	g->known.started_ms = clock_ms();
	r = -pthread_create(&g->known.thread, NULL, known_main, g);
	g->known.started = r == 0;
	return r;
}

void
known_stop(struct gate *g)
{
	mutex_lock(&g->mutex);
	pthread_cond_broadcast(&g->quota_stop);
	mutex_unlock(&g->mutex);
	if (g->known.started)
		pthread_join(g->known.thread, NULL);
	g->known.started = false;
}

void
known_fini(struct gate *g)
{
	free(g->known.lately);
	free(g->known.before);
	free(g->known.read_lately);
	free(g->known.read_before);
	mutex_destroy(&g->known.mutex);
}
