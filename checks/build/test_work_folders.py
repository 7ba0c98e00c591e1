"""What jobs leave behind for the next one."""

from __future__ import annotations

from datetime import datetime

from hullcheck.control import Manual, control, expect
from hullcheck.facts.runners.work_folders import WorkFolder
from hullcheck.inventory.policy import Policy

HOUR = 3600


@control(
    title="No checkout keeps the credentials it was made with",
    severity="high",
    fix="Remove the named checkouts; use persist-credentials: false (GitHub), persistCredentials: "
    "false (Azure) and credential helpers or SSH agents instead of URLs with passwords.",
)
def test_checkout_credentials(work_folder: WorkFolder) -> None:
    """git writes the header or the URL that it was given into .git/config, where every later job,
    and every tool of this one, reads it. A token of that kind has often more rights than the
    job: it can push. GitLab's own job tokens, which end with the job, do not count."""
    kept = work_folder.of_kind("header", "password", "token")
    shown = sorted({f"{each.path} ({each.kind})" for each in kept})
    expect(shown, equals=[], what="git's files with credentials")
    work_folder.need()


@control(
    title="Work folders are emptied of what earlier jobs left",
    severity="medium",
    level=2,
    fix="Delete work folders when a job ends (ephemeral agents; a hook; Jenkins' cleanWs; Azure's "
    "workspace clean: all), and name the hours they may last in maximum_checkout_age.",
)
def test_old_checkouts(work_folder: WorkFolder, policy: Policy, started: datetime) -> None:
    """A checkout that stays is read by whoever breaks into the next job, and carries over what an
    earlier one planted: a hook in .git, a changed tool, a poisoned cache. How long one may last,
    for speed, is the site's to say."""
    now = started.timestamp()
    hours = {each.path: int(now - each.time) // HOUR for each in work_folder.of_kind("checkout")}
    work_folder.need()
    limit = policy.maximum_checkout_age
    if hours and limit is None:
        oldest = max(hours, key=lambda path: hours[path])
        raise Manual(
            f"see whether {len(hours)} checkouts may lie in {work_folder}; the one used longest "
            f"ago is {oldest}, {hours[oldest]} hours",
            hours,
        )
    old = sorted(path for path, age in hours.items() if limit is not None and age > limit)
    expect(old, equals=[], what=f"checkouts that nobody used for {limit} hours")
