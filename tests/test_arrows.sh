#!/bin/sh
# The rooms' arrows point one way: nfsd -> {nfsd/rpc, nfsd/gate}, nfsd/gate ->
# {meta, s3}, and {nfsd, nfsd/rpc} -> rpcgen; but for nfsd/log.h and the gate's
# clock.h, which are anybody's.  Inside of nfsd/gate each room lies on those
# before it, and has one door: ROOM/ROOM.h.  Reads every #include "room/..." of
# the sources; a planted arrow is found, too.
set -u
top=${srcdir:-$(dirname "$0")/..}

# From the ground up.
rooms='state worker data object keys node path pending change cache writer link
	dir upload dirmove ops'

# allow ROOM 'regex of what it may include' 'regex of libraries it may not'
allow() {
	for f in "$root/$1"/*.[ch]; do
		[ -e "$f" ] || continue
		for w in $(sed -n 's/^#[ \t]*include[ \t]*"\([^"]*\)".*/\1/p' \
			"$f" | grep -Ev "^($2)\$"); do
			echo "$1/$(basename "$f") includes \"$w\":" \
				"this arrow points the wrong way"
		done
		for w in $(sed -n 's/^#[ \t]*include[ \t]*<\([^>]*\)>.*/\1/p' \
			"$f" | grep -E "$3"); do
			echo "$1/$(basename "$f") includes <$w>," \
				"which is another room's library"
		done
	done
}

wrong_arrows() {
	root=$1
	allow s3 's3/.*' '^(sqlite3|rpc/|CUnit|ini\.h)'
	allow meta 'meta/.*' '^(curl/|libxml/|rpc/|CUnit|jansson|ini\.h)'

	no='^(sqlite3|curl/|libxml/|rpc/|CUnit|ini\.h)'
	below='meta/meta\.h|s3/s3\.h|nfsd/gate/(gate|clock)\.h'
	for r in $rooms; do
		below="$below|nfsd/gate/$r/$r\\.h"
		own="nfsd/gate/$r/inside\\.h"
		[ $r = state ] && own='nfsd/gate/state/.*\.h'
		allow nfsd/gate/$r "$below|$own" "$no"
	done
	allow nfsd/gate "$below|nfsd/gate/inside\\.h" "$no"
	for d in "$root"/nfsd/gate/*/; do
		d=$(basename "$d")
		case " $(echo $rooms) " in
		*" $d "*) ;;
		*) echo "nfsd/gate/$d is no room of tests/test_arrows.sh" ;;
		esac
	done

	allow nfsd/rpc 'nfsd/rpc/.*|rpcgen/.*|nfsd/log\.h|nfsd/gate/clock\.h' \
		'^(sqlite3|curl/|libxml/|CUnit)'
	# main.c alone opens meta, and with its buckets.c s3; probe.c, a part
	# of it, asks the buckets.
	allow nfsd 'nfsd/[^/]*\.h|nfsd/rpc/(rpc|portmap)\.h|nfsd/gate/(gate|clock)\.h|rpcgen/.*' \
		'^(sqlite3|curl/|libxml/|CUnit)' |
		grep -v -e '^nfsd/main.c includes "\(meta/meta\|s3/s3\)\.h"' \
			-e '^nfsd/buckets.c includes "s3/s3\.h"' \
			-e '^nfsd/probe.[ch] includes "s3/s3\.h"'
}

found=$(wrong_arrows "$top")
[ -z "$found" ] || { echo "$found"; exit 1; }

# plant FILE HEADER: it is found.
dir=$(mktemp -d "${TMPDIR:-/tmp}/arrows.XXXXXX")
trap 'rm -rf "$dir"' EXIT
plant() {
	mkdir -p "$dir/$(dirname "$1")"
	echo "#include \"$2\"" >"$dir/$1"
	[ "$(wrong_arrows "$dir" | grep -c "^$1 includes \"$2\"")" = 1 ] || {
		echo "$1 may include $2 unnoticed"
		exit 1
	}
	rm "$dir/$1"
}
plant nfsd/gate/node/x.c nfsd/gate/upload/upload.h
plant nfsd/gate/upload/x.c nfsd/gate/node/inside.h
plant nfsd/gate/ops/x.h nfsd/gate/inside.h
plant nfsd/gate/state/x.h nfsd/gate/worker/worker.h
plant nfsd/gate/x.c nfsd/log.h
plant nfsd/x.c nfsd/gate/node/node.h
plant nfsd/rpc/x.c nfsd/nfs3.h
plant meta/x.c s3/s3.h
plant s3/x.c nfsd/gate/gate.h
exit 0
