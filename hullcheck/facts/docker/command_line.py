"""The command line of a running dockerd, read as its own flag library reads it (spf13/pflag)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hullcheck.control import Unknown

__all__ = ["Flags", "boolean", "parse_flags"]

BOOLEAN = frozenset({
    "allow-direct-routing", "allow-nondistributable-artifacts-all", "cri-containerd", "debug",
    "disable-legacy-registry", "experimental", "help", "icc", "init", "ip-forward",
    "ip-forward-no-drop", "ip-masq", "ip6tables", "iptables", "ipv6", "live-restore",
    "no-new-privileges", "raw-logs", "rootless", "selinux-enabled", "tls", "tlsverify",
    "userland-proxy", "validate", "version",
})  # fmt: skip
SHORT = {
    "D": "debug", "G": "group", "H": "host", "b": "bridge", "g": "data-root", "h": "help",
    "l": "log-level", "p": "pidfile", "s": "storage-driver", "v": "version",
}  # fmt: skip
ALIASES = {"graph": "data-root"}
TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})


class Flags:
    """The flags of one command line, each with all its values in their order."""

    def __init__(self, values: dict[str, list[str]]) -> None:
        self._values = values

    def last(self, name: str) -> str | None:
        """Return the value that counts of a flag that takes one; None if it is not given."""
        values = self._values.get(name)
        return values[-1] if values else None

    def every(self, name: str) -> list[str]:
        """Return all values of a flag that may be repeated."""
        return list(self._values.get(name, ()))

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)


def boolean(text: str) -> bool:
    """Return a flag's text as the truth value that Go reads in it.

    :raises Unknown: Go would not accept it.
    """
    if text in TRUE:
        return True
    if text in FALSE:
        return False
    raise Unknown(f"{text[:40]!r} is neither true nor false")


def parse_flags(argv: Sequence[str]) -> Flags:
    """Parse a command line, the program's name first.

    ``--flag=value``, ``--flag value``, ``--boolean``, ``-Hvalue``, ``-H=value``, ``-H value``,
    short flags in a row, and ``--`` after which nothing is a flag.
    """
    values: dict[str, list[str]] = {}
    rest = list(argv[1:])
    while rest:
        word = rest.pop(0)
        if word == "--":
            break
        pairs = _long(word, rest) if word.startswith("--") else _short(word, rest)
        for name, value in pairs:
            values.setdefault(ALIASES.get(name, name), []).append(value)
    return Flags(values)


def _long(word: str, rest: list[str]) -> list[tuple[str, str]]:
    name, equals, value = word[2:].partition("=")
    if equals:
        return [(name, value)]
    if name in BOOLEAN:
        return [(name, "true")]
    return [(name, rest.pop(0) if rest else "")]


def _short(word: str, rest: list[str]) -> list[tuple[str, str]]:
    if not word.startswith("-") or word == "-":
        return []
    pairs: list[tuple[str, str]] = []
    letters = word[1:]
    while letters:
        name, letters = SHORT.get(letters[0], letters[0]), letters[1:]
        if letters.startswith("="):
            return [*pairs, (name, letters[1:])]
        if name in BOOLEAN:
            pairs.append((name, "true"))
            continue
        return [*pairs, (name, letters or (rest.pop(0) if rest else ""))]
    return pairs
