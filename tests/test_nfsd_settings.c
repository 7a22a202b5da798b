/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration: nfsd/options.c, settings.c, settings_file.c.
 * `test_nfsd_settings pod` prints the keys for s3nfsd.conf(5). */
#include <config.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "nfsd/gate/gate.h"
#include "nfsd/settings.h"
#include "tests/unit.h"

static struct settings settings;
static char *complaint;
static char file_path[64];

/* Load a command line, with -c and a file of this text if it is not NULL. */
static int
load(const char *file, const char *const *more)
{
	const char *argv[32] = {"s3nfsd"};
	char *name;
	size_t size = 0;
	FILE *out;
	int argc = 1, r, fd;

	if (file != NULL) {
		strcpy(file_path, "/tmp/test_settingsXXXXXX");
		fd = mkstemp(file_path);
		CU_ASSERT_FATAL(fd >= 0);
		CU_ASSERT_EQUAL(write(fd, file, strlen(file)),
				(ssize_t)strlen(file));
		close(fd);
		argv[argc++] = "-c";
		argv[argc++] = file_path;
	}
	while (more != NULL && *more != NULL)
		argv[argc++] = *more++;
	free(complaint);
	complaint = NULL;
	settings_free(&settings);
	out = open_memstream(&complaint, &size);
	r = settings_load(argc, (char *const *)argv, &settings, out);
	fclose(out);
	if (file != NULL)
		unlink(file_path);
	/* Complaints name the file as FILE. */
	while (file != NULL && (name = strstr(complaint, file_path)) != NULL) {
		size_t len = strlen(file_path);

		memcpy(name, "FILE", 4);
		memmove(name + 4, name + len, strlen(name + len) + 1);
	}
	return r;
}

#define LOAD(file, ...) load(file, (const char *[]){__VA_ARGS__, NULL})

static const struct settings_export *
export(const char *name)
{
	for (size_t i = 0; i < settings.export_count; i++) {
		if (strcmp(settings.exports[i].name, name) == 0)
			return &settings.exports[i];
	}
	CU_FAIL_FATAL("no such export");
	return NULL;
}

static void
defaults_are_those_of_the_manual(void)
{
	const struct options_export *o;

	CU_ASSERT_EQUAL(LOAD(NULL, "--bucket", "s3://data"), 0);
	CU_ASSERT_STRING_EQUAL(complaint, "");
	o = &export("/data")->options;
	CU_ASSERT_STRING_EQUAL(export("/data")->url, "s3://data");
	CU_ASSERT_STRING_EQUAL(export("/data")->prefix, "");
	CU_ASSERT_STRING_EQUAL(settings.server.listen, "0.0.0.0:2049");
	CU_ASSERT_EQUAL(o->settle_ms, 2000);
	CU_ASSERT_EQUAL(o->create_settle_ms, 1000);
	CU_ASSERT_EQUAL(o->supersede_quiet_ms, 1000);
	CU_ASSERT_EQUAL(o->hold_ms, 2000);
	CU_ASSERT_EQUAL(o->busy, GATE_BUSY_WAIT);
	CU_ASSERT_EQUAL(o->busy_limit_ms, 60000);
	CU_ASSERT_EQUAL(o->reserve_ms, 75000);
	CU_ASSERT_EQUAL(o->lease_ms, 90000);
	CU_ASSERT_EQUAL(o->idle_visible_ms, 1000);
	CU_ASSERT_EQUAL(o->idle_flush_ms, 5000);
	CU_ASSERT_EQUAL(o->abandon, GATE_ABANDON_PUBLISH);
	CU_ASSERT_EQUAL(o->reads, GATE_READS_FLUSHED);
	CU_ASSERT(!o->strict && !o->commit_s3 && !o->readonly);
	CU_ASSERT_EQUAL(o->file_mode, 0644);
	CU_ASSERT_EQUAL(o->uid, geteuid());
	CU_ASSERT_STRING_EQUAL(o->clients,
			       "127.0.0.0/8(rw,no_root_squash,insecure) "
			       "::1(rw,no_root_squash,insecure)");
}

static void
a_file_is_read(void)
{
	static const char file[] =
		"# comment\n"
		"[server]\n"
		"cache_size = 20G ; comment\n"
		"  state_dir = /tmp/x\n"
		"\n"
		"[export /team/data]\n"
		"bucket = s3://b-1/a//b/\n"
		"clients = 10.0.0.0/8(rw)\n"
		"\t192.168.1.5(ro,anonuid=5)\n"
		"commit = s3\n"
		"[export]\n"
		"settle_ms = 7\n"
		"[export /c]\n"
		"bucket=file:///srv/c/\n"
		"settle_ms=8\n";
	const struct settings_export *e;

	CU_ASSERT_EQUAL(load(file, NULL), 0);
	CU_ASSERT_STRING_EQUAL(complaint, "");
	CU_ASSERT_EQUAL(settings.server.cache_size, 20ULL << 30);
	CU_ASSERT_STRING_EQUAL(settings.server.state_dir, "/tmp/x");
	CU_ASSERT_EQUAL(settings.export_count, 2);
	e = export("/team/data");
	CU_ASSERT_STRING_EQUAL(e->url, "s3://b-1");
	CU_ASSERT_STRING_EQUAL(e->prefix, "a/b/");
	CU_ASSERT_STRING_EQUAL(e->options.clients,
			       "10.0.0.0/8(rw) 192.168.1.5(ro,anonuid=5)");
	CU_ASSERT(e->options.commit_s3 && e->options.settle_ms == 7);
	e = export("/c");
	CU_ASSERT_STRING_EQUAL(e->url, "file:///srv/c");
	CU_ASSERT_EQUAL(e->options.settle_ms, 8);
}

static void
the_stronger_setting_wins(void)
{
	static const char file[] =
		"[server]\ncache_size=1G\nmemory_size=64M\n"
		"[s3]\nregion=a\nendpoint=http://one\n"
		"[export]\nsettle_ms=1\nlease_ms=1001\n"
		"[export /a]\nbucket=s3://aaa\nsettle_ms=3\n"
		"[export /b]\nbucket=s3://bbb\n";

	CU_ASSERT_EQUAL(LOAD(file, "--set", "server.cache_size=2G",
			     "--endpoint", "http://two", "--set",
			     "export.settle_ms=2", "--bucket", "s3://ccc"), 0);
	CU_ASSERT_EQUAL(settings.server.cache_size, 2ULL << 30);
	CU_ASSERT_EQUAL(settings.server.memory_size, 64ULL << 20);
	CU_ASSERT_STRING_EQUAL(settings.s3.endpoint, "http://two");
	CU_ASSERT_STRING_EQUAL(settings.s3.region, "a");
	CU_ASSERT_EQUAL(export("/a")->options.settle_ms, 3);
	CU_ASSERT_EQUAL(export("/b")->options.settle_ms, 2);
	CU_ASSERT_EQUAL(export("/ccc")->options.settle_ms, 2);
	CU_ASSERT_EQUAL(export("/ccc")->options.lease_ms, 1001);
}

static void
exports_lie_on_the_stores_that_they_name(void)
{
	static const char file[] =
		"[s3]\nregion=a\nretry_ms=5\n"
		"[s3 far]\nendpoint=http://far/x\nprofile=f\nregion=b\n"
		"[export /a]\nbucket=s3://aaa\n"
		"[export /b]\nbucket=s3://bbb/p\nstore=far\n"
		"[s3 far]\nca_file=/c\n";
	const struct options_s3 *far;
	char place[128];

	CU_ASSERT_EQUAL_FATAL(LOAD(file, "--set", "s3.retry_ms=6"), 0);
	CU_ASSERT_PTR_EQUAL(export("/a")->s3, &settings.s3);
	far = export("/b")->s3;
	CU_ASSERT_STRING_EQUAL(far->endpoint, "http://far/x");
	CU_ASSERT_STRING_EQUAL(far->profile, "f");
	CU_ASSERT_STRING_EQUAL(far->region, "b");
	CU_ASSERT_STRING_EQUAL(far->ca_file, "/c");
	CU_ASSERT_EQUAL(far->retry_ms, 6);
	CU_ASSERT_PTR_NULL(settings.s3.endpoint);
	unsetenv("AWS_ENDPOINT_URL");
	unsetenv("AWS_ENDPOINT_URL_S3");
	settings_place(export("/b"), place, sizeof(place));
	CU_ASSERT_STRING_EQUAL(place, "s3://bbb/p at http://far/x");
	settings_place(export("/a"), place, sizeof(place));
	CU_ASSERT_STRING_EQUAL(place, "s3://aaa");
	CU_ASSERT_EQUAL(LOAD("[export /a]\nbucket=s3://aaa\nstore=x\n", NULL),
			-EINVAL);
	CU_ASSERT_STRING_EQUAL(complaint, "export /a: store: there is no "
			       "section [s3 x]\n");
	CU_ASSERT_EQUAL(LOAD("[s3 a b]\n", NULL), -EINVAL);
	CU_ASSERT_STRING_EQUAL(complaint, "FILE:1: a b: a store's name has "
			       "letters, digits and _.-\n");
	CU_ASSERT_EQUAL(LOAD("[s3 a]\nregion=x\nregion=y\n", NULL), -EINVAL);
}

static void
an_access_point_is_a_bucket(void)
{
	char *url, *prefix, *name;

	CU_ASSERT_EQUAL(settings_bucket("s3://arn:aws:s3:eu-west-1:12:"
					"accesspoint/books/a//b", &url,
					&prefix, &name), 0);
	CU_ASSERT_STRING_EQUAL(url, "s3://arn:aws:s3:eu-west-1:12:"
			       "accesspoint/books");
	CU_ASSERT_STRING_EQUAL(prefix, "a/b/");
	CU_ASSERT_STRING_EQUAL(name, "/books");
	free(url);
	free(prefix);
	free(name);
	CU_ASSERT_EQUAL(settings_bucket("s3://arn:aws:s3:::b", &url, &prefix,
					&name), -EINVAL);
	CU_ASSERT_EQUAL(settings_bucket("s3://arn:aws:s3:r:1:accesspoint/",
					&url, &prefix, &name), -EINVAL);
}

static void
strict_sets_what_refuses_and_yields_to_what_is_said(void)
{
	const struct options_export *o;

	CU_ASSERT_EQUAL(LOAD(NULL, "--bucket", "s3://aaa", "--set",
			     "export.strict=1"), 0);
	o = &export("/aaa")->options;
	CU_ASSERT(o->strict && o->commit_s3 && o->busy == GATE_BUSY_FAIL &&
		  o->reads == GATE_READS_REFUSE);
	CU_ASSERT(o->idle_visible_ms == 0 && o->idle_flush_ms == 0);
	CU_ASSERT_EQUAL(LOAD("[export /aaa]\nbucket=s3://aaa\nstrict=1\n"
			     "reads=live\nidle_flush_ms=3\n", "--set",
			     "export.commit=local"),
			0);
	o = &export("/aaa")->options;
	CU_ASSERT(o->strict && !o->commit_s3 && o->busy == GATE_BUSY_FAIL &&
		  o->reads == GATE_READS_LIVE);
	CU_ASSERT(o->idle_visible_ms == 0 && o->idle_flush_ms == 3);
}

static void
a_bucket_completes_a_section(void)
{
	CU_ASSERT_EQUAL(LOAD("[export /aaa]\nquota=1G\n", "--bucket",
			     "s3://aaa/p"), 0);
	CU_ASSERT_EQUAL(settings.export_count, 1);
	CU_ASSERT_EQUAL(export("/aaa")->options.quota, 1ULL << 30);
	CU_ASSERT_STRING_EQUAL(export("/aaa")->prefix, "p/");
}

static void
mistakes_in_the_file_name_their_line(void)
{
	static const struct { const char *file, *says; } cases[] = {
		{"[server]\ncach_size=1\n",
		 "FILE:2: cach_size: unknown key; "
		 "s3nfsd --help lists all\n"},
		{"[server]\nattr_ttl_ms=1\n",
		 "FILE:2: attr_ttl_ms: belongs into [export] or "
		 "[export /NAME]\n"},
		{"[export /a]\nbucket=s3://aaa\nclients=10.1.1.1(rw,rot)\n",
		 "FILE:3: clients: unknown option rot in "
		 "\"10.1.1.1(rw,rot)\"; allowed is a list such as "
		 "\"10.0.0.0/8(rw,root_squash) 192.168.1.5(ro)\"\n"},
		{"[server]\n\ncache_size = lots\n",
		 "FILE:3: cache_size: \"lots\" is not allowed; allowed is "
		 "bytes, with K, M, G or T, from 1M to 1024T\n"},
		{"[export /a]\nbucket=s3://aaa\non_conflict=maybe\n",
		 "FILE:3: on_conflict: \"maybe\" is not allowed; allowed is "
		 "keep-both|fail|overwrite\n"},
		{"[export /a]\nbucket=s3://aaa\nsettle_ms=2s\n",
		 "FILE:3: settle_ms: \"2s\" is not allowed; allowed is "
		 "milliseconds, from 0 to 86400000\n"},
		{"[export /a]\nbucket=s3://aaa\nclients=10.0.0.0/99\n",
		 "FILE:3: clients: no address, address/bits or * in "
		 "\"10.0.0.0/99\"; allowed is a list such as "
		 "\"10.0.0.0/8(rw,root_squash) 192.168.1.5(ro)\"\n"},
		{"[export /a]\nbucket=s3://aaa\nfile_mode=0888\n",
		 "FILE:3: file_mode: \"0888\" is not allowed; allowed is an "
		 "octal mode from 0 to 07777\n"},
		{"[export /a]\nbucket=http://aaa\n",
		 "FILE:1: bucket: \"http://aaa\" is not allowed; allowed is "
		 "s3://BUCKET, s3://BUCKET/PREFIX or file:///DIR\n"},
		{"[export /a]\nbucket=s3://b--euw1-az1--x-s3\n",
		 "FILE:1: bucket: \"s3://b--euw1-az1--x-s3\" is a directory "
		 "bucket (S3 Express), which this does not serve\n"},
		{"[export /a]\nsettle_ms=1\n",
		 "FILE:1: bucket: is missing; allowed is s3://BUCKET, "
		 "s3://BUCKET/PREFIX or file:///DIR\n"},
		{"[servers]\n", "FILE:1: servers: unknown section; there are "
		 "[server], [s3], [s3 NAME] and [export /NAME]\n"},
		{"[export a]\n", "FILE:1: a: an export's name is a path such "
		 "as /data, without . and .. and a / at the end\n"},
		{"[export /a/../b]\n", "FILE:1: /a/../b: an export's name is "
		 "a path such as /data, without . and .. and a / at the "
		 "end\n"},
		{"[server\n", "FILE:1: [server: a section is written [server], "
		 "[s3], [s3 NAME] or [export /NAME]\n"},
		{"x=1\n", "FILE:1: x: stands before the first section\n"},
		{"[server]\nwhat is this\n", "FILE:2: what is this: a line is "
		 "\"key = value\", \"[section]\" or a comment\n"},
		{"[s3]\nregion=a\n[server]\n[s3]\nregion=b\n",
		 "FILE:5: region: is set already in FILE:2\n"},
		{"[server]\nlisten=\n", "FILE:2: listen: \"\" is not allowed; "
		 "allowed is a text that is not empty\n"},
		{"", "FILE: there is nothing to export; name a bucket with "
		 "--bucket URL or in an [export /NAME] section\n"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		CU_ASSERT_EQUAL(load(cases[i].file, NULL), -EINVAL);
		CU_ASSERT_STRING_EQUAL(complaint, cases[i].says);
		if (strcmp(complaint, cases[i].says) != 0)
			fprintf(stderr, "\n got: %s", complaint);
	}
}

static void
mistakes_on_the_command_line_are_told(void)
{
	static const char *const cases[][3] = {
		{"--set", "server.cache_size=1X", "--set server.cache_size: "
		 "\"1X\" is not allowed; allowed is bytes, with K, M, G or T, "
		 "from 1M to 1024T\n"},
		{"--set", "cache_size=1", "--set cache_size=1: what is allowed "
		 "is server.KEY=VALUE, s3.KEY=VALUE and export.KEY=VALUE\n"},
		{"--set", "server.foo=1", "--set server.foo: unknown key; "
		 "s3nfsd --help lists all\n"},
		{"--set", "export.bucket=s3://x", "--set export.bucket: not "
		 "for all exports; use --bucket\n"},
		{"--portmap", "maybe", "--portmap: \"maybe\" is not allowed; "
		 "allowed is auto|builtin|rpcbind|off\n"},
		{"--listen", "here", "listen: \"here\" is not allowed; allowed "
		 "is ADDRESS, ADDRESS:PORT or [V6]:PORT\n"},
		{"--bucket", "data", "--bucket data: allowed is s3://BUCKET, "
		 "s3://BUCKET/PREFIX or file:///DIR\n"},
		{"--bucket", "s3://aaa/other", "--bucket s3://aaa/other: there "
		 "is an export /aaa already\n"},
		{"--what", "", "--what: unknown option; s3nfsd --help lists "
		 "all\n"},
		{"-c", "/nonexistent/file", "/nonexistent/file: No such file "
		 "or directory\n"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		CU_ASSERT_EQUAL(LOAD(NULL, "--bucket", "s3://aaa", cases[i][0],
				     cases[i][1]), -EINVAL);
		CU_ASSERT_STRING_EQUAL(complaint, cases[i][2]);
		if (strcmp(complaint, cases[i][2]) != 0)
			fprintf(stderr, "\n got: %s", complaint);
	}
	CU_ASSERT_EQUAL(LOAD(NULL, "--bucket"), -EINVAL);
	CU_ASSERT_EQUAL(LOAD(NULL, "s3://aaa"), -EINVAL);
}

static void
buckets_are_taken_apart(void)
{
	static const struct { const char *url, *open, *prefix, *name; } ok[] = {
		{"s3://b", "s3://b", "", "/b"},
		{"s3://b/", "s3://b", "", "/b"},
		{"s3://b.c-d_e/x/y", "s3://b.c-d_e", "x/y/", "/b.c-d_e"},
		{"file:///srv/data", "file:///srv/data", "", "/data"},
		{"file:///srv/data//", "file:///srv/data", "", "/data"},
	};
	static const char *const bad[] = {
		"", "s3:", "s3://", "s3:///x", "s3://a b", "s3://..",
		"s3://a/../b", "file://srv", "file:///", "file:///a/..",
		"S3://a", "https://a",
	};
	char *open_url, *prefix, *name;

	for (size_t i = 0; i < sizeof(ok) / sizeof(*ok); i++) {
		CU_ASSERT_EQUAL(settings_bucket(ok[i].url, &open_url, &prefix,
						&name), 0);
		CU_ASSERT_STRING_EQUAL(open_url, ok[i].open);
		CU_ASSERT_STRING_EQUAL(prefix, ok[i].prefix);
		CU_ASSERT_STRING_EQUAL(name, ok[i].name);
		free(open_url);
		free(prefix);
		free(name);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		CU_ASSERT_EQUAL(settings_bucket(bad[i], &open_url, &prefix,
						&name), -EINVAL);
	CU_ASSERT_EQUAL(settings_bucket("s3://b--euw1-az1--x-s3/p", &open_url,
					&prefix, &name), -ENOTSUP);
	CU_ASSERT_EQUAL(settings_bucket("s3://b--x-s3x", &open_url, &prefix,
					&name), 0);
	free(open_url);
	free(prefix);
	free(name);
}

static void
addresses_are_taken_apart(void)
{
	static const struct { const char *text; int family; unsigned port; }
	ok[] = {
		{"127.0.0.1", AF_INET, 2049}, {"127.0.0.1:0", AF_INET, 0},
		{":111", AF_INET, 111}, {"[::1]:99", AF_INET6, 99},
		{"::", AF_INET6, 2049}, {"[::]", AF_INET6, 2049},
	};
	static const char *const bad[] = {
		"localhost", "1.2.3.4:65536", "1.2.3.4:", "1.2.3.4:x", "[::1",
		"[::1]x", "1.2.3", "1.2.3.4:-1",
	};
	struct sockaddr_storage out;
	socklen_t len;

	for (size_t i = 0; i < sizeof(ok) / sizeof(*ok); i++) {
		CU_ASSERT_EQUAL(settings_listen(ok[i].text, &out, &len), 0);
		CU_ASSERT_EQUAL(out.ss_family, ok[i].family);
		CU_ASSERT_EQUAL(ntohs(((struct sockaddr_in *)&out)->sin_port),
				ok[i].port);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		CU_ASSERT_EQUAL(settings_listen(bad[i], &out, &len), -EINVAL);
}

static char *
slurp(const char *path)
{
	FILE *in = fopen(path, "r");
	char *text = NULL;
	size_t size = 0;

	if (in == NULL)
		return NULL;
	if (getdelim(&text, &size, '\0', in) < 0) {
		free(text);
		text = NULL;
	}
	fclose(in);
	return text;
}

static void
the_manual_has_every_key_as_the_table_has_it(void)
{
	const char *srcdir = getenv("srcdir");
	char path[4096], *manual, *keys = NULL, *item, *rest;
	size_t size = 0;
	FILE *out = open_memstream(&keys, &size);

	snprintf(path, sizeof(path), "%s/nfsd/s3nfsd.conf.pod",
		 srcdir != NULL ? srcdir : ".");
	manual = slurp(path);
	CU_ASSERT_PTR_NOT_NULL_FATAL(manual);
	for (int section = 0; section < 3; section++)
		options_pod(out, (enum options_section)section);
	fclose(out);
	rest = keys;
	while ((item = rest) != NULL && *item != '\0') {
		rest = strstr(item + 1, "\n\n=item");
		if (rest != NULL)
			*rest++ = '\0';
		if (*item == '\n')
			item++;
		CU_ASSERT_PTR_NOT_NULL(strstr(manual, item));
		if (strstr(manual, item) == NULL)
			fprintf(stderr, "\nnot in %s:\n%s\n", path, item);
	}
	free(manual);
	free(keys);
}

static void
help_names_every_option(void)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	settings_usage(out);
	fclose(out);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "--state-dir DIR"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "  supersede_quiet_ms = 1000\n"));
	CU_ASSERT_PTR_NULL(strchr(text, '\t'));
	free(text);
}

int
main(int argc, char **argv)
{
	static const struct unit_case cases[] = {
		T(defaults_are_those_of_the_manual), T(a_file_is_read),
		T(the_stronger_setting_wins),
		T(strict_sets_what_refuses_and_yields_to_what_is_said),
		T(a_bucket_completes_a_section),
		T(mistakes_in_the_file_name_their_line),
		T(mistakes_on_the_command_line_are_told),
		T(buckets_are_taken_apart), T(addresses_are_taken_apart),
		T(the_manual_has_every_key_as_the_table_has_it),
		T(help_names_every_option),
		T(exports_lie_on_the_stores_that_they_name),
		T(an_access_point_is_a_bucket),
	};
	static const char *const titles[] = {"[server]", "[s3]",
					     "[export /NAME]"};
	int r;

	if (argc == 2 && strcmp(argv[1], "pod") == 0) {
		for (int section = 0; section < 3; section++) {
			printf("=head2 %s\n\n=over\n\n", titles[section]);
			options_pod(stdout, (enum options_section)section);
			printf("=back\n\n");
		}
		return 0;
	}
	r = unit_run("nfsd_settings", cases, sizeof(cases) / sizeof(*cases),
		     argc, argv);
	settings_free(&settings);
	free(complaint);
	return r;
}
