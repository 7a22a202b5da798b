/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flush and drain: upload now, and wait.  S3 that does not answer or is busy
 * is no reason to end: uploads are tried again, with pauses, and this waits
 * for them, until they are done or S3 has refused them for good, or time is
 * up (FLUSH_MS, or what the request says).  Whoever then powers the machine
 * off should know what is not in the bucket: the answer is an error, and
 * before it comes an item for each file that did not make it.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/ctl_priv.h"
#include "nfsd/log.h"

#define FLUSH_MS 600000		/* s3nfsctl --help names it */
#define FLUSH_SLICE_MS 1000
#define TOLD_MAX 100

struct flushing {
	struct connection *c;
	const char *path;
	bool gone;		/* nobody reads: stop telling */
	uint64_t last_id;	/* of what is in quarantine */
	uint64_t left;		/* that did not make it */
};

static void
progress(void *arg, uint64_t sent, uint64_t total)
{
	struct flushing *f = arg;

	if (!f->gone && ctl_send_line(f->c, json_pack(
			"{s:{s:I, s:I}}", "progress", "sent", (json_int_t)sent,
			"total", (json_int_t)total)) < 0)
		f->gone = true;
}

static int
note_id(void *arg, const struct gate_quarantine_info *info)
{
	struct flushing *f = arg;

	if (info->id > f->last_id)
		f->last_id = info->id;
	return 0;
}

/* As gate_each_left tells it. */
static int
left_item(void *arg, const struct gate_left_info *info)
{
	struct flushing *f = arg;

	if (f->left++ >= TOLD_MAX)
		return 0;
	return ctl_list_item(f->c, json_pack(
		"{s:o, s:s, s:o}", "path", ctl_text_json(info->path), "state",
		info->state, "error", ctl_text_json(info->error)));
}

/* Refused for good since we began. */
static int
refused_item(void *arg, const struct gate_quarantine_info *info)
{
	struct flushing *f = arg;
	struct gate_left_info left = { info->path, "QUARANTINED",
				       info->error };
	size_t len = f->path == NULL ? 0 : strlen(f->path);

	if (info->id <= f->last_id ||
	    (len > 0 && (strncmp(info->path, f->path, len) != 0 ||
			 (info->path[len] != '/' && info->path[len] != '\0'))))
		return 0;
	return left_item(f, &left);
}

/* Tell who did not make it.  r: of the flush. */
static void
flush_end(struct flushing *f, int r)
{
	struct gate *gate = f->c->ctl->config.gate;
	char text[96];
	int e = ctl_list_begin(f->c);

	if (e < 0) {
		ctl_answer(f->c, e, NULL);
		return;
	}
	e = gate_each_quarantined(gate, refused_item, f);
	if (e == 0 && r == -ETIMEDOUT)
		e = gate_each_left(gate, f->path, left_item, f);
	if (r == 0 && f->left > 0)
		r = -EIO;
	if (e < 0 || (r < 0 && r != -ETIMEDOUT && r != -EIO))
		r = e < 0 ? e : r;
	if (r == -ETIMEDOUT)
		snprintf(text, sizeof(text), "time is up, and %llu did not "
			 "make it into the bucket",
			 (unsigned long long)f->left);
	else if (r == -EIO && f->left > 0)
		snprintf(text, sizeof(text), "S3 refused %llu for good; they "
			 "are in quarantine", (unsigned long long)f->left);
	else
		snprintf(text, sizeof(text), "%s", strerror(-r));
	if (r < 0) {
		ctl_list_error(f->c, -r, text);
		return;
	}
	fclose(f->c->list);
	free(f->c->list_bytes);
	ctl_answer(f->c, 0, NULL);
}

/* In slices, so that the daemon's end and the peer's are noticed. */
void
ctl_flush(struct connection *c, const char *path)
{
	json_int_t limit = json_integer_value(json_object_get(c->request,
							      "timeout_ms"));
	uint64_t deadline = ctl_now_ms() +
			    (limit > 0 && limit < INT32_MAX ? (uint64_t)limit :
							      FLUSH_MS);
	struct flushing f = {.c = c, .path = path};
	int r = gate_each_quarantined(c->ctl->config.gate, note_id, &f);

	if (r < 0) {
		ctl_answer(c, r, NULL);
		return;
	}
	r = -ETIMEDOUT;
	do {
		uint64_t now = ctl_now_ms(), left = deadline - now;

		if (now >= deadline)
			break;
		r = gate_flush(c->ctl->config.gate, path,
			       left < FLUSH_SLICE_MS ? left : FLUSH_SLICE_MS,
			       progress, &f);
	} while (r == -ETIMEDOUT && !f.gone && ctl_now_ms() < deadline &&
		 !atomic_load(&c->ctl->stopping));
	flush_end(&f, r);
}

/* All that is staged goes to the buckets; what stays is told. */
void
ctl_drain(struct connection *c)
{
	struct gate_status s = {0};

	ctl_flush(c, NULL);
	gate_status(c->ctl->config.gate, &s);
	if (s.staged_bytes > 0)
		log_warn("ctl", "drained, but staged_bytes=%llu remain",
			 (unsigned long long)s.staged_bytes);
}
