/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The portmapper: which of the ways of portmap.h is taken, and the built-in
 * one, a small RPC server of its own with one event thread.
 *
 * It answers lookups for the rows it was given and for itself.  Nobody can
 * set or unset anything.  The procedures that call others on behalf of the
 * caller (CALLIT, BCAST, INDIRECT) do not exist: they have been the source of
 * most of rpcbind's troubles.  A datagram is never answered by a larger one,
 * so that we are no use for reflection: listings go over TCP, or over UDP to
 * this machine itself.
 */
#include <config.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "nfsd/log.h"
#include "nfsd/rpc/portmap.h"
#include "nfsd/rpc/inside.h"
#include "rpcgen/pmap.h"

struct portmap {
	enum portmap_mode used;
	bool ipv6;
	struct portmap_row rows[PORTMAP_ROWS_MAX + 6];
	unsigned count;
	unsigned registered;	/* with rpcbind */
	struct rpc_server *server;
	struct rpc_program program;
};

/* ---- lookups ---- */

/*
 * As rpcbind does: the version asked for, or else another one of the program,
 * whose server will say which versions it has.
 */
static const struct portmap_row *
find(const struct portmap *portmap, uint32_t program, uint32_t version,
     bool udp, bool exact)
{
	const struct portmap_row *other = NULL;

	for (unsigned i = 0; i < portmap->count; i++) {
		const struct portmap_row *row = &portmap->rows[i];

		if (row->program != program || row->udp != udp)
			continue;
		if (row->version == version)
			return row;
		other = row;
	}
	return exact ? NULL : other;
}

static bool
is_loopback(const struct sockaddr_storage *peer)
{
	struct in6_addr addr;

	rpc_address(peer, &addr);
	return IN6_IS_ADDR_LOOPBACK(&addr) ||
	       (IN6_IS_ADDR_V4MAPPED(&addr) && addr.s6_addr[12] == 127);
}

/* A listing may be larger than the question. */
static bool
may_list(const struct rpc_request *rq)
{
	return !rq->udp || is_loopback(&rq->peer);
}

/* The address that was asked, and the row's port: "192.0.2.1.8.1"
 * (RFC 1833 2.1 and RFC 5665 5.2.3).  malloc. */
static char *
universal(const struct rpc_request *rq, const struct portmap_row *row)
{
	char host[INET6_ADDRSTRLEN] = "0.0.0.0", *text;
	struct sockaddr_storage local = { 0 };
	struct in6_addr addr;

	if (rpc_local_address(rq, &local) == 0) {
		rpc_address(&local, &addr);
		if (IN6_IS_ADDR_V4MAPPED(&addr))
			inet_ntop(AF_INET, addr.s6_addr + 12, host,
				  sizeof(host));
		else
			inet_ntop(AF_INET6, &addr, host, sizeof(host));
	}
	if (asprintf(&text, "%s.%u.%u", host, row->port >> 8,
		     row->port & 0xff) < 0)
		return NULL;
	return text;
}

/* ---- version 2 ---- */

static enum rpc_outcome
null_run(struct rpc_request *rq, void *args, void *res)
{
	(void)rq;
	(void)args;
	(void)res;
	return RPC_DONE;
}

/* SET and UNSET: no. */
static enum rpc_outcome
refuse_run(struct rpc_request *rq, void *args, void *res)
{
	(void)rq;
	(void)args;
	*(bool_t *)res = FALSE;
	return RPC_DONE;
}

static enum rpc_outcome
getport_run(struct rpc_request *rq, void *args, void *res)
{
	const struct portmap *portmap = rq->program_arg;
	const pmap2_mapping *asked = args;
	const struct portmap_row *row = NULL;

	if (asked->prot == PMAP2_TCP || asked->prot == PMAP2_UDP)
		row = find(portmap, asked->prog, asked->vers,
			   asked->prot == PMAP2_UDP, false);
	*(u_int *)res = row == NULL ? 0 : row->port;
	return RPC_DONE;
}

static enum rpc_outcome
dump_run(struct rpc_request *rq, void *args, void *res)
{
	const struct portmap *portmap = rq->program_arg;
	pmap2_entry **at = &((pmap2_list *)res)->first;

	(void)args;
	if (!may_list(rq))
		return RPC_SYSTEM_ERR;
	for (unsigned i = 0; i < portmap->count; i++) {
		const struct portmap_row *row = &portmap->rows[i];

		*at = calloc(1, sizeof(**at));
		if (*at == NULL)
			break;
		(*at)->map = (pmap2_mapping){
			row->program, row->version,
			row->udp ? PMAP2_UDP : PMAP2_TCP, row->port,
		};
		at = &(*at)->next;
	}
	return RPC_DONE;
}

/* ---- versions 3 and 4 ---- */

/* By name, or the way the question came (RFC 1833 2.2.1). */
static bool
wants_udp(const struct rpc_request *rq, const char *netid)
{
	if (netid != NULL && strncmp(netid, "udp", 3) == 0)
		return true;
	if (netid != NULL && strncmp(netid, "tcp", 3) == 0)
		return false;
	return rq->udp;
}

static enum rpc_outcome
address_of(struct rpc_request *rq, const rpcb3_mapping *asked, bool exact,
	   char **res)
{
	const struct portmap *portmap = rq->program_arg;
	const struct portmap_row *row;

	row = find(portmap, asked->r_prog, asked->r_vers,
		   wants_udp(rq, asked->r_netid), exact);
	*res = row == NULL ? strdup("") : universal(rq, row);
	return *res == NULL ? RPC_SYSTEM_ERR : RPC_DONE;
}

static enum rpc_outcome
getaddr_run(struct rpc_request *rq, void *args, void *res)
{
	return address_of(rq, args, false, res);
}

static enum rpc_outcome
getversaddr_run(struct rpc_request *rq, void *args, void *res)
{
	return address_of(rq, args, true, res);
}

static enum rpc_outcome
gettime_run(struct rpc_request *rq, void *args, void *res)
{
	(void)rq;
	(void)args;
	*(u_int *)res = (u_int)time(NULL);
	return RPC_DONE;
}

static enum rpc_outcome
dump3_run(struct rpc_request *rq, void *args, void *res)
{
	const struct portmap *portmap = rq->program_arg;
	rpcb3_list *list = res;
	rpcb3_entry **at = &list->first;
	bool v6 = rq->peer.ss_family == AF_INET6;

	(void)args;
	if (!may_list(rq))
		return RPC_SYSTEM_ERR;
	for (unsigned i = 0; i < portmap->count; i++) {
		const struct portmap_row *row = &portmap->rows[i];
		rpcb3_entry *entry = *at = calloc(1, sizeof(*entry));

		if (entry == NULL)
			break;
		at = &entry->next;
		entry->map.r_prog = row->program;
		entry->map.r_vers = row->version;
		entry->map.r_netid = strdup(row->udp ? v6 ? "udp6" : "udp" :
					    v6 ? "tcp6" : "tcp");
		entry->map.r_addr = universal(rq, row);
		entry->map.r_owner = strdup("s3nfsd");
		if (entry->map.r_netid == NULL ||
		    entry->map.r_addr == NULL || entry->map.r_owner == NULL) {
			xdr_free((xdrproc_t)xdr_rpcb3_list, res);
			list->first = NULL;
			return RPC_SYSTEM_ERR;
		}
	}
	return RPC_DONE;
}

/* ---- the program ---- */

static bool_t
xdr_nothing(XDR *xdrs, void *nothing)
{
	(void)xdrs;
	(void)nothing;
	return TRUE;
}

#define PROC(name, xdr_args, args, xdr_res, res, run)                         \
	{ name, (xdrproc_t)(xdr_args), args, (xdrproc_t)(xdr_res), res,       \
	  false, run }
#define MAPPING xdr_pmap2_mapping, sizeof(pmap2_mapping)
#define MAPPING3 xdr_rpcb3_mapping, sizeof(rpcb3_mapping)
#define NOTHING xdr_nothing, 0
#define PROC3(...) PROC(__VA_ARGS__)

static const struct rpc_procedure version2[] = {
	PROC3("PMAPPROC_NULL", NOTHING, NOTHING, null_run),
	PROC3("PMAPPROC_SET", MAPPING, xdr_bool, sizeof(bool_t), refuse_run),
	PROC3("PMAPPROC_UNSET", MAPPING, xdr_bool, sizeof(bool_t),
	      refuse_run),
	PROC3("PMAPPROC_GETPORT", MAPPING, xdr_u_int, sizeof(u_int),
	      getport_run),
	PROC3("PMAPPROC_DUMP", NOTHING, xdr_pmap2_list, sizeof(pmap2_list),
	      dump_run),
};

/* 5 CALLIT is missing on purpose; 7 and 8 nobody asks over the net. */
#define VERSION3                                                              \
	[0] = PROC3("RPCBPROC_NULL", NOTHING, NOTHING, null_run),             \
	[1] = PROC3("RPCBPROC_SET", MAPPING3, xdr_bool, sizeof(bool_t),       \
		    refuse_run),                                              \
	[2] = PROC3("RPCBPROC_UNSET", MAPPING3, xdr_bool, sizeof(bool_t),     \
		    refuse_run),                                              \
	[3] = PROC3("RPCBPROC_GETADDR", MAPPING3, xdr_rpcb3_string,           \
		    sizeof(rpcb3_string), getaddr_run),                       \
	[4] = PROC3("RPCBPROC_DUMP", NOTHING, xdr_rpcb3_list,                 \
		    sizeof(rpcb3_list), dump3_run),                           \
	[6] = PROC3("RPCBPROC_GETTIME", NOTHING, xdr_u_int, sizeof(u_int),    \
		    gettime_run)

static const struct rpc_procedure version3[] = { VERSION3 };
static const struct rpc_procedure version4[] = {
	VERSION3,
	[9] = PROC3("RPCBPROC_GETVERSADDR", MAPPING3, xdr_rpcb3_string,
		    sizeof(rpcb3_string), getversaddr_run),
};

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static const struct rpc_version versions[] = {
	{ PMAP2_VERSION, version2, COUNT(version2) },
	{ RPCB3_VERSION, version3, COUNT(version3) },
	{ RPCB4_VERSION, version4, COUNT(version4) },
};

static void
add_own_rows(struct portmap *portmap, uint16_t port)
{
	for (uint32_t version = 2; version <= 4; version++) {
		for (int udp = 0; udp < 2; udp++)
			portmap->rows[portmap->count++] = (struct portmap_row){
				PMAP2_PROGRAM, version, udp != 0, port,
			};
	}
}

static int
start_builtin(struct portmap *portmap, const struct portmap_config *config,
	      uint16_t port)
{
	struct sockaddr_storage address = { 0 };
	struct rpc_server_config server = {
		.programs = &portmap->program,
		.program_count = 1,
		.limits = { .event_threads = 1, .workers = 1,
			    .connections = 128, .connections_per_host = 32,
			    .buffer_bytes = 8 << 20, .idle_s = 30,
			    .reply_cache_bytes = 4096 },
	};
	int r;

	if (config->address_len > sizeof(address))
		return -EINVAL;
	memcpy(&address, config->address, config->address_len);
	if (address.ss_family == AF_INET6)
		((struct sockaddr_in6 *)&address)->sin6_port = htons(port);
	else
		((struct sockaddr_in *)&address)->sin_port = htons(port);
	portmap->program = (struct rpc_program){
		PMAP2_PROGRAM, versions, COUNT(versions), true, portmap,
	};
	r = rpc_server_new(&server, &portmap->server);
	for (int udp = 0; udp < 2 && r == 0; udp++)
		r = rpc_listen(portmap->server, (struct sockaddr *)&address,
			       config->address_len, udp != 0, NULL, NULL);
	if (r == 0) {
		add_own_rows(portmap, port);
		r = rpc_server_start(portmap->server);
	}
	if (r < 0)
		rpc_server_free(&portmap->server);
	return r;
}

static int
start_rpcbind(struct portmap *portmap)
{
	int r = portmap_rpcbind_set(portmap->rows, portmap->count,
				    portmap->ipv6, &portmap->registered);

	if (r < 0) {
		portmap_rpcbind_unset(portmap->rows, portmap->registered,
				      portmap->ipv6);
		portmap->registered = 0;
	}
	return r;
}

/* Chooses and begins; 0 with used set, or an error. */
static int
begin(struct portmap *portmap, const struct portmap_config *config)
{
	uint16_t port = config->port == 0 ? PMAP2_PORT : config->port;
	bool is_auto = config->mode == PORTMAP_MODE_AUTO, there = false;
	int r;

	portmap->used = PORTMAP_MODE_OFF;
	if (config->mode == PORTMAP_MODE_OFF)
		return 0;
	if (config->mode != PORTMAP_MODE_BUILTIN)
		there = portmap_rpcbind_answers(port);
	if (there) {
		r = start_rpcbind(portmap);
		portmap->used =
		    r == 0 ? PORTMAP_MODE_RPCBIND : PORTMAP_MODE_OFF;
		if (r < 0)
			log_warn("portmap", "rpcbind is running and does not "
				 "register us: %s%s", strerror(-r),
				 r == -EADDRINUSE ?
				 " (another NFS server is registered)" : "");
	} else if (config->mode == PORTMAP_MODE_RPCBIND) {
		return -ECONNREFUSED;
	} else {
		r = start_builtin(portmap, config, port);
		portmap->used =
		    r == 0 ? PORTMAP_MODE_BUILTIN : PORTMAP_MODE_OFF;
		if (r < 0)
			log_warn("portmap", "cannot answer on port %u: %s",
				 port, strerror(-r));
	}
	if (r < 0 && is_auto)
		log_warn("portmap", "going on without: clients must mount "
			 "with -o port=,mountport=,mountproto=tcp");
	return is_auto ? 0 : r;
}

int
portmap_start(const struct portmap_config *config, struct portmap **out)
{
	struct portmap *portmap;
	int r;

	if (config->row_count > PORTMAP_ROWS_MAX)
		return -EINVAL;
	portmap = calloc(1, sizeof(*portmap));
	if (portmap == NULL)
		return -ENOMEM;
	memcpy(portmap->rows, config->rows,
	       config->row_count * sizeof(*config->rows));
	portmap->count = config->row_count;
	portmap->ipv6 = config->address != NULL &&
			config->address->sa_family == AF_INET6;
	r = begin(portmap, config);
	if (r < 0)
		portmap_stop(&portmap);
	else
		*out = portmap;
	return r;
}

enum portmap_mode
portmap_mode_used(const struct portmap *portmap)
{
	return portmap->used;
}

void
portmap_stop(struct portmap **slot)
{
	struct portmap *portmap = *slot;

	*slot = NULL;
	if (portmap == NULL)
		return;
	if (portmap->registered > 0)
		portmap_rpcbind_unset(portmap->rows, portmap->registered,
				      portmap->ipv6);
	if (portmap->server != NULL)
		rpc_server_stop(portmap->server, 100);
	rpc_server_free(&portmap->server);
	free(portmap);
}
