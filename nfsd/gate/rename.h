/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_RENAME_H
#define NFSD_GATE_RENAME_H

#include "nfsd/gate/link.h"

/* A RENAME under way. */
struct rename {
	struct change_dir from, to;
	const char *from_name, *to_name;
	struct node *file, *victim;
	/* The same and what they share a file with. */
	struct link_pair files, victims;
	bool one_dir;
	bool files_locked, victims_locked;
	/* How the victim, which has other names, lives on. */
	struct link_turn turn;
	struct meta_inode less;
};

/* Do the names still mean what they meant before the locks? */
int rename_recheck(struct rename *m, struct gate_request *rq)
	__attribute__((warn_unused_result));

/* fits.c: -ENAMETOOLONG if a key below the directory would be too long under
 * its new name, as far as that can be known now.  -EAGAIN with rq->again set.
 * No lock is held. */
int rename_fits(struct rename *m, struct gate_request *rq)
	__attribute__((warn_unused_result));

/* rename_dir.c: the file is a directory, and the victim one or NULL. */
int rename_dir(struct rename *m, struct gate_request *rq, const char *who)
	__attribute__((warn_unused_result));

#endif
