/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of every kind, written and told.  Programs of before are asked by the
 * same text: tests/versions/make builds it with the meta/ of an older commit,
 * which writes a database and tells what it reads there (NAME.sql, NAME.rows).
 * HAVE_... tell what that one had; here it is all.
 */

#include <config.h>

#include <stdio.h>
#include <string.h>

#include "meta/meta.h"
#include "tests/meta_rows.h"

#ifndef OLDER
#define HAVE_MOVE
#define HAVE_LINK
#define HAVE_SENT
#define HAVE_SENT_KIND
#define HAVE_HARD
#define HAVE_PARTS
#define HAVE_LISTED
#define HAVE_COLD
#define HAVE_LAPSED
#define HAVE_OURS
#define HAVE_REFUSED
#define HAVE_REFUSALS
#endif

#define INODES 12	/* 10, 11, ... */
#define NS 1700000000123456789LL

/* ---- written ---- */

static struct meta_inode
inode(unsigned i)
{
	struct meta_inode n = {
		.ino = 10 + i, .export_id = 1 + i % 2, .generation = 900 + i,
		.kind = 1, .mode = 0640 + i, .uid = 1000 + i, .gid = 2000 + i,
		.nlink = 1 + i, .rdev_major = i, .rdev_minor = 2 * i,
		.size = 100000000000ULL + i, .atime_ns = NS + i,
		.mtime_ns = NS + 100 + i, .ctime_ns = NS + 200 + i,
		.btime_ns = NS + 300 + i, .base_size = 7000 + i,
		.base_limit = 6000 + i, .base_mtime_ns = NS - i,
	};

	snprintf(n.base_key, sizeof(n.base_key), "dir/\xc3\xa4 key %u", i);
	snprintf(n.base_etag, sizeof(n.base_etag), "\"etag-%u\"", i);
	snprintf(n.dest_etag, sizeof(n.dest_etag), "\"dest-%u\"", i);
	return n;
}

/* One flag each, then none, then all. */
static void
set_flags(struct meta_inode *n, unsigned i)
{
	bool all = i == INODES - 1;

	n->attr_known = all || i == 0;
	n->data_dirty = all || i == 1;
	n->attr_dirty = all || i == 2;
	n->name_dirty = all || i == 3;
	n->marker = all || i == 4;
	n->local_only = all || i == 5;
	n->has_verf = all || i == 6;
	if (n->has_verf)
		memcpy(n->verf, "\1\2\3\0\5\6\7\x80", 8);
#ifdef HAVE_MOVE
	n->relocating = all || i == 7;
#endif
#ifdef HAVE_LISTED
	n->listed = all || i == 8;
#endif
#ifdef HAVE_COLD
	n->cold = all || i == 9;
#endif
#ifdef HAVE_LINK
	if (all || i == 1) {
		snprintf(n->link_id, sizeof(n->link_id),
			 "0123456789abcdef0123456789abcdef");
		n->link_ino = all ? 11 : 0;
		n->link_version = all ? 3 : 5;
	}
#endif
}

static void
put_inodes(struct meta_batch *b)
{
	for (unsigned i = 0; i < INODES; i++) {
		struct meta_inode n = inode(i);
		struct meta_name name = { .id = 5000 + i, .parent = 2,
					  .ino = n.ino, .kind = 1 };
		char target[] = "to/some \xe4 place";

		set_flags(&n, i);
		if (i == 4 || i == 8)
			n.kind = name.kind = 2;
		if (i == 2) {
			n.kind = name.kind = 5;
			n.target = target;
		}
		if (i == 10)	/* S3 has none yet */
			n.base_key[0] = n.base_etag[0] = n.dest_etag[0] = '\0';
		snprintf(name.name, sizeof(name.name), "n\xe4me %u", i);
		meta_put_inode(b, &n);
		meta_put_name(b, &name);
	}
}

static void
put_writers(struct meta_batch *b)
{
	struct meta_extent list[] = { { 0, 10, 8796093022208 }, { 30, 5, 30 } };
	static const struct { enum meta_state state; bool created, lapsed; }
	states[] = {
		{ META_ACTIVE, true, false }, { META_FLUSHED, false, true },
		{ META_UPLOADING, true, true }, { META_FAILED, false, false },
		{ META_FENCED, false, true },
	};

	for (unsigned i = 0; i < sizeof(states) / sizeof(*states); i++) {
		struct meta_handle h = { .ino = 11 + i,
					 .state = states[i].state,
					 .generation = 40 + i,
					 .opened_ns = NS + i,
					 .created = states[i].created };

		snprintf(h.who, sizeof(h.who), "host%u@192.0.2.%u", i, i);
#ifdef HAVE_LAPSED
		h.lapsed = states[i].lapsed;
#endif
		meta_put_handle(b, &h);
	}
	meta_put_extents(b, 11, 0, 100, list, 2);
#ifdef HAVE_HARD
	list[0].len = 7;
	meta_put_durable_extents(b, 11, 0, 100, list, 1);
#endif
	meta_put_journal(b, 11, 3, "ab\0cd", 5);
	meta_put_journal(b, 12, 0, "more", 4);
	meta_put_drc(b, (const uint8_t *)"0123456789abcdef", 8, 11, 901,
			NS * 2);
	meta_put_setting(b, "a setting", "\0value", 6);
}

static void
put_uploads(struct meta_batch *b)
{
	for (unsigned i = 0; i < 3; i++) {
		struct meta_upload u = { .ino = 11 + i,
					 .phase = (enum meta_upload_phase)i,
					 .part_size = i * 5242880,
					 .since_ns = NS + i, .attempts = i };

		if (i > 0) {
			snprintf(u.key, sizeof(u.key), "dir/\xe4 %u", i);
			snprintf(u.upload_id, sizeof(u.upload_id), "id%u", i);
			snprintf(u.error, sizeof(u.error), "error %u", i);
		}
		if (i == META_UP_FINISHING)
			snprintf(u.expect_etag, sizeof(u.expect_etag), "\"x\"");
#ifdef HAVE_REFUSALS
		u.refusals = 2 * i;
		u.refused_ms = 3 * i;
#endif
		meta_put_upload(b, &u);
	}
}

#ifdef HAVE_SENT
static void
fill_sent(struct meta_indoubt *sent)
{
	*sent = (struct meta_indoubt){ .replaced = true, .size = 77,
				    .mtime_ns = NS, .mode = 0600, .uid = 5,
				    .gid = 6 };
	snprintf(sent->key, sizeof(sent->key), "sent/key");
	snprintf(sent->etag, sizeof(sent->etag), "\"sent\"");
#ifdef HAVE_SENT_KIND
	sent->kind = 1;
	snprintf(sent->link_id, sizeof(sent->link_id), "%s",
		 "0123456789abcdef0123456789abcdef");
#endif
}

static void
put_sent(struct meta_batch *b)
{
	struct meta_indoubt list[2];

	fill_sent(&list[0]);
	fill_sent(&list[1]);
	list[1].etag[0] = '\0';
	list[1].replaced = false;
	list[1].size++;
	meta_put_indoubt(b, 11, list, 2);
}
#endif

static void
put_deletions(struct meta_batch *b)
{
	static const char *const etags[] = { "\"e\"", "", "?odd", "=odd" };
	struct meta_delete d = { .id = 6000, .export_id = 2 };

	for (unsigned i = 0; i < 4; i++, d.id++) {
		snprintf(d.key, sizeof(d.key), "gone/\xe4 %u", i);
		snprintf(d.etag, sizeof(d.etag), "%s", etags[i]);
#ifdef HAVE_PARTS
		d.parts = i == 1;
#endif
		meta_put_delete(b, &d);
	}
#ifdef HAVE_OURS
	for (unsigned count = 0; count < 3; count++, d.id++) {
		union {
			struct meta_ours ours;
			char room[sizeof(struct meta_ours) +
				  2 * sizeof(struct meta_indoubt)];
		} u = { .room = "" };

		snprintf(u.ours.upload_id, sizeof(u.ours.upload_id), "up");
		u.ours.since_ns = NS;
		u.ours.until_ns = NS + 5;
		u.ours.count = count;
		for (unsigned i = 0; i < count; i++) {
			fill_sent(&u.ours.sent[i]);
			u.ours.sent[i].size += i;
		}
		d.parts = count == 1;
		d.ours = &u.ours;
		strcpy(d.etag, count == 2 ? "+odd" : "");
		meta_put_delete(b, &d);
	}
#endif
}

static void
put_rest(struct meta_batch *b)
{
	static const char *const errors[] = {
		"AccessDenied: no (HTTP 403)", "its writer went silent",
	};
#ifdef HAVE_MOVE
	struct meta_dirmove v = { .id = 7000, .export_id = 1, .ino = 14,
			       .listed = true, .since_ns = NS, .objects = 3,
			       .bytes = 4 };

	strcpy(v.source, "old/d\xe4r/");
	strcpy(v.after, "old/d\xe4r/k");
	meta_put_dirmove(b, &v);
#endif
	for (unsigned i = 0; i < 2; i++) {
		struct meta_extent e = { i, 9, 18 };
		struct meta_quarantine q = {
			.id = 8000 + i, .export_id = 1, .ino = 20,
			.since_ns = NS, .size = 10 + i, .bytes = 9,
			.base_limit = 4, .mode = 0644, .uid = 1, .gid = 2,
			.mtime_ns = NS + 1,
		};

		strcpy(q.path, "/export/p\xe4th");
		strcpy(q.key, "p\xe4th");
		strcpy(q.error, errors[i]);
		strcpy(q.who, "host@192.0.2.1");
		strcpy(q.base_key, "base");
		strcpy(q.base_etag, "\"base\"");
#ifdef HAVE_REFUSED
		q.refused = i == 0;
#endif
		meta_put_extents(b, 20, 0, 100, &e, 1);
		meta_put_quarantine(b, &q);
	}
}

int
rows_write(struct meta *m)
{
	struct meta_batch *b = meta_batch_new();
	uint32_t id;
	int r = meta_export_id(m, "/one", &id);

	if (r == 0)
		r = meta_export_id(m, "/two", &id);
	if (r < 0)
		return r;
	put_inodes(b);
	put_writers(b);
	put_uploads(b);
#ifdef HAVE_SENT
	put_sent(b);
#endif
	put_deletions(b);
	put_rest(b);
	return meta_commit(m, &b);
}

/* ---- told: a line each, NAME=VALUE, texts in hex ---- */

static void
hex(FILE *out, const char *name, const void *bytes, size_t len)
{
	const unsigned char *p = bytes;

	fprintf(out, " %s=", name);
	for (size_t i = 0; i < len; i++)
		fprintf(out, "%02x", p[i]);
}

static void
text(FILE *out, const char *name, const char *value)
{
	hex(out, name, value, strlen(value));
}

static void
number(FILE *out, const char *name, uint64_t value)
{
	fprintf(out, " %s=%llu", name, (unsigned long long)value);
}

static void
tell_inode(FILE *out, const struct meta_inode *n)
{
	const struct { const char *name; uint64_t value; } numbers[] = {
		{ "ino", n->ino }, { "export", n->export_id },
		{ "generation", n->generation }, { "kind", (uint64_t)n->kind },
		{ "mode", n->mode }, { "uid", n->uid }, { "gid", n->gid },
		{ "nlink", n->nlink }, { "major", n->rdev_major },
		{ "minor", n->rdev_minor }, { "size", n->size },
		{ "atime", (uint64_t)n->atime_ns },
		{ "mtime", (uint64_t)n->mtime_ns },
		{ "ctime", (uint64_t)n->ctime_ns },
		{ "btime", (uint64_t)n->btime_ns },
		{ "base_size", n->base_size }, { "base_limit", n->base_limit },
		{ "base_mtime", (uint64_t)n->base_mtime_ns },
		{ "attr_known", n->attr_known }, { "marker", n->marker },
		{ "data_dirty", n->data_dirty },
		{ "attr_dirty", n->attr_dirty },
		{ "name_dirty", n->name_dirty },
		{ "local_only", n->local_only }, { "has_verf", n->has_verf },
#ifdef HAVE_MOVE
		{ "carried", n->relocating },
#endif
#ifdef HAVE_LISTED
		{ "listed", n->listed },
#endif
#ifdef HAVE_COLD
		{ "cold", n->cold },
#endif
#ifdef HAVE_LINK
		{ "link_ino", n->link_ino },
		{ "link_version", n->link_version },
#endif
	};

	fprintf(out, "inode");
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		number(out, numbers[i].name, numbers[i].value);
	text(out, "base_key", n->base_key);
	text(out, "base_etag", n->base_etag);
	text(out, "dest_etag", n->dest_etag);
	hex(out, "verf", n->verf, sizeof(n->verf));
	text(out, "target", n->target != NULL ? n->target : "-");
#ifdef HAVE_LINK
	text(out, "link_id", n->link_id);
#endif
	fprintf(out, "\n");
}

static int
tell_name(void *out, const struct meta_name *n)
{
	fprintf(out, "name");
	number(out, "id", n->id);
	number(out, "parent", n->parent);
	number(out, "ino", n->ino);
	number(out, "kind", (uint64_t)n->kind);
	text(out, "name", n->name);
	fprintf(out, "\n");
	return 0;
}

static int
tell_handle(void *out, const struct meta_handle *h)
{
	fprintf(out, "handle");
	number(out, "ino", h->ino);
	text(out, "who", h->who);
	number(out, "state", h->state);
	number(out, "generation", h->generation);
	number(out, "opened", (uint64_t)h->opened_ns);
	number(out, "created", h->created);
#ifdef HAVE_LAPSED
	number(out, "lapsed", h->lapsed);
#endif
	fprintf(out, "\n");
	return 0;
}

static int
tell_kept_extent(void *out, const struct meta_extent *e)
{
	fprintf(out, "extent");
	number(out, "off", e->off);
	number(out, "len", e->len);
	number(out, "at", e->at);
	fprintf(out, "\n");
	return 0;
}

#ifdef HAVE_HARD
static int
tell_extent(void *out, const struct meta_extent *e, bool hard)
{
	fprintf(out, hard ? "hard " : "");
	return tell_kept_extent(out, e);
}
#else
#define tell_extent tell_kept_extent
#endif

static int
tell_journal(void *out, uint64_t ino, uint64_t at, const void *data,
	     size_t len)
{
	fprintf(out, "journal");
	number(out, "ino", ino);
	number(out, "at", at);
	hex(out, "data", data, len);
	fprintf(out, "\n");
	return 0;
}

static int
tell_upload(void *out, const struct meta_upload *u)
{
	fprintf(out, "upload");
	number(out, "ino", u->ino);
	number(out, "phase", u->phase);
	text(out, "key", u->key);
	text(out, "upload_id", u->upload_id);
	text(out, "expect", u->expect_etag);
	number(out, "part_size", u->part_size);
	number(out, "since", (uint64_t)u->since_ns);
	number(out, "attempts", u->attempts);
	text(out, "error", u->error);
#ifdef HAVE_REFUSALS
	number(out, "refusals", u->refusals);
	number(out, "refused", u->refused_ms);
#endif
	fprintf(out, "\n");
	return 0;
}

#ifdef HAVE_SENT
static int
tell_sent(void *out, uint64_t ino, const struct meta_indoubt *sent)
{
	fprintf(out, "sent");
	number(out, "ino", ino);
	text(out, "key", sent->key);
	text(out, "etag", sent->etag);
	number(out, "replaced", sent->replaced);
	number(out, "size", sent->size);
	number(out, "mtime", (uint64_t)sent->mtime_ns);
	number(out, "mode", sent->mode);
	number(out, "uid", sent->uid);
	number(out, "gid", sent->gid);
#ifdef HAVE_SENT_KIND
	number(out, "kind", (uint64_t)sent->kind);
	text(out, "link", sent->link_id);
#endif
	fprintf(out, "\n");
	return 0;
}
#endif

static int
tell_delete(void *out, const struct meta_delete *d)
{
	fprintf(out, "delete");
	number(out, "id", d->id);
	number(out, "export", d->export_id);
	text(out, "key", d->key);
	text(out, "etag", d->etag);
#ifdef HAVE_PARTS
	number(out, "parts", d->parts);
#endif
#ifdef HAVE_OURS
	number(out, "ours", d->ours != NULL ? d->ours->count + 1 : 0);
	if (d->ours != NULL) {
		text(out, "upload_id", d->ours->upload_id);
		number(out, "since", (uint64_t)d->ours->since_ns);
		number(out, "until", (uint64_t)d->ours->until_ns);
	}
	fprintf(out, "\n");
	for (size_t i = 0; d->ours != NULL && i < d->ours->count; i++)
		tell_sent(out, d->id, &d->ours->sent[i]);
#else
	fprintf(out, "\n");
#endif
	return 0;
}

#ifdef HAVE_MOVE
static int
tell_move(void *out, const struct meta_dirmove *v)
{
	fprintf(out, "move");
	number(out, "id", v->id);
	number(out, "export", v->export_id);
	number(out, "ino", v->ino);
	number(out, "listed", v->listed);
	text(out, "source", v->source);
	text(out, "after", v->after);
	number(out, "since", (uint64_t)v->since_ns);
	number(out, "objects", v->objects);
	number(out, "bytes", v->bytes);
	fprintf(out, "\n");
	return 0;
}
#endif

static int
tell_quarantine(void *out, const struct meta_quarantine *q)
{
	fprintf(out, "quarantine");
	number(out, "id", q->id);
	number(out, "export", q->export_id);
	number(out, "ino", q->ino);
	text(out, "path", q->path);
	text(out, "key", q->key);
	text(out, "error", q->error);
	text(out, "who", q->who);
	number(out, "since", (uint64_t)q->since_ns);
	number(out, "size", q->size);
	number(out, "bytes", q->bytes);
	text(out, "base_key", q->base_key);
	text(out, "base_etag", q->base_etag);
	number(out, "base_limit", q->base_limit);
	number(out, "mode", q->mode);
	number(out, "uid", q->uid);
	number(out, "gid", q->gid);
	number(out, "mtime", (uint64_t)q->mtime_ns);
#ifdef HAVE_REFUSED
	number(out, "refused", q->refused);
#endif
	fprintf(out, "\n");
	return 0;
}

static int
tell_small(FILE *out, struct meta *m)
{
	uint64_t ino = 0;
	uint32_t generation = 0;
	char value[16];
	ssize_t n;
	int r = meta_get_drc(m, (const uint8_t *)"0123456789abcdef", NS,
				&ino, &generation);

	fprintf(out, "replay");
	number(out, "ino", ino);
	number(out, "generation", generation);
	n = meta_get_setting(m, "a setting", value, sizeof(value));
	if (n < 0)
		return (int)n;
	fprintf(out, "\nsetting");
	hex(out, "value", value, (size_t)n);
	fprintf(out, "\n");
	return r;
}

static int
tell_inodes(FILE *out, struct meta *m)
{
	int r = 0;

	for (uint64_t ino = 10; r == 0 && ino < 10 + INODES; ino++) {
		struct meta_inode n = { 0 };

		r = meta_get_inode(m, ino, &n);
		if (r == 0)
			tell_inode(out, &n);
		meta_inode_fini(&n);
		if (r == 0)
			r = meta_each_extent(m, ino, tell_extent, out);
	}
	return r;
}

int
rows_tell(struct meta *m, FILE *out)
{
	int r = tell_inodes(out, m);

	if (r == 0)
		r = meta_each_name(m, 2, 0, 1000, tell_name, out);
	if (r == 0)
		r = meta_each_handle(m, 0, tell_handle, out);
	if (r == 0)
		r = meta_each_journal(m, tell_journal, out);
	if (r == 0)
		r = meta_each_upload(m, tell_upload, out);
#ifdef HAVE_SENT
	if (r == 0)
		r = meta_each_indoubt(m, tell_sent, out);
#endif
	if (r == 0)
		r = meta_each_delete(m, tell_delete, out);
#ifdef HAVE_MOVE
	if (r == 0)
		r = meta_each_dirmove(m, tell_move, out);
#endif
	if (r == 0)
		r = meta_each_quarantine(m, tell_quarantine, out);
	for (uint64_t id = 8000; r == 0 && id < 8002; id++)
		r = meta_each_quarantine_extent(m, id, tell_kept_extent, out);
	return r < 0 ? r : tell_small(out, m);
}

#ifdef OLDER
int
main(int argc, char **argv)
{
	struct meta_config c = { .path = argv[argc - 1] };
	struct meta *m;
	int r = meta_open(&c, &m);

	if (r < 0)
		return 1;
	r = rows_write(m);
	if (r == 0)
		r = rows_tell(m, stdout);
	meta_close(&m);
	return r < 0;
}
#endif
