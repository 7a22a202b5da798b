/* SPDX-License-Identifier: Apache-2.0 */
#ifndef S3_S3_H
#define S3_S3_H

/*
 * s3: one bucket, on a server that speaks the S3 API or in a directory
 * (the embedded local bucket), behind one door.  The room knows keys,
 * headers and bytes; it has not heard of inodes, paths or NFS.
 *
 * Every call blocks the calling thread until the answer is there, and may be
 * called from any number of threads at once.  Requests that are safe to
 * repeat are repeated inside (jittered exponential back-off, `Retry-After`
 * honoured) until `struct s3_config.retry_ms` has passed.
 *
 * Results are 0 (or a count) or a negative errno:
 *   -ENOENT     no such key, or no such upload
 *   -ENODEV     no such bucket
 *   -EACCES     access denied (403)
 *   -EKEYREJECTED  the account, its keys, clock, region or certificate is
 *               refused, whatever the object: it passes when that is mended
 *   -EDQUOT     the account or the bucket is full
 *   -ESTALE     If-Match, or a copy source's If-Match, did not hold (412)
 *   -EEXIST     If-None-Match: * did not hold (412)
 *   -EAGAIN     transient and still so after the retries: 5xx, 503 SlowDown,
 *               429, time-out, no connection, an answer that is not S3's,
 *               409 with ConditionalRequestConflict (nobody knows yet
 *               whether the condition holds)
 *   -EFBIG      the store calls the body or the part list too large
 *   -EINVAL     the store calls the request wrong (400), or we would
 *   -ENOTSUP    the store does not implement the call (501, 405)
 *   -EBADMSG    the body or reply is not what was asked for: length, range,
 *               ETag or checksum differ, XML that does not parse
 *   -ENOMEM, -EIO (and for a local bucket -ENOSPC)
 * enum s3_meaning says what follows from each.
 * The store's own words go to the optional `struct s3_error`.
 */

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#define S3_KEY_MAX 1024		/* bytes of a key, S3 API "Object keys" */
#define S3_ETAG_MAX 128		/* bytes of an ETag without quotes, with NUL */
#define S3_PARTS_MAX 10000	/* S3 API "Multipart upload limits" */
#define S3_PART_MIN (5ULL << 20)/* smallest part but the last */
#define S3_PART_MAX (5ULL << 30)
#define S3_COPY_MAX (5ULL << 30)/* largest source of one CopyObject */
#define S3_OBJECT_MAX (5ULL << 40)

struct s3;

struct s3_error {
	int http;		/* HTTP status, 0 if there was none */
	char code[64];		/* S3 error code, "NoSuchKey", or "" */
	char message[256];	/* the store's or libcurl's text, one line */
	char request_id[64];	/* x-amz-request-id, or "" */
};

/* What a result means for the object that was asked about (error.c). */
enum s3_meaning {
	S3_DONE,
	S3_ABSENT,		/* S3 says that there is none */
	S3_UNMET,		/* the condition does not hold */
	S3_REFUSED,		/* this request about this object, as it seems
				 * for good */
	S3_ACCOUNT,		/* refused, but not for the object's sake: until
				 * keys, clock, quota or bucket are mended */
	S3_LATER,		/* it passes by itself */
};
static inline enum s3_meaning
s3_meaning(ssize_t result)
{
	switch (result >= 0 ? 0 : -result) {
	case 0:
		return S3_DONE;
	case ENOENT:
		return S3_ABSENT;
	case ESTALE:
	case EEXIST:
		return S3_UNMET;
	case EKEYREJECTED:
	case EDQUOT:
	case ENODEV:
		return S3_ACCOUNT;
	case EAGAIN:
	case EBADMSG:
	case ENOMEM:
	case EIO:
	case ENOSPC:
		return S3_LATER;
	default:
		return S3_REFUSED;
	}
}

enum s3_level { S3_LOG_ERR, S3_LOG_WARN, S3_LOG_INFO, S3_LOG_DEBUG };

enum s3_style { S3_STYLE_AUTO, S3_STYLE_PATH, S3_STYLE_VIRTUAL };

/*
 * How to reach a bucket.  Strings are copied by s3_open.  NULL or 0 takes
 * the default named.
 */
struct s3_config {
	const char *url;	/* "s3://BUCKET" (or the ARN of an access
				 * point) or "file:///DIR"; a prefix after
				 * BUCKET is refused: keys are whole */
	const char *endpoint;	/* "http://HOST:PORT[/PATH]"; NULL: the
				 * environment's, or AWS in region */
	const char *region;	/* NULL: environment, profile, us-east-1 */
	const char *profile;	/* NULL: AWS_PROFILE or "default" */
	const char *ca_file;	/* NULL: AWS_CA_BUNDLE, the profile's
				 * ca_bundle, the system's */
	const char *client_cert, *client_key; /* PEM; NULL: none, or both in
				 * client_cert */
	enum s3_style style;	/* AUTO: path style if endpoint is given */
	bool unsigned_payload;	/* do not hash bodies, even over http */
	bool fips, dualstack;	/* the hosts of AWS that are */
	unsigned max_requests;	/* in flight at once; 64.  Others wait. */
	unsigned connect_ms;	/* 5000 */
	unsigned stall_ms;	/* no byte for so long is a failure; 20000 */
	unsigned retry_ms;	/* keep retrying transient failures; 10000 */
	unsigned process_ms;	/* credential_process; 60000 */
	unsigned courtesy_ms;	/* wait for tags and ACL that may not be read;
				 * 600000 */
	/* Sources of credentials that one must wait for (a command, HTTP) are
	 * asked at the first request, not by s3_open. */
	bool ask_later;
	/* Should s3_open leave off asking for credentials (-ECANCELED)?  May
	 * be NULL. */
	bool (*stopped)(void *log_arg);
	/* One line, no newline, no secrets.  May be called by any thread. */
	void (*log)(void *log_arg, enum s3_level level, const char *line);
	void *log_arg;
};

/*
 * Open a bucket: read credentials, start the transfer thread.  No request is
 * sent.  -EINVAL with err->message for a configuration that cannot work.
 * On success *out is the caller's, to be closed by s3_close after every
 * call on it has returned.
 */
int s3_open(const struct s3_config *config, struct s3 **out,
	    struct s3_error *err) __attribute__((warn_unused_result));
void s3_close(struct s3 **s3);

/*
 * Make requests that are under way, wait or retry fail soon with -EAGAIN, and
 * what asks for credentials, for a quick end of the program.  May be called
 * from any thread; cannot be undone.
 */
void s3_cancel(struct s3 *s3);

/* Whose keys are used, for people.  Nothing secret. */
struct s3_identity {
	bool known;		/* there are keys */
	char source[160];	/* "environment", "profile \"work\" (SSO)" */
	int64_t expires_s;	/* 0: never */
	char error[256];	/* of the last asking for new ones, or "" */
};
/* False: a bucket that needs none. */
bool s3_identity(struct s3 *s3, struct s3_identity *out);

/*
 * Watch whether the store is there (away.c).  From then on questions (s3_head,
 * s3_get, s3_list_page) give -EAGAIN at once while it is away, and those under
 * way do when it is found to be; changes are not begun.
 */
struct s3_absence {
	int64_t since_ns;	/* wall clock */
	char why[256];
};
struct s3_watch {
	const char *prefix;	/* it is asked below that; copied */
	unsigned wait_ms;	/* without an answer: then it is away */
	bool refuse;		/* false: questions wait as ever */
	/* It is away, or back (absence: as it was).  By the watcher's thread,
	 * not after s3_cancel; may not close s3.  NULL: nobody wants to
	 * know. */
	void (*told)(void *told_arg, bool away,
		     const struct s3_absence *absence);
	void *told_arg;
};
/* Once, before other threads use s3; ends with s3_close. */
int s3_watch(struct s3 *s3, const struct s3_watch *watch)
	__attribute__((warn_unused_result));
/* out NULL: are questions refused now?  Takes no lock.  Else: is it away, if
 * they are refused or not? */
bool s3_is_away(struct s3 *s3, struct s3_absence *out);

/*
 * The store's clock now, in ns since the epoch: what it would write as an
 * object's time.  As its answers tell it (Date), to a second; ours until there
 * was one.
 */
int64_t s3_clock_ns(struct s3 *s3);

/* May keys hold bytes that are not UTF-8?  In a directory; a store's API
 * speaks XML. */
bool s3_keys_any_bytes(const struct s3 *s3);

/*
 * What the store honours, as seen by s3_probe; false is always safe.
 * radosgw ignores some conditions and Swift refuses others.
 */
enum s3_odd {
	S3_ODD_BACKSLASH = 1, S3_ODD_NEWLINE = 2, S3_ODD_TAB = 4,
	S3_ODD_CONTROL = 8,	/* any other below a blank */
	S3_ODD_NONCHAR = 16,	/* U+FFFE, U+FFFF */
};
struct s3_caps {
	bool put_if_none_match;	/* PUT If-None-Match: * is refused with 412 */
	bool put_if_match;	/* PUT If-Match is refused when stale */
	bool put_if_match_unquoted; /* ... and only passes without quotes;
				     * s3_put adapts by itself */
	bool complete_if_match;	/* the same on CompleteMultipartUpload */
	bool copy_if_match;	/* x-amz-copy-source-if-match is honoured */
	bool delete_if_match;
	bool part_copy;		/* UploadPartCopy with a range works */
	bool checksums;		/* x-amz-checksum-crc32c is verified */
	unsigned mangled;	/* bits of enum s3_odd: it does not keep these
				 * in keys as they are, or takes none such */
};

/*
 * Find out by harmless requests on scratch keys "SCRATCH_PREFIX" + random,
 * which are deleted again.  The result is also kept in the object: later
 * calls use it.  Without a probe nothing is taken as honoured.  Fails only
 * if the store cannot be used at all (then err tells why).
 */
int s3_probe(struct s3 *s3, const char *scratch_prefix, struct s3_caps *out,
	     struct s3_error *err) __attribute__((warn_unused_result));

/*
 * Delete scratch keys that probes left below that prefix (sweep.c): ours, and
 * all that are older than an hour.  Nobody probes below it with this s3
 * meanwhile.  To be repeated until it is 0.
 */
int s3_probe_sweep(struct s3 *s3, const char *scratch_prefix,
		   struct s3_error *err) __attribute__((warn_unused_result));

/*
 * Headers that live with an object: lower-case names as on the wire
 * ("content-type", "cache-control", "x-amz-meta-mtime", ...).  A list that
 * an s3_ function filled is freed with s3_headers_free; the struct itself
 * belongs to the caller.  {0} is an empty list.
 */
struct s3_header {
	char *name;
	char *value;
};
struct s3_headers {
	size_t count;
	struct s3_header *list;
};
/* NULL if there is none; the value is the list's. */
const char *s3_headers_get(const struct s3_headers *h, const char *name);
/* Replace or add; value NULL removes.  Copies.  -ENOMEM. */
int s3_headers_set(struct s3_headers *h, const char *name, const char *value)
	__attribute__((warn_unused_result));
int s3_headers_copy(const struct s3_headers *from, struct s3_headers *to)
	__attribute__((warn_unused_result));
void s3_headers_free(struct s3_headers *h);

/* What HEAD tells of an object (S3 API HeadObject). */
struct s3_object {
	uint64_t size;
	int64_t mtime_ns;	/* Last-Modified, ns since the epoch */
	char etag[S3_ETAG_MAX];	/* without the quotes */
	char version_id[64];	/* "" if the bucket has no versions */
	char storage_class[32];	/* "" means STANDARD */
	bool cold;		/* archived; a restored copy may be there */
	bool class_told;	/* else !cold says nothing: some HEADs tell
				 * no class */
	bool has_tags;		/* x-amz-tagging-count > 0 */
	bool kms;		/* encrypted with a key of AWS KMS, */
	char kms_key_id[256];	/* this one, or "" if not told */
	/*
	 * x-amz-meta-*, content-type, cache-control, content-disposition,
	 * content-encoding, content-language, expires,
	 * x-amz-website-redirect-location: all that a rewrite must carry over.
	 */
	struct s3_headers headers;
};
void s3_object_free(struct s3_object *object);	/* frees what it owns */

int s3_head(struct s3 *s3, const char *key, struct s3_object *out,
	    struct s3_error *err) __attribute__((warn_unused_result));

/*
 * Read [off, off + len) of one version of an object into buf (GetObject with
 * Range).  if_match: an ETag, or NULL for whatever is there.  The reply's
 * status, Content-Range, length and ETag are checked; a short or foreign
 * body is repeated, then -EBADMSG.  Returns the number of bytes, less than
 * len only at the end of the object (0 when off is at or past it).
 * out: optional, ETag, size and headers of the object (free it).
 */
ssize_t s3_get(struct s3 *s3, const char *key, const char *if_match,
	       uint64_t off, void *buf, size_t len, struct s3_object *out,
	       struct s3_error *err) __attribute__((warn_unused_result));

/*
 * Bytes to send.  read() fills buf with bytes [off, off + len) of the body
 * and returns len, or a negative errno, which ends the request with that
 * error.  It is called from the calling thread or the transfer thread, never
 * from two at once, several times over the same range (hash, send, retry),
 * and must give the same bytes each time.
 */
struct s3_source {
	uint64_t len;
	ssize_t (*read)(void *arg, uint64_t off, void *buf, size_t len);
	void *arg;
	/* Bytes handed to the network so far, for progress; may be NULL. */
	void (*sent)(void *arg, uint64_t bytes);
};

/* At most one of the two.  Ignored where caps say it is not honoured. */
struct s3_cond {
	const char *if_match;	/* an ETag without quotes, or NULL */
	bool if_none_match;	/* the key must not exist */
	/* Of s3_copy: about the source's bytes, 0 if not known.  A store may
	 * be silent for as long as it takes to copy them. */
	uint64_t source_size;
};

/*
 * Storage options for a new object; NULL or zero leaves the store's default.
 */
struct s3_options {
	const char *storage_class;
	const char *sse;	/* "AES256" or "aws:kms" */
	const char *sse_kms_key_id;
	const char *acl;	/* canned ACL */
	bool requester_pays;
};
/* Applied to every later call on s3.  Strings are copied. */
int s3_set_options(struct s3 *s3, const struct s3_options *options)
	__attribute__((warn_unused_result));

/*
 * What else a new version must be told to keep, beside the headers that HEAD
 * tells: tags, grants of the ACL, storage class, KMS key.  They are added to
 * *headers as the headers of the request that writes it (x-amz-tagging,
 * x-amz-grant-*, x-amz-storage-class, x-amz-server-side-encryption).  object:
 * what s3_head told of key.  copy: it is for s3_copy.  Takes up to two
 * requests.  What the store does not tell, or not us, is left out, with one
 * line to the log.
 */
int s3_extras(struct s3 *s3, const char *key, const struct s3_object *object,
	      bool copy, struct s3_headers *headers, struct s3_error *err)
	__attribute__((warn_unused_result));

/*
 * After s3_upload_complete: has the object the tags of these headers, which
 * its upload was created with?  If not it gets them (radosgw 16 forgets).
 */
int s3_extras_ensure(struct s3 *s3, const char *key,
		     const struct s3_headers *headers, struct s3_error *err)
	__attribute__((warn_unused_result));

/*
 * PutObject, at most 5 GiB.  headers may be NULL.  etag receives the new
 * version's ETag.  A retry after a lost answer with a condition set is
 * settled by a HEAD: our own finished PUT counts as success.
 */
int s3_put(struct s3 *s3, const char *key, const struct s3_source *body,
	   const struct s3_headers *headers, const struct s3_cond *cond,
	   char etag[S3_ETAG_MAX], struct s3_error *err)
	__attribute__((warn_unused_result));

/* CreateMultipartUpload.  *upload_id is malloced, the caller's.  Not repeated:
 * after -EAGAIN there may be an upload that nobody knows (s3_upload_list). */
int s3_upload_create(struct s3 *s3, const char *key,
		     const struct s3_headers *headers, char **upload_id,
		     struct s3_error *err) __attribute__((warn_unused_result));

/* UploadPart; number from 1 to S3_PARTS_MAX.  Replaces an earlier one. */
int s3_upload_part(struct s3 *s3, const char *key, const char *upload_id,
		   unsigned number, const struct s3_source *body,
		   char etag[S3_ETAG_MAX], struct s3_error *err)
	__attribute__((warn_unused_result));

/*
 * UploadPartCopy of [off, off + len) of source_key.  if_match pins the
 * source's version; where the store ignores that condition (caps), a HEAD
 * before and one after take its place, and -ESTALE is given all the same.
 */
int s3_upload_part_copy(struct s3 *s3, const char *key, const char *upload_id,
			unsigned number, const char *source_key,
			const char *if_match, uint64_t off, uint64_t len,
			char etag[S3_ETAG_MAX], struct s3_error *err)
	__attribute__((warn_unused_result));

struct s3_part {
	unsigned number;
	uint64_t size;		/* filled by s3_upload_parts only */
	char etag[S3_ETAG_MAX];
};

/*
 * CompleteMultipartUpload; parts ascending by number.  Errors inside a 200
 * reply are errors.  etag: from the reply, or by HEAD where the store leaves
 * it empty.  Safe to repeat: if the upload is gone, -ENOENT; whether it had
 * been completed before is the caller's to find out by HEAD.
 */
int s3_upload_complete(struct s3 *s3, const char *key, const char *upload_id,
		       const struct s3_part *parts, size_t count,
		       const struct s3_cond *cond, char etag[S3_ETAG_MAX],
		       struct s3_error *err)
	__attribute__((warn_unused_result));

/* AbortMultipartUpload; an upload that is gone already is 0. */
int s3_upload_abort(struct s3 *s3, const char *key, const char *upload_id,
		    struct s3_error *err) __attribute__((warn_unused_result));

/* ListParts, all pages.  *parts is malloced.  Returns the count. */
ssize_t s3_upload_parts(struct s3 *s3, const char *key, const char *upload_id,
			struct s3_part **parts, struct s3_error *err)
	__attribute__((warn_unused_result));

/*
 * ListMultipartUploads below prefix, all pages; each() gets strings that are
 * valid during the call, and a nonzero result ends the walk and is returned.
 */
int s3_upload_list(struct s3 *s3, const char *prefix,
		   int (*each)(void *arg, const char *key,
			       const char *upload_id, int64_t initiated_ns),
		   void *arg, struct s3_error *err)
	__attribute__((warn_unused_result));

/*
 * CopyObject inside the bucket, at most 5 GiB.  headers NULL keeps all that
 * the source has (MetadataDirective COPY; storage class, grants and KMS key
 * are asked for and said again), else they replace the metadata; tags are
 * carried along either way (TaggingDirective COPY).  if_match pins the
 * source as in s3_upload_part_copy.  cond speaks of the destination.
 * Onto its own key it changes the metadata.  Errors inside a 200 count.
 */
int s3_copy(struct s3 *s3, const char *source_key, const char *if_match,
	    const char *key, const struct s3_headers *headers,
	    const struct s3_cond *cond, char etag[S3_ETAG_MAX],
	    struct s3_error *err) __attribute__((warn_unused_result));

/*
 * DeleteObject; a key that is not there is 0.  if_match NULL: whatever is
 * there, and nothing is repeated inside.  Where the store ignores the
 * condition, a HEAD just before takes its place (a window of one round trip
 * remains).
 */
int s3_delete(struct s3 *s3, const char *key, const char *if_match,
	      struct s3_error *err) __attribute__((warn_unused_result));

/*
 * RestoreObject of an archived object, to be read for so many days; done by
 * the store later.  One that is under way is 0.  -ENOTSUP: there is no archive.
 */
int s3_restore(struct s3 *s3, const char *key, unsigned days,
	       struct s3_error *err) __attribute__((warn_unused_result));

/* Is an object archived, as far as its storage class tells?  Stores call
 * classes alike that are read at once: only a GET knows. */
enum s3_cold {
	S3_COLD_UNTOLD,		/* by this answer; HEAD may know */
	S3_COLD_NO,
	S3_COLD_YES,
};

/* Why an object that is there cannot be read, or copied, with our keys. */
enum s3_locked {
	S3_LOCKED_NOT,		/* that does not say so */
	S3_LOCKED_ARCHIVED,	/* until it is restored */
	S3_LOCKED_ENCRYPTED,	/* with a customer's key (SSE-C) */
};
/* By the error of a request for it. */
enum s3_locked s3_error_locked(int result, const struct s3_error *err);

/* One name of a listing.  Valid during the callback only. */
struct s3_entry {
	const char *key;	/* any bytes but NUL; a common prefix ends
				 * with the delimiter */
	size_t key_len;
	bool is_prefix;		/* CommonPrefixes: the rest is empty */
	uint64_t size;
	int64_t mtime_ns;
	const char *etag;	/* without quotes */
	enum s3_cold cold;
};

/*
 * How the file names of a probe's scratch keys begin; 24 hexadecimal digits
 * follow, and an end.  They are nobody's files: no listing tells of them, and
 * nothing else is to be put there.
 */
#define S3_SCRATCH ".s3nfsd-probe-"
#define S3_SCRATCH_DIGITS 24

static inline bool
s3_is_scratch(const char *name)
{
	size_t len = sizeof(S3_SCRATCH) - 1;

	return strncmp(name, S3_SCRATCH, len) == 0 &&
	       strspn(name + len, "0123456789abcdef") == S3_SCRATCH_DIGITS;
}

struct s3_list {
	const char *prefix;	/* "" for all */
	const char *delimiter;	/* "/" or NULL */
	const char *start_after;/* keys after this one, or NULL */
	const char *token;	/* continuation of an earlier page, or NULL */
	unsigned max_keys;	/* 1 to 1000; 0 is 1000 */
	bool scratch;		/* tell of scratch keys, too */
};

/*
 * One page of ListObjectsV2, keys and common prefixes merged in byte order.
 * *next is malloced: the token of the next page, or NULL after the last
 * (only then is the listing complete).  Keys that XML cannot carry come by
 * encoding-type=url.  A nonzero result of each() ends the walk and is
 * returned, *next untouched.  A page may have no names and a *next.
 */
int s3_list_page(struct s3 *s3, const struct s3_list *list,
		 int (*each)(void *arg, const struct s3_entry *entry),
		 void *arg, char **next, struct s3_error *err)
	__attribute__((warn_unused_result));

/* What ails the account (S3_ACCOUNT), since when, and how many requests were
 * refused for it.  False: nothing, as far as is known. */
struct s3_trouble {
	int result;
	int64_t since_ns;	/* wall clock */
	uint64_t refused;
	char what[328];		/* the store's words */
};
bool s3_trouble(struct s3 *s3, struct s3_trouble *out);

/* Counters since s3_open, for status pages and tests. */
struct s3_stats {
	uint64_t requests[16];	/* by enum s3_op */
	uint64_t retries;
	uint64_t errors;	/* calls that ended in an error */
	uint64_t extras_lost;	/* objects' tags, ACLs and the like */
	uint64_t bytes_sent;	/* bodies */
	uint64_t bytes_received;
	unsigned in_flight;
};
enum s3_op {
	S3_OP_HEAD, S3_OP_GET, S3_OP_PUT, S3_OP_CREATE, S3_OP_PART,
	S3_OP_PART_COPY, S3_OP_COMPLETE, S3_OP_ABORT, S3_OP_LIST_PARTS,
	S3_OP_LIST_UPLOADS, S3_OP_COPY, S3_OP_DELETE, S3_OP_LIST,
	S3_OP_EXTRAS,
	S3_OP_COUNT
};
void s3_stats(struct s3 *s3, struct s3_stats *out);

#endif
