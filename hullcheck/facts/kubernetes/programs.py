"""The programs that are components of Kubernetes on a host, and whose files they see."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.processes import Gone, Process, Processes
from hullcheck.facts.registry import get, provide
from hullcheck.transport import CannotAnswer, Want, read, session_of, want

__all__ = [
    "API_SERVER", "CONTROLLER_MANAGER", "ETCD", "KUBELET", "PROXY", "SCHEDULER", "SEVERAL",
    "SINGLE", "SUPERVISORS", "Program", "known_name", "kubernetes_programs",
]  # fmt: skip

API_SERVER, CONTROLLER_MANAGER, SCHEDULER = (
    "kube-apiserver", "kube-controller-manager", "kube-scheduler"
)  # fmt: skip
ETCD, KUBELET, PROXY = "etcd", "kubelet", "kube-proxy"
SINGLE = (API_SERVER, CONTROLLER_MANAGER, SCHEDULER, ETCD, KUBELET, PROXY)
"""Components that are a program of their own."""

SEVERAL = {
    "k3s": "k3s", "k3s-server": "k3s", "k3s-agent": "k3s", "kubelite": "microk8s",
    "hyperkube": "hyperkube",
}  # fmt: skip
"""Programs that are several components, and the distribution that has them."""

SUPERVISORS = ("rke2", "k0s")
"""Programs that are no component, and start each as a program of its own."""

_KNOWN = (*SINGLE, *SEVERAL, *SUPERVISORS)
_SHORT = tuple(form[:15] for each in _KNOWN for form in (each, f".{each}"))
_RELEASED = re.compile(r"-wrapped|[-_.](v?\d[\w.+-]*|real|bin|orig|linux[\w.-]*|amd64|arm64)")
"""What follows a name in ``kubelet-v1.31.2``, ``kubelet.real``, or NixOS' ``.kubelet-wrapped``."""


@dataclass(frozen=True, eq=False)
class Program:
    """A running program that is a component, or several.

    :param name: of its file; k3s and its kin say what they are in their title.
    :param root: what to set before a path that it sees; None if that cannot be told.
    """

    host: Host = field(repr=False)
    name: str
    process: Process
    words: tuple[str, ...]
    root: str | None

    def __str__(self) -> str:
        return f"{self.name} (process {self.process.pid})"

    def seen(self, path: str) -> str:
        """Return the path under which the host finds a file that the program names.

        One in a container sees other files; a relative path begins where it runs (proc(5)).

        :raises Unknown: whose files it sees cannot be told.
        """
        if self.root is None:
            raise Unknown(f"whose files {self} sees cannot be told; it needs root")
        return self.root + self.absolute(path)

    def absolute(self, path: str) -> str:
        """Return a path from its own root. :raises Unknown: where it runs cannot be told."""
        if path.startswith("/"):
            return posixpath.normpath(path)
        answer = session_of(self.host).ask(_cwd(self.process.pid))[0]
        if not answer.text.startswith("/"):
            raise Unknown(f"the working directory of {self} cannot be seen; it needs root")
        return posixpath.normpath(posixpath.join(answer.text, path))

    def text(self, path: str) -> str | None:
        """Return the content of a file as the program sees it; None if there is none.

        :raises Unknown: it cannot be read.
        """
        answer = session_of(self.host).ask(read(self.seen(path)))[0]
        if not answer.exit:
            return answer.text
        if answer.complaint.endswith(("No such file or directory", "Not a directory")):
            return None
        raise Unknown(f"{path} cannot be read: {answer.complaint}; it may need root")


def _cwd(pid: int) -> Want:
    return want(f"readlink -nv /proc/{pid}/cwd", meaning=(0, 1))


@provide
def kubernetes_programs(host: Host) -> list[Program]:
    """Every running program that is a component of Kubernetes, or several; [] if none is.

    What an ordinary user started in a session of theirs is none, whatever it is called.

    :raises Unknown: processes are hidden from the audit's user.
    """
    processes: Processes = get(host, "processes")
    meant = [each for each in processes if each.name.startswith(_SHORT) and not each.zombie]
    processes.look_up(each.pid for each in meant)
    session_of(host).foresee(*(_cwd(each.pid) for each in meant))
    found = []
    for process in meant:
        try:
            name = _name(process)
        except Gone:
            continue
        if name and _of_the_system(processes, process):
            root = _root(processes, process)
            words = process.cmdline if name in SEVERAL else process.whole_cmdline
            found.append(Program(host, name, process, tuple(words), root))
    return found


def _name(process: Process) -> str:
    """Return what the file of a process says that it is. Where that is hidden, or no name of these
    (a loader's, or one that was cut), as the kernel and its command line both call it.

    :raises Gone: it has ended. :raises Unknown: its command line cannot be seen either.
    """
    try:
        path = process.exe.removesuffix(" (deleted)")
    except Gone:
        raise
    except (Unknown, CannotAnswer):
        path = ""
    called = next((each for each in _KNOWN if each[:15] == process.name), "")
    if not path.startswith("/"):
        return called
    name = known_name(posixpath.basename(path))
    if name or not called:
        return name
    first = "".join(process.cmdline[:1]).partition(" ")[0]
    return called if posixpath.basename(first) == called else ""


def known_name(base: str) -> str:
    """Return which program a file is, by its name; empty if it is none of these."""
    bare = base.removeprefix(".")
    released = (
        each for each in _KNOWN
        if bare.startswith(each) and _RELEASED.fullmatch(bare, len(each))
    )  # fmt: skip
    return bare if bare in _KNOWN else next(released, "")


def _of_the_system(processes: Processes, process: Process) -> bool:
    """Whether root, a unit of the system, a kubelet or k0s has started it: any user can call a
    program kubelet."""
    paths = process.cgroups.values()
    parent = processes.get(process.ppid)
    return (
        process.uids[1] == 0
        or any(part in path for path in paths for part in ("kubepods", "/system.slice/"))
        or (parent is not None and parent.uids[1] == 0 and parent.name == "k0s")
    )


def _root(processes: Processes, process: Process) -> str | None:
    init = processes.get(1)
    own, mine = (each.spaces.get("mnt") if each else None for each in (init, process))
    if own is None or mine is None:
        return None
    return "" if own == mine else f"/proc/{process.pid}/root"
