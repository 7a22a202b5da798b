/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_SETTINGS_H
#define NFSD_SETTINGS_H

/*
 * settings: the configuration as a whole, from the command line and the file.
 * (Not config.h: that is autoconf's.)
 */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>

#include "nfsd/options.h"

struct settings_store {		/* [s3 NAME] */
	char *name;
	struct options_s3 options;
};

struct settings_export {
	char *name;		/* "/BUCKET" */
	char *url;		/* for s3_open: "s3://BUCKET", "file:///DIR" */
	char *prefix;		/* of every key: "" or "a/b/" */
	struct options_export options;
	const struct options_s3 *s3;	/* of its store */
};

struct settings {
	struct options_server server;
	struct options_s3 s3;		/* [s3] */
	struct settings_store *stores;
	size_t store_count;
	struct settings_export *exports;
	size_t export_count;
	struct sockaddr_storage listen;
	socklen_t listen_len;
	bool check, help, version;
};

/*
 * Read the command line and the file it names.  A mistake is told in one line
 * on `complaints`, "FILE:LINE: key: what is allowed" or "--option: ...", and
 * is -EINVAL.  With help or version set nothing else is read.  *out must be
 * zeroed; settings_free it also after a failure.  It points into itself.
 */
int settings_load(int argc, char *const *argv, struct settings *out,
		  FILE *complaints) __attribute__((warn_unused_result));
void settings_free(struct settings *settings);

void settings_usage(FILE *out);

/*
 * "s3://BUCKET[/PREFIX]" or "file:///DIR" into what s3_open takes, the prefix
 * of keys, and the export's name.  All three are malloced.
 * -EINVAL, -ENOMEM; -ENOTSUP: a directory bucket.
 */
int settings_bucket(const char *url, char **open_url, char **prefix,
		    char **name) __attribute__((warn_unused_result));

/* Where the export's objects lie, in words: URL, prefix and endpoint. */
void settings_place(const struct settings_export *export, char *out,
		    size_t size);

/* "ADDR", "ADDR:PORT", "[V6]:PORT", ":PORT".  -EINVAL. */
int settings_listen(const char *text, struct sockaddr_storage *out,
		    socklen_t *len) __attribute__((warn_unused_result));

/* /var/lib/s3nfsd for root, else below the home directory.  Malloced; NULL
 * if there is neither XDG_STATE_HOME nor HOME, or no memory. */
char *settings_state_dir(void);
/* It and those above it, for us alone. */
int settings_make_dir(const char *path) __attribute__((warn_unused_result));

/* ---- the parts, for tests ---- */

struct setting {		/* one key as it was written */
	enum options_section section;
	char *export;		/* the section's name; NULL: it has none */
	const struct option_row *row;
	char *key, *value;
	char *origin;		/* "FILE:LINE" or "--set" */
	bool from_file;
};

struct setting_list {
	struct setting *list;
	size_t count;
	char **exports;		/* names of [export /NAME], in order */
	char **export_origins;
	size_t export_count;
	char **stores;		/* names of [s3 NAME] */
	size_t store_count;
};

/* Parse an INI file.  Appends to *list. */
int settings_parse_file(FILE *in, const char *name, struct setting_list *list,
			FILE *complaints) __attribute__((warn_unused_result));
void settings_list_free(struct setting_list *list);

#endif
