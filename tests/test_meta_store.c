/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store: what was answered is there after a kill -9, what was not is
 * there whole or not at all, a batch that fails takes no other with it, and
 * numbers never come twice.
 */

#include <config.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/meta_fixture.h"
#include "tests/unit.h"

/* Extents of an inode as text: "off+len@at ..." */
static int
add_extent(void *arg, const struct meta_extent *e)
{
	char *text = arg;

	sprintf(text + strlen(text), "%llu+%llu@%llu ",
		(unsigned long long)e->off, (unsigned long long)e->len,
		(unsigned long long)e->at);
	return 0;
}

static int
add_either(void *arg, const struct meta_extent *e, bool durable)
{
	if (durable)
		strcat(arg, "hard ");
	return add_extent(arg, e);
}

static bool
extents_are(struct meta *m, uint64_t ino, const char *want)
{
	char text[4096] = "";

	if (meta_each_extent(m, ino, add_either, text) < 0)
		return false;
	if (strcmp(text, want) != 0)
		fprintf(stderr, "extents %s, not %s\n", text, want);
	return strcmp(text, want) == 0;
}

static int
put_extents(struct meta *m, uint64_t ino, uint64_t from, uint64_t to,
	    const struct meta_extent *list, size_t count)
{
	struct meta_batch *b = meta_batch_new();

	meta_put_extents(b, ino, from, to, list, count);
	return meta_commit(m, &b);
}

/* ---- the cases ---- */

static void
rows_come_back_as_they_were_put(void)
{
	struct place p;
	struct meta *m = place_fresh(&p);
	struct meta_inode n = row_inode(5), back = { 0 };

	n.size = 1ULL << 42;
	n.atime_ns = -1;
	n.mtime_ns = 1234567890123456789;
	n.uid = UINT32_MAX;
	strcpy(n.base_key, "a/\xff\xfe b");
	strcpy(n.base_etag, "\"e\"");
	n.base_limit = UINT64_MAX;
	n.data_dirty = n.local_only = n.has_verf = true;
	memcpy(n.verf, "\0\1\2\3\4\5\6\7", 8);
	n.target = (char *)"to/where";
	CU_ASSERT_EQUAL(row_put(m, &n), 0);
	meta_close(&m);
	m = place_store(&p);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	CU_ASSERT_EQUAL(meta_get_inode(m, 5, &back), 0);
	CU_ASSERT_EQUAL(back.size, n.size);
	CU_ASSERT_EQUAL(back.atime_ns, -1);
	CU_ASSERT_EQUAL(back.mtime_ns, n.mtime_ns);
	CU_ASSERT_EQUAL(back.uid, UINT32_MAX);
	CU_ASSERT_STRING_EQUAL(back.base_key, n.base_key);
	CU_ASSERT_STRING_EQUAL(back.base_etag, n.base_etag);
	CU_ASSERT_EQUAL(back.base_limit, UINT64_MAX);
	CU_ASSERT_TRUE(back.data_dirty && back.local_only && back.has_verf);
	CU_ASSERT_FALSE(back.attr_dirty || back.name_dirty || back.marker);
	CU_ASSERT_EQUAL(memcmp(back.verf, n.verf, 8), 0);
	CU_ASSERT_STRING_EQUAL(back.target, "to/where");
	meta_inode_fini(&back);
	CU_ASSERT_EQUAL(meta_get_inode(m, 6, &back), -ENOENT);
	meta_close(&m);
	place_remove(&p);
}

static int
count_names(void *arg, const struct meta_name *n)
{
	(void)n;
	++*(unsigned *)arg;
	return 0;
}

static void
names_are_bytes_and_differ_as_bytes(void)
{
	static const char *const names[] = { "a", "A", "\xc3\xa4", "\xe4",
					     "a ", "\xff\xff", "'\"%_", "1",
					     "01" };
	const unsigned count = sizeof(names) / sizeof(*names);
	struct place p;
	struct meta *m = place_fresh(&p);
	struct meta_batch *b = meta_batch_new();
	unsigned seen = 0;

	for (unsigned i = 0; i < count; i++) {
		struct meta_name n = { .id = 10 + i, .parent = 3,
				       .ino = 100 + i, .kind = 1 };

		strcpy(n.name, names[i]);
		meta_put_name(b, &n);
	}
	CU_ASSERT_EQUAL(meta_commit(m, &b), 0);
	for (unsigned i = 0; i < count; i++) {
		struct meta_name n;

		CU_ASSERT_EQUAL(meta_get_name(m, 3, names[i], &n), 0);
		CU_ASSERT_EQUAL(n.ino, 100 + i);
		CU_ASSERT_STRING_EQUAL(n.name, names[i]);
		CU_ASSERT_EQUAL(meta_get_name(m, 4, names[i], &n), -ENOENT);
	}
	b = meta_batch_new();
	meta_del_name(b, 3, "a");
	CU_ASSERT_EQUAL(meta_commit(m, &b), 0);
	CU_ASSERT_EQUAL(meta_each_name(m, 3, 0, 1000, count_names, &seen), 0);
	CU_ASSERT_EQUAL(seen, count - 1);
	meta_close(&m);
	place_remove(&p);
}

static void
extents_that_touch_a_range_are_replaced_and_no_others(void)
{
	static const struct meta_extent all[] = {
		{ 0, 10, 0 }, { 10, 10, 100 }, { 30, 10, 30 }, { 50, 10, 50 },
	};
	static const struct meta_extent mid[] = { { 12, 20, 500 } };
	struct place p;
	struct meta *m = place_fresh(&p);

	CU_ASSERT_EQUAL(put_extents(m, 7, 0, 60, all, 4), 0);
	CU_ASSERT_EQUAL(put_extents(m, 8, 0, 60, all, 4), 0);
	CU_ASSERT_TRUE(extents_are(m, 7, "0+10@0 10+10@100 30+10@30 50+10@50 "));
	/* [12, 32) touches the second and the third, wholly gone. */
	CU_ASSERT_EQUAL(put_extents(m, 7, 12, 32, mid, 1), 0);
	CU_ASSERT_TRUE(extents_are(m, 7, "0+10@0 12+20@500 50+10@50 "));
	/* Edges do not touch: [10, 12) lies between. */
	CU_ASSERT_EQUAL(put_extents(m, 7, 10, 12, NULL, 0), 0);
	CU_ASSERT_TRUE(extents_are(m, 7, "0+10@0 12+20@500 50+10@50 "));
	CU_ASSERT_EQUAL(put_extents(m, 7, 0, INT64_MAX, NULL, 0), 0);
	CU_ASSERT_TRUE(extents_are(m, 7, ""));
	CU_ASSERT_TRUE(extents_are(m, 8, "0+10@0 10+10@100 30+10@30 50+10@50 "));
	meta_close(&m);
	place_remove(&p);
}

/* A quarantine row that exists takes no second extent at the same offset:
 * the one change that SQLite itself refuses. */
static struct meta_batch *
poisoned(uint64_t ino)
{
	static const struct meta_extent one[] = { { 0, 4, 0 } };
	struct meta_quarantine q = { .id = 9, .ino = 4 };
	struct meta_batch *b = meta_batch_new();
	struct meta_inode n = row_inode(ino);

	meta_put_inode(b, &n);
	meta_put_extents(b, 4, 0, 4, one, 1);
	meta_put_quarantine(b, &q);
	return b;
}

struct neighbour {
	struct meta *meta;
	uint64_t first;
	unsigned failures;
};

static void *
neighbour_main(void *arg)
{
	struct neighbour *n = arg;

	for (unsigned i = 0; i < 40; i++) {
		struct meta_inode row = row_inode(n->first + i);
		struct meta_batch *b;

		if (i % 4 == 3) {
			b = poisoned(n->first + i);
			n->failures += meta_commit(n->meta, &b) >= 0;
		} else {
			n->failures += row_put(n->meta, &row) != 0;
		}
	}
	return NULL;
}

static void
a_batch_that_fails_does_not_hurt_those_beside_it(void)
{
	struct place p;
	struct meta *m = place_fresh(&p);
	struct meta_batch *b = poisoned(1);
	struct neighbour n[4];
	pthread_t thread[4];
	unsigned wrong = 0;

	CU_ASSERT_EQUAL(meta_commit(m, &b), 0);	/* the first goes through */
	for (unsigned i = 0; i < 4; i++) {
		n[i] = (struct neighbour){ m, 1000 * (i + 1), 0 };
		CU_ASSERT_EQUAL(pthread_create(&thread[i], NULL,
					       neighbour_main, &n[i]), 0);
	}
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(thread[i], NULL);
		CU_ASSERT_EQUAL(n[i].failures, 0);
	}
	for (unsigned i = 0; i < 4; i++) {
		for (unsigned k = 0; k < 40; k++)
			wrong += row_has(m, 1000 * (i + 1) + k) !=
				 (k % 4 != 3);
	}
	CU_ASSERT_EQUAL(wrong, 0);
	/* Nothing of a failed batch: also not its extents. */
	CU_ASSERT_TRUE(extents_are(m, 4, ""));
	meta_close(&m);
	place_remove(&p);
}

static void
an_empty_batch_and_one_without_memory_are_answered(void)
{
	struct place p;
	struct meta *m = place_fresh(&p);
	struct meta_batch *b = meta_batch_new();

	CU_ASSERT_EQUAL(meta_commit(m, &b), 0);
	CU_ASSERT_PTR_NULL(b);
	CU_ASSERT_EQUAL(meta_commit(m, &b), -ENOMEM);
	meta_post(m, &b);
	meta_batch_free(&b);
	meta_close(&m);
	meta_close(&m);
	place_remove(&p);
}

/* ---- group commit ---- */

#define WRITERS 8
#define BATCHES 60

struct writer {
	struct meta *meta;
	unsigned number, failures;
};

static void *
writer_main(void *arg)
{
	struct writer *w = arg;
	char name[32];

	snprintf(name, sizeof(name), "writer %u", w->number);
	for (unsigned i = 1; i <= BATCHES; i++) {
		struct meta_batch *b = meta_batch_new();
		struct meta_inode n = row_inode(w->number * 1000 + i);
		unsigned seen = 0;

		meta_put_inode(b, &n);
		meta_put_setting(b, name, &i, sizeof(i));
		if (i % 3 == 0) {
			meta_post(w->meta, &b);
			continue;
		}
		w->failures += meta_commit(w->meta, &b) != 0;
		/* What was answered can be read, at once and by anybody. */
		w->failures += meta_get_setting(w->meta, name, &seen,
						sizeof(seen)) != sizeof(seen);
		w->failures += seen != i;
		w->failures += !row_has(w->meta, n.ino);
	}
	return NULL;
}

static void
many_threads_commit_together_and_each_sees_its_own(void)
{
	struct place p;
	struct meta *m = place_fresh(&p);
	struct writer w[WRITERS];
	pthread_t thread[WRITERS];
	unsigned missing = 0;

	for (unsigned i = 0; i < WRITERS; i++) {
		w[i] = (struct writer){ m, i + 1, 0 };
		CU_ASSERT_EQUAL(pthread_create(&thread[i], NULL, writer_main,
					       &w[i]), 0);
	}
	for (unsigned i = 0; i < WRITERS; i++) {
		pthread_join(thread[i], NULL);
		CU_ASSERT_EQUAL(w[i].failures, 0);
	}
	meta_close(&m);		/* posted ones too */
	m = place_store(&p);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	for (unsigned i = 1; i <= WRITERS; i++) {
		for (unsigned k = 1; k <= BATCHES; k++)
			missing += !row_has(m, i * 1000 + k);
	}
	CU_ASSERT_EQUAL(missing, 0);
	meta_close(&m);
	place_remove(&p);
}

/* ---- kill -9 ---- */

/* 0 is nobody's number. */
static uint64_t
new_ino(struct meta *m)
{
	uint64_t id;

	return meta_new_ino(m, &id) == 0 ? id : 0;
}

static uint64_t
new_name_id(struct meta *m)
{
	uint64_t id;

	return meta_new_name_id(m, &id) == 0 ? id : 0;
}

static uint64_t
new_id(struct meta *m)
{
	uint64_t id;

	return meta_new_id(m, &id) == 0 ? id : 0;
}

/* Each batch: three inodes and a counter.  Answered numbers go down the
 * pipe, with a number of each kind. */
struct report {
	uint64_t answered;
	uint64_t ino, name_id, id;
};

static void
victim(const struct place *p, uint64_t from, int fd)
{
	struct meta *m = place_store(p);

	for (uint64_t i = from; m != NULL; i++) {
		struct meta_batch *b = meta_batch_new();
		struct report r = { i, new_ino(m), new_name_id(m), new_id(m) };

		for (uint64_t k = 0; k < 3; k++) {
			struct meta_inode n = row_inode(i * 3 + k);

			meta_put_inode(b, &n);
		}
		meta_put_setting(b, "last", &i, sizeof(i));
		if (meta_commit(m, &b) < 0 ||
		    write(fd, &r, sizeof(r)) != sizeof(r))
			break;
	}
	_exit(1);
}

/* Let one live for a while.  Returns the last it reported. */
static struct report
kill_one(const struct place *p, uint64_t from, unsigned reports,
	 struct report *highest)
{
	struct report r = { 0 }, last = { 0 };
	int fds[2], status;
	pid_t pid;

	CU_ASSERT_EQUAL_FATAL(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		close(fds[0]);
		victim(p, from, fds[1]);
	}
	close(fds[1]);
	for (unsigned i = 0; i < reports; i++) {
		if (read(fds[0], &r, sizeof(r)) != sizeof(r))
			break;
		/* Never one that an earlier life had. */
		CU_ASSERT_TRUE(r.ino > highest->ino);
		CU_ASSERT_TRUE(r.name_id > highest->name_id);
		CU_ASSERT_TRUE(r.id > highest->id);
		*highest = r;
		last = r;
	}
	kill(pid, SIGKILL);
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	/* What it still wrote after we had enough. */
	while (read(fds[0], &r, sizeof(r)) == sizeof(r))
		*highest = last = r;
	close(fds[0]);
	return last;
}

static void
a_kill_leaves_whole_batches_and_every_answered_one(void)
{
	struct place p;
	struct meta *m = place_fresh(&p);
	struct report highest = { 0 };
	uint64_t next = 1;

	meta_close(&m);
	for (unsigned life = 0; life < 8; life++) {
		struct report r = kill_one(&p, next, 5 + life * 7, &highest);
		uint64_t last = 0, found = 0;

		CU_ASSERT_TRUE(r.answered >= next);
		m = place_store(&p);
		CU_ASSERT_PTR_NOT_NULL_FATAL(m);
		CU_ASSERT_EQUAL(meta_get_setting(m, "last", &last,
						 sizeof(last)), sizeof(last));
		CU_ASSERT_TRUE(last >= r.answered);
		/* All or nothing, with the counter as the witness. */
		for (uint64_t i = 3; i < (last + 2) * 3; i++)
			found += row_has(m, i);
		CU_ASSERT_EQUAL(found, last * 3);
		CU_ASSERT_TRUE(new_ino(m) > highest.ino);
		CU_ASSERT_TRUE(new_name_id(m) > highest.name_id);
		CU_ASSERT_TRUE(new_id(m) > highest.id);
		meta_close(&m);
		next = last + 1;
	}
	place_remove(&p);
}

static void
numbers_do_not_repeat_when_many_are_taken(void)
{
	struct place p;
	struct meta *m = place_fresh(&p);
	uint64_t last = 0, bad = 0;

	for (unsigned i = 0; i < 250000; i++) {
		uint64_t id = new_ino(m);

		bad += id <= last;
		last = id;
	}
	CU_ASSERT_EQUAL(bad, 0);
	meta_close(&m);
	m = place_store(&p);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	CU_ASSERT_TRUE(new_ino(m) > last);
	meta_close(&m);
	place_remove(&p);
}

/* ---- the rest ---- */

static int
put_drc(struct meta *m, uint8_t k, uint64_t ino, int64_t now_ns)
{
	struct meta_batch *b = meta_batch_new();
	uint8_t key[16] = { k };

	meta_put_drc(b, key, 8, ino, 1, now_ns);
	return meta_commit(m, &b);
}

static int
get_drc(struct meta *m, uint8_t k, int64_t not_before_ns, uint64_t *ino)
{
	uint8_t key[16] = { k };
	uint32_t generation;

	return meta_get_drc(m, key, not_before_ns, ino, &generation);
}

static void
drc_rows_are_found_for_two_minutes_and_trimmed_later(void)
{
	const int64_t s = 1000000000, start = 5000 * s;
	struct place p;
	struct meta *m = place_fresh(&p);
	uint64_t ino = 0;

	CU_ASSERT_EQUAL(put_drc(m, 1, 11, start), 0);
	CU_ASSERT_EQUAL(put_drc(m, 2, 12, start + 100 * s), 0);
	CU_ASSERT_EQUAL(get_drc(m, 1, start - 1, &ino), 0);
	CU_ASSERT_EQUAL(ino, 11);
	CU_ASSERT_EQUAL(get_drc(m, 1, start + 1, &ino), -ENOENT);
	CU_ASSERT_EQUAL(get_drc(m, 3, 0, &ino), -ENOENT);
	/* After 200 s the first is swept out by the next few, not the
	 * second. */
	for (int i = 0; i < 256; i++)
		CU_ASSERT_EQUAL(put_drc(m, 3, 13, start + 200 * s), 0);
	CU_ASSERT_EQUAL(get_drc(m, 1, 0, &ino), -ENOENT);
	CU_ASSERT_EQUAL(get_drc(m, 2, 0, &ino), 0);
	CU_ASSERT_EQUAL(ino, 12);
	CU_ASSERT_EQUAL(get_drc(m, 3, 0, &ino), 0);
	meta_close(&m);
	place_remove(&p);
}

static int
count_handles(void *arg, const struct meta_handle *h)
{
	(void)h;
	++*(unsigned *)arg;
	return 0;
}

static int
count_journal(void *arg, uint64_t ino, uint64_t at, const void *data,
	      size_t len)
{
	unsigned *n = arg;

	*n += ino == 5 && at == 3 && len == 4 && memcmp(data, "x\0y", 4) == 0;
	return 0;
}

static void
an_inode_goes_with_all_its_rows(void)
{
	static const struct meta_extent one[] = { { 3, 4, 3 } };
	struct place p;
	struct meta *m = place_fresh(&p);
	struct meta_batch *b = meta_batch_new();
	struct meta_inode n = row_inode(5);
	struct meta_handle h = { .ino = 5, .who = "a", .state = META_ACTIVE };
	struct meta_name name = { .id = 30, .parent = 2, .ino = 5,
				  .kind = 1, .name = "f" };
	unsigned handles = 0, journal = 0;

	meta_put_inode(b, &n);
	meta_put_name(b, &name);
	meta_put_handle(b, &h);
	strcpy(h.who, "b");
	meta_put_handle(b, &h);
	meta_put_extents(b, 5, 3, 7, one, 1);
	meta_put_journal(b, 5, 3, "x\0y", 4);
	CU_ASSERT_EQUAL(meta_commit(m, &b), 0);
	CU_ASSERT_EQUAL(meta_each_handle(m, 5, count_handles, &handles), 0);
	CU_ASSERT_EQUAL(handles, 2);
	CU_ASSERT_EQUAL(meta_each_journal(m, count_journal, &journal), 0);
	CU_ASSERT_EQUAL(journal, 1);
	b = meta_batch_new();
	meta_del_inode(b, 5);
	CU_ASSERT_EQUAL(meta_commit(m, &b), 0);
	handles = journal = 0;
	CU_ASSERT_EQUAL(meta_each_handle(m, 0, count_handles, &handles), 0);
	CU_ASSERT_EQUAL(meta_each_journal(m, count_journal, &journal), 0);
	CU_ASSERT_EQUAL(handles + journal, 0);
	CU_ASSERT_TRUE(extents_are(m, 5, ""));
	CU_ASSERT_EQUAL(meta_get_name(m, 2, "f", &name), -ENOENT);
	CU_ASSERT_EQUAL(meta_name_of(m, 5, &name), -ENOENT);
	meta_close(&m);
	place_remove(&p);
}

static void
a_file_in_quarantine_keeps_its_extents_apart(void)
{
	static const struct meta_extent two[] = { { 0, 4, 0 }, { 8, 4, 40 } };
	struct place p;
	struct meta *m = place_fresh(&p);
	struct meta_quarantine q = { .id = 70, .ino = 5, .key = "k" };
	struct meta_batch *b = meta_batch_new();
	char text[256] = "";

	meta_put_extents(b, 5, 0, 12, two, 2);
	meta_put_quarantine(b, &q);
	CU_ASSERT_EQUAL(meta_commit(m, &b), 0);
	CU_ASSERT_TRUE(extents_are(m, 5, ""));
	CU_ASSERT_EQUAL(meta_each_quarantine_extent(m, 70, add_extent, text),
			0);
	CU_ASSERT_STRING_EQUAL(text, "0+4@0 8+4@40 ");
	b = meta_batch_new();
	meta_del_quarantine(b, 70);
	CU_ASSERT_EQUAL(meta_commit(m, &b), 0);
	text[0] = '\0';
	CU_ASSERT_EQUAL(meta_each_quarantine_extent(m, 70, add_extent, text),
			0);
	CU_ASSERT_STRING_EQUAL(text, "");
	meta_close(&m);
	place_remove(&p);
}

static void
a_file_that_is_no_database_is_refused(void)
{
	struct place p;
	FILE *f;
	struct meta_config c = { 0 };
	struct meta *m = NULL;

	place_make(&p);
	f = fopen(p.file, "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	for (int i = 0; i < 1000; i++)
		fputs("this is no database\n", f);
	fclose(f);
	c.path = p.file;
	CU_ASSERT_EQUAL(meta_open(&c, &m), -EBADMSG);
	CU_ASSERT_PTR_NULL(m);
	place_remove(&p);
}

TEST_MAIN("meta_store", T(rows_come_back_as_they_were_put),
	  T(names_are_bytes_and_differ_as_bytes),
	  T(extents_that_touch_a_range_are_replaced_and_no_others),
	  T(a_batch_that_fails_does_not_hurt_those_beside_it),
	  T(an_empty_batch_and_one_without_memory_are_answered),
	  T(many_threads_commit_together_and_each_sees_its_own),
	  T(a_kill_leaves_whole_batches_and_every_answered_one),
	  T(numbers_do_not_repeat_when_many_are_taken),
	  T(drc_rows_are_found_for_two_minutes_and_trimmed_later),
	  T(an_inode_goes_with_all_its_rows),
	  T(a_file_in_quarantine_keeps_its_extents_apart),
	  T(a_file_that_is_no_database_is_refused))
