"""What controls of scans, bills of materials and provenance have in common."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from hullcheck.control import Manual, NotApplicable, Unknown, expect
from hullcheck.facts.images import Image
from hullcheck.facts.scans.about import Found, Stated, reports
from hullcheck.facts.scans.reports import Report
from hullcheck.inventory.policy import Policy

__all__ = ["SHOWN", "SLACK", "found_for", "judged", "newest", "not_found", "writers"]

SLACK = timedelta(days=1)
"""By which the clocks of hosts may differ."""

SHOWN = 50
"""Of what may be thousands, a finding holds so many."""


def writers(policy: Policy) -> tuple[str, ...]:
    """Return whose word counts beside root's."""
    return (*policy.report_writers, *(policy.trusted_users or ()))


def found_for(image: Image, policy: Policy) -> Found[Report]:
    """Return the reports about an image, those that the site wants."""
    found: Found[Report] = reports(image, policy.scan_reports or (), writers(policy))
    other = [each for each in found.good if policy.scanner not in (None, each.what.scanner)]
    refused = [f"{each} is of {each.what.scanner}, not of {policy.scanner}" for each in other]
    good = tuple(each for each in found.good if each not in other)
    return Found(good, (*found.refused, *refused), found.unread, found.broken)


def newest(found: Found[Report], started: datetime) -> list[Stated[Report]]:
    """Return the newest dated report of each scanner, the newest of all first.

    Those that left something out, and those of the future, only where there is no other.
    """
    dated = [each for each in found.good if each.what.created]
    for good in (_whole, lambda each: not _ahead(each, started)):
        dated = [each for each in dated if good(each)] or dated
    dated.sort(key=lambda each: (str(each.what.created), each.file.path))
    return list({each.what.scanner: each for each in dated}.values())[::-1]


def _whole(stated: Stated[Report]) -> bool:
    return not stated.what.partial and stated.what.looked is not None


def _ahead(stated: Stated[Report], started: datetime) -> bool:
    return stated.what.created is not None and stated.what.created > started + SLACK


def judged(image: Image, policy: Policy, started: datetime) -> list[Stated[Report]]:
    """Return the newest reports about an image.

    :raises NotApplicable: there is none, which build.scanned judges.
    :raises Unknown: there may be one that could not be looked at.
    """
    found = found_for(image, policy)
    dated = newest(found, started)
    if not dated and found.unread:
        raise Unknown(f"no report about it was found, but {found.unread[0]}")
    if not dated:
        raise NotApplicable("there is no dated report about it; build.scanned judges that")
    return dated


def not_found(found: Found[Any], asked: bool, what: str) -> None:
    """Say that nothing that counts is there.

    :raises Unknown: something could not be looked at.
    :raises Manual: the site has not said that it must be.
    """
    if found.unread:
        raise Unknown(f"no {what} about it was found, but {found.unread[0]}")
    if found.refused:
        expect(list(found.refused[:SHOWN]), equals=[], what=f"what looks like its {what}")
    elif asked:
        beside = f", beside {found.broken[0]}, which is no JSON," if found.broken else ""
        expect("none", equals="one about this very image", what=f"{what}{beside}")
    else:
        raise Manual(f"look for a {what} about it, and name its folder in scan_reports",
                     {"found on this host": "none"})  # fmt: skip
