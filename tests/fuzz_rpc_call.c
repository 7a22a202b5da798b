/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes of a TCP connection: record marking as they come in pieces, the header
 * of each call, and its arguments with the codec of the procedure named (NFS,
 * MOUNT, portmapper).  The first byte says how long the pieces are; if its top
 * bit is set the rest is one call without record marking.
 */
#include <config.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/rpc/inside.h"
#include "rpcgen/mount.h"
#include "rpcgen/nfs3.h"
#include "rpcgen/pmap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CODEC(type) { (xdrproc_t)xdr_##type, sizeof(type) }
struct codec {
	xdrproc_t xdr;
	size_t size;
};

static const struct codec nfs3[] = {
	[1] = CODEC(GETATTR3args), CODEC(SETATTR3args), CODEC(LOOKUP3args),
	CODEC(ACCESS3args), CODEC(READLINK3args), CODEC(READ3args),
	CODEC(WRITE3args), CODEC(CREATE3args), CODEC(MKDIR3args),
	CODEC(SYMLINK3args), CODEC(MKNOD3args), CODEC(REMOVE3args),
	CODEC(RMDIR3args), CODEC(RENAME3args), CODEC(LINK3args),
	CODEC(READDIR3args), CODEC(READDIRPLUS3args), CODEC(FSSTAT3args),
	CODEC(FSINFO3args), CODEC(PATHCONF3args), CODEC(COMMIT3args),
	/* What our client decodes. */
	CODEC(READDIR3res), CODEC(READDIRPLUS3res), CODEC(READ3res),
	CODEC(GETATTR3res), CODEC(CREATE3res), CODEC(RENAME3res),
};
static const struct codec mount[] = { [1] = CODEC(dirpath),
				      CODEC(mountlist), CODEC(dirpath),
				      CODEC(mountres3), CODEC(exportlist) };
static const struct codec pmap[] = { [1] = CODEC(pmap2_mapping),
				     CODEC(pmap2_mapping),
				     CODEC(pmap2_mapping),
				     CODEC(pmap2_list),
				     CODEC(rpcb3_mapping),
				     CODEC(rpcb3_list), CODEC(rpcb3_string),
				     CODEC(rpcb3_netbuf), CODEC(rpcb4_list) };
#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static const struct codec *
find(const struct rpc_request *rq)
{
	const struct codec *all = nfs3;
	size_t count = COUNT(nfs3);

	if (rq->program == MOUNT_PROGRAM) {
		all = mount;
		count = COUNT(mount);
	} else if (rq->program == PMAP2_PROGRAM) {
		all = pmap;
		count = COUNT(pmap);
	}
	return rq->procedure < count && all[rq->procedure].xdr != NULL ?
	       &all[rq->procedure] : NULL;
}

static void
one_call(unsigned char *data, uint32_t len)
{
	struct rpc_request rq;
	const struct codec *codec;
	unsigned char reply[RPC_REPLY_HEADER_MAX];
	uint32_t args_at = 0;
	void *args;
	XDR xdrs;

	memset(&rq, 0, sizeof(rq));
	if (rpc_message_decode(data, len, &rq, &args_at) != RPC_CALL_GOOD) {
		if (rpc_message_reply(reply, rq.xid, RPC_REPLY_BADCRED, 0, 0) >
		    sizeof(reply))
			abort();
		return;
	}
	if (args_at > len || strlen(rq.cred.machine) > 255 ||
	    rq.cred.group_count > RPC_GROUPS_MAX)
		abort();
	codec = find(&rq);
	if (codec == NULL || (args = calloc(1, codec->size)) == NULL)
		return;
	xdrmem_create(&xdrs, (char *)data + args_at, len - args_at,
		      XDR_DECODE);
	(void)codec->xdr(&xdrs, args);
	xdr_free(codec->xdr, args);
	free(args);
}

static void
stream(struct rpc_pool *pool, const uint8_t *data, size_t size, size_t piece)
{
	struct rpc_record record = { 0 };
	unsigned char *scratch = aligned_alloc(64, RPC_SCRATCH_BYTES);
	int r = 0;

	while (scratch != NULL && size > 0 && r >= 0) {
		size_t len = size < piece ? size : piece;
		struct rpc_bytes in = { scratch, len };

		memcpy(scratch, data, len);
		data += len;
		size -= len;
		while (in.len > 0 && r >= 0) {
			struct rpc_payload payload;
			size_t before = in.len;

			r = rpc_record_take(&record, pool, UINT64_MAX, &in,
					    &payload);
			if (r == 1) {
				if (payload.len > 0)
					one_call(payload.data, payload.len);
				rpc_buffer_put(&payload.buffer);
			}
			if (r >= 0 && in.len == before)
				abort();
		}
	}
	rpc_record_fini(&record);
	free(scratch);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rpc_pool pool;

	if (size < 2)
		return 0;
	rpc_pool_init(&pool, 64 << 20);
	if (data[0] & 0x80) {
		unsigned char *copy = malloc(size - 1);

		if (copy != NULL) {
			memcpy(copy, data + 1, size - 1);
			one_call(copy, (uint32_t)size - 1);
		}
		free(copy);
	} else {
		stream(&pool, data + 1, size - 1, (size_t)(data[0] & 0x7f) * 8
		       + 1);
	}
	rpc_pool_fini(&pool);
	return 0;
}
