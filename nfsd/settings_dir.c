/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the state is if nobody says: one place that the daemon and s3nfsctl
 * agree on.  A file of its own, so that s3nfsctl links no more than this.
 */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nfsd/settings.h"

char *
settings_state_dir(void)
{
	const char *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	char *out = NULL;
	int r = -1;

	if (geteuid() == 0)
		return strdup("/var/lib/s3nfsd");
	if (xdg != NULL && xdg[0] == '/')
		r = asprintf(&out, "%s/s3nfsd", xdg);
	else if (home != NULL && home[0] == '/')
		r = asprintf(&out, "%s/.local/state/s3nfsd", home);
	return r < 0 ? NULL : out;
}

int
settings_make_dir(const char *path)
{
	char *copy = strdup(path);

	if (copy == NULL)
		return -ENOMEM;
	for (char *at = copy + 1; *at != '\0'; at++) {
		if (*at != '/')
			continue;
		*at = '\0';
		if (mkdir(copy, 0755) < 0 && errno != EEXIST) {
			free(copy);
			return -errno;
		}
		*at = '/';
	}
	free(copy);
	/* What clients wrote is nobody else's to read. */
	return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}
