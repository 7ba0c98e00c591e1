"""The files whose keys let people in, by account, wherever the servers look for them."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.accounts import Accounts, User
from hullcheck.facts.doors import ENGINE_GROUPS
from hullcheck.facts.files import File, Files
from hullcheck.facts.registry import Unseen, get, provide_each
from hullcheck.facts.sshd.config_files import END, ending, lines
from hullcheck.facts.sshd.keys import PublicKey, parse_key_line
from hullcheck.facts.sshd.search import SshServers
from hullcheck.facts.sshd.server import SshServer
from hullcheck.facts.texts import texts
from hullcheck.transport import CannotAnswer, Want, session_of
from hullcheck.verdict import Object

__all__ = ["ADMINISTRATORS", "AuthorizedKeys", "authorized_keys", "expanded"]

ADMINISTRATORS = (*ENGINE_GROUPS, "root", "sudo", "wheel", "admin", "libvirt", "disk", "kvm")
"""Groups whose members are root, or as good as root."""

MOST = 5000
"""Accounts whose files are looked for."""

LARGEST = 1 << 20
"""Bytes of one file that are read."""

_TOKEN = re.compile(r"%(.)", re.DOTALL)
_ABSENT = ("No such file or directory", "Not a directory", "Too many levels of symbolic links")
_COMPLAINT = re.compile(r"stat: .*?'(/.*)': ([^:]+)")


def expanded(template: str, user: User) -> str:
    """Return the file that a value of AuthorizedKeysFile means for an account; "" for none.

    :raises Unknown: it has a token that is not known.
    """
    known = {"%": "%", "h": user.home, "u": user.name, "U": str(user.uid)}
    missing = [each for each in _TOKEN.findall(template) if each not in known]
    if missing:
        raise Unknown(f"%{missing[0]} in AuthorizedKeysFile is not known")
    path = _TOKEN.sub(lambda found: known[found[1]], template)
    full = path if path.startswith("/") else f"{user.home}/{path}"
    return posixpath.normpath(full) if full.startswith("/") and "\n" not in full else ""


def _regular(paths: Iterable[str]) -> Want:
    return ending(f"stat -L -c '%F|%s|%n' -- {' '.join(map(shlex.quote, paths))}")


def _lines_want(paths: Iterable[str]) -> Want:
    """Return a want for the lines that hold a key: all blobs begin with AAAA (three zero bytes).

    What else is in the file, or in one that a link leads to, is not read.
    """
    return ending(f"grep -aH '[[:space:]]AAAA' -- /dev/null {' '.join(map(shlex.quote, paths))}")


@dataclass(frozen=True)
class AuthorizedKeys:
    """A file whose keys let in.

    :param accounts: those it lets in as; none: it holds authorities that sign for any.
    """

    file: File
    accounts: tuple[User, ...]
    keys: tuple[PublicKey, ...] | Unknown = field(repr=False)
    servers: tuple[SshServer, ...] = field(default=(), repr=False)

    @property
    def object(self) -> Object:
        return Object("key file", self.file.path)

    @property
    def certain(self) -> tuple[PublicKey, ...]:
        """Its keys. :raises Unknown: they could not be read."""
        if isinstance(self.keys, Unknown):
            raise Unknown(*self.keys.args)
        return self.keys

    @property
    def privileged(self) -> list[str]:
        """Why a key in it is as good as root's: the accounts, each with its reason."""
        accounts: Accounts = get(self.file.host, "accounts")
        found = [] if self.accounts else ["any account that a certificate names"]
        for user in self.accounts:
            if user.uid == 0:
                found.append(f"{user.name} (uid 0)")
                continue
            groups = [name for name in ADMINISTRATORS
                      if any(each.name == name for each in accounts.groups)
                      and user.name in accounts.members(name)]  # fmt: skip
            found += [f"{user.name} ({groups[0]})"] if groups else []
        return found

    def refused(self, key: PublicKey) -> bool:
        """Whether every server refuses a key for its kind or size, so that it lets nobody in."""
        return bool(self.servers) and all(_refuses(each, key) for each in self.servers)


def _refuses(server: SshServer, key: PublicKey) -> bool:
    try:
        if key.kind == "ssh-rsa":
            sizes = server.texts("requiredrsasize")
            return all(each.isdecimal() and int(each) > key.bits for each in sizes)
        taken = server.texts("pubkeyacceptedalgorithms")
    except (Unknown, CannotAnswer):
        return False
    plain = all(re.fullmatch(r"[\w@.,-]+", each) and each[0] not in "+-^" for each in taken)
    return plain and all(key.kind not in each.split(",") for each in taken)


@provide_each
def authorized_keys(host: Host) -> Iterable[AuthorizedKeys | Unseen]:
    """Each file whose keys let in, of every account that the host lists.

    :raises NotApplicable: there is no such file, or no server that reads one.
    """
    found: SshServers = get(host, "ssh_servers")
    accounts: Accounts = get(host, "accounts")
    made: list[AuthorizedKeys | Unseen] = [
        each for each in found.servers if isinstance(each, Unseen)
    ]
    servers = tuple(each for each in found.servers if isinstance(each, SshServer))
    users = accounts.users[:MOST]
    if len(users) < len(accounts.users):
        about = Object("key file", "further accounts")
        made.append(Unseen(about, f"only {MOST} of {len(accounts.users)} accounts are looked at"))
    meant: dict[str, dict[str, User]] = {}
    for server in servers:
        try:
            for path, user in _paths(server, users):
                owners = meant.setdefault(path, {})
                owners |= {user.name: user} if user else {}
        except (Unknown, CannotAnswer) as reason:
            made.append(Unseen(Object("ssh server", str(server)), str(reason)))
    made += _read(host, meant, servers)
    if not made:
        raise NotApplicable("no account of this host has a file of keys that let in")
    return made


def _paths(server: SshServer, users: Iterable[User]) -> Iterator[tuple[str, User | None]]:
    """Yield where a server looks, with the account, or with None for authorities."""
    for value in server.values("trustedusercakeys"):
        if value.text.startswith("/"):
            yield value.text, None
    templates = {word for value in server.values("authorizedkeysfile") for word in value.words}
    for template in sorted(templates - {"none"}):
        for user in users:
            if path := expanded(template, user):
                yield path, user


def _read(
    host: Host, meant: Mapping[str, Mapping[str, User]], servers: tuple[SshServer, ...]
) -> list[AuthorizedKeys | Unseen]:
    sizes, denied = _existing(host, list(meant))
    made: list[AuthorizedKeys | Unseen] = [
        Unseen(Object("key file", path), f"{path} cannot be seen: {why}; needs root")
        for path, why in denied.items()
    ]
    Files(host).foresee(sizes)
    small = [path for path, size in sizes.items() if size <= LARGEST]
    keys = _keys(host, small) if small else {}
    for file in Files(host).all(sizes):
        path = file.path
        known = keys.get(path, Unknown(f"{path} is longer than {LARGEST} bytes"))
        made.append(AuthorizedKeys(file, tuple(meant[path].values()), known, servers))
    return made


def _existing(host: Host, paths: list[str]) -> tuple[dict[str, int], dict[str, str]]:
    """Return the size of every file that is there, and why others cannot be seen."""
    if not paths:
        return {}, {}
    answer = session_of(host).ask(_regular(paths))[0]
    sizes: dict[str, int] = {}
    told: dict[str, str] = {}
    for line in lines(answer):
        kind, size, path = [*line.split("|", 2), "", ""][:3]
        told[path] = ""
        if kind.startswith("regular") and size.isdecimal():
            sizes[path] = int(size)
    for line in answer.evidence.stderr.decode("utf-8", "surrogateescape").splitlines():
        found = _COMPLAINT.fullmatch(line)
        if found:
            told[found[1]] = "" if found[2] in _ABSENT else found[2]
    if told.keys() != set(paths):
        raise CannotAnswer("which files of keys there are cannot be told")
    return sizes, {path: why for path, why in told.items() if why}


def _keys(host: Host, paths: list[str]) -> dict[str, tuple[PublicKey, ...] | Unknown]:
    answer = session_of(host).ask(_lines_want(paths))[0]
    lines(answer)
    found: dict[str, tuple[PublicKey, ...] | Unknown] = dict.fromkeys(paths, ())
    for path, text in texts(answer, mark=END).items():
        if isinstance(text, Unknown):
            found[path] = Unknown(f"{text}; needs root")
            continue
        keys = (parse_key_line(line) for line in text.split("\n"))
        found[path] = tuple(each for each in keys if each)
    return found
