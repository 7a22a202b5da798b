/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The codecs that rpcgen cannot write: names without NULs, bulk data in place,
 * and directory listings without recursion.  nfs3.x says what each does.  They
 * fail like rpcgen's own, by FALSE; what was decoded until then is freed by
 * XDR_FREE, which is idempotent here as it is there.
 */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "rpcgen/nfs3.h"

/* RFC 4506 4.10: padded to a multiple of four. */
static u_int
padded(u_int len)
{
	return (len + 3) & ~3U;
}

/* A string without a NUL inside.  libtirpc's xdr_string would take "a\0b" for
 * "a". */
static bool_t
text(XDR *xdrs, char **value)
{
	u_int len = 0;

	if (xdrs->x_op != XDR_DECODE)
		return (xdrs->x_op == XDR_FREE && *value == NULL) ||
		       xdr_string(xdrs, value, NFS3_STRING_MAX);
	if (!xdr_u_int(xdrs, &len) || len > NFS3_STRING_MAX)
		return FALSE;
	*value = malloc((size_t)len + 1);
	if (*value == NULL)
		return FALSE;
	/* XDR_FREE looks for the end, also of one that was cut off here. */
	memset(*value, 0, (size_t)len + 1);
	if (!xdr_opaque(xdrs, *value, len))
		return FALSE;
	return memchr(*value, '\0', len) == NULL;
}

bool_t
xdr_filename3(XDR *xdrs, filename3 *name)
{
	return text(xdrs, name);
}

bool_t
xdr_nfspath3(XDR *xdrs, nfspath3 *path)
{
	return text(xdrs, path);
}

bool_t
xdr_nfsdata3(XDR *xdrs, nfsdata3 *data)
{
	if (xdrs->x_op == XDR_FREE)
		return TRUE;
	if (xdrs->x_op == XDR_ENCODE) {
		if (data->nfsdata3_len > NFS3_DATA_MAX ||
		    !xdr_u_int(xdrs, &data->nfsdata3_len))
			return FALSE;
		return data->nfsdata3_val == NULL ||
		       xdr_opaque(xdrs, data->nfsdata3_val,
				  data->nfsdata3_len);
	}
	if (!xdr_u_int(xdrs, &data->nfsdata3_len) ||
	    data->nfsdata3_len > NFS3_DATA_MAX)
		return FALSE;
	/* XDR_INLINE checks that so many bytes are there. */
	data->nfsdata3_val = (char *)XDR_INLINE(xdrs,
						padded(data->nfsdata3_len));
	return data->nfsdata3_val != NULL || data->nfsdata3_len == 0;
}

static bool_t
entry3_body(XDR *xdrs, entry3 *entry)
{
	return xdr_fileid3(xdrs, &entry->fileid) &&
	       xdr_filename3(xdrs, &entry->name) &&
	       xdr_cookie3(xdrs, &entry->cookie);
}

static bool_t
entryplus3_body(XDR *xdrs, entryplus3 *entry)
{
	return xdr_fileid3(xdrs, &entry->fileid) &&
	       xdr_filename3(xdrs, &entry->name) &&
	       xdr_cookie3(xdrs, &entry->cookie) &&
	       xdr_post_op_attr(xdrs, &entry->name_attributes) &&
	       xdr_post_op_fh3(xdrs, &entry->name_handle);
}

bool_t
xdr_entry3_list(XDR *xdrs, entry3_list *list)
{
	entry3 **at = list;

	while (xdrs->x_op == XDR_FREE && *list != NULL) {
		entry3 *next = (*list)->nextentry;

		entry3_body(xdrs, *list);
		free(*list);
		*list = next;
	}
	if (xdrs->x_op == XDR_FREE)
		return TRUE;
	for (;;) {
		bool_t follows = xdrs->x_op == XDR_ENCODE && *at != NULL;

		if (!xdr_bool(xdrs, &follows))
			return FALSE;
		if (!follows)
			return TRUE;
		if (xdrs->x_op == XDR_DECODE &&
		    (*at = calloc(1, sizeof(**at))) == NULL)
			return FALSE;
		if (!entry3_body(xdrs, *at))
			return FALSE;
		at = &(*at)->nextentry;
	}
}

bool_t
xdr_entryplus3_list(XDR *xdrs, entryplus3_list *list)
{
	entryplus3 **at = list;

	while (xdrs->x_op == XDR_FREE && *list != NULL) {
		entryplus3 *next = (*list)->nextentry;

		entryplus3_body(xdrs, *list);
		free(*list);
		*list = next;
	}
	if (xdrs->x_op == XDR_FREE)
		return TRUE;
	for (;;) {
		bool_t follows = xdrs->x_op == XDR_ENCODE && *at != NULL;

		if (!xdr_bool(xdrs, &follows))
			return FALSE;
		if (!follows)
			return TRUE;
		if (xdrs->x_op == XDR_DECODE &&
		    (*at = calloc(1, sizeof(**at))) == NULL)
			return FALSE;
		if (!entryplus3_body(xdrs, *at))
			return FALSE;
		at = &(*at)->nextentry;
	}
}
