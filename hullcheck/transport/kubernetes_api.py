"""A cluster of Kubernetes, reached through its API: each want is one GET, and no other is sent.

Kubeconfigs are read, plug-ins for logging in started and certificates checked by the official
Python client (the extra ``kubernetes``). A redirect is not followed: it would lead the auditor's
machine, and the proof of who they are, to wherever the other side likes.
"""

from __future__ import annotations

import importlib
import json
import os
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from hullcheck.transport.target import Target
from hullcheck.transport.want import LIMIT, Evidence, Unreachable, Want

__all__ = ["ABSENT", "ANSWERS", "FAILED", "FORBIDDEN", "UNINSTALLED", "VERSION", "KubernetesWire"]

METHOD = "GET"
FAILED, FORBIDDEN, ABSENT, UNINSTALLED = 1, 3, 4, 69
"""Exit codes of requests: any other failure, HTTP's 403 and 404, no client is installed."""

ANSWERS = frozenset({0, FORBIDDEN, ABSENT})
VERSION = Want(f"{METHOD} /version", ANSWERS | {UNINSTALLED})

INSTALL = "pip install 'hullcheck[kubernetes]'"
CONNECT_SECONDS = 10.0
CHUNK = 65536
AGAIN = 3
"""How often a request is put to a server that is busy (429)."""

IN_CLUSTER = "KUBERNETES_SERVICE_HOST"


class _Failed(Exception):
    """A request came to nothing. :param kind: as of :class:`Unreachable`."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class KubernetesWire:
    """Puts wants to an API server, one after the other on a connection that is kept."""

    def __init__(self, target: Target, connect_timeout: float | None = None) -> None:
        """:raises Unreachable: there is no way in, or one that checks no certificate."""
        self._name = target.display
        self._patience = target.timeout or connect_timeout or CONNECT_SECONDS
        self._reached = self._closed = False
        self._client: Any = None
        try:
            self._modules = _modules()
        except ImportError:
            return
        self._client = _client(target, *self._modules)

    def perform(self, wants: Sequence[Want]) -> Iterator[Evidence]:
        """Yield the evidence of each want. See :class:`hullcheck.transport.session.Wire`.

        :raises Unreachable: the server cannot be reached, or does not know the account.
        """
        for each in wants:
            yield self._ask(each)

    def close(self) -> None:
        """End the connection."""
        self._closed = True
        if self._client is not None:
            self._client.rest_client.pool_manager.clear()

    def _ask(self, asked: Want) -> Evidence:
        started, clock = time.time(), time.monotonic()
        code, out, err, trouble = self._reply(asked)
        seconds = round(time.monotonic() - clock, 6)
        return Evidence(asked.command, code, out, err, started, seconds, trouble=trouble)

    def _reply(self, asked: Want) -> tuple[int | None, bytes, bytes, str]:
        if self._client is None:
            said = f"the Kubernetes client is not installed: {INSTALL}"
            return (UNINSTALLED, b"", said.encode(), "" if asked == VERSION else said)
        method, _, path = asked.command.partition(" ")
        if method != METHOD or not path.startswith("/") or self._closed:
            return None, b"", b"", "a cluster is only asked by GET"
        try:
            status, body = self._in_time(path, asked.seconds)
        except _Failed as failure:
            if not self._reached:
                raise Unreachable(failure.kind, f"{self._name}: {failure}") from failure
            lost = "" if failure.kind == "timeout" else "connection lost: "
            return None, b"", b"", f"{lost}{failure}"
        if status == 401:
            said = "it does not know the account (401): log in anew, or see the kubeconfig's user"
            if not self._reached:
                raise Unreachable("authentication", f"{self._name}: {said}")
        self._reached = True
        if status == 200:
            if len(body) > LIMIT:
                return None, b"", b"", f"gave more than {LIMIT} bytes"
            return 0, body, b"", ""
        code = {403: FORBIDDEN, 404: ABSENT}.get(status, FAILED)
        return code, b"", f"HTTP {status}: {_message(body)}".encode(), ""

    def _in_time(self, path: str, seconds: float) -> tuple[int, bytes]:
        """Return status and body; a server that drips is left behind. :raises _Failed: why."""
        outcome: list[tuple[int, bytes] | Exception] = []

        def work() -> None:
            try:
                outcome.append(self._patiently(path, seconds))
            except Exception as error:  # it is told below
                outcome.append(error)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(seconds)
        if not outcome:
            raise _Failed("timeout", f"timed out after {seconds:g} s")
        if isinstance(outcome[0], Exception):
            raise self._failure(outcome[0]) from outcome[0]
        return outcome[0]

    def _failure(self, error: Exception) -> _Failed:
        urllib3 = self._modules[2].exceptions
        said = " ".join(str(error).split())[:300]
        if isinstance(error, urllib3.SSLError):
            return _Failed("host-key", f"its certificate does not hold: {said}")
        if isinstance(error, urllib3.NameResolutionError):
            return _Failed("name", said)
        if isinstance(error, urllib3.TimeoutError) and not isinstance(
            error, urllib3.NewConnectionError
        ):
            return _Failed("timeout", said)
        return _Failed("lost" if self._reached else "refused", said)

    def _patiently(self, path: str, seconds: float) -> tuple[int, bytes]:
        for turn in range(AGAIN):
            status, body = self._get(path, seconds)
            if status != 429:
                break
            time.sleep(0.5 * (turn + 1))
        return status, body

    def _get(self, path: str, seconds: float) -> tuple[int, bytes]:
        client, urllib3 = self._client, self._modules[2]
        headers = {"Accept": "application/json", "User-Agent": "hullcheck"}
        client.update_params_for_auth(headers, [], ["BearerToken"], path, METHOD, None)
        reply = client.rest_client.pool_manager.request(
            METHOD, client.configuration.host.rstrip("/") + path, headers=headers,
            redirect=False, retries=False, preload_content=False, decode_content=False,
            timeout=urllib3.Timeout(connect=self._patience, read=seconds),
        )  # fmt: skip
        parts: list[bytes] = []
        size = 0
        while size <= LIMIT and (part := reply.read(CHUNK, decode_content=False)):
            parts.append(part)
            size += len(part)
        if size > LIMIT:
            reply.close()
        else:
            reply.release_conn()
        return reply.status, b"".join(parts)


def _modules() -> tuple[Any, Any, Any]:
    """Return client, config and urllib3. :raises ImportError: they are not installed."""
    found = [importlib.import_module(f"kubernetes.{each}") for each in ("client", "config")]
    return found[0], found[1], importlib.import_module("urllib3")


def _client(target: Target, client: Any, config: Any, _urllib3: Any) -> Any:
    """Return the official client for a target. :raises Unreachable: it leads nowhere safe."""
    options = dict(target.options)
    path = options.get("kubeconfig")
    context = target.address or options.get("context")
    settings = client.Configuration()
    try:
        if path is None and context is None and _in_cluster():
            config.load_incluster_config(client_configuration=settings)
        else:
            config.load_kube_config(
                config_file=str(Path(path).expanduser()) if path else None, context=context,
                client_configuration=settings, persist_config=False,
            )  # fmt: skip
    except (
        config.ConfigException, OSError, ValueError, TypeError, KeyError, yaml.YAMLError
    ) as error:  # fmt: skip
        raise Unreachable("authentication", f"{target.display}: {error}") from error
    if not settings.host.startswith("https://"):
        raise Unreachable("host-key", f"{target.display}: {settings.host} is not spoken to by TLS")
    if not settings.verify_ssl:
        raise Unreachable(
            "host-key", f"{target.display}: the kubeconfig says insecure-skip-tls-verify: give the "
            "cluster's own authority instead (certificate-authority-data)"
        )  # fmt: skip
    return client.ApiClient(configuration=settings)


def _in_cluster() -> bool:
    """Whether this is a pod, and nobody gave it a kubeconfig."""
    own = os.environ.get("KUBECONFIG") or (Path.home() / ".kube" / "config").exists()
    return not own and IN_CLUSTER in os.environ


def _message(body: bytes) -> str:
    """Return what a Status says; of anything else, nothing."""
    try:
        said = json.loads(body[:CHUNK])
    except (ValueError, RecursionError):
        return ""
    text = said.get("message") if isinstance(said, dict) else None
    return " ".join(text.split())[:300] if isinstance(text, str) else ""
