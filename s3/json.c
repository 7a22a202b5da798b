/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Enough JSON for the answers of credential sources: one object whose string
 * members are wanted.  Nested values are skipped with a bound on depth; what
 * is no JSON gives NULL, which callers treat as "not there".
 */
#include <config.h>
#include <stdlib.h>
#include <string.h>
#include "s3/remote.h"

#define DEPTH_MAX 16

struct reader {
	const char *p, *end;
};

static void
blanks(struct reader *r)
{
	while (r->p < r->end && strchr(" \t\r\n", *r->p) && *r->p != '\0')
		r->p++;
}

static bool
take(struct reader *r, char c)
{
	blanks(r);
	if (r->p >= r->end || *r->p != c)
		return false;
	r->p++;
	return true;
}

static bool
utf8(struct s3_buf *b, unsigned code)
{
	char out[3];

	if (code == 0 || (code >= 0xd800 && code < 0xe000))
		return false;	/* surrogates: no credential has them */
	if (code < 0x80) {
		out[0] = (char)code;
		s3_buf_add(b, out, 1);
	} else if (code < 0x800) {
		out[0] = (char)(0xc0 | code >> 6);
		out[1] = (char)(0x80 | (code & 63));
		s3_buf_add(b, out, 2);
	} else {
		out[0] = (char)(0xe0 | code >> 12);
		out[1] = (char)(0x80 | (code >> 6 & 63));
		out[2] = (char)(0x80 | (code & 63));
		s3_buf_add(b, out, 3);
	}
	return true;
}

static bool
escape(struct reader *r, struct s3_buf *b)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *at;
	char digits[5] = "", *stop;
	unsigned long code;

	if (r->p >= r->end)
		return false;
	if (*r->p != 'u') {
		at = *r->p ? strchr(from, *r->p) : NULL;
		if (at == NULL)
			return false;
		s3_buf_add(b, &to[at - from], 1);
		r->p++;
		return true;
	}
	if (r->end - r->p < 5)
		return false;
	memcpy(digits, r->p + 1, 4);
	code = strtoul(digits, &stop, 16);
	r->p += 5;
	return stop == digits + 4 && utf8(b, (unsigned)code);
}

static bool
string(struct reader *r, struct s3_buf *b)
{
	if (!take(r, '"'))
		return false;
	while (r->p < r->end && *r->p != '"') {
		if (*r->p == '\0')
			return false;
		if (*r->p == '\\') {
			r->p++;
			if (!escape(r, b))
				return false;
			continue;
		}
		s3_buf_add(b, r->p++, 1);
	}
	return take(r, '"');
}

static bool
skip(struct reader *r)
{
	unsigned depth = 0;

	do {
		CLEANUP_BUF struct s3_buf ignored = {0};

		blanks(r);
		if (r->p >= r->end)
			return false;
		if (*r->p == '{' || *r->p == '[') {
			if (++depth > DEPTH_MAX)
				return false;
			r->p++;
		} else if (*r->p == '}' || *r->p == ']') {
			if (depth == 0)
				return false;
			depth--;
			r->p++;
		} else if (*r->p == '"') {
			if (!string(r, &ignored))
				return false;
		} else if (depth > 0 && (*r->p == ',' || *r->p == ':')) {
			r->p++;
		} else {
			size_t n = 0;

			while (r->p + n < r->end && r->p[n] != '\0' &&
			       strchr(",]}: \t\r\n\"", r->p[n]) == NULL)
				n++;
			if (n == 0)
				return false;
			r->p += n;
		}
	} while (depth > 0);
	return true;
}

char *
s3_json_string(const char *text, size_t len, const char *member)
{
	struct reader r = { text, text + len };

	if (text == NULL || !take(&r, '{'))
		return NULL;
	do {
		CLEANUP_BUF struct s3_buf name = {0};
		struct s3_buf value = {0};

		if (!string(&r, &name) || !take(&r, ':'))
			return NULL;
		blanks(&r);
		if (name.data == NULL || strcmp(name.data, member) != 0) {
			if (!skip(&r))
				return NULL;
			continue;
		}
		if (r.p < r.end && *r.p == '"' && string(&r, &value))
			return s3_buf_take(&value);
		s3_buf_fini(&value);
		return NULL;
	} while (take(&r, ','));
	return NULL;
}
