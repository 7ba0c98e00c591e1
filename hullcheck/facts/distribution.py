"""Which operating system a host runs, and of what family: paths and tools follow from it."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.registry import provide
from hullcheck.transport import session_of, want

__all__ = ["FAMILIES", "OS_RELEASE", "Distribution", "distribution", "parse_os_release"]

OS_RELEASE = want("cat /etc/os-release")
FALLBACK = want("cat /usr/lib/os-release", meaning=(0, 1))

FAMILIES = {
    "debian": "debian", "ubuntu": "debian", "raspbian": "debian",
    "rhel": "rhel", "fedora": "rhel", "centos": "rhel", "rocky": "rhel", "almalinux": "rhel",
    "ol": "rhel", "amzn": "rhel", "azurelinux": "rhel", "mariner": "rhel",
    "suse": "suse", "sles": "suse", "opensuse": "suse", "sl-micro": "suse",
    "alpine": "alpine", "arch": "arch", "gentoo": "gentoo",
    "flatcar": "image", "coreos": "image", "bottlerocket": "image", "talos": "image",
    "cos": "image",
}  # fmt: skip
"""By ID or ID_LIKE of os-release(5). ``image``: the system comes as a whole, read-only, without
a package manager."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """What os-release(5) says of a host.

    :param id: "debian", "rhel", "flatcar" …; ``like``: the ids it is close to, nearest first.
    :param version: VERSION_ID, "12"; empty for a rolling one.
    :param values: every field.
    """

    id: str
    like: tuple[str, ...]
    version: str
    values: dict[str, str] = field(repr=False)

    @property
    def family(self) -> str:
        """debian, rhel, suse, alpine, arch, gentoo or image; empty for any other."""
        found = (FAMILIES.get(each.split("-")[0], FAMILIES.get(each)) for each in self._ids)
        return next((each for each in found if each), "")

    @property
    def _ids(self) -> tuple[str, ...]:
        return (self.id, *self.like)

    def __str__(self) -> str:
        return self.values.get("PRETTY_NAME") or f"{self.id} {self.version}".strip()


def parse_os_release(text: str) -> dict[str, str]:
    """Return the fields of an os-release(5); values are quoted as a shell's are."""
    found = {}
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and re.fullmatch(r"[A-Z0-9_]+", name):
            try:
                found[name] = " ".join(shlex.split(value))
            except ValueError:
                found[name] = value
    return found


@provide
def distribution(host: Host) -> Distribution:
    """The operating system of the host. :raises Unknown: it does not tell."""
    answers = session_of(host).ask(OS_RELEASE, FALLBACK)
    text = next((each.text for each in answers if not each.trouble and not each.exit), None)
    if text is None:
        raise Unknown("the host has no os-release that can be read")
    values = parse_os_release(text)
    like = tuple(values.get("ID_LIKE", "").split())
    if not values.get("ID"):
        raise Unknown("os-release does not name the system")
    return Distribution(values["ID"], like, values.get("VERSION_ID", ""), values)
