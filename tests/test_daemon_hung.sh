#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Buckets that are silent: the daemon serves the others at once, hears SIGTERM
# at any moment, and ends in its time.
set -u
daemon=$PWD/nfsd/s3nfsd
[ -x "$daemon" ] || daemon=$PWD/s3nfsd
ctl=${daemon%/*}/s3nfsctl
for p in nfs-cp nfs-ls perl; do
	command -v $p >/dev/null || {
		echo "skipped: $p is missing (apt-get install libnfs-utils)"
		exit 77
	}
done
dir=$(mktemp -d "${TMPDIR:-/tmp}/s3nfsd-hung.XXXXXX")
pid= hole= others=
trap 'kill -9 $pid $hole $others 2>/dev/null; rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM
mkdir "$dir/bucket"
end_ms=1000	# shutdown_timeout_ms; two seconds more are allowed

die() {
	echo "FAIL: $*"
	sed 's/^/  s3nfsd| /' "$dir/log"
	exit 1
}

now() {		# milliseconds
	echo $(($(date +%s%N) / 1000000))
}

within() {	# SECONDS COMMAND...: try until it succeeds
	local end=$((SECONDS + $1))

	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.05
	done
}

# A store that takes connections and never says a word.
perl -MIO::Socket::INET -e '$| = 1;
	$s = IO::Socket::INET->new(Listen => 128, LocalAddr => "127.0.0.1:0");
	print $s->sockport, "\n";
	while ($c = $s->accept) { push @c, $c }' >"$dir/hole" &
hole=$!
within 10 test -s "$dir/hole" || die "no black hole"
export AWS_ACCESS_KEY_ID=a AWS_SECRET_ACCESS_KEY=b
export AWS_EC2_METADATA_DISABLED=true
export AWS_CONFIG_FILE=$dir/config AWS_SHARED_CREDENTIALS_FILE=$dir/none

cat >"$dir/conf" <<END
[server]
state_dir = $dir/state
shutdown_timeout_ms = $end_ms
portmap = off
listen = 127.0.0.1:0
[s3]
endpoint = http://127.0.0.1:$(cat "$dir/hole")
[export /good]
bucket = file://$dir/bucket
[export /hung1]
bucket = s3://hung1
[export /hung2]
bucket = s3://hung2
[export /hung3]
bucket = s3://hung3
END

start() {
	: >"$dir/log"
	"$daemon" -c "$dir/conf" 2>"$dir/log" &
	pid=$!
}

serves() {
	within 10 grep -q '^s3nfsd: serving /hung3 on ' "$dir/log" ||
		die "the daemon does not serve"
	port=$(sed -n 's/^s3nfsd: serving \/good on .*:\([0-9]*\) .*/\1/p' \
		"$dir/log")
	ports="nfsport=$port&mountport=$port"
}

ends() {	# WHAT
	local began

	began=$(now)
	kill -TERM $pid
	wait $pid || die "$1: exit code $?"
	took=$(($(now) - began))
	pid=
	[ $took -lt $((end_ms + 2000)) ] || die "$1: the end took $took ms"
	echo "ok: $1 ($took ms)"
}

# ---- three silent buckets delay nobody
began=$(now)
start
serves
took=$(($(now) - began))
[ $took -lt 5000 ] || die "three silent buckets delay the start by $took ms"
echo "served after $took ms" >"$dir/a"
timeout 5 nfs-cp "$dir/a" "nfs://127.0.0.1/good/a?$ports" >"$dir/out" 2>&1 ||
	die "nfs-cp: $(tail -n 1 "$dir/out")"
ends "silent buckets at start"
cmp "$dir/a" "$dir/bucket/a" || die "a is not in the bucket"

forty_wait() {
	[ "$("$ctl" --state-dir "$dir/state" --json status |
		sed -n 's/.*"in_flight": *\([0-9]*\).*/\1/p' | head -n 1)" -ge 40 ]
}

# ---- calls that wait for S3
start
serves
for i in $(seq 40); do
	timeout 60 nfs-ls "nfs://127.0.0.1/hung$((i % 3 + 1))/$i?$ports" \
		>/dev/null 2>&1 &
	others="$others $!"
done
within 30 forty_wait || die "forty calls do not wait"
ends "forty calls that wait for a black hole"
kill $others 2>/dev/null
wait $others 2>/dev/null
others=

# ---- a credential_process that hangs while it starts
unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
cat >"$dir/config" <<END
[default]
credential_process = echo run >>$dir/ran; exec sleep 1000
END
start
within 10 test -s "$dir/ran" || die "credential_process was not run"
ends "credential_process hangs at the start"

# ---- and later on
cat >"$dir/config" <<END
[default]
credential_process = [ -e $dir/once ] && { echo >$dir/twice; exec sleep 1000; }; echo >$dir/once; echo '{ "Version": 1, "AccessKeyId": "a", "SecretAccessKey": "b", "Expiration": "'\$(date -u -d '+60 seconds' +%Y-%m-%dT%H:%M:%SZ)'" }'
END
start
serves
within 10 test -e "$dir/twice" || die "the keys were not asked for anew"
ends "credential_process hangs later"
grep -E 'Sanitizer|runtime error|does not end' "$dir/log" && exit 1
exit 0
