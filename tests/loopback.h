/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LOOPBACK_H
#define TESTS_LOOPBACK_H

/* What the small HTTP servers of tests share: a port on loopback, and the
 * bytes of a connection, by blocking calls.  shutdown() ends them. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Listens on a port of the kernel's choice; aborts if that fails. */
int loopback_listen(char url[64]);	/* "http://127.0.0.1:PORT" */

/* False: the client has gone. */
bool loopback_send(int fd, const char *data, size_t len);
/* The close() to come is a reset. */
void loopback_reset(int fd);
/* Until the client goes. */
void loopback_stall(int fd);

struct loopback {
	int fd;
	size_t len;		/* received, and not yet given */
	char in[65536 + 1];
};
/* The head of the next request with its blank line, malloced; NULL: there is
 * none, or it is too long. */
char *loopback_head(struct loopback *c);
/* Bytes behind it, as recv(). */
ssize_t loopback_read(struct loopback *c, void *buf, size_t len);

#endif
