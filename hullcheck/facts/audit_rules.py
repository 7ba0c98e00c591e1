"""Rules of the kernel's audit system, as auditctl(8) prints and takes them (audit.rules(7))."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["ARCHES", "EXECUTION", "Rule", "configured_rules", "enabling", "parse_rule",
           "parse_rules"]  # fmt: skip

ARCHES = frozenset({"b64", "b32"})

EXECUTION = frozenset({"execve", "execveat"})

CHANGING = frozenset({
    "open", "openat", "openat2", "creat", "truncate", "truncate64", "ftruncate", "ftruncate64",
    "fallocate", "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat",
    "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir", "mknod", "mknodat", "bind", "chmod",
    "fchmod", "fchmodat", "fchmodat2", "chown", "chown32", "fchown", "fchown32", "lchown",
    "lchown32", "fchownat", "setxattr", "lsetxattr", "fsetxattr", "setxattrat", "removexattr",
    "lremovexattr", "fremovexattr", "removexattrat", "acct", "swapon", "quotactl",
})  # fmt: skip
"""The calls that change a file or its attributes: the kernel's classes write, dir_write and
change_attr (include/asm-generic/audit_*.h), and open."""

LISTS = ("task", "exit", "user", "exclude", "filesystem", "io_uring")
_OPTION = re.compile(r"\s*-([A-Za-z])\s+(\S.*?)(?=\s+-[A-Za-z]\s|\s*$)")
_FIELD = re.compile(r"([A-Za-z0-9_]+)\s*(!=|>=|<=|&=|=|<|>|&)\s*(.+)")
_NARROW = ("b32", "i386", "i486", "i586", "i686", "arm", "armv7l", "ppc", "s390")
_WIDE = ("b64", "x86_64", "aarch64", "ppc64", "ppc64le", "s390x", "riscv64", "loongarch64")
_RECORDS = {"SYSCALL": 1300, "PATH": 1302}
_HARMLESS = ("fstype=tracefs", "fstype=debugfs")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    :param text: as auditctl printed it, or as it stands in a file.
    :param action: always or never.
    :param kind: what ``path`` is: ``path`` (one inode), ``dir`` (a tree) or ``watch``, which
        auditctl made one or the other by what was there when it was loaded; empty: any file.
    :param perms: some of r, w, x, a; None: whatever is done.
    :param arches: some of b64 and b32: the programs whose calls it looks at.
    :param calls: system calls; None: all of them.
    :param filters: every other condition, as text.
    """

    text: str
    action: str
    list: str
    kind: str = ""
    path: str = ""
    perms: frozenset[str] | None = None
    arches: frozenset[str] = ARCHES
    calls: frozenset[str] | None = None
    filters: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.text

    def sees(self, perm: str, arch: str) -> bool:
        """Whether it looks at some of the accesses of a kind, by programs of an architecture."""
        wanted = EXECUTION if perm == "x" else CHANGING
        by_call = self.calls is None or any(
            call in wanted or call.isdecimal() for call in self.calls
        )
        return by_call and arch in self.arches and (self.perms is None or perm in self.perms)

    @property
    def blinds(self) -> bool:
        """Whether it keeps records of files from being made at all, at least for somebody.

        Rules on the lists task, exclude and filesystem come before any rule on exit.
        """
        if self.list == "task":
            return self.action == "never"
        if self.list == "filesystem":
            return self.action == "never" and not set(_HARMLESS) & set(self.filters)
        return self.list == "exclude" and all(map(_drops_needed, self.filters))


def _drops_needed(text: str) -> bool:
    """Whether a condition of the list exclude leaves SYSCALL or PATH records open to it."""
    name, operator, value = _field(text)
    if name != "msgtype":
        return True
    if not value.isdecimal() and value not in _RECORDS:
        return operator != "="
    number = int(value) if value.isdecimal() else _RECORDS[value]
    compare = {
        "=": int.__eq__, "!=": int.__ne__, ">": int.__gt__, "<": int.__lt__, ">=": int.__ge__,
        "<=": int.__le__,
    }.get(operator)  # fmt: skip
    return compare is None or any(compare(each, number) for each in _RECORDS.values())


def parse_rules(text: str) -> tuple[Rule, ...]:
    """Return the rules that ``auditctl -l`` printed, in the order in which the kernel tries them.

    :raises ValueError: a line is no rule, or there is none at all.
    """
    lines = text.splitlines()
    if lines == ["No rules"]:
        return ()
    if not lines:
        raise ValueError("auditctl printed nothing")
    return tuple(map(parse_rule, lines))


def configured_rules(text: str) -> tuple[Rule, ...]:
    """Return the rules in a file that auditctl loads; its other lines are left out.

    :raises ValueError: a line that looks like a rule is none.
    """
    lines = (line.strip() for line in text.splitlines())
    found = (line for line in lines if re.match(r"-[aAw]\s|-.*\s-[aAw]\s", line))
    return tuple(map(parse_rule, found))


def enabling(text: str) -> int | None:
    """Return what the last ``-e`` of a rules file sets; 2 locks the rules until the next boot."""
    found = re.findall(r"^\s*-e\s+([0-9])\s*$", text, re.MULTILINE)
    return int(found[-1]) if found else None


def parse_rule(line: str) -> Rule:
    """Return the rule in a line. :raises ValueError: it is none."""
    options = _options(line)
    targets = [value for letter, value in options if letter in "aA"]
    watches = [value for letter, value in options if letter == "w"]
    if len(targets) + len(watches) != 1:
        raise ValueError(f"no audit rule: {line[:80]!r}")
    perms = next((value for letter, value in options if letter == "p"), None)
    if watches:
        return Rule(line, "always", "exit", "watch", _plain(watches[0]), _perms(perms or "rwxa"))
    action, where = _target(targets[0])
    objects, found = [], _Fields()
    for letter, value in options:
        if letter == "F":
            objects += found.take(value)
        elif letter == "C":
            found.filters.append(value)
        elif letter == "S":
            found.calls.update(value.split(","))
    kind, path = objects[0] if objects else ("", "")
    found.filters += [f"{name}={value}" for name, value in objects[1:]]
    calls = None if not found.calls or "all" in found.calls else frozenset(found.calls)
    return Rule(
        line, action, where, kind, _plain(path), found.perms or (perms and _perms(perms)) or None,
        frozenset(found.arches), calls, tuple(found.filters),
    )  # fmt: skip


def _options(line: str) -> list[tuple[str, str]]:
    found, position = [], 0
    while position < len(line.rstrip()):
        option = _OPTION.match(line, position)
        if not option:
            raise ValueError(f"no audit rule: {line[:80]!r}")
        found.append((option[1], option[2]))
        position = option.end()
    return found


class _Fields:
    """What the fields of a rule say, gathered."""

    def __init__(self) -> None:
        self.filters: list[str] = []
        self.calls: set[str] = set()
        self.arches = set(ARCHES)
        self.perms: frozenset[str] | None = None

    def take(self, text: str) -> list[tuple[str, str]]:
        """Take one field in; return it if it names the file."""
        name, operator, value = _field(text)
        if name in ("path", "dir") and operator == "=":
            return [(name, value)]
        if name == "perm" and operator == "=":
            self.perms = _perms(value)
        elif name == "arch" and value in (*_NARROW, *_WIDE) and operator in ("=", "!="):
            named = "b32" if value in _NARROW else "b64"
            self.arches &= {named} if operator == "=" else ARCHES - {named}
        elif name != "key":
            self.filters.append(f"{name}{operator}{value}")
        return []


def _field(text: str) -> tuple[str, str, str]:
    field = _FIELD.fullmatch(text)
    if not field:
        raise ValueError(f"no field of an audit rule: {text[:80]!r}")
    return field[1], field[2], field[3]


def _target(text: str) -> tuple[str, str]:
    """Return action and list, which may stand in either order."""
    first, _, second = text.partition(",")
    action, where = (first, second) if first in ("always", "never") else (second, first)
    if action not in ("always", "never") or where not in LISTS:
        raise ValueError(f"no action and list of an audit rule: {text[:80]!r}")
    return action, where


def _perms(text: str) -> frozenset[str]:
    if not text or set(text) - set("rwxa"):
        raise ValueError(f"no permissions of an audit rule: {text[:80]!r}")
    return frozenset(text)


def _plain(path: str) -> str:
    return path.rstrip("/") or path[:1]
