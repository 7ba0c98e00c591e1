"""Containers in which things are done that are no container's business."""

from __future__ import annotations

from tests.live.hosts.docker import DockerHost

NAMED = "( printf {} >/proc/self/comm; while :; do sleep 1000; done ) &"
BUSY = "\n".join((*(NAMED.format(name) for name in ("apk", "gdb", "kubectl")),
                  "exec telnetd -F -p 2222"))  # fmt: skip

# A process with a directory of the host as its own, and a shell that somebody could type into.
MOVED_IN = """
pid=$(docker inspect -f '{{.State.Pid}}' busy) || exit 1
setsid nsenter -t "$pid" -m --wd=/etc /bin/sleep 1000002 </dev/null >/dev/null 2>&1 &
setsid sh -c '{ echo ": >/tmp/here"; sleep 1000003; } | docker exec -i busy sh' \
    </dev/null >/dev/null 2>&1 &
for turn in $(seq 200); do
    [ ! -e "/proc/$pid/root/tmp/here" ] || exit 0
    sleep 0.05
done
exit 1
"""


def rotten(host: DockerHost) -> None:
    host.start("busy", "--env=DB_PASSWORD=example", command=["sh", "-c", BUSY])
    host.run(MOVED_IN)
