"""Containers that no Docker knows: raw runc, containerd's own, and what unshare(1) makes."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from hullcheck.facts.capabilities import NAMES
from tests.live.hosts.images import WAIT, busybox_tar
from tests.live.hosts.overlay import OverlayHost, wait_until

ROOT = "/srv/rogue/root"
CONTAINERD = "/run/docker/containerd/containerd.sock"

UNPACK = f"mkdir -p {ROOT} && tar -x -C {ROOT} && mkdir -p {ROOT}/proc {ROOT}/dev {ROOT}/sys"


def unpack(host: OverlayHost) -> None:
    """Put busybox's root file system where the containers of this module run on it."""
    host.run(UNPACK, stdin=busybox_tar())


def runc(
    host: OverlayHost,
    name: str,
    *,
    state: str = "/run/runc",
    cgroup: str | None = None,
    capabilities: int | None = None,
    shared: str = "",
) -> int:
    """Start a container with runc alone; returns the pid of its first process on the host.

    :param state: runc's --root. ``cgroup``: its path; None: "/NAME".
    :param capabilities: a mask; None: those that ``runc spec`` gives.
    :param shared: a namespace that it has of its host's.
    """
    bundle = f"/srv/rogue/{name}"
    spec = json.loads(host.run("cd /tmp && runc spec && cat config.json && rm config.json").stdout)
    host.write(f"{bundle}/config.json", json.dumps(changed(spec, cgroup, capabilities, shared)))
    run = shlex.join(["runc", "--root", state, "run", "-d", "--bundle", bundle, name])
    host.run(
        f"{run} </dev/null >/dev/null 2>/var/log/runc.log || {{ cat /var/log/runc.log; exit 1; }}"
    )
    told = host.run(shlex.join(["runc", "--root", state, "state", name])).stdout
    return int(json.loads(told)["pid"])


def changed(
    spec: Mapping[str, Any], cgroup: str | None, capabilities: int | None, shared: str
) -> dict[str, Any]:
    process = dict(spec["process"], terminal=False, args=["/bin/sh", "-c", WAIT])
    # Raising a limit takes a capability that root lacks here.
    del process["rlimits"]
    if capabilities is not None:
        every = [name for bit, name in enumerate(NAMES) if capabilities >> bit & 1]
        process["capabilities"] = dict.fromkeys(("bounding", "effective", "permitted"), every)
        process["noNewPrivileges"] = False
    linux = dict(spec["linux"])
    linux["namespaces"] = [each for each in linux["namespaces"] if each["type"] != shared]
    if cgroup is not None:
        linux["cgroupsPath"] = cgroup
    root = {"path": ROOT, "readonly": capabilities is None}
    return dict(spec, process=process, linux=linux, root=root)


def ctr(host: OverlayHost, name: str, *options: str, namespace: str = "odd") -> int:
    """Start a container in a namespace of Docker's containerd; returns its first pid."""
    client = ["ctr", "--address", CONTAINERD, "--namespace", namespace]
    run = [*client, "run", "-d", "--rootfs", "--null-io", *options, ROOT, name]
    host.run(shlex.join([*run, "/bin/sh", "-c", WAIT]))
    tasks = host.run(shlex.join([*client, "task", "ls"])).stdout.splitlines()
    return next(int(line.split()[1]) for line in tasks if line.split()[0] == name)


def apart(host: OverlayHost, name: str, *argv: str) -> int:
    """Start a shell that only waits, below a command as ``unshare -m``; returns its pid.

    Its command line ends in "# NAME", so that a person finds it in a list of processes.
    """
    what = f"/bin/sh -c while :; do sleep 1000000; done # {name}"
    started = shlex.join([*argv, *what.split(" ", 2)])
    host.run(f"setsid {started} </dev/null >/dev/null 2>&1 &")
    found: list[int] = []

    def there() -> bool:
        lines = (line.split(None, 1) for line in host.run("ps -eo pid,args").stdout.splitlines())
        found.extend(int(pid) for pid, args in lines if args == what)
        return bool(found)

    wait_until(there, f"{host.name}: {name}")
    return found[0]
