/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

/* What the cases of nfsload share. */

#include "tests/bench/nfs.h"
#include "tests/bench/pattern.h"

struct load {
	struct wire w;
	struct fh root;
	struct pattern pattern;
	uint32_t io_bytes;	/* largest READ or WRITE; 0: the server's */
	double seconds;		/* how long timed cases run */
	void *files;		/* struct files of the case at work */
	char **args;
	unsigned arg_count;
	/* Results. */
	uint64_t ops;
	uint64_t bytes;
	uint64_t began_ns;
	uint64_t ended_ns;
	uint64_t stop_ns;	/* timed cases start nothing after this */
	double commit_s;	/* of it, the COMMIT at the end */
};

int load_write(struct load *l);		/* NAME BYTES SEED */
int load_read(struct load *l);		/* NAME BYTES SEED */
int load_randread(struct load *l);	/* NAME BYTES SEED */
int load_getattr(struct load *l);	/* DIR COUNT */
int load_lookup(struct load *l);	/* DIR COUNT */
int load_readdirplus(struct load *l);	/* DIR COUNT */
int load_create(struct load *l);	/* DIR COUNT: MKDIR, then files */
int load_verify(struct load *l);	/* DIR COUNT: size and bytes of each */
int load_remove(struct load *l);	/* DIR COUNT: files, then RMDIR */

/* An argument as a number; fails the run if it is missing or none. */
uint64_t load_number(struct load *l, unsigned index);
const char *load_string(struct load *l, unsigned index);

/* Name and contents of the i-th file of a directory. */
#define LOAD_NAME_BYTES 32
void load_name(uint64_t i, char name[LOAD_NAME_BYTES]);
uint64_t load_seed(uint64_t i);

void load_begin(struct load *l);
void load_end(struct load *l);
/* true: the reply is JUKEBOX and the call will be sent again. */
bool load_jukebox(struct load *l, struct slot *s, uint32_t status);
static inline struct load *
load_of(struct wire *w)
{
	return (struct load *)w;	/* w is its first member */
}

#endif
