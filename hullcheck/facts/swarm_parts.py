"""The services of swarms, and the networks across their nodes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.registry import get, provide_each
from hullcheck.facts.swarm import Swarm
from hullcheck.facts.swarm_api import PLUGIN, checked
from hullcheck.transport import CannotAnswer
from hullcheck.verdict import Object

__all__ = ["Overlay", "Service"]


@dataclass(frozen=True)
class _Part:
    """A part of a swarm; without data it stands for those that the swarm could not tell of."""

    swarm: Swarm = field(repr=False)
    data: dict[str, Any] | None

    kind: ClassVar[str]

    @staticmethod
    def told(swarm: Swarm) -> list[dict[str, Any]]:
        """Return what a swarm tells of its parts. Raises what stops it."""
        raise NotImplementedError

    @property
    def object(self) -> Object:
        if self.data is None:
            return self.swarm.object
        return Object(self.kind, self.name, str(self.data.get("ID") or self.data.get("Id")))

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.known.get("Spec", self.known)["Name"])

    @property
    def known(self) -> dict[str, Any]:
        """What the engine says of it. Raises what was raised when it was asked for its parts."""
        if self.data is None:
            self.told(self.swarm)
            raise Unknown(f"{self.swarm} changed while it was looked at")
        return self.data


def _small(told: Any) -> Any:
    return {key.lower(): value for key, value in told.items()} if isinstance(told, dict) else told


class Service(_Part):
    """A service of a swarm, on whatever nodes its tasks are."""

    kind = "service"

    @staticmethod
    def told(swarm: Swarm) -> list[dict[str, Any]]:
        return swarm.services

    @property
    def container(self) -> dict[str, Any]:
        """What its containers are to be. :raises NotApplicable: it runs a plugin instead."""
        found: dict[str, Any] = self.known["Spec"]["TaskTemplate"].get("ContainerSpec") or {}
        if not found:
            raise NotApplicable("the service runs no containers")
        return found

    @property
    def plugin(self) -> dict[str, Any]:
        """The engine's plugin that it installs on nodes instead of running containers; else {}.

        The client cannot make such services.

        :raises Unknown: what is told of it makes no sense.
        """
        found = _small(self.known["Spec"]["TaskTemplate"].get("PluginSpec") or {})
        told = found.pop("pluginprivilege", None) or found.get("privileges") or []
        found["privileges"] = [_small(each) for each in told] if isinstance(told, list) else told
        plugin: dict[str, Any] = checked(found, PLUGIN) if len(found) > 1 else {}
        return plugin

    @property
    def variables(self) -> list[str]:
        """The environment of its containers or of its plugin, as NAME=value."""
        return list((self.plugin.get("env") if self.plugin else self.container.get("Env")) or [])

    @property
    def networks(self) -> frozenset[str]:
        """The ids of the networks that its containers are in."""
        spec = self.known["Spec"]
        places = (spec["TaskTemplate"].get("Networks"), spec.get("Networks"))
        return frozenset(each["Target"] for place in places for each in place or [])

    @property
    def ports(self) -> list[dict[str, Any]]:
        """What it is to publish."""
        return list((self.known["Spec"].get("EndpointSpec") or {}).get("Ports") or [])


class Overlay(_Part):
    """A network across the nodes of a swarm."""

    kind = "network"

    @staticmethod
    def told(swarm: Swarm) -> list[dict[str, Any]]:
        found = [each for each in swarm.engine.networks if each.get("Driver") == "overlay"]
        if not found and not swarm.manager:
            raise NotApplicable("a worker knows only networks that its own containers are in")
        return found

    @property
    def ingress(self) -> bool:
        """Whether it is the one that carries published ports to the nodes (the routing mesh)."""
        said = self.known.get("Ingress")
        return said is True if isinstance(said, bool) else self.name == "ingress"

    @property
    def encrypted(self) -> bool:
        """Whether its traffic between nodes is encrypted. The driver looks whether the option is
        there, not at its value (libnetwork, drivers/overlay/ov_network.go)."""
        return "encrypted" in (self.known.get("Options") or {})


Part = TypeVar("Part", bound=_Part)


def _parts(host: Host, kind: type[Part], none: str) -> list[Part]:
    """Return the parts of every swarm, each once, though two engines here may manage it."""
    found: dict[object, Part] = {}
    for each in get(host, "swarm"):
        try:
            for data in kind.told(each):
                made = kind(each, data)
                found.setdefault(made.object, made)
        except (CannotAnswer, NotApplicable, Unknown):
            found[each] = kind(each, None)
    if not found:
        raise NotApplicable(none)
    return list(found.values())


@provide_each
def swarm_service(host: Host) -> list[Service]:
    """Each service of the swarms that an engine here manages."""
    return _parts(host, Service, "the swarm has no services")


@provide_each
def overlay_network(host: Host) -> list[Overlay]:
    """Each network across nodes that an engine here knows, the routing mesh's among them."""
    return _parts(host, Overlay, "the swarm has no network across nodes")
