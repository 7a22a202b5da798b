/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bad hour of the store is over.  What failed waits longer and longer before
 * it is tried again, so that thousands of files do not storm a store that
 * ails; but then the last of them would follow half a minute after all is
 * right.  So while anything of an export fails, one of its uploads or
 * deletions feels the pulse every few seconds; and when S3 has taken
 * something, all others are due.  Again after a second, since some may have
 * been at their old try then, and after pauses that grow to HEALED_MS, for the
 * sake of what S3 goes on refusing among others that it takes.
 */

#include <config.h>

#include "nfsd/gate/keys/keys.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/pending/pending.h"
#include "nfsd/gate/upload/inside.h"
#include "nfsd/gate/worker/worker.h"

#define PULSE_MS 4000
#define HEALED_FIRST_MS 1000
#define HEALED_MS 10000
#define QUIET_MS 60000		/* then the next time is a new story */

uint64_t
heal_pause(struct gate_export *x, uint64_t wait_ms)
{
	struct gate *g = x->gate;
	uint64_t now = clock_ms();

	mutex_lock(&g->mutex);
	__atomic_store_n(&x->heal.ill, true, __ATOMIC_RELAXED);
	if (wait_ms > PULSE_MS && x->heal.pulse_ms + PULSE_MS <= now) {
		x->heal.pulse_ms = now;
		wait_ms = PULSE_MS;
	}
	mutex_unlock(&g->mutex);
	return wait_ms;
}

static int
hurry(void *arg, struct node *n)
{
	if (n->export != arg)
		return 0;
	mutex_lock(&n->mutex);
	if (n->up.pending && !n->dead && n->up.failing_ms != 0 &&
	    n->up.run == UP_IDLE && n->up.due_ms > clock_ms()) {
		n->up.due_ms = clock_ms();
		upload_schedule_locked(n, false);
	}
	mutex_unlock(&n->mutex);
	return 0;
}

void
gate_export_back(struct gate_export *x)
{
	/* Without memory they come when their time has. */
	(void)!each_node(x->gate, hurry, x);
	deletes_hurry(x);
	dirmoves_wake(x->gate);
}

void
heal_over(struct gate_export *x)
{
	struct gate *g = x->gate;
	uint64_t now = clock_ms();
	bool go;

	if (!__atomic_load_n(&x->heal.ill, __ATOMIC_RELAXED))
		return;
	mutex_lock(&g->mutex);
	if (x->heal.healed_ms + QUIET_MS <= now)
		x->heal.pause_ms = 0;
	go = x->heal.ill && x->heal.healed_ms + x->heal.pause_ms <= now;
	if (go) {
		x->heal.healed_ms = now;
		x->heal.pause_ms = x->heal.pause_ms == 0 ? HEALED_FIRST_MS :
				   x->heal.pause_ms < HEALED_MS / 2 ?
				   2 * x->heal.pause_ms : HEALED_MS;
		__atomic_store_n(&x->heal.ill, false, __ATOMIC_RELAXED);
	}
	mutex_unlock(&g->mutex);
	if (go)
		gate_export_back(x);
}
