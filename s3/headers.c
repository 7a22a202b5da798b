/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Lists of headers that live with an object.  They are short (S3 allows
 * 2 KiB of user metadata), so a plain array with linear search serves.
 * Nothing changes in a list when memory runs out.
 */

#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "s3/s3.h"

static size_t
find(const struct s3_headers *h, const char *name)
{
	size_t i;

	for (i = 0; i < h->count; i++)
		if (strcmp(h->list[i].name, name) == 0)
			break;
	return i;
}

const char *
s3_headers_get(const struct s3_headers *h, const char *name)
{
	size_t i = find(h, name);

	return i < h->count ? h->list[i].value : NULL;
}

static void
remove_at(struct s3_headers *h, size_t i)
{
	if (i >= h->count)
		return;
	free(h->list[i].name);
	free(h->list[i].value);
	h->count--;
	memmove(&h->list[i], &h->list[i + 1],
		(h->count - i) * sizeof(*h->list));
}

static int
append(struct s3_headers *h, const char *name, char *value)
{
	struct s3_header *list;
	char *copy = strdup(name);

	if (copy == NULL)
		return -ENOMEM;
	list = realloc(h->list, (h->count + 1) * sizeof(*list));
	if (list == NULL) {
		free(copy);
		return -ENOMEM;
	}
	h->list = list;
	list[h->count++] = (struct s3_header){ .name = copy, .value = value };
	return 0;
}

int
s3_headers_set(struct s3_headers *h, const char *name, const char *value)
{
	size_t i = find(h, name);
	char *copy;
	int r;

	if (value == NULL) {
		remove_at(h, i);
		return 0;
	}
	copy = strdup(value);
	if (copy == NULL)
		return -ENOMEM;
	if (i < h->count) {
		free(h->list[i].value);
		h->list[i].value = copy;
		return 0;
	}
	r = append(h, name, copy);
	if (r < 0)
		free(copy);
	return r;
}

int
s3_headers_copy(const struct s3_headers *from, struct s3_headers *to)
{
	struct s3_headers copy = { 0 };

	for (size_t i = 0; i < from->count; i++) {
		char *value = strdup(from->list[i].value);
		int r = value != NULL ?
			append(&copy, from->list[i].name, value) : -ENOMEM;

		if (r < 0) {
			free(value);
			s3_headers_free(&copy);
			return r;
		}
	}
	s3_headers_free(to);
	*to = copy;
	return 0;
}

void
s3_headers_free(struct s3_headers *h)
{
	for (size_t i = 0; i < h->count; i++) {
		free(h->list[i].name);
		free(h->list[i].value);
	}
	free(h->list);
	*h = (struct s3_headers){ 0 };
}

void
s3_object_free(struct s3_object *object)
{
	s3_headers_free(&object->headers);
}
