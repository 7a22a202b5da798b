/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files in the state directory of which the database does not know: after
 * their database was lost, or put back from an older copy, and the operator
 * said to go on (epoch.c).  They may hold committed bytes, and nothing tells
 * whose.  Each becomes an entry of the quarantine: it is moved there, never
 * deleted, can be listed, saved and dropped.  What is saved is the data file
 * as it is, holes and all: where its bytes were in the file they belonged to,
 * but for those that were written over others, which lie behind 8 TiB.
 *
 * The file gets its second name before the row is written, and loses the first
 * after that (quarantine.c).
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
#include "nfsd/gate/upload/inside.h"
#include "nfsd/gate/worker/worker.h"

/* Where it has bytes.  1: nowhere. */
static int
map_file(int fd, struct extents *out)
{
	off_t at = 0, end;

	while ((at = lseek(fd, at, SEEK_DATA)) >= 0) {
		end = lseek(fd, at, SEEK_HOLE);
		if (end < 0)
			return -errno;
		if (extents_set(out, (uint64_t)at, (uint64_t)(end - at),
				(uint64_t)at) < 0)
			return -ENOMEM;
		at = end;
	}
	if (errno != ENXIO)
		return -errno;
	return out->count == 0;
}

/* Its second name, under a number that no other file has. */
static int
link_file(struct gate *g, const char *path, uint64_t *id)
{
	char kept[64];
	int dir, r;

	do {
		r = meta_new_id(g->meta, id);
		if (r < 0)
			return r;
		quarantine_file_name(*id, kept);
		r = linkat(g->data_dir, path, g->data_dir, kept, 0) < 0
			    ? -errno
			    : 0;
	} while (r == -EEXIST);
	if (r < 0)
		return r;
	dir = openat(g->data_dir, "../quarantine",
		     O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = dir < 0 || fsync(dir) < 0 ? -EIO : 0;
	if (dir >= 0)
		close(dir);
	return r;
}

static int
put_row(struct gate *g, struct meta_quarantine *q, const struct extents *map)
{
	struct meta_batch *b = meta_batch_new();

	if (b == NULL)
		return -ENOMEM;
	/* From the inode's rows, of which it has none, to the entry's. */
	meta_put_extents(b, q->ino, 0, INT64_MAX, map->list, map->count);
	meta_put_quarantine(b, q);
	return meta_commit(g->meta, &b);
}

static int
adopt(struct gate *g, const char *path, const char *what, int fd,
      const struct extents *map)
{
	struct meta_quarantine *q = calloc(1, sizeof(*q));
	struct stat st;
	int r = q == NULL ? -ENOMEM : fstat(fd, &st) < 0 ? -errno : 0;

	if (r == 0)
		r = meta_new_ino(g->meta, &q->ino);
	if (r == 0)
		r = link_file(g, path, &q->id);
	if (r == 0) {
		/* As seen from the state directory. */
		if (strncmp(path, "../", 3) == 0)
			snprintf(q->path, sizeof(q->path), "%s", path + 3);
		else
			snprintf(q->path, sizeof(q->path), "data/%s", path);
		snprintf(q->error, sizeof(q->error), "%s", what);
		q->since_ns = st.st_mtim.tv_sec * 1000000000LL +
			      st.st_mtim.tv_nsec;
		q->mtime_ns = q->since_ns;
		q->mode = 0600;
		q->size = (uint64_t)st.st_size;
		q->bytes = extents_bytes(map);
		r = put_row(g, q, map);
	}
	failpoint("stray-after-row");
	if (r == 0) {
		(void)unlinkat(g->data_dir, path, 0);
		gate_say(g, 1, "kept, though %s: id=%llu file=%s bytes=%llu",
			 what, (unsigned long long)q->id, q->path,
			 (unsigned long long)q->bytes);
	}
	free(q);
	return r;
}

int
stray_keep(struct gate *g, const char *path, const char *what)
{
	struct extents map = { 0 };
	int fd = openat(g->data_dir, path,
			O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	r = map_file(fd, &map);
	if (r == 0)
		r = adopt(g, path, what, fd, &map);
	close(fd);
	extents_free(&map);
	return r < 0 ? r : 0;
}

static bool
has_no_hole(int fd, const struct meta_extent *e)
{
	off_t hole = lseek(fd, (off_t)e->at, SEEK_HOLE);

	return hole >= 0 && (uint64_t)hole >= e->at + e->len;
}

static bool
holds(int fd, const struct extents *map, bool strictly)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return false;
	for (size_t i = 0; i < map->count; i++) {
		const struct meta_extent *e = &map->list[i];

		if (e->at + e->len > (uint64_t)st.st_size ||
		    (strictly && !has_no_hole(fd, e)))
			return false;
	}
	return true;
}

bool
stray_bytes_there(struct node *n, bool strictly)
{
	char name[32];
	bool there;
	int fd;

	if (n->d.staged.count == 0 && n->d.durable.count == 0)
		return true;
	data_file_name(n->ino, name);
	fd = openat(n->export->gate->data_dir, name, O_RDONLY | O_CLOEXEC);
	there = fd >= 0 && holds(fd, &n->d.staged, strictly) &&
		holds(fd, &n->d.durable, strictly);
	if (fd >= 0)
		close(fd);
	return there;
}

static int
some_extent(void *arg, const struct meta_extent *e, bool durable)
{
	(void)e;
	(void)durable;
	*(bool *)arg = true;
	return 1;
}

/* Was it written to after the database was last known to be its own? */
static int
look_at(struct gate *g, const char *dir, const char *name)
{
	char path[300], data[32], *end;
	uint64_t ino = strtoull(name, &end, 16);
	bool known = false;
	struct stat st;
	int r;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	data_file_name(ino, data);
	if (fstatat(g->data_dir, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISREG(st.st_mode) || strcmp(path, data) != 0) {
		gate_say(g, 1, "this is no data file; it is left alone: "
			 "%s/data/%s", g->state_dir, path);
		return 0;
	}
	r = meta_each_extent(g->meta, ino, some_extent, &known);
	if (r < 0)
		return r;
	if (known && st.st_mtim.tv_sec * 1000000000LL + st.st_mtim.tv_nsec <=
			     g->epoch.at_ns)
		return 0;
	return stray_keep(g, path, known ? "the database is older than it"
					 : "the database does not know it");
}

int
stray_keep_all(struct gate *g)
{
	int r = 0;

	for (unsigned d = 0; r == 0 && d < 256; d++) {
		char name[8];
		struct dirent *entry;
		DIR *dir;
		int fd;

		snprintf(name, sizeof(name), "%02x", d);
		fd = openat(g->data_dir, name,
			    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		dir = fd < 0 ? NULL : fdopendir(fd);
		if (dir == NULL && errno != ENOENT)
			return -errno;
		while (r == 0 && dir != NULL && (entry = readdir(dir)) != NULL)
			if (entry->d_name[0] != '.')
				r = look_at(g, name, entry->d_name);
		if (dir != NULL)
			closedir(dir);
	}
	return r;
}
