/* SPDX-License-Identifier: Apache-2.0 */
#ifndef S3_S3_PRIV_H
#define S3_S3_PRIV_H

/*
 * Inside of s3/: s3.c holds the public functions, which check arguments,
 * count, and call through the table of the bucket's kind: remote.c (an S3
 * server) or local.c (a directory).
 */

#include <stdatomic.h>
#include <sys/queue.h>
#include <pthread.h>

#include "s3/s3.h"

/* away.c: the store is there, or is not. */
enum s3_ask {
	S3_ASK_HEAD, S3_ASK_LIST, S3_ASK_GET,
	S3_ASK_CHANGE,		/* is not sent while that is set */
	S3_ASKS
};
struct s3_asked {		/* a question under way, of its caller */
	TAILQ_ENTRY(s3_asked) link;
	int64_t since_ms;
};
struct s3_watcher;
/* -EAGAIN: the store is away.  Else _end is to be called with the result. */
int s3_ask_begin(struct s3 *s3, enum s3_ask ask, struct s3_asked *asked,
		 struct s3_error *err);
void s3_ask_end(struct s3 *s3, enum s3_ask ask, struct s3_asked *asked,
		int result);
/* Something else is to be sent.  -EAGAIN: not now. */
int s3_away_change(struct s3 *s3, struct s3_error *err);
/* It ended so: is the store there? */
void s3_away_hint(struct s3 *s3, ssize_t result);
/* True while such questions are to end with -EAGAIN; NULL: never. */
const atomic_bool *s3_away_flag(const struct s3 *s3, enum s3_ask ask);
/* For how long a question is repeated. */
unsigned s3_away_retry_ms(const struct s3 *s3);
void s3_watch_stop(struct s3 *s3);	/* says nothing new any more, */
void s3_watch_end(struct s3 *s3);	/* ... or nothing at all */
void s3_unwatch(struct s3 *s3);

struct s3_ops {
	void (*close)(struct s3 *s3);
	void (*cancel)(struct s3 *s3);
	int64_t (*clock)(struct s3 *s3);
	/* NULL: it needs no keys. */
	void (*identity)(struct s3 *s3, struct s3_identity *out);
	int (*probe)(struct s3 *s3, const char *scratch_prefix,
		     struct s3_caps *out, struct s3_error *err);
	int (*head)(struct s3 *s3, const char *key, struct s3_object *out,
		    struct s3_error *err);
	ssize_t (*get)(struct s3 *s3, const char *key, const char *if_match,
		       uint64_t off, void *buf, size_t len,
		       struct s3_object *out, struct s3_error *err);
	int (*put)(struct s3 *s3, const char *key,
		   const struct s3_source *body,
		   const struct s3_headers *headers,
		   const struct s3_cond *cond, char *etag,
		   struct s3_error *err);
	int (*upload_create)(struct s3 *s3, const char *key,
			     const struct s3_headers *headers,
			     char **upload_id, struct s3_error *err);
	int (*upload_part)(struct s3 *s3, const char *key,
			   const char *upload_id, unsigned number,
			   const struct s3_source *body, char *etag,
			   struct s3_error *err);
	int (*upload_part_copy)(struct s3 *s3, const char *key,
				const char *upload_id, unsigned number,
				const char *source_key, const char *if_match,
				uint64_t off, uint64_t len, char *etag,
				struct s3_error *err);
	int (*upload_complete)(struct s3 *s3, const char *key,
			       const char *upload_id,
			       const struct s3_part *parts, size_t count,
			       const struct s3_cond *cond, char *etag,
			       struct s3_error *err);
	int (*upload_abort)(struct s3 *s3, const char *key,
			    const char *upload_id, struct s3_error *err);
	ssize_t (*upload_parts)(struct s3 *s3, const char *key,
				const char *upload_id,
				struct s3_part **parts, struct s3_error *err);
	int (*upload_list)(struct s3 *s3, const char *prefix,
			   int (*each)(void *arg, const char *key,
				       const char *upload_id,
				       int64_t initiated_ns),
			   void *arg, struct s3_error *err);
	int (*copy)(struct s3 *s3, const char *source_key,
		    const char *if_match, const char *key,
		    const struct s3_headers *headers,
		    const struct s3_cond *cond, char *etag,
		    struct s3_error *err);
	int (*del)(struct s3 *s3, const char *key, const char *if_match,
		   struct s3_error *err);
	/* NULL: its probe leaves nothing. */
	int (*sweep)(struct s3 *s3, const char *scratch_prefix,
		     struct s3_error *err);
	/* NULL: there is nothing to tell. */
	int (*extras)(struct s3 *s3, const char *key,
		      const struct s3_object *object, bool copy,
		      struct s3_headers *headers, struct s3_error *err);
	int (*extras_ensure)(struct s3 *s3, const char *key,
			     const struct s3_headers *headers,
			     struct s3_error *err);
	/* NULL: it has no archive. */
	int (*restore)(struct s3 *s3, const char *key, unsigned days,
		       struct s3_error *err);
	int (*list_page)(struct s3 *s3, const struct s3_list *list,
			 int (*each)(void *arg, const struct s3_entry *entry),
			 void *arg, char **next, struct s3_error *err);
	/* One try of a small question below the prefix, which ends within
	 * the limit.  NULL: there is always an answer. */
	int (*ping)(struct s3 *s3, enum s3_ask ask, const char *prefix,
		    unsigned limit_ms, struct s3_error *err);
	/* Questions are refused now, or are no more.  NULL: none waits. */
	void (*hurry)(struct s3 *s3);
};

/* error.c: what a storage class says. */
enum s3_cold s3_class_cold(const char *name);

/* trouble.c */
struct s3_ailment {
	pthread_mutex_t mutex;	/* guards all below */
	struct s3_trouble told;	/* result 0: nothing */
	int64_t refused_ms[2];	/* reading, writing; the last time, 0: not */
	int64_t said_ms;
	bool said;		/* of this one */
};
/* A request has ended so, on which the store was asked.  err is only read when
 * the account was refused. */
void s3_trouble_note(struct s3 *s3, bool writes, int result,
		     const struct s3_error *err);

/* First member of struct s3_remote and struct s3_local. */
struct s3 {
	const struct s3_ops *ops;
	char *bucket;
	bool any_bytes;		/* keys need not be UTF-8 */
	struct s3_caps caps;
	struct s3_config config; /* numbers and log only; defaults filled */
	struct s3_options options;	/* strings owned */
	struct s3_stats stats;		/* fields by __atomic builtins */
	struct s3_ailment ailment;
	bool ails;			/* atomic */
	struct s3_watcher *watcher;	/* atomic; NULL: none */
};

int s3_remote_open(const struct s3_config *config, struct s3 **out,
		   struct s3_error *err);
int s3_local_open(const struct s3_config *config, struct s3 **out,
		  struct s3_error *err);

#endif
