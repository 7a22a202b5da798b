/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_PROBE_H
#define NFSD_PROBE_H

/*
 * probe: what the store of one export honours, asked beside the service.
 */

#include <stddef.h>
#include <stdint.h>

#include "nfsd/gate/gate.h"
#include "nfsd/settings.h"
#include "s3/s3.h"

struct probe;

enum probe_verdict {
	PROBE_ASKING,		/* for the first time */
	PROBE_GOOD,		/* the export knows what is honoured */
	PROBE_SILENT,		/* no answer yet; asked again */
	PROBE_REFUSED,		/* it refuses us, or is not there: an hour of
				 * the keys' or the store's; asked again */
	PROBE_WRONG		/* no bucket could be asked so */
};

/*
 * A thread that asks until there is an answer, with pauses that grow, and then
 * tells the export (NULL: nobody).  Whether the store is there is watched from
 * here on, and said.  The arguments outlive it.
 */
int probe_start(const struct settings_export *settings, struct s3 *s3,
		struct gate_export *export, struct probe **out)
	__attribute__((warn_unused_result));

/* What it found so far; waits for its first verdict until then (real time,
 * CLOCK_MONOTONIC).  why: for people, where it is none of the first two. */
enum probe_verdict probe_wait(struct probe *probe, uint64_t until_ms,
			      char *why, size_t size);

/* From when on a WRONG one is told to the log: nobody ends the start for it
 * any more. */
void probe_settle(struct probe *probe);

/* Ask for one name, for 15 s at most; cancels s3.  0, or why for people. */
int probe_check(const struct settings_export *settings, struct s3 *s3,
		char *why, size_t size) __attribute__((warn_unused_result));

/* After s3_cancel, or it takes as long as a request may. */
void probe_stop(struct probe **probe);

#endif
