/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store's XML, read with libxml2.  A reply is foreign: its size is
 * bounded before it comes here, documents with a DTD are refused (so there
 * are no entities to expand), nothing is fetched, libxml2's own limits stay
 * on, and every number and name is checked.  What is not understood is
 * -EBADMSG.  Documents that list something: xml_list.c.
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
#include <libxml/parser.h>
#include "s3/xml_priv.h"

#define XML_TAGS_MAX 16384	/* S3 allows 10 tags, 100 grants */

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

xmlDocPtr
s3_xml_parse(const char *xml, size_t len)
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

xmlChar *
s3_xml_text(const xmlNode *node, const char *name)
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

int
s3_xml_etag_of(const xmlNode *node, char etag[S3_ETAG_MAX])
{
	CLEANUP_TEXT xmlChar *t = s3_xml_text(node, "ETag");

	etag[0] = '\0';
	return t != NULL ? s3_etag_copy((const char *)t, etag) : 0;
}

int
s3_xml_error(const char *xml, size_t len, struct s3_xml_error *out)
{
	CLEANUP_DOC xmlDocPtr doc = s3_xml_parse(xml, len);
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
		CLEANUP_TEXT xmlChar *t = s3_xml_text(root, fields[i].name);

		copy_cut(fields[i].to, fields[i].size, t);
	}
	return 0;
}

int
s3_xml_etag(const char *xml, size_t len, char etag[S3_ETAG_MAX])
{
	CLEANUP_DOC xmlDocPtr doc = s3_xml_parse(xml, len);
	const xmlNode *root;

	if (doc == NULL)
		return -EBADMSG;
	root = xmlDocGetRootElement(doc);
	if (!is(root, "CopyObjectResult") && !is(root, "CopyPartResult") &&
	    !is(root, "CompleteMultipartUploadResult"))
		return -EBADMSG;
	return s3_xml_etag_of(root, etag);
}

int
s3_xml_tags(const char *xml, size_t len, char **tags)
{
	CLEANUP_DOC xmlDocPtr doc = s3_xml_parse(xml, len);
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
		CLEANUP_TEXT xmlChar *key = is(n, "Tag") ?
			s3_xml_text(n, "Key") : NULL;
		CLEANUP_TEXT xmlChar *value = is(n, "Tag") ?
			s3_xml_text(n, "Value") : NULL;

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
	CLEANUP_TEXT xmlChar *permission = s3_xml_text(n, "Permission");
	CLEANUP_TEXT xmlChar *id = grantee ? s3_xml_text(grantee, "ID") : NULL;
	CLEANUP_TEXT xmlChar *uri = grantee ?
		s3_xml_text(grantee, "URI") : NULL;
	CLEANUP_TEXT xmlChar *mail = grantee ?
		s3_xml_text(grantee, "EmailAddress") : NULL;
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
	CLEANUP_DOC xmlDocPtr doc = s3_xml_parse(xml, len);
	const xmlNode *root = doc != NULL ? xmlDocGetRootElement(doc) : NULL;
	const xmlNode *owner, *list;
	struct s3_headers found = {0};
	bool other = false;
	int r = 0;

	if (root == NULL || !is(root, "AccessControlPolicy"))
		return -EBADMSG;
	owner = child(root, "Owner");
	list = child(root, "AccessControlList");
	CLEANUP_TEXT xmlChar *id = owner != NULL ?
		s3_xml_text(owner, "ID") : NULL;

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
	CLEANUP_DOC xmlDocPtr doc = s3_xml_parse(xml, len);
	const xmlNode *root;

	if (doc == NULL)
		return -EBADMSG;
	root = xmlDocGetRootElement(doc);
	CLEANUP_TEXT xmlChar *t = s3_xml_text(root, "UploadId");

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
	CLEANUP_DOC xmlDocPtr doc = s3_xml_parse(xml, len);
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
	CLEANUP_TEXT xmlChar *access = s3_xml_text(n, "AccessKeyId");
	CLEANUP_TEXT xmlChar *secret = s3_xml_text(n, "SecretAccessKey");
	CLEANUP_TEXT xmlChar *token = s3_xml_text(n, "SessionToken");
	CLEANUP_TEXT xmlChar *until = s3_xml_text(n, "Expiration");

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
