#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# S3 stores for tests, each an ordinary process on free loopback ports:
#
#	stores.sh list
#	stores.sh get STORE		fetch or build it, if need be
#	stores.sh start STORE DIR
#	stores.sh stop DIR
#
# get may take minutes, and keeps what it made in $STORES_CACHE
# (build-check/stores).  start writes DIR/env, to be read with `. DIR/env`:
# S3_ENDPOINT, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_DEFAULT_REGION.
# Both exit 77, with a reason, where the store is not to be had.  The data lies
# below DIR; stop ends what start started and keeps only DIR/log.
#
#	radosgw, swift		Debian's packages
#	minio, versitygw, seaweedfs, rclone	Go and its module proxy
#	moto			pip
#	s3mock, s3proxy		Maven and a JRE
set -u
here=$(cd "$(dirname "$0")" && pwd)
PATH=$PATH:/usr/local/go/bin:/usr/local/sbin:/usr/sbin:/sbin
stores='s3mock swift s3proxy moto seaweedfs rclone minio versitygw radosgw'
GO=go1.26.8
MINIO=v0.0.0-20260212201848-7aac2a2c5b7c
VERSITYGW=v1.8.0
SEAWEEDFS=v0.0.0-20261109003541-7506e5f91cd6
RCLONE=v1.76.0
MOTO=5.1.4
S3MOCK=4.7.0
S3PROXY=2.6.0
swift_packages='swift-proxy swift-object swift-container swift-account memcached'
export AWS_ACCESS_KEY_ID=storestest AWS_SECRET_ACCESS_KEY=storestestsecret

none() {
	echo "stores.sh: skipped: $*"
	exit 77
}

die() {
	echo "stores.sh: $*" >&2
	exit 1
}

have() {
	command -v "$1" >/dev/null || none "$1 is not installed"
}

# ---- to have them ----

# once NAME COMMAND...: unless NAME is there; what it said is in NAME.log
once() {
	local name=$1

	shift
	[ -e "$cache/$name" ] && return
	mkdir -p "$cache"
	"$@" >"$cache/${name##*/}.log" 2>&1 && [ -e "$cache/$name" ] ||
		none "cannot be built here: $(tail -n 1 \
			"$cache/${name##*/}.log" | cut -c 1-200)"
}

# Debian 12's Go cannot build them, but fetches one that can.
new_go() {
	local dir

	dir=$(GOPATH=$cache/go GOFLAGS=-modcacherw go mod download -json \
		"golang.org/toolchain@v0.0.1-$GO.linux-$(go env GOARCH)" |
		sed -n 's/.*"Dir": "\(.*\)",/\1/p')
	[ -n "$dir" ] && chmod -R u+x "$dir/bin" "$dir/pkg/tool" &&
		ln -sfn "$dir" "$cache/newgo"
}

have_go() {
	have go
	case $(go env GOVERSION) in
	go1.1* | go1.20*)
		once newgo new_go
		PATH=$cache/newgo/bin:$PATH
		;;
	esac
}

go_cached() {
	GOBIN=$cache GOPATH=$cache/go GOFLAGS=-modcacherw CGO_ENABLED=0 go "$@"
}

# As a module of its own, for it replaces modules.
weed_build() {
	local dir

	dir=$(go_cached mod download -json \
		"github.com/seaweedfs/seaweedfs@$SEAWEEDFS" |
		sed -n 's/.*"Dir": "\(.*\)",/\1/p')
	[ -n "$dir" ] && cd "$dir" && go_cached build -o "$cache/weed" ./weed
}

venv() {
	/usr/bin/python3 -m venv "$cache/venv" &&
	"$cache/venv/bin/pip" install "moto[s3,server]==$MOTO"
}

# jar NAME GROUP:ARTIFACT:VERSION:jar:CLASSIFIER
jar() {
	have java
	have mvn
	once "$1" mvn -B -q dependency:copy -Dartifact="$2" \
		-DoutputDirectory="$cache"
}

get() {
	case $1 in
	radosgw) have radosgw; have ceph-mon ;;
	minio) have_go; once minio go_cached install \
		"github.com/minio/minio@$MINIO" ;;
	versitygw) have_go; once versitygw go_cached install \
		"github.com/versity/versitygw/cmd/versitygw@$VERSITYGW" ;;
	rclone) have_go; once rclone go_cached install \
		"github.com/rclone/rclone@$RCLONE" ;;
	seaweedfs) have_go; once weed weed_build ;;
	swift) have swift-proxy-server; have memcached ;;
	moto) once venv/bin/moto_server venv ;;
	s3mock) jar "s3mock-$S3MOCK-exec.jar" \
		"com.adobe.testing:s3mock:$S3MOCK:jar:exec" ;;
	s3proxy) jar "s3proxy-$S3PROXY-jar-with-dependencies.jar" \
		"org.gaul:s3proxy:$S3PROXY:jar:jar-with-dependencies" ;;
	*) die "no store $1; there are: $stores" ;;
	esac
}

# ---- to run them ----

# A loopback port nobody listens on, below the kernel's ephemeral range.
free_port() {
	local p

	for _ in $(seq 200); do
		p=$((10000 + (RANDOM * 32768 + RANDOM) % 12000))
		(: <"/dev/tcp/127.0.0.1/$p") 2>/dev/null || {
			echo $p
			return
		}
	done
	die "no free port"
}

# spawn NAME COMMAND...: in the background, noted in DIR/pids
spawn() {
	local name=$1

	shift
	"$@" >"$dir/log/$name" 2>&1 </dev/null &
	echo $! >>"$dir/pids"
}

start_minio() {
	MINIO_ROOT_USER=$AWS_ACCESS_KEY_ID \
	MINIO_ROOT_PASSWORD=$AWS_SECRET_ACCESS_KEY MINIO_BROWSER=off \
	MINIO_CI_CD=1 spawn minio "$cache/minio" server --quiet \
		--address "127.0.0.1:$port" "$dir/data"
}

start_versitygw() {
	mkdir -p "$dir/versions"
	ROOT_ACCESS_KEY=$AWS_ACCESS_KEY_ID \
	ROOT_SECRET_KEY=$AWS_SECRET_ACCESS_KEY spawn versitygw \
		"$cache/versitygw" --port "127.0.0.1:$port" posix \
		--versioning-dir "$dir/versions" "$dir/data"
}

start_seaweedfs() {
	local master volume filer

	master=$(free_port) volume=$(free_port) filer=$(free_port)
	cat >"$dir/s3.json" <<-J
	{"identities": [{"name": "tester", "actions": ["Admin", "Read", "List",
	 "Tagging", "Write"], "credentials": [{"accessKey":
	 "$AWS_ACCESS_KEY_ID", "secretKey": "$AWS_SECRET_ACCESS_KEY"}]}]}
	J
	spawn weed "$cache/weed" server -dir "$dir/data" -ip 127.0.0.1 \
		-ip.bind 127.0.0.1 -master.port "$master" \
		-master.volumeSizeLimitMB 256 -volume.port "$volume" \
		-volume.max 60 -filer -filer.port "$filer" -s3 \
		-s3.port "$port" -s3.config "$dir/s3.json"
}

swift_server() {	# NAME PORT
	cat >"$dir/etc/$1.conf" <<-C
	[DEFAULT]
	bind_ip = 127.0.0.1
	bind_port = $2
	swift_dir = $dir/etc
	devices = $dir/dev
	mount_check = false
	disable_fallocate = true
	fallocate_reserve = 0
	user = $(id -un)
	workers = 1
	log_level = WARNING
	recon_cache_path = $dir/cache
	[pipeline:main]
	pipeline = $1-server
	[app:$1-server]
	use = egg:swift#$1
	C
	(
		cd "$dir/etc" &&
		swift-ring-builder "$1.builder" create 4 1 0 &&
		swift-ring-builder "$1.builder" add "r1z1-127.0.0.1:$2/d1" 1 &&
		swift-ring-builder "$1.builder" rebalance
	) >"$dir/log/ring.$1" 2>&1
}

swift_proxy() {	# PORT MEMCACHED
	local f

	cat >"$dir/etc/proxy.conf" <<-C
	[DEFAULT]
	bind_ip = 127.0.0.1
	bind_port = $1
	swift_dir = $dir/etc
	user = $(id -un)
	workers = 2
	log_level = WARNING
	[pipeline:main]
	pipeline = catch_errors gatekeeper cache listing_formats bulk s3api tempauth copy slo dlo versioned_writes symlink proxy-server
	[app:proxy-server]
	use = egg:swift#proxy
	allow_account_management = true
	account_autocreate = true
	node_timeout = 60
	[filter:cache]
	use = egg:swift#memcache
	memcache_servers = 127.0.0.1:$2
	[filter:s3api]
	use = egg:swift#s3api
	location = us-east-1
	check_bucket_owner = false
	s3_acl = false
	[filter:tempauth]
	use = egg:swift#tempauth
	user_test_tester = testing .admin
	[filter:versioned_writes]
	use = egg:swift#versioned_writes
	allow_versioned_writes = true
	allow_object_versioning = true
	C
	for f in catch_errors gatekeeper listing_formats bulk copy slo dlo \
		symlink; do
		printf '[filter:%s]\nuse = egg:swift#%s\n' $f $f
	done >>"$dir/etc/proxy.conf"
}

start_swift() {
	local s memory user=()

	AWS_ACCESS_KEY_ID=test:tester AWS_SECRET_ACCESS_KEY=testing
	mkdir -p "$dir"/{etc,dev/d1,cache}
	printf '%s\n' '[swift-hash]' 'swift_hash_path_suffix = s' \
		'swift_hash_path_prefix = p' '[storage-policy:0]' \
		'name = gold' 'default = yes' '[swift-constraints]' \
		'max_header_size = 16384' >"$dir/etc/swift.conf"
	memory=$(free_port)
	[ "$(id -u)" != 0 ] || user=(-u root)
	spawn memcached memcached ${user[@]+"${user[@]}"} -l 127.0.0.1 \
		-p "$memory" -U 0 -m 64
	for s in object container account; do
		swift_server $s "$(free_port)"
		spawn $s swift-$s-server "$dir/etc/$s.conf"
	done
	swift_proxy "$port" "$memory"
	spawn proxy swift-proxy-server "$dir/etc/proxy.conf"
}

start_moto() {
	spawn moto "$cache/venv/bin/moto_server" -H 127.0.0.1 -p "$port"
}

start_s3mock() {
	spawn s3mock java -Xmx1500m -jar "$cache/s3mock-$S3MOCK-exec.jar" \
		--server.port=0 --server.address=127.0.0.1 \
		--com.adobe.testing.s3mock.http-port="$port" \
		--com.adobe.testing.s3mock.store.root="$dir/data"
}

start_s3proxy() {
	cat >"$dir/s3proxy.conf" <<-C
	s3proxy.endpoint=http://127.0.0.1:$port
	s3proxy.authorization=aws-v2-or-v4
	s3proxy.identity=$AWS_ACCESS_KEY_ID
	s3proxy.credential=$AWS_SECRET_ACCESS_KEY
	jclouds.provider=filesystem
	jclouds.filesystem.basedir=$dir/data
	C
	spawn s3proxy java -Xmx1500m -jar \
		"$cache/s3proxy-$S3PROXY-jar-with-dependencies.jar" \
		--properties "$dir/s3proxy.conf"
}

start_rclone() {
	spawn rclone "$cache/rclone" serve s3 --config /dev/null \
		--addr "127.0.0.1:$port" \
		--auth-key "$AWS_ACCESS_KEY_ID,$AWS_SECRET_ACCESS_KEY" \
		"$dir/data"
}

# Until it answers what is not "not yet".
answers() {
	local end=$((SECONDS + 120)) code p

	while [ $SECONDS -lt $end ]; do
		while read -r p; do
			kill -0 "$p" 2>/dev/null || return 1
		done <"$dir/pids"
		code=$(curl -s -o /dev/null -m 5 -w '%{http_code}' \
			"http://127.0.0.1:$port/")
		[ "$code" -lt 500 ] && [ "$code" -ge 200 ] && return
		sleep 0.2
	done
	return 1
}

start() {	# STORE
	(get "$1") || exit
	have curl
	mkdir -p "$dir/log" "$dir/data" || exit
	dir=$(cd "$dir" && pwd)
	if [ "$1" = radosgw ]; then
		"$here/../radosgw.sh" start "$dir/ceph" || exit
		cp "$dir/ceph/env" "$dir/env"
		return
	fi
	: >"$dir/pids"
	port=$(free_port)
	"start_$1"
	answers || {
		stop
		die "$1 does not start: $(tail -n 3 "$dir"/log/* 2>/dev/null)"
	}
	cat >"$dir/env" <<-E
	export S3_ENDPOINT=http://127.0.0.1:$port
	export AWS_ACCESS_KEY_ID=$AWS_ACCESS_KEY_ID
	export AWS_SECRET_ACCESS_KEY=$AWS_SECRET_ACCESS_KEY
	export AWS_DEFAULT_REGION=us-east-1
	E
}

# The pid and all that descend from it.
family() {
	local child

	for child in $(cat /proc/"$1"/task/*/children 2>/dev/null); do
		family "$child"
	done
	echo "$1"
}

stop() {
	local p

	[ ! -e "$dir/ceph" ] || "$here/../radosgw.sh" stop "$dir/ceph"
	if [ -e "$dir/pids" ]; then
		kill -9 $(while read -r p; do family "$p"; done \
			<"$dir/pids") 2>/dev/null
	fi
	rm -rf "$dir"/{pids,env,data,versions,dev,etc,cache,s3.json,s3proxy.conf}
}

cache=${STORES_CACHE:-$here/../../build-check/stores}
case ${1:-} in
list) echo $stores; exit ;;
get) get "${2:-}"; exit ;;
start) dir=${3:?}; start "$2"; exit ;;
stop) dir=${2:?}; stop; exit 0 ;;
*) sed -n '3,20s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
