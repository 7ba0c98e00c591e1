"""The plain data of an audit: statuses, findings, verdicts, hosts and runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from operator import attrgetter
from typing import Any

__all__ = [
    "Finding",
    "HostRecord",
    "Object",
    "Run",
    "Status",
    "Verdict",
    "sentence",
    "totals",
    "worst",
]


class Status(StrEnum):
    """The outcome of a control, in XCCDF's meaning; declared from worst to best."""

    FAIL = "fail"
    ERROR = "error"
    UNKNOWN = "unknown"
    MANUAL = "manual"
    WAIVED = "waived"
    PASS = "pass"
    NOT_APPLICABLE = "not-applicable"

    def __init__(self, _: str) -> None:
        self.rank = len(type(self).__members__)
        """0 for the worst status; higher is better."""


def worst(statuses: Iterable[Status]) -> Status:
    """Return the worst of some statuses; of none, not-applicable."""
    return min(statuses, key=attrgetter("rank"), default=Status.NOT_APPLICABLE)


def totals(statuses: Iterable[Status]) -> dict[str, int]:
    """Count statuses, worst first, without the ones that do not occur."""
    counts = Counter(statuses)
    return {str(status): counts[status] for status in Status if counts[status]}


@dataclass(frozen=True, slots=True)
class Object:
    """What a finding is about: a container, a file, an engine, or the host itself."""

    kind: str
    name: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of a control for one object."""

    object: Object
    status: Status
    expected: Any = None
    observed: Any = None
    reason: str = ""


def sentence(status: Status, findings: Sequence[Finding]) -> str:
    """Say in one sentence why findings have a status: of what, why, and of what else."""
    telling = [finding for finding in findings if finding.status is status]
    first, kind = telling[0], telling[0].object.kind
    names = [finding.object.name for finding in telling]
    same = all(finding.reason == first.reason for finding in telling)
    told = names[0].startswith("/") and names[0] in first.reason
    if kind == "host" or (kind == "engine" and len(findings) == 1) or told:
        about, others = "", names[1:]
    elif same and len(names) > 1:
        return f"{kind}s {_listed(names)}: {first.reason}"
    else:
        about, others = f"{kind} {names[0]}: ", names[1:]
    also = "" if same or not others else f"; also {_listed(others)}"
    return f"{about}{first.reason}{also}"


def _listed(names: Sequence[str]) -> str:
    """Return some names, and how many more there are."""
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of a control on one host: the worst of its findings.

    ``evidence`` holds line numbers, from 0, in the host's recording. ``attestation`` is what a
    person said who was asked to look.
    """

    host: str
    control: str
    status: Status
    reason: str
    findings: tuple[Finding, ...] = ()
    evidence: tuple[int, ...] = ()
    waiver: dict[str, Any] | None = None
    attestation: dict[str, str] | None = None


@dataclass(slots=True)
class HostRecord:
    """What a run says of one host; ``status`` is audited, unreachable or partial."""

    name: str
    target: str
    status: str
    reason: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    recording: str | None = None
    rounds: int = 0
    commands: int = 0
    seconds: float = 0.0
    totals: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Run:
    """A set of verdicts for a set of hosts. Times are RFC 3339 in UTC.

    :param shard: which part of an inventory the run is of, and what the whole is; see run/shard.py.
    """

    id: str
    started: str
    finished: str | None = None
    controls_digest: str = ""
    policy_digest: str = ""
    previous: str | None = None
    hosts: list[HostRecord] = field(default_factory=list)
    shard: dict[str, Any] | None = None
