/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The states of a pseudo-handle and the rule about newcomers, held against
 * tables that were written from docs/semantics.md and not from the code: the
 * moves as a list of sentences (whatever is not listed must be refused), the
 * rule as the paragraphs of it, read from top to bottom.
 */

#include <config.h>

#include <errno.h>
#include <string.h>

#include "meta/meta.h"
#include "tests/unit.h"

struct sentence {
	enum meta_state from;
	enum meta_event event;
	enum meta_state to;
	const char *why;
};

static const struct sentence sentences[] = {
	{ META_NONE, META_EV_OPEN, META_ACTIVE,
	  "an idle file: a WRITE opens it" },
	{ META_NONE, META_EV_RESERVE, META_RESERVED,
	  "a newcomer waits, nobody holds it any more" },

	{ META_RESERVED, META_EV_OPEN, META_ACTIVE, "the newcomer is let in" },
	{ META_RESERVED, META_EV_RESERVE, META_RESERVED, "it asks again" },
	{ META_RESERVED, META_EV_RELEASE, META_NONE, "it stays away" },

	{ META_ACTIVE, META_EV_OPEN, META_ACTIVE, "an own WRITE goes on" },
	{ META_ACTIVE, META_EV_FLUSH, META_FLUSHED,
	  "COMMIT or a stable WRITE, nothing uncommitted" },
	{ META_ACTIVE, META_EV_EXPIRE, META_FENCED,
	  "the lease is over and its bytes are discarded" },

	{ META_FLUSHED, META_EV_OPEN, META_ACTIVE, "back to active" },
	{ META_FLUSHED, META_EV_FLUSH, META_FLUSHED, "COMMIT again: OK" },
	{ META_FLUSHED, META_EV_START, META_UPLOADING, "settled or kicked" },
	{ META_FLUSHED, META_EV_STORED, META_DONE,
	  "an upload that began while it was active had all of it" },
	{ META_FLUSHED, META_EV_REFUSED, META_FAILED,
	  "such an upload was refused for good" },

	{ META_UPLOADING, META_EV_OPEN, META_ACTIVE,
	  "an own WRITE stops the upload" },
	{ META_UPLOADING, META_EV_FLUSH, META_UPLOADING, "COMMIT: OK" },
	{ META_UPLOADING, META_EV_SEND, META_FINISHING,
	  "the point of no return" },
	{ META_UPLOADING, META_EV_STOP, META_FLUSHED,
	  "cancelled or failed for now: pending as before" },
	{ META_UPLOADING, META_EV_REFUSED, META_FAILED, "refused for good" },

	{ META_FINISHING, META_EV_FLUSH, META_FINISHING, "COMMIT: OK" },
	{ META_FINISHING, META_EV_STOP, META_FLUSHED,
	  "the last request failed for now" },
	{ META_FINISHING, META_EV_STORED, META_DONE, "S3 has it" },
	{ META_FINISHING, META_EV_REFUSED, META_FAILED, "refused for good" },

	{ META_DONE, META_EV_OPEN, META_ACTIVE, "its writer writes again" },

	{ META_FAILED, META_EV_TOLD, META_NONE, "told once, then fresh" },
	{ META_FENCED, META_EV_TOLD, META_NONE, "it has looked again" },
};
#define SENTENCES (sizeof(sentences) / sizeof(*sentences))

static enum meta_state
expected(enum meta_state from, enum meta_event event)
{
	for (size_t i = 0; i < SENTENCES; i++) {
		if (sentences[i].from == from && sentences[i].event == event)
			return sentences[i].to;
	}
	return META_STATE_COUNT;
}

static void
every_state_takes_exactly_the_events_that_the_text_names(void)
{
	for (int s = 0; s < META_STATE_COUNT; s++) {
		for (int e = 0; e < META_EVENT_COUNT; e++) {
			enum meta_state want = expected(s, e);
			enum meta_state got = meta_state_next(s, e);

			if (want != got)
				fprintf(stderr, "%s + event %d: %d, not %d\n",
					meta_state_name(s), e, got, want);
			CU_ASSERT_EQUAL(got, want);
		}
	}
}

static void
a_move_that_is_not_allowed_changes_nothing(void)
{
	for (int s = 0; s < META_STATE_COUNT; s++) {
		for (int e = 0; e < META_EVENT_COUNT; e++) {
			struct meta_handle h = { .ino = 7, .who = "a@b",
						 .state = s, .generation = 3 };
			struct meta_handle before = h;
			enum meta_state want = expected(s, e);
			int r = meta_handle_transition(&h, e);

			CU_ASSERT_EQUAL(r, want == META_STATE_COUNT ? -EINVAL
								    : 0);
			if (want != META_STATE_COUNT)
				before.state = want;
			CU_ASSERT_EQUAL(memcmp(&h, &before, sizeof(h)), 0);
		}
	}
}

static void
numbers_outside_the_tables_are_refused(void)
{
	CU_ASSERT_EQUAL(meta_state_next(META_STATE_COUNT, META_EV_OPEN),
			META_STATE_COUNT);
	CU_ASSERT_EQUAL(meta_state_next(META_NONE, META_EVENT_COUNT),
			META_STATE_COUNT);
	CU_ASSERT_EQUAL(meta_state_next((enum meta_state)-1, META_EV_OPEN),
			META_STATE_COUNT);
	CU_ASSERT_STRING_EQUAL(meta_state_name(META_STATE_COUNT), "?");
	CU_ASSERT_STRING_EQUAL(meta_state_name(META_ACTIVE), "ACTIVE");
	CU_ASSERT_STRING_EQUAL(meta_state_name(META_FENCED), "FENCED");
}

/* Follow every move from NONE: each state is reached, and from each there is
 * a way back to nobody holding the file. */
static void
no_state_is_a_dead_end(void)
{
	for (int s = 0; s < META_STATE_COUNT; s++) {
		bool from_none[META_STATE_COUNT] = { [META_NONE] = true };
		bool from_s[META_STATE_COUNT] = { false };

		from_s[s] = true;
		for (int round = 0; round < META_STATE_COUNT; round++) {
			for (int a = 0; a < META_STATE_COUNT; a++) {
				for (int e = 0; e < META_EVENT_COUNT; e++) {
					int b = meta_state_next(a, e);

					if (b == META_STATE_COUNT)
						continue;
					from_none[b] |= from_none[a];
					from_s[b] |= from_s[a];
				}
			}
		}
		CU_ASSERT_TRUE(from_none[s]);
		/* DONE is nobody's: its row is deleted. */
		CU_ASSERT_TRUE(from_s[META_NONE] || from_s[META_DONE]);
	}
}

/* ---- the rule ---- */

/* rule.md 3, point by point. */
static enum meta_verdict
oracle(const struct meta_situation *s, uint64_t *wait_ms)
{
	bool pending = s->holder == META_FLUSHED ||
		       s->holder == META_UPLOADING ||
		       s->holder == META_FINISHING;
	uint64_t ends;

	*wait_ms = 0;
	/* 4: foreign RESERVED: refuse like ACTIVE, whoever asks. */
	if (s->reserved && !s->reserved_own)
		return META_REFUSE;
	/* 1: no handle. */
	if (s->holder != META_ACTIVE && !pending)
		return META_ADMIT;
	/* 1: own handle; but past the point of no return it waits. */
	if (s->own)
		return s->holder == META_FINISHING ? META_WAIT_UPLOAD
						   : META_ADMIT;
	/* 2: foreign ACTIVE. */
	if (s->holder == META_ACTIVE)
		return META_REFUSE;
	/* 3: foreign, flushed: quiet time first, counted from its last
	 * request, then the upload. */
	ends = s->holder_last_ms + s->quiet_ms;
	if (s->now_ms < s->holder_last_ms)
		ends = s->now_ms + s->quiet_ms;
	if (s->now_ms < ends) {
		*wait_ms = ends - s->now_ms;
		return META_WAIT_QUIET;
	}
	return META_WAIT_UPLOAD;
}

static void
the_rule_says_what_the_text_says_in_every_situation(void)
{
	static const uint64_t times[] = { 0, 1, 999, 1000, 1001, 5000 };
	static const uint64_t quiets[] = { 0, 1, 1000, 4000 };
	const size_t nt = sizeof(times) / sizeof(*times);
	unsigned bad = 0, seen = 0;

	for (unsigned i = 0; i < META_STATE_COUNT * 8 * nt * nt * 4; i++) {
		unsigned k = i;
		struct meta_situation s = { 0 };
		uint64_t wait = 77, want_wait;

		s.holder = k % META_STATE_COUNT;
		k /= META_STATE_COUNT;
		s.own = k & 1;
		s.reserved = k >> 1 & 1;
		s.reserved_own = k >> 2 & 1;
		k >>= 3;
		s.now_ms = times[k % nt];
		k /= nt;
		s.holder_last_ms = times[k % nt];
		k /= nt;
		s.quiet_ms = quiets[k];
		bad += meta_rule(&s, &wait) != oracle(&s, &want_wait);
		bad += wait != want_wait;
		seen++;
	}
	CU_ASSERT_EQUAL(bad, 0);
	CU_ASSERT_EQUAL(seen, META_STATE_COUNT * 8 * 6 * 6 * 4);
}

/* Whatever the times: two strangers can never both be admitted. */
static void
nobody_is_admitted_beside_a_foreign_active_writer(void)
{
	for (unsigned i = 0; i < 8; i++) {
		struct meta_situation s = { .holder = META_ACTIVE,
					    .own = false,
					    .reserved = i & 1,
					    .reserved_own = i >> 1 & 1,
					    .now_ms = 1ULL << 40,
					    .quiet_ms = i >> 2 ? 1000 : 0 };
		uint64_t wait;

		CU_ASSERT_EQUAL(meta_rule(&s, &wait), META_REFUSE);
	}
}

/* ---- silence ---- */

static void
silence_counts_from_the_last_answer(void)
{
	struct meta_silence s = { .answered_ms = 1000 };

	CU_ASSERT_EQUAL(meta_silent_ms(&s, 1000), 0);
	CU_ASSERT_EQUAL(meta_silent_ms(&s, 1700), 700);
	CU_ASSERT_EQUAL(meta_silent_at(&s, 5000, 1700), 6000);
	/* Threads may read the clock in another order. */
	CU_ASSERT_EQUAL(meta_silent_ms(&s, 900), 0);
}

static void
a_call_that_is_not_answered_is_no_silence(void)
{
	struct meta_silence s = { .answered_ms = 1000, .calls = 2,
				  .calls_ms = 1200 };

	CU_ASSERT_EQUAL(meta_silent_ms(&s, 30000), 0);
	CU_ASSERT(meta_is_heard(&s, 1000, 30000));
	CU_ASSERT(meta_silent_at(&s, 5000, 30000) > 30000);
	/* Dropped with its connection, and nobody said so. */
	CU_ASSERT_EQUAL(meta_silent_ms(&s, 1200 + META_LOST_CALL_MS),
			200 + META_LOST_CALL_MS);
	CU_ASSERT(!meta_is_heard(&s, 1000, 1200 + META_LOST_CALL_MS));
}

static void
who_was_told_to_come_back_is_expected_and_not_at_it(void)
{
	struct meta_silence s = { .answered_ms = 1000, .back_ms = 76000 };

	CU_ASSERT_EQUAL(meta_silent_ms(&s, 75999), 0);
	CU_ASSERT_EQUAL(meta_silent_at(&s, 5000, 2000), 76000);
	CU_ASSERT_EQUAL(meta_silent_ms(&s, 76000), 75000);
	CU_ASSERT(meta_is_heard(&s, 1000, 1999));
	CU_ASSERT(!meta_is_heard(&s, 1000, 2000));
}

/* The paragraph of rule.md 5, sentence by sentence. */
static void
a_change_beside_a_writer_waits_as_the_text_says(void)
{
	static const struct {
		struct meta_beside b;
		enum meta_change want;
		uint64_t wait_ms;
	} cases[] = {
		{ { .fails = true, .idle_flush_ms = 5000,
		    .busy_limit_ms = 60000 }, META_CHANGE_REFUSE, 0 },
		{ { .fails = true, .busy_limit_ms = 60000 },
		  META_CHANGE_REFUSE, 0 },
		{ { .name = true, .busy_limit_ms = 60000 },
		  META_CHANGE_REFUSE, 0 },
		{ { .busy_limit_ms = 60000 }, META_CHANGE, 0 },
		{ { .name = true, .heard = true, .idle_flush_ms = 5000,
		    .busy_limit_ms = 60000 }, META_CHANGE_WAIT, 6000 },
		{ { .heard = true, .idle_flush_ms = 5000,
		    .busy_limit_ms = 60000, .waited_ms = 5999 },
		  META_CHANGE_WAIT, 1 },
		{ { .heard = true, .idle_flush_ms = 5000,
		    .busy_limit_ms = 60000, .waited_ms = 6000 },
		  META_CHANGE_REFUSE, 0 },
		/* It has fallen silent, and will count as flushed. */
		{ { .idle_flush_ms = 5000, .busy_limit_ms = 60000,
		    .waited_ms = 6000 }, META_CHANGE_WAIT,
		  META_CHANGE_GRACE_MS },
		{ { .idle_flush_ms = 5000, .busy_limit_ms = 60000,
		    .waited_ms = 60000 }, META_CHANGE_REFUSE, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		uint64_t wait_ms = 77;

		CU_ASSERT_EQUAL(meta_change_rule(&cases[i].b, &wait_ms),
				cases[i].want);
		CU_ASSERT_EQUAL(wait_ms, cases[i].wait_ms);
	}
}

TEST_MAIN("meta_handle",
	  T(every_state_takes_exactly_the_events_that_the_text_names),
	  T(a_move_that_is_not_allowed_changes_nothing),
	  T(numbers_outside_the_tables_are_refused), T(no_state_is_a_dead_end),
	  T(the_rule_says_what_the_text_says_in_every_situation),
	  T(nobody_is_admitted_beside_a_foreign_active_writer),
	  T(silence_counts_from_the_last_answer),
	  T(a_call_that_is_not_answered_is_no_silence),
	  T(who_was_told_to_come_back_is_expected_and_not_at_it),
	  T(a_change_beside_a_writer_waits_as_the_text_says))
