"""What notices that programs or settings of a host were changed, and of which files.

AIDE, Wazuh's and OSSEC's syscheck, the kernel's own appraisal (IMA), file systems that cannot be
changed (dm-verity, fs-verity); others are seen to run, and what they look at is not read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.aide import parse_aide
from hullcheck.facts.conf_files import ConfFiles, conf_files, conf_want
from hullcheck.facts.files import File, Files
from hullcheck.facts.mounts import MountTable, covering
from hullcheck.facts.registry import get, provide
from hullcheck.facts.running import running_programs
from hullcheck.facts.services import Services
from hullcheck.facts.texts import known, texts
from hullcheck.transport import CannotAnswer, session_of, want

__all__ = ["Integrity", "Tool", "integrity"]

AIDES = ("/etc/aide/aide.conf", "/etc/aide.conf", "/usr/local/etc/aide.conf")
OSSEC = ("/var/ossec/etc/ossec.conf", "/var/ossec/etc/shared/agent.conf")
CONFIGURED = conf_want((*AIDES, "/etc/aide/aide.conf.d", *OSSEC), ("*",))
INSTALLED = want(
    "stat -L -c %n / /usr/bin/aide /usr/sbin/aide /usr/local/bin/aide /usr/sbin/tripwire"
    " /usr/bin/tripwire",
    meaning=(0, 1),
)
CRON = want(
    "grep -aH -e aide -e tripwire /etc/crontab /etc/anacrontab /etc/cron.d/* /etc/cron.hourly/*"
    " /etc/cron.daily/* /etc/cron.weekly/* /etc/periodic/daily/* /etc/periodic/weekly/*"
    " /var/spool/cron/root /var/spool/cron/crontabs/root /var/spool/cron/tabs/root"
    " /etc/crontabs/root",
    meaning=(0, 1, 2),
)
MAPPED = want("grep -H '' /sys/block/dm-*/dev /sys/block/dm-*/dm/uuid", meaning=(0, 1, 2))
POLICY, SITE_POLICY = "/sys/kernel/security/ima/policy", "/etc/ima/ima-policy"
APPRAISED = want(f"grep -H '' {POLICY} {SITE_POLICY}", meaning=(0, 1, 2))
WANTS = (INSTALLED, CRON, MAPPED, APPRAISED, CONFIGURED)

DATABASES = ("/var/lib/aide/aide.db", "/var/lib/aide/aide.db.gz")
SYSCHECKS = ("wazuh-syscheckd", "ossec-syscheckd")
OPAQUE = ("osqueryd", "samhain", "auditbeat", "elastic-endpoint", "fsverity-monitor")
"""Programs that may look for changes; of what is not read here."""

_RUN = re.compile(
    r"(?:^|[\s;&|('\"]|bin/)(?:aide\.wrapper|aide-check|dailyaidecheck"
    r"|aide(?=\s[^;|&]*(?:--check|--update|-C\b|-u\b)|\s*(?:$|[|>;&])))"
)


@dataclass(frozen=True, slots=True)
class Tool:
    """Something that notices changes.

    :param covers: whether of a file (True: of what lies in a directory).
    :param trouble: why it notices nothing; ``doubt``: why it may notice more.
    """

    name: str
    covers: Callable[[File, bool], bool]
    trouble: str = ""
    doubt: str = ""


@dataclass(frozen=True, slots=True)
class Integrity:
    """What looks for changes on a host.

    :param tools: whose settings are understood; ``opaque``: others that run.
    :param doubt: why there may be more.
    """

    tools: tuple[Tool, ...]
    opaque: tuple[str, ...]
    doubt: str = ""
    host: Host | None = field(default=None, repr=False)

    @property
    def sealed(self) -> Tool | None:
        """File systems that cannot be changed, if the host has some."""
        return next((each for each in self.tools if each.name == SEALED), None)


SEALED = "verity"


@provide
def integrity(host: Host) -> Integrity:
    """What looks for changes. :raises Unknown: processes are hidden."""
    session = session_of(host)
    session.foresee(*WANTS)
    Files(host).foresee(DATABASES)
    sight = running_programs(host, [*SYSCHECKS, *OPAQUE])
    opaque = [str(each) for each in sight.named(OPAQUE) if each.of_host]
    tools, doubt = [], sight.doubt
    if any(each.endswith("/tripwire") for each in _installed(host)):
        opaque.append("tripwire")
    for reader in (_verity, _ima, _aide, _syscheck):
        try:
            tools += list(reader(host))
        except (Unknown, CannotAnswer) as reason:
            doubt = doubt or str(reason)
    return Integrity(tuple(tools), tuple(opaque), doubt, host)


def _installed(host: Host) -> list[str]:
    """Return which tools are installed. :raises CannotAnswer: that was not told."""
    found = session_of(host).ask(INSTALLED)[0].text.splitlines()
    if found[:1] != ["/"]:
        raise CannotAnswer("which tools are installed that look for changes cannot be told")
    return found


def _verity(host: Host) -> Iterator[Tool]:
    swept = texts(session_of(host).ask(MAPPED)[0])
    sealed = {
        known(swept.get(f"{path.removesuffix('dm/uuid')}dev"))
        for path, text in swept.items()
        if path.endswith("/dm/uuid") and (known(text) or "").startswith("CRYPT-VERITY-")
    }
    mounts: MountTable = get(host, "mounts")

    def covers(file: File, _: bool) -> bool:
        mount = covering(mounts, file.resolved)
        if mount is None or not mount.read_only:
            return False
        checked = mount.fstype in ("composefs", "overlay") and bool(
            {"verity=require", "verity"} & mount.super_options
        )
        return mount.device in sealed or checked

    if sealed or any("verity=require" in each.super_options for each in mounts):
        yield Tool(SEALED, covers)


def _ima(host: Host) -> Iterator[Tool]:
    """Appraisal refuses what has a wrong hash or signature; measuring alone stops nothing
    (kernel.org, ABI/testing/ima_policy)."""
    rules = [line.split() for line in _ima_policy(host) if line.startswith("appraise ")]
    boot = get(host, "kernel").cmdline.get("ima_appraise", ("enforce",))[-1]
    if not rules or boot in ("off", "log", "fix"):
        return
    functions = {
        next((word[5:] for word in words if word.startswith("func=")), "FILE_CHECK")
        for words in rules
        if not any(word.startswith(("fowner", "uid")) and not word.endswith("=0") for word in words)
    }

    def covers(_: File, inside: bool) -> bool:
        return "FILE_CHECK" in functions or (not inside and "BPRM_CHECK" in functions)

    yield Tool("IMA", covers)


def _ima_policy(host: Host) -> list[str]:
    """Return the rules of IMA. Many kernels show them to nobody; what loads some then tells.

    :raises Unknown: some may be loaded.
    """
    swept = texts(session_of(host).ask(APPRAISED)[0])
    loaded = swept.get(POLICY)
    if not isinstance(loaded, Unknown):
        return (loaded or "").splitlines()
    line = get(host, "kernel").cmdline
    named = [each for value in line.get("ima_policy", ()) for each in value.split("|")]
    if "appraise_tcb" in named:
        return ["appraise fowner=0"]
    if "ima_appraise_tcb" in line or swept.get(SITE_POLICY) is not None:
        raise loaded
    return []


def _aide(host: Host) -> Iterator[Tool]:
    session = session_of(host)
    _, cron, *_ = session.ask(*WANTS)
    if not any(each.endswith("/aide") for each in _installed(host)):
        return
    files: ConfFiles = conf_files(host, CONFIGURED)
    first = next((path for path in AIDES if files.text(path) is not None), "")
    if not first:
        yield Tool("AIDE", lambda *_: False, "AIDE has no configuration")
        return
    said = parse_aide(files, first)
    trouble = _no_database(host, said.database) or _no_schedule(host, texts(cron))

    def covers(file: File, inside: bool) -> bool:
        names = {file.path, file.resolved}
        return all(
            said.covers(f"{each}/x" if inside else each) for each in names if _real(each, file)
        )

    yield Tool("AIDE", covers, trouble, said.doubt)


def _real(path: str, file: File) -> bool:
    """Whether a name is the file's own, and not that of a link to it."""
    return path == file.resolved


def _no_database(host: Host, path: str) -> str:
    """Return why AIDE has nothing to compare with; Debian's default is not in its file."""
    files: Files = get(host, "files")
    found = files.all([path] if path else DATABASES)
    if any(each.exists and each.size for each in found):
        return ""
    return f"AIDE has no database ({found[0]}): run aideinit or aide --init"


def _no_schedule(host: Host, cron: dict[str, str | Unknown]) -> str:
    """Return why AIDE is never run; a unit of systemd counts if its timer waits."""
    doubt = None
    for text in cron.values():
        if isinstance(text, Unknown):
            doubt = text
            continue
        for line in text.splitlines():
            command = line.strip()
            if not command.startswith("#") and _RUN.search(command.partition(" #")[0]):
                return ""
    services: Services = get(host, "services")
    timers = (each for each in services if each.name.endswith(".timer") and each.active)
    if any("aide" in each.name for each in timers):
        return ""
    if doubt:
        raise doubt
    return "AIDE is never run: no timer and no cron job does"


def _syscheck(host: Host) -> Iterator[Tool]:
    running = [each for each in running_programs(host, SYSCHECKS).found if each.of_host]
    if not running:
        return
    files = conf_files(host, CONFIGURED)
    given = [text for path in OSSEC if (text := files.text(path)) is not None]
    if not given:
        raise Unknown(f"{running[0]} runs, and its ossec.conf is not to be found")
    watched, ignored, off = parse_syscheck("\n".join(given))
    trouble = "syscheck is disabled in ossec.conf" if off else ""

    def covers(file: File, inside: bool) -> bool:
        path = f"{file.resolved}/x" if inside else file.resolved
        return _below(path, watched) and not _below(path, ignored)

    yield Tool(running[0].name, covers, trouble)


def _below(path: str, places: tuple[str, ...]) -> bool:
    return any(path == each or path.startswith(f"{each.rstrip('/')}/") for each in places)


def parse_syscheck(text: str) -> tuple[tuple[str, ...], tuple[str, ...], bool]:
    """Return the directories that syscheck looks at, those it leaves out, and whether it is off."""
    plain = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    watched: list[str] = []
    ignored: list[str] = []
    off = ""
    for block in re.findall(r"<syscheck>(.*?)</syscheck>", plain, re.DOTALL):
        for options, inside in re.findall(r"<directories([^>]*)>([^<]*)</directories>", block):
            if not re.search(
                r"(check_sum|check_all)\s*=\s*[\"']no|recursion_level|restrict", options
            ):
                watched += [each.strip() for each in inside.split(",") if each.strip()]
        ignored += [each.strip() for each in re.findall(r"<ignore>([^<]*)</ignore>", block)]
        off = next(iter(re.findall(r"<disabled>\s*(\w+)\s*</disabled>", block)[-1:]), off)
    return tuple(watched), tuple(ignored), off == "yes"
