# .xferfs/network: offline stops, metered makes normal and low jobs wait.
. "$(dirname "$0")/lib.sh"
nginx_start
noise f 200000
start
is "$(cat "$M/.xferfs/network")" unrestricted network
echo offline >"$M/.xferfs/network"
job j "$URL/f"
"$python" "$lib/reaches.py" "$M/j" error code offline
crash
start
is "$(cat "$M/.xferfs/network")" offline "network after a crash"
case $(cat "$M/j/state") in queued | transient_error) ;; *) fail "runs offline" ;; esac
echo metered >"$M/.xferfs/network"
job high "$URL/f high"
echo allow >"$M/high/metered"
is "$(cat "$M/high/wait")" transferred "a job that may"
case $(cat "$M/j/state") in queued | transient_error) ;; *) fail "a normal job runs on a metered network" ;; esac
"$python" "$lib/reaches.py" "$M/j" error code metered
echo unrestricted >"$M/.xferfs/network"
is "$(cat "$M/j/wait")" transferred "when the network is unrestricted"
stop
