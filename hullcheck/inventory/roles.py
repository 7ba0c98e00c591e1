"""What hosts are for: the words that an inventory, and what is seen of a host, use."""

from __future__ import annotations

__all__ = ["BUILD_HOST", "KUBERNETES_NODE", "ROLES", "ROOTFUL", "ROOTLESS"]

ROOTFUL, ROOTLESS = "engine-rootful", "engine-rootless"
KUBERNETES_NODE, BUILD_HOST = "kubernetes-node", "build-host"
ROLES = (ROOTFUL, ROOTLESS, KUBERNETES_NODE, BUILD_HOST)
