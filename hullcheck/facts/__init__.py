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
    cron,
    distribution,
    docker,
    doors,
    engine_files,
    engine_parts,
    files,
    homes,
    images,
    kernel,
    lsm,
    machine,
    mounts,
    name_services,
    packages,
    podman,
    processes,
    role,
    root_groups,
    runtime_sockets,
    secrets_of_accounts,
    services,
    sockets,
    startup,
    sudo_files,
    sudo_rules,
    swarm,
    swarm_parts,
    umask,
)
from hullcheck.facts.registry import PROVIDERS, Thing, Unseen, fact, get, provide, provide_each

__all__ = ["PROVIDERS", "Thing", "Unseen", "fact", "get", "provide", "provide_each"]
