/* SPDX-License-Identifier: Apache-2.0 */
/* Handles of any bytes: what is taken must be what we would have made. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "nfsd/fh.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t key[16] = "fuzz";
	static struct fh_signer *signer;
	uint8_t again[FH_SIZE];
	struct gate_fh fh;
	uint32_t id;

	if (signer == NULL && fh_signer_new(key, &signer) < 0)
		abort();
	(void)fh_export_hint(signer, data, size);
	if (fh_unpack(signer, data, size, &id, &fh) < 0)
		return 0;
	if (size != FH_SIZE || fh_pack(signer, id, &fh, again) < 0 ||
	    memcmp(again, data, FH_SIZE) != 0)
		abort();
	return 0;
}
