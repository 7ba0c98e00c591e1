"""What the text of a Jenkinsfile tells: its strings, and what word stands before them.

Groovy is a language, and a Jenkinsfile a program in it: no parser says what it does in the end.
Rules of the text: groovy-lang.org, syntax (comments, the four kinds of quotes).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Literal", "literals"]

_TOKEN = re.compile(
    r"(?P<comment>/\*.*?(?:\*/|\Z)|//[^\n]*|\A#![^\n]*)"
    r"|(?P<string>\"\"\"(?:[^\\\"]|\\.|\"(?!\"\"))*+(?:\"\"\"|\Z)"
    r"|'''(?:[^\\']|\\.|'(?!''))*+(?:'''|\Z)"
    r"|\"(?:[^\\\"\n]|\\.)*+(?:\"|(?=\n)|\\?\Z)|'(?:[^\\'\n]|\\.)*+(?:'|(?=\n)|\\?\Z))"
    r"|(?P<word>[A-Za-z_]\w*)|(?P<mark>[^\sA-Za-z_])",
    re.DOTALL,
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_LETTERS = {"n": "\n", "t": "\t", "r": "", "\n": ""}


@dataclass(frozen=True, slots=True)
class Literal:
    """A string.

    :param number: the line it begins on.
    :param before: the last two words before it, brackets and colons left out: ``sh``, ``script``.
    """

    text: str
    number: int
    before: tuple[str, ...]


def literals(text: str) -> list[Literal]:
    """Return all strings of a Groovy text that are in no comment, in their order."""
    found: list[Literal] = []
    words: list[str] = []
    number, counted = 1, 0
    for token in _TOKEN.finditer(text):
        number += text.count("\n", counted, token.start())
        counted = token.start()
        if token["string"]:
            size = 3 if token["string"][:3] in ('"""', "'''") else 1
            inside = token["string"][size:-size]
            plain = _ESCAPED.sub(lambda each: _LETTERS.get(each[1], each[1]), inside)
            found.append(Literal(plain, number, tuple(words[-2:])))
        elif token["word"]:
            words.append(token["word"])
        elif token["mark"] and token["mark"] in ";{}":
            words.clear()
    return found
