"""Controls: what must hold, and how a control says what it saw.

A control is a test function decorated with :func:`control`. It states what it expects with
``assert`` or, better, :func:`expect`, which keeps expected and observed values as data. The
other outcomes are exceptions: :class:`NotApplicable`, :class:`Unknown`, :class:`Manual`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

__all__ = [
    "Control",
    "Expectation",
    "Manual",
    "NotApplicable",
    "Outcome",
    "Unknown",
    "control",
    "control_of",
    "expect",
    "expectations",
]

SEVERITIES = ("low", "medium", "high", "critical")
AREAS = ("host", "engine", "runtime", "build", "orchestrator")

Function = TypeVar("Function", bound=Callable[..., None])
_UNSET: Any = object()
ONE_OF, WITHOUT = "one of ", "none of "
RELATIONS = ("at most", "at least", "one of", "nothing but", "to contain", "none of")
_RELATIONS: tuple[tuple[str, Callable[[Any, Any], bool]], ...] = (
    ("", lambda observed, wanted: bool(observed == wanted)),
    ("at most ", lambda observed, wanted: bool(observed <= wanted)),
    ("at least ", lambda observed, wanted: bool(observed >= wanted)),
    (ONE_OF, lambda observed, wanted: observed in wanted),
    ("nothing but ", lambda observed, wanted: set(observed) <= set(wanted)),
    ("to contain ", lambda observed, wanted: wanted in observed),
    (WITHOUT, lambda observed, wanted: not set(observed) & set(wanted)),
)
"""How a sentence tells a relation, and when it holds; in the order of :func:`expect`'s own."""

SHOWN = 6
"""How many parts of a value a sentence tells; the finding has them all."""


class Outcome(Exception):
    """A control's outcome that is neither pass nor fail; its text is the reason."""


class NotApplicable(Outcome):
    """The control has nothing to say about this host or object; the reason says why."""


class Unknown(Outcome):
    """It could not be determined whether the control holds; the reason says why."""


class Manual(Outcome):
    """A person must look: the reason says at what, ``facts`` is what was gathered."""

    def __init__(self, reason: str, facts: Any = None) -> None:
        super().__init__(reason)
        self.facts = facts


@dataclass(frozen=True, slots=True)
class Control:
    """One thing that must hold, and what a person needs to know of it.

    :param inputs: the names of the facts it asks for.
    """

    id: str
    area: str
    title: str
    rationale: str
    fix: str
    severity: str
    level: int
    function: Callable[..., None]
    inputs: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()


def control(
    *, title: str, severity: str, fix: str, level: int = 1, aliases: Collection[str] = ()
) -> Callable[[Function], Function]:
    """Make a test function a control.

    Its id is the folder it lives in and its name: ``test_no_new_privileges`` in
    ``checks/runtime/`` is ``runtime.no-new-privileges``. Its docstring is the rationale.

    :param severity: low, medium, high or critical: what an attacker gains if it fails.
    :param level: 1 for every host, 2 where security is worth some loss of function.
    :param aliases: ids the control had before it was renamed.
    :raises ValueError: a part is missing or a severity does not exist.
    """

    def decorate(function: Function) -> Function:
        area = function.__module__.split(".")[-2] if "." in function.__module__ else ""
        name = function.__name__.removeprefix("test_").replace("_", "-")
        rationale = inspect.cleandoc(function.__doc__ or "")
        if severity not in SEVERITIES:
            raise ValueError(f"{name}: severity {severity!r} is none of {', '.join(SEVERITIES)}")
        if not (rationale and title and fix):
            raise ValueError(f"{name}: a control needs a title, a docstring and a fix")
        inputs = tuple(inspect.signature(function).parameters)
        made = Control(
            f"{area}.{name}", area, title, rationale, fix, severity, level, function, inputs,
            tuple(aliases),
        )  # fmt: skip
        function.__control__ = made  # type: ignore[attr-defined]
        return function

    return decorate


def control_of(thing: object) -> Control | None:
    """Return the control that a function was made, if it was."""
    found = getattr(thing, "__control__", None)
    return found if isinstance(found, Control) else None


@dataclass(frozen=True, slots=True)
class Expectation:
    """One value that a control compared."""

    what: str
    expected: Any
    observed: Any
    holds: bool
    relation: str

    @property
    def wanted(self) -> Any:
        """What was expected, as data: the value itself, or ``{"at most": value}`` and the like."""
        return {self.relation.strip(): self.expected} if self.relation else self.expected

    @property
    def sentence(self) -> str:
        """One sentence: what was seen, and what should have been."""
        if self.expected == []:
            return f"{self.what}: {show(self.observed)}"
        if self.relation == WITHOUT:
            found = [each for each in self.observed if each in self.expected]
            return f"{self.what} is {show(found)}, expected anything else"
        only = self.relation == ONE_OF and len(self.expected) == 1
        wanted = f"{'' if only else self.relation}{show(self.expected)}"
        return f"{self.what} is {show(self.observed)}, expected {wanted}"


_collected: ContextVar[list[Expectation] | None] = ContextVar("expectations", default=None)


@contextmanager
def expectations() -> Iterator[list[Expectation]]:
    """Collect every expectation stated inside; none of them raises."""
    collected: list[Expectation] = []
    token = _collected.set(collected)
    try:
        yield collected
    finally:
        _collected.reset(token)


def expect(
    observed: Any,
    *,
    what: str,
    equals: Any = _UNSET,
    at_most: Any = _UNSET,
    at_least: Any = _UNSET,
    one_of: Collection[Any] = _UNSET,
    within: Collection[Any] = _UNSET,
    contains: Any = _UNSET,
    without: Collection[Any] = _UNSET,
) -> bool:
    """State what a value must be, keeping both as data; give exactly one relation.

    ``within`` wants a subset (of allowed things), ``without`` wants no common element (with
    forbidden things), ``contains`` wants one element present. All that a control expects is
    collected: a value that does not hold does not hide the next one.

    :param what: what the value is, as a person would name it: "mode of /etc/docker".
    :return: whether it holds.
    :raises AssertionError: it does not hold, and nothing collects (a plain pytest run).
    """
    wanted = (equals, at_most, at_least, one_of, within, contains, without)
    given = [pair for pair in zip(wanted, _RELATIONS, strict=True) if pair[0] is not _UNSET]
    if len(given) != 1:
        names = "equals, at_most, at_least, one_of, within, contains, without"
        raise TypeError(f"expect({what!r}) needs exactly one of {names}")
    expected, (relation, holds) = given[0]
    stated = Expectation(
        what, plain(expected), plain(observed), holds(observed, expected), relation
    )
    collected = _collected.get()
    if collected is None:
        assert stated.holds, stated.sentence
    else:
        collected.append(stated)
    return stated.holds


_SCALARS, _SETS, _SEQUENCES = (bool, int, float, str), (set, frozenset), (list, tuple, range)


def plain(value: Any) -> Any:
    """Return a value as JSON data: sets sorted, anything else unknown to JSON as text."""
    if value is None or isinstance(value, _SCALARS):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, _SETS):
        return sorted((plain(item) for item in value), key=str)
    if isinstance(value, _SEQUENCES):
        return [plain(item) for item in value]
    return str(value)


def show(value: Any) -> str:
    """Return a value as a person reads it in a sentence."""
    if isinstance(value, list):
        more = len(value) - SHOWN
        if more > 1:
            return f"{show(value[:SHOWN])} and {more} more"
        return ", ".join(show(item) for item in value) or "nothing"
    if isinstance(value, dict):
        parts = (
            f"{key}{' ' if key in RELATIONS else ': '}{show(item)}" for key, item in value.items()
        )
        return ", ".join(parts)
    if isinstance(value, bool):
        return "true" if value else "false"
    return "absent" if value is None else str(value) if value != "" else "empty"
