"""Which kernels are installed beside the one that runs, and what waits for a restart."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.distribution import Distribution
from hullcheck.facts.packages import Packages
from hullcheck.facts.registry import get, provide
from hullcheck.facts.texts import known, lines_of, sweep, texts
from hullcheck.facts.versions import compare_rpm
from hullcheck.transport import Answer, session_of, want

__all__ = ["Kernels", "flavour", "kernels"]

IMAGES = want(
    "ls -1d /boot/vmlinuz-* /boot/vmlinux-* /boot/kernel-* /lib/modules/*/vmlinuz"
    " /usr/lib/modules/*/vmlinuz /lib/modules/*/modules.dep /usr/lib/modules/*/modules.dep",
    meaning=(0, 1, 2),
)
RUNNING = want("uname -rv")
MARKS = (
    "/run/reboot-required", "/run/reboot-required.pkgs", "/var/run/reboot-required",
    "/run/reboot-needed", "/run/ostree/staged-deployment",
)  # fmt: skip
"""update-notifier and unattended-upgrades (Debian), zypper (SUSE), rpm-ostree (CoreOS)."""
FLAGS = want("stat -c %n -- " + " ".join(MARKS), meaning=(0, 1))
PACKAGES = sweep(["/run/reboot-required.pkgs"])
PATCHED = want("grep -H '' /sys/kernel/livepatch/*/enabled", meaning=(0, 1, 2))

_IMAGE = re.compile(
    r"/boot/(?:vmlinu[xz]|kernel)-(?P<boot>[^/]+)"
    r"|(?:/usr)?/lib/modules/(?P<modules>[^/]+)/(?:vmlinuz|modules\.dep)"
)
_ABSENT = ("No such file or directory", "Not a directory")
_MACHINE = re.compile(r"\.(?:x86_64|aarch64|i[3-6]86|armv7hl|ppc64le|s390x|riscv64)\b")
_FLAVOUR = re.compile(r"[-+.]([a-z][a-z0-9]*(?:[-+][a-z][a-z0-9]*)*)$")
_TAG = re.compile(
    r"(?:el\d+(?:_\d+)?|fc\d+|amzn\d+|azl\d+|cm\d+|mga\d+|rc\d+|bpo|deb\d+|arch\d+|zen\d+"
    r"|gentoo|r\d+)(?:[-+.]|(?![a-z0-9])|(?=uek))"
)
"""Marks of a distribution's release, which say nothing of the kind of kernel."""


def flavour(release: str) -> str:
    """Return what kind of kernel a release is, empty for a plain one: of ``6.1.0-28-cloud-amd64``
    it is cloud-amd64, of ``5.14.0-503.el9.x86_64+rt`` rt."""
    found = _FLAVOUR.search(_MACHINE.sub("", release))
    kind = found[1] if found else ""
    while mark := _TAG.match(kind):
        kind = kind[mark.end() :]
    return kind


@dataclass(frozen=True, slots=True)
class Kernels:
    """The kernel that runs, and those that are installed.

    :param running: its release (``uname -r``); ``build`` is ``uname -v``.
    :param installed: releases, of any flavour.
    :param package: what the running kernel's package is now, by its package manager, if it has
        the kernel's release in its name (Debian and kin).
    :param waiting: marks that updates leave where the host must be started again.
    :param patches: live patches that are in force.
    """

    running: str
    build: str
    installed: frozenset[str]
    package: str
    waiting: Mapping[str, tuple[str, ...]]
    patches: tuple[str, ...]

    @property
    def newest(self) -> str:
        """The newest installed of the running one's flavour; empty if none is installed."""
        best = ""
        for each in sorted(self.installed):
            newer = not best or compare_rpm(_plain(each), _plain(best)) > 0
            if flavour(each) == flavour(self.running) and newer:
                best = each
        return best

    @property
    def built(self) -> str:
        """The package version that the running kernel was built as, where it says so: Debian's
        ``#1 SMP PREEMPT_DYNAMIC Debian 6.1.123-1 (2025-01-02)``."""
        found = re.search(r"\bDebian ([0-9][^ ]*)", self.build)
        return found[1] if found else ""


def _plain(release: str) -> str:
    """Return a release as one version, so that a dash is as good as a dot."""
    return _MACHINE.sub("", release).replace("-", ".")


def parse_images(answer: Answer) -> frozenset[str]:
    """Return the releases whose images or modules are there. :raises Unknown: not all is seen."""
    for line in answer.evidence.stderr.decode("utf-8", "replace").splitlines():
        if not line.endswith(_ABSENT):
            raise Unknown(f"the installed kernels cannot be seen: {line[:200]}; it may need root")
    booted, modules = set(), set()
    for line in lines_of(answer):
        found = _IMAGE.fullmatch(line)
        if found is None:
            raise Unknown(f"ls: cannot understand {line[:80]!r}")
        if found["boot"]:
            booted.add(found["boot"])
        else:
            modules.add(found["modules"])
    # Debian keeps images of other names in /boot, and old ones where a new one failed.
    extra = {each for each in booted if each.endswith((".old", ".bak", ".img", ".hmac"))}
    return frozenset(each for each in (booted or modules) - extra if re.match(r"[0-9]", each))


@provide
def kernels(host: Host) -> Kernels:
    """The kernels of the host. :raises Unknown: they cannot be seen."""
    images, running, flags, pkgs, patched = session_of(host).ask(
        IMAGES, RUNNING, FLAGS, PACKAGES, PATCHED
    )
    release, _, build = running.text.strip().partition(" ")
    if not re.match(r"[0-9]+\.[0-9]+", release):
        raise Unknown(f"the kernel's release {release[:40]!r} makes no sense")
    patches = [path.split("/")[4] for path, text in texts(patched).items() if known(text) == "1"]
    return Kernels(
        release, build, parse_images(images), _package(host, release),
        _waiting(flags, known(texts(pkgs).get(MARKS[1])) or ""), tuple(sorted(patches)),
    )  # fmt: skip


def _waiting(flags: Answer, packages: str) -> dict[str, tuple[str, ...]]:
    for line in flags.evidence.stderr.decode("utf-8", "replace").splitlines():
        if not line.endswith(_ABSENT):
            raise Unknown(f"cannot tell whether a restart is due: {line[:200]}")
    found = {line for line in lines_of(flags) if line in MARKS}
    named = tuple(sorted(set(packages.split()))[:50])
    return {each: named if "reboot-required" in each else () for each in sorted(found)}


def _package(host: Host, release: str) -> str:
    distribution: Distribution = get(host, "distribution")
    if distribution.family != "debian":
        return ""
    try:
        installed: Packages = get(host, "packages")
    except NotApplicable:
        return ""
    names: Iterable[str] = (f"linux-image-{release}", f"linux-image-{release}-unsigned")
    found = installed.among(names)
    return found[0].version if found else ""
