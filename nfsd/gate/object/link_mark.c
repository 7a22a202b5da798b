/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mark in an object's metadata that says which file it is a name of; its
 * form is told in link/copy.c.
 */

#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "nfsd/gate/object/object.h"

#define MARK "x-amz-meta-s3nfsd-link"

/* FNV-1a over the key without the export's prefix, so that a bucket may be
 * mirrored to another place. */
static uint64_t
key_hash(const struct gate_export *x, const char *key)
{
	size_t prefix = strlen(x->c.prefix);
	uint64_t h = 0xcbf29ce484222325;

	if (strncmp(key, x->c.prefix, prefix) == 0)
		key += prefix;
	for (; *key != '\0'; key++)
		h = (h ^ (unsigned char)*key) * 0x100000001b3;
	return h;
}

bool
link_mark_read(const struct gate_export *x, const char *key,
	       const struct s3_headers *headers, struct link_mark *out)
{
	const char *text = s3_headers_get(headers, MARK);
	struct link_mark m = { 0 };
	uint64_t hash = 0;
	int end = 0;

	if (text == NULL || strlen(text) > 120 ||
	    sscanf(text, "%32[0-9a-f] %" SCNu32 " %" SCNu64 " %" SCNx64 "%n",
		   m.id, &m.count, &m.version, &hash, &end) != 4 ||
	    text[end] != '\0' || strlen(m.id) != META_LINK_MAX - 1)
		return false;
	if (hash != key_hash(x, key) || m.count < 2 || m.count > 65535 ||
	    m.version > INT64_MAX / 2)
		return false;
	*out = m;
	return true;
}

int
link_mark_write(const struct gate_export *x, const char *key,
		const struct meta_inode *file, uint64_t version,
		struct s3_headers *headers)
{
	char text[128];

	if (file->link_id[0] == '\0' || file->nlink < 2 ||
	    x->c.metadata == GATE_META_NONE)
		return s3_headers_set(headers, MARK, NULL);
	snprintf(text, sizeof(text), "%s %" PRIu32 " %" PRIu64 " %016" PRIx64,
		 file->link_id, file->nlink, version, key_hash(x, key));
	return s3_headers_set(headers, MARK, text);
}

int
link_mark_apply(struct gate *g, const struct link_mark *mark,
		struct meta_inode *row)
{
	uint64_t file = 0;
	int r = meta_find_link(g->meta, row->export_id, mark->id, &file);

	if (r < 0 && r != -ENOENT)
		return r;
	strcpy(row->link_id, mark->id);
	row->link_version = mark->version;
	if (r == -ENOENT || file == row->ino) {
		row->nlink = mark->count;
		return 0;
	}
	row->link_ino = file;
	row->nlink = 1;
	return 0;
}
