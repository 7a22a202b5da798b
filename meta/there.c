/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is the database still where it was opened?  A file that was removed or
 * moved, or that another one has taken the place of, can be written and
 * flushed as before, and SQLite says that all is well; but nobody will ever
 * find it again.  So the names of the database and of its log are looked up
 * around each transaction, before anybody is told that it is on disk.
 *
 * Brought back, it is as good as before, unless a transaction was carried out
 * in between: who asked for that was told that it was not.
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "meta/meta_priv.h"

static bool
same_file(const char *path, const struct there *was)
{
	struct stat st;

	return stat(path, &st) == 0 && st.st_dev == was->dev &&
	       st.st_ino == was->ino;
}

static int
note(const char *path, struct there *out)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return -EIO;
	*out = (struct there){ st.st_dev, st.st_ino };
	return 0;
}

static void
log_path(const struct meta *m, char out[4096])
{
	snprintf(out, 4096, "%s-wal", m->path);
}

int
there_note(struct meta *m)
{
	char wal[4096];
	int moved = 0, r = note(m->path, &m->db_there);

	log_path(m, wal);
	if (r == 0)
		r = note(wal, &m->wal_there);
	/* What was noted is what is open. */
	if (r == 0 && sqlite3_file_control(m->writer.db, "main",
					   SQLITE_FCNTL_HAS_MOVED,
					   &moved) == SQLITE_OK && moved)
		r = -EIO;
	return r;
}

int
meta_check(struct meta *m)
{
	char wal[4096];

	if (__atomic_load_n(&m->lost, __ATOMIC_RELAXED))
		return -EIO;
	log_path(m, wal);
	return same_file(m->path, &m->db_there) &&
			       same_file(wal, &m->wal_there)
		       ? 0
		       : -EIO;
}
