/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which bucket an export's rows mean.  They speak of keys and ETags, which say
 * nothing in another bucket: an upload that is pending would go to a stranger,
 * a deletion would take what he has there.  So the place of an export (URL,
 * prefix and endpoint) is on record, and a name that points elsewhere now is
 *
 *	owing nothing	given away: the rows of the old place are forgotten
 *	owing		refused, with a line that names the ways out:
 *	rebind=same	it is the same bucket under another address
 *	rebind=other	what is owed is parked under the name of its place, like
 *			that of an export that is not served (absent.c), and
 *			taken up when the name points there again
 *
 * And by which number its root is known.
 */

#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "nfsd/gate/inside.h"
#include "nfsd/gate/worker/worker.h"

#define PLACE_MAX 4096
#define WHERE_MAX (PLACE_MAX + META_NAME_MAX + 4)

struct owed_by {
	uint32_t id;
	struct meta_owed found;
};

static int
find_owed(void *arg, const struct meta_owed *owed)
{
	struct owed_by *by = arg;

	if (owed->export_id == by->id)
		by->found = *owed;
	return 0;
}

static ssize_t
get_place(struct gate_export *x, char out[PLACE_MAX])
{
	char name[32];
	ssize_t n;

	snprintf(name, sizeof(name), "place.%u", x->id);
	n = meta_get_setting(x->gate->meta, name, out, PLACE_MAX - 1);
	if (n >= 0)
		out[n] = '\0';
	return n;
}

static int
put_place(struct gate_export *x)
{
	struct meta_batch *b = meta_batch_new();
	char name[32];

	snprintf(name, sizeof(name), "place.%u", x->id);
	if (b != NULL)
		meta_put_setting(b, name, x->c.place, strlen(x->c.place));
	return meta_commit(x->gate->meta, &b);
}

/* What it is called while its name is another place's. */
static void
parked_name(const struct gate_export *x, const char *place, char *out)
{
	snprintf(out, WHERE_MAX, "%s (%s)", x->c.name, place);
}

static int
root_of(struct gate *g, uint32_t id, uint64_t *root)
{
	char name[32];
	ssize_t n;

	snprintf(name, sizeof(name), "root.%u", id);
	*root = 0;
	n = meta_get_setting(g->meta, name, root, sizeof(*root));
	return n == -ENOENT ? 0 : n < 0 ? (int)n : 0;
}

/* Its root's number is to be the next one's. */
static int
park(struct gate_export *x, const char *place)
{
	struct gate *g = x->gate;
	char name[WHERE_MAX];
	uint64_t root, other;
	int r = root_of(g, x->id, &root);

	if (r == 0)
		r = meta_new_ino(g->meta, &other);
	if (r < 0)
		return r;
	parked_name(x, place, name);
	return meta_rename_export(g->meta, x->id, name, root, other);
}

static int
take_up(struct gate_export *x, uint32_t id)
{
	struct gate *g = x->gate;
	uint64_t root, named;
	int r = root_of(g, id, &root);

	if (r == 0)
		r = export_root_number(x, &named);
	if (r == 0)
		r = meta_rename_export(g->meta, id, x->c.name, root, named);
	return r;
}

static void
refuse(struct gate_export *x, const char *place, const struct meta_owed *o)
{
	struct gate *g = x->gate;

	if (g->config.why != NULL)
		snprintf(g->config.why, g->config.why_size,
			 "its name was that of %s, which is owed %llu files "
			 "(%llu bytes), %llu deletions, %llu renamed "
			 "directories and has %llu in quarantine; name that "
			 "bucket again and run `s3nfsctl flush --all', or set "
			 "export.rebind=same (the same bucket under another "
			 "address) or =other (all that is kept until the name "
			 "points there again)",
			 place, (unsigned long long)o->files,
			 (unsigned long long)o->bytes,
			 (unsigned long long)o->deletions,
			 (unsigned long long)o->moves,
			 (unsigned long long)o->quarantined);
}

/* The name leaves its rows, which are those of `place`.  -EXDEV: refused. */
static int
leave(struct gate_export *x, const char *place)
{
	struct gate *g = x->gate;
	struct owed_by by = { .id = x->id };
	int r = meta_each_owed(g->meta, find_owed, &by);

	if (r < 0)
		return r;
	if (!meta_owes(&by.found)) {
		gate_say(g, 2, "export=%s is %s now, not %s", x->c.name,
			 x->c.place, place);
		return meta_drop_export(g->meta, x->id);
	}
	if (x->c.rebind != GATE_REBIND_OTHER) {
		refuse(x, place, &by.found);
		return -EXDEV;
	}
	gate_say(g, 1, "export=%s is %s now; what is owed to %s is kept",
		 x->c.name, x->c.place, place);
	return park(x, place);
}

int
binding_check(struct gate_export *x)
{
	struct meta *meta = x->gate->meta;
	char place[PLACE_MAX], name[WHERE_MAX];
	ssize_t n = get_place(x, place);
	uint32_t parked = 0;
	int r;

	if (n < 0 && n != -ENOENT)
		return (int)n;
	if (n >= 0 && strcmp(place, x->c.place) == 0)
		return 0;
	if (n >= 0 && x->c.rebind == GATE_REBIND_SAME) {
		gate_say(x->gate, 1, "export=%s: %s is taken for what was %s",
			 x->c.name, x->c.place, place);
		return put_place(x);
	}
	parked_name(x, x->c.place, name);
	r = meta_find_export(meta, name, &parked);
	if (r < 0 && r != -ENOENT)
		return r;
	/* New, or of an older version. */
	if (n < 0 && r == -ENOENT)
		return put_place(x);
	r = leave(x, n < 0 ? "another bucket" : place);
	if (r == 0 && parked != 0) {
		x->id = parked;
		return take_up(x, parked);
	}
	if (r == 0)
		r = meta_export_id(meta, x->c.name, &x->id);
	return r < 0 ? r : put_place(x);
}

/* ---- numbers of roots ---- */

uint64_t
name_number(const char *name)
{
	uint64_t number = 0xcbf29ce484222325ULL;

	for (; *name != '\0'; name++)
		number = (number ^ (unsigned char)*name) * 0x100000001b3ULL;
	return number;
}

uint64_t
named_root(const struct gate_export *x)
{
	uint64_t number = name_number(x->c.name);

	return META_ROOTS_FROM |
	       ((number ^ number >> 32) & (META_ROOTS_FROM - 1));
}

/*
 * Clients keep a mount by the root's handle, its number and the number of its
 * file system.  All three follow from the export's name alone, so that a
 * gateway with a new state directory is the one that they have mounted.  The
 * numbers of a database that an older version made stay as they are, and so
 * does one whose number another export has.
 */
int
export_root_number(struct gate_export *x, uint64_t *out)
{
	struct meta *meta = x->gate->meta;
	struct meta_inode row = { 0 };
	int r;

	*out = named_root(x);
	r = meta_get_inode(meta, *out, &row);
	if (r == 0)
		meta_inode_fini(&row);
	return r == -ENOENT ? 0 : r < 0 ? r : meta_new_ino(meta, out);
}

bool
gate_root_is_named(const struct gate_export *x)
{
	return x->root >= META_ROOTS_FROM && x->root < META_ROOTS_TO;
}
