/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A part of `s3nfsctl status`: exports that are not served, and what is kept
 * of them (nfsd/gate/absent.c); those whose bucket is away, and what waits.
 */
#include <config.h>

#include <stdio.h>
#include <time.h>

#include "nfsd/ctl_priv.h"
#include "nfsd/log.h"

static int
add_absent(void *arg, const struct gate_absent_info *a)
{
	char text[512];

	snprintf(text, sizeof(text), "%.255s (%llu files, %llu bytes, "
		 "%llu deletions, %llu moves, %llu in quarantine)",
		 a->name[0] != '\0' ? a->name : "(none)",
		 (unsigned long long)a->files, (unsigned long long)a->bytes,
		 (unsigned long long)a->deletions,
		 (unsigned long long)a->moves,
		 (unsigned long long)a->quarantined);
	json_array_append_new(arg, json_pack(
		"{s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}",
		"export", ctl_text_json(a->name),
		"files", (json_int_t)a->files,
		"bytes", (json_int_t)a->bytes,
		"deletions", (json_int_t)a->deletions,
		"moves", (json_int_t)a->moves,
		"quarantined", (json_int_t)a->quarantined,
		"indoubt", (json_int_t)a->indoubt,
		/* Its older name, for scripts: until the next version. */
		"unanswered", (json_int_t)a->indoubt,
		"text", ctl_text_json(text)));
	return 0;
}

json_t *
ctl_absent(struct gate *gate)
{
	json_t *list = json_array();

	if (gate_each_absent(gate, add_absent, list) < 0)
		log_warn("ctl", "the list of exports that are not served is "
			 "incomplete");
	return list;
}

static void
add_away(void *arg, const struct gate_away_info *a)
{
	int64_t age_ms, now_ns;
	struct timespec now;
	char text[640];

	clock_gettime(CLOCK_REALTIME, &now);
	now_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
	age_ms = now_ns > a->since_ns ? (now_ns - a->since_ns) / 1000000 : 0;
	snprintf(text, sizeof(text), "%.255s (for %lld s: %.255s; %llu files "
		 "and %llu deletions wait)", a->name,
		 (long long)age_ms / 1000, a->why,
		 (unsigned long long)a->files,
		 (unsigned long long)a->deletions);
	json_array_append_new(arg, json_pack(
		"{s:o, s:I, s:I, s:o, s:I, s:I, s:o}",
		"export", ctl_text_json(a->name),
		"since", (json_int_t)(a->since_ns / 1000000000),
		"age_ms", (json_int_t)age_ms,
		"why", ctl_text_json(a->why),
		"files", (json_int_t)a->files,
		"deletions", (json_int_t)a->deletions,
		"text", ctl_text_json(text)));
}

json_t *
ctl_away(struct gate *gate)
{
	json_t *list = json_array();

	gate_each_away(gate, add_away, list);
	return list;
}
