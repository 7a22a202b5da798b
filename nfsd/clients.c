/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A row for each identity (host name and address, rule.md 1) that has a
 * connection.  The table is for people to look at; nothing decides by it, so
 * that a host beyond CLIENTS_MAX is left out without harm.
 */
#include <config.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "nfsd/clients.h"

struct row {
	struct clients_info info;	/* info.who is the key, zero-padded */
	UT_hash_handle hh;
};

struct clients {
	pthread_mutex_t lock;
	struct row *rows;
};

int
clients_new(struct clients **out)
{
	struct clients *clients = calloc(1, sizeof(*clients));

	if (clients == NULL)
		return -ENOMEM;
	pthread_mutex_init(&clients->lock, NULL);
	*out = clients;
	return 0;
}

void
clients_free(struct clients **clients)
{
	struct row *row, *next;

	if (*clients == NULL)
		return;
	HASH_ITER(hh, (*clients)->rows, row, next) {
		HASH_DEL((*clients)->rows, row);
		free(row);
	}
	pthread_mutex_destroy(&(*clients)->lock);
	free(*clients);
	*clients = NULL;
}

static uint64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void
count_locked(struct clients *clients, const struct gate_client *key, int delta)
{
	struct row *row;

	HASH_FIND(hh, clients->rows, key, sizeof(*key), row);
	if (row == NULL && delta > 0 &&
	    HASH_COUNT(clients->rows) < CLIENTS_MAX) {
		row = calloc(1, sizeof(*row));
		if (row == NULL)
			return;
		row->info.who = *key;
		row->info.since_ms = now_ms();
		HASH_ADD(hh, clients->rows, info.who, sizeof(*key), row);
		if (row->hh.tbl == NULL) {
			free(row);
			return;
		}
	}
	if (row == NULL)
		return;
	if (delta > 0) {
		row->info.connections++;
	} else if (--row->info.connections == 0) {
		HASH_DEL(clients->rows, row);
		free(row);
	}
}

void
clients_connected(struct clients *clients, const struct gate_client *who,
		  int delta)
{
	struct gate_client key;

	/* Bytes after the name's end would make two of one. */
	memset(&key, 0, sizeof(key));
	memcpy(key.name, who->name, strnlen(who->name, sizeof(key.name) - 1));
	key.addr = who->addr;
	pthread_mutex_lock(&clients->lock);
	count_locked(clients, &key, delta);
	pthread_mutex_unlock(&clients->lock);
}

void
clients_each(struct clients *clients,
	     void (*each)(void *arg, const struct clients_info *info),
	     void *arg)
{
	pthread_mutex_lock(&clients->lock);
	for (struct row *row = clients->rows; row != NULL; row = row->hh.next)
		each(arg, &row->info);
	pthread_mutex_unlock(&clients->lock);
}
