/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose keys the exports use, for `status`: the source, the end, and what went
 * wrong when new ones were asked for.  Never a key.
 */
#include <config.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "nfsd/ctl_priv.h"

static void
time_text(int64_t at_s, char *out, size_t size)
{
	time_t t = (time_t)at_s;
	struct tm tm;

	if (at_s == 0 || gmtime_r(&t, &tm) == NULL)
		out[0] = '\0';
	else
		strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static json_t *
keys_json(const struct ctl_keys *k)
{
	char until[40], text[1024];

	time_text(k->expires_s, until, sizeof(until));
	snprintf(text, sizeof(text), "%s: %s%s%s%s%s%s;", k->export, k->source,
		 k->known ? "" : ", none yet", until[0] != '\0' ? ", until " :
		 "", until, k->error[0] != '\0' ? ", last error: " : "",
		 k->error);
	return json_pack("{s:o, s:o, s:b, s:s, s:o, s:o}",
			 "export", ctl_text_json(k->export),
			 "source", ctl_text_json(k->source), "known", k->known,
			 "expires", until, "error", ctl_text_json(k->error),
			 "text", ctl_text_json(text));
}

json_t *
ctl_keys(const struct ctl_config *config)
{
	json_t *list = json_array();
	struct ctl_keys keys;

	for (size_t i = 0; config->keys != NULL; i++) {
		memset(&keys, 0, sizeof(keys));
		if (!config->keys(config->keys_arg, i, &keys))
			break;
		if (keys.source[0] != '\0')
			json_array_append_new(list, keys_json(&keys));
	}
	return list;
}
