/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A failing machine, in schedules and in the model (check_model --faults): an
 * op of the schedule arms a rule of tests/host_fault.c, or takes all away.
 *
 * What the oracle then allows is little.  A request that was sent while one
 * was armed may be refused, and then it did not happen: no name, byte or
 * attribute of it is seen by anybody, now, after a kill or in the bucket.
 * Bytes that were only taken (UNSTABLE) may be lost, if the write verifier
 * changes.  All that was answered stays true, and when the faults are over
 * everything works again and reaches the bucket.
 */

#include <config.h>

#include <stdio.h>
#include <string.h>

#include "rpcgen/nfs3.h"
#include "tests/model_priv.h"

#define DATA "match=*/state/data*"

/* ---- rules ---- */

void
m_host_rule(const struct m_op *op, char *out, size_t size)
{
	static const char *const sqls[] = { "BUSY", "FULL", "IOERR", "NOMEM",
					    "FULL rollback",
					    "IOERR rollback" };
	static const char *const outages[] = {
		"op=begin error=SQLITE_BUSY", "op=commit error=SQLITE_FULL",
		"op=commit error=SQLITE_IOERR rollback",
		"op=insert,delete error=SQLITE_FULL rollback",
		"op=select error=SQLITE_IOERR",
	};
	static const char *const files[] = {
		"op=write error=EIO", "op=write error=ENOSPC",
		"op=fsync error=EIO", "op=open error=EMFILE",
		"op=open error=EIO", "op=punch error=EIO",
		"op=rename error=EIO", "op=unlink error=EIO",
		"op=ftruncate error=EIO", "op=read error=EIO",
		"op=write,read short", "op=statvfs error=EIO",
	};
	static const char *const data_outages[] = {
		"op=write,fallocate error=ENOSPC", "op=fsync error=EIO",
		"op=open error=EMFILE",
		"op=write,read short every=2", "op=punch,unlink error=EIO",
	};
	unsigned a = op->arg, n;

	out[0] = '\0';
	switch (op->how) {
	case M_SQL_ONCE:
		snprintf(out, size, "sql nth=%u error=SQLITE_%s",
			 1 + a / 6 % 40, sqls[a % 6]);
		break;
	case M_SQL_OUTAGE:
		snprintf(out, size, "sql %s", outages[a % 5]);
		break;
	case M_FILE_ONCE:
		n = sizeof(files) / sizeof(*files);
		snprintf(out, size, "file %s %s nth=%u", files[a % n], DATA,
			 1 + a / n % 6);
		break;
	case M_FILE_OUTAGE:
		n = sizeof(data_outages) / sizeof(*data_outages);
		snprintf(out, size, "file %s %s", data_outages[a % n], DATA);
		break;
	case M_DB_FILE:
		snprintf(out, size, "file op=%s match=*/meta.db* error=%s "
			 "nth=%u", a % 2 ? "write" : "write,ftruncate",
			 a / 2 % 2 ? "EIO" : "ENOSPC", 1 + a / 4 % 20);
		break;
	case M_ALLOC:
		snprintf(out, size, "alloc nth=%u times=%u", 1 + a / 3 % 150,
			 1 + a % 3);
		break;
	default:
		break;
	}
}

/* ---- the oracle ---- */

void
m_host(struct m_world *w, bool armed, int64_t now_ms)
{
	m_unseen(w, &w->now, now_ms);
	if (w->host && !armed)
		w->host_until_ms = now_ms;
	w->host = armed;
}

bool
m_host_refused(const struct m_world *w, const struct m_seen *seen)
{
	if (!w->host && seen->sent_ms > w->host_until_ms)
		return false;
	/* Because of another that was sent with it, and is to be refused. */
	if (seen->racing && (seen->status == NFS3ERR_ACCES ||
			     seen->status == NFS3ERR_EXIST))
		return true;
	return seen->status == NFS3ERR_IO || seen->status == NFS3ERR_NOSPC ||
	       seen->status == NFS3ERR_JUKEBOX ||
	       seen->status == NFS3ERR_SERVERFAULT;
}

bool
m_host_fails(const struct m_world *w, int64_t now)
{
	return w->host || now <= w->host_until_ms + IN_FLIGHT_MS;
}

void
m_host_lose(const struct m_world *w, const struct state *s, unsigned name,
	    int64_t now, struct set *out)
{
	struct state n = *s;
	struct file *f = &n.f[name];

	if (!m_host_fails(w, now) || f->state != ACTIVE || f->uncommitted == 0)
		return;
	f->live = f->hardened ? f->hard : f->flushed;
	if (!f->hardened)
		f->live_mtime = f->mtime;
	f->uncommitted = 0;
	n.lost = 1;
	m_add(out, &n);
}

bool
m_verifier(struct m_world *w, bool changed)
{
	struct set out = { 0 };

	for (size_t i = 0; i < w->now.count; i++) {
		struct state s = w->now.list[i];

		if (s.lost && !changed)
			continue;
		s.lost = 0;
		m_add(&out, &s);
	}
	if (out.count == 0) {
		m_drop(&out);	/* keep the last good set for the report */
		return false;
	}
	m_drop(&w->now);
	w->now = out;
	return true;
}
