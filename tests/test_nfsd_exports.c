/* SPDX-License-Identifier: Apache-2.0 */
/* Who may do what, and as whom: nfsd/exports.c. */
#include <config.h>

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "nfsd/exports.h"
#include "tests/fake_gate.h"
#include "tests/unit.h"

static struct gate_export one = {1}, two = {2};

static struct exports_rules *
parsed(const char *text)
{
	struct exports_rules *rules = NULL;
	char why[128] = "";

	CU_ASSERT_EQUAL_FATAL(exports_rules_parse(text, &rules, why,
						  sizeof(why)), 0);
	return rules;
}

static struct in6_addr
host(const char *text)
{
	struct in6_addr addr = {.s6_addr[10] = 0xff, .s6_addr[11] = 0xff};

	if (inet_pton(AF_INET, text, addr.s6_addr + 12) != 1)
		CU_ASSERT_EQUAL_FATAL(inet_pton(AF_INET6, text, &addr), 1);
	return addr;
}

static const struct exports_rule *
match(const struct exports_rules *rules, const char *text)
{
	struct in6_addr addr = host(text);

	return exports_rules_match(rules, &addr);
}

static void
a_list_is_read(void)
{
	struct exports_rules *rules = parsed(
		"10.0.0.0/8(rw,root_squash)\t192.168.1.5(ro)\n"
		" fd00::/8(all_squash,anonuid=5,anongid=6,insecure) ");
	const struct exports_rule *rule;

	rule = match(rules, "10.1.2.3");
	CU_ASSERT(rule != NULL && !rule->readonly && rule->secure);
	CU_ASSERT(rule != NULL && rule->squash == EXPORTS_ROOT_SQUASH &&
		  rule->anon_uid == 65534);
	rule = match(rules, "192.168.1.5");
	CU_ASSERT(rule != NULL && rule->readonly);
	rule = match(rules, "fd12::1");
	CU_ASSERT(rule != NULL && rule->squash == EXPORTS_ALL_SQUASH &&
		  rule->anon_uid == 5 && rule->anon_gid == 6 &&
		  !rule->secure);
	CU_ASSERT_PTR_NULL(match(rules, "192.168.1.6"));
	CU_ASSERT_PTR_NULL(match(rules, "11.0.0.1"));
	CU_ASSERT_PTR_NULL(match(rules, "::1"));
	exports_rules_free(&rules);
}

static void
the_longest_prefix_decides(void)
{
	struct exports_rules *rules = parsed(
		"*(anonuid=1) 0.0.0.0/0(anonuid=2) 10.0.0.0/8(anonuid=3) "
		"10.1.2.0/23(anonuid=4) 10.1.2.3(anonuid=5) ::/0(anonuid=6) "
		"10.1.2.3(anonuid=7)");

	CU_ASSERT_EQUAL(match(rules, "9.9.9.9")->anon_uid, 2);
	CU_ASSERT_EQUAL(match(rules, "10.9.9.9")->anon_uid, 3);
	CU_ASSERT_EQUAL(match(rules, "10.1.3.9")->anon_uid, 4);
	CU_ASSERT_EQUAL(match(rules, "10.1.4.9")->anon_uid, 3);
	CU_ASSERT_EQUAL(match(rules, "10.1.2.3")->anon_uid, 5);
	CU_ASSERT_EQUAL(match(rules, "2001:db8::1")->anon_uid, 6);
	exports_rules_free(&rules);
}

static void
every_prefix_length_matches_as_it_should(void)
{
	for (unsigned bits = 0; bits <= 32; bits++) {
		char text[64], other[32];
		uint32_t base = 0xc0a85a5a, flipped;
		struct exports_rules *rules;
		struct in_addr in;

		snprintf(text, sizeof(text), "192.168.90.90/%u", bits);
		rules = parsed(text);
		CU_ASSERT_PTR_NOT_NULL(match(rules, "192.168.90.90"));
		for (unsigned bit = 0; bit < 32; bit++) {
			flipped = base ^ (0x80000000U >> bit);
			in.s_addr = htonl(flipped);
			inet_ntop(AF_INET, &in, other, sizeof(other));
			CU_ASSERT_EQUAL(match(rules, other) != NULL,
					bit >= bits);
		}
		exports_rules_free(&rules);
	}
}

static void
mistakes_are_told(void)
{
	static const char *const bad[] = {
		"10.0.0.0/33", "10.0.0/8", "host.example", "10.0.0.1(rw",
		"10.0.0.1(rw,what)", "10.0.0.1(anonuid=)", "10.0.0.1()",
		"10.0.0.1(anonuid=-1)", "10.0.0.1(anonuid=4294967296)",
		"fd00::/129", "10.0.0.0/", "/8", "(rw)", "10.0.0.1(rw)x",
		"10.0.0.0/8/8",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct exports_rules *rules = NULL;
		char why[128] = "";

		CU_ASSERT_EQUAL(exports_rules_parse(bad[i], &rules, why,
						    sizeof(why)), -EINVAL);
		CU_ASSERT_PTR_NULL(rules);
		CU_ASSERT(strlen(why) > 0);
	}
}

static void
an_empty_list_admits_nobody(void)
{
	struct exports_rules *rules = parsed("");

	CU_ASSERT_PTR_NULL(match(rules, "127.0.0.1"));
	CU_ASSERT(exports_rules_local_only(rules));
	exports_rules_free(&rules);
}

static void
local_lists_are_known(void)
{
	const struct { const char *text; bool local; } cases[] = {
		{"127.0.0.0/8 ::1", true}, {"127.0.0.1", true},
		{"127.0.0.0/7", false}, {"::1/127", false}, {"*", false},
		{"127.0.0.1 10.0.0.1", false}, {"::/0", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct exports_rules *rules = parsed(cases[i].text);

		CU_ASSERT_EQUAL(exports_rules_local_only(rules),
				cases[i].local);
		exports_rules_free(&rules);
	}
}

/* ---- admission ---- */

static struct exports *
table(const char *clients, bool readonly)
{
	struct exports *exports = NULL;
	struct exports_rules *rules = parsed(clients);

	CU_ASSERT_EQUAL_FATAL(exports_new(&exports), 0);
	CU_ASSERT_EQUAL_FATAL(exports_add(exports, "/data", &one, readonly,
					  &rules), 0);
	return exports;
}

static struct rpc_request
call_from(const char *text, uint16_t port, uint32_t uid)
{
	struct rpc_request rq = {.cred = {.flavor = 1, .uid = uid, .gid = uid,
		.machine = "host", .group_count = 2, .groups = {0, 7}}};
	struct sockaddr_in6 *peer = (void *)&rq.peer;

	peer->sin6_family = AF_INET6;
	peer->sin6_addr = host(text);
	peer->sin6_port = htons(port);
	return rq;
}

static int
admit(const char *clients, bool readonly, const struct rpc_request *rq,
      struct gate_request *gate)
{
	struct exports *exports = table(clients, readonly);
	const char *reason = NULL;
	int r = exports_admit(exports_by_id(exports, 1), rq, gate, &reason);

	CU_ASSERT_EQUAL(r < 0, reason != NULL);
	exports_free(&exports);
	return r;
}

static void
hosts_that_are_not_listed_are_refused(void)
{
	struct rpc_request rq = call_from("10.0.0.1", 700, 5);
	struct gate_request gate;

	CU_ASSERT_EQUAL(admit("10.0.0.2", false, &rq, &gate), -EACCES);
	CU_ASSERT_EQUAL(admit("10.0.0.1", false, &rq, &gate), 0);
	CU_ASSERT_STRING_EQUAL(gate.who.name, "host");
	CU_ASSERT(IN6_IS_ADDR_V4MAPPED(&gate.who.addr));
	rq.peer.ss_family = AF_UNIX;
	CU_ASSERT_EQUAL(admit("*", false, &rq, &gate), -EACCES);
}

static void
ports_of_users_are_refused_unless_insecure(void)
{
	struct rpc_request rq = call_from("10.0.0.1", 1024, 5);
	struct gate_request gate;

	CU_ASSERT_EQUAL(admit("*", false, &rq, &gate), -EACCES);
	CU_ASSERT_EQUAL(admit("*(insecure)", false, &rq, &gate), 0);
	rq = call_from("10.0.0.1", 1023, 5);
	CU_ASSERT_EQUAL(admit("*", false, &rq, &gate), 0);
}

static void
root_is_squashed(void)
{
	struct rpc_request rq = call_from("10.0.0.1", 700, 0);
	struct gate_request gate;

	CU_ASSERT_EQUAL(admit("*(anonuid=5,anongid=6)", false, &rq, &gate), 0);
	CU_ASSERT(gate.cred.uid == 5 && gate.cred.gid == 6);
	CU_ASSERT_EQUAL(gate.cred.group_count, 0);
	CU_ASSERT_EQUAL(admit("*(no_root_squash)", false, &rq, &gate), 0);
	CU_ASSERT(gate.cred.uid == 0 && gate.cred.gid == 0);
	CU_ASSERT(gate.cred.group_count == 2 && gate.cred.groups[0] == 0);
	rq = call_from("10.0.0.1", 700, 1000);
	CU_ASSERT_EQUAL(admit("*", false, &rq, &gate), 0);
	CU_ASSERT(gate.cred.uid == 1000 && gate.cred.gid == 1000);
	/* A user's group 0 is root's group. */
	CU_ASSERT(gate.cred.groups[0] == 65534 && gate.cred.groups[1] == 7);
	CU_ASSERT_EQUAL(admit("*(all_squash)", false, &rq, &gate), 0);
	CU_ASSERT(gate.cred.uid == 65534 && gate.cred.group_count == 0);
}

static void
auth_none_is_nobody(void)
{
	struct rpc_request rq = call_from("10.0.0.1", 700, 0);
	struct gate_request gate;

	rq.cred = (struct rpc_cred){.flavor = 0};
	CU_ASSERT_EQUAL(admit("*(no_root_squash)", false, &rq, &gate), 0);
	CU_ASSERT(gate.cred.uid == 65534 && gate.cred.gid == 65534);
}

static void
readonly_comes_from_either_side(void)
{
	struct rpc_request rq = call_from("10.0.0.1", 700, 5);
	struct gate_request gate;

	CU_ASSERT_EQUAL(admit("*(rw)", false, &rq, &gate), 0);
	CU_ASSERT_FALSE(gate.readonly);
	CU_ASSERT_EQUAL(admit("*(ro)", false, &rq, &gate), 0);
	CU_ASSERT_TRUE(gate.readonly);
	CU_ASSERT_EQUAL(admit("*(rw)", true, &rq, &gate), 0);
	CU_ASSERT_TRUE(gate.readonly);
}

static void
paths_find_the_longest_export(void)
{
	struct exports *exports = table("*", false);
	struct exports_rules *rules = parsed("*"), *again = parsed("*");
	const char *rest = NULL;

	CU_ASSERT_EQUAL(exports_add(exports, "/data/sub", &two, false,
				    &rules), 0);
	CU_ASSERT_EQUAL(exports_add(exports, "/data", &two, false, &again),
			-EEXIST);
	CU_ASSERT_PTR_NOT_NULL(again);
	exports_rules_free(&again);
	CU_ASSERT_EQUAL(exports_entry_id(exports_by_path(
		exports, "/data/sub/x", &rest)), 2);
	CU_ASSERT_STRING_EQUAL(rest, "/x");
	CU_ASSERT_EQUAL(exports_entry_id(exports_by_path(
		exports, "/data/subs", &rest)), 1);
	CU_ASSERT_STRING_EQUAL(rest, "/subs");
	CU_ASSERT_PTR_NULL(exports_by_path(exports, "/dat", &rest));
	CU_ASSERT_PTR_NULL(exports_by_path(exports, "/", &rest));
	CU_ASSERT_PTR_NULL(exports_by_id(exports, 3));
	exports_free(&exports);
}

static atomic_bool stop;

static void *
admit_on(void *arg)
{
	struct rpc_request rq = call_from("10.0.0.1", 700, 0);
	uintptr_t mixed = 0;

	while (!atomic_load(&stop)) {
		struct gate_request gate;
		const char *reason;

		if (exports_admit(exports_by_id(arg, 1), &rq, &gate,
				  &reason) != 0 ||
		    gate.cred.uid != gate.cred.gid ||
		    gate.readonly != (gate.cred.uid == 2))
			mixed++;
	}
	return (void *)mixed;
}

static void
rules_change_under_readers(void)
{
	struct exports *exports = table("*(anonuid=1,anongid=1)", false);
	struct exports_rules *rules = parsed("*");
	pthread_t threads[2];
	void *mixed;

	CU_ASSERT_EQUAL(exports_reload(exports, "/none", false, &rules),
			-ENOENT);
	exports_rules_free(&rules);
	atomic_store(&stop, false);
	for (int i = 0; i < 2; i++)
		CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL,
						     admit_on, exports), 0);
	for (int i = 0; i < 500; i++) {
		rules = parsed(i % 2 ? "*(anonuid=1,anongid=1)" :
			       "*(anonuid=2,anongid=2,ro)");
		CU_ASSERT_EQUAL(exports_reload(exports, "/data", false,
					       &rules), 0);
	}
	atomic_store(&stop, true);
	for (int i = 0; i < 2; i++) {
		pthread_join(threads[i], &mixed);
		CU_ASSERT_PTR_NULL(mixed);
	}
	exports_free(&exports);
}

TEST_MAIN("nfsd_exports", T(a_list_is_read), T(the_longest_prefix_decides),
	  T(every_prefix_length_matches_as_it_should), T(mistakes_are_told),
	  T(an_empty_list_admits_nobody), T(local_lists_are_known),
	  T(hosts_that_are_not_listed_are_refused),
	  T(ports_of_users_are_refused_unless_insecure), T(root_is_squashed),
	  T(auth_none_is_nobody), T(readonly_comes_from_either_side),
	  T(paths_find_the_longest_export), T(rules_change_under_readers))
