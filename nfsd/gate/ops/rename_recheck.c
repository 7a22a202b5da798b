/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A RENAME has the locks that it wants: is all as it was when it looked?
 */

#include <config.h>

#include <errno.h>

#include "nfsd/gate/dir/dir.h"
#include "nfsd/gate/link/link.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/ops/inside.h"

int
rename_recheck(struct rename *m, struct gate_request *rq)
{
	struct node *n = NULL;
	int r = lookup_known(m->from.node, rq, m->from_name, &n);

	if (r == 0 && n != m->file)
		r = -EAGAIN;
	node_put(&n);
	if (r < 0)
		return r;
	r = lookup_known(m->to.node, rq, m->to_name, &n);
	if (r == 0 && n != m->victim)
		r = -EAGAIN;
	if (r == -ENOENT)
		r = m->victim == NULL ? 0 : -EAGAIN;
	node_put(&n);
	if (r == 0)
		r = link_pair_check(m->file, &m->files);
	if (r == 0 && m->victim != NULL)
		r = link_pair_check(m->victim, &m->victims);
	return r;
}
