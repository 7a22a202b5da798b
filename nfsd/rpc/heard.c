/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far a client has been heard.  Its calls may lie in a socket or in part
 * in a buffer, for reasons of ours (back-pressure, a busy event thread) or of
 * the network; that is no silence of its.
 *
 * A connection counts the bytes that it has received, and those of records
 * that were handed over.  If both agree, and the socket has nothing, all that
 * has arrived was handed over.  A client that never stops sending is never
 * found so: for it the bytes that are there at one look are the mark, and at
 * the look that finds them handed over, that is how far it has been heard.
 */
#include <config.h>

#include <sys/ioctl.h>

#include "nfsd/rpc/inside.h"

/* Guarded by conn->lock, which the owner takes to close the socket. */
static uint64_t
unread_locked(struct rpc_conn *conn, uint64_t now_ms)
{
	uint64_t arrived, handed;
	int waiting = 0;

	/* In this order: what is received in between is counted twice, and
	 * looked for once more. */
	if (conn->dead || ioctl(conn->fd, FIONREAD, &waiting) < 0)
		return 0;
	arrived = RPC_LOAD(conn->received) + (uint64_t)waiting;
	handed = RPC_LOAD(conn->handed);
	if (arrived == handed) {
		conn->heard_ms = now_ms;
		conn->heard_mark = 0;
		return 0;
	}
	if (conn->heard_mark != 0 && handed >= conn->heard_mark) {
		conn->heard_ms = conn->heard_mark_ms;
		conn->heard_mark = 0;
	}
	if (conn->heard_mark == 0) {
		conn->heard_mark = arrived;
		conn->heard_mark_ms = now_ms;
	}
	return now_ms - conn->heard_ms;
}

uint64_t
rpc_server_unread_ms(struct rpc_server *server,
		     bool (*match)(void *arg, const struct rpc_cred *cred,
				   const struct sockaddr_storage *peer),
		     void *arg)
{
	uint64_t now_ms = rpc_run_ms(server), longest = 0;

	for (unsigned i = 0; i < server->thread_count; i++) {
		struct rpc_thread *thread = &server->threads[i];
		struct rpc_conn *conn;

		pthread_mutex_lock(&thread->lock);
		LIST_FOREACH(conn, &thread->conns, link) {
			uint64_t unread = 0;

			pthread_mutex_lock(&conn->lock);
			if (match(arg, &conn->identity, &conn->peer))
				unread = unread_locked(conn, now_ms);
			pthread_mutex_unlock(&conn->lock);
			if (unread > longest)
				longest = unread;
		}
		pthread_mutex_unlock(&thread->lock);
	}
	return longest;
}
