/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MOUNT turns a path into a file handle.  The path begins with the name of an
 * export, the longest that fits; what follows is walked name by name, as root
 * like any mountd does (the host was admitted, and directories above the one
 * that is mounted need not be open to its users).  Symbolic links are not
 * followed: they are the client's to read.
 *
 * The list of mounts is what clients told us, no more: it is bounded, lives
 * in memory, and decides nothing.  A host adds and removes its own rows only.
 *
 * People meet this protocol when a mount is refused, so each refusal is one
 * line in the log that says why; the same refusal of the same host again
 * within seconds is counted, not printed.
 */
#include <config.h>

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "nfsd/mount3.h"
#include "nfsd/status.h"

#define HOST_TEXT INET6_ADDRSTRLEN
#define LIMITS 64
/* Lists over UDP stay small: a request of 40 bytes with a forged source must
 * not make us send its victim a thousand times as much. */
#define UDP_LIST_BYTES 1024

struct row {
	char host[HOST_TEXT];
	char *path;
	TAILQ_ENTRY(row) link;
};

struct mount3 {
	struct nfs3 *nfs;
	struct log_limit limits[LIMITS];
	pthread_mutex_t lock;
	TAILQ_HEAD(, row) rows;	/* the newest last */
	unsigned count;
};

/* One attempt at a MNT. */
struct mount_call {
	struct gate_request gate;
	struct exports_entry *entry;
	char host[HOST_TEXT];
	char path[MNTPATHLEN + 1];
	const char *reason;
};

int
mount3_new(struct nfs3 *nfs, struct mount3 **out)
{
	struct mount3 *mount = calloc(1, sizeof(*mount));

	if (mount == NULL)
		return -ENOMEM;
	mount->nfs = nfs;
	pthread_mutex_init(&mount->lock, NULL);
	TAILQ_INIT(&mount->rows);
	*out = mount;
	return 0;
}

static void
row_free_locked(struct mount3 *mount, struct row *row)
{
	TAILQ_REMOVE(&mount->rows, row, link);
	mount->count--;
	free(row->path);
	free(row);
}

void
mount3_free(struct mount3 **mount)
{
	if (*mount == NULL)
		return;
	while (!TAILQ_EMPTY(&(*mount)->rows))
		row_free_locked(*mount, TAILQ_FIRST(&(*mount)->rows));
	pthread_mutex_destroy(&(*mount)->lock);
	free(*mount);
	*mount = NULL;
}

/* ---- the table ---- */

static void
host_text(const struct rpc_request *rq, char out[HOST_TEXT])
{
	struct in6_addr addr;
	uint16_t port;

	snprintf(out, HOST_TEXT, "?");
	if (!exports_peer(&rq->peer, &addr, &port))
		return;
	if (IN6_IS_ADDR_V4MAPPED(&addr))
		inet_ntop(AF_INET, addr.s6_addr + 12, out, HOST_TEXT);
	else
		inet_ntop(AF_INET6, &addr, out, HOST_TEXT);
}

/* Forget rows of a host: those of one path, or all (NULL). */
static void
forget_locked(struct mount3 *mount, const char *host, const char *path)
{
	struct row *row, *next;

	for (row = TAILQ_FIRST(&mount->rows); row != NULL; row = next) {
		next = TAILQ_NEXT(row, link);
		if (strcmp(row->host, host) == 0 &&
		    (path == NULL || strcmp(row->path, path) == 0))
			row_free_locked(mount, row);
	}
}

static void
remember(struct mount3 *mount, const char *host, const char *path)
{
	struct row *row = calloc(1, sizeof(*row));

	if (row == NULL || (row->path = strdup(path)) == NULL) {
		free(row);
		return;
	}
	snprintf(row->host, sizeof(row->host), "%s", host);
	pthread_mutex_lock(&mount->lock);
	forget_locked(mount, host, path);
	if (mount->count >= MOUNT3_TABLE_MAX)
		row_free_locked(mount, TAILQ_FIRST(&mount->rows));
	TAILQ_INSERT_TAIL(&mount->rows, row, link);
	mount->count++;
	pthread_mutex_unlock(&mount->lock);
}

unsigned
mount3_count(struct mount3 *mount)
{
	unsigned count;

	pthread_mutex_lock(&mount->lock);
	count = mount->count;
	pthread_mutex_unlock(&mount->lock);
	return count;
}

/* ---- MNT ---- */

int
mount3_clean_path(const char *path, char *out, size_t size)
{
	size_t used = 0;

	if (path[0] != '/')
		return -EINVAL;
	while (*path != '\0') {
		size_t len;

		path += strspn(path, "/");
		len = strcspn(path, "/");
		if (len == 2 && memcmp(path, "..", 2) == 0)
			return -EINVAL;
		if (len > 0 && !(len == 1 && path[0] == '.')) {
			if (len > GATE_NAME_MAX || used + 1 + len >= size)
				return -ENAMETOOLONG;
			out[used++] = '/';
			memcpy(out + used, path, len);
			used += len;
		}
		path += len;
	}
	if (used == 0)
		out[used++] = '/';
	out[used] = '\0';
	return 0;
}

/* One line, not more often than LOG_LIMIT_MS for the same host and path. */
static void
log_refused(struct mount3 *mount, const struct mount_call *call,
	    const char *path)
{
	uint32_t hash = 5381;

	for (const char *s = call->host; *s != '\0'; s++)
		hash = hash * 33 + (unsigned char)*s;
	for (const char *s = path; *s != '\0'; s++)
		hash = hash * 33 + (unsigned char)*s;
	log_limited(&mount->limits[hash % LIMITS], LOG_LEVEL_WARN, "mount",
		    "refused client=%s path=%s: %s", call->host, path,
		    call->reason);
}

static const char *
walk_reason(int r)
{
	switch (r) {
	case -ENOENT:
		return "no such directory in the export";
	case -ENOTDIR:
		return "not a directory";
	case -EACCES:
		return "the bucket denies access";
	case -EKEYREJECTED:
		return "the store refuses the gateway's credentials";
	case -ENODEV:
		return "the bucket does not exist";
	case -EAGAIN:
		return "the bucket does not answer";
	default:
		return "the file system reports an error";
	}
}

/* The directory that `rest` ("" or "/a/b") names below the export's root. */
static int
walk(struct mount_call *call, char *rest, struct gate_fh *fh)
{
	struct gate_export *export = exports_entry_gate(call->entry);
	struct gate_attr attr = {.kind = GATE_DIR};
	char *name;
	int r = gate_root(export, fh);

	if (r == 0)
		r = gate_getattr(export, &call->gate, fh, &attr);
	while (r == 0 && (name = strsep(&rest, "/")) != NULL) {
		struct gate_wcc dir_attr = {0};
		struct gate_fh child;

		if (name[0] == '\0')
			continue;
		if (attr.kind != GATE_DIR)
			return -ENOTDIR;
		r = gate_lookup(export, &call->gate, fh, name, &child, &attr,
				&dir_attr);
		if (r == 0)
			*fh = child;
	}
	return r == 0 && attr.kind != GATE_DIR ? -ENOTDIR : r;
}

static int
mnt(struct mount3 *mount, struct rpc_request *rq, const char *path,
    struct mount_call *call, uint8_t handle[FH_SIZE])
{
	const char *rest;
	struct gate_fh fh;
	int r = mount3_clean_path(path, call->path, sizeof(call->path));

	if (r < 0) {
		call->reason = "the path is relative, too long or has \"..\"";
		return r;
	}
	call->entry = exports_by_path(mount->nfs->exports, call->path, &rest);
	if (call->entry == NULL) {
		call->reason = "no export has this name";
		return -ENOENT;
	}
	r = exports_admit(call->entry, rq, &call->gate, &call->reason);
	if (r < 0)
		return r;
	call->gate.may_block = rq->may_block;
	call->gate.near = !rq->far;
	call->gate.first_ms = rq->arrived_ms;
	call->gate.cred = (struct gate_cred){.uid = 0};
	/* No token: MOUNT has no JUKEBOX, so the walk waits in its thread. */
	r = walk(call, call->path + (rest - call->path), &fh);
	if (r == 0)
		r = fh_pack(mount->nfs->signer, exports_entry_id(call->entry),
			    &fh, handle);
	if (r < 0)
		call->reason = walk_reason(r);
	return r;
}

/* MNT of either version: 0, a negative errno, or who is to run it in *out. */
static int
mnt_call(struct rpc_request *rq, const char *path, uint8_t handle[FH_SIZE],
	 enum rpc_outcome *out)
{
	struct mount3 *mount = rq->program_arg;
	struct mount_call *call = calloc(1, sizeof(*call));
	char *copy;
	int r;

	*out = RPC_DONE;
	if (call == NULL)
		return -ENOMEM;
	/* A walk cuts its path into names: the table wants it whole. */
	host_text(rq, call->host);
	r = mnt(mount, rq, path, call, handle);
	if (r == -EAGAIN && call->gate.again == GATE_NEEDS_STORE &&
	    !rq->far && !rq->late)
		*out = RPC_NEEDS_FAR;
	else if (r == -EAGAIN && !rq->may_block)
		*out = RPC_NEEDS_THREAD;
	if (*out != RPC_DONE) {
		free(call);
		return r;
	}
	if (r < 0) {
		log_refused(mount, call, path);
		free(call);
		return r;
	}
	copy = malloc(MNTPATHLEN + 1);
	if (copy != NULL && mount3_clean_path(path, copy, MNTPATHLEN + 1) == 0)
		remember(mount, call->host, copy);
	log_info("mount", "mounted client=%s name=%s path=%s", call->host,
		 call->gate.who.name, copy != NULL ? copy : path);
	gate_client_hint(mount->nfs->gate, &call->gate.who);
	free(copy);
	free(call);
	return 0;
}

static enum rpc_outcome
mount1_mnt(struct rpc_request *rq, void *argp, void *resp)
{
	dirpath *path = argp;
	fhstatus *res = resp;
	enum rpc_outcome out;
	int r = mnt_call(rq, *path, (uint8_t *)res->fhstatus_u.fhs_fhandle,
			 &out);

	/* RFC 1094 A.5.3: a UNIX errno. */
	res->fhs_status = status_mount3(r);
	if (res->fhs_status > MNT3ERR_NAMETOOLONG)
		res->fhs_status = EIO;
	return out;
}

static enum rpc_outcome
mount3_mnt(struct rpc_request *rq, void *argp, void *resp)
{
	dirpath *path = argp;
	mountres3 *res = resp;
	mountres3_ok *ok = &res->mountres3_u.mountinfo;
	uint8_t handle[FH_SIZE];
	enum rpc_outcome out;
	int r = mnt_call(rq, *path, handle, &out);

	if (r == 0) {
		ok->fhandle.fhandle3_val = malloc(FH_SIZE);
		ok->auth_flavors.auth_flavors_val = calloc(1, sizeof(int));
		if (ok->fhandle.fhandle3_val == NULL ||
		    ok->auth_flavors.auth_flavors_val == NULL) {
			free(ok->fhandle.fhandle3_val);
			free(ok->auth_flavors.auth_flavors_val);
			memset(ok, 0, sizeof(*ok));
			r = -ENOMEM;
		}
	}
	if (r == 0) {
		memcpy(ok->fhandle.fhandle3_val, handle, FH_SIZE);
		ok->fhandle.fhandle3_len = FH_SIZE;
		/* AUTH_SYS alone: AUTH_NONE in this list makes clients
		 * choose it, and then everybody is nobody. */
		ok->auth_flavors.auth_flavors_val[0] = AUTH_SYS;
		ok->auth_flavors.auth_flavors_len = 1;
	}
	res->fhs_status = status_mount3(r);
	return out;
}

/* ---- the others ---- */

static enum rpc_outcome
mount3_null(struct rpc_request *rq, void *argp, void *resp)
{
	(void)rq;
	(void)argp;
	(void)resp;
	return RPC_DONE;
}

static enum rpc_outcome
mount3_dump(struct rpc_request *rq, void *argp, void *resp)
{
	struct mount3 *mount = rq->program_arg;
	mountlist *res = resp;
	mountbody **at = &res->first;
	struct row *row;
	size_t bytes = 0;

	(void)argp;
	pthread_mutex_lock(&mount->lock);
	TAILQ_FOREACH(row, &mount->rows, link) {
		mountbody *body = calloc(1, sizeof(*body));

		bytes += strlen(row->host) + strlen(row->path) + 16;
		if (body == NULL || (rq->udp && bytes > UDP_LIST_BYTES)) {
			free(body);
			break;
		}
		*at = body;
		at = &body->ml_next;
		body->ml_hostname = strdup(row->host);
		body->ml_directory = strdup(row->path);
		if (body->ml_hostname == NULL || body->ml_directory == NULL) {
			pthread_mutex_unlock(&mount->lock);
			return RPC_SYSTEM_ERR;
		}
	}
	pthread_mutex_unlock(&mount->lock);
	return RPC_DONE;
}

static enum rpc_outcome
mount3_umnt(struct rpc_request *rq, void *argp, void *resp)
{
	struct mount3 *mount = rq->program_arg;
	dirpath *path = argp;
	char host[HOST_TEXT], clean[MNTPATHLEN + 1];

	(void)resp;
	host_text(rq, host);
	if (mount3_clean_path(*path, clean, sizeof(clean)) < 0)
		return RPC_DONE;
	pthread_mutex_lock(&mount->lock);
	forget_locked(mount, host, clean);
	pthread_mutex_unlock(&mount->lock);
	return RPC_DONE;
}

static enum rpc_outcome
mount3_umntall(struct rpc_request *rq, void *argp, void *resp)
{
	struct mount3 *mount = rq->program_arg;
	char host[HOST_TEXT];

	(void)argp;
	(void)resp;
	host_text(rq, host);
	pthread_mutex_lock(&mount->lock);
	forget_locked(mount, host, NULL);
	pthread_mutex_unlock(&mount->lock);
	return RPC_DONE;
}

struct host_list {
	groupnode **at;
	size_t bytes, max;
};

static int
add_host(void *arg, const char *host)
{
	struct host_list *list = arg;
	groupnode *node = calloc(1, sizeof(*node));

	list->bytes += strlen(host) + 12;
	if (node == NULL || list->bytes > list->max ||
	    (node->gr_name = strdup(host)) == NULL) {
		free(node);
		return 1;
	}
	*list->at = node;
	list->at = &node->gr_next;
	return 0;
}

static enum rpc_outcome
mount3_export(struct rpc_request *rq, void *argp, void *resp)
{
	struct mount3 *mount = rq->program_arg;
	exportlist *res = resp;
	exportnode **at = &res->first;
	struct exports_entry *entry = NULL;
	struct host_list list = {.max = rq->udp ? UDP_LIST_BYTES : 65536};

	(void)argp;
	while ((entry = exports_next(mount->nfs->exports, entry)) != NULL) {
		const char *name = exports_entry_name(entry);
		exportnode *node = calloc(1, sizeof(*node));

		list.bytes += strlen(name) + 16;
		if (node == NULL || list.bytes > list.max ||
		    (node->ex_dir = strdup(name)) == NULL) {
			free(node);
			break;
		}
		*at = node;
		at = &node->ex_next;
		list.at = &node->ex_groups;
		exports_entry_each_host(entry, add_host, &list);
	}
	return RPC_DONE;
}

/* ---- the program ---- */

uint64_t
mount3_share_key(const struct rpc_request *rq, const void *args)
{
	struct mount3 *mount = rq->program_arg;
	const dirpath *path = args;
	char clean[MNTPATHLEN + 1];
	struct exports_entry *entry;
	const char *rest;

	if (rq->procedure != MOUNTPROC3_MNT || path == NULL || *path == NULL ||
	    mount3_clean_path(*path, clean, sizeof(clean)) < 0)
		return 0;
	entry = exports_by_path(mount->nfs->exports, clean, &rest);
	return entry == NULL ? 0 : exports_entry_id(entry);
}

/* libtirpc's xdr_void has another type than every other codec. */
static bool_t
nothing(XDR *xdrs, void *value)
{
	(void)xdrs;
	(void)value;
	return TRUE;
}

#define VOID (xdrproc_t)nothing, 0
#define PATH (xdrproc_t)xdr_dirpath, sizeof(dirpath)
#define LIST (xdrproc_t)xdr_mountlist, sizeof(mountlist)
#define EXPORTS (xdrproc_t)xdr_exportlist, sizeof(exportlist)

static const struct rpc_procedure version1[] = {
	{"MOUNTPROC_NULL", VOID, VOID, false, mount3_null},
	{"MOUNTPROC_MNT", PATH, (xdrproc_t)xdr_fhstatus, sizeof(fhstatus),
	 false, mount1_mnt},
	{"MOUNTPROC_DUMP", VOID, LIST, false, mount3_dump},
	{"MOUNTPROC_UMNT", PATH, VOID, false, mount3_umnt},
	{"MOUNTPROC_UMNTALL", VOID, VOID, false, mount3_umntall},
	{"MOUNTPROC_EXPORT", VOID, EXPORTS, false, mount3_export},
};

static const struct rpc_procedure version3[] = {
	{"MOUNTPROC3_NULL", VOID, VOID, false, mount3_null},
	{"MOUNTPROC3_MNT", PATH, (xdrproc_t)xdr_mountres3, sizeof(mountres3),
	 false, mount3_mnt},
	{"MOUNTPROC3_DUMP", VOID, LIST, false, mount3_dump},
	{"MOUNTPROC3_UMNT", PATH, VOID, false, mount3_umnt},
	{"MOUNTPROC3_UMNTALL", VOID, VOID, false, mount3_umntall},
	{"MOUNTPROC3_EXPORT", VOID, EXPORTS, false, mount3_export},
};

static const struct rpc_version versions[] = {
	{MOUNT_V1, version1, sizeof(version1) / sizeof(*version1)},
	{MOUNT_V3, version3, sizeof(version3) / sizeof(*version3)},
};

void
mount3_program(struct mount3 *mount, struct rpc_program *out)
{
	*out = (struct rpc_program){
		.program = MOUNT_PROGRAM,
		.versions = versions,
		.version_count = sizeof(versions) / sizeof(*versions),
		.udp = true,
		.arg = mount,
	};
}
