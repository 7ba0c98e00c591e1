"""Whether the programs that make containers are those that their packages brought."""

from __future__ import annotations

from datetime import datetime

from hullcheck.control import Manual, NotApplicable, Unknown, control, expect
from hullcheck.facts.engine_programs import EnginePrograms
from hullcheck.facts.floors import AS_OF, EngineProgram

STALE = 180
"""Days after which the table of repaired versions excuses nothing."""


@control(
    title="The engine's programs are as their packages brought them",
    severity="high",
    fix="Install the package again (apt-get install --reinstall PACKAGE, dnf reinstall PACKAGE) "
    "after you have found out who changed the file.",
)
def test_engine_programs_intact(engine_programs: EnginePrograms) -> None:
    """Whoever exchanges dockerd, containerd or runc is root in and below every container, and
    nothing looks different. The package manager's checksums find what was changed by accident, by
    hand or by a clumsy intruder; they lie on the same host, so a careful one can change them too:
    a file integrity monitor with its own copy finds those. A program that no package owns has
    nothing to be compared with."""
    programs = engine_programs
    changed, doubts = programs.changed
    running, unseen = programs.running
    if not programs.owners and not programs.installed and not running and not unseen:
        raise NotApplicable("this host has no engine's program")
    expect(sorted(f"{path} ({how})" for path, how in changed.items()), equals=[],
           what="changed files of engine packages")  # fmt: skip
    unowned = programs.unowned
    if unowned:
        raise Unknown(f"no package owns {', '.join(unowned)}, so nothing tells what it should be")
    if doubts:
        raise Unknown(doubts[0])
    if unseen:
        raise Unknown(unseen[0])


@control(
    title="The engine's programs have the repairs of known escapes",
    severity="critical",
    fix="Update the program from a channel that repairs it. Where the distribution has not, "
    "install the makers' packages (docker-ce, containerd.io) or a newer release of the system.",
)
def test_engine_program_versions(engine_program: EngineProgram, started: datetime) -> None:
    """runc, containerd and the engines were escaped from more than once, with instructions for
    everybody. Their makers' advisories name the first repaired version of each branch; this
    table of them has a date, and after half a year it no longer excuses anything. A distribution
    repairs under an old number, so of its packages a person has to look where it is not known."""
    program, floor = engine_program, engine_program.floor
    repaired = program.repaired
    told = f"{program.package} {program.packaged}" if program.packaged else program.version
    if repaired is None:
        raise Manual(
            f"whether the distribution has repaired {told}, which is older than {floor}:"
            f" {floor.about}",
            {"version": program.version, "package": told, "floor": str(floor)},
        )
    if not repaired:
        wanted = program.repair.version if program.repair else str(floor)
        expect(told, equals=wanted or "a repaired one, which this distribution does not have",
               what=f"the version of {program.path} ({floor.about})")  # fmt: skip
        return
    age = (started.date() - AS_OF).days
    if age > STALE:
        raise Unknown(f"the table of repaired versions is {age} days old: update Hullcheck")
    expect("repaired", equals="repaired", what=f"{told} ({floor.about})")
