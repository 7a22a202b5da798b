/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket.  One thread accepts; each connection has a thread of
 * its own, since flush and drain wait for uploads, and there are at most
 * CONNECTIONS_MAX of them.  A peer that says nothing is dropped after a few
 * seconds, so that it cannot keep a place.
 *
 * Lists are written into memory first and sent when the gate has let go: a
 * peer that does not read must not hold a lock of the file system.
 *
 * The socket's mode is 0600 and the peer must be root or the daemon's user,
 * which matters because "quarantine save" writes a file as the daemon.
 */
#include <config.h>

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "nfsd/ctl_priv.h"
#include "nfsd/log.h"

#define CONNECTIONS_MAX 16
#define RESTORE_DAYS 7
#define RESTORE_DAYS_MAX 3650
#define REQUEST_MAX 65536
#define LIST_MAX_BYTES (64UL << 20)
#define SILENT_MS 100		/* shorter is none */
#define TALK_S 10		/* to send a request, to take an answer */

uint64_t
ctl_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- talking ---- */

static int
send_all(int fd, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -EPIPE;
		bytes += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Takes line over. */
int
ctl_send_line(struct connection *c, json_t *line)
{
	char *text = json_dumps(line, JSON_COMPACT | JSON_ENSURE_ASCII);
	int r = -ENOMEM;

	json_decref(line);
	if (text != NULL) {
		r = send_all(c->fd, text, strlen(text));
		if (r == 0)
			r = send_all(c->fd, "\n", 1);
	}
	free(text);
	return r;
}

void
ctl_answer(struct connection *c, int r, json_t *result)
{
	json_t *line;

	if (r < 0) {
		json_decref(result);
		line = json_pack("{s:s, s:i}", "error", strerror(-r), "errno",
				 -r);
	} else {
		line = json_pack("{s:o}", "result",
				 result != NULL ? result : json_object());
	}
	if (ctl_send_line(c, line) < 0)
		log_debug("ctl", "a peer left before its answer");
}

void
ctl_answer_error(struct connection *c, int error, const char *text)
{
	(void)ctl_send_line(c, json_pack("{s:s, s:i}", "error", text, "errno",
				     error));
}

/* A text from a client or the bucket may be no UTF-8, which JSON has to be:
 * such bytes come as they would in a URL. */
json_t *
ctl_text_json(const char *text)
{
	json_t *json = json_string(text != NULL ? text : "");
	size_t len, used = 0;
	char *escaped;

	if (json != NULL)
		return json;
	len = strlen(text);
	escaped = malloc(len * 3 + 1);
	if (escaped == NULL)
		return json_string("");
	for (size_t i = 0; i < len; i++) {
		unsigned char byte = (unsigned char)text[i];

		if (byte < 0x80)
			escaped[used++] = (char)byte;
		else
			used += (size_t)snprintf(escaped + used, 4, "%%%02X",
						 byte);
	}
	escaped[used] = '\0';
	json = json_string(escaped);
	free(escaped);
	return json;
}

/* A word of the request, or NULL. */
static const char *
ctl_request_text(struct connection *c, const char *key)
{
	return json_string_value(json_object_get(c->request, key));
}

/* ---- lists ---- */

int
ctl_list_begin(struct connection *c)
{
	c->list = open_memstream(&c->list_bytes, &c->list_size);
	return c->list == NULL ? -ENOMEM : 0;
}

/* Takes item over. */
int
ctl_list_item(struct connection *c, json_t *item)
{
	json_t *line = json_pack("{s:o}", "item", item);

	if (line == NULL)
		return -ENOMEM;
	json_dumpf(line, c->list, JSON_COMPACT | JSON_ENSURE_ASCII);
	fputc('\n', c->list);
	json_decref(line);
	c->too_long = ftell(c->list) > (long)LIST_MAX_BYTES;
	return c->too_long ? -E2BIG : 0;
}

void
ctl_list_error(struct connection *c, int error, const char *text)
{
	fclose(c->list);
	if (send_all(c->fd, c->list_bytes, c->list_size) == 0)
		ctl_answer_error(c, error, text);
	free(c->list_bytes);
}

static void
list_end(struct connection *c, int r)
{
	fclose(c->list);
	if (r >= 0 && send_all(c->fd, c->list_bytes, c->list_size) < 0)
		r = -EPIPE;
	free(c->list_bytes);
	ctl_answer(c, r, NULL);
}

/* "silent for 3.2 s, counts as flushed in 1.8 s" */
static void
silence_text(const struct gate_handle_info *info, char *out, size_t size)
{
	int len = 0;

	out[0] = '\0';
	if (info->silent_ms < SILENT_MS)
		return;
	len = snprintf(out, size, "silent for %.1f s",
		       (double)info->silent_ms / 1000);
	if (info->flushed_in_ms >= 0)
		snprintf(out + len, size - (size_t)len,
			 ", counts as flushed in %.1f s",
			 (double)info->flushed_in_ms / 1000);
}

static int
handle_item(void *arg, const struct gate_handle_info *info)
{
	char silence[96];

	silence_text(info, silence, sizeof(silence));
	return ctl_list_item(arg, json_pack(
		"{s:o, s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:b, s:s}",
		"path", ctl_text_json(info->path),
		"client", ctl_text_json(info->client),
		"state", info->state,
		"uncommitted_bytes", (json_int_t)info->uncommitted_bytes,
		"staged_bytes", (json_int_t)info->staged_bytes,
		"age_ms", (json_int_t)info->age_ms,
		"silent_ms", (json_int_t)info->silent_ms,
		"flushed_in_ms", (json_int_t)info->flushed_in_ms,
		"shown", (int)info->shown,
		"silence", silence));
}

static int
upload_item(void *arg, const struct gate_upload_info *info)
{
	return ctl_list_item(arg, json_pack(
		"{s:o, s:o, s:s, s:I, s:I, s:i, s:o}",
		"path", ctl_text_json(info->path),
		"key", ctl_text_json(info->key),
		"state", info->state,
		"bytes_total", (json_int_t)info->bytes_total,
		"bytes_sent", (json_int_t)info->bytes_sent,
		"attempts", (int)info->attempts,
		"error", ctl_text_json(info->error)));
}

static int
quarantine_item(void *arg, const struct gate_quarantine_info *info)
{
	char since[32] = "";
	time_t seconds = (time_t)(info->since_ns / 1000000000);
	struct tm tm;

	if (gmtime_r(&seconds, &tm) != NULL)
		strftime(since, sizeof(since), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return ctl_list_item(arg, json_pack(
		"{s:I, s:o, s:o, s:o, s:I, s:I, s:o, s:s}",
		"id", (json_int_t)info->id,
		"path", ctl_text_json(info->path),
		"key", ctl_text_json(info->key),
		"client", ctl_text_json(info->client),
		"size", (json_int_t)info->size,
		"bytes", (json_int_t)info->bytes,
		"error", ctl_text_json(info->error),
		"since", since));
}

static void
address_text(const struct in6_addr *addr, char out[INET6_ADDRSTRLEN])
{
	if (IN6_IS_ADDR_V4MAPPED(addr))
		inet_ntop(AF_INET, addr->s6_addr + 12, out, INET6_ADDRSTRLEN);
	else
		inet_ntop(AF_INET6, addr, out, INET6_ADDRSTRLEN);
}

static void
client_item(void *arg, const struct clients_info *info)
{
	char address[INET6_ADDRSTRLEN] = "";

	address_text(&info->who.addr, address);
	(void)ctl_list_item(arg, json_pack(
		"{s:o, s:s, s:i, s:I}",
		"name", ctl_text_json(info->who.name),
		"address", address,
		"connections", (int)info->connections,
		"age_ms", (json_int_t)(ctl_now_ms() - info->since_ms)));
}

/* ---- commands ---- */

static void
do_handles(struct connection *c)
{
	int r = ctl_list_begin(c);

	if (r < 0) {
		ctl_answer(c, r, NULL);
		return;
	}
	list_end(c,
		 gate_each_handle(c->ctl->config.gate,
				  ctl_request_text(c, "path"), handle_item, c));
}

static void
do_uploads(struct connection *c)
{
	int r = ctl_list_begin(c);

	if (r < 0) {
		ctl_answer(c, r, NULL);
		return;
	}
	list_end(c, gate_each_upload(c->ctl->config.gate, upload_item, c));
}

static void
do_quarantine_list(struct connection *c)
{
	int r = ctl_list_begin(c);

	if (r < 0) {
		ctl_answer(c, r, NULL);
		return;
	}
	list_end(c, gate_each_quarantined(c->ctl->config.gate, quarantine_item,
					  c));
}

static void
do_clients(struct connection *c)
{
	int r = ctl_list_begin(c);

	if (r < 0) {
		ctl_answer(c, r, NULL);
		return;
	}
	clients_each(c->ctl->config.clients, client_item, c);
	list_end(c, 0);
}

static void
do_refresh(struct connection *c)
{
	const char *path = ctl_request_text(c, "path");

	if (path == NULL) {
		ctl_answer_error(c, EINVAL, "refresh needs a path");
		return;
	}
	ctl_answer(c, gate_refresh(c->ctl->config.gate, path), NULL);
}

static void
do_restore(struct connection *c)
{
	const char *path = ctl_request_text(c, "path");
	const char *text = ctl_request_text(c, "days");
	char *end = NULL, why[400];
	long days = text != NULL ? strtol(text, &end, 10) : RESTORE_DAYS;
	int r;

	if (path == NULL || (text != NULL && (end == text || *end != '\0')) ||
	    days < 1 || days > RESTORE_DAYS_MAX) {
		ctl_answer_error(c, EINVAL, "restore needs a path, and days "
				 "from 1 to 3650");
		return;
	}
	r = gate_restore(c->ctl->config.gate, path, (unsigned)days, why,
			 sizeof(why));
	if (r < 0 && why[0] != '\0')
		ctl_answer_error(c, -r, why);
	else
		ctl_answer(c, r, NULL);
}

struct quarantined {
	uint64_t id;
	bool found;
};

static int
same_id(void *arg, const struct gate_quarantine_info *info)
{
	struct quarantined *kept = arg;

	kept->found |= info->id == kept->id;
	return 0;
}

static void
do_save(struct connection *c, uint64_t id, const char *file)
{
	uint64_t missing = 0;
	int r = gate_quarantine_save(c->ctl->config.gate, id, file, &missing);
	char line[512];

	if (r == 0 && missing > 0) {
		snprintf(line, sizeof(line),
			 "saved, and still kept; %llu "
			 "bytes that it had in common with an object are gone "
			 "with that, and are zeros",
			 (unsigned long long)missing);
		ctl_answer(c, 0, json_pack("{s:I, s:s}", "missing_bytes",
				       (json_int_t)missing, "note", line));
	} else if (r == 0) {
		ctl_answer(c, 0, json_pack("{s:I}", "missing_bytes",
				       (json_int_t)0));
	} else {
		snprintf(line, sizeof(line), "%.400s: %s", file,
			 r == -EEXIST ? "there is a file of that name already"
			 : r == -ENOENT ? "there is no such directory"
			 : r == -ENOSPC ? "there is not enough space for it"
					: strerror(-r));
	ctl_answer_error(c, -r, line);
	}
}

static void
do_quarantine(struct connection *c, const char *verb)
{
	json_t *number = json_object_get(c->request, "id");
	uint64_t id = (uint64_t)json_integer_value(number);
	const char *file = ctl_request_text(c, "file");
	struct gate *gate = c->ctl->config.gate;
	struct quarantined kept = {.id = id};

	if (strcmp(verb, "retry") == 0 &&
	    json_is_true(json_object_get(c->request, "all")))
		ctl_retry_all(c, ctl_request_text(c, "path"));
	else if (!json_is_integer(number))
		ctl_answer_error(c, EINVAL, "an id is missing");
	else if (gate_each_quarantined(gate, same_id, &kept) == 0 &&
		 !kept.found)
		ctl_answer_error(c, ENOENT, "nothing with this id is kept");
	else if (strcmp(verb, "retry") == 0)
		ctl_retry(c, id);
	else if (strcmp(verb, "drop") == 0)
		ctl_answer(c, gate_quarantine_drop(gate, id), NULL);
	else if (file == NULL || file[0] != '/')
		ctl_answer_error(c, EINVAL,
				 "save needs a file's absolute path");
	else
		do_save(c, id, file);
}

static void
dispatch(struct connection *c)
{
	const char *command = ctl_request_text(c, "command");

	if (command == NULL)
		ctl_answer_error(c, EINVAL, "no command");
	else if (strcmp(command, "status") == 0)
		ctl_status(c);
	else if (strcmp(command, "handles") == 0)
		do_handles(c);
	else if (strcmp(command, "uploads") == 0)
		do_uploads(c);
	else if (strcmp(command, "clients") == 0)
		do_clients(c);
	else if (strcmp(command, "flush") == 0)
		ctl_flush(c, ctl_request_text(c, "path"));
	else if (strcmp(command, "drain") == 0)
		ctl_drain(c);
	else if (strcmp(command, "refresh") == 0)
		do_refresh(c);
	else if (strcmp(command, "restore") == 0)
		do_restore(c);
	else if (strcmp(command, "quarantine list") == 0)
		do_quarantine_list(c);
	else if (strcmp(command, "quarantine retry") == 0 ||
		 strcmp(command, "quarantine save") == 0 ||
		 strcmp(command, "quarantine drop") == 0)
		do_quarantine(c, command + strlen("quarantine "));
	else
		ctl_answer_error(c, ENOSYS, "unknown command");
}

/* ---- connections ---- */

/* One line, at most REQUEST_MAX bytes.  NULL if none came. */
static json_t *
receive(int fd)
{
	char *bytes = malloc(REQUEST_MAX);
	size_t used = 0;
	json_t *request = NULL;

	while (bytes != NULL && used < REQUEST_MAX) {
		ssize_t n = recv(fd, bytes + used, REQUEST_MAX - used, 0);
		char *end;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		used += (size_t)n;
		end = memchr(bytes, '\n', used);
		if (end != NULL) {
			request = json_loadb(bytes, (size_t)(end - bytes), 0,
					     NULL);
			break;
		}
	}
	free(bytes);
	return request;
}

static bool
peer_allowed(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
	       (peer.uid == 0 || peer.uid == geteuid());
}

static void *
serve(void *arg)
{
	struct connection *c = arg;
	struct ctl *ctl = c->ctl;
	struct timeval talk = {.tv_sec = TALK_S};

	setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &talk, sizeof(talk));
	setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &talk, sizeof(talk));
	if (!peer_allowed(c->fd)) {
		ctl_answer_error(c, EPERM,
				 "only root and the daemon's user may");
	} else {
		c->request = receive(c->fd);
		if (c->request == NULL)
			ctl_answer_error(c, EINVAL, "no request");
		else
			dispatch(c);
	}
	json_decref(c->request);
	close(c->fd);
	free(c);
	pthread_mutex_lock(&ctl->lock);
	ctl->connections--;
	pthread_cond_signal(&ctl->connection_ended);
	pthread_mutex_unlock(&ctl->lock);
	return NULL;
}

static bool
start_serving(struct ctl *ctl, struct connection *c)
{
	pthread_attr_t attr;
	pthread_t thread;
	bool room, started;

	pthread_mutex_lock(&ctl->lock);
	room = ctl->connections < CONNECTIONS_MAX;
	if (room)
		ctl->connections++;
	pthread_mutex_unlock(&ctl->lock);
	if (!room)
		return false;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	started = pthread_create(&thread, &attr, serve, c) == 0;
	pthread_attr_destroy(&attr);
	if (!started) {
		pthread_mutex_lock(&ctl->lock);
		ctl->connections--;
		pthread_mutex_unlock(&ctl->lock);
	}
	return started;
}

static void *
accept_loop(void *arg)
{
	struct ctl *ctl = arg;

	while (!atomic_load(&ctl->stopping)) {
		struct pollfd fds[2] = {{ctl->socket, POLLIN, 0},
					{ctl->stop_event, POLLIN, 0}};
		struct connection *c;
		int fd;

		if (poll(fds, 2, -1) < 0 || fds[1].revents != 0 ||
		    fds[0].revents == 0)
			continue;
		fd = accept4(ctl->socket, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0) {
			/* EMFILE would spin: give others time to close. */
			poll(&fds[1], 1, 100);
			continue;
		}
		c = calloc(1, sizeof(*c));
		if (c != NULL) {
			c->ctl = ctl;
			c->fd = fd;
		}
		if (c == NULL || !start_serving(ctl, c)) {
			close(fd);
			free(c);
		}
	}
	return NULL;
}

/* A socket file that a killed daemon left is in the way of bind; one that
 * answers is not ours to remove. */
static int
bind_socket(int fd, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	mode_t mask;
	int r;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return -EADDRINUSE;
	unlink(path);
	mask = umask(0177);
	r = bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ?
	    -errno : 0;
	umask(mask);
	return r == 0 && listen(fd, CONNECTIONS_MAX) < 0 ? -errno : r;
}

static void
ctl_free(struct ctl *ctl)
{
	if (ctl->socket >= 0)
		close(ctl->socket);
	if (ctl->stop_event >= 0)
		close(ctl->stop_event);
	pthread_mutex_destroy(&ctl->lock);
	pthread_cond_destroy(&ctl->connection_ended);
	free(ctl->path);
	free(ctl);
}

int
ctl_start(const struct ctl_config *config, struct ctl **out)
{
	struct ctl *ctl = calloc(1, sizeof(*ctl));
	int r;

	if (ctl == NULL)
		return -ENOMEM;
	ctl->config = *config;
	ctl->started_ms = ctl_now_ms();
	pthread_mutex_init(&ctl->lock, NULL);
	pthread_cond_init(&ctl->connection_ended, NULL);
	ctl->path = strdup(config->path);
	ctl->socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ctl->stop_event = eventfd(0, EFD_CLOEXEC);
	if (ctl->path == NULL || ctl->socket < 0 || ctl->stop_event < 0) {
		ctl_free(ctl);
		return -ENOMEM;
	}
	r = bind_socket(ctl->socket, config->path);
	if (r == 0)
		r = -pthread_create(&ctl->thread, NULL, accept_loop, ctl);
	if (r < 0) {
		ctl_free(ctl);
		return r;
	}
	*out = ctl;
	return 0;
}

void
ctl_leave(struct ctl *ctl)
{
	uint64_t one = 1;

	if (ctl == NULL || atomic_exchange(&ctl->stopping, true))
		return;
	unlink(ctl->path);
	if (write(ctl->stop_event, &one, sizeof(one)) < 0)
		log_warn("ctl", "cannot wake the control thread");
	pthread_join(ctl->thread, NULL);
}

void
ctl_stop(struct ctl **ctl)
{
	if (*ctl == NULL)
		return;
	ctl_leave(*ctl);
	pthread_mutex_lock(&(*ctl)->lock);
	while ((*ctl)->connections > 0)
		pthread_cond_wait(&(*ctl)->connection_ended, &(*ctl)->lock);
	pthread_mutex_unlock(&(*ctl)->lock);
	ctl_free(*ctl);
	*ctl = NULL;
}
