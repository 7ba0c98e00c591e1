"""The text of sshd_config(5): its lines in their order, with the Match blocks they stand in."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hullcheck.control import Unknown
from hullcheck.facts.sshd.conditions import Match, parse_match

__all__ = ["ALIASES", "Setting", "parse_config", "parse_option", "split_line"]

ALIASES = {
    "challengeresponseauthentication": "kbdinteractiveauthentication",
    "skeyauthentication": "kbdinteractiveauthentication",
    "pubkeyacceptedkeytypes": "pubkeyacceptedalgorithms",
    "hostbasedacceptedkeytypes": "hostbasedacceptedalgorithms",
    "keepalive": "tcpkeepalive", "hostdsakey": "hostkey", "rsaminsize": "requiredrsasize",
}  # fmt: skip
"""Other names of keywords; servconf.c, and RSAMinSize of RHEL."""

DEEPEST = 16
"""servconf.c, SERVCONF_MAX_DEPTH."""

MOST = 20_000
"""Lines of all files together: more than anybody writes."""

_KEYWORD = re.compile(r"\s*([^\s=\"']+)[ \t\f\r]*=?[ \t\f\r]*(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Setting:
    """One line that sets something.

    :param keyword: in small letters, by its newest name.
    :param matches: the Match lines it stands below; none in the global part.
    """

    keyword: str
    words: tuple[str, ...]
    path: str
    matches: tuple[Match, ...] = ()

    @property
    def where(self) -> str:
        """Where it stands, for a person."""
        return ", ".join([self.path, *map(str, self.matches)])


def split_line(line: str) -> tuple[str, list[str]]:
    """Return the keyword of a line, in small letters, and its words; "" for an empty one."""
    found = _KEYWORD.fullmatch(line.strip())
    if not found or found[1].startswith("#"):
        return "", []
    keyword = found[1].lower()
    return ALIASES.get(keyword, keyword), _words(found[2])


def _words(text: str) -> list[str]:
    """Split as argv_split() of misc.c: quotes of both kinds; ``\\`` before a quote, a ``\\``, or,
    outside of quotes, a space; a ``#`` that begins a word ends the line."""
    words: list[str] = []
    word: list[str] | None = None
    quote, at = "", 0
    while at < len(text):
        letter, after = text[at], text[at + 1 : at + 2]
        at += 1
        if letter == "\\" and after and (after in "'\"\\" or (not quote and after == " ")):
            word = [*(word or ()), after]
            at += 1
        elif quote or letter in "'\"":
            word = word or []
            if letter == quote or not quote:
                quote = "" if quote else letter
            else:
                word.append(letter)
        elif letter in " \t\f\r\n":
            words += ["".join(word)] if word is not None else []
            word = None
        elif letter == "#" and word is None:
            break
        else:
            word = word or []
            word.append(letter)
    return words + (["".join(word)] if word is not None else [])


def parse_option(option: str) -> Setting | None:
    """Read the value of ``-o``: a line of its own in the global part."""
    keyword, words = split_line(option)
    return Setting(keyword, tuple(words), "its command line") if keyword else None


Load = Callable[[str], list[tuple[str, str]]]
"""Returns (path, text) of the files of an Include's pattern, in their order."""


def parse_config(path: str, text: str, load: Load) -> list[Setting]:
    """Read a configuration with what it includes.

    What an included file matches ends with that file, and holds only where the Include does.

    :raises Unknown: there is more of it than anybody writes.
    """
    return list(_settings(path, text, load, (), itertools.repeat(None, MOST), 0))


def _settings(
    path: str,
    text: str,
    load: Load,
    outer: tuple[Match, ...],
    budget: Iterator[None],
    depth: int,
) -> Iterator[Setting]:
    matches = outer
    if depth > DEEPEST:
        raise Unknown(f"{path}: files include one another more than {DEEPEST} deep")
    for line in text.split("\n"):
        if next(budget, budget) is budget:
            raise Unknown(f"{path}, with what it includes, has more than {MOST} lines")
        keyword, words = split_line(line)
        if keyword == "match":
            matches = (*outer, parse_match(words))
        elif keyword == "include":
            for pattern in words:
                for inner, content in load(pattern):
                    yield from _settings(inner, content, load, matches, budget, depth + 1)
        elif keyword:
            yield Setting(keyword, tuple(words), path, matches)
