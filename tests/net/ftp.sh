#!/bin/sh
# The engine and vsftpd: size and time are known, resuming, segments, errors.
. "$(dirname "$0")/real.sh"
need vsftpd
[ "$(id -u)" = 0 ] || { echo "skipped: vsftpd needs root"; exit 77; }

mkdir -p "$work/ftp/empty" "$work/jail"
head -c 9000000 /dev/urandom >"$work/ftp/big"
touch -d 2020-02-02T02:02:02Z "$work/ftp/big"
: >"$work/ftp/nothing"
port=$(any_port)
cat >"$work/vsftpd.conf" <<END
listen=YES
listen_address=127.0.0.1
listen_port=$port
background=NO
anonymous_enable=YES
local_enable=NO
anon_root=$work/ftp
anon_max_rate=3000000
no_anon_password=YES
secure_chroot_dir=$work/jail
seccomp_sandbox=NO
isolate=NO
isolate_network=NO
max_per_ip=3
END
serve "$port" vsftpd "$work/vsftpd.conf" || exit 77
url=ftp://127.0.0.1:$port

get -n 1 "$work/staging" "$url/big"
is "ftp: done" "$outcome" "done"
is "ftp: size" "$size" 9000000
is "ftp: the server's time" "$mtime" 1580608922
is "ftp: validator" "$validator" "date 1580608922"
same "ftp: bytes" "$work/ftp/big"

truncate -s 4000000 "$blob"
get -n 1 -r 4000000 -s 9000000 -v "$validator" "$work/staging" "$url/big"
is "resumed" "$outcome" "done"
same "resumed: bytes" "$work/ftp/big"
get -n 1 -r 4000000 -s 9000000 -v "date 5" "$work/staging" "$url/big"
is "another version" "$outcome" changed
get -n 1 -r 4000000 -s 9000001 -v "date 1580608922" "$work/staging" "$url/big"
is "another size" "$outcome" changed

fresh
get "$work/staging" "$url/nothing"
is "empty" "$outcome $size" "done 0"
get "$work/staging" "$url/absent"
is "absent" "$outcome" not_found

# Last: of its sessions, as many as vsftpd allows, some may last a moment longer than it does.
fresh
get "$work/staging" "$url/big"
is "segments: done" "$outcome" "done"
same "segments: bytes" "$work/ftp/big"
finish
