"""Attestations: what a person found who looked where no machine can.

An attestations file is a YAML list. It answers controls that are ``manual``, and no others::

    - control: engine.warnings        # a shell pattern for ids
      host: web*                      # shell pattern; all hosts if left out
      object: overlay-*               # of names or ids of objects; all if left out
      answer: pass                    # pass, fail or not-applicable
      reason: The warning is about swap, which this host has not.
      by: alice@example.com
      when: 2026-11-20                # the day it was looked at, UTC
      expires: 2027-05-20             # the last day it holds, UTC
      evidence: evidence/warnings.txt # optional: a file beside this one, kept in the run by digest
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path

from hullcheck.inventory.document import Node, load
from hullcheck.inventory.waivers import check_control, covers, day
from hullcheck.verdict import Finding, Status, Verdict, sentence, worst

__all__ = ["Attestation", "answer", "load_attestations"]

_NEEDED = ("control", "answer", "reason", "by", "when", "expires")
_KEYS = (*_NEEDED, "host", "object", "evidence")
_ANSWERS = (Status.PASS, Status.FAIL, Status.NOT_APPLICABLE)


@dataclass(frozen=True, slots=True)
class Attestation:
    """What a person says of a manual control; ``control``, ``host``, ``object`` are patterns.

    :param answer: pass, fail or not-applicable.
    :param when: the day it was looked at; ``expires``: the last day it holds, both in UTC.
    :param evidence: the file's name as it was given, and ``sha256`` what it held; or empty.
    """

    control: str
    answer: str
    reason: str
    by: str
    when: date
    expires: date
    host: str = "*"
    object: str = "*"
    evidence: str = ""
    sha256: str = ""

    def record(self) -> dict[str, str]:
        """Return it as a verdict shows it."""
        return {key: str(value) for key, value in asdict(self).items() if str(value)}

    def live(self, today: date) -> bool:
        """Whether it holds on a day."""
        return self.when <= today <= self.expires

    @property
    def told(self) -> str:
        """It in one sentence."""
        return f"attested on {self.when} by {self.by}, until {self.expires}: {self.reason}"


def load_attestations(
    path: Path | str, controls: Collection[str] | None = None
) -> list[Attestation]:
    """Read an attestations file, and the files of evidence that it names.

    :param controls: the ids that exist; an entry that names another is refused.
    :raises DocumentError: it cannot be read, or an entry is wrong.
    """
    return [_attestation(node, controls) for node in load(path).items()]


def _attestation(node: Node, controls: Collection[str] | None) -> Attestation:
    keys = node.keys(_KEYS)
    for key in _NEEDED:
        if key not in keys:
            raise node.error(f"an attestation needs {', '.join(_NEEDED)}; add {key}")
    check_control(keys["control"], controls)
    plain = ("control", "reason", "by", "host", "object", "evidence")
    texts = {key: keys[key].text() for key in plain if key in keys}
    made = Attestation(
        **texts,
        answer=keys["answer"].one_of([str(each) for each in _ANSWERS]),
        when=day(keys["when"]),
        expires=day(keys["expires"]),
        sha256=_digest(keys["evidence"]) if "evidence" in keys else "",
    )
    if made.expires < made.when:
        raise keys["expires"].error(f"it expires on {made.expires}, before {made.when}")
    return made


def _digest(node: Node) -> str:
    path = Path(node.file).parent / node.text()
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise node.error(f"the evidence {path} cannot be read: {error.strerror}") from error


def answer(verdict: Verdict, attestations: Iterable[Attestation], today: date) -> Verdict:
    """Return a verdict in the light of attestations: what is manual and answered is decided.

    :param today: the day of the run's start, in UTC.
    """
    if verdict.status is not Status.MANUAL:
        return verdict
    meant = [each for each in attestations if covers(each, verdict)]
    if not meant:
        return verdict
    live = [each for each in meant if each.live(today)]
    used: list[Attestation] = []
    findings = [_answered(finding, live, verdict, used) for finding in verdict.findings]
    if not used:
        lapsed = max((each.expires for each in meant if each.expires < today), default=None)
        more = f"; the last attestation expired on {lapsed}" if lapsed else ""
        return replace(verdict, reason=verdict.reason + more)
    status = worst(finding.status for finding in findings)
    told = used[0].told if status is not Status.MANUAL else sentence(status, findings)
    record = min(used, key=lambda each: each.expires).record()
    return replace(
        verdict, status=status, findings=tuple(findings), reason=told, attestation=record
    )


def _answered(
    finding: Finding, live: Iterable[Attestation], verdict: Verdict, used: list[Attestation]
) -> Finding:
    if finding.status is not Status.MANUAL:
        return finding
    found = next((each for each in live if covers(each, verdict, finding.object)), None)
    if found is None:
        return finding
    used.append(found)
    reason = f"{finding.reason}; {found.told}" if finding.reason else found.told
    return replace(finding, status=Status(found.answer), reason=reason)
