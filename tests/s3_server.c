/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wire of s3_server.h: a thread accepts, one a connection reads a request
 * with its whole body, looks for an answer that somebody wants given instead,
 * or has the request done (s3_server_calls.c), and replies.
 */
#include <config.h>
#include <ctype.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "s3/remote.h"
#include "tests/loopback.h"
#include "tests/s3_server.h"

#define CONNECTIONS 512		/* at once */
#define BODY_MAX (64U << 20)
#define PEAK_MS 100

struct s3_server {
	struct s3 *bucket;
	int listener;
	char url[64];
	pthread_t acceptor;
	pthread_mutex_t lock;
	pthread_cond_t idle;
	bool stopping;
	int fds[CONNECTIONS];	/* -1: free */
	unsigned connections;
	/* what happens */
	unsigned traits;
	unsigned calls;
	const struct s3_server_answer *answer;
	char slow_key[64];
	unsigned slow_ms, slowed;
	/* what was seen */
	unsigned seen[CALL_COUNT], answered;
	int64_t window;
	unsigned in_window, peak;
};

struct connection {
	struct s3_server *v;
	int slot;
	unsigned traits;
	struct loopback in;
};

/* ---- requests ---- */

void
s3_server_decode(char *to, size_t size, const char *from, size_t len)
{
	size_t n = 0;
	unsigned code;

	for (size_t i = 0; i < len && n + 1 < size; i++) {
		if (from[i] == '%' && i + 2 < len &&
		    sscanf(from + i + 1, "%2x", &code) == 1) {
			to[n++] = (char)code;
			i += 2;
		} else {
			to[n++] = from[i];
		}
	}
	to[n] = '\0';
}

bool
s3_server_header(const struct s3_server_request *rq, const char *name,
		 char *value, size_t size)
{
	size_t len = strlen(name);

	for (const char *p = strstr(rq->head, "\r\n"); p != NULL;
	     p = strstr(p, "\r\n")) {
		p += 2;
		if (strncasecmp(p, name, len) == 0 && p[len] == ':') {
			const char *v = p + len + 1;

			v += strspn(v, " \t");
			snprintf(value, size, "%.*s", (int)strcspn(v, "\r"),
				 v);
			return true;
		}
	}
	return false;
}

bool
s3_server_query(const struct s3_server_request *rq, const char *name,
		char *value, size_t size)
{
	size_t len = strlen(name);

	for (const char *p = rq->query; *p != '\0';) {
		size_t word = strcspn(p, "&");

		if (strncmp(p, name, len) == 0 &&
		    (len == word || p[len] == '=')) {
			if (value != NULL)
				s3_server_decode(value, size, p + len + 1,
						 len == word ? 0 :
						 word - len - 1);
			return true;
		}
		p += word + (p[word] == '&');
	}
	return false;
}

/* "GET /bucket/key?query HTTP/1.1"; head stays whole but for that line. */
static bool
parse_line(struct s3_server_request *rq)
{
	char *path, *end, *key;

	rq->method = strdup(rq->head);
	path = rq->method != NULL ? strchr(rq->method, ' ') : NULL;
	if (path == NULL)
		return false;
	*path++ = '\0';
	end = strchr(path, ' ');
	if (end == NULL || *path != '/')
		return false;
	*end = '\0';
	rq->query = path + strcspn(path, "?");
	if (*rq->query == '?')
		*rq->query++ = '\0';
	key = strchr(path + 1, '/');
	if (key != NULL)
		s3_server_decode(rq->key, sizeof(rq->key), key + 1,
				 strlen(key + 1));
	return true;
}

static void
request_fini(struct s3_server_request *rq)
{
	free(rq->head);
	free(rq->method);
	free(rq->body);
}

/* A whole request; false: the connection is over. */
static bool
read_request(struct connection *c, struct s3_server_request *rq)
{
	char text[32];
	ssize_t n;

	rq->head = loopback_head(&c->in);
	if (rq->head == NULL || !parse_line(rq))
		return false;
	if (s3_server_header(rq, "content-length", text, sizeof(text)))
		rq->body_len = strtoul(text, NULL, 10);
	rq->body = rq->body_len <= BODY_MAX ? malloc(rq->body_len + 1) : NULL;
	if (rq->body == NULL)
		return false;
	for (size_t have = 0; have < rq->body_len; have += (size_t)n) {
		n = loopback_read(&c->in, rq->body + have,
				  rq->body_len - have);
		if (n <= 0)
			return false;
	}
	rq->body[rq->body_len] = '\0';
	rq->call = s3_server_kind(rq);
	return true;
}

/* ---- replies ---- */

static const char *
reason(unsigned status)
{
	return status < 300 ? "OK" : status < 400 ? "Elsewhere" : "Refused";
}

static void
add_date(struct s3_buf *b)
{
	time_t now = time(NULL);
	char text[64];
	struct tm tm;

	strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT",
		 gmtime_r(&now, &tm));
	s3_buf_fmt(b, "Date: %s\r\n", text);
}

/* cut: half of it. */
static bool
send_reply(int fd, const struct s3_server_request *rq,
	   const struct s3_server_reply *reply, bool foreign, bool cut)
{
	CLEANUP_BUF struct s3_buf b = {0};
	bool head = strcmp(rq->method, "HEAD") == 0;

	s3_buf_fmt(&b, "HTTP/1.1 %u %s\r\n", reply->status,
		   reason(reply->status));
	add_date(&b);
	if (!foreign)
		s3_buf_str(&b, "x-amz-request-id: 0123456789\r\n");
	if (!reply->length_told && reply->status != 204)
		s3_buf_fmt(&b, "Content-Length: %zu\r\n", reply->body->len);
	if (cut)
		s3_buf_str(&b, "Connection: close\r\n");
	if (reply->headers->len > 0)
		s3_buf_add(&b, reply->headers->data, reply->headers->len);
	if (cut && (head || reply->body->len == 0))
		return loopback_send(fd, b.data, b.len / 2) && false;
	s3_buf_str(&b, "\r\n");
	if (!head && reply->body->len > 0)
		s3_buf_add(&b, reply->body->data,
			   cut ? reply->body->len / 2 : reply->body->len);
	return b.failed == 0 && loopback_send(fd, b.data, b.len) && !cut;
}

/* The answer of somebody else. */
static bool
say(int fd, const struct s3_server_request *rq,
    const struct s3_server_answer *a)
{
	CLEANUP_BUF struct s3_buf headers = {0}, body = {0};
	struct s3_server_reply reply = { a->status, &headers, &body, false };

	if (a->headers != NULL)
		s3_buf_str(&headers, a->headers);
	if (a->code != NULL)
		s3_buf_fmt(&body, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
			   "<Error><Code>%s</Code><Message>as asked for"
			   "</Message></Error>", a->code);
	else if (a->body != NULL)
		s3_buf_str(&body, a->body);
	if (body.len > 0)
		s3_buf_fmt(&headers, "Content-Type: %s\r\n",
			   a->type != NULL ? a->type : "application/xml");
	return send_reply(fd, rq, &reply, a->foreign, false);
}

/* ---- one request ---- */

static void
count_locked(struct s3_server *v, const struct s3_server_request *rq)
{
	int64_t window = s3_mono_ms() / PEAK_MS;

	v->seen[rq->call]++;
	if (window != v->window)
		v->in_window = 0;
	v->window = window;
	if (++v->in_window > v->peak)
		v->peak = v->in_window;
}

/* What is to be said in place of the truth, and how long to wait before. */
static const struct s3_server_answer *
look_up(struct s3_server *v, const struct s3_server_request *rq,
	unsigned *wait_ms)
{
	const struct s3_server_answer *a = NULL;

	pthread_mutex_lock(&v->lock);
	count_locked(v, rq);
	if (v->answer != NULL && v->calls & 1U << rq->call) {
		a = v->answer;
		v->answered++;
	}
	*wait_ms = strcmp(rq->key, v->slow_key) == 0 ? v->slow_ms : 0;
	v->slowed += *wait_ms > 0;
	pthread_mutex_unlock(&v->lock);
	return a;
}

/* False: the connection ends here. */
static bool
serve(struct connection *c, struct s3_server_request *rq)
{
	CLEANUP_BUF struct s3_buf headers = {0}, body = {0};
	struct s3_server_reply reply = { 200, &headers, &body, false };
	const struct s3_server_answer *a;
	unsigned wait_ms;

	a = look_up(c->v, rq, &wait_ms);
	if (a == NULL)
		a = s3_server_trait(c->traits, rq);
	if (wait_ms > 0)
		poll(NULL, 0, (int)wait_ms);
	if (a != NULL && a->kind == ANSWER_SAY)
		return say(c->in.fd, rq, a);
	if (a != NULL && a->kind == ANSWER_STALL)
		loopback_stall(c->in.fd);
	if (a == NULL || a->kind == ANSWER_CUT || a->kind == ANSWER_LOST)
		s3_server_do(c->v->bucket, rq, &reply);
	if (rq->call == CALL_LIST)
		s3_server_trait_list(c->traits, &body);
	if (a == NULL || a->kind == ANSWER_CUT)
		return send_reply(c->in.fd, rq, &reply, false, a != NULL);
	loopback_reset(c->in.fd);
	return false;
}

static void *
serve_connection(void *arg)
{
	struct connection *c = arg;
	struct s3_server *v = c->v;
	bool more = true;

	while (more) {
		struct s3_server_request rq = {0};

		more = read_request(c, &rq) && serve(c, &rq);
		request_fini(&rq);
	}
	pthread_mutex_lock(&v->lock);
	v->fds[c->slot] = -1;
	close(c->in.fd);
	v->connections--;
	pthread_cond_broadcast(&v->idle);
	pthread_mutex_unlock(&v->lock);
	free(c);
	return NULL;
}

/* ---- the server ---- */

static void
take(struct s3_server *v, int fd)
{
	struct connection *c = calloc(1, sizeof(*c));
	const int on = 1;
	pthread_t thread;
	int slot = 0;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	pthread_mutex_lock(&v->lock);
	while (slot < CONNECTIONS && v->fds[slot] >= 0)
		slot++;
	if (c != NULL && slot < CONNECTIONS && !v->stopping) {
		c->v = v;
		c->in.fd = v->fds[slot] = fd;
		c->slot = slot;
		c->traits = v->traits;
		v->connections++;
	} else {
		slot = CONNECTIONS;
	}
	pthread_mutex_unlock(&v->lock);
	if (slot == CONNECTIONS ||
	    pthread_create(&thread, NULL, serve_connection, c) != 0)
		abort();	/* a test's own limit */
	pthread_detach(thread);
}

static void *
accept_all(void *arg)
{
	struct s3_server *v = arg;

	for (;;) {
		int fd = accept4(v->listener, NULL, NULL, SOCK_CLOEXEC);
		bool over;

		pthread_mutex_lock(&v->lock);
		over = v->stopping;
		pthread_mutex_unlock(&v->lock);
		if (over) {
			if (fd >= 0)
				close(fd);
			return NULL;
		}
		if (fd >= 0)
			take(v, fd);
	}
}

struct s3_server *
s3_server_start(struct s3 *bucket)
{
	struct s3_server *v = calloc(1, sizeof(*v));

	if (v == NULL)
		abort();
	v->bucket = bucket;
	for (int i = 0; i < CONNECTIONS; i++)
		v->fds[i] = -1;
	pthread_mutex_init(&v->lock, NULL);
	pthread_cond_init(&v->idle, NULL);
	v->listener = loopback_listen(v->url);
	if (pthread_create(&v->acceptor, NULL, accept_all, v) != 0)
		abort();
	return v;
}

void
s3_server_stop(struct s3_server **vp)
{
	struct s3_server *v = *vp;

	if (v == NULL)
		return;
	*vp = NULL;
	pthread_mutex_lock(&v->lock);
	v->stopping = true;
	for (int i = 0; i < CONNECTIONS; i++)
		if (v->fds[i] >= 0)
			shutdown(v->fds[i], SHUT_RDWR);
	pthread_mutex_unlock(&v->lock);
	shutdown(v->listener, SHUT_RDWR);
	pthread_join(v->acceptor, NULL);
	pthread_mutex_lock(&v->lock);
	while (v->connections > 0)
		pthread_cond_wait(&v->idle, &v->lock);
	pthread_mutex_unlock(&v->lock);
	close(v->listener);
	pthread_cond_destroy(&v->idle);
	pthread_mutex_destroy(&v->lock);
	free(v);
}

const char *
s3_server_url(const struct s3_server *v)
{
	return v->url;
}

void
s3_server_answer(struct s3_server *v, unsigned calls,
		 const struct s3_server_answer *answer)
{
	pthread_mutex_lock(&v->lock);
	v->calls = calls;
	v->answer = answer;
	pthread_mutex_unlock(&v->lock);
}

void
s3_server_traits(struct s3_server *v, unsigned traits)
{
	pthread_mutex_lock(&v->lock);
	v->traits = traits;
	pthread_mutex_unlock(&v->lock);
}

void
s3_server_slow(struct s3_server *v, const char *key, unsigned ms)
{
	pthread_mutex_lock(&v->lock);
	snprintf(v->slow_key, sizeof(v->slow_key), "%s", key);
	v->slow_ms = ms;
	pthread_mutex_unlock(&v->lock);
}

unsigned
s3_server_slowed(struct s3_server *v)
{
	unsigned n;

	pthread_mutex_lock(&v->lock);
	n = v->slowed;
	pthread_mutex_unlock(&v->lock);
	return n;
}

unsigned
s3_server_seen(struct s3_server *v, unsigned calls)
{
	unsigned n = 0;

	pthread_mutex_lock(&v->lock);
	for (unsigned i = 0; i < CALL_COUNT; i++)
		n += calls & 1U << i ? v->seen[i] : 0;
	pthread_mutex_unlock(&v->lock);
	return n;
}

unsigned
s3_server_answered(struct s3_server *v)
{
	unsigned n;

	pthread_mutex_lock(&v->lock);
	n = v->answered;
	pthread_mutex_unlock(&v->lock);
	return n;
}

unsigned
s3_server_peak(struct s3_server *v)
{
	unsigned n;

	pthread_mutex_lock(&v->lock);
	n = v->peak;
	pthread_mutex_unlock(&v->lock);
	return n;
}
