"""The folders of GitHub's and Azure's runners, which are one program in origin.

``config.sh`` writes ``.runner`` (Azure: ``.agent``), JSON with a byte order mark, and the
credentials beside it (actions/runner and microsoft/azure-pipelines-agent,
``ConfigurationStore.cs``). act_runner and forgejo-runner call a file of their own ``.runner`` too.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.files import File, Files
from hullcheck.facts.registry import Unseen, fact, get, provide_each
from hullcheck.facts.runners.agents import BuildAgent
from hullcheck.facts.runners.places import AgentPlaces
from hullcheck.transport import session_of, want
from hullcheck.verdict import Object

__all__ = ["RunnerFolder", "runner_folder"]

MARKS = {".runner": "github", ".agent": "azure"}
SECRETS = (".credentials", ".credentials_rsaparams", ".credentials_migrated", ".proxycredentials",
           ".certificates")  # fmt: skip
SHAPING = (".env", ".path", ".runner", ".agent", ".proxy")
"""What the program reads at every start, and jobs inherit."""

HOOK = re.compile(r"ACTIONS_RUNNER_HOOK_[A-Z_]+")
AS_ROOT = ("RUNNER_ALLOW_RUNASROOT", "AGENT_ALLOW_RUNASROOT")
_LISTENERS = {"github": "Runner.Listener", "azure": "Agent.Listener"}
_STORE = "/nix/store/"


@dataclass(frozen=True, eq=False)
class RunnerFolder:
    """One runner as it was set up.

    :param folder: as the host sees it; ``inner`` as the runner does.
    :param owner: the user whose ``.runner`` it is; None if that is not known.
    :param agents: those that run out of it; ``doubt`` says why one may that is not among them.
    """

    host: Host
    kind: str
    folder: str
    inner: str
    owner: int | None
    agents: tuple[BuildAgent, ...]
    doubt: str = ""

    def __str__(self) -> str:
        return f"the {self.kind} runner in {self.folder}"

    @property
    def object(self) -> Object:
        return Object("runner", self.kind, self.folder)

    @property
    def users(self) -> frozenset[int]:
        """The users it runs as, or whose it is while it does not run.

        :raises Unknown: one may run that is not seen.
        """
        if self.doubt:
            raise Unknown(self.doubt)
        running = {each.process.uids[1] for each in self.agents}
        owner = set() if self.owner is None else {self.owner}
        return frozenset(running or owner)

    def at(self, name: str) -> str:
        """Return the path of one of its files; an absolute one is as the runner sees it."""
        if name.startswith("/"):
            return f"{self.folder.removesuffix(self.inner)}{posixpath.normpath(name)}"
        return posixpath.normpath(f"{self.folder}/{name}")

    @fact
    def settings(self) -> Mapping[str, Any]:
        """What ``.runner`` says, by small letters.

        :raises Unknown: it cannot be read, or makes no sense. :raises NotApplicable: it has none.
        """
        files: Files = get(self.host, "files")
        file = files.get(self.at(next(name for name, kind in MARKS.items() if kind == self.kind)))
        return _parsed(file)

    @property
    def ephemeral(self) -> bool:
        """Whether it takes one job and ends. :raises Unknown: that cannot be told."""
        if self.agents and all(self._once(each) for each in self.agents):
            return True
        always = str(self.settings.get("ephemeral", False)).lower() == "true"
        if not always and self.doubt:
            raise Unknown(self.doubt)
        return always

    @staticmethod
    def _once(agent: BuildAgent) -> bool:
        return bool({"--once", "--jitconfig"} & {*agent.arguments})

    @property
    def work(self) -> str:
        """Where jobs work. :raises Unknown: that cannot be told."""
        said = self.settings.get("workfolder")
        return self.at(said if isinstance(said, str) and said else "_work")

    @fact
    def steering(self) -> dict[str, str]:
        """The hooks, and leaves to run as root, that ``.env`` and the environment hold.

        :raises Unknown: they cannot be read.
        """
        names = "|".join((HOOK.pattern, *AS_ROOT))
        asked = want(f"grep -aE '^({names})=' -- %s", self.at(".env"), meaning=(0, 1, 2))
        answer = session_of(self.host).ask(asked)[0]
        if answer.exit == 2 and not answer.complaint.endswith("No such file or directory"):
            raise Unknown(f"{self.at('.env')}: {answer.complaint}; it may need root")
        pairs = [line.partition("=") for line in answer.text.split("\n") if line]
        found = {name: value.strip() for name, _, value in pairs}
        for agent in self.agents:
            found |= {name: value for name, value in agent.settings.items()
                      if re.fullmatch(names, name)}  # fmt: skip
        return found


def _parsed(file: File) -> Mapping[str, Any]:
    try:
        found = json.loads(file.data.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise Unknown(f"{file} makes no sense as JSON") from None
    if not isinstance(found, dict):
        raise Unknown(f"{file} holds no settings")
    return {name.lower(): value for name, value in found.items()}


@provide_each
def runner_folder(host: Host) -> list[RunnerFolder | Unseen]:
    """Each GitHub or Azure runner that runs, or is set up in one of the usual places."""
    places: AgentPlaces = get(host, "agent_places")
    running: dict[tuple[str, str, str], list[BuildAgent]] = {}
    unseen: list[Unseen] = []
    for agent in get(host, "build_agents"):
        if agent.kind in _LISTENERS:
            try:
                inner = _folder(agent)
                folder = agent.seen(inner).rstrip("/")
                running.setdefault((agent.kind, folder, inner), []).append(agent)
            except Unknown as reason:
                unseen.append(Unseen(agent.object, str(reason)))
    marks = places.named(*MARKS)
    get(host, "files").foresee(each.path for each in marks)
    owners = {(MARKS[each.name], each.folder): each.uid for each in marks}
    found = [
        RunnerFolder(host, kind, folder, inner, owners.get((kind, folder)), tuple(agents))
        for (kind, folder, inner), agents in running.items()
    ]
    known = {(each.kind, each.folder) for each in found}
    doubt = unseen[0].reason if unseen else ""
    idle = [
        RunnerFolder(host, *key, key[1], uid, (), doubt)
        for key, uid in owners.items()
        if key not in known
    ]
    found += [each for each in idle if not _of_another_make(each)]
    return [*found, *unseen, *places.unseen("runner", [each.folder for each in found])]


def _of_another_make(runner: RunnerFolder) -> bool:
    """Whether an act_runner or forgejo-runner has registered itself in this file."""
    try:
        return {"uuid", "address"} <= runner.settings.keys()
    except (Unknown, NotApplicable):
        return False


def _folder(agent: BuildAgent) -> str:
    """Return the folder of a runner as it sees it: above the ``bin`` that its program is in."""
    try:
        program = agent.process.exe.removesuffix(" (deleted)")
    except Unknown:
        program = (agent.arguments or [""])[0]
    if program.startswith(_STORE):
        folder = agent.settings.get("RUNNER_ROOT", "")
    else:
        folder = posixpath.dirname(posixpath.dirname(program))
    if not folder.startswith("/"):
        raise Unknown(f"the folder of {agent} cannot be told; it may need root")
    return folder
