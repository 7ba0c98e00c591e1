"""The components of Kubernetes that run on a host, each with the flags that it runs with.

The processes tell: ``/proc/PID/cmdline`` first, and only where several components are one program
(k3s, MicroK8s' kubelite), the files from which that program takes their flags.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.kubernetes.flags import Flags, parse_flags
from hullcheck.facts.processes import Gone, Process, Processes
from hullcheck.facts.registry import Unseen, get, provide, provide_each
from hullcheck.transport import CannotAnswer, Pending, Want, read, session_of, want
from hullcheck.verdict import Object

__all__ = [
    "API_SERVER", "CONTROLLER_MANAGER", "ETCD", "KUBELET", "PROXY", "SCHEDULER", "Component",
    "Program", "components_of", "kubernetes_components", "kubernetes_programs",
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

_SHORT = frozenset(each[:15] for each in (*SINGLE, *SEVERAL))


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


@dataclass(frozen=True, eq=False)
class Component:
    """One component.

    :param source: what its flags were taken from, in words.
    """

    host: Host = field(repr=False)
    name: str
    program: Program
    flags: Flags
    source: str

    @property
    def object(self) -> Object:
        return Object("component", self.name, str(self.program.process.pid))

    def __str__(self) -> str:
        return self.name if self.name == self.program.name else f"{self.name} in {self.program}"


def _cwd(pid: int) -> Want:
    return want(f"readlink -nv /proc/{pid}/cwd", meaning=(0, 1))


@provide
def kubernetes_programs(host: Host) -> list[Program]:
    """Every running program that is a component of Kubernetes, or several; [] if none is.

    What an ordinary user started in a session of theirs is none, whatever it is called.

    :raises Unknown: processes are hidden from the audit's user.
    """
    processes: Processes = get(host, "processes")
    meant = [each for each in processes if each.name in _SHORT and not each.zombie]
    processes.look_up(each.pid for each in meant)
    session_of(host).foresee(*(_cwd(each.pid) for each in meant))
    found = []
    for process in meant:
        try:
            name = _name(process)
        except Gone:
            continue
        if name and _of_the_system(process):
            root = _root(processes, process)
            found.append(Program(host, name, process, tuple(process.cmdline), root))
    return found


def _name(process: Process) -> str:
    """Return what the file of a process says that it is; as the kernel calls it, if it is hidden.

    :raises Gone: it has ended.
    """
    known = (*SINGLE, *SEVERAL)
    try:
        base = posixpath.basename(process.exe.removesuffix(" (deleted)"))
    except Gone:
        raise
    except (Unknown, CannotAnswer):
        base = next((each for each in known if each[:15] == process.name), "")
    return base if base in known else ""


def _of_the_system(process: Process) -> bool:
    paths = process.cgroups.values()
    return process.uids[1] == 0 or any(
        part in path for path in paths for part in ("kubepods", "/system.slice/")
    )


def _root(processes: Processes, process: Process) -> str | None:
    init = processes.get(1)
    own, mine = (each.spaces.get("mnt") if each else None for each in (init, process))
    if own is None or mine is None:
        return None
    return "" if own == mine else f"/proc/{process.pid}/root"


def components_of(program: Program) -> list[Component]:
    """Return the components that a program is.

    :raises Unknown: it is several, and which with what flags cannot be told.
    """
    words = program.words[1:]
    name = program.name
    if name == "hyperkube":
        name, words = (words[0], words[1:]) if words else ("", ())
    if name not in SINGLE:
        raise Unknown(f"{program} takes its components' flags from elsewhere")
    return [Component(program.host, name, program, parse_flags(words), "command line")]


@provide
def kubernetes_components(host: Host) -> list[Component | Unseen]:
    """All components that run on a host; one that cannot be seen in whole is Unseen."""
    programs: list[Program] = get(host, "kubernetes_programs")
    found: list[Component | Unseen] = []
    pending = False
    for program in programs:
        try:
            found += components_of(program)
        except Pending:
            pending = True
        except (Unknown, CannotAnswer) as reason:
            about = Object("component", program.name, str(program.process.pid))
            found.append(Unseen(about, str(reason)))
    if pending:
        raise Pending
    return found


def _named(host: Host, name: str) -> list[Component | Unseen]:
    """Return the components of a name, and programs that may be it."""
    every: list[Component | Unseen] = get(host, "kubernetes_components")
    found = [each for each in every if isinstance(each, Unseen) or each.name == name]
    if not found:
        raise NotApplicable(f"no {name} runs here")
    return found


@provide_each
def api_server(host: Host) -> list[Component | Unseen]:
    """Each kube-apiserver. :raises NotApplicable: none runs here."""
    return _named(host, API_SERVER)


@provide_each
def controller_manager(host: Host) -> list[Component | Unseen]:
    """Each kube-controller-manager. :raises NotApplicable: none runs here."""
    return _named(host, CONTROLLER_MANAGER)


@provide_each
def scheduler(host: Host) -> list[Component | Unseen]:
    """Each kube-scheduler. :raises NotApplicable: none runs here."""
    return _named(host, SCHEDULER)


@provide_each
def etcd(host: Host) -> list[Component | Unseen]:
    """Each etcd. :raises NotApplicable: none runs here."""
    return _named(host, ETCD)


@provide_each
def kubelet(host: Host) -> list[Component | Unseen]:
    """Each kubelet. :raises NotApplicable: none runs here."""
    return _named(host, KUBELET)


@provide_each
def kube_proxy(host: Host) -> list[Component | Unseen]:
    """Each kube-proxy. :raises NotApplicable: none runs here."""
    return _named(host, PROXY)
