/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening and closing the gate, its exports, FSSTAT, and the few answers that
 * concern all of it.
 */

#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nfsd/gate/cache/cache.h"
#include "nfsd/gate/data/data.h"
#include "nfsd/gate/dir/dir.h"
#include "nfsd/gate/dirmove/dirmove.h"
#include "nfsd/gate/inside.h"
#include "nfsd/gate/keys/keys.h"
#include "nfsd/gate/node/node.h"
#include "nfsd/gate/pending/pending.h"
#include "nfsd/gate/upload/upload.h"
#include "nfsd/gate/worker/worker.h"

/* ---- identity of this server: verifier and handle key ---- */

static int
load_secret(struct gate *g, const char *name, uint8_t *out, size_t len)
{
	struct meta_batch *b;
	ssize_t n = meta_get_setting(g->meta, name, out, len);

	if (n == (ssize_t)len)
		return 0;
	if (n != -ENOENT)
		return n < 0 ? (int)n : -EBADMSG;
	if (getrandom(out, len, 0) != (ssize_t)len)
		return -EIO;
	b = meta_batch_new();
	if (b != NULL)
		meta_put_setting(b, name, out, len);
	return meta_commit(g->meta, &b);
}

struct clean {			/* what a run that ended in order leaves */
	uint8_t verifier[8];
	char mark[EPOCH_MARK];
};

/*
 * The verifier of the last run is used again only if that ended in order, and
 * nobody has put its state directory back since: another run may have used it,
 * for bytes that are gone now; it is taken off the record first, so that a
 * crash from here on makes a new one (rule.md 9).
 */
static int
load_verifier(struct gate *g)
{
	struct clean clean = { { 0 }, "" };
	char mark[EPOCH_MARK];
	struct meta_batch *b;
	ssize_t n = meta_get_setting(g->meta, "clean_verifier", &clean,
				     sizeof(clean));

	if (n < 0 && n != -ENOENT)
		return (int)n;
	if (n == sizeof(clean) && epoch_mark(g, mark) &&
	    memcmp(mark, clean.mark, sizeof(mark)) == 0)
		memcpy(g->verifier, clean.verifier, sizeof(g->verifier));
	else if (getrandom(g->verifier, sizeof(g->verifier), 0) !=
		    sizeof(g->verifier))
		return -EIO;
	b = meta_batch_new();
	if (b != NULL)
		meta_put_setting(b, "clean_verifier", "", 0);
	return meta_commit(g->meta, &b);
}

void
gate_fh_key(struct gate *g, uint8_t key[16])
{
	memcpy(key, g->fh_key, 16);
}

int
gate_drc_find(struct gate *g, const uint8_t key[16], struct gate_fh *made)
{
	if (!g->drc_rows)
		return -ENOENT;
	return meta_get_drc(g->meta, key, clock_ns() - 120000000000LL,
			    &made->ino, &made->generation);
}

/*
 * Numbers of inodes come again when the state directory is put back from a
 * copy: what was made since bears the numbers that this run will give to
 * others.  Handles of those name nothing, as each run has a generation of its
 * own.
 */
static int
make_generation(struct gate *g)
{
	do {
		if (getrandom(&g->generation, sizeof(g->generation), 0) !=
		    sizeof(g->generation))
			return -EIO;
	} while (g->generation <= 1);	/* older versions, and roots */
	return 0;
}

/* ---- exports ---- */

/* The note of its number is gone, and what is below it is not: -ENOENT if
 * that is gone as well. */
static int
find_root(struct gate_export *x, const char *setting)
{
	uint64_t number = named_root(x);
	struct meta_inode row = { 0 };
	struct meta_batch *b;
	int r = meta_get_inode(x->gate->meta, number, &row);

	if (r < 0)
		return r;
	r = row.export_id == x->id ? 0 : -ENOENT;
	meta_inode_fini(&row);
	if (r < 0)
		return r;
	b = meta_batch_new();
	if (b != NULL)
		meta_put_setting(b, setting, &number, sizeof(number));
	x->root = number;
	return meta_commit(x->gate->meta, &b);
}

static int
make_root(struct gate_export *x)
{
	struct gate *g = x->gate;
	struct meta_inode row = { 0 };
	struct meta_batch *b;
	char name[64];
	uint64_t ino = 0;
	ssize_t n;
	int64_t now = clock_ns();
	int r;

	snprintf(name, sizeof(name), "root.%u", x->id);
	n = meta_get_setting(g->meta, name, &ino, sizeof(ino));
	if (n == sizeof(ino)) {
		x->root = ino;
		return 0;
	}
	if (n != -ENOENT)
		return n < 0 ? (int)n : -EBADMSG;
	r = find_root(x, name);
	if (r != -ENOENT)
		return r;
	row = (struct meta_inode){
		.export_id = x->id,
		.generation = 1,
		.kind = GATE_DIR,
		.mode = x->c.top_mode != 0 ? x->c.top_mode : x->c.dir_mode,
		.uid = x->c.uid,
		.gid = x->c.gid,
		.nlink = 1,	/* dir/nlink.c */
		.atime_ns = now,
		.mtime_ns = now,
		.ctime_ns = now,
		.btime_ns = now,
		.attr_known = true,
	};
	r = export_root_number(x, &row.ino);
	if (r < 0)
		return r;
	b = meta_batch_new();
	if (b != NULL) {
		meta_add_inode(b, &row);
		meta_put_setting(b, name, &row.ino, sizeof(row.ino));
	}
	x->root = row.ino;
	return meta_commit(g->meta, &b);
}

/* Tests need not make objects of 5 GiB. */
static uint64_t
copy_max(void)
{
#ifdef FAILPOINTS
	const char *text = getenv("S3NFSD_COPY_MAX");

	if (text != NULL)
		return strtoull(text, NULL, 10);
#endif
	return S3_COPY_MAX;
}

/* Nor wait for a second: this is what a lease is divided by. */
static uint64_t
lease_divisor(void)
{
#ifdef FAILPOINTS
	const char *text = getenv("S3NFSD_LEASE_DIV");
	uint64_t by = text != NULL ? strtoull(text, NULL, 10) : 1;

	return by > 0 ? by : 1;
#else
	return 1;
#endif
}

int
gate_export_add(struct gate *g, const struct gate_export_config *config,
		struct s3 *s3, struct gate_export **out)
{
	struct gate_export *x = calloc(1, sizeof(*x));
	int r;

	if (x == NULL)
		return -ENOMEM;
	x->gate = g;
	x->s3 = s3;
	x->copy_max = copy_max();
	STAILQ_INIT(&x->aborts);
	x->c = *config;
	x->c.lease_ms /= lease_divisor();
	x->any_bytes = s3_keys_any_bytes(s3);
	x->c.name = strdup(config->name);
	x->c.prefix = strdup(config->prefix);
	r = x->c.name == NULL || x->c.prefix == NULL ? -ENOMEM : 0;
	if (r == 0)
		r = meta_export_id(g->meta, x->c.name, &x->id);
	if (r == 0 && x->c.place != NULL)
		r = binding_check(x);
	x->c.place = NULL;	/* the caller's */
	if (r == 0)
		r = make_root(x);
	if (r < 0) {
		free((char *)x->c.name);
		free((char *)x->c.prefix);
		free(x);
		return r;
	}
	x->fsid = gate_root_is_named(x) ? name_number(x->c.name)
					: 0x73336e6673640000ULL + x->id;
	schedule_init(&x->schedule, upload_run);
	x->deletes.run = delete_run;
	LIST_INSERT_HEAD(&g->exports, x, link);
	*out = x;
	return 0;
}

void
gate_export_caps(struct gate_export *x, const struct s3_caps *caps)
{
	__atomic_store_n(&x->can_part_copy, caps->part_copy,
			 __ATOMIC_RELAXED);
	__atomic_store_n(&x->can_put_if_none_match, caps->put_if_none_match,
			 __ATOMIC_RELAXED);
	__atomic_store_n(&x->can_put_if_match, caps->put_if_match,
			 __ATOMIC_RELAXED);
	__atomic_store_n(&x->can_complete_if_match, caps->complete_if_match,
			 __ATOMIC_RELAXED);
	__atomic_store_n(&x->can_delete_if_match, caps->delete_if_match,
			 __ATOMIC_RELAXED);
	__atomic_store_n(&x->mangled, caps->mangled, __ATOMIC_RELAXED);
}

struct run_clock *
gate_clock(struct gate *g)
{
	return &g->clock;
}

uint32_t
gate_export_id(const struct gate_export *x)
{
	return x->id;
}

int
gate_root(struct gate_export *x, struct gate_fh *out)
{
	out->ino = x->root;
	out->generation = 1;
	return 0;
}

int
gate_fsstat(struct gate_export *x, struct gate_request *rq,
	    const struct gate_fh *fh, struct gate_fsstat *out,
	    struct gate_attr *attr)
{
	/* S3 has no end; df shows a large, even number, or the quota. */
	uint64_t total = x->c.quota_bytes ? x->c.quota_bytes : 1ULL << 50;
	int64_t used = __atomic_load_n(&x->used_bytes, __ATOMIC_RELAXED);
	uint64_t objects = __atomic_load_n(&x->used_objects,
					   __ATOMIC_RELAXED);
	uint64_t left = used <= 0 ? total
			: (uint64_t)used < total ? total - (uint64_t)used
						 : 0;
	struct node *n = NULL;
	int r = node_from_fh(x, rq, fh, &n);

	if (r < 0)
		return r;
	*out = (struct gate_fsstat){
		.total_bytes = total,
		.free_bytes = left,
		.avail_bytes = left,
		.total_files = 1ULL << 40,
		.free_files = (1ULL << 40) - objects,
		.avail_files = (1ULL << 40) - objects,
	};
	node_attr(n, rq, attr);
	node_put(&n);
	return 0;
}

/* ---- life ---- */

static int
open_dirs(struct gate *g)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/data", g->state_dir);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	g->data_dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	files_init(&g->files, g->data_dir, g->state_dir, g->config.max_files);
	return g->data_dir < 0 ? -errno : 0;
}

static void
files_job(void *arg)
{
	struct gate *g = arg;

	files_flush(&g->files);
}

static int
files_job_add(void *arg)
{
	struct gate *g = arg;

	return pool_add(&g->transfers, NULL, POOL_NEXT, files_job, g);
}

int
gate_open(const struct gate_config *config, struct meta *meta,
	  struct gate **out)
{
	struct gate *g = calloc(1, sizeof(*g));
	pthread_condattr_t attr;
	int r;

	if (g == NULL)
		return -ENOMEM;
	g->config = *config;
	g->meta = meta;
	meta_guard(meta, mutex_may_last);
	g->data_dir = -1;
	LIST_INIT(&g->exports);
	TAILQ_INIT(&g->shown);
	mutex_init(&g->mutex, MUTEX_GATE);
	mutex_init(&g->links, MUTEX_LINKS);
	run_clock_init(&g->clock);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&g->progress, &attr);
	pthread_cond_init(&g->key_free, &attr);
	pthread_cond_init(&g->memory_free, &attr);
	mutex_init(&g->dirmoves.mutex, MUTEX_DIRMOVES);
	mutex_init(&g->dirmoves.renames, MUTEX_RENAMES);
	pthread_cond_init(&g->dirmoves.changed, &attr);
	LIST_INIT(&g->dirmoves.list);
	pthread_cond_init(&g->quota_stop, &attr);
	pthread_condattr_destroy(&attr);
	for (size_t i = 0; i < SHARDS; i++) {
		mutex_init(&g->shards[i].mutex, MUTEX_SHARD);
		pthread_cond_init(&g->shards[i].left, NULL);
		TAILQ_INIT(&g->shards[i].lru);
		TAILQ_INIT(&g->shards[i].spare);
	}
	mutex_init(&g->known.mutex, MUTEX_LEAF);
	g->state_dir = strdup(config->state_dir);
	r = g->state_dir == NULL ? -ENOMEM : known_init(g);
	if (r == 0)
		r = open_dirs(g);
	if (r == 0)
		r = epoch_check(g);
	if (r == 0)
		r = load_secret(g, "fh_key", g->fh_key, sizeof(g->fh_key));
	if (r == 0)
		r = make_generation(g);
	if (r == 0)
		r = load_verifier(g);
	if (r == 0)
		r = mangled_load(g);
	g->drc_rows = r == 0 &&
		      meta_any_drc(meta, clock_ns() - 120000000000LL);
	if (r == 0)
		r = quarantine_recover(g);
	if (r == 0 && g->accepted)
		r = stray_keep_all(g);
	/* From here on who has no row is left over. */
	if (r == 0)
		r = epoch_advance(g);
	g->opened = r == 0;
	g->opened_ns = clock_ns();
	if (r == 0)
		r = data_clean_dir(g);
	if (r == 0)
		r = data_replay(g);
	if (r == 0)
		r = pool_start(&g->transfers, config->transfer_threads
						      ? config->transfer_threads
						      : 16);
	if (r == 0) {
		files_crowded(&g->files, files_job_add, g);
		r = pool_start(&g->dirmoves.listers, 4);
	}
	if (r == 0)
		r = timers_start(&g->timers, &g->clock, node_tick, g);
	if (r < 0) {
		gate_close(&g);
		return r;
	}
	*out = g;
	return 0;
}

int
gate_start(struct gate *g)
{
	struct gate_export *x;
	int r = recover(g);

	LIST_FOREACH(x, &g->exports, link) {
		if (r == 0)
			r = quota_start(x);
	}
	if (r == 0)
		r = known_start(g);
	if (r == 0)
		audit_start(g);
	return r;
}

static void
free_tables(struct gate *g)
{
	struct negative *e, *next_e;
	struct hidden *h, *next_h;

	HASH_ITER(hh, g->negatives, e, next_e) {
		HASH_DEL(g->negatives, e);
		free(e);
	}
	HASH_ITER(hh, g->hidden, h, next_h) {
		HASH_DEL(g->hidden, h);
		free(h);
	}
}

/* Are there bytes that a client was told of and has not committed?  They
 * end here, and the verifier has to tell (rule.md 9). */
static bool
any_dirty(struct gate *g)
{
	struct node *n, *next;

	for (size_t i = 0; i < SHARDS; i++) {
		HASH_ITER(hh, g->shards[i].nodes, n, next) {
			if (n->d.dirty.count > 0)
				return true;
		}
	}
	return false;
}

static void
record_end(struct gate *g, bool lost)
{
	struct clean clean = { { 0 }, "" };
	struct meta_batch *b;

	if (epoch_advance(g) < 0) {
		gate_say(g, 1, "the end could not be recorded");
		return;
	}
	if (lost || !epoch_mark(g, clean.mark))
		return;
	memcpy(clean.verifier, g->verifier, sizeof(clean.verifier));
	b = meta_batch_new();
	if (b != NULL)
		meta_put_setting(b, "clean_verifier", &clean, sizeof(clean));
	if (meta_commit(g->meta, &b) < 0)
		gate_say(g, 1, "the end could not be recorded");
}

void
gate_close(struct gate **gate)
{
	struct gate *g = *gate;
	struct gate_export *x;
	bool lost;

	if (g == NULL)
		return;
	__atomic_store_n(&g->stopping, true, __ATOMIC_RELAXED);
	LIST_FOREACH(x, &g->exports, link)
		s3_cancel(x->s3);
	quota_stop(g);
	known_stop(g);
	abort_stop(g);
	timers_stop(&g->timers);
	dirmoves_stop(g);
	LIST_FOREACH(x, &g->exports, link)
		schedule_stop(&x->schedule);
	files_crowded(&g->files, NULL, NULL);
	pool_stop(&g->transfers);
	timers_free(&g->timers);
	lost = any_dirty(g);
	nodes_free(g);
	LIST_FOREACH(x, &g->exports, link)
		deletes_free(x);
	dirmoves_free(g);
	free_tables(g);
	client_ids_free(g);
	if (g->opened)
		record_end(g, lost);
	if (g->data_dir >= 0) {
		close(g->data_dir);
		files_fini(&g->files);
	}
	while ((x = LIST_FIRST(&g->exports)) != NULL) {
		LIST_REMOVE(x, link);
		free((char *)x->c.name);
		free((char *)x->c.prefix);
		free(x);
	}
	known_fini(g);
	run_clock_fini(&g->clock);
	free(g->state_dir);
	free(g);
	*gate = NULL;
}
