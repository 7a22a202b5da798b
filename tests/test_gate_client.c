/* SPDX-License-Identifier: Apache-2.0 */
/* Who a client is, and what a file keeps for whom. */
#include <config.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/gate_fixture.h"
#include "tests/unit.h"

/* Flushed, and S3 does not take it for now. */
static struct node *
flushed(struct fixture *b, struct client *c, struct gate_fh *fh)
{
	struct node *n;

	fake_s3_fail(b->s3, S3_OP_PUT, 1, 1000, -EAGAIN);
	CU_ASSERT_EQUAL(do_file(b, c, "f", "flushed", fh), 0);
	n = node_find(b->gate, fh->ino);
	CU_ASSERT_PTR_NOT_NULL_FATAL(n);
	return n;
}

static bool
reserved_for(struct node *n, const char *name)
{
	bool is;

	mutex_lock(&n->mutex);
	is = n->reserved_client != NULL &&
	     strncmp(n->reserved_client, name, strlen(name)) == 0;
	mutex_unlock(&n->mutex);
	return is;
}

static void
a_reservation_that_is_over_is_not_prolonged_by_others(void)
{
	struct fixture b = FIXTURE;
	struct client a, dead, c;
	struct gate_fh fh;
	struct node *n;

	client_init(&a, "a");
	client_init(&dead, "dead");
	client_init(&c, "c");
	b.export.hold_ms = 1;
	b.export.reserve_ms = 60000;	/* no timer comes */
	fixture_open(&b);
	n = flushed(&b, &a, &fh);
	CU_ASSERT_EQUAL(do_write(&b, &dead, &fh, 0, "D", 1, GATE_UNSTABLE),
			-EAGAIN);
	CU_ASSERT(reserved_for(n, "dead@"));
	CU_ASSERT_EQUAL(do_write(&b, &c, &fh, 0, "C", 1, GATE_UNSTABLE),
			-EAGAIN);
	CU_ASSERT(reserved_for(n, "dead@"));
	mutex_lock(&n->mutex);
	n->reserved_until_ms = run_ms(b.gate);
	mutex_unlock(&n->mutex);
	CU_ASSERT_EQUAL(do_write(&b, &c, &fh, 0, "C", 1, GATE_UNSTABLE),
			-EAGAIN);
	CU_ASSERT(reserved_for(n, "c@"));
	node_put(&n);
	fixture_close(&b);
}

static void
a_client_is_connected_as_each_kind_of_export_knows_it(void)
{
	static const struct {
		enum gate_identity kind;
		const char *who;
	} known[] = {
		{ GATE_ID_NAME_ADDR, "n@10.0.0.1" }, { GATE_ID_NAME, "n" },
		{ GATE_ID_ADDR, "10.0.0.1" },
	};
	struct gate_client who = { .name = "n" };
	struct fixture b = FIXTURE;

	CU_ASSERT_EQUAL(inet_pton(AF_INET6, "::ffff:10.0.0.1", &who.addr), 1);
	fixture_open(&b);
	gate_client_connected(b.gate, &who, 1);
	gate_client_connected(b.gate, &who, 1);
	gate_client_connected(b.gate, &who, -1);
	for (size_t i = 0; i < 3; i++) {
		b.x->c.identity = known[i].kind;
		CU_ASSERT(gate_client_is(known[i].kind, &who, known[i].who));
		CU_ASSERT(client_connected(b.x, known[i].who));
		CU_ASSERT(!client_connected(b.x, "10.0.0.2"));
		CU_ASSERT(!client_connected(b.x, known[(i + 1) % 3].who));
	}
	gate_client_connected(b.gate, &who, -1);
	for (size_t i = 0; i < 3; i++) {
		b.x->c.identity = known[i].kind;
		CU_ASSERT(!client_connected(b.x, known[i].who));
	}
	fixture_close(&b);
}

TEST_MAIN("gate_client",
	  T(a_reservation_that_is_over_is_not_prolonged_by_others),
	  T(a_client_is_connected_as_each_kind_of_export_knows_it))
