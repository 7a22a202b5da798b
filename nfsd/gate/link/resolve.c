/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a name to the file that it leads to; and if the objects of two names are
 * of different versions, which is right, and what becomes of the other?
 */

#include <config.h>

#include <errno.h>
#include <string.h>

#include "nfsd/gate/change/change.h"
#include "nfsd/gate/data/data.h"
#include "nfsd/gate/link/inside.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/worker/worker.h"

/* Both uploaded, and not the same? */
static bool
differs(struct node *alias, struct node *file)
{
	uint64_t version, is;
	bool pending;

	mutex_lock(&alias->mutex);
	version = alias->i.link_version;
	pending = alias->up.pending || alias->i.local_only ||
		  alias->i.base_key[0] == '\0';
	mutex_unlock(&alias->mutex);
	mutex_lock(&file->mutex);
	is = file->i.link_version;
	mutex_unlock(&file->mutex);
	return !pending && version != is;
}

/* ---- the newer one is right ---- */

/* A name and its number in listings. */
static void
entry_of(struct node *n, struct meta_name *out)
{
	memset(out, 0, sizeof(*out));
	node_name(n, &out->parent, out->name);
	mutex_lock(&n->mutex);
	out->id = n->name_id;
	out->kind = n->i.kind;
	mutex_unlock(&n->mutex);
}

static void
take_object(const struct meta_inode *from, struct meta_inode *to)
{
	strcpy(to->base_key, from->base_key);
	strcpy(to->base_etag, from->base_etag);
	strcpy(to->dest_etag, from->dest_etag);
	to->base_size = to->base_limit = from->base_size;
	to->base_mtime_ns = from->base_mtime_ns;
	to->cold = from->cold;
	to->link_version = from->link_version;
}

/*
 * The alias has the newer object: they change places.  Names lead to the
 * file before and after, so that nobody notices but by the bytes.  Both locks
 * are held, and nothing is owed to S3.
 */
static int
change_places(struct node *file, struct node *alias)
{
	struct gate *g = file->export->gate;
	CLEANUP_INODE struct meta_inode f = { 0 };
	CLEANUP_INODE struct meta_inode a = { 0 };
	struct meta_inode was;
	struct meta_name file_name, alias_name;
	struct meta_batch *b = meta_batch_new();
	int r;

	entry_of(file, &alias_name);
	entry_of(alias, &file_name);
	alias_name.ino = alias->ino;
	file_name.ino = file->ino;
	r = b == NULL ? -ENOMEM : meta_inode_copy(&file->i, &f);
	if (r == 0)
		r = meta_inode_copy(&alias->i, &a);
	if (r == 0)
		r = node_name_room(file, &file_name);
	if (r == 0)
		r = node_name_room(alias, &alias_name);
	if (r == 0) {
		was = f;
		take_object(&a, &f);
		take_object(&was, &a);
		f.size = f.base_size;
		f.attr_known = false;	/* the next look tells */
		meta_del_name(b, file_name.parent, file_name.name);
		meta_del_name(b, alias_name.parent, alias_name.name);
		meta_put_name(b, &file_name);
		meta_put_name(b, &alias_name);
		meta_put_inode(b, &f);
		meta_put_inode(b, &a);
		r = meta_commit(g->meta, &b);
	}
	meta_batch_free(&b);
	if (r == 0) {
		node_unname(alias);
		node_rename(file, &file_name);
		node_rename(alias, &alias_name);
		mutex_lock(&alias->mutex);
		take_object(&a, &alias->i);
		mutex_unlock(&alias->mutex);
		mutex_lock(&file->mutex);
		take_object(&f, &file->i);
		file->i.size = file->writer_size = f.size;
		file->i.attr_known = false;
		file->content_version++;
		data_drop_clean_locked(file);
		mutex_unlock(&file->mutex);
	}
	return r;
}

/* An alias was met whose object is of another version than its file's: after
 * a crash of a gateway that left nothing but the bucket.  The older one
 * follows.  No lock of either is held; blocks. */
static int
link_reconcile(struct node *alias)
{
	struct link_pair p;
	bool newer, owed;
	int r = link_pair_get(alias, &p);

	if (r < 0 || p.alias == NULL) {
		if (r == 0)
			link_pair_put(&p);
		return r;
	}
	node_lock_wait(p.file);
	node_lock_wait(alias);
	if (link_pair_check(alias, &p) == 0 && differs(alias, p.file)) {
		mutex_lock(&p.file->mutex);
		newer = alias->i.link_version > p.file->i.link_version;
		owed = node_is_local_locked(p.file);
		gate_say(alias->export->gate, 1, "names of one file have "
			 "different versions in the bucket; the newer is "
			 "right: key=%s key=%s", p.file->i.base_key,
			 alias->i.base_key);
		/* What was written here on the older one is newer still. */
		if (newer && owed)
			p.file->i.link_version = alias->i.link_version;
		mutex_unlock(&p.file->mutex);
		if (newer && !owed)
			r = change_places(p.file, alias);
		if (r == 0 && !(newer && owed))
			link_follow(alias);
	}
	node_unlock(alias);
	node_unlock(p.file);
	link_pair_put(&p);
	return r;
}

int
link_resolve(struct node **np, struct gate_request *rq)
{
	struct node *n = *np, *file = NULL;
	uint64_t ino = link_file_of(n);
	int r;

	if (ino == 0)
		return 0;
	r = node_get(n->export->gate, ino, rq->may_block, &file);
	if (r == 0 && differs(n, file))
		r = rq->may_block ? link_reconcile(n) : -EAGAIN;
	if (r == -EAGAIN && !rq->may_block)
		rq->again = GATE_NEEDS_THREAD;
	node_put(np);
	if (r < 0) {
		node_put(&file);
		return r == -ESTALE ? -ENOENT : r;
	}
	*np = file;
	return 0;
}
