/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_MODEL_SCHEDULE_H
#define TESTS_MODEL_SCHEDULE_H

#include "tests/model.h"

struct schedule {
	uint64_t seed;
	unsigned trouble;	/* enum m_fault: the one that comes and goes */
	bool clock;		/* the wall clock jumps */
	const char *host;	/* the machine fails now and then, in these */
	unsigned count;
	struct m_op ops[M_OPS_MAX];
};

/* faults: of the machine, too: "sql,file,alloc" or some of those; NULL. */
void schedule_draw(uint64_t seed, unsigned length, const char *faults,
		   struct schedule *out);

#endif
