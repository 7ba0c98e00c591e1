"""Who can reach a Docker daemon's API, and whether the daemon is the one its files describe."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from hullcheck.control import Manual, NotApplicable, Unknown, control, expect
from hullcheck.facts.docker import DockerEngine, Engines
from hullcheck.facts.docker.settings import OPTIONS
from hullcheck.inventory.policy import Policy

SWARM_PORTS = (2377, 7946)
"""A swarm node's own TCP listeners, which have their own mutual TLS or encryption."""

EXPOSED = "API is accessible on "
"""How the daemon's own warnings of an open TCP listener begin (moby, daemon/info.go)."""

DAYS = 365


def api_listeners(engine: DockerEngine) -> list[str]:
    """Return the TCP listeners of an engine, as the kernel has them, that may serve its API."""
    if not engine.tcp:
        return []
    swarm = (engine.info.get("Swarm") or {}).get("LocalNodeState", "inactive")
    others = {str(port) for port in SWARM_PORTS} if swarm not in ("", "inactive") else set()
    metrics = engine.command_line.last("metrics-addr")
    if metrics is None and not engine.stale:
        metrics = str(engine.configuration.values.get("metrics-addr", ""))
    others.add((metrics or "").rpartition(":")[2])
    return [each for each in engine.tcp if each.rpartition(":")[2] not in others]


def no_listener(engine: DockerEngine) -> NotApplicable:
    told = engine.command_line.every("host") or [f"unix://{path}" for path in engine.sockets[:1]]
    return NotApplicable(f"the API is not offered over TCP (only {', '.join(told)})")


@control(
    title="The API over TCP demands a client certificate",
    severity="critical",
    level=1,
    fix='Stop listening on tcp:// (use ssh://), or set "tlsverify": true with tlscacert, tlscert '
    "and tlskey in daemon.json and restart the engine.",
)
def test_api_tls(docker: DockerEngine) -> None:
    """Whoever can speak to the API is root on this host. TLS alone tells the client whom it
    speaks to; only tlsverify makes the engine ask who the client is."""
    warned = [str(each) for each in docker.info.get("Warnings") or [] if EXPOSED in str(each)]
    expect(
        [_exposure(each) for each in warned], equals=[], what="what the engine itself calls open"
    )
    listeners = api_listeners(docker)
    if not listeners and not warned:
        if any(host.startswith("tcp") or "://" not in host for host in docker.hosts):
            raise Unknown(
                f"the engine was told to listen on {', '.join(docker.hosts)} but does not"
            )
        raise no_listener(docker)
    verify = docker.setting("tlsverify")
    for listener in listeners:
        expect(verify.value, equals=True, what=f"tlsverify for {listener} ({verify.source})")


def _is_tcp(host: str) -> bool:
    """Whether ``-H`` means TCP; without a scheme it does."""
    return host.startswith("tcp://") or "://" not in host


def _exposure(warning: str) -> str:
    return warning.strip().partition(EXPOSED)[2].partition("\n")[0].rstrip(".")


@control(
    title="The API over TCP answers no stranger",
    severity="critical",
    level=1,
    fix="Close the port now; then see whether containers run that nobody knows of.",
)
def test_api_refuses_strangers(docker: DockerEngine) -> None:
    """Whatever the settings say: asked over its TCP listener, without TLS and then with TLS but
    without a certificate, the engine must not answer."""
    listeners = api_listeners(docker)
    if not listeners:
        raise no_listener(docker)
    for listener in listeners:
        answers = docker.answers_stranger(listener)
        said = "answered" if answers else "refused"
        expect(said, equals="refused", what=f"a stranger on {listener}")


@control(
    title="The engine runs as it is configured",
    severity="medium",
    level=1,
    fix="Restart the engine (systemctl daemon-reload first, if a unit was changed), so that what "
    "runs is what is written down; remove the setting from the place that does not count.",
)
def test_configuration_drift(docker: DockerEngine) -> None:
    """What runs and what the files say should be one thing. If they differ, the next restart
    changes how the engine behaves, and who read the file was wrong about today."""
    for name in OPTIONS:
        said = docker.sources(name)
        if len(said) > 1 and OPTIONS[name].kind in (bool, str):
            strongest, *weaker = said.items()
            for source, value in weaker:
                if not _same(name, value, strongest[1]):
                    expect(
                        value, equals=strongest[1], what=f"{name} ({source}, not {strongest[0]})"
                    )
    expect(list(docker.configuration.twice), equals=[], what="keys written twice in the file")
    service = docker.service
    if service is not None and docker.unit:
        loaded = "older than its files (daemon-reload)" if service.stale else "its files"
        expect(loaded, equals="its files", what=f"what systemd knows of {service.name}")
    if docker.configuration.exists and docker.stale:
        raise Unknown(docker.stale)


def _same(name: str, written: Any, running: Any) -> bool:
    """Whether a setting as written can be what the daemon calls it.

    A data-root may be a link, and remapping users adds a directory to it; a storage driver left
    empty is the daemon's own choice.
    """
    if name == "data-root" or (name == "storage-driver" and written == ""):
        return True
    if name == "seccomp-profile":
        return written == running or {written, running} <= {"", "default", "builtin"}
    return bool(written == running)


@control(
    title="The engine has nothing to warn of",
    severity="low",
    level=1,
    fix="docker info shows the warnings; see to each.",
)
def test_warnings(docker: DockerEngine) -> None:
    """The daemon knows of limits that the kernel cannot enforce here, of drivers about to be
    removed and of open listeners. What it warns of, a person should have seen."""
    warnings = docker.info.get("Warnings", [])
    if not isinstance(warnings, list | None):
        raise Unknown("the engine's warnings are not a list")
    lines = [" ".join(str(each).split()) for each in warnings or []]
    if lines:
        raise Manual(f"the engine warns: {lines[0].removeprefix('WARNING: ')[:160]}", lines)
    expect(lines, equals=[], what="warnings")


@control(
    title="The engine's version still gets repairs",
    severity="high",
    level=1,
    fix="Update the engine from a channel that still repairs it.",
)
def test_version(docker: DockerEngine, policy: Policy, started: datetime) -> None:
    """An engine, its containerd and its runc were all escaped from before. The number alone does
    not tell whether a distribution has repaired it, so a person looks, but what was built more
    than a year ago has missed a year of repairs."""
    version = str(docker.version.get("Version", ""))
    wanted = policy.minimum_engine_version
    if wanted is not None:
        if not re.fullmatch(r"\d+(\.\d+){0,2}", wanted):
            raise Unknown(
                f"minimum_engine_version in the policy is {wanted!r}, which is no version"
            )
        numbers = tuple(int(part) for part in wanted.split("."))
        found = (*docker.release, *_patch(version))[: len(numbers)]
        expect(list(found), at_least=list(numbers), what="the engine's version")
        return
    built = _built(str(docker.version.get("BuildTime", "")))
    age = (started - built).days
    if age > DAYS:
        expect(age, at_most=DAYS, what="the age in days of the engine's build")
        return
    parts = {
        str(each.get("Name")): each.get("Version")
        for each in docker.version.get("Components") or []
    }
    facts = {"version": version, "built": str(built.date()), **parts}
    raise Manual(f"see that {version}, built {built.date()}, is the newest of its channel", facts)


def _patch(version: str) -> tuple[int, ...]:
    number = re.match(r"\d+\.\d+\.(\d+)", version)
    return (int(number[1]) if number else 0,)


def _built(text: str) -> datetime:
    try:
        # Nine digits of a second are more than datetime reads.
        return datetime.fromisoformat(text.partition(".")[0].removesuffix("Z")[:19]).replace(
            tzinfo=UTC
        )
    except ValueError:
        raise Unknown(f"the engine says that it was built {text[:40]!r}") from None


@control(
    title="No Docker engine runs inside a container",
    severity="high",
    level=2,
    fix="Build with a rootless builder instead; or audit the inner engine as a host of its own.",
)
def test_no_nested_engine(engines: Engines) -> None:
    """An engine in a container needs nearly all of the host's rights, so its container is none.
    What it runs is seen by nobody who looks at this host's engine."""
    if engines.doubt and not engines.nested:
        raise Unknown(engines.doubt)
    names = [f"{each.process} {each.program}" for each in engines.nested]
    expect(names, equals=[], what="engines inside containers")
