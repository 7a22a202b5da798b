# SPDX-License-Identifier: Apache-2.0
# What the tests of a daemon beside a store that fails share.  To be read with
# `.`: $daemon, $ctl, a directory $dir that goes at the end with the processes
# in $pid, $store and $others, and the words below.
daemon=$PWD/nfsd/s3nfsd
[ -x "$daemon" ] || daemon=$PWD/s3nfsd
ctl=${daemon%/*}/s3nfsctl
for p in nfs-cp nfs-ls perl; do
	command -v $p >/dev/null || {
		echo "skipped: $p is missing (apt-get install libnfs-utils)"
		exit 77
	}
done
dir=$(mktemp -d "${TMPDIR:-/tmp}/s3nfsd-daemon.XXXXXX")
pid= store= others=
trap 'kill -9 $pid $store $others 2>/dev/null; wait $store 2>/dev/null
	rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM
mkdir "$dir/bucket"
export AWS_ACCESS_KEY_ID=a AWS_SECRET_ACCESS_KEY=b
export AWS_EC2_METADATA_DISABLED=true
export AWS_CONFIG_FILE=$dir/config AWS_SHARED_CREDENTIALS_FILE=$dir/none

die() {
	echo "FAIL: $*"
	sed 's/^/  s3nfsd| /' "$dir/log"
	exit 1
}

within() {	# SECONDS COMMAND...: try until it succeeds
	local end=$((SECONDS + $1))

	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.05
	done
}

# store_is PERL [ARG]...: a store on loopback.  The program has the listening
# socket in $s; its port comes to $dir/port.
store_is() {
	local program=$1

	shift
	perl -MIO::Socket::INET -e '$| = 1;
		$SIG{PIPE} = "IGNORE";
		$s = IO::Socket::INET->new(Listen => 128,
			LocalAddr => "127.0.0.1:0");
		print $s->sockport, "\n";'"$program" "$@" >"$dir/port" &
	store=$!
	within 60 test -s "$dir/port" || die "no store"
}

# With $dir/conf; its log is $dir/log.
launch() {
	: >"$dir/log"
	"$daemon" -c "$dir/conf" 2>"$dir/log" &
	pid=$!
}

# serves EXPORT SECONDS: the port, for nfs-cp and nfs-ls, is in $ports
serves() {
	local port

	within "$2" grep -q "^s3nfsd: serving $1 on " "$dir/log" ||
		die "the daemon does not serve"
	port=$(sed -n 's/^s3nfsd: serving \/good on .*:\([0-9]*\) .*/\1/p' \
		"$dir/log")
	ports="nfsport=$port&mountport=$port"
}

# The end of a test.
sound() {
	! grep -E 'Sanitizer|runtime error|does not end' "$dir/log"
}
