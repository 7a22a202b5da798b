/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_OBJATTR_H
#define NFSD_GATE_OBJATTR_H

/*
 * Attributes of a file as the metadata of its object: objattr.c tells which
 * keys there are.
 */

#include <stdbool.h>
#include <stdint.h>

#include "nfsd/gate/gate.h"
#include "s3/s3.h"

struct objattr {
	enum gate_kind kind;
	uint32_t mode;		/* 07777 */
	uint32_t uid, gid;
	uint32_t rdev_major, rdev_minor;
	int64_t atime_ns, mtime_ns, ctime_ns;
	int64_t btime_ns;	/* format: 0 leaves what the object carries */
	bool explicit_mtime;	/* from metadata, not Last-Modified */
	bool explicit_mode;
};

struct objattr_defaults {	/* of the export */
	uint32_t file_mode, dir_mode, uid, gid;
	enum gate_dialect dialect;
};

/*
 * What the object's metadata says.  The key decides about a directory ('/'
 * at its end).  A value that is malformed or out of range counts as absent.
 * What is absent comes from the defaults; mtime and ctime from
 * Last-Modified, atime and btime from mtime.
 */
void gate_objattr_parse(const struct objattr_defaults *d, const char *key,
			const struct s3_object *object, struct objattr *out);

/*
 * headers: in, what the object carries now (may be empty); out, what the
 * next version shall carry.  s3_mtime_hint_ns: the Last-Modified that the
 * next version will have, if the caller knows (0: no); times equal to it are
 * left out.  0 or -ENOMEM.
 */
int gate_objattr_format(const struct objattr_defaults *d,
			const struct objattr *attr, int64_t s3_mtime_hint_ns,
			struct s3_headers *headers)
	__attribute__((warn_unused_result));

#endif
