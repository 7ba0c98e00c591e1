"""What of the host containers see and may write."""

from collections.abc import Iterator

from hullcheck.control import control, expect
from hullcheck.facts.containers import Container
from hullcheck.facts.exposures import Exposure
from hullcheck.facts.host_trees import PUBLIC, TREES, WHOLES, private
from hullcheck.facts.mounts import MountTable, covering, place_of, within
from hullcheck.facts.runtime_sockets import RuntimeSockets
from hullcheck.inventory.policy import Policy

from .wording import expect_unprivileged

NODES = (
    "b *:* m", "c *:* m", "c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm",
    "c 5:0 rwm", "c 5:1 rwm", "c 5:2 rwm", "c 10:200 rwm", "c 136:* rwm",
)  # fmt: skip
"""Device files that every container may use (runc, specconv/devices): null, zero, tty …"""


@control(
    title="No sensitive directory of the host is mounted into a container",
    severity="high",
    fix="Mount the one file or data directory it needs, read-only; list it in host_paths.",
)
def test_host_paths(container: Container, policy: Policy, mounts: MountTable) -> None:
    """With the host's configuration, programs, devices or kernel files, or a directory that
    contains them, a container reads the host's secrets or, if writable, takes it over. What is
    behind a mount is decided by file system and directory, not by its name: a symlink, another
    bind, a volume made of a directory or a parent of it are all the same place."""
    docker = container.docker
    roots = container.keeper.roots if docker is None else (docker.root_dir,)
    found = [
        each
        for each in container.exposures
        if any(_sensitive(each, roots, mounts)) and not _allowed(each, policy)
    ]
    shown = [str(each) for each in _topmost(found)]
    expect(shown, equals=[], what="sensitive places of the host")


def _topmost(found: list[Exposure]) -> list[Exposure]:
    """Leave out what is seen below another mount that was found, as the host's own mounts are."""
    targets = [each.target for each in found]
    return [
        each
        for each in found
        if not any(within(each.target, other) for other in targets if other != each.target)
    ]


def _sensitive(exposure: Exposure, roots: tuple[str, ...], host: MountTable) -> Iterator[bool]:
    names = exposure.names or ((exposure.source,) if exposure.source else ())
    public = any(within(name, each) for name in names for each in PUBLIC)
    if public and not exposure.writable:
        return
    for name in names:
        yield any(within(name, tree) or within(tree, name) for tree in (*TREES, *roots))
        yield any(within(whole, name) for whole in WHOLES)
        yield within(name, "/home") and private(name)
    # Mounted over on the host, it may have no name there: then its place tells.
    yield any(exposure.shows(place_of(host, path)) for path in (*TREES, *WHOLES, *roots))


def _allowed(exposure: Exposure, policy: Policy) -> bool:
    return bool(exposure.names) and any(
        within(name, path.rstrip("/") or "/") for name in exposure.names
        for path in policy.host_paths
    )  # fmt: skip


@control(
    title="No container can reach the socket of a container engine",
    severity="critical",
    fix="Do not mount the socket or a directory that holds it; use a proxy that filters requests.",
)
def test_engine_socket(container: Container, runtime_sockets: RuntimeSockets) -> None:
    """Who can speak to an engine is root on the host: it starts a container with everything.
    Any engine's socket counts, under any name, in any directory that is mounted, and one that
    is mounted read-only just the same."""
    found = {
        str(exposure): list(runtime_sockets.reached_through(exposure))
        for exposure in container.exposures
    }
    ways = [f"{exposure} leads to {', '.join(paths)}" for exposure, paths in found.items() if paths]
    expect(ways, equals=[], what="ways to an engine")


@control(
    title="Containers cannot change their own root file system",
    severity="medium",
    fix="Start it with --read-only, and --tmpfs or a volume where it must write.",
)
def test_read_only_root(container: Container) -> None:
    """Malware has to be put somewhere. On a read-only root it cannot replace a program, and a
    container that was broken into is as it was after its next start."""
    if container.described:
        asked = "read-only" if container.asked("ReadonlyRootfs") else "writable"
        expect(asked, equals="read-only", what="the root asked for")
    if container.running:
        mount = covering(container.mounts, "/")
        observed = "read-only" if mount is not None and mount.read_only else "writable"
        expect(observed, equals="read-only", what="its root")


@control(
    title="Mounts made in a container do not appear on the host",
    severity="high",
    fix="Mount it with the propagation rprivate (the default) or rslave.",
)
def test_mount_propagation(container: Container, mounts: MountTable) -> None:
    """Through a shared mount, what a container mounts in a directory appears on the host at the
    same place, where its programs trust it."""
    shared = [bind.target for bind in container.binds if bind.propagation in ("shared", "rshared")]
    expect(shared, equals=[], what="shared mounts asked for")
    if container.running:
        peers = {mount.shared for mount in mounts} - {None}
        found = [mount.target for mount in container.mounts if mount.shared in peers]
        expect(found, equals=[], what="mounts shared with the host")


@control(
    title="Containers have no devices of the host",
    severity="medium",
    fix="Start it without --device and --gpus, or list the device in the policy's devices.",
)
def test_devices(container: Container, policy: Policy) -> None:
    """A disk's device file is all files on it, and a driver's is a way into the kernel."""
    asked = [str(each.get("PathOnHost")) for each in container.asked("Devices", [])]
    expect(asked, within=policy.devices, what="devices asked for")
    rules = [str(rule) for rule in container.asked("DeviceCgroupRules", [])]
    expect(rules, equals=[], what="device rules asked for")
    requests = [str(each.get("Driver") or "gpu") for each in container.asked("DeviceRequests", [])]
    expect(requests, within=policy.devices, what="device drivers asked for")
    expect_unprivileged(container, "all devices")
    if container.running and not policy.devices and container.limits.devices is not None:
        more = [line for line in container.limits.devices if line not in NODES]
        expect(more, equals=[], what="devices its cgroup allows beyond the usual")
