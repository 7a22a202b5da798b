/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Record marking (RFC 5531 11): a record is a sequence of fragments, each
 * behind a word with its length and, in the top bit, whether it is the last.
 *
 * Most records are one fragment that lies whole in what was received; they
 * are used where they lie.  Others are put together in a pooled buffer, which
 * is made as large as the fragments announced so far, and into which later
 * bytes are received directly.  Lengths are checked when they are announced,
 * not when the bytes come.
 */
#include <config.h>

#include <errno.h>
#include <string.h>

#include "nfsd/rpc/inside.h"

bool
rpc_record_partial(const struct rpc_record *record)
{
	return record->in_fragment || record->marker_got > 0 ||
	       record->fragments > 0 || record->empties > 0;
}

void
rpc_record_fini(struct rpc_record *record)
{
	rpc_buffer_put(&record->buffer);
	*record = (struct rpc_record){ 0 };
}

/* A marker is here: may what it announces come? */
static int
begin_fragment(struct rpc_record *record)
{
	uint32_t len = record->marker & 0x7fffffffU;

	record->last = (record->marker & 0x80000000U) != 0;
	record->marker_got = 0;
	if (len > RPC_RECORD_MAX - record->got)
		return -EMSGSIZE;
	if (len == 0 && ++record->empties > RPC_EMPTY_FRAGMENTS_MAX)
		return -EPROTO;
	if (len > 0 && ++record->fragments > RPC_FRAGMENTS_MAX)
		return -EPROTO;
	record->left = len;
	record->in_fragment = true;
	return 0;
}

/* Room for the current fragment behind what is there. */
static int
make_room(struct rpc_record *record, struct rpc_pool *pool,
	  uint64_t allowance)
{
	uint32_t need = record->got + record->left;
	struct rpc_buffer *bigger;

	record->wanted = 0;
	if (record->buffer != NULL && record->buffer->size >= need)
		return 0;
	/* More fragments will come: do not copy for each of them. */
	if (!record->last && need < RPC_RECORD_MAX / 2)
		need *= 2;
	if (need > RPC_SMALL - sizeof(struct rpc_buffer) &&
	    need > allowance) {
		record->wanted = need;
		return -EAGAIN;
	}
	bigger = rpc_buffer_get(pool, need);
	if (bigger == NULL)
		return -ENOMEM;
	if (record->buffer != NULL)
		memcpy(bigger->data, record->buffer->data, record->got);
	rpc_buffer_put(&record->buffer);
	record->buffer = bigger;
	return 0;
}

/* The record is whole. */
static void
hand_over(struct rpc_record *record, struct rpc_payload *out)
{
	out->buffer = record->buffer;
	out->data = record->buffer == NULL ? NULL : record->buffer->data;
	out->len = record->got;
	*record = (struct rpc_record){ 0 };
}

unsigned char *
rpc_record_room(struct rpc_record *record, size_t *len)
{
	if (!record->in_fragment || record->left == 0 ||
	    record->buffer == NULL)
		return NULL;
	*len = record->left;
	return record->buffer->data + record->got;
}

int
rpc_record_filled(struct rpc_record *record, size_t len,
		  struct rpc_payload *out)
{
	record->got += (uint32_t)len;
	record->left -= (uint32_t)len;
	if (record->left > 0)
		return 0;
	record->in_fragment = false;
	if (!record->last)
		return 0;
	hand_over(record, out);
	return 1;
}

static void
took(struct rpc_bytes *in, size_t len)
{
	in->at += len;
	in->len -= len;
}

/* Bytes of the marker; 1: it is complete. */
static int
take_marker(struct rpc_record *record, struct rpc_bytes *in)
{
	while (record->marker_got < 4 && in->len > 0) {
		record->marker = record->marker << 8 | *in->at;
		record->marker_got++;
		took(in, 1);
	}
	return record->marker_got == 4;
}

int
rpc_record_take(struct rpc_record *record, struct rpc_pool *pool,
		uint64_t allowance, struct rpc_bytes *in,
		struct rpc_payload *out)
{
	for (;;) {
		size_t have;
		int r;

		if (!record->in_fragment) {
			if (!take_marker(record, in))
				return 0;
			r = begin_fragment(record);
			if (r < 0)
				return r;
		}
		have = in->len;
		if (record->last && record->got == 0 &&
		    record->buffer == NULL && have >= record->left &&
		    ((uintptr_t)in->at & 3) == 0) {
			out->data = in->at;
			out->len = record->left;
			out->buffer = NULL;
			took(in, record->left);
			*record = (struct rpc_record){ 0 };
			return 1;
		}
		r = make_room(record, pool, allowance);
		if (r < 0)
			return r;
		if (have > record->left)
			have = record->left;
		memcpy(record->buffer->data + record->got, in->at, have);
		took(in, have);
		if (rpc_record_filled(record, have, out))
			return 1;
		if (record->in_fragment)
			return 0;
	}
}
