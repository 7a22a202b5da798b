/* SPDX-License-Identifier: Apache-2.0 */
#ifndef S3_XML_PRIV_H
#define S3_XML_PRIV_H

/*
 * The store's XML as elements and texts, for xml.c and xml_list.c alone.
 */

#include <string.h>
#include <libxml/tree.h>

#include "s3/remote.h"

static inline void
doc_free(xmlDocPtr *doc)
{
	if (*doc != NULL)
		xmlFreeDoc(*doc);
}
#define CLEANUP_DOC __attribute__((cleanup(doc_free)))

static inline void
text_free(xmlChar **text)
{
	if (*text != NULL)
		xmlFree(*text);
}
#define CLEANUP_TEXT __attribute__((cleanup(text_free)))

static inline bool
is(const xmlNode *node, const char *name)
{
	return node->type == XML_ELEMENT_NODE &&
	       strcmp((const char *)node->name, name) == 0;
}

/* The first of that name; NULL: there is none. */
static inline xmlNode *
child(const xmlNode *node, const char *name)
{
	for (xmlNode *n = node->children; n != NULL; n = n->next)
		if (is(n, name))
			return n;
	return NULL;
}

/* A document with a root element, without a DTD; NULL: it is none. */
xmlDocPtr s3_xml_parse(const char *xml, size_t len);
/* The text of an element, "" if it is empty; NULL: not there, no memory. */
xmlChar *s3_xml_text(const xmlNode *node, const char *name);
/* The ETag of an element, "" if it has none.  -EBADMSG: that is none. */
int s3_xml_etag_of(const xmlNode *node, char etag[S3_ETAG_MAX]);

#endif
