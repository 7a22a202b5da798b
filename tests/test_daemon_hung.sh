#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Buckets that are silent: the daemon serves the others at once, hears SIGTERM
# at any moment, and ends in its time.
set -u
. "${srcdir:-$(dirname "$0")/..}/tests/daemon.sh"
end_ms=1000	# shutdown_timeout_ms
more_ms=10000	# what a busy machine may need beside that; S3 would take for ever

now() {		# milliseconds
	echo $(($(date +%s%N) / 1000000))
}

# A store that takes connections and never says a word.
store_is 'while ($c = $s->accept) { push @c, $c }'

cat >"$dir/conf" <<END
[server]
state_dir = $dir/state
shutdown_timeout_ms = $end_ms
portmap = off
listen = 127.0.0.1:0
[s3]
endpoint = http://127.0.0.1:$(cat "$dir/port")
[export /good]
bucket = file://$dir/bucket
[export /hung1]
bucket = s3://hung1
[export /hung2]
bucket = s3://hung2
[export /hung3]
bucket = s3://hung3
END

ends() {	# WHAT
	local began

	began=$(now)
	kill -TERM $pid
	wait $pid || die "$1: exit code $?"
	took=$(($(now) - began))
	pid=
	[ $took -lt $((end_ms + more_ms)) ] || die "$1: the end took $took ms"
	echo "ok: $1 ($took ms)"
}

# ---- three silent buckets delay nobody
began=$(now)
launch
serves /hung3 60
took=$(($(now) - began))
[ $took -lt $more_ms ] || die "three silent buckets delay the start by $took ms"
echo "served after $took ms" >"$dir/a"
timeout 60 nfs-cp "$dir/a" "nfs://127.0.0.1/good/a?$ports" >"$dir/out" 2>&1 ||
	die "nfs-cp: $(tail -n 1 "$dir/out")"
ends "silent buckets at start"
cmp "$dir/a" "$dir/bucket/a" || die "a is not in the bucket"

forty_wait() {
	[ "$("$ctl" --state-dir "$dir/state" --json status |
		sed -n 's/.*"in_flight": *\([0-9]*\).*/\1/p' | head -n 1)" -ge 40 ]
}

# ---- calls that wait for S3
launch
serves /hung3 60
for i in $(seq 40); do
	timeout 60 nfs-ls "nfs://127.0.0.1/hung$((i % 3 + 1))/$i?$ports" \
		>/dev/null 2>&1 &
	others="$others $!"
done
within 60 forty_wait || die "forty calls do not wait"
ends "forty calls that wait for a black hole"
kill $others 2>/dev/null
wait $others 2>/dev/null
others=

# ---- a credential_process that hangs while it starts
unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
cat >"$dir/config" <<END
[default]
credential_process = echo run >>$dir/ran; exec sleep 1000
END
launch
within 60 test -s "$dir/ran" || die "credential_process was not run"
ends "credential_process hangs at the start"

# ---- and later on
cat >"$dir/config" <<END
[default]
credential_process = [ -e $dir/once ] && { echo >$dir/twice; exec sleep 1000; }; echo >$dir/once; echo '{ "Version": 1, "AccessKeyId": "a", "SecretAccessKey": "b", "Expiration": "'\$(date -u -d '+60 seconds' +%Y-%m-%dT%H:%M:%SZ)'" }'
END
launch
serves /hung3 60
within 60 test -e "$dir/twice" || die "the keys were not asked for anew"
ends "credential_process hangs later"
sound
