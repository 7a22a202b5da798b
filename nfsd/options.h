/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_OPTIONS_H
#define NFSD_OPTIONS_H

/*
 * options: the one table of all keys of the configuration.  The parser, the
 * defaults, `--help` and the list in s3nfsd.conf(5) come from its rows.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct options_server {
	char *listen, *state_dir;
	bool accept_state;
	int portmap;		/* enum portmap_mode */
	int log_level;		/* enum log_level */
	uint64_t cache_size, memory_size;
	uint64_t transfer_threads, max_nodes, max_names;
	uint64_t shutdown_timeout_ms;
	uint64_t event_threads, workers, workers_per_export;
	uint64_t connections, connections_per_host;
	uint64_t in_flight_per_connection;
	uint64_t buffer_size, reply_cache_size, idle_ms;
};

struct options_s3 {
	char *endpoint, *region, *profile, *ca_file, *client_cert, *client_key;
	int style;		/* enum s3_style */
	bool unsigned_payload, requester_pays, fips, dualstack;
	uint64_t max_requests, connect_ms, stall_ms, retry_ms;
	char *storage_class, *sse, *sse_kms_key_id, *acl;
};

struct options_export {
	char *bucket, *store, *clients;
	bool commit_s3, strict, readonly, equal_parts, offline_wait;
	int busy, reads, abandon, on_conflict, metadata, identity, rebind;
	uint64_t settle_ms, create_settle_ms, supersede_quiet_ms, hold_ms;
	uint64_t busy_limit_ms, reserve_ms, lease_ms, attr_ttl_ms;
	uint64_t store_wait_ms;
	uint64_t idle_visible_ms, idle_flush_ms;
	uint64_t max_dirty_age_ms, upload_retry_ms, refuse_grace_ms;
	uint64_t abort_uploads_ms, quarantine_retry_ms;
	uint64_t max_handles;
	uint64_t quota, max_hole, file_mode, dir_mode, top_mode;
	uint64_t uid, gid, part_size;
};

enum options_section { OPTIONS_SERVER, OPTIONS_S3, OPTIONS_EXPORT };

struct option_row;

/* NULL if there is no such key. */
const struct option_row *options_find(enum options_section section,
				      const char *key);
/* False for a name that is none of "server", "s3", "export". */
bool options_section_parse(const char *name, size_t len,
			   enum options_section *out);

/*
 * Set one field of target (a struct options_*).  -EINVAL for a value that is
 * not allowed, with what is allowed in `why`; -ENOMEM.
 */
int options_set(const struct option_row *row, void *target, const char *value,
		char *why, size_t why_size)
	__attribute__((warn_unused_result));

/* All defaults of a section into a zeroed target.  -ENOMEM. */
int options_defaults(enum options_section section, void *target)
	__attribute__((warn_unused_result));
void options_free(enum options_section section, void *target);

/* The keys for --help, and for the manual as POD =item paragraphs. */
void options_help(FILE *out);
void options_pod(FILE *out, enum options_section section);

#endif
