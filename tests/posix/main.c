/* SPDX-License-Identifier: Apache-2.0 */
/*
 *	posix [-v] DIRECTORY [GROUP]
 *
 * Runs the groups of checks in DIRECTORY, as root.  Prints "GROUP N checks,
 * M bad" for each and a line "bad GROUP: NAME: RESULT, not RESULT" for each
 * bad one; with -v a line "GROUP: NAME: RESULT" for all of them.  Exit code
 * 0 unless it could not run.
 *
 * One process, which changes its effective ids: forks are slow where this
 * runs (tests/kclient).
 */

#include <config.h>

#include <grp.h>
#include <stdarg.h>
#include <sys/sysmacros.h>

#include "tests/posix/posix.h"

static struct {
	const char *group;
	long checks, bad, all_checks, all_bad;
	bool verbose;
} run;

static void
judge(bool good, const char *got, const char *want, const char *format,
      va_list args)
{
	char name[300];

	vsnprintf(name, sizeof(name), format, args);
	run.checks++;
	if (run.verbose)
		printf("%s: %s: %s\n", run.group, name, got);
	if (!good) {
		run.bad++;
		printf("bad %s: %s: %s, not %s\n", run.group, name, got, want);
	}
}

#define JUDGE(good, got, want)                                                \
	do {                                                                  \
		va_list args;                                                 \
		va_start(args, format);                                       \
		judge(good, got, want, format, args);                         \
		va_end(args);                                                 \
	} while (0)

void
is(long got, long want, const char *format, ...)
{
	char a[32], b[32];

	snprintf(a, sizeof(a), "%ld", got);
	snprintf(b, sizeof(b), "%ld", want);
	JUDGE(got == want, a, b);
}

void
is_mode(long got, long want, const char *format, ...)
{
	char a[32], b[32];

	snprintf(a, sizeof(a), "0%lo", got);
	snprintf(b, sizeof(b), "0%lo", want);
	JUDGE(got == want, a, b);
}

static const char *
error_name(int error)
{
	const char *name = error == 0 ? "OK" : strerrorname_np(error);

	return name == NULL ? "?" : name;
}

void
err(long r, int want, const char *format, ...)
{
	int got = r >= 0 ? 0 : errno;

	JUDGE(got == want, error_name(got), error_name(want));
}

void
need(bool good, const char *what, const char *function, int line)
{
	int error = errno;

	if (good)
		return;
	run.checks++;
	run.bad++;
	printf("bad %s: need %s at %s:%d: %s, not OK\n", run.group, what,
	       function, line, error_name(error));
}

/* ---- who ---- */

void
as_root(void)
{
	if (seteuid(0) != 0 || setegid(0) != 0 || setgroups(0, NULL) != 0)
		abort();
}

void
as(uid_t uid, gid_t gid, gid_t more)
{
	as_root();
	if (setgroups(more == (gid_t)-1 ? 0 : 1, &more) != 0 ||
	    setegid(gid) != 0 || seteuid(uid) != 0)
		abort();
}

/* ---- kinds ---- */

const char *const kind_names[KINDS] = { "file", "directory", "fifo", "socket",
					"chardev", "blockdev", "symlink" };
const mode_t kind_types[KINDS] = { S_IFREG, S_IFDIR, S_IFIFO, S_IFSOCK,
				   S_IFCHR, S_IFBLK, S_IFLNK };

int
make(enum kind kind, const char *name, mode_t mode)
{
	int fd;

	switch (kind) {
	case REG:
		fd = open(name, O_CREAT | O_EXCL | O_WRONLY, mode);
		return fd < 0 ? -1 : close(fd);
	case DIR_:
		return mkdir(name, mode);
	case LNK:
		return symlink("nowhere", name);
	default:
		return mknod(name, kind_types[kind] | mode, makedev(1, 3));
	}
}

int
drop(const char *name)
{
	return S_ISDIR(look(name).st_mode) ? rmdir(name) : unlink(name);
}

/* ---- looking ---- */

struct stat
look(const char *name)
{
	struct stat st;

	if (lstat(name, &st) != 0)
		memset(&st, 0, sizeof(st));
	return st;
}

bool
there(const char *name)
{
	struct stat st;

	return lstat(name, &st) == 0;
}

int
put(const char *name, const char *text)
{
	int fd = open(name, O_CREAT | O_WRONLY | O_TRUNC, 0644);
	size_t len = strlen(text);

	if (fd < 0 || write(fd, text, len) != (ssize_t)len) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return close(fd);
}

bool
holds(const char *name, const char *text)
{
	char buf[4096];
	int fd = open(name, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof(buf));

	if (fd >= 0)
		close(fd);
	return n == (ssize_t)strlen(text) && memcmp(buf, text, (size_t)n) == 0;
}

int64_t
ns(const struct timespec *t)
{
	return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec;
}

void
tick(void)
{
	/* A tick of a 100 Hz kernel, which is what ext4's times follow. */
	nanosleep(&(struct timespec){ 0, 21000000 }, NULL);
}

/* ---- the run ---- */

static int
run_group(const struct checks *g)
{
	struct timespec a, b;

	run.group = g->name;
	run.checks = run.bad = 0;
	as_root();
	umask(0);
	if (mkdir(g->name, 0777) != 0 || chdir(g->name) != 0) {
		perror(g->name);
		return 1;
	}
	clock_gettime(CLOCK_MONOTONIC, &a);
	g->run();
	clock_gettime(CLOCK_MONOTONIC, &b);
	as_root();
	umask(0);
	if (chdir("..") != 0) {
		perror("chdir ..");
		return 1;
	}
	printf("group %s: %ld checks, %ld bad\n", g->name, run.checks,
	       run.bad);
	fprintf(stderr, "%s: %.1f s\n", g->name,
		(double)(ns(&b) - ns(&a)) / 1e9);
	run.all_checks += run.checks;
	run.all_bad += run.bad;
	return 0;
}

static int
run_list(const struct checks *list, const char *only)
{
	int r = 0;

	for (; r == 0 && list->name != NULL; list++) {
		if (only == NULL || strcmp(only, list->name) == 0)
			r = run_group(list);
	}
	return r;
}

int
main(int argc, char **argv)
{
	static const struct checks *const lists[] = {
		create_groups, path_groups, perm_groups, attr_groups,
		time_groups, data_groups, rename_groups, link_groups,
	};
	const char *only;

	if (argc > 1 && strcmp(argv[1], "-v") == 0) {
		run.verbose = true;
		argv++;
		argc--;
	}
	if (argc < 2 || argc > 3 || geteuid() != 0 || chdir(argv[1]) != 0) {
		fprintf(stderr, "usage: posix [-v] DIRECTORY [GROUP], as "
			"root\n");
		return 2;
	}
	only = argc == 3 ? argv[2] : NULL;
	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++) {
		if (run_list(lists[i], only) != 0)
			return 2;
	}
	printf("all: %ld checks, %ld bad\n", run.all_checks, run.all_bad);
	return 0;
}
