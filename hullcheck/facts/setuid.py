"""Programs that run with the rights of others: setuid and setgid files, and files with
capabilities (capabilities(7)), wherever an ordinary user can reach them; and stray device files.

One walk over all that is mounted of local file systems. What it does not enter depends on no
engine's word for where its data are: directories that nobody but root may enter, and file systems
that are no storage, or are another machine's. Which these were is told, and judged.
"""

from __future__ import annotations

import posixpath
import re
import shlex
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.accounts import Accounts
from hullcheck.facts.data_roots import DataRoots
from hullcheck.facts.files import File, Files
from hullcheck.facts.known_privileged import in_system, usual
from hullcheck.facts.mounts import Mount, MountTable, covering, within
from hullcheck.facts.registry import fact, get, provide
from hullcheck.transport import Answer, Want, session_of, want

__all__ = [
    "NETWORK",
    "Found",
    "Walk",
    "names_of",
    "parse_getcap",
    "plan",
    "privileged_files",
    "remote",
]

NETWORK = frozenset({
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "ceph", "afs", "coda", "lustre", "gpfs",
    "beegfs", "glusterfs", "orangefs", "pvfs2", "sshfs", "davfs",
})  # fmt: skip
"""File systems whose files are another machine's."""

PSEUDO = frozenset({
    "proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue", "debugfs", "tracefs", "securityfs",
    "configfs", "pstore", "efivarfs", "bpf", "binfmt_misc", "fusectl", "rpc_pipefs", "nfsd",
    "selinuxfs", "autofs", "nsfs", "resctrl", "binder", "hugetlbfs",
})  # fmt: skip
"""File systems in which the kernel shows itself: they hold no programs."""

SECONDS = 100
BYTES = 4_000_000
GETCAP = (
    "g=; if command -v getcap >/dev/null 2>&1; then g=getcap; "
    "! getcap -n /dev/null >/dev/null 2>&1 || g='getcap -n'; "
    "else printf 'N getcap\\n//\\n'; fi; export g"
)
CAPABILITIES = '[ -z "$g" ] || $g "$@" | sed "s|^|G |; s|\\$|\\\\\n//|"'
"""Tells what getcap(8) says, if there is one, in records like the others."""

END = "\n//\n"
"""Ends a record: no path has two slashes in a row."""

_RECORD = re.compile(r"([FDC]) ([0-9a-f]+) (\d+) (\d+) ([0-9a-f]+):([0-9a-f]+) (/.*)", re.DOTALL)
_STOPPED = ("124", "137", "143")
_UNREAD = "Failed to get capabilities of file"
_NO_CAPABILITIES = ("(Operation not supported)", "(No such file or directory)")
_GONE = ("No such file or directory", "Not a directory", "Stale file handle")
_SNAP = re.compile(r"(?:/var/lib/snapd)?/snap/[^/]+/x?\d+")
_CAPS = re.compile(
    r"(/.*?)(?: =|) ((?:all|cap_[a-z0-9_,]+)?(?:[=+][eip]+)(?: (?:all|cap_[a-z0-9_,]+)[=+][eip]+)*)"
    r"(?: \[rootid=(\d+)\])?",
    re.DOTALL,
)


def remote(mount: Mount) -> bool:
    """Whether what is mounted is in the hands of another machine or of a program."""
    return mount.fstype in {*NETWORK, "fuse", "fuseblk"} or mount.fstype.startswith("fuse.")


def harmless(mount: Mount) -> bool:
    """Whether no program on a mount gives rights to who runs it; mount(8)."""
    return not {"nosuid", "noexec"}.isdisjoint(mount.options)


def plan(mounts: MountTable) -> tuple[list[str], list[str]]:
    """Return where to walk, and the mounts to leave out.

    Left out are those that hold no local files, and whole disks on which no such program counts.
    What is mounted below one that is left out is walked by itself.
    """
    seen = mounts.by_target
    out: set[str] = set()
    roots, walked = ["/"], {"/": True}
    for target in sorted(seen, key=lambda each: (each.count("/"), each)):
        mount, above = seen[target], walked[_above(target, seen)]
        if target == "/":
            continue
        disk = not mount.device.startswith("0:")
        idle = disk and harmless(mount) and not _holds_more(target, seen)
        if mount.fstype in PSEUDO or remote(mount) or idle:
            out.add(target)
        elif not above and not harmless(mount):
            roots.append(target)
        walked[target] = target in roots or (above and target not in out)
    outer = [each for each in out if walked[_above(each, seen)]]
    return roots, sorted(outer)


def _above(target: str, seen: dict[str, Mount]) -> str:
    """Return the nearest mount that a mount lies in."""
    while target != "/":
        target = posixpath.dirname(target)
        if target in seen:
            return target
    return "/"


def _holds_more(target: str, seen: dict[str, Mount]) -> bool:
    return any(
        within(each, target) and each != target and not harmless(mount)
        for each, mount in seen.items()
    )


def walk_want(roots: Iterable[str], out: Iterable[str]) -> Want:
    """Return the want for the walk. Directories that only root may enter are not entered; those
    which an ACL could open all the same are told (``C``)."""
    names = " ".join(map(shlex.quote, roots))
    left = " -o ".join(f"-path {shlex.quote(_plain_pattern(each))}" for each in out)
    prune = f"-type d \\( {left} \\) -prune -o " if left else ""

    shut = "-type d -user 0 ! -perm -1 "
    # BusyBox forgets an -exec that stands in parentheses.
    find = (
        f"timeout {SECONDS} find {names} {prune}"
        f"{shut} ! -perm -10 -prune -o "
        f"{shut} -group 0 -prune -exec sh -c {_told('C')} sh {{}} + -o "
        f"-type f \\( -perm -4000 -o -perm -2000 \\) -exec sh -c {_told('F')}'; {CAPABILITIES}' sh "
        "{} + -o -type f \\( -perm -1 -o -perm -10 -o -perm -100 \\) "
        f"-exec sh -c '{CAPABILITIES}' sh {{}} + -o "
        f"\\( -type b -o -type c \\) ! -path '/dev/*' -exec sh -c {_told('D')} sh {{}} +"
    )
    end = "printf 'end %s\\n//\\n' $?"
    return want(f"{{ {GETCAP}; {find}; {end}; }} | head -c {BYTES}", seconds=SECONDS + 20)


def _told(letter: str) -> str:
    return f"""'stat -c "{letter} %f %u %g %t:%T %n\n//" -- "$@"'"""


def _plain_pattern(path: str) -> str:
    return re.sub(r"([\\*?\[])", r"\\\1", path)


@dataclass(frozen=True, slots=True)
class Found:
    """One file that the walk told of.

    :param kind: F for a program, D for a device file, C for a directory that was not entered.
    :param numbers: of a device: major and minor.
    """

    kind: str
    path: str
    mode: int
    uid: int
    gid: int
    numbers: tuple[int, int] = (0, 0)

    @property
    def setuid(self) -> bool:
        return bool(self.mode & stat.S_ISUID)

    @property
    def block(self) -> bool:
        return stat.S_ISBLK(self.mode)

    @property
    def setgid(self) -> bool:
        """Whether it is; without the group's x, the bit means locking."""
        return bool(self.mode & stat.S_ISGID) and bool(self.mode & stat.S_IXGRP)

    @property
    def runs(self) -> bool:
        """Whether anybody may run it, and gains by it."""
        return bool(self.mode & 0o111) and (self.setuid or self.setgid)


@dataclass(frozen=True)
class Walk:
    """What the walk found.

    :param capable: paths of files with capabilities, and what these are.
    :param unseen: what of it could not be looked at, one sentence each.
    :param unread: why not all capabilities of files are known.
    """

    host: Host = field(repr=False)
    found: tuple[Found, ...]
    capable: tuple[tuple[str, str], ...] = ()
    unseen: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()

    @fact
    def programs(self) -> list[Found]:
        """Setuid and setgid programs that count: those that somebody gains by."""
        mounts: MountTable = get(self.host, "mounts")
        some = [each for each in self.found if each.kind == "F" and each.runs]
        some = [each for each in some if not _on_harmless(mounts, each.path)]
        return [each for each in some if not self._own(each) and not _of_snap(mounts, each)]

    @fact
    def privileged(self) -> list[tuple[str, str]]:
        """Files with capabilities, where these count, and what they are."""
        mounts: MountTable = get(self.host, "mounts")
        some = [each for each in self.capable if not _on_harmless(mounts, each[0])]
        return [each for each in some if not _snapped(mounts, each[0]).endswith("/snap-confine")]

    @property
    def counted(self) -> list[str]:
        """The paths of all that somebody may gain by, for who asks whose they are."""
        return sorted({*(each.path for each in self.programs), *dict(self.privileged)})

    @property
    def devices(self) -> list[Found]:
        """Device files outside /dev, on mounts on which such count."""
        mounts: MountTable = get(self.host, "mounts")
        places = ((each, covering(mounts, each.path)) for each in self.found if each.kind == "D")
        return [each for each, place in places if not place or "nodev" not in place.options]

    def _own(self, program: Found) -> bool:
        """Whether it lies in a data root and gives but the rights of its user, or of numbers that
        are no account's: those of remapped containers."""
        roots: DataRoots = get(self.host, "data_roots")
        accounts: Accounts = get(self.host, "accounts")
        known = {each.uid for each in accounts.users}
        groups = {each.gid for each in accounts.groups}
        for root in roots.found:
            if within(program.path, root.path):
                user = accounts.user(root.uid) if root.uid else None
                uids = program.uid not in known or bool(user and program.uid == user.uid)
                gids = program.gid not in groups or bool(user and program.gid == user.gid)
                return (uids or not program.setuid) and (gids or not program.setgid)
        return False

    @fact
    def closed(self) -> list[str]:
        """Why directories may be open that were not entered, one sentence each."""
        files: Files = get(self.host, "files")
        found: list[File] = files.all(each.path for each in self.found if each.kind == "C")
        return [
            f"{each} was not looked into, and {beyond}"
            for each in found if each.state == "present" and each.mode & 0o010
            for beyond in each.acl_beyond(0o600, groups=())
        ]  # fmt: skip

    def need_whole(self, *, capabilities: bool = False) -> None:
        """Stop at what was not seen. :raises Unknown: there may be more than was found."""
        reasons = (*self.unseen, *self.closed, *(self.unread if capabilities else ()))
        if reasons:
            raise Unknown(reasons[0])


def _on_harmless(mounts: MountTable, path: str) -> bool:
    mount = covering(mounts, path)
    return mount is not None and harmless(mount)


def _snapped(mounts: MountTable, path: str) -> str:
    """Return a path in the read-only image of a snap as in a system of its own; else ""."""
    mount = covering(mounts, path)
    snap = mount and mount.fstype == "squashfs" and _SNAP.fullmatch(mount.target)
    return path[len(mount.target) :] if mount and snap else ""


def _of_snap(mounts: MountTable, program: Found) -> bool:
    """Whether a program is what distributions have so, in a snap that is such a system."""
    path = _snapped(mounts, program.path)
    return in_system(path) and usual(path, setuid=program.setuid, setgid=program.setgid)


@dataclass(slots=True)
class _Parsed:
    found: list[Found] = field(default_factory=list)
    capable: list[tuple[str, str]] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    def record(self, record: str) -> None:
        try:
            if record == "N getcap":
                self.unread.append("there is no getcap on the host that tells files' capabilities")
            elif record.startswith("G "):
                self.capable += parse_getcap(record[2:])
            else:
                self.found.append(_found(record))
        except Unknown as reason:
            self.unseen.append(str(reason))

    def complaint(self, line: str) -> None:
        if line.startswith(_UNREAD):
            if not line.endswith(_NO_CAPABILITIES):
                self.unread.append(f"not all capabilities of files can be read: {line[:200]}")
        elif line.strip() and not line.endswith(_GONE):
            denied = "; it needs root" if "ermission denied" in line else ""
            self.unseen.append(f"not everything could be looked at: {line[:200]}{denied}")


def parse_walk(answer: Answer, host: Host, foreign: Iterable[str] = ()) -> Walk:
    """Return what the walk told.

    :param foreign: what of the host it was not to look at.
    """
    *records, rest = answer.text.split(END)
    parsed = _Parsed()
    code = re.fullmatch(r"end (\d+)", records[-1]) if records else None
    if code is not None and not rest:
        records.pop()
    for each in records:
        parsed.record(each)
    for line in answer.evidence.stderr.decode("utf-8", "surrogateescape").splitlines():
        parsed.complaint(line)
    if code is None or rest:
        parsed.unseen.append("there is more to look at than can be told, or find broke off")
    elif code[1] in _STOPPED:
        parsed.unseen.append(f"not everything could be looked at within {SECONDS} s")
    elif code[1] not in ("0", "1") or (code[1] == "1" and not answer.evidence.stderr):
        parsed.unseen.append(f"find ended with {code[1]}, and does not say why")
    unseen = (*parsed.unseen, *foreign)
    return Walk(host, tuple(parsed.found), tuple(parsed.capable), unseen, tuple(parsed.unread))


def _found(record: str) -> Found:
    match = _RECORD.fullmatch(record)
    if match is None:
        raise Unknown(f"what find told of a file is damaged: {record[:80]!r}")
    numbers = int(match[5], 16), int(match[6], 16)
    return Found(match[1], match[7], int(match[2], 16), int(match[3]), int(match[4]), numbers)


@provide
def privileged_files(host: Host) -> Walk:
    """What a walk over the host's local file systems finds."""
    mounts: MountTable = get(host, "mounts")
    roots, out = plan(mounts)
    foreign = [
        f"{each} is another machine's, or a program's, and was not looked at: mount it with nosuid"
        for each in mounts.by_target.values() if remote(each) and not harmless(each)
    ]  # fmt: skip
    return parse_walk(session_of(host).ask(walk_want(roots, out))[0], host, foreign)


def parse_getcap(text: str) -> Iterator[tuple[str, str]]:
    """Yield path and capabilities of a line of getcap(8), as releases before and after 2.41
    write it; nothing if they count in a user namespace alone.

    :raises Unknown: it is none.
    """
    match = _CAPS.fullmatch(text)
    if match is None:
        raise Unknown(f"getcap: cannot understand {text[:80]!r}")
    if match[3] in (None, "0"):
        yield match[1], match[2]


def names_of(capabilities: str) -> frozenset[str]:
    """Return the capabilities that a file gives, of a text such as "cap_net_raw=ep"; "all" too."""
    found: set[str] = set()
    for clause in capabilities.split(" "):
        names, _, flags = re.sub("[=+]", " ", clause, count=1).partition(" ")
        if "p" in flags:
            found.update(names.split(",") if names else ("all",))
    return frozenset(found)
