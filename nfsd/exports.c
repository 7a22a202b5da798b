/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may do what.  An NFS server with AUTH_SYS believes what a host says
 * about its users, so that the host is what is admitted: by address, with the
 * longest listed prefix deciding.  After that uids and gids are squashed, and
 * the gate below sees the result only.
 *
 * Systems of this kind have failed by checking in some procedures and not in
 * others (MNT, the second handle of RENAME and LINK, AUTH_NONE).  Here a
 * handle becomes an export in nfs3_enter, and nowhere without exports_admit.
 *
 * Exports come at the start and stay.  Their rules can be replaced while
 * requests run (SIGHUP): a read lock is held over one match, and what leaves
 * is a copy, so that nobody can hold rules that are freed.
 */
#include <config.h>

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "nfsd/exports.h"

#define ANON 65534		/* nobody, nogroup: exports(5) */
#define PRIVILEGED 1024
#define RULES_MAX 4096

struct exports_rules {
	size_t count;
	struct exports_rule *list;
};

struct exports_entry {
	char *name;
	uint32_t id;
	struct gate_export *gate_export;
	pthread_rwlock_t lock;	/* guards what follows */
	bool readonly;
	struct exports_rules *rules;
	STAILQ_ENTRY(exports_entry) link;
};

struct exports {
	STAILQ_HEAD(, exports_entry) list;
};

/* ---- the text of export.clients ---- */

static int
complain(char *why, size_t size, const char *what, const char *item, int len)
{
	snprintf(why, size, "%s in \"%.*s\"", what, len > 80 ? 80 : len, item);
	return -EINVAL;
}

static bool
parse_number(const char *text, uint64_t max, uint32_t *out)
{
	uint64_t value = 0;

	if (*text == '\0')
		return false;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return false;
		value = value * 10 + (uint64_t)(*text - '0');
		if (value > max)
			return false;
	}
	*out = (uint32_t)value;
	return true;
}

static void
map_v4(const void *v4, struct in6_addr *out)
{
	memset(out, 0, sizeof(*out));
	out->s6_addr[10] = out->s6_addr[11] = 0xff;
	memcpy(out->s6_addr + 12, v4, 4);
}

/* ADDRESS, ADDRESS/BITS or "*"; bits beyond the prefix are cut off. */
static bool
parse_net(char *text, struct exports_rule *rule)
{
	char *slash = strchr(text, '/');
	unsigned base = 0, max = 128;
	uint8_t v4[4];
	uint32_t bits;

	if (strcmp(text, "*") == 0) {
		rule->any = true;
		return true;
	}
	if (slash != NULL)
		*slash++ = '\0';
	if (inet_pton(AF_INET, text, v4) == 1) {
		map_v4(v4, &rule->net);
		base = 96;
		max = 32;
	} else if (inet_pton(AF_INET6, text, &rule->net) != 1) {
		return false;
	}
	bits = max;
	if (slash != NULL && !parse_number(slash, max, &bits))
		return false;
	rule->bits = base + bits;
	for (unsigned i = rule->bits; i < 128; i++)
		rule->net.s6_addr[i / 8] &= (uint8_t)~(0x80 >> i % 8);
	return true;
}

static bool
parse_option(const char *text, struct exports_rule *rule)
{
	if (strcmp(text, "rw") == 0)
		rule->readonly = false;
	else if (strcmp(text, "ro") == 0)
		rule->readonly = true;
	else if (strcmp(text, "secure") == 0)
		rule->secure = true;
	else if (strcmp(text, "insecure") == 0)
		rule->secure = false;
	else if (strcmp(text, "root_squash") == 0)
		rule->squash = EXPORTS_ROOT_SQUASH;
	else if (strcmp(text, "no_root_squash") == 0)
		rule->squash = EXPORTS_NO_SQUASH;
	else if (strcmp(text, "all_squash") == 0)
		rule->squash = EXPORTS_ALL_SQUASH;
	else if (strncmp(text, "anonuid=", 8) == 0)
		return parse_number(text + 8, UINT32_MAX, &rule->anon_uid);
	else if (strncmp(text, "anongid=", 8) == 0)
		return parse_number(text + 8, UINT32_MAX, &rule->anon_gid);
	else
		return false;
	return true;
}

static int
unknown_option(const char *option, const char *item, int len, char *why,
	       size_t why_size)
{
	char what[64];

	snprintf(what, sizeof(what), "unknown option %.32s", option);
	return complain(why, why_size, what, item, len);
}

/* One item, "NET" or "NET(OPTION,...)", of len bytes. */
static int
parse_item(const char *item, size_t len, struct exports_rule *rule, char *why,
	   size_t why_size)
{
	char copy[512], *options, *option, *rest;

	*rule = (struct exports_rule){
		.secure = true, .squash = EXPORTS_ROOT_SQUASH,
		.anon_uid = ANON, .anon_gid = ANON
	};
	if (len >= sizeof(copy))
		return complain(why, why_size, "item too long", item, 40);
	memcpy(copy, item, len);
	copy[len] = '\0';
	options = strchr(copy, '(');
	if (options != NULL) {
		*options++ = '\0';
		if (copy[len - 1] != ')')
			return complain(why, why_size, "no closing )", item,
					(int)len);
		copy[len - 1] = '\0';
	}
	if (!parse_net(copy, rule))
		return complain(why, why_size,
				"no address, address/bits or *", item,
				(int)len);
	rest = options;
	while ((option = strsep(&rest, ",")) != NULL) {
		if (!parse_option(option, rule))
			return unknown_option(option, item, (int)len, why,
					      why_size);
	}
	return 0;
}

int
exports_rules_parse(const char *text, struct exports_rules **out, char *why,
		    size_t why_size)
{
	struct exports_rules *rules = calloc(1, sizeof(*rules));
	const char *blank = " \t\r\n";

	if (rules == NULL)
		return -ENOMEM;
	for (text += strspn(text, blank); *text != '\0';
	     text += strspn(text, blank)) {
		size_t len = strcspn(text, blank);
		struct exports_rule *list;
		int r;

		list = rules->count >= RULES_MAX ? NULL :
			reallocarray(rules->list, rules->count + 1,
				     sizeof(*list));
		if (list == NULL) {
			exports_rules_free(&rules);
			return -ENOMEM;
		}
		rules->list = list;
		r = parse_item(text, len, &list[rules->count], why, why_size);
		if (r < 0) {
			exports_rules_free(&rules);
			return r;
		}
		rules->count++;
		text += len;
	}
	*out = rules;
	return 0;
}

void
exports_rules_free(struct exports_rules **rules)
{
	if (*rules == NULL)
		return;
	free((*rules)->list);
	free(*rules);
	*rules = NULL;
}

/* ---- matching ---- */

static bool
holds(const struct exports_rule *rule, const struct in6_addr *host)
{
	unsigned whole = rule->bits / 8, rest = rule->bits % 8;
	uint8_t differ;

	if (rule->any)
		return true;
	if (memcmp(rule->net.s6_addr, host->s6_addr, whole) != 0)
		return false;
	if (rest == 0)
		return true;
	differ = rule->net.s6_addr[whole] ^ host->s6_addr[whole];
	return (differ >> (8 - rest)) == 0;
}

const struct exports_rule *
exports_rules_match(const struct exports_rules *rules,
		    const struct in6_addr *host)
{
	const struct exports_rule *best = NULL;

	for (size_t i = 0; i < rules->count; i++) {
		const struct exports_rule *rule = &rules->list[i];

		if (!holds(rule, host))
			continue;
		/* "*" is weaker than ::/0, which has as few bits. */
		if (best == NULL || rule->bits > best->bits ||
		    (best->any && !rule->any))
			best = rule;
	}
	return best;
}

bool
exports_rules_local_only(const struct exports_rules *rules)
{
	static const uint8_t mapped[13] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
					   0xff, 0xff, 127};

	for (size_t i = 0; i < rules->count; i++) {
		const struct exports_rule *rule = &rules->list[i];

		if (IN6_IS_ADDR_LOOPBACK(&rule->net) && rule->bits == 128)
			continue;
		if (rule->bits >= 104 &&
		    memcmp(rule->net.s6_addr, mapped, sizeof(mapped)) == 0)
			continue;
		return false;
	}
	return true;
}

/* ---- the table ---- */

int
exports_new(struct exports **out)
{
	struct exports *exports = calloc(1, sizeof(*exports));

	if (exports == NULL)
		return -ENOMEM;
	STAILQ_INIT(&exports->list);
	*out = exports;
	return 0;
}

void
exports_free(struct exports **exports)
{
	struct exports_entry *entry;

	if (*exports == NULL)
		return;
	while ((entry = STAILQ_FIRST(&(*exports)->list)) != NULL) {
		STAILQ_REMOVE_HEAD(&(*exports)->list, link);
		pthread_rwlock_destroy(&entry->lock);
		exports_rules_free(&entry->rules);
		free(entry->name);
		free(entry);
	}
	free(*exports);
	*exports = NULL;
}

static struct exports_entry *
by_name(struct exports *exports, const char *name)
{
	struct exports_entry *entry;

	STAILQ_FOREACH(entry, &exports->list, link) {
		if (strcmp(entry->name, name) == 0)
			return entry;
	}
	return NULL;
}

int
exports_add(struct exports *exports, const char *name,
	    struct gate_export *gate_export, bool readonly,
	    struct exports_rules **rules)
{
	struct exports_entry *entry;

	if (by_name(exports, name) != NULL)
		return -EEXIST;
	entry = calloc(1, sizeof(*entry));
	if (entry == NULL || (entry->name = strdup(name)) == NULL) {
		free(entry);
		return -ENOMEM;
	}
	entry->id = gate_export_id(gate_export);
	entry->gate_export = gate_export;
	pthread_rwlock_init(&entry->lock, NULL);
	entry->readonly = readonly;
	entry->rules = *rules;
	*rules = NULL;
	STAILQ_INSERT_TAIL(&exports->list, entry, link);
	return 0;
}

int
exports_reload(struct exports *exports, const char *name, bool readonly,
	       struct exports_rules **rules)
{
	struct exports_entry *entry = by_name(exports, name);
	struct exports_rules *old;

	if (entry == NULL)
		return -ENOENT;
	pthread_rwlock_wrlock(&entry->lock);
	old = entry->rules;
	entry->rules = *rules;
	entry->readonly = readonly;
	pthread_rwlock_unlock(&entry->lock);
	*rules = NULL;
	exports_rules_free(&old);
	return 0;
}

struct exports_entry *
exports_by_id(struct exports *exports, uint32_t id)
{
	struct exports_entry *entry;

	STAILQ_FOREACH(entry, &exports->list, link) {
		if (entry->id == id)
			return entry;
	}
	return NULL;
}

struct exports_entry *
exports_by_path(struct exports *exports, const char *path, const char **rest)
{
	struct exports_entry *entry, *best = NULL;
	size_t best_len = 0;

	STAILQ_FOREACH(entry, &exports->list, link) {
		size_t len = strlen(entry->name);

		if (strncmp(entry->name, path, len) != 0 ||
		    (path[len] != '\0' && path[len] != '/'))
			continue;
		if (best == NULL || len > best_len) {
			best = entry;
			best_len = len;
		}
	}
	if (best != NULL)
		*rest = path + best_len;
	return best;
}

struct exports_entry *
exports_next(struct exports *exports, struct exports_entry *entry)
{
	if (entry == NULL)
		return STAILQ_FIRST(&exports->list);
	return STAILQ_NEXT(entry, link);
}

const char *
exports_entry_name(const struct exports_entry *entry)
{
	return entry->name;
}

uint32_t
exports_entry_id(const struct exports_entry *entry)
{
	return entry->id;
}

struct gate_export *
exports_entry_gate(const struct exports_entry *entry)
{
	return entry->gate_export;
}

static void
host_text(const struct exports_rule *rule, char *out, size_t size)
{
	char text[INET6_ADDRSTRLEN] = "";
	bool v4 = IN6_IS_ADDR_V4MAPPED(&rule->net) && rule->bits >= 96;
	unsigned bits = v4 ? rule->bits - 96 : rule->bits;

	if (rule->any) {
		snprintf(out, size, "*");
		return;
	}
	if (v4)
		inet_ntop(AF_INET, rule->net.s6_addr + 12, text, sizeof(text));
	else
		inet_ntop(AF_INET6, &rule->net, text, sizeof(text));
	if (bits == (v4 ? 32 : 128))
		snprintf(out, size, "%s", text);
	else
		snprintf(out, size, "%s/%u", text, bits);
}

void
exports_entry_each_host(struct exports_entry *entry,
			int (*each)(void *arg, const char *host), void *arg)
{
	char text[INET6_ADDRSTRLEN + 8];

	pthread_rwlock_rdlock(&entry->lock);
	for (size_t i = 0; i < entry->rules->count; i++) {
		host_text(&entry->rules->list[i], text, sizeof(text));
		if (each(arg, text) != 0)
			break;
	}
	pthread_rwlock_unlock(&entry->lock);
}

/* ---- the access gate ---- */

bool
exports_peer(const struct sockaddr_storage *peer, struct in6_addr *addr,
	     uint16_t *port)
{
	if (peer->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)peer;

		map_v4(&in->sin_addr, addr);
		*port = ntohs(in->sin_port);
		return true;
	}
	if (peer->ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const void *)peer;

		*addr = in6->sin6_addr;
		*port = ntohs(in6->sin6_port);
		return true;
	}
	return false;
}

static uint32_t
squash_gid(const struct exports_rule *rule, uint32_t gid)
{
	return gid == 0 ? rule->anon_gid : gid;
}

static void
squash(const struct exports_rule *rule, const struct rpc_cred *from,
       struct gate_cred *to)
{
	bool root = rule->squash == EXPORTS_ROOT_SQUASH;

	*to = (struct gate_cred){.uid = rule->anon_uid, .gid = rule->anon_gid};
	/* AUTH_NONE says nothing of a user: RFC 5531 8.1. */
	if (from->flavor == 0 || rule->squash == EXPORTS_ALL_SQUASH)
		return;
	to->uid = root && from->uid == 0 ? rule->anon_uid : from->uid;
	to->gid = root ? squash_gid(rule, from->gid) : from->gid;
	/* A root that is squashed keeps none of root's groups. */
	if (root && from->uid == 0) {
		to->gid = rule->anon_gid;
		return;
	}
	for (unsigned i = 0; i < from->group_count &&
	     to->group_count < GATE_GROUPS_MAX; i++) {
		uint32_t gid = from->groups[i];

		to->groups[to->group_count++] =
			root ? squash_gid(rule, gid) : gid;
	}
}

int
exports_admit(struct exports_entry *entry, const struct rpc_request *rq,
	      struct gate_request *gate, const char **reason)
{
	const struct exports_rule *match;
	struct exports_rule rule;
	uint16_t port = 0;
	bool readonly;

	memset(gate, 0, sizeof(*gate));
	if (!exports_peer(&rq->peer, &gate->who.addr, &port)) {
		*reason = "neither IPv4 nor IPv6";
		return -EACCES;
	}
	pthread_rwlock_rdlock(&entry->lock);
	match = exports_rules_match(entry->rules, &gate->who.addr);
	if (match != NULL)
		rule = *match;
	readonly = entry->readonly;
	pthread_rwlock_unlock(&entry->lock);
	if (match == NULL) {
		*reason = "host is not listed in export.clients";
		return -EACCES;
	}
	if (rule.secure && port >= PRIVILEGED) {
		*reason = "source port is not below 1024 and the host is not "
			  "listed as insecure";
		return -EACCES;
	}
	memcpy(gate->who.name, rq->cred.machine, sizeof(gate->who.name));
	gate->who.name[sizeof(gate->who.name) - 1] = '\0';
	squash(&rule, &rq->cred, &gate->cred);
	gate->readonly = readonly || rule.readonly;
	return 0;
}
