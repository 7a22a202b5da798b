/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A batch: a list of changes, each a kind and a copy of its row, put
 * together by the caller without a lock and applied by the writer thread
 * under one savepoint.  Memory that ran out while it was put together is
 * remembered, so that callers check once, at the commit.
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "meta/meta_priv.h"

struct meta_batch *
meta_batch_new(void)
{
	struct meta_batch *b = calloc(1, sizeof(*b));

	if (b != NULL) {
		STAILQ_INIT(&b->changes);
		sem_init(&b->done, 0, 0);
	}
	return b;
}

void
meta_batch_free(struct meta_batch **batch)
{
	struct change *c;

	if (*batch == NULL)
		return;
	while ((c = STAILQ_FIRST(&(*batch)->changes)) != NULL) {
		STAILQ_REMOVE_HEAD(&(*batch)->changes, link);
		free(c->text);
		free(c);
	}
	sem_destroy(&(*batch)->done);
	free(*batch);
	*batch = NULL;
}

void
meta_batch_fail(struct meta_batch *b, int error)
{
	if (b != NULL && b->error == 0)
		b->error = error;
}

static struct change *
add_room(struct meta_batch *b, enum change_kind kind, size_t len)
{
	struct change *c;

	if (b == NULL)
		return NULL;
	c = malloc(sizeof(*c) + len);
	if (c == NULL) {
		meta_batch_fail(b, -ENOMEM);
		return NULL;
	}
	*c = (struct change){ .kind = kind, .len = len };
	STAILQ_INSERT_TAIL(&b->changes, c, link);
	return c;
}

static struct change *
add(struct meta_batch *b, enum change_kind kind, const void *data, size_t len)
{
	struct change *c = add_room(b, kind, len);

	if (c != NULL && len > 0)
		memcpy(c->data, data, len);
	return c;
}

static void
add_text(struct meta_batch *b, struct change *c, const char *text)
{
	if (c != NULL && text != NULL) {
		c->text = strdup(text);
		if (c->text == NULL)
			meta_batch_fail(b, -ENOMEM);
	}
}

static void
add_inode(struct meta_batch *b, enum change_kind kind,
	  const struct meta_inode *inode)
{
	struct change *c = add(b, kind, inode, sizeof(*inode));

	add_text(b, c, inode->target);
	if (c != NULL)
		((struct meta_inode *)(void *)c->data)->target = c->text;
}

void
meta_put_inode(struct meta_batch *b, const struct meta_inode *inode)
{
	add_inode(b, PUT_INODE, inode);
}

void
meta_add_inode(struct meta_batch *b, const struct meta_inode *inode)
{
	add_inode(b, ADD_INODE, inode);
}

void
meta_del_inode(struct meta_batch *b, uint64_t ino)
{
	struct change *c = add(b, DEL_INODE, NULL, 0);

	if (c != NULL)
		c->a = ino;
}

void
meta_put_name(struct meta_batch *b, const struct meta_name *name)
{
	add(b, PUT_NAME, name, sizeof(*name));
}

void
meta_add_name(struct meta_batch *b, const struct meta_name *name)
{
	add(b, ADD_NAME, name, sizeof(*name));
}

void
meta_del_name(struct meta_batch *b, uint64_t parent, const char *name)
{
	struct change *c = add(b, DEL_NAME, NULL, 0);

	if (c != NULL)
		c->a = parent;
	add_text(b, c, name);
}

void
meta_put_handle(struct meta_batch *b, const struct meta_handle *handle)
{
	add(b, PUT_HANDLE, handle, sizeof(*handle));
}

void
meta_del_handle(struct meta_batch *b, uint64_t ino, const char *who)
{
	struct change *c = add(b, DEL_HANDLE, NULL, 0);

	if (c != NULL)
		c->a = ino;
	add_text(b, c, who);
}

static void
set_range(struct change *c, uint64_t ino, uint64_t from, uint64_t to)
{
	if (c != NULL) {
		c->a = ino;
		c->b = from;
		c->c = to;
	}
}

void
meta_put_extents(struct meta_batch *b, uint64_t ino, uint64_t from,
		 uint64_t to, const struct meta_extent *list, size_t count)
{
	set_range(add(b, PUT_EXTENTS, list, count * sizeof(*list)), ino, from,
		  to);
}

void
meta_put_durable_extents(struct meta_batch *b, uint64_t ino, uint64_t from,
			 uint64_t to, const struct meta_extent *list,
			 size_t count)
{
	set_range(add(b, PUT_DURABLE, list, count * sizeof(*list)), ino, from,
		  to);
}

void
meta_put_journal(struct meta_batch *b, uint64_t ino, uint64_t at,
		 const void *data, size_t len)
{
	struct change *c = add(b, PUT_JOURNAL, data, len);

	if (c != NULL) {
		c->a = ino;
		c->b = at;
	}
}

void
meta_del_journal(struct meta_batch *b, uint64_t ino)
{
	struct change *c = add(b, DEL_JOURNAL, NULL, 0);

	if (c != NULL)
		c->a = ino;
}

void
meta_put_upload(struct meta_batch *b, const struct meta_upload *upload)
{
	add(b, PUT_UPLOAD, upload, sizeof(*upload));
}

void
meta_put_indoubt(struct meta_batch *b, uint64_t ino,
		 const struct meta_indoubt *list, size_t count)
{
	struct change *c = add(b, PUT_SENT, list, count * sizeof(*list));

	if (c != NULL)
		c->a = ino;
}

void
meta_set_refused(struct meta_batch *b, uint64_t ino, unsigned refusals,
		 uint64_t refused_ms, const char *error)
{
	struct change *c = add(b, SET_REFUSED, error, strlen(error) + 1);

	if (c != NULL) {
		c->a = ino;
		c->b = refusals;
		c->c = refused_ms;
	}
}

void
meta_del_upload(struct meta_batch *b, uint64_t ino)
{
	struct change *c = add(b, DEL_UPLOAD, NULL, 0);

	if (c != NULL)
		c->a = ino;
}

void
meta_put_delete(struct meta_batch *b, const struct meta_delete *d)
{
	size_t more = d->ours != NULL ? meta_ours_size(d->ours->count) : 0;
	struct change *c = add_room(b, PUT_DELETE, sizeof(*d) + more);

	if (c == NULL)
		return;
	memcpy(c->data, d, sizeof(*d));
	if (more > 0)
		memcpy(c->data + sizeof(*d), d->ours, more);
}

void
meta_del_delete(struct meta_batch *b, uint64_t id)
{
	struct change *c = add(b, DEL_DELETE, NULL, 0);

	if (c != NULL)
		c->a = id;
}

void
meta_put_dirmove(struct meta_batch *b, const struct meta_dirmove *move)
{
	add(b, PUT_MOVE, move, sizeof(*move));
}

void
meta_del_dirmove(struct meta_batch *b, uint64_t id)
{
	struct change *c = add(b, DEL_MOVE, NULL, 0);

	if (c != NULL)
		c->a = id;
}

void
meta_put_drc(struct meta_batch *b, const uint8_t key[16],
	     uint32_t procedure, uint64_t ino, uint32_t generation,
	     int64_t now_ns)
{
	struct change *c = add(b, PUT_DRC, key, 16);

	if (c != NULL) {
		c->a = procedure;
		c->b = ino;
		c->c = generation;
		c->when = now_ns;
	}
}

void
meta_put_quarantine(struct meta_batch *b, const struct meta_quarantine *q)
{
	add(b, PUT_QUARANTINE, q, sizeof(*q));
}

void
meta_del_quarantine(struct meta_batch *b, uint64_t id)
{
	struct change *c = add(b, DEL_QUARANTINE, NULL, 0);

	if (c != NULL)
		c->a = id;
}

void
meta_put_setting(struct meta_batch *b, const char *name, const void *value,
		 size_t len)
{
	add_text(b, add(b, PUT_SETTING, value, len), name);
}
