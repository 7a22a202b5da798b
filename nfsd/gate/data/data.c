/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data files: STATE_DIR/data/XX/INODE, one sparse file for each inode that
 * has bytes here.
 *
 * Bytes lie at their own offset where that place is free, else in the
 * overflow area behind any file's end.  Staged bytes are never written over:
 * a WRITE over them takes a new place and the map changes at COMMIT, so that
 * the version that was committed last can be read, uploaded and recovered at
 * any time.  What becomes of places that a map gave up: places.c.
 *
 * A small file has no data file as long as its bytes are few: they lie in
 * memory, and what was committed of them also in the journal rows of SQLite.
 * Creating, writing and forgetting a file costs more than its bytes do.
 *
 * SQLite has the staged and the durable maps; clean and dirty ones are memory
 * only, and after a restart files without staged or durable bytes are removed,
 * since the database is known to be theirs (epoch.c).
 */

#include <config.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nfsd/gate/data/inside.h"
#include "nfsd/gate/worker/worker.h"

void
data_init(struct data *d)
{
	*d = (struct data){ 0 };
	LIST_INIT(&d->fetches);
	LIST_INIT(&d->snapshots);
}

static void
memory_free(struct node *n)
{
	__atomic_sub_fetch(&n->export->gate->small_bytes, n->d.memory_len,
			   __ATOMIC_RELAXED);
	free(n->d.memory);
	n->d.memory = NULL;
	n->d.memory_len = 0;
}

void
data_fini(struct node *n)
{
	struct data *d = &n->d;

	file_forget(&d->file);
	memory_free(n);
	shown_drop_locked(n);
	extents_free(&d->dirty);
	extents_free(&d->durable);
	extents_free(&d->staged);
	extents_free(&d->clean);
	extents_free(&d->filling);
	place_forget_locked(n);
	data_account_locked(n);
}

int
data_open_locked(struct node *n, bool make)
{
	int r;

	mutex_must_hold(&n->mutex);
	if (n->d.file != NULL)
		return 0;
	r = file_new(&n->export->gate->files, n->ino, make, &n->d.file);
	if (r < 0)
		return r;
	/* After a restart: do not write over what lies there. */
	r = place_load_locked(n);
	if (r < 0) {
		place_forget_locked(n);
		file_forget(&n->d.file);
	}
	return r;
}

int
data_read_file(int fd, char *buf, uint64_t len, uint64_t at)
{
	while (len > 0) {
		ssize_t n = pread(fd, buf, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -EIO;
		buf += n;
		at += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

/* Is there room for it in memory, and nothing on disk to go with? */
static bool
fits_memory(const struct node *n, uint64_t off, uint64_t len)
{
	const struct data *d = &n->d;

	return d->file == NULL && off + len <= SMALL_FILE &&
	       (d->memory != NULL ||
		(d->dirty.count == 0 && d->durable.count == 0 &&
		 d->staged.count == 0 && d->clean.count == 0 &&
		 d->journal_bytes == 0)) &&
	       __atomic_load_n(&n->export->gate->small_bytes,
			       __ATOMIC_RELAXED) +
			       len <=
		       SMALL_FILES_MAX;
}

static int
memory_put(struct node *n, const void *buf, uint64_t len, uint64_t at)
{
	struct data *d = &n->d;

	if (at + len > d->memory_len) {
		char *memory = realloc(d->memory, at + len);

		if (memory == NULL)
			return -ENOMEM;
		memset(memory + d->memory_len, 0, at + len - d->memory_len);
		__atomic_add_fetch(&n->export->gate->small_bytes,
				   at + len - d->memory_len,
				   __ATOMIC_RELAXED);
		d->memory = memory;
		d->memory_len = at + len;
	}
	memcpy(d->memory + at, buf, len);
	return 0;
}

int
data_spill_locked(struct node *n)
{
	struct data_file *f = NULL;
	int r;

	mutex_must_hold(&n->mutex);
	if (n->d.memory == NULL)
		return 0;
	r = data_open_locked(n, true);
	if (r == 0)
		r = data_use_locked(n, &f);
	if (f != NULL)
		r = file_write(f, n->d.memory, n->d.memory_len, 0);
	file_done(&f);
	if (r == 0) {
		memory_free(n);
		n->d.untidy = true;	/* memory had no holes */
	} else {
		file_forget(&n->d.file);
	}
	return r;
}

int
data_place_locked(struct node *n, uint64_t off, uint64_t len, bool base,
		  uint64_t *at)
{
	struct data *d = &n->d;
	bool in_place;
	int r = 0;

	mutex_must_hold(&n->mutex);
	in_place = !place_is_held(n, off, len) &&
		   !(base && extents_in_place(&d->dirty, off, len)) &&
		   !extents_in_place(&d->durable, off, len) &&
		   !extents_in_place(&d->staged, off, len) &&
		   !shown_in_place(n, off, len) &&
		   !extents_in_place(&d->filling, off, len);
	if (d->pins > 0 && extents_in_place(&d->clean, off, len))
		in_place = false;
	if (!in_place || !fits_memory(n, off, len)) {
		r = data_spill_locked(n);
		if (r == 0)
			r = data_open_locked(n, true);
	}
	if (r == 0 && !in_place)
		return place_overflow_locked(n, off, len, at);
	if (r == 0)
		r = extents_set(&d->filling, off, len, off);
	if (r < 0)
		return r;
	*at = off;
	if (extents_in_place(&d->clean, off, len) &&
	    place_cut_locked(n, &d->clean, off, len) < 0) {
		data_unplace_locked(n, off, len, off);
		return -ENOMEM;
	}
	return 0;
}

void
data_unplace_locked(struct node *n, uint64_t off, uint64_t len, uint64_t at)
{
	mutex_must_hold(&n->mutex);
	if (at == off && extents_cut(&n->d.filling, off, len) < 0)
		return;		/* it stays taken until the file goes */
	place_release_locked(n, off, at, len);
}

int
data_put_locked(struct node *n, const void *buf, uint64_t len, uint64_t at)
{
	struct data_file *f;
	int r;

	mutex_must_hold(&n->mutex);
	if (n->d.file == NULL)
		return memory_put(n, buf, len, at);
	r = data_use_locked(n, &f);
	if (r < 0)
		return r;
	n->d.writing++;
	mutex_unlock(&n->mutex);
	r = file_write(f, buf, len, at);
	file_done(&f);
	mutex_lock(&n->mutex);
	if (--n->d.writing == 0)
		pthread_cond_broadcast(&n->changed);
	return r;
}

int
data_dirty_locked(struct node *n, uint64_t off, uint64_t len, uint64_t at)
{
	int r = place_set_locked(n, &n->d.dirty, off, len, at);

	mutex_must_hold(&n->mutex);
	if (at == off && extents_cut(&n->d.filling, off, len) < 0)
		r = -ENOMEM;
	return r;
}

int
data_sync(struct node *n)
{
	struct data_file *f = NULL;
	int r = data_mend(n);

	/* What the caller wants on disk is gone. */
	if (r != 0)
		return r < 0 ? r : -EIO;
	mutex_lock(&n->mutex);
	r = n->d.file == NULL ? 0 : data_use_locked(n, &f);
	mutex_unlock(&n->mutex);
	if (f == NULL)
		return r;
	r = file_flush(f);
	file_done(&f);
	/* Never tried again and called good. */
	if (r < 0 && r != -EAGAIN && data_mend(n) < 0)
		gate_say(n->export->gate, 0,
			 "cannot write once more what the database has: "
			 "inode=%llu", (unsigned long long)n->ino);
	return r;
}

void
data_unclean_locked(struct node *n, uint64_t off, uint64_t len)
{
	mutex_must_hold(&n->mutex);
	/* No memory for a map with a hole: it is only a copy. */
	if (place_cut_locked(n, &n->d.clean, off, len) < 0)
		place_drop_locked(n, &n->d.clean);
}

uint64_t
data_durable_end(const struct data *d)
{
	const struct meta_extent *last;

	if (d->durable.count == 0)
		return 0;
	last = &d->durable.list[d->durable.count - 1];
	return last->off + last->len;
}

int
data_publish_locked(struct node *n)
{
	struct data *d = &n->d;
	struct extents staged = { 0 }, old;
	int r = extents_copy(&d->staged, &staged);

	mutex_must_hold(&n->mutex);
	for (size_t i = 0; r == 0 && i < d->durable.count; i++)
		r = extents_set(&staged, d->durable.list[i].off,
				d->durable.list[i].len, d->durable.list[i].at);
	if (r < 0) {
		extents_free(&staged);
		return r;
	}
	for (size_t i = 0; i < d->durable.count; i++)
		data_unclean_locked(n, d->durable.list[i].off,
				    d->durable.list[i].len);
	old = d->staged;
	d->staged = staged;
	place_release_below_locked(n, &old, &d->durable);
	extents_free(&old);
	extents_free(&d->durable);
	return 0;
}

int
data_truncate_locked(struct node *n, uint64_t size)
{
	struct data *d = &n->d;
	int r;

	mutex_must_hold(&n->mutex);
	r = place_cut_locked(n, &d->dirty, size, UINT64_MAX - size);
	if (r == 0)
		r = place_cut_locked(n, &d->durable, size, UINT64_MAX - size);
	if (r == 0)
		r = place_cut_locked(n, &d->staged, size, UINT64_MAX - size);
	if (r == 0)
		r = place_cut_locked(n, &d->clean, size, UINT64_MAX - size);
	return r;
}

void
data_drop_clean_locked(struct node *n)
{
	struct data *d = &n->d;

	mutex_must_hold(&n->mutex);
	place_drop_locked(n, &d->clean);
	memset(d->streams, 0, sizeof(d->streams));
	d->doubt_ms = 0;	/* it was about these */
	data_account_locked(n);
}

void
data_drop_dirty_locked(struct node *n)
{
	uint64_t end = data_durable_end(&n->d);

	mutex_must_hold(&n->mutex);
	shown_drop_locked(n);
	place_drop_locked(n, &n->d.dirty);
	n->uncommitted = 0;
	quota_size_locked(n, n->i.size > end ? n->i.size : end);
	if (n->d.durable.count == 0)
		n->writer_mtime_ns = n->i.mtime_ns;
	data_account_locked(n);
}

void
data_forget_file_locked(struct node *n)
{
	struct data *d = &n->d;

	mutex_must_hold(&n->mutex);
	file_forget(&d->file);
	place_forget_locked(n);
}

/* What is in it is nobody's: should it stay, the next file of this inode
 * punches it out (places.c), or the next start removes it. */
static void
unlink_file(struct node *n)
{
	struct gate *g = n->export->gate;
	char name[32];

	data_file_name(n->ino, name);
	if (unlinkat(g->data_dir, name, 0) < 0 && errno != ENOENT)
		gate_say(g, 1, "cannot remove a data file: %s: %s", name,
			 strerror(errno));
}

void
data_remove_locked(struct node *n)
{
	struct data *d = &n->d;

	mutex_must_hold(&n->mutex);
	extents_free(&d->dirty);
	extents_free(&d->durable);
	extents_free(&d->staged);
	extents_free(&d->clean);
	data_account_locked(n);
	n->uncommitted = 0;
	memory_free(n);
	if (d->file == NULL)
		return;
	if (!d->unlinked)
		unlink_file(n);
	data_forget_file_locked(n);
}

void
data_unlink(struct node *n)
{
	if (n->d.file == NULL)
		return;
	unlink_file(n);
	n->d.unlinked = true;
}

void
data_idle_locked(struct node *n)
{
	struct data *d = &n->d;

	mutex_must_hold(&n->mutex);
	if (d->pins > 0 || d->writing > 0 || d->filling.count > 0)
		return;
	place_tidy_locked(n);
	if (d->dirty.count == 0 && d->durable.count == 0 &&
	    d->staged.count == 0 && d->clean.count == 0)
		data_remove_locked(n);
}

void
data_piece_locked(struct node *n, uint64_t off, uint64_t end, bool live,
		  struct piece *out)
{
	const struct data *d = &n->d;
	const struct extents *const maps[] = { &d->dirty, &d->durable,
					       &d->staged, &d->clean };
	uint64_t len = end - off, run;

	mutex_must_hold(&n->mutex);
	*out = (struct piece){ PIECE_FILE, off, len, 0, NULL };
	for (unsigned i = live ? 0 : 2; i < 4; i++) {
		bool here = extents_at(maps[i], off, &out->at, &run);

		len = run < len ? run : len;
		if (here) {
			out->len = len;
			return;
		}
	}
	out->kind = off < n->i.base_limit ? PIECE_BASE : PIECE_ZERO;
	if (off < n->i.base_limit && n->i.base_limit - off < len)
		len = n->i.base_limit - off;
	out->len = len;
}

/* ---- after a failed flush ---- */

struct rewrite {
	struct node *n;
	struct data_file *file;
	int result;
};

/* Is it still this place that a map of committed bytes leads to? */
static bool
leads_to(const struct extents *m, uint64_t at)
{
	for (size_t i = 0; i < m->count; i++) {
		if (m->list[i].at <= at && at - m->list[i].at < m->list[i].len)
			return true;
	}
	return false;
}

static int
rewrite_one(void *arg, uint64_t ino, uint64_t at, const void *data, size_t len)
{
	struct rewrite *w = arg;
	struct node *n = w->n;
	bool used = false;

	if (ino != n->ino)
		return 0;
	/* A place that was given up since may be another's. */
	mutex_lock(&n->mutex);
	used = leads_to(&n->d.staged, at) || leads_to(&n->d.durable, at);
	mutex_unlock(&n->mutex);
	if (used)
		w->result = file_write(w->file, data, len, at);
	return w->result < 0;
}

/* The file lock is held, so that committed places stay where they are. */
static int
rewrite(struct node *n)
{
	struct rewrite w = { n, NULL, 0 };
	int r;

	mutex_lock(&n->mutex);
	r = n->d.file == NULL ? 0 : data_use_locked(n, &w.file);
	mutex_unlock(&n->mutex);
	if (w.file != NULL) {
		r = meta_each_journal(n->export->gate->meta, rewrite_one, &w);
		r = r == 0 ? w.result : r;
		file_done(&w.file);
	}
	if (r == 0) {
		mutex_lock(&n->mutex);
		n->d.suspect = false;
		mutex_unlock(&n->mutex);
	}
	return r;
}

/* A failed flush of the data file: uncommitted bytes may be gone, and clients
 * are to know.  Mutex held. */
static void
writeback_failed_locked(struct node *n)
{
	struct gate *g = n->export->gate;
	uint8_t verf[8];

	mutex_must_hold(&n->mutex);
	if (getrandom(verf, sizeof(verf), 0) != sizeof(verf)) {
		int64_t now = clock_ns();

		memcpy(verf, &now, sizeof(verf));
	}
	mutex_lock(&g->mutex);
	memcpy(g->verifier, verf, sizeof(verf));
	mutex_unlock(&g->mutex);
	data_drop_dirty_locked(n);
	gate_say(g, 0,
		 "flushing a data file failed; uncommitted bytes are lost and "
		 "clients are told by a new write verifier: inode=%llu",
		 (unsigned long long)n->ino);
}

int
data_mend(struct node *n)
{
	struct data *d = &n->d;
	struct data_file *f = NULL;
	bool lost = false, suspect;
	int r = 0;

	mutex_lock(&n->mutex);
	if (d->file != NULL)
		r = data_use_locked(n, &f);
	if (f != NULL && file_failed(f)) {
		/* What is being written may be gone as well. */
		while (d->writing > 0)
			mutex_wait(&n->mutex, &n->changed, NULL);
		file_forgive(f);
		d->suspect = lost = true;
		writeback_failed_locked(n);
		/* An upload that has such copies in its snapshot would not be
		 * told any more. */
		if (n->up.run == UP_RUNNING && !LIST_EMPTY(&d->snapshots))
			n->up.cancel = true;
		data_drop_clean_locked(n);
	}
	suspect = d->suspect;
	mutex_unlock(&n->mutex);
	file_done(&f);
	if (r == 0 && suspect)
		r = rewrite(n);
	return r < 0 ? r : lost;
}

/* ---- after a restart ---- */

struct replay {
	struct gate *g;
	uint64_t ino;
	bool strange;		/* there is no such inode */
	int fd;
	struct meta_batch *done;
};

static int
replay_sync(struct replay *p)
{
	int r = 0;

	if (p->fd >= 0) {
		char name[32];
		int dir;

		r = fsync(p->fd) < 0 ? -EIO : 0;
		close(p->fd);
		p->fd = -1;
		/* It may have been made just now. */
		data_file_name(p->ino, name);
		name[2] = '\0';
		dir = openat(p->g->data_dir, name,
			     O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (dir < 0 || fsync(dir) < 0)
			r = -EIO;
		if (dir >= 0)
			close(dir);
		meta_del_journal(p->done, p->ino);
	}
	return r;
}

/* Bytes of an inode that the database does not have stay where they are. */
static int
is_strange(struct gate *g, uint64_t ino)
{
	struct meta_inode row = { 0 };
	int r = meta_get_inode(g->meta, ino, &row);

	if (r == 0)
		meta_inode_fini(&row);
	if (r == -ENOENT)
		gate_say(g, 1, "the journal has bytes of an inode that there "
			 "is not; they are kept: inode=%llu",
			 (unsigned long long)ino);
	return r == -ENOENT ? 1 : r;
}

static int
replay_one(void *arg, uint64_t ino, uint64_t at, const void *data, size_t len)
{
	struct replay *p = arg;
	char name[32];

	if (p->ino == ino && p->strange)
		return 0;
	if (p->ino != ino || p->fd < 0) {
		int r = replay_sync(p);

		if (r == 0)
			r = is_strange(p->g, ino);
		p->ino = ino;
		p->strange = r == 1;
		if (r != 0)
			return r < 0 ? r : 0;
		data_file_name(ino, name);
		p->ino = ino;
		p->fd = openat(p->g->data_dir, name,
			       O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (p->fd < 0)
			return -EIO;
	}
	/* The rows stay, and the next start writes all of them anew. */
	errno = 0;	/* a short one says nothing */
	if (pwrite(p->fd, data, len, (off_t)at) != (ssize_t)len)
		return errno == ENOSPC || errno == EDQUOT ? -ENOSPC : -EIO;
	return 0;
}

int
data_replay(struct gate *g)
{
	struct replay p = { .g = g, .fd = -1, .done = meta_batch_new() };
	int r;

	if (p.done == NULL)
		return -ENOMEM;
	r = meta_each_journal(g->meta, replay_one, &p);
	if (r == 0)
		r = replay_sync(&p);
	else if (p.fd >= 0)
		close(p.fd);
	if (r == 0 && fsync(g->data_dir) < 0)
		r = -EIO;
	if (r < 0) {
		meta_batch_free(&p.done);
		return r;
	}
	return meta_commit(g->meta, &p.done);
}

static int
some_extent(void *arg, const struct meta_extent *e, bool durable)
{
	(void)e;
	(void)durable;
	*(bool *)arg = true;
	return 1;
}

int
data_clean_dir(struct gate *g)
{
	for (unsigned d = 0; d < 256; d++) {
		char name[8];
		struct dirent *entry;
		DIR *dir;
		int fd, r = 0;

		snprintf(name, sizeof(name), "%02x", d);
		if (mkdirat(g->data_dir, name, 0700) < 0 && errno != EEXIST)
			return -errno;
		fd = openat(g->data_dir, name, O_RDONLY | O_DIRECTORY);
		dir = fd < 0 ? NULL : fdopendir(fd);
		if (dir == NULL)
			return -errno;
		while (r == 0 && (entry = readdir(dir)) != NULL) {
			bool used = false;
			char file[32];
			uint64_t ino = strtoull(entry->d_name, NULL, 16);

			data_file_name(ino, file);
			if (strcmp(entry->d_name, file + 3) != 0 ||
			    strncmp(name, file, 2) != 0)
				continue;	/* not ours */
			r = meta_each_extent(g->meta, ino, some_extent, &used);
			if (r == 0 && !used)
				(void)unlinkat(fd, entry->d_name, 0);
		}
		closedir(dir);
		if (r < 0)
			return r;
	}
	return fsync(g->data_dir) < 0 && errno != EBADF ? -EIO : 0;
}

/* ---- for other rooms, and a flush that failed ---- */

void
quarantine_file_name(uint64_t id, char out[64])
{
	snprintf(out, 64, "../quarantine/%016llx", (unsigned long long)id);
}
