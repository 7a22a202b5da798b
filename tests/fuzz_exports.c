/* SPDX-License-Identifier: Apache-2.0 */
/* export.clients of any bytes; MNT's paths, too. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "nfsd/mount3.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct in6_addr hosts[2] = {IN6ADDR_LOOPBACK_INIT, IN6ADDR_ANY_INIT};
	struct exports_rules *rules = NULL;
	char *text = malloc(size + 1), why[64] = "", clean[64];

	if (text == NULL)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	if (exports_rules_parse(text, &rules, why, sizeof(why)) == 0) {
		for (int i = 0; i < 2; i++)
			(void)exports_rules_match(rules, &hosts[i]);
		(void)exports_rules_local_only(rules);
	} else if (rules != NULL) {
		abort();
	}
	exports_rules_free(&rules);
	if (mount3_clean_path(text, clean, sizeof(clean)) == 0 &&
	    (clean[0] != '/' || strstr(clean, "//") != NULL ||
	     strstr(clean, "/../") != NULL))
		abort();
	free(text);
	return 0;
}
