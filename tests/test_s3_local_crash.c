/* SPDX-License-Identifier: Apache-2.0 */

/* The local bucket under kill -9, and under two processes at once. */

#include <config.h>

#include <dirent.h>
#include <signal.h>

#include "tests/s3_local.h"

#define SIZE (3U << 20)

/* One letter for a whole version. */
static ssize_t
letter_read(void *arg, uint64_t off, void *buf, size_t len)
{
	(void)off;
	memset(buf, *(const char *)arg, len);
	return (ssize_t)len;
}

static int
put_letter(struct s3 *s3, const char *key, char letter, uint64_t len,
	   const struct s3_cond *cond)
{
	char etag[S3_ETAG_MAX];
	struct s3_source body = {
		.len = len, .read = letter_read, .arg = &letter,
	};

	return s3->ops->put(s3, key, &body, NULL, cond, etag, NULL);
}

/* The letter of an object of one letter, 0 if it has two, -1 if none. */
static int
letter_of(struct s3 *s3, const char *key, uint64_t *len)
{
	char *buf = malloc(SIZE);
	ssize_t n = s3->ops->get(s3, key, NULL, 0, buf, SIZE, NULL, NULL);
	int letter = n > 0 ? buf[0] : -1;

	for (ssize_t i = 1; i < n; i++)
		if (buf[i] != letter)
			letter = 0;
	*len = n > 0 ? (uint64_t)n : 0;
	free(buf);
	return letter;
}

static int
entries_in(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *d;
	int count = 0;

	while (dir != NULL && (d = readdir(dir)) != NULL)
		count += d->d_name[0] != '.';
	if (dir != NULL)
		closedir(dir);
	return count;
}

static void
write_for_ever(const char *dir)
{
	struct s3 *s3 = bucket_open_s3(dir);

	if (s3 == NULL)
		_exit(1);
	for (unsigned i = 0;; i++) {
		char letter = (char)('a' + i % 26);

		if (put_letter(s3, "big", letter, SIZE - i % 26, NULL) != 0 ||
		    put_letter(s3, "d/small", letter, 100 + i % 26, NULL) != 0)
			_exit(1);
		if (i % 3 == 0 && s3->ops->del(s3, "d/small", NULL, NULL) != 0)
			_exit(1);
	}
}

static void
kill_nine_leaves_the_old_or_the_new(void)
{
	BUCKET b;

	bucket_init(&b);
	for (unsigned round = 0; round < 12; round++) {
		pid_t pid = fork();
		uint64_t len;
		int status, letter;

		if (pid == 0)
			write_for_ever(b.dir);
		usleep(15000 + round * 7919 % 40000);
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		CU_ASSERT(WIFSIGNALED(status));
		letter = letter_of(b.s3, "big", &len);
		if (letter != -1)
			CU_ASSERT_EQUAL(len, SIZE - (unsigned)(letter - 'a'));
		letter = letter_of(b.s3, "d/small", &len);
		if (letter != -1)
			CU_ASSERT_EQUAL(len, 100 + (unsigned)(letter - 'a'));
	}
	/* The next open cleans up; our own directory stays. */
	struct s3 *again = bucket_open_s3(b.dir);

	CU_ASSERT_PTR_NOT_NULL_FATAL(again);
	CU_ASSERT_EQUAL(entries_in(bucket_path(&b, ".s3nfsd/tmp")), 2);
	again->ops->close(again);
	CU_ASSERT_EQUAL(entries_in(bucket_path(&b, ".s3nfsd/tmp")), 1);
	CU_ASSERT_EQUAL(put_text(b.s3, "still", "works"), 0);
}

static pid_t
spawn_racer(const char *dir, int rounds)
{
	pid_t pid = fork();
	struct s3_cond absent = { .if_none_match = true };
	struct s3 *s3;
	int won = 0;

	if (pid != 0)
		return pid;
	s3 = bucket_open_s3(dir);
	for (int i = 0; i < rounds; i++) {
		char key[32];
		int r;

		snprintf(key, sizeof(key), "race/%d", i);
		r = put_letter(s3, key, 'x', 10, &absent);
		if (r != 0 && r != -EEXIST)
			_exit(255);
		won += r == 0;
	}
	_exit(won);
}

static void
of_two_processes_one_wins_each_key(void)
{
	BUCKET b;
	pid_t one, two;
	int a, c;

	bucket_init(&b);
	one = spawn_racer(b.dir, 100);
	two = spawn_racer(b.dir, 100);
	waitpid(one, &a, 0);
	waitpid(two, &c, 0);
	CU_ASSERT(WIFEXITED(a) && WIFEXITED(c));
	CU_ASSERT_EQUAL(WEXITSTATUS(a) + WEXITSTATUS(c), 100);
}

/* Adds one to a number in an object, 60 times, by If-Match. */
static pid_t
spawn_counter(const char *dir)
{
	pid_t pid = fork();
	struct s3 *s3;

	if (pid != 0)
		return pid;
	s3 = bucket_open_s3(dir);
	for (int done = 0; done < 60;) {
		char buf[32] = "", etag[S3_ETAG_MAX];
		struct s3_object o;
		struct s3_cond cond = { .if_match = o.etag };
		int r;

		if (s3->ops->get(s3, "n", NULL, 0, buf, 16, &o, NULL) < 0)
			_exit(1);
		snprintf(buf, sizeof(buf), "%d", atoi(buf) + 1);
		r = put_cond(s3, "n", buf, NULL, &cond, etag);
		s3_object_free(&o);
		if (r == 0)
			done++;
		else if (r != -ESTALE)
			_exit(1);
	}
	_exit(0);
}

static void
no_increment_is_lost_between_processes(void)
{
	BUCKET b;
	pid_t one, two;
	int a, c;

	bucket_init(&b);
	CU_ASSERT_EQUAL(put_text(b.s3, "n", "0"), 0);
	one = spawn_counter(b.dir);
	two = spawn_counter(b.dir);
	waitpid(one, &a, 0);
	waitpid(two, &c, 0);
	CU_ASSERT_EQUAL(a, 0);
	CU_ASSERT_EQUAL(c, 0);
	CU_ASSERT(has_text(b.s3, "n", "120"));
}

struct pair {
	struct s3 *s3;
	const char *key;
	int failures;
};

static void *
put_and_delete(void *arg)
{
	struct pair *p = arg;

	for (int i = 0; i < 100; i++) {
		uint64_t len;

		if (put_letter(p->s3, p->key, 'x', 10, NULL) != 0 ||
		    letter_of(p->s3, p->key, &len) != 'x' ||
		    p->s3->ops->del(p->s3, p->key, NULL, NULL) != 0)
			p->failures++;
	}
	return NULL;
}

static void
a_put_survives_the_removal_of_its_directory(void)
{
	BUCKET b;
	pthread_t one, two;

	bucket_init(&b);
	struct pair p = { b.s3, "a/b/c/one", 0 }, q = { b.s3, "a/b/two", 0 };

	pthread_create(&one, NULL, put_and_delete, &p);
	pthread_create(&two, NULL, put_and_delete, &q);
	pthread_join(one, NULL);
	pthread_join(two, NULL);
	CU_ASSERT_EQUAL(p.failures + q.failures, 0);
	CU_ASSERT(access(bucket_path(&b, "a"), F_OK) < 0);
}

static void *
overwrite(void *arg)
{
	struct pair *p = arg;

	for (unsigned i = 0; i < 60; i++)
		if (put_letter(p->s3, p->key, (char)('a' + i % 2), 300000,
			       NULL) != 0)
			p->failures++;
	return NULL;
}

static void
a_matched_get_is_never_a_mix(void)
{
	BUCKET b;
	pthread_t writer;
	char *buf = malloc(300000);
	int seen = 0;

	bucket_init(&b);
	struct pair p = { b.s3, "k", 0 };

	CU_ASSERT_EQUAL(put_letter(b.s3, "k", 'a', 300000, NULL), 0);
	pthread_create(&writer, NULL, overwrite, &p);
	for (int i = 0; i < 300; i++) {
		struct s3_object o;
		ssize_t n, m;
		char first, second;

		CU_ASSERT_EQUAL_FATAL(b.s3->ops->head(b.s3, "k", &o, NULL), 0);
		n = b.s3->ops->get(b.s3, "k", o.etag, 0, &first, 1, NULL,
				   NULL);
		m = b.s3->ops->get(b.s3, "k", o.etag, 299999, &second, 1,
				   NULL, NULL);
		if (n == 1 && m == 1) {
			CU_ASSERT_EQUAL(first, second);
			seen++;
		} else {
			CU_ASSERT(n == -ESTALE || m == -ESTALE);
		}
		s3_object_free(&o);
	}
	pthread_join(writer, NULL);
	CU_ASSERT(seen > 0);
	CU_ASSERT_EQUAL(p.failures, 0);
	free(buf);
}

TEST_MAIN("s3_local_crash",
	  T(kill_nine_leaves_the_old_or_the_new),
	  T(of_two_processes_one_wins_each_key),
	  T(no_increment_is_lost_between_processes),
	  T(a_put_survives_the_removal_of_its_directory),
	  T(a_matched_get_is_never_a_mix))
