/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The local bucket among things that cannot be read: each spoils itself and
 * nothing beside it, and nothing that is there counts as gone.
 */

#include <config.h>

#include "tests/s3_local.h"

static unsigned lines;

static void
count_line(void *arg, enum s3_level level, const char *line)
{
	(void)arg;
	(void)level;
	(void)line;
	lines++;
}

/* A bucket of somebody who is not root, whom no mode would stop. */
static void
begin(struct bucket *b)
{
	lines = 0;
	bucket_init(b);
	if (geteuid() != 0)
		return;
	b->s3->ops->close(b->s3);
	CU_ASSERT_EQUAL(chown(b->dir, 65534, 65534), 0);
	bucket_remove_dir(bucket_path(b, LOCAL_DIR));
	CU_ASSERT_EQUAL(setegid(65534), 0);
	CU_ASSERT_EQUAL(seteuid(65534), 0);
	b->s3 = bucket_open_s3(b->dir);
	CU_ASSERT_PTR_NOT_NULL_FATAL(b->s3);
}

static void
end(void)
{
	if (getuid() == 0) {
		CU_ASSERT_EQUAL(seteuid(0), 0);
		CU_ASSERT_EQUAL(setegid(0), 0);
	}
}

struct listed {
	char text[4096];
	const char *sized;	/* look at this one */
	uint64_t size;
	char etag[S3_ETAG_MAX];
};

static int
note(void *arg, const struct s3_entry *e)
{
	struct listed *l = arg;

	strcat(strcat(l->text, e->key), " ");
	if (l->sized != NULL && strcmp(l->sized, e->key) == 0) {
		l->size = e->size;
		strcpy(l->etag, e->etag);
	}
	return 0;
}

/* All pages of `page` keys each. */
static int
list(struct s3 *s3, const char *prefix, const char *delimiter, unsigned page,
     struct listed *out)
{
	char *token = NULL, *next = NULL;
	int r;

	out->text[0] = '\0';
	do {
		struct s3_list ask = { .prefix = prefix, .token = token,
				       .delimiter = delimiter,
				       .max_keys = page };

		next = NULL;
		r = s3->ops->list_page(s3, &ask, note, out, &next, NULL);
		free(token);
		token = next;
	} while (r == 0 && token != NULL);
	free(token);
	return r;
}

static bool
lists(struct s3 *s3, const char *prefix, const char *delimiter,
      const char *want)
{
	static const unsigned pages[] = { 1, 2, 1000 };

	for (size_t i = 0; i < 3; i++) {
		struct listed l = { .sized = NULL };
		int r = list(s3, prefix, delimiter, pages[i], &l);

		if (r != 0 || strcmp(l.text, want) != 0) {
			fprintf(stderr, "%d: %s, not %s\n", r, l.text, want);
			return false;
		}
	}
	return true;
}

static void
a_file_that_cannot_be_read_is_listed_and_spoils_no_other(void)
{
	BUCKET b = { .s3 = NULL };
	struct listed before = { .sized = "d/bad" };
	struct s3_object o;

	begin(&b);
	b.s3->config.log = count_line;
	CU_ASSERT_EQUAL(put_text(b.s3, "d/a", "one"), 0);
	CU_ASSERT_EQUAL(put_text(b.s3, "d/bad", "three"), 0);
	CU_ASSERT_EQUAL(put_text(b.s3, "d/c", "two"), 0);
	CU_ASSERT_EQUAL(chmod(bucket_path(&b, "d/bad"), 0), 0);
	CU_ASSERT(lists(b.s3, "d/", "/", "d/a d/bad d/c "));
	CU_ASSERT(lists(b.s3, "", NULL, "d/a d/bad d/c "));
	CU_ASSERT(lists(b.s3, "", "/", "d/ "));
	CU_ASSERT_EQUAL(list(b.s3, "", NULL, 1000, &before), 0);
	CU_ASSERT_EQUAL(before.size, 5);
	CU_ASSERT(before.etag[0] != '\0');
	CU_ASSERT_EQUAL(lines, 1);
	CU_ASSERT_EQUAL(b.s3->ops->head(b.s3, "d/bad", &o, NULL), -EACCES);
	CU_ASSERT(has_text(b.s3, "d/c", "two"));
	CU_ASSERT_EQUAL(chmod(bucket_path(&b, "d/bad"), 0644), 0);
	CU_ASSERT(has_text(b.s3, "d/bad", "three"));
	end();
}

static void
a_directory_that_cannot_be_read_is_listed_as_one_with_something_in_it(void)
{
	BUCKET b = { .s3 = NULL };

	begin(&b);
	b.s3->config.log = count_line;
	CU_ASSERT_EQUAL(put_text(b.s3, "d/a", "one"), 0);
	CU_ASSERT_EQUAL(put_text(b.s3, "d/closed/x", "three"), 0);
	CU_ASSERT_EQUAL(put_text(b.s3, "d/z", "two"), 0);
	CU_ASSERT_EQUAL(chmod(bucket_path(&b, "d/closed"), 0), 0);
	CU_ASSERT(lists(b.s3, "d/", "/", "d/a d/closed/ d/z "));
	CU_ASSERT(lists(b.s3, "d/", NULL, "d/a d/closed/ d/z "));
	CU_ASSERT(lists(b.s3, "d/closed", "/", "d/closed/ "));
	CU_ASSERT_EQUAL(lines, 1);
	/* Who asks for it is told. */
	CU_ASSERT_EQUAL(list(b.s3, "d/closed/", "/", 1000,
			     &(struct listed){ .sized = NULL }), -EACCES);
	/* Names that may be used, but not read. */
	CU_ASSERT_EQUAL(chmod(bucket_path(&b, "d/closed"), 0311), 0);
	CU_ASSERT(lists(b.s3, "d/", "/", "d/a d/closed/ d/z "));
	CU_ASSERT(has_text(b.s3, "d/closed/x", "three"));
	/* Names that may be read, but not used. */
	CU_ASSERT_EQUAL(chmod(bucket_path(&b, "d/closed"), 0444), 0);
	CU_ASSERT(lists(b.s3, "d/", NULL, "d/a d/closed/x d/z "));
	CU_ASSERT(lists(b.s3, "d/closed/", "/", "d/closed/x "));
	CU_ASSERT_EQUAL(chmod(bucket_path(&b, "d/closed"), 0755), 0);
	end();
}

static void
what_is_no_object_is_passed_over(void)
{
	BUCKET b = { .s3 = NULL };
	char name[300];
	struct s3_object o;

	begin(&b);
	CU_ASSERT_EQUAL(put_text(b.s3, "d/a", "one"), 0);
	CU_ASSERT_EQUAL(symlink("nowhere", bucket_path(&b, "d/dangling")), 0);
	CU_ASSERT_EQUAL(symlink("loop", bucket_path(&b, "d/loop")), 0);
	CU_ASSERT_EQUAL(symlink("/etc/passwd", bucket_path(&b, "d/away")), 0);
	CU_ASSERT_EQUAL(symlink(".", bucket_path(&b, "d/round")), 0);
	CU_ASSERT_EQUAL(mkfifo(bucket_path(&b, "d/fifo"), 0644), 0);
	CU_ASSERT(lists(b.s3, "d/", "/", "d/a "));
	CU_ASSERT(lists(b.s3, "", NULL, "d/a "));
	for (size_t i = 0; i < 5; i++) {
		static const char *const keys[] = { "d/dangling", "d/loop",
						    "d/away", "d/fifo",
						    "d/round" };

		CU_ASSERT_EQUAL(b.s3->ops->head(b.s3, keys[i], &o, NULL),
				-ENOENT);
	}
	/* Any bytes, up to the longest name. */
	CU_ASSERT_EQUAL(put_text(b.s3, "d/\377\376", "two"), 0);
	memset(name, 'n', 257);
	memcpy(name, "d/", 2);
	name[257] = '\0';
	CU_ASSERT_EQUAL(put_text(b.s3, name, "three"), 0);
	CU_ASSERT(has_text(b.s3, "d/\377\376", "two"));
	CU_ASSERT(has_text(b.s3, name, "three"));
	end();
}

TEST_MAIN("s3_local_unread",
	  T(a_file_that_cannot_be_read_is_listed_and_spoils_no_other),
	  T(a_directory_that_cannot_be_read_is_listed_as_one_with_something_in_it),
	  T(what_is_no_object_is_passed_over))
