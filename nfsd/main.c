/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3nfsd: the order in which the rooms are opened, and closed again.
 *
 *	settings, state directory (one daemon only) -> meta -> gate ->
 *	buckets and their exports -> gate_start -> server -> control socket
 *
 * and backwards at the end.  This is the one file that opens meta, as its
 * buckets.c opens s3, and the one that ends the program:
 *
 *	0  asked to stop, and stopped; --help, --version, --check without fault
 *	1  cannot serve: state directory, port, what cannot be a bucket
 *	2  the configuration is wrong
 *
 * The start runs in a thread of its own, so that a signal is heard at any
 * moment of it, and waits for no bucket (probe.h): one that does not answer, or
 * refuses us, may do later, and what is here is served until then.  One that
 * cannot be asked at all ends the start with one line.
 *
 * The end has a time, shutdown_timeout_ms: requests are answered, staged bytes
 * uploaded.  Then all that still waits for S3 is cancelled, and the rest is
 * moments.  Should it not be, the process ends all the same (end_for_sure):
 * what is owed is on disk, as it is after a crash.
 */
#include <config.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include "meta/meta.h"
#include "nfsd/ctl.h"
#include "nfsd/daemon.h"
#include "nfsd/exports.h"
#include "nfsd/gate/gate.h"
#include "nfsd/limits.h"
#include "nfsd/log.h"
#include "nfsd/probe.h"
#include "nfsd/server.h"
#include "nfsd/settings.h"
#include "nfsd/state.h"
#include "s3/s3.h"

#define PROBE_FIRST_MS 300	/* most stores answer in that time, */
#define START_GRACE_MS 1500	/* ... and refuse in this one */
#define END_SURE_MS 1500	/* after shutdown_timeout_ms */

/* ---- callbacks of the rooms ---- */

static void
log_meta(void *arg, int level, const char *line)
{
	(void)arg;
	log_line((enum log_level)level, "meta", line);
}

static void
log_gate(void *arg, int level, const char *line)
{
	(void)arg;
	log_line((enum log_level)level, "gate", line);
}

static void
wake(void *arg, void *token)
{
	struct daemon *d = arg;

	rpc_wake(atomic_load(&d->rpc), token);
}

static bool
waits(void *arg, enum gate_identity identity, const char *who,
      uint64_t since_ms)
{
	struct daemon *d = arg;

	return server_waits(atomic_load(&d->rpc), identity, who, since_ms);
}

static uint64_t
unread_ms(void *arg, enum gate_identity identity, const char *who)
{
	struct daemon *d = arg;

	return server_unread_ms(atomic_load(&d->rpc), identity, who);
}

static uint64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int
daemon_fail(int r, const char *format, ...)
{
	char text[4096];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fprintf(stderr, "s3nfsd: %s\n", text);
	return r;
}

/* ---- state directory ---- */

static int
open_state(struct daemon *d)
{
	const char *dir = d->settings.server.state_dir;
	int r = state_open(dir, &d->state);

	if (r == -EBUSY)
		return daemon_fail(r, "state directory %s is in use by another "
				   "s3nfsd; name another one with --state-dir",
				   dir);
	return r < 0 ? daemon_fail(r, "state directory %s: %s", dir,
				   strerror(-r)) : 0;
}

/* Of what was read in the state directory. */
static const char *
state_words(int r)
{
	switch (r) {
	case -ENOTSUP:
		return "it was made by a newer version of s3nfsd; run that one";
	case -EBADMSG:
		return "the database is damaged; nothing was changed. Put it "
		       "back from a copy, or move meta.db away and start once "
		       "with --accept-state";
	default:
		return strerror(-r);
	}
}

static int
open_meta(struct daemon *d)
{
	char path[4096];
	struct meta_config config = {.path = path, .log = log_meta};
	int r;

	snprintf(path, sizeof(path), "%s/meta.db",
		 d->settings.server.state_dir);
	r = state_take_db(&d->state, path);
	if (r == 0 || r == -ENOENT) {
		r = meta_open(&config, &d->meta);
		if (r < 0)
			return daemon_fail(r, "%s: %s", path, state_words(r));
		r = state_take_db(&d->state, path);
	}
	if (r == -EBUSY)
		return daemon_fail(r, "%s is in use by another s3nfsd", path);
	return r < 0 ? daemon_fail(r, "%s: %s", path, strerror(-r)) : 0;
}

static int
open_gate(struct daemon *d)
{
	const struct options_server *server = &d->settings.server;
	struct gate_config config = {
		.state_dir = server->state_dir,
		.cache_size = server->cache_size,
		.memory_size = server->memory_size,
		.transfer_threads = (unsigned)server->transfer_threads,
		.max_nodes = (unsigned)server->max_nodes,
		.max_names = server->max_names,
		.max_files = d->files,
		.wake = wake, .waits = waits, .unread_ms = unread_ms,
		.wake_arg = d, .log = log_gate,
		.accept_state = server->accept_state,
		.why = d->why, .why_size = sizeof(d->why),
	};
	int r = gate_open(&config, d->meta, &d->gate);

	return r < 0 ? daemon_fail(r, "state directory %s: %s",
				   server->state_dir, d->why[0] != '\0' ?
				   d->why : state_words(r)) : 0;
}

/* ---- serving ---- */

static void
address_text(const struct sockaddr_storage *address, char *out, size_t size)
{
	char host[INET6_ADDRSTRLEN] = "?";

	if (address->ss_family == AF_INET) {
		inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)
				     address)->sin_addr, host, sizeof(host));
		snprintf(out, size, "%s", host);
		return;
	}
	inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)
			      address)->sin6_addr, host, sizeof(host));
	snprintf(out, size, "[%s]", host);
}

static void
announce(struct daemon *d)
{
	char address[INET6_ADDRSTRLEN + 2];

	address_text(&d->settings.listen, address, sizeof(address));
	for (size_t i = 0; i < d->settings.export_count; i++) {
		const struct settings_export *e = &d->settings.exports[i];
		int prefix = (int)strlen(e->prefix);

		fprintf(stderr, "s3nfsd: serving %s on %s:%u (%s%s%.*s)\n",
			e->name, address, d->port, e->url,
			prefix > 0 ? "/" : "",
			prefix > 0 ? prefix - 1 : 0, e->prefix);
	}
#ifdef HAVE_SYSTEMD
	sd_notify(0, "READY=1");
#endif
}

static int
start_serving(struct daemon *d)
{
	int r = server_new(&d->settings, d->gate, d->exports, &d->server);

	if (r < 0)
		return daemon_fail(r, "cannot start: %s", strerror(-r));
	atomic_store(&d->rpc, server_rpc(d->server));
	r = gate_start(d->gate);
	if (r < 0)
		return daemon_fail(r, "cannot start: %s", state_words(r));
	r = server_start(d->server, &d->settings, &d->port);
	if (r < 0)
		return daemon_fail(r, "cannot listen on %s: %s%s",
				   d->settings.server.listen, strerror(-r),
				   r == -EADDRINUSE ? "; another server has "
				   "it, name another port with --listen" : "");
	r = server_portmap(d->server, &d->settings, d->port);
	return r < 0 ? daemon_fail(r, "portmap: %s", strerror(-r)) : 0;
}

static bool
keys_of(void *arg, size_t number, struct ctl_keys *out)
{
	struct daemon *d = arg;
	struct s3_identity who = {0};

	if (number >= d->settings.export_count)
		return false;
	out->export = d->buckets[number].settings->name;
	if (!s3_identity(d->buckets[number].s3, &who))
		return true;
	out->known = who.known;
	out->expires_s = who.expires_s;
	snprintf(out->source, sizeof(out->source), "%s", who.source);
	snprintf(out->error, sizeof(out->error), "%s", who.error);
	return true;
}

static int
start_ctl(struct daemon *d)
{
	char path[4096];
	struct ctl_config config = {
		.path = path, .gate = d->gate, .exports = d->exports,
		.mounts = server_mounts(d->server),
		.clients = server_clients(d->server),
		.rpc = server_rpc(d->server),
		.keys = keys_of, .keys_arg = d,
	};
	int r;

	snprintf(path, sizeof(path), "%s/ctl.sock",
		 d->settings.server.state_dir);
	r = ctl_start(&config, &d->ctl);
	/* A path too long for a socket: s3nfsctl cannot be used, files can. */
	if (r < 0)
		log_warn("ctl", "no control socket path=%s: %s", path,
			 strerror(-r));
	return 0;
}

/* ---- SIGHUP ---- */

static void
reload_export(struct daemon *d, const struct settings_export *export)
{
	struct exports_rules *rules = NULL;
	int r = buckets_rules(export, &rules);

	if (r == 0)
		r = exports_reload(d->exports, export->name,
				   export->options.readonly, &rules);
	exports_rules_free(&rules);
	if (r == -ENOENT)
		log_warn("exports", "export=%s is new: it is served after a "
			 "restart", export->name);
	else if (r < 0)
		log_err("exports", "export=%s keeps its old rules: %s",
			export->name, strerror(-r));
	else
		log_info("exports", "export=%s has its rules anew",
			 export->name);
}

static void
reload(struct daemon *d)
{
	struct settings fresh = {0};
	char *complaint = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&complaint, &size);
	int r;

	if (out == NULL)
		return;
	r = settings_load(d->argc, d->argv, &fresh, out);
	fclose(out);
	if (r < 0)
		log_err("exports", "the old rules stay: %s", complaint);
	for (size_t i = 0; r == 0 && i < fresh.export_count; i++)
		reload_export(d, &fresh.exports[i]);
	settings_free(&fresh);
	free(complaint);
}

/* ---- the end ---- */

static uint64_t
until(uint64_t deadline)
{
	uint64_t now = now_ms();

	return now < deadline ? deadline - now : 0;
}

/* The last moment for the end, and what the process answers then. */
struct sure_end {
	uint64_t deadline;	/* now_ms */
	int status;
};

/* Whatever still hangs: what is owed is on disk, and the next start goes on
 * with it as after a crash. */
static void *
end_for_sure(void *arg)
{
	struct sure_end end = *(struct sure_end *)arg;
	uint64_t now;

	free(arg);
	while ((now = now_ms()) < end.deadline) {
		struct timespec ts = {
			(time_t)((end.deadline - now) / 1000),
			(long)((end.deadline - now) % 1000) * 1000000,
		};

		nanosleep(&ts, NULL);
	}
	log_warn("main", "something does not end; stopped all the same, the "
		 "next start goes on");
	_exit(end.status);
}

/* The thread may begin when all else is over: what it reads is its own. */
static void
limit_the_end(struct daemon *d, int status)
{
	struct sure_end *end = malloc(sizeof(*end));
	pthread_t thread;

	if (end == NULL)
		return;
	*end = (struct sure_end){
		.deadline = now_ms() + END_SURE_MS +
			    d->settings.server.shutdown_timeout_ms,
		.status = status,
	};
	if (pthread_create(&thread, NULL, end_for_sure, end) == 0)
		pthread_detach(thread);
	else
		free(end);
}

static void
stop_serving(struct daemon *d)
{
	uint64_t timeout = d->settings.server.shutdown_timeout_ms;
	uint64_t deadline = now_ms() + timeout;
	struct gate_status status = {0};

#ifdef HAVE_SYSTEMD
	sd_notify(0, "STOPPING=1");
#endif
	gate_status(d->gate, &status);
	log_info("main", "stopping: staged_bytes=%llu uploads=%llu "
		 "timeout_ms=%llu", (unsigned long long)status.staged_bytes,
		 (unsigned long long)status.uploads,
		 (unsigned long long)timeout);
	ctl_leave(d->ctl);
	/* Uploads need their time too: requests may have half of it. */
	server_quiet(d->server, timeout / 2);
	if (gate_drain(d->gate, until(deadline)) == 0)
		return;
	gate_status(d->gate, &status);
	log_info("main",
		 "stopped with staged_bytes=%llu; they are uploaded "
		 "after the next start",
		 (unsigned long long)status.staged_bytes);
}

static void
close_all(struct daemon *d)
{
	size_t count = d->buckets == NULL ? 0 : d->settings.export_count;

	atomic_store(&d->stopping, true);
	buckets_cancel(d);
	for (size_t i = 0; i < count; i++)
		probe_stop(&d->buckets[i].probe);
	ctl_stop(&d->ctl);
	/* Threads of the gate may still wake a request. */
	if (d->server != NULL && d->port != 0)
		server_stop(d->server, 0);
	if (d->gate != NULL)
		gate_close(&d->gate);
	server_free(&d->server);
	exports_free(&d->exports);
	for (size_t i = 0; i < count; i++)
		s3_close(&d->buckets[i].s3);
	meta_close(&d->meta);
	free(d->buckets);
	d->buckets = NULL;
	state_close(&d->state);
	settings_free(&d->settings);
}

/* ---- signals ---- */

static void
block_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
	sigaddset(set, SIGUSR1);	/* the start is over */
	pthread_sigmask(SIG_BLOCK, set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* The start, in its thread; ends with a SIGUSR1 for the main one. */
static void *
start_up(void *arg)
{
	struct daemon *d = arg;
	uint64_t began;
	int r = open_state(d);

	if (r == 0)
		r = open_meta(d);
	if (r == 0)
		r = open_gate(d);
	if (r == 0)
		r = buckets_open(d);
	began = now_ms();
	/* A store that answers has told what it honours before the first
	 * upload of what a crash has left. */
	if (r == 0)
		r = buckets_await(d, began + PROBE_FIRST_MS);
	if (r == 0)
		r = start_serving(d);
	if (r == 0)
		r = start_ctl(d);
	if (r == 0)
		r = buckets_await(d, began + START_GRACE_MS);
	for (size_t i = 0; r == 0 && i < d->settings.export_count; i++)
		probe_settle(d->buckets[i].probe);
	if (r == 0)
		announce(d);
	d->start_result = r;
	atomic_store(&d->started, true);
	(void)kill(getpid(), SIGUSR1);
	return NULL;
}

/* Until we shall end, or cannot start. */
static void
wait_for_the_end(struct daemon *d, sigset_t *set)
{
	for (;;) {
		int number = sigwaitinfo(set, NULL);
		bool started = atomic_load(&d->started);

		if (number == SIGHUP && started)
			reload(d);
		else if (number == SIGTERM || number == SIGINT ||
			 (started && d->start_result < 0))
			break;
	}
	/* A second one ends us at once, which is safe, as a crash is. */
	sigdelset(set, SIGHUP);
	sigdelset(set, SIGUSR1);
	pthread_sigmask(SIG_UNBLOCK, set, NULL);
}

static int
serve(struct daemon *d)
{
	sigset_t signals;
	bool started;
	int r;

	d->files = limits_raise(&d->settings);
	block_signals(&signals);
	r = -pthread_create(&d->starter, NULL, start_up, d);
	if (r < 0)
		return daemon_fail(1, "cannot start: %s", strerror(-r));
	wait_for_the_end(d, &signals);
	started = atomic_load(&d->started);
	limit_the_end(d, started && d->start_result < 0 ? 1 : 0);
	if (!started) {
		atomic_store(&d->stopping, true);
		buckets_cancel(d);
	}
	pthread_join(d->starter, NULL);
	if (started && d->start_result == 0)
		stop_serving(d);
	r = d->start_result;
	close_all(d);
	/* Asked to stop before all stood: that is no failure. */
	return r < 0 && started ? 1 : 0;
}

static int
load_settings(struct daemon *d)
{
	char *complaint = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&complaint, &size);
	int r = out == NULL ? -ENOMEM :
		settings_load(d->argc, d->argv, &d->settings, out);

	if (out != NULL)
		fclose(out);
	if (r < 0)
		fprintf(stderr, "s3nfsd: %s%s", size > 0 ? complaint :
			strerror(-r), size > 0 ? "" : "\n");
	free(complaint);
	return r;
}

int
main(int argc, char **argv)
{
	struct daemon d = {.argc = argc, .argv = argv, .state = STATE_NONE,
			   .lock = PTHREAD_MUTEX_INITIALIZER};
	int r = load_settings(&d);

	if (r < 0 || d.settings.help || d.settings.version) {
		if (r == 0 && d.settings.help)
			settings_usage(stdout);
		else if (r == 0)
			puts("s3nfsd " PACKAGE_VERSION);
		settings_free(&d.settings);
		return r < 0 ? 2 : 0;
	}
	log_set_level((enum log_level)d.settings.server.log_level);
	if (d.settings.check) {
		r = buckets_check(&d);
		settings_free(&d.settings);
		return r;
	}
	return serve(&d);
}
