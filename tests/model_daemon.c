/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon as a child (model_daemon.h).  It writes its log to a file, where
 * the line that it serves tells the port; faults go through the file that
 * test builds read before each call to S3.
 */

#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/model_daemon.h"

#define ARGS_MAX 64
#define START_MS 60000
#define END_MS 120000

extern char **environ;

int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void
nap_ms(int ms)
{
	(void)poll(NULL, 0, ms);
}

static pid_t
spawn(const char *program, char *const *argv, char *const *env,
      const char *stdout_file, const char *stderr_file)
{
	posix_spawn_file_actions_t files;
	pid_t pid = 0;
	int r;

	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&files, 1, stdout_file,
					 O_WRONLY | O_CREAT | O_APPEND, 0600);
	posix_spawn_file_actions_addopen(&files, 2, stderr_file,
					 O_WRONLY | O_CREAT | O_APPEND, 0600);
	r = posix_spawn(&pid, program, &files, NULL, argv, env);
	posix_spawn_file_actions_destroy(&files);
	return r != 0 ? -r : pid;
}

/* The port from "s3nfsd: serving /NAME on ADDR:PORT (...)". */
static bool
find_port(struct daemon_ *d)
{
	char path[300], line[1024];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "%s/log", d->dir);
	f = fopen(path, "r");
	if (f == NULL)
		return false;
	fseek(f, d->log_at, SEEK_SET);
	while (fgets(line, sizeof(line), f) != NULL) {
		char *on = strstr(line, ": serving "), *colon;

		if (on == NULL || strchr(line, '\n') == NULL ||
		    (on = strstr(on, " on ")) == NULL ||
		    (colon = strchr(on, ':')) == NULL)
			continue;
		d->port = (uint16_t)atoi(colon + 1);
		d->log_at = ftell(f);
		found = d->port != 0;
	}
	fclose(f);
	return found;
}

static int
arguments(const struct daemon_ *d, char **argv, char *const *fixed)
{
	int n = 0;

	while (*fixed != NULL && n < ARGS_MAX - 1)
		argv[n++] = *fixed++;
	for (char **s = d->settings; *s != NULL && n < ARGS_MAX - 3; s++) {
		argv[n++] = (char *)"--set";
		argv[n++] = *s;
	}
	argv[n] = NULL;
	return n;
}

int
daemon_start(struct daemon_ *d)
{
	char bucket[300], state[300], log[300], faults[300], calls[300];
	char clock[300], host[300], host_log[300];
	char *fixed[] = { (char *)(uintptr_t)d->program, (char *)"--bucket",
			  bucket, (char *)"--listen", (char *)"127.0.0.1:0",
			  (char *)"--portmap", (char *)"off",
			  (char *)"--state-dir", state,
			  d->endpoint ? (char *)"--endpoint" : NULL,
			  (char *)(uintptr_t)d->endpoint, NULL };
	char *argv[ARGS_MAX], *env[ARGS_MAX * 4];
	int64_t until = now_ms() + START_MS;
	int n = 0;

	snprintf(bucket, sizeof(bucket), "file://%s/bucket", d->dir);
	if (d->bucket_url != NULL)
		snprintf(bucket, sizeof(bucket), "%s", d->bucket_url);
	snprintf(state, sizeof(state), "%s/state", d->dir);
	snprintf(log, sizeof(log), "%s/log", d->dir);
	snprintf(faults, sizeof(faults), "S3NFSD_FAULTS=%s/faults", d->dir);
	snprintf(calls, sizeof(calls), "S3NFSD_FAULTS_LOG=%s/calls", d->dir);
	snprintf(clock, sizeof(clock), "S3NFSD_CLOCK=%s/clock", d->dir);
	snprintf(host, sizeof(host), "S3NFSD_HOST_FAULTS=%s/host", d->dir);
	snprintf(host_log, sizeof(host_log),
		 "S3NFSD_HOST_FAULTS_LOG=%s/host.log", d->dir);
	while (environ[n] != NULL && n < ARGS_MAX * 4 - 7) {
		env[n] = environ[n];
		n++;
	}
	env[n++] = faults;
	env[n++] = calls;
	env[n++] = clock;
	if (d->host_faults) {
		env[n++] = host;
		env[n++] = host_log;
	}
	/* Leases of 90 ms, where the settings say a second. */
	env[n++] = (char *)(uintptr_t)"S3NFSD_LEASE_DIV=11";
	env[n] = NULL;
	arguments(d, argv, fixed);
	d->pid = spawn(d->program, argv, env, log, log);
	if (d->pid < 0) {
		n = d->pid;
		d->pid = 0;
		return n;
	}
	while (!find_port(d)) {
		if (waitpid(d->pid, NULL, WNOHANG) == d->pid) {
			d->pid = 0;
			return -ECHILD;
		}
		if (now_ms() > until) {
			daemon_kill(d);
			return -ETIMEDOUT;
		}
		nap_ms(2);
	}
	return 0;
}

void
daemon_kill(struct daemon_ *d)
{
	if (d->pid > 0) {
		kill(d->pid, SIGKILL);
		(void)waitpid(d->pid, NULL, 0);
	}
	d->pid = 0;
}

bool
daemon_ended(struct daemon_ *d)
{
	int status;

	/* What it says of a bad end comes a moment later than the reset. */
	for (int i = 0; d->pid > 0 && i < 100; i++) {
		if (waitpid(d->pid, &status, WNOHANG) == d->pid)
			d->pid = 0;
		else
			nap_ms(2);
	}
	return d->pid == 0;
}

/* Its status; one that does not end is killed, and that is its status. */
static int
wait_for(pid_t pid, int64_t at_most_ms)
{
	int64_t until = now_ms() + at_most_ms;
	int status = 0;

	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (now_ms() > until) {
			kill(pid, SIGKILL);
			(void)waitpid(pid, &status, 0);
			break;
		}
		nap_ms(1);
	}
	return status;
}

int
daemon_stop(struct daemon_ *d)
{
	int status = 0;

	if (d->pid > 0) {
		kill(d->pid, SIGTERM);
		status = wait_for(d->pid, END_MS);
	}
	d->pid = 0;
	return status;
}

static void
put_file(const struct daemon_ *d, const char *name, const void *data,
	 size_t len)
{
	char path[300], tmp[310];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", d->dir, name);
	snprintf(tmp, sizeof(tmp), "%s.new", path);
	f = fopen(tmp, "w");
	if (f == NULL)
		return;
	fwrite(data, 1, len, f);
	fclose(f);
	(void)rename(tmp, path);
}

void
daemon_faults(struct daemon_ *d, const char *rules)
{
	put_file(d, "faults", rules, strlen(rules));
}

void
daemon_host(struct daemon_ *d, const char *rule)
{
	put_file(d, "host", rule, strlen(rule));
}

void
daemon_clock(struct daemon_ *d, int64_t offset_ms)
{
	char path[300];
	int fd;

	/* In place: the daemon has it mapped. */
	snprintf(path, sizeof(path), "%s/clock", d->dir);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	if (pwrite(fd, &offset_ms, sizeof(offset_ms), 0) < 0)
		perror(path);
	close(fd);
}

int
daemon_ctl(struct daemon_ *d, const char *a, const char *b, char *out,
	   size_t size)
{
	char state[300], file[300], log[300];
	char *argv[] = { (char *)(uintptr_t)d->ctl, (char *)"--state-dir",
			 state, (char *)"--json", (char *)(uintptr_t)a,
			 (char *)(uintptr_t)b, NULL };
	int status, fd;
	ssize_t n = 0;
	pid_t pid;

	snprintf(state, sizeof(state), "%s/state", d->dir);
	snprintf(file, sizeof(file), "%s/ctl.out", d->dir);
	snprintf(log, sizeof(log), "%s/ctl.err", d->dir);
	(void)unlink(file);
	pid = spawn(d->ctl, argv, environ, file, log);
	if (pid <= 0)
		return -1;
	status = wait_for(pid, END_MS);
	fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, out, size - 1);
		close(fd);
	}
	out[n > 0 ? n : 0] = '\0';
	return status;
}

/* ---- the log of calls ---- */

struct open_call {
	unsigned long number;
	char key[512], op[16];
};

static bool
changes_key(const char *op)
{
	return strcmp(op, "put") == 0 || strcmp(op, "copy") == 0 ||
	       strcmp(op, "complete") == 0 || strcmp(op, "delete") == 0;
}

bool
daemon_calls_overlap(struct daemon_ *d, char *out, size_t size)
{
	struct open_call open[64];
	unsigned count = 0;
	char path[300], line[4096];
	bool bad = false;
	FILE *f;

	snprintf(path, sizeof(path), "%s/calls", d->dir);
	f = fopen(path, "r");
	if (f == NULL)
		return false;
	fseek(f, d->calls_at, SEEK_SET);
	while (!bad && fgets(line, sizeof(line), f) != NULL) {
		char phase[16], op[16], key[512];
		unsigned long ms, number;
		unsigned i;

		if (sscanf(line, "%lu %lu %15s %15s %511s", &ms, &number,
			   phase, op, key) != 5 || !changes_key(op))
			continue;
		for (i = 0; i < count; i++) {
			if (strcmp(phase, "end") == 0
				    ? open[i].number == number
				    : strcmp(open[i].key, key) == 0)
				break;
		}
		if (strcmp(phase, "end") == 0 && i < count) {
			open[i] = open[--count];
		} else if (strcmp(phase, "begin") == 0) {
			if (i < count) {
				snprintf(out, size, "%s and %s of %s",
					 open[i].op, op, key);
				bad = true;
			} else if (count < 64) {
				open[count].number = number;
				strcpy(open[count].key, key);
				strcpy(open[count++].op, op);
			}
		}
	}
	d->calls_at = ftell(f);
	fclose(f);
	return bad;
}
