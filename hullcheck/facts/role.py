"""What a host is for: the settings that are right for it follow from that.

An inventory says it, or it is seen: from what runs in the host's own mount namespace and
from what is installed there. What runs in a container gives its host no role, or whoever owns
a container could relax what is asked of the host.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.containerd import KUBELETS
from hullcheck.facts.processes import Gone, Process, Processes
from hullcheck.facts.registry import Unseen, get, provide
from hullcheck.inventory.roles import BUILD_HOST, KUBERNETES_NODE, ROLES, ROOTFUL, ROOTLESS
from hullcheck.transport import CannotAnswer, session_of, want

__all__ = ["BUILD_HOST", "KUBERNETES_NODE", "ROLES", "ROOTFUL", "ROOTLESS", "Role", "role"]

BUILDERS = frozenset({
    "gitlab-runner", "Runner.Listener", "Agent.Listener", "buildkitd", "buildkite-agent",
    "drone-runner-docker", "drone-runner-exec", "woodpecker-agent", "act_runner",
    "forgejo-runner", "concourse", "teamcity-agent", "jenkins",
})  # fmt: skip
"""Programs that run builds for others."""

ENGINES = frozenset({"dockerd", "containerd", "crio"})

PLACES = {
    "/var/lib/kubelet/config.yaml": KUBERNETES_NODE, "/etc/kubernetes/kubelet.conf":
    KUBERNETES_NODE, "/etc/rancher/k3s": KUBERNETES_NODE, "/etc/rancher/rke2": KUBERNETES_NODE,
    "/var/snap/microk8s/current": KUBERNETES_NODE, "/etc/k0s": KUBERNETES_NODE,
    "/etc/gitlab-runner/config.toml": BUILD_HOST, "/etc/buildkite-agent": BUILD_HOST,
    "/etc/buildkit/buildkitd.toml": BUILD_HOST, "/var/lib/jenkins": BUILD_HOST,
}  # fmt: skip
"""What is installed for a role, whether it runs now or not."""

FOUND = want("stat -L -c %n -- " + " ".join(PLACES), meaning=(0, 1))

_ABSENT = ("No such file or directory", "Not a directory")


@dataclass(frozen=True, slots=True)
class Role:
    """The roles of a host; ask with ``in``.

    :param names: those it has; ``doubts``: why it may have another one, by that one's name.
    :param source: "the inventory", or "what was seen".
    """

    names: frozenset[str]
    source: str
    doubts: Mapping[str, str] = field(default_factory=dict)

    def __contains__(self, name: object) -> bool:
        """Whether the host has a role. :raises Unknown: it cannot be told."""
        if name not in self.names and str(name) in self.doubts:
            raise Unknown(f"cannot tell whether this is a {name}: {self.doubts[str(name)]}")
        return name in self.names

    def __str__(self) -> str:
        return ", ".join(sorted(self.names)) or "no role"

    @staticmethod
    def declared(names: Iterable[str]) -> Role:
        """Return the roles that an inventory gives."""
        return Role(frozenset(names), "the inventory")


@provide
def role(host: Host) -> Role:
    """The host's roles, as far as they are seen."""
    session_of(host).foresee(FOUND)
    names: set[str] = set()
    doubts: dict[str, str] = {}
    for found, about in FINDERS.items():
        try:
            for name, doubt in found(host):
                if doubt:
                    doubts.setdefault(name, doubt)
                else:
                    names.add(name)
        except (Unknown, CannotAnswer) as reason:
            for name in about:
                doubts.setdefault(name, str(reason))
    return Role(frozenset(names), "what was seen", doubts)


Found = Iterator[tuple[str, str]]
"""Roles, each with a doubt; an empty one means that the host has the role."""


def _placed(host: Host) -> Found:
    answer = session_of(host).ask(FOUND)[0]
    for line in answer.text.splitlines():
        if line in PLACES:
            yield PLACES[line], ""
    for line in answer.evidence.stderr.decode("utf-8", "replace").splitlines():
        if not line.endswith(_ABSENT):
            path = next((each for each in PLACES if each in line), None)
            for name in [PLACES[path]] if path else sorted(set(PLACES.values())):
                yield name, line


def _running(host: Host) -> Found:
    processes: Processes = get(host, "processes")
    meant = [each for each in processes if each.name in KUBELETS | _short(BUILDERS) | ENGINES]
    processes.look_up(each.pid for each in meant)
    init = processes.get(1)
    own = init.spaces.get("mnt") if init else None
    for process in meant:
        name = _role_of(process)
        mine = process.spaces.get("mnt")
        if own is None or mine is None:
            yield name, f"whose process {process} is cannot be seen; it may need root"
        elif mine == own and _program(process) in KUBELETS | BUILDERS | ENGINES:
            yield name, ""


def _short(names: Iterable[str]) -> frozenset[str]:
    """Return programs as the kernel names their processes: 15 bytes."""
    return frozenset(each[:15] for each in names)


def _role_of(process: Process) -> str:
    if process.name in KUBELETS:
        return KUBERNETES_NODE
    if process.name in _short(BUILDERS):
        return BUILD_HOST
    return ROOTFUL if process.uids[1] == 0 else ROOTLESS


def _program(process: Process) -> str:
    try:
        return posixpath.basename(process.exe.removesuffix(" (deleted)"))
    except Gone:
        return ""


def _docker(host: Host) -> Found:
    try:
        for engine in get(host, "docker"):
            yield (ROOTLESS if engine.rootless else ROOTFUL), ""
    except NotApplicable:
        return


def _podman(host: Host) -> Found:
    """A user's Podman that keeps something; that of root is installed with every Podman."""
    try:
        found = get(host, "podman")
    except NotApplicable:
        return
    for engine in found:
        if isinstance(engine, Unseen):
            yield ROOTLESS, engine.reason
        elif engine.rootless:
            yield ROOTLESS, ""


FINDERS = {
    _placed: (KUBERNETES_NODE, BUILD_HOST),
    _running: ROLES,
    _docker: (ROOTFUL, ROOTLESS),
    _podman: (ROOTLESS,),
}
"""How roles are seen, and of which roles each way tells."""
