"""Whether a changed program, and what an intruder does, would be noticed."""

from __future__ import annotations

from testinfra.host import Host

from hullcheck.control import Manual, NotApplicable, Unknown, control, expect
from hullcheck.facts.engine_paths import EnginePaths
from hullcheck.facts.files import File, Files
from hullcheck.facts.integrity import Integrity
from hullcheck.facts.running import running_programs
from hullcheck.facts.sensors import watchers
from hullcheck.inventory.policy import Policy

DOCKER_CONFIG = "/etc/docker"


@control(
    title="Changed programs and settings of engines are noticed",
    severity="medium",
    level=1,
    fix="Install AIDE with rules such as /usr/bin, /usr/sbin and /etc that have a checksum, run "
    "aideinit, and enable dailyaidecheck.timer or a cron job; keep a copy of the database off "
    "the host. Name another tool that you have seen to cover these files in integrity_tools.",
)
def test_file_integrity(
    integrity: Integrity, engine_paths: EnginePaths, files: Files, policy: Policy
) -> None:
    """A runtime or a daemon that was replaced gives away every container, and looks like the
    old one. It is noticed only if something compares it with what it was: a scheduled tool
    whose rules cover it, or a kernel that refuses changed files. A tool that is installed and
    never run, has no database, or looks elsewhere, notices nothing."""
    programs = _there([*engine_paths.docker, *engine_paths.programs])
    settings = _there([
        *engine_paths.config, *engine_paths.containerd, files.get(DOCKER_CONFIG),
    ])  # fmt: skip
    if not programs and not settings:
        raise _nothing(engine_paths)
    if (
        integrity.sealed
        and programs
        and all(integrity.sealed.covers(each, False) for each in programs)
    ):
        expect("cannot be changed", equals="cannot be changed", what="programs of engines")
        _all_seen(engine_paths)
        return
    working = [each for each in integrity.tools if not each.trouble]
    missed = [
        str(file)
        for file, inside in [(each, False) for each in programs]
        + [(each, True) for each in settings]
        if not any(tool.covers(file, inside and file.kind == "directory") for tool in working)
    ]
    named = running_programs(integrity.host, policy.integrity_tools).found
    if working and not missed:
        expect(missed, equals=[], what="files of engines that nothing looks at")
        _all_seen(engine_paths)
    elif [each for each in named if each.of_host]:
        expect(named[0].name, one_of=policy.integrity_tools, what="what looks for changes")
    elif integrity.opaque:
        raise Manual(
            f"see that {', '.join(integrity.opaque)} looks at the files of engines", missed
        )
    elif integrity.doubt or any(each.doubt for each in working):
        raise Unknown(integrity.doubt or next(each.doubt for each in working if each.doubt))
    else:
        troubles = [each.trouble for each in integrity.tools if each.trouble]
        troubles += ["nothing that looks for changed files runs"] * (not integrity.tools)
        expect([*troubles, *missed], equals=[], what="files of engines that nothing looks at")


def _all_seen(paths: EnginePaths) -> None:
    if paths.hidden:
        raise Unknown(paths.hidden)


def _there(found: list[File]) -> list[File]:
    once = {each.resolved: each for each in found if each.exists}
    return list(once.values())


def _nothing(paths: EnginePaths) -> NotApplicable | Unknown:
    return Unknown(paths.hidden) if paths.hidden else NotApplicable("no engine is installed")


@control(
    title="A sensor watches the host while it runs",
    severity="medium",
    level=2,
    fix="Run a sensor as a service of the host, or as a container with the rights that it asks "
    "for: Falco, Tetragon, Tracee, osquery, Wazuh, auditbeat or a commercial one. Name one that "
    "is not known here in runtime_sensors in the policy.",
)
def test_runtime_sensor(host: Host, policy: Policy) -> None:
    """What is set right is tried out all the same, and a way out of a container that nobody has
    described yet shows in what processes then do: a shell in a web server, a namespace joined, a
    file of the host opened. A process counts that has the program's file and the rights to
    see the host; the name of a container tells nothing."""
    seen = watchers(host, policy.runtime_sensors)
    names = sorted({each.name for each in seen.found})
    if not names and seen.doubt:
        raise Unknown(seen.doubt)
    blind = [f"{each} has no rights to see the host" for each in seen.blind]
    if names:
        expect(names, contains=names[0], what="sensors that run")
    else:
        expect(blind, contains="a sensor", what="sensors that run")
