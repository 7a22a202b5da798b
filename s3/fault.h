/* SPDX-License-Identifier: Apache-2.0 */
#ifndef S3_FAULT_H
#define S3_FAULT_H

/* Faults on request, in test builds only; fault.c tells how to ask. */

#include <pthread.h>

#include "s3/s3_priv.h"

struct fault_rules;

struct fault_action {
	int error;		/* negative errno, or 0 */
	unsigned delay_ms;
	bool lose, cut, corrupt, hold, hold_after;
	uint64_t rule;		/* which one, for holds; 0: none */
};

/* NULL if there is no memory. */
struct fault_rules *s3_fault_rules_new(const char *path);
void s3_fault_rules_free(struct fault_rules **rules);
/* What shall happen to this call?  Counts it.  -EINVAL: the file is wrong. */
int s3_fault_match(struct fault_rules *rules, const char *op,
		   const char *key, struct fault_action *out);
/* Is the rule still in the file? */
bool s3_fault_stands(struct fault_rules *rules, uint64_t rule);

/* Put the layer between the door and the bucket, if the environment asks. */
int s3_fault_wrap(struct s3 *s3) __attribute__((warn_unused_result));

#endif
