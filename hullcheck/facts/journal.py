"""systemd's journal: where it is told to lie, and where it lies (journald.conf(5))."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.conf_files import ConfFiles, settings_of
from hullcheck.facts.texts import lines_of
from hullcheck.transport import session_of, want

__all__ = ["DIRECTORIES", "FILES", "MACHINE", "Journal", "journal_of"]

DIRECTORIES = (
    "/etc/systemd", "/run/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd", "/lib/systemd",
)  # fmt: skip

FILES = want(
    "find -L /var/log/journal /run/log/journal -maxdepth 2 -name system.journal -print",
    meaning=(0, 1),
)
MACHINE = want("cat /etc/machine-id", meaning=(0, 1))

KEPT, LOST = "persistent", "volatile"
_ABSENT = ("No such file or directory", "Not a directory")


@dataclass(frozen=True, slots=True)
class Journal:
    """The journal of this host.

    :param storage: what is configured: auto, persistent, volatile or none.
    :param source: the file that says so.
    :param kept: the file below /var/log/journal that is written to; empty if there is none.
    :param lost: the same below /run/log/journal, which the next start empties.
    """

    settings: Mapping[str, str]
    source: str
    kept: str
    lost: str

    @property
    def storage(self) -> str:
        return self.settings.get("Storage", "auto").lower()

    @property
    def trouble(self) -> str:
        """Why the journal does not outlive a restart; empty if it does."""
        if self.storage in (LOST, "none"):
            return f"Storage={self.storage} in {self.source}"
        if self.lost:
            return f"the journal is in {self.lost.rpartition('/')[0]}, which a restart empties"
        return "" if self.kept else "there is no journal in /var/log/journal for this machine's id"


def journal_of(host: Host, files: ConfFiles) -> Journal:
    """Return the journal. :raises Unknown: where it lies cannot be seen."""
    listed, machine = session_of(host).ask(FILES, MACHINE)
    settings = files.layered("journald.conf", DIRECTORIES)
    storages = [
        (path, value) for path, text in settings
        if (value := settings_of([(path, text)], "Journal").get("Storage"))
    ]  # fmt: skip
    for line in listed.evidence.stderr.decode("utf-8", "replace").splitlines():
        if line.strip() and not line.endswith(_ABSENT):
            raise Unknown(f"the journal's files cannot be listed: {line[:120]}; it may need root")
    number = machine.text.strip()
    if not re.fullmatch(r"[0-9a-f]{32}", number):
        raise Unknown("/etc/machine-id does not tell which journal is this machine's")
    found = [
        next((path for path in lines_of(listed) if path == f"{place}/{number}/system.journal"), "")
        for place in ("/var/log/journal", "/run/log/journal")
    ]
    source = storages[-1][0] if storages else "journald.conf"
    return Journal(settings_of(settings, "Journal"), source, *found)
