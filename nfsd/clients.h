/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_CLIENTS_H
#define NFSD_CLIENTS_H

/* clients: who is connected, for s3nfsctl. */

#include <stdint.h>

#include "nfsd/gate/gate.h"

#define CLIENTS_MAX 4096	/* rows; more are not listed */

struct clients;

struct clients_info {
	struct gate_client who;
	unsigned connections;
	uint64_t since_ms;	/* CLOCK_MONOTONIC */
};

int clients_new(struct clients **out) __attribute__((warn_unused_result));
void clients_free(struct clients **clients);
/* delta +1 or -1.  Any thread. */
void clients_connected(struct clients *clients, const struct gate_client *who,
		       int delta);
/* In the order of arrival.  each() must not call back. */
void clients_each(struct clients *clients,
		  void (*each)(void *arg, const struct clients_info *info),
		  void *arg);

#endif
