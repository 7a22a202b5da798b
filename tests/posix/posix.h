/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_POSIX_POSIX_H
#define TESTS_POSIX_POSIX_H

/*
 * What a POSIX file system has to do, as many small checks.
 *
 * A check has a name, which is unique in its group, a result and what POSIX
 * (or Linux on its own disks, where POSIX leaves a choice) wants.  Names and
 * results are the same in every run on the same file system, so that two file
 * systems can be compared line by line.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

/* Users of the tests: nobody has these numbers. */
#define OWNER 60001
#define GROUP 60002
#define OTHER 60003
#define GROUP2 60004

struct checks {
	const char *name;
	void (*run)(void);	/* in a new empty directory, mode 0777 */
};
extern const struct checks create_groups[], link_groups[], rename_groups[],
	perm_groups[], time_groups[], data_groups[], path_groups[],
	attr_groups[];

/* Compare, and print a line about it. */
void is(long got, long want, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* ... in octal */
void is_mode(long got, long want, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* ... what a call returned: 0 for success (r >= 0), else an errno. */
void err(long r, int want, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Something that the checks that follow need; names itself if it fails. */
#define NEED(call) need((call) >= 0, #call, __func__, __LINE__)
void need(bool good, const char *what, const char *function, int line);

/* Become somebody: effective ids, and one more group (-1: none). */
void as(uid_t uid, gid_t gid, gid_t more);
void as_root(void);

/* ---- kinds of files ---- */

enum kind { REG, DIR_, FIFO, SOCK, CHR, BLK, LNK, KINDS };
extern const char *const kind_names[KINDS];
extern const mode_t kind_types[KINDS];
/* As the call that makes it answers; a symlink points to "nowhere". */
int make(enum kind kind, const char *name, mode_t mode);
/* Remove it, whatever it is. */
int drop(const char *name);

/* ---- looking ---- */

struct stat look(const char *name);	/* lstat; zeros if there is none */
#define NLINK(name) ((long)look(name).st_nlink)
#define MODE(name) ((long)(look(name).st_mode & 07777))
#define INO(name) (look(name).st_ino)
bool there(const char *name);
int put(const char *name, const char *text);	/* make or overwrite */
bool holds(const char *name, const char *text);	/* are these its bytes? */
int64_t ns(const struct timespec *t);
/* Until the clock of any file system has moved on. */
void tick(void);

#endif
