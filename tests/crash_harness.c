/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting, killing and looking behind a daemon (crash_harness.h).  Every wait
 * has a deadline; what the daemon says goes to DIR/log, which is shown when a
 * case fails.
 */

#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/crash_harness.h"

#define NFS3_JUKEBOX 10008

static uint64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void
pause_ms(int ms)
{
	(void)poll(NULL, 0, ms);
}

int
harness_bad(struct harness *r, const char *format, ...)
{
	va_list args;

	if (r->why[0] != '\0')
		return -1;
	va_start(args, format);
	vsnprintf(r->why, sizeof(r->why), format, args);
	va_end(args);
	return -1;
}

static void
no_log(void *arg, enum s3_level level, const char *line)
{
	(void)arg, (void)level, (void)line;
}

int
harness_init(struct harness *r)
{
	struct s3_config config = { .log = no_log };
	struct s3_error err = { 0 };
	const char *tmp = getenv("TMPDIR");
	char open_url[400];

	r->s3 = NULL;
	r->pid = 0;
	r->why[0] = '\0';
	r->a.fd = r->b.fd = -1;
	snprintf(r->dir, sizeof(r->dir), "%s/s3nfsd-crash.XXXXXX",
		 tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(r->dir) == NULL)
		return harness_bad(r, "mkdtemp: %s", strerror(errno));
	if (r->endpoint == NULL) {
		r->prefix[0] = '\0';
		snprintf(r->url, sizeof(r->url), "file://%s/bucket", r->dir);
		snprintf(open_url, sizeof(open_url), "%s", r->url);
		snprintf(r->export, sizeof(r->export), "/bucket");
		(void)mkdir(r->url + 7, 0700);
	} else {
		snprintf(r->prefix, sizeof(r->prefix), "%d.%u/",
			 (int)getpid(), ++r->cases);
		snprintf(r->url, sizeof(r->url), "%s/%s", r->bucket,
			 r->prefix);
		snprintf(open_url, sizeof(open_url), "%s", r->bucket);
		snprintf(r->export, sizeof(r->export), "/%s",
			 strrchr(r->bucket, '/') + 1);
	}
	config.url = open_url;
	config.endpoint = r->endpoint;
	if (s3_open(&config, &r->s3, &err) < 0)
		return harness_bad(r, "s3_open: %s", err.message);
	return 0;
}

static void
disconnect(struct harness *r)
{
	if (r->a.fd >= 0)
		rpcc_close(&r->a);
	if (r->b.fd >= 0)
		rpcc_close(&r->b);
	r->a.fd = r->b.fd = -1;
}

void
harness_fini(struct harness *r)
{
	pid_t pid;

	disconnect(r);
	harness_kill(r);
	if (r->s3 != NULL)
		s3_close(&r->s3);
	pid = fork();
	if (pid == 0) {
		execlp("rm", "rm", "-rf", "--", r->dir, (char *)NULL);
		_exit(127);
	}
	waitpid(pid, NULL, 0);
}

static void
exec_daemon(struct harness *r, const char *fail)
{
	const char *more = getenv("CRASH_SET");
	char state[300], log[300];
	int fd;

	snprintf(state, sizeof(state), "%s/state", r->dir);
	snprintf(log, sizeof(log), "%s/log", r->dir);
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	if (fd < 0 || dup2(fd, 2) < 0 || dup2(fd, 1) < 0)
		_exit(126);
	(void)mkdir(state, 0700);
	if (fail != NULL)
		setenv("S3NFSD_FAIL", fail, 1);
	execl(r->daemon, r->daemon, "--bucket", r->url, "--listen",
	      "127.0.0.1:0", "--portmap", "off", "--state-dir", state, "--set",
	      "export.settle_ms=100", "--set", "export.create_settle_ms=100",
	      "--set", "export.supersede_quiet_ms=20", "--set",
	      "export.hold_ms=1000", "--set", "export.part_size=5M", "--set",
	      "export.on_conflict=fail", "--set", "export.refuse_grace_ms=0",
	      "--set",
	      more != NULL ? more : "export.reads=flushed",
	      r->endpoint == NULL ? (char *)NULL : "--endpoint", r->endpoint,
	      (char *)NULL);
	_exit(127);
}

/* The port, from the log's last "serving" line behind `from`. */
static int
find_port(struct harness *r, long from, uint16_t *port)
{
	char log[300], text[8192], *at;
	FILE *f;
	size_t n;

	snprintf(log, sizeof(log), "%s/log", r->dir);
	f = fopen(log, "re");
	if (f == NULL)
		return -1;
	(void)fseek(f, from, SEEK_SET);
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	at = strstr(text, "s3nfsd: serving ");
	at = at == NULL ? NULL : strstr(at, " on 127.0.0.1:");
	if (at == NULL || strchr(at, '\n') == NULL)
		return -1;
	*port = (uint16_t)atoi(at + strlen(" on 127.0.0.1:"));
	return 0;
}

int
harness_start(struct harness *r, const char *fail)
{
	uint64_t end = now_ms() + 20000;
	char log[300];
	struct stat st = { 0 };
	int status;

	snprintf(log, sizeof(log), "%s/log", r->dir);
	(void)stat(log, &st);
	r->pid = fork();
	if (r->pid == 0)
		exec_daemon(r, fail);
	while (find_port(r, (long)st.st_size, &r->port) < 0) {
		if (waitpid(r->pid, &status, WNOHANG) == r->pid) {
			r->pid = 0;
			return harness_bad(r, "the daemon ended at its start");
		}
		if (now_ms() > end)
			return harness_bad(r, "the daemon does not serve");
		pause_ms(10);
	}
	disconnect(r);
	if (rpcc_open(&r->a, "127.0.0.11", "127.0.0.1", r->port, false) != 0 ||
	    rpcc_open(&r->b, "127.0.0.12", "127.0.0.1", r->port, false) != 0)
		return harness_bad(r, "cannot connect");
	rpcc_identity(&r->a, "alpha", 0, 0, 0, NULL);
	rpcc_identity(&r->b, "beta", 0, 0, 0, NULL);
	r->a.timeout_ms = r->b.timeout_ms = 20000;
	if (nc_mnt(&r->a, r->export, &r->root) != 0)
		return harness_bad(r, "cannot mount");
	return 0;
}

static int
wait_end(struct harness *r, unsigned ms, int *status)
{
	uint64_t end = now_ms() + ms;

	while (waitpid(r->pid, status, WNOHANG) == 0) {
		if (now_ms() > end)
			return -1;
		pause_ms(5);
	}
	r->pid = 0;
	disconnect(r);
	return 0;
}

int
harness_stop(struct harness *r)
{
	int status;

	kill(r->pid, SIGTERM);
	if (wait_end(r, 20000, &status) < 0)
		return harness_bad(r, "SIGTERM does not end it");
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return harness_bad(r, "SIGTERM: status %x", (unsigned)status);
	return 0;
}

int
harness_crashed(struct harness *r, unsigned ms)
{
	int status;

	if (wait_end(r, ms, &status) < 0)
		return harness_bad(r, "the fail point was not reached");
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		return harness_bad(r, "ended, but not by SIGKILL: %x",
				   (unsigned)status);
	return 0;
}

void
harness_kill(struct harness *r)
{
	int status;

	if (r->pid <= 0)
		return;
	kill(r->pid, SIGKILL);
	(void)wait_end(r, 10000, &status);
}

int
harness_ctl(struct harness *r, const char *command, char *out, size_t size)
{
	char line[900];
	FILE *f;
	size_t n;

	snprintf(line, sizeof(line), "'%s' --state-dir '%s/state' --json %s",
		 r->ctl, r->dir, command);
	f = popen(line, "re");
	if (f == NULL)
		return harness_bad(r, "popen: %s", strerror(errno));
	n = fread(out, 1, size - 1, f);
	out[n] = '\0';
	return pclose(f) == 0 ? 0 : harness_bad(r, "s3nfsctl %s: %s", command,
						out);
}

int
harness_settled(struct harness *r, unsigned ms)
{
	uint64_t end = now_ms() + ms;
	char out[4096];

	for (;;) {
		/* Renamed directories first: their end may begin others. */
		if (harness_ctl(r, "status", out, sizeof(out)) < 0)
			return -1;
		if (strstr(out, "\"moves\":[]") != NULL ||
		    strstr(out, "\"moves\": []") != NULL) {
			if (harness_ctl(r, "uploads", out, sizeof(out)) < 0)
				return -1;
			if (strncmp(out, "[]", 2) == 0)
				return 0;
		}
		if (now_ms() > end)
			return harness_bad(r, "uploads do not end: %s", out);
		pause_ms(30);
	}
}

/* ---- behind the daemon's back ---- */

struct look {
	const char *key;
	struct seen *out;
};

static int
look_entry(void *arg, const struct s3_entry *e)
{
	struct look *l = arg;

	if (strcmp(e->key, l->key) != 0)
		return 0;
	l->out->there = true;
	l->out->size = e->size;
	l->out->mtime_ns = e->mtime_ns;
	snprintf(l->out->etag, sizeof(l->out->etag), "%s", e->etag);
	return 1;
}

int
harness_look(struct harness *r, const char *name, struct seen *out)
{
	struct look l = { .out = out };
	struct s3_list list = { 0 };
	char key[200], *next = NULL;
	int n;

	memset(out, 0, sizeof(*out));
	snprintf(key, sizeof(key), "%s%s", r->prefix, name);
	l.key = list.prefix = key;
	n = s3_list_page(r->s3, &list, look_entry, &l, &next, NULL);
	free(next);
	return n < 0 ? harness_bad(r, "list: %s", strerror(-n)) : 0;
}

int
harness_object_is(struct harness *r, const char *name, const void *data,
		  uint64_t size)
{
	char key[200], *buf = malloc(size + 1);
	ssize_t n;
	int same;

	snprintf(key, sizeof(key), "%s%s", r->prefix, name);
	n = s3_get(r->s3, key, NULL, 0, buf, size + 1, NULL, NULL);
	same = n == (ssize_t)size && memcmp(buf, data, size) == 0;
	free(buf);
	return same ? 0 : -1;
}

struct bytes {
	const char *data;
};

static ssize_t
bytes_read(void *arg, uint64_t off, void *buf, size_t len)
{
	memcpy(buf, ((struct bytes *)arg)->data + off, len);
	return (ssize_t)len;
}

int
harness_put(struct harness *r, const char *name, const void *data,
	    uint64_t size)
{
	struct bytes bytes = { data };
	struct s3_source body = { size, bytes_read, &bytes, NULL };
	char key[200], etag[S3_ETAG_MAX];
	int n;

	snprintf(key, sizeof(key), "%s%s", r->prefix, name);
	n = s3_put(r->s3, key, &body, NULL, NULL, etag, NULL);
	return n == 0 ? 0 : harness_bad(r, "put: %s", strerror(-n));
}

static int
count_entry(void *arg, const struct s3_entry *e)
{
	(void)e;
	++*(unsigned *)arg;
	return 0;
}

static int
count_upload(void *arg, const char *key, const char *id, int64_t since_ns)
{
	(void)key, (void)id, (void)since_ns;
	++*(unsigned *)arg;
	return 0;
}

int
harness_count_keys(struct harness *r, unsigned *keys, unsigned *uploads)
{
	struct s3_list list = { .prefix = r->prefix, .scratch = true };
	char *next = NULL;
	int n;

	*keys = *uploads = 0;
	n = s3_list_page(r->s3, &list, count_entry, keys, &next, NULL);
	free(next);
	if (n == 0)
		n = s3_upload_list(r->s3, r->prefix, count_upload, uploads,
				   NULL);
	return n < 0 ? harness_bad(r, "list: %s", strerror(-n)) : 0;
}

/* ---- the client's side ---- */

void
harness_pattern(char *buf, uint64_t size, unsigned seed)
{
	for (uint64_t i = 0; i < size; i++)
		buf[i] = (char)(seed * 131 + i * 7 + (i >> 8) * 13 +
				(i >> 16) * 29);
}

int
harness_write(struct rpcc *c, const struct nc_fh *fh, uint64_t off,
	      const char *data, uint64_t size)
{
	int r = 0;

	for (uint64_t done = 0; r == 0 && done < size;) {
		uint32_t len = size - done < (1U << 20) ? (uint32_t)(size - done)
							: 1U << 20;

		r = nc_write(c, fh, off + done, data + done, len, UNSTABLE,
			     NULL);
		done += len;
	}
	return r != 0 ? r : nc_commit(c, fh, 0, 0, NULL);
}

int
harness_file_is(struct rpcc *c, const struct nc_fh *fh, const void *data,
		uint64_t size)
{
	const char *want = data;
	char *buf = malloc(1U << 20);
	uint64_t off = 0;
	bool eof = false;
	fattr3 attr;
	int r = nc_getattr(c, fh, &attr);

	if (r == 0 && attr.size != size)
		r = -EMSGSIZE;
	for (unsigned tries = 0; r == 0 && !eof && off < size;) {
		uint32_t got = 0;

		r = nc_read(c, fh, off, buf, 1U << 20, &got, &eof);
		if (r == NFS3_JUKEBOX && tries++ < 50) {
			pause_ms(100);
			r = 0;
			continue;
		}
		if (r == 0 && memcmp(buf, want + off, got) != 0)
			r = -EBADMSG;
		off += got;
	}
	free(buf);
	return r;
}
