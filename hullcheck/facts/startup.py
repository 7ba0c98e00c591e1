"""What shapes every login and every program: profiles, PATH, and what the loader is told.

environment(7), login.defs(5), ld.so(8), ldconfig(8), bash(1) "INVOCATION".
"""

from __future__ import annotations

import fnmatch
import posixpath
import re
from dataclasses import dataclass

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.listings import Listing, listed, listing
from hullcheck.facts.registry import fact, provide
from hullcheck.facts.texts import END, known, whole
from hullcheck.transport import session_of, want

__all__ = ["FIXED", "Startup", "startup"]

FIXED = (
    "/etc/profile", "/etc/profile.local", "/etc/bash.bashrc", "/etc/bashrc", "/etc/bash/bashrc",
    "/etc/environment", "/etc/security/pam_env.conf", "/etc/login.defs", "/etc/inputrc",
    "/etc/zshenv", "/etc/zsh/zshenv", "/etc/zsh/zprofile", "/etc/zprofile", "/etc/csh.cshrc",
    "/etc/csh.login", "/etc/ld.so.preload", "/etc/ld.so.conf", "/etc/ld.so.cache",
    "/etc/rc.local", "/etc/nsswitch.conf", "/root", "/root/.profile", "/root/.bash_profile",
    "/root/.bash_login", "/root/.bashrc", "/root/.bash_logout", "/root/.bash_aliases",
    "/root/.zshrc", "/root/.zshenv", "/root/.zprofile", "/root/.inputrc",
)  # fmt: skip
FOLDERS = ("/etc/profile.d", "/etc/ld.so.conf.d", "/etc/environment.d", "/etc/update-motd.d",
           "/etc/bash_completion.d", "/etc/bashrc.d", "/etc/rc.d", "/etc/init.d")  # fmt: skip
PLACES = listing(FOLDERS)

USUAL_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
"""Where root's shells look when nothing says otherwise."""

LOOSE = listing(
    USUAL_PATH,
    r"! -type l \( -perm -0002 -o ! -user 0 -o \( -perm -0020 ! -group 0 \) \)",
)
"""What in these folders may be in others' hands."""

_PROFILES = (
    "/etc/profile /etc/profile.local /etc/profile.d/*.sh /etc/bash.bashrc /etc/bashrc"
    " /etc/environment /etc/crontab /etc/anacrontab /root/.profile /root/.bash_profile"
    " /root/.bash_login /root/.bashrc"
)
PATHS = want(
    "grep -aHE '(^|[^A-Za-z0-9_])PATH=' -- /dev/null /etc/login.defs /usr/etc/login.defs "
    + f"{_PROFILES}; echo '{END}'"
)
LOADER = want(
    f"grep -aH '' -- /dev/null /etc/ld.so.preload /etc/ld.so.conf /etc/ld.so.conf.d/*; echo '{END}'"
)

_ASSIGNMENT = re.compile(r"(?:^|[^A-Za-z0-9_])PATH=(\"[^\"]*\"|'[^']*'|[^\s;&|)]*)")
_ITSELF = re.compile(r"\$\{PATH\}|\$\{PATH:?[-+]([^}]*)\}")


@dataclass(frozen=True, slots=True)
class Search:
    """One folder that root's shell may look for programs in; its text if it is none."""

    folder: str
    where: str


def parse_paths(path: str, text: str) -> list[Search]:
    """Return the parts of every PATH that a file sets; parts made of other variables left out."""
    found = []
    for line in text.split("\n"):
        if line.lstrip().startswith("#"):
            continue
        for value in _ASSIGNMENT.findall(line):
            plain = _ITSELF.sub(lambda found: found[1] or "$PATH", value.strip("\"'"))
            for part in plain.split(":"):
                whole = part.replace("${HOME}", "$HOME")
                folder = whole.replace("$HOME", "/root") if "/root" in path else whole
                folder = f"/root{folder[1:]}" if folder.startswith("~/") else folder
                if "$" not in folder and plain not in ("", "$PATH"):
                    found.append(Search(folder, path))
    return found


class Startup:
    """What shapes logins and programs on one host."""

    def __init__(self, host: Host) -> None:
        self.host = host

    @fact
    def _places(self) -> Listing:
        return listed(session_of(self.host).ask(PLACES, LOOSE, PATHS, LOADER)[0])

    @property
    def files(self) -> list[str]:
        """Every file and folder that is read, whether it is there or not."""
        self._places.need(*FOLDERS)
        return [*FIXED, *self._places.paths]

    @fact
    def path(self) -> list[Search]:
        """The folders in which root's shell looks for programs.

        :raises Unknown: a file that sets them cannot be read.
        """
        answer = session_of(self.host).ask(PATHS, LOADER, LOOSE, PLACES)[0]
        found = [Search(each, "the usual path") for each in USUAL_PATH]
        for path, text in whole(answer).items():
            if isinstance(text, Unknown):
                raise Unknown(f"{text}; it may need root")
            found += parse_paths(path, text)
        return list({each.folder: each for each in reversed(found)}.values())[::-1]

    @fact
    def loose(self) -> list[str]:
        """Programs in the usual folders that may be in others' hands, and the folders."""
        found = listed(session_of(self.host).ask(LOOSE)[0])
        found.need(*USUAL_PATH)
        return list(found.paths)

    @fact
    def _loader(self) -> dict[str, str]:
        found = whole(session_of(self.host).ask(LOADER)[0])
        return {path: text for path in found if (text := known(found[path])) is not None}

    @property
    def preloaded(self) -> list[str]:
        """The libraries that the loader puts into every program; ld.so(8)."""
        text = self._loader.get("/etc/ld.so.preload", "")
        lines = (line.partition("#")[0] for line in text.split("\n"))
        return [word for line in lines for word in re.split(r"[\s:]+", line) if word]

    @property
    def library_folders(self) -> list[str]:
        """The folders that the loader is told to look for libraries in."""
        found: list[str] = []
        read = ["/etc/ld.so.conf"]
        for path in read:
            for line in self._loader.get(path, "").split("\n"):
                words = re.split(r"[\s:,]+", line.partition("#")[0].strip())
                if words[0] != "include":
                    found += [word.partition("=")[0] for word in words if words[0] != "hwcap"]
                elif len(read) < 256:
                    read += [each for each in self._included(words[1:]) if each not in read]
        return sorted({each for each in found if each.startswith("/")})

    def _included(self, patterns: list[str]) -> list[str]:
        whole = [posixpath.join("/etc", each) for each in patterns]
        return sorted(path for path in self._loader
                      if any(fnmatch.fnmatchcase(path, each) for each in whole))  # fmt: skip


@provide
def startup(host: Host) -> Startup:
    """What shapes logins and programs."""
    session_of(host).foresee(PLACES, LOOSE, PATHS, LOADER)
    return Startup(host)
