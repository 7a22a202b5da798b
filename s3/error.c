/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an answer means: from the store's words to errno (s3.h tells each).
 *
 *	answer						result
 *	an S3 code that the table below has		its errno
 *	another code in an S3 error document		by HTTP status
 *	HEAD, which has no document, from the store	by HTTP status
 *	no document, from the store: a condition, a
 *	range, a method that it does not have		by HTTP status
 *	anything else: HTML, text, a redirect, 400 or
 *	404 of a proxy, 407				-EAGAIN: not S3
 *
 * "From the store" is an answer that carries a request's number, where the
 * store's good answers do: a load balancer's do not.  Only S3 itself can say
 * that an object is not there or that a request was refused, or files vanish
 * while a proxy restarts.  Also the text that goes with an error: one line,
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
	{ "AccountProblem", -EKEYREJECTED },
	{ "AllAccessDisabled", -EKEYREJECTED },
	{ "AuthorizationHeaderMalformed", -EKEYREJECTED },
	{ "BadDigest", -EBADMSG },
	{ "BucketNotFound", -ENODEV },
	{ "ConditionalRequestConflict", -EAGAIN },
	{ "EntityTooLarge", -EFBIG },
	{ "EntityTooSmall", -EINVAL },
	{ "ExpiredToken", -EKEYREJECTED },
	{ "IncompleteBody", -EAGAIN },
	{ "InternalError", -EAGAIN },
	{ "InvalidAccessKeyId", -EKEYREJECTED },
	{ "InvalidDigest", -EBADMSG },
	{ "InvalidPart", -EINVAL },
	{ "InvalidSecurity", -EKEYREJECTED },
	{ "InvalidToken", -EKEYREJECTED },
	{ "MaxMessageLengthExceeded", -EFBIG },
	{ "MethodNotAllowed", -ENOTSUP },
	{ "NoSuchBucket", -ENODEV },
	{ "NoSuchKey", -ENOENT },
	{ "NoSuchUpload", -ENOENT },
	{ "NoSuchVersion", -ENOENT },
	{ "NotImplemented", -ENOTSUP },
	{ "NotSignedUp", -EKEYREJECTED },
	{ "OperationAborted", -EAGAIN },
	{ "PermanentRedirect", -EKEYREJECTED },
	{ "PreconditionFailed", -ESTALE },
	{ "QuotaExceeded", -EDQUOT },
	{ "RequestExpired", -EKEYREJECTED },
	{ "RequestLimitExceeded", -EAGAIN },
	{ "RequestTimeout", -EAGAIN },
	{ "RequestTimeTooSkewed", -EKEYREJECTED },
	{ "ServiceUnavailable", -EAGAIN },
	{ "SignatureDoesNotMatch", -EKEYREJECTED },
	{ "SlowDown", -EAGAIN },
	{ "TemporaryRedirect", -EAGAIN },
	{ "Throttling", -EAGAIN },
	{ "ThrottlingException", -EAGAIN },
	{ "TokenRefreshRequired", -EKEYREJECTED },
	{ "TooManyRequests", -EAGAIN },
	{ "TransactionCapExceeded", -EKEYREJECTED },
	{ "UserSuspended", -EKEYREJECTED },		/* radosgw */
	{ "XAmzContentSHA256Mismatch", -EBADMSG },
	{ "XMinioAdminBucketQuotaExceeded", -EDQUOT },
	{ "XMinioStorageFull", -EDQUOT },
};

static int
status_errno(int http)
{
	switch (http) {
	case 401:
	case 402:
	case 407: return -EKEYREJECTED;
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
	if (http >= 400)
		return -EINVAL;
	return http >= 300 ? -EAGAIN : -EBADMSG;	/* 3xx: not followed */
}

/* What stores answer with no document, a number of the request at most. */
static bool
needs_no_words(int http)
{
	return http == 304 || http == 405 || http == 409 || http == 412 ||
	       http == 416 || http == 501;
}

int
s3_errno(int http, const char *code, enum s3_voice voice)
{
	for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++)
		if (strcmp(code, codes[i].code) == 0)
			return codes[i].result;
	if (voice == S3_VOICE_OTHER ||
	    (voice == S3_VOICE_MUTE && !needs_no_words(http)))
		return -EAGAIN;
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
