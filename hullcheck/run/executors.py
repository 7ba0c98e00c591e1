"""What audits run on: threads, processes with threads in them, or a Dask cluster."""

from __future__ import annotations

import importlib
import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from hullcheck.run.audit import close_all
from hullcheck.run.crew import ProcessCrew
from hullcheck.run.options import UsageError

__all__ = ["AT_ONCE", "Crew", "crew_of"]

PATIENCE = 10.0
"""Seconds in which a scheduler must answer."""

P = ParamSpec("P")
T = TypeVar("T")

AT_ONCE = 32
"""Hosts that are audited at the same time, where nobody says otherwise."""

FEW = 8
"""Up to so many hosts, threads are enough; see bench/fleet.py."""


@dataclass(frozen=True, slots=True)
class Crew:
    """An executor, and how many hosts to give it at a time."""

    executor: Executor
    at_once: int
    what: str


def crew_of(options: Any, hosts: int) -> Crew:
    """Return what the command line asks for, or what suits so many hosts.

    :raises UsageError: it cannot be had here.
    """
    if options.scheduler:
        return _dask(options.scheduler, options.concurrency)
    at_once = min(options.concurrency or AT_ONCE, max(hosts, 1))
    forks = "fork" in multiprocessing.get_all_start_methods() and os.uname().sysname == "Linux"
    processes = min(os.cpu_count() or 1, at_once)
    kind = options.workers or (
        "processes" if forks and hosts > FEW and processes > 1 else "threads"
    )
    if kind == "threads":
        return Crew(ThreadPoolExecutor(at_once), at_once, f"{at_once} threads")
    if not forks:
        raise UsageError("--workers processes needs Linux; use threads here")
    threads = -(-at_once // processes)
    crew = ProcessCrew(processes, threads, close_all)
    return Crew(crew, at_once, f"{processes} processes of {threads} threads")


def _dask(address: str, concurrency: int | None) -> Crew:
    try:
        distributed: Any = importlib.import_module("distributed")
    except ModuleNotFoundError as error:
        raise UsageError("--scheduler needs Dask: pip install 'hullcheck[cluster]'") from error
    try:
        client = distributed.Client(address, timeout=PATIENCE)
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(f"--scheduler {address}: there is no scheduler: {error}") from error
    threads = sum(client.nthreads().values())
    if not threads:
        client.close()
        raise UsageError(f"--scheduler {address}: it has no workers; start dask worker {address}")
    return Crew(_Cluster(client), concurrency or 2 * threads, f"{threads} threads of {address}")


class _Cluster(Executor):
    """A Dask client's executor, and the client with it."""

    def __init__(self, client: Any) -> None:
        self._client = client
        # Not pure: two hosts that look the same are two hosts.
        self._executor = client.get_executor(pure=False)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Give a task to the cluster."""
        future: Future[T] = self._executor.submit(fn, *args, **kwargs)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Wait for what runs, or give it up, and leave the cluster."""
        self._executor.shutdown(wait=wait)
        self._client.close()
