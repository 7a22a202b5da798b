/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a directory's node knows of its own listing: is it complete, and how
 * fresh is it?
 */

#include <config.h>

#include <stdlib.h>

#include "nfsd/gate/node/inside.h"
#include "nfsd/gate/worker/worker.h"

struct scan *
scan_of_locked(struct node *dir)
{
	mutex_must_hold(&dir->mutex);
	if (dir->scan == NULL)
		dir->scan = calloc(1, sizeof(*dir->scan));
	return dir->scan;
}

void
scan_end_locked(struct scan *s)
{
	s->running = false;
	free(s->token);
	s->token = NULL;
	free(s->prefix);
	s->prefix = NULL;
	free(s->at);
	s->at = NULL;
	s->disorder = s->by_seen = false;
	pruned_free(&s->gone);
	free(s->seen);
	s->seen = NULL;
	s->seen_count = s->seen_room = 0;
}

void
scan_forget(struct node *dir)
{
	if (dir->scan == NULL)
		return;
	scan_end_locked(dir->scan);
	free(dir->scan);
	dir->scan = NULL;
}

bool
scan_fresh_locked(struct node *dir)
{
	mutex_must_hold(&dir->mutex);
	return dir->scan != NULL && dir->scan->complete &&
	       dir->scan->fresh_ms + dir->export->c.attr_ttl_ms > clock_ms();
}

bool
scan_fresh(struct node *dir)
{
	bool fresh;

	mutex_lock(&dir->mutex);
	fresh = scan_fresh_locked(dir);
	mutex_unlock(&dir->mutex);
	return fresh;
}

bool
scan_known(struct node *dir)
{
	bool known;

	mutex_lock(&dir->mutex);
	known = dir->scan != NULL && dir->scan->complete &&
		dir->scan->count <= SCAN_PAGE;
	mutex_unlock(&dir->mutex);
	return known;
}

bool
scan_small(struct node *dir)
{
	bool small;

	mutex_lock(&dir->mutex);
	small = dir->scan != NULL && dir->scan->complete &&
		dir->scan->count <= SMALL_DIR;
	mutex_unlock(&dir->mutex);
	return small;
}

void
scan_expire(struct node *dir)
{
	mutex_lock(&dir->mutex);
	if (dir->scan != NULL) {
		dir->scan->fresh_ms = 0;
		dir->scan->expired_ms = clock_ms();
	}
	mutex_unlock(&dir->mutex);
}

void
scan_set_empty_locked(struct node *dir)
{
	struct scan *s = scan_of_locked(dir);

	mutex_must_hold(&dir->mutex);
	if (s == NULL)
		return;
	s->complete = true;
	dir->i.listed = true;
	s->fresh_ms = clock_ms();
	s->count = 0;
}

void
pruned_free(struct pruned *s)
{
	free(s->inos);
	*s = (struct pruned){ 0 };
}
