/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store's XML, read with libxml2.  A reply is foreign: its size is
 * bounded before it comes here, documents with a DTD are refused (so there
 * are no entities to expand), nothing is fetched, libxml2's own limits stay
 * on, and every number and name is checked.  What is not understood is
 * -EBADMSG, but for single items of a listing, which are counted and left
 * out; above all, a listing that does not say whether it was truncated is
 * refused, for a part must never pass for the whole.
 *
 * Elements are matched by local name: AWS uses a namespace, others do not.
 *
 * Keys may hold bytes that XML 1.0 cannot carry.  encoding-type=url is the
 * remedy, but radosgw leaves markers and tokens raw ("&#x01;").  A reply that
 * does not parse is read once more with each such byte mapped to a character
 * of the last private plane, and back when text is taken out.
 */
#include <config.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <libxml/parser.h>
#include <libxml/tree.h>
#include "s3/remote.h"

#define NS 1000000000LL
#define XML_TAGS_MAX 16384	/* S3 allows 10 tags, 100 grants */
#define ITEMS_MAX 10000		/* in one reply; S3 gives 1000 */

static void
doc_free(xmlDocPtr *doc)
{
	if (*doc != NULL)
		xmlFreeDoc(*doc);
}
#define CLEANUP_DOC __attribute__((cleanup(doc_free)))

static void
text_free(xmlChar **text)
{
	if (*text != NULL)
		xmlFree(*text);
}
#define CLEANUP_TEXT __attribute__((cleanup(text_free)))

static const int parse_options = XML_PARSE_NONET | XML_PARSE_NOERROR |
				 XML_PARSE_NOWARNING | XML_PARSE_NOCDATA;

/* U+10FF00 + byte: F4 8F BC 80 to F4 8F BF BF. */
#define PLANE "\xf4\x8f"

static void
add_mapped(struct s3_buf *b, unsigned char byte)
{
	char mapped[4] = PLANE;

	mapped[2] = (char)(0xbc | byte >> 6);
	mapped[3] = (char)(0x80 | (byte & 63));
	s3_buf_add(b, mapped, 4);
}

/* Length of "&#x1;" or "&#1;" for a control character, else 0. */
static size_t
control_reference(const char *p, size_t len, unsigned char *byte)
{
	char text[12], *digits = text + 2, *end;
	unsigned long code;

	if (len < 4 || p[0] != '&' || p[1] != '#')
		return 0;
	if (len >= sizeof(text))
		len = sizeof(text) - 1;
	memcpy(text, p, len);
	text[len] = '\0';
	if (*digits == 'x')
		digits++;
	code = strtoul(digits, &end, digits > text + 2 ? 16 : 10);
	if (end == digits || *end != ';' || code == 0 || code >= 32 ||
	    code == '\t' || code == '\n' || code == '\r')
		return 0;
	*byte = (unsigned char)code;
	return (size_t)(end - text) + 1;
}

static xmlDocPtr
parse_mapped(const char *xml, size_t len)
{
	CLEANUP_BUF struct s3_buf b = { .max = 4UL * S3_REPLY_MAX };
	xmlDocPtr doc;

	if (memmem(xml, len, PLANE, 2) != NULL)
		return NULL;
	for (size_t i = 0; i < len; ) {
		unsigned char byte = (unsigned char)xml[i];
		size_t n = control_reference(xml + i, len - i, &byte);

		if (n > 0 || (byte < 32 && byte != '\t' && byte != '\n' &&
			      byte != '\r'))
			add_mapped(&b, byte);
		else if (len - i >= 3 && (memcmp(xml + i, "\xef\xbf\xbe", 3) ==
			 0 || memcmp(xml + i, "\xef\xbf\xbf", 3) == 0))
			for (n = 0; n < 3; n++)	/* U+FFFE, U+FFFF */
				add_mapped(&b, (unsigned char)xml[i + n]);
		else
			s3_buf_add(&b, xml + i, 1);
		i += n > 0 ? n : 1;
	}
	if (b.failed || b.len > INT32_MAX)
		return NULL;
	doc = xmlReadMemory(b.data, (int)b.len, NULL, NULL, parse_options);
	if (doc != NULL)
		doc->_private = doc;	/* text is mapped */
	return doc;
}

static void
map_back(char *s)
{
	char *o = s;

	while (*s != '\0') {
		if (strncmp(s, PLANE, 2) == 0 && (s[2] & 0xfc) == 0xbc) {
			*o++ = (char)((s[2] & 3) << 6 | (s[3] & 63));
			s += 4;
		} else {
			*o++ = *s++;
		}
	}
	*o = '\0';
}

static xmlDocPtr
parse(const char *xml, size_t len)
{
	xmlDocPtr doc;

	/* Stores send blanks to keep the line open during a long Complete. */
	while (len > 0 && strchr(" \t\r\n", *xml) != NULL && *xml != '\0') {
		xml++;
		len--;
	}
	if (len == 0 || len > S3_REPLY_MAX ||
	    memmem(xml, len, "<!DOCTYPE", 9) != NULL)
		return NULL;
	doc = xmlReadMemory(xml, (int)len, NULL, NULL, parse_options);
	if (doc == NULL)
		doc = parse_mapped(xml, len);
	if (doc != NULL && (doc->intSubset != NULL || doc->extSubset != NULL ||
			    xmlDocGetRootElement(doc) == NULL)) {
		xmlFreeDoc(doc);
		return NULL;
	}
	return doc;
}

static bool
is(const xmlNode *node, const char *name)
{
	return node->type == XML_ELEMENT_NODE &&
	       strcmp((const char *)node->name, name) == 0;
}

static xmlNode *
child(const xmlNode *node, const char *name)
{
	for (xmlNode *n = node->children; n != NULL; n = n->next)
		if (is(n, name))
			return n;
	return NULL;
}

/* The text of an element, "" if it is empty; NULL: not there, no memory. */
static xmlChar *
text(const xmlNode *node, const char *name)
{
	xmlNode *n = child(node, name);
	xmlChar *t = n != NULL ? xmlNodeGetContent(n) : NULL;

	if (t != NULL && node->doc->_private != NULL)
		map_back((char *)t);
	return t;
}

static void
copy_cut(char *to, size_t size, const xmlChar *from)
{
	size_t len = from != NULL ? strlen((const char *)from) : 0;

	if (len >= size)
		len = size - 1;
	if (len > 0)
		memcpy(to, from, len);
	to[len] = '\0';
}

static int
number(const xmlNode *node, const char *name, uint64_t max, uint64_t *out)
{
	CLEANUP_TEXT xmlChar *t = text(node, name);
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
	CLEANUP_TEXT xmlChar *t = text(node, name);

	if (t == NULL)
		return -EBADMSG;
	*out = strcasecmp((const char *)t, "true") == 0;
	return *out || strcasecmp((const char *)t, "false") == 0 ? 0
								 : -EBADMSG;
}

static int
etag_of(const xmlNode *node, char etag[S3_ETAG_MAX])
{
	CLEANUP_TEXT xmlChar *t = text(node, "ETag");

	etag[0] = '\0';
	return t != NULL ? s3_etag_copy((const char *)t, etag) : 0;
}

static int
time_of(const xmlNode *node, const char *name, int64_t *out)
{
	CLEANUP_TEXT xmlChar *t = text(node, name);
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
	CLEANUP_TEXT xmlChar *t = text(node, name);
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
	CLEANUP_TEXT xmlChar *t = text(root, "EncodingType");

	return t != NULL && strcmp((const char *)t, "url") == 0;
}

int
s3_xml_error(const char *xml, size_t len, struct s3_xml_error *out)
{
	CLEANUP_DOC xmlDocPtr doc = parse(xml, len);
	const xmlNode *root;
	struct {
		const char *name;
		char *to;
		size_t size;
	} const fields[] = {
		{ "Code", out->code, sizeof(out->code) },
		{ "Message", out->message, sizeof(out->message) },
		{ "RequestId", out->request_id, sizeof(out->request_id) },
		{ "Region", out->region, sizeof(out->region) },
		{ "Endpoint", out->endpoint, sizeof(out->endpoint) },
	};

	memset(out, 0, sizeof(*out));
	if (doc == NULL)
		return -EBADMSG;
	root = xmlDocGetRootElement(doc);
	if (is(root, "ErrorResponse"))	/* STS wraps it */
		root = child(root, "Error");
	if (root == NULL || !is(root, "Error"))
		return -ENOENT;
	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
		CLEANUP_TEXT xmlChar *t = text(root, fields[i].name);

		copy_cut(fields[i].to, fields[i].size, t);
	}
	return 0;
}

static enum s3_cold
cold_of(const xmlNode *n)
{
	CLEANUP_TEXT xmlChar *t = text(n, "StorageClass");

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
	if (etag_of(n, item->etag) < 0)
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
	CLEANUP_DOC xmlDocPtr doc = parse(xml, len);
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
		CLEANUP_TEXT xmlChar *t = text(root, "NextContinuationToken");

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
		CLEANUP_TEXT xmlChar *t = is(n, "Upload") ? text(n, "Key") :
					  NULL;

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
	CLEANUP_TEXT xmlChar *id = text(n, "UploadId");
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
	CLEANUP_DOC xmlDocPtr doc = parse(xml, len);
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
	CLEANUP_DOC xmlDocPtr doc = parse(xml, len);
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
			r = etag_of(p, part->etag);
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

int
s3_xml_etag(const char *xml, size_t len, char etag[S3_ETAG_MAX])
{
	CLEANUP_DOC xmlDocPtr doc = parse(xml, len);
	const xmlNode *root;

	if (doc == NULL)
		return -EBADMSG;
	root = xmlDocGetRootElement(doc);
	if (!is(root, "CopyObjectResult") && !is(root, "CopyPartResult") &&
	    !is(root, "CompleteMultipartUploadResult"))
		return -EBADMSG;
	return etag_of(root, etag);
}

int
s3_xml_tags(const char *xml, size_t len, char **tags)
{
	CLEANUP_DOC xmlDocPtr doc = parse(xml, len);
	CLEANUP_BUF struct s3_buf b = {0};
	const xmlNode *root, *set;

	if (len == 0) {		/* S3Mock, of an object without tags */
		*tags = strdup("");
		return *tags != NULL ? 0 : -ENOMEM;
	}
	root = doc != NULL ? xmlDocGetRootElement(doc) : NULL;
	set = root != NULL && is(root, "Tagging") ? child(root, "TagSet") :
						     NULL;
	if (set == NULL)
		return -EBADMSG;
	for (const xmlNode *n = set->children; n != NULL; n = n->next) {
		CLEANUP_TEXT xmlChar *key = is(n, "Tag") ? text(n, "Key") :
							   NULL;
		CLEANUP_TEXT xmlChar *value = is(n, "Tag") ? text(n, "Value") :
							     NULL;

		if (!is(n, "Tag"))
			continue;
		if (key == NULL || *key == '\0' || b.len > XML_TAGS_MAX)
			return -EBADMSG;
		s3_buf_str(&b, b.len > 0 ? "&" : "");
		s3_buf_uri(&b, (const char *)key, false);
		s3_buf_str(&b, "=");
		s3_buf_uri(&b, value != NULL ? (const char *)value : "",
			   false);
	}
	s3_buf_str(&b, "");
	*tags = b.len > 0 ? s3_buf_take(&b) : strdup("");
	return *tags != NULL ? 0 : -ENOMEM;
}

static const char *
grant_header(const char *permission)
{
	static const char *const names[][2] = {
		{ "FULL_CONTROL", "x-amz-grant-full-control" },
		{ "READ", "x-amz-grant-read" },
		{ "READ_ACP", "x-amz-grant-read-acp" },
		{ "WRITE", "x-amz-grant-write" },
		{ "WRITE_ACP", "x-amz-grant-write-acp" },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strcmp(permission, names[i][0]) == 0)
			return names[i][1];
	return NULL;
}

/* `id="..."` behind what the header has already. */
static int
add_grant(struct s3_headers *out, const char *header, const char *kind,
	  const char *who)
{
	const char *before = s3_headers_get(out, header);
	CLEANUP_BUF struct s3_buf b = {0};

	if (strpbrk(who, "\"\\") != NULL ||
	    (before != NULL && strlen(before) > XML_TAGS_MAX))
		return -EBADMSG;
	s3_buf_fmt(&b, "%s%s%s=\"%s\"", before != NULL ? before : "",
		   before != NULL ? ", " : "", kind, who);
	return b.failed ? -ENOMEM : s3_headers_set(out, header, b.data);
}

/*
 * 1: somebody other than the owner, or less than all.  MinIO names neither
 * the owner nor the grantee, who is the owner then.
 */
static int
grant_of(const xmlNode *n, const char *owner, struct s3_headers *out)
{
	const xmlNode *grantee = child(n, "Grantee");
	CLEANUP_TEXT xmlChar *permission = text(n, "Permission");
	CLEANUP_TEXT xmlChar *id = grantee ? text(grantee, "ID") : NULL;
	CLEANUP_TEXT xmlChar *uri = grantee ? text(grantee, "URI") : NULL;
	CLEANUP_TEXT xmlChar *mail = grantee ?
		text(grantee, "EmailAddress") : NULL;
	const char *header = permission != NULL ?
		grant_header((const char *)permission) : NULL;
	int r = -EBADMSG;

	if (header == NULL)
		return r;
	if (id != NULL && *id != '\0')
		r = add_grant(out, header, "id", (const char *)id);
	else if (uri != NULL && *uri != '\0')
		r = add_grant(out, header, "uri", (const char *)uri);
	else if (mail != NULL && *mail != '\0')
		r = add_grant(out, header, "emailAddress", (const char *)mail);
	else if (*owner == '\0' && strcmp((const char *)permission,
					  "FULL_CONTROL") == 0)
		return 0;
	if (r < 0)
		return r;
	return id == NULL || strcmp((const char *)id, owner) != 0 ||
	       strcmp((const char *)permission, "FULL_CONTROL") != 0;
}

int
s3_xml_grants(const char *xml, size_t len, struct s3_headers *out)
{
	CLEANUP_DOC xmlDocPtr doc = parse(xml, len);
	const xmlNode *root = doc != NULL ? xmlDocGetRootElement(doc) : NULL;
	const xmlNode *owner, *list;
	struct s3_headers found = {0};
	bool other = false;
	int r = 0;

	if (root == NULL || !is(root, "AccessControlPolicy"))
		return -EBADMSG;
	owner = child(root, "Owner");
	list = child(root, "AccessControlList");
	CLEANUP_TEXT xmlChar *id = owner != NULL ? text(owner, "ID") : NULL;

	if (list == NULL || id == NULL)
		return -EBADMSG;
	for (const xmlNode *n = list->children; r >= 0 && n; n = n->next) {
		r = is(n, "Grant") ? grant_of(n, (const char *)id, &found) : 0;
		other |= r > 0;
	}
	for (size_t i = 0; other && r >= 0 && i < found.count; i++)
		r = s3_headers_set(out, found.list[i].name,
				   found.list[i].value);
	s3_headers_free(&found);
	return r < 0 ? r : 0;
}

int
s3_xml_upload_id(const char *xml, size_t len, char **upload_id)
{
	CLEANUP_DOC xmlDocPtr doc = parse(xml, len);
	const xmlNode *root;

	if (doc == NULL)
		return -EBADMSG;
	root = xmlDocGetRootElement(doc);
	CLEANUP_TEXT xmlChar *t = text(root, "UploadId");

	/* gofakes3 leaves "Result" off. */
	if ((!is(root, "InitiateMultipartUploadResult") &&
	     !is(root, "InitiateMultipartUpload")) || t == NULL || *t == '\0')
		return -EBADMSG;
	*upload_id = strdup((const char *)t);
	return *upload_id != NULL ? 0 : -ENOMEM;
}

/* STS API: AssumeRole[WithWebIdentity]Response/...Result/Credentials */
int
s3_xml_sts(const char *xml, size_t len, struct s3_keys *out)
{
	CLEANUP_DOC xmlDocPtr doc = parse(xml, len);
	const xmlNode *n;

	memset(out, 0, sizeof(*out));
	if (doc == NULL)
		return -EBADMSG;
	n = child(xmlDocGetRootElement(doc), "AssumeRoleWithWebIdentityResult");
	if (n == NULL)
		n = child(xmlDocGetRootElement(doc), "AssumeRoleResult");
	n = n != NULL ? child(n, "Credentials") : NULL;
	if (n == NULL)
		return -EBADMSG;
	CLEANUP_TEXT xmlChar *access = text(n, "AccessKeyId");
	CLEANUP_TEXT xmlChar *secret = text(n, "SecretAccessKey");
	CLEANUP_TEXT xmlChar *token = text(n, "SessionToken");
	CLEANUP_TEXT xmlChar *until = text(n, "Expiration");

	if (access == NULL || secret == NULL || token == NULL || until == NULL)
		return -EBADMSG;
	out->expires_s = s3_date_iso((const char *)until);
	out->access = strdup((const char *)access);
	out->secret = strdup((const char *)secret);
	out->token = strdup((const char *)token);
	if (out->access && out->secret && out->token && out->expires_s > 0)
		return 0;
	s3_keys_fini(out);
	return -EBADMSG;
}
