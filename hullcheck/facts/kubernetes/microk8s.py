"""MicroK8s: every component in one process, kubelite, that reads their flags from files.

``--kubelet-args-file=`` and its kin name the files; each line of them holds flags, and variables
of the snap in them are filled in (canonical/microk8s, kubelite; ``snap run`` sets SNAP_DATA to the
folder of the revision, SNAP_COMMON to the one beside it).
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterable, Mapping

from hullcheck.control import Unknown
from hullcheck.facts.kubernetes.flags import Flags, parse_flags
from hullcheck.facts.kubernetes.programs import (
    API_SERVER,
    CONTROLLER_MANAGER,
    KUBELET,
    PROXY,
    SCHEDULER,
    Program,
)

__all__ = ["components"]

FILES = {
    API_SERVER: "apiserver-args-file", CONTROLLER_MANAGER: "controller-manager-args-file",
    SCHEDULER: "scheduler-args-file", KUBELET: "kubelet-args-file", PROXY: "proxy-args-file",
}  # fmt: skip
CONTROL_PLANE = (API_SERVER, CONTROLLER_MANAGER, SCHEDULER)

_VARIABLE = re.compile(r"\$\{(\w+)\}|\$(\w+)")


def components(program: Program) -> Iterable[tuple[str, Flags, str]]:
    """Yield each component in a kubelite, its flags, and the file that they were taken from.

    :raises Unknown: a file cannot be read, or holds a variable that is not known.
    """
    own = parse_flags(program.words[1:])
    for name, flag in FILES.items():
        if name in CONTROL_PLANE and own.flag("start-control-plane") is False:
            continue
        path = own.last(flag)
        if path is None:
            raise Unknown(f"{program} does not say where {name} has its flags")
        text = program.text(path)
        if text is None:
            raise Unknown(f"{path}, where {program} has the flags of {name}, is not there")
        yield name, parse_flags(_words(text, program.absolute(path))), path


def _words(text: str, path: str) -> list[str]:
    """Return the words of a file of flags, one or more on a line."""
    known = _variables(path)
    found = []
    for line in text.splitlines():
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        try:
            words = shlex.split(stripped, comments=True)
        except ValueError:
            raise Unknown(f"{path} holds a line that makes no sense") from None
        found += [_filled(word, known, path) for word in words]
    return found


def _variables(path: str) -> Mapping[str, str]:
    """Return the variables of the snap: the files lie in ``args`` below the revision's folder."""
    data = posixpath.dirname(posixpath.dirname(path))
    return {"SNAP_DATA": data, "SNAP_COMMON": f"{posixpath.dirname(data)}/common"}


def _filled(word: str, known: Mapping[str, str], path: str) -> str:
    def value(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        if name == "SNAP":
            return "/snap/microk8s/current"
        if name not in known:
            raise Unknown(f"{path} holds ${name}, which is not known")
        return known[name]

    return _VARIABLE.sub(value, word)
