/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Worker threads, for calls that must wait: the near ones for this machine's
 * disk, the far ones for a store.  Calls queue by their share key (an export)
 * and in it by their host, oldest first; the keys take turns, the hosts of a
 * key do, and each has at most per_key and per_host threads at a time.  So a
 * bucket that answers slowly fills its own share and no more, and a client
 * that asks for much its own.
 *
 * A key exists while calls of it wait or run, and so does the lane of a host
 * in it.  A lane is in `ready` of its key, and a key in that of the workers,
 * when a call waits and a thread of its share is free.
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

#include "nfsd/rpc/inside.h"

struct rpc_lane {		/* a host's calls of one key */
	struct in6_addr host;
	struct rpc_key *key;
	unsigned running;
	bool ready;
	struct rpc_calls calls;
	TAILQ_ENTRY(rpc_lane) turn;
	UT_hash_handle hh;
};

struct rpc_key {
	uint64_t id;
	unsigned running;
	bool ready;
	struct rpc_lane *lanes;
	TAILQ_HEAD(, rpc_lane) turns;	/* those that are ready */
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
	struct rpc_workers_config config;
	struct rpc_worker *threads;

	pthread_mutex_t lock;
	/* Guarded by it: */
	unsigned count;		/* threads that were started */
	SLIST_HEAD(, rpc_worker) idle;
	struct rpc_key *keys;
	TAILQ_HEAD(, rpc_key) ready;
	struct rpc_calls homeless;	/* no memory for their lane */
	unsigned busy;
	bool stopping;
};

static void *worker(void *arg);

/* ---- whose turn it is ---- */

/* It waits, and may run: have it take its turn. */
static void
enlist_locked(struct rpc_workers *workers, struct rpc_lane *lane)
{
	struct rpc_key *key = lane->key;

	if (!lane->ready && !STAILQ_EMPTY(&lane->calls) &&
	    lane->running < workers->config.per_host) {
		lane->ready = true;
		TAILQ_INSERT_TAIL(&key->turns, lane, turn);
	}
	if (!key->ready && !TAILQ_EMPTY(&key->turns) &&
	    key->running < workers->config.per_key) {
		key->ready = true;
		TAILQ_INSERT_TAIL(&workers->ready, key, turn);
	}
}

static void
retire_locked(struct rpc_workers *workers, struct rpc_lane *lane)
{
	struct rpc_key *key = lane->key;

	if (lane->running > 0 || !STAILQ_EMPTY(&lane->calls))
		return;
	HASH_DEL(key->lanes, lane);
	free(lane);
	if (key->lanes != NULL)
		return;
	HASH_DEL(workers->keys, key);
	free(key);
}

static struct rpc_key *
new_key_locked(struct rpc_workers *workers, uint64_t id)
{
	struct rpc_key *key = calloc(1, sizeof(*key));

	if (key == NULL)
		return NULL;
	key->id = id;
	TAILQ_INIT(&key->turns);
	HASH_ADD(hh, workers->keys, id, sizeof(uint64_t), key);
	if (key->hh.tbl == NULL) {
		free(key);
		key = NULL;
	}
	return key;
}

/* NULL: no memory. */
static struct rpc_lane *
lane_locked(struct rpc_workers *workers, const struct rpc_call *call)
{
	struct in6_addr host;
	struct rpc_lane *lane;
	struct rpc_key *key;

	rpc_address(&call->rq.peer, &host);
	HASH_FIND(hh, workers->keys, &call->share_key, sizeof(uint64_t), key);
	if (key != NULL) {
		HASH_FIND(hh, key->lanes, &host, sizeof(host), lane);
		if (lane != NULL)
			return lane;
	}
	if (key == NULL)
		key = new_key_locked(workers, call->share_key);
	lane = key == NULL ? NULL : calloc(1, sizeof(*lane));
	if (lane != NULL) {
		lane->host = host;
		lane->key = key;
		STAILQ_INIT(&lane->calls);
		HASH_ADD(hh, key->lanes, host, sizeof(host), lane);
		if (lane->hh.tbl != NULL)
			return lane;
		free(lane);
	}
	if (key != NULL && key->lanes == NULL) {
		HASH_DEL(workers->keys, key);
		free(key);
	}
	return NULL;
}

/* The next call whose turn it is, or NULL. */
static struct rpc_call *
take_locked(struct rpc_workers *workers)
{
	struct rpc_call *call = STAILQ_FIRST(&workers->homeless);
	struct rpc_lane *lane;
	struct rpc_key *key;

	if (call != NULL) {
		STAILQ_REMOVE_HEAD(&workers->homeless, queue);
		return call;
	}
	key = TAILQ_FIRST(&workers->ready);
	if (key == NULL)
		return NULL;
	TAILQ_REMOVE(&workers->ready, key, turn);
	key->ready = false;
	lane = TAILQ_FIRST(&key->turns);
	TAILQ_REMOVE(&key->turns, lane, turn);
	lane->ready = false;
	call = STAILQ_FIRST(&lane->calls);
	STAILQ_REMOVE_HEAD(&lane->calls, queue);
	key->running++;
	lane->running++;
	enlist_locked(workers, lane);
	return call;
}

static void
done_locked(struct rpc_workers *workers, struct rpc_lane *lane)
{
	lane->key->running--;
	lane->running--;
	enlist_locked(workers, lane);
	retire_locked(workers, lane);
}

/* ---- waking ---- */

static bool
waits_locked(const struct rpc_workers *workers)
{
	return !TAILQ_EMPTY(&workers->ready) ||
	       !STAILQ_EMPTY(&workers->homeless);
}

/* One thread more.  Without it the others take the call in time. */
static void
grow_locked(struct rpc_workers *workers)
{
	struct rpc_worker *w = &workers->threads[workers->count];

	w->workers = workers;
	if (pthread_create(&w->id, NULL, worker, w) == 0)
		workers->count++;
}

/* The thread that the caller is to wake when it has let go of the lock. */
static struct rpc_worker *
next_to_wake_locked(struct rpc_workers *workers)
{
	struct rpc_worker *w = SLIST_FIRST(&workers->idle);

	if (workers->stopping || !waits_locked(workers))
		return NULL;
	if (w != NULL)
		SLIST_REMOVE_HEAD(&workers->idle, idle);
	else if (workers->count < workers->config.count)
		grow_locked(workers);
	return w;
}

static void
wake(struct rpc_worker *w)
{
	if (w != NULL)
		sem_post(&w->wake);
}

void
rpc_workers_queue(struct rpc_workers *workers, struct rpc_call *call)
{
	struct rpc_worker *w;

	pthread_mutex_lock(&workers->lock);
	call->lane = lane_locked(workers, call);
	if (call->lane == NULL) {
		STAILQ_INSERT_TAIL(&workers->homeless, call, queue);
	} else {
		STAILQ_INSERT_TAIL(&call->lane->calls, call, queue);
		enlist_locked(workers, call->lane);
	}
	w = next_to_wake_locked(workers);
	pthread_mutex_unlock(&workers->lock);
	wake(w);
}

/* The oldest of a lane come first. */
static void
expire_lane_locked(struct rpc_workers *workers, struct rpc_lane *lane,
		   uint64_t before_ms, struct rpc_calls *late)
{
	struct rpc_key *key = lane->key;
	struct rpc_call *call;

	while ((call = STAILQ_FIRST(&lane->calls)) != NULL &&
	       call->rq.arrived_ms < before_ms) {
		STAILQ_REMOVE_HEAD(&lane->calls, queue);
		STAILQ_INSERT_TAIL(late, call, queue);
	}
	if (lane->ready && STAILQ_EMPTY(&lane->calls)) {
		TAILQ_REMOVE(&key->turns, lane, turn);
		lane->ready = false;
	}
	if (key->ready && TAILQ_EMPTY(&key->turns)) {
		TAILQ_REMOVE(&workers->ready, key, turn);
		key->ready = false;
	}
	retire_locked(workers, lane);
}

void
rpc_workers_expire(struct rpc_workers *workers, uint64_t before_ms,
		   struct rpc_workers *to)
{
	struct rpc_calls late = STAILQ_HEAD_INITIALIZER(late);
	struct rpc_lane *lane, *next_lane;
	struct rpc_key *key, *next_key;
	struct rpc_call *call;

	pthread_mutex_lock(&workers->lock);
	HASH_ITER(hh, workers->keys, key, next_key) {
		/* The key goes with its last lane. */
		HASH_ITER(hh, key->lanes, lane, next_lane)
			expire_lane_locked(workers, lane, before_ms, &late);
	}
	pthread_mutex_unlock(&workers->lock);
	while ((call = STAILQ_FIRST(&late)) != NULL) {
		STAILQ_REMOVE_HEAD(&late, queue);
		call->rq.late = true;
		rpc_workers_queue(to, call);
	}
}

/* ---- the threads ---- */

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
		struct rpc_lane *lane;

		if (call == NULL) {
			sleep_locked(workers, self);
			continue;
		}
		lane = call->lane;
		workers->busy++;
		pthread_mutex_unlock(&workers->lock);
		rpc_dispatch_blocking(call, workers->config.far);
		pthread_mutex_lock(&workers->lock);
		workers->busy--;
		if (lane != NULL)
			done_locked(workers, lane);
	}
	pthread_mutex_unlock(&workers->lock);
	return NULL;
}

int
rpc_workers_new(const struct rpc_workers_config *config,
		struct rpc_workers **out)
{
	struct rpc_workers *workers = calloc(1, sizeof(*workers));
	unsigned before;

	if (workers == NULL)
		return -ENOMEM;
	workers->config = *config;
	TAILQ_INIT(&workers->ready);
	STAILQ_INIT(&workers->homeless);
	pthread_mutex_init(&workers->lock, NULL);
	SLIST_INIT(&workers->idle);
	workers->threads = calloc(config->count, sizeof(*workers->threads));
	for (unsigned i = 0; workers->threads != NULL && i < config->count;
	     i++)
		sem_init(&workers->threads[i].wake, 0, 0);
	pthread_mutex_lock(&workers->lock);
	do {
		before = workers->count;
		if (workers->threads != NULL && before < config->at_first)
			grow_locked(workers);
	} while (workers->count > before);
	pthread_mutex_unlock(&workers->lock);
	if (workers->count < config->at_first) {
		rpc_workers_stop(workers);
		rpc_workers_free(&workers);
		return -ENOMEM;
	}
	*out = workers;
	return 0;
}

void
rpc_workers_stop(struct rpc_workers *workers)
{
	unsigned count;

	if (workers == NULL)
		return;
	pthread_mutex_lock(&workers->lock);
	workers->stopping = true;
	count = workers->count;
	pthread_mutex_unlock(&workers->lock);
	for (unsigned i = 0; i < count; i++)
		sem_post(&workers->threads[i].wake);
	for (unsigned i = 0; i < count; i++)
		pthread_join(workers->threads[i].id, NULL);
	pthread_mutex_lock(&workers->lock);
	workers->count = 0;
	pthread_mutex_unlock(&workers->lock);
}

static void
drop_all(struct rpc_calls *calls)
{
	struct rpc_call *call;

	while ((call = STAILQ_FIRST(calls)) != NULL) {
		STAILQ_REMOVE_HEAD(calls, queue);
		rpc_call_drop(call);
	}
}

void
rpc_workers_free(struct rpc_workers **slot)
{
	struct rpc_workers *workers = *slot;
	struct rpc_lane *lane, *next_lane;
	struct rpc_key *key, *next_key;

	*slot = NULL;
	if (workers == NULL)
		return;
	drop_all(&workers->homeless);
	HASH_ITER(hh, workers->keys, key, next_key) {
		HASH_ITER(hh, key->lanes, lane, next_lane) {
			drop_all(&lane->calls);
			HASH_DEL(key->lanes, lane);
			free(lane);
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
