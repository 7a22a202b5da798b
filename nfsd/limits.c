/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may have how many descriptors.  Connections of clients and to the
 * buckets, and the database, come first: their numbers are limits of the
 * configuration.  What is left is for data files, which can be closed and
 * opened again at any time.
 */

#include <config.h>

#include <errno.h>
#include <string.h>
#include <sys/resource.h>

#include "nfsd/limits.h"
#include "nfsd/log.h"

#define FILES_WANTED 1048576
#define DATA_FILES_MAX 65536
#define DATA_FILES_MIN 16
/* The database and its readers, listeners, logs, the control socket. */
#define OTHERS 128

unsigned
limits_raise(const struct settings *settings)
{
	uint64_t need = OTHERS + settings->server.connections, all, data;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return DATA_FILES_MIN;
	all = limit.rlim_cur;
	limit.rlim_cur = limit.rlim_max < FILES_WANTED ? limit.rlim_max
						       : FILES_WANTED;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		log_warn("main", "cannot raise the limit of open files: %s",
			 strerror(errno));
	else
		all = limit.rlim_cur;
	for (size_t i = 0; i < settings->export_count; i++)
		need += settings->exports[i].s3->max_requests;
	/* With too few for all, everybody gets a share. */
	data = all > need ? all - need : 0;
	if (data < all / 4) {
		data = all / 4;
		log_warn("main", "few descriptors: limit=%llu wanted=%llu; "
			 "raise LimitNOFILE, or lower server.connections",
			 (unsigned long long)all,
			 (unsigned long long)(need + need / 3));
	}
	return data < DATA_FILES_MIN ? DATA_FILES_MIN
	       : data > DATA_FILES_MAX ? DATA_FILES_MAX
				       : (unsigned)data;
}
