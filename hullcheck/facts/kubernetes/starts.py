"""How a process was started whose title hides its arguments: by its unit of systemd."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.conf_files import conf_files, conf_want
from hullcheck.facts.kubernetes.programs import Program
from hullcheck.facts.texts import END, lines_of
from hullcheck.transport import CannotAnswer, Want, session_of, want

__all__ = ["Start", "start_of", "unit_files", "unit_of"]

PLACES = ("/etc/systemd/system.control", "/run/systemd/system.control", "/run/systemd/transient",
          "/etc/systemd/system", "/run/systemd/system", "/run/systemd/generator",
          "/usr/local/lib/systemd/system", "/usr/lib/systemd/system",
          "/lib/systemd/system")  # fmt: skip
"""In the order of systemd.unit(5)."""

_MARKS = "-@:+!|"
_UNIT = re.compile(r"/([^/]+\.service)(?:/|$)")
_VARIABLE = re.compile(r"\$\{(\w+)\}|\$(\w+)")


@dataclass(frozen=True, slots=True)
class Start:
    """:param words: the command line, the program first.

    :param settings: variables of its environment, as the kernel has them.
    :param source: what tells, in words.
    """

    words: tuple[str, ...]
    settings: Mapping[str, str]
    source: str


def unit_of(program: Program) -> str:
    """Return the name of the unit whose cgroup a process is in; empty if it is in none."""
    for path in program.process.cgroups.values():
        names = _UNIT.findall(path)
        if names:
            return str(names[-1])
    return ""


def start_of(program: Program, prefix: str) -> Start:
    """Return how a process was started.

    :param prefix: how the variables that steer it begin.
    :raises Unknown: its title hides it, and no unit of systemd tells.
    """
    settings = _environment(program, prefix)
    if not _hidden(program):
        return Start(program.words, settings, "its command line")
    unit = unit_of(program)
    if not unit:
        raise Unknown(
            f"{program} hides its arguments, and is of no unit of systemd that tells them"
        )
    files = unit_files(program.host, unit)
    if not files:
        raise Unknown(f"{unit}, of which {program} is, has no file that can be found")
    rows = [row for _, text in files for row in _service(text)]
    command = ""
    for name, value in rows:
        if name == "ExecStart":
            command = value.lstrip(_MARKS) if value else ""
    words = tuple(_expanded(command, settings, unit))
    if not words:
        raise Unknown(f"{unit} says no command that starts {program}")
    return Start(words, settings, ", ".join(path for path, _ in files))


def _hidden(program: Program) -> bool:
    """Whether the command line is a title: one word with a space in it, and nothing more."""
    words = [each for each in program.words if each]
    return len(words) <= 1 and (not words or " " in words[0])


def _want(pid: int, prefix: str) -> Want:
    # Names that say where things are: neither a token nor a password is among them.
    names = f"{prefix}[A-Z0-9_]*(CONFIG|DIR|MODE|OUTPUT|FILE|ENDPOINT|URL|SELINUX)[A-Z_]*"
    return want(f"tr '\\n\\0' ' \\n' </proc/{pid}/environ | grep -aE '^{names}='; echo '{END}'")


def _environment(program: Program, prefix: str) -> dict[str, str]:
    answer = session_of(program.host).ask(_want(program.process.pid, prefix))[0]
    if answer.complaint:
        raise Unknown(f"the environment of {program}: {answer.complaint}; it needs root")
    lines = lines_of(answer)
    if lines[-1:] != [END]:
        raise CannotAnswer(f"the environment of {program} was not read to the end")
    pairs = (each.partition("=") for each in lines[:-1])
    return {name: value for name, equals, value in pairs if equals}


def unit_files(host: Host, unit: str) -> list[tuple[str, str]]:
    """Return (path, text) of a unit and its drop-ins, the weakest first.

    :raises Unknown: some may be hidden.
    """
    template = re.sub(r"@[^@]*\.service$", "@.service", unit)
    asked = conf_want(
        (f"{place}/{name}" for place in PLACES for name in sorted({unit, template, f"{unit}.d"})),
        ["*.service", "*.conf"],
    )
    found = conf_files(host, asked)
    return found.layered(unit, PLACES) or found.layered(template, PLACES)


def _service(text: str) -> Iterator[tuple[str, str]]:
    """Yield the settings of a unit's service, in order (systemd.syntax(7))."""
    inside = ""
    kept = "".join(f"{line}\n" for line in text.splitlines() if line.lstrip()[:1] not in ("#", ";"))
    for line in re.sub(r"\\\n", " ", kept).splitlines():
        stripped = line.strip()
        if stripped.startswith("[") and stripped.endswith("]"):
            inside = stripped
        elif inside == "[Service]":
            name, equals, value = stripped.partition("=")
            if equals:
                yield name.strip(), value.strip()


def _expanded(command: str, settings: Mapping[str, str], unit: str) -> Iterator[str]:
    """Yield the words of a command. :raises Unknown: a variable in it is not known."""
    try:
        words = shlex.split(command)
    except ValueError:
        raise Unknown(f"the command of {unit} makes no sense") from None
    for word in words:
        alone = re.fullmatch(r"\$(\w+)", word)
        names = [one or two for one, two in _VARIABLE.findall(word)]
        missing = [name for name in names if name not in settings]
        if missing:
            raise Unknown(f"the command of {unit} holds ${missing[0]}, which is not known")
        filled = _VARIABLE.sub(lambda found: settings[found[1] or found[2]], word)
        yield from filled.split() if alone else [filled]
