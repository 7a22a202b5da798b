/* SPDX-License-Identifier: Apache-2.0 */
/* The readers of credential sources: JSON answers and the AWS tools' files. */
#include <config.h>
#include <stdlib.h>
#include "s3/creds.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
files(const uint8_t *data, size_t size)
{
	struct s3_profiles *p = NULL;
	const char *keys[3];

	for (int is_config = 0; size > 0 && is_config <= 1; is_config++) {
		FILE *f = fmemopen((void *)(uintptr_t)data, size, "r");

		if (f == NULL || s3_profiles_new(&p) < 0)
			abort();
		if (s3_profiles_parse(p, f, is_config) == 0) {
			(void)s3_profiles_has(p, S3_SSO_SESSION, "s");
			(void)s3_profiles_get(p, S3_PROFILE, "a", "role_arn");
			(void)s3_profiles_keys(p, "default", keys);
		}
		s3_profiles_free(&p);
		fclose(f);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct s3_error err = {0};
	struct s3_keys keys = {0};
	char *token = NULL, message[64];
	int64_t until;

	if (s3_json_keys(text, size, &keys, &err) == 0)
		s3_keys_fini(&keys);
	if (s3_json_sso_keys(text, size, &keys, &err) == 0)
		s3_keys_fini(&keys);
	if (s3_json_sso_token(text, size, &token, &until, &err) == 0)
		free(token);
	s3_json_message(text, size, message, sizeof(message));
	files(data, size);
	return 0;
}
