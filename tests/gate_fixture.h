/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_GATE_FIXTURE_H
#define TESTS_GATE_FIXTURE_H

/*
 * A gate over fake_s3.h and a database in a temporary directory, for tests
 * that call gate.h as the procedures do.  Times are short: files settle
 * after 30 ms, requests are held for 300 ms.
 */

#include <pthread.h>
#include <semaphore.h>
#include <time.h>

#include "nfsd/gate/cache/cache.h"
#include "nfsd/gate/change/change.h"
#include "nfsd/gate/change/inside.h"
#include "nfsd/gate/data/data.h"
#include "nfsd/gate/data/inside.h"
#include "nfsd/gate/dir/dir.h"
#include "nfsd/gate/dir/inside.h"
#include "nfsd/gate/dirmove/dirmove.h"
#include "nfsd/gate/dirmove/inside.h"
#include "nfsd/gate/inside.h"
#include "nfsd/gate/keys/inside.h"
#include "nfsd/gate/keys/keys.h"
#include "nfsd/gate/link/inside.h"
#include "nfsd/gate/link/link.h"
#include "nfsd/gate/node/inside.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/object/object.h"
#include "nfsd/gate/ops/inside.h"
#include "nfsd/gate/ops/ops.h"
#include "nfsd/gate/path/inside.h"
#include "nfsd/gate/path/path.h"
#include "nfsd/gate/pending/inside.h"
#include "nfsd/gate/pending/pending.h"
#include "nfsd/gate/upload/inside.h"
#include "nfsd/gate/upload/upload.h"
#include "nfsd/gate/worker/worker.h"
#include "nfsd/gate/writer/inside.h"
#include "nfsd/gate/writer/writer.h"
#include "tests/fake_s3.h"

struct fixture {
	char dir[64];
	struct meta *meta;
	struct gate *gate;
	struct gate_export *x;
	struct s3 *s3;
	struct gate_fh root;
	/* A second export, "/c", with a bucket of its own, if that is set
	 * before fixture_open. */
	bool two;
	struct gate_export *y;
	struct s3 *s3y;
	struct gate_fh rooty;
	/* Set before fixture_open to differ from the default. */
	struct gate_export_config export;
	struct gate_config config;
	/* Errors and warnings that the gate has logged, one a line. */
	pthread_mutex_t mutex;
	char said[8192];
};

#define FIXTURE                                                                \
	{                                                                      \
		.export = FIXTURE_EXPORT, .config = FIXTURE_CONFIG,            \
		.mutex = PTHREAD_MUTEX_INITIALIZER,                            \
	}
#define FIXTURE_EXPORT                                                         \
	{                                                                      \
		.name = "/b", .prefix = "", .settle_ms = 30,                   \
		.create_settle_ms = 30, .hold_ms = 300, .busy_limit_ms = 2000, \
		.reserve_ms = 2000, .lease_ms = 5000, .attr_ttl_ms = 50,       \
		.max_dirty_age_ms = 60000, .upload_retry_ms = 60000,           \
		.max_handles = 1000, .file_mode = 0644, .dir_mode = 0755,      \
		.part_size = 8 * MIB,                                          \
	}
#define FIXTURE_CONFIG                                                         \
	{                                                                      \
		.cache_size = 256 * MIB, .memory_size = 64 * MIB,              \
		.transfer_threads = 4, .max_nodes = 100000,                    \
	}

void fixture_open(struct fixture *b);
void fixture_restart(struct fixture *b);	/* in order; the bucket stays */
void fixture_stop(struct fixture *b);	/* the two halves of it */
void fixture_start(struct fixture *b);
/* A kill in three steps: what is on disk at this moment is kept, the gate is
 * stopped (the bucket had better not change meanwhile), and the next one finds
 * what was kept. */
void fixture_keep(struct fixture *b);
void fixture_put_back(struct fixture *b);
/* Start anew with an empty state directory; the bucket stays. */
void fixture_lose_state(struct fixture *b);
void fixture_close(struct fixture *b);
/* How long tests wait for what comes at once where the machine has nothing
 * else to do; what must be quick is looked at apart. */
#define FIXTURE_WAIT_MS 30000
#define AWAIT(condition)                                                       \
	do {                                                                   \
		uint64_t until_ = clock_ms() + FIXTURE_WAIT_MS;                \
		while (!(condition) && clock_ms() < until_)                    \
			nanosleep(&(struct timespec){ 0, 2000000 }, NULL);     \
	} while (0)

/* Until nothing is owed to S3; false after FIXTURE_WAIT_MS. */
bool fixture_settled(struct fixture *b);

/* Comes true within FIXTURE_WAIT_MS: an error or a warning with this text was
 * logged. */
bool fixture_said(struct fixture *b, const char *text);

/* What memory_size has room for that is taken now. */
uint64_t fixture_memory_used(struct fixture *b);

/* A client, by name.  Requests are held as in the daemon. */
struct client {
	struct gate_request rq;
	sem_t woken;
};
void client_init(struct client *c, const char *name);

/* Each waits while the gate holds the request; JUKEBOX comes back as
 * -EAGAIN.  Paths are names in the root directory. */
int do_create(struct fixture *b, struct client *c, const char *name,
	      struct gate_fh *fh);
int do_lookup(struct fixture *b, struct client *c, const char *name,
	      struct gate_fh *fh);
int do_mkdir(struct fixture *b, struct client *c, const char *name,
	     struct gate_fh *fh);
int do_create_in(struct fixture *b, struct client *c, const struct gate_fh *dir,
		 const char *name, struct gate_fh *fh);
int do_write(struct fixture *b, struct client *c, const struct gate_fh *fh,
	     uint64_t off, const void *data, uint32_t len,
	     enum gate_stable stable);
int do_commit(struct fixture *b, struct client *c, const struct gate_fh *fh);
int do_size(struct fixture *b, struct client *c, const struct gate_fh *fh,
	    uint64_t size);
int do_mode(struct fixture *b, struct client *c, const struct gate_fh *fh,
	    uint32_t mode);
int do_remove(struct fixture *b, struct client *c, const char *name);
int do_rename(struct fixture *b, struct client *c, const char *from,
	      const char *to);
int do_read(struct fixture *b, struct client *c, const struct gate_fh *fh,
	    uint64_t off, void *buf, uint32_t len, uint32_t *got);
/* Are these the file's bytes, all of them? */
bool do_read_is(struct fixture *b, struct client *c, const struct gate_fh *fh,
		const void *data, uint32_t len);
/* A new file, created, written and committed. */
int do_file(struct fixture *b, struct client *c, const char *name,
	    const char *text, struct gate_fh *fh);

#endif
