"""The command line of a component of Kubernetes, as the component itself reads it.

github.com/spf13/pflag, with the underscores of names taken as dashes (component-base, cli/flag,
WordSepNormalizeFunc); etcd has Go's own flag package, which takes one dash as well as two.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from hullcheck.control import Unknown

__all__ = ["Flags", "parse_flags", "truth"]

_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})


def truth(text: str, what: str) -> bool:
    """Return a truth value as Go's strconv.ParseBool takes it. :raises Unknown: it is none."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise Unknown(f"{what} is {text!r}, which is no truth value")


@dataclass(frozen=True, slots=True)
class Flags:
    """The values of each flag, in the order in which they stand."""

    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def last(self, name: str) -> str | None:
        """Return the value of a flag that has one: of several, the last one counts."""
        found = self.values.get(name)
        return found[-1] if found else None

    def listed(self, name: str) -> list[str] | None:
        """Return the values of a flag that is a list: all of them, commas part them."""
        found = self.values.get(name)
        if found is None:
            return None
        return [each.strip() for text in found for each in text.split(",") if each.strip()]

    def flag(self, name: str) -> bool | None:
        """Return a truth value. :raises Unknown: it is none."""
        text = self.last(name)
        return None if text is None else truth(text, f"--{name}")

    def pairs(self, name: str) -> dict[str, str]:
        """Return a flag of the kind ``a=b,c=d``; ``feature-gates`` is one."""
        found = (each.partition("=") for each in self.listed(name) or ())
        return {key.strip(): value.strip() for key, _, value in found}

    def over(self, weaker: Flags) -> Flags:
        """Return both together; of a flag that both have, these values alone."""
        return Flags({**weaker.values, **self.values})


def parse_flags(words: Iterable[str]) -> Flags:
    """Return the flags among arguments, the program itself not being one of them.

    A word after a flag without ``=`` is its value: no component starts with a word of no flag.
    """
    found: dict[str, list[str]] = {}
    for name, value in _pairs(list(words)):
        found.setdefault(name.replace("_", "-"), []).append(value)
    return Flags({name: tuple(values) for name, values in found.items()})


def _pairs(words: list[str]) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(words) and words[at] != "--":
        word = words[at]
        at += 1
        name, equals, value = word.lstrip("-").partition("=")
        if not word.startswith("-") or not name:
            continue
        if not equals:
            alone = at == len(words) or words[at].startswith("-")
            value = "true" if alone else words[at]
            at += not alone
        yield name, value
