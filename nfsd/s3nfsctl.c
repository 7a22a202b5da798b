/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3nfsctl: the operator's tool.  It knows no more than the control socket's
 * protocol (nfsd/ctl.h): one request, lines of progress and items, one result.
 *
 *	0  done
 *	1  the daemon answered with an error
 *	2  the command line is wrong
 *	3  no daemon answers on the socket
 */
#include <config.h>

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <jansson.h>

#include "nfsd/s3nfsctl_print.h"
#include "nfsd/settings.h"

enum { EXIT_ERROR = 1, EXIT_USAGE = 2, EXIT_NO_DAEMON = 3 };

#define TIMEOUT_MAX_S 1000000	/* the daemon counts ms in 31 bits */
#define COLUMNS(list) list, sizeof(list) / sizeof(*(list))

struct command {
	const char *name;	/* as the daemon knows it */
	const char *arguments;	/* keys, separated by blanks; "[x]" may lack */
	bool list;
	const struct print_column *columns;
	unsigned column_count;
	const char *help;
	const char *done;	/* said when it is; NULL: there is output */
};

static const struct print_column status_columns[] = {
	{"version", "Version", PRINT_TEXT},
	{"pid", "Process", PRINT_NUMBER},
	{"uptime_ms", "Up for", PRINT_AGE},
	{"exports", "Exports", PRINT_TEXT},
	{"credentials", "Credentials", PRINT_TEXT},
	{"trouble", "Store refuses", PRINT_TEXT},
	{"staged_bytes", "Waiting for upload", PRINT_SIZE},
	{"clean_bytes", "Cached", PRINT_SIZE},
	{"cache_size", "Cache size", PRINT_SIZE},
	{"handles_active", "Files being written", PRINT_NUMBER},
	{"handles_pending", "Files to upload", PRINT_NUMBER},
	{"uploads", "Uploads", PRINT_NUMBER},
	{"refused", "... that S3 refuses", PRINT_NUMBER},
	{"refusals", "Refused", PRINT_TEXT},
	{"quarantined", "In quarantine", PRINT_NUMBER},
	{"conflicts", "Conflicts", PRINT_NUMBER},
	{"extras_lost", "Tags, ACLs ... lost", PRINT_NUMBER},
	{"deletes", "Objects to delete", PRINT_NUMBER},
	{"deletes_failing", "... that S3 refuses", PRINT_NUMBER},
	{"moves", "Renamed directories", PRINT_TEXT},
	{"absent", "Not served", PRINT_TEXT},
	{"away", "Bucket away", PRINT_TEXT},
	{"nodes", "Files in memory", PRINT_NUMBER},
	{"open_files", "Data files open", PRINT_NUMBER},
	{"names", "Names remembered", PRINT_NUMBER},
	{"max_names", "Names at most", PRINT_NUMBER},
	{"names_forgotten", "Names forgotten", PRINT_NUMBER},
	{"database_bytes", "Database", PRINT_SIZE},
	{"state_lost", "State missing", PRINT_NUMBER},
	{"unordered", "Exports unordered", PRINT_NUMBER},
	{"held_requests", "Requests that wait", PRINT_NUMBER},
	{"far_busy", "... for a bucket", PRINT_NUMBER},
	{"connections", "Connections", PRINT_NUMBER},
	{"mounts", "Mounts", PRINT_NUMBER},
	{"calls", "Requests served", PRINT_NUMBER},
	{"idle_shown", "Silent, shown", PRINT_NUMBER},
	{"idle_flushed", "Silent, flushed", PRINT_NUMBER},
	{"invariant_failures", "Broken invariants", PRINT_NUMBER},
};
static const struct print_column handle_columns[] = {
	{"state", "STATE", PRINT_TEXT},
	{"uncommitted_bytes", "UNCOMMITTED", PRINT_SIZE},
	{"staged_bytes", "STAGED", PRINT_SIZE},
	{"age_ms", "AGE", PRINT_AGE},
	{"client", "CLIENT", PRINT_TEXT},
	{"silence", "SILENCE", PRINT_TEXT},
	{"path", "PATH", PRINT_TEXT},
};
static const struct print_column upload_columns[] = {
	{"state", "STATE", PRINT_TEXT},
	{"bytes_sent", "SENT", PRINT_SIZE},
	{"bytes_total", "TOTAL", PRINT_SIZE},
	{"attempts", "ATTEMPTS", PRINT_NUMBER},
	{"path", "PATH", PRINT_TEXT},
	{"error", "ERROR", PRINT_TEXT},
};
static const struct print_column quarantine_columns[] = {
	{"id", "ID", PRINT_NUMBER},
	{"size", "SIZE", PRINT_SIZE},
	{"since", "SINCE", PRINT_TEXT},
	{"client", "CLIENT", PRINT_TEXT},
	{"path", "PATH", PRINT_TEXT},
	{"error", "ERROR", PRINT_TEXT},
};
static const struct print_column client_columns[] = {
	{"name", "NAME", PRINT_TEXT},
	{"address", "ADDRESS", PRINT_TEXT},
	{"connections", "CONNECTIONS", PRINT_NUMBER},
	{"age_ms", "AGE", PRINT_AGE},
};

/* Of flush and drain: what did not make it. */
static const struct print_column left_columns[] = {
	{"state", "STATE", PRINT_TEXT},
	{"path", "PATH", PRINT_TEXT},
	{"error", "ERROR", PRINT_TEXT},
};

static const struct command commands[] = {
	{"status", "", false, COLUMNS(status_columns),
	 "how the gateway does", NULL},
	{"handles", "[path]", true, COLUMNS(handle_columns),
	 "files that are written or wait for their upload", NULL},
	{"uploads", "", true, COLUMNS(upload_columns),
	 "uploads under way and waiting", NULL},
	{"flush", "path", false, NULL, 0,
	 "upload PATH (--all: everything) now, and wait",
	 "nothing waits for its upload there"},
	{"refresh", "path", false, NULL, 0,
	 "forget what is remembered of the bucket below PATH",
	 "the bucket is asked again"},
	{"restore", "path", false, NULL, 0,
	 "ask S3 for an archived file (--days N: to keep it, 7)",
	 "asked for; it can be read when S3 has it, in minutes to hours"},
	{"quarantine list", "", true, COLUMNS(quarantine_columns),
	 "data whose upload failed for good, and is kept", NULL},
	{"quarantine retry", "id", false, NULL, 0,
	 "upload it again (--all [PATH]: all of them)",
	 "it is in the bucket, and no longer kept"},
	{"quarantine save", "id file", false, NULL, 0,
	 "write it to a local file", "saved, and still kept"},
	{"quarantine drop", "id", false, NULL, 0, "delete it", "deleted"},
	{"clients", "", true, COLUMNS(client_columns),
	 "hosts that are connected", NULL},
	{"drain", "", false, NULL, 0,
	 "upload everything, before a machine goes away",
	 "nothing waits for its upload"},
};

struct client {
	const char *socket_path, *state_dir;
	bool json, all, terminal, shown_progress;
	const char *timeout;	/* in seconds; NULL: the daemon's default */
	const char *days;	/* the same */
	const struct command *command;
	json_t *items;
};

static void
usage(FILE *out)
{
	fputs("usage: s3nfsctl [--state-dir DIR | --socket PATH] [--json] "
	      "COMMAND\n\n", out);
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		char line[64], *at;

		snprintf(line, sizeof(line), "%s %s", commands[i].name,
			 strcmp(commands[i].name, "flush") == 0 ?
			 "path|--all" : commands[i].arguments);
		at = line + strlen(commands[i].name);
		for (; *at != '\0' && strncmp(at, "--all", 5) != 0; at++) {
			if (*at >= 'a' && *at <= 'z')
				*at -= 'a' - 'A';
		}
		fprintf(out, "  %-26s%s\n", line, commands[i].help);
	}
	fputs("\nPATH begins with the export's name: /data/dir/file\n"
	      "flush and drain wait at most 600 seconds (--timeout SECONDS), "
	      "and tell what\ndid not make it.\n", out);
}

static int
wrong(const char *what, const char *detail)
{
	fprintf(stderr, "s3nfsctl: %s%s; see s3nfsctl --help\n", what, detail);
	return EXIT_USAGE;
}

/* ---- the command line ---- */

/* The command in argv[0..], perhaps of two words.  *words: how many. */
static const struct command *
find_command(int argc, char **argv, int *words)
{
	char two[64];

	for (*words = 2; *words >= 1; (*words)--) {
		if (argc < *words)
			continue;
		snprintf(two, sizeof(two), "%s%s%s", argv[0],
			 *words == 2 ? " " : "", *words == 2 ? argv[1] : "");
		for (size_t i = 0; i < sizeof(commands) / sizeof(*commands);
		     i++) {
			if (strcmp(commands[i].name, two) == 0)
				return &commands[i];
		}
	}
	return NULL;
}

static char *
absolute(const char *path)
{
	char *cwd, *out = NULL;

	if (path[0] == '/')
		return strdup(path);
	cwd = getcwd(NULL, 0);
	if (cwd == NULL || asprintf(&out, "%s/%s", cwd, path) < 0)
		out = NULL;
	free(cwd);
	return out;
}

static int
add_argument(json_t *request, const char *key, const char *value)
{
	char *rest, *path;

	if (strcmp(key, "id") == 0) {
		long long id = strtoll(value, &rest, 10);

		if (*value == '\0' || *rest != '\0' || id < 0)
			return wrong("not an id: ", value);
		json_object_set_new(request, key, json_integer(id));
	} else if (strcmp(key, "file") == 0) {
		path = absolute(value);
		json_object_set_new(request, key, json_string(path));
		free(path);
	} else if (value[0] != '/') {
		return wrong("a path begins with an export, /NAME/...: ",
			     value);
	} else {
		size_t len = strlen(value);

		while (len > 1 && value[len - 1] == '/')
			len--;
		json_object_set_new(request, key, json_stringn(value, len));
	}
	return 0;
}

/* The request for a command with its arguments; *out is the caller's. */
static int
build_request(const struct client *c, int argc, char **argv, json_t **out)
{
	json_t *request = json_pack("{s:s}", "command", c->command->name);
	const char *keys = c->command->arguments;
	int at = 0, r = 0;
	char *rest;

	*out = request;
	if (c->timeout != NULL) {
		long long seconds = strtoll(c->timeout, &rest, 10);

		if (strcmp(c->command->name, "flush") != 0 &&
		    strcmp(c->command->name, "drain") != 0)
			return wrong("--timeout goes with flush and drain",
				     "");
		if (*c->timeout == '\0' || *rest != '\0' || seconds < 1 ||
		    seconds > TIMEOUT_MAX_S)
			return wrong("not a number of seconds: ", c->timeout);
		json_object_set_new(request, "timeout_ms",
				    json_integer(seconds * 1000));
	}
	if (c->days != NULL && strcmp(c->command->name, "restore") != 0)
		return wrong("--days goes with restore", "");
	if (c->days != NULL)
		json_object_set_new(request, "days", json_string(c->days));
	if (c->all && strcmp(c->command->name, "quarantine retry") == 0) {
		json_object_set_new(request, "all", json_true());
		keys = "[path]";
	} else if (c->all && strcmp(c->command->name, "flush") != 0) {
		return wrong("--all goes with flush and quarantine retry", "");
	} else if (c->all) {
		return argc > 0 ? wrong("--all or a path, not both", "") : 0;
	}
	while (r == 0 && *keys != '\0') {
		bool optional = *keys == '[';
		size_t len = strcspn(keys + optional, " ]");
		char key[16];

		snprintf(key, sizeof(key), "%.*s", (int)len, keys + optional);
		if (at < argc)
			r = add_argument(request, key, argv[at++]);
		else if (!optional)
			r = wrong("missing: ", key);
		keys += optional + len;
		keys += strspn(keys, " ]");
	}
	if (r == 0 && at < argc)
		r = wrong("too many arguments: ", argv[at]);
	return r;
}

/* ---- talking ---- */

static int
connect_daemon(struct client *c, FILE **out)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char *dir = NULL, *path = NULL;
	int fd, r = 0;

	if (c->socket_path != NULL)
		path = strdup(c->socket_path);
	else if ((dir = c->state_dir != NULL ? strdup(c->state_dir) :
		  settings_state_dir()) == NULL ||
		 asprintf(&path, "%s/ctl.sock", dir) < 0)
		path = NULL;
	free(dir);
	if (path == NULL)
		return wrong("name a state directory with --state-dir", "");
	if (strlen(path) >= sizeof(address.sun_path)) {
		free(path);
		return wrong("the socket's path is too long", "");
	}
	memcpy(address.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address,
			      sizeof(address)) < 0) {
		if (errno == EACCES)
			fprintf(stderr, "s3nfsctl: %s: permission denied; run "
				"it as the daemon's user or as root\n", path);
		else
			fprintf(stderr, "s3nfsctl: no daemon is running on %s "
				"(%s)\n", path, strerror(errno));
		r = EXIT_NO_DAEMON;
	} else if ((*out = fdopen(fd, "r+")) == NULL) {
		r = EXIT_ERROR;
	}
	if (r != 0 && fd >= 0)
		close(fd);
	free(path);
	return r;
}

static void
show_progress(struct client *c, const json_t *progress)
{
	struct winsize size = {0};

	if (!c->terminal || c->json)
		return;
	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
		size.ws_col = 80;
	c->shown_progress = true;
	print_progress(stderr, (uint64_t)json_integer_value(
			       json_object_get(progress, "sent")),
		       (uint64_t)json_integer_value(
			       json_object_get(progress, "total")),
		       size.ws_col);
}

static int
finish(struct client *c, const json_t *line)
{
	const char *error = json_string_value(json_object_get(line, "error"));
	json_t *result = json_object_get(line, "result");

	if (c->shown_progress)
		fputc('\n', stderr);
	if (error != NULL) {
		fprintf(stderr, "s3nfsctl: %s: %s\n", c->command->name, error);
		if (json_array_size(c->items) > 0 && !c->json)
			print_table(stderr, c->items,
				    COLUMNS(left_columns));
		if (c->json && json_array_size(c->items) > 0) {
			json_dumpf(c->items, stdout, JSON_INDENT(2));
			fputc('\n', stdout);
		}
		return EXIT_ERROR;
	}
	if (c->json) {
		json_dumpf(c->command->list ? c->items : result, stdout,
			   JSON_INDENT(2));
		fputc('\n', stdout);
	} else if (c->command->list) {
		print_table(stdout, c->items, c->command->columns,
			    c->command->column_count);
	} else if (c->command->columns != NULL) {
		print_fields(stdout, result, c->command->columns,
			     c->command->column_count);
	} else if (json_object_get(result, "note") != NULL) {
		puts(json_string_value(json_object_get(result, "note")));
	} else if (c->command->done != NULL) {
		puts(c->command->done);
	}
	return 0;
}

static int
talk(struct client *c, FILE *daemon, const json_t *request)
{
	char *line = NULL;
	size_t size = 0;
	int r = -1;

	json_dumpf(request, daemon, JSON_COMPACT | JSON_ENSURE_ASCII);
	fputc('\n', daemon);
	fflush(daemon);
	while (r < 0 && getline(&line, &size, daemon) > 0) {
		json_t *answer = json_loads(line, 0, NULL);
		json_t *item = json_object_get(answer, "item");
		json_t *progress = json_object_get(answer, "progress");

		if (item != NULL)
			json_array_append(c->items, item);
		else if (progress != NULL)
			show_progress(c, progress);
		else if (answer != NULL)
			r = finish(c, answer);
		json_decref(answer);
	}
	free(line);
	if (r < 0) {
		fputs("s3nfsctl: the daemon ended before it answered\n",
		      stderr);
		return EXIT_NO_DAEMON;
	}
	return r;
}

static int
run(struct client *c, int argc, char **argv)
{
	json_t *request = NULL;
	FILE *daemon = NULL;
	int words, r;

	if (argc < 1)
		return wrong("a command is missing", "");
	c->command = find_command(argc, argv, &words);
	if (c->command == NULL && strcmp(argv[0], "quarantine") == 0)
		return wrong("quarantine goes with list, retry ID|--all, "
			     "save ID FILE or drop ID", "");
	if (c->command == NULL)
		return wrong("unknown command: ", argv[0]);
	r = build_request(c, argc - words, argv + words, &request);
	if (r == 0)
		r = connect_daemon(c, &daemon);
	if (r == 0)
		r = talk(c, daemon, request);
	if (daemon != NULL)
		fclose(daemon);
	json_decref(request);
	return r;
}

int
main(int argc, char **argv)
{
	enum {
		STATE_DIR = 256, SOCKET, JSON, ALL, TIMEOUT, DAYS, VERSION, HELP
	};
	static const struct option options[] = {
		{"state-dir", required_argument, NULL, STATE_DIR},
		{"socket", required_argument, NULL, SOCKET},
		{"json", no_argument, NULL, JSON},
		{"all", no_argument, NULL, ALL},
		{"timeout", required_argument, NULL, TIMEOUT},
		{"days", required_argument, NULL, DAYS},
		{"version", no_argument, NULL, VERSION},
		{"help", no_argument, NULL, HELP},
		{NULL, 0, NULL, 0}
	};
	struct client c = {.terminal = isatty(STDERR_FILENO)};
	int option, r;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case STATE_DIR:
			c.state_dir = optarg;
			break;
		case SOCKET:
			c.socket_path = optarg;
			break;
		case JSON:
			c.json = true;
			break;
		case ALL:
			c.all = true;
			break;
		case TIMEOUT:
			c.timeout = optarg;
			break;
		case DAYS:
			c.days = optarg;
			break;
		case VERSION:
			puts("s3nfsctl " PACKAGE_VERSION);
			return 0;
		case HELP:
			usage(stdout);
			return 0;
		default:
			return EXIT_USAGE;
		}
	}
	c.items = json_array();
	r = run(&c, argc - optind, argv + optind);
	json_decref(c.items);
	return r;
}
