/* SPDX-License-Identifier: Apache-2.0 */
/* A configuration file of any bytes, and every value of it as each key's. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "nfsd/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
set(const struct setting *s)
{
	union {
		struct options_server server;
		struct options_s3 s3;
		struct options_export export;
	} target;
	char why[64], *url, *prefix, *name;
	struct sockaddr_storage address;
	socklen_t len;

	memset(&target, 0, sizeof(target));
	if (options_set(s->row, &target, s->value, why, sizeof(why)) < 0 &&
	    why[0] == '\0')
		abort();
	options_free(s->section, &target);
	(void)!settings_bucket(s->value, &url, &prefix, &name);
	free(url);
	free(prefix);
	free(name);
	(void)!settings_listen(s->value, &address, &len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct setting_list list = {0};
	FILE *in, *out = fopen("/dev/null", "w");

	if (size == 0 || out == NULL)
		return 0;
	in = fmemopen((void *)(uintptr_t)data, size, "r");
	if (in == NULL)
		return 0;
	(void)!settings_parse_file(in, "fuzz", &list, out);
	for (size_t i = 0; i < list.count; i++) {
		if (list.list[i].value != NULL && list.list[i].row != NULL)
			set(&list.list[i]);
	}
	settings_list_free(&list);
	fclose(in);
	fclose(out);
	return 0;
}
