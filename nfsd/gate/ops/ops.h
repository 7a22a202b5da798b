/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_OPS_OPS_H
#define NFSD_GATE_OPS_OPS_H

/* The procedures of NFS, one file for each family: their door is gate.h. */

#include "nfsd/gate/state/state.h"

struct linking;

/* ---- link.c ---- */
/* The rows of a LINK are committed. */
void linked(struct node *n, struct node *alias, const struct linking *l);

#endif
