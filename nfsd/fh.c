/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file handle is a promise that outlives us: clients keep it for months and
 * present it after restarts, renames and uploads.  So it names the inode and
 * nothing that changes:
 *
 *	0  version (1), three zero bytes
 *	4  export id        (gate_export_id, stable in the state directory)
 *	8  generation
 *	12 zero
 *	16 inode number
 *	24 SipHash-2-4 of the 24 bytes before, under a key from the state
 *	   directory
 *
 * all big-endian, or, for the root of an export:
 *
 *	0  version (2), three zero bytes
 *	4  28 bytes of the SHA-256 of its name
 *
 * A root's handle is all that a mount has to find its paths again when the
 * gateway lost its disk, and with it the key; so it follows from the name
 * alone.  Anybody can make one.  It names no more than what a host gets from
 * MNT that may mount the export, and each call asks again whether it may.
 *
 * The MAC keeps a client from naming files it was never
 * shown, beneath a directory it may not search or in another export.
 *
 * Bytes that cannot be ours are BADHANDLE.  A well-formed handle with a wrong
 * MAC is STALE: the honest way to meet one is a gateway that lost its disk
 * and with it key and inode numbers.  A client answers STALE by looking the
 * path up again, which heals it; BADHANDLE reaches the application as an
 * unknown error (Linux: errno 521) until somebody remounts.
 *
 * OpenSSL's SipHash costs about 50 ns in a context that is set up already,
 * but a context serves one thread at a time: there are a few, each with its
 * lock, and a thread takes the first that is free.
 */
#include <config.h>

#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/sha.h>

#include "nfsd/fh.h"

#define FH_VERSION 1
#define FH_ROOT_VERSION 2
#define MAC_OFFSET 24
#define MAC_SIZE 8
#define CONTEXTS 16

struct context {
	pthread_mutex_t lock;
	EVP_MAC_CTX *mac;
};

struct root {
	uint8_t handle[FH_SIZE];
	uint32_t export_id;
	struct gate_fh fh;
};

struct fh_signer {
	uint8_t key[16];
	struct root *roots;		/* as they were added */
	size_t root_count;
	struct context contexts[CONTEXTS];
};

static void
put32(uint8_t *to, uint32_t value)
{
	value = htobe32(value);
	memcpy(to, &value, sizeof(value));
}

static uint32_t
get32(const uint8_t *from)
{
	uint32_t value;

	memcpy(&value, from, sizeof(value));
	return be32toh(value);
}

static EVP_MAC_CTX *
mac_new(EVP_MAC *algorithm)
{
	size_t size = MAC_SIZE;
	OSSL_PARAM params[2] = {
		OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size),
		OSSL_PARAM_construct_end()
	};
	EVP_MAC_CTX *mac = EVP_MAC_CTX_new(algorithm);

	if (mac != NULL && !EVP_MAC_CTX_set_params(mac, params)) {
		EVP_MAC_CTX_free(mac);
		mac = NULL;
	}
	return mac;
}

int
fh_signer_new(const uint8_t key[16], struct fh_signer **out)
{
	struct fh_signer *signer = calloc(1, sizeof(*signer));
	EVP_MAC *algorithm;

	if (signer == NULL)
		return -ENOMEM;
	memcpy(signer->key, key, sizeof(signer->key));
	for (int i = 0; i < CONTEXTS; i++)
		pthread_mutex_init(&signer->contexts[i].lock, NULL);
	algorithm = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
	for (int i = 0; algorithm != NULL && i < CONTEXTS; i++)
		signer->contexts[i].mac = mac_new(algorithm);
	EVP_MAC_free(algorithm);
	for (int i = 0; i < CONTEXTS; i++) {
		if (signer->contexts[i].mac == NULL) {
			fh_signer_free(&signer);
			return -ENOTSUP;
		}
	}
	*out = signer;
	return 0;
}

void
fh_signer_free(struct fh_signer **signer)
{
	if (*signer == NULL)
		return;
	for (int i = 0; i < CONTEXTS; i++) {
		EVP_MAC_CTX_free((*signer)->contexts[i].mac);
		pthread_mutex_destroy(&(*signer)->contexts[i].lock);
	}
	free((*signer)->roots);
	OPENSSL_cleanse((*signer)->key, sizeof((*signer)->key));
	free(*signer);
	*signer = NULL;
}

int
fh_signer_add_root(struct fh_signer *signer, const char *name,
		   uint32_t export_id, const struct gate_fh *fh)
{
	uint8_t hash[SHA256_DIGEST_LENGTH];
	struct root *list = realloc(signer->roots,
				    (signer->root_count + 1) * sizeof(*list));
	struct root *root;

	if (list == NULL)
		return -ENOMEM;
	signer->roots = list;
	if (SHA256((const uint8_t *)name, strlen(name), hash) == NULL)
		return -EIO;
	root = &list[signer->root_count++];
	*root = (struct root){.handle = {FH_ROOT_VERSION},
			      .export_id = export_id, .fh = *fh};
	memcpy(root->handle + 4, hash, FH_SIZE - 4);
	return 0;
}

/* NULL: not one of those. */
static const struct root *
root_by_fh(const struct fh_signer *signer, uint32_t export_id,
	   const struct gate_fh *fh)
{
	for (size_t i = 0; i < signer->root_count; i++) {
		const struct root *root = &signer->roots[i];

		if (root->fh.ino == fh->ino && root->export_id == export_id &&
		    root->fh.generation == fh->generation)
			return root;
	}
	return NULL;
}

static const struct root *
root_by_handle(const struct fh_signer *signer, const uint8_t *handle)
{
	for (size_t i = 0; i < signer->root_count; i++) {
		if (memcmp(signer->roots[i].handle, handle, FH_SIZE) == 0)
			return &signer->roots[i];
	}
	return NULL;
}

/* A context of one's own, locked; the first free one, else a queue. */
static struct context *
context_get(struct fh_signer *signer, unsigned hint)
{
	for (unsigned i = 0; i < CONTEXTS; i++) {
		struct context *c = &signer->contexts[(hint + i) % CONTEXTS];

		if (pthread_mutex_trylock(&c->lock) == 0)
			return c;
	}
	pthread_mutex_lock(&signer->contexts[hint % CONTEXTS].lock);
	return &signer->contexts[hint % CONTEXTS];
}

static int
sign(struct fh_signer *signer, const uint8_t *handle, uint8_t mac[MAC_SIZE])
{
	struct context *c = context_get(signer, handle[23]);
	size_t len = 0;
	int good;

	/* The key anew each time: 3.0 does not rewind without it. */
	good = EVP_MAC_init(c->mac, signer->key, sizeof(signer->key), NULL) &&
	       EVP_MAC_update(c->mac, handle, MAC_OFFSET) &&
	       EVP_MAC_final(c->mac, mac, &len, MAC_SIZE);
	pthread_mutex_unlock(&c->lock);
	return good && len == MAC_SIZE ? 0 : -EIO;
}

int
fh_pack(struct fh_signer *signer, uint32_t export_id, const struct gate_fh *fh,
	uint8_t out[FH_SIZE])
{
	const struct root *root = root_by_fh(signer, export_id, fh);
	uint8_t handle[FH_SIZE] = {FH_VERSION};
	int r;

	if (root != NULL) {
		memcpy(out, root->handle, FH_SIZE);
		return 0;
	}
	put32(handle + 4, export_id);
	put32(handle + 8, fh->generation);
	put32(handle + 16, (uint32_t)(fh->ino >> 32));
	put32(handle + 20, (uint32_t)fh->ino);
	r = sign(signer, handle, handle + MAC_OFFSET);
	if (r < 0)
		return r;
	memcpy(out, handle, FH_SIZE);
	return 0;
}

int
fh_unpack(struct fh_signer *signer, const void *data, size_t len,
	  uint32_t *export_id, struct gate_fh *out)
{
	const uint8_t *handle = data;
	const struct root *root;
	uint8_t mac[MAC_SIZE];
	int r;

	if (len == FH_SIZE && get32(handle) == (uint32_t)FH_ROOT_VERSION
						   << 24) {
		root = root_by_handle(signer, handle);
		if (root == NULL)
			return -ESTALE;
		*export_id = root->export_id;
		*out = root->fh;
		return 0;
	}
	/* unfs3 asserted on a short handle: a crash for anybody who asks. */
	if (len != FH_SIZE || get32(handle) != (uint32_t)FH_VERSION << 24 ||
	    get32(handle + 12) != 0)
		return -EBADF;
	r = sign(signer, handle, mac);
	if (r < 0)
		return r;
	if (CRYPTO_memcmp(mac, handle + MAC_OFFSET, MAC_SIZE) != 0)
		return -ESTALE;
	*export_id = get32(handle + 4);
	out->generation = get32(handle + 8);
	out->ino = (uint64_t)get32(handle + 16) << 32 | get32(handle + 20);
	return 0;
}

uint32_t
fh_export_hint(const struct fh_signer *signer, const void *data, size_t len)
{
	const struct root *root;

	if (len != FH_SIZE)
		return 0;
	root = root_by_handle(signer, data);
	return root != NULL ? root->export_id
			    : get32((const uint8_t *)data + 4);
}
