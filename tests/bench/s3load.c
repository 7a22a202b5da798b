/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3load: the raw side of the sequential rows.  Uploads one object in parts
 * or fetches it by ranges straight from the store, several requests at a
 * time, each thread on its own kept-alive connection with blocking calls,
 * since nothing is faster on loopback.  Bytes are made and checked while
 * they are in the processor's cache (pattern.h), bodies are not hashed
 * (UNSIGNED-PAYLOAD): what is measured is the store.  It shares no code with
 * the gateway's own S3 client.
 *
 * Plain HTTP only.  Anything but the expected status ends the run: the
 * numbers of a run with retries would mean nothing.
 */
#include <config.h>

#include "tests/bench/pattern.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CHUNK (256u << 10)	/* bytes made or checked at a time */
#define THREADS_MAX 64u
#define PARTS_MAX 10000u
#define HEAD_MAX 8192
#define SMALL_MAX 65536		/* bodies of control replies */

struct target {
	char host[64];		/* as in the Host header: ADDR:PORT */
	struct sockaddr_in addr;
	const char *bucket, *key, *region, *id, *secret;
	uint64_t size, seed, part;
	unsigned threads;
	bool upload;
	struct pattern pattern;
	char upload_id[256];
	char (*etags)[72];
	atomic_uint next;
	atomic_bool failed;
};

struct reply {
	int status;
	uint64_t length;
	char etag[72];
};

/* One connection; rest of what was read beyond the header stays in buf. */
struct http {
	int fd;
	uint8_t *buf;		/* CHUNK */
	size_t have;
};

static int
fail(struct target *t, const char *what, int status)
{
	if (!atomic_exchange(&t->failed, true))
		fprintf(stderr, "s3load: %s: HTTP status %d, %s\n", what,
			status, status == 0 ? strerror(errno) : "not wanted");
	return -1;
}

/* ---- AWS Signature Version 4, without hashing the body ---- */

static void
hex(const uint8_t *in, size_t len, char *out)
{
	for (size_t i = 0; i < len; i++)
		sprintf(out + 2 * i, "%02x", in[i]);
}

static void
hmac(const void *key, size_t key_len, const char *text, uint8_t out[32])
{
	unsigned len = 32;

	HMAC(EVP_sha256(), key, (int)key_len, (const uint8_t *)text,
	     strlen(text), out, &len);
}

/* query is in canonical form already.  Writes the whole request head. */
static int
sign(const struct target *t, const char *method, const char *query,
     const char *more, uint64_t length, char head[HEAD_MAX])
{
	char date[32], day[16], canonical[2048], text[512], secret[256];
	char digest[65], signature[65];
	uint8_t md[32], key[32];
	unsigned md_len;
	time_t now = time(NULL);
	struct tm tm;
	int n;

	gmtime_r(&now, &tm);
	strftime(date, sizeof(date), "%Y%m%dT%H%M%SZ", &tm);
	strftime(day, sizeof(day), "%Y%m%d", &tm);
	snprintf(canonical, sizeof(canonical),
		 "%s\n/%s/%s\n%s\nhost:%s\n"
		 "x-amz-content-sha256:UNSIGNED-PAYLOAD\nx-amz-date:%s\n\n"
		 "host;x-amz-content-sha256;x-amz-date\nUNSIGNED-PAYLOAD",
		 method, t->bucket, t->key, query, t->host, date);
	EVP_Digest(canonical, strlen(canonical), md, &md_len, EVP_sha256(),
		   NULL);
	hex(md, 32, digest);
	snprintf(text, sizeof(text),
		 "AWS4-HMAC-SHA256\n%s\n%s/%s/s3/aws4_request\n%s", date, day,
		 t->region, digest);
	snprintf(secret, sizeof(secret), "AWS4%s", t->secret);
	hmac(secret, strlen(secret), day, key);
	hmac(key, 32, t->region, key);
	hmac(key, 32, "s3", key);
	hmac(key, 32, "aws4_request", key);
	hmac(key, 32, text, md);
	hex(md, 32, signature);
	n = snprintf(head, HEAD_MAX,
		     "%s /%s/%s%s%s HTTP/1.1\r\nHost: %s\r\n"
		     "x-amz-content-sha256: UNSIGNED-PAYLOAD\r\n"
		     "x-amz-date: %s\r\nAuthorization: AWS4-HMAC-SHA256 "
		     "Credential=%s/%s/%s/s3/aws4_request, "
		     "SignedHeaders=host;x-amz-content-sha256;x-amz-date, "
		     "Signature=%s\r\n%sContent-Length: %llu\r\n\r\n",
		     method, t->bucket, t->key, *query ? "?" : "", query,
		     t->host, date, t->id, day, t->region, signature, more,
		     (unsigned long long)length);
	return n < HEAD_MAX ? n : -1;
}

/* ---- HTTP ---- */

static int
http_open(struct target *t, struct http *h)
{
	int one = 1;

	h->have = 0;
	h->buf = malloc(CHUNK);
	h->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (h->buf == NULL || h->fd < 0 ||
	    connect(h->fd, (struct sockaddr *)&t->addr, sizeof(t->addr)) < 0)
		return fail(t, "connect", 0);
	setsockopt(h->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return 0;
}

static void
http_close(struct http *h)
{
	if (h->fd >= 0)
		close(h->fd);
	free(h->buf);
}

static int
send_all(int fd, const void *data, size_t len, bool more)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = send(fd, p, len,
				 MSG_NOSIGNAL | (more ? MSG_MORE : 0));

		if (n < 0)
			return -1;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static void
header_line(struct reply *r, char *line)
{
	char *value = strchr(line, ':');

	if (value == NULL)
		return;
	*value++ = '\0';
	value += strspn(value, " \"");
	if (strcasecmp(line, "content-length") == 0)
		r->length = strtoull(value, NULL, 10);
	else if (strcasecmp(line, "etag") == 0)
		snprintf(r->etag, sizeof(r->etag), "%.*s",
			 (int)strcspn(value, "\""), value);
}

/* The status line and headers; the start of the body is left in h->buf. */
static int
read_head(struct http *h, struct reply *r)
{
	char *end = NULL, *line, *save = NULL;
	size_t used;

	memset(r, 0, sizeof(*r));
	h->have = 0;
	while (end == NULL) {
		ssize_t n = recv(h->fd, h->buf + h->have, CHUNK - 1 - h->have,
				 0);

		if (n <= 0)
			return -1;
		h->have += (size_t)n;
		end = memmem(h->buf, h->have, "\r\n\r\n", 4);
	}
	used = (size_t)(end - (char *)h->buf) + 4;
	*end = '\0';
	line = strtok_r((char *)h->buf, "\r\n", &save);
	if (line == NULL || sscanf(line, "HTTP/1.1 %d", &r->status) != 1)
		return -1;
	while ((line = strtok_r(NULL, "\r\n", &save)) != NULL)
		header_line(r, line);
	h->have -= used;
	memmove(h->buf, h->buf + used, h->have);
	return 0;
}

/* A request with a small body; the reply's body as a string, or NULL. */
static char *
control(struct target *t, struct http *h, const char *method,
	const char *query, const char *body, int want, struct reply *r)
{
	char head[HEAD_MAX], *out = malloc(SMALL_MAX + 1);
	int n = sign(t, method, query, "", strlen(body), head);
	bool ok;

	errno = EPROTO;
	ok = out != NULL && n > 0 &&
		send_all(h->fd, head, (size_t)n, *body != '\0') == 0 &&
		send_all(h->fd, body, strlen(body), false) == 0 &&
		read_head(h, r) == 0 && r->status == want;
	if (strcmp(method, "HEAD") == 0)
		r->length = ok ? r->length : 0;
	else if (ok && r->length <= SMALL_MAX && h->have <= r->length) {
		memcpy(out, h->buf, h->have);
		while (ok && h->have < r->length) {
			ssize_t m = recv(h->fd, out + h->have,
					 r->length - h->have, 0);

			ok = m > 0;
			h->have += ok ? (size_t)m : 0;
		}
	} else {
		ok = false;
	}
	if (!ok) {
		fail(t, method, r->status);
		free(out);
		return NULL;
	}
	out[h->have] = '\0';
	return out;
}

/* ---- one part or range ---- */

static uint64_t
part_len(const struct target *t, unsigned i)
{
	uint64_t off = i * t->part;

	return t->size - off < t->part ? t->size - off : t->part;
}

static int
put_part(struct target *t, struct http *h, unsigned i)
{
	char head[HEAD_MAX], query[512];
	uint64_t off = i * t->part, end = off + part_len(t, i);
	struct reply r = {0};
	int n;

	snprintf(query, sizeof(query), "partNumber=%u&uploadId=%s", i + 1,
		 t->upload_id);
	n = sign(t, "PUT", query, "", end - off, head);
	if (n < 0 || send_all(h->fd, head, (size_t)n, true) < 0)
		return fail(t, "PUT", 0);
	for (; off < end; off += CHUNK) {
		size_t len = end - off < CHUNK ? end - off : CHUNK;

		pattern_fill(&t->pattern, t->seed, off, h->buf, len);
		if (send_all(h->fd, h->buf, len, false) < 0)
			return fail(t, "PUT", 0);
	}
	if (read_head(h, &r) < 0 || r.status != 200 || r.length != 0)
		return fail(t, "PUT", r.status);
	memcpy(t->etags[i], r.etag, sizeof(r.etag));
	return 0;
}

static int
get_part(struct target *t, struct http *h, unsigned i)
{
	char head[HEAD_MAX], range[96];
	uint64_t off = i * t->part, end = off + part_len(t, i);
	struct reply r = {0};
	int n;

	snprintf(range, sizeof(range), "Range: bytes=%llu-%llu\r\n",
		 (unsigned long long)off, (unsigned long long)end - 1);
	n = sign(t, "GET", "", range, 0, head);
	if (n < 0 || send_all(h->fd, head, (size_t)n, false) < 0 ||
	    read_head(h, &r) < 0)
		return fail(t, "GET", 0);
	if (r.status != 206 || r.length != end - off)
		return fail(t, "GET", r.status);
	while (off < end) {
		size_t want = end - off < CHUNK ? end - off : CHUNK;

		while (h->have < want) {
			ssize_t m = recv(h->fd, h->buf + h->have,
					 want - h->have, 0);

			if (m <= 0)
				return fail(t, "GET", 0);
			h->have += (size_t)m;
		}
		if (!pattern_check(&t->pattern, t->seed, off, h->buf, want)) {
			errno = EBADMSG;
			return fail(t, "GET: wrong bytes", 0);
		}
		off += want;
		h->have = 0;
	}
	return 0;
}

static void *
worker(void *arg)
{
	struct target *t = arg;
	struct http h;
	unsigned i;

	if (http_open(t, &h) == 0)
		while (!atomic_load(&t->failed) &&
		       (i = atomic_fetch_add(&t->next, 1)) * t->part < t->size)
			if ((t->upload ? put_part : get_part)(t, &h, i) < 0)
				break;
	http_close(&h);
	return NULL;
}

static int
run_threads(struct target *t)
{
	pthread_t ids[THREADS_MAX];
	unsigned n = 0;

	for (; n < t->threads; n++)
		if (pthread_create(&ids[n], NULL, worker, t) != 0)
			return fail(t, "thread", 0);
	while (n > 0)
		pthread_join(ids[--n], NULL);
	return atomic_load(&t->failed) ? -1 : 0;
}

/* ---- whole objects ---- */

static int
complete(struct target *t, struct http *h)
{
	unsigned parts = (unsigned)((t->size + t->part - 1) / t->part);
	char query[512], *body = NULL, *answer;
	size_t len = 0;
	struct reply r;
	FILE *f = open_memstream(&body, &len);

	if (f == NULL)
		return fail(t, "memory", 0);
	fputs("<CompleteMultipartUpload>", f);
	for (unsigned i = 0; i < parts; i++)
		fprintf(f, "<Part><PartNumber>%u</PartNumber><ETag>%s</ETag>"
			"</Part>", i + 1, t->etags[i]);
	fputs("</CompleteMultipartUpload>", f);
	fclose(f);
	snprintf(query, sizeof(query), "uploadId=%s", t->upload_id);
	answer = control(t, h, "POST", query, body, 200, &r);
	free(body);
	if (answer != NULL && strstr(answer, "<ETag>") == NULL) {
		free(answer);
		return fail(t, "complete: error inside a 200", 200);
	}
	free(answer);
	return answer != NULL ? 0 : -1;
}

/* Until a HEAD shows the object with its full size. */
static int
put_object(struct target *t, struct http *h)
{
	struct reply r;
	char *answer = control(t, h, "POST", "uploads=", "", 200, &r), *id;

	if (answer == NULL)
		return -1;
	id = strstr(answer, "<UploadId>");
	if (id != NULL)
		snprintf(t->upload_id, sizeof(t->upload_id), "%.*s",
			 (int)strcspn(id + 10, "<"), id + 10);
	free(answer);
	if (id == NULL)
		return fail(t, "no UploadId", 200);
	if (run_threads(t) < 0 || complete(t, h) < 0)
		return -1;
	answer = control(t, h, "HEAD", "", "", 200, &r);
	free(answer);
	if (answer == NULL || r.length != t->size)
		return fail(t, "HEAD: wrong size", r.status);
	return 0;
}

static double
seconds(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int
set_target(struct target *t, const char *url)
{
	char addr[32];
	unsigned port = 0;

	if (url == NULL ||
	    sscanf(url, "http://%31[0-9.]:%u", addr, &port) != 2 ||
	    inet_pton(AF_INET, addr, &t->addr.sin_addr) != 1)
		return -1;
	t->addr.sin_family = AF_INET;
	t->addr.sin_port = htons((uint16_t)port);
	snprintf(t->host, sizeof(t->host), "%s:%u", addr, port);
	t->id = getenv("AWS_ACCESS_KEY_ID");
	t->secret = getenv("AWS_SECRET_ACCESS_KEY");
	t->region = getenv("AWS_DEFAULT_REGION");
	if (t->region == NULL)
		t->region = "us-east-1";
	return t->id == NULL || t->secret == NULL ? -1 : 0;
}

static int
parse(struct target *t, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "endpoint", 1, NULL, 'e' }, { "bucket", 1, NULL, 'b' },
		{ "threads", 1, NULL, 't' }, { "part", 1, NULL, 'p' },
		{ NULL, 0, NULL, 0 }
	};
	const char *url = getenv("S3_ENDPOINT");
	int c;

	t->threads = 8;
	t->part = 8u << 20;
	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 'e': url = optarg; break;
		case 'b': t->bucket = optarg; break;
		case 't': t->threads = (unsigned)atoi(optarg); break;
		case 'p': t->part = strtoull(optarg, NULL, 10); break;
		default: return -1;
		}
	}
	if (argc - optind != 4 || t->bucket == NULL || set_target(t, url) < 0)
		return -1;
	t->upload = strcmp(argv[optind], "put") == 0;
	t->key = argv[optind + 1];
	t->size = strtoull(argv[optind + 2], NULL, 10);
	t->seed = strtoull(argv[optind + 3], NULL, 10);
	if (!t->upload && strcmp(argv[optind], "get") != 0)
		return -1;
	return t->size == 0 || t->size % PAGE_BYTES != 0 || t->part == 0 ||
		t->part % PAGE_BYTES != 0 || t->threads == 0 ||
		t->threads > THREADS_MAX ||
		t->size / t->part >= PARTS_MAX ? -1 : 0;
}

int
main(int argc, char **argv)
{
	static struct target t;
	struct http h = { .fd = -1 };
	double start, took;
	int r;

	if (parse(&t, argc, argv) < 0) {
		fputs("usage: s3load --bucket B [--endpoint http://ADDR:PORT] "
		      "[--threads 8] [--part 8388608]\n"
		      "       put|get KEY BYTES SEED\n"
		      "keys from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY; "
		      "KEY is plain ASCII\n", stderr);
		return 2;
	}
	pattern_init(&t.pattern);
	t.etags = calloc(PARTS_MAX, sizeof(*t.etags));
	if (t.etags == NULL || http_open(&t, &h) < 0)
		return 1;
	start = seconds(CLOCK_MONOTONIC);
	r = t.upload ? put_object(&t, &h) : run_threads(&t);
	took = seconds(CLOCK_MONOTONIC) - start;
	http_close(&h);
	free(t.etags);
	if (r < 0)
		return 1;
	printf("{\"case\":\"%s\",\"bytes\":%llu,\"seconds\":%.6f,"
	       "\"mib_per_s\":%.2f,\"client_cpu_s\":%.3f}\n",
	       t.upload ? "put" : "get", (unsigned long long)t.size, took,
	       (double)t.size / took / (1 << 20),
	       seconds(CLOCK_PROCESS_CPUTIME_ID));
	return 0;
}
