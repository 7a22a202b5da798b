/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clients of the fault table: each does one thing, as a program would,
 * while the store is in trouble.  JUKEBOX is asked again, as kernels do; an
 * error is noted, and the whole is done once more when the trouble is over,
 * as its user would.  They know their handles from before.
 */
#include <config.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/fault_table.h"

#define CLIENT_MAX 24
#define CHUNK (1U << 20)
#define AGAIN_MS 50		/* after JUKEBOX; kernels take seconds */

struct client {
	struct cell *x;
	const struct job *job;
	struct rpcc c;
	struct nc_fh fh, to;	/* what it works on */
	pthread_t thread;
	bool tried;		/* an error was seen: it may have been done */
};

struct job {
	const char *on;		/* looked up before; NULL: nothing */
	const char *to;		/* the same */
	void (*go)(struct client *c);
	unsigned when;		/* calls that it is there for; 0: all */
};

struct clients {
	struct client list[CLIENT_MAX];
	unsigned count;
};

static void
note(struct cell *x, const char *call, int status)
{
	unsigned i;

	pthread_mutex_lock(&x->lock);
	for (i = 0; i < x->told_count; i++)
		if (strcmp(x->told[i].call, call) == 0 &&
		    x->told[i].status == status)
			break;
	if (i == x->told_count && i < TOLD_MAX)
		x->told[x->told_count++] = (struct told){ call, status };
	pthread_mutex_unlock(&x->lock);
}

void
fault_wrong(struct cell *x, const char *format, ...)
{
	char text[256];
	va_list ap;
	size_t len;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	pthread_mutex_lock(&x->lock);
	len = strlen(x->wrong);
	if (strstr(x->wrong, text) == NULL)
		snprintf(x->wrong + len, sizeof(x->wrong) - len, "%s; ", text);
	pthread_mutex_unlock(&x->lock);
}

/* May the call be made again?  With `fine` the thing is done, too, if it may
 * have been done by an earlier call. */
static bool
again(struct client *c, const char *call, int status, int fine)
{
	struct cell *x = c->x;

	if (status == 0)
		return false;
	if (status == fine && c->tried)
		return false;
	note(x, call, status);
	c->tried |= status != NFS3ERR_JUKEBOX;
	if (status == fine)
		return false;
	if (status < 0) {
		fault_wrong(x, "%s no answer", call);
		pthread_exit(NULL);
	}
	if (atomic_load(&x->lifted) && scene_now_ms() > x->until_ms) {
		fault_wrong(x, "%s stays", call);
		pthread_exit(NULL);
	}
	do {
		poll(NULL, 0, AGAIN_MS);
	} while (status != NFS3ERR_JUKEBOX && !atomic_load(&x->lifted));
	return true;
}

#define UNTIL(c, name, call, fine)                                            \
	do {                                                                  \
		(c)->tried = false;                                           \
		while (again((c), name, (call), fine))                        \
			;                                                     \
	} while (0)
#define DO(c, name, call) UNTIL(c, name, call, 0)

#define ROOT (&c->x->s->root)

static void
write_text(struct client *c, uint64_t off, const char *text)
{
	DO(c, "WRITE", put(&c->c, &c->fh, off, text, UNSTABLE));
	DO(c, "COMMIT", commit(&c->c, &c->fh));
}

static void
make_file(struct client *c, const char *name)
{
	const struct nc_set set = { .mode_set = true, .mode = 0644 };

	DO(c, "CREATE", nc_create(&c->c, ROOT, name, UNCHECKED, &set, NULL,
				  &c->fh, NULL));
}

static void
make_new(struct client *c)
{
	make_file(c, "new");
	write_text(c, 0, "new");
}

static void
overwrite(struct client *c)
{
	DO(c, "SETATTR", nc_truncate(&c->c, &c->fh, 0));
	write_text(c, 0, "over");
}

static void
patch(struct client *c)
{
	write_text(c, 2, "XY");
}

static void
change_mode(struct client *c)
{
	const struct nc_set set = { .mode_set = true, .mode = 0600 };

	DO(c, "SETATTR", nc_setattr(&c->c, &c->fh, &set, NULL));
}

static void
rename_file(struct client *c)
{
	UNTIL(c, "RENAME", nc_rename(&c->c, ROOT, "ren", ROOT, "renamed"),
	      NFS3ERR_NOENT);
}

/* As editors save. */
static void
rename_over(struct client *c)
{
	UNTIL(c, "RENAME", nc_rename(&c->c, ROOT, "tmp", ROOT, "target"),
	      NFS3ERR_NOENT);
}

static void
rename_dir(struct client *c)
{
	UNTIL(c, "RENAME", nc_rename(&c->c, ROOT, "mvdir", ROOT, "moved"),
	      NFS3ERR_NOENT);
}

static void
remove_file(struct client *c)
{
	UNTIL(c, "REMOVE", nc_remove(&c->c, ROOT, "gone"), NFS3ERR_NOENT);
}

static void
make_dir(struct client *c)
{
	UNTIL(c, "MKDIR", nc_mkdir(&c->c, ROOT, "newdir", NULL, NULL, NULL),
	      NFS3ERR_EXIST);
}

static void
link_file(struct client *c)
{
	UNTIL(c, "LINK", nc_link(&c->c, &c->fh, ROOT, "link2"),
	      NFS3ERR_EXIST);
}

static void
read_file(struct client *c)
{
	static const uint32_t len = SMALL_LEN;
	unsigned char *buf = malloc(len), *want = malloc(len);
	uint32_t got = 0;
	bool eof;

	fill(want, len, 7);
	DO(c, "READ", nc_read(&c->c, &c->fh, 0, buf, len, &got, &eof));
	if (got != len || memcmp(buf, want, len) != 0)
		fault_wrong(c->x, "READ other bytes");
	free(buf);
	free(want);
}

static void
look_up(struct client *c)
{
	struct nc_fh fh;
	fattr3 attr;

	DO(c, "LOOKUP", nc_lookup(&c->c, &c->x->list, "one", &fh, NULL));
	DO(c, "GETATTR", nc_getattr(&c->c, &fh, &attr));
	if (attr.size != 3)
		fault_wrong(c->x, "GETATTR another size");
}

/* All of a directory, in one page; again and again while it lasts. */
static void
list_dir(struct client *c)
{
	struct cell *x = c->x;
	bool last;

	do {
		struct nc_entry list[16];
		uint8_t verf[8] = {0};
		unsigned count = 0;
		bool eof = false;

		last = atomic_load(&x->lifted);
		DO(c, "READDIRPLUS", nc_readdirplus(&c->c, &x->list, 0, verf,
						    4096, 32768, list, 16,
						    &count, &eof));
		if (!eof || count != 5)		/* with . and .. */
			fault_wrong(x, "READDIRPLUS names missing");
		poll(NULL, 0, AGAIN_MS);
	} while (!last);
}

static void
write_large(struct client *c, const char *name)
{
	make_file(c, name);
	for (uint32_t at = 0; at < LARGE_LEN; at += CHUNK)
		DO(c, "WRITE", nc_write(&c->c, &c->fh, at, c->x->large + at,
					CHUNK, UNSTABLE, NULL));
	DO(c, "COMMIT", commit(&c->c, &c->fh));
}

static void
make_large(struct client *c)
{
	write_large(c, "big");
}

/* Removed while its parts are on the way. */
static void
drop_large(struct client *c)
{
	write_large(c, "drop");
	while (s3_server_slowed(c->x->server) < 2 &&
	       scene_now_ms() < c->x->until_ms)
		scene_pause();
	UNTIL(c, "REMOVE", nc_remove(&c->c, ROOT, "drop"), NFS3ERR_NOENT);
}

#define LARGE_CALLS (1U << CALL_CREATE | 1U << CALL_PART |                    \
		     1U << CALL_PART_COPY | 1U << CALL_COMPLETE)
#define EXTRAS (1U << CALL_ACL | 1U << CALL_TAGGING)

static const struct job jobs[] = {
	{ NULL, NULL, make_new, 0 },
	{ "over", NULL, overwrite, 0 },
	{ "patch", NULL, patch, 0 },
	{ "mode", NULL, change_mode, 0 },
	{ "ren", NULL, rename_file, 0 },
	{ "tmp", "target", rename_over, 0 },
	{ "mvdir", NULL, rename_dir, 0 },
	{ "gone", NULL, remove_file, 0 },
	{ NULL, NULL, make_dir, 0 },
	{ "linked", NULL, link_file, 0 },
	{ "read", NULL, read_file, 0 },
	{ NULL, NULL, look_up, 0 },
	{ NULL, NULL, list_dir, 0 },
	{ NULL, NULL, make_large, LARGE_CALLS },
	{ "bigpatch", NULL, patch, LARGE_CALLS },
	{ NULL, NULL, drop_large, 1U << CALL_ABORT },
};

static void *
work(void *arg)
{
	struct client *c = arg;

	c->job->go(c);
	return NULL;
}

struct clients *
fault_clients_start(struct cell *x)
{
	struct clients *all = calloc(1, sizeof(*all));

	CHECK(all != NULL);
	for (size_t i = 0; i < sizeof(jobs) / sizeof(*jobs); i++) {
		struct client *c = &all->list[all->count];

		if (jobs[i].when != 0 && !(jobs[i].when & x->call->calls))
			continue;
		/* There is no upload to be given up where none begins. */
		if (jobs[i].when == 1U << CALL_ABORT &&
		    x->call->calls != jobs[i].when)
			continue;
		all->count++;
		c->x = x;
		c->job = &jobs[i];
		scene_client(x->s, &c->c, 20 + (unsigned)i, "client");
		c->c.timeout_ms = 30000;
		if (c->job->on != NULL)
			c->fh = look(&c->c, x->s, c->job->on);
		if (c->job->to != NULL)
			c->to = look(&c->c, x->s, c->job->to);
	}
	return all;
}

void
fault_clients_go(struct clients *all)
{
	for (unsigned i = 0; i < all->count; i++)
		CHECK(pthread_create(&all->list[i].thread, NULL, work,
				     &all->list[i]) == 0);
}

/* What was known before is no other file now. */
static void
still_known(struct client *c)
{
	fattr3 attr;
	int r;

	if (c->fh.len == 0 || strcmp(c->job->on != NULL ? c->job->on : "",
				     "gone") == 0)
		return;
	r = nc_getattr(&c->c, &c->fh, &attr);
	if (r == NFS3ERR_STALE && c->job->go != drop_large)
		fault_wrong(c->x, "GETATTR STALE");
}

void
fault_clients_join(struct clients **all)
{
	for (unsigned i = 0; i < (*all)->count; i++) {
		struct client *c = &(*all)->list[i];

		pthread_join(c->thread, NULL);
		still_known(c);
		rpcc_close(&c->c);
	}
	free(*all);
	*all = NULL;
}
