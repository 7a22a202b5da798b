/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Link counts of directories: 2, and one for each sub-directory.
 *
 * How many there are is known when the directory was made here, or was listed
 * to its end.  Before that the count is 1, as file systems say it that do not
 * count: find(1) and fts(3) take 2 for "no directories in here" and would not
 * look.  From then on it is part of the row and follows each name that comes
 * and goes here (nlink_more, nlink_less in node/view.c); listings set right
 * what others have done.
 */

#include <config.h>

#include "nfsd/gate/dir/inside.h"
#include "nfsd/gate/node/node.h"

/* The rows of all who have made one here are on disk.  The directory is
 * locked. */
static int
wait_for_made(struct node *dir)
{
	struct meta_batch *b;
	bool made;

	mutex_lock(&dir->mutex);
	made = dir->making > 0;
	mutex_unlock(&dir->mutex);
	if (!made)
		return 0;
	b = meta_batch_new();
	if (b != NULL)
		meta_put_inode(b, &dir->i);
	return meta_commit(dir->export->gate->meta, &b);
}

int
nlink_count(struct node *dir)
{
	struct meta *meta = dir->export->gate->meta;
	struct meta_batch *b;
	uint64_t count = 0;
	int r;

	node_lock_wait(dir);
	r = node_dead(dir) ? 0 : wait_for_made(dir);
	if (r == 0 && !node_dead(dir))
		r = meta_count_dirs(meta, dir->ino, &count);
	mutex_lock(&dir->mutex);
	if (r == 0 && !dir->dead && dir->i.nlink != count + 2) {
		/* Only posted: the next listing counts again. */
		dir->i.nlink = (uint32_t)(count + 2);
		b = meta_batch_new();
		if (b != NULL)
			meta_put_inode(b, &dir->i);
		meta_post(meta, &b);
	}
	node_unlock_locked(dir);
	mutex_unlock(&dir->mutex);
	return r;
}

void
nlink_gone(struct node *n)
{
	struct node *dir;

	if (n->i.kind != GATE_DIR)
		return;
	dir = node_find(n->export->gate, n->parent);
	if (dir != NULL)
		scan_expire(dir);
	node_put(&dir);
}
