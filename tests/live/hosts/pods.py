"""Pods of Kubernetes without a kubelet: real containers of runc, with the bundles that containerd's
CRI plugin gives its own."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from tests.live.hosts.overlay import OverlayHost
from tests.live.hosts.runc import changed

__all__ = ["ALMIGHTY", "run_pod"]

ALMIGHTY = ((1 << 41) - 1) & ~(1 << 24)
"""All capabilities that a test machine can give: it lacks CAP_SYS_RESOURCE."""

TASKS = "/run/containerd/io.containerd.runtime.v2.task/k8s.io"


def run_pod(
    host: OverlayHost,
    namespace: str,
    pod: str,
    container: str,
    *,
    capabilities: int | None = None,
    shared: Sequence[str] = (),
    mounts: Sequence[tuple[str, str]] = (),
) -> int:
    """Start a pod of one container beside its sandbox; returns the container's pid on the host.

    The host has the root file system of :func:`tests.live.hosts.runc.unpack`.

    :param shared: namespaces that it has of its host's.
    :param mounts: (path of the host, path in the container), writable.
    """
    uid = sha256(f"{namespace}/{pod}".encode()).hexdigest()
    sandbox = sha256(f"{uid}/sandbox".encode()).hexdigest()
    notes = {
        "io.kubernetes.cri.sandbox-id": sandbox, "io.kubernetes.cri.sandbox-name": pod,
        "io.kubernetes.cri.sandbox-namespace": namespace, "io.kubernetes.cri.sandbox-uid": uid[:36],
    }  # fmt: skip
    spec = json.loads(host.run("cd /tmp && runc spec && cat config.json && rm config.json").stdout)
    _start(host, sandbox, spec, uid, notes | {"io.kubernetes.cri.container-type": "sandbox"}, None,
           shared, ())  # fmt: skip
    own = {
        "io.kubernetes.cri.container-type": "container",
        "io.kubernetes.cri.container-name": container,
    }
    number = sha256(f"{uid}/{container}".encode()).hexdigest()
    return _start(host, number, spec, uid, notes | own, capabilities, shared, mounts)


def _start(
    host: OverlayHost,
    number: str,
    spec: dict[str, Any],
    uid: str,
    notes: dict[str, str],
    capabilities: int | None,
    shared: Sequence[str],
    mounts: Sequence[tuple[str, str]],
) -> int:
    made = changed(spec, f"/kubepods/burstable/pod{uid[:36]}/{number}", capabilities, "")
    made["annotations"] = notes
    linux = made["linux"]
    linux["namespaces"] = [each for each in linux["namespaces"] if each["type"] not in shared]
    if "network" in shared:
        made["mounts"] = [each for each in made["mounts"] if each["destination"] != "/sys"]
    made["mounts"] += [
        {"source": source, "destination": target, "type": "bind", "options": ["rbind", "rw"]}
        for source, target in mounts
    ]
    if "uts" in shared:
        made.pop("hostname", None)
    bundle = f"{TASKS}/{number}"
    host.write(f"{bundle}/config.json", json.dumps(made))
    state = "/run/containerd/runc/k8s.io"
    run = shlex.join(["runc", "--root", state, "run", "-d", "--bundle", bundle,
                      "--pid-file", f"{bundle}/init.pid", number])  # fmt: skip
    host.run(
        f"{run} </dev/null >/dev/null 2>/var/log/runc.log || {{ cat /var/log/runc.log; exit 1; }}"
    )
    return int(host.run(f"cat {bundle}/init.pid").stdout)
