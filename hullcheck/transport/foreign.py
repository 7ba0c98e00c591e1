"""testinfra's other kinds of hosts: containers, directories, and what Ansible or Salt reach."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from testinfra.backend import get_backend_class
from testinfra.backend.base import BaseBackend, CommandResult

from hullcheck.transport.target import Target
from hullcheck.transport.want import LIMIT, Evidence, Unreachable, Want

__all__ = ["ForeignWire", "exec_prefix"]


_PROLOGUE = "PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C; export PATH LC_ALL; cd /; "


def exec_prefix(target: Target) -> list[str] | None:
    """Return the local program that starts another in a target, or None if there is no such."""
    make = _PREFIXES.get(target.scheme)
    return make(target) if make else None


def _container(program: str) -> Callable[[Target], list[str]]:
    def prefix(target: Target) -> list[str]:
        user, _, name = target.address.rpartition("@")
        return [program, "exec", "-i", *(["-u", user] if user else []), name]

    return prefix


def _pod(program: str) -> Callable[[Target], list[str]]:
    def prefix(target: Target) -> list[str]:
        options = dict(target.options)
        flags = [
            f"--{key}={options[key]}"
            for key in ("kubeconfig", "context", "namespace")
            if key in options
        ]
        inside = ["-c", options["container"]] if "container" in options else []
        return [program, *flags, "exec", "-i", target.address, *inside, "--"]

    return prefix


_PREFIXES: dict[str, Callable[[Target], list[str]]] = {
    "docker": _container("docker"),
    "podman": _container("podman"),
    "kubectl": _pod("kubectl"),
    "openshift": _pod("oc"),
    "lxc": lambda target: ["lxc", "exec", target.address, "--mode=non-interactive", "--"],
    "chroot": lambda target: ["chroot", target.address],
}


def _backend(target: Target) -> Any:
    options: dict[str, Any] = dict(target.options)
    flags = {key: True for key, value in options.items() if value == "true"}
    options.update(flags, sudo=target.sudo, sudo_user=target.sudo_user)
    if target.ssh_config is not None:
        options["ssh_config"] = str(target.ssh_config)
    try:
        return get_backend_class(target.scheme)(target.address, **options)
    except (ImportError, RuntimeError) as error:
        raise Unreachable("lost", f"{target.display}: {error}") from error


class ForeignWire:
    """Sends wants one by one through testinfra's own backend; a hung one is left behind."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._backend: BaseBackend = _backend(target)
        self._reached = False

    def perform(self, wants: Sequence[Want]) -> Iterator[Evidence]:
        """Yield the evidence of each want. See :class:`hullcheck.transport.session.Wire`.

        :raises Unreachable: the first one could not even be put to the host.
        """
        for each in wants:
            yield self._ask(each)
            self._reached = True

    def _ask(self, asked: Want) -> Evidence:
        started, clock = time.time(), time.monotonic()
        outcome: list[CommandResult | Exception] = []
        command = f"{_PROLOGUE}( {asked.command}\n) </dev/null"

        def work() -> None:
            try:
                outcome.append(self._backend.run(command))
            except Exception as error:  # a backend may raise what it likes; it is told below
                outcome.append(error)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(asked.seconds + 10)
        seconds = round(time.monotonic() - clock, 6)
        nothing = Evidence(asked.command, None, b"", b"", started, seconds)
        if not outcome:
            return replace(nothing, trouble=f"timed out after {asked.seconds:g} s")
        result = outcome[0]
        if isinstance(result, Exception):
            said = " ".join(str(result).split())[:300]
            if not self._reached:
                raise Unreachable("lost", f"{self._target.display}: {said}") from result
            return replace(nothing, trouble=f"the connection failed: {said}")
        out, err = result.stdout_bytes, result.stderr_bytes
        trouble = f"gave more than {LIMIT} bytes" if max(len(out), len(err)) > LIMIT else ""
        return replace(
            nothing, exit=result.rc, stdout=out[:LIMIT], stderr=err[:LIMIT], trouble=trouble
        )

    def close(self) -> None:
        """testinfra's backends have nothing to close."""
