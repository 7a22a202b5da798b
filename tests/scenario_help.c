/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What scenarios look at and do: faults and the log of calls, the bucket
 * behind the daemon's back, the control socket, files in one call.
 */
#include <config.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/scenario.h"

/* ---- faults ---- */

void
scene_faults(struct scene *s, const char *rules)
{
	char path[320], tmp[330];
	FILE *f;

	snprintf(path, sizeof(path), "%s/faults", s->dir);
	snprintf(tmp, sizeof(tmp), "%s.new", path);
	f = fopen(tmp, "w");
	CHECK(f != NULL);
	for (const char *p = rules; *p != '\0'; p++) {
		bool word = p == rules || p[-1] == ' ' || p[-1] == '\n';

		if (word && strncmp(p, "key=", 4) == 0) {
			fprintf(f, "key=%s", s->prefix);
			p += 3;
		} else {
			fputc(*p, f);
		}
	}
	fputc('\n', f);
	CHECK(fclose(f) == 0 && rename(tmp, path) == 0);
}

static void
unescape(const struct scene *s, char *key, size_t size, const char *text)
{
	size_t skip = strlen(s->prefix), n = 0;
	unsigned code;

	for (; *text != '\0' && n + 1 < size; text++) {
		if (*text == '%' && sscanf(text + 1, "%2x", &code) == 1) {
			key[n++] = (char)code;
			text += 2;
		} else {
			key[n++] = *text;
		}
	}
	key[n] = '\0';
	if (skip > 0 && strncmp(key, s->prefix, skip) == 0)
		memmove(key, key + skip, n - skip + 1);
}

static void
read_calls(struct scene *s)
{
	static char key[4096], source[4096], line[9000];
	char path[320];
	size_t room = 0;
	FILE *f;

	free(s->calls);
	s->calls = NULL;
	s->call_count = 0;
	snprintf(path, sizeof(path), "%s/calls", s->dir);
	f = fopen(path, "r");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		struct scene_call c = {0};
		unsigned long long ms, number, bytes;

		if (strchr(line, '\n') == NULL)
			break;
		if (sscanf(line, "%llu %llu %7s %11s %4095s %llu %lld %4095s",
			   &ms, &number, c.phase, c.op, key, &bytes, &c.result,
			   source) != 8)
			continue;
		c.ms = ms;
		c.number = number;
		c.bytes = bytes;
		unescape(s, c.key, sizeof(c.key), key);
		unescape(s, c.source, sizeof(c.source), source);
		if (s->call_count == room) {
			room = room == 0 ? 256 : 2 * room;
			s->calls = reallocarray(s->calls, room, sizeof(c));
			CHECK(s->calls != NULL);
		}
		s->calls[s->call_count++] = c;
	}
	if (f != NULL)
		fclose(f);
}

unsigned
scene_calls(struct scene *s, const char *op, const char *key,
	    const char *phase)
{
	bool done = strcmp(phase, "done") == 0;
	unsigned n = 0;

	read_calls(s);
	for (size_t i = 0; i < s->call_count; i++) {
		const struct scene_call *c = &s->calls[i];

		n += strcmp(c->op, op) == 0 && strcmp(c->key, key) == 0 &&
		     strcmp(c->phase, done ? "end" : phase) == 0 &&
		     (!done || c->result >= 0);
	}
	return n;
}

const struct scene_call *
scene_version(struct scene *s, const char *key, unsigned nth)
{
	read_calls(s);
	for (size_t i = 0; i < s->call_count; i++) {
		const struct scene_call *c = &s->calls[i];

		if (strcmp(c->phase, "end") == 0 && c->result >= 0 &&
		    strcmp(c->key, key) == 0 &&
		    (strcmp(c->op, "put") == 0 || strcmp(c->op, "copy") == 0 ||
		     strcmp(c->op, "complete") == 0) && nth-- == 0)
			return c;
	}
	return NULL;
}

unsigned
scene_versions(struct scene *s, const char *key)
{
	unsigned n = 0;

	while (scene_version(s, key, n) != NULL)
		n++;
	return n;
}

/* ---- the bucket ---- */

static void
full_key(const struct scene *s, const char *key, char out[S3_KEY_MAX + 1])
{
	snprintf(out, S3_KEY_MAX + 1, "%s%s", s->prefix, key);
}

bool
object_has(struct scene *s, const char *key, const void *data, size_t len)
{
	struct s3_object o = {0};
	char full[S3_KEY_MAX + 1];
	unsigned char *got;
	bool same;

	full_key(s, key, full);
	if (s3_head(s->s3, full, &o, NULL) < 0)
		return false;
	same = o.size == len;
	s3_object_free(&o);
	got = same ? malloc(len + 1) : NULL;
	same = got != NULL && s3_get(s->s3, full, NULL, 0, got, len, NULL,
				     NULL) == (ssize_t)len &&
	       memcmp(got, data, len) == 0;
	free(got);
	return same;
}

bool
object_is(struct scene *s, const char *key, const char *text)
{
	return object_has(s, key, text, strlen(text));
}

uint64_t
object_size(struct scene *s, const char *key)
{
	struct s3_object o = {0};
	char full[S3_KEY_MAX + 1];
	uint64_t size;

	full_key(s, key, full);
	if (s3_head(s->s3, full, &o, NULL) < 0)
		return UINT64_MAX;
	size = o.size;
	s3_object_free(&o);
	return size;
}

bool
object_absent(struct scene *s, const char *key)
{
	struct s3_object o = {0};
	char full[S3_KEY_MAX + 1];
	int r;

	full_key(s, key, full);
	r = s3_head(s->s3, full, &o, NULL);
	if (r == 0)
		s3_object_free(&o);
	return r == -ENOENT;
}

static ssize_t
read_memory(void *arg, uint64_t off, void *buf, size_t len)
{
	memcpy(buf, (const char *)arg + off, len);
	return (ssize_t)len;
}

void
object_put(struct scene *s, const char *key, const void *data, size_t len,
	   char etag[S3_ETAG_MAX])
{
	struct s3_source body = { .len = len, .read = read_memory,
				  .arg = (void *)(uintptr_t)data };
	char full[S3_KEY_MAX + 1], got[S3_ETAG_MAX];

	full_key(s, key, full);
	OK(s3_put(s->s3, full, &body, NULL, NULL, got, NULL));
	if (etag != NULL)
		memcpy(etag, got, S3_ETAG_MAX);
}

void
object_remove(struct scene *s, const char *key)
{
	char full[S3_KEY_MAX + 1];

	full_key(s, key, full);
	OK(s3_delete(s->s3, full, NULL, NULL));
}

static int
count_upload(void *arg, const char *key, const char *id, int64_t when_ns)
{
	(void)key, (void)id, (void)when_ns;
	++*(unsigned *)arg;
	return 0;
}

unsigned
uploads_left(struct scene *s)
{
	unsigned n = 0;

	OK(s3_upload_list(s->s3, s->prefix, count_upload, &n, NULL));
	return n;
}

static int
count_object(void *arg, const struct s3_entry *entry)
{
	(void)entry;
	++*(unsigned *)arg;
	return 0;
}

unsigned
objects(struct scene *s)
{
	struct s3_list list = { .prefix = s->prefix };
	char *next = NULL;
	unsigned n = 0;

	OK(s3_list_page(s->s3, &list, count_object, &n, &next, NULL));
	free(next);
	return n;
}

/* From a page that is being read, not yet: into a list. */
struct large_keys {
	char keys[64][S3_KEY_MAX + 1];
	unsigned count;
};

static int
take_large(void *arg, const struct s3_entry *entry)
{
	struct large_keys *l = arg;

	if (!entry->is_prefix && entry->size >= 1 << 20 &&
	    entry->key_len <= S3_KEY_MAX)
		strcpy(l->keys[l->count++], entry->key);
	return l->count == 64;
}

void
objects_free_space(struct scene *s)
{
	char *token = NULL, *next = NULL;

	do {
		struct s3_list list = { .prefix = s->prefix, .token = token };
		static struct large_keys l;

		l.count = 0;
		next = NULL;
		if (s3_list_page(s->s3, &list, take_large, &l, &next, NULL) <
		    0) {
			free(token);
			return;
		}
		for (unsigned i = 0; i < l.count; i++) {
			if (s3_delete(s->s3, l.keys[i], NULL, NULL) < 0)
				break;	/* it stays */
		}
		free(token);
		token = next;
	} while (token != NULL);
}

/* ---- the control socket ---- */

/* One request, by hand, because a poll by s3nfsctl costs a process. */
static json_t *
ask(struct scene *s, const char *command)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	json_t *items = json_array(), *line, *result = NULL;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	FILE *f;

	snprintf(a.sun_path, sizeof(a.sun_path), "%.90s/state/ctl.sock",
		 s->dir);
	CHECK(connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
	f = fdopen(fd, "r+");
	CHECK(f != NULL);
	fprintf(f, "{\"command\": \"%s\"}\n", command);
	fflush(f);
	while ((line = json_loadf(f, JSON_DISABLE_EOF_CHECK, NULL)) != NULL) {
		json_t *item = json_object_get(line, "item");

		if (item != NULL)
			json_array_append(items, item);
		else if (result == NULL)
			result = json_incref(json_object_get(line, "result"));
		json_decref(line);
	}
	fclose(f);
	if (json_array_size(items) > 0 || !json_is_object(result) ||
	    json_object_size(result) == 0) {
		json_decref(result);
		return items;
	}
	json_decref(items);
	return result;
}

static FILE *run_ctl(struct scene *s, const char *format, va_list ap)
	__attribute__((format(printf, 2, 0)));

static FILE *
run_ctl(struct scene *s, const char *format, va_list ap)
{
	const char *program = getenv("S3NFSCTL");
	char command[1024], words[512];

	vsnprintf(words, sizeof(words), format, ap);
	if (program == NULL)
		program = access("./s3nfsctl", X_OK) == 0 ? "./s3nfsctl" :
			  "./nfsd/s3nfsctl";
	snprintf(command, sizeof(command),
		 "%s --state-dir %s/state --json %s 2>>%s/ctl.err", program,
		 s->dir, words, s->dir);
	return popen(command, "re");
}

json_t *
ctl(struct scene *s, const char *format, ...)
{
	json_t *out;
	va_list ap;
	FILE *f;

	va_start(ap, format);
	f = run_ctl(s, format, ap);
	va_end(ap);
	CHECK(f != NULL);
	out = json_loadf(f, JSON_DISABLE_EOF_CHECK, NULL);
	if (pclose(f) != 0) {
		json_decref(out);
		return NULL;
	}
	return out;
}

int
ctl_status(struct scene *s, const char *format, ...)
{
	char buf[512];
	va_list ap;
	int status;
	FILE *f;

	va_start(ap, format);
	f = run_ctl(s, format, ap);
	va_end(ap);
	CHECK(f != NULL);
	while (fread(buf, 1, sizeof(buf), f) > 0)
		;
	status = pclose(f);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static const char *
text(const json_t *row, const char *key)
{
	const char *value = json_string_value(json_object_get(row, key));

	return value != NULL ? value : "";
}

static bool
of_file(struct scene *s, const json_t *row, const char *name)
{
	char path[1024];

	snprintf(path, sizeof(path), "%s/%s", s->export, name);
	return strcmp(text(row, "path"), path) == 0;
}

const char *
state(struct scene *s, const char *name)
{
	static char found[16];
	json_t *rows = ask(s, "handles"), *row;
	size_t i;

	found[0] = '\0';
	json_array_foreach(rows, i, row) {
		const char *is = text(row, "state");

		if (!of_file(s, row, name))
			continue;
		if (found[0] == '\0' ||
		    (strcmp(is, "RESERVED") != 0 && strcmp(is, "FAILED") != 0 &&
		     strcmp(is, "FENCED") != 0))
			snprintf(found, sizeof(found), "%s", is);
	}
	json_decref(rows);
	return found;
}

bool
state_is(struct scene *s, const char *name, const char *want)
{
	return strcmp(state(s, name), want) == 0;
}

bool
holds(struct scene *s, const char *name, const char *machine, const char *want)
{
	json_t *rows = ask(s, "handles"), *row;
	size_t i, len = strlen(machine);
	bool found = false;

	json_array_foreach(rows, i, row)
		found |= of_file(s, row, name) &&
			 strcmp(text(row, "state"), want) == 0 &&
			 strncmp(text(row, "client"), machine, len) == 0 &&
			 text(row, "client")[len] == '@';
	json_decref(rows);
	return found;
}

long long
status_number(struct scene *s, const char *key)
{
	json_t *status = ask(s, "status");
	long long n = json_integer_value(json_object_get(status, key));

	json_decref(status);
	return n;
}

unsigned
quarantined(struct scene *s, const char *name)
{
	json_t *rows = ask(s, "quarantine list"), *row;
	unsigned n = 0;
	size_t i;

	json_array_foreach(rows, i, row)
		n += of_file(s, row, name);
	json_decref(rows);
	return n;
}

/* ---- files ---- */

struct nc_fh
look(struct rpcc *c, struct scene *s, const char *name)
{
	struct nc_fh fh = {0};

	OK(nc_lookup(c, &s->root, name, &fh, NULL));
	return fh;
}

struct nc_fh
make(struct scene *s, const char *name, const char *words)
{
	struct nc_fh fh = {0};

	object_put(s, name, words, strlen(words), NULL);
	/* The daemon may know for sure that there was no such name. */
	if (nc_lookup(&s->a, &s->root, name, &fh, NULL) == NFS3ERR_NOENT) {
		OK(ctl_status(s, "refresh %s", s->export));
		fh = look(&s->a, s, name);
	}
	return fh;
}

struct nc_fh
create(struct rpcc *c, struct scene *s, const char *name)
{
	struct nc_set set = { .mode_set = true, .mode = 0644 };
	struct nc_fh fh = {0};

	OK(nc_create(c, &s->root, name, UNCHECKED, &set, NULL, &fh, NULL));
	CHECK(fh.len > 0);
	return fh;
}

int
put(struct rpcc *c, const struct nc_fh *fh, uint64_t off, const char *words,
    stable_how how)
{
	uint32_t len = (uint32_t)strlen(words);
	struct nc_written w = {0};
	int r = nc_write(c, fh, off, words, len, how, &w);

	if (r == 0)
		CHECK(w.count == len && w.committed >= how);
	return r;
}

int
commit(struct rpcc *c, const struct nc_fh *fh)
{
	return nc_commit(c, fh, 0, 0, NULL);
}

int
put_many(struct rpcc *c, const struct nc_fh *fh, uint64_t off,
	 const void *data, size_t len, stable_how how)
{
	const char *from = data;
	int r = 0;

	for (size_t at = 0; r == 0 && at < len;) {
		uint32_t n = len - at < 65536 ? (uint32_t)(len - at) : 65536;

		r = nc_write(c, fh, off + at, from + at, n, how, NULL);
		at += n;
	}
	return r;
}

/* As a client does it: JUKEBOX is no answer.  A READ may get that beside the
 * end of an upload whose rows take longer than hold_ms. */
static int
read_soon(struct rpcc *c, const struct nc_fh *fh, uint64_t off, void *buf,
	  uint32_t len, uint32_t *got, bool *eof)
{
	uint64_t until = scene_now_ms() + 10000;
	int r;

	while ((r = nc_read(c, fh, off, buf, len, got, eof)) ==
		       NFS3ERR_JUKEBOX &&
	       scene_now_ms() < until)
		scene_pause();
	return r;
}

bool
reads_many(struct rpcc *c, const struct nc_fh *fh, const void *data,
	   size_t len)
{
	const uint32_t step = 65536;
	unsigned char *buf = malloc(step);
	bool same = buf != NULL, eof = false;
	size_t at = 0;

	while (same && !eof && at <= len) {
		uint32_t got = 0;

		same = read_soon(c, fh, at, buf, step, &got, &eof) ==
			       NFS3_OK &&
		       got <= len - at && (got > 0 || eof) &&
		       memcmp(buf, (const char *)data + at, got) == 0;
		at += got;
	}
	free(buf);
	return same && eof && at == len;
}

bool
reads(struct rpcc *c, const struct nc_fh *fh, const char *words)
{
	return reads_many(c, fh, words, strlen(words));
}

uint64_t
size_of(struct rpcc *c, const struct nc_fh *fh)
{
	fattr3 attr = {0};

	OK(nc_getattr(c, fh, &attr));
	return attr.size;
}

void
fill(void *buf, size_t len, uint32_t seed)
{
	unsigned char *p = buf;
	uint32_t x = seed * 2654435761U + 1;

	for (size_t i = 0; i < len; i++) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		p[i] = (unsigned char)x;
	}
}

/* ---- in directories ---- */

void
object_text(struct scene *s, const char *key, const char *text)
{
	object_put(s, key, text, strlen(text), NULL);
}

struct nc_fh
look_in(struct rpcc *c, const struct nc_fh *dir, const char *name)
{
	struct nc_fh fh = { 0 };

	SOON(20000, nc_lookup(c, dir, name, &fh, NULL), NFS3_OK);
	return fh;
}

bool
has_name(struct rpcc *c, const struct nc_fh *dir, const char *name)
{
	uint64_t until = scene_now_ms() + 20000;
	struct nc_fh fh;
	int r;

	do {
		r = nc_lookup(c, dir, name, &fh, NULL);
	} while (r == NFS3ERR_JUKEBOX && scene_now_ms() < until);
	CHECK(r == NFS3_OK || r == NFS3ERR_NOENT);
	return r == NFS3_OK;
}

struct nc_fh
mkdir_in(struct scene *s, const struct nc_fh *dir, const char *name)
{
	struct nc_fh fh = { 0 };

	SOON(20000, nc_mkdir(&s->a, dir, name, NULL, &fh, NULL), NFS3_OK);
	return fh;
}

struct nc_fh
create_in(struct scene *s, const struct nc_fh *dir, const char *name,
	  const char *text)
{
	struct nc_fh fh = { 0 };

	SOON(20000, nc_create(&s->a, dir, name, UNCHECKED, NULL, NULL, &fh,
			      NULL), NFS3_OK);
	SOON(20000, put(&s->a, &fh, 0, text, FILE_SYNC), NFS3_OK);
	return fh;
}

unsigned
names_in(struct rpcc *c, const struct nc_fh *dir)
{
	static struct nc_entry list[256];
	uint64_t cookie = 0, until = scene_now_ms() + 30000;
	uint8_t verf[8] = { 0 };
	unsigned total = 0, count;
	bool eof = false;

	while (!eof) {
		int r = nc_readdir(c, dir, cookie, verf, 4096, list, 256,
				   &count, &eof);

		if (r == NFS3ERR_JUKEBOX && scene_now_ms() < until) {
			scene_pause();
			continue;
		}
		OK(r);
		CHECK(count <= 256);
		for (unsigned i = 0; i < count; i++) {
			total += strcmp(list[i].name, ".") != 0 &&
				 strcmp(list[i].name, "..") != 0;
			cookie = list[i].cookie;
		}
		CHECK(count > 0 || eof);
	}
	return total;
}
