/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stories that crash.c interrupts, and the steps at which it does.
 */

#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/crash.h"

#define MANY 40U		/* files of a tree, but one */
#define NFS3_NOENT 2
#define NFS3_IO 5
#define NFS3_JUKEBOX 10008

/* ---- what is there before ---- */

int
crash_create(struct world *w, const char *name, struct nc_fh *fh)
{
	return nc_create(&w->r.a, &w->r.root, name, UNCHECKED, NULL, NULL, fh,
			 NULL);
}

static int
prepare_none(struct world *w)
{
	harness_pattern(w->want, w->size, 2);
	w->name = "f";
	w->keys = 2;
	return 0;
}

static int
prepare_new_file(struct world *w)
{
	(void)prepare_none(w);
	return crash_create(w, "f", &w->f);
}

static int
prepare_big(struct world *w)
{
	w->size = CRASH_BIG;
	return prepare_new_file(w);
}

/* f is in the bucket, with other bytes than it will have. */
static int
prepare_stored(struct world *w)
{
	int r;

	(void)prepare_none(w);
	harness_pattern(w->want, w->size, 1);
	r = crash_create(w, "f", &w->f);
	if (r == 0)
		r = harness_write(&w->r.a, &w->f, 0, w->want, w->size);
	if (r == 0)
		r = harness_settled(&w->r, 30000);
	if (r == 0)
		r = nc_getattr(&w->r.a, &w->f, &w->before);
	return r;
}

static int
prepare_big_stored(struct world *w)
{
	w->size = CRASH_BIG;
	return prepare_stored(w);
}

static int
prepare_replace(struct world *w)
{
	int r = prepare_stored(w);

	harness_pattern(w->want, w->size, 2);
	return r != 0 ? r : crash_create(w, "tmp", &w->f);
}

/* Both tmp and f are in the bucket. */
static int
prepare_replace_stored(struct world *w)
{
	int r = prepare_replace(w);

	if (r == 0)
		r = harness_write(&w->r.a, &w->f, 0, w->want, w->size);
	return r != 0 ? r : harness_settled(&w->r, 30000);
}

/* f is in the bucket under two names. */
static int
prepare_linked(struct world *w)
{
	int r = prepare_stored(w);

	if (r == 0)
		r = nc_link(&w->r.a, &w->f, &w->r.root, "g");
	w->keys = 3;
	return r != 0 ? r : harness_settled(&w->r, 30000);
}

static int
prepare_linked_and_more(struct world *w)
{
	struct nc_fh tmp;
	int r = prepare_linked(w);

	if (r == 0)
		r = crash_create(w, "tmp", &tmp);
	if (r == 0)
		r = harness_write(&w->r.a, &tmp, 0, "other", 5);
	return r != 0 ? r : harness_settled(&w->r, 30000);
}

/* One file in a directory that has no object, made by somebody else. */
static int
prepare_one(struct world *w)
{
	char refresh[100], out[4096];
	struct nc_fh d;
	int r = prepare_none(w);

	w->name = "n/f";
	snprintf(refresh, sizeof(refresh), "refresh %s", w->r.export);
	if (harness_put(&w->r, "d/f", w->want, w->size) < 0 ||
	    harness_ctl(&w->r, refresh, out, sizeof(out)) < 0)
		return -1;
	r = nc_lookup(&w->r.a, &w->r.root, "d", &d, NULL);
	return r != 0 ? r : nc_lookup(&w->r.a, &d, "f", &w->f, NULL);
}

/* A tree: what was made here, and what somebody else has put there. */
static int
prepare_tree(struct world *w)
{
	struct nc_fh d, e;
	int r = prepare_none(w);

	w->name = "n/f";
	w->keys = 6 + MANY;
	r = nc_mkdir(&w->r.a, &w->r.root, "d", NULL, &d, NULL);
	if (r == 0)
		r = nc_mkdir(&w->r.a, &d, "e", NULL, &e, NULL);
	if (r == 0)
		r = nc_symlink(&w->r.a, &e, "l", "over/there", NULL);
	if (r == 0)
		r = nc_create(&w->r.a, &d, "f", UNCHECKED, NULL, NULL, &w->f,
			      NULL);
	if (r == 0)
		r = harness_write(&w->r.a, &w->f, 0, w->want, w->size);
	for (unsigned i = 0; r == 0 && i <= MANY; i++) {
		char name[32];

		snprintf(name, sizeof(name), "d/m/%u", i);
		r = harness_put(&w->r, name, name, strlen(name));
	}
	return r;
}

/* ---- what is done ---- */

static int
act_write(struct world *w)
{
	return harness_write(&w->r.a, &w->f, 0, w->want, w->size);
}

static int
act_change(struct world *w)
{
	harness_pattern(w->want + w->size / 2, 4096, 7);
	return harness_write(&w->r.a, &w->f, w->size / 2, w->want + w->size / 2,
			     4096);
}

/* Small stable writes: their bytes go through the database. */
static int
act_stable(struct world *w)
{
	w->size = 3 * 4096;
	for (unsigned i = 0; i < 3; i++) {
		int r = nc_write(&w->r.a, &w->f, i * 4096, w->want + i * 4096,
				 4096, FILE_SYNC, NULL);

		if (r != 0)
			return r;
	}
	return 0;
}

static int
act_create(struct world *w)
{
	w->size = 0;
	return nc_create(&w->r.a, &w->r.root, "f", GUARDED, NULL, NULL, &w->f,
			 NULL);
}

static int
act_mkdir(struct world *w)
{
	w->name = NULL;
	return nc_mkdir(&w->r.a, &w->r.root, "d", NULL, &w->f, NULL);
}

static int
act_truncate(struct world *w)
{
	w->size = CRASH_SMALL / 3;
	return nc_truncate(&w->r.a, &w->f, w->size);
}

static int
act_setattr(struct world *w)
{
	struct nc_set set = { .mode_set = true, .mode = 0600,
			      .guard = &w->before.ctime };

	return nc_setattr(&w->r.a, &w->f, &set, NULL);
}

static int
act_rename(struct world *w)
{
	w->name = "g";
	return nc_rename(&w->r.a, &w->r.root, "f", &w->r.root, "g");
}

static int
act_rename_dir(struct world *w)
{
	return nc_rename(&w->r.a, &w->r.root, "d", &w->r.root, "n");
}

/* Everything is under the new name, and nothing under the old one. */
static int
after_rename_tree(struct world *w)
{
	struct nc_fh n, m, e, l;
	char target[2000];
	int r = nc_lookup(&w->r.b, &w->r.root, "d", NULL, NULL);

	if (r != NFS3_NOENT)
		return harness_bad(&w->r, "the old name is there: %d", r);
	r = nc_lookup(&w->r.b, &w->r.root, "n", &n, NULL);
	if (r == 0)
		r = nc_lookup(&w->r.b, &n, "m", &m, NULL);
	for (unsigned i = 0; r == 0 && i <= MANY; i++) {
		char name[32], text[32];
		struct nc_fh f;

		snprintf(name, sizeof(name), "%u", i);
		snprintf(text, sizeof(text), "d/m/%u", i);
		r = nc_lookup(&w->r.b, &m, name, &f, NULL);
		if (r == 0)
			r = harness_file_is(&w->r.b, &f, text, strlen(text));
		snprintf(name, sizeof(name), "n/m/%u", i);
		if (r == 0)
			r = harness_object_is(&w->r, name, text, strlen(text));
	}
	if (r == 0)
		r = nc_lookup(&w->r.b, &n, "e", &e, NULL);
	if (r == 0)
		r = nc_lookup(&w->r.b, &e, "l", &l, NULL);
	if (r == 0)
		r = nc_readlink(&w->r.b, &l, target);
	if (r == 0 && strcmp(target, "over/there") != 0)
		return harness_bad(&w->r, "the link leads to %s", target);
	return r == 0 ? 0 : harness_bad(&w->r, "the tree is not whole: %d", r);
}

static int
act_replace(struct world *w)
{
	int r = w->acked ? 0
			 : harness_write(&w->r.a, &w->f, 0, w->want, w->size);

	w->r.a.next_xid = CRASH_XID + 1000;
	return r != 0 ? r
		      : nc_rename(&w->r.a, &w->r.root, "tmp", &w->r.root,
				  "f");
}

static int
act_replace_stored(struct world *w)
{
	return nc_rename(&w->r.a, &w->r.root, "tmp", &w->r.root, "f");
}

static int
act_remove(struct world *w)
{
	w->name = NULL;
	w->keys = 1;
	return nc_remove(&w->r.a, &w->r.root, "f");
}

static int
act_link(struct world *w)
{
	w->keys = 3;
	return nc_link(&w->r.a, &w->f, &w->r.root, "g");
}

static int
act_remove_first(struct world *w)
{
	w->name = "g";
	w->keys = 2;
	return nc_remove(&w->r.a, &w->r.root, "f");
}

static int
act_remove_second(struct world *w)
{
	w->keys = 2;
	return nc_remove(&w->r.a, &w->r.root, "g");
}

static int
act_replace_first(struct world *w)
{
	w->name = "g";
	return nc_rename(&w->r.a, &w->r.root, "tmp", &w->r.root, "f");
}

static int
act_rename_second(struct world *w)
{
	w->name = "h";
	return nc_rename(&w->r.a, &w->r.root, "g", &w->r.root, "h");
}

/* Names that are there lead to this file, and it knows how many. */
static int
links_are(struct world *w, unsigned want)
{
	static const char *const names[] = { "f", "g", "h" };
	unsigned found = 0;
	fattr3 file, attr;
	struct nc_fh fh;

	if (nc_getattr(&w->r.a, &w->f, &file) != 0)
		return harness_bad(&w->r, "the file is gone");
	for (unsigned i = 0; i < 3; i++) {
		if (nc_lookup(&w->r.a, &w->r.root, names[i], &fh, &attr) != 0 ||
		    attr.fileid != file.fileid)
			continue;
		found++;
		if (harness_object_is(&w->r, names[i], w->want, w->size) < 0)
			return harness_bad(&w->r, "the object %s of a link has "
					   "other bytes", names[i]);
	}
	return found == want && file.nlink == want
		       ? 0
		       : harness_bad(&w->r, "%u names, %u links, not %u", found,
				     file.nlink, want);
}

static int
after_two_links(struct world *w)
{
	return links_are(w, 2);
}

static int
after_one_link(struct world *w)
{
	return links_are(w, 1);
}

/* A's version is flushed; B's bytes come next. */
static int
b_writes(struct world *w, const char *bytes)
{
	int r;

	do {
		w->r.b.next_xid = CRASH_XID;
		r = nc_write(&w->r.b, &w->f, 0, bytes, 4096, FILE_SYNC, NULL);
	} while (r == NFS3_JUKEBOX);
	return r;
}

static int
act_supersede(struct world *w)
{
	char bytes[4096];
	int r;

	harness_pattern(w->want, w->size, 2);
	r = harness_write(&w->r.a, &w->f, 0, w->want, w->size);
	if (r != 0)
		return r;
	harness_pattern(bytes, sizeof(bytes), 9);
	(void)b_writes(w, bytes);	/* again after the restart */
	return 0;
}

static int
after_supersede(struct world *w)
{
	char bytes[4096];
	int r;

	harness_pattern(bytes, sizeof(bytes), 9);
	r = b_writes(w, bytes);
	memcpy(w->want, bytes, sizeof(bytes));
	return r == 0
		   ? harness_settled(&w->r, 30000)
		   : harness_bad(&w->r, "B's WRITE after the restart: %d", r);
}

/* The object is replaced behind the gateway: S3 will refuse ours. */
static int
act_conflict(struct world *w)
{
	/* Looked at just now, so that the gateway does not look again. */
	int r = nc_lookup(&w->r.a, &w->r.root, "f", NULL, NULL);

	w->refused = true;
	if (r == 0)
		r = harness_put(&w->r, "f", "foreign", 7);
	harness_pattern(w->want, w->size, 2);
	return r != 0 ? r : harness_write(&w->r.a, &w->f, 0, w->want, w->size);
}

static int
after_conflict(struct world *w)
{
	char out[4096], command[400], file[300], *id, *kept;
	FILE *f;
	size_t n = 0;
	int r;

	if (harness_ctl(&w->r, "quarantine list", out, sizeof(out)) < 0)
		return -1;
	id = strstr(out, "\"id\"");
	if (id == NULL || strstr(id + 4, "\"id\"") != NULL)
		return harness_bad(&w->r, "quarantine is not one file: %s",
				   out);
	snprintf(file, sizeof(file), "%s/kept", w->r.dir);
	snprintf(command, sizeof(command), "quarantine save %d '%s'",
		 atoi(strchr(id, ':') + 1), file);
	if (harness_ctl(&w->r, command, out, sizeof(out)) < 0)
		return -1;
	kept = malloc(w->size + 1);
	f = fopen(file, "re");
	if (f != NULL) {
		n = fread(kept, 1, w->size + 1, f);
		fclose(f);
	}
	r = n == w->size && memcmp(kept, w->want, n) == 0 ? 0 : -1;
	free(kept);
	if (r < 0)
		return harness_bad(&w->r,
				   "what was kept is not what was written");
	r = nc_commit(&w->r.a, &w->f, 0, 0, NULL);
	if (r != NFS3_IO)
		return harness_bad(&w->r, "the writer is told %d, not IO", r);
	r = nc_commit(&w->r.a, &w->f, 0, 0, NULL);
	if (r != 0)
		return harness_bad(&w->r, "the writer is told twice: %d", r);
	w->size = 7;
	memcpy(w->want, "foreign", 7);
	return 0;
}

#define STORED "stored-before-row! stored-after-row! "
const struct crash_story crash_stories[] = {
	{ "a new small file", prepare_new_file, act_write, NULL, false,
	  "commit-before-sync commit-after-sync commit-done upload-begin "
	  "put-before put-after! " STORED },
	{ "small stable writes", prepare_new_file, act_stable, NULL, false,
	  "commit-done:1 commit-done:2 commit-done:3 upload-begin "
	  "put-after! " },
	{ "a new large file", prepare_big, act_write, NULL, false,
	  "commit-before-sync commit-done upload-begin create-upload-before "
	  "create-upload-after id-recorded part-after:1 part-after:3 "
	  "part-after:5 complete-before complete-after! " STORED },
	{ "a change of a small object", prepare_stored, act_change, NULL,
	  false, "commit-after-sync commit-done upload-begin put-before "
	  "put-after! " STORED },
	{ "a change of a large object", prepare_big_stored, act_change, NULL,
	  false, "upload-begin create-upload-after id-recorded part-after:2 "
	  "complete-before complete-after! " STORED },
	{ "a truncation", prepare_stored, act_truncate, NULL, false,
	  "setattr-before-commit setattr-after-commit put-before put-after! "
	  STORED },
	{ "new attributes", prepare_stored, act_setattr, NULL, true,
	  "setattr-before-commit setattr-after-commit upload-begin "
	  "copy-before copy-after! " STORED },
	{ "CREATE", prepare_none, act_create, NULL, true,
	  "create-before-commit create-after-commit commit-done put-before "
	  "put-after! " STORED },
	{ "MKDIR", prepare_none, act_mkdir, NULL, true,
	  "create-before-commit create-after-commit put-before put-after "
	  "stored-before-row stored-after-row" },
	{ "a rename", prepare_stored, act_rename, NULL, true,
	  "rename-before-commit rename-after-commit upload-begin copy-before "
	  "copy-after! stored-before-row! stored-after-row! "
	  "delete-before-s3! delete-after-s3! delete-done!" },
	{ "a pending file renamed over an object", prepare_replace,
	  act_replace, NULL, true,
	  "rename-before-commit rename-after-commit upload-begin put-before "
	  "put-after! " STORED },
	{ "an object renamed over an object", prepare_replace_stored,
	  act_replace_stored, NULL, true,
	  "rename-before-commit rename-after-commit copy-before copy-after! "
	  STORED "delete-before-s3! delete-after-s3! delete-done!" },
	{ "RENAME of a directory", prepare_one, act_rename_dir, NULL, true,
	  "dirmove-before-commit dirmove-after-commit "
	  "dirmove-page-before-commit dirmove-page-after-commit "
	  "dirmove-copy-before dirmove-copy-after! "
	  "dirmove-copied-before-row! dirmove-copied-after-row! "
	  "delete-before-s3! delete-after-s3! delete-done! "
	  "dirmove-end-before-commit! dirmove-end-after-commit! " },
	{ "RENAME of a tree", prepare_tree, act_rename_dir, after_rename_tree,
	  true,
	  "dirmove-before-commit dirmove-after-commit "
	  "dirmove-page-before-commit dirmove-page-after-commit "
	  "dirmove-copy-before:20 dirmove-copy-after:20 "
	  "dirmove-copied-before-row:20 dirmove-copied-after-row:20 "
	  "delete-before-s3:20 delete-after-s3:20 delete-done:20 "
	  "dirmove-end-before-commit dirmove-end-after-commit " },
	{ "REMOVE", prepare_stored, act_remove, NULL, true,
	  "remove-before-commit remove-after-commit delete-before-s3 "
	  "delete-after-s3 delete-done" },
	{ "LINK", prepare_stored, act_link, after_two_links, true,
	  "link-before-commit link-after-commit upload-begin copy-before "
	  "copy-after! stored-before-row! stored-after-row! copy-before:2! "
	  "copy-after:2! stored-before-row:2! stored-after-row:2!" },
	{ "a change of a file with two names", prepare_linked, act_change,
	  after_two_links, false,
	  "commit-done put-before put-after! stored-before-row! "
	  "stored-after-row! copy-before! copy-after! stored-before-row:2! "
	  "stored-after-row:2! " },
	{ "REMOVE of the first of two names", prepare_linked,
	  act_remove_first, after_one_link, true,
	  "unlink-before-commit unlink-after-commit delete-before-s3 "
	  "delete-after-s3 delete-done copy-before copy-after! " STORED },
	{ "REMOVE of the second of two names", prepare_linked,
	  act_remove_second, after_one_link, true,
	  "remove-before-commit remove-after-commit delete-before-s3 "
	  "delete-done copy-before copy-after! " STORED },
	{ "a rename over one of two names", prepare_linked_and_more,
	  act_replace_first, after_one_link, true,
	  "rename-before-commit rename-after-commit copy-before copy-after "
	  "stored-after-row copy-before:2 copy-after:2 stored-before-row:2 "
	  "stored-after-row:2 delete-before-s3 delete-done" },
	{ "a rename of the second of two names", prepare_linked,
	  act_rename_second, after_two_links, true,
	  "rename-before-commit rename-after-commit copy-before "
	  "copy-after! " STORED "delete-before-s3! delete-done!" },
	{ "a small supersession", prepare_stored, act_supersede,
	  after_supersede, false,
	  "upload-begin put-before put-after! " STORED
	  "reserved admitted:2 " },
	{ "a large supersession", prepare_big, act_supersede, after_supersede,
	  false, "part-after:2 complete-before complete-after! " STORED },
	{ "quarantine", prepare_stored, act_conflict, after_conflict, false,
	  "upload-begin quarantine-before-row quarantine-after-row "
	  "quarantine-after-file" },
	{ NULL, NULL, NULL, NULL, false, NULL },
};
