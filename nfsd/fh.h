/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_FH_H
#define NFSD_FH_H

/*
 * fh: file handles as clients hold them.  Thirty-two bytes, so that one
 * handle serves NFSv3 (at most 64, RFC 1813 2.4) and MOUNT version 1
 * (exactly 32, RFC 1094 appendix A.4).
 */

#include <stddef.h>
#include <stdint.h>

#include "nfsd/gate/gate.h"

#define FH_SIZE 32

struct fh_signer;

/* key: gate_fh_key.  -ENOMEM, or -ENOTSUP if OpenSSL has no SipHash. */
int fh_signer_new(const uint8_t key[16], struct fh_signer **out)
	__attribute__((warn_unused_result));
void fh_signer_free(struct fh_signer **signer);
/* The root of the export of this name has a handle that follows from the name
 * alone.  Before the first request.  -ENOMEM, -EIO. */
int fh_signer_add_root(struct fh_signer *signer, const char *name,
		       uint32_t export_id, const struct gate_fh *fh)
	__attribute__((warn_unused_result));

/* Any thread; does not block.  -EIO if OpenSSL fails. */
int fh_pack(struct fh_signer *signer, uint32_t export_id,
	    const struct gate_fh *fh, uint8_t out[FH_SIZE])
	__attribute__((warn_unused_result));

/*
 * -EBADF for bytes that never were a handle of ours (length, version,
 * padding), -ESTALE for one that this gateway did not sign.
 */
int fh_unpack(struct fh_signer *signer, const void *data, size_t len,
	      uint32_t *export_id, struct gate_fh *out)
	__attribute__((warn_unused_result));

/* The export that a handle claims to be of, unchecked; 0 for garbage. */
uint32_t fh_export_hint(const struct fh_signer *signer, const void *data,
			size_t len);

#endif
