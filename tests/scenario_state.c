/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a start finds in the state directory and cannot explain, or was not
 * asked for: it is kept, told and listed.  docs/design.md, "What a start does
 * with what it finds".
 */
#include <config.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/scenario.h"

#define BIG ((size_t)300000)	/* more than lies in the database alone */

static unsigned char *
pattern(size_t len, uint32_t seed)
{
	unsigned char *p = malloc(len);

	CHECK(p != NULL);
	fill(p, len, seed);
	return p;
}

/* From the next start on the daemon has another bucket, and export. */
static void
elsewhere(struct scene *s, const char *name)
{
	char path[320];

	snprintf(path, sizeof(path), "%s/%s", s->dir, name);
	CHECK(mkdir(path, 0700) == 0);
	snprintf(s->url, sizeof(s->url), "file://%s", path);
}

/* A committed file of its own data file, which S3 does not take now. */
static struct nc_fh
owe(struct scene *s, const char *name, const unsigned char *data)
{
	char rule[128];
	struct nc_fh f;

	snprintf(rule, sizeof(rule), "op=put key=%s error=EIO", name);
	scene_faults(s, rule);
	f = create(&s->a, s, name);
	OK(put_many(&s->a, &f, 0, data, BIG, UNSTABLE));
	OK(commit(&s->a, &f));
	return f;
}

/* The export's row of `absent` in status; NULL if it has none. */
static json_t *
absent(struct scene *s, const char *export)
{
	json_t *status = ctl(s, "status"), *row = NULL, *one;
	size_t i;

	json_array_foreach(json_object_get(status, "absent"), i, one) {
		const char *name = json_string_value(
			json_object_get(one, "export"));

		if (strcmp(name, export) == 0)
			row = json_incref(one);
	}
	json_decref(status);
	return row;
}

static long long
number(const json_t *row, const char *key)
{
	return json_integer_value(json_object_get(row, key));
}

static void
left_out(struct scene *s)
{
	unsigned char *data = pattern(BIG, 1);
	char url[512], export[256], line[400];
	json_t *row;

	strcpy(url, s->url);
	strcpy(export, s->export);
	make(s, "gone", "x");
	owe(s, "f", data);
	scene_faults(s, "op=put,copy,delete error=EIO");
	create_in(s, &s->root, "small", "committed");
	look(&s->a, s, "gone");
	OK(nc_remove(&s->a, &s->root, "gone"));
	CHECK(scene_stop(s) == 0);
	elsewhere(s, "other");
	for (int i = 0; i < 2; i++) {
		scene_start(s);
		snprintf(line, sizeof(line), "export=%s is not served; what "
			 "waits for its bucket is kept: files=2 bytes=%zu "
			 "deletions=1", export, BIG + 9);
		CHECK(scene_logged(s, line) == (unsigned)i + 1);
		row = absent(s, export);
		CHECK(row != NULL && number(row, "files") == 2 &&
		      number(row, "bytes") == (long long)BIG + 9 &&
		      number(row, "deletions") == 1);
		json_decref(row);
		CHECK(ctl_status(s, "flush --all") == 0);
		CHECK(scene_stop(s) == 0);
	}
	strcpy(s->url, url);
	scene_faults(s, "");
	scene_start(s);
	CHECK(absent(s, export) == NULL);
	CHECK(ctl_status(s, "flush --all") == 0);
	CHECK(object_has(s, "f", data, BIG));
	CHECK(object_is(s, "small", "committed"));
	CHECK(object_absent(s, "gone"));
	free(data);
}

/* The one entry of the quarantine. */
static int
only_entry(struct scene *s, long long bytes)
{
	json_t *list;
	int id;

	WITHIN(20000, status_number(s, "quarantined") == 1);
	list = ctl(s, "quarantine list");
	id = (int)number(json_array_get(list, 0), "id");
	CHECK(number(json_array_get(list, 0), "bytes") == bytes);
	json_decref(list);
	return id;
}

static void
without_bytes(struct scene *s)
{
	unsigned char *data = pattern(BIG, 2);
	struct nc_fh f = make(s, "f", "old");
	int id;

	scene_faults(s, "op=put key=f error=EACCES");
	OK(nc_truncate(&s->a, &f, 0));
	id = only_entry(s, 0);
	scene_faults(s, "op=put key=f error=EIO");
	SOON(20000, put(&s->a, &f, 0, "x", UNSTABLE), NFS3ERR_IO);
	SOON(20000, put_many(&s->a, &f, 0, data, BIG, UNSTABLE), NFS3_OK);
	OK(commit(&s->a, &f));
	scene_crash(s);
	CHECK(only_entry(s, 0) == id);
	CHECK(reads_many(&s->b, &f, data, BIG));
	OK(ctl_status(s, "quarantine drop %d", id));
	scene_crash(s);
	CHECK(reads_many(&s->b, &f, data, BIG));
	scene_faults(s, "");
	CHECK(ctl_status(s, "flush --all") == 0);
	CHECK(object_has(s, "f", data, BIG));
	free(data);
}

/* Its bytes were lost; those of the file as it is now are not its. */
static void
bytes_gone(struct scene *s)
{
	unsigned char *data = pattern(BIG, 3), *now = pattern(BIG, 4);
	char command[512];
	struct nc_fh f;
	int id;

	f = make(s, "f", "old");
	scene_faults(s, "op=put key=f error=EACCES");
	OK(put_many(&s->a, &f, 0, data, BIG, UNSTABLE));
	OK(commit(&s->a, &f));
	id = only_entry(s, (long long)BIG);
	scene_faults(s, "");
	object_put(s, "f", now, BIG, NULL);
	WITHIN(20000, reads_many(&s->b, &f, now, BIG));
	scene_kill(s);
	snprintf(command, sizeof(command), "rm '%s'/state/quarantine/*",
		 s->dir);
	CHECK(system(command) == 0);
	scene_start(s);
	CHECK(scene_logged(s, "cannot find quarantined bytes") == 1);
	CHECK(reads_many(&s->b, &f, now, BIG));
	IS(ctl_status(s, "quarantine save %d %s/saved", id, s->dir), 1);
	OK(ctl_status(s, "quarantine drop %d", id));
	CHECK(reads_many(&s->b, &f, now, BIG));
	free(data);
	free(now);
}

static void
shell(struct scene *s, const char *format)
{
	char command[1024];

	snprintf(command, sizeof(command), "cd '%s' && %s", s->dir, format);
	CHECK(system(command) == 0);
}

/* A gateway with an empty disk takes its place: what clients have mounted is
 * still what they mounted. */
static void
new_gateway(struct scene *s)
{
	struct nc_fh root = s->root, f, d;
	fattr3 before, after;

	d = mkdir_in(s, &root, "d");
	f = create_in(s, &d, "f", "text");
	OK(ctl_status(s, "flush --all"));
	OK(nc_getattr(&s->a, &root, &before));
	CHECK(scene_stop(s) == 0);
	shell(s, "rm -rf state && mkdir -m 700 state");
	scene_start(s);
	OK(nc_getattr(&s->a, &root, &after));
	CHECK(after.fileid == before.fileid && after.fsid == before.fsid);
	IS(nc_getattr(&s->a, &f, NULL), NFS3ERR_STALE);
	IS(nc_getattr(&s->a, &d, NULL), NFS3ERR_STALE);
	d = look_in(&s->a, &root, "d");
	f = look_in(&s->a, &d, "f");
	CHECK(reads(&s->a, &f, "text"));
	OK(put(&s->a, &f, 0, "next", FILE_SYNC));
}

/* The state directory is put back from a copy. */
static void
rolled_back(struct scene *s)
{
	struct nc_fh root = s->root, before, since, dir, now;

	before = create_in(s, &root, "before", "1");
	OK(ctl_status(s, "flush --all"));
	CHECK(scene_stop(s) == 0);
	shell(s, "cp -a state copy");
	scene_start(s);
	since = create_in(s, &root, "since", "since");
	dir = mkdir_in(s, &root, "dir");
	OK(ctl_status(s, "flush --all"));
	CHECK(scene_stop(s) == 0);
	shell(s, "rm -rf state && mv copy state");
	scene_start(s);
	now = create_in(s, &root, "now", "now");
	mkdir_in(s, &root, "other");
	IS(nc_getattr(&s->a, &since, NULL), NFS3ERR_STALE);
	IS(put(&s->a, &since, 0, "old", FILE_SYNC), NFS3ERR_STALE);
	IS(nc_lookup(&s->a, &dir, "x", NULL, NULL), NFS3ERR_STALE);
	CHECK(reads(&s->a, &now, "now"));
	CHECK(reads(&s->a, &before, "1"));
	since = look(&s->a, s, "since");
	CHECK(reads(&s->a, &since, "since"));
}

/* clang-format off */
SCENARIOS(
	{ "state-absent", "stopped with uploads pending, started without that "
	  "export / kept and told, and sent when it is back", left_out,
	  "settle_ms=60000 server.shutdown_timeout_ms=100", false },
	{ "state-no-bytes", "a refused truncation is kept / no start takes "
	  "the file's present bytes for it, nor does drop", without_bytes,
	  NULL, false },
	{ "state-bytes-gone", "quarantined bytes were removed / said, and the "
	  "file's present ones are not taken for them", bytes_gone,
	  "attr_ttl_ms=50", false },
	{ "state-new", "a gateway with an empty state directory takes over / "
	  "the root's handle is good, all others are stale", new_gateway,
	  NULL, false },
	{ "state-back", "the state directory is put back from a copy / handles "
	  "given out since are stale, and no other file's", rolled_back,
	  NULL, false })
