/* SPDX-License-Identifier: Apache-2.0 */
/* Scenarios 53 to 59: identities, leases, reservations. */
#include <config.h>
#include <signal.h>
#include <string.h>
#include "tests/scenario.h"

static void
s53(struct scene *s)
{
	struct nc_set all = { .mode_set = true, .mode = 0666 };
	struct nc_fh f = make(s, "f", "old");

	OK(nc_setattr(&s->a, &f, &all, NULL));
	rpcc_identity(&s->a, "a", 1000, 1000, 0, NULL);
	OK(put(&s->a, &f, 0, "new", UNSTABLE));
	CHECK(state_is(s, "f", "ACTIVE"));
	rpcc_identity(&s->a, "a", 0, 0, 0, NULL);
	OK(commit(&s->a, &f));
	CHECK(!state_is(s, "f", "ACTIVE"));
	SOON(10000, put(&s->b, &f, 0, "B", FILE_SYNC), NFS3_OK);
	WITHIN(10000, object_is(s, "f", "Bew"));
}

static void
s54(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");

	OK(put(&s->a, &f, 0, "ne", UNSTABLE));
	rpcc_close(&s->a);
	scene_client(s, &s->a, 11, "a");
	OK(put(&s->a, &f, 2, "w", UNSTABLE));
	CHECK(status_number(s, "handles_active") == 1);
	BUSY(s, put(&s->b, &f, 0, "B", UNSTABLE));
	OK(commit(&s->a, &f));
	WITHIN(10000, object_is(s, "f", "new"));
}

static void
s55(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");
	struct rpcc other;

	scene_client(s, &other, 11, "other");
	OK(put(&s->a, &f, 0, "new", UNSTABLE));
	BUSY(s, put(&other, &f, 0, "bad", UNSTABLE));
	OK(commit(&s->a, &f));
	SOON(10000, put(&other, &f, 0, "O", FILE_SYNC), NFS3_OK);
	WITHIN(10000, object_is(s, "f", "Oew"));
	rpcc_close(&other);
}

static void
s56(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");
	struct rpcc moved;

	OK(put(&s->a, &f, 0, "ne", UNSTABLE));
	scene_client(s, &moved, 21, "a");
	BUSY(s, put(&moved, &f, 2, "w", UNSTABLE));
	rpcc_close(&s->a);
	s->open[0] = false;
	SOON(5000, put(&moved, &f, 2, "w", UNSTABLE), NFS3_OK);
	CHECK(status_number(s, "handles_active") == 1);
	BUSY(s, put(&s->b, &f, 0, "B", UNSTABLE));
	OK(commit(&moved, &f));
	WITHIN(10000, object_is(s, "f", "new"));
	rpcc_close(&moved);
}

/* Names that are everybody's name do not rebind. */
static void
s56_localhost(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");
	struct rpcc one, two;

	scene_client(s, &one, 21, "localhost");
	scene_client(s, &two, 22, "localhost");
	OK(put(&one, &f, 0, "new", UNSTABLE));
	rpcc_close(&one);
	DURING(500, put(&two, &f, 0, "bad", UNSTABLE) == NFS3ERR_JUKEBOX);
	rpcc_close(&two);
}

static void
s57(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");

	OK(put(&s->a, &f, 0, "before", UNSTABLE));
	rpcc_close(&s->a);
	scene_client(s, &s->a, 11, "a");
	OK(nc_mnt(&s->a, s->export, NULL));
	f = look(&s->a, s, "f");
	OK(put(&s->a, &f, 0, "after!", UNSTABLE));
	OK(commit(&s->a, &f));
	WITHIN(10000, object_is(s, "f", "after!"));
	SOON(10000, put(&s->b, &f, 0, "B", FILE_SYNC), NFS3_OK);
}

static void
s58(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");

	OK(put(&s->a, &f, 0, "A's pages", UNSTABLE));
	WITHIN(20000, !state_is(s, "f", "ACTIVE"));
	SOON(10000, put(&s->b, &f, 0, "B's turn!", UNSTABLE), NFS3_OK);
	/* What A had sent was published, not lost. */
	CHECK(object_is(s, "f", "A's pages"));
	IS(put(&s->a, &f, 0, "late", UNSTABLE), NFS3ERR_IO);
	IS(put(&s->a, &f, 0, "late", FILE_SYNC), NFS3ERR_IO);
	/* A kernel that asks for attributes amid its late pages has opened
	 * nothing; who has been quiet and asks may have. */
	size_of(&s->a, &f);
	IS(put(&s->a, &f, 0, "late", UNSTABLE), NFS3ERR_IO);
	f = look(&s->a, s, "f");
	BUSY(s, put(&s->a, &f, 0, "late", UNSTABLE));
	CHECK(reads(&s->b, &f, "B's turn!"));
	OK(commit(&s->b, &f));
	WITHIN(10000, object_is(s, "f", "B's turn!"));
	SOON(10000, put(&s->a, &f, 0, "A", FILE_SYNC), NFS3_OK);
	WITHIN(10000, object_is(s, "f", "A's turn!"));
}

/* At work elsewhere a while, which keeps a lease alive; not for longer than
 * it was. */
static void
s58_elsewhere(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old"), g = make(s, "g", "old");
	uint64_t last;

	OK(put(&s->a, &f, 0, "new", UNSTABLE));
	DURING(1500, put(&s->a, &g, 0, "new", FILE_SYNC) == NFS3_OK);
	last = scene_now_ms();
	/* Nobody asks: the time alone has to do it. */
	DURING(1900, state_is(s, "f", "ACTIVE"));
	WITHIN(20000, !state_is(s, "f", "ACTIVE"));
	CHECK(scene_now_ms() - last < PATIENCE * 7000);
	SOON(10000, put(&s->b, &f, 0, "B", UNSTABLE), NFS3_OK);
	CHECK(object_is(s, "f", "new"));
	OK(commit(&s->b, &f));
}

/* The daemon stands still for longer than a lease (SIGSTOP, a machine that is
 * stunned): nobody was silent, and nobody waited too long. */
static void
s58_stopped(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old"), g = make(s, "g", "old");

	OK(put(&s->a, &f, 0, "A's pages", UNSTABLE));
	OK(put(&s->a, &g, 0, "A's", UNSTABLE));
	BUSY(s, put(&s->b, &g, 0, "B", UNSTABLE));
	kill(s->pid, SIGSTOP);
	DURING(4500, true);
	kill(s->pid, SIGCONT);
	BUSY(s, put(&s->b, &g, 0, "B", UNSTABLE));
	OK(put(&s->a, &f, 0, "A's words", UNSTABLE));
	CHECK(state_is(s, "f", "ACTIVE"));
	CHECK(scene_logged(s, "writer went silent") == 0);
	OK(commit(&s->a, &f));
	OK(commit(&s->a, &g));
	WITHIN(10000, object_is(s, "f", "A's words"));
}

/* The store keeps so many of A's calls that its next ones are not read, for
 * longer than any lease: it is we who are silent. */
static void
s58_unread(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old"), g = make(s, "g", "old");
	uint32_t xid = 7000;

	OK(put(&s->a, &f, 0, "A's pages", UNSTABLE));
	scene_faults(s, "op=get hold");
	for (int i = 0; i < 3; i++)
		CHECK(nc_read_send(&s->a, xid++, &g, 0, 3) == 0);
	CHECK(nc_write_send(&s->a, xid, &f, 0, "A's words", 9,
			    UNSTABLE) == 0);
	DURING(3500, scene_logged(s, "writer went silent") == 0);
	scene_faults(s, "");
	OK(nc_write_recv(&s->a, xid, 60000, NULL));
	CHECK(state_is(s, "f", "ACTIVE"));
	OK(commit(&s->a, &f));
	WITHIN(10000, object_is(s, "f", "A's words"));
}

static void
s59(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");
	uint64_t last;

	OK(put(&s->a, &f, 0, "A's", FILE_SYNC));
	scene_faults(s, "op=put key=f hold");
	IS(put(&s->b, &f, 0, "B", UNSTABLE), NFS3ERR_JUKEBOX);
	WITHIN(5000, scene_calls(s, "put", "f", "held") == 1);
	IS(put(&s->b, &f, 0, "B", UNSTABLE), NFS3ERR_JUKEBOX);
	last = scene_now_ms();
	CHECK(holds(s, "f", "b", "RESERVED"));
	scene_faults(s, "");
	WITHIN(10000, scene_versions(s, "f") == 1);
	BUSY(s, put(&s->c, &f, 0, "C", UNSTABLE));
	SOON(10000, put(&s->c, &f, 0, "C", UNSTABLE), NFS3_OK);
	CHECK(scene_now_ms() - last >= 1400);
	CHECK(scene_now_ms() - last < PATIENCE * 3500);
	CHECK(!holds(s, "f", "b", "RESERVED"));
	OK(commit(&s->c, &f));
	WITHIN(10000, object_is(s, "f", "C's"));
}

/* Not this machine, for which nothing is squashed: README's three lines. */
static void
top_is_everybodys(struct scene *s)
{
	struct nc_fh r, u, d, top;
	fattr3 attr;

	OK(nc_mnt(&s->a, s->export, &top));
	rpcc_identity(&s->a, "a", 0, 0, 0, NULL);
	rpcc_identity(&s->b, "b", 1000, 1000, 0, NULL);
	OK(nc_create(&s->a, &top, "root's", UNCHECKED, NULL, NULL, &r,
		     &attr));
	CHECK(attr.uid == 65534);
	OK(put(&s->a, &r, 0, "r", FILE_SYNC));
	OK(nc_create(&s->b, &top, "user's", UNCHECKED, NULL, NULL, &u,
		     &attr));
	CHECK(attr.uid == 1000);
	OK(put(&s->b, &u, 0, "u", FILE_SYNC));
	OK(nc_mkdir(&s->b, &top, "dir", NULL, &d, NULL));
	OK(nc_create(&s->b, &d, "f", UNCHECKED, NULL, NULL, &u, NULL));
	IS(nc_remove(&s->a, &top, "user's"), NFS3ERR_PERM);
	IS(nc_remove(&s->b, &top, "root's"), NFS3ERR_PERM);
	SOON(10000, nc_remove(&s->b, &top, "user's"), NFS3_OK);
	SOON(10000, nc_remove(&s->a, &top, "root's"), NFS3_OK);
}

SCENARIOS(
	{ "s53", "A writes as uid 1000, COMMIT arrives as uid 0 / same handle "
	  "FLUSHED", s53, NULL, false },
	{ "s54", "A reconnects from another port / same handle", s54, NULL,
	  false },
	{ "s55", "two hosts behind one NAT address / two identities, second "
	  "busy", s55, NULL, false },
	{ "s56", "A's address changes, old connection gone / handle rebinds; "
	  "old connection alive: busy", s56, NULL, false },
	{ "s56-localhost", "the name is everybody's / never rebinds",
	  s56_localhost, NULL, false },
	{ "s57", "A reboots with uncommitted data, remounts / its own new "
	  "WRITE is admitted at once", s57, NULL, false },
	{ "s58", "A partitioned past the lease, B superseded, A returns with "
	  "pages / A NFS3ERR_IO until it looks the file up; B's file clean",
	  s58, "lease_ms=3000", false },
	{ "s58-elsewhere", "A was at work elsewhere, then partitioned / its "
	  "lease ends that long after", s58_elsewhere,
	  "lease_ms=3000 settle_ms=60000", false },
	{ "s58-stopped", "the daemon does not run for longer than a lease / A is "
	  "no silent writer, B was not refused for too long", s58_stopped,
	  "lease_ms=3500 busy_limit_ms=3500 hold_ms=100", false },
	{ "s58-name", "identity=name: A was at work elsewhere / its lease is "
	  "the longer one, too", s58_elsewhere,
	  "lease_ms=3000 settle_ms=60000 identity=name", false },
	{ "s58-addr", "identity=addr: A was at work elsewhere / its lease is "
	  "the longer one, too", s58_elsewhere,
	  "lease_ms=3000 settle_ms=60000 identity=addr", false },
	{ "s58-unread", "A's calls lie unread for longer than a lease / A is no "
	  "silent writer", s58_unread,
	  "lease_ms=1000 server.in_flight_per_connection=3", false },
	{ "top-is-everybodys", "a new bucket, exported as README says / root and "
	  "a user of another host write there", top_is_everybodys,
	  "clients=127.0.0.0/8(rw,insecure)", false },
	{ "s59", "B reserved then died / C WRITEs / busy at most the "
	  "reservation time, then OK", s59, "reserve_ms=1500", false })
