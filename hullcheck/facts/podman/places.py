"""Where Podman keeps its configuration and its stores, for root and for every user of a host.

Two sweeps over the homes of all accounts, which depend on no host, say in one round what exists and
read what is small. The paths are those of containers.conf(5), containers-storage.conf(5),
containers-registries.conf(5), containers-policy.json(5) and podman-systemd.unit(5).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.accounts import Accounts
from hullcheck.facts.registry import get, provide
from hullcheck.facts.texts import lines_of, texts
from hullcheck.transport import Answer, CannotAnswer, session_of, want

__all__ = ["END", "Listed", "Places", "complaints", "listed", "podman_places", "swept"]

ROOT_STORE = "/var/lib/containers/storage"
USER_STORE = ".local/share/containers/storage"
USER_CONFIG = ".config/containers"

PROGRAMS = (
    "/usr/bin/podman", "/usr/local/bin/podman", "/opt/podman/bin/podman",
    "/run/current-system/sw/bin/podman",
)  # fmt: skip

SYSTEM = ("/etc/containers", "/usr/share/containers", "/run/containers/systemd")
UNIT_PLACES = (
    "/etc/systemd", "/run/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd", "/lib/systemd",
)  # fmt: skip
"""Where units of the system and of all users lie, the strongest first; systemd.unit(5)."""

USER_UNITS = ".config/systemd/user"
UNITS = ("podman.socket", "podman.service")

LARGEST = 2048
"""Files of more blocks of 512 bytes are not read."""

END = "= end"

_HOMES = (
    "{ { getent passwd || cat /etc/passwd; } 2>/dev/null | cut -d: -f6; printf '%s\\n' /home/*; }"
    " | grep '^/' | sort -u"
)
_OF_HOMES = "s|/*$||;h;" + "".join(
    f"g;s|$|/{path}|p;"
    for path in (
        USER_CONFIG,
        *(f"{USER_UNITS}/{unit}{end}" for unit in UNITS for end in ("", ".d")),
    )
)
_OF_UNITS = (f"{place}/{kind}/podman.*" for place in UNIT_PLACES for kind in ("system", "user"))
_OF_SYSTEM = " ".join((*SYSTEM, *_OF_UNITS))
_OF_USERS = "/run/user/*/containers/systemd"
_QUIETLY = "2>&1 >&3 | grep -avE '(No such file or|Not a) directory$' >&2; } 3>&1"

_NAMED = (
    '\\( -name "*.conf" -o -name policy.json -o -name "*.container"'
    " -o -path /etc/containers/seccomp.json -o -name podman.socket -o -name podman.service \\)"
    ' -exec stat -L -c "= %u %a %s %n" {} +'
    f" -size -{LARGEST + 1}"
)
_OWN = '\\( ! -user root -o -perm -004 -o -path "/root/*" \\)'
"""What a user may have linked into a place of theirs is not read for them."""

_READ = '-exec grep -aH "" {} +'

CONFIGURATION = want(
    f"{{ {{ printf '%s\\0' {_OF_SYSTEM} | xargs -0 sh -c '"
    f'exec find -L "$@" -maxdepth 6 -type f {_NAMED} {_READ}\' sh; '
    f"{{ printf '%s\\n' {_OF_USERS}; {_HOMES} | sed -n '{_OF_HOMES}'; }}"
    " | tr '\\n' '\\0' | xargs -0 sh -c '"
    'exec find "$@" -maxdepth 6 -type l -exec stat -c "= link %n" {} +'
    f" -o -type f {_NAMED} {_OWN} {_READ}' sh; }}"
    f" {_QUIETLY}; echo '{END}'"
)
"""``= UID MODE SIZE PATH`` of every file of configuration, and its lines after its name. Links are
followed in the system's places only: what users' links lead to is not theirs to show, and
``= link PATH`` says that there is one."""

STORES = want(
    f"{{ {{ {{ printf '%s\\n' / {' '.join(PROGRAMS)} {ROOT_STORE};"
    f" {_HOMES} | sed 's|/*$|/{USER_STORE}|'; }} | tr '\\n' '\\0'"
    f" | xargs -0 stat -L -c '= %u %a %s %n' --; }} {_QUIETLY}; echo '{END}'"
)
"""``= UID MODE SIZE PATH`` of every program and default store of Podman that exists."""

_LINK = re.compile(r"^= link (/.*)$", re.MULTILINE)
_LISTED = re.compile(r"= (\d+) ([0-7]+) (\d+) (/.*)")
_COMPLAINT = re.compile(r"^\w+: (?:[^/]*?['\"`])?(/.*?)['\"]?: ([^:]+)$")
_ABSENT = ("No such file or directory", "Not a directory", "Too many levels of symbolic links")
_LOOP = "find: File system loop detected; "
"""What such a link leads to is listed at its own place."""


@dataclass(frozen=True, slots=True)
class Listed:
    """What stat says of a file: its owner, permission bits and size."""

    uid: int
    mode: int
    size: int


def listed(answer: Answer) -> dict[str, Listed]:
    """Return the files that a sweep listed, by path.

    :raises CannotAnswer: the sweep did not come to its end, or a line is none of it.
    """
    lines = lines_of(answer)
    if not lines or lines[-1] != END:
        raise CannotAnswer(f"{answer.want.command[:60]}…: the sweep did not come to its end")
    found = {}
    for line in lines[:-1]:
        match = _LISTED.fullmatch(line)
        if match:
            found[match[4]] = Listed(int(match[1]), int(match[2], 8) & 0o7777, int(match[3]))
        elif not line.startswith(("/", "= link /")):
            raise CannotAnswer(f"{answer.want.command[:60]}…: a strange line came: {line[:60]!r}")
    return found


def complaints(answer: Answer) -> Iterator[tuple[str, str]]:
    """Yield the paths that a sweep could not look at, and why; not those that do not exist."""
    for line in answer.evidence.stderr.decode("utf-8", "surrogateescape").splitlines():
        if line.strip() and not line.endswith(_ABSENT) and not line.startswith(_LOOP):
            found = _COMPLAINT.match(line)
            yield (found[1], found[2]) if found else ("/", line.strip()[:200])


def swept(answer: Answer) -> dict[str, str | Unknown]:
    """Return the text of every file that a sweep listed and read; for one it could not, why.

    One whose name holds a colon cannot be told apart from a line of another's, and counts as
    unreadable.

    :raises CannotAnswer: it read what it did not list.
    """
    files = listed(answer)
    read = texts(answer, mark="= ")
    named = {path.partition(":")[0] for path in files}
    for path in read:
        if path not in named:
            raise CannotAnswer(f"{path} was read, and is not among the files that were found")
    found: dict[str, str | Unknown] = {}
    for path, file in files.items():
        if ":" in path:
            found[path] = Unknown(f"{path}: what was read of a file of such a name is not clear")
        elif path in read:
            found[path] = read[path]
        elif file.size:
            found[path] = Unknown(f"{path} was not read: it has {file.size} bytes")
        else:
            found[path] = ""
    return found


@dataclass(frozen=True)
class Places:
    """What Podman has on a host.

    :param files: the text of each file of configuration by its path, or why it cannot be read.
    :param owners: the uid of each.
    :param stores: the default stores that exist: their paths with their owners' uids.
    :param programs: the paths of podman itself, where packages put it.
    :param hidden: what could not be looked at, with the reason.
    """

    files: dict[str, str | Unknown] = field(repr=False)
    owners: dict[str, int] = field(repr=False)
    stores: dict[str, int]
    programs: tuple[str, ...]
    hidden: tuple[tuple[str, str], ...]

    def text(self, path: str) -> str | None:
        """Return the text of a file; None if there is none.

        :raises Unknown: it cannot be read, or cannot be seen.
        """
        found = self.files.get(path)
        if isinstance(found, Unknown):
            raise Unknown(*found.args)
        if found is None:
            self.need(path)
        return found

    def below(self, directory: str, ending: str = "") -> list[str]:
        """Return the files anywhere below a directory, sorted by path.

        :raises Unknown: a part of it cannot be seen.
        """
        self.need(directory, below=True)
        prefix = directory.rstrip("/") + "/"
        return sorted(
            path for path in self.files if path.startswith(prefix) and path.endswith(ending)
        )

    def need(self, path: str, below: bool = False) -> None:
        """Make sure that a place, or all below it, was looked at. :raises Unknown: it was not."""
        for place, why in self.hidden:
            above = place in ("/", path) or path.startswith(f"{place}/")
            if above or (below and place.startswith(f"{path}/")):
                raise Unknown(f"{place} cannot be looked at: {why}; it may need root")


@provide
def podman_places(host: Host) -> Places:
    """Podman's files of configuration, stores and programs on the host."""
    configuration, stores = session_of(host).ask(CONFIGURATION, STORES)
    existing = listed(stores)
    if "/" not in existing:
        raise CannotAnswer("the sweep over Podman's stores did not even see /")
    accounts: Accounts = get(host, "accounts")
    if not accounts.users:
        raise Unknown("the host names no account")
    links = [(path, "it is a link of a user's") for path in _LINK.findall(configuration.text)]
    hidden = dict([*links, *complaints(configuration), *complaints(stores)])
    owners = {path: file.uid for path, file in listed(configuration).items()}
    return Places(
        swept(configuration),
        owners,
        {path: file.uid for path, file in existing.items() if path.endswith("/storage")},
        tuple(path for path in existing if path in PROGRAMS),
        tuple(sorted(hidden.items())),
    )
