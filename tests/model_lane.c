/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Daemons for check_model.c (model_lane.h), each in a directory of its own.
 * Their times are some milliseconds, so that a schedule of eighty requests
 * meets all that takes seconds and minutes otherwise; the model knows them.
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/model_lane.h"

#define TIMEOUT_MS 60000	/* for a reply */

/* ---- settings, by seed ---- */

#define COMMON "server.workers=8", "server.event_threads=1",                  \
	       "server.transfer_threads=4", "export.reserve_ms=150",          \
	       "export.idle_visible_ms=0", "export.idle_flush_ms=0",          \
	       "export.refuse_grace_ms=0",                                    \
	       "server.log_level=debug"

const struct conf confs[] = {
	{ "plain", { 50, 40, 20, 60000, 150, 8000, false, false, false, 0,
	  0 },
	  { COMMON, "export.settle_ms=50", "export.create_settle_ms=40",
	    "export.supersede_quiet_ms=20", "export.hold_ms=30", NULL } },
	{ "short attributes", { 30, 20, 10, 60000, 150, 8000, false, false, false, 0,
	  0 },
	  { COMMON, "export.settle_ms=30", "export.create_settle_ms=20",
	    "export.supersede_quiet_ms=10", "export.hold_ms=40",
	    "export.attr_ttl_ms=10", NULL } },
	{ "no quiet", { 5, 5, 0, 60000, 150, 8000, false, false, false, 0,
	  0 },
	  { COMMON, "export.settle_ms=5", "export.create_settle_ms=5",
	    "export.supersede_quiet_ms=0", "export.hold_ms=20",
	    "export.attr_ttl_ms=0", NULL } },
	{ "impatient", { 50, 40, 20, 60, 150, 90, false, false, false, 0,
	  0 },
	  { COMMON, "export.settle_ms=50", "export.create_settle_ms=40",
	    "export.supersede_quiet_ms=20", "export.hold_ms=25",
	    "export.busy_limit_ms=60", "export.lease_ms=1000", NULL } },
	{ "live", { 20, 40, 10, 60000, 150, 8000, true, false, false, 0,
	  0 },
	  { COMMON, "export.settle_ms=20", "export.create_settle_ms=40",
	    "export.supersede_quiet_ms=10", "export.hold_ms=30",
	    "export.reads=live", NULL } },
	{ "failing fast", { 40, 40, 10, 0, 150, 8000, false, true, false, 0,
	  0 },
	  { COMMON, "export.settle_ms=40", "export.create_settle_ms=40",
	    "export.supersede_quiet_ms=10", "export.hold_ms=30",
	    "export.busy=fail", NULL } },
	{ "short leases", { 30, 60, 10, 60000, 150, 90, false, false, false, 0,
	  0 },
	  { COMMON, "export.settle_ms=30", "export.create_settle_ms=60",
	    "export.supersede_quiet_ms=10", "export.hold_ms=30",
	    "export.lease_ms=1000", "export.abandon=publish", NULL } },
	{ "discarding", { 30, 60, 10, 60000, 150, 90, false, false, true, 0,
	  0 },
	  { COMMON, "export.settle_ms=30", "export.create_settle_ms=60",
	    "export.supersede_quiet_ms=10", "export.hold_ms=30",
	    "export.lease_ms=1000", "export.abandon=discard", NULL } },
	{ "silence", { 50, 40, 20, 60000, 150, 8000, false, false, false, 40,
		       120 },
	  { COMMON, "export.settle_ms=50", "export.create_settle_ms=40",
	    "export.supersede_quiet_ms=20", "export.hold_ms=30",
	    "export.idle_visible_ms=40", "export.idle_flush_ms=120", NULL } },
	{ "short silence", { 20, 60, 10, 60000, 150, 8000, false, false, false,
			     5, 30 },
	  { COMMON, "export.settle_ms=20", "export.create_settle_ms=60",
	    "export.supersede_quiet_ms=10", "export.hold_ms=40",
	    "export.idle_visible_ms=5", "export.idle_flush_ms=30",
	    "export.attr_ttl_ms=10", NULL } },
};
const unsigned conf_count = sizeof(confs) / sizeof(*confs);

/* ---- lanes ---- */

int
lane_connect(struct lane *l, unsigned client)
{
	static const char *const names[] = { "alpha", "beta", "gamma" };
	struct wire_client *c = &l->client[client];
	char from[32];
	int r;

	if (c->rpc.fd > 0)
		rpcc_close(&c->rpc);
	snprintf(from, sizeof(from), "127.0.%u.%u", l->number + 1,
		 client + 10);
	r = rpcc_open(&c->rpc, from, "127.0.0.1", l->d.port, false);
	if (r < 0)
		return r;
	rpcc_identity(&c->rpc, names[client], 0, 0, 0, NULL);
	c->rpc.timeout_ms = TIMEOUT_MS;
	c->repeatable = false;
	return 0;
}

static int
connect_clients(struct lane *l)
{
	for (unsigned i = 0; i < M_CLIENTS; i++) {
		int r = lane_connect(l, i);

		if (r < 0)
			return r;
	}
	return nc_mnt(&l->client[0].rpc, l->d.export_name, &l->root) == 0
		       ? 0
		       : -EPROTO;
}

int
lane_up(struct lane *l)
{
	int r = daemon_start(&l->d);

	l->verf_known = false;
	return r < 0 ? r : connect_clients(l);
}

int
lane_fresh(struct lane *l, const struct conf *conf)
{
	static unsigned count;
	char sub[280];

	daemon_kill(&l->d);
	l->conf = conf;
	snprintf(l->d.dir, sizeof(l->d.dir), "%s/%u.%u", l->dir,
		 l->number, __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED));
	l->d.settings = (char **)(uintptr_t)conf->sets;
	l->d.log_at = l->d.calls_at = 0;
	l->clock_ms = 0;
	mkdir(l->d.dir, 0700);
	snprintf(sub, sizeof(sub), "%s/bucket", l->d.dir);
	mkdir(sub, 0700);
	snprintf(sub, sizeof(sub), "%s/state", l->d.dir);
	mkdir(sub, 0700);
	daemon_faults(&l->d, "");
	daemon_host(&l->d, "");
	daemon_clock(&l->d, 0);
	return lane_up(l);
}

void
lane_fini(struct lane *l)
{
	daemon_kill(&l->d);
	for (unsigned i = 0; i < M_CLIENTS; i++) {
		struct wire_client *c = &l->client[i];

		if (c->rpc.fd > 0)
			rpcc_close(&c->rpc);
		free(c->call);
		free(c->reply);
		free(c->data);
	}
}
