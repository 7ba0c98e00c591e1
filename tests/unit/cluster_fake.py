"""A cluster made of objects, without a server: its answers are those of the first page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from testinfra.host import Host

from hullcheck.catalogue import all_controls
from hullcheck.facts.kubernetes.requests import _FIRST, _paged
from hullcheck.inventory.policy import Policy
from hullcheck.judge import Site, judge
from hullcheck.transport import Evidence, Session, host_of
from hullcheck.transport.kubernetes_api import ABSENT
from hullcheck.transport.recording import Replay
from hullcheck.transport.redact import Redactor
from hullcheck.verdict import Verdict
from tests.cluster.server import VERSION


def cluster_with(
    objects: Mapping[str, list[dict[str, Any]]], answers: Mapping[str, Evidence] | None = None
) -> Host:
    """Return a cluster of these objects; ``answers`` are given in place of whole lists."""
    evidence = [_said("GET /version", VERSION)]
    for path in _FIRST:
        plain, command = path.partition("?")[0], f"GET {_paged(path)}"
        if answers and plain in answers:
            evidence.append(answers[plain])
        elif plain in objects:
            evidence.append(_said(command, {"metadata": {}, "items": objects[plain]}))
        else:
            evidence.append(Evidence(command, ABSENT, b"", b"HTTP 404: not found"))
    redacted = [Redactor(b"tests")(each) for each in evidence]
    session = Session(Replay(redacted))
    session.preload(redacted)
    return host_of(session, "prod", "fake")


def _said(command: str, document: Any) -> Evidence:
    return Evidence(command, 0, json.dumps(document, separators=(",", ":")).encode(), b"")


def verdict(host: Host, name: str, policy: Policy | None = None) -> Verdict:
    """Return what a control, by its name without area, says of a cluster."""
    return judge(all_controls()[f"orchestrator.{name}"], host, Site("prod", policy or Policy()))


def statuses(found: Verdict) -> dict[str, str]:
    """Return the status of each object."""
    return {each.object.name: str(each.status) for each in found.findings}
