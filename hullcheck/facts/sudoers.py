"""What a sudoers file says, by the grammar of sudoers(5).

Nothing is matched or expanded here. A line that the grammar does not know is kept as trouble: it
may be a newer sudo's, so that nobody can tell whom it would let in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from hullcheck.transport.redact import PLACEHOLDER

__all__ = [
    "ANYWHERE",
    "Command",
    "Default",
    "Include",
    "Member",
    "Rule",
    "Sudoers",
    "parse_sudoers",
]

TAGS = frozenset(
    f"{no}{tag}"
    for tag in ("EXEC", "FOLLOW", "INTERCEPT", "LOG_INPUT", "LOG_OUTPUT", "MAIL", "PASSWD",
                "SETENV")
    for no in ("", "NO")
)  # fmt: skip
OPTIONS = ("ROLE", "TYPE", "APPARMOR_PROFILE", "PRIVS", "LIMITPRIVS", "NOTBEFORE", "NOTAFTER",
           "TIMEOUT", "CWD", "CHROOT")  # fmt: skip
ANYWHERE = "CHROOT=*"
"""Stands among the tags of a rule that lets its user choose the root directory."""

KINDS = {"User_Alias": "user", "Runas_Alias": "runas", "Host_Alias": "host",
         "Cmnd_Alias": "command", "Cmd_Alias": "command"}  # fmt: skip

LONGEST = 262_144
"""Characters of one file that are read."""

_BLANK = re.compile(r"[ \t]*")
_INCLUDE = re.compile(r"[@#](include|includedir)[ \t]+(.+)")
_DEFAULTS = re.compile(r"Defaults(?=$|[ \t@:!>])")
_ALIAS = re.compile(r"(User|Runas|Host|Cmnd|Cmd)_Alias(?=[ \t])")
_NAME = re.compile(r"[A-Z][A-Z0-9_]*")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_WORD = re.compile(r'(?:%:?)?#?(?:[^\s,:=()!#"\\]|\\.)+|%:?"(?:[^"\\]|\\.)*"')
_ADDRESS = re.compile(r"[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(?:/[0-9A-Fa-f:.]+)?(?=[ \t,=]|$)")
_DIGEST = re.compile(r"sha(?:224|256|384|512)[ \t]*:[ \t]*[A-Za-z0-9+/=]+[ \t]*,?")
_TAG = re.compile(r"([A-Z_]+)[ \t]*:")
_OPTION = re.compile(rf"({'|'.join(OPTIONS)})[ \t]*=[ \t]*(\"[^\"]*\"|[^\s,:]+)")
_SPECIAL = re.compile(r"(?:ALL|list)(?=[ \t,:]|$)|[A-Z][A-Z0-9_]*(?=[ \t,:]|$)")
_PROGRAM = re.compile(r"\^(?:[^$\\]|\\.)*\$|(?:sudoedit|/(?:[^\s,:=#\\]|\\.)*)")
_ARGUMENTS = re.compile(r"[ \t]+(\^(?:[^$\\]|\\.)*\$(?=[ \t]*(?:[,:]|$))|(?:[^,:\\]|\\.)*)")
_SETTING = re.compile(r'(!*)[ \t]*(\w+)[ \t]*(?:(\+=|-=|=)[ \t]*("(?:[^"\\]|\\.)*"|[^\s,"]*))?')
_COMMENT = re.compile(r'(?:[^#"\\]|\\.|"(?:[^"\\]|\\.)*"|["\\]|#(?=-?\d))*')
"""What stands before a comment; ``#`` and digits are a user's number."""

_MORE = re.compile(r"\\[ \t]*$")
_ESCAPE = re.compile(r"\\(x[0-9A-Fa-f]{2}|.)", re.DOTALL)


class _Trouble(ValueError):
    """A line that the grammar does not know."""


@dataclass(frozen=True, slots=True)
class Member:
    """One name in a list of users, groups or hosts; ``quoted``: it cannot be an alias."""

    text: str
    negated: bool = False
    quoted: bool = False

    def __str__(self) -> str:
        return f"{'!' if self.negated else ''}{self.text}"


@dataclass(frozen=True, slots=True)
class Command:
    """One command that a rule names: ALL, an alias, sudoedit, a path, a folder or an expression.

    :param arguments: None for any, empty for none, else what they are to look like.
    """

    text: str
    arguments: str | None = None
    negated: bool = False

    def __str__(self) -> str:
        more = "" if self.arguments is None else f" {self.arguments or chr(34) * 2}"
        return f"{'!' if self.negated else ''}{self.text}{more}"


@dataclass(frozen=True, slots=True)
class Rule:
    """Some users, on some hosts, and one command.

    :param runas: the users to become; None where the rule names neither user nor group.
    :param groups: the groups to take on.
    :param tags: as they stand after those of the commands before it.
    """

    users: tuple[Member, ...]
    hosts: tuple[Member, ...]
    runas: tuple[Member, ...] | None
    groups: tuple[Member, ...]
    tags: frozenset[str]
    command: Command
    where: str

    def __str__(self) -> str:
        return f"{self.command} ({self.where})"


@dataclass(frozen=True, slots=True)
class Default:
    """One setting.

    :param scope: empty for all, else what ``members`` are: ``:`` users, ``>`` users to become,
        ``@`` hosts, ``!`` commands.
    """

    name: str
    on: bool
    operator: str
    value: str
    scope: str
    members: tuple[Member | Command, ...]
    where: str


@dataclass(frozen=True, slots=True)
class Include:
    """A file, or a folder of files, that is read at this place."""

    path: str
    folder: bool


@dataclass(slots=True)
class Sudoers:
    """One file. ``parts`` keeps the order of rules and inclusions: the last match decides."""

    parts: list[Rule | Include] = field(default_factory=list)
    defaults: list[Default] = field(default_factory=list)
    aliases: dict[tuple[str, str], tuple[Member | Command, ...]] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)


class _Cursor:
    """A line, and how far it has been read."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def skip(self) -> None:
        found = _BLANK.match(self.text, self.at)
        self.at = found.end() if found else self.at

    @property
    def ended(self) -> bool:
        self.skip()
        return self.at >= len(self.text)

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        self.skip()
        found = pattern.match(self.text, self.at)
        if found:
            self.at = found.end()
        return found

    def sign(self, mark: str) -> bool:
        self.skip()
        if not self.text.startswith(mark, self.at):
            return False
        self.at += len(mark)
        return True

    def need(self, mark: str) -> None:
        if not self.sign(mark):
            raise _Trouble(mark)

    def negated(self) -> bool:
        count = 0
        while self.sign("!"):
            count += 1
        return count % 2 == 1


def _plain(text: str) -> str:
    """Take escapes and quotes off."""
    text = text.replace('"', "")
    return _ESCAPE.sub(
        lambda found: chr(int(found[1][1:], 16)) if len(found[1]) == 3 else found[1], text
    )


def _member(cursor: _Cursor, host: bool) -> Member:
    negated = cursor.negated()
    quoted = cursor.take(_QUOTED)
    found = quoted or (cursor.take(_ADDRESS) if host else None) or cursor.take(_WORD)
    if not found:
        raise _Trouble("name")
    return Member(_plain(found[0]), negated, bool(quoted))


def _members(cursor: _Cursor, host: bool = False) -> tuple[Member, ...]:
    found = [_member(cursor, host)]
    while cursor.sign(","):
        found.append(_member(cursor, host))
    return tuple(found)


def _command(cursor: _Cursor, alone: bool = False) -> Command:
    while cursor.take(_DIGEST):
        pass
    negated = cursor.negated()
    special = cursor.take(_SPECIAL)
    if special:
        return Command(special[0], None, negated)
    program = cursor.take(_PROGRAM)
    if not program:
        raise _Trouble("command")
    found = None if alone else _ARGUMENTS.match(cursor.text, cursor.at)
    arguments = None
    if found:
        cursor.at = found.end()
        said = found[1].strip()
        arguments = ("" if said == '""' else said) if said else None
    expression = program[0].startswith("^")
    return Command(program[0] if expression else _plain(program[0]), arguments, negated)


def _commands(cursor: _Cursor, alone: bool = False) -> Iterator[Command]:
    yield _command(cursor, alone)
    while cursor.sign(","):
        yield _command(cursor, alone)


def _runas(cursor: _Cursor) -> tuple[tuple[Member, ...] | None, tuple[Member, ...]]:
    users: tuple[Member, ...] = ()
    groups: tuple[Member, ...] = ()
    if not cursor.text[cursor.at :].lstrip().startswith((":", ")")):
        users = _members(cursor)
    if cursor.sign(":"):
        groups = _members(cursor)
    cursor.need(")")
    return users, groups


def _rules(cursor: _Cursor, where: str) -> Iterator[Rule]:
    users = _members(cursor)
    while True:
        hosts = _members(cursor, host=True)
        cursor.need("=")
        runas: tuple[Member, ...] | None = None
        groups: tuple[Member, ...] = ()
        tags: frozenset[str] = frozenset()
        while True:
            if cursor.sign("("):
                runas, groups = _runas(cursor)
            while option := cursor.take(_OPTION):
                if option[1] == "CHROOT" and option[2].strip('"') == "*":
                    tags |= {ANYWHERE}
            while found := cursor.take(_TAG):
                if found[1] not in TAGS:
                    raise _Trouble(found[1])
                name = found[1].removeprefix("NO")
                tags = tags - {name, f"NO{name}"} | {found[1]}
            yield Rule(users, hosts, runas, groups, tags, _command(cursor), where)
            if not cursor.sign(","):
                break
        if not cursor.sign(":"):
            return


def _settings(cursor: _Cursor, where: str) -> Iterator[Default]:
    scope = next((mark for mark in "@:!>" if cursor.text.startswith(mark, cursor.at)), "")
    members: tuple[Member | Command, ...] = ()
    if scope:
        cursor.at += 1
        members = (
            tuple(_commands(cursor, alone=True)) if scope == "!" else _members(cursor, scope == "@")
        )
    while True:
        found = cursor.take(_SETTING)
        if not found:
            raise _Trouble("setting")
        on, value = len(found[1]) % 2 == 0, _plain(found[4] or "")
        yield Default(found[2], on, found[3] or "", value, scope, members, where)
        if not cursor.sign(","):
            return


def _aliases(
    cursor: _Cursor, kind: str
) -> Iterator[tuple[tuple[str, str], tuple[Member | Command, ...]]]:
    while True:
        name = cursor.take(_NAME)
        if not name:
            raise _Trouble("alias")
        cursor.need("=")
        members = (
            tuple(_commands(cursor)) if kind == "command" else _members(cursor, kind == "host")
        )
        yield (kind, name[0]), members
        if not cursor.sign(":"):
            return


def _line(text: str, where: str, into: Sudoers) -> None:
    """Read one line into a file, all of it or nothing. :raises _Trouble: it cannot be read."""
    include = _INCLUDE.fullmatch(text)
    if include:
        into.parts.append(Include(_plain(include[2]), include[1] == "includedir"))
        return
    cursor = _Cursor(text)
    if cursor.ended:
        return
    defaults = cursor.take(_DEFAULTS)
    if not defaults and PLACEHOLDER.search(text.encode("utf-8", "surrogateescape")):
        raise _Trouble("a part of it was cut out")
    kind = None if defaults else cursor.take(_ALIAS)
    aliases = dict(_aliases(cursor, KINDS[kind[0]])) if kind else {}
    settings = list(_settings(cursor, where)) if defaults else []
    rules = [] if kind or defaults else list(_rules(cursor, where))
    if not cursor.ended:
        raise _Trouble(cursor.text[cursor.at :])
    into.aliases |= aliases
    into.defaults += settings
    into.parts += rules


def _uncommented(line: str) -> str:
    before = None if _INCLUDE.fullmatch(line.strip()) else _COMMENT.match(line)
    return before[0] if before else line


def parse_sudoers(path: str, text: str) -> Sudoers:
    """Read a file. A backslash at the end of a line joins it to the next, save in a comment."""
    found = Sudoers()
    if len(text) > LONGEST:
        found.troubles.append(f"{path}, which is longer than {LONGEST} characters,")
        return found
    first, parts = 1, list[str]()
    for number, line in enumerate((*text.split("\n"), ""), 1):
        part = _uncommented(line.removesuffix("\r"))
        more = _MORE.search(part)
        parts.append(_MORE.sub(" ", part))
        if more:
            continue
        try:
            _line("".join(parts).strip(), f"{path}:{first}", found)
        except _Trouble:
            found.troubles.append(f"{path}:{first}")
        first, parts = number + 1, []
    return found
