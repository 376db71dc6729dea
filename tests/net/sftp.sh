#!/bin/sh
# The engine and sshd: host keys are never taken on trust.
. "$(dirname "$0")/real.sh"
need sshd ssh-keygen ssh-keyscan
user=$(id -un)

mkdir -p "$work/home/.ssh" "$work/stranger/.ssh" "$work/nobody"
ssh-keygen -q -t ed25519 -N '' -f "$work/other"
ssh-keygen -q -t ed25519 -N '' -f "$work/home/.ssh/id_ed25519"
ssh-keygen -q -t ed25519 -N '' -f "$work/stranger/.ssh/id_ed25519"
head -c 9000000 /dev/urandom >"$work/big"
touch -d 2020-02-02T02:02:02Z "$work/big"
port=$(any_port)
serve_sshd "$port" "$work/home/.ssh/id_ed25519" || exit 77
url=sftp://$user@127.0.0.1:$port$work

get -h "$work/nobody" "$work/staging" "$url/big"
is "no known_hosts" "$outcome" tls
: >"$work/home/.ssh/known_hosts"
get -h "$work/home" "$work/staging" "$url/big"
is "unknown host" "$outcome" tls
case $text in *ssh-keyscan*) ;; *) echo "FAIL: it does not say how: $text"; failed=1 ;; esac
known_host "$port" "$work/other" >"$work/home/.ssh/known_hosts"
get -h "$work/home" "$work/staging" "$url/big"
is "another host key" "$outcome" tls

known_host "$port" "$work/host" >"$work/home/.ssh/known_hosts"
get -n 1 -h "$work/home" "$work/staging" "$url/big"
is "sftp: done" "$outcome" "done"
is "sftp: size and time" "$size $mtime" "9000000 1580608922"
same "sftp: bytes" "$work/big"
truncate -s 4000000 "$blob"
get -n 1 -h "$work/home" -r 4000000 -s 9000000 -v "$validator" "$work/staging" "$url/big"
is "resumed" "$outcome" "done"
same "resumed: bytes" "$work/big"

get -h "$work/home" "$work/staging" "$url/absent"
is "absent" "$outcome" not_found
cp "$work/home/.ssh/known_hosts" "$work/stranger/.ssh"
get -h "$work/stranger" "$work/staging" "$url/big"
is "not authorised" "$outcome" auth
finish
