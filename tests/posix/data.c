/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes: truncation and holes, appending, large offsets, mapped files, files
 * that are removed or replaced while they are open.
 */

#include <config.h>

#include <dirent.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "tests/posix/posix.h"

/* Is [off, off + len) all this byte? */
static bool
all(int fd, off_t off, size_t len, int byte)
{
	char buf[65536];

	while (len > 0) {
		size_t want = len < sizeof(buf) ? len : sizeof(buf);
		ssize_t n = pread(fd, buf, want, off);

		if (n <= 0)
			return false;
		for (ssize_t i = 0; i < n; i++) {
			if (buf[i] != (char)byte)
				return false;
		}
		off += n;
		len -= (size_t)n;
	}
	return true;
}

static void
fill(int fd, off_t off, size_t len, int byte)
{
	char buf[65536];

	memset(buf, byte, sizeof(buf));
	while (len > 0) {
		size_t n = len < sizeof(buf) ? len : sizeof(buf);

		NEED(pwrite(fd, buf, n, off) == (ssize_t)n ? 0 : -1);
		off += (off_t)n;
		len -= n;
	}
}

/* Another look at it: nothing of it in this client's cache, as far as that
 * can be asked for. */
static int
anew(int fd, const char *name)
{
	close(fd);
	fd = open(name, O_RDWR);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	return fd;
}

static void
truncation(void)
{
	static const off_t sizes[] = { 0, 1, 100, 4095, 4096, 4097, 65535,
				       65536, 65537, 300000, 1048577 };
	int fd;

	for (size_t a = 0; a < 11; a++) {
		for (size_t b = 0; b < 11; b++) {
			off_t least = sizes[a] < sizes[b] ? sizes[a]
							  : sizes[b];

			/* Written, then cut or grown: zeros follow. */
			fd = open("f", O_CREAT | O_TRUNC | O_RDWR, 0644);
			NEED(fd);
			fill(fd, 0, (size_t)sizes[a], 'x');
			err(b & 1 ? ftruncate(fd, sizes[b])
				  : truncate("f", sizes[b]),
			    0, "%ld to %ld", (long)sizes[a], (long)sizes[b]);
			is(look("f").st_size, sizes[b], "%ld to %ld: size",
			   (long)sizes[a], (long)sizes[b]);
			fd = anew(fd, "f");
			is(all(fd, 0, (size_t)least, 'x'), 1,
			   "%ld to %ld: bytes", (long)sizes[a],
			   (long)sizes[b]);
			is(all(fd, least, (size_t)(sizes[b] - least), 0), 1,
			   "%ld to %ld: zeros", (long)sizes[a],
			   (long)sizes[b]);
			/* And back: what was cut does not return. */
			NEED(ftruncate(fd, sizes[a]));
			is(all(fd, least, (size_t)(sizes[a] - least), 0), 1,
			   "%ld to %ld and back: zeros", (long)sizes[a],
			   (long)sizes[b]);
			NEED(close(fd));
		}
	}
	NEED(put("f", "12345"));
	fd = open("f", O_RDONLY);
	err(ftruncate(fd, 1), EINVAL, "ftruncate of a read-only descriptor");
	NEED(close(fd));
	err(truncate("f", -1), EINVAL, "truncate to -1");
	NEED(mkdir("d", 0755));
	err(truncate("d", 0), EISDIR, "truncate a directory");
	is(holds("f", "12345"), 1, "nothing has changed");
}

static void
holes(void)
{
	static const off_t offs[] = { 1, 4096, 10000, 1 << 20, 100 << 20,
				      1LL << 31, (1LL << 32) + 7, 1LL << 36 };
	char buf[8];
	int fd;

	for (size_t i = 0; i < 8; i++) {
		fd = open("f", O_CREAT | O_TRUNC | O_RDWR, 0644);
		NEED(fd);
		is(pwrite(fd, "end", 3, offs[i]), 3, "write at %lld",
		   (long long)offs[i]);
		err(fsync(fd), 0, "fsync after %lld", (long long)offs[i]);
		is(look("f").st_size == offs[i] + 3, 1, "size after %lld",
		   (long long)offs[i]);
		fd = anew(fd, "f");
		is(pread(fd, buf, 8, offs[i]), 3, "read at %lld",
		   (long long)offs[i]);
		is(memcmp(buf, "end", 3), 0, "bytes at %lld",
		   (long long)offs[i]);
		is(all(fd, 0, offs[i] < 4096 ? (size_t)offs[i] : 4096, 0), 1,
		   "zeros at the start, %lld", (long long)offs[i]);
		is(all(fd, offs[i] / 2, 1, offs[i] == 1 ? 0 : 0), 1,
		   "zeros in the middle, %lld", (long long)offs[i]);
		is(pread(fd, buf, 8, offs[i] + 3), 0, "end of file, %lld",
		   (long long)offs[i]);
		is(pread(fd, buf, 8, offs[i] + 4096), 0,
		   "past the end, %lld", (long long)offs[i]);
		NEED(close(fd));
		NEED(unlink("f"));
	}
	/* Written into a hole, back to front. */
	fd = open("f", O_CREAT | O_RDWR, 0644);
	for (int i = 31; i >= 0; i -= 2)
		fill(fd, i * 5000, 5000, 'a' + i % 26);
	fd = anew(fd, "f");
	for (int i = 0; i < 32; i++)
		is(all(fd, i * 5000, 5000, i % 2 ? 'a' + i % 26 : 0), 1,
		   "stripe %d", i);
	NEED(close(fd));
}

static void
limits(void)
{
	struct rlimit old, small = { 10000, RLIM_INFINITY };
	int fd = open("f", O_CREAT | O_RDWR, 0644);

	signal(SIGXFSZ, SIG_IGN);
	NEED(getrlimit(RLIMIT_FSIZE, &old));
	small.rlim_max = old.rlim_max;
	NEED(setrlimit(RLIMIT_FSIZE, &small));
	is(pwrite(fd, "12345", 5, 9998), 2, "write up to the limit");
	err(pwrite(fd, "x", 1, 10000), EFBIG, "write past the limit");
	err(ftruncate(fd, 10001), EFBIG, "truncate past the limit");
	err(ftruncate(fd, 10000), 0, "truncate to the limit");
	NEED(setrlimit(RLIMIT_FSIZE, &old));
	err(pwrite(fd, "x", 1, -1), EINVAL, "write at -1");
	NEED(close(fd));
	err(write(fd, "x", 1), EBADF, "write to nothing");
	fd = open("f", O_RDONLY);
	err(write(fd, "x", 1), EBADF, "write to a read-only descriptor");
	NEED(close(fd));
	fd = open("f", O_WRONLY);
	err(read(fd, &old, 1), EBADF, "read from a write-only descriptor");
	NEED(close(fd));
	fd = open(".", O_RDONLY);
	err(read(fd, &old, 1), EISDIR, "read a directory");
	NEED(close(fd));
}

static void
appending(void)
{
	int a = open("log", O_CREAT | O_WRONLY | O_APPEND, 0644);
	int b = open("log", O_WRONLY | O_APPEND);
	char want[400] = "", got[500];
	ssize_t n;
	int fd;

	for (int i = 0; i < 20; i++) {
		char line[20];
		int len = snprintf(line, sizeof(line), "line %d\n", i);

		is(write(i % 2 ? a : b, line, (size_t)len), len,
		   "append line %d", i);
		strcat(want, line);
	}
	NEED(close(a));
	NEED(close(b));
	fd = open("log", O_RDONLY);
	n = read(fd, got, sizeof(got));
	is(n == (ssize_t)strlen(want) && memcmp(got, want, (size_t)n) == 0, 1,
	   "all lines in their order");
	is(lseek(fd, 0, SEEK_END), (long)strlen(want), "seek to the end");
	NEED(close(fd));
}

static void
mapped(void)
{
	int fd = open("m", O_CREAT | O_RDWR, 0644);
	char *p;

	NEED(fd);
	NEED(ftruncate(fd, 10000));
	p = mmap(NULL, 10000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	is(p != MAP_FAILED, 1, "map a file for writing");
	if (p == MAP_FAILED)
		return;
	memcpy(p + 5000, "mapped", 6);
	err(msync(p, 10000, MS_SYNC), 0, "msync");
	munmap(p, 10000);
	fd = anew(fd, "m");
	is(all(fd, 0, 5000, 0), 1, "zeros before");
	p = mmap(NULL, 10000, PROT_READ, MAP_PRIVATE, fd, 0);
	is(p != MAP_FAILED && memcmp(p + 5000, "mapped", 6) == 0, 1,
	   "read by map");
	if (p != MAP_FAILED)
		munmap(p, 10000);
	NEED(close(fd));
}

static int
entries(const char *path)
{
	DIR *d = opendir(path);
	int count = 0;

	while (d != NULL && readdir(d) != NULL)
		count++;
	if (d != NULL)
		closedir(d);
	return count - 2;
}

/* The client removes what it had set aside soon after the last close. */
static int
entries_soon(const char *path)
{
	int count = entries(path);

	for (int i = 0; count != 0 && i < 100; i++) {
		usleep(20000);
		count = entries(path);
	}
	return count;
}

/* Open files live on without their names. */
static void
unlinked(void)
{
	struct stat st;
	char buf[16];
	int fd, fd2;

	NEED(mkdir("d", 0755));
	for (int how = 0; how < 3; how++) {
		static const char *const names[] = { "unlinked", "replaced",
						     "unlinked new" };
		const char *name = names[how];

		if (how < 2)
			NEED(put("d/f", "12345"));
		NEED(put("d/other", "other"));
		fd = open("d/f", O_RDWR | O_CREAT, 0644);
		NEED(fd);
		if (how == 2)
			NEED(pwrite(fd, "12345", 5, 0) == 5 ? 0 : -1);
		err(how == 1 ? rename("d/other", "d/f") : unlink("d/f"), 0,
		    "%s", name);
		is(there("d/f"), how == 1, "%s: the name", name);
		is(pread(fd, buf, 16, 0), 5, "%s: read", name);
		is(memcmp(buf, "12345", 5), 0, "%s: bytes", name);
		is(pwrite(fd, "more", 4, 5), 4, "%s: write", name);
		err(fsync(fd), 0, "%s: fsync", name);
		is(pread(fd, buf, 16, 0), 9, "%s: read again", name);
		is(memcmp(buf, "12345more", 9), 0, "%s: bytes again", name);
		err(fchmod(fd, 0600), 0, "%s: fchmod", name);
		err(ftruncate(fd, 3), 0, "%s: ftruncate", name);
		err(fstat(fd, &st), 0, "%s: fstat", name);
		is(st.st_size, 3, "%s: size", name);
		if (how != 1) {
			NEED(put("d/f", "new"));
			is(holds("d/f", "new"), 1, "%s: the name anew", name);
			is(pread(fd, buf, 16, 0), 3, "%s: still the old",
			   name);
			NEED(unlink("d/f"));
		} else {
			is(holds("d/f", "other"), 1, "%s: by the other",
			   name);
			NEED(unlink("d/f"));
		}
		err(close(fd), 0, "%s: close", name);
		if (there("d/other"))
			NEED(unlink("d/other"));
		is(entries_soon("d"), 0, "%s: nothing is left", name);
	}
	err(rmdir("d"), 0, "rmdir after that");
	/* Renamed while open. */
	NEED(put("a", "first"));
	fd = open("a", O_RDWR);
	NEED(rename("a", "b"));
	NEED(put("a", "second"));
	is(pwrite(fd, "FIRST", 5, 0), 5, "write after rename");
	NEED(fsync(fd));
	is(holds("b", "FIRST"), 1, "it went to the file");
	is(holds("a", "second"), 1, "and not to the name");
	fd2 = open("b", O_RDONLY);
	NEED(unlink("b"));
	NEED(close(fd));
	is(pread(fd2, buf, 16, 0), 5, "read by the second descriptor");
	NEED(close(fd2));
	/* A temporary file that never has a name. */
	fd = open(".", O_TMPFILE | O_RDWR, 0600);
	err(fd, EOPNOTSUPP, "TMPFILE");
	if (fd >= 0)
		close(fd);
}

static void
copying(void)
{
	int a = open("a", O_CREAT | O_RDWR, 0644);
	int b = open("b", O_CREAT | O_RDWR, 0644);
	struct stat st;

	fill(a, 0, 200000, 'a');
	is(copy_file_range(a, &(loff_t){ 0 }, b, &(loff_t){ 100 }, 100000, 0),
	   100000, "copy_file_range");
	is(all(b, 100, 100000, 'a'), 1, "its bytes");
	is(all(b, 0, 100, 0), 1, "zeros before");
	NEED(fsync(b));
	NEED(fstat(b, &st));
	is(st.st_size, 100100, "its size");
	is(st.st_blocks * 512 >= 100000, 1, "its blocks");
	is(lseek(a, 0, SEEK_DATA), 0, "SEEK_DATA");
	is(lseek(a, 0, SEEK_HOLE), 200000, "SEEK_HOLE");
	err(lseek(a, 200000, SEEK_DATA), ENXIO, "SEEK_DATA at the end");
	NEED(close(a));
	NEED(close(b));
}

const struct checks data_groups[] = {
	{ "truncate", truncation },
	{ "holes", holes },
	{ "limits", limits },
	{ "append", appending },
	{ "mmap", mapped },
	{ "unlinked", unlinked },
	{ "copy", copying },
	{ NULL, NULL },
};
