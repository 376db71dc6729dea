#!/bin/sh
# sh tests/run.sh [-v] [PART]...: installs what is missing (Debian), builds, tests.
#
# Parts, all by default:
#	layers    the architecture's rules and README's tables
#	unit      the tests in C: unit, disk, net, core (meson test)
#	mount     scripts against a mounted daemon, as a user would type them
#	crash     a daemon killed at random moments
#	power     power cuts at any point of its life
#	asan      unit, mount and some of crash again, with the address and undefined-behaviour sanitizers
#	tsan      ... with the thread sanitizer
#	valgrind  some of the mount tests under valgrind
#	fuzz      each parser's fuzzer for ten seconds
#	lint      clang-tidy and cppcheck
#
# The log of a failed test is shown when it fails, with -v that of every test; all are kept in
# build-test/logs. The last line is "N passed, N failed", with ", N skipped" if some were; a skipped
# test says why. The status is 0 when none failed.
#
# XFERFS_BUILD: where to build, instead of build-test. XFERFS_ONLY: a pattern of mount tests to run.
# XFERFS_KILLS, XFERFS_CUTS: how many times the daemon is killed (60), the power cut (1000, half a minute).
# Both search at random, by a seed that they print. After a change of src/disk, src/core or of what is
# saved when, search long: XFERFS_CUTS=50000 sh tests/run.sh power.

set -u
top=$(cd "$(dirname "$0")/.." && pwd)
cd "$top" || exit 1
build=${XFERFS_BUILD:-$top/build-test}
logs=$build/logs
verbose='' passed=0 failed=0 skipped=0
export LC_ALL=C.UTF-8

say() { printf '%s\n' "$*"; }
die() { say "run.sh: $*" >&2; exit 1; }

# --- what is needed -----------------------------------------------------------------------------

packages="gcc libc6-dev meson ninja-build pkg-config libfuse3-dev libcurl4-openssl-dev libinih-dev
	libsqlite3-dev libssl-dev libcmocka-dev binutils
	fuse3 nginx-light python3 openssl bash dash busybox file tar acl attr inotify-tools tmux procps
	util-linux e2fsprogs xfsprogs btrfs-progs dosfstools ca-certificates openssh-server openssh-client vsftpd squid
	valgrind clang clang-tidy libclang-rt-dev cppcheck"

root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

install_missing() {
	missing=''
	for p in $packages; do
		# any flavour of nginx serves
		[ "$p" = nginx-light ] && [ -x /usr/sbin/nginx ] && continue
		case $(dpkg-query -W -f '${Status}' "$p" 2>/dev/null) in
		*' installed') ;;
		*) missing="$missing $p" ;;
		esac
	done
	[ -n "$missing" ] || return 0
	command -v apt-get >/dev/null || die "please install:$missing"
	say "installing:$missing"
	# the servers among them are for the tests only: none is to be started on this machine
	policy=/usr/sbin/policy-rc.d
	[ -e $policy ] && policy=''
	[ -z "$policy" ] || printf '#!/bin/sh\nexit 101\n' | root sh -c "cat >$policy; chmod 755 $policy"
	# shellcheck disable=SC2086
	root env DEBIAN_FRONTEND=noninteractive sh -c \
		"apt-get -q update && apt-get -q -y --no-install-recommends install $missing" \
		>"$logs/apt" 2>&1
	status=$?
	[ -z "$policy" ] || root rm -f "$policy"
	[ $status = 0 ] || { tail -n 30 "$logs/apt"; die "apt-get failed"; }
}

# promtool alone, from its package, without the server that comes with it.
fetch_promtool() {
	command -v promtool >/dev/null && return
	PROMTOOL_DIR=$build/promtool/usr/bin
	export PROMTOOL_DIR
	[ -x "$PROMTOOL_DIR/promtool" ] && return
	mkdir -p "$build/promtool"
	(cd "$build/promtool" && apt-get -q download prometheus && dpkg-deb -x prometheus_*.deb . &&
		rm -f prometheus_*.deb) >"$logs/promtool" 2>&1 || :
}

# --- counting -----------------------------------------------------------------------------------

# result STATUS NAME LOG: of one test; 0 passed, 77 skipped, else failed
result() {
	case $1 in
	0) passed=$((passed + 1)); say "ok      $2" ;;
	77) skipped=$((skipped + 1)); say "skip    $2 ($(tail -n 1 "$3" | sed 's/^skipped: //'))" ;;
	*) failed=$((failed + 1)); say "FAILED  $2" ;;
	esac
	if [ -n "$verbose" ] || { [ "$1" != 0 ] && [ "$1" != 77 ]; }; then
		sed 's/^/        | /' "$3" | tail -n 80
	fi
}

# one NAME COMMAND...: a test of one command
one() {
	name=$1
	log=$logs/$(printf %s "$1" | tr / -)
	shift
	"$@" >"$log" 2>&1 </dev/null
	result $? "$name" "$log"
}

# --- building -----------------------------------------------------------------------------------

# compile DIRECTORY OPTION...
compile() {
	dir=$build/$1
	shift
	{
		if [ -f "$dir/build.ninja" ]; then
			ninja -C "$dir"
		else
			meson setup "$dir" "$top" -Dwerror=true "$@" && ninja -C "$dir"
		fi
	} >"$logs/build-$(basename "$dir")" 2>&1 </dev/null
	status=$?
	result $status "build/$(basename "$dir")" "$logs/build-$(basename "$dir")"
	return $status
}

# The ordinary build, once.
plain() {
	if [ -z "${plain_status:-}" ]; then
		compile plain
		plain_status=$?
	fi
	return "$plain_status"
}

# --- the tests in C -----------------------------------------------------------------------------

# meson_tests BUILD: each of meson's tests counts
meson_tests() {
	base=results-$1
	meson test -C "$build/$1" --no-rebuild --print-errorlogs --logbase "$base" \
		--timeout-multiplier "${2:-1}" >"$logs/meson-$1" 2>&1 </dev/null
	log=$build/$1/meson-logs/$base.json
	[ -s "$log" ] || { result 1 "$1/meson" "$logs/meson-$1"; return; }
	/usr/bin/python3 - "$log" >"$logs/meson-$1.list" <<-'PY'
	import json, sys
	for line in open(sys.argv[1]):
	    t = json.loads(line)
	    status = {"OK": 0, "EXPECTEDFAIL": 0, "SKIP": 77}.get(t["result"], 1)
	    name = t["name"].split(":")[-1].replace(" ", "")
	    print(status, name)
	    with open("%s.%s" % (sys.argv[1], name.replace("/", "-")), "w") as log:
	        log.write((t.get("stdout") or "") + (t.get("stderr") or "") + t["result"] + "\n")
	PY
	while read -r status name; do
		result "$status" "$1/$name" "$log.$(printf %s "$name" | tr / -)"
	done <"$logs/meson-$1.list"
}

# --- the mount tests ----------------------------------------------------------------------------

# mount_tests BUILD [TEST...]: several at once, since most of their time they wait
mount_tests() {
	fetch_promtool
	XFERFS=$build/$1/src/xferfs
	export XFERFS
	label=$1${XFERFS_UNDER:+-valgrind}
	shift
	[ $# -gt 0 ] || set -- tests/mount/*.sh
	out=$logs/mount-$label
	mkdir -p "$out"
	rm -f "$out"/*
	for t; do
		n=$(basename "$t" .sh)
		# shellcheck disable=SC2254
		case $n in
		lib) ;;
		${XFERFS_ONLY:-*}) say "$n" ;;
		esac
	done >"$out/.list"
	xargs -P "${XFERFS_PARALLEL:-4}" -I{} sh -c '
		timeout -k 20 "$3" sh "$1/tests/mount/{}.sh" >"$2/{}" 2>&1 </dev/null
		echo $? >"$2/{}.status"' sh "$top" "$out" "${XFERFS_TIMEOUT:-180}" <"$out/.list"
	while read -r n; do
		status=$(cat "$out/$n.status")
		[ "$status" != 124 ] || say "ended after ${XFERFS_TIMEOUT:-180} s" >>"$out/$n"
		result "$status" "mount/$label/$n" "$out/$n"
	done <"$out/.list"
}

# --- crash campaigns ----------------------------------------------------------------------------

# campaign BUILD NAME COUNT
campaign() {
	one "crash/$1/$2" env XFERFS="$build/$1/src/xferfs" BUILD="$build/$1" \
		/usr/bin/python3 "tests/crash/$2.py" "$3"
}

# --- the parts ----------------------------------------------------------------------------------

part_layers() {
	plain || return
	sh tests/layers.sh "$build/plain" >"$logs/layers" 2>&1
	while read -r word name; do
		case $word in
		ok) result 0 "layers/$name" /dev/null ;;
		bad) sed -n "/^  $name: /p" "$logs/layers" >"$logs/layers-$name"; result 1 "layers/$name" "$logs/layers-$name" ;;
		esac
	done <"$logs/layers"
}
part_unit() { plain && meson_tests plain; }
part_mount() {
	plain || return
	mount_tests plain
}
sanitized() {
	compile "$1" "-Db_sanitize=$2" -Db_lundef=false || return
	meson_tests "$1" 5
	(XFERFS_BIG_MIB=128 XFERFS_MANY=200 XFERFS_TIMEOUT=300 && export XFERFS_BIG_MIB XFERFS_MANY &&
		mount_tests "$1" >"$logs/mount-$1.out"
		say "$passed $failed $skipped" >"$logs/mount-$1.sums")
	cat "$logs/mount-$1.out"
	read -r passed failed skipped <"$logs/mount-$1.sums"
	campaign "$1" kill 30
}
part_asan() { sanitized asan address,undefined; }
part_tsan() { sanitized tsan thread; }
part_valgrind() {
	plain || return
	one valgrind/preload cc -shared -fPIC -o "$build/under_valgrind.so" tests/mount/under_valgrind.c
	XFERFS_UNDER="env LD_PRELOAD=$build/under_valgrind.so valgrind -q --vgdb=no --sim-hints=fuse-compatible
		--leak-check=full --errors-for-leak-kinds=definite,indirect --error-exitcode=97"
	XFERFS_MANY=20 XFERFS_BIG_MIB=16 XFERFS_TIMEOUT=300
	export XFERFS_UNDER XFERFS_MANY XFERFS_BIG_MIB
	mount_tests plain add checksum liars matrix part rules staged waiters
	unset XFERFS_UNDER XFERFS_MANY XFERFS_BIG_MIB XFERFS_TIMEOUT
}
part_crash() { plain && campaign plain kill "${XFERFS_KILLS:-60}"; }
part_power() { plain && campaign plain power "${XFERFS_CUTS:-1000}"; }
part_fuzz() { one fuzz sh tests/fuzz/run.sh 10; }
part_lint() {
	plain || return
	one lint/clang-tidy ninja -C "$build/plain" tidy
	one lint/cppcheck ninja -C "$build/plain" cppcheck
}

all='layers unit mount crash power asan tsan valgrind fuzz lint'
parts=''
for arg; do
	case $arg in
	-v) verbose=1 ;;
	-h | --help) sed -n '2,/^$/s/^# \{0,1\}//p' "$0"; exit 0 ;;
	-*) die "unknown option $arg" ;;
	*)
		case " $all " in
		*" $arg "*) parts="$parts $arg" ;;
		*) die "no part $arg; there are: $all" ;;
		esac
		;;
	esac
done
mkdir -p "$logs" || exit 1
install_missing
for part in ${parts:-$all}; do
	"part_$part"
done

summary="$passed passed, $failed failed"
[ "$skipped" = 0 ] || summary="$summary, $skipped skipped"
say "$summary"
[ "$failed" = 0 ]
