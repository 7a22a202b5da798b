/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cases that move no data: GETATTR, LOOKUP and READDIRPLUS over a directory
 * that load_create filled.  A survey, which is not timed, learns handle and
 * fileid of each file; every later answer is held against it, and every walk
 * through the directory must give each name once.
 */
#include <config.h>

#include "tests/bench/load.h"

#include <stdlib.h>
#include <string.h>

struct file {
	struct fh fh;
	uint64_t fileid;
};

struct files {
	struct fh dir;
	uint64_t count;
	uint64_t next;
	uint64_t sum;		/* of mixed fileids, for whole walks */
	struct file *list;
};

static bool
good_file(const struct attr *a)
{
	return a->present && a->type == NF3REG && a->size == PAGE_BYTES;
}

/* ---- survey ---- */

static void survey_reply(struct wire *w, struct slot *s, struct in *in);

static void
survey_start(struct load *l, struct slot *s)
{
	struct files *f = l->files;
	char name[LOAD_NAME_BYTES];

	if (f->next >= f->count)
		return;
	s->item = f->next++;
	load_name(s->item, name);
	nfs_lookup(&l->w, s, &f->dir, name);
	wire_submit(&l->w, s, survey_reply);
}

static void
survey_reply(struct wire *w, struct slot *s, struct in *in)
{
	struct load *l = load_of(w);
	struct files *f = l->files;
	uint32_t status = get_u32(in);
	struct attr attr = {0};

	if (load_jukebox(l, s, status))
		return;
	if (status == 0) {
		get_fh(in, &f->list[s->item].fh);
		get_post_attr(in, &attr);
	}
	/* RFC 1813 lets a server leave attributes out; ours and Ganesha
	 * do not, and the later checks need them. */
	if (status != 0 || in->bad || !good_file(&attr)) {
		wire_fail(w, "LOOKUP of file %llu: status %u, size %llu",
			  (unsigned long long)s->item, status,
			  (unsigned long long)attr.size);
		return;
	}
	f->list[s->item].fileid = attr.fileid;
	f->sum += pattern_mix(attr.fileid);
	survey_start(l, s);
}

static int
survey(struct load *l, struct files *f)
{
	struct attr attr;

	f->count = load_number(l, 1);
	l->files = f;
	if (l->w.error[0] != '\0' || nfs_find(&l->w, &l->root,
			load_string(l, 0), &f->dir, &attr) < 0)
		return -1;
	f->list = f->count == 0 ? NULL : calloc(f->count, sizeof(*f->list));
	if (f->list == NULL) {
		wire_fail(&l->w, "no files, or out of memory");
		return -1;
	}
	for (unsigned i = 0; i < l->w.slot_count; i++)
		survey_start(l, &l->w.slots[i]);
	wire_run(&l->w);
	return l->w.error[0] == '\0' ? 0 : -1;
}

static int
timed(struct load *l, void (*start)(struct load *l, struct slot *s))
{
	struct files f = {0};
	int r = survey(l, &f);

	if (r == 0) {
		load_begin(l);
		for (unsigned i = 0; i < l->w.slot_count; i++)
			start(l, &l->w.slots[i]);
		wire_run(&l->w);
		load_end(l);
		r = l->w.error[0] == '\0' ? 0 : -1;
	}
	free(f.list);
	return r;
}

/* ---- GETATTR and LOOKUP ---- */

/* Files in an order without a pattern, the same for every server. */
static bool
next_file(struct load *l, struct slot *s)
{
	struct files *f = l->files;

	s->start_ns = now_ns();
	if (s->start_ns >= l->stop_ns)
		return false;
	s->item = pattern_mix(f->next++) % f->count;
	return true;
}

static void getattr_reply(struct wire *w, struct slot *s, struct in *in);

static void
getattr_start(struct load *l, struct slot *s)
{
	struct files *f = l->files;

	if (!next_file(l, s))
		return;
	nfs_getattr(&l->w, s, &f->list[s->item].fh);
	wire_submit(&l->w, s, getattr_reply);
}

/* The answer is about the file that was asked for. */
static void
judge(struct load *l, struct slot *s, uint32_t status, const struct in *in,
      const struct attr *attr)
{
	struct files *f = l->files;

	if (status != 0 || in->bad || !good_file(attr) ||
	    attr->fileid != f->list[s->item].fileid) {
		wire_fail(&l->w, "file %llu: status %u or wrong attributes",
			  (unsigned long long)s->item, status);
		return;
	}
	l->ops++;
	wire_took(&l->w, s->start_ns);
}

static void
getattr_reply(struct wire *w, struct slot *s, struct in *in)
{
	struct load *l = load_of(w);
	uint32_t status = get_u32(in);
	struct attr attr = {0};

	if (load_jukebox(l, s, status))
		return;
	if (status == 0)
		get_attr(in, &attr);
	judge(l, s, status, in, &attr);
	getattr_start(l, s);
}

int
load_getattr(struct load *l)
{
	return timed(l, getattr_start);
}

static void lookup_reply(struct wire *w, struct slot *s, struct in *in);

static void
lookup_start(struct load *l, struct slot *s)
{
	struct files *f = l->files;
	char name[LOAD_NAME_BYTES];

	if (!next_file(l, s))
		return;
	load_name(s->item, name);
	nfs_lookup(&l->w, s, &f->dir, name);
	wire_submit(&l->w, s, lookup_reply);
}

static void
lookup_reply(struct wire *w, struct slot *s, struct in *in)
{
	struct load *l = load_of(w);
	uint32_t status = get_u32(in);
	struct attr attr = {0};
	struct fh fh;

	if (load_jukebox(l, s, status))
		return;
	if (status == 0) {
		get_fh(in, &fh);
		get_post_attr(in, &attr);
	}
	judge(l, s, status, in, &attr);
	lookup_start(l, s);
}

int
load_lookup(struct load *l)
{
	return timed(l, lookup_start);
}

/* ---- READDIRPLUS ---- */

static void readdir_reply(struct wire *w, struct slot *s, struct in *in);

/* The next page of this slot's walk. */
static void
readdir_page(struct load *l, struct slot *s)
{
	struct files *f = l->files;

	s->start_ns = now_ns();
	nfs_readdirplus(&l->w, s, &f->dir, s->cookie, s->verf);
	wire_submit(&l->w, s, readdir_reply);
}

static void
readdir_start(struct load *l, struct slot *s)
{
	if (now_ns() >= l->stop_ns)
		return;
	s->cookie = s->sum = s->seen = 0;
	memset(s->verf, 0, sizeof(s->verf));
	readdir_page(l, s);
}

/* One entryplus3; false after the last of the page. */
static bool
take_entry(struct slot *s, struct in *in, uint64_t *named)
{
	struct attr attr;
	struct fh fh = {0};
	const uint8_t *name;
	size_t len;
	uint64_t fileid;

	if (get_u32(in) == 0)
		return false;
	fileid = get_u64(in);
	name = get_opaque(in, 255, &len);
	s->cookie = get_u64(in);
	get_post_attr(in, &attr);
	if (get_u32(in) != 0)
		get_fh(in, &fh);
	if (in->bad || name == NULL)
		return false;
	if (name[0] == '.')
		return true;
	s->sum += pattern_mix(fileid);
	s->seen++;
	(*named)++;
	if (!good_file(&attr) || attr.fileid != fileid || fh.len == 0)
		in->bad = true;
	return !in->bad;
}

static void
readdir_reply(struct wire *w, struct slot *s, struct in *in)
{
	struct load *l = load_of(w);
	struct files *f = l->files;
	uint32_t status = get_u32(in);
	struct attr attr;
	uint64_t named = 0;
	bool eof;

	if (load_jukebox(l, s, status))
		return;
	get_post_attr(in, &attr);
	if (status == 0 && in->end - in->p >= 8) {
		memcpy(s->verf, in->p, 8);
		get_skip(in, 8);
		while (take_entry(s, in, &named))
			;
	}
	eof = get_u32(in) != 0;
	if (status != 0 || in->bad || (named == 0 && !eof)) {
		wire_fail(w, "READDIRPLUS: status %u or a bad entry", status);
		return;
	}
	l->ops += named;
	wire_took(w, s->start_ns);
	if (!eof) {
		readdir_page(l, s);
		return;
	}
	if (s->seen != f->count || s->sum != f->sum) {
		wire_fail(w, "a walk saw %llu of %llu names, or wrong ones",
			  (unsigned long long)s->seen,
			  (unsigned long long)f->count);
		return;
	}
	readdir_start(l, s);
}

int
load_readdirplus(struct load *l)
{
	return timed(l, readdir_start);
}
