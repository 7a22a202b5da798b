/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which characters does this store not keep in keys as they are?  SeaweedFS
 * makes a backslash a slash, rclone and versitygw list others in the place of
 * control characters, and some refuse such keys with a page of their web
 * server.  What is written under such a key is out of reach for whoever comes
 * by the listing: the gate refuses those names while nothing is lost yet.
 *
 * One scratch key has them all, which is the end of it for most stores; else
 * each has one.  Only what was seen counts: a key that was listed otherwise,
 * or refused twice while a plain one was taken.  A listing that lags tells
 * nothing.
 */
#include <config.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "s3/remote.h"

static const struct {
	enum s3_odd bit;
	const char *text;
} kinds[] = {
	{ S3_ODD_BACKSLASH, "\\" },
	{ S3_ODD_NEWLINE, "\n" },
	{ S3_ODD_TAB, "\t" },
	{ S3_ODD_CONTROL, "\x01" },
	{ S3_ODD_NONCHAR, "\xef\xbf\xbe" },
};

#define KINDS (sizeof(kinds) / sizeof(*kinds))
#define ALL KINDS		/* the key that has them all */
#define PLAIN (KINDS + 1)	/* ... none */
#define KEYS (KINDS + 2)

struct look {
	struct s3_remote *r;
	const char *stem;
	unsigned put, refused, otherwise;	/* bits 1 << number */
};

static void
spell(const struct look *l, size_t number, char key[S3_KEY_MAX + 1])
{
	char text[32] = "";

	for (size_t i = 0; i < KINDS; i++)
		if (i == number || number == ALL)
			strcat(text, kinds[i].text);
	snprintf(key, S3_KEY_MAX + 1, "%s%zu%sk", l->stem, number, text);
}

static ssize_t
no_bytes(void *arg, uint64_t off, void *buf, size_t len)
{
	(void)arg;
	(void)off;
	(void)buf;
	(void)len;
	return 0;
}

static int
put(struct look *l, size_t number)
{
	const struct s3_source body = { .len = 0, .read = no_bytes };
	char key[S3_KEY_MAX + 1];
	CLEANUP_CALL struct s3_call call = {
		.method = "PUT", .key = key, .body = &body, .once = true,
	};
	CLEANUP_REPLY struct s3_reply reply = {0};
	struct s3_error e;
	int r;

	spell(l, number, key);
	r = s3_call_options(l->r, &call, true);
	if (r == 0)
		r = s3_request(l->r, &call, &reply, &e);
	l->put |= 1U << number;
	return r;
}

/* A store in trouble refuses the plain one, too. */
static int
try_put(struct look *l, size_t number)
{
	int r = put(l, number);

	if (r == 0 || r == -ENOMEM)
		return r;
	r = put(l, PLAIN);
	if (r == 0 && put(l, number) < 0) {
		l->refused |= 1U << number;
		l->put &= ~(1U << number);
	}
	return r;
}

static int
one_key(void *arg, const struct s3_entry *e)
{
	struct look *l = arg;
	char key[S3_KEY_MAX + 1];
	size_t number = (size_t)(e->key[strlen(l->stem)] - '0');

	if (number >= KEYS)
		return 0;
	spell(l, number, key);
	if (strcmp(key, e->key) != 0)
		l->otherwise |= 1U << number;
	return 0;
}

static int
list(struct look *l)
{
	const struct s3_list page = { .prefix = l->stem };
	struct s3_error e;
	char *next = NULL;
	int r = s3_remote_list_page(&l->r->base, &page, one_key, l, &next, &e);

	free(next);
	return r;
}

static void
clean_up(struct look *l)
{
	char key[S3_KEY_MAX + 1];
	struct s3_error e;

	for (size_t i = 0; i < KEYS; i++) {
		if (!(l->put & 1U << i))
			continue;
		spell(l, i, key);
		(void)!s3_remote_delete(&l->r->base, key, NULL, &e);
		/* SeaweedFS keeps the directory that a backslash made. */
		snprintf(key, sizeof(key), "%s%zu/", l->stem, i);
		if (l->otherwise & 1U << i)
			(void)!s3_remote_delete(&l->r->base, key, NULL, &e);
	}
	l->put = 0;
}

static int
look_at_all(struct look *l)
{
	int r = try_put(l, ALL);

	return r < 0 ? r : list(l);
}

static int
look_at_each(struct look *l)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < KINDS; i++)
		r = try_put(l, i);
	return r < 0 ? r : list(l);
}

int
s3_probe_keys(struct s3_remote *r, const char *stem, unsigned *mangled)
{
	struct look l = { .r = r, .stem = stem };
	int result = look_at_all(&l);

	clean_up(&l);
	if (result < 0 || (l.refused | l.otherwise) == 0)
		return result;
	result = look_at_each(&l);
	clean_up(&l);
	if (result < 0)
		return result;
	*mangled = 0;
	for (size_t i = 0; i < KINDS; i++)
		if ((l.refused | l.otherwise) & 1U << i)
			*mangled |= kinds[i].bit;
	return 0;
}
