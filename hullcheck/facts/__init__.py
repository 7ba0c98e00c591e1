"""Typed read-only views of a host. A control asks for one by naming a parameter after it."""

# Importing a module registers what it provides.
from hullcheck.facts import (  # noqa: F401
    accounts,
    audit,
    bundles,
    containerd,
    containers,
    cri,
    crio,
    distribution,
    docker,
    doors,
    engine_files,
    engine_parts,
    files,
    images,
    kernel,
    listeners,
    lsm,
    machine,
    mounts,
    packages,
    packet_filter,
    podman,
    processes,
    role,
    routes,
    runtime_sockets,
    services,
    sockets,
    swarm,
    swarm_parts,
)
from hullcheck.facts.registry import PROVIDERS, Thing, Unseen, fact, get, provide, provide_each

__all__ = ["PROVIDERS", "Thing", "Unseen", "fact", "get", "provide", "provide_each"]
