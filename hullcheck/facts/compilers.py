"""Compilers that everybody on a host may run."""

from __future__ import annotations

from dataclasses import dataclass

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.packages import Packages
from hullcheck.facts.registry import get, provide
from hullcheck.facts.texts import lines_of
from hullcheck.transport import session_of, want

__all__ = ["Compilers", "compilers"]

NAMES = (
    "cc", "gcc", "c++", "g++", "clang", "clang++", "tcc", "as", "go", "gccgo", "rustc", "ghc",
    "javac", "nasm",
)  # fmt: skip
_DIRECTORIES = (
    "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/usr/local/go/bin",
    "/usr/lib/go/bin", "/snap/bin",
)  # fmt: skip
_PATTERNS = (f"-name '{each}'" for name in NAMES
             for each in (name, f"{name}-[0-9]*", f"*-linux-*-{name}"))  # fmt: skip
FOUND = want(
    f"find -L {' '.join(_DIRECTORIES)} -maxdepth 1 -type f -perm -001"
    f" '(' {' -o '.join(_PATTERNS)} ')' -print; echo '= end'",
    meaning=(0, 1),
)
"""One that only root, or a group, may run gives an intruder nothing."""

_HARMLESS = ("No such file or directory", "Too many levels of symbolic links")
_LOOP = "ile system loop"
"""Of a link in a directory back to it, such as /usr/bin/X11."""


@dataclass(frozen=True, slots=True)
class Compilers:
    """The compilers of a host, by path.

    :param modules: whether the host builds kernel modules for itself (DKMS), which takes one.
    """

    paths: tuple[str, ...]
    modules: bool


@provide
def compilers(host: Host) -> Compilers:
    """The compilers that everybody may run. :raises Unknown: a directory cannot be read."""
    answer = session_of(host).ask(FOUND)[0]
    for line in answer.evidence.stderr.decode("utf-8", "replace").splitlines():
        if not line.endswith(_HARMLESS) and _LOOP not in line:
            raise Unknown(f"cannot tell which compilers there are: {line[:200]}")
    try:
        installed: Packages | None = get(host, "packages")
    except NotApplicable:
        installed = None
    modules = installed is not None and ("dkms" in installed or "akmods" in installed)
    *paths, end = lines_of(answer) or [""]
    if end != "= end":
        raise Unknown("cannot tell which compilers there are: find was stopped")
    return Compilers(tuple(sorted(paths)), modules)
