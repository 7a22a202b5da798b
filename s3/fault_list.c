/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bucket whose listings lag (fault.c: stale): while the rule stands, a page
 * is told as it was when somebody first asked for it; all else is as it is.
 * Or whose listings tell ETags of their own (etags), as MinIO's do of
 * encrypted objects.  Or that sorts names as people do, capitals and small
 * letters together, and tells three at a time (caseless).  Or that tells keys
 * which are not there (ghosts): deleted, and not yet out of the index.
 */
#include <config.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include "s3/fault.h"

struct told {			/* one entry of a page */
	char *key, *etag;
	struct s3_entry entry;
};

struct stale_page {
	LIST_ENTRY(stale_page) link;
	uint64_t rule;
	char *ask;		/* prefix, delimiter, where from */
	char *next;
	struct told *told;
	size_t count;
};

struct fault_stale {
	pthread_mutex_t lock;
	LIST_HEAD(, stale_page) pages;
};

static void
page_free(struct stale_page *p)
{
	for (size_t i = 0; i < p->count; i++) {
		free(p->told[i].key);
		free(p->told[i].etag);
	}
	free(p->told);
	free(p->ask);
	free(p->next);
	free(p);
}

struct fault_stale *
s3_fault_stale_new(void)
{
	struct fault_stale *s = calloc(1, sizeof(*s));

	if (s != NULL)
		pthread_mutex_init(&s->lock, NULL);
	return s;
}

void
s3_fault_stale_free(struct fault_stale **slot)
{
	struct fault_stale *s = *slot;
	struct stale_page *p;

	*slot = NULL;
	if (s == NULL)
		return;
	while ((p = LIST_FIRST(&s->pages)) != NULL) {
		LIST_REMOVE(p, link);
		page_free(p);
	}
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static int
remember(void *arg, const struct s3_entry *e)
{
	struct stale_page *p = arg;
	struct told *told = reallocarray(p->told, p->count + 1,
					 sizeof(*told));

	if (told == NULL)
		return -ENOMEM;
	p->told = told;
	told += p->count;
	told->entry = *e;
	told->key = strdup(e->key);
	told->etag = e->etag != NULL ? strdup(e->etag) : NULL;
	told->entry.key = told->key;
	told->entry.etag = told->etag;
	p->count++;
	return told->key == NULL || (e->etag != NULL && told->etag == NULL)
		       ? -ENOMEM : 0;
}

static char *
ask_of(const struct s3_list *l)
{
	char *ask;

	return asprintf(&ask, "%s\n%s\n%s\n%s\n%u", l->prefix ? l->prefix : "",
			l->delimiter ? l->delimiter : "", l->start_after ?
			l->start_after : "", l->token ? l->token : "",
			l->max_keys) < 0 ? NULL : ask;
}

/* The page that is told; asked for if nobody has yet. */
static int
page_of_locked(struct fault_stale *s, struct s3 *s3,
	       const struct s3_ops *real, uint64_t rule,
	       const struct s3_list *list, struct stale_page **out,
	       struct s3_error *err)
{
	char *ask = ask_of(list);
	struct stale_page *p;
	int r;

	if (ask == NULL)
		return -ENOMEM;
	LIST_FOREACH(p, &s->pages, link)
		if (p->rule == rule && strcmp(p->ask, ask) == 0)
			break;
	*out = p;
	if (p != NULL) {
		free(ask);
		return 0;
	}
	p = calloc(1, sizeof(*p));
	if (p == NULL) {
		free(ask);
		return -ENOMEM;
	}
	p->rule = rule;
	p->ask = ask;
	r = real->list_page(s3, list, remember, p, &p->next, err);
	if (r != 0) {
		page_free(p);
		return r;
	}
	LIST_INSERT_HEAD(&s->pages, p, link);
	*out = p;
	return 0;
}

int
s3_fault_stale_list(struct fault_stale *s, struct s3 *s3,
		    const struct s3_ops *real, uint64_t rule,
		    const struct s3_list *list,
		    int (*each)(void *arg, const struct s3_entry *entry),
		    void *arg, char **next, struct s3_error *err)
{
	struct stale_page *p = NULL;
	char *copy = NULL;
	int r;

	pthread_mutex_lock(&s->lock);
	r = page_of_locked(s, s3, real, rule, list, &p, err);
	pthread_mutex_unlock(&s->lock);
	/* Pages stay as they are until the layer ends. */
	for (size_t i = 0; r == 0 && i < p->count; i++)
		r = each(arg, &p->told[i].entry);
	if (r == 0 && p->next != NULL && (copy = strdup(p->next)) == NULL)
		r = -ENOMEM;
	if (r == 0)
		*next = copy;
	return r;
}

struct other {
	int (*each)(void *arg, const struct s3_entry *entry);
	void *arg;
};

static int
other_etag(void *arg, const struct s3_entry *e)
{
	const struct other *o = arg;
	struct s3_entry entry = *e;
	char etag[S3_ETAG_MAX];

	snprintf(etag, sizeof(etag), "listed-%.100s", e->etag ? e->etag : "");
	if (!e->is_prefix)
		entry.etag = etag;
	return o->each(o->arg, &entry);
}

int
s3_fault_other_list(struct s3 *s3, const struct s3_ops *real,
		    const struct s3_list *list,
		    int (*each)(void *arg, const struct s3_entry *entry),
		    void *arg, char **next, struct s3_error *err)
{
	struct other other = { each, arg };

	return real->list_page(s3, list, other_etag, &other, next, err);
}

#define CASELESS_PAGE 3

/* All of a listing, in the order of the bucket. */
static int
take_all(struct s3 *s3, const struct s3_ops *real, struct s3_list list,
	 struct stale_page *all, struct s3_error *err)
{
	char *token = NULL, *next;
	int r;

	list.start_after = NULL;
	list.max_keys = 0;
	do {
		next = NULL;
		list.token = token;
		r = real->list_page(s3, &list, remember, all, &next, err);
		free(token);
		token = next;
	} while (r == 0 && token != NULL);
	free(token);
	return r;
}

static int
text_order(const char *a, const char *b)
{
	int order = strcasecmp(a, b);

	return order != 0 ? order : strcmp(a, b);
}

static int
caseless_order(const void *a, const void *b)
{
	const struct told *x = a, *y = b;

	return text_order(x->key, y->key);
}

static int
byte_order(const void *a, const void *b)
{
	const struct told *x = a, *y = b;

	return strcmp(x->key, y->key);
}

int
s3_fault_caseless_list(struct s3 *s3, const struct s3_ops *real,
		       const struct s3_list *list,
		       int (*each)(void *arg, const struct s3_entry *entry),
		       void *arg, char **next, struct s3_error *err)
{
	struct stale_page *all = calloc(1, sizeof(*all));
	const char *after = list->token;	/* start_after: overlooked */
	size_t first = 0, count;
	int r = all == NULL ? -ENOMEM : take_all(s3, real, *list, all, err);

	*next = NULL;
	if (r < 0) {
		if (all != NULL)
			page_free(all);
		return r;
	}
	if (all->count > 0)
		qsort(all->told, all->count, sizeof(*all->told),
		      caseless_order);
	while (first < all->count && after != NULL &&
	       text_order(all->told[first].key, after) <= 0)
		first++;
	count = all->count - first;
	if (count > CASELESS_PAGE) {
		count = CASELESS_PAGE;
		*next = strdup(all->told[first + count - 1].key);
		r = *next != NULL ? 0 : -ENOMEM;
	}
	/* A page is told sorted, as the door promises. */
	if (count > 0)
		qsort(all->told + first, count, sizeof(*all->told),
		      byte_order);
	for (size_t i = first; r == 0 && i < first + count; i++) {
		all->told[i].entry.etag = all->told[i].etag;
		r = each(arg, &all->told[i].entry);
	}
	if (r != 0) {
		free(*next);
		*next = NULL;
	}
	page_free(all);
	return r;
}

/* A key that is not there, as that listing would tell it.  Only a part of it
 * may be told: the common prefix. */
static int
add_ghost(struct stale_page *all, const struct s3_list *list,
	  const char *ghost, size_t len)
{
	char key[S3_KEY_MAX + 1];
	size_t prefix = list->prefix != NULL ? strlen(list->prefix) : 0;
	struct s3_entry e = { .key = key, .size = 5, .etag = "ghost",
			      .mtime_ns = 1000000000 };
	char *cut;

	if (len > S3_KEY_MAX || len <= prefix ||
	    memcmp(ghost, list->prefix != NULL ? list->prefix : "", prefix) !=
		    0)
		return 0;
	memcpy(key, ghost, len);
	key[len] = '\0';
	cut = list->delimiter != NULL ? strstr(key + prefix, list->delimiter)
				      : NULL;
	if (cut != NULL) {
		cut[1] = '\0';
		e = (struct s3_entry){ .key = key, .is_prefix = true };
	} else if (key[len - 1] == '/') {
		return 0;
	}
	e.key_len = strlen(key);
	for (size_t i = 0; i < all->count; i++) {
		if (strcmp(all->told[i].key, key) == 0)
			return 0;
	}
	return remember(all, &e);
}

int
s3_fault_ghost_list(struct s3 *s3, const struct s3_ops *real,
		    const char *ghosts, const struct s3_list *list,
		    int (*each)(void *arg, const struct s3_entry *entry),
		    void *arg, char **next, struct s3_error *err)
{
	struct stale_page *all = calloc(1, sizeof(*all));
	int r = all == NULL ? -ENOMEM : take_all(s3, real, *list, all, err);

	for (size_t len; r == 0 && (len = strcspn(ghosts, ",")) > 0;
	     ghosts += len + (ghosts[len] == ','))
		r = add_ghost(all, list, ghosts, len);
	if (r == 0 && all->count > 0)
		qsort(all->told, all->count, sizeof(*all->told), byte_order);
	for (size_t i = 0; r == 0 && i < all->count; i++) {
		all->told[i].entry.etag = all->told[i].etag;
		if (list->start_after == NULL ||
		    strcmp(all->told[i].key, list->start_after) > 0)
			r = each(arg, &all->told[i].entry);
	}
	if (r == 0)
		*next = NULL;
	if (all != NULL)
		page_free(all);
	return r;
}
