/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_MODEL_PLAY_H
#define TESTS_MODEL_PLAY_H

/*
 * A schedule, played: requests go to a daemon over three clients, replies to
 * the model, and at the end the bucket is compared.
 */

#include "tests/model_lane.h"
#include "tests/model_schedule.h"

#define WHY_MAX 400

/* One schedule being played. */
struct play {
	struct lane *lane;
	const struct schedule *s;
	struct m_world *world;
	struct wire_files files;
	char dir[64];
	uint16_t next_id;
	uint64_t steps;
	bool host, host_was;	/* the machine fails now, or did */
	bool no_memory;		/* ... ran out of memory: calls are lost */
	bool undecided;		/* the model lost count: no verdict */
	long host_log_at;	/* before this schedule */
	FILE *tell;		/* NULL: quiet */
	unsigned failed_at;	/* index of an op; count: at the end */
	char why[WHY_MAX];
};

/* true: all agreed, or no verdict.  Else *told, if not NULL, is how it went;
 * free() it. */
bool play(struct lane *l, const struct schedule *s, char **told,
	  struct play *p);
/* The daemon's own count of broken invariants. */
bool invariants_hold(struct lane *l, struct play *p);

#endif
