"""An image with what no image should hold, and a container that is no longer as its image."""

from __future__ import annotations

import json

from tests.live.hosts.docker import DockerHost
from tests.live.hosts.images import WAIT, busybox_tar

LEAKY = {
    "usr/bin/su": (b"x", 0o4755),
    "usr/bin/apt": (b"x", 0o755),
    "root/.aws/credentials": (b"none\n", 0o600),
}

DRIFT = """
cp /bin/busybox /root/sleep
/root/sleep 1000004 &
until [ "$(readlink /proc/$!/exe)" = /root/sleep ]; do :; done
rm /root/sleep
cp /bin/busybox /tmp/tool
cp /bin/busybox /scratch/sleep
/scratch/sleep 1000005 &
until [ "$(readlink /proc/$!/exe)" = /scratch/sleep ]; do :; done
echo intruder:x:0:0::/:/bin/sh >>/etc/passwd
exec sleep 1000006
"""

DRIFTED = """
for turn in $(seq 200); do
    pid=$(docker inspect -f '{{.State.Pid}}' drifter)
    [ "$(tr '\\0' ' ' <"/proc/$pid/cmdline")" != "sleep 1000006 " ] || exit 0
    sleep 0.05
done
exit 1
"""

OVERLAY = """
cd /srv/data && mkdir -p own && cd own && mkdir -p image up work root
tar -x -C image && mkdir -p image/proc image/dev image/sys
mount -t overlay overlay -o "lowerdir=$PWD/image,upperdir=$PWD/up,workdir=$PWD/work" root
"""


def rotten(host: DockerHost) -> None:
    host.engine.load_image("leaky:1", tar=busybox_tar(LEAKY))
    host.start("drifter", "--network=none", "--tmpfs=/scratch:exec", image="leaky:1",
               command=["sh", "-c", DRIFT])  # fmt: skip
    host.run(DRIFTED)
    overlaid(host)


def overlaid(host: DockerHost) -> None:
    """Start a container of runc alone on an overlay: the rotten host's engine has none."""
    host.run(OVERLAY, stdin=busybox_tar())
    spec = json.loads(host.run("cd /srv/data/own && runc spec && cat config.json").stdout)
    spec["process"] |= {"terminal": False, "args": ["/bin/sh", "-c", WAIT]}
    # Raising a limit takes a capability that root lacks on the test machine.
    del spec["process"]["rlimits"]
    spec["root"] = {"path": "/srv/data/own/root", "readonly": False}
    host.write("/srv/data/own/config.json", json.dumps(spec))
    host.run("runc run -d --bundle /srv/data/own overlaid </dev/null >/dev/null 2>&1")
    host.run("cd /srv/data/own/root && cp bin/busybox tmp/tool && echo x:x:0:0::/: >>etc/passwd")
