/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_S3_LOCAL_H
#define TESTS_S3_LOCAL_H

/* What the tests of the local bucket share: a bucket in a directory. */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "s3/local_priv.h"
#include "tests/unit.h"

struct bucket {
	char dir[PATH_MAX];
	struct s3 *s3;
};

static inline struct s3 *
bucket_open_s3(const char *dir)
{
	char url[PATH_MAX + 16];
	struct s3_error err = { 0 };
	struct s3 *s3 = NULL;
	struct s3_config config = { .url = url };

	snprintf(url, sizeof(url), "file://%s", dir);
	if (s3_local_open(&config, &s3, &err) != 0)
		fprintf(stderr, "open %s: %s\n", url, err.message);
	return s3;
}

static inline void
bucket_init(struct bucket *b)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(b->dir, sizeof(b->dir), "%s/s3local.XXXXXX",
		 tmp != NULL ? tmp : "/tmp");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(b->dir));
	b->s3 = bucket_open_s3(b->dir);
	CU_ASSERT_PTR_NOT_NULL_FATAL(b->s3);
}

static inline void
bucket_remove_dir(const char *dir)
{
	pid_t pid = fork();

	if (pid == 0) {
		execlp("rm", "rm", "-rf", "--", dir, (char *)NULL);
		_exit(127);
	}
	waitpid(pid, NULL, 0);
}

static inline void
bucket_fini(struct bucket *b)
{
	if (b->s3 != NULL)
		b->s3->ops->close(b->s3);
	bucket_remove_dir(b->dir);
}

#define BUCKET __attribute__((cleanup(bucket_fini))) struct bucket

/* "DIR/NAME" in one of four static buffers. */
static inline const char *
bucket_path(const struct bucket *b, const char *name)
{
	static char paths[4][2 * PATH_MAX];
	static unsigned turn;
	char *path = paths[turn++ % 4];

	snprintf(path, 2 * PATH_MAX, "%s/%s", b->dir, name);
	return path;
}

struct text {
	const char *bytes;
};

static inline ssize_t
text_read(void *arg, uint64_t off, void *buf, size_t len)
{
	const struct text *t = arg;

	memcpy(buf, t->bytes + off, len);
	return (ssize_t)len;
}

static inline int
put_cond(struct s3 *s3, const char *key, const char *bytes,
	 const struct s3_headers *headers, const struct s3_cond *cond,
	 char etag[S3_ETAG_MAX])
{
	struct text t = { bytes };
	struct s3_source body = {
		.len = strlen(bytes), .read = text_read, .arg = &t,
	};

	return s3->ops->put(s3, key, &body, headers, cond, etag, NULL);
}

static inline int
put_text(struct s3 *s3, const char *key, const char *bytes)
{
	char etag[S3_ETAG_MAX];

	return put_cond(s3, key, bytes, NULL, NULL, etag);
}

/* The object's bytes (malloced, with a NUL), or NULL. */
static inline char *
get_text(struct s3 *s3, const char *key)
{
	char *buf = calloc(1, 65536 + 1);
	ssize_t n = s3->ops->get(s3, key, NULL, 0, buf, 65536, NULL, NULL);

	if (n >= 0)
		return buf;
	free(buf);
	return NULL;
}

static inline bool
has_text(struct s3 *s3, const char *key, const char *want)
{
	char *got = get_text(s3, key);
	bool same = got != NULL && strcmp(got, want) == 0;

	if (!same)
		fprintf(stderr, "%s: got %s, want %s\n", key,
			got != NULL ? got : "nothing", want);
	free(got);
	return same;
}

static inline void
write_file(const char *path, const char *bytes)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT(write(fd, bytes, strlen(bytes)) == (ssize_t)strlen(bytes));
	close(fd);
}

static inline bool
file_has(const char *path, const char *want)
{
	char got[4096];
	int fd = open(path, O_RDONLY);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, got, sizeof(got));
	close(fd);
	return n == (ssize_t)strlen(want) && memcmp(got, want, (size_t)n) == 0;
}

/* ---- listings as one string: "a b/ c" ---- */

struct names {
	char *text;
	size_t len;
	size_t count;
};

static inline int
names_add(void *arg, const struct s3_entry *e)
{
	struct names *n = arg;

	n->text = realloc(n->text, n->len + e->key_len + 2);
	if (n->len > 0)
		n->text[n->len++] = '\n';
	memcpy(n->text + n->len, e->key, e->key_len + 1);
	n->len += e->key_len;
	n->count++;
	return 0;
}

/* All keys of a listing, one a line, page by page; malloced. */
static inline char *
list_all(struct s3 *s3, const char *prefix, const char *delimiter,
	 const char *start_after, unsigned max_keys, size_t *count)
{
	struct names n = { calloc(1, 1), 0, 0 };
	struct s3_list list = {
		.prefix = prefix, .delimiter = delimiter,
		.start_after = start_after, .max_keys = max_keys,
	};
	char *token = NULL;

	for (;;) {
		char *next = NULL;
		size_t before = n.count;
		int r = s3->ops->list_page(s3, &list, names_add, &n, &next,
					   NULL);

		CU_ASSERT_EQUAL(r, 0);
		if (max_keys != 0)
			CU_ASSERT(n.count - before <= max_keys);
		free(token);
		token = next;
		list.token = token;
		if (r != 0 || next == NULL)
			break;
	}
	free(token);
	if (count != NULL)
		*count = n.count;
	return n.text;
}

static inline bool
lists_as(struct s3 *s3, const char *prefix, const char *delimiter,
	 const char *start_after, unsigned max_keys, const char *want)
{
	char *got = list_all(s3, prefix, delimiter, start_after, max_keys,
			     NULL);
	bool same = strcmp(got, want) == 0;

	if (!same)
		fprintf(stderr, "prefix=%s max=%u got:\n%s\nwant:\n%s\n",
			prefix, max_keys, got, want);
	free(got);
	return same;
}

#endif
