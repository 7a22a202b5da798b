/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listings: a directory's page of ListObjectsV2 at a time, merged into the
 * names and inodes of SQLite (merge.c).
 *
 * A scan is pulled by who needs it: READDIR takes pages until it has enough
 * to answer, LOOKUP lists a small directory whole.  Names get their cookies
 * (ids) when they are first met and keep them, so that a reader of a
 * directory that changes neither skips nor repeats.  A page tells which names
 * between its ends are gone (prune.c); only a scan that has seen its last page
 * knows the directory.  Whether that is recent: node/listing.c.
 *
 * A scan runs, or not, and one thread at a time steps it.  It ends with its
 * last page; with an error, which who pulled it has, and the next one begins
 * anew; and it begins anew (-ECANCELED) when the directory was renamed
 * meanwhile.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/dir/inside.h"
#include "nfsd/gate/keys/keys.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/path/path.h"
#include "nfsd/gate/worker/worker.h"

/* A scan that nobody pulled for so long starts from its beginning. */
#define SCAN_IDLE_MS 60000
/* Of what it lacks it asks so often, and so long. */
#define LOOKS_MAX 64
#define LOOKS_MS 1000

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

int
scan_prune_page(struct node *dir, const struct page *page, bool last,
		char **at)
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
