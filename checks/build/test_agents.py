"""The programs that run jobs: whose rights jobs have, and what they can change for the next one."""

from __future__ import annotations

import posixpath

from hullcheck.control import NotApplicable, Unknown, control, expect
from hullcheck.facts.accounts import Accounts, User
from hullcheck.facts.doors import ENGINE_GROUPS
from hullcheck.facts.files import Files
from hullcheck.facts.processes import Gone
from hullcheck.facts.root_groups import NAMED
from hullcheck.facts.runners.agents import OTHERS, BuildAgent
from hullcheck.inventory.policy import Policy

SELF_UPDATING = frozenset({"github", "azure", "jenkins-agent"})
"""They replace their own program, or have it sent by the controller, by design."""


def _own_jobs(agent: BuildAgent) -> None:
    if agent.kind in OTHERS:
        raise NotApplicable(OTHERS[agent.kind])


@control(
    title="No build agent runs as root",
    severity="critical",
    fix="Give the agent a user of its own (User= in its unit; for GitHub and Azure svc.sh install "
    "USER) and hand its folder to that user.",
)
def test_agent_unprivileged(build_agent: BuildAgent) -> None:
    """A job is code from a repository, and whoever can open a pull request may write it. Under an
    agent that is root it owns the host, the credentials of all other jobs and what they build."""
    _own_jobs(build_agent)
    names = ("real", "effective", "saved", "file system")
    uids = zip(names, build_agent.process.uids, strict=True)
    root = [f"its {name} user" for name, uid in uids if uid == 0]
    expect(root, equals=[], what=f"what of {build_agent} is root")


@control(
    title="Build agents are in no group that makes their jobs root",
    severity="critical",
    fix="Take the agent's user out of the group with gpasswd -d USER GROUP and start the agent "
    "again; let jobs build images with rootless Podman, Buildah or BuildKit. Or name the user in "
    "trusted_users of the policy.",
)
def test_agent_groups(build_agent: BuildAgent, accounts: Accounts, policy: Policy) -> None:
    """Whoever may talk to a rootful engine, or reads raw disks, is root. An agent in the group
    docker hands that to every job. A process keeps groups that its user has lost since it began,
    and a job can take up those its user has gained: both count."""
    _own_jobs(build_agent)
    if build_agent.own is False:
        raise NotApplicable("it runs in a container: what that may reach is judged there")
    process = build_agent.process
    user = accounts.user(process.uids[1])
    if user and user.name in (policy.trusted_users or ()) and user.uid:
        return
    rooted = {each.gid: each.name for each in accounts.groups
              if each.name in (*ENGINE_GROUPS, *NAMED, "root")}  # fmt: skip
    held = {rooted[gid] for gid in {*process.groups, *process.gids} if gid in rooted}
    if user:
        held |= _listed(user, accounts, rooted)
    beyond = held - ({"root"} if process.uids[1] == 0 else set())
    expect(sorted(beyond), equals=[], what=f"groups of {build_agent} that are as good as root")


def _listed(user: User, accounts: Accounts, rooted: dict[int, str]) -> set[str]:
    return {name for gid, name in rooted.items() if user.name in accounts.members(gid)}


@control(
    title="Nobody but its own user can replace a build agent's program",
    severity="high",
    fix="chown and chmod what is named so that only root may write it (for runners that update "
    "themselves: root and the agent's user), the folders above included.",
)
def test_agent_program(build_agent: BuildAgent, files: Files) -> None:
    """Who writes the program of an agent sees every secret of every job from then on, and alters
    what is built. Runners of GitHub and Azure replace themselves, so that their user must be able
    to; a Buildkite agent or Jenkins does not, and a job that can write it stays for ever."""
    if build_agent.own is False:
        raise NotApplicable("it runs in a container, from the files of an image")
    process = build_agent.process
    trusted = {0, process.uids[1]} if build_agent.kind in SELF_UPDATING else {0}
    for file in files.all(_programs(build_agent)):
        if file.exists:
            who = file.writable_by_others(trusted)
            expect(who, equals=[], what=f"who else may write {file}")


def _programs(agent: BuildAgent) -> list[str]:
    """Return the paths of an agent's program and, of Java, of the archive that it runs."""
    try:
        program = agent.process.exe
    except Gone:
        raise NotApplicable(f"{agent} has ended") from None
    if program.endswith(" (deleted)"):
        raise Unknown(f"the program of {agent} has been replaced since it began")
    words = agent.arguments if agent.process.name == "java" else []
    archives = [each for each in words if each.endswith((".jar", ".war"))]
    below = agent.directory if any(each[:1] != "/" for each in archives) else "/"
    return [program, *(posixpath.join(below, each) for each in archives)]
