/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What S3 refused for good, in the hands of the operator: `s3nfsctl
 * quarantine list, save, retry, drop` on entries that real uploads made, also
 * after the daemon was killed.
 */

#define _GNU_SOURCE
#include <config.h>

#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/scenario.h"

#define MB ((size_t)1 << 20)

/* The entry of this file; there is one. */
static json_t *
entry(struct scene *s, const char *name)
{
	json_t *list, *row = NULL;
	char path[600];
	size_t i;

	WITHIN(20000, quarantined(s, name) == 1);
	list = ctl(s, "quarantine list");
	snprintf(path, sizeof(path), "%s/%s", s->export, name);
	for (i = 0; i < json_array_size(list); i++) {
		row = json_array_get(list, i);
		if (strcmp(json_string_value(json_object_get(row, "path")),
			   path) == 0)
			break;
	}
	CHECK(i < json_array_size(list));
	row = json_incref(row);
	json_decref(list);
	return row;
}

static long long
number(const json_t *row, const char *key)
{
	return json_integer_value(json_object_get(row, key));
}

static bool
text_has(const json_t *row, const char *key, const char *want)
{
	const char *text = json_string_value(json_object_get(row, key));

	return text != NULL && strstr(text, want) != NULL;
}

static int
id_of(struct scene *s, const char *name)
{
	json_t *row = entry(s, name);
	int id = (int)number(row, "id");

	json_decref(row);
	return id;
}

/* Was this the last thing that s3nfsctl complained of? */
static bool
complained(struct scene *s, const char *text)
{
	char path[300], line[1024], last[1024] = "";
	FILE *f;

	snprintf(path, sizeof(path), "%s/ctl.err", s->dir);
	f = fopen(path, "r");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		strcpy(last, line);
	if (f != NULL)
		fclose(f);
	if (strstr(last, text) == NULL)
		printf("    it said: %s", last);
	return strstr(last, text) != NULL;
}

static bool
file_has(struct scene *s, const char *name, const void *data, size_t len)
{
	char path[300], *got = malloc(len + 1);
	size_t n = 0;
	FILE *f;
	bool same;

	snprintf(path, sizeof(path), "%s/%s", s->dir, name);
	f = fopen(path, "r");
	if (f != NULL) {
		n = fread(got, 1, len + 1, f);
		fclose(f);
	}
	same = f != NULL && n == len && memcmp(got, data, len) == 0;
	free(got);
	return same;
}

/* Files in the quarantine directory, and the space they take. */
static unsigned
kept_files(struct scene *s, uint64_t *bytes)
{
	char path[600];
	struct dirent *e;
	struct stat st;
	unsigned n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/state/quarantine", s->dir);
	dir = opendir(path);
	CHECK(dir != NULL);
	*bytes = 0;
	while ((e = readdir(dir)) != NULL) {
		snprintf(path, sizeof(path), "%s/state/quarantine/%.200s",
			 s->dir, e->d_name);
		if (e->d_name[0] == '.' || stat(path, &st) < 0)
			continue;
		*bytes += (uint64_t)st.st_blocks * 512;
		n++;
	}
	closedir(dir);
	return n;
}

static bool
all_gone(struct scene *s, const char *name)
{
	uint64_t bytes;

	return quarantined(s, name) == 0 && kept_files(s, &bytes) == 0 &&
	       status_number(s, "quarantined") == 0;
}

/* A changes f, and S3 says no, also later. */
static struct nc_fh
refused(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");

	scene_faults(s, "op=put key=f error=EACCES");
	OK(put(&s->a, &f, 0, "A's bytes", UNSTABLE));
	OK(commit(&s->a, &f));
	return f;
}

static void
looks_right(struct scene *s, const char *error)
{
	json_t *row = entry(s, "f");

	CHECK(number(row, "size") == 9 && number(row, "bytes") == 9);
	CHECK(text_has(row, "key", "f") && text_has(row, "client", "a@"));
	CHECK(text_has(row, "error", error) && text_has(row, "since", "T"));
	json_decref(row);
}

static void
by_the_operator(struct scene *s)
{
	struct nc_fh f = refused(s);
	int id = id_of(s, "f");

	looks_right(s, "AccessDenied");
	OK(ctl_status(s, "quarantine save %d %s/one", id, s->dir));
	CHECK(file_has(s, "one", "A's bytes", 9));
	/* What is not there, what is there already, and where it cannot be. */
	IS(ctl_status(s, "quarantine save %d %s/one", id, s->dir), 1);
	CHECK(complained(s, "/one: there is a file of that name already"));
	CHECK(file_has(s, "one", "A's bytes", 9));
	IS(ctl_status(s, "quarantine save %d %s/no/one", id, s->dir), 1);
	CHECK(complained(s, "there is no such directory"));
	IS(ctl_status(s, "quarantine save %d %s/two", id + 1, s->dir), 1);
	CHECK(complained(s, "nothing with this id is kept"));
	IS(ctl_status(s, "quarantine retry %d", id + 1), 1);
	CHECK(complained(s, "nothing with this id is kept"));
	IS(ctl_status(s, "quarantine drop %d", id + 1), 1);
	CHECK(complained(s, "nothing with this id is kept"));
	IS(ctl_status(s, "quarantine drop f"), 2);
	scene_crash(s);
	looks_right(s, "AccessDenied");
	CHECK(id_of(s, "f") == id);
	OK(ctl_status(s, "quarantine save %d %s/two", id, s->dir));
	CHECK(file_has(s, "two", "A's bytes", 9));
	/* S3 has not changed its mind. */
	IS(ctl_status(s, "quarantine retry %d", id), 1);
	CHECK(complained(s, "Permission denied: AccessDenied"));
	CHECK(complained(s, "it is still kept"));
	looks_right(s, "AccessDenied");
	CHECK(reads(&s->b, &f, "old"));
	scene_faults(s, "");
	OK(ctl_status(s, "quarantine retry %d", id));
	CHECK(object_is(s, "f", "A's bytes"));
	CHECK(all_gone(s, "f"));
	CHECK(reads(&s->b, &f, "A's bytes"));
	CHECK(size_of(&s->c, &f) == 9);
	IS(ctl_status(s, "quarantine retry %d", id), 1);
	/* And the file is a file like others. */
	SOON(20000, put(&s->b, &f, 0, "B", FILE_SYNC), NFS3_OK);
	OK(ctl_status(s, "flush --all"));
	CHECK(object_is(s, "f", "B's bytes"));
}

static void
never_there(struct scene *s)
{
	struct nc_set mode = { .mode_set = true, .mode = 0600 };
	struct nc_fh f;
	fattr3 before, after;
	int id;

	scene_faults(s, "op=put key=f error=EACCES");
	f = create(&s->a, s, "f");
	OK(put(&s->a, &f, 0, "A's bytes", UNSTABLE));
	OK(nc_setattr(&s->a, &f, &mode, NULL));
	OK(nc_getattr(&s->a, &f, &before));
	OK(commit(&s->a, &f));
	id = id_of(s, "f");
	WITHIN(20000, nc_lookup(&s->b, &s->root, "f", NULL, NULL) ==
			      NFS3ERR_NOENT);
	scene_crash(s);
	scene_faults(s, "");
	OK(ctl_status(s, "quarantine retry %d", id));
	CHECK(object_is(s, "f", "A's bytes"));
	CHECK(all_gone(s, "f"));
	OK(nc_lookup(&s->b, &s->root, "f", &f, &after));
	CHECK(after.size == 9 && (after.mode & 0777) == 0600);
	CHECK(after.mtime.seconds == before.mtime.seconds);
	CHECK(reads(&s->b, &f, "A's bytes"));
}

/* A changed a MiB of a large object, and S3 will not have it. */
static struct nc_fh
large(struct scene *s, unsigned char **want, size_t len)
{
	unsigned char *data = *want = malloc(len);
	struct nc_fh f;

	CHECK(data != NULL);
	fill(data, len, 5);
	object_put(s, "f", data, len, NULL);
	f = look(&s->a, s, "f");
	fill(data + 9 * MB + 77, MB, 6);
	scene_faults(s, "op=create key=f error=EACCES");
	OK(put_many(&s->a, &f, 9 * MB + 77, data + 9 * MB + 77, MB,
		    UNSTABLE));
	OK(commit(&s->a, &f));
	return f;
}

static void
a_part_of_it(struct scene *s)
{
	size_t len = 24 * MB;
	unsigned char *want;
	struct nc_fh f = large(s, &want, len);
	json_t *row = entry(s, "f");
	int id = (int)number(row, "id");

	CHECK(number(row, "size") == (long long)len);
	CHECK(number(row, "bytes") == (long long)MB);
	json_decref(row);
	OK(ctl_status(s, "quarantine save %d %s/all", id, s->dir));
	CHECK(file_has(s, "all", want, len));
	/* Killed in the midst of a second try. */
	scene_kill(s);
	scene_env(s, "S3NFSD_FAIL", "retry-part:2");
	scene_start(s);
	scene_faults(s, "");
	CHECK(ctl_status(s, "quarantine retry %d", id) != 0);
	scene_wait_dead(s, 20000);
	CHECK(uploads_left(s) == 1);
	scene_env(s, "S3NFSD_FAIL", NULL);
	scene_start(s);
	CHECK(id_of(s, "f") == id);
	CHECK(!reads_many(&s->b, &f, want, len));
	OK(ctl_status(s, "quarantine retry %d", id));
	CHECK(object_has(s, "f", want, len));
	CHECK(uploads_left(s) == 0);
	CHECK(all_gone(s, "f"));
	CHECK(reads_many(&s->b, &f, want, len));
	free(want);
}

static void
base_gone(struct scene *s)
{
	size_t len = 24 * MB;
	unsigned char *want, *saved;
	struct nc_fh f = large(s, &want, len);
	int id = id_of(s, "f");
	json_t *result;

	object_put(s, "f", "theirs", 6, NULL);
	scene_faults(s, "");
	IS(ctl_status(s, "quarantine retry %d", id), 1);
	CHECK(complained(s, "was changed or removed since"));
	CHECK(object_is(s, "f", "theirs"));
	object_remove(s, "f");
	IS(ctl_status(s, "quarantine retry %d", id), 1);
	CHECK(complained(s, "can be saved to a file"));
	CHECK(object_absent(s, "f"));
	/* Nobody has the rest of it any more, and that is said. */
	result = ctl(s, "quarantine save %d %s/all", id, s->dir);
	CHECK(number(result, "missing_bytes") == (long long)(len - MB));
	json_decref(result);
	saved = calloc(1, len);
	CHECK(saved != NULL);
	memcpy(saved + 9 * MB + 77, want + 9 * MB + 77, MB);
	CHECK(file_has(s, "all", saved, len));
	OK(ctl_status(s, "quarantine drop %d", id));
	CHECK(all_gone(s, "f"));
	(void)f;
	free(saved);
	free(want);
}

static void
precondition(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");
	int id;

	OK(put(&s->a, &f, 0, "A's bytes", UNSTABLE));
	object_put(s, "f", "theirs", 6, NULL);
	OK(commit(&s->a, &f));
	/* That it is refused is told, unless it was so before. */
	CHECK(ctl_status(s, "flush --all") <= 1);
	looks_right(s, "changed by somebody else");
	id = id_of(s, "f");
	scene_crash(s);
	IS(ctl_status(s, "quarantine retry %d", id), 1);
	CHECK(complained(s, "was changed or removed since"));
	CHECK(object_is(s, "f", "theirs"));
	CHECK(reads(&s->b, &f, "theirs"));
	/* They make way: all of ours is here. */
	object_remove(s, "f");
	OK(ctl_status(s, "quarantine retry %d", id));
	CHECK(object_is(s, "f", "A's bytes"));
	CHECK(all_gone(s, "f"));
	f = look(&s->b, s, "f");
	CHECK(reads(&s->b, &f, "A's bytes"));
}

static void
in_use(struct scene *s)
{
	struct nc_fh f = refused(s);
	int id = id_of(s, "f");

	SOON(20000, put(&s->b, &f, 0, "B", UNSTABLE), NFS3_OK);
	scene_faults(s, "");
	IS(ctl_status(s, "quarantine retry %d", id), 1);
	CHECK(complained(s, "the file is being written"));
	OK(commit(&s->b, &f));
	OK(ctl_status(s, "flush --all"));
	CHECK(object_is(s, "f", "Bld"));
	/* Now it would replace a version that A has not seen. */
	IS(ctl_status(s, "quarantine retry %d", id), 1);
	CHECK(complained(s, "was changed or removed since"));
	CHECK(object_is(s, "f", "Bld"));
	OK(ctl_status(s, "quarantine save %d %s/mine", id, s->dir));
	CHECK(file_has(s, "mine", "A's bytes", 9));
}

static void
under_a_new_name(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old"), g;
	int id;

	OK(put(&s->a, &f, 0, "A's bytes", UNSTABLE));
	OK(nc_rename(&s->a, &s->root, "f", &s->root, "g"));
	scene_faults(s, "op=put,copy key=g error=EACCES");
	OK(commit(&s->a, &f));
	id = id_of(s, "g");
	/* The old name is back, with what it had. */
	WITHIN(20000, nc_lookup(&s->b, &s->root, "f", &f, NULL) == NFS3_OK);
	CHECK(reads(&s->b, &f, "old"));
	scene_faults(s, "");
	OK(ctl_status(s, "quarantine retry %d", id));
	CHECK(object_is(s, "g", "A's bytes") && object_is(s, "f", "old"));
	CHECK(all_gone(s, "g"));
	g = look(&s->b, s, "g");
	CHECK(reads(&s->b, &g, "A's bytes") && reads(&s->b, &f, "old"));
}

static void
dropped(struct scene *s)
{
	size_t len = 8 * MB;
	unsigned char *data = malloc(len);
	static const char *const steps[] = { "drop-before-row",
					     "drop-after-row" };
	uint64_t bytes;
	struct nc_fh f = make(s, "f", "old");
	int id;

	CHECK(data != NULL);
	fill(data, len, 7);
	scene_faults(s, "op=put key=f error=EACCES");
	OK(put_many(&s->a, &f, 0, data, len, UNSTABLE));
	OK(commit(&s->a, &f));
	id = id_of(s, "f");
	CHECK(kept_files(s, &bytes) == 1 && bytes >= len);
	for (int i = 0; i < 2; i++) {
		scene_kill(s);
		scene_env(s, "S3NFSD_FAIL", steps[i]);
		scene_start(s);
		CHECK(ctl_status(s, "quarantine drop %d", id) != 0);
		scene_wait_dead(s, 20000);
		scene_env(s, "S3NFSD_FAIL", NULL);
		scene_start(s);
		if (i == 0) {
			OK(ctl_status(s, "quarantine save %d %s/saved", id,
				      s->dir));
			CHECK(file_has(s, "saved", data, len));
		}
	}
	CHECK(all_gone(s, "f"));
	scene_kill(s);
	scene_start(s);
	CHECK(all_gone(s, "f"));
	CHECK(reads(&s->b, &f, "old"));
	free(data);
}

static void
dropped_at_once(struct scene *s)
{
	struct nc_fh f = refused(s);
	int id = id_of(s, "f");

	OK(ctl_status(s, "quarantine drop %d", id));
	CHECK(all_gone(s, "f"));
	IS(ctl_status(s, "quarantine save %d %s/late", id, s->dir), 1);
	CHECK(complained(s, "nothing with this id is kept"));
	scene_crash(s);
	CHECK(all_gone(s, "f"));
	CHECK(reads(&s->b, &f, "old") && object_is(s, "f", "old"));
}

static void
no_space(struct scene *s)
{
	size_t len = 4 * MB;
	unsigned char *data = malloc(len);
	char path[300];
	struct nc_fh f;
	int id;

	CHECK(data != NULL);
	if (unshare(CLONE_NEWNS) < 0) {
		printf("    not root: not tried\n");
		exit(0);
	}
	CHECK(scene_stop(s) == 0);
	snprintf(path, sizeof(path), "%s/small", s->dir);
	CHECK(mkdir(path, 0700) == 0);
	CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	CHECK(mount("small", path, "tmpfs", 0, "size=3m") == 0);
	scene_start(s);
	f = make(s, "f", "old");
	fill(data, len, 8);
	scene_faults(s, "op=put key=f error=EACCES");
	OK(put_many(&s->a, &f, 0, data, len, UNSTABLE));
	OK(commit(&s->a, &f));
	id = id_of(s, "f");
	IS(ctl_status(s, "quarantine save %d %s/file", id, path), 1);
	CHECK(complained(s, "there is not enough space for it"));
	/* Nothing half is left, and it is kept still. */
	CHECK(!file_has(s, "small/file", data, 0));
	snprintf(path, sizeof(path), "%s/small/file", s->dir);
	CHECK(access(path, F_OK) < 0);
	OK(ctl_status(s, "quarantine save %d %s/file", id, s->dir));
	CHECK(file_has(s, "file", data, len));
	free(data);
}

SCENARIOS(
	{ "q-operator", "S3 refused A's PUT (403) / it is listed, saved, tried "
	  "again once S3 takes it; wrong ids and names are told",
	  by_the_operator, NULL, false },
	{ "q-new", "the same of a new file / its name is gone, and is back with "
	  "bytes, mode and time after a retry", never_there,
	  "create_settle_ms=20000", false },
	{ "q-part", "a change within a large object was refused / saved whole; "
	  "a retry that was killed is made good by the next", a_part_of_it,
	  NULL, false },
	{ "q-base-gone", "the object it is a change of is gone / retry says so, "
	  "save gives what there is", base_gone, NULL, false },
	{ "q-412", "somebody else's object was in the way (412) / retry does "
	  "not overwrite it, and works when it is gone", precondition,
	  "on_conflict=fail", false },
	{ "q-in-use", "B writes the file meanwhile / retry waits for the "
	  "operator's decision", in_use, NULL, false },
	{ "q-renamed", "a renamed file was refused under its new name / the old "
	  "name is back, retry makes the new one", under_a_new_name, NULL,
	  false },
	{ "q-drop", "drop, killed at either step / kept as it was, or gone with "
	  "its space", dropped, NULL, false },
	{ "q-dropped", "drop / gone, also after a crash", dropped_at_once,
	  NULL, false },
	{ "q-no-space", "save where there is no room / said, nothing half is "
	  "left", no_space, NULL, false })
