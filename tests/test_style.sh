#!/bin/sh
# What HACKING.md says of the sources: 80 columns, functions of at most 80
# lines and 6 parameters, no goto.  Each rule finds what is planted.
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

found=$(cd "$top" && look $(find nfsd meta s3 rpcgen -name '*.[ch]'))
[ -z "$found" ] || { echo "$found"; exit 1; }
exit 0
