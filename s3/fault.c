/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store that fails on request, in test builds (--enable-failpoints) only:
 * a layer between the door (s3.c) and either kind of bucket.
 *
 * S3NFSD_FAULTS names a file of rules, read again whenever it changes (write
 * a new one and rename it into place).  Absent or empty means no faults.
 * One rule a line, '#' begins a comment line; the first rule that fits a call
 * decides.  Words of a rule:
 *	op=NAME[,NAME]	head get put create part partcopy complete abort
 *			parts uploads copy delete list probe extras ping (is
 *			the store there? away.c); default all
 *	key=GLOB	fnmatch(3), '*' crosses '/'; the prefix for lists, the
 *			destination for copies
 *	skip=N count=N	let N pass first; fit at most N times after that
 *	error=NAME	answer so (EACCES EAGAIN ESTALE EEXIST ENOENT ENODEV
 *			EFBIG EINVAL ENOTSUP EBADMSG EIO ENOSPC ENOMEM
 *			EKEYREJECTED EDQUOT),
 *			without carrying the request out
 *	delay_ms=N	wait first
 *	lose		carry the request out and answer EAGAIN
 *	short		get: the second half of the bytes is missing
 *	corrupt		get: the first byte is not what it was
 *	stale		list: while the rule stands, a page is told as it was
 *			when first asked for: a listing that lags
 *	etags		list: ETags that are not those of HEAD
 *	caseless	list: pages of three names, ordered without regard to
 *			capitals, wherever they should start
 *	ghosts=KEY,...,	list: these are told as well, in one page with all else
 *			(old, of 5 bytes); KEY/ as a common prefix only
 *	hold		block until the rule is gone from the file, before
 *	hold_after	... or after the request was carried out
 * They combine, e.g. "op=put key=a* hold error=EACCES" fails after a while,
 * and "op=complete lose count=1" is an answer lost once.  The same words in
 * a new file keep their counts.  A line that does not parse makes every call
 * fail with EINVAL.  s3_cancel ends holds and delays with EAGAIN.
 *
 * S3NFSD_FAULTS_LOG names a file to which each call appends lines
 *	MS SEQ PHASE OP KEY BYTES RESULT SOURCE
 * with CLOCK_MONOTONIC in ms; a number for the call; PHASE begin, held (it
 * waits in a hold or delay) or end; keys with ' ', '%' and controls as %XX;
 * bytes to send or asked for; the result (0 before the end); the source of a
 * copy or "-".
 */
#include <config.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "s3/fault.h"

struct fault {
	struct s3_ops ops;	/* first: what struct s3 points to */
	const struct s3_ops *real;
	struct fault_rules *rules;	/* NULL: none */
	struct fault_stale *stale;
	int log;		/* -1: none */
	uint64_t calls;		/* atomic */
	bool cancelled;		/* atomic */
};

struct call {
	const char *op, *key, *source;
	uint64_t bytes, number;
	const atomic_bool *refused;	/* a question that ends when set */
	struct fault_action act;
};

static struct fault *
of(struct s3 *s3)
{
	return (struct fault *)(uintptr_t)s3->ops;
}

static uint64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void
escape(const char *key, char out[3 * S3_KEY_MAX + 1])
{
	if (key == NULL || *key == '\0')
		key = "-";
	for (size_t i = 0; i < S3_KEY_MAX && *key != '\0'; i++, key++) {
		unsigned char c = (unsigned char)*key;

		if (c > ' ' && c != '%' && c != 127)
			*out++ = (char)c;
		else
			out += sprintf(out, "%%%02X", c);
	}
	*out = '\0';
}

static void
note(struct fault *f, const struct call *c, const char *phase, ssize_t result)
{
	char key[3 * S3_KEY_MAX + 1], source[3 * S3_KEY_MAX + 1];
	char line[6 * S3_KEY_MAX + 256];
	int n;

	if (f->log < 0)
		return;
	escape(c->key, key);
	escape(c->source, source);
	n = snprintf(line, sizeof(line), "%llu %llu %s %s %s %llu %zd %s\n",
		     (unsigned long long)now_ms(),
		     (unsigned long long)c->number, phase, c->op, key,
		     (unsigned long long)c->bytes, result, source);
	/* One write, so that lines of threads do not mix. */
	if (n > 0 && write(f->log, line, (size_t)n) != n)
		f->log = -1;
}

static bool
cancelled(struct fault *f)
{
	return __atomic_load_n(&f->cancelled, __ATOMIC_RELAXED);
}

/* It is not to wait any longer. */
static bool
over(struct fault *f, const struct call *c)
{
	return cancelled(f) || (c->refused != NULL && atomic_load(c->refused));
}

static void
wait_for(struct fault *f, const struct call *c, uint64_t until_ms)
{
	const struct timespec tick = { 0, 3000000 };

	note(f, c, "held", 0);
	while (!over(f, c) && s3_fault_stands(f->rules, c->act.rule) &&
	       now_ms() < until_ms)
		nanosleep(&tick, NULL);
}

static bool
writes(const char *op)
{
	static const char *const reads[] = {
		"head", "get", "list", "parts", "uploads", "extras",
	};

	for (size_t i = 0; i < sizeof(reads) / sizeof(*reads); i++)
		if (strcmp(op, reads[i]) == 0)
			return false;
	return true;
}

/* As the store would have said it. */
static int
refuse(int error, struct s3_error *err)
{
	static const struct {
		int error, http;
		const char *code;
	} words[] = {
		{ -EACCES, 403, "AccessDenied" },
		{ -EAGAIN, 503, "SlowDown" },
		{ -ESTALE, 412, "PreconditionFailed" },
		{ -EEXIST, 412, "PreconditionFailed" },
		{ -ENOENT, 404, "NoSuchKey" },
		{ -ENODEV, 404, "NoSuchBucket" },
		{ -EKEYREJECTED, 403, "InvalidAccessKeyId" },
		{ -EDQUOT, 403, "QuotaExceeded" },
		{ -EFBIG, 400, "EntityTooLarge" },
		{ -EINVAL, 400, "InvalidRequest" },
		{ -ENOTSUP, 501, "NotImplemented" },
	};

	if (err == NULL)
		return error;
	memset(err, 0, sizeof(*err));
	snprintf(err->message, sizeof(err->message), "injected fault");
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (words[i].error == error) {
			err->http = words[i].http;
			snprintf(err->code, sizeof(err->code), "%s",
				 words[i].code);
		}
	return error;
}

/* Before the request: 0, or what to answer instead. */
static int
enter(struct s3 *s3, struct call *c, struct s3_error *err)
{
	struct fault *f = of(s3);
	int r = 0;

	if (c->refused == NULL) {
		r = s3_away_change(s3, err);
		if (r < 0)
			return r;
		/* One that hangs ends some day, as a real one does. */
		c->refused = s3_away_flag(s3, S3_ASK_CHANGE);
	}
	c->number = __atomic_add_fetch(&f->calls, 1, __ATOMIC_RELAXED);
	if (f->rules != NULL)
		r = s3_fault_match(f->rules, c->op, c->key, &c->act);
	note(f, c, "begin", 0);
	if (r == 0 && c->act.delay_ms != 0)
		wait_for(f, c, now_ms() + c->act.delay_ms);
	if (r == 0 && c->act.hold)
		wait_for(f, c, UINT64_MAX);
	if (r == 0 && (c->act.delay_ms != 0 || c->act.hold) && over(f, c))
		r = -EAGAIN;
	if (r == 0)
		r = c->act.error;
	if (r != 0) {
		struct s3_error own, *e = err != NULL ? err : &own;

		refuse(r, e);
		s3_trouble_note(s3, writes(c->op), r, e);
		note(f, c, "end", r);
	}
	return r;
}

/* After it: the answer, as changed. */
static ssize_t
leave(struct s3 *s3, const struct call *c, ssize_t r, struct s3_error *err)
{
	struct fault *f = of(s3);

	if (c->act.hold_after)
		wait_for(f, c, UINT64_MAX);
	if (r >= 0)
		s3_trouble_note(s3, writes(c->op), 0, NULL);
	if (c->act.lose && r >= 0)
		r = refuse(-EAGAIN, err);
	note(f, c, "end", r);
	return r;
}

static void
fault_close(struct s3 *s3)
{
	struct fault *f = of(s3);

	f->real->close(s3);
	s3_fault_rules_free(&f->rules);
	s3_fault_stale_free(&f->stale);
	if (f->log >= 0)
		close(f->log);
	free(f);
}

static void
fault_cancel(struct s3 *s3)
{
	__atomic_store_n(&of(s3)->cancelled, true, __ATOMIC_RELAXED);
	of(s3)->real->cancel(s3);
}

static int64_t
fault_clock(struct s3 *s3)
{
	return of(s3)->real->clock(s3);
}

static int
fault_probe(struct s3 *s3, const char *scratch_prefix, struct s3_caps *out,
	    struct s3_error *err)
{
	struct call c = { .op = "probe", .key = scratch_prefix };
	int r = enter(s3, &c, err);

	if (r != 0)
		return r;
	r = of(s3)->real->probe(s3, scratch_prefix, out, err);
	return (int)leave(s3, &c, r, err);
}

static int
fault_head(struct s3 *s3, const char *key, struct s3_object *out,
	   struct s3_error *err)
{
	struct call c = { .op = "head", .key = key,
			  .refused = s3_away_flag(s3, S3_ASK_HEAD) };
	int r = enter(s3, &c, err), answer;

	if (r != 0)
		return r;
	r = of(s3)->real->head(s3, key, out, err);
	answer = (int)leave(s3, &c, r, err);
	if (r == 0 && answer != 0 && out != NULL)
		s3_object_free(out);
	return answer;
}

static ssize_t
fault_get(struct s3 *s3, const char *key, const char *if_match, uint64_t off,
	  void *buf, size_t len, struct s3_object *out, struct s3_error *err)
{
	struct call c = { .op = "get", .key = key, .bytes = len,
			  .refused = s3_away_flag(s3, S3_ASK_GET) };
	ssize_t r = enter(s3, &c, err), answer;

	if (r != 0)
		return r;
	r = of(s3)->real->get(s3, key, if_match, off, buf, len, out, err);
	if (r > 0 && c.act.corrupt)
		*(unsigned char *)buf ^= 0xff;
	answer = leave(s3, &c, c.act.cut && r > 0 ? r / 2 : r, err);
	if (r >= 0 && answer < 0 && out != NULL)
		s3_object_free(out);
	return answer;
}

static int
fault_put(struct s3 *s3, const char *key, const struct s3_source *body,
	  const struct s3_headers *headers, const struct s3_cond *cond,
	  char *etag, struct s3_error *err)
{
	struct call c = { .op = "put", .key = key, .bytes = body->len };
	int r = enter(s3, &c, err);

	if (r != 0)
		return r;
	r = of(s3)->real->put(s3, key, body, headers, cond, etag, err);
	return (int)leave(s3, &c, r, err);
}

static int
fault_create(struct s3 *s3, const char *key, const struct s3_headers *headers,
	     char **upload_id, struct s3_error *err)
{
	struct call c = { .op = "create", .key = key };
	int r = enter(s3, &c, err), answer;

	if (r != 0)
		return r;
	r = of(s3)->real->upload_create(s3, key, headers, upload_id, err);
	answer = (int)leave(s3, &c, r, err);
	if (r == 0 && answer != 0) {
		free(*upload_id);
		*upload_id = NULL;
	}
	return answer;
}

static int
fault_part(struct s3 *s3, const char *key, const char *upload_id,
	   unsigned number, const struct s3_source *body, char *etag,
	   struct s3_error *err)
{
	struct call c = { .op = "part", .key = key, .bytes = body->len };
	int r = enter(s3, &c, err);

	if (r != 0)
		return r;
	r = of(s3)->real->upload_part(s3, key, upload_id, number, body, etag,
				      err);
	return (int)leave(s3, &c, r, err);
}

static int
fault_part_copy(struct s3 *s3, const char *key, const char *upload_id,
		unsigned number, const char *source_key, const char *if_match,
		uint64_t off, uint64_t len, char *etag, struct s3_error *err)
{
	struct call c = { .op = "partcopy", .key = key, .source = source_key,
			  .bytes = len };
	int r = enter(s3, &c, err);

	if (r != 0)
		return r;
	r = of(s3)->real->upload_part_copy(s3, key, upload_id, number,
					   source_key, if_match, off, len,
					   etag, err);
	return (int)leave(s3, &c, r, err);
}

static int
fault_complete(struct s3 *s3, const char *key, const char *upload_id,
	       const struct s3_part *parts, size_t count,
	       const struct s3_cond *cond, char *etag, struct s3_error *err)
{
	struct call c = { .op = "complete", .key = key };
	int r = enter(s3, &c, err);

	if (r != 0)
		return r;
	r = of(s3)->real->upload_complete(s3, key, upload_id, parts, count,
					  cond, etag, err);
	return (int)leave(s3, &c, r, err);
}

static int
fault_abort(struct s3 *s3, const char *key, const char *upload_id,
	    struct s3_error *err)
{
	struct call c = { .op = "abort", .key = key };
	int r = enter(s3, &c, err);

	if (r != 0)
		return r;
	r = of(s3)->real->upload_abort(s3, key, upload_id, err);
	return (int)leave(s3, &c, r, err);
}

static ssize_t
fault_parts(struct s3 *s3, const char *key, const char *upload_id,
	    struct s3_part **parts, struct s3_error *err)
{
	struct call c = { .op = "parts", .key = key };
	ssize_t r = enter(s3, &c, err), answer;

	if (r != 0)
		return r;
	r = of(s3)->real->upload_parts(s3, key, upload_id, parts, err);
	answer = leave(s3, &c, r, err);
	if (r >= 0 && answer < 0) {
		free(*parts);
		*parts = NULL;
	}
	return answer;
}

static int
fault_uploads(struct s3 *s3, const char *prefix,
	      int (*each)(void *arg, const char *key, const char *upload_id,
			  int64_t initiated_ns),
	      void *arg, struct s3_error *err)
{
	struct call c = { .op = "uploads", .key = prefix ? prefix : "" };
	int r = enter(s3, &c, err);

	if (r != 0)
		return r;
	r = of(s3)->real->upload_list(s3, prefix, each, arg, err);
	return (int)leave(s3, &c, r, err);
}

static int
fault_copy(struct s3 *s3, const char *source_key, const char *if_match,
	   const char *key, const struct s3_headers *headers,
	   const struct s3_cond *cond, char *etag, struct s3_error *err)
{
	struct call c = { .op = "copy", .key = key, .source = source_key };
	int r = enter(s3, &c, err);

	if (r != 0)
		return r;
	r = of(s3)->real->copy(s3, source_key, if_match, key, headers, cond,
			       etag, err);
	return (int)leave(s3, &c, r, err);
}

static int
fault_delete(struct s3 *s3, const char *key, const char *if_match,
	     struct s3_error *err)
{
	struct call c = { .op = "delete", .key = key };
	int r = enter(s3, &c, err);

	if (r != 0)
		return r;
	r = of(s3)->real->del(s3, key, if_match, err);
	return (int)leave(s3, &c, r, err);
}

static int
fault_list(struct s3 *s3, const struct s3_list *list,
	   int (*each)(void *arg, const struct s3_entry *entry), void *arg,
	   char **next, struct s3_error *err)
{
	struct call c = { .op = "list", .key = list->prefix ? list->prefix :
				"", .refused = s3_away_flag(s3, S3_ASK_LIST) };
	int r = enter(s3, &c, err), answer;

	if (r != 0)
		return r;
	r = c.act.stale ?
		s3_fault_stale_list(of(s3)->stale, s3, of(s3)->real,
				    c.act.rule, list, each, arg, next, err) :
	    c.act.etags ?
		s3_fault_other_list(s3, of(s3)->real, list, each, arg, next,
				    err) :
	    c.act.caseless ?
		s3_fault_caseless_list(s3, of(s3)->real, list, each, arg,
				       next, err) :
	    c.act.ghosts[0] != '\0' ?
		s3_fault_ghost_list(s3, of(s3)->real, c.act.ghosts, list, each,
				    arg, next, err) :
		of(s3)->real->list_page(s3, list, each, arg, next, err);
	answer = (int)leave(s3, &c, r, err);
	if (r == 0 && answer != 0) {
		free(*next);
		*next = NULL;
	}
	return answer;
}

static int
fault_extras(struct s3 *s3, const char *key, const struct s3_object *object,
	     bool copy, struct s3_headers *headers, struct s3_error *err)
{
	struct call c = { .op = "extras", .key = key };
	int r;

	if (of(s3)->real->extras == NULL)
		return 0;
	r = enter(s3, &c, err);
	if (r != 0)
		return r;
	r = of(s3)->real->extras(s3, key, object, copy, headers, err);
	return (int)leave(s3, &c, r, err);
}

static int
fault_extras_ensure(struct s3 *s3, const char *key,
		    const struct s3_headers *headers, struct s3_error *err)
{
	struct call c = { .op = "extras", .key = key };
	int r;

	if (of(s3)->real->extras_ensure == NULL)
		return 0;
	r = enter(s3, &c, err);
	if (r != 0)
		return r;
	r = of(s3)->real->extras_ensure(s3, key, headers, err);
	return (int)leave(s3, &c, r, err);
}

/* A rule that is for all calls is for this one, too. */
static int
fault_ping(struct s3 *s3, enum s3_ask ask, const char *prefix,
	   unsigned limit_ms, struct s3_error *err)
{
	struct call c = { .op = "ping", .key = prefix };
	struct fault *f = of(s3);
	uint64_t limit = now_ms() + limit_ms;
	int r = 0;

	if (f->rules != NULL)
		r = s3_fault_match(f->rules, c.op, c.key, &c.act);
	if (r == 0 && (c.act.hold || c.act.delay_ms >= limit_ms)) {
		while (!cancelled(f) && now_ms() < limit &&
		       s3_fault_stands(f->rules, c.act.rule))
			nanosleep(&(struct timespec){ 0, 3000000 }, NULL);
		r = -EAGAIN;
	}
	if (r == 0)
		r = c.act.error;
	if (r != 0)
		return refuse(r, err);
	return f->real->ping == NULL ? 0 :
	       f->real->ping(s3, ask, prefix, limit_ms, err);
}

static void
fault_hurry(struct s3 *s3)
{
	if (of(s3)->real->hurry != NULL)
		of(s3)->real->hurry(s3);
}

static const struct s3_ops fault_ops = {
	.close = fault_close, .cancel = fault_cancel, .clock = fault_clock,
	.probe = fault_probe,
	.head = fault_head, .get = fault_get, .put = fault_put,
	.upload_create = fault_create, .upload_part = fault_part,
	.upload_part_copy = fault_part_copy,
	.upload_complete = fault_complete, .upload_abort = fault_abort,
	.upload_parts = fault_parts, .upload_list = fault_uploads,
	.copy = fault_copy, .del = fault_delete, .list_page = fault_list,
	.extras = fault_extras, .extras_ensure = fault_extras_ensure,
	.ping = fault_ping, .hurry = fault_hurry,
};

int
s3_fault_wrap(struct s3 *s3)
{
	const char *rules = getenv("S3NFSD_FAULTS");
	const char *log = getenv("S3NFSD_FAULTS_LOG");
	struct fault *f;

	if (rules == NULL && log == NULL)
		return 0;
	f = calloc(1, sizeof(*f));
	if (f == NULL)
		return -ENOMEM;
	f->ops = fault_ops;
	f->real = s3->ops;
	f->ops.identity = s3->ops->identity;
	f->ops.restore = s3->ops->restore;
	f->log = -1;
	f->stale = s3_fault_stale_new();
	if (f->stale == NULL ||
	    (rules != NULL && (f->rules = s3_fault_rules_new(rules)) == NULL)) {
		s3_fault_stale_free(&f->stale);
		free(f);
		return -ENOMEM;
	}
	if (log != NULL)
		f->log = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
			      0600);
	s3->ops = &f->ops;
	return 0;
}
