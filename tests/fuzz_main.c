/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Stands in for a fuzzer's main in `make check`: gives each file of a corpus
 * to the fuzz entry.  Arguments are files or directories; without any it is
 * SRCDIR/tests/corpus/NAME for a program fuzz_NAME.
 */

#include <config.h>

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
run_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data = malloc(1 << 20);
	size_t size;

	if (f == NULL || data == NULL) {
		perror(path);
		if (f != NULL)
			fclose(f);
		free(data);
		return 0;
	}
	size = fread(data, 1, 1 << 20, f);
	fclose(f);
	/* In memory of its own size, so that sanitizers see its end. */
	uint8_t *tight = malloc(size > 0 ? size : 1);

	if (tight != NULL) {
		memcpy(tight, data, size);
		LLVMFuzzerTestOneInput(tight, size);
	}
	free(tight);
	free(data);
	return 1;
}

static int
run_path(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *d;
	int count = 0;

	if (dir == NULL)
		return run_file(path);
	while ((d = readdir(dir)) != NULL) {
		char file[4096];

		if (d->d_name[0] == '.')
			continue;
		snprintf(file, sizeof(file), "%s/%s", path, d->d_name);
		count += run_file(file);
	}
	closedir(dir);
	return count;
}

int
main(int argc, char **argv)
{
	const char *srcdir = getenv("srcdir");
	const char *name = strstr(argv[0], "fuzz_");
	char path[4096];
	int count = 0;

	for (int i = 1; i < argc; i++)
		count += run_path(argv[i]);
	if (argc < 2 && name != NULL) {
		snprintf(path, sizeof(path), "%s/tests/corpus/%s",
			 srcdir != NULL ? srcdir : ".", name + 5);
		count = run_path(path);
	}
	printf("%d inputs\n", count);
	return count == 0;
}
