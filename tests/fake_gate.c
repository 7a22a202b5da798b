/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See fake_gate.h.  Inode 2 is every export's root.  What is made has inode
 * 77, generation 7.
 */
#include <config.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fake_gate.h"

struct fake_gate fake_gate;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void
fake_gate_sync(void)
{
	pthread_mutex_lock(&lock);
	pthread_mutex_unlock(&lock);
}

void
fake_gate_reset(void)
{
	memset(&fake_gate, 0, sizeof(fake_gate));
	fake_gate.drc_found = -ENOENT;
	fake_gate.walk_kind = GATE_DIR;
}

struct gate_attr
fake_attr(uint64_t ino)
{
	return (struct gate_attr){
		.kind = GATE_REG, .mode = 0640, .nlink = 1, .uid = 10,
		.gid = 20, .size = 1000, .used = 4096, .fsid = 5,
		.fileid = ino, .atime_ns = 1000000001, .mtime_ns = 2000000002,
		.ctime_ns = 3000000003,
	};
}

static int
seen(const char *what, struct gate_request *rq, const struct gate_fh *fh,
     const char *name)
{
	fake_gate.calls++;
	fake_gate.last = what;
	fake_gate.request = *rq;
	fake_gate.fh = *fh;
	if (name != NULL)
		snprintf(fake_gate.name, sizeof(fake_gate.name), "%s", name);
	if (fake_gate.result == -EAGAIN)
		rq->again = fake_gate.again;
	return fake_gate.result;
}

static void
wcc_of(struct gate_wcc *wcc, uint64_t ino)
{
	if (fake_gate.no_wcc)
		return;
	wcc->has_before = wcc->has_after = true;
	wcc->before = wcc->after = fake_attr(ino);
}

static int
make(struct gate_fh *out, struct gate_attr *attr, int r)
{
	if (r == 0) {
		*out = (struct gate_fh){77, 7};
		*attr = fake_attr(77);
	}
	return r;
}

/* ---- life ---- */

struct gate {
	struct gate_export exports[8];
	unsigned count;
};

int
gate_open(const struct gate_config *config, struct meta *meta,
	  struct gate **out)
{
	(void)config;
	(void)meta;
	fake_gate_reset();
	*out = calloc(1, sizeof(**out));
	return *out == NULL ? -ENOMEM : 0;
}

int
gate_export_add(struct gate *gate, const struct gate_export_config *config,
		struct s3 *s3, struct gate_export **out)
{
	(void)config;
	(void)s3;
	if (gate->count == 8)
		return -ENOSPC;
	*out = &gate->exports[gate->count++];
	(*out)->id = gate->count;
	return 0;
}

void
gate_export_caps(struct gate_export *export, const struct s3_caps *caps)
{
	(void)export;
	(void)caps;
}

int
gate_start(struct gate *gate)
{
	(void)gate;
	return 0;
}

int
gate_drain(struct gate *gate, uint64_t timeout_ms)
{
	(void)gate;
	(void)timeout_ms;
	return 0;
}

void
gate_close(struct gate **gate)
{
	free(*gate);
	*gate = NULL;
}

uint32_t
gate_export_id(const struct gate_export *export)
{
	return export->id;
}

void
gate_fh_key(struct gate *gate, uint8_t key[16])
{
	(void)gate;
	memset(key, 'k', 16);
}

void
gate_verifier(struct gate *gate, uint8_t verf[8])
{
	(void)gate;
	memcpy(verf, "verifier", 8);
}

bool
gate_root_is_named(const struct gate_export *export)
{
	(void)export;
	return false;
}

int
gate_root(struct gate_export *export, struct gate_fh *out)
{
	(void)export;
	*out = (struct gate_fh){2, 1};
	return 0;
}

int
gate_getattr(struct gate_export *export, struct gate_request *rq,
	     const struct gate_fh *fh, struct gate_attr *out)
{
	int r = fake_gate.getattr_result;

	(void)export;
	/* Post-op attributes are asked for without a token. */
	if (rq->token != NULL || rq->may_block) {
		r = seen("gate_getattr", rq, fh, NULL);
	}
	if (r == 0) {
		*out = fake_attr(fh->ino);
		if (fh->ino == 2)
			out->kind = GATE_DIR;
	}
	return r;
}

int
gate_setattr(struct gate_export *export, struct gate_request *rq,
	     const struct gate_fh *fh, const struct gate_setattr *set,
	     const int64_t *guard_ctime_ns, struct gate_wcc *wcc)
{
	(void)export;
	fake_gate.set = *set;
	fake_gate.guarded = guard_ctime_ns != NULL;
	fake_gate.guard_ns = guard_ctime_ns != NULL ? *guard_ctime_ns : 0;
	wcc_of(wcc, fh->ino);
	return seen("gate_setattr", rq, fh, NULL);
}

int
gate_lookup(struct gate_export *export, struct gate_request *rq,
	    const struct gate_fh *dir, const char *name, struct gate_fh *out,
	    struct gate_attr *attr, struct gate_wcc *dir_attr)
{
	int r = seen("gate_lookup", rq, dir, name);

	(void)export;
	wcc_of(dir_attr, dir->ino);
	if (r == 0 && fake_gate.walk[0] != NULL) {
		const char *want = fake_gate.walk[fake_gate.walked];

		if (want == NULL || strcmp(want, name) != 0)
			return -ENOENT;
		fake_gate.walked++;
	}
	r = make(out, attr, r);
	if (r == 0)
		attr->kind = fake_gate.walk_kind;
	return r;
}

int
gate_access(struct gate_export *export, struct gate_request *rq,
	    const struct gate_fh *fh, uint32_t want, uint32_t *granted,
	    struct gate_attr *attr)
{
	int r = seen("gate_access", rq, fh, NULL);

	(void)export;
	(void)want;
	if (r == 0) {
		*granted = UINT32_MAX;
		*attr = fake_attr(fh->ino);
	}
	return r;
}

int
gate_readlink(struct gate_export *export, struct gate_request *rq,
	      const struct gate_fh *fh, char target[GATE_PATH_MAX + 1],
	      struct gate_attr *attr)
{
	int r = seen("gate_readlink", rq, fh, NULL);

	(void)export;
	if (r == 0) {
		strcpy(target, "../there");
		*attr = fake_attr(fh->ino);
	}
	return r;
}

int
gate_read(struct gate_export *export, struct gate_request *rq,
	  const struct gate_fh *fh, uint64_t off, void *buf, uint32_t len,
	  uint32_t *got, bool *eof, struct gate_attr *attr)
{
	int r = seen("gate_read", rq, fh, NULL);

	(void)export;
	fake_gate.off = off;
	fake_gate.len = len;
	if (r == 0) {
		*got = fake_gate.read_got < len ? fake_gate.read_got : len;
		memset(buf, 'r', *got);
		*eof = fake_gate.read_eof;
		*attr = fake_attr(fh->ino);
	}
	return r;
}

int
gate_write(struct gate_export *export, struct gate_request *rq,
	   const struct gate_fh *fh, uint64_t off, const void *data,
	   uint32_t len, enum gate_stable stable, enum gate_stable *reached,
	   struct gate_wcc *wcc)
{
	int r = seen("gate_write", rq, fh, NULL);

	(void)export;
	fake_gate.off = off;
	fake_gate.len = len;
	fake_gate.data = data;
	fake_gate.stable = stable;
	wcc_of(wcc, fh->ino);
	if (r == 0)
		*reached = fake_gate.reached;
	return r;
}

int
gate_commit(struct gate_export *export, struct gate_request *rq,
	    const struct gate_fh *fh, uint64_t off, uint32_t count,
	    struct gate_wcc *wcc)
{
	(void)export;
	fake_gate.off = off;
	fake_gate.len = count;
	wcc_of(wcc, fh->ino);
	return seen("gate_commit", rq, fh, NULL);
}

int
gate_create(struct gate_export *export, struct gate_request *rq,
	    const struct gate_fh *dir, const char *name, enum gate_how how,
	    const struct gate_setattr *set, const uint8_t verf[8],
	    struct gate_fh *out, struct gate_attr *attr,
	    struct gate_wcc *dir_wcc)
{
	(void)export;
	fake_gate.how = how;
	fake_gate.set = *set;
	memcpy(fake_gate.verf, verf, 8);
	wcc_of(dir_wcc, dir->ino);
	return make(out, attr, seen("gate_create", rq, dir, name));
}

int
gate_mkdir(struct gate_export *export, struct gate_request *rq,
	   const struct gate_fh *dir, const char *name,
	   const struct gate_setattr *set, struct gate_fh *out,
	   struct gate_attr *attr, struct gate_wcc *dir_wcc)
{
	(void)export;
	fake_gate.set = *set;
	wcc_of(dir_wcc, dir->ino);
	return make(out, attr, seen("gate_mkdir", rq, dir, name));
}

int
gate_symlink(struct gate_export *export, struct gate_request *rq,
	     const struct gate_fh *dir, const char *name, const char *target,
	     const struct gate_setattr *set, struct gate_fh *out,
	     struct gate_attr *attr, struct gate_wcc *dir_wcc)
{
	(void)export;
	fake_gate.set = *set;
	snprintf(fake_gate.target, sizeof(fake_gate.target), "%s", target);
	wcc_of(dir_wcc, dir->ino);
	return make(out, attr, seen("gate_symlink", rq, dir, name));
}

int
gate_mknod(struct gate_export *export, struct gate_request *rq,
	   const struct gate_fh *dir, const char *name, enum gate_kind kind,
	   uint32_t major, uint32_t minor, const struct gate_setattr *set,
	   struct gate_fh *out, struct gate_attr *attr,
	   struct gate_wcc *dir_wcc)
{
	(void)export;
	fake_gate.kind = kind;
	fake_gate.major = major;
	fake_gate.minor = minor;
	fake_gate.set = *set;
	wcc_of(dir_wcc, dir->ino);
	return make(out, attr, seen("gate_mknod", rq, dir, name));
}

int
gate_link(struct gate_export *export, struct gate_request *rq,
	  const struct gate_fh *fh, const struct gate_fh *dir,
	  const char *name, struct gate_attr *attr, struct gate_wcc *dir_wcc)
{
	int r = seen("gate_link", rq, fh, name);

	(void)export;
	fake_gate.second = *dir;
	wcc_of(dir_wcc, dir->ino);
	if (r == 0)
		*attr = fake_attr(fh->ino);
	return r;
}

int
gate_remove(struct gate_export *export, struct gate_request *rq,
	    const struct gate_fh *dir, const char *name,
	    struct gate_wcc *dir_wcc)
{
	(void)export;
	wcc_of(dir_wcc, dir->ino);
	return seen("gate_remove", rq, dir, name);
}

int
gate_rmdir(struct gate_export *export, struct gate_request *rq,
	   const struct gate_fh *dir, const char *name,
	   struct gate_wcc *dir_wcc)
{
	(void)export;
	wcc_of(dir_wcc, dir->ino);
	return seen("gate_rmdir", rq, dir, name);
}

int
gate_rename(struct gate_export *export, struct gate_request *rq,
	    const struct gate_fh *from_dir, const char *from_name,
	    const struct gate_fh *to_dir, const char *to_name,
	    struct gate_wcc *from_wcc, struct gate_wcc *to_wcc)
{
	(void)export;
	fake_gate.second = *to_dir;
	snprintf(fake_gate.second_name, sizeof(fake_gate.second_name), "%s",
		 to_name);
	wcc_of(from_wcc, from_dir->ino);
	wcc_of(to_wcc, to_dir->ino);
	return seen("gate_rename", rq, from_dir, from_name);
}

int
gate_readdir(struct gate_export *export, struct gate_request *rq,
	     const struct gate_fh *dir, uint64_t cookie, uint8_t cookieverf[8],
	     bool plus, unsigned limit,
	     int (*emit)(void *arg, const struct gate_dirent *entry),
	     void *arg, bool *eof, struct gate_wcc *dir_attr)
{
	int r = seen("gate_readdir", rq, dir, NULL);
	unsigned given = 0;

	(void)export;
	fake_gate.limit = limit;
	fake_gate.cookie = cookie;
	wcc_of(dir_attr, dir->ino);
	if (r < 0)
		return r;
	memcpy(cookieverf, "cookies!", 8);
	*eof = true;
	for (uint64_t i = cookie; i < fake_gate.entry_count; i++) {
		struct gate_dirent entry = {
			.fileid = 100 + i, .cookie = i + 1,
			.name = fake_gate.entries[i].name,
			.fh = {100 + i, 3},
			.has_attr = plus && fake_gate.entries[i].has_attr,
			.attr = fake_attr(100 + i),
		};

		if ((limit != 0 && given == limit) || emit(arg, &entry) != 0) {
			*eof = false;
			break;
		}
		given++;
	}
	return 0;
}

int
gate_fsstat(struct gate_export *export, struct gate_request *rq,
	    const struct gate_fh *fh, struct gate_fsstat *out,
	    struct gate_attr *attr)
{
	int r = seen("gate_fsstat", rq, fh, NULL);

	(void)export;
	if (r == 0) {
		*out = (struct gate_fsstat){1, 2, 3, 4, 5, 6};
		*attr = fake_attr(fh->ino);
	}
	return r;
}

int
gate_drc_find(struct gate *gate, const uint8_t key[16],
	      struct gate_fh *made)
{
	(void)gate;
	(void)key;
	fake_gate.replays++;
	if (fake_gate.drc_found == 0)
		*made = fake_gate.drc_made;
	return fake_gate.drc_found;
}

void
gate_client_hint(struct gate *gate, const struct gate_client *who)
{
	(void)gate;
	(void)who;
	fake_gate.hints++;
}

bool
gate_client_is(enum gate_identity identity, const struct gate_client *who,
	       const char *text)
{
	(void)identity;
	return strcmp(who->name, text) == 0;
}

struct run_clock *
gate_clock(struct gate *gate)
{
	(void)gate;
	return NULL;
}

void
gate_client_connected(struct gate *gate, const struct gate_client *who,
		      int delta)
{
	(void)gate;
	(void)who;
	(void)delta;
}

/* ---- what s3nfsctl shows ---- */

int
gate_each_handle(struct gate *gate, const char *path,
		 int (*each)(void *arg, const struct gate_handle_info *),
		 void *arg)
{
	struct gate_handle_info info = {
		path != NULL ? path : "/data/\xff\x01", "host@::1", "ACTIVE",
		1, 2, 3, 3200, 1800, true
	};

	(void)gate;
	return each(arg, &info);
}

int
gate_each_upload(struct gate *gate,
		 int (*each)(void *arg, const struct gate_upload_info *),
		 void *arg)
{
	struct gate_upload_info info = {
		.path = "/data/a", .key = "a", .state = "UPLOADING",
		.bytes_total = 20 << 20, .bytes_sent = 5 << 20, .attempts = 1,
	};

	(void)gate;
	return each(arg, &info);
}

int
gate_each_trouble(struct gate *gate,
		  int (*each)(void *arg, const struct gate_trouble_info *),
		  void *arg)
{
	struct gate_trouble_info info = {
		.name = "/data", .error = "InvalidAccessKeyId: no",
		.since_ns = 1000000000, .refused = 7,
	};

	(void)gate;
	return each(arg, &info);
}

int
gate_each_dirmove(struct gate *gate,
		  int (*each)(void *arg, const struct gate_dirmove_info *),
		  void *arg)
{
	struct gate_dirmove_info info = {
		.path = "/data/new", .source = "old/", .phase = "MOVING",
		.objects = 10000, .objects_left = 4711, .failures = 2,
		.error = "SlowDown",
	};

	(void)gate;
	return each(arg, &info);
}

int
gate_each_absent(struct gate *gate,
		 int (*each)(void *arg, const struct gate_absent_info *),
		 void *arg)
{
	struct gate_absent_info info = {
		.name = "/gone", .files = 2, .bytes = 1234, .deletions = 1,
	};

	(void)gate;
	return each(arg, &info);
}

void
gate_export_back(struct gate_export *export)
{
	(void)export;
}

void
gate_each_away(struct gate *gate,
	       void (*each)(void *arg, const struct gate_away_info *),
	       void *arg)
{
	struct gate_away_info info = {
		.name = "/data", .since_ns = 1, .why = "SlowDown", .files = 3,
	};

	(void)gate;
	each(arg, &info);
}

int
gate_each_quarantined(struct gate *gate,
		      int (*each)(void *arg,
				  const struct gate_quarantine_info *),
		      void *arg)
{
	static const uint64_t ids[] = {1, 5, 9};
	int r = 0;

	(void)gate;
	fake_gate_sync();
	if (fake_gate.result < 0)
		return fake_gate.result;
	for (size_t i = 0; r == 0 && i < 3; i++) {
		struct gate_quarantine_info info = {
			.id = ids[i], .path = "/data/a", .key = "a",
			.client = "a@127.0.0.1", .error = "AccessDenied",
			.size = 5, .bytes = 3,
		};

		r = each(arg, &info);
	}
	return r;
}

int
gate_quarantine_retry(struct gate *gate, uint64_t id, char why[256])
{
	(void)gate;
	strcpy(why, id == 9 ? "AccessDenied: no" : "");
	if (id == 9)
		return -EACCES;
	return id == 1 ? 0 : -ENOENT;
}

int
gate_quarantine_save(struct gate *gate, uint64_t id, const char *file,
		     uint64_t *missing)
{
	(void)gate;
	(void)file;
	*missing = id == 9 ? 4096 : 0;
	if (id == 9)
		return 0;
	return id == 1 ? 0 : -ENOENT;
}

int
gate_quarantine_drop(struct gate *gate, uint64_t id)
{
	(void)gate;
	pthread_mutex_lock(&lock);
	fake_gate.dropped = id;
	pthread_mutex_unlock(&lock);
	return 0;
}

int
gate_flush(struct gate *gate, const char *path, uint64_t timeout_ms,
	   void (*progress)(void *arg, uint64_t sent, uint64_t total),
	   void *arg)
{
	int r;

	(void)gate;
	(void)timeout_ms;
	pthread_mutex_lock(&lock);
	snprintf(fake_gate.flushed, sizeof(fake_gate.flushed), "%s",
		 path != NULL ? path : "all");
	r = fake_gate.flush_result;
	pthread_mutex_unlock(&lock);
	if (progress != NULL)
		progress(arg, 1, 2);
	return r;
}

int
gate_each_left(struct gate *gate, const char *path,
	       int (*each)(void *arg, const struct gate_left_info *),
	       void *arg)
{
	struct gate_left_info info = {"/data/a", "RETRYING", "SlowDown"};

	(void)gate;
	(void)path;
	return each(arg, &info);
}

int
gate_restore(struct gate *gate, const char *path, unsigned days, char *why,
	     size_t size)
{
	(void)gate;
	snprintf(why, size, "%s", fake_gate.result < 0 ? "no" : "");
	return strcmp(path, "/data/a") == 0 && days == 3 ? fake_gate.result :
							   -ENOENT;
}

int
gate_refresh(struct gate *gate, const char *path)
{
	(void)gate;
	(void)path;
	return fake_gate.result;
}

void
gate_status(struct gate *gate, struct gate_status *out)
{
	(void)gate;
	*out = (struct gate_status){.staged_bytes = 5, .cache_size = 10};
}
