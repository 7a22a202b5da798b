/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_CTL_H
#define NFSD_CTL_H

/*
 * ctl: what s3nfsctl asks, over a Unix socket in the state directory that
 * its owner alone may open.
 *
 * One request a connection, one line of JSON:
 *	{"command": "flush", "path": "/data/a", "timeout_ms": 60000}
 * The answer is lines of JSON: any number of
 *	{"progress": {"sent": 1, "total": 2}}
 *	{"item": {...}}			one for each row of a list
 * and one at the end:
 *	{"result": {...}}	or	{"error": "...", "errno": 2}
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nfsd/clients.h"
#include "nfsd/exports.h"
#include "nfsd/gate/gate.h"
#include "nfsd/mount3.h"
#include "nfsd/rpc/rpc.h"

struct ctl;

/* Whose keys an export uses; source "": it needs none. */
struct ctl_keys {
	const char *export;
	bool known;		/* there are keys */
	char source[160], error[256];
	int64_t expires_s;	/* 0: never */
};

struct ctl_config {
	const char *path;	/* of the socket */
	struct gate *gate;
	struct exports *exports;
	struct mount3 *mounts;
	struct clients *clients;
	struct rpc_server *rpc;	/* NULL: no figures of it */
	/* Of the export of that number; false: there is none.  May be NULL. */
	bool (*keys)(void *keys_arg, size_t number, struct ctl_keys *out);
	void *keys_arg;
};

/* The parts stay the caller's and outlive it.  -EADDRINUSE if somebody
 * answers on the socket, or the errno of bind and the like. */
int ctl_start(const struct ctl_config *config, struct ctl **out)
	__attribute__((warn_unused_result));
/* Removes the socket; no more requests; long ones (flush) are left at once.
 * NULL: nothing. */
void ctl_leave(struct ctl *ctl);
/* The same, and waits for the requests under way. */
void ctl_stop(struct ctl **ctl);

#endif
