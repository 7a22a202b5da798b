/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration file: INI.
 *
 *	# or ; begins a comment, also after a value and a blank
 *	[server]
 *	state_dir = /srv/s3nfsd
 *	[export /data]
 *	clients = 10.0.0.0/8(rw)
 *		192.168.1.5(ro)
 *
 * A line that is indented and is no "key = value" goes on with the value
 * before it.  Nothing is guessed: an unknown section or key, a key that stands
 * twice, or a value out of range ends the start with one line that names the
 * place and what is allowed there, since a misread export could be an open
 * one.
 *
 * This is our own scanner and not libinih, which cuts section names at 49
 * bytes in silence (a bucket's name has up to 63) and does not tell its
 * handler the line.
 */
#include <config.h>

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/mount3.h"
#include "nfsd/settings.h"

#define LINES_MAX 100000
#define LINE_MAX_BYTES 65536
#define STORE_NAME_MAX 63

struct scanner {
	const char *name;
	unsigned line;
	struct setting_list *list;
	FILE *complaints;
	bool in_section, has_key;
	enum options_section section;
	char *export;		/* name of the section, in list->exports or
				 * list->stores; NULL: none */
};

static int complain(const struct scanner *s, const char *key,
		    const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int
complain(const struct scanner *s, const char *key, const char *format, ...)
{
	va_list args;

	fprintf(s->complaints, "%s:%u: %.80s: ", s->name, s->line, key);
	va_start(args, format);
	vfprintf(s->complaints, format, args);
	va_end(args);
	fputc('\n', s->complaints);
	return -EINVAL;
}

static char *
trim(char *text)
{
	size_t len;

	text += strspn(text, " \t\r\n");
	for (len = strlen(text); len > 0 && isspace((unsigned char)
						    text[len - 1]); len--)
		text[len - 1] = '\0';
	return text;
}

static void
cut_comment(char *text)
{
	for (char *at = text; *at != '\0'; at++) {
		if ((*at == ';' || *at == '#') &&
		    (at == text || at[-1] == ' ' || at[-1] == '\t')) {
			*at = '\0';
			return;
		}
	}
}

/* A name that MNT can ask for: what cleaning leaves as it is, and not "/". */
static bool
good_export(const char *name)
{
	char clean[MNTPATHLEN + 1];

	for (const char *c = name; *c != '\0'; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			return false;
	}
	return mount3_clean_path(name, clean, sizeof(clean)) == 0 &&
	       strcmp(name, clean) == 0 && strcmp(name, "/") != 0;
}

static int
begin_export(struct scanner *s, const char *name)
{
	struct setting_list *list = s->list;
	char **names, **origins;

	if (!good_export(name))
		return complain(s, name, "an export's name is a path such as "
				"/data, without . and .. and a / at the end");
	for (size_t i = 0; i < list->export_count; i++) {
		if (strcmp(list->exports[i], name) == 0) {
			s->export = list->exports[i];
			return 0;
		}
	}
	names = reallocarray(list->exports, list->export_count + 1,
			     sizeof(*names));
	if (names == NULL)
		return -ENOMEM;
	list->exports = names;
	origins = reallocarray(list->export_origins, list->export_count + 1,
			       sizeof(*origins));
	if (origins == NULL)
		return -ENOMEM;
	list->export_origins = origins;
	names[list->export_count] = strdup(name);
	if (names[list->export_count] == NULL)
		return -ENOMEM;
	if (asprintf(&origins[list->export_count], "%s:%u", s->name,
		     s->line) < 0) {
		free(names[list->export_count]);
		return -ENOMEM;
	}
	s->export = names[list->export_count++];
	return 0;
}

static bool
good_store(const char *name)
{
	size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz"
			    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");

	return name[len] == '\0' && len >= 1 && len <= STORE_NAME_MAX;
}

static int
begin_store(struct scanner *s, const char *name)
{
	struct setting_list *list = s->list;
	char **names;

	if (!good_store(name))
		return complain(s, name, "a store's name has letters, digits "
				"and _.-");
	for (size_t i = 0; i < list->store_count; i++) {
		if (strcmp(list->stores[i], name) == 0) {
			s->export = list->stores[i];
			return 0;
		}
	}
	names = reallocarray(list->stores, list->store_count + 1,
			     sizeof(*names));
	if (names == NULL)
		return -ENOMEM;
	list->stores = names;
	names[list->store_count] = strdup(name);
	if (names[list->store_count] == NULL)
		return -ENOMEM;
	s->export = names[list->store_count++];
	return 0;
}

static int
begin_section(struct scanner *s, char *text)
{
	char *end = strchr(text, ']'), *name, *rest;
	size_t word;

	s->has_key = false;
	s->export = NULL;
	if (end == NULL || trim(end + 1)[0] != '\0')
		return complain(s, text, "a section is written [server], [s3], "
				"[s3 NAME] or [export /NAME]");
	*end = '\0';
	name = trim(text + 1);
	word = strcspn(name, " \t");
	if (!options_section_parse(name, word, &s->section))
		return complain(s, name, "unknown section; there are [server], "
				"[s3], [s3 NAME] and [export /NAME]");
	s->in_section = true;
	rest = trim(name + word);
	if (rest[0] == '\0')
		return 0;
	if (s->section == OPTIONS_S3)
		return begin_store(s, rest);
	if (s->section != OPTIONS_EXPORT)
		return complain(s, name, "this section has no name");
	return begin_export(s, rest);
}

static bool
same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* A key that is in no row of this section may be one of another's. */
static int
unknown_key(struct scanner *s, const char *key)
{
	static const char *const sections[] = {
		[OPTIONS_SERVER] = "[server]", [OPTIONS_S3] = "[s3]",
		[OPTIONS_EXPORT] = "[export] or [export /NAME]",
	};

	for (int i = OPTIONS_SERVER; i <= OPTIONS_EXPORT; i++) {
		if (options_find((enum options_section)i, key) != NULL)
			return complain(s, key, "belongs into %s", sections[i]);
	}
	return complain(s, key, "unknown key; s3nfsd --help lists all");
}

static int
add_key(struct scanner *s, const char *key, const char *value)
{
	struct setting_list *list = s->list;
	const struct option_row *row;
	struct setting *grown, new = {.from_file = true};

	s->has_key = false;
	if (!s->in_section)
		return complain(s, key, "stands before the first section");
	row = options_find(s->section, key);
	if (row == NULL)
		return unknown_key(s, key);
	for (size_t i = 0; i < list->count; i++) {
		if (list->list[i].from_file && list->list[i].row == row &&
		    same_text(list->list[i].export, s->export))
			return complain(s, key, "is set already in %s",
					list->list[i].origin);
	}
	grown = reallocarray(list->list, list->count + 1, sizeof(*grown));
	if (grown == NULL)
		return -ENOMEM;
	list->list = grown;
	new.section = s->section;
	new.row = row;
	new.key = strdup(key);
	new.value = strdup(value);
	new.export = s->export != NULL ? strdup(s->export) : NULL;
	if (asprintf(&new.origin, "%s:%u", s->name, s->line) < 0)
		new.origin = NULL;
	grown[list->count++] = new;
	if (new.key == NULL || new.value == NULL || new.origin == NULL ||
	    (s->export != NULL && new.export == NULL))
		return -ENOMEM;
	s->has_key = true;
	return 0;
}

static int
go_on(struct scanner *s, const char *more)
{
	struct setting *last = &s->list->list[s->list->count - 1];
	char *joined;

	if (strlen(last->value) + strlen(more) > LINE_MAX_BYTES)
		return complain(s, last->key, "the value is too long");
	if (asprintf(&joined, "%s %s", last->value, more) < 0)
		return -ENOMEM;
	free(last->value);
	last->value = joined;
	return 0;
}

static int
scan_line(struct scanner *s, char *line)
{
	bool indented = line[0] == ' ' || line[0] == '\t';
	char *text, *equals;
	size_t word;

	cut_comment(line);
	text = trim(line);
	if (text[0] == '\0')
		return 0;
	if (text[0] == '[')
		return begin_section(s, text);
	word = strspn(text, "abcdefghijklmnopqrstuvwxyz_0123456789");
	equals = text + word + strspn(text + word, " \t");
	if (word == 0 || *equals != '=') {
		if (indented && s->has_key)
			return go_on(s, text);
		return complain(s, text, "a line is \"key = value\", "
				"\"[section]\" or a comment");
	}
	text[word] = '\0';
	return add_key(s, text, trim(equals + 1));
}

int
settings_parse_file(FILE *in, const char *name, struct setting_list *list,
		    FILE *complaints)
{
	struct scanner s = {.name = name, .list = list,
			    .complaints = complaints};
	char *line = NULL;
	size_t size = 0;
	ssize_t len;
	int r = 0;

	while (r == 0 && (len = getline(&line, &size, in)) >= 0) {
		s.line++;
		if (s.line == 1 && strncmp(line, "\xef\xbb\xbf", 3) == 0)
			memset(line, ' ', 3);
		if (strlen(line) != (size_t)len || len > LINE_MAX_BYTES ||
		    s.line > LINES_MAX)
			r = complain(&s, "line", "too long, or not a text");
		else
			r = scan_line(&s, line);
	}
	if (r == 0 && ferror(in))
		r = complain(&s, "line", "cannot be read");
	free(line);
	return r;
}

void
settings_list_free(struct setting_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		free(list->list[i].export);
		free(list->list[i].key);
		free(list->list[i].value);
		free(list->list[i].origin);
	}
	for (size_t i = 0; i < list->export_count; i++) {
		free(list->exports[i]);
		free(list->export_origins[i]);
	}
	for (size_t i = 0; i < list->store_count; i++)
		free(list->stores[i]);
	free(list->list);
	free(list->stores);
	free(list->exports);
	free(list->export_origins);
	memset(list, 0, sizeof(*list));
}
