"""What the processes of containers may do."""

from hullcheck.control import NotApplicable, Unknown, control, expect
from hullcheck.facts.accounts import Accounts
from hullcheck.facts.capabilities import DOCKER_DEFAULT, NAMES, configured, from_mask, names
from hullcheck.facts.containers import Container
from hullcheck.facts.processes import Process
from hullcheck.inventory.policy import Policy

from .wording import alike, named, remapped

HARMLESS = DOCKER_DEFAULT - {"CAP_NET_RAW"}
EVERY = frozenset({"every one"})
POWERFUL_GROUPS = (
    "disk", "docker", "incus-admin", "kmem", "libvirt", "lxd", "podman", "shadow", "sudo", "wheel",
)  # fmt: skip


def _held(process: Process, container: Container) -> frozenset[str]:
    """Return what a process has or can get over anything that is not its own making."""
    if container.sandboxed(process):
        return frozenset()
    if process.no_new_privs:
        return process.caps.held | process.caps.inheritable
    return process.caps.reachable


@control(
    title="Containers have no capabilities beyond the harmless ones",
    severity="high",
    fix="Start it with --cap-drop=ALL and --cap-add for each that it needs; NET_RAW is rarely one.",
)
def test_capabilities(container: Container, policy: Policy) -> None:
    """Capabilities are pieces of root's power. The kernel's masks of every process decide, so
    neither an odd spelling nor a process that was entered later is missed. NET_RAW, which
    Docker gives by default, lets a container forge packets to its neighbours."""
    allowed = HARMLESS | names(policy.capabilities)
    if container.described:
        add, drop = container.asked("CapAdd"), container.asked("CapDrop")
        asked = configured(add, drop, container.privileged)
        beyond = "capabilities asked for beyond the allowed"
        expect(asked - allowed, equals=frozenset(), what=beyond)
    for held, who in alike(container, lambda process: _held(process, container)):
        more = _or_every(held - allowed, held, container)
        expect(more, equals=frozenset(), what=f"capabilities of {who} beyond the allowed")


def _or_every(some: frozenset[str], held: frozenset[str], container: Container) -> frozenset[str]:
    """Return some capabilities; of who has all that this kernel has, one word for them."""
    return EVERY if some and held >= from_mask(container.every_capability) else some


@control(
    title="No container is privileged",
    severity="critical",
    fix="Start it without --privileged and give it the one device or capability it needs.",
)
def test_privileged(container: Container) -> None:
    """A privileged container has every capability and device and no confinement: it is root on
    the host with another file system. Having been started with every capability by other means
    is the same; who entered with them later is another control's matter."""
    given = "privileged" if container.privileged else "unprivileged"
    expect(given, equals="unprivileged", what="what it was asked to be")
    asked = configured(container.asked("CapAdd"), container.asked("CapDrop"))
    expect(_amount(asked >= frozenset(NAMES)), equals=SOME, what="capabilities asked for")
    if container.running:
        first, every = container.init, container.every_capability
        full = first.caps.effective_mask & every == every and not container.sandboxed(first)
        expect(_amount(full), equals=SOME, what=f"capabilities of its first process, {first}")


SOME = "not all"


def _amount(full: bool) -> str:
    return "every one" if full else SOME


@control(
    title="No process in a container can gain privileges",
    severity="high",
    fix="Start it with --security-opt no-new-privileges, or set no-new-privileges in daemon.json.",
)
def test_no_new_privileges(container: Container) -> None:
    """A setuid-root program in an image hands root to whoever runs it, unless the kernel's
    no_new_privs bit is set on the process."""
    for bit, who in alike(container, lambda process: process.no_new_privs):
        expect("set" if bit else "not set", equals="set", what=f"no_new_privs of {who}")
    if not container.running:
        said = [value for name, value in container.security_options if name == "no-new-privileges"]
        if said:
            asked = said[-1].lower() or "true"
            expect(asked, one_of=("true", "1", "t"), what="no-new-privileges asked for")
        else:
            default = container.engine.setting("no-new-privileges")
            expect(default.value, equals=True, what="the engine's no-new-privileges")


@control(
    title="Nothing in a container runs as the host's root user",
    severity="high",
    fix="Set USER in the image or --user, or run the engine with userns-remap or rootless.",
)
def test_root_user(container: Container) -> None:
    """The user id that counts is the one the host sees: a program that dropped root after its
    start is fine, one that became root through a setuid file is not, and root in a user
    namespace is an ordinary user outside."""
    for ids, who in alike(container, lambda process: tuple(sorted(set(process.uids)))):
        expect(list(ids), without=(0,), what=f"user id of {who}")
    if container.running:
        return
    if remapped(container) and (container.rootless or container.asked("UsernsMode") != "host"):
        expect(["an ordinary user of the host"], without=("root",), what="who its root would be")
        return
    user = str(container.config("User", "")).split(":")[0].strip()
    numbered = user.isdecimal()
    root = user in ("", "root") or (numbered and int(user) == 0)
    expect(["root" if root else user], without=("root",), what="the user it would start as")
    if not root and not numbered:
        raise Unknown(f"only the image knows which user id {user} is")


@control(
    title="No process in a container has more rights than its first one",
    severity="high",
    fix="End it, and find out who ran docker exec --privileged, nsenter or the like.",
)
def test_entered_process(container: Container) -> None:
    """The engine describes what a container was started with. A process that was put into it
    later, with exec --privileged or nsenter, may have every right and shows in no description."""
    container.need_running()
    init = container.init
    others = [process for process in container.processes if process is not init]
    if not others:
        expect(0, equals=0, what="processes beside the first")
    for process in others:
        if not container.sandboxed(process):
            reach = process.caps.reachable
            more = _or_every(reach - init.caps.reachable, reach, container)
            expect(more, equals=frozenset(), what=f"capabilities of {process} beyond the first's")
        expect(_lost(container, process), equals=[], what=f"{process} is outside of the first's")


def _lost(container: Container, process: Process) -> list[str]:
    """Return what holds a container's first process, and not this one.

    Whose pid namespace is another but no deeper one was not started in the container: somebody
    gave a container of his own the same cgroup.
    """
    init = container.init
    found = ["seccomp filter"] if process.seccomp == 0 and init.seccomp != 0 else []
    found += ["no_new_privs"] if init.no_new_privs and not process.no_new_privs else []
    for name in ("mnt", "pid", "net", "ipc", "uts", "user"):
        space = process.namespace(name)
        beside = name == "pid" and 0 < len(process.nspid) <= len(init.nspid)
        if space != init.namespace(name) and (beside or space in container.outside(name)):
            found.append(f"{name} namespace")
    return found


@control(
    title="Nobody has entered a container as root that runs as another user",
    severity="medium",
    level=2,
    fix="Use docker exec without --user=root; end what was started that way.",
)
def test_entered_as_root(container: Container) -> None:
    """Root in a container that was built to run as an ordinary user can change what its users
    trust. What was entered has a parent outside of the container."""
    container.need_running()
    init = container.init
    inside = {process.pid for process in container.processes}
    if 0 in init.uids:
        raise NotApplicable("the container itself runs as root")
    entered = [
        process
        for process in container.processes
        if process is not init and process.ppid not in inside and 0 in process.uids
    ]
    expect([named(entered)] if entered else [], equals=[], what="entered as root")


@control(
    title="No container belongs to a powerful group of the host",
    severity="medium",
    fix="Start it without --group-add of that group.",
)
def test_supplementary_groups(container: Container, accounts: Accounts) -> None:
    """Group ids are numbers, and a container's are the host's: one that equals the group of the
    engine's socket or of the disks opens those as soon as they can be reached."""
    powerful = {group.gid: group.name for group in accounts.groups if group.name in POWERFUL_GROUPS}
    added = [str(each) for each in container.asked("GroupAdd", [])]
    wanted = sorted({int(each) for each in added if each.isdecimal()} & set(powerful))
    expect([powerful[gid] for gid in wanted], equals=[], what="powerful groups asked for")
    named = [each for each in added if not each.isdecimal()]
    if named and not container.running:
        raise Unknown(f"only the image knows which group id {named[0]} is")
    for process in container.processes:
        if 0 in process.uids:
            continue
        found = (process.groups | set(process.gids)) & set(powerful)
        have = sorted(powerful[gid] for gid in found)
        expect(have, equals=[], what=f"powerful groups of {process}")
