"""Hosts with an SSH server, made of what it and its files would say."""

from __future__ import annotations

import fnmatch
import posixpath
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from testinfra.host import Host

from hullcheck.control import control_of
from hullcheck.facts.docker.search import PROGRAMS
from hullcheck.facts.processes import CGROUP, SPACES, STATUS, TIMES
from hullcheck.facts.services import BOOTED, LINKS, UNIT_FILES, UNITS
from hullcheck.facts.sshd.config_files import END
from hullcheck.facts.sshd.search import TITLES
from hullcheck.facts.sshd.server import VERSION
from hullcheck.inventory.policy import Policy
from hullcheck.judge import Site, judge
from hullcheck.transport import Evidence, Session, Want, host_of
from hullcheck.verdict import Verdict
from tests.unit.fake import Reply
from tests.unit.fake import _evidence as evidence
from tests.unit.test_processes import stat, status

BOOT = 1_700_000_000
STARTED = BOOT + 100
TITLE = "sshd: {} [listener] 0 of 10-100 startups"

# As OpenSSH 9.2p1 of Debian 12 prints it, without what no control asks.
TOLD = """\
port 22
usepam yes
logingracetime 120
maxauthtries 6
clientaliveinterval 0
clientalivecountmax 3
requiredrsasize 1024
permitrootlogin without-password
ignorerhosts yes
hostbasedauthentication no
pubkeyauthentication yes
gssapikeyexchange no
gssapikexalgorithms gss-group14-sha256-,gss-group14-sha1-,gss-gex-sha1-
passwordauthentication yes
kbdinteractiveauthentication no
x11forwarding no
strictmodes yes
permitemptypasswords no
gatewayports no
allowtcpforwarding yes
allowagentforwarding yes
disableforwarding no
allowstreamlocalforwarding yes
pidfile /run/sshd.pid
ciphers chacha20-poly1305@openssh.com,aes128-ctr,aes256-gcm@openssh.com
macs umac-128-etm@openssh.com,hmac-sha2-256-etm@openssh.com,hmac-sha2-512
trustedusercakeys none
revokedkeys none
authorizedprincipalsfile none
authorizedkeyscommand none
authorizedprincipalscommand none
kexalgorithms sntrup761x25519-sha512@openssh.com,curve25519-sha256,diffie-hellman-group14-sha256
casignaturealgorithms ssh-ed25519,rsa-sha2-512
hostbasedacceptedalgorithms ssh-ed25519,rsa-sha2-512
hostkeyalgorithms ssh-ed25519-cert-v01@openssh.com,ssh-ed25519,rsa-sha2-512,rsa-sha2-256
pubkeyacceptedalgorithms ssh-ed25519,ecdsa-sha2-nistp256,rsa-sha2-512,rsa-sha2-256
loglevel INFO
authorizedkeysfile .ssh/authorized_keys .ssh/authorized_keys2
hostkey /etc/ssh/ssh_host_ed25519_key
acceptenv LANG
acceptenv LC_*
authenticationmethods any
maxstartups 10:30:100
permittunnel no
permituserenvironment no
"""

PASSWD = """\
root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
bob:x:1000:1000::/home/bob:/bin/bash
eve:x:1001:1001::/home/eve:/bin/bash
"""
GROUP = "root:x:0:\ndocker:x:999:bob\nssh_keys:x:998:\nbob:x:1000:\neve:x:1001:\nsudo:x:27:\n"


@dataclass
class File:
    """A file of the host: its text, mode with its kind, owner and group."""

    text: str = ""
    mode: int = 0o100644
    uid: int = 0
    gid: int = 0
    changed: int = BOOT
    denied: bool = False


@dataclass
class Process:
    """A process: its arguments with NUL between, program and numbers."""

    pid: int
    arguments: str = TITLE.format("/usr/sbin/sshd -D")
    exe: str = "/usr/sbin/sshd"
    name: str = "sshd"
    uid: int = 0
    cgroup: str = "/system.slice/ssh.service"
    root: str = "1:2"
    ticks: int = 10_000


@dataclass
class Sshd:
    """A host with an sshd; ``told`` is what ``sshd -T`` prints, or a whole reply."""

    config: str = ""
    told: Reply = TOLD
    files: dict[str, File] = field(default_factory=dict)
    processes: Sequence[Process] = (Process(7),)
    answers: dict[str, Reply] = field(default_factory=dict)
    units: dict[str, tuple[str, str]] = field(default_factory=dict)
    parents: dict[int, int] = field(default_factory=dict)
    passwd: str = PASSWD
    group: str = GROUP
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        usual = {
            "/etc/ssh/sshd_config": File(self.config), "/usr/sbin/sshd": File(mode=0o100755),
            "/etc/ssh/ssh_host_ed25519_key": File("ED25519 256", 0o100600),
            "/run/sshd.pid": File("7\n", changed=STARTED),
        }  # fmt: skip
        self.files = usual | self.files
        self.fixed: dict[str, Reply] = {
            **self._of_processes(), **self._of_units(),
            VERSION.command: (0, "", "OpenSSH_9.2p1 Debian-2+deb12u3, OpenSSL 3.0.15\n"),
            "getent passwd": self.passwd, "getent group": self.group, **self.answers,
        }  # fmt: skip

    def _of_processes(self) -> dict[str, Reply]:
        init = Process(1, "/sbin/init", "/usr/lib/systemd/systemd", "systemd", cgroup="/init.scope")
        found = [init, *self.processes]
        uids = {each.pid: "\t".join([str(each.uid)] * 4) for each in found}
        return {
            STATUS.command: "".join(
                status(
                    p.pid,
                    p.name,
                    NSpid=str(p.pid),
                    Uid=uids[p.pid],
                    Gid=uids[p.pid],
                    PPid=str(self.parents.get(p.pid, 1)),
                )
                for p in found
            ),
            CGROUP.command: "".join(f"{p.pid}/cgroup:0::{p.cgroup}\n" for p in found),
            TIMES.command: "".join(stat(p.pid, p.name, p.ticks) for p in found)
            + f"stat:btime {BOOT}\n",
            SPACES.command: (
                123 if any(not p.root for p in found) else 0,
                "".join(f"{p.pid}/root {p.root}\n" for p in found if p.root),
                "".join(
                    f"stat: cannot statx '{p.pid}/root': Permission denied\n"
                    for p in found
                    if not p.root
                ),
            ),
            PROGRAMS.command: "".join(
                f"'/proc/{p.pid}/exe' -> '{p.exe}'\n" for p in found if p.exe
            ),
            TITLES.command: "".join(f"/proc/{p.pid}/cmdline\n" for p in self.processes),
            **{f"head -c 1048577 -- /proc/{p.pid}/cmdline": f"{p.arguments}\0" for p in found},
            **{
                f"readlink -nv /proc/{p.pid}/exe": p.exe or (1, "", "readlink: Permission denied")
                for p in found
            },
        }

    def _of_units(self) -> dict[str, Reply]:
        lines = [f"{name} loaded {state[0]} {state[0]} x\n" for name, state in self.units.items()]
        files = [f"{name} {state[1]} enabled\n" for name, state in self.units.items()]
        none = (1, "", "stat: No such file or directory")
        return {
            BOOTED.command: "/run/systemd/system\n" if self.units else none,
            UNITS.command: "".join(lines), UNIT_FILES.command: "".join(files),
            LINKS.command: (1, "", ""),
        }  # fmt: skip

    def host(self) -> Host:
        return host_of(Session(_Wire(self)), "fake", "fake")

    def verdict(self, function: Any, policy: Policy | None = None) -> Verdict:
        control = control_of(function)
        assert control is not None
        return judge(control, self.host(), Site("h", policy or Policy()))

    def status(self, function: Any, policy: Policy | None = None) -> str:
        return str(self.verdict(function, policy).status)

    def reply(self, command: str) -> Reply:
        """Answer a command as a host with these files would."""
        self.asked.append(command)
        if command in self.fixed:
            return self.fixed[command]
        if " -T" in command and command.startswith("{ "):
            return _whole(self.told)
        for start, answer in _ANSWERS.items():
            if command.startswith(start):
                return answer(self, command)
        raise AssertionError(f"nothing answers {command}")


def _whole(reply: Reply) -> Reply:
    code, out, err = (0, reply, "") if isinstance(reply, str | bytes) else (*reply, "")[:3]
    return (0, f"{out if not code else ''}{END}\n", err) if isinstance(out, str) else reply


def _words(command: str) -> list[str]:
    rest = command.partition(" -- ")[2].partition(";")[0]
    return shlex.split(rest)


def _matching(host: Sshd, words: Sequence[str]) -> Iterator[tuple[str, File | None]]:
    for word in words:
        found = sorted(each for each in host.files if fnmatch.fnmatchcase(each, word))
        yield from ((each, host.files[each]) for each in found) if found else ((word, None),)


def _grep(host: Sshd, command: str) -> Reply:
    out, err = "", ""
    keys = "AAAA" in command
    for path, file in _matching(host, _words(command)):
        if path == "/dev/null":
            continue
        if file is None:
            err += f"grep: {path}: No such file or directory\n"
        elif file.denied:
            err += f"grep: {path}: Permission denied\n"
        else:
            lines = [each for each in file.text.splitlines() if not keys or " AAAA" in each]
            out += "".join(f"{path}:{line}\n" for line in lines)
    return 0, out + (f"{END}\n" if END in command else ""), err


def _read(host: Sshd, command: str) -> Reply:
    file = host.files.get(_words(command)[0])
    return file.text if file else (1, "", f"head: {_words(command)[0]}: No such file or directory")


def _stat(host: Sshd, command: str) -> Reply:
    form = shlex.split(command)[shlex.split(command).index("-c") + 1]
    out, err = "", ""
    for path, file in _matching(host, _words(command)):
        below = any(each.startswith(f"{path.rstrip('/')}/") for each in host.files)
        found = file or (File(mode=0o40755) if below else None)
        if found is None or found.denied:
            why = "Permission denied" if found else "No such file or directory"
            err += f"stat: cannot statx '{path}': {why}\n"
            continue
        names = {0: "root", 1000: "bob", 1001: "eve", 998: "ssh_keys"}
        values = {
            "%f": f"{found.mode:x}", "%u": found.uid, "%g": found.gid, "%s": len(found.text),
            "%Y": found.changed, "%Z": found.changed, "%d": 1, "%i": 2, "%h": 1, "%n": path,
            "%U": names.get(found.uid, "?"), "%G": names.get(found.gid, "?"),
            "%F": "regular file" if found.mode & 0o100000 else "directory",
        }  # fmt: skip
        filled = form
        for letters, value in values.items():
            filled = filled.replace(letters, str(value))
        out += f"{filled}\n"
    ended = END in command
    return 0 if ended or not err else 1, out + (f"{END}\n" if ended else ""), err


def _keygen(host: Sshd, command: str) -> Reply:
    out, err = "", ""
    for path in shlex.split(command.partition("in ")[2].partition(";")[0]):
        out += f"key {path}\n"
        file = host.files.get(path)
        if file and not file.denied:
            kind, bits = file.text.split()
            out += f"{bits} SHA256:abc root@host ({kind})\n"
        else:
            err += f"sh: 1: cannot open {path}: {'Permission denied' if file else 'No such file'}\n"
    return 0, f"{out}{END}\n", err


def _readlink(_: Sshd, command: str) -> Reply:
    return 1, "", f"readlink: {command}: Invalid argument"


def _getfacl(host: Sshd, command: str) -> Reply:
    path = _words(command)[0]
    file = host.files.get(path)
    if file is None or file.denied:
        return 1, "", f"getfacl: {path}: No such file or directory"
    bits = (
        "".join(
            each if file.mode >> shift & bit else "-"
            for each, bit in zip("rwx", (4, 2, 1), strict=True)
        )
        for shift in (6, 3, 0)
    )
    names = zip(("user", "group", "other"), bits, strict=True)
    return "".join(f"{name}::{said}\n" for name, said in names) + "\n"


_ANSWERS: Mapping[str, Any] = {
    "grep ": _grep, "head ": _read, "stat ": _stat, "for f in ": _keygen,
    "readlink ": _readlink, "getfacl ": _getfacl,
}  # fmt: skip


class _Wire:
    """Answers each want as the host would."""

    def __init__(self, host: Sshd) -> None:
        self.host = host

    def perform(self, wants: Sequence[Want]) -> Iterator[Evidence]:
        for each in wants:
            yield evidence(each.command, self.host.reply(each.command))

    def close(self) -> None:
        pass


def changed(**settings: str) -> str:
    """Return what ``sshd -T`` prints, with some settings changed; a lower case name each."""
    lines = [line for line in TOLD.splitlines() if line.partition(" ")[0] not in settings]
    return "\n".join([*lines, *(f"{name} {value}" for name, value in settings.items()), ""])


def base(path: str) -> str:
    return posixpath.basename(path)
