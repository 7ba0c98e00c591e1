"""Tables of configuration files, read by type: a value of another type is not understood."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from yaml.events import AliasEvent

from hullcheck.control import Unknown

__all__ = ["Table", "parse_yaml"]

LARGEST = 262_144

_ON = ("y", "Y")
_OFF = ("n", "N")
"""What Go's YAML takes for a truth value where one is wanted, beside PyYAML's."""


class Table:
    """A table, and the name of where it stands.

    :param fold: whether keys are found in any case, as Go's TOML does; two that differ only in
        case are not understood.
    """

    def __init__(self, values: Any, where: str, *, fold: bool = False) -> None:
        if values is None:
            values = {}
        if not isinstance(values, Mapping):
            raise Unknown(f"{where} is no table")
        self.where, self._fold = where, fold
        self._values: dict[str, Any] = {}
        for key, value in values.items():
            name = str(key).lower() if fold else str(key)
            if name in self._values:
                raise Unknown(f"{where} has {name} twice")
            self._values[name] = value

    def __contains__(self, key: str) -> bool:
        return self._raw(key) is not None

    def _raw(self, key: str) -> Any:
        return self._values.get(key.lower() if self._fold else key)

    def _wrong(self, key: str, kind: str) -> Unknown:
        return Unknown(f"{key} in {self.where} is no {kind}")

    def flag(self, key: str, default: bool = False) -> bool:
        """Return a truth value. :raises Unknown: it is none."""
        found = self._raw(key)
        if isinstance(found, str) and found in (*_ON, *_OFF):
            return found in _ON
        if found is not None and not isinstance(found, bool):
            raise self._wrong(key, "truth value")
        return default if found is None else found

    def text(self, key: str, default: str = "") -> str:
        """Return a text; a number is one too. :raises Unknown: it is none."""
        found = self._raw(key)
        if found is None:
            return default
        if isinstance(found, bool) or not isinstance(found, str | int | float):
            raise self._wrong(key, "text")
        return str(found)

    def number(self, key: str, default: int = 0) -> int:
        """Return a whole number. :raises Unknown: it is none."""
        found = self._raw(key)
        if found is None:
            return default
        if isinstance(found, bool) or not isinstance(found, int):
            raise self._wrong(key, "number")
        return found

    def texts(self, key: str) -> tuple[str, ...] | None:
        """Return a list of texts, or a text as one; None if there is none.

        :raises Unknown: it is something else.
        """
        found = self._raw(key)
        if found is None:
            return None
        listed = [found] if isinstance(found, str) else found
        if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
            raise self._wrong(key, "list of texts")
        return tuple(listed)

    def pairs(self, key: str) -> dict[str, str]:
        """Return a table of plain values as texts. :raises Unknown: it is none."""
        found = self.table(key)
        return {name: str(value) for name, value in found.items() if value is not None}

    def items(self) -> Iterator[tuple[str, Any]]:
        yield from self._values.items()

    def table(self, key: str) -> Table:
        """Return a table in it, an empty one if there is none. :raises Unknown: it is no table."""
        return Table(self._raw(key), f"{key} in {self.where}", fold=self._fold)

    def tables(self, key: str) -> list[Table]:
        """Return the tables of a list. :raises Unknown: it is no list of tables."""
        found = self._raw(key)
        if found is not None and not isinstance(found, list):
            raise self._wrong(key, "list of tables")
        return [Table(each, f"{key} {number} in {self.where}", fold=self._fold)
                for number, each in enumerate(found or [], 1)]  # fmt: skip


class _Plain(yaml.SafeLoader):
    """Without aliases: a few lines of them can stand for more than there is memory."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(AliasEvent):
            raise yaml.YAMLError("it has aliases")
        return super().compose_node(parent, index)


def parse_yaml(path: str, text: str) -> Any:
    """Read a file of YAML. :raises Unknown: it is none, too long, or has aliases."""
    if len(text) > LARGEST:
        raise Unknown(f"{path} is longer than {LARGEST} characters")
    loader: Any = None
    try:
        loader = _Plain(text)
        return loader.get_single_data()
    except (yaml.YAMLError, ValueError, TypeError, RecursionError, OverflowError) as error:
        raise Unknown(f"{path} is not understood as YAML: {str(error)[:100]}") from None
    finally:
        if loader is not None:
            loader.dispose()
