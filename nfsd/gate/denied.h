/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_DENIED_H
#define NFSD_GATE_DENIED_H

#include "nfsd/gate/gate_priv.h"

/* May the object of a file or directory not be deleted, as is known by now?
 * -EACCES; -EAGAIN with rq->again set.  No lock is held. */
int denied_now(struct node *n, struct gate_request *rq)
	__attribute__((warn_unused_result));

/* ---- delete.c ---- */
/* Has S3 denied any deletion of the export for long? */
bool delete_any_denied(struct gate_export *x);
/* ... of an object in the directory of this key? */
bool delete_denied_beside(struct gate_export *x, const char *key);

#endif
