/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Worker threads, for calls that must wait for a disk or for S3.  Calls queue
 * by their share key (an export), oldest first; the keys take turns, and each
 * has at most per_key threads at a time.  So a bucket that answers slowly fills
 * its own share and no more.
 *
 * A key exists while calls of it wait or run.  It is in `ready` when a call
 * waits and a thread of its share is free.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>

#include "nfsd/rpc_priv.h"

struct rpc_key {
	uint64_t id;
	unsigned running;
	bool ready;
	struct rpc_calls calls;
	TAILQ_ENTRY(rpc_key) turn;
	UT_hash_handle hh;
};

struct rpc_workers {
	struct rpc_server *server;
	unsigned per_key;
	pthread_t *threads;
	unsigned count;		/* threads that were started */

	pthread_mutex_t lock;
	/* Guarded by it: */
	pthread_cond_t call_ready;
	struct rpc_key *keys;
	TAILQ_HEAD(, rpc_key) ready;
	struct rpc_calls homeless;	/* no memory for their key */
	unsigned busy;
	bool stopping;
};

/* It waits, and may run: have it take its turn. */
static void
enlist_locked(struct rpc_workers *workers, struct rpc_key *key)
{
	if (key->ready || STAILQ_EMPTY(&key->calls) ||
	    key->running >= workers->per_key)
		return;
	key->ready = true;
	TAILQ_INSERT_TAIL(&workers->ready, key, turn);
	pthread_cond_signal(&workers->call_ready);
}

static void
retire_locked(struct rpc_workers *workers, struct rpc_key *key)
{
	if (key->running > 0 || !STAILQ_EMPTY(&key->calls))
		return;
	HASH_DEL(workers->keys, key);
	free(key);
}

void
rpc_workers_queue(struct rpc_workers *workers, struct rpc_call *call)
{
	struct rpc_key *key;

	pthread_mutex_lock(&workers->lock);
	HASH_FIND(hh, workers->keys, &call->share_key, sizeof(uint64_t), key);
	if (key == NULL && (key = calloc(1, sizeof(*key))) != NULL) {
		key->id = call->share_key;
		STAILQ_INIT(&key->calls);
		HASH_ADD(hh, workers->keys, id, sizeof(uint64_t), key);
	}
	call->key = key;
	if (key == NULL) {
		STAILQ_INSERT_TAIL(&workers->homeless, call, queue);
		pthread_cond_signal(&workers->call_ready);
	} else {
		STAILQ_INSERT_TAIL(&key->calls, call, queue);
		enlist_locked(workers, key);
	}
	pthread_mutex_unlock(&workers->lock);
}

/* The next call whose turn it is, or NULL. */
static struct rpc_call *
take_locked(struct rpc_workers *workers)
{
	struct rpc_key *key = TAILQ_FIRST(&workers->ready);
	struct rpc_call *call = STAILQ_FIRST(&workers->homeless);

	if (call != NULL) {
		STAILQ_REMOVE_HEAD(&workers->homeless, queue);
		return call;
	}
	if (key == NULL)
		return NULL;
	TAILQ_REMOVE(&workers->ready, key, turn);
	key->ready = false;
	call = STAILQ_FIRST(&key->calls);
	STAILQ_REMOVE_HEAD(&key->calls, queue);
	key->running++;
	enlist_locked(workers, key);
	return call;
}

static void *
worker(void *arg)
{
	struct rpc_workers *workers = arg;

	pthread_mutex_lock(&workers->lock);
	while (!workers->stopping) {
		struct rpc_call *call = take_locked(workers);
		struct rpc_key *key;

		if (call == NULL) {
			pthread_cond_wait(&workers->call_ready,
					  &workers->lock);
			continue;
		}
		key = call->key;
		workers->busy++;
		pthread_mutex_unlock(&workers->lock);
		rpc_dispatch_blocking(call);
		pthread_mutex_lock(&workers->lock);
		workers->busy--;
		if (key == NULL)
			continue;
		key->running--;
		enlist_locked(workers, key);
		retire_locked(workers, key);
	}
	pthread_mutex_unlock(&workers->lock);
	return NULL;
}

int
rpc_workers_new(struct rpc_server *server, unsigned count, unsigned per_key,
		struct rpc_workers **out)
{
	struct rpc_workers *workers = calloc(1, sizeof(*workers));
	int r = 0;

	if (workers == NULL)
		return -ENOMEM;
	workers->server = server;
	workers->per_key = per_key;
	TAILQ_INIT(&workers->ready);
	STAILQ_INIT(&workers->homeless);
	pthread_mutex_init(&workers->lock, NULL);
	pthread_cond_init(&workers->call_ready, NULL);
	workers->threads = calloc(count, sizeof(*workers->threads));
	if (workers->threads == NULL)
		r = -ENOMEM;
	while (r == 0 && workers->count < count) {
		r = -pthread_create(&workers->threads[workers->count], NULL,
				    worker, workers);
		if (r == 0)
			workers->count++;
	}
	if (r < 0) {
		rpc_workers_stop(workers);
		rpc_workers_free(&workers);
		return r;
	}
	*out = workers;
	return 0;
}

void
rpc_workers_stop(struct rpc_workers *workers)
{
	pthread_mutex_lock(&workers->lock);
	workers->stopping = true;
	pthread_cond_broadcast(&workers->call_ready);
	pthread_mutex_unlock(&workers->lock);
	for (unsigned i = 0; i < workers->count; i++)
		pthread_join(workers->threads[i], NULL);
	workers->count = 0;
}

void
rpc_workers_free(struct rpc_workers **slot)
{
	struct rpc_workers *workers = *slot;
	struct rpc_key *key, *next;
	struct rpc_call *call;

	*slot = NULL;
	if (workers == NULL)
		return;
	while ((call = STAILQ_FIRST(&workers->homeless)) != NULL) {
		STAILQ_REMOVE_HEAD(&workers->homeless, queue);
		rpc_call_drop(call);
	}
	HASH_ITER(hh, workers->keys, key, next) {
		while ((call = STAILQ_FIRST(&key->calls)) != NULL) {
			STAILQ_REMOVE_HEAD(&key->calls, queue);
			rpc_call_drop(call);
		}
		HASH_DEL(workers->keys, key);
		free(key);
	}
	pthread_cond_destroy(&workers->call_ready);
	pthread_mutex_destroy(&workers->lock);
	free(workers->threads);
	free(workers);
}

unsigned
rpc_workers_busy(struct rpc_workers *workers)
{
	unsigned busy;

	pthread_mutex_lock(&workers->lock);
	busy = workers->busy;
	pthread_mutex_unlock(&workers->lock);
	return busy;
}
