/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_LOG_H
#define NFSD_LOG_H

/*
 * The log: lines on stderr, one write() each, so that threads do not mix
 * them.  Under systemd (JOURNAL_STREAM is set) each begins with its priority,
 * "<3>" and so on, and journald adds the time; otherwise with the level's
 * name where it is a warning or worse.
 *
 *	log_warn("rpc", "record too long peer=%s bytes=%u", peer, bytes);
 *
 * gives "s3nfsd: warning: rpc: record too long peer=192.0.2.1 bytes=5".
 * Control characters, which a client can put into names, come out as '?'.
 * Any thread; nothing blocks but the write itself; errno is kept.
 */

#include <stdarg.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERR, LOG_LEVEL_WARN, LOG_LEVEL_INFO,
		 LOG_LEVEL_DEBUG };

/* Lines above this level are left out; LOG_LEVEL_INFO at first. */
void log_set_level(enum log_level level);
enum log_level log_level(void);

void log_err(const char *room, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void log_warn(const char *room, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void log_info(const char *room, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void log_debug(const char *room, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* For the log callbacks of other rooms: level is 0 error .. 3 debug. */
void log_line(enum log_level level, const char *room, const char *line);

/*
 * What others can provoke is said seldom: once in LOG_LIMIT_MS for each
 * struct log_limit (zeroed; lives with the object concerned), then with the
 * number of lines left out since.
 */
#define LOG_LIMIT_MS 5000

struct log_limit {
	uint64_t next_ms;	/* CLOCK_MONOTONIC; atomic */
	uint64_t left_out;	/* atomic */
};

void log_limited(struct log_limit *limit, enum log_level level,
		 const char *room, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#endif
