"""Two containers of different keepers with the same users of the host."""

from __future__ import annotations

from tests.live.hosts.docker import DockerHost

RANGE = "0 400000 1000"
MADE = f"""
unshare -U -p -m --fork sleep 1000008 </dev/null >/dev/null 2>&1 & p=$!
until [ "$(readlink /proc/$p/ns/user)" != "$(readlink /proc/self/ns/user)" ]; do sleep 0.02; done
echo {RANGE} >/proc/$p/uid_map
unshare -U -p -m --fork sleep 1000009 </dev/null >/dev/null 2>&1 & p=$!
until [ "$(readlink /proc/$p/ns/user)" != "$(readlink /proc/self/ns/user)" ]; do sleep 0.02; done
mkdir -p /sys/fs/cgroup/pids/lxc/guest && echo $p >/sys/fs/cgroup/pids/lxc/guest/cgroup.procs
for c in $(cat /proc/$p/task/$p/children); do
    echo $c >/sys/fs/cgroup/pids/lxc/guest/cgroup.procs
done
echo {RANGE} >/proc/$p/uid_map
"""


def rotten(host: DockerHost) -> None:
    """One made by hand, one in a cgroup as LXC names them."""
    host.run(MADE)
