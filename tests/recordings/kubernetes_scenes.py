"""The nodes of Kubernetes that recordings are taken from, by name; to be run by ``scenes.py``."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from tests.live.hosts.overlay import OverlayHost
from tests.recordings.nodes.k0s import k0s_default
from tests.recordings.nodes.k3s import k3s_default, k3s_hardened
from tests.recordings.nodes.kubeadm import kubeadm_default, kubeadm_worker
from tests.recordings.nodes.microk8s import microk8s_default, microk8s_hardened
from tests.recordings.nodes.rke2 import rke2_default, rke2_hardened
from tests.recordings.nodes.units import units_default, units_hardened

__all__ = ["NODES"]

NODES: dict[str, Callable[[str], AbstractContextManager[OverlayHost]]] = {
    "kubeadm-default": kubeadm_default,
    "kubeadm-worker": kubeadm_worker,
    "k3s-default": k3s_default,
    "k3s-hardened": k3s_hardened,
    "rke2-default": rke2_default,
    "rke2-hardened": rke2_hardened,
    "microk8s-default": microk8s_default,
    "microk8s-hardened": microk8s_hardened,
    "units-default": units_default,
    "units-hardened": units_hardened,
    "k0s-default": k0s_default,
}
