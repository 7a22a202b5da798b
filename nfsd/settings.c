/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command line and file become one struct settings.
 *
 * What wins, from weak to strong: the table's defaults, the file, the command
 * line.  For exports one step more: defaults, [export] without a name, `--set
 * export.KEY=`, [export /NAME].  So `--set` can give all exports of a test run
 * a value and a section of the file still has its own.
 *
 * strict=1 is three other defaults (rule.md 14): it goes in first, and
 * what an export says itself stays.
 */
#include <config.h>

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nfsd/gate/gate.h"
#include "nfsd/settings.h"

#define PORT 2049
#define FILE_MAX_BYTES (1L << 20)

struct loader {
	struct settings *settings;
	struct setting_list list;
	const char *file;
	char **buckets;		/* --bucket, pointers into argv */
	size_t bucket_count;
	FILE *complaints;
};

static int complain(const struct loader *l, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static int
complain(const struct loader *l, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(l->complaints, format, args);
	va_end(args);
	fputc('\n', l->complaints);
	return -EINVAL;
}

/* ---- texts with a structure of their own ---- */

/* Bytes of a bucket's name, or of the ARN of an access point: that one has a
 * slash of its own. */
static size_t
bucket_len(const char *url)
{
	static const char kind[] = ":accesspoint/";
	size_t len = strcspn(url, "/");

	if (strncmp(url, "arn:", 4) != 0 || len + 2 < sizeof(kind) ||
	    strncmp(url + len + 2 - sizeof(kind), kind, sizeof(kind) - 1) != 0)
		return len;
	return len + 1 + strcspn(url + len + 1, "/");
}

static bool
good_bucket(const char *name, size_t len)
{
	if (len > 4 && strncmp(name, "arn:", 4) == 0 && len < 256) {
		const char *last = memrchr(name, '/', len);

		return last != NULL && last + 1 < name + len;
	}
	if (len == 0 || len > 255 || name[0] == '.')
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!isalnum((unsigned char)name[i]) &&
		    strchr("._-", name[i]) == NULL)
			return false;
	}
	return true;
}

/* One of S3 Express, or an access point of such a one: sessions instead of
 * signatures, listings without order, ETags that say nothing. */
static bool
is_directory_bucket(const char *name, size_t len)
{
	static const char *const ends[] = { "--x-s3", "--xa-s3" };

	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		size_t end = strlen(ends[i]);

		if (len > end && memcmp(name + len - end, ends[i], end) == 0)
			return true;
	}
	return false;
}

/* "a/b/" from "a/b" or "a//b/"; "." and ".." are no names here either. */
static int
clean_prefix(const char *text, char *out, size_t size)
{
	size_t used = 0;

	while (*(text += strspn(text, "/")) != '\0') {
		size_t len = strcspn(text, "/");

		if ((len == 1 && text[0] == '.') ||
		    (len == 2 && memcmp(text, "..", 2) == 0) ||
		    used + len + 2 > size)
			return -EINVAL;
		memcpy(out + used, text, len);
		used += len;
		out[used++] = '/';
		text += len;
	}
	out[used] = '\0';
	return 0;
}

static int
file_bucket(const char *dir, char **open_url, char **prefix, char **name)
{
	size_t len = strlen(dir);
	const char *last;

	while (len > 1 && dir[len - 1] == '/')
		len--;
	if (dir[0] != '/' || len < 2 || len > 4000)
		return -EINVAL;
	last = (const char *)memrchr(dir, '/', len) + 1;
	if ((size_t)(dir + len - last) > GATE_NAME_MAX || last[0] == '.')
		return -EINVAL;
	*prefix = strdup("");
	*name = NULL;
	*open_url = NULL;
	if (asprintf(open_url, "file://%.*s", (int)len, dir) < 0 ||
	    asprintf(name, "/%.*s", (int)(dir + len - last), last) < 0 ||
	    *prefix == NULL)
		return -ENOMEM;
	return 0;
}

int
settings_bucket(const char *url, char **open_url, char **prefix, char **name)
{
	char clean[1024];
	const char *last;
	size_t len;

	*open_url = *prefix = *name = NULL;
	if (strncmp(url, "file://", 7) == 0)
		return file_bucket(url + 7, open_url, prefix, name);
	if (strncmp(url, "s3://", 5) != 0)
		return -EINVAL;
	url += 5;
	len = bucket_len(url);
	if (is_directory_bucket(url, len))
		return -ENOTSUP;
	if (!good_bucket(url, len) ||
	    clean_prefix(url + len, clean, sizeof(clean)) < 0)
		return -EINVAL;
	last = memrchr(url, '/', len);
	last = last != NULL ? last + 1 : url;
	*prefix = strdup(clean);
	if (asprintf(open_url, "s3://%.*s", (int)len, url) < 0 ||
	    asprintf(name, "/%.*s", (int)(url + len - last), last) < 0 ||
	    *prefix == NULL)
		return -ENOMEM;
	return 0;
}

/* As s3_open finds it. */
static const char *
endpoint_of(const struct options_s3 *o)
{
	const char *endpoint = o->endpoint;

	if (endpoint == NULL)
		endpoint = getenv("AWS_ENDPOINT_URL_S3");
	if (endpoint == NULL || endpoint[0] == '\0')
		endpoint = getenv("AWS_ENDPOINT_URL");
	return endpoint;
}

void
settings_place(const struct settings_export *export, char *out, size_t size)
{
	const char *endpoint = endpoint_of(export->s3);
	int prefix = (int)strlen(export->prefix);
	bool named = strncmp(export->url, "s3://", 5) == 0 &&
		     endpoint != NULL && endpoint[0] != '\0';
	size_t len = named ? strlen(endpoint) : 0;

	while (len > 0 && endpoint[len - 1] == '/')
		len--;
	snprintf(out, size, "%s%s%.*s%s%.*s", export->url,
		 prefix > 0 ? "/" : "", prefix > 0 ? prefix - 1 : 0,
		 export->prefix, named ? " at " : "", (int)len,
		 named ? endpoint : "");
}

int
settings_listen(const char *text, struct sockaddr_storage *out, socklen_t *len)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
	char host[INET6_ADDRSTRLEN + 2];
	const char *colon = strrchr(text, ':'), *end;
	long port = PORT;
	size_t host_len;
	char *rest;

	/* More than one colon outside brackets is a bare IPv6 address. */
	if (text[0] != '[' && colon != NULL && strchr(text, ':') != colon)
		colon = NULL;
	if (text[0] == '[' && (end = strchr(text, ']')) != NULL &&
	    (end[1] == '\0' || end[1] == ':')) {
		colon = end[1] == ':' ? end + 1 : NULL;
		text++;
		host_len = (size_t)(end - text);
	} else {
		host_len = colon != NULL ? (size_t)(colon - text) :
			   strlen(text);
	}
	if (colon != NULL) {
		port = strtol(colon + 1, &rest, 10);
		if (!isdigit((unsigned char)colon[1]) || *rest != '\0' ||
		    port > 65535)
			return -EINVAL;
	}
	if (host_len >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, host_len);
	host[host_len] = '\0';
	memset(out, 0, sizeof(*out));
	if (host_len == 0 || inet_pton(AF_INET, host, &in.sin_addr) == 1) {
		in.sin_port = htons((uint16_t)port);
		memcpy(out, &in, *len = sizeof(in));
		return 0;
	}
	if (inet_pton(AF_INET6, host, &in6.sin6_addr) != 1)
		return -EINVAL;
	in6.sin6_port = htons((uint16_t)port);
	memcpy(out, &in6, *len = sizeof(in6));
	return 0;
}

/* ---- the command line ---- */

enum {
	OPT_BUCKET = 256, OPT_ENDPOINT, OPT_REGION, OPT_LISTEN, OPT_PORTMAP,
	OPT_STATE_DIR, OPT_ACCEPT_STATE, OPT_SET, OPT_CHECK, OPT_VERSION,
	OPT_HELP
};

static const struct option long_options[] = {
	{"config", required_argument, NULL, 'c'},
	{"bucket", required_argument, NULL, OPT_BUCKET},
	{"endpoint", required_argument, NULL, OPT_ENDPOINT},
	{"region", required_argument, NULL, OPT_REGION},
	{"listen", required_argument, NULL, OPT_LISTEN},
	{"portmap", required_argument, NULL, OPT_PORTMAP},
	{"state-dir", required_argument, NULL, OPT_STATE_DIR},
	{"accept-state", no_argument, NULL, OPT_ACCEPT_STATE},
	{"set", required_argument, NULL, OPT_SET},
	{"check", no_argument, NULL, OPT_CHECK},
	{"version", no_argument, NULL, OPT_VERSION},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0}
};

void
settings_usage(FILE *out)
{
	fputs("usage: s3nfsd [-c FILE] [--bucket URL]... [--endpoint URL] "
	      "[--region NAME]\n"
	      "              [--listen ADDR[:PORT]] "
	      "[--portmap auto|builtin|rpcbind|off]\n"
	      "              [--state-dir DIR] [--accept-state] "
	      "[--set SECTION.KEY=VALUE]...\n"
	      "              [--check] [--version] [--help]\n"
	      "\n"
	      "Serve S3 buckets as NFSv3.\n"
	      "\n"
	      "  -c, --config FILE        read FILE, see s3nfsd.conf(5)\n"
	      "  --bucket URL             export s3://BUCKET[/PREFIX] as "
	      "/BUCKET, or file:///DIR,\n"
	      "                           a bucket in a local directory, "
	      "under its last name\n"
	      "  --endpoint URL           an S3 server other than AWS, "
	      "http://HOST:PORT\n"
	      "  --region NAME            region for signing\n"
	      "  --listen ADDR[:PORT]     where to serve; 0.0.0.0:2049\n"
	      "  --portmap WORD           how clients find the port; auto\n"
	      "  --state-dir DIR          where to keep what S3 does not have "
	      "yet, and the cache\n"
	      "  --accept-state           go on with a database that is not "
	      "that of the data files\n"
	      "  --set SECTION.KEY=VALUE  any of the keys below\n"
	      "  --check                  read all this, ask each bucket, "
	      "write nothing\n"
	      "  --version, --help\n"
	      "\n"
	      "On the command line export.KEY is for all exports.  Credentials "
	      "come from where\nAWS' tools look for them.  The manual: "
	      "s3nfsd(8).\n"
	      "\n"
	      "The keys of the file (-c) and of --set:\n", out);
	options_help(out);
}

static int
add_option(struct loader *l, const char *origin, enum options_section section,
	   const char *key, const char *value)
{
	struct setting *grown, new = {.section = section};

	new.row = options_find(section, key);
	if (new.row == NULL)
		return complain(l, "%s: unknown key; s3nfsd --help lists all",
				origin);
	grown = reallocarray(l->list.list, l->list.count + 1, sizeof(*grown));
	if (grown == NULL)
		return -ENOMEM;
	l->list.list = grown;
	new.key = strdup(key);
	new.value = strdup(value);
	new.origin = strdup(origin);
	grown[l->list.count++] = new;
	return new.key == NULL || new.value == NULL || new.origin == NULL ?
	       -ENOMEM : 0;
}

/* --set SECTION.KEY=VALUE */
static int
add_set(struct loader *l, const char *text)
{
	const char *dot = strchr(text, '.'), *equals = strchr(text, '=');
	enum options_section section;
	char origin[96], key[64];

	if (dot == NULL || equals == NULL || equals < dot ||
	    (size_t)(equals - dot) > sizeof(key) ||
	    !options_section_parse(text, (size_t)(dot - text), &section))
		return complain(l, "--set %.80s: what is allowed is "
				"server.KEY=VALUE, s3.KEY=VALUE and "
				"export.KEY=VALUE", text);
	snprintf(origin, sizeof(origin), "--set %.*s", (int)(equals - text),
		 text);
	snprintf(key, sizeof(key), "%.*s", (int)(equals - dot - 1), dot + 1);
	if (section == OPTIONS_EXPORT && strcmp(key, "bucket") == 0)
		return complain(l, "%s: not for all exports; use --bucket",
				origin);
	return add_option(l, origin, section, key, equals + 1);
}

static int
add_bucket(struct loader *l, char *url)
{
	char **grown = reallocarray(l->buckets, l->bucket_count + 1,
				    sizeof(*grown));

	if (grown == NULL)
		return -ENOMEM;
	l->buckets = grown;
	grown[l->bucket_count++] = url;
	return 0;
}

static int
one_option(struct loader *l, int option, char *value)
{
	switch (option) {
	case 'c':
		l->file = value;
		return 0;
	case OPT_BUCKET:
		return add_bucket(l, value);
	case OPT_ENDPOINT:
		return add_option(l, "--endpoint", OPTIONS_S3, "endpoint",
				  value);
	case OPT_REGION:
		return add_option(l, "--region", OPTIONS_S3, "region", value);
	case OPT_LISTEN:
		return add_option(l, "--listen", OPTIONS_SERVER, "listen",
				  value);
	case OPT_PORTMAP:
		return add_option(l, "--portmap", OPTIONS_SERVER, "portmap",
				  value);
	case OPT_STATE_DIR:
		return add_option(l, "--state-dir", OPTIONS_SERVER,
				  "state_dir", value);
	case OPT_ACCEPT_STATE:
		return add_option(l, "--accept-state", OPTIONS_SERVER,
				  "accept_state", "1");
	case OPT_SET:
		return add_set(l, value);
	case OPT_CHECK:
		l->settings->check = true;
		return 0;
	case OPT_VERSION:
		l->settings->version = true;
		return 0;
	case OPT_HELP:
		l->settings->help = true;
		return 0;
	default:
		return -EINVAL;
	}
}

static int
command_line(struct loader *l, int argc, char *const *argv)
{
	int option, r = 0;

	optind = 0;		/* glibc: begin anew, SIGHUP reads it again */
	opterr = 0;
	while (r == 0 && (option = getopt_long(argc, argv, ":c:",
					       long_options, NULL)) != -1) {
		if (option == '?')
			r = complain(l, "%s: unknown option; s3nfsd --help "
				     "lists all", argv[optind - 1]);
		else if (option == ':')
			r = complain(l, "%s: a value is missing",
				     argv[optind - 1]);
		else
			r = one_option(l, option, optarg);
	}
	if (r == 0 && optind < argc)
		r = complain(l, "%s: not an option; buckets are named with "
			     "--bucket", argv[optind]);
	return r;
}

/* ---- putting it together ---- */

static int
read_file(struct loader *l)
{
	struct stat st;
	FILE *in;
	int r;

	if (l->file == NULL)
		return 0;
	in = fopen(l->file, "re");
	if (in == NULL)
		return complain(l, "%s: %s", l->file, strerror(errno));
	if (fstat(fileno(in), &st) < 0 || S_ISDIR(st.st_mode) ||
	    st.st_size > FILE_MAX_BYTES)
		r = complain(l, "%s: not a configuration file", l->file);
	else
		r = settings_parse_file(in, l->file, &l->list, l->complaints);
	fclose(in);
	return r;
}

static int
apply(struct loader *l, const struct setting *s, void *target)
{
	char why[320];
	int r = options_set(s->row, target, s->value, why, sizeof(why));

	/* "--listen" says the key already. */
	if (r == -EINVAL && s->from_file)
		return complain(l, "%s: %s: %s", s->origin, s->key, why);
	if (r == -EINVAL)
		return complain(l, "%s: %s", s->origin, why);
	return r;
}

/* All settings of a section that are (or are not) from the file, for an
 * export's name or for none. */
static int
apply_all(struct loader *l, enum options_section section, const char *export,
	  bool from_file, void *target)
{
	for (size_t i = 0; i < l->list.count; i++) {
		const struct setting *s = &l->list.list[i];
		int r;

		if (s->section != section || s->from_file != from_file ||
		    (s->export == NULL) != (export == NULL) ||
		    (export != NULL && strcmp(s->export, export) != 0))
			continue;
		r = apply(l, s, target);
		if (r < 0)
			return r;
	}
	return 0;
}

static int
apply_export(struct loader *l, struct settings_export *export)
{
	struct options_export *options = &export->options;
	int r = apply_all(l, OPTIONS_EXPORT, NULL, true, options);

	if (r == 0)
		r = apply_all(l, OPTIONS_EXPORT, NULL, false, options);
	if (r == 0)
		r = apply_all(l, OPTIONS_EXPORT, export->name, true, options);
	return r;
}

static int
fill_export(struct loader *l, struct settings_export *export)
{
	struct options_export *options = &export->options;
	int r = options_defaults(OPTIONS_EXPORT, options);

	if (r == 0)
		r = apply_export(l, export);
	if (r == 0 && options->strict) {
		options->busy = GATE_BUSY_FAIL;
		options->reads = GATE_READS_REFUSE;
		options->commit_s3 = options->offline_wait = true;
		options->idle_visible_ms = options->idle_flush_ms = 0;
		options->refuse_grace_ms = 0;
		r = apply_export(l, export);
	}
	return r;
}

static struct settings_export *
export_new(struct settings *settings, const char *name)
{
	struct settings_export *grown, *export;

	grown = reallocarray(settings->exports, settings->export_count + 1,
			     sizeof(*grown));
	if (grown == NULL)
		return NULL;
	settings->exports = grown;
	export = &grown[settings->export_count];
	memset(export, 0, sizeof(*export));
	export->name = strdup(name);
	if (export->name == NULL)
		return NULL;
	settings->export_count++;
	return export;
}

static struct settings_export *
export_find(struct settings *settings, const char *name)
{
	for (size_t i = 0; i < settings->export_count; i++) {
		if (strcmp(settings->exports[i].name, name) == 0)
			return &settings->exports[i];
	}
	return NULL;
}

#define NOT_SERVED "is a directory bucket (S3 Express), which this does not " \
	"serve"
#define URLS "s3://BUCKET, s3://BUCKET/PREFIX or file:///DIR"

/* The exports of the file's sections. */
static int
file_exports(struct loader *l)
{
	for (size_t i = 0; i < l->list.export_count; i++) {
		struct settings_export *export;
		char *derived = NULL;
		int r;

		export = export_new(l->settings, l->list.exports[i]);
		if (export == NULL)
			return -ENOMEM;
		r = fill_export(l, export);
		if (r < 0)
			return r;
		if (export->options.bucket == NULL)
			continue;
		r = settings_bucket(export->options.bucket, &export->url,
				    &export->prefix, &derived);
		free(derived);
		if (r == -EINVAL)
			return complain(l, "%s: bucket: \"%.80s\" is not "
					"allowed; allowed is " URLS,
					l->list.export_origins[i],
					export->options.bucket);
		if (r == -ENOTSUP)
			return complain(l, "%s: bucket: \"%.80s\" " NOT_SERVED,
					l->list.export_origins[i],
					export->options.bucket);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The exports of --bucket.  One may complete a section that names none. */
static int
bucket_export(struct loader *l, const char *text)
{
	char *url = NULL, *prefix = NULL, *name = NULL;
	struct settings_export *export;
	int r = settings_bucket(text, &url, &prefix, &name);

	if (r == -EINVAL)
		complain(l, "--bucket %.80s: allowed is " URLS, text);
	if (r == -ENOTSUP)
		r = complain(l, "--bucket %.80s " NOT_SERVED, text);
	if (r == 0) {
		export = export_find(l->settings, name);
		if (export != NULL && export->url != NULL) {
			r = complain(l, "--bucket %.80s: there is an export "
				     "%s already", text, name);
		} else if (export == NULL) {
			export = export_new(l->settings, name);
			r = export == NULL ? -ENOMEM : fill_export(l, export);
		}
	}
	if (r == 0) {
		export->url = url;
		export->prefix = prefix;
		url = prefix = NULL;
	}
	free(url);
	free(prefix);
	free(name);
	return r;
}

/* [s3 NAME]: what [s3] says, and what it says itself. */
static int
file_stores(struct loader *l)
{
	struct settings *settings = l->settings;
	int r = 0;

	if (l->list.store_count == 0)
		return 0;
	settings->stores = calloc(l->list.store_count,
				  sizeof(*settings->stores));
	if (settings->stores == NULL)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < l->list.store_count; i++) {
		struct settings_store *store = &settings->stores[i];

		settings->store_count++;
		store->name = strdup(l->list.stores[i]);
		r = store->name == NULL ? -ENOMEM :
		    options_defaults(OPTIONS_S3, &store->options);
		for (int from_file = 1; r == 0 && from_file >= 0; from_file--)
			r = apply_all(l, OPTIONS_S3, NULL, from_file,
				      &store->options);
		if (r == 0)
			r = apply_all(l, OPTIONS_S3, store->name, true,
				      &store->options);
	}
	return r;
}

static int
choose_store(struct loader *l, struct settings_export *export)
{
	const char *name = export->options.store;

	export->s3 = &l->settings->s3;
	if (name == NULL)
		return 0;
	for (size_t i = 0; i < l->settings->store_count; i++) {
		if (strcmp(l->settings->stores[i].name, name) == 0) {
			export->s3 = &l->settings->stores[i].options;
			return 0;
		}
	}
	return complain(l, "export %s: store: there is no section [s3 %.64s]",
			export->name, name);
}

static int
collect_exports(struct loader *l)
{
	int r = file_stores(l);

	if (r == 0)
		r = file_exports(l);

	for (size_t i = 0; r == 0 && i < l->bucket_count; i++)
		r = bucket_export(l, l->buckets[i]);
	for (size_t i = 0; r == 0 && i < l->list.export_count; i++) {
		if (l->settings->exports[i].url == NULL)
			r = complain(l, "%s: bucket: is missing; allowed is "
				     URLS, l->list.export_origins[i]);
	}
	for (size_t i = 0; r == 0 && i < l->settings->export_count; i++)
		r = choose_store(l, &l->settings->exports[i]);
	if (r == 0 && l->settings->export_count == 0)
		r = complain(l, "%s%sthere is nothing to export; name a "
			     "bucket with --bucket URL or in an [export "
			     "/NAME] section", l->file != NULL ? l->file : "",
			     l->file != NULL ? ": " : "");
	return r;
}

static int
collect_server(struct loader *l)
{
	struct settings *settings = l->settings;
	int r = options_defaults(OPTIONS_SERVER, &settings->server);

	if (r == 0)
		r = options_defaults(OPTIONS_S3, &settings->s3);
	for (int from_file = 1; r == 0 && from_file >= 0; from_file--) {
		r = apply_all(l, OPTIONS_SERVER, NULL, from_file,
			      &settings->server);
		if (r == 0)
			r = apply_all(l, OPTIONS_S3, NULL, from_file,
				      &settings->s3);
	}
	if (r < 0)
		return r;
	if (settings_listen(settings->server.listen, &settings->listen,
			    &settings->listen_len) < 0)
		return complain(l, "listen: \"%.80s\" is not allowed; allowed "
				"is ADDRESS, ADDRESS:PORT or [V6]:PORT",
				settings->server.listen);
	if (settings->server.state_dir == NULL)
		settings->server.state_dir = settings_state_dir();
	if (settings->server.state_dir == NULL)
		return complain(l, "--state-dir: name a directory; neither "
				"XDG_STATE_HOME nor HOME is set");
	return 0;
}

int
settings_load(int argc, char *const *argv, struct settings *out,
	      FILE *complaints)
{
	struct loader l = {.settings = out, .complaints = complaints};
	int r = command_line(&l, argc, argv);

	if (r == 0 && !out->help && !out->version) {
		r = read_file(&l);
		if (r == 0)
			r = collect_server(&l);
		if (r == 0)
			r = collect_exports(&l);
	}
	settings_list_free(&l.list);
	free(l.buckets);
	return r;
}

void
settings_free(struct settings *settings)
{
	for (size_t i = 0; i < settings->export_count; i++) {
		struct settings_export *export = &settings->exports[i];

		free(export->name);
		free(export->url);
		free(export->prefix);
		options_free(OPTIONS_EXPORT, &export->options);
	}
	for (size_t i = 0; i < settings->store_count; i++) {
		free(settings->stores[i].name);
		options_free(OPTIONS_S3, &settings->stores[i].options);
	}
	free(settings->stores);
	free(settings->exports);
	options_free(OPTIONS_SERVER, &settings->server);
	options_free(OPTIONS_S3, &settings->s3);
	memset(settings, 0, sizeof(*settings));
}
