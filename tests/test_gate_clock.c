/* SPDX-License-Identifier: Apache-2.0 */
/* The clock that stands while the program does, with times of our own. */
#include <config.h>

#include "nfsd/gate/clock.h"
#include "tests/unit.h"

static void
it_goes_as_real_time_does_while_somebody_looks(void)
{
	struct run_clock clock;

	run_clock_init(&clock);
	for (uint64_t now = 5000; now < 60000; now += RUN_LOOK_MS)
		CU_ASSERT(run_clock_look(&clock, now) == now);
	run_clock_fini(&clock);
}

static void
a_gap_counts_as_one_step(void)
{
	struct run_clock clock;

	run_clock_init(&clock);
	CU_ASSERT(run_clock_look(&clock, 5000) == 5000);
	CU_ASSERT(run_clock_look(&clock, 105000) == 5000 + RUN_STEP_MS);
	CU_ASSERT(run_clock_look(&clock, 105100) == 5100 + RUN_STEP_MS);
	CU_ASSERT(run_clock_look(&clock, 205100) == 5100 + 2 * RUN_STEP_MS);
	run_clock_fini(&clock);
}

static void
it_never_goes_back(void)
{
	struct run_clock clock;

	run_clock_init(&clock);
	CU_ASSERT(run_clock_look(&clock, 5000) == 5000);
	CU_ASSERT(run_clock_look(&clock, 4000) == 5000);
	CU_ASSERT(run_clock_look(&clock, 105000) == 5000 + RUN_STEP_MS);
	CU_ASSERT(run_clock_look(&clock, 5100) == 5000 + RUN_STEP_MS);
	CU_ASSERT(run_clock_look(&clock, 105001) == 5001 + RUN_STEP_MS);
	run_clock_fini(&clock);
}

TEST_MAIN("gate_clock", T(it_goes_as_real_time_does_while_somebody_looks),
	  T(a_gap_counts_as_one_step), T(it_never_goes_back))
