"""Typed read-only views of a host. A control asks for one by naming a parameter after it."""

# Importing a module registers what it provides.
from hullcheck.facts import (  # noqa: F401
    accounts,
    audit,
    auditd,
    bundles,
    clock,
    containerd,
    containers,
    cri,
    crio,
    distribution,
    docker,
    doors,
    engine_files,
    engine_parts,
    engine_paths,
    files,
    images,
    integrity,
    interfaces,
    kernel,
    loggers,
    lsm,
    machine,
    mounts,
    packages,
    podman,
    processes,
    role,
    runtime_sockets,
    services,
    sockets,
    sshd,
    swarm,
    swarm_parts,
    sysctl,
)
from hullcheck.facts.registry import PROVIDERS, Thing, Unseen, fact, get, provide, provide_each

__all__ = ["PROVIDERS", "Thing", "Unseen", "fact", "get", "provide", "provide_each"]
