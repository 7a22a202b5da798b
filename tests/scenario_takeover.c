/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of who was superseded, and of a pending upload that fails:
 * scenarios 16 to 26.
 */
#include <config.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/scenario.h"

/* A wrote and flushed, B took the file over and is at it. */
static struct nc_fh
taken_over(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");

	OK(put(&s->a, &f, 0, "A's bytes", UNSTABLE));
	SOON(10000, commit(&s->a, &f), NFS3_OK);
	SOON(10000, put(&s->b, &f, 0, "B", UNSTABLE), NFS3_OK);
	CHECK(holds(s, "f", "b", "ACTIVE"));
	return f;
}

static void
s16(struct scene *s)
{
	struct nc_fh f = taken_over(s);

	BUSY(s, put(&s->a, &f, 0, "late", UNSTABLE));
	CHECK(reads(&s->b, &f, "B's bytes"));
	OK(commit(&s->b, &f));
	WITHIN(10000, object_is(s, "f", "B's bytes"));
	/* Once B has flushed, A is a newcomer like any other. */
	SOON(10000, put(&s->a, &f, 0, "A", FILE_SYNC), NFS3_OK);
	WITHIN(10000, object_is(s, "f", "A's bytes"));
}

static void
s16_strict(struct scene *s)
{
	struct nc_fh f = taken_over(s);

	IS(put(&s->a, &f, 0, "late", UNSTABLE), NFS3ERR_IO);
	IS(put(&s->a, &f, 0, "late", UNSTABLE), NFS3ERR_IO);
	f = look(&s->a, s, "f");
	IS(put(&s->a, &f, 0, "late", UNSTABLE), NFS3ERR_ACCES);
	CHECK(reads(&s->b, &f, "B's bytes"));
	SOON(10000, commit(&s->b, &f), NFS3_OK);
	CHECK(object_is(s, "f", "B's bytes"));
}

static void
s17(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");
	uint8_t first[8], second[8];

	OK(put(&s->a, &f, 0, "A's bytes", UNSTABLE));
	OK(nc_commit(&s->a, &f, 0, 0, first));
	SOON(10000, put(&s->b, &f, 0, "B", UNSTABLE), NFS3_OK);
	OK(nc_commit(&s->a, &f, 0, 0, second));
	CHECK(memcmp(first, second, 8) == 0);
	CHECK(holds(s, "f", "b", "ACTIVE"));
	DURING(300, scene_versions(s, "f") == 1);
	OK(commit(&s->b, &f));
}

static int
read_one(struct rpcc *c, const struct nc_fh *f)
{
	char buf[16];
	uint32_t got;

	return nc_read(c, f, 0, buf, sizeof(buf), &got, NULL);
}

static void
s18(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");

	OK(read_one(&s->a, &f));
	SOON(15000, put(&s->b, &f, 0, "B", UNSTABLE), NFS3ERR_ACCES);
	/* The reader's lease is 5 s. */
	WITHIN(15000, put(&s->b, &f, 0, "B", UNSTABLE) == NFS3_OK);
	SOON(15000, read_one(&s->a, &f), NFS3ERR_ACCES);
	SOON(10000, commit(&s->b, &f), NFS3_OK);
	SOON(10000, read_one(&s->a, &f), NFS3_OK);
}

#define LINE 64

static void
s19(struct scene *s)
{
	unsigned rounds = getenv("SCENARIO_QUICK") != NULL ? 100 : 1000;
	struct rpcc *clients[] = { &s->a, &s->b, &s->c };
	struct nc_fh f = make(s, "f", "old");
	unsigned won[3] = {0};
	int writer = 0;

	SOON(5000, put(&s->a, &f, 0, "A", FILE_SYNC), NFS3_OK);
	for (unsigned round = 0; round < rounds; round++) {
		char text[3][LINE + 1];
		uint64_t until = scene_now_ms() + PATIENCE * 20000;
		int r[3], winner = -1;

		for (int i = 0; i < 3; i++) {
			memset(text[i], 'a' + i, LINE);
			snprintf(text[i], LINE, "%c%u", 'a' + i, round);
			text[i][strlen(text[i])] = (char)('a' + i);
			text[i][LINE] = '\0';
		}
		while (winner < 0) {
			uint32_t xid[3];

			CHECK(scene_now_ms() < until);
			for (int i = 0; i < 3; i++) {
				int k = (int)((round + (unsigned)i) % 3);

				xid[k] = rpcc_xid(clients[k]);
				OK(nc_write_send(clients[k], xid[k], &f, 0,
						 text[k], LINE, UNSTABLE));
			}
			for (int i = 0; i < 3; i++) {
				r[i] = nc_write_recv(clients[i], xid[i],
						     10000, NULL);
				CHECK(r[i] == NFS3_OK ||
				      r[i] == NFS3ERR_JUKEBOX);
				if (r[i] != NFS3_OK)
					continue;
				CHECK(winner < 0);
				winner = i;
			}
		}
		won[winner]++;
		CHECK(status_number(s, "handles_active") == 1);
		OK(commit(clients[winner], &f));
		CHECK(reads(clients[(winner + 1) % 3], &f, text[winner]));
		writer = winner;
	}
	printf("  won: %u %u %u\n", won[0], won[1], won[2]);
	CHECK(writer >= 0);
	CHECK(status_number(s, "invariant_failures") == 0);
}

/* A flushed, and S3 will not take it; B has just been told. */
static struct nc_fh
rejected(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");

	scene_faults(s, "op=put key=f error=EACCES");
	OK(put(&s->a, &f, 0, "A's bytes", UNSTABLE));
	OK(commit(&s->a, &f));
	SOON(10000, put(&s->b, &f, 0, "B", UNSTABLE), NFS3ERR_IO);
	return f;
}

static void
s20(struct scene *s)
{
	struct nc_fh f = rejected(s);

	CHECK(!holds(s, "f", "b", "RESERVED"));
	CHECK(!holds(s, "f", "b", "ACTIVE"));
	CHECK(object_is(s, "f", "old"));
	/* Nobody is in the way of a third one. */
	OK(put(&s->c, &f, 0, "C", UNSTABLE));
	scene_faults(s, "");
	OK(commit(&s->c, &f));
	OK(ctl_status(s, "flush --all"));
	CHECK(object_is(s, "f", "Cld"));
}

static void
s21(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");

	scene_faults(s, "op=put key=f error=EACCES");
	OK(put(&s->a, &f, 0, "A's bytes", UNSTABLE));
	OK(commit(&s->a, &f));
	SOON(10000, nc_truncate(&s->b, &f, 0), NFS3ERR_IO);
	CHECK(!holds(s, "f", "b", "RESERVED"));
	CHECK(object_is(s, "f", "old"));
	CHECK(reads(&s->c, &f, "old"));
	scene_faults(s, "");
	SOON(10000, nc_truncate(&s->b, &f, 0), NFS3_OK);
	OK(ctl_status(s, "flush --all"));
	CHECK(object_is(s, "f", ""));
}

static void
s22(struct scene *s)
{
	struct nc_fh f = rejected(s), g;

	scene_faults(s, "");
	CHECK(reads(&s->b, &f, "old") && size_of(&s->c, &f) == 3);
	OK(put(&s->b, &f, 0, "B", UNSTABLE));
	OK(commit(&s->b, &f));
	OK(ctl_status(s, "flush --all"));
	CHECK(object_is(s, "f", "Bld"));
	/* A file that never was in S3. */
	scene_faults(s, "op=put key=g error=EACCES");
	g = create(&s->a, s, "g");
	OK(put(&s->a, &g, 0, "A's new file", FILE_SYNC));
	SOON(10000, put(&s->b, &g, 0, "B", UNSTABLE), NFS3ERR_IO);
	scene_faults(s, "");
	IS(nc_lookup(&s->b, &s->root, "g", NULL, NULL), NFS3ERR_NOENT);
	g = create(&s->b, s, "g");
	OK(put(&s->b, &g, 0, "B's", FILE_SYNC));
	OK(ctl_status(s, "flush --all"));
	CHECK(object_is(s, "g", "B's"));
}

static void
s23(struct scene *s)
{
	struct nc_fh f = rejected(s), g;

	IS(commit(&s->a, &f), NFS3ERR_IO);
	OK(commit(&s->a, &f));
	/* The same with WRITE. */
	g = make(s, "g", "old");
	scene_faults(s, "op=put key=g error=EACCES");
	OK(put(&s->a, &g, 0, "A's bytes", FILE_SYNC));
	SOON(10000, put(&s->b, &g, 0, "B", UNSTABLE), NFS3ERR_IO);
	IS(put(&s->a, &g, 0, "a", UNSTABLE), NFS3ERR_IO);
	scene_faults(s, "");
	OK(put(&s->a, &g, 0, "again A", UNSTABLE));
	OK(commit(&s->a, &g));
	OK(ctl_status(s, "flush --all"));
	CHECK(object_is(s, "g", "again A"));
}

static void
s24(struct scene *s)
{
	struct nc_fh f = rejected(s);
	char path[320], got[64] = "";
	json_t *list, *row;
	int id;
	FILE *file;

	CHECK(quarantined(s, "f") == 1);
	list = ctl(s, "quarantine list");
	row = json_array_get(list, 0);
	id = (int)json_integer_value(json_object_get(row, "id"));
	CHECK(json_integer_value(json_object_get(row, "bytes")) == 9);
	CHECK(strstr(json_string_value(json_object_get(row, "error")),
		     "AccessDenied") != NULL);
	json_decref(list);
	snprintf(path, sizeof(path), "%s/saved", s->dir);
	OK(ctl_status(s, "quarantine save %d %s", id, path));
	file = fopen(path, "r");
	CHECK(file != NULL && fgets(got, sizeof(got), file) != NULL);
	fclose(file);
	CHECK(strcmp(got, "A's bytes") == 0);
	CHECK(reads(&s->c, &f, "old"));
	scene_faults(s, "");
	OK(ctl_status(s, "quarantine retry %d", id));
	WITHIN(10000, object_is(s, "f", "A's bytes"));
	WITHIN(10000, quarantined(s, "f") == 0);
	CHECK(reads(&s->c, &f, "A's bytes"));
}

static void
s25(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");

	scene_faults(s, "op=put key=f error=EAGAIN");
	OK(put(&s->a, &f, 0, "A's bytes", UNSTABLE));
	OK(commit(&s->a, &f));
	BUSY(s, put(&s->b, &f, 0, "B", UNSTABLE));
	WITHIN(5000, scene_calls(s, "put", "f", "end") >= 1);
	BUSY(s, put(&s->b, &f, 0, "B", UNSTABLE));
	CHECK(quarantined(s, "f") == 0);
	CHECK(reads(&s->c, &f, "A's bytes"));
	scene_faults(s, "");
	SOON(20000, put(&s->b, &f, 0, "B", UNSTABLE), NFS3_OK);
	CHECK(object_is(s, "f", "A's bytes"));
	OK(commit(&s->b, &f));
	OK(ctl_status(s, "flush --all"));
	CHECK(object_is(s, "f", "B's bytes"));
}

static void
s26(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");
	uint32_t xb = rpcc_xid(&s->b), xc = rpcc_xid(&s->c);

	scene_faults(s, "op=put key=f hold error=EACCES");
	OK(put(&s->a, &f, 0, "A's bytes", UNSTABLE));
	OK(commit(&s->a, &f));
	OK(nc_write_send(&s->b, xb, &f, 0, "B", 1, UNSTABLE));
	WITHIN(5000, holds(s, "f", "b", "RESERVED"));
	OK(nc_write_send(&s->c, xc, &f, 0, "C", 1, UNSTABLE));
	WITHIN(5000, status_number(s, "held_requests") == 2);
	WITHIN(5000, scene_calls(s, "put", "f", "held") == 1);
	scene_faults(s, "");
	IS(nc_write_recv(&s->b, xb, 60000, NULL), NFS3ERR_IO);
	IS(nc_write_recv(&s->c, xc, 60000, NULL), NFS3ERR_IO);
	CHECK(scene_calls(s, "put", "f", "begin") == 1);
	CHECK(state_is(s, "f", "FAILED"));	/* A's, until it is told */
	OK(put(&s->c, &f, 0, "C", UNSTABLE));
	OK(commit(&s->c, &f));
}

SCENARIOS(
	{ "s16", "A FLUSHED, B superseded and ACTIVE / A WRITEs / refused, "
	  "B's bytes untouched", s16, NULL, false },
	{ "s16-strict", "the same in strict mode / NFS3ERR_IO until A has "
	  "looked again, then ACCES", s16_strict, "strict=1", false },
	{ "s17", "as 16 / A COMMITs / NFS3_OK, same verifier, nothing "
	  "uploaded", s17, NULL, false },
	{ "s18", "strict: reader A idle past its lease, B ACTIVE / A READs / "
	  "refused", s18, "strict=1 busy_limit_ms=1000", true },
	{ "s19", "A FLUSHED / A's WRITE, B's WRITE, C's WRITE at once, 1000 "
	  "rounds / exactly one ACTIVE each time, losers busy, never a mixed "
	  "file", s19, "hold_ms=0 supersede_quiet_ms=0 settle_ms=1 "
	  "busy_limit_ms=3600000 server.log_level=warning", false },
	{ "s20", "A FLUSHED, S3 rejects its upload permanently / B WRITEs / "
	  "NFS3ERR_IO, no reservation left", s20, "settle_ms=60000", false },
	{ "s21", "as 20 / B SETATTR(size=0) / NFS3ERR_IO too: truncation does "
	  "not matter", s21, "settle_ms=60000", false },
	{ "s22", "after 20 / B tries again / OK on the last good version "
	  "(never existed: CREATE anew)", s22, "settle_ms=60000", false },
	{ "s23", "after 20 / A COMMITs or WRITEs / NFS3ERR_IO once: the error "
	  "reaches the writer", s23, "settle_ms=60000", false },
	{ "s24", "after 20 / operator lists the quarantine / A's bytes are "
	  "there, can be retried", s24, "settle_ms=60000", false },
	{ "s25", "upload fails with a transient error / B WRITEs / JUKEBOX, "
	  "later OK, no data lost", s25, "settle_ms=60000", false },
	{ "s26", "B and C both wait on one failing upload / both NFS3ERR_IO, "
	  "S3 asked once", s26, "settle_ms=60000 hold_ms=8000", false })
