/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bucket that does not answer.  What needs it waits; what lies on the
 * gateway's disk does not, and one client's requests are not all of them.
 */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rpcgen/nfs3.h"
#include "tests/scenario.h"

#define MANY 100
#define AT_ONCE_MS 200		/* what is answered from here; times PATIENCE */

/* An `ls` of names that nobody knows yet. */
static void
send_lookups(struct scene *s, struct rpcc *c)
{
	for (unsigned i = 0; i < MANY; i++) {
		LOOKUP3args args = { { { { s->root.len,
					   (char *)s->root.data } }, NULL } };
		char name[32];

		snprintf(name, sizeof(name), "unknown%u", i);
		args.what.name = name;
		CHECK(rpcc_send(c, rpcc_xid(c), NFS3_PROGRAM, NFS_V3,
				NFSPROC3_LOOKUP, (xdrproc_t)xdr_LOOKUP3args,
				&args) == 0);
	}
}

static void
take_replies(struct rpcc *c)
{
	for (unsigned i = 0; i < MANY; i++) {
		struct rpcc_reply reply;

		CHECK(rpcc_recv_any(c, 60000, &reply) == 0);
		free(reply.data);
	}
}

static bool
is_held(struct scene *s)
{
	return scene_calls(s, "list", "", "held") +
	       scene_calls(s, "list", "-", "held") > 0;
}

#define AT_ONCE(call)                                                         \
	do {                                                                  \
		uint64_t begun_ = scene_now_ms();                             \
		OK(call);                                                     \
		CHECK(scene_now_ms() - begun_ < PATIENCE * AT_ONCE_MS);       \
	} while (0)

static void
use_what_lies_here(struct rpcc *c, const struct nc_fh *f)
{
	struct nc_set mode = { .mode_set = true, .mode = 0640 };
	fattr3 attr;

	AT_ONCE(put(c, f, 0, "new", UNSTABLE));
	AT_ONCE(commit(c, f));
	AT_ONCE(nc_getattr(c, f, &attr));
	AT_ONCE(nc_setattr(c, f, &mode, NULL));
	AT_ONCE(put(c, f, 3, "er", FILE_SYNC));
	AT_ONCE(nc_getattr(c, f, &attr));
	CHECK(attr.size == 5 && (attr.mode & 07777) == 0640);
	CHECK(reads(c, f, "newer"));
}

static void
ls(struct scene *s)
{
	struct nc_fh f = create(&s->b, s, "f"), g = create(&s->a, s, "g");

	OK(put(&s->a, &g, 0, "A's", FILE_SYNC));
	scene_faults(s, "hold\n");
	send_lookups(s, &s->c);
	WITHIN(2000, is_held(s));
	use_what_lies_here(&s->b, &f);
	use_what_lies_here(&s->a, &g);
	/* Of the same client as well. */
	CHECK(status_number(s, "handles_pending") >= 1);
	scene_faults(s, "");
	take_replies(&s->c);
	OK(commit(&s->b, &f));
}

static void
many(struct scene *s)
{
	struct nc_fh f = create(&s->b, s, "f");
	struct rpcc hosts[8];

	scene_faults(s, "hold\n");
	for (unsigned i = 0; i < 8; i++) {
		scene_client(s, &hosts[i], 31 + i, "h");
		send_lookups(s, &hosts[i]);
	}
	WITHIN(2000, is_held(s));
	use_what_lies_here(&s->b, &f);
	scene_faults(s, "");
	for (unsigned i = 0; i < 8; i++) {
		take_replies(&hosts[i]);
		rpcc_close(&hosts[i]);
	}
}

/* Told to come again, rather than nothing; and there is an end. */
static void
late(struct scene *s)
{
	struct rpcc_reply reply;
	unsigned answers = 0;

	scene_faults(s, "hold\n");
	send_lookups(s, &s->c);
	/* Those that found no thread in 20 s. */
	while (answers < MANY - 24) {
		CHECK(rpcc_recv_any(&s->c, 40000, &reply) == 0);
		free(reply.data);
		answers++;
	}
	scene_faults(s, "");
	for (; answers < MANY; answers++) {
		CHECK(rpcc_recv_any(&s->c, 40000, &reply) == 0);
		free(reply.data);
	}
}

SCENARIOS({ "silent-ls",
	    "the bucket is silent, C does ls / A and B write, commit, chmod, "
	    "stat and read what lies here, at once",
	    ls, "settle_ms=600000 attr_ttl_ms=1", false },
	  { "silent-many",
	    "the bucket is silent, 8 hosts ask 100 times each / the same",
	    many, "settle_ms=600000 attr_ttl_ms=1", false },
	  { "silent-late",
	    "the bucket stays silent / who gets no thread in 20 s has JUKEBOX",
	    late, "settle_ms=600000 attr_ttl_ms=1", true })
