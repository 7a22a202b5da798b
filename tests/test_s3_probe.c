/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the probe finds out about the stores of docs/stores.md, by what each
 * of them was seen to answer.
 */
#include <config.h>
#include "tests/s3_local.h"
#include "tests/s3_server.h"

static const struct store {
	const char *name;
	unsigned traits;
	struct s3_caps lacks;	/* true: it does not honour that */
} stores[] = {
	{ "AWS", 0, { 0 } },
	{ "MinIO", TRAIT_DELETE_MATCH_UNSEEN, { .delete_if_match = true } },
	{ "radosgw", TRAIT_UNQUOTED | TRAIT_COMPLETE_UNSEEN |
	  TRAIT_COPY_MATCH_UNSEEN | TRAIT_DELETE_MATCH_UNSEEN,
	  { .complete_if_match = true, .copy_if_match = true,
	    .delete_if_match = true } },
	{ "versitygw", TRAIT_CONTROL_LISTED,
	  { .mangled = S3_ODD_CONTROL | S3_ODD_NONCHAR } },
	{ "SeaweedFS", TRAIT_BACKSLASH_SLASH,
	  { .mangled = S3_ODD_BACKSLASH } },
	{ "Swift", TRAIT_PUT_NONE_UNSEEN | TRAIT_PUT_MATCH_UNSEEN |
	  TRAIT_COMPLETE_REFUSES,
	  { .put_if_none_match = true, .put_if_match = true,
	    .complete_if_match = true } },
	{ "moto", TRAIT_PUT_MATCH_UNSEEN | TRAIT_COMPLETE_UNSEEN |
	  TRAIT_COPY_MATCH_UNSEEN | TRAIT_DELETE_MATCH_UNSEEN |
	  TRAIT_NEWLINE_PAGE,
	  { .put_if_match = true, .complete_if_match = true,
	    .copy_if_match = true, .delete_if_match = true,
	    .mangled = S3_ODD_NEWLINE } },
	{ "S3Mock", TRAIT_COMPLETE_304 | TRAIT_BACKSLASH_PAGE,
	  { .mangled = S3_ODD_BACKSLASH } },
	{ "s3proxy", TRAIT_PUT_NONE_UNSEEN | TRAIT_PUT_MATCH_UNSEEN |
	  TRAIT_COMPLETE_UNSEEN | TRAIT_DELETE_MATCH_UNSEEN,
	  { .put_if_none_match = true, .put_if_match = true,
	    .complete_if_match = true, .delete_if_match = true } },
	{ "Garage", TRAIT_WHOLE_PARTS, { 0 } },
};

static int
count(void *arg, const struct s3_entry *e)
{
	(void)e;
	++*(unsigned *)arg;
	return 0;
}

static bool
is_as_told(const struct store *s, const struct s3_caps *caps)
{
	const struct s3_caps *l = &s->lacks;

	return caps->put_if_none_match == !l->put_if_none_match &&
	       caps->put_if_match == !l->put_if_match &&
	       caps->put_if_match_unquoted == !!(s->traits & TRAIT_UNQUOTED) &&
	       caps->complete_if_match == !l->complete_if_match &&
	       caps->copy_if_match == !l->copy_if_match &&
	       caps->delete_if_match == !l->delete_if_match &&
	       caps->part_copy && caps->mangled == l->mangled;
}

static void
each_store_is_known_by_its_answers(void)
{
	setenv("AWS_ACCESS_KEY_ID", "AKID", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
	for (size_t i = 0; i < sizeof(stores) / sizeof(*stores); i++) {
		const struct s3_list all = { .prefix = "" };
		struct s3_config config = { .url = "s3://bucket",
					    .retry_ms = 2000 };
		struct s3_caps caps = { 0 };
		struct s3_server *server;
		struct s3 *s3 = NULL;
		struct bucket b;
		unsigned left = 0;
		char *next = NULL;

		bucket_init(&b);
		server = s3_server_start(b.s3);
		s3_server_traits(server, stores[i].traits);
		config.endpoint = s3_server_url(server);
		CU_ASSERT_EQUAL_FATAL(s3_open(&config, &s3, NULL), 0);
		CU_ASSERT_EQUAL(s3_probe(s3, "p-", &caps, NULL), 0);
		if (!is_as_told(&stores[i], &caps)) {
			fprintf(stderr, "%s: none %d match %d unquoted %d "
				"complete %d copy %d delete %d part %d "
				"mangled %u\n", stores[i].name,
				caps.put_if_none_match, caps.put_if_match,
				caps.put_if_match_unquoted,
				caps.complete_if_match, caps.copy_if_match,
				caps.delete_if_match, caps.part_copy,
				caps.mangled);
			CU_FAIL("otherwise than told");
		}
		CU_ASSERT_EQUAL(s3_list_page(b.s3, &all, count, &left, &next,
					     NULL), 0);
		CU_ASSERT_EQUAL(left, 0);
		s3_close(&s3);
		s3_server_stop(&server);
		bucket_fini(&b);
	}
}

TEST_MAIN("s3_probe", T(each_store_is_known_by_its_answers))
