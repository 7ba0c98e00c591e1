"""How much of the host a container can use up."""

from functools import partial

from hullcheck.control import control, expect
from hullcheck.facts.containers import Container
from hullcheck.facts.machine import Machine
from hullcheck.facts.processes import Process
from hullcheck.inventory.policy import Policy

from .wording import alike

RETRIES = 5
OPEN_FILES = 1048576
FAVOURED = -500


@control(
    title="Every container has a memory limit",
    severity="medium",
    fix="Start it with --memory, on a host whose kernel has the memory controller.",
)
def test_memory_limit(container: Container, machine: Machine) -> None:
    """A container without a limit can use up the host's memory until the kernel kills what it
    finds, be it another container or a service of the host. What counts is what the kernel
    enforces, on the container or a cgroup above it; a limit as large as the host is none."""
    asked = int(container.asked("Memory", 0))
    if not container.running:
        if _some(asked or None, "memory limit asked for"):
            expect(asked, at_most=machine.memory - 1, what="bytes of memory asked for")
        return
    found = container.limits.memory
    if _some(found, "memory limit in effect", asked):
        expect(found, at_most=machine.memory - 1, what="bytes of memory allowed")
        if asked:
            expect(found, at_most=asked, what="bytes of memory in effect")


@control(
    title="Every container has its share of the processors set",
    severity="low",
    fix="Start it with --cpu-shares other than 1024, or with --cpus.",
)
def test_cpu_limit(container: Container) -> None:
    """With equal shares for all, one busy container slows down those that matter more. A weight
    or a limit, on the container or a cgroup above it, says who goes first."""
    shares = int(container.asked("CpuShares", 0))
    quota = int(container.asked("NanoCpus", 0)) > 0 or int(container.asked("CpuQuota", 0)) > 0
    weighted = shares not in (0, 1024)
    if not container.running:
        _some(weighted or quota or None, "share or limit of processor time asked for")
        return
    limits = container.limits
    if quota:
        _some(limits.cpus, "limit of processor time in effect")
    if weighted:
        _some(limits.share or None, "share of processor time in effect")
    if not (weighted or quota):
        _some(limits.share or limits.cpus, "share or limit of processor time in effect")


@control(
    title="Every container has a limit of processes",
    severity="medium",
    fix="Start it with --pids-limit, on a host whose kernel has the pids controller.",
)
def test_pids_limit(container: Container, machine: Machine) -> None:
    """A fork bomb in one container takes the host's last process number, and then nobody can
    log in to end it. A limit as large as the host's own is none."""
    asked = int(container.asked("PidsLimit", 0))
    if not container.running:
        if _some(asked if asked > 0 else None, "limit of processes asked for"):
            expect(asked, at_most=machine.pids - 1, what="limit of processes asked for")
        return
    found = container.limits.pids
    if _some(found, "limit of processes in effect", max(asked, 0)):
        expect(found, at_most=machine.pids - 1, what="limit of processes")
        if asked > 0:
            expect(found, at_most=asked, what="limit of processes in effect")


def _some(found: object, what: str, asked: int = 0) -> bool:
    wanted = f"the {asked} asked for" if asked else "some"
    return expect("none" if found is None else wanted, equals=wanted, what=what)


@control(
    title="No process in a container has unbounded resource limits",
    severity="low",
    fix="Start it with --ulimit nofile=… and a pids limit, or set default-ulimits in daemon.json.",
)
def test_ulimits(container: Container) -> None:
    """Open files cost the host kernel memory that no memory limit of older kernels counts. An
    engine started without a limit hands that down to its containers."""
    if not container.running:
        asked = {str(each.get("Name")): each for each in container.asked("Ulimits", [])}
        hard = int(asked.get("nofile", {}).get("Hard", OPEN_FILES))
        expect(hard, at_most=OPEN_FILES, what="limit of open files asked for")
        expect(hard, at_least=0, what="limit of open files asked for")
        return
    bounded = container.limits.pids is not None
    for limit, who in alike(container, partial(_hard, container, "Max open files")):
        if limit is not None:
            expect(_number(limit), at_most=OPEN_FILES, what=f"limit of open files of {who}")
    for limit, who in (
        () if bounded else alike(container, partial(_hard, container, "Max processes"))
    ):
        if limit is not None:
            expect([limit], without=("unlimited",), what=f"limit of processes of {who}")


def _hard(container: Container, name: str, process: Process) -> str | None:
    """Return a hard limit of a process; None of one that has ended."""
    limits = container.confinement.limits.get(process.pid)
    return None if limits is None else limits.get(name, ("", "unlimited"))[1]


def _number(limit: str) -> float:
    return int(limit) if limit.isdecimal() else float("inf")


@control(
    title="No container is spared when memory runs out",
    severity="low",
    fix="Start it without --oom-score-adj below -500 and without --oom-kill-disable.",
)
def test_oom_score(container: Container) -> None:
    """When memory runs out the kernel ends what scores highest. A container that is spared has
    a service of the host ended in its place."""
    killer = "off" if container.asked("OomKillDisable") else "on"
    expect(killer, equals="on", what="the OOM killer")
    expect(
        int(container.asked("OomScoreAdj", 0)), at_least=FAVOURED + 1, what="OOM score asked for"
    )
    scores = container.confinement.oom_score_adj if container.running else {}
    for score, who in alike(container, lambda process: scores.get(process.pid)):
        if score is not None:
            expect(score, at_least=FAVOURED + 1, what=f"OOM score adjustment of {who}")


@control(
    title="A container that keeps failing is not restarted for ever",
    severity="low",
    fix="Start it with --restart=on-failure:5, or let an orchestrator restart it.",
)
def test_restart_limit(container: Container) -> None:
    """A container that fails and is started again without end can keep a host busy, and hides
    that somebody is trying out how to make it fail."""
    container.need_docker("restart policy")
    policy = container.asked("RestartPolicy", {})
    name, retries = str(policy.get("Name") or "no"), int(policy.get("MaximumRetryCount") or 0)
    if expect(name, one_of=("no", "on-failure"), what="restart policy") and name == "on-failure":
        expect(retries or "without end", one_of=range(1, RETRIES + 1), what="number of restarts")


@control(
    title="Containers run under the cgroup they are meant to",
    severity="low",
    fix="Start it without --cgroup-parent, or list that parent in the policy's cgroup_parents.",
)
def test_cgroup_parent(container: Container, policy: Policy) -> None:
    """Limits that were set for all containers are set on the cgroup above them. One that was
    started under another parent, or moved there, escapes them."""
    container.need_docker("cgroup parent")
    default = str(container.engine.setting("cgroup-parent").value or "")
    asked = str(container.asked("CgroupParent", ""))
    meant = sorted({"the engine's", *policy.cgroup_parents})
    given = "the engine's" if asked in ("", default) else asked
    expect(given, one_of=meant, what="cgroup parent asked for")
    if not container.running:
        return
    usual = () if asked or default else ("docker", "system.slice", "user.slice")
    wanted = {
        each.rstrip("/").rpartition("/")[2]
        for each in (asked, default, *policy.cgroup_parents, *usual)
        if each
    }
    for controller in ("", "memory", "pids", "cpu"):
        above, found, _ = container.init.cgroups.get(controller, "").partition(container.id)
        if found:
            parent = above.rpartition("/")[0].rpartition("/")[2]
            name = controller or "v2"
            expect(parent, one_of=sorted(wanted), what=f"parent of its {name} cgroup")
