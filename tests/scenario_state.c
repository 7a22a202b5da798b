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

		if (strncmp(name, export, strlen(export)) == 0)
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
	/* By us, and the daemon may have seen an invariant broken. */
	CHECK(scene_stop(s) == 0);
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

/* The entry of the quarantine whose path or error has this text. */
static int
entry_with(struct scene *s, const char *key, const char *text, long long size)
{
	json_t *list = ctl(s, "quarantine list"), *one;
	int id = 0;
	size_t i;

	json_array_foreach(list, i, one) {
		const char *value =
			json_string_value(json_object_get(one, key));

		if (strstr(value, text) != NULL &&
		    number(one, "size") == size)
			id = (int)number(one, "id");
	}
	json_decref(list);
	CHECK(id != 0);
	return id;
}

static bool
saved(struct scene *s, int id, const char *to, const unsigned char *data)
{
	char path[320];
	unsigned char *got = malloc(BIG + 1);
	size_t n;
	FILE *f;
	bool same;

	CHECK(got != NULL);
	OK(ctl_status(s, "quarantine save %d %s/%s", id, s->dir, to));
	snprintf(path, sizeof(path), "%s/%s", s->dir, to);
	f = fopen(path, "r");
	CHECK(f != NULL);
	n = fread(got, 1, BIG + 1, f);
	fclose(f);
	same = n == BIG && memcmp(got, data, BIG) == 0;
	free(got);
	return same;
}

static void
database_lost(struct scene *s)
{
	unsigned char *data = pattern(BIG, 5), *other = pattern(BIG, 6);
	int id;

	owe(s, "f", data);
	scene_kill(s);
	shell(s, "mkdir away && mv state/meta.db* away/");
	for (int i = 0; i < 2; i++) {
		IS(scene_refused(s), 1);
		CHECK(scene_logged(s, "its database (meta.db) is missing; "
				      "put the right one back, or start once "
				      "with --accept-state") == (unsigned)i + 1);
	}
	/* The way out of it, and the other one. */
	shell(s, "cp -a state lost && rm state/meta.db* && "
		 "mv away/* state/");
	scene_start(s);
	OK(ctl_status(s, "quarantine list"));
	CHECK(status_number(s, "quarantined") == 0);
	CHECK(scene_stop(s) == 0);
	shell(s, "rm -rf state && mv lost state");
	scene_set(s, "server.accept_state", "1");
	scene_start(s);
	CHECK(status_number(s, "quarantined") == 1);
	id = entry_with(s, "error", "the database does not know it", BIG);
	scene_set(s, "server.accept_state", "0");
	owe(s, "g", other);
	scene_crash(s);
	CHECK(status_number(s, "quarantined") == 1);
	CHECK(saved(s, id, "saved", data));
	IS(ctl_status(s, "quarantine retry %d", id), 1);
	OK(ctl_status(s, "quarantine drop %d", id));
	scene_crash(s);
	scene_faults(s, "");
	OK(ctl_status(s, "flush --all"));
	CHECK(object_has(s, "g", other, BIG));
	CHECK(status_number(s, "quarantined") == 0);
	free(data);
	free(other);
}

/* meta.db is put back from a copy; the data files are newer. */
static void
database_older(struct scene *s)
{
	unsigned char *old = pattern(BIG, 7), *new = pattern(BIG, 8);

	owe(s, "old", old);
	CHECK(scene_stop(s) == 0);
	shell(s, "cp -a state/meta.db copy");
	scene_start(s);
	owe(s, "new", new);
	scene_faults(s, "op=put error=EIO");
	CHECK(scene_stop(s) == 0);
	shell(s, "rm state/meta.db* && cp -a copy state/meta.db");
	IS(scene_refused(s), 1);
	CHECK(scene_logged(s, "its database is older than its data files") ==
	      1);
	scene_set(s, "server.accept_state", "1");
	scene_faults(s, "");
	scene_start(s);
	scene_set(s, "server.accept_state", "0");
	CHECK(status_number(s, "quarantined") == 1);
	CHECK(saved(s, entry_with(s, "error", "does not know it", BIG),
		    "saved", new));
	OK(ctl_status(s, "flush --all"));
	CHECK(object_has(s, "old", old, BIG));
	CHECK(object_absent(s, "new"));
	scene_crash(s);
	CHECK(status_number(s, "quarantined") == 1);
	free(old);
	free(new);
}

/* A file that the old database knows has got other bytes since. */
static void
database_mixed(struct scene *s)
{
	unsigned char *old = pattern(BIG, 9), *new = pattern(BIG, 10);
	struct nc_fh f = owe(s, "f", old);

	CHECK(scene_stop(s) == 0);
	shell(s, "cp -a state/meta.db copy");
	scene_start(s);
	scene_faults(s, "op=put error=EIO");
	SOON(20000, put_many(&s->a, &f, 0, new, BIG, UNSTABLE), NFS3_OK);
	OK(commit(&s->a, &f));
	CHECK(scene_stop(s) == 0);
	shell(s, "rm state/meta.db* && cp -a copy state/meta.db");
	scene_set(s, "server.accept_state", "1");
	scene_faults(s, "");
	scene_start(s);
	scene_set(s, "server.accept_state", "0");
	OK(ctl_status(s, "flush --all"));
	CHECK(object_absent(s, "f"));
	CHECK(status_number(s, "quarantined") == 2);
	entry_with(s, "error", "was put back", BIG);
	entry_with(s, "path", "/f", BIG);
	free(old);
	free(new);
}

static bool
epoch_is(struct scene *s, const char *want)
{
	char path[320], now[64] = "";
	FILE *f;

	snprintf(path, sizeof(path), "%s/state/epoch", s->dir);
	f = fopen(path, "r");
	CHECK(f != NULL && fgets(now, sizeof(now), f) != NULL);
	fclose(f);
	return strcmp(now, want) == 0;
}

/* A copy that was made while it ran, put back after a crash of that run. */
static void
copied_hot(struct scene *s)
{
	unsigned char *data = pattern(BIG, 14);
	char first[64] = "", path[320];
	FILE *f;

	CHECK(scene_stop(s) == 0);
	scene_env(s, "S3NFSD_EPOCH_MS", "0");
	scene_start(s);
	shell(s, "cp state/meta.db* . && cp state/epoch before");
	snprintf(path, sizeof(path), "%s/before", s->dir);
	f = fopen(path, "r");
	CHECK(f != NULL && fgets(first, sizeof(first), f) != NULL);
	fclose(f);
	owe(s, "f", data);
	WITHIN(5000, !epoch_is(s, first));
	scene_kill(s);
	shell(s, "rm state/meta.db* && mv meta.db* state/");
	IS(scene_refused(s), 1);
	CHECK(scene_logged(s, "older than its data files") == 1);
	free(data);
}

/* A data file that has lost its end. */
static void
short_file(struct scene *s)
{
	unsigned char *data = pattern(BIG, 15);
	uint64_t bytes;
	struct nc_fh f;

	make(s, "f", "old");
	f = owe(s, "f", data);
	scene_kill(s);
	shell(s, "truncate -s 100000 state/data/*/*");
	scene_faults(s, "");
	scene_start(s);
	CHECK(scene_logged(s, "committed bytes are not in its data file: "
			      "file=") == 1);
	WITHIN(20000, scene_calls(s, "head", "f", "done") > 0);
	DURING(1000, object_is(s, "f", "old"));
	CHECK(!reads_many(&s->a, &f, data, BIG));
	bytes = (uint64_t)status_number(s, "staged_bytes");
	CHECK(bytes == BIG || status_number(s, "quarantined") == 1);
	CHECK(scene_stop(s) == 0);
	free(data);
}

/* Killed between the two places where an epoch is written, at each start. */
static void
epoch_torn(struct scene *s)
{
	unsigned char *data = pattern(BIG, 11);

	owe(s, "f", data);
	scene_kill(s);
	scene_env(s, "S3NFSD_FAIL", "epoch-before-file");
	for (int i = 0; i < 3; i++)
		CHECK(scene_refused(s) != 1);
	scene_env(s, "S3NFSD_FAIL", NULL);
	scene_faults(s, "");
	scene_start(s);
	OK(ctl_status(s, "flush --all"));
	CHECK(object_has(s, "f", data, BIG));
	free(data);
}

/* The same name for another directory, or prefix. */
static void
same_name(struct scene *s)
{
	size_t len = strlen(s->url);

	if (s->prefix[0] != '\0') {
		snprintf(s->url + len, sizeof(s->url) - len, "other/");
		return;
	}
	shell(s, "mkdir -p other/bucket");
	snprintf(s->url, sizeof(s->url), "file://%s/other/bucket", s->dir);
}

static bool
other_has(struct scene *s, const char *key)
{
	char command[512];

	snprintf(command, sizeof(command), "other/%s", key);
	if (s->prefix[0] != '\0')
		return !object_absent(s, command);
	snprintf(command, sizeof(command), "test -e '%s/other/bucket/%s'",
		 s->dir, key);
	return system(command) == 0;
}

static void
another_bucket(struct scene *s)
{
	unsigned char *data = pattern(BIG, 12);
	char url[512], parked[600];
	struct nc_fh f;
	json_t *row;

	strcpy(url, s->url);
	f = owe(s, "f", data);
	make(s, "gone", "x");
	look(&s->a, s, "gone");
	scene_faults(s, "op=put,delete error=EIO");
	OK(nc_remove(&s->a, &s->root, "gone"));
	CHECK(scene_stop(s) == 0);
	/* On a store the prefix's slash and the endpoint are told otherwise. */
	snprintf(parked, sizeof(parked), "%s (%.*s", s->export,
		 (int)strlen(url) - 1, url);
	same_name(s);
	scene_faults(s, "");
	IS(scene_refused(s), 1);
	CHECK(scene_logged(s, "which is owed 1 files (300000 bytes), "
			      "1 deletions") == 1);
	CHECK(scene_logged(s, "name that bucket again") == 1);
	scene_set(s, "rebind", "other");
	scene_start(s);
	IS(nc_getattr(&s->a, &f, NULL), NFS3ERR_STALE);
	IS(nc_lookup(&s->a, &s->root, "f", NULL, NULL), NFS3ERR_NOENT);
	row = absent(s, parked);
	CHECK(row != NULL && number(row, "files") == 1 &&
	      number(row, "deletions") == 1);
	json_decref(row);
	create_in(s, &s->root, "g", "other");
	OK(ctl_status(s, "flush --all"));
	CHECK(scene_stop(s) == 0);
	CHECK(other_has(s, "g") && !other_has(s, "f"));
	CHECK(object_is(s, "gone", "x"));
	scene_set(s, "rebind", "no");
	strcpy(s->url, url);
	scene_start(s);
	CHECK(reads_many(&s->a, &f, data, BIG));
	OK(ctl_status(s, "flush --all"));
	CHECK(object_has(s, "f", data, BIG));
	CHECK(object_absent(s, "gone") && object_absent(s, "g"));
	IS(nc_lookup(&s->a, &s->root, "g", NULL, NULL), NFS3ERR_NOENT);
	free(data);
}

static void
owing_nothing(struct scene *s)
{
	struct nc_fh root = s->root, f = make(s, "f", "one"), g;

	make(s, "g", "one");
	CHECK(reads(&s->a, &f, "one"));
	CHECK(scene_stop(s) == 0);
	same_name(s);
	if (s->prefix[0] != '\0')
		object_text(s, "other/f", "two");
	else
		shell(s, "printf two >other/bucket/f");
	scene_start(s);
	IS(nc_getattr(&s->a, &f, NULL), NFS3ERR_STALE);
	IS(nc_lookup(&s->a, &root, "g", NULL, NULL), NFS3ERR_NOENT);
	g = look_in(&s->a, &root, "f");
	CHECK(reads(&s->a, &g, "two"));
}

static void
moved_bucket(struct scene *s)
{
	unsigned char *data;
	struct nc_fh f;

	if (s->prefix[0] != '\0')
		return;		/* a directory can be moved */
	data = pattern(BIG, 13);
	f = make(s, "old", "old");
	owe(s, "f", data);
	CHECK(scene_stop(s) == 0);
	shell(s, "mkdir moved && cp -a bucket moved/");
	snprintf(s->url, sizeof(s->url), "file://%s/moved/bucket", s->dir);
	scene_faults(s, "");
	scene_set(s, "rebind", "same");
	scene_start(s);
	CHECK(reads(&s->a, &f, "old"));
	OK(ctl_status(s, "flush --all"));
	shell(s, "test -e moved/bucket/f && test ! -e bucket/f");
	scene_set(s, "rebind", "no");
	CHECK(scene_stop(s) == 0);
	scene_start(s);
	CHECK(reads(&s->a, &f, "old"));
	free(data);
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
	{ "state-lost", "meta.db is gone, data files are there / refused; "
	  "accepted: they are listed, saved, dropped", database_lost,
	  "settle_ms=60000 server.shutdown_timeout_ms=100", false },
	{ "state-older", "meta.db is put back from a copy / refused; accepted: "
	  "what it does not know is kept, the rest goes on", database_older,
	  "settle_ms=60000 server.shutdown_timeout_ms=100", false },
	{ "state-mixed", "the same, and a file it knows was written since / "
	  "nothing is made of bytes of both", database_mixed,
	  "settle_ms=60000 server.shutdown_timeout_ms=100", false },
	{ "state-hot", "a copy that was made while it ran is put back after a "
	  "crash / refused", copied_hot, "settle_ms=60000", false },
	{ "state-short", "a data file has lost its end / said, and nothing is "
	  "made up for it", short_file, "server.shutdown_timeout_ms=100",
	  false },
	{ "state-torn", "killed while an epoch is written / the next start is "
	  "not refused", epoch_torn, "settle_ms=60000", false },
	{ "state-bound", "the name points at another bucket while the old one "
	  "is owed / refused; or kept until it points back", another_bucket,
	  "settle_ms=60000 server.shutdown_timeout_ms=100", false },
	{ "state-free", "the same, owing nothing / what was known of the old "
	  "bucket is forgotten", owing_nothing, NULL, false },
	{ "state-moved", "the bucket has another address / with rebind=same "
	  "all goes on", moved_bucket,
	  "settle_ms=60000 server.shutdown_timeout_ms=100", false })
