"""What the processes of containers may do."""

from hullcheck.control import NotApplicable, Unknown, control, expect
from hullcheck.facts.accounts import Accounts
from hullcheck.facts.capabilities import DOCKER_DEFAULT, NAMES, configured, names
from hullcheck.facts.containers import Container
from hullcheck.facts.processes import Process
from hullcheck.inventory.policy import Policy

HARMLESS = DOCKER_DEFAULT - {"CAP_NET_RAW"}
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
    asked = configured(container.asked("CapAdd"), container.asked("CapDrop"), container.privileged)
    expect(asked - allowed, equals=frozenset(), what="capabilities asked for beyond the allowed")
    for process in container.processes:
        more = _held(process, container) - allowed
        expect(more, equals=frozenset(), what=f"capabilities of {process} beyond the allowed")


@control(
    title="No container is privileged",
    severity="critical",
    fix="Start it without --privileged and give it the one device or capability it needs.",
)
def test_privileged(container: Container) -> None:
    """A privileged container has every capability and device and no confinement: it is root on
    the host with another file system. Having every capability by other means is the same."""
    expect(container.privileged, equals=False, what="privileged")
    asked = configured(container.asked("CapAdd"), container.asked("CapDrop"))
    expect(asked >= frozenset(NAMES), equals=False, what="every capability asked for")
    for process in container.processes:
        every = container.every_capability
        full = process.caps.effective_mask & every == every and not container.sandboxed(process)
        expect(full, equals=False, what=f"every capability in effect in {process}")


@control(
    title="No process in a container can gain privileges",
    severity="high",
    fix="Start it with --security-opt no-new-privileges, or set no-new-privileges in daemon.json.",
)
def test_no_new_privileges(container: Container) -> None:
    """A setuid-root program in an image hands root to whoever runs it, unless the kernel's
    no_new_privs bit is set on the process."""
    for process in container.processes:
        expect(process.no_new_privs, equals=True, what=f"no_new_privs of {process}")
    if not container.running:
        said = [value for name, value in container.security_options if name == "no-new-privileges"]
        if said:
            expect(
                said[-1].lower() in ("", "true", "1", "t"), equals=True, what="no-new-privileges"
            )
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
    for process in container.processes:
        expect(process.uids, without={0}, what=f"user ids of {process}")
    if container.running:
        return
    if container.engine.rootless:
        return
    if "userns" in container.engine.security_options and container.asked("UsernsMode") != "host":
        return
    user = str(container.config("User", "")).split(":")[0].strip()
    numbered = user.isdecimal()
    root = user in ("", "root") or (numbered and int(user) == 0)
    expect(root, equals=False, what="that it would start as root")
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
    for process in container.processes:
        if process is init:
            continue
        if not container.sandboxed(process):
            more = process.caps.reachable - init.caps.reachable
            expect(more, equals=frozenset(), what=f"capabilities of {process} beyond the first's")
        weaker = process.seccomp == 0 and init.seccomp != 0
        expect(weaker, equals=False, what=f"{process} without the first's seccomp filter")
        loose = init.no_new_privs and not process.no_new_privs
        expect(loose, equals=False, what=f"{process} without the first's no_new_privs")
        _outside(container, process)


def _outside(container: Container, process: Process) -> None:
    for name in ("mnt", "pid", "net", "ipc", "uts", "user"):
        space = process.namespace(name)
        left = space != container.init.namespace(name) and space in container.outside(name)
        expect(left, equals=False, what=f"{process} in the host's {name} namespace")


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
    for process in container.processes:
        entered = process is not init and process.ppid not in inside
        expect(entered and 0 in process.uids, equals=False, what=f"{process} entered as root")


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
    wanted = {gid for gid in powerful if str(gid) in added}
    expect([powerful[gid] for gid in wanted], equals=[], what="powerful groups asked for")
    for process in container.processes:
        if 0 in process.uids:
            continue
        found = (process.groups | set(process.gids)) & set(powerful)
        have = sorted(powerful[gid] for gid in found)
        expect(have, equals=[], what=f"powerful groups of {process}")
