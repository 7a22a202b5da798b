/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_KEYS_INSIDE_H
#define NFSD_GATE_KEYS_INSIDE_H

/*
 * Keys: hidden, held, deleted; names that are not there; directories on their
 * way.
 * For its own files alone.
 */

#include "nfsd/gate/keys/keys.h"

#define EXPORT_KEY_MAX (sizeof(uint32_t) + META_KEY_MAX + 2)

/* ---- hidden.c ---- */
/* The key in a table of all exports' keys; its length. */
size_t export_key(const struct gate_export *x, const char *key, char *out);

#endif
