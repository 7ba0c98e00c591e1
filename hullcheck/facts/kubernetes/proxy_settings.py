"""What a kube-proxy goes by.

With ``--config`` the file alone counts: all flags but the node's name and the logging's are
ignored. Without it, flags do, and the old ``--metrics-port`` adds a port or turns the server off
(Kubernetes, cmd/kube-proxy/app/options.go). What is not said comes from
pkg/proxy/apis/config/v1alpha1/defaults.go: metrics on localhost, unless the node's own address is
IPv6, then on [::1]. A kube-proxy ends when its file changes, and starts with the new one.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, field

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.foreign_yaml import at, documents, text
from hullcheck.facts.kubernetes.components import Component
from hullcheck.facts.kubernetes.flags import truth
from hullcheck.facts.registry import Unseen, fact, get, provide_each
from hullcheck.inventory.document import Node
from hullcheck.verdict import Object

__all__ = ["ProxySettings", "address_of", "proxy_settings"]

METRICS, HEALTH = 10249, 10256


def address_of(said: str, port: int) -> tuple[str, int]:
    """Return the address and port of ``ADDRESS:PORT``, or of an address alone.

    :raises Unknown: it is neither.
    """
    host, colon, last = said.rpartition(":")
    if colon and last.isascii() and last.isdecimal() and (":" not in host or host.endswith("]")):
        port = int(last[:6])
    else:
        host = said
    try:
        return str(ipaddress.ip_address(host.strip("[]") or "::")), port
    except ValueError:
        if host == "localhost":
            return "127.0.0.1", port
        raise Unknown(f"{said[:60]!r} is no address") from None


@dataclass(frozen=True, eq=False)
class ProxySettings:
    """The settings of one kube-proxy."""

    host: Host = field(repr=False)
    proxy: Component

    @property
    def object(self) -> Object:
        return self.proxy.object

    def __str__(self) -> str:
        return str(self.proxy)

    @property
    def config(self) -> str:
        """The path of its file, as it sees it; empty if it has none."""
        return self.proxy.flags.last("config") or ""

    @fact
    def _document(self) -> Node | None:
        if not self.config:
            return None
        content = self.proxy.program.text(self.config)
        if content is None:
            raise Unknown(f"{self.config}, which {self.proxy} was started with, is not there")
        made = documents(content, self.config)
        if len(made) != 1:
            raise Unknown(f"{self.config} holds {len(made)} documents")
        return made[0]

    def _said(self, flag: str, *keys: str) -> str | None:
        """Return what is said; None if nothing is. In a file, an empty text is nothing."""
        if self.config:
            return text(at(self._document, *keys)) or None
        return self.proxy.flags.last(flag)

    @property
    def metrics(self) -> tuple[str, int] | None:
        """Where it shows its metrics and its settings; None if nowhere."""
        old = None if self.config else self.proxy.flags.last("metrics-port")
        if old == "0":
            return None
        port = int(old) if old and old.isascii() and old.isdecimal() else METRICS
        said = self._said("metrics-bind-address", "metricsBindAddress")
        if said is None:
            own = self._said("bind-address", "bindAddress") or ""
            said = "::1" if self.config and ":" in own else "127.0.0.1"
        return address_of(said, port) if said else None

    @property
    def profiling(self) -> bool:
        """Whether it offers profiles of itself beside its metrics."""
        said = self._said("profiling", "enableProfiling")
        return truth(said, "enableProfiling") if said else False

    @property
    def kubeconfig(self) -> str:
        """The path of its kubeconfig, as it sees it; empty if it is its pod's account."""
        return self._said("kubeconfig", "clientConnection", "kubeconfig") or ""


@provide_each
def proxy_settings(host: Host) -> Iterator[ProxySettings | Unseen]:
    """The settings of each kube-proxy. :raises NotApplicable: none runs here."""
    found: list[Component | Unseen] = get(host, "kube_proxy")
    for each in found:
        yield each if isinstance(each, Unseen) else ProxySettings(host, each)
