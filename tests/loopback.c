/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "tests/loopback.h"

int
loopback_listen(char url[64])
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&in, sizeof(in)) < 0 ||
	    listen(fd, 256) < 0 ||
	    getsockname(fd, (struct sockaddr *)&in, &size) < 0) {
		perror("loopback");
		abort();
	}
	snprintf(url, 64, "http://127.0.0.1:%u", ntohs(in.sin_port));
	return fd;
}

bool
loopback_send(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		data += n;
		len -= (size_t)n;
	}
	return true;
}

void
loopback_reset(int fd)
{
	const struct linger now = { 1, 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

void
loopback_stall(int fd)
{
	char drop[256];

	while (recv(fd, drop, sizeof(drop), 0) > 0)
		;
}

char *
loopback_head(struct loopback *c)
{
	char *end, *head;
	size_t len;

	c->in[c->len] = '\0';
	while ((end = strstr(c->in, "\r\n\r\n")) == NULL) {
		size_t room = sizeof(c->in) - 1 - c->len;
		ssize_t n = room > 0 ? recv(c->fd, c->in + c->len, room, 0)
				     : 0;

		if (n <= 0)
			return NULL;
		c->len += (size_t)n;
		c->in[c->len] = '\0';
	}
	len = (size_t)(end - c->in) + 4;
	head = strndup(c->in, len);
	c->len -= len;
	memmove(c->in, c->in + len, c->len);
	return head;
}

ssize_t
loopback_read(struct loopback *c, void *buf, size_t len)
{
	if (c->len == 0)
		return recv(c->fd, buf, len, 0);
	if (len > c->len)
		len = c->len;
	memcpy(buf, c->in, len);
	c->len -= len;
	memmove(c->in, c->in + len, c->len);
	return (ssize_t)len;
}
