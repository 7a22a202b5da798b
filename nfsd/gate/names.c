/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LOOKUP, and what all procedures that change a directory have in common.
 */

#include <config.h>

#include <errno.h>
#include <string.h>

#include "nfsd/gate/lost.h"
#include "nfsd/gate/names.h"

/* Linux renames a file that it holds open and removes to .nfs + digits. */
bool
name_is_silly(const char *name)
{
	return strncmp(name, ".nfs", 4) == 0 && strlen(name) >= 8 &&
	       strspn(name + 4, "0123456789abcdefABCDEF") == strlen(name + 4);
}

int
change_dir_begin(struct gate_export *x, struct gate_request *rq,
		 const struct gate_fh *fh, const char *name,
		 struct gate_wcc *wcc, struct change_dir *out)
{
	size_t len = strlen(name);
	int r;

	*out = (struct change_dir){ 0 };
	r = node_from_fh(x, rq, fh, &out->node);
	if (r < 0)
		return r;
	if (!rq->may_block) {
		rq->again = GATE_NEEDS_THREAD;
		return -EAGAIN;
	}
	wcc_before(out->node, rq, wcc);
	if (node_kind(out->node) != GATE_DIR)
		return -ENOTDIR;
	if (len > META_NAME_MAX)
		return -ENAMETOOLONG;
	if (!path_name_ok(name, len))
		return strcmp(name, ".") == 0 || strcmp(name, "..") == 0
			       ? -EEXIST
			       : -EINVAL;
	if (rq->readonly)
		return -EROFS;
	r = lookup_refresh(out->node, rq);
	if (r == 0 &&
	    !perm_allows(rq, node_perm(out->node), MAY_EXEC))
		r = -EACCES;
	return r;
}

int
change_dir_lock(struct change_dir *d, struct gate_request *rq)
{
	int r = node_lock(d->node, rq);

	if (r < 0)
		return r;
	d->locked = true;
	return change_dir_copy(d);
}

int
change_dir_copy(struct change_dir *d)
{
	int64_t now;
	int r;

	pthread_mutex_lock(&d->node->mutex);
	r = meta_inode_copy(&d->node->i, &d->row);
	pthread_mutex_unlock(&d->node->mutex);
	now = clock_ns();
	d->row.mtime_ns = now;
	d->row.ctime_ns = now > d->row.ctime_ns ? now : d->row.ctime_ns + 1;
	return r;
}

void
change_dir_apply(struct change_dir *d)
{
	struct node *n = d->node;

	pthread_mutex_lock(&n->mutex);
	n->i.mtime_ns = d->row.mtime_ns;
	n->i.ctime_ns = d->row.ctime_ns;
	n->i.nlink = d->row.nlink;
	pthread_mutex_unlock(&n->mutex);
}

void
change_dir_end(struct change_dir *d, const struct gate_request *rq,
	       struct gate_wcc *wcc)
{
	if (d->node == NULL)
		return;
	if (d->locked)
		node_unlock(d->node);
	wcc_after(d->node, rq, wcc);
	meta_inode_fini(&d->row);
	node_put(&d->node);
}

void
replay_note(struct meta_batch *b, const struct gate_request *rq,
	    const struct meta_inode *made)
{
	if (rq->replay != NULL)
		meta_put_replay(b, rq->replay->key, rq->replay->procedure,
				made != NULL ? made->ino : 0,
				made != NULL ? made->generation : 0,
				clock_ns());
}

bool
name_left_key(const struct node *n)
{
	return n->i.base_key[0] != '\0' &&
	       (n->i.name_dirty || n->i.local_only);
}

const struct meta_delete *
forget_known_locked(struct node *n, struct change *c, const char *key,
		    const char *etag, bool hide)
{
	const struct meta_delete *row = change_delete(c, n->export, key, etag,
						      hide);

	/* What an upload under way will have made there, or one without an
	 * answer has made, is ours, too. */
	if (row != NULL)
		lost_ours_locked(n, key, c);
	return row;
}

const struct meta_delete *
forget_known(struct node *n, struct change *c, const char *key,
	     const char *etag, bool hide)
{
	const struct meta_delete *row;

	pthread_mutex_lock(&n->mutex);
	row = forget_known_locked(n, c, key, etag, hide);
	pthread_mutex_unlock(&n->mutex);
	return row;
}

const struct meta_delete *
forget_object_locked(struct node *n, struct change *c, bool hide)
{
	/* Under a name that the file has left somebody else may have put
	 * something of his own; and under its name, when S3 is away for a
	 * while, or the state directory was put back. */
	const struct meta_delete *row = forget_known_locked(
		n, c, n->i.base_key, n->i.base_etag, hide);

	if (row != NULL && !name_left_key(n))
		change_delete_soft(c, n->i.base_key);
	return row;
}

const struct meta_delete *
forget_object(struct node *n, struct change *c, bool hide)
{
	const struct meta_delete *row;

	pthread_mutex_lock(&n->mutex);
	row = forget_object_locked(n, c, hide);
	pthread_mutex_unlock(&n->mutex);
	return row;
}

int
name_settle(struct node *n, struct name_settled *was)
{
	char key[META_KEY_MAX + 2];
	int r = path_key(n, key);
	bool left;

	/* A path that no key can spell is not where its object lies. */
	if (r < 0 && r != -ENAMETOOLONG)
		return r;
	if (r < 0)
		key[0] = '\0';
	pthread_mutex_lock(&n->mutex);
	left = n->i.base_key[0] != '\0' && !n->i.name_dirty &&
	       !n->i.local_only && strcmp(key, n->i.base_key) != 0;
	was->changed = n->i.carried || left;
	was->carried = n->i.carried;
	was->name_dirty = n->i.name_dirty;
	strcpy(was->dest_etag, n->i.dest_etag);
	strcpy(key, n->i.base_key);
	pthread_mutex_unlock(&n->mutex);
	if (!was->changed)
		return 0;
	/* May wait for memory: without the mutex, before it is told. */
	hidden_add(n->export, key);
	pthread_mutex_lock(&n->mutex);
	n->i.carried = false;
	n->i.name_dirty = true;
	n->i.dest_etag[0] = '\0';
	pthread_mutex_unlock(&n->mutex);
	return 0;
}

void
forget_copy(struct node *n, struct change *c)
{
	char key[META_KEY_MAX + 2];

	if (n->i.base_etag[0] != '\0' && path_key(n, key) == 0 &&
	    strcmp(key, n->i.base_key) != 0)
		(void)change_delete(c, n->export, key, n->i.base_etag, true);
}

void
name_unsettle(struct node *n, const struct name_settled *was)
{
	if (!was->changed)
		return;
	pthread_mutex_lock(&n->mutex);
	n->i.carried = was->carried;
	n->i.name_dirty = was->name_dirty;
	strcpy(n->i.dest_etag, was->dest_etag);
	hidden_del(n->export, n->i.base_key);
	pthread_mutex_unlock(&n->mutex);
}

int
gate_lookup(struct gate_export *x, struct gate_request *rq,
	    const struct gate_fh *fh, const char *name, struct gate_fh *out,
	    struct gate_attr *attr, struct gate_wcc *dir_attr)
{
	struct node *dir = NULL, *n = NULL;
	int r = node_from_fh(x, rq, fh, &dir);

	if (r < 0)
		return r;
	if (node_kind(dir) != GATE_DIR)
		r = -ENOTDIR;
	else if (strlen(name) > META_NAME_MAX)
		r = -ENAMETOOLONG;
	else if (!perm_allows(rq, node_perm(dir), MAY_EXEC))
		r = -EACCES;
	else if (strcmp(name, ".") == 0)
		n = node_ref(dir);
	else if (strcmp(name, "..") == 0)
		/* Never above the export's root (CVE-2021-3178). */
		r = dir->ino == x->root ? (n = node_ref(dir), 0)
					: node_get(x->gate, dir->parent,
						   rq->may_block, &n);
	else if (!path_name_ok(name, strlen(name)))
		r = -ENOENT;
	else
		r = lookup_child(dir, rq, name, &n);
	if (r == 0) {
		admit_looked(n, rq, true);
		*out = node_fh(n);
		node_attr(n, rq, attr);
	} else if (r == -EAGAIN && rq->again == GATE_AGAIN_NONE) {
		rq->again = GATE_NEEDS_THREAD;
	}
	wcc_after(dir, rq, dir_attr);
	node_put(&n);
	node_put(&dir);
	return r;
}
