/* SPDX-License-Identifier: Apache-2.0 */
/* errno to nfsstat3: nfsd/status.c. */
#include <config.h>

#include <errno.h>

#include "nfsd/status.h"
#include "tests/unit.h"

static void
what_the_gate_promises_is_mapped(void)
{
	const struct { int error; nfsstat3 status; } want[] = {
		{0, NFS3_OK}, {-ENOENT, NFS3ERR_NOENT},
		{-EAGAIN, NFS3ERR_JUKEBOX}, {-EREMCHG, NFS3ERR_NOT_SYNC},
		{-ESTALE, NFS3ERR_STALE}, {-EBADF, NFS3ERR_BADHANDLE},
		{-EACCES, NFS3ERR_ACCES}, {-EROFS, NFS3ERR_ROFS},
		{-ENOSPC, NFS3ERR_NOSPC}, {-EDQUOT, NFS3ERR_DQUOT},
		{-ENAMETOOLONG, NFS3ERR_NAMETOOLONG},
		{-ENOTEMPTY, NFS3ERR_NOTEMPTY}, {-ENOTSUP, NFS3ERR_NOTSUPP},
		{-EXDEV, NFS3ERR_XDEV}, {-EMLINK, NFS3ERR_MLINK},
		{-EFBIG, NFS3ERR_FBIG}, {-EMSGSIZE, NFS3ERR_TOOSMALL},
		{-EPROTOTYPE, NFS3ERR_BADTYPE}, {-EIO, NFS3ERR_IO},
		{-ENOMEM, NFS3ERR_JUKEBOX}, {-EBADMSG, NFS3ERR_JUKEBOX},
	};

	for (size_t i = 0; i < sizeof(want) / sizeof(*want); i++)
		CU_ASSERT_EQUAL(status_nfs3(NFSPROC3_CREATE, want[i].error),
				want[i].status);
}

static void
unknown_errors_are_io(void)
{
	for (int error = 1; error < 200; error++) {
		nfsstat3 status = status_nfs3(NFSPROC3_MKDIR, -error);

		CU_ASSERT_NOT_EQUAL(status, NFS3_OK);
		CU_ASSERT_STRING_NOT_EQUAL(status_name(status), "?");
	}
	CU_ASSERT_EQUAL(status_nfs3(NFSPROC3_READ, -ELIBBAD), NFS3ERR_IO);
	CU_ASSERT_STRING_EQUAL(status_name((nfsstat3)4711), "?");
}

static void
a_file_without_a_name_goes_stale_not_absent(void)
{
	CU_ASSERT_EQUAL(status_nfs3(NFSPROC3_GETATTR, -ENOENT), NFS3ERR_STALE);
	CU_ASSERT_EQUAL(status_nfs3(NFSPROC3_COMMIT, -ENOENT), NFS3ERR_STALE);
	CU_ASSERT_EQUAL(status_nfs3(NFSPROC3_LOOKUP, -ENOENT), NFS3ERR_NOENT);
	CU_ASSERT_EQUAL(status_nfs3(NFSPROC3_RENAME, -ENOENT), NFS3ERR_NOENT);
}

static void
reads_and_writes_of_directories_are_invalid(void)
{
	CU_ASSERT_EQUAL(status_nfs3(NFSPROC3_READ, -EISDIR), NFS3ERR_INVAL);
	CU_ASSERT_EQUAL(status_nfs3(NFSPROC3_WRITE, -EISDIR), NFS3ERR_INVAL);
	CU_ASSERT_EQUAL(status_nfs3(NFSPROC3_REMOVE, -EISDIR), NFS3ERR_ISDIR);
	CU_ASSERT_EQUAL(status_nfs3(NFSPROC3_WRITE, -EPERM), NFS3ERR_ACCES);
	CU_ASSERT_EQUAL(status_nfs3(NFSPROC3_SETATTR, -EPERM), NFS3ERR_PERM);
}

static void
mount_has_its_own_numbers(void)
{
	CU_ASSERT_EQUAL(status_mount3(0), MNT3_OK);
	CU_ASSERT_EQUAL(status_mount3(-EACCES), MNT3ERR_ACCES);
	CU_ASSERT_EQUAL(status_mount3(-ENOENT), MNT3ERR_NOENT);
	CU_ASSERT_EQUAL(status_mount3(-ENOTDIR), MNT3ERR_NOTDIR);
	CU_ASSERT_EQUAL(status_mount3(-EAGAIN), MNT3ERR_IO);
}

TEST_MAIN("nfsd_status", T(what_the_gate_promises_is_mapped),
	  T(unknown_errors_are_io),
	  T(a_file_without_a_name_goes_stale_not_absent),
	  T(reads_and_writes_of_directories_are_invalid),
	  T(mount_has_its_own_numbers))
