/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tree of directories, files, symlinks and special files, changed at random
 * from a fixed seed by one client, beside a model in memory that is as simple
 * as a file system can be.  In between the daemon is killed, things are
 * uploaded or are not; then the tree must be the model's: names, handles,
 * fileids, link counts, modes, bytes.  At the end a gateway that has only the
 * bucket must show the same.
 *
 * TREE_SEED=N TREE_STEPS=N play another one, TREE_TELL=1 tells each step,
 * TREE_LINKS=1 makes hard links in all of them, with TREE_FAULTS=1 S3 fails.
 */

#include <config.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/scenario.h"

#define NODES 400
#define NAMES 11
#define SILLY 10		/* what clients call a removed open file */
#define BYTES_MAX 300000

struct tnode {
	int kind;		/* 0: free */
	unsigned nlink, mode, major;
	uint64_t fileid;
	struct nc_fh fh;
	unsigned char *data;
	size_t len;
	char target[40];
	int child[NAMES];	/* by name: 'a' + i; 0: none */
	int parent;		/* of a directory */
};

struct tree {
	struct scene *s;
	struct tnode *n;	/* [1] is the root */
	unsigned seed, step;
	bool links;		/* the gateway has them */
	bool faults;		/* S3 fails now and then */
	unsigned names;		/* of NAMES: with or without SILLY */
};

static const char *const names[NAMES] = { "a", "b", "c", "d", "e with space",
					  "f.txt", "g", "h", "i", "j\303\244",
					  ".nfs00000000deadbeef" };

static unsigned
rnd(struct tree *t, unsigned below)
{
	t->seed = t->seed * 1103515245 + 12345;
	return (t->seed >> 8) % below;
}

static void __attribute__((format(printf, 2, 3), noreturn))
differs(struct tree *t, const char *format, ...)
{
	char text[300];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	scene_fail(__FILE__, __LINE__, "step %u: %s", t->step, text);
}

static void __attribute__((format(printf, 2, 3)))
tell(struct tree *t, const char *format, ...)
{
	va_list ap;

	if (getenv("TREE_TELL") == NULL)
		return;
	printf("%llu %u ", (unsigned long long)scene_now_ms(), t->step);
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
}

/* Sent again while the answer is JUKEBOX, as a client does. */
#define ASK(r, call)                                                          \
	do {                                                                  \
		uint64_t until_ = scene_now_ms() + 60000;                     \
		while (((r) = (call)) == NFS3ERR_JUKEBOX &&                   \
		       scene_now_ms() < until_)                               \
			scene_pause();                                        \
	} while (0)

static void
same(struct tree *t, int got, bool good, const char *what)
{
	if ((got == NFS3_OK) != good)
		differs(t, "%s gave %d, and should %s", what, got,
			good ? "be OK" : "fail");
}

/* ---- picking ---- */

static int
some(struct tree *t, int kind)
{
	int found = 0;
	unsigned count = 0;

	for (int i = 1; i < NODES; i++) {
		if (t->n[i].kind != 0 && (kind == 0 || t->n[i].kind == kind) &&
		    rnd(t, ++count) == 0)
			found = i;
	}
	return found;
}

static int
fresh(struct tree *t)
{
	for (int i = 2; i < NODES; i++) {
		if (t->n[i].kind == 0) {
			t->n[i] = (struct tnode){ .nlink = 1 };
			return i;
		}
	}
	return 0;
}

static void
unlink_node(struct tree *t, int i)
{
	if (--t->n[i].nlink == 0 || t->n[i].kind == NF3DIR) {
		free(t->n[i].data);
		t->n[i] = (struct tnode){ 0 };
	}
}

static bool
empty(const struct tnode *n)
{
	for (int i = 0; i < NAMES; i++) {
		if (n->child[i] != 0)
			return false;
	}
	return true;
}

static unsigned
depth(struct tree *t, int dir)
{
	unsigned d = 0;

	while (dir != 1) {
		dir = t->n[dir].parent;
		d++;
	}
	return d;
}

static bool
below(struct tree *t, int dir, int ancestor)
{
	while (dir != 1 && dir != ancestor)
		dir = t->n[dir].parent;
	return dir == ancestor;
}

/* ---- what is done ---- */

static void
made(struct tree *t, int i, int kind, int dir, int name, unsigned mode)
{
	fattr3 attr;
	int r;

	t->n[i].kind = kind;
	t->n[i].mode = mode;
	t->n[dir].child[name] = i;
	if (kind == NF3DIR)
		t->n[i].parent = dir;
	ASK(r, nc_lookup(&t->s->a, &t->n[dir].fh, names[name], &t->n[i].fh,
			 &attr));
	same(t, r, true, "LOOKUP of what was made");
	t->n[i].fileid = attr.fileid;
	tell(t, "... is %d, fileid %llu", i, (unsigned long long)attr.fileid);
}

static void
make_one(struct tree *t, int dir, int name)
{
	struct nc_set set = { .mode_set = true, .mode = 0600 + rnd(t, 64) };
	struct tnode *d = &t->n[dir];
	bool free_name = d->child[name] == 0;
	int i = free_name ? fresh(t) : 0, r;

	if (free_name && i == 0)
		return;
	switch (rnd(t, 6)) {
	case 0:
		if (depth(t, dir) >= 3 || name == SILLY)
			return;
		set.mode = 0700 + rnd(t, 64);
		tell(t, "mkdir %d/%s", dir, names[name]);
		ASK(r, nc_mkdir(&t->s->a, &d->fh, names[name], &set, NULL,
				NULL));
		same(t, r, free_name, "MKDIR");
		if (free_name)
			made(t, i, NF3DIR, dir, name, set.mode);
		break;
	case 1:
		if (rnd(t, 2) == 0) {
			tell(t, "symlink %d/%s", dir, names[name]);
			ASK(r, nc_symlink(&t->s->a, &d->fh, names[name],
					  "../some/where", NULL));
			same(t, r, free_name, "SYMLINK");
			if (free_name) {
				made(t, i, NF3LNK, dir, name, 0777);
				strcpy(t->n[i].target, "../some/where");
			}
			break;
		}
		tell(t, "mknod %d/%s", dir, names[name]);
		ASK(r, nc_mknod(&t->s->a, &d->fh, names[name], NF3CHR, 5,
				t->step, NULL));
		same(t, r, free_name, "MKNOD");
		if (free_name) {
			fattr3 attr;

			made(t, i, NF3CHR, dir, name, 0);
			ASK(r, nc_getattr(&t->s->a, &t->n[i].fh, &attr));
			same(t, r, true, "GETATTR of what was made");
			t->n[i].mode = attr.mode & 07777;
			t->n[i].major = t->step;
		}
		break;
	default:
		tell(t, "create %d/%s", dir, names[name]);
		ASK(r, nc_create(&t->s->a, &d->fh, names[name], GUARDED, &set,
				 NULL, NULL, NULL));
		same(t, r, free_name, "CREATE");
		if (free_name)
			made(t, i, NF3REG, dir, name, set.mode);
	}
}

static void
write_some(struct tree *t, int i)
{
	static unsigned char buf[BYTES_MAX];
	struct tnode *n = &t->n[i];
	size_t off = n->len == 0 || rnd(t, 3) == 0
			     ? rnd(t, 2) * rnd(t, 5000)
			     : rnd(t, (unsigned)n->len);
	size_t len = rnd(t, 8) == 0 ? rnd(t, 200000) : rnd(t, 9000);
	bool sync = rnd(t, 2) == 0;
	int r;

	if (len == 0 || off + len > BYTES_MAX)
		return;
	fill(buf, len, t->seed);
	tell(t, "write %d [%zu+%zu) %s", i, off, len, sync ? "sync" : "");
	for (size_t at = 0; at < len;) {
		uint32_t step = len - at < 65536 ? (uint32_t)(len - at) : 65536;

		ASK(r, nc_write(&t->s->a, &n->fh, off + at, buf + at, step,
				sync ? FILE_SYNC : UNSTABLE, NULL));
		same(t, r, true, "WRITE");
		at += step;
	}
	if (!sync) {
		ASK(r, commit(&t->s->a, &n->fh));
		same(t, r, true, "COMMIT");
	}
	if (off + len > n->len) {
		n->data = realloc(n->data, off + len);
		CHECK(n->data != NULL);
		memset(n->data + n->len, 0, off + len - n->len);
		n->len = off + len;
	}
	memcpy(n->data + off, buf, len);
}

static void
resize(struct tree *t, int i)
{
	struct tnode *n = &t->n[i];
	size_t len = rnd(t, 3) == 0 ? 0 : rnd(t, 20000);
	int r;

	tell(t, "truncate %d %zu", i, len);
	ASK(r, nc_truncate(&t->s->a, &n->fh, len));
	same(t, r, true, "SETATTR of the size");
	n->data = realloc(n->data, len + 1);
	CHECK(n->data != NULL);
	if (len > n->len)
		memset(n->data + n->len, 0, len - n->len);
	n->len = len;
}

static void
chmod_some(struct tree *t, int i)
{
	struct nc_set set = { .mode_set = true, .mode = 0600 + rnd(t, 64) };
	int r;

	if (i == 1 || t->n[i].kind == NF3LNK)
		return;
	tell(t, "chmod %d %o", i, set.mode);
	ASK(r, nc_setattr(&t->s->a, &t->n[i].fh, &set, NULL));
	same(t, r, true, "SETATTR of the mode");
	t->n[i].mode = set.mode;
}

static void
remove_one(struct tree *t, int dir, int name, bool other)
{
	struct tnode *d = &t->n[dir];
	int i = d->child[name], r;
	bool is_dir = i != 0 && t->n[i].kind == NF3DIR;
	bool as_dir = other ? !is_dir : is_dir;

	tell(t, "%s %d/%s (%d)", as_dir ? "rmdir" : "remove", dir,
	     names[name], i);
	if (as_dir)
		ASK(r, nc_rmdir(&t->s->a, &d->fh, names[name]));
	else
		ASK(r, nc_remove(&t->s->a, &d->fh, names[name]));
	same(t, r, i != 0 && as_dir == is_dir && (!is_dir || empty(&t->n[i])),
	     as_dir ? "RMDIR" : "REMOVE");
	if (r == NFS3_OK) {
		d->child[name] = 0;
		unlink_node(t, i);
	}
}

static void
rename_one(struct tree *t, int from, int name, int to, int new_name)
{
	int i = t->n[from].child[name], over = t->n[to].child[new_name], r;
	bool is_dir = i != 0 && t->n[i].kind == NF3DIR, good = i != 0;

	if (is_dir && (depth(t, to) >= 3 || new_name == SILLY))
		return;
	if (good && over != i && over != 0)
		good = is_dir == (t->n[over].kind == NF3DIR) &&
		       (!is_dir || empty(&t->n[over]));
	if (good && is_dir && over != i && below(t, to, i))
		good = false;
	tell(t, "rename %d/%s %d/%s (%d over %d)", from, names[name], to,
	     names[new_name], i, over);
	ASK(r, nc_rename(&t->s->a, &t->n[from].fh, names[name], &t->n[to].fh,
			 names[new_name]));
	same(t, r, good, "RENAME");
	if (!good || over == i)
		return;
	t->n[from].child[name] = 0;
	t->n[to].child[new_name] = i;
	if (over != 0)
		unlink_node(t, over);
	if (is_dir)
		t->n[i].parent = to;
}

static void
link_one(struct tree *t, int i, int dir, int name)
{
	bool good = t->n[dir].child[name] == 0;
	int r;

	if (i == 0 || !t->links)
		return;
	tell(t, "link %d %d/%s", i, dir, names[name]);
	ASK(r, nc_link(&t->s->a, &t->n[i].fh, &t->n[dir].fh, names[name]));
	if (r == NFS3ERR_NOTSUPP) {
		t->links = false;
		return;
	}
	same(t, r, good, "LINK");
	if (good) {
		t->n[dir].child[name] = i;
		t->n[i].nlink++;
	}
}

/* ---- is it the model's tree? ---- */

static void
same_bytes(struct tree *t, const struct nc_fh *fh, const struct tnode *n,
	   const char *path)
{
	static unsigned char buf[65536];
	size_t off = 0;
	bool eof = false;
	uint32_t got;
	int r;

	while (!eof) {
		ASK(r, nc_read(&t->s->a, fh, off, buf, sizeof(buf), &got,
			       &eof));
		if (r != NFS3_OK)
			differs(t, "READ of %s: %d", path, r);
		if (off + got > n->len ||
		    (got > 0 && memcmp(buf, n->data + off, got) != 0) ||
		    (got == 0 && !eof))
			differs(t, "the bytes of %s at %zu", path, off);
		off += got;
	}
	if (off != n->len)
		differs(t, "%s ends at %zu, not %zu", path, off, n->len);
}

static void
same_node(struct tree *t, int i, const struct nc_fh *fh, const char *path,
	  bool anew)
{
	const struct tnode *n = &t->n[i];
	unsigned nlink = n->nlink;
	char target[1100];
	fattr3 a;
	int r;

	ASK(r, nc_getattr(&t->s->a, fh, &a));
	if (r != NFS3_OK)
		differs(t, "GETATTR of %s: %d", path, r);
	if (n->kind == NF3DIR) {
		nlink = 2;
		for (int c = 0; c < NAMES; c++)
			nlink += n->child[c] != 0 &&
				 t->n[n->child[c]].kind == NF3DIR;
	}
	if ((int)a.type != n->kind)
		differs(t, "%s is of type %d, not %d", path, a.type, n->kind);
	if (!anew && a.fileid != n->fileid)
		differs(t, "%s has another fileid", path);
	if (i != 1 && (a.mode & 07777) != n->mode && n->kind != NF3LNK)
		differs(t, "%s has mode %o, not %o", path, a.mode, n->mode);
	if (a.nlink != nlink)
		differs(t, "%s has %u links, not %u", path, a.nlink, nlink);
	if (n->kind == NF3CHR && a.rdev.specdata2 != n->major)
		differs(t, "%s is another device", path);
	if (n->kind == NF3LNK) {
		ASK(r, nc_readlink(&t->s->a, fh, target));
		if (r != NFS3_OK || strcmp(target, n->target) != 0)
			differs(t, "%s points elsewhere", path);
	}
	if (n->kind == NF3REG) {
		if (a.size != n->len)
			differs(t, "%s has %llu bytes, not %zu", path,
				(unsigned long long)a.size, n->len);
		same_bytes(t, fh, n, path);
	}
}

/* What a listing tells of a name, if it does. */
static void
same_entry(struct tree *t, const struct nc_entry *e, int c, const char *path)
{
	const struct tnode *n = &t->n[c];

	if (!e->has_attr)
		return;
	if ((int)e->attr.type != n->kind)
		differs(t, "%s/%s is listed as of type %d, not %d", path,
			e->name, e->attr.type, n->kind);
	if ((e->attr.mode & 07777) != n->mode && n->kind != NF3LNK)
		differs(t, "%s/%s is listed with mode %o, not %o", path,
			e->name, e->attr.mode, n->mode);
}

static unsigned
listed(struct tree *t, const struct nc_fh *fh, const struct tnode *n,
       const char *path)
{
	struct nc_entry entries[32];
	uint8_t verf[8] = { 0 };
	uint64_t cookie = 0;
	unsigned seen = 0, count;
	bool eof = false;
	int r;

	while (!eof) {
		ASK(r, nc_readdirplus(&t->s->a, fh, cookie, verf, 4096, 8192,
				      entries, 32, &count, &eof));
		if (r != NFS3_OK)
			differs(t, "READDIRPLUS of %s: %d", path, r);
		for (unsigned i = 0; i < count; i++) {
			int c = 0;

			cookie = entries[i].cookie;
			if (strcmp(entries[i].name, ".") == 0 ||
			    strcmp(entries[i].name, "..") == 0)
				continue;
			while (c < NAMES && strcmp(entries[i].name, names[c]))
				c++;
			if (c == NAMES || n->child[c] == 0)
				differs(t, "%s/%s is listed", path,
					entries[i].name);
			same_entry(t, &entries[i], n->child[c], path);
			seen++;
		}
	}
	return seen;
}

/* anew: by names alone, by a gateway that never saw the tree. */
static void
same_tree(struct tree *t, int dir, const struct nc_fh *fh, const char *path,
	  bool anew)
{
	const struct tnode *n = &t->n[dir];
	unsigned count = 0;

	/* How many directories are in it is known when it was listed, and
	 * what they are like before anybody asked for them. */
	if (anew)
		(void)listed(t, fh, n, path);
	same_node(t, dir, fh, path, anew);
	for (int c = 0; c < NAMES; c++) {
		char name[256];
		struct nc_fh child;
		int r;

		snprintf(name, sizeof(name), "%s/%s", path, names[c]);
		ASK(r, nc_lookup(&t->s->a, fh, names[c], &child, NULL));
		if ((r == NFS3_OK) != (n->child[c] != 0))
			differs(t, "LOOKUP of %s: %d", name, r);
		if (n->child[c] == 0)
			continue;
		count++;
		if (!anew)
			child = t->n[n->child[c]].fh;
		if (t->n[n->child[c]].kind == NF3DIR)
			same_tree(t, n->child[c], &child, name, anew);
		else
			same_node(t, n->child[c], &child, name, anew);
	}
	if (listed(t, fh, n, path) != count)
		differs(t, "%s: not all names are listed", path);
}

static void
one_step(struct tree *t)
{
	int dir = some(t, NF3DIR), to = some(t, NF3DIR);
	int name = (int)rnd(t, t->names), file = some(t, NF3REG);

	switch (rnd(t, 16)) {
	case 0: case 1: case 2: case 3:
		make_one(t, dir, name);
		break;
	case 4: case 5: case 6:
		if (file != 0)
			write_some(t, file);
		break;
	case 7:
		if (file != 0)
			resize(t, file);
		break;
	case 8:
		chmod_some(t, some(t, 0));
		break;
	case 9: case 10:
		remove_one(t, dir, name, rnd(t, 8) == 0);
		break;
	case 11: case 12: case 13:
		rename_one(t, dir, name, to, (int)rnd(t, t->names));
		break;
	case 14:
		link_one(t, file, dir, name);
		break;
	default:
		if (rnd(t, 3) == 0)
			DURING(rnd(t, 300), true);
	}
}

/* S3 does not answer, or not in time, once or twice from here on. */
static void
fault(struct tree *t)
{
	static const char *const rules[] = {
		"op=put lose count=1",	       "op=copy lose count=1",
		"op=delete lose count=1",      "op=put error=EAGAIN count=2",
		"op=copy error=EAGAIN count=2","op=get short count=1",
		"op=head error=EAGAIN count=1","op=list error=EAGAIN count=1",
		"op=put delay_ms=300 count=3", "op=copy delay_ms=300 count=3",
	};
	const char *rule = rules[rnd(t, sizeof(rules) / sizeof(*rules))];
	char text[64];

	/* Another word makes it another rule, with its own count. */
	snprintf(text, sizeof(text), "# %u\n%s skip=%u", t->step, rule,
		 rnd(t, 3));
	tell(t, "fault %s", rule);
	scene_faults(t->s, text);
}

/* They are not in the bucket. */
static void
remove_silly(struct tree *t)
{
	for (int i = 1; i < NODES; i++) {
		if (t->n[i].kind == NF3DIR && t->n[i].child[SILLY] != 0)
			remove_one(t, i, SILLY, false);
	}
}

static void
play(struct scene *s, unsigned seed, bool links, bool silly,
     bool faults)
{
	struct tree t = { .s = s, .seed = seed,
			  .names = silly ? NAMES : NAMES - 1,
			  .links = links || getenv("TREE_LINKS") != NULL,
			  .faults = faults || getenv("TREE_FAULTS") != NULL };
	unsigned steps = 400;
	char path[320];

	if (getenv("TREE_SEED") != NULL)
		t.seed = (unsigned)atoi(getenv("TREE_SEED"));
	if (getenv("TREE_STEPS") != NULL)
		steps = (unsigned)atoi(getenv("TREE_STEPS"));
	t.n = calloc(NODES, sizeof(*t.n));
	CHECK(t.n != NULL);
	t.n[1] = (struct tnode){ .kind = NF3DIR, .fh = s->root, .parent = 1 };
	for (t.step = 1; t.step <= steps; t.step++) {
		one_step(&t);
		if (t.step == 1) {
			fattr3 a;

			OK(nc_getattr(&s->a, &s->root, &a));
			t.n[1].fileid = a.fileid;
		}
		if (t.faults && rnd(&t, 10) == 0)
			fault(&t);
		if (rnd(&t, 60) == 0) {
			tell(&t, "crash");
			scene_crash(s);
		}
		if (t.step % 50 == 0) {
			tell(&t, "look");
			same_tree(&t, 1, &s->root, "", false);
		}
	}
	scene_faults(s, "");
	remove_silly(&t);
	OK(ctl_status(s, "flush --all"));
	WITHIN(60000, status_number(s, "uploads") == 0);
	same_tree(&t, 1, &s->root, "", false);
	CHECK(status_number(s, "invariant_failures") == 0);
	CHECK(status_number(s, "quarantined") == 0);
	CHECK(status_number(s, "conflicts") == 0);
	CHECK(scene_stop(s) == 0);
	/* Only the bucket is left. */
	snprintf(path, sizeof(path), "rm -rf %s/state && mkdir %s/state",
		 s->dir, s->dir);
	CHECK(system(path) == 0);
	scene_start(s);
	scene_reconnect(s);
	same_tree(&t, 1, &s->root, "", true);
	/* It was so in the bucket, and did not have to be put right. */
	CHECK(scene_logged(s, "different versions") == 0);
	for (int i = 0; i < NODES; i++)
		free(t.n[i].data);
	free(t.n);
}

static void tree1(struct scene *s) { play(s, 1, false, false, false); }
static void tree2(struct scene *s) { play(s, 22, false, false, false); }
static void tree3(struct scene *s) { play(s, 333, false, false, false); }
static void links1(struct scene *s) { play(s, 4444, true, false, false); }
static void links2(struct scene *s) { play(s, 333, true, false, false); }
static void silly1(struct scene *s) { play(s, 55, false, true, false); }
static void silly2(struct scene *s) { play(s, 666, true, true, false); }
static void faults1(struct scene *s) { play(s, 29, false, false, true); }
static void faults2(struct scene *s) { play(s, 6, true, false, true); }

#define LATE "settle_ms=3000 create_settle_ms=3000 server.log_level=warning"
#define SETTINGS "settle_ms=50 create_settle_ms=50 server.log_level=warning"

static bool
no_moves(struct scene *s)
{
	json_t *status = ctl(s, "status");
	bool none;

	CHECK(status != NULL);
	none = json_array_size(json_object_get(status, "moves")) == 0;
	json_decref(status);
	return none;
}

/* Our clock is an hour ahead of the store's: what somebody puts under the old
 * name after the rename is theirs all the same. */
static void
clock_ahead(struct scene *s)
{
	const int64_t ahead_ms = 3600000;
	char path[300];
	FILE *f;

	snprintf(path, sizeof(path), "%s/clock", s->dir);
	f = fopen(path, "w");
	CHECK(f != NULL && fwrite(&ahead_ms, sizeof(ahead_ms), 1, f) == 1 &&
	      fclose(f) == 0);
	scene_env(s, "S3NFSD_CLOCK", path);
	scene_crash(s);
	object_text(s, "d/f", "ours");
	(void)look(&s->a, s, "d");
	scene_faults(s, "op=copy key=n/* hold");
	SOON(10000, nc_rename(&s->a, &s->root, "d", &s->root, "n"), NFS3_OK);
	WITHIN(10000, scene_calls(s, "copy", "n/f", "held") > 0);
	object_text(s, "d/theirs", "theirs");
	scene_faults(s, "");
	WITHIN(20000, no_moves(s));
	CHECK(object_is(s, "n/f", "ours") && object_absent(s, "d/f"));
	CHECK(object_is(s, "d/theirs", "theirs"));
	CHECK(object_absent(s, "n/theirs"));
}

SCENARIOS(
	{ "tree-1", "random changes of a tree, with crashes / the tree of the "
	  "model, and so for a gateway that has only the bucket", tree1,
	  SETTINGS, false },
	{ "tree-2", "another one", tree2, SETTINGS " attr_ttl_ms=0", false },
	{ "tree-3", "one whose uploads are late", tree3,
	  LATE, false },
	{ "tree-links", "one with hard links / names, counts and bytes are "
	  "the model's, also from the bucket alone", links1,
	  SETTINGS " attr_ttl_ms=0", false },
	{ "tree-links-late", "with hard links, and uploads that are late",
	  links2, LATE, false },
	{ "tree-silly", "names that clients give to removed open files come, "
	  "go and come back / the model's", silly1, SETTINGS, false },
	{ "tree-silly-links", "the same with hard links", silly2,
	  SETTINGS " attr_ttl_ms=0", false },
	{ "tree-faults", "one on an S3 that loses answers, cuts them, is slow "
	  "or busy / no conflict with ourselves, nothing is found again",
	  faults1, LATE, false },
	{ "tree-faults-links", "the same with hard links", faults2,
	  SETTINGS, false },
	{ "tree-clock", "our clock is ahead of the store's / what comes to the old "
	  "name of a directory after the rename stays there", clock_ahead,
	  NULL, false })
