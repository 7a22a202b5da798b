/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request from a filled struct s3_call to a judged answer.
 *
 *	hash body -> keys -> sign -> transfer -> judge -> done
 *	              ^                            |
 *	              +-- learn / wait (retry.c) <-+
 *
 * Judging: a transport failure is -EAGAIN (a certificate that is refused
 * -EKEYREJECTED), a body cut short -EBADMSG, an answer what reply.c makes of
 * it, and a 2xx that the call's own check refuses -EBADMSG.  The body of an
 * error never reaches the caller's buffer.  Learning, once a call each: another
 * region, another host, the store's clock, new keys.
 */
#include <config.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "s3/remote.h"

#define USER_AGENT PACKAGE_NAME "/" PACKAGE_VERSION
#define RECV_BUFFER (512L << 10)
#define SEND_BUFFER (512L << 10)
#define SKEW_MIN_S 120
#define SKEW_PAGE_MAX_S 86400
#define CLOCK_MIN_S 1577836800	/* 2020: no clock that is set */
#define REDIRECTS_MAX 2

/* What the transfer thread's callbacks work on. */
struct transfer {
	struct s3_transfer t;
	struct s3_call *call;
	struct s3_reply *reply;
	uint64_t sent_off;
	int source_error;	/* the caller's read() failed */
	struct s3_remote *remote;
	bool overrun;		/* more bytes than asked for */
};

void
s3_call_fini(struct s3_call *call)
{
	s3_headers_free(&call->headers);
}

int
s3_call_header(struct s3_call *call, const char *name, const char *value)
{
	return s3_headers_set(&call->headers, name, value);
}

void
s3_call_query(struct s3_call *call, const char *name, const char *value)
{
	call->query[call->query_count++] = (struct s3_query){ name, value };
}

/* libcurl's callbacks, all on the transfer thread. */

static size_t
on_header(char *line, size_t size, size_t count, void *arg)
{
	struct transfer *x = arg;

	s3_transfer_touch(&x->t);
	if (x->reply->http != 0)	/* behind the body: a trailer */
		return size * count;
	s3_reply_line(x->reply, line, size * count);
	return x->reply->headers.failed ? 0 : size * count;
}

static size_t
on_body(char *data, size_t size, size_t count, void *arg)
{
	struct transfer *x = arg;
	struct s3_reply *reply = x->reply;
	size_t n = size * count;
	long http = 0;

	s3_transfer_touch(&x->t);
	if (reply->http == 0) {
		curl_easy_getinfo(x->t.easy, CURLINFO_RESPONSE_CODE, &http);
		reply->http = (int)http;
		reply->body.max = http < 300 ? S3_REPLY_MAX : S3_ERROR_MAX;
	}
	if (reply->http < 300 && x->call->buf != NULL) {
		x->remote->heard_ms = s3_mono_ms();
		if (n > x->call->buf_len - reply->received) {
			x->overrun = true;
			return 0;
		}
		memcpy((char *)x->call->buf + reply->received, data, n);
		reply->received += n;
		return n;
	}
	s3_buf_add(&reply->body, data, n);
	return reply->body.failed ? 0 : n;
}

static size_t
on_read(char *buf, size_t size, size_t count, void *arg)
{
	struct transfer *x = arg;
	const struct s3_source *body = x->call->body;
	uint64_t left = body != NULL ? body->len - x->sent_off : 0;
	size_t want = size * count;
	ssize_t n;

	s3_transfer_touch(&x->t);
	if (want > left)
		want = (size_t)left;
	if (want == 0)
		return 0;
	n = body->read(body->arg, x->sent_off, buf, want);
	if (n < 0 || (size_t)n != want) {
		x->source_error = n < 0 ? (int)n : -EIO;
		return CURL_READFUNC_ABORT;
	}
	x->sent_off += want;
	if (body->sent != NULL)
		body->sent(body->arg, x->sent_off);
	return want;
}

static int
on_seek(void *arg, curl_off_t offset, int origin)
{
	struct transfer *x = arg;

	if (origin != SEEK_SET || offset < 0 ||
	    (uint64_t)offset > (x->call->body ? x->call->body->len : 0))
		return CURL_SEEKFUNC_FAIL;
	x->sent_off = (uint64_t)offset;
	return CURL_SEEKFUNC_OK;
}

/*
 * Just before each time the request goes out.  libcurl repeats one by itself
 * on a kept connection that turns out dead, so counting here is the only way
 * to know how often the store may have seen it.
 */
static int
on_start(void *arg, char *peer, char *own, int peer_port, int own_port)
{
	struct transfer *x = arg;

	(void)peer;
	(void)own;
	(void)peer_port;
	(void)own_port;
	s3_transfer_touch(&x->t);
	x->call->sent++;
	return CURL_PREREQFUNC_OK;
}

/* Where the request goes, as text. */
struct target {
	char *url;
	char *path;
	char *query;
	char *host;
	char region[64];
};

static void
target_fini(struct target *target)
{
	free(target->url);
	free(target->path);
	free(target->query);
	free(target->host);
}

static int
target_make(struct s3_remote *r, const struct s3_call *call,
	    struct target *out)
{
	struct s3_buf path = {0}, host = {0}, url = {0};
	int result;

	pthread_rwlock_rdlock(&r->lock);
	memcpy(out->region, r->region, sizeof(out->region));
	pthread_rwlock_unlock(&r->lock);
	if (call->host[0] != '\0')
		s3_buf_str(&host, call->host);
	else
		s3_place_host(r, out->region, &host);
	s3_place_path(r, call->key, &path);
	out->host = s3_buf_take(&host);
	out->path = s3_buf_take(&path);
	result = s3_sign_query(call->query, call->query_count, &out->query);
	if (out->host == NULL || out->path == NULL || result < 0)
		return -ENOMEM;
	s3_buf_fmt(&url, "%s://%s%s%s%s", r->https ? "https" : "http",
		   out->host, out->path, *out->query ? "?" : "", out->query);
	out->url = s3_buf_take(&url);
	return out->url != NULL ? 0 : -ENOMEM;
}

/* libcurl's form: an empty value needs "name;", else the header is dropped. */
static int
slist_add(struct curl_slist **list, const char *name, const char *value)
{
	CLEANUP_BUF struct s3_buf b = {0};
	struct curl_slist *more;

	s3_buf_fmt(&b, *value ? "%s: %s" : "%s;%s", name, value);
	if (b.failed)
		return b.failed;
	more = curl_slist_append(*list, b.data);
	if (more == NULL)
		return -ENOMEM;
	*list = more;
	return 0;
}

/* The call's headers and the signature's, for libcurl. */
static int
signed_headers(struct s3_remote *r, const struct s3_call *call,
	       const struct target *target, const struct s3_keys *keys,
	       const char *hash, struct curl_slist **out)
{
	CLEANUP_FREE char *auth = NULL;
	struct s3_headers h = {0};
	char date[17];
	struct s3_sign sign = {
		.method = call->method, .path = target->path,
		.query = target->query, .payload = hash,
		.access_key = keys->access, .secret_key = keys->secret,
		.region = target->region, .service = "s3", .date = date,
	};
	int result = s3_headers_copy(&call->headers, &h);

	s3_sign_date(s3_now_s() + r->skew_s, date);
	if (result == 0)
		result = s3_headers_set(&h, "host", target->host);
	if (result == 0)
		result = s3_headers_set(&h, "x-amz-content-sha256", hash);
	if (result == 0)
		result = s3_headers_set(&h, "x-amz-date", date);
	if (result == 0 && keys->token != NULL)
		result = s3_headers_set(&h, "x-amz-security-token",
					keys->token);
	sign.headers = h.list;
	sign.count = h.count;
	if (result == 0)
		result = s3_sign(&sign, &auth);
	for (size_t i = 0; result == 0 && i < h.count; i++)
		result = slist_add(out, h.list[i].name, h.list[i].value);
	if (result == 0)
		result = slist_add(out, "authorization", auth);
	/* Not signed and not wanted. */
	for (const char *const *p = (const char *const[]){
	     "Expect:", "Accept:", "Accept-Encoding: identity",
	     "Content-Type:", NULL };
	     result == 0 && *p != NULL; p++) {
		struct curl_slist *more;

		if (strcmp(*p, "Content-Type:") == 0 &&
		    s3_headers_get(&h, "content-type") != NULL)
			continue;
		more = curl_slist_append(*out, *p);
		if (more == NULL)
			result = -ENOMEM;
		else
			*out = more;
	}
	s3_headers_free(&h);
	return result;
}

static void
set_options(struct s3_remote *r, struct transfer *x,
	    const struct target *target, struct curl_slist *headers)
{
	CURL *e = x->t.easy;
	const struct s3_call *call = x->call;

	curl_easy_setopt(e, CURLOPT_URL, target->url);
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(e, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(e, CURLOPT_HTTP_VERSION,
			 (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	/* Nobody waits for a name server that does not answer. */
	curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(e, CURLOPT_TCP_NODELAY, 1L);
	curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(e, CURLOPT_BUFFERSIZE, RECV_BUFFER);
	curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS,
			 (long)r->base.config.connect_ms);
	curl_easy_setopt(e, CURLOPT_USERAGENT, USER_AGENT);
	curl_easy_setopt(e, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(e, CURLOPT_HEADERDATA, x);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, x);
	curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, on_start);
	curl_easy_setopt(e, CURLOPT_PREREQDATA, x);
	if (call->limit_ms != 0)
		curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)call->limit_ms);
	if (r->ca_file != NULL)
		curl_easy_setopt(e, CURLOPT_CAINFO, r->ca_file);
	if (r->client_cert != NULL)
		curl_easy_setopt(e, CURLOPT_SSLCERT, r->client_cert);
	if (r->client_key != NULL)
		curl_easy_setopt(e, CURLOPT_SSLKEY, r->client_key);
	if (strcmp(call->method, "HEAD") == 0)
		curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
	else if (*call->method == 'P') { /* PUT and POST always have one */
		curl_easy_setopt(e, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(e, CURLOPT_UPLOAD_BUFFERSIZE, SEND_BUFFER);
		curl_easy_setopt(e, CURLOPT_INFILESIZE_LARGE,
				 (curl_off_t)(call->body ?
					      call->body->len : 0));
		curl_easy_setopt(e, CURLOPT_READFUNCTION, on_read);
		curl_easy_setopt(e, CURLOPT_READDATA, x);
		curl_easy_setopt(e, CURLOPT_SEEKFUNCTION, on_seek);
		curl_easy_setopt(e, CURLOPT_SEEKDATA, x);
		curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, call->method);
	} else if (strcmp(call->method, "GET") != 0) {
		curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, call->method);
	}
}

/* What became of the transfer itself. */
static int
judge_transport(const struct transfer *x, struct s3_error *err)
{
	CURLcode c = x->t.result;

	if (x->source_error < 0)
		return s3_error_set(err, x->source_error,
				    "the body could not be read");
	if (x->t.cancelled)
		return s3_error_set(err, -EINTR, "cancelled");
	if (x->overrun)
		return s3_error_set(err, -EBADMSG,
				    "more bytes than were asked for");
	if (x->reply->headers.failed || x->reply->body.failed)
		return s3_error_set(err, x->reply->headers.failed == -ENOMEM ||
				    x->reply->body.failed == -ENOMEM ?
				    -ENOMEM : -EBADMSG,
				    "the reply is larger than its bound");
	/* An error that came with half its words is still that error. */
	if (c == CURLE_OK ||
	    (c == CURLE_PARTIAL_FILE && x->reply->http >= 300))
		return 0;
	s3_error_set(err, 0, "%s%s", curl_easy_strerror(c),
		     x->t.stalled ? " (no byte for too long)" : "");
	switch (c) {
	case CURLE_PARTIAL_FILE:
		return -EBADMSG;
	case CURLE_OUT_OF_MEMORY:
		return -ENOMEM;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CERTPROBLEM:
		return -EKEYREJECTED;
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
		return -EINVAL;
	case CURLE_WEIRD_SERVER_REPLY:
		return -EBADMSG;
	default:
		return -EAGAIN;
	}
}

static bool
host_name_ok(const char *s)
{
	if (*s == '\0')
		return false;
	for (; *s != '\0'; s++)
		if (!isalnum((unsigned char)*s) && *s != '-')
			return false;
	return true;
}

static bool
learn_region(struct s3_remote *r, const char *region)
{
	bool news;

	if (!host_name_ok(region) || strlen(region) >= sizeof(r->region))
		return false;
	pthread_rwlock_wrlock(&r->lock);
	news = strcmp(r->region, region) != 0;
	if (news)
		snprintf(r->region, sizeof(r->region), "%s", region);
	pthread_rwlock_unlock(&r->lock);
	return news;
}

/* The keys, whatever they are used for.  A HEAD has no words for it. */
static bool
are_refused(const struct s3_error *err, int http, bool head)
{
	static const char *const codes[] = {
		"ExpiredToken", "InvalidToken", "TokenRefreshRequired",
		"InvalidAccessKeyId", "SignatureDoesNotMatch",
	};

	for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++)
		if (strcmp(err->code, codes[i]) == 0)
			return http >= 400;
	return head && http == 400;
}

/* The bucket is elsewhere, and the store itself says so. */
static bool
learn_host(struct s3_remote *r, struct s3_call *call,
	   const struct s3_reply *reply, const struct s3_error *err,
	   const char *endpoint)
{
	__attribute__((cleanup(target_fini))) struct target target = {0};
	char host[S3_HOST_MAX];

	if (call->redirects >= REDIRECTS_MAX ||
	    (err->code[0] == '\0' && s3_reply_number(reply) == NULL) ||
	    target_make(r, call, &target) < 0)
		return false;
	snprintf(host, sizeof(host), "%s", target.host);
	if (!s3_redirect(r, reply, target.path, endpoint, host))
		return false;
	strcpy(call->host, host);
	call->redirects++;
	return true;
}

/* A clock that is wrong: ours, since signatures need the store's.  A page that
 * may be nobody's moves it by a day at most. */
static bool
learn_clock(struct s3_remote *r, const struct s3_call *call,
	    const struct s3_reply *reply, const struct s3_error *err,
	    struct s3_retry *retry)
{
	bool page = s3_reply_voice(r, call, reply, err->code[0] != '\0') !=
		    S3_VOICE_S3;
	const char *date = s3_reply_get(reply, "date");
	int64_t theirs = date ? s3_date_http(date) : -1, skew;

	if (retry->learnt_clock || theirs < CLOCK_MIN_S ||
	    (reply->http != 400 && reply->http != 401 && reply->http != 403) ||
	    (err->code[0] != '\0' &&
	     strcmp(err->code, "RequestTimeTooSkewed") != 0 &&
	     strcmp(err->code, "RequestExpired") != 0))
		return false;
	skew = theirs - s3_now_s();
	retry->learnt_clock = true;
	if (llabs((long long)(skew - r->skew_s)) <= SKEW_MIN_S ||
	    (page && llabs((long long)skew) > SKEW_PAGE_MAX_S))
		return false;
	r->skew_s = skew;
	return true;
}

/* What a refusal may be due to: what was used, and what the answer names. */
struct hints {
	char region[64], endpoint[S3_HOST_MAX];
	const char *access;
};

/* True if the answer taught something that makes another try worth it. */
static bool
learn(struct s3_remote *r, struct s3_call *call,
      const struct s3_reply *reply, const struct s3_error *err,
      const struct hints *hints, struct s3_retry *retry)
{
	bool head = strcmp(call->method, "HEAD") == 0;

	if (!retry->learnt_region && hints->region[0] != '\0' &&
	    (reply->http / 100 == 3 || reply->http == 400 ||
	     reply->http == 403) && learn_region(r, hints->region))
		return retry->learnt_region = true;
	if (learn_host(r, call, reply, err, hints->endpoint) ||
	    learn_clock(r, call, reply, err, retry))
		return true;
	if (!retry->learnt_keys && are_refused(err, reply->http, head)) {
		retry->learnt_keys = true;
		return s3_creds_expire(r->creds, hints->access);
	}
	return false;
}

/* The store's clock, from the Date of an answer that took no time. */
static void
learn_date(struct s3_remote *r, const struct s3_reply *reply, int64_t began_s)
{
	const char *date = s3_reply_get(reply, "date");
	int64_t theirs = date != NULL ? s3_date_http(date) : -1;
	int64_t ended_s = s3_now_s();

	if (theirs > 0 && ended_s - began_s <= 1)
		r->ahead_s = theirs - ended_s;
}

static int
transfer(struct s3_remote *r, struct s3_call *call, const char *hash,
	 const struct s3_keys *keys, struct s3_reply *reply,
	 struct s3_error *err)
{
	__attribute__((cleanup(target_fini))) struct target target = {0};
	struct curl_slist *headers = NULL;
	struct transfer x = { .call = call, .reply = reply, .remote = r,
			      .t = { .refused = call->refused,
				     .urgent = call->limit_ms != 0 } };
	int64_t began_s;
	long http = 0;
	int result = target_make(r, call, &target);

	if (result == 0)
		result = signed_headers(r, call, &target, keys, hash,
					&headers);
	if (result == 0)
		result = s3_pool_take(r->pool, &x.t);
	if (result < 0) {
		curl_slist_free_all(headers);
		return result == -EAGAIN ?
		       s3_error_set(err, -EINTR, "cancelled") : result;
	}
	set_options(r, &x, &target, headers);
	/* Few stores copy less than 1 MiB in a second. */
	x.t.patience_ms = (int64_t)(call->work / 1048);
	began_s = s3_now_s();
	s3_pool_run(r->pool, &x.t);
	curl_easy_getinfo(x.t.easy, CURLINFO_RESPONSE_CODE, &http);
	reply->http = (int)http;
	result = judge_transport(&x, err);
	if (result == 0)
		learn_date(r, reply, began_s);
	s3_pool_give(r->pool, &x.t);
	curl_slist_free_all(headers);
	return result;
}

/* A page that somebody's server has for every path has a length, and may have
 * an ETag; what it lacks is the store's number. */
static int
told_by_store(struct s3_numbers *numbers, const struct s3_reply *reply,
	      struct s3_error *err)
{
	if (!s3_numbers_agree(numbers, s3_reply_number(reply) != NULL))
		return s3_error_set(err, -EAGAIN, "HTTP status %d, not from "
				    "S3", reply->http);
	return 0;
}

/* One try.  retry->again: something was learnt, repeat at once. */
static int
try_once(struct s3_remote *r, struct s3_call *call, const char *hash,
	 struct s3_reply *reply, struct s3_retry *retry, struct s3_error *err)
{
	__attribute__((cleanup(s3_keys_fini))) struct s3_keys keys = {0};
	struct hints hints = { .access = "" };
	const struct s3_patience patience = { call->limit_ms, call->refused };
	int result = s3_creds_get(r->creds, &patience, &keys, err);

	retry->again = false;
	if (result == 0)
		result = transfer(r, call, hash, &keys, reply, err);
	if (result < 0)
		return result;
	result = s3_reply_judge(r, call, reply, err, hints.region,
				hints.endpoint);
	if (result == 0 && call->check != NULL) {
		result = call->check(call->check_arg, reply);
		if (result < 0)
			s3_error_set(err, 0, "the reply is not what was "
				     "asked for");
	}
	if (result == 0 && strcmp(call->method, "HEAD") == 0)
		result = told_by_store(&r->numbers_head, reply, err);
	else if (result == 0 && call->body != NULL &&
		 strcmp(call->method, "PUT") == 0)
		result = told_by_store(&r->numbers_put, reply, err);
	if (result == 0) {
		r->heard_ms = s3_mono_ms();
		r->bucket_seen = true;
		(void)s3_numbers_agree(&r->numbers,
				       s3_reply_number(reply) != NULL);
		s3_pool_faster(r->pool);
		return 0;
	}
	/* A HEAD that finds nothing asks for the bucket again. */
	if (result == -ENODEV)
		r->bucket_seen = false;
	if (reply->http == 503 || reply->http == 429)
		s3_pool_slower(r->pool);
	hints.access = keys.access;
	retry->again = learn(r, call, reply, err, &hints, retry);
	return result;
}

static int
body_hash(struct s3_remote *r, const struct s3_call *call,
	  char hash[S3_HASH_HEX], struct s3_error *err)
{
	int result;

	if (call->body == NULL) {
		memcpy(hash, S3_HASH_EMPTY, S3_HASH_HEX);
		return 0;
	}
	if (r->base.config.unsigned_payload) {
		memcpy(hash, S3_UNSIGNED, sizeof(S3_UNSIGNED));
		return 0;
	}
	result = s3_hash_source(call->body, hash);
	if (result < 0)
		s3_error_set(err, result, "the body could not be read");
	return result;
}

static int
try_until_done(struct s3_remote *r, struct s3_call *call,
	       struct s3_reply *reply, struct s3_error *e)
{
	struct s3_retry retry;
	char hash[S3_HASH_HEX];
	int result, wait;

	s3_error_clear(e);
	if (call->refused == NULL && call->limit_ms == 0 &&
	    s3_away_change(&r->base, e) < 0)
		return -EAGAIN;
	s3_retry_init(&retry, call->refused != NULL ?
		      s3_away_retry_ms(&r->base) : r->base.config.retry_ms);
	result = body_hash(r, call, hash, e);
	if (result < 0)
		return result;
	if (call->sent == 0)
		call->first_sent_s =
		    s3_now_s() + (r->ahead_s != 0 ? r->ahead_s : r->skew_s);
	for (;;) {
		s3_reply_reset(reply);
		s3_error_clear(e);
		result = try_once(r, call, hash, reply, &retry, e);
		if (result == 0)
			return 0;
		if (!retry.again) {
			if (call->once)
				break;
			wait = s3_retry_wait(&retry, result,
					     s3_reply_get(reply,
							  "retry-after"));
			if (wait < 0 ||
			    !s3_pool_sleep(r->pool, (unsigned)wait,
					   call->refused))
				break;
		}
		__atomic_add_fetch(&r->base.stats.retries, 1,
				   __ATOMIC_RELAXED);
	}
	/* s3_cancel; a body that stops by itself is the caller's to know. */
	return result == -EINTR ? -EAGAIN : result;
}

int
s3_request(struct s3_remote *r, struct s3_call *call, struct s3_reply *reply,
	   struct s3_error *err)
{
	struct s3_error own;
	struct s3_error *e = err != NULL ? err : &own;
	int result = try_until_done(r, call, reply, e);

	s3_trouble_note(&r->base, strcmp(call->method, "GET") != 0 &&
			strcmp(call->method, "HEAD") != 0, result, e);
	return result;
}
