/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths and keys.  The key of a file is the export's prefix and the path
 * that its names spell; a directory's ends in '/'.
 *
 * Three small tables stand beside that: names that S3 was just seen not to
 * have (negative answers, for attr_ttl), keys whose object is on its way out
 * because its file was removed or renamed (hidden: lookups and listings must
 * not meet them), and keys that a transfer is changing (one at a time).
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/move.h"
#include "nfsd/gate/watch.h"

#define DEPTH_MAX 1100		/* a key may be nothing but slashes */
#define NEGATIVES_MAX 65536

bool
path_name_ok(const char *name, size_t len)
{
	return len > 0 && len <= META_NAME_MAX &&
	       memchr(name, '/', len) == NULL &&
	       !(len == 1 && name[0] == '.') &&
	       !(len == 2 && name[0] == '.' && name[1] == '.');
}

/*
 * Write the names from the root down, or the parts of the key that they
 * stand for, into the end of buf.  Returns where the text begins, or NULL if
 * it does not fit.
 */
static char *
spell(struct node *n, bool parts, char *buf, size_t size)
{
	struct gate *g = n->export->gate;
	struct node *at = node_ref(n);
	char *p = buf + size - 1;

	*p = '\0';
	for (int depth = 0; at != NULL && at->ino != n->export->root;
	     depth++) {
		char name[META_NAME_MAX + 1], part[PART_MAX + 1];
		const char *text = parts ? part : name;
		struct node *up = NULL;
		uint64_t parent;
		size_t len = 0;
		bool ok;

		node_name(at, &parent, name);
		ok = depth < DEPTH_MAX && name[0] != '\0' &&
		     (!parts || odd_part(at, name, part) == 0);
		if (ok)
			len = strlen(text);
		if (!ok || (size_t)(p - buf) < len + 1 ||
		    node_get(g, parent, true, &up) < 0) {
			node_put(&at);
			return NULL;
		}
		p -= len;
		memcpy(p, text, len);
		*--p = '/';
		node_put(&at);
		at = up;
	}
	node_put(&at);
	return p;
}

/* path: "" or "/PART/PART"; name: "" or one more. */
static int
finish_key(struct gate_export *x, const char *path, const char *name,
	   bool is_dir, char key[META_KEY_MAX + 2])
{
	int len;

	if (path == NULL)
		return -ENAMETOOLONG;
	/* The first slash is not the key's; an empty part is nothing
	 * between two slashes. */
	len = snprintf(key, META_KEY_MAX + 2, "%s%s%s%s%s", x->c.prefix,
		       path[0] == '/' ? path + 1 : path,
		       path[0] != '\0' && name != NULL ? "/" : "",
		       name != NULL ? name : "",
		       is_dir && (path[0] != '\0' || name != NULL) ? "/"
								     : "");
	return len > META_KEY_MAX ? -ENAMETOOLONG : 0;
}

int
path_key(struct node *n, char key[META_KEY_MAX + 2])
{
	char buf[META_KEY_MAX + 2];

	return finish_key(n->export, spell(n, true, buf, sizeof(buf)), NULL,
			  node_kind(n) == GATE_DIR, key);
}

int
path_child_key(struct node *dir, const char *name, bool is_dir,
	       char key[META_KEY_MAX + 2])
{
	char part[PART_MAX + 1];
	enum part_form form = part_from_name(dir->export->any_bytes, name,
					     part);

	if (form != PART_PLAIN && form != PART_ODD)
		return -EINVAL;
	/* It would be out of reach, or another's. */
	if (part_odd(part) &
	    __atomic_load_n(&dir->export->mangled, __ATOMIC_RELAXED))
		return -EINVAL;
	return path_part_key(dir, part, is_dir, key);
}

int
path_part_key(struct node *dir, const char *part, bool is_dir,
	      char key[META_KEY_MAX + 2])
{
	char buf[META_KEY_MAX + 2];

	return finish_key(dir->export, spell(dir, true, buf, sizeof(buf)),
			  part, is_dir, key);
}

void
path_text(struct node *n, char *out, size_t size)
{
	char buf[4096], *p = spell(n, false, buf, sizeof(buf));

	if (p == NULL)
		snprintf(out, size, "%s/?inode=%llu", n->export->c.name,
			 (unsigned long long)n->ino);
	else
		snprintf(out, size, "%s%s", n->export->c.name, p);
}

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

/* ---- keys on their way out ---- */

static size_t
export_key(const struct gate_export *x, const char *key, char *out)
{
	size_t len = strlen(key);

	memcpy(out, &x->id, sizeof(x->id));
	memcpy(out + sizeof(x->id), key, len + 1);
	return sizeof(x->id) + len;
}

#define EXPORT_KEY_MAX (sizeof(uint32_t) + META_KEY_MAX + 2)

/* An answer of S3 does not take this long. */
#define ANSWER_MAX_MS 120000
/* Those that are not hidden any more are kept for as long as an answer of S3
 * may be under way that knows them, or a listing lag (LAG_MAX_MS). */
#define SHOWN_MAX 16384

static void
forget_shown_locked(struct gate *g, uint64_t now)
{
	struct hidden *h;

	while ((h = TAILQ_FIRST(&g->shown)) != NULL &&
	       (g->shown_count > SHOWN_MAX ||
		h->gone_ms + LAG_MAX_MS < now)) {
		TAILQ_REMOVE(&g->shown, h, link);
		g->shown_count--;
		HASH_DEL(g->hidden, h);
		free(h);
	}
}

static struct hidden *
hidden_find_locked(struct gate_export *x, const char *key)
{
	char full[EXPORT_KEY_MAX];
	size_t len = export_key(x, key, full);
	struct hidden *h;

	HASH_FIND(hh, x->gate->hidden, full, len, h);
	return h;
}

static struct hidden *
hidden_add_locked(struct gate_export *x, const char *key)
{
	struct gate *g = x->gate;
	char full[EXPORT_KEY_MAX];
	size_t len = export_key(x, key, full);
	struct hidden *h = hidden_find_locked(x, key);

	if (h != NULL && h->count == 0) {
		TAILQ_REMOVE(&g->shown, h, link);
		g->shown_count--;
	} else if (h == NULL &&
		   (h = calloc(1, sizeof(*h) + len + 1)) != NULL) {
		h->len = len;
		memcpy(h->key, full, len);
		HASH_ADD_KEYPTR(hh, g->hidden, h->key, len, h);
		if (h->hh.tbl == NULL) {
			free(h);
			h = NULL;
		}
	}
	if (h != NULL) {
		h->count++;
		h->looked_at = false;
	}
	return h;
}

static void
hidden_del_locked(struct gate_export *x, struct hidden *h)
{
	struct gate *g = x->gate;

	if (h == NULL || h->count == 0 || --h->count > 0)
		return;
	h->gone_ms = clock_ms();
	h->denied_ns = 0;
	TAILQ_INSERT_TAIL(&g->shown, h, link);
	g->shown_count++;
	forget_shown_locked(g, h->gone_ms);
}

void
hidden_add(struct gate_export *x, const char *key)
{
	struct hidden *h;

	for (;;) {
		pthread_mutex_lock(&x->gate->mutex);
		h = hidden_add_locked(x, key);
		pthread_mutex_unlock(&x->gate->mutex);
		if (h != NULL)
			return;
		/* Not hidden it would be met under a name that it has not. */
		memory_wait();
	}
}

void
hidden_del(struct gate_export *x, const char *key)
{
	pthread_mutex_lock(&x->gate->mutex);
	hidden_del_locked(x, hidden_find_locked(x, key));
	pthread_mutex_unlock(&x->gate->mutex);
}

void
hidden_was(struct gate_export *x, const char *key, uint64_t ms)
{
	uint64_t now = clock_ms();
	struct hidden *h;

	if (ms >= LAG_MAX_MS || ms >= now)
		return;
	pthread_mutex_lock(&x->gate->mutex);
	h = hidden_add_locked(x, key);
	hidden_del_locked(x, h);
	/* Without memory for it: as if it were long ago. */
	if (h != NULL && h->count == 0)
		h->gone_ms = now - ms;
	pthread_mutex_unlock(&x->gate->mutex);
}

void
hidden_stray(struct gate_export *x, const char *key, bool stray)
{
	struct hidden *h;

	pthread_mutex_lock(&x->gate->mutex);
	if (stray && (h = hidden_add_locked(x, key)) != NULL) {
		h->strays++;
	} else if (!stray && (h = hidden_find_locked(x, key)) != NULL &&
		   h->strays > 0) {
		h->strays--;
		h->looked_at = true;
		hidden_del_locked(x, h);
	}
	pthread_mutex_unlock(&x->gate->mutex);
}

/* Is it on its way, under a name that it has left? */
static bool
is_carried(struct gate_export *x, const char *key)
{
	/* If SQLite cannot tell: rather hide than show a file twice. */
	return moves_any(x->gate) &&
	       meta_has_carried(x->gate->meta, x->id, key) != 0;
}

bool
hidden_exactly(struct gate_export *x, const char *key)
{
	struct hidden *h;
	bool hidden;

	pthread_mutex_lock(&x->gate->mutex);
	h = hidden_find_locked(x, key);
	hidden = h != NULL && h->count > 0;
	pthread_mutex_unlock(&x->gate->mutex);
	return hidden || is_carried(x, key);
}

bool
hidden_for_good(struct gate_export *x, const char *key)
{
	struct hidden *h;
	bool hidden;

	pthread_mutex_lock(&x->gate->mutex);
	h = hidden_find_locked(x, key);
	hidden = h != NULL && h->count > h->strays;
	pthread_mutex_unlock(&x->gate->mutex);
	return hidden || is_carried(x, key);
}

bool
hidden_gone_since(struct gate_export *x, const char *key, uint64_t since_ms)
{
	struct hidden *h;
	bool gone;

	pthread_mutex_lock(&x->gate->mutex);
	h = hidden_find_locked(x, key);
	gone = h != NULL && h->count == 0 && !h->looked_at &&
	       h->gone_ms >= since_ms;
	pthread_mutex_unlock(&x->gate->mutex);
	return gone;
}

bool
hidden_lately(struct gate_export *x, const char *key, int64_t mtime_ns,
	      bool *ask)
{
	struct hidden *h;
	bool lately;

	pthread_mutex_lock(&x->gate->mutex);
	h = hidden_find_locked(x, key);
	lately = h != NULL && h->count == 0 && !h->looked_at &&
		 h->gone_ms + LAG_MAX_MS >= clock_ms();
	if (lately)
		*ask = mtime_ns == 0 || h->denied_ns != mtime_ns;
	pthread_mutex_unlock(&x->gate->mutex);
	return lately;
}

uint64_t
hidden_lag_from(uint64_t since_ms)
{
	uint64_t now = clock_ms(), from = now > LAG_MAX_MS ? now - LAG_MAX_MS
							   : 0;

	return from < since_ms ? from : since_ms;
}

void
hidden_answer(struct gate_export *x, const char *key, int64_t mtime_ns,
	      bool there)
{
	struct hidden *h;

	pthread_mutex_lock(&x->gate->mutex);
	h = hidden_find_locked(x, key);
	if (h != NULL && there)
		h->looked_at = true;
	else if (h != NULL)
		h->denied_ns = mtime_ns;
	pthread_mutex_unlock(&x->gate->mutex);
}

bool
hidden_has(struct gate_export *x, const char *key)
{
	return move_claims(x, key) || hidden_exactly(x, key);
}

bool
hidden_any(struct gate *g)
{
	bool any;

	pthread_mutex_lock(&g->mutex);
	any = g->hidden != NULL;
	pthread_mutex_unlock(&g->mutex);
	return any;
}

void
hidden_below(struct gate_export *x, const char *prefix, uint64_t since_ms,
	     void (*each)(void *arg, const char *below), void *arg)
{
	struct gate *g = x->gate;
	char full[EXPORT_KEY_MAX];
	size_t len = export_key(x, prefix, full);
	struct hidden *h, *next;

	pthread_mutex_lock(&g->mutex);
	HASH_ITER(hh, g->hidden, h, next) {
		if (h->len > len && memcmp(h->key, full, len) == 0 &&
		    (h->count > 0 || h->gone_ms >= since_ms))
			each(arg, h->key + len);
	}
	pthread_mutex_unlock(&g->mutex);
}

bool
hidden_since(struct gate_export *x, const char *key, uint64_t since_ms)
{
	struct hidden *h;
	bool hidden;

	pthread_mutex_lock(&x->gate->mutex);
	h = hidden_find_locked(x, key);
	hidden = h != NULL && (h->count > 0 || h->gone_ms >= since_ms);
	pthread_mutex_unlock(&x->gate->mutex);
	return hidden || move_claims(x, key) || is_carried(x, key);
}

uint64_t
key_owner(struct gate_export *x, const char *key)
{
	struct gate *g = x->gate;
	char full[EXPORT_KEY_MAX];
	size_t len = export_key(x, key, full);
	struct busy_key *b;
	uint64_t owner;

	pthread_mutex_lock(&g->mutex);
	HASH_FIND(hh, g->busy_keys, full, len, b);
	owner = b != NULL ? b->owner : 0;
	pthread_mutex_unlock(&g->mutex);
	return owner;
}

bool
key_busy(struct gate_export *x, const char *key)
{
	return key_owner(x, key) != 0;
}

int
key_take(struct gate_export *x, const char *key, uint64_t owner)
{
	struct gate *g = x->gate;
	char full[EXPORT_KEY_MAX];
	size_t len = export_key(x, key, full);
	struct busy_key *b = malloc(sizeof(*b) + len), *other;
	int r = 0;

	if (b == NULL)
		return -ENOMEM;
	b->owner = owner;
	b->len = len;
	memcpy(b->key, full, len);
	pthread_mutex_lock(&g->mutex);
	for (;;) {
		HASH_FIND(hh, g->busy_keys, full, len, other);
		if (other == NULL)
			break;
		pthread_cond_wait(&g->key_free, &g->mutex);
	}
	HASH_ADD_KEYPTR(hh, g->busy_keys, b->key, len, b);
	if (b->hh.tbl == NULL)
		r = -ENOMEM;
	pthread_mutex_unlock(&g->mutex);
	if (r < 0)
		free(b);
	return r;
}

bool
key_try(struct gate_export *x, const char *key, uint64_t owner)
{
	struct gate *g = x->gate;
	char full[EXPORT_KEY_MAX];
	size_t len = export_key(x, key, full);
	struct busy_key *b = malloc(sizeof(*b) + len), *other;
	bool taken;

	if (b == NULL)
		return false;
	b->owner = owner;
	b->len = len;
	memcpy(b->key, full, len);
	pthread_mutex_lock(&g->mutex);
	HASH_FIND(hh, g->busy_keys, full, len, other);
	if (other == NULL)
		HASH_ADD_KEYPTR(hh, g->busy_keys, b->key, len, b);
	taken = other == NULL && b->hh.tbl != NULL;
	pthread_mutex_unlock(&g->mutex);
	if (!taken)
		free(b);
	return taken;
}

void
key_release(struct gate_export *x, const char *key, uint64_t owner)
{
	struct gate *g = x->gate;
	char full[EXPORT_KEY_MAX];
	size_t len = export_key(x, key, full);
	struct busy_key *b;
	bool mine;

	pthread_mutex_lock(&g->mutex);
	HASH_FIND(hh, g->busy_keys, full, len, b);
	mine = b != NULL && b->owner == owner;
	if (mine) {
		HASH_DEL(g->busy_keys, b);
		free(b);
	}
	pthread_cond_broadcast(&g->key_free);
	pthread_mutex_unlock(&g->mutex);
	if (!mine)
		watch_broken(g, "two transfers changed one key at once",
			     "key=%s", key);
}

/* ---- names that are not there ---- */

static size_t
negative_key(uint64_t parent, const char *name, char *out)
{
	size_t len = strlen(name);

	memcpy(out, &parent, sizeof(parent));
	memcpy(out + sizeof(parent), name, len);
	return sizeof(parent) + len;
}

#define NEGATIVE_KEY_MAX (sizeof(uint64_t) + META_NAME_MAX)

/* Entries are forgotten when nobody can need them any more. */

static struct negative *
negative_find(struct gate *g, const char *key, size_t len)
{
	struct negative *e;
	uint64_t now = clock_ms();

	HASH_FIND(hh, g->negatives, key, len, e);
	if (e != NULL && e->until_ms <= now &&
	    e->removed_ms + ANSWER_MAX_MS <= now) {
		HASH_DEL(g->negatives, e);
		free(e);
		e = NULL;
	}
	return e;
}

bool
negative_has(struct gate *g, uint64_t parent, const char *name)
{
	char key[NEGATIVE_KEY_MAX];
	size_t len = negative_key(parent, name, key);
	struct negative *e;
	bool found;

	pthread_mutex_lock(&g->mutex);
	e = negative_find(g, key, len);
	found = e != NULL && e->until_ms > clock_ms();
	pthread_mutex_unlock(&g->mutex);
	return found;
}

bool
negative_removed_since(struct gate *g, uint64_t parent, const char *name,
		       uint64_t since_ms)
{
	char key[NEGATIVE_KEY_MAX];
	size_t len = negative_key(parent, name, key);
	struct negative *e;
	bool found;

	pthread_mutex_lock(&g->mutex);
	e = negative_find(g, key, len);
	found = e != NULL && e->removed_ms >= since_ms && e->removed_ms != 0;
	pthread_mutex_unlock(&g->mutex);
	return found;
}

/* false: no memory. */
static bool
negative_put(struct gate *g, uint64_t parent, const char *name,
	     uint64_t asked_ms, uint64_t until_ms, uint64_t removed_ms)
{
	char key[NEGATIVE_KEY_MAX];
	size_t len = negative_key(parent, name, key);
	struct negative *e;

	pthread_mutex_lock(&g->mutex);
	if (removed_ms == 0 && answer_ms(g, asked_ms) == 0) {
		pthread_mutex_unlock(&g->mutex);
		return true;
	}
	/* uthash keeps the order of insertion: the first one is the oldest. */
	if (HASH_COUNT(g->negatives) >= NEGATIVES_MAX) {
		e = g->negatives;
		HASH_DEL(g->negatives, e);
		free(e);
	}
	e = negative_find(g, key, len);
	if (e == NULL && (e = malloc(sizeof(*e) + len)) != NULL) {
		e->len = len;
		e->removed_ms = 0;
		memcpy(e->key, key, len);
		HASH_ADD_KEYPTR(hh, g->negatives, e->key, len, e);
		if (e->hh.tbl == NULL) {
			free(e);
			e = NULL;
		}
	}
	if (e != NULL) {
		e->until_ms = until_ms;
		if (removed_ms != 0)
			e->removed_ms = removed_ms;
	}
	pthread_mutex_unlock(&g->mutex);
	return e != NULL;
}

void
negative_add(struct gate *g, uint64_t parent, const char *name,
	     uint64_t asked_ms, uint64_t until_ms)
{
	/* Or it is asked again. */
	(void)negative_put(g, parent, name, asked_ms, until_ms, 0);
}

void
negative_removed(struct gate *g, uint64_t parent, const char *name,
		 uint64_t until_ms)
{
	uint64_t now = clock_ms();

	/* Or a listing that is under way would bring it back. */
	while (!negative_put(g, parent, name, 0, until_ms, now))
		memory_wait();
}

void
negative_del(struct gate *g, uint64_t parent, const char *name)
{
	char key[NEGATIVE_KEY_MAX];
	size_t len = negative_key(parent, name, key);
	struct negative *e;

	pthread_mutex_lock(&g->mutex);
	e = negative_find(g, key, len);
	if (e != NULL)
		e->until_ms = 0;
	pthread_mutex_unlock(&g->mutex);
}
