"""rsyslogd: where its configuration sends messages, in all three of its languages.

rsyslog.conf(5): selector lines (``*.* @@host``), directives (``$IncludeConfig``) and RainerScript
(``action(type="omfwd" …)``, ``if … then { … }``, ``ruleset(…) { … }``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

from hullcheck.control import Unknown
from hullcheck.facts.conf_files import ConfFiles
from hullcheck.facts.log_routes import FILE, PROGRAM, REMOTE, Route, host_of_target, selects

__all__ = ["legacy_routes", "rsyslog_routes"]

CONFIG = "/etc/rsyslog.conf"
VIA = "rsyslog"
DEEPEST = 10

TARGETS = {
    "omfwd": ("target",), "omrelp": ("target",), "omelasticsearch": ("server",),
    "omopensearch": ("server",), "omkafka": ("broker",), "omhttp": ("server", "serverport"),
    "omclickhouse": ("server",), "omhiredis": ("server",), "omrabbitmq": ("host",),
    "omamqp1": ("host",), "ommongodb": ("uristr", "server"), "omgssapi": ("target",),
    "ommysql": ("server",), "ompgsql": ("server",), "omdtls": ("target",), "omudpspoof":
    ("target",), "omsplunkhec": ("server",), "omazureeventhubs": ("azurehost",),
}  # fmt: skip
"""Output modules that reach another host, and the parameters that name it."""

_COMMENTS = re.compile(r"\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|/\*.*?\*/|(?<!\S)#[^\n]*", re.S)
_INCLUDE = re.compile(
    r"^[ \t]*(?:\$IncludeConfig[ \t]+(\S+)|include\s*\(([^)]*)\))", re.IGNORECASE | re.MULTILINE
)
_ACTION = re.compile(r"\baction\s*\(((?:\"(?:\\.|[^\"\\])*\"|'[^']*'|[^()\"'])*)\)", re.I | re.S)
_PARAMETER = re.compile(r"([\w.]+)\s*=\s*(\[[^\]]*\]|\"(?:\\.|[^\"\\])*\"|'[^']*')", re.S)
_LEGACY = re.compile(
    r"(?P<guard>&|:[^\s,]+\s*,\s*!?\w+\s*,\s*\"(?:\\.|[^\"\\])*\"|[a-zA-Z*][^\s{]*)"
    r"[ \t]+(?P<to>.+)",
    re.S,
)
_PIECE = re.compile(r"\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|[{}()\n]|[^\"'{}()\n]+|.", re.S)
_FORWARD = re.compile(r"@{1,2}(?:\([^)]*\))?([^;\s]+)")


def rsyslog_routes(files: ConfFiles, first: str = CONFIG) -> list[Route]:
    """Return where rsyslogd sends messages.

    :raises Unknown: a part of its configuration cannot be read.
    """
    text = files.text(first)
    if text is None:
        raise Unknown(f"{first} is not to be found, and rsyslogd runs")
    found: list[Route] = []
    last = ""
    for guards, statement in _statements(_whole(files, text, 0)):
        if legacy := _LEGACY.fullmatch(statement):
            last = last if legacy["guard"] == "&" else legacy["guard"]
        whole = all(map(_open, guards))
        if whole and _discards(statement):
            break
        found += _routes(statement, whole, last)
    return found


def legacy_routes(text: str, via: str, taken: Callable[[str], bool]) -> Iterator[Route]:
    """Yield the routes of a file that has selector lines only (syslog.conf(5))."""
    for line in _COMMENTS.sub(" ", text.replace("\\\n", " ")).splitlines():
        if found := _LEGACY.fullmatch(line.strip()):
            for each in _of_legacy(found["to"].strip(), taken(found["guard"])):
                yield replace(each, via=via)


def _whole(files: ConfFiles, text: str, depth: int) -> str:
    """Return a text without comments, and with what it includes."""
    if depth > DEEPEST:
        raise Unknown("rsyslog's configuration includes itself")
    plain = _COMMENTS.sub(lambda found: found[0] if found[0][:1] in "\"'" else " ", text)

    def included(match: re.Match[str]) -> str:
        named = dict(_PARAMETER.findall(match[2] or ""))
        pattern = match[1] or named.get("file", "").strip("\"'")
        return "\n".join(_whole(files, each, depth + 1) for each in _texts(files, pattern))

    return _INCLUDE.sub(included, plain)


def _texts(files: ConfFiles, pattern: str) -> Iterator[str]:
    if not pattern.startswith(("/etc/rsyslog", "/run/rsyslog", "/etc/sysconfig/rsyslog")):
        raise Unknown(f"rsyslog includes {pattern[:80] or 'what is not known'}, which was not read")
    pattern = pattern.removesuffix("/") + ("/*" if pattern.endswith("/") else "")
    for path in files.matching(pattern):
        yield files.text(path) or ""


def _statements(text: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield each statement, and what stands before the braces around it."""
    guards: list[str] = []
    buffer, depth = "", 0
    for piece in _PIECE.findall(text):
        if piece in "()":
            depth = max(0, depth + (1 if piece == "(" else -1))
            buffer += piece
        elif piece == "{" and not depth:
            guards.append(buffer.strip())
            buffer = ""
        elif piece == "}" and not depth:
            yield tuple(guards), buffer.strip()
            guards = guards[:-1]
            buffer = ""
        elif piece == "\n" and not depth and not _continues(buffer):
            yield tuple(guards), buffer.strip()
            buffer = ""
        else:
            buffer += piece
    yield tuple(guards), buffer.strip()


def _continues(buffer: str) -> bool:
    """Whether a statement goes on in the next line."""
    begun = buffer.strip()
    if begun.endswith("\\"):
        return True
    return bool(
        re.match(r"(if|else|foreach)\b|ruleset\s*\(|template\s*\(|lookup_table", begun)
    ) and (not _ACTION.search(begun) and not re.search(r"\bthen\s+\S", begun))


def _open(guard: str) -> bool:
    """Whether what stands before a brace lets all that tells of logins through."""
    return not guard or (bool(re.fullmatch(r"[a-zA-Z*][^\s(]*", guard)) and selects(guard))


def _discards(statement: str) -> bool:
    """Whether messages of logins go no further: ``stop``, or ``~`` for all."""
    if statement in ("stop", "~"):
        return True
    found = _LEGACY.fullmatch(statement)
    return found is not None and found["to"].strip() in ("stop", "~") and _open(found["guard"])


def _routes(statement: str, whole: bool, last: str) -> Iterator[Route]:
    actions = list(_ACTION.finditer(statement))
    for found in actions:
        before = statement[: found.start()].strip()
        guard = last if before == "&" else before
        yield from _of_action(found[1], whole and _open(guard))
    legacy = _LEGACY.fullmatch(statement)
    if legacy and not actions:
        guard = last if legacy["guard"] == "&" else legacy["guard"]
        yield from _of_legacy(legacy["to"].strip(), whole and _open(guard))


def _of_action(text: str, whole: bool) -> Iterator[Route]:
    named = {name.lower(): value.strip("\"'") for name, value in _PARAMETER.findall(text)}
    kind = named.get("type", "").lower()
    if kind == "omfile":
        yield Route(FILE, named.get("file", "a file by a template"), whole, VIA)
    elif kind == "omprog":
        yield Route(PROGRAM, named.get("binary", "a program"), whole, VIA)
    for name in TARGETS.get(kind, ()):
        for each in re.findall(r"[^\s\"'\[\],]+", named.get(name, "")):
            if not each.isdecimal():
                yield Route(REMOTE, host_of_target(each), whole, VIA)


def _of_legacy(text: str, whole: bool) -> Iterator[Route]:
    if forward := _FORWARD.match(text):
        yield Route(REMOTE, host_of_target(forward[1]), whole, VIA)
    elif module := re.match(r":om(?:relp|gssapi|mysql|pgsql):([^;,\s]+)", text):
        yield Route(REMOTE, host_of_target(module[1]), whole, VIA)
    elif path := re.match(r"-?(/[^;\s]*)", text):
        yield Route(FILE, path[1], whole, VIA)
    elif text.startswith("?"):
        yield Route(FILE, "a file by a template", whole, VIA)
    elif text.startswith(("^", "|")):
        yield Route(PROGRAM, text[1:].strip(), whole, VIA)
