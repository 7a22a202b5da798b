/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bucket on an S3 server: what s3_open sets up for it.
 */
#include <config.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <libxml/parser.h>
#include "s3/remote.h"

#define HEADS_MS 30000		/* 400 to all of them for so long is final */

static void
remote_close(struct s3 *s3)
{
	struct s3_remote *r = s3_to_remote(s3);

	s3_pool_free(&r->pool);
	s3_creds_close(&r->creds);
	free(r->endpoint_host);
	free(r->base_path);
	free(r->access_point);
	free(r->ca_file);
	free(r->client_cert);
	free(r->client_key);
	pthread_rwlock_destroy(&r->lock);
	s3_denials_fini(&r->tags_denied);
	s3_denials_fini(&r->acl_denied);
	s3_denials_fini(&r->heads_denied);
	free(r->base.bucket);
	free(r);
	curl_global_cleanup();
}

static void
remote_cancel(struct s3 *s3)
{
	s3_creds_cancel(s3_to_remote(s3)->creds);
	s3_pool_cancel(s3_to_remote(s3)->pool);
}

static int64_t
remote_clock(struct s3 *s3)
{
	return s3_now_ns() + s3_to_remote(s3)->ahead_s * 1000000000;
}

static void
remote_hurry(struct s3 *s3)
{
	s3_pool_hurry(s3_to_remote(s3)->pool);
}

/* A name that nobody has, or the first of a listing.  That there is none such
 * is an answer. */
static int
ping(struct s3 *s3, enum s3_ask ask, const char *prefix, unsigned limit_ms,
     struct s3_error *err)
{
	struct s3_remote *r = s3_to_remote(s3);
	char key[S3_KEY_MAX + 32];
	CLEANUP_CALL struct s3_call call = {
		.method = ask == S3_ASK_LIST ? "GET" : "HEAD",
		.key = ask == S3_ASK_LIST ? NULL : key,
		.once = true, .limit_ms = limit_ms,
	};
	CLEANUP_REPLY struct s3_reply reply = {0};
	struct s3_xml_list xml = {0};
	int result = s3_call_options(r, &call, false);

	if (result < 0)
		return result;
	snprintf(key, sizeof(key), "%s.s3nfsd-here", prefix);
	if (ask != S3_ASK_LIST) {
		result = s3_request(r, &call, &reply, err);
		return result == -ENOENT ? 0 : result;
	}
	s3_call_query(&call, "list-type", "2");
	s3_call_query(&call, "encoding-type", "url");
	if (*prefix != '\0')
		s3_call_query(&call, "prefix", prefix);
	/* As the gate asks: a policy may allow no other. */
	s3_call_query(&call, "delimiter", "/");
	s3_call_query(&call, "max-keys", "1");
	result = s3_request(r, &call, &reply, err);
	if (result == 0) {
		result = s3_xml_list(reply.body.data, reply.body.len, &xml);
		s3_xml_list_fini(&xml);
		if (result == -EBADMSG)
			s3_error_set(err, 0, "what it answers to a listing "
				     "is none, or not whole");
	}
	return result == -ENOENT ? -ENODEV : result;
}

static void
remote_identity(struct s3 *s3, struct s3_identity *out)
{
	s3_creds_tell(s3_to_remote(s3)->creds, out);
}

/* While bytes come from it, it is there: they fill the line. */
static int
s3_remote_ping(struct s3 *s3, enum s3_ask ask, const char *prefix,
	       unsigned limit_ms, struct s3_error *err)
{
	struct s3_remote *r = s3_to_remote(s3);
	int64_t began_ms = s3_mono_ms();
	int result = ping(s3, ask, prefix, limit_ms, err);

	return result == -EAGAIN && err->http == 0 && r->heard_ms > began_ms ?
	       0 : result;
}

static const struct s3_ops ops = {
	.close = remote_close,
	.cancel = remote_cancel,
	.clock = remote_clock,
	.identity = remote_identity,
	.probe = s3_remote_probe,
	.sweep = s3_remote_sweep,
	.head = s3_remote_head,
	.get = s3_remote_get,
	.put = s3_remote_put,
	.upload_create = s3_remote_upload_create,
	.upload_part = s3_remote_upload_part,
	.upload_part_copy = s3_remote_upload_part_copy,
	.upload_complete = s3_remote_upload_complete,
	.upload_abort = s3_remote_upload_abort,
	.upload_parts = s3_remote_upload_parts,
	.upload_list = s3_remote_upload_list,
	.copy = s3_remote_copy,
	.del = s3_remote_delete,
	.list_page = s3_remote_list_page,
	.restore = s3_remote_restore,
	.extras = s3_remote_extras,
	.extras_ensure = s3_remote_extras_ensure,
	.ping = s3_remote_ping,
	.hurry = remote_hurry,
};

/* One that cannot be read would be found out request by request. */
static int
check_file(const char *what, const char *path, struct s3_error *err)
{
	if (path == NULL || access(path, R_OK) == 0)
		return 0;
	return s3_error_set(err, -EINVAL, "%s %s: %s", what, path,
			    strerror(errno));
}

static bool
copy_text(const char *from, char **to)
{
	*to = from != NULL ? strdup(from) : NULL;
	return from == NULL || *to != NULL;
}

/* Whom we trust, and who we are to servers that ask. */
static int
set_certificates(struct s3_remote *r, const struct s3_config *config,
		 struct s3_error *err)
{
	int result;

	r->ca_file = s3_creds_ca_file(config);
	if (!copy_text(config->client_cert, &r->client_cert) ||
	    !copy_text(config->client_key, &r->client_key))
		return -ENOMEM;
	if (r->client_key != NULL && r->client_cert == NULL)
		return s3_error_set(err, -EINVAL, "client_key goes with "
				    "client_cert");
	result = check_file("ca_file", r->ca_file, err);
	if (result == 0)
		result = check_file("client_cert", r->client_cert, err);
	if (result == 0)
		result = check_file("client_key", r->client_key, err);
	return result;
}

static int
set_up(struct s3_remote *r, const struct s3_config *config,
       struct s3_error *err)
{
	CLEANUP_FREE char *region = s3_creds_region(config);
	int result = s3_place_set(r, config, err);

	if (result < 0)
		return result;
	if (region != NULL && strlen(region) >= sizeof(r->region))
		return s3_error_set(err, -EINVAL, "the region is too long");
	if (r->region[0] == '\0')
		strcpy(r->region, region ? region : "us-east-1");
	result = set_certificates(r, config, err);
	if (result == 0)
		result = s3_creds_open(config, &r->creds, err);
	if (result == 0)
		result = s3_pool_new(r->base.config.max_requests,
				     r->base.config.stall_ms, &r->pool);
	return result;
}

/* config has its defaults filled in by s3_open. */
int
s3_remote_open(const struct s3_config *config, struct s3 **out,
	       struct s3_error *err)
{
	struct s3_remote *r = calloc(1, sizeof(*r));
	int result;

	if (r == NULL)
		return -ENOMEM;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		free(r);
		return -ENOMEM;
	}
	xmlInitParser();
	r->base.ops = &ops;
	r->base.config = *config;
	pthread_rwlock_init(&r->lock, NULL);
	s3_denials_init(&r->tags_denied, config->courtesy_ms);
	s3_denials_init(&r->acl_denied, config->courtesy_ms);
	s3_denials_init(&r->heads_denied, HEADS_MS);
	result = set_up(r, config, err);
	if (result < 0) {
		remote_close(&r->base);
		return result;
	}
	*out = &r->base;
	return 0;
}
