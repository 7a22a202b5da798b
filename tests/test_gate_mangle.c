/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys that are no paths, through the gate: each is there under one name, can
 * be read, changed, renamed and removed, and hides nothing else
 * (path/component.c, dir/mangle.c).
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/gate_fixture.h"
#include "tests/unit.h"

static struct fixture b;
static struct client c;

static void
begin(void)
{
	b = (struct fixture)FIXTURE;
	client_init(&c, "a");
	fixture_open(&b);
}

static void
put(const char *key, const char *text)
{
	fake_s3_set(b.s3, key, text, strlen(text));
}

/* For a call of the gate without do_...: wait in the thread. */
static void
ready(void)
{
	c.rq.may_block = true;
	c.rq.again = GATE_AGAIN_NONE;
	c.rq.first_ms = clock_ms();
}

/* From the root along names. */
static int
at(const char *path, struct gate_fh *fh)
{
	char name[META_NAME_MAX + 1];
	struct gate_attr attr;
	struct gate_fh dir;
	int r = 0;

	*fh = b.root;
	while (r == 0 && *path != '\0') {
		size_t len = strcspn(path, "/");

		memcpy(name, path, len);
		name[len] = '\0';
		path += len + (path[len] == '/');
		dir = *fh;
		ready();
		r = gate_lookup(b.x, &c.rq, &dir, name, fh, &attr, NULL);
	}
	return r;
}

static bool
reads(const char *path, const char *text)
{
	struct gate_fh fh;
	int r = at(path, &fh);

	if (r != 0)
		fprintf(stderr, "%s: %s\n", path, strerror(-r));
	return r == 0 &&
	       do_read_is(&b, &c, &fh, text, (uint32_t)strlen(text));
}

struct names {
	char text[16384];
};

static int
take_name(void *arg, const struct gate_dirent *e)
{
	struct names *n = arg;

	if (strcmp(e->name, ".") != 0 && strcmp(e->name, "..") != 0) {
		strcat(n->text, e->name);
		strcat(n->text, "|");
	}
	return 0;
}

/* The directory's names, in the order in which they were met, "a|b|". */
static const char *
all_names(const char *path)
{
	static struct names n;
	uint8_t verf[8] = { 0 };
	struct gate_fh fh;
	bool eof = false;
	int r = at(path, &fh);

	n.text[0] = '\0';
	ready();
	if (r == 0)
		r = gate_readdir(b.x, &c.rq, &fh, 0, verf, true, 0, take_name,
				 &n, &eof, NULL);
	return r == 0 && eof ? n.text : "failed";
}

static bool
lists(const char *path, const char *want)
{
	const char *got = all_names(path);

	if (strcmp(got, want) != 0)
		fprintf(stderr, "%s: %s\n", path, got);
	return strcmp(got, want) == 0;
}

static void
mangled_components_are_names_in_their_form(void)
{
	begin();
	put("a//b", "slashes");
	put("/lead", "leading");
	put("a/./b", "dot");
	put("a/../b", "dots");
	put("..", "file");
	put("a/%s3x", "mark");
	put("c\001\n", "control");
	put("caf\xc3\xa9", "nfc");
	put("cafe\xcc\x81", "nfd");
	CU_ASSERT(lists("", "%s3%..|%s3%|a|c\001\n|cafe\xcc\x81|"
			"caf\xc3\xa9|"));
	CU_ASSERT(lists("a", "%s3%%s3x|%s3%..|%s3%.|%s3%|"));
	for (int i = 0; i < 2; i++) {
		CU_ASSERT(reads("a/%s3%/b", "slashes"));
		CU_ASSERT(reads("%s3%/lead", "leading"));
		CU_ASSERT(reads("a/%s3%./b", "dot"));
		CU_ASSERT(reads("a/%s3%../b", "dots"));
		CU_ASSERT(reads("%s3%..", "file"));
		CU_ASSERT(reads("a/%s3%%s3x", "mark"));
		CU_ASSERT(reads("c\001\n", "control"));
		CU_ASSERT(reads("caf\xc3\xa9", "nfc"));
		CU_ASSERT(reads("cafe\xcc\x81", "nfd"));
		fixture_restart(&b);
	}
	fixture_close(&b);
}

static void
mangled_files_are_written_renamed_and_removed_in_place(void)
{
	struct gate_fh fh, dir;

	begin();
	put("a//b", "one");
	put("a/../b", "two");
	put("a/b", "plain");
	CU_ASSERT_EQUAL(at("a/%s3%/b", &fh), 0);
	CU_ASSERT_EQUAL(do_write(&b, &c, &fh, 0, "ONE", 3, GATE_FILE_SYNC), 0);
	CU_ASSERT_EQUAL(at("a/%s3%..", &dir), 0);
	CU_ASSERT_EQUAL(do_create_in(&b, &c, &dir, "new", &fh), 0);
	CU_ASSERT_EQUAL(do_write(&b, &c, &fh, 0, "new", 3, GATE_FILE_SYNC), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "a//b", "ONE", 3));
	CU_ASSERT(fake_s3_is(b.s3, "a/../new", "new", 3));
	CU_ASSERT(fake_s3_is(b.s3, "a/b", "plain", 5));
	ready();
	CU_ASSERT_EQUAL(gate_remove(b.x, &c.rq, &dir, "b", NULL), 0);
	CU_ASSERT_EQUAL(at("a/%s3%", &fh), 0);
	ready();
	CU_ASSERT_EQUAL(gate_rename(b.x, &c.rq, &fh, "b", &dir, "moved", NULL,
				    NULL), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT_FALSE(fake_s3_has(b.s3, "a/../b"));
	CU_ASSERT_FALSE(fake_s3_has(b.s3, "a//b"));
	CU_ASSERT(fake_s3_is(b.s3, "a/../moved", "ONE", 3));
	CU_ASSERT(fake_s3_is(b.s3, "a/b", "plain", 5));
	fixture_close(&b);
}

static void
names_that_are_not_utf8_reach_the_bucket_and_come_back(void)
{
	struct gate_fh fh;

	begin();
	CU_ASSERT_EQUAL(do_file(&b, &c, "caf\xe9", "latin", &fh), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "%s3-raw%caf%E9", "latin", 5));
	CU_ASSERT(lists("", "caf\xe9|"));
	CU_ASSERT_EQUAL(do_rename(&b, &c, "caf\xe9", "plain"), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "plain", "latin", 5));
	CU_ASSERT_FALSE(fake_s3_has(b.s3, "%s3-raw%caf%E9"));
	fixture_close(&b);
}

static void
names_that_mean_nothing_cannot_be_made(void)
{
	struct gate_fh fh;

	begin();
	CU_ASSERT_EQUAL(do_create(&b, &c, "%s3x", &fh), -EINVAL);
	CU_ASSERT_EQUAL(do_create(&b, &c, "%s3%plain", &fh), -EINVAL);
	CU_ASSERT_EQUAL(do_mkdir(&b, &c, "%s3-file%d", &fh), -EINVAL);
	CU_ASSERT_EQUAL(do_create(&b, &c, ".s3nfsd-probe-0123456789abcdef"
				  "01234567-2", &fh), -EINVAL);
	CU_ASSERT_EQUAL(do_file(&b, &c, "f", "text", &fh), 0);
	CU_ASSERT_EQUAL(do_rename(&b, &c, "f", "%s3-raw%E9"), -EINVAL);
	/* What means something can: so a tree can be copied. */
	CU_ASSERT_EQUAL(do_file(&b, &c, "%s3%..", "dots", &fh), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "..", "dots", 4));
	fixture_close(&b);
}

static void
long_parts_are_reached_and_kept_apart(void)
{
	char a[400], z[400], key[800], name[META_NAME_MAX + 1], path[600];
	char other[META_NAME_MAX + 1];
	struct gate_fh fh, dir;

	begin();
	memset(a, 'n', 300);
	strcpy(a + 300, "a");
	strcpy(z, a);
	z[300] = 'z';
	component_to_name(false, a, false, name);
	component_to_name(false, z, false, other);
	put(a, "file a");
	snprintf(key, sizeof(key), "%s/x", z);
	put(key, "below z");
	/* By name alone, and again from SQLite. */
	for (int i = 0; i < 2; i++) {
		CU_ASSERT(reads(name, "file a"));
		snprintf(path, sizeof(path), "%s/x", other);
		CU_ASSERT(reads(path, "below z"));
		fixture_restart(&b);
	}
	CU_ASSERT_EQUAL(at(other, &dir), 0);
	CU_ASSERT_EQUAL(do_create_in(&b, &c, &dir, "new", &fh), 0);
	CU_ASSERT_EQUAL(do_write(&b, &c, &fh, 0, "new", 3, GATE_FILE_SYNC), 0);
	CU_ASSERT_EQUAL(at(name, &fh), 0);
	CU_ASSERT_EQUAL(do_write(&b, &c, &fh, 0, "FILE", 4, GATE_FILE_SYNC),
			0);
	CU_ASSERT(fixture_settled(&b));
	snprintf(key, sizeof(key), "%s/new", z);
	CU_ASSERT(fake_s3_is(b.s3, key, "new", 3));
	CU_ASSERT(fake_s3_is(b.s3, a, "FILE a", 6));
	CU_ASSERT_EQUAL(do_rename(&b, &c, name, "short"), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "short", "FILE a", 6));
	CU_ASSERT_FALSE(fake_s3_has(b.s3, a));
	fixture_close(&b);
}

/* Both orders, by listing and by LOOKUP, and back. */
static void
a_file_steps_aside_for_a_directory_of_its_name(void)
{
	struct gate_fh fh, again;

	begin();
	put("d", "file");
	put("d-x", "between");
	CU_ASSERT_EQUAL(at("d", &fh), 0);
	put("d/x", "below");
	usleep(60000);		/* attr_ttl_ms */
	CU_ASSERT(lists("", "d-x|%s3-file%d|d|"));
	CU_ASSERT(reads("%s3-file%d", "file"));
	CU_ASSERT(reads("d/x", "below"));
	/* It is the same file. */
	CU_ASSERT_EQUAL(at("%s3-file%d", &again), 0);
	CU_ASSERT_EQUAL(fh.ino, again.ino);
	CU_ASSERT_EQUAL(do_write(&b, &c, &again, 0, "FILE", 4,
				 GATE_FILE_SYNC), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "d", "FILE", 4));
	fixture_restart(&b);
	CU_ASSERT(reads("%s3-file%d", "FILE"));
	fake_s3_unset(b.s3, "d/x");
	usleep(60000);
	/* The directory goes; then a listing meets the file alone. */
	for (int i = 0; i < 100 && at("d", &again) != 0; i++) {
		usleep(60000);
		(void)lists("", "d-x|d|");
	}
	CU_ASSERT(lists("", "d-x|d|"));
	CU_ASSERT(reads("d", "FILE"));
	CU_ASSERT_EQUAL(at("d", &again), 0);
	CU_ASSERT_EQUAL(fh.ino, again.ino);
	fixture_close(&b);
	/* Both there from the start. */
	begin();
	put("d", "file");
	put("d/x", "below");
	CU_ASSERT(reads("d/x", "below"));
	CU_ASSERT(reads("%s3-file%d", "file"));
	CU_ASSERT_EQUAL(at("%s3-file%d-x", &fh), -ENOENT);
	CU_ASSERT_EQUAL(do_remove(&b, &c, "%s3-file%d"), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT_FALSE(fake_s3_has(b.s3, "d"));
	CU_ASSERT(fake_s3_has(b.s3, "d/x"));
	fixture_close(&b);
}

static void *
list_main(void *arg)
{
	CU_ASSERT_EQUAL(gate_refresh(b.gate, "/b"), 0);
	CU_ASSERT(lists("", arg));
	return NULL;
}

/* A WRITE, or a link of it that changes places with it, has it. */
static void
a_file_that_somebody_has_locked_does_not_change_its_name(void)
{
	char name[META_NAME_MAX + 1], list[] = "%s3-file%d|d|";
	pthread_t thread;
	struct gate_fh fh;
	struct node *n;
	uint64_t parent;

	begin();
	put("d", "file");
	CU_ASSERT_EQUAL(at("d", &fh), 0);
	n = node_find(b.gate, fh.ino);
	CU_ASSERT_PTR_NOT_NULL_FATAL(n);
	node_lock_wait(n);
	put("d/x", "below");
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, list_main, list),
			      0);
	/* Long enough for who does not wait; who does is never too early. */
	for (int i = 0; i < 40; i++) {
		nanosleep(&(struct timespec){ 0, 5000000 }, NULL);
		node_name(n, &parent, name);
		CU_ASSERT_STRING_EQUAL_FATAL(name, "d");
	}
	node_unlock(n);
	pthread_join(thread, NULL);
	node_name(n, &parent, name);
	CU_ASSERT_STRING_NOT_EQUAL(name, "d");
	node_put(&n);
	CU_ASSERT_EQUAL(at("d/x", &fh), 0);
	fixture_close(&b);
}

static void
a_marker_and_a_file_of_its_name_are_two_things(void)
{
	begin();
	put("d", "file");
	put("d/", "");
	CU_ASSERT(lists("", "%s3-file%d|d|"));
	CU_ASSERT(lists("d", ""));
	CU_ASSERT(reads("%s3-file%d", "file"));
	fixture_close(&b);
}

static void
bytes_in_a_marker_survive_chmod_and_rmdir(void)
{
	struct gate_setattr set = { .set_mode = true, .mode = 0700 };
	struct gate_fh dir;

	begin();
	put("d/", "bytes");
	CU_ASSERT_EQUAL(at("d", &dir), 0);
	for (int i = 0; i < 2; i++) {
		set.mode ^= 077;
		ready();
		CU_ASSERT_EQUAL(gate_setattr(b.x, &c.rq, &dir, &set, NULL,
					     NULL), 0);
		CU_ASSERT(fixture_settled(&b));
		CU_ASSERT(fake_s3_is(b.s3, "d/", "bytes", 5));
	}
	ready();
	CU_ASSERT_EQUAL(gate_rmdir(b.x, &c.rq, &b.root, "d", NULL),
			-ENOTEMPTY);
	CU_ASSERT(fake_s3_is(b.s3, "d/", "bytes", 5));
	fixture_close(&b);
}

/* 1000 keys a page: the first ends with "d-x", before "d/". */
static void
a_directory_at_the_edge_of_a_page_is_missed_when_it_goes(void)
{
	static char before[16384];
	struct gate_fh fh;
	char name[16];

	begin();
	for (int i = 0; i < 999; i++) {
		snprintf(name, sizeof(name), "a%03d", i);
		put(name, "");
	}
	put("d-x", "");
	put("d/y", "");
	put("e", "");
	CU_ASSERT_EQUAL(at("d", &fh), 0);
	CU_ASSERT_EQUAL(at("d-x", &fh), 0);
	strcpy(before, all_names(""));
	CU_ASSERT_PTR_NOT_NULL(strstr(before, "|d|"));
	CU_ASSERT_PTR_NOT_NULL(strstr(before, "|e|"));
	fake_s3_unset(b.s3, "d/y");
	usleep(60000);
	CU_ASSERT_PTR_NULL(strstr(all_names(""), "|d|"));
	CU_ASSERT_EQUAL(strlen(all_names("")), strlen(before) - 2);
	/* Nothing is taken for gone at the other end. */
	put("d/z", "");
	fake_s3_unset(b.s3, "e");
	usleep(60000);
	CU_ASSERT_PTR_NOT_NULL(strstr(all_names(""), "|d|"));
	CU_ASSERT_PTR_NOT_NULL(strstr(all_names(""), "|d-x|"));
	CU_ASSERT_PTR_NULL(strstr(all_names(""), "|e|"));
	fixture_close(&b);
}

/* SeaweedFS, versitygw, moto, rclone. */
static void
names_that_the_store_does_not_keep_cannot_be_made(void)
{
	static const struct {
		unsigned bit;
		const char *name;
	} rows[] = {
		{ S3_ODD_BACKSLASH, "a\\b" }, { S3_ODD_NEWLINE, "a\nb" },
		{ S3_ODD_TAB, "a\tb" }, { S3_ODD_CONTROL, "a\x1b" },
		{ S3_ODD_NONCHAR, "a\xef\xbf\xbf" },
	};
	struct gate_fh fh;

	begin();
	put("theirs\\x", "theirs");
	CU_ASSERT_EQUAL(do_create(&b, &c, "plain", &fh), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct s3_caps caps = { .mangled = rows[i].bit };

		gate_export_caps(b.x, &caps);
		CU_ASSERT_EQUAL(do_create(&b, &c, rows[i].name, &fh), -EINVAL);
		CU_ASSERT_EQUAL(do_mkdir(&b, &c, rows[i].name, &fh), -EINVAL);
		CU_ASSERT_EQUAL(do_rename(&b, &c, "plain", rows[i].name),
				-EINVAL);
		caps.mangled = ~caps.mangled;
		gate_export_caps(b.x, &caps);
		CU_ASSERT_EQUAL(do_create(&b, &c, rows[i].name, &fh), 0);
	}
	/* What is there already is served. */
	CU_ASSERT(reads("theirs\\x", "theirs"));
	CU_ASSERT_EQUAL(do_rename(&b, &c, "theirs\\x", "mine"), 0);
	fixture_close(&b);
}

TEST_MAIN("gate_mangle", T(mangled_components_are_names_in_their_form),
	  T(mangled_files_are_written_renamed_and_removed_in_place),
	  T(names_that_are_not_utf8_reach_the_bucket_and_come_back),
	  T(names_that_mean_nothing_cannot_be_made),
	  T(long_parts_are_reached_and_kept_apart),
	  T(a_file_steps_aside_for_a_directory_of_its_name),
	  T(a_file_that_somebody_has_locked_does_not_change_its_name),
	  T(a_marker_and_a_file_of_its_name_are_two_things),
	  T(bytes_in_a_marker_survive_chmod_and_rmdir),
	  T(a_directory_at_the_edge_of_a_page_is_missed_when_it_goes),
	  T(names_that_the_store_does_not_keep_cannot_be_made))
