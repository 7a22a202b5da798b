/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each invariant that the program watches (audit.c) is broken here on
 * purpose, and the audit has to see it: it counts, and says of which file
 * and whose handle it speaks.  What keeps the invariant is taken out at link
 * time (--wrap), or the state is changed under the gate's feet.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/gate_fixture.h"
#include "tests/unit.h"

/* What the gate relies on, and whether it is out of order. */
static const struct fixture *without_rule, *without_keys, *without_admission,
	*without_end;

enum meta_verdict __real_meta_rule(const struct meta_situation *s,
				   uint64_t *wait_ms);
enum meta_verdict __wrap_meta_rule(const struct meta_situation *s,
				   uint64_t *wait_ms);
bool __real_key_try(struct gate_export *x, const char *key, uint64_t owner);
bool __wrap_key_try(struct gate_export *x, const char *key, uint64_t owner);
bool __real_delete_pending(struct gate_export *x, const char *key);
bool __wrap_delete_pending(struct gate_export *x, const char *key);
bool __real_hidden_has(struct gate_export *x, const char *key);
bool __wrap_hidden_has(struct gate_export *x, const char *key);
void __real_admit_unreserve_locked(struct node *n);
void __wrap_admit_unreserve_locked(struct node *n);
int __real_admit_writer(struct node *n, struct gate_request *rq,
			const char *who);
int __wrap_admit_writer(struct node *n, struct gate_request *rq,
			const char *who);

enum meta_verdict
__wrap_meta_rule(const struct meta_situation *s, uint64_t *wait_ms)
{
	enum meta_verdict v = __real_meta_rule(s, wait_ms);

	return __atomic_load_n(&without_rule, __ATOMIC_SEQ_CST) != NULL
		       ? META_ADMIT
		       : v;
}

bool
__wrap_key_try(struct gate_export *x, const char *key, uint64_t owner)
{
	bool mine = __real_key_try(x, key, owner);

	return mine || __atomic_load_n(&without_keys, __ATOMIC_SEQ_CST) != NULL;
}

bool
__wrap_delete_pending(struct gate_export *x, const char *key)
{
	return __atomic_load_n(&without_keys, __ATOMIC_SEQ_CST) == NULL &&
	       __real_delete_pending(x, key);
}

bool
__wrap_hidden_has(struct gate_export *x, const char *key)
{
	return __atomic_load_n(&without_keys, __ATOMIC_SEQ_CST) == NULL &&
	       __real_hidden_has(x, key);
}

void
__wrap_admit_unreserve_locked(struct node *n)
{
	if (__atomic_load_n(&without_end, __ATOMIC_SEQ_CST) == NULL)
		__real_admit_unreserve_locked(n);
}

int
__wrap_admit_writer(struct node *n, struct gate_request *rq, const char *who)
{
	if (__atomic_load_n(&without_admission, __ATOMIC_SEQ_CST) != NULL)
		return node_lock(n, rq);
	return __real_admit_writer(n, rq, who);
}

#define SWITCH(what, to) __atomic_store_n(&(what), (to), __ATOMIC_SEQ_CST)

static uint64_t
broken(struct fixture *b)
{
	struct gate_status status;

	gate_status(b->gate, &status);
	return status.invariant_failures;
}

static struct node *
node_of(struct fixture *b, const struct gate_fh *fh)
{
	struct node *n = node_find(b->gate, fh->ino);

	CU_ASSERT_PTR_NOT_NULL_FATAL(n);
	return n;
}

/* Two passes see it, the third does not tell it again. */
static void
audit_pass_sees(struct fixture *b, const char *line, const char *more)
{
	uint64_t before = broken(b);

	audit_pass(b->gate);
	CU_ASSERT_EQUAL(broken(b), before);
	audit_pass(b->gate);
	CU_ASSERT_EQUAL(broken(b), before + 1);
	CU_ASSERT(fixture_said(b, line));
	CU_ASSERT(fixture_said(b, more));
	audit_pass(b->gate);
	CU_ASSERT_EQUAL(broken(b), before + 1);
}

/* A file of 100 KiB, flushed, that S3 does not take for now. */
static void
flushed(struct fixture *b, struct client *c, const char *name,
	struct gate_fh *fh)
{
	static const char bytes[100 << 10];

	fake_s3_fail(b->s3, S3_OP_PUT, 1, 1000, -EAGAIN);
	CU_ASSERT_EQUAL(do_create(b, c, name, fh), 0);
	CU_ASSERT_EQUAL(do_write(b, c, fh, 0, bytes, sizeof(bytes),
				 GATE_UNSTABLE), 0);
	CU_ASSERT_EQUAL(do_commit(b, c, fh), 0);
}

static void
a_second_writer_that_the_rule_lets_in_is_seen(void)
{
	struct fixture b = FIXTURE;
	struct client a, c;
	struct gate_fh fh;

	client_init(&a, "a");
	client_init(&c, "c");
	fixture_open(&b);
	CU_ASSERT_EQUAL(do_create(&b, &a, "f", &fh), 0);
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, "AAAA", 4, GATE_UNSTABLE), 0);
	SWITCH(without_rule, &b);
	CU_ASSERT_EQUAL(do_write(&b, &c, &fh, 0, "C", 1, GATE_UNSTABLE), -EIO);
	SWITCH(without_rule, NULL);
	CU_ASSERT_EQUAL(broken(&b), 1);
	CU_ASSERT(fixture_said(&b, "a second writer was let in: file=/b/f "));
	CU_ASSERT(fixture_said(&b, "holder=a@"));
	CU_ASSERT(fixture_said(&b, "state=ACTIVE client=c@"));
	/* And nothing has come of it. */
	CU_ASSERT_EQUAL(do_commit(&b, &a, &fh), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "f", "AAAA", 4));
	fixture_close(&b);
}

static void
bytes_of_who_was_never_admitted_are_seen(void)
{
	struct fixture b = FIXTURE;
	struct client a, c;
	struct gate_fh fh;

	client_init(&a, "a");
	client_init(&c, "c");
	fixture_open(&b);
	CU_ASSERT_EQUAL(do_create(&b, &a, "f", &fh), 0);
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, "AAAA", 4, GATE_UNSTABLE), 0);
	SWITCH(without_admission, &b);
	CU_ASSERT_EQUAL(do_write(&b, &c, &fh, 0, "C", 1, GATE_FILE_SYNC), -EIO);
	SWITCH(without_admission, NULL);
	CU_ASSERT_EQUAL(broken(&b), 1);
	CU_ASSERT(
	    fixture_said(&b, "bytes of who is not the writer: file=/b/f "));
	CU_ASSERT(fixture_said(&b, "client=c@"));
	CU_ASSERT_EQUAL(do_commit(&b, &a, &fh), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "f", "AAAA", 4));
	fixture_close(&b);
}

/* A row that is nobody's turn: of a writer beside the one there is. */
static void
put_row(struct fixture *b, uint64_t ino, const char *who)
{
	struct meta_handle h = { .ino = ino, .state = META_ACTIVE };
	struct meta_batch *batch = meta_batch_new();

	strcpy(h.who, who);
	meta_put_handle(batch, &h);
	CU_ASSERT_EQUAL(meta_commit(b->meta, &batch), 0);
}

static void
two_writers_in_the_database_are_seen(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;

	client_init(&a, "a");
	fixture_open(&b);
	flushed(&b, &a, "f", &fh);
	put_row(&b, fh.ino, "c@127.0.0.9");
	audit_pass_sees(&b,
			"two writers of one file in the database: file=/b/f ",
			"holder=a@");
	/* At the next start as well. */
	fixture_restart(&b);
	CU_ASSERT_EQUAL(broken(&b), 1);
	CU_ASSERT(fixture_said(&b, "client=c@127.0.0.9"));
	fixture_close(&b);
}

static void
two_uploads_of_one_key_are_seen(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh old, new;

	client_init(&a, "a");
	fixture_open(&b);
	fake_s3_hold(b.s3, S3_OP_PUT);
	CU_ASSERT_EQUAL(do_file(&b, &a, "f", "old", &old), 0);
	CU_ASSERT(fake_s3_is_held(b.s3));
	CU_ASSERT_EQUAL(broken(&b), 0);
	SWITCH(without_keys, &b);
	CU_ASSERT_EQUAL(do_remove(&b, &a, "f"), 0);
	CU_ASSERT_EQUAL(do_file(&b, &a, "f", "new", &new), 0);
	CU_ASSERT(fixture_said(&b, "two uploads of one key: file=/b/f "));
	CU_ASSERT(fixture_said(&b, "holder=a@"));
	CU_ASSERT(broken(&b) >= 1);
	fake_s3_release(b.s3);
	CU_ASSERT(fixture_settled(&b));
	SWITCH(without_keys, NULL);
	fixture_close(&b);
}

static void
committed_bytes_that_left_the_staging_area_are_seen(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	char path[160], name[32];

	client_init(&a, "a");
	fixture_open(&b);
	flushed(&b, &a, "f", &fh);
	data_file_name(fh.ino, name);
	snprintf(path, sizeof(path), "%s/data/%s", b.dir, name);
	CU_ASSERT_EQUAL(truncate(path, 4096), 0);
	audit_pass_sees(&b, "committed bytes are not in the staging area: "
			"file=/b/f ", "client=a@");
	/* All of them. */
	flushed(&b, &a, "g", &fh);
	data_file_name(fh.ino, name);
	snprintf(path, sizeof(path), "%s/data/%s", b.dir, name);
	CU_ASSERT_EQUAL(unlink(path), 0);
	audit_pass_sees(&b, "committed bytes are not in the staging area: "
			"file=/b/g ", "client=a@");
	fixture_close(&b);
}

static void
committed_bytes_that_nobody_will_upload_are_seen(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	struct node *n;

	client_init(&a, "a");
	fixture_open(&b);
	flushed(&b, &a, "f", &fh);
	n = node_of(&b, &fh);
	mutex_lock(&n->mutex);
	while (n->up.run != UP_IDLE)
		mutex_wait(&n->mutex, &n->changed, NULL);
	n->up.pending = false;
	mutex_unlock(&n->mutex);
	audit_pass(b.gate);
	audit_pass(b.gate);
	CU_ASSERT_EQUAL(broken(&b), 2);
	CU_ASSERT(fixture_said(&b, "no upload is due for committed bytes: "
			       "file=/b/f "));
	CU_ASSERT(fixture_said(&b, "nothing will end a flushed handle: "
			       "file=/b/f "));
	CU_ASSERT(fixture_said(&b, "holder=a@"));
	mutex_lock(&n->mutex);
	n->up.pending = true;
	upload_schedule_locked(n, true);
	mutex_unlock(&n->mutex);
	node_put(&n);
	fixture_close(&b);
}

static int
take_id(void *arg, const struct gate_quarantine_info *info)
{
	*(uint64_t *)arg = info->id;
	return 0;
}

static void
quarantined_bytes_that_are_gone_are_seen(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	char path[160], name[64];
	uint64_t id = 0;

	client_init(&a, "a");
	fixture_open(&b);
	fake_s3_fail(b.s3, S3_OP_PUT, 1, 1, -EACCES);
	CU_ASSERT_EQUAL(do_file(&b, &a, "f", "refused", &fh), 0);
	CU_ASSERT(fixture_said(&b, "the bytes are kept"));
	CU_ASSERT_EQUAL(gate_each_quarantined(b.gate, take_id, &id), 0);
	quarantine_file_name(id, name);
	snprintf(path, sizeof(path), "%s/data/%s", b.dir, name);
	CU_ASSERT_EQUAL(unlink(path), 0);
	audit_pass_sees(&b, "quarantined bytes are gone: file=/b/f ",
			"client=a@");
	fixture_close(&b);
}

static void
a_reservation_that_outlives_its_time_is_seen(void)
{
	struct fixture b = FIXTURE;
	struct client a, c;
	struct gate_fh fh;
	struct node *n;

	client_init(&a, "a");
	client_init(&c, "c");
	b.export.hold_ms = 1;
	b.export.reserve_ms = 60000;
	fixture_open(&b);
	flushed(&b, &a, "f", &fh);
	CU_ASSERT_EQUAL(do_write(&b, &c, &fh, 0, "C", 1, GATE_UNSTABLE),
			-EAGAIN);
	n = node_of(&b, &fh);
	SWITCH(without_end, &b);
	mutex_lock(&n->mutex);
	CU_ASSERT_PTR_NOT_NULL(n->reserved_client);
	n->reserved_until_ms = clock_ms() - 5000;
	mutex_unlock(&n->mutex);
	audit_pass_sees(&b, "a reservation has outlived its time: file=/b/f ",
			"client=c@");
	/* One that is longer than it may be. */
	mutex_lock(&n->mutex);
	n->reserved_until_ms = clock_ms() + 3600000;
	mutex_unlock(&n->mutex);
	CU_ASSERT_EQUAL(do_write(&b, &c, &fh, 0, "C", 1, GATE_UNSTABLE),
			-EAGAIN);
	CU_ASSERT_EQUAL(broken(&b), 2);
	CU_ASSERT(fixture_said(&b, "a reservation is longer than its time: "
			       "file=/b/f "));
	SWITCH(without_end, NULL);
	node_put(&n);
	fixture_close(&b);
}

static void
uncommitted_bytes_without_a_writer_are_seen(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	struct node *n;

	client_init(&a, "a");
	fixture_open(&b);
	CU_ASSERT_EQUAL(do_create(&b, &a, "f", &fh), 0);
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, "AAAA", 4, GATE_UNSTABLE), 0);
	n = node_of(&b, &fh);
	mutex_lock(&n->mutex);
	n->h.state = META_NONE;
	mutex_unlock(&n->mutex);
	audit_pass_sees(&b, "uncommitted bytes without a writer: file=/b/f ",
			"client=a@");
	mutex_lock(&n->mutex);
	n->h.state = META_ACTIVE;
	mutex_unlock(&n->mutex);
	node_put(&n);
	fixture_close(&b);
}

static void
a_file_in_order_is_passed_by(void)
{
	struct fixture b = FIXTURE;
	struct client a, c;
	struct gate_fh f, g, h;

	client_init(&a, "a");
	client_init(&c, "c");
	b.export.hold_ms = 1;
	fixture_open(&b);
	flushed(&b, &a, "f", &f);
	CU_ASSERT_EQUAL(do_write(&b, &c, &f, 0, "C", 1, GATE_UNSTABLE),
			-EAGAIN);
	CU_ASSERT_EQUAL(do_create(&b, &a, "g", &g), 0);
	CU_ASSERT_EQUAL(do_write(&b, &a, &g, 0, "AAAA", 4, GATE_UNSTABLE), 0);
	CU_ASSERT_EQUAL(do_create(&b, &a, ".nfs01", &h), 0);
	CU_ASSERT_EQUAL(do_write(&b, &a, &h, 0, "AAAA", 4, GATE_FILE_SYNC), 0);
	for (int i = 0; i < 20; i++)
		audit_pass(b.gate);
	CU_ASSERT_EQUAL(broken(&b), 0);
	fake_s3_fail(b.s3, S3_OP_PUT, 1, 0, 0);
	CU_ASSERT_EQUAL(do_commit(&b, &a, &g), 0);
	CU_ASSERT(fixture_settled(&b));
	audit_pass(b.gate);
	audit_pass(b.gate);
	CU_ASSERT_EQUAL(broken(&b), 0);
	fixture_close(&b);
}

TEST_MAIN("gate_audit",
	  T(a_second_writer_that_the_rule_lets_in_is_seen),
	  T(bytes_of_who_was_never_admitted_are_seen),
	  T(two_writers_in_the_database_are_seen),
	  T(two_uploads_of_one_key_are_seen),
	  T(committed_bytes_that_left_the_staging_area_are_seen),
	  T(committed_bytes_that_nobody_will_upload_are_seen),
	  T(quarantined_bytes_that_are_gone_are_seen),
	  T(a_reservation_that_outlives_its_time_is_seen),
	  T(uncommitted_bytes_without_a_writer_are_seen),
	  T(a_file_in_order_is_passed_by))
