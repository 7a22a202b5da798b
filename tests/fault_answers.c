/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stores in trouble, and what stands before them, were seen to answer.
 * A name is the status and a word: "empty" has no body, "html" and "text" come
 * from a load balancer or a proxy and bear no number of the request; the rest
 * are S3's error documents.
 */
#include <config.h>
#include "tests/fault_table.h"

#define HTML .type = "text/html", .foreign = true
#define PAGE "<html><head><title>no</title></head><body><h1>no</h1></body>" \
	     "</html>\n"
#define XML "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
#define LATE(code) XML "<Error><Code>" code "</Code></Error>"

const struct s3_server_answer fault_answers[] = {
	{ .name = "400-empty", .status = 400, .foreign = true },
	{ .name = "400-html", .status = 400, .body = PAGE, HTML },
	{ .name = "400-InvalidRequest", .status = 400, .code = "InvalidRequest" },
	{ .name = "400-BadRequest", .status = 400, .code = "BadRequest" },
	{ .name = "400-ExpiredToken", .status = 400, .code = "ExpiredToken" },
	{ .name = "400-MetadataTooLarge", .status = 400, .code = "MetadataTooLarge" },
	{ .name = "400-InvalidStorageClass", .status = 400, .code = "InvalidStorageClass" },
	{ .name = "400-RequestTimeout", .status = 400, .code = "RequestTimeout" },
	{ .name = "400-BucketQuota", .status = 400, .code = "XMinioAdminBucketQuotaExceeded" },
	{ .name = "401-html", .status = 401, .body = PAGE, HTML },
	{ .name = "402-text", .status = 402, .body = "pay\n", .type = "text/plain",
	  .foreign = true },
	{ .name = "403-AccessDenied", .status = 403, .code = "AccessDenied" },
	{ .name = "403-empty", .status = 403, .foreign = true },
	{ .name = "403-html", .status = 403, .body = PAGE, HTML },
	{ .name = "403-InvalidAccessKeyId", .status = 403, .code = "InvalidAccessKeyId" },
	{ .name = "403-SignatureDoesNotMatch", .status = 403, .code = "SignatureDoesNotMatch" },
	{ .name = "403-RequestTimeTooSkewed", .status = 403, .code = "RequestTimeTooSkewed" },
	{ .name = "403-QuotaExceeded", .status = 403, .code = "QuotaExceeded" },
	{ .name = "403-TransactionCapExceeded", .status = 403, .code = "TransactionCapExceeded" },
	{ .name = "403-InvalidObjectState", .status = 403, .code = "InvalidObjectState" },
	{ .name = "404-text", .status = 404, .body = "404 page not found\n",
	  .type = "text/plain", .foreign = true },
	{ .name = "404-html", .status = 404, .body = PAGE, HTML },
	{ .name = "404-NoSuchBucket", .status = 404, .code = "NoSuchBucket" },
	{ .name = "404-NoSuchUpload", .status = 404, .code = "NoSuchUpload" },
	{ .name = "405-MethodNotAllowed", .status = 405, .code = "MethodNotAllowed" },
	{ .name = "407-html", .status = 407, .body = PAGE, HTML },
	{ .name = "301-PermanentRedirect", .status = 301, .code = "PermanentRedirect" },
	{ .name = "302-login", .status = 302, .body = PAGE, HTML,
	  .headers = "Location: http://127.0.0.1:1/login\r\n" },
	{ .name = "307-TemporaryRedirect", .status = 307, .code = "TemporaryRedirect",
	  .headers = "Location: http://127.0.0.1:1/\r\n" },
	{ .name = "409-OperationAborted", .status = 409, .code = "OperationAborted" },
	{ .name = "409-ConditionalConflict", .status = 409, .code = "ConditionalRequestConflict" },
	{ .name = "411-html", .status = 411, .body = PAGE, HTML },
	{ .name = "413-html", .status = 413, .body = PAGE, HTML },
	{ .name = "429-html", .status = 429, .body = PAGE, HTML },
	{ .name = "500-InternalError", .status = 500, .code = "InternalError" },
	{ .name = "501-NotImplemented", .status = 501, .code = "NotImplemented" },
	{ .name = "502-html", .status = 502, .body = PAGE, HTML },
	{ .name = "503-SlowDown", .status = 503, .code = "SlowDown" },
	{ .name = "503-html", .status = 503, .body = PAGE, HTML },
	{ .name = "504-html", .status = 504, .body = PAGE, HTML },
	{ .name = "507-html", .status = 507, .body = PAGE, HTML },
	{ .name = "200-html", .status = 200, .body = PAGE, HTML },
	{ .name = "200-empty", .status = 200, .foreign = true },
	{ .name = "200-InternalError", .status = 200, .body = LATE("InternalError") },
	{ .name = "200-AccessDenied", .status = 200, .body = LATE("AccessDenied") },
	{ .name = "200-SlowDown", .status = 200, .body = LATE("SlowDown") },
	{ .name = "reset", .kind = ANSWER_RESET },
	{ .name = "stall", .kind = ANSWER_STALL },
	{ .name = "cut", .kind = ANSWER_CUT },
	{ .name = "lost", .kind = ANSWER_LOST },
};
const unsigned fault_answer_count =
	sizeof(fault_answers) / sizeof(*fault_answers);

const struct fault_call fault_calls[] = {
	{ "PUT", 1U << CALL_PUT, false },
	{ "GET", 1U << CALL_GET, false },
	{ "HEAD", 1U << CALL_HEAD, false },
	{ "DELETE", 1U << CALL_DELETE, false },
	{ "LIST", 1U << CALL_LIST, false },
	{ "Copy", 1U << CALL_COPY, false },
	{ "Create", 1U << CALL_CREATE, true },
	{ "Part", 1U << CALL_PART, true },
	{ "PartCopy", 1U << CALL_PART_COPY, true },
	{ "Complete", 1U << CALL_COMPLETE, true },
	{ "Abort", 1U << CALL_ABORT, true },
	{ "acl", 1U << CALL_ACL, false },
	{ "tagging", 1U << CALL_TAGGING, false },
	{ "all", CALLS_ALL, true },
};
const unsigned fault_call_count = sizeof(fault_calls) / sizeof(*fault_calls);
