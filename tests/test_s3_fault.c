/* SPDX-License-Identifier: Apache-2.0 */
/* The layer of faults that tests rely on: s3/fault.c, over a local bucket. */
#include <config.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "s3/s3.h"
#include "tests/unit.h"

static char dir[] = "/tmp/s3fault.XXXXXX";
static char rules[64], log_path[64];

static void
set_rules(const char *text)
{
	char tmp[80];
	FILE *f;

	snprintf(tmp, sizeof(tmp), "%s.new", rules);
	f = fopen(tmp, "w");
	CU_ASSERT_FATAL(f != NULL);
	fputs(text, f);
	fclose(f);
	CU_ASSERT_EQUAL(rename(tmp, rules), 0);
}

static struct s3 *
fresh(void)
{
	struct s3_config c = {0};
	struct s3 *s3 = NULL;
	char url[80];

	snprintf(url, sizeof(url), "file://%s/bucket", dir);
	c.url = url;
	unlink(log_path);
	set_rules("");
	CU_ASSERT_FATAL(s3_open(&c, &s3, NULL) == 0);
	return s3;
}

static ssize_t
read_text(void *arg, uint64_t off, void *buf, size_t len)
{
	memcpy(buf, (const char *)arg + off, len);
	return (ssize_t)len;
}

static int
put(struct s3 *s3, const char *key, const char *text)
{
	struct s3_source body = { .len = strlen(text), .read = read_text,
				  .arg = (char *)(uintptr_t)text };
	char etag[S3_ETAG_MAX];

	return s3_put(s3, key, &body, NULL, NULL, etag, NULL);
}

/* Lines of the log with both words. */
static unsigned
logged(const char *a, const char *b)
{
	FILE *f = fopen(log_path, "r");
	char line[512];
	unsigned n = 0;

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		n += strstr(line, a) != NULL && strstr(line, b) != NULL;
	if (f != NULL)
		fclose(f);
	return n;
}

static void
a_rule_refuses_its_key_as_often_as_it_says(void)
{
	struct s3 *s3 = fresh();
	struct s3_error err;
	struct s3_object o = {0};

	set_rules("op=put,head key=a/* error=EACCES count=2\n");
	CU_ASSERT_EQUAL(put(s3, "b", "1"), 0);
	CU_ASSERT_EQUAL(put(s3, "a/b/c", "1"), -EACCES);
	CU_ASSERT_EQUAL(s3_head(s3, "a/b/c", &o, &err), -EACCES);
	CU_ASSERT_EQUAL(err.http, 403);
	CU_ASSERT_EQUAL(put(s3, "a/b/c", "1"), 0);
	/* The same words keep their count; new ones begin anew. */
	set_rules("# more\nop=put,head key=a/* error=EACCES count=2\n");
	CU_ASSERT_EQUAL(put(s3, "a/b/c", "1"), 0);
	set_rules("op=put skip=1 error=EFBIG\n");
	CU_ASSERT_EQUAL(put(s3, "a/b/c", "1"), 0);
	CU_ASSERT_EQUAL(put(s3, "a/b/c", "1"), -EFBIG);
	s3_close(&s3);
}

static void
a_lost_answer_is_of_a_request_that_was_carried_out(void)
{
	struct s3 *s3 = fresh();
	char buf[8];

	set_rules("op=put lose count=1\nop=get short count=1\n");
	CU_ASSERT_EQUAL(put(s3, "lost", "there"), -EAGAIN);
	CU_ASSERT_EQUAL(s3_get(s3, "lost", NULL, 0, buf, 5, NULL, NULL), 2);
	CU_ASSERT_EQUAL(s3_get(s3, "lost", NULL, 0, buf, 5, NULL, NULL), 5);
	CU_ASSERT(memcmp(buf, "there", 5) == 0);
	CU_ASSERT_EQUAL(logged(" end put lost 5 -11 -", ""), 1);
	CU_ASSERT_EQUAL(logged(" begin ", " get lost "), 2);
	s3_close(&s3);
}

static void *
put_held(void *arg)
{
	return (void *)(intptr_t)put(arg, "held", "x");
}

static bool
within(bool (*done)(void))
{
	const struct timespec ts = { 0, 2000000 };

	for (int i = 0; i < 2500; i++) {
		if (done())
			return true;
		nanosleep(&ts, NULL);
	}
	return false;
}

static bool
is_held(void)
{
	return logged(" held put held ", "") == 1;
}

static void
a_hold_lasts_as_long_as_its_rule_or_until_cancel(void)
{
	struct s3 *s3 = fresh();
	struct s3_object o = {0};
	pthread_t t;
	void *r;

	set_rules("op=put hold\n");
	CU_ASSERT_FATAL(pthread_create(&t, NULL, put_held, s3) == 0);
	CU_ASSERT(within(is_held));
	CU_ASSERT_EQUAL(s3_head(s3, "held", &o, NULL), -ENOENT);
	set_rules("");
	pthread_join(t, &r);
	CU_ASSERT_EQUAL((intptr_t)r, 0);
	CU_ASSERT_EQUAL(s3_head(s3, "held", &o, NULL), 0);
	s3_object_free(&o);
	unlink(log_path);
	s3_close(&s3);
	s3 = fresh();
	set_rules("op=put hold error=EACCES\n");
	CU_ASSERT_FATAL(pthread_create(&t, NULL, put_held, s3) == 0);
	CU_ASSERT(within(is_held));
	s3_cancel(s3);
	pthread_join(t, &r);
	CU_ASSERT_EQUAL((intptr_t)r, -EAGAIN);
	s3_close(&s3);
}

static void
a_line_that_means_nothing_fails_every_call(void)
{
	struct s3 *s3 = fresh();

	set_rules("op=put eror=EACCES\n");
	CU_ASSERT_EQUAL(s3_delete(s3, "x", NULL, NULL), -EINVAL);
	set_rules("");
	CU_ASSERT_EQUAL(s3_delete(s3, "x", NULL, NULL), 0);
	s3_close(&s3);
}

int
main(int argc, char **argv)
{
	static const struct unit_case cases[] = {
		T(a_rule_refuses_its_key_as_often_as_it_says),
		T(a_lost_answer_is_of_a_request_that_was_carried_out),
		T(a_hold_lasts_as_long_as_its_rule_or_until_cancel),
		T(a_line_that_means_nothing_fails_every_call),
	};
	char command[64];
	int r;

	if (mkdtemp(dir) == NULL)
		return 99;
	snprintf(rules, sizeof(rules), "%s/rules", dir);
	snprintf(log_path, sizeof(log_path), "%s/log", dir);
	snprintf(command, sizeof(command), "mkdir %s/bucket", dir);
	if (system(command) != 0)
		return 99;
	setenv("S3NFSD_FAULTS", rules, 1);
	setenv("S3NFSD_FAULTS_LOG", log_path, 1);
	r = unit_run("s3_fault", cases, sizeof(cases) / sizeof(*cases), argc,
		     argv);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command) != 0 ? 99 : r;
}
