#!/bin/sh
# sh examples/quickstart.sh: from a fresh Debian 12 to a completed download, every step shown. It
# installs what is missing (with sudo if you are not root), builds xferfs in a temporary folder, and
# there also serves, mounts and downloads a file; at the end all of it is gone again.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
say() { printf '\n%s\n' "$*"; }
if [ -t 1 ]; then bold=$(printf '\033[1m') plain=$(printf '\033[0m'); else bold='' plain=''; fi
# run 'COMMAND': shown as one would type it, then done
run() {
	printf '%s$ %s%s\n' "$bold" "$1" "$plain"
	eval "$1"
}

say "1. What xferfs needs"
packages="gcc libc6-dev meson ninja-build pkg-config fuse3 libfuse3-dev libcurl4-openssl-dev libsqlite3-dev
	libssl-dev libinih-dev python3 openssl"
missing=''
for p in $packages; do
	case $(dpkg-query -W -f '${Status}' "$p" 2>/dev/null) in
	*' installed') ;;
	*) missing="$missing $p" ;;
	esac
done
if [ -z "$missing" ]; then
	echo "is installed."
else
	sudo=''
	[ "$(id -u)" = 0 ] || sudo=sudo
	run "$sudo apt-get -q update"
	run "$sudo env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install$missing"
fi
[ -c /dev/fuse ] || { echo "There is no /dev/fuse here: load the fuse module, or give it to this container." >&2; exit 1; }

tmp=$(mktemp -d)
server=''
end() {
	status=$?
	trap - EXIT INT TERM
	cd /
	# only after a failure is it still mounted
	fusermount3 -qu "$tmp/xfer" 2>/dev/null || fusermount3 -quz "$tmp/xfer" 2>/dev/null || :
	[ -z "$server" ] || kill "$server" 2>/dev/null || :
	rm -rf "$tmp"
	exit $status
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say "2. Build"
run "meson setup $tmp/build $top --buildtype=release >$tmp/setup.log" || { cat "$tmp/setup.log"; exit 1; }
run "ninja -C $tmp/build src/xferfs >$tmp/ninja.log" || { cat "$tmp/ninja.log"; exit 1; }
PATH=$tmp/build/src:$PATH

say "3. A web server with a file of 64 MiB, and an empty folder to download to"
cd "$tmp"
mkdir www Downloads xfer
openssl rand -out www/d.iso 67108864
mkfifo port
python3 -c '
import functools, http.server, sys
class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory="www"))
print(server.server_address[1], flush=True)
server.serve_forever()' >port &
server=$!
read -r port <port
url=http://127.0.0.1:$port/d.iso
echo "$url"

say "4. Mount: Downloads is the destination tree, xfer shows the queue"
run 'xferfs Downloads xfer'
run 'ls -A xfer'

say "5. A job is a directory; it begins suspended"
run 'mkdir xfer/iso'
run "echo '$url' > xfer/iso/add"
run 'cat xfer/iso/state'
run 'echo 1 > xfer/iso/resume'
run 'cat xfer/iso/follow'
run 'cat xfer/iso/wait'
echo
run 'cat xfer/iso/index'

say "6. The file is invisible in Downloads until you say so"
run 'ls Downloads'
run 'echo 1 > xfer/iso/complete'
run 'ls -l Downloads'
run 'cat xfer/.xferfs/ended/iso'

say "7. Is it right?"
want=$(sha256sum <www/d.iso)
run 'sha256sum www/d.iso Downloads/d.iso'
[ "$(sha256sum <Downloads/d.iso)" = "$want" ] || { echo "The file is wrong." >&2; exit 1; }

say "8. Unmount: the daemon ends, the queue would be there again at the next mount"
run 'fusermount3 -u xfer'
say "Done. Everything was in $tmp and is deleted now."
