"""A host with build files, as the walk over them tells it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from testinfra.host import Host

from hullcheck.catalogue import all_controls
from hullcheck.facts.build_files.files import WORK, sweep_want
from hullcheck.inventory.policy import Policy
from hullcheck.judge import Site, judge
from hullcheck.transport import session_of
from hullcheck.transport.redact import Redactor
from hullcheck.verdict import Verdict
from tests.unit.fake import Reply, host_with

ROOT = "/srv/build"
POLICY = Policy(build_directories=(ROOT,), registries=("registry.example", "docker.io/library"))
COMMAND = sweep_want([ROOT, *WORK]).command
_KEY = re.compile(r"[ \t-]*[\"']?[A-Za-z0-9_.-]+[\"']?:([ \t]|$)")
_redactor = Redactor(b"salt")


def told(files: Mapping[str, str], listed: Iterable[str] = (), code: int = 0) -> str:
    """Return what the walk says of some files, by their paths below :data:`ROOT`."""
    lines = [f"= regular file 9 {ROOT}/{path}" for path in listed]
    for path, text in files.items():
        lines += [f"= regular file {len(text)} {ROOT}/{path}", f"= file {ROOT}/{path}"]
        lines += [("\t" if _KEY.match(line) else ":") + line for line in text.split("\n")]
    text = "\n".join([*lines, f"= end {code}"]) + "\n"
    return _redactor.clean(text.encode()).decode()


def host_of(reply: Reply) -> Host:
    """Return a host whose walk gives this answer, with no container and no agent."""
    host = host_with({COMMAND: reply})
    for name in ("container", "build_agents"):
        session_of(host).recall(("provider", name), list)
    return host


def judged(
    control: str, files: Mapping[str, str], listed: Iterable[str] = (), policy: Policy = POLICY
) -> Verdict:
    """Judge a control of the area build over some files."""
    host = host_of(told(files, listed))
    return judge(all_controls()[f"build.{control}"], host, Site("h", policy))


def status(control: str, path: str, text: str, listed: Iterable[str] = ()) -> str:
    """Return what a control says of one file."""
    return str(judged(control, {path: text}, listed).status)
