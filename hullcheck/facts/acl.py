"""POSIX access control lists, as getfacl(1) prints them (acl(5))."""

from __future__ import annotations

from dataclasses import dataclass

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.transport.backend import session_of
from hullcheck.transport.want import CannotAnswer, Want, want

__all__ = ["AclEntry", "acl_of", "acl_want", "parse_acl"]

_BITS = {"r": 4, "w": 2, "x": 1, "-": 0}


@dataclass(frozen=True, slots=True)
class AclEntry:
    """What one named user or group may do.

    :param id: the user's or group's number.
    :param granted: 0 to 7, as the entry says.
    :param effective: 0 to 7, what remains under the list's mask.
    """

    of_group: bool
    id: int
    granted: int
    effective: int

    def __str__(self) -> str:
        bits = "".join(letter if self.effective & _BITS[letter] else "-" for letter in "rwx")
        return f"{'group' if self.of_group else 'user'} {self.id} {bits}"


def acl_want(path: str) -> Want:
    """Return a want for the ACL of what a path leads to; exit 127 says that there is no getfacl."""
    return want("getfacl -cpn -- %s", path, meaning=(0, 1, 127))


def parse_acl(text: str) -> list[AclEntry]:
    """Return the named entries of an access ACL; defaults for new files are left out.

    :raises CannotAnswer: a line is no ACL entry, or one that every ACL has is missing.
    """
    mask = 7
    named = []
    bare = set()
    for line in text.splitlines():
        entry = line.split("#")[0].strip()
        if not entry or entry.startswith("default:"):
            continue
        try:
            tag, who, letters = entry.split(":")
            bits = sum(_BITS[letter] for letter in letters)
            if tag == "mask":
                mask = bits
            elif who:
                named.append((tag == "group", int(who), bits))
            else:
                bare.add(tag)
        except (ValueError, KeyError) as error:
            raise CannotAnswer(f"getfacl: cannot understand {line[:100]!r}") from error
    if not bare >= {"user", "group", "other"}:
        raise CannotAnswer(f"getfacl: this is no whole ACL: {text[:100]!r}")
    return [AclEntry(group, who, bits, bits & mask) for group, who, bits in named]


def acl_of(host: Host, path: str, mode: int) -> list[AclEntry]:
    """Return the named entries of a file's ACL; [] if it has none, or none with any effect.

    Without getfacl, GNU ls still marks a file that has an ACL. The mode's group bits are an ACL's
    mask: when these are empty, no entry has an effect.

    :raises Unknown: the host has no tool that could tell, or the file has gone.
    """
    ask = session_of(host).ask
    listed = ask(acl_want(path))[0]
    if listed.exit == 0:
        return parse_acl(listed.text)
    if not mode & 0o070:
        return []
    if listed.exit == 1:
        raise Unknown(f"the ACL of {path} cannot be read: {listed.complaint}")
    version, line = ask(
        want("ls --version", meaning=(0, 1, 2)), want("ls -ldL -- %s", path, meaning=(0, 1, 2))
    )
    if line.exit or "GNU coreutils" not in version.text or len(line.text) < 11:
        raise Unknown(f"whether {path} has an ACL cannot be told: there is no getfacl on the host")
    if line.text[10] == "+":
        raise Unknown(f"{path} has an ACL, and there is no getfacl on the host to read it")
    return []
