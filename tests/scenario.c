/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runner of scenarios: one process each, so that one that hangs or
 * fails in the middle leaves nothing behind but its line.  The parent holds
 * no state of them; it starts up to N, waits, tells, and kills what is left
 * of the process group, which the daemon belongs to.
 *
 * A scenario that fails prints where, the end of the daemon's log and the
 * calls that reached the bucket.
 */
#include <config.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "tests/scenario.h"

#define LIMIT_S 900		/* a scenario may take */
#define AT_ONCE_MAX 32

/* Times so short that a whole story takes a second or two. */
static const char *const defaults[] = {
	"export.settle_ms=100", "export.create_settle_ms=60000",
	"export.supersede_quiet_ms=50", "export.hold_ms=100",
	"export.reserve_ms=3000", "s3.retry_ms=200",
	"export.refuse_grace_ms=0",
	"server.shutdown_timeout_ms=5000", "server.event_threads=1",
	"server.log_level=debug",
};

static struct scene *current;	/* of this process, for scene_fail */

/* ---- expectations ---- */

static void
show_tail(const char *path, const char *mark, size_t bytes)
{
	char buf[512];
	FILE *f = fopen(path, "r");

	if (f == NULL)
		return;
	if (fseek(f, -(long)bytes, SEEK_END) == 0)
		(void)fgets(buf, sizeof(buf), f);
	else
		rewind(f);
	while (fgets(buf, sizeof(buf), f) != NULL)
		printf("    %s| %s", mark, buf);
	fclose(f);
}

void
scene_fail(const char *file, int line, const char *format, ...)
{
	char path[512];
	va_list ap;

	printf("  %s:%d: ", file, line);
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	printf(" (at %llu ms)\n", (unsigned long long)scene_now_ms());
	snprintf(path, sizeof(path), "%s/log", current->dir);
	show_tail(path, "s3nfsd", 4000);
	snprintf(path, sizeof(path), "%s/calls", current->dir);
	show_tail(path, "bucket", 2500);
	fflush(stdout);
	_exit(1);
}

static const char *
status_name(int status)
{
	static const struct {
		int status;
		const char *name;
	} names[] = {
		{ 0, "OK" }, { 1, "PERM" }, { 2, "NOENT" }, { 5, "IO" },
		{ 13, "ACCES" }, { 17, "EXIST" }, { 20, "NOTDIR" },
		{ 21, "ISDIR" }, { 22, "INVAL" }, { 27, "FBIG" },
		{ 28, "NOSPC" }, { 30, "ROFS" }, { 70, "STALE" },
		{ 10001, "BADHANDLE" }, { 10002, "NOT_SYNC" },
		{ 10006, "SERVERFAULT" }, { 10008, "JUKEBOX" },
		{ -ETIMEDOUT, "no answer" }, { -ECONNRESET, "connection lost" },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (names[i].status == status)
			return names[i].name;
	return "?";
}

void
scene_is(int got, int want, const char *file, int line, const char *text)
{
	if (got != want)
		scene_fail(file, line, "%s is %d (%s), not %d (%s)", text, got,
			   status_name(got), want, status_name(want));
}

void
scene_busy(const struct scene *s, int got, const char *file, int line,
	   const char *text)
{
	scene_is(got, s->strict ? NFS3ERR_ACCES : NFS3ERR_JUKEBOX, file, line,
		 text);
}

uint64_t
scene_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void
scene_pause(void)
{
	const struct timespec ts = { 0, 4000000 };

	nanosleep(&ts, NULL);
}

/* ---- the daemon ---- */

void
scene_set(struct scene *s, const char *key, const char *value)
{
	char full[128];
	size_t len;
	unsigned i;

	snprintf(full, sizeof(full), "%s%s=",
		 strchr(key, '.') == NULL ? "export." : "", key);
	len = strlen(full);
	for (i = 0; i < s->setting_count; i++)
		if (strncmp(s->settings[i], full, len) == 0)
			break;
	CHECK(i < 64);
	if (i == s->setting_count)
		s->setting_count++;
	snprintf(s->settings[i], sizeof(s->settings[i]), "%s%s", full, value);
	if (strcmp(full, "export.strict=") == 0)
		s->strict = strcmp(value, "1") == 0;
}

void
scene_env(struct scene *s, const char *name, const char *value)
{
	size_t len = strlen(name);

	for (unsigned i = 0; i < s->env_count; i++)
		if (strncmp(s->env[i], name, len) == 0 &&
		    s->env[i][len] == '=') {
			s->env_count--;
			memcpy(s->env[i], s->env[s->env_count],
			       sizeof(s->env[i]));
			break;
		}
	if (value == NULL)
		return;
	CHECK(s->env_count < 16);
	snprintf(s->env[s->env_count++], sizeof(s->env[0]), "%s=%s", name,
		 value);
}

/* In the child: become the daemon. */
static void
become_daemon(struct scene *s, int log)
{
	const char *program = getenv("S3NFSD");
	char path[320], state_dir[320];
	char *argv[192] = { (char *)(uintptr_t)"s3nfsd" };
	int n = 1;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(log, STDOUT_FILENO);
	dup2(log, STDERR_FILENO);
	snprintf(path, sizeof(path), "%s/faults", s->dir);
	setenv("S3NFSD_FAULTS", path, 1);
	snprintf(path, sizeof(path), "%s/calls", s->dir);
	setenv("S3NFSD_FAULTS_LOG", path, 1);
	setenv("S3NFSD_WATCH_MS", "100", 0);	/* audit.c */
	for (unsigned i = 0; i < s->env_count; i++)
		putenv(s->env[i]);
	snprintf(state_dir, sizeof(state_dir), "%s/state", s->dir);
#define ARG(text) (argv[n++] = (char *)(uintptr_t)(text))
	ARG("--bucket");
	ARG(s->url);
	ARG("--listen");
	ARG("127.0.0.1:0");
	ARG("--portmap");
	ARG("off");
	ARG("--state-dir");
	ARG(state_dir);
	for (unsigned i = 0; i < s->setting_count; i++) {
		ARG("--set");
		ARG(s->settings[i]);
	}
#undef ARG
	if (program == NULL)
		program = access("./s3nfsd", X_OK) == 0 ? "./s3nfsd" :
			  "./nfsd/s3nfsd";
	execv(program, argv);
	fprintf(stderr, "%s: %s\n", program, strerror(errno));
	_exit(127);
}

/* "s3nfsd: serving /NAME on ADDRESS:PORT (...)" past that place of the log */
static bool
serves(struct scene *s, long from)
{
	char path[320], line[1024], *on, *colon;
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "%s/log", s->dir);
	f = fopen(path, "r");
	if (f == NULL)
		return false;
	fseek(f, from, SEEK_SET);
	while (!found && fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, "s3nfsd: serving /", 17) != 0 ||
		    (on = strstr(line, " on ")) == NULL ||
		    (colon = strchr(on, ':')) == NULL ||
		    strchr(line, '\n') == NULL)
			continue;
		*on = '\0';
		snprintf(s->export, sizeof(s->export), "%.255s", line + 16);
		s->port = (uint16_t)atoi(colon + 1);
		found = true;
	}
	fclose(f);
	if (!found && waitpid(s->pid, NULL, WNOHANG) == s->pid) {
		s->pid = 0;
		scene_fail(__FILE__, __LINE__, "the daemon ended");
	}
	return found;
}

/* Where its log will begin. */
static long
begin_daemon(struct scene *s)
{
	char path[320];
	struct stat st;
	int log;

	CHECK(s->pid == 0);
	snprintf(path, sizeof(path), "%s/log", s->dir);
	log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	CHECK(log >= 0 && fstat(log, &st) == 0);
	s->pid = fork();
	CHECK(s->pid >= 0);
	if (s->pid == 0)
		become_daemon(s, log);
	close(log);
	return st.st_size;
}

void
scene_start(struct scene *s)
{
	long from = begin_daemon(s);

	WITHIN(20000, serves(s, from));
	scene_reconnect(s);
}

static int
reap(struct scene *s, unsigned limit_ms)
{
	int status = 0;

	WITHIN(limit_ms, waitpid(s->pid, &status, WNOHANG) == s->pid);
	s->pid = 0;
	return status;
}

int
scene_refused(struct scene *s)
{
	int status;

	begin_daemon(s);
	status = reap(s, 20000);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void
scene_kill(struct scene *s)
{
	CHECK(s->pid > 0);
	kill(s->pid, SIGKILL);
	reap(s, 10000);
}

int
scene_stop(struct scene *s)
{
	int status;

	CHECK(s->pid > 0);
	kill(s->pid, SIGTERM);
	status = reap(s, 30000);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void
scene_wait_dead(struct scene *s, unsigned limit_ms)
{
	CHECK(s->pid > 0);
	reap(s, limit_ms);
}

void
scene_client(struct scene *s, struct rpcc *c, unsigned host,
	     const char *machine)
{
	char from[32];

	snprintf(from, sizeof(from), "127.0.0.%u", host);
	OK(rpcc_open(c, from, "127.0.0.1", s->port, false));
	rpcc_identity(c, machine, 0, 0, 0, NULL);
	c->timeout_ms = 60000;
}

void
scene_reconnect(struct scene *s)
{
	static const char *const machines[] = { "a", "b", "c" };
	struct rpcc *clients[] = { &s->a, &s->b, &s->c };

	for (unsigned i = 0; i < 3; i++) {
		if (s->open[i])
			rpcc_close(clients[i]);
		scene_client(s, clients[i], 11 + i, machines[i]);
		s->open[i] = true;
	}
	/* The last mounts: a MNT shortens leases of who mounts. */
	OK(nc_mnt(&s->c, s->export, &s->root));
}

void
scene_crash(struct scene *s)
{
	scene_kill(s);
	scene_start(s);
}

unsigned
scene_logged(struct scene *s, const char *text)
{
	char path[320], line[2048];
	unsigned n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/log", s->dir);
	f = fopen(path, "r");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		n += strstr(line, text) != NULL;
	if (f != NULL)
		fclose(f);
	return n;
}

/* ---- one scenario, in its process ---- */

static void
set_words(struct scene *s, const char *settings)
{
	char *copy = strdup(settings), *rest = copy;

	for (char *w; (w = strsep(&rest, " ")) != NULL;) {
		char *value = strchr(w, '=');

		if (*w == '\0')
			continue;
		CHECK(value != NULL);
		*value++ = '\0';
		scene_set(s, w, value);
	}
	free(copy);
}

static void
open_bucket(struct scene *s)
{
	const char *bucket = getenv("SCENARIO_BUCKET");
	const char *endpoint = getenv("S3_ENDPOINT");
	struct s3_config c = { .retry_ms = 5000 };
	struct s3_error err = {0};
	char path[320];

	if (bucket != NULL && *bucket != '\0') {
		snprintf(s->prefix, sizeof(s->prefix), "%s-%d-%llu/", s->name,
			 (int)getpid(), (unsigned long long)scene_now_ms());
		snprintf(s->url, sizeof(s->url), "%s/%s", bucket, s->prefix);
		c.url = bucket;
		c.endpoint = endpoint;
		if (endpoint != NULL)
			scene_set(s, "s3.endpoint", endpoint);
	} else {
		snprintf(path, sizeof(path), "%s/bucket", s->dir);
		CHECK(mkdir(path, 0700) == 0);
		snprintf(s->url, sizeof(s->url), "file://%s", path);
		c.url = s->url;
	}
	if (s3_open(&c, &s->s3, &err) < 0)
		scene_fail(__FILE__, __LINE__, "%s: %s", c.url, err.message);
}

static void
play(const struct scenario *story, const char *dir,
     void (*open)(struct scene *s))
{
	static struct scene scene;
	struct scene *s = current = &scene;
	char path[320];

	s->name = story->name;
	snprintf(s->dir, sizeof(s->dir), "%s/%s", dir, story->name);
	CHECK(mkdir(s->dir, 0700) == 0);
	snprintf(path, sizeof(path), "%s/state", s->dir);
	CHECK(mkdir(path, 0700) == 0);
	for (size_t i = 0; i < sizeof(defaults) / sizeof(*defaults); i++)
		set_words(s, defaults[i]);
	if (story->settings != NULL)
		set_words(s, story->settings);
	open(s);
	scene_start(s);
	story->run(s);
	scene_faults(s, "");
	if (s->pid > 0) {
		if (status_number(s, "invariant_failures") != 0)
			scene_fail(__FILE__, __LINE__, "a broken invariant");
		IS(scene_stop(s), 0);
	}
	/* All scenarios share a store, which keeps its bytes in memory and does
	 * not answer any more when that is full. */
	objects_free_space(s);
	s3_close(&s->s3);
	CHECK(scene_logged(s, "Sanitizer") == 0 &&
	      scene_logged(s, "runtime error") == 0);
}

/* ---- all of them ---- */

struct running {
	const struct scenario *story;
	pid_t pid;
	FILE *output;
	uint64_t started_ms;
};

struct runner {
	char dir[128];
	struct running at_once[AT_ONCE_MAX];
	unsigned jobs, ok, failed;
	bool verbose;
	const char *tag;	/* in each line, or NULL */
	void (*open)(struct scene *s);	/* the bucket */
};

static volatile sig_atomic_t interrupted;

static void
interrupt(int signo)
{
	interrupted = signo;
}

static void
launch(struct runner *r, struct running *slot, const struct scenario *story)
{
	slot->story = story;
	slot->output = tmpfile();
	slot->started_ms = scene_now_ms();
	fflush(stdout);
	slot->pid = fork();
	if (slot->pid == 0) {
		setpgid(0, 0);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGINT, SIG_DFL);
		signal(SIGTERM, SIG_DFL);
		dup2(fileno(slot->output), STDOUT_FILENO);
		dup2(fileno(slot->output), STDERR_FILENO);
		play(story, r->dir, r->open);
		fflush(stdout);
		_exit(0);
	}
	if (slot->pid > 0)
		setpgid(slot->pid, slot->pid);
}

static void
tell(struct runner *r, struct running *slot, int status)
{
	bool ok = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	uint64_t took = scene_now_ms() - slot->started_ms;
	char line[1024];

	printf("%s %s%s%s: %s (%llu ms)\n", ok ? "ok" : "FAIL",
	       r->tag != NULL ? r->tag : "", r->tag != NULL ? " " : "",
	       slot->story->name, slot->story->sentence,
	       (unsigned long long)took);
	if (!ok && WIFSIGNALED(status))
		printf("  ended by signal %d\n", WTERMSIG(status));
	rewind(slot->output);
	while ((!ok || r->verbose) &&
	       fgets(line, sizeof(line), slot->output) != NULL)
		fputs(line, stdout);
	fclose(slot->output);
	fflush(stdout);
	r->ok += ok;
	r->failed += !ok;
}

/* Looks after those that run; true if a slot became free. */
static bool
look_after(struct runner *r)
{
	bool freed = false;

	for (unsigned i = 0; i < r->jobs; i++) {
		struct running *slot = &r->at_once[i];
		int status;

		if (slot->pid <= 0)
			continue;
		if (interrupted ||
		    scene_now_ms() - slot->started_ms > LIMIT_S * 1000)
			kill(-slot->pid, SIGKILL);
		if (waitpid(slot->pid, &status, WNOHANG) != slot->pid)
			continue;
		kill(-slot->pid, SIGKILL);	/* its daemon, if it failed */
		tell(r, slot, status);
		slot->pid = 0;
		freed = true;
	}
	return freed;
}

static void
run_one(struct runner *r, const struct scenario *story)
{
	for (;;) {
		for (unsigned i = 0; i < r->jobs; i++)
			if (r->at_once[i].pid <= 0) {
				launch(r, &r->at_once[i], story);
				return;
			}
		while (!look_after(r))
			scene_pause();
	}
}

static bool
wanted(int argc, char **argv, const struct scenario *story, bool quick)
{
	bool named = false;

	for (int i = optind; i < argc; i++) {
		if (strcmp(argv[i], story->name) == 0)
			return true;
		named = true;
	}
	return !named && !(quick && story->slow);
}

int
scenario_main(int argc, char **argv, const struct scenario *list, size_t count)
{
	return scenario_main_on(argc, argv, list, count, open_bucket);
}

int
scenario_main_on(int argc, char **argv, const struct scenario *list,
		 size_t count, void (*open)(struct scene *s))
{
	struct runner r = { .jobs = 6, .open = open };
	const char *tmp = getenv("TMPDIR");
	bool keep = false, quick = getenv("SCENARIO_QUICK") != NULL;
	char command[256];

	for (int o; (o = getopt(argc, argv, "j:klqt:v")) != -1;) {
		if (o == 'j')
			r.jobs = (unsigned)atoi(optarg);
		if (o == 't')
			r.tag = optarg;
		for (size_t i = 0; o == 'l' && i < count; i++)
			puts(list[i].name);
		if (o == 'l')
			return 0;
		keep |= o == 'k';
		quick |= o == 'q';
		r.verbose |= o == 'v';
	}
#ifndef FAILPOINTS
	printf("skipped: needs a build with --enable-failpoints\n");
	return 77;
#endif
	if (r.jobs < 1 || r.jobs > AT_ONCE_MAX)
		r.jobs = 1;
	snprintf(r.dir, sizeof(r.dir), "%.90s/scenario.XXXXXX",
		 tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(r.dir) == NULL)
		return 99;
	if (keep)
		printf("%s\n", r.dir);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, interrupt);
	signal(SIGTERM, interrupt);
	for (size_t i = 0; i < count && !interrupted; i++)
		if (wanted(argc, argv, &list[i], quick))
			run_one(&r, &list[i]);
	for (bool busy = true; busy;) {
		busy = false;
		look_after(&r);
		for (unsigned i = 0; i < r.jobs; i++)
			busy |= r.at_once[i].pid > 0;
		scene_pause();
	}
	snprintf(command, sizeof(command), "rm -rf '%s'", r.dir);
	if (!keep && system(command) != 0)
		return 99;
	printf("%u ok, %u failed\n", r.ok, r.failed);
	return r.failed != 0 || interrupted;
}
