"""One SSH server of a host: what it was told, and the settings that follow from it."""

from __future__ import annotations

import posixpath
import re
import shlex
from dataclasses import dataclass, field

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.accounts import Accounts
from hullcheck.facts.processes import Process
from hullcheck.facts.registry import fact, get
from hullcheck.facts.sshd.command_line import Arguments
from hullcheck.facts.sshd.conditions import Who
from hullcheck.facts.sshd.config_files import (
    Configuration,
    changed_since,
    configuration,
    ending,
    lines,
)
from hullcheck.facts.sshd.config_text import Setting, parse_option
from hullcheck.facts.sshd.settings import Settings, Value, from_dropbear, from_files, from_tool
from hullcheck.transport import CannotAnswer, Want, session_of, want
from hullcheck.verdict import Object

__all__ = ["PROGRAM", "VERSION", "SshServer", "test_want"]

PROGRAM = "/usr/sbin/sshd"

PROGRAMS = re.compile(r"(?:/usr)?/s?bin/sshd|/nix/store/[\w.+-]+/bin/sshd")
"""Programs that only root puts there, and that look for their files in /etc/ssh."""

KEYLESS = re.compile("no hostkeys available|load host key|[Pp]ermission denied")
"""What sshd says to who may not read its keys or files."""

OLDEST = (7, 4)
"""The oldest OpenSSH whose own defaults are known here."""


def test_want(program: str, arguments: Arguments) -> Want:
    """Return a want for the settings of an sshd with some arguments.

    ``-T`` needs the host keys, so root; ``-G`` (since 9.3) does not. Neither writes anything:
    -E, which opens a log, is not passed on.
    """
    words = [shlex.quote(each) for each in arguments.words]
    ways = (" ".join([shlex.quote(program), way, *words]) for way in ("-T", "-G"))
    return ending(f"{{ {' || '.join(ways)}; }}")


VERSION = want(f"{PROGRAM} -V", meaning=(0, 1, 127, 255))
"""Since 9.2 an option of its own; an older sshd says its version before it complains."""


@dataclass(frozen=True)
class SshServer:
    """An SSH server that runs on the host itself, or would at the next connection or boot.

    :param kind: OpenSSH or dropbear. :param program: the path of its program; empty: not seen.
    :param arguments: an sshd's; ``letters``: a dropbear's.
    :param process: the listener; None where an init system listens in its place.
    :param seen: whether the program is what the kernel says; else it is what the title says.
    """

    host: Host = field(repr=False)
    kind: str
    program: str
    arguments: Arguments
    process: Process | None = None
    letters: dict[str, list[str]] = field(default_factory=dict)
    started_by: str = ""
    seen: bool = True

    def __str__(self) -> str:
        told = str(self.arguments) if self.kind == "OpenSSH" else self.letters_text
        name = posixpath.basename(self.program.removesuffix(" (deleted)")) or "sshd"
        return " ".join(each for each in (name, told, self.started_by) if each)

    @property
    def letters_text(self) -> str:
        """A dropbear's options, for a person."""
        return " ".join(
            f"-{letter} {value}".strip()
            for letter, values in self.letters.items()
            for value in values
            if letter not in "FEmR"
        )

    @property
    def object(self) -> Object:
        return Object("ssh server", str(self)[:200])

    @fact
    def configuration(self) -> Configuration:
        """What its files say. :raises Unknown: they cannot be read."""
        if self.kind != "OpenSSH":
            return Configuration("")
        return configuration(self.host, self.arguments.config)

    @fact
    def settings(self) -> Settings:
        """Its settings. :raises Unknown: neither it nor its files tell them."""
        if self.kind != "OpenSSH":
            return from_dropbear(self.letters)
        program = self.program.removesuffix(" (deleted)")
        own = [each for each in map(parse_option, self.arguments.options) if each]
        if not PROGRAMS.fullmatch(program):
            raise Unknown(f"{program or 'the program of ' + str(self)} is no sshd of the system's:"
                          " it is not run to tell its settings")  # fmt: skip
        answer = session_of(self.host).ask(test_want(program, self.arguments))[0]
        conditional = [each for each in self.configuration.settings if each.matches]
        printed = lines(answer)
        if printed:
            return from_tool(printed, conditional, "sshd -T")
        said = answer.evidence.stderr.decode("utf-8", "replace")
        if not KEYLESS.search(said):
            raise Unknown(f"sshd -T does not tell the settings of {self}: {answer.complaint}")
        return self._by_files(own)

    def _by_files(self, own: list[Setting]) -> Settings:
        """Make settings of what can be read of the files and the command line."""
        found = self.configuration
        if not found.path:
            raise Unknown(f"the settings of {self} cannot be seen; needs root")
        if self.program.removesuffix(" (deleted)") == PROGRAM:
            self._check_version()
        files = ", ".join(found.files)
        keys = [
            Setting("hostkey", (each,), "its command line") for each in self.arguments.host_keys
        ]
        return from_files([*own, *keys, *found.settings], files)

    def _check_version(self) -> None:
        answer = session_of(self.host).ask(VERSION)[0]
        said = answer.evidence.stderr.decode("utf-8", "replace") + answer.text
        number = re.search(r"OpenSSH_(\d{1,3})\.(\d{1,3})", said)
        if not number or (int(number[1]), int(number[2])) < OLDEST:
            raise Unknown(f"the defaults of {self} are not known; sshd -T needs root")

    def values(self, keyword: str, who: Who | None = None) -> list[Value]:
        """Return every value that a keyword may have; see :meth:`Settings.values`.

        :raises Unknown: that cannot be told; root may be needed.
        """
        try:
            return self.settings.values(keyword, who)
        except Unknown as reason:
            if self.settings.source in ("sshd -T", "dropbear's command line"):
                raise
            raise Unknown(f"{reason}; sshd -T needs root") from None

    def texts(self, keyword: str, who: Who | None = None) -> set[str]:
        """Return the texts of all values that a keyword may have."""
        return {each.text for each in self.values(keyword, who)}

    @fact
    def doubt(self) -> str:
        """Why what runs may have other settings than these; empty if there is no reason.

        :raises Unknown: it cannot be told.
        """
        if self.process is None or self.kind != "OpenSSH":
            return ""
        if self.program.endswith(" (deleted)"):
            return f"{self} runs a program whose file has been replaced: restart it"
        changed = changed_since(
            self.host, self.configuration, self.process.started, self.process.pid
        )
        return f"{changed} was changed after {self} read it: reload it" if changed else ""

    def settled(self) -> None:
        """Raise what stands against believing the files. :raises Unknown: see :attr:`doubt`."""
        try:
            doubt = self.doubt
        except CannotAnswer as trouble:
            raise Unknown(str(trouble)) from None
        if doubt:
            raise Unknown(doubt)

    @fact
    def roots(self) -> tuple[Who, ...]:
        """The accounts that sshd takes for root, by their number, with their groups."""
        accounts: Accounts = get(self.host, "accounts")
        names = {"root": 0} | {each.name: each.gid for each in accounts.users if each.uid == 0}
        return tuple(
            Who(name, frozenset(each.name for each in accounts.groups
                                if name in each.named or each.gid == gid))
            for name, gid in names.items()
        )  # fmt: skip
