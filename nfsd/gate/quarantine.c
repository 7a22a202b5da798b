/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Quarantine: bytes that S3 will not take.  COMMIT has promised them, so
 * they are kept: the data file moves to STATE_DIR/quarantine/ID, its extents
 * to rows of their own, and the file falls back to the version that S3 has;
 * if it has none, the name goes.  The writer and all who wait are told once.
 *
 * `s3nfsctl quarantine` lists, saves to a local file, tries again, drops.
 */

#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nfsd/gate/gate_priv.h"

void
quarantine_file_name(uint64_t id, char out[64])
{
	snprintf(out, 64, "../quarantine/%016llx", (unsigned long long)id);
}

static int
keep_file(struct gate *g, uint64_t ino, uint64_t id)
{
	char from[32], to[64];

	data_file_name(ino, from);
	quarantine_file_name(id, to);
	if (renameat(g->data_dir, from, g->data_dir, to) < 0 &&
	    errno != ENOENT)
		return -errno;
	return 0;
}

/* The row falls back to the object that S3 has. */
static void
fall_back(struct meta_inode *row)
{
	row->size = row->base_limit = row->base_size;
	row->data_dirty = row->attr_dirty = false;
	row->name_dirty = row->carried;	/* it still follows its directory */
	row->attr_known = false;
	row->ctime_ns = clock_ns();
}

static int
describe(struct node *n, const char *error, struct meta_quarantine *q)
{
	char key[META_KEY_MAX + 2];

	q->id = meta_new_id(n->export->gate->meta);
	q->export_id = n->export->id;
	q->ino = n->ino;
	path_text(n, q->path, sizeof(q->path));
	if (path_key(n, key) == 0)
		snprintf(q->key, sizeof(q->key), "%s", key);
	snprintf(q->error, sizeof(q->error), "%s", error);
	q->since_ns = clock_ns();
	pthread_mutex_lock(&n->mutex);
	snprintf(q->who, sizeof(q->who), "%s", n->h.who);
	q->size = n->i.size;
	q->bytes = extents_bytes(&n->d.staged);
	strcpy(q->base_key, n->i.base_key);
	strcpy(q->base_etag, n->i.base_etag);
	q->base_limit = n->i.base_limit;
	q->mode = n->i.mode;
	q->uid = n->i.uid;
	q->gid = n->i.gid;
	q->mtime_ns = n->i.mtime_ns;
	pthread_mutex_unlock(&n->mutex);
	return 0;
}

/* A writer that has nothing pending has not failed. */
static bool
handle_is_refused(const struct node *n)
{
	return n->h.state != META_NONE && n->h.state != META_ACTIVE;
}

/* The bucket has nothing under its name: never had, or the file was renamed
 * and the object still bears the old one, where it will be found. */
static bool
loses_name(const struct node *n)
{
	return n->i.base_key[0] == '\0' ||
	       (n->i.name_dirty && !n->i.carried);
}

/* The rows that let the file fall back; adds to the batch.  Mutex held. */
static int
fall_back_rows(struct node *n, struct meta_batch *b, struct meta_inode *row)
{
	int r = meta_inode_copy(&n->i, row);

	if (r < 0)
		return r;
	fall_back(row);
	meta_put_extents(b, n->ino, 0, INT64_MAX, NULL, 0);
	meta_del_journal(b, n->ino);
	meta_del_upload(b, n->ino);
	if (loses_name(n)) {
		row->nlink = 0;
		if (n->namekey != NULL)
			meta_del_name(b, n->parent,
				      n->namekey + sizeof(uint64_t));
	}
	meta_put_inode(b, row);
	if (handle_is_refused(n)) {
		struct meta_handle handle = n->h;

		r = meta_handle_move(&handle, META_EV_REFUSED);
		if (r == 0)
			meta_put_handle(b, &handle);
	}
	return r;
}

static void
fall_back_memory(struct node *n, struct meta_inode *row, bool drop)
{
	if (loses_name(n))
		node_unname(n);
	/* The object under the old name is what there is. */
	if (n->i.name_dirty && !n->i.carried && n->i.base_key[0] != '\0')
		hidden_del(n->export, n->i.base_key);
	pthread_mutex_lock(&n->mutex);
	/* Bytes on their way from the bucket go to the file that leaves. */
	while (n->d.writing > 0)
		pthread_cond_wait(&n->changed, &n->mutex);
	if (drop)
		data_remove_locked(n);
	meta_inode_fini(&n->i);
	n->i = *row;
	*row = (struct meta_inode){ 0 };
	data_forget_file_locked(n);
	n->d.journal_bytes = 0;
	extents_free(&n->d.staged);
	extents_free(&n->d.clean);
	data_account_locked(n);
	n->up.pending = false;
	n->up.failing_ms = 0;
	n->checked_ms = 0;
	quota_size_locked(n, n->i.size);
	n->content_version++;
	/* Last: who is told finds the last good version. */
	if (handle_is_refused(n))
		handle_move_locked(n, META_EV_REFUSED);
	admit_failed_locked(n);
	node_changed_locked(n);
	pthread_mutex_unlock(&n->mutex);
}

/* q NULL: nothing is kept. */
static int
set_aside(struct node *n, const struct meta_quarantine *q)
{
	struct gate *g = n->export->gate;
	struct meta_inode row = { 0 };
	struct meta_batch *b = meta_batch_new();
	int r = b == NULL ? -ENOMEM : 0;

	pthread_mutex_lock(&n->mutex);
	if (r == 0)
		r = data_spill_locked(n);
	pthread_mutex_unlock(&n->mutex);
	if (r == 0)
		r = data_sync(n);
	if (r == 0) {
		/* Moves the extents' rows before the others are dropped. */
		if (q != NULL)
			meta_put_quarantine(b, q);
		pthread_mutex_lock(&n->mutex);
		r = fall_back_rows(n, b, &row);
		pthread_mutex_unlock(&n->mutex);
	}
	failpoint("quarantine-before-row");
	if (r == 0)
		r = meta_commit(g->meta, &b);
	meta_batch_free(&b);
	failpoint("quarantine-after-row");
	if (r == 0 && q != NULL)
		r = keep_file(g, n->ino, q->id);
	failpoint("quarantine-after-file");
	if (r == 0) {
		fall_back_memory(n, &row, q == NULL);
	}
	meta_inode_fini(&row);
	return r;
}

int
quarantine_put(struct node *n, const char *error)
{
	struct gate *g = n->export->gate;
	struct meta_quarantine *q = calloc(1, sizeof(*q));
	int r = q == NULL ? -ENOMEM : describe(n, error, q);

	if (r == 0)
		r = set_aside(n, q);
	if (r == 0)
		gate_say(g, 0,
			 "S3 refused an upload for good; the bytes are kept: "
			 "id=%llu file=%s client=%s bytes=%llu error=%s",
			 (unsigned long long)q->id, q->path, q->who,
			 (unsigned long long)q->bytes, error);
	free(q);
	return r;
}

int
quarantine_fall_back(struct node *n)
{
	return set_aside(n, NULL);
}

/* ---- after a crash between the rows and the file's new place ---- */

static int
settle_one(void *arg, const struct meta_quarantine *q)
{
	struct gate *g = arg;
	char kept[64];

	quarantine_file_name(q->id, kept);
	if (faccessat(g->data_dir, kept, F_OK, 0) < 0 &&
	    keep_file(g, q->ino, q->id) < 0)
		gate_say(g, 0, "cannot find quarantined bytes: id=%llu",
			 (unsigned long long)q->id);
	return 0;
}

int
quarantine_recover(struct gate *g)
{
	if (mkdirat(g->data_dir, "../quarantine", 0700) < 0 &&
	    errno != EEXIST)
		return -errno;
	return meta_each_quarantine(g->meta, settle_one, g);
}

/* ---- the operator's side ---- */

struct listing {
	int (*each)(void *arg, const struct gate_quarantine_info *);
	void *arg;
};

static int
list_one(void *arg, const struct meta_quarantine *q)
{
	struct listing *l = arg;
	struct gate_quarantine_info info = {
		.id = q->id,
		.bytes = q->bytes,
		.path = q->path,
		.key = q->key,
		.error = q->error,
		.since_ns = q->since_ns,
	};

	return l->each(l->arg, &info);
}

int
gate_each_quarantined(struct gate *g,
		      int (*each)(void *arg,
				  const struct gate_quarantine_info *),
		      void *arg)
{
	struct listing l = { each, arg };

	return meta_each_quarantine(g->meta, list_one, &l);
}

struct find {
	uint64_t id;
	struct meta_quarantine *out;
	bool found;
};

static int
find_one(void *arg, const struct meta_quarantine *q)
{
	struct find *f = arg;

	if (q->id != f->id)
		return 0;
	*f->out = *q;
	f->found = true;
	return 1;
}

static int
find(struct gate *g, uint64_t id, struct meta_quarantine *q)
{
	struct find f = { id, q, false };
	int r = meta_each_quarantine(g->meta, find_one, &f);

	return r < 0 ? r : f.found ? 0 : -ENOENT;
}

static int
take_extent(void *arg, const struct meta_extent *e)
{
	return extents_set(arg, e->off, e->len, e->at) < 0;
}

/* A reader of what was kept: staged bytes, the base from S3, zeros. */
struct kept {
	struct gate_export *x;
	struct meta_quarantine q;
	struct extents staged;
	int fd;
};

static int
kept_open(struct gate *g, uint64_t id, struct kept *k)
{
	struct gate_export *x;
	char name[64];
	int r = find(g, id, &k->q);

	if (r < 0)
		return r;
	LIST_FOREACH(x, &g->exports, link) {
		if (x->id == k->q.export_id)
			k->x = x;
	}
	r = meta_each_quarantine_extent(g->meta, id, take_extent, &k->staged);
	quarantine_file_name(id, name);
	k->fd = openat(g->data_dir, name, O_RDONLY | O_CLOEXEC);
	if (r == 0 && k->fd < 0 && k->staged.count > 0)
		r = -EIO;
	return r;
}

static void
kept_close(struct kept *k)
{
	if (k->fd >= 0)
		close(k->fd);
	extents_free(&k->staged);
}

static int
kept_read(struct kept *k, uint64_t off, char *buf, uint64_t len)
{
	while (len > 0) {
		uint64_t at, run;
		bool here = extents_at(&k->staged, off, &at, &run);

		run = run < len ? run : len;
		if (here) {
			if (pread(k->fd, buf, run, (off_t)at) != (ssize_t)run)
				return -EIO;
		} else if (off < k->q.base_limit) {
			if (k->q.base_limit - off < run)
				run = k->q.base_limit - off;
			if (k->x == NULL ||
			    s3_get(k->x->s3, k->q.base_key, k->q.base_etag,
				   off, buf, run, NULL,
				   NULL) != (ssize_t)run)
				return -ESTALE;
		} else {
			memset(buf, 0, run);
		}
		off += run;
		buf += run;
		len -= run;
	}
	return 0;
}

int
gate_quarantine_save(struct gate *g, uint64_t id, const char *file)
{
	struct kept *k = calloc(1, sizeof(*k));
	char *buf = malloc(MIB);
	int r = k == NULL || buf == NULL ? -ENOMEM : 0, out = -1;

	if (r == 0) {
		k->fd = -1;
		r = kept_open(g, id, k);
	}
	if (r == 0) {
		out = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
			   0600);
		r = out < 0 ? -errno : 0;
	}
	for (uint64_t off = 0; r == 0 && off < k->q.size;) {
		uint64_t len = k->q.size - off < MIB ? k->q.size - off : MIB;

		r = kept_read(k, off, buf, len);
		if (r == 0 && write(out, buf, len) != (ssize_t)len)
			r = errno == ENOSPC ? -ENOSPC : -EIO;
		off += len;
	}
	if (r == 0 && fsync(out) < 0)
		r = -EIO;
	if (out >= 0) {
		close(out);
		if (r < 0)
			(void)unlink(file);
	}
	if (k != NULL)
		kept_close(k);
	free(k);
	free(buf);
	return r;
}

int
gate_quarantine_drop(struct gate *g, uint64_t id)
{
	struct meta_quarantine *q = calloc(1, sizeof(*q));
	struct meta_batch *b;
	char name[64];
	int r = q == NULL ? -ENOMEM : find(g, id, q);

	free(q);
	if (r < 0)
		return r;
	b = meta_batch_new();
	if (b != NULL)
		meta_del_quarantine(b, id);
	r = meta_commit(g->meta, &b);
	if (r == 0) {
		quarantine_file_name(id, name);
		(void)unlinkat(g->data_dir, name, 0);
	}
	return r;
}

static ssize_t
kept_source(void *arg, uint64_t off, void *buf, size_t len)
{
	int r = kept_read(arg, off, buf, len);

	return r < 0 ? r : (ssize_t)len;
}

static ssize_t
body_source(void *arg, uint64_t off, void *buf, size_t len)
{
	memcpy(buf, (const char *)arg + off, len);
	return (ssize_t)len;
}

/*
 * Once more, under the same key and the same conditions; what is then in the
 * bucket is found by the next look at it.
 * XXX up to 5 GiB, the limit of one PUT; larger files can be saved.
 */
int
gate_quarantine_retry(struct gate *g, uint64_t id)
{
	struct kept *k = calloc(1, sizeof(*k));
	struct s3_headers headers = { 0 };
	struct meta_inode row = { .kind = GATE_REG };
	struct s3_source source = { .read = kept_source };
	struct s3_cond cond = { 0 };
	char etag[S3_ETAG_MAX], path[sizeof(k->q.path)];
	char *slash, *body = NULL;
	int r = k == NULL ? -ENOMEM : 0;

	if (r == 0) {
		k->fd = -1;
		r = kept_open(g, id, k);
	}
	if (r == 0 && k->x == NULL)
		r = -ENODEV;
	if (r == 0 && k->q.base_limit > 0) {
		/* Bytes of the base cannot be fetched from inside a PUT. */
		body = k->q.size <= SMALL_UPLOAD ? malloc(k->q.size) : NULL;
		r = body == NULL ? -EFBIG : kept_read(k, 0, body, k->q.size);
	}
	if (r == 0) {
		row.mode = k->q.mode;
		row.uid = k->q.uid;
		row.gid = k->q.gid;
		row.mtime_ns = row.atime_ns = k->q.mtime_ns;
		r = object_headers(k->x, &row, &headers);
	}
	if (r == 0) {
		if (k->q.base_etag[0] != '\0')
			cond.if_match = k->q.base_etag;
		else
			cond.if_none_match = true;
		source.len = k->q.size;
		source.arg = k;
		if (body != NULL) {
			source.read = body_source;
			source.arg = body;
		}
		r = key_take(k->x, k->q.key, id);
	}
	if (r == 0) {
		r = s3_put(k->x->s3, k->q.key, &source, &headers, &cond, etag,
			   NULL);
		key_release(k->x, k->q.key, id);
	}
	if (r == 0) {
		/* See it at once. */
		strcpy(path, k->q.path);
		slash = strrchr(path, '/');
		if (slash != NULL) {
			*slash = '\0';
			/* Else the next look at it finds it. */
			if (gate_refresh(g, path) < 0)
				gate_say(g, 2, "cannot refresh path=%s", path);
		}
		r = gate_quarantine_drop(g, id);
	}
	s3_headers_free(&headers);
	if (k != NULL)
		kept_close(k);
	free(body);
	free(k);
	return r;
}
