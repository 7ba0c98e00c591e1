"""Installed packages, by the host's own package manager: dpkg, rpm, apk or pacman."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.registry import provide
from hullcheck.facts.texts import lines_of
from hullcheck.facts.versions import COMPARE
from hullcheck.transport import Answer, session_of, want

__all__ = ["WANTS", "Package", "Packages", "made", "packages", "parse_apk"]

DPKG = want(
    r"dpkg-query -W -f '${db:Status-Status} ${Package} ${Version} ${Architecture}\n'",
    meaning=(0, 1, 2, 127), seconds=60,
)  # fmt: skip
RPM = want(
    r"rpm -qa --qf 'installed %{NAME} %{EPOCHNUM}:%{VERSION}-%{RELEASE} %{ARCH}\n'",
    meaning=(0, 1, 127), seconds=60,
)  # fmt: skip
APK = want("grep -E '^(P|V|A):|^$' /lib/apk/db/installed", meaning=(0, 1, 2))
PACMAN = want("pacman -Q", meaning=(0, 1, 127))
FEW = 30
"""The smallest Debian and Alpine that boot have more packages; a stray rpm database has less."""
ABSENT = "No such file or directory"
DATABASES = want(
    "stat -c %n -- /var/lib/dpkg/status /var/lib/rpm /usr/lib/sysimage/rpm /lib/apk/db/installed"
    " /var/lib/pacman/local",
    meaning=(0, 1),
)
"""Where there is one, a manager that lists nothing gives no answer."""
WANTS = {"dpkg": DPKG, "rpm": RPM, "apk": APK, "pacman": PACMAN}


@dataclass(frozen=True, slots=True)
class Package:
    """One installed package.

    :param version: as the manager writes it, with epoch and revision.
    """

    name: str
    version: str
    architecture: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True, slots=True)
class Packages:
    """The packages of a host.

    :param manager: dpkg, rpm, apk or pacman; of several, the one that has most packages.
    :param found: by name; of several versions of one package (rpm's kernels), the newest.
    :param every: all of them, every version and architecture.
    """

    manager: str
    found: Mapping[str, Package] = field(repr=False)
    every: tuple[Package, ...] = field(default=(), repr=False)

    def __contains__(self, name: object) -> bool:
        return name in self.found

    def get(self, name: str) -> Package | None:
        """Return an installed package by its exact name."""
        return self.found.get(name)

    def among(self, names: Iterable[str]) -> list[Package]:
        """Return those of some packages that are installed, in their order."""
        return [self.found[name] for name in names if name in self.found]


def parse_apk(lines: Iterable[str]) -> list[Package]:
    """Return the packages of Alpine's database of installed ones."""
    found, current = [], dict[str, str]()
    for line in [*lines, ""]:
        key, _, value = line.partition(":")
        if line:
            current[key] = value
        elif "P" in current:
            found.append(Package(current["P"], current.get("V", ""), current.get("A", "")))
            current = {}
    return found


@provide
def packages(host: Host) -> Packages:
    """The packages of the host.

    :raises NotApplicable: it has no package manager (a system that comes as one image).
    :raises Unknown: its package manager gives no answer.
    """
    session = session_of(host)
    session.foresee(DATABASES)
    answers = session.ask(*WANTS.values())
    found: dict[str, list[Package]] = {}
    for manager, answer in zip(WANTS, answers, strict=True):
        listed = _listed(manager, answer)
        if listed:
            found[manager] = listed
    manager = max(found, key=lambda name: len(found[name]), default="")
    # A few packages of one manager are no answer where the database of another is broken.
    if not manager or len(found[manager]) < FEW:
        complaints = [each.complaint or "no reason given" for each in answers
                      if each.exit not in (0, 127)]  # fmt: skip
        broken = next((each for each in complaints if not each.endswith(ABSENT)), "")
        if broken:
            raise Unknown(f"the installed packages cannot be listed: {broken}")
    if not manager:
        there = lines_of(session.ask(DATABASES)[0])
        if there:
            raise Unknown(f"{there[0]} is there, and no package manager lists what is in it")
        raise NotApplicable("this host has no package manager that lists what is installed")
    return made(manager, found[manager])


def made(manager: str, listed: Iterable[Package]) -> Packages:
    """Return packages by name, of several versions the newest."""
    every, found = tuple(listed), dict[str, Package]()
    for each in every:
        known = found.get(each.name)
        if known is None or COMPARE[manager](each.version, known.version) > 0:
            found[each.name] = each
    return Packages(manager, found, every)


def _listed(manager: str, answer: Answer) -> list[Package]:
    if answer.exit:
        return []
    lines = lines_of(answer)
    if manager == "apk":
        return parse_apk(lines)
    # A package of dpkg's that was removed and left its settings has no version.
    fields = [line.split(" ") for line in lines if line]
    if manager == "pacman":
        fields = [["installed", *each, ""] for each in fields]
    if any(len(each) != 4 for each in fields):
        raise Unknown(f"{manager} lists packages in a way that is not known")
    found = [Package(*each[1:]) for each in fields if each[0] == "installed"]
    if any(not each.name or not each.version for each in found):
        raise Unknown(f"{manager} lists packages without a name or a version")
    return found
