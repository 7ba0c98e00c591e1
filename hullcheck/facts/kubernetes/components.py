"""The components of Kubernetes that run on a host, each with the flags that it runs with.

The processes tell: ``/proc/PID/cmdline`` first, and only where several components are one program
(k3s, MicroK8s' kubelite), the files from which that program takes their flags.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.kubernetes import k3s, microk8s
from hullcheck.facts.kubernetes.flags import Flags, parse_flags
from hullcheck.facts.kubernetes.programs import (
    API_SERVER,
    CONTROLLER_MANAGER,
    ETCD,
    KUBELET,
    PROXY,
    SCHEDULER,
    SEVERAL,
    SINGLE,
    SUPERVISORS,
    Program,
)
from hullcheck.facts.registry import Unseen, get, provide, provide_each
from hullcheck.transport import CannotAnswer, Pending
from hullcheck.verdict import Object

__all__ = ["Component", "components_of", "kubernetes_components"]


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


def components_of(program: Program) -> list[Component]:
    """Return the components that a program is.

    :raises Unknown: it is several, and which with what flags cannot be told.
    """
    return [Component(program.host, *found) for found in _parts(program)]


def _parts(program: Program) -> Iterable[tuple[str, Program, Flags, str]]:
    words = program.words[1:]
    kind = SEVERAL.get(program.name)
    if program.name in SUPERVISORS or (kind == "k3s" and k3s.is_tool(program)):
        return
    if kind in _SEVERAL:
        for name, flags, source in _SEVERAL[kind](program):
            yield name, program, flags, source
        return
    name = program.name
    if kind == "hyperkube":
        name, words = (words[0], words[1:]) if words else ("", ())
    if name in SINGLE:
        yield name, program, parse_flags(words), "command line"
    elif kind != "hyperkube":
        raise Unknown(f"{program} takes its components' flags from elsewhere")


_SEVERAL = {"k3s": k3s.components, "microk8s": microk8s.components}


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
