/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A token of `aws sso login` that ends is renewed as the AWS tools do it, if
 * it is one of an [sso-session]: CreateToken of SSO OIDC, with the refresh
 * token and the client's registration that lie beside it in the cache.  What
 * comes takes the old one's place in the same file, since the refresh token may
 * be another one from then on; so the file is made, as large as it will be,
 * before anybody is asked, and a cache that cannot be written is renewed by
 * those who can.
 */
#include <config.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "s3/creds.h"

#define SSO_MS 10000
#define ROOM 16384		/* what a new token may have more */

static int
create_token(const struct s3_asker *a, const char *region, const char *body,
	     struct s3_buf *answer, struct s3_error *err)
{
	static const char *const headers[] = {
		"Content-Type: application/json", NULL
	};
	const char *base = getenv("AWS_ENDPOINT_URL_SSO_OIDC");
	CLEANUP_BUF struct s3_buf url = {0};
	struct s3_http http = {
		.what = "SSO CreateToken", .timeout_ms = SSO_MS,
		.headers = headers, .form = body, .ca_file = a->ca_file,
		.stopped = a->stopped, .arg = a->arg,
	};
	char why[256] = "";
	int r;

	if (base != NULL && *base != '\0')
		s3_buf_fmt(&url, "%s/token", base);
	else
		s3_buf_fmt(&url, "https://oidc.%s.%s/token", region,
			   s3_aws_domain(region, false));
	if (url.failed)
		return url.failed;
	http.url = url.data;
	r = s3_http(&http, answer, err);
	if (r == 200 || r < 0)
		return r < 0 ? r : 0;
	s3_json_message(answer->data, answer->len, why, sizeof(why));
	return s3_error_set(err, -EACCES, "%s: HTTP status %d %s", http.what,
			    r, why);
}

/* Its space is there, and it is the other one's owner's, before the token is
 * asked for: the old one ends with that. */
static int
make_room(int fd, const char *path, size_t len)
{
	struct stat st;

	if (stat(path, &st) == 0 && st.st_uid != geteuid() &&
	    fchown(fd, st.st_uid, st.st_gid) < 0)
		return -errno;
	return -posix_fallocate(fd, 0, (off_t)(len + ROOM));
}

/* For nobody else to read; as a whole, or not at all. */
static int
put_cache(int fd, const char *temporary, const char *path, const char *text)
{
	size_t len = strlen(text);
	int r = write(fd, text, len) == (ssize_t)len &&
		ftruncate(fd, (off_t)len) == 0 && fsync(fd) == 0 ? 0 : -EIO;

	return r == 0 && rename(temporary, path) < 0 ? -errno : r;
}

int
s3_sso_renew(const struct s3_asker *a, const char *region, const char *path,
	     const struct s3_buf *cache, char **token, struct s3_error *err)
{
	CLEANUP_FREE char *body = NULL, *text = NULL, *fresh = NULL;
	CLEANUP_BUF struct s3_buf temporary = {0}, answer = {0};
	int fd, r = s3_json_sso_request(cache->data, cache->len, &body, err);

	s3_buf_fmt(&temporary, "%s.XXXXXX", path);
	if (r < 0 || temporary.failed)
		return r < 0 ? r : temporary.failed;
	fd = mkstemp(temporary.data);
	if (fd < 0)
		return s3_error_set(err, -errno, "the SSO token cannot be "
				    "renewed in %s: %s", path,
				    strerror(errno));
	r = make_room(fd, path, cache->len);
	if (r < 0)
		s3_error_set(err, r, "the SSO token cannot be renewed in %s: "
			     "%s", path, strerror(-r));
	if (r == 0)
		r = create_token(a, region, body, &answer, err);
	if (r == 0)
		r = s3_json_sso_renewed(cache, &answer, &text, &fresh, err);
	if (r == 0) {
		r = put_cache(fd, temporary.data, path, text);
		if (r < 0)
			s3_error_set(err, r, "%s: %s", path, strerror(-r));
	}
	close(fd);
	if (r < 0) {
		unlink(temporary.data);
		return r;
	}
	free(*token);
	*token = fresh;
	fresh = NULL;
	return 0;
}
