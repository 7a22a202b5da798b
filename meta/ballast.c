/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A full disk.  The gate leaves some room when it stages bytes, but others
 * may fill the disk, and then even the row that says that bytes were
 * uploaded, or removed, finds no place, nor does the log of the database at
 * the next start.  So a file of a few MiB lies beside the database for
 * nothing but to be removed then; it comes back when there is room.
 */

#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "meta/meta_priv.h"

#define BALLAST (4 << 20)
#define ROOM_FACTOR 3		/* as much must be free for it to come back */
#define LOOK_S 10

static bool
ballast_path(const char *db, char *out, size_t size)
{
	return (size_t)snprintf(out, size, "%s-ballast", db) < size;
}

void
ballast_keep(struct ballast *b, const char *db)
{
	struct timespec now;
	struct statvfs v;
	char path[4096];
	int fd;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (b->there || (b->looked_s != 0 && now.tv_sec - b->looked_s < LOOK_S))
		return;
	b->looked_s = now.tv_sec + 1;
	if (!ballast_path(db, path, sizeof(path)))
		return;
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	/* What is left of one that was not finished counts as free. */
	b->there = lseek(fd, 0, SEEK_END) == BALLAST ||
		   (fstatvfs(fd, &v) == 0 &&
		    (uint64_t)v.f_bavail * v.f_frsize >
			    ROOM_FACTOR * (uint64_t)BALLAST &&
		    posix_fallocate(fd, 0, BALLAST) == 0);
	if (!b->there)
		(void)unlink(path);
	close(fd);
}

bool
ballast_drop(struct ballast *b, const char *db)
{
	char path[4096];

	b->there = false;
	return ballast_path(db, path, sizeof(path)) && unlink(path) == 0;
}
