"""Typed read-only views of a host. A control asks for one by naming a parameter after it."""

from hullcheck.facts.registry import PROVIDERS, Thing, fact, get, provide, provide_each

__all__ = ["PROVIDERS", "Thing", "fact", "get", "provide", "provide_each"]

from hullcheck.facts import (  # noqa: E402, F401
    accounts,
    containers,
    docker,
    doors,
    engine_files,
    files,
    kernel,
    lsm,
    machine,
    mounts,
    processes,
    runtime_sockets,
    sockets,
)
