/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a change of a large object costs: the bytes that go to the bucket,
 * counted where they leave, and the object byte by byte afterwards.
 */

#include <config.h>

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

#define PARTS "create_settle_ms=5000 part_size=5M server.log_level=warning"

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
	{ "parts-append-1g", "1 MiB appended to 1 GiB sends 1 MiB",
	  append_to_1g, PARTS, true })
