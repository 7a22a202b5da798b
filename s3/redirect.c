/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 301, 307 and 308: the bucket is at another host (S3 API, "Redirection").  A
 * young bucket's name leads to another region for some hours, a store of
 * several sites names the one that has it.  The request is signed anew for the
 * host that Location, or Endpoint in the document, names.
 *
 * Nobody but the store may send us away: the answer bears its number or its
 * code, the path stays what it is (a login page has another), https stays
 * https, and AWS sends to AWS.  302 and 303 are for browsers.
 */
#include <config.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "s3/remote.h"

static bool
host_ok(const struct s3_remote *r, const char *host)
{
	size_t len = strlen(host), tail;
	char domain[64];

	for (const char *p = host; *p != '\0'; p++)
		if (!isalnum((unsigned char)*p) && strchr(".-:[]", *p) == NULL)
			return false;
	if (len == 0 || len >= S3_HOST_MAX)
		return false;
	if (!r->is_aws)
		return true;
	snprintf(domain, sizeof(domain), ".%s",
		 s3_aws_domain(r->region, false));
	tail = strlen(domain);
	return len > tail && strcmp(host + len - tail, domain) == 0;
}

/* "SCHEME://HOST/PATH?QUERY", of which only the host may be another. */
static bool
from_location(const struct s3_remote *r, const char *location,
	      const char *path, char host[S3_HOST_MAX])
{
	const char *scheme = r->https ? "https://" : "http://", *slash;
	size_t len = strlen(scheme);

	if (location == NULL || strncmp(location, scheme, len) != 0)
		return false;
	location += len;
	slash = strchr(location, '/');
	if (slash == NULL || slash - location >= S3_HOST_MAX)
		return false;
	len = strcspn(slash, "?#");
	if (len != strlen(path) || strncmp(slash, path, len) != 0)
		return false;
	snprintf(host, S3_HOST_MAX, "%.*s", (int)(slash - location), location);
	return true;
}

/* With the bucket's name before it or without. */
static bool
from_endpoint(const struct s3_remote *r, const char *endpoint,
	      char host[S3_HOST_MAX])
{
	size_t len = strlen(r->base.bucket);
	bool named = strncmp(endpoint, r->base.bucket, len) == 0 &&
		     endpoint[len] == '.';

	if (endpoint[0] == '\0')
		return false;
	if (r->path_style)
		snprintf(host, S3_HOST_MAX, "%s",
			 named ? endpoint + len + 1 : endpoint);
	else
		snprintf(host, S3_HOST_MAX, "%s%s%s",
			 named ? "" : r->base.bucket, named ? "" : ".",
			 endpoint);
	return true;
}

bool
s3_redirect(const struct s3_remote *r, const struct s3_reply *reply,
	    const char *path, const char *endpoint, char host[S3_HOST_MAX])
{
	char to[S3_HOST_MAX] = "";

	if (reply->http != 301 && reply->http != 307 && reply->http != 308)
		return false;
	if (!from_location(r, s3_reply_get(reply, "location"), path, to) &&
	    !from_endpoint(r, endpoint, to))
		return false;
	if (!host_ok(r, to) || strcasecmp(to, host) == 0)
		return false;
	strcpy(host, to);
	return true;
}
