#!/bin/sh
# What HACKING.md says of the sources: 80 columns, functions of at most 80
# lines, no goto.  Each rule finds what is planted.
set -u
top=${srcdir:-$(dirname "$0")/..}

# look FILE...: a line for each fault.
look() {
	LC_ALL=C awk '
	FNR == 1 { begun = 0 }
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

found=$(cd "$top" && look $(find nfsd meta s3 rpcgen -name '*.[ch]'))
[ -z "$found" ] || { echo "$found"; exit 1; }
exit 0
