/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines to stderr.  A line is put together on the stack and written at
 * once; one that is too long is cut.  A failed write is given up: there is
 * nobody to tell.  The level is the one variable that the whole program
 * shares; it and the limits are atomic, there is no lock.
 */
#include <config.h>

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "nfsd/log.h"

#define LINE_BYTES 2048

static enum log_level current_level = LOG_LEVEL_INFO;

/* What a level is called, and its priority in syslog.h and for journald. */
static const struct {
	const char *name;
	int priority;
} levels[] = {
	[LOG_LEVEL_ERR] = { "error: ", 3 },
	[LOG_LEVEL_WARN] = { "warning: ", 4 },
	[LOG_LEVEL_INFO] = { "", 6 },
	[LOG_LEVEL_DEBUG] = { "debug: ", 7 },
};

void
log_set_level(enum log_level level)
{
	__atomic_store_n(&current_level, level, __ATOMIC_RELAXED);
}

enum log_level
log_level(void)
{
	return __atomic_load_n(&current_level, __ATOMIC_RELAXED);
}

static bool
wanted(enum log_level level)
{
	return level <= log_level();
}

static size_t
at_most(int printed, size_t room)
{
	if (printed < 0)
		return 0;
	return (size_t)printed < room ? (size_t)printed : room - 1;
}

static void __attribute__((format(printf, 4, 0)))
put(enum log_level level, const char *room, uint64_t left_out,
    const char *fmt, va_list args)
{
	char line[LINE_BYTES];
	size_t len = 0, max = sizeof(line) - 1;
	int saved = errno;

	if (getenv("JOURNAL_STREAM") != NULL)
		len += at_most(snprintf(line, max, "<%d>s3nfsd: %s: ",
					levels[level].priority, room), max);
	else
		len += at_most(snprintf(line, max, "s3nfsd: %s%s: ",
					levels[level].name, room), max);
	errno = saved;		/* for %m */
	len += at_most(vsnprintf(line + len, max - len, fmt, args), max - len);
	if (left_out > 0)
		len += at_most(snprintf(line + len, max - len,
					" left_out=%llu",
					(unsigned long long)left_out),
			       max - len);
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = '?';
	line[len++] = '\n';
	while (write(STDERR_FILENO, line, len) < 0 && errno == EINTR)
		;
	errno = saved;
}

#define LOG_FUNCTION(function, level)                                         \
	void function(const char *room, const char *fmt, ...)                 \
	{                                                                     \
		va_list args;                                                 \
									      \
		if (!wanted(level))                                           \
			return;                                               \
		va_start(args, fmt);                                          \
		put(level, room, 0, fmt, args);                               \
		va_end(args);                                                 \
	}

LOG_FUNCTION(log_err, LOG_LEVEL_ERR)
LOG_FUNCTION(log_warn, LOG_LEVEL_WARN)
LOG_FUNCTION(log_info, LOG_LEVEL_INFO)
LOG_FUNCTION(log_debug, LOG_LEVEL_DEBUG)

static void __attribute__((format(printf, 3, 4)))
put_one(enum log_level level, const char *room, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	put(level, room, 0, fmt, args);
	va_end(args);
}

void
log_line(enum log_level level, const char *room, const char *line)
{
	if (level > LOG_LEVEL_DEBUG)
		level = LOG_LEVEL_DEBUG;
	if (wanted(level))
		put_one(level, room, "%s", line);
}

static uint64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void
log_limited(struct log_limit *limit, enum log_level level, const char *room,
	    const char *fmt, ...)
{
	uint64_t now = now_ms();
	uint64_t next = __atomic_load_n(&limit->next_ms, __ATOMIC_RELAXED);
	va_list args;

	if (!wanted(level))
		return;
	/* Of several threads one moves the time on, and speaks. */
	if (now < next ||
	    !__atomic_compare_exchange_n(&limit->next_ms, &next,
					 now + LOG_LIMIT_MS, false,
					 __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
		__atomic_fetch_add(&limit->left_out, 1, __ATOMIC_RELAXED);
		return;
	}
	va_start(args, fmt);
	put(level, room,
	    __atomic_exchange_n(&limit->left_out, 0, __ATOMIC_RELAXED), fmt,
	    args);
	va_end(args);
}
