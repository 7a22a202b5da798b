/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From names to nodes.  A name is looked for in memory, in SQLite, and when
 * neither knows it or what they know is older than attr_ttl, in S3.
 *
 * Whatever this gateway has changed and not yet told S3 is the truth here;
 * S3 is asked only about files and names without such state.  An answer of
 * S3 that was under way while the name changed here is thrown away: the
 * directory's lock is taken first, and what stands there by then wins.
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/cold.h"
#include "nfsd/gate/link.h"
#include "nfsd/gate/lost.h"
#include "nfsd/gate/move.h"

/* Write a row back that only remembers S3; need not survive a crash. */
static void
lookup_post(struct node *n)
{
	struct meta_batch *b = meta_batch_new();

	if (b != NULL)
		meta_put_inode(b, &n->i);
	meta_post(n->export->gate->meta, &b);
}

static int
any_link(void *arg, uint64_t ino)
{
	(void)ino;
	*(bool *)arg = true;
	return 1;
}

/*
 * What the mark of the new object means for a node whose row will be `row`.
 * *other: the name is that of another file now, for an S3 tool has replaced
 * the object of one of several names.  The node's lock is held.
 */
static int
adopt_link(struct node *n, const struct link_mark *mark,
	   struct meta_inode *row, bool *other)
{
	struct gate *g = n->export->gate;
	bool same = strcmp(mark->id, n->i.link_id) == 0;
	struct meta_batch *b;
	int r = 0;

	if (n->i.link_id[0] != '\0' && !same) {
		if (n->i.link_ino != 0)
			*other = true;
		else
			r = meta_each_link(g->meta, n->ino, any_link, other);
		return r;
	}
	if (mark->id[0] == '\0')
		return 0;
	if (n->i.link_ino != 0) {
		row->link_version = mark->version;
		return 0;
	}
	pthread_mutex_lock(&g->links);
	b = meta_batch_new();
	r = b == NULL ? -ENOMEM : link_mark_apply(g, mark, row);
	if (r == 0) {
		meta_put_inode(b, row);
		r = meta_commit(g->meta, &b);
	}
	meta_batch_free(&b);
	pthread_mutex_unlock(&g->links);
	return r;
}

/* A new symlink's target is read before the node is locked: what the object
 * is, and where it points, in `seen`. */
static int
read_target(struct node *n, const struct s3_object *o, struct meta_inode *seen)
{
	char key[META_KEY_MAX + 2];
	bool known;

	pthread_mutex_lock(&n->mutex);
	strcpy(key, n->i.base_key);
	known = n->i.target != NULL && strcmp(n->i.base_etag, o->etag) == 0;
	pthread_mutex_unlock(&n->mutex);
	if (known)
		return 0;
	object_to_inode(n->export, key, o, seen);
	return object_read_target(n->export, seen);
}

/* The same of the row that it becomes. */
static void
take_target(struct meta_inode *seen, struct meta_inode *row)
{
	if (row->kind != GATE_LNK || row->target != NULL || seen->kind == 0)
		return;
	row->kind = seen->kind;
	row->mode = seen->mode;
	row->target = seen->target;
	seen->target = NULL;
}

int
lookup_adopt(struct node *n, const struct s3_object *o, uint64_t asked_ms)
{
	struct gate_export *x = n->export;
	struct meta_inode row = { 0 }, seen = { 0 };
	struct link_mark mark = { 0 };
	bool same_bytes, unread, other = false;
	int r = read_target(n, o, &seen);

	if (r < 0)
		return r;
	node_lock_wait(n);
	pthread_mutex_lock(&n->mutex);
	(void)link_mark_read(x, n->i.base_key, &o->headers, &mark);
	unread = object_unread_locked(n);
	if (n->dead || (node_is_local_locked(n) && !unread) ||
	    (n->i.attr_known && n->checked_ms >= asked_ms)) {
		r = n->dead ? -ESTALE : 0;
		goto out;
	}
	same_bytes = strcmp(n->i.base_etag, o->etag) == 0 &&
		     n->i.base_size == o->size;
	if (same_bytes && n->i.attr_known &&
	    (n->i.base_mtime_ns == o->mtime_ns || n->i.base_mtime_ns == 0)) {
		/* 0 until a listing has shown it: see still_there. */
		n->settled = n->doubt;
		n->checked_ms = answer_ms(x->gate, asked_ms) ? clock_ms() : 0;
		if (n->i.cold != o->cold) {
			n->i.cold = o->cold;
			lookup_post(n);
		}
		r = 0;
		goto out;
	}
	r = meta_inode_copy(&n->i, &row);
	if (r < 0)
		goto out;
	pthread_mutex_unlock(&n->mutex);
	if (!same_bytes && row.kind != GATE_DIR)
		meta_inode_fini(&row);
	object_to_inode(x, n->i.base_key, o, &row);
	if (same_bytes && n->i.base_mtime_ns == 0)
		row.base_mtime_ns = 0;
	if (unread)	/* of the key that its name spells it says nothing */
		strcpy(row.dest_etag, n->i.dest_etag);
	take_target(&seen, &row);
	if (row.kind == GATE_LNK && row.target == NULL)
		r = -EAGAIN;	/* replaced twice meanwhile */
	else
		r = adopt_link(n, &mark, &row, &other);
	pthread_mutex_lock(&n->mutex);
	if (r == 0 && other)
		r = -ESTALE;
	if (r == 0 && row.kind != n->i.kind) {
		/* Another kind is another file (RFC 1813 3.3.1: a handle
		 * never changes its type); the name finds the new one. */
		other = n->i.attr_known;
		r = other ? -ESTALE : 0;
	}
	if (r == 0) {
		/* A version from outside: its change time is when it came. */
		if (!same_bytes && n->i.attr_known &&
		    row.ctime_ns <= n->i.ctime_ns)
			row.ctime_ns = clock_ns();
		meta_inode_fini(&n->i);
		n->i = row;
		memset(&row, 0, sizeof(row));
		quota_size_locked(n, n->i.size);
		n->live_mtime_ns = n->i.mtime_ns;
		n->checked_ms = answer_ms(x->gate, asked_ms) ? clock_ms() : 0;
		n->settled = same_bytes ? n->doubt : 0;
		if (!same_bytes) {
			data_drop_clean_locked(n);
			n->content_version++;
			n->replaced++;
		}
		lookup_post(n);
	}
	meta_inode_fini(&row);
out:
	node_unlock_locked(n);
	pthread_mutex_unlock(&n->mutex);
	meta_inode_fini(&seen);
	/* The old one has to make room, or its name finds nothing. */
	if (other) {
		uint64_t parent = n->parent;
		int gone = lookup_vanish(n, UINT64_MAX);
		struct node *dir = node_find(x->gate, parent);

		/* The listing that told of it was of the old one. */
		if (dir != NULL)
			scan_expire(dir);
		node_put(&dir);
		r = gone < 0 ? gone : r;
	}
	return r;
}

static int
any_name(void *arg, const struct meta_name *name)
{
	(void)name;
	*(bool *)arg = true;
	return 1;
}

int
lookup_bury(struct node *n)
{
	struct gate *g = n->export->gate;
	struct meta_batch *b = meta_batch_new();
	int r;

	if (b != NULL)
		meta_del_inode(b, n->ino);
	r = meta_commit(g->meta, &b);
	if (r == 0) {
		subdirs_gone(n);
		node_unname(n);
		pthread_mutex_lock(&n->mutex);
		__atomic_store_n(&n->dead, true, __ATOMIC_RELEASE);
		lost_forget_locked(n, NULL);
		data_drop_clean_locked(n);
		node_changed_locked(n);
		pthread_mutex_unlock(&n->mutex);
	}
	return r;
}

/* Its object was removed by somebody else: so is the file. */
int
lookup_vanish(struct node *n, uint64_t asked_ms)
{
	struct gate *g = n->export->gate;
	bool any = false, alias;
	int r = 0;

	/* Where its names lie is not known yet. */
	if (move_lists(n))
		return 0;
	node_lock_wait(n);
	pthread_mutex_lock(&n->mutex);
	if (n->dead || node_is_local_locked(n) ||
	    n->checked_ms >= asked_ms || n->ino == n->export->root) {
		node_unlock_locked(n);
		pthread_mutex_unlock(&n->mutex);
		return 0;
	}
	alias = n->i.link_ino != 0;
	pthread_mutex_unlock(&n->mutex);
	if (alias) {
		/* The file, which has other names, is locked before it. */
		node_unlock(n);
		return link_detach(n);
	}
	/* Only one of its names is gone. */
	r = n->i.link_id[0] != '\0' ? link_move_over(n) : 0;
	if (r != 0) {
		node_unlock(n);
		return r < 0 ? r : 0;
	}
	/* The bucket may have nothing below a directory, and yet there are
	 * files in it that wait for their upload: their path goes with it. */
	if (node_kind(n) == GATE_DIR)
		r = meta_each_name(g->meta, n->ino, 0, 1, any_name, &any);
	if (r < 0 || any) {
		node_unlock(n);
		return r;
	}
	r = lookup_bury(n);
	node_unlock(n);
	return r;
}

/* What the object of a directory says.  -ENOENT: it has none. */
static int
ask_marker(struct node *n, const char *key, uint64_t asked)
{
	struct gate_export *x = n->export;
	struct s3_object o = { 0 };
	int r = hidden_has(x, key) ? -ENOENT : s3_head(x->s3, key, &o, NULL);

	if (r < 0)
		return r;
	pthread_mutex_lock(&n->mutex);
	strcpy(n->i.base_key, key);
	n->i.marker = true;
	pthread_mutex_unlock(&n->mutex);
	r = lookup_adopt(n, &o, asked);
	s3_object_free(&o);
	return r;
}

int
lookup_learn(struct node *n)
{
	char key[META_KEY_MAX + 2], now[META_KEY_MAX + 2];
	bool unread;
	int r;

	pthread_mutex_lock(&n->mutex);
	unread = object_unread_locked(n);
	pthread_mutex_unlock(&n->mutex);
	if (unread || node_kind(n) != GATE_DIR)
		return object_learn(n);
	/* On its way: not known where its object lies. */
	if (move_lists(n) || path_key(n, key) < 0)
		return 0;
	r = ask_marker(n, key, clock_ms());
	if (r != -ENOENT)
		return r;
	node_lock_wait(n);
	r = node_dead(n) ? -ESTALE : path_key(n, now);
	pthread_mutex_lock(&n->mutex);
	if (r == 0 && strcmp(key, now) == 0) {
		n->i.attr_known = true;
		lookup_post(n);
	}
	node_unlock_locked(n);
	pthread_mutex_unlock(&n->mutex);
	return r;
}

int
lookup_refresh_dir(struct node *n, uint64_t asked)
{
	char key[META_KEY_MAX + 2];
	int r;

	if (path_key(n, key) < 0)
		return -ESTALE;
	r = ask_marker(n, key, asked);
	if (r != -ENOENT)
		return r;
	r = scan_any(n);
	if (r == 0) {
		/* Names in it that are gone, too, do not hold it. */
		while ((r = scan_step(n)) == 1)
			;
		if (r == 0)
			r = lookup_vanish(n, asked);
		if (r == 0 && node_dead(n))
			r = -ESTALE;
	}
	if (r < 0)
		return r;
	pthread_mutex_lock(&n->mutex);
	n->checked_ms = clock_ms();
	n->i.attr_known = true;
	pthread_mutex_unlock(&n->mutex);
	return 0;
}

static int
refresh_file(struct node *n, uint64_t asked)
{
	struct s3_object o = { 0 };
	struct s3_error err = { 0 };
	enum s3_locked locked;
	char key[META_KEY_MAX + 2];
	int r;

	pthread_mutex_lock(&n->mutex);
	strcpy(key, n->i.base_key);
	pthread_mutex_unlock(&n->mutex);
	if (key[0] == '\0')
		return 0;
	r = s3_head(n->export->s3, key, &o, &err);
	locked = s3_error_locked(r, &err);
	if (r == 0) {
		r = lookup_adopt(n, &o, asked);
		s3_object_free(&o);
	} else if (locked != S3_LOCKED_NOT) {
		/* What a listing told has to do. */
		cold_say(n, key, locked);
		pthread_mutex_lock(&n->mutex);
		n->checked_ms = answer_ms(n->export->gate, asked) ? clock_ms()
								  : 0;
		pthread_mutex_unlock(&n->mutex);
		r = 0;
	} else if (r == -ENOENT) {
		r = lookup_vanish(n, asked);
		if (r == 0 && node_dead(n))
			r = -ESTALE;
	}
	return r;
}

/* What is on its way to another key is asked for where it is.  1: so it was;
 * 0: it is not on its way. */
static int
refresh_moving(struct node *n, struct gate_request *rq)
{
	bool unread, has_object;

	pthread_mutex_lock(&n->mutex);
	unread = object_unread_locked(n);
	has_object = n->i.base_key[0] != '\0';
	pthread_mutex_unlock(&n->mutex);
	if (!unread && !move_lists(n))
		return 0;
	for (;;) {
		int r = unread || has_object ? object_learn(n) : 0;

		if (r < 0)
			return r;
		if (unread || has_object || n->i.attr_known)
			return 1;
		/* A directory that may have an object somewhere. */
		r = move_wait(n, rq);
		if (r <= 0)
			return r;
		pthread_mutex_lock(&n->mutex);
		has_object = n->i.base_key[0] != '\0';
		pthread_mutex_unlock(&n->mutex);
	}
}

/* Of a node that is not fresh. */
static int
refresh(struct node *n, struct gate_request *rq)
{
	uint64_t asked = clock_ms();
	struct node *dir = NULL;
	bool known;
	int r;

	if (n->ino == n->export->root) {
		r = scan_known(n) ? scan_if_small(n) : 0;
		return r < 0 ? r : 0;
	}
	r = refresh_moving(n, rq);
	if (r != 0)
		return r < 0 ? r : 0;
	/* One LIST for the directory rather than a HEAD for each file. */
	if (node_get(n->export->gate, n->parent, true, &dir) == 0) {
		r = scan_if_small(dir);
		node_put(&dir);
		pthread_mutex_lock(&n->mutex);
		known = n->i.attr_known;
		if (r == 1 && n->dead)
			r = -ESTALE;
		pthread_mutex_unlock(&n->mutex);
		if (r == 1 && known) {
			/* A directory whose names are known: has anybody
			 * else changed them?  Its times tell clients. */
			if (node_kind(n) == GATE_DIR && scan_known(n))
				r = scan_if_small(n);
			if (r >= 0)
				return 0;
		}
	}
	if (r >= 0)
		r = node_kind(n) == GATE_DIR ? lookup_refresh_dir(n, asked)
					     : refresh_file(n, asked);
	return r;
}

int
lookup_refresh(struct node *n, struct gate_request *rq)
{
	int r;

	if (node_fresh(n))
		return 0;
	if (offline_now(n->export))
		return offline_attr(n, rq);
	r = may_ask_store(rq);
	if (r < 0)
		return r;
	r = refresh(n, rq);
	if (r == -EAGAIN)
		rq->again = GATE_JUKEBOX;
	if (r < 0 && offline_failed(n->export, rq, r) &&
	    offline_attr(n, rq) == 0)
		r = 0;
	return r;
}

/* ---- a name that neither memory nor SQLite has ---- */

/* A question to S3. */
struct asking {
	struct gate_export *x;
	const char *part;
	bool beside;		/* only for a file that has a directory of its
				 * name beside it */
	bool source;		/* below one that is being listed */
	struct meta_inode *row;
	struct link_mark *mark;	/* that a file's object has */
};

static bool
is_hidden(const struct asking *a, const char *key)
{
	return (a->source ? hidden_exactly(a->x, key)
			  : hidden_has(a->x, key)) || key_busy(a->x, key);
}

/* Anything below it makes it a directory. */
static int
below_any(const struct asking *a, const char *dir_key)
{
	return a->source ? scan_source_any(a->x, dir_key)
			 : scan_prefix_any(a->x, dir_key);
}

struct only {
	const char *key;
	struct s3_object *o;
};

static int
take_listed(void *arg, const struct s3_entry *e)
{
	const struct only *only = arg;

	if (e->key_len != strlen(only->key))
		return 0;
	only->o->size = e->size;
	only->o->mtime_ns = e->mtime_ns;
	if (e->etag != NULL)
		strncpy(only->o->etag, e->etag, sizeof(only->o->etag) - 1);
	return 1;
}

/* HEAD of an object that is encrypted with a customer's key tells us nothing
 * (*unread), and a listing that it is there. */
static int
ask_file(struct gate_export *x, const char *key, struct s3_object *o,
	 bool *unread)
{
	struct s3_list list = { .prefix = key, .max_keys = 1 };
	struct s3_error err = { 0 };
	struct only only = { key, o };
	char *next = NULL;
	int r = s3_head(x->s3, key, o, &err);

	if (s3_error_locked(r, &err) == S3_LOCKED_NOT)
		return r;
	*unread = true;
	r = s3_list_page(x->s3, &list, take_listed, &only, &next, NULL);
	free(next);
	return r == 1 ? 0 : r < 0 ? r : -ENOENT;
}


/* What S3 has at these keys: a file, a directory, or nothing. */
static int
ask_keys(const struct asking *a, const char *key, const char *dir_key)
{
	struct gate_export *x = a->x;
	struct meta_inode *row = a->row;
	struct s3_object o = { 0 };
	bool unread = false;
	int r, file, marker;

	file = is_hidden(a, key) ? -ENOENT : ask_file(x, key, &o, &unread);
	if (file < 0 && (file != -ENOENT || a->beside))
		return file;
	r = file == 0 && !is_hidden(a, dir_key) ? below_any(a, dir_key) : 0;
	if (file == 0 && (r == 0) != a->beside) {
		/* Not `d` beside `d/x`: there the directory has the name,
		 * and the file another (odd.c). */
		object_to_inode(x, key, &o, row);
		row->attr_known &= !unread;
		(void)link_mark_read(x, key, &o.headers, a->mark);
		s3_object_free(&o);
		return object_read_target(x, row);
	}
	if (file == 0)
		s3_object_free(&o);
	if (r < 0 || a->beside)
		return r < 0 ? r : -ENOENT;
	marker = is_hidden(a, dir_key) ? -ENOENT
				       : s3_head(x->s3, dir_key, &o, NULL);
	if (marker == 0) {
		object_to_inode(x, dir_key, &o, row);
		row->marker = true;
		s3_object_free(&o);
		return odd_note(x, dir_key, row);
	}
	if (marker != -ENOENT)
		return marker;
	r = r > 0 ? r : below_any(a, dir_key);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	object_implicit_dir(x, dir_key, row);
	return odd_note(x, dir_key, row);
}

/* Under one of the places where the directory's names may lie. */
static int
ask_source(void *arg, const char *prefix)
{
	struct asking *a = arg;
	char key[META_KEY_MAX + 2], dir_key[META_KEY_MAX + 2];
	int r = snprintf(dir_key, sizeof(dir_key), "%s%s/", prefix, a->part);

	if (r > META_KEY_MAX)
		return 0;
	snprintf(key, sizeof(key), "%s%s", prefix, a->part);
	a->source = true;
	r = ask_keys(a, key, dir_key);
	a->source = false;
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	a->row->name_dirty = a->row->carried = a->row->base_key[0] != '\0';
	a->row->dest_etag[0] = '\0';
	return 1;
}

/* The same at one moment.  *moved: a rename of a directory above came in
 * between: nothing is at the new key yet, or no more at the old one. */
static int
ask_once(struct node *dir, struct asking *a, bool *moved)
{
	char key[META_KEY_MAX + 2], dir_key[META_KEY_MAX + 2];
	char now[META_KEY_MAX + 2];
	int r = path_part_key(dir, a->part, false, key);

	if (r == 0)
		r = path_part_key(dir, a->part, true, dir_key);
	if (r < 0)
		return r == -ENAMETOOLONG ? -ENOENT : r;
	r = move_sources(dir, false, ask_source, a);
	if (r != 0)
		return r < 0 ? r : 0;
	r = ask_keys(a, key, dir_key);
	*moved = r == -ENOENT &&
		 (path_part_key(dir, a->part, false, now) < 0 ||
		  strcmp(now, key) != 0);
	return r;
}

/* What S3 says of a name. */
static int
ask_s3(struct node *dir, const char *name, struct meta_inode *row,
       struct link_mark *mark)
{
	struct gate_export *x = dir->export;
	char part[PART_MAX + 1];
	enum part_form form = part_from_name(x->any_bytes, name, part);
	struct asking a = { .x = x, .part = part, .row = row, .mark = mark,
			    .beside = form == PART_BESIDE ||
				      form == PART_BESIDE_LONG };
	bool moved = true;
	int r = form == PART_NONE ? -ENOENT : 0;

	if (form == PART_LONG || form == PART_BESIDE_LONG) {
		r = odd_find(dir, name, part);
		/* Only a listing brings it. */
		if (r == -ENOENT && move_lists(dir))
			r = -EAGAIN;
	}
	for (int tries = 0; r == 0 && moved && tries < 16; tries++) {
		moved = false;
		r = ask_once(dir, &a, &moved);
		if (!moved)
			return r;
		r = 0;
	}
	return r < 0 ? r : -EAGAIN;
}

static int
add_found(struct node *dir, const char *name, struct meta_inode *row,
	  const struct link_mark *mark, struct node **out)
{
	struct gate *g = dir->export->gate;
	struct meta_name entry = { .parent = dir->ino };
	CLEANUP_CHANGE struct change c;
	int r;

	change_begin(&c, g);
	r = meta_new_ino(g->meta, &row->ino);
	if (r == 0)
		r = meta_new_name_id(g->meta, &entry.id);
	if (r < 0)
		return r;
	row->export_id = dir->export->id;
	row->generation = gate_generation(dir->export->gate);
	entry.ino = row->ino;
	entry.kind = row->kind;
	strcpy(entry.name, name);
	if (mark->id[0] != '\0')
		pthread_mutex_lock(&g->links);
	r = mark->id[0] != '\0' ? link_mark_apply(g, mark, row) : 0;
	if (r == 0) {
		meta_add_inode(c.batch, row);
		meta_add_name(c.batch, &entry);
		if (row->kind == GATE_DIR)
			change_subdir(&c, dir);
		r = change_commit(&c);
	}
	if (mark->id[0] != '\0')
		pthread_mutex_unlock(&g->links);
	if (r < 0)
		return r;
	return node_add(dir->export, row, &entry, false, out);
}

/* Memory, then SQLite.  -ENOENT: neither has it. */
int
lookup_known(struct node *dir, struct gate_request *rq, const char *name,
	   struct node **out)
{
	struct gate *g = dir->export->gate;
	struct meta_name entry;
	int r;

	*out = node_find_child(g, dir->ino, name);
	if (*out != NULL)
		return 0;
	if (negative_has(g, dir->ino, name))
		return -ENOENT;
	if (!rq->may_block)
		return -EAGAIN;
	r = meta_get_name(g->meta, dir->ino, name, &entry);
	if (r < 0)
		return r;
	r = node_get(g, entry.ino, true, out);
	return r == -ESTALE ? -ENOENT : r;
}

/* The file may be known by the name that it had while there was a directory
 * of this one: then it gets it back.  The directory is locked. */
static int
known_aside(struct node *dir, const char *name, const struct meta_inode *row)
{
	char same[META_NAME_MAX + 1], part[PART_MAX + 1];

	if (row->kind == GATE_DIR ||
	    part_from_name(dir->export->any_bytes, name, part) > PART_ODD)
		return 0;
	strcpy(same, name);
	return odd_file(dir, part, same);
}

/* Ask S3 for a name, and take what it says into the tables. */
static int
discover(struct node *dir, struct gate_request *rq, const char *name,
	 struct node **out)
{
	struct gate_export *x = dir->export;
	uint64_t asked = clock_ms();
	struct meta_inode row = { 0 };
	struct link_mark mark = { 0 };
	bool missing = false;
	int r = scan_if_small(dir);

	if (r < 0)
		return r;
	if (r == 0) {
		r = ask_s3(dir, name, &row, &mark);
		if (r < 0 && r != -ENOENT)
			return r;
		missing = r == -ENOENT;
	}
	/* Has it come or gone here by another way meanwhile? */
	node_lock_wait(dir);
	r = row.kind != 0 ? known_aside(dir, name, &row) : 0;
	if (r == 0)
		r = lookup_known(dir, rq, name, out);
	if (r == -ENOENT && row.kind != 0 &&
	    !negative_removed_since(x->gate, dir->ino, name, asked))
		r = add_found(dir, name, &row, &mark, out);
	/* Under the lock: it may have been created since S3 was asked. */
	if (r == -ENOENT && missing)
		negative_add(x->gate, dir->ino, name, asked,
			     asked + x->c.attr_ttl_ms);
	node_unlock(dir);
	meta_inode_fini(&row);
	return r;
}

static bool
is_named(struct node *n, const struct node *dir, const char *name)
{
	uint64_t parent;
	char now[META_NAME_MAX + 1];

	node_name(n, &parent, now);
	return parent == dir->ino && strcmp(now, name) == 0;
}

int
lookup_entry(struct node *dir, struct gate_request *rq, const char *name,
	     struct node **out)
{
	struct node *n = NULL;
	int r;

	if (strlen(name) > META_NAME_MAX)
		return -ENAMETOOLONG;
	r = lookup_known(dir, rq, name, &n);
	if (r == 0) {
		r = lookup_refresh(n, rq);
		/* It may have lost just this one of several names. */
		if (r == 0 && !is_named(n, dir, name))
			r = -ESTALE;
		if (r == 0) {
			*out = n;
			return 0;
		}
		node_put(&n);
		if (r != -ESTALE)
			return r;
		r = -ENOENT;	/* another thing may have taken the name */
	}
	if (r == -ENOENT && (scan_fresh(dir) ||
			     negative_has(dir->export->gate, dir->ino, name)))
		return -ENOENT;
	if (!rq->may_block) {
		rq->again = GATE_NEEDS_THREAD;
		return -EAGAIN;
	}
	if (r == -ENOENT && offline_now(dir->export))
		return offline_absent(dir, rq);
	if (r == -ENOENT) {
		r = may_ask_store(rq);
		if (r == 0)
			r = discover(dir, rq, name, &n);
		if (r < 0 && offline_now(dir->export) &&
		    offline_failed(dir->export, rq, r))
			r = offline_absent(dir, rq);
	}
	if (r == 0)
		r = lookup_refresh(n, rq);
	if (r < 0) {
		node_put(&n);
		if (r == -EAGAIN && rq->again == GATE_AGAIN_NONE)
			rq->again = GATE_JUKEBOX;
		return r == -ESTALE ? -ENOENT : r;
	}
	*out = n;
	return 0;
}

int
lookup_child(struct node *dir, struct gate_request *rq, const char *name,
	     struct node **out)
{
	struct node *n = NULL, *entry;
	int r = lookup_entry(dir, rq, name, &n);

	if (r < 0)
		return r;
	entry = n;
	r = link_resolve(&n, rq);
	if (r == 0 && n != entry)
		r = lookup_refresh(n, rq);
	if (r < 0) {
		node_put(&n);
		return r == -ESTALE ? -ENOENT : r;
	}
	*out = n;
	return 0;
}
