/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An answer: its headers, as they come in line by line, and what it means.
 *
 * A status of 300 and above is what error.c makes of it and of the document
 * that came with it, and a 2xx whose root is <Error> the same.  Who speaks is
 * told by that document, or by the number that a store gives each request:
 * the page of a proxy has neither, and is no answer of the store's.
 *
 * Lines that are no headers are left out.  More of them than S3_HEADERS_MAX, or
 * no memory, is kept in headers.failed, and ends the transfer (request.c).
 */
#include <config.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "s3/remote.h"

void
s3_reply_fini(struct s3_reply *reply)
{
	s3_buf_fini(&reply->headers);
	s3_buf_fini(&reply->body);
}

void
s3_reply_reset(struct s3_reply *reply)
{
	s3_buf_reset(&reply->headers);
	s3_buf_reset(&reply->body);
	reply->headers.max = S3_HEADERS_MAX;
	reply->http = 0;
	reply->received = 0;
}

const char *
s3_reply_get(const struct s3_reply *reply, const char *name)
{
	const char *p = reply->headers.data;
	const char *end = p + reply->headers.len;

	while (p != NULL && p < end) {
		const char *value = p + strlen(p) + 1;

		if (strcmp(p, name) == 0)
			return value;
		p = value + strlen(value) + 1;
	}
	return NULL;
}

void
s3_reply_line(struct s3_reply *reply, const char *line, size_t len)
{
	const char *colon, *v, *end = line + len;
	size_t start = reply->headers.len;

	while (end > line && isspace((unsigned char)end[-1]))
		end--;
	if (end - line >= 9 && memcmp(line, "HTTP/", 5) == 0) {
		s3_buf_reset(&reply->headers);	/* after a 100 Continue */
		return;
	}
	colon = memchr(line, ':', (size_t)(end - line));
	if (colon == NULL || colon == line ||
	    memchr(line, '\0', (size_t)(end - line)) != NULL)
		return;
	for (v = colon + 1; v < end && isspace((unsigned char)*v); v++)
		;
	s3_buf_add(&reply->headers, line, (size_t)(colon - line));
	s3_buf_add(&reply->headers, "", 1);
	s3_buf_add(&reply->headers, v, (size_t)(end - v));
	s3_buf_add(&reply->headers, "", 1);
	if (reply->headers.failed)
		return;
	for (char *p = reply->headers.data + start; *p != '\0'; p++)
		*p = (char)tolower((unsigned char)*p);
}

static void
copy_text(char *to, size_t size, const char *from)
{
	if (from != NULL && to[0] == '\0')
		snprintf(to, size, "%s", from);
}

const char *
s3_reply_number(const struct s3_reply *reply)
{
	static const char *const names[] = {
		"x-amz-request-id", "x-amz-id-2", "x-amzn-requestid",
		"x-trans-id", "x-guploader-uploadid",
	};
	const char *id = NULL;

	for (size_t i = 0; id == NULL &&
	     i < sizeof(names) / sizeof(*names); i++)
		id = s3_reply_get(reply, names[i]);
	return id;
}

enum s3_voice
s3_reply_voice(const struct s3_remote *r, const struct s3_call *call,
	       const struct s3_reply *reply, bool document)
{
	if (document)
		return S3_VOICE_S3;
	if (r->numbers.borne && s3_reply_number(reply) == NULL)
		return S3_VOICE_OTHER;
	if (strcmp(call->method, "HEAD") == 0)
		return S3_VOICE_S3;
	return reply->body.len == 0 ? S3_VOICE_MUTE : S3_VOICE_OTHER;
}

static bool
speaks_of_upload(const struct s3_call *call)
{
	for (size_t i = 0; i < call->query_count; i++)
		if (strcmp(call->query[i].name, "uploadId") == 0)
			return true;
	return false;
}

int
s3_reply_judge(const struct s3_remote *r, const struct s3_call *call,
	       const struct s3_reply *reply, struct s3_error *err,
	       char region[64], char endpoint[S3_HOST_MAX])
{
	struct s3_xml_error xml = {0};
	const char *id = s3_reply_number(reply);
	enum s3_voice voice;
	bool good = reply->http >= 200 && reply->http < 300;
	bool is_error;
	int status = reply->http;

	err->http = reply->http;
	copy_text(err->request_id, sizeof(err->request_id), id);
	if (good && !call->error_in_200)
		return 0;
	is_error = reply->body.len > 0 &&
		   s3_xml_error(reply->body.data, reply->body.len, &xml) == 0;
	if (good && !is_error)
		return 0;
	voice = s3_reply_voice(r, call, reply, is_error && xml.code[0] != '\0');
	if (good)
		status = 500;	/* an error that came too late for a status */
	copy_text(region, 64, s3_reply_get(reply, "x-amz-bucket-region"));
	copy_text(region, 64, xml.region);
	copy_text(endpoint, S3_HOST_MAX, xml.endpoint);
	copy_text(err->code, sizeof(err->code), xml.code);
	if (xml.message[0] != '\0')
		s3_error_set(err, 0, "%s", xml.message);
	else
		s3_error_set(err, 0, "HTTP status %d%s", reply->http,
			     voice == S3_VOICE_OTHER && reply->http < 500 ?
			     ", not from S3" : "");
	copy_text(err->request_id, sizeof(err->request_id), xml.request_id);
	if (strcmp(err->code, "NoSuchUpload") == 0 && !speaks_of_upload(call))
		return -EAGAIN;		/* no answer to that question */
	status = s3_errno_said(s3_errno(status, err->code, voice), xml.message);
	/* Who reads fills no account. */
	return status == -EDQUOT && call->method[0] != 'P' ? -EKEYREJECTED
							    : status;
}
