/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CREATE, MKDIR, SYMLINK, MKNOD: a new inode, its name, its pseudo-handle and the
 * upload that S3 is owed, in one transaction.
 *
 * Whether the name is free is asked before the directory is locked, since S3
 * may have to be asked; under the lock memory and SQLite are looked at once
 * more.  An object that appears in S3 in between is found by the conditional
 * upload.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/link.h"
#include "nfsd/gate/silence.h"

#define ROWS 8192		/* bytes on the disk for a new name */

struct recipe {			/* what is to be made */
	int kind;
	uint32_t default_mode;
	const struct gate_setattr *set;
	const char *target;	/* symlink */
	const uint8_t *verf;	/* EXCLUSIVE */
	bool opens;		/* a handle begins */
	bool guarded;		/* sent again it would find EEXIST */
	uint32_t rdev_major, rdev_minor;	/* devices */
};

static int
fill_row(struct gate_export *x, struct gate_request *rq,
	 const struct meta_inode *dir, const struct recipe *rec,
	 struct meta_inode *row)
{
	const struct gate_setattr *set = rec->set;
	int64_t now = clock_ns();

	*row = (struct meta_inode){
		.export_id = x->id,
		.generation = x->gate->generation,
		.kind = rec->kind,
		.mode = rec->default_mode,
		.uid = rq->cred.uid,
		.gid = rq->cred.gid,
		.nlink = rec->kind == GATE_DIR ? 2 : 1,
		.rdev_major = rec->rdev_major,
		.rdev_minor = rec->rdev_minor,
		.atime_ns = now,
		.mtime_ns = now,
		.ctime_ns = now,
		.btime_ns = now,
		.attr_known = true,
		.data_dirty = true,
		.attr_dirty = true,
	};
	/* A setgid directory hands its group down (and to directories, the
	 * bit itself). */
	if (dir->mode & 02000) {
		row->gid = dir->gid;
		if (rec->kind == GATE_DIR)
			row->mode |= 02000;
	}
	if (set != NULL) {
		uint32_t keep = row->mode & 02000;

		if (set->set_mode)
			row->mode = (set->mode & 07777) |
				    (rec->kind == GATE_DIR ? keep : 0);
		if (set->set_uid && rq->cred.uid == 0)
			row->uid = set->uid;
		if (set->set_gid &&
		    (rq->cred.uid == 0 || perm_in_group(rq, set->gid)))
			row->gid = set->gid;
		if (set->atime_how == GATE_TIME_CLIENT)
			row->atime_ns = set->atime_ns;
		if (set->mtime_how == GATE_TIME_CLIENT)
			row->mtime_ns = set->mtime_ns;
		if (set->set_size && rec->kind == GATE_REG)
			row->size = set->size;
		if (rec->kind == GATE_REG && rq->cred.uid != 0 &&
		    (row->mode & 02000) && !perm_in_group(rq, row->gid))
			row->mode &= ~02000U;
	}
	if (rec->verf != NULL) {
		row->has_verf = true;
		memcpy(row->verf, rec->verf, 8);
	}
	return meta_new_ino(x->gate->meta, &row->ino);
}

/* It is not on disk and never will be: nobody was told of it but clients that
 * looked in the meantime, and they see it go. */
static void
unmake(struct node *n)
{
	node_unname(n);
	subdirs_gone(n);
	pthread_mutex_lock(&n->mutex);
	if (n->h.state != META_NONE)
		admit_drop_locked(n);
	n->up.pending = false;
	__atomic_store_n(&n->dead, true, __ATOMIC_RELEASE);
	node_changed_locked(n);
	pthread_mutex_unlock(&n->mutex);
}

/* On its way to disk, or there, or not: subdirs_count() has to wait. */
static void
count_making(struct node *dir, int by)
{
	pthread_mutex_lock(&dir->mutex);
	dir->making += (unsigned)by;
	pthread_mutex_unlock(&dir->mutex);
}

/*
 * The directory lock is held and the name is free.  On success the file is
 * in memory and its rows are handed over; the caller lets go of the directory
 * and waits for *ticket before it answers, so that creates in one directory
 * share their flushes.
 */
static int
make(struct change_dir *d, struct gate_request *rq, const char *name,
     const struct recipe *rec, struct node **out, struct meta_batch **ticket)
{
	struct gate_export *x = d->node->export;
	struct gate *g = x->gate;
	struct meta_inode row;
	struct meta_name entry = { .parent = d->node->ino };
	struct meta_handle handle = { .state = META_ACTIVE, .generation = 1,
				      .opened_ns = clock_ns(),
				      .created = true };
	struct meta_upload upload = { .since_ns = clock_ns() };
	struct meta_batch *b;
	char key[META_KEY_MAX + 2];
	struct node *n = NULL;
	int r = path_child_key(d->node, name, rec->kind == GATE_DIR, key);

	if (r == 0 && rec->opens)
		r = admit_room(x, rq);
	if (r == 0 && room_short(g))
		room_make(g);
	if (r == 0)
		r = room_reserve(g, ROWS, 0);
	if (r == -EAGAIN && rq->again == GATE_AGAIN_NONE)
		rq->again = GATE_JUKEBOX;
	if (r < 0)
		return r;
	r = fill_row(x, rq, &d->row, rec, &row);
	if (r == 0)
		r = meta_new_name_id(g->meta, &entry.id);
	if (r < 0)
		return r;
	row.local_only = name_is_silly(name);
	row.target = (char *)rec->target;
	if (rec->target != NULL)
		row.size = strlen(rec->target);
	entry.ino = row.ino;
	entry.kind = row.kind;
	strcpy(entry.name, name);
	handle.ino = upload.ino = row.ino;
	who_text(x, rq, handle.who);
	if (rec->kind == GATE_DIR)
		subdirs_more(&d->row);
	b = meta_batch_new();
	if (b == NULL)
		return -ENOMEM;
	meta_add_inode(b, &row);
	meta_add_name(b, &entry);
	meta_put_inode(b, &d->row);
	if (rec->opens)
		meta_put_handle(b, &handle);
	if (!row.local_only)
		meta_put_upload(b, &upload);
	/* A CREATE that may meet a file of its own need not be remembered:
	 * sent again it finds the file, or its verifier. */
	if (rec->guarded)
		replay_note(b, rq, &row);
	r = node_add(x, &row, &entry, true, &n);
	if (r == 0) {
		failpoint("create-before-commit");
		r = meta_submit(g->meta, &b);
		if (r < 0) {
			unmake(n);
			node_unlock(n);
		}
	}
	if (r < 0) {
		meta_batch_free(&b);
		node_put(&n);
		return r;
	}
	*ticket = b;
	negative_del(g, d->node->ino, name);
	change_dir_apply(d);
	if (rec->kind == GATE_DIR)
		count_making(d->node, 1);
	pthread_mutex_lock(&n->mutex);
	if (rec->opens) {
		uint64_t now = run_ms(g);

		n->h = handle;
		n->h.state = META_NONE;
		handle_move_locked(n, META_EV_OPEN);
		n->h_opened_ms = n->h_last_ms = now;
		n->lease_ms = x->c.lease_ms;
		n->settle_empty = true;
		silence_opened_locked(n, NULL);
		node_tick_run_locked(n, now + x->c.create_settle_ms);
	}
	if (rec->kind == GATE_DIR)
		scan_set_empty_locked(n);
	if (!row.local_only) {
		upload_row_begin_locked(n, upload.since_ns);
		n->up.pending = true;
		n->up.dirty_ms = clock_ms();
		n->up.due_ms = n->up.dirty_ms + x->c.settle_ms;
		if (rec->opens)
			upload_schedule_locked(n, false);
	}
	node_unlock_locked(n);
	pthread_mutex_unlock(&n->mutex);
	*out = n;
	return 0;
}

static void
answer(struct node *n, const struct gate_request *rq, struct gate_fh *out,
       struct gate_attr *attr)
{
	out->ino = n->ino;
	out->generation = n->i.generation;
	node_attr(n, rq, attr);
}

/* CREATE on a name that is taken (RFC 1813 3.3.8). */
static int
open_existing(struct node *n, struct gate_request *rq, enum gate_how how,
	      const struct gate_setattr *set, const uint8_t verf[8])
{
	struct gate_fh fh = { n->ino, n->i.generation };
	struct gate_setattr size = { .set_size = true };
	int kind;

	if (how == GATE_GUARDED)
		return -EEXIST;
	if (how == GATE_EXCLUSIVE)
		/* The same call again, perhaps after a restart: success. */
		return n->i.has_verf && memcmp(n->i.verf, verf, 8) == 0
			       ? 0
			       : -EEXIST;
	kind = node_kind(n);
	if (kind == GATE_DIR)
		return -EISDIR;
	if (kind != GATE_REG)
		return -EEXIST;
	/* UNCHECKED on an existing file: only the size counts, and it is an
	 * open for writing (rule.md 2). */
	if (set == NULL || !set->set_size) {
		admit_looked(n, rq, true);
		return 0;
	}
	size.size = set->size;
	return gate_setattr(n->export, rq, &fh, &size, NULL, NULL);
}

static uint64_t
merges_of(struct node *dir)
{
	uint64_t merges;

	pthread_mutex_lock(&dir->mutex);
	merges = dir->merges;
	pthread_mutex_unlock(&dir->mutex);
	return merges;
}

/*
 * The name was not there before the directory was locked.  Who has made it
 * since has it in memory; only a listing adds names to SQLite alone.
 */
static int
lookup_again(struct change_dir *d, struct gate_request *rq, const char *name,
	     uint64_t merges, struct node **out)
{
	if (merges_of(d->node) != merges) {
		int r = lookup_known(d->node, rq, name, out);

		return r < 0 ? r : link_resolve(out, rq);
	}
	*out = node_find_child(d->node->export->gate, d->node->ino, name);
	return *out != NULL ? link_resolve(out, rq) : -ENOENT;
}

/* What is not written to will not change soon.  S3 must not have them
 * before the row is safe: a crash in between would leave an object that makes
 * the repeated call fail with EXIST. */
static void
made_for_good(struct node *n)
{
	pthread_mutex_lock(&n->mutex);
	upload_schedule_locked(n, true);
	pthread_mutex_unlock(&n->mutex);
}

/* *raced: the file that bore the name was removed meanwhile. */
static int
make_once(struct gate_export *x, struct gate_request *rq,
	  const struct gate_fh *dir, const char *name,
	  const struct recipe *rec, enum gate_how how, struct gate_fh *out,
	  struct gate_attr *attr, struct gate_wcc *wcc, bool *raced)
{
	struct change_dir d;
	struct meta_batch *ticket = NULL;
	struct node *n = NULL;
	bool existed = false;
	uint64_t merges = 0;
	int r = change_dir_begin(x, rq, dir, name, wcc, &d);

	if (r == 0) {
		merges = merges_of(d.node);
		r = lookup_child(d.node, rq, name, &n);
		existed = r == 0;
		if (r == -ENOENT)
			r = perm_allows(rq, node_perm(d.node),
					MAY_WRITE | MAY_EXEC)
				    ? 0
				    : -EACCES;
	}
	if (r == 0 && !existed) {
		r = change_dir_lock(&d, rq);
		if (r == 0) {
			r = lookup_again(&d, rq, name, merges, &n);
			existed = r == 0;
			if (r == -ENOENT)
				r = make(&d, rq, name, rec, &n, &ticket);
		}
		if (d.locked) {
			node_unlock(d.node);
			d.locked = false;
		}
		if (ticket != NULL) {
			r = meta_wait(x->gate->meta, &ticket);
			failpoint("create-after-commit");
			if (rec->kind == GATE_DIR)
				count_making(d.node, -1);
			if (r < 0)
				unmake(n);
			else if (!rec->opens)
				made_for_good(n);
		}
	}
	if (r == 0 && existed)
		r = rec->opens ? open_existing(n, rq, how, rec->set, rec->verf)
			       : -EEXIST;
	*raced = existed && r == -ESTALE;
	if (r == 0)
		answer(n, rq, out, attr);
	node_put(&n);
	change_dir_end(&d, rq, wcc);
	return r;
}

/* NFS3ERR_STALE would be said of the directory (RFC 1813 3.3.8). */
static int
make_named(struct gate_export *x, struct gate_request *rq,
	   const struct gate_fh *dir, const char *name,
	   const struct recipe *rec, enum gate_how how, struct gate_fh *out,
	   struct gate_attr *attr, struct gate_wcc *wcc)
{
	bool raced = true;
	int r = -ESTALE;

	for (int tries = 0; raced && tries < 8; tries++)
		r = make_once(x, rq, dir, name, rec, how, out, attr, wcc,
			      &raced);
	if (raced) {
		rq->again = GATE_JUKEBOX;
		r = -EAGAIN;
	}
	return r;
}

int
gate_create(struct gate_export *x, struct gate_request *rq,
	    const struct gate_fh *dir, const char *name, enum gate_how how,
	    const struct gate_setattr *set, const uint8_t verf[8],
	    struct gate_fh *out, struct gate_attr *attr,
	    struct gate_wcc *dir_wcc)
{
	struct recipe rec = {
		.kind = GATE_REG,
		.default_mode = how == GATE_EXCLUSIVE ? 0600 : 0644,
		.set = how == GATE_EXCLUSIVE ? NULL : set,
		.verf = how == GATE_EXCLUSIVE ? verf : NULL,
		.opens = true,
		.guarded = how == GATE_GUARDED,
	};

	return make_named(x, rq, dir, name, &rec, how, out, attr, dir_wcc);
}

int
gate_mkdir(struct gate_export *x, struct gate_request *rq,
	   const struct gate_fh *dir, const char *name,
	   const struct gate_setattr *set, struct gate_fh *out,
	   struct gate_attr *attr, struct gate_wcc *dir_wcc)
{
	struct recipe rec = { .kind = GATE_DIR, .default_mode = 0755,
			      .set = set, .guarded = true };

	return make_named(x, rq, dir, name, &rec, GATE_GUARDED, out, attr,
			  dir_wcc);
}

int
gate_symlink(struct gate_export *x, struct gate_request *rq,
	     const struct gate_fh *dir, const char *name, const char *target,
	     const struct gate_setattr *set, struct gate_fh *out,
	     struct gate_attr *attr, struct gate_wcc *dir_wcc)
{
	struct recipe rec = { .kind = GATE_LNK, .default_mode = 0777,
			      .set = set, .target = target,
			      .guarded = true };
	size_t len = strlen(target);

	if (len == 0 || len > GATE_PATH_MAX)
		return len == 0 ? -EINVAL : -ENAMETOOLONG;
	return make_named(x, rq, dir, name, &rec, GATE_GUARDED, out, attr,
			  dir_wcc);
}

int
gate_mknod(struct gate_export *x, struct gate_request *rq,
	   const struct gate_fh *dir, const char *name, enum gate_kind kind,
	   uint32_t major, uint32_t minor, const struct gate_setattr *set,
	   struct gate_fh *out, struct gate_attr *attr,
	   struct gate_wcc *dir_wcc)
{
	bool device = kind == GATE_BLK || kind == GATE_CHR;
	struct recipe rec = { .kind = (int)kind, .default_mode = 0644,
			      .set = set, .guarded = true,
			      .rdev_major = device ? major : 0,
			      .rdev_minor = device ? minor : 0 };

	if (!device && kind != GATE_SOCK && kind != GATE_FIFO)
		return -EPROTOTYPE;
	/* As mknod(2): a device is a way around permissions. */
	if (device && rq->cred.uid != 0)
		return -EPERM;
	return make_named(x, rq, dir, name, &rec, GATE_GUARDED, out, attr,
			  dir_wcc);
}
