/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast the S3 room is on a given store.
 *
 *	s3_speed URL ENDPOINT get|put|head|small|list IN_FLIGHT COUNT
 *
 * get: COUNT ranged GETs of 8 MiB out of one object; put: one multipart
 * upload of COUNT parts of 8 MiB; head, small: COUNT HEADs, PUTs of 4 KiB;
 * list: COUNT pages of what there is.  One line comes out.
 */
#include <config.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include "s3/s3.h"

#define BIG (8UL << 20)
#define SOURCE_PARTS 8

struct run {
	struct s3 *s3;
	const char *what;
	char *upload_id;
	unsigned count;
	unsigned next;		/* atomic */
	unsigned failed;	/* atomic */
	unsigned long listed;	/* atomic */
	struct s3_part *parts;
	char *bytes;		/* BIG of them */
};

static ssize_t
read_bytes(void *arg, uint64_t off, void *buf, size_t len)
{
	memcpy(buf, (const char *)arg + off, len);
	return (ssize_t)len;
}

static int
count_entry(void *arg, const struct s3_entry *e)
{
	struct run *run = arg;

	(void)e;
	__atomic_add_fetch(&run->listed, 1, __ATOMIC_RELAXED);
	return 0;
}

static int
one(struct run *run, unsigned i, char *buf)
{
	struct s3_source body = { .read = read_bytes, .arg = run->bytes };
	char key[64], etag[S3_ETAG_MAX], *next = NULL;
	const struct s3_list list = { .prefix = "speed-" };
	struct s3_object o;
	struct s3_error err;
	int r;

	if (strcmp(run->what, "get") == 0)
		return s3_get(run->s3, "speed-big", NULL,
			      i % SOURCE_PARTS * BIG, buf, BIG, NULL, &err) ==
		       (ssize_t)BIG ? 0 : -1;
	if (strcmp(run->what, "put") == 0) {
		body.len = BIG;
		run->parts[i].number = i + 1;
		return s3_upload_part(run->s3, "speed-put", run->upload_id,
				      i + 1, &body, run->parts[i].etag, &err);
	}
	snprintf(key, sizeof(key), "speed-%u", i % 1000);
	if (strcmp(run->what, "small") == 0) {
		body.len = 4096;
		return s3_put(run->s3, key, &body, NULL, NULL, etag, &err);
	}
	if (strcmp(run->what, "list") == 0) {
		r = s3_list_page(run->s3, &list, count_entry, run, &next,
				 &err);
		free(next);
		return r;
	}
	r = s3_head(run->s3, key, &o, &err);
	if (r == 0)
		s3_object_free(&o);
	return r;
}

static void *
work(void *arg)
{
	struct run *run = arg;
	char *buf = malloc(BIG);

	for (;;) {
		unsigned i = __atomic_fetch_add(&run->next, 1,
						__ATOMIC_RELAXED);

		if (i >= run->count || buf == NULL)
			break;
		if (one(run, i, buf) != 0)
			__atomic_add_fetch(&run->failed, 1, __ATOMIC_RELAXED);
	}
	free(buf);
	return NULL;
}

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double
cpu(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* The object that get reads. */
static int
prepare(struct run *run)
{
	struct s3_part parts[SOURCE_PARTS] = {0};
	struct s3_source body = { .len = BIG, .read = read_bytes,
				  .arg = run->bytes };
	struct s3_error err;
	struct s3_object o;
	char *id, etag[S3_ETAG_MAX];
	int r = s3_head(run->s3, "speed-big", &o, &err);

	if (r == 0) {
		s3_object_free(&o);
		return 0;
	}
	r = s3_upload_create(run->s3, "speed-big", NULL, &id, &err);
	for (unsigned i = 0; r == 0 && i < SOURCE_PARTS; i++) {
		parts[i].number = i + 1;
		r = s3_upload_part(run->s3, "speed-big", id, i + 1, &body,
				   parts[i].etag, &err);
	}
	if (r == 0)
		r = s3_upload_complete(run->s3, "speed-big", id, parts,
				       SOURCE_PARTS, NULL, etag, &err);
	return r;
}

int
main(int argc, char **argv)
{
	struct s3_config config = { .max_requests = 256 };
	struct run run = {0};
	struct s3_error err;
	unsigned threads;
	pthread_t ids[256];
	double begin, used;
	char etag[S3_ETAG_MAX];

	if (argc != 6) {
		fprintf(stderr, "usage: s3_speed URL ENDPOINT get|put|head|"
			"small|list IN_FLIGHT COUNT\n");
		return 99;
	}
	config.url = argv[1];
	config.endpoint = *argv[2] ? argv[2] : NULL;
	run.what = argv[3];
	threads = (unsigned)atoi(argv[4]);
	run.count = (unsigned)atoi(argv[5]);
	run.parts = calloc(run.count + 1, sizeof(*run.parts));
	run.bytes = malloc(BIG);
	if (threads < 1 || threads > 256 || !run.parts || !run.bytes ||
	    s3_open(&config, &run.s3, &err) < 0)
		return 1;
	for (size_t i = 0; i < BIG; i++)
		run.bytes[i] = (char)(i * 2654435761U >> 13);
	if ((strcmp(run.what, "get") == 0 && prepare(&run) < 0) ||
	    (strcmp(run.what, "put") == 0 &&
	     s3_upload_create(run.s3, "speed-put", NULL, &run.upload_id,
			      &err) < 0))
		return 1;
	begin = now();
	used = cpu();
	for (unsigned i = 0; i < threads; i++)
		if (pthread_create(&ids[i], NULL, work, &run) != 0)
			return 1;
	for (unsigned i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
	if (run.upload_id != NULL &&
	    s3_upload_complete(run.s3, "speed-put", run.upload_id, run.parts,
			       run.count, NULL, etag, &err) < 0)
		run.failed++;
	begin = now() - begin;
	used = cpu() - used;
	printf("%-6s in_flight=%u count=%u failed=%u seconds=%.2f cpu=%.2f "
	       "per_s=%.0f", run.what, threads, run.count, run.failed, begin,
	       used, run.count / begin);
	if (strcmp(run.what, "get") == 0 || strcmp(run.what, "put") == 0)
		printf(" MB_per_s=%.0f", run.count * (double)BIG / 1e6 /
		       begin);
	if (run.listed > 0)
		printf(" keys_per_s=%.0f", (double)run.listed / begin);
	printf("\n");
	s3_close(&run.s3);
	free(run.upload_id);
	free(run.parts);
	free(run.bytes);
	return run.failed != 0;
}
