"""Which container a cgroup belongs to, by the names that engines give to cgroups.

Read off systems that run them: Docker, Podman (also with ``--cgroups=split``), containerd and
CRI-O below a kubelet, nerdctl, LXC, nspawn, BuildKit; with systemd's and cgroupfs' drivers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["CgroupName", "container_of"]

ID = re.compile(r"[0-9a-f]{64}")
"""How every OCI engine names its containers."""

_ID = "([0-9a-f]{64})"
_PREFIXED = {
    "docker": "docker", "libpod": "podman", "libpod-payload": "podman", "crio": "cri-o",
    "cri-containerd": "containerd", "nerdctl": "containerd",
}  # fmt: skip
_SCOPE = re.compile(rf"({'|'.join(_PREFIXED)})-{_ID}(?:\.scope)?")
_MISMATCH = re.compile(rf"[^:]*:([a-z-]+):{_ID}")
"""A path for systemd's driver, taken literally by cgroupfs'."""

_BARE = re.compile(rf"{_ID}(?:\.scope)?")
_ABOVE = {"docker": "docker", "actions_job": "docker", "libpod_parent": "podman"}
_NAMED = (
    ("lxc", re.compile(r"lxc\.payload\.(.+)")),
    ("nspawn", re.compile(r"systemd-nspawn@(.+)\.service")),
    ("nspawn", re.compile(r"machine-(?!qemu)(.+)\.scope")),
    ("buildah", re.compile(r"buildah-(buildah\d+)(?:\.scope)?")),
)
_BELOW = {"lxc": "lxc", "lxc.payload": "lxc", "buildkit": "buildkit", "garden": "garden"}
_WATCHERS = re.compile(r"(?:libpod|crio)-conmon-.*|lxc\.monitor.*|supervisor|conmon")
"""Cgroups of what looks after a container, and is none."""


@dataclass(frozen=True, slots=True)
class CgroupName:
    """A container as its cgroup names it.

    :param runtime: docker, podman, containerd, cri-o, lxc …; "" if any engine may name it so.
    :param id: 64 hexadecimal digits, or the name that LXC, nspawn and the like give it.
    """

    runtime: str
    id: str


def container_of(path: str) -> CgroupName | None:
    """Return the container that a cgroup belongs to: of nested ones, the innermost.

    :param path: from ``/proc/PID/cgroup``.
    :return: None if no engine names its containers' cgroups like this.
    """
    for above, part in _inwards_out(path):
        if _WATCHERS.fullmatch(part):
            return None
        found = _named(part, above)
        if found is not None:
            return found
    return None


def _inwards_out(path: str) -> Iterator[tuple[str, str]]:
    """Yield (the part above, the part) from the end of a path."""
    parts = ["", *(part for part in path.split("/") if part)]
    for number in range(len(parts) - 1, 0, -1):
        yield parts[number - 1], parts[number]


def _named(part: str, above: str) -> CgroupName | None:
    if scope := _SCOPE.fullmatch(part):
        return CgroupName(_PREFIXED[scope[1]], scope[2])
    if mismatch := _MISMATCH.fullmatch(part):
        return CgroupName(_PREFIXED.get(mismatch[1], mismatch[1]), mismatch[2])
    if bare := _BARE.fullmatch(part):
        kubelet = "containerd" if above.startswith("pod") else ""
        return CgroupName(_ABOVE.get(above, kubelet), bare[1])
    for runtime, pattern in _NAMED:
        if named := pattern.fullmatch(part):
            return CgroupName(runtime, named[1])
    return CgroupName(_BELOW[above], part) if above in _BELOW else None
