"""Hosts on which a containerd or CRI-O runs, made of its files and its command line."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from typing import Any

from testinfra.host import Host

from hullcheck.control import control_of
from hullcheck.facts.bundles import LIST
from hullcheck.facts.toml_daemon import wants
from hullcheck.inventory.policy import Policy
from hullcheck.judge import Site, judge
from hullcheck.transport import read
from hullcheck.verdict import Verdict
from tests.unit.docker_fake import BOOT, NO_FILE, Program, docker_host
from tests.unit.fake import Reply

PID = 60
FORM = "'%f %u %g %s %Y %d %i %h %U:%G'"
GONE = "stat: cannot statx '{0}': No such file or directory\n"


def daemon_host(
    argv: Sequence[str],
    files: Mapping[str, str],
    folders: Mapping[str, Sequence[str]] | None = None,
    also: Mapping[str, Reply] | None = None,
    changed: int = BOOT,
    kubelet: bool = True,
    **more: Any,
) -> Host:
    """Return a host with one daemon.

    :param files: what its files hold; one without a slash before it is not there.
    :param folders: what ``find`` lists in the folders that are searched.
    :param kubelet: whether a kubelet runs beside it.
    :param more: for :class:`Program`: tcp …
    """
    answers: dict[str, Reply] = {read(f"/proc/{PID}/cmdline").command: "\0".join(argv) + "\0"}
    for path in {"/etc/containerd/config.toml", "/etc/crio/crio.conf", *files}:
        content, when = wants(path)
        there = path in files
        answers[content.command] = files[path] if there else NO_FILE
        place = path if there else posixpath.dirname(path)
        size = len(files.get(path, ""))
        told = f"{changed} {changed} {size} {place}\n"
        answers[when.command] = (0 if there else 1, told)
        answers |= _stats(path) if there else {}
    for folder in ("/etc/containerd/conf.d", "/etc/crio/crio.conf.d", *(folders or {})):
        listed = (folders or {}).get(folder)
        said: Reply = (1, "", f"find: '{folder}': No such file or directory\n")
        if listed is not None:
            said = "".join(f"{path}\0" for path in (folder, *listed))
        answers[f"find -H {folder} -maxdepth 1 -print0"] = said
        answers[f"find -L {folder} -maxdepth 7 -print0"] = said
        answers |= _stats(folder, listed is not None)
    environment = f"tr '\\0' '\\n' </proc/{PID}/environ | grep -aE '^CONTAINER_[A-Z_]+='"
    answers[environment] = (1, "")
    program = Program(PID, f"/usr/bin/{argv[0]}", argv, name=argv[0], **more)
    programs = [program, Program(61, "/usr/bin/kubelet", name="kubelet")]
    answers[LIST.command] = ""
    return docker_host(programs[: 1 + kubelet], also={**answers, **(also or {})})


def _stats(path: str, there: bool = True) -> dict[str, Reply]:
    """Return what stat says of a file or folder of root's, and of all above it."""
    found: dict[str, Reply] = {}
    while True:
        raw = "81a4" if path.endswith((".toml", ".conf")) else "41ed"
        said: Reply = f"{raw} 0 0 10 {BOOT} 1 1 1 root:root\n"
        found[f"stat -c {FORM} -- {path}"] = said if there else (1, "", GONE.format(path))
        found[f"getfacl -cpn -- {path}"] = ""
        if path == "/":
            return found
        path, there = posixpath.dirname(path), True


def verdict(function: Any, host: Host, policy: Policy | None = None) -> Verdict:
    """Return what a control says of a host."""
    return judge(control_of(function), host, Site("h", policy or Policy()))


def status(function: Any, host: Host, policy: Policy | None = None) -> str:
    """Return the status of that."""
    return verdict(function, host, policy).status.value
