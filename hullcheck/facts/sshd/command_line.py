"""The command line of a running SSH server, as the server itself reads it.

OpenSSH's listener writes its arguments into its title, joined by spaces (sshd.c,
``prepare_proctitle``), so that the words of an option's value cannot be told apart from more
words. sshd(8) takes nothing but options: what is no option belongs to the one before it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hullcheck.control import Unknown

__all__ = ["Arguments", "listener_words", "option_words", "parse_arguments", "parse_dropbear"]

_LISTENER = re.compile(r"[^:]{1,64}: (?P<line>.*) \[listener\] \d+ of \d+-\d+ startups", re.DOTALL)
_OPTION = re.compile(r"-[46DdeiqrRtTVG]*(?:[CEbcfghkopu](?P<value>.*))?", re.DOTALL)
_FLAG = re.compile(r"-([46DdeiqrRtTVG]*)([CEbcfghkopu]?)(.*)", re.DOTALL)

_DROPBEAR_TAKES = frozenset("bcrpPGDIKTWaeu") - frozenset("ae")


@dataclass(frozen=True, slots=True)
class Arguments:
    """What an sshd was told, as far as it decides about its settings.

    :param config: the value of -f, or empty. :param options: those of -o, in their order.
    :param host_keys: those of -h. :param grace: that of -g. :param inetd: whether -i is given.
    """

    config: str = ""
    options: tuple[str, ...] = ()
    host_keys: tuple[str, ...] = ()
    grace: str = ""
    inetd: bool = False
    ports: tuple[str, ...] = ()

    @property
    def words(self) -> list[str]:
        """The arguments that give another sshd the same settings."""
        found = ["-f", self.config] if self.config else []
        for letter, values in (("-o", self.options), ("-h", self.host_keys), ("-p", self.ports)):
            found += [word for value in values for word in (letter, value)]
        return [*found, "-g", self.grace] if self.grace else found

    def __str__(self) -> str:
        return " ".join(self.words)


def listener_words(arguments: Sequence[str]) -> list[str] | None:
    """Return the words of a listener's command line; None if the process serves a connection.

    :param arguments: as ``/proc/PID/cmdline`` has them.
    :raises Unknown: there is none, or the title has no end, for lack of room.
    """
    first = arguments[0] if arguments else ""
    found = _LISTENER.fullmatch(first)
    if found:
        return found["line"].split(" ")
    if not first:
        raise Unknown("its command line is empty")
    if re.match(r"\S{1,64}: /", first):
        raise Unknown(f"the title of a listener is cut: {first[:60]!r}")
    return None if re.match(r"\S{1,64}: ", first) else list(arguments)


def option_words(words: Iterable[str]) -> list[str]:
    """Return words with the parts of a value that spaces had torn apart in one again."""
    found: list[str] = []
    waits = False
    for word in words:
        option = _OPTION.fullmatch(word)
        if waits or option is None:
            if found and (waits or len(found) > 1):
                found[-1] = word if waits and not found[-1] else f"{found[-1]} {word}"
            else:
                found.append(word)
            waits = False
            continue
        found.append(word)
        if option["value"] == "":
            found.append("")
            waits = True
    return found


def parse_arguments(words: Sequence[str]) -> Arguments:
    """Read the arguments of an sshd, its own name first; see sshd(8)."""
    values: dict[str, list[str]] = {}
    rest = option_words(words[1:])
    while rest:
        option = _FLAG.fullmatch(rest.pop(0))
        if option is None:
            continue
        for letter in option[1]:
            values.setdefault(letter, []).append("")
        if option[2]:
            values.setdefault(option[2], []).append(option[3] or (rest.pop(0) if rest else ""))
    return Arguments(
        config=values.get("f", [""])[-1], options=tuple(values.get("o", ())),
        host_keys=tuple(values.get("h", ())), grace=values.get("g", [""])[-1],
        inetd="i" in values, ports=tuple(values.get("p", ())),
    )  # fmt: skip


def parse_dropbear(words: Sequence[str]) -> dict[str, list[str]]:
    """Read the arguments of a dropbear, its own name first: letter -> values; see dropbear(8)."""
    found: dict[str, list[str]] = {}
    rest = list(words[1:])
    while rest:
        word = rest.pop(0)
        letters = word[1:] if word.startswith("-") else ""
        while letters:
            letter, letters = letters[0], letters[1:]
            value = ""
            if letter in _DROPBEAR_TAKES:
                value, letters = letters or (rest.pop(0) if rest else ""), ""
            found.setdefault(letter, []).append(value)
    return found


def words_of_variable(text: str, names: Sequence[str]) -> list[str]:
    """Return the words that a file of variables, as units read it, gives the first of some."""
    found: dict[str, list[str]] = {}
    for line in text.split("\n"):
        name, equals, value = line.strip().partition("=")
        if equals and name in names:
            try:
                found[name] = shlex.split(" ".join(shlex.split(value)))
            except ValueError:
                found[name] = value.split()
    return next((found[name] for name in names if name in found), [])
