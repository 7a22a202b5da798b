/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_CLOCK_H
#define NFSD_GATE_CLOCK_H

/*
 * A clock that stands still while the program does.
 *
 * A client that hears nothing from us cannot tell a stopped gateway (SIGSTOP,
 * a virtual machine that was stunned or moved) from a slow network: it waits
 * and sends again.  So the time in which we did not run is no silence of his.
 * Whatever is held against a client is measured with this clock: leases,
 * reservations, how long somebody was refused, idle connections, records that
 * do not get whole.
 *
 * Somebody looks at it at least every RUN_LOOK_MS (the gate's timer thread, an
 * event thread of the transport); between two looks it advances by RUN_STEP_MS
 * at most.  It starts at CLOCK_MONOTONIC, never goes back, and never goes
 * faster.  So a time on it may be waited for in real time, but whoever wakes
 * has to look again.
 *
 * Not for what is true of S3 or of the wire at a moment (attr_ttl_ms, pauses
 * between attempts, how long a request is held, credentials): that is real
 * time.
 */

#include <pthread.h>
#include <stdint.h>
#include <time.h>

#define RUN_LOOK_MS 200
#define RUN_STEP_MS 600

struct run_clock {
	pthread_mutex_t lock;	/* a leaf */
	uint64_t looked_ms;	/* real; 0: never */
	uint64_t stood_ms;	/* taken out so far */
};

static inline void
run_clock_init(struct run_clock *clock)
{
	pthread_mutex_init(&clock->lock, NULL);
	clock->looked_ms = clock->stood_ms = 0;
}

static inline void
run_clock_fini(struct run_clock *clock)
{
	pthread_mutex_destroy(&clock->lock);
}

/* A look at it when it is now_ms in real time. */
static inline uint64_t
run_clock_look(struct run_clock *clock, uint64_t now_ms)
{
	uint64_t ms;

	pthread_mutex_lock(&clock->lock);
	if (clock->looked_ms != 0 &&
	    now_ms > clock->looked_ms + RUN_STEP_MS)
		clock->stood_ms += now_ms - clock->looked_ms - RUN_STEP_MS;
	/* Threads may come here in another order than they read the time. */
	if (now_ms > clock->looked_ms)
		clock->looked_ms = now_ms;
	ms = clock->looked_ms - clock->stood_ms;
	pthread_mutex_unlock(&clock->lock);
	return ms;
}

static inline uint64_t
run_clock_ms(struct run_clock *clock)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return run_clock_look(clock, (uint64_t)now.tv_sec * 1000 +
				     (uint64_t)now.tv_nsec / 1000000);
}

#endif
