/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a command of the configuration prints (credential_process), without
 * waiting for it for ever: it has a time, and is ended sooner when the caller
 * stops.  It runs in a process group of its own, with the signals of a fresh
 * program, so that what it has started ends with it.
 */
#include <config.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>
#include "s3/remote.h"

#define LOOK_MS 50		/* how soon the caller's stop is seen */

extern char **environ;

static int
start(const char *command, int out, pid_t *pid)
{
	char shell[] = "sh", dash_c[] = "-c";
	char *const argv[] = { shell, dash_c, (char *)(uintptr_t)command,
			       NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, pipes;
	int r;

	sigemptyset(&none);
	sigemptyset(&pipes);
	sigaddset(&pipes, SIGPIPE);
	posix_spawnattr_init(&attr);
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &pipes);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP |
				 POSIX_SPAWN_SETSIGMASK |
				 POSIX_SPAWN_SETSIGDEF);
	r = posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
	if (r == 0)
		r = posix_spawn(pid, "/bin/sh", &files, &attr, argv, environ);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	return -r;
}

/* Is there time left?  0, -ETIMEDOUT, -ECANCELED. */
static int
may_go_on(const struct s3_process *p, int64_t until_ms)
{
	if (p->stopped != NULL && p->stopped(p->arg))
		return -ECANCELED;
	return s3_mono_ms() < until_ms ? 0 : -ETIMEDOUT;
}

/* All that it prints. */
static int
take(const struct s3_process *p, int fd, int64_t until_ms, struct s3_buf *out)
{
	char chunk[4096];
	int r;

	while ((r = may_go_on(p, until_ms)) == 0) {
		struct pollfd ready = { .fd = fd, .events = POLLIN };
		ssize_t n;

		if (poll(&ready, 1, LOOK_MS) <= 0)
			continue;
		n = read(fd, chunk, sizeof(chunk));
		if (n == 0)
			return 0;
		if (n < 0)
			return -errno;
		s3_buf_add(out, chunk, (size_t)n);
		if (out->failed)
			return -EIO;
	}
	return r;
}

/* Its end, in the same time.  0: a good one. */
static int
reap(const struct s3_process *p, pid_t pid, int64_t until_ms, bool *ended)
{
	int status, r;

	while ((r = may_go_on(p, until_ms)) == 0) {
		pid_t got = waitpid(pid, &status, WNOHANG);

		if (got == pid) {
			*ended = true;
			return status == 0 ? 0 : -EIO;
		}
		if (got < 0 && errno != EINTR)
			return -errno;
		(void)poll(NULL, 0, LOOK_MS / 10);
	}
	return r;
}

int
s3_process_read(const struct s3_process *p, struct s3_buf *out)
{
	int64_t until_ms = s3_mono_ms() + p->limit_ms;
	bool ended = false;
	int fds[2], r;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	r = start(p->command, fds[1], &pid);
	close(fds[1]);
	if (r < 0) {
		close(fds[0]);
		return r;
	}
	r = take(p, fds[0], until_ms, out);
	close(fds[0]);
	if (r == 0)
		r = reap(p, pid, until_ms, &ended);
	if (!ended) {
		(void)kill(-pid, SIGKILL);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	return r;
}
