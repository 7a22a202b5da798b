/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fail points, in test builds only: S3NFSD_FAIL=NAME[:COUNT] ends the process
 * by SIGKILL when the point NAME is reached for the COUNTth time, so that
 * tests can crash the daemon at each step; S3NFSD_STALL=NAME:MS makes it wait
 * there.  S3NFSD_CLOCK names a file of eight bytes, milliseconds to add to the
 * wall clock, which may change at any time.
 */

#include <config.h>

#ifdef FAILPOINTS

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "nfsd/gate/worker/worker.h"

static bool
names(const char *spec, const char *name, unsigned long *number)
{
	size_t len = strlen(name);

	if (spec == NULL || strncmp(spec, name, len) != 0 ||
	    (spec[len] != '\0' && spec[len] != ':'))
		return false;
	*number = spec[len] == ':' ? strtoul(spec + len + 1, NULL, 10) : 1;
	return true;
}

void
failpoint(const char *name)
{
	static unsigned long reached;
	unsigned long number;

	if (names(getenv("S3NFSD_FAIL"), name, &number) &&
	    __atomic_add_fetch(&reached, 1, __ATOMIC_RELAXED) == number)
		kill(getpid(), SIGKILL);
	if (names(getenv("S3NFSD_STALL"), name, &number)) {
		struct timespec ts = { (time_t)(number / 1000),
				       (long)(number % 1000) * 1000000 };

		nanosleep(&ts, NULL);
	}
}

static const int64_t no_offset;
static const int64_t *clock_offset = &no_offset;

static void
map_clock(void)
{
	const char *name = getenv("S3NFSD_CLOCK");
	int fd = name == NULL ? -1 : open(name, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *at;

	if (fd < 0)
		return;
	/* Shorter than what is read would be a SIGBUS. */
	if (fstat(fd, &st) == 0 && st.st_size >= (off_t)sizeof(int64_t)) {
		at = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
		if (at != MAP_FAILED)
			clock_offset = at;
	}
	close(fd);
}

int64_t
failpoint_clock_ns(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, map_clock);
	return __atomic_load_n(clock_offset, __ATOMIC_RELAXED) * 1000000;
}

#else
/* ISO C wants something in every file. */
extern int fail_unused;
#endif
