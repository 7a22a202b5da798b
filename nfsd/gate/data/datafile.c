/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors of data files (state/files.h), and what flushes have said.
 *
 *	 open, in use  <->  open, idle  ->  closed
 *	      ^                               |
 *	      +-------------------------------+
 *
 * A file that is idle is closed when there are too many, or when the system
 * has no descriptor left; the oldest first.  One that was written since its
 * last flush is flushed before that: the kernel tells of a failure through a
 * descriptor, and might have forgotten it when the file is opened anew.  Who
 * opens a file holds its node's mutex and does not wait for that: he closes
 * what is flushed already, and a thread of the pool sees to the others
 * (files_flush).  Requests wait for it before they take any lock, if files have
 * become many (files_ease), and have to come again if they are far too many.
 */

#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nfsd/gate/data/inside.h"

#define LOOK_FOR_FLUSHED 32	/* idle files, before one has to be flushed */
#define FLUSH_SHARE 8		/* of the limit: more or less than it */
#define FLUSH_MORE 2
#define EASE_MS 2000
#define NO_PAGES (INT64_MAX & ~4095LL)	/* no file has any there */

void
files_init(struct files *all, int dir, const char *state_dir, unsigned limit)
{
	*all = (struct files){ .dir = dir, .state_dir = state_dir,
			       .limit = limit ? limit : 1024 };
	mutex_init(&all->mutex, MUTEX_LEAF);
	pthread_cond_init(&all->eased, NULL);
	TAILQ_INIT(&all->idle);
}

void
files_fini(struct files *all)
{
	mutex_destroy(&all->mutex);
	pthread_cond_destroy(&all->eased);
}

unsigned
files_open(struct files *all)
{
	unsigned open;

	mutex_lock(&all->mutex);
	open = all->open;
	mutex_unlock(&all->mutex);
	return open;
}

static void
take_out_locked(struct data_file *f)
{
	if (f->idle)
		TAILQ_REMOVE(&f->of->idle, f, link);
	f->idle = false;
}

/* One use less.  The descriptor, if it is to be closed, or -1; the mutex is
 * held. */
static int
release_locked(struct data_file *f, bool shut)
{
	int fd = -1;

	f->refs--;
	if (--f->users > 0)
		return -1;
	if (shut || f->refs == 0) {
		fd = f->fd;
		f->fd = -1;
		f->of->open--;
	} else {
		TAILQ_INSERT_TAIL(&f->of->idle, f, link);
		f->idle = true;
	}
	return fd;
}

/* Close the oldest that nobody uses; flush: also if that has to be flushed.
 * False: there is none. */
static bool
close_one(struct files *all, bool flush)
{
	struct data_file *f, *found = NULL;
	bool written, gone;
	int fd, looked = 0;

	mutex_lock(&all->mutex);
	TAILQ_FOREACH(f, &all->idle, link) {
		if (!f->written)
			found = f;
		if (found != NULL || (++looked == LOOK_FOR_FLUSHED && flush))
			break;
	}
	if (found == NULL && flush)
		found = TAILQ_FIRST(&all->idle);
	if (found == NULL) {
		mutex_unlock(&all->mutex);
		return false;
	}
	take_out_locked(found);
	found->users++;
	found->refs++;
	written = found->written;
	mutex_unlock(&all->mutex);
	if (written)
		file_flush(found);
	mutex_lock(&all->mutex);
	fd = release_locked(found, true);
	gone = found->refs == 0;
	mutex_unlock(&all->mutex);
	if (fd >= 0)
		close(fd);
	if (gone)
		free(found);
	return true;
}

/* Have somebody flush, if anybody does.  False: who asks flushes himself. */
static bool
call_for_flush(struct files *all)
{
	bool calls, waits;

	mutex_lock(&all->mutex);
	waits = all->crowded == NULL;
	calls = !waits && !all->flushing;
	all->flushing |= calls;
	mutex_unlock(&all->mutex);
	if (calls && all->crowded(all->crowded_arg) < 0) {
		mutex_lock(&all->mutex);
		all->flushing = false;
		mutex_unlock(&all->mutex);
	}
	return !waits;
}

void
files_crowded(struct files *all, int (*crowded)(void *arg), void *arg)
{
	mutex_lock(&all->mutex);
	all->crowded = crowded;
	all->crowded_arg = arg;
	mutex_unlock(&all->mutex);
}

void
files_flush(struct files *all)
{
	unsigned rest;

	mutex_lock(&all->mutex);
	rest = all->limit - 2 * (all->limit / FLUSH_SHARE);
	mutex_unlock(&all->mutex);
	/* One in any case: the system may have fewer than the limit. */
	do {
		if (!close_one(all, true))
			break;
		pthread_cond_broadcast(&all->eased);
	} while (files_open(all) > rest);
	mutex_lock(&all->mutex);
	all->flushing = false;
	pthread_cond_broadcast(&all->eased);
	mutex_unlock(&all->mutex);
}

/* Room for one more, of those that can be closed at once. */
static bool
make_room(struct files *all)
{
	if (close_one(all, false))
		return true;
	return !call_for_flush(all) && close_one(all, true);
}

static bool
too_many_locked(const struct files *all, unsigned more)
{
	mutex_must_hold(&all->mutex);
	return all->open >= all->limit + all->limit / FLUSH_SHARE + more &&
	       !TAILQ_EMPTY(&all->idle);
}

static bool
far_too_many(struct files *all)
{
	bool is;

	mutex_lock(&all->mutex);
	is = too_many_locked(all, 2 * FLUSH_MORE);
	mutex_unlock(&all->mutex);
	return is;
}

bool
files_many(struct files *all)
{
	bool are;

	mutex_lock(&all->mutex);
	are = all->crowded != NULL && too_many_locked(all, FLUSH_MORE);
	mutex_unlock(&all->mutex);
	return are;
}

void
files_ease(struct files *all)
{
	struct timespec ts;

	if (!files_many(all) || make_room(all))
		return;
	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += EASE_MS / 1000;
	mutex_lock(&all->mutex);
	while (all->flushing && too_many_locked(all, FLUSH_MORE) &&
	       mutex_wait(&all->mutex, &all->eased, &ts) !=
		       ETIMEDOUT)
		;
	mutex_unlock(&all->mutex);
}

static int
open_file(struct files *all, uint64_t ino, bool make)
{
	char name[32];

	data_file_name(ino, name);
	if (far_too_many(all) && !make_room(all))
		return -EAGAIN;
	for (;;) {
		int fd = openat(all->dir, name,
				O_RDWR | O_CLOEXEC | (make ? O_CREAT : 0),
				0600);

		if (fd >= 0)
			return fd;
		if (errno == EINTR)
			continue;
		if (errno != EMFILE && errno != ENFILE)
			return errno == ENOSPC || errno == EDQUOT ||
					       errno == ENOENT
				       ? -errno
				       : -EIO;
		if (!make_room(all))
			return -EAGAIN;
	}
}

static bool
more_than_limit(struct files *all)
{
	bool more;

	mutex_lock(&all->mutex);
	more = all->open > all->limit;
	mutex_unlock(&all->mutex);
	return more;
}

/* Some more than the limit, and one is open now; or soon, and the next to be
 * closed has to be flushed. */
static void
keep_to_limit(struct files *all)
{
	bool soon;

	while (more_than_limit(all) && make_room(all))
		;
	mutex_lock(&all->mutex);
	soon = all->crowded != NULL &&
	       all->open > all->limit - all->limit / FLUSH_SHARE &&
	       !TAILQ_EMPTY(&all->idle) && TAILQ_FIRST(&all->idle)->written;
	mutex_unlock(&all->mutex);
	if (soon)
		(void)call_for_flush(all);
}

int
file_new(struct files *all, uint64_t ino, bool make, struct data_file **out)
{
	struct data_file *f = calloc(1, sizeof(*f));
	int fd;

	if (f == NULL)
		return -ENOMEM;
	fd = open_file(all, ino, make);
	if (fd < 0) {
		free(f);
		return fd;
	}
	f->of = all;
	f->ino = ino;
	f->fd = fd;
	f->refs = 1;
	/* Also of one that is there: it may have been made a moment ago. */
	f->new_name = true;
	mutex_lock(&all->mutex);
	all->open++;
	TAILQ_INSERT_TAIL(&all->idle, f, link);
	f->idle = true;
	mutex_unlock(&all->mutex);
	*out = f;
	return 0;
}

void
file_forget(struct data_file **file)
{
	struct data_file *f = *file;
	bool gone;
	int fd = -1;

	*file = NULL;
	if (f == NULL)
		return;
	mutex_lock(&f->of->mutex);
	gone = --f->refs == 0;
	if (gone) {
		take_out_locked(f);
		fd = f->fd;
		f->of->open -= fd >= 0;
	}
	mutex_unlock(&f->of->mutex);
	if (fd >= 0)
		close(fd);
	if (gone)
		free(f);
}

int
file_use(struct data_file *f)
{
	struct files *all = f->of;
	int fd = -1;

	mutex_lock(&all->mutex);
	if (f->fd < 0) {
		mutex_unlock(&all->mutex);
		fd = open_file(all, f->ino, false);
		if (fd < 0)
			return fd == -ENOENT ? -EIO : fd;
		mutex_lock(&all->mutex);
		f->fd = fd;
		all->open++;
	}
	take_out_locked(f);
	f->users++;
	f->refs++;
	mutex_unlock(&all->mutex);
	keep_to_limit(all);
	return 0;
}

void
file_done(struct data_file **file)
{
	struct data_file *f = *file;
	bool gone;
	int fd;

	*file = NULL;
	if (f == NULL)
		return;
	mutex_lock(&f->of->mutex);
	fd = release_locked(f, false);
	gone = f->refs == 0;
	mutex_unlock(&f->of->mutex);
	if (fd >= 0)
		close(fd);
	if (gone)
		free(f);
}

int
file_write(struct data_file *f, const void *buf, uint64_t len, uint64_t at)
{
	const char *p = buf;
	int r = 0;

	while (r == 0 && len > 0) {
		ssize_t w = pwrite(f->fd, p, len, (off_t)at);

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0) {
			r = w < 0 && (errno == ENOSPC || errno == EDQUOT)
				    ? -errno
				    : -EIO;
			break;
		}
		p += w;
		at += (uint64_t)w;
		len -= (uint64_t)w;
	}
	/* Now, not before: a flush that began meanwhile may have missed it. */
	mutex_lock(&f->of->mutex);
	f->written = true;
	mutex_unlock(&f->of->mutex);
	return r;
}

static void
has_failed(struct data_file *f)
{
	mutex_lock(&f->of->mutex);
	f->failed = true;
	mutex_unlock(&f->of->mutex);
}

/* A new file is on disk when its name is. */
static int
flush_name(struct data_file *f)
{
	char name[32];
	int dir, r;

	data_file_name(f->ino, name);
	name[2] = '\0';
	dir = openat(f->of->dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	while (dir < 0 && (errno == EMFILE || errno == ENFILE) &&
	       close_one(f->of, true))
		dir = openat(f->of->dir, name,
			     O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return errno == EMFILE || errno == ENFILE ? -EAGAIN : -EIO;
	r = fsync(dir) < 0 ? -EIO : 0;
	close(dir);
	return r;
}

/* What was removed, or is not below the state directory any more, is flushed
 * as well as before, and lost. */
static bool
is_there(const struct data_file *f)
{
	struct stat open, there;
	char path[4096], name[32];

	data_file_name(f->ino, name);
	snprintf(path, sizeof(path), "%s/data/%s", f->of->state_dir, name);
	return fstat(f->fd, &open) == 0 && stat(path, &there) == 0 &&
	       open.st_dev == there.st_dev && open.st_ino == there.st_ino;
}

int
file_flush(struct data_file *f)
{
	bool new_name;
	int r = 0;

	mutex_lock(&f->of->mutex);
	f->written = false;
	new_name = f->new_name;
	mutex_unlock(&f->of->mutex);
	if (fdatasync(f->fd) < 0)
		r = errno == ENOSPC || errno == EDQUOT ? -errno : -EIO;
	else if (!is_there(f))
		r = -EIO;
	if (r < 0)
		has_failed(f);
	if (r < 0 || !new_name)
		return r;
	r = flush_name(f);
	mutex_lock(&f->of->mutex);
	if (r == 0)
		f->new_name = false;
	else if (r != -EAGAIN)
		f->failed = true;
	mutex_unlock(&f->of->mutex);
	return r;
}

bool
file_written(struct data_file *f)
{
	bool written;

	mutex_lock(&f->of->mutex);
	written = f->written;
	mutex_unlock(&f->of->mutex);
	return written;
}

bool
file_failed(struct data_file *f)
{
	bool failed;

	/* Waits for nothing, as there is nothing; tells what the kernel met
	 * anywhere in the file. */
	if (f->fd >= 0 &&
	    sync_file_range(f->fd, NO_PAGES, 4096,
			    SYNC_FILE_RANGE_WAIT_AFTER) < 0 &&
	    (errno == EIO || errno == ENOSPC || errno == EDQUOT))
		has_failed(f);
	mutex_lock(&f->of->mutex);
	failed = f->failed;
	mutex_unlock(&f->of->mutex);
	return failed;
}

void
file_forgive(struct data_file *f)
{
	mutex_lock(&f->of->mutex);
	f->failed = false;
	mutex_unlock(&f->of->mutex);
}

void
data_file_name(uint64_t ino, char out[32])
{
	snprintf(out, 32, "%02x/%016llx", (unsigned)(ino & 0xff),
		 (unsigned long long)ino);
}

/* The node's file, open.  Mutex held; file_done gives it back. */
int
data_use_locked(struct node *n, struct data_file **out)
{
	int r = file_use(n->d.file);

	mutex_must_hold(&n->mutex);
	if (r == 0)
		*out = n->d.file;
	return r;
}
