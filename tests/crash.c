/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon is killed at every step of what it does for a file, and started
 * again on what it left (rule.md 9, scenarios 69 to 73).
 *
 *	crash S3NFSD S3NFSCTL BUCKET-URL [ENDPOINT [CASE]]
 *	crash S3NFSD S3NFSCTL local - [CASE]
 *
 * CRASH_SET=export.metadata=none, say, is one more setting of the daemon.
 *
 * A story (crash_stories.c) prepares files, acts, and says what must be true
 * at the end.  The daemon dies by its own SIGKILL at the fail point of the
 * case.  After the restart a client sends again what was not answered, as real
 * ones do, with the same xids.  In each case:
 *	no byte is lost whose COMMIT or stable WRITE was answered;
 *	the object has the right bytes, and was made once: what S3 had at the
 *	crash is not made a second time;
 *	no other key and no multipart upload is left in the bucket;
 *	old file handles are good; the verifier has changed, while a clean
 *	end has kept it.
 */

#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/crash.h"

static bool
answered(int r)
{
	return r == 0;
}

static int
check_bucket(struct world *w)
{
	unsigned keys, uploads;

	if (w->name != NULL &&
	    harness_object_is(&w->r, w->name, w->want, w->size) < 0)
		return harness_bad(&w->r, "the object %s has other bytes",
				   w->name);
	/* A deletion may still be on its way. */
	for (unsigned i = 0; i < 100; i++) {
		if (harness_count_keys(&w->r, &keys, &uploads) < 0)
			return -1;
		if (keys == w->keys && uploads == 0)
			return 0;
		usleep(50000);
	}
	return harness_bad(&w->r, "%u keys, not %u; %u multipart uploads", keys,
			   w->keys, uploads);
}

static int
check_handles(struct world *w, const uint8_t verf[8])
{
	uint8_t now[8];
	fattr3 attr;
	char out[4096];

	if (nc_getattr(&w->r.a, &w->anchor, &attr) != 0)
		return harness_bad(&w->r, "an old file handle is refused");
	if (nc_commit(&w->r.a, &w->anchor, 0, 0, now) != 0)
		return harness_bad(&w->r, "COMMIT fails");
	if (memcmp(now, verf, 8) == 0)
		return harness_bad(&w->r, "the verifier survived the crash");
	if (harness_ctl(&w->r, "status", out, sizeof(out)) < 0)
		return -1;
	if (strstr(out, "\"invariant_failures\":0") == NULL &&
	    strstr(out, "\"invariant_failures\": 0") == NULL)
		return harness_bad(&w->r, "broken invariants: %s", out);
	return 0;
}

static int
set_up(struct world *w, uint8_t verf[8])
{
	int r = harness_start(&w->r, NULL);

	if (r == 0)
		r = crash_create(w, "anchor", &w->anchor);
	if (r == 0)
		r = nc_write(&w->r.a, &w->anchor, 0, "x", 1, FILE_SYNC, NULL);
	if (r == 0)
		r = w->story->prepare(w);
	if (r == 0)
		r = harness_settled(&w->r, 30000);
	if (r == 0)
		r = nc_commit(&w->r.a, &w->anchor, 0, 0, verf);
	if (r != 0)
		return harness_bad(&w->r, "cannot prepare: %d", r);
	return harness_stop(&w->r);
}

static int
crash(struct world *w, const char *point, const uint8_t before[8],
      uint8_t verf[8])
{
	if (harness_start(&w->r, point) < 0)
		return -1;
	if (nc_commit(&w->r.a, &w->anchor, 0, 0, verf) != 0 ||
	    memcmp(before, verf, 8) != 0)
		return harness_bad(&w->r, "a clean end changed the verifier");
	w->r.a.next_xid = CRASH_XID;
	w->acked = answered(w->story->act(w));
	return harness_crashed(&w->r, 30000);
}

static int
recover(struct world *w, bool stored, const uint8_t verf[8])
{
	struct seen then = { 0 }, now = { 0 };
	int r;

	if (w->name != NULL && harness_look(&w->r, w->name, &then) < 0)
		return -1;
	if (harness_start(&w->r, NULL) < 0 || check_handles(w, verf) < 0)
		return -1;
	if (!w->acked || w->story->again) {
		w->r.a.next_xid = CRASH_XID;
		r = w->story->act(w);
		if (r != 0)
			return harness_bad(&w->r, "sent again (first %s): %d",
					   w->acked ? "answered" : "lost", r);
	}
	if (w->name != NULL && !w->refused &&
	    (r = harness_file_is(&w->r.a, &w->f, w->want, w->size)) != 0)
		return harness_bad(&w->r, "the file has other bytes: %d", r);
	if (harness_settled(&w->r, 30000) < 0)
		return -1;
	if (w->name != NULL && harness_look(&w->r, w->name, &now) < 0)
		return -1;
	if (stored && (then.mtime_ns != now.mtime_ns ||
		       strcmp(then.etag, now.etag) != 0 || !then.there))
		return harness_bad(&w->r,
				   "the version was made twice: %s %s, "
				   "%.3f s later",
				   then.etag, now.etag,
				   (double)(now.mtime_ns - then.mtime_ns) /
				       1e9);
	if (w->story->after != NULL && w->story->after(w) < 0)
		return -1;
	if (w->name != NULL &&
	    (r = harness_file_is(&w->r.b, &w->f, w->want, w->size)) != 0)
		return harness_bad(&w->r, "B reads other bytes: %d", r);
	return check_bucket(w) < 0 ? -1 : harness_stop(&w->r);
}

static bool
run_case(struct world *w, const char *point)
{
	uint8_t before[8], verf[8];
	char name[64];
	size_t len = strcspn(point, "! ");
	bool stored = point[len] == '!', keep = getenv("KEEP_LOG") != NULL;
	int r;

	snprintf(name, sizeof(name), "%.*s", (int)len, point);
	w->size = CRASH_SMALL;
	w->keys = 1;
	w->acked = w->refused = false;
	memset(w->want, 0, CRASH_BIG);
	r = harness_init(&w->r);
	if (r == 0)
		r = set_up(w, before);
	if (r == 0)
		r = crash(w, name, before, verf);
	if (r == 0)
		r = recover(w, stored, verf);
	printf("%s %s, killed at %s%s%s\n", r == 0 ? "ok" : "FAIL",
	       w->story->name, name, r == 0 ? "" : ": ",
	       r == 0 ? "" : w->r.why);
	fflush(stdout);
	if (r != 0 && keep) {
		char command[300];

		snprintf(command, sizeof(command), "sed 's/^/  | /' %s/log",
			 w->r.dir);
		(void)!system(command);
	}
	harness_fini(&w->r);
	return r == 0;
}

int
main(int argc, char **argv)
{
	struct world w = { 0 };
	const char *only = argc > 5 ? argv[5] : "";
	unsigned ran = 0, bad = 0;

	if (argc < 4) {
		fprintf(stderr, "usage: crash S3NFSD S3NFSCTL BUCKET|local "
				"[ENDPOINT|- [CASE]]\n");
		return 99;
	}
	w.r.daemon = argv[1];
	w.r.ctl = argv[2];
	w.r.bucket = argv[3];
	w.r.endpoint = strcmp(argv[3], "local") == 0 ? NULL : argv[4];
	w.want = malloc(CRASH_BIG);
	for (w.story = crash_stories; w.story->name != NULL; w.story++) {
		const char *p = w.story->points;

		for (p += strspn(p, " "); *p != '\0';
		     p += strcspn(p, " "), p += strspn(p, " ")) {
			char full[200];

			snprintf(full, sizeof(full), "%s, %.*s",
				 w.story->name, (int)strcspn(p, " !"), p);
			if (strstr(full, only) == NULL)
				continue;
			ran++;
			bad += !run_case(&w, p);
		}
	}
	printf("%u cases, %u failed\n", ran, bad);
	free(w.want);
	return bad > 0 || ran == 0;
}
