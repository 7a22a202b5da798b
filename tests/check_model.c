/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random schedules against a daemon and the model (tests/model.h), compared
 * reply by reply, and the bucket's bytes at the end of each.
 *
 *	tests/check-model [--steps N] [--seed N] [--lanes N] [--length N]
 *		[--bucket s3://NAME --endpoint URL] [--keep] [--verbose]
 *
 * A seed is a schedule: its requests, the faults of the store, kills and
 * jumps of the clock, and the settings of its daemon (seed modulo the number
 * of settings).  Lanes are threads with a daemon each.  The first seed that
 * fails is printed with its schedule, the replies, what the model had thought
 * possible, and the shortest schedule found that still fails; `--seed N` plays
 * it again.  Exit status: 0 all agreed, 1 not, 77 this is no test build.
 */

#include <config.h>

#include <errno.h>
#include <ftw.h>
#include <getopt.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "s3/s3.h"
#include "tests/model_daemon.h"
#include "tests/model_schedule.h"
#include "tests/model_wire.h"

#define TIMEOUT_MS 20000	/* for a reply */
#define WHY_MAX 400

/* ---- settings, by seed ---- */

struct conf {
	const char *name;
	struct m_config model;
	const char *sets[12];
};

#define COMMON "server.workers=8", "server.event_threads=1",                  \
	       "server.transfer_threads=4", "export.reserve_ms=150",          \
	       "server.log_level=debug"

static const struct conf confs[] = {
	{ "plain", { 50, 40, 20, 60000, 150, 90000, false, false },
	  { COMMON, "export.settle_ms=50", "export.create_settle_ms=40",
	    "export.supersede_quiet_ms=20", "export.hold_ms=30", NULL } },
	{ "short attributes", { 30, 20, 10, 60000, 150, 90000, false, false },
	  { COMMON, "export.settle_ms=30", "export.create_settle_ms=20",
	    "export.supersede_quiet_ms=10", "export.hold_ms=40",
	    "export.attr_ttl_ms=10", NULL } },
	{ "no quiet", { 5, 5, 0, 60000, 150, 90000, false, false },
	  { COMMON, "export.settle_ms=5", "export.create_settle_ms=5",
	    "export.supersede_quiet_ms=0", "export.hold_ms=20",
	    "export.attr_ttl_ms=0", NULL } },
	{ "impatient", { 50, 40, 20, 60, 150, 1000, false, false },
	  { COMMON, "export.settle_ms=50", "export.create_settle_ms=40",
	    "export.supersede_quiet_ms=20", "export.hold_ms=25",
	    "export.busy_limit_ms=60", "export.lease_ms=1000", NULL } },
	{ "live", { 20, 40, 10, 60000, 150, 90000, true, false },
	  { COMMON, "export.settle_ms=20", "export.create_settle_ms=40",
	    "export.supersede_quiet_ms=10", "export.hold_ms=30",
	    "export.reads=live", NULL } },
	{ "failing fast", { 40, 40, 10, 0, 150, 90000, false, true },
	  { COMMON, "export.settle_ms=40", "export.create_settle_ms=40",
	    "export.supersede_quiet_ms=10", "export.hold_ms=30",
	    "export.busy=fail", NULL } },
};
#define CONFS (sizeof(confs) / sizeof(*confs))

/* ---- a run ---- */

struct run {
	uint64_t first_seed, steps;
	unsigned lanes, length;
	bool one_seed, keep, verbose;
	const char *bucket, *endpoint;
	char dir[200], daemon[300], ctl[300];

	pthread_mutex_t mutex;	/* guards what follows */
	uint64_t next[CONFS];	/* seeds, by settings */
	uint64_t steps_done, schedules_done;
	uint64_t seen[M_WAIT][8];	/* replies, by kind and status */
	size_t states_max;
	bool failed;
};

enum { SAW_OK, SAW_JUKEBOX, SAW_ACCES, SAW_IO, SAW_STALE, SAW_NOENT,
       SAW_EXIST, SAW_OTHER };

struct lane {
	struct run *run;
	unsigned number, plays;
	const struct conf *conf;
	struct daemon_ d;
	struct wire_client client[M_CLIENTS];
	struct nc_fh root;
	bool verf_known;
	uint8_t verf[8];
	int64_t clock_ms;
};

/* One schedule being played. */
struct play {
	struct lane *lane;
	const struct schedule *s;
	struct m_world *world;
	struct wire_files files;
	char dir[64];
	uint16_t next_id;
	uint64_t steps;
	FILE *tell;		/* NULL: quiet */
	unsigned failed_at;	/* index of an op; count: at the end */
	char why[WHY_MAX];
};

/* ---- lanes ---- */

static int
connect_clients(struct lane *l)
{
	static const char *const names[] = { "alpha", "beta", "gamma" };

	for (unsigned i = 0; i < M_CLIENTS; i++) {
		struct wire_client *c = &l->client[i];
		char from[32];
		int r;

		if (c->rpc.fd > 0)
			rpcc_close(&c->rpc);
		snprintf(from, sizeof(from), "127.0.%u.%u", l->number + 1,
			 i + 10);
		r = rpcc_open(&c->rpc, from, "127.0.0.1", l->d.port, false);
		if (r < 0)
			return r;
		rpcc_identity(&c->rpc, names[i], 0, 0, 0, NULL);
		c->rpc.timeout_ms = TIMEOUT_MS;
		c->repeatable = false;
	}
	return nc_mnt(&l->client[0].rpc, l->d.export_name, &l->root) == 0
		       ? 0
		       : -EPROTO;
}

static int
lane_up(struct lane *l)
{
	int r = daemon_start(&l->d);

	l->verf_known = false;
	return r < 0 ? r : connect_clients(l);
}

/* A daemon with nothing behind it. */
static int
lane_fresh(struct lane *l, const struct conf *conf)
{
	static unsigned count;
	char sub[280];

	daemon_kill(&l->d);
	l->conf = conf;
	snprintf(l->d.dir, sizeof(l->d.dir), "%s/%u.%u", l->run->dir,
		 l->number, __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED));
	l->d.program = l->run->daemon;
	l->d.ctl = l->run->ctl;
	l->d.bucket_url = l->run->bucket;
	l->d.endpoint = l->run->endpoint;
	l->d.settings = (char **)(uintptr_t)conf->sets;
	l->d.log_at = l->d.calls_at = 0;
	l->clock_ms = 0;
	mkdir(l->d.dir, 0700);
	snprintf(sub, sizeof(sub), "%s/bucket", l->d.dir);
	mkdir(sub, 0700);
	snprintf(sub, sizeof(sub), "%s/state", l->d.dir);
	mkdir(sub, 0700);
	daemon_faults(&l->d, "");
	daemon_clock(&l->d, 0);
	return lane_up(l);
}

/* ---- playing ---- */

static bool
fail(struct play *p, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static bool
fail(struct play *p, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(p->why, sizeof(p->why), format, ap);
	va_end(ap);
	return false;
}

static unsigned
saw(int status)
{
	switch (status) {
	case NFS3_OK:
		return SAW_OK;
	case NFS3ERR_JUKEBOX:
		return SAW_JUKEBOX;
	case NFS3ERR_ACCES:
		return SAW_ACCES;
	case NFS3ERR_IO:
		return SAW_IO;
	case NFS3ERR_STALE:
		return SAW_STALE;
	case NFS3ERR_NOENT:
		return SAW_NOENT;
	case NFS3ERR_EXIST:
		return SAW_EXIST;
	default:
		return SAW_OTHER;
	}
}

static void
tell(struct play *p, const struct m_op *op, const struct m_seen *seen)
{
	static const char *const words[] = { "OK", "JUKEBOX", "ACCES", "IO",
					     "STALE", "NOENT", "EXIST" };

	if (p->tell == NULL)
		return;
	fprintf(p->tell, "  %3u ", op->id);
	m_op_print(op, p->tell);
	if (seen != NULL && saw(seen->status) != SAW_OTHER)
		fprintf(p->tell, " -> %s", words[saw(seen->status)]);
	else if (seen != NULL)
		fprintf(p->tell, " -> %d", seen->status);
	if (seen != NULL && seen->target != 0)
		fprintf(p->tell, " (file %u)", seen->target);
	if (seen != NULL && seen->has_attr)
		fprintf(p->tell, " file=%u size=%llu mode=%o mtime=%lld",
			seen->attr_file, (unsigned long long)seen->size,
			seen->mode, (long long)seen->mtime_ns);
	if (seen != NULL && op->kind == M_READ)
		fprintf(p->tell, " got=%u%s", seen->got,
			seen->eof ? " eof" : "");
	if (seen != NULL)
		fprintf(p->tell, " [%lld ms at %lld]",
			(long long)(seen->recv_ms - seen->sent_ms),
			(long long)seen->sent_ms);
	fputc('\n', p->tell);
}

static void
count_seen(struct play *p, const struct m_op *op, int status)
{
	struct run *run = p->lane->run;

	pthread_mutex_lock(&run->mutex);
	run->seen[op->kind][saw(status)]++;
	if (m_states(p->world) > run->states_max)
		run->states_max = m_states(p->world);
	pthread_mutex_unlock(&run->mutex);
	p->steps++;
}

/* The write verifier is one for the server, until it dies. */
static bool
verifier(struct play *p, const uint8_t verf[8])
{
	static const uint8_t none[8];
	struct lane *l = p->lane;

	if (memcmp(verf, none, 8) == 0)
		return true;
	if (l->verf_known && memcmp(verf, l->verf, 8) != 0)
		return fail(p, "the write verifier changed");
	memcpy(l->verf, verf, 8);
	l->verf_known = true;
	return true;
}

static bool
revive(struct play *p)
{
	int r;

	if (daemon_calls_overlap(&p->lane->d, p->why, sizeof(p->why)))
		return false;
	r = lane_up(p->lane);
	if (r < 0)
		return fail(p, "does not start again: %s", strerror(-r));
	return true;
}

/* Ops that are sent together.  crash_us: kill it so long after; < 0: not. */
static bool
group(struct play *p, const struct m_op *const *ops, size_t count,
      int crash_us)
{
	struct m_seen seen[M_CLIENTS];
	const struct m_op *sent[M_CLIENTS];
	struct lane *l = p->lane;
	uint16_t known = p->files.count;
	size_t n = 0;
	bool right = true;

	for (size_t i = 0; i < count; i++) {
		if (wire_send(&l->client[ops[i]->client], &p->files, ops[i],
			      &seen[n]))
			sent[n++] = ops[i];
	}
	if (crash_us >= 0) {
		struct timespec ts = { 0, crash_us * 1000L };

		nanosleep(&ts, NULL);
		daemon_kill(&l->d);
	}
	for (size_t i = 0; i < n; i++) {
		uint8_t verf[8] = { 0 };
		int r = wire_recv(&l->client[sent[i]->client], &p->files,
				  sent[i], TIMEOUT_MS, &seen[i], verf);

		if (r < 0 && crash_us >= 0)
			seen[i].status = M_BLIND;
		else if (r < 0)
			return fail(p, "no reply: %s", strerror(-r));
		right = right && verifier(p, verf);
		seen[i].racing = n > 1;
		/* What a request did and the attributes it returns are not
		 * one moment (RFC 1813 2.6). */
		if (n > 1 && sent[i]->kind != M_GETATTR &&
		    sent[i]->kind != M_LOOKUP)
			seen[i].has_attr = false;
		count_seen(p, sent[i], seen[i].status);
	}
	for (size_t i = 0; i < n; i++) {
		seen[i].fresh = seen[i].file > known;
		for (unsigned k = 0; k < M_NAMES; k++)
			seen[i].listed_fresh[k] = seen[i].listed[k] > known;
		tell(p, sent[i], &seen[i]);
	}
	if (n > 0 && !m_step(p->world, sent, seen, n))
		return fail(p, "the model does not allow that");
	if (right && crash_us >= 0) {
		m_crash(p->world, now_ms());
		right = revive(p);
	}
	return right;
}

static bool
one(struct play *p, unsigned kind, unsigned client, unsigned name)
{
	struct m_op op = { .kind = (uint8_t)kind, .client = (uint8_t)client,
			   .name = (uint8_t)name, .to = M_CELLS,
			   .how = FILE_SYNC, .id = p->next_id++ };
	const struct m_op *ops[] = { &op };

	if (kind == M_WRITE)
		op.to = 2;
	return group(p, ops, 1, -1);
}

static void
set_fault(struct play *p, const struct m_op *op)
{
	static const char *const words[] = {
		[M_REFUSING] = "op=put,copy error=EACCES",
		[M_FAILING] = "op=put,copy error=EAGAIN count=1",
		[M_SLOW] = "op=put,copy,delete,get",
		[M_LOSING] = "op=put,copy lose count=1",
	};
	char rules[200] = "", delay[32] = "";

	if (op->how == M_SLOW)
		snprintf(delay, sizeof(delay), "delay_ms=%u", op->arg);
	if (op->how != M_HEAL)
		snprintf(rules, sizeof(rules), "%s key=%s/* %s\n",
			 words[op->how], p->dir, delay);
	/* The model's clock is read on the side where it allows more. */
	if (op->how == M_REFUSING)
		m_fault(p->world, op->how, now_ms());
	daemon_faults(&p->lane->d, rules);
	if (op->how != M_REFUSING)
		m_fault(p->world, op->how, now_ms());
}

static bool
no_request(struct play *p, const struct m_op *op)
{
	struct lane *l = p->lane;
	int r;

	tell(p, op, NULL);
	switch (op->kind) {
	case M_WAIT:
		(void)poll(NULL, 0, op->arg);
		break;
	case M_FAULT:
		set_fault(p, op);
		break;
	case M_AGAIN:
		r = wire_again(&l->client[op->client], TIMEOUT_MS);
		if (r < 0)
			return fail(p, "%c's last call again: %s",
				    "ABC"[op->client],
				    r == -EBADMSG ? "another reply"
						  : strerror(-r));
		break;
	case M_CLOCK:
		l->clock_ms = (op->arg % 2 ? 1 : -1) * op->arg * 1000LL;
		daemon_clock(&l->d, l->clock_ms);
		break;
	default:
		break;
	}
	return true;
}

static bool
play_ops(struct play *p)
{
	const struct schedule *s = p->s;
	int crash_us = -1;

	for (unsigned i = 0; i < s->count;) {
		const struct m_op *ops[M_CLIENTS];
		size_t n = 0;

		p->failed_at = i;
		if (s->ops[i].kind == M_CRASH) {
			tell(p, &s->ops[i], NULL);
			crash_us = s->ops[i++].arg;
			continue;
		}
		if (s->ops[i].kind >= M_WAIT) {
			if (!no_request(p, &s->ops[i++]))
				return false;
			continue;
		}
		do {
			ops[n++] = &s->ops[i];
		} while (s->ops[i++].with_next && n < M_CLIENTS &&
			 i < s->count && s->ops[i].kind < M_WAIT);
		if (!group(p, ops, n, crash_us))
			return false;
		crash_us = -1;
	}
	return true;
}

/* ---- the end of a schedule ---- */

static bool
settle(struct play *p)
{
	struct m_op heal = { .kind = M_FAULT, .how = M_HEAL };
	char out[4096];

	set_fault(p, &heal);
	/* Twice: the first may be told an error that is owed. */
	for (unsigned i = 0; i < 2 * M_CLIENTS * M_NAMES; i++) {
		if (i % M_CLIENTS == 0 &&
		    !one(p, M_LOOKUP, 0, i / M_CLIENTS % M_NAMES))
			return false;
		if (!one(p, M_COMMIT, i % M_CLIENTS,
			 i / M_CLIENTS % M_NAMES))
			return false;
	}
	if (daemon_ctl(&p->lane->d, "flush", "--all", out, sizeof(out)) != 0)
		return fail(p, "flush --all failed: %.300s", out);
	if (!m_uploaded(p->world, now_ms()))
		return fail(p, "the model has nothing that is all uploaded");
	return true;
}

static bool
all_see_it(struct play *p)
{
	for (unsigned i = 0; i < M_NAMES; i++) {
		if (!one(p, M_LOOKUP, 0, i))
			return false;
		for (unsigned c = 0; c < M_CLIENTS; c++) {
			if (!one(p, M_GETATTR, c, i) || !one(p, M_READ, c, i))
				return false;
		}
	}
	return one(p, M_READDIR, 1, 0);
}

static bool
bucket_agrees(struct play *p)
{
	struct lane *l = p->lane;
	struct s3_config config = { .url = l->d.bucket_url,
				    .endpoint = l->d.endpoint };
	size_t size = m_bound[M_CELLS] + 1;
	char url[300], key[80];
	struct s3 *s3 = NULL;
	char *data;
	bool right = true;

	if (config.url == NULL) {
		snprintf(url, sizeof(url), "file://%s/bucket", l->d.dir);
		config.url = url;
	}
	if (s3_open(&config, &s3, NULL) < 0)
		return fail(p, "cannot open the bucket");
	data = malloc(size);
	for (unsigned i = 0; right && i < M_NAMES; i++) {
		ssize_t n;

		snprintf(key, sizeof(key), "%s/%c", p->dir, "ab"[i]);
		n = s3_get(s3, key, NULL, 0, data, size, NULL, NULL);
		if (!m_bucket(p->world, i, data, n))
			right = fail(p, "the bucket's %s is not what the "
				     "model has (%zd bytes)", key, n);
	}
	free(data);
	s3_close(&s3);
	return right;
}

/* Nobody is shut out for ever: each in turn can write in a while. */
static bool
all_can_write(struct play *p)
{
	for (unsigned k = 0; k < 2; k++) {
		unsigned name = p->files.number[0][0] != 0 ? 0 : 1;
		unsigned client = (unsigned)(p->s->seed + k) % M_CLIENTS;
		int64_t until = now_ms() + 5000;

		if (p->files.number[name][0] == 0)
			return true;
		do {
			if (!one(p, M_WRITE, client, name))
				return false;
			if (now_ms() > until)
				return fail(p, "%c cannot write in 5 s",
					    "ABC"[client]);
			if (p->next_id >= M_OPS_MAX)
				return fail(p, "%c is put off for ever",
					    "ABC"[client]);
		} while (!p->lane->client[client].repeatable);
	}
	return true;
}

static bool
play_all(struct play *p)
{
	struct nc_set mode = { .mode_set = true, .mode = 0755 };
	struct lane *l = p->lane;
	int r = nc_mkdir(&l->client[0].rpc, &l->root, p->dir, &mode,
			 &p->files.dir, NULL);

	if (r != 0)
		return fail(p, "MKDIR: %d", r);
	if (!play_ops(p))
		return false;
	p->failed_at = p->s->count;
	if (!settle(p) || !all_see_it(p) || !bucket_agrees(p) ||
	    !all_can_write(p))
		return false;
	if (daemon_calls_overlap(&l->d, p->why, sizeof(p->why)))
		return false;
	return true;
}

/* true: all agreed.  Else *told, if not NULL, is how it went; free() it. */
static bool
play(struct lane *l, const struct schedule *s, char **told, struct play *p)
{
	size_t size;
	bool right;

	memset(p, 0, sizeof(*p));
	p->lane = l;
	p->s = s;
	if (told != NULL)
		p->tell = open_memstream(told, &size);
	p->next_id = (uint16_t)(s->ops[s->count - 1].id + 1);
	p->world = m_world_new(&l->conf->model);
	snprintf(p->dir, sizeof(p->dir), "s%llu.%u.%d",
		 (unsigned long long)s->seed, l->plays++, (int)getpid());
	right = play_all(p);
	if (!right && p->tell != NULL) {
		fprintf(p->tell, "  %s\n", p->why);
		m_print(p->world, p->tell);
	}
	if (p->tell != NULL)
		fclose(p->tell);
	m_world_free(&p->world);
	return right;
}

/* ---- failures ---- */

/* Leave out what can be left out, a run at a time, and halves first. */
static void
shrink(struct lane *l, struct schedule *s)
{
	static struct play p;
	struct schedule *less = malloc(sizeof(*less));
	int64_t until = now_ms() + 20000;

	for (unsigned chunk = s->count / 2; chunk > 0 && now_ms() < until;
	     chunk /= 2) {
		for (unsigned at = 0; at + chunk <= s->count &&
				      s->count > 1 && now_ms() < until;) {
			*less = *s;
			memmove(&less->ops[at], &less->ops[at + chunk],
				(s->count - at - chunk) * sizeof(s->ops[0]));
			less->count -= chunk;
			if (lane_fresh(l, l->conf) < 0) {
				free(less);
				return;
			}
			if (!play(l, less, NULL, &p)) {
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

static void
report(struct lane *l, struct schedule *s, struct play *p, const char *told)
{
	char *again = NULL;
	bool first;

	pthread_mutex_lock(&l->run->mutex);
	first = !l->run->failed;
	l->run->failed = true;
	pthread_mutex_unlock(&l->run->mutex);
	if (!first)
		return;
	printf("FAIL: seed %llu (settings: %s) at %u of %u: %s\n%s",
	       (unsigned long long)s->seed, l->conf->name, p->failed_at + 1,
	       s->count, p->why, told);
	printf("the daemon's log: %s/log\nshrinking...\n", l->d.dir);
	fflush(stdout);
	if (p->failed_at < s->count)
		s->count = p->failed_at + 1;
	if (lane_fresh(l, l->conf) < 0 || play(l, s, NULL, p)) {
		printf("it does not fail each time: timing\n");
	} else {
		shrink(l, s);
		if (lane_fresh(l, l->conf) == 0) {
			printf("shortest schedule that was seen to fail:\n");
			if (play(l, s, &again, p))
				printf("(but not this time)\n");
			printf("%s", again);
			free(again);
		}
	}
	printf("again: tests/check-model --seed %llu\n",
	       (unsigned long long)s->seed);
	fflush(stdout);
}

static bool
invariants_hold(struct lane *l, struct play *p)
{
	char out[8192];
	const char *at;

	if (daemon_ctl(&l->d, "status", NULL, out, sizeof(out)) != 0)
		return fail(p, "no status: %.200s", out);
	at = strstr(out, "invariant_failures");
	if (at == NULL || (at = strchr(at, ':')) == NULL ||
	    strtoul(at + 1, NULL, 10) != 0)
		return fail(p, "an invariant of the daemon's own failed");
	return true;
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

static void *
lane_main(void *arg)
{
	struct lane *l = arg;
	struct run *run = l->run;
	const struct conf *conf = &confs[l->number % CONFS];
	struct schedule *s = malloc(sizeof(*s));
	struct play *p = malloc(sizeof(*p));
	int r;

	if (run->one_seed)
		conf = &confs[run->first_seed % CONFS];
	r = lane_fresh(l, conf);
	if (r < 0) {
		printf("FAIL: the daemon does not start: %s (%s/log)\n",
		       strerror(-r), l->d.dir);
		pthread_mutex_lock(&run->mutex);
		run->failed = true;
		pthread_mutex_unlock(&run->mutex);
	}
	while (r == 0) {
		uint64_t seed;
		char *told = NULL;
		bool stop, right;

		pthread_mutex_lock(&run->mutex);
		stop = run->failed || run->steps_done >= run->steps ||
		       interrupted;
		seed = run->next[conf - confs];
		run->next[conf - confs] += CONFS;
		pthread_mutex_unlock(&run->mutex);
		if (stop)
			break;
		schedule_draw(seed, run->length, s);
		right = play(l, s, &told, p) &&
			(l->plays % 16 != 0 || invariants_hold(l, p));
		if (run->verbose)
			printf("seed %llu\n%s", (unsigned long long)seed,
			       told);
		if (!right)
			report(l, s, p, told);
		free(told);
		if (!right)
			break;
		pthread_mutex_lock(&run->mutex);
		run->steps_done += p->steps;
		run->schedules_done++;
		pthread_mutex_unlock(&run->mutex);
		if (run->one_seed)
			break;
	}
	if (r == 0 && l->d.pid > 0 && !run->failed && !invariants_hold(l, p)) {
		printf("FAIL: %s\n", p->why);
		run->failed = true;
	}
	if (!run->failed && daemon_stop(&l->d) != 0) {
		printf("FAIL: SIGTERM did not end it well\n");
		run->failed = true;
	}
	daemon_kill(&l->d);
	free(s);
	free(p);
	return NULL;
}

static void
summary(const struct run *run, int64_t ms)
{
	static const char *const words[] = { "OK", "JUKEBOX", "ACCES", "IO",
					     "STALE", "NOENT", "EXIST",
					     "other" };
	struct m_op op = { 0 };

	printf("%llu steps, %llu schedules, %lld ms, at most %zu states\n",
	       (unsigned long long)run->steps_done,
	       (unsigned long long)run->schedules_done, (long long)ms,
	       run->states_max);
	for (unsigned k = 0; k < M_WAIT; k++) {
		static const char *const kinds[] = {
			"WRITE", "COMMIT", "READ", "GETATTR", "SETATTR size",
			"SETATTR mode", "SETATTR mtime", "CREATE", "REMOVE",
			"RENAME", "LOOKUP", "READDIR"
		};

		(void)op;
		printf("  %-14s", kinds[k]);
		for (unsigned i = 0; i < 8; i++) {
			if (run->seen[k][i] != 0)
				printf(" %s %llu", words[i],
				       (unsigned long long)run->seen[k][i]);
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
		{ "from", required_argument, NULL, 'f' },
		{ "lanes", required_argument, NULL, 'l' },
		{ "length", required_argument, NULL, 'n' },
		{ "bucket", required_argument, NULL, 'b' },
		{ "endpoint", required_argument, NULL, 'e' },
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

int
main(int argc, char **argv)
{
	struct run run = { .steps = 100000, .lanes = 2 * CONFS, .length = 80,
			   .first_seed = 1 };
	const char *tmp = getenv("TMPDIR");
	struct lane *lanes;
	pthread_t thread[64];
	int64_t start = now_ms();

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
	if (run.lanes > 64)
		run.lanes = 64;
	snprintf(run.dir, sizeof(run.dir), "%s/modelXXXXXX",
		 tmp != NULL ? tmp
		 : access("/dev/shm", W_OK) == 0 ? "/dev/shm"
						 : "/tmp");
	if (mkdtemp(run.dir) == NULL)
		return 99;
	signal(SIGINT, interrupt);
	signal(SIGTERM, interrupt);
	pthread_mutex_init(&run.mutex, NULL);
	for (unsigned i = 0; i < CONFS; i++) {
		run.next[i] = run.first_seed;
		while (run.next[i] % CONFS != i)
			run.next[i]++;
	}
	lanes = calloc(run.lanes, sizeof(*lanes));
	for (unsigned i = 0; i < run.lanes; i++) {
		lanes[i].run = &run;
		lanes[i].number = i;
		lanes[i].d.export_name = "/bucket";
		if (run.bucket != NULL)
			lanes[i].d.export_name = strrchr(run.bucket, '/');
		pthread_create(&thread[i], NULL, lane_main, &lanes[i]);
	}
	for (unsigned i = 0; i < run.lanes; i++)
		pthread_join(thread[i], NULL);
	free(lanes);
	summary(&run, now_ms() - start);
	if (run.keep || run.failed)
		printf("logs: %s\n", run.dir);
	if (!run.keep && !run.failed)
		(void)nftw(run.dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return run.failed;
}
