/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_RPC_PORTMAP_H
#define NFSD_RPC_PORTMAP_H

/*
 * How clients find our programs on port 111 (RFC 1833): we register with the
 * rpcbind of this machine, or answer there ourselves.
 */

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

enum portmap_mode {	/* --portmap; the order is options.h's */
	PORTMAP_MODE_AUTO, PORTMAP_MODE_BUILTIN, PORTMAP_MODE_RPCBIND,
	PORTMAP_MODE_OFF
};

struct portmap_row {
	uint32_t program, version;
	bool udp;
	uint16_t port;		/* host order */
};

#define PORTMAP_ROWS_MAX 64

struct portmap_config {
	enum portmap_mode mode;
	const struct portmap_row *rows;	/* copied */
	unsigned row_count;
	/* Where the programs listen; the built-in portmapper listens on the
	 * same address.  Its port is ignored. */
	const struct sockaddr *address;
	socklen_t address_len;
	uint16_t port;		/* 0: 111; for tests */
};

struct portmap;

/*
 * AUTO: with a rpcbind that answers on 127.0.0.1, else ourselves, else not at
 * all; that is said in the log and is no error.  The other modes do what they
 * say or fail: -EADDRINUSE (somebody else is on the port, or another server
 * has registered the programs), -EACCES, -ECONNREFUSED (no rpcbind), -ENOMEM.
 * May wait some seconds for a rpcbind.
 */
int portmap_start(const struct portmap_config *config, struct portmap **out)
	__attribute__((warn_unused_result));

/* What it came to: BUILTIN, RPCBIND or OFF. */
enum portmap_mode portmap_mode_used(const struct portmap *portmap);

/* Unregisters, stops, frees. */
void portmap_stop(struct portmap **portmap);

/* ---- between portmap.c and portmap_rpcbind.c ---- */

/* Does a portmapper answer on 127.0.0.1:port? */
bool portmap_rpcbind_answers(uint16_t port);
/* Register all rows (also for IPv6); *done tells how many were. */
int portmap_rpcbind_set(const struct portmap_row *rows, unsigned count,
			bool ipv6, unsigned *done)
	__attribute__((warn_unused_result));
void portmap_rpcbind_unset(const struct portmap_row *rows, unsigned count,
			   bool ipv6);

#endif
