/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_PART_H
#define NFSD_GATE_PART_H

/*
 * Between a part of a key (what is between two slashes) and a file name:
 * part.c tells the forms.  Pure functions.
 */

#include <stdbool.h>
#include <stddef.h>

#include "meta/meta.h"

#define PART_MAX META_KEY_MAX

enum part_form {
	PART_PLAIN,		/* the part is the name, or made from it */
	PART_ODD,		/* the part could be no name */
	PART_BESIDE,		/* a file, with a directory of its name */
	PART_LONG,		/* as ODD; the name does not hold all of it */
	PART_BESIDE_LONG,
	PART_NONE		/* no part has this name */
};

/*
 * The part that a name stands for; not written for the LONG forms and NONE.
 * any_bytes: the bucket takes keys that are not UTF-8.
 */
enum part_form part_from_name(bool any_bytes, const char *name,
			      char part[PART_MAX + 1]);

/* The name of a part of at most PART_MAX bytes.  beside: of a file that has
 * a directory of the same name beside it. */
void part_to_name(bool any_bytes, const char *part, bool beside,
		  char name[META_NAME_MAX + 1]);

/* Bits of enum s3_odd: what is in it that some stores do not keep. */
unsigned part_odd(const char *part);

/* The bytes that the part of a LONG name begins with. */
void part_head(const char *name, char head[META_NAME_MAX + 1]);

#endif
