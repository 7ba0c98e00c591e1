"""Processes with threads in them, as one executor.

Judging is work for a processor, and threads of one Python share one; waiting for hosts is not,
and a process for each host would cost a fleet's memory. So there are a few processes, forked
while there are no threads, and many threads in each.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import itertools
import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import Any, ParamSpec, TypeVar

__all__ = ["ProcessCrew"]

P = ParamSpec("P")
T = TypeVar("T")
END_SECONDS = 5.0


class ProcessCrew(Executor):
    """Runs functions in forked processes, many threads in each; functions and values are pickled.

    A process that dies takes only its own tasks with it: they raise BrokenExecutor, and so does
    ``submit`` when none is left.

    :param at_exit: called in each process before it ends.
    """

    def __init__(
        self, processes: int, threads: int, at_exit: Callable[[], None] = lambda: None
    ) -> None:
        gc.collect()
        gc.freeze()  # what is never looked at again by the collector stays shared
        self._workers: list[_Worker] = []
        for _ in range(processes):
            others = [each.connection for each in self._workers]
            self._workers.append(_Worker(threads, at_exit, others))
        gc.unfreeze()
        for each in self._workers:
            each.listen()
        # Before multiprocessing's own: it waits for processes, and they ignore its signal.
        atexit.register(self.shutdown, wait=False)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Give a task to the process that has the fewest.

        :raises BrokenExecutor: no process is left.
        """
        alive = [each for each in self._workers if each.alive]
        if not alive:
            raise BrokenExecutor("every worker process has died")
        return min(alive, key=lambda each: each.load).submit(fn, args, kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes; what they still do is waited for, or given up.

        :param cancel_futures: nothing, as every task has begun.
        """
        atexit.unregister(self.shutdown)
        if wait:
            for each in self._workers:
                each.settle()
        for each in self._workers:
            each.end()
        for each in self._workers:
            each.join()


class _Worker:
    """One process, as its parent sees it."""

    def __init__(
        self, threads: int, at_exit: Callable[[], None], others: Sequence[Connection]
    ) -> None:
        context = multiprocessing.get_context("fork")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, threads, at_exit, [*others, self.connection]), daemon=True
        )
        self._process.start()
        theirs.close()
        self._lock, self._sending = threading.Lock(), threading.Lock()
        self._numbers = itertools.count()
        self._tasks: dict[int, Future[Any]] = {}
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self.alive = True

    def listen(self) -> None:
        """Begin to take results."""
        self._listener.start()

    @property
    def load(self) -> int:
        """How many tasks it has."""
        return len(self._tasks)

    def submit(self, fn: Callable[..., T], args: Any, kwargs: Any) -> Future[T]:
        """Give it a task."""
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        with self._lock:
            number = next(self._numbers)
            self._tasks[number] = future
        try:
            with self._sending:
                self.connection.send((number, fn, args, kwargs))
        except OSError:
            self._fail()
        except Exception as error:  # it cannot be pickled
            with self._lock:
                self._tasks.pop(number).set_exception(error)
        return future

    def _listen(self) -> None:
        """Take results. What ends this, an answer that cannot be read too, ends the worker."""
        try:
            with contextlib.suppress(EOFError, OSError):
                while True:
                    number, good, value = self.connection.recv()
                    with self._lock:
                        future = self._tasks.pop(number)
                    if good:
                        future.set_result(value)
                    else:
                        future.set_exception(value)
        finally:
            self._fail()

    def _fail(self) -> None:
        with self._lock:
            self.alive = False
            tasks, self._tasks = self._tasks, {}
        for future in tasks.values():
            future.set_exception(BrokenExecutor("a worker process has died"))

    def settle(self) -> None:
        """Wait for its tasks."""
        for each in list(self._tasks.values()):
            with contextlib.suppress(Exception):
                each.result()

    def end(self) -> None:
        """Tell it that nothing more comes."""
        self.alive = False
        with contextlib.suppress(OSError):
            self.connection.send(None)

    def join(self) -> None:
        """Wait until it has ended, or end it."""
        self._process.join(END_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._listener.join(END_SECONDS)
        self.connection.close()


def _serve(
    connection: Connection, threads: int, at_exit: Callable[[], None], others: Sequence[Connection]
) -> None:
    """Run tasks until the parent says so, or is no more. Signals are for the parent."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    for each in others:
        each.close()
    lock = threading.Lock()
    sys.setswitchinterval(0.02)  # threads that judge give way less often
    pool = ThreadPoolExecutor(threads)

    def answer(number: int, future: Future[Any]) -> None:
        error = future.exception()
        if error is not None and type(error).__module__ != "builtins":
            # Others may not come out of a pickle as they went in.
            error = RuntimeError(f"{type(error).__name__}: {error}")
        with lock, contextlib.suppress(OSError):
            try:
                connection.send((number, error is None, error or future.result()))
            except (TypeError, AttributeError, pickle.PicklingError) as unpicklable:
                connection.send((number, False, RuntimeError(str(unpicklable))))

    with contextlib.suppress(EOFError, OSError):
        while (task := connection.recv()) is not None:
            number, fn, args, kwargs = task
            future = pool.submit(fn, *args, **kwargs)
            future.add_done_callback(functools.partial(answer, number))
    at_exit()
    os._exit(0)
