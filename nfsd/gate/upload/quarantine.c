/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Quarantine: bytes that S3 will not take.  COMMIT has promised them, so
 * they are kept: the data file moves to STATE_DIR/quarantine/ID, its extents
 * to rows of their own, and the file falls back to the version that S3 has;
 * if it has none, the name goes.  The writer and all who wait are told once.
 *
 * The data file gets its second name before the rows are written, and loses
 * the first one after that.  So a start never guesses which bytes an entry
 * means: it takes away the name that the rows do not give, of a file that has
 * both, and touches no other.
 *
 * What becomes of it is the operator's to say: quarantine_ctl.c.
 */

#include <config.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nfsd/gate/data/data.h"
#include "nfsd/gate/keys/keys.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/path/path.h"
#include "nfsd/gate/pending/pending.h"
#include "nfsd/gate/upload/inside.h"
#include "nfsd/gate/worker/worker.h"
#include "nfsd/gate/writer/writer.h"

/* The second name is on disk when this returns.  1: there is no file. */
static int
keep_file(struct gate *g, uint64_t ino, uint64_t id)
{
	char from[32], to[64];
	int dir, r;

	data_file_name(ino, from);
	quarantine_file_name(id, to);
	if (linkat(g->data_dir, from, g->data_dir, to, 0) < 0)
		return errno == ENOENT ? 1 : -errno;
	dir = openat(g->data_dir, "../quarantine",
		     O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = dir < 0 || fsync(dir) < 0 ? -EIO : 0;
	if (dir >= 0)
		close(dir);
	return r;
}

/* Of both names of a file take one away; of two files none. */
static void
leave_name(struct gate *g, const char *kept, const char *left)
{
	struct stat a, b;

	if (fstatat(g->data_dir, kept, &a, AT_SYMLINK_NOFOLLOW) == 0 &&
	    fstatat(g->data_dir, left, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
	    a.st_ino == b.st_ino && a.st_dev == b.st_dev)
		(void)unlinkat(g->data_dir, left, 0);
}

/* The rows say whose file it is: the entry's, or still the inode's. */
static void
one_name(struct gate *g, uint64_t ino, uint64_t id, bool is_quarantined)
{
	char data[32], kept[64];

	data_file_name(ino, data);
	quarantine_file_name(id, kept);
	if (is_quarantined)
		leave_name(g, kept, data);
	else
		leave_name(g, data, kept);
}

/* The row falls back to the object that S3 has. */
static void
fall_back(struct meta_inode *row)
{
	row->size = row->base_limit = row->base_size;
	row->data_dirty = row->attr_dirty = false;
	row->name_dirty = row->relocating;	/* it follows its directory */
	row->attr_known = false;
	row->ctime_ns = clock_ns();
}

static int
describe(struct node *n, const char *error, bool refused,
	 struct meta_quarantine *q)
{
	char key[META_KEY_MAX + 2];
	int r = meta_new_id(n->export->gate->meta, &q->id);

	if (r < 0)
		return r;
	q->export_id = n->export->id;
	q->ino = n->ino;
	path_text(n, q->path, sizeof(q->path));
	if (path_key(n, key) == 0)
		snprintf(q->key, sizeof(q->key), "%s", key);
	snprintf(q->error, sizeof(q->error), "%s", error);
	q->refused = refused;
	q->since_ns = clock_ns();
	mutex_lock(&n->mutex);
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
	mutex_unlock(&n->mutex);
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
	       (n->i.name_dirty && !n->i.relocating);
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

		r = meta_handle_transition(&handle, META_EV_REFUSED);
		if (r == 0)
			r = fence_room_locked(n, handle.who);
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
	if (n->i.name_dirty && !n->i.relocating && n->i.base_key[0] != '\0')
		hidden_del(n->export, n->i.base_key);
	mutex_lock(&n->mutex);
	/* Bytes on their way from the bucket go to the file that leaves. */
	while (n->d.writing > 0)
		mutex_wait(&n->mutex, &n->changed, NULL);
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
	indoubt_forget_locked(n, NULL);
	n->up.failing_ms = 0;
	n->up.refusals = 0;
	n->checked_ms = 0;
	quota_size_locked(n, n->i.size);
	n->content_version++;
	n->replaced++;
	/* Last: who is told finds the last good version. */
	if (handle_is_refused(n))
		handle_transition_locked(n, META_EV_REFUSED);
	admit_failed_locked(n);
	node_changed_locked(n);
	mutex_unlock(&n->mutex);
}

/* Whoever finds the row in between must not look for the file yet. */
void
quarantine_moving(struct gate *g, bool begins)
{
	mutex_lock(&g->mutex);
	g->setting_aside += begins ? 1 : -1U;
	pthread_cond_broadcast(&g->progress);
	mutex_unlock(&g->mutex);
}

/* q NULL: nothing is kept.  What is not there cannot be kept either. */
static int
set_aside(struct node *n, struct meta_quarantine *q)
{
	struct gate *g = n->export->gate;
	struct meta_inode row = { 0 };
	struct meta_batch *b = meta_batch_new();
	int r = b == NULL ? -ENOMEM : 0;

	mutex_lock(&n->mutex);
	if (r == 0)
		r = data_spill_locked(n);
	mutex_unlock(&n->mutex);
	if (r == 0)
		r = data_sync(n);
	if (r == 0 && q != NULL && q->bytes > 0)
		r = keep_file(g, n->ino, q->id);
	if (r == 1) {
		q->bytes = 0;
		r = 0;
	}
	if (r == 0) {
		/* Moves the extents' rows before the others are dropped. */
		if (q != NULL)
			meta_put_quarantine(b, q);
		mutex_lock(&n->mutex);
		r = fall_back_rows(n, b, &row);
		mutex_unlock(&n->mutex);
	}
	failpoint("quarantine-before-row");
	quarantine_moving(g, true);
	if (r == 0)
		r = meta_commit(g->meta, &b);
	meta_batch_free(&b);
	failpoint("quarantine-after-row");
	if (q != NULL && q->bytes > 0)
		one_name(g, n->ino, q->id, r == 0);
	quarantine_moving(g, false);
	failpoint("quarantine-after-file");
	if (r == 0)
		fall_back_memory(n, &row, q == NULL || q->bytes == 0);
	meta_inode_fini(&row);
	return r;
}

static int
put_aside(struct node *n, const char *error, bool refused)
{
	struct gate *g = n->export->gate;
	struct meta_quarantine *q = calloc(1, sizeof(*q));
	int r = q == NULL ? -ENOMEM : describe(n, error, refused, q);

	if (r == 0)
		r = set_aside(n, q);
	if (r == 0)
		gate_say(g, 0,
			 "%s; the bytes are kept: "
			 "id=%llu file=%s client=%s bytes=%llu error=%s",
			 refused ? "S3 refused an upload for good"
				 : "a version does not go to S3",
			 (unsigned long long)q->id, q->path, q->who,
			 (unsigned long long)q->bytes, error);
	free(q);
	return r;
}

int
quarantine_put(struct node *n, const char *error)
{
	return put_aside(n, error, true);
}

int
quarantine_keep(struct node *n, const char *why)
{
	return put_aside(n, why, false);
}

int
quarantine_fall_back(struct node *n)
{
	return set_aside(n, NULL);
}

/* ---- after a crash between the rows and the file's new place ---- */

static int
recover_row(void *arg, const struct meta_quarantine *q)
{
	struct gate *g = arg;
	char kept[64];

	one_name(g, q->ino, q->id, true);
	quarantine_file_name(q->id, kept);
	if (q->bytes > 0 && faccessat(g->data_dir, kept, F_OK, 0) < 0)
		gate_say(g, 0, "cannot find quarantined bytes: id=%llu "
			 "file=%s", (unsigned long long)q->id, q->path);
	return 0;
}

/*
 * Dropped, up to which step?  With a row it is kept still, and has its name
 * again.
 */
static void
recover_dropped(struct gate *g, uint64_t id, bool has_row)
{
	char kept[64], dropped[80];

	quarantine_file_name(id, kept);
	snprintf(dropped, sizeof(dropped), "%s%s", kept, QUARANTINE_DROPPED);
	if (has_row)
		(void)renameat(g->data_dir, dropped, g->data_dir, kept);
	else
		(void)unlinkat(g->data_dir, dropped, 0);
}

/* It has no row.  A second name of a data file whose rows were not written:
 * the file stays under its first.  Others are kept: numbered ones with a row,
 * as the number may be given again. */
static int
recover_strange(struct gate *g, const char *name, bool numbered)
{
	struct stat st;
	char path[300];

	snprintf(path, sizeof(path), "../quarantine/%s", name);
	if (fstatat(g->data_dir, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (numbered && S_ISREG(st.st_mode) && st.st_nlink > 1) {
		(void)unlinkat(g->data_dir, path, 0);
		return 0;
	}
	if (numbered && S_ISREG(st.st_mode) && st.st_blocks > 0)
		return stray_keep(g, path, "the database does not know it");
	gate_say(g, 1, "nothing tells what this file is; it is left alone: "
		 "%s/quarantine/%s", g->state_dir, name);
	return 0;
}

static int
recover_file(struct gate *g, const char *name)
{
	char *end;
	uint64_t id = strtoull(name, &end, 16);
	int r;

	if (name[0] == '.')
		return 0;
	r = quarantine_find(g, id, NULL);
	if (r < 0 && r != -ENOENT)
		return r;
	if (end == name + 16 && strcmp(end, QUARANTINE_DROPPED) == 0)
		recover_dropped(g, id, r == 0);
	else if (end != name + 16 || *end != '\0' || r == -ENOENT)
		return recover_strange(g, name,
				       end == name + 16 && *end == '\0');
	return 0;
}

static int
recover_files(struct gate *g)
{
	struct dirent *entry;
	int fd = openat(g->data_dir, "../quarantine",
			O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	int r = 0;

	if (dir == NULL)
		return -errno;
	while (r == 0 && (entry = readdir(dir)) != NULL)
		r = recover_file(g, entry->d_name);
	closedir(dir);
	return r;
}

int
quarantine_recover(struct gate *g)
{
	int r;

	if (mkdirat(g->data_dir, "../quarantine", 0700) < 0 &&
	    errno != EEXIST)
		return -errno;
	r = recover_files(g);
	return r < 0 ? r : meta_each_quarantine(g->meta, recover_row, g);
}

/* ---- the list ---- */

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
	if (f->out != NULL)
		*f->out = *q;
	f->found = true;
	return 1;
}

int
quarantine_find(struct gate *g, uint64_t id, struct meta_quarantine *out)
{
	struct find f = { id, out, false };
	int r = meta_each_quarantine(g->meta, find_one, &f);

	return r < 0 ? r : f.found ? 0 : -ENOENT;
}
