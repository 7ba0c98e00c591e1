"""The oldest versions of engine programs without a hole that is known and bad, and which ones a
host has.

The table is of a date, and says nothing of what came after it. A distribution repairs old
versions under their old numbers: of its packages a number below the floor proves nothing, unless
the distribution is known to have repaired them, or not to have.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.distribution import OS_RELEASE, Distribution
from hullcheck.facts.engine_programs import EnginePrograms, merged
from hullcheck.facts.packages import WANTS, Packages
from hullcheck.facts.registry import get, provide_each
from hullcheck.facts.texts import lines_of
from hullcheck.facts.versions import COMPARE, numbers
from hullcheck.transport import session_of, want
from hullcheck.verdict import Object

__all__ = ["AS_OF", "FLOORS", "REPAIRS", "EngineProgram", "Floor", "Repair", "engine_program"]

AS_OF = date(2026, 11, 28)
"""When the tables were last looked through."""


@dataclass(frozen=True, slots=True)
class Floor:
    """The first repaired versions of a program, one for each branch that was repaired.

    :param branches: a version counts by the branch of its first two numbers. Older branches were
        never repaired; newer ones never had the hole.
    :param about: what the hole is, and where it is told.
    """

    branches: tuple[tuple[int, ...], ...]
    about: str

    def holds(self, version: tuple[int, ...]) -> bool:
        """Whether a version is repaired."""
        branch = next((each for each in self.branches if each[:2] == version[:2]), None)
        return version >= branch if branch else version[:2] > max(self.branches)[:2]

    def __str__(self) -> str:
        return " or ".join(".".join(map(str, each)) for each in self.branches)


FLOORS: dict[str, Floor] = {
    "runc": Floor(((1, 2, 8), (1, 3, 3), (1, 4, 0)),
                  "escapes through masked paths, /dev/console and redirected writes to /proc: "
                  "CVE-2025-31133, CVE-2025-52565, CVE-2025-52881 (2025-11-05)"),
    "crun": Floor(((1, 20),),
                  "files of the host written through krun's handler: CVE-2025-24965 "
                  "(GHSA-f42g-r5jj-qh4j, 2025-02)"),
    "containerd": Floor(((1, 7, 32), (2, 1, 9), (2, 2, 5), (2, 3, 2)),
                        "CVE-2026-46680 (2026-05-21) and, which 1.7 never got, CVE-2026-50195 "
                        "(GHSA-cvxm-645q-p574, 2026-06-19)"),
    "dockerd": Floor(((29, 5, 1),),
                     "docker cp runs a container's programs as root of the host and writes where "
                     "it points: CVE-2026-41567, CVE-2026-41568, CVE-2026-42306 (2026-05-18)"),
    "buildkitd": Floor(((0, 28, 1),),
                       "a build's frontend writes files and runs code: CVE-2026-33747, "
                       "CVE-2026-33748 (2026-03-25)"),
    "podman": Floor(((5, 6, 1),),
                    "kube play writes files of the host: CVE-2025-9566 (GHSA-wp3j-xq48-xpjw, "
                    "2025-09-05)"),
    "crio": Floor(((1, 28, 7), (1, 29, 5), (1, 30, 1)),
                  "a container's link makes the host's files: CVE-2024-5154 (GHSA-j9hf-98c3-wrm8, "
                  "2024-06)"),
    "kubelet": Floor(((1, 29, 14), (1, 30, 10), (1, 31, 6), (1, 32, 2)),
                     "the checkpoint API fills the node's disk for anybody: CVE-2025-0426 "
                     "(2025-02-13)"),
}  # fmt: skip
"""By program, from the makers' advisories."""


@dataclass(frozen=True, slots=True)
class Repair:
    """The first package of a distribution in which what a floor is about is repaired.

    :param version: empty if there is none yet.
    """

    version: str
    source: str


REPAIRS: dict[tuple[str, str, str], Repair] = {
    ("debian", "12", "runc"): Repair(
        "", "1.1.5+ds1-1+deb12u1 (2024-02) is the newest of its archives, and its changelog ends "
        "with CVE-2024-21626"),
}  # fmt: skip
"""By distribution, version and package."""

MAKERS = re.compile(r"docker-ce.*|containerd\.io|kubelet")
"""Packages that the makers of a program build, with its own number. Microsoft's moby-engine and
Red Hat's cri-o are repaired under old ones."""

_DIRECTORIES = ("/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin")
VERSIONS = want(
    f"for d in {' '.join(_DIRECTORIES)}; do for p in {' '.join(FLOORS)}; do f=$d/$p;"
    " [ -x $f ] || continue; r=$(readlink -f $f) || continue; l=\"/ /usr ${d%/*} $d $r\"; q=$r;"
    ' while q=${q%/*}; [ -n "$q" ]; do l="$l $q"; done;'
    " n=$(find $l -maxdepth 0 \\( ! -user 0 -o -perm -020 -o -perm -002 \\)) && [ -z \"$n\" ]"
    ' || { echo "! $f"; continue; };'
    ' echo "@ $f $r"; [ $p = podman ] || XDG_RUNTIME_DIR= timeout 10 $f --version 2>&1 |'
    " head -n 4; done; done",
    meaning=(0, 1), seconds=60,
)  # fmt: skip
"""What programs say of themselves, each with where it really lies, in directories and files that
only root can write; ``!`` are others, which are not run. Podman is not either: run by a user it
makes a directory in /tmp before it looks at what it was asked."""

_SAYS = re.compile(r"(?:\S+ )*?(?:version:? )?v?([0-9]+(?:\.[0-9]+)+\S*?),?(?: .*)?")


@dataclass(frozen=True, slots=True)
class EngineProgram:
    """An engine's program on a host, whose holes are known.

    :param version: as it says itself; ``package`` is what it came with, if any, and ``packaged``
        that one's version.
    :param repair: what is known of its package in this distribution.
    """

    name: str
    path: str
    version: str
    package: str = ""
    packaged: str = ""
    manager: str = ""
    repair: Repair | None = None
    doubt: str = ""

    @property
    def object(self) -> Object:
        return Object("program", self.path)

    def __str__(self) -> str:
        return self.path

    @property
    def floor(self) -> Floor:
        return FLOORS[self.name]

    @property
    def own_number(self) -> bool:
        """Whether its number is its makers' own, and tells of what is repaired in it."""
        return not self.package or MAKERS.fullmatch(self.package) is not None

    @property
    def repaired(self) -> bool | None:
        """Whether it is repaired; None if its number does not tell. :raises Unknown: no number."""
        found = numbers(self.version)
        if self.doubt or not found:
            raise Unknown(self.doubt or f"{self.path} does not tell its version")
        early = re.match(r"v?[0-9.]+[-~]?(?:rc|beta|alpha)", self.version) is not None
        if self.floor.holds(found) and not (early and found in self.floor.branches):
            return True
        if self.own_number:
            return False
        if self.repair is None:
            return None
        if not self.repair.version:
            return False
        return COMPARE[self.manager](self.packaged, self.repair.version) >= 0


def parse_versions(lines: list[str]) -> Iterator[tuple[str, str, str]]:
    """Yield path, version and doubt of each program, from what :data:`VERSIONS` brought; of one
    that is found under several paths, the first."""
    found: dict[str, tuple[str, str]] = {}
    real: set[str] = set()
    path = ""
    for line in lines:
        mark, _, rest = line.partition(" ")
        if mark == "!" and rest.startswith("/"):
            found[rest] = ("", f"{rest} is not asked its version: others than root may write it")
        elif mark == "@" and rest.startswith("/"):
            path, _, target = rest.partition(" ")
            path = "" if target in real else path
            real.add(target)
            found.update({path: ("", "")} if path else {})
        elif path and not found[path][0]:
            said = _SAYS.fullmatch(line.strip())
            found[path] = (said[1] if said else "", "")
    for each, (version, doubt) in found.items():
        yield each, version, doubt


@provide_each
def engine_program(host: Host) -> list[EngineProgram]:
    """The programs of engines whose holes are known, wherever a service would find them.

    :raises NotApplicable: there is none.
    """
    session_of(host).foresee(VERSIONS, OS_RELEASE, *WANTS.values())
    programs: EnginePrograms = get(host, "engine_programs")
    owners, distribution = programs.owners, _distribution(host)
    try:
        installed: Packages | None = get(host, "packages")
    except NotApplicable:
        installed = None
    found = []
    told = list(parse_versions(lines_of(session_of(host).ask(VERSIONS)[0])))
    running, _ = programs.running
    known = {path for path, _, _ in told}
    for each in sorted({merged(each.path) for each in running} - known):
        told.append((each, "", f"{each} runs, and is not asked its version in that place"))
    for path, version, doubt in told:
        name = posixpath.basename(path)
        if name in FLOORS:
            found.append(_made(name, path, version, doubt, owners, installed, distribution))
    if not found:
        raise NotApplicable("this host has no engine's program")
    return found


def _distribution(host: Host) -> tuple[str, str]:
    known: Distribution = get(host, "distribution")
    return known.id, known.version


def _made(
    name: str,
    path: str,
    version: str,
    doubt: str,
    owners: Mapping[str, str],
    installed: Packages | None,
    distribution: tuple[str, str],
) -> EngineProgram:
    owner = owners.get(path, "").partition(":")[0]
    package = installed.get(owner) if installed and owner else None
    if package and not version and not doubt:
        version = re.sub("^[0-9]+:", "", package.version)
    return EngineProgram(
        name, path, version, owner, package.version if package else "",
        installed.manager if installed else "", REPAIRS.get((*distribution, owner)), doubt,
    )  # fmt: skip
