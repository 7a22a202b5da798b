/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine that fails on request: what tests rely on when they say that a
 * fault was borne.
 */

#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "meta/meta.h"
#include "tests/host_fault.h"
#include "tests/meta_fixture.h"
#include "tests/unit.h"

static char dir[] = "/tmp/hostfault.XXXXXX";
static char db[64], file[64];

static struct meta *
store(void)
{
	struct meta_config c = { .path = db };
	struct meta *m = NULL;

	CU_ASSERT_EQUAL_FATAL(host_fault_set(""), 0);
	CU_ASSERT_EQUAL_FATAL(meta_open(&c, &m), 0);
	return m;
}

/* Two rows in one batch. */
static int
put_two(struct meta *m, uint64_t ino)
{
	struct meta_inode n = { .ino = ino, .export_id = 1, .kind = 1 };
	struct meta_batch *b = meta_batch_new();

	meta_put_inode(b, &n);
	n.ino++;
	meta_put_inode(b, &n);
	return meta_commit(m, &b);
}

static void
each_statement_of_a_change_can_fail_and_none_of_it_is_there_then(void)
{
	struct meta *m = store();
	char rule[80];
	uint64_t k;

	for (k = 1; k < 20; k++) {
		int r;

		snprintf(rule, sizeof(rule),
			 "sql nth=%u error=SQLITE_BUSY", (unsigned)k);
		CU_ASSERT_EQUAL_FATAL(host_fault_set(rule), 0);
		r = put_two(m, 10 * k);
		if (host_fault_fired(0) == 0)
			break;
		CU_ASSERT(r < 0);
		CU_ASSERT_EQUAL_FATAL(host_fault_set(""), 0);
		CU_ASSERT(!row_has(m, 10 * k) && !row_has(m, 10 * k + 1));
	}
	/* BEGIN, SAVEPOINT, prepare and step, step, RELEASE, COMMIT. */
	CU_ASSERT(k > 6 && k < 20);
	CU_ASSERT_EQUAL_FATAL(host_fault_set(""), 0);
	CU_ASSERT(row_has(m, 10 * k) && row_has(m, 10 * k + 1));
	meta_close(&m);
}

static void
a_rule_names_statements_and_answers_as_sqlite_would(void)
{
	struct meta *m = store();

	CU_ASSERT_EQUAL_FATAL(
		host_fault_set("sql op=commit error=SQLITE_BUSY times=2;"
			       "sql match=INSERT?OR?REPLACE?INTO?inode* "
			       "nth=6 error=SQLITE_NOMEM rollback"), 0);
	CU_ASSERT_EQUAL(put_two(m, 300), -EBUSY);
	CU_ASSERT_EQUAL(put_two(m, 310), -EBUSY);
	CU_ASSERT_EQUAL(put_two(m, 320), -ENOMEM);
	CU_ASSERT_EQUAL(put_two(m, 330), 0);
	CU_ASSERT_EQUAL(host_fault_fired(0), 2);
	CU_ASSERT_EQUAL(host_fault_fired(1), 1);
	CU_ASSERT(!row_has(m, 300) && !row_has(m, 320) && row_has(m, 331));
	meta_close(&m);
}

static void
a_log_that_cannot_be_flushed_is_sqlites_own_error(void)
{
	struct meta *m = store();

	CU_ASSERT_EQUAL_FATAL(host_fault_set("file op=fsync match=*-wal "
					     "error=EIO times=1"), 0);
	CU_ASSERT_EQUAL(put_two(m, 400), -EIO);
	CU_ASSERT(!row_has(m, 400));
	CU_ASSERT_EQUAL(host_fault_fired(0), 1);
	CU_ASSERT_EQUAL(put_two(m, 410), 0);
	CU_ASSERT_EQUAL_FATAL(host_fault_set("file op=write match=*-wal "
					     "error=EIO nth=2"), 0);
	CU_ASSERT_EQUAL(put_two(m, 420), -EIO);
	CU_ASSERT(!row_has(m, 420) && row_has(m, 410));
	meta_close(&m);
}

static void
calls_for_files_fail_by_name_and_number(void)
{
	struct statvfs v;
	char other[80];
	int fd;

	snprintf(other, sizeof(other), "%s.other", file);
	CU_ASSERT_EQUAL_FATAL(
		host_fault_set("file op=open match=*/f* nth=2 error=EMFILE;"
			       "file op=write match=*/f short nth=2;"
			       "file op=write match=*/f error=ENOSPC nth=3;"
			       "file op=punch,ftruncate error=EIO;"
			       "file op=rename match=*/f error=EROFS after;"
			       "file op=statvfs free=8192"), 0);
	fd = open(file, O_RDWR | O_CREAT, 0600);
	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT(open(file, O_RDONLY) < 0 && errno == EMFILE);
	CU_ASSERT_EQUAL(pwrite(fd, "12345678", 8, 0), 8);
	CU_ASSERT_EQUAL(pwrite(fd, "12345678", 8, 8), 4);
	CU_ASSERT(write(fd, "x", 1) < 0 && errno == ENOSPC);
	CU_ASSERT_EQUAL(write(fd, "x", 1), 1);
	CU_ASSERT(ftruncate(fd, 4) < 0 && errno == EIO);
	CU_ASSERT(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			    0, 4096) < 0 && errno == EIO);
	CU_ASSERT_EQUAL(lseek(fd, 0, SEEK_END), 12);
	CU_ASSERT_EQUAL(fstatvfs(fd, &v), 0);
	CU_ASSERT_EQUAL(v.f_bavail * v.f_frsize, 8192);
	/* It is carried out, but who asked is told otherwise. */
	CU_ASSERT(rename(file, other) < 0 && errno == EROFS);
	CU_ASSERT(access(other, F_OK) == 0);
	close(fd);
	CU_ASSERT_EQUAL(unlink(other), 0);
}

static void
memory_runs_out_for_our_own_code_alone(void)
{
	struct meta *m = store();
	struct meta_batch *b;
	char *text;

	CU_ASSERT_EQUAL_FATAL(host_fault_set("alloc op=calloc,strdup"), 0);
	CU_ASSERT_PTR_NULL(meta_batch_new());
	text = strdup("x");
	CU_ASSERT_PTR_NULL(text);
	text = malloc(10);
	CU_ASSERT_PTR_NOT_NULL(text);
	free(text);
	CU_ASSERT_EQUAL(host_fault_fired(0), 2);
	b = NULL;
	CU_ASSERT_EQUAL(meta_commit(m, &b), -ENOMEM);
	/* SQLite's is another. */
	CU_ASSERT_EQUAL_FATAL(host_fault_set("alloc op=malloc nth=100"), 0);
	CU_ASSERT_EQUAL(put_two(m, 500), 0);
	CU_ASSERT_EQUAL(host_fault_seen(0), 2);
	meta_close(&m);
}

static unsigned
drawn(const char *rule)
{
	CU_ASSERT_EQUAL_FATAL(host_fault_set(rule), 0);
	for (unsigned i = 0; i < 1000; i++)
		(void)access(file, F_OK), (void)unlink(file);
	return (unsigned)host_fault_fired(0);
}

static void
chance_is_the_same_each_time_and_by_seed(void)
{
	unsigned n = drawn("file op=unlink p=0.1 error=EIO");

	CU_ASSERT(n > 60 && n < 150);
	CU_ASSERT_EQUAL(drawn("file op=unlink p=0.1 error=EIO"), n);
	CU_ASSERT_EQUAL(drawn("file op=unlink every=7 error=EIO"), 142);
	CU_ASSERT_EQUAL(drawn("file op=unlink nth=990 times=0 error=EIO"),
			11);
	CU_ASSERT_EQUAL(host_fault_set("file op=unlink wrong"), -EINVAL);
	CU_ASSERT_EQUAL(host_fault_set("nothing nth=1"), -EINVAL);
	CU_ASSERT_EQUAL(host_fault_set(NULL), 0);
}

/* In the child: by a file that is replaced. */
static int
by_file(const char *rules)
{
	static const char text[] = "# a comment\nfile op=mkdir error=EIO\n";
	char made[80], new[80];
	int fd, r = 0;

	snprintf(new, sizeof(new), "%s.new", rules);
	snprintf(made, sizeof(made), "%s/made", dir);
	r |= mkdir(made, 0700) != 0;
	fd = open(new, O_WRONLY | O_CREAT, 0600);
	r |= write(fd, text, sizeof(text) - 1) < 0;
	r |= rename(new, rules) != 0;
	r |= mkdir(made, 0700) == 0 || errno != EIO;
	r |= unlink(rules) != 0;
	r |= mkdir(made, 0700) == 0 || errno != EEXIST;
	return r | (rmdir(made) != 0);
}

static void
rules_in_a_file_hold_from_the_call_after_it_came(void)
{
	char self[200], rules[80];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int status = -1;
	pid_t pid;

	CU_ASSERT_FATAL(n > 0);
	self[n] = '\0';
	snprintf(rules, sizeof(rules), "%s/rules", dir);
	setenv("S3NFSD_HOST_FAULTS", rules, 1);
	setenv("HOST_FAULT_DIR", dir, 1);
	pid = fork();
	if (pid == 0) {
		execl(self, self, "child", NULL);
		_exit(99);
	}
	unsetenv("S3NFSD_HOST_FAULTS");
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_EQUAL(status, 0);
}

static const struct unit_case cases[] = {
	T(each_statement_of_a_change_can_fail_and_none_of_it_is_there_then),
	T(a_rule_names_statements_and_answers_as_sqlite_would),
	T(a_log_that_cannot_be_flushed_is_sqlites_own_error),
	T(calls_for_files_fail_by_name_and_number),
	T(memory_runs_out_for_our_own_code_alone),
	T(chance_is_the_same_each_time_and_by_seed),
	T(rules_in_a_file_hold_from_the_call_after_it_came),
};

int
main(int argc, char **argv)
{
	static const char *const ends[] = { "", "-wal", "-shm", "-ballast" };
	char name[80];
	int r;

	if (argc == 2 && strcmp(argv[1], "child") == 0) {
		snprintf(dir, sizeof(dir), "%s", getenv("HOST_FAULT_DIR"));
		return by_file(getenv("S3NFSD_HOST_FAULTS"));
	}
	if (mkdtemp(dir) == NULL)
		return 99;
	snprintf(db, sizeof(db), "%s/meta.db", dir);
	snprintf(file, sizeof(file), "%s/f", dir);
	r = unit_run("host_fault", cases, sizeof(cases) / sizeof(*cases),
		     argc, argv);
	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		snprintf(name, sizeof(name), "%s%s", db, ends[i]);
		(void)unlink(name);
	}
	(void)rmdir(dir);
	return r;
}
