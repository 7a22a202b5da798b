/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The AWS tools' files, ~/.aws/credentials and ~/.aws/config: INI with
 * "[name]" in the one and "[profile name]" in the other ("[default]" in
 * both).  Keys are case-insensitive; `#` and `;` begin a comment at the
 * start of a line or after a blank; indented lines belong to a nested
 * setting and are skipped.  Files are read anew at each look, so that a
 * rotated key is found without a restart.
 */
#include <config.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "s3/remote.h"

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

/* "[default]", "[profile name]", "[ profile  'name' ]" */
static bool
is_section(char *line, const char *name, bool is_config)
{
	char *close = strchr(line, ']');
	char *s;
	size_t len;

	if (close == NULL)
		return false;
	*close = '\0';
	s = trim(line + 1);
	if (is_config && strncmp(s, "profile", 7) == 0 &&
	    isspace((unsigned char)s[7]))
		s = trim(s + 8);
	else if (is_config && strcmp(name, "default") != 0)
		return false;
	len = strlen(s);
	if (len >= 2 && (*s == '"' || *s == '\'') && s[len - 1] == *s) {
		s[len - 1] = '\0';
		s++;
	}
	return strcmp(s, name) == 0;
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

static void
close_file(FILE **f)
{
	if (*f != NULL)
		fclose(*f);
}

char *
s3_profile_get(const char *file, const char *name, bool is_config,
	       const char *key)
{
	__attribute__((cleanup(close_file))) FILE *f = fopen(file, "re");
	CLEANUP_FREE char *line = NULL;
	char *found = NULL;
	size_t size = 0;
	bool inside = false;

	while (f != NULL && getline(&line, &size, f) > 0) {
		char *eq, *k;

		if (*line == '[') {
			inside = is_section(line, name, is_config);
			continue;
		}
		if (!inside || *line == '#' || *line == ';' ||
		    isspace((unsigned char)*line))
			continue;
		eq = strchr(line, '=');
		if (eq == NULL)
			continue;
		*eq = '\0';
		k = trim(line);
		if (strcasecmp(k, key) != 0)
			continue;
		cut_comment(eq + 1);
		free(found);	/* the last one counts */
		found = strdup(trim(eq + 1));
	}
	if (found != NULL && *found == '\0') {
		free(found);
		found = NULL;
	}
	return found;
}
