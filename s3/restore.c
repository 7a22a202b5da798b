/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RestoreObject: an archived object (GLACIER, DEEP_ARCHIVE) is made readable
 * for some days.  S3 takes the request and does it later, in minutes to hours;
 * said again, it changes the days, or is told to be under way.
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "s3/remote.h"

static ssize_t
read_text(void *arg, uint64_t off, void *buf, size_t len)
{
	memcpy(buf, (const char *)arg + off, len);
	return (ssize_t)len;
}

int
s3_remote_restore(struct s3 *s3, const char *key, unsigned days,
		  struct s3_error *err)
{
	struct s3_remote *r = s3_to_remote(s3);
	struct s3_error own, *e = err != NULL ? err : &own;
	char text[200];
	struct s3_source body = { .read = read_text, .arg = text };
	CLEANUP_CALL struct s3_call call = {
		.method = "POST", .key = key, .body = &body,
		.once = true,	/* somebody waits, and asks again */
	};
	CLEANUP_REPLY struct s3_reply reply = {0};
	int result = s3_call_options(r, &call, false);

	body.len = (size_t)snprintf(text, sizeof(text), "<RestoreRequest "
		"xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Days>%u"
		"</Days></RestoreRequest>", days);
	s3_call_query(&call, "restore", NULL);
	if (result == 0)
		result = s3_call_header(&call, "content-type", "text/xml");
	if (result == 0)
		result = s3_request(r, &call, &reply, e);
	return result < 0 &&
	       strcmp(e->code, "RestoreAlreadyInProgress") == 0 ? 0 : result;
}
