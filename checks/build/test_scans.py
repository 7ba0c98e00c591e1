"""Whether what runs was scanned for known flaws, lately, and what came of it."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from hullcheck.control import Manual, Unknown, control, expect
from hullcheck.facts.images import Image
from hullcheck.facts.scans.about import Stated, trivys
from hullcheck.facts.scans.reports import Flaw, Report
from hullcheck.inventory.policy import Policy

from .evidence import SHOWN, SLACK, found_for, judged, newest, not_found


@control(
    title="Images that run have been scanned for known flaws lately",
    severity="high",
    fix="Scan each image where it runs or by its digest (trivy image --format json --output "
    "/srv/scans/app.json IMAGE), every night, as root; name the folder in scan_reports.",
)
def test_scanned(image: Image, policy: Policy, started: datetime) -> None:
    """An image that nobody has scanned has the flaws of all that was put into it, and nobody
    knows which. A report counts only for the very image that it names by id or digest, not for a
    namesake, and only if no ordinary user could have written it. New flaws in old software become
    known every day, so that a report ages. Signs of a scan that left things out are looked for;
    the severities that Trivy was told to report cannot be seen in what it writes."""
    found = found_for(image, policy)
    if not found.good:
        asked = policy.scan_reports is not None or policy.scanner is not None
        not_found(found, asked, "report of a scanner")
        return
    report = next(iter(newest(found, started)), found.good[0])
    made = report.what.created
    latest = made or datetime.fromtimestamp(report.file.written, started.tzinfo)
    if made and made > started + SLACK:
        expect(f"{made:%Y-%m-%d}", equals="in the past", what=f"date of {report}")
    age = max(0, (started - latest).days)
    expect(age, at_most=policy.maximum_scan_age, what=f"days since {report} was made")
    if report.what.partial:
        expect(report.what.partial, equals="nothing left out", what=f"what {report} shows")
    if made is None:
        raise Unknown(f"{report} does not tell when it was made")
    if report.what.looked is None:
        raise Manual("see that nothing in it was installed: the report shows no package at all",
                     {"report": str(report)})  # fmt: skip


@control(
    title="Scanners know of the latest flaws when they scan",
    severity="medium",
    fix="Let the scanner fetch its database before each scan (no --skip-db-update, no "
    "GRYPE_DB_AUTO_UPDATE=false); without a network, mirror the database every day.",
)
def test_scanner_database(image: Image, policy: Policy, started: datetime) -> None:
    """A scanner finds what is in its database, and no more: with one of last year, this year's
    flaws do not exist. Grype's reports tell when theirs was built. For Trivy's, the state of the
    database of the account that wrote the report counts, if it was fetched before; else the
    youngest entry that the report holds."""
    report = judged(image, policy, started)[0]
    made = report.what.created
    if made is None:
        raise Unknown(f"{report} does not tell when it was made")
    built = report.what.database or _of_cache(image, policy, report, made)
    limit = timedelta(days=policy.maximum_database_age)
    what = f"days that the database was old when {report} was made"
    if built is None:
        latest = report.what.latest
        if latest is None or made - latest > limit:
            raise Unknown(f"{report} does not tell how old its database was, nor does a cache that "
                          "is older than it; that of root can only be seen by root")  # fmt: skip
        expect((made - latest).days, at_most=policy.maximum_database_age, what=f"{what}, at most")
        return
    if built > made + SLACK:
        expect(f"{built:%Y-%m-%d}", equals=f"before {made:%Y-%m-%d}", what="date of its database")
    expect(max(0, (made - built).days), at_most=policy.maximum_database_age, what=what)


def _of_cache(
    image: Image, policy: Policy, report: Stated[Report], made: datetime
) -> datetime | None:
    if report.what.scanner != "trivy":
        return None
    states = [
        each.built
        for each in trivys(image.host, policy.scan_reports or ())
        if each.file.uid == report.file.uid and each.fetched <= made
    ]
    return max(states, default=None)


@control(
    title="Images that run have no grave flaws for which there is a fix",
    severity="high",
    fix="Build the image again with the fixed versions (docker build --pull --no-cache) and "
    "replace its containers; list in accepted_flaws what was looked at and does not matter.",
)
def test_fixable_flaws(image: Image, policy: Policy, started: datetime) -> None:
    """Once a fix is published, so is what it fixes: attackers read it too. Which severities
    count, and how long a fix may wait, the policy says; where it is not told since when one is
    known, it counts at once. What a scanner was told to ignore counts, where its report shows it,
    unless the policy accepts it. A distribution that gets no fixes any more has no flaw that can
    be fixed, which is worse."""
    found = judged(image, policy, started)
    flaws = [each for report in found for each in (*report.what.flaws, *report.what.hidden)]
    grave = sorted(set(_grave(flaws, policy, started)))
    for report in found:
        if report.what.ended:
            expect("ended", equals="going on", what=f"support of its distribution, by {report}")
    what = f"flaws that can be fixed ({len(grave)}), by {found[0]}"
    expect(grave[:SHOWN], equals=[], what=what)
    if found[0].what.partial or found[0].what.looked is None:
        raise Unknown(f"{found[0]} does not show that all packages were looked at")


def _grave(flaws: Iterable[Flaw], policy: Policy, started: datetime) -> Iterable[str]:
    severities = {each.lower() for each in policy.fixable_severities}
    for each in flaws:
        late = each.since is None or (started - each.since).days > policy.fix_grace
        counts = each.severity in severities and each.id not in policy.accepted_flaws
        if each.fix and late and counts:
            yield f"{each.id} ({each.severity}) in {each.package}, fixed in {each.fix}"[:160]
