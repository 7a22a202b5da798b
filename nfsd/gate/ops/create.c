/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CREATE, MKDIR, SYMLINK, MKNOD: a new inode, its name, its pseudo-handle and
 * the upload that S3 is owed, in one transaction.
 *
 * Whether the name is free is asked before the directory is locked, since S3
 * may have to be asked; under the lock memory and SQLite are looked at once
 * more.  An object that appears in S3 in between is found by the conditional
 * upload.
 */

#include <config.h>

#include <errno.h>
#include <string.h>

#include "nfsd/gate/cache/cache.h"
#include "nfsd/gate/change/change.h"
#include "nfsd/gate/dir/dir.h"
#include "nfsd/gate/keys/keys.h"
#include "nfsd/gate/link/link.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/ops/inside.h"
#include "nfsd/gate/path/path.h"
#include "nfsd/gate/pending/pending.h"
#include "nfsd/gate/worker/worker.h"
#include "nfsd/gate/writer/writer.h"

#define ROWS 8192		/* bytes on the disk for a new name */

struct recipe {			/* what is to be made */
	const struct gate_fh *dir;
	const char *name;
	enum gate_how how;
	int kind;
	uint32_t default_mode;
	const struct gate_setattr *set;
	const char *target;	/* symlink */
	const uint8_t *verf;	/* EXCLUSIVE */
	bool opens;		/* a handle begins */
	uint32_t rdev_major, rdev_minor;	/* devices */
};

struct reply {			/* where the caller wants to have it told */
	struct gate_fh *fh;
	struct gate_attr *attr;
	struct gate_wcc *wcc;
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
		.generation = gate_generation(x->gate),
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
		if (set->set_size && rec->kind == GATE_REG &&
		    (set->size > FILE_SIZE_MAX ||
		     (x->c.max_hole != 0 && set->size > x->c.max_hole)))
			return -EFBIG;
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

/* One that is being made. */
struct making {
	struct change_dir *d;
	const struct recipe *rec;
	struct meta_inode row;
	struct meta_name entry;
	struct meta_handle handle;
	struct node *node;		/* its lock is held */
	int64_t dir_mtime_ns, dir_ctime_ns;	/* as they were */
	bool counted;			/* in the directory's links */
};

/* On its way to disk, or there, or not: nlink_count() has to wait. */
static void
count_making(struct node *dir, int by)
{
	mutex_lock(&dir->mutex);
	dir->making += (unsigned)by;
	mutex_unlock(&dir->mutex);
}

/* The directory as it was, where nobody has changed it since.  Others may have
 * written its row with what is taken back here: once more.  Only posted; the
 * count of links is set right by the next listing. */
static void
detach_made_in_dir(const struct making *m)
{
	struct node *dir = m->d->node;
	struct meta_batch *b = meta_batch_new();

	node_lock_wait(dir);
	mutex_lock(&dir->mutex);
	if (dir->i.mtime_ns == m->d->row.mtime_ns &&
	    dir->i.ctime_ns == m->d->row.ctime_ns) {
		dir->i.mtime_ns = m->dir_mtime_ns;
		dir->i.ctime_ns = m->dir_ctime_ns;
	}
	if (m->counted)
		nlink_less(&dir->i);
	if (!dir->dead)
		meta_put_inode(b, &dir->i);
	meta_post(dir->export->gate->meta, &b);
	node_unlock_locked(dir);
	mutex_unlock(&dir->mutex);
}

/* It is not on disk and never will be: nobody was told of it but clients that
 * looked in the meantime, and they see it go. */
static void
detach_made(struct node *n)
{
	node_unname(n);
	nlink_gone(n);
	mutex_lock(&n->mutex);
	__atomic_store_n(&n->dead, true, __ATOMIC_RELEASE);
	node_changed_locked(n);
	node_unlock_locked(n);
	mutex_unlock(&n->mutex);
}

/* It is on disk.  What is not written to will not change soon.  S3 must not
 * have that before the row is safe: a crash in between would leave an object
 * that makes the repeated call fail with EXIST. */
static void
made(const struct making *m)
{
	struct node *n = m->node;
	const struct gate_export_config *c = &n->export->c;
	uint64_t now = run_ms(n->export->gate);

	mutex_lock(&n->mutex);
	n->unsure = false;
	if (m->rec->opens) {
		n->h = m->handle;
		n->h.state = META_NONE;
		handle_transition_locked(n, META_EV_OPEN);
		n->h_opened_ms = n->h_last_ms = now;
		n->lease_ms = c->lease_ms;
		n->flush_empty = true;
		silence_opened_locked(n, NULL);
		node_tick_run_locked(n, now + c->create_settle_ms);
	}
	if (m->rec->kind == GATE_DIR)
		scan_set_empty_locked(n);
	upload_schedule_locked(n, !m->rec->opens);
	node_unlock_locked(n);
	mutex_unlock(&n->mutex);
}

static int
may_make(struct gate_export *x, struct gate_request *rq,
	 const struct recipe *rec)
{
	int r = node_room(x, rq);

	if (r == 0 && rec->opens)
		r = admit_room(x, rq);
	if (r == 0 && space_short(x->gate))
		space_make(x->gate);
	if (r == 0)
		r = space_reserve(x, ROWS, 0);
	if (r == -EAGAIN && rq->again == GATE_AGAIN_NONE)
		rq->again = GATE_JUKEBOX;
	return r;
}

static int
making_fill(struct making *m, struct gate_request *rq, const char *name)
{
	struct gate_export *x = m->d->node->export;
	const struct recipe *rec = m->rec;
	int r = fill_row(x, rq, &m->d->row, rec, &m->row);

	if (r == 0)
		r = meta_new_name_id(x->gate->meta, &m->entry.id);
	if (r < 0)
		return r;
	m->row.local_only = name_is_silly(name);
	m->row.listed = rec->kind == GATE_DIR;
	m->row.target = (char *)rec->target;
	if (rec->target != NULL)
		m->row.size = strlen(rec->target);
	m->entry.parent = m->d->node->ino;
	m->entry.ino = m->row.ino;
	m->entry.kind = m->row.kind;
	strcpy(m->entry.name, name);
	m->handle = (struct meta_handle){ .ino = m->row.ino,
					  .state = META_ACTIVE,
					  .generation = 1,
					  .opened_ns = clock_ns(),
					  .created = true };
	client_id_text(x, rq, m->handle.who);
	m->dir_mtime_ns = m->d->node->i.mtime_ns;
	m->dir_ctime_ns = m->d->node->i.ctime_ns;
	if (rec->kind == GATE_DIR) {
		nlink_more(&m->d->row);
		m->counted = m->d->row.nlink != m->d->node->i.nlink;
	}
	return 0;
}

static void
making_rows(struct making *m, struct gate_request *rq, struct change *c)
{
	meta_add_inode(c->batch, &m->row);
	meta_add_name(c->batch, &m->entry);
	meta_put_inode(c->batch, &m->d->row);
	if (m->rec->opens)
		meta_put_handle(c->batch, &m->handle);
	mutex_lock(&m->node->mutex);
	change_upload_locked(c, m->node, &m->row);
	mutex_unlock(&m->node->mutex);
	/* A CREATE that may meet a file of its own need not be remembered:
	 * sent again it finds the file, or its verifier. */
	if (m->rec->how == GATE_GUARDED)
		drc_note(c->batch, rq, &m->row);
}

/*
 * The directory lock is held and the name is free.  On success the file is
 * in memory, locked, and its rows are handed over; the caller lets go of the
 * directory and waits for them before it answers (make_end), so that creates
 * in one directory share their flushes.
 */
static int
make(struct making *m, struct gate_request *rq, const char *name,
     struct change *c)
{
	struct node *dir = m->d->node;
	struct gate_export *x = dir->export;
	char key[META_KEY_MAX + 2];
	int r = path_child_key(dir, name, m->rec->kind == GATE_DIR, key);

	if (r == 0)
		r = may_make(x, rq, m->rec);
	if (r == 0)
		r = making_fill(m, rq, name);
	if (r == 0)
		r = node_add(x, &m->row, &m->entry, true, &m->node);
	if (r < 0)
		return r;
	mutex_lock(&m->node->mutex);
	m->node->unsure = true;
	mutex_unlock(&m->node->mutex);
	making_rows(m, rq, c);
	failpoint("create-before-commit");
	r = change_submit(c);
	if (r < 0) {
		detach_made(m->node);
		return r;
	}
	negative_del(x->gate, dir->ino, name);
	change_dir_apply(m->d);
	if (m->rec->kind == GATE_DIR)
		count_making(dir, 1);
	return 0;
}

static int
make_end(struct making *m, struct change *c)
{
	int r = change_wait(c);

	failpoint("create-after-commit");
	if (m->rec->kind == GATE_DIR)
		count_making(m->d->node, -1);
	if (r == 0) {
		made(m);
	} else {
		detach_made(m->node);
		detach_made_in_dir(m);
	}
	return r;
}

static void
answer(struct node *n, const struct gate_request *rq, struct gate_fh *out,
       struct gate_attr *attr)
{
	*out = node_fh(n);
	node_attr(n, rq, attr);
}

/* Another CREATE has it in memory already: it is there when that one's rows
 * are on disk.  -ESTALE: they will not be. */
static int
wait_made(struct node *n, struct gate_request *rq)
{
	bool unsure;
	int r;

	mutex_lock(&n->mutex);
	unsure = n->unsure;
	mutex_unlock(&n->mutex);
	r = unsure ? node_lock(n, rq) : 0;
	if (unsure && r == 0)
		node_unlock(n);
	return r == 0 && node_dead(n) ? -ESTALE : r;
}

/* CREATE on a name that is taken (RFC 1813 3.3.8). */
static int
open_existing(struct node *n, struct gate_request *rq,
	      const struct recipe *rec)
{
	struct gate_fh fh = node_fh(n);
	struct gate_setattr size = { .set_size = true };
	int kind, r = wait_made(n, rq);

	if (r < 0)
		return r;
	if (rec->how == GATE_GUARDED)
		return -EEXIST;
	if (rec->how == GATE_EXCLUSIVE) {
		/* The same call again, perhaps after a restart: success. */
		mutex_lock(&n->mutex);
		if (!n->i.has_verf || memcmp(n->i.verf, rec->verf, 8) != 0)
			r = -EEXIST;
		mutex_unlock(&n->mutex);
		return r;
	}
	kind = node_kind(n);
	if (kind == GATE_DIR)
		return -EISDIR;
	if (kind != GATE_REG)
		return -EEXIST;
	/* UNCHECKED on an existing file: only the size counts, and it is an
	 * open for writing (rule.md 2). */
	if (rec->set == NULL || !rec->set->set_size) {
		admit_looked(n, rq, true);
		return 0;
	}
	size.size = rec->set->size;
	return gate_setattr(n->export, rq, &fh, &size, NULL, NULL);
}

static uint64_t
merges_of(struct node *dir)
{
	uint64_t merges;

	mutex_lock(&dir->mutex);
	merges = dir->merges;
	mutex_unlock(&dir->mutex);
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

/* *raced: the file that bore the name was removed meanwhile. */
static int
make_once(struct gate_export *x, struct gate_request *rq,
	  const struct recipe *rec, const struct reply *to, bool *raced)
{
	CLEANUP_CHANGE struct change c;
	struct change_dir d;
	struct making m = { .d = &d, .rec = rec };
	struct node *n = NULL;
	bool existed = false;
	uint64_t merges = 0;
	const char *name = rec->name;
	int r = change_dir_begin(x, rq, rec->dir, name, to->wcc, &d);

	change_begin(&c, x->gate);
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
				r = make(&m, rq, name, &c);
		}
		if (d.locked) {
			node_unlock(d.node);
			d.locked = false;
		}
		if (r == 0 && !existed)
			r = make_end(&m, &c);
		if (!existed)
			n = m.node;
	}
	if (r == 0 && existed)
		r = rec->opens ? open_existing(n, rq, rec) : -EEXIST;
	*raced = existed && r == -ESTALE;
	if (r == 0)
		answer(n, rq, to->fh, to->attr);
	node_put(&n);
	change_dir_end(&d, rq, to->wcc);
	return r;
}

/* NFS3ERR_STALE would be said of the directory (RFC 1813 3.3.8). */
static int
make_named(struct gate_export *x, struct gate_request *rq,
	   const struct recipe *rec, const struct reply *to)
{
	bool raced = true;
	int r = -ESTALE;

	for (int tries = 0; raced && tries < 8; tries++)
		r = make_once(x, rq, rec, to, &raced);
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
	const struct recipe rec = {
		.dir = dir,
		.name = name,
		.how = how,
		.kind = GATE_REG,
		.default_mode = how == GATE_EXCLUSIVE ? 0600 : 0644,
		.set = how == GATE_EXCLUSIVE ? NULL : set,
		.verf = how == GATE_EXCLUSIVE ? verf : NULL,
		.opens = true,
	};
	const struct reply to = { out, attr, dir_wcc };

	return make_named(x, rq, &rec, &to);
}

int
gate_mkdir(struct gate_export *x, struct gate_request *rq,
	   const struct gate_fh *dir, const char *name,
	   const struct gate_setattr *set, struct gate_fh *out,
	   struct gate_attr *attr, struct gate_wcc *dir_wcc)
{
	const struct recipe rec = { .dir = dir, .name = name,
				    .how = GATE_GUARDED, .kind = GATE_DIR,
				    .default_mode = 0755, .set = set };
	const struct reply to = { out, attr, dir_wcc };

	return make_named(x, rq, &rec, &to);
}

int
gate_symlink(struct gate_export *x, struct gate_request *rq,
	     const struct gate_fh *dir, const char *name, const char *target,
	     const struct gate_setattr *set, struct gate_fh *out,
	     struct gate_attr *attr, struct gate_wcc *dir_wcc)
{
	const struct recipe rec = { .dir = dir, .name = name,
				    .how = GATE_GUARDED, .kind = GATE_LNK,
				    .default_mode = 0777, .set = set,
				    .target = target };
	const struct reply to = { out, attr, dir_wcc };
	size_t len = strlen(target);

	if (len == 0 || len > GATE_PATH_MAX)
		return len == 0 ? -EINVAL : -ENAMETOOLONG;
	return make_named(x, rq, &rec, &to);
}

int
gate_mknod(struct gate_export *x, struct gate_request *rq,
	   const struct gate_fh *dir, const char *name, enum gate_kind kind,
	   uint32_t major, uint32_t minor, const struct gate_setattr *set,
	   struct gate_fh *out, struct gate_attr *attr,
	   struct gate_wcc *dir_wcc)
{
	bool device = kind == GATE_BLK || kind == GATE_CHR;
	const struct recipe rec = { .dir = dir, .name = name,
				    .how = GATE_GUARDED, .kind = (int)kind,
				    .default_mode = 0644, .set = set,
				    .rdev_major = device ? major : 0,
				    .rdev_minor = device ? minor : 0 };
	const struct reply to = { out, attr, dir_wcc };

	if (!device && kind != GATE_SOCK && kind != GATE_FIFO)
		return -EPROTOTYPE;
	/* As mknod(2): a device is a way around permissions. */
	if (device && rq->cred.uid != 0)
		return -EPERM;
	return make_named(x, rq, &rec, &to);
}
