"""What is in some directories of the system, listed in one command; links among it are kept."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from hullcheck.control import Unknown
from hullcheck.transport import Answer, CannotAnswer, Want, want

__all__ = ["Listing", "listed", "listing"]

END = "//end"
"""No path that find prints of an absolute one begins with two slashes."""

_ABSENT = ("No such file or directory", "Not a directory")
_COMPLAINT = re.compile(r"find: [^/]*(/.*?)['\"]?: ([^:]+)$")


@dataclass(frozen=True, slots=True)
class Listing:
    """:param paths: sorted; those asked for among them. ``hidden``: what cannot be seen, why."""

    paths: tuple[str, ...]
    hidden: dict[str, str]

    def below(self, folder: str) -> list[str]:
        """Return what is in a folder. :raises Unknown: it cannot be listed."""
        self.need(folder)
        return [each for each in self.paths if each.startswith(f"{folder.rstrip('/')}/")]

    def need(self, *paths: str) -> None:
        """:raises Unknown: one of the paths, or something in it, cannot be seen."""
        for path in paths:
            for place, why in self.hidden.items():
                if place in ("/", path) or place.startswith(f"{path}/"):
                    more = "; it needs root" if why == "Permission denied" else ""
                    raise Unknown(f"{place} cannot be seen: {why}{more}")


def listing(roots: Iterable[str], test: str = "", depth: int = 1) -> Want:
    """Return a want for some paths and what is in them, if it passes a test of find."""
    names = " ".join(map(shlex.quote, roots))
    return want(f"find -H {names} -maxdepth {depth} {test} -print0; printf '{END}\\0'")


def listed(answer: Answer) -> Listing:
    """Read what a :func:`listing` brought. :raises CannotAnswer: it is not whole."""
    *found, rest = answer.text.split("\0")
    if rest or found[-1:] != [END] or not all(each.startswith("/") for each in found):
        raise CannotAnswer(f"{answer.want.command[:60]}…: the listing is not whole")
    hidden = {}
    for line in answer.evidence.stderr.decode("utf-8", "surrogateescape").splitlines():
        if line.strip() and not line.endswith(_ABSENT):
            complaint = _COMPLAINT.match(line)
            place, why = (complaint[1], complaint[2]) if complaint else ("/", line.strip()[:200])
            hidden[place] = why
    return Listing(tuple(sorted(found[:-1])), hidden)
