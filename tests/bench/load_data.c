/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cases that move data: one large file written or read in order with several
 * calls in flight, and small reads at random places.  All bytes are those of
 * pattern.h and every byte read is checked, so that a fast wrong answer is
 * no result.
 *
 * Writing is UNSTABLE and ends with COMMIT; all verifiers must agree, else
 * the server lost data and the run fails (RFC 1813 section 4.8).
 */
#include <config.h>

#include "tests/bench/load.h"

#include <stdlib.h>
#include <string.h>

struct stream {
	struct fh fh;
	uint64_t size, seed;
	uint64_t next;		/* first byte no slot has taken */
	uint64_t random;	/* state of the random places */
	uint32_t block;
	bool have_verf;
	uint8_t verf[8];
};

static struct stream *
stream_of(struct slot *s)
{
	return (struct stream *)(uintptr_t)s->item;
}

static int
stream_open(struct load *l, struct stream *t, bool create)
{
	struct nfs_limits limits;
	struct attr attr = {0};
	const char *name = load_string(l, 0);

	t->size = load_number(l, 1);
	t->seed = load_number(l, 2);
	if (l->w.error[0] != '\0' || nfs_limits(&l->w, &l->root, &limits) < 0)
		return -1;
	if (t->size % PAGE_BYTES != 0 || t->size == 0) {
		wire_fail(&l->w, "sizes are multiples of %u", PAGE_BYTES);
		return -1;
	}
	t->block = create ? limits.write : limits.read;
	if (l->io_bytes != 0 && l->io_bytes < t->block)
		t->block = l->io_bytes;
	if (t->block > (1u << 20))
		t->block = 1u << 20;
	t->block -= t->block % PAGE_BYTES;
	if (create)
		return nfs_make(&l->w, &l->root, name, false, &t->fh);
	if (nfs_find(&l->w, &l->root, name, &t->fh, &attr) < 0)
		return -1;
	if (attr.size != t->size || attr.type != NF3REG) {
		wire_fail(&l->w, "%s: size %llu, not %llu", name,
			  (unsigned long long)attr.size,
			  (unsigned long long)t->size);
		return -1;
	}
	return 0;
}

/* Give the slot the next block; false when there is none. */
static bool
stream_take(struct stream *t, struct slot *s)
{
	if (t->next >= t->size)
		return false;
	s->off = t->next;
	s->len = t->size - t->next < t->block ? t->size - t->next : t->block;
	s->seen = 0;
	t->next += s->len;
	return true;
}

static void
run_slots(struct load *l, struct stream *t,
	  void (*start)(struct load *l, struct slot *s))
{
	load_begin(l);
	for (unsigned i = 0; i < l->w.slot_count; i++) {
		l->w.slots[i].item = (uint64_t)(uintptr_t)t;
		start(l, &l->w.slots[i]);
	}
	wire_run(&l->w);
	load_end(l);
}

/* ---- write ---- */

static void write_reply(struct wire *w, struct slot *s, struct in *in);

static void
write_rest(struct load *l, struct slot *s)
{
	struct stream *t = stream_of(s);

	nfs_write(&l->w, s, &t->fh, s->off + s->seen, s->buf + s->seen,
		  (uint32_t)(s->len - s->seen), NFS_UNSTABLE);
	wire_submit(&l->w, s, write_reply);
}

static void
write_start(struct load *l, struct slot *s)
{
	struct stream *t = stream_of(s);

	if (s->buf == NULL)
		s->buf = malloc(t->block);
	if (s->buf == NULL) {
		wire_fail(&l->w, "out of memory");
		return;
	}
	if (!stream_take(t, s))
		return;
	pattern_fill(&l->pattern, t->seed, s->off, s->buf, s->len);
	s->start_ns = now_ns();
	write_rest(l, s);
}

static bool
same_verf(struct load *l, struct stream *t, struct in *in)
{
	if (in->end - in->p < 8)
		return false;
	if (t->have_verf && memcmp(t->verf, in->p, 8) != 0) {
		wire_fail(&l->w, "the write verifier changed: data lost");
		return false;
	}
	memcpy(t->verf, in->p, 8);
	t->have_verf = true;
	return true;
}

static void
write_reply(struct wire *w, struct slot *s, struct in *in)
{
	struct load *l = load_of(w);
	uint32_t status = get_u32(in), count;
	struct attr attr;

	if (load_jukebox(l, s, status))
		return;
	get_wcc(in, &attr);
	count = status == 0 ? get_u32(in) : 0;
	get_u32(in);		/* committed */
	if (status != 0 || in->bad || count == 0 || count > s->len - s->seen ||
	    count % 4 != 0 || !same_verf(l, stream_of(s), in)) {
		wire_fail(w, "WRITE: status %u count %u", status, count);
		return;
	}
	s->seen += count;
	if (s->seen < s->len) {
		write_rest(l, s);
		return;
	}
	l->ops++;
	l->bytes += s->len;
	wire_took(w, s->start_ns);
	write_start(l, s);
}

int
load_write(struct load *l)
{
	struct stream t = {0};
	struct attr attr;
	struct in in;
	uint32_t status;
	uint64_t start;

	if (stream_open(l, &t, true) < 0)
		return -1;
	run_slots(l, &t, write_start);
	if (l->w.error[0] != '\0')
		return -1;
	start = now_ns();
	nfs_commit(&l->w, &l->w.slots[0], &t.fh);
	status = nfs_call(&l->w, &in);
	if (status != 0) {
		wire_fail(&l->w, "COMMIT: status %u", status);
		return -1;
	}
	load_end(l);
	l->commit_s = (double)(now_ns() - start) / 1e9;
	get_wcc(&in, &attr);
	if (!same_verf(l, &t, &in) || in.bad ||
	    nfs_attr_of(&l->w, &t.fh, &attr) < 0) {
		wire_fail(&l->w, "COMMIT: short reply");
		return -1;
	}
	if (attr.size != t.size) {
		wire_fail(&l->w, "size after the write is %llu",
			  (unsigned long long)attr.size);
		return -1;
	}
	return 0;
}

/* ---- read ---- */

static void read_reply(struct wire *w, struct slot *s, struct in *in);

static void
read_rest(struct load *l, struct slot *s)
{
	struct stream *t = stream_of(s);

	nfs_read(&l->w, s, &t->fh, s->off + s->seen,
		 (uint32_t)(s->len - s->seen));
	wire_submit(&l->w, s, read_reply);
}

static void
read_start(struct load *l, struct slot *s)
{
	struct stream *t = stream_of(s);

	if (t->random != 0) {
		if (now_ns() >= l->stop_ns)
			return;
		t->random = pattern_mix(t->random);
		s->off = t->random % (t->size / PAGE_BYTES) * PAGE_BYTES;
		s->len = PAGE_BYTES;
		s->seen = 0;
	} else if (!stream_take(t, s)) {
		return;
	}
	s->start_ns = now_ns();
	read_rest(l, s);
}

static void
read_reply(struct wire *w, struct slot *s, struct in *in)
{
	struct load *l = load_of(w);
	struct stream *t = stream_of(s);
	uint32_t status = get_u32(in);
	struct attr attr;
	const uint8_t *data;
	size_t len = 0;
	uint32_t count;

	if (load_jukebox(l, s, status))
		return;
	get_post_attr(in, &attr);
	count = status == 0 ? get_u32(in) : 0;
	get_u32(in);		/* eof */
	data = status == 0 ? get_opaque(in, s->len - s->seen, &len) : NULL;
	if (data == NULL || in->bad || len != count || len == 0) {
		wire_fail(w, "READ at %llu: status %u, %u bytes",
			  (unsigned long long)(s->off + s->seen), status,
			  count);
		return;
	}
	if (!pattern_check(&l->pattern, t->seed, s->off + s->seen, data,
			   len)) {
		wire_fail(w, "READ at %llu: wrong bytes",
			  (unsigned long long)(s->off + s->seen));
		return;
	}
	s->seen += len;
	if (s->seen < s->len) {
		read_rest(l, s);
		return;
	}
	l->ops++;
	l->bytes += s->len;
	wire_took(w, s->start_ns);
	read_start(l, s);
}

static int
read_file(struct load *l, bool random)
{
	struct stream t = {0};

	if (stream_open(l, &t, false) < 0)
		return -1;
	t.random = random ? now_ns() | 1 : 0;
	run_slots(l, &t, read_start);
	return l->w.error[0] == '\0' ? 0 : -1;
}

int
load_read(struct load *l)
{
	return read_file(l, false);
}

int
load_randread(struct load *l)
{
	return read_file(l, true);
}
