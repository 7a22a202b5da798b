/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_EXPORTS_H
#define NFSD_EXPORTS_H

/*
 * exports: which host may do what with which export, and as whom.  The one
 * access gate: every procedure of every program that names an export passes
 * through exports_admit before it does anything else.
 */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "nfsd/gate/gate.h"
#include "nfsd/rpc/rpc.h"

struct exports;
struct exports_entry;
struct exports_rules;

enum exports_squash { EXPORTS_ROOT_SQUASH, EXPORTS_NO_SQUASH,
		      EXPORTS_ALL_SQUASH };

/* What one host may do: one item of export.clients. */
struct exports_rule {
	struct in6_addr net;	/* IPv4 as ::ffff:a.b.c.d */
	unsigned bits;		/* of net, 0 to 128 */
	bool any;		/* "*" */
	bool readonly;
	bool secure;		/* the source port must be below 1024 */
	enum exports_squash squash;
	uint32_t anon_uid, anon_gid;
};

/*
 * Parse "10.0.0.0/8(rw,root_squash) 192.168.1.5(ro)".  -EINVAL with `why`
 * filled for a text that is none, -ENOMEM.
 */
int exports_rules_parse(const char *text, struct exports_rules **out,
			char *why, size_t why_size)
	__attribute__((warn_unused_result));
void exports_rules_free(struct exports_rules **rules);
/* The rule for a host: the longest prefix that holds it, the first of equal
 * ones; NULL if none does. */
const struct exports_rule *exports_rules_match(
	const struct exports_rules *rules, const struct in6_addr *host);
/* True if no host but the machine itself is listed. */
bool exports_rules_local_only(const struct exports_rules *rules);

/* -ENOMEM. */
int exports_new(struct exports **out) __attribute__((warn_unused_result));
void exports_free(struct exports **exports);

/*
 * Add an export, before the first request.  Takes *rules over on success.
 * -EEXIST if the name is there already.
 */
int exports_add(struct exports *exports, const char *name,
		struct gate_export *gate_export, bool readonly,
		struct exports_rules **rules)
	__attribute__((warn_unused_result));

/*
 * Put new rules in place of an export's, at any time; requests see the old
 * ones or the new ones, never a mix.  Takes *rules over.  -ENOENT.
 */
int exports_reload(struct exports *exports, const char *name, bool readonly,
		   struct exports_rules **rules)
	__attribute__((warn_unused_result));

/* NULL if there is none. */
struct exports_entry *exports_by_id(struct exports *exports, uint32_t id);
/* The export that a path of MNT begins with, and what follows its name
 * ("" or "/sub/dir").  path has no repeated or trailing slashes. */
struct exports_entry *exports_by_path(struct exports *exports,
				      const char *path, const char **rest);
/* One after the other, NULL to begin with and at the end. */
struct exports_entry *exports_next(struct exports *exports,
				   struct exports_entry *entry);

const char *exports_entry_name(const struct exports_entry *entry);
uint32_t exports_entry_id(const struct exports_entry *entry);
struct gate_export *exports_entry_gate(const struct exports_entry *entry);
/* The hosts as text, for MOUNT's EXPORT; each() in the order of the list. */
void exports_entry_each_host(struct exports_entry *entry,
			     int (*each)(void *arg, const char *host),
			     void *arg);

/*
 * May the sender of rq use the export?  Fills who, cred (after squashing)
 * and readonly of `gate` if so.  -EACCES with a reason, a static string, if
 * not.  Does not block.
 */
int exports_admit(struct exports_entry *entry, const struct rpc_request *rq,
		  struct gate_request *gate, const char **reason)
	__attribute__((warn_unused_result));

/* The sender of a call; IPv4 becomes ::ffff:a.b.c.d.  False for a family
 * that is neither. */
bool exports_peer(const struct sockaddr_storage *peer, struct in6_addr *addr,
		  uint16_t *port);

#endif
