/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast the transport is by itself, over loopback: calls a second with so
 * many in flight on one connection.  Not a test; `make tests/bench_rpc`, then
 *
 *	tests/bench_rpc [SECONDS] [IN-FLIGHT]
 */
#include <config.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/rpcfake.h"

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The same call over and over; replies are counted by their bytes. */
static double
measure(struct fake *fake, uint32_t procedure, uint32_t how, uint32_t len,
	size_t reply_bytes, unsigned depth, double seconds)
{
	static char data[1 << 20], in[1 << 20];
	struct fake_args args = { how, 0, len, { 0 } };
	struct rpcc c;
	unsigned char *message, *records;
	size_t size = 0, got = 0, done = 0;
	double start, end;

	if (procedure == FAKE_PLAIN || procedure == FAKE_CACHED)
		args.data = (nfsdata3){ len, data };
	if (fake_connect(fake, &c) < 0)
		return 0;
	message = rpcc_build(&c, 1, FAKE_PROGRAM, FAKE_V3, procedure,
			     procedure == FAKE_NULL ? (xdrproc_t)rpcc_void :
			     (xdrproc_t)xdr_fake_args, &args, &size);
	records = malloc((size + 4) * depth);
	if (message == NULL || records == NULL)
		return 0;
	for (unsigned i = 0; i < depth; i++) {
		uint32_t marker = htonl((uint32_t)size | 0x80000000U);

		memcpy(records + i * (size + 4), &marker, 4);
		memcpy(records + i * (size + 4) + 4, message, size);
	}
	start = end = now();
	if (rpcc_send_raw(&c, records, (size + 4) * depth) < 0)
		return 0;
	while (end < start + seconds) {
		ssize_t n = read(c.fd, in, sizeof(in));
		size_t whole;

		if (n <= 0)
			return 0;
		got += (size_t)n;
		whole = got / reply_bytes;
		got %= reply_bytes;
		done += whole;
		if (whole > 0 && rpcc_send_raw(&c, records,
					       (size + 4) * whole) < 0)
			return 0;
		end = now();
	}
	rpcc_close(&c);
	free(message);
	free(records);
	return (double)done / (end - start);
}

int
main(int argc, char **argv)
{
	double seconds = argc > 1 ? atof(argv[1]) : 1;
	unsigned depth = argc > 2 ? (unsigned)atoi(argv[2]) : 64;
	struct fake fake;
	double rate;

	if (depth == 0 || depth > 128 || fake_start(&fake, NULL) < 0)
		return 1;
	rate = measure(&fake, FAKE_NULL, 0, 0, 28, depth, seconds);
	printf("NULL inline, %u in flight: %.0f calls/s\n", depth, rate);
	rate = measure(&fake, FAKE_PLAIN, FAKE_NOW, 40, 44, depth, seconds);
	printf("40 bytes inline, %u in flight: %.0f calls/s\n", depth, rate);
	rate = measure(&fake, FAKE_PLAIN, FAKE_THREAD, 40, 44, depth, seconds);
	printf("40 bytes on workers, %u in flight: %.0f calls/s\n", depth,
	       rate);
	rate = measure(&fake, FAKE_CACHED, FAKE_NOW, 40, 44, depth,
		       seconds);
	printf("replayed from the cache, %u in flight: %.0f calls/s\n", depth,
	       rate);
	rate = measure(&fake, FAKE_NULL, 0, 0, 28, 1, seconds);
	printf("NULL inline, 1 in flight: %.0f calls/s\n", rate);
	rate = measure(&fake, FAKE_PLAIN, FAKE_UNREAD, 1 << 20, 44, 8,
		       seconds);
	printf("1 MiB in, inline, 8 in flight: %.0f MiB/s\n", rate);
	rate = measure(&fake, FAKE_PLAIN, FAKE_UNREAD_THREAD, 1 << 20, 44, 8,
		       seconds);
	printf("1 MiB in, on workers, 8 in flight: %.0f MiB/s\n", rate);
	rate = measure(&fake, FAKE_READ, FAKE_NOW, 1 << 20,
		       44 + (1 << 20), 8, seconds);
	printf("1 MiB out, inline, 8 in flight: %.0f MiB/s\n", rate);
	fake_stop(&fake);
	return 0;
}
