"""Programs and configuration of every container engine that may be on a host, by where they lie.

What a host's own Docker daemon rests on is known better from the daemon; see ``engine_parts``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.docker.candidates import parse_programs, program_name
from hullcheck.facts.docker.search import PROGRAMS
from hullcheck.facts.engine_parts import PLACES
from hullcheck.facts.files import File, Files
from hullcheck.facts.processes import Processes
from hullcheck.facts.registry import get, provide
from hullcheck.facts.texts import lines_of
from hullcheck.transport import Answer, CannotAnswer, session_of, want

__all__ = ["EnginePaths", "engine_paths"]

OF_DOCKER = (
    "dockerd", "containerd", "containerd-shim", "containerd-shim-runc-v1",
    "containerd-shim-runc-v2", "runc",
)  # fmt: skip
OF_OTHERS = (
    "podman", "buildah", "conmon", "conmonrs", "crun", "crun-wasm", "youki", "runsc",
    "containerd-shim-runsc-v1", "kata-runtime", "containerd-shim-kata-v2", "crio", "ctr",
    "nerdctl", "crictl", "buildkitd", "kubelet", "kubeadm", "k3s", "k3s-server", "k3s-agent",
    "rke2", "k0s", "lxc-start", "lxd", "incusd", "systemd-nspawn",
)  # fmt: skip
"""Each starts containers, or what starts them, or is root's way to them."""

ALSO = (
    "/opt/bin", "/usr/libexec/podman", "/usr/lib/podman", "/usr/libexec/crio", "/opt/kata/bin",
    "/var/lib/rancher/rke2/bin", "/var/lib/rancher/k3s/data/current/bin", "/opt/podman/bin",
)  # fmt: skip

PLUGINS = ("/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni")
"""Directories of programs that runtimes run as root for every pod."""

CONTAINERD = ("/etc/containerd",)
CONFIG = (
    "/etc/containers", "/etc/crio", "/etc/cni/net.d", "/etc/kubernetes", "/etc/rancher",
    "/etc/k0s", "/etc/nerdctl", "/etc/buildkit", "/etc/crictl.yaml", "/etc/default/kubelet",
    "/etc/sysconfig/kubelet", "/etc/sysconfig/crio", "/etc/default/crio", "/etc/lxc",
    "/var/lib/kubelet/config.yaml", "/var/lib/kubelet/kubeadm-flags.env",
    "/var/lib/rancher/k3s/agent/etc", "/var/lib/rancher/rke2/agent/etc",
    "/var/snap/microk8s/current/args",
    *(f"{place}/system/{unit}.service{end}"
      for place in ("/etc/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd", "/lib/systemd")
      for unit in ("kubelet", "crio", "k3s", "rke2-server", "rke2-agent")
      for end in ("", ".d")),
)  # fmt: skip

END = "= end"

_NAMED = " -o ".join(f"-name {name}" for name in (*OF_DOCKER, *OF_OTHERS))
INSTALLED = want(
    f"find -H {' '.join((*PLACES, *ALSO))} -mindepth 1 -maxdepth 1 ! -type d"
    f" \\( {_NAMED} \\) -print; echo '{END}'",
)
CONFIGURED = want(
    f"find -H {' '.join((*CONFIG, *CONTAINERD, *PLUGINS))} -maxdepth 0 -print; echo '{END}'"
)

_ABSENT = ("No such file or directory", "Not a directory")
_COMPLAINT = re.compile(r"find: (?:.*?['\"`])?(/.*?)['\"]?: (.*)")


@dataclass(frozen=True, slots=True)
class EnginePaths:
    """What lies on a host of container engines, each file once however many names it has.

    :param docker: programs that a Docker daemon is made of; ``programs``: those of others.
    :param plugins: directories of programs; ``config``: files and directories of settings.
    :param containerd: containerd's settings.
    :param hidden: why there may be more; empty if there is not.
    """

    docker: tuple[File, ...]
    programs: tuple[File, ...]
    plugins: tuple[File, ...]
    config: tuple[File, ...]
    containerd: tuple[File, ...]
    hidden: str

    @property
    def everything(self) -> tuple[File, ...]:
        return (*self.docker, *self.programs, *self.plugins, *self.config, *self.containerd)


@provide
def engine_paths(host: Host) -> EnginePaths:
    """The programs and settings of all engines. :raises Unknown: the search was cut."""
    session = session_of(host)
    installed, configured, running = session.ask(INSTALLED, CONFIGURED, PROGRAMS)
    processes: Processes = get(host, "processes")
    names = frozenset((*OF_DOCKER, *OF_OTHERS))
    own = {each.pid for each in processes if len(each.nspid) < 2}
    paths = [*_paths(installed), *_paths(configured)]
    paths += [
        path.removesuffix(" (deleted)")
        for pid, path in sorted(parse_programs(running).items())
        if pid in own and program_name(path) in names
    ]
    found = _once(get(host, "files"), paths)
    hidden = next((why for each in (installed, configured) for why in _denied(each)), "")
    kinds: dict[str, list[File]] = {kind: [] for kind in KINDS}
    for path, file in found.items():
        kinds[_kind(path)].append(file)
    made = {kind: tuple(files) for kind, files in kinds.items()}
    return EnginePaths(**made, hidden=hidden)


KINDS = ("docker", "programs", "plugins", "config", "containerd")


def _kind(path: str) -> str:
    for kind, places in (("plugins", PLUGINS), ("config", CONFIG), ("containerd", CONTAINERD)):
        if path in places:
            return kind
    return "docker" if path.rpartition("/")[2] in OF_DOCKER else "programs"


def _paths(answer: Answer) -> list[str]:
    *found, last = lines_of(answer) or [""]
    if last != END or not all(each.startswith("/") for each in found):
        raise CannotAnswer(f"{answer.want.command[:60]}…: the search did not come to its end")
    return found


def _once(files: Files, paths: Iterable[str]) -> dict[str, File]:
    """Return files by path, of several names of one only the first."""
    found: dict[str, File] = {}
    seen = set()
    for file in files.all(dict.fromkeys(paths)):
        try:
            there = file.exists
        except Unknown:
            found[file.path] = file
            continue
        if there and file.resolved not in seen:
            seen.add(file.resolved)
            found[file.path] = file
    return found


def _denied(answer: Answer) -> list[str]:
    lines = answer.evidence.stderr.decode("utf-8", "replace").splitlines()
    return [
        f"{found[1] if (found := _COMPLAINT.fullmatch(line)) else line} cannot be looked into; it"
        " may need root"
        for line in lines
        if line.strip() and not line.endswith(_ABSENT)
    ]


def has_docker(host: Host) -> bool:
    """Whether a Docker daemon runs, whose own parts are judged by what it says of them."""
    try:
        return bool(get(host, "docker"))
    except (NotApplicable, Unknown):
        return False
