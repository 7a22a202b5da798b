/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store: one thread that writes, a few connections that read.
 *
 * The writer takes every batch that waits, applies each under its own
 * savepoint (one that fails is undone alone), commits once and answers all.
 * A commit that fails fails every batch in it: nothing of them is on disk,
 * and SQLite has rolled the file back.
 */

#include <config.h>

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "meta/meta_priv.h"

/* Numbers are handed out from blocks, so that a crash wastes a few and never
 * repeats one. */
#define ID_BLOCK 100000

static const char *const id_names[] = { "next_ino", "next_name", "next_id" };

static void __attribute__((format(printf, 3, 4)))
say(struct meta *m, int level, const char *format, ...)
{
	char line[512];
	va_list ap;

	if (m->config.log == NULL)
		return;
	va_start(ap, format);
	vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	m->config.log(m->config.log_arg, level, line);
}

/* One batch under its savepoint.  Negative: what of it is in the transaction
 * cannot be told, or SQLite has rolled all of it back, so that nothing may be
 * committed. */
static int
apply_one(struct meta *m, struct meta_batch *b)
{
	int64_t names = m->writer.names;
	int r = 0;

	b->result = sql_exec(&m->writer, "SAVEPOINT batch");
	if (b->result == 0) {
		b->result = batch_apply(b, &m->writer);
		if (b->result < 0) {
			say(m, 0, "a change could not be written: %s",
			    sqlite3_errmsg(m->writer.db));
			r = sql_exec(&m->writer, "ROLLBACK TO batch");
			m->writer.names = names;
		}
		/* A savepoint that stays is committed with the rest. */
		if (r == 0)
			r = sql_exec(&m->writer, "RELEASE batch");
	}
	/* A full disk or a failed read may make SQLite roll all of it back; a
	 * savepoint after that would be a transaction of its own, on disk
	 * though its batch is told that it failed. */
	if (r < 0 || sqlite3_get_autocommit(m->writer.db) ||
	    b->result == -ENOSPC)
		return b->result < 0 ? b->result : -EIO;
	return 0;
}

STAILQ_HEAD(batch_list, meta_batch);

static int
write_once(struct meta *m, struct batch_list *group)
{
	struct meta_batch *b;
	int r;

	/* One that could not be rolled back, and nobody was answered for. */
	if (!sqlite3_get_autocommit(m->writer.db))
		(void)sql_exec(&m->writer, "ROLLBACK");
	m->writer.names = 0;
	r = sql_exec(&m->writer, "BEGIN IMMEDIATE");
	if (r == 0) {
		STAILQ_FOREACH(b, group, link) {
			r = apply_one(m, b);
			if (r < 0)
				break;
		}
		if (r == 0)
			r = sql_exec(&m->writer, "COMMIT");
		if (r == 0)
			__atomic_add_fetch(&m->names,
					   (uint64_t)m->writer.names,
					   __ATOMIC_RELAXED);
		if (r < 0) {
			say(m, 0, "a commit failed: %s",
			    sqlite3_errmsg(m->writer.db));
			/* May say that there is none; then there is none. */
			(void)sql_exec(&m->writer, "ROLLBACK");
		}
	}
	return r;
}

static void
write_group(struct meta *m, struct batch_list *group)
{
	struct meta_batch *b;
	int r = meta_check(m);

	if (r == 0)
		r = write_once(m, group);
	else
		say(m, 0, "the database was taken away or replaced: %s",
		    m->path);
	if (r == -ENOSPC && ballast_drop(&m->ballast, m->path)) {
		say(m, 0, "the disk is full; room that was kept for that is "
		    "used: %s", m->path);
		r = write_once(m, group);
	}
	/* Where it went nobody will find it; and should it be back one day,
	 * it has what nobody believes in. */
	if (r == 0 && meta_check(m) < 0) {
		__atomic_store_n(&m->lost, true, __ATOMIC_RELAXED);
		r = -EIO;
	}
	STAILQ_FOREACH(b, group, link) {
		if (r < 0)
			b->result = r;
		/* A file system that became read-only is no matter of who may
		 * do what. */
		if (b->result == -EACCES)
			b->result = -EIO;
	}
	if (r == 0)
		ballast_keep(&m->ballast, m->path);
}

/* The database has a higher limit, or has not. */
static void
ids_raised(struct meta *m, const struct meta_batch *b)
{
	struct id_block *ids = b->raises;

	pthread_mutex_lock(&m->id_mutex);
	ids->raising = false;
	ids->error = b->result;
	if (b->result == 0)
		ids->limit = b->limit;
	pthread_cond_broadcast(&m->id_raised);
	pthread_mutex_unlock(&m->id_mutex);
}

static void *
writer_main(void *arg)
{
	struct meta *m = arg;

	pthread_mutex_lock(&m->mutex);
	for (;;) {
		struct batch_list group = STAILQ_HEAD_INITIALIZER(group);
		struct meta_batch *b;
		unsigned posted = 0;

		while (STAILQ_EMPTY(&m->queue) && !m->stopping)
			pthread_cond_wait(&m->work_ready, &m->mutex);
		if (STAILQ_EMPTY(&m->queue))
			break;
		STAILQ_CONCAT(&group, &m->queue);
		pthread_mutex_unlock(&m->mutex);
		write_group(m, &group);
		while ((b = STAILQ_FIRST(&group)) != NULL) {
			STAILQ_REMOVE_HEAD(&group, link);
			if (b->raises != NULL)
				ids_raised(m, b);
			if (b->tidies && b->result == 0)
				b->result = pages_give_back(&m->writer);
			/* A batch that is wanted is its waiter's from the
			 * moment it is done. */
			if (b->wanted) {
				sem_post(&b->done);
			} else {
				meta_batch_free(&b);
				posted++;
			}
		}
		pthread_mutex_lock(&m->mutex);
		m->posted -= posted;
		pthread_cond_broadcast(&m->eased);
	}
	pthread_mutex_unlock(&m->mutex);
	return NULL;
}

/* Woken under the mutex, the writer would only run into it. */
static void
enqueue(struct meta *m, struct meta_batch *b)
{
	bool first;

	pthread_mutex_lock(&m->mutex);
	first = STAILQ_EMPTY(&m->queue);
	STAILQ_INSERT_TAIL(&m->queue, b, link);
	m->posted += !b->wanted;
	pthread_mutex_unlock(&m->mutex);
	if (first)
		pthread_cond_signal(&m->work_ready);
}

int
meta_submit(struct meta *m, struct meta_batch **batch)
{
	struct meta_batch *b = *batch;

	if (b == NULL)
		return -ENOMEM;
	if (b->error < 0) {
		int r = b->error;

		meta_batch_free(batch);
		return r;
	}
	b->wanted = true;
	if (STAILQ_EMPTY(&b->changes) && !b->tidies) {
		sem_post(&b->done);
		return 0;
	}
	enqueue(m, b);
	return 0;
}

#ifdef FAILPOINTS
void
meta_guard(struct meta *m, void (*may_last)(void))
{
	m->may_last = may_last;
}

static void
guard(struct meta *m)
{
	if (m->may_last != NULL)
		m->may_last();
}
#else
#define guard(m) ((void)(m))
#endif

int
meta_wait(struct meta *m, struct meta_batch **ticket)
{
	struct meta_batch *b = *ticket;
	int r;

	guard(m);
	*ticket = NULL;
	while (sem_wait(&b->done) < 0 && errno == EINTR)
		;
	r = b->result;
	meta_batch_free(&b);
	return r;
}

int
meta_commit(struct meta *m, struct meta_batch **batch)
{
	int r = meta_submit(m, batch);

	return r < 0 ? r : meta_wait(m, batch);
}

void
meta_post(struct meta *m, struct meta_batch **batch)
{
	struct meta_batch *b = *batch;

	*batch = NULL;
	if (b == NULL)
		return;
	if (b->error < 0 || STAILQ_EMPTY(&b->changes)) {
		meta_batch_free(&b);
		return;
	}
	enqueue(m, b);
}

#define POSTED_MAX 1000

void
meta_ease(struct meta *m)
{
	guard(m);
	pthread_mutex_lock(&m->mutex);
	while (m->posted > POSTED_MAX)
		pthread_cond_wait(&m->eased, &m->mutex);
	pthread_mutex_unlock(&m->mutex);
}

/* ---- readers ---- */

struct sql *
reader_get(struct meta *m)
{
	size_t i;

	guard(m);
	pthread_mutex_lock(&m->reader_mutex);
#ifdef FAILPOINTS
	for (i = 0; i < READERS; i++)
		assert(!m->reader_busy[i] ||
		       !pthread_equal(m->reader_owner[i], pthread_self()));
#endif
	for (;;) {
		for (i = 0; i < READERS && m->reader_busy[i]; i++)
			;
		if (i < READERS)
			break;
		pthread_cond_wait(&m->reader_free, &m->reader_mutex);
	}
	m->reader_busy[i] = true;
	m->reader_owner[i] = pthread_self();
	pthread_mutex_unlock(&m->reader_mutex);
	return &m->readers[i];
}

void
reader_put(struct meta *m, struct sql *sql)
{
	pthread_mutex_lock(&m->reader_mutex);
	m->reader_busy[sql - m->readers] = false;
	pthread_cond_signal(&m->reader_free);
	pthread_mutex_unlock(&m->reader_mutex);
}

/* ---- numbers ---- */

static uint64_t
past_roots(enum id_kind kind, uint64_t id)
{
	return kind == ID_INO && id >= META_ROOTS_FROM && id < META_ROOTS_TO
		       ? META_ROOTS_TO
		       : id;
}

/* One block more, in the background.  id_mutex is held. */
static int
raise_locked(struct meta *m, enum id_kind kind)
{
	struct id_block *ids = &m->ids[kind];
	struct meta_batch *b = meta_batch_new();

	if (b == NULL)
		return -ENOMEM;
	b->raises = ids;
	b->limit = past_roots(kind, ids->limit) + ID_BLOCK;
	meta_put_setting(b, id_names[kind], &b->limit, sizeof(b->limit));
	if (b->error < 0) {
		meta_batch_free(&b);
		return -ENOMEM;
	}
	ids->raising = true;
	enqueue(m, b);
	return 0;
}

static int
new_id(struct meta *m, enum id_kind kind, uint64_t *out)
{
	struct id_block *ids = &m->ids[kind];
	int r = 0;

	pthread_mutex_lock(&m->id_mutex);
	ids->next = past_roots(kind, ids->next);
	if (!ids->raising && ids->next + ID_BLOCK / 2 >= ids->limit)
		r = raise_locked(m, kind);
	if (ids->next < ids->limit)
		r = 0;		/* there is time to try again */
	while (r == 0 && ids->next >= ids->limit) {
		if (!ids->raising)
			r = raise_locked(m, kind);
		while (ids->raising)
			pthread_cond_wait(&m->id_raised, &m->id_mutex);
		if (r == 0 && ids->next >= ids->limit)
			r = ids->error;
	}
	if (r == 0)
		*out = ids->next++;
	pthread_mutex_unlock(&m->id_mutex);
	return r;
}

int
meta_new_ino(struct meta *m, uint64_t *out)
{
	return new_id(m, ID_INO, out);
}

int
meta_new_name_id(struct meta *m, uint64_t *out)
{
	return new_id(m, ID_NAME, out);
}

int
meta_new_id(struct meta *m, uint64_t *out)
{
	return new_id(m, ID_OTHER, out);
}

static int
start_ids(struct meta *m)
{
	/* Small numbers are kept free: READDIR's cookies 1 and 2 are "." and
	 * "..", inode 0 means none. */
	for (size_t i = 0; i < ID_COUNT; i++) {
		struct meta_batch *b;
		uint64_t limit = 1024;
		ssize_t n = meta_get_setting(m, id_names[i], &limit,
					     sizeof(limit));
		int r;

		if (n < 0 && n != -ENOENT)
			return (int)n;
		/* Begun anew they would name rows that there are. */
		if (n >= 0 && n != sizeof(limit))
			return -EBADMSG;
		limit = past_roots((enum id_kind)i, limit);
		m->ids[i].next = limit;
		limit += ID_BLOCK;
		m->ids[i].limit = limit;
		b = meta_batch_new();
		meta_put_setting(b, id_names[i], &limit, sizeof(limit));
		r = meta_commit(m, &b);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- life ---- */

static int
open_all(struct meta *m)
{
	unsigned busy_ms = m->config.busy_ms != 0 ? m->config.busy_ms
						  : META_BUSY_MS;
	int r = sql_open(m->path, true, busy_ms, &m->writer);

	for (size_t i = 0; r == 0 && i < READERS; i++)
		r = sql_open(m->path, false, busy_ms, &m->readers[i]);
	if (r < 0) {
		sql_close(&m->writer);
		for (size_t i = 0; i < READERS; i++)
			sql_close(&m->readers[i]);
	}
	return r;
}

int
meta_open(const struct meta_config *config, struct meta **out)
{
	struct meta *m = calloc(1, sizeof(*m));
	int r;

	if (m == NULL)
		return -ENOMEM;
	m->config = *config;
	m->path = strdup(config->path);
	STAILQ_INIT(&m->queue);
	pthread_mutex_init(&m->mutex, NULL);
	pthread_mutex_init(&m->reader_mutex, NULL);
	pthread_mutex_init(&m->id_mutex, NULL);
	pthread_cond_init(&m->work_ready, NULL);
	pthread_cond_init(&m->eased, NULL);
	pthread_cond_init(&m->reader_free, NULL);
	pthread_cond_init(&m->id_raised, NULL);
	r = m->path == NULL ? -ENOMEM : open_all(m);
	/* SQLite tells a full disk in more than one way at this point. */
	if (r < 0 && r != -ENOMEM && r != -ENOTSUP &&
	    ballast_drop(&m->ballast, m->path)) {
		say(m, 0, "the disk is full, or the database is damaged; once "
		    "more, with the room that was kept for that: %s", m->path);
		r = open_all(m);
	}
	if (r == 0)
		r = there_note(m);
	if (r == 0)
		r = names_count(m);
	if (r == 0) {
		r = -pthread_create(&m->thread, NULL, writer_main, m);
		m->started = r == 0;
	}
	if (r == 0)
		r = start_ids(m);
	if (r < 0) {
		meta_close(&m);
		return r;
	}
	*out = m;
	return 0;
}

void
meta_close(struct meta **meta)
{
	struct meta *m = *meta;

	if (m == NULL)
		return;
	if (m->started) {
		pthread_mutex_lock(&m->mutex);
		m->stopping = true;
		pthread_cond_signal(&m->work_ready);
		pthread_mutex_unlock(&m->mutex);
		pthread_join(m->thread, NULL);
	}
	for (size_t i = 0; i < READERS; i++)
		sql_close(&m->readers[i]);
	sql_close(&m->writer);
	pthread_mutex_destroy(&m->mutex);
	pthread_mutex_destroy(&m->reader_mutex);
	pthread_mutex_destroy(&m->id_mutex);
	pthread_cond_destroy(&m->work_ready);
	pthread_cond_destroy(&m->eased);
	pthread_cond_destroy(&m->reader_free);
	pthread_cond_destroy(&m->id_raised);
	free(m->path);
	free(m);
	*meta = NULL;
}
