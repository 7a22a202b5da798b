/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Worker threads, for calls that must wait for a disk or for S3.  Calls queue
 * by their share key (an export), oldest first; the keys take turns, and each
 * has at most per_key threads at a time.  So a bucket that answers slowly fills
 * its own share and no more.
 *
 * A key exists while calls of it wait or run.  It is in `ready` when a call
 * waits and a thread of its share is free.
 *
 * A call that is queued wakes one sleeping thread, the one that fell asleep
 * last, and after the lock is released: woken earlier, or all through one
 * condition, threads run into the lock and sleep again.  Threads that come back
 * from a call take what waits without any waking.
 */
#include <config.h>

#include <errno.h>
#include <semaphore.h>
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

struct rpc_worker {
	struct rpc_workers *workers;
	pthread_t id;
	sem_t wake;
	SLIST_ENTRY(rpc_worker) idle;
};

struct rpc_workers {
	struct rpc_server *server;
	unsigned per_key;
	struct rpc_worker *threads;
	unsigned count;		/* threads that were started */

	pthread_mutex_t lock;
	/* Guarded by it: */
	SLIST_HEAD(, rpc_worker) idle;
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
}

/* The thread that the caller is to wake when it has let go of the lock. */
static struct rpc_worker *
next_to_wake_locked(struct rpc_workers *workers)
{
	struct rpc_worker *w = SLIST_FIRST(&workers->idle);

	if (w == NULL || workers->stopping ||
	    (TAILQ_EMPTY(&workers->ready) &&
	     STAILQ_EMPTY(&workers->homeless)))
		return NULL;
	SLIST_REMOVE_HEAD(&workers->idle, idle);
	return w;
}

static void
wake(struct rpc_worker *w)
{
	if (w != NULL)
		sem_post(&w->wake);
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
	struct rpc_worker *w;
	struct rpc_key *key;

	pthread_mutex_lock(&workers->lock);
	HASH_FIND(hh, workers->keys, &call->share_key, sizeof(uint64_t), key);
	if (key == NULL && (key = calloc(1, sizeof(*key))) != NULL) {
		key->id = call->share_key;
		STAILQ_INIT(&key->calls);
		HASH_ADD(hh, workers->keys, id, sizeof(uint64_t), key);
		if (key->hh.tbl == NULL) {
			free(key);
			key = NULL;
		}
	}
	call->key = key;
	if (key == NULL) {
		STAILQ_INSERT_TAIL(&workers->homeless, call, queue);
	} else {
		STAILQ_INSERT_TAIL(&key->calls, call, queue);
		enlist_locked(workers, key);
	}
	w = next_to_wake_locked(workers);
	pthread_mutex_unlock(&workers->lock);
	wake(w);
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

/* Sleeps, the lock released meanwhile, until it is woken. */
static void
sleep_locked(struct rpc_workers *workers, struct rpc_worker *self)
{
	SLIST_INSERT_HEAD(&workers->idle, self, idle);
	pthread_mutex_unlock(&workers->lock);
	while (sem_wait(&self->wake) < 0 && errno == EINTR)
		;
	pthread_mutex_lock(&workers->lock);
}

static void *
worker(void *arg)
{
	struct rpc_worker *self = arg;
	struct rpc_workers *workers = self->workers;

	pthread_mutex_lock(&workers->lock);
	while (!workers->stopping) {
		struct rpc_call *call = take_locked(workers);
		struct rpc_key *key;

		if (call == NULL) {
			sleep_locked(workers, self);
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
	SLIST_INIT(&workers->idle);
	workers->threads = calloc(count, sizeof(*workers->threads));
	if (workers->threads == NULL)
		r = -ENOMEM;
	for (unsigned i = 0; r == 0 && i < count; i++)
		sem_init(&workers->threads[i].wake, 0, 0);
	while (r == 0 && workers->count < count) {
		struct rpc_worker *w = &workers->threads[workers->count];

		w->workers = workers;
		r = -pthread_create(&w->id, NULL, worker, w);
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
	pthread_mutex_unlock(&workers->lock);
	for (unsigned i = 0; i < workers->count; i++)
		sem_post(&workers->threads[i].wake);
	for (unsigned i = 0; i < workers->count; i++)
		pthread_join(workers->threads[i].id, NULL);
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
