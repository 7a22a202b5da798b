/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Versions that an upload works from (struct snapshot of state/data.h), of
 * files and of their further names, and how they are read.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nfsd/gate/data/data.h"
#include "nfsd/gate/link/inside.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/path/path.h"
#include "nfsd/gate/pending/pending.h"

#define GET_MAX (8 * MIB)
#define GAP_MAX (256ULL << 10)	/* to read past, in one GET */

/* What to copy.  The alias's lock is held.  -ECANCELED: nothing for now. */
static int
link_snapshot(struct node *n, struct snapshot *s)
{
	struct node *file = NULL;
	bool name_dirty = n->i.name_dirty, local_only = n->i.local_only;
	uint64_t version = n->i.link_version, content_version;
	bool done = false;
	int r;

	mutex_lock(&n->mutex);
	content_version = n->content_version;
	mutex_unlock(&n->mutex);

	memset(s, 0, sizeof(*s));
	r = path_key(n, s->key);
	if (r == 0)
		r = node_get(n->export->gate, n->i.link_ino, true, &file);
	if (r < 0)
		return r == -ESTALE ? -ECANCELED : r;
	mutex_lock(&file->mutex);
	r = file->dead ? -ECANCELED : meta_inode_copy(&file->i, &s->row);
	/* The file comes first if it has no object yet, or one at this very
	 * key, which it leaves. */
	if (r == 0 && !local_only &&
	    (s->row.base_key[0] == '\0' || s->row.link_version == 0 ||
	     strcmp(s->row.base_key, s->key) == 0)) {
		s->row.base_key[0] = '\0';
		upload_schedule_locked(file, true);
		if (!name_dirty || n->i.base_key[0] == '\0')
			r = -ECANCELED;
	} else if (r == 0 && !local_only && s->row.link_version < version) {
		/* The newer one is right (link_reconcile). */
		upload_schedule_locked(file, true);
		r = -ECANCELED;
	} else if (r == 0 && !local_only && !name_dirty &&
		   s->row.link_version == version &&
		   n->i.base_key[0] != '\0') {
		done = true;
		r = -ECANCELED;
	}
	mutex_unlock(&file->mutex);
	if (done)
		link_nothing_to_do(n, content_version);
	node_put(&file);
	mutex_lock(&n->mutex);
	if (r == 0 && n->dead)
		r = -ECANCELED;
	if (r == 0) {
		/* What was stored, not what the file has become since. */
		s->row.ino = n->ino;
		s->row.link_ino = n->i.link_ino;
		if (s->row.kind == GATE_REG)
			s->row.size = s->row.base_size;
		s->row.base_limit = s->row.base_size;
		s->row.data_dirty = s->row.attr_dirty = false;
		s->row.name_dirty = name_dirty;
		s->row.relocating = false;
		s->row.local_only = local_only;
		strcpy(s->row.dest_etag, n->i.dest_etag);
		s->attr_version = n->attr_version;
		s->plans = n->up.plans;
		/* From before the look at the file. */
		s->content_version = content_version;
		n->trunc_low = UINT64_MAX;
		place_snapshot_locked(n, s);
		s->node = n;
	}
	mutex_unlock(&n->mutex);
	if (r < 0)
		snapshot_free(s);
	return r;
}

int
snapshot_take(struct node *n, struct snapshot *s)
{
	int r;

	if (n->i.link_ino != 0)
		return link_snapshot(n, s);
	memset(s, 0, sizeof(*s));
	r = path_key(n, s->key);
	if (r == 0)
		r = data_mend(n);
	if (r < 0)
		return r;
	mutex_lock(&n->mutex);
	r = n->dead ? -ESTALE : meta_inode_copy(&n->i, &s->row);
	if (r == 0)
		r = extents_copy(&n->d.staged, &s->staged);
	if (r == 0)
		r = extents_copy(&n->d.clean, &s->clean);
	if (r == 0 && n->d.memory != NULL) {
		s->memory = malloc(n->d.memory_len);
		if (s->memory != NULL)
			memcpy(s->memory, n->d.memory, n->d.memory_len);
		else
			r = -ENOMEM;
	} else if (r == 0 && (s->staged.count > 0 || s->clean.count > 0)) {
		r = data_open_locked(n, false);
		if (r == 0)
			r = file_use(n->d.file);
		if (r == 0)
			s->file = n->d.file;
	}
	if (r == 0) {
		s->attr_version = n->attr_version;
		s->plans = n->up.plans;
		s->content_version = n->content_version;
		n->trunc_low = UINT64_MAX;
		place_snapshot_locked(n, s);
		s->node = n;
	}
	mutex_unlock(&n->mutex);
	if (r < 0)
		snapshot_free(s);
	return r;
}

void
snapshot_free(struct snapshot *s)
{
	struct node *n = s->node;

	if (n != NULL) {
		mutex_lock(&n->mutex);
		place_snapshot_end_locked(n, s);
		data_idle_locked(n);
		mutex_unlock(&n->mutex);
	}
	s->node = NULL;
	file_done(&s->file);
	meta_inode_fini(&s->row);
	extents_free(&s->staged);
	extents_free(&s->clean);
	free(s->memory);
	s->memory = NULL;
}

/* What lies at off: at most up to end. */
static void
snapshot_piece(const struct snapshot *s, uint64_t off, uint64_t end,
	       struct piece *out)
{
	uint64_t len = end - off, run, at;

	*out = (struct piece){ PIECE_FILE, off, len, 0, NULL };
	if (extents_at(&s->staged, off, &at, &run) ||
	    (len = run < len ? run : len,
	     extents_at(&s->clean, off, &at, &run))) {
		out->at = at;
		out->len = run < len ? run : len;
		return;
	}
	len = run < len ? run : len;
	out->kind = off < s->row.base_limit ? PIECE_BASE : PIECE_ZERO;
	if (off < s->row.base_limit && s->row.base_limit - off < len)
		len = s->row.base_limit - off;
	out->len = len;
}

bool
snapshot_needs_base(const struct snapshot *s, uint64_t off, uint64_t len)
{
	struct piece p;

	for (uint64_t at = off; at < off + len; at += p.len) {
		snapshot_piece(s, at, off + len, &p);
		if (p.kind == PIECE_BASE)
			return true;
	}
	return false;
}

/* Where a GET that begins at a piece of the base ends: it takes others along,
 * and what lies between them here is laid over it later.  Many short ones
 * cost more than bytes that are thrown away. */
static uint64_t
base_end(const struct snapshot *s, uint64_t off, uint64_t end)
{
	uint64_t stop = off;
	struct piece p;

	if (end - off > GET_MAX)
		end = off + GET_MAX;
	for (uint64_t at = off; at < end && at - stop <= GAP_MAX;
	     at += p.len) {
		snapshot_piece(s, at, end, &p);
		if (p.kind == PIECE_BASE)
			stop = at + p.len;
	}
	return stop;
}

/* All that [off, end) needs of the base. */
static int
read_base(const struct snapshot *s, uint64_t off, char *buf, uint64_t end)
{
	struct piece p;
	uint64_t next;

	for (uint64_t at = off; at < end; at = next) {
		ssize_t n;

		snapshot_piece(s, at, end, &p);
		next = at + p.len;
		if (p.kind != PIECE_BASE)
			continue;
		next = base_end(s, at, end);
		n = s3_get(s->node->export->s3, s->row.base_key,
			   s->row.base_etag, at, buf + (at - off), next - at,
			   NULL, NULL);
		if (n < 0)
			return n == -ENOENT ? -ESTALE : (int)n;
		/* Of the version that was asked for: not all of it came. */
		if ((uint64_t)n != next - at)
			return -EBADMSG;
	}
	return 0;
}

int
snapshot_read(const struct snapshot *s, uint64_t off, void *buf, uint64_t len)
{
	int got = read_base(s, off, buf, off + len);
	struct piece p;

	if (got < 0)
		return got;

	for (uint64_t at = off; at < off + len; at += p.len) {
		char *to = (char *)buf + (at - off);
		int r;

		snapshot_piece(s, at, off + len, &p);
		switch (p.kind) {
		case PIECE_ZERO:
			memset(to, 0, p.len);
			break;
		case PIECE_FILE:
			if (s->memory != NULL)
				memcpy(to, s->memory + p.at, p.len);
			r = s->memory != NULL
				    ? 0
				    : data_read_file(s->file->fd, to, p.len,
						     p.at);
			/* Copies of the base that never reached the disk.
			 * The next try fetches them. */
			if (r == 0 && s->file != NULL && file_failed(s->file))
				r = -ECANCELED;
			if (r < 0)
				return r;
			break;
		case PIECE_BASE:
			break;
		}
	}
	return 0;
}

/* ---- what an alias uploads ---- */
