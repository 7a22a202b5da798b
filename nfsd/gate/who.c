/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who a client is, for the rule: machine name and address, as the export's
 * `identity` says; never uid or port (SEMANTICS 3.1).
 */

#include <config.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "nfsd/gate/gate_priv.h"

void
who_text(const struct gate_export *x, const struct gate_request *rq,
	 char out[META_WHO_MAX])
{
	const uint8_t *a = rq->who.addr.s6_addr;
	char addr[INET6_ADDRSTRLEN] = "";

	if (x->c.identity == GATE_ID_NAME && rq->who.name[0] != '\0') {
		snprintf(out, META_WHO_MAX, "%s", rq->who.name);
		return;
	}
	if (IN6_IS_ADDR_V4MAPPED(&rq->who.addr))
		snprintf(addr, sizeof(addr), "%u.%u.%u.%u", a[12], a[13],
			 a[14], a[15]);
	else
		inet_ntop(AF_INET6, &rq->who.addr, addr, sizeof(addr));
	if (x->c.identity == GATE_ID_ADDR || rq->who.name[0] == '\0')
		snprintf(out, META_WHO_MAX, "%s", addr);
	else
		snprintf(out, META_WHO_MAX, "%s@%s", rq->who.name, addr);
}

bool
who_holds_locked(const struct node *n, const struct gate_request *rq)
{
	char who[META_WHO_MAX];

	if (n->h.state == META_NONE)
		return false;
	who_text(n->export, rq, who);
	return strcmp(who, n->h.who) == 0;
}
