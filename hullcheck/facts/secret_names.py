"""The names under which images carry secrets; never their values.

What is a secret, the transport decides, which cuts it out of evidence as it arrives, by its name or
by its shape, and leaves harmless values (empty, a path, a flag, ``${…}``). Where a session does not
cut, it is done here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from hullcheck.facts.images import Image
from hullcheck.facts.recipes import Instruction
from hullcheck.transport.redact import PLACEHOLDER, Redactor

__all__ = ["names_in_text", "names_of_secrets"]

_NAME = re.compile(r"([\w.-]+)[\"']?\s*[=:\s]\s*\\?[\"']?\Z", re.ASCII)
TOO_SHORT = ("0", "1", "2")
"""Lengths of what is no secret at all: 1 and 0 are said of what is called after one."""
_REDACTOR = Redactor(b"only names are told")
_CUT = re.compile(PLACEHOLDER.pattern.decode() + r"|\bredacted:\d+:[0-9a-f]{12}\b")
"""Without its brackets it stands in YAML, where these would begin a list."""


def names_of_secrets(image: Image, recipe: Iterable[Instruction]) -> set[str]:
    """Return the names of all variables, labels, arguments and commands that hold a secret.

    :raises Unknown: the engine tells no configuration of the image.
    """
    found = {
        entry.partition("=")[0]
        for entry in image.config("Env", [])
        if _CUT.search(_cut(entry).partition("=")[2])
    }
    found |= {
        f"label {name}"
        for name, value in image.labels.items()
        if _CUT.search(_cut(f"{name}={value}").partition("=")[2])
    }
    for made in recipe:
        found |= set(_in_text(made))
    return found


def _in_text(made: Instruction) -> Iterator[str]:
    return names_in_text(_cut(made.text), f"a {made.keyword or 'RUN'}")


def names_in_text(text: str, otherwise: str) -> Iterator[str]:
    """Yield what stands before each secret that was cut out of a text; if nothing, the other."""
    for cut in _CUT.finditer(text):
        if cut[0].split(":")[1] in TOO_SHORT:
            continue
        name = _NAME.search(text[max(0, cut.start() - 100) : cut.start()])
        yield name[1].lstrip("-") if name else otherwise


def _cut(text: str) -> str:
    cleaned = _REDACTOR.clean(text.encode("utf-8", "surrogateescape"))
    return cleaned.decode("utf-8", "surrogateescape")
