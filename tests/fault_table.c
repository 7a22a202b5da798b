/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fault table: what becomes of clients' work when the store answers a
 * kind of call with something else for a while.  A scenario (scenario.h) for
 * each cell, CALL.ANSWER, with a daemon, a bucket and a server of its own
 * (s3_server.h).  With -v each prints what was found, for tests/check-faults:
 *
 *	cell CALL ANSWER VERDICT REQUESTS ANSWERED PEAK HEALED_MS
 *	told CALL ANSWER NFS-CALL STATUS
 *
 * A cell fails here only if it could not be played.
 */
#include <config.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "tests/fault_table.h"

#define FAULT_MS 1000		/* how long the store is in trouble */
#define REACH_MS 30000		/* it is longer until somebody asks */
#define HEAL_MS 60000		/* all is well again so long after that */
#define REQUESTS_MAX 400	/* in FAULT_MS, by some fifteen clients */

static struct cell cell;	/* of this process */

static void
open_served(struct scene *s)
{
	struct s3_config c = {0};
	char path[320], url[330];

	setenv("AWS_ACCESS_KEY_ID", "AKID", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
	snprintf(path, sizeof(path), "%s/bucket", s->dir);
	CHECK(mkdir(path, 0700) == 0);
	snprintf(url, sizeof(url), "file://%s", path);
	c.url = url;
	OK(s3_open(&c, &s->s3, NULL));
	cell.server = s3_server_start(s->s3);
	snprintf(s->url, sizeof(s->url), "s3://bucket");
	scene_set(s, "s3.endpoint", s3_server_url(cell.server));
}

static const char *
status_name(int status)
{
	static const struct {
		int status;
		const char *name;
	} names[] = {
		{ NFS3ERR_PERM, "PERM" }, { NFS3ERR_NOENT, "NOENT" },
		{ NFS3ERR_IO, "IO" }, { NFS3ERR_ACCES, "ACCES" },
		{ NFS3ERR_EXIST, "EXIST" }, { NFS3ERR_INVAL, "INVAL" },
		{ NFS3ERR_FBIG, "FBIG" }, { NFS3ERR_NOSPC, "NOSPC" },
		{ NFS3ERR_ROFS, "ROFS" }, { NFS3ERR_DQUOT, "DQUOT" },
		{ NFS3ERR_STALE, "STALE" }, { NFS3ERR_NOTSUPP, "NOTSUPP" },
		{ NFS3ERR_SERVERFAULT, "SERVERFAULT" },
		{ NFS3ERR_JUKEBOX, "JUKEBOX" },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (names[i].status == status)
			return names[i].name;
	return "?";
}

static int
by_name(const void *a, const void *b)
{
	const struct told *x = a, *y = b;
	int r = strcmp(x->call, y->call);

	return r != 0 ? r : strcmp(status_name(x->status),
				   status_name(y->status));
}

static void
add(char verdict[TEXT_MAX], const char *what)
{
	size_t len = strlen(verdict);

	if (strstr(verdict, what) == NULL)
		snprintf(verdict + len, TEXT_MAX - len, "%s%s",
			 len > 0 ? "; " : "", what);
}

/* "ACCES; upload left", or "ok".  Of what is quarantined that alone is told:
 * the rest follows from it, as it happens. */
static void
tell(struct cell *x, unsigned requests, uint64_t healed_ms)
{
	char verdict[TEXT_MAX] = "", *rest = x->wrong;

	qsort(x->told, x->told_count, sizeof(*x->told), by_name);
	for (unsigned i = 0; i < x->told_count; i++) {
		const struct told *t = &x->told[i];

		printf("told\t%s\t%s\t%s\t%s\n", x->call->name,
		       x->answer->name, t->call, status_name(t->status));
		if (t->status != NFS3ERR_JUKEBOX)
			add(verdict, status_name(t->status));
	}
	if (strstr(x->wrong, "quarantined") != NULL)
		snprintf(verdict, sizeof(verdict), "quarantined");
	else
		for (char *one; (one = strsep(&rest, ";")) != NULL;)
			if (one[strspn(one, " ")] != '\0')
				add(verdict, one + strspn(one, " "));
	printf("cell\t%s\t%s\t%s\t%u\t%u\t%u\t%llu\n", x->call->name,
	       x->answer->name, verdict[0] != '\0' ? verdict : "ok", requests,
	       s3_server_answered(x->server), s3_server_peak(x->server),
	       (unsigned long long)healed_ms);
}

static void
find_cell(struct cell *x)
{
	const char *dot = strchr(x->s->name, '.');

	for (unsigned i = 0; i < fault_call_count; i++)
		if (strncmp(fault_calls[i].name, x->s->name,
			    (size_t)(dot - x->s->name)) == 0 &&
		    fault_calls[i].name[dot - x->s->name] == '\0')
			x->call = &fault_calls[i];
	for (unsigned i = 0; i < fault_answer_count; i++)
		if (strcmp(fault_answers[i].name, dot + 1) == 0)
			x->answer = &fault_answers[i];
	CHECK(x->call != NULL && x->answer != NULL);
	pthread_mutex_init(&x->lock, NULL);
	if (x->call->large) {
		x->large = malloc(2 * PATCHED_LEN);
		CHECK(x->large != NULL);
		fill(x->large, PATCHED_LEN, 1);
		memcpy(x->large + PATCHED_LEN, x->large, PATCHED_LEN);
	}
}

/* It asks the store what it can do, before anything is wrong with it. */
static bool
has_probed(struct cell *x)
{
	return s3_server_seen(x->server, 1U << CALL_DELETE) >= 3 &&
	       uploads_left(x->s) == 0 && objects(x->s) == 0;
}

static void
play_cell(struct scene *s)
{
	struct cell *x = &cell;
	struct clients *clients;
	struct nc_fh warm;
	uint64_t from, healed;
	unsigned requests;

	x->s = s;
	find_cell(x);
	WITHIN(10000, has_probed(x));
	fault_prepare(x);
	OK(ctl_status(s, "refresh %s", s->export));
	/* It has seen tags and grants, too. */
	warm = look(&s->a, s, "warm");
	OK(put(&s->a, &warm, 0, "warm", FILE_SYNC));
	WITHIN(20000, object_is(s, "warm", "warm"));
	x->list = look(&s->a, s, "list");
	clients = fault_clients_start(x);
	if (x->call->calls == 1U << CALL_ABORT)
		s3_server_slow(x->server, "drop", 100);
	requests = s3_server_seen(x->server, CALLS_ALL);
	s3_server_answer(x->server, x->call->calls, x->answer);
	from = scene_now_ms();
	x->until_ms = from + REACH_MS + HEAL_MS;
	fault_clients_go(clients);
	while (scene_now_ms() < from + FAULT_MS ||
	       (s3_server_answered(x->server) == 0 &&
		scene_now_ms() < from + REACH_MS))
		scene_pause();
	requests = s3_server_seen(x->server, CALLS_ALL) - requests;
	s3_server_answer(x->server, 0, NULL);
	atomic_store(&x->lifted, true);
	healed = scene_now_ms();
	x->until_ms = healed + HEAL_MS;
	fault_clients_join(&clients);
	fault_judge(x);
	healed = scene_now_ms() - healed;
	if (requests > REQUESTS_MAX)
		fault_wrong(x, "storm");
	if (s3_server_answered(x->server) == 0)
		fault_wrong(x, "not asked for");
	tell(x, requests, healed);
}

int
main(int argc, char **argv)
{
	unsigned count = fault_call_count * fault_answer_count;
	struct scenario *list = calloc(count, sizeof(*list));
	char (*names)[64] = calloc(count, sizeof(*names));
	unsigned n = 0;

	if (list == NULL || names == NULL)
		return 99;
	for (unsigned c = 0; c < fault_call_count; c++)
		for (unsigned a = 0; a < fault_answer_count; a++, n++) {
			snprintf(names[n], sizeof(names[n]), "%s.%s",
				 fault_calls[c].name, fault_answers[a].name);
			list[n] = (struct scenario){
				.name = names[n], .run = play_cell,
				.sentence = "a passing answer changes nothing",
				.settings = "attr_ttl_ms=200 s3.stall_ms=3000 "
					    "part_size=5M upload_retry_ms=500 "
					    "refuse_grace_ms=60000",
			};
		}
	n = (unsigned)scenario_main_on(argc, argv, list, count,
				       open_served);
	free(list);
	free(names);
	return (int)n;
}
