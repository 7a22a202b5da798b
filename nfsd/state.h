/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_STATE_H
#define NFSD_STATE_H

/* The state directory is one daemon's, by whatever path it is named. */
struct state {
	int dir, db;		/* locked; -1: not */
};
#define STATE_NONE { -1, -1 }

/* Make the directory, if need be, and take it.  -EBUSY: another daemon has
 * it. */
int state_open(const char *path, struct state *out)
	__attribute__((warn_unused_result));
/* The database as well, which may have names in two directories.  Before
 * SQLite opens it; once more after that, if there was none.  -EBUSY;
 * -ENOENT. */
int state_take_db(struct state *state, const char *path)
	__attribute__((warn_unused_result));
/* After the database was closed: its other locks go with this. */
void state_close(struct state *state);

#endif
