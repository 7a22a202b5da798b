# SPDX-License-Identifier: Apache-2.0
# For the check-* programs: steps with one line each.  Sourced by bash; wants
# $logs, a directory.  On failure a step's last lines and those of
# $logs/s3nfsd, the running daemon's log, are shown.
steps_passed=0 steps_failed=0 steps_skipped=0

since() {
	awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.2f", b - a }'
}

# rate MIB START: "0.50 s, 512 MiB/s"
rate() {
	awk -v n="$1" -v a="$2" -v b="$EPOCHREALTIME" \
	    'BEGIN { printf "%.2f s, %.0f MiB/s", b - a, n / (b - a) }'
}

# figure TEXT: printed below the step's line
figure() {
	echo "$*" >>"$logs/figures"
}

# until_ok SECONDS COMMAND...: again and again until it succeeds
until_ok() {
	local end=$((SECONDS + $1))

	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.1
	done
}

# The process has ended; a zombie counts.
gone() {
	case $(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) in
	Z* | X* | '') return 0 ;;
	esac
	return 1
}

# step NAME FUNCTION...: its commands run in a subshell under set -e.
# A function that returns 77 has skipped.  Only names that match $step_only.
# Not to be called before || or in a condition: bash ignores errexit there.
# What $step_title says is printed behind the name.
step() {
	local name=$1 t=$EPOCHREALTIME code title=$1${step_title:+ $step_title}

	shift
	[[ $name =~ ${step_only:-} ]] || return 0
	: >"$logs/figures"
	(
		set -eE
		trap 'echo "line $LINENO: $BASH_COMMAND" >&2' ERR
		"$@"
	) >"$logs/$name" 2>&1 </dev/null
	code=$?
	case $code in
	0)
		steps_passed=$((steps_passed + 1))
		echo "ok $title ($(since "$t") s)"
		;;
	77)
		steps_skipped=$((steps_skipped + 1))
		echo "skip $title ($(tail -n 1 "$logs/$name"))"
		;;
	*)
		steps_failed=$((steps_failed + 1))
		echo "FAIL $title ($(since "$t") s)"
		tail -n 15 "$logs/$name" | cut -c 1-200 | sed 's/^/  | /'
		[ ! -e "$logs/s3nfsd" ] || tail -n 8 "$logs/s3nfsd" |
			cut -c 1-200 | sed 's/^/  s3nfsd| /'
		;;
	esac
	sed 's/^/    /' "$logs/figures"
	return $code
}

finish() {
	[ -z "${keep:-}" ] || {
		rm -rf "${0##*/}.logs"
		cp -r "$logs" "${0##*/}.logs"
	}
	echo "$(basename "$0"): $steps_passed ok, $steps_failed failed," \
		"$steps_skipped skipped"
	[ $steps_failed = 0 ]
	exit
}
