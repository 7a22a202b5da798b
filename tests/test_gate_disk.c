/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk that fails, and a system that has no descriptors left.  The calls
 * that data files are flushed with are this program's own (--wrap): as the
 * kernel does, a flush that fails forgets what it should have written, and
 * the next one is good.
 */

#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/gate_fixture.h"
#include "tests/unit.h"

#define WRITES_MAX 4096

int __real_fdatasync(int fd);
ssize_t __real_pwrite(int fd, const void *buf, size_t len, off_t at);
int __real_openat(int dir, const char *name, int flags, mode_t mode);
int __wrap_openat(int dir, const char *name, int flags, mode_t mode);
int __wrap_fdatasync(int fd);
ssize_t __wrap_pwrite(int fd, const void *buf, size_t len, off_t at);
int __wrap_sync_file_range(int fd, off_t off, off_t len, unsigned flags);

/* What was written and not flushed. */
static struct written {
	ino_t ino;
	off_t at, len;
} written[WRITES_MAX];
static size_t written_count;
static int fail_flushes;	/* so many from now on */
static bool fail_writeback;	/* the kernel fails by itself, once */
static bool full;		/* every third byte of a write has room */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

/* Those of this file leave the list; its bytes are gone if `lose`. */
static void
settle(int fd, bool lose)
{
	struct stat st;
	size_t left = 0;

	if (fstat(fd, &st) < 0)
		return;
	for (size_t i = 0; i < written_count; i++) {
		struct written w = written[i];

		if (w.ino != st.st_ino)
			written[left++] = w;
		else if (lose)
			(void)!fallocate(fd, FALLOC_FL_PUNCH_HOLE |
						     FALLOC_FL_KEEP_SIZE,
					 w.at, w.len);
	}
	written_count = left;
}

int
__wrap_openat(int dir, const char *name, int flags, mode_t mode)
{
	if ((flags & O_CREAT) && __atomic_load_n(&full, __ATOMIC_RELAXED)) {
		errno = ENOSPC;
		return -1;
	}
	return __real_openat(dir, name, flags, mode);
}

ssize_t
__wrap_pwrite(int fd, const void *buf, size_t len, off_t at)
{
	struct stat st;
	ssize_t n;

	if (__atomic_load_n(&full, __ATOMIC_RELAXED)) {
		errno = ENOSPC;
		return len < 3 ? -1 : __real_pwrite(fd, buf, len / 3, at);
	}
	n = __real_pwrite(fd, buf, len, at);
	pthread_mutex_lock(&mutex);
	if (n > 0 && fstat(fd, &st) == 0 && written_count < WRITES_MAX)
		written[written_count++] = (struct written){ st.st_ino, at, n };
	pthread_mutex_unlock(&mutex);
	return n;
}

int
__wrap_fdatasync(int fd)
{
	bool fail;
	int r;

	pthread_mutex_lock(&mutex);
	fail = fail_flushes > 0;
	fail_flushes -= fail;
	settle(fd, fail);
	pthread_mutex_unlock(&mutex);
	r = __real_fdatasync(fd);
	if (fail)
		errno = EIO;
	return fail ? -1 : r;
}

int
__wrap_sync_file_range(int fd, off_t off, off_t len, unsigned flags)
{
	bool fail;

	(void)off;
	(void)len;
	(void)flags;
	pthread_mutex_lock(&mutex);
	fail = fail_writeback;
	fail_writeback = false;
	if (fail)
		settle(fd, true);
	pthread_mutex_unlock(&mutex);
	if (fail)
		errno = EIO;
	return fail ? -1 : 0;
}

static void
flushes_fail(int times)
{
	pthread_mutex_lock(&mutex);
	fail_flushes = times;
	pthread_mutex_unlock(&mutex);
}

#define LEN (300U << 10)

static char *
bytes(void)
{
	char *p = malloc(LEN);

	for (unsigned i = 0; i < LEN; i++)
		p[i] = (char)('a' + i / 7 % 26);
	return p;
}

static unsigned
open_now(struct fixture *b)
{
	struct gate_status status;

	gate_status(b->gate, &status);
	return (unsigned)status.open_files;
}

/* ---- descriptors ---- */

static void
files_in_memory_keep_no_more_descriptors_than_the_limit(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh[60];
	char *p = bytes(), name[8];

	client_init(&a, "a");
	b.config.max_files = 8;
	fixture_open(&b);
	for (int i = 0; i < 60; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		p[0] = (char)i;
		fake_s3_set(b.s3, name, p, LEN);
	}
	for (int i = 0; i < 60; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		p[0] = (char)i;
		CU_ASSERT_EQUAL(do_lookup(&b, &a, name, &fh[i]), 0);
		CU_ASSERT(do_read_is(&b, &a, &fh[i], p, LEN));
		/* One may be in use by who stores what came. */
		CU_ASSERT(open_now(&b) <= 8 + 4);
	}
	/* From the disk: closed is not forgotten. */
	for (int i = 0; i < 60; i++) {
		p[0] = (char)i;
		CU_ASSERT(do_read_is(&b, &a, &fh[i], p, LEN));
	}
	CU_ASSERT(open_now(&b) <= 8 + 4);
	free(p);
	fixture_close(&b);
}

/* All that the process may have, but for what is open. */
static void
take_all(int *list, int *count, int room)
{
	int fd;

	*count = 0;
	while (*count < room && (fd = dup(0)) >= 0)
		list[(*count)++] = fd;
}

/* So many data files, from now on. */
static void
may_open(struct fixture *b, unsigned limit)
{
	mutex_lock(&b->gate->files.mutex);
	b->gate->files.limit = limit;
	mutex_unlock(&b->gate->files.mutex);
}

static void
without_descriptors_no_byte_that_was_taken_is_lost(void)
{
	struct rlimit was, few;
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh, other;
	char *p = bytes();
	int taken[512], count;

	client_init(&a, "a");
	/* No upload opens one of them meanwhile. */
	b.export.settle_ms = b.export.create_settle_ms = 600000;
	fixture_open(&b);
	CU_ASSERT_EQUAL(do_create(&b, &a, "f", &fh), 0);
	CU_ASSERT_EQUAL(do_create(&b, &a, "g", &other), 0);
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, p, LEN, GATE_UNSTABLE), 0);
	/* Closed, as others are wanted. */
	may_open(&b, 0);
	CU_ASSERT_EQUAL(do_write(&b, &a, &other, 0, p, LEN, GATE_UNSTABLE),
			0);
	CU_ASSERT_EQUAL(do_commit(&b, &a, &other), 0);
	may_open(&b, 100);
	CU_ASSERT_EQUAL(do_remove(&b, &a, "g"), 0);
	CU_ASSERT_EQUAL_FATAL(getrlimit(RLIMIT_NOFILE, &was), 0);
	few = was;
	few.rlim_cur = few.rlim_cur < 256 ? few.rlim_cur : 256;
	CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_NOFILE, &few), 0);
	take_all(taken, &count, 512);
	CU_ASSERT_EQUAL(open_now(&b), 0);
	CU_ASSERT_EQUAL(do_commit(&b, &a, &fh), -EAGAIN);
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, LEN, p, LEN, GATE_UNSTABLE),
			-EAGAIN);
	while (count > 0)
		close(taken[--count]);
	setrlimit(RLIMIT_NOFILE, &was);
	CU_ASSERT_EQUAL(do_commit(&b, &a, &fh), 0);
	CU_ASSERT(do_read_is(&b, &a, &fh, p, LEN));
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "f", p, LEN));
	free(p);
	fixture_close(&b);
}

static void
a_file_that_was_closed_unflushed_tells_of_a_failure(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh, other;
	char *p = bytes();
	uint8_t before[8], after[8];

	client_init(&a, "a");
	fixture_open(&b);
	CU_ASSERT_EQUAL(do_create(&b, &a, "f", &fh), 0);
	CU_ASSERT_EQUAL(do_create(&b, &a, "g", &other), 0);
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, p, LEN, GATE_UNSTABLE), 0);
	gate_verifier(b.gate, before);
	may_open(&b, 0);
	flushes_fail(1);
	CU_ASSERT_EQUAL(do_write(&b, &a, &other, 0, p, LEN, GATE_UNSTABLE),
			0);
	CU_ASSERT_EQUAL(do_commit(&b, &a, &fh), -EIO);
	gate_verifier(b.gate, after);
	CU_ASSERT_NOT_EQUAL(memcmp(before, after, 8), 0);
	free(p);
	fixture_close(&b);
}

/* ---- flushes ---- */

/* Read it, and wait until the copy is in the data file: readers have bytes
 * before that. */
static void
cache(struct fixture *b, struct client *c, const struct gate_fh *fh,
      const char *p)
{
	uint64_t until = clock_ms() + FIXTURE_WAIT_MS;
	struct gate_status status;

	CU_ASSERT(do_read_is(b, c, fh, p, LEN));
	do {
		gate_status(b->gate, &status);
	} while (status.clean_bytes < LEN && clock_ms() < until &&
		 usleep(1000) == 0);
	CU_ASSERT_EQUAL(status.clean_bytes, LEN);
}

static void
an_object_is_not_deleted_for_a_copy_that_was_not_flushed(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	char *p = bytes();
	uint64_t until = clock_ms() + FIXTURE_WAIT_MS;

	client_init(&a, "a");
	fixture_open(&b);
	fake_s3_set(b.s3, "f", p, LEN);
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "f", &fh), 0);
	flushes_fail(1);
	CU_ASSERT_EQUAL(do_rename(&b, &a, "f", ".nfs000000000001"), 0);
	while (fake_s3_has(b.s3, "f") && clock_ms() < until)
		(void)fixture_settled(&b);
	CU_ASSERT(do_read_is(&b, &a, &fh, p, LEN));
	free(p);
	fixture_close(&b);
}

static void
copies_that_never_reached_the_disk_are_fetched_again(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	char *p = bytes();

	client_init(&a, "a");
	fixture_open(&b);
	fake_s3_set(b.s3, "f", p, LEN);
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "f", &fh), 0);
	cache(&b, &a, &fh, p);
	pthread_mutex_lock(&mutex);
	fail_writeback = true;
	pthread_mutex_unlock(&mutex);
	CU_ASSERT(do_read_is(&b, &a, &fh, p, LEN));
	free(p);
	fixture_close(&b);
}

static void
an_upload_has_no_copies_that_a_failed_flush_should_have_written(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	char *p = bytes();

	client_init(&a, "a");
	fixture_open(&b);
	fake_s3_set(b.s3, "f", p, LEN);
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "f", &fh), 0);
	cache(&b, &a, &fh, p);
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 5, "new", 3, GATE_UNSTABLE), 0);
	flushes_fail(1);
	CU_ASSERT_EQUAL(do_commit(&b, &a, &fh), -EIO);
	memcpy(p + 5, "NEW", 3);
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 5, "NEW", 3, GATE_UNSTABLE), 0);
	CU_ASSERT_EQUAL(do_commit(&b, &a, &fh), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "f", p, LEN));
	CU_ASSERT(do_read_is(&b, &a, &fh, p, LEN));
	free(p);
	fixture_close(&b);
}

static void
what_the_journal_has_is_not_lost_by_a_flush(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	char *p = bytes();

	client_init(&a, "a");
	b.export.settle_ms = 60000;
	fixture_open(&b);
	fake_s3_set(b.s3, "f", p, LEN);
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "f", &fh), 0);
	cache(&b, &a, &fh, p);
	/* Two of the same place: the first of them is given up. */
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 9, "one", 3, GATE_FILE_SYNC), 0);
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 9, "two", 3, GATE_FILE_SYNC), 0);
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 90, "x", 1, GATE_UNSTABLE), 0);
	flushes_fail(1);
	CU_ASSERT_EQUAL(do_commit(&b, &a, &fh), -EIO);
	/* Its bytes go where the first of the two had been. */
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 9, "3", 1, GATE_UNSTABLE), 0);
	CU_ASSERT_EQUAL(do_commit(&b, &a, &fh), 0);
	memcpy(p + 9, "3wo", 3);
	CU_ASSERT(do_read_is(&b, &a, &fh, p, LEN));
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "f", p, LEN));
	free(p);
	fixture_close(&b);
}

struct quarantined {
	uint64_t id;
};

static int
take_id(void *arg, const struct gate_quarantine_info *info)
{
	((struct quarantined *)arg)->id = info->id;
	return 0;
}

static void
what_is_kept_aside_was_flushed(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	struct quarantined kept = { 0 };
	char why[256];
	char *p = bytes();
	uint64_t until = clock_ms() + FIXTURE_WAIT_MS;

	client_init(&a, "a");
	fixture_open(&b);
	fake_s3_set(b.s3, "f", p, LEN);
	CU_ASSERT_EQUAL(do_lookup(&b, &a, "f", &fh), 0);
	cache(&b, &a, &fh, p);
	fake_s3_fail(b.s3, S3_OP_PUT, 1, 1000, -EACCES);
	flushes_fail(1);
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 9, "one", 3, GATE_FILE_SYNC), 0);
	while (kept.id == 0 && clock_ms() < until) {
		(void)fixture_settled(&b);
		CU_ASSERT_EQUAL(gate_each_quarantined(b.gate, take_id, &kept),
				0);
	}
	CU_ASSERT_NOT_EQUAL(kept.id, 0);
	fake_s3_fail(b.s3, S3_OP_PUT, 1, 0, 0);
	CU_ASSERT_EQUAL(gate_quarantine_retry(b.gate, kept.id, why),
			0);
	memcpy(p + 9, "one", 3);
	CU_ASSERT(fake_s3_is(b.s3, "f", p, LEN));
	free(p);
	fixture_close(&b);
}

/* ---- no room ---- */

#define BIG (20 * MIB)

struct stream_reader {
	struct fixture *b;
	struct client client;
	struct gate_fh fh;
	const char *want;
	pthread_t thread;
	int errors;
};

static void *
read_all(void *arg)
{
	struct stream_reader *s = arg;
	char *buf = malloc(128 << 10);

	for (uint64_t off = 0; off < BIG; off += 128 << 10) {
		uint32_t got = 0;

		s->errors += do_read(s->b, &s->client, &s->fh, off, buf,
				     128 << 10, &got) != 0 ||
			     got != 128 << 10 ||
			     memcmp(buf, s->want + off, got) != 0;
	}
	free(buf);
	return NULL;
}

static bool
memory_is_free(struct fixture *b)
{
	AWAIT(fixture_memory_used(b) == 0);
	return fixture_memory_used(b) == 0;
}

static void
readers_have_what_came_when_the_disk_is_full(void)
{
	struct fixture b = FIXTURE;
	struct stream_reader s[4];
	char *p = malloc(BIG);

	for (unsigned i = 0; i < BIG; i++)
		p[i] = (char)(i / 4096 + i);
	b.config.memory_size = 24 * MIB;
	b.export.attr_ttl_ms = 60000;
	fixture_open(&b);
	fake_s3_set(b.s3, "f", p, BIG);
	__atomic_store_n(&full, true, __ATOMIC_RELAXED);
	for (int i = 0; i < 4; i++) {
		s[i] = (struct stream_reader){ .b = &b, .want = p };
		client_init(&s[i].client, "a");
		CU_ASSERT_EQUAL(do_lookup(&b, &s[i].client, "f", &s[i].fh),
				0);
		pthread_create(&s[i].thread, NULL, read_all, &s[i]);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(s[i].thread, NULL);
		CU_ASSERT_EQUAL(s[i].errors, 0);
	}
	/* Nobody reads: nothing waits in memory. */
	CU_ASSERT(memory_is_free(&b));
	__atomic_store_n(&full, false, __ATOMIC_RELAXED);
	free(p);
	fixture_close(&b);
}

/* A READ over the wire, of the first bytes: parked, and called when they have
 * come.  By then the disk has refused them. */
static struct node *
park_read(struct fixture *b, struct client *c, struct gate_fh *fh, char *p)
{
	struct gate_attr attr;
	struct node *n;
	uint64_t until = clock_ms() + FIXTURE_WAIT_MS;
	uint32_t got;
	char buf[16];
	bool eof, refused = false;

	fake_s3_set(b->s3, "f", p, LEN);
	CU_ASSERT_EQUAL(do_lookup(b, c, "f", fh), 0);
	__atomic_store_n(&full, true, __ATOMIC_RELAXED);
	fake_s3_hold(b->s3, S3_OP_GET);
	c->rq.may_block = c->rq.near = true;
	c->rq.token = c;
	c->rq.first_ms = clock_ms();
	CU_ASSERT_EQUAL(gate_read(b->x, &c->rq, fh, 0, buf, sizeof(buf), &got,
				  &eof, &attr), -EAGAIN);
	CU_ASSERT_EQUAL(c->rq.again, GATE_HOLD);
	fake_s3_release(b->s3);
	n = node_find(b->gate, fh->ino);
	CU_ASSERT_PTR_NOT_NULL_FATAL(n);
	while (!refused && clock_ms() < until) {
		usleep(1000);
		mutex_lock(&n->mutex);
		refused = n->d.unstored_ms != 0 && !n->d.storing;
		mutex_unlock(&n->mutex);
	}
	CU_ASSERT(refused);
	CU_ASSERT_EQUAL(sem_trywait(&c->woken), 0);
	return n;
}

static void
a_parked_read_has_what_came_when_the_disk_is_full(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_attr attr;
	struct gate_fh fh;
	struct node *n;
	char *p = bytes(), buf[16];
	uint32_t got = 0;
	bool eof;

	client_init(&a, "a");
	b.export.attr_ttl_ms = 60000;
	fixture_open(&b);
	n = park_read(&b, &a, &fh, p);
	a.rq.again = GATE_AGAIN_NONE;
	CU_ASSERT_EQUAL(gate_read(b.x, &a.rq, &fh, 0, buf, sizeof(buf), &got,
				  &eof, &attr), 0);
	CU_ASSERT_EQUAL(got, sizeof(buf));
	CU_ASSERT_EQUAL(memcmp(buf, p, got), 0);
	CU_ASSERT_EQUAL(fake_s3_calls(b.s3, S3_OP_GET), 1);
	/* It has them: they are not kept any longer. */
	CU_ASSERT(memory_is_free(&b));
	node_put(&n);
	__atomic_store_n(&full, false, __ATOMIC_RELAXED);
	free(p);
	fixture_close(&b);
}

static void
bytes_for_a_read_that_does_not_come_again_are_dropped(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	struct fetch *f;
	struct node *n;
	char *p = bytes();

	client_init(&a, "a");
	b.export.attr_ttl_ms = 60000;
	fixture_open(&b);
	n = park_read(&b, &a, &fh, p);
	mutex_lock(&n->mutex);
	f = LIST_FIRST(&n->d.fetches);
	if (f != NULL)
		f->until_ms = clock_ms();
	mutex_unlock(&n->mutex);
	CU_ASSERT_PTR_NOT_NULL(f);
	node_tick(b.gate, fh.ino);
	CU_ASSERT(memory_is_free(&b));
	node_put(&n);
	/* Nor are they left behind at the end. */
	__atomic_store_n(&full, false, __ATOMIC_RELAXED);
	fixture_restart(&b);
	n = park_read(&b, &a, &fh, p);
	node_put(&n);
	__atomic_store_n(&full, false, __ATOMIC_RELAXED);
	free(p);
	fixture_close(&b);
}

/* ---- a state directory that goes away ---- */

/* Of the fixture's directory. */
static void
move(struct fixture *b, const char *from, const char *to)
{
	char one[128], two[128];

	snprintf(one, sizeof(one), "%s/%s", b->dir, from);
	snprintf(two, sizeof(two), "%s/%s", b->dir, to);
	CU_ASSERT_EQUAL_FATAL(rename(one, two), 0);
}

static void
nothing_is_committed_to_a_database_that_was_taken_away(void)
{
	const char *const parts[] = { "meta.db", "meta.db-wal" };
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh, other;
	char command[256];

	client_init(&a, "a");
	fixture_open(&b);
	CU_ASSERT_EQUAL(do_file(&b, &a, "f", "text", &fh), 0);
	CU_ASSERT(fixture_settled(&b));
	for (int i = 0; i < 2; i++) {
		move(&b, parts[i], "away");
		CU_ASSERT_EQUAL(do_create(&b, &a, "g", &other), -EIO);
		CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, "x", 1,
					 GATE_FILE_SYNC), -EIO);
		CU_ASSERT_EQUAL(do_remove(&b, &a, "f"), -EIO);
		/* A copy in its place is another one. */
		snprintf(command, sizeof(command), "cp %s/away %s/%s", b.dir,
			 b.dir, parts[i]);
		CU_ASSERT_EQUAL(system(command), 0);
		CU_ASSERT_EQUAL(do_remove(&b, &a, "f"), -EIO);
		move(&b, "away", parts[i]);
		CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, "T", 1,
					 GATE_FILE_SYNC), 0);
	}
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "f", "Text", 4));
	fixture_close(&b);
}

static void
no_bytes_are_committed_to_a_file_that_was_taken_away(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	char *p = bytes(), name[64], file[32];

	client_init(&a, "a");
	fixture_open(&b);
	CU_ASSERT_EQUAL(do_create(&b, &a, "f", &fh), 0);
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, p, LEN, GATE_UNSTABLE), 0);
	data_file_name(fh.ino, file);
	snprintf(name, sizeof(name), "data/%s", file);
	move(&b, name, "away");
	CU_ASSERT_EQUAL(do_commit(&b, &a, &fh), -EIO);
	move(&b, "away", name);
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, p, LEN, GATE_UNSTABLE), 0);
	CU_ASSERT_EQUAL(do_commit(&b, &a, &fh), 0);
	CU_ASSERT(fixture_settled(&b));
	CU_ASSERT(fake_s3_is(b.s3, "f", p, LEN));
	free(p);
	fixture_close(&b);
}

static void
a_lost_state_directory_is_shown_and_takes_no_writes(void)
{
	struct fixture b = FIXTURE;
	struct client a;
	struct gate_fh fh;
	struct gate_status status;
	char path[128];

	client_init(&a, "a");
	fixture_open(&b);
	CU_ASSERT_EQUAL(do_create(&b, &a, "f", &fh), 0);
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, "a", 1, GATE_UNSTABLE), 0);
	move(&b, "data", "away");
	snprintf(path, sizeof(path), "%s/data", b.dir);
	CU_ASSERT_EQUAL(mkdir(path, 0700), 0);
	there_look(b.gate);
	gate_status(b.gate, &status);
	CU_ASSERT_EQUAL(status.state_lost, 1);
	CU_ASSERT(fixture_said(&b, "state directory was taken away"));
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, "b", 1, GATE_UNSTABLE), -EIO);
	CU_ASSERT_EQUAL(rmdir(path), 0);
	move(&b, "away", "data");
	there_look(b.gate);
	gate_status(b.gate, &status);
	CU_ASSERT_EQUAL(status.state_lost, 0);
	CU_ASSERT_EQUAL(do_write(&b, &a, &fh, 0, "b", 1, GATE_UNSTABLE), 0);
	CU_ASSERT_EQUAL(do_commit(&b, &a, &fh), 0);
	fixture_close(&b);
}

TEST_MAIN("gate_disk",
	  T(files_in_memory_keep_no_more_descriptors_than_the_limit),
	  T(without_descriptors_no_byte_that_was_taken_is_lost),
	  T(a_file_that_was_closed_unflushed_tells_of_a_failure),
	  T(an_object_is_not_deleted_for_a_copy_that_was_not_flushed),
	  T(copies_that_never_reached_the_disk_are_fetched_again),
	  T(an_upload_has_no_copies_that_a_failed_flush_should_have_written),
	  T(what_the_journal_has_is_not_lost_by_a_flush),
	  T(what_is_kept_aside_was_flushed),
	  T(readers_have_what_came_when_the_disk_is_full),
	  T(a_parked_read_has_what_came_when_the_disk_is_full),
	  T(bytes_for_a_read_that_does_not_come_again_are_dropped),
	  T(nothing_is_committed_to_a_database_that_was_taken_away),
	  T(no_bytes_are_committed_to_a_file_that_was_taken_away),
	  T(a_lost_state_directory_is_shown_and_takes_no_writes))
