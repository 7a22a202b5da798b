/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ListObjectsV2, one page a call.  The page is parsed and checked as a whole
 * before the first entry is shown: a page that is not below the prefix, or
 * whose token is the one that was sent, comes from a store that is confused,
 * and a listing that seems complete and is not would lose files.
 *
 * Baidu BOS and others know version 1 of the call only: they overlook
 * list-type, or refuse it.  From then on they are asked by marker, which is the
 * last name of the page before (of a store whose order is not that of bytes,
 * what it calls the next, or the last that it told).  A continuation begins
 * with the version that it was made with, and is used with that one: what is
 * learnt of the store while somebody lists must not make a marker of his token.
 * Then comes a number of the page that it was made of: a store that overlooks
 * what it is sent tells the same page again, perhaps with another token, and
 * would be listed without end.
 */
#include <config.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "s3/remote.h"

#define BY_MARKER '1'		/* what a continuation begins with */
#define BY_TOKEN '2'
#define NUMBER_HEX 16		/* and of what page, in so many digits */

/* What a page must hold; parsed by the check so that a bad one is repeated. */
struct page {
	const struct s3_list *list;
	const char *token;	/* of the list, without what is before it */
	const char *before;	/* the number of the last page; or NULL */
	bool v1;		/* asked for so */
	struct s3_xml_list *xml;
	char max[16];		/* max-keys: the call keeps no copy */
};

/* FNV-1a of the names of a page; the end of a page may come again (the last
 * common prefix of some stores), so that one name alone is no page. */
static void
number_of(const struct s3_xml_list *xml, char out[NUMBER_HEX + 1])
{
	uint64_t h = xml->count > 1 ? 14695981039346656037ULL : 0;

	for (size_t i = 0; i < xml->count && h != 0; i++)
		for (const char *p = xml->items[i].key; ; p++) {
			h = (h ^ (unsigned char)*p) * 1099511628211ULL;
			if (*p == '\0')
				break;
		}
	snprintf(out, NUMBER_HEX + 1, "%016llx", (unsigned long long)h);
}

static bool
comes_again(const struct page *page)
{
	char number[NUMBER_HEX + 1];

	number_of(page->xml, number);
	return page->before != NULL && page->xml->count > 1 &&
	       memcmp(page->before, number, NUMBER_HEX) == 0;
}

static int
check_page(const void *arg, const struct s3_reply *reply)
{
	const struct page *page = arg;
	const char *prefix = page->list->prefix ? page->list->prefix : "";
	struct s3_xml_list *xml = page->xml;
	int r;

	s3_xml_list_fini(xml);
	r = s3_xml_list(reply->body.data, reply->body.len, xml);
	if (r < 0)
		return r;
	for (size_t i = 0; i < xml->count; i++)
		if (strncmp(xml->items[i].key, prefix, strlen(prefix)) != 0)
			return -EBADMSG;
	if (xml->next == NULL || page->token == NULL)
		return 0;
	/* Who answers a token with the first page by marker has overlooked
	 * it: the list begins anew. */
	return page->v1 != xml->v1 || comes_again(page) ||
		       strcmp(xml->next, page->token) == 0 ? -EBADMSG : 0;
}

/* They are not shown; nobody would know that they are there. */
static void
tell_skipped(struct s3_remote *r, const struct s3_list *list, size_t count)
{
	if (count > 0)
		s3_tell(r, &r->skipped_ms, "keys in a listing that cannot be "
			"read are left out: count=%zu prefix=%s", count,
			list->prefix != NULL ? list->prefix : "");
}

/* Something between the prefix and the delimiter, which it ends with: of any
 * other the last character would be cut off for the name. */
static bool
is_common_prefix(const struct s3_list *list, const struct s3_xml_item *item)
{
	const char *end = list->delimiter != NULL ? list->delimiter : "";
	size_t before = list->prefix != NULL ? strlen(list->prefix) : 0;
	size_t len = strlen(end);

	return len > 0 && item->key_len >= before + len &&
	       strcmp(item->key + item->key_len - len, end) == 0;
}

/* Those that are none; but for the prefix itself, below which all of this
 * listing is. */
static size_t
not_prefixes(const struct s3_list *list, const struct s3_xml_list *xml)
{
	const char *prefix = list->prefix != NULL ? list->prefix : "";
	size_t count = 0;

	for (size_t i = 0; i < xml->count; i++) {
		const struct s3_xml_item *item = &xml->items[i];

		count += item->is_prefix && !is_common_prefix(list, item) &&
			 strcmp(item->key, prefix) != 0;
	}
	return count;
}

/* marker: version 1 may tell the last of the page before again. */
static int
walk(const struct s3_list *list, const struct s3_xml_list *xml,
     const char *marker,
     int (*each)(void *arg, const struct s3_entry *entry), void *arg)
{
	for (size_t i = 0; i < xml->count; i++) {
		const struct s3_xml_item *item = &xml->items[i];
		struct s3_entry entry = {
			.key = item->key, .key_len = item->key_len,
			.is_prefix = item->is_prefix, .size = item->size,
			.mtime_ns = item->mtime_ns, .etag = item->etag,
			.cold = item->cold,
		};
		int r;

		if ((marker != NULL && strcmp(item->key, marker) == 0) ||
		    (item->is_prefix && !is_common_prefix(list, item)))
			continue;
		r = each(arg, &entry);
		if (r != 0)
			return r;
	}
	return 0;
}

static void
ask_for(struct s3_call *call, struct page *page)
{
	const struct s3_list *list = page->list;
	const char *after = list->start_after;
	bool v1 = page->v1;

	snprintf(page->max, sizeof(page->max), "%u",
		 list->max_keys ? list->max_keys : 1000);
	s3_call_query(call, "max-keys", page->max);
	if (!v1)
		s3_call_query(call, "list-type", "2");
	s3_call_query(call, "encoding-type", "url");
	if (list->prefix != NULL && *list->prefix != '\0')
		s3_call_query(call, "prefix", list->prefix);
	if (list->delimiter != NULL && *list->delimiter != '\0')
		s3_call_query(call, "delimiter", list->delimiter);
	if (page->token != NULL)
		s3_call_query(call, v1 ? "marker" : "continuation-token",
			      page->token);
	else if (after != NULL && *after != '\0')
		s3_call_query(call, v1 ? "marker" : "start-after", after);
}

/* What the next page is asked with; malloced. */
static char *
continuation(const struct s3_xml_list *xml, bool v1)
{
	char number[NUMBER_HEX + 1], *next;

	number_of(xml, number);
	if (asprintf(&next, "%c%s%s", v1 ? BY_MARKER : BY_TOKEN, number,
		     xml->next) < 0)
		return NULL;
	return next;
}

int
s3_remote_list_page(struct s3 *s3, const struct s3_list *list,
		    int (*each)(void *arg, const struct s3_entry *entry),
		    void *arg, char **next, struct s3_error *err)
{
	struct s3_remote *r = s3_to_remote(s3);
	__attribute__((cleanup(s3_xml_list_fini))) struct s3_xml_list xml = {0};
	const char *token = list->token;
	struct page page = {
		.list = list, .xml = &xml,
		.token = token != NULL && *token != '\0' ?
			 token + 1 + NUMBER_HEX : NULL,
		.before = token != NULL && *token != '\0' ? token + 1 : NULL,
		.v1 = token != NULL ? *token == BY_MARKER : r->list_v1,
	};
	CLEANUP_CALL struct s3_call call = {
		.method = "GET", .check = check_page, .check_arg = &page,
		.refused = s3_away_flag(s3, S3_ASK_LIST),
	};
	CLEANUP_REPLY struct s3_reply reply = {0};
	struct s3_error own, *e = err != NULL ? err : &own;
	int result = s3_call_options(r, &call, false);

	if (result < 0)
		return result;
	ask_for(&call, &page);
	result = s3_request(r, &call, &reply, e);
	if ((result == -EINVAL || result == -ENOTSUP) && !page.v1 &&
	    !r->listed && list->token == NULL) {
		r->list_v1 = true;
		result = s3_remote_list_page(s3, list, each, arg, next, err);
		if (result < 0)
			r->list_v1 = false;
		return result;
	}
	/* A listing is of no object: a store that has listed before and calls
	 * the question wrong has a bad moment. */
	if (r->listed && (result == -EINVAL || result == -ENOTSUP ||
			  result == -EFBIG))
		result = -EAGAIN;
	if (result < 0)
		return result == -ENOENT ? -ENODEV : result;
	r->listed = true;
	if (xml.v1)
		r->list_v1 = page.v1 = true;
	tell_skipped(r, list, xml.skipped + not_prefixes(list, &xml));
	result = walk(list, &xml, page.v1 ? page.token : NULL, each, arg);
	if (result != 0)
		return result;
	if (xml.next == NULL) {
		*next = NULL;
		return 0;
	}
	*next = continuation(&xml, page.v1);
	return *next != NULL ? 0 : -ENOMEM;
}
