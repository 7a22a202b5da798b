/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event threads, one a core.  Each has an epoll set, the connections it
 * owns, and scratch buffers to read and encode in.  Others reach it through
 * the list of kicked connections and an eventfd.  The first one also accepts
 * and answers datagrams.
 */
#include <config.h>

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "nfsd/rpc/inside.h"

#define EVENTS 64
#define SWEEP_MS 1000
#define LOOK_MS (2 * RUN_LOOK_MS)
#define STARVED_MS 10

uint64_t
rpc_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int
rpc_thread_init(struct rpc_thread *thread, struct rpc_server *server)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL };

	*thread = (struct rpc_thread){ .server = server };
	TAILQ_INIT(&thread->starved);
	STAILQ_INIT(&thread->kicked);
	LIST_INIT(&thread->conns);
	pthread_mutex_init(&thread->lock, NULL);
	thread->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	thread->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (thread->wake_fd < 0 || thread->epoll < 0 ||
	    epoll_ctl(thread->epoll, EPOLL_CTL_ADD, thread->wake_fd,
		      &event) < 0)
		return -errno;
	thread->in = aligned_alloc(64, RPC_SCRATCH_BYTES);
	thread->batch.out = aligned_alloc(64, RPC_SCRATCH_BYTES);
	thread->digest = EVP_MD_CTX_new();
	if (thread->in == NULL || thread->batch.out == NULL ||
	    thread->digest == NULL)
		return -ENOMEM;
	return 0;
}

void
rpc_thread_fini(struct rpc_thread *thread)
{
	rpc_call_free(&thread->spare);
	EVP_MD_CTX_free(thread->digest);
	free(thread->in);
	free(thread->batch.out);
	if (thread->epoll >= 0)
		close(thread->epoll);
	if (thread->wake_fd >= 0)
		close(thread->wake_fd);
	pthread_mutex_destroy(&thread->lock);
}

void
rpc_thread_wake(struct rpc_thread *thread)
{
	uint64_t one = 1;

	while (write(thread->wake_fd, &one, sizeof(one)) < 0 &&
	       errno == EINTR)
		;
}

void
rpc_thread_kick(struct rpc_conn *conn)
{
	struct rpc_thread *thread = conn->thread;
	bool wake = false;

	pthread_mutex_lock(&thread->lock);
	if (!conn->kicked) {
		conn->kicked = true;
		rpc_conn_get(conn);
		wake = STAILQ_EMPTY(&thread->kicked);
		STAILQ_INSERT_TAIL(&thread->kicked, conn, kick_link);
	}
	pthread_mutex_unlock(&thread->lock);
	if (wake)
		rpc_thread_wake(thread);
}

static struct rpc_conn *
next_kicked(struct rpc_thread *thread)
{
	struct rpc_conn *conn;

	pthread_mutex_lock(&thread->lock);
	conn = STAILQ_FIRST(&thread->kicked);
	if (conn != NULL) {
		STAILQ_REMOVE_HEAD(&thread->kicked, kick_link);
		conn->kicked = false;
	}
	pthread_mutex_unlock(&thread->lock);
	return conn;
}

/* Those that wait for memory, once each: they may queue up again. */
static void
feed_starved(struct rpc_thread *thread)
{
	struct rpc_conn *conn;
	unsigned count = 0;

	TAILQ_FOREACH(conn, &thread->starved, starved_link)
		count++;
	while (count-- > 0 &&
	       (conn = TAILQ_FIRST(&thread->starved)) != NULL) {
		TAILQ_REMOVE(&thread->starved, conn, starved_link);
		conn->starved = false;
		rpc_conn_resume(conn);
	}
}

/* Nobody waits for a far worker for ever, by the clock of arrived_ms. */
static void
expire(struct rpc_server *server)
{
	uint64_t now_ms = rpc_now_ms();

	if (now_ms > server->limits.far_wait_ms)
		rpc_workers_expire(server->far,
				   now_ms - server->limits.far_wait_ms,
				   server->workers);
}

/*
 * Each connection once in a while.  Only the owner takes them off the list, so
 * the next one is still there when the lock is retaken.
 */
static void
sweep(struct rpc_thread *thread, uint64_t now_ms)
{
	struct rpc_conn *conn, *next;

	thread->swept_ms = now_ms;
	pthread_mutex_lock(&thread->lock);
	conn = LIST_FIRST(&thread->conns);
	while (conn != NULL) {
		next = LIST_NEXT(conn, link);
		pthread_mutex_unlock(&thread->lock);
		rpc_conn_sweep(conn, now_ms);
		pthread_mutex_lock(&thread->lock);
		conn = next;
	}
	pthread_mutex_unlock(&thread->lock);
	rpc_evict_hog(thread->server, now_ms);
	if (thread == thread->server->threads)
		expire(thread->server);
}

static void
handle(struct rpc_thread *thread, const struct epoll_event *event)
{
	uintptr_t tagged = (uintptr_t)event->data.ptr;
	uint64_t count;

	if (event->data.ptr == NULL) {
		while (read(thread->wake_fd, &count, sizeof(count)) < 0 &&
		       errno == EINTR)
			;
	} else if (tagged & 1) {
		struct rpc_listener *listener = (void *)(tagged & ~1UL);

		if (listener->udp)
			rpc_udp_readable(thread, listener);
		else
			rpc_accept(thread, listener);
	} else {
		rpc_conn_event(event->data.ptr, event->events);
	}
}

static void
close_all(struct rpc_thread *thread)
{
	struct rpc_conn *conn;

	while ((conn = next_kicked(thread)) != NULL)
		rpc_conn_put(&conn);
	for (;;) {
		pthread_mutex_lock(&thread->lock);
		conn = LIST_FIRST(&thread->conns);
		pthread_mutex_unlock(&thread->lock);
		if (conn == NULL)
			return;
		rpc_conn_close(conn, RPC_END_STOP);
	}
}

static void
rest(struct rpc_thread *thread)
{
	struct rpc_server *server = thread->server;
	struct rpc_conn *conn;
	uint64_t run_ms;

	while ((conn = next_kicked(thread)) != NULL) {
		rpc_conn_resume(conn);
		rpc_conn_put(&conn);
	}
	if (!TAILQ_EMPTY(&thread->starved))
		feed_starved(thread);
	run_ms = rpc_run_ms(server);
	if (run_ms >= thread->swept_ms + (server->limits.record_ms < SWEEP_MS ?
					  server->limits.record_ms : SWEEP_MS))
		sweep(thread, run_ms);
	if (thread->accept_again_ms != 0 &&
	    rpc_now_ms() >= thread->accept_again_ms) {
		thread->accept_again_ms = 0;
		rpc_listeners_watch(thread, true);
	}
}

void *
rpc_thread_main(void *arg)
{
	struct rpc_thread *thread = arg;
	struct rpc_server *server = thread->server;
	struct epoll_event events[EVENTS];
	bool listening = false;

	while (!RPC_LOAD(server->exiting)) {
		int timeout = LOOK_MS, count;

		if (thread == server->threads &&
		    listening == RPC_LOAD(server->stopping)) {
			listening = !listening;
			rpc_listeners_watch(thread, listening);
		}
		if (thread->accept_again_ms != 0)
			timeout = 100;
		if (!TAILQ_EMPTY(&thread->starved))
			timeout = STARVED_MS;
		count = epoll_wait(thread->epoll, events, EVENTS, timeout);
		for (int i = 0; i < count; i++)
			handle(thread, &events[i]);
		rest(thread);
	}
	close_all(thread);
	return NULL;
}
