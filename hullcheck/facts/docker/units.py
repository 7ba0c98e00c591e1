"""systemd units: what systemd has loaded, or where it does not answer, what lies on disk."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.texts import lines_of
from hullcheck.transport import Answer, Want, session_of, want

__all__ = ["Unit", "unit_named", "user_directories", "user_unit_named", "wants"]

PROPERTIES = (
    "Id,LoadState,FragmentPath,DropInPaths,NeedDaemonReload,MainPID,ExecStart,EnvironmentFiles"
)

_ABSENT = ("No such file or directory", "Not a directory", "Too many levels of symbolic links")

DIRECTORIES = (
    "/etc/systemd/system.control", "/run/systemd/system.control", "/run/systemd/transient",
    "/run/systemd/generator.early", "/etc/systemd/system", "/run/systemd/system",
    "/run/systemd/generator", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system",
    "/lib/systemd/system", "/run/systemd/generator.late",
)  # fmt: skip
"""Where system units live, the strongest first; see systemd.unit(5)."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A systemd unit.

    :param loaded: whether systemd said so; else it was found in the unit directories.
    :param stale: whether its files have changed since systemd read them.
    """

    name: str
    fragment: str
    drop_ins: tuple[str, ...]
    loaded: bool
    stale: bool = False
    properties: dict[str, str] = field(default_factory=dict)

    @property
    def files(self) -> list[str]:
        """The fragment and the drop-ins."""
        return [self.fragment, *self.drop_ins] if self.fragment else list(self.drop_ins)


def wants(name: str) -> tuple[Want, Want]:
    """Return what must be asked of a unit: systemd's own words, and what lies on disk."""
    shown = want(f"systemctl show -p {PROPERTIES} -- {shlex.quote(name)}", meaning=(0, 1, 127))
    return shown, _listing(name, DIRECTORIES)


def _listing(name: str, directories: Sequence[str]) -> Want:
    quoted = [f"{shlex.quote(place)}/{shlex.quote(name)}" for place in directories]
    places = " ".join([*quoted, *(f"{place}.d/*.conf" for place in quoted)])
    return want(f"stat -L -c %n -- {places}", meaning=(0, 1))


def _listed(answer: Answer) -> list[str]:
    """Return which files of a listing exist. :raises Unknown: that of one cannot be seen."""
    complaints = answer.evidence.stderr.decode("utf-8", "replace").splitlines()
    other = [line for line in complaints if not line.endswith(_ABSENT)]
    found = lines_of(answer)
    if other or not (complaints or found):
        raise Unknown(f"cannot tell which units there are: {(other or ['nothing came'])[0]}")
    if not all(line.startswith("/") for line in found):
        raise Unknown(f"cannot tell which units there are: {found[0][:60]!r} is no file")
    return found


def user_directories(config: str, home: str) -> tuple[str, ...]:
    """Return where the units of a user's own systemd live, the strongest first.

    :param config: the user's configuration directory; ``home`` the home directory.
    """
    return (
        f"{config}/systemd/user", "/etc/systemd/user", "/run/systemd/user",
        f"{home}/.local/share/systemd/user", "/usr/local/lib/systemd/user", "/usr/lib/systemd/user",
    )  # fmt: skip


def user_unit_named(host: Host, name: str, config: str, home: str) -> Unit | None:
    """Return a unit of a user's own systemd, which only that user could ask."""
    listing = _listing(name, user_directories(config, home))
    return _on_disk(name, _listed(session_of(host).ask(listing)[0]))


def unit_named(host: Host, name: str) -> Unit | None:
    """Return a unit by its name, or None if there is none."""
    shown, listed = session_of(host).ask(*wants(name))
    if shown.exit == 0:
        properties = dict(line.partition("=")[::2] for line in shown.text.splitlines())
        if properties.get("LoadState") in ("loaded", "masked", "bad-setting", "error"):
            return Unit(
                name,
                properties.get("FragmentPath", ""),
                tuple(_paths(properties.get("DropInPaths", ""))),
                True,
                properties.get("NeedDaemonReload") == "yes",
                properties,
            )
        if properties.get("LoadState") == "not-found":
            return None
    return _on_disk(name, _listed(listed))


def _paths(text: str) -> list[str]:
    """Split a list of paths as systemd prints it: by spaces, with those inside escaped."""
    return [re.sub(r"\\x20|\\ ", " ", path) for path in re.split(r"(?<!\\) ", text) if path]


def _on_disk(name: str, found: list[str]) -> Unit | None:
    fragments = [path for path in found if path.endswith(f"/{name}")]
    chosen: dict[str, str] = {}
    for path in found:
        if path.endswith(".conf"):
            chosen.setdefault(path.rpartition("/")[2], path)
    if not fragments and not chosen:
        return None
    drop_ins = tuple(chosen[base] for base in sorted(chosen))
    return Unit(name, fragments[0] if fragments else "", drop_ins, False)
