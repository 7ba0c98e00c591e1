"""testinfra's other kinds of hosts: containers, directories, and what Ansible or Salt reach."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from testinfra.backend import get_backend_class
from testinfra.backend.base import BaseBackend, CommandResult

from hullcheck.transport.target import Target
from hullcheck.transport.want import LIMIT, Evidence, Unreachable, Want

__all__ = ["ForeignWire", "exec_prefix", "from_ansible"]


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


def from_ansible(target: Target) -> Target | None:
    """Return how Ansible's inventory says that a host is reached; None: only by Ansible itself.

    :raises Unreachable: the inventory cannot be read, or says what we would have to leave out.
    """
    backend = _backend(target)
    if backend.force_ansible:
        return None
    try:
        host = backend.ansible_runner.get_host(target.address)
    except Exception as error:  # whatever ansible-inventory and its plugins may raise
        raise Unreachable("name", f"{target.display}: no inventory: {error}") from error
    if host is None:
        return None
    inner = host.backend
    found = replace(
        target, scheme=inner.NAME, address=inner.hostname, options=(), name=target.name,
        sudo=target.sudo or inner.sudo, sudo_user=target.sudo_user or inner.sudo_user,
    )  # fmt: skip
    if inner.NAME not in ("ssh", "paramiko"):
        return found
    extra = getattr(inner, "ssh_extra_args", "") or ""
    if re.search(r"-[JWF]\b|proxy", extra, re.IGNORECASE):
        raise Unreachable(
            "name",
            f"{target.display}: its Ansible ssh arguments ({extra}) are not used here: say the "
            "same in ~/.ssh/config",
        )
    place, file = inner.host, inner.ssh_identity_file
    return replace(
        found, scheme="paramiko", address=place.name, user=place.user, password=place.password,
        port=int(place.port) if place.port else None,
        identity_file=target.identity_file or ((Path(file).expanduser(),) if file else ()),
    )  # fmt: skip


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
