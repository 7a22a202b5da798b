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
	bool lose, cut, corrupt, hold, hold_after, stale, etags;
	bool caseless;
	char ghosts[900];	/* keys, each with a ',' behind */
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

/* fault_list.c: pages as they were when first asked for under this rule. */
struct fault_stale;
struct fault_stale *s3_fault_stale_new(void);	/* NULL: no memory */
void s3_fault_stale_free(struct fault_stale **stale);
int s3_fault_stale_list(struct fault_stale *stale, struct s3 *s3,
			const struct s3_ops *real, uint64_t rule,
			const struct s3_list *list,
			int (*each)(void *arg, const struct s3_entry *entry),
			void *arg, char **next, struct s3_error *err);

int s3_fault_other_list(struct s3 *s3, const struct s3_ops *real,
			const struct s3_list *list,
			int (*each)(void *arg, const struct s3_entry *entry),
			void *arg, char **next, struct s3_error *err);

int s3_fault_caseless_list(struct s3 *s3, const struct s3_ops *real,
			   const struct s3_list *list,
			   int (*each)(void *arg,
				       const struct s3_entry *entry),
			   void *arg, char **next, struct s3_error *err);

int s3_fault_ghost_list(struct s3 *s3, const struct s3_ops *real,
			const char *ghosts, const struct s3_list *list,
			int (*each)(void *arg, const struct s3_entry *entry),
			void *arg, char **next, struct s3_error *err);

/* Put the layer between the door and the bucket, if the environment asks. */
int s3_fault_wrap(struct s3 *s3) __attribute__((warn_unused_result));

#endif
