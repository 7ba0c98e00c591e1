"""What a doas.conf says, by the grammar of doas.conf(5)."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["DoasRule", "parse_doas"]

OPTIONS = frozenset(("nopass", "nolog", "persist", "keepenv"))

_TOKEN = re.compile(
    r'(?P<word>(?:"(?:[^"\\\n]|\\.)*"|\\.|[^\s"{}#\\])+)|(?P<sign>[{}\n])', re.DOTALL
)
_SKIP = re.compile(r"[ \t\r]+|#[^\n]*|\\\n")


@dataclass(frozen=True, slots=True)
class DoasRule:
    """One rule; of all that match, the last decides.

    :param identity: a user, or a group after a colon.
    :param target: the user to become; empty for any.
    :param command: empty for any; ``arguments``: None for any.
    """

    permit: bool
    options: frozenset[str]
    identity: str
    target: str
    command: str
    arguments: tuple[str, ...] | None
    where: str


def parse_doas(path: str, text: str) -> tuple[list[DoasRule], list[str]]:
    """Return the rules of a file, and where it has lines that are none."""
    rules: list[DoasRule] = []
    troubles: list[str] = []
    for number, words in _lines(text):
        where = f"{path}:{number}"
        rule = _rule(words, where) if words else None
        if rule:
            rules.append(rule)
        elif words:
            troubles.append(where)
    return rules, troubles


def _lines(text: str) -> list[tuple[int, list[str]]]:
    found: list[tuple[int, list[str]]] = []
    words: list[str] = []
    number, at = 1, 0
    while at < len(text):
        skipped = _SKIP.match(text, at)
        token = None if skipped else _TOKEN.match(text, at)
        end = skipped.end() if skipped else token.end() if token else at + 1
        if token and token["sign"] == "\n":
            found.append((number, words))
            words = []
        elif token:
            words.append(token["sign"] or token["word"])
        elif not skipped:
            words.append("\0")
        number += text.count("\n", at, end)
        at = end
    return [*found, (number, words)]


def _rule(words: list[str], where: str) -> DoasRule | None:
    rest = list(words)
    action = rest.pop(0)
    options = set()
    while rest and rest[0] in OPTIONS | {"setenv"}:
        options.add(rest.pop(0))
        if rest[:1] == ["{"]:
            if "}" not in rest:
                return None
            del rest[: rest.index("}") + 1]
    if action not in ("permit", "deny") or not rest or set(rest) & {"{", "}", "\0"}:
        return None
    identity, target, command = _plain(rest.pop(0)), "", ""
    arguments: tuple[str, ...] | None = None
    if rest[:1] == ["as"] and len(rest) > 1:
        target, rest = _plain(rest[1]), rest[2:]
    if rest[:1] == ["cmd"] and len(rest) > 1:
        command, rest = _plain(rest[1]), rest[2:]
    if command and rest[:1] == ["args"]:
        arguments, rest = tuple(map(_plain, rest[1:])), []
    if rest:
        return None
    return DoasRule(
        action == "permit", frozenset(options), identity, target, command, arguments, where
    )


def _plain(word: str) -> str:
    return re.sub(r"\\(.)", r"\1", word.replace('"', ""), flags=re.DOTALL)
