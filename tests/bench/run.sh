#!/bin/sh
# sh tests/bench/run.sh [--quick] [--rounds N] [--save] [PART]...: xferfs beside its peers.
#
# Installs the peers (Debian), builds a release, starts nginx on loopback, runs everything side by side
# in turns, and writes build-bench/results.md (medians and ratios) and build-bench/performance.svg.
# About an hour; --quick: smaller and fewer, about ten minutes. --save: also to tests/bench, for README.md.
#
# Parts, all by default, each also alone (results.md shows the latest run of each):
#	large     1 and 4 GiB over http and https, to ext4 and tmpfs
#	small     10,000 files of 4 KiB and 1,000 of 1 MiB
#	limited   a server that limits each connection, and one that does not
#	shared    a line of 200 Mbit/s in a network namespace, and several jobs (root)
#	queue     up to a million files in 100 jobs: memory, start, turn
#	jobs      up to 100,000 jobs of ten files: ls, find, stat
#	idle      10,000 jobs at rest
#	control   cat state and echo > priority beside sysfs and a passthrough FUSE; latency of wait
#	complete  completing 10,000 files beside mv and sync
#
# xferfs is measured from `echo 1 > resume` until `echo 1 > complete` has returned, with the data durable;
# the peers with the sync of what they wrote. Take ratios, not seconds: machines differ, and are busy.
#
# XFERFS_BUILD: where to build, instead of build-bench. XFERFS_BENCH_DISK: a folder on the disk to
# measure, instead of /var/tmp. 4 GiB in memory want 12 GiB of it; all of it 30 GiB of disk.

set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
here=$top/tests/bench
build=${XFERFS_BUILD:-$top/build-bench}
save='' options=''
export LC_ALL=C.UTF-8

die() { printf 'run.sh: %s\n' "$*" >&2; exit 1; }
root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

for arg; do
	case $arg in
	-h | --help) sed -n '2,/^$/s/^# \{0,1\}//p' "$0"; exit 0 ;;
	--save) save=1 ;;
	*) options="$options $arg" ;;
	esac
done

# --- what is needed -----------------------------------------------------------------------------

packages="gcc libc6-dev meson ninja-build pkg-config libfuse3-dev libcurl4-openssl-dev libinih-dev
	libsqlite3-dev libssl-dev fuse3 python3 openssl util-linux procps iproute2 e2fsprogs
	nginx-light curl aria2 wget wget2 lftp axel"
missing=''
for p in $packages; do
	# any flavour of nginx serves
	[ "$p" = nginx-light ] && [ -x /usr/sbin/nginx ] && continue
	case $(dpkg-query -W -f '${Status}' "$p" 2>/dev/null) in
	*' installed') ;;
	*) missing="$missing $p" ;;
	esac
done
mkdir -p "$build/tools" || exit 1
if [ -n "$missing" ]; then
	command -v apt-get >/dev/null || die "please install:$missing"
	printf 'installing:%s\n' "$missing"
	# nginx is for us only: none is to be started on this machine
	policy=/usr/sbin/policy-rc.d
	[ -e $policy ] && policy=''
	[ -z "$policy" ] || printf '#!/bin/sh\nexit 101\n' | root sh -c "cat >$policy; chmod 755 $policy"
	# shellcheck disable=SC2086
	root env DEBIAN_FRONTEND=noninteractive sh -c \
		"apt-get -q update && apt-get -q -y --no-install-recommends install $missing" >"$build/apt" 2>&1
	status=$?
	[ -z "$policy" ] || root rm -f "$policy"
	[ $status = 0 ] || { tail -n 30 "$build/apt"; die "apt-get failed"; }
fi

# --- building -----------------------------------------------------------------------------------

{
	[ -f "$build/release/build.ninja" ] || meson setup "$build/release" "$top" --buildtype=release
	ninja -C "$build/release" src/xferfs
} >"$build/log" 2>&1 || { tail -n 30 "$build/log"; die "the build failed"; }

for tool in measure limit loops passthrough; do
	flags='' libs=''
	[ $tool = passthrough ] && flags=$(pkg-config --cflags fuse3) libs=$(pkg-config --libs fuse3)
	# shellcheck disable=SC2086
	gcc -O2 -std=gnu17 -D_GNU_SOURCE -Wall -Wextra $flags -o "$build/tools/$tool" "$here/$tool.c" $libs || exit 1
done

# --- running ------------------------------------------------------------------------------------

PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
unset http_proxy https_proxy all_proxy ALL_PROXY HTTP_PROXY HTTPS_PROXY XDG_CONFIG_HOME
: >"$build/stderr"
# shellcheck disable=SC2086
PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 "$here/main.py" "$build" "$build/release/src/xferfs" $options || exit
[ -z "$save" ] || cp "$build/results.md" "$build/performance.svg" "$here/"
