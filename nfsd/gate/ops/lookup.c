/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LOOKUP.  How a name is found: dir/lookup.c.
 */

#include <config.h>

#include <errno.h>
#include <string.h>

#include "nfsd/gate/dir/dir.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/path/path.h"
#include "nfsd/gate/writer/writer.h"

int
gate_lookup(struct gate_export *x, struct gate_request *rq,
	    const struct gate_fh *fh, const char *name, struct gate_fh *out,
	    struct gate_attr *attr, struct gate_wcc *dir_attr)
{
	struct node *dir = NULL, *n = NULL;
	int r = node_from_fh(x, rq, fh, &dir);

	if (r < 0)
		return r;
	if (node_kind(dir) != GATE_DIR)
		r = -ENOTDIR;
	else if (strlen(name) > META_NAME_MAX)
		r = -ENAMETOOLONG;
	else if (!perm_allows(rq, node_perm(dir), MAY_EXEC))
		r = -EACCES;
	else if (strcmp(name, ".") == 0)
		n = node_ref(dir);
	else if (strcmp(name, "..") == 0)
		/* Never above the export's root (CVE-2021-3178). */
		r = dir->ino == x->root ? (n = node_ref(dir), 0)
					: node_get(x->gate, dir->parent,
						   rq->may_block, &n);
	else if (!path_name_ok(name, strlen(name)))
		r = -ENOENT;
	else
		r = lookup_child(dir, rq, name, &n);
	if (r == 0) {
		admit_looked(n, rq, true);
		*out = node_fh(n);
		node_attr(n, rq, attr);
	} else if (r == -EAGAIN && rq->again == GATE_AGAIN_NONE) {
		rq->again = GATE_NEEDS_THREAD;
	}
	wcc_after(dir, rq, dir_attr);
	node_put(&n);
	node_put(&dir);
	return r;
}
