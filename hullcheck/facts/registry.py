"""The facts a control can ask for by parameter name.

A provider is a function from a testinfra host to a fact. ``@provide`` gives one fact of the
host; ``@provide_each`` gives things (containers, engines, images …), and a control that asks
for one is judged once for each. Either may raise NotApplicable or Unknown for the control.

A provider with a second parameter is given the site's policy too, for what it says of where to
look; what it allows is for controls to judge.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, overload

from testinfra.host import Host

from hullcheck.inventory.policy import Policy
from hullcheck.transport.backend import session_of
from hullcheck.verdict import Object

__all__ = ["PROVIDERS", "Provider", "Thing", "Unseen", "fact", "get", "provide", "provide_each"]

Value = TypeVar("Value")


class Thing(Protocol):
    """One of several things on a host."""

    @property
    def object(self) -> Object:
        """How a finding names it."""
        ...


@dataclass(frozen=True, slots=True)
class Unseen:
    """A thing that is there, or may be, and could not be seen: every control that asks for its
    kind is unknown for it, and judged for the others all the same.

    :param idle: it is one that certainly does not run, and so has no part in the others' lives.
    """

    object: Object
    reason: str
    idle: bool = False


@dataclass(frozen=True, slots=True)
class Provider:
    """How to get a fact, and whether it is one fact or many things.

    :param sited: whether it is given the site's policy.
    """

    name: str
    function: Callable[..., Any]
    each: bool
    sited: bool = False


PROVIDERS: dict[str, Provider] = {}


Parameters = ParamSpec("Parameters")


def provide(function: Callable[Parameters, Value]) -> Callable[Parameters, Value]:
    """Register a function that returns one fact of a host, under the function's name."""
    PROVIDERS[function.__name__] = _provider(function, each=False)
    return function


def _provider(function: Callable[..., Any], each: bool) -> Provider:
    sited = len(inspect.signature(function).parameters) > 1
    return Provider(function.__name__, function, each, sited)


def provide_each(
    function: Callable[Parameters, Iterable[Value]],
) -> Callable[Parameters, Iterable[Value]]:
    """Register a function that returns the things of a kind on a host.

    It is named in the singular, as a control asks for it. With none of them, the control is not
    applicable; a provider that knows the reason raises NotApplicable itself.
    """
    PROVIDERS[function.__name__] = _provider(function, each=True)
    return function


def get(host: Host, name: str, policy: Policy | None = None) -> Any:
    """Return a registered fact of a host (of things, a list); it is computed once."""
    provider = PROVIDERS[name]
    given = (policy or Policy(),) if provider.sited else ()

    def compute() -> Any:
        found = provider.function(host, *given)
        return list(found) if provider.each else found

    return session_of(host).recall(("provider", name, *given), compute)


class fact(Generic[Value]):  # noqa: N801 - used as a decorator, like property
    """A property of an object with a ``host``, computed once.

    Reading it again does no work, but counts as consulting the same evidence.
    """

    def __init__(self, compute: Callable[[Any], Value]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> fact[Value]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> Value: ...
    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self
        key = ("fact", id(instance), self._name)
        # The instance is kept alive by what is remembered, so that its id stays its own.
        remembered = session_of(instance.host).recall(
            key, lambda: (instance, self._compute(instance))
        )
        return remembered[1]
