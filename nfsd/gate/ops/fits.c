/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Could every object below a directory follow, if the directory had another
 * name?  S3 ends keys at 1,024 bytes, and copies no archived object
 * (dir/cold.c).  Asked before a rename is answered, since what is too long
 * afterwards can neither be relocated there nor be reached.  (What is archived
 * and met later stays where it is, reached by its new name.)
 *
 * Looked at is what is known here, and the first pages of the old prefix as
 * the bucket lists it, both within bounds: a directory of millions is not read
 * for it, and none where no key grows and nothing archived was ever met.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/dir/dir.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/object/object.h"
#include "nfsd/gate/ops/inside.h"
#include "nfsd/gate/path/path.h"

#define NAMES_MAX 100000
#define PAGES_MAX 3

struct below {			/* a directory yet to be looked at */
	uint64_t ino;
	size_t len;		/* of its path below the top, with the '/' */
};

struct look {
	bool any_bytes;
	size_t room;		/* behind the new prefix */
	struct below *list;
	size_t count, space;
	size_t names, len;	/* met so far; of the one at hand */
};

static int
add(struct look *l, uint64_t ino, size_t len)
{
	size_t space = l->space ? 2 * l->space : 64;
	struct below *list;

	if (l->count == l->space) {
		list = reallocarray(l->list, space, sizeof(*list));
		if (list == NULL)
			return -ENOMEM;
		l->list = list;
		l->space = space;
	}
	l->list[l->count++] = (struct below){ .ino = ino, .len = len };
	return 0;
}

/* 1: enough was seen. */
static int
one_name(void *arg, const struct meta_name *name)
{
	struct look *l = arg;
	char component[COMPONENT_MAX + 1];
	size_t len = l->len;

	switch (component_from_name(l->any_bytes, name->name, component)) {
	case COMPONENT_PLAIN:
	case COMPONENT_MANGLED:
	case COMPONENT_SHADOWED:
		len += strlen(component);
		break;
	default:		/* at least that */
		len += strlen(name->name);
	}
	len += name->kind == GATE_DIR;
	if (len > l->room)
		return -ENAMETOOLONG;
	if (++l->names > NAMES_MAX)
		return 1;
	return name->kind == GATE_DIR ? add(l, name->ino, len) : 0;
}

static int
known_fit(struct node *dir, size_t room)
{
	struct look l = { .any_bytes = dir->export->any_bytes, .room = room };
	int r = add(&l, dir->ino, 0);

	while (r == 0 && l.count > 0) {
		struct below at = l.list[--l.count];

		l.len = at.len;
		r = meta_each_name_between(dir->export->gate->meta, at.ino, "",
					   NULL, one_name, &l);
	}
	free(l.list);
	return r == 1 ? 0 : r;
}

struct listing {
	size_t source_len, room;
	struct cold_list *cold;
};

static int
one_key(void *arg, const struct s3_entry *e)
{
	const struct listing *l = arg;

	if (e->cold == S3_COLD_YES)
		cold_note(l->cold, e->key, e->key_len);
	return e->key_len > l->source_len &&
	       e->key_len - l->source_len > l->room ? -ENAMETOOLONG : 0;
}

/* A store that does not tell is no reason to refuse. */
static int
listed_fit(struct gate_export *x, const char *source, size_t room,
	   struct cold_list *cold)
{
	struct listing l = { .source_len = strlen(source), .room = room,
			     .cold = cold };
	struct s3_list list = { .prefix = source };
	char *token = NULL;
	int r = 0;

	for (int i = 0; r == 0 && i < PAGES_MAX; i++) {
		char *next = NULL;

		list.token = token;
		r = s3_list_page(x->s3, &list, one_key, &l, &next, NULL);
		free(token);
		token = next;
		if (token == NULL)
			break;
	}
	free(token);
	return r == -ENAMETOOLONG ? r : 0;
}

int
rename_fits(struct rename *m, struct gate_request *rq)
{
	char from[META_KEY_MAX + 2], to[META_KEY_MAX + 2];
	struct gate_export *x = m->file->export;
	CLEANUP_COLD struct cold_list cold = { 0 };
	size_t room = SIZE_MAX;
	int r = path_child_key(m->to.node, m->to_name, true, to);

	if (r == 0)
		r = path_key(m->file, from);
	if (r < 0)
		return r;
	/* Only a name that makes keys longer may make one too long. */
	if (strlen(to) > strlen(from)) {
		room = S3_KEY_MAX - strlen(to);
		r = known_fit(m->file, room);
	}
	if (r < 0 || offline_now(x))
		return r;
	r = cold_any(x);
	if (r < 0 || (r == 0 && room == SIZE_MAX))
		return r;
	r = may_ask_store(rq);
	if (r == 0)
		r = listed_fit(x, from, room, &cold);
	if (r == 0)
		r = cold_known_below(x, from, &cold);
	return r < 0 ? r : cold_any_locked(x, &cold);
}
