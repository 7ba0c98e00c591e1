"""Containers that a kubelet, or another user of the CRI, has had started."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from hullcheck.control import Unknown
from hullcheck.facts.bundles import Bundle
from hullcheck.facts.processes import Processes

__all__ = ["lister", "name_of"]

CRI_NAMESPACE = "k8s.io"
"""That of containerd's CRI plugin, and of whoever else names it: ``ctr -n k8s.io``."""

SANDBOX = ("io.kubernetes.cri.sandbox-id", "io.kubernetes.cri-o.SandboxID")
"""Annotations with which containerd's CRI plugin and CRI-O say whose pod a container is of."""

LISTERS = frozenset({
    "kubelet", "kubelite", "k3s", "k3s-server", "k3s-agent", "k0s", "rke2", "hyperkube",
})  # fmt: skip
"""Programs that are a kubelet, or have one in them."""


def lister(bundle: Bundle, others: Collection[Bundle], processes: Processes) -> bool:
    """Whether somebody lists a container: it is of a pod whose sandbox is there too, and there is
    a kubelet; of CRI-O's, that runs."""
    of_crio = bundle.runtime == "cri-o"
    if bundle.owner or not (of_crio or bundle.namespace == CRI_NAMESPACE):
        return False
    sandbox = next((note for name in SANDBOX if (note := _notes(bundle).get(name))), None)
    known = any(
        each.id == sandbox and (each.runtime, each.namespace) == (bundle.runtime, bundle.namespace)
        for each in others
    )
    names = LISTERS | {"crio"} if of_crio else LISTERS
    return known and any(each.name in names and each.uids[1] == 0 for each in processes)


def name_of(bundle: Bundle) -> str:
    """Return what a container is called: by its pod, by nerdctl, or by its id."""
    notes = _notes(bundle)
    for prefix in ("io.kubernetes.cri.", "io.kubernetes."):
        pod = notes.get(f"{prefix}sandbox-name") or notes.get(f"{prefix}pod.name")
        space = notes.get(f"{prefix}sandbox-namespace") or notes.get(f"{prefix}pod.namespace")
        own = notes.get(f"{prefix}container-name") or notes.get(f"{prefix}container.name")
        if pod:
            return "/".join(str(part) for part in (space, pod, own or "sandbox") if part)
    return str(notes.get("nerdctl/name") or bundle.id)


def _notes(bundle: Bundle) -> Mapping[str, Any]:
    told = {} if isinstance(bundle.told, Unknown) else bundle.told
    notes = told.get("annotations")
    return notes if isinstance(notes, dict) else {}
