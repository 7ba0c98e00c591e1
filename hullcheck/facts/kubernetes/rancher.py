"""What k3s and RKE2 were told: what they start their components with, and what else they do."""

from __future__ import annotations

from dataclasses import dataclass, field

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.kubernetes.k3s import Options, is_tool, options_of
from hullcheck.facts.kubernetes.programs import SEVERAL, Program
from hullcheck.facts.registry import Unseen, get, provide_each
from hullcheck.transport import CannotAnswer, Pending
from hullcheck.verdict import Object

__all__ = ["Rancher", "rancher"]


@dataclass(frozen=True)
class Rancher:
    """A running k3s or RKE2.

    :param kind: k3s or rke2.
    """

    program: Program = field(repr=False)
    kind: str
    options: Options

    @property
    def object(self) -> Object:
        return Object("node", self.kind, str(self.program.process.pid))

    def __str__(self) -> str:
        return f"{self.kind} {self.options.verb}"

    @property
    def server(self) -> bool:
        return self.options.verb == "server"


@provide_each
def rancher(host: Host) -> list[Rancher | Unseen]:
    """Each k3s and RKE2 that runs as server or agent. :raises NotApplicable: none does."""
    programs: list[Program] = get(host, "kubernetes_programs")
    found: list[Rancher | Unseen] = []
    pending = False
    for program in programs:
        kind = SEVERAL.get(program.name, program.name)
        if kind not in ("k3s", "rke2") or is_tool(program):
            continue
        try:
            found.append(Rancher(program, kind, options_of(program)))
        except Pending:
            pending = True
        except (Unknown, CannotAnswer) as doubt:
            found.append(Unseen(Object("node", kind, str(program.process.pid)), str(doubt)))
    if pending:
        raise Pending
    if not found:
        raise NotApplicable("neither k3s nor RKE2 runs here")
    return found
