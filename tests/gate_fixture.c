/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fixture of gate_fixture.h.  A held request waits on its client's
 * semaphore, which wake() posts: a wake-up that is forgotten shows as a request
 * that lasts longer than the gate may hold it.
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/gate_fixture.h"

static void
wake(void *arg, void *token)
{
	struct client *c = token;

	(void)arg;
	sem_post(&c->woken);
}

static void
say(void *arg, int level, const char *line)
{
	struct fixture *b = arg;

	if (getenv("FIXTURE_LOG") != NULL)
		fprintf(stderr, "%d: %s\n", level, line);
	if (b == NULL || level > 1)
		return;
	pthread_mutex_lock(&b->mutex);
	if (strlen(b->said) + strlen(line) + 2 < sizeof(b->said))
		strcat(strcat(b->said, line), "\n");
	pthread_mutex_unlock(&b->mutex);
}

bool
fixture_said(struct fixture *b, const char *text)
{
	uint64_t until = clock_ms() + FIXTURE_WAIT_MS;
	bool said = false;

	while (!said && clock_ms() < until) {
		pthread_mutex_lock(&b->mutex);
		said = strstr(b->said, text) != NULL;
		pthread_mutex_unlock(&b->mutex);
		if (!said)
			nanosleep(&(struct timespec){ 0, 2000000 }, NULL);
	}
	return said;
}

static void
must(int r, const char *what)
{
	if (r >= 0)
		return;
	fprintf(stderr, "fixture: %s: %s\n", what, strerror(-r));
	exit(99);
}

static void
start(struct fixture *b)
{
	struct meta_config mc = { .log = say };
	struct s3_caps caps = { 0 };
	char path[128];

	snprintf(path, sizeof(path), "%s/meta.db", b->dir);
	mc.path = path;
	must(meta_open(&mc, &b->meta), "meta_open");
	b->config.state_dir = b->dir;
	b->config.wake = wake;
	b->config.log = say;
	b->config.log_arg = b;
	must(gate_open(&b->config, b->meta, &b->gate), "gate_open");
	must(gate_export_add(b->gate, &b->export, b->s3, &b->x), "export");
	must(s3_probe(b->s3, "", &caps, NULL), "probe");
	gate_export_caps(b->x, &caps);
	if (b->two) {
		struct gate_export_config second = b->export;

		second.name = "/c";
		must(gate_export_add(b->gate, &second, b->s3y, &b->y), "/c");
		gate_export_caps(b->y, &caps);
		must(gate_root(b->y, &b->rooty), "root of /c");
	}
	must(gate_start(b->gate), "gate_start");
	must(gate_root(b->x, &b->root), "root");
}

void
fixture_open(struct fixture *b)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(b->dir, sizeof(b->dir), "%s/gate-fixture-XXXXXX",
		 tmp != NULL && strlen(tmp) < 40 ? tmp : "/tmp");
	must(mkdtemp(b->dir) == NULL ? -errno : 0, "mkdtemp");
	b->s3 = fake_s3_new();
	if (b->two)
		b->s3y = fake_s3_new();
	start(b);
}

void
fixture_stop(struct fixture *b)
{
	gate_close(&b->gate);
	meta_close(&b->meta);
}

void
fixture_start(struct fixture *b)
{
	fake_s3_revive(b->s3);
	start(b);
}

void
fixture_restart(struct fixture *b)
{
	fixture_stop(b);
	fixture_start(b);
}

void
fixture_keep(struct fixture *b)
{
	char command[256];

	snprintf(command, sizeof(command), "cp -a '%s' '%s.kept'", b->dir,
		 b->dir);
	must(system(command) == 0 ? 0 : -EIO, command);
}

void
fixture_put_back(struct fixture *b)
{
	char command[256];

	snprintf(command, sizeof(command), "rm -rf '%s' && mv '%s.kept' '%s'",
		 b->dir, b->dir, b->dir);
	must(system(command) == 0 ? 0 : -EIO, command);
}

void
fixture_lose_state(struct fixture *b)
{
	char command[128];

	gate_close(&b->gate);
	meta_close(&b->meta);
	snprintf(command, sizeof(command), "rm -rf '%s'/*", b->dir);
	must(system(command) == 0 ? 0 : -EIO, command);
	fake_s3_revive(b->s3);
	start(b);
}

void
fixture_close(struct fixture *b)
{
	char command[128];

	gate_close(&b->gate);
	meta_close(&b->meta);
	fake_s3_free(b->s3);
	if (b->two)
		fake_s3_free(b->s3y);
	snprintf(command, sizeof(command), "rm -rf '%s'", b->dir);
	if (system(command) != 0)
		fprintf(stderr, "fixture: %s stays\n", b->dir);
}

bool
fixture_settled(struct fixture *b)
{
	return gate_flush(b->gate, NULL, FIXTURE_WAIT_MS, NULL, NULL) == 0;
}

uint64_t
fixture_memory_used(struct fixture *b)
{
	uint64_t used;

	mutex_lock(&b->gate->mutex);
	used = b->gate->memory_used;
	mutex_unlock(&b->gate->mutex);
	return used;
}

void
client_init(struct client *c, const char *name)
{
	memset(c, 0, sizeof(*c));
	snprintf(c->rq.who.name, sizeof(c->rq.who.name), "%s", name);
	c->rq.who.addr = in6addr_loopback;
	sem_init(&c->woken, 0, 0);
}

static void
begin(struct client *c)
{
	c->rq.first_ms = clock_ms();
	c->rq.token = c;
	/* As the daemon does: on the event thread first, then on a thread
	 * that does not ask the store. */
	c->rq.may_block = false;
	c->rq.near = true;
	c->rq.again = GATE_AGAIN_NONE;
}

/* 1: was held, call again. */
static int
again(struct client *c, int r)
{
	struct timespec until;

	if (r != -EAGAIN || c->rq.again == GATE_JUKEBOX) {
		c->rq.near = false;
		return 0;
	}
	if (c->rq.again == GATE_HOLD) {
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += FIXTURE_WAIT_MS / 1000;
		while (sem_timedwait(&c->woken, &until) < 0) {
			if (errno != EINTR)
				must(-ETIMEDOUT, "a held request was not woken");
		}
	}
	c->rq.may_block = true;
	c->rq.near = c->rq.again != GATE_NEEDS_STORE;
	c->rq.again = GATE_AGAIN_NONE;
	return 1;
}

/* A request that was held for much longer than it may be, and that is told to
 * come again: the machine stood still meanwhile, and whom it waited for had not
 * the time that it has had.  It comes again, as a client's does. */
static bool
stood_still(const struct fixture *b, const struct client *c, int r)
{
	return r == -EAGAIN && c->rq.again == GATE_JUKEBOX &&
	       clock_ms() - c->rq.first_ms > 2 * b->export.hold_ms + 200;
}

#define TRIES 20

#define DO(call)                                                              \
	do {                                                                  \
		unsigned tries_ = 0;                                          \
		do {                                                          \
			begin(c);                                             \
			do {                                                  \
				r = (call);                                   \
			} while (again(c, r));                                \
		} while (stood_still(b, c, r) && ++tries_ < TRIES);           \
	} while (0)

int
do_create_in(struct fixture *b, struct client *c, const struct gate_fh *dir,
	     const char *name, struct gate_fh *fh)
{
	struct gate_setattr set = { .set_mode = true, .mode = 0644 };
	struct gate_attr attr;
	struct gate_wcc wcc = { 0 };
	int r;

	DO(gate_create(b->x, &c->rq, dir, name, GATE_UNCHECKED, &set, NULL,
		       fh, &attr, &wcc));
	return r;
}

int
do_create(struct fixture *b, struct client *c, const char *name,
	  struct gate_fh *fh)
{
	return do_create_in(b, c, &b->root, name, fh);
}

int
do_lookup(struct fixture *b, struct client *c, const char *name,
	  struct gate_fh *fh)
{
	struct gate_attr attr;
	struct gate_wcc wcc = { 0 };
	int r;

	DO(gate_lookup(b->x, &c->rq, &b->root, name, fh, &attr, &wcc));
	return r;
}

int
do_mkdir(struct fixture *b, struct client *c, const char *name,
	 struct gate_fh *fh)
{
	struct gate_setattr set = { .set_mode = true, .mode = 0755 };
	struct gate_attr attr;
	struct gate_wcc wcc = { 0 };
	int r;

	DO(gate_mkdir(b->x, &c->rq, &b->root, name, &set, fh, &attr, &wcc));
	return r;
}

int
do_write(struct fixture *b, struct client *c, const struct gate_fh *fh,
	 uint64_t off, const void *data, uint32_t len,
	 enum gate_stable stable)
{
	struct gate_wcc wcc = { 0 };
	enum gate_stable reached;
	int r;

	DO(gate_write(b->x, &c->rq, fh, off, data, len, stable, &reached,
		      &wcc));
	return r;
}

int
do_commit(struct fixture *b, struct client *c, const struct gate_fh *fh)
{
	struct gate_wcc wcc = { 0 };
	int r;

	DO(gate_commit(b->x, &c->rq, fh, 0, 0, &wcc));
	return r;
}

int
do_size(struct fixture *b, struct client *c, const struct gate_fh *fh,
	uint64_t size)
{
	struct gate_setattr set = { .set_size = true, .size = size };
	struct gate_wcc wcc = { 0 };
	int r;

	DO(gate_setattr(b->x, &c->rq, fh, &set, NULL, &wcc));
	return r;
}

int
do_mode(struct fixture *b, struct client *c, const struct gate_fh *fh,
	uint32_t mode)
{
	struct gate_setattr set = { .set_mode = true, .mode = mode };
	struct gate_wcc wcc = { 0 };
	int r;

	DO(gate_setattr(b->x, &c->rq, fh, &set, NULL, &wcc));
	return r;
}

int
do_remove(struct fixture *b, struct client *c, const char *name)
{
	struct gate_wcc wcc = { 0 };
	int r;

	DO(gate_remove(b->x, &c->rq, &b->root, name, &wcc));
	return r;
}

int
do_rename(struct fixture *b, struct client *c, const char *from, const char *to)
{
	struct gate_wcc one = { 0 }, two = { 0 };
	int r;

	DO(gate_rename(b->x, &c->rq, &b->root, from, &b->root, to, &one,
		       &two));
	return r;
}

static int
read_once(struct fixture *b, struct client *c, const struct gate_fh *fh,
	  uint64_t off, void *buf, uint32_t len, uint32_t *got, bool *eof)
{
	struct gate_attr attr;
	int r;

	DO(gate_read(b->x, &c->rq, fh, off, buf, len, got, eof, &attr));
	return r;
}

int
do_read(struct fixture *b, struct client *c, const struct gate_fh *fh,
	uint64_t off, void *buf, uint32_t len, uint32_t *got)
{
	bool eof;

	return read_once(b, c, fh, off, buf, len, got, &eof);
}

bool
do_read_is(struct fixture *b, struct client *c, const struct gate_fh *fh,
	   const void *data, uint32_t len)
{
	char *buf = malloc(len + 1);
	uint32_t got, all = 0;
	bool eof = false, same;
	int r = 0;

	while (r == 0 && !eof && all <= len) {
		/* What comes from the bucket may take longer than a request is
		 * held. */
		AWAIT((r = read_once(b, c, fh, all, buf + all, len + 1 - all,
				     &got, &eof)) != -EAGAIN);
		if (r == 0)
			all += got;
	}
	same = r == 0 && all == len && memcmp(buf, data, len) == 0;
	if (!same)
		fprintf(stderr, "read: %s, %u of %u bytes\n", strerror(-r),
			all, len);
	free(buf);
	return same;
}

int
do_file(struct fixture *b, struct client *c, const char *name, const char *text,
	struct gate_fh *fh)
{
	int r = do_create(b, c, name, fh);

	if (r == 0)
		r = do_write(b, c, fh, 0, text, (uint32_t)strlen(text),
			     GATE_FILE_SYNC);
	return r;
}
