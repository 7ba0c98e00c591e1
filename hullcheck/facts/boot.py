"""How a host is started: its firmware's Secure Boot, its boot loader, and the files they load."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.registry import fact, provide
from hullcheck.facts.texts import lines_of
from hullcheck.facts.tree_sweep import Entry, swept
from hullcheck.transport import Answer, session_of, want

__all__ = ["Boot", "Loader", "boot"]

EFI = "/sys/firmware/efi/efivars"
GLOBAL, SHIM = "8be4df61-93ca-11d2-aa0d-00e098032b8c", "605dab50-e046-4300-abb6-3dd810dd8b23"
VARIABLES = (f"SecureBoot-{GLOBAL}", f"SetupMode-{GLOBAL}", f"MokSBStateRT-{SHIM}")
"""UEFI specification, global variables; shim's own says that it was told not to validate."""

FIRMWARE = want(
    f"if [ -d /sys/firmware/efi ]; then echo =efi; for f in {EFI}/*; do "
    "[ ! -e $f ] || { echo =variables; break; }; done; "
    f"for v in {' '.join(VARIABLES)}; do f={EFI}/$v; "
    '[ ! -e $f ] || echo "$v:"$(od -An -v -tx1 $f); done; else echo =other; fi'
)

PLACES = {"B": "/boot", "E": "/boot/efi", "F": "/boot/firmware", "G": "/efi"}
"""Where boot loaders keep their files, by a variable of the shell."""

_NONE = "/proc/unmounted"
_FIND = "".join(
    f"{name}={place}; case $(grep ' {place} ' /proc/self/mountinfo | tail -n 1) in "
    f"*' - autofs '*) {name}={_NONE}; echo '{place}: an automount, left alone' >&2;; esac; "
    for name, place in PLACES.items()
)
LOOK = f"{_FIND}[ $B = /boot ] || {{ E={_NONE}; F={_NONE}; }}; "
"""Where to look: an automount of systemd-gpt-auto-generator(8) would mount if it was."""

_BYTES = 1_000_000
CHANGEABLE = want(
    f"{{ {LOOK}timeout 50 find $B/ $E/ $F/ $G/ -xdev ! -type l "
    r"\( ! -user 0 -o -perm -002 -o \( -perm -020 ! -group 0 \) \) "
    f"-exec stat -c '%f %i %s %u %g %n\n//' -- {{}} +; printf 'end %s\\n//\\n' $?; }} "
    f"| head -c {_BYTES}",
    seconds=60,
)

CONFIGS = (
    "$B/grub/grub.cfg", "$B/grub2/grub.cfg", "$E/EFI/*/grub.cfg", "$G/EFI/*/grub.cfg",
    "$B/grub/user.cfg", "$B/grub2/user.cfg", "$E/EFI/*/user.cfg", "$B/grub/custom.cfg",
    "$B/grub2/custom.cfg", "$B/loader/loader.conf", "$G/loader/loader.conf",
    "$E/loader/loader.conf", "$B/extlinux/extlinux.conf", "$B/extlinux.conf",
    "$B/syslinux/syslinux.cfg", "$B/cmdline.txt", "$F/cmdline.txt", "$B/boot.scr",
)  # fmt: skip
FOLDERS = ("$B", "$B/grub", "$B/grub2", "$E", "$E/EFI", "$B/loader", "$F", "$G", "$G/EFI",
           "$G/loader")  # fmt: skip

_B = "[[:space:]]"
_LINES = (
    rf"s/^{_B}*set{_B}\{{1,\}}\(superusers=.*\)/\1/p",
    rf"s/^{_B}*password_pbkdf2{_B}\{{1,\}}[^[:space:]]*{_B}\{{1,\}}[$].*/hash from a variable/p",
    rf"s/^{_B}*password_pbkdf2{_B}\{{1,\}}[^[:space:]]*{_B}\{{1,\}}grub[.]pbkdf2.*/hash/p",
    rf"s/^{_B}*password{_B}\{{1,\}}[^[:space:]]*{_B}.*/in the clear/p",
    rf"s/^{_B}*GRUB2_PASSWOR[D]=.\{{0,1\}}grub[.]pbkdf2.*/variable/p",
    rf"s/^{_B}*configfile{_B}.*/configfile/p",
    rf"s/^{_B}*\([Ee][Dd][Ii][Tt][Oo][Rr]{_B}.*\)/\1/p",
    rf"s/^{_B}*[Mm][Ee][Nn][Uu]{_B}\{{1,\}}[Mm][Aa][Ss][Tt][Ee][Rr]{_B}.*/master password/p",
)
"""What of a configuration bears on passwords, and no password or hash with it (sed). Written so
that it is not itself taken for a secret, and cut out of the evidence."""

LOADERS = want(
    f"{LOOK}for d in {' '.join(FOLDERS)}; do [ ! -d $d ] || {{ [ -r $d ] && [ -x $d ]; }} || "
    'echo "=closed $d"; done; '
    f'for f in {" ".join(CONFIGS)}; do if [ -r "$f" ]; then stat -L -c \'=%a %n\' -- "$f" && '
    f"sed -n {' '.join(f'-e {shlex.quote(each)}' for each in _LINES)} "
    '"$f" && echo =end; elif [ -e "$f" ]; then echo "=denied $f"; fi; done; echo =.'
)

_ABSENT = ("No such file or directory", "Not a directory")


@dataclass(frozen=True, slots=True)
class Config:
    """One file of a boot loader's configuration.

    :param lines: what of it bears on passwords; see ``_LINES``.
    """

    path: str
    mode: int
    lines: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        return self.path

    @property
    def secret(self) -> bool:
        """Whether it holds a password, or the hash of one."""
        return bool({"hash", "in the clear", "variable", "master password"} & set(self.lines))


@dataclass(frozen=True, slots=True)
class Loader:
    """A boot loader: GRUB, systemd-boot, syslinux; of any other it is not known how it is guarded.

    :param configs: its own file first.
    """

    kind: str
    configs: tuple[Config, ...]

    def __str__(self) -> str:
        return f"{self.kind} ({self.configs[0]})"

    @property
    def guard(self) -> str:
        """What keeps a person at the console from changing what is booted; empty: nothing."""
        own, said = self.configs[0], [line for each in self.configs for line in each.lines]
        if self.kind == "GRUB":
            return self._grub(said)
        if self.kind == "systemd-boot":
            values = [line.split()[1].lower() for line in own.lines if len(line.split()) > 1]
            return "editor off" if values[-1:] and values[-1] in ("no", "0", "off", "false") else ""
        return "password" if "master password" in said else ""

    @staticmethod
    def _grub(said: list[str]) -> str:
        """GRUB asks for a password once ``superusers`` is set, and knows those of ``password``.

        Red Hat's own file sets it only where ``user.cfg`` has a hash.
        """
        users = [
            line.partition("=")[2].strip("\"' ") for line in said if line[:11] == "superusers="
        ]
        if not users:
            return ""
        if users[-1] == "" or "hash" in said:
            return "password"
        return "password" if {"hash from a variable", "variable"} <= set(said) else ""


class Boot:
    """How a host is started."""

    def __init__(self, host: Host) -> None:
        self.host = host

    @fact
    def secure(self) -> dict[str, int]:
        """Secure Boot's variables: ``SecureBoot``, ``SetupMode``, ``MokSBStateRT``, if there.

        :raises NotApplicable: the host was not started by UEFI firmware.
        :raises Unknown: its variables cannot be seen.
        """
        lines = lines_of(session_of(self.host).ask(FIRMWARE)[0])
        if lines == ["=other"]:
            raise NotApplicable("this host was not started by UEFI firmware")
        if lines[:2] != ["=efi", "=variables"]:
            raise Unknown("the firmware's variables cannot be seen: efivarfs is not mounted")
        found = {}
        for line in lines[2:]:
            name, _, data = line.partition(": ")
            if name not in VARIABLES or not re.fullmatch(r"([0-9a-f]{2} ){4}[0-9a-f]{2}", data):
                raise Unknown(f"the firmware's variable {name[:60]!r} cannot be read")
            found[name.partition("-")[0]] = int(data[-2:], 16)
        return found

    @property
    def changeable(self) -> list[Entry]:
        """What below /boot and /efi belongs to others than root, or can be written by them.

        :raises NotApplicable: there is nothing there.
        """
        return self._changeable[0]

    @property
    def unseen(self) -> str:
        """Why not all of it could be seen; empty if it could."""
        return self._changeable[1]

    @fact
    def _changeable(self) -> tuple[list[Entry], str]:
        answer = session_of(self.host).ask(CHANGEABLE)[0]
        found, _ = swept(answer, tuple(PLACES.values()))
        complaints = answer.evidence.stderr.decode("utf-8", "replace").splitlines()
        broken = [each for each in complaints if not each.endswith(_ABSENT)]
        gone = [re.fullmatch(r"find: \W?(/\S*?)/?\W?: [^:]+", each) for each in complaints]
        if {"/boot", "/efi"} <= {each[1] for each in gone if each} and not broken:
            raise NotApplicable("this host has neither /boot nor /efi")
        return found, broken[0][:200] if broken else ""

    @fact
    def _configs(self) -> tuple[list[Config], list[str]]:
        return _configs(session_of(self.host).ask(LOADERS)[0])

    @property
    def configs(self) -> list[Config]:
        """The boot loaders' files that can be read."""
        return self._configs[0]

    @fact
    def loaders(self) -> list[Loader]:
        """The boot loaders of the host.

        :raises NotApplicable: it has none: it was started from outside.
        :raises Unknown: a part of what they have cannot be read.
        """
        configs, denied = self._configs
        if denied:
            raise Unknown(f"{denied[0]} is closed to this user; needs root")
        found = list(_loaders(configs))
        if not found:
            raise NotApplicable("no boot loader has its files on this host")
        return found


def _configs(answer: Answer) -> tuple[list[Config], list[str]]:
    """Return the files that could be read, and the paths that could not."""
    found: list[Config] = []
    denied: list[str] = []
    lines: list[str] | None = None
    mode, path = 0, ""
    *told, end = lines_of(answer) or [""]
    for line in told:
        head = re.fullmatch(r"=([0-7]{1,4}) (/.*)", line)
        closed = re.fullmatch(r"=(?:closed|denied) (/.*)", line)
        if closed:
            denied.append(closed[1])
        elif head:
            mode, path, lines = int(head[1], 8), head[2], []
        elif line == "=end" and lines is not None:
            found.append(Config(path, mode, tuple(lines)))
            lines = None
        elif lines is not None:
            lines.append(line.strip())
        else:
            raise Unknown("what was read of the boot loader makes no sense")
    if lines is not None or end != "=.":
        raise Unknown("the boot loader's files could not be read to their end")
    if answer.complaint:
        raise Unknown(f"not all of the boot loader's files can be seen: {answer.complaint}")
    return found, denied


def _loaders(configs: Iterable[Config]) -> Iterable[Loader]:
    """Yield the boot loaders that some files belong to.

    A ``grub.cfg`` that hands over to another is a stub of the EFI partition's.
    """
    for own in configs:
        folder, name = posixpath.split(own.path)
        if name == "grub.cfg" and "configfile" not in own.lines:
            beside = (f"{folder}/user.cfg", f"{folder}/custom.cfg")
            more = [each for each in configs if each.path in beside]
            yield Loader("GRUB", (own, *more))
        elif name == "loader.conf":
            yield Loader("systemd-boot", (own,))
        elif name in ("extlinux.conf", "syslinux.cfg"):
            yield Loader("syslinux", (own,))
        elif name in ("cmdline.txt", "boot.scr"):
            yield Loader("the board's own", (own,))


@provide
def boot(host: Host) -> Boot:
    """How the host is started."""
    session_of(host).foresee(FIRMWARE, CHANGEABLE, LOADERS)
    return Boot(host)
