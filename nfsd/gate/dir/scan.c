/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listings: a directory's page of ListObjectsV2 at a time, merged into the
 * names and inodes of SQLite.
 *
 * A scan is pulled by who needs it: READDIR takes pages until it has enough
 * to answer, LOOKUP lists a small directory whole.  Names get their cookies
 * (ids) when they are first met and keep them, so that a reader of a
 * directory that changes neither skips nor repeats.  A page tells which names
 * between its ends are gone (prune.c); only a scan that has seen its last page
 * knows the directory.  Whether that is recent: node/listing.c.
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/data/data.h"
#include "nfsd/gate/dir/inside.h"
#include "nfsd/gate/keys/keys.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/object/object.h"
#include "nfsd/gate/path/path.h"
#include "nfsd/gate/worker/worker.h"

/* A scan that nobody pulled for so long starts from its beginning. */
#define SCAN_IDLE_MS 60000
/* Of what it lacks it asks so often, and so long. */
#define LOOKS_MAX 64
#define LOOKS_MS 1000

static int
note_seen(struct scan *s, uint64_t id)
{
	if (s->seen_count == s->seen_room) {
		size_t room = s->seen_room ? s->seen_room * 2 : 1024;
		uint64_t *seen = realloc(s->seen, room * sizeof(*seen));

		if (seen == NULL)
			return -ENOMEM;
		s->seen = seen;
		s->seen_room = room;
	}
	s->seen[s->seen_count++] = id;
	return 0;
}

/* ---- merging; the directory lock is held ---- */

struct merge {
	struct node *dir;
	struct meta_batch *batch;
	char key[META_KEY_MAX + 2];	/* of the directory */
	uint64_t start_ms;
};

static bool
differs(const struct meta_inode *i, const struct found *f)
{
	return strcmp(i->base_etag, f->etag) != 0 || i->base_size != f->size ||
	       (i->base_mtime_ns != 0 && i->base_mtime_ns != f->mtime_ns &&
		/* LIST may tell whole seconds where HEAD told more. */
		i->base_mtime_ns / 1000000000 != f->mtime_ns / 1000000000);
}

/*
 * A listing that tells something else than we know may lag behind what we
 * wrote, or have ETags of its own (MinIO's, of encrypted objects).  Only what
 * is newer than what we know is believed at once.
 */
static bool
may_lag(const struct meta_inode *i, const struct found *f)
{
	return i->base_etag[0] != '\0' &&
	       (i->base_mtime_ns == 0 ||
		f->mtime_ns / 1000000000 <= i->base_mtime_ns / 1000000000);
}

/* Archived, or brought back, which changes neither bytes nor times. */
static bool
is_other_class(const struct meta_inode *i, const struct found *f)
{
	return f->cold != S3_COLD_UNTOLD && i->cold != (f->cold == S3_COLD_YES);
}

/* FNV-1a, of what was listed; not 0. */
static uint64_t
doubt_of(const struct found *f)
{
	uint64_t h = 0xcbf29ce484222325ULL ^ f->size ^
		     (uint64_t)(f->mtime_ns / 1000000000) << 24;

	for (const char *p = f->etag; *p != '\0'; p++)
		h = (h ^ (unsigned char)*p) * 0x100000001b3ULL;
	return h | 1;
}

/* HEAD decides, once for what is listed, when somebody asks for it. */
static void
doubt_locked(struct node *n, const struct found *f)
{
	uint64_t doubt = doubt_of(f);

	mutex_must_hold(&n->mutex);
	if (n->doubt_done == doubt)
		return;
	n->doubt = doubt;
	n->i.attr_known = false;
	n->checked_ms = 0;
}

/* The row of an object that is only listed so far. */
static void
row_from_listing(struct gate_export *x, const char *key,
		 const struct found *f, struct meta_inode *i)
{
	struct s3_object o = { .size = f->size, .mtime_ns = f->mtime_ns,
			       .cold = f->cold == S3_COLD_YES,
			       .class_told = f->cold != S3_COLD_UNTOLD };

	if (f->is_dir) {
		object_implicit_dir(x, key, i);
	} else {
		strcpy(o.etag, f->etag);
		object_to_inode(x, key, &o, i);
	}
	i->attr_known = x->c.metadata == GATE_META_NONE;
}

/* Its row goes out at once: in the page's batch it would come after, and
 * undo, what a client changes from here on.  Only posted: the next listing
 * finds what is not on record. */
static void
merge_post(struct node *n)
{
	struct meta_batch *b = meta_batch_new();

	if (b != NULL)
		meta_put_inode(b, &n->i);
	meta_post(n->export->gate->meta, &b);
}

static void
merge_node(struct merge *m, struct node *n, const char *key,
	   const struct found *f)
{
	mutex_lock(&n->mutex);
	if (f->is_dir || n->i.kind == GATE_DIR) {
		/* `d` beside `d/x`: who was here first stays. */
		if (f->is_dir == (n->i.kind == GATE_DIR))
			n->checked_ms = answer_ms(m->dir->export->gate,
						  m->start_ms);
	} else if (!node_is_local_locked(n) && !n->locked &&
		   n->checked_ms < m->start_ms) {
		if (differs(&n->i, f) && may_lag(&n->i, f)) {
			doubt_locked(n, f);
		} else if (differs(&n->i, f)) {
			bool bytes = strcmp(n->i.base_etag, f->etag) != 0 ||
				     n->i.base_size != f->size;

			/* Kind and mode stay until HEAD tells. */
			strcpy(n->i.base_key, key);
			strcpy(n->i.base_etag, f->etag);
			strcpy(n->i.dest_etag, f->etag);
			n->i.base_size = n->i.base_limit = f->size;
			n->i.size = f->size;
			n->i.base_mtime_ns = f->mtime_ns;
			n->i.mtime_ns = f->mtime_ns;
			n->i.ctime_ns = clock_ns();
			n->i.attr_known = false;
			n->i.cold = f->cold == S3_COLD_YES;
			quota_size_locked(n, f->size);
			n->writer_mtime_ns = f->mtime_ns;
			if (bytes) {
				/* A symlink has another target, too. */
				meta_inode_fini(&n->i);
				data_drop_clean_locked(n);
				n->content_version++;
				n->replaced++;
			}
			merge_post(n);
		} else {
			bool other = is_other_class(&n->i, f);

			n->i.cold ^= other;
			n->i.base_mtime_ns = f->mtime_ns;
			if (other)
				merge_post(n);
			n->checked_ms = answer_ms(m->dir->export->gate,
						  m->start_ms);
		}
	}
	mutex_unlock(&n->mutex);
}

static int
merge_row(struct merge *m, const struct meta_name *name, const char *key,
	  const struct found *f)
{
	struct gate *g = m->dir->export->gate;
	struct meta_inode row = { 0 };
	struct node *n = NULL;
	int r = meta_get_inode(g->meta, name->ino, &row);

	/* Only a node's mutex keeps the row from changing below us. */
	if (r == 0 && !f->is_dir && row.kind != GATE_DIR &&
	    (differs(&row, f) || is_other_class(&row, f))) {
		r = node_get(g, name->ino, true, &n);
		if (r == 0)
			merge_node(m, n, key, f);
		else if (r == -ESTALE)
			r = 0;
		node_put(&n);
	}
	meta_inode_fini(&row);
	return r;
}

static int
merge_new(struct merge *m, const char *key, const struct found *f,
	  uint64_t *id)
{
	struct gate *g = m->dir->export->gate;
	struct meta_inode row = { 0 };
	struct meta_name name = { .parent = m->dir->ino };
	int r;

	row_from_listing(m->dir->export, key, f, &row);
	r = mangled_note(m->dir->export, key, &row);
	if (r == 0)
		r = meta_new_ino(g->meta, &row.ino);
	if (r == 0)
		r = meta_new_name_id(g->meta, id);
	row.export_id = m->dir->export->id;
	row.generation = gate_generation(m->dir->export->gate);
	name.id = *id;
	name.ino = row.ino;
	name.kind = row.kind;
	strcpy(name.name, f->name);
	if (r == 0) {
		meta_add_inode(m->batch, &row);
		meta_add_name(m->batch, &name);
	}
	meta_inode_fini(&row);
	return r;
}

/* ---- a file and a directory of one name (mangle.c) ---- */

static int
call_shadowed(struct merge *m, struct found *f)
{
	char name[META_NAME_MAX + 1], *own;

	component_to_name(m->dir->export->any_bytes, f->component, true, name);
	own = strdup(name);
	if (own == NULL)
		return -ENOMEM;
	if (f->component != f->name)
		free(f->name);
	f->name = own;
	return 0;
}

/* Both are on this page.  The file stands before the directory, with nothing
 * in between but names that begin like it. */
static int
make_room(struct merge *m, struct page *p, size_t dir)
{
	const char *component = p->list[dir].component;
	int r;

	if (!p->list[dir].is_dir)
		return 0;
	for (size_t i = dir; i-- > 0; ) {
		struct found *f = &p->list[i];

		if (strncmp(f->component, component, strlen(component)) != 0)
			break;
		if (f->is_dir || strcmp(f->component, component) != 0)
			continue;
		r = mangled_dir(m->dir, component, p->list[dir].name);
		return r < 0 ? r : call_shadowed(m, f);
	}
	return 0;
}

/* Another kind of thing has the name so far.  0: look again. */
static int
merge_other(struct merge *m, struct found *f)
{
	return f->is_dir ? mangled_dir(m->dir, f->component, f->name)
			 : call_shadowed(m, f);
}

/* A file that stepped aside once may be alone by now. */
static int
merge_back(struct merge *m, const struct found *f)
{
	char name[META_NAME_MAX + 1];

	strcpy(name, f->name);
	return mangled_file(m->dir, f->component, name);
}

static int
merge_entry(struct merge *m, struct found *f)
{
	struct node *dir = m->dir;
	struct gate *g = dir->export->gate;
	char key[META_KEY_MAX + COMPONENT_MAX + 4];
	struct meta_name name = { 0 };
	struct node *n = NULL;
	bool shadowed = __atomic_load_n(&g->shadowed, __ATOMIC_RELAXED);
	uint64_t id = 0;
	int r = 0;

	snprintf(key, sizeof(key), "%s%s%s", m->key, f->component,
		 f->is_dir ? "/" : "");
	if (strlen(key) > META_KEY_MAX)
		return 0;
	for (int tries = 0; tries < 3 && r == 0; tries++) {
		bool is_dir;

		n = node_find_child(g, dir->ino, f->name);
		r = n != NULL ? 0
			      : meta_get_name(g->meta, dir->ino, f->name,
					      &name);
		if (r == -ENOENT && tries == 0 && shadowed && !f->is_dir) {
			r = merge_back(m, f);
			continue;
		}
		is_dir = (n != NULL ? node_kind(n) : name.kind) == GATE_DIR;
		if (r < 0 || is_dir == f->is_dir)
			break;
		node_put(&n);
		/* What has left the name does not take it back. */
		if (hidden_since(dir->export, key, m->start_ms) ||
		    key_busy(dir->export, key))
			return 0;
		r = merge_other(m, f);
	}
	if (n != NULL) {
		merge_node(m, n, key, f);
		id = n->name_id;
		node_put(&n);
	} else if (r == 0) {
		r = merge_row(m, &name, key, f);
		id = name.id;
	} else if (r == -ENOENT) {
		if (hidden_since(dir->export, key, m->start_ms) ||
		    key_busy(dir->export, key) ||
		    negative_removed_since(g, dir->ino, f->name,
					   m->start_ms))
			return 0;
		r = merge_new(m, key, f, &id);
		dir->scan->changed = true;
		negative_del(g, dir->ino, f->name);
	}
	/* The others are known to be there by their page. */
	return r < 0 || (f->component == f->name && !dir->scan->by_seen)
		       ? r : note_seen(dir->scan, id);
}

/* ---- the end of a scan: what was not met is gone ---- */

static int
by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

struct gone {
	struct gate_export *x;
	struct scan *scan;
	struct pruned pruned;
	uint64_t names;
	int error;
};

/* Names that are not the component of their key; of the others each page has
 * told what it lacks, if pages are in order. */
static int
collect_gone(void *arg, const struct meta_name *name)
{
	struct gone *gone = arg;

	gone->names++;
	if (name->id >= gone->scan->start_id ||
	    (!gone->scan->by_seen && !prune_mangled(gone->x, name->name)) ||
	    (gone->scan->seen_count > 0 &&
	     bsearch(&name->id, gone->scan->seen, gone->scan->seen_count,
		     sizeof(uint64_t), by_number) != NULL))
		return 0;
	gone->error = pruned_add(&gone->pruned, name->ino);
	return gone->error;
}

static int
drop_all(struct node *dir, struct scan *s, const struct pruned *gone,
	 struct looks *looks)
{
	size_t from = s->look_from;

	for (size_t i = 0; i < gone->count; i++) {
		size_t at = (from + i) % gone->count;
		bool more = looks->more;
		int r = prune_drop(dir->export->gate, gone->inos[at],
				   s->start_ms, looks);

		if (r < 0)
			return r;
		s->changed |= r == 1;
		if (!more && looks->more)
			s->look_from = at;
	}
	return 0;
}

static int
finish(struct node *dir, struct scan *s)
{
	struct gate *g = dir->export->gate;
	struct gone gone = { .x = dir->export, .scan = s };
	struct looks looks = { .left = LOOKS_MAX,
			       .until_ms = clock_ms() + LOOKS_MS };
	int r;

	if (s->seen_count > 0)
		qsort(s->seen, s->seen_count, sizeof(*s->seen), by_number);
	r = meta_each_name(g->meta, dir->ino, 0, UINT32_MAX, collect_gone,
			   &gone);
	if (r == 0)
		r = gone.error;
	if (r == 0 && (!s->disorder || s->by_seen))
		r = drop_all(dir, s, &gone.pruned, &looks);
	if (r == 0 && !s->disorder && !s->by_seen)
		r = drop_all(dir, s, &s->gone, &looks);
	pruned_free(&gone.pruned);
	if (r == 0)
		r = nlink_count(dir);
	if (r < 0)
		return r;
	mutex_lock(&dir->mutex);
	s->complete = true;
	/* Where some have gone, there are more among those not asked. */
	s->fresh_ms = s->start_ms > s->expired_ms &&
		      !(looks.more && (looks.gone || looks.failed))
			      ? answer_ms(dir->export->gate, s->start_ms)
			      : 0;
	s->count = gone.names;
	s->unsure = looks.more || looks.failed;
	/* Clients drop what they remember of a directory's names, and of
	 * names that were not there, when its times move. */
	if (s->changed && !s->first)
		dir->i.mtime_ns = dir->i.ctime_ns = clock_ns();
	s->changed = s->first = false;
	/* After a restart it is still known.  Whoever has it locked writes an
	 * older row later, or a newer one that this would go over. */
	if (!dir->i.listed && !dir->locked && !dir->dead) {
		dir->i.listed = true;
		merge_post(dir);
	}
	scan_end_locked(s);
	mutex_unlock(&dir->mutex);
	return 0;
}

/* ---- what a page lacks ---- */

struct place {			/* the page's names, sorted */
	const char **names;
	size_t count;
};

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool
has_name(void *arg, const char *name)
{
	const struct place *p = arg;

	return p->count > 0 && bsearch(&name, p->names, p->count,
				       sizeof(*p->names), by_text) != NULL;
}

/* Others look into them meanwhile (scan_lacks). */
static int
add_gone(struct node *dir, struct pruned *page)
{
	struct pruned *s = &dir->scan->gone;
	size_t i = s->count, j = page->count, at = i + j;
	uint64_t *inos;

	if (page->count == 0)
		return 0;
	qsort(page->inos, page->count, sizeof(*page->inos), by_number);
	mutex_lock(&dir->mutex);
	inos = reallocarray(s->inos, at, sizeof(*inos));
	if (inos != NULL) {
		s->inos = inos;
		s->count = s->room = at;
		while (j > 0)
			inos[--at] = i > 0 && inos[i - 1] > page->inos[j - 1]
					     ? inos[--i]
					     : page->inos[--j];
	}
	mutex_unlock(&dir->mutex);
	return inos == NULL ? -ENOMEM : 0;
}

/* The names between the last page's end and this one's which it lacks, and
 * that end.  They are gone once the last page has come and all were in order:
 * until then a later one may have them.  The directory is locked. */
static int
prune_page(struct node *dir, const struct page *page, bool last, char **at)
{
	struct scan *s = dir->scan;
	struct place p = { NULL, page->count };
	struct pruned gone = { 0 };
	struct prune_stretch of;
	int r;

	if (!page_in_order(page, s->at))
		s->disorder = true;
	if (page->count > 0 && !last &&
	    (*at = found_place(&page->list[page->count - 1])) == NULL)
		return -ENOMEM;
	if (s->disorder || s->by_seen || (page->count == 0 && !last))
		return 0;
	p.names = calloc(page->count + 1, sizeof(*p.names));
	if (p.names == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < page->count; i++)
		p.names[i] = page->list[i].name;
	qsort(p.names, p.count, sizeof(*p.names), by_text);
	of = (struct prune_stretch){ s->at != NULL ? s->at : "", *at,
				     s->start_id, has_name, &p };
	r = prune_range(dir, &of, &gone);
	if (r == 0)
		r = add_gone(dir, &gone);
	pruned_free(&gone);
	free(p.names);
	return r;
}

bool
scan_passed(struct node *dir, const struct meta_name *name)
{
	bool passed;

	/* Mangled ones are checked at the end; they are few. */
	if (prune_mangled(dir->export, name->name))
		return true;
	mutex_lock(&dir->mutex);
	passed = scan_fresh_locked(dir) ||
		 (dir->scan != NULL && dir->scan->running &&
		  !dir->scan->disorder && !dir->scan->by_seen &&
		  dir->scan->at != NULL &&
		  prune_passed(name, dir->scan->at));
	mutex_unlock(&dir->mutex);
	return passed;
}

bool
scan_lacks(struct node *dir, uint64_t ino)
{
	const struct scan *s;
	uint64_t start_ms = 0;

	mutex_lock(&dir->mutex);
	s = dir->scan;
	if (s != NULL && s->running && !s->disorder && s->gone.count > 0 &&
	    bsearch(&ino, s->gone.inos, s->gone.count, sizeof(ino),
		    by_number) != NULL)
		start_ms = s->start_ms;
	mutex_unlock(&dir->mutex);
	return start_ms != 0 &&
	       prune_certain(dir->export->gate, ino, start_ms);
}

bool
scan_unlearn(struct node *dir, uint64_t since_ms)
{
	struct scan *s;
	bool quiet;

	mutex_lock(&dir->mutex);
	s = dir->scan;
	quiet = dir->walkers == 0 && dir->read_ms < since_ms &&
		(s == NULL || (!s->stepping && s->stepped_ms < since_ms));
	if (quiet && s != NULL) {
		scan_end_locked(s);
		s->complete = false;
		s->fresh_ms = 0;
	}
	/* Ahead of the batch that they go in. */
	if (quiet && dir->i.listed) {
		dir->i.listed = false;
		merge_post(dir);
	}
	mutex_unlock(&dir->mutex);
	return quiet;
}

void
scan_begin(struct node *dir)
{
	uint64_t ttl = dir->export->c.attr_ttl_ms;
	struct scan *s;

	mutex_lock(&dir->mutex);
	s = dir->scan;
	if (s != NULL && s->running && !s->stepping &&
	    s->stepped_ms + (ttl > 1000 ? ttl : 1000) < clock_ms())
		scan_end_locked(s);
	mutex_unlock(&dir->mutex);
}

/* ---- pulling ---- */

static int
merge_page(struct node *dir, struct page *page, bool last, char **at)
{
	struct merge m = { .dir = dir, .start_ms = dir->scan->start_ms };
	int r = 0;

	/* Not what its path spells by now, if a directory above it has just
	 * been renamed: here is where the objects lie. */
	strcpy(m.key, dir->scan->prefix);
	m.batch = meta_batch_new();
	if (m.batch == NULL)
		return -ENOMEM;
	mutex_lock(&dir->mutex);
	dir->merges++;
	mutex_unlock(&dir->mutex);
	for (size_t i = 0; r == 0 && i < page->count; i++)
		r = make_room(&m, page, i);
	for (size_t i = 0; r == 0 && i < page->count; i++)
		r = merge_entry(&m, &page->list[i]);
	if (r < 0) {
		meta_batch_free(&m.batch);
		return r;
	}
	r = meta_commit(dir->export->gate->meta, &m.batch);
	return r < 0 ? r : prune_page(dir, page, last, at);
}

/* The directory was renamed while it was listed: what the pages told was of
 * another prefix. */
static bool
prefix_changed(struct node *dir, const struct scan *s)
{
	char key[META_KEY_MAX + 2];

	return path_key(dir, key) < 0 || strcmp(key, s->prefix) != 0;
}

/* This thread is the scan's: get a page and merge it. */
static int
step(struct node *dir, struct scan *s)
{
	struct gate_export *x = dir->export;
	struct page page = { .x = x };
	char key[META_KEY_MAX + 2], *next = NULL, *at = NULL;
	struct s3_list list = { .delimiter = "/", .token = s->token };
	int r = path_key(dir, key);

	if (r < 0)
		return r;
	if (s->prefix == NULL && (s->prefix = strdup(key)) == NULL)
		return -ENOMEM;
	if (strcmp(key, s->prefix) != 0)
		return -ECANCELED;
	list.prefix = key;
	page.prefix_len = strlen(key);
	r = s3_list_page(x->s3, &list, page_take, &page, &next, NULL);
	if (r == 0)
		r = page_drop_left(dir, key, s->start_ms, &page);
	if (r == 0) {
		node_lock_wait(dir);
		r = dir->dead ? -ESTALE
		    : prefix_changed(dir, s) || dirmove_lists(dir)
			    ? -ECANCELED
			    : merge_page(dir, &page, next == NULL, &at);
		node_unlock(dir);
		__atomic_add_fetch(&x->mangled_keys, page.mangled,
				   __ATOMIC_RELAXED);
	}
	page_free(&page);
	if (r < 0) {
		free(next);
		free(at);
		return r;
	}
	mutex_lock(&dir->mutex);
	if (at != NULL) {
		free(s->at);
		s->at = at;
	}
	free(s->token);
	s->token = next;
	s->stepped_ms = clock_ms();
	mutex_unlock(&dir->mutex);
	return next != NULL ? 1 : finish(dir, s);
}

static int scan_step_once(struct node *dir);

/*
 * Its prefix is full of what has left (a directory that bears the old name of
 * a large one): what is known here is all, and what others put there is met
 * when those have gone.  1: so it is.
 */
static int
left_behind(struct node *dir)
{
	char key[META_KEY_MAX + 2], past[META_KEY_MAX + 8];
	struct scan *s;
	bool first;
	int r;

	if (!dirmoves_any(dir->export->gate))
		return 0;
	r = path_key(dir, key);
	if (r < 0 || !dirmove_skip(dir->export, key, past))
		return r;
	mutex_lock(&dir->mutex);
	s = scan_of_locked(dir);
	first = s != NULL && !s->complete;
	if (s != NULL && !s->stepping) {
		scan_end_locked(s);
		s->complete = true;
		s->fresh_ms = clock_ms();
	}
	mutex_unlock(&dir->mutex);
	r = s == NULL ? -ENOMEM : first ? nlink_count(dir) : 0;
	return r < 0 ? r : 1;
}

int
scan_step(struct node *dir)
{
	int r = left_behind(dir);

	if (r != 0)
		return r < 0 ? r : 0;

	for (int tries = 0; tries < 8; tries++) {
		struct gate_request rq = { .may_block = true };

		/* The names of a directory that was renamed are being listed
		 * at their old place: wait for some more of them. */
		r = dirmove_wait(dir, &rq);
		if (r != 0)
			return r;
		r = scan_step_once(dir);
		if (r != -ECANCELED)
			return r;
	}
	return -EAGAIN;
}

static int
scan_step_once(struct node *dir)
{
	struct scan *s;
	uint64_t start_id;
	int r = meta_new_name_id(dir->export->gate->meta, &start_id);

	if (r < 0)
		return r;
	mutex_lock(&dir->mutex);
	s = scan_of_locked(dir);
	if (s == NULL) {
		mutex_unlock(&dir->mutex);
		return -ENOMEM;
	}
	while (s->stepping)
		mutex_wait(&dir->mutex, &dir->changed, NULL);
	if (scan_fresh_locked(dir)) {
		mutex_unlock(&dir->mutex);
		return 0;
	}
	/* One that began before a refresh tells nothing after it. */
	if (s->running &&
	    (s->stepped_ms + SCAN_IDLE_MS < clock_ms() ||
	     answer_ms(dir->export->gate, s->start_ms) == 0))
		scan_end_locked(s);
	if (!s->running) {
		s->running = true;
		s->first = !s->complete;
		s->start_ms = s->stepped_ms = clock_ms();
		s->start_id = start_id;
		s->by_seen = page_unordered(dir->export);
	}
	s->stepping = true;
	mutex_unlock(&dir->mutex);
	r = step(dir, s);
	mutex_lock(&dir->mutex);
	s->stepping = false;
	if (r < 0)
		scan_end_locked(s);
	pthread_cond_broadcast(&dir->changed);
	mutex_unlock(&dir->mutex);
	return r;
}

int
scan_if_small(struct node *dir)
{
	struct scan *s;
	bool known, again, unsure;
	int r;

	if (dirmove_lists(dir))
		return 0;
	mutex_lock(&dir->mutex);
	s = dir->scan;
	known = s != NULL && s->complete && s->count <= SMALL_DIR;
	again = s != NULL && (s->running || s->complete) && !known;
	mutex_unlock(&dir->mutex);
	if (again)
		return 0;
	/* Nothing is known: one page tells whether it is small. */
	do {
		r = scan_step(dir);
	} while (r == 1 && known);
	mutex_lock(&dir->mutex);
	unsure = dir->scan != NULL && dir->scan->unsure;
	mutex_unlock(&dir->mutex);
	return r < 0 ? r : r == 0 && !unsure;
}

int
scan_any(struct node *dir)
{
	char key[META_KEY_MAX + 2];
	int r = path_key(dir, key);

	return r < 0 ? r : scan_prefix_any(dir->export, key);
}
