/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Metadata of foreign objects: lines of "name=value", the first line is the
 * key.  What was parsed is written, read back, and must be the same.
 */

#include <config.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/object/object.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
add_line(struct s3_headers *h, char *line)
{
	char *equals = strchr(line, '=');
	char name[300];

	if (equals == NULL || equals - line > 200 || h->count > 50)
		return;
	*equals = '\0';
	snprintf(name, sizeof(name), "x-amz-meta-%s", line);
	if (s3_headers_set(h, name, equals + 1) != 0)
		abort();
}

static void
check_round_trip(enum gate_dialect dialect, const char *key,
		 struct s3_object *o)
{
	const struct objattr_defaults d = {
		.file_mode = 0666, .dir_mode = 0777, .uid = 65534,
		.gid = 65534, .dialect = dialect,
	};
	struct objattr a, b;

	gate_objattr_parse(&d, key, o, &a);
	if (gate_objattr_format(&d, &a, 0, &o->headers) != 0)
		abort();
	if (dialect == GATE_META_NONE)
		return;
	gate_objattr_parse(&d, key, o, &b);
	if (a.kind != b.kind || a.mode != b.mode || a.uid != b.uid ||
	    a.gid != b.gid || a.rdev_major != b.rdev_major ||
	    a.rdev_minor != b.rdev_minor || a.mtime_ns != b.mtime_ns ||
	    a.atime_ns != b.atime_ns)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct s3_object o = { .mtime_ns = 1700000000000000000 };
	char *text = malloc(size + 1), *line, *rest, *key;

	if (text == NULL)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	rest = text;
	key = strsep(&rest, "\n");
	while ((line = strsep(&rest, "\n")) != NULL)
		add_line(&o.headers, line);
	check_round_trip(GATE_META_NONE, key, &o);
	check_round_trip(GATE_META_AWS, key, &o);
	check_round_trip(GATE_META_S3FS, key, &o);
	s3_object_free(&o);
	free(text);
	return 0;
}
