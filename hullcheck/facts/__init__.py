"""Typed read-only views of a host. A control asks for one by naming a parameter after it."""

from hullcheck.facts.registry import PROVIDERS, Thing, fact, get, provide, provide_each

__all__ = ["PROVIDERS", "Thing", "fact", "get", "provide", "provide_each"]

from hullcheck.facts import accounts, docker, files, kernel, lsm, mounts, processes, sockets  # noqa: E402, F401
