/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's life: new, listen, start, stop, free.
 *
 * Stopping goes in three steps.  First nothing new is accepted or read; what
 * is in flight is answered, for as long as the caller allows.  Then the
 * workers end, each after the call it has.  Then the event threads close
 * everything.  Calls that were parked or queued then are forgotten when the
 * server is freed; until then their memory stays, since the gate may still
 * name them.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "nfsd/rpc/inside.h"

#define DEFAULT(limit, value) ((limit) = (limit) != 0 ? (limit) : (value))

static void
fill_limits(struct rpc_limits *limits)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	DEFAULT(limits->event_threads, cores > 0 ? (unsigned)cores : 1);
	DEFAULT(limits->workers, 32);
	DEFAULT(limits->workers_per_key, 24);
	DEFAULT(limits->far_workers, 512);
	DEFAULT(limits->far_wait_ms, 20000);
	DEFAULT(limits->connections, 1024);
	DEFAULT(limits->connections_per_host, 256);
	DEFAULT(limits->in_flight_per_connection, 128);
	DEFAULT(limits->buffer_bytes, 64U << 20);
	DEFAULT(limits->reply_cache_bytes, 16U << 20);
	DEFAULT(limits->record_ms, 60000);
}

/* The largest arguments and results. */
static void
measure(struct rpc_server *server)
{
	const struct rpc_server_config *config = &server->config;

	for (unsigned i = 0; i < config->program_count; i++) {
		const struct rpc_program *program = &config->programs[i];

		for (unsigned j = 0; j < program->version_count; j++) {
			const struct rpc_version *version =
				&program->versions[j];

			for (unsigned k = 0; k < version->count; k++) {
				const struct rpc_procedure *p =
					&version->procedures[k];

				if (p->args_size > server->args_size)
					server->args_size = p->args_size;
				if (p->res_size > server->res_size)
					server->res_size = p->res_size;
			}
		}
	}
}

static int
make_threads(struct rpc_server *server)
{
	int r = 0;

	server->threads = calloc(server->limits.event_threads,
				 sizeof(*server->threads));
	if (server->threads == NULL)
		return -ENOMEM;
	while (r == 0 && server->thread_count < server->limits.event_threads)
		r = rpc_thread_init(&server->threads[server->thread_count++],
				    server);
	return r;
}

/* A client alone has most of an export's far workers, and never all. */
static int
make_workers(struct rpc_server *server)
{
	const struct rpc_limits *l = &server->limits;
	struct rpc_workers_config near = {
		.server = server,
		.count = l->workers,
		.at_first = l->workers,
		.per_key = l->workers_per_key,
		.per_host = l->workers_per_key,
	};
	struct rpc_workers_config far = {
		.server = server,
		.count = l->far_workers,
		.at_first = 1,
		.per_key = l->workers_per_key,
		.per_host = (l->workers_per_key * 2 + 2) / 3,
		.far = true,
	};
	int r = rpc_workers_new(&near, &server->workers);

	return r < 0 ? r : rpc_workers_new(&far, &server->far);
}

int
rpc_server_new(const struct rpc_server_config *config, struct rpc_server **out)
{
	struct rpc_server *server = calloc(1, sizeof(*server));
	int r;

	if (server == NULL)
		return -ENOMEM;
	server->config = *config;
	/* The table is the caller's and may be gone after this call. */
	server->programs = calloc(config->program_count + 1,
				  sizeof(*server->programs));
	if (server->programs == NULL) {
		free(server);
		return -ENOMEM;
	}
	memcpy(server->programs, config->programs,
	       config->program_count * sizeof(*server->programs));
	server->config.programs = server->programs;
	server->limits = config->limits;
	fill_limits(&server->limits);
	measure(server);
	LIST_INIT(&server->listeners);
	LIST_INIT(&server->parked);
	LIST_INIT(&server->calls);
	run_clock_init(&server->own_clock);
	server->clock = config->clock != NULL ? config->clock :
			&server->own_clock;
	pthread_mutex_init(&server->calls_lock, NULL);
	pthread_mutex_init(&server->parked_lock, NULL);
	pthread_mutex_init(&server->hosts_lock, NULL);
	rpc_pool_init(&server->pool, server->limits.buffer_bytes);
	server->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	server->cache = rpc_cache_new(server->limits.reply_cache_bytes,
				      server);
	r = server->cache == NULL ? -ENOMEM : make_threads(server);
	if (r == 0)
		r = make_workers(server);
	if (r < 0) {
		rpc_server_free(&server);
		return r;
	}
	*out = server;
	return 0;
}

int
rpc_server_start(struct rpc_server *server)
{
	server->started = true;
	for (unsigned i = 0; i < server->thread_count; i++) {
		struct rpc_thread *thread = &server->threads[i];
		int r = -pthread_create(&thread->id, NULL, rpc_thread_main,
					thread);

		if (r < 0) {
			rpc_server_stop(server, 0);
			return r;
		}
		thread->started = true;
	}
	return 0;
}

static bool
connection_is_sending(struct rpc_server *server)
{
	bool sending = false;

	for (unsigned i = 0; i < server->thread_count && !sending; i++) {
		struct rpc_thread *thread = &server->threads[i];
		struct rpc_conn *conn;

		pthread_mutex_lock(&thread->lock);
		LIST_FOREACH(conn, &thread->conns, link)
			sending |= RPC_LOAD(conn->out_bytes) > 0;
		pthread_mutex_unlock(&thread->lock);
	}
	return sending;
}

static void
wake_all(struct rpc_server *server)
{
	for (unsigned i = 0; i < server->thread_count; i++)
		rpc_thread_wake(&server->threads[i]);
}

void
rpc_server_quiet(struct rpc_server *server, uint64_t timeout_ms)
{
	uint64_t deadline = rpc_now_ms() + timeout_ms;

	RPC_STORE(server->stopping, true);
	wake_all(server);
	while (server->threads[0].started && rpc_now_ms() < deadline &&
	       (__atomic_load_n(&server->in_flight, __ATOMIC_ACQUIRE) > 0 ||
		connection_is_sending(server)))
		nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
}

void
rpc_server_stop(struct rpc_server *server, uint64_t timeout_ms)
{
	rpc_server_quiet(server, timeout_ms);
	rpc_workers_stop(server->workers);
	rpc_workers_stop(server->far);
	RPC_STORE(server->exiting, true);
	wake_all(server);
	for (unsigned i = 0; i < server->thread_count; i++) {
		struct rpc_thread *thread = &server->threads[i];

		if (thread->started)
			pthread_join(thread->id, NULL);
		thread->started = false;
	}
}

static void
drop_parked(struct rpc_server *server)
{
	struct rpc_call *call;

	while ((call = LIST_FIRST(&server->parked)) != NULL) {
		LIST_REMOVE(call, parked);
		rpc_call_drop(call);
	}
}

void
rpc_server_free(struct rpc_server **slot)
{
	struct rpc_server *server = *slot;
	struct rpc_listener *listener;

	*slot = NULL;
	if (server == NULL)
		return;
	if (server->threads != NULL && server->threads[0].started)
		rpc_server_stop(server, 0);
	rpc_workers_stop(server->workers);
	rpc_workers_stop(server->far);
	rpc_workers_free(&server->workers);
	rpc_workers_free(&server->far);
	drop_parked(server);
	for (unsigned i = 0; i < server->thread_count; i++) {
		struct rpc_conn *conn;

		/* The last calls may have kicked. */
		while ((conn = STAILQ_FIRST(&server->threads[i].kicked)) !=
		       NULL) {
			STAILQ_REMOVE_HEAD(&server->threads[i].kicked,
					   kick_link);
			rpc_conn_put(&conn);
		}
		rpc_thread_fini(&server->threads[i]);
	}
	free(server->threads);
	while ((listener = LIST_FIRST(&server->listeners)) != NULL) {
		LIST_REMOVE(listener, link);
		close(listener->fd);
		free(listener);
	}
	rpc_cache_free(&server->cache);
	rpc_pool_fini(&server->pool);
	if (server->spare_fd >= 0)
		close(server->spare_fd);
	run_clock_fini(&server->own_clock);
	pthread_mutex_destroy(&server->calls_lock);
	pthread_mutex_destroy(&server->parked_lock);
	pthread_mutex_destroy(&server->hosts_lock);
	free(server->programs);
	free(server);
}

/* ---- who waits for us ---- */

struct wanted {
	bool (*match)(void *arg, const struct rpc_cred *cred,
		      const struct sockaddr_storage *peer);
	void *arg;
	uint64_t since_ms;
};

static bool
any_call(struct rpc_server *server, const struct wanted *w)
{
	struct rpc_call *call;
	bool found = false;

	pthread_mutex_lock(&server->calls_lock);
	LIST_FOREACH(call, &server->calls, out) {
		found = call->counted_ms <= w->since_ms &&
			w->match(w->arg, &call->rq.cred, &call->rq.peer);
		if (found)
			break;
	}
	pthread_mutex_unlock(&server->calls_lock);
	return found;
}

static bool
is_unread(struct rpc_conn *conn, const struct wanted *w)
{
	uint64_t stopped_ms = RPC_LOAD(conn->stopped_ms);
	bool found = false;
	int bytes = 0;

	pthread_mutex_lock(&conn->lock);
	if (!conn->dead && conn->identified &&
	    ((stopped_ms != 0 && stopped_ms <= w->since_ms) ||
	     (ioctl(conn->fd, FIONREAD, &bytes) == 0 && bytes > 0)))
		found = w->match(w->arg, &conn->identity, &conn->peer);
	pthread_mutex_unlock(&conn->lock);
	return found;
}

bool
rpc_server_waits(struct rpc_server *server,
		 bool (*match)(void *arg, const struct rpc_cred *cred,
			       const struct sockaddr_storage *peer),
		 void *arg, uint64_t since_ms)
{
	const struct wanted w = { match, arg, since_ms };
	bool found = any_call(server, &w);

	for (unsigned i = 0; !found && i < server->thread_count; i++) {
		struct rpc_thread *thread = &server->threads[i];
		struct rpc_conn *conn;

		pthread_mutex_lock(&thread->lock);
		LIST_FOREACH(conn, &thread->conns, link)
			if ((found = is_unread(conn, &w)))
				break;
		pthread_mutex_unlock(&thread->lock);
	}
	return found;
}

void
rpc_server_stats(struct rpc_server *server, struct rpc_stats *out)
{
	struct rpc_stats stats = {
		.in_flight = (unsigned)RPC_LOAD(server->in_flight),
		.workers_busy = rpc_workers_busy(server->workers),
		.far_busy = rpc_workers_busy(server->far),
		.replies = RPC_LOAD(server->worker_replies),
		.replayed = RPC_LOAD(server->replayed),
		.dropped_duplicates = RPC_LOAD(server->dropped),
		.garbage = RPC_LOAD(server->garbage),
		.denied = RPC_LOAD(server->denied),
	};

	pthread_mutex_lock(&server->hosts_lock);
	stats.connections = server->open_count;
	pthread_mutex_unlock(&server->hosts_lock);
	pthread_mutex_lock(&server->parked_lock);
	stats.held = server->parked_count;
	pthread_mutex_unlock(&server->parked_lock);
	for (unsigned i = 0; i < server->thread_count; i++) {
		stats.calls += RPC_LOAD(server->threads[i].calls);
		stats.replies += RPC_LOAD(server->threads[i].replies);
	}
	*out = stats;
}
