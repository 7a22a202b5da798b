/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `quarantine retry`, of one entry and of all: after a bad hour of the store
 * there may be thousands, and nobody is to name each.  Of all, those that stay
 * are told, with the reason.
 */
#include <config.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/ctl_priv.h"

#define TOLD_MAX 100

/* What r means for who tries it again. */
static const char *
reason(int r)
{
	switch (r) {
	case -EEXIST:
		return "another object has its name now";
	case -ESTALE:
		return "the object that it is a change of was changed or "
		       "removed since";
	case -EBUSY:
		return "the file is being written, or its object deleted; try "
		       "again when that is done";
	case -ENOTSUP:
		return "nothing tells what file it is";
	case -ENODEV:
		return "its export is not served any more";
	case -EIO:
		return "its bytes cannot be read";
	default:
		return strerror(-r);
	}
}

void
ctl_retry(struct connection *c, uint64_t id)
{
	char why[256], line[512];
	int r = gate_quarantine_retry(c->ctl->config.gate, id, why);

	if (r == 0) {
		ctl_answer(c, 0, NULL);
		return;
	}
	snprintf(line, sizeof(line), "%s%s%s; it is still kept%s", reason(r),
		 why[0] != '\0' ? ": " : "", why,
		 r == -EEXIST || r == -ESTALE || r == -ENOTSUP ?
		 " and can be saved to a file" : "");
	ctl_answer_error(c, -r, line);
}

struct entry {
	uint64_t id;
	char *path;
};

struct entries {
	struct entry *list;
	size_t count, room;
	const char *below;	/* NULL: all */
};

static int
collect(void *arg, const struct gate_quarantine_info *info)
{
	struct entries *all = arg;
	size_t len = all->below == NULL ? 0 : strlen(all->below);

	/* What nothing is known of cannot be tried. */
	if (info->key[0] == '\0' ||
	    (len > 0 && (strncmp(info->path, all->below, len) != 0 ||
			 (info->path[len] != '/' && info->path[len] != '\0'))))
		return 0;
	if (all->count == all->room) {
		size_t room = all->room ? all->room * 2 : 64;
		struct entry *grown = reallocarray(all->list, room,
						   sizeof(*grown));

		if (grown == NULL)
			return -ENOMEM;
		all->list = grown;
		all->room = room;
	}
	all->list[all->count].id = info->id;
	all->list[all->count].path = strdup(info->path);
	return all->list[all->count++].path == NULL ? -ENOMEM : 0;
}

/* r: of a try that failed. */
static int
tell(struct connection *c, const struct entry *e, int r, const char *why)
{
	char text[512];

	snprintf(text, sizeof(text), "%s%s%s", reason(r),
		 why[0] != '\0' ? ": " : "", why);
	return ctl_list_item(c, json_pack(
		"{s:I, s:o, s:s, s:o}", "id", (json_int_t)e->id, "path",
		ctl_text_json(e->path), "state", "QUARANTINED", "error",
		ctl_text_json(text)));
}

static void
retry_each(struct connection *c, const struct entries *all)
{
	size_t left = 0, tried = 0;
	char why[256], text[128];
	int r = 0;

	for (size_t i = 0; i < all->count && r >= 0 &&
	     !atomic_load(&c->ctl->stopping); i++) {
		int one = gate_quarantine_retry(c->ctl->config.gate,
						all->list[i].id, why);

		tried++;
		if (one < 0 && one != -ENOENT && left++ < TOLD_MAX)
			r = tell(c, &all->list[i], one, why);
	}
	left += all->count - tried;
	snprintf(text, sizeof(text), "%zu of %zu are still kept", left,
		 all->count);
	if (r < 0 || left > 0) {
		ctl_list_error(c, r < 0 ? -r : EIO, text);
		return;
	}
	fclose(c->list);
	free(c->list_bytes);
	snprintf(text, sizeof(text),
		 "%zu are in the bucket, and no longer kept", all->count);
	ctl_answer(c, 0, json_pack("{s:I, s:s}", "retried",
				   (json_int_t)all->count, "note", text));
}

void
ctl_retry_all(struct connection *c, const char *path)
{
	struct entries all = { .below = path };
	int r = gate_each_quarantined(c->ctl->config.gate, collect, &all);

	if (r == 0)
		r = ctl_list_begin(c);
	if (r < 0)
		ctl_answer(c, r, NULL);
	else
		retry_each(c, &all);
	for (size_t i = 0; i < all.count; i++)
		free(all.list[i].path);
	free(all.list);
}
