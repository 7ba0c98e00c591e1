"""Kubernetes as a node shows it: its components, their settings, files, keys and pods."""

# Importing a module registers what it provides.
from hullcheck.facts.kubernetes import (  # noqa: F401
    components,
    kubelet_settings,
    pod_volumes,
    programs,
    static_pods,
)
