/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_MODEL_LANE_H
#define TESTS_MODEL_LANE_H

/* A daemon with three clients, and the settings that daemons get. */

#include "tests/model_daemon.h"
#include "tests/model_wire.h"

/* Settings of a daemon, and of its model. */
struct conf {
	const char *name;
	struct m_config model;
	const char *sets[16];
};
extern const struct conf confs[];
extern const unsigned conf_count;

enum { SAW_OK, SAW_JUKEBOX, SAW_ACCES, SAW_IO, SAW_STALE, SAW_NOENT,
       SAW_EXIST, SAW_OTHER, SAW_COUNT };

/* A daemon and its clients, used by one thread. */
struct lane {
	struct run *run;	/* of check_model.c */
	unsigned number, plays;
	const char *dir;	/* for its daemons' directories */
	const struct conf *conf;
	struct daemon_ d;	/* programs and bucket are set before */
	struct wire_client client[M_CLIENTS];
	struct nc_fh root;
	bool verf_known;
	uint8_t verf[8];
	int64_t clock_ms;
	uint64_t seen[M_WAIT][SAW_COUNT];	/* replies, by kind and status */
	size_t states_max;
};

/* A daemon with nothing behind it.  0, or a negative errno. */
int lane_fresh(struct lane *l, const struct conf *conf);
/* It died: again, on the same state. */
int lane_up(struct lane *l);
/* Its connection was lost: another one. */
int lane_connect(struct lane *l, unsigned client);
void lane_fini(struct lane *l);

#endif
