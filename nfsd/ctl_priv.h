/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_CTL_PRIV_H
#define NFSD_CTL_PRIV_H

/*
 * Inside of the control socket: a connection, and what commands answer with.
 */

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "nfsd/ctl.h"

struct ctl {
	struct ctl_config config;
	char *path;
	int socket, stop_event;
	atomic_bool stopping;
	pthread_t thread;
	uint64_t started_ms;
	pthread_mutex_t lock;
	pthread_cond_t connection_ended;
	unsigned connections;
};

struct connection {
	struct ctl *ctl;
	int fd;
	json_t *request;
	/* A list under way: */
	FILE *list;
	char *list_bytes;
	size_t list_size;
	bool too_long;
};

/* ---- ctl.c ---- */

uint64_t ctl_now_ms(void);
/* Any text as JSON: bytes that are no UTF-8 come as in a URL. */
json_t *ctl_text_json(const char *text);
/* One line.  Takes it over. */
int ctl_send_line(struct connection *c, json_t *line);
/* The last one: a result, taken over (NULL: none to tell), or an error. */
void ctl_answer(struct connection *c, int r, json_t *result);
void ctl_answer_error(struct connection *c, int error, const char *text);
/* Items, collected in memory; each is taken over. */
int ctl_list_begin(struct connection *c);
int ctl_list_item(struct connection *c, json_t *item);
/* Send them, and that error as the answer. */
void ctl_list_error(struct connection *c, int error, const char *text);

/* ---- ctl_status.c ---- */

void ctl_status(struct connection *c);

/* ---- ctl_flush.c ---- */

/* path NULL: everything. */
void ctl_flush(struct connection *c, const char *path);
void ctl_drain(struct connection *c);

/* ---- ctl_keys.c ---- */
json_t *ctl_keys(const struct ctl_config *config);

/* ---- ctl_quarantine.c ---- */

void ctl_retry(struct connection *c, uint64_t id);
/* path NULL: all that is kept. */
void ctl_retry_all(struct connection *c, const char *path);

/* ---- ctl_absent.c ---- */
/* Exports that are not served, and what is kept of them. */
json_t *ctl_absent(struct gate *gate);
/* Exports whose bucket is away. */
json_t *ctl_away(struct gate *gate);

#endif
