/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One HTTP exchange with a source of credentials, within a time of its own
 * and left when nobody wants the keys any more.  No redirects are followed: a
 * key is sent to nobody who was not named.  These are a few small requests an
 * hour, so that each makes its own connection.
 */
#include <config.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "s3/creds.h"

#define LOOK_MS 50		/* how soon the caller's stop is seen */

static size_t
on_answer(char *data, size_t size, size_t count, void *arg)
{
	struct s3_buf *b = arg;

	s3_buf_add(b, data, size * count);
	return b->failed ? 0 : size * count;
}

static struct curl_slist *
header_list(const char *const *headers)
{
	struct curl_slist *list = NULL, *more;

	for (; headers != NULL && *headers != NULL; headers++) {
		more = curl_slist_append(list, *headers);
		if (more == NULL) {
			curl_slist_free_all(list);
			return NULL;
		}
		list = more;
	}
	return list;
}

static void
set_options(CURL *e, const struct s3_http *h, struct curl_slist *headers,
	    struct s3_buf *answer)
{
	curl_easy_setopt(e, CURLOPT_URL, h->url);
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
	if (h->direct)
		curl_easy_setopt(e, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, h->timeout_ms);
	curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, h->timeout_ms);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_answer);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, answer);
	if (h->ca_file != NULL)
		curl_easy_setopt(e, CURLOPT_CAINFO, h->ca_file);
	if (h->form != NULL)
		curl_easy_setopt(e, CURLOPT_POSTFIELDS, h->form);
	if (h->method != NULL)
		curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, h->method);
	curl_easy_setopt(e, CURLOPT_HTTPHEADER, headers);
}

/* To its end; CURLE_ABORTED_BY_CALLBACK if the caller stops. */
static CURLcode
run(const struct s3_http *h, CURLM *multi, CURL *e)
{
	CURLMsg *m;
	int running = 1, left;

	if (curl_multi_add_handle(multi, e) != CURLM_OK)
		return CURLE_OUT_OF_MEMORY;
	while (curl_multi_perform(multi, &running) == CURLM_OK &&
	       running != 0) {
		if (h->stopped != NULL && h->stopped(h->arg))
			return CURLE_ABORTED_BY_CALLBACK;
		(void)curl_multi_poll(multi, NULL, 0, LOOK_MS, NULL);
	}
	while ((m = curl_multi_info_read(multi, &left)) != NULL)
		if (m->msg == CURLMSG_DONE)
			return m->data.result;
	return CURLE_OUT_OF_MEMORY;
}

static int
judge(const struct s3_http *h, CURLcode code, const char *detail,
      const struct s3_buf *answer, struct s3_error *err)
{
	int at = (int)strcspn(h->url, "?");

	if (code == CURLE_OK)
		return 0;
	if (code == CURLE_ABORTED_BY_CALLBACK)
		return s3_error_set(err, -ECANCELED, "cancelled");
	if (answer->failed == -EFBIG)
		return s3_error_set(err, -EIO, "%s at %.*s: the answer is too "
				    "long", h->what, at, h->url);
	return s3_error_set(err, code == CURLE_OPERATION_TIMEDOUT ?
			    -ETIMEDOUT : -EIO, "%s at %.*s: %s", h->what, at,
			    h->url, detail[0] != '\0' ? detail :
			    curl_easy_strerror(code));
}

int
s3_http(const struct s3_http *h, struct s3_buf *answer, struct s3_error *err)
{
	CURL *e = curl_easy_init();
	CURLM *multi = curl_multi_init();
	struct curl_slist *headers = header_list(h->headers);
	char detail[CURL_ERROR_SIZE] = "";
	long status = 0;
	int r = -ENOMEM;

	if (e != NULL && multi != NULL &&
	    (headers != NULL || h->headers == NULL)) {
		answer->max = S3_ANSWER_MAX;
		set_options(e, h, headers, answer);
		curl_easy_setopt(e, CURLOPT_ERRORBUFFER, detail);
		r = judge(h, run(h, multi, e), detail, answer, err);
		curl_easy_getinfo(e, CURLINFO_RESPONSE_CODE, &status);
		curl_multi_remove_handle(multi, e);
	}
	curl_easy_cleanup(e);
	curl_multi_cleanup(multi);
	curl_slist_free_all(headers);
	return r < 0 ? r : (int)status;
}
