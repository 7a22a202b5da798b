/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Permission checks by owner, group and other, as a kernel NFS server does
 * them: the first class that fits decides; the owner of a file may always
 * read and write it, since the client checked at open (RFC 1813 4.4); root
 * may do all but execute what nobody may execute.
 */

#include <config.h>

#include <errno.h>

#include "nfsd/gate/node/node.h"

bool
perm_in_group(const struct gate_request *rq, uint32_t gid)
{
	if (rq->cred.gid == gid)
		return true;
	for (unsigned i = 0; i < rq->cred.group_count; i++) {
		if (rq->cred.groups[i] == gid)
			return true;
	}
	return false;
}

struct perm
perm_of(const struct meta_inode *i)
{
	return (struct perm){ .kind = i->kind,
			      .mode = i->mode,
			      .uid = i->uid,
			      .gid = i->gid };
}

struct perm
node_perm(struct node *n)
{
	struct perm p;

	mutex_lock(&n->mutex);
	p = perm_of(&n->i);
	mutex_unlock(&n->mutex);
	return p;
}

int
node_kind(struct node *n)
{
	return node_perm(n).kind;
}

bool
perm_owner(const struct gate_request *rq, struct perm p)
{
	return rq->cred.uid == 0 || rq->cred.uid == p.uid;
}

bool
perm_allows(const struct gate_request *rq, struct perm p, unsigned want)
{
	unsigned bits = p.mode;

	if (rq->cred.uid == 0) {
		return !(want & MAY_EXEC) || p.kind == GATE_DIR ||
		       (p.mode & 0111) != 0;
	}
	if (rq->cred.uid == p.uid)
		bits >>= 6;
	else if (perm_in_group(rq, p.gid))
		bits >>= 3;
	return (bits & 7 & want) == want;
}

uint32_t
perm_mode_written(const struct gate_request *rq, const struct meta_inode *i)
{
	uint32_t mode = i->mode;

	if (rq->cred.uid == 0 || i->kind != GATE_REG)
		return mode;
	mode &= ~04000U;
	if ((mode & 010) || !perm_in_group(rq, i->gid))
		mode &= ~02000U;
	return mode;
}

int
perm_remove(const struct gate_request *rq, struct perm dir, struct perm victim)
{
	if (!perm_allows(rq, dir, MAY_WRITE | MAY_EXEC))
		return -EACCES;
	if ((dir.mode & 01000) != 0 && rq->cred.uid != 0 &&
	    rq->cred.uid != dir.uid && rq->cred.uid != victim.uid)
		return -EPERM;
	return 0;
}
