/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk of the gateway is full, really: its state directory lies on a
 * small file system of its own, in a mount namespace of the scenario's
 * process.  Takes root; skipped without.
 */

#define _GNU_SOURCE
#include <config.h>

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "tests/scenario.h"

#define KB ((size_t)1024)
#define MB (1024 * KB)

/* A fresh daemon whose state lies on a disk of that size. */
static void
small_disk(struct scene *s, const char *size)
{
	char path[300], options[64];

	if (unshare(CLONE_NEWNS) < 0) {
		printf("    not root: not tried\n");
		exit(0);
	}
	CHECK(scene_stop(s) == 0);
	snprintf(path, sizeof(path), "%s/state", s->dir);
	snprintf(options, sizeof(options), "size=%s", size);
	CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	CHECK(mount("small", path, "tmpfs", 0, options) == 0);
	scene_start(s);
	scene_reconnect(s);
}

/* WRITEs until one fails for good; how much was taken. */
static uint64_t
fill_up(struct scene *s, const struct nc_fh *f, int *error)
{
	static unsigned char data[65536];
	uint64_t until = scene_now_ms() + 20000, off = 0;

	fill(data, sizeof(data), 1);
	while (scene_now_ms() < until) {
		*error = nc_write(&s->a, f, off, data, sizeof(data), UNSTABLE,
				  NULL);
		if (*error == NFS3_OK)
			off += sizeof(data);
		else if (*error != NFS3ERR_JUKEBOX)
			break;
		else
			scene_pause();
	}
	return off;
}

static void
full(struct scene *s)
{
	struct nc_fh kept, big, more;
	uint64_t len;
	int error = 0;

	small_disk(s, "64m");
	scene_faults(s, "op=put,create,part hold");
	kept = create(&s->a, s, "kept");
	OK(put(&s->a, &kept, 0, "these were committed", UNSTABLE));
	OK(commit(&s->a, &kept));
	big = create(&s->a, s, "big");
	len = fill_up(s, &big, &error);
	CHECK(error == NFS3ERR_NOSPC);
	CHECK(len > 8 * MB && len < 64 * MB);
	/* What was committed is there, and what was taken can be, still. */
	CHECK(reads(&s->a, &kept, "these were committed"));
	OK(commit(&s->a, &big));
	CHECK(size_of(&s->a, &big) == len);
	scene_crash(s);
	CHECK(reads(&s->a, &kept, "these were committed"));
	CHECK(size_of(&s->a, &big) == len);
	/* Room is made by removing, too. */
	OK(nc_remove(&s->a, &s->root, "big"));
	scene_faults(s, "");
	WITHIN(10000, object_is(s, "kept", "these were committed"));
	WITHIN(10000, nc_create(&s->a, &s->root, "more", UNCHECKED, NULL, NULL,
				&more, NULL) == NFS3_OK);
	OK(put(&s->a, &more, 0, "and on it goes", UNSTABLE));
	OK(commit(&s->a, &more));
	WITHIN(10000, object_is(s, "more", "and on it goes"));
	CHECK(status_number(s, "invariant_failures") == 0);
}

/* Many small files: it is the database that has no room. */
static void
full_database(struct scene *s)
{
	char name[32], text[32];
	struct nc_fh f;
	unsigned made = 0;
	int r = 0;

	small_disk(s, "24m");
	scene_faults(s, "op=put,create,part hold");
	for (; made < 20000 && r == 0; made++) {
		snprintf(name, sizeof(name), "file%05u", made);
		r = nc_create(&s->a, &s->root, name, UNCHECKED, NULL, NULL, &f,
			      NULL);
		if (r == 0)
			r = nc_write(&s->a, &f, 0, name, (uint32_t)strlen(name),
				     FILE_SYNC, NULL);
	}
	CHECK(r == NFS3ERR_NOSPC || r == NFS3ERR_JUKEBOX);
	CHECK(made > 50);
	scene_crash(s);
	scene_faults(s, "");
	/* Each that was answered with OK reaches the bucket. */
	for (unsigned i = 0; i + 1 < made; i += 7) {
		snprintf(text, sizeof(text), "file%05u", i);
		WITHIN(60000, object_is(s, text, text));
	}
	CHECK(status_number(s, "invariant_failures") == 0);
}

/* Each time under another name: one that is there is made anew. */
static bool
create_fails_for_space(struct scene *s)
{
	static _Atomic unsigned made;
	char name[32];

	snprintf(name, sizeof(name), "g%u", made++);
	return nc_create(&s->a, &s->root, name, UNCHECKED, NULL, NULL, NULL,
			 NULL) == NFS3ERR_NOSPC;
}

/* Somebody else takes all that is left. */
static void
full_by_others(struct scene *s)
{
	static char zeros[65536];
	char path[300];
	struct nc_fh f;
	FILE *other;
	int r = 0;

	small_disk(s, "40m");
	scene_faults(s, "op=put hold");
	f = create(&s->a, s, "f");
	OK(put(&s->a, &f, 0, "written before", UNSTABLE));
	snprintf(path, sizeof(path), "%s/state/other", s->dir);
	other = fopen(path, "w");
	CHECK(other != NULL);
	while (fwrite(zeros, 1, sizeof(zeros), other) == sizeof(zeros))
		;
	(void)fclose(other);
	/* Nothing new, once it was looked at again; but what was begun is
	 * ended. */
	WITHIN(3000, create_fails_for_space(s));
	for (unsigned i = 0; r == 0 && i < 100; i++)
		r = nc_commit(&s->a, &f, 0, 0, NULL);
	CHECK(r == 0);
	scene_crash(s);
	CHECK(reads(&s->a, &f, "written before"));
	scene_faults(s, "");
	WITHIN(10000, object_is(s, "f", "written before"));
	OK(nc_remove(&s->a, &s->root, "f"));
	WITHIN(10000, object_absent(s, "f"));
	CHECK(remove(path) == 0);
	f = create(&s->a, s, "g");
}

SCENARIOS(
	{ "full-disk", "the disk is full / NFS3ERR_NOSPC, all that was "
	  "committed stays, and goes on when there is room", full,
	  "server.cache_size=10G settle_ms=200", false },
	{ "full-database", "the database finds the disk full / an error, "
	  "nothing that was answered is lost", full_database,
	  "server.cache_size=10G settle_ms=200", false },
	{ "full-by-others", "another program fills the disk / no new names, "
	  "COMMIT and REMOVE work, and so does a restart", full_by_others,
	  "settle_ms=200", false })
