# .xferfs/stats is OpenMetrics that Prometheus takes.
. "$(dirname "$0")/lib.sh"
nginx_start
noise f 100000
start
job j "$URL/f"
cat "$M/j/wait" >/dev/null
cat "$M/.xferfs/stats" >"$T/stats"
is "$(tail -n 1 "$T/stats")" "# EOF" "the last line"
grep -Eq '^xferfs_jobs\{.*state="transferred".*\} 1$' "$T/stats" || { cat "$T/stats"; fail "jobs by state"; }
grep -Eq '^xferfs_[a-z_]*bytes[a-z_]* 100000$' "$T/stats" || { cat "$T/stats"; fail "bytes"; }
PATH=$PATH:${PROMTOOL_DIR:-/nonexistent}
need promtool
promtool check metrics <"$T/stats" || fail "promtool"
stop
