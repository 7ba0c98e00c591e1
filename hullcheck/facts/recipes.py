"""How images were made: the instructions in their histories, whoever built them.

Formats: the classic builder (``/bin/sh -c #(nop) ADD file:… in /``; a RUN without its name),
BuildKit (``RUN /bin/sh -c … # buildkit``), Buildah and kaniko (either). Sources: moby,
builder/dockerfile/dispatchers.go; BuildKit, frontend/dockerfile/dockerfile2llb/convert.go.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from hullcheck.control import Unknown
from hullcheck.facts.images import Image, Step
from hullcheck.facts.shell import SHELLS, Command, Unreadable, parse

__all__ = [
    "FILLS", "Instruction", "commands", "instruction", "is_archive", "is_root_file_system",
    "recipe", "sources",
]  # fmt: skip

KEYWORDS = frozenset({
    "ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL",
    "MAINTAINER", "ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
})  # fmt: skip
FILLS = ("", "ADD", "COPY", "RUN")
"""What makes layers; "" is what no instruction tells: an import, another tool's own layer."""

_NOP = re.compile(r"/bin/sh -c #\(nop\)\s*")
_ARGUMENTS = re.compile(r"\|(\d+)\s")
_SHELL = re.compile(
    rf"(?:^|(?<=\s))(?:/\S*/)?(?:{'|'.join(sorted(SHELLS))})"
    r"(?:\s+-[a-bd-z]*o\s+\w+|\s+-[a-bd-np-z]+(?=\s)|\s+--[a-z]+(?=\s))*\s+-[a-z]*c(?:\s+-o\s+\w+)*\s"
)
_ARCHIVE = re.compile(r"\.(?:tar(?:\.\w+)?|t[gbx]z2?|tzst)$", re.IGNORECASE)
_CLASSIC = re.compile(r"(?P<what>(?:file|dir|multi):\S+) in (?P<target>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction of a recipe.

    :param keyword: RUN, ADD …; empty if a layer was made in another way.
    :param text: what comes after it; of a RUN, with the build's arguments before it.
    """

    keyword: str
    text: str
    step: Step

    def __str__(self) -> str:
        text = " ".join(f"{self.keyword} {self.text}".split())
        return text if len(text) <= 100 else f"{text[:97]}..."


def recipe(image: Image) -> list[Instruction]:
    """Return the instructions that made an image, the first one first."""
    return [instruction(step) for step in image.history]


def instruction(step: Step) -> Instruction:
    """Return the instruction that a step of a history was."""
    text = step.created_by.strip().removesuffix("# buildkit").rstrip()
    described = _NOP.match(text)
    text = text[described.end() :] if described else text
    keyword, _, rest = text.partition(" ")
    if keyword in KEYWORDS:
        return Instruction(keyword, rest.strip(), step)
    if not text or text.startswith("#") or described:
        return Instruction("", text, step)
    return Instruction("RUN", text, step)


def commands(made: Instruction) -> list[Command]:
    """Return the commands that a RUN runs. :raises Unknown: it is too long, or too deep."""
    text = made.text
    counted = _ARGUMENTS.match(text)
    shell = _SHELL.search(text) if counted else _SHELL.match(text)
    if shell:
        text = text[shell.end() :]
    elif counted:
        text = " ".join(text[counted.end() :].split()[int(counted[1][:6]) :])
    try:
        return parse(text)
    except Unreadable as reason:
        raise Unknown(f"{made}: {reason}") from None


def sources(made: Instruction) -> tuple[list[str], str]:
    """Return what an ADD or COPY brings in, and where to.

    The classic builder only tells digests: ``file:…``, ``dir:…`` or ``multi:…``.
    """
    classic = _CLASSIC.fullmatch(made.text.strip())
    if classic:
        return [classic["what"]], classic["target"].strip()
    words = [word for word in made.text.split() if not word.startswith("--")]
    if made.text.lstrip().startswith("["):
        words = [word.strip('[],"') for word in words]
    return words[:-1], words[-1] if words else ""


def is_archive(source: str) -> bool:
    """Whether a source is a local archive, by its name; only ADD unpacks these."""
    return "://" not in source and _ARCHIVE.search(source) is not None


def is_root_file_system(made: Sequence[Instruction], number: int) -> bool:
    """Whether an instruction is the ADD that a base image begins with: of one archive, to ``/``,
    before anything else fills a layer."""
    if any(each.keyword in FILLS for each in made[:number]):
        return False
    what, target = sources(made[number])
    return target == "/" and len(what) == 1 and (what[0].startswith("file:") or is_archive(what[0]))
