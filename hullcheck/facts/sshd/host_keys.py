"""The private host keys of the SSH servers of a host."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.accounts import Accounts
from hullcheck.facts.files import File, Files
from hullcheck.facts.registry import Unseen, get, provide_each
from hullcheck.facts.sshd.config_files import ending, lines
from hullcheck.facts.sshd.search import SshServers
from hullcheck.facts.sshd.settings import HOST_KEYS
from hullcheck.transport import CannotAnswer, Want, session_of
from hullcheck.verdict import Object

__all__ = ["HostKey", "ssh_host_key"]

KEY_READERS = "ssh_keys"
"""The group for which Red Hat's packages let ssh-keysign read host keys, mode 0640."""

_PRINTED = re.compile(r"(\d{1,6}) (?:SHA256|MD5|SHA1|SHA512):\S+ .*\((\S+)\)")


def kinds_want(paths: Iterable[str]) -> Want:
    """Return a want for the kind and size of private keys, out of the files themselves.

    Given a path, ssh-keygen would rather believe the public file beside it, which may be of
    another key.
    """
    names = " ".join(map(shlex.quote, paths))
    return ending(f'for f in {names}; do echo "key $f"; ssh-keygen -l -f /dev/stdin <"$f"; done')


@dataclass(frozen=True)
class HostKey:
    """A private host key that a server uses."""

    file: File
    kinds: Want = field(repr=False)

    @property
    def object(self) -> Object:
        return Object("host key", self.file.path)

    @property
    def kind(self) -> tuple[str, int]:
        """Its kind as ssh-keygen(1) prints it, and its size in bits.

        :raises Unknown: only root can read it, or it is none that ssh-keygen understands.
        """
        answer = session_of(self.file.host).ask(self.kinds)[0]
        path = ""
        for line in lines(answer):
            found = _PRINTED.fullmatch(line)
            if line.startswith("key /"):
                path = line.removeprefix("key ")
            elif found and path == self.file.path:
                return found[2], int(found[1])
        said = answer.evidence.stderr.decode("utf-8", "replace").splitlines()
        about = [each for each in said if f"{self.file.path}:" in each or "not found" in each]
        why = about[0] if about else "ssh-keygen does not tell"
        hint = "; needs root" if "ermission denied" in why else ""
        raise Unknown(f"of what kind {self.file} is cannot be told: {why}{hint}")

    @property
    def readers(self) -> list[str]:
        """Who beside root may read it, one sentence each, the way to it left aside."""
        file = self.file
        found = [f"it belongs to {file.user or file.uid}"] if file.uid else []
        group = file.gid != 0 and not (file.group == KEY_READERS and not self._members)
        if file.mode & 0o007:
            found.append(f"everybody has access (mode {file.mode:04o})")
        if file.mode & 0o070 and group and file.mode & 0o040 and not found:
            found.append(f"the group {file.group or file.gid} may read it")
        if file.mode & 0o030:
            found.append(f"the group {file.group or file.gid} may write it")
        return found + file.acl_beyond(0o600 | (0 if group else 0o040), {file.gid})

    @property
    def _members(self) -> frozenset[str]:
        accounts: Accounts = get(self.file.host, "accounts")
        return accounts.members(self.file.gid) - {"root"}


@provide_each
def ssh_host_key(host: Host) -> Iterable[HostKey | Unseen]:
    """Each private host key of the SSH servers.

    :raises NotApplicable: no server, or none has a key in a file.
    """
    files = Files(host)
    files.foresee(HOST_KEYS)
    session_of(host).foresee(kinds_want(HOST_KEYS))
    found: SshServers = get(host, "ssh_servers")
    paths: dict[str, None] = {}
    made: list[HostKey | Unseen] = []
    for server in found.servers:
        if isinstance(server, Unseen):
            made.append(server)
            continue
        try:
            paths.update(
                (each.text, None) for each in server.values("hostkey") if each.text.startswith("/")
            )
        except (Unknown, CannotAnswer) as reason:
            made.append(Unseen(Object("ssh server", str(server)), str(reason)))
    kinds = kinds_want(HOST_KEYS if set(paths) <= set(HOST_KEYS) else paths)
    for file in files.all(paths):
        if file.state == "denied":
            made.append(Unseen(Object("host key", file.path), file.reason))
        elif file.exists and file.kind == "file":
            made.append(HostKey(file, kinds))
    if not made:
        raise NotApplicable("no SSH server of this host has a private key in a file")
    return made
