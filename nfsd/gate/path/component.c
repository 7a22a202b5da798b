/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys may hold what no file name can, and file names what no key can.  Each
 * such thing has one form, and each form one meaning, so that nothing in a
 * bucket is out of reach and two things never share a name:
 *
 *	component of a key			name
 *	"" (a//b, or / in front), . and ..	%s3%COMPONENT
 *	begins with %s3				%s3%COMPONENT
 *	is not UTF-8, in a bucket that refuses
 *	such keys				%s3%COMPONENT
 *	a file beside a directory of its name	%s3-file%COMPONENT
 *	either, too long for a name		%s3-long%HEAD%HASH,
 *						%s3-file-long%HEAD%HASH
 *	%s3-raw%NAME, where NAME, percent-
 *	encoded, is not UTF-8			NAME
 *	anything else				the same
 *
 * HEAD is the beginning of the component, cut between characters; HASH the
 * first half of its SHA-256.  Names that begin with %s3 and mean nothing by
 * this table cannot be made, nor those of a probe's scratch keys.  Control
 * characters are bytes like others, and NFC and NFD are two names.
 */

#include <config.h>

#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#include "nfsd/gate/path/inside.h"

#define MARK "%s3"
#define MANGLED "%s3%"
#define SHADOWED "%s3-file%"
#define LONG "%s3-long%"
#define SHADOWED_LONG "%s3-file-long%"
#define RAW "%s3-raw%"
#define HEAD_MAX 180
#define HASH_HEX 32

static bool
begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* Bytes of the character at p, 0 if it is none (RFC 3629 4). */
static size_t
utf8_char(const unsigned char *p)
{
	static const struct {
		unsigned char first, last, low, high;
		size_t len;
	} rows[] = {
		{ 0x01, 0x7f, 0, 0, 1 }, { 0xc2, 0xdf, 0x80, 0xbf, 2 },
		{ 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
		{ 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
		{ 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 },
		{ 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		if (*p < rows[i].first || *p > rows[i].last)
			continue;
		if (rows[i].len > 1 &&
		    (p[1] < rows[i].low || p[1] > rows[i].high))
			return 0;
		for (size_t k = 2; k < rows[i].len; k++)
			if ((p[k] & 0xc0) != 0x80)
				return 0;
		return rows[i].len;
	}
	return 0;
}

static bool
is_utf8(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;

	while (*p != '\0') {
		size_t n = utf8_char(p);

		if (n == 0)
			return false;
		p += n;
	}
	return true;
}

/* ---- names that are not UTF-8 ---- */

static void
raw_encode(const char *name, char component[COMPONENT_MAX + 1])
{
	char *out = component + sprintf(component, "%s", RAW);

	/* At most 255 bytes, each three. */
	for (; *name != '\0'; name++) {
		unsigned char c = (unsigned char)*name;

		if (c >= 0x80 || c == '%')
			out += sprintf(out, "%%%02X", c);
		else
			*out++ = (char)c;
	}
	*out = '\0';
}

static int
hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0'
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

/* Is this component what raw_encode makes of a name that needs it? */
static bool
raw_decode(const char *component, char name[META_NAME_MAX + 1])
{
	char again[COMPONENT_MAX + 1];
	size_t len = 0;

	if (!begins(component, RAW))
		return false;
	for (const char *p = component + strlen(RAW); *p != '\0'; p++) {
		int c = (unsigned char)*p;

		if (c == '%') {
			if (hex(p[1]) < 0 || hex(p[2]) < 0)
				return false;
			c = hex(p[1]) << 4 | hex(p[2]);
			p += 2;
		}
		if (c == '\0' || c == '/' || len == META_NAME_MAX)
			return false;
		name[len++] = (char)c;
	}
	name[len] = '\0';
	if (is_utf8(name) || begins(name, MARK))
		return false;
	raw_encode(name, again);
	return strcmp(again, component) == 0;
}

/* ---- components that are no names ---- */

static bool
must_mangle(bool any_bytes, const char *component)
{
	return component[0] == '\0' || strcmp(component, ".") == 0 ||
	       strcmp(component, "..") == 0 || begins(component, MARK) ||
	       strlen(component) > META_NAME_MAX ||
	       (!any_bytes && !is_utf8(component));
}

static void
long_name(const char *form, const char *component, char name[META_NAME_MAX + 1])
{
	unsigned char digest[SHA256_DIGEST_LENGTH];
	size_t head = HEAD_MAX;
	char *out;

	/* Not in the middle of a character. */
	while (head > HEAD_MAX - 4 &&
	       ((unsigned char)component[head] & 0xc0) == 0x80)
		head--;
	SHA256((const unsigned char *)component, strlen(component), digest);
	out = name + sprintf(name, "%s%.*s%%", form, (int)head, component);
	for (size_t i = 0; i < HASH_HEX / 2; i++)
		out += sprintf(out, "%02x", digest[i]);
}

void
component_to_name(bool any_bytes, const char *component, bool shadowed,
		  char name[META_NAME_MAX + 1])
{
	const char *form = shadowed ? SHADOWED : MANGLED;

	if (!shadowed && !must_mangle(any_bytes, component))
		strcpy(name, component);
	else if (!shadowed && !any_bytes && raw_decode(component, name))
		return;
	else if (strlen(form) + strlen(component) <= META_NAME_MAX)
		sprintf(name, "%s%s", form, component);
	else
		long_name(shadowed ? SHADOWED_LONG : LONG, component, name);
}

/* ---- names ---- */

static bool
is_long_form(const char *name, const char *form)
{
	size_t len = strlen(name), tail = HASH_HEX + 1;

	return begins(name, form) && len > strlen(form) + tail &&
	       name[len - tail] == '%' &&
	       strspn(name + len - HASH_HEX, "0123456789abcdef") == HASH_HEX;
}

void
component_head(const char *name, char head[META_NAME_MAX + 1])
{
	const char *from = name + strlen(begins(name, LONG) ? LONG :
							      SHADOWED_LONG);

	sprintf(head, "%.*s", (int)(strlen(from) - HASH_HEX - 1), from);
}

/* What is behind the form, if that is what the component would be called. */
static enum component_form
spelled(bool any_bytes, const char *name, const char *rest, bool shadowed,
	char component[COMPONENT_MAX + 1])
{
	char again[META_NAME_MAX + 1];

	if (shadowed ? rest[0] == '\0' : !must_mangle(any_bytes, rest))
		return COMPONENT_NONE;
	component_to_name(any_bytes, rest, shadowed, again);
	if (strcmp(again, name) != 0)
		return COMPONENT_NONE;
	strcpy(component, rest);
	return shadowed ? COMPONENT_SHADOWED : COMPONENT_MANGLED;
}

enum component_form
component_from_name(bool any_bytes, const char *name,
		    char component[COMPONENT_MAX + 1])
{
	if (s3_is_scratch(name))
		return COMPONENT_NONE;
	if (!begins(name, MARK)) {
		if (any_bytes || is_utf8(name))
			strcpy(component, name);
		else
			raw_encode(name, component);
		return COMPONENT_PLAIN;
	}
	if (begins(name, MANGLED))
		return spelled(any_bytes, name, name + strlen(MANGLED), false,
			       component);
	if (begins(name, SHADOWED))
		return spelled(any_bytes, name, name + strlen(SHADOWED), true,
			       component);
	return is_long_form(name, LONG) ? COMPONENT_LONG
	       : is_long_form(name, SHADOWED_LONG) ? COMPONENT_SHADOWED_LONG
						   : COMPONENT_NONE;
}

unsigned
component_s3_odd(const char *component)
{
	unsigned odd = 0;

	for (const char *p = component; *p != '\0'; p++) {
		odd |= *p == '\\' ? S3_ODD_BACKSLASH
		       : *p == '\n' ? S3_ODD_NEWLINE
		       : *p == '\t' ? S3_ODD_TAB
		       : *p > 0 && *p < ' ' ? S3_ODD_CONTROL
					    : 0;
		if (strncmp(p, "\xef\xbf\xbe", 3) == 0 ||
		    strncmp(p, "\xef\xbf\xbf", 3) == 0)
			odd |= S3_ODD_NONCHAR;
	}
	return odd;
}
