#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The daemon on the embedded bucket, with libnfs for a client: files in and
# out, the objects' bytes, an orderly end, and a kill that loses nothing.
set -u
daemon=$PWD/nfsd/s3nfsd
[ -x "$daemon" ] || daemon=$PWD/s3nfsd
for p in nfs-cp nfs-ls nfs-cat; do
	command -v $p >/dev/null || {
		echo "skipped: $p is missing (apt-get install libnfs-utils)"
		exit 77
	}
done
dir=$(mktemp -d "${TMPDIR:-/tmp}/s3nfsd-smoke.XXXXXX")
pid=
trap '[ -z "$pid" ] || kill -9 $pid; rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM
mkdir "$dir/bucket" "$dir/state" "$dir/back"

die() {
	echo "FAIL: $*"
	sed 's/^/  s3nfsd| /' "$dir/log"
	exit 1
}

# within SECONDS COMMAND...: try until it succeeds
within() {
	local end=$((SECONDS + $1))

	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.05
	done
}

start() {
	: >"$dir/log"
	"$daemon" --bucket "file://$dir/bucket" --listen 127.0.0.1:0 \
		--portmap off --state-dir "$dir/state" \
		--set export.settle_ms=200 2>"$dir/log" &
	pid=$!
	within 60 grep -q '^s3nfsd: serving /bucket on ' "$dir/log" ||
		die "the daemon does not serve"
	port=$(sed -n 's/^s3nfsd: serving \/bucket on .*:\([0-9]*\) .*/\1/p' \
		"$dir/log")
	ports="nfsport=$port&mountport=$port"
}

url() {
	echo "nfs://127.0.0.1/bucket/$1?$ports"
}

put() {		# FILE NAME
	timeout 60 nfs-cp "$1" "$(url "$2")" >"$dir/out" 2>&1 ||
		die "nfs-cp $1 in: $(tail -n 1 "$dir/out")"
}

comes_back() {	# NAME FILE
	rm -f "$dir/back/f"
	timeout 60 nfs-cp "$(url "$1")" "$dir/back/f" >"$dir/out" 2>&1 ||
		die "nfs-cp $1 out: $(tail -n 1 "$dir/out")"
	cmp "$dir/back/f" "$2" || die "$1 came back changed"
}

stored() {	# NAME FILE
	within 60 cmp "$dir/bucket/$1" "$2" ||
		die "the object $1 is not the file's bytes"
}

head -c 3000001 /dev/urandom >"$dir/a"
echo small >"$dir/b"
: >"$dir/empty"

start
put "$dir/a" a
put "$dir/b" b
put "$dir/empty" empty
comes_back a "$dir/a"
comes_back b "$dir/b"
timeout 60 nfs-ls "nfs://127.0.0.1/bucket?$ports" >"$dir/list" 2>&1
[ "$(awk '{ print $NF }' "$dir/list" | sort | tr '\n' ' ')" = \
  "a b empty " ] || die "nfs-ls says: $(cat "$dir/list")"
kill -TERM $pid
wait $pid || die "SIGTERM: exit code $?"
pid=
for f in a b empty; do
	cmp "$dir/bucket/$f" "$dir/$f" || die "after SIGTERM: object $f"
done

start
comes_back a "$dir/a"
put "$dir/a" killed
kill -KILL $pid
wait $pid 2>/dev/null
start
comes_back killed "$dir/a"
stored killed "$dir/a"
comes_back b "$dir/b"
kill -TERM $pid
wait $pid || die "SIGTERM again: exit code $?"
pid=
grep -E 'Sanitizer|runtime error' "$dir/log" && exit 1
echo "in, out, SIGTERM and SIGKILL: the same bytes"
