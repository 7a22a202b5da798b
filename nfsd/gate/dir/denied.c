/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deletions that are denied.  A name that is removed is gone at once, and its
 * object follows; where the gateway may not delete, it never does, and a
 * gateway that is installed anew shows it again.  The first time nobody knows:
 * a 403 may be a bad hour.  Once S3 has denied a deletion for refuse_grace_ms,
 * and three times, the next REMOVE, RMDIR and RENAME are refused on the call.
 *
 * Not all directories are alike (a policy may be about a prefix), and rights
 * may come back.  So S3 is asked each time, by a DELETE in the same directory:
 * of a key that no file can have, lest a proxy that drops its condition, which
 * cannot hold, costs a file.  Rights come first.  Where conditions are not
 * honoured, the denial holds for the directory of the object that was denied,
 * until that deletion, which is tried again all the while, is done.
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "nfsd/gate/dir/dir.h"
#include "nfsd/gate/keys/keys.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/object/object.h"

#define NO_ETAG "00000000000000000000000000000000"
#define NO_FILE S3_SCRATCH "000000000000000000000000"

static int
ask(struct gate_export *x, const char *key)
{
	struct s3_error err = { 0 };
	char beside[META_KEY_MAX + 1];
	const char *slash = strrchr(key, '/');
	int dir_len = slash != NULL ? (int)(slash + 1 - key) : 0;
	int len = snprintf(beside, sizeof(beside), "%.*s" NO_FILE, dir_len,
			   key);

	if (len >= (int)sizeof(beside) ||
	    !__atomic_load_n(&x->can_delete_if_match, __ATOMIC_RELAXED))
		return delete_denied_beside(x, key) ? -EACCES : 0;
	return s3_delete(x->s3, beside, NO_ETAG, &err) == -EACCES ? -EACCES
								  : 0;
}

int
denied_now(struct node *n, struct gate_request *rq)
{
	struct gate_export *x = n->export;
	char key[META_KEY_MAX + 2];
	int r;

	if (!delete_any_denied(x) || offline_now(x))
		return 0;
	mutex_lock(&n->mutex);
	strcpy(key, n->i.base_key);
	mutex_unlock(&n->mutex);
	if (key[0] == '\0')
		return 0;
	r = may_ask_store(rq);
	return r < 0 ? r : ask(x, key);
}
