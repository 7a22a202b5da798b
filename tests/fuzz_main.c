/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Stands in for a fuzzer's main in `make check`: gives each file of a corpus
 * to the fuzz entry.  Arguments are files or directories; without any it is
 * SRCDIR/tests/corpus/NAME for a program fuzz_NAME.  Of small files it also
 * gives every prefix and some hundred mutations, always the same ones: cheap,
 * and it finds the obvious.
 */

#include <config.h>

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FILE_MAX (1 << 20)
#define SMALL 2048
#define MUTATIONS 500

/* In memory of its own size, so that sanitizers see its end. */
static void
feed(const uint8_t *data, size_t size)
{
	uint8_t *tight = malloc(size > 0 ? size : 1);

	if (tight == NULL)
		abort();
	memcpy(tight, data, size);
	LLVMFuzzerTestOneInput(tight, size);
	free(tight);
}

static void
mutate(const uint8_t *data, size_t size)
{
	static const uint8_t odd[] = "\0\r\n<>&%\"\xff\x80" "0";
	uint64_t x = size * 0x9e3779b97f4a7c15ULL + 1;
	uint8_t *copy = malloc(size);

	for (unsigned i = 0; copy != NULL && i < MUTATIONS; i++) {
		memcpy(copy, data, size);
		for (unsigned j = 0; j <= i % 3; j++) {
			x = x * 6364136223846793005ULL + 1442695040888963407ULL;
			copy[(x >> 33) % size] =
				odd[(x >> 17) % (sizeof(odd) - 1)];
		}
		feed(copy, size);
	}
	free(copy);
}

static int
run_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data = malloc(FILE_MAX);
	size_t size;

	if (f == NULL || data == NULL) {
		perror(path);
		if (f != NULL)
			fclose(f);
		free(data);
		return 0;
	}
	size = fread(data, 1, FILE_MAX, f);
	fclose(f);
	feed(data, size);
	for (size_t i = 0; size <= SMALL && i < size; i++)
		feed(data, i);
	if (size > 0 && size <= SMALL)
		mutate(data, size);
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
