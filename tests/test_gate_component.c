/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Components of keys and file names: each mangled thing has its form, and every
 * component comes back from its name.
 */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "nfsd/gate/path/path.h"
#include "tests/unit.h"

static bool
named(bool any_bytes, const char *component, bool shadowed, const char *want)
{
	char name[META_NAME_MAX + 1], back[COMPONENT_MAX + 1] = "?";
	enum component_form form;

	component_to_name(any_bytes, component, shadowed, name);
	form = component_from_name(any_bytes, name, back);
	if (strcmp(name, want) != 0)
		fprintf(stderr, "%s is named %s, not %s\n", component, name,
			want);
	if (strcmp(back, component) != 0)
		fprintf(stderr, "%s comes back as %s\n", component, back);
	return strcmp(name, want) == 0 && strcmp(back, component) == 0 &&
	       (shadowed ? form == COMPONENT_SHADOWED :
		form == COMPONENT_PLAIN || form == COMPONENT_MANGLED);
}

static void
each_mangled_component_has_its_name(void)
{
	CU_ASSERT(named(false, "plain", false, "plain"));
	CU_ASSERT(named(false, "caf\xc3\xa9", false, "caf\xc3\xa9"));
	CU_ASSERT(named(false, "cafe\xcc\x81", false, "cafe\xcc\x81"));
	CU_ASSERT(named(false, "a\x01\nb", false, "a\x01\nb"));
	CU_ASSERT(named(false, "100%", false, "100%"));
	CU_ASSERT(named(false, "...", false, "..."));
	CU_ASSERT(named(false, "", false, "%s3%"));
	CU_ASSERT(named(false, ".", false, "%s3%."));
	CU_ASSERT(named(false, "..", false, "%s3%.."));
	CU_ASSERT(named(false, "%s3", false, "%s3%%s3"));
	CU_ASSERT(named(false, "%s3%x", false, "%s3%%s3%x"));
	CU_ASSERT(named(false, "%s3-raw%41", false, "%s3%%s3-raw%41"));
	CU_ASSERT(named(false, "%s3-raw%ff", false, "%s3%%s3-raw%ff"));
	/* A store that took it all the same. */
	CU_ASSERT(named(false, "caf\xe9", false, "%s3%caf\xe9"));
	CU_ASSERT(named(true, "caf\xe9", false, "caf\xe9"));
	CU_ASSERT(named(true, "%s3-raw%E9", false, "%s3%%s3-raw%E9"));
	CU_ASSERT(named(false, "d", true, "%s3-file%d"));
	CU_ASSERT(named(false, "..", true, "%s3-file%.."));
}

static void
names_that_are_not_utf8_are_encoded_in_keys(void)
{
	CU_ASSERT(named(false, "%s3-raw%caf%E9", false, "caf\xe9"));
	CU_ASSERT(named(false, "%s3-raw%%25%FF", false, "%\xff"));
	/* surrogates, overlong forms, past the last plane, cut */
	CU_ASSERT(named(false, "%s3-raw%%ED%A0%80", false, "\xed\xa0\x80"));
	CU_ASSERT(named(false, "%s3-raw%%C0%AF", false, "\xc0\xaf"));
	CU_ASSERT(named(false, "%s3-raw%%F4%90%80%80", false,
			"\xf4\x90\x80\x80"));
	CU_ASSERT(named(false, "%s3-raw%%E2%82", false, "\xe2\x82"));
}

static void
names_without_a_meaning_are_none(void)
{
	static const char *const names[] = {
		"%s3", "%s3x", "%s3%plain", "%s3-file%", "%s3-long%x",
		"%s3-raw%caf%E9", "%s3-long%a%0123456789ABCDEF0123456789ABCDEF",
	};
	char component[COMPONENT_MAX + 1];

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		CU_ASSERT_EQUAL(component_from_name(false, names[i], component),
				COMPONENT_NONE);
}

static void
long_parts_are_told_apart_by_their_hash(void)
{
	char a[COMPONENT_MAX + 1], b[COMPONENT_MAX + 1],
	    component[COMPONENT_MAX + 1];
	char name[META_NAME_MAX + 1], other[META_NAME_MAX + 1];

	memset(a, 'x', 300);
	a[300] = '\0';
	strcpy(b, a);
	b[299] = 'y';
	component_to_name(false, a, false, name);
	component_to_name(false, b, false, other);
	CU_ASSERT(strlen(name) <= META_NAME_MAX);
	CU_ASSERT_STRING_NOT_EQUAL(name, other);
	CU_ASSERT_EQUAL(component_from_name(false, name, component),
			COMPONENT_LONG);
	component_head(name, other);
	CU_ASSERT(strlen(other) > 100);
	CU_ASSERT_EQUAL(strncmp(a, other, strlen(other)), 0);
	component_to_name(false, a, true, other);
	CU_ASSERT_EQUAL(component_from_name(false, other, component),
			COMPONENT_SHADOWED_LONG);
	/* 255 bytes are a name; with a directory beside it a long one. */
	a[255] = '\0';
	CU_ASSERT(named(false, a, false, a));
	component_to_name(false, a, true, other);
	CU_ASSERT_EQUAL(component_from_name(false, other, component),
			COMPONENT_SHADOWED_LONG);
	/* Cut between characters. */
	for (size_t i = 0; i + 2 < 1000; i += 3)
		memcpy(b + i, "\xe2\x82\xac", 4);
	component_to_name(false, b, false, name);
	component_head(name, other);
	CU_ASSERT_EQUAL(strlen(other) % 3, 0);
}

/* Parts made of what matters, all there are up to a length. */
static void
every_part_comes_back(void)
{
	static const char *const bits[] = {
		"%s3", "%", "-raw%", "-file%", "-long%", ".", "E9", "\xe9",
		"\xc3\xa9", "a", "%25",
	};
	const unsigned n = sizeof(bits) / sizeof(*bits);
	unsigned wrong = 0;

	for (unsigned i = 0; i < (n + 1) * (n + 1) * (n + 1) * (n + 1); i++) {
		char component[64] = "", name[META_NAME_MAX + 1];
		char back[COMPONENT_MAX + 1] = "?";

		for (unsigned k = i; k > 0; k /= n + 1)
			strcat(component,
			       k % (n + 1) < n ? bits[k % (n + 1)] : "");
		for (int how = 0; how < 4; how++) {
			enum component_form form;

			if (component[0] == '\0' && how & 2)
				continue;	/* no file has it */
			component_to_name(how & 1, component, how & 2, name);
			form = component_from_name(how & 1, name, back);
			wrong += strcmp(back, component) != 0 ||
				 name[0] == '\0' || strcmp(name, ".") == 0 ||
				 strcmp(name, "..") == 0 ||
				 (form == COMPONENT_SHADOWED) != !!(how & 2);
		}
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

TEST_MAIN("gate_component", T(each_mangled_component_has_its_name),
	  T(names_that_are_not_utf8_are_encoded_in_keys),
	  T(names_without_a_meaning_are_none),
	  T(long_parts_are_told_apart_by_their_hash),
	  T(every_part_comes_back))
