/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Playing a schedule (model_play.h).  A request that the schedule cannot send
 * since no file has the name is left out; a kill comes a given time after
 * the requests before it went out, and the daemon is started again at once.
 * At the end faults are healed, everything is uploaded, and all clients and
 * the bucket are asked for all there is.
 */

#include <config.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "s3/s3.h"
#include "tests/model_play.h"

#define TIMEOUT_MS 60000	/* for a reply */
#define RESENDS 20		/* of a call that there was no memory for */

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
	if (seen != NULL && seen->file != 0)
		fprintf(p->tell, " found %u%s", seen->file,
			seen->fresh ? ", new" : "");
	if (seen != NULL && op->kind == M_READDIR)
		fprintf(p->tell, " a=%u b=%u", seen->listed[0],
			seen->listed[1]);
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
	struct lane *l = p->lane;

	l->seen[op->kind][saw(status)]++;
	if (m_states(p->world) > l->states_max)
		l->states_max = m_states(p->world);
	p->steps++;
}

/* The write verifier is one for the server, until it dies or loses bytes.
 * alone: the reply tells of a moment after all that the model has seen. */
static bool
verifier(struct play *p, const uint8_t verf[8], bool alone)
{
	static const uint8_t none[8];
	struct lane *l = p->lane;
	bool known = l->verf_known, changed;

	if (memcmp(verf, none, 8) == 0)
		return true;
	changed = !known || memcmp(verf, l->verf, 8) != 0;
	memcpy(l->verf, verf, 8);
	l->verf_known = true;
	if (changed && known && !p->host_was)
		return fail(p, "the write verifier changed");
	if ((changed || alone) && !m_verifier(p->world, changed))
		return fail(p, "bytes are lost, and the verifier is the same");
	return true;
}

static void
set_host(struct play *p, const struct m_op *op)
{
	char rule[160];

	m_host_rule(op, rule, sizeof(rule));
	p->host = rule[0] != '\0';
	p->host_was |= p->host;
	p->no_memory |= op->how == M_ALLOC;
	/* The model's clock is read on the side where it allows more. */
	if (p->host)
		m_host(p->world, true, now_ms());
	daemon_host(&p->lane->d, rule);
	if (!p->host)
		m_host(p->world, false, now_ms());
}

static bool
revive(struct play *p)
{
	int r;

	if (daemon_calls_overlap(&p->lane->d, p->why, sizeof(p->why)))
		return false;
	r = lane_up(p->lane);
	if (r < 0 && p->host) {
		/* Not on a machine that fails; but nothing is lost by it. */
		set_host(p, &(struct m_op){ .kind = M_HOST });
		daemon_kill(&p->lane->d);
		r = lane_up(p->lane);
	}
	if (r < 0)
		return fail(p, "does not start again: %s", strerror(-r));
	return true;
}

static bool
end(struct play *p, const struct m_op *crash)
{
	struct timespec ts = { 0, crash->arg * 1000L };

	nanosleep(&ts, NULL);
	if (crash->how == 0)
		daemon_kill(&p->lane->d);
	else if (daemon_stop(&p->lane->d) == SIGKILL)
		return fail(p, "SIGTERM did not end it");
	return true;
}

/* No reply.  false: nothing explains that. */
static bool
blind(struct play *p, const struct m_op *crash, int error)
{
	/* Its connection ended for want of memory. */
	if (crash != NULL || (p->no_memory && error != -ETIMEDOUT))
		return true;
	if (daemon_ended(&p->lane->d))
		return fail(p, "the daemon has ended");
	return fail(p, "no reply: %s", strerror(-error));
}

/* What clients do then: they connect again, and send the same call again until
 * there is a reply.  It is of either time. */
static bool
once_more(struct play *p, const struct m_op *op, struct m_seen *seen)
{
	struct wire_client *c = &p->lane->client[op->client];
	uint16_t known = p->files.count;
	uint8_t verf[8] = { 0 };
	int r = -ECONNRESET;

	for (int i = 0; r < 0 && i < RESENDS; i++) {
		if (!blind(p, NULL, r))
			return false;
		/* What the last one began is over by then. */
		(void)poll(NULL, 0, 100);
		r = lane_connect(p->lane, op->client);
		if (r < 0)
			continue;
		wire_resend(c);
		r = wire_recv(c, &p->files, op, TIMEOUT_MS, seen, verf);
	}
	if (r < 0)
		return fail(p, "no reply in so many tries: %s", strerror(-r));
	seen->fresh = seen->file > known;
	for (unsigned k = 0; k < M_NAMES; k++)
		seen->listed_fresh[k] = seen->listed[k] > known;
	seen->has_attr &= op->kind == M_GETATTR || op->kind == M_LOOKUP;
	count_seen(p, op, seen->status);
	tell(p, op, seen);
	if (!m_step(p->world, &op, seen, 1))
		return fail(p, "the model does not allow that");
	return verifier(p, verf, false);
}

/* Ops that are sent together.  crash: it ends just after; NULL: not. */
static bool
group(struct play *p, const struct m_op *const *ops, size_t count,
      const struct m_op *crash)
{
	struct m_seen seen[M_CLIENTS];
	const struct m_op *sent[M_CLIENTS];
	struct lane *l = p->lane;
	uint8_t verf[M_CLIENTS][8] = { { 0 } };
	uint16_t known = p->files.count;
	size_t n = 0;
	bool right = true;

	for (size_t i = 0; i < count; i++) {
		if (wire_send(&l->client[ops[i]->client], &p->files, ops[i],
			      &seen[n]))
			sent[n++] = ops[i];
	}
	if (crash != NULL && !end(p, crash))
		return false;
	for (size_t i = 0; i < n; i++) {
		int r = wire_recv(&l->client[sent[i]->client], &p->files,
				  sent[i], TIMEOUT_MS, &seen[i], verf[i]);

		if (r < 0 && !blind(p, crash, r))
			return false;
		if (r < 0)
			seen[i].status = M_BLIND;
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
	if (n > 0 && !m_step(p->world, sent, seen, n)) {
		/* Perhaps one that was left out does. */
		p->undecided = m_undecided(p->world);
		return fail(p, "the model does not allow that");
	}
	for (size_t i = 0; right && i < n; i++)
		right = verifier(p, verf[i], n == 1);
	for (size_t i = 0; right && crash == NULL && i < n; i++)
		right = seen[i].status != M_BLIND ||
			once_more(p, sent[i], &seen[i]);
	if (m_undecided(p->world)) {
		p->undecided = true;
		return fail(p, "too many states to keep");
	}
	if (right && crash != NULL) {
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
	return group(p, ops, 1, NULL);
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
	case M_HOST:
		set_host(p, op);
		break;
	case M_AGAIN:
		if (p->no_memory)
			break;
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
	const struct m_op *crash = NULL;

	for (unsigned i = 0; i < s->count;) {
		const struct m_op *ops[M_CLIENTS];
		size_t n = 0;

		p->failed_at = i;
		if (s->ops[i].kind == M_CRASH) {
			tell(p, &s->ops[i], NULL);
			crash = &s->ops[i++];
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
		if (!group(p, ops, n, crash))
			return false;
		crash = NULL;
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
	set_host(p, &(struct m_op){ .kind = M_HOST });
	/* Twice: the first may be told an error that is owed.  Who has to look
	 * does, since his handle may be there yet, if its end failed. */
	for (unsigned i = 0; i < 2 * M_CLIENTS * M_NAMES; i++) {
		unsigned client = i % M_CLIENTS;
		unsigned name = i / M_CLIENTS % M_NAMES;

		if (!one(p, M_LOOKUP, client, name) ||
		    !one(p, M_COMMIT, client, name))
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

	/* In a schedule that was left undecided it may have lost its
	 * connection, for want of memory. */
	if (r < 0 && l->d.host_faults && lane_connect(l, 0) == 0)
		r = nc_mkdir(&l->client[0].rpc, &l->root, p->dir, &mode,
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

/* Faults of the machine, and when. */
static void
tell_host(struct play *p)
{
	char path[300], line[1024];
	FILE *f;

	snprintf(path, sizeof(path), "%s/host.log", p->lane->d.dir);
	f = fopen(path, "r");
	if (f == NULL)
		return;
	fseek(f, p->host_log_at, SEEK_SET);
	while (fgets(line, sizeof(line), f) != NULL)
		fprintf(p->tell, "  host: %.150s%s", line,
			strlen(line) > 150 ? "\n" : "");
	fclose(f);
}

/* Where that log ends. */
static long
host_log_end(const struct lane *l)
{
	char path[300];
	struct stat st = { 0 };

	snprintf(path, sizeof(path), "%s/host.log", l->d.dir);
	return stat(path, &st) == 0 ? st.st_size : 0;
}

bool
play(struct lane *l, const struct schedule *s, char **told, struct play *p)
{
	size_t size;
	bool right;

	memset(p, 0, sizeof(*p));
	p->lane = l;
	p->s = s;
	p->host_log_at = host_log_end(l);
	if (told != NULL)
		p->tell = open_memstream(told, &size);
	p->next_id = (uint16_t)(s->ops[s->count - 1].id + 1);
	p->world = m_world_new(&l->conf->model, s->trouble == M_REFUSING);
	snprintf(p->dir, sizeof(p->dir), "s%llu.%u.%d",
		 (unsigned long long)s->seed, l->plays++, (int)getpid());
	right = play_all(p);
	daemon_host(&l->d, "");
	/* It may have changed since the last reply that had it. */
	l->verf_known &= !p->host_was;
	if (!right && !p->undecided && p->tell != NULL) {
		fprintf(p->tell, "  %s\n", p->why);
		m_print(p->world, p->tell);
		tell_host(p);
	}
	if (p->tell != NULL)
		fclose(p->tell);
	m_world_free(&p->world);
	return right || p->undecided;
}

bool
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

