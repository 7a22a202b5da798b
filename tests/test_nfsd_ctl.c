/* SPDX-License-Identifier: Apache-2.0 */
/* The control socket: nfsd/ctl.c, clients.c; and s3nfsctl, run against it. */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "nfsd/ctl.h"
#include "tests/fake_gate.h"
#include "tests/unit.h"

static char dir[64], path[96];
static struct nfs3 nfs;
static struct ctl_config config;
static struct ctl *ctl;

static void
tear_down(void)
{
	ctl_stop(&ctl);
	mount3_free(&config.mounts);
	clients_free(&config.clients);
	exports_free(&config.exports);
	if (dir[0] != '\0')
		rmdir(dir);
	dir[0] = '\0';
}

static void
set_up(void)
{
	const char *tmp = getenv("TMPDIR");

	tear_down();
	fake_gate_reset();
	snprintf(dir, sizeof(dir), "%.40s/ctlXXXXXX", tmp ? tmp : "/tmp");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/ctl.sock", dir);
	config = (struct ctl_config){.path = path};
	CU_ASSERT_EQUAL_FATAL(exports_new(&config.exports), 0);
	CU_ASSERT_EQUAL_FATAL(mount3_new(&nfs, &config.mounts), 0);
	CU_ASSERT_EQUAL_FATAL(clients_new(&config.clients), 0);
	CU_ASSERT_EQUAL_FATAL(ctl_start(&config, &ctl), 0);
}

/* Send a request and collect the lines of the answer, as a JSON array. */
static json_t *
ask(const char *request)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	json_t *lines = json_array(), *line;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	char *text = NULL;
	size_t size = 0;
	FILE *io;

	fake_gate_sync();
	strcpy(address.sun_path, path);
	CU_ASSERT_EQUAL_FATAL(connect(fd, (struct sockaddr *)&address,
				      sizeof(address)), 0);
	CU_ASSERT_EQUAL(write(fd, request, strlen(request)),
			(ssize_t)strlen(request));
	shutdown(fd, SHUT_WR);
	io = fdopen(fd, "r");
	while (getline(&text, &size, io) > 0) {
		line = json_loads(text, 0, NULL);
		CU_ASSERT_PTR_NOT_NULL(line);
		json_array_append_new(lines, line);
	}
	free(text);
	fclose(io);
	fake_gate_sync();
	return lines;
}

static json_t *
at(json_t *lines, size_t i, const char *key)
{
	return json_object_get(json_array_get(lines, i), key);
}

static void
the_socket_is_its_owners_alone(void)
{
	struct ctl *second = NULL;
	struct stat st;

	set_up();
	CU_ASSERT_EQUAL(stat(path, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 07777, 0600);
	CU_ASSERT_EQUAL(ctl_start(&config, &second), -EADDRINUSE);
	ctl_stop(&ctl);
	CU_ASSERT_NOT_EQUAL(stat(path, &st), 0);
}

/* The first export has keys, the second needs none, the third has no more. */
static bool
some_keys(void *arg, size_t number, struct ctl_keys *out)
{
	static const struct ctl_keys all[] = {
		{ .export = "/a", .known = true, .source = "profile \"w\"",
		  .error = "STS said no", .expires_s = 4070908800 },
		{ .export = "/b" },
		{ .export = "/c", .source = "environment" },
	};

	(void)arg;
	if (number >= sizeof(all) / sizeof(*all))
		return false;
	*out = all[number];
	return true;
}

static void
status_tells_whose_keys_are_used_and_until_when(void)
{
	json_t *lines, *keys, *one;

	set_up();
	ctl_stop(&ctl);
	config.keys = some_keys;
	CU_ASSERT_EQUAL_FATAL(ctl_start(&config, &ctl), 0);
	lines = ask("{\"command\":\"status\"}\n");
	keys = json_object_get(at(lines, 0, "result"), "credentials");
	CU_ASSERT_EQUAL(json_array_size(keys), 2);
	one = json_array_get(keys, 0);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(one, "text")),
			       "/a: profile \"w\", until "
			       "2099-01-01T00:00:00Z, last error: STS said "
			       "no;");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(one,
			       "expires")), "2099-01-01T00:00:00Z");
	one = json_array_get(keys, 1);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(one, "text")),
			       "/c: environment, none yet;");
	CU_ASSERT(json_is_false(json_object_get(one, "known")));
	json_decref(lines);
}

static void
restore_asks_for_a_file_and_days(void)
{
	json_t *lines;

	set_up();
	lines = ask("{\"command\":\"restore\",\"path\":\"/data/a\","
		    "\"days\":\"3\"}\n");
	CU_ASSERT_PTR_NOT_NULL(at(lines, 0, "result"));
	json_decref(lines);
	lines = ask("{\"command\":\"restore\",\"path\":\"/data/a\","
		    "\"days\":\"3d\"}\n");
	CU_ASSERT_PTR_NOT_NULL(at(lines, 0, "error"));
	json_decref(lines);
}

static void
restore_tells_what_the_store_says(void)
{
	json_t *lines;

	set_up();
	fake_gate.result = -EACCES;
	lines = ask("{\"command\":\"restore\",\"path\":\"/data/a\","
		    "\"days\":\"3\"}\n");
	CU_ASSERT_STRING_EQUAL(json_string_value(at(lines, 0, "error")), "no");
	json_decref(lines);
}

static void
a_dead_daemons_socket_is_replaced(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	json_t *lines;

	set_up();
	ctl_stop(&ctl);
	strcpy(address.sun_path, path);
	CU_ASSERT_EQUAL(bind(fd, (struct sockaddr *)&address,
			     sizeof(address)), 0);
	close(fd);
	CU_ASSERT_EQUAL(ctl_start(&config, &ctl), 0);
	lines = ask("{\"command\":\"status\"}\n");
	CU_ASSERT_EQUAL(json_array_size(lines), 1);
	json_decref(lines);
}

static void
lists_come_as_items(void)
{
	json_t *lines, *item;

	set_up();
	lines = ask("{\"command\":\"handles\"}\n");
	CU_ASSERT_EQUAL(json_array_size(lines), 2);
	item = at(lines, 0, "item");
	/* A byte that is no UTF-8 comes escaped. */
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(item,
			       "path")), "/data/%FF\x01");
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(item,
			"staged_bytes")), 2);
	CU_ASSERT_PTR_NOT_NULL(at(lines, 1, "result"));
	json_decref(lines);
	lines = ask("{\"command\":\"uploads\"}\n");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(
			at(lines, 0, "item"), "error")), "");
	json_decref(lines);
	fake_gate.result = -EIO;
	lines = ask("{\"command\":\"quarantine list\"}\n");
	CU_ASSERT_EQUAL(json_integer_value(at(lines, 0, "errno")), EIO);
	json_decref(lines);
}

static void
flush_tells_how_far_it_is(void)
{
	json_t *lines;

	set_up();
	lines = ask("{\"command\":\"flush\",\"path\":\"/data/a\"}\n");
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(
			at(lines, 0, "progress"), "total")), 2);
	CU_ASSERT_PTR_NOT_NULL(at(lines, 1, "result"));
	CU_ASSERT_STRING_EQUAL(fake_gate.flushed, "/data/a");
	json_decref(lines);
	fake_gate.flush_result = -ETIMEDOUT;
	lines = ask("{\"command\":\"flush\",\"timeout_ms\":20}\n");
	CU_ASSERT_STRING_EQUAL(fake_gate.flushed, "all");
	CU_ASSERT_EQUAL(json_integer_value(at(lines,
			json_array_size(lines) - 1, "errno")), ETIMEDOUT);
	/* What did not make it comes before. */
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(at(lines,
			json_array_size(lines) - 2, "item"), "error")),
			"SlowDown");
	json_decref(lines);
}

static void
foolish_requests_are_answered(void)
{
	static const char *const bad[] = {
		"\n", "nonsense\n", "[1,2]\n", "{}\n", "{\"command\":5}\n",
		"{\"command\":\"reboot\"}\n", "", "{\"command\":\"status\"",
		"{\"command\":\"refresh\"}\n",
		"{\"command\":\"quarantine drop\"}\n",
		"{\"command\":\"quarantine drop\",\"id\":\"1\"}\n",
		"{\"command\":\"quarantine save\",\"id\":1}\n",
		"{\"command\":\"quarantine save\",\"id\":1,\"file\":\"x\"}\n",
	};

	set_up();
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		json_t *lines = ask(bad[i]);

		CU_ASSERT_EQUAL(json_array_size(lines), 1);
		CU_ASSERT_PTR_NOT_NULL(at(lines, 0, "error"));
		json_decref(lines);
	}
	CU_ASSERT_EQUAL(fake_gate.dropped, 0);
}

static void
too_long_requests_end(void)
{
	char *request = malloc(100001);
	json_t *lines;

	set_up();
	memset(request, ' ', 100000);
	request[100000] = '\0';
	/* The rest is not read, so that writing may fail: only the daemon's
	 * health counts. */
	signal(SIGPIPE, SIG_IGN);
	if (fork() == 0) {
		struct sockaddr_un address = {.sun_family = AF_UNIX};
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);

		strcpy(address.sun_path, path);
		if (connect(fd, (struct sockaddr *)&address,
			    sizeof(address)) == 0)
			(void)!write(fd, request, 100000);
		_exit(0);
	}
	wait(NULL);
	free(request);
	lines = ask("{\"command\":\"status\"}\n");
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(
			at(lines, 0, "result"), "staged_bytes")), 5);
	json_decref(lines);
}

static void
clients_are_counted(void)
{
	struct gate_client who = {.name = "host"};
	json_t *lines;

	set_up();
	clients_connected(config.clients, &who, 1);
	clients_connected(config.clients, &who, 1);
	strcpy(who.name, "other");
	clients_connected(config.clients, &who, 1);
	clients_connected(config.clients, &who, -1);
	clients_connected(config.clients, &who, -1);
	lines = ask("{\"command\":\"clients\"}\n");
	CU_ASSERT_EQUAL(json_array_size(lines), 2);
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(
			at(lines, 0, "item"), "connections")), 2);
	json_decref(lines);
}

/* ---- s3nfsctl ---- */

static char output[4096];

/* Its exit status; what it printed is in output. */
static int
tool(const char *arguments)
{
	char command[512];
	FILE *pipe;
	size_t len;
	int status;

	if (access("./s3nfsctl", X_OK) < 0)
		return -1;
	snprintf(command, sizeof(command), "./s3nfsctl --socket %s %s 2>&1",
		 path, arguments);
	fake_gate_sync();
	pipe = popen(command, "r");
	if (pipe == NULL)
		return -1;
	len = fread(output, 1, sizeof(output) - 1, pipe);
	output[len] = '\0';
	status = pclose(pipe);
	fake_gate_sync();
	return WEXITSTATUS(status);
}

static void
the_tool_prints_columns(void)
{
	set_up();
	CU_ASSERT_EQUAL(tool("uploads"), 0);
	CU_ASSERT_STRING_EQUAL(output,
		"STATE         SENT     TOTAL  ATTEMPTS  PATH     ERROR\n"
		"UPLOADING  5.0 MiB  20.0 MiB         1  /data/a  -\n");
	CU_ASSERT_EQUAL(tool("handles /data/x"), 0);
	CU_ASSERT_STRING_EQUAL(output,
		"STATE   UNCOMMITTED  STAGED   AGE  CLIENT    SILENCE"
		"                                       PATH\n"
		"ACTIVE          1 B     2 B  3 ms  host@::1  "
		"silent for 3.2 s, counts as flushed in 1.8 s  /data/x\n");
	CU_ASSERT_EQUAL(tool("handles"), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(output, "/data/%FF?\n"));
	CU_ASSERT_EQUAL(tool("status"), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(output, "\nWaiting for upload:   5 B\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(output,
		"\nRenamed directories:  /data/new (moving: 4711 of 10000 "
		"objects left; SlowDown)\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(output,
		"\nNot served:           /gone (2 files, 1234 bytes, "
		"1 deletions, 0 moves, 0 in quarantine)\n"));
	CU_ASSERT_PTR_NULL(strchr(output, '\t'));
}

static void
the_tool_prints_one_json_value(void)
{
	json_t *value;

	set_up();
	CU_ASSERT_EQUAL(tool("--json handles"), 0);
	value = json_loads(output, 0, NULL);
	CU_ASSERT(json_is_array(value) && json_array_size(value) == 1);
	CU_ASSERT_EQUAL(json_integer_value(at(value, 0, "age_ms")), 3);
	json_decref(value);
	CU_ASSERT_EQUAL(tool("--json flush /data/a"), 0);
	value = json_loads(output, 0, NULL);
	CU_ASSERT(json_is_object(value));
	json_decref(value);
}

static void
the_tools_exit_status_tells(void)
{
	set_up();
	CU_ASSERT_EQUAL(tool("flush --all"), 0);
	CU_ASSERT_STRING_EQUAL(fake_gate.flushed, "all");
	CU_ASSERT_STRING_EQUAL(output, "nothing waits for its upload there\n");
	CU_ASSERT_EQUAL(tool("drain"), 0);
	CU_ASSERT_EQUAL(tool("flush /data/a/"), 0);
	CU_ASSERT_STRING_EQUAL(fake_gate.flushed, "/data/a");
	CU_ASSERT_EQUAL(tool("--timeout 5 flush /data/a"), 0);
	CU_ASSERT_EQUAL(tool("--timeout 0 flush /data/a"), 2);
	CU_ASSERT_EQUAL(tool("--timeout 5 status"), 2);
	fake_gate.flush_result = -ETIMEDOUT;
	CU_ASSERT_EQUAL(tool("--timeout 1 flush --all"), 1);
	CU_ASSERT_STRING_EQUAL(output, "s3nfsctl: flush: time is up, and 1 "
			       "did not make it into the bucket\n"
			       "STATE     PATH     ERROR\n"
			       "RETRYING  /data/a  SlowDown\n");
	fake_gate.flush_result = 0;
	CU_ASSERT_EQUAL(tool("quarantine retry 7"), 1);
	CU_ASSERT_STRING_EQUAL(output, "s3nfsctl: quarantine retry: nothing "
			       "with this id is kept\n");
	CU_ASSERT_EQUAL(tool("quarantine retry 5"), 1);
	CU_ASSERT_STRING_EQUAL(output, "s3nfsctl: quarantine retry: No such "
			       "file or directory; it is still kept\n");
	CU_ASSERT_EQUAL(tool("quarantine retry 9"), 1);
	CU_ASSERT_STRING_EQUAL(output, "s3nfsctl: quarantine retry: "
			       "Permission denied: AccessDenied: no; it is "
			       "still kept\n");
	CU_ASSERT_EQUAL(tool("quarantine"), 2);
	CU_ASSERT_EQUAL(tool("quarantine drop 9"), 0);
	CU_ASSERT_EQUAL(fake_gate.dropped, 9);
	CU_ASSERT_EQUAL(tool("quarantine save 1 out"), 0);
	CU_ASSERT_STRING_EQUAL(output, "saved, and still kept\n");
	CU_ASSERT_EQUAL(tool("quarantine save 9 out"), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(output, "; 4096 bytes that it had in "
				      "common"));
	CU_ASSERT_EQUAL(tool("flush"), 2);
	CU_ASSERT_EQUAL(tool("flush a"), 2);
	CU_ASSERT_EQUAL(tool("--all flush /data"), 2);
	CU_ASSERT_EQUAL(tool("--all status"), 2);
	CU_ASSERT_EQUAL(tool("quarantine drop x"), 2);
	CU_ASSERT_EQUAL(tool("what"), 2);
	CU_ASSERT_EQUAL(tool("status now"), 2);
	CU_ASSERT_EQUAL(tool(""), 2);
	ctl_stop(&ctl);
	CU_ASSERT_EQUAL(tool("status"), 3);
	CU_ASSERT_EQUAL(strncmp(output, "s3nfsctl: no daemon is running on ",
				34), 0);
}

int
main(int argc, char **argv)
{
	static const struct unit_case cases[] = {
		T(the_socket_is_its_owners_alone),
		T(a_dead_daemons_socket_is_replaced),
	  T(status_tells_whose_keys_are_used_and_until_when),
	  T(restore_asks_for_a_file_and_days),
	  T(restore_tells_what_the_store_says), T(lists_come_as_items),
		T(flush_tells_how_far_it_is),
		T(foolish_requests_are_answered), T(too_long_requests_end),
		T(clients_are_counted), T(the_tool_prints_columns),
		T(the_tool_prints_one_json_value),
		T(the_tools_exit_status_tells),
	};
	int r = unit_run("nfsd_ctl", cases, sizeof(cases) / sizeof(*cases),
			 argc, argv);

	tear_down();
	return r;
}
