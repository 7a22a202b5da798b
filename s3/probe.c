/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What does this store honour?  A handful of requests on two scratch keys,
 * each made so that a store which ignores the condition does no harm: a
 * condition counts as honoured only if one that cannot hold was seen refused
 * and one that holds was seen to pass.  The scratch keys and the upload are
 * removed at the end, whatever happened, or later, by sweep.c.  If the store
 * was in trouble amid it, nothing is learnt, and the owner asks again.
 *
 * radosgw 16 takes If-Match only without quotes; that is tried when the
 * quoted form refuses a good ETag.  AWS copies a part from a range only if
 * the source is larger than 5 MiB, others only a range of that length, so
 * where a small source is refused a larger one is tried.
 */
#include <config.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "s3/remote.h"

#define STALE "00000000000000000000000000000000"
#define SMALL 16
#define TROUBLES_MAX 3

struct probe {
	struct s3_remote *r;
	char key[S3_KEY_MAX + 1];
	char other[S3_KEY_MAX + 1];
	char etag[S3_ETAG_MAX];	/* of key */
	uint64_t len;
	char *upload_id;
	unsigned caps, mangled;
	int trouble;		/* of the store, or of ours with it */
};

static ssize_t
read_filler(void *arg, uint64_t off, void *buf, size_t len)
{
	(void)arg;
	(void)off;
	memset(buf, 's', len);
	return (ssize_t)len;
}

/* One PUT of key with one extra header; *etag on success. */
static int
put(struct probe *p, const char *key, const char *name, const char *value,
    char etag[S3_ETAG_MAX], struct s3_error *err)
{
	const struct s3_source body = { .len = p->len, .read = read_filler };
	CLEANUP_CALL struct s3_call call = {
		.method = "PUT", .key = key, .body = &body,
	};
	CLEANUP_REPLY struct s3_reply reply = {0};
	const char *tag;
	int r = s3_call_options(p->r, &call, true);

	if (r == 0 && name != NULL)
		r = s3_call_header(&call, name, value);
	if (r == 0)
		r = s3_request(p->r, &call, &reply, err);
	tag = r == 0 ? s3_reply_get(&reply, "etag") : NULL;
	if (r == 0 && (tag == NULL || s3_etag_copy(tag, etag) < 0))
		r = -EBADMSG;
	return r;
}

/* An answer that is no answer: what it was to tell stays unknown. */
static int
heard(struct probe *p, int r)
{
	if (r == -EAGAIN || r == -EKEYREJECTED || r == -EDQUOT ||
	    r == -ENODEV)
		p->trouble = r;
	return r;
}

static bool
refused(struct probe *p, int r)
{
	return heard(p, r) == -ESTALE || r == -EEXIST;
}

static bool
passed(struct probe *p, int r)
{
	return heard(p, r) == 0;
}

static void
probe_put(struct probe *p)
{
	char quoted[S3_ETAG_MAX + 2], etag[S3_ETAG_MAX];
	struct s3_error e;

	if (refused(p, put(p, p->key, "if-none-match", "*", etag, &e)))
		p->caps |= S3_CAP_PUT_NONE;
	if (!refused(p, put(p, p->key, "if-match", "\"" STALE "\"", etag, &e)))
		return;
	snprintf(quoted, sizeof(quoted), "\"%s\"", p->etag);
	if (passed(p, put(p, p->key, "if-match", quoted, p->etag, &e))) {
		p->caps |= S3_CAP_PUT_MATCH;
		return;
	}
	if (refused(p, put(p, p->key, "if-match", STALE, etag, &e)) &&
	    passed(p, put(p, p->key, "if-match", p->etag, p->etag, &e)))
		p->caps |= S3_CAP_PUT_MATCH | S3_CAP_UNQUOTED;
}

/* x-amz-checksum-crc32c of something else: AAAAAA== is that of nothing. */
static void
probe_checksum(struct probe *p)
{
	char etag[S3_ETAG_MAX];
	struct s3_error e;
	int r = put(p, p->other, "x-amz-checksum-crc32c", "AAAAAA==", etag,
		    &e);

	if (heard(p, r) == -EBADMSG || r == -EINVAL)
		p->caps |= S3_CAP_CHECKSUMS;
}

static int
copy(struct probe *p, const char *name, const char *value)
{
	CLEANUP_CALL struct s3_call call = {
		.method = "PUT", .key = p->other, .error_in_200 = true,
	};
	CLEANUP_REPLY struct s3_reply reply = {0};
	CLEANUP_BUF struct s3_buf source = {0};
	struct s3_error e;
	int r = s3_call_options(p->r, &call, true);

	s3_place_source(p->r, &source);
	s3_buf_uri(&source, p->key, true);
	if (source.failed)
		return source.failed;
	if (r == 0)
		r = s3_call_header(&call, "x-amz-copy-source", source.data);
	if (r == 0)
		r = s3_call_header(&call, name, value);
	return r == 0 ? s3_request(p->r, &call, &reply, &e) : r;
}

static void
probe_copy(struct probe *p)
{
	char quoted[S3_ETAG_MAX + 2];

	snprintf(quoted, sizeof(quoted), "\"%s\"", p->etag);
	if (refused(p, copy(p, "x-amz-copy-source-if-match",
			 "\"" STALE "\"")) &&
	    passed(p, copy(p, "x-amz-copy-source-if-match", quoted)))
		p->caps |= S3_CAP_COPY_SOURCE;
	/* other exists by now, or is made by the first of these. */
	if (passed(p, copy(p, "x-amz-metadata-directive", "COPY")) &&
	    refused(p, copy(p, "if-none-match", "*")) &&
	    refused(p, copy(p, "if-match", "\"" STALE "\"")))
		p->caps |= S3_CAP_COPY_DEST;
}

static void
probe_delete(struct probe *p)
{
	CLEANUP_CALL struct s3_call call = {
		.method = "DELETE", .key = p->other,
	};
	CLEANUP_REPLY struct s3_reply reply = {0};
	struct s3_error e;

	if (s3_call_header(&call, "if-match", "\"" STALE "\"") == 0 &&
	    refused(p, s3_request(p->r, &call, &reply, &e)))
		p->caps |= S3_CAP_DELETE;
}

static int
part_copy(struct probe *p, uint64_t len, struct s3_part *part)
{
	struct s3_error e;

	part->number = 1;
	return heard(p, s3_part_copy(p->r, p->key, p->upload_id, 1, p->key,
				     NULL, 0, len, p->caps & S3_CAP_TWICE,
				     part->etag, &e));
}

/* if_match NULL: the key must not exist. */
static int
complete(struct probe *p, const struct s3_part *part, const char *if_match)
{
	const struct s3_cond cond = {
		.if_match = if_match, .if_none_match = if_match == NULL,
	};
	char etag[S3_ETAG_MAX];
	struct s3_error e;

	return s3_complete(p->r, p->key, p->upload_id, part, 1, &cond,
			   S3_CAP_COMPLETE | (p->caps & S3_CAP_UNQUOTED),
			   etag, &e);
}

static void
probe_multipart(struct probe *p)
{
	struct s3_part part = {0};
	const struct s3_source body = { .len = SMALL, .read = read_filler };
	struct s3_error e;
	int r;

	if (!passed(p, s3_remote_upload_create(&p->r->base, p->key, NULL,
					       &p->upload_id, &e)))
		return;
	r = part_copy(p, SMALL / 2, &part);
	if (r == -ENOENT) {
		p->caps |= S3_CAP_TWICE;
		r = part_copy(p, SMALL / 2, &part);
	}
	if (r == -EINVAL) {
		p->len = S3_PART_MIN + 1;
		r = put(p, p->key, NULL, NULL, p->etag, &e);
		if (r == 0)	/* Garage wants a whole part of it */
			r = part_copy(p, S3_PART_MIN, &part);
		p->len = SMALL;
	}
	if (r == 0)
		p->caps |= S3_CAP_PART_COPY;
	else if (!passed(p, s3_remote_upload_part(&p->r->base, p->key,
						  p->upload_id, 1, &body,
						  part.etag, &e)))
		return;
	/* Swift refuses also the one that holds. */
	if (refused(p, complete(p, &part, NULL)) &&
	    refused(p, complete(p, &part, STALE)) &&
	    passed(p, complete(p, &part, p->etag)))
		p->caps |= S3_CAP_COMPLETE;
}

static void
probe_keys(struct probe *p, const char *scratch_prefix, const char *name)
{
	char stem[S3_KEY_MAX + 1];

	snprintf(stem, sizeof(stem), "%s%s-k", scratch_prefix, name);
	heard(p, s3_probe_keys(p->r, stem, &p->mangled));
}

static void
clean_up(struct probe *p)
{
	struct s3_error e;

	if (p->upload_id != NULL)
		(void)!s3_remote_upload_abort(&p->r->base, p->key,
					      p->upload_id, &e);
	free(p->upload_id);
	(void)!s3_remote_delete(&p->r->base, p->key, NULL, &e);
	(void)!s3_remote_delete(&p->r->base, p->other, NULL, &e);
}

static void
tell(const struct probe *p)
{
	static const struct {
		unsigned cap;
		const char *what;
	} caps[] = {
		{ S3_CAP_PUT_NONE, "PUT If-None-Match" },
		{ S3_CAP_PUT_MATCH, "PUT If-Match" },
		{ S3_CAP_COMPLETE, "conditional CompleteMultipartUpload" },
		{ S3_CAP_COPY_SOURCE, "x-amz-copy-source-if-match" },
		{ S3_CAP_DELETE, "DELETE If-Match" },
		{ S3_CAP_PART_COPY, "UploadPartCopy" },
	};
	CLEANUP_BUF struct s3_buf line = {0};
	const struct s3_config *config = &p->r->base.config;

	s3_buf_fmt(&line, "bucket=%s not honoured by this store:",
		   p->r->base.bucket);
	size_t before = line.len;

	for (size_t i = 0; i < sizeof(caps) / sizeof(*caps); i++)
		if (!(p->caps & caps[i].cap))
			s3_buf_fmt(&line, "%s %s", line.len > before ? "," :
				   "", caps[i].what);
	if (config->log != NULL && !line.failed && line.len > before)
		config->log(config->log_arg, S3_LOG_DEBUG, line.data);
}

static void
show(unsigned caps, unsigned mangled, struct s3_caps *out)
{
	*out = (struct s3_caps){
		.put_if_none_match = caps & S3_CAP_PUT_NONE,
		.put_if_match = caps & S3_CAP_PUT_MATCH,
		.put_if_match_unquoted = caps & S3_CAP_UNQUOTED,
		.complete_if_match = caps & S3_CAP_COMPLETE,
		.copy_if_match = caps & S3_CAP_COPY_SOURCE,
		.delete_if_match = caps & S3_CAP_DELETE,
		.part_copy = caps & S3_CAP_PART_COPY,
		.checksums = caps & S3_CAP_CHECKSUMS,
		.mangled = mangled,
	};
}

int
s3_remote_probe(struct s3 *s3, const char *scratch_prefix,
		struct s3_caps *out, struct s3_error *err)
{
	struct probe p = { .r = s3_to_remote(s3), .len = SMALL };
	char name[S3_SCRATCH_DIGITS + 1];
	int r = s3_scratch_name(p.r, name);

	if (r < 0)
		return r;
	/* %41 is 'A' to a store that decodes a source's key once too often. */
	snprintf(p.key, sizeof(p.key), "%s%s%%41", scratch_prefix, name);
	snprintf(p.other, sizeof(p.other), "%s%s-2", scratch_prefix, name);
	r = put(&p, p.key, NULL, NULL, p.etag, err);
	if (r < 0)
		return r == -ENOENT ? -ENODEV : r;
	probe_put(&p);
	probe_checksum(&p);
	probe_copy(&p);
	probe_delete(&p);
	probe_multipart(&p);
	probe_keys(&p, scratch_prefix, name);
	clean_up(&p);
	/* What it was to tell is asked once more, but not for ever: some
	 * answer one of these with 500 all their life. */
	if (p.trouble != 0 && p.r->probes++ < TROUBLES_MAX)
		return s3_error_set(err, p.trouble, "the store was in trouble "
				    "while it was asked what it can do");
	p.caps &= ~p.r->withdrawn;
	p.r->caps = p.caps;
	tell(&p);
	show(p.caps, p.mangled, out);
	return 0;
}
