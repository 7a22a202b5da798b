/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many at once: files in many directories, clients that get in each other's
 * way, and more bytes than the cache holds.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/gate_fixture.h"
#include "tests/unit.h"

#define STRESS_FILES 4
#define STRESS_MS 600

struct stress {
	struct fixture *b;
	unsigned seed;
	int errors;
	uint64_t until;
};

/* Every write fills a file's first bytes with one letter. */
static void *
stress_run(void *arg)
{
	struct stress *s = arg;
	struct client c;
	struct gate_fh fh;
	char name[16], other[16], buf[5000];
	uint32_t got;
	bool eof;

	snprintf(name, sizeof(name), "client%u", s->seed % 3);
	client_init(&c, name);
	while (clock_ms() < s->until) {
		unsigned dice = (unsigned)rand_r(&s->seed);
		struct gate_attr attr;
		int r = 0;

		snprintf(name, sizeof(name), "f%u", dice / 16 % STRESS_FILES);
		snprintf(other, sizeof(other), "f%u",
			 dice / 64 % STRESS_FILES);
		memset(buf, 'a' + (int)(dice / 256 % 26), sizeof(buf));
		switch (dice % 16) {
		case 0:
			r = do_remove(s->b, &c, name);
			break;
		case 1:
		case 2:
			r = do_rename(s->b, &c, name, other);
			break;
		case 3:
			r = do_lookup(s->b, &c, name, &fh);
			if (r == 0)
				r = do_size(s->b, &c, &fh, dice / 1024 % 8000);
			break;
		case 4:
		case 5:
			r = do_lookup(s->b, &c, name, &fh);
			if (r == 0)
				r = do_write(s->b, &c, &fh, 0, buf,
					     sizeof(buf), GATE_FILE_SYNC);
			break;
		case 6:
		case 7:
		case 8:
			r = do_lookup(s->b, &c, name, &fh);
			if (r == 0)
				r = do_write(s->b, &c, &fh, 0, buf,
					     sizeof(buf), GATE_UNSTABLE);
			if (r == 0)
				r = do_commit(s->b, &c, &fh);
			break;
		case 9:
		case 10:
			r = do_create(s->b, &c, name, &fh);
			break;
		case 11:
			fake_s3_fail(s->b->s3, dice / 2048 % 2 ? S3_OP_PUT
							       : S3_OP_COPY,
				     1, 1, -EAGAIN);
			break;
		default:
			r = do_lookup(s->b, &c, name, &fh);
			got = 0;
			if (r == 0) {
				c.rq.may_block = true;
				c.rq.token = NULL;
				r = gate_read(s->b->x, &c.rq, &fh, 0, buf,
					      sizeof(buf), &got, &eof, &attr);
			}
			/* One version, not two. */
			for (uint32_t i = 1; r == 0 && i < got; i++) {
				if (buf[i] != buf[0] && buf[i] != 0 &&
				    buf[0] != 0)
					s->errors++;
			}
			break;
		}
		if (r < 0 && r != -ENOENT && r != -ESTALE && r != -EAGAIN &&
		    r != -EACCES) {
			fprintf(stderr, "stress: op %u: %s\n", dice % 16,
				strerror(-r));
			s->errors++;
		}
	}
	return NULL;
}

static int
show(void *arg, const struct gate_handle_info *h)
{
	(void)arg;
	fprintf(stderr, "%s %s %s uncommitted=%llu staged=%llu age=%llu\n",
		h->path, h->client, h->state,
		(unsigned long long)h->uncommitted_bytes,
		(unsigned long long)h->staged_bytes,
		(unsigned long long)h->age_ms);
	return 0;
}

/* Names are kept with their directory, files by their number: not in the
 * same place, and the end must take both down. */
static void
a_gate_with_files_in_many_directories_closes(void)
{
	struct fixture b = FIXTURE;
	struct gate_fh dir, fh;
	struct client c;
	char name[8];

	client_init(&c, "client0");
	fixture_open(&b);
	for (unsigned i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "d%u", i);
		CU_ASSERT_EQUAL(do_mkdir(&b, &c, name, &dir), 0);
		for (unsigned j = 0; j <= i % 3; j++) {
			snprintf(name, sizeof(name), "f%u", j);
			CU_ASSERT_EQUAL(do_create_in(&b, &c, &dir, name, &fh),
					0);
		}
	}
	fixture_close(&b);
}

static void
many_clients_at_once_break_nothing(void)
{
	struct fixture b = FIXTURE;
	struct stress s[6];
	pthread_t threads[6];
	struct gate_status status;
	struct client c;
	struct gate_fh fh;

	const char *env = getenv("STRESS_SEED"), *ms = getenv("STRESS_MS");
	unsigned seed = env != NULL ? (unsigned)atoi(env) : 1;
	uint64_t last = ms != NULL ? (uint64_t)atoi(ms) : STRESS_MS;

	b.export.hold_ms = 50;
	b.export.settle_ms = 10;
	b.config.max_nodes = 16;
	client_init(&c, "client0");
	fixture_open(&b);
	for (unsigned i = 0; i < 6; i++) {
		s[i] = (struct stress){ &b, i * 7919 + seed, 0,
					clock_ms() + last };
		pthread_create(&threads[i], NULL, stress_run, &s[i]);
	}
	for (unsigned i = 0; i < 6; i++) {
		pthread_join(threads[i], NULL);
		CU_ASSERT_EQUAL(s[i].errors, 0);
	}
	CU_ASSERT(fixture_settled(&b));
	gate_status(b.gate, &status);
	CU_ASSERT_EQUAL(status.invariant_failures, 0);
	CU_ASSERT_EQUAL(status.held_requests, 0);
	CU_ASSERT_EQUAL(status.quarantined, 0);
	CU_ASSERT_EQUAL(status.staged_bytes, 0);
	CU_ASSERT_EQUAL(status.handles_active + status.handles_pending, 0);
	if (status.handles_active + status.handles_pending > 0)
		(void)!gate_each_handle(b.gate, NULL, show, NULL);
	/* The bucket and the gate agree. */
	for (unsigned i = 0; i < STRESS_FILES; i++) {
		char name[8];

		snprintf(name, sizeof(name), "f%u", i);
		CU_ASSERT_EQUAL(do_lookup(&b, &c, name, &fh) == 0,
				fake_s3_has(b.s3, name));
		if (fake_s3_has(b.s3, name)) {
			char *data = NULL;
			size_t len = fake_s3_copy(b.s3, name, &data);

			CU_ASSERT(do_read_is(&b, &c, &fh, data,
					     (uint32_t)len));
			free(data);
		}
	}
	fixture_close(&b);
}

static void
a_cache_has_an_end(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	struct gate_status status;
	char *big = calloc(1, MIB), name[8];

	client_init(&a, "a");
	b.config.cache_size = 4 * MIB;
	fixture_open(&b);
	for (int i = 0; i < 12; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		CU_ASSERT_EQUAL(do_create(&b, &a, name, &fh), 0);
		CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, big, MIB,
					 GATE_FILE_SYNC), 0);
		CU_ASSERT(fixture_settled(&b));
	}
	AWAIT((gate_status(b.gate, &status),
	       status.clean_bytes + status.staged_bytes <= 5 * MIB));
	CU_ASSERT(status.clean_bytes + status.staged_bytes <= 5 * MIB);
	free(big);
	fixture_close(&b);
}

TEST_MAIN("gate_many", T(a_gate_with_files_in_many_directories_closes),
	  T(many_clients_at_once_break_nothing), T(a_cache_has_an_end))
