/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file of fault rules: read, read again when it changed, and asked for
 * each call.  A rule that stands in the new file word for word keeps its
 * counts.  fault.c has the language.
 */
#include <config.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "s3/fault.h"

struct rule {
	struct rule *next;
	char *text;
	char ops[128];		/* ",put,complete," or "" for all */
	char *key;		/* NULL: all */
	uint64_t id;
	unsigned long skip, count, seen;	/* count 0: no end */
	struct fault_action action;
};

struct fault_rules {
	char *path;
	pthread_mutex_t mutex;	/* guards all below */
	struct rule *list;
	struct stat st;		/* of what was read */
	bool wrong;
	uint64_t last_id;
};

static const struct {
	const char *name;
	int error;
} errors[] = {
	{ "ENOENT", ENOENT }, { "ENODEV", ENODEV }, { "EACCES", EACCES },
	{ "ESTALE", ESTALE }, { "EEXIST", EEXIST }, { "EAGAIN", EAGAIN },
	{ "EFBIG", EFBIG }, { "EINVAL", EINVAL }, { "ENOTSUP", ENOTSUP },
	{ "EBADMSG", EBADMSG }, { "ENOMEM", ENOMEM }, { "EIO", EIO },
	{ "ENOSPC", ENOSPC }, { "EKEYREJECTED", EKEYREJECTED },
	{ "EDQUOT", EDQUOT },
};

static void
rule_free(struct rule *r)
{
	free(r->text);
	free(r->key);
	free(r);
}

static void
list_free(struct rule *list)
{
	while (list != NULL) {
		struct rule *next = list->next;

		rule_free(list);
		list = next;
	}
}

static bool
flag(const char *word, const char *value, const char *name, bool *set)
{
	if (strcmp(word, name) != 0)
		return false;
	*set = value == NULL || strcmp(value, "0") != 0;
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
parse_error(const char *value, int *error)
{
	for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++)
		if (strcmp(errors[i].name, value) == 0)
			*error = -errors[i].error;
	return *error != 0;
}

static bool
parse_word(struct rule *r, char *word)
{
	struct fault_action *a = &r->action;
	char *value = strchr(word, '=');
	unsigned long delay;

	if (value != NULL)
		*value++ = '\0';
	if (value != NULL && strcmp(word, "op") == 0)
		return snprintf(r->ops, sizeof(r->ops), ",%s,", value) <
		       (int)sizeof(r->ops);
	if (value != NULL && strcmp(word, "key") == 0)
		return r->key == NULL && (r->key = strdup(value)) != NULL;
	if (value != NULL && strcmp(word, "ghosts") == 0)
		return snprintf(a->ghosts, sizeof(a->ghosts), "%s", value) <
		       (int)sizeof(a->ghosts);
	if (value != NULL && strcmp(word, "error") == 0)
		return parse_error(value, &a->error);
	if (number(word, value, "delay_ms", &delay)) {
		a->delay_ms = (unsigned)delay;
		return true;
	}
	return number(word, value, "count", &r->count) ||
	       number(word, value, "skip", &r->skip) ||
	       flag(word, value, "lose", &a->lose) ||
	       flag(word, value, "short", &a->cut) ||
	       flag(word, value, "corrupt", &a->corrupt) ||
	       flag(word, value, "stale", &a->stale) ||
	       flag(word, value, "etags", &a->etags) ||
	       flag(word, value, "caseless", &a->caseless) ||
	       flag(word, value, "hold", &a->hold) ||
	       flag(word, value, "hold_after", &a->hold_after);
}

static struct rule *
parse_rule(const char *line)
{
	struct rule *r = calloc(1, sizeof(*r));
	char *copy = strdup(line), *rest = copy;
	bool ok = r != NULL && copy != NULL;

	for (char *w; ok && (w = strsep(&rest, " \t")) != NULL;)
		if (*w != '\0')
			ok = parse_word(r, w);
	free(copy);
	if (ok && (r->text = strdup(line)) != NULL)
		return r;
	if (r != NULL)
		rule_free(r);
	return NULL;
}

static void
keep_counts(const struct rule *old, struct rule *r, uint64_t *last_id)
{
	r->id = 0;
	for (; old != NULL && r->id == 0; old = old->next)
		if (strcmp(old->text, r->text) == 0) {
			r->id = old->id;
			r->seen = old->seen;
		}
	if (r->id == 0)
		r->id = ++*last_id;
}

static void
read_locked(struct fault_rules *rules, FILE *f)
{
	struct rule *list = NULL, **end = &list;
	char line[1024];

	rules->wrong = false;
	while (fgets(line, sizeof(line), f) != NULL) {
		struct rule *r = NULL;

		line[strcspn(line, "\n")] = '\0';
		if (line[0] == '\0' || line[0] == '#')
			continue;
		/* Memory, too, is made to fail in tests, a few times. */
		for (int i = 0; r == NULL && i < 5; i++)
			r = parse_rule(line);
		if (r == NULL) {
			rules->wrong = true;
			continue;
		}
		keep_counts(rules->list, r, &rules->last_id);
		*end = r;
		end = &r->next;
	}
	list_free(rules->list);
	rules->list = list;
}

static void
look_locked(struct fault_rules *rules)
{
	struct stat st = {0};
	FILE *f;

	if (stat(rules->path, &st) != 0)
		memset(&st, 0, sizeof(st));
	if (st.st_ino == rules->st.st_ino && st.st_size == rules->st.st_size &&
	    st.st_mtim.tv_sec == rules->st.st_mtim.tv_sec &&
	    st.st_mtim.tv_nsec == rules->st.st_mtim.tv_nsec)
		return;
	rules->st = st;
	f = st.st_ino != 0 ? fopen(rules->path, "re") : NULL;
	if (f != NULL) {
		read_locked(rules, f);
		fclose(f);
	} else {
		list_free(rules->list);
		rules->list = NULL;
		rules->wrong = false;
	}
}

struct fault_rules *
s3_fault_rules_new(const char *path)
{
	struct fault_rules *rules = calloc(1, sizeof(*rules));

	if (rules == NULL || (rules->path = strdup(path)) == NULL) {
		free(rules);
		return NULL;
	}
	pthread_mutex_init(&rules->mutex, NULL);
	return rules;
}

void
s3_fault_rules_free(struct fault_rules **rules)
{
	if (*rules == NULL)
		return;
	list_free((*rules)->list);
	pthread_mutex_destroy(&(*rules)->mutex);
	free((*rules)->path);
	free(*rules);
	*rules = NULL;
}

static bool
applies(const struct rule *r, const char *op, const char *key)
{
	char wanted[32];

	snprintf(wanted, sizeof(wanted), ",%s,", op);
	return (r->ops[0] == '\0' || strcmp(r->ops, ",*,") == 0 ||
		strstr(r->ops, wanted) != NULL) &&
	       (r->key == NULL || fnmatch(r->key, key, 0) == 0) &&
	       (r->count == 0 || r->seen < r->skip + r->count);
}

int
s3_fault_match(struct fault_rules *rules, const char *op, const char *key,
	       struct fault_action *out)
{
	int result;

	*out = (struct fault_action){0};
	pthread_mutex_lock(&rules->mutex);
	look_locked(rules);
	result = rules->wrong ? -EINVAL : 0;
	for (struct rule *r = rules->list; r != NULL; r = r->next) {
		if (!applies(r, op, key))
			continue;
		if (r->seen++ < r->skip)
			continue;
		*out = r->action;
		out->rule = r->id;
		break;
	}
	pthread_mutex_unlock(&rules->mutex);
	return result;
}

bool
s3_fault_stands(struct fault_rules *rules, uint64_t rule)
{
	bool found = false;

	pthread_mutex_lock(&rules->mutex);
	look_locked(rules);
	for (const struct rule *r = rules->list; r != NULL; r = r->next)
		found |= r->id == rule;
	pthread_mutex_unlock(&rules->mutex);
	return found;
}
