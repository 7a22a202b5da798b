/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The buckets of the daemon and their exports: from settings to what s3 and
 * the gate are told, and one place for all that is done to each of them.
 *
 * A bucket is opened, added to the gate as an export, asked beside the service
 * what it honours (probe.h), and shown to clients, in that order; main.c closes
 * them.  One that cannot be opened, or that could be no bucket, ends the start
 * with one line, and what stands by then is closed by main.c, too.  One that
 * does not answer, or refuses us, is served: it may do later.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/daemon.h"
#include "nfsd/exports.h"
#include "nfsd/gate/gate.h"
#include "nfsd/log.h"
#include "nfsd/probe.h"
#include "nfsd/settings.h"
#include "s3/s3.h"

static void
log_s3(void *arg, enum s3_level level, const char *line)
{
	(void)arg;
	log_line((enum log_level)level, "s3", line);
}

static bool
start_is_stopped(void *arg)
{
	struct daemon *d = arg;

	return atomic_load(&d->stopping);
}

static int
open_bucket(struct daemon *d, const struct settings_export *export,
	    struct s3 **out)
{
	const struct options_s3 *o = export->s3;
	struct s3_config config = {
		.url = export->url, .endpoint = o->endpoint,
		.region = o->region, .profile = o->profile,
		.ca_file = o->ca_file, .client_cert = o->client_cert,
		.client_key = o->client_key, .fips = o->fips,
		.dualstack = o->dualstack, .style = (enum s3_style)o->style,
		.unsigned_payload = o->unsigned_payload,
		.max_requests = (unsigned)o->max_requests,
		.connect_ms = (unsigned)o->connect_ms,
		.stall_ms = (unsigned)o->stall_ms,
		.retry_ms = (unsigned)o->retry_ms, .log = log_s3,
		.ask_later = true, .stopped = start_is_stopped, .log_arg = d,
	};
	struct s3_options options = {
		.storage_class = o->storage_class,
		.sse = strcmp(o->sse, "none") == 0 ? NULL : o->sse,
		.sse_kms_key_id = o->sse_kms_key_id, .acl = o->acl,
		.requester_pays = o->requester_pays,
	};
	struct s3_error err = {0};
	struct s3 *s3 = NULL;
	int r = s3_open(&config, &s3, &err);

	if (r == 0)
		r = s3_set_options(s3, &options);
	if (r == 0) {
		pthread_mutex_lock(&d->lock);
		*out = s3;
		pthread_mutex_unlock(&d->lock);
		return 0;
	}
	s3_close(&s3);
	if (r != -ECANCELED)
		return daemon_fail(r, "%s: %s", export->url,
				   err.message[0] != '\0' ? err.message
							  : strerror(-r));
	return r;
}

static void
fill_export(const struct settings_export *export,
	    struct gate_export_config *out)
{
	const struct options_export *o = &export->options;

	*out = (struct gate_export_config){
		.name = export->name, .prefix = export->prefix,
		.commit_s3 = o->commit_s3, .strict = o->strict,
		.offline_serve = !o->offline_wait,
		.busy = (enum gate_busy)o->busy,
		.reads = (enum gate_reads)o->reads,
		.abandon = (enum gate_abandon)o->abandon,
		.rebind = (enum gate_rebind)o->rebind,
		.on_conflict = (enum gate_conflict)o->on_conflict,
		.metadata = (enum gate_dialect)o->metadata,
		.identity = (enum gate_identity)o->identity,
		.settle_ms = o->settle_ms,
		.create_settle_ms = o->create_settle_ms,
		.supersede_quiet_ms = o->supersede_quiet_ms,
		.hold_ms = o->hold_ms, .busy_limit_ms = o->busy_limit_ms,
		.reserve_ms = o->reserve_ms, .lease_ms = o->lease_ms,
		.attr_ttl_ms = o->attr_ttl_ms,
		.idle_visible_ms = o->idle_visible_ms,
		.idle_flush_ms = o->idle_flush_ms,
		.max_dirty_age_ms = o->max_dirty_age_ms,
		.upload_retry_ms = o->upload_retry_ms,
		.refuse_grace_ms = o->refuse_grace_ms,
		.abort_uploads_ms = o->readonly ? 0 : o->abort_uploads_ms,
		.quarantine_retry_ms = o->readonly ? 0 : o->quarantine_retry_ms,
		.max_handles = o->max_handles, .quota_bytes = o->quota,
		.max_hole = o->max_hole,
		.file_mode = (uint32_t)o->file_mode,
		.dir_mode = (uint32_t)o->dir_mode,
		.top_mode = (uint32_t)o->top_mode, .uid = (uint32_t)o->uid,
		.gid = (uint32_t)o->gid, .part_size = o->part_size,
		.equal_parts = o->equal_parts,
	};
}

int
buckets_rules(const struct settings_export *export, struct exports_rules **out)
{
	char why[128];

	return exports_rules_parse(export->options.clients, out, why,
				   sizeof(why));
}

static int
add_export(struct daemon *d, struct bucket *b)
{
	const struct settings_export *export = b->settings;
	struct gate_export_config config;
	struct exports_rules *rules = NULL;
	char place[3000];
	int r = open_bucket(d, export, &b->s3);

	if (r < 0)
		return r;
	fill_export(export, &config);
	settings_place(export, place, sizeof(place));
	config.place = place;
	r = gate_export_add(d->gate, &config, b->s3, &b->export);
	if (r == 0)
		r = probe_start(export, b->s3, b->export, &b->probe);
	if (r == 0)
		r = buckets_rules(export, &rules);
	if (r == 0 && exports_rules_local_only(rules))
		log_info("exports", "export=%s is for this machine only; other "
			 "hosts are refused until export.clients lists them",
			 export->name);
	if (r == 0)
		r = exports_add(d->exports, export->name, b->export,
				export->options.readonly, &rules);
	exports_rules_free(&rules);
	return r < 0 ? daemon_fail(r, "export %s: %s", export->name,
				   d->why[0] != '\0' ? d->why
						     : strerror(-r)) : 0;
}

int
buckets_open(struct daemon *d)
{
	size_t count = d->settings.export_count;
	int r = exports_new(&d->exports);

	d->buckets = calloc(count, sizeof(*d->buckets));
	if (r < 0 || d->buckets == NULL)
		return daemon_fail(-ENOMEM, "out of memory");
	for (size_t i = 0; r == 0 && i < count; i++) {
		d->buckets[i].settings = &d->settings.exports[i];
		r = add_export(d, &d->buckets[i]);
	}
	return r;
}

int
buckets_await(struct daemon *d, uint64_t until_ms)
{
	for (size_t i = 0; i < d->settings.export_count; i++) {
		char why[400];

		if (probe_wait(d->buckets[i].probe, until_ms, why,
			       sizeof(why)) == PROBE_WRONG)
			return daemon_fail(-EINVAL, "%s: %s",
					   d->buckets[i].settings->url, why);
	}
	return atomic_load(&d->stopping) ? -ECANCELED : 0;
}

void
buckets_cancel(struct daemon *d)
{
	pthread_mutex_lock(&d->lock);
	for (size_t i = 0; d->buckets != NULL &&
	     i < d->settings.export_count; i++) {
		if (d->buckets[i].s3 != NULL)
			s3_cancel(d->buckets[i].s3);
	}
	pthread_mutex_unlock(&d->lock);
}

static int
check_bucket(struct daemon *d, const struct settings_export *export)
{
	char why[400];
	struct s3 *s3 = NULL;
	int r = open_bucket(d, export, &s3);

	if (r < 0)
		return 1;
	r = probe_check(export, s3, why, sizeof(why));
	printf("%s (%s): %s\n", export->name, export->url,
	       r == 0 ? "ok" : why);
	s3_close(&s3);
	return r < 0;
}

int
buckets_check(struct daemon *d)
{
	int worst = 0;

	for (size_t i = 0; i < d->settings.export_count; i++)
		worst |= check_bucket(d, &d->settings.exports[i]);
	return worst;
}
