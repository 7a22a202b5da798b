/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Headers of calls and replies (RFC 5531 9), by hand: libtirpc's decoder
 * allocates, and gives up where we still owe the caller a reply.  Every length
 * is held against what is left before it is used.
 */
#include <config.h>

#include <string.h>

#include "nfsd/rpc/inside.h"

enum { CALL, REPLY };

/* What is left of a record, or of a credential in it. */
struct span {
	const unsigned char *at;
	uint32_t left;
};

static bool
take32(struct span *span, uint32_t *value)
{
	if (span->left < 4)
		return false;
	*value = rpc_get32(span->at);
	span->at += 4;
	span->left -= 4;
	return true;
}

/* opaque<max>: a length, bytes, padding. */
static bool
take_opaque(struct span *span, uint32_t max, struct span *body)
{
	uint32_t len, padded;

	if (!take32(span, &len) || len > max)
		return false;
	padded = (len + 3) & ~3U;
	if (span->left < padded)
		return false;
	*body = (struct span){ span->at, len };
	span->at += padded;
	span->left -= padded;
	return true;
}

/* RFC 5531 appendix A.  What follows the groups is ignored, as knfsd does. */
static bool
decode_auth_sys(struct span body, struct rpc_cred *cred)
{
	struct span machine;
	uint32_t stamp, count;

	if (!take32(&body, &stamp) || !take_opaque(&body, 255, &machine) ||
	    !take32(&body, &cred->uid) || !take32(&body, &cred->gid) ||
	    !take32(&body, &count) || count > RPC_GROUPS_MAX)
		return false;
	/* The name is half of an identity: no two may look the same. */
	if (memchr(machine.at, '\0', machine.left) != NULL)
		return false;
	for (uint32_t i = 0; i < count; i++)
		if (!take32(&body, &cred->groups[i]))
			return false;
	cred->group_count = count;
	memcpy(cred->machine, machine.at, machine.left);
	cred->machine[machine.left] = '\0';
	return true;
}

enum rpc_verdict
rpc_message_decode(const unsigned char *data, uint32_t len,
		   struct rpc_request *rq, uint32_t *args_at)
{
	struct span span = { data, len }, cred, verifier;
	uint32_t kind, rpc_version, flavor;

	if (!take32(&span, &rq->xid) || !take32(&span, &kind) ||
	    kind != CALL || !take32(&span, &rpc_version))
		return RPC_CALL_NONE;
	if (rpc_version != 2)
		return RPC_CALL_MISMATCH;
	if (!take32(&span, &rq->program) || !take32(&span, &rq->version) ||
	    !take32(&span, &rq->procedure))
		return RPC_CALL_BAD;
	/* From here on program and version are known, and go first. */
	rq->cred.flavor = 0;
	if (!take32(&span, &rq->cred.flavor) ||
	    !take_opaque(&span, RPC_AUTH_BYTES, &cred) ||
	    !take32(&span, &flavor) ||
	    !take_opaque(&span, RPC_AUTH_BYTES, &verifier))
		return RPC_CALL_BADCRED;
	*args_at = len - span.left;
	rq->cred.machine[0] = '\0';
	rq->cred.uid = rq->cred.gid = rq->cred.group_count = 0;
	if (rq->cred.flavor == 0)
		return RPC_CALL_GOOD;
	if (rq->cred.flavor != 1)
		return RPC_CALL_REJECTED;
	return decode_auth_sys(cred, &rq->cred) ? RPC_CALL_GOOD
						: RPC_CALL_BADCRED;
}

/*
 * reply_stat, then for an accepted call the verifier (AUTH_NONE) and
 * accept_stat, or for a denied one reject_stat and auth_stat.
 */
uint32_t
rpc_message_reply(unsigned char *out, uint32_t xid, enum rpc_reply_kind kind,
		  uint32_t low, uint32_t high)
{
	static const struct {
		uint8_t denied, status, auth;
		bool range;
	} kinds[] = {
		[RPC_REPLY_SUCCESS] = { 0, 0, 0, false },
		[RPC_REPLY_PROG_UNAVAIL] = { 0, 1, 0, false },
		[RPC_REPLY_PROG_MISMATCH] = { 0, 2, 0, true },
		[RPC_REPLY_PROC_UNAVAIL] = { 0, 3, 0, false },
		[RPC_REPLY_GARBAGE] = { 0, 4, 0, false },
		[RPC_REPLY_SYSTEM_ERR] = { 0, 5, 0, false },
		[RPC_REPLY_RPC_MISMATCH] = { 1, 0, 0, true },
		[RPC_REPLY_BADCRED] = { 1, 1, 1, false },
		[RPC_REPLY_REJECTEDCRED] = { 1, 1, 2, false },
		[RPC_REPLY_TOOWEAK] = { 1, 1, 5, false },
	};
	uint32_t words[9], count = 0;

	words[count++] = xid;
	words[count++] = REPLY;
	words[count++] = kinds[kind].denied;
	if (!kinds[kind].denied) {
		words[count++] = 0;	/* AUTH_NONE */
		words[count++] = 0;
	}
	words[count++] = kinds[kind].status;
	if (kinds[kind].range) {
		words[count++] = low;
		words[count++] = high;
	} else if (kinds[kind].denied) {
		words[count++] = kinds[kind].auth;
	}
	for (uint32_t i = 0; i < count; i++)
		rpc_put32(out + 4 * i, words[i]);
	return 4 * count;
}
