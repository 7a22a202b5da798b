/* SPDX-License-Identifier: Apache-2.0 */
/*
 * errno becomes nfsstat3, here and nowhere else.  The first table is the
 * general one; an errno that is not in it is our own mistake or a disk's, and
 * reads NFS3ERR_IO.
 *
 * The second table has the exceptions: where RFC 1813 does not list a status
 * for a procedure and a client does something foolish when it gets it.  A
 * status that is not listed but means the same to every client stays as it is
 * (PERM from REMOVE in a sticky directory, ISDIR from REMOVE).
 */
#include <config.h>

#include <errno.h>
#include <stddef.h>

#include "nfsd/status.h"

#define HANDLE_ONLY UINT32_MAX	/* procedures that name no file but by handle */

struct row {
	int error;
	nfsstat3 status;
	const char *name;
};

static const struct row table[] = {
	{0, NFS3_OK, "NFS3_OK"},
	{EPERM, NFS3ERR_PERM, "NFS3ERR_PERM"},
	{ENOENT, NFS3ERR_NOENT, "NFS3ERR_NOENT"},
	{EIO, NFS3ERR_IO, "NFS3ERR_IO"},
	{ENXIO, NFS3ERR_NXIO, "NFS3ERR_NXIO"},
	{EACCES, NFS3ERR_ACCES, "NFS3ERR_ACCES"},
	{EEXIST, NFS3ERR_EXIST, "NFS3ERR_EXIST"},
	{EXDEV, NFS3ERR_XDEV, "NFS3ERR_XDEV"},
	{ENOTDIR, NFS3ERR_NOTDIR, "NFS3ERR_NOTDIR"},
	{EISDIR, NFS3ERR_ISDIR, "NFS3ERR_ISDIR"},
	{EINVAL, NFS3ERR_INVAL, "NFS3ERR_INVAL"},
	/* Path resolution is the client's: a loop is a bad argument here. */
	{ELOOP, NFS3ERR_INVAL, NULL},
	{EFBIG, NFS3ERR_FBIG, "NFS3ERR_FBIG"},
	{ENOSPC, NFS3ERR_NOSPC, "NFS3ERR_NOSPC"},
	{EROFS, NFS3ERR_ROFS, "NFS3ERR_ROFS"},
	{EMLINK, NFS3ERR_MLINK, "NFS3ERR_MLINK"},
	{ENAMETOOLONG, NFS3ERR_NAMETOOLONG, "NFS3ERR_NAMETOOLONG"},
	{ENOTEMPTY, NFS3ERR_NOTEMPTY, "NFS3ERR_NOTEMPTY"},
	{EDQUOT, NFS3ERR_DQUOT, "NFS3ERR_DQUOT"},
	{ESTALE, NFS3ERR_STALE, "NFS3ERR_STALE"},
	{EREMOTE, NFS3ERR_REMOTE, "NFS3ERR_REMOTE"},
	{EBADF, NFS3ERR_BADHANDLE, "NFS3ERR_BADHANDLE"},
	/* SETATTR's guard: the ctime is another, RFC 1813 3.3.2. */
	{EREMCHG, NFS3ERR_NOT_SYNC, "NFS3ERR_NOT_SYNC"},
	{EBADE, NFS3ERR_BAD_COOKIE, "NFS3ERR_BAD_COOKIE"},
	{ENOTSUP, NFS3ERR_NOTSUPP, "NFS3ERR_NOTSUPP"},
	{ENOSYS, NFS3ERR_NOTSUPP, NULL},
	/* Not one entry fits into what READDIR may answer, 3.3.16. */
	{EMSGSIZE, NFS3ERR_TOOSMALL, "NFS3ERR_TOOSMALL"},
	{EFAULT, NFS3ERR_SERVERFAULT, "NFS3ERR_SERVERFAULT"},
	{EPROTOTYPE, NFS3ERR_BADTYPE, "NFS3ERR_BADTYPE"},
	/* "Not yet": clients wait and ask again, and keep their dirty pages.
	 * Lack of memory and descriptors pass, too. */
	{EAGAIN, NFS3ERR_JUKEBOX, "NFS3ERR_JUKEBOX"},
	{EBUSY, NFS3ERR_JUKEBOX, NULL},
	{ENOMEM, NFS3ERR_JUKEBOX, NULL},
	{ENOBUFS, NFS3ERR_JUKEBOX, NULL},
	{EMFILE, NFS3ERR_JUKEBOX, NULL},
	{ENFILE, NFS3ERR_JUKEBOX, NULL},
	{ETIMEDOUT, NFS3ERR_JUKEBOX, NULL},
	/* The store refuses the gateway, or its bucket: the operator's to
	 * mend, and no fault of any file. */
	{EKEYREJECTED, NFS3ERR_JUKEBOX, NULL},
	{ENODEV, NFS3ERR_JUKEBOX, NULL},
	/* What came is not what was asked for: somebody else answers in the
	 * store's place, or half of it came. */
	{EBADMSG, NFS3ERR_JUKEBOX, NULL},
};

struct exception {
	uint32_t procedure;
	int error;
	nfsstat3 status;
};

static const struct exception exceptions[] = {
	/* There is no name that could be absent: the file has gone.  Linux
	 * reads NOENT here as an unknown error and does not look it up anew. */
	{HANDLE_ONLY, ENOENT, NFS3ERR_STALE},
	/* 3.3.6, 3.3.7: INVAL if the file is not a regular file. */
	{NFSPROC3_READ, EISDIR, NFS3ERR_INVAL},
	{NFSPROC3_WRITE, EISDIR, NFS3ERR_INVAL},
	{NFSPROC3_COMMIT, EISDIR, NFS3ERR_INVAL},
	{NFSPROC3_SETATTR, EISDIR, NFS3ERR_INVAL},
	/* 3.3.7 has no PERM: Linux would report EPERM at close, where users
	 * and programs expect EACCES. */
	{NFSPROC3_WRITE, EPERM, NFS3ERR_ACCES},
	{NFSPROC3_READ, EPERM, NFS3ERR_ACCES},
	/* 3.3.15: a link to a directory is INVAL. */
	{NFSPROC3_LINK, EISDIR, NFS3ERR_INVAL},
};

static int
handle_only(uint32_t procedure)
{
	switch (procedure) {
	case NFSPROC3_GETATTR:
	case NFSPROC3_SETATTR:
	case NFSPROC3_ACCESS:
	case NFSPROC3_READLINK:
	case NFSPROC3_READ:
	case NFSPROC3_WRITE:
	case NFSPROC3_READDIR:
	case NFSPROC3_READDIRPLUS:
	case NFSPROC3_FSSTAT:
	case NFSPROC3_FSINFO:
	case NFSPROC3_PATHCONF:
	case NFSPROC3_COMMIT:
		return 1;
	default:
		return 0;
	}
}

nfsstat3
status_nfs3(uint32_t procedure, int error)
{
	if (error < 0)
		error = -error;
	for (size_t i = 0; i < sizeof(exceptions) / sizeof(*exceptions); i++) {
		const struct exception *e = &exceptions[i];

		if (e->error == error && (e->procedure == procedure ||
		    (e->procedure == HANDLE_ONLY && handle_only(procedure))))
			return e->status;
	}
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		if (table[i].error == error)
			return table[i].status;
	}
	return NFS3ERR_IO;
}

mountstat3
status_mount3(int error)
{
	switch (error < 0 ? -error : error) {
	case 0:
		return MNT3_OK;
	case EPERM:
		return MNT3ERR_PERM;
	case ENOENT:
	case ESTALE:
		return MNT3ERR_NOENT;
	case EACCES:
		return MNT3ERR_ACCES;
	case ENOTDIR:
		return MNT3ERR_NOTDIR;
	case EINVAL:
		return MNT3ERR_INVAL;
	case ENAMETOOLONG:
		return MNT3ERR_NAMETOOLONG;
	case ENOTSUP:
		return MNT3ERR_NOTSUPP;
	case ENOMEM:
		return MNT3ERR_SERVERFAULT;
	default:
		return MNT3ERR_IO;
	}
}

const char *
status_name(nfsstat3 status)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		if (table[i].status == status && table[i].name != NULL)
			return table[i].name;
	}
	return "?";
}
