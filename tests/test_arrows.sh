#!/bin/sh
# The rooms' arrows point one way: nfsd -> nfsd/gate -> {meta, s3}, and
# nfsd -> rpcgen.  Reads every #include "room/..." of the sources.
set -u
top=${srcdir:-$(dirname "$0")/..}
bad=0

# allow ROOM-GLOB 'regex of what it may include'
allow() {
	dir=$1 what=$2
	for f in "$top/$dir"/*.[ch]; do
		[ -e "$f" ] || continue
		wrong=$(sed -n 's/^#[ \t]*include[ \t]*"\([^"]*\)".*/\1/p' "$f" |
			grep -Ev "^($what)\$")
		for w in $wrong; do
			echo "$dir/$(basename "$f") includes \"$w\": this arrow points the wrong way"
			bad=1
		done
		outside=$(sed -n 's/^#[ \t]*include[ \t]*<\([^>]*\)>.*/\1/p' "$f" |
			grep -E "$3")
		for w in $outside; do
			echo "$dir/$(basename "$f") includes <$w>, which is another room's library"
			bad=1
		done
	done
}

allow s3 's3/.*' '^(sqlite3|rpc/|CUnit|ini\.h)'
allow meta 'meta/.*' '^(curl/|libxml/|rpc/|CUnit|jansson|ini\.h)'
allow nfsd/gate 'nfsd/gate/.*|meta/meta\.h|s3/s3\.h' '^(sqlite3|curl/|libxml/|rpc/|CUnit|ini\.h)'
# main.c alone opens meta and s3; probe.c, a part of it, asks the buckets.
allow nfsd/rpc 'nfsd/rpc/.*|rpcgen/.*|nfsd/log\.h|nfsd/gate/clock\.h' '^(sqlite3|curl/|libxml/|CUnit)'
allow nfsd 'nfsd/[^/]*\.h|nfsd/rpc/(rpc|portmap)\.h|nfsd/gate/(gate|clock)\.h|rpcgen/.*' '^(sqlite3|curl/|libxml/|CUnit)' |
	grep -v -e '^nfsd/main.c includes "\(meta/meta\|s3/s3\)\.h"' \
		-e '^nfsd/probe.[ch] includes "s3/s3\.h"' && bad=1
exit $bad
