#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A real S3 server for tests: Ceph radosgw on one mon and one memstore osd,
# ordinary processes on free loopback ports, usable in a few seconds.
#
#	radosgw.sh start DIR [BUCKET]...
#	radosgw.sh stop DIR
#
# start creates the buckets and writes DIR/env, to be read with `. DIR/env`:
# S3_ENDPOINT, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_DEFAULT_REGION,
# CEPH_CONF.  It exits 77 where radosgw is not installed.  The data lives in
# memory and dies with stop, which keeps DIR/log and removes the rest.
# MEMGB (8) bounds the data, OWNER_PID (none) ends all when that process does.
set -u
me=$(basename "$0")
AK=testkey000000000000
SK=testsecret00000000000000000000000000000000
REGION=us-east-1

die() {
	echo "$me: $*" >&2
	exit 1
}

# A loopback port nobody listens on, below the kernel's ephemeral range.
free_port() {
	local p

	for _ in $(seq 200); do
		p=$((10000 + (RANDOM * 32768 + RANDOM) % 22000))
		(: <"/dev/tcp/127.0.0.1/$p") 2>/dev/null || {
			echo $p
			return
		}
	done
	die "no free port"
}

write_conf() {
	local fsid=$1 monport=$2 port=$3

	cat >"$DIR/ceph.conf" <<C
[global]
fsid = $fsid
mon host = [v2:127.0.0.1:$monport,v1:127.0.0.1:$((monport + 1))]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
auth allow insecure global id reclaim = true
run dir = $DIR/asok
admin socket =
log file = $DIR/log/\$name.log
pid file =
crash dir =
ms crc data = false
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pgp num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 1000
mon warn on pool no redundancy = false
mon data avail warn = 1
mon data avail crit = 1
mon osd full ratio = .98
osd failsafe full ratio = .99
mon osd nearfull ratio = .96
mon osd backfillfull ratio = .97
debug osd = 0/0
debug ms = 0/0
debug objecter = 0/0
debug monc = 0/0
debug rados = 0/0
debug auth = 0/0
debug objclass = 0/0
debug filestore = 0/0
debug optracker = 0/0
debug throttle = 0/0
debug finisher = 0/0
osd enable op tracker = false
throttler perf counter = false
[mon]
paxos propose interval = 0.05
paxos min wait = 0.02
mon data = $DIR/mon
mon initial members = a
mgr initial modules =
[osd]
osd data = $DIR/osd
osd objectstore = memstore
memstore device bytes = $((${MEMGB:-8} << 30))
osd memory target = 1610612736
osd op num shards = 4
[client]
rgw frontends = beast endpoint=127.0.0.1:$port tcp_nodelay=1
rgw data = $DIR/rgw
debug rgw = 0/0
ms mon client mode = crc
rgw thread pool size = 64
rgw dns name = s3.localhost
rgw enable usage log = false
rgw enable ops log = false
rgw dynamic resharding = false
rgw override bucket index max shards = 1
rgw gc obj min wait = 5
rgw gc processor period = 10
rgw gc processor max time = 60
rgw max chunk size = 4194304
rgw lc debug interval = -1
rgw enable apis = s3, admin
C
}

# spawn NAME COMMAND...: in the background, noted in DIR/pids.
spawn() {
	local name=$1

	shift
	"$@" >"$DIR/log/$name.out" 2>&1 </dev/null &
	echo "$name $!" >>"$DIR/pids"
}

alive() {
	local n p

	while read -r n p; do
		kill -0 "$p" 2>/dev/null || {
			echo "$me: $n ended early:" >&2
			tail -n 5 "$DIR/log/$n.out" >&2
			return 1
		}
	done <"$DIR/pids"
}

# until_ok SECONDS COMMAND...
until_ok() {
	local end=$((SECONDS + $1))

	shift
	until "$@" >/dev/null 2>&1; do
		alive || return 1
		[ $SECONDS -lt $end ] || return 1
		sleep .1
	done
}

osd_up() {
	ceph -c "$CEPH_CONF" --connect-timeout 5 osd stat | grep -q '1 up'
}

# Signed with Signature V2, which is short enough for a shell script.
make_bucket() {
	local code date sig

	date=$(LC_ALL=C date -u '+%a, %d %b %Y %H:%M:%S GMT')
	sig=$(printf 'PUT\n\n\n%s\n/%s' "$date" "$2" |
		openssl dgst -sha1 -hmac "$SK" -binary | openssl base64)
	code=$(curl -s -o "$DIR/log/mkbucket" -w '%{http_code}' -X PUT \
		-H "Date: $date" -H "Authorization: AWS $AK:$sig" \
		"http://127.0.0.1:$1/$2")
	[ "$code" = 200 ] || [ "$code" = 409 ]
}

start() {
	local fsid monport port uuid b

	for b in ceph ceph-mon ceph-osd radosgw radosgw-admin monmaptool curl \
		openssl; do
		command -v $b >/dev/null || {
			echo "$me: skipped: $b is not installed"
			exit 77
		}
	done
	[ ! -e "$DIR/pids" ] || die "$DIR is in use; stop it first"
	mkdir -p "$DIR"/{mon,osd,rgw,log,asok} || exit 1
	DIR=$(cd "$DIR" && pwd)
	fsid=$(cat /proc/sys/kernel/random/uuid)
	monport=$(free_port) port=$(free_port)
	write_conf "$fsid" "$monport" "$port"
	export CEPH_CONF=$DIR/ceph.conf
	: >"$DIR/pids"
	trap 'stop; exit 1' INT TERM
	monmaptool --create --clobber --fsid "$fsid" --addv a \
		"[v2:127.0.0.1:$monport,v1:127.0.0.1:$((monport + 1))]" \
		"$DIR/monmap" >/dev/null &&
	ceph-mon -c "$CEPH_CONF" --mkfs -i a --monmap "$DIR/monmap" \
		>"$DIR/log/mon.mkfs" 2>&1 || { stop; die "mon mkfs failed"; }
	spawn mon ceph-mon -c "$CEPH_CONF" -i a -f
	uuid=$(cat /proc/sys/kernel/random/uuid)
	until_ok 60 timeout 20 ceph -c "$CEPH_CONF" --connect-timeout 15 \
		osd new "$uuid" 0 || { stop; die "mon does not answer"; }
	ceph-osd -c "$CEPH_CONF" -i 0 --mkfs --osd-uuid "$uuid" \
		>"$DIR/log/osd.mkfs" 2>&1 || { stop; die "osd mkfs failed"; }
	spawn osd ceph-osd -c "$CEPH_CONF" -i 0 -f
	until_ok 60 osd_up || { stop; die "osd does not come up"; }
	spawn rgw radosgw -c "$CEPH_CONF" -n client.rgw -f
	until_ok 90 curl -s -o /dev/null "http://127.0.0.1:$port/" ||
		{ stop; die "radosgw does not answer"; }
	timeout 60 radosgw-admin -c "$CEPH_CONF" user create --uid=tester \
		--display-name=tester --access-key=$AK --secret-key=$SK \
		>"$DIR/log/user.json" 2>"$DIR/log/user.err" ||
		{ stop; die "no user: $(tail -n 1 "$DIR/log/user.err")"; }
	for b in "$@"; do
		until_ok 20 make_bucket "$port" "$b" ||
			{ stop; die "no bucket $b: $(cat "$DIR/log/mkbucket")"; }
	done
	cat >"$DIR/env" <<E
export S3_ENDPOINT=http://127.0.0.1:$port
export AWS_ACCESS_KEY_ID=$AK
export AWS_SECRET_ACCESS_KEY=$SK
export AWS_DEFAULT_REGION=$REGION
export CEPH_CONF=$CEPH_CONF
E
	if [ -n "${OWNER_PID:-}" ]; then
		(
			while kill -0 "$OWNER_PID" 2>/dev/null &&
			      [ -e "$DIR/pids" ]; do
				sleep 1
			done
			stop
		) >/dev/null 2>&1 </dev/null &
	fi
	trap - INT TERM
}

# Nothing here needs an orderly end, and radosgw's takes seconds.
stop() {
	local n p

	[ -e "$DIR/pids" ] || return 0
	while read -r n p; do
		kill -9 "$p" 2>/dev/null
	done <"$DIR/pids"
	while read -r n p; do
		while kill -0 "$p" 2>/dev/null && ! dead "$p"; do
			sleep .02
		done
	done <"$DIR/pids"
	rm -rf "$DIR/pids" "$DIR/osd" "$DIR/mon" "$DIR/rgw" "$DIR/asok" \
		"$DIR/env" "$DIR/monmap" "$DIR/ceph.conf"
}

# A zombie whose parent does not reap it counts as ended.
dead() {
	case $(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) in
	Z* | X* | '') return 0 ;;
	esac
	return 1
}

[ $# -ge 2 ] || die "usage: $me start DIR [BUCKET]... | stop DIR"
verb=$1
DIR=$2
shift 2
case $verb in
start) start "$@" ;;
stop) stop ;;
*) die "usage: $me start DIR [BUCKET]... | stop DIR" ;;
esac
