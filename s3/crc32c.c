/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checksums that go with a body: CRC-32C (Castagnoli, RFC 3720 B.4) where the
 * probe saw the store verify it, which also keeps it with the object; else,
 * when the signature does not cover the body, Content-MD5.
 */
#include <config.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "s3/remote.h"

#define CHUNK (256UL << 10)

/* Half a byte a step: fast enough where the processor has no instruction. */
static uint32_t
crc32c_plain(uint32_t crc, const unsigned char *p, size_t len)
{
	static const uint32_t table[16] = {
		0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1,
		0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
		0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
		0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
	};

	for (; len > 0; len--, p++) {
		crc ^= *p;
		crc = crc >> 4 ^ table[crc & 15];
		crc = crc >> 4 ^ table[crc & 15];
	}
	return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t
crc32c_fast(uint32_t crc, const unsigned char *p, size_t len)
{
	uint64_t wide = crc, word;

	for (; len >= 8; len -= 8, p += 8) {
		memcpy(&word, p, 8);
		wide = __builtin_ia32_crc32di(wide, word);
	}
	for (crc = (uint32_t)wide; len > 0; len--, p++)
		crc = __builtin_ia32_crc32qi(crc, *p);
	return crc;
}
#endif

uint32_t
s3_crc32c(uint32_t crc, const void *data, size_t len)
{
	crc = ~crc;
#if defined(__x86_64__)
	if (__builtin_cpu_supports("sse4.2"))
		return ~crc32c_fast(crc, data, len);
#endif
	return ~crc32c_plain(crc, data, len);
}

static int
crc32c_source(const struct s3_source *body, uint32_t *out)
{
	CLEANUP_FREE char *chunk = malloc(CHUNK);
	uint32_t crc = 0;

	if (chunk == NULL)
		return -ENOMEM;
	for (uint64_t off = 0; off < body->len; off += CHUNK) {
		size_t want = body->len - off < CHUNK ?
			      (size_t)(body->len - off) : CHUNK;
		ssize_t n = body->read(body->arg, off, chunk, want);

		if (n < 0 || (size_t)n != want)
			return n < 0 ? (int)n : -EIO;
		crc = s3_crc32c(crc, chunk, want);
	}
	*out = crc;
	return 0;
}

static int
add_crc32c(struct s3_call *call)
{
	unsigned char bytes[4];
	char text[12];
	uint32_t crc = 0;
	int r = crc32c_source(call->body, &crc);

	for (int i = 0; i < 4; i++)
		bytes[i] = (unsigned char)(crc >> (24 - 8 * i));
	EVP_EncodeBlock((unsigned char *)text, bytes, 4);
	return r < 0 ? r : s3_call_header(call, "x-amz-checksum-crc32c",
					  text);
}

static int
add_md5(struct s3_call *call)
{
	unsigned char bytes[16];
	char hex[33], text[28];
	int r = s3_md5_source(call->body, hex);

	for (int i = 0; r == 0 && i < 16; i++)
		if (sscanf(hex + 2 * i, "%2hhx", &bytes[i]) != 1)
			r = -EIO;
	if (r < 0)
		return r;
	EVP_EncodeBlock((unsigned char *)text, bytes, 16);
	return s3_call_header(call, "content-md5", text);
}

int
s3_call_checksum(struct s3_remote *r, struct s3_call *call, bool part)
{
	/* A part's would have to be agreed on when the upload is created,
	 * and repeated at its end (S3 API, CompleteMultipartUpload). */
	if (!part && (r->caps & S3_CAP_CHECKSUMS))
		return add_crc32c(call);
	return r->base.config.unsigned_payload ? add_md5(call) : 0;
}
