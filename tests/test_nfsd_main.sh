#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The daemon over a gate that does nothing: exit statuses, the line it prints,
# one daemon a state directory, SIGHUP, SIGTERM, --check.
set -u
daemon=./tests/s3nfsd_fake
ctl=./s3nfsctl
[ -x "$daemon" ] || { echo "no $daemon"; exit 77; }
unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_PROFILE
dir=$(mktemp -d "${TMPDIR:-/tmp}/nfsdmainXXXXXX") || exit 99
export HOME="$dir" AWS_EC2_METADATA_DISABLED=true
pid=
bad=0
trap '[ -n "$pid" ] && kill -9 $pid 2>/dev/null; rm -rf "$dir"' EXIT

check() {
	if [ "$2" = "$3" ]; then
		echo "ok: $1"
	else
		echo "FAILED: $1: got '$2', want '$3'"
		sed 's/^/	| /' "$dir/log" 2>/dev/null
		bad=1
	fi
}

# wait_for COMMAND...: until it succeeds, at most a minute
wait_for() {
	n=0
	until "$@" >/dev/null 2>&1; do
		n=$((n + 1))
		[ $n -ge 1200 ] && return 1
		sleep 0.05
	done
}

mkdir "$dir/bucket"
run="$daemon --bucket file://$dir/bucket --listen 127.0.0.1:0 --portmap off
	--state-dir $dir/state/deep"

"$daemon" --help >"$dir/help"
check "--help exits with 0" $? 0
check "--help lists the keys" "$(grep -c 'supersede_quiet_ms' "$dir/help")" 1
check "--version" "$("$daemon" --version | cut -d' ' -f1)" s3nfsd
"$daemon" --set nonsense >"$dir/log" 2>&1
check "a wrong configuration exits with 2" $? 2
check "... and says why in one line" "$(wc -l <"$dir/log" | tr -d ' ')" 1
$run --check >"$dir/log" 2>&1
check "--check of a good bucket" $? 0
check "--check writes nothing" "$(ls -A "$dir/bucket" | grep -vc '^\.')" 0
check "--check makes no state" "$(ls -d "$dir/state" 2>/dev/null)" ""
"$daemon" --bucket file:///dev/null/no --check >"$dir/log" 2>&1
check "--check of a bad bucket" $? 1

$run -c /dev/null 2>"$dir/log" &
pid=$!
wait_for grep -q 'serving' "$dir/log"
check "it says what it serves" "$(sed -n \
	's|^s3nfsd: serving /bucket on 127.0.0.1:[0-9]* (file://.*/bucket)$|yes|p' \
	"$dir/log")" yes
check "it says that others are refused" \
	"$(grep -c 'this machine only' "$dir/log")" 1
check "the state is nobody else's to read" \
	"$(stat -c %a "$dir/state/deep")" 700
wait_for "$ctl" --state-dir "$dir/state/deep" status
check "s3nfsctl finds it" "$("$ctl" --state-dir "$dir/state/deep" status |
	sed -n 's/^Exports: *//p')" /bucket
port=$(sed -n 's/^s3nfsd: serving .*:\([0-9]*\) (.*/\1/p' "$dir/log")
if command -v nfs-ls >/dev/null; then
	at="nfsport=$port&mountport=$port&version=3"
	nfs-ls "nfs://127.0.0.1/bucket?$at" >/dev/null 2>&1
	check "a client mounts it" $? 0
	nfs-ls "nfs://127.0.0.1/none?$at" >/dev/null 2>&1
	check "the log says why a mount was refused" \
		"$(grep -c 'path=/none: no export has this name' "$dir/log")" 1
fi
$run >"$dir/second" 2>&1
check "a second daemon on the state is refused" $? 1
check "... and says so" "$(grep -c 'is in use by another' "$dir/second")" 1
rm -f "$dir/state/deep/lock"
ln -s "$dir/state" "$dir/link"
$run --state-dir "$dir/link/deep" >"$dir/second" 2>&1
check "... by whatever path" $? 1
mkdir "$dir/other"
for name in meta.db meta.db-wal; do
	ln "$dir/state/deep/$name" "$dir/other/$name"
done
$run --state-dir "$dir/other" >"$dir/second" 2>&1
check "a second daemon on the database is refused" $? 1
check "... and says so, too" "$(grep -c 'is in use by another' "$dir/second")" 1
kill -HUP $pid
wait_for grep -q 'rules anew' "$dir/log"
check "SIGHUP reads the exports" $? 0
kill -TERM $pid
wait $pid
check "SIGTERM ends it with 0" $? 0
pid=
check "no socket is left" "$(ls "$dir/state/deep" | grep -c sock)" 0

# A bucket that does not answer is waited for.
AWS_ACCESS_KEY_ID=a AWS_SECRET_ACCESS_KEY=b "$daemon" --bucket s3://data \
	--endpoint http://127.0.0.1:1 --set s3.retry_ms=100 \
	--listen 127.0.0.1:0 --portmap off --state-dir "$dir/other" \
	2>"$dir/log" &
pid=$!
wait_for grep -q 'serving /data on .* (s3://data)' "$dir/log"
check "a bucket that does not answer is served all the same" $? 0
check "... and that is said" "$(grep -c 'does not answer' "$dir/log")" 1
kill -TERM $pid
wait $pid
check "it ends while the bucket is away" $? 0
pid=
exit $bad
