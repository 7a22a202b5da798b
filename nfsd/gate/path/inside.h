/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_PATH_INSIDE_H
#define NFSD_GATE_PATH_INSIDE_H

/*
 * From a node to the key that its path spells, and to the one where its object
 * may lie.
 * For its own files alone.
 */

#include "nfsd/gate/path/path.h"

/* ---- path.c ---- */
/* The component behind a name of this file or directory.  -EINVAL. */
int component_of_name(struct node *n, const char *name,
		      char component[COMPONENT_MAX + 1])
	__attribute__((warn_unused_result));

/* ---- component.c ---- */

/* Bits of enum s3_odd: what is in it that some stores do not keep. */
unsigned component_s3_odd(const char *component);

#endif
