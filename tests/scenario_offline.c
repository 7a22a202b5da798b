/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store that is away, silent or refusing everybody, for longer than
 * store_wait_ms: what is known is answered, changes are taken, and all is as
 * it should be when it is back.
 */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rpcgen/nfs3.h"
#include "tests/scenario.h"

#define WAIT_MS 300		/* store_wait_ms of these */
#define AT_ONCE_MS 200
#define FIRST_MS (WAIT_MS + 1000)

#define TOOK(limit_ms, call)                                                  \
	do {                                                                  \
		uint64_t begun_ = scene_now_ms();                             \
		call;                                                         \
		CHECK(scene_now_ms() - begun_ < PATIENCE * (limit_ms));       \
	} while (0)

static bool
is_away(struct scene *s)
{
	return scene_logged(s, "is away") > scene_logged(s, "is back");
}

/* It goes, and the gateway finds out. */
static void
go_away(struct scene *s, const char *rules)
{
	fattr3 attr;

	scene_faults(s, rules);
	usleep(100 * 1000);	/* attr_ttl_ms is over */
	TOOK(FIRST_MS, (void)nc_getattr(&s->c, &s->root, &attr));
	WITHIN(2 * WAIT_MS, is_away(s));
}

static void
come_back(struct scene *s)
{
	scene_faults(s, "");
	WITHIN(2000, !is_away(s));
}

struct known {			/* a directory, and what is in it */
	struct nc_fh dir, file, link;
};

/* All known: listed, its attributes told, its bytes read. */
static void
know(struct scene *s, struct known *k)
{
	struct nc_entry list[16];
	uint8_t verf[8] = { 0 };
	unsigned count;
	bool eof;

	object_text(s, "d/one", "first");
	object_text(s, "d/two", "second");
	OK(ctl_status(s, "refresh %s", s->export));
	k->dir = look(&s->a, s, "d");
	OK(nc_symlink(&s->a, &k->dir, "link", "one", &k->link));
	WITHIN(2000, object_is(s, "d/link", "one"));
	CHECK(names_in(&s->a, &k->dir) == 3);
	CHECK(names_in(&s->a, &s->root) == 1);
	SOON(2000, nc_readdirplus(&s->a, &k->dir, 0, verf, 4096, 8192, list,
				  16, &count, &eof), NFS3_OK);
	k->file = look_in(&s->a, &k->dir, "one");
	CHECK(reads(&s->a, &k->file, "first"));
	/* The store was never missed. */
	CHECK(!is_away(s));
}

static void
answered_from_here(struct scene *s, struct rpcc *c, const struct known *k)
{
	char target[1200];
	struct nc_fh fh;
	uint32_t granted;
	fattr3 attr;

	TOOK(AT_ONCE_MS, CHECK(names_in(c, &k->dir) == 3));
	TOOK(AT_ONCE_MS, CHECK(names_in(c, &s->root) == 1));
	TOOK(AT_ONCE_MS, OK(nc_lookup(c, &k->dir, "one", &fh, &attr)));
	CHECK(attr.size == 5);
	TOOK(AT_ONCE_MS, OK(nc_lookup(c, &k->dir, "two", &fh, &attr)));
	TOOK(AT_ONCE_MS, OK(nc_getattr(c, &k->file, &attr)));
	TOOK(AT_ONCE_MS, OK(nc_access(c, &k->file, 0x1f, &granted)));
	TOOK(AT_ONCE_MS, CHECK(reads(c, &k->file, "first")));
	TOOK(AT_ONCE_MS, OK(nc_readlink(c, &k->link, target)));
	CHECK(strcmp(target, "one") == 0);
	/* It is known what is not there. */
	TOOK(AT_ONCE_MS, IS(nc_lookup(c, &k->dir, "none", &fh, &attr),
			    NFS3ERR_NOENT));
}

static void
stays_useful(struct scene *s, const char *rules)
{
	struct known k;

	know(s, &k);
	go_away(s, rules);
	answered_from_here(s, &s->a, &k);
	answered_from_here(s, &s->b, &k);
	CHECK(scene_logged(s, "is away") == 1);
	/* What others did meanwhile is seen when it is back. */
	object_text(s, "d/three", "new");
	object_text(s, "d/one", "newer bytes");
	come_back(s);
	WITHIN(500, names_in(&s->a, &k.dir) == 4);
	WITHIN(500, reads(&s->a, &k.file, "newer bytes"));
	CHECK(scene_logged(s, "is back") == 1);
}

static void
silent(struct scene *s)
{
	stays_useful(s, "hold\n");
}

static void
failing(struct scene *s)
{
	stays_useful(s, "error=EAGAIN\n");
}

static void
no_bucket(struct scene *s)
{
	stays_useful(s, "error=ENODEV\n");
}

/* Nobody has looked into it: only the store can tell. */
static void
unknown(struct scene *s)
{
	struct nc_fh dir, fh;
	struct nc_entry list[16];
	uint8_t verf[8] = { 0 };
	unsigned count;
	bool eof;

	object_text(s, "d/one", "first");
	dir = look(&s->a, s, "d");
	go_away(s, "hold\n");
	for (int i = 0; i < 3; i++) {
		TOOK(AT_ONCE_MS, IS(nc_readdir(&s->a, &dir, 0, verf, 4096,
					       list, 16, &count, &eof),
				    NFS3ERR_JUKEBOX));
		TOOK(AT_ONCE_MS, IS(nc_lookup(&s->b, &dir, "one", &fh, NULL),
				    NFS3ERR_JUKEBOX));
		TOOK(AT_ONCE_MS, IS(nc_create(&s->b, &dir, "new", UNCHECKED,
					      NULL, NULL, &fh, NULL),
				    NFS3ERR_JUKEBOX));
	}
	come_back(s);
	SOON(500, nc_lookup(&s->b, &dir, "one", &fh, NULL), NFS3_OK);
	CHECK(names_in(&s->a, &dir) == 1);
}

/* The first `ls` is the one that finds out. */
static void
first(struct scene *s)
{
	struct known k;

	know(s, &k);
	scene_faults(s, "hold\n");
	usleep(100 * 1000);
	TOOK(FIRST_MS, CHECK(names_in(&s->a, &k.dir) == 3));
	TOOK(AT_ONCE_MS, CHECK(names_in(&s->a, &k.dir) == 3));
	come_back(s);
}

/* A listing that takes its time is not a store that is away. */
static void
slow(struct scene *s)
{
	struct known k;

	know(s, &k);
	object_text(s, "d/three", "new");
	scene_faults(s, "op=list delay_ms=1000\n");
	usleep(100 * 1000);
	CHECK(names_in(&s->a, &k.dir) == 4);
	CHECK(scene_logged(s, "is away") == 0);
}

/* As it was before: the call waits, or comes again, and tells no old names. */
static void
waits(struct scene *s)
{
	struct nc_entry list[16];
	struct known k;
	uint8_t verf[8] = { 0 };
	unsigned count;
	bool eof;

	know(s, &k);
	go_away(s, "error=EAGAIN\n");
	IS(nc_readdir(&s->a, &k.dir, 0, verf, 4096, list, 16, &count, &eof),
	   NFS3ERR_JUKEBOX);
	object_text(s, "d/three", "new");
	come_back(s);
	CHECK(names_in(&s->a, &k.dir) == 4);
}

#define SHORT "attr_ttl_ms=50 store_wait_ms=300"

SCENARIOS(
	{ "offline-ls", "a store is silent / names, attributes and bytes that "
	  "are known are told at once, by then; it is back / all is fresh",
	  silent, SHORT, false },
	{ "offline-fails", "... it answers with 503", failing, SHORT, false },
	{ "offline-nobucket", "... the bucket is gone", no_bucket, SHORT, false },
	{ "offline-unknown", "... what nobody knows is JUKEBOX at once",
	  unknown, SHORT, false },
	{ "offline-first", "the first ls that meets a silent store is "
	  "answered within store_wait_ms and a second, the next at once",
	  first, SHORT, false },
	{ "offline-slow", "a slow LIST / waited for, the store is not away",
	  slow, SHORT, false },
	{ "offline-wait", "offline=wait / nothing is told that is old", waits,
	  SHORT " offline=wait", false })
