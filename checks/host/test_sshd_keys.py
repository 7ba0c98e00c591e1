"""The keys of SSH: those of the host, those that let in, and the files that say so."""

from __future__ import annotations

import posixpath

from hullcheck.control import Manual, NotApplicable, control, expect
from hullcheck.facts.files import Files
from hullcheck.facts.sshd import AuthorizedKeys, HostKey, SshServer
from hullcheck.facts.sshd.keys import SMALLEST_RSA, too_weak
from hullcheck.inventory.policy import Policy

ELSEWHERE = ("/etc/default/ssh", "/etc/sysconfig/sshd", "/etc/conf.d/sshd")
SOURCES = ("trustedusercakeys", "revokedkeys", "authorizedkeyscommand",
           "authorizedprincipalscommand", "authorizedprincipalsfile")  # fmt: skip


@control(
    title="Only root can change what SSH servers are told",
    severity="critical",
    fix="Give sshd_config, what it includes, the commands and files of authorities it names, and "
    "every folder above them to root, writable by root alone.",
)
def test_ssh_config_files(ssh_server: SshServer, files: Files) -> None:
    """One line in one of these files lets anybody in as root: another file of keys, an authority
    of one's own, a command that answers with a key. Who may write a folder on the way may
    replace the file."""
    found = ssh_server.configuration
    named = [each.words[0] for keyword in SOURCES for each in ssh_server.values(keyword)
             if each.text.startswith("/") and "%" not in each.words[0]]  # fmt: skip
    paths = [*found.files, *found.directories, *named]
    if not paths:
        raise NotApplicable(f"{ssh_server} reads no file of settings")
    for file in files.all(dict.fromkeys((*paths, *ELSEWHERE))):
        if file.exists or file.path not in ELSEWHERE:
            expect(file.writable_by_others(), equals=[], what=f"ways for others to change {file}")


@control(
    title="Nobody but root can read or replace a private host key",
    severity="high",
    fix="Give the key to root with mode 0600, and make new ones (ssh-keygen -A) if others could "
    "read it. Group ssh_keys with mode 0640 is right where it has no members.",
)
def test_ssh_host_key_access(ssh_host_key: HostKey) -> None:
    """With the host's private key anybody can pose as this host: administrators who connect see
    no warning, and hand over passwords, agents and commands."""
    file = ssh_host_key.file
    expect(ssh_host_key.readers, equals=[], what=f"who else has access to {file}")
    expect(file.replaceable_by_others(), equals=[], what=f"ways for others to replace {file}")


@control(
    title="Host keys are of a kind and size that cannot be broken",
    severity="medium",
    fix="Remove the key and make another: ssh-keygen -t ed25519 (or -t rsa -b 3072) -N '' -f FILE. "
    "Let the clients know.",
)
def test_ssh_host_key_strength(ssh_host_key: HostKey) -> None:
    """A host proves with this key who it is. DSA keys and RSA keys of 1024 bits are in reach of
    an attacker with means, those of 2048 are good for some years only, and a host's key is
    used as long as the host lives."""
    kind, bits = ssh_host_key.kind
    reason = too_weak(kind, bits)
    expect(reason or "strong", equals="strong", what=f"the key in {ssh_host_key.file}")


@control(
    title="Nobody else can add keys to an account",
    severity="critical",
    fix="Give the file and the folders above it to the account or to root, writable by nobody "
    "else: chmod go-w ~ ~/.ssh ~/.ssh/authorized_keys.",
)
def test_ssh_authorized_keys_access(authorized_keys: AuthorizedKeys) -> None:
    """Who may write the file, or a folder or link on the way to it, adds a key of their own and
    is that account from then on, without a password and past every change of it."""
    owners = {each.uid for each in authorized_keys.accounts}
    homes = {posixpath.normpath(each.home) for each in authorized_keys.accounts}
    trusted = {0, *(owners if len(homes) == 1 else ())}
    file = authorized_keys.file
    ways = file.writable_by_others(trusted)
    expect(ways, equals=[], what=f"ways for others to change {file}")


@control(
    title="Keys that let in are of a kind and size that cannot be broken",
    severity="medium",
    fix="Replace the key by one of ssh-keygen -t ed25519, or of RSA with 3072 bits or more.",
)
def test_ssh_authorized_key_strength(authorized_keys: AuthorizedKeys) -> None:
    """The public half lies in files, on code hosting sites and in logs. Who computes the private
    half from it logs in as the account. Keys that every server of this host refuses are left
    aside."""
    found = [
        f"{key.fingerprint}: {reason}"
        for key in authorized_keys.certain
        if (reason := too_weak(key.kind, key.bits)) and not authorized_keys.refused(key)
    ]
    expect(found, equals=[], what=f"keys in {authorized_keys.file} below RSA {SMALLEST_RSA}")


@control(
    title="Only known keys let in as root, or as somebody who is as good as root",
    severity="high",
    fix="Remove the keys that nobody answers for, and name the others in privileged_keys of the "
    "policy, by their fingerprints (ssh-keygen -l -f FILE).",
)
def test_ssh_privileged_keys(authorized_keys: AuthorizedKeys, policy: Policy) -> None:
    """A key of one's own is the quietest way to stay on a host: it survives every change of a
    password, and nothing tells it from an administrator's. Only a list of the keys that should
    be there does."""
    accounts = authorized_keys.privileged
    if not accounts:
        raise NotApplicable("no account that it lets in is as good as root")
    keys = {key.fingerprint: str(key) for key in authorized_keys.certain}
    file = authorized_keys.file
    if policy.privileged_keys is not None:
        expect(set(keys), within=policy.privileged_keys, what=f"keys in {file} for {accounts[0]}")
    elif keys:
        whom = ", ".join(accounts[:3])
        raise Manual(f"whose keys in {file} these are, for {whom}: {', '.join(keys.values())}",
                     sorted(keys.values()))  # fmt: skip
