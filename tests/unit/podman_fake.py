"""Hosts with Podman on them, made of what its files and the kernel would say."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from testinfra.host import Host

from hullcheck.control import control_of
from hullcheck.facts.package_files import SWEEP
from hullcheck.facts.podman.places import CONFIGURATION, END, ROOT_STORE, STORES
from hullcheck.facts.podman.pullers import PROGRAMS
from hullcheck.facts.podman.roots import ROOT_RUN, Roots
from hullcheck.facts.podman.store import store_want
from hullcheck.facts.processes import CGROUP, SPACES, STATUS, TIMES
from hullcheck.inventory.policy import Policy
from hullcheck.judge import Site, judge
from hullcheck.verdict import Verdict
from tests.unit.fake import Reply, host_with

ACCOUNTS = {"root": (0, "/root"), "daemon": (1, "/usr/sbin"), "bob": (1001, "/home/bob")}
PODMAN = "/usr/bin/podman"
_SPACES = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")

_STATUS = """Name:	{name}
State:	S (sleeping)
Tgid:	{pid}
PPid:	{ppid}
TracerPid:	0
Uid:	{uid}	{uid}	{uid}	{uid}
Gid:	0	0	0	0
Groups:	0
NSpid:	{pids}
CapInh:	0000000000000000
CapPrm:	0000000000000000
CapEff:	0000000000000000
CapBnd:	0000000000000000
CapAmb:	0000000000000000
NoNewPrivs:	0
Seccomp:	0
Seccomp_filters:	0"""


@dataclass
class Program:
    """A process: what it is called, and what it was started with."""

    pid: int
    name: str
    argv: Sequence[str] = ()
    ppid: int = 1
    uid: int = 0
    cgroup: str = "/x"
    depth: int = 1
    start: int = 1000


@dataclass
class Files:
    """What a sweep finds: text by path, of an owner; ``hidden`` what it complains of."""

    texts: Mapping[str, str] = field(default_factory=dict)
    owners: Mapping[str, int] = field(default_factory=dict)
    hidden: Sequence[str] = ()

    def reply(self) -> Reply:
        """Return the answer of a sweep."""
        lines = [
            f"= {self._owner(path)} 644 {len(text)} {path}" for path, text in self.texts.items()
        ]
        for path, text in self.texts.items():
            lines += [f"{path}:{line}" for line in text.splitlines()]
        complaints = [f"find: '{path}': Permission denied\n" for path in self.hidden]
        return 0, "\n".join([*lines, END]) + "\n", "".join(complaints)

    def _owner(self, path: str) -> int:
        if path.startswith("/home/bob"):
            return self.owners.get(path, 1001)
        return self.owners.get(path, 0)


def podman_answers(
    files: Files | None = None,
    stores: Mapping[str, int] | None = None,
    kept: Mapping[Roots, Files | Reply] | None = None,
    programs: Sequence[str] = (PODMAN,),
    processes: Sequence[Program] = (),
    hidden: Sequence[str] = (),
) -> dict[str, Reply]:
    """Return all that a host answers when Podman is sought.

    :param files: of configuration. ``stores``: default stores that exist, with their owners.
    :param kept: what is in each store; root's default one is empty unless it is given.
    """
    found = [f"= 0 755 0 {path}" for path in ("/", *programs)]
    found += [f"= {uid} 700 0 {path}" for path, uid in (stores or {}).items()]
    complaints = "".join(f"stat: cannot statx '{path}': Permission denied\n" for path in hidden)
    passwd = "".join(f"{n}:x:{uid}:{uid}::{h}:/bin/sh\n" for n, (uid, h) in ACCOUNTS.items())
    answers: dict[str, Reply] = {
        CONFIGURATION.command: (files or Files()).reply(),
        PROGRAMS.command: (1, ""),
        SWEEP.command: f"{END}\n",
        STORES.command: (0, "\n".join([*found, END]) + "\n", complaints),
        "getent passwd": passwd,
        "getent group": "".join(f"{name}:x:{uid}:\n" for name, (uid, _) in ACCOUNTS.items()),
        store_want(Roots(ROOT_STORE, ROOT_RUN, 0)).command: f"{END}\n",
        **_kernel([Program(1, "systemd"), *processes]),
    }
    for where, content in (kept or {}).items():
        reply = content.reply() if isinstance(content, Files) else content
        answers[store_want(where).command] = reply
    return answers


def no_podman() -> dict[str, Reply]:
    """Return what a host without Podman answers, but for its processes."""
    answers = podman_answers(programs=())
    return {
        command: reply
        for command, reply in answers.items()
        if not command.startswith(("cd /proc", "head -c", "readlink"))
    }


def podman_host(
    also: Mapping[str, Reply] | None = None, base: Mapping[str, Reply] | None = None, **more: Any
) -> Host:
    """Return a host; see :func:`podman_answers`. ``also`` are further answers, ``base`` those
    that count less."""
    return host_with({**(base or {}), **podman_answers(**more), **(also or {})})


def verdict(
    test: object, policy: Policy | None = None, also: Mapping[str, Reply] | None = None, **more: Any
) -> Verdict:
    """Judge a control on such a host."""
    control = control_of(test)
    assert control is not None
    return judge(control, podman_host(also, **more), Site("h", policy or Policy()))


def findings(*args: Any, **more: Any) -> dict[str, str]:
    """Return the status of each finding of a verdict by the name of its object."""
    return {each.object.name: str(each.status) for each in verdict(*args, **more).findings}


def listed(*containers: tuple[str, str], **more: Any) -> str:
    """Return a containers.json of (id, name) pairs."""
    return json.dumps([
        {"id": number, "names": [name], "image": "f" * 64,
         "metadata": json.dumps({"image-name": "localhost/app:1", "name": name, **more})}
        for number, name in containers
    ])  # fmt: skip


def _kernel(programs: Sequence[Program]) -> dict[str, Reply]:
    status, cgroup, times, spaces = [], [], ["stat:btime 1700000000"], []
    answers: dict[str, Reply] = {}
    for each in programs:
        pids = "\t".join([str(each.pid)] * each.depth)
        told = _STATUS.format(name=each.name, pid=each.pid, ppid=each.ppid, uid=each.uid, pids=pids)
        status += [f"{each.pid}/status:{line}" for line in told.splitlines()]
        cgroup.append(f"{each.pid}/cgroup:0::{each.cgroup}")
        zeros = "0 " * 18
        times.append(f"{each.pid}/stat:{each.pid} ({each.name}) S {zeros}{each.start} 0")
        spaces += [f"{each.pid}/ns/{name} 4:{number}" for number, name in enumerate(_SPACES, 100)]
        answers[f"head -c 1048577 -- /proc/{each.pid}/cmdline"] = "".join(
            f"{word}\0" for word in each.argv
        )
        answers[f"readlink -nv /proc/{each.pid}/exe"] = f"/usr/bin/{each.name}"
    for want, lines in ((STATUS, status), (CGROUP, cgroup), (TIMES, times), (SPACES, spaces)):
        answers[want.command] = "\n".join(lines) + "\n"
    return answers
