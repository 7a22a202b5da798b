/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes that grow up to a bound.  URLs, canonical requests and replies are
 * put together here.  The first failure (no memory, bound passed) sticks and
 * makes later additions no-ops, so that a caller looks once, at the end.
 */
#include <config.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "s3/remote.h"

void
s3_free_ptr(void *p)
{
	free(*(void **)p);
}

void
s3_buf_fini(struct s3_buf *b)
{
	free(b->data);
	*b = (struct s3_buf){ .max = b->max };
}

void
s3_buf_reset(struct s3_buf *b)
{
	b->len = 0;
	b->failed = 0;
	if (b->data != NULL)
		b->data[0] = '\0';
}

/* Room for len more bytes and a NUL. */
static bool
grow(struct s3_buf *b, size_t len)
{
	size_t cap = b->cap ? b->cap : 128;
	char *data;

	if (b->failed)
		return false;
	if (len > SIZE_MAX / 4 || (b->max != 0 && len > b->max - b->len)) {
		b->failed = -EFBIG;
		return false;
	}
	while (cap < b->len + len + 1)
		cap *= 2;
	if (cap == b->cap)
		return true;
	data = realloc(b->data, cap);
	if (data == NULL) {
		b->failed = -ENOMEM;
		return false;
	}
	b->data = data;
	b->cap = cap;
	return true;
}

void
s3_buf_add(struct s3_buf *b, const void *data, size_t len)
{
	if (!grow(b, len))
		return;
	if (len != 0)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = '\0';
}

void
s3_buf_str(struct s3_buf *b, const char *s)
{
	s3_buf_add(b, s, strlen(s));
}

void
s3_buf_fmt(struct s3_buf *b, const char *fmt, ...)
{
	char small[512];
	char *big = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(small, sizeof(small), fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < sizeof(small)) {
		s3_buf_add(b, small, (size_t)n);
		return;
	}
	va_start(ap, fmt);
	n = vasprintf(&big, fmt, ap);
	va_end(ap);
	if (n < 0) {
		b->failed = -ENOMEM;
		return;
	}
	s3_buf_add(b, big, (size_t)n);
	free(big);
}

void
s3_buf_uri(struct s3_buf *b, const char *s, bool keep_slash)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t len = strlen(s);

	if (!grow(b, 3 * len))
		return;
	for (const unsigned char *p = (const unsigned char *)s; *p; p++) {
		if ((*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z') ||
		    (*p >= '0' && *p <= '9') || strchr("-._~", *p) != NULL ||
		    (*p == '/' && keep_slash)) {
			b->data[b->len++] = (char)*p;
		} else {
			b->data[b->len++] = '%';
			b->data[b->len++] = hex[*p >> 4];
			b->data[b->len++] = hex[*p & 15];
		}
	}
	b->data[b->len] = '\0';
}

void
s3_buf_xml(struct s3_buf *b, const char *s)
{
	for (; *s != '\0'; s++) {
		switch (*s) {
		case '&': s3_buf_str(b, "&amp;"); break;
		case '<': s3_buf_str(b, "&lt;"); break;
		case '>': s3_buf_str(b, "&gt;"); break;
		case '"': s3_buf_str(b, "&quot;"); break;
		default: s3_buf_add(b, s, 1);
		}
	}
}

char *
s3_buf_take(struct s3_buf *b)
{
	char *data;

	s3_buf_add(b, "", 0);
	if (b->failed) {
		s3_buf_fini(b);
		return NULL;
	}
	data = b->data;
	*b = (struct s3_buf){ .max = b->max };
	return data;
}
