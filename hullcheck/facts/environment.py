"""The names of environment variables that containers hold secrets in; never their values.

``/proc/PID/environ`` (proc(5)) is what a process was started with. It is cut on the host: what
leaves it is the name of a variable and of what kind its value is, of those variables only whose
names may be secrets'.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.containers import Container
from hullcheck.facts.registry import get
from hullcheck.facts.texts import lines_of
from hullcheck.transport import CannotAnswer, Want, session_of, want
from hullcheck.transport.redact import PLACEHOLDER, looks_secret

__all__ = ["Variable", "configured", "effective", "environ_want", "everyone", "parse_environ"]

_PLACES = "etc|run|var|usr|opt|home|root|srv|tmp|mnt|data|app|secrets?|certs?|vault|proc|dev|snap"
_FLAGS = ("true", "false", "yes", "no", "on", "off", "null", "none", "nil", "enabled", "disabled")
_FLAG = "|".join(form for word in _FLAGS for form in (word, word.capitalize(), word.upper()))

_NAME = "[A-Za-z_][A-Za-z0-9_.-]*"
_URL = r"[A-Za-z][A-Za-z0-9+.-]*://[^/@: ]*:[^/@ ]+@.*"
_KINDS = (
    ("empty", "[[:space:]]*"),
    ("path", f"(file://)?/({_PLACES})/[A-Za-z0-9_./@:-]*"),
    ("reference", r"(arn:.*|vault:.*|[$][{][A-Za-z_][A-Za-z0-9_]*[}])"),
    ("flag", f"({_FLAG}|[01])"),
)
"""What a value may be instead of a secret, as extended regular expressions."""

_KEYWORDS = "|".join(
    "".join(f"[{letter.upper()}{letter}]" for letter in word)
    for word in ("pass", "pwd", "secret", "token", "cred", "auth", "key")
)

_SED = " ".join(
    f"-e '{line}'"
    for line in (
        f"s#^({_NAME})={_URL}$#\\1 url#p;t",
        f"/^{_NAME}=/!d",
        f"/^[^=]*({_KEYWORDS})/!d",
        *(f"s#^([^=]*)={pattern}$#\\1 {kind}#p;t" for kind, pattern in _KINDS),
        "s#^([^=]*)=.*#\\1 set#p",
    )
)

_HARMLESS_ENDS = ("_HOST", "_PORT", "_ADDR", "_PROTO", "_ARN", "_REF")
"""Beside the transport's: what tells where a thing called after a secret is."""

_LINE = re.compile(rf"({_NAME}) ([a-z]+)")


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of the environment.

    :param kind: what its value is: empty, path, reference, flag, url (one with a password), or
        set, if it is nothing of that.
    """

    name: str
    kind: str

    @property
    def secret(self) -> bool:
        """Whether it holds a secret, by its name and by what kind its value is."""
        if self.kind == "url":
            return True
        if self.kind != "set" or self.name.upper().endswith(_HARMLESS_ENDS):
            return False
        return looks_secret(self.name.encode("utf-8", "surrogateescape"))


def environ_want(pids: Iterable[int]) -> Want:
    """Return the want for the variables of some processes.

    The kernel's random number, which no process knows beforehand, marks where each begins, so
    that what one holds cannot pose as another's.
    """
    listed = " ".join(map(str, pids))
    return want(
        f"read -r n </proc/sys/kernel/random/uuid; for p in {listed}; do "
        "printf '\\n%s %s\\n' \"$n\" \"$p\"; tr '\\n\\0' ' \\n' </proc/$p/environ || "
        "{ [ ! -d /proc/$p ] || grep -q '^State:.[ZX]' /proc/$p/status || "
        'printf \'\\n%s %s denied\\n\' "$n" "$p"; }; '
        'done 2>/dev/null | { echo "$n"; sed -nE -e "/^$n /{p;d;}" ' + _SED + "; "
        'echo "$n end"; }',
        seconds=60,
    )


def parse_environ(lines: Iterable[str]) -> Mapping[int, Collection[Variable] | None]:
    """Return the variables of each process of :func:`environ_want`; None where denied.

    :raises Unknown: the answer is damaged.
    """
    mark, *rest = [*lines] or [""]
    found: dict[int, set[Variable] | None] = {}
    if not re.fullmatch(r"[0-9a-f-]{36}", mark) or rest[-1:] != [f"{mark} end"]:
        raise Unknown("the environment of processes could not be read to the end")
    own: set[Variable] = set()
    for line in rest[:-1]:
        if line.startswith(f"{mark} "):
            number, _, denied = line.removeprefix(f"{mark} ").partition(" ")
            if not number.isdecimal():
                raise Unknown("the environment of processes could not be read")
            own = set()
            found[int(number)] = None if denied else own
            continue
        row = _LINE.fullmatch(line)
        if row is None:
            raise Unknown("the environment of processes could not be read")
        own.add(Variable(row[1], row[2]))
    return found


def effective(container: Container) -> dict[str, set[Variable]]:
    """Return the variables of a container's processes, by process; one sweep for all containers.

    :raises Unknown: those of one process cannot be read.
    """
    if not container.processes:
        return {}
    session = session_of(container.host)
    answer = session.ask(environ_want(everyone(container.host)))[0]
    known = session.recall(("environ", answer.want), lambda: parse_environ(lines_of(answer)))
    found = {}
    for process in container.processes:
        own = known.get(process.pid)
        if own is None:
            raise Unknown(f"the environment of process {process} cannot be read (needs root)")
        found[str(process)] = set(own)
    return found


def configured(container: Container) -> set[Variable]:
    """Return the variables that a container was created with, whether it runs or not."""
    found = set()
    for entry in container.config("Env", []):
        name, equals, value = str(entry).partition("=")
        if equals:
            found.add(Variable(name, _kind(value)))
    return found


def _kind(value: str) -> str:
    """Return of what kind a value is; if it was a secret, it has been cut out before."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://[^/@: ]*:[^/@ ]+@", value):
        return "url"
    if PLACEHOLDER.fullmatch(value.encode("utf-8", "surrogateescape")):
        return "set"
    for kind, pattern in _KINDS:
        if re.fullmatch(pattern.replace("[[:space:]]", r"\s"), value):
            return kind
    return "set"


def everyone(host: Host) -> list[int]:
    """Return the pids of all containers of the host whose processes are known.

    What is asked of all of them together is one command.
    """

    def compute() -> list[int]:
        found: set[int] = set()
        for each in get(host, "container"):
            if isinstance(each, Container):
                try:
                    found |= {process.pid for process in each.processes}
                except (CannotAnswer, NotApplicable, Unknown):
                    continue
        return sorted(found)

    return session_of(host).recall(("containers", "pids"), compute)
