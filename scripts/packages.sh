# SPDX-License-Identifier: Apache-2.0
# Debian packages, for quickstart and check.  Sourced by bash.

build_packages='build-essential autoconf automake pkg-config rpcsvc-proto perl
	libtirpc-dev libcurl4-openssl-dev libxml2-dev libsqlite3-dev libssl-dev
	libjansson-dev libinih-dev uthash-dev libcunit1-dev libsystemd-dev'

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

# Which of the packages are not installed.
absent() {
	local p

	for p in "$@"; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$p" \
			2>/dev/null)" = installed ] || echo "$p"
	done
}

# The services among the packages are wanted as programs only: while this
# file exists, Debian's maintainer scripts start nothing.
hold_services() {
	[ -e /usr/sbin/policy-rc.d ] && return
	printf '#!/bin/sh\nexit 101\n' | as_root tee /usr/sbin/policy-rc.d \
		>/dev/null
	as_root chmod 755 /usr/sbin/policy-rc.d
	trap 'as_root rm -f /usr/sbin/policy-rc.d' EXIT
}

# install_packages LOG PACKAGE...: those which are absent.  Without apt-get,
# network or privilege it fails, having said which packages are wanted.
install_packages() (
	log=$1
	shift
	want=$(absent "$@")
	if [ -z "$want" ]; then
		echo "  all packages are there"
		return 0
	fi
	if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
		echo "  packages are missing, and there is no sudo; as root:"
		echo "  apt-get install --no-install-recommends" $want
		return 1
	fi
	echo "  installing" $want
	hold_services
	export DEBIAN_FRONTEND=noninteractive
	as_root apt-get update >"$log" 2>&1 ||
		echo "  (apt-get update failed; going on with what is known)"
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y \
		--no-install-recommends $want >>"$log" 2>&1 && return 0
	tail -n 5 "$log" | sed 's/^/  | /'
	echo "  could not install:" $(absent "$@")
	return 1
)

# configured TOP: make TOP/configure if it is absent or out of date.
configured() {
	local newer

	newer=$(find "$1/configure.ac" "$1/Makefile.am" "$1"/*/Makefile.inc \
		"$1"/nfsd/gate/Makefile.inc "$1"/tests/*.inc \
		-newer "$1/configure" 2>/dev/null)
	[ -e "$1/configure" ] && [ -z "$newer" ] && return
	if ! command -v autoreconf >/dev/null; then
		echo "autoreconf is not installed (package autoconf)"
		return 1
	fi
	(cd "$1" && autoreconf -fi)
}
