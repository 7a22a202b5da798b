/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_SERVER_H
#define NFSD_SERVER_H

/*
 * server: the programs on their sockets, with all that belongs to them.  It
 * needs an open gate with its exports; main.c brings both.
 */

#include <stdint.h>

#include "nfsd/clients.h"
#include "nfsd/exports.h"
#include "nfsd/gate/gate.h"
#include "nfsd/mount3.h"
#include "nfsd/rpc/rpc.h"
#include "nfsd/settings.h"

struct server;

/* gate and exports stay the caller's.  They outlive it, but that the gate may
 * be closed after server_stop: what it wakes by then waits for server_free. */
int server_new(const struct settings *settings, struct gate *gate,
	       struct exports *exports, struct server **out)
	__attribute__((warn_unused_result));

/* Bind and begin to answer.  *port: what was bound, in host order. */
int server_start(struct server *server, const struct settings *settings,
		 uint16_t *port) __attribute__((warn_unused_result));

/* Register with rpcbind or answer on port 111, as server.portmap says.  What
 * cannot be done is told in the log and is no error, but for a mode that was
 * asked for by name. */
int server_portmap(struct server *server, const struct settings *settings,
		   uint16_t port) __attribute__((warn_unused_result));

/* No more requests; those in flight are answered, for timeout_ms at most.  What
 * is left then goes on until server_stop, which waits for it. */
void server_quiet(struct server *server, uint64_t timeout_ms);
void server_stop(struct server *server, uint64_t timeout_ms);
void server_free(struct server **server);

/* gate_config.waits, of a server that may not be there yet (NULL). */
bool server_waits(struct rpc_server *rpc, enum gate_identity identity,
		  const char *who, uint64_t since_ms);

/* gate_config.unread_ms, of the same. */
uint64_t server_unread_ms(struct rpc_server *rpc, enum gate_identity identity,
			  const char *who);

struct rpc_server *server_rpc(struct server *server);
struct mount3 *server_mounts(struct server *server);
struct clients *server_clients(struct server *server);

#endif
