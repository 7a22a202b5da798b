/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_DAEMON_H
#define NFSD_DAEMON_H

/*
 * The daemon, for main.c and buckets.c alone.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "nfsd/settings.h"
#include "nfsd/state.h"

struct exports_rules;
struct rpc_server;

struct bucket {
	const struct settings_export *settings;
	struct s3 *s3;
	struct gate_export *export;
	struct probe *probe;
};

struct daemon {
	int argc;
	char **argv;
	struct settings settings;
	struct state state;
	unsigned files;		/* that the gate may keep open */
	struct meta *meta;
	struct gate *gate;
	struct exports *exports;
	struct bucket *buckets;		/* one for each export */
	struct server *server;
	struct ctl *ctl;
	char why[1200];			/* the gate's, for people */
	uint16_t port;
	_Atomic(struct rpc_server *) rpc;	/* for wake() */
	pthread_mutex_t lock;		/* guards buckets[].s3 */
	pthread_t starter;
	int start_result;
	atomic_bool started;		/* start_up() is over */
	atomic_bool stopping;
};

/* ---- main.c ---- */
/* One plain line for the person who starts us; returns r. */
int daemon_fail(int r, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* ---- buckets.c ---- */
/* Each export of the settings with its bucket, given to the gate and to
 * exports; the store need not answer.  What was opened is in d->buckets, after
 * a failure, too, which has been told. */
int buckets_open(struct daemon *d) __attribute__((warn_unused_result));
/* A verdict of each, or until then.  -EINVAL: one can be none, which has been
 * told; -ECANCELED: we shall stop. */
int buckets_await(struct daemon *d, uint64_t until_ms)
	__attribute__((warn_unused_result));
/* What is under way at the buckets, and what will be, fails soon.  At any time,
 * from any thread. */
void buckets_cancel(struct daemon *d);
/* --check: each bucket is opened and asked for one name.  0, or 1: one of them
 * is not well, which has been told. */
int buckets_check(struct daemon *d) __attribute__((warn_unused_result));
/* Who may use an export; exports_rules_free has them. */
int buckets_rules(const struct settings_export *export,
		  struct exports_rules **out)
	__attribute__((warn_unused_result));

#endif
