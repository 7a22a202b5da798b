/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bad hour of the store, over the wire: files are made, overwritten, renamed
 * and removed while it refuses, and when it is over all is as if nothing had
 * been.  And what was set aside comes back, by itself and by one command.
 */

#include <config.h>

#include <stdio.h>
#include <string.h>

#include "tests/scenario.h"

#define WRITES "op=put,create,part,partcopy,complete,copy,delete "

/* What clients do meanwhile.  All they need of the bucket is known. */
static void
work(struct scene *s, struct nc_fh *old)
{
	struct nc_fh f = create(&s->a, s, "new");

	OK(put(&s->a, &f, 0, "new text", UNSTABLE));
	OK(commit(&s->a, &f));
	OK(put(&s->b, old, 0, "OLD", UNSTABLE));
	OK(commit(&s->b, old));
	OK(nc_rename(&s->a, &s->root, "from", &s->root, "to"));
	OK(nc_remove(&s->a, &s->root, "gone"));
	OK(nc_rename(&s->a, &s->root, "dir", &s->root, "moved"));
}

static void
names_are_right(struct scene *s)
{
	static const char *const there[] = { "new", "old", "to", "moved" };
	static const char *const gone[] = { "from", "gone", "dir" };

	for (size_t i = 0; i < sizeof(there) / sizeof(*there); i++)
		CHECK(has_name(&s->c, &s->root, there[i]));
	for (size_t i = 0; i < sizeof(gone) / sizeof(*gone); i++)
		CHECK(!has_name(&s->c, &s->root, gone[i]));
}

static bool
bucket_is_right(struct scene *s)
{
	return object_is(s, "new", "new text") && object_is(s, "old", "OLD") &&
	       object_is(s, "to", "from") && object_absent(s, "from") &&
	       object_absent(s, "gone") && object_is(s, "moved/f", "below") &&
	       object_absent(s, "dir/f");
}

/* error: what each request of a kind gets for a while. */
static void
bad_hour(struct scene *s, const char *error)
{
	struct nc_fh old, dir;
	char rules[128];

	object_text(s, "old", "old");
	object_text(s, "from", "from");
	object_text(s, "gone", "gone");
	object_text(s, "dir/f", "below");
	old = look(&s->a, s, "old");
	(void)look(&s->a, s, "from");
	(void)look(&s->a, s, "gone");
	dir = look(&s->a, s, "dir");
	(void)look_in(&s->a, &dir, "f");
	names_in(&s->c, &s->root);
	snprintf(rules, sizeof(rules), WRITES "error=%s", error);
	scene_faults(s, rules);
	work(s, &old);
	WITHIN(5000, scene_calls(s, "put", "new", "end") >= 4 &&
		     scene_calls(s, "delete", "gone", "end") >= 3);
	IS((int)status_number(s, "quarantined"), 0);
	/* Now it answers nothing at all. */
	snprintf(rules, sizeof(rules), "error=%s", error);
	scene_faults(s, rules);
	DURING(1000, status_number(s, "quarantined") == 0);
	scene_faults(s, "");
	names_are_right(s);
	WITHIN(6000, bucket_is_right(s));
	WITHIN(1000, status_number(s, "uploads") == 0);
	names_are_right(s);
	IS((int)status_number(s, "quarantined"), 0);
	IS((int)status_number(s, "refused"), 0);
	IS((int)status_number(s, "conflicts"), 0);
	CHECK(reads(&s->c, &old, "OLD"));
}

static void
denied(struct scene *s)
{
	bad_hour(s, "EACCES");
}

static void
called_wrong(struct scene *s)
{
	bad_hour(s, "EINVAL");
}

static void
not_there(struct scene *s)
{
	bad_hour(s, "ENOTSUP");
}

/* Told once, however many requests. */
static void
keys_rejected(struct scene *s)
{
	bad_hour(s, "EKEYREJECTED");
	IS((int)scene_logged(s, "is refused for the account's sake"), 1);
	IS((int)scene_logged(s, "takes requests again"), 1);
	IS((int)scene_logged(s, "upload failed"), 0);
}

static json_t *
first_of(struct scene *s, const char *list, json_t **status)
{
	*status = ctl(s, "status");
	return json_array_get(json_object_get(*status, list), 0);
}

static bool
tells(struct scene *s, const char *list, const char *key, const char *text)
{
	json_t *status;
	const char *got = json_string_value(json_object_get(
		first_of(s, list, &status), key));
	bool told = got != NULL && strstr(got, text) != NULL;

	json_decref(status);
	return told;
}

static void
told_in_status(struct scene *s)
{
	struct nc_fh f = create(&s->a, s, "f");

	scene_faults(s, "op=put key=f error=EACCES");
	OK(put(&s->a, &f, 0, "text", UNSTABLE));
	OK(commit(&s->a, &f));
	WITHIN(3000, tells(s, "refusals", "error", "AccessDenied"));
	CHECK(tells(s, "refusals", "path", "/f"));
	IS((int)status_number(s, "refused"), 1);
	scene_faults(s, "op=put key=f error=EDQUOT");
	WITHIN(6000, tells(s, "trouble", "error", "QuotaExceeded"));
	IS((int)status_number(s, "refused"), 0);
	/* What reads does not end what keeps others from writing. */
	CHECK(has_name(&s->b, &s->root, "f"));
	CHECK(tells(s, "trouble", "export", "/"));
	scene_faults(s, "");
	WITHIN(10000, object_is(s, "f", "text"));
	/* The object is there before its answer is. */
	WITHIN(3000, !tells(s, "trouble", "export", "/"));
}

static void
set_aside(struct scene *s, const char *name)
{
	struct nc_fh f = make(s, name, "old");

	OK(put(&s->a, &f, 0, "new", UNSTABLE));
	OK(commit(&s->a, &f));
}

static void
all_at_once(struct scene *s)
{
	scene_faults(s, "op=put error=EACCES");
	set_aside(s, "one");
	set_aside(s, "two");
	set_aside(s, "three");
	WITHIN(10000, status_number(s, "quarantined") == 3);
	scene_faults(s, "op=put key=three error=EACCES");
	OK(ctl_status(s, "quarantine retry --all %s/one", s->export));
	CHECK(object_is(s, "one", "new"));
	IS((int)status_number(s, "quarantined"), 2);
	IS(ctl_status(s, "quarantine retry --all"), 1);
	CHECK(object_is(s, "two", "new"));
	IS((int)status_number(s, "quarantined"), 1);
	scene_faults(s, "");
	OK(ctl_status(s, "quarantine retry --all"));
	CHECK(object_is(s, "three", "new"));
	IS((int)status_number(s, "quarantined"), 0);
	OK(ctl_status(s, "quarantine retry --all"));
	IS(ctl_status(s, "quarantine retry --all one"), 2);
}

static void
by_itself(struct scene *s)
{
	scene_faults(s, "op=put key=f error=EACCES");
	set_aside(s, "f");
	WITHIN(10000, status_number(s, "quarantined") == 1);
	scene_faults(s, "");
	WITHIN(5000, status_number(s, "quarantined") == 0);
	CHECK(object_is(s, "f", "new"));
	WITHIN(1000, scene_logged(s, "what S3 had refused is in the bucket") ==
			     1);
}

/* Nobody said that it is whole. */
static void
half_of_it(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old");

	OK(put(&s->a, &f, 0, "half", UNSTABLE));
	WITHIN(20000, status_number(s, "quarantined") == 1);
	DURING(2500, status_number(s, "quarantined") == 1 &&
		     object_is(s, "f", "old"));
}

/* With on_conflict=overwrite, too: that is for those who write. */
static void
older_ones(struct scene *s)
{
	struct nc_fh f = make(s, "f", "old"), g = make(s, "g", "old");

	scene_faults(s, "op=put error=EACCES");
	OK(put(&s->a, &f, 0, "one", FILE_SYNC));
	WITHIN(10000, status_number(s, "quarantined") == 1);
	SOON(5000, put(&s->b, &f, 0, "two", FILE_SYNC), NFS3_OK);
	WITHIN(10000, status_number(s, "quarantined") == 2);
	OK(put(&s->a, &g, 0, "one", FILE_SYNC));
	WITHIN(10000, status_number(s, "quarantined") == 3);
	object_text(s, "g", "theirs");
	scene_faults(s, "");
	WITHIN(10000, object_is(s, "f", "two") &&
		      status_number(s, "quarantined") == 2);
	DURING(2500, status_number(s, "quarantined") == 2 &&
		     object_is(s, "f", "two") && object_is(s, "g", "theirs"));
}

SCENARIOS(
	{ "r-denied", "403 AccessDenied for a while / names stay, nothing is "
	  "set aside, all is right within seconds", denied,
	  "refuse_grace_ms=600000", false },
	{ "r-wrong", "the same with 400", called_wrong,
	  "refuse_grace_ms=600000", true },
	{ "r-501", "the same with 501", not_there, "refuse_grace_ms=600000",
	  true },
	{ "r-keys", "the same with keys that are refused / and it is told "
	  "once", keys_rejected, "refuse_grace_ms=600000", false },
	{ "r-status", "an upload is refused, then the bucket is full / status "
	  "says so, and since when", told_in_status,
	  "refuse_grace_ms=600000", false },
	{ "r-all", "retry --all [PATH] / what can is in the bucket, the others "
	  "are told", all_at_once, NULL, false },
	{ "r-again", "what was set aside is tried again by itself", by_itself,
	  "quarantine_retry_ms=700", false },
	{ "r-half", "abandon=quarantine / what a silent writer left is not",
	  half_of_it, "quarantine_retry_ms=700 lease_ms=1000 "
	  "abandon=quarantine idle_flush_ms=0 idle_visible_ms=0", false },
	{ "r-older", "nor is a version before a newer one, nor over theirs",
	  older_ones, "quarantine_retry_ms=700 on_conflict=overwrite", false })
