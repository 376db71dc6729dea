#!/bin/sh
# The engine and sshd: host keys are never taken on trust.
PATH=$PATH:/usr/sbin
. "$(dirname "$0")/real.sh"
need sshd ssh-keygen ssh-keyscan
sshd=$(command -v sshd)
user=$(id -un)
[ "$(id -u)" != 0 ] || mkdir -p /run/sshd

mkdir -p "$work/home/.ssh" "$work/stranger/.ssh" "$work/nobody"
ssh-keygen -q -t ed25519 -N '' -f "$work/host"
ssh-keygen -q -t ed25519 -N '' -f "$work/other"
ssh-keygen -q -t ed25519 -N '' -f "$work/home/.ssh/id_ed25519"
ssh-keygen -q -t ed25519 -N '' -f "$work/stranger/.ssh/id_ed25519"
cp "$work/home/.ssh/id_ed25519.pub" "$work/authorized"
head -c 9000000 /dev/urandom >"$work/big"
touch -d 2020-02-02T02:02:02Z "$work/big"
port=$(any_port)
cat >"$work/sshd_config" <<END
ListenAddress 127.0.0.1
Port $port
HostKey $work/host
PidFile none
AuthorizedKeysFile $work/authorized
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin yes
Subsystem sftp internal-sftp
END
serve "$port" "$sshd" -D -e -f "$work/sshd_config" || exit 77
url=sftp://$user@127.0.0.1:$port$work

get -h "$work/nobody" "$work/staging" "$url/big"
is "no known_hosts" "$outcome" tls
: >"$work/home/.ssh/known_hosts"
get -h "$work/home" "$work/staging" "$url/big"
is "unknown host" "$outcome" tls
case $text in *ssh-keyscan*) ;; *) echo "FAIL: it does not say how: $text"; failed=1 ;; esac
echo "[127.0.0.1]:$port $(cut -d' ' -f1,2 "$work/other.pub")" >"$work/home/.ssh/known_hosts"
get -h "$work/home" "$work/staging" "$url/big"
is "another host key" "$outcome" tls

echo "[127.0.0.1]:$port $(cut -d' ' -f1,2 "$work/host.pub")" >"$work/home/.ssh/known_hosts"
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
