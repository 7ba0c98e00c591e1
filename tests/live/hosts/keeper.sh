#!/bin/sh
# Keeps one host up until its own stdin closes (whatever became of the tests), then removes every trace of it.
# In: STATE (a directory), CGROUPS (directories to make, one a line), OWNS_BRIDGE (1 or empty); "$@" starts the init.
set -u
trap '' HUP INT
trap 'exec </dev/null' TERM
newline='
'

each_cgroup() { # each_cgroup COMMAND: call it with every directory
    old=$IFS; IFS=$newline
    for directory in $CGROUPS; do "$1" "$directory"; done
    IFS=$old
}

make() {
    mkdir "$1" || exit 3
    for file in cpuset.cpus cpuset.mems; do
        [ ! -e "$1/$file" ] || cat "${1%/*}/$file" >"$1/$file"
    done
}

enter() { echo 0 >"$1/cgroup.procs"; }

remove() {
    tries=0
    until find "$1" -depth -type d -exec rmdir {} + 2>/dev/null; do
        [ -d "$1" ] || return 0
        tries=$((tries + 1))
        [ $tries -lt 200 ] || { echo "cgroup $1 is still in use" >&2; return 1; }
        while read -r pid; do kill -KILL "$pid"; done <"$1/cgroup.procs" 2>/dev/null
        sleep 0.05
    done
}

if [ "$OWNS_BRIDGE" ]; then
    forwarding=$(cat /proc/sys/net/ipv4/ip_forward)
    policy=$(iptables -S FORWARD | sed -n 1p)
fi
each_cgroup make
(
    each_cgroup enter
    exec setpriv --pdeathsig KILL unshare -m -p -u -i -C --fork --kill-child=KILL --propagation private "$@"
) </dev/null >"$STATE/init.log" 2>&1 9>&- &
child=$!
echo $child >"$STATE/unshare.pid.new" && mv "$STATE/unshare.pid.new" "$STATE/unshare.pid"
cat >/dev/null

kill -KILL $child 2>/dev/null
wait $child 2>/dev/null
status=0
each_cgroup remove || status=1
if [ "$OWNS_BRIDGE" ]; then
    sh "$(dirname "$0")/unbridge.sh" || status=1
    iptables $policy
    echo "$forwarding" >/proc/sys/net/ipv4/ip_forward
fi
rm -rf --one-file-system "$STATE" || status=1
exit $status
