/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One row a key.  Adding an option is adding a row, a field, and running
 * `tests/test_nfsd_options pod` for the paragraph in the manual, which
 * `make check` compares with this table.
 *
 * Values are checked where they are set, so that a mistake is told with the
 * line it stands in, and nothing later has to look at ranges again.
 */
#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nfsd/exports.h"
#include "nfsd/options.h"

enum type { STRING, WORD, CLIENTS, BOOL, CHOICE, FLAG, SIZE, MS, COUNT, OCTAL,
	    ID };

struct option_row {
	enum options_section section;
	const char *key;
	enum type type;
	size_t offset;
	const char *initial;	/* NULL: a string that is not set */
	uint64_t min, max;
	const char *choices;	/* "a|b|c": WORD keeps the text, CHOICE
				 * the index, FLAG whether it is the second */
	const char *help;
};

#define K 1024ULL
#define M (1024ULL * K)
#define G (1024ULL * M)
#define T (1024ULL * G)
#define DAY_MS (24ULL * 3600 * 1000)

#define SRV(key, type, initial, min, max, choices, help)                      \
	{OPTIONS_SERVER, #key, type, offsetof(struct options_server, key),    \
	 initial, min, max, choices, help}
#define S3(key, type, initial, min, max, choices, help)                       \
	{OPTIONS_S3, #key, type, offsetof(struct options_s3, key),            \
	 initial, min, max, choices, help}
#define EXP(key, type, initial, min, max, choices, help)                      \
	{OPTIONS_EXPORT, #key, type, offsetof(struct options_export, key),    \
	 initial, min, max, choices, help}

static const struct option_row rows[] = {
	SRV(listen, STRING, "0.0.0.0:2049", 0, 0, NULL,
	    "Address and port for NFS and MOUNT. [::]:2049 takes IPv6 and "
	    "IPv4; port 0 picks one and prints it."),
	SRV(portmap, CHOICE, "auto", 0, 0, "auto|builtin|rpcbind|off",
	    "How clients find the port: register with a running rpcbind, "
	    "else answer on port 111 ourselves, else go on without (auto)."),
	SRV(state_dir, STRING, NULL, 0, 0, NULL,
	    "Directory for the journal and the cache, on a local disk. "
	    "/var/lib/s3nfsd for root, else $XDG_STATE_HOME/s3nfsd or "
	    "~/.local/state/s3nfsd."),
	SRV(accept_state, BOOL, "0", 0, 0, NULL,
	    "Start once with a database that is not that of the data files; "
	    "what it does not explain is kept (s3nfsctl quarantine list)."),
	SRV(cache_size, SIZE, "10G", 1 * M, 1024 * T, NULL,
	    "Bytes on disk for data that is not uploaded yet and for the "
	    "cache of what is. A quarter of it is divided among the exports, "
	    "so that one whose bucket takes nothing does not fill it all."),
	SRV(memory_size, SIZE, "96M", 8 * M, 1 * T, NULL,
	    "Bytes of memory for data on its way to and from the buckets."),
	SRV(transfer_threads, COUNT, "16", 1, 1024, NULL,
	    "Uploads and downloads of an export that run at once."),
	SRV(max_nodes, COUNT, "50000", 1000, 100000000, NULL,
	    "Files and directories whose attributes stay in memory, about "
	    "3 KiB each; the others are read from the database again. What "
	    "the bucket has not been told of stays as well; at twice this "
	    "number changes of other files wait, but that each export has "
	    "its part of this number for them in any case."),
	SRV(max_names, COUNT, "4000000", 1000, 100000000000, NULL,
	    "Names whose files and directories are remembered in the "
	    "database, which has about 0.3 KiB of each; above that the least "
	    "used are forgotten, and asked for again. Directories and the "
	    "names in those that are being read, what is not in the bucket "
	    "as it is here, and files with several names stay."),
	SRV(shutdown_timeout_ms, MS, "10000", 0, DAY_MS, NULL,
	    "After SIGTERM: how long to finish requests and uploads. What is "
	    "not uploaded by then stays on disk and follows at the next "
	    "start."),
	SRV(log_level, CHOICE, "info", 0, 0, "error|warning|info|debug",
	    "What is logged to stderr."),
	SRV(event_threads, COUNT, "0", 0, 256, NULL,
	    "Threads that read requests; 0 is one for each processor."),
	SRV(workers, COUNT, "32", 1, 4096, NULL,
	    "Threads for requests that have to wait for the gateway's disk."),
	SRV(workers_per_export, COUNT, "24", 1, 4096, NULL,
	    "Workers that one export may keep busy; and so many other threads "
	    "wait for its bucket, two thirds of them for one host."),
	SRV(connections, COUNT, "1024", 1, 1000000, NULL,
	    "TCP connections from all hosts."),
	SRV(connections_per_host, COUNT, "256", 1, 1000000, NULL,
	    "TCP connections from one address."),
	SRV(in_flight_per_connection, COUNT, "128", 1, 65536, NULL,
	    "Requests of one connection that are worked on at once; then no "
	    "more is read from it."),
	SRV(buffer_size, SIZE, "64M", 8 * M, 1 * T, NULL,
	    "Bytes of memory for requests and replies of all connections."),
	SRV(reply_cache_size, SIZE, "16M", 64 * K, 1 * T, NULL,
	    "Bytes of memory for replies that are repeated when a client "
	    "sends a request again."),
	SRV(idle_ms, MS, "0", 0, 365 * DAY_MS, NULL,
	    "Close connections that were silent for so long; 0 is never."),

	S3(endpoint, STRING, NULL, 0, 0, NULL,
	   "http://HOST:PORT or https://HOST of an S3 server, with a path "
	   "behind it where the server has one; [IPv6]:PORT. "
	   "AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL, else AWS in the region "
	   "if it is not set."),
	S3(region, STRING, NULL, 0, 0, NULL,
	   "Region for signing and for the address of AWS; from the "
	   "environment or the profile, else us-east-1."),
	S3(profile, STRING, NULL, 0, 0, NULL,
	   "Profile in ~/.aws/config and ~/.aws/credentials, before keys in "
	   "the environment; AWS_PROFILE or default, after them."),
	S3(ca_file, STRING, NULL, 0, 0, NULL,
	   "Certificates to trust for https instead of the system's; "
	   "AWS_CA_BUNDLE, or ca_bundle of the profile."),
	S3(client_cert, STRING, NULL, 0, 0, NULL,
	   "Certificate to show to a server that asks for one, in PEM."),
	S3(client_key, STRING, NULL, 0, 0, NULL,
	   "Its key, without a pass phrase, if it is not in the same file."),
	S3(fips, BOOL, "0", 0, 0, NULL,
	   "Use the FIPS hosts of AWS, as AWS_USE_FIPS_ENDPOINT=true does."),
	S3(dualstack, BOOL, "0", 0, 0, NULL,
	   "Use the hosts of AWS that have IPv6 and IPv4, as "
	   "AWS_USE_DUALSTACK_ENDPOINT=true does."),
	S3(style, CHOICE, "auto", 0, 0, "auto|path|virtual",
	   "Bucket in the path or in the host name; auto is path with an "
	   "endpoint, virtual with AWS."),
	S3(unsigned_payload, BOOL, "0", 0, 0, NULL,
	   "Do not hash the bodies of uploads for the signature."),
	S3(requester_pays, BOOL, "0", 0, 0, NULL,
	   "Accept to pay for requests to somebody else's bucket."),
	S3(max_requests, COUNT, "64", 1, 4096, NULL,
	   "Requests in flight to one bucket."),
	S3(connect_ms, MS, "5000", 10, DAY_MS, NULL,
	   "Time to connect."),
	S3(stall_ms, MS, "20000", 100, DAY_MS, NULL,
	   "Time without a byte after which a request has failed."),
	S3(retry_ms, MS, "10000", 0, DAY_MS, NULL,
	   "Time for which a request that failed for a passing reason is "
	   "repeated."),
	S3(storage_class, STRING, NULL, 0, 0, NULL,
	   "Storage class of what is written, such as STANDARD_IA; if it is "
	   "not set, an object that is written anew keeps its own."),
	S3(sse, WORD, "none", 0, 0, "none|AES256|aws:kms",
	   "Server-side encryption of what is written; with none an object "
	   "that is written anew keeps its KMS key."),
	S3(sse_kms_key_id, STRING, NULL, 0, 0, NULL,
	   "Key for sse=aws:kms."),
	S3(acl, STRING, NULL, 0, 0, NULL,
	   "Canned ACL of new objects, such as bucket-owner-full-control; one "
	   "that has grants of its own keeps them when it is written anew."),

	EXP(bucket, STRING, NULL, 0, 0, NULL,
	    "s3://BUCKET, s3://BUCKET/PREFIX or file:///DIR; for BUCKET also "
	    "an access point, arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME. "
	    "Directory buckets (S3 Express, names that end in --x-s3) are "
	    "refused. Needed in each [export /NAME] section."),
	EXP(store, STRING, NULL, 0, 0, NULL,
	    "NAME of the [s3 NAME] section for this export; [s3] if it is not "
	    "set."),
	EXP(clients, CLIENTS,
	    "127.0.0.0/8(rw,no_root_squash,insecure) "
	    "::1(rw,no_root_squash,insecure)", 0, 0, NULL,
	    "Hosts that may use the export: ADDRESS, ADDRESS/BITS or *, each "
	    "with options in brackets: rw, ro; secure (source port below "
	    "1024), insecure; root_squash, no_root_squash, all_squash; "
	    "anonuid=N, anongid=N. Without options: rw, secure, root_squash, "
	    "65534. The longest prefix decides."),
	EXP(rebind, CHOICE, "no", 0, 0, "no|same|other",
	    "If the name was another bucket's, and that is owed something: "
	    "refuse to start, take it for the same bucket under another "
	    "address, or keep what is owed until the name points there "
	    "again."),
	EXP(readonly, BOOL, "0", 0, 0, NULL,
	    "Nobody may write, whatever clients says."),
	{OPTIONS_EXPORT, "commit", FLAG,
	 offsetof(struct options_export, commit_s3), "local", 0, 0,
	 "local|s3",
	 "Where data is safe when COMMIT (fsync, close) is answered: on the "
	 "gateway's disk, or in the bucket."},
	EXP(strict, BOOL, "0", 0, 0, NULL,
	    "Refuse at once what would have to wait for another writer: sets "
	    "busy=fail, reads=refuse, commit=s3, offline=wait, "
	    "idle_visible_ms=0, idle_flush_ms=0 and refuse_grace_ms=0 where "
	    "they are not set."),
	EXP(busy, CHOICE, "wait", 0, 0, "wait|fail",
	    "A second writer of a file waits, up to busy_limit_ms, or fails."),
	EXP(reads, CHOICE, "flushed", 0, 0, "flushed|live|refuse",
	    "What others read while a file is written: its last flushed "
	    "version, what is there, or nothing."),
	EXP(abandon, CHOICE, "publish", 0, 0, "publish|quarantine|discard",
	    "What becomes of data whose writer vanished without a flush."),
	EXP(on_conflict, CHOICE, "keep-both", 0, 0,
	    "keep-both|fail|overwrite",
	    "What to do when an object was changed in the bucket while it "
	    "was written here."),
	EXP(metadata, CHOICE, "aws", 0, 0, "aws|s3fs|none",
	    "Form in which mode, owner and times are kept with objects."),
	EXP(identity, CHOICE, "name+addr", 0, 0, "name+addr|name|addr",
	    "What makes two writers two: host name and address of the "
	    "client, or one of them."),
	EXP(settle_ms, MS, "2000", 0, DAY_MS, NULL,
	    "Time after the last write until the upload begins."),
	EXP(create_settle_ms, MS, "1000", 0, DAY_MS, NULL,
	    "The same for a file that was created and not written."),
	EXP(supersede_quiet_ms, MS, "1000", 0, DAY_MS, NULL,
	    "Time for which a writer has to be silent before another one "
	    "takes its flushed file over."),
	EXP(hold_ms, MS, "2000", 0, 30000, NULL,
	    "Time for which a request waits inside the gateway before the "
	    "client is told to come back."),
	EXP(busy_limit_ms, MS, "60000", 0, DAY_MS, NULL,
	    "Time after which a waiting writer is refused for good."),
	EXP(reserve_ms, MS, "75000", 0, DAY_MS, NULL,
	    "Time for which a file stays promised to the writer that waits "
	    "for it."),
	EXP(lease_ms, MS, "90000", 1000, DAY_MS, NULL,
	    "Time without a request after which a writer with unflushed data "
	    "counts as lost."),
	EXP(idle_visible_ms, MS, "1000", 0, DAY_MS, NULL,
	    "Time without a call about a file after which others are shown "
	    "what its writer has not flushed, as it is then. 0: never."),
	EXP(idle_flush_ms, MS, "5000", 0, DAY_MS, NULL,
	    "Time without a call about a file after which what its writer "
	    "has not flushed counts as flushed: for clients that close a "
	    "file without COMMIT. 0: never."),
	EXP(attr_ttl_ms, MS, "3000", 0, DAY_MS, NULL,
	    "Time for which what is known of the bucket is believed before "
	    "it is asked again."),
	{OPTIONS_EXPORT, "offline", FLAG,
	 offsetof(struct options_export, offline_wait), "serve", 0, 0,
	 "serve|wait",
	 "While the bucket does not answer, or refuses everybody: answer "
	 "from what is known, however old, and take changes for later; or "
	 "let clients wait until it is back."},
	EXP(store_wait_ms, MS, "2000", 100, DAY_MS, NULL,
	    "Time without an answer of the bucket after which it counts as "
	    "away."),
	EXP(max_dirty_age_ms, MS, "60000", 1000, DAY_MS, NULL,
	    "A file that is written without end is uploaded this often all "
	    "the same."),
	EXP(upload_retry_ms, MS, "300000", 0, 30 * DAY_MS, NULL,
	    "Time for which an upload may fail for passing reasons before "
	    "those who wait for it are told; it is repeated all the same."),
	EXP(refuse_grace_ms, MS, "600000", 0, 30 * DAY_MS, NULL,
	    "Time for which S3 has to refuse an upload, three times or more, "
	    "before that is believed and the data set aside (s3nfsctl "
	    "quarantine list); until then it is repeated. 0: the first "
	    "refusal is believed."),
	EXP(abort_uploads_ms, MS, "604800000", 0, 3650 * DAY_MS, NULL,
	    "Multipart uploads below the prefix that nobody has ended for so "
	    "long are aborted, whoever began them: at the start and every "
	    "day. What S3 keeps of them costs money and is not seen. 0: "
	    "never."),
	EXP(quarantine_retry_ms, MS, "86400000", 0, 365 * DAY_MS, NULL,
	    "Time after which what S3 has refused, and is in quarantine, is "
	    "uploaded once more, again and again, if what it was made from "
	    "is still in the bucket and nothing newer was refused; 0 is "
	    "never (s3nfsctl quarantine retry)."),
	EXP(max_handles, COUNT, "65536", 1, 100000000, NULL,
	    "Files being written or waiting for their upload at once."),
	EXP(quota, SIZE, "0", 0, 1024 * 1024 * T, NULL,
	    "Size of the export as df shows it and as writes are bounded by: "
	    "what would make a file grow past it is refused (EDQUOT). The "
	    "objects are counted in the background, by a listing of all at "
	    "the start and every 15 minutes or more. 0 is no bound; then df "
	    "shows 1 PiB, free."),
	EXP(max_hole, SIZE, "128G", 0, 5 * T, NULL,
	    "Zeros that a file may have where nothing was written, as "
	    "truncate -s or a write far behind the end make them: S3 has "
	    "no holes, so each of them is sent. More is refused (EFBIG). "
	    "0 is no bound."),
	EXP(file_mode, OCTAL, "0644", 0, 07777, NULL,
	    "Mode of files whose object says nothing."),
	EXP(dir_mode, OCTAL, "0755", 0, 07777, NULL,
	    "Mode of directories whose object says nothing or that have "
	    "none."),
	EXP(top_mode, OCTAL, "01777", 0, 07777, NULL,
	    "Mode of the top directory of a new export, until a client "
	    "changes it. With 01777 everybody whom the export admits may "
	    "make files there, and each removes what is his own; 0 is "
	    "dir_mode."),
	EXP(uid, ID, "self", 0, UINT32_MAX, NULL,
	    "Owner of what says nothing; self is the user who runs s3nfsd."),
	EXP(gid, ID, "self", 0, UINT32_MAX, NULL,
	    "Group of what says nothing."),
	EXP(part_size, SIZE, "8M", 5 * M, 5 * G, NULL,
	    "Size of the parts in which large files are uploaded; it grows "
	    "with the file."),
	EXP(equal_parts, BOOL, "0", 0, 0, NULL,
	    "All parts of an upload but the last have one size, for stores "
	    "that ask for it (Cloudflare R2); a change of a large file sends "
	    "more then."),
};

#define ROWS (sizeof(rows) / sizeof(*rows))

static const char *const section_names[] = {"server", "s3", "export"};

const struct option_row *
options_find(enum options_section section, const char *key)
{
	for (size_t i = 0; i < ROWS; i++) {
		if (rows[i].section == section &&
		    strcmp(rows[i].key, key) == 0)
			return &rows[i];
	}
	return NULL;
}

bool
options_section_parse(const char *name, size_t len,
		      enum options_section *out)
{
	for (unsigned i = 0; i < 3; i++) {
		if (strlen(section_names[i]) == len &&
		    memcmp(section_names[i], name, len) == 0) {
			*out = (enum options_section)i;
			return true;
		}
	}
	return false;
}

/* ---- values ---- */

static void
size_text(uint64_t value, char *out, size_t size)
{
	const char *unit = "";

	if (value != 0 && value % T == 0)
		value /= T, unit = "T";
	else if (value != 0 && value % G == 0)
		value /= G, unit = "G";
	else if (value != 0 && value % M == 0)
		value /= M, unit = "M";
	else if (value != 0 && value % K == 0)
		value /= K, unit = "K";
	snprintf(out, size, "%" PRIu64 "%s", value, unit);
}

/* "a size such as 512M, 4K to 1T": what a key takes. */
static void
options_allowed(const struct option_row *row, char *out, size_t size)
{
	char min[32], max[32];

	switch (row->type) {
	case STRING:
		snprintf(out, size, "a text that is not empty");
		break;
	case CLIENTS:
		snprintf(out, size, "a list such as "
			 "\"10.0.0.0/8(rw,root_squash) 192.168.1.5(ro)\"");
		break;
	case BOOL:
		snprintf(out, size, "0 or 1");
		break;
	case WORD:
	case CHOICE:
	case FLAG:
		snprintf(out, size, "%s", row->choices);
		break;
	case SIZE:
		size_text(row->min, min, sizeof(min));
		size_text(row->max, max, sizeof(max));
		snprintf(out, size, "bytes, with K, M, G or T, from %s to %s",
			 min, max);
		break;
	case MS:
		snprintf(out, size,
			 "milliseconds, from %" PRIu64 " to %" PRIu64,
			 row->min, row->max);
		break;
	case COUNT:
		snprintf(out, size, "a number from %" PRIu64 " to %" PRIu64,
			 row->min, row->max);
		break;
	case OCTAL:
		snprintf(out, size, "an octal mode from 0 to 07777");
		break;
	case ID:
		snprintf(out, size, "self or a number from 0 to %" PRIu64,
			 row->max);
		break;
	}
}

/* Digits of a base, then at most one unit. */
static bool
parse_number(const char *text, unsigned base, bool units, uint64_t *out)
{
	static const char names[] = "KMGT";
	uint64_t value = 0;
	const char *unit;

	if (*text < '0' || *text >= (char)('0' + base))
		return false;
	for (; *text >= '0' && *text < (char)('0' + base); text++) {
		if (__builtin_mul_overflow(value, base, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*text - '0'),
					   &value))
			return false;
	}
	if (units && *text != '\0') {
		unit = strchr(names, *text & ~0x20);
		if (unit == NULL || *unit == '\0')
			return false;
		for (const char *u = names; u <= unit; u++) {
			if (__builtin_mul_overflow(value, K, &value))
				return false;
		}
		text++;
	}
	*out = value;
	return *text == '\0';
}

static bool
parse_choice(const char *choices, const char *value, int *out)
{
	size_t len = strlen(value);

	for (int i = 0; *choices != '\0'; i++) {
		size_t one = strcspn(choices, "|");

		if (one == len && memcmp(choices, value, len) == 0) {
			*out = i;
			return true;
		}
		choices += one + (choices[one] == '|');
	}
	return false;
}

static bool
parse_bool(const char *value, bool *out)
{
	static const char *const yes[] = {"1", "yes", "true", "on"};
	static const char *const no[] = {"0", "no", "false", "off"};

	for (int i = 0; i < 4; i++) {
		if (strcmp(value, yes[i]) == 0 || strcmp(value, no[i]) == 0) {
			*out = strcmp(value, yes[i]) == 0;
			return true;
		}
	}
	return false;
}

static int
set_string(char **field, const char *value)
{
	char *copy = strdup(value);

	if (copy == NULL)
		return -ENOMEM;
	free(*field);
	*field = copy;
	return 0;
}

static int
refuse(const struct option_row *row, const char *value, char *why, size_t size)
{
	char allowed[160];

	options_allowed(row, allowed, sizeof(allowed));
	snprintf(why, size, "\"%.60s\" is not allowed; allowed is %s", value,
		 allowed);
	return -EINVAL;
}

static int
set_clients(char **field, const char *value, char *why, size_t size)
{
	struct exports_rules *rules;
	char what[128];
	int r = exports_rules_parse(value, &rules, what, sizeof(what));

	if (r < 0) {
		snprintf(why, size, "%s; allowed is a list such as "
			 "\"10.0.0.0/8(rw,root_squash) 192.168.1.5(ro)\"",
			 r == -EINVAL ? what : "the list is too long");
		return r;
	}
	exports_rules_free(&rules);
	return set_string(field, value);
}

static bool
set_number(const struct option_row *row, uint64_t *field, const char *value)
{
	uint64_t number;

	if (row->type == ID && strcmp(value, "self") == 0) {
		*field = strcmp(row->key, "uid") == 0 ? geteuid() : getegid();
		return true;
	}
	if (!parse_number(value, row->type == OCTAL ? 8 : 10,
			  row->type == SIZE, &number) ||
	    number < row->min || number > row->max)
		return false;
	*field = number;
	return true;
}

int
options_set(const struct option_row *row, void *target, const char *value,
	    char *why, size_t why_size)
{
	void *field = (char *)target + row->offset;
	int choice;

	switch (row->type) {
	case STRING:
		if (value[0] == '\0')
			return refuse(row, value, why, why_size);
		return set_string(field, value);
	case CLIENTS:
		return set_clients(field, value, why, why_size);
	case BOOL:
		return parse_bool(value, field) ? 0 :
		       refuse(row, value, why, why_size);
	case WORD:
	case CHOICE:
	case FLAG:
		if (!parse_choice(row->choices, value, &choice))
			return refuse(row, value, why, why_size);
		if (row->type == WORD)
			return set_string(field, value);
		if (row->type == FLAG)
			*(bool *)field = choice == 1;
		else
			*(int *)field = choice;
		return 0;
	default:
		return set_number(row, field, value) ? 0 :
		       refuse(row, value, why, why_size);
	}
}

static bool
is_string(const struct option_row *row)
{
	return row->type == STRING || row->type == CLIENTS ||
	       row->type == WORD;
}

int
options_defaults(enum options_section section, void *target)
{
	char why[256];

	for (size_t i = 0; i < ROWS; i++) {
		int r;

		if (rows[i].section != section || rows[i].initial == NULL)
			continue;
		r = options_set(&rows[i], target, rows[i].initial, why,
				sizeof(why));
		if (r < 0) {
			options_free(section, target);
			return r;
		}
	}
	return 0;
}

void
options_free(enum options_section section, void *target)
{
	for (size_t i = 0; i < ROWS; i++) {
		char **field = (void *)((char *)target + rows[i].offset);

		if (rows[i].section != section || !is_string(&rows[i]))
			continue;
		free(*field);
		*field = NULL;
	}
}

/* ---- texts ---- */

static void
wrapped(FILE *out, const char *text)
{
	while (*text != '\0') {
		size_t len = strlen(text);

		if (len > 64) {
			for (len = 64; len > 0 && text[len] != ' '; len--)
				;
			if (len == 0)
				len = strcspn(text, " ");
		}
		fprintf(out, "          %.*s\n", (int)len, text);
		text += len;
		text += strspn(text, " ");
	}
}

void
options_help(FILE *out)
{
	char allowed[160];

	for (size_t i = 0; i < ROWS; i++) {
		const struct option_row *row = &rows[i];

		if (i == 0 || row->section != rows[i - 1].section)
			fprintf(out, "\n[%s]\n", row->section ==
				OPTIONS_EXPORT ? "export /NAME" :
				row->section == OPTIONS_S3 ?
				"s3], also [s3 NAME" :
				section_names[row->section]);
		options_allowed(row, allowed, sizeof(allowed));
		fprintf(out, "  %s = %s\n", row->key,
			row->initial != NULL ? row->initial : "");
		if (row->type != STRING && row->type != CLIENTS)
			fprintf(out, "          (%s)\n", allowed);
		wrapped(out, row->help);
	}
}

/* C<>, L<> and the like have no meaning inside our texts, but < and > do. */
static void
pod_text(FILE *out, const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text == '<')
			fputs("E<lt>", out);
		else if (*text == '>')
			fputs("E<gt>", out);
		else
			fputc(*text, out);
	}
}

void
options_pod(FILE *out, enum options_section section)
{
	char allowed[160];

	for (size_t i = 0; i < ROWS; i++) {
		const struct option_row *row = &rows[i];

		if (row->section != section)
			continue;
		fprintf(out, "=item B<%s>\n\n", row->key);
		pod_text(out, row->help);
		options_allowed(row, allowed, sizeof(allowed));
		if (row->type != STRING && row->type != CLIENTS)
			fprintf(out, " Allowed: %s.", allowed);
		if (row->initial != NULL)
			fprintf(out, " Default: C<< %s >>.", row->initial);
		fputs("\n\n", out);
	}
}
