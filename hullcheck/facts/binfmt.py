"""Programs that the kernel starts for files of other formats: binfmt_misc.

See the kernel's Documentation/admin-guide/binfmt-misc.rst. Since Linux 6.7 what is registered
ends with the last mount; before, it outlives every mount, but not the module.
"""

from __future__ import annotations

from dataclasses import dataclass

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.kernel import Kernel
from hullcheck.facts.modules import Modules
from hullcheck.facts.registry import fact, get, provide
from hullcheck.facts.texts import lines_of, texts
from hullcheck.transport import Answer, CannotAnswer, session_of, want

__all__ = ["Binfmt", "Handler", "binfmt"]

PLACE = "/proc/sys/fs/binfmt_misc"
END = "=."
REGISTERED = want(
    f"case $(grep ' {PLACE} ' /proc/self/mountinfo | tail -n 1) in *' - autofs '*|'') "
    "echo =unmounted; ! grep -q binfmt_misc /proc/filesystems || "
    "grep -l ' - binfmt_misc ' /proc/[0-9]*/mountinfo;; "
    f"*) grep -aH '' {PLACE}/* {PLACE}/.[!.]* {PLACE}/..?*;; esac; echo {END}"
)
"""An automount is left alone: looking below it would mount."""

SELF_CLEANING = (6, 7)


@dataclass(frozen=True, slots=True)
class Handler:
    """What is started for one kind of file.

    :param flags: C: the file's own set-user-ID bit is obeyed, F: the program is held open.
    """

    name: str
    enabled: bool
    interpreter: str
    flags: str

    def __str__(self) -> str:
        return f"{self.name} ({self.interpreter})"


class Binfmt:
    """What is registered with binfmt_misc."""

    def __init__(self, host: Host) -> None:
        self.host = host

    @fact
    def handlers(self) -> list[Handler]:
        """What is registered, and in effect.

        :raises Unknown: it cannot be seen.
        """
        kernel: Kernel = get(self.host, "kernel")
        if "binfmt_misc" not in kernel.filesystems:
            return []
        answer = session_of(self.host).ask(REGISTERED)[0]
        lines = lines_of(answer)
        if lines[-1:] != [END]:
            raise CannotAnswer(f"{PLACE} was not read to its end")
        if lines[0] != "=unmounted":
            return _handlers(answer)
        self._nothing_unmounted(answer, lines[1:-1], kernel)
        return []

    def _nothing_unmounted(self, answer: Answer, elsewhere: list[str], kernel: Kernel) -> None:
        """:raises Unknown: something may be registered, though nothing is mounted here."""
        modules: Modules = get(self.host, "modules")
        if modules.loaded.get("binfmt_misc", 1) == 0:
            return
        if elsewhere:
            raise Unknown(f"binfmt_misc is not mounted here, but see {elsewhere[0][:80]}")
        denied = "ermission denied" in answer.evidence.stderr.decode("utf-8", "replace")
        if denied or kernel.version < SELF_CLEANING:
            more = "; needs root" if denied else ""
            raise Unknown(f"{PLACE} is not mounted, so what is registered cannot be seen{more}")


def _handlers(answer: Answer) -> list[Handler]:
    files = texts(answer, END)
    status = files.pop(f"{PLACE}/status", None)
    files.pop(f"{PLACE}/register", None)
    if status not in ("enabled", "disabled"):
        raise Unknown(f"{PLACE}/status does not tell whether it is enabled")
    found = []
    for path, text in sorted(files.items()):
        if isinstance(text, Unknown):
            raise text
        first, *rest = text.split("\n")
        interpreter = next((each[12:] for each in rest if each.startswith("interpreter ")), "")
        flags = next((each for each in rest if each.startswith("flags:")), "")
        if first not in ("enabled", "disabled") or not interpreter or not flags:
            raise Unknown(f"what {path[:80]} tells makes no sense")
        name = path.rpartition("/")[2]
        found.append(Handler(name, first == "enabled", interpreter, flags[6:].strip()))
    return [each for each in found if each.enabled and status == "enabled"]


@provide
def binfmt(host: Host) -> Binfmt:
    """What is registered with binfmt_misc."""
    session_of(host).foresee(REGISTERED)
    return Binfmt(host)
