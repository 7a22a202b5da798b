/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random schedules against a daemon and the model (tests/model.h), compared
 * reply by reply, and the bucket's bytes at the end of each.
 *
 *	check_model [--steps N | --seeds N] [--from SEED | --fresh] [--lanes N]
 *		[--length N] [--bucket s3://NAME --endpoint URL] [--shrink]
 *		[--faults[=sql,file,alloc]] [--failures N] [--keep] [--verbose]
 *	check_model --seed SEED [--times N] [--shrink] ...
 *
 * A seed is a schedule: its requests, the faults of the store, kills and
 * jumps of the clock, and the settings of its daemon (seed modulo the number
 * of settings).  Without options seeds 1, 2, ... are played until 100,000
 * requests were made, the same ones each time; --fresh begins somewhere
 * else.  Lanes are threads with a daemon each.
 *
 * --faults: the machine fails, too (tests/model_host.c), in all or some of
 * SQLite's statements, calls for data files, and memory.
 *
 * A seed that fails is printed with its schedule, the replies, and what the
 * model had thought possible; --seed plays it again, --times so often, since
 * how threads and timers meet is not the seed's to say; --shrink looks for
 * the shortest schedule that still fails.  --failures: go on until there are
 * so many.  Exit status: 0 all agreed, 1 not, 77 this is no test build.
 */

#include <config.h>

#include <errno.h>
#include <ftw.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/model_play.h"

#define LANES_MAX 64
#define CONFS_MAX 16
#define SHRINK_TRIES 3

/* ---- a run ---- */

struct run {
	uint64_t first_seed, steps, schedules;
	unsigned lanes, length, times, failures_max;
	bool one_seed, keep, verbose, shrink;
	const char *faults;	/* of the machine: sql,file,alloc; NULL: none */
	const char *bucket, *endpoint;
	char dir[200], daemon[300], ctl[300];

	pthread_mutex_t mutex;	/* guards what follows */
	uint64_t next[CONFS_MAX];	/* seeds, by settings */
	uint64_t steps_done, schedules_done, undecided;
	unsigned failures;
};

/* ---- failures ---- */

/* In one of a few tries, since threads and timers meet as they like. */
static bool
fails(struct lane *l, const struct schedule *s, struct play *p)
{
	for (int i = 0; i < SHRINK_TRIES; i++) {
		if (lane_fresh(l, l->conf) < 0)
			return false;
		if (!play(l, s, NULL, p))
			return true;
	}
	return false;
}

/* Leave out what can be left out, a run at a time, and halves first. */
static void
shrink(struct lane *l, struct schedule *s)
{
	static struct play p;
	struct schedule *less = malloc(sizeof(*less));
	int64_t until = now_ms() + 60000;

	for (unsigned chunk = s->count / 2; chunk > 0 && now_ms() < until;
	     chunk /= 2) {
		for (unsigned at = 0; at + chunk <= s->count &&
				      chunk < s->count &&
				      now_ms() < until;) {
			*less = *s;
			memmove(&less->ops[at], &less->ops[at + chunk],
				(s->count - at - chunk) * sizeof(s->ops[0]));
			less->count -= chunk;
			if (fails(l, less, &p)) {
				*s = *less;
				if (p.failed_at < s->count)
					s->count = p.failed_at + 1;
			} else {
				at += chunk;
			}
		}
	}
	free(less);
}

/* The first one is told in full, and shortened if that was asked for. */
static void
report(struct lane *l, struct schedule *s, struct play *p, const char *told)
{
	char *again = NULL;

	pthread_mutex_lock(&l->run->mutex);
	l->run->failures++;
	printf("FAIL: seed %llu (settings: %s) at %u of %u: %s\n%s",
	       (unsigned long long)s->seed, l->conf->name, p->failed_at + 1,
	       s->count, p->why, told);
	printf("the daemon's log: %s/log\n"
	       "again: tests/check-model%s%s --seed %llu\n", l->d.dir,
	       l->run->faults ? " --faults=" : "",
	       l->run->faults ? l->run->faults : "",
	       (unsigned long long)s->seed);
	fflush(stdout);
	pthread_mutex_unlock(&l->run->mutex);
	if (!l->run->shrink)
		return;
	if (p->failed_at < s->count)
		s->count = p->failed_at + 1;
	if (!fails(l, s, p)) {
		printf("it does not fail each time: timing\n");
		return;
	}
	shrink(l, s);
	if (lane_fresh(l, l->conf) < 0)
		return;
	printf("shortest schedule that was seen to fail:\n");
	if (play(l, s, &again, p))
		printf("(but not this time)\n");
	printf("%s", again);
	free(again);
}

/* ---- threads ---- */

/* Set by SIGINT and SIGTERM: daemons are not left behind. */
static volatile sig_atomic_t interrupted;

static void
interrupt(int sig)
{
	(void)sig;
	interrupted = 1;
}

/* The next seed for these settings.  false: there are enough. */
static bool
next_seed(struct run *run, const struct conf *conf, uint64_t *seed)
{
	uint64_t *next = &run->next[conf - confs];
	bool more;

	pthread_mutex_lock(&run->mutex);
	more = run->failures < run->failures_max && !interrupted;
	if (run->one_seed) {
		more = more && run->times-- > 0;
		*seed = run->first_seed;
	} else {
		more = more && *next < run->first_seed + run->schedules;
		*seed = *next;
		*next += conf_count;
	}
	pthread_mutex_unlock(&run->mutex);
	return more;
}

static void
played(struct run *run, const struct play *p)
{
	pthread_mutex_lock(&run->mutex);
	run->steps_done += p->steps;
	run->schedules_done++;
	run->undecided += p->undecided;
	pthread_mutex_unlock(&run->mutex);
}

/* A failure that no schedule is to blame for. */
static void
broken(struct run *run, const char *why, const struct lane *l)
{
	pthread_mutex_lock(&run->mutex);
	printf("FAIL: %s (%s/log)\n", why, l->d.dir);
	run->failures++;
	pthread_mutex_unlock(&run->mutex);
}

/* All schedules of these settings. */
static void
lane_play(struct lane *l, const struct conf *conf, struct schedule *s,
	  struct play *p)
{
	struct run *run = l->run;
	int r = lane_fresh(l, conf);
	uint64_t seed;

	while (r == 0 && next_seed(run, conf, &seed)) {
		char *told = NULL;
		bool right;

		schedule_draw(seed, run->length, run->faults, s);
		right = play(l, s, &told, p) &&
			(l->plays % 16 != 0 || invariants_hold(l, p));
		if (run->verbose)
			printf("seed %llu\n%s", (unsigned long long)seed,
			       told);
		if (!right)
			report(l, s, p, told);
		free(told);
		played(run, p);
		if (!right)
			r = lane_fresh(l, conf);
	}
	if (r < 0)
		broken(run, "the daemon does not start", l);
	else if (l->plays > 0 && !invariants_hold(l, p))
		broken(run, p->why, l);
	if (r == 0 && daemon_stop(&l->d) != 0)
		broken(run, "SIGTERM did not end it well", l);
	daemon_kill(&l->d);
}

static void *
lane_main(void *arg)
{
	struct lane *l = arg;
	struct run *run = l->run;
	struct schedule *s = malloc(sizeof(*s));
	struct play *p = calloc(1, sizeof(*p));

	if (run->one_seed)
		lane_play(l, &confs[run->first_seed % conf_count], s, p);
	else if (l->number >= conf_count)
		lane_play(l, &confs[l->number % conf_count], s, p);
	/* Fewer lanes than settings: one after the other. */
	for (unsigned i = l->number; !run->one_seed && i < conf_count;
	     i += run->lanes)
		lane_play(l, &confs[i], s, p);
	free(s);
	free(p);
	return NULL;
}

static void
summary(const struct run *run, const struct lane *lanes, int64_t ms)
{
	static const char *const words[SAW_COUNT] = {
		"OK", "JUKEBOX", "ACCES", "IO", "STALE", "NOENT", "EXIST",
		"other"
	};
	static const char *const kinds[M_WAIT] = {
		"WRITE", "COMMIT", "READ", "GETATTR", "SETATTR size",
		"SETATTR mode", "SETATTR mtime", "CREATE", "REMOVE", "RENAME",
		"LOOKUP", "READDIR"
	};
	size_t states = 0;

	for (unsigned i = 0; i < run->lanes; i++) {
		if (lanes[i].states_max > states)
			states = lanes[i].states_max;
	}
	printf("%llu steps, %llu schedules from %llu, %u failed, %llu "
	       "undecided, %lld s, at most %zu states\n",
	       (unsigned long long)run->steps_done,
	       (unsigned long long)run->schedules_done,
	       (unsigned long long)run->first_seed, run->failures,
	       (unsigned long long)run->undecided, (long long)ms / 1000,
	       states);
	for (unsigned k = 0; k < M_WAIT; k++) {
		printf("  %-14s", kinds[k]);
		for (unsigned i = 0; i < SAW_COUNT; i++) {
			uint64_t sum = 0;

			for (unsigned n = 0; n < run->lanes; n++)
				sum += lanes[n].seen[k][i];
			if (sum != 0)
				printf(" %s %llu", words[i],
				       (unsigned long long)sum);
		}
		putchar('\n');
	}
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static bool
find_programs(struct run *run)
{
	char self[256];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (n <= 0)
		return false;
	self[n] = '\0';
	for (int up = 0; up < 2; up++) {
		slash = strrchr(self, '/');
		if (slash == NULL)
			return false;
		*slash = '\0';
	}
	snprintf(run->daemon, sizeof(run->daemon), "%s/s3nfsd", self);
	snprintf(run->ctl, sizeof(run->ctl), "%s/s3nfsctl", self);
	return access(run->daemon, X_OK) == 0 && access(run->ctl, X_OK) == 0;
}

static int
options(struct run *run, int argc, char **argv)
{
	static const struct option list[] = {
		{ "steps", required_argument, NULL, 's' },
		{ "seed", required_argument, NULL, 'S' },
		{ "seeds", required_argument, NULL, 'N' },
		{ "from", required_argument, NULL, 'f' },
		{ "lanes", required_argument, NULL, 'l' },
		{ "length", required_argument, NULL, 'n' },
		{ "bucket", required_argument, NULL, 'b' },
		{ "endpoint", required_argument, NULL, 'e' },
		{ "fresh", no_argument, NULL, 'z' },
		{ "times", required_argument, NULL, 't' },
		{ "failures", required_argument, NULL, 'F' },
		{ "shrink", no_argument, NULL, 'r' },
		{ "faults", optional_argument, NULL, 'h' },
		{ "keep", no_argument, NULL, 'k' },
		{ "verbose", no_argument, NULL, 'v' },
		{ NULL, 0, NULL, 0 },
	};
	int o;

	while ((o = getopt_long(argc, argv, "", list, NULL)) != -1) {
		switch (o) {
		case 's':
			run->steps = strtoull(optarg, NULL, 10);
			break;
		case 'N':
			run->schedules = strtoull(optarg, NULL, 10);
			run->steps = 0;
			break;
		case 'S':
			run->one_seed = true;
			/* fallthrough */
		case 'f':
			run->first_seed = strtoull(optarg, NULL, 10);
			break;
		case 'l':
			run->lanes = (unsigned)atoi(optarg);
			break;
		case 'n':
			run->length = (unsigned)atoi(optarg);
			break;
		case 'b':
			run->bucket = optarg;
			break;
		case 'e':
			run->endpoint = optarg;
			break;
		case 'z':
			run->first_seed = (uint64_t)time(NULL) * 1000;
			break;
		case 't':
			run->times = (unsigned)atoi(optarg);
			break;
		case 'F':
			run->failures_max = (unsigned)atoi(optarg);
			break;
		case 'r':
			run->shrink = true;
			break;
		case 'h':
			run->faults = optarg ? optarg : "sql,file,alloc";
			break;
		case 'k':
			run->keep = true;
			break;
		case 'v':
			run->verbose = true;
			break;
		default:
			return -1;
		}
	}
	return 0;
}

static void
run_lanes(struct run *run)
{
	struct lane *lanes = calloc(run->lanes, sizeof(*lanes));
	pthread_t thread[LANES_MAX];
	int64_t start = now_ms();

	for (unsigned i = 0; i < conf_count; i++) {
		run->next[i] = run->first_seed;
		while (run->next[i] % conf_count != i)
			run->next[i]++;
	}
	for (unsigned i = 0; i < run->lanes; i++) {
		struct lane *l = &lanes[i];

		l->run = run;
		l->number = i;
		l->dir = run->dir;
		l->d.program = run->daemon;
		l->d.host_faults = run->faults != NULL;
		l->d.ctl = run->ctl;
		l->d.bucket_url = run->bucket;
		l->d.endpoint = run->endpoint;
		l->d.export_name = "/bucket";
		if (run->bucket != NULL)
			l->d.export_name = strrchr(run->bucket, '/');
		pthread_create(&thread[i], NULL, lane_main, l);
	}
	for (unsigned i = 0; i < run->lanes; i++)
		pthread_join(thread[i], NULL);
	summary(run, lanes, now_ms() - start);
	for (unsigned i = 0; i < run->lanes; i++)
		lane_fini(&lanes[i]);
	free(lanes);
}

int
main(int argc, char **argv)
{
	struct run run = { .steps = 100000, .lanes = conf_count, .length = 80,
			   .first_seed = 1, .failures_max = 1, .times = 1,
			   .mutex = PTHREAD_MUTEX_INITIALIZER };
	const char *tmp = getenv("TMPDIR");

	if (options(&run, argc, argv) < 0)
		return 99;
#ifndef FAILPOINTS
	printf("skipped: needs a test build (configure "
	       "--enable-failpoints)\n");
	return 77;
#endif
	if (!find_programs(&run)) {
		printf("no s3nfsd beside me\n");
		return 99;
	}
	if (run.one_seed)
		run.lanes = 1;
	if (run.lanes > LANES_MAX)
		run.lanes = LANES_MAX;
	/* A schedule makes about as many requests as it is long. */
	if (run.schedules == 0)
		run.schedules =
			run.steps / (run.length -
				     run.length / (run.faults ? 7 : 25)) + 1;
	snprintf(run.dir, sizeof(run.dir), "%s/modelXXXXXX",
		 tmp != NULL ? tmp
		 : access("/dev/shm", W_OK) == 0 ? "/dev/shm"
						 : "/tmp");
	if (mkdtemp(run.dir) == NULL)
		return 99;
	signal(SIGINT, interrupt);
	signal(SIGTERM, interrupt);
	run_lanes(&run);
	if (!run.one_seed && !interrupted && run.failures == 0 &&
	    run.steps_done < run.steps) {
		printf("FAIL: fewer steps than asked for\n");
		run.failures++;
	}
	if (run.keep || run.failures > 0)
		printf("logs: %s\n", run.dir);
	else
		(void)nftw(run.dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return run.failures > 0 || interrupted;
}
