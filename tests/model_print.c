/* SPDX-License-Identifier: Apache-2.0 */
/* States and requests of the model, for people. */

#include <config.h>

#include "rpcgen/nfs3.h"
#include "tests/model_priv.h"

static void
print_content(const char *what, const struct content *c, FILE *out)
{
	fprintf(out, " %s=%u[", what, m_bound[c->cells]);
	for (unsigned i = 0; i < c->cells; i++)
		fprintf(out, "%s%u", i ? " " : "", c->cell[i]);
	fputc(']', out);
}

void
m_print(const struct m_world *w, FILE *out)
{
	static const char *const names[] = { "IDLE", "ACTIVE", "PENDING" };

	for (size_t i = 0; i < w->now.count && i < 12; i++) {
		fprintf(out, "  state %zu of %zu\n", i + 1, w->now.count);
		for (unsigned k = 0; k < M_NAMES; k++) {
			const struct file *f = &w->now.list[i].f[k];

			if (f->number == 0)
				continue;
			fprintf(out, "    %c: file %u %s", "ab"[k], f->number,
				names[f->state]);
			if (f->state != IDLE)
				fprintf(out, " writer %c", "ABC"[f->writer]);
			fprintf(out, "%s%s%s", f->created ? " created" : "",
				f->dirty ? " dirty" : "",
				f->kicked ? " kicked" : "");
			if (f->reserved)
				fprintf(out, " reserved for %c",
					"ABC"[f->reserved - 1]);
			fprintf(out, " mode=%o", f->mode);
			print_content("flushed", &f->flushed, out);
			if (f->state == ACTIVE)
				print_content("live", &f->live, out);
			if (f->hardened)
				print_content("hard", &f->hard, out);
			if (f->has_object)
				print_content("object", &f->object, out);
			if (f->owed_writer | f->owed_opener | f->may_be_owed)
				fprintf(out, " owed=%x/%x/%x", f->owed_writer,
					f->owed_opener, f->may_be_owed);
			if (f->lapsed | f->fenced | f->hazy)
				fprintf(out, " lapsed=%x fenced=%x/%x "
					"hazy=%x", f->lapsed, f->fenced,
					f->discarded, f->hazy);
			fprintf(out, " uncommitted=%x mtime=%u/%u\n",
				f->uncommitted, f->mtime, f->live_mtime);
		}
	}
}

void
m_op_print(const struct m_op *op, FILE *out)
{
	static const char *const kinds[M_KINDS] = {
		"WRITE", "COMMIT", "READ", "GETATTR", "SETATTR size",
		"SETATTR mode", "SETATTR mtime", "CREATE", "REMOVE", "RENAME",
		"LOOKUP", "READDIR", "wait", "fault", "kill -9",
		"retransmit", "clock", "host"
	};
	static const char *const faults[] = { "none", "refusing", "failing",
					      "slow", "losing" };
	char rule[160];

	if (op->kind >= M_WAIT) {
		fprintf(out, "%s", kinds[op->kind]);
		if (op->kind == M_HOST)
			m_host_rule(op, rule, sizeof(rule));
		if (op->kind == M_HOST)
			fprintf(out, " %s", rule[0] != '\0' ? rule : "sound");
		else if (op->kind == M_FAULT)
			fprintf(out, " %s", faults[op->how]);
		else if (op->kind == M_CRASH && op->how == 1)
			fprintf(out, " (SIGTERM)");
		else
			fprintf(out, " %u", op->arg);
	} else {
		fprintf(out, "%c %s %c%s", "ABC"[op->client], kinds[op->kind],
			"ab"[op->name], op->stale ? " (old handle)" : "");
	}
	if (op->kind <= M_READ)
		fprintf(out, " %u..%u", m_bound[op->from], m_bound[op->to]);
	if (op->kind == M_WRITE)
		fprintf(out, " %s", op->how == UNSTABLE ? "unstable"
							: "stable");
	if (op->kind == M_CREATE)
		fprintf(out, " %s", op->how == UNCHECKED ? "unchecked"
				    : op->how == GUARDED ? "guarded"
							 : "exclusive");
	if ((op->kind == M_CREATE || op->kind == M_TRUNCATE) &&
	    op->to != M_NONE)
		fprintf(out, " size=%u", m_bound[op->to]);
	if (op->kind == M_CREATE || op->kind == M_MODE)
		fprintf(out, " 0%o", op->arg);
	if (op->kind == M_MTIME)
		fprintf(out, " %u", op->arg);
	fprintf(out, "%s", op->with_next ? " &" : "");
}
