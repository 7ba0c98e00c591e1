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

keep_network() { # a change makes a table, so that what is saved holds all of them
    for table in nat filter mangle; do
        iptables -t $table -N hullcheck && iptables -t $table -X hullcheck
    done
    iptables-save -c >"$STATE/iptables"
    cat /proc/sys/net/ipv4/ip_forward >"$STATE/ip_forward"
}

restore_network() {
    iptables-restore -c <"$STATE/iptables" && cat "$STATE/ip_forward" >/proc/sys/net/ipv4/ip_forward
}

remove_bridges() { # those of this host's Docker networks: their ids stand in its data-roots
    bridges=$(cat "$STATE"/docker/network/files/local-kv.db "$STATE"/data/*/network/files/local-kv.db 2>/dev/null |
        tr -c '0-9a-f' '\n' | sed -n 's/^\([0-9a-f]\{12\}\)[0-9a-f]\{52\}$/br-\1/p' | sort -u)
    [ ! "$OWNS_BRIDGE" ] || bridges="$bridges docker0 docker_gwbridge"
    for bridge in $bridges; do
        ! ip link show "$bridge" >/dev/null 2>&1 || ip link delete "$bridge" || return 1
    done
}

make() {
    mkdir "$1" || { broken=1; return; }
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

thaw() { # what a v1 freezer holds (a paused container) does not even die
    find "$1" -name freezer.state 2>/dev/null | while read -r state; do echo THAWED >"$state"; done
}

run_host() {
    (
        each_cgroup enter
        exec setpriv --pdeathsig KILL \
            unshare -m -p -u -i -C --fork --kill-child=KILL --propagation private "$@"
    ) </dev/null >"$STATE/init.log" 2>&1 &
    child=$!
    echo $child >"$STATE/unshare.pid.new" && mv "$STATE/unshare.pid.new" "$STATE/unshare.pid"
    cat >/dev/null
    each_cgroup thaw
    kill -KILL $(cat "/proc/$child/task/$child/children") || kill -KILL $child
    wait $child
} 2>/dev/null

broken= status=0
each_cgroup make
[ ! "$OWNS_BRIDGE" ] || keep_network || broken=1
[ "$broken" ] && status=1 || run_host "$@"
each_cgroup remove || status=1
remove_bridges || status=1
[ ! "$OWNS_BRIDGE" ] || restore_network || status=1
rm -rf --one-file-system "$STATE" || status=1
exit $status
