/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nfsload: one load case against any NFSv3 server over the wire.  Mounts
 * with explicit ports, runs the case, prints one line of JSON: operations,
 * bytes, seconds, latencies, and its own CPU time, so that it is seen when
 * the generator and not the server was the limit.  Exit status 0 only if
 * every answer was right.
 */
#include <config.h>

#include "tests/bench/load.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static const struct {
	const char *name;
	int (*run)(struct load *l);
	const char *args;
} cases[] = {
	{ "write", load_write, "NAME BYTES SEED" },
	{ "read", load_read, "NAME BYTES SEED" },
	{ "randread", load_randread, "NAME BYTES SEED" },
	{ "getattr", load_getattr, "DIR COUNT" },
	{ "lookup", load_lookup, "DIR COUNT" },
	{ "readdirplus", load_readdirplus, "DIR COUNT" },
	{ "create", load_create, "DIR COUNT" },
	{ "verify", load_verify, "DIR COUNT" },
	{ "remove", load_remove, "DIR COUNT" },
};

static int
usage(void)
{
	fputs("usage: nfsload --port N [--mount-port N] --export PATH "
	      "[--host ADDR]\n"
	      "       [--conns N] [--inflight N] [--seconds S] [--io BYTES] "
	      "CASE ARG...\n"
	      "cases:\n", stderr);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		fprintf(stderr, "  %s %s\n", cases[i].name, cases[i].args);
	return 2;
}

uint64_t
load_number(struct load *l, unsigned index)
{
	char *end = NULL;
	uint64_t v = 0;

	if (index < l->arg_count)
		v = strtoull(l->args[index], &end, 10);
	if (end == NULL || *end != '\0' || end == l->args[index])
		wire_fail(&l->w, "argument %u is not a number", index + 1);
	return v;
}

const char *
load_string(struct load *l, unsigned index)
{
	if (index < l->arg_count)
		return l->args[index];
	wire_fail(&l->w, "argument %u is missing", index + 1);
	return "";
}

void
load_name(uint64_t i, char name[LOAD_NAME_BYTES])
{
	snprintf(name, LOAD_NAME_BYTES, "file-%08llu.dat",
		 (unsigned long long)i);
}

uint64_t
load_seed(uint64_t i)
{
	return 1000003 + i;
}

void
load_begin(struct load *l)
{
	l->began_ns = now_ns();
	l->stop_ns = l->began_ns + (uint64_t)(l->seconds * 1e9);
}

void
load_end(struct load *l)
{
	l->ended_ns = now_ns();
}

bool
load_jukebox(struct load *l, struct slot *s, uint32_t status)
{
	if (status != NFS3ERR_JUKEBOX)
		return false;
	wire_retry(&l->w, s);
	return true;
}

static double
cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
		(double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void
print_result(const struct load *l, const char *name)
{
	double s = (double)(l->ended_ns - l->began_ns) / 1e9;

	printf("{\"case\":\"%s\",\"ops\":%llu,\"bytes\":%llu,\"seconds\":%.6f,"
	       "\"began_s\":%.6f,\"ops_per_s\":%.1f,\"mib_per_s\":%.2f,\"commit_s\":%.6f,"
	       "\"p50_us\":%.1f,\"p99_us\":%.1f,\"max_us\":%.1f,"
	       "\"jukebox\":%llu,\"client_cpu_s\":%.3f}\n",
	       name, (unsigned long long)l->ops, (unsigned long long)l->bytes,
	       s, (double)l->began_ns / 1e9, s > 0 ? (double)l->ops / s : 0,
	       s > 0 ? (double)l->bytes / s / (1 << 20) : 0, l->commit_s,
	       wire_quantile_us(&l->w, 0.5), wire_quantile_us(&l->w, 0.99),
	       wire_quantile_us(&l->w, 0.9999999),
	       (unsigned long long)l->w.jukebox, cpu_seconds());
}

struct options {
	const char *host, *export;
	unsigned port, mount_port, conns, inflight, io;
	double seconds;
};

static int
parse(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "host", 1, NULL, 'h' }, { "port", 1, NULL, 'p' },
		{ "mount-port", 1, NULL, 'm' }, { "export", 1, NULL, 'e' },
		{ "conns", 1, NULL, 'c' }, { "inflight", 1, NULL, 'i' },
		{ "seconds", 1, NULL, 's' }, { "io", 1, NULL, 'b' },
		{ NULL, 0, NULL, 0 }
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 'h': o->host = optarg; break;
		case 'p': o->port = (unsigned)atoi(optarg); break;
		case 'm': o->mount_port = (unsigned)atoi(optarg); break;
		case 'e': o->export = optarg; break;
		case 'c': o->conns = (unsigned)atoi(optarg); break;
		case 'i': o->inflight = (unsigned)atoi(optarg); break;
		case 's': o->seconds = atof(optarg); break;
		case 'b': o->io = (unsigned)atoi(optarg); break;
		default: return -1;
		}
	}
	if (o->mount_port == 0)
		o->mount_port = o->port;
	return o->port == 0 || o->export == NULL || optind >= argc ? -1 : 0;
}

int
main(int argc, char **argv)
{
	static struct load l;
	struct options o = { .host = "127.0.0.1", .conns = 1, .inflight = 64,
			     .seconds = 5 };
	size_t i, count = sizeof(cases) / sizeof(*cases);
	struct fh root = {0};
	char error[320] = "";

	if (parse(&o, argc, argv) < 0)
		return usage();
	for (i = 0; i < count; i++)
		if (strcmp(cases[i].name, argv[optind]) == 0)
			break;
	if (i == count)
		return usage();
	if (nfs_mount(o.host, o.mount_port, o.export, &root, error,
		      sizeof(error)) < 0) {
		fprintf(stderr, "nfsload: %s\n", error);
		return 1;
	}
	if (wire_open(&l.w, o.host, o.port, o.conns, o.inflight, 0) == 0) {
		pattern_init(&l.pattern);
		l.root = root;
		l.io_bytes = o.io;
		l.seconds = o.seconds;
		l.args = argv + optind + 1;
		l.arg_count = (unsigned)(argc - optind - 1);
		if (cases[i].run(&l) == 0)
			print_result(&l, cases[i].name);
		else if (l.w.error[0] == '\0')
			wire_fail(&l.w, "failed");
	}
	if (l.w.error[0] != '\0')
		fprintf(stderr, "nfsload: %s: %s\n", cases[i].name,
			l.w.error);
	i = l.w.error[0] != '\0';
	wire_close(&l.w);
	return (int)i;
}
