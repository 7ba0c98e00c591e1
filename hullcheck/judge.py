"""The one evaluator: a control and a host make a verdict, and the laws are kept here.

Whatever a control does, it cannot pass on a probe that gave no answer (law 1) nor on nothing
at all (law 2): the evidence it consulted is known to the session, not to the control.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from testinfra.host import Host

from hullcheck import facts
from hullcheck.control import (
    Control,
    Expectation,
    Manual,
    NotApplicable,
    Unknown,
    expectations,
    plain,
)
from hullcheck.facts.kubernetes.requests import is_of_cluster
from hullcheck.facts.role import Role
from hullcheck.inventory.policy import Policy
from hullcheck.transport.backend import session_of
from hullcheck.transport.consulted import Consulted
from hullcheck.transport.kubernetes_api import VERSION
from hullcheck.transport.want import CannotAnswer, Pending
from hullcheck.verdict import Finding, Object, Status, Verdict, sentence, worst

__all__ = ["Site", "gather", "judge"]


NEED_ANSWERS = (Status.PASS, Status.NOT_APPLICABLE, Status.MANUAL)


@dataclass(frozen=True, slots=True)
class Site:
    """What a control may know besides the host: the site's values and the run's start.

    :param role: what the host is for; () leaves it to what is seen.
    """

    name: str = "localhost"
    policy: Policy = field(default_factory=Policy)
    role: tuple[str, ...] = ()
    started: datetime = field(default_factory=lambda: datetime.now(UTC))

    def input(self, name: str) -> Any:
        """Return the input of this name, or None."""
        if name == "role":
            return Role.declared(self.role) if self.role else None
        return {"policy": self.policy, "started": self.started}.get(name)


def gather(controls: Iterable[Control], host: Host, site: Site) -> None:
    """Bring all evidence that some controls will consult, in as few rounds as they allow.

    :raises Unreachable: the host cannot be audited.
    """
    session_of(host).gather([partial(judge, each, host, site) for each in controls])


def judge(control: Control, host: Host, site: Site) -> Verdict:
    """Judge one control on one host.

    :raises Unreachable: the host cannot be audited.
    :raises Pending: the session is gathering, and an answer is not known yet.
    """
    with session_of(host).consulting() as consulted:
        try:
            findings = _findings(control, host, site)
        except Exception as raised:
            whole = _finding(Object("host", site.name), [], raised)
            findings = [_lawful(whole, consulted)]
    status = worst(finding.status for finding in findings)
    return Verdict(
        site.name, control.id, status, _reason(status, findings), tuple(findings),
        consulted.lines,
    )  # fmt: skip


def _findings(control: Control, host: Host, site: Site) -> list[Finding]:
    session = session_of(host)
    if session.cluster and not is_of_cluster(control.inputs):
        session.ask(VERSION)
        raise NotApplicable("a cluster is asked here through its API: it is no host")
    things = [name for name in control.inputs if _each(name)]
    if len(things) > 1:
        raise TypeError(f"{control.id} asks for more than one kind of thing: {', '.join(things)}")
    with session_of(host).consulting() as common:
        shared = {
            name: host if name == "host" else _input(name, host, site)
            for name in control.inputs
            if name not in things
        }
        found = _input(things[0], host, site) if things else None
    if found is None:
        about = Object("host", site.name)
        return [_case(control, about, shared, host, common)]
    if not found:
        raise NotApplicable(f"there is no {things[0].replace('_', ' ')} on this host")
    return list(_cases(control, found, things[0], shared, host, common))


def _each(name: str) -> bool:
    return name in facts.PROVIDERS and facts.PROVIDERS[name].each


def _input(name: str, host: Host, site: Site) -> Any:
    given = site.input(name)
    return facts.get(host, name, site.policy) if given is None else given


def _cases(
    control: Control,
    found: Sequence[Any],
    name: str,
    shared: Mapping[str, Any],
    host: Host,
    common: Consulted,
) -> Iterator[Finding]:
    """Judge a control for each thing; one that waits for an answer does not stop the next."""
    pending = False
    for thing in found:
        try:
            yield _case(control, thing.object, {**shared, name: thing}, host, common)
        except Pending:
            pending = True
    if pending:
        raise Pending


def _case(
    control: Control, about: Object, inputs: Mapping[str, Any], host: Host, common: Consulted
) -> Finding:
    raised: Exception | None = None
    with session_of(host).consulting() as own, expectations() as stated:
        try:
            _not_unseen(inputs)
            control.function(**inputs)
        except Exception as error:
            raised = error
    consulted = Consulted()
    consulted.add(common)
    consulted.add(own)
    return _lawful(_finding(about, stated, raised), consulted)


def _not_unseen(inputs: Mapping[str, Any]) -> None:
    for thing in inputs.values():
        if isinstance(thing, facts.Unseen):
            raise Unknown(thing.reason)


def _finding(about: Object, stated: list[Expectation], raised: Exception | None) -> Finding:
    """Turn what a control stated and raised into a finding; what fails comes before all else."""
    broken = [each for each in stated if not each.holds]
    status, reason = _outcome(raised)
    if broken and status is not Status.FAIL:
        status = Status.FAIL
    shown = broken or stated
    sentences = [each.sentence for each in broken] + ([reason] if reason else [])
    expected, observed = _values(shown)
    if isinstance(raised, Manual) and observed is None:
        observed = plain(raised.facts)
    return Finding(about, status, expected, observed, "; ".join(sentences))


def _values(stated: list[Expectation]) -> tuple[Any, Any]:
    if len(stated) == 1:
        return stated[0].wanted, stated[0].observed
    if not stated:
        return None, None
    return (
        {each.what: each.wanted for each in stated},
        {each.what: each.observed for each in stated},
    )


def _outcome(raised: Exception | None) -> tuple[Status, str]:
    match raised:
        case None:
            return Status.PASS, ""
        case NotApplicable():
            return Status.NOT_APPLICABLE, str(raised)
        case Unknown() | CannotAnswer():
            return Status.UNKNOWN, str(raised)
        case Manual():
            return Status.MANUAL, str(raised)
        case AssertionError():
            return Status.FAIL, _assertion(raised)
        case _:
            where = traceback.extract_tb(raised.__traceback__)[-1]
            place = f"{Path(where.filename).name}:{where.lineno}"
            return Status.ERROR, f"the control broke: {type(raised).__name__}: {raised} ({place})"


def _assertion(raised: AssertionError) -> str:
    lines = str(raised).strip().splitlines()
    return lines[0].removeprefix("AssertionError: ") if lines else "the assertion does not hold"


def _lawful(finding: Finding, consulted: Consulted) -> Finding:
    """Keep law 1 and law 2: no pass on a probe without an answer, none on no probe at all.

    Nor may a probe without an answer excuse a host, or leave a person without the facts.
    """
    if consulted.nothing and finding.status is not Status.ERROR:
        why = "the control consulted no evidence"
        return _replaced(finding, Status.ERROR, why)
    if consulted.troubles and finding.status in NEED_ANSWERS:
        return _replaced(finding, Status.UNKNOWN, consulted.troubles[0])
    return finding


def _replaced(finding: Finding, status: Status, reason: str) -> Finding:
    return Finding(finding.object, status, finding.expected, finding.observed, reason)


def _reason(status: Status, findings: Sequence[Finding]) -> str:
    """One sentence for a verdict: the first finding of its status, and how many there are."""
    if status is Status.PASS:
        return f"holds for {_kinds(findings)}" if findings[0].object.kind != "host" else "holds"
    return sentence(status, findings)


def _kinds(findings: Sequence[Finding]) -> str:
    kind = findings[0].object.kind
    passed = sum(finding.status is Status.PASS for finding in findings)
    return f"{passed} {kind}{'' if passed == 1 else 's'}"
