"""Kubernetes as a node shows it: its components, their settings, files, keys and pods."""

# Importing a module registers what it provides.
from hullcheck.facts.kubernetes import (  # noqa: F401
    api_files,
    cluster_access,
    cluster_objects,
    cluster_workloads,
    components,
    distribution_files,
    kubelet_files,
    kubelet_settings,
    manifests,
    node,
    node_files,
    pki,
    places,
    pod_volumes,
    programs,
    proxy_settings,
    rancher,
    requests,
    static_pods,
)
