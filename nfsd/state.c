/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two daemons on one state directory would each think that what they know of
 * it is all.  The locks are on the directory itself and on the database, not
 * on a file made for that, which could be removed: with it would go the lock
 * for whoever comes next.  Links and bind mounts lead to the same inodes.
 */

#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nfsd/settings.h"
#include "nfsd/state.h"

#define TRIES 10		/* while somebody moves it about */

/* Does the path lead to what is open? */
static bool
is_at(int fd, const char *path)
{
	struct stat open, there;

	return fstat(fd, &open) == 0 && stat(path, &there) == 0 &&
	       open.st_dev == there.st_dev && open.st_ino == there.st_ino;
}

static int
take(const char *path, int flags, int *out)
{
	for (int i = 0; i < TRIES; i++) {
		int fd = open(path, flags | O_CLOEXEC), r = 0;

		if (fd < 0)
			return -errno;
		if (flock(fd, LOCK_EX | LOCK_NB) < 0)
			r = errno == EWOULDBLOCK ? -EBUSY : -errno;
		if (r == 0 && is_at(fd, path)) {
			*out = fd;
			return 0;
		}
		close(fd);
		if (r < 0)
			return r;
	}
	return -EBUSY;
}

int
state_open(const char *path, struct state *out)
{
	int r = settings_make_dir(path);

	return r < 0 ? r : take(path, O_RDONLY | O_DIRECTORY, &out->dir);
}

int
state_take_db(struct state *state, const char *path)
{
	if (state->db >= 0)
		return is_at(state->db, path) ? 0 : -EBUSY;
	/* Not closed again while SQLite has it, whatever comes out: POSIX
	 * locks would go with any descriptor of the file. */
	state->db = open(path, O_RDONLY | O_CLOEXEC);
	if (state->db < 0)
		return -errno;
	if (flock(state->db, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	return is_at(state->db, path) ? 0 : -EBUSY;
}

void
state_close(struct state *state)
{
	if (state->db >= 0)
		close(state->db);
	if (state->dir >= 0)
		close(state->dir);
	*state = (struct state)STATE_NONE;
}
