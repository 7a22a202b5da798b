/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a change of a large object costs: the bytes that go to the bucket,
 * counted where they leave, and the object byte by byte afterwards.
 */

#include <config.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/scenario.h"

#define KB ((size_t)1024)
#define MB (1024 * KB)

/* Bytes that were sent for the key, and parts that the store copied. */
static uint64_t
sent(struct scene *s, const char *key, unsigned *copies)
{
	uint64_t bytes = 0;

	*copies = scene_calls(s, "partcopy", key, "begin");
	for (size_t i = 0; i < s->call_count; i++) {
		const struct scene_call *c = &s->calls[i];

		if (strcmp(c->phase, "begin") == 0 &&
		    strcmp(c->key, key) == 0 &&
		    (strcmp(c->op, "put") == 0 || strcmp(c->op, "part") == 0))
			bytes += c->bytes;
	}
	return bytes;
}

struct change {
	size_t size;		/* of the object */
	size_t off, len;	/* what is written */
	uint64_t at_most;	/* bytes that may be sent for it */
	bool copies;		/* the rest is copied by the store */
};

static void
change(struct scene *s, const struct change *c)
{
	size_t size = c->off + c->len > c->size ? c->off + c->len : c->size;
	unsigned char *data = malloc(size);
	unsigned copies;
	struct nc_fh f;
	uint64_t bytes;

	CHECK(data != NULL);
	fill(data, size, 7);
	if (c->off > c->size)
		memset(data + c->size, 0, c->off - c->size);
	object_put(s, "f", data, c->size, NULL);
	f = look(&s->a, s, "f");
	fill(data + c->off, c->len, 8);
	OK(put_many(&s->a, &f, c->off, data + c->off, c->len, UNSTABLE));
	OK(commit(&s->a, &f));
	WITHIN(120000, object_size(s, "f") == size && scene_versions(s, "f") > 0);
	CHECK(object_has(s, "f", data, size));
	CHECK(scene_versions(s, "f") == 1);
	bytes = sent(s, "f", &copies);
	if (bytes > c->at_most)
		scene_fail(__FILE__, __LINE__, "%llu bytes sent",
			   (unsigned long long)bytes);
	CHECK(c->copies == (copies > 0));
	CHECK(uploads_left(s) == 0);
	free(data);
}

static void
middle(struct scene *s)
{
	change(s, &(struct change){ 64 * MB, 30 * MB, 4 * KB, 5 * MB, true });
}

static void
two_places(struct scene *s)
{
	change(s, &(struct change){ 64 * MB, 6 * MB, 9 * MB, 10 * MB, true });
}

static void
append(struct scene *s)
{
	change(s, &(struct change){ 63 * MB + 77, 63 * MB + 77, MB, MB, true });
}

static void
append_past_a_hole(struct scene *s)
{
	change(s, &(struct change){ 20 * MB, 30 * MB, MB, 11 * MB, true });
}

static void
small(struct scene *s)
{
	change(s, &(struct change){ 15 * MB, 3 * MB, 4 * KB, 15 * MB, false });
}

static void
equal(struct scene *s)
{
	change(s, &(struct change){ 64 * MB, 30 * MB, 4 * KB, 9 * MB, true });
	CHECK(scene_calls(s, "partcopy", "f", "begin") == 11);
}

static void
append_to_1g(struct scene *s)
{
	change(s, &(struct change){ 1024 * MB, 1024 * MB, MB, MB, true });
}

/* ---- kills ---- */

/* How many uploads s3nfsctl tells of. */
static unsigned
told(struct scene *s)
{
	json_t *list = ctl(s, "uploads");
	unsigned n;

	CHECK(list != NULL);
	n = (unsigned)json_array_size(list);
	json_decref(list);
	return n;
}

/* A large file whose parts are on their way. */
static unsigned char *
begin_parts(struct scene *s, struct nc_fh *f)
{
	unsigned char *data = malloc(20 * MB);

	CHECK(data != NULL);
	fill(data, 20 * MB, 9);
	scene_faults(s, "op=part hold");
	*f = create(&s->a, s, "f");
	SOON(60000, put_many(&s->a, f, 0, data, 20 * MB, UNSTABLE), NFS3_OK);
	SOON(60000, commit(&s->a, f), NFS3_OK);
	WITHIN(60000, scene_calls(s, "part", "f", "held") > 0);
	return data;
}

static void
killed_after_remove(struct scene *s)
{
	struct nc_fh f;

	free(begin_parts(s, &f));
	SOON(20000, nc_remove(&s->a, &s->root, "f"), NFS3_OK);
	scene_kill(s);
	scene_faults(s, "");
	CHECK(uploads_left(s) == 1);
	scene_start(s);
	scene_reconnect(s);
	WITHIN(60000, uploads_left(s) == 0);
	CHECK(object_absent(s, "f") && told(s) == 0);
}

/* Renamed while its object is copied part by part; killed; again. */
static void
killed_copying(struct scene *s)
{
	unsigned char *data = malloc(20 * MB);
	const char *const to[] = { "g", "h", "i" };
	const char *from = "f";
	char rule[64];
	struct nc_fh f;

	CHECK(data != NULL);
	fill(data, 20 * MB, 10);
	object_put(s, "f", data, 20 * MB, NULL);
	scene_env(s, "S3NFSD_COPY_MAX", "6000000");
	scene_crash(s);
	f = look(&s->a, s, "f");
	for (int i = 0; i < 3; i++) {
		snprintf(rule, sizeof(rule), "op=partcopy key=%s hold", to[i]);
		scene_faults(s, rule);
		SOON(60000, nc_rename(&s->a, &s->root, from, &s->root, to[i]),
		     NFS3_OK);
		from = to[i];
		CHECK(told(s) == 1);
		WITHIN(60000, scene_calls(s, "partcopy", from, "held") > 0);
		CHECK(told(s) == 1 && uploads_left(s) == 1);
		scene_kill(s);
		if (i == 2)
			scene_faults(s, "");
		scene_start(s);
		scene_reconnect(s);
		CHECK(told(s) <= 1);
	}
	WITHIN(60000, object_has(s, "i", data, 20 * MB));
	WITHIN(60000, objects(s) == 1 && uploads_left(s) == 0);
	WITHIN(60000, told(s) == 0);
	CHECK(reads_many(&s->a, &f, data, 20 * MB));
	free(data);
}

/* The same with the directory above it: no upload row of its own. */
static void
killed_carrying(struct scene *s)
{
	unsigned char *data = malloc(20 * MB);
	const char *const to[] = { "e", "k", "l" };
	const char *from = "d";
	char rule[64], key[16];
	struct nc_fh d, f;

	CHECK(data != NULL);
	fill(data, 20 * MB, 11);
	object_put(s, "d/f", data, 20 * MB, NULL);
	scene_env(s, "S3NFSD_COPY_MAX", "6000000");
	scene_crash(s);
	d = look(&s->a, s, "d");
	SOON(60000, nc_lookup(&s->a, &d, "f", &f, NULL), NFS3_OK);
	for (int i = 0; i < 3; i++) {
		snprintf(key, sizeof(key), "%s/f", to[i]);
		snprintf(rule, sizeof(rule), "op=partcopy key=%s hold", key);
		scene_faults(s, rule);
		SOON(60000, nc_rename(&s->a, &s->root, from, &s->root, to[i]),
		     NFS3_OK);
		from = to[i];
		WITHIN(60000, scene_calls(s, "partcopy", key, "held") > 0);
		CHECK(told(s) <= 1 && uploads_left(s) == 1);
		scene_kill(s);
		if (i == 2)
			scene_faults(s, "");
		scene_start(s);
		scene_reconnect(s);
		CHECK(told(s) <= 1);
	}
	WITHIN(60000, object_has(s, "l/f", data, 20 * MB));
	WITHIN(60000, objects(s) == 1 && uploads_left(s) == 0);
	WITHIN(60000, told(s) == 0);
	CHECK(reads_many(&s->a, &f, data, 20 * MB));
	free(data);
}

#define PARTS "create_settle_ms=5000 part_size=5M server.log_level=warning"

/* So many directories are on their way. */
static size_t
moving(struct scene *s)
{
	json_t *status = ctl(s, "status");
	size_t count;

	CHECK(status != NULL);
	count = json_array_size(json_object_get(status, "moves"));
	json_decref(status);
	return count;
}

/* A file is on its way part by part when its directory is renamed.  Nothing of
 * it is in the bucket before the last request, which then makes an object at
 * the old key: somebody has to be there to hide it and to move it. */
static unsigned char *
begin_in_renamed(struct scene *s, struct nc_fh *d)
{
	unsigned char *data = malloc(20 * MB);
	struct nc_fh f;

	CHECK(data != NULL);
	fill(data, 20 * MB, 3);
	*d = mkdir_in(s, &s->root, "d");
	OK(ctl_status(s, "flush --all"));
	scene_faults(s, "op=part hold");
	f = create_in(s, d, "f", "");
	SOON(60000, put_many(&s->a, &f, 0, data, 20 * MB, UNSTABLE), NFS3_OK);
	SOON(60000, commit(&s->a, &f), NFS3_OK);
	WITHIN(60000, scene_calls(s, "part", "d/f", "held") > 0);
	SOON(20000, nc_rename(&s->a, &s->root, "d", &s->root, "n"), NFS3_OK);
	WITHIN(20000, object_absent(s, "d/"));
	return data;
}

static void
directory_renamed(struct scene *s)
{
	struct nc_fh d;
	unsigned char *data = begin_in_renamed(s, &d);

	/* It does not end before the upload has. */
	for (int i = 0; i < 50; i++) {
		CHECK(moving(s) == 1);
		scene_pause();
	}
	CHECK(!has_name(&s->b, &s->root, "d"));
	scene_faults(s, "op=copy key=n/f hold");
	WITHIN(60000, scene_calls(s, "copy", "n/f", "held") > 0);
	CHECK(!has_name(&s->b, &s->root, "d") && moving(s) == 1);
	CHECK(names_in(&s->b, &d) == 1);
	scene_faults(s, "");
	WITHIN(60000, moving(s) == 0 && object_absent(s, "d/f"));
	CHECK(object_has(s, "n/f", data, 20 * MB));
	CHECK(names_in(&s->b, &s->root) == 1);
	free(data);
}

static void
directory_renamed_killed(struct scene *s)
{
	struct nc_fh d;
	unsigned char *data = begin_in_renamed(s, &d);

	scene_kill(s);
	scene_faults(s, "");
	scene_start(s);
	scene_reconnect(s);
	OK(ctl_status(s, "flush --all"));
	WITHIN(60000, moving(s) == 0 && uploads_left(s) == 0);
	CHECK(object_has(s, "n/f", data, 20 * MB) && object_absent(s, "d/f"));
	CHECK(!has_name(&s->b, &s->root, "d"));
	CHECK(names_in(&s->b, &s->root) == 1 && told(s) == 0);
	free(data);
}

SCENARIOS(
	{ "parts-middle", "4 KiB in the middle of 64 MiB send 5 MiB at most",
	  middle, PARTS, false },
	{ "parts-two", "9 MiB at 6 MiB: parts that begin where the change does",
	  two_places, PARTS, false },
	{ "parts-append", "1 MiB appended to 63 MiB sends 1 MiB", append, PARTS,
	  false },
	{ "parts-hole", "1 MiB behind a hole of 10 MiB sends 11 MiB of which "
	  "10 are zeros", append_past_a_hole, PARTS, false },
	{ "parts-small", "below 16 MiB the object is put again", small, PARTS,
	  false },
	{ "parts-equal", "equal_parts=1: one part of 13 and the short last one are sent", equal,
	  PARTS " equal_parts=1", false },
	{ "parts-dir", "its directory is renamed while its parts are on their "
	  "way / the old name is gone, one object under the new one",
	  directory_renamed, PARTS, false },
	{ "parts-dir-killed", "the same, killed meanwhile", directory_renamed_killed,
	  PARTS, false },
	{ "parts-killed-remove", "killed after REMOVE of a file whose parts are "
	  "on their way / none are left in the bucket", killed_after_remove,
	  PARTS, false },
	{ "parts-killed-copy", "renamed, killed while the parts of its object "
	  "are copied, renamed / one object, told once, no parts left",
	  killed_copying, PARTS, false },
	{ "parts-killed-carry", "the same by its directory", killed_carrying,
	  PARTS, false },
	{ "parts-append-1g", "1 MiB appended to 1 GiB sends 1 MiB",
	  append_to_1g, PARTS, true })
