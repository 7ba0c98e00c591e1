"""Which rights new files of a login are kept from having: login.defs(5), pam_umask(8), profiles."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.registry import provide
from hullcheck.facts.texts import END, known, whole
from hullcheck.transport import session_of, want

__all__ = ["LINES", "Mask", "Umask", "umask"]

DEFAULT = 0o022
"""What the kernel's first process, and without another word every login, has."""

PAM = ("common-session", "common-session-noninteractive", "login", "sshd", "system-auth",
       "password-auth", "postlogin", "base-session", "system-login", "system-remote-login",
       "common-session-pc")  # fmt: skip
_PAM = " ".join(f"{place}/{name}" for place in ("/etc/pam.d", "/usr/lib/pam.d") for name in PAM)
_PROFILES = (
    "/etc/profile /etc/profile.local /etc/profile.d/*.sh /etc/bash.bashrc /etc/bash.bashrc.local"
    " /etc/bashrc /etc/bash/bashrc /usr/etc/profile /usr/etc/bash.bashrc"
)
LINES = want(
    r"grep -aHE '(^|[^A-Za-z0-9_/.$-])[Uu](mask|MASK)([[:blank:]=]|$)|pam_umask"
    r"|^[[:blank:]]*USERGROUPS_ENAB[[:blank:]]' -- /dev/null /etc/login.defs /usr/etc/login.defs"
    f" /etc/default/login {_PAM} {_PROFILES}; echo '{END}'"
)

_STATEMENT = re.compile(
    r"(?:^|[;&|{]|\bthen\b|\belse\b|\bdo\b)[ \t]*umask[ \t]+(?:-S[ \t]+)?([^\s;&|}]+)"
)
_SYMBOLIC = re.compile(r"(?:[ugoa]+=[rwxX]*)(?:,[ugoa]+=[rwxX]*)*")


@dataclass(frozen=True, slots=True)
class Mask:
    """One umask.

    :param always: whether it is set without a condition.
    :param shared: whether the group's bits are then made the owner's, for users whose group is
        their own.
    """

    value: int
    where: str
    always: bool = True
    shared: bool = False

    @property
    def strict(self) -> bool:
        """Whether others get nothing, and a group of several nothing but reading."""
        return self.value & 0o027 == (0o007 if self.shared else 0o027) | self.value & 0o020

    def __str__(self) -> str:
        return f"{self.value:03o} ({self.where})"


@dataclass(frozen=True, slots=True)
class Umask:
    """:param login: what a login begins with. ``profiles``: what shells set after it."""

    login: Mask
    profiles: tuple[Mask, ...]


def parse_mask(text: str) -> int | None:
    """Return a umask, octal or symbolic; None if it is neither."""
    text = text.strip("\"'")
    if re.fullmatch(r"[0-7]{1,4}", text):
        return int(text, 8) & 0o777
    if not _SYMBOLIC.fullmatch(text):
        return None
    mask = DEFAULT
    for clause in text.split(","):
        who, _, rights = clause.partition("=")
        bits = sum({"r": 4, "w": 2, "x": 1, "X": 1}[each] for each in set(rights.replace("X", "x")))
        for each in "ugo" if "a" in who else who:
            shift = {"u": 6, "g": 3, "o": 0}[each]
            mask = mask & ~(7 << shift) | (7 & ~bits) << shift
    return mask


def _statements(path: str, text: str, shared: bool) -> Iterator[Mask]:
    for line in text.split("\n"):
        said = line.partition("#")[0]
        # "[ `umask` -eq 0 ] && umask 022" is for a session that has none.
        if "`umask`" in said or "$(umask)" in said:
            continue
        for word in _STATEMENT.findall(said):
            value = parse_mask(word)
            if value is None:
                raise Unknown(f"{path} sets a umask that cannot be read: {word[:40]}")
            yield Mask(value, path, said.startswith("umask"), shared)


def _setting(text: str | None, name: str, separator: str) -> str:
    pattern = rf"^[ \t]*{name}{separator}[ \t]*([^\s#]+)"
    found = re.findall(pattern, text or "", re.MULTILINE)
    return str(found[-1]).strip("\"'") if found else ""


def _login(found: dict[str, str], defs: str | None, own_groups: bool) -> Mask:
    """Return what pam_umask(8) makes of its line and of the files that it reads."""
    lines = [
        line
        for path, text in found.items()
        if "/pam.d/" in path
        for line in text.split("\n")
        if re.match(r"[ \t]*-?session[ \t].*\bpam_umask(\.so)?\b", line)
    ]
    if not lines:
        return Mask(DEFAULT, "nothing sets another")
    words = lines[-1].partition("#")[0].split()
    told = next((each.partition("=")[2] for each in words if each.startswith("umask=")), "")
    source, shared = "pam_umask", "usergroups" in words
    if not told:
        source = "UMASK of login.defs, by pam_umask"
        told = _setting(defs, "UMASK", r"[ \t]+")
        told = told or _setting(found.get("/etc/default/login"), "UMASK", "=")
        shared = shared or (own_groups and "nousergroups" not in words)
    value = parse_mask(told) if told else DEFAULT
    if value is None:
        raise Unknown(f"the umask that pam_umask is given cannot be read: {told[:40]}")
    return Mask(value, source, shared=shared)


@provide
def umask(host: Host) -> Umask:
    """What new files of a login are kept from. :raises Unknown: a file cannot be read."""
    found = whole(session_of(host).ask(LINES)[0])
    read = {path: text for path in found if (text := known(found[path])) is not None}
    defs = read.get("/etc/login.defs", read.get("/usr/etc/login.defs"))
    own_groups = _setting(defs, "USERGROUPS_ENAB", r"[ \t]+").lower() == "yes"
    vendor = [each for each in read if each.startswith("/usr/lib/pam.d/")]
    hidden = {each for each in vendor if each.replace("/usr/lib", "/etc", 1) in read}
    pam = {path: text for path, text in read.items() if path not in hidden}
    profiles = [
        each
        for path, text in sorted(read.items())
        if "profile" in path or "bash" in path
        for each in _statements(path, text, own_groups)
    ]
    return Umask(_login(pam, defs, own_groups), tuple(profiles))
