/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_STATUS_H
#define NFSD_STATUS_H

#include <stdint.h>

#include "rpcgen/mount.h"
#include "rpcgen/nfs3.h"

/* The answer of an NFSv3 procedure to a negative errno (0: NFS3_OK). */
nfsstat3 status_nfs3(uint32_t procedure, int error);

/* The same for MNT; version 1 takes the number as a UNIX errno, which these
 * are but for NOTSUPP and SERVERFAULT. */
mountstat3 status_mount3(int error);

/* "NFS3ERR_NOENT", for the log; "?" for no status. */
const char *status_name(nfsstat3 status);

#endif
