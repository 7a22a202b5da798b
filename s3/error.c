/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an answer means, decided here and nowhere else; docs/answers.md has the
 * same for people.  s3.h has the results, enum s3_meaning what follows.
 *
 *	meaning			result		answers
 *	done			0		2xx, if the call's own check
 *						is content with it
 *	no such object		-ENOENT		NoSuchKey and the like; a
 *						HEAD's 404 from the store
 *	condition failed	-ESTALE		PreconditionFailed; 412 from
 *						the store
 *	refused for this	-EACCES -EINVAL	AccessDenied, InvalidRequest,
 *	object			-EFBIG -ENOTSUP	too large, 400, 403, 405, 501
 *	refused for account,	-EKEYREJECTED	keys, clock, region, account,
 *	keys, clock, quota,	-EDQUOT -ENODEV	certificate; QuotaExceeded,
 *	region, certificate			507; NoSuchBucket; 401, 402
 *	try again		-EAGAIN		5xx, 408, 409, 425, 429;
 *				-EBADMSG	SlowDown; BadDigest
 *	not S3			-EAGAIN		HTML, text, 3xx, 407, 4xx of
 *						a proxy
 *	what the store does	(repeated	NotImplemented and 400 for a
 *	not do			without)	header that can be left out:
 *						extras.c, s3_error_lacks
 *
 * Only S3 itself can say that an object is not there or that a request was
 * refused, or files vanish while a proxy restarts: an error document with a
 * Code, or the answer to a HEAD, which has no document, if it carries a
 * request's number where the store's good answers do.  An answer without a
 * document that is the store's counts where it needs no words: a condition, a
 * range, a method that there is not.  409 is another request's that is under
 * way (ConditionalRequestConflict, OperationAborted): of a condition that
 * failed all stores say 412.
 *
 * Also the text that goes with an error: one line, printable, cut to fit, as
 * it ends up in logs.
 */
#include <config.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "s3/remote.h"

/*
 * S3 API, "Error responses", and what MinIO, versitygw, radosgw, Swift,
 * SeaweedFS, Google, Backblaze, StorageGRID and manta answer beside it.  What
 * is not here goes by its HTTP status.
 */
static const struct {
	const char *code;
	int result;
} codes[] = {
	/* no such object */
	{ "NoSuchKey", -ENOENT },
	{ "NoSuchUpload", -ENOENT },
	{ "NoSuchVersion", -ENOENT },
	{ "NoSuchTagSet", -ENOENT },
	{ "NoSuchTagSetError", -ENOENT },
	/* the condition failed */
	{ "PreconditionFailed", -ESTALE },
	/* refused for this object */
	{ "AccessDenied", -EACCES },
	{ "AccessForbidden", -EACCES },
	{ "InvalidObjectState", -EACCES },		/* archived */
	{ "ObjectNotInActiveTierError", -EACCES },
	{ "EntityTooLarge", -EFBIG },
	{ "MaxMessageLengthExceeded", -EFBIG },
	{ "EntityTooSmall", -EINVAL },
	{ "InvalidPart", -EINVAL },
	{ "ExistingObjectIsDirectory", -EINVAL },	/* seaweedfs */
	{ "ObjectParentIsFile", -EINVAL },		/* versitygw */
	{ "MethodNotAllowed", -ENOTSUP },
	{ "NotImplemented", -ENOTSUP },
	{ "NotSupported", -ENOTSUP },
	{ "OperationNotSupported", -ENOTSUP },
	{ "AccessControlListNotSupported", -ENOTSUP },
	/* the account, its keys, the clock, the region */
	{ "AccessKeyDisabled", -EKEYREJECTED },
	{ "AccountProblem", -EKEYREJECTED },
	{ "AllAccessDisabled", -EKEYREJECTED },
	{ "AuthFailure", -EKEYREJECTED },
	{ "AuthorizationHeaderMalformed", -EKEYREJECTED },
	{ "AuthorizationParametersError", -EKEYREJECTED },
	{ "AuthorizationQueryParametersError", -EKEYREJECTED },
	{ "CloudKmsBadKey", -EKEYREJECTED },		/* Google */
	{ "CloudKmsDisabledKey", -EKEYREJECTED },
	{ "CloudKmsEncryptionKeyNotFound", -EKEYREJECTED },
	{ "CredentialsNotSupported", -EKEYREJECTED },
	{ "ExpiredToken", -EKEYREJECTED },
	{ "ExpiredTokenException", -EKEYREJECTED },
	{ "IllegalLocationConstraintException", -EKEYREJECTED },
	{ "IncorrectEndpoint", -EKEYREJECTED },
	{ "InvalidAccessKeyId", -EKEYREJECTED },
	{ "InvalidClientTokenId", -EKEYREJECTED },
	{ "InvalidPayer", -EKEYREJECTED },
	{ "InvalidRegion", -EKEYREJECTED },
	{ "InvalidSecurity", -EKEYREJECTED },
	{ "InvalidSignature", -EKEYREJECTED },
	{ "InvalidToken", -EKEYREJECTED },
	{ "InvalidTokenId", -EKEYREJECTED },		/* MinIO */
	{ "KMS.AccessDeniedException", -EKEYREJECTED },
	{ "KMS.DisabledException", -EKEYREJECTED },
	{ "KMS.InvalidKeyUsageException", -EKEYREJECTED },
	{ "KMS.KMSInvalidStateException", -EKEYREJECTED },
	{ "KMS.NotFoundException", -EKEYREJECTED },
	{ "MissingAuthenticationToken", -EKEYREJECTED },
	{ "NotSignedUp", -EKEYREJECTED },
	{ "OptInRequired", -EKEYREJECTED },
	{ "PermanentRedirect", -EKEYREJECTED },
	{ "RequestExpired", -EKEYREJECTED },
	{ "RequestTimeTooSkewed", -EKEYREJECTED },
	{ "SignatureDoesNotMatch", -EKEYREJECTED },
	{ "TokenRefreshRequired", -EKEYREJECTED },
	{ "Unauthorized", -EKEYREJECTED },
	{ "UnauthorizedAccess", -EKEYREJECTED },
	{ "UnrecognizedClientException", -EKEYREJECTED },
	{ "UserProjectAccountProblem", -EKEYREJECTED },	/* Google */
	{ "UserProjectMissing", -EKEYREJECTED },
	{ "UserSuspended", -EKEYREJECTED },		/* radosgw */
	{ "XMinioInsecureClientRequest", -EKEYREJECTED },
	/* caps and quotas */
	{ "CapExceeded", -EDQUOT },			/* Backblaze */
	{ "StorageCapExceeded", -EDQUOT },
	{ "TransactionCapExceeded", -EKEYREJECTED },	/* reads, too */
	{ "InsufficientCapacity", -EDQUOT },
	{ "InsufficientQuota", -EDQUOT },
	{ "InsufficientStorage", -EDQUOT },
	{ "MaxVersionsExceeded", -EDQUOT },		/* MinIO */
	{ "QuotaExceeded", -EDQUOT },
	{ "StorageLimitExceeded", -EDQUOT },
	{ "XMinioAdminBucketQuotaExceeded", -EDQUOT },
	{ "XMinioStorageFull", -EDQUOT },
	/* the bucket */
	{ "BucketNotFound", -ENODEV },
	{ "InvalidBucketName", -ENODEV },
	{ "NoSuchBucket", -ENODEV },
	{ "NoSuchAccessPoint", -ENODEV },
	/* try again */
	{ "BandwidthLimitExceeded", -EAGAIN },
	{ "ClientDisconnected", -EAGAIN },		/* MinIO: 499 */
	{ "ConditionalRequestConflict", -EAGAIN },
	{ "IncompleteBody", -EAGAIN },
	{ "InternalError", -EAGAIN },
	{ "OperationAborted", -EAGAIN },
	{ "RateLimitExceeded", -EAGAIN },
	{ "Redirect", -EAGAIN },
	{ "RequestLimitExceeded", -EAGAIN },
	{ "RequestTimeout", -EAGAIN },
	{ "RequestThrottled", -EAGAIN },
	{ "RestoreAlreadyInProgress", -EAGAIN },
	{ "ServerBusy", -EAGAIN },
	{ "ServiceUnavailable", -EAGAIN },
	{ "SlowDown", -EAGAIN },
	{ "SlowDownRead", -EAGAIN },
	{ "SlowDownWrite", -EAGAIN },
	{ "TemporaryRedirect", -EAGAIN },
	{ "Throttling", -EAGAIN },
	{ "ThrottlingException", -EAGAIN },
	{ "TooManyRequests", -EAGAIN },
	{ "XMinioBackendDown", -EAGAIN },
	{ "XMinioBucketMetadataNotInitialized", -EAGAIN },
	{ "XMinioServerNotInitialized", -EAGAIN },
	/* the body was spoilt on its way */
	{ "BadDigest", -EBADMSG },
	{ "CrcMismatch", -EBADMSG },			/* Google */
	{ "InvalidDigest", -EBADMSG },
	{ "XAmzContentChecksumMismatch", -EBADMSG },
	{ "XAmzContentSHA256Mismatch", -EBADMSG },
};

static int
status_errno(int http)
{
	switch (http) {
	case 401:
	case 402: return -EKEYREJECTED;
	case 403: return -EACCES;
	case 404: return -ENOENT;
	case 405:
	case 501: return -ENOTSUP;
	case 407:
	case 408:
	case 409:
	case 425:
	case 429: return -EAGAIN;
	case 304:			/* S3Mock, of CompleteMultipartUpload */
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
	return http == 304 || http == 405 || http == 412 || http == 416 ||
	       http == 501 || http == 507;
}

int
s3_errno(int http, const char *code, enum s3_voice voice)
{
	for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++)
		if (strcmp(code, codes[i].code) == 0)
			return codes[i].result;
	/* Whoever says so: it is about this request's headers. */
	if (http == 431)
		return -EINVAL;
	if (voice == S3_VOICE_OTHER ||
	    (voice == S3_VOICE_MUTE && !needs_no_words(http)))
		return -EAGAIN;
	return status_errno(http);
}

/* All of them say it with Amazon's words. */
#define SSE_C "using a form of Server Side Encryption"

int
s3_errno_said(int result, const char *message)
{
	static const char *const caps[] = {
		"cap exceeded", "quota", "usage limit", "out of space",
	};

	/* A 400, but for this object's sake, and for good. */
	if (result == -EINVAL && strcasestr(message, SSE_C) != NULL)
		return -EACCES;
	/* AWS names who and what was denied: any word may be in that. */
	if (result != -EACCES || strcasestr(message, "arn:") != NULL ||
	    strcasestr(message, "not authorized") != NULL)
		return result;
	for (size_t i = 0; i < sizeof(caps) / sizeof(*caps); i++)
		if (strcasestr(message, caps[i]) != NULL)
			return -EDQUOT;
	return result;
}

/*
 * Amazon's classes and those that others call alike.  Of INTELLIGENT_TIERING
 * only HEAD knows in which tier an object is; GLACIER_IR is read at once.
 */
enum s3_cold
s3_class_cold(const char *name)
{
	static const char *const archives[] = {
		"GLACIER", "DEEP_ARCHIVE",
		"Archive", "ColdArchive", "DeepColdArchive",	/* Alibaba */
		"ARCHIVE", "COLD_ARCHIVE", "DEEP_COLD_ARCHIVE",	/* Tencent,
								 * Volcano */
	};

	if (name == NULL || strcmp(name, "INTELLIGENT_TIERING") == 0)
		return S3_COLD_UNTOLD;
	for (size_t i = 0; i < sizeof(archives) / sizeof(*archives); i++)
		if (strcmp(name, archives[i]) == 0)
			return S3_COLD_YES;
	return S3_COLD_NO;
}

enum s3_locked
s3_error_locked(int result, const struct s3_error *err)
{
	if (result >= 0)
		return S3_LOCKED_NOT;
	if (strcmp(err->code, "InvalidObjectState") == 0 ||
	    strcmp(err->code, "ObjectNotInActiveTierError") == 0)
		return S3_LOCKED_ARCHIVED;
	return strcasestr(err->message, SSE_C) != NULL ? S3_LOCKED_ENCRYPTED
						       : S3_LOCKED_NOT;
}

static bool
is_one_of(const char *code, const char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(code, list[i]) == 0)
			return true;
	return false;
}

#define IS_ONE_OF(code, list) \
	is_one_of(code, list, sizeof(list) / sizeof(*(list)))

enum s3_lack
s3_error_lacks(int result, const struct s3_error *err)
{
	static const char *const values[] = {
		"BadRequest", "InvalidArgument", "InvalidRequest",
		"InvalidStorageClass", "InvalidTag", "MalformedACLError",
		"UnsupportedArgument", "UnsupportedHeader",
	};
	static const char *const sizes[] = {
		"MetadataTooLarge", "RequestHeaderSectionTooLarge",
		"MetadataTooLong", "HeaderFieldsTooLarge",
	};

	if (result >= 0)
		return S3_LACKS_NOTHING;
	if (err->http == 431 || IS_ONE_OF(err->code, sizes))
		return S3_LACKS_ROOM;
	if (result == -ENOTSUP)
		return S3_LACKS_FEATURE;
	return IS_ONE_OF(err->code, values) ? S3_LACKS_PERHAPS
					    : S3_LACKS_NOTHING;
}

void
s3_error_clear(struct s3_error *err)
{
	if (err != NULL)
		memset(err, 0, sizeof(*err));
}

#define TELL_EVERY_MS 60000

void
s3_tell(struct s3_remote *r, _Atomic int64_t *last, const char *fmt, ...)
{
	int64_t now = s3_mono_ms(), then = *last;
	char line[S3_KEY_MAX + 256];
	va_list ap;

	if (r->base.config.log == NULL ||
	    (then != 0 && now - then < TELL_EVERY_MS) ||
	    !atomic_compare_exchange_strong(last, &then, now))
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	r->base.config.log(r->base.config.log_arg, S3_LOG_WARN, line);
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
