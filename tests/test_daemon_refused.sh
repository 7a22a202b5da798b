#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Buckets that refuse the gateway when it starts: keys that have lapsed, access
# that is denied, a bucket that is not there, a source of keys that fails.  The
# daemon serves all the same, says why, and finds out when that is over.
set -u
daemon=$PWD/nfsd/s3nfsd
[ -x "$daemon" ] || daemon=$PWD/s3nfsd
ctl=${daemon%/*}/s3nfsctl
for p in nfs-cp perl; do
	command -v $p >/dev/null || {
		echo "skipped: $p is missing (apt-get install libnfs-utils)"
		exit 77
	}
done
dir=$(mktemp -d "${TMPDIR:-/tmp}/s3nfsd-refused.XXXXXX")
pid= store= files=0
trap 'kill -9 $pid $store 2>/dev/null; wait $store 2>/dev/null; rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM
mkdir "$dir/bucket"

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

# A store that says what stands in $dir/code, to everything; nothing is there:
# the empty bucket.
perl -MIO::Socket::INET -e '$| = 1;
	$SIG{PIPE} = "IGNORE";
	$s = IO::Socket::INET->new(Listen => 128, LocalAddr => "127.0.0.1:0");
	print $s->sockport, "\n";
	while ($c = $s->accept) {
		while (($_ = <$c>) && !/^\r?$/) { }
		if (open F, "<", "$ARGV[0]/code") {
			chomp($code = <F>);
			$body = "<Error><Code>$code</Code></Error>";
			$status = $code =~ /^NoSuch/ ? 404 : 403;
		} else {
			$body = "<ListBucketResult><IsTruncated>false" .
				"</IsTruncated></ListBucketResult>";
			$status = 200;
		}
		print $c "HTTP/1.1 $status X\r\nx-amz-request-id: 1\r\n",
			"connection: close\r\ncontent-type: application/xml",
			"\r\ncontent-length: ", length $body, "\r\n\r\n", $body;
		close $c
	}' "$dir" >"$dir/port" &
store=$!
within 10 test -s "$dir/port" || die "no store"
export AWS_ACCESS_KEY_ID=a AWS_SECRET_ACCESS_KEY=b
export AWS_EC2_METADATA_DISABLED=true
export AWS_CONFIG_FILE=$dir/config AWS_SHARED_CREDENTIALS_FILE=$dir/none

cat >"$dir/conf" <<END
[server]
state_dir = $dir/state
shutdown_timeout_ms = 1000
portmap = off
listen = 127.0.0.1:0
[s3]
endpoint = http://127.0.0.1:$(cat "$dir/port")
retry_ms = 100
[export /good]
bucket = file://$dir/bucket
[export /sick]
bucket = s3://sick
readonly = 1
END

start() {
	: >"$dir/log"
	"$daemon" -c "$dir/conf" 2>"$dir/log" &
	pid=$!
	within 20 grep -q '^s3nfsd: serving /sick on ' "$dir/log" ||
		die "$1: the daemon does not serve"
	port=$(sed -n 's/^s3nfsd: serving \/good on .*:\([0-9]*\) .*/\1/p' \
		"$dir/log")
}

# refused WHAT: it serves the other export, and says why this one is not.
refused() {
	start "$1"
	within 10 grep -q "bucket=s3://sick cannot be used, trying on: .*$1" \
		"$dir/log" || die "$1: the log does not tell"
	echo "$1" >"$dir/a"
	timeout 10 nfs-cp "$dir/a" \
		"nfs://127.0.0.1/good/$((++files))?nfsport=$port&mountport=$port" \
		>"$dir/out" 2>&1 || die "$1: nfs-cp: $(tail -n 1 "$dir/out")"
	"$ctl" --state-dir "$dir/state" status >"$dir/status" ||
		die "$1: no status"
}

ends() {
	kill -TERM $pid
	wait $pid || die "$1: exit code $?"
	pid=
	echo "ok: $1 at the start"
}

for code in InvalidAccessKeyId ExpiredToken AccessDenied NoSuchBucket; do
	echo $code >"$dir/code"
	refused $code
	"$daemon" -c "$dir/conf" --state-dir "$dir/other" --check \
		>"$dir/out" 2>&1 && die "$code: --check is content"
	grep -q "^/sick .*$code" "$dir/out" || die "$code: --check does not tell"
	ends $code
done

# ---- and when it is over
echo ExpiredToken >"$dir/code"
refused ExpiredToken
rm "$dir/code"
within 30 grep -q 'bucket=s3://sick answers now' "$dir/log" ||
	die "it is not found out that the keys are good"
ends "keys that are good later"

# ---- a source of keys that fails
unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
printf '[default]\ncredential_process = false\n' >"$dir/config"
refused credential_process
ends "a source of keys that fails"
grep -E 'Sanitizer|runtime error|does not end' "$dir/log" && exit 1
exit 0
