/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Machines that do not COMMIT at close, beside one that does: an hour of them,
 * by a clock that goes twenty times as fast.
 *
 * A and B are as FreeBSD and OpenBSD: a program writes a file and closes it,
 * the WRITEs go out, and a syncer comes round every 30 s (1.5 s here) with the
 * COMMITs; bytes whose verifier has changed are sent again.  C is as Linux:
 * COMMIT, and again if need be, before close returns.  They create, overwrite,
 * append, patch, rename a temporary file over another and remove, at random, on
 * a few files, and read each other's; the gateway is killed now and then.
 *
 * The oracle has each file's history: what it was after each truncation and
 * each close.  A reader may see one of these, whole, from the last that is
 * known to be flushed on, and nothing older than it has seen; the newest, once
 * its writer has been silent for long enough.  Where this process had to wait
 * for its turn between two WRITEs, that may have been silence too, and what was
 * there then is one of them.  Who has just written reads back what he wrote
 * laid over one of them.  What was committed is never missing, and at the end
 * the bucket has the newest of each.
 */
#include <config.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/scenario.h"

#define BOXES 3
#define FILES 5			/* the last ones are temporary, one a machine */
#define NAMES (FILES + BOXES)
#define SIZE_MAX_ 6000
#define WRITES_MAX 64
#define SYNCER_MS 1500		/* 30 s */
#define VISIBLE_MS 50		/* as in CLOCK */
#define SEEN_MS 4000		/* silence has done its work by then */

struct text {
	char bytes[SIZE_MAX_ + 200];
	size_t len;
	uint64_t at_ms;
};

struct file {
	bool there;
	struct nc_fh fh;
	struct text *past;	/* the last is what it should be */
	size_t count, room;
	size_t flushed;		/* at least that one is */
	size_t seen[BOXES];
	int writer;		/* of the last one */
	bool crashed;		/* since then */
};

struct piece {
	uint64_t off;
	uint32_t len;
	char bytes[128];
	uint8_t verf[8];
	uint64_t sent_ms, answered_ms;
};

struct box {
	struct rpcc *c;
	bool commits;		/* at close */
	struct piece dirty[NAMES][WRITES_MAX];
	unsigned dirty_count[NAMES];
	uint64_t syncer_ms, again_ms;
	int op, on;		/* that it tries; 0: none */
};

enum { NONE, OVERWRITE, APPEND, PATCH, TMP, REMOVE, OPS };

struct play {
	struct scene *s;
	struct file f[NAMES];
	struct box box[BOXES];
	unsigned random, ops, waits, reads, kills, resent, late, by_silence;
};

static unsigned
roll(struct play *p, unsigned below)
{
	p->random = p->random * 1664525 + 1013904223;
	return (p->random >> 8) % below;
}

static const char *
name_of(unsigned i)
{
	static const char *const names[NAMES] = { "f0", "f1", "f2", "f3",
						  "f4", "tmp0", "tmp1",
						  "tmp2" };

	return names[i];
}

/* ---- the oracle ---- */

static void
push(struct file *f, const struct text *t, int writer)
{
	if (f->count == f->room) {
		f->room = f->room == 0 ? 16 : 2 * f->room;
		f->past = reallocarray(f->past, f->room, sizeof(*f->past));
		CHECK(f->past != NULL);
	}
	f->past[f->count] = *t;
	f->past[f->count].at_ms = scene_now_ms();
	f->writer = writer;
	f->crashed = false;
	f->count++;
}

/* Everybody sees the last one, and a crash does not take it. */
static void
is_flushed(struct file *f)
{
	f->flushed = f->count - 1;
}

static void
forget(struct play *p, unsigned i)
{
	free(p->f[i].past);
	p->f[i] = (struct file){ 0 };
	for (unsigned b = 0; b < BOXES; b++)
		p->box[b].dirty_count[i] = 0;
}

static void
lay(struct text *t, const struct piece *list, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (t->len < list[i].off)
			memset(t->bytes + t->len, 0, list[i].off - t->len);
		memcpy(t->bytes + list[i].off, list[i].bytes, list[i].len);
		if (t->len < list[i].off + list[i].len)
			t->len = list[i].off + list[i].len;
	}
}

static void
read_all(struct play *p, unsigned b, unsigned i, struct text *t)
{
	uint32_t got = 0;
	bool eof = false;

	SOON(10000, nc_read(p->box[b].c, &p->f[i].fh, 0, t->bytes,
			    sizeof(t->bytes), &got, &eof), NFS3_OK);
	CHECK(eof);
	t->len = got;
}

static bool
same(const struct text *a, const struct text *b)
{
	return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

static void
show_past(struct play *p, unsigned i, const struct text *got)
{
	struct file *f = &p->f[i];

	printf("  %s: read %zu bytes \"%.40s\"; %zu versions, flushed %zu, "
	       "writer %d, crashed %d\n", name_of(i), got->len, got->bytes,
	       f->count, f->flushed, f->writer, f->crashed);
	for (size_t k = f->flushed; k < f->count; k++)
		printf("  %zu: %zu bytes \"%.40s\" %llu ms ago\n", k,
		       f->past[k].len, f->past[k].bytes,
		       (unsigned long long)(scene_now_ms() -
					    f->past[k].at_ms));
}

/* Somebody reads. */
static void
look_at(struct play *p, unsigned b, unsigned i)
{
	struct file *f = &p->f[i];
	uint64_t asked_ms = scene_now_ms();
	size_t from = f->flushed > f->seen[b] ? f->flushed : f->seen[b], k;
	struct text got;

	read_all(p, b, i, &got);
	/* Its own, or one that has been left alone for so long. */
	if (!f->crashed && (f->writer == (int)b ||
			    f->past[f->count - 1].at_ms + SEEN_MS < asked_ms))
		from = f->count - 1;
	for (k = from; k < f->count && !same(&f->past[k], &got); k++)
		;
	if (k == f->count)
		show_past(p, i, &got);
	CHECK(k < f->count);
	f->seen[b] = k;
	p->reads++;
}

/* May others have been shown what was there before the piece i? */
static bool
was_silent(const struct piece *list, unsigned i)
{
	return list[i].answered_ms + 1 >= list[i - 1].sent_ms + VISIBLE_MS;
}

/* It has just written these: what does it read back? */
static void
wrote_them(struct play *p, unsigned b, unsigned i, const struct piece *list,
	   unsigned count)
{
	struct file *f = &p->f[i];
	struct text got, want;
	size_t k = f->flushed;

	read_all(p, b, i, &got);
	for (; k < f->count; k++) {
		want = f->past[k];
		lay(&want, list, count);
		if (same(&want, &got))
			break;
	}
	if (k == f->count)
		show_past(p, i, &got);
	CHECK(k < f->count);
	/* Another's was flushed before this one was let in. */
	if (f->writer != (int)b)
		f->flushed = k;
	for (unsigned j = 1; j < count; j++) {
		want = f->past[k];
		lay(&want, list, j);
		if (was_silent(list, j))
			push(f, &want, (int)b);
	}
	push(f, &got, (int)b);
	f->seen[b] = f->count - 1;
}

/* ---- what a machine does ---- */

static void
record(struct play *p, unsigned b, uint64_t off, struct piece *w)
{
	w->off = off;
	w->len = (uint32_t)snprintf(w->bytes, sizeof(w->bytes),
				    "<%c %u at %llu>", 'A' + (char)b, p->ops,
				    (unsigned long long)off);
}

static int
send_one(struct play *p, unsigned b, unsigned i, struct piece *w)
{
	struct nc_written done;
	int r;

	w->sent_ms = scene_now_ms();
	r = nc_write(p->box[b].c, &p->f[i].fh, w->off, w->bytes, w->len,
		     UNSTABLE, &done);
	w->answered_ms = scene_now_ms();
	if (r == NFS3_OK)
		memcpy(w->verf, done.verf, 8);
	return r;
}

/* Bytes that are not committed, as far as it knows.  false: it may not
 * write any more, and drops them. */
static bool
send_dirty(struct play *p, unsigned b, unsigned i)
{
	struct box *box = &p->box[b];
	struct file *f = &p->f[i];
	int r = NFS3_OK;

	for (unsigned k = 0; r == NFS3_OK && k < box->dirty_count[i]; k++) {
		SOON(20000, (r = send_one(p, b, i, &box->dirty[i][k])),
		     r == NFS3ERR_IO ? NFS3ERR_IO : NFS3_OK);
	}
	if (r == NFS3_OK) {
		p->resent++;
		wrote_them(p, b, i, box->dirty[i], box->dirty_count[i]);
		return true;
	}
	/* Only because somebody else has begun since. */
	CHECK(f->writer != (int)b);
	p->late++;
	box->dirty_count[i] = 0;
	return false;
}

/* COMMIT, and what follows if the gateway was another one then. */
static void
commit_all(struct play *p, unsigned b, unsigned i)
{
	struct box *box = &p->box[b];
	struct file *f = &p->f[i];
	bool all = false;

	while (!all && box->dirty_count[i] > 0) {
		uint8_t verf[8];

		SOON(20000, nc_commit(box->c, &f->fh, 0, 0, verf), NFS3_OK);
		all = true;
		for (unsigned k = 0; k < box->dirty_count[i]; k++)
			all &= memcmp(box->dirty[i][k].verf, verf, 8) == 0;
		if (!all && !send_dirty(p, b, i))
			return;
	}
	if (box->dirty_count[i] > 0 && f->writer == (int)b)
		is_flushed(f);
	box->dirty_count[i] = 0;
}

/* Takes the pieces into its cache, as a program's write(2) did, and sends
 * them at close.  An answer other than OK is that of the first. */
static int
write_and_close(struct play *p, unsigned b, unsigned i, struct piece *list,
		unsigned count)
{
	struct box *box = &p->box[b];

	for (unsigned k = 0; k < count; k++) {
		int r = send_one(p, b, i, &list[k]);

		if (k == 0 && r != NFS3_OK)
			return r;
		/* Its own upload may just end. */
		while (r == NFS3ERR_JUKEBOX)
			r = send_one(p, b, i, &list[k]);
		OK(r);
	}
	if (box->dirty_count[i] + count > WRITES_MAX)
		commit_all(p, b, i);
	for (unsigned k = 0; k < count; k++)
		box->dirty[i][box->dirty_count[i]++] = list[k];
	wrote_them(p, b, i, list, count);
	if (box->commits)
		commit_all(p, b, i);
	return NFS3_OK;
}

/* open(O_CREAT | O_TRUNC) */
static int
empty(struct play *p, unsigned b, unsigned i)
{
	struct nc_set set = { .size_set = true };
	struct file *f = &p->f[i];
	struct text none = { .len = 0 };
	struct nc_fh fh;
	int r = nc_create(p->box[b].c, &p->s->root, name_of(i), UNCHECKED,
			  &set, NULL, &fh, NULL);

	if (r != NFS3_OK)
		return r;
	f->there = true;
	f->fh = fh;
	p->box[b].dirty_count[i] = 0;
	push(f, &none, (int)b);
	is_flushed(f);
	return NFS3_OK;
}

static int
fill_it(struct play *p, unsigned b, unsigned i)
{
	struct piece list[8];
	unsigned count = 1 + roll(p, 8);
	uint64_t off = 0;
	int r = empty(p, b, i);

	if (r != NFS3_OK)
		return r;
	for (unsigned k = 0; k < count; k++, off += list[k - 1].len)
		record(p, b, off, &list[k]);
	while ((r = write_and_close(p, b, i, list, count)) == NFS3ERR_JUKEBOX)
		;
	return r;
}

static int
change_it(struct play *p, unsigned b, unsigned i, bool append)
{
	struct piece w;
	uint64_t size = size_of(p->box[b].c, &p->f[i].fh);

	if (size > SIZE_MAX_)
		return fill_it(p, b, i);
	record(p, b, append ? size : roll(p, (unsigned)size + 1), &w);
	return write_and_close(p, b, i, &w, 1);
}

/* An editor: a new file, and then its name. */
static int
rename_tmp(struct play *p, unsigned b, unsigned i)
{
	unsigned tmp = FILES + b;
	int r = p->f[tmp].there ? NFS3_OK : fill_it(p, b, tmp);

	if (r != NFS3_OK)
		return r;
	r = nc_rename(p->box[b].c, &p->s->root, name_of(tmp), &p->s->root,
		      name_of(i));
	if (r != NFS3_OK)
		return r;
	forget(p, i);
	p->f[i] = p->f[tmp];
	p->f[tmp] = (struct file){ 0 };
	p->box[b].dirty_count[i] = p->box[b].dirty_count[tmp];
	memcpy(p->box[b].dirty[i], p->box[b].dirty[tmp],
	       sizeof(p->box[b].dirty[i]));
	p->box[b].dirty_count[tmp] = 0;
	return NFS3_OK;
}

static int
remove_it(struct play *p, unsigned b, unsigned i)
{
	int r = nc_remove(p->box[b].c, &p->s->root, name_of(i));

	if (r == NFS3_OK) {
		forget(p, i);
		IS(nc_lookup(p->box[(b + 1) % BOXES].c, &p->s->root,
			     name_of(i), NULL, NULL), NFS3ERR_NOENT);
	}
	return r;
}

static int
try_op(struct play *p, unsigned b)
{
	struct box *box = &p->box[b];
	unsigned i = (unsigned)box->on;

	if (box->op == TMP)
		return rename_tmp(p, b, i);
	if (box->op == OVERWRITE || !p->f[i].there)
		return fill_it(p, b, i);
	if (box->op == REMOVE)
		return remove_it(p, b, i);
	return change_it(p, b, i, box->op == APPEND);
}

static void
act(struct play *p, unsigned b)
{
	struct box *box = &p->box[b];
	int r;

	if (box->op == NONE) {
		static const int often[] = { OVERWRITE, APPEND, APPEND, PATCH,
					     PATCH, TMP, TMP, REMOVE };

		box->op = often[roll(p, sizeof(often) / sizeof(*often))];
		box->on = (int)roll(p, FILES);
		p->ops++;
	}
	r = try_op(p, b);
	if (r == NFS3ERR_JUKEBOX) {
		box->again_ms = scene_now_ms() + 50 + roll(p, 100);
		p->waits++;
		return;
	}
	/* Beside one who goes on, or fenced until this look. */
	if (r == NFS3ERR_ACCES || r == NFS3ERR_IO)
		CHECK(p->f[box->on].writer != (int)b);
	else
		OK(r);
	if (r == NFS3ERR_IO)
		OK(nc_access(box->c, &p->f[box->on].fh, 0x3f,
			     &(uint32_t){ 0 }));
	box->op = NONE;
	box->again_ms = scene_now_ms() + roll(p, 150);
}

static void
sync_box(struct play *p, unsigned b)
{
	for (unsigned i = 0; i < NAMES; i++)
		if (p->f[i].there && p->box[b].dirty_count[i] > 0)
			commit_all(p, b, i);
	p->box[b].syncer_ms = scene_now_ms() + SYNCER_MS;
}

static void
kill_it(struct play *p)
{
	for (unsigned i = 0; i < NAMES; i++) {
		struct file *f = &p->f[i];

		if (!f->there)
			continue;
		/* Silence alone may have flushed it. */
		if (f->flushed + 1 < f->count &&
		    !state_is(p->s, name_of(i), "ACTIVE")) {
			is_flushed(f);
			p->by_silence++;
		}
	}
	scene_crash(p->s);
	for (unsigned i = 0; i < NAMES; i++) {
		p->f[i].crashed = true;
		memset(p->f[i].seen, 0, sizeof(p->f[i].seen));
	}
	p->kills++;
}

static void
at_the_end(struct play *p)
{
	for (unsigned b = 0; b < BOXES; b++)
		sync_box(p, b);
	/* Silence ends what is left: who lost his bytes and dropped them. */
	WITHIN(10000, status_number(p->s, "handles_active") == 0);
	OK(ctl_status(p->s, "flush --all"));
	for (unsigned i = 0; i < NAMES; i++) {
		struct file *f = &p->f[i];
		const struct text *last;

		if (!f->there) {
			CHECK(object_absent(p->s, name_of(i)));
			continue;
		}
		last = &f->past[f->count - 1];
		CHECK(object_has(p->s, name_of(i), last->bytes, last->len));
		for (unsigned b = 0; b < BOXES; b++)
			look_at(p, b, i);
	}
	CHECK(status_number(p->s, "invariant_failures") == 0);
	CHECK(status_number(p->s, "quarantined") == 0);
	CHECK(status_number(p->s, "conflicts") == 0);
	printf("  operations %u, put off %u, reads %u, kills %u, sent again %u, "
	       "dropped %u, flushed by silence alone %u\n", p->ops, p->waits,
	       p->reads, p->kills, p->resent, p->late, p->by_silence);
}

static void
play(struct scene *s, unsigned seconds)
{
	struct play *p = calloc(1, sizeof(*p));
	uint64_t end = scene_now_ms() + seconds * 1000ULL, kill_ms;

	CHECK(p != NULL);
	*p = (struct play){ .s = s, .random = (unsigned)scene_now_ms() };
	printf("  seed %u\n", p->random);
	for (unsigned b = 0; b < BOXES; b++) {
		p->box[b].c = b == 0 ? &s->a : b == 1 ? &s->b : &s->c;
		p->box[b].commits = b == 2;
		p->box[b].syncer_ms = scene_now_ms() + roll(p, SYNCER_MS);
	}
	kill_ms = scene_now_ms() + 2000 + roll(p, 3000);
	while (scene_now_ms() < end) {
		unsigned b = roll(p, BOXES), i = roll(p, FILES);
		uint64_t now = scene_now_ms();

		if (now >= p->box[b].syncer_ms)
			sync_box(p, b);
		if (now >= p->box[b].again_ms)
			act(p, b);
		if (p->f[i].there)
			look_at(p, (b + 1) % BOXES, i);
		if (now >= kill_ms) {
			kill_it(p);
			kill_ms = scene_now_ms() + 2000 + roll(p, 8000);
		}
		scene_pause();
	}
	at_the_end(p);
	free(p);
}

static void
minutes(struct scene *s)
{
	play(s, 8);
}

static void
hour(struct scene *s)
{
	play(s, 180);
}

#define CLOCK "idle_visible_ms=50 idle_flush_ms=250 settle_ms=100 "          \
	      "create_settle_ms=50 attr_ttl_ms=150 server.log_level=info"

SCENARIOS(
	{ "bsd-minutes", "two machines that COMMIT late and one that does it at "
	  "close, with kills / each reads whole versions, in order, and no "
	  "committed byte is missing", minutes, CLOCK, false },
	{ "bsd-hour", "the same for an hour of theirs", hour, CLOCK, true })
