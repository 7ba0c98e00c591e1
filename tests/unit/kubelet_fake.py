"""Nodes with a kubelet or a kube-proxy, made of a command line and the files that it reads."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from testinfra.host import Host

from hullcheck.control import control_of
from hullcheck.facts.conf_files import conf_want
from hullcheck.facts.files import File
from hullcheck.facts.kubernetes.flags import parse_flags
from hullcheck.facts.way import Status
from hullcheck.judge import Site, judge
from hullcheck.transport import session_of
from tests.unit.test_kubernetes_components import node


class Files:
    """Files that are there, some of them changed after everything had started."""

    def __init__(self, host: Host, present: Iterable[str], changed: Iterable[str]) -> None:
        self.host, self.present, self.changed = host, set(present), set(changed)

    def get(self, path: str) -> File:
        if path not in self.present:
            return File(self.host, path, "absent", f"no such file: {path}", None)
        time = 2e9 if path in self.changed else 0.0
        status = Status(path, "file", 0o600, 0, 0, "root", "root", 9, time, 1, 2, 1)
        return File(self.host, path, "present", "", status)

    def all(self, paths: Iterable[str]) -> list[File]:
        return [self.get(each) for each in paths]

    def foresee(self, paths: Iterable[str]) -> None:
        pass


def kubelet_host(
    *words: str, files: dict[str, str] | None = None, changed: Iterable[str] = (), **more: Any
) -> Host:
    """Return a host with a kubelet and the files of its settings."""
    told = files or {}
    flags = parse_flags(words)
    config, folder = flags.last("config") or "", flags.last("config-dir") or ""
    config = config if config.startswith("/") or not config else f"/srv/{config}"
    places = [each for each in (config, folder) if each]
    names = {"*.conf", config.rpartition("/")[2] or "*.conf"}
    said = "".join(f"= 0 600 9 {path}\n" for path in told)
    said += "".join(f"{path}:{line}\n" for path, text in told.items() for line in text.split("\n"))
    replies: dict[str, Any] = {}
    if places:
        replies[conf_want(places, sorted(names), depth=9).command] = f"{said}= end\n"
    program = ("/usr/bin/kubelet", ("/usr/bin/kubelet", *words), {})
    host = node(program, **replies | more)
    made = Files(host, told, changed)
    session_of(host).recall(("provider", "files"), lambda: made)
    return host


def says(function: Any, host: Host) -> str:
    """Return what a control says of a host."""
    control = control_of(function)
    assert control is not None
    return str(judge(control, host, Site("fake")).status)
