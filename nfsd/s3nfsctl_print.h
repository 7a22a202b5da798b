/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_S3NFSCTL_PRINT_H
#define NFSD_S3NFSCTL_PRINT_H

/* What s3nfsctl shows: aligned columns, sizes and ages that people read. */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum print_form { PRINT_TEXT, PRINT_SIZE, PRINT_AGE, PRINT_NUMBER };

struct print_column {
	const char *key;	/* of the JSON object */
	const char *title;
	enum print_form form;
};

/* Rows are an array of objects.  No tabs, no blanks at the end of lines. */
void print_table(FILE *out, const json_t *rows,
		 const struct print_column *columns, unsigned count);
/* "Title:  value", one below the other. */
void print_fields(FILE *out, const json_t *object,
		  const struct print_column *columns, unsigned count);
/* One line that is written over, for a terminal of `width` columns. */
void print_progress(FILE *out, uint64_t sent, uint64_t total, unsigned width);

#endif
