/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lies in quarantine, and what its owner does with it: list it, save it
 * to a local file, try it again, drop it.
 *
 * A kept version is a data file, the map of its staged bytes, and what it
 * was built on: bytes that it did not change are the object's of that
 * version.  If that one is gone from the bucket, the file can still be saved,
 * with zeros in their place, and that is said; it cannot be tried again.
 *
 * To try again is a request like any other upload's: under the same key,
 * on the same conditions, with the key taken.  A crash in between leaves the
 * entry; the next try finds its own object there, or aborts the parts.
 */

#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nfsd/gate/cache/cache.h"
#include "nfsd/gate/data/data.h"
#include "nfsd/gate/inside.h"
#include "nfsd/gate/keys/keys.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/object/object.h"
#include "nfsd/gate/upload/upload.h"
#include "nfsd/gate/worker/worker.h"

/* ---- the list ---- */

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
		.size = q->size,
		.bytes = q->bytes,
		.path = q->path,
		.key = q->key,
		.client = q->who,
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

/* Rows are there a moment before their files. */
static void
wait_for_files(struct gate *g)
{
	mutex_lock(&g->mutex);
	while (g->setting_aside > 0)
		mutex_wait(&g->mutex, &g->progress, NULL);
	mutex_unlock(&g->mutex);
}

/* ---- its bytes ---- */

struct quarantined {
	struct gate_export *x;		/* NULL: no longer exported */
	struct meta_quarantine q;
	struct extents staged;
	uint64_t missing;		/* bytes of the base that are gone */
	int fd;
};

static int
take_extent(void *arg, const struct meta_extent *e)
{
	return extents_set(arg, e->off, e->len, e->at);
}

static void
quarantined_close(struct quarantined **kept)
{
	struct quarantined *k = *kept;

	if (k == NULL)
		return;
	if (k->fd >= 0)
		close(k->fd);
	extents_free(&k->staged);
	free(k);
	*kept = NULL;
}

static int
quarantined_open(struct gate *g, uint64_t id, struct quarantined **out)
{
	struct quarantined *k = calloc(1, sizeof(*k));
	struct gate_export *x;
	char name[64];
	int r;

	if (k == NULL)
		return -ENOMEM;
	k->fd = -1;
	wait_for_files(g);
	r = quarantine_find(g, id, &k->q);
	LIST_FOREACH(x, &g->exports, link) {
		if (x->id == k->q.export_id)
			k->x = x;
	}
	if (r == 0)
		r = meta_each_quarantine_extent(g->meta, id, take_extent,
						&k->staged);
	quarantine_file_name(id, name);
	if (r == 0)
		k->fd = openat(g->data_dir, name, O_RDONLY | O_CLOEXEC);
	if (r == 0 && k->fd < 0 && k->staged.count > 0)
		r = -EIO;
	if (r < 0)
		quarantined_close(&k);
	else
		*out = k;
	return r;
}

/* Bytes that the writer did not change.  -ESTALE: not to be had any more. */
static int
read_base(struct quarantined *k, uint64_t off, char *buf, uint64_t len)
{
	ssize_t n;

	if (k->x == NULL)
		return -ESTALE;
	n = s3_get(k->x->s3, k->q.base_key, k->q.base_etag, off, buf, len,
		   NULL, NULL);
	if (n == (ssize_t)len)
		return 0;
	return n == -ENOENT || n == -ESTALE ? -ESTALE
	       : n < 0			    ? (int)n
					    : -EBADMSG;
}

/* zeros: in place of a base that is gone, which is counted. */
static int
quarantined_read(struct quarantined *k, uint64_t off, char *buf, uint64_t len,
		 bool zeros)
{
	for (uint64_t at, run; len > 0; off += run, buf += run, len -= run) {
		bool here = extents_at(&k->staged, off, &at, &run);
		int r = 0;

		run = run < len ? run : len;
		if (here) {
			r = data_read_file(k->fd, buf, run, at);
		} else if (off < k->q.base_limit) {
			if (k->q.base_limit - off < run)
				run = k->q.base_limit - off;
			r = read_base(k, off, buf, run);
			if (r == -ESTALE && zeros) {
				memset(buf, 0, run);
				k->missing += run;
				r = 0;
			}
		} else {
			memset(buf, 0, run);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

static bool
needs_base(const struct quarantined *k, uint64_t off, uint64_t end)
{
	uint64_t at, run;

	end = end < k->q.base_limit ? end : k->q.base_limit;
	for (; off < end; off += run) {
		if (!extents_at(&k->staged, off, &at, &run))
			return true;
	}
	return false;
}

/* ---- save ---- */

static int
write_all(int fd, const char *buf, uint64_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, buf, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		buf += n;
		len -= (uint64_t)n;
	}
	return 0;
}

/* So many zeros, which nobody wrote. */
static uint64_t
hole_at(const struct quarantined *k, uint64_t off)
{
	uint64_t at, run;

	if (off < k->q.base_limit || extents_at(&k->staged, off, &at, &run))
		return 0;
	return run < k->q.size - off ? run : k->q.size - off;
}

static int
copy_out(struct quarantined *k, int fd)
{
	char *buf = malloc(MIB);
	int r = buf == NULL ? -ENOMEM : 0;

	for (uint64_t off = 0, len, hole; r == 0 && off < k->q.size;
	     off += len) {
		len = k->q.size - off < MIB ? k->q.size - off : MIB;
		hole = hole_at(k, off);
		if (hole >= len) {
			len = hole;
			if (lseek(fd, (off_t)hole, SEEK_CUR) < 0)
				r = -errno;
			continue;
		}
		r = quarantined_read(k, off, buf, len, true);
		if (r == 0)
			r = write_all(fd, buf, len);
	}
	free(buf);
	if (r == 0 && ftruncate(fd, (off_t)k->q.size) < 0)
		r = -errno;
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	return r;
}

/* What was saved may be dropped next: its name is on disk first. */
static int
flush_name(const char *file)
{
	char *path = strdup(file), *slash;
	int fd, r = 0;

	if (path == NULL)
		return -ENOMEM;
	slash = strrchr(path, '/');
	if (slash != NULL)
		slash[slash == path] = '\0';
	fd = open(slash != NULL ? path : ".",
		  O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || (fsync(fd) < 0 && errno != EINVAL))
		r = -errno;
	if (fd >= 0)
		close(fd);
	free(path);
	return r;
}

int
gate_quarantine_save(struct gate *g, uint64_t id, const char *file,
		     uint64_t *missing)
{
	struct quarantined *k = NULL;
	int r = quarantined_open(g, id, &k), fd;

	if (r < 0)
		return r;
	fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0) {
		r = -errno;
	} else {
		r = copy_out(k, fd);
		if (close(fd) < 0 && r == 0)
			r = -errno;
		if (r == 0)
			r = flush_name(file);
		if (r < 0)
			(void)unlink(file);
	}
	if (r == 0)
		*missing = k->missing;
	quarantined_close(&k);
	return r;
}

/* ---- drop ---- */

/*
 * The file leaves under another name first: whatever a crash comes between,
 * there is a row with its bytes, or neither (quarantine_recover).
 */
int
gate_quarantine_drop(struct gate *g, uint64_t id)
{
	struct meta_batch *b;
	char name[64], dropped[80];
	int r;

	wait_for_files(g);
	r = quarantine_find(g, id, NULL);
	if (r < 0)
		return r;
	quarantine_file_name(id, name);
	snprintf(dropped, sizeof(dropped), "%s%s", name, QUARANTINE_DROPPED);
	quarantine_moving(g, true);
	if (renameat(g->data_dir, name, g->data_dir, dropped) < 0 &&
	    errno != ENOENT)
		r = -errno;
	failpoint("drop-before-row");
	b = meta_batch_new();
	if (b != NULL)
		meta_del_quarantine(b, id);
	if (r == 0)
		r = meta_commit(g->meta, &b);
	meta_batch_free(&b);
	failpoint("drop-after-row");
	quarantine_moving(g, false);
	if (r == 0)
		(void)unlinkat(g->data_dir, dropped, 0);
	else
		(void)renameat(g->data_dir, dropped, g->data_dir, name);
	return r;
}

/* ---- once more ---- */

struct again {
	struct quarantined *k;
	bool by_itself;		/* nobody has asked for it: again.c */
	struct s3_headers headers;
	struct s3_cond cond;
	struct s3_error err;
};

struct range {			/* of the file, for one request */
	struct quarantined *k;
	uint64_t off;
	char *memory;		/* its bytes, or NULL */
	uint64_t taken;		/* of the budget, for those */
};

static ssize_t
range_read(void *arg, uint64_t off, void *buf, size_t len)
{
	struct range *g = arg;
	int r;

	if (g->memory != NULL) {
		memcpy(buf, g->memory + off, len);
		return (ssize_t)len;
	}
	r = quarantined_read(g->k, g->off + off, buf, len, false);
	return r < 0 ? r : (ssize_t)len;
}

/* The base's bytes cannot be fetched from inside a request. */
static int
range_open(struct quarantined *k, uint64_t off, uint64_t len, struct range *out)
{
	*out = (struct range){ .k = k, .off = off };
	if (!needs_base(k, off, off + len))
		return 0;
	fetch_memory_borrow(k->x, len);
	out->taken = len;
	out->memory = malloc(len);
	return out->memory == NULL
		       ? -ENOMEM
		       : quarantined_read(k, off, out->memory, len, false);
}

static void
range_close(struct range *range)
{
	free(range->memory);
	if (range->taken > 0)
		fetch_memory_return(range->k->x, range->taken);
}

static int
put_whole(struct again *a)
{
	struct quarantined *k = a->k;
	struct range range;
	struct s3_source source = { k->q.size, range_read, &range, NULL };
	char etag[S3_ETAG_MAX];
	int r = range_open(k, 0, k->q.size, &range);

	if (r == 0)
		r = send_look(k->x, k->q.key, &a->cond, false, &a->err);
	if (r == 0)
		r = s3_put(k->x->s3, k->q.key, &source, &a->headers, &a->cond,
			   etag, &a->err);
	range_close(&range);
	return r;
}

static int
put_part(struct again *a, const char *upload, unsigned number,
	 const struct plan_part *part, char etag[S3_ETAG_MAX])
{
	struct quarantined *k = a->k;
	struct range range;
	struct s3_source source = { part->len, range_read, &range, NULL };
	int r;

	if (part->copy)
		return s3_upload_part_copy(k->x->s3, k->q.key, upload, number,
					   k->q.base_key, k->q.base_etag,
					   part->off, part->len, etag,
					   &a->err);
	r = range_open(k, part->off, part->len, &range);
	if (r == 0)
		r = s3_upload_part(k->x->s3, k->q.key, upload, number,
				   &source, etag, &a->err);
	range_close(&range);
	return r;
}

static int
put_parts(struct again *a)
{
	struct quarantined *k = a->k;
	struct gate_export *x = k->x;
	const struct plan_file file = {
		.size = k->q.size,
		.base_limit = k->q.base_limit,
		.staged = &k->staged,
		.part_size = x->c.part_size < S3_PART_MIN ? S3_PART_MIN
							  : x->c.part_size,
		.can_copy = upload_may_copy_parts(x),
		.equal = x->c.equal_parts,
	};
	struct plan_part *plan = NULL;
	struct s3_part *list = NULL;
	char *upload = NULL, etag[S3_ETAG_MAX];
	unsigned count = 0;
	int r = plan_parts(&file, &plan, &count);

	if (r == 0)
		list = calloc(count, sizeof(*list));
	if (r == 0 && list == NULL)
		r = -ENOMEM;
	if (r == 0)
		r = s3_upload_create(x->s3, k->q.key, &a->headers, &upload,
				     &a->err);
	for (unsigned i = 0; r == 0 && i < count; i++) {
		list[i].number = i + 1;
		list[i].size = plan[i].len;
		r = put_part(a, upload, i + 1, &plan[i], list[i].etag);
		failpoint("retry-part");
	}
	if (r == 0)
		r = send_look(x, k->q.key, &a->cond, true, &a->err);
	if (r == 0)
		r = s3_upload_complete(x->s3, k->q.key, upload, list, count,
				       &a->cond, etag, &a->err);
	if (r == 0 && s3_extras_ensure(x->s3, k->q.key, &a->headers,
				       NULL) < 0)
		gate_say(x->gate, 1, "tags are lost: key=%s", k->q.key);
	if (r < 0 && upload != NULL &&
	    s3_upload_abort(x->s3, k->q.key, upload, NULL) < 0)
		gate_say(x->gate, 1, "cannot abort a multipart upload: key=%s",
			 k->q.key);
	free(upload);
	free(list);
	free(plan);
	return r;
}

/* Parts of a try that a crash ended: begun since there is this entry, and not
 * by who came after that crash. */
static void
abort_parts(struct quarantined *k)
{
	if (delete_parts(k->x, k->q.key, k->q.since_ns,
			 k->x->gate->opened_ns) < 0)
		gate_say(k->x->gate, 1,
			 "cannot abort a multipart upload: key=%s", k->q.key);
}

/* Is the object at the key this version, stored by a try of which nothing
 * is known? */
static bool
is_stored(struct quarantined *k, const struct s3_object *o)
{
	struct meta_inode seen = { 0 };

	object_to_inode(k->x, k->q.key, o, &seen);
	return o->size == k->q.size && k->q.mtime_ns != 0 &&
	       seen.mtime_ns == k->q.mtime_ns && seen.mode == k->q.mode &&
	       seen.uid == k->q.uid && seen.gid == k->q.gid;
}

/*
 * What has to be at the key, and what the version carries beside its bytes.
 * A renamed file was to replace nothing under its new name.  1: it is in the
 * bucket already.
 */
static int
prepare(struct again *a)
{
	struct quarantined *k = a->k;
	const struct meta_quarantine *q = &k->q;
	struct gate_export *x = k->x;
	struct meta_inode row = {
		.kind = GATE_REG, .mode = q->mode, .uid = q->uid,
		.gid = q->gid, .mtime_ns = q->mtime_ns,
		.atime_ns = q->mtime_ns,
	};
	bool overwrite = x->c.on_conflict == GATE_CONFLICT_OVERWRITE &&
			 !a->by_itself;
	bool same = q->base_etag[0] != '\0' && strcmp(q->base_key, q->key) == 0;
	struct s3_object o = { 0 };
	bool whole = !needs_base(k, 0, q->size);
	int r = s3_head(x->s3, q->key, &o, &a->err);

	/* They removed it: then it is ours to make, if we have all of it, and
	 * somebody wants it. */
	if (!a->by_itself)
		same &= r != -ENOENT || !whole;
	if (r == 0 && is_stored(k, &o))
		r = 1;
	else if (r == 0 && !overwrite && !same)
		r = -EEXIST;
	else if (r == 0 && !overwrite && strcmp(o.etag, q->base_etag) != 0)
		r = -ESTALE;
	else if (r == -ENOENT)
		r = same ? -ESTALE : 0;
	if (r == 0)
		r = s3_headers_copy(&o.headers, &a->headers);
	if (r == 0)
		r = object_headers(x, &row, &a->headers);
	if (r == 0)
		r = link_mark_write(x, q->key, &row, 0, &a->headers);
	if (r == 0 && o.etag[0] != '\0')
		r = s3_extras(x->s3, q->key, &o, false, &a->headers, &a->err);
	s3_object_free(&o);
	if (!overwrite && same)
		a->cond.if_match = q->base_etag;
	else if (!overwrite)
		a->cond.if_none_match = true;
	return r;
}

/* The key is ours. */
static int
try_again(struct again *a)
{
	struct quarantined *k = a->k;
	bool large = k->q.size > SMALL_UPLOAD;
	int r;

	if (large)
		abort_parts(k);
	r = prepare(a);
	failpoint("retry-before-put");
	if (r == 0)
		r = large ? put_parts(a) : put_whole(a);
	failpoint("retry-after-put");
	return r < 0 ? r : 0;
}

/* Is its name in somebody's hands, or to be deleted? */
static bool
is_busy(struct quarantined *k)
{
	struct node *n = NULL;
	bool busy = delete_pending(k->x, k->q.key);

	if (!busy && path_walk(k->x->gate, k->q.path, &n) == 0) {
		mutex_lock(&n->mutex);
		busy = node_is_local_locked(n);
		mutex_unlock(&n->mutex);
	}
	node_put(&n);
	return busy;
}

/* See it at once; else the next look finds it. */
static void
show(struct gate *g, const char *path)
{
	char *dir = strdup(path), *slash;

	slash = dir == NULL ? NULL : strrchr(dir, '/');
	if (slash != NULL) {
		*slash = '\0';
		if (gate_refresh(g, dir) < 0)
			gate_say(g, 2, "cannot refresh path=%s", dir);
	}
	free(dir);
}

struct newer {
	const struct meta_quarantine *than;
	bool found;
};

/* Another version of the same file was refused after it. */
static int
is_newer(void *arg, const struct meta_quarantine *q)
{
	struct newer *n = arg;

	n->found = q->id > n->than->id &&
		   q->export_id == n->than->export_id &&
		   strcmp(q->key, n->than->key) == 0;
	return n->found;
}

/* Without anybody's word only what S3 refused goes to where it was to go, and
 * only onto what it was made from: not what a silent writer left half, nor an
 * older version before a newer one, nor a file that was renamed (its old name
 * is in use again). */
static int
may_by_itself(struct gate *g, struct quarantined *k)
{
	const struct meta_quarantine *q = &k->q;
	struct newer newer = { q, false };
	int r;

	if (!q->refused ||
	    (q->base_etag[0] != '\0' && strcmp(q->base_key, q->key) != 0))
		return -ENOTSUP;
	r = meta_each_quarantine(g->meta, is_newer, &newer);
	return r == 0 && newer.found ? -ESTALE : r;
}

int
quarantine_retry(struct gate *g, uint64_t id, bool by_itself, char why[256])
{
	struct again a = { .by_itself = by_itself };
	int r = quarantined_open(g, id, &a.k);

	why[0] = '\0';
	if (r < 0)
		return r;
	if (by_itself)
		r = may_by_itself(g, a.k);
	if (r < 0)
		;
	else if (a.k->q.key[0] == '\0')
		r = -ENOTSUP;	/* upload/stray.c */
	else if (a.k->x == NULL)
		r = -ENODEV;
	else if (is_busy(a.k))
		r = -EBUSY;
	else
		r = key_take(a.k->x, a.k->q.key, KEY_ROW | id);
	if (r == 0) {
		r = try_again(&a);
		key_release(a.k->x, a.k->q.key, KEY_ROW | id);
	}
	if (r < 0 && (a.err.code[0] != '\0' || a.err.message[0] != '\0'))
		snprintf(why, 256, "%s%s%.150s", a.err.code,
			 a.err.code[0] != '\0' ? ": " : "", a.err.message);
	s3_headers_free(&a.headers);
	if (r == 0) {
		show(g, a.k->q.path);
		r = gate_quarantine_drop(g, id);
	}
	quarantined_close(&a.k);
	return r;
}

int
gate_quarantine_retry(struct gate *g, uint64_t id, char why[256])
{
	return quarantine_retry(g, id, false, why);
}
