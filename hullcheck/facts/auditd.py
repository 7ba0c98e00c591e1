"""The audit daemon: where it keeps the kernel's records, and what it does when that is full.

auditd.conf(5); names of settings and of actions are read without regard to case.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.audit import FILES, Audit
from hullcheck.facts.audit_rules import enabling
from hullcheck.facts.files import File, Files
from hullcheck.facts.processes import Gone, Processes
from hullcheck.facts.registry import fact, get, provide
from hullcheck.facts.texts import known, texts
from hullcheck.transport import read, session_of

__all__ = ["AuditDaemon", "audit_daemon", "locked_at_boot", "parse_auditd"]

CONFIG = "/etc/audit/auditd.conf"
LOG = "/var/log/audit/audit.log"

DEFAULTS = {
    "local_events": "yes", "write_logs": "yes", "log_file": LOG, "log_group": "root",
    "num_logs": "0", "max_log_file": "0", "max_log_file_action": "ignore",
    "space_left": "0", "space_left_action": "ignore",
    "admin_space_left": "0", "admin_space_left_action": "ignore",
    "disk_full_action": "ignore", "disk_error_action": "syslog",
}  # fmt: skip
"""What the daemon takes for a setting that the file leaves out (audit-userspace,
src/auditd-config.c, clear_config)."""


def parse_auditd(text: str) -> dict[str, str]:
    """Return the settings of an auditd.conf. :raises Unknown: a line is none."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        pair = re.fullmatch(r"(\w+)\s*=\s*(.*)", stripped)
        if not pair:
            raise Unknown(f"{CONFIG} has a line that is no setting: {stripped[:60]!r}")
        found[pair[1].lower()] = pair[2].strip()
    return found


@dataclass(frozen=True)
class AuditDaemon:
    """An auditd that runs, and its settings as the file has them."""

    host: Host = field(repr=False)
    settings: Mapping[str, str]

    def word(self, name: str) -> str:
        """Return a setting that is a word, in small letters; of ``exec PROGRAM`` the first."""
        value = self.settings.get(name, DEFAULTS[name])
        return (value.split() or [""])[0].lower()

    def number(self, name: str) -> int:
        """Return a setting that is a number. :raises Unknown: it is none (a share of the disk)."""
        value = (self.settings.get(name, DEFAULTS[name]).split() or [""])[0]
        if not re.fullmatch(r"\d{1,12}", value):
            raise Unknown(f"{name} in {CONFIG} is {value[:40]!r}")
        return int(value)

    @fact
    def log(self) -> File:
        """The file that it writes to."""
        path = self.settings.get("log_file", LOG)
        if not path.startswith("/"):
            raise Unknown(f"log_file in {CONFIG} is {path[:60]!r}")
        files: Files = get(self.host, "files")
        return files.get(path)


@provide
def audit_daemon(host: Host) -> AuditDaemon:
    """The audit daemon of the host.

    :raises NotApplicable: none runs.
    :raises Unknown: its settings cannot be read.
    """
    session = session_of(host)
    session.foresee(read(CONFIG))
    Files(host).foresee([LOG])
    processes: Processes = get(host, "processes")
    running = [each for each in processes if each.name == "auditd" and len(each.nspid) < 2]
    if not running:
        raise NotApplicable("no auditd runs on this host")
    try:
        words = running[0].cmdline
    except Gone:
        words = []
    folder = next((words[at + 1] for at, each in enumerate(words[:-1]) if each == "-c"), "")
    path = f"{folder.rstrip('/')}/auditd.conf" if folder else CONFIG
    answer = session.ask(read(path))[0]
    if answer.exit:
        raise Unknown(f"{path} cannot be read: {answer.complaint}; it may need root")
    found = parse_auditd(answer.text)
    if not found:
        raise Unknown(f"{path} says nothing, and auditd runs")
    return AuditDaemon(host, found)


def locked_at_boot(audit: Audit) -> bool | None:
    """Whether the rules files lock the rules (``-e 2``); None: they hold no rules.

    :raises Unknown: a file cannot be read or parsed.
    """
    if not any(audit.configured.values()):
        return None
    found = texts(session_of(audit.host).ask(FILES)[0]).values()
    return any(enabling(known(text) or "") == 2 for text in found)
