"""How controls state what a setting of the kernel must be: now, and after the next boot."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hullcheck.control import Unknown, expect
from hullcheck.facts.interfaces import Interfaces, Value
from hullcheck.facts.sysctl import Later, Sysctl, number_of
from hullcheck.transport import CannotAnswer

__all__ = ["SYSCTL", "expect_each", "expect_set"]

SYSCTL = "Write it to a file in /etc/sysctl.d and run sysctl --system."


def expect_set(
    sysctl: Sysctl,
    name: str,
    *values: int,
    at_least: int | None = None,
    at_most: int | None = None,
    later: Iterable[int] = (),
    kept: bool = True,
) -> bool:
    """Expect one of some values of a setting, or bounds, now and after the next boot.

    :param later: values that will do after the next boot, beside those.
    :param kept: false where an engine or an orchestrator sets it each time it starts.
    :return: whether it is right now.
    :raises Unknown: it is right now, and what the next boot makes of it cannot be told.
    """
    now, wanted = sysctl.number(name), _Wanted(values, at_least, at_most)
    right = wanted.holds(now)
    wanted.state(now, name if right else f"{name}{_written(sysctl, name, wanted)}")
    if not right:
        return False
    found = sysctl.later(name) if kept else None
    if found is not None:
        number = number_of(found.value, f"{name} in {found.source}")
        wanted = _Wanted((*values, *later), at_least, at_most)
        if not wanted.holds(number):
            _undoubted([found])
            wanted.state(number, f"{name} after the next boot ({found.source})")
    return True


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The values that are right: some, or those between bounds."""

    values: tuple[int, ...]
    least: int | None
    most: int | None

    def holds(self, value: int | None) -> bool:
        if value is None or self.values:
            return value in self.values
        return (self.least is None or value >= self.least) and (
            self.most is None or value <= self.most
        )

    def state(self, value: int | None, what: str) -> None:
        if self.values:
            expect(value, one_of=self.values, what=what)
        elif value is None:
            expect(value, one_of=(self.least,), what=what)
        elif self.most is None or (self.least is not None and value < self.least):
            expect(value, at_least=self.least, what=what)
        else:
            expect(value, at_most=self.most, what=what)


def _written(sysctl: Sysctl, name: str, wanted: _Wanted) -> str:
    """Say which file sets a value that would be right, and is not in effect."""
    try:
        found = sysctl.later(name)
        right = found and wanted.holds(number_of(found.value, name))
    except (Unknown, CannotAnswer):
        return ""
    return f" (though {found.source} sets {found.value})" if found and right else ""


def _undoubted(found: Iterable[Later]) -> None:
    for each in found:
        if each.doubt:
            raise Unknown(each.doubt)


def expect_each(
    interfaces: Interfaces,
    family: str,
    name: str,
    wrong: Callable[[Value, bool], bool],
    what: str,
    forwarders_kept: bool = True,
) -> None:
    """Expect a setting to be right for every interface of the host's own and for new ones.

    :param wrong: tells whether a value is wrong, for an interface that forwards or does not.
    :param what: which interfaces these are, in words.
    :param forwarders_kept: false where switching forwarding on makes the setting anew, so that
        files have no say for interfaces that forward.
    """
    now, after, decide = [], [], list[Later]()
    for each in interfaces.own:
        if not interfaces.has(family, each):
            continue
        forwards = bool(interfaces.now(family, each, "forwarding").own)
        if wrong(interfaces.now(family, each, name), forwards):
            now.append(each)
        elif forwarders_kept or not forwards:
            value, sources = interfaces.later(family, each, name)
            if wrong(value, forwards):
                after.append(f"{each} ({', '.join(source.source for source in sources)})")
                decide += sources
    about = f"{what} (net.{family}.conf, {name})"
    expect(now, equals=[], what=about)
    if after and not now:
        _undoubted(decide)
    expect(after, equals=[], what=f"after the next boot, {about}")
