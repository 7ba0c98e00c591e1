"""Kubernetes as a node shows it: its components, their settings, files, keys and pods."""

# Importing a module registers what it provides.
from hullcheck.facts.kubernetes import components, kubelet_settings, programs  # noqa: F401
