/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Multipart uploads that were under way when the gateway ended.  Their parts
 * cost money until somebody aborts them, and are sent again; but no start waits
 * for a bucket that does not answer.  So each export has a thread for it, which
 * ends when all were tried.  A key is taken meanwhile: the next upload to it
 * comes after the end of the old one, and an old one without an id on record is
 * found by its key.  What could not be aborted is told, and left.
 *
 * And those of which nothing is on record: of a CreateMultipartUpload whose
 * answer was lost, of a gateway that lost its disk.  At the start and once a
 * day uploads below the export's prefix are listed; those that nobody has ended
 * for abort_uploads_ms are aborted, whoever began them, unless their key is in
 * the hands of an upload of ours.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/inside.h"
#include "nfsd/gate/keys/keys.h"
#include "nfsd/gate/worker/worker.h"

struct abort {
	STAILQ_ENTRY(abort) link;
	uint64_t owner;
	bool taken;		/* its key is */
	char *upload_id;	/* "": not on record yet, */
	int64_t since_ns;	/* and not begun before that, */
	int64_t until_ns;	/* nor after */
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
	a->until_ns = clock_ns();
	a->owner = KEY_ROW | ino;
	/* A deletion may be at work there; no upload is yet. */
	a->taken = key_try(x, key, a->owner);
	STAILQ_INSERT_TAIL(&x->aborts, a, link);
	return 0;
}

/* ---- those that nobody ends ---- */

#define SWEEP_MS (24 * 3600 * 1000ULL)
#define SWEEP_AGAIN_MS (15 * 60 * 1000ULL)	/* it could not be listed */
#define SWEEPER (KEY_ROW | (KEY_ROW - 1))	/* no row has this number */

struct sweeping {
	struct gate_export *x;
	int64_t before_ns;
	uint64_t aborted;
	int error;
};

static int
prune_one(void *arg, const char *key, const char *upload_id,
	  int64_t initiated_ns)
{
	struct sweeping *s = arg;
	struct gate_export *x = s->x;
	int r;

	if (__atomic_load_n(&x->gate->stopping, __ATOMIC_RELAXED))
		return 1;
	if (initiated_ns == 0 || initiated_ns > s->before_ns ||
	    !key_try(x, key, SWEEPER))
		return 0;
	r = s3_upload_abort(x->s3, key, upload_id, NULL);
	key_release(x, key, SWEEPER);
	s->aborted += r == 0;
	if (r < 0 && r != -ENOENT)
		s->error = r;
	return 0;
}

static int
sweep_uploads(struct gate_export *x)
{
	uint64_t age_ms = x->c.abort_uploads_ms;
	struct sweeping s = {
		.x = x,
		/* As the store tells the time, who says when they began. */
		.before_ns = s3_clock_ns(x->s3) - CLOCKS_NS -
			     (int64_t)age_ms * 1000000,
	};
	int r = s3_upload_list(x->s3, x->c.prefix, prune_one, &s, NULL);

	if (s.aborted > 0)
		gate_say(x->gate, 2, "multipart uploads that nobody had ended "
			 "were aborted: export=%s uploads=%llu", x->c.name,
			 (unsigned long long)s.aborted);
	if (r >= 0 && s.error < 0)
		gate_say(x->gate, 1, "cannot abort an old multipart upload: "
			 "export=%s %s", x->c.name, strerror(-s.error));
	return r;
}

static void
sweep_daily(struct gate_export *x)
{
	struct gate *g = x->gate;
	int r = 0;

	while (r != -ENOTSUP && x->c.abort_uploads_ms > 0 &&
	       !__atomic_load_n(&g->stopping, __ATOMIC_RELAXED)) {
		r = sweep_uploads(x);
		gate_rest(g, r < 0 ? SWEEP_AGAIN_MS : SWEEP_MS);
	}
}

/* ---- the thread ---- */

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
			    delete_parts(x, a->key, a->since_ns,
					 a->until_ns);
		failpoint("recover-aborted");
		if (r < 0 && r != -ENOENT)
			gate_say(x->gate, 1, "cannot abort a multipart "
				 "upload: key=%s", a->key);
		STAILQ_REMOVE_HEAD(&x->aborts, link);
		abort_free(x, a);
	}
	sweep_daily(x);
	return NULL;
}

int
abort_start(struct gate *g)
{
	struct gate_export *x;
	int r = 0;

	LIST_FOREACH(x, &g->exports, link) {
		if (r < 0 || (STAILQ_EMPTY(&x->aborts) &&
			      x->c.abort_uploads_ms == 0))
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
