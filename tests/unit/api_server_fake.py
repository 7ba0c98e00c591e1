"""Nodes with an API server, made of its command line and the files that it reads."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from testinfra.host import Host

from hullcheck.control import control_of
from hullcheck.facts.kubernetes.api_files import END, _read
from hullcheck.judge import Site, judge
from hullcheck.transport import session_of
from hullcheck.verdict import Verdict
from tests.unit.kubelet_fake import Files
from tests.unit.test_kubernetes_components import node

PATH = "/usr/local/bin/kube-apiserver"
KUBECONFIG = """
clusters:
- name: used
  cluster: {{server: "{0}", insecure-skip-tls-verify: {1}}}
- name: other
  cluster: {{server: "http://other.example"}}
contexts: [{{name: one, context: {{cluster: used, user: u}}}}]
current-context: one
"""


def _ended(text: Any) -> Any:
    if isinstance(text, tuple):
        return text
    return (text if isinstance(text, bytes) else text.encode()) + END.encode()


def server(
    *words: str, files: dict[str, Any] | None = None, changed: Iterable[str] = (), **more: Any
) -> Host:
    """Return a host with an API server; a file may also be what reading it comes to."""
    replies = {
        _read(path, cut).command: _ended(each)
        for path, each in (files or {}).items()
        for cut in (False, True)
    }
    program = (PATH, ("kube-apiserver", *words), {})
    host = node(program, *more.pop("others", ()), **replies | more)
    made = Files(host, files or {}, changed)
    session_of(host).recall(("provider", "files"), lambda: made)
    return host


def verdict(function: Any, *words: str, **more: Any) -> Verdict:
    control = control_of(function)
    assert control is not None
    return judge(control, server(*words, **more), Site("fake"))


def says(function: Any, *words: str, **more: Any) -> str:
    """Return what a control says of one API server."""
    return str(verdict(function, *words, **more).status)
