/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_MODEL_DAEMON_H
#define TESTS_MODEL_DAEMON_H

/*
 * A daemon of one's own: started in a directory, killed, started again on
 * the same state; its faults, its log of S3 calls, its control tool.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct daemon_ {
	char dir[256];		/* has bucket/, state/, log, faults, calls */
	const char *program, *ctl;	/* paths */
	const char *bucket_url;	/* NULL: embedded, dir/bucket */
	const char *endpoint;	/* with bucket_url */
	const char *export_name;	/* "/bucket" */
	char **settings;	/* "export.settle_ms=50", ..., NULL */
	bool host_faults;	/* daemon_host has an effect */
	pid_t pid;		/* 0: not running */
	uint16_t port;
	long log_at, calls_at;	/* read so far */
};

int64_t now_ms(void);
/* 0, or a negative errno; waits until it serves. */
int daemon_start(struct daemon_ *d);
void daemon_kill(struct daemon_ *d);	/* SIGKILL */
/* It is there no more, by its own doing. */
bool daemon_ended(struct daemon_ *d);
int daemon_stop(struct daemon_ *d);	/* SIGTERM; its exit status */
void daemon_faults(struct daemon_ *d, const char *rules);
/* Of the machine. */
void daemon_host(struct daemon_ *d, const char *rule);
/* Milliseconds that are added to the wall clock from now on. */
void daemon_clock(struct daemon_ *d, int64_t offset_ms);
/* s3nfsctl with up to two arguments; its output in out.  Exit status. */
int daemon_ctl(struct daemon_ *d, const char *a, const char *b, char *out,
	       size_t size);
/* Looks through the lines of the log of calls since the last time (at the
 * latest when it was killed): was one key ever changed by two requests at
 * once?  Describes it in out. */
bool daemon_calls_overlap(struct daemon_ *d, char *out, size_t size);

#endif
