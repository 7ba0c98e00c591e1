"""Containers that a kubelet, or another user of the CRI, has had started."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from hullcheck.control import Unknown
from hullcheck.facts.bundles import Bundle
from hullcheck.facts.processes import Processes

__all__ = ["lister", "name_of", "pod_of"]

CRI_NAMESPACE = "k8s.io"
"""That of containerd's CRI plugin, and of whoever else names it: ``ctr -n k8s.io``."""

SANDBOX = ("io.kubernetes.cri.sandbox-id", "io.kubernetes.cri-o.SandboxID")
"""Annotations with which containerd's CRI plugin and CRI-O say whose pod a container is of."""

_PREFIXES = ("io.kubernetes.cri.", "io.kubernetes.")
_OF_POD = ("namespace", "name", "uid")

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
    """Return what a container is called: by its pod, by nerdctl, or by its id.

    CRI-O takes a pod's own annotations over; those that containerd would set are not its word.
    """
    notes = _notes(bundle)
    for prefix in ("io.kubernetes.",) if bundle.runtime == "cri-o" else _PREFIXES:
        pod = notes.get(f"{prefix}sandbox-name") or notes.get(f"{prefix}pod.name")
        space = notes.get(f"{prefix}sandbox-namespace") or notes.get(f"{prefix}pod.namespace")
        own = notes.get(f"{prefix}container-name") or notes.get(f"{prefix}container.name")
        if pod:
            return "/".join(str(part) for part in (space, pod, own or "sandbox") if part)
    return str(notes.get("nerdctl/name") or bundle.id)


def pod_of(inspect: Mapping[str, Any]) -> str:
    """Return ``namespace/pod/container`` of one that cri-dockerd started; empty of any other.

    It calls them ``k8s_CONTAINER_POD_NAMESPACE_UID_ATTEMPT`` (cri-dockerd, core/naming.go). An
    image can have any label, but no label names a container: both must agree.
    """
    config = inspect.get("Config")
    labels = config.get("Labels") if isinstance(config, dict) else None
    if not isinstance(labels, dict):
        return ""
    space, pod, uid = (str(labels.get(f"io.kubernetes.pod.{each}") or "") for each in _OF_POD)
    own = str(labels.get("io.kubernetes.container.name") or "POD")
    name = str(inspect.get("Name") or "").removeprefix("/")
    if not (space and pod and name.startswith(f"k8s_{own}_{pod}_{space}_{uid}_")):
        return ""
    return f"{space}/{pod}/{'sandbox' if own == 'POD' else own}"


def _notes(bundle: Bundle) -> Mapping[str, Any]:
    told = {} if isinstance(bundle.told, Unknown) else bundle.told
    notes = told.get("annotations")
    return notes if isinstance(notes, dict) else {}
