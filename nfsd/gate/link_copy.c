/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The objects of a file with several names (link.c).  Each is whole, and
 * bears a mark, x-amz-meta-s3nfsd-link:
 *
 *	ID COUNT VERSION KEY
 *
 * ID, 32 hexadecimal digits, is the same for all names of a file; COUNT is
 * how many there are; VERSION counts what was made of the file; KEY is a hash
 * of the key that the object was made for.  So a gateway that has nothing but
 * the bucket finds the file again, by whatever name it is asked for first; of
 * two objects with different versions the higher one is right; and a copy
 * that somebody made with another tool, metadata and all, is not taken for a
 * link.
 *
 * The file's own upload makes a version; when it is stored, the aliases
 * follow by server-side copies, pinned to that version.  An alias that could
 * not follow, for a crash came in between, is found by its version.
 */

#include <config.h>

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/link.h"
#include "nfsd/gate/lost.h"

#define MARK "x-amz-meta-s3nfsd-link"

/* ---- marks ---- */

/* FNV-1a over the key without the export's prefix, so that a bucket may be
 * mirrored to another place. */
static uint64_t
key_hash(const struct gate_export *x, const char *key)
{
	size_t prefix = strlen(x->c.prefix);
	uint64_t h = 0xcbf29ce484222325;

	if (strncmp(key, x->c.prefix, prefix) == 0)
		key += prefix;
	for (; *key != '\0'; key++)
		h = (h ^ (unsigned char)*key) * 0x100000001b3;
	return h;
}

bool
link_mark_read(const struct gate_export *x, const char *key,
	       const struct s3_headers *headers, struct link_mark *out)
{
	const char *text = s3_headers_get(headers, MARK);
	struct link_mark m = { 0 };
	uint64_t hash = 0;
	int end = 0;

	if (text == NULL || strlen(text) > 120 ||
	    sscanf(text, "%32[0-9a-f] %" SCNu32 " %" SCNu64 " %" SCNx64 "%n",
		   m.id, &m.count, &m.version, &hash, &end) != 4 ||
	    text[end] != '\0' || strlen(m.id) != META_LINK_MAX - 1)
		return false;
	if (hash != key_hash(x, key) || m.count < 2 || m.count > 65535 ||
	    m.version > INT64_MAX / 2)
		return false;
	*out = m;
	return true;
}

int
link_mark_write(const struct gate_export *x, const char *key,
		const struct meta_inode *file, uint64_t version,
		struct s3_headers *headers)
{
	char text[128];

	if (file->link_id[0] == '\0' || file->nlink < 2 ||
	    x->c.metadata == GATE_META_NONE)
		return s3_headers_set(headers, MARK, NULL);
	snprintf(text, sizeof(text), "%s %" PRIu32 " %" PRIu64 " %016" PRIx64,
		 file->link_id, file->nlink, version, key_hash(x, key));
	return s3_headers_set(headers, MARK, text);
}

int
link_mark_apply(struct gate *g, const struct link_mark *mark,
		struct meta_inode *row)
{
	uint64_t file = 0;
	int r = meta_find_link(g->meta, row->export_id, mark->id, &file);

	if (r < 0 && r != -ENOENT)
		return r;
	strcpy(row->link_id, mark->id);
	row->link_version = mark->version;
	if (r == -ENOENT || file == row->ino) {
		row->nlink = mark->count;
		return 0;
	}
	row->link_ino = file;
	row->nlink = 1;
	return 0;
}

/* ---- what an alias uploads ---- */

/* It was noted once more after it had been copied.  The node's lock is held.
 * What cannot be written down is looked at again. */
static void
link_nothing_to_do(struct node *n, uint64_t content_version)
{
	CLEANUP_INODE struct meta_inode row = { 0 };
	struct meta_batch *b = meta_batch_new();
	bool still;
	int r;

	pthread_mutex_lock(&n->mutex);
	still = n->content_version == content_version && !n->dead;
	r = meta_inode_copy(&n->i, &row);
	pthread_mutex_unlock(&n->mutex);
	if (r < 0 || !still) {
		meta_batch_free(&b);
		return;
	}
	row.data_dirty = row.attr_dirty = false;
	meta_del_upload(b, n->ino);
	meta_put_inode(b, &row);
	if (meta_commit(n->export->gate->meta, &b) < 0)
		return;
	pthread_mutex_lock(&n->mutex);
	if (n->content_version == content_version) {
		n->up.pending = n->i.data_dirty = n->i.attr_dirty = false;
		lost_forget_locked(n, n->i.base_key);
	}
	pthread_mutex_unlock(&n->mutex);
}

int
link_snapshot(struct node *n, struct snapshot *s)
{
	struct node *file = NULL;
	bool name_dirty = n->i.name_dirty, local_only = n->i.local_only;
	uint64_t version = n->i.link_version, content_version;
	bool done = false;
	int r;

	pthread_mutex_lock(&n->mutex);
	content_version = n->content_version;
	pthread_mutex_unlock(&n->mutex);

	memset(s, 0, sizeof(*s));
	r = path_key(n, s->key);
	if (r == 0)
		r = node_get(n->export->gate, n->i.link_ino, true, &file);
	if (r < 0)
		return r == -ESTALE ? -ECANCELED : r;
	pthread_mutex_lock(&file->mutex);
	r = file->dead ? -ECANCELED : meta_inode_copy(&file->i, &s->row);
	/* The file comes first if it has no object yet, or one at this very
	 * key, which it leaves. */
	if (r == 0 && !local_only &&
	    (s->row.base_key[0] == '\0' || s->row.link_version == 0 ||
	     strcmp(s->row.base_key, s->key) == 0)) {
		s->row.base_key[0] = '\0';
		upload_schedule_locked(file, true);
		if (!name_dirty || n->i.base_key[0] == '\0')
			r = -ECANCELED;
	} else if (r == 0 && !local_only && s->row.link_version < version) {
		/* The newer one is right (link_reconcile). */
		upload_schedule_locked(file, true);
		r = -ECANCELED;
	} else if (r == 0 && !local_only && !name_dirty &&
		   s->row.link_version == version &&
		   n->i.base_key[0] != '\0') {
		done = true;
		r = -ECANCELED;
	}
	pthread_mutex_unlock(&file->mutex);
	if (done)
		link_nothing_to_do(n, content_version);
	node_put(&file);
	pthread_mutex_lock(&n->mutex);
	if (r == 0 && n->dead)
		r = -ECANCELED;
	if (r == 0) {
		/* What was stored, not what the file has become since. */
		s->row.ino = n->ino;
		s->row.link_ino = n->i.link_ino;
		if (s->row.kind == GATE_REG)
			s->row.size = s->row.base_size;
		s->row.base_limit = s->row.base_size;
		s->row.data_dirty = s->row.attr_dirty = false;
		s->row.name_dirty = name_dirty;
		s->row.carried = false;
		s->row.local_only = local_only;
		strcpy(s->row.dest_etag, n->i.dest_etag);
		s->attr_version = n->attr_version;
		s->plans = n->up.plans;
		/* From before the look at the file. */
		s->content_version = content_version;
		n->trunc_low = UINT64_MAX;
		place_snapshot_locked(n, s);
		s->node = n;
	}
	pthread_mutex_unlock(&n->mutex);
	if (r < 0)
		snapshot_free(s);
	return r;
}

static int
take_alias(void *arg, uint64_t ino)
{
	struct link_followers *f = arg;
	struct node *n = NULL;

	if (f->count == f->room) {
		size_t room = f->room ? f->room * 2 : 8;
		struct node **list = realloc(f->list, room * sizeof(*list));

		if (list == NULL)
			return 1;	/* found again after a restart */
		f->list = list;
		f->room = room;
	}
	if (node_get(f->gate, ino, true, &n) == 0)
		f->list[f->count++] = n;
	return 0;
}

void
link_followers_get(struct node *file, struct link_followers *out)
{
	*out = (struct link_followers){ .gate = file->export->gate };
	/* What is not found now is found after a restart. */
	if (file->i.link_id[0] != '\0' && file->i.link_ino == 0 &&
	    meta_each_link(out->gate->meta, file->ino, take_alias, out) < 0)
		gate_say(out->gate, 1, "cannot find the links of a file");
}

/* Should the rows of their uploads be lost in a crash, link_recover finds
 * them by their versions. */
void
link_follow(struct node *alias)
{
	struct node *list[] = { node_ref(alias) };
	struct link_followers f = { .gate = alias->export->gate,
				    .list = list, .count = 1 };

	link_follow_locked(&f);
	pthread_mutex_lock(&alias->mutex);
	upload_schedule_locked(alias, true);
	pthread_mutex_unlock(&alias->mutex);
	node_put(&list[0]);
}

/* Only posted, under mutexes: whether the alias has followed is told by its
 * version, which a restart asks (link_recover). */
void
link_again_locked(struct node *n)
{
	struct meta_batch *b = meta_batch_new();
	int64_t now = clock_ns();

	if (!n->dead && !n->i.local_only && n->i.link_ino != 0) {
		n->content_version++;
		n->i.data_dirty = true;
		upload_planned_locked(n, now, upload_plan_locked(n, now, b));
	}
	meta_post(n->export->gate->meta, &b);
}

void
link_follow_locked(struct link_followers *f)
{
	for (size_t i = 0; i < f->count; i++) {
		struct node *n = f->list[i];

		pthread_mutex_lock(&n->mutex);
		link_again_locked(n);
		pthread_mutex_unlock(&n->mutex);
	}
}

void
link_followers_put(struct link_followers *f)
{
	for (size_t i = 0; i < f->count; i++) {
		struct node *n = f->list[i];

		pthread_mutex_lock(&n->mutex);
		upload_schedule_locked(n, true);
		pthread_mutex_unlock(&n->mutex);
		node_put(&f->list[i]);
	}
	free(f->list);
	*f = (struct link_followers){ 0 };
}

int
link_recover(struct gate *g)
{
	struct link_followers f = { .gate = g };
	int r = meta_each_stale_link(g->meta, take_alias, &f);

	if (r == 0)
		link_follow_locked(&f);
	link_followers_put(&f);
	return r;
}

/* ---- what is found at an alias's key ---- */

static int
look(struct sending *s, struct s3_object *o, struct link_mark *mark)
{
	struct gate_export *x = s->node->export;
	int r = s3_head(x->s3, s->snap.key, o, NULL);

	if (r == 0 && !link_mark_read(x, s->snap.key, &o->headers, mark))
		mark->id[0] = '\0';
	return r;
}

int
link_is_ours(struct sending *s)
{
	const struct meta_inode *i = &s->snap.row;
	struct s3_object o = { 0 };
	struct link_mark mark = { 0 };
	bool ours;
	int r = look(s, &o, &mark);

	if (r < 0)
		return r == -ENOENT || r == -EACCES ? 0 : r;
	ours = strcmp(mark.id, i->link_id) == 0 &&
	       mark.version == i->link_version && o.size == i->base_size;
	if (ours)
		snprintf(s->etag, sizeof(s->etag), "%s", o.etag);
	s3_object_free(&o);
	return ours;
}

/* The next try replaces this, unless it goes elsewhere.  Of what is not
 * written down the next try finds the same. */
static void
expect(struct sending *s, const char *etag)
{
	struct node *n = s->node;
	CLEANUP_INODE struct meta_inode row = { 0 };
	struct meta_batch *b = meta_batch_new();
	char key[META_KEY_MAX + 2];
	int r = -ECANCELED;

	node_lock_wait(n);
	if (!n->dead && path_key(n, key) == 0 &&
	    strcmp(key, s->snap.key) == 0) {
		pthread_mutex_lock(&n->mutex);
		r = meta_inode_copy(&n->i, &row);
		pthread_mutex_unlock(&n->mutex);
		snprintf(row.dest_etag, sizeof(row.dest_etag), "%s", etag);
		meta_put_inode(b, &row);
	}
	if (r == 0)
		r = meta_commit(n->export->gate->meta, &b);
	if (r == 0) {
		pthread_mutex_lock(&n->mutex);
		strcpy(n->i.dest_etag, row.dest_etag);
		pthread_mutex_unlock(&n->mutex);
	}
	node_unlock(n);
	meta_batch_free(&b);
}

/* Was the object replaced that this copies from? */
static bool
source_moved(struct sending *s)
{
	struct node *file = NULL;
	bool moved = true;

	if (node_get(s->node->export->gate, s->snap.row.link_ino, true,
		     &file) == 0) {
		pthread_mutex_lock(&file->mutex);
		moved = file->dead || file->up.run == UP_RUNNING ||
			strcmp(file->i.base_etag, s->snap.row.base_etag) ||
			strcmp(file->i.base_key, s->snap.row.base_key) ||
			file->i.link_version != s->snap.row.link_version;
		pthread_mutex_unlock(&file->mutex);
		node_put(&file);
	}
	return moved;
}

int
link_conflict(struct sending *s)
{
	struct node *n = s->node;
	struct gate_export *x = n->export;
	const struct meta_inode *i = &s->snap.row;
	struct s3_object o = { 0 };
	struct link_mark mark = { 0 };
	int r = look(s, &o, &mark);

	if (r == -ENOENT) {
		/* Nothing is in the way. */
		expect(s, "");
		r = -ECANCELED;
	} else if (r == 0 && strcmp(mark.id, i->link_id) == 0) {
		/* A copy whose answer was lost. */
		expect(s, o.etag);
		r = -ECANCELED;
	} else if (r == 0 && (strcmp(o.etag, i->dest_etag) == 0 ||
			      source_moved(s))) {
		r = -ECANCELED;
	} else if (r == 0) {
		gate_say(x->gate, 1, "conflict: somebody else made an object "
			 "where a hard link was to be; theirs keeps the name: "
			 "key=%s", s->snap.key);
		__atomic_add_fetch(&x->gate->conflicts, 1, __ATOMIC_RELAXED);
		r = link_detach(n);
		r = r < 0 ? -EAGAIN : -ECANCELED;
	} else {
		r = -EAGAIN;
	}
	s3_object_free(&o);
	return r;
}

bool
link_is_version(const struct sending *s, const struct s3_object *o)
{
	const struct gate_export *x = s->node->export;
	const struct meta_inode *i = &s->snap.row;
	struct link_mark mark;

	if (i->link_id[0] == '\0' || x->c.metadata == GATE_META_NONE)
		return true;
	if (!link_mark_read(x, s->snap.key, &o->headers, &mark))
		return i->nlink < 2;
	return strcmp(mark.id, i->link_id) == 0 && mark.count == i->nlink &&
	       mark.version == i->link_version + 1;
}

int
link_replaces(struct sending *s)
{
	const struct meta_inode *i = &s->snap.row;
	struct link_mark mark = { 0 };
	struct s3_object o = { 0 };
	bool ours;
	int r;

	/* What it builds on is not replaced by a guess. */
	if (i->link_id[0] == '\0' || strcmp(i->base_key, s->snap.key) == 0)
		return 0;
	r = look(s, &o, &mark);
	if (r < 0)
		return r == -ENOENT || r == -EACCES ? 0 : r;
	ours = strcmp(mark.id, i->link_id) == 0 &&
	       strcmp(o.etag, i->dest_etag) != 0;
	if (ours)
		expect(s, o.etag);
	s3_object_free(&o);
	return ours;
}

/* The node's lock is held. */
static int
drop_base_locked(struct node *n)
{
	CLEANUP_CHANGE struct change c;
	CLEANUP_INODE struct meta_inode row = { 0 };
	int r;

	change_begin(&c, n->export->gate);
	r = change_settle_name(&c, n, NULL);
	pthread_mutex_lock(&n->mutex);
	if (r == 0)
		r = n->dead || !name_left_key(n) ? -ECANCELED : 0;
	if (r == 0)
		r = meta_inode_copy(&n->i, &row);
	/* It is hidden since the rename. */
	if (r == 0)
		(void)forget_object_locked(n, &c, false);
	pthread_mutex_unlock(&n->mutex);
	if (r < 0)
		return r;
	row.base_key[0] = row.base_etag[0] = '\0';
	row.name_dirty = false;
	row.data_dirty = !row.local_only;
	meta_put_inode(c.batch, &row);
	if (row.local_only)
		meta_del_upload(c.batch, n->ino);
	r = change_commit(&c);
	if (r < 0)
		return r;
	pthread_mutex_lock(&n->mutex);
	lost_forget_locked(n, n->i.base_key);
	n->i.base_key[0] = n->i.base_etag[0] = '\0';
	n->i.name_dirty = false;
	n->i.data_dirty = row.data_dirty;
	if (row.local_only)
		n->up.pending = false;
	pthread_mutex_unlock(&n->mutex);
	return 0;
}

int
link_drop_base(struct node *n)
{
	int r;

	node_lock_wait(n);
	r = drop_base_locked(n);
	node_unlock(n);
	return r;
}
