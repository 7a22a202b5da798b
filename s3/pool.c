/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread that moves bytes for many callers that wait.
 *
 * A caller takes a slot (at most `max` at once, fewer while the store asks to
 * go slower), prepares the easy handle that comes with it, and hands it over
 * in s3_pool_run; the transfer thread adds it to its libcurl multi handle,
 * which keeps connections alive and reuses them, and wakes the caller at the
 * end.  An easy handle belongs to the caller, then to the thread, then to
 * the caller again, never to both.  Nothing slow happens on the thread:
 * hashing and parsing are the callers'.
 *
 *	take ─▶ incoming ─▶ active ─▶ finished ─▶ give
 *
 * A transfer that moves no byte for stall_ms ends as stalled.  Bytes that
 * the kernel still had to send at the last look and has sent since count as
 * movement: a large socket buffer on a slow line is not a stall.
 *
 * Slower and faster: each 503 SlowDown halves the limit (once in 100 ms, so
 * that a burst counts once), each good answer adds one to it per limit's
 * worth of answers, as TCP does.
 */
#include <config.h>
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <linux/sockios.h>
#include "s3/remote.h"

#define SLOWER_EVERY_MS 100

struct s3_pool {
	/* set once */
	unsigned max;
	unsigned stall_ms;
	CURLM *multi;
	pthread_t thread;
	bool started;
	/* only the thread's */
	struct s3_transfer *active;
	int64_t looked_ms;
	/* under lock */
	pthread_mutex_t lock;
	pthread_cond_t slot_avail;	/* or cancelled */
	pthread_cond_t cancelled_now;
	struct s3_transfer *incoming;
	CURL **idle;
	unsigned idle_count;
	unsigned in_flight;
	struct s3_transfer *held;	/* the slots that are taken */
	unsigned limit_16;		/* limit in 1/16 */
	int64_t slower_ms;
	bool stopping;
	bool cancelled;
};

static void
push(struct s3_transfer **list, struct s3_transfer *t)
{
	t->prev = NULL;
	t->next = *list;
	if (t->next != NULL)
		t->next->prev = t;
	*list = t;
}

static void
unlink_transfer(struct s3_transfer **list, struct s3_transfer *t)
{
	if (t->prev != NULL)
		t->prev->next = t->next;
	else
		*list = t->next;
	if (t->next != NULL)
		t->next->prev = t->prev;
}

static void
finish(struct s3_pool *pool, struct s3_transfer *t, CURLcode result)
{
	curl_multi_remove_handle(pool->multi, t->easy);
	unlink_transfer(&pool->active, t);
	pthread_mutex_lock(&pool->lock);
	t->result = result;
	t->done = true;
	/* With the lock held: the caller's frame may be gone right after. */
	pthread_cond_signal(&t->finished);
	pthread_mutex_unlock(&pool->lock);
}

static bool
refused(const atomic_bool *flag)
{
	return flag != NULL && atomic_load_explicit(flag,
						    memory_order_relaxed);
}

/* Take what callers have queued; false when it is time to end. */
static bool
accept_incoming(struct s3_pool *pool)
{
	struct s3_transfer *list, *t;
	bool stopping, cancelled;

	pthread_mutex_lock(&pool->lock);
	list = pool->incoming;
	pool->incoming = NULL;
	stopping = pool->stopping;
	cancelled = pool->cancelled;
	pthread_mutex_unlock(&pool->lock);
	while ((t = list) != NULL) {
		list = t->next;
		push(&pool->active, t);
		t->active_ms = s3_mono_ms();
		t->outq = -1;
		if (curl_multi_add_handle(pool->multi, t->easy) != CURLM_OK)
			finish(pool, t, CURLE_OUT_OF_MEMORY);
	}
	for (t = pool->active; t != NULL; t = list) {
		list = t->next;
		if (!cancelled && !refused(t->refused))
			continue;
		t->cancelled = true;
		finish(pool, t, CURLE_ABORTED_BY_CALLBACK);
	}
	return !stopping || pool->active != NULL;
}

/* Bytes the kernel has yet to send, -1 if there is no socket. */
static int
unsent(struct s3_transfer *t)
{
	curl_socket_t fd = CURL_SOCKET_BAD;
	int n = -1;

	if (curl_easy_getinfo(t->easy, CURLINFO_ACTIVESOCKET, &fd) !=
	    CURLE_OK || fd == CURL_SOCKET_BAD ||
	    ioctl(fd, SIOCOUTQ, &n) < 0)
		return -1;
	return n;
}

static void
end_stalled(struct s3_pool *pool)
{
	int64_t now = s3_mono_ms();
	struct s3_transfer *t, *next;

	if (now - pool->looked_ms < (int64_t)pool->stall_ms / 8)
		return;
	pool->looked_ms = now;
	for (t = pool->active; t != NULL; t = next) {
		next = t->next;
		if (now - t->active_ms - t->patience_ms <
		    (int64_t)pool->stall_ms / 2)
			continue;
		int outq = unsent(t);

		if (outq > 0 && t->outq > outq)
			t->active_ms = now;
		t->outq = outq;
		if (now - t->active_ms - t->patience_ms <
		    (int64_t)pool->stall_ms)
			continue;
		t->stalled = true;
		finish(pool, t, CURLE_OPERATION_TIMEDOUT);
	}
}

static void *
transfer_thread(void *arg)
{
	struct s3_pool *pool = arg;
	int wait_ms = (int)(pool->stall_ms / 8);

	if (wait_ms < 10)
		wait_ms = 10;
	while (accept_incoming(pool)) {
		int running, left;
		CURLMsg *m;

		curl_multi_perform(pool->multi, &running);
		while ((m = curl_multi_info_read(pool->multi, &left))) {
			struct s3_transfer *t = NULL;
			CURLcode result = m->data.result;

			curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE,
					  (char **)&t);
			finish(pool, t, result);
		}
		end_stalled(pool);
		curl_multi_poll(pool->multi, NULL, 0,
				pool->active ? wait_ms : 60000, NULL);
	}
	return NULL;
}

int
s3_pool_new(unsigned max, unsigned stall_ms, struct s3_pool **out)
{
	struct s3_pool *pool = calloc(1, sizeof(*pool));
	pthread_condattr_t attr;

	if (pool == NULL)
		return -ENOMEM;
	pool->max = max;
	pool->stall_ms = stall_ms;
	pool->limit_16 = max * 16;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&pool->slot_avail, &attr);
	pthread_cond_init(&pool->cancelled_now, &attr);
	pthread_condattr_destroy(&attr);
	pool->idle = calloc(max, sizeof(*pool->idle));
	pool->multi = curl_multi_init();
	if (pool->idle == NULL || pool->multi == NULL) {
		s3_pool_free(&pool);
		return -ENOMEM;
	}
	curl_multi_setopt(pool->multi, CURLMOPT_MAXCONNECTS, (long)max);
	curl_multi_setopt(pool->multi, CURLMOPT_PIPELINING,
			  (long)CURLPIPE_NOTHING);
	if (pthread_create(&pool->thread, NULL, transfer_thread, pool) != 0) {
		s3_pool_free(&pool);
		return -EAGAIN;
	}
	pool->started = true;
	*out = pool;
	return 0;
}

void
s3_pool_free(struct s3_pool **pp)
{
	struct s3_pool *pool = *pp;

	if (pool == NULL)
		return;
	*pp = NULL;
	if (pool->started) {
		pthread_mutex_lock(&pool->lock);
		pool->stopping = true;
		pthread_mutex_unlock(&pool->lock);
		curl_multi_wakeup(pool->multi);
		pthread_join(pool->thread, NULL);
	}
	for (unsigned i = 0; i < pool->idle_count; i++)
		curl_easy_cleanup(pool->idle[i]);
	free(pool->idle);
	curl_multi_cleanup(pool->multi);
	pthread_cond_destroy(&pool->cancelled_now);
	pthread_cond_destroy(&pool->slot_avail);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

static void
look_all(struct s3_pool *pool, bool cancel)
{
	pthread_mutex_lock(&pool->lock);
	pool->cancelled |= cancel;
	pthread_cond_broadcast(&pool->slot_avail);
	pthread_cond_broadcast(&pool->cancelled_now);
	pthread_mutex_unlock(&pool->lock);
	curl_multi_wakeup(pool->multi);
}

void
s3_pool_cancel(struct s3_pool *pool)
{
	look_all(pool, true);
}

void
s3_pool_hurry(struct s3_pool *pool)
{
	look_all(pool, false);
}

#ifdef FAILPOINTS
static void
may_take_locked(struct s3_pool *pool)
{
	assert(!pthread_equal(pool->thread, pthread_self()));
	for (struct s3_transfer *t = pool->held; t != NULL; t = t->next_held)
		assert(!pthread_equal(t->holder, pthread_self()));
}
#else
#define may_take_locked(pool) ((void)(pool))
#endif

static void
forget_held_locked(struct s3_pool *pool, struct s3_transfer *t)
{
	struct s3_transfer **at = &pool->held;

	while (*at != t)
		at = &(*at)->next_held;
	*at = t->next_held;
}

int
s3_pool_take(struct s3_pool *pool, struct s3_transfer *t)
{
	*t = (struct s3_transfer){ .holder = pthread_self(),
				   .refused = t->refused,
				   .urgent = t->urgent };
	pthread_mutex_lock(&pool->lock);
	may_take_locked(pool);
	while (!pool->cancelled && !t->urgent && !refused(t->refused) &&
	       pool->in_flight >= pool->limit_16 / 16)
		pthread_cond_wait(&pool->slot_avail, &pool->lock);
	if (pool->cancelled || refused(t->refused)) {
		/* The slot that it was woken for is another's. */
		pthread_cond_signal(&pool->slot_avail);
		pthread_mutex_unlock(&pool->lock);
		return -EAGAIN;
	}
	pool->in_flight++;
	t->next_held = pool->held;
	pool->held = t;
	if (pool->idle_count > 0)
		t->easy = pool->idle[--pool->idle_count];
	pthread_mutex_unlock(&pool->lock);
	if (t->easy == NULL)
		t->easy = curl_easy_init();
	if (t->easy != NULL) {
		pthread_cond_init(&t->finished, NULL);
		return 0;
	}
	pthread_mutex_lock(&pool->lock);
	forget_held_locked(pool, t);
	pool->in_flight--;
	pthread_cond_signal(&pool->slot_avail);
	pthread_mutex_unlock(&pool->lock);
	return -ENOMEM;
}

void
s3_pool_run(struct s3_pool *pool, struct s3_transfer *t)
{
	bool first;

	curl_easy_setopt(t->easy, CURLOPT_PRIVATE, t);
	pthread_mutex_lock(&pool->lock);
	first = pool->incoming == NULL;
	push(&pool->incoming, t);
	pthread_mutex_unlock(&pool->lock);
	if (first)
		curl_multi_wakeup(pool->multi);
	pthread_mutex_lock(&pool->lock);
	while (!t->done)
		pthread_cond_wait(&t->finished, &pool->lock);
	pthread_mutex_unlock(&pool->lock);
}

void
s3_pool_give(struct s3_pool *pool, struct s3_transfer *t)
{
	pthread_cond_destroy(&t->finished);
	curl_easy_reset(t->easy);
	pthread_mutex_lock(&pool->lock);
	if (pool->idle_count < pool->max) {
		pool->idle[pool->idle_count++] = t->easy;
		t->easy = NULL;
	}
	forget_held_locked(pool, t);
	pool->in_flight--;
	pthread_cond_signal(&pool->slot_avail);
	pthread_mutex_unlock(&pool->lock);
	if (t->easy != NULL)
		curl_easy_cleanup(t->easy);
}

void
s3_transfer_touch(struct s3_transfer *t)
{
	t->active_ms = s3_mono_ms();
}

bool
s3_pool_sleep(struct s3_pool *pool, unsigned ms, const atomic_bool *flag)
{
	struct timespec until;
	bool cancelled;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&pool->lock);
	while (!pool->cancelled && !refused(flag) &&
	       pthread_cond_timedwait(&pool->cancelled_now, &pool->lock,
				      &until) != ETIMEDOUT)
		;
	cancelled = pool->cancelled || refused(flag);
	pthread_mutex_unlock(&pool->lock);
	return !cancelled;
}

void
s3_pool_slower(struct s3_pool *pool)
{
	int64_t now = s3_mono_ms();

	pthread_mutex_lock(&pool->lock);
	if (now - pool->slower_ms >= SLOWER_EVERY_MS) {
		pool->slower_ms = now;
		pool->limit_16 /= 2;
		if (pool->limit_16 < 16)
			pool->limit_16 = 16;
	}
	pthread_mutex_unlock(&pool->lock);
}

void
s3_pool_faster(struct s3_pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	if (pool->limit_16 < pool->max * 16) {
		unsigned more = 256 / pool->limit_16;

		pool->limit_16 += more ? more : 1;
		if (pool->limit_16 > pool->max * 16)
			pool->limit_16 = pool->max * 16;
		pthread_cond_signal(&pool->slot_avail);
	}
	pthread_mutex_unlock(&pool->lock);
}
