/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sentences of the rule that none of the numbered scenarios shows: limits,
 * reservations, abandoned writers by policy, what opens nothing.
 */
#include <config.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/scenario.h"

static void
busy_limit(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");
	uint64_t t = scene_now_ms();

	OK(put(&s->a, &f, 0, "new", UNSTABLE));
	IS(put(&s->b, &f, 0, "B", UNSTABLE), NFS3ERR_JUKEBOX);
	SOON(10000, put(&s->b, &f, 0, "B", UNSTABLE), NFS3ERR_ACCES);
	CHECK(scene_now_ms() - t >= 600);
	/* One line for all of that. */
	CHECK(scene_logged(s, "writer refused: file=/") == 1);
	CHECK(scene_logged(s, "client=b@127.0.0.12 holder=a@127.0.0.11 "
			   "state=ACTIVE age_ms=") == 1);
	OK(commit(&s->a, &f));
	SOON(10000, put(&s->b, &f, 0, "B", FILE_SYNC), NFS3_OK);
	WITHIN(10000, object_is(s, "f", "Bew"));
}

static void
reserved(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");

	scene_faults(s, "op=put key=f hold");
	OK(put(&s->a, &f, 0, "A's bytes", UNSTABLE));
	OK(commit(&s->a, &f));
	WITHIN(5000, put(&s->b, &f, 0, "B", UNSTABLE) == NFS3ERR_JUKEBOX &&
	       holds(s, "f", "b", "RESERVED"));
	IS(put(&s->c, &f, 0, "C", UNSTABLE), NFS3ERR_JUKEBOX);
	IS(put(&s->a, &f, 0, "A", UNSTABLE), NFS3ERR_JUKEBOX);
	CHECK(holds(s, "f", "b", "RESERVED"));
	CHECK(scene_logged(s, "client=c@127.0.0.13 reserved_for="
			   "b@127.0.0.12") == 1);
	scene_faults(s, "");
	WITHIN(5000, object_is(s, "f", "A's bytes"));
	/* The file is B's to come back for. */
	IS(put(&s->c, &f, 0, "C", UNSTABLE), NFS3ERR_JUKEBOX);
	IS(put(&s->a, &f, 0, "A", UNSTABLE), NFS3ERR_JUKEBOX);
	SOON(5000, put(&s->b, &f, 0, "B", UNSTABLE), NFS3_OK);
	CHECK(!holds(s, "f", "b", "RESERVED"));
	OK(commit(&s->b, &f));
	OK(ctl_status(s, "flush --all"));
	CHECK(object_is(s, "f", "B's bytes"));
}

static void
reservation_ends(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");
	uint64_t t;

	scene_faults(s, "op=put key=f hold");
	OK(put(&s->a, &f, 0, "A's bytes", UNSTABLE));
	OK(commit(&s->a, &f));
	do {
		t = scene_now_ms();
		IS(put(&s->b, &f, 0, "B", UNSTABLE), NFS3ERR_JUKEBOX);
	} while (!holds(s, "f", "b", "RESERVED"));
	scene_faults(s, "");
	SOON(10000, put(&s->c, &f, 0, "C", UNSTABLE), NFS3_OK);
	/* Not before: from B's last try. */
	CHECK(scene_now_ms() - t >= 2000);
	CHECK(!holds(s, "f", "b", "RESERVED"));
	OK(commit(&s->c, &f));
}

/* A wrote and went silent until its lease was over. */
static struct nc_fh
lost(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");

	OK(put(&s->a, &f, 0, "A's late bytes", UNSTABLE));
	WITHIN(10000, !state_is(s, "f", "ACTIVE"));
	return f;
}

static void
fenced(struct scene *s, const struct nc_fh *f)
{
	IS(put(&s->a, f, 0, "late", UNSTABLE), NFS3ERR_IO);
	IS(put(&s->a, f, 0, "late", UNSTABLE), NFS3ERR_IO);
	CHECK(reads(&s->b, f, "Bld"));
}

static void
discard(struct scene *s)
{
	struct nc_fh f = lost(s);

	WITHIN(5000, reads(&s->b, &f, "old"));
	SOON(10000, put(&s->b, &f, 0, "B", FILE_SYNC), NFS3_OK);
	fenced(s, &f);
	IS(commit(&s->a, &f), NFS3ERR_IO);
	look(&s->a, s, "f");
	OK(commit(&s->a, &f));
	SOON(10000, put(&s->a, &f, 0, "A", FILE_SYNC), NFS3_OK);
	OK(ctl_status(s, "flush --all"));
	CHECK(object_is(s, "f", "Ald"));
	CHECK(quarantined(s, "f") == 0);
}

static void
set_aside(struct scene *s)
{
	struct nc_fh f = lost(s);

	WITHIN(20000, quarantined(s, "f") == 1);
	/* The row is there a moment before the bytes are gone. */
	WITHIN(5000, reads(&s->b, &f, "old"));
	SOON(10000, put(&s->b, &f, 0, "B", FILE_SYNC), NFS3_OK);
	fenced(s, &f);
	look(&s->a, s, "f");
	SOON(10000, put(&s->a, &f, 0, "A", FILE_SYNC), NFS3_OK);
}

static void
published(struct scene *s)
{
	struct nc_fh f = lost(s);

	CHECK(reads(&s->b, &f, "A's late bytes"));
	SOON(10000, put(&s->b, &f, 0, "B", UNSTABLE), NFS3_OK);
	CHECK(object_is(s, "f", "A's late bytes"));
	/* What A wrote is in S3: that may be said. */
	OK(commit(&s->a, &f));
	IS(put(&s->a, &f, 0, "late", UNSTABLE), NFS3ERR_IO);
	look(&s->a, s, "f");
	BUSY(s, put(&s->a, &f, 0, "late", UNSTABLE));
	OK(commit(&s->b, &f));
	OK(ctl_status(s, "flush --all"));
	CHECK(object_is(s, "f", "B's late bytes"));
}

/* What it lost once is over when it has begun anew. */
static void
lapsed_anew(struct scene *s)
{
	struct nc_fh f = lost(s);

	CHECK(reads(&s->b, &f, "A's late bytes"));
	SOON(10000, put(&s->a, &f, 0, "again A", UNSTABLE), NFS3_OK);
	OK(commit(&s->a, &f));
	SOON(10000, put(&s->b, &f, 0, "B", UNSTABLE), NFS3_OK);
	/* Superseded after a flush: a stranger, who waits like others. */
	BUSY(s, put(&s->a, &f, 0, "A", UNSTABLE));
	OK(commit(&s->b, &f));
	SOON(10000, put(&s->a, &f, 0, "A", FILE_SYNC), NFS3_OK);
	OK(ctl_status(s, "flush --all"));
	CHECK(object_is(s, "f", "Again Ae bytes"));
}

static void
create_looks(struct scene *s)
{
	struct nc_fh f = lost(s), g;

	IS(put(&s->a, &f, 0, "late", UNSTABLE), NFS3ERR_IO);
	OK(nc_create(&s->a, &s->root, "f", UNCHECKED, NULL, NULL, &g, NULL));
	SOON(10000, put(&s->a, &f, 0, "A", FILE_SYNC), NFS3_OK);
	OK(ctl_status(s, "flush --all"));
	CHECK(object_is(s, "f", "Ald"));
}

static void
fenced_after_crash(struct scene *s)
{
	struct nc_fh f = lost(s);

	SOON(10000, put(&s->b, &f, 0, "B", FILE_SYNC), NFS3_OK);
	scene_crash(s);
	fenced(s, &f);
	look(&s->a, s, "f");
	SOON(10000, put(&s->a, &f, 0, "A", FILE_SYNC), NFS3_OK);
}

static void
live(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");

	OK(put(&s->a, &f, 3, " and more", UNSTABLE));
	CHECK(reads(&s->b, &f, "old and more"));
	CHECK(size_of(&s->b, &f) == 12);
	BUSY(s, put(&s->b, &f, 0, "B", UNSTABLE));
	OK(commit(&s->a, &f));
}

static void
opens_nothing(struct scene *s)
{
	struct nc_set mode = { .mode_set = true, .mode = 0600 };
	struct nc_set times = { .mtime_how = SET_TO_CLIENT_TIME,
				.mtime = { 1, 0 } };
	struct nc_fh f = make(s, "f", "old");
	uint32_t granted;

	OK(nc_write(&s->a, &f, 0, NULL, 0, UNSTABLE, NULL));
	OK(nc_setattr(&s->a, &f, &mode, NULL));
	OK(nc_setattr(&s->a, &f, &times, NULL));
	OK(nc_access(&s->a, &f, 0x3f, &granted));
	OK(commit(&s->a, &f));
	CHECK(reads(&s->a, &f, "old"));
	CHECK(state_is(s, "f", ""));
	OK(put(&s->b, &f, 0, "B", UNSTABLE));
	/* Nor do they disturb who writes: they wait. */
	BUSY(s, nc_setattr(&s->a, &f, &times, NULL));
	OK(commit(&s->a, &f));
	CHECK(holds(s, "f", "b", "ACTIVE"));
	OK(commit(&s->b, &f));
	OK(ctl_status(s, "flush --all"));
	CHECK(object_is(s, "f", "Bld"));
}

static void
same_size(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");

	OK(nc_truncate(&s->a, &f, 3));
	CHECK(!state_is(s, "f", "ACTIVE"));
	CHECK(reads(&s->b, &f, "old"));
	SOON(10000, put(&s->b, &f, 0, "B", UNSTABLE), NFS3_OK);
	BUSY(s, nc_truncate(&s->a, &f, 3));
	OK(commit(&s->b, &f));
	OK(ctl_status(s, "flush --all"));
	CHECK(object_is(s, "f", "Bld"));
}

static void
endless(struct scene *s)
{
	struct nc_fh f = create(&s->a, s, "log");
	uint64_t end = 0, until = scene_now_ms() + 30000;

	/* Never quiet for as long as settle_ms. */
	while (scene_versions(s, "log") < 3) {
		CHECK(scene_now_ms() < until);
		/* It may meet the end of an upload, and come again. */
		SOON(10000, put(&s->a, &f, end, "line\n", UNSTABLE), NFS3_OK);
		end += 5;
		OK(commit(&s->a, &f));
		SOON(10000, put(&s->a, &f, end, "line\n", UNSTABLE), NFS3_OK);
		end += 5;
		for (int i = 0; i < 10; i++)
			scene_pause();
	}
	OK(commit(&s->a, &f));
	OK(ctl_status(s, "flush --all"));
	CHECK(object_size(s, "log") == end);
}

static void
lost_answer(struct scene *s)
{
	size_t len = 20 << 20;
	unsigned char *data = malloc(len);
	struct nc_fh f = make(s, "f", "old"), g;

	CHECK(data != NULL);
	fill(data, len, 3);
	scene_faults(s, "op=put key=f lose count=1\n"
		     "op=complete key=g lose count=1");
	OK(put(&s->a, &f, 0, "new", FILE_SYNC));
	WITHIN(20000, state_is(s, "f", ""));
	CHECK(object_is(s, "f", "new"));
	g = create(&s->a, s, "g");
	OK(put_many(&s->a, &g, 0, data, len, UNSTABLE));
	OK(commit(&s->a, &g));
	WITHIN(30000, state_is(s, "g", ""));
	CHECK(object_has(s, "g", data, len));
	CHECK(quarantined(s, "f") == 0 && quarantined(s, "g") == 0);
	CHECK(objects(s) == 2);
	WITHIN(5000, uploads_left(s) == 0);
	SOON(10000, put(&s->b, &f, 0, "B", FILE_SYNC), NFS3_OK);
	WITHIN(10000, object_is(s, "f", "Bew"));
	free(data);
}

static void
orderly_end(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");

	OK(put(&s->a, &f, 0, "flushed", UNSTABLE));
	OK(commit(&s->a, &f));
	IS(scene_stop(s), 0);
	CHECK(object_is(s, "f", "flushed"));
	scene_start(s);
	CHECK(reads(&s->b, &f, "flushed"));
	CHECK(state_is(s, "f", ""));
}

static void
too_long(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");

	scene_faults(s, "op=put key=f error=EAGAIN");
	OK(put(&s->a, &f, 0, "A's bytes", UNSTABLE));
	OK(commit(&s->a, &f));
	SOON(20000, put(&s->b, &f, 0, "B", UNSTABLE), NFS3ERR_IO);
	CHECK(reads(&s->c, &f, "A's bytes"));
	scene_faults(s, "");
	SOON(30000, put(&s->b, &f, 0, "B", UNSTABLE), NFS3_OK);
	CHECK(object_is(s, "f", "A's bytes"));
	OK(commit(&s->b, &f));
}

/* ---- settings that no other scenario changes ---- */

/* A writes f; what does another client get that is A by one of the two? */
static void
who_is_it(struct scene *s, unsigned host, const char *machine, int want)
{
	struct nc_fh f = make(s, "f", "old");
	struct rpcc other;

	scene_client(s, &other, host, machine);
	OK(put(&s->a, &f, 0, "A", UNSTABLE));
	IS(put(&other, &f, 1, "B", UNSTABLE), want);
	BUSY(s, put(&s->b, &f, 0, "B", UNSTABLE));
	OK(commit(&s->a, &f));
	OK(ctl_status(s, "flush --all"));
	CHECK(object_is(s, "f", want == NFS3_OK ? "ABd" : "Ald"));
	rpcc_close(&other);
}

static void
both_count(struct scene *s)
{
	who_is_it(s, 31, "a", NFS3ERR_JUKEBOX);
}

static void
both_count_too(struct scene *s)
{
	who_is_it(s, 11, "other", NFS3ERR_JUKEBOX);
}

static void
by_name(struct scene *s)
{
	who_is_it(s, 31, "a", NFS3_OK);
}

static void
by_addr(struct scene *s)
{
	who_is_it(s, 11, "other", NFS3_OK);
}

static void
busy_fail(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");

	OK(put(&s->a, &f, 0, "new", UNSTABLE));
	IS(put(&s->b, &f, 0, "B", UNSTABLE), NFS3ERR_ACCES);
	IS(nc_truncate(&s->b, &f, 0), NFS3ERR_ACCES);
	/* Readers are served, COMMIT is local: nothing else is strict. */
	CHECK(reads(&s->b, &f, "old"));
	scene_faults(s, "op=put key=f error=EAGAIN");
	OK(commit(&s->a, &f));
	IS(put(&s->b, &f, 0, "B", UNSTABLE), NFS3ERR_JUKEBOX);
	scene_faults(s, "");
	SOON(20000, put(&s->b, &f, 0, "B", FILE_SYNC), NFS3_OK);
	OK(ctl_status(s, "flush --all"));
	CHECK(object_is(s, "f", "Bew"));
}

static int
glance(struct rpcc *c, const struct nc_fh *f)
{
	return nc_read(c, f, 0, NULL, 4, NULL, NULL);
}

static void
reads_refuse(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");

	OK(put(&s->a, &f, 0, "new", UNSTABLE));
	IS(glance(&s->b, &f), NFS3ERR_JUKEBOX);
	SOON(10000, glance(&s->b, &f), NFS3ERR_ACCES);
	/* Writers wait, as without strict. */
	IS(put(&s->c, &f, 0, "C", UNSTABLE), NFS3ERR_JUKEBOX);
	scene_faults(s, "op=put key=f hold");
	OK(commit(&s->a, &f));
	IS(glance(&s->b, &f), NFS3ERR_JUKEBOX);
	scene_faults(s, "");
	SOON(20000, glance(&s->b, &f), NFS3_OK);
	CHECK(reads(&s->b, &f, "new"));
}

SCENARIOS(
	{ "identity", "another address with A's name / another writer",
	  both_count, NULL, false },
	{ "identity-2", "another name at A's address / another writer",
	  both_count_too, NULL, false },
	{ "identity-name", "identity=name: another address with A's name / "
	  "the same writer", by_name, "identity=name", false },
	{ "identity-addr", "identity=addr: another name at A's address / the "
	  "same writer", by_addr, "identity=addr", false },
	{ "busy-fail", "busy=fail: ACCES at once beside an active writer, and "
	  "nothing else of strict", busy_fail, "busy=fail", false },
	{ "reads-refuse", "reads=refuse: a READ beside a writer waits, then "
	  "ACCES; of flushed bytes until S3 has them", reads_refuse,
	  "reads=refuse busy_limit_ms=600", false },
	{ "busy-limit", "B is refused for busy_limit / ACCES, and one line in "
	  "the log", busy_limit, "busy_limit_ms=600", false },
	{ "reserved", "B waits for A's upload / A and C are refused until B "
	  "has had its turn", reserved, "settle_ms=60000 "
	  "reserve_ms=60000", false },
	{ "reservation-ends", "B waited and does not come back / C gets in "
	  "after reserve_ms", reservation_ends, "settle_ms=60000 "
	  "reserve_ms=2000", false },
	{ "discard", "abandon=discard: A's lease ends / old version stays, A "
	  "is fenced until it looks, COMMIT says IO", discard,
	  "lease_ms=1000 abandon=discard", false },
	{ "quarantine", "abandon=quarantine: A's lease ends / its bytes are "
	  "set aside, A is fenced until it looks", set_aside,
	  "lease_ms=1000 abandon=quarantine", false },
	{ "published", "abandon=publish: A's lease ends, B takes over / A's "
	  "COMMIT OK, its late WRITE IO until it looks", published,
	  "lease_ms=1000 settle_ms=60000", false },
	{ "lapsed-anew", "A's lease ended, it wrote and flushed anew, B took "
	  "over / A waits like anybody, and is not fenced", lapsed_anew,
	  "lease_ms=1000 settle_ms=60000", false },
	{ "create-looks", "A is fenced, and opens the file by CREATE / it may "
	  "write again", create_looks, "lease_ms=1000 abandon=discard",
	  false },
	{ "fenced-crash", "a fenced writer stays fenced over a crash",
	  fenced_after_crash, "lease_ms=1000 abandon=discard", false },
	{ "live", "reads=live: B sees A's uncommitted bytes and size", live,
	  "reads=live", false },
	{ "opens-nothing", "zero WRITE, SETATTR of mode and times, ACCESS, "
	  "COMMIT make no writer", opens_nothing, NULL, false },
	{ "same-size", "SETATTR(size) to the size it has / opens, changes "
	  "nothing, FLUSHED at once", same_size, "settle_ms=60000", false },
	{ "endless", "a log that is written without end is uploaded every "
	  "max_dirty_age all the same", endless,
	  "settle_ms=60000 max_dirty_age_ms=1000", false },
	{ "lost-answer", "S3 carries a request out and its answer is lost / "
	  "one version, nothing in quarantine", lost_answer, NULL, false },
	{ "orderly-end", "SIGTERM with a pending upload / it is in S3 when "
	  "the daemon has ended", orderly_end, "settle_ms=60000", false },
	{ "too-long", "a transient error lasts longer than upload_retry / B "
	  "is told IO, A's bytes are kept and arrive", too_long,
	  "settle_ms=60000 upload_retry_ms=1000", false })
