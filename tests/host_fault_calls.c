/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What host_fault.c may make fail.  The calls for files have the names of
 * those of libc, so that a program with this file has these, and so has the
 * SQLite that it uses: what SQLite does about a log that cannot be written or
 * flushed is its own doing.  Its door and the allocator are replaced for our
 * own code only, by the linker (--wrap).
 */
#include <config.h>
#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include "tests/host_fault.h"

#define PATH_SIZE 4600
#define FROM __builtin_return_address(0)
/* open64() and the like: off_t has 64 bits in any case. */
#define SAME_AS(name) __attribute__((alias(name)))

/* ---- files ---- */

/* libc's, or a sanitizer's. */
static void *
next(void **slot, const char *name)
{
	void *real = __atomic_load_n(slot, __ATOMIC_RELAXED);

	if (real == NULL) {
		real = dlsym(RTLD_NEXT, name);
		if (real == NULL)
			abort();
		__atomic_store_n(slot, real, __ATOMIC_RELAXED);
	}
	return real;
}

/* Not of the disk. */
static bool
apart(const char *path)
{
	return strncmp(path, "/proc/", 6) == 0 ||
	       (strncmp(path, "/dev/", 5) == 0 &&
		strncmp(path, "/dev/shm/", 9) != 0);
}

/* false: it is no file. */
static bool
path_of(int fd, char out[PATH_SIZE])
{
	char link[40];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, out, PATH_SIZE - 1);
	if (n <= 0 || out[0] != '/')
		return false;
	out[n] = '\0';
	return !apart(out);
}

static bool
path_at(int dir, const char *name, char out[PATH_SIZE])
{
	size_t len = 0;

	if (name[0] != '/' && dir != AT_FDCWD) {
		if (!path_of(dir, out))
			return false;
		len = strlen(out);
		out[len++] = '/';
	}
	(void)snprintf(out + len, PATH_SIZE - len, "%s", name);
	return !apart(out);
}

static struct host_fault
ask_fd(const char *op, int fd, const void *from)
{
	char path[PATH_SIZE];
	int e = errno;
	struct host_fault f = { 0 };

	if (host_fault_armed() && path_of(fd, path))
		f = host_fault_ask(HOST_FILE, op, path, from);
	errno = e;
	return f;
}

static struct host_fault
ask_at(const char *op, int dir, const char *name, const void *from)
{
	char path[PATH_SIZE];
	int e = errno;
	struct host_fault f = { 0 };

	if (host_fault_armed() && name != NULL && path_at(dir, name, path))
		f = host_fault_ask(HOST_FILE, op, path, from);
	errno = e;
	return f;
}

/* Before the call: is it refused? */
static bool
refused(const struct host_fault *f)
{
	if (f->error == 0 || f->after)
		return false;
	errno = f->error;
	return true;
}

/* After it. */
static int
result(const struct host_fault *f, int r)
{
	if (r < 0 || f->error == 0)
		return r;
	errno = f->error;
	return -1;
}

static size_t
less(const struct host_fault *f, size_t len)
{
	return f->cut && len > 1 ? len / 2 : len;
}

static ssize_t
data_result(const struct host_fault *f, ssize_t r)
{
	return result(f, r < 0 ? -1 : 0) < 0 ? -1 : r;
}

ssize_t
write(int fd, const void *buf, size_t len)
{
	static void *real;
	struct host_fault f = ask_fd("write", fd, FROM);

	if (refused(&f))
		return -1;
	return data_result(&f, ((ssize_t (*)(int, const void *, size_t))
			next(&real, "write"))(fd, buf, less(&f, len)));
}

ssize_t
pwrite(int fd, const void *buf, size_t len, off_t at)
{
	static void *real;
	struct host_fault f = ask_fd("write", fd, FROM);

	if (refused(&f))
		return -1;
	return data_result(&f, ((ssize_t (*)(int, const void *, size_t, off_t))
			next(&real, "pwrite64"))(fd, buf, less(&f, len), at));
}

ssize_t pwrite64(int fd, const void *buf, size_t len, off64_t at)
	SAME_AS("pwrite");

ssize_t
read(int fd, void *buf, size_t len)
{
	static void *real;
	struct host_fault f = ask_fd("read", fd, FROM);

	if (refused(&f))
		return -1;
	return data_result(&f, ((ssize_t (*)(int, void *, size_t))
			next(&real, "read"))(fd, buf, less(&f, len)));
}

ssize_t
pread(int fd, void *buf, size_t len, off_t at)
{
	static void *real;
	struct host_fault f = ask_fd("read", fd, FROM);

	if (refused(&f))
		return -1;
	return data_result(&f, ((ssize_t (*)(int, void *, size_t, off_t))
			next(&real, "pread64"))(fd, buf, less(&f, len), at));
}

ssize_t pread64(int fd, void *buf, size_t len, off64_t at) SAME_AS("pread");

int
fsync(int fd)
{
	static void *real;
	struct host_fault f = ask_fd("fsync", fd, FROM);

	if (refused(&f))
		return -1;
	return result(&f, ((int (*)(int))next(&real, "fsync"))(fd));
}

int
fdatasync(int fd)
{
	static void *real;
	struct host_fault f = ask_fd("fsync", fd, FROM);

	if (refused(&f))
		return -1;
	return result(&f, ((int (*)(int))next(&real, "fdatasync"))(fd));
}

int
ftruncate(int fd, off_t size)
{
	static void *real;
	struct host_fault f = ask_fd("ftruncate", fd, FROM);

	if (refused(&f))
		return -1;
	return result(&f, ((int (*)(int, off_t))next(&real, "ftruncate64"))(
				  fd, size));
}

int ftruncate64(int fd, off64_t size) SAME_AS("ftruncate");

int
fallocate(int fd, int mode, off_t at, off_t len)
{
	static void *real;
	struct host_fault f = ask_fd(mode & FALLOC_FL_PUNCH_HOLE ? "punch"
								 : "fallocate",
				     fd, FROM);

	if (refused(&f))
		return -1;
	return result(&f, ((int (*)(int, int, off_t, off_t))
			next(&real, "fallocate64"))(fd, mode, at, len));
}

int fallocate64(int fd, int mode, off64_t at, off64_t len)
	SAME_AS("fallocate");

/* It says what is wrong by what it returns. */
int
posix_fallocate(int fd, off_t at, off_t len)
{
	static void *real;
	struct host_fault f = ask_fd("fallocate", fd, FROM);
	int r;

	if (f.error != 0 && !f.after)
		return f.error;
	r = ((int (*)(int, off_t, off_t))next(&real, "posix_fallocate64"))(
		fd, at, len);
	return r == 0 ? f.error : r;
}

int posix_fallocate64(int fd, off64_t at, off64_t len)
	SAME_AS("posix_fallocate");

/* ---- names ---- */

static int
open_at(int dir, const char *name, int flags, mode_t mode, const void *from)
{
	static void *real;
	struct host_fault f = ask_at("open", dir, name, from);

	if (refused(&f))
		return -1;
	return ((int (*)(int, const char *, int, mode_t))
			next(&real, "openat64"))(dir, name, flags, mode);
}

/* It is there only with these. */
static mode_t
mode_from(int flags, va_list ap)
{
	return flags & (O_CREAT | __O_TMPFILE) ? va_arg(ap, mode_t) : 0;
}

int
open(const char *name, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = mode_from(flags, ap);
	va_end(ap);
	return open_at(AT_FDCWD, name, flags, mode, FROM);
}

int open64(const char *name, int flags, ...) SAME_AS("open");

int
openat(int dir, const char *name, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = mode_from(flags, ap);
	va_end(ap);
	return open_at(dir, name, flags, mode, FROM);
}

int openat64(int dir, const char *name, int flags, ...)
	SAME_AS("openat");

static int
rename_at(int dir, const char *name, int to_dir, const char *to,
	  unsigned flags, const void *from)
{
	static void *real;
	struct host_fault f = ask_at("rename", dir, name, from);

	if (refused(&f))
		return -1;
	return result(&f, ((int (*)(int, const char *, int, const char *,
				    unsigned))next(&real, "renameat2"))(
				  dir, name, to_dir, to, flags));
}

int
rename(const char *name, const char *to)
{
	return rename_at(AT_FDCWD, name, AT_FDCWD, to, 0, FROM);
}

int
renameat(int dir, const char *name, int to_dir, const char *to)
{
	return rename_at(dir, name, to_dir, to, 0, FROM);
}

int
renameat2(int dir, const char *name, int to_dir, const char *to,
	  unsigned flags)
{
	return rename_at(dir, name, to_dir, to, flags, FROM);
}

static int
unlink_at(int dir, const char *name, int flags, const void *from)
{
	static void *real;
	struct host_fault f = ask_at("unlink", dir, name, from);

	if (refused(&f))
		return -1;
	return result(&f, ((int (*)(int, const char *, int))
			next(&real, "unlinkat"))(dir, name, flags));
}

int
unlink(const char *name)
{
	return unlink_at(AT_FDCWD, name, 0, FROM);
}

int
unlinkat(int dir, const char *name, int flags)
{
	return unlink_at(dir, name, flags, FROM);
}

static int
mkdir_at(int dir, const char *name, mode_t mode, const void *from)
{
	static void *real;
	struct host_fault f = ask_at("mkdir", dir, name, from);

	if (refused(&f))
		return -1;
	return result(&f, ((int (*)(int, const char *, mode_t))
			next(&real, "mkdirat"))(dir, name, mode));
}

int
mkdir(const char *name, mode_t mode)
{
	return mkdir_at(AT_FDCWD, name, mode, FROM);
}

int
mkdirat(int dir, const char *name, mode_t mode)
{
	return mkdir_at(dir, name, mode, FROM);
}

static int
free_result(const struct host_fault *f, int r, struct statvfs *out)
{
	if (r == 0 && f->has_free)
		out->f_bavail = out->f_bfree = f->free_bytes / out->f_frsize;
	return result(f, r);
}

int
fstatvfs(int fd, struct statvfs *out)
{
	static void *real;
	struct host_fault f = ask_fd("statvfs", fd, FROM);

	if (refused(&f))
		return -1;
	return free_result(&f, ((int (*)(int, struct statvfs *))
			next(&real, "fstatvfs"))(fd, out), out);
}

int
statvfs(const char *name, struct statvfs *out)
{
	static void *real;
	struct host_fault f = ask_at("statvfs", AT_FDCWD, name, FROM);

	if (refused(&f))
		return -1;
	return free_result(&f, ((int (*)(const char *, struct statvfs *))
			next(&real, "statvfs"))(name, out), out);
}

/* ---- SQLite ---- */

int __real_sqlite3_step(sqlite3_stmt *stmt);
int __real_sqlite3_exec(sqlite3 *db, const char *text,
			int (*each)(void *, int, char **, char **), void *arg,
			char **error);
int __real_sqlite3_prepare_v3(sqlite3 *db, const char *text, int len,
			      unsigned flags, sqlite3_stmt **out,
			      const char **tail);
int __real_sqlite3_open_v2(const char *name, sqlite3 **out, int flags,
			   const char *vfs);
int __wrap_sqlite3_step(sqlite3_stmt *stmt);
int __wrap_sqlite3_exec(sqlite3 *db, const char *text,
			int (*each)(void *, int, char **, char **), void *arg,
			char **error);
int __wrap_sqlite3_prepare_v3(sqlite3 *db, const char *text, int len,
			      unsigned flags, sqlite3_stmt **out,
			      const char **tail);
int __wrap_sqlite3_open_v2(const char *name, sqlite3 **out, int flags,
			   const char *vfs);

static struct host_fault
ask_sql(sqlite3 *db, const char *text, const void *from)
{
	struct host_fault f;
	char op[16] = "";

	for (size_t i = 0; i + 1 < sizeof(op) && isalpha((unsigned char)text[i]);
	     i++)
		op[i] = (char)tolower((unsigned char)text[i]);
	f = host_fault_ask(HOST_SQL, op, text, from);
	if (f.rollback)
		(void)__real_sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	return f;
}

int
__wrap_sqlite3_step(sqlite3_stmt *stmt)
{
	struct host_fault f = { 0 };
	int code;

	if (host_fault_armed())
		f = ask_sql(sqlite3_db_handle(stmt), sqlite3_sql(stmt), FROM);
	if (f.error != 0 && !f.after)
		return f.error;
	code = __real_sqlite3_step(stmt);
	return f.error != 0 ? f.error : code;
}

int
__wrap_sqlite3_exec(sqlite3 *db, const char *text,
		    int (*each)(void *, int, char **, char **), void *arg,
		    char **error)
{
	struct host_fault f = { 0 };
	int code;

	if (host_fault_armed())
		f = ask_sql(db, text, FROM);
	if (f.error != 0 && !f.after)
		return f.error;
	code = __real_sqlite3_exec(db, text, each, arg, error);
	return code == SQLITE_OK ? f.error : code;
}

int
__wrap_sqlite3_prepare_v3(sqlite3 *db, const char *text, int len,
			  unsigned flags, sqlite3_stmt **out,
			  const char **tail)
{
	struct host_fault f = host_fault_ask(HOST_SQL, "prepare", text, FROM);

	*out = NULL;
	return f.error != 0 ? f.error
			    : __real_sqlite3_prepare_v3(db, text, len, flags,
							out, tail);
}

int
__wrap_sqlite3_open_v2(const char *name, sqlite3 **out, int flags,
		       const char *vfs)
{
	struct host_fault f = host_fault_ask(HOST_SQL, "open", name, FROM);

	*out = NULL;
	return f.error != 0 ? f.error
			    : __real_sqlite3_open_v2(name, out, flags, vfs);
}

/* ---- memory ---- */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_reallocarray(void *old, size_t count, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t len);
int __real_vasprintf(char **out, const char *format, va_list ap)
	__attribute__((format(printf, 2, 0)));
FILE *__real_open_memstream(char **out, size_t *size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t len);
int __wrap_vasprintf(char **out, const char *format, va_list ap)
	__attribute__((format(printf, 2, 0)));
int __wrap_asprintf(char **out, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
FILE *__wrap_open_memstream(char **out, size_t *size);

static bool
no_memory(const char *op, const void *from)
{
	struct host_fault f = { 0 };

	if (host_fault_armed())
		f = host_fault_ask(HOST_ALLOC, op, NULL, from);
	if (f.error != 0)
		errno = f.error;
	return f.error != 0;
}

void *
__wrap_malloc(size_t size)
{
	return no_memory("malloc", FROM) ? NULL : __real_malloc(size);
}

void *
__wrap_calloc(size_t count, size_t size)
{
	return no_memory("calloc", FROM) ? NULL : __real_calloc(count, size);
}

void *
__wrap_realloc(void *old, size_t size)
{
	return no_memory("realloc", FROM) ? NULL : __real_realloc(old, size);
}

void *
__wrap_reallocarray(void *old, size_t count, size_t size)
{
	return no_memory("reallocarray", FROM)
		       ? NULL
		       : __real_reallocarray(old, count, size);
}

void *
__wrap_aligned_alloc(size_t alignment, size_t size)
{
	return no_memory("aligned_alloc", FROM)
		       ? NULL
		       : __real_aligned_alloc(alignment, size);
}

char *
__wrap_strdup(const char *text)
{
	return no_memory("strdup", FROM) ? NULL : __real_strdup(text);
}

char *
__wrap_strndup(const char *text, size_t len)
{
	return no_memory("strndup", FROM) ? NULL : __real_strndup(text, len);
}

int
__wrap_vasprintf(char **out, const char *format, va_list ap)
{
	return no_memory("asprintf", FROM) ? -1
					   : __real_vasprintf(out, format, ap);
}

int
__wrap_asprintf(char **out, const char *format, ...)
{
	va_list ap;
	int r;

	if (no_memory("asprintf", FROM))
		return -1;
	va_start(ap, format);
	r = __real_vasprintf(out, format, ap);
	va_end(ap);
	return r;
}

FILE *
__wrap_open_memstream(char **out, size_t *size)
{
	return no_memory("open_memstream", FROM)
		       ? NULL
		       : __real_open_memstream(out, size);
}
