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

#define WAIT_MS 1000		/* store_wait_ms of these */
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
	json_t *status = ctl(s, "status");
	json_t *away = json_object_get(status, "away");
	bool is = json_array_size(away) == 1;

	CHECK(json_is_array(away));
	if (is) {
		const json_t *row = json_array_get(away, 0);
		const char *export = json_string_value(
			json_object_get(row, "export"));
		const char *why = json_string_value(
			json_object_get(row, "why"));

		CHECK(strcmp(export, s->export) == 0 && why[0] != '\0');
	}
	json_decref(status);
	return is;
}

/* That wait for it. */
static long long
away_files(struct scene *s)
{
	json_t *status = ctl(s, "status");
	const json_t *row = json_array_get(json_object_get(status, "away"), 0);
	long long files = json_integer_value(json_object_get(row, "files"));

	json_decref(status);
	return files;
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
	CHECK(scene_logged(s, "is away, cl") == 1);
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
	scene_faults(s, "op=list delay_ms=3000\n");
	usleep(100 * 1000);
	CHECK(names_in(&s->a, &k.dir) == 4);
	CHECK(scene_logged(s, "is away, cl") == 0);
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

/* ---- changes ---- */

struct changed {		/* what was taken while it was away */
	struct nc_fh dir, made, sub, deep, link;
};

/* All kinds of change in a directory that is known: each at once. */
static void
change_all(struct scene *s, const struct known *k, struct changed *c)
{
	c->dir = k->dir;
	TOOK(AT_ONCE_MS, OK(nc_create(&s->a, &k->dir, "made", GUARDED, NULL,
				      NULL, &c->made, NULL)));
	OK(put(&s->a, &c->made, 0, "made away", UNSTABLE));
	TOOK(AT_ONCE_MS, OK(commit(&s->a, &c->made)));
	TOOK(AT_ONCE_MS, OK(nc_mkdir(&s->a, &k->dir, "sub", NULL, &c->sub,
				     NULL)));
	c->deep = create_in(s, &c->sub, "deep", "deeper");
	TOOK(AT_ONCE_MS, OK(nc_symlink(&s->a, &k->dir, "to", "made",
				       &c->link)));
	TOOK(AT_ONCE_MS, OK(nc_rename(&s->a, &k->dir, "one", &c->sub,
				      "uno")));
	TOOK(AT_ONCE_MS, OK(nc_remove(&s->a, &k->dir, "two")));
	TOOK(AT_ONCE_MS, OK(nc_remove(&s->a, &k->dir, "link")));
	TOOK(AT_ONCE_MS, OK(nc_mkdir(&s->a, &k->dir, "gone", NULL, NULL,
				     NULL)));
	TOOK(AT_ONCE_MS, OK(nc_rmdir(&s->a, &k->dir, "gone")));
	TOOK(AT_ONCE_MS, OK(nc_rename(&s->a, &s->root, "d", &s->root, "e")));
}

/* What every client sees of that, and goes on seeing.  Bytes that are a copy
 * of the bucket's are not known any more after a restart. */
static void
see_all(struct scene *s, struct rpcc *c, const struct changed *ch, bool copies)
{
	struct nc_fh uno, dir;

	dir = look(c, s, "e");
	TOOK(AT_ONCE_MS, CHECK(names_in(c, &s->root) == 1));
	TOOK(AT_ONCE_MS, CHECK(names_in(c, &dir) == 3));
	TOOK(AT_ONCE_MS, CHECK(names_in(c, &ch->sub) == 2));
	CHECK(reads(c, &ch->made, "made away"));
	CHECK(reads(c, &ch->deep, "deeper"));
	uno = look_in(c, &ch->sub, "uno");
	CHECK(!copies || reads(c, &uno, "first"));
	CHECK(!has_name(c, &dir, "one") && !has_name(c, &dir, "two"));
}

static void
bucket_follows(struct scene *s)
{
	WITHIN(20000, object_is(s, "e/made", "made away"));
	WITHIN(20000, object_is(s, "e/sub/deep", "deeper"));
	WITHIN(20000, object_is(s, "e/sub/uno", "first"));
	WITHIN(20000, object_is(s, "e/to", "made"));
	WITHIN(20000, object_absent(s, "d/one"));
	WITHIN(20000, object_absent(s, "d/two"));
	WITHIN(20000, object_absent(s, "d/link"));
	WITHIN(20000, object_absent(s, "e/two"));
	WITHIN(20000, object_absent(s, "e/gone/"));
	CHECK(status_number(s, "conflicts") == 0);
	CHECK(status_number(s, "quarantined") == 0);
}

static void
changes(struct scene *s)
{
	struct changed c;
	struct known k;

	know(s, &k);
	go_away(s, "hold\n");
	change_all(s, &k, &c);
	/* Also those that nobody writes: made, sub, deep, to, uno. */
	CHECK(away_files(s) >= 5);
	see_all(s, &s->a, &c, true);
	see_all(s, &s->b, &c, true);
	come_back(s);
	bucket_follows(s);
	see_all(s, &s->b, &c, true);
}

/* ... and the gateway is killed in it, and starts while it is away. */
static void
killed(struct scene *s)
{
	struct changed c;
	struct known k;

	know(s, &k);
	go_away(s, "error=EAGAIN\n");
	change_all(s, &k, &c);
	scene_crash(s);
	/* It does not know yet that it is alone. */
	TOOK(FIRST_MS, (void)nc_getattr(&s->a, &s->root, NULL));
	SOON(FIRST_MS, nc_getattr(&s->a, &c.sub, NULL), NFS3_OK);
	see_all(s, &s->a, &c, false);
	see_all(s, &s->b, &c, false);
	come_back(s);
	bucket_follows(s);
	see_all(s, &s->b, &c, true);
}

/* ---- losers ---- */

static int
count_text(void *arg, const struct s3_entry *e)
{
	unsigned *count = arg;

	*count += !e->is_prefix && strstr(e->key, ".conflict-") != NULL;
	return 0;
}

static unsigned
kept_beside(struct scene *s)
{
	const struct s3_list list = { .prefix = s->prefix };
	unsigned count = 0;
	char *next = NULL;

	CHECK(s3_list_page(s->s3, &list, count_text, &count, &next, NULL) ==
	      0);
	free(next);
	return count;
}

/* Somebody else changes the bucket, which does not answer us. */
static void
losers(struct scene *s)
{
	struct nc_fh fh;
	struct known k;

	know(s, &k);
	go_away(s, "error=EAGAIN\n");
	OK(nc_create(&s->a, &k.dir, "new", GUARDED, NULL, NULL, &fh, NULL));
	OK(put(&s->a, &fh, 0, "our new one", UNSTABLE));
	OK(commit(&s->a, &fh));
	object_text(s, "d/new", "their new one");
	OK(nc_truncate(&s->a, &k.file, 0));
	OK(put(&s->a, &k.file, 0, "our change", UNSTABLE));
	OK(commit(&s->a, &k.file));
	object_text(s, "d/one", "their change");
	OK(nc_remove(&s->a, &k.dir, "two"));
	object_text(s, "d/two", "their second");
	come_back(s);
	WITHIN(20000, kept_beside(s) == 2);
	WITHIN(10000, status_number(s, "conflicts") == 3);
	WITHIN(10000, status_number(s, "deletes") == 0);
	CHECK(object_is(s, "d/new", "their new one"));
	CHECK(object_is(s, "d/one", "their change"));
	CHECK(object_is(s, "d/two", "their second"));
	WITHIN(5000, names_in(&s->b, &k.dir) == 6);
}

/* Names came into directories that were removed here: they are there. */
static void
refilled(struct scene *s)
{
	struct nc_fh fh;
	struct known k;

	know(s, &k);
	OK(nc_mkdir(&s->a, &k.dir, "sub", NULL, &fh, NULL));
	WITHIN(2000, !object_absent(s, "d/sub/"));
	CHECK(names_in(&s->a, &fh) == 0);
	go_away(s, "error=EAGAIN\n");
	object_text(s, "d/sub/theirs", "is safe");
	OK(nc_rmdir(&s->a, &k.dir, "sub"));
	CHECK(names_in(&s->a, &k.dir) == 3);
	come_back(s);
	WITHIN(5000, names_in(&s->a, &k.dir) == 4);
	fh = look_in(&s->b, &k.dir, "sub");
	fh = look_in(&s->b, &fh, "theirs");
	CHECK(reads(&s->b, &fh, "is safe"));
}

/* ---- an hour, in short ---- */

#define OWN 4			/* names of each client */
#define CLIENTS 3
#define NAMES (OWN * CLIENTS)

struct hour {
	struct nc_fh dir;
	unsigned round;
	char text[NAMES][32];	/* "": there is none */
	uint64_t slowest_ms;	/* ls */
	unsigned listed, slow;
};

static unsigned
alive(const struct hour *h)
{
	unsigned count = 0;

	for (unsigned i = 0; i < NAMES; i++)
		count += h->text[i][0] != '\0';
	return count;
}

static void
name_of(unsigned i, char out[16])
{
	snprintf(out, 16, "n%u", i);
}

/* All of a file, flushed. */
static void
hour_write(struct rpcc *c, struct hour *h, unsigned i)
{
	struct nc_fh fh;
	char name[16], text[32];

	name_of(i, name);
	snprintf(text, sizeof(text), "%s of %u", name, h->round);
	SOON(5000, nc_create(c, &h->dir, name, UNCHECKED, NULL, NULL, &fh,
			     NULL), NFS3_OK);
	SOON(5000, nc_truncate(c, &fh, 0), NFS3_OK);
	SOON(5000, put(c, &fh, 0, text, UNSTABLE), NFS3_OK);
	SOON(5000, commit(c, &fh), NFS3_OK);
	strcpy(h->text[i], text);
}

static void
hour_change(struct rpcc *c, struct hour *h, unsigned i, unsigned to)
{
	char name[16], other[16];

	name_of(i, name);
	name_of(to, other);
	if (h->text[i][0] == '\0' || h->round % 3 == 0) {
		hour_write(c, h, i);
	} else if (h->round % 3 == 1 || i == to) {
		SOON(5000, nc_remove(c, &h->dir, name), NFS3_OK);
		h->text[i][0] = '\0';
	} else {
		SOON(5000, nc_rename(c, &h->dir, name, &h->dir, other),
		     NFS3_OK);
		strcpy(h->text[to], h->text[i]);
		h->text[i][0] = '\0';
	}
}

/* Its bytes; or they are in the bucket alone, since the gateway was killed. */
static void
hour_read(struct rpcc *c, const struct nc_fh *fh, const char *text)
{
	char buf[64];
	uint32_t got = 0;
	bool eof;
	int r = nc_read(c, fh, 0, buf, sizeof(buf), &got, &eof);

	if (r == NFS3ERR_JUKEBOX)
		return;
	OK(r);
	CHECK(got == strlen(text) && memcmp(buf, text, got) == 0);
}

static void
hour_look(struct rpcc *c, struct hour *h, bool bytes)
{
	uint64_t began = scene_now_ms(), took;

	CHECK(names_in(c, &h->dir) == alive(h));
	took = scene_now_ms() - began;
	h->listed++;
	h->slow += took > 100;
	if (took > h->slowest_ms)
		h->slowest_ms = took;
	for (unsigned i = 0; bytes && i < NAMES; i++) {
		struct nc_fh fh;
		char name[16];

		name_of(i, name);
		CHECK(has_name(c, &h->dir, name) == (h->text[i][0] != '\0'));
		if (h->text[i][0] == '\0')
			continue;
		fh = look_in(c, &h->dir, name);
		hour_read(c, &fh, h->text[i]);
	}
}

static void
hour_work(struct scene *s, struct hour *h, unsigned for_ms)
{
	uint64_t until = scene_now_ms() + for_ms;
	struct rpcc *clients[CLIENTS] = { &s->a, &s->b, &s->c };

	while (scene_now_ms() < until) {
		for (unsigned i = 0; i < CLIENTS; i++) {
			unsigned at = i * OWN + h->round * 7 % OWN;
			unsigned to = i * OWN + h->round * 5 % OWN;

			h->round++;
			hour_change(clients[i], h, at, to);
			hour_look(clients[(i + 1) % CLIENTS], h,
				  h->round % 16 == 0);
		}
		usleep(20 * 1000);
	}
}

static bool
hour_in_bucket(struct scene *s, const struct hour *h)
{
	bool same = true;

	for (unsigned i = 0; same && i < NAMES; i++) {
		char key[32];

		snprintf(key, sizeof(key), "d/n%u", i);
		same = h->text[i][0] == '\0' ? object_absent(s, key)
					     : object_is(s, key, h->text[i]);
	}
	return same;
}

static void
hour_without(struct scene *s, unsigned for_ms)
{
	static const char *const ways[] = {
		"error=EAGAIN\n", "hold\n", "error=ENODEV\n",
		"error=EACCES\n",
	};
	struct hour h = { 0 };

	OK(nc_mkdir(&s->a, &s->root, "d", NULL, &h.dir, NULL));
	hour_work(s, &h, for_ms / 8);
	go_away(s, ways[0]);
	for (unsigned i = 0; i < 4; i++) {
		scene_faults(s, ways[i]);
		hour_work(s, &h, for_ms / 4);
		if (i == 1) {
			scene_crash(s);
			(void)nc_getattr(&s->a, &h.dir, NULL);
			WITHIN(FIRST_MS, is_away(s));
		}
	}
	CHECK(h.slowest_ms < PATIENCE * FIRST_MS);
	CHECK(h.slow * 10 < h.listed + 10);
	come_back(s);
	WITHIN(20000, hour_in_bucket(s, &h));
	WITHIN(20000, status_number(s, "deletes") == 0);
	hour_look(&s->b, &h, true);
	CHECK(status_number(s, "conflicts") == 0);
	CHECK(status_number(s, "quarantined") == 0);
	CHECK(status_number(s, "invariant_failures") == 0);
}

static void
moment(struct scene *s)
{
	hour_without(s, 3000);
}

static void
hour(struct scene *s)
{
	hour_without(s, 60000);
}

#define SHORT "attr_ttl_ms=50 store_wait_ms=1000"

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
	{ "offline-create", "a store is away; CREATE, MKDIR, SYMLINK, RENAME, "
	  "REMOVE, RMDIR / at once, and in the bucket when it is back",
	  changes, SHORT, false },
	{ "offline-kill", "... and kill -9, and a start without the store",
	  killed, SHORT, false },
	{ "offline-conflict", "... others made and changed the same / theirs "
	  "keep the names, ours are beside", losers, SHORT, false },
	{ "offline-rmdir", "... others put a file into a directory that was "
	  "removed / it is there", refilled, SHORT, false },
	{ "offline-moment", "three clients at work, the store fails in four "
	  "ways, kill -9 in it / nothing answered is lost, and all is in the "
	  "bucket when it is back", moment, SHORT, false },
	{ "offline-hour", "... for long", hour, SHORT, true },
	{ "offline-wait", "offline=wait / nothing is told that is old", waits,
	  SHORT " offline=wait", false })
