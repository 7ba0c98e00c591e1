"""The names under which images carry secrets; never their values.

What is secret has been cut out of the evidence as it arrived, by its name or by its shape, and
harmless values (empty, a path, a flag, ``${…}``) have been left; so what was cut out is a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from hullcheck.facts.images import Image
from hullcheck.facts.recipes import Instruction
from hullcheck.transport.redact import PLACEHOLDER

__all__ = ["names_of_secrets"]

_NAME = re.compile(r"([\w.-]+)[\"']?\s*[=:\s]\s*\\?[\"']?\Z", re.ASCII)
_CUT = re.compile(PLACEHOLDER.pattern.decode())


def names_of_secrets(image: Image, recipe: Iterable[Instruction]) -> set[str]:
    """Return the names of all variables, labels, arguments and commands that hold a secret.

    :raises Unknown: the engine tells no configuration of the image.
    """
    found = {
        entry.partition("=")[0]
        for entry in image.config("Env", [])
        if _CUT.search(entry.partition("=")[2])
    }
    found |= {f"label {name}" for name, value in image.labels.items() if _CUT.search(value)}
    for made in recipe:
        found |= set(_in_text(made))
    return found


def _in_text(made: Instruction) -> Iterator[str]:
    """Yield what stands before each secret of an instruction, or what instruction it is."""
    for cut in _CUT.finditer(made.text):
        name = _NAME.search(made.text[max(0, cut.start() - 100) : cut.start()])
        yield name[1].lstrip("-") if name else f"a {made.keyword or 'RUN'}"
