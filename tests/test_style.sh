#!/bin/sh
# What HACKING.md says of the sources: files of at most 800 lines, 80 columns,
# functions of at most 80 lines and 6 parameters, no goto.  Each rule finds what
# is planted.
set -u
top=${srcdir:-$(dirname "$0")/..}

# More parameters than 6 have the procedures of RFC 1813 (gate.h), the requests
# of the S3 API, and what hands those on.
many='gate_(create|link|lookup|mkdir|mknod|read|readdir|rename|symlink|write)'
many="$many|((s3|s3_remote|local|fault)_)?(get|put|copy|part|upload_part)"
many="$many|((s3|s3_remote|local|fault)_(upload_)?)?(part_copy|complete)"
many="$many|get_once|copy_part|open_source|put_marker|page_of_locked"
many="$many|s3_fault_(stale|other|caseless|ghost)_list"

# look FILE...: a line for each fault.
look() {
	LC_ALL=C awk -v many="^($many)\$" '
	FNR == 1 { begun = 0; head = "" }
	/^[a-z_][a-z0-9_]*\(/ { head = "" }
	/^[a-z_][a-z0-9_]*\(/ || head != "" { head = head $0 }
	$0 == "{" && head != "" {
		name = head
		sub(/\(.*/, "", name)
		depth = 0
		params = 1
		for (i = 1; i <= length(head); i++) {
			c = substr(head, i, 1)
			depth += c == "(" || c == "["
			depth -= c == ")" || c == "]"
			params += c == "," && depth == 1
		}
		if (params > 6 && name !~ many)
			printf "%s:%d: %s has %d parameters\n", FILENAME,
				FNR, name, params
	}
	/[;{}]$/ { head = "" }
	{
		text = ""
		n = split($0, part, "\t")
		for (i = 1; i <= n; i++) {
			text = text part[i]
			if (i < n)
				do text = text " "; while (length(text) % 8)
		}
		if (length(text) > 80)
			printf "%s:%d: %d columns\n", FILENAME, FNR,
				length(text)
	}
	$0 == "{" { begun = FNR }
	$0 == "}" && begun {
		if (FNR - begun > 80)
			printf "%s:%d: a function of %d lines\n", FILENAME,
				begun, FNR - begun
		begun = 0
	}
	/^[ \t]+goto / { printf "%s:%d: goto\n", FILENAME, FNR }
	' "$@"
}

# long TREE: a line for each file of it with more than 800 lines.  One may have
# more: a list of promises that is to be read from top to bottom.
long() {
	(cd "$1" && find nfsd meta s3 rpcgen tests -type f \( -name '*.[chx]' \
		-o -name '*.sh' -o -name '*.py' -o -name '*.inc' \
		-o -name kclient -o -name 'check-*' ! -name '*.*' \) \
		! -path tests/s3_contract.c -exec wc -l {} +) |
	awk '$1 > 800 && $2 != "total" { print $2 ": " $1 " lines" }'
}

dir=$(mktemp -d "${TMPDIR:-/tmp}/style.XXXXXX")
trap 'rm -rf "$dir"' EXIT
plant() {		# WHAT
	[ "$(look "$dir/x.c" | grep -c "$1")" = 1 ] || {
		echo "not found where it is: $1"
		exit 1
	}
}
printf '\t%073d\n' 0 >"$dir/x.c"
plant '81 columns'
{ echo '{'; yes '	x;' | head -n 80; echo '}'; } >"$dir/x.c"
plant 'a function of 81 lines'
printf '{\n\tgoto out;\n}\n' >"$dir/x.c"
plant goto
printf 'int\nf(int a, int b, int (*c)(int, int),\n  int d, int e, int g, int h)\n{\n}\n' \
	>"$dir/x.c"
plant 'f has 7 parameters'

for room in nfsd meta s3 rpcgen tests; do
	mkdir "$dir/$room"
	yes | head -n 800 >"$dir/$room/x.c"
done
[ -z "$(long "$dir")" ] || { echo "800 lines are too many"; exit 1; }
for room in nfsd meta s3 rpcgen tests; do
	echo >>"$dir/$room/x.c"
	[ "$(long "$dir" | grep -c "^$room/x.c: 801 lines\$")" = 1 ] || {
		echo "not found where it is: $room/x.c has 801 lines"
		exit 1
	}
done

found=$(cd "$top" && look $(find nfsd meta s3 rpcgen -name '*.[ch]'))
[ -z "$found" ] || { echo "$found"; exit 1; }
found=$(long "$top")
[ -z "$found" ] || { echo "$found"; exit 1; }
exit 0
