/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The built-in portmapper, on a port of its own, asked with our client; and
 * the choice between it and a rpcbind, for which it stands in.
 */
#include <config.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nfsd/rpc/portmap.h"
#include "rpcgen/pmap.h"
#include "tests/rpcclient.h"
#include "tests/unit.h"

static const struct portmap_row rows[] = {
	{ 100003, 3, false, 2049 }, { 100005, 1, false, 2049 },
	{ 100005, 3, false, 2049 }, { 100005, 1, true, 2050 },
	{ 100005, 3, true, 2050 },
};

/* A port that is free for TCP, and likely for UDP. */
static uint16_t
free_port(void)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	CU_ASSERT(bind(fd, (struct sockaddr *)&address, len) == 0);
	CU_ASSERT(getsockname(fd, (struct sockaddr *)&address, &len) == 0);
	close(fd);
	return ntohs(address.sin_port);
}

static struct portmap *
start(enum portmap_mode mode, uint16_t port, int *result)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct portmap_config config = {
		.mode = mode, .rows = rows,
		.row_count = sizeof(rows) / sizeof(*rows),
		.address = (struct sockaddr *)&address,
		.address_len = sizeof(address), .port = port,
	};
	struct portmap *portmap = NULL;

	*result = portmap_start(&config, &portmap);
	return portmap;
}

static u_int
getport(struct rpcc *c, uint32_t program, uint32_t version, uint32_t prot)
{
	pmap2_mapping args = { program, version, prot, 0 };
	u_int port = 77;

	CU_ASSERT(rpcc_call(c, PMAP2_PROGRAM, 2, PMAP2_GETPORT,
			    (xdrproc_t)xdr_pmap2_mapping, &args,
			    (xdrproc_t)xdr_u_int, &port) == 0);
	return port;
}

static void
ports_are_told_over_tcp_and_udp(void)
{
	uint16_t port = free_port();
	int r;
	struct portmap *portmap = start(PORTMAP_MODE_BUILTIN, port, &r);

	CU_ASSERT_FATAL(r == 0);
	CU_ASSERT(portmap_mode_used(portmap) == PORTMAP_MODE_BUILTIN);
	for (int udp = 0; udp < 2; udp++) {
		struct rpcc c;

		CU_ASSERT_FATAL(rpcc_open(&c, NULL, "127.0.0.1", port,
					  udp != 0) == 0);
		CU_ASSERT(getport(&c, 100003, 3, PMAP2_TCP) == 2049);
		CU_ASSERT(getport(&c, 100003, 3, PMAP2_UDP) == 0);
		CU_ASSERT(getport(&c, 100005, 1, PMAP2_UDP) == 2050);
		/* Another version: the program's server refuses it itself. */
		CU_ASSERT(getport(&c, 100003, 4, PMAP2_TCP) == 2049);
		CU_ASSERT(getport(&c, 100021, 4, PMAP2_TCP) == 0);
		CU_ASSERT(getport(&c, 100000, 2, PMAP2_TCP) == port);
		CU_ASSERT(getport(&c, 100003, 3, 99) == 0);
		rpcc_close(&c);
	}
	portmap_stop(&portmap);
}

static void
getaddr_names_the_address_that_was_asked(void)
{
	uint16_t port = free_port();
	int r;
	struct portmap *portmap = start(PORTMAP_MODE_BUILTIN, port, &r);
	char none[] = "", tcp[] = "tcp", udp_id[] = "udp";

	CU_ASSERT_FATAL(r == 0);
	for (int udp = 0; udp < 2; udp++) {
		for (uint32_t version = 3; version <= 4; version++) {
			rpcb3_mapping args = { 100005, 3, tcp, none, none };
			char *res = NULL;
			struct rpcc c;

			CU_ASSERT_FATAL(rpcc_open(&c, NULL, "127.0.0.1", port,
						  udp != 0) == 0);
			CU_ASSERT(rpcc_call(&c, PMAP2_PROGRAM, version,
					    RPCB3_GETADDR,
					    (xdrproc_t)xdr_rpcb3_mapping,
					    &args,
					    (xdrproc_t)xdr_rpcb3_string,
					    &res) == 0);
			CU_ASSERT_FATAL(res != NULL);
			CU_ASSERT_STRING_EQUAL(res, "127.0.0.1.8.1");
			free(res);
			res = NULL;
			args.r_netid = udp_id;
			args.r_prog = 100003;
			CU_ASSERT(rpcc_call(&c, PMAP2_PROGRAM, version,
					    RPCB3_GETADDR,
					    (xdrproc_t)xdr_rpcb3_mapping,
					    &args,
					    (xdrproc_t)xdr_rpcb3_string,
					    &res) == 0);
			CU_ASSERT_STRING_EQUAL(res, "");
			free(res);
			rpcc_close(&c);
		}
	}
	portmap_stop(&portmap);
}

static void
nobody_can_set_unset_or_call_through_it(void)
{
	uint16_t port = free_port();
	pmap2_mapping args = { 100003, 3, PMAP2_TCP, 666 };
	int r;
	struct portmap *portmap = start(PORTMAP_MODE_BUILTIN, port, &r);
	struct rpcc c;

	CU_ASSERT_FATAL(r == 0);
	CU_ASSERT_FATAL(rpcc_open(&c, NULL, "127.0.0.1", port, false) == 0);
	for (uint32_t procedure = 1; procedure <= 2; procedure++) {
		bool_t done = TRUE;

		CU_ASSERT(rpcc_call(&c, PMAP2_PROGRAM, 2, procedure,
				    (xdrproc_t)xdr_pmap2_mapping, &args,
				    (xdrproc_t)xdr_bool, &done) == 0);
		CU_ASSERT(!done);
	}
	CU_ASSERT(getport(&c, 100003, 3, PMAP2_TCP) == 2049);
	for (uint32_t version = 2; version <= 4; version++)
		CU_ASSERT(rpcc_call(&c, PMAP2_PROGRAM, version, 5,
				    (xdrproc_t)xdr_pmap2_mapping, &args,
				    (xdrproc_t)rpcc_void, NULL) ==
			  RPCC_PROC_UNAVAIL);
	CU_ASSERT(rpcc_call(&c, PMAP2_PROGRAM, 4, 10,
			    (xdrproc_t)xdr_pmap2_mapping, &args,
			    (xdrproc_t)rpcc_void, NULL) ==
		  RPCC_PROC_UNAVAIL);
	rpcc_close(&c);
	portmap_stop(&portmap);
}

static void
dump_lists_every_row(void)
{
	uint16_t port = free_port();
	int r;
	struct portmap *portmap = start(PORTMAP_MODE_BUILTIN, port, &r);
	pmap2_list list = { NULL };
	rpcb3_list list3 = { NULL };
	unsigned count = 0;
	struct rpcc c;

	CU_ASSERT_FATAL(r == 0);
	CU_ASSERT_FATAL(rpcc_open(&c, NULL, "127.0.0.1", port, false) == 0);
	CU_ASSERT(rpcc_call(&c, PMAP2_PROGRAM, 2, PMAP2_DUMP,
			    (xdrproc_t)rpcc_void, NULL,
			    (xdrproc_t)xdr_pmap2_list, &list) == 0);
	for (pmap2_entry *e = list.first; e != NULL; e = e->next)
		count++;
	CU_ASSERT(count == 5 + 6);
	xdr_free((xdrproc_t)xdr_pmap2_list, &list);
	CU_ASSERT(rpcc_call(&c, PMAP2_PROGRAM, 3, RPCB3_DUMP,
			    (xdrproc_t)rpcc_void, NULL,
			    (xdrproc_t)xdr_rpcb3_list, &list3) == 0);
	CU_ASSERT_FATAL(list3.first != NULL);
	CU_ASSERT_STRING_EQUAL(list3.first->map.r_netid, "tcp");
	CU_ASSERT_STRING_EQUAL(list3.first->map.r_addr, "127.0.0.1.8.1");
	xdr_free((xdrproc_t)xdr_rpcb3_list, &list3);
	rpcc_close(&c);
	portmap_stop(&portmap);
}

static void
modes_choose_what_they_say(void)
{
	uint16_t port = free_port();
	int r;
	struct portmap *first, *second;

	first = start(PORTMAP_MODE_RPCBIND, port, &r);
	CU_ASSERT(r == -ECONNREFUSED && first == NULL);
	first = start(PORTMAP_MODE_OFF, port, &r);
	CU_ASSERT(r == 0);
	CU_ASSERT(portmap_mode_used(first) == PORTMAP_MODE_OFF);
	portmap_stop(&first);
	CU_ASSERT(!portmap_rpcbind_answers(port));
	first = start(PORTMAP_MODE_AUTO, port, &r);
	CU_ASSERT_FATAL(r == 0);
	CU_ASSERT(portmap_mode_used(first) == PORTMAP_MODE_BUILTIN);
	CU_ASSERT(portmap_rpcbind_answers(port));
	second = start(PORTMAP_MODE_BUILTIN, port, &r);
	CU_ASSERT(r == -EADDRINUSE && second == NULL);
	portmap_stop(&first);
	CU_ASSERT(!portmap_rpcbind_answers(port));
}

TEST_MAIN("nfsd_portmap",
	T(ports_are_told_over_tcp_and_udp),
	T(getaddr_names_the_address_that_was_asked),
	T(nobody_can_set_unset_or_call_through_it),
	T(dump_lists_every_row),
	T(modes_choose_what_they_say))
