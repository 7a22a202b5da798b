/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagrams, for the programs that allow them: one is one call, without a
 * marker.  The reply leaves from the address that was asked, as it must on a
 * host with several.  A reply that does not fit into a datagram, or that the
 * socket does not take, is lost, and so is a call of a host that has too many
 * on their way (rpc_host_may_send); the client asks again.
 */
#include <config.h>

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "nfsd/rpc/inside.h"

#define DATAGRAMS 64		/* at once, then the connections' turn */

/* The one control message: which of our addresses was asked. */
union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
};

static void
local_address(struct msghdr *message, struct sockaddr_storage *local)
{
	struct cmsghdr *c;

	for (c = CMSG_FIRSTHDR(message); c != NULL;
	     c = CMSG_NXTHDR(message, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;
			struct sockaddr_in *v4 = (void *)local;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			v4->sin_family = AF_INET;
			v4->sin_addr = info.ipi_spec_dst;
		} else if (c->cmsg_level == IPPROTO_IPV6 &&
			   c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo info;
			struct sockaddr_in6 *v6 = (void *)local;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			v6->sin6_family = AF_INET6;
			v6->sin6_addr = info.ipi6_addr;
			v6->sin6_scope_id = info.ipi6_ifindex;
		}
	}
}

void
rpc_udp_readable(struct rpc_thread *thread, struct rpc_listener *listener)
{
	for (int i = 0; i < DATAGRAMS; i++) {
		struct sockaddr_storage peer = { 0 }, local = { 0 };
		struct iovec iov = { thread->in, RPC_SCRATCH_BYTES };
		union control control;
		struct msghdr message = {
			.msg_name = &peer, .msg_namelen = sizeof(peer),
			.msg_iov = &iov, .msg_iovlen = 1,
			.msg_control = control.bytes,
			.msg_controllen = sizeof(control.bytes),
		};
		struct rpc_payload payload = { .data = thread->in };
		ssize_t n = recvmsg(listener->fd, &message, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return;
		if (rpc_pool_short(&thread->server->pool) ||
		    (message.msg_flags & MSG_TRUNC) != 0 ||
		    !rpc_host_may_send(thread->server, &peer))
			continue;
		local_address(&message, &local);
		payload.len = (uint32_t)n;
		(void)!rpc_dispatch(thread, NULL, listener, &peer, &local,
				    &payload);
	}
}

static void
set_source(struct msghdr *message, union control *control,
	   const struct sockaddr_storage *local)
{
	struct cmsghdr *c = &control->align;

	memset(control, 0, sizeof(*control));
	message->msg_control = control->bytes;
	if (local->ss_family == AF_INET) {
		struct in_pktinfo info = {
			.ipi_spec_dst =
				((const struct sockaddr_in *)local)->sin_addr,
		};

		c->cmsg_level = IPPROTO_IP;
		c->cmsg_type = IP_PKTINFO;
		c->cmsg_len = CMSG_LEN(sizeof(info));
		memcpy(CMSG_DATA(c), &info, sizeof(info));
		message->msg_controllen = CMSG_SPACE(sizeof(info));
	} else {
		const struct sockaddr_in6 *v6 = (const void *)local;
		struct in6_pktinfo info = {
			.ipi6_addr = v6->sin6_addr,
		};

		if (IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr))
			info.ipi6_ifindex = v6->sin6_scope_id;
		c->cmsg_level = IPPROTO_IPV6;
		c->cmsg_type = IPV6_PKTINFO;
		c->cmsg_len = CMSG_LEN(sizeof(info));
		memcpy(CMSG_DATA(c), &info, sizeof(info));
		message->msg_controllen = CMSG_SPACE(sizeof(info));
	}
}

void
rpc_udp_send(struct rpc_call *call, const void *data, size_t len)
{
	struct iovec iov = { (void *)(uintptr_t)data, len };
	union control control;
	struct msghdr message = {
		.msg_name = &call->rq.peer,
		.msg_namelen = call->rq.peer.ss_family == AF_INET6 ?
			       sizeof(struct sockaddr_in6) :
			       sizeof(struct sockaddr_in),
		.msg_iov = &iov, .msg_iovlen = 1,
	};

	if (call->udp_local.ss_family != 0)
		set_source(&message, &control, &call->udp_local);
	while (sendmsg(call->udp->fd, &message, MSG_DONTWAIT) < 0 &&
	       errno == EINTR)
		;
}
