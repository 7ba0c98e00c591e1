"""Kubernetes as a node shows it: its components, their settings, files, keys and pods."""

# Importing a module registers what it provides.
from hullcheck.facts.kubernetes import (  # noqa: F401
    cluster_access,
    cluster_objects,
    cluster_workloads,
    components,
    kubelet_settings,
    programs,
    requests,
    components,
    kubelet_settings,
    manifests,
    node_files,
    pki,
    places,
    programs,
    api_files,
    components,
    kubelet_settings,
    programs,
    components,
    kubelet_files,
    kubelet_settings,
    programs,
    proxy_settings,
)
