/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread accepts, one thread a connection reads requests and plays steps.
 * Bodies of requests are read by Content-Length and dropped but for their
 * first bytes.  Everything ends in http_fake_stop, which shuts all sockets.
 */
#include <config.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "tests/http_fake.h"
#include "tests/loopback.h"

#define CONNECTIONS 64
#define REQUESTS 256
#define REQUEST_MAX 16384

struct http_fake {
	const struct http_step *steps;
	size_t count;
	int listener;
	char url[64];
	pthread_t acceptor;
	pthread_mutex_t lock;
	size_t next;
	size_t wrong;
	bool stopping;
	char *requests[REQUESTS];
	int fds[CONNECTIONS];
	pthread_t threads[CONNECTIONS];
	size_t connections;
};

struct connection {
	struct http_fake *fake;
	int fd;
};

/* A whole head and as much of the body as fits; false at the end. */
static bool
read_request(struct loopback *in, char *text)
{
	char *length, drop[65536], *head = loopback_head(in);
	size_t len, body = 0;

	if (head == NULL)
		return false;
	snprintf(text, REQUEST_MAX, "%s", head);
	free(head);
	len = strlen(text);
	length = strcasestr(text, "\r\ncontent-length:");
	if (length != NULL)
		body = strtoul(length + 17, NULL, 10);
	while (body > 0) {
		ssize_t n = loopback_read(in, drop, body < sizeof(drop) ?
					  body : sizeof(drop));

		if (n <= 0)
			return false;
		if (len + (size_t)n < REQUEST_MAX - 1) {
			memcpy(text + len, drop, (size_t)n);
			len += (size_t)n;
			text[len] = '\0';
		}
		body -= (size_t)n;
	}
	return true;
}

/* The step of this request, NULL when the script is over. */
static const struct http_step *
take_step(struct http_fake *f, const char *text)
{
	const struct http_step *step = NULL;

	pthread_mutex_lock(&f->lock);
	if (f->next < REQUESTS)
		f->requests[f->next] = strdup(text);
	if (f->next < f->count)
		step = &f->steps[f->next];
	f->next++;
	if (step == NULL ||
	    (step->expect && strstr(text, step->expect) == NULL) ||
	    (step->refuse && strstr(text, step->refuse) != NULL)) {
		f->wrong++;
		fprintf(stderr, "http_fake: request %zu is not what step "
			"expects (%s): %.900s\n", f->next, step && step->expect
			? step->expect : "none", text);
	}
	pthread_mutex_unlock(&f->lock);
	return step;
}

static void *
serve(void *arg)
{
	struct connection c = *(struct connection *)arg;
	struct loopback *in = calloc(1, sizeof(*in));
	char *text = malloc(REQUEST_MAX);
	bool more = in != NULL && text != NULL;

	free(arg);
	if (in != NULL)
		in->fd = c.fd;
	while (more && read_request(in, text)) {
		const struct http_step *step = take_step(c.fake, text);

		if (step == NULL) {
			more = loopback_send(c.fd, "HTTP/1.1 500 Over\r\n"
					"Content-Length: 0\r\n\r\n", 38);
			continue;
		}
		if (step->then == HTTP_LATE)
			usleep(500000);
		more = step->reply == NULL ||
		       loopback_send(c.fd, step->reply, step->len ? step->len :
				strlen(step->reply));
		if (step->then == HTTP_STALL)
			loopback_stall(c.fd);
		if (step->then == HTTP_RESET)
			loopback_reset(c.fd);
		if (step->then != HTTP_KEEP && step->then != HTTP_LATE)
			more = false;
	}
	free(text);
	free(in);
	pthread_mutex_lock(&c.fake->lock);
	for (size_t i = 0; i < c.fake->connections; i++)
		if (c.fake->fds[i] == c.fd)
			c.fake->fds[i] = -1;
	close(c.fd);
	pthread_mutex_unlock(&c.fake->lock);
	return NULL;
}

static void *
accept_all(void *arg)
{
	struct http_fake *f = arg;

	for (;;) {
		int fd = accept(f->listener, NULL, NULL);
		struct connection *c;

		if (fd < 0)
			return NULL;
		c = malloc(sizeof(*c));
		pthread_mutex_lock(&f->lock);
		if (f->stopping || f->connections == CONNECTIONS ||
		    c == NULL) {
			pthread_mutex_unlock(&f->lock);
			free(c);
			close(fd);
			continue;
		}
		*c = (struct connection){ f, fd };
		f->fds[f->connections] = fd;
		if (pthread_create(&f->threads[f->connections], NULL, serve,
				   c) != 0)
			abort();
		f->connections++;
		pthread_mutex_unlock(&f->lock);
	}
}

struct http_fake *
http_fake_start(const struct http_step *steps, size_t count)
{
	struct http_fake *f = calloc(1, sizeof(*f));

	if (f == NULL)
		abort();
	f->steps = steps;
	f->count = count;
	pthread_mutex_init(&f->lock, NULL);
	f->listener = loopback_listen(f->url);
	if (pthread_create(&f->acceptor, NULL, accept_all, f) != 0)
		abort();
	return f;
}

const char *
http_fake_url(const struct http_fake *f)
{
	return f->url;
}

size_t
http_fake_seen(struct http_fake *f)
{
	size_t n;

	pthread_mutex_lock(&f->lock);
	n = f->next;
	pthread_mutex_unlock(&f->lock);
	return n;
}

const char *
http_fake_request(struct http_fake *f, size_t index)
{
	const char *text;

	pthread_mutex_lock(&f->lock);
	text = index < REQUESTS ? f->requests[index] : NULL;
	pthread_mutex_unlock(&f->lock);
	return text;
}

size_t
http_fake_wrong(struct http_fake *f)
{
	size_t n;

	pthread_mutex_lock(&f->lock);
	n = f->wrong;
	pthread_mutex_unlock(&f->lock);
	return n;
}

void
http_fake_stop(struct http_fake **fake)
{
	struct http_fake *f = *fake;

	if (f == NULL)
		return;
	*fake = NULL;
	pthread_mutex_lock(&f->lock);
	f->stopping = true;
	for (size_t i = 0; i < f->connections; i++)
		if (f->fds[i] >= 0)
			shutdown(f->fds[i], SHUT_RDWR);
	pthread_mutex_unlock(&f->lock);
	shutdown(f->listener, SHUT_RDWR);
	pthread_join(f->acceptor, NULL);
	for (size_t i = 0; i < f->connections; i++)
		pthread_join(f->threads[i], NULL);
	close(f->listener);
	for (size_t i = 0; i < REQUESTS; i++)
		free(f->requests[i]);
	pthread_mutex_destroy(&f->lock);
	free(f);
}
