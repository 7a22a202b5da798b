/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is all as it should be after the trouble?  The bucket, key by key, with
 * bytes, modes, tags and grants; the mount, name by name; nothing left over.
 */
#include <config.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/fault_table.h"

static const struct thing {
	const char *key;
	const char *before;	/* text; NULL: not there */
	const char *after;
	enum { PLAIN, TAGGED, CARRIES, SMALL, LARGE, PATCHED, MARKER } kind;
} things[] = {
	{ "warm", "cold", "warm", CARRIES },
	{ "new", NULL, "new", PLAIN },
	{ "over", "before", "over", CARRIES },
	{ "patch", "abcdef", "abXYef", CARRIES },
	{ "mode", "mode", "mode", CARRIES },
	{ "ren", "ren", NULL, CARRIES },
	{ "renamed", NULL, "ren", CARRIES },
	{ "tmp", "tmp", NULL, PLAIN },
	{ "target", "target", "tmp", PLAIN },
	{ "mvdir/one", "one", NULL, TAGGED },
	{ "mvdir/two", "two", NULL, PLAIN },
	{ "moved/one", NULL, "one", TAGGED },
	{ "moved/two", NULL, "two", PLAIN },
	{ "gone", "gone", NULL, PLAIN },
	{ "newdir/", NULL, "", MARKER },
	{ "linked", "linked", "linked", PLAIN },
	{ "link2", NULL, "linked", PLAIN },
	{ "read", "", "", SMALL },
	{ "list/one", "one", "one", PLAIN },
	{ "list/two", "two", "two", PLAIN },
	{ "list/three", "three", "three", PLAIN },
	{ "big", NULL, "", LARGE },
	{ "bigpatch", "", "", PATCHED },
};
#define THINGS (sizeof(things) / sizeof(*things))

static ssize_t
read_memory(void *arg, uint64_t off, void *buf, size_t len)
{
	memcpy(buf, (const char *)arg + off, len);
	return (ssize_t)len;
}

static void
store(struct cell *x, const struct thing *t, const void *data, size_t len)
{
	struct s3_source body = { .len = len, .read = read_memory,
				  .arg = (void *)(uintptr_t)data };
	struct s3_headers h = {0};
	char etag[S3_ETAG_MAX];

	if (t->kind == CARRIES || t->kind == TAGGED)
		OK(s3_headers_set(&h, "x-amz-tagging", TAGS));
	if (t->kind == CARRIES)
		OK(s3_headers_set(&h, "x-amz-grant-read", READERS));
	OK(s3_put(x->s->s3, t->key, &body, &h, NULL, etag, NULL));
	s3_headers_free(&h);
}

static bool
is_there(const struct cell *x, const struct thing *t)
{
	if (t->kind == LARGE || t->kind == PATCHED)
		return x->call->large && x->call->calls != 1U << CALL_ABORT;
	return true;
}

void
fault_prepare(struct cell *x)
{
	unsigned char small[SMALL_LEN];

	fill(small, sizeof(small), 7);
	for (size_t i = 0; i < THINGS; i++) {
		const struct thing *t = &things[i];

		if (t->before == NULL || !is_there(x, t))
			continue;
		if (t->kind == SMALL)
			store(x, t, small, sizeof(small));
		else if (t->kind == PATCHED)
			store(x, t, x->large, PATCHED_LEN);
		else
			store(x, t, t->before, strlen(t->before));
	}
	if (x->large != NULL)		/* as it will be */
		memcpy(x->large + PATCHED_LEN + 2, "XY", 2);
}

/* ---- the bucket ---- */

/* What is not right: kinds of it, and for people to read, which. */
struct findings {
	char kinds[TEXT_MAX], text[TEXT_MAX];
};

static void
add(char text[TEXT_MAX], const char *what, const char *end)
{
	size_t len = strlen(text);

	snprintf(text + len, TEXT_MAX - len, "%s%s", what, end);
}

static void
find(struct findings *f, const char *kind, const char *key)
{
	if (strstr(f->kinds, kind) == NULL)
		add(f->kinds, kind, ";");
	add(f->text, kind, " ");
	add(f->text, key, "; ");
}

static bool
has_bytes(struct cell *x, const struct thing *t)
{
	unsigned char small[SMALL_LEN];

	if (t->kind == SMALL) {
		fill(small, sizeof(small), 7);
		return object_has(x->s, t->key, small, sizeof(small));
	}
	if (t->kind == LARGE)
		return object_has(x->s, t->key, x->large, LARGE_LEN);
	if (t->kind == PATCHED)
		return object_has(x->s, t->key, x->large + PATCHED_LEN,
				  PATCHED_LEN);
	return object_is(x->s, t->key, t->after);
}

static void
look_at_headers(struct cell *x, const struct thing *t, struct findings *f)
{
	struct s3_object o = {0};
	const char *tags, *readers, *mode;

	if (s3_head(x->s->s3, t->key, &o, NULL) < 0)
		return;
	tags = s3_headers_get(&o.headers, "x-amz-tagging");
	readers = s3_headers_get(&o.headers, "x-amz-grant-read");
	mode = s3_headers_get(&o.headers, "x-amz-meta-file-permissions");
	if ((t->kind == CARRIES || t->kind == TAGGED) &&
	    (tags == NULL || strcmp(tags, TAGS) != 0))
		find(f, "tags lost", t->key);
	if (t->kind == CARRIES &&
	    (readers == NULL || strcmp(readers, READERS) != 0))
		find(f, "grants lost", t->key);
	if (strcmp(t->key, "mode") == 0 &&
	    (mode == NULL || strstr(mode, "600") == NULL))
		find(f, "old mode", t->key);
	s3_object_free(&o);
}

static const struct thing *
thing_of(const struct cell *x, const char *key)
{
	for (size_t i = 0; i < THINGS; i++)
		if (strcmp(things[i].key, key) == 0 && is_there(x, &things[i]))
			return &things[i];
	return NULL;
}

struct seen {
	struct cell *x;
	struct findings *f;
	unsigned count;
};

static int
look_at_key(void *arg, const struct s3_entry *e)
{
	struct seen *seen = arg;
	const struct thing *t = thing_of(seen->x, e->key);

	if (t == NULL && strstr(e->key, "conflict") != NULL)
		find(seen->f, "conflict copy", e->key);
	else if (t == NULL)
		find(seen->f, "stray object", e->key);
	else if (t->after == NULL)
		find(seen->f, "object still there", e->key);
	return 0;
}

static void
look_at_bucket(struct cell *x, struct findings *f)
{
	struct s3_list list = { .prefix = "", .scratch = true };
	struct seen seen = { x, f, 0 };
	char *next = NULL;

	OK(s3_list_page(x->s->s3, &list, look_at_key, &seen, &next, NULL));
	CHECK(next == NULL);
	for (size_t i = 0; i < THINGS; i++) {
		const struct thing *t = &things[i];

		if (t->after == NULL || !is_there(x, t))
			continue;
		if (object_absent(x->s, t->key))
			find(f, "object missing", t->key);
		else if (!has_bytes(x, t))
			find(f, "object with old bytes", t->key);
		else
			look_at_headers(x, t, f);
	}
	if (uploads_left(x->s) > 0)
		find(f, "upload left", "");
}

/* ---- the mount ---- */

static void
look_at_file(struct cell *x, const struct nc_fh *dir, const char *name,
	     const struct thing *t, struct findings *f)
{
	struct nc_fh fh;
	int r = nc_lookup(&x->s->b, dir, name, &fh, NULL);
	bool right;

	if (t->after == NULL) {
		if (r != NFS3ERR_NOENT)
			find(f, "name still there", t->key);
		return;
	}
	if (r != 0) {
		find(f, "name missing", t->key);
		return;
	}
	if (t->kind <= CARRIES)
		right = reads(&x->s->b, &fh, t->after);
	else
		right = t->kind == MARKER ||
			size_of(&x->s->b, &fh) == object_size(x->s, t->key);
	if (!right)
		find(f, "file with other bytes", t->key);
}

static void
look_at_mount(struct cell *x, struct findings *f)
{
	for (size_t i = 0; i < THINGS; i++) {
		const struct thing *t = &things[i];
		const char *slash = strchr(t->key, '/');
		struct nc_fh dir = x->s->root;
		char name[64];

		if (!is_there(x, t))
			continue;
		if (slash != NULL && slash[1] != '\0') {
			snprintf(name, sizeof(name), "%.*s",
				 (int)(slash - t->key), t->key);
			if (nc_lookup(&x->s->b, &x->s->root, name, &dir,
				      NULL) != 0) {
				if (t->after != NULL)
					find(f, "name missing", t->key);
				continue;
			}
			look_at_file(x, &dir, slash + 1, t, f);
			continue;
		}
		snprintf(name, sizeof(name), "%.*s", slash != NULL ?
			 (int)(slash - t->key) : 63, t->key);
		look_at_file(x, &dir, name, t, f);
	}
}

/* ---- both ---- */

static void
look_at_all(struct cell *x, struct findings *f)
{
	f->kinds[0] = f->text[0] = '\0';
	if (status_number(x->s, "quarantined") != 0) {
		find(f, "quarantined", "");
		return;
	}
	look_at_bucket(x, f);
	if (f->kinds[0] == '\0')
		look_at_mount(x, f);
}

/* None of that comes back by itself. */
static bool
stays(const struct findings *f)
{
	return strstr(f->kinds, "quarantined") != NULL ||
	       strstr(f->kinds, "lost") != NULL;
}

void
fault_judge(struct cell *x)
{
	struct findings f;
	char *rest = f.kinds;

	for (;;) {
		look_at_all(x, &f);
		if (f.kinds[0] == '\0' || scene_now_ms() > x->until_ms ||
		    stays(&f))
			break;
		poll(NULL, 0, 50);
	}
	if (f.text[0] != '\0')
		printf("detail\t%s\t%s\t%s\n", x->call->name,
		       x->answer->name, f.text);
	for (char *one; (one = strsep(&rest, ";")) != NULL;)
		if (*one != '\0')
			fault_wrong(x, "%s", one);
}
