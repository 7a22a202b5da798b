/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a data file has on the disk is what the maps lead to: nothing is left
 * where bytes were replaced, cut, uploaded or given up.
 */

#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/gate_fixture.h"
#include "tests/unit.h"

#define BLOCK 4096

/* ---- the checker ---- */

/* Mark the blocks of the file that these places touch. */
static void
mark(const struct extents *m, bool by_place, char *blocks, size_t count)
{
	for (size_t i = 0; i < m->count; i++) {
		uint64_t at = by_place ? m->list[i].off : m->list[i].at;
		uint64_t first = at / BLOCK;
		uint64_t last = (at + m->list[i].len - 1) / BLOCK;

		for (; first <= last; first++) {
			/* The overflow area follows the first half. */
			uint64_t b = first < OVERFLOW_START / BLOCK
					     ? first
					     : count / 2 + first -
						       OVERFLOW_START / BLOCK;

			if (b < count)
				blocks[b] = 1;
		}
	}
}

/* How many blocks the file has that nothing leads to.  Mutex held. */
static uint64_t
stray_blocks(struct node *n)
{
	const size_t count = 1 << 16;
	struct data *d = &n->d;
	char *blocks = calloc(1, count);
	struct data_file *f = d->file;
	uint64_t strays = 0;
	off_t at = 0, end;

	mark(&d->dirty, false, blocks, count);
	mark(&d->durable, false, blocks, count);
	mark(&d->staged, false, blocks, count);
	mark(&d->clean, false, blocks, count);
	mark(&d->filling, false, blocks, count);
	mark(&d->gone[0], true, blocks, count);
	mark(&d->gone[1], true, blocks, count);
	mark(&d->held, true, blocks, count);
	if (n->shown != NULL)
		mark(&n->shown->map, false, blocks, count);
	if (f != NULL && file_use(f) == 0) {
		while ((at = lseek(f->fd, at, SEEK_DATA)) >= 0 &&
		       (end = lseek(f->fd, at, SEEK_HOLE)) > at) {
			for (; at < end; at += BLOCK) {
				uint64_t b = (uint64_t)at / BLOCK;

				if (b >= OVERFLOW_START / BLOCK)
					b += count / 2 -
					     OVERFLOW_START / BLOCK;
				strays += b >= count || !blocks[b];
			}
			at = end;
		}
		file_done(&f);
	}
	free(blocks);
	return strays;
}

/* Is each place of the overflow area in a map, or held, and no other given
 * out?  Nothing is being written.  Mutex held. */
static bool
used_is_right(const struct node *n)
{
	const struct data *d = &n->d;
	const struct extents *const maps[] = { &d->dirty, &d->durable,
					       &d->staged, &d->clean };
	const struct extents *const lists[] = { &d->gone[0], &d->gone[1],
						&d->held };
	struct extents all = { 0 };
	bool same;

	for (size_t m = 0; m < 4; m++) {
		for (size_t i = 0; i < maps[m]->count; i++) {
			const struct meta_extent *e = &maps[m]->list[i];

			if (e->at >= OVERFLOW_START)
				(void)!extents_set(&all, e->at, e->len,
						   e->off);
		}
	}
	for (size_t i = 0; n->shown != NULL && i < n->shown->map.count; i++) {
		const struct meta_extent *e = &n->shown->map.list[i];

		if (e->at >= OVERFLOW_START)
			(void)!extents_set(&all, e->at, e->len, e->off);
	}
	for (size_t m = 0; m < 3; m++) {
		for (size_t i = 0; i < lists[m]->count; i++) {
			const struct meta_extent *e = &lists[m]->list[i];

			if (e->off >= OVERFLOW_START)
				(void)!extents_set(&all, e->off, e->len,
						   e->at);
		}
	}
	same = all.bytes == d->used.bytes;
	for (size_t i = 0; i < all.count; i++) {
		uint64_t at, run;

		same &= extents_at(&d->used, all.list[i].off, &at, &run) &&
			run >= all.list[i].len;
	}
	extents_free(&all);
	return same;
}

static void
check_places(struct fixture *b, const struct gate_fh *fh)
{
	struct node *n = node_find(b->gate, fh->ino);
	bool still = false;

	CU_ASSERT_PTR_NOT_NULL_FATAL(n);
	while (!still) {
		mutex_lock(&n->mutex);
		still = n->d.writing == 0 && n->d.filling.count == 0;
		if (still) {
			CU_ASSERT(used_is_right(n));
			CU_ASSERT_EQUAL(stray_blocks(n), 0);
		}
		mutex_unlock(&n->mutex);
	}
	node_put(&n);
}

static uint64_t
on_disk(struct fixture *b, const struct gate_fh *fh)
{
	char name[32], path[128];
	struct stat st;

	data_file_name(fh->ino, name);
	snprintf(path, sizeof(path), "%s/data/%s", b->dir, name);
	return stat(path, &st) < 0 ? 0 : (uint64_t)st.st_blocks * 512;
}

/* ---- what was seen ---- */

static void
a_file_that_is_rewritten_takes_no_more_than_its_versions(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	struct gate_status status;
	char *p = malloc(MIB);

	client_init(&a, "a");
	b.export.settle_ms = 60000;
	fixture_open(&b);
	CU_ASSERT_EQUAL(do_create(&b, &a, "f", &fh), 0);
	for (int i = 0; i < 20; i++) {
		for (int commits = 0; commits < 2; commits++) {
			memset(p, i + commits, MIB);
			CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, p, MIB,
						 GATE_UNSTABLE), 0);
			CU_ASSERT_EQUAL(do_commit(&b, &a, &fh), 0);
		}
		CU_ASSERT(fixture_settled(&b));
		CU_ASSERT(on_disk(&b, &fh) <= 2 * MIB);
		check_places(&b, &fh);
	}
	gate_status(b.gate, &status);
	CU_ASSERT_EQUAL(status.staged_bytes, 0);
	CU_ASSERT(status.clean_bytes <= MIB);
	CU_ASSERT(do_read_is(&b, &a, &fh, p, MIB));
	free(p);
	fixture_close(&b);
}

static void
bytes_that_are_replaced_count_once(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	struct gate_status status;
	char *p = malloc(MIB);

	client_init(&a, "a");
	b.config.cache_size = 4 * MIB;
	fixture_open(&b);
	CU_ASSERT_EQUAL(do_create(&b, &a, "f", &fh), 0);
	for (int i = 0; i < 63; i++) {
		memset(p, i, MIB);
		CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, p, MIB,
					 GATE_UNSTABLE), 0);
	}
	gate_status(b.gate, &status);
	CU_ASSERT_EQUAL(status.staged_bytes, MIB);
	CU_ASSERT_EQUAL(do_commit(&b, &a, &fh), 0);
	/* The second version of it stands beside the first. */
	for (int i = 0; i < 63; i++)
		CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, p, MIB,
					 GATE_UNSTABLE), 0);
	CU_ASSERT_EQUAL(do_commit(&b, &a, &fh), 0);
	check_places(&b, &fh);
	free(p);
	fixture_close(&b);
}

#define LONG 17			/* MiB: sent in parts */

static void
versions_beside_a_long_upload_are_not_kept(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	char *p = calloc(LONG, MIB);

	client_init(&a, "a");
	fixture_open(&b);
	fake_s3_hold(b.s3, S3_OP_PART);
	CU_ASSERT_EQUAL(do_create(&b, &a, "f", &fh), 0);
	for (unsigned i = 0; i < LONG; i++)
		CU_ASSERT_EQUAL(do_write(&b, &a, &fh, i * MIB, p + i * MIB,
					 MIB, GATE_UNSTABLE), 0);
	CU_ASSERT_EQUAL(do_commit(&b, &a, &fh), 0);
	CU_ASSERT(fake_s3_is_held(b.s3));
	for (int i = 0; i < 10; i++) {
		memset(p, 2 + i, MIB);
		CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, p, MIB,
					 GATE_FILE_SYNC), 0);
		check_places(&b, &fh);
		/* What is sent, and what came last. */
		CU_ASSERT(on_disk(&b, &fh) <= (LONG + 2) * MIB);
	}
	fake_s3_release(b.s3);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "f", p, LONG * MIB));
	check_places(&b, &fh);
	CU_ASSERT(on_disk(&b, &fh) <= LONG * MIB + 64 * BLOCK);
	free(p);
	fixture_close(&b);
}

static void
what_a_crash_left_in_a_file_is_punched(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	char *p = calloc(1, MIB);

	client_init(&a, "a");
	b.export.settle_ms = 60000;
	fixture_open(&b);
	CU_ASSERT_EQUAL(do_create(&b, &a, "f", &fh), 0);
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, p, MIB, GATE_FILE_SYNC), 0);
	/* Not committed; a restart does not know of it. */
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, p, MIB, GATE_UNSTABLE), 0);
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 3 * MIB, p, MIB,
				 GATE_UNSTABLE), 0);
	fake_s3_fail(b.s3, S3_OP_PUT, 1, 1000, -EAGAIN);
	fixture_restart(&b);
	CU_ASSERT(do_read_is(&b, &a, &fh, p, MIB));
	check_places(&b, &fh);
	CU_ASSERT(on_disk(&b, &fh) <= MIB + 64 * BLOCK);
	fake_s3_fail(b.s3, S3_OP_PUT, 1, 0, 0);
	free(p);
	fixture_close(&b);
}

/* ---- at random ---- */

#define RANDOM_SIZE (1 * MIB)

struct random {
	struct fixture *b;
	struct client a;
	struct gate_fh fh;
	unsigned seed;
	char *is;		/* what the file should be */
	uint64_t size;
};

static void
random_write(struct random *r)
{
	uint64_t off = (uint64_t)rand_r(&r->seed) % RANDOM_SIZE;
	uint32_t len = 1 + (uint32_t)rand_r(&r->seed) % (96 << 10);
	bool sync = rand_r(&r->seed) % 3 == 0;
	int byte = rand_r(&r->seed) % 255 + 1;

	if (rand_r(&r->seed) % 2)
		off &= ~4095ULL;
	if (off + len > RANDOM_SIZE)
		len = (uint32_t)(RANDOM_SIZE - off);
	memset(r->is + off, byte, len);
	if (off + len > r->size)
		r->size = off + len;
	CU_ASSERT_EQUAL(do_write(r->b, &r->a, &r->fh, off, r->is + off, len,
				 sync ? GATE_FILE_SYNC : GATE_UNSTABLE), 0);
}

static void
random_step(struct random *r)
{
	switch (rand_r(&r->seed) % 12) {
	default:
		random_write(r);
		break;
	case 0:
	case 1:
		CU_ASSERT_EQUAL(do_commit(r->b, &r->a, &r->fh), 0);
		break;
	case 2: {
		uint64_t size = (uint64_t)rand_r(&r->seed) % RANDOM_SIZE;

		if (size < r->size)
			memset(r->is + size, 0, r->size - size);
		r->size = size;
		CU_ASSERT_EQUAL(do_size(r->b, &r->a, &r->fh, size), 0);
		break;
	}
	case 3:
		CU_ASSERT(do_read_is(r->b, &r->a, &r->fh, r->is,
				     (uint32_t)r->size));
		break;
	case 4: {
		struct node *n = node_find(r->b->gate, r->fh.ino);

		/* Room is wanted: what S3 has is fetched again. */
		mutex_lock(&n->mutex);
		data_drop_clean_locked(n);
		mutex_unlock(&n->mutex);
		node_put(&n);
		break;
	}
	case 5:
		CU_ASSERT_EQUAL(do_commit(r->b, &r->a, &r->fh), 0);
		CU_ASSERT(fixture_settled(r->b));
		CU_ASSERT(fake_s3_is(r->b->s3, "f", r->is, r->size));
		break;
	}
}

static void
no_place_is_lost_whatever_is_done(void)
{
	struct fixture b = FIXTURE;
	struct random r = { .b = &b, .seed = 1, .is = calloc(1, RANDOM_SIZE) };

	if (getenv("SEED") != NULL)
		r.seed = (unsigned)atoi(getenv("SEED"));
	client_init(&r.a, "a");
	b.export.settle_ms = 1;
	fixture_open(&b);
	CU_ASSERT_EQUAL(do_create(&b, &r.a, "f", &r.fh), 0);
	for (int i = 0; i < 400; i++) {
		random_step(&r);
		check_places(&b, &r.fh);
	}
	CU_ASSERT_EQUAL(do_commit(&b, &r.a, &r.fh), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "f", r.is, r.size));
	CU_ASSERT(do_read_is(&b, &r.a, &r.fh, r.is, (uint32_t)r.size));
	check_places(&b, &r.fh);
	CU_ASSERT(on_disk(&b, &r.fh) <= RANDOM_SIZE + 300 * BLOCK);
	free(r.is);
	fixture_close(&b);
}

/* ---- many pieces ---- */

static double
cpu_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

/* Every other 512 bytes, from piece `from` to piece `to`. */
static void
write_pieces(struct fixture *b, struct client *a, const struct gate_fh *fh,
	     unsigned from, unsigned to)
{
	int bad = 0;

	for (unsigned i = from; i < to; i++)
		bad += do_write(b, a, fh, i * 1024ULL, "0123456789abcdef", 16,
				GATE_UNSTABLE) != 0;
	CU_ASSERT_EQUAL(bad, 0);
}

/* Of stable WRITEs over pieces that are there. */
static double
stable_cost(struct fixture *b, struct client *a, const struct gate_fh *fh,
	    unsigned pieces)
{
	double start = cpu_ms();
	int bad = 0;

	for (unsigned i = 0; i < 40; i++)
		bad += do_write(b, a, fh, (i * 7919 % pieces) * 1024ULL, "now",
				3, GATE_FILE_SYNC) != 0;
	CU_ASSERT_EQUAL(bad, 0);
	return cpu_ms() - start;
}

static void
a_stable_write_costs_the_same_in_a_file_of_many_pieces(void)
{
	const unsigned many = 30000, few = 300;
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	double cheap, dear, start;

	client_init(&a, "a");
	b.export.settle_ms = 60000;
	fixture_open(&b);
	CU_ASSERT_EQUAL(do_create(&b, &a, "f", &fh), 0);
	write_pieces(&b, &a, &fh, 0, few);
	CU_ASSERT_EQUAL(do_commit(&b, &a, &fh), 0);
	cheap = stable_cost(&b, &a, &fh, few);
	write_pieces(&b, &a, &fh, few, many);
	start = cpu_ms();
	CU_ASSERT_EQUAL(do_commit(&b, &a, &fh), 0);
	if (getenv("FIXTURE_LOG") != NULL)
		fprintf(stderr, "COMMIT of %u: %.1f ms\n", many,
			cpu_ms() - start);
	dear = stable_cost(&b, &a, &fh, many);
	if (getenv("FIXTURE_LOG") != NULL)
		fprintf(stderr, "40 stable WRITEs: %.1f, %.1f ms\n", cheap,
			dear);
	CU_ASSERT(dear < 4 * cheap + 4);
	fixture_close(&b);
}

TEST_MAIN("gate_places",
	  T(a_file_that_is_rewritten_takes_no_more_than_its_versions),
	  T(bytes_that_are_replaced_count_once),
	  T(versions_beside_a_long_upload_are_not_kept),
	  T(what_a_crash_left_in_a_file_is_punched),
	  T(no_place_is_lost_whatever_is_done),
	  T(a_stable_write_costs_the_same_in_a_file_of_many_pieces))
