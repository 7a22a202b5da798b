/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One listing of a directory over the wire, for tests/check-listing:
 *
 *	listing HOST PORT EXPORT [PATH] [-p] [-m NAME] [-n FILE] [-b BYTES]
 *
 * -p READDIRPLUS; -m: rename PATH, of one part, to that name first; -n: the
 * names, each with a NUL behind it, in the order in which they came; -b: size
 * of a reply.  Prints one line, `entries N twice N first S total S longest S`:
 * names that came twice, and the time to the first reply with a name other
 * than . and .., to the end, and of the longest call; with -m one before it,
 * `renamed S`.
 */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "tests/rpcclient.h"

#define ENTRIES 4096

struct name {
	UT_hash_handle hh;
	char text[];
};

struct listing {
	struct rpcc c;
	struct nc_fh root, dir;
	bool plus;
	uint32_t bytes;
	FILE *names;
	struct name *seen;
	unsigned long entries, twice;
	double first, longest;
};

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
take(struct listing *l, const struct nc_entry *e, double since)
{
	size_t len = strlen(e->name);
	struct name *n;

	if (strcmp(e->name, ".") == 0 || strcmp(e->name, "..") == 0)
		return;
	if (l->entries == 0)
		l->first = since;
	HASH_FIND(hh, l->seen, e->name, len, n);
	if (n != NULL) {
		l->twice++;
	} else if ((n = malloc(sizeof(*n) + len + 1)) != NULL) {
		memcpy(n->text, e->name, len + 1);
		HASH_ADD_KEYPTR(hh, l->seen, n->text, len, n);
	}
	l->entries++;
	if (l->names != NULL) {
		fputs(e->name, l->names);
		fputc('\0', l->names);
	}
}

static int
walk(struct listing *l, double start)
{
	static struct nc_entry entries[ENTRIES];
	uint64_t cookie = 0;
	uint8_t verf[8] = {0};
	bool eof = false;

	while (!eof) {
		double asked = now();
		unsigned count = 0;
		int r = l->plus ?
			nc_readdirplus(&l->c, &l->dir, cookie, verf, l->bytes,
				       l->bytes, entries, ENTRIES, &count,
				       &eof) :
			nc_readdir(&l->c, &l->dir, cookie, verf, l->bytes,
				   entries, ENTRIES, &count, &eof);

		if (r == NFS3ERR_JUKEBOX) {
			usleep(50000);
			continue;
		}
		if (r != 0)
			return r;
		if (now() - asked > l->longest)
			l->longest = now() - asked;
		for (unsigned i = 0; i < count && i < ENTRIES; i++)
			take(l, &entries[i], now() - start);
		if (count > 0)
			cookie = entries[count - 1].cookie;
	}
	return 0;
}

static int
go(struct listing *l, char **argv, const char *path)
{
	struct nc_fh up;
	char *text = strdup(path), *rest = text, *name;
	int r = rpcc_open(&l->c, NULL, argv[1], (uint16_t)atoi(argv[2]),
			  false);

	l->c.timeout_ms = 120000;
	if (r == 0) {
		rpcc_identity(&l->c, "lister", 0, 0, 0, NULL);
		r = nc_mnt(&l->c, argv[3], &l->dir);
		l->root = l->dir;
	}
	while (r == 0 && (name = strsep(&rest, "/")) != NULL) {
		up = l->dir;
		if (name[0] != '\0')
			r = nc_lookup(&l->c, &up, name, &l->dir, NULL);
	}
	free(text);
	return r;
}

static int
rename_to(struct listing *l, const char *from, const char *to)
{
	double start = now();
	int r;

	while ((r = nc_rename(&l->c, &l->root, from, &l->root, to)) ==
	       NFS3ERR_JUKEBOX)
		usleep(50000);
	if (r == 0)
		printf("renamed %.4f\n", now() - start);
	return r;
}

int
main(int argc, char **argv)
{
	struct listing l = { .bytes = 65536 };
	const char *path = "", *to = NULL;
	double start, end;
	int option, r;

	while ((option = getopt(argc, argv, "pm:n:b:")) != -1) {
		if (option == 'p')
			l.plus = true;
		else if (option == 'm')
			to = optarg;
		else if (option == 'n')
			l.names = fopen(optarg, "w");
		else if (option == 'b')
			l.bytes = (uint32_t)strtoul(optarg, NULL, 10);
		else
			return 2;
	}
	if (argc - optind < 3)
		return 2;
	if (argc - optind > 3)
		path = argv[optind + 3];
	r = go(&l, argv + optind - 1, path);
	if (r == 0 && to != NULL)
		r = rename_to(&l, path, to);
	start = now();
	if (r == 0)
		r = walk(&l, start);
	end = now();
	if (l.names != NULL && fclose(l.names) != 0)
		r = -1;
	printf("entries %lu twice %lu first %.3f total %.3f longest %.3f\n",
	       l.entries, l.twice, l.first, end - start, l.longest);
	if (r != 0)
		fprintf(stderr, "listing: error %d\n", r);
	return r != 0;
}
