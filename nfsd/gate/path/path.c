/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths and keys.  The key of a file is the export's prefix and the path that
 * its names spell; a directory's ends in '/'.  Names that are not the component
 * of their key are component.c's affair; where an object still lies under a
 * path that was renamed, source.c's.
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "nfsd/gate/node/node.h"
#include "nfsd/gate/path/inside.h"

#define DEPTH_MAX 1100		/* a key may be nothing but slashes */

bool
path_name_ok(const char *name, size_t len)
{
	return len > 0 && len <= META_NAME_MAX &&
	       memchr(name, '/', len) == NULL &&
	       !(len == 1 && name[0] == '.') &&
	       !(len == 2 && name[0] == '.' && name[1] == '.');
}

/*
 * Write the names from the root down, or the components of the key that they
 * stand for, into the end of buf.  Returns where the text begins, or NULL if
 * it does not fit.
 */
static char *
spell(struct node *n, bool components, char *buf, size_t size)
{
	struct gate *g = n->export->gate;
	struct node *at = node_ref(n);
	char *p = buf + size - 1;

	*p = '\0';
	for (int depth = 0; at != NULL && at->ino != n->export->root;
	     depth++) {
		char name[META_NAME_MAX + 1], component[COMPONENT_MAX + 1];
		const char *text = components ? component : name;
		struct node *up = NULL;
		uint64_t parent;
		size_t len = 0;
		bool ok;

		node_name(at, &parent, name);
		ok = depth < DEPTH_MAX && name[0] != '\0' &&
		     (!components ||
		      component_of_name(at, name, component) == 0);
		if (ok)
			len = strlen(text);
		if (!ok || (size_t)(p - buf) < len + 1 ||
		    node_get(g, parent, true, &up) < 0) {
			node_put(&at);
			return NULL;
		}
		p -= len;
		memcpy(p, text, len);
		*--p = '/';
		node_put(&at);
		at = up;
	}
	node_put(&at);
	return p;
}

/* path: "" or "/COMPONENT/COMPONENT"; name: "" or one more. */
static int
finish_key(struct gate_export *x, const char *path, const char *name,
	   bool is_dir, char key[META_KEY_MAX + 2])
{
	int len;

	if (path == NULL)
		return -ENAMETOOLONG;
	/* The first slash is not the key's; an empty component is nothing
	 * between two slashes. */
	len = snprintf(key, META_KEY_MAX + 2, "%s%s%s%s%s", x->c.prefix,
		       path[0] == '/' ? path + 1 : path,
		       path[0] != '\0' && name != NULL ? "/" : "",
		       name != NULL ? name : "",
		       is_dir && (path[0] != '\0' || name != NULL) ? "/"
								     : "");
	return len > META_KEY_MAX ? -ENAMETOOLONG : 0;
}

int
path_key(struct node *n, char key[META_KEY_MAX + 2])
{
	char buf[META_KEY_MAX + 2];

	return finish_key(n->export, spell(n, true, buf, sizeof(buf)), NULL,
			  node_kind(n) == GATE_DIR, key);
}

int
path_child_key(struct node *dir, const char *name, bool is_dir,
	       char key[META_KEY_MAX + 2])
{
	char component[COMPONENT_MAX + 1];
	enum component_form form = component_from_name(dir->export->any_bytes,
						       name, component);

	if (form != COMPONENT_PLAIN && form != COMPONENT_MANGLED)
		return -EINVAL;
	/* It would be out of reach, or another's. */
	if (component_s3_odd(component) &
	    __atomic_load_n(&dir->export->mangled, __ATOMIC_RELAXED))
		return -EINVAL;
	return path_component_key(dir, component, is_dir, key);
}

int
path_component_key(struct node *dir, const char *component, bool is_dir,
		   char key[META_KEY_MAX + 2])
{
	char buf[META_KEY_MAX + 2];

	return finish_key(dir->export, spell(dir, true, buf, sizeof(buf)),
			  component, is_dir, key);
}

void
path_text(struct node *n, char *out, size_t size)
{
	char buf[4096], *p = spell(n, false, buf, sizeof(buf));

	if (p == NULL)
		snprintf(out, size, "%s/?inode=%llu", n->export->c.name,
			 (unsigned long long)n->ino);
	else
		snprintf(out, size, "%s%s", n->export->c.name, p);
}

/* The last component of a key, without the slash of a directory. */
int
path_last_component(const char *key, char component[COMPONENT_MAX + 1])
{
	size_t len = strlen(key), from;

	if (len > 0 && key[len - 1] == '/')
		len--;
	for (from = len; from > 0 && key[from - 1] != '/'; from--)
		;
	if (len - from > COMPONENT_MAX)
		return -ENAMETOOLONG;
	memcpy(component, key + from, len - from);
	component[len - from] = '\0';
	return 0;
}

int
component_of_name(struct node *n, const char *name,
		  char component[COMPONENT_MAX + 1])
{
	bool any = n->export->any_bytes, shadowed;
	enum component_form form = component_from_name(any, name, component);
	char again[META_NAME_MAX + 1];
	int r = 0;

	if (form == COMPONENT_NONE)
		return -EINVAL;
	if (form != COMPONENT_LONG && form != COMPONENT_SHADOWED_LONG)
		return 0;
	shadowed = form == COMPONENT_SHADOWED_LONG;
	mutex_lock(&n->mutex);
	if (n->i.kind != GATE_DIR)
		r = path_last_component(n->i.base_key, component);
	else if (n->i.target != NULL && strlen(n->i.target) <= COMPONENT_MAX)
		strcpy(component, n->i.target);
	else
		r = -EINVAL;
	mutex_unlock(&n->mutex);
	if (r < 0)
		return r;
	component_to_name(any, component, shadowed, again);
	return strcmp(again, name) == 0 ? 0 : -EINVAL;
}
