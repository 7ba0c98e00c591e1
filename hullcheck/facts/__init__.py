"""Typed read-only views of a host. A control asks for one by naming a parameter after it."""

# Importing a module registers what it provides.
from hullcheck.facts import (  # noqa: F401
    accounts,
    audit,
    binfmt,
    boot,
    bundles,
    containerd,
    containers,
    core_dumps,
    cri,
    crio,
    distribution,
    docker,
    doors,
    engine_files,
    engine_parts,
    files,
    images,
    interfaces,
    kernel,
    lsm,
    machine,
    modules,
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
