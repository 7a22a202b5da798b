/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AWS Signature Version 4 (S3 API, "Authenticating Requests: Using the
 * Authorization Header").  Pure functions: what is to be signed comes in,
 * the Authorization header's value comes out; nothing is sent or kept.
 *
 * S3 differs from the other services: the path is encoded once and never
 * normalised, so that a key with "//" or ".." stays itself.  Callers hand in
 * a path and a query that are encoded already, since the same text must go
 * over the wire.
 *
 * libcurl's own signer (7.88) neither sorts the query nor gets keys with
 * special characters right, hence this one.
 */
#include <config.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include "s3/remote.h"

#define HASH_CHUNK (256U << 10)

void
s3_hex(const unsigned char *in, size_t len, char *out)
{
	static const char hex[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		*out++ = hex[in[i] >> 4];
		*out++ = hex[in[i] & 15];
	}
	*out = '\0';
}

void
s3_sign_date(int64_t now_s, char date[17])
{
	time_t t = (time_t)now_s;
	struct tm tm;

	gmtime_r(&t, &tm);
	if (strftime(date, 17, "%Y%m%dT%H%M%SZ", &tm) != 16)
		strcpy(date, "19700101T000000Z");
}

struct pair {
	char *name, *value;
};

static int
pair_order(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;
	int d = strcmp(x->name, y->name);

	return d ? d : strcmp(x->value, y->value);
}

static void
pairs_free(struct pair *p, size_t count)
{
	for (size_t i = 0; p != NULL && i < count; i++) {
		free(p[i].name);
		free(p[i].value);
	}
	free(p);
}

/* Sorted by the encoded name, then the encoded value, as the paper wants. */
int
s3_sign_query(const struct s3_query *query, size_t count, char **out)
{
	struct pair *pairs = calloc(count + 1, sizeof(*pairs));
	struct s3_buf b = {0};
	bool ok = pairs != NULL;

	for (size_t i = 0; ok && i < count; i++) {
		struct s3_buf name = {0}, value = {0};

		s3_buf_uri(&name, query[i].name, false);
		s3_buf_uri(&value, query[i].value ? query[i].value : "",
			   false);
		pairs[i].name = s3_buf_take(&name);
		pairs[i].value = s3_buf_take(&value);
		ok = pairs[i].name != NULL && pairs[i].value != NULL;
	}
	if (ok) {
		qsort(pairs, count, sizeof(*pairs), pair_order);
		for (size_t i = 0; i < count; i++)
			s3_buf_fmt(&b, "%s%s=%s", i ? "&" : "", pairs[i].name,
				   pairs[i].value);
		*out = s3_buf_take(&b);
		ok = *out != NULL;
	}
	pairs_free(pairs, count);
	return ok ? 0 : -ENOMEM;
}

/* Lower-case name; value without outer blanks, inner runs of them as one. */
static bool
canonical_header(const struct s3_header *h, struct pair *out)
{
	const char *p = h->value;
	char *o;

	out->name = strdup(h->name);
	out->value = o = malloc(strlen(h->value) + 1);
	if (out->name == NULL || o == NULL)
		return false;
	for (char *n = out->name; *n != '\0'; n++)
		*n = (char)tolower((unsigned char)*n);
	while (*p == ' ' || *p == '\t')
		p++;
	while (*p != '\0') {
		if (*p != ' ' && *p != '\t') {
			*o++ = *p++;
			continue;
		}
		while (*p == ' ' || *p == '\t')
			p++;
		if (*p != '\0')
			*o++ = ' ';
	}
	*o = '\0';
	return true;
}

/* Stable for equal names: their values are joined in the order given. */
static void
sort_headers(struct pair *h, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		struct pair one = h[i];
		size_t j = i;

		for (; j > 0 && strcmp(h[j - 1].name, one.name) > 0; j--)
			h[j] = h[j - 1];
		h[j] = one;
	}
}

static int
s3_sign_canonical(const struct s3_sign *s, char **request,
		  char **signed_headers)
{
	struct pair *h = calloc(s->count + 1, sizeof(*h));
	struct s3_buf b = {0}, names = {0};
	bool ok = h != NULL;

	for (size_t i = 0; ok && i < s->count; i++)
		ok = canonical_header(&s->headers[i], &h[i]);
	if (!ok) {
		pairs_free(h, s->count);
		return -ENOMEM;
	}
	sort_headers(h, s->count);
	s3_buf_fmt(&b, "%s\n", s->method);
	s3_buf_str(&b, s->path);
	s3_buf_str(&b, "\n");
	s3_buf_str(&b, s->query);
	for (size_t i = 0; i < s->count; i++) {
		if (i > 0 && strcmp(h[i].name, h[i - 1].name) == 0) {
			s3_buf_fmt(&b, ",%s", h[i].value);
			continue;
		}
		s3_buf_fmt(&b, "\n%s:%s", h[i].name, h[i].value);
		s3_buf_fmt(&names, "%s%s", names.len ? ";" : "", h[i].name);
	}
	pairs_free(h, s->count);
	*signed_headers = s3_buf_take(&names);
	if (*signed_headers == NULL) {
		s3_buf_fini(&b);
		return -ENOMEM;
	}
	s3_buf_fmt(&b, "\n\n%s\n%s", *signed_headers, s->payload);
	*request = s3_buf_take(&b);
	if (*request == NULL) {
		free(*signed_headers);
		*signed_headers = NULL;
		return -ENOMEM;
	}
	return 0;
}

static bool
hmac(const void *key, size_t key_len, const char *text, unsigned char out[32])
{
	unsigned len = 32;

	return HMAC(EVP_sha256(), key, (int)key_len,
		    (const unsigned char *)text, strlen(text), out,
		    &len) != NULL && len == 32;
}

/* kSigning = HMAC chain over date, region, service, "aws4_request". */
static bool
signing_key(const struct s3_sign *s, const char *day, unsigned char key[32])
{
	CLEANUP_BUF struct s3_buf first = {0};
	unsigned char a[32], b[32];
	bool ok;

	s3_buf_fmt(&first, "AWS4%s", s->secret_key);
	ok = !first.failed &&
	     hmac(first.data, first.len, day, a) &&
	     hmac(a, 32, s->region, b) && hmac(b, 32, s->service, a) &&
	     hmac(a, 32, "aws4_request", key);
	if (first.data != NULL)
		explicit_bzero(first.data, first.len);
	return ok;
}

int
s3_sign(const struct s3_sign *s, char **authorization)
{
	CLEANUP_FREE char *request = NULL, *names = NULL;
	CLEANUP_BUF struct s3_buf text = {0}, auth = {0};
	unsigned char key[32], digest[32];
	char hash[S3_HASH_HEX], day[9];
	int r = s3_sign_canonical(s, &request, &names);

	if (r < 0)
		return r;
	snprintf(day, sizeof(day), "%.8s", s->date);
	if (!EVP_Digest(request, strlen(request), digest, NULL, EVP_sha256(),
			NULL))
		return -ENOMEM;
	s3_hex(digest, sizeof(digest), hash);
	s3_buf_fmt(&text, "AWS4-HMAC-SHA256\n%s\n%s/%s/%s/aws4_request\n%s",
		   s->date, day, s->region, s->service, hash);
	if (text.failed || !signing_key(s, day, key) ||
	    !hmac(key, sizeof(key), text.data, digest))
		return -ENOMEM;
	explicit_bzero(key, sizeof(key));
	s3_hex(digest, sizeof(digest), hash);
	s3_buf_fmt(&auth, "AWS4-HMAC-SHA256 Credential=%s/%s/%s/%s/"
		   "aws4_request,SignedHeaders=%s,Signature=%s",
		   s->access_key, day, s->region, s->service, names, hash);
	*authorization = s3_buf_take(&auth);
	return *authorization != NULL ? 0 : -ENOMEM;
}

static int
hash_source(const struct s3_source *body, const EVP_MD *md,
	    unsigned char *digest)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned char *chunk = malloc(HASH_CHUNK);
	int r = 0;

	if (ctx == NULL || chunk == NULL ||
	    !EVP_DigestInit_ex(ctx, md, NULL))
		r = -ENOMEM;
	for (uint64_t off = 0; r == 0 && off < body->len; ) {
		size_t want = body->len - off < HASH_CHUNK ?
			      (size_t)(body->len - off) : HASH_CHUNK;
		ssize_t n = body->read(body->arg, off, chunk, want);

		if (n < 0)
			r = (int)n;
		else if ((size_t)n != want)
			r = -EIO;
		else if (!EVP_DigestUpdate(ctx, chunk, want))
			r = -ENOMEM;
		off += want;
	}
	if (r == 0 && !EVP_DigestFinal_ex(ctx, digest, NULL))
		r = -ENOMEM;
	EVP_MD_CTX_free(ctx);
	free(chunk);
	return r;
}

int
s3_hash_source(const struct s3_source *body, char hex[S3_HASH_HEX])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	int r;

	if (body->len == 0) {
		memcpy(hex, S3_HASH_EMPTY, S3_HASH_HEX);
		return 0;
	}
	r = hash_source(body, EVP_sha256(), digest);
	if (r == 0)
		s3_hex(digest, 32, hex);
	return r;
}

int
s3_md5_source(const struct s3_source *body, char hex[33])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	int r = hash_source(body, EVP_md5(), digest);

	if (r == 0)
		s3_hex(digest, 16, hex);
	return r;
}

int
s3_sha1_hex(const char *text, char hex[41])
{
	unsigned char digest[20];

	if (!EVP_Digest(text, strlen(text), digest, NULL, EVP_sha1(), NULL))
		return -ENOMEM;
	s3_hex(digest, sizeof(digest), hex);
	return 0;
}
