/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_PENDING_INSIDE_H
#define NFSD_GATE_PENDING_INSIDE_H

/*
 * What a node owes: its writer's state, what S3 has not, when it is sent.
 * For its own files alone.
 */

#include "nfsd/gate/pending/pending.h"

/* ---- schedule.c ---- */
/* Somebody waits for this one from now on, if it waits still. */
void schedule_hurry(struct schedule *s, struct node *n);

#endif
