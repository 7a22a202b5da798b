/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fail points, in test builds only: S3NFSD_FAIL=NAME[:COUNT] ends the process
 * by SIGKILL when the point NAME is reached for the COUNTth time, so that
 * tests can crash the daemon at each step; S3NFSD_STALL=NAME:MS makes it wait
 * there.
 */

#include <config.h>

#ifdef FAILPOINTS

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "nfsd/gate/gate_priv.h"

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

#else
/* ISO C wants something in every file. */
extern int fail_unused;
#endif
