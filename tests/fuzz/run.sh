#!/bin/sh
# sh tests/fuzz/run.sh [SECONDS]: builds every fuzz target and runs each for SECONDS (default 10).
#
# What is found is kept in the build directory as TARGET-crash-...; run the target with that file to
# see it again. Exit 77 where there is no clang. XFERFS_FUZZ_BUILD: where to build, instead of
# build-fuzz.

set -u
seconds=${1:-10}
top=$(cd "$(dirname "$0")/../.." && pwd)
build=${XFERFS_FUZZ_BUILD:-$top/build-fuzz}
log=$build/fuzz.log
failed=0

command -v clang >/dev/null || { echo "no clang"; exit 77; }
if [ ! -f "$build/build.ninja" ]; then
	CC=clang meson setup -Dfuzz=true "$build" "$top" || exit 1
fi
ninja -C "$build" fuzz || exit 1

for target in "$build"/tests/fuzz/*_fuzz; do
	name=$(basename "$target" _fuzz)
	if "$target" -max_total_time="$seconds" -max_len=4096 -timeout=10 -print_final_stats=1 \
		-dict="$top/tests/fuzz/words.dict" -artifact_prefix="$build/$name-" >"$log" 2>&1; then
		echo "ok $name: $(sed -n 's/.*number_of_executed_units: *//p' "$log") inputs"
	else
		failed=1
		tail -n 40 "$log"
		echo "not ok $name"
	fi
done
exit $failed
