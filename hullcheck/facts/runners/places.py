"""Where build agents and controllers are installed, whether they run or not.

One bounded sweep over homes and the usual places for the files by which each is known: GitHub's
``.runner``, Azure's ``.agent``, ``buildkite-agent.cfg``, the keys of a Jenkins home; kubeconfigs as
well. Nothing is read. What was installed elsewhere is found when it runs.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.registry import Unseen, provide
from hullcheck.transport import Answer, session_of, want
from hullcheck.verdict import Object

__all__ = ["PLACES", "AgentPlaces", "Seen", "agent_places"]

SECONDS = 25
BYTES = 4_000_000

END = "\n//\n"
"""Ends a record: no path that find prints has two slashes in a row."""

ROOTS = (
    "/home", "/root", "/opt", "/srv", "/usr/local", "/var/lib", "/etc/buildkite-agent",
    "/actions-runner", "/runner", "/runners", "/azp", "/agent", "/jenkins", "/var/jenkins_home",
    "/var/lib/jenkins", "/var/lib/buildkite-agent", "/etc/kubernetes", "/etc/rancher",
)  # fmt: skip
"""Some lie below others: they may be links, which are followed here only."""

MARKS = (".runner", ".agent", "buildkite-agent.cfg", "secret.key.not-so-secret", "identity.key.enc")
KUBECONFIGS = (
    "*/.kube/config", "/etc/kubernetes/admin.conf", "/etc/kubernetes/super-admin.conf",
    "/etc/rancher/k3s/k3s.yaml", "/etc/rancher/rke2/rke2.yaml", "/var/lib/k0s/pki/admin.conf",
)  # fmt: skip

_HOMES = (
    "{ getent passwd || cat /etc/passwd; } 2>/dev/null | cut -d: -f6 | sort -u |"
    " while read -r h; do case $h in"
    ' /home/*|/opt/*|/srv/*|/var/lib/*|/root) [ ! -h "$h" ] || echo "$h";;'
    " /|/bin*|/sbin*|/usr*|/lib*|/dev*|/proc*|/sys*|/etc*|/run*|/var|/var/run*|/var/spool*"
    "|/var/cache*|/var/mail*|/var/backups*|/nonexistent*) ;;"
    ' /*) echo "$h";; esac; done'
)
_SKIPPED = " -o ".join((
    *(f"-path /var/lib/{name}" for name in ("docker", "containerd", "containers", "snapd")),
    *(f"-name {name}" for name in ("_work", "overlay2", "overlay", "node_modules", ".git")),
))  # fmt: skip
_MEANT = " -o ".join((
    *(f"-name {name}" for name in MARKS), *(f'-path "{path}"' for path in KUBECONFIGS),
))  # fmt: skip

PLACES = want(
    f"{{ printf '%s\\n' {' '.join(ROOTS)}; {_HOMES}; }} | tr '\\n' '\\0' | xargs -0 sh -c '"
    f'timeout {SECONDS} find -H "$@" -maxdepth 4 -type d \\( {_SKIPPED} \\) -prune'
    f" -o \\( -type f -o -type l \\) \\( {_MEANT} \\)"
    ' -exec stat -c "%f %u %Y %n\n//" -- {} +; printf "end %s\n//\n" $?\' sh'
    f" | head -c {BYTES}",
    seconds=SECONDS + 10,
)

_RECORD = re.compile(r"([0-9a-f]+) (\d+) (\d+) (/.*)", re.DOTALL)
_COMPLAINT = re.compile(r"^\w+: (?:[^/]*?['\"`])?(/.*?)['\"]?: ([^:]+)$")
_ABSENT = ("No such file or directory", "Not a directory")


@dataclass(frozen=True, slots=True)
class Seen:
    """A file by which something is known: its path and its owner."""

    path: str
    uid: int

    @property
    def name(self) -> str:
        return posixpath.basename(self.path)

    @property
    def folder(self) -> str:
        return posixpath.dirname(self.path)


@dataclass(frozen=True, slots=True)
class AgentPlaces:
    """:param hidden: what could not be looked into, and why."""

    found: tuple[Seen, ...]
    hidden: tuple[tuple[str, str], ...]

    def named(self, *names: str) -> list[Seen]:
        return [each for each in self.found if each.name in names]

    @property
    def kubeconfigs(self) -> list[Seen]:
        return [each for each in self.found if each.name not in MARKS]

    def need(self, known: Iterable[str] = ()) -> None:
        """:raises Unknown: a place could not be looked into, save those below known folders."""
        within = tuple(f"{each}/" for each in known)
        for place, why in self.hidden:
            if not place.startswith(within):
                raise Unknown(f"{place} cannot be looked into: {why}; it may need root")

    def unseen(self, kind: str, known: Iterable[str] = ()) -> list[Unseen]:
        """Return what stands for those that may lie where nothing could be seen."""
        try:
            self.need(known)
        except Unknown as reason:
            return [Unseen(Object(kind, "elsewhere"), str(reason))]
        return []


@provide
def agent_places(host: Host) -> AgentPlaces:
    """Where build agents and controllers may be installed.

    :raises Unknown: the sweep did not come to its end.
    """
    answer = session_of(host).ask(PLACES)[0]
    *records, rest = answer.text.split(END)
    code = re.fullmatch(r"end (\d+)", records.pop()) if records else None
    if code is None or rest:
        raise Unknown("the places of build agents were not looked through to the end")
    if code[1] == "124":
        raise Unknown(f"homes and /opt could not be looked through within {SECONDS} s")
    if code[1] not in ("0", "1"):
        raise Unknown(f"find ended with {code[1]}")
    found: dict[str, Seen] = {}
    for each in records:
        row = _RECORD.fullmatch(each)
        if row is None:
            raise Unknown(f"what find told of a file is damaged: {each[:80]!r}")
        found[row[4]] = Seen(row[4], int(row[2]))
    return AgentPlaces(tuple(found[path] for path in sorted(found)), tuple(_hidden(answer)))


def _hidden(answer: Answer) -> list[tuple[str, str]]:
    found = []
    for line in answer.evidence.stderr.decode("utf-8", "surrogateescape").splitlines():
        if line.strip() and not line.endswith(_ABSENT):
            place = _COMPLAINT.match(line)
            found.append((place[1], place[2]) if place else ("/", line.strip()[:200]))
    return found
