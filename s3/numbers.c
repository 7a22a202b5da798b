/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does the store put a number on its answers?  Once some have borne one, an
 * answer without is somebody else's: a proxy's page while the store restarts.
 * But proxies also come for good, and take the header away.  So who says so
 * for long, and often, without one number in between, is the store: a bad
 * moment with answers that are good in all else does not last that long.
 */
#include <config.h>
#include "s3/remote.h"

#define BELIEVED_MS 600000
#define BELIEVED 20		/* two answers of an idle night are none */

bool
s3_numbers_agree(struct s3_numbers *n, bool has)
{
	int64_t since = n->lacking_ms, now = s3_mono_ms();

	if (has) {
		n->borne = true;
		n->lacking_ms = 0;
		return true;
	}
	if (!n->borne)
		return true;
	if (since == 0) {
		n->lacking = 1;
		n->lacking_ms = now;
	} else if (++n->lacking >= BELIEVED && now - since >= BELIEVED_MS) {
		n->borne = false;
		n->lacking_ms = 0;
		return true;
	}
	return false;
}
