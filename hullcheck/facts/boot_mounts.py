"""What the next boot will mount: fstab(5) and mount units (systemd.mount(5)).

A unit in /etc or /run counts more than a line of fstab, and that more than a unit in /usr; drop-ins
of the unit's name count for all three (systemd.unit(5), systemd-fstab-generator(8)).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.registry import provide
from hullcheck.facts.services import BOOTED
from hullcheck.facts.texts import known, lines_of, texts
from hullcheck.transport import session_of, want

__all__ = [
    "FLAGS", "BootMount", "BootMounts", "boot_mounts", "flags_of", "parse_fstab", "unit_path",
]  # fmt: skip

FLAGS = ("nosuid", "nodev", "noexec")

OWN = ("/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system")
SHIPPED = ("/usr/lib/systemd/system", "/lib/systemd/system")
MADE = ("/run/systemd/generator.early", "/run/systemd/generator", "/run/systemd/generator.late")
PLACES = (*OWN, *MADE, *SHIPPED)
"""Where units lie, the strongest first; fstab stands with what generators made of it."""

FSTAB = "/etc/fstab"
TEXTS = want(
    f"grep -H '' -- {FSTAB}; find -L {' '.join(PLACES)} -maxdepth 2 -type f "
    "\\( -name '*.mount' -o -name '*.automount' -o -path '*.mount.d/*.conf' \\)"
    " -exec grep -H '' {} +",
    meaning=(0, 1),
)
LINKS = want(
    f"find {' '.join(PLACES)} -maxdepth 2 -type l \\( -name '*.mount' -o -name '*.automount' \\) "
    '-exec sh -c \'for l; do printf "%s -> %s\\n" "$l" "$(readlink "$l")"; done\' sh {} +',
    meaning=(0, 1),
)

_ESCAPE = re.compile(r"\\([0-7]{3})")
_UNIT_ESCAPE = re.compile(r"(?:\\x[0-9a-f]{2})+")
_ABSENT = ("No such file or directory", "Not a directory", "Too many levels of symbolic links")
_IMPLIED = {
    "user": FLAGS, "users": FLAGS, "owner": FLAGS[:2], "group": FLAGS[:2],
    **{each: (each,) for each in FLAGS},
}  # fmt: skip
_OPPOSITE = {"suid": "nosuid", "dev": "nodev", "exec": "noexec"}
_FIELDS = 3


@dataclass(frozen=True, slots=True)
class BootMount:
    """One thing that is mounted at boot.

    :param flags: those of :data:`FLAGS` that are set.
    :param source: where it is written: /etc/fstab, or the unit's path.
    """

    target: str
    what: str
    fstype: str
    options: tuple[str, ...]
    source: str

    @property
    def flags(self) -> frozenset[str]:
        return flags_of(self.options)

    @property
    def bind(self) -> bool:
        """Whether it shows a directory that is mounted elsewhere."""
        return not {"bind", "rbind"}.isdisjoint(self.options)


def flags_of(options: Iterable[str]) -> frozenset[str]:
    """Return the flags that options of mount(8) set; a later one counts more."""
    found: set[str] = set()
    for option in options:
        found.update(_IMPLIED.get(option.partition("=")[0], ()))
        found.discard(_OPPOSITE.get(option, ""))
    return frozenset(found)


def parse_fstab(text: str) -> Iterator[BootMount]:
    """Yield what an fstab(5) mounts at boot, swap left out. :raises Unknown: a line is damaged."""
    for line in text.split("\n"):
        fields = line.split()
        if not fields or fields[0].startswith("#"):
            continue
        if len(fields) < _FIELDS:
            raise Unknown(f"{FSTAB} has a line that is none: {line[:80]!r}")
        what, target, fstype = (_ESCAPE.sub(_letter, each) for each in fields[:3])
        options = tuple(fields[3].split(",")) if len(fields) > _FIELDS else ()
        asked = "noauto" not in options or "x-systemd.automount" in options
        if target.startswith("/") and fstype != "swap" and asked:
            yield BootMount(posixpath.normpath(target), what, fstype, options, FSTAB)


def _letter(found: re.Match[str]) -> str:
    return chr(int(found[1], 8))


def unit_path(name: str) -> str:
    """Return the path that a mount unit is for; systemd.unit(5), string escaping."""
    stem = name.rpartition(".")[0]
    plain = "/" if stem == "-" else "/" + stem.replace("-", "/")

    def letters(found: re.Match[str]) -> str:
        return bytes.fromhex(found[0].replace("\\x", "")).decode("utf-8", "surrogateescape")

    return _UNIT_ESCAPE.sub(letters, plain)


def unit_name(path: str) -> str:
    """Return the name of the mount unit for a path; the other way of :func:`unit_path`."""

    def letter(found: re.Match[str]) -> str:
        return "".join(f"\\x{byte:02x}" for byte in found[0].encode("utf-8", "surrogateescape"))

    parts = path.strip("/")
    plain = re.sub(r"[^A-Za-z0-9:_./]|^\.", letter, parts)
    return f"{plain.replace('/', '-') or '-'}.mount"


def parse_unit(text: str) -> dict[str, str]:
    """Return the last value of each setting of a unit's [Mount] section."""
    found: dict[str, str] = {}
    section = ""
    for line in re.sub(r"\\\n", " ", text).split("\n"):
        stripped = line.strip()
        if stripped.startswith("[") and stripped.endswith("]"):
            section = stripped
        elif section == "[Mount]" and "=" in stripped and stripped[0] not in "#;":
            key, _, value = stripped.partition("=")
            found[key.strip()] = value.strip()
    return found


@dataclass(frozen=True)
class BootMounts:
    """What is mounted at boot, by where.

    :param systemd: whether systemd does it.
    :param found: by target; several if more than one line of fstab says so.
    :param masked: targets whose unit is masked.
    """

    systemd: bool
    found: Mapping[str, tuple[BootMount, ...]] = field(repr=False)
    masked: frozenset[str] = frozenset()

    def get(self, target: str) -> tuple[BootMount, ...]:
        """Return what is mounted at a place; () if nothing is."""
        return self.found.get(target, ())

    def flags(self, target: str, depth: int = 3) -> frozenset[str] | None:
        """Return the flags that a place surely has; None if nothing is mounted there.

        A bind mount also has those of what it shows.
        """
        entries = self.get(target)
        if not entries:
            return None
        own = []
        for each in entries:
            shown = self.flags(posixpath.normpath(each.what), depth - 1) if (
                each.bind and depth and each.what.startswith("/")
            ) else None  # fmt: skip
            own.append(each.flags | (shown or frozenset()))
        return frozenset.intersection(*own)


@provide
def boot_mounts(host: Host) -> BootMounts:
    """What is mounted at the next boot. :raises Unknown: fstab or a unit cannot be read."""
    booted, answer, linked = session_of(host).ask(BOOTED, TEXTS, LINKS)
    written = texts(answer)
    for line in (answer, linked):
        for complaint in line.evidence.stderr.decode("utf-8", "replace").splitlines():
            if not complaint.endswith(_ABSENT):
                raise Unknown(f"what is mounted at boot cannot be told: {complaint[:200]}")
    lines = parse_fstab(known(written.get(FSTAB)) or "")
    by_target: dict[str, list[BootMount]] = {}
    for each in lines:
        by_target.setdefault(each.target, []).append(each)
    if booted.exit:
        return BootMounts(False, {key: tuple(each) for key, each in by_target.items()})
    return _with_units(by_target, written, dict(_links(lines_of(linked))))


def _links(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        path, arrow, target = line.partition(" -> ")
        if arrow:
            yield path, target


def _with_units(
    lines: Mapping[str, list[BootMount]],
    written: Mapping[str, str | Unknown],
    links: Mapping[str, str],
) -> BootMounts:
    """Return what fstab and units mount together."""
    names = {posixpath.basename(path) for path in (*written, *links) if path.endswith(".mount")}
    targets = {unit_path(name): name for name in names}
    made, masked = {}, set()
    for target in {*lines, *targets}:
        name = targets.get(target) or unit_name(target)
        path = _first(name, written, links)
        if path and _masked(path, written, links):
            masked.add(target)
            continue
        entries = list(lines.get(target, ()))
        text = known(written.get(path)) or "" if path else ""
        started = bool(path) and (_made(path, text) or _wanted(name, links))
        if path.startswith(OWN) and (entries or started):
            entries = [_of_unit(target, path, text)]
        elif not entries and not started:
            continue
        elif not entries:
            entries = [_of_unit(target, path, text)]
        made[target] = tuple(_dropped(each, name, written) for each in entries)
    return BootMounts(True, made, frozenset(masked))


def _first(name: str, written: Mapping[str, object], links: Mapping[str, str]) -> str:
    paths = (f"{place}/{name}" for place in PLACES)
    return next((path for path in paths if path in written or path in links), "")


def _masked(path: str, written: Mapping[str, object], links: Mapping[str, str]) -> bool:
    """Whether a unit is a link to /dev/null, or to nothing."""
    return path in links and (links[path] == "/dev/null" or path not in written)


def _made(path: str, text: str) -> bool:
    """Whether a generator makes a unit at every boot, of something else than fstab."""
    return path.startswith(MADE) and f"SourcePath={FSTAB}\n" not in f"{text}\n"


def _wanted(name: str, links: Mapping[str, str]) -> bool:
    """Whether a target or another unit pulls a unit in, itself or when somebody looks at it."""
    auto = f"{name.removesuffix('.mount')}.automount"
    return any(
        posixpath.basename(path) in (name, auto)
        and not path.startswith(MADE)
        and posixpath.dirname(path).endswith((".wants", ".requires"))
        for path in links
    )


def _of_unit(target: str, path: str, text: str) -> BootMount:
    said = parse_unit(text)
    options = tuple(each for each in said.get("Options", "").split(",") if each)
    return BootMount(target, said.get("What", ""), said.get("Type", ""), options, path)


def _dropped(entry: BootMount, name: str, written: Mapping[str, str | Unknown]) -> BootMount:
    """Return an entry with its drop-ins; of one name, only the strongest counts."""
    chosen: dict[str, str] = {}
    for place in PLACES:
        folder = f"{place}/{name}.d/"
        for path in written:
            if path.startswith(folder):
                chosen.setdefault(posixpath.basename(path), path)
    for each in sorted(chosen):
        said = parse_unit(known(written[chosen[each]]) or "")
        if "Options" in said:
            options = tuple(one for one in said["Options"].split(",") if one)
            entry = BootMount(entry.target, entry.what, entry.fstype, options, chosen[each])
    return entry
