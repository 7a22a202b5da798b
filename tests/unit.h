/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_H
#define TESTS_UNIT_H

/*
 * One CUnit program a file:
 *
 *	TEST_MAIN("s3_sign", T(signs_the_published_get), T(...))
 *
 * Each case is named by the sentence it proves.  Names on the command line
 * pick cases.  Exit status: 0 all passed, 1 some failed, 77 skipped.
 */

#include <CUnit/Basic.h>
#include <stdio.h>
#include <string.h>

struct unit_case {
	const char *name;
	void (*run)(void);
};

#define T(name) { #name, name }

static inline int
unit_run(const char *suite_name, const struct unit_case *cases, size_t count,
	 int argc, char **argv)
{
	CU_pSuite suite;
	unsigned failed;

	if (CU_initialize_registry() != CUE_SUCCESS)
		return 99;
	suite = CU_add_suite(suite_name, NULL, NULL);
	if (suite == NULL)
		return 99;
	for (size_t i = 0; i < count; i++) {
		int wanted = argc < 2;

		for (int j = 1; j < argc; j++)
			wanted |= strcmp(argv[j], cases[i].name) == 0;
		if (wanted && CU_add_test(suite, cases[i].name,
					  cases[i].run) == NULL)
			return 99;
	}
	if (CU_get_registry()->uiNumberOfTests == 0) {
		fprintf(stderr, "%s: no such case\n", suite_name);
		return 99;
	}
	CU_basic_set_mode(CU_BRM_VERBOSE);
	CU_basic_run_tests();
	failed = CU_get_number_of_failures();
	CU_cleanup_registry();
	return failed != 0;
}

#define TEST_MAIN(suite_name, ...)                                            \
	int main(int argc, char **argv)                                       \
	{                                                                     \
		static const struct unit_case cases[] = { __VA_ARGS__ };      \
		return unit_run(suite_name, cases,                            \
				sizeof(cases) / sizeof(*cases), argc, argv);  \
	}

#endif
