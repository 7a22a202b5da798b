/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NFS and MOUNT share one port, over TCP; MOUNT answers over UDP on the same
 * number too, since mount programs ask there first.  With port 0 the number is
 * the one that TCP was given.  If UDP has it taken by somebody else we go on
 * without: clients then ask over TCP.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "nfsd/log.h"
#include "nfsd/rpc/portmap.h"
#include "nfsd/server.h"

struct server {
	struct gate *gate;	/* NULL: stopped; atomic */
	struct nfs3 nfs;
	struct mount3 *mounts;
	struct clients *clients;
	struct rpc_program programs[2];	/* rpc keeps a pointer to them */
	struct rpc_server *rpc;
	struct portmap *portmap;
	bool udp;		/* MOUNT answers there */
};

static uint64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t
share_key(const struct rpc_request *rq, const void *args)
{
	return rq->program == MOUNT_PROGRAM ? mount3_share_key(rq, args) :
	       rq->program == NFS3_PROGRAM ? nfs3_share_key(rq, args) : 0;
}

static void
connected(void *arg, const struct rpc_cred *cred,
	  const struct sockaddr_storage *peer, int delta)
{
	struct server *server = arg;
	struct gate *gate = __atomic_load_n(&server->gate, __ATOMIC_RELAXED);
	struct gate_client who = {0};
	uint16_t port;

	if (!exports_peer(peer, &who.addr, &port))
		return;
	memcpy(who.name, cred->machine, sizeof(who.name) - 1);
	clients_connected(server->clients, &who, delta);
	if (gate != NULL)
		gate_client_connected(gate, &who, delta);
}

static void
limits(const struct options_server *options, struct rpc_limits *out)
{
	*out = (struct rpc_limits){
		.event_threads = (unsigned)options->event_threads,
		.workers = (unsigned)options->workers,
		.workers_per_key = (unsigned)options->workers_per_export,
		.connections = (unsigned)options->connections,
		.connections_per_host =
			(unsigned)options->connections_per_host,
		.in_flight_per_connection =
			(unsigned)options->in_flight_per_connection,
		.buffer_bytes = options->buffer_size,
		.reply_cache_bytes = options->reply_cache_size,
		.idle_s = (unsigned)((options->idle_ms + 999) / 1000),
	};
}

static int
add_roots(struct server *server)
{
	struct exports_entry *entry = NULL;
	int r = 0;

	while (r == 0 && (entry = exports_next(server->nfs.exports, entry)) !=
				 NULL) {
		struct gate_export *export = exports_entry_gate(entry);
		struct gate_fh fh;

		if (!gate_root_is_named(export))
			continue;
		r = gate_root(export, &fh);
		if (r == 0)
			r = fh_signer_add_root(server->nfs.signer,
					       exports_entry_name(entry),
					       exports_entry_id(entry), &fh);
	}
	return r;
}

int
server_new(const struct settings *settings, struct gate *gate,
	   struct exports *exports, struct server **out)
{
	struct server *server = calloc(1, sizeof(*server));
	struct rpc_server_config config = {
		.program_count = 2,
		.share_key = share_key, .connected = connected,
		.arg = server, .clock = gate_clock(gate),
	};
	uint8_t key[16];
	int r;

	if (server == NULL)
		return -ENOMEM;
	server->gate = gate;
	server->nfs.gate = gate;
	server->nfs.exports = exports;
	server->nfs.drc_until_ms = now_ms() + NFS3_DRC_MS;
	gate_fh_key(gate, key);
	r = fh_signer_new(key, &server->nfs.signer);
	explicit_bzero(key, sizeof(key));
	if (r == 0)
		r = add_roots(server);
	if (r == 0)
		r = mount3_new(&server->nfs, &server->mounts);
	if (r == 0)
		r = clients_new(&server->clients);
	if (r == 0) {
		config.programs = server->programs;
		nfs3_program(&server->nfs, &server->programs[0]);
		mount3_program(server->mounts, &server->programs[1]);
		limits(&settings->server, &config.limits);
		r = rpc_server_new(&config, &server->rpc);
	}
	if (r < 0) {
		server_free(&server);
		return r;
	}
	*out = server;
	return 0;
}

static void
set_port(struct sockaddr_storage *address, uint16_t port)
{
	if (address->ss_family == AF_INET)
		((struct sockaddr_in *)(void *)address)->sin_port =
			htons(port);
	else
		((struct sockaddr_in6 *)(void *)address)->sin6_port =
			htons(port);
}

int
server_start(struct server *server, const struct settings *settings,
	     uint16_t *port)
{
	struct sockaddr_storage address = settings->listen;
	uint16_t udp_port;
	int r;

	r = rpc_listen(server->rpc, (struct sockaddr *)&address,
		       settings->listen_len, false, NULL, port);
	if (r < 0)
		return r;
	set_port(&address, *port);
	r = rpc_listen(server->rpc, (struct sockaddr *)&address,
		       settings->listen_len, true, NULL, &udp_port);
	server->udp = r == 0;
	if (r < 0)
		log_warn("server", "no UDP on port=%u, MOUNT answers over TCP "
			 "only: %s", *port, strerror(-r));
	return rpc_server_start(server->rpc);
}

int
server_portmap(struct server *server, const struct settings *settings,
	       uint16_t port)
{
	const struct portmap_row rows[] = {
		{NFS3_PROGRAM, NFS_V3, false, port},
		{MOUNT_PROGRAM, MOUNT_V1, false, port},
		{MOUNT_PROGRAM, MOUNT_V3, false, port},
		{MOUNT_PROGRAM, MOUNT_V1, true, port},
		{MOUNT_PROGRAM, MOUNT_V3, true, port},
	};
	struct portmap_config config = {
		.mode = (enum portmap_mode)settings->server.portmap,
		.rows = rows,
		.row_count = server->udp ? 5 : 3,
		.address = (const struct sockaddr *)&settings->listen,
		.address_len = settings->listen_len,
	};

	return portmap_start(&config, &server->portmap);
}

void
server_quiet(struct server *server, uint64_t timeout_ms)
{
	portmap_stop(&server->portmap);
	rpc_server_quiet(server->rpc, timeout_ms);
}

void
server_stop(struct server *server, uint64_t timeout_ms)
{
	portmap_stop(&server->portmap);
	rpc_server_stop(server->rpc, timeout_ms);
	/* Calls that are queued until server_free hold connections.  When
	 * those end there may be no gate any more. */
	__atomic_store_n(&server->gate, NULL, __ATOMIC_RELAXED);
}

void
server_free(struct server **server)
{
	if (*server == NULL)
		return;
	portmap_stop(&(*server)->portmap);
	rpc_server_free(&(*server)->rpc);
	mount3_free(&(*server)->mounts);
	clients_free(&(*server)->clients);
	fh_signer_free(&(*server)->nfs.signer);
	free(*server);
	*server = NULL;
}

struct waiting {
	enum gate_identity identity;
	const char *who;
};

static bool
is_waiting(void *arg, const struct rpc_cred *cred,
	   const struct sockaddr_storage *peer)
{
	const struct waiting *w = arg;
	struct gate_client who = {0};
	uint16_t port;

	if (!exports_peer(peer, &who.addr, &port))
		return false;
	memcpy(who.name, cred->machine, sizeof(who.name) - 1);
	return gate_client_is(w->identity, &who, w->who);
}

bool
server_waits(struct rpc_server *rpc, enum gate_identity identity,
	     const char *who, uint64_t since_ms)
{
	struct waiting w = { identity, who };

	return rpc != NULL && rpc_server_waits(rpc, is_waiting, &w, since_ms);
}

uint64_t
server_unread_ms(struct rpc_server *rpc, enum gate_identity identity,
		 const char *who)
{
	struct waiting w = { identity, who };

	return rpc == NULL ? 0 : rpc_server_unread_ms(rpc, is_waiting, &w);
}

struct rpc_server *
server_rpc(struct server *server)
{
	return server->rpc;
}

struct mount3 *
server_mounts(struct server *server)
{
	return server->mounts;
}

struct clients *
server_clients(struct server *server)
{
	return server->clients;
}
