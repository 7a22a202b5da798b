/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_META_ROWS_H
#define TESTS_META_ROWS_H

/* Rows of every kind, for tests of the versions of the database. */

#include <stdio.h>

#include "meta/meta.h"

int rows_write(struct meta *m) __attribute__((warn_unused_result));
/* A line for each; also of those that a program of before wrote. */
int rows_tell(struct meta *m, FILE *out) __attribute__((warn_unused_result));

#endif
