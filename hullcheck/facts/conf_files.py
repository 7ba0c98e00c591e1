"""Files of configuration of a subject, empty ones too, in one command."""

from __future__ import annotations

import fnmatch
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.podman.places import END, complaints, swept
from hullcheck.facts.texts import known
from hullcheck.transport import Want, session_of, want

__all__ = ["ConfFiles", "conf_files", "conf_want", "settings_of"]

LARGEST = 2048
"""Files of more blocks of 512 bytes are not read."""


def conf_want(paths: Iterable[str], names: Iterable[str] = ("*.conf",), depth: int = 1) -> Want:
    """Return a want for some files, and those with some names in some directories.

    A link to /dev/null, which hides another file, counts as an empty one.
    """
    named = " -o ".join(f"-name {shlex.quote(name)}" for name in names)
    places = " ".join(map(shlex.quote, paths))
    return want(
        f"find -L {places} -maxdepth {depth} \\( -type f -o -type c \\) \\( {named} \\)"
        f" -exec stat -L -c '= %u %a %s %n' {{}} + -type f -size -{LARGEST + 1}"
        f" -exec grep -aH '' {{}} +; echo '{END}'"
    )


@dataclass(frozen=True, slots=True)
class ConfFiles:
    """What was found.

    :param files: the text of each file by its path, or why it cannot be read.
    :param hidden: what could not be looked at, with the reason.
    """

    files: Mapping[str, str | Unknown] = field(repr=False)
    hidden: tuple[tuple[str, str], ...] = ()

    def text(self, path: str) -> str | None:
        """Return the text of a file; None if there is none. :raises Unknown: unreadable."""
        found = known(self.files.get(path))
        if found is None:
            self.need(path)
        return found

    def need(self, path: str) -> None:
        """Make sure that a place could be looked at. :raises Unknown: it could not."""
        for place, why in self.hidden:
            if place in ("/", path) or path.startswith(f"{place.rstrip('/')}/"):
                raise Unknown(f"{place} cannot be looked at: {why}; it may need root")

    def matching(self, pattern: str) -> list[str]:
        """Return the paths that a glob matches, sorted. :raises Unknown: some may be hidden."""
        self.need(pattern.rpartition("/")[0] or "/")
        depth = pattern.count("/")
        return sorted(
            path
            for path in self.files
            if path.count("/") == depth and fnmatch.fnmatchcase(path, pattern)
        )

    def layered(self, name: str, directories: Iterable[str]) -> list[tuple[str, str]]:
        """Return (path, text) of a file of systemd's and its drop-ins, weakest first.

        The first directory that has the file counts; a drop-in hides its namesakes in later
        directories, and they count in the order of their names (systemd.syntax(7)).
        """
        places = list(directories)
        main = next((path for each in places if self._there(path := f"{each}/{name}")), "")
        drops: dict[str, str] = {}
        for each in reversed(places):
            found = self.matching(f"{each}/{name}.d/*.conf")
            drops.update({path.rpartition("/")[2]: path for path in found})
        paths = [main] * bool(main) + [drops[each] for each in sorted(drops)]
        return [(path, self.text(path) or "") for path in paths]

    def _there(self, path: str) -> bool:
        return self.text(path) is not None


def conf_files(host: Host, asked: Want) -> ConfFiles:
    """Ask for some files.

    :raises CannotAnswer: the sweep did not come to its end.
    """
    answer = session_of(host).ask(asked)[0]
    return ConfFiles(swept(answer), tuple(complaints(answer)))


def settings_of(files: Iterable[tuple[str, str]], section: str) -> dict[str, str]:
    """Return the settings of a section of systemd's files, later ones counting more; an empty
    value takes back what was set."""
    found: dict[str, str] = {}
    for _, text in files:
        inside = ""
        for line in text.replace("\\\n", " ").splitlines():
            stripped = line.strip()
            if stripped.startswith("[") and stripped.endswith("]"):
                inside = stripped[1:-1]
            elif inside == section and stripped[:1] not in ("#", ";", ""):
                name, equals, value = stripped.partition("=")
                if equals:
                    found[name.strip()] = value.strip()
    return {name: value for name, value in found.items() if value}
