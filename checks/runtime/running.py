"""How the runtime controls say what runs in a container that should not."""

from collections.abc import Callable

from hullcheck.control import Unknown, expect
from hullcheck.facts.containers import Container
from hullcheck.facts.programs import Program, programs

__all__ = ["expect_none", "named_as"]


def expect_none(container: Container, what: str, tell: Callable[[Program], str]) -> None:
    """Expect that nothing which runs in a container is one of some programs.

    :param tell: returns what a program is, or "".
    :raises Unknown: none was found, and not all could be seen.
    """
    container.need_running()
    found, hidden = [], ""
    for process, program in programs(container):
        told = tell(program)
        found += [f"{process}: {told}"] if told else []
        hidden = hidden or program.hidden
    expect(found, equals=[], what=what)
    if hidden and not found:
        raise Unknown(hidden)


def named_as(names: frozenset[str]) -> Callable[[Program], str]:
    """Return what tells that a program has one of some names."""
    return lambda program: ", ".join(sorted(program.names & names))
