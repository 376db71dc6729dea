# The configuration: where it is looked for, what is printed, what is refused and how.
. "$(dirname "$0")/lib.sh"
x() { "$XFERFS" "$@"; }
x --check-config >"$T/defaults"
grep -q '^jobs_per_user *= *60$' "$T/defaults" || fail "the default of jobs_per_user"
# what is printed can be fed back
x --check-config -o config="$T/defaults" >"$T/again"
cmp "$T/defaults" "$T/again"
x --check-config -o config="$lib/../../examples/xferfs.conf" >"$T/out" || fail "examples/xferfs.conf"

long=$(head -c 3000 /dev/zero | tr '\0' a)
cat >"$T/conf" <<CONF
; a comment
[limits]
jobs = 7

[transfer]
user_agent = $long
[network]
proxy = http://proxy:3128/a;b
CONF
x --check-config -o config="$T/conf" >"$T/out"
grep -q '^jobs *= *7$' "$T/out" || fail "jobs"
grep -q "^user_agent *= *$long\$" "$T/out" || fail "a long line"
grep -q '^proxy *= *http://proxy:3128/a;b$' "$T/out" || fail "a semicolon in a URL"
x --check-config -o config="$T/conf",limits.jobs=9 >"$T/out"
grep -q '^jobs *= *9$' "$T/out" || fail "-o comes after the file"

# bad LINE TEXT PATTERN
bad() {
	printf '%s\n' "$2" >"$T/bad"
	x --check-config -o config="$T/bad" >"$T/out" 2>"$T/err" && fail "accepted: $2"
	is "$(wc -l <"$T/err")" 1 "lines on stderr for: $2"
	has "$(cat "$T/err")" "$T/bad:$1: " "place of: $2"
	has "$(cat "$T/err")" "$3" "reason of: $2"
	x -o config="$T/bad" "$D" "$M" 2>"$T/err" </dev/null && fail "mounted with: $2"
	has "$(cat "$T/err")" "$T/bad:$1: " "place of: $2"
}
bad 2 '[limits]
colour = red' colour
bad 3 '[limits]

jobs = many' jobs
bad 2 '[colours]
red = 1' colours
bad 2 '[queue]
max_age = -1' max_age
bad 2 '[limits]
jobs = 99999999999999999999999' jobs
bad 3 '[limits]
jobs = 5
nonsense' ''
bad 2 '[bandwidth]
schedule = Mon-Fri 25:00-17:00 1M' schedule
bad 2 '[network]
background = sometimes' background
bad 2 '[security]
allow_https_to_http = perhaps' allow_https_to_http
x --check-config -o config="$T/nothing" 2>"$T/err" && fail "a missing file that was asked for"
has "$(cat "$T/err")" "$T/nothing" "the missing file's name"
x -o limits.colour=red "$D" "$M" 2>"$T/err" && fail "an unknown -o key"
x -V | grep -q '[0-9]' || fail -V
x -h | grep -q MOUNTPOINT || fail -h

# an ordinary user's own
mkdir -p "$T/xdg/xferfs"
printf '[limits]\njobs = 11\n' >"$T/xdg/xferfs/xferfs.conf"
if [ "$(id -u)" = 0 ]; then
	chmod -R a+rX "$T"
	as "$USER_A" env XDG_CONFIG_HOME="$T/xdg" "$XFERFS" --check-config >"$T/out" || fail "XDG_CONFIG_HOME"
else
	XDG_CONFIG_HOME=$T/xdg x --check-config >"$T/out"
fi
grep -q '^jobs *= *11$' "$T/out" || fail "XDG_CONFIG_HOME"

start -o config="$T/conf"
x --check-config -o config="$T/conf" >"$T/out"
cmp "$T/out" "$M/.xferfs/config"
is "$(cat "$M/.xferfs/version")" "$(x -V | awk '{ print $NF }')" version
stop
