"""Containers live in namespaces of their own."""

from hullcheck.control import NotApplicable, control, expect
from hullcheck.facts.containers import Container
from hullcheck.facts.user_maps import overlaps

from .wording import remapped

HOSTS, OWN = "the host's", "another"


def _own(container: Container, name: str, asked: str, flag: str) -> None:
    """Expect a namespace that is not the host's: neither asked for nor, in effect, in use."""
    expect([container.asked(asked, "")], without=("host",), what=f"{flag} asked for")
    if container.running:
        _expect_own(container, name)


def _expect_own(container: Container, name: str) -> None:
    whose = HOSTS if container.shares(name) else OWN
    expect(whose, equals=OWN, what=f"its {name} namespace")


@control(
    title="No container uses the host's network stack",
    severity="high",
    fix="Start it on a network of its own and publish the ports it needs.",
)
def test_host_network(container: Container) -> None:
    """On the host's network a container sees every interface and all loopback services, can
    sniff and spoof with the rights it has, and opens ports past the engine's rules. A container
    that joins the network of another one which is on the host's is on the host's as well."""
    _own(container, "net", "NetworkMode", "network")


@control(
    title="No container sees the host's processes",
    severity="high",
    fix="Start it without --pid=host, and without --pid=container:… of one that has it.",
)
def test_host_pid(container: Container) -> None:
    """In the host's pid namespace a container sees every command line and can signal, and with
    few more rights trace or enter, processes of the host."""
    _own(container, "pid", "PidMode", "pid mode")


@control(
    title="No container shares the host's interprocess communication",
    severity="high",
    fix="Start it without --ipc=host; let it share with one container where it must.",
)
def test_host_ipc(container: Container) -> None:
    """Shared memory, semaphores and message queues of host programs can be read and changed
    from a container in the host's ipc namespace."""
    _own(container, "ipc", "IpcMode", "ipc mode")


@control(
    title="No container can rename the host",
    severity="medium",
    fix="Start it without --uts=host.",
)
def test_host_uts(container: Container) -> None:
    """In the host's uts namespace a container with the right to set the hostname changes that
    of the host, and with it logs, licences and certificates that rely on the name."""
    _own(container, "uts", "UTSMode", "uts mode")


@control(
    title="Root in a container is not root on the host",
    severity="medium",
    level=2,
    fix="Run the daemon with userns-remap, or rootless, and no container with --userns=host.",
)
def test_host_user_namespace(container: Container) -> None:
    """Without a user namespace, user ids in a container are those of the host: whoever breaks
    out as root is root. That nothing was asked for means just that, unless the engine remaps."""
    mode = container.asked("UsernsMode", "")
    if not (mode == "host" and container.rootless):
        expect([mode], without=("host",), what="user namespace mode asked for")
    if container.running:
        _expect_own(container, "user")
        whose = [each.outer(0) for each in container.user_map]
        expect(whose, without=(0,), what="the host's user that its root is")
    else:
        whose = OWN if remapped(container) else HOSTS
        expect(whose, equals=OWN, what="the user namespace the engine would give it")


@control(
    title="Containers of different engines are different users of the host",
    severity="medium",
    level=2,
    fix="Give each engine and each user a range of its own in /etc/subuid and /etc/subgid.",
)
def test_user_ranges(container: Container, containers: list[Container]) -> None:
    """Two engines, or two users' engines, that map their containers to the same ids of the host
    make them one user there: what breaks out of one owns the other's files and can signal its
    processes. Within one engine a common range is how remapping works."""
    container.need_running()
    if container.shares("user"):
        raise NotApplicable("it has no user namespace of its own")
    found = [
        f"{each} ({other}, {other.keeper})"
        for other in containers
        if other.running and str(other.keeper) != str(container.keeper)
        if not other.shares("user")
        for each in overlaps(container.user_map, other.user_map)
    ]
    expect(found, equals=[], what="ids of the host that another engine's containers have too")


@control(
    title="Containers do not see the host's tree of cgroups",
    severity="low",
    level=2,
    fix='Start it with --cgroupns=private, or set "default-cgroupns-mode": "private".',
)
def test_host_cgroup_namespace(container: Container) -> None:
    """Without a cgroup namespace a container reads from its own cgroup paths how the host
    arranges its services, and under which ids its neighbours run."""
    _own(container, "cgroup", "CgroupnsMode", "cgroup namespace mode")


@control(
    title="Containers do not share namespaces with each other",
    severity="medium",
    level=2,
    fix="Start it without --network, --pid or --ipc=container:…; waive it where it is by design.",
)
def test_shared_namespaces(container: Container, containers: list[Container]) -> None:
    """Two containers in one namespace are one security domain: what breaks into one listens on
    the other's loopback, or reads and signals its processes."""
    for name, what in LENT.items():
        joined = str(container.asked(name, ""))
        lent = [_named(joined, containers)] if joined.startswith("container:") else []
        expect(lent, equals=[], what=f"container whose {what} it asked for")
    if not container.running:
        return
    for other in containers:
        if other.id == container.id or not other.running:
            continue
        same = [
            name
            for name in ("net", "pid", "ipc", "uts", "mnt")
            if not container.shares(name)
            and container.init.namespace(name) == other.init.namespace(name)
        ]
        expect(same, equals=[], what=f"namespaces shared with {other}")


LENT = {"NetworkMode": "network", "PidMode": "processes", "IpcMode": "shared memory"}


def _named(mode: str, containers: list[Container]) -> str:
    """Return the name of the container in ``container:ID``."""
    joined = mode.removeprefix("container:")
    found = [other.name for other in containers if joined in (other.id, other.name)]
    return found[0] if found else joined
