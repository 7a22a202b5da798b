/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of host_fault.h, in test builds only.  host_fault_calls.c has the
 * calls that ask for them.
 *
 * S3NFSD_HOST_FAULTS names a file of rules, read again whenever it changes
 * (write a new one and rename it into place).  Absent or empty means no
 * faults.  One rule a line, '#' begins a comment line; the first rule that
 * fires decides.  Words of a rule, the kind first:
 *	sql		a statement is run, prepared, or a database opened
 *	file		a call for a file or directory, of the daemon or SQLite;
 *			sockets and the like are none
 *	alloc		memory for our own code, not for the libraries
 *	op=NAME[,NAME]	sql: the statement's first word, in small letters
 *			(begin commit savepoint release rollback insert delete
 *			select pragma ...), prepare, open; file: open read
 *			write fsync (and fdatasync) ftruncate fallocate punch
 *			rename unlink mkdir statvfs; alloc: malloc calloc
 *			realloc strdup and others of that name; default all
 *	match=GLOB	fnmatch(3), '*' crosses '/': the statement's text, with
 *			'?' for blanks, or the path, of rename the old one
 *	error=NAME	answer so: EIO ENOSPC EDQUOT EMFILE ENFILE EROFS EACCES
 *			ENOENT ENOMEM EINTR, or SQLITE_BUSY _LOCKED _FULL
 *			_IOERR _NOMEM _CORRUPT _READONLY _CANTOPEN _INTERRUPT;
 *			an allocation always says ENOMEM
 *	after		... though the call was carried out
 *	short		of a read or write: only half of the bytes
 *	rollback	sql: the whole transaction is undone besides, as SQLite
 *			may do at an error
 *	free=BYTES	statvfs: so much is free
 *	delay_ms=N	wait first
 *	hold		wait until the rule is gone
 *	kill		the program ends there, as by SIGKILL
 *	nth=N times=N	from the Nth call on, so often; times is 1 with nth,
 *			else 0, which is for ever
 *	every=N		only each Nth of them
 *	p=0.N seed=N	only so many of them, drawn by their number
 * E.g. "sql op=commit error=SQLITE_FULL nth=3", "file op=fsync match=*-wal
 * error=EIO", "alloc p=0.001".  The same words in a new file keep their
 * counts.  A line that does not parse aborts the program: a fault that never
 * comes would pass for one that was borne.
 *
 * S3NFSD_HOST_FAULTS_LOG names a file to which each fault appends a line
 *	MS KIND OP ERROR CALL WHAT CALLER
 * with CLOCK_MONOTONIC in ms, the call's number for its rule, and an address
 * for `addr2line -fe PROGRAM`.
 *
 * Nothing here allocates, or calls what is replaced.
 */
#include <config.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "tests/host_fault.h"

#define RULES 16
#define FILE_MAX 4096
#define TEXT_MAX 400

struct rule {
	enum host_fault_kind kind;
	char text[TEXT_MAX];
	char ops[128];		/* ",write,fsync," or "" for all */
	char match[200];	/* "": all */
	struct host_fault act;
	unsigned long delay_ms;
	bool hold, kill, always;
	unsigned long nth, times, every, seed;
	uint32_t p;		/* of 2^32; 0: all */
	uint64_t id, seen, fired;
};

/* One for the process, as what it replaces is. */
static struct host {
	pthread_mutex_t mutex;	/* guards all below */
	struct rule rules[RULES];
	unsigned count;
	uint64_t last_id;
	struct stat st;		/* of what was read */
	/* set once */
	const char *path;	/* NULL: none */
	int log;
} host = { .mutex = PTHREAD_MUTEX_INITIALIZER, .log = -1 };

static bool armed;		/* atomic */

static const char *const kinds[HOST_KINDS] = { "sql", "file", "alloc" };

static const struct {
	const char *name;
	int error;
} errors[] = {
	{ "EIO", EIO }, { "ENOSPC", ENOSPC }, { "EDQUOT", EDQUOT },
	{ "EMFILE", EMFILE }, { "ENFILE", ENFILE }, { "EROFS", EROFS },
	{ "EACCES", EACCES }, { "ENOENT", ENOENT }, { "ENOMEM", ENOMEM },
	{ "EINTR", EINTR },
	{ "SQLITE_BUSY", SQLITE_BUSY }, { "SQLITE_LOCKED", SQLITE_LOCKED },
	{ "SQLITE_FULL", SQLITE_FULL }, { "SQLITE_IOERR", SQLITE_IOERR },
	{ "SQLITE_NOMEM", SQLITE_NOMEM },
	{ "SQLITE_CORRUPT", SQLITE_CORRUPT },
	{ "SQLITE_READONLY", SQLITE_READONLY },
	{ "SQLITE_CANTOPEN", SQLITE_CANTOPEN },
	{ "SQLITE_INTERRUPT", SQLITE_INTERRUPT },
};

/* ---- rules ---- */

static bool
flag(const char *word, const char *name, bool *set)
{
	if (strcmp(word, name) != 0)
		return false;
	*set = true;
	return true;
}

static bool
number(const char *word, const char *value, const char *name,
       unsigned long *out)
{
	char *end;

	if (strcmp(word, name) != 0 || value == NULL)
		return false;
	*out = strtoul(value, &end, 10);
	return end != value && *end == '\0';
}

static bool
chance(const char *value, uint32_t *out)
{
	char *end;
	double p = strtod(value, &end);

	if (end == value || *end != '\0' || p <= 0 || p > 1)
		return false;
	*out = (uint32_t)(p * UINT32_MAX);
	return *out != 0;
}

static bool
copy(const char *before, const char *value, const char *after, char *out,
     size_t size)
{
	return (size_t)snprintf(out, size, "%s%s%s", before, value, after) <
	       size;
}

static bool
parse_error(const char *value, int *error)
{
	for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++)
		if (strcmp(errors[i].name, value) == 0)
			*error = errors[i].error;
	return *error != 0;
}

static bool
parse_word(struct rule *r, char *word)
{
	struct host_fault *a = &r->act;
	char *value = strchr(word, '=');
	unsigned long bytes;

	if (value != NULL)
		*value++ = '\0';
	if (value != NULL && strcmp(word, "op") == 0)
		return copy(",", value, ",", r->ops, sizeof(r->ops));
	if (value != NULL && strcmp(word, "match") == 0)
		return copy("", value, "", r->match, sizeof(r->match));
	if (value != NULL && strcmp(word, "error") == 0)
		return parse_error(value, &a->error);
	if (value != NULL && strcmp(word, "p") == 0)
		return chance(value, &r->p);
	if (number(word, value, "free", &bytes)) {
		a->free_bytes = bytes;
		return a->has_free = true;
	}
	if (number(word, value, "times", &r->times))
		return r->always = true;
	return number(word, value, "nth", &r->nth) ||
	       number(word, value, "every", &r->every) ||
	       number(word, value, "seed", &r->seed) ||
	       number(word, value, "delay_ms", &r->delay_ms) ||
	       flag(word, "short", &a->cut) ||
	       flag(word, "rollback", &a->rollback) ||
	       flag(word, "after", &a->after) ||
	       flag(word, "hold", &r->hold) || flag(word, "kill", &r->kill);
}

static bool
parse_rule(const char *line, struct rule *r)
{
	char words[TEXT_MAX], *rest = words, *w;
	unsigned kind = 0;

	memset(r, 0, sizeof(*r));
	if (!copy("", line, "", r->text, sizeof(r->text)))
		return false;
	memcpy(words, r->text, sizeof(words));
	w = strsep(&rest, " \t");
	while (kind < HOST_KINDS && strcmp(w, kinds[kind]) != 0)
		kind++;
	if (kind == HOST_KINDS)
		return false;
	r->kind = (enum host_fault_kind)kind;
	while ((w = strsep(&rest, " \t")) != NULL) {
		if (*w != '\0' && !parse_word(r, w))
			return false;
	}
	if (r->kind == HOST_ALLOC)
		r->act.error = ENOMEM;
	/* Once, where nothing else is said. */
	if (r->nth != 0 && !r->always)
		r->times = 1;
	return true;
}

static bool
parse_locked(char *text)
{
	struct rule list[RULES], *r = list;
	char *line;

	while ((line = strsep(&text, "\n;")) != NULL) {
		line += strspn(line, " \t");
		if (*line == '\0' || *line == '#')
			continue;
		if (r == list + RULES || !parse_rule(line, r))
			return false;
		for (unsigned i = 0; i < host.count && r->id == 0; i++)
			if (strcmp(host.rules[i].text, r->text) == 0) {
				r->id = host.rules[i].id;
				r->seen = host.rules[i].seen;
				r->fired = host.rules[i].fired;
			}
		if (r->id == 0)
			r->id = ++host.last_id;
		r++;
	}
	host.count = (unsigned)(r - list);
	memcpy(host.rules, list, host.count * sizeof(list[0]));
	return true;
}

/* The file, if it is another one than was read. */
static void
look_locked(void)
{
	char text[FILE_MAX + 1] = "";
	struct stat st = { 0 };
	long fd, n = 0;

	if (host.path == NULL)
		return;
	if (stat(host.path, &st) != 0)
		memset(&st, 0, sizeof(st));
	if (st.st_ino == host.st.st_ino && st.st_size == host.st.st_size &&
	    st.st_mtim.tv_sec == host.st.st_mtim.tv_sec &&
	    st.st_mtim.tv_nsec == host.st.st_mtim.tv_nsec)
		return;
	host.st = st;
	fd = syscall(SYS_openat, AT_FDCWD, host.path, O_RDONLY | O_CLOEXEC, 0);
	if (fd >= 0) {
		n = syscall(SYS_read, fd, text, FILE_MAX);
		syscall(SYS_close, fd);
	}
	text[n > 0 ? n : 0] = '\0';
	if (n == FILE_MAX || !parse_locked(text))
		abort();
}

static void
start(void)
{
	const char *log = getenv("S3NFSD_HOST_FAULTS_LOG");

	host.path = getenv("S3NFSD_HOST_FAULTS");
	if (host.path != NULL)
		__atomic_store_n(&armed, true, __ATOMIC_RELEASE);
	if (host.path != NULL && log != NULL)
		host.log = (int)syscall(SYS_openat, AT_FDCWD, log,
					O_WRONLY | O_CREAT | O_APPEND |
						O_CLOEXEC, 0600);
}

bool
host_fault_armed(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, start);
	return __atomic_load_n(&armed, __ATOMIC_ACQUIRE);
}

int
host_fault_set(const char *rules)
{
	char text[FILE_MAX + 1];
	bool ok;

	(void)host_fault_armed();
	ok = copy("", rules != NULL ? rules : "", "", text, sizeof(text));
	pthread_mutex_lock(&host.mutex);
	host.count = 0;
	ok = ok && parse_locked(text);
	__atomic_store_n(&armed, host.count != 0 || host.path != NULL,
			 __ATOMIC_RELEASE);
	pthread_mutex_unlock(&host.mutex);
	return ok ? 0 : -EINVAL;
}

/* ---- calls ---- */

static uint64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static uint32_t
drawn(const struct rule *r)
{
	uint64_t z = (r->seed << 32) + r->seen * 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return (uint32_t)((z ^ z >> 31) >> 32);
}

static bool
applies(const struct rule *r, enum host_fault_kind kind, const char *op,
	const char *what)
{
	char wanted[32];

	if (r->kind != kind)
		return false;
	snprintf(wanted, sizeof(wanted), ",%s,", op);
	return (r->ops[0] == '\0' || strstr(r->ops, wanted) != NULL) &&
	       (r->match[0] == '\0' ||
		(what != NULL && fnmatch(r->match, what, 0) == 0));
}

/* Counts the call. */
static bool
fires(struct rule *r)
{
	r->seen++;
	if (r->seen < r->nth || (r->times != 0 && r->fired >= r->times) ||
	    (r->every != 0 && r->seen % r->every != 0) ||
	    (r->p != 0 && drawn(r) > r->p))
		return false;
	r->fired++;
	return true;
}

static bool
stands(uint64_t id)
{
	bool found = false;

	pthread_mutex_lock(&host.mutex);
	look_locked();
	for (unsigned i = 0; i < host.count; i++)
		found |= host.rules[i].id == id;
	pthread_mutex_unlock(&host.mutex);
	return found;
}

static void
note(const struct rule *r, const char *op, const char *what, const void *from)
{
	char line[600];
	uintptr_t at = (uintptr_t)from;
	Dl_info info;
	int n;

	if (host.log < 0)
		return;
	if (dladdr(from, &info) != 0)
		at -= (uintptr_t)info.dli_fbase;
	n = snprintf(line, sizeof(line), "%llu %s %s %d %llu %.400s 0x%llx\n",
		     (unsigned long long)now_ms(), kinds[r->kind], op,
		     r->act.error, (unsigned long long)r->seen,
		     what != NULL ? what : "-", (unsigned long long)at);
	(void)!syscall(SYS_write, host.log, line, (size_t)n);
}

struct host_fault
host_fault_ask(enum host_fault_kind kind, const char *op, const char *what,
	       const void *from)
{
	const struct timespec tick = { 0, 3000000 };
	struct rule found = { 0 };
	uint64_t until;

	if (!host_fault_armed())
		return found.act;
	pthread_mutex_lock(&host.mutex);
	look_locked();
	for (unsigned i = 0; i < host.count; i++) {
		struct rule *r = &host.rules[i];

		/* Each counts all calls that it is for. */
		if (applies(r, kind, op, what) && fires(r) && found.id == 0)
			found = *r;
	}
	if (found.id != 0)
		note(&found, op, what, from);
	pthread_mutex_unlock(&host.mutex);
	if (found.kill)
		raise(SIGKILL);
	until = now_ms() + found.delay_ms;
	while ((found.hold || now_ms() < until) && stands(found.id))
		nanosleep(&tick, NULL);
	return found.act;
}

static uint64_t
count_of(unsigned rule, bool fired)
{
	uint64_t n = 0;

	pthread_mutex_lock(&host.mutex);
	if (rule < host.count)
		n = fired ? host.rules[rule].fired : host.rules[rule].seen;
	pthread_mutex_unlock(&host.mutex);
	return n;
}

uint64_t
host_fault_seen(unsigned rule)
{
	return count_of(rule, false);
}

uint64_t
host_fault_fired(unsigned rule)
{
	return count_of(rule, true);
}
