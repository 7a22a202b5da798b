/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deletions of objects.  Each is a row before it is a request, so that a
 * crash or an S3 that does not answer forgets none; its key is hidden until
 * it is done.  A deletion takes the key as uploads do: it never overtakes an
 * upload of the file that was removed, nor meets the next one's.
 *
 * A try that comes later, or after a start, is for the object that was removed
 * and no other, where that is known: what somebody else put there meanwhile,
 * or this gateway after the copy was made from which its state directory was
 * put back, stays.
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/gate_priv.h"

#define KEY_BUSY_MS 20
#define RETRY_FIRST_MS 500
#define RETRY_MAX_MS 30000

struct deletion {
	struct gate_export *x;
	struct meta_delete row;
	unsigned attempts;
	uint64_t due_ms;
	bool running;
	LIST_ENTRY(deletion) link;
};

static void
done(struct deletion *d)
{
	struct gate *g = d->x->gate;
	struct meta_batch *b = meta_batch_new();

	/* Should this be lost in a crash, the deletion is done again before
	 * the key is used again. */
	if (b != NULL)
		meta_del_delete(b, d->row.id);
	meta_post(g->meta, &b);
	failpoint("delete-done");
	hidden_del(d->x, d->row.key);
	pthread_mutex_lock(&g->mutex);
	LIST_REMOVE(d, link);
	g->deletes_pending--;
	pthread_cond_broadcast(&g->progress);
	pthread_mutex_unlock(&g->mutex);
	free(d);
}

/* From here on it may be another thread's, and gone. */
static void
try_later(struct deletion *d, uint64_t wait_ms, unsigned attempts)
{
	struct gate *g = d->x->gate;
	uint64_t due = clock_ms() + wait_ms;

	pthread_mutex_lock(&g->mutex);
	d->attempts += attempts;
	d->due_ms = due;
	d->running = false;
	pthread_mutex_unlock(&g->mutex);
	timers_add(&g->timers, due, 0);
}

/* ---- multipart uploads ---- */

struct orphan {
	struct gate_export *x;
	const char *key;
	int error;
};

static int
abort_orphan(void *arg, const char *key, const char *upload_id,
	     int64_t initiated_ns)
{
	struct orphan *o = arg;
	int r;

	(void)initiated_ns;
	if (strcmp(key, o->key) != 0)
		return 0;
	r = s3_upload_abort(o->x->s3, key, upload_id, NULL);
	if (r < 0 && r != -ENOENT)
		o->error = r;
	return 0;
}

int
delete_parts(struct gate_export *x, const char *key)
{
	struct orphan o = { .x = x, .key = key };
	int r = s3_upload_list(x->s3, key, abort_orphan, &o, NULL);

	return r == -ENOTSUP || r == -ENOENT ? 0 : r < 0 ? r : o.error;
}

/* ---- the run ---- */

static void
delete_run(void *arg)
{
	struct deletion *d = arg;
	struct gate *g = d->x->gate;
	struct s3_error err = { 0 };
	uint64_t wait = RETRY_FIRST_MS;
	bool when_same = d->row.etag[0] != '\0' &&
			 (!d->row.soft || d->attempts > 0);
	int r;

	if (!key_try(d->x, d->row.key, KEY_ROW | d->row.id)) {
		try_later(d, KEY_BUSY_MS, 0);
		return;
	}
	failpoint("delete-before-s3");
	r = s3_delete(d->x->s3, d->row.key,
		      when_same ? d->row.etag : NULL, &err);
	failpoint("delete-after-s3");
	if ((r == 0 || r == -ESTALE || r == -ENOENT) && d->row.parts)
		r = delete_parts(d->x, d->row.key);
	key_release(d->x, d->row.key, KEY_ROW | d->row.id);
	/* -ESTALE: somebody put another object there; it is not ours. */
	if (r == 0 || r == -ESTALE || r == -ENOENT) {
		done(d);
		return;
	}
	for (unsigned i = 0; i < d->attempts && wait < RETRY_MAX_MS; i++)
		wait *= 2;
	if (d->attempts == 0 || r != -EAGAIN)
		gate_say(g, 1, "cannot delete: key=%s error=%s %s",
			 d->row.key, err.code, err.message);
	try_later(d, wait, 1);
}

void
delete_tick(struct gate *g)
{
	struct deletion *d;
	uint64_t now = clock_ms();

	pthread_mutex_lock(&g->mutex);
	LIST_FOREACH(d, &g->deletions, link) {
		if (!d->running && d->due_ms <= now) {
			d->running = true;
			if (pool_add(&g->transfers, delete_run, d) < 0) {
				d->running = false;
				d->due_ms = now + RETRY_FIRST_MS;
				timers_add(&g->timers, d->due_ms, 0);
			}
		}
	}
	pthread_mutex_unlock(&g->mutex);
}

void
delete_start(struct gate_export *x, const struct meta_delete *row)
{
	struct gate *g = x->gate;
	struct deletion *d = calloc(1, sizeof(*d));

	/* Without memory it waits for the next start, hidden as it is. */
	if (d == NULL)
		return;
	d->x = x;
	d->row = *row;
	pthread_mutex_lock(&g->mutex);
	LIST_INSERT_HEAD(&g->deletions, d, link);
	g->deletes_pending++;
	pthread_mutex_unlock(&g->mutex);
	delete_tick(g);
}

bool
delete_pending(struct gate_export *x, const char *key)
{
	struct gate *g = x->gate;
	struct deletion *d;

	pthread_mutex_lock(&g->mutex);
	LIST_FOREACH(d, &g->deletions, link) {
		if (d->x == x && strcmp(d->row.key, key) == 0)
			break;
	}
	pthread_mutex_unlock(&g->mutex);
	return d != NULL;
}

void
delete_wait(struct gate *g, uint64_t id, uint64_t until_ms)
{
	struct timespec ts = { (time_t)(until_ms / 1000),
			       (long)(until_ms % 1000) * 1000000 };

	pthread_mutex_lock(&g->mutex);
	for (;;) {
		struct deletion *d;

		LIST_FOREACH(d, &g->deletions, link) {
			if (d->row.id == id)
				break;
		}
		/* One that has failed already is not worth a wait. */
		if (d == NULL || d->attempts > 0 ||
		    pthread_cond_timedwait(&g->progress, &g->mutex, &ts) ==
			    ETIMEDOUT)
			break;
	}
	pthread_mutex_unlock(&g->mutex);
}

int
deletes_each(struct gate *g,
	     int (*each)(void *arg, const struct gate_left_info *), void *arg)
{
	struct gate_left_info info = { NULL, "DELETING", "" };
	struct deletion *d;
	char **keys;
	size_t count = 0;
	int r = 0;

	pthread_mutex_lock(&g->mutex);
	keys = calloc(g->deletes_pending + 1, sizeof(*keys));
	LIST_FOREACH(d, &g->deletions, link) {
		if (keys != NULL && count < g->deletes_pending &&
		    asprintf(&keys[count], "%s/%s", d->x->c.name,
			     d->row.key) >= 0)
			count++;
	}
	pthread_mutex_unlock(&g->mutex);
	if (keys == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		info.path = keys[i];
		if (r == 0)
			r = each(arg, &info);
		free(keys[i]);
	}
	free(keys);
	return r;
}

void
deletes_free(struct gate *g)
{
	struct deletion *d;

	/* Their rows remain; the next start goes on. */
	while ((d = LIST_FIRST(&g->deletions)) != NULL) {
		LIST_REMOVE(d, link);
		free(d);
	}
}
