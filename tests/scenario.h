/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SCENARIO_H
#define TESTS_SCENARIO_H

/*
 * scenario: whole stories over the wire.  Each runs in a process of its own
 * with a fresh daemon (a build with --enable-failpoints), a fresh bucket or
 * prefix, and three clients with identities of their own:
 *
 *	static void
 *	s02(struct scene *s)
 *	{
 *		struct nc_fh f = make(s, "f", "old");
 *
 *		OK(put(&s->a, &f, 0, "new", UNSTABLE));
 *		BUSY(s, put(&s->b, &f, 0, "bad", UNSTABLE));
 *		OK(commit(&s->a, &f));
 *		WITHIN(5000, object_is(s, "f", "new"));
 *	}
 *	SCENARIOS({ "s02", "A wrote UNSTABLE ... / busy, A's data intact", s02,
 *		    "settle_ms=100" })
 *
 * The first expectation that fails ends the scenario: it is told with its
 * line, the daemon's log and the calls that reached the bucket.  Waits have
 * deadlines; WITHIN looks again and again.  Times are short by default (see
 * defaults[] in scenario.c); the fourth field changes them ("key=value ...",
 * of [export] where no section is named).
 *
 * Where: SCENARIO_BUCKET=s3://BUCKET with what tests/radosgw.sh put into its
 * env file, or nothing, which is the embedded bucket in a temporary
 * directory.  The program's arguments: names of scenarios, -j N (at once), -q
 * (no slow ones), -k (keep the directory and tell it), -v (all output), -l
 * (list the names), -t TAG (a word for each line).
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "s3/s3.h"
#include "tests/rpcclient.h"

struct scene_call {		/* a line of the faults log */
	uint64_t ms, number;
	char phase[8];		/* begin held end */
	char op[12], key[512], source[512];	/* without the prefix */
	uint64_t bytes;
	long long result;
};

struct scene {
	const char *name;
	char dir[256];		/* all that is on disk */
	char url[512], export[256], prefix[64];
	char settings[64][128];	/* "section.key=value" */
	unsigned setting_count;
	char env[16][128];	/* "NAME=value", of the daemon */
	unsigned env_count;
	int pid;		/* of the daemon; 0: not running */
	uint16_t port;
	struct rpcc a, b, c;	/* from 127.0.0.11, .12, .13 */
	bool open[3];
	struct nc_fh root;
	struct s3 *s3;		/* the same bucket, directly, no faults */
	bool strict;
	struct scene_call *calls;	/* as last read */
	size_t call_count;
};

struct scenario {
	const char *name, *sentence;
	void (*run)(struct scene *s);
	const char *settings;	/* or NULL */
	bool slow;		/* not in make check (SCENARIO_QUICK) */
};

int scenario_main(int argc, char **argv, const struct scenario *list,
		  size_t count);
/* The same with a bucket of another kind: open sets url and s3. */
int scenario_main_on(int argc, char **argv, const struct scenario *list,
		     size_t count, void (*open)(struct scene *s));

#define SCENARIOS(...)                                                        \
	int main(int argc, char **argv)                                       \
	{                                                                     \
		static const struct scenario list[] = { __VA_ARGS__ };        \
		return scenario_main(argc, argv, list,                        \
				     sizeof(list) / sizeof(*list));           \
	}

/* ---- expectations; each may end the scenario ---- */

void scene_fail(const char *file, int line, const char *format, ...)
	__attribute__((noreturn, format(printf, 3, 4)));
void scene_is(int got, int want, const char *file, int line,
	      const char *text);
void scene_busy(const struct scene *s, int got, const char *file, int line,
		const char *text);
uint64_t scene_now_ms(void);
void scene_pause(void);		/* 4 ms, for WITHIN */

#define IS(call, want) scene_is((call), (want), __FILE__, __LINE__, #call)
#define OK(call) IS(call, NFS3_OK)
/* JUKEBOX, or ACCES in strict mode. */
#define BUSY(s, call) scene_busy((s), (call), __FILE__, __LINE__, #call)
#define CHECK(condition)                                                      \
	do {                                                                  \
		if (!(condition))                                             \
			scene_fail(__FILE__, __LINE__, "not so: %s",          \
				   #condition);                               \
	} while (0)
/* How much slower than the one where the limits were found a machine may be,
 * or busier.  What the program promises to do in time is checked apart. */
#define PATIENCE 6
/* The condition comes true in that time, or PATIENCE times that. */
#define WITHIN(limit_ms, condition)                                           \
	do {                                                                  \
		uint64_t until_ = scene_now_ms() + PATIENCE * (limit_ms);     \
		while (!(condition)) {                                        \
			if (scene_now_ms() > until_)                          \
				scene_fail(__FILE__, __LINE__,                \
					   "not within %d ms: %s",            \
					   PATIENCE * (int)(limit_ms),        \
					   #condition);                       \
			scene_pause();                                        \
		}                                                             \
	} while (0)
/* The condition stays true for that long; what is seen later does not count. */
#define DURING(for_ms, condition)                                             \
	do {                                                                  \
		uint64_t until_ = scene_now_ms() + (for_ms);                  \
		do {                                                          \
			if (!(condition) && scene_now_ms() < until_)          \
				scene_fail(__FILE__, __LINE__,                \
					   "no longer so: %s", #condition);   \
			scene_pause();                                        \
		} while (scene_now_ms() < until_);                            \
	} while (0)
/* The call is repeated while its answer is JUKEBOX, as a client would, and
 * then gives `want`. */
#define SOON(limit_ms, call, want)                                            \
	do {                                                                  \
		uint64_t until_ = scene_now_ms() + PATIENCE * (limit_ms);     \
		int got_;                                                     \
		while ((got_ = (call)) == NFS3ERR_JUKEBOX &&                  \
		       scene_now_ms() < until_)                               \
			scene_pause();                                        \
		scene_is(got_, (want), __FILE__, __LINE__, #call);            \
	} while (0)

/* ---- the daemon ---- */

/* For the next start.  key without a section is of [export]. */
void scene_set(struct scene *s, const char *key, const char *value);
/* An environment variable (S3NFSD_FAIL=NAME:COUNT); NULL removes it. */
void scene_env(struct scene *s, const char *name, const char *value);
void scene_start(struct scene *s);	/* done before the scenario begins */
/* Starts it, and it ends by itself; its exit code. */
int scene_refused(struct scene *s);
void scene_kill(struct scene *s);	/* SIGKILL */
int scene_stop(struct scene *s);	/* SIGTERM; the exit code */
void scene_wait_dead(struct scene *s, unsigned limit_ms);
void scene_reconnect(struct scene *s);	/* a, b, c anew, after a restart */
/* kill, start, reconnect */
void scene_crash(struct scene *s);
/* A client more, or one again: from 127.0.0.`host`. */
void scene_client(struct scene *s, struct rpcc *c, unsigned host,
		  const char *machine);
/* How often the daemon has logged a line with this text. */
unsigned scene_logged(struct scene *s, const char *text);

/* ---- faults, and what reached the bucket ---- */

/* The rules from now on, in the language of s3/fault.c; key= and nothing
 * else gets the scenario's prefix.  "" ends them. */
void scene_faults(struct scene *s, const char *rules);
/* How many calls of this op and key are in that phase or past it ("begin",
 * "held", "end"); "done": ended well. */
unsigned scene_calls(struct scene *s, const char *op, const char *key,
		     const char *phase);
/* Versions of the key that reached the bucket: put, complete, copy. */
unsigned scene_versions(struct scene *s, const char *key);
/* The nth (from 0) that did; NULL if there were fewer.  Good until the next
 * call that reads the log. */
const struct scene_call *scene_version(struct scene *s, const char *key,
				       unsigned nth);

/* ---- the bucket, directly ---- */

bool object_is(struct scene *s, const char *key, const char *text);
bool object_has(struct scene *s, const char *key, const void *data,
		size_t len);
bool object_absent(struct scene *s, const char *key);
void object_remove(struct scene *s, const char *key);
/* Also tells the ETag, if etag is not NULL. */
void object_put(struct scene *s, const char *key, const void *data,
		size_t len, char etag[S3_ETAG_MAX]);
void object_text(struct scene *s, const char *key, const char *text);
uint64_t object_size(struct scene *s, const char *key);	/* absent: ~0 */
unsigned uploads_left(struct scene *s);	/* multipart uploads under way */
unsigned objects(struct scene *s);	/* keys below the prefix */
/* Large objects go, 64 of a page at most; errors do not matter. */
void objects_free_space(struct scene *s);

/* ---- s3nfsctl ---- */

/* `s3nfsctl --json COMMAND`, parsed; json_decref it.  NULL: it failed, or
 * said nothing. */
json_t *ctl(struct scene *s, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
int ctl_status(struct scene *s, const char *format, ...)
	__attribute__((format(printf, 2, 3)));	/* its exit code */
/* "ACTIVE", "FLUSHED", ..., or "" if there is no handle.  "RESERVED",
 * "FAILED" and "FENCED" only if there is no other. */
const char *state(struct scene *s, const char *name);
bool state_is(struct scene *s, const char *name, const char *want);
/* Is there a row with this state and this client's machine name? */
bool holds(struct scene *s, const char *name, const char *machine,
	   const char *want);
long long status_number(struct scene *s, const char *key);
unsigned quarantined(struct scene *s, const char *name);

/* ---- files, in short ---- */

/* An object of that text, known to nobody yet, and its handle by LOOKUP. */
struct nc_fh make(struct scene *s, const char *name, const char *text);
struct nc_fh look(struct rpcc *c, struct scene *s, const char *name);
struct nc_fh create(struct rpcc *c, struct scene *s, const char *name);
/* The same in any directory. */
struct nc_fh look_in(struct rpcc *c, const struct nc_fh *dir,
		     const char *name);
bool has_name(struct rpcc *c, const struct nc_fh *dir, const char *name);
/* ... by A; the file has the text, FILE_SYNC. */
struct nc_fh mkdir_in(struct scene *s, const struct nc_fh *dir,
		      const char *name);
struct nc_fh create_in(struct scene *s, const struct nc_fh *dir,
		       const char *name, const char *text);
/* How many names a directory has, "." and ".." aside; not for two threads. */
unsigned names_in(struct rpcc *c, const struct nc_fh *dir);
int put(struct rpcc *c, const struct nc_fh *fh, uint64_t off,
	const char *text, stable_how how);
int commit(struct rpcc *c, const struct nc_fh *fh);	/* the whole file */
/* Bytes of a pattern from the file's start, in WRITEs of 64 KiB to 1 MiB. */
int put_many(struct rpcc *c, const struct nc_fh *fh, uint64_t off,
	     const void *data, size_t len, stable_how how);
/* Does this client read exactly this text, and EOF? */
bool reads(struct rpcc *c, const struct nc_fh *fh, const char *text);
bool reads_many(struct rpcc *c, const struct nc_fh *fh, const void *data,
		size_t len);
uint64_t size_of(struct rpcc *c, const struct nc_fh *fh);
void fill(void *buf, size_t len, uint32_t seed);

#endif
