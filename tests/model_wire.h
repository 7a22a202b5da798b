/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_MODEL_WIRE_H
#define TESTS_MODEL_WIRE_H

/* The model's requests on the wire, and replies as it wants to see them. */

#include "tests/model.h"
#include "tests/rpcclient.h"

#define WIRE_FILES 400		/* numbers of files in one schedule */

/* File handles and numbers; what all clients of a schedule know. */
struct wire_files {
	struct nc_fh dir;
	struct nc_fh fh[M_NAMES][2];	/* of a name now, and before */
	uint16_t number[M_NAMES][2];	/* 0: none */
	uint64_t fileid[WIRE_FILES];	/* by number, from 1 */
	uint16_t count;
};

struct wire_client {
	struct rpcc rpc;
	unsigned char *call, *reply;	/* the last ones, as they were */
	size_t call_len, reply_len;
	uint32_t xid;
	int sent;		/* 0, or why the last one could not be */
	bool repeatable;	/* a cached reply is to be expected */
	char *data;		/* of the last READ */
};

/* false: it cannot be sent, there is no such handle. */
bool wire_send(struct wire_client *c, struct wire_files *files,
	       const struct m_op *op, struct m_seen *seen);
/* The same call again, over a new connection: the last one had no reply. */
void wire_resend(struct wire_client *c);
/* 0, or a negative errno. */
int wire_recv(struct wire_client *c, struct wire_files *files,
	      const struct m_op *op, unsigned timeout_ms,
	      struct m_seen *seen, uint8_t verf[8]);
/* The last call once more.  0: the very same reply came. */
int wire_again(struct wire_client *c, unsigned timeout_ms);

#endif
