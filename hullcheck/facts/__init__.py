"""Typed read-only views of a host. A control asks for one by naming a parameter after it."""

# Importing a module registers what it provides.
from hullcheck.facts import (  # noqa: F401
    accounts,
    audit,
    boot_mounts,
    bundles,
    containerd,
    containers,
    cri,
    crio,
    data_roots,
    distribution,
    docker,
    doors,
    engine_files,
    engine_parts,
    exports,
    files,
    images,
    kernel,
    lsm,
    machine,
    mounts,
    packages,
    podman,
    processes,
    role,
    runtime_sockets,
    services,
    setuid,
    sockets,
    swaps,
    swarm,
    swarm_parts,
)
from hullcheck.facts.registry import PROVIDERS, Thing, Unseen, fact, get, provide, provide_each

__all__ = ["PROVIDERS", "Thing", "Unseen", "fact", "get", "provide", "provide_each"]
