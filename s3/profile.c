/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The AWS tools' files, ~/.aws/credentials and ~/.aws/config: INI with
 * "[name]" in the one and "[profile name]" in the other ("[default]" in
 * both), and "[sso-session name]" in the latter.  Keys are case-insensitive;
 * `#` and `;` begin a comment at the start of a line or after a blank;
 * indented lines belong to a nested setting and are skipped.  Both files are
 * read at one moment, and anew each time keys are asked for, so that what was
 * rotated is found without a restart.  One that is not there is empty; one
 * that cannot be read is an error, since going on without it would be going
 * on as somebody else.
 */
#include <config.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "s3/creds.h"

#define FILE_MAX_BYTES (1U << 20)
#define LINES_MAX 50000

/* A section's beginning (key NULL) or one of its lines. */
struct entry {
	enum s3_section section;
	bool is_config;
	char *name, *key, *value;
	bool nests;		/* while reading: its last key has no value */
};

struct s3_profiles {
	struct entry *list;
	size_t count, room;
};

static char *
trim(char *s)
{
	char *end;

	while (isspace((unsigned char)*s))
		s++;
	end = s + strlen(s);
	while (end > s && isspace((unsigned char)end[-1]))
		end--;
	*end = '\0';
	return s;
}

/* Cuts the word and the blanks behind it off *s, if it begins so. */
static bool
begins(char **s, const char *word)
{
	size_t len = strlen(word);

	if (strncmp(*s, word, len) != 0 || !isspace((unsigned char)(*s)[len]))
		return false;
	*s = trim(*s + len);
	return true;
}

/*
 * "[default]", "[profile name]", "[ profile  'name' ]".  NULL: a section of
 * no use to us.
 */
static char *
section_name(char *line, bool is_config, enum s3_section *section)
{
	char *close = strchr(line, ']');
	char *s;
	size_t len;

	*section = S3_PROFILE;
	if (close == NULL)
		return NULL;
	*close = '\0';
	s = trim(line + 1);
	if (is_config && begins(&s, "sso-session"))
		*section = S3_SSO_SESSION;
	else if (is_config && !begins(&s, "profile") &&
		 strcmp(s, "default") != 0)
		return NULL;
	len = strlen(s);
	if (len >= 2 && (*s == '"' || *s == '\'') && s[len - 1] == *s) {
		s[len - 1] = '\0';
		s++;
	}
	return s;
}

static void
cut_comment(char *value)
{
	for (char *p = value; *p != '\0'; p++)
		if ((*p == '#' || *p == ';') &&
		    (p == value || isspace((unsigned char)p[-1]))) {
			*p = '\0';
			return;
		}
}

static int
add(struct s3_profiles *p, const struct entry *like, const char *key,
    const char *value)
{
	struct entry e = *like, *grown;
	size_t room = p->room ? 2 * p->room : 16;

	if (p->count == p->room) {
		grown = reallocarray(p->list, room, sizeof(*grown));
		if (grown == NULL)
			return -ENOMEM;
		p->list = grown;
		p->room = room;
	}
	e.name = strdup(like->name);
	e.key = key != NULL ? strdup(key) : NULL;
	e.value = value != NULL ? strdup(value) : NULL;
	p->list[p->count++] = e;
	return e.name == NULL || (key != NULL && e.key == NULL) ||
	       (value != NULL && e.value == NULL) ? -ENOMEM : 0;
}

/* One line; *current is the section that it stands in, name NULL for none. */
static int
add_line(struct s3_profiles *p, char *line, struct entry *current)
{
	char *eq, *name, *key, *value;
	bool indented;

	if (*line == '[') {
		current->nests = false;
		name = section_name(line, current->is_config,
				    &current->section);
		free(current->name);
		current->name = name != NULL ? strdup(name) : NULL;
		if (name != NULL && current->name == NULL)
			return -ENOMEM;
		return name != NULL ? add(p, current, NULL, NULL) : 0;
	}
	indented = isspace((unsigned char)*line);
	eq = line + strcspn(line, "=:");
	key = line + strspn(line, " \t\r\n\v\f");
	/* Indented below a key without a value: they are its own. */
	if (current->name == NULL || *eq == '\0' || *key == '#' ||
	    *key == ';' || (indented && current->nests))
		return 0;
	*eq = '\0';
	cut_comment(eq + 1);
	value = trim(eq + 1);
	current->nests = !indented && *value == '\0';
	return add(p, current, trim(key), value);
}

/* What editors of Windows put before the first byte. */
static size_t
bom(const char *line)
{
	return strncmp(line, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

int
s3_profiles_parse(struct s3_profiles *p, FILE *f, bool is_config)
{
	struct entry current = { .is_config = is_config };
	CLEANUP_FREE char *line = NULL;
	size_t size = 0, total = 0, lines = 0;
	ssize_t n;
	int r = 0;

	while (r == 0 && (n = getline(&line, &size, f)) > 0) {
		total += (size_t)n;
		r = total > FILE_MAX_BYTES || ++lines > LINES_MAX ? -EFBIG :
		    strlen(line) != (size_t)n ? -EBADMSG :
		    add_line(p, line + (lines == 1 ? bom(line) : 0), &current);
	}
	if (r == 0 && ferror(f))
		r = -EIO;
	free(current.name);
	return r;
}

static int
read_file(struct s3_profiles *p, const char *path, bool is_config,
	  struct s3_error *err)
{
	FILE *f = fopen(path, "re");
	int r = f != NULL ? 0 : -errno;

	if (r == -ENOENT || r == -ENOTDIR)
		return 0;
	if (r == 0) {
		r = s3_profiles_parse(p, f, is_config);
		fclose(f);
	}
	return r < 0 ? s3_error_set(err, r, "%s: %s", path,
				    r == -EBADMSG ? "not a text" :
				    strerror(-r)) : 0;
}

int
s3_profiles_new(struct s3_profiles **out)
{
	*out = calloc(1, sizeof(**out));
	return *out != NULL ? 0 : -ENOMEM;
}

int
s3_profiles_read(const char *credentials, const char *config,
		 struct s3_profiles **out, struct s3_error *err)
{
	struct s3_profiles *p = NULL;
	int r = s3_profiles_new(&p);

	if (r == 0)
		r = read_file(p, credentials, false, err);
	if (r == 0)
		r = read_file(p, config, true, err);
	if (r < 0) {
		s3_profiles_free(&p);
		return r;
	}
	*out = p;
	return 0;
}

void
s3_profiles_free(struct s3_profiles **profiles)
{
	struct s3_profiles *p = *profiles;

	*profiles = NULL;
	if (p == NULL)
		return;
	for (size_t i = 0; i < p->count; i++) {
		if (p->list[i].value != NULL)
			explicit_bzero(p->list[i].value,
				       strlen(p->list[i].value));
		free(p->list[i].name);
		free(p->list[i].key);
		free(p->list[i].value);
	}
	free(p->list);
	free(p);
}

/* Also one that is empty.  In one file, the last line counts. */
static const struct entry *
find(const struct s3_profiles *p, enum s3_section section, const char *name,
     const char *key, bool is_config)
{
	const struct entry *found = NULL;

	for (size_t i = 0; i < p->count; i++) {
		const struct entry *e = &p->list[i];

		if (e->section != section || e->is_config != is_config ||
		    strcmp(e->name, name) != 0)
			continue;
		if (key == NULL || (e->key != NULL &&
				    strcasecmp(e->key, key) == 0))
			found = e;
	}
	return found;
}

bool
s3_profiles_has(const struct s3_profiles *p, enum s3_section section,
		const char *name)
{
	return find(p, section, name, NULL, false) != NULL ||
	       find(p, section, name, NULL, true) != NULL;
}

const char *
s3_profiles_get(const struct s3_profiles *p, enum s3_section section,
		const char *name, const char *key)
{
	const struct entry *e = find(p, section, name, key, false);

	if (e == NULL || *e->value == '\0')
		e = find(p, section, name, key, true);
	return e != NULL && *e->value != '\0' ? e->value : NULL;
}

bool
s3_profiles_keys(const struct s3_profiles *p, const char *name,
		 const char *values[3])
{
	static const char *const keys[] = {
		"aws_access_key_id", "aws_secret_access_key",
		"aws_session_token",
	};

	for (int is_config = 0; is_config <= 1; is_config++) {
		for (size_t i = 0; i < 3; i++) {
			const struct entry *e = find(p, S3_PROFILE, name,
						     keys[i], is_config);

			values[i] = e != NULL && *e->value != '\0' ?
				    e->value : NULL;
		}
		if (values[0] != NULL || values[1] != NULL)
			return true;
	}
	return false;
}
