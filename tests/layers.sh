#!/bin/sh
# sh tests/layers.sh BUILD: the rules of the architecture that a compiler does not check. For each one
# a line "ok NAME" or "bad NAME" after lines "  NAME: what and where".
set -u
top=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "${1:?the build directory}" && pwd)
cd "$top" || exit 1
export LC_ALL=C
status=0
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# verdict NAME: what is wrong comes on stdin
verdict() {
	sed "s/^/  $1: /" >"$tmp/wrong"
	cat "$tmp/wrong"
	if [ -s "$tmp/wrong" ]; then
		echo "bad $1"
		status=1
	else
		echo "ok $1"
	fi
}

# --- who may include whom -----------------------------------------------------------------------

# LAYER: the directories it may include from. src/*.h itself is "main"; config.h stands beside model.
may_include='
base: base
host: base host
model: base model
disk: base model disk
net: base model disk net
core: base host model disk net core config
fs: base model core fs config
config: base model config
main: base host model disk net core fs config main'
# HEADER: the only layers that may use it
outside='
curl/ net
fuse fs
sqlite3.h disk
openssl/ disk
ini.h config'

# layer_of PATH, below src/
layer_of() {
	case $1 in
	config*.[ch]) echo config ;;
	*/*) echo "${1%%/*}" ;;
	*) echo main ;;
	esac
}

for file in src/*.[ch] src/*/*.[ch]; do
	layer=$(layer_of "${file#src/}")
	allowed=$(echo "$may_include" | sed -n "s/^$layer: //p")
	sed -n 's/^#[ \t]*include[ \t]*"\([^"]*\)".*/\1/p' "$file" | while read -r header; do
		[ "$header" != build-config.h ] || continue
		[ -f "src/$header" ] || echo "$file includes \"$header\", which is not a path below src/"
		case " $allowed " in
		*" $(layer_of "$header") "*) ;;
		*) echo "$file includes \"$header\"" ;;
		esac
	done
done | verdict includes

for file in src/*.[ch] src/*/*.[ch]; do
	layer=$(layer_of "${file#src/}")
	echo "$outside" | while read -r prefix owner; do
		[ -n "$prefix" ] && [ "$layer" != "$owner" ] || continue
		grep -nE "^#[ 	]*include[ 	]*<$prefix" "$file" | sed "s,^,$file:,"
	done
done | verdict libraries

# --- the model is pure --------------------------------------------------------------------------

# What it may call: memory, text, sorting; and of base what does no more than that.
pure='^(malloc|calloc|realloc|reallocarray|free|abort|__assert_fail|__stack_chk_fail|__errno_location|_GLOBAL_OFFSET_TABLE_|mem[a-z]+|str[a-z]+|__isoc(99|23)_[a-z]+|__(mem|str)[a-z]+_chk|__?v?(sn|as)printf(_chk)?|__ctype_[a-z_]+|is[a-z]+|to(lower|upper)|qsort|bsearch|buf_[a-z]+|parse_[a-z0-9_]+|words_(split|free)|format_moment|vector_grow|creds_(new|copy|free|has_group|access|format|parse)|exp|log|pow|ldexp|__ubsan.*|__asan.*|__tsan.*)$'
archive=$build/src/model/libmodel.a
if [ -f "$archive" ]; then
	nm -A "$archive" 2>/dev/null | awk '$(NF - 1) ~ /^[TDBRVWC]$/ { print $NF }' | sort -u >"$tmp/defined"
	nm -A -u "$archive" | awk '{ print $NF, $1 }' | sort -u >"$tmp/undefined"
	join -v 2 "$tmp/defined" "$tmp/undefined" | awk -v pure="$pure" '$1 !~ pure { print $2 " uses " $1 }'
else
	echo "$archive is not built"
fi | verdict model

# --- the core waits for nobody --------------------------------------------------------------------

# The directory of users may be asked over the network (base/users.h).
archive=$build/src/core/libcore.a
if [ -f "$archive" ]; then
	nm -A -u "$archive" | awk '$NF ~ /^(getpw|getgr|users_creds|getaddrinfo)/ { print $1 " uses " $NF }'
else
	echo "$archive is not built"
fi | verdict core

# --- README and the example tell what the code does -----------------------------------------------

if [ -x "$build/tests/tables" ]; then
	"$build/tests/tables" >"$tmp/tables"
	# rows "| `NAME` | MODE | ..." below the headings of the two directories
	awk '/^#/ { where = /[Jj]ob.s directory/ ? "job" : /`\.xferfs`/ ? "service" : "" }
		where && /^\| `[^`\/=]*` \|/ { split($0, cell, "|"); gsub(/[` ]/, "", cell[2]); sub(/^ */, "", cell[3])
			sub(/ *$/, "", cell[3]); print where, cell[2], cell[3] }' README.md | sort >"$tmp/readme"
	grep -v ^key "$tmp/tables" | sort | diff - "$tmp/readme" | sed -n 's/^</README lacks or differs from:/p; s/^>/only README has:/p' |
		verdict readme-files
	# rows "| `SECTION.KEY` | PRESET | ..."
	awk -F'|' '/^\| `[a-z]+\.[a-z_0-9]+` \|/ { gsub(/[` ]/, "", $2); gsub(/`/, "", $3); gsub(/^ +| +$/, "", $3)
		print "key", $2, $3 }' README.md | sed 's/ $//' | sort >"$tmp/readme"
	sed -n 's/ $//; s,xferfs/[0-9.]*$,xferfs/VERSION,; /^key/p' "$tmp/tables" | sort | diff - "$tmp/readme" | sed -n 's/^</README lacks or differs from:/p; s/^>/only README has:/p' |
		verdict readme-keys
	awk '/^\[/ { gsub(/[][]/, ""); section = $1 }
		/^[#;]?[ ]?[a-z_0-9]+ *=/ { sub(/^[#;] ?/, ""); key = $1; sub(/=.*/, "", key); print "key " section "." key }' \
		examples/xferfs.conf | sort -u >"$tmp/example"
	grep ^key "$tmp/tables" | cut -d' ' -f1,2 | sort | diff - "$tmp/example" |
		sed -n 's/^</the example lacks:/p; s/^>/only the example has:/p' | verdict example-keys
else
	echo "$build/tests/tables is not built" | verdict readme-files
fi

# --- the manner of the code -----------------------------------------------------------------------

banned='strcpy|strcat|sprintf|vsprintf|stpcpy|gets|atoi|atol|atoll|atof|strtok|tmpnam|tempnam|mktemp|alloca|system|popen|rand|srand|setresuid|setresgid|seteuid|setegid'
grep -nE "(^|[^a-z_A-Z0-9>.\"])($banned)\(" src/*.c src/*/*.[ch] | grep -vE '^[^:]*:[0-9]*:[ 	]*(/?\*)' | verdict banned

wc -l src/*.[ch] src/*/*.[ch] tests/*/*.[ch] | awk '$2 != "total" && $1 > ($2 ~ /^src/ ? 600 : 900) { print $2 " has " $1 " lines" }' | verdict length

grep -nE '\b(TODO|FIXME|XXX|HACK)\b' -r src tests/unit tests/disk tests/net tests/core meson.build | verdict unfinished

awk 'length($0) > 140 { print FILENAME ":" FNR " is " length($0) " characters wide" }' src/*.[ch] src/*/*.[ch] | verdict width

exit $status
