/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What somebody else has put at a key is not written over: each kind of last
 * request, on a store that honours conditions and on one that ignores them.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/gate_fixture.h"
#include "tests/unit.h"

#define LARGE (17 * MIB)	/* by parts */

static bool
failing(struct fixture *b, int result)
{
	static const enum s3_op ops[] = { S3_OP_PUT, S3_OP_COPY, S3_OP_CREATE,
					  S3_OP_HEAD };

	for (size_t i = 0; i < sizeof(ops) / sizeof(*ops); i++)
		fake_s3_fail(b->s3, ops[i], 1, result < 0 ? 100000 : 0,
			     result);
	return true;
}

static int
write_all(struct fixture *b, struct client *c, const struct gate_fh *fh,
	  uint64_t size)
{
	char *data = calloc(1, MIB);
	int r = 0;

	for (uint64_t off = 0; r == 0 && off < size; off += MIB)
		r = do_write(b, c, fh, off, data,
			     (uint32_t)(size - off < MIB ? size - off : MIB),
			     GATE_UNSTABLE);
	free(data);
	return r < 0 ? r : do_commit(b, c, fh);
}

/* Each leaves a version for the key "k", which S3 does not have yet.  `large`
 * makes it one by parts. */
struct kind {
	const char *what;
	const char *key;
	int (*make)(struct fixture *b, struct client *c, uint64_t size);
};

static int
new_file(struct fixture *b, struct client *c, uint64_t size)
{
	struct gate_fh fh;
	int r;

	failing(b, -EAGAIN);
	r = do_create(b, c, "k", &fh);
	return r < 0 ? r : write_all(b, c, &fh, size);
}

static int
renamed_and_written(struct fixture *b, struct client *c, uint64_t size)
{
	struct gate_fh fh;
	int r = do_file(b, c, "before", "base", &fh);

	if (r == 0 && !fixture_settled(b))
		return -ETIMEDOUT;
	failing(b, -EAGAIN);
	if (r == 0)
		r = do_rename(b, c, "before", "k");
	return r < 0 ? r : write_all(b, c, &fh, size);
}

static int
renamed(struct fixture *b, struct client *c, uint64_t size)
{
	struct gate_fh fh;
	int r = do_file(b, c, "before", "base", &fh);

	(void)size;
	if (r == 0 && !fixture_settled(b))
		return -ETIMEDOUT;
	failing(b, -EAGAIN);
	return r < 0 ? r : do_rename(b, c, "before", "k");
}

static int
over_its_own(struct fixture *b, struct client *c, uint64_t size)
{
	struct gate_fh fh;
	int r = do_file(b, c, "k", "base", &fh);

	if (r == 0 && !fixture_settled(b))
		return -ETIMEDOUT;
	failing(b, -EAGAIN);
	return r < 0 ? r : write_all(b, c, &fh, size);
}

static int
over_another(struct fixture *b, struct client *c, uint64_t size)
{
	struct gate_fh fh;
	int r = do_file(b, c, "k", "old", &fh);

	if (r == 0 && !fixture_settled(b))
		return -ETIMEDOUT;
	failing(b, -EAGAIN);
	if (r == 0)
		r = do_create(b, c, "new", &fh);
	if (r == 0)
		r = write_all(b, c, &fh, size);
	return r < 0 ? r : do_rename(b, c, "new", "k");
}

static int
directory(struct fixture *b, struct client *c, uint64_t size)
{
	struct gate_fh fh;

	(void)size;
	fake_s3_fail(b->s3, S3_OP_PUT, 1, 100000, -EAGAIN);
	return do_mkdir(b, c, "k", &fh);
}

static const struct kind kinds[] = {
	{ "a new file", "k", new_file },
	{ "a file that was renamed and written", "k", renamed_and_written },
	{ "a file that was renamed", "k", renamed },
	{ "a file over its own object", "k", over_its_own },
	{ "a file over another's", "k", over_another },
	{ "a directory", "k/", directory },
};

static bool
theirs_stays(const struct kind *k, uint64_t size, bool honours)
{
	struct s3_caps caps = { .part_copy = true, .copy_if_match = true };
	struct gate_status status;
	struct fixture b = FIXTURE;
	struct client a;
	bool ok;

	b.export.settle_ms = 1;
	b.export.hold_ms = 20;
	client_init(&a, "a");
	fixture_open(&b);
	if (!honours) {
		fake_s3_caps(b.s3, &caps);
		gate_export_caps(b.x, &caps);
	}
	ok = k->make(&b, &a, size) == 0;
	fake_s3_set(b.s3, k->key, "theirs", 6);
	failing(&b, 0);
	ok = ok && fixture_settled(&b);
	gate_status(b.gate, &status);
	ok = ok && fake_s3_is(b.s3, k->key, "theirs", 6) &&
	     (status.conflicts > 0 || strcmp(k->key, "k/") == 0);
	if (!ok)
		fprintf(stderr, "%s, %llu bytes, %s: %s, %llu conflicts\n",
			k->what, (unsigned long long)size,
			honours ? "honours" : "ignores",
			fake_s3_is(b.s3, k->key, "theirs", 6) ? "it stays"
							      : "it is gone",
			(unsigned long long)status.conflicts);
	fixture_close(&b);
	return ok;
}

static void
where_conditions_are_honoured(void)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		CU_ASSERT(theirs_stays(&kinds[i], 100, true));
}

static void
where_conditions_are_ignored(void)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		CU_ASSERT(theirs_stays(&kinds[i], 100, false));
}

static void
and_in_parts(void)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (kinds[i].make == renamed || kinds[i].make == directory)
			continue;
		CU_ASSERT(theirs_stays(&kinds[i], LARGE, true));
		CU_ASSERT(theirs_stays(&kinds[i], LARGE, false));
	}
}

TEST_MAIN("gate_look", T(where_conditions_are_honoured),
	  T(where_conditions_are_ignored), T(and_in_parts))
