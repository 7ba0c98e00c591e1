"""How job runners were started, or would be: from their processes, and from systemd's units."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.accounts import Accounts
from hullcheck.facts.conf_files import ConfFiles
from hullcheck.facts.files import File
from hullcheck.facts.registry import get
from hullcheck.facts.runners.agents import NAMES_ONLY, SETTINGS, BuildAgent, kind_of
from hullcheck.facts.texts import END
from hullcheck.transport import Want, want

__all__ = ["RUNNERS", "UNITS", "Launch", "filtered", "launch_of", "launches_of_units", "readable"]

RUNNERS = frozenset(("gitlab-runner", "drone", "woodpecker", "woodpecker-server", "gitea",
                     "forgejo"))  # fmt: skip
"""The kinds of build agents that start jobs on an engine, a cluster or the host."""

_PLACES = ("/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system",
           "/usr/lib/systemd/system", "/lib/systemd/system")  # fmt: skip
_PARTS = ("*gitlab*runner*", "*act*runner*", "*gitea*runner*", "*forgejo*runner*",
          "*woodpecker*", "*drone*")  # fmt: skip
_NAMED = " -o ".join(f"-path '{part}.service{end}'" for part in _PARTS for end in ("", ".d/*.conf"))

UNITS = want(
    f"find -L {' '.join(_PLACES)} -maxdepth 2 \\( -type f -o -type c \\) \\( {_NAMED} \\)"
    " -exec stat -L -c '= %u %a %s %n' {} + -type f -size -2049 -exec grep -aH '' {} +;"
    f" echo '{END}'"
)
"""Units of runners, by the names that their documentation and packages give them."""

_EXEC_MARKS = "-@:+!|"


@dataclass(frozen=True, eq=False)
class Launch:
    """One start of a runner.

    :param label: how it is named: by its process, or its unit.
    :param words: its command line; ``settings`` the variables that steer it, or why they are not
        known; ``directory`` where it is, likewise.
    :param uid: whose rights it has; None: not known.
    :param agent: the process; None, if it does not run.
    :param env_files: files that systemd reads variables from.
    :param enabled: whether systemd starts it by itself, of a unit.
    """

    host: Host
    kind: str
    label: str
    words: tuple[str, ...]
    settings: Mapping[str, str] | Unknown
    directory: str | Unknown
    uid: int | None
    agent: BuildAgent | None = None
    env_files: tuple[str, ...] = field(default=())
    enabled: bool = False

    @property
    def program(self) -> str:
        return self.words[0].rpartition("/")[2] if self.words else self.kind

    @property
    def known_settings(self) -> Mapping[str, str]:
        """:raises Unknown: they cannot be read."""
        if isinstance(self.settings, Unknown):
            raise Unknown(*self.settings.args)
        return self.settings

    def seen(self, path: str) -> str:
        """Return where the host finds a file that the runner calls ``path``.

        :raises Unknown: that cannot be told.
        """
        if not path.startswith("/"):
            if isinstance(self.directory, Unknown):
                raise Unknown(*self.directory.args)
            path = posixpath.join(self.directory, path)
        path = posixpath.normpath(path)
        return self.agent.seen(path) if self.agent else path


def launch_of(agent: BuildAgent) -> Launch:
    """Return how a process was started. :raises Unknown: its command line cannot be read."""
    settings: Mapping[str, str] | Unknown
    directory: str | Unknown
    try:
        settings = agent.settings
    except Unknown as reason:
        settings = reason
    try:
        directory = agent.directory
    except Unknown as reason:
        directory = reason
    return Launch(agent.host, agent.kind, str(agent), tuple(agent.arguments), settings, directory,
                  agent.process.uids[1], agent)  # fmt: skip


def readable(file: File, launch: Launch) -> bool:
    """Tell whether a runner could read a file itself: what a user links to is not theirs to show.

    :raises Unknown: whether there is one cannot be seen.
    """
    status = file.present
    if launch.uid == 0 or status.mode & 0o004:
        return True
    groups = {launch.agent.process.gids[1], *launch.agent.process.groups} if launch.agent else set()
    return status.uid == launch.uid or bool(status.mode & 0o040 and status.gid in groups)


def filtered(path: str) -> Want:
    """Return the want for the variables of an env file that steer a runner; the values of jobs'
    own are cut out on the host."""
    blank = "[[:blank:]]*"
    return want(
        f"grep -aE '^{blank}(export{blank})?({SETTINGS}){blank}[=:]' -- %s | {NAMES_ONLY};"
        f" echo '{END}'",
        path,
    )


def launches_of_units(host: Host, found: ConfFiles) -> Iterator[Launch]:
    """Yield how units would start runners. :raises Unknown: one cannot be read."""
    names = {path.rpartition("/")[2] for place in _PLACES
             for path in found.matching(f"{place}/*.service")}  # fmt: skip
    for name in sorted(names):
        files = found.layered(name, _PLACES)
        launch = _of_unit(host, files[0][0], [row for _, text in files for row in _service(text)])
        if launch:
            wanted = any(found.matching(f"{place}/*.{kind}/{name}") for place in _PLACES
                         for kind in ("wants", "requires"))  # fmt: skip
            yield replace(launch, enabled=wanted)


def _of_unit(host: Host, path: str, rows: list[tuple[str, str]]) -> Launch | None:
    values = dict(rows)
    words = _words(values.get("ExecStart", "").lstrip(_EXEC_MARKS))
    kind = kind_of(words[0].rpartition("/")[2]) if words else ""
    if kind not in RUNNERS:
        return None
    accounts: Accounts = get(host, "accounts")
    user = accounts.user(values.get("User") or "root")
    environment: dict[str, str] = {"HOME": user.home} if user else {}
    files: list[str] = []
    for name, value in rows:
        if name == "Environment":
            pairs = [each.partition("=") for each in _words(value)]
            environment.update((key, said) for key, equals, said in pairs if equals)
        elif name == "EnvironmentFile":
            files = [*files, value.lstrip("-")] if value else []
    directory = values.get("WorkingDirectory", "").lstrip("-") or "/"
    return Launch(host, kind, path, tuple(words), environment,
                  user.home if directory == "~" and user else directory,
                  user.uid if user else None, env_files=tuple(files))  # fmt: skip


def _service(text: str) -> Iterator[tuple[str, str]]:
    """Yield the settings of a unit's service, in order."""
    inside = ""
    for line in re.sub(r"\\\n", " ", text).splitlines():
        stripped = line.strip()
        if stripped.startswith("[") and stripped.endswith("]"):
            inside = stripped
        elif inside == "[Service]" and stripped[:1] not in ("#", ";", ""):
            name, equals, value = stripped.partition("=")
            if equals:
                yield name.strip(), value.strip()


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()
