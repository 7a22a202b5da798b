/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between an S3 object and an inode: what HEAD tells becomes a row, and a
 * row becomes the headers of the next version.  The formats of metadata keys
 * are attr.c's affair.
 */

#include <config.h>

#include <errno.h>
#include <string.h>

#include "nfsd/gate/object/object.h"
#include "nfsd/gate/worker/worker.h"

static struct objattr_defaults
defaults(const struct gate_export *x)
{
	return (struct objattr_defaults){
		.file_mode = x->c.file_mode,
		.dir_mode = x->c.dir_mode,
		.uid = x->c.uid,
		.gid = x->c.gid,
		.dialect = x->c.metadata,
	};
}

/* A HEAD without a class does not take back what a listing has told of this
 * version, or a GET. */
static bool
is_cold(const struct meta_inode *i, const struct s3_object *o)
{
	return o->cold ||
	       (i->cold && !o->class_told &&
		strcmp(i->base_etag, o->etag) == 0 &&
		i->base_mtime_ns / 1000000000 == o->mtime_ns / 1000000000);
}

void
object_to_inode(struct gate_export *x, const char *key,
		const struct s3_object *o, struct meta_inode *i)
{
	struct objattr_defaults d = defaults(x);
	struct objattr a;

	gate_objattr_parse(&d, key, o, &a);
	i->kind = (int)a.kind;
	i->mode = a.mode;
	i->uid = a.uid;
	i->gid = a.gid;
	i->rdev_major = a.rdev_major;
	i->rdev_minor = a.rdev_minor;
	i->atime_ns = a.atime_ns;
	i->mtime_ns = a.mtime_ns;
	i->ctime_ns = a.ctime_ns;
	i->btime_ns = a.btime_ns;
	if (i->nlink == 0)
		i->nlink = 1;	/* of a directory: dir/nlink.c */
	i->cold = is_cold(i, o);
	i->size = i->kind == GATE_REG || i->kind == GATE_LNK ? o->size : 0;
	strcpy(i->base_key, key);
	strcpy(i->base_etag, o->etag);
	strcpy(i->dest_etag, o->etag);
	i->base_size = o->size;
	i->base_limit = o->size;
	i->base_mtime_ns = o->mtime_ns;
	cold_met(x, o->cold ? S3_COLD_YES : S3_COLD_UNTOLD);
	i->attr_known = true;
}

void
object_implicit_dir(struct gate_export *x, const char *key,
		    struct meta_inode *i)
{
	struct s3_object none = { .mtime_ns = clock_ns() };

	object_to_inode(x, key, &none, i);
	i->base_key[0] = '\0';
}

void
object_from_listing(struct gate_export *x, const char *key,
		    const struct s3_entry *e, struct meta_inode *i)
{
	struct s3_object o = { .size = e->size, .mtime_ns = e->mtime_ns,
			       .cold = e->cold == S3_COLD_YES,
			       .class_told = e->cold != S3_COLD_UNTOLD };

	if (e->etag != NULL)
		strncpy(o.etag, e->etag, sizeof(o.etag) - 1);
	object_to_inode(x, key, &o, i);
	i->attr_known = x->c.metadata == GATE_META_NONE;
}

int
object_read_target(struct gate_export *x, struct meta_inode *i)
{
	char buf[GATE_PATH_MAX + 2];
	ssize_t n;

	if (i->kind != GATE_LNK || i->target != NULL)
		return 0;
	n = s3_get(x->s3, i->base_key, i->base_etag, 0, buf, sizeof(buf) - 1,
		   NULL, NULL);
	if (n < 0)
		return (int)n;
	buf[n] = '\0';
	/* A target that is empty or too long is no symlink of ours or of
	 * anybody who follows the convention: show the object as a file. */
	if (n == 0 || n > GATE_PATH_MAX || strlen(buf) != (size_t)n) {
		i->kind = GATE_REG;
		i->mode = x->c.file_mode;
		return 0;
	}
	i->target = strdup(buf);
	return i->target == NULL ? -ENOMEM : 0;
}

int
object_headers(struct gate_export *x, const struct meta_inode *i,
	       struct s3_headers *headers)
{
	struct objattr_defaults d = defaults(x);
	struct objattr a = {
		.kind = (enum gate_kind)i->kind,
		.mode = i->mode,
		.uid = i->uid,
		.gid = i->gid,
		.rdev_major = i->rdev_major,
		.rdev_minor = i->rdev_minor,
		.atime_ns = i->atime_ns,
		.mtime_ns = i->mtime_ns,
		.ctime_ns = i->ctime_ns,
		.btime_ns = i->btime_ns,
		.explicit_mtime = true,
		.explicit_mode = true,
	};

	return gate_objattr_format(&d, &a, 0, headers);
}
