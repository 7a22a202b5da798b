/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Do the database and the data files belong together?  A data file of which
 * the database says nothing is a cache, or was never promised to anybody, and
 * a start removes it; but only if this is the database that was there when
 * the file was written.  If meta.db was lost, or put back from a copy, the
 * same file may be all that is left of committed bytes.
 *
 * So both bear an epoch: a random id, and a count that goes up with each start,
 * each end in order, and each minute in which anything was committed, so that
 * a copy made while the daemon ran is known, too.  The database has it in a
 * setting, the state directory in the file `epoch`, which is written second;
 * the database remembers what the file said before, so that a crash between
 * the two is not taken for a database that was put back.
 *
 *	database	file		is
 *	none, new	none		a fresh start if there are no data files
 *	none		none		made by an older version
 *	E, before P	E or P		in order
 *	anything else			refused, unless it is asked for:
 *
 * with accept_state the data files that the database does not explain are
 * set aside first (upload/stray.c), and then both get a new epoch.
 */

#include <config.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nfsd/gate/inside.h"
#include "nfsd/gate/worker/worker.h"

#define SETTING "epoch"
#define FILE_NAME "../epoch"
#define FILE_NEW "../epoch.new"
#define TICK_NS 60000000000LL
#define FILE_FORMAT "%016" PRIx64 " %" PRIu64 "\n"

static bool
same(const struct epoch *a, const struct epoch *b)
{
	return a->id == b->id && a->count == b->count;
}

/* ---- the file ---- */

/* id 0: there is none.  -EBADMSG: it says something else. */
static int
read_epoch(struct gate *g, struct epoch *out)
{
	char text[64] = "", again[64];
	struct epoch e = { 0, 0 };
	int fd = openat(g->data_dir, FILE_NAME, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	*out = e;
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n < 0)
		return -EIO;
	if (sscanf(text, "%16" SCNx64 " %" SCNu64, &e.id, &e.count) != 2 ||
	    e.id == 0)
		return -EBADMSG;
	snprintf(again, sizeof(again), FILE_FORMAT, e.id, e.count);
	if (strcmp(text, again) != 0)
		return -EBADMSG;
	*out = e;
	return 0;
}

static int
write_text(struct gate *g, const char *text)
{
	int fd = openat(g->data_dir, FILE_NEW,
			O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	size_t len = strlen(text);
	int r = 0;

	if (fd < 0)
		return -errno;
	errno = 0;
	if (write(fd, text, len) != (ssize_t)len || fsync(fd) < 0)
		r = errno == ENOSPC || errno == EDQUOT ? -errno : -EIO;
	if (close(fd) < 0 && r == 0)
		r = -EIO;
	return r;
}

static int
write_epoch(struct gate *g, const struct epoch *e)
{
	char text[64];
	int dir, r;

	snprintf(text, sizeof(text), FILE_FORMAT, e->id, e->count);
	r = write_text(g, text);
	if (r < 0)
		return r;
	if (renameat(g->data_dir, FILE_NEW, g->data_dir, FILE_NAME) < 0)
		return -errno;
	dir = openat(g->data_dir, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = dir < 0 || fsync(dir) < 0 ? -EIO : 0;
	if (dir >= 0)
		close(dir);
	return r;
}

/* A copy has another inode, or was changed at another time; and what can put
 * back even those, a volume's snapshot, is met by a machine that booted. */
bool
epoch_mark(struct gate *g, char mark[EPOCH_MARK])
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	char boot[40] = "";
	struct stat st;
	ssize_t n;

	memset(mark, 0, EPOCH_MARK);
	if (fd < 0)
		return false;
	n = read(fd, boot, sizeof(boot) - 1);
	close(fd);
	boot[strcspn(boot, "\n")] = '\0';
	if (n <= 0 || fstatat(g->data_dir, FILE_NAME, &st, 0) < 0)
		return false;
	snprintf(mark, EPOCH_MARK, "%s %llu %lld.%09ld", boot,
		 (unsigned long long)st.st_ino, (long long)st.st_ctim.tv_sec,
		 st.st_ctim.tv_nsec);
	return true;
}

/* ---- the directory ---- */

static int
any_file_in(struct gate *g, const char *name)
{
	int fd = openat(g->data_dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	bool any = false;

	if (dir == NULL)
		return errno == ENOENT ? 0 : -errno;
	while (!any && (entry = readdir(dir)) != NULL)
		any = entry->d_name[0] != '.';
	closedir(dir);
	return any;
}

/* Data files, or files in quarantine? */
static int
any_file(struct gate *g)
{
	int any = any_file_in(g, "../quarantine");

	for (unsigned d = 0; any == 0 && d < 256; d++) {
		char name[8];

		snprintf(name, sizeof(name), "%02x", d);
		any = any_file_in(g, name);
	}
	return any;
}

/* ---- together ---- */

/* Every database that was ever served from has it. */
static int
is_new(struct gate *g)
{
	uint8_t key[16];
	ssize_t n = meta_get_setting(g->meta, "fh_key", key, sizeof(key));

	return n == -ENOENT ? 1 : n < 0 ? (int)n : 0;
}

/* What is wrong, in words; NULL: nothing. */
static int
compare(struct gate *g, const struct epoch *file, const char **wrong)
{
	const struct epoch_row *row = &g->epoch;
	int fresh, any;

	*wrong = NULL;
	if (row->now.id != 0) {
		if (same(file, &row->now) || same(file, &row->before))
			return 0;
		*wrong = file->id == 0 ? "its file `epoch' is missing"
			 : file->id == row->now.id &&
					 file->count > row->now.count
				 ? "its database is older than its data files"
				 : "its database is not the one of its data "
				   "files";
		return 0;
	}
	fresh = is_new(g);
	if (fresh < 0)
		return fresh;
	any = fresh ? any_file(g) : 0;
	if (any < 0)
		return any;
	if (fresh && (any || file->id != 0))
		*wrong = "its database (meta.db) is missing";
	else if (file->id != 0)
		*wrong = "its database is older than its data files";
	return 0;
}

int
epoch_check(struct gate *g)
{
	ssize_t n = meta_get_setting(g->meta, SETTING, &g->epoch,
				     sizeof(g->epoch));
	const char *wrong = NULL;
	int r;

	if (n != (ssize_t)sizeof(g->epoch)) {
		memset(&g->epoch, 0, sizeof(g->epoch));
		if (n < 0 && n != -ENOENT)
			return (int)n;
	}
	r = read_epoch(g, &g->epoch_file);
	if (r == -EBADMSG)
		wrong = "its file `epoch' is damaged";
	else if (r < 0)
		return r;
	if (wrong == NULL)
		r = compare(g, &g->epoch_file, &wrong);
	if (wrong == NULL && r == 0 && g->config.accept_state)
		gate_say(g, 1, "accept_state is not needed; take it away, so "
			 "that the next wrong database is noticed");
	if (wrong == NULL)
		return r;
	if (g->config.accept_state) {
		gate_say(g, 1, "state directory %s: %s; accepted",
			 g->state_dir, wrong);
		g->accepted = true;
		return 0;
	}
	if (g->config.why != NULL)
		snprintf(g->config.why, g->config.why_size,
			 "%s; put the right one back, or start once with "
			 "--accept-state: then data files that the database "
			 "does not explain are kept, see `s3nfsctl quarantine "
			 "list'", wrong);
	return -EUCLEAN;
}

/* A number of its own, never 0. */
static int
random_id(uint64_t *out)
{
	uint64_t id = 0;

	if (getrandom(&id, sizeof(id), 0) != sizeof(id))
		return -EIO;
	*out = id | 1;
	return 0;
}

int
epoch_advance(struct gate *g)
{
	struct epoch_row row = { .before = g->epoch_file,
				 .now = g->epoch.now,
				 .at_ns = clock_ns() };
	struct meta_batch *b;
	int r = 0;

	if (row.now.id == 0 || (g->accepted && !g->opened))
		r = random_id(&row.now.id);
	if (r < 0)
		return r;
	row.now.count++;
	b = meta_batch_new();
	if (b != NULL)
		meta_put_setting(b, SETTING, &row, sizeof(row));
	r = meta_commit(g->meta, &b);
	if (r < 0)
		return r;
	g->epoch = row;
	failpoint("epoch-before-file");
	r = write_epoch(g, &row.now);
	if (r == 0)
		g->epoch_file = row.now;
	if (r != -ENOSPC && r != -EDQUOT)
		return r;
	/* The database knows what the file says still; uploads make room. */
	(void)unlinkat(g->data_dir, FILE_NEW, 0);
	gate_say(g, 1, "no space to write the epoch down: %s", g->state_dir);
	return 0;
}

static int64_t
tick_ns(void)
{
#ifdef FAILPOINTS
	const char *text = getenv("S3NFSD_EPOCH_MS");

	if (text != NULL)
		return strtoll(text, NULL, 10) * 1000000;
#endif
	return TICK_NS;
}

void
epoch_tick(struct gate *g)
{
	int64_t since = clock_ns() - g->epoch.at_ns;

	/* A clock that was set back is no reason to wait. */
	if (since >= 0 && since < tick_ns())
		return;
	if (!__atomic_exchange_n(&g->promised, false, __ATOMIC_RELAXED))
		return;
	if (epoch_advance(g) < 0) {
		__atomic_store_n(&g->promised, true, __ATOMIC_RELAXED);
		gate_say(g, 1, "the epoch could not be recorded");
	}
}
