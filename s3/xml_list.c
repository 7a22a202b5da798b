/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Documents that list something: objects, uploads under way, parts of one.
 *
 * What is left out of a listing counts as gone, and what is read amiss names
 * something else.  So a listing that does not say whether it was truncated is
 * -EBADMSG, for a part must never pass for the whole, and so is one that does
 * not say where its next page begins.  A single object that cannot be read is
 * counted and left out; of uploads and parts each must be understood.  After a
 * failure nothing is left to free.
 *
 * Keys come percent-encoded (encoding-type=url), or not, and stores differ in
 * whether they say so.
 */
#include <config.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "s3/xml_priv.h"

#define NS 1000000000LL
#define ITEMS_MAX 10000		/* in one reply; S3 gives 1000 */

static int
number(const xmlNode *node, const char *name, uint64_t max, uint64_t *out)
{
	CLEANUP_TEXT xmlChar *t = s3_xml_text(node, name);
	const char *s = (const char *)t;
	char *end;

	if (s == NULL || *s < '0' || *s > '9')
		return -EBADMSG;
	errno = 0;
	*out = strtoull(s, &end, 10);
	return errno != 0 || *end != '\0' || *out > max ? -EBADMSG : 0;
}

static int
boolean(const xmlNode *node, const char *name, bool *out)
{
	CLEANUP_TEXT xmlChar *t = s3_xml_text(node, name);

	if (t == NULL)
		return -EBADMSG;
	*out = strcasecmp((const char *)t, "true") == 0;
	return *out || strcasecmp((const char *)t, "false") == 0 ? 0
								 : -EBADMSG;
}

static int
time_of(const xmlNode *node, const char *name, int64_t *out)
{
	CLEANUP_TEXT xmlChar *t = s3_xml_text(node, name);
	int64_t s = t != NULL ? s3_date_iso((const char *)t) : -1;

	if (s < 0)
		return -EBADMSG;
	*out = s * NS;
	return 0;
}

static int
hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* encoding-type=url: %XX, and '+' for a blank.  In place. */
static int
url_decode(char *s)
{
	char *o = s;

	for (; *s != '\0'; s++) {
		if (*s == '+') {
			*o++ = ' ';
		} else if (*s == '%') {
			int high = hex(s[1]);
			int low = high < 0 ? -1 : hex(s[2]);

			if (low < 0 || (high == 0 && low == 0))
				return -EBADMSG;
			*o++ = (char)(high * 16 + low);
			s += 2;
		} else {
			*o++ = *s;
		}
	}
	*o = '\0';
	return 0;
}

/* A key; malloced.  -EBADMSG for none, an empty or an overlong one. */
static int
key_of(const xmlNode *node, const char *name, bool encoded, char **out)
{
	CLEANUP_TEXT xmlChar *t = s3_xml_text(node, name);
	CLEANUP_FREE char *key = NULL;
	size_t len;

	if (t == NULL)
		return -EBADMSG;
	key = strdup((const char *)t);
	if (key == NULL)
		return -ENOMEM;
	if (encoded && url_decode(key) < 0)
		return -EBADMSG;
	len = strlen(key);
	if (len == 0 || len > S3_KEY_MAX)
		return -EBADMSG;
	*out = key;
	key = NULL;
	return 0;
}

static bool
is_encoded(const xmlNode *root)
{
	CLEANUP_TEXT xmlChar *t = s3_xml_text(root, "EncodingType");

	return t != NULL && strcmp((const char *)t, "url") == 0;
}

static enum s3_cold
cold_of(const xmlNode *n)
{
	CLEANUP_TEXT xmlChar *t = s3_xml_text(n, "StorageClass");

	return s3_class_cold((const char *)t);
}

/* -EBADMSG: it names no object that could be asked for. */
static int
item_of(const xmlNode *n, bool encoded, struct s3_xml_item *item)
{
	const char *name;
	int r;

	item->is_prefix = is(n, "CommonPrefixes");
	name = item->is_prefix ? "Prefix" : "Key";
	r = key_of(n, name, encoded, &item->key);
	/* Some stores say that they encode, and leave "100%" as it is. */
	if (r == -EBADMSG && encoded)
		r = key_of(n, name, false, &item->key);
	if (r < 0)
		return r;
	item->key_len = strlen(item->key);
	if (item->is_prefix)
		return 0;
	/* A date or an ETag that is none is not told; HEAD may know. */
	if (time_of(n, "LastModified", &item->mtime_ns) < 0)
		item->mtime_ns = 0;
	if (s3_xml_etag_of(n, item->etag) < 0)
		item->etag[0] = '\0';
	item->cold = cold_of(n);
	return number(n, "Size", INT64_MAX, &item->size);
}

/* An item that cannot be read spoils none but itself. */
static int
add_item(const xmlNode *n, bool encoded, struct s3_xml_list *out)
{
	struct s3_xml_item *item = &out->items[out->count];
	int r = item_of(n, encoded, item);

	if (r == 0) {
		out->count++;
		return 0;
	}
	free(item->key);
	memset(item, 0, sizeof(*item));
	if (r == -EBADMSG) {
		out->skipped++;
		return 0;
	}
	return r;
}

static int
item_order(const void *a, const void *b)
{
	const struct s3_xml_item *x = a, *y = b;

	return strcmp(x->key, y->key);	/* bytes, as unsigned char */
}

static size_t
count_of(const xmlNode *root, const char *a, const char *b)
{
	size_t count = 0;

	for (const xmlNode *n = root->children; n != NULL; n = n->next)
		count += is(n, a) || (b != NULL && is(n, b));
	return count;
}

/* Are names of each kind told in the order of their bytes? */
static bool
in_order(const struct s3_xml_list *l)
{
	const char *last[2] = { "", "" };

	for (size_t i = 0; i < l->count; i++) {
		const char **before = &last[l->items[i].is_prefix];

		if (strcmp(l->items[i].key, *before) < 0)
			return false;
		*before = l->items[i].key;
	}
	return true;
}

/* NextMarker comes with a delimiter only, and encoded or not: the last item of
 * a page is as good, if it is last by its bytes as well. */
static int
next_marker(const xmlNode *root, bool encoded, struct s3_xml_list *out)
{
	bool ordered = in_order(out);
	const char *last;

	if (out->count == 0)
		return -EBADMSG;
	last = out->items[out->count - 1].key;
	if (!ordered && key_of(root, "NextMarker", encoded, &out->next) == 0)
		return 0;
	for (size_t i = 0; ordered && i < out->count; i++) {
		if (strcmp(out->items[i].key, last) > 0)
			last = out->items[i].key;
	}
	out->next = strdup(last);
	return out->next != NULL ? 0 : -ENOMEM;
}

int
s3_xml_list(const char *xml, size_t len, struct s3_xml_list *out)
{
	CLEANUP_DOC xmlDocPtr doc = s3_xml_parse(xml, len);
	const xmlNode *root;
	size_t count;
	bool encoded;
	int r;

	memset(out, 0, sizeof(*out));
	if (doc == NULL)
		return -EBADMSG;
	root = xmlDocGetRootElement(doc);
	count = count_of(root, "Contents", "CommonPrefixes");
	if (!is(root, "ListBucketResult") || count > ITEMS_MAX)
		return -EBADMSG;
	encoded = is_encoded(root);
	r = boolean(root, "IsTruncated", &out->truncated);
	out->items = calloc(count + 1, sizeof(*out->items));
	if (out->items == NULL)
		r = -ENOMEM;
	for (const xmlNode *n = root->children; r == 0 && n; n = n->next) {
		if (is(n, "Contents") || is(n, "CommonPrefixes"))
			r = add_item(n, encoded, out);
	}
	if (r == 0 && out->truncated) {
		CLEANUP_TEXT xmlChar *t =
			s3_xml_text(root, "NextContinuationToken");

		/* Only version 1 of the call has markers. */
		out->v1 = t == NULL && child(root, "Marker") != NULL;
		if (!out->v1 && (t == NULL || *t == '\0'))
			r = -EBADMSG;
		else if (!out->v1 && (out->next = strdup((char *)t)) == NULL)
			r = -ENOMEM;
	}
	if (r == 0 && out->v1)
		r = next_marker(root, encoded, out);
	if (r == 0)
		qsort(out->items, out->count, sizeof(*out->items),
		      item_order);
	if (r < 0)
		s3_xml_list_fini(out);
	return r;
}

void
s3_xml_list_fini(struct s3_xml_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i].key);
	free(list->items);
	free(list->next);
	memset(list, 0, sizeof(*list));
}

/*
 * radosgw 16 encodes the keys of uploads without saying so.  Text in which
 * every byte that an encoder would have replaced is absent is taken as
 * encoded; of stores that ignore encoding-type it misreads only keys that
 * look like "a%20b" themselves, and only where all of the page do.
 */
static bool
looks_encoded(const xmlNode *root)
{
	for (const xmlNode *n = root->children; n != NULL; n = n->next) {
		CLEANUP_TEXT xmlChar *t = is(n, "Upload") ?
			s3_xml_text(n, "Key") : NULL;

		for (const char *p = (char *)t; p != NULL && *p != '\0'; p++) {
			if (*p == '%' && hex(p[1]) >= 0 && hex(p[2]) >= 0)
				continue;
			if ((*p < 'A' || *p > 'Z') && (*p < 'a' || *p > 'z') &&
			    (*p < '0' || *p > '9') && !strchr("-._~/", *p))
				return false;
		}
	}
	return true;
}

static int
upload_of(const xmlNode *n, bool encoded, struct s3_xml_upload *item)
{
	CLEANUP_TEXT xmlChar *id = s3_xml_text(n, "UploadId");
	int r = key_of(n, "Key", encoded, &item->key);

	if (r < 0)
		return r;
	if (id == NULL || *id == '\0')
		return -EBADMSG;
	item->upload_id = strdup((const char *)id);
	if (item->upload_id == NULL)
		return -ENOMEM;
	return time_of(n, "Initiated", &item->initiated_ns);
}

int
s3_xml_uploads(const char *xml, size_t len, struct s3_xml_uploads *out)
{
	CLEANUP_DOC xmlDocPtr doc = s3_xml_parse(xml, len);
	const xmlNode *root;
	size_t count;
	bool encoded;
	int r;

	memset(out, 0, sizeof(*out));
	if (doc == NULL)
		return -EBADMSG;
	root = xmlDocGetRootElement(doc);
	count = count_of(root, "Upload", NULL);
	if (!is(root, "ListMultipartUploadsResult") || count > ITEMS_MAX)
		return -EBADMSG;
	encoded = is_encoded(root) || looks_encoded(root);
	r = boolean(root, "IsTruncated", &out->truncated);
	out->items = calloc(count + 1, sizeof(*out->items));
	if (out->items == NULL)
		r = -ENOMEM;
	for (const xmlNode *n = root->children; r == 0 && n; n = n->next)
		if (is(n, "Upload"))
			r = upload_of(n, encoded, &out->items[out->count++]);
	/* The markers are the last item's; radosgw encodes only the item's. */
	if (r == 0 && out->truncated && out->count == 0)
		r = -EBADMSG;
	if (r == 0 && out->truncated) {
		const struct s3_xml_upload *last = &out->items[out->count - 1];

		out->next_key = strdup(last->key);
		out->next_upload_id = strdup(last->upload_id);
		if (out->next_key == NULL || out->next_upload_id == NULL)
			r = -ENOMEM;
	}
	if (r < 0)
		s3_xml_uploads_fini(out);
	return r;
}

void
s3_xml_uploads_fini(struct s3_xml_uploads *uploads)
{
	for (size_t i = 0; i < uploads->count; i++) {
		free(uploads->items[i].key);
		free(uploads->items[i].upload_id);
	}
	free(uploads->items);
	free(uploads->next_key);
	free(uploads->next_upload_id);
	memset(uploads, 0, sizeof(*uploads));
}

int
s3_xml_parts(const char *xml, size_t len, struct s3_xml_parts *out)
{
	CLEANUP_DOC xmlDocPtr doc = s3_xml_parse(xml, len);
	const xmlNode *root;
	uint64_t n = 0;
	size_t count;
	int r;

	memset(out, 0, sizeof(*out));
	if (doc == NULL)
		return -EBADMSG;
	root = xmlDocGetRootElement(doc);
	count = count_of(root, "Part", NULL);
	if (!is(root, "ListPartsResult") || count > S3_PARTS_MAX)
		return -EBADMSG;
	r = boolean(root, "IsTruncated", &out->truncated);
	out->parts = calloc(count + 1, sizeof(*out->parts));
	if (out->parts == NULL)
		r = -ENOMEM;
	for (const xmlNode *p = root->children; r == 0 && p; p = p->next) {
		struct s3_part *part = &out->parts[out->count];

		if (!is(p, "Part"))
			continue;
		out->count++;
		r = number(p, "PartNumber", S3_PARTS_MAX, &n);
		part->number = (unsigned)n;
		if (r == 0)
			r = number(p, "Size", INT64_MAX, &part->size);
		if (r == 0)
			r = s3_xml_etag_of(p, part->etag);
		if (r == 0 && (part->number == 0 || part->etag[0] == '\0'))
			r = -EBADMSG;
	}
	if (r == 0 && out->truncated) {
		r = number(root, "NextPartNumberMarker", S3_PARTS_MAX, &n);
		out->next = (unsigned)n;
	}
	if (r < 0) {
		free(out->parts);
		memset(out, 0, sizeof(*out));
	}
	return r;
}
