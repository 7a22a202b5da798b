/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a bucket's requests go: host, port and path.  Addressing is
 *
 *	path style	http://HOST[:PORT][/BASE]/BUCKET/KEY, for an endpoint
 *	virtual		https://BUCKET.s3[-fips][.dualstack].REGION.DOMAIN/KEY,
 *			for AWS
 *	access point	https://NAME-ACCOUNT.s3-accesspoint....REGION.DOMAIN/KEY
 *			for s3://arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME
 *
 * unless the configuration names one of the first two, or the bucket's name
 * has dots and TLS certificates would not fit.
 */
#include <config.h>
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "s3/remote.h"

/* AWS general reference, "Service endpoints", by the partitions' regions. */
const char *
s3_aws_domain(const char *region, bool api)
{
	static const struct { const char *begins, *domain, *api; } all[] = {
		{ "cn-", "amazonaws.com.cn", "api.amazonwebservices.com.cn" },
		{ "us-isob-", "sc2s.sgov.gov", NULL },
		{ "us-isof-", "csp.hci.ic.gov", NULL },
		{ "us-iso-", "c2s.ic.gov", NULL },
		{ "eu-isoe-", "cloud.adc-e.uk", NULL },
		{ "eusc-", "amazonaws.eu", NULL },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		if (strncmp(region, all[i].begins, strlen(all[i].begins)) == 0)
			return api && all[i].api != NULL ? all[i].api :
							   all[i].domain;
	return api ? "api.aws" : "amazonaws.com";
}

bool
s3_aws_wants(const char *variable)
{
	const char *v = getenv(variable);

	return v != NULL && strcasecmp(v, "true") == 0;
}

/* ---- the bucket ---- */

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
is_dns_label(const char *name)
{
	for (const char *p = name; *p != '\0'; p++)
		if (!islower((unsigned char)*p) &&
		    !isdigit((unsigned char)*p) && *p != '-')
			return false;
	return *name != '\0';
}

/*
 * arn:PARTITION:s3:REGION:ACCOUNT:accesspoint/NAME.  The region signs and
 * names the host, whatever else is configured.
 */
static int
parse_arn(struct s3_remote *r, const char *arn, struct s3_error *err)
{
	char partition[32], service[32], region[64], account[32], name[64];
	int used = 0;

	if (sscanf(arn, "arn:%31[a-z-]:%31[a-z0-9-]:%63[a-z0-9-]:%31[0-9]:"
		   "accesspoint%*1[:/]%63[a-z0-9-]%n", partition, service,
		   region, account, name, &used) != 5 || arn[used] != '\0')
		return s3_error_set(err, -EINVAL, "\"%.120s\" is no "
				    "access point that can be used: allowed "
				    "is arn:aws:s3:REGION:ACCOUNT:accesspoint/"
				    "NAME (none of several regions, none of "
				    "Outposts)", arn);
	if (strcmp(service, "s3") != 0)
		return s3_error_set(err, -EINVAL, "\"%.120s\": access points "
				    "of %s cannot be used, only those of s3",
				    arn, service);
	if (asprintf(&r->access_point, "%s-%s", name, account) < 0) {
		r->access_point = NULL;
		return -ENOMEM;
	}
	strcpy(r->region, region);
	return 0;
}

static int
parse_bucket(struct s3_remote *r, const char *url, struct s3_error *err)
{
	const char *name = url + strlen("s3://"), *rest;
	bool arn = strncmp(name, "arn:", 4) == 0;
	size_t len;

	/* The first slash of an access point is its name's. */
	rest = strchr(name, '/');
	if (arn && rest != NULL && rest - name >= 11 &&
	    strncmp(rest - 11, "accesspoint", 11) == 0)
		rest = strchr(rest + 1, '/');
	len = rest != NULL ? (size_t)(rest - name) : strlen(name);
	if (rest != NULL && rest[1] != '\0')
		return s3_error_set(err, -EINVAL, "\"%s\": only a bucket, no "
				    "prefix", url);
	r->base.bucket = strndup(name, len);
	if (r->base.bucket == NULL)
		return -ENOMEM;
	if (arn)
		return parse_arn(r, r->base.bucket, err);
	if (!bucket_ok(r->base.bucket))
		return s3_error_set(err, -EINVAL, "\"%s\" names no bucket",
				    url);
	return 0;
}

/* ---- the endpoint ---- */

/* Bytes of "HOST[:PORT]" or "[V6][:PORT]"; 0: it is none. */
static size_t
host_len(const char *s, bool *is_address)
{
	char v6[INET6_ADDRSTRLEN], v4[INET_ADDRSTRLEN];
	unsigned char binary[16];
	size_t len, digits;

	if (*s == '[') {
		len = strcspn(s + 1, "]");
		if (len >= sizeof(v6) || s[len + 1] != ']')
			return 0;
		memcpy(v6, s + 1, len);
		v6[len] = '\0';
		if (inet_pton(AF_INET6, v6, binary) != 1)
			return 0;
		*is_address = true;
		len += 2;
	} else {
		for (len = 0; isalnum((unsigned char)s[len]) || (s[len] != '\0'
		     && strchr("-._", s[len]) != NULL); len++)
			;
		if (len == 0 || len > 255)
			return 0;
		snprintf(v4, sizeof(v4), "%.*s", (int)len, s);
		*is_address = len < sizeof(v4) &&
			      inet_pton(AF_INET, v4, binary) == 1;
	}
	if (s[len] == ':') {
		digits = strspn(s + len + 1, "0123456789");
		if (digits < 1 || digits > 5)
			return 0;
		len += 1 + digits;
	}
	return len;
}

/* Bytes of a path that needs no encoding, without '/' at its end; -1. */
static ssize_t
path_len(const char *s)
{
	size_t len = 0;

	while (s[len] == '/' || isalnum((unsigned char)s[len]) ||
	       (s[len] != '\0' && strchr("-._~", s[len]) != NULL))
		len++;
	if (s[len] != '\0' || len > 512 || strstr(s, "/../") != NULL ||
	    strstr(s, "//") != NULL)
		return -1;
	while (len > 0 && s[len - 1] == '/')
		len--;
	return (ssize_t)len;
}

/* "http[s]://HOST[:PORT][/PATH]" */
static int
parse_endpoint(struct s3_remote *r, const char *endpoint, bool *is_address,
	       struct s3_error *err)
{
	const char *host;
	size_t len;
	ssize_t path;

	if (strncmp(endpoint, "https://", 8) == 0)
		r->https = true;
	else if (strncmp(endpoint, "http://", 7) != 0)
		return s3_error_set(err, -EINVAL, "endpoint \"%s\": begin "
				    "with http:// or https://", endpoint);
	host = endpoint + (r->https ? 8 : 7);
	len = host_len(host, is_address);
	if (len == 0 || (host[len] != '\0' && host[len] != '/'))
		return s3_error_set(err, -EINVAL, "endpoint \"%s\": after the "
				    "scheme stands HOST, HOST:PORT or "
				    "[IPv6]:PORT, and perhaps a path",
				    endpoint);
	path = path_len(host + len);
	if (path < 0)
		return s3_error_set(err, -EINVAL, "endpoint \"%s\": its path "
				    "may have letters, digits and -._~/",
				    endpoint);
	r->base_path = strndup(host + len, (size_t)path);
	/* The signature covers Host, where the default port must not show. */
	if (r->https && len > 4 && memcmp(host + len - 4, ":443", 4) == 0)
		len -= 4;
	else if (!r->https && len > 3 && memcmp(host + len - 3, ":80", 3) == 0)
		len -= 3;
	r->endpoint_host = strndup(host, len);
	return r->endpoint_host != NULL && r->base_path != NULL ? 0 : -ENOMEM;
}

static const char *
endpoint_of(const struct s3_config *config)
{
	const char *endpoint = config->endpoint;

	if (endpoint == NULL)
		endpoint = getenv("AWS_ENDPOINT_URL_S3");
	if (endpoint == NULL || *endpoint == '\0')
		endpoint = getenv("AWS_ENDPOINT_URL");
	return endpoint != NULL && *endpoint == '\0' ? NULL : endpoint;
}

int
s3_place_set(struct s3_remote *r, const struct s3_config *config,
	     struct s3_error *err)
{
	const char *endpoint = endpoint_of(config);
	bool is_address = false, virtual = config->style == S3_STYLE_VIRTUAL;
	int result = parse_bucket(r, config->url, err);

	if (result == 0 && endpoint != NULL)
		result = parse_endpoint(r, endpoint, &is_address, err);
	if (result < 0)
		return result;
	r->is_aws = endpoint == NULL;
	r->https |= r->is_aws;
	if (r->is_aws) {
		r->base.config.fips |= s3_aws_wants("AWS_USE_FIPS_ENDPOINT");
		r->base.config.dualstack |=
			s3_aws_wants("AWS_USE_DUALSTACK_ENDPOINT");
	}
	if (is_address && (virtual || r->access_point != NULL))
		return s3_error_set(err, -EINVAL, "endpoint \"%s\": an address "
				    "has no hosts below it, as %s needs",
				    endpoint, virtual ? "style = virtual" :
				    "an access point");
	if (r->access_point != NULL && config->style == S3_STYLE_PATH)
		return s3_error_set(err, -EINVAL, "an access point has no "
				    "path style");
	if (!r->is_aws && (config->fips || config->dualstack))
		return s3_error_set(err, -EINVAL, "fips and dualstack choose "
				    "hosts of AWS; with an endpoint they say "
				    "nothing");
	r->path_style = r->access_point == NULL && !virtual &&
		(config->style == S3_STYLE_PATH || !r->is_aws ||
		 !is_dns_label(r->base.bucket));
	return 0;
}

void
s3_place_host(const struct s3_remote *r, const char *region,
	      struct s3_buf *host)
{
	const struct s3_config *c = &r->base.config;

	if (r->access_point != NULL)
		s3_buf_fmt(host, "%s.", r->access_point);
	else if (!r->path_style)
		s3_buf_fmt(host, "%s.", r->base.bucket);
	if (r->is_aws)
		s3_buf_fmt(host, "s3%s%s%s.%s.%s", r->access_point != NULL ?
			   "-accesspoint" : "", c->fips ? "-fips" : "",
			   c->dualstack ? ".dualstack" : "", region,
			   s3_aws_domain(region, false));
	else
		s3_buf_str(host, r->endpoint_host);
}

void
s3_place_path(const struct s3_remote *r, const char *key, struct s3_buf *path)
{
	s3_buf_fmt(path, "%s/", r->base_path != NULL ? r->base_path : "");
	if (r->path_style)
		s3_buf_fmt(path, "%s%s", r->base.bucket, key ? "/" : "");
	if (key != NULL)
		s3_buf_uri(path, key, true);
}

void
s3_place_source(const struct s3_remote *r, struct s3_buf *source)
{
	if (r->access_point != NULL)
		s3_buf_fmt(source, "%s/object/", r->base.bucket);
	else
		s3_buf_fmt(source, "/%s/", r->base.bucket);
}
