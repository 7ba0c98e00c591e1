"""What installs updates on a host by itself, and whether it would really do so."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.distribution import Distribution
from hullcheck.facts.packages import Packages
from hullcheck.facts.registry import get, provide
from hullcheck.facts.services import Services
from hullcheck.facts.texts import known, lines_of, sweep, texts
from hullcheck.facts.updates import APT, Archive, Updates
from hullcheck.transport import session_of, want

__all__ = ["AptSettings", "Automatic", "automatic_updates", "matches", "parse_apt_config"]

APT_CONFIG = want("apt-config dump", meaning=(0, 127))
CRON = want("stat -L -c %n -- /etc/cron.daily/apt-compat", meaning=(0, 1))
DNF = ("/usr/share/dnf5/dnf5-plugins/automatic.conf", "/etc/dnf/dnf5-plugins/automatic.conf",
       "/etc/dnf/automatic.conf")  # fmt: skip
YUM_CRON, OSTREE = "/etc/yum/yum-cron.conf", "/etc/rpm-ostreed.conf"
ENGINE = ("/usr/share/flatcar/update.conf", "/etc/flatcar/update.conf")
FILES = sweep((*DNF, YUM_CRON, OSTREE, *ENGINE))

BLACKLIST = "unattended-upgrade::package-blacklist::"

_SETTING = re.compile(r'([A-Za-z0-9_./:+-]+) "(.*)";')
_KEYS = {"o": "origin", "origin": "origin", "l": "label", "label": "label", "a": "suite",
         "suite": "suite", "archive": "suite", "n": "codename", "codename": "codename",
         "site": "site"}  # fmt: skip
_PARTS = ("c", "component")
"""Keys that tell of a part of an archive: one of security updates has them all."""

AptSettings = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Automatic:
    """What installs updates by itself.

    :param tool: its name; empty if there is none.
    :param faults: why it will not, though it is set up.
    :param note: of none: what was looked for.
    """

    tool: str
    faults: tuple[str, ...] = ()
    note: str = ""


def parse_apt_config(lines: Iterable[str]) -> AptSettings:
    """Return the values of ``apt-config dump``, by name; a list's have ``::`` after its name.

    Names are the same in any case of letters. :raises Unknown: a line makes no sense.
    """
    found: dict[str, list[str]] = {}
    for line in lines:
        row = _SETTING.fullmatch(line)
        if row:
            found.setdefault(row[1].lower(), []).append(row[2])
        elif line and not line.endswith('";'):
            raise Unknown(f"apt-config: cannot understand {line[:80]!r}")
    return found


def matches(pattern: str, archive: Archive, distribution: Distribution) -> bool:
    """Return whether a pattern of unattended-upgrades allows what comes from an archive."""
    values = {"${distro_id}": archive.origin,
              "${distro_codename}": distribution.values.get("VERSION_CODENAME", "")}  # fmt: skip
    for variable, value in values.items():
        pattern = pattern.replace(variable, value)
    for part in re.split(r"(?<!\\),", pattern):
        key, _, value = part.replace("\\,", ",").strip().partition("=")
        name = _KEYS.get(key.strip())
        if name is None and key.strip() not in _PARTS:
            return False
        if name and not fnmatchcase(getattr(archive, name), value.strip()):
            return False
    return True


def _off(value: str) -> bool:
    """Whether apt.systemd.daily takes an interval for "never"."""
    return value.strip() in ("", "0", "0d")


@provide
def automatic_updates(host: Host) -> Automatic:
    """What installs updates by itself. :raises Unknown: that cannot be seen."""
    session_of(host).foresee(APT_CONFIG, CRON, FILES, APT)
    distribution: Distribution = get(host, "distribution")
    services: Services = get(host, "services")
    try:
        installed: Packages | None = get(host, "packages")
    except NotApplicable:
        installed = None
    config, _, files = session_of(host).ask(APT_CONFIG, CRON, FILES)
    if installed is not None and installed.manager == "dpkg":
        settings = parse_apt_config(lines_of(config))
        return _apt(host, settings, installed, services, distribution)
    found = texts(files)
    for look in (_image, _ostree, _dnf, _suse):
        made = look(services, found)
        if made is not None:
            return made
    return Automatic("", note="none of the known services that install updates is started")


def _apt(
    host: Host,
    settings: AptSettings,
    installed: Packages,
    services: Services,
    distribution: Distribution,
) -> Automatic:
    def last(name: str) -> str:
        return settings.get(f"apt::periodic::{name}", ("",))[-1]

    if _off(last("unattended-upgrade")) or last("enable").strip() == "0":
        there = "unattended-upgrades" in installed
        state = "not switched on" if there else "not installed"
        return Automatic("", note=f"unattended-upgrades is {state}")
    faults = []
    if "unattended-upgrades" not in installed:
        faults.append("apt is told to run unattended-upgrades, which is not installed")
    if _off(last("update-package-lists")):
        faults.append("apt's lists are not renewed (APT::Periodic::Update-Package-Lists)")
    faults += _timers(host, services)
    patterns = list(settings.get("unattended-upgrade::origins-pattern::", ()))
    for each in settings.get("unattended-upgrade::allowed-origins::", ()):
        origin, _, suite = each.partition(":")
        patterns.append(f"origin={origin},suite={suite}")
    repairs: Updates = get(host, "updates")
    archives = [each for each in repairs.archives if each.security]
    if not archives:
        raise Unknown(f"cannot tell what unattended-upgrades would install: {repairs.doubt}")
    allowed = any(matches(each, archive, distribution) for each in patterns for archive in archives)
    if not allowed:
        faults.append("no origin that unattended-upgrades may install from has security updates")
    blocked = {each.strip("^$") for each in settings.get(BLACKLIST, ())}
    if blocked & {".", ".*", ".+"}:
        faults.append("its Package-Blacklist holds every package back")
    return Automatic("unattended-upgrades", tuple(faults))


def _timers(host: Host, services: Services) -> Iterator[str]:
    if services.manager != "systemd":
        if session_of(host).ask(CRON)[0].exit:
            yield "neither a timer nor /etc/cron.daily/apt-compat runs it"
        return
    for name in ("apt-daily.timer", "apt-daily-upgrade.timer"):
        yield from _stopped(services, name)


def _stopped(services: Services, name: str) -> Iterator[str]:
    timer = services.get(name)
    if timer is None:
        yield f"{name} does not exist"
    elif not timer.active:
        yield f"{name} does not run"
    elif timer.state in ("disabled", "masked"):
        yield f"{name} is {timer.state}, so it is gone after the next start"


def _image(services: Services, files: Mapping[str, str | Unknown]) -> Automatic | None:
    """Flatcar's update_engine, and zincati of Fedora CoreOS."""
    if _runs(services, "zincati"):
        return Automatic("zincati")
    if not services.manager or services.get("update-engine") is None:
        return None
    server = ""
    for path in ENGINE:
        server = _values(known(files.get(path)) or "").get("server", server)
    if server == "disabled":
        return Automatic("update-engine", ("its server is disabled in update.conf",))
    return Automatic("update-engine", tuple(_stopped(services, "update-engine")))


def _ostree(services: Services, files: Mapping[str, str | Unknown]) -> Automatic | None:
    if not _runs(services, "rpm-ostreed-automatic.timer"):
        return None
    policy = _values(known(files.get(OSTREE)) or "").get("automaticupdatepolicy", "none")
    if policy not in ("stage", "apply"):
        return Automatic("", note=f"rpm-ostree's AutomaticUpdatePolicy is {policy}")
    return Automatic("rpm-ostree", tuple(_stopped(services, "rpm-ostreed-automatic.timer")))


def _dnf(services: Services, files: Mapping[str, str | Unknown]) -> Automatic | None:
    if _runs(services, "dnf-automatic-install.timer"):
        return Automatic("dnf-automatic", tuple(_stopped(services, "dnf-automatic-install.timer")))
    for name, paths in (("dnf-automatic.timer", DNF[-1:]), ("dnf5-automatic.timer", DNF),
                        ("yum-cron", (YUM_CRON,))):  # fmt: skip
        if not _runs(services, name):
            continue
        apply = ""
        for path in paths:
            apply = _values(known(files.get(path)) or "").get("apply_updates", apply)
        if apply.lower() not in ("yes", "true", "1", "on"):
            return Automatic("", note=f"{name} runs, and apply_updates is off")
        return Automatic(name.removesuffix(".timer"), tuple(_stopped(services, name)))
    return None


def _suse(services: Services, files: Mapping[str, str | Unknown]) -> Automatic | None:
    for name in ("transactional-update.timer", "os-update.timer"):
        if _runs(services, name):
            return Automatic(name.removesuffix(".timer"), tuple(_stopped(services, name)))
    return None


def _runs(services: Services, name: str) -> bool:
    found = services.get(name) if services.manager == "systemd" else None
    return found is not None and bool(found.active)


def _values(text: str) -> dict[str, str]:
    """Return the settings of a file of ``name = value``, names in small letters."""
    pairs = (line.partition("=") for line in text.splitlines() if not line.startswith(("#", ";")))
    return {name.strip().lower(): value.strip() for name, equals, value in pairs if equals}
