"""How far the jobs of a runner are kept from its host, and from each other."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from hullcheck.control import Manual, NotApplicable, Unknown, control, expect
from hullcheck.facts.accounts import Accounts
from hullcheck.facts.capabilities import DOCKER_DEFAULT, names
from hullcheck.facts.doors import ENGINE_GROUPS
from hullcheck.facts.files import File
from hullcheck.facts.host_trees import sensitive
from hullcheck.facts.mounts import within
from hullcheck.facts.root_groups import NAMED
from hullcheck.facts.runners.job_runners import JobRunner
from hullcheck.facts.runners.jobs import BESIDE, DRIVER, HOST, OTHERS, Mount
from hullcheck.facts.runtime_sockets import KNOWN, RuntimeSockets
from hullcheck.inventory.policy import Policy

POWERFUL = frozenset((*ENGINE_GROUPS, *NAMED, "podman", "kmem", "shadow", "root"))


def _contained(job_runner: JobRunner, *, told: bool = False) -> None:
    """:raises NotApplicable: its jobs run in no containers, or in none that anybody shares."""
    jobs = job_runner.jobs
    if jobs.contained and jobs.fresh:
        raise NotApplicable("each of its jobs has a machine of its own, which is deleted after it")
    if not (jobs.contained or (told and jobs.where == BESIDE)):
        raise NotApplicable(f"its jobs run on {jobs.where}")


def _known(job_runner: JobRunner) -> None:
    """:raises Unknown: something of what jobs get is not known."""
    if job_runner.jobs.unread:
        raise Unknown(job_runner.jobs.unread)


@control(
    title="No job of a runner runs in a privileged container",
    severity="critical",
    fix="Set privileged = false in config.toml or config.yaml, empty "
    "DRONE_RUNNER_PRIVILEGED_IMAGES or WOODPECKER_PLUGINS_PRIVILEGED, and build images rootless "
    "(BuildKit, buildah). If docker:dind must be, set allowed_privileged_services and list the "
    "same in privileged_job_images.",
)
def test_runner_privileged(job_runner: JobRunner, policy: Policy) -> None:
    """Whoever may push a branch says what a job runs. In a privileged container that is root on
    the host, with the secrets and the code of every other project that is built there. Patterns
    of images that may run so count as written; the policy lists those that the site accepts."""
    _contained(job_runner, told=True)
    allowed = policy.privileged_job_images
    expect(job_runner.jobs.privileged, within=allowed, what="images that run privileged")
    _known(job_runner)


@control(
    title="No job of a runner can reach the socket of a container engine",
    severity="critical",
    fix="Take the socket, and folders that hold it, out of volumes, valid_volumes, options and "
    "DRONE_RUNNER_VOLUMES; set docker_host to - in Gitea's config.yaml. Build images rootless.",
)
def test_runner_engine_socket(job_runner: JobRunner) -> None:
    """A job that speaks to an engine starts a container with the whole host mounted: the socket
    is root's password. A folder that holds it is the same, also read-only, and so is a link or
    another mount that leads there. Gitea's runner shows it to every job unless told not to."""
    _contained(job_runner)
    mounts = [each for each in job_runner.jobs.mounts if each.of_host]
    found = [f"{each} leads to {way}" for each in mounts if (way := _socket(job_runner, each))]
    if mounts and not found:
        sockets: RuntimeSockets = job_runner.engine_sockets
        ways = ((each, _known_socket(job_runner, each, sockets)) for each in mounts)
        found = [f"{each} leads to {way}" for each, way in ways if way]
    expect(found, equals=[], what="ways to an engine")
    _seen(job_runner)
    _known(job_runner)


def _socket(job_runner: JobRunner, mount: Mount) -> str:
    """Return a socket that a mount shows by its name, or by the name of where that leads."""
    file = job_runner.sources[mount.source]
    if file.state == "present" and file.kind == "socket":
        return file.resolved
    for way in _ways(mount, file):
        if way.endswith(".sock"):
            return way
        for path in KNOWN:
            if within(path, way):
                return path
    return ""


def _ways(mount: Mount, file: File) -> list[str]:
    """Return the names of what is mounted, the last without links."""
    named = re.sub("^/var/run(?=/|$)", "/run", mount.source)
    return [mount.source, named, *([file.resolved] if file.state == "present" else [])]


def _known_socket(job_runner: JobRunner, mount: Mount, sockets: RuntimeSockets) -> str:
    """Return a socket on which an engine is known to listen, in what is mounted: by name, or, of
    a folder that is a mount of another one, by place."""
    file = job_runner.sources[mount.source]
    place = job_runner.place(file.resolved) if file.state == "present" else None
    for path, lies in sockets.places.items():
        if any(within(path, way) for way in _ways(mount, file)):
            return path
        if place and place.device == lies.device and within(lies.path, place.path):
            return path
    return ""


def _seen(job_runner: JobRunner) -> None:
    """:raises Unknown: what a mount leads to cannot be seen."""
    for file in job_runner.sources.values():
        if file.state == "denied":
            raise Unknown(file.reason)


@control(
    title="No sensitive directory of the host is mounted into jobs of a runner",
    severity="high",
    fix="Give jobs a folder of their own, read-only where it only serves, in volumes, "
    "valid_volumes, options or DRONE_RUNNER_VOLUMES; list what they need in host_paths.",
)
def test_runner_host_mounts(job_runner: JobRunner, policy: Policy) -> None:
    """What a runner mounts, every job of every project reads, and mostly writes: with the host's
    configuration, programs, homes or devices it takes the host over. Folders that jobs may ask
    for count too, up to where the runner's own words end and a wildcard or a variable begins."""
    _contained(job_runner)
    found = [
        str(mount)
        for mount in job_runner.jobs.mounts
        if mount.of_host and any(_sensitive(mount, job_runner.sources[mount.source], policy))
    ]
    expect(found, equals=[], what="sensitive places of the host")
    _seen(job_runner)
    _known(job_runner)


def _sensitive(mount: Mount, file: File, policy: Policy) -> Iterator[bool]:
    resolved = {file.resolved} if file.state == "present" else set()
    for name in {mount.source, *resolved}:
        if not any(within(name, path.rstrip("/") or "/") for path in policy.host_paths):
            yield sensitive(name, writable=not mount.read_only)


@control(
    title="Jobs of a runner share no namespace with the host",
    severity="high",
    fix="Remove network_mode, userns_mode or ipcmode = host from config.toml, network: host and "
    "--pid, --ipc, --network=host in options from config.yaml, host from DRONE_RUNNER_NETWORKS.",
)
def test_runner_host_namespaces(job_runner: JobRunner) -> None:
    """In the host's network a job reaches what listens on loopback only, cloud metadata and the
    traffic of its neighbours; among its processes it reads their secrets; without a user namespace
    its root is the host's."""
    _contained(job_runner)
    expect(job_runner.jobs.namespaces, equals=(), what="namespaces of the host")
    _known(job_runner)


@control(
    title="Jobs of a runner have no more rights than containers usually have",
    severity="high",
    fix="Remove cap_add, security_opt, devices, gpus and the like from config.toml, the same from "
    "options of config.yaml, and DRONE_RUNNER_DEVICES; list what jobs need in capabilities and "
    "devices of the policy.",
)
def test_runner_rights(job_runner: JobRunner, policy: Policy) -> None:
    """Capabilities, devices and a seccomp or AppArmor profile that is switched off give every job
    a piece of root's power. Some (SYS_ADMIN, SYS_PTRACE, a disk) are all of it, without the word
    privileged anywhere."""
    _contained(job_runner)
    jobs = job_runner.jobs
    more = names(jobs.capabilities) - DOCKER_DEFAULT - names(policy.capabilities)
    expect(sorted(more), equals=[], what="capabilities beyond the usual")
    expect(jobs.rights, equals=(), what="options that loosen confinement")
    expect(jobs.devices, within=policy.devices, what="devices")
    _known(job_runner)


@control(
    title="Jobs outside containers have none of root's rights",
    severity="high",
    fix="Use the docker executor, or labels with docker://. For jobs on the host, start the runner "
    "as (or with --user) a user of its own, in no group such as docker or sudo; machines of jobs "
    "must be used once: capacity_per_instance and max_use_count = 1.",
)
def test_runner_host_jobs(job_runner: JobRunner, accounts: Accounts) -> None:
    """Without a container a job is a login on the machine, of whoever may push a branch. As root,
    or in a group that opens an engine, it owns the host; and what it leaves behind, the next
    project's job finds."""
    jobs = job_runner.jobs
    if jobs.where == HOST:
        uid, groups = _rights(job_runner, accounts)
        name = "root" if uid == 0 else _name(accounts, uid)
        expect([name], without=["root"], what="the user of its jobs")
        expect(sorted(groups), equals=[], what="groups of its jobs that have root's rights")
    elif jobs.where == OTHERS:
        expect([jobs.target.partition("@")[0]], without=["root"], what="whom it logs in as")
        raise Manual("see that its jobs harm nobody on the machine they run on", jobs.target)
    elif jobs.where == DRIVER:
        _known(job_runner)
        raise Manual("see that what makes the places for its jobs keeps them apart")
    elif jobs.contained or jobs.where == BESIDE:
        raise NotApplicable(f"its jobs run in {jobs.where}")
    else:
        kept = "one for each job" if jobs.fresh else "used again"
        expect(kept, equals="one for each job", what=f"its {jobs.where}")
        _known(job_runner)


def _rights(job_runner: JobRunner, accounts: Accounts) -> tuple[int, set[str]]:
    """Return whose rights jobs on the host have, and the powerful groups among them.

    :raises Unknown: that is not known.
    """
    agent = job_runner.launch.agent if job_runner.launch else None
    name = job_runner.jobs.user
    if agent and not name:
        uids, gids = agent.process.uids, {agent.process.gids[1], *agent.process.groups}
        return uids[1], set() if uids[1] == 0 else _powerful(accounts, gids)
    if agent and agent.own is not True:
        if name == "root":
            return 0, set()
        raise Unknown(f"what user {name} of the runner's own files is on the host is not known")
    user = accounts.user(name) if name else None
    uid = user.uid if user else job_runner.uid if not name else None
    known = user or (accounts.user(uid) if uid is not None else None)
    if known is None:
        raise Unknown("whose rights its jobs would have is not known: it does not run")
    if known.uid == 0:
        return 0, set()
    mine = [each.gid for each in accounts.groups if known.name in accounts.members(each)]
    return known.uid, _powerful(accounts, mine)


def _powerful(accounts: Accounts, gids: Iterable[int]) -> set[str]:
    groups = [accounts.group(gid) for gid in gids]
    return {each.name for each in groups if each and each.name in POWERFUL}


def _name(accounts: Accounts, uid: int) -> str:
    user = accounts.user(uid)
    return user.name if user else f"uid {uid}"
