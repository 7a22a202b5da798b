/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The answer to `status`: what the gate counts, what waits because its export
 * is not served, and what the transport has.
 */

#include <config.h>

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "nfsd/ctl_priv.h"
#include "nfsd/log.h"
#include "nfsd/mount3.h"
#include "nfsd/rpc/rpc.h"

#define REFUSALS_MAX 16		/* that are told */

static json_t *
exports_json(struct exports *exports)
{
	json_t *list = json_array();
	struct exports_entry *entry = NULL;

	while ((entry = exports_next(exports, entry)) != NULL)
		json_array_append_new(list,
				      ctl_text_json(exports_entry_name(entry)));
	return list;
}

static int
add_move(void *arg, const struct gate_dirmove_info *m)
{
	char text[5000];

	snprintf(text, sizeof(text), "%s (%s: %llu of %llu objects left%s%s)",
		 m->path, strcmp(m->phase, "LISTING") == 0 ? "listing"
							   : "moving",
		 (unsigned long long)m->objects_left,
		 (unsigned long long)m->objects, m->error[0] ? "; " : "",
		 m->error);
	json_array_append_new(arg, json_pack(
		"{s:o, s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o}",
		"path", ctl_text_json(m->path),
		"source", ctl_text_json(m->source),
		"phase", m->phase, "objects", (json_int_t)m->objects,
		"objects_left", (json_int_t)m->objects_left,
		"bytes", (json_int_t)m->bytes,
		"bytes_left", (json_int_t)m->bytes_left,
		"failures", (json_int_t)m->failures,
		"age_ms", (json_int_t)m->age_ms,
		"error", ctl_text_json(m->error), "text", ctl_text_json(text)));
	return 0;
}

/* Renamed directories whose objects follow. */
static json_t *
moves_json(struct gate *gate)
{
	json_t *list = json_array();

	if (gate_each_dirmove(gate, add_move, list) < 0)
		log_warn("ctl", "the list of renamed directories is "
			 "incomplete");
	return list;
}

static int
add_trouble(void *arg, const struct gate_trouble_info *t)
{
	char text[1024], since[32] = "";
	time_t seconds = (time_t)(t->since_ns / 1000000000);
	struct tm tm;

	if (gmtime_r(&seconds, &tm) != NULL)
		strftime(since, sizeof(since), "%Y-%m-%dT%H:%M:%SZ", &tm);
	snprintf(text, sizeof(text), "%.255s (since %s, %llu requests: %s)",
		 t->name, since, (unsigned long long)t->refused, t->error);
	json_array_append_new(arg, json_pack(
		"{s:o, s:s, s:I, s:o, s:o}", "export", ctl_text_json(t->name),
		"since", since, "refused", (json_int_t)t->refused,
		"error", ctl_text_json(t->error), "text",
		ctl_text_json(text)));
	return 0;
}

/* Exports whose store refuses keys, clock, quota and the like. */
static json_t *
trouble_json(struct gate *gate)
{
	json_t *list = json_array();

	if (gate_each_trouble(gate, add_trouble, list) < 0)
		log_warn("ctl", "the list of refused accounts is incomplete");
	return list;
}

struct refusals {
	json_t *list;
	unsigned left;		/* that may still be told */
};

static int
add_refusal(void *arg, const struct gate_upload_info *u)
{
	struct refusals *all = arg;
	char text[5000];

	if (u->refusals == 0)
		return 0;
	snprintf(text, sizeof(text), "%s (refused for %llu s, %u times: %s; "
		 "set aside in %llu s if that stays so)", u->path,
		 (unsigned long long)u->refused_ms / 1000, u->refusals,
		 u->error, (unsigned long long)u->grace_ms / 1000);
	json_array_append_new(all->list, json_pack(
		"{s:o, s:i, s:I, s:I, s:o, s:o}",
		"path", ctl_text_json(u->path), "refusals", (int)u->refusals,
		"refused_ms", (json_int_t)u->refused_ms,
		"grace_ms", (json_int_t)u->grace_ms,
		"error", ctl_text_json(u->error), "text",
		ctl_text_json(text)));
	return --all->left == 0;
}

/* Some of the uploads that S3 says no to, and wait. */
static json_t *
refusals_json(struct gate *gate)
{
	struct refusals all = { json_array(), REFUSALS_MAX };

	if (gate_each_upload(gate, add_refusal, &all) < 0)
		log_warn("ctl", "the list of refused uploads is incomplete");
	return all.list;
}

/* Of struct gate_status, in the order in which they are told. */
static const struct {
	const char *name;
	size_t at;
} gate_counters[] = {
#define COUNTER(field) { #field, offsetof(struct gate_status, field) }
	COUNTER(staged_bytes),
	COUNTER(clean_bytes),
	COUNTER(cache_size),
	COUNTER(handles_active),
	COUNTER(handles_pending),
	COUNTER(uploads),
	COUNTER(refused),
	COUNTER(quarantined),
	COUNTER(conflicts),
	COUNTER(extras_lost),
	COUNTER(deletes),
	COUNTER(deletes_failing),
	COUNTER(nodes),
	COUNTER(open_files),
	COUNTER(max_files),
	COUNTER(names),
	COUNTER(max_names),
	COUNTER(names_forgotten),
	COUNTER(database_bytes),
	COUNTER(state_lost),
	COUNTER(unordered),
	COUNTER(held_requests),
	COUNTER(invariant_failures),
	COUNTER(idle_shown),
	COUNTER(idle_flushed),
#undef COUNTER
};

/* Adds to the object; NULL stays NULL. */
static json_t *
add_counters(json_t *object, const struct gate_status *s)
{
	for (size_t i = 0; i < sizeof(gate_counters) / sizeof(*gate_counters);
	     i++) {
		uint64_t value;

		memcpy(&value, (const char *)s + gate_counters[i].at,
		       sizeof(value));
		if (json_object_set_new(object, gate_counters[i].name,
					json_integer((json_int_t)value)) < 0) {
			json_decref(object);
			return NULL;
		}
	}
	return object;
}

/* Each value beside its name, in the order in which they are told. */
static json_t *
status_json(const struct ctl *ctl, const struct rpc_stats *rpc)
{
	const struct ctl_config *config = &ctl->config;
	const struct {
		const char *name;
		json_t *value;
	} told[] = {
		{"version", json_string(PACKAGE_VERSION)},
		{"pid", json_integer(getpid())},
		{"uptime_ms", json_integer((json_int_t)
					   (ctl_now_ms() - ctl->started_ms))},
		{"exports", exports_json(config->exports)},
		{"trouble", trouble_json(config->gate)},
		{"refusals", refusals_json(config->gate)},
		{"credentials", ctl_keys(config)},
		{"moves", moves_json(config->gate)},
		{"absent", ctl_absent(config->gate)},
		{"away", ctl_away(config->gate)},
		{"connections", json_integer(rpc->connections)},
		{"in_flight", json_integer(rpc->in_flight)},
		{"held", json_integer(rpc->held)},
		{"workers_busy", json_integer(rpc->workers_busy)},
		{"calls", json_integer((json_int_t)rpc->calls)},
		{"replayed", json_integer((json_int_t)rpc->replayed)},
		{"garbage", json_integer((json_int_t)rpc->garbage)},
		{"denied", json_integer((json_int_t)rpc->denied)},
		{"mounts", json_integer((json_int_t)
					mount3_count(config->mounts))},
		{"far_busy", json_integer(rpc->far_busy)},
		{"dropped_duplicates", json_integer((json_int_t)
						    rpc->dropped_duplicates)},
	};
	json_t *object = json_object();
	bool whole = true;

	for (size_t i = 0; i < sizeof(told) / sizeof(*told); i++)
		whole &= json_object_set_new(object, told[i].name,
					     told[i].value) == 0;
	if (whole)
		return object;
	json_decref(object);
	return NULL;
}

void
ctl_status(struct connection *c)
{
	const struct ctl_config *config = &c->ctl->config;
	struct gate_status s = {0};
	struct rpc_stats rpc = {0};

	gate_status(config->gate, &s);
	if (config->rpc != NULL)
		rpc_server_stats(config->rpc, &rpc);
	ctl_answer(c, 0, add_counters(status_json(c->ctl, &rpc),
				    &s));
}
