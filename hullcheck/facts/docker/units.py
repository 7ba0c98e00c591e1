"""systemd units: what systemd has loaded, or where it does not answer, what lies on disk."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field

from testinfra.host import Host

from hullcheck.transport import Want, session_of, want

__all__ = ["Unit", "unit_named", "wants"]

PROPERTIES = (
    "Id,LoadState,FragmentPath,DropInPaths,NeedDaemonReload,MainPID,ExecStart,EnvironmentFiles"
)

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
    quoted = shlex.quote(name)
    places = " ".join(f"{place}/{quoted}" for place in DIRECTORIES)
    folders = " ".join(f"{place}/{quoted}.d/*.conf" for place in DIRECTORIES)
    return (
        want(f"systemctl show -p {PROPERTIES} -- {quoted}", meaning=(0, 1, 127)),
        want(f'for f in {places} {folders}; do [ ! -e "$f" ] || echo "$f"; done', meaning=(0, 1)),
    )


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
    return _on_disk(name, listed.text.splitlines())


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
