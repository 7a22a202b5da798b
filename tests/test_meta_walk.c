/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walks over many rows: nobody holds a reading connection while the caller
 * has a row, and pages miss nothing and repeat nothing.
 */

#include <config.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "meta/meta_priv.h"
#include "tests/meta_fixture.h"
#include "tests/unit.h"

#define MANY 1100		/* pages of each kind */

/* Row number i, from 1, of each kind. */
static void
put_row(struct meta_batch *b, uint64_t i)
{
	struct meta_inode n = { .ino = i, .export_id = 1, .kind = 1,
				.relocating = true };
	struct meta_name name = { .id = i, .parent = 5, .ino = i, .kind = 1 };
	struct meta_handle h = { .ino = i / 2 + 1, .state = META_ACTIVE };
	struct meta_extent e = { i * 8, 4, i * 8 };
	struct meta_upload u = { .ino = i, .key = "k" };
	struct meta_indoubt sent[2] = { { .key = "k" }, { .key = "k" } };
	struct meta_delete d = { .id = i, .export_id = 1, .key = "k" };
	struct meta_quarantine q = { .id = i, .export_id = 1, .key = "k" };
	struct meta_dirmove move = { .id = i, .export_id = 1, .source = "k/" };

	snprintf(n.base_key, sizeof(n.base_key), "k/%08d", (int)i);
	if (i > 1) {
		strcpy(n.link_id, "link");
		n.link_ino = 1;
	} else {
		strcpy(n.link_id, "link");
		n.link_version = 7;
	}
	snprintf(name.name, sizeof(name.name), "n%08d", (int)i);
	snprintf(h.who, sizeof(h.who), "who%d", (int)i);
	meta_put_inode(b, &n);
	meta_put_name(b, &name);
	meta_put_handle(b, &h);
	meta_put_extents(b, 5, e.off, e.off + e.len, &e, 1);
	meta_put_durable_extents(b, 5, e.off, e.off + e.len, &e, 1);
	meta_put_journal(b, i, i, "bytes", i % 6);
	meta_put_upload(b, &u);
	meta_put_indoubt(b, i, sent, 2);
	meta_put_delete(b, &d);
	meta_put_quarantine(b, &q);
	meta_put_dirmove(b, &move);
}

static void
fill(struct meta *m, uint64_t rows)
{
	struct meta_batch *b = meta_batch_new();

	for (uint64_t i = 1; i <= rows; i++)
		put_row(b, i);
	CU_ASSERT_EQUAL_FATAL(meta_commit(m, &b), 0);
}

/* ---- all walks, as one kind of function ---- */

struct seen;
typedef int walk_function(struct meta *m, struct seen *seen);

struct seen {
	struct meta *m;
	walk_function *walk;
	int (*met)(struct seen *seen);	/* with each row */
	uint64_t count;
	uint64_t last;		/* key of the last row, */
	bool disorder;		/* if some were not in order */
	int depth;
};

static int
meet(struct seen *s, uint64_t key)
{
	s->disorder |= key <= s->last;
	s->last = key;
	s->count++;
	return s->met != NULL ? s->met(s) : 0;
}

static int
met_name(void *seen, const struct meta_name *n)
{
	return meet(seen, n->id);
}

static int
met_known(void *seen, const struct meta_known *k)
{
	return meet(seen, k->name.id);
}

static int
met_owed(void *seen, const struct meta_owed *o)
{
	return meet(seen, o->export_id);
}

static int
met_number(void *seen, uint64_t number)
{
	return meet(seen, number);
}

static int
met_handle(void *seen, const struct meta_handle *h)
{
	return meet(seen, strtoull(h->who + 3, NULL, 10));
}

static int
met_extent(void *seen, const struct meta_extent *e, bool durable)
{
	return meet(seen, e->off + (durable ? 1 << 30 : 0));
}

static int
met_journal(void *seen, uint64_t ino, uint64_t at, const void *data,
	    size_t len)
{
	CU_ASSERT(at == ino && len == ino % 6);
	CU_ASSERT_EQUAL(memcmp(data, "bytes", len), 0);
	return meet(seen, ino);
}

static int
met_upload(void *seen, const struct meta_upload *u)
{
	return meet(seen, u->ino);
}

static int
met_sent(void *seen, uint64_t ino, const struct meta_indoubt *sent)
{
	struct seen *s = seen;

	(void)sent;
	return meet(s, ino * 2 + s->count % 2);
}

static int
met_delete(void *seen, const struct meta_delete *d)
{
	return meet(seen, d->id);
}

static int
met_quarantine(void *seen, const struct meta_quarantine *q)
{
	return meet(seen, q->id);
}

static int
met_move(void *seen, const struct meta_dirmove *move)
{
	return meet(seen, move->id);
}

static int
met_relocating(void *seen, uint64_t ino, const char *key)
{
	CU_ASSERT_EQUAL(strtoull(key + 2, NULL, 10), ino);
	return meet(seen, ino);
}

static int
names(struct meta *m, struct seen *s)
{
	return meta_each_name(m, 5, 0, UINT32_MAX, met_name, s);
}

static int
names_between(struct meta *m, struct seen *s)
{
	return meta_each_name_between(m, 5, "n", NULL, met_name, s);
}

static int
links(struct meta *m, struct seen *s)
{
	return meta_each_link(m, 1, met_number, s);
}

static int
stale_links(struct meta *m, struct seen *s)
{
	return meta_each_stale_link(m, met_number, s);
}

static int
handles(struct meta *m, struct seen *s)
{
	return meta_each_handle(m, 0, met_handle, s);
}

static int
extents(struct meta *m, struct seen *s)
{
	return meta_each_extent(m, 5, met_extent, s);
}

static int
journal(struct meta *m, struct seen *s)
{
	return meta_each_journal(m, met_journal, s);
}

static int
uploads(struct meta *m, struct seen *s)
{
	return meta_each_upload(m, met_upload, s);
}

static int
sents(struct meta *m, struct seen *s)
{
	return meta_each_indoubt(m, met_sent, s);
}

static int
deletes(struct meta *m, struct seen *s)
{
	return meta_each_delete(m, met_delete, s);
}

static int
quarantines(struct meta *m, struct seen *s)
{
	return meta_each_quarantine(m, met_quarantine, s);
}

static int
moves(struct meta *m, struct seen *s)
{
	return meta_each_dirmove(m, met_move, s);
}

static int
carried(struct meta *m, struct seen *s)
{
	struct meta_keys all = { 1, "k/", "", UINT32_MAX };

	return meta_each_relocating(m, &all, met_relocating, s);
}

static int
known(struct meta *m, struct seen *s)
{
	return meta_each_known(m, 0, UINT32_MAX, met_known, s);
}

/* Of a few exports: not one of those below. */
static int
owed(struct meta *m, struct seen *s)
{
	return meta_each_owed(m, met_owed, s);
}

static const struct {
	const char *name;
	walk_function *walk;
	uint64_t rows;		/* of MANY */
	bool unordered;		/* as "who10" is before "who9" */
} walks[] = {
	{ "names", names, MANY, false },
	{ "names_between", names_between, MANY, false },
	{ "links", links, MANY - 1, false },
	{ "stale_links", stale_links, MANY - 1, false },
	{ "handles", handles, MANY, true },
	{ "extents", extents, 2 * MANY, false },
	{ "journal", journal, MANY, false },
	{ "uploads", uploads, MANY, false },
	{ "sents", sents, 2 * MANY, false },
	{ "deletes", deletes, MANY, false },
	{ "quarantines", quarantines, MANY, false },
	{ "moves", moves, MANY, false },
	{ "carried", carried, MANY, false },
	{ "known", known, MANY, false },
};
#define WALKS (sizeof(walks) / sizeof(*walks))

/* ---- cases ---- */

static int
go_deeper(struct seen *s)
{
	int r = 0;

	if (++s->depth < 2 * READERS)
		r = s->walk(s->m, s);
	return r < 0 ? r : 1;
}

static int
commit_one(struct seen *s)
{
	struct meta_batch *b = meta_batch_new();

	meta_put_setting(b, "x", "y", 1);
	return meta_commit(s->m, &b) ?: 1;
}

static void
a_walk_holds_nothing_while_its_caller_has_a_row(void)
{
	struct place p;

	alarm(300);	/* it waited for ever */
	place_open(&p);
	fill(p.m, 3);
	for (size_t i = 0; i < WALKS; i++) {
		struct seen s = { .m = p.m, .walk = walks[i].walk,
				  .met = go_deeper };

		CU_ASSERT_EQUAL(s.walk(p.m, &s), 0);
		CU_ASSERT_EQUAL(s.count, 2 * READERS);
		s.met = commit_one;
		CU_ASSERT_EQUAL(s.walk(p.m, &s), 0);
	}
	place_close(&p);
	alarm(0);
}

static void
what_buckets_are_owed_is_told_with_nothing_held(void)
{
	struct place p;
	struct seen s;
	uint32_t id;

	alarm(300);
	place_open(&p);
	for (unsigned i = 0; i < 40; i++) {
		char name[16];

		snprintf(name, sizeof(name), "/e%u", i);
		CU_ASSERT_EQUAL(meta_export_id(p.m, name, &id), 0);
	}
	s = (struct seen){ .m = p.m };
	CU_ASSERT_EQUAL(owed(p.m, &s), 0);
	CU_ASSERT_EQUAL(s.count, 41);
	s = (struct seen){ .m = p.m, .walk = owed, .met = go_deeper };
	CU_ASSERT_EQUAL(owed(p.m, &s), 0);
	CU_ASSERT_EQUAL(s.count, 2 * READERS);
	s.met = commit_one;
	CU_ASSERT_EQUAL(owed(p.m, &s), 0);
	place_close(&p);
	alarm(0);
}

static void
a_walk_of_many_pages_meets_each_row_once(void)
{
	struct place p;

	place_open(&p);
	fill(p.m, MANY);
	for (size_t i = 0; i < WALKS; i++) {
		struct seen s = { .m = p.m };

		CU_ASSERT_EQUAL(walks[i].walk(p.m, &s), 0);
		if (s.count != walks[i].rows)
			fprintf(stderr, "%s: %d\n", walks[i].name,
				(int)s.count);
		CU_ASSERT_EQUAL(s.count, walks[i].rows);
		CU_ASSERT(!s.disorder || walks[i].unordered);
	}
	place_close(&p);
}

static void
a_limit_is_kept_over_pages(void)
{
	struct meta_keys some = { 1, "k/", "k/00000100", 300 };
	struct place p;
	struct seen s = { 0 };

	place_open(&p);
	fill(p.m, MANY);
	CU_ASSERT_EQUAL(meta_each_name(p.m, 5, 100, 700, met_name, &s), 0);
	CU_ASSERT_EQUAL(s.count, 700);
	CU_ASSERT_EQUAL(s.last, 800);
	s = (struct seen){ 0 };
	CU_ASSERT_EQUAL(meta_each_relocating(p.m, &some, met_relocating, &s),
			0);
	CU_ASSERT_EQUAL(s.count, 300);
	CU_ASSERT_EQUAL(s.last, 400);
	s = (struct seen){ 0 };
	CU_ASSERT_EQUAL(meta_each_name_between(p.m, 5, "n00000010",
					       "n00000900", met_name, &s), 0);
	CU_ASSERT_EQUAL(s.count, 891);
	s = (struct seen){ 0 };
	CU_ASSERT_EQUAL(meta_each_name(p.m, 5, 0, 0, met_name, &s), 0);
	CU_ASSERT_EQUAL(s.count, 0);
	place_close(&p);
}

static int
refuse(struct seen *s)
{
	return s->count == 2 ? -ENOMEM : 0;
}

static int
enough(struct seen *s)
{
	return s->count == 2;
}

static void
what_the_caller_answers_ends_the_walk(void)
{
	struct place p;

	place_open(&p);
	fill(p.m, 3);
	for (size_t i = 0; i < WALKS; i++) {
		struct seen s = { .m = p.m, .met = refuse };

		CU_ASSERT_EQUAL(walks[i].walk(p.m, &s), -ENOMEM);
		CU_ASSERT_EQUAL(s.count, 2);
		s = (struct seen){ .m = p.m, .met = enough };
		CU_ASSERT_EQUAL(walks[i].walk(p.m, &s), 0);
		CU_ASSERT_EQUAL(s.count, 2);
	}
	place_close(&p);
}

static int
remove_name(struct seen *s)
{
	struct meta_batch *b = meta_batch_new();
	char name[16];

	snprintf(name, sizeof(name), "n%08d", (int)s->last);
	meta_del_name(b, 5, name);
	meta_post(s->m, &b);
	meta_ease(s->m);
	return 0;
}

static void
rows_may_be_removed_as_they_are_met(void)
{
	struct place p;

	for (size_t i = 0; i < 2; i++) {
		struct seen s = { .met = remove_name };

		place_open(&p);
		fill(p.m, 500);
		s.m = p.m;
		CU_ASSERT_EQUAL(walks[i].walk(p.m, &s), 0);
		CU_ASSERT_EQUAL(s.count, 500);
		CU_ASSERT(!s.disorder);
		place_close(&p);
	}
}

/* ---- deletions ---- */

static const char *const odd_etags[] = { "", "e", "?", "+", "=", "?e", "+e",
					 "=e", "+?e", "?+e", "=?e", "==e" };
#define ODD (sizeof(odd_etags) / sizeof(*odd_etags))

/* Deletion number i: has it parts, and ours? */
static int
met_odd(void *arg, const struct meta_delete *d)
{
	uint64_t i = d->id - 1;

	CU_ASSERT_STRING_EQUAL(d->etag, odd_etags[i / 4]);
	CU_ASSERT_EQUAL(d->parts, i % 2 == 1);
	CU_ASSERT_EQUAL(d->ours != NULL, i / 2 % 2 == 1);
	++*(unsigned *)arg;
	return 0;
}

static void
an_etag_is_read_as_it_was_written_whatever_it_begins_with(void)
{
	struct meta_ours ours = { .count = 0 };
	struct meta_batch *b = meta_batch_new();
	struct place p;
	unsigned count = 0;

	place_open(&p);
	for (uint64_t i = 0; i < ODD * 4; i++) {
		struct meta_delete d = { .id = i + 1, .export_id = 1,
					 .key = "k", .parts = i % 2 == 1,
					 .ours = i / 2 % 2 == 1 ? &ours
								: NULL };

		strcpy(d.etag, odd_etags[i / 4]);
		meta_put_delete(b, &d);
	}
	CU_ASSERT_EQUAL(meta_commit(p.m, &b), 0);
	CU_ASSERT_EQUAL(meta_each_delete(p.m, met_odd, &count), 0);
	CU_ASSERT_EQUAL(count, ODD * 4);
	place_close(&p);
}

/* In test builds. */
static void
who_holds_a_connection_and_asks_for_another_is_stopped(void)
{
#ifdef FAILPOINTS
	struct place p;
	struct sql *one, *two;
	int status = 0;
	pid_t pid;

	place_open(&p);
	/* One after the other is as it should be. */
	one = reader_get(p.m);
	reader_put(p.m, one);
	one = reader_get(p.m);
	pid = fork();
	if (pid == 0) {
		struct rlimit no_core = { 0, 0 };

		setrlimit(RLIMIT_CORE, &no_core);
		signal(SIGABRT, SIG_DFL);
		two = reader_get(p.m);
		_exit(two == one);
	}
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	reader_put(p.m, one);
	place_close(&p);
#endif
}

TEST_MAIN("meta_walk", T(a_walk_holds_nothing_while_its_caller_has_a_row),
	  T(what_buckets_are_owed_is_told_with_nothing_held),
	  T(a_walk_of_many_pages_meets_each_row_once),
	  T(a_limit_is_kept_over_pages),
	  T(what_the_caller_answers_ends_the_walk),
	  T(rows_may_be_removed_as_they_are_met),
	  T(an_etag_is_read_as_it_was_written_whatever_it_begins_with),
	  T(who_holds_a_connection_and_asks_for_another_is_stopped))
