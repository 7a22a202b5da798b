/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an answer of the store, or its silence, means to whoever asked.
 */

#include <config.h>

#include "nfsd/gate/object/object.h"

bool
upload_is_transient(int r)
{
	enum s3_meaning meaning = s3_meaning(r);

	return meaning == S3_ACCOUNT || meaning == S3_LATER;
}

bool
offline_now(const struct gate_export *x)
{
	return x->c.offline_serve && s3_is_away(x->s3, NULL);
}
