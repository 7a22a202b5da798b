/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FAKE_GATE_H
#define TESTS_FAKE_GATE_H

/*
 * A gate that does as it is told, linked instead of libgate.a: it answers
 * every call with fake_gate.result and remembers what it was asked.
 */

#include "nfsd/gate/gate.h"

struct gate_export {
	uint32_t id;
};

struct fake_entry {
	char name[GATE_NAME_MAX + 1];
	bool has_attr;
};

struct fake_gate {
	/* What it answers. */
	int result;
	enum gate_again again;
	int getattr_result;	/* of gate_getattr, when not 0 */
	bool no_wcc;		/* leave wcc and attributes of dirs empty */
	uint32_t read_got;
	bool read_eof;
	enum gate_stable reached;
	const struct fake_entry *entries;
	unsigned entry_count;
	int drc_found;	/* gate_drc_find: 0, or -ENOENT */
	struct gate_fh drc_made;
	const char *walk[8];	/* names gate_lookup knows, in order */
	enum gate_kind walk_kind;
	/* What it saw. */
	unsigned calls, hints, replays;
	const char *last;	/* "gate_write" */
	struct gate_request request;
	struct gate_fh fh, second;
	char name[300], second_name[300], target[1100];
	uint64_t off;
	uint32_t len;
	const void *data;
	enum gate_stable stable;
	enum gate_how how;
	uint8_t verf[8];
	struct gate_setattr set;
	bool guarded;
	int64_t guard_ns;
	uint32_t major, minor;
	enum gate_kind kind;
	unsigned limit, walked;
	uint64_t cookie;
	char flushed[64];
	int flush_result;
	unsigned long dropped;
};

extern struct fake_gate fake_gate;

/* Between a test and a daemon's thread that it talks to over a socket: call
 * it before asking and after the answer, so that both see the same. */
void fake_gate_sync(void);

void fake_gate_reset(void);
struct gate_attr fake_attr(uint64_t ino);

#endif
