/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bucket on an S3 server: what s3_open sets up for it.  Addressing is
 * "path style" (http://HOST/BUCKET/KEY) for a given endpoint and "virtual
 * host style" (https://BUCKET.s3.REGION.amazonaws.com/KEY) for AWS, unless
 * the configuration names one, or the bucket's name has dots and TLS
 * certificates would not fit.
 */
#include <config.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <libxml/parser.h>
#include "s3/remote.h"

static void
remote_close(struct s3 *s3)
{
	struct s3_remote *r = s3_to_remote(s3);

	s3_pool_free(&r->pool);
	s3_creds_close(&r->creds);
	free(r->endpoint_host);
	free(r->ca_file);
	pthread_rwlock_destroy(&r->lock);
	s3_denials_fini(&r->tags_denied);
	s3_denials_fini(&r->acl_denied);
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
int
s3_remote_ping(struct s3 *s3, enum s3_ask ask, const char *prefix,
	       unsigned limit_ms, struct s3_error *err)
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
	s3_call_query(&call, "max-keys", "1");
	result = s3_request(r, &call, &reply, err);
	if (result == 0) {
		result = s3_xml_list(reply.body.data, reply.body.len, &xml);
		s3_xml_list_fini(&xml);
	}
	return result == -ENOENT ? -ENODEV : result;
}

static void
remote_identity(struct s3 *s3, struct s3_identity *out)
{
	s3_creds_tell(s3_to_remote(s3)->creds, out);
}

static const struct s3_ops ops = {
	.close = remote_close,
	.cancel = remote_cancel,
	.clock = remote_clock,
	.identity = remote_identity,
	.probe = s3_remote_probe,
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
	.extras = s3_remote_extras,
	.extras_ensure = s3_remote_extras_ensure,
	.ping = s3_remote_ping,
	.hurry = remote_hurry,
};

/* Old buckets have capitals and underscores, others' even more. */
static bool
bucket_ok(const char *name)
{
	size_t len = strlen(name);

	for (const char *p = name; *p != '\0'; p++)
		if (!isalnum((unsigned char)*p) && strchr("-_.", *p) == NULL)
			return false;
	return len >= 1 && len <= 255 && strcmp(name, ".") != 0 &&
	       strcmp(name, "..") != 0;
}

static bool
bucket_is_dns_label(const char *name)
{
	for (const char *p = name; *p != '\0'; p++)
		if (!islower((unsigned char)*p) &&
		    !isdigit((unsigned char)*p) && *p != '-')
			return false;
	return true;
}

/* "http[s]://HOST[:PORT]" with an optional '/' at the end. */
static int
parse_endpoint(struct s3_remote *r, const char *endpoint,
	       struct s3_error *err)
{
	const char *host;
	size_t len;

	if (strncmp(endpoint, "https://", 8) == 0)
		r->https = true;
	else if (strncmp(endpoint, "http://", 7) != 0)
		return s3_error_set(err, -EINVAL, "endpoint \"%s\": begin "
				    "with http:// or https://", endpoint);
	host = endpoint + (r->https ? 8 : 7);
	len = strlen(host);
	if (len > 0 && host[len - 1] == '/')
		len--;
	if (len == 0)
		return s3_error_set(err, -EINVAL, "endpoint \"%s\": no host",
				    endpoint);
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)host[i]) &&
		    strchr("-._:[]", host[i]) == NULL)
			return s3_error_set(err, -EINVAL, "endpoint \"%s\": "
					    "only HOST or HOST:PORT may follow "
					    "the scheme", endpoint);
	/* The signature covers Host, where the default port must not show. */
	if (r->https && len > 4 && memcmp(host + len - 4, ":443", 4) == 0)
		len -= 4;
	else if (!r->https && len > 3 && memcmp(host + len - 3, ":80", 3) == 0)
		len -= 3;
	r->endpoint_host = strndup(host, len);
	return r->endpoint_host != NULL ? 0 : -ENOMEM;
}

static int
parse_bucket(struct s3_remote *r, const char *url, struct s3_error *err)
{
	const char *name = url + strlen("s3://");
	size_t len = strcspn(name, "/");

	if (name[len] == '/' && name[len + 1] != '\0')
		return s3_error_set(err, -EINVAL, "\"%s\": only a bucket, no "
				    "prefix", url);
	r->base.bucket = strndup(name, len);
	if (r->base.bucket == NULL)
		return -ENOMEM;
	if (!bucket_ok(r->base.bucket))
		return s3_error_set(err, -EINVAL, "\"%s\" names no bucket",
				    url);
	return 0;
}

static int
set_up(struct s3_remote *r, const struct s3_config *config,
       struct s3_error *err)
{
	const char *endpoint = config->endpoint;
	CLEANUP_FREE char *region = s3_creds_region(config);
	int result = parse_bucket(r, config->url, err);

	if (endpoint == NULL)
		endpoint = getenv("AWS_ENDPOINT_URL_S3");
	if (endpoint == NULL || *endpoint == '\0')
		endpoint = getenv("AWS_ENDPOINT_URL");
	if (endpoint != NULL && *endpoint == '\0')
		endpoint = NULL;
	if (result == 0 && endpoint != NULL)
		result = parse_endpoint(r, endpoint, err);
	if (result < 0)
		return result;
	r->is_aws = endpoint == NULL;
	r->https |= r->is_aws;
	r->path_style = config->style == S3_STYLE_PATH ||
		(config->style == S3_STYLE_AUTO &&
		 (!r->is_aws || !bucket_is_dns_label(r->base.bucket)));
	if (region != NULL && strlen(region) >= sizeof(r->region))
		return s3_error_set(err, -EINVAL, "the region is too long");
	strcpy(r->region, region ? region : "us-east-1");
	if (config->ca_file != NULL &&
	    (r->ca_file = strdup(config->ca_file)) == NULL)
		return -ENOMEM;
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
	result = set_up(r, config, err);
	if (result < 0) {
		remote_close(&r->base);
		return result;
	}
	*out = &r->base;
	return 0;
}
