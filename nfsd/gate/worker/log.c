/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is said to the operator, clocks, a rest for threads in the background,
 * and numbers that any room may need.
 */

#include <config.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/random.h>
#include <time.h>

#include "nfsd/gate/worker/worker.h"

uint64_t
answer_ms(struct gate *g, uint64_t asked_ms)
{
	uint64_t refreshed =
		__atomic_load_n(&g->refreshed_ms, __ATOMIC_RELAXED);

	return asked_ms > refreshed ? asked_ms : 0;
}

void
gate_say(struct gate *g, int level, const char *format, ...)
{
	char line[2048];
	va_list ap;

	if (g->config.log == NULL)
		return;
	va_start(ap, format);
	vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	g->config.log(g->config.log_arg, level, line);
}

void
gate_rest(struct gate *g, uint64_t ms)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)(ms / 1000);
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	mutex_lock(&g->mutex);
	while (!__atomic_load_n(&g->stopping, __ATOMIC_RELAXED) &&
	       mutex_wait(&g->mutex, &g->quota_stop, &until) !=
		       ETIMEDOUT)
		;
	mutex_unlock(&g->mutex);
}

/* ---- generations and clocks ---- */

/* Also this process may be put back, with the machine that it runs on: so
 * each inode has one of its own, as long as there are random numbers. */
uint32_t
gate_generation(const struct gate *g)
{
	uint32_t own;

	return getrandom(&own, sizeof(own), GRND_NONBLOCK) == sizeof(own) &&
			       own > 1
		       ? own
		       : g->generation;
}

uint64_t
clock_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

int64_t
clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec +
	       failpoint_clock_ns();
}

/* ---- invariants (audit.c) ---- */

void
audit_count(struct gate *g)
{
	__atomic_add_fetch(&g->invariant_failures, 1, __ATOMIC_RELAXED);
}

void
audit_broken(struct gate *g, const char *what, const char *format, ...)
{
	char about[1024];
	va_list ap;

	va_start(ap, format);
	vsnprintf(about, sizeof(about), format, ap);
	va_end(ap);
	audit_count(g);
	gate_say(g, 0, "broken invariant: %s: %s", what, about);
}
