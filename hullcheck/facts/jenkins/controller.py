"""Jenkins controllers: their homes, and the command line they run by.

The home is ``JENKINS_HOME``, a property or a variable, else ``~/.jenkins`` (``WebAppMain``); one
that does not run is known by the keys that lie in it.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.files import File, Files
from hullcheck.facts.jenkins.xml import Element, parse_shape, shape_want
from hullcheck.facts.registry import Unseen, fact, get, provide_each
from hullcheck.facts.runners.agents import BuildAgent
from hullcheck.facts.runners.places import AgentPlaces, Seen
from hullcheck.transport import session_of
from hullcheck.verdict import Object

__all__ = ["JenkinsHome", "jenkins_home"]

MARKS = ("secret.key.not-so-secret", "identity.key.enc")
KEYS = (
    "secrets", "secrets/master.key", "secrets/hudson.util.Secret", "secrets/initialAdminPassword",
    "secrets/jenkins.model.Jenkins.crumbSalt", "secrets/hudson.model.Job.serverCookie",
    "identity.key.enc", "secret.key", "credentials.xml", "users",
)  # fmt: skip
"""What others must not read: keys, what they lock up, and the hashes of passwords."""

SWITCH = "secrets/slave-to-master-security-kill-switch"

_VARIABLES = ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS")
"""What the Java machine itself reads as options, beside its command line (java(1))."""


@dataclass(frozen=True, eq=False)
class JenkinsHome:
    """One home of a controller.

    :param folder: as the host sees it.
    :param owner: whose it is; None if that is not known.
    :param agent: the controller that runs by it, or None; ``doubt`` says why one may all the same.
    """

    host: Host
    folder: str
    owner: int | None
    agent: BuildAgent | None
    doubt: str = ""

    def __str__(self) -> str:
        return f"Jenkins in {self.folder}"

    @property
    def object(self) -> Object:
        return Object("jenkins", self.folder)

    @property
    def trusted(self) -> frozenset[int]:
        """Root, and the user that Jenkins runs as, or whose home it is."""
        user = self.agent.process.uids[1] if self.agent else self.owner
        return frozenset({0} if user is None else {0, user})

    def files(self, *names: str) -> list[File]:
        found: Files = get(self.host, "files")
        return found.all([f"{self.folder}/{name}" for name in names])

    @fact
    def config(self) -> Element | None:
        """The shape of ``config.xml``; None if Jenkins has not been set up yet.

        :raises Unknown: it cannot be read.
        """
        path = f"{self.folder}/config.xml"
        return parse_shape(path, session_of(self.host).ask(shape_want(path))[0])

    @property
    def running(self) -> BuildAgent:
        """The controller that runs by it.

        :raises NotApplicable: none does. :raises Unknown: one may.
        """
        if self.doubt:
            raise Unknown(self.doubt)
        if self.agent is None:
            raise NotApplicable("it does not run")
        return self.agent

    @fact
    def words(self) -> list[str]:
        """The command line of the one that runs, options from the environment first.

        :raises Unknown: it cannot be read, or more options are in a file.
        """
        if self.doubt:
            raise Unknown(self.doubt)
        if self.agent is None:
            return []
        said = [self.agent.settings[name] for name in _VARIABLES if name in self.agent.settings]
        try:
            words = [word for each in said for word in shlex.split(each)] + self.agent.arguments
        except ValueError:
            raise Unknown(f"the Java options of {self} make no sense") from None
        file = next((each for each in words if re.match(r"@|--?config=", each)), "")
        if file:
            raise Unknown(f"{self} has options in a file: {file[:80]}")
        return words

    def property(self, name: str) -> str | None:
        """Return a system property of Java that was given; None if it was not."""
        found = [each.partition("=") for each in self.words if each.startswith(f"-D{name}")]
        values = [value for key, _, value in found if key == f"-D{name}"]
        return values[-1] if values else None

    def option(self, name: str) -> str | None:
        """Return an option of Winstone, Jenkins' own web server; None if it was not given."""
        found = [each.partition("=")[2] for each in self.words if each.startswith(f"--{name}=")]
        return found[-1] if found else None


@provide_each
def jenkins_home(host: Host) -> list[JenkinsHome | Unseen]:
    """Each home of a controller that runs, or lies in one of the usual places."""
    places: AgentPlaces = get(host, "agent_places")
    seen = {each.folder: each for each in places.named(*MARKS)}
    found: dict[str, JenkinsHome] = {}
    unseen: list[Unseen] = []
    for agent in get(host, "build_agents"):
        if agent.kind == "jenkins":
            try:
                folder = _folder(agent, list(seen.values()))
                owner = seen[folder].uid if folder in seen else None
                found[folder] = JenkinsHome(host, folder, owner, agent)
            except Unknown as reason:
                unseen.append(Unseen(agent.object, str(reason)))
    java = {each.uids[1] for each in get(host, "processes") if each.name == "java"}
    java -= {each.agent.process.uids[1] for each in found.values() if each.agent}
    for folder, each in seen.items():
        doubt = unseen[0].reason if unseen else ""
        if each.uid in java and not doubt:
            doubt = f"a Java program of uid {each.uid} runs, which may be it (a servlet container)"
        found.setdefault(folder, JenkinsHome(host, folder, each.uid, None, doubt))
    for folder in found:
        session_of(host).foresee(shape_want(f"{folder}/config.xml"))
        get(host, "files").foresee(f"{folder}/{name}" for name in (*KEYS, SWITCH))
    return [*found.values(), *unseen, *places.unseen("jenkins", found)]


def _folder(agent: BuildAgent, seen: list[Seen]) -> str:
    """Return the home of a controller that runs, as the host sees it.

    What a user may not read of its environment is told by whose homes there are.
    """
    said = [each.partition("=")[2] for each in agent.arguments
            if each.startswith("-DJENKINS_HOME=")]  # fmt: skip
    if said:
        return agent.seen(said[-1].rstrip("/"))
    try:
        settings = agent.settings
    except Unknown:
        own = [each.folder for each in seen if each.uid == agent.process.uids[1]]
        if len(own) != 1 or not agent.own:
            raise
        return own[0]
    home = settings.get("JENKINS_HOME") or f"{settings.get('HOME', '')}/.jenkins"
    if not home.startswith("/") or home == "/.jenkins":
        raise Unknown(f"the home of {agent} cannot be told")
    return agent.seen(home.rstrip("/"))
