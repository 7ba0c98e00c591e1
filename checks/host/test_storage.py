"""Where containers' files lie, and what memory is written to."""

from __future__ import annotations

from testinfra.host import Host

from hullcheck.control import Manual, NotApplicable, Unknown, control, expect
from hullcheck.facts.containerd import KUBELETS
from hullcheck.facts.data_roots import DataRoot
from hullcheck.facts.exports import Export, Exports
from hullcheck.facts.files import Files
from hullcheck.facts.mounts import MountTable, covering, place_of, within
from hullcheck.facts.processes import Processes
from hullcheck.facts.registry import get
from hullcheck.facts.role import KUBERNETES_NODE, Role
from hullcheck.facts.swaps import Disks, Swap
from hullcheck.inventory.policy import Policy

OWN = "a file system of its own"
SYSTEM = ("/", "/etc")
"""Where the host's own files are; / may be an image that nothing can fill."""

SLOW = frozenset({
    "vfs", "native", "aufs", "devicemapper", "devicemapper on a loop device", "devmapper on a loop"
})  # fmt: skip
KEPT = ("encrypted", "in memory")
KUBELET = KUBELETS - {"crictl"}


@control(
    title="Containers' files are on a file system of their own",
    severity="medium",
    fix="Create a file system for the engine's data root and mount it there; a bind mount of a "
    "folder on the root file system does not help.",
)
def test_data_root_partition(data_root: DataRoot, mounts: MountTable) -> None:
    """Images, logs and what containers write fill the disk they are on. If that is the host's
    root file system, one container stops the host."""
    below = covering(mounts, data_root.there.resolved)
    system = [covering(mounts, path) for path in SYSTEM]
    if below is None or system[0] is None:
        raise Unknown("the root file system is not among the mounts")
    shared = below.device in {each.device for each in system if each}
    # Docker with layers of its own leaves containerd's directory empty.
    if shared and data_root.lent and not data_root.drivers:
        raise NotApplicable(f"{data_root} holds no images and no containers")
    where = "the root file system" if shared else OWN
    expect(where, equals=OWN, what=f"the place of {data_root}")


@control(
    title="Containers' file systems have room left",
    severity="low",
    fix="Remove what is not used (docker system prune, podman system prune, crictl rmi --prune), "
    "limit logs, or enlarge the file system; minimum_free_space of the policy is the limit.",
)
def test_data_root_space(data_root: DataRoot, policy: Policy) -> None:
    """When the file system is full, containers cannot write and logs and audit records are lost;
    a kubelet evicts pods before that, at 85 percent by default it begins to delete images. A
    file system can also run out of inodes with half of its bytes free."""
    room = data_root.room
    most = 100 - policy.minimum_free_space
    expect(round(room.space), at_most=most, what=f"percent of the space of {data_root} in use")
    if room.inodes is not None:
        expect(round(room.inodes), at_most=most, what="percent of its inodes in use")


@control(
    title="Nobody but its owner can change what lies in a data root",
    severity="high",
    fix="chown root:root and chmod go-w the data root and every directory above it (a rootless "
    "engine's belong to its user), and remove ACL entries that let others write.",
)
def test_data_root_owner(data_root: DataRoot) -> None:
    """Who can write the data root, or a directory on the way to it, can put another in its place,
    with images, volumes and configurations of containers of their own choice: the engine then
    runs them as root."""
    found = data_root.there.writable_by_others({0, data_root.uid})
    expect(found, equals=[], what=f"who else can change {data_root}")


@control(
    title="Layers of images are kept by a driver that is made for it",
    severity="low",
    fix='Use overlay2 (Docker: "storage-driver" in daemon.json, Podman: driver in storage.conf, '
    "containerd: the overlayfs snapshotter); images and containers must be made anew.",
)
def test_storage_driver(data_root: DataRoot) -> None:
    """vfs and native copy a whole image for each container, so that a few of them fill the disk,
    and know no limits. devicemapper on loop devices and aufs lose data under load and have been
    given up by engines and kernels: no one repairs their faults."""
    drivers = data_root.drivers
    if not drivers:
        raise NotApplicable(f"{data_root} holds no layers")
    expect(
        drivers & SLOW, equals=set(), what=f"unfit drivers that layers in {data_root} are kept by"
    )


@control(
    title="No other machine is given the directory or the disk of containers' files",
    severity="high",
    fix="Remove it from /etc/exports and /etc/exports.d and run exportfs -ra, or export another "
    "file system, with root_squash; remove the disk from the targets with targetcli or nvmetcli.",
)
def test_data_root_exports(
    data_root: DataRoot, exports: Exports, mounts: MountTable, disks: Disks, host: Host
) -> None:
    """A client of an NFS export writes files past every control of the engine, as root with
    no_root_squash: it changes images and volumes at will. By its file handles it reaches all of
    the file system, not the exported directory alone. The same is true of a disk that is offered
    as a target."""
    root = data_root.there.resolved
    place, mount = place_of(mounts, root), covering(mounts, root)
    if place is None or mount is None:
        raise Unknown(f"where {data_root} is mounted from cannot be told")
    files: Files = get(host, "files")
    offered = (*exports.directories, *exports.disks)
    ways = dict(zip(offered, files.all(each.path for each in offered), strict=True))

    def reaches(each: Export) -> bool:
        path = ways[each].resolved if ways[each].state == "present" else each.path
        other, below = place_of(mounts, path), covering(mounts, path)
        named = within(path, root) or within(root, path)
        same = other is not None and other.device == place.device
        bound = other is not None and same and (
            within(other.path, place.path) or within(place.path, other.path)
        )  # fmt: skip
        return named or bound or (each.whole and below is not None and same)

    found = [str(each) for each in exports.directories if reaches(each)]
    device = disks.numbers.get(mount.device) or disks.device(mount.source)
    parts = disks.under(device)
    for each in exports.disks:
        path = ways[each].resolved if ways[each].state == "present" else each.path
        if disks.device(path) in parts or within(path, root):
            found.append(str(each))
    expect(sorted(set(found)), equals=[], what=f"what reaches {data_root} from other machines")
    if exports.doubt:
        raise Unknown(f"cannot tell all that is exported: {exports.doubt}")


@control(
    title="Memory is not written to disk in the clear",
    severity="low",
    level=2,
    fix="swapoff -a and remove swap from /etc/fstab, use zram, or set the swap device up in "
    "/etc/crypttab with a random key (swap /dev/DISK /dev/urandom swap).",
)
def test_swap_encrypted(swaps: list[Swap], role: Role) -> None:
    """Memory holds keys, passwords and the secrets that engines give to containers as files in
    memory, so that they never reach a disk. Swap puts them there, readable for whoever gets the
    disk or its backup, for years."""
    clear = [each.path for each in swaps if each.where not in KEPT]
    if clear and KUBERNETES_NODE in role:
        raise NotApplicable("of a Kubernetes node another control asks for more")
    expect(clear, equals=[], what="swap in the clear")


@control(
    title="A Kubernetes node does not swap, or does so on purpose and encrypted",
    severity="medium",
    fix="swapoff -a and remove swap from /etc/fstab; if the node is to swap, set failSwapOn: false "
    "and memorySwap in the kubelet's configuration, and encrypt it in /etc/crypttab.",
)
def test_node_swap(swaps: list[Swap], processes: Processes, role: Role) -> None:
    """A kubelet counts on memory limits, which swap makes void, and keeps secrets in memory alone.
    It refuses to start where swap is on, unless it has been told that this is meant: then what
    is written to disk has to be encrypted."""
    if KUBERNETES_NODE not in role:
        raise NotApplicable("this is no Kubernetes node")
    running = any(each.name in KUBELET for each in processes)
    found = [
        f"{each} ({each.where})" for each in swaps if not running or each.where not in KEPT
    ]  # fmt: skip
    expect(found, equals=[], what="swap")


@control(
    title="Users see no processes but their own, where the site wants it so",
    severity="low",
    level=2,
    fix="Mount /proc with hidepid=invisible,gid=GROUP in /etc/fstab, and give that group to "
    "systemd-logind, polkit and what monitors the host; set hidden_processes in the policy.",
)
def test_hidden_processes(mounts: MountTable, policy: Policy) -> None:
    """Command lines show what runs, and passwords of careless programs. hidepid hides them from
    other users, but systemd's authors do not support it: without a group of their own, login
    sessions and polkit break, and an audit without root goes blind. So only a site's own wish
    makes it a rule. Every other mount of proc undoes it."""
    found = {
        each.target: next((o for o in each.super_options if o.startswith("hidepid=")), "")
        for each in mounts.by_target.values() if each.fstype == "proc" and each.root == "/"
    }  # fmt: skip
    shown = [target for target, option in found.items() if option[8:] in ("", "0", "off")]
    if policy.hidden_processes is None:
        if found.get("/proc"):
            raise Manual(f"whether logins and monitoring work with /proc's {found['/proc']}", found)
        raise NotApplicable("the site has not said whether it wants it (hidden_processes)")
    if policy.hidden_processes:
        expect(shown, equals=[], what="mounts of proc that show all processes")
    else:
        expect(sorted({*found} - {*shown}), equals=[], what="mounts of proc that hide processes")
