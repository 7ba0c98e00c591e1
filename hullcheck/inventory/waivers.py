"""Waivers: failures that a named person accepts, for a reason, until a day.

A waivers file is a YAML list::

    - control: runtime.no-new-privileges   # a shell pattern for ids: runtime.*
      host: web*                           # shell pattern; all hosts if left out
      object: legacy-*                     # of names or ids of objects; all if left out
      reason: The vendor's image needs su until release 4.
      owner: alice@example.com
      expires: 2027-01-31                  # the last day it holds, UTC
      ticket: OPS-1234                     # optional
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Protocol

from hullcheck.catalogue import nearest
from hullcheck.inventory.document import Node, load
from hullcheck.verdict import Finding, Object, Status, Verdict, sentence, worst

__all__ = ["Waiver", "apply", "check_control", "covers", "day", "load_waivers", "parse_day"]

_NEEDED = ("control", "reason", "owner", "expires")
_KEYS = ("control", "host", "object", "reason", "owner", "expires", "ticket")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_PATTERN = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Waiver:
    """An accepted failure; ``control``, ``host`` and ``object`` are shell patterns.

    :param expires: the last day, in UTC, on which it covers anything.
    """

    control: str
    reason: str
    owner: str
    expires: date
    host: str = "*"
    object: str = "*"
    ticket: str = ""

    def record(self) -> dict[str, Any]:
        """Return it as a verdict shows it."""
        return {
            "control": self.control,
            "reason": self.reason,
            "owner": self.owner,
            "expires": self.expires.isoformat(),
        }


class Scope(Protocol):
    """What is meant for some verdicts: shell patterns."""

    @property
    def control(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def object(self) -> str: ...


def covers(scope: Scope, verdict: Verdict, thing: Object | None = None) -> bool:
    """Say whether something is meant for a verdict, or for one object of it, whatever the day."""
    if not (fnmatchcase(verdict.control, scope.control) and fnmatchcase(verdict.host, scope.host)):
        return False
    words = (thing.name, thing.id or thing.name) if thing else ()
    return thing is None or any(_fits(word, scope.object) for word in words)


def _fits(word: str, pattern: str) -> bool:
    """Match a shell pattern; a name that holds brackets, such as ``[::]:2375``, fits itself."""
    return word == pattern or fnmatchcase(word, pattern)


def load_waivers(
    path: Path | str, controls: Collection[str] | None = None, latest: date | None = None
) -> list[Waiver]:
    """Read a waivers file.

    :param controls: the ids that exist; a waiver that names another is refused.
    :param latest: the day on which each must have expired, by the site's policy.
    :raises DocumentError: it cannot be read, or an entry is wrong.
    """
    return [_waiver(node, controls, latest) for node in load(path).items()]


def _waiver(node: Node, controls: Collection[str] | None, latest: date | None) -> Waiver:
    keys = node.keys(_KEYS)
    for key in _NEEDED:
        if key not in keys:
            raise node.error(f"a waiver needs {', '.join(_NEEDED)}; add {key}")
    texts = {key: each.text() for key, each in keys.items() if key != "expires"}
    check_control(keys["control"], controls)
    expires = day(keys["expires"])
    if latest is not None and expires > latest:
        raise keys["expires"].error(
            f"it expires on {expires}; the policy's maximum_waiver_days ends on {latest}"
        )
    return Waiver(**texts, expires=expires)


def check_control(node: Node, controls: Collection[str] | None) -> None:
    """Refuse the id of a control that does not exist; a pattern may fit none."""
    text = node.text()
    if controls is not None and text not in controls and not _PATTERN & set(text):
        raise node.error(f"there is no control {text!r}{nearest(text, controls)}")


def day(node: Node) -> date:
    """Return a day as ISO 8601 writes it. :raises DocumentError: it is none."""
    try:
        return parse_day(node.text())
    except ValueError:
        text = node.text()
        raise node.error(
            f"{node.name} is {text!r}; write a day that exists as YYYY-MM-DD"
        ) from None


def parse_day(text: str) -> date:
    """Return a day as ISO 8601 writes it. :raises ValueError: it is none."""
    if not _DAY.fullmatch(text):
        raise ValueError(f"{text!r} is no day as YYYY-MM-DD")
    return date.fromisoformat(text)


def apply(verdict: Verdict, waivers: Iterable[Waiver], today: date) -> Verdict:
    """Return a verdict in the light of waivers: what fails and is covered becomes waived.

    The verdict is waived only when nothing worse is left. An expired waiver covers nothing, and
    the verdict says so. No other status than ``fail`` is ever touched.

    :param today: the day of the run's start, in UTC.
    """
    if verdict.status is not Status.FAIL:
        return verdict
    meant = [each for each in waivers if fnmatchcase(verdict.control, each.control)]
    if not meant:
        return verdict
    live = sorted((each for each in meant if each.expires >= today), key=lambda each: each.expires)
    findings, used = [], []
    for finding in verdict.findings:
        waiver = next((each for each in live if _fails(finding, each, verdict)), None)
        used += [waiver] if waiver else []
        findings.append(_waived(finding, waiver) if waiver else finding)
    status = worst(finding.status for finding in findings)
    if status is Status.FAIL:
        expired = [each for each in meant if each.expires < today]
        reason = verdict.reason if not used else sentence(status, findings)
        reason += _lapsed(verdict, findings, expired)
        return replace(verdict, findings=tuple(findings), reason=reason)
    if status is not Status.WAIVED:
        reason = sentence(status, findings)
        return replace(verdict, status=status, findings=tuple(findings), reason=reason)
    first = min(used, key=lambda each: each.expires)
    reason = f"{verdict.reason}; waived until {first.expires} by {first.owner}: {first.reason}"
    return replace(
        verdict, status=status, findings=tuple(findings), reason=reason, waiver=first.record()
    )


def _fails(finding: Finding, waiver: Waiver, verdict: Verdict) -> bool:
    return finding.status is Status.FAIL and covers(waiver, verdict, finding.object)


def _waived(finding: Finding, waiver: Waiver) -> Finding:
    why = f"waived until {waiver.expires} by {waiver.owner}: {waiver.reason}"
    reason = f"{finding.reason}; {why}" if finding.reason else why
    return replace(finding, status=Status.WAIVED, reason=reason)


def _lapsed(verdict: Verdict, findings: Iterable[Finding], expired: Iterable[Waiver]) -> str:
    """Return what to add to a failing verdict's reason when a waiver for it has expired."""
    lapsed = [
        each for each in expired if any(_fails(finding, each, verdict) for finding in findings)
    ]
    if not lapsed:
        return ""
    last = max(lapsed, key=lambda each: each.expires)
    return f"; the waiver of {last.owner} expired on {last.expires}"
