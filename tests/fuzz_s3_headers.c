/* SPDX-License-Identifier: Apache-2.0 */
/* A reply's header lines, to an object: ETag, ranges, dates, metadata. */
#include <config.h>
#include <stdlib.h>
#include <string.h>
#include "s3/remote.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct s3_reply reply = { .headers = { .max = S3_HEADERS_MAX } };
	const char *p = (const char *)data, *end = p + size;
	struct s3_object object;

	while (p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t len = (size_t)((nl ? nl + 1 : end) - p);

		s3_reply_line(&reply, p, len);
		p += len;
	}
	for (reply.http = 200; reply.http <= 206; reply.http += 6)
		if (s3_object_from(&reply, &object) == 0)
			s3_object_free(&object);
	(void)s3_reply_get(&reply, "etag");
	s3_reply_fini(&reply);
	return 0;
}
