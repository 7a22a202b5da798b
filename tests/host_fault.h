/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_HOST_FAULT_H
#define TESTS_HOST_FAULT_H

/*
 * A machine that fails on request: SQLite's statements, calls for files, and
 * allocations; host_fault.c has the language of the rules.  The daemon of a
 * build with --enable-failpoints has it and takes its rules from the file
 * that S3NFSD_HOST_FAULTS names; a unit test links tests/libhostfault.a with
 * $(HOST_FAULT_LINK) and calls what follows.  Any thread may.
 */

#include <stdbool.h>
#include <stdint.h>

enum host_fault_kind { HOST_SQL, HOST_FILE, HOST_ALLOC, HOST_KINDS };

/* These rules from now on, one a line or between ';'; "" or NULL: none.
 * Counts begin anew.  -EINVAL: one does not parse, and there are none. */
int host_fault_set(const char *rules) __attribute__((warn_unused_result));
/* Calls that the rule (0: the first) was asked for, and those that it
 * changed, since it was set. */
uint64_t host_fault_seen(unsigned rule);
uint64_t host_fault_fired(unsigned rule);

/* ---- for host_fault_calls.c ---- */

struct host_fault {
	int error;		/* errno, or a code of SQLite; 0: none */
	bool cut;		/* half of the bytes */
	bool rollback, after;
	uint64_t free_bytes;	/* of statvfs, if has_free */
	bool has_free;
};
/* May there be rules at all? */
bool host_fault_armed(void);
/* What shall happen to this call?  Counts it, and waits if it shall be late.
 * what: the statement's text, the path, or NULL; from: the caller. */
struct host_fault host_fault_ask(enum host_fault_kind kind, const char *op,
				 const char *what, const void *from);

#endif
