/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the store's words to errno (s3.h tells what each errno means).  The
 * S3 code decides where there is one; HEAD has no body, so the HTTP status
 * alone must do for it.  Also the text that goes with an error: one line,
 * printable, cut to fit, as it ends up in logs.
 */
#include <config.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "s3/remote.h"

/* S3 API, "Error responses"; radosgw's and Swift's own are among them. */
static const struct {
	const char *code;
	int result;
} codes[] = {
	{ "AccessDenied", -EACCES },
	{ "AccountProblem", -EACCES },
	{ "AllAccessDisabled", -EACCES },
	{ "BadDigest", -EBADMSG },
	{ "BucketNotFound", -ENODEV },
	{ "ConditionalRequestConflict", -ESTALE },
	{ "EntityTooLarge", -EFBIG },
	{ "EntityTooSmall", -EINVAL },
	{ "ExpiredToken", -EACCES },
	{ "IncompleteBody", -EAGAIN },
	{ "InternalError", -EAGAIN },
	{ "InvalidAccessKeyId", -EACCES },
	{ "InvalidDigest", -EBADMSG },
	{ "InvalidPart", -EINVAL },
	{ "InvalidToken", -EACCES },
	{ "MaxMessageLengthExceeded", -EFBIG },
	{ "MethodNotAllowed", -ENOTSUP },
	{ "NoSuchBucket", -ENODEV },
	{ "NoSuchKey", -ENOENT },
	{ "NoSuchUpload", -ENOENT },
	{ "NoSuchVersion", -ENOENT },
	{ "NotImplemented", -ENOTSUP },
	{ "OperationAborted", -EAGAIN },
	{ "PreconditionFailed", -ESTALE },
	{ "QuotaExceeded", -EDQUOT },
	{ "RequestTimeout", -EAGAIN },
	{ "RequestTimeTooSkewed", -EACCES },
	{ "ServiceUnavailable", -EAGAIN },
	{ "SignatureDoesNotMatch", -EACCES },
	{ "SlowDown", -EAGAIN },
	{ "Throttling", -EAGAIN },
	{ "ThrottlingException", -EAGAIN },
	{ "TooManyRequests", -EAGAIN },
	{ "RequestLimitExceeded", -EAGAIN },
	{ "XAmzContentSHA256Mismatch", -EBADMSG },
};

static int
status_errno(int http)
{
	switch (http) {
	case 401:
	case 403: return -EACCES;
	case 404: return -ENOENT;
	case 405:
	case 501: return -ENOTSUP;
	case 408:
	case 429: return -EAGAIN;
	case 409:
	case 412: return -ESTALE;
	case 413: return -EFBIG;
	case 505: return -ENOTSUP;
	case 507: return -EDQUOT;
	}
	if (http >= 500)
		return -EAGAIN;
	return http >= 300 ? -EINVAL : -EBADMSG;	/* 3xx: not followed */
}

int
s3_errno(int http, const char *code)
{
	for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++)
		if (strcmp(code, codes[i].code) == 0)
			return codes[i].result;
	return status_errno(http);
}

void
s3_error_clear(struct s3_error *err)
{
	if (err != NULL)
		memset(err, 0, sizeof(*err));
}

int
s3_error_set(struct s3_error *err, int result, const char *fmt, ...)
{
	va_list ap;

	if (err == NULL)
		return result;
	va_start(ap, fmt);
	vsnprintf(err->message, sizeof(err->message), fmt, ap);
	va_end(ap);
	for (char *p = err->message; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 127)
			*p = ' ';
	return result;
}
