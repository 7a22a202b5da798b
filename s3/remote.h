/* SPDX-License-Identifier: Apache-2.0 */
#ifndef S3_REMOTE_H
#define S3_REMOTE_H

/*
 * Inside of the remote half of s3/: what sign, creds, pool, retry, request
 * and the calls (object, list, multipart, copy, probe) share.
 *
 * One call goes: a file of calls fills a struct s3_call and hands it to
 * s3_request (request.c), which signs it (sign.c, creds.c), runs it on the
 * transfer thread (pool.c), judges the answer (reply.c, error.c, xml.c) and
 * repeats it where that is right (retry.c).
 */

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <curl/curl.h>
#include "s3/s3_priv.h"

/* buf.c: bytes that grow up to a bound.  The first failure sticks. */

struct s3_buf {
	char *data;		/* NUL-terminated once something was added */
	size_t len;
	size_t cap;
	size_t max;		/* 0: no bound but memory */
	int failed;		/* 0, -ENOMEM or -EFBIG */
};
void s3_buf_fini(struct s3_buf *b);
void s3_buf_reset(struct s3_buf *b);	/* empty, memory kept */
void s3_buf_add(struct s3_buf *b, const void *data, size_t len);
void s3_buf_str(struct s3_buf *b, const char *s);
void s3_buf_fmt(struct s3_buf *b, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Percent-encode all but RFC 3986 unreserved characters (and '/'). */
void s3_buf_uri(struct s3_buf *b, const char *s, bool keep_slash);
/* Text for an XML element. */
void s3_buf_xml(struct s3_buf *b, const char *s);
/* Hand the string over, or NULL if something failed. */
char *s3_buf_take(struct s3_buf *b);

void s3_free_ptr(void *p);
#define CLEANUP_FREE __attribute__((cleanup(s3_free_ptr)))
#define CLEANUP_BUF __attribute__((cleanup(s3_buf_fini)))

/* sign.c: AWS Signature Version 4, pure functions. */

#define S3_HASH_HEX 65		/* 64 digits and NUL */
#define S3_HASH_EMPTY \
	"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define S3_UNSIGNED "UNSIGNED-PAYLOAD"

struct s3_sign {
	const char *method;
	const char *path;	/* percent-encoded, begins with '/' */
	const char *query;	/* canonical: encoded and sorted, or "" */
	const struct s3_header *headers; /* to sign; any order, any case */
	size_t count;
	const char *payload;	/* hex SHA-256 or S3_UNSIGNED */
	const char *access_key;
	const char *secret_key;
	const char *region;
	const char *service;
	const char *date;	/* "20130524T000000Z" */
};
struct s3_query {
	const char *name;
	const char *value;	/* NULL is "" */
};
/* Both give a malloced string or -ENOMEM. */
int s3_sign_query(const struct s3_query *query, size_t count, char **out);
int s3_sign(const struct s3_sign *s, char **authorization);
void s3_sign_date(int64_t now_s, char date[17]);
void s3_hex(const unsigned char *in, size_t len, char *out);
/* SHA-256 of a whole source in hex; a negative errno of its read(). */
int s3_hash_source(const struct s3_source *body, char hex[S3_HASH_HEX]);
/* MD5 in hex, as stores give for the ETag of a plain PUT. */
int s3_md5_source(const struct s3_source *body, char hex[33]);
int s3_sha1_hex(const char *text, char hex[41]);

/* date.c: all give -1 for what is no date. */

int64_t s3_date_http(const char *text);	/* RFC 9110 5.6.7, IMF-fixdate */
int64_t s3_date_iso(const char *text);	/* "2009-10-12T17:50:30.000Z" */
int64_t s3_now_s(void);
int64_t s3_mono_ms(void);
int64_t s3_now_ns(void);	/* CLOCK_REALTIME */

/* process.c */

struct s3_process {
	const char *command;	/* for sh -c */
	unsigned limit_ms;
	bool (*stopped)(void *arg);	/* NULL: never */
	void *arg;
};
/* What it prints until it ends.  -ETIMEDOUT, -ECANCELED: it was ended; -EIO: it
 * failed, or is longer than out's bound. */
int s3_process_read(const struct s3_process *process, struct s3_buf *out);

/* creds.c: keys, and new ones in time (creds.h has the rest). */

struct s3_creds;
struct s3_keys {
	char *access;
	char *secret;
	char *token;		/* NULL: none */
	int64_t expires_s;	/* 0: never */
};
void s3_keys_fini(struct s3_keys *k);
/*
 * Finds out where keys come from (profile may be NULL).  -EINVAL with a reason
 * if there is nothing, if something there is not understood, or, without
 * ask_later, if it gives no keys.
 */
int s3_creds_open(const struct s3_config *config, struct s3_creds **out,
		  struct s3_error *err);
void s3_creds_close(struct s3_creds **creds);
/* Who asks for keys leaves off; cannot be undone. */
void s3_creds_cancel(struct s3_creds *creds);
/* How long somebody waits: so long (0: no limit), and until it is set, if it is
 * not NULL. */
struct s3_patience {
	unsigned limit_ms;
	const atomic_bool *refused;
};
/* A copy of keys that are good; waits for new ones only if there are none,
 * patience NULL: for as long as the source takes.  -EKEYREJECTED with the
 * source's last error. */
int s3_creds_get(struct s3_creds *creds, const struct s3_patience *patience,
		 struct s3_keys *out, struct s3_error *err);
/* The store refused these: ask the source before the next get.  False: there
 * is no use in it, or it was done a moment ago. */
bool s3_creds_expire(struct s3_creds *creds, const char *access);
void s3_creds_tell(struct s3_creds *creds, struct s3_identity *out);
/* From our settings, environment or profile, NULL if none names one;
 * malloced. */
char *s3_creds_region(const struct s3_config *config);
char *s3_creds_ca_file(const struct s3_config *config);

/* place.c: where AWS is. */

/* "true" in the environment. */
bool s3_aws_wants(const char *variable);

/* What follows the region in a host's name.  api: of the newer services that
 * have IPv6. */
const char *s3_aws_domain(const char *region, bool api);

/* pool.c: one thread that moves bytes, callers that wait. */

struct s3_pool;
struct s3_transfer {
	/* the caller's, before s3_pool_take */
	const atomic_bool *refused;	/* it ends when that is set; or NULL */
	bool urgent;			/* waits for no slot */
	CURL *easy;
	CURLcode result;
	/* the pool's */
	bool done;
	bool stalled;
	bool cancelled;
	int64_t active_ms;	/* last byte seen, by s3_transfer_touch */
	int64_t patience_ms;	/* the caller's: may be silent so much longer */
	int outq;		/* unsent bytes in the kernel at last look */
	pthread_cond_t finished;
	struct s3_transfer *next, *prev;
	pthread_t holder;	/* of the slot */
	struct s3_transfer *next_held;
};
int s3_pool_new(unsigned max, unsigned stall_ms, struct s3_pool **out);
void s3_pool_free(struct s3_pool **pool);
void s3_pool_cancel(struct s3_pool *pool);
/* Some flags of transfers have been set. */
void s3_pool_hurry(struct s3_pool *pool);
/* Wait for a slot and take an easy handle; -EAGAIN when cancelled.  Who has
 * one asks for no other, nor does a callback: test builds abort if they do. */
int s3_pool_take(struct s3_pool *pool, struct s3_transfer *t);
/* Run to the end; t->result and flags tell how it went. */
void s3_pool_run(struct s3_pool *pool, struct s3_transfer *t);
void s3_pool_give(struct s3_pool *pool, struct s3_transfer *t);
/* Called from libcurl's callbacks when bytes have moved. */
void s3_transfer_touch(struct s3_transfer *t);
/* Sleep; false if cancelled meanwhile, or the flag (NULL: none) was set. */
bool s3_pool_sleep(struct s3_pool *pool, unsigned ms, const atomic_bool *flag);
/* The store asks to go slower, or answers well again. */
void s3_pool_slower(struct s3_pool *pool);
void s3_pool_faster(struct s3_pool *pool);

/* request.c */

#define S3_DENIED_KEYS 256

/* denied.c: may we read the tags, or the ACL, of objects? */
struct s3_denials {
	unsigned wait_ms;	/* constant */
	pthread_mutex_t mutex;	/* guards all below */
	int64_t allowed_ms;	/* last of any object; 0: never */
	int64_t denied_ms;	/* since then, and of all; 0: not */
	int64_t closed_ms;	/* until then nobody is asked */
	struct s3_denied {
		uint64_t key;	/* its hash */
		int64_t since_ms;
	} keys[S3_DENIED_KEYS];
};
enum s3_denial {
	S3_DENIED_WAIT,		/* it may pass */
	S3_DENIED_OBJECT,	/* this object's own */
	S3_DENIED_ALL,		/* our rights, it seems: no more is asked */
};
void s3_denials_init(struct s3_denials *d, unsigned wait_ms);
void s3_denials_fini(struct s3_denials *d);
bool s3_denials_closed(struct s3_denials *d);
void s3_denials_allowed(struct s3_denials *d);	/* of some object */
bool s3_denials_were_allowed(struct s3_denials *d);
enum s3_denial s3_denials_judge(struct s3_denials *d, const char *key);

#define S3_COURTESIES 5

/* numbers.c: do answers of a kind bear a request's number? */
struct s3_numbers {
	atomic_bool borne;	/* some did, */
	atomic_llong lacking_ms;	/* and since then none; 0: they do */
	atomic_uint lacking;		/* so many answers */
};
/* A good answer has one, or not.  Is it the store's, then? */
bool s3_numbers_agree(struct s3_numbers *n, bool has);

struct s3_remote {
	struct s3 base;
	/* set by open, then constant */
	bool https;
	bool path_style;
	bool is_aws;		/* the host follows the region */
	char *endpoint_host;	/* "HOST[:PORT]", NULL if is_aws */
	char *base_path;	/* of the endpoint: "" or "/a/b"; NULL: "" */
	char *access_point;	/* "NAME-ACCOUNT"; the bucket is its ARN then */
	char *ca_file, *client_cert, *client_key;
	struct s3_creds *creds;
	struct s3_pool *pool;
	/* learnt from answers */
	atomic_uint caps;	/* bits of enum s3_cap_bit */
	atomic_uint withdrawn;	/* of caps: what holds was refused, later */
	atomic_bool list_v1;	/* it knows no other listing: list.c */
	atomic_bool bucket_seen, listed;
	atomic_uint probes;	/* that ended amid the store's trouble */
	struct s3_numbers numbers;	/* on good answers of any kind, */
	struct s3_numbers numbers_done;	/* to DELETE and the like, */
	struct s3_numbers numbers_head;	/* to HEAD, */
	struct s3_numbers numbers_put;	/* and to what brings bytes */
	char scratch[13]; /* how names of its probes begin; "": none yet */
	atomic_bool tells_tags;	/* HEAD says how many there are */
	atomic_bool no_tags, no_acl;	/* the store has none */
	struct s3_denials tags_denied, acl_denied, heads_denied;
	_Atomic int64_t skipped_ms; /* last told of keys that cannot be read, */
	_Atomic int64_t versionless_ms; /* of objects with an empty ETag */
	atomic_uint rude;	/* headers it does not know: extras.c */
	atomic_uint rude_seen[S3_COURTESIES];	/* so often */
	_Atomic int64_t heard_ms;	/* when bytes came from it last */
	_Atomic int64_t skew_s;	/* the store's clock less ours, for signing:
				 * when it complained */
	_Atomic int64_t ahead_s;	/* the same, as each answer tells */
	pthread_rwlock_t lock;
	char region[64];	/* under lock */
};

enum s3_cap_bit {
	S3_CAP_PUT_NONE = 1, S3_CAP_PUT_MATCH = 2, S3_CAP_UNQUOTED = 4,
	S3_CAP_COMPLETE = 8, S3_CAP_COPY_SOURCE = 16, S3_CAP_DELETE = 32,
	S3_CAP_PART_COPY = 64, S3_CAP_CHECKSUMS = 128, S3_CAP_COPY_DEST = 256,
	S3_CAP_TWICE = 512,	/* part copy decodes the source key twice */
};

#define S3_HOST_MAX 280			/* a name, and a port */
#define S3_QUERY_MAX 8
#define S3_REPLY_MAX (16U << 20)	/* XML of one reply */
#define S3_ERROR_MAX (64U << 10)	/* body of an error */
#define S3_HEADERS_MAX (128U << 10)	/* all header lines of a reply */

struct s3_reply {
	int http;
	struct s3_buf headers;	/* name NUL value NUL ..., names lower-case */
	struct s3_buf body;	/* of XML and errors */
	size_t received;	/* bytes in the call's buf */
};
/* NULL if there is none. */
const char *s3_reply_get(const struct s3_reply *reply, const char *name);
/* The number that a store gives each request; NULL if there is none. */
const char *s3_reply_number(const struct s3_reply *reply);
void s3_reply_fini(struct s3_reply *reply);
#define CLEANUP_REPLY __attribute__((cleanup(s3_reply_fini)))
/* A header line as it came, CRLF or not.  For the transfer and the fuzzer. */
void s3_reply_line(struct s3_reply *reply, const char *line, size_t len);

/* place.c: where requests go. */

/* From URL, endpoint and style; -EINVAL with what is wrong. */
int s3_place_set(struct s3_remote *r, const struct s3_config *config,
		 struct s3_error *err);
void s3_place_host(const struct s3_remote *r, const char *region,
		   struct s3_buf *host);
/* Percent-encoded; key NULL: the bucket. */
void s3_place_path(const struct s3_remote *r, const char *key,
		   struct s3_buf *path);
/* What stands before the key in x-amz-copy-source. */
void s3_place_source(const struct s3_remote *r, struct s3_buf *source);

/* For a copy or the putting together of parts whose size nobody said. */
#define S3_WORK_UNKNOWN (512ULL << 20)

struct s3_call {
	const char *method;
	const char *key;	/* NULL: the bucket */
	struct s3_query query[S3_QUERY_MAX];
	size_t query_count;
	struct s3_headers headers; /* all are signed; freed by s3_call_fini */
	const struct s3_source *body;
	void *buf;		/* where the body of a 2xx goes, or NULL: */
	size_t buf_len;		/* into reply->body */
	bool error_in_200;	/* a 2xx whose root is <Error> is one */
	bool once;		/* do not repeat: the probe's */
	unsigned limit_ms; /* of a try, and it waits for no slot; 0: none */
	const atomic_bool *refused;	/* a question: it ends when set */
	uint64_t work;		/* bytes that the store moves by itself before
				 * it answers: it may be silent for longer */
	/* More to hold of a 2xx, else -EBADMSG and another try. */
	int (*check)(const void *check_arg, const struct s3_reply *reply);
	const void *check_arg;
	/* out: how often it may have reached the store */
	unsigned sent;
	char host[S3_HOST_MAX];	/* it was sent there (redirect.c); "" not */
	unsigned redirects;
	int64_t first_sent_s;	/* by the store's clock */
};
void s3_call_fini(struct s3_call *call);
#define CLEANUP_CALL __attribute__((cleanup(s3_call_fini)))
int s3_call_header(struct s3_call *call, const char *name, const char *value);
void s3_call_query(struct s3_call *call, const char *name, const char *value);
/* 0 for a checked 2xx, else an errno as in s3.h with *err filled. */
int s3_request(struct s3_remote *r, struct s3_call *call,
	       struct s3_reply *reply, struct s3_error *err);
/* Add the options that belong to a new object, or only requester_pays. */
int s3_call_options(struct s3_remote *r, struct s3_call *call,
		    bool new_object);

/* crc32c.c */

uint32_t s3_crc32c(uint32_t crc, const void *data, size_t len);
/* Add a checksum of the body, if the store verifies one that is of use. */
int s3_call_checksum(struct s3_remote *r, struct s3_call *call, bool part);

/* redirect.c */
/* Does the answer to a request for path send us to another host than this
 * one?  host is in and out; endpoint: the document's, or "". */
bool s3_redirect(const struct s3_remote *r, const struct s3_reply *reply,
		 const char *path, const char *endpoint,
		 char host[S3_HOST_MAX]);

/* retry.c */

struct s3_retry {
	unsigned tries;
	unsigned retry_ms;
	int64_t end_ms;		/* from the first failure on */
	uint64_t random;
	bool learnt_region, learnt_clock, learnt_keys;
	bool again;		/* the last try taught something: at once */
	unsigned bad_bodies;
};
void s3_retry_init(struct s3_retry *retry, unsigned retry_ms);
/* Milliseconds to wait before another try, or -1: no more. */
int s3_retry_wait(struct s3_retry *retry, int result,
		  const char *retry_after);

/* error.c */

/* Who speaks, and in how many words. */
enum s3_voice {
	S3_VOICE_S3,		/* an error document of S3, or a HEAD's answer
				 * from the store */
	S3_VOICE_MUTE,		/* the store, without a document */
	S3_VOICE_OTHER,		/* a proxy, a login page, who knows */
};
/* HTTP status and S3 code to errno.  code may be "". */
int s3_errno(int http, const char *code, enum s3_voice voice);
/* What its words add: some stores call a full account AccessDenied. */
int s3_errno_said(int result, const char *message);
/* Does a refusal speak of what the request asks for beside the bytes, so that
 * it is worth another try without some of its headers? */
enum s3_lack {
	S3_LACKS_NOTHING,	/* it speaks of something else */
	S3_LACKS_FEATURE,	/* the store does not do that, for anybody */
	S3_LACKS_PERHAPS,	/* of a value, or of a header: not to be told */
	S3_LACKS_ROOM,		/* the metadata is too large */
};
enum s3_lack s3_error_lacks(int result, const struct s3_error *err);
void s3_error_clear(struct s3_error *err);
/* A warning, once a minute at most: *last is when it was told, 0: never. */
void s3_tell(struct s3_remote *r, _Atomic int64_t *last, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Format the message on one line; returns result. */
int s3_error_set(struct s3_error *err, int result, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* reply.c */

/* Empty, for another try; memory is kept. */
void s3_reply_reset(struct s3_reply *reply);
/* Who speaks; document: with an error document of S3. */
enum s3_voice s3_reply_voice(const struct s3_remote *r,
			     const struct s3_call *call,
			     const struct s3_reply *reply, bool document);
/* 0 for a good answer, else an errno with *err filled, and with the region and
 * the endpoint that it names, if they are "" so far. */
int s3_reply_judge(const struct s3_remote *r, const struct s3_call *call,
		   const struct s3_reply *reply, struct s3_error *err,
		   char region[64], char endpoint[S3_HOST_MAX]);

/* xml.c, xml_list.c: every one gives -EBADMSG for what it does not
 * understand. */

struct s3_xml_error {
	char code[64];
	char message[256];
	char request_id[64];
	char region[64];
	char endpoint[S3_HOST_MAX];
};
/* 0 if the root is <Error>, -ENOENT for another root. */
int s3_xml_error(const char *xml, size_t len, struct s3_xml_error *out);

struct s3_xml_item {
	char *key;		/* decoded */
	size_t key_len;
	bool is_prefix;
	uint64_t size;
	int64_t mtime_ns;
	char etag[S3_ETAG_MAX];
	enum s3_cold cold;
};
struct s3_xml_list {
	struct s3_xml_item *items; /* sorted by key */
	size_t count;
	size_t skipped;		/* that could not be read */
	bool truncated;
	bool v1;		/* of ListObjects, and truncated */
	char *next;		/* NextContinuationToken, or a marker */
};
int s3_xml_list(const char *xml, size_t len, struct s3_xml_list *out);
void s3_xml_list_fini(struct s3_xml_list *list);

struct s3_xml_upload {
	char *key;
	char *upload_id;
	int64_t initiated_ns;
};
struct s3_xml_uploads {
	struct s3_xml_upload *items;
	size_t count;
	bool truncated;
	char *next_key;
	char *next_upload_id;
};
int s3_xml_uploads(const char *xml, size_t len, struct s3_xml_uploads *out);
void s3_xml_uploads_fini(struct s3_xml_uploads *uploads);

struct s3_xml_parts {
	struct s3_part *parts;
	size_t count;
	bool truncated;
	unsigned next;		/* NextPartNumberMarker */
};
int s3_xml_parts(const char *xml, size_t len, struct s3_xml_parts *out);

/* CopyObjectResult, CopyPartResult, CompleteMultipartUploadResult. */
int s3_xml_etag(const char *xml, size_t len, char etag[S3_ETAG_MAX]);
/* Tagging: "k=v&k=v", percent-encoded, "" without tags; malloced. */
int s3_xml_tags(const char *xml, size_t len, char **tags);
/* AccessControlPolicy: x-amz-grant-*, unless only the owner may anything. */
int s3_xml_grants(const char *xml, size_t len, struct s3_headers *out);
/* InitiateMultipartUploadResult; malloced. */
int s3_xml_upload_id(const char *xml, size_t len, char **upload_id);
/* The credentials in the answer to AssumeRole, with web identity or without. */
int s3_xml_sts(const char *xml, size_t len, struct s3_keys *out);

/* Copy an ETag without W/ and quotes; -EBADMSG if it does not fit. */
int s3_etag_copy(const char *text, char etag[S3_ETAG_MAX]);

/* sweep.c */
/* Of a probe, after the prefix.  -EIO. */
int s3_scratch_name(struct s3_remote *r, char name[S3_SCRATCH_DIGITS + 1])
	__attribute__((warn_unused_result));
int s3_remote_sweep(struct s3 *s3, const char *scratch_prefix,
		    struct s3_error *err);

/* The calls: object.c, list.c, multipart.c, copy.c, probe.c. */

int s3_remote_head(struct s3 *s3, const char *key, struct s3_object *out,
		   struct s3_error *err);
ssize_t s3_remote_get(struct s3 *s3, const char *key, const char *if_match,
		      uint64_t off, void *buf, size_t len,
		      struct s3_object *out, struct s3_error *err);
int s3_remote_put(struct s3 *s3, const char *key,
		  const struct s3_source *body,
		  const struct s3_headers *headers,
		  const struct s3_cond *cond, char *etag,
		  struct s3_error *err);
int s3_remote_delete(struct s3 *s3, const char *key, const char *if_match,
		     struct s3_error *err);
int s3_remote_upload_create(struct s3 *s3, const char *key,
			    const struct s3_headers *headers,
			    char **upload_id, struct s3_error *err);
int s3_remote_upload_part(struct s3 *s3, const char *key,
			  const char *upload_id, unsigned number,
			  const struct s3_source *body, char *etag,
			  struct s3_error *err);
int s3_remote_upload_part_copy(struct s3 *s3, const char *key,
			       const char *upload_id, unsigned number,
			       const char *source_key, const char *if_match,
			       uint64_t off, uint64_t len, char *etag,
			       struct s3_error *err);
int s3_remote_upload_complete(struct s3 *s3, const char *key,
			      const char *upload_id,
			      const struct s3_part *parts, size_t count,
			      const struct s3_cond *cond, char *etag,
			      struct s3_error *err);
int s3_remote_upload_abort(struct s3 *s3, const char *key,
			   const char *upload_id, struct s3_error *err);
ssize_t s3_remote_upload_parts(struct s3 *s3, const char *key,
			       const char *upload_id, struct s3_part **parts,
			       struct s3_error *err);
int s3_remote_upload_list(struct s3 *s3, const char *prefix,
			  int (*each)(void *arg, const char *key,
				      const char *upload_id,
				      int64_t initiated_ns),
			  void *arg, struct s3_error *err);
int s3_remote_copy(struct s3 *s3, const char *source_key,
		   const char *if_match, const char *key,
		   const struct s3_headers *headers,
		   const struct s3_cond *cond, char *etag,
		   struct s3_error *err);
int s3_remote_extras(struct s3 *s3, const char *key,
		     const struct s3_object *object, bool copy,
		     struct s3_headers *headers, struct s3_error *err);
/* To the log: the object has no tags (or what it is) now. */
void s3_extras_lost(struct s3_remote *r, const char *key, const char *what);
/*
 * s3_request, once more without them if the store refuses it for headers that
 * only carry on what an object had: tags, grants, a storage class.  Those
 * leave call->headers.
 */
int s3_request_courteous(struct s3_remote *r, struct s3_call *call,
			 struct s3_reply *reply, struct s3_error *err);
int s3_remote_extras_ensure(struct s3 *s3, const char *key,
			    const struct s3_headers *headers,
			    struct s3_error *err);
int s3_remote_restore(struct s3 *s3, const char *key, unsigned days,
		      struct s3_error *err);
int s3_remote_list_page(struct s3 *s3, const struct s3_list *list,
			int (*each)(void *arg, const struct s3_entry *entry),
			void *arg, char **next, struct s3_error *err);
int s3_remote_probe(struct s3 *s3, const char *scratch_prefix,
		    struct s3_caps *out, struct s3_error *err);

/* oddkeys.c: bits of enum s3_odd to *mangled, by scratch keys that begin with
 * the stem.  An error: what was to be learnt is not known. */
int s3_probe_keys(struct s3_remote *r, const char *stem, unsigned *mangled)
	__attribute__((warn_unused_result));

/* Shared by the calls. */

/* DELETE answers 204, or 200 with some stores; a page with a status of 200
 * deletes nothing. */
int s3_done_by_store(struct s3_remote *r, const struct s3_reply *reply,
		     struct s3_error *err);
int s3_check_empty(const void *arg, const struct s3_reply *reply);
/* The answer to bytes: an ETag, and no page. */
int s3_check_put(const void *arg, const struct s3_reply *reply);
/* Fill *out from a reply's headers; size is Content-Length or the range's. */
int s3_object_from(const struct s3_reply *reply, struct s3_object *out);
/* Add the caller's headers; -EINVAL for names and values HTTP cannot carry. */
int s3_call_headers(struct s3_call *call, const struct s3_headers *headers);
/* If-Match / If-None-Match, where `have` has one of these caps bits. */
int s3_call_cond(unsigned have, struct s3_call *call,
		 const struct s3_cond *cond, unsigned caps);
/* UploadPartCopy and CompleteMultipartUpload as if the store had these caps:
 * for the probe, which runs beside everybody's requests. */
int s3_part_copy(struct s3_remote *r, const char *key, const char *upload_id,
		 unsigned number, const char *source_key,
		 const char *if_match, uint64_t off, uint64_t len, bool twice,
		 char *etag, struct s3_error *err);
int s3_complete(struct s3_remote *r, const char *key, const char *upload_id,
		const struct s3_part *parts, size_t count,
		const struct s3_cond *cond, unsigned caps, char *etag,
		struct s3_error *err);
/*
 * After a 412: is the object just the one that was asked for?  Then this
 * condition is not sent from here on, and the request is to be made again,
 * with a look before it.  radosgw 16 refuses every If-Match once a bucket has
 * versions, which may come after the probe; Swift one of a large object.
 */
bool s3_refused_for_nothing(struct s3_remote *r, const char *key,
			    const char *if_match, unsigned cap,
			    const char *what);
/* The HEAD that stands for a condition: 0, -ESTALE or -EEXIST. */
int s3_target_is(struct s3_remote *r, const char *key,
		 const struct s3_cond *cond, struct s3_error *err);
/* Whether the version under key is what we sent, after a lost answer. */
bool s3_settle(struct s3_remote *r, const struct s3_call *call,
	       const char *etag, uint64_t size,
	       const struct s3_headers *headers, struct s3_object *seen);

static inline struct s3_remote *s3_to_remote(struct s3 *s3)
{
	return (struct s3_remote *)s3;
}

#endif
