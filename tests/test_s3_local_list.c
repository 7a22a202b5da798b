/* SPDX-License-Identifier: Apache-2.0 */

/* s3/local_list.c: listings, against a sorted reference. */

#include <config.h>

#include "tests/s3_local.h"

#define KEYS 400

static uint32_t
next_random(uint32_t *state)
{
	*state = *state * 1664525U + 1013904223U;
	return *state >> 8;
}

/* Few bytes, all around '/', so that keys meet often. */
static void
random_key(uint32_t *state, char *key)
{
	static const char bytes[] = "-./0a\377";
	size_t len = 1 + next_random(state) % 7;

	for (size_t i = 0; i < len; i++)
		key[i] = bytes[next_random(state) % 6];
	key[len] = '\0';
	if (next_random(state) % 16 == 0) {
		/* Longer than a file name, with a chunk's border inside. */
		size_t pad = 250 + next_random(state) % 10;

		memset(key + len, 'L', pad);
		snprintf(key + len + pad, 16, "%c%c",
			 bytes[next_random(state) % 6],
			 bytes[next_random(state) % 6]);
	}
}

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* What ListObjectsV2 says of sorted keys; malloced. */
static char *
reference(char **keys, size_t count, const char *prefix,
	  const char *delimiter, const char *after)
{
	char *text = calloc(count + 1, 320), *end = text;
	char last[320] = "";

	for (size_t i = 0; i < count; i++) {
		char item[320];
		const char *slash;

		if (strncmp(keys[i], prefix, strlen(prefix)) != 0 ||
		    (after != NULL && strcmp(keys[i], after) <= 0))
			continue;
		snprintf(item, sizeof(item), "%s", keys[i]);
		slash = delimiter != NULL ?
			strchr(item + strlen(prefix), '/') : NULL;
		if (slash != NULL)
			item[slash + 1 - item] = '\0';
		if (strcmp(item, last) == 0)
			continue;
		end += sprintf(end, "%s%s", end > text ? "\n" : "", item);
		strcpy(last, item);
	}
	return text;
}

static void
check_listing(struct s3 *s3, char **keys, size_t count, const char *prefix,
	      const char *after)
{
	static const unsigned pages[] = { 1, 3, 1000 };

	for (int d = 0; d < 2; d++) {
		const char *delimiter = d > 0 ? "/" : NULL;
		char *want = reference(keys, count, prefix, delimiter, after);

		for (int i = 0; i < 3; i++)
			CU_ASSERT(lists_as(s3, prefix, delimiter, after,
					   pages[i], want));
		free(want);
	}
}

static void
random_keys_list_in_byte_order(void)
{
	static const char *prefixes[] = {
		"", "a", "/", "a/", "-", ".", "./", "../", "a/0", "//", "0/-",
		"\377", "L",
	};
	char *keys[KEYS];
	uint32_t state = 4711;
	size_t count = 0;
	BUCKET b;

	bucket_init(&b);
	for (int i = 0; i < KEYS; i++) {
		char key[320];

		random_key(&state, key);
		CU_ASSERT_EQUAL(put_text(b.s3, key, "x"), 0);
		keys[count++] = strdup(key);
	}
	qsort(keys, count, sizeof(*keys), by_text);
	for (size_t i = 1; i < count;)
		if (strcmp(keys[i - 1], keys[i]) == 0) {
			free(keys[i]);
			memmove(&keys[i], &keys[i + 1],
				(count - i - 1) * sizeof(*keys));
			count--;
		} else {
			i++;
		}
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++) {
		check_listing(b.s3, keys, count, prefixes[i], NULL);
		for (int j = 0; j < 4; j++) {
			char after[320];

			random_key(&state, after);
			check_listing(b.s3, keys, count, prefixes[i],
				      j % 2 == 0 ? after :
				      keys[next_random(&state) % count]);
		}
	}
	/* Half of them go; nothing else does. */
	for (size_t i = 0; i < count; i++)
		if (i % 2 == 0) {
			CU_ASSERT_EQUAL(b.s3->ops->del(b.s3, keys[i], NULL,
						       NULL), 0);
			free(keys[i]);
		} else {
			keys[i / 2] = keys[i];
		}
	count /= 2;
	check_listing(b.s3, keys, count, "", NULL);
	for (size_t i = 0; i < count; i++)
		free(keys[i]);
}

static void
empty_directories_are_no_prefixes(void)
{
	BUCKET b;

	bucket_init(&b);
	CU_ASSERT_EQUAL(mkdir(bucket_path(&b, "e"), 0755), 0);
	CU_ASSERT_EQUAL(mkdir(bucket_path(&b, "e/f"), 0755), 0);
	CU_ASSERT(lists_as(b.s3, "", "/", NULL, 0, ""));
	CU_ASSERT(lists_as(b.s3, "", NULL, NULL, 0, ""));
	write_file(bucket_path(&b, "e/f/x"), "");
	CU_ASSERT(lists_as(b.s3, "", "/", NULL, 0, "e/"));
	CU_ASSERT(lists_as(b.s3, "e/", "/", NULL, 0, "e/f/"));
	CU_ASSERT(lists_as(b.s3, "e/f/", "/", NULL, 0, "e/f/x"));
	/* Only what comes after. */
	CU_ASSERT(lists_as(b.s3, "", "/", "e/f/w", 0, "e/"));
	CU_ASSERT(lists_as(b.s3, "", "/", "e/f/x", 0, ""));
	CU_ASSERT_EQUAL(put_text(b.s3, "m/", ""), 0);
	CU_ASSERT(lists_as(b.s3, "m/", "/", NULL, 0, "m/"));
	CU_ASSERT(lists_as(b.s3, "m/", "/", "m/", 0, ""));
}

static void
make_files(const struct bucket *b, const char *dir, int count,
	   const char *tail)
{
	for (int i = 0; i < count; i++) {
		char name[128];
		int fd;

		snprintf(name, sizeof(name), "%s%04d%s", dir, i, tail);
		fd = open(bucket_path(b, name), O_WRONLY | O_CREAT, 0644);
		CU_ASSERT(fd >= 0);
		close(fd);
	}
}

/* Wait until a directory has been left alone for a while. */
static void
wait_settled(const char *path)
{
	struct timespec now;
	struct stat st;

	stat(path, &st);
	do {
		usleep(10000);
		clock_gettime(CLOCK_REALTIME, &now);
	} while ((now.tv_sec - st.st_mtim.tv_sec) * 1000 +
		 (now.tv_nsec - st.st_mtim.tv_nsec) / 1000000 < 250);
}

static int
one_page(struct s3 *s3, const char *token, char **next, struct names *n)
{
	struct s3_list list = {
		.prefix = "", .token = token, .max_keys = 100,
	};

	n->len = n->count = 0;
	return s3->ops->list_page(s3, &list, names_add, n, next, NULL);
}

static void
a_kept_window_sees_what_changed_between_pages(void)
{
	BUCKET b;
	struct names n = { calloc(1, 1), 0, 0 };
	char *token = NULL, *next = NULL;
	struct s3_local *l;
	int kept = 0;

	bucket_init(&b);
	l = local_of(b.s3);
	make_files(&b, "f", 1500, "");
	wait_settled(b.dir);
	CU_ASSERT_EQUAL(one_page(b.s3, NULL, &token, &n), 0);
	CU_ASSERT_EQUAL(n.count, 100);
	for (int i = 0; i < LOCAL_WINDOWS; i++)
		kept += l->windows[i] != NULL;
	CU_ASSERT_EQUAL(kept, 1);
	write_file(bucket_path(&b, "f0100+"), "");
	CU_ASSERT_EQUAL(unlink(bucket_path(&b, "f0102")), 0);
	CU_ASSERT_EQUAL(one_page(b.s3, token, &next, &n), 0);
	CU_ASSERT_EQUAL(n.count, 100);
	CU_ASSERT(strncmp(n.text, "f0100\nf0100+\nf0101\nf0103\n", 25) == 0);
	free(n.text);
	free(token);
	free(next);
}

static void
a_directory_larger_than_a_window_is_listed_whole(void)
{
	BUCKET b;
	char *all;
	size_t count;

	bucket_init(&b);
	/* Deep down windows are small: 128 KiB. */
	CU_ASSERT_EQUAL(put_text(b.s3, "1/2/3/4/5/6/x", ""), 0);
	make_files(&b, "1/2/3/4/5/6/", 5000,
		   "-a-long-name-to-fill-the-window-quickly-indeed");
	all = list_all(b.s3, "", NULL, NULL, 1000, &count);
	CU_ASSERT_EQUAL(count, 5001);
	for (char *a = all, *e; (e = strchr(a, '\n')) != NULL; a = e + 1) {
		char *f = strchr(e + 1, '\n');
		size_t len = f != NULL ? (size_t)(f - e - 1) : strlen(e + 1);
		size_t min = len < (size_t)(e - a) ? len : (size_t)(e - a);

		CU_ASSERT(memcmp(a, e + 1, min) < 0);
	}
	free(all);
}

static int
stop_at_second(void *arg, const struct s3_entry *entry)
{
	int *count = arg;

	(void)entry;
	return ++*count == 2 ? 77 : 0;
}

static void
each_can_stop_the_walk_and_bad_tokens_are_refused(void)
{
	BUCKET b;
	struct s3_list list = { .prefix = "" };
	char *next = (char *)&list;
	int count = 0;

	bucket_init(&b);
	make_files(&b, "", 5, "");
	CU_ASSERT_EQUAL(b.s3->ops->list_page(b.s3, &list, stop_at_second,
					     &count, &next, NULL), 77);
	CU_ASSERT_PTR_EQUAL(next, &list);
	list.token = "x";
	CU_ASSERT_EQUAL(b.s3->ops->list_page(b.s3, &list, stop_at_second,
					     &count, &next, NULL), -EINVAL);
	list.token = NULL;
	list.delimiter = "-";
	CU_ASSERT_EQUAL(b.s3->ops->list_page(b.s3, &list, stop_at_second,
					     &count, &next, NULL), -EINVAL);
}

TEST_MAIN("s3_local_list",
	  T(random_keys_list_in_byte_order),
	  T(empty_directories_are_no_prefixes),
	  T(a_kept_window_sees_what_changed_between_pages),
	  T(a_directory_larger_than_a_window_is_listed_whole),
	  T(each_can_stop_the_walk_and_bad_tokens_are_refused))
