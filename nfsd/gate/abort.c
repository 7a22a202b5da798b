/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Multipart uploads that were under way when the gateway ended.  Their parts
 * cost money until somebody aborts them, and are sent again; but no start waits
 * for a bucket that does not answer.  So each export has a thread for it, which
 * ends when all were tried.  A key is taken meanwhile: the next upload to it
 * comes after the end of the old one, and an old one without an id on record is
 * found by its key.  What could not be aborted is told, and left.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/gate_priv.h"

struct abort {
	STAILQ_ENTRY(abort) link;
	uint64_t owner;
	bool taken;		/* its key is */
	char *upload_id;	/* "": not on record yet, */
	int64_t since_ns;	/* and not begun before that */
	char key[];
};

static void
abort_free(struct gate_export *x, struct abort *a)
{
	if (a->taken)
		key_release(x, a->key, a->owner);
	free(a->upload_id);
	free(a);
}

int
abort_later(struct gate_export *x, uint64_t ino, const char *key,
	    const char *upload_id, int64_t since_ns)
{
	struct abort *a = calloc(1, sizeof(*a) + strlen(key) + 1);

	if (a == NULL || (a->upload_id = strdup(upload_id)) == NULL) {
		free(a);
		return -ENOMEM;
	}
	strcpy(a->key, key);
	a->since_ns = since_ns;
	a->owner = KEY_ROW | ino;
	/* A deletion may be at work there; no upload is yet. */
	a->taken = key_try(x, key, a->owner);
	STAILQ_INSERT_TAIL(&x->aborts, a, link);
	return 0;
}

static void *
abort_main(void *arg)
{
	struct gate_export *x = arg;
	struct abort *a;

	while ((a = STAILQ_FIRST(&x->aborts)) != NULL) {
		int r = a->taken ? 0 : key_take(x, a->key, a->owner);

		a->taken = r == 0;
		if (r == 0)
			r = a->upload_id[0] != '\0' ?
			    s3_upload_abort(x->s3, a->key, a->upload_id,
					    NULL) :
			    delete_parts(x, a->key, a->since_ns);
		failpoint("recover-aborted");
		if (r < 0 && r != -ENOENT)
			gate_say(x->gate, 1, "cannot abort a multipart "
				 "upload: key=%s", a->key);
		STAILQ_REMOVE_HEAD(&x->aborts, link);
		abort_free(x, a);
	}
	return NULL;
}

int
abort_start(struct gate *g)
{
	struct gate_export *x;
	int r = 0;

	LIST_FOREACH(x, &g->exports, link) {
		if (r < 0 || STAILQ_EMPTY(&x->aborts))
			continue;
		r = -pthread_create(&x->aborter, NULL, abort_main, x);
		x->aborting = r == 0;
	}
	return r;
}

void
abort_stop(struct gate *g)
{
	struct gate_export *x;
	struct abort *a;

	LIST_FOREACH(x, &g->exports, link) {
		if (x->aborting)
			pthread_join(x->aborter, NULL);
		x->aborting = false;
		/* None was started. */
		while ((a = STAILQ_FIRST(&x->aborts)) != NULL) {
			STAILQ_REMOVE_HEAD(&x->aborts, link);
			abort_free(x, a);
		}
	}
}
