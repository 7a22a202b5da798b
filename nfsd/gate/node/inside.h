/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_NODE_INSIDE_H
#define NFSD_GATE_NODE_INSIDE_H

/*
 * Nodes: inodes in memory, their locks, attributes, clients, permissions.
 * For its own files alone.
 */

#include "nfsd/gate/node/node.h"

/* ---- client.c ---- */
/* It asks for something, whatever it is. */
void client_seen(struct gate *g, const struct gate_request *rq);
/* Is anybody fenced, or to be told of a failure? */
bool admit_owes(const struct node *n);

/* ---- listing.c ---- */
/* Nothing is known of its listing any more. */
void scan_forget(struct node *dir);

/* ---- used.c ---- */
/* Somebody had a use for this inode. */
void known_used(struct gate *g, uint64_t ino);

#endif
