/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files and directories whose name is not the last component of their key
 * (path/component.c): how to come from one to the other where that takes more
 * than the name.
 *
 * The component of a LONG name is in the row: of a file its object's key, of a
 * directory, which may have no object, `target`.  Nobody can make such a
 * name, so that it is always there; for a LOOKUP of one that was never
 * listed, the keys that begin like it are.
 *
 * An object `d` beside objects `d/...` is a file and a directory of one name.
 * The directory keeps it, since paths go through it; the file steps aside,
 * to %s3-file%d, when both are met, and comes back when a listing of the
 * whole directory meets it alone.  Its key is the same all the while.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/dir/inside.h"
#include "nfsd/gate/keys/keys.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/path/path.h"

#define SETTING "beside"	/* some file has stepped aside */

int
mangled_note(struct gate_export *x, const char *key, struct meta_inode *i)
{
	char component[COMPONENT_MAX + 1], name[META_NAME_MAX + 1],
	    back[COMPONENT_MAX + 1];

	if (i->kind != GATE_DIR || i->target != NULL ||
	    path_last_component(key, component) < 0)
		return 0;
	component_to_name(x->any_bytes, component, false, name);
	if (component_from_name(x->any_bytes, name, back) != COMPONENT_LONG)
		return 0;
	i->target = strdup(component);
	return i->target != NULL ? 0 : -ENOMEM;
}

/* ---- looking for a LONG name ---- */

struct finding {
	struct gate_export *x;
	const char *name;
	char *component;
	size_t prefix_len;
	bool shadowed;
};

static int
find_entry(void *arg, const struct s3_entry *e)
{
	struct finding *f = arg;
	char component[COMPONENT_MAX + 1], name[META_NAME_MAX + 1];

	if (e->key_len < f->prefix_len || (f->shadowed && e->is_prefix) ||
	    path_last_component(e->key + f->prefix_len, component) < 0)
		return 0;
	component_to_name(f->x->any_bytes, component, f->shadowed, name);
	if (strcmp(name, f->name) != 0)
		return 0;
	strcpy(f->component, component);
	return 1;
}

int
mangled_find(struct node *dir, const char *name,
	     char component[COMPONENT_MAX + 1])
{
	struct gate_export *x = dir->export;
	struct finding f = { .x = x, .name = name, .component = component };
	char prefix[META_KEY_MAX + 2], head[META_NAME_MAX + 1];
	char *token = NULL, *next = NULL;
	int r = path_key(dir, prefix);

	if (r < 0)
		return r;
	f.prefix_len = strlen(prefix);
	f.shadowed = component_from_name(x->any_bytes, name, component) ==
		     COMPONENT_SHADOWED_LONG;
	component_head(name, head);
	if (f.prefix_len + strlen(head) > META_KEY_MAX)
		return -ENOENT;
	strcat(prefix, head);
	do {
		struct s3_list list = { .prefix = prefix, .delimiter = "/",
					.token = token };

		next = NULL;
		r = s3_list_page(x->s3, &list, find_entry, &f, &next, NULL);
		free(token);
		token = next;
	} while (r == 0 && token != NULL);
	free(token);
	return r == 0 ? -ENOENT : r < 0 ? r : 0;
}

/* ---- `d` beside `d/` ---- */

int
mangled_load(struct gate *g)
{
	uint8_t value = 0;
	int r = meta_get_setting(g->meta, SETTING, &value, sizeof(value));

	g->shadowed = r > 0 && value != 0;
	return r < 0 && r != -ENOENT ? r : 0;
}

/* Another name for what is called so.  Its key stays.  Both are locked. */
static int
give_name(struct node *dir, struct node *n, const char *from, const char *to)
{
	struct gate *g = dir->export->gate;
	struct meta_name entry, taken;
	struct meta_batch *b;
	uint8_t yes = 1;
	int r = meta_get_name(g->meta, dir->ino, from, &entry);

	node_must_be_locked(dir);
	node_must_be_locked(n);
	/* It has got another name while its lock was waited for. */
	if (r == -ENOENT || (r == 0 && (entry.ino != n->ino || node_dead(n))))
		return 0;
	if (r < 0)
		return r;
	strcpy(entry.name, to);
	r = meta_new_name_id(g->meta, &entry.id);
	if (r == 0)
		r = node_name_room(n, &entry);
	if (r == 0)
		r = meta_get_name(g->meta, dir->ino, to, &taken);
	if (r != -ENOENT)
		return r;
	b = meta_batch_new();
	meta_del_name(b, dir->ino, from);
	meta_add_name(b, &entry);
	meta_put_setting(b, SETTING, &yes, sizeof(yes));
	r = meta_commit(g->meta, &b);
	meta_batch_free(&b);
	if (r == 0)
		node_rename(n, &entry);
	__atomic_store_n(&g->shadowed, true, __ATOMIC_RELAXED);
	negative_del(g, dir->ino, to);
	return r;
}

static int
rename_row(struct node *dir, const char *from, const char *to)
{
	struct gate *g = dir->export->gate;
	struct meta_name entry;
	struct node *n = NULL;
	int r = meta_get_name(g->meta, dir->ino, from, &entry);

	if (r == 0)
		r = node_get(g, entry.ino, true, &n);
	if (r < 0)
		return r == -ENOENT || r == -ESTALE ? 0 : r;
	/* The names of a file with several change under its lock alone. */
	node_lock_wait(n);
	r = give_name(dir, n, from, to);
	node_unlock(n);
	node_put(&n);
	return r;
}

/* What bears the name?  -ENOENT, or its kind. */
static int
kind_of_name(struct node *dir, const char *name)
{
	struct gate *g = dir->export->gate;
	struct node *n = node_find_child(g, dir->ino, name);
	struct meta_name entry;
	int r;

	if (n != NULL) {
		r = (int)node_kind(n);
		node_put(&n);
		return r;
	}
	r = meta_get_name(g->meta, dir->ino, name, &entry);
	return r < 0 ? r : entry.kind;
}

int
mangled_file(struct node *dir, const char *component,
	     char name[META_NAME_MAX + 1])
{
	struct gate *g = dir->export->gate;
	char shadowed[META_NAME_MAX + 1];
	int kind = kind_of_name(dir, name);

	if (kind < 0 && kind != -ENOENT)
		return kind;
	if (kind == GATE_DIR) {
		component_to_name(dir->export->any_bytes, component, true,
				  name);
		return 0;
	}
	if (kind != -ENOENT || !__atomic_load_n(&g->shadowed, __ATOMIC_RELAXED))
		return 0;
	component_to_name(dir->export->any_bytes, component, true, shadowed);
	return rename_row(dir, shadowed, name);
}

int
mangled_dir(struct node *dir, const char *component, const char *name)
{
	char shadowed[META_NAME_MAX + 1];
	int kind = kind_of_name(dir, name);

	if (kind < 0)
		return kind == -ENOENT ? 0 : kind;
	if (kind == GATE_DIR)
		return 0;
	component_to_name(dir->export->any_bytes, component, true, shadowed);
	return rename_row(dir, name, shadowed);
}
