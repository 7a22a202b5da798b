/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every bucket must do, whichever kind it is: the same checks run on
 * any URL.
 *
 *	s3_contract URL [ENDPOINT]
 *
 * One list of promises in one file, though a long one: what is true of every
 * bucket can be read here from top to bottom.
 *
 * All keys lie below a random prefix and are removed at the end.  Credentials
 * come as the AWS tools find them.  Exit status as of the unit tests.
 */
#include <config.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "s3/s3.h"
#include "tests/unit.h"

#define MIB (1ULL << 20)

static struct s3 *s3;
static struct s3_caps caps;
static char top[64];		/* "contract-XXXX/" */

#define IS(expr, wanted) is(__LINE__, #expr, (int64_t)(expr), (wanted))

static struct s3_error err;

static void
is(int line, const char *what, int64_t got, int64_t wanted)
{
	if (got == wanted)
		return;
	fprintf(stderr, "line %d: %s is %lld, not %lld (%d %s %s)\n", line,
		what, (long long)got, (long long)wanted, err.http, err.code,
		err.message);
	CU_FAIL("see above");
}

static const char *
key(const char *name)
{
	static char k[16][1200];
	static unsigned turn;
	char *out = k[turn++ % 16];

	snprintf(out, sizeof(k[0]), "%s%s", top, name);
	return out;
}

/* A body that is a function of its seed and offset. */
struct made {
	uint64_t seed;
	uint64_t fail_at;	/* 0: never */
};

static unsigned char
made_byte(uint64_t seed, uint64_t off)
{
	uint64_t x = (off / 8 + seed) * 0x9e3779b97f4a7c15ULL;

	x ^= x >> 29;
	return (unsigned char)(x >> off % 8 * 8);
}

static ssize_t
made_read(void *arg, uint64_t off, void *buf, size_t len)
{
	const struct made *m = arg;
	unsigned char *p = buf;

	if (m->fail_at != 0 && off + len > m->fail_at)
		return -EIO;
	for (size_t i = 0; i < len; i++)
		p[i] = made_byte(m->seed, off + i);
	return (ssize_t)len;
}

static struct s3_source
made(struct made *m, uint64_t len)
{
	return (struct s3_source){ .len = len, .read = made_read, .arg = m };
}

static bool
made_same(uint64_t seed, uint64_t off, const void *buf, size_t len)
{
	const unsigned char *p = buf;

	for (size_t i = 0; i < len; i++)
		if (p[i] != made_byte(seed, off + i))
			return false;
	return true;
}

static int
put(const char *k, uint64_t seed, uint64_t len, char *etag)
{
	struct made m = { .seed = seed };
	struct s3_source body = made(&m, len);
	char own[S3_ETAG_MAX];

	return s3_put(s3, k, &body, NULL, NULL, etag ? etag : own, &err);
}

static int
put_if(const char *k, uint64_t seed, const char *match, bool none,
       char *etag)
{
	struct made m = { .seed = seed };
	struct s3_source body = made(&m, 100);
	struct s3_cond cond = { .if_match = match, .if_none_match = none };
	char own[S3_ETAG_MAX];

	return s3_put(s3, k, &body, NULL, &cond, etag ? etag : own, &err);
}

static void
what_was_put_is_what_is_got(void)
{
	static const size_t sizes[] = { 0, 1, 4096, 100000, 3 * MIB + 17 };
	char etag[S3_ETAG_MAX];
	struct s3_object o;
	char *buf = malloc(4 * MIB);

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		const char *k = key("put");

		IS(put(k, i, sizes[i], etag), 0);
		IS(s3_get(s3, k, NULL, 0, buf, 4 * MIB, &o, &err),
		   (int64_t)sizes[i]);
		CU_ASSERT(made_same(i, 0, buf, sizes[i]));
		CU_ASSERT_STRING_EQUAL(o.etag, etag);
		IS(o.size, (int64_t)sizes[i]);
		s3_object_free(&o);
		IS(s3_head(s3, k, &o, &err), 0);
		CU_ASSERT_STRING_EQUAL(o.etag, etag);
		CU_ASSERT_EQUAL(o.size, sizes[i]);
		CU_ASSERT(llabs(o.mtime_ns / 1000000000 -
				(long long)time(NULL)) < 60);
		s3_object_free(&o);
	}
	free(buf);
}

static void
ranges_are_cut_at_the_end(void)
{
	const char *k = key("range");
	char etag[S3_ETAG_MAX], buf[2000];
	struct s3_object o;

	IS(put(k, 7, 1000, etag), 0);
	IS(s3_get(s3, k, etag, 0, buf, 10, NULL, &err), 10);
	CU_ASSERT(made_same(7, 0, buf, 10));
	IS(s3_get(s3, k, etag, 990, buf, 100, &o, &err), 10);
	CU_ASSERT(made_same(7, 990, buf, 10));
	IS(o.size, 1000);
	s3_object_free(&o);
	IS(s3_get(s3, k, etag, 1000, buf, 100, &o, &err), 0);
	IS(o.size, 1000);
	s3_object_free(&o);
	IS(s3_get(s3, k, NULL, 1ULL << 40, buf, 1, NULL, &err), 0);
	IS(s3_get(s3, k, etag, 0, buf, 0, NULL, &err), 0);
	IS(s3_get(s3, k, etag, 0, buf, 2000, NULL, &err), 1000);
	IS(s3_get(s3, k, NULL, UINT64_MAX - 1, buf, 10, NULL, &err),
	   -EINVAL);
}

static void
a_get_holds_on_to_its_version(void)
{
	const char *k = key("pinned");
	char old[S3_ETAG_MAX], new[S3_ETAG_MAX], buf[100];

	IS(put(k, 1, 100, old), 0);
	IS(put(k, 2, 100, new), 0);
	IS(s3_get(s3, k, old, 0, buf, 100, NULL, &err), -ESTALE);
	IS(s3_get(s3, k, old, 100, buf, 100, NULL, &err), -ESTALE);
	IS(s3_get(s3, k, new, 0, buf, 100, NULL, &err), 100);
	IS(s3_get(s3, key("nobody"), old, 0, buf, 100, NULL, &err), -ENOENT);
}

static void
a_missing_key_is_enoent(void)
{
	struct s3_object o;
	char buf[10], etag[S3_ETAG_MAX];

	IS(s3_head(s3, key("nobody"), &o, &err), -ENOENT);
	IS(s3_get(s3, key("nobody"), NULL, 0, buf, 10, NULL, &err), -ENOENT);
	IS(s3_copy(s3, key("nobody"), NULL, key("to"), NULL, NULL, etag,
		   &err), -ENOENT);
	IS(s3_delete(s3, key("nobody"), NULL, &err), 0);
	IS(s3_delete(s3, key("nobody"), "0123456789abcdef", &err), 0);
}

static void
headers_live_with_the_object(void)
{
	static const char *const pairs[][2] = {
		{ "content-type", "text/x-odd; a=b" },
		{ "cache-control", "no-cache, max-age=3" },
		{ "content-disposition", "attachment; filename=\"x y\"" },
		{ "content-language", "de" },
		{ "x-amz-meta-file-mtime", "1595002920000000000ns" },
		{ "x-amz-meta-mtime", "1595002920.000000001" },
		{ "x-amz-meta-plus", "a+b/c=d%20e" },
	};
	const size_t count = sizeof(pairs) / sizeof(*pairs);
	const char *k = key("headers"), *to = key("headers-2");
	struct made m = { .seed = 1 };
	struct s3_source body = made(&m, 10);
	struct s3_headers h = {0};
	struct s3_object o;
	char etag[S3_ETAG_MAX];

	for (size_t i = 0; i < count; i++)
		IS(s3_headers_set(&h, pairs[i][0], pairs[i][1]), 0);
	IS(s3_put(s3, k, &body, &h, NULL, etag, &err), 0);
	IS(s3_copy(s3, k, etag, to, NULL, NULL, etag, &err), 0);
	for (int turn = 0; turn < 2; turn++) {
		IS(s3_head(s3, turn ? to : k, &o, &err), 0);
		for (size_t i = 0; i < count; i++) {
			const char *v = s3_headers_get(&o.headers,
						       pairs[i][0]);

			CU_ASSERT_PTR_NOT_NULL(v);
			if (v != NULL)
				CU_ASSERT_STRING_EQUAL(v, pairs[i][1]);
		}
		s3_object_free(&o);
	}
	/* A copy with headers replaces all of them. */
	s3_headers_free(&h);
	IS(s3_headers_set(&h, "x-amz-meta-new", "1"), 0);
	IS(s3_copy(s3, k, NULL, k, &h, NULL, etag, &err), 0);
	IS(s3_head(s3, k, &o, &err), 0);
	CU_ASSERT_PTR_NULL(s3_headers_get(&o.headers, "x-amz-meta-plus"));
	CU_ASSERT_PTR_NULL(s3_headers_get(&o.headers, "cache-control"));
	CU_ASSERT_STRING_EQUAL(s3_headers_get(&o.headers, "x-amz-meta-new"),
			       "1");
	CU_ASSERT_STRING_EQUAL(o.etag, etag);
	s3_object_free(&o);
	IS(s3_headers_set(&h, "x-amz-meta-bad", "a\r\nx-evil: 1"), 0);
	IS(s3_put(s3, k, &body, &h, NULL, etag, &err), -EINVAL);
	s3_headers_free(&h);
}

static const char *const odd_keys[] = {
	"a b", "a+b", "a%20b", "a%2Fb", "100%", "\xc3\xa4\xe2\x82\xac",
	"\xf0\x9f\x98\x80", "q?x=1&y=2", "#frag", ("a\x01" "b"), "tab\there",
	"line\nfeed", "cr\rhere", "\x7f", "a//b", "a/./b", "a/../b", "..",
	".", "trailing/", "<&>\"'", "\\back", "(*)!~@:;,=$", " lead",
	"trail ", "[]{}|^`", "\xef\xbf\xbe",
};
#define ODD (sizeof(odd_keys) / sizeof(*odd_keys))

struct seen {
	char keys[64][128];
	size_t count;
};

static int
see(void *arg, const struct s3_entry *e)
{
	struct seen *seen = arg;

	if (seen->count < 64)
		snprintf(seen->keys[seen->count++], 128, "%s", e->key);
	return 0;
}

struct walk {
	size_t keys, prefixes;
	char last[S3_KEY_MAX + 1];
	bool sorted;
	int stop_after;
	uint64_t bytes;
};

static int
walk_each(void *arg, const struct s3_entry *e)
{
	struct walk *w = arg;

	if (strcmp(w->last, e->key) >= 0)
		w->sorted = false;
	if (strlen(e->key) != e->key_len)
		w->sorted = false;
	snprintf(w->last, sizeof(w->last), "%s", e->key);
	if (e->is_prefix)
		w->prefixes++;
	else
		w->keys++;
	w->bytes += e->size;
	if (!e->is_prefix && (e->etag == NULL || *e->etag == '\0' ||
			      e->mtime_ns <= 0))
		w->sorted = false;
	if (w->stop_after > 0 && --w->stop_after == 0)
		return 42;
	return 0;
}

static int
walk_all(const char *prefix, const char *delimiter, const char *after,
	 unsigned page, struct walk *w, int *pages)
{
	char *token = NULL, *next;
	int r;

	*w = (struct walk){ .sorted = true, .stop_after = w->stop_after };
	*pages = 0;
	do {
		struct s3_list list = {
			.prefix = prefix, .delimiter = delimiter,
			.start_after = after, .token = token,
			.max_keys = page,
		};

		next = NULL;
		r = s3_list_page(s3, &list, walk_each, w, &next, &err);
		free(token);
		token = next;
		(*pages)++;
	} while (r == 0 && token != NULL && *pages < 1000);
	free(token);
	return r;
}

static void
odd_keys_go_in_and_come_back(void)
{
	struct seen *seen = calloc(1, sizeof(*seen));
	struct s3_list list = {0};
	char etag[S3_ETAG_MAX], buf[64], *next = NULL;
	struct walk w = {0};
	struct s3_object o;
	int pages;

	for (size_t i = 0; i < ODD; i++) {
		char name[64];

		snprintf(name, sizeof(name), "odd/%s", odd_keys[i]);
		IS(put(key(name), 100 + i, 32, etag), 0);
	}
	list.prefix = key("odd/");
	IS(s3_list_page(s3, &list, see, seen, &next, &err), 0);
	CU_ASSERT_PTR_NULL(next);
	IS(seen->count, ODD);
	/* One by one, so that each key becomes a token. */
	IS(walk_all(key("odd/"), NULL, NULL, 1, &w, &pages), 0);
	IS(w.keys, ODD);
	CU_ASSERT(w.sorted);
	for (size_t i = 0; i < ODD; i++) {
		char name[64];
		size_t j = 0;

		snprintf(name, sizeof(name), "odd/%s", odd_keys[i]);
		IS(s3_get(s3, key(name), NULL, 0, buf, 64, NULL, &err), 32);
		CU_ASSERT(made_same(100 + i, 0, buf, 32));
		IS(s3_copy(s3, key(name), NULL, key("odd-copy"), NULL, NULL,
			   etag, &err), 0);
		IS(s3_get(s3, key("odd-copy"), NULL, 0, buf, 64, NULL, &err),
		   32);
		CU_ASSERT(made_same(100 + i, 0, buf, 32));
		while (j < seen->count && strcmp(seen->keys[j], key(name)))
			j++;
		if (j == seen->count)
			fprintf(stderr, "not listed: %s\n", name);
		CU_ASSERT(j < seen->count);
		IS(s3_delete(s3, key(name), NULL, &err), 0);
		IS(s3_head(s3, key(name), &o, &err), -ENOENT);
	}
	for (size_t i = 1; i < seen->count; i++)
		CU_ASSERT(strcmp(seen->keys[i - 1], seen->keys[i]) < 0);
	free(seen);
}

static void
long_keys_work_up_to_1024_bytes(void)
{
	char k[1100];
	struct s3_object o;

	snprintf(k, sizeof(k), "%s", top);
	for (size_t i = strlen(k); i < S3_KEY_MAX; i++)
		k[i] = i % 200 == 0 ? '/' : 'k';
	k[S3_KEY_MAX] = '\0';
	IS(put(k, 1, 10, NULL), 0);
	IS(s3_head(s3, k, &o, &err), 0);
	s3_object_free(&o);
	IS(s3_delete(s3, k, NULL, &err), 0);
	k[S3_KEY_MAX] = 'x';
	k[S3_KEY_MAX + 1] = '\0';
	IS(put(k, 1, 10, NULL), -EINVAL);
	IS(put("", 1, 10, NULL), -EINVAL);
}

static void
conditional_puts_hold_as_caps_say(void)
{
	const char *k = key("cond");
	char one[S3_ETAG_MAX], two[S3_ETAG_MAX];
	struct s3_object o;

	IS(s3_delete(s3, k, NULL, &err), 0);
	IS(put_if(k, 1, NULL, true, one), 0);
	if (caps.put_if_none_match) {
		IS(put_if(k, 2, NULL, true, NULL), -EEXIST);
		IS(s3_head(s3, k, &o, &err), 0);
		CU_ASSERT_STRING_EQUAL(o.etag, one);
		s3_object_free(&o);
	}
	if (!caps.put_if_match)
		return;
	IS(put_if(k, 2, one, false, two), 0);
	IS(put_if(k, 3, one, false, NULL), -ESTALE);
	IS(s3_head(s3, k, &o, &err), 0);
	CU_ASSERT_STRING_EQUAL(o.etag, two);
	s3_object_free(&o);
	IS(s3_delete(s3, k, NULL, &err), 0);
	IS(put_if(k, 3, two, false, NULL), -ESTALE);
}

static void
conditional_deletes_and_copies_hold_everywhere(void)
{
	const char *k = key("cond-2"), *to = key("cond-3");
	struct s3_cond none = { .if_none_match = true }, match = {0};
	char one[S3_ETAG_MAX], two[S3_ETAG_MAX], etag[S3_ETAG_MAX];
	struct s3_object o;

	IS(put(k, 1, 100, one), 0);
	IS(put(k, 2, 100, two), 0);
	IS(s3_delete(s3, k, one, &err), -ESTALE);
	IS(s3_head(s3, k, &o, &err), 0);
	s3_object_free(&o);
	IS(s3_copy(s3, k, one, to, NULL, NULL, etag, &err), -ESTALE);
	IS(s3_head(s3, to, &o, &err), -ENOENT);
	IS(s3_copy(s3, k, two, to, NULL, &none, etag, &err), 0);
	IS(s3_copy(s3, k, two, to, NULL, &none, etag, &err), -EEXIST);
	match.if_match = one;
	IS(s3_copy(s3, k, two, to, NULL, &match, etag, &err), -ESTALE);
	IS(s3_head(s3, to, &o, &err), 0);
	match.if_match = o.etag;
	IS(s3_copy(s3, k, two, to, NULL, &match, etag, &err), 0);
	s3_object_free(&o);
	IS(s3_delete(s3, k, two, &err), 0);
	IS(s3_head(s3, k, &o, &err), -ENOENT);
}

#define MANY 5000
#define THREADS 16

/* Put or remove every THREADSth of the many. */
struct share {
	int first;
	bool remove;
	int result;
};

static void *
many_share(void *arg)
{
	struct share *share = arg;
	struct made m = { .seed = 1 };
	struct s3_error own;

	for (int i = share->first; i < MANY && share->result == 0;
	     i += THREADS) {
		struct s3_source body = made(&m, (uint64_t)i % 7);
		char name[128], etag[S3_ETAG_MAX];

		snprintf(name, sizeof(name), "%smany/%d/%04d", top, i % 10, i);
		share->result = share->remove ?
			s3_delete(s3, name, NULL, &own) :
			s3_put(s3, name, &body, NULL, NULL, etag, &own);
	}
	return NULL;
}

static int
for_many(bool remove)
{
	struct share shares[THREADS];
	pthread_t threads[THREADS];
	int result = 0;

	for (int i = 0; i < THREADS; i++) {
		shares[i] = (struct share){ .first = i, .remove = remove };
		if (pthread_create(&threads[i], NULL, many_share,
				   &shares[i]) != 0)
			abort();
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		if (shares[i].result != 0)
			result = shares[i].result;
	}
	return result;
}

static void
five_thousand_keys_are_listed_once_each(void)
{
	char after[128];
	struct walk w = {0};
	int pages;

	IS(for_many(false), 0);
	IS(walk_all(key("many/"), NULL, NULL, 0, &w, &pages), 0);
	IS(w.keys, MANY);
	IS(pages, 5);
	CU_ASSERT(w.sorted);
	IS(walk_all(key("many/"), NULL, NULL, 333, &w, &pages), 0);
	IS(w.keys, MANY);
	CU_ASSERT(w.sorted);
	IS(walk_all(key("many/"), "/", NULL, 3, &w, &pages), 0);
	IS(w.keys, 0);
	IS(w.prefixes, 10);
	IS(pages, 4);
	CU_ASSERT(w.sorted);
	snprintf(after, sizeof(after), "%s", key("many/5/2505"));
	IS(walk_all(key("many/"), NULL, after, 100, &w, &pages), 0);
	IS(w.keys, 4 * 500 + 249);
	IS(walk_all(key("many/9/"), NULL, key("many/9/4999"), 100, &w,
		    &pages), 0);
	IS(w.keys, 0);
	w.stop_after = 3;
	IS(walk_all(key("many/"), NULL, NULL, 10, &w, &pages), 42);
	IS(w.keys, 3);
	w.stop_after = 0;
	IS(put(key("many/1"), 1, 1, NULL), 0);
	IS(put(key("many/1-"), 1, 1, NULL), 0);
	IS(walk_all(key("many/"), "/", NULL, 0, &w, &pages), 0);
	IS(w.keys, 2);
	IS(w.prefixes, 10);
	CU_ASSERT(w.sorted);
	IS(for_many(true), 0);
	IS(walk_all(key("many/"), NULL, NULL, 0, &w, &pages), 0);
	IS(w.keys, 2);
}

static int
upload_part(const char *k, const char *id, unsigned n, uint64_t seed,
	    uint64_t len, struct s3_part *part)
{
	struct made m = { .seed = seed };
	struct s3_source body = made(&m, len);

	part->number = n;
	return s3_upload_part(s3, k, id, n, &body, part->etag, &err);
}

static int
find_upload(void *arg, const char *k, const char *id, int64_t when_ns)
{
	const char *const *want = arg;

	return strcmp(k, want[0]) == 0 && strcmp(id, want[1]) == 0 &&
	       when_ns > 0 ? 7 : 0;
}

static void
a_multipart_upload_appears_when_complete(void)
{
	const char *k = key("multi +%\x01/part");
	const char *want[2] = { k, NULL };
	struct s3_part p[3] = {0}, *list = NULL;
	struct s3_headers h = {0};
	struct s3_object o;
	char *id = NULL, etag[S3_ETAG_MAX], *buf = malloc(6 * MIB);

	IS(s3_headers_set(&h, "x-amz-meta-a", "b"), 0);
	IS(s3_upload_create(s3, k, &h, &id, &err), 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(id);
	want[1] = id;
	IS(upload_part(k, id, 1, 9, 5 * MIB, &p[0]), 0);
	IS(upload_part(k, id, 2, 10, 5 * MIB, &p[1]), 0);
	IS(upload_part(k, id, 2, 11, 5 * MIB, &p[1]), 0);	/* anew */
	IS(upload_part(k, id, 7, 12, 1000, &p[2]), 0);
	IS(s3_upload_list(s3, top, find_upload, want, &err), 7);
	IS(s3_head(s3, k, &o, &err), -ENOENT);
	IS(s3_upload_parts(s3, k, id, &list, &err), 3);
	if (list != NULL) {
		IS(list[1].number, 2);
		IS(list[1].size, 5 * MIB);
		CU_ASSERT_STRING_EQUAL(list[1].etag, p[1].etag);
	}
	free(list);
	IS(s3_upload_complete(s3, k, id, p, 3, NULL, etag, &err), 0);
	IS(s3_head(s3, k, &o, &err), 0);
	CU_ASSERT_STRING_EQUAL(o.etag, etag);
	CU_ASSERT_PTR_NOT_NULL(s3_headers_get(&o.headers, "x-amz-meta-a"));
	IS(o.size, 10 * MIB + 1000);
	s3_object_free(&o);
	IS(s3_get(s3, k, etag, 5 * MIB, buf, 6 * MIB, NULL, &err),
	   5 * MIB + 1000);
	CU_ASSERT(made_same(11, 0, buf, 5 * MIB));
	CU_ASSERT(made_same(12, 0, buf + 5 * MIB, 1000));
	IS(s3_upload_list(s3, top, find_upload, want, &err), 0);
	IS(s3_upload_abort(s3, k, id, &err), 0);
	IS(s3_head(s3, k, &o, &err), 0);
	s3_object_free(&o);
	s3_headers_free(&h);
	free(id);
	free(buf);
}

static void
parts_are_copied_from_a_pinned_source(void)
{
	const char *k = key("part-copy"), *from = key("part source+%");
	struct s3_part p[2] = {0};
	char etag[S3_ETAG_MAX], old[S3_ETAG_MAX], *id = NULL;
	char *buf = malloc(11 * MIB);

	if (!caps.part_copy) {
		free(buf);
		return;
	}
	IS(put(from, 20, 100, old), 0);
	IS(put(from, 21, 6 * MIB, etag), 0);
	IS(s3_upload_create(s3, k, NULL, &id, &err), 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(id);
	p[0].number = 1;
	IS(s3_upload_part_copy(s3, k, id, 1, from, old, 0, 5 * MIB,
			       p[0].etag, &err), -ESTALE);
	IS(s3_upload_part_copy(s3, k, id, 1, from, etag, MIB, 5 * MIB,
			       p[0].etag, &err), 0);
	IS(upload_part(k, id, 2, 22, 5000, &p[1]), 0);
	IS(s3_upload_complete(s3, k, id, p, 2, NULL, etag, &err), 0);
	IS(s3_get(s3, k, etag, 0, buf, 11 * MIB, NULL, &err),
	   5 * MIB + 5000);
	CU_ASSERT(made_same(21, MIB, buf, 5 * MIB));
	CU_ASSERT(made_same(22, 0, buf + 5 * MIB, 5000));
	IS(s3_upload_part_copy(s3, k, "no-such-upload", 1, from, NULL, 0,
			       5 * MIB, p[0].etag, &err), -ENOENT);
	free(id);
	free(buf);
}

static void
an_aborted_upload_leaves_nothing(void)
{
	const char *k = key("abort");
	struct s3_part p = {0};
	char *id = NULL, etag[S3_ETAG_MAX];
	struct s3_part *list = NULL;
	struct s3_object o;

	IS(s3_upload_create(s3, k, NULL, &id, &err), 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(id);
	IS(upload_part(k, id, 1, 1, 1000, &p), 0);
	IS(s3_upload_abort(s3, k, id, &err), 0);
	IS(s3_upload_abort(s3, k, id, &err), 0);
	IS(upload_part(k, id, 2, 1, 1000, &p), -ENOENT);
	IS(s3_upload_parts(s3, k, id, &list, &err), -ENOENT);
	IS(s3_upload_complete(s3, k, id, &p, 1, NULL, etag, &err), -ENOENT);
	IS(s3_head(s3, k, &o, &err), -ENOENT);
	free(id);
}

static void
a_bad_part_list_is_refused(void)
{
	const char *k = key("bad-parts");
	struct s3_part p[2] = {0};
	char *id = NULL, etag[S3_ETAG_MAX];
	struct s3_object o;

	IS(s3_upload_create(s3, k, NULL, &id, &err), 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(id);
	IS(upload_part(k, id, 1, 1, 1000, &p[0]), 0);
	IS(upload_part(k, id, 2, 1, 1000, &p[1]), 0);
	/* All but the last must be 5 MiB. */
	IS(s3_upload_complete(s3, k, id, p, 2, NULL, etag, &err), -EINVAL);
	strcpy(p[0].etag, "00000000000000000000000000000000");
	IS(s3_upload_complete(s3, k, id, p, 1, NULL, etag, &err), -EINVAL);
	IS(s3_head(s3, k, &o, &err), -ENOENT);
	IS(s3_upload_complete(s3, k, id, p, 0, NULL, etag, &err), -EINVAL);
	p[1].number = 1;
	IS(s3_upload_complete(s3, k, id, p, 2, NULL, etag, &err), -EINVAL);
	IS(s3_upload_abort(s3, k, id, &err), 0);
	free(id);
}

static void
conditional_completes_hold_as_caps_say(void)
{
	const char *k = key("cond-multi");
	struct s3_cond none = { .if_none_match = true };
	struct s3_part p = {0};
	char *id = NULL, etag[S3_ETAG_MAX];

	if (!caps.complete_if_match)
		return;
	IS(put(k, 1, 10, NULL), 0);
	IS(s3_upload_create(s3, k, NULL, &id, &err), 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(id);
	IS(upload_part(k, id, 1, 1, 1000, &p), 0);
	IS(s3_upload_complete(s3, k, id, &p, 1, &none, etag, &err), -EEXIST);
	none = (struct s3_cond){ .if_match = "stale" };
	IS(s3_upload_complete(s3, k, id, &p, 1, &none, etag, &err), -ESTALE);
	IS(s3_upload_abort(s3, k, id, &err), 0);
	free(id);
}

static void
a_source_that_fails_ends_the_call(void)
{
	const char *k = key("source");
	struct made m = { .seed = 1, .fail_at = MIB };
	struct s3_source body = made(&m, 3 * MIB);
	char etag[S3_ETAG_MAX], *id = NULL;
	struct s3_object o;

	IS(s3_put(s3, k, &body, NULL, NULL, etag, &err), -EIO);
	IS(s3_head(s3, k, &o, &err), -ENOENT);
	IS(s3_upload_create(s3, k, NULL, &id, &err), 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(id);
	IS(s3_upload_part(s3, k, id, 1, &body, etag, &err), -EIO);
	IS(s3_upload_abort(s3, k, id, &err), 0);
	free(id);
}

static void
calls_are_counted(void)
{
	struct s3_stats a, b;
	struct s3_object o;

	s3_stats(s3, &a);
	IS(s3_head(s3, key("nobody"), &o, &err), -ENOENT);
	IS(put(key("count"), 1, 100, NULL), 0);
	s3_stats(s3, &b);
	IS(b.requests[S3_OP_HEAD] - a.requests[S3_OP_HEAD], 1);
	IS(b.requests[S3_OP_PUT] - a.requests[S3_OP_PUT], 1);
	IS(b.errors - a.errors, 1);
	IS(b.bytes_sent - a.bytes_sent, 100);
	IS(b.in_flight, 0);
}

static int
remove_each(void *arg, const struct s3_entry *e)
{
	(void)arg;
	return s3_delete(s3, e->key, NULL, &err);
}

static void
all_is_removed_in_the_end(void)
{
	struct s3_list list = { .prefix = top };
	struct walk w = {0};
	int pages = 0, r = 0;

	for (char *next = NULL; r == 0; ) {
		r = s3_list_page(s3, &list, remove_each, NULL, &next, &err);
		free((char *)list.token);
		list.token = next;
		next = NULL;
		if (list.token == NULL)
			break;
	}
	IS(r, 0);
	IS(walk_all(top, NULL, NULL, 0, &w, &pages), 0);
	IS(w.keys, 0);
}

static const struct unit_case cases[] = {
	T(what_was_put_is_what_is_got), T(ranges_are_cut_at_the_end),
	T(a_get_holds_on_to_its_version), T(a_missing_key_is_enoent),
	T(headers_live_with_the_object), T(odd_keys_go_in_and_come_back),
	T(long_keys_work_up_to_1024_bytes),
	T(conditional_puts_hold_as_caps_say),
	T(conditional_deletes_and_copies_hold_everywhere),
	T(five_thousand_keys_are_listed_once_each),
	T(a_multipart_upload_appears_when_complete),
	T(parts_are_copied_from_a_pinned_source),
	T(an_aborted_upload_leaves_nothing), T(a_bad_part_list_is_refused),
	T(conditional_completes_hold_as_caps_say),
	T(a_source_that_fails_ends_the_call), T(calls_are_counted),
	T(all_is_removed_in_the_end),
};

static void
say(void *arg, enum s3_level level, const char *line)
{
	(void)arg;
	(void)level;
	fprintf(stderr, "%s\n", line);
}

int
main(int argc, char **argv)
{
	struct s3_config config = { .log = say };
	int failed;

	if (argc < 2) {
		fprintf(stderr, "usage: s3_contract URL [ENDPOINT] "
			"[STYLE] [CASE]...\n");
		return 99;
	}
	config.url = argv[1];
	config.endpoint = argc > 2 && *argv[2] ? argv[2] : NULL;
	if (argc > 3 && strcmp(argv[3], "virtual") == 0)
		config.style = S3_STYLE_VIRTUAL;
	if (s3_open(&config, &s3, &err) < 0) {
		fprintf(stderr, "s3_contract: %s: %s\n", argv[1],
			err.message);
		return 99;
	}
	snprintf(top, sizeof(top), "contract-%ld-%d/", (long)time(NULL),
		 (int)getpid());
	if (s3_probe(s3, top, &caps, &err) < 0) {
		fprintf(stderr, "s3_contract: %s: probe: %d %s %s\n",
			argv[1], err.http, err.code, err.message);
		return 99;
	}
	printf("caps: none-match=%d match=%d unquoted=%d complete=%d copy=%d "
	       "delete=%d part-copy=%d checksums=%d\n",
	       caps.put_if_none_match, caps.put_if_match,
	       caps.put_if_match_unquoted, caps.complete_if_match,
	       caps.copy_if_match, caps.delete_if_match, caps.part_copy,
	       caps.checksums);
	if (argc > 3) {
		argv[3] = argv[0];
		argv += 3;
		argc -= 3;
	} else {
		argc = 1;
	}
	failed = unit_run("s3_contract", cases,
			  sizeof(cases) / sizeof(*cases), argc, argv);
	s3_close(&s3);
	return failed;
}
