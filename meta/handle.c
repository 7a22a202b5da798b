/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The states of a pseudo-handle and the rule about newcomers, as tables and
 * pure functions: no clock, no disk, no lock.  The drawing stands in meta.h.
 *
 * A handle that was superseded has no state of its own: it was fully
 * flushed and uploaded, so its row is gone and its writer is a stranger
 * again.  META_DONE is what a handle passes through on its way out.
 */

#include <config.h>

#include <errno.h>

#include "meta/meta.h"

#define NO META_STATE_COUNT

static const enum meta_state moves[META_STATE_COUNT][META_EVENT_COUNT] = {
	/* OPEN FLUSH START SEND STOP STORED REFUSED EXPIRE TOLD RESERVE
	 * RELEASE */
	[META_NONE] = { META_ACTIVE, NO, NO, NO, NO, NO, NO, NO, NO,
			META_RESERVED, NO },
	[META_RESERVED] = { META_ACTIVE, NO, NO, NO, NO, NO, NO, NO, NO,
			    META_RESERVED, META_NONE },
	[META_ACTIVE] = { META_ACTIVE, META_FLUSHED, NO, NO, NO, NO, NO,
			  META_FENCED, NO, NO, NO },
	[META_FLUSHED] = { META_ACTIVE, META_FLUSHED, META_UPLOADING, NO, NO,
			   META_DONE, META_FAILED, NO, NO, NO, NO },
	[META_UPLOADING] = { META_ACTIVE, META_UPLOADING, NO, META_FINISHING,
			     META_FLUSHED, NO, META_FAILED, NO, NO, NO, NO },
	/* Past the point of no return: an own WRITE waits for the outcome. */
	[META_FINISHING] = { NO, META_FINISHING, NO, NO, META_FLUSHED,
			     META_DONE, META_FAILED, NO, NO, NO, NO },
	[META_DONE] = { META_ACTIVE, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO },
	[META_FAILED] = { NO, NO, NO, NO, NO, NO, NO, NO, META_NONE, NO, NO },
	[META_FENCED] = { NO, NO, NO, NO, NO, NO, NO, NO, META_NONE, NO, NO },
};

const char *
meta_state_name(enum meta_state state)
{
	static const char *const names[META_STATE_COUNT] = {
		"NONE", "RESERVED", "ACTIVE", "FLUSHED", "UPLOADING",
		"FINISHING", "DONE", "FAILED", "FENCED",
	};

	return (unsigned)state < META_STATE_COUNT ? names[state] : "?";
}

enum meta_state
meta_state_next(enum meta_state state, enum meta_event event)
{
	if ((unsigned)state >= META_STATE_COUNT ||
	    (unsigned)event >= META_EVENT_COUNT)
		return NO;
	return moves[state][event];
}

int
meta_handle_transition(struct meta_handle *handle, enum meta_event event)
{
	enum meta_state next = meta_state_next(handle->state, event);

	if (next == NO)
		return -EINVAL;
	handle->state = next;
	return 0;
}

enum meta_verdict
meta_rule(const struct meta_situation *s, uint64_t *wait_ms)
{
	uint64_t silent;

	*wait_ms = 0;
	/* Registration comes before the wait: a third asker is refused on
	 * account of one who was not let in yet (rule.md 3). */
	if (s->reserved && !s->reserved_own)
		return META_REFUSE;
	switch (s->holder) {
	case META_ACTIVE:
		return s->own ? META_ADMIT : META_REFUSE;
	case META_FLUSHED:
	case META_UPLOADING:
		if (s->own)
			return META_ADMIT;
		break;
	case META_FINISHING:
		/* Also for its own writer: a new generation begins on the
		 * object that is just being made (rule.md 2). */
		if (s->own)
			return META_WAIT_UPLOAD;
		break;
	default:
		return META_ADMIT;
	}
	silent = s->now_ms > s->holder_last_ms
			 ? s->now_ms - s->holder_last_ms
			 : 0;
	if (silent < s->quiet_ms) {
		*wait_ms = s->quiet_ms - silent;
		return META_WAIT_QUIET;
	}
	return META_WAIT_UPLOAD;
}

static bool
in_a_call(const struct meta_silence *s, uint64_t now_ms)
{
	return s->calls > 0 && s->calls_ms + META_LOST_CALL_MS > now_ms;
}

uint64_t
meta_silent_ms(const struct meta_silence *s, uint64_t now_ms)
{
	if (in_a_call(s, now_ms) || s->back_ms > now_ms)
		return 0;
	return now_ms > s->answered_ms ? now_ms - s->answered_ms : 0;
}

uint64_t
meta_silent_at(const struct meta_silence *s, uint64_t for_ms, uint64_t now_ms)
{
	uint64_t at = s->answered_ms + for_ms;

	if (s->back_ms > at)
		at = s->back_ms;
	/* The end of the call sets the time anew. */
	if (s->calls > 0 && s->calls_ms + META_LOST_CALL_MS > at)
		at = s->calls_ms + META_LOST_CALL_MS;
	return at > now_ms ? at : now_ms;
}

bool
meta_is_heard(const struct meta_silence *s, uint64_t pause_ms, uint64_t now_ms)
{
	return in_a_call(s, now_ms) || s->answered_ms + pause_ms > now_ms;
}

enum meta_change
meta_change_rule(const struct meta_beside *b, uint64_t *wait_ms)
{
	uint64_t limit = b->idle_flush_ms + META_CHANGE_GRACE_MS;

	*wait_ms = 0;
	if (b->fails)
		return META_CHANGE_REFUSE;
	/* Nothing but the writer's COMMIT will end it: names are refused, the
	 * others go on as if nobody wrote. */
	if (b->idle_flush_ms == 0)
		return b->name ? META_CHANGE_REFUSE : META_CHANGE;
	if (b->waited_ms >= b->busy_limit_ms ||
	    (b->waited_ms >= limit && b->heard))
		return META_CHANGE_REFUSE;
	*wait_ms = b->waited_ms < limit ? limit - b->waited_ms
					: META_CHANGE_GRACE_MS;
	return META_CHANGE_WAIT;
}
