#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Buckets that refuse the gateway when it starts: keys that have lapsed, access
# that is denied, a bucket that is not there, a source of keys that fails.  The
# daemon serves all the same, says why, and finds out when that is over.
set -u
. "${srcdir:-$(dirname "$0")/..}/tests/daemon.sh"
files=0

# A store that says what stands in $dir/code, to everything; nothing is there:
# the empty bucket.
store_is '
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
	}' "$dir"

cat >"$dir/conf" <<END
[server]
state_dir = $dir/state
shutdown_timeout_ms = 60000
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

# refused WHAT: it serves the other export, and says why this one is not.
refused() {
	launch
	serves /sick 60
	within 60 grep -q "bucket=s3://sick cannot be used, trying on: .*$1" \
		"$dir/log" || die "$1: the log does not tell"
	echo "$1" >"$dir/a"
	timeout 60 nfs-cp "$dir/a" \
		"nfs://127.0.0.1/good/$((++files))?$ports" \
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
within 60 grep -q 'bucket=s3://sick answers now' "$dir/log" ||
	die "it is not found out that the keys are good"
ends "keys that are good later"

# ---- a source of keys that fails
unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
printf '[default]\ncredential_process = false\n' >"$dir/config"
refused credential_process
ends "a source of keys that fails"
sound
