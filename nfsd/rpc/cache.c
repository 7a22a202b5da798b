/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reply cache: a call that changes something is carried out once, though
 * it comes twice.  A client sends it again when no reply came, over another
 * connection and from another port as the case may be.
 *
 * The key is a SHA-256, cut to 16 bytes, of who calls (machine name and
 * address, not the port), xid, program, version, procedure, the length of the
 * arguments, and their first and last SAMPLE bytes.  Those hold all arguments
 * but the middle of a large WRITE.  Two calls with one xid from one host that
 * differ only there do not happen by chance: xid, file, offset and length
 * would have to be the same within two minutes.  The hash has no secret, since
 * the key must be the same after a restart (rule.md 8), and no weakness
 * that would let one host hit the entry of another.
 *
 *	   begin              end(reply)
 *	(none) ----> in progress ----> done ----> (none)
 *	                |   end(NULL)       by age or for room
 *	                +-----------> (none)
 *
 * A duplicate of what is in progress is dropped; but if the first one came
 * over another connection, which is likely dead by now, the reply will go to
 * the newer one.  One lock for all: what is looked up here goes to disk anyway.
 */
#include <config.h>

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/rpc/inside.h"

#define SAMPLE 4096
#define REPLY_MAX 4096		/* longer ones are not kept */
#define KEEP_MS 120000		/* rule.md 8 */

struct rpc_cache_entry {
	uint8_t key[16];
	struct rpc_call *call;	/* in progress; NULL: done */
	uint64_t done_ms;
	uint32_t len;
	unsigned char *reply;
	TAILQ_ENTRY(rpc_cache_entry) age;	/* done ones, oldest first */
	UT_hash_handle hh;
};

struct rpc_cache {
	struct rpc_server *server;
	size_t bytes_max;
	pthread_mutex_t lock;
	struct rpc_cache_entry *entries;
	TAILQ_HEAD(ages, rpc_cache_entry) ages;
	size_t bytes;
};

/* What an entry costs, hash table and malloc included. */
static size_t
cost(const struct rpc_cache_entry *entry)
{
	return sizeof(*entry) + 64 + entry->len;
}

struct rpc_cache *
rpc_cache_new(size_t bytes, struct rpc_server *server)
{
	struct rpc_cache *cache = calloc(1, sizeof(*cache));

	if (cache == NULL)
		return NULL;
	cache->server = server;
	cache->bytes_max = bytes;
	TAILQ_INIT(&cache->ages);
	pthread_mutex_init(&cache->lock, NULL);
	return cache;
}

static void
forget_locked(struct rpc_cache *cache, struct rpc_cache_entry *entry)
{
	HASH_DEL(cache->entries, entry);
	if (entry->call == NULL) {
		TAILQ_REMOVE(&cache->ages, entry, age);
		cache->bytes -= cost(entry);
	}
	free(entry->reply);
	free(entry);
}

void
rpc_cache_free(struct rpc_cache **slot)
{
	struct rpc_cache *cache = *slot;
	struct rpc_cache_entry *entry, *next;

	*slot = NULL;
	if (cache == NULL)
		return;
	HASH_ITER(hh, cache->entries, entry, next)
		forget_locked(cache, entry);
	pthread_mutex_destroy(&cache->lock);
	free(cache);
}

int
rpc_cache_digest(void *ctx, struct rpc_request *rq, const unsigned char *args,
		 uint32_t len)
{
	struct {
		struct in6_addr addr;
		uint32_t xid, program, version, procedure, len, name_len;
	} head;
	unsigned char hash[EVP_MAX_MD_SIZE];
	uint32_t front = len < SAMPLE ? len : SAMPLE;
	uint32_t back = len - front < SAMPLE ? len - front : SAMPLE;

	memset(&head, 0, sizeof(head));
	rpc_address(&rq->peer, &head.addr);
	head.xid = htonl(rq->xid);
	head.program = htonl(rq->program);
	head.version = htonl(rq->version);
	head.procedure = htonl(rq->procedure);
	head.len = htonl(len);
	head.name_len = htonl((uint32_t)strlen(rq->cred.machine));
	if (EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1 ||
	    EVP_DigestUpdate(ctx, &head, sizeof(head)) != 1 ||
	    EVP_DigestUpdate(ctx, rq->cred.machine,
			     strlen(rq->cred.machine)) != 1 ||
	    EVP_DigestUpdate(ctx, args, front) != 1 ||
	    EVP_DigestUpdate(ctx, args + len - back, back) != 1 ||
	    EVP_DigestFinal_ex(ctx, hash, NULL) != 1)
		return -ENOMEM;
	memcpy(rq->digest, hash, sizeof(rq->digest));
	return 0;
}

/* Old entries, and as many as are too many. */
static void
age_locked(struct rpc_cache *cache)
{
	uint64_t now_ms = rpc_run_ms(cache->server);
	struct rpc_cache_entry *entry;

	while ((entry = TAILQ_FIRST(&cache->ages)) != NULL &&
	       (cache->bytes > cache->bytes_max ||
		entry->done_ms + KEEP_MS < now_ms))
		forget_locked(cache, entry);
}

/* The reply of the call in progress goes to the connection of `again`; the
 * connection it was to go to is returned. */
static struct rpc_conn *
redirect_locked(struct rpc_call *call, struct rpc_call *again)
{
	struct rpc_conn *old = call->conn;
	uint64_t charged;

	if (old == NULL || again->conn == NULL || old == again->conn ||
	    !__atomic_load_n(&call->counted, __ATOMIC_ACQUIRE))
		return NULL;
	charged = call->record == NULL ? 0 : call->record->charged;
	__atomic_fetch_sub(&old->in_bytes, charged, __ATOMIC_RELAXED);
	__atomic_fetch_add(&again->conn->in_bytes, charged, __ATOMIC_RELAXED);
	rpc_conn_get(again->conn);
	__atomic_fetch_add(&again->conn->in_flight, 1, __ATOMIC_SEQ_CST);
	call->conn = again->conn;
	return old;
}

static struct rpc_buffer *
copy_reply(struct rpc_cache *cache, const struct rpc_cache_entry *entry)
{
	struct rpc_buffer *buffer = rpc_buffer_get(&cache->server->pool,
						   entry->len);

	if (buffer == NULL)
		return NULL;
	memcpy(buffer->data, entry->reply, entry->len);
	buffer->end = entry->len;
	return buffer;
}

enum rpc_cache_answer
rpc_cache_begin(struct rpc_cache *cache, struct rpc_call *call,
		struct rpc_buffer **reply)
{
	enum rpc_cache_answer answer = RPC_CACHE_NEW;
	struct rpc_cache_entry *entry;
	struct rpc_conn *old = NULL;

	pthread_mutex_lock(&cache->lock);
	age_locked(cache);
	HASH_FIND(hh, cache->entries, call->rq.digest, 16, entry);
	if (entry != NULL && entry->call != NULL) {
		answer = RPC_CACHE_BUSY;
		old = redirect_locked(entry->call, call);
	} else if (entry != NULL) {
		*reply = copy_reply(cache, entry);
		answer = *reply != NULL ? RPC_CACHE_REPLY : RPC_CACHE_FAILED;
	} else if ((entry = calloc(1, sizeof(*entry))) != NULL) {
		memcpy(entry->key, call->rq.digest, 16);
		HASH_ADD(hh, cache->entries, key, 16, entry);
		if (entry->hh.tbl == NULL) {
			free(entry);
			entry = NULL;
		} else {
			entry->call = call;
			call->entry = entry;
		}
	}
	if (entry == NULL)
		answer = RPC_CACHE_FAILED;
	pthread_mutex_unlock(&cache->lock);
	if (old != NULL) {
		rpc_conn_call_ended(old);
		rpc_conn_put(&old);
	}
	return answer;
}

void
rpc_cache_end(struct rpc_cache *cache, struct rpc_call *call,
	      const unsigned char *reply, uint32_t len)
{
	struct rpc_cache_entry *entry = call->entry;
	unsigned char *copy = NULL;

	if (entry == NULL)
		return;
	if (reply != NULL && len <= REPLY_MAX) {
		copy = malloc(len);
		if (copy != NULL)
			memcpy(copy, reply, len);
	}
	pthread_mutex_lock(&cache->lock);
	call->entry = NULL;
	if (copy == NULL) {
		HASH_DEL(cache->entries, entry);
		free(entry);
	} else {
		entry->call = NULL;
		entry->reply = copy;
		entry->len = len;
		entry->done_ms = rpc_run_ms(cache->server);
		TAILQ_INSERT_TAIL(&cache->ages, entry, age);
		cache->bytes += cost(entry);
		age_locked(cache);
	}
	pthread_mutex_unlock(&cache->lock);
}
