"""Kernel modules: which are loaded, which could be, and what modprobe(8) is told of them."""

from __future__ import annotations

import fnmatch
import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.drop_ins import Piece, drop_ins, merged
from hullcheck.facts.kernel import Kernel
from hullcheck.facts.registry import fact, get, provide
from hullcheck.facts.texts import lines_of
from hullcheck.transport import Answer, session_of, want

__all__ = [
    "FILE_SYSTEMS",
    "PROTOCOLS",
    "USB_STORAGE",
    "Exposure",
    "Modules",
    "Rules",
    "loads",
    "modules",
]

FILE_SYSTEMS = ("cramfs", "freevxfs", "hfs", "hfsplus", "jffs2", "udf")
PROTOCOLS = ("dccp", "sctp", "rds", "tipc")
USB_STORAGE = "usb_storage"
OPTIONS = {
    "cramfs": "CONFIG_CRAMFS", "freevxfs": "CONFIG_VXFS_FS", "hfs": "CONFIG_HFS_FS",
    "hfsplus": "CONFIG_HFSPLUS_FS", "jffs2": "CONFIG_JFFS2_FS", "udf": "CONFIG_UDF_FS",
    "dccp": "CONFIG_IP_DCCP", "sctp": "CONFIG_IP_SCTP", "rds": "CONFIG_RDS", "tipc": "CONFIG_TIPC",
    USB_STORAGE: "CONFIG_USB_STORAGE",
}  # fmt: skip
"""The modules that controls ask for, and what builds them."""

DIRECTORIES = (
    "/etc/modprobe.d", "/run/modprobe.d", "/usr/local/lib/modprobe.d", "/usr/lib/modprobe.d",
    "/lib/modprobe.d",
)  # fmt: skip
RULES = drop_ins(DIRECTORIES)
END = "=."
LOADED = want(f"cat /proc/modules && echo {END}", meaning=(0, 1))
PROGRAM = want("readlink -f /sbin/modprobe", meaning=(0, 1))

_NAMES = "|".join(OPTIONS).replace("_", "[-_]")
INDEX = want(
    "d=/lib/modules/$(uname -r); [ -d $d ] || d=/usr$d; if [ -d $d ]; then "
    "for f in modules.dep modules.builtin; do "
    'n=$(wc -l <$d/$f) && echo "=$f $n"; '
    f"grep -E '^[^:]*/({_NAMES})\\.ko(\\.[a-z0-9]+)?(:|$)' /dev/null $d/$f; done; "
    "else echo =none; fi",
    meaning=(0, 1, 2),
)
"""The lines of depmod's indexes that tell of the modules asked for, and how many there are."""

NO_MODULES = "no module can be loaded"
SIGNED_ONLY = ("sig_enforce", "lockdown=integrity", "lockdown=confidentiality", NO_MODULES)
"""What keeps modules without a valid signature out (mod_verify_sig, security/lockdown)."""

IDLE = frozenset({"false", "true", ":", "exit", "echo", "printf", "logger", "nologin"})
"""Programs that load no module, whatever they are told; in folders of the system's."""

SYSTEM = frozenset({"", "/bin", "/sbin", "/usr/bin", "/usr/sbin"})

LOADERS = frozenset({"modprobe", "insmod", "kmod"})


@dataclass(frozen=True, slots=True)
class Rules:
    """What modprobe is told.

    :param install: what it runs in place of loading modules whose names match, in order; the
        first one counts.
    :param blacklisted: modules whose own aliases are ignored: they still load by name, and for
        modules that need them.
    """

    install: tuple[tuple[str, str], ...] = ()
    blacklisted: frozenset[str] = frozenset()

    def command(self, name: str) -> str | None:
        """Return what is run in place of loading a module; None: it is loaded."""
        matching = (does for what, does in self.install if fnmatch.fnmatchcase(name, what))
        return next(matching, None)

    @staticmethod
    def of(pieces: Iterable[Piece]) -> Rules:
        """Read files of modprobe.d(5)."""
        install: list[tuple[str, str]] = []
        blacklisted: set[str] = set()
        for piece in pieces:
            for line in piece.text.replace("\\\n", "").split("\n"):
                words = line.split(None, 2)
                if len(words) > 2 and words[0] == "install":
                    install.append((_plain(words[1]), words[2].strip()))
                elif len(words) > 1 and words[0] == "blacklist":
                    blacklisted.add(_plain(words[1]))
        return Rules(tuple(install), frozenset(blacklisted))


def _plain(name: str) -> str:
    """Return a module's name as the kernel has it; what stands in brackets stays a pattern's."""
    return re.sub(r"\[[^]]*\]|-", lambda found: "_" if found[0] == "-" else found[0], name)


def loads(command: str) -> bool | None:
    """Return whether a command of an ``install`` line loads anything; None: cannot be told."""
    plain = re.sub(r"(\s|^)#.*", "", command)
    parts = re.split(r"&&|\|\||[;&|]", re.sub(r"[12]?>&?\s*\S+", "", plain))
    programs = [part.split()[0] for part in parts if part.split()]
    idle = [posixpath.basename(each) in IDLE and posixpath.dirname(each) in SYSTEM
            for each in programs]  # fmt: skip
    if idle and all(idle) and not re.search(r"[`(]", plain):
        return False
    words = re.findall(r"[\w/.-]+", plain)
    return True if LOADERS & {posixpath.basename(word) for word in words} else None


@dataclass(frozen=True, slots=True)
class Exposure:
    """How a module is, or could come to be, in the kernel.

    :param sure: whether it is so; else a command of the site's own decides.
    """

    how: str
    sure: bool = True


@dataclass(frozen=True, slots=True)
class _Index:
    """Modules that depmod(8) knows of, of those asked for: as files, and in the kernel itself."""

    files: frozenset[str] = field(default_factory=frozenset)
    built_in: frozenset[str] = field(default_factory=frozenset)


class Modules:
    """The kernel modules of a host."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.kernel: Kernel = get(host, "kernel")

    @property
    def supported(self) -> bool:
        """Whether this kernel can load modules at all: without, it has no /proc/modules."""
        answer = session_of(self.host).ask(LOADED)[0]
        if not answer.exit:
            return True
        if not answer.complaint.endswith("No such file or directory"):
            raise Unknown(f"/proc/modules cannot be read: {answer.complaint}")
        if self.kernel.state("/sys/module/module/parameters/sig_enforce") is not None:
            raise Unknown("/proc/modules is not there, though the kernel loads modules")
        return False

    @property
    def disabled(self) -> bool:
        """Whether nothing can be loaded until the next boot."""
        said = self.kernel.state("/proc/sys/kernel/modules_disabled")
        return not self.supported or said == "1"

    @fact
    def loaded(self) -> Mapping[str, int]:
        """The modules that are loaded, and how often each is used."""
        if not self.supported:
            return {}
        *rows, end = [line.split() for line in lines_of(session_of(self.host).ask(LOADED)[0])] or [
            []
        ]
        odd = any(len(row) < 3 or not re.fullmatch(r"[0-9]+|-", row[2]) for row in rows)
        if odd or end != [END]:
            raise Unknown("/proc/modules makes no sense")
        return {row[0]: 0 if row[2] == "-" else int(row[2]) for row in rows}

    @fact
    def _rules(self) -> Rules:
        return Rules.of(merged(session_of(self.host).ask(RULES)[0]))

    @fact
    def _index(self) -> _Index:
        found = _index(session_of(self.host).ask(INDEX)[0])
        if found is None:
            built = (name for name, option in OPTIONS.items() if self.kernel.option(option) == "y")
            found = _Index(built_in=frozenset(built))
        return found

    @property
    def _busybox(self) -> bool:
        """Whether modprobe is busybox's, which knows no ``install`` (modutils/modprobe.c)."""
        path = session_of(self.host).ask(PROGRAM)[0].text.strip()
        if not path.startswith("/"):
            raise Unknown("it cannot be told whose modprobe this is")
        return posixpath.basename(path) == "busybox"

    def _refused(self, name: str) -> bool:
        """Whether the kernel itself refuses a module: ``module_blacklist=`` (module/main.c)."""
        return name in self.kernel.cmdline.get("module_blacklist", ("",))[-1].split(",")

    def exposure(self, name: str) -> Exposure | None:
        """Return how one of :data:`OPTIONS` is or can get into the kernel; None: it cannot."""
        if name in self.loaded:
            return Exposure("loaded")
        if name in self._index.built_in:
            return Exposure("a part of the kernel")
        if self.disabled or name not in self._index.files or self._refused(name):
            return None
        command = self._rules.command(name)
        if command is None or self._busybox:
            only = ": blacklisted only, so that it loads by its name"
            return Exposure(f"can be loaded{only if self._blacklisted(name) else ''}")
        does = loads(command)
        if does is None:
            return Exposure(f"up to a command of modprobe.d: {command[:80]}", sure=False)
        return Exposure(f"loaded by a command of modprobe.d: {command[:80]}") if does else None

    def _blacklisted(self, name: str) -> bool:
        boot = self.kernel.cmdline.get("modprobe.blacklist", ())
        listed = {_plain(each) for value in boot for each in value.split(",")}
        return name in self._rules.blacklisted | listed

    @property
    def signed_only(self) -> str:
        """Why the kernel loads no module without a valid signature; empty: it does load them."""
        if self.disabled:
            return NO_MODULES
        if self.kernel.state("/sys/module/module/parameters/sig_enforce") == "Y":
            return "sig_enforce"
        level = self.kernel.lockdown
        said = f"lockdown={level}"
        return said if said in SIGNED_ONLY else ""


def _index(answer: Answer) -> _Index | None:
    """Read the indexes; None: the running kernel has no folder, and so nothing to load."""
    counts: set[str] = set()
    found: dict[str, set[str]] = {"modules.dep": set(), "modules.builtin": set()}
    lines = lines_of(answer)
    if lines == ["=none"]:
        return None
    for line in lines:
        count = re.fullmatch(r"=(modules\.\w+) +[0-9]+", line)
        entry = re.fullmatch(r"/[^:]*/(modules\.\w+):[^:]*?([^/:]+)\.ko(\.\w+)?(:.*)?", line)
        if count:
            counts.add(count[1])
        elif entry and entry[1] in found:
            found[entry[1]].add(_plain(entry[2]))
        else:
            raise Unknown("what depmod's indexes tell makes no sense")
    missing = [name for name in found if name not in counts]
    if missing:
        raise Unknown(f"{missing[0]} of the running kernel cannot be read; it may need root")
    return _Index(frozenset(found["modules.dep"]), frozenset(found["modules.builtin"]))


@provide
def modules(host: Host) -> Modules:
    """The kernel's modules."""
    session_of(host).foresee(LOADED, RULES, INDEX, PROGRAM)
    return Modules(host)
