/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Columns are as wide as their widest cell; numbers stand right, texts left.
 * The last column is not padded.  A character of UTF-8 counts as one, however
 * many bytes it has (and wide ones as one too).  Control characters of names
 * come out as '?': a file's name must not move the cursor of who lists it.
 */
#include <config.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "nfsd/s3nfsctl_print.h"

#define CELL 1200

/* "1.5 MiB"; exact below 1024. */
static void
print_size(uint64_t bytes, char *out, size_t size)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB"};
	double value = (double)bytes;
	int unit = -1;

	while (value >= 1023.95 && unit < 4) {
		value /= 1024;
		unit++;
	}
	if (unit < 0)
		snprintf(out, size, "%" PRIu64 " B", bytes);
	else
		snprintf(out, size, "%.1f %s", value, units[unit]);
}

/* "950 ms", "12 s", "3 min", "2.5 h", "4 d". */
static void
print_age(uint64_t ms, char *out, size_t size)
{
	if (ms < 1000)
		snprintf(out, size, "%" PRIu64 " ms", ms);
	else if (ms < 120 * 1000)
		snprintf(out, size, "%" PRIu64 " s", ms / 1000);
	else if (ms < 120 * 60 * 1000)
		snprintf(out, size, "%" PRIu64 " min", ms / 60000);
	else if (ms < 48ULL * 3600 * 1000)
		snprintf(out, size, "%.1f h", (double)ms / 3600000);
	else
		snprintf(out, size, "%" PRIu64 " d", ms / 86400000);
}

static void
text_of(const json_t *value, char *out, size_t size)
{
	const char *text = json_string_value(value);
	size_t used = 0;

	if (json_is_array(value)) {
		size_t i;
		json_t *one;

		json_array_foreach(value, i, one) {
			const char *item = json_string_value(
				json_is_object(one) ?
				json_object_get(one, "text") : one);

			if (item != NULL && used < size)
				used += (size_t)snprintf(out + used,
							 size - used, "%s%s",
							 i ? " " : "", item);
		}
	} else {
		snprintf(out, size, "%s", text != NULL ? text : "");
	}
	for (char *c = out; *c != '\0'; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	}
}

static void
cell(const json_t *object, const struct print_column *column, char *out,
     size_t size)
{
	const json_t *value = json_object_get(object, column->key);
	uint64_t number = (uint64_t)json_integer_value(value);

	out[0] = '\0';
	switch (column->form) {
	case PRINT_TEXT:
		text_of(value, out, size);
		break;
	case PRINT_SIZE:
		print_size(number, out, size);
		break;
	case PRINT_AGE:
		print_age(number, out, size);
		break;
	case PRINT_NUMBER:
		snprintf(out, size, "%" PRIu64, number);
		break;
	}
	/* An empty cell would shift what a script cuts out. */
	if (out[0] == '\0')
		snprintf(out, size, "-");
}

static int
width_of(const char *text)
{
	int width = 0;

	for (; *text != '\0'; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

static void
put_cell(FILE *out, const char *text, enum print_form form, int width,
	 bool last)
{
	if (form != PRINT_TEXT)
		fprintf(out, "%*s", width, text);
	else if (last)
		fputs(text, out);
	else
		fprintf(out, "%s%*s", text, width - width_of(text), "");
	fputs(last ? "\n" : "  ", out);
}

void
print_table(FILE *out, const json_t *rows, const struct print_column *columns,
	    unsigned count)
{
	char text[CELL];
	int widths[16] = {0};
	size_t i;
	json_t *row;

	for (unsigned c = 0; c < count && c < 16; c++) {
		widths[c] = (int)strlen(columns[c].title);
		json_array_foreach(rows, i, row) {
			cell(row, &columns[c], text, sizeof(text));
			if (width_of(text) > widths[c])
				widths[c] = width_of(text);
		}
	}
	for (unsigned c = 0; c < count && c < 16; c++)
		put_cell(out, columns[c].title, columns[c].form, widths[c],
			 c + 1 == count);
	json_array_foreach(rows, i, row) {
		for (unsigned c = 0; c < count && c < 16; c++) {
			cell(row, &columns[c], text, sizeof(text));
			put_cell(out, text, columns[c].form, widths[c],
				 c + 1 == count);
		}
	}
}

void
print_fields(FILE *out, const json_t *object,
	     const struct print_column *columns, unsigned count)
{
	char text[CELL];
	int width = 0;

	for (unsigned c = 0; c < count; c++) {
		if ((int)strlen(columns[c].title) > width)
			width = (int)strlen(columns[c].title);
	}
	for (unsigned c = 0; c < count; c++) {
		cell(object, &columns[c], text, sizeof(text));
		fprintf(out, "%s:%*s%s\n", columns[c].title,
			width - (int)strlen(columns[c].title) + 2, "", text);
	}
}

void
print_progress(FILE *out, uint64_t sent, uint64_t total, unsigned width)
{
	char of[32], done[32], bar[128];
	unsigned cells = width > 60 ? width - 40 : 20, full;

	if (cells >= sizeof(bar))
		cells = sizeof(bar) - 1;
	if (sent > total)
		sent = total;
	full = total == 0 ? cells :
	       (unsigned)((double)sent / (double)total * cells);
	memset(bar, ' ', cells);
	memset(bar, '=', full);
	bar[cells] = '\0';
	print_size(sent, done, sizeof(done));
	print_size(total, of, sizeof(of));
	fprintf(out, "\r[%s] %3u %% %s of %s\033[K", bar, total == 0 ? 100 :
		(unsigned)((double)sent * 100 / (double)total), done, of);
	fflush(out);
}
