/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Durable creates: CREATE (GUARDED) of a new name, then one WRITE of 4 KiB
 * with FILE_SYNC, which must come back as FILE_SYNC: from then on the file
 * and its name have to survive a power cut.  One such pair is one operation.
 * load_verify, run later (also after a restart of the server), looks up each
 * file and compares its bytes; load_remove takes all away again.
 *
 * A slot goes through its calls for one file, then takes the next.
 */
#include <config.h>

#include "tests/bench/load.h"

#include <stdlib.h>
#include <string.h>

struct files {
	struct fh dir;
	uint64_t count;
	uint64_t next;
};

static int
files_open(struct load *l, struct files *f, bool create)
{
	struct attr attr;
	const char *name = load_string(l, 0);

	f->count = load_number(l, 1);
	l->files = f;
	if (l->w.error[0] != '\0')
		return -1;
	if (create)
		return nfs_make(&l->w, &l->root, name, true, &f->dir);
	return nfs_find(&l->w, &l->root, name, &f->dir, &attr);
}

static int
run_slots(struct load *l, void (*start)(struct load *l, struct slot *s))
{
	load_begin(l);
	for (unsigned i = 0; i < l->w.slot_count; i++) {
		struct slot *s = &l->w.slots[i];

		if (s->buf == NULL)
			s->buf = malloc(PAGE_BYTES);
		if (s->buf == NULL) {
			wire_fail(&l->w, "out of memory");
			return -1;
		}
		start(l, s);
	}
	wire_run(&l->w);
	load_end(l);
	return l->w.error[0] == '\0' ? 0 : -1;
}

static bool
take_name(struct files *f, struct slot *s, char name[LOAD_NAME_BYTES])
{
	if (f->next >= f->count)
		return false;
	s->item = f->next++;
	s->start_ns = now_ns();
	load_name(s->item, name);
	return true;
}

static void
file_failed(struct load *l, struct slot *s, const char *what, uint32_t status)
{
	wire_fail(&l->w, "%s of file %llu: status %u or a wrong answer", what,
		  (unsigned long long)s->item, status);
}

static void
file_done(struct load *l, struct slot *s)
{
	l->ops++;
	wire_took(&l->w, s->start_ns);
}

/* ---- create ---- */

static void create_start(struct load *l, struct slot *s);

static void
write_reply(struct wire *w, struct slot *s, struct in *in)
{
	struct load *l = load_of(w);
	uint32_t status = get_u32(in);
	struct attr attr = {0};
	uint32_t count = 0, stable = 0;

	if (load_jukebox(l, s, status))
		return;
	get_wcc(in, &attr);
	if (status == 0) {
		count = get_u32(in);
		stable = get_u32(in);
	}
	if (status != 0 || in->bad || count != PAGE_BYTES ||
	    stable != NFS_FILE_SYNC ||
	    (attr.present && attr.size != PAGE_BYTES)) {
		file_failed(l, s, "WRITE", status);
		return;
	}
	l->bytes += PAGE_BYTES;
	file_done(l, s);
	create_start(l, s);
}

static void
create_reply(struct wire *w, struct slot *s, struct in *in)
{
	struct load *l = load_of(w);
	uint32_t status = get_u32(in);
	struct fh fh = {0};

	if (load_jukebox(l, s, status))
		return;
	if (status == 0 && get_u32(in) != 0)
		get_fh(in, &fh);
	if (status != 0 || in->bad || fh.len == 0) {
		file_failed(l, s, "CREATE", status);
		return;
	}
	pattern_fill_page(&l->pattern, load_seed(s->item), 0, s->buf);
	nfs_write(w, s, &fh, 0, s->buf, PAGE_BYTES, NFS_FILE_SYNC);
	wire_submit(w, s, write_reply);
}

static void
create_start(struct load *l, struct slot *s)
{
	struct files *f = l->files;
	char name[LOAD_NAME_BYTES];

	if (!take_name(f, s, name))
		return;
	nfs_create(&l->w, s, &f->dir, name, true, 0640);
	wire_submit(&l->w, s, create_reply);
}

int
load_create(struct load *l)
{
	struct files f = {0};

	if (files_open(l, &f, true) < 0)
		return -1;
	return run_slots(l, create_start);
}

/* ---- verify ---- */

static void verify_start(struct load *l, struct slot *s);

static void
read_reply(struct wire *w, struct slot *s, struct in *in)
{
	struct load *l = load_of(w);
	uint32_t status = get_u32(in);
	struct attr attr;
	const uint8_t *data;
	size_t len = 0;
	uint32_t eof;

	if (load_jukebox(l, s, status))
		return;
	get_post_attr(in, &attr);
	get_u32(in);
	eof = get_u32(in);
	data = status == 0 ? get_opaque(in, PAGE_BYTES, &len) : NULL;
	if (data == NULL || in->bad || len != PAGE_BYTES || !eof ||
	    !pattern_check(&l->pattern, load_seed(s->item), 0, data, len)) {
		file_failed(l, s, "READ", status);
		return;
	}
	l->bytes += len;
	file_done(l, s);
	verify_start(l, s);
}

static void
find_reply(struct wire *w, struct slot *s, struct in *in)
{
	struct load *l = load_of(w);
	uint32_t status = get_u32(in);
	struct attr attr = {0};
	struct fh fh = {0};

	if (load_jukebox(l, s, status))
		return;
	if (status == 0) {
		get_fh(in, &fh);
		get_post_attr(in, &attr);
	}
	if (status != 0 || in->bad || attr.type != NF3REG ||
	    attr.size != PAGE_BYTES || (attr.mode & 07777) != 0640) {
		file_failed(l, s, "LOOKUP", status);
		return;
	}
	/* One byte more than there is, so that the answer says EOF. */
	nfs_read(w, s, &fh, 0, PAGE_BYTES + 1);
	wire_submit(w, s, read_reply);
}

static void
verify_start(struct load *l, struct slot *s)
{
	struct files *f = l->files;
	char name[LOAD_NAME_BYTES];

	if (!take_name(f, s, name))
		return;
	nfs_lookup(&l->w, s, &f->dir, name);
	wire_submit(&l->w, s, find_reply);
}

int
load_verify(struct load *l)
{
	struct files f = {0};

	if (files_open(l, &f, false) < 0)
		return -1;
	return run_slots(l, verify_start);
}

/* ---- remove ---- */

static void remove_start(struct load *l, struct slot *s);

static void
remove_reply(struct wire *w, struct slot *s, struct in *in)
{
	struct load *l = load_of(w);
	uint32_t status = get_u32(in);

	if (load_jukebox(l, s, status))
		return;
	if (status != 0) {
		file_failed(l, s, "REMOVE", status);
		return;
	}
	file_done(l, s);
	remove_start(l, s);
}

static void
remove_start(struct load *l, struct slot *s)
{
	struct files *f = l->files;
	char name[LOAD_NAME_BYTES];

	if (!take_name(f, s, name))
		return;
	nfs_remove(&l->w, s, &f->dir, name, false);
	wire_submit(&l->w, s, remove_reply);
}

int
load_remove(struct load *l)
{
	struct files f = {0};
	struct in in;
	uint32_t status;

	if (files_open(l, &f, false) < 0 || run_slots(l, remove_start) < 0)
		return -1;
	nfs_remove(&l->w, &l->w.slots[0], &l->root, load_string(l, 0), true);
	status = nfs_call(&l->w, &in);
	if (status != 0) {
		wire_fail(&l->w, "RMDIR: status %u", status);
		return -1;
	}
	return 0;
}
