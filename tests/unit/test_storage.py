"""Data roots: where they lie, who can reach them, and what memory is written to."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from hullcheck.control import Unknown
from hullcheck.facts.data_roots import END, FIXED, HELD, DataRoot, DataRoots, data_root, parse_room
from hullcheck.facts.exports import CLOSED, FILES, Exports, exports, parse_exports
from hullcheck.facts.registry import Unseen
from hullcheck.facts.swaps import BELOW, TEXTS
from hullcheck.inventory.policy import Policy
from hullcheck.transport import Answer, Evidence, session_of, want
from hullcheck.verdict import Object
from tests.unit.fake import host_with
from tests.unit.kernels import MOUNTS, host, verdict

ROOT = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
OWN = "40 22 8:2 / /var/lib/docker rw - xfs /dev/sda2 rw\n"


def answer(out: str, err: str = "", code: int = 0) -> Answer:
    asked = want("x", meaning=(0, 1, 2))
    return Answer(asked, Evidence("x", code, out.encode(), err.encode()))


def told(here: Any, **facts: Any) -> None:
    """Let a host have these facts, as if the list of mounts had told them."""
    session = session_of(here)
    for name, value in facts.items():

        def consulted(value: Any = value) -> Any:
            session.ask(want(MOUNTS))
            return value

        session.recall(("provider", name), consulted)


class Files:
    """Files that are where they are; :param links: of some, where they lead."""

    def __init__(self, *absent: str, links: dict[str, str] | None = None) -> None:
        self.absent, self.links = absent, links or {}

    def get(self, path: str) -> Any:
        there = path not in self.absent
        return SimpleNamespace(
            path=path, exists=there, state="present" if there else "absent",
            resolved=self.links.get(path, path), writable_by_others=lambda trusted: [],
        )  # fmt: skip

    def all(self, paths: Any) -> list[Any]:
        return [self.get(each) for each in paths]

    def foresee(self, paths: Any) -> None:
        pass


def root(here: Any, path: str = "/var/lib/docker", **values: Any) -> DataRoot:
    return DataRoot(here, "docker /run/docker.sock", path, **{"driver": "overlay2", **values})


class TestPartition:
    def status(self, mounts: str, path: str = "/var/lib/docker", **values: Any) -> str:
        here = host(mounts=ROOT + mounts)
        found = [root(here, path, **values)]
        files = Files("/elsewhere")
        return verdict("host.data-root-partition", here, data_root=found, files=files).status

    @pytest.mark.parametrize(
        ("mounts", "expected"),
        [
            ("", "fail"),
            ("40 22 8:1 /var/lib/docker /var/lib/docker rw - ext4 /dev/sda1 rw\n", "fail"),
            (OWN, "pass"),
            ("40 22 8:2 / /var/lib rw - xfs /dev/sda2 rw\n", "pass"),
            ("40 22 8:3 /docker /var/lib/docker rw - xfs /dev/sdb1 rw\n", "pass"),
            # Fedora CoreOS: / is a composefs, and the root disk is on /etc and /var.
            (
                "23 1 0:40 / / ro - overlay composefs ro\n"
                "24 23 252:4 /etc /etc rw - xfs /dev/vda4 rw\n"
                "25 23 252:4 /var /var rw - xfs /dev/vda4 rw\n",
                "fail",
            ),
            # Bottlerocket: / is an image that nothing fills, /var its data disk.
            (
                "23 1 252:0 / / ro - erofs /dev/dm-0 ro\n24 23 0:30 / /etc rw - tmpfs tmpfs rw\n"
                "25 23 259:9 /var /var rw - xfs /dev/nvme1n1p1 rw\n",
                "pass",
            ),
        ],
    )
    def test_own_file_system(self, mounts: str, expected: str) -> None:
        """dockerd binds its data root onto itself; docker-bench's mountpoint(1) says PASS, and it
        fails a data root inside a dedicated /var/lib (#555, #332)."""
        assert self.status(mounts) == expected

    def test_a_data_root_out_of_sight(self) -> None:
        assert self.status("", "/elsewhere") == "unknown"

    @pytest.mark.parametrize(
        ("listing", "error", "expected"),
        [
            ("", "", "not-applicable"),
            ("/c/io.containerd.content.v1.content\n", "", "not-applicable"),
            ("/c/io.containerd.snapshotter.v1.overlayfs/snapshots\n", "", "fail"),
            ("", "find: '/c/x': Permission denied\n", "unknown"),
        ],
    )
    def test_containerd_below_docker(self, listing: str, error: str, expected: str) -> None:
        """Docker 29 keeps images in containerd's own folder; Docker 20 leaves it empty."""
        command = root(None, "/c").needs.command
        here = host_with({MOUNTS: ROOT, command: (0, f"{listing}{END}\n", error)})
        found = [root(here, "/c", driver="", lent=True)]
        said = verdict("host.data-root-partition", here, data_root=found, files=Files())
        assert said.status == expected


@pytest.mark.parametrize(
    ("text", "used", "inodes"),
    [
        ("1000 400 300 500 250 /d\n", 600 / 9, 50),
        ("1000 400 400 0 0 /d\n", 60, None),  # Btrfs
        ("1000 400 300 500 250 /other\n", 0, 0),
        ("garbage\n", 0, 0),
        ("", 0, 0),
        ("0 0 0 0 0 /d\n", 0, 0),
        ("10 20 5 1 1 /d\n", 0, 0),
    ],
)
def test_room(text: str, used: float, inodes: float | None) -> None:
    if not used:
        with pytest.raises(Unknown):
            parse_room(answer(text), "/d")
        return
    room = parse_room(answer(text), "/d")
    assert (round(room.space, 6), room.inodes) == (round(used, 6), inodes)


@pytest.mark.parametrize(
    ("numbers", "free", "expected"),
    [
        ("100 50 50 100 50", 15, "pass"), ("100 10 10 100 50", 15, "fail"),
        ("100 50 50 100 5", 15, "fail"), ("100 10 10 100 50", 5, "pass"),
        ("100 50 50 0 0", 15, "pass"),
    ],
)  # fmt: skip
def test_space(numbers: str, free: int, expected: str) -> None:
    command = "stat -f -c '%b %f %a %c %d %n' -- /var/lib/docker"
    here = host_with({MOUNTS: ROOT, command: f"{numbers} /var/lib/docker\n"})
    policy = Policy(minimum_free_space=free)
    found = verdict("host.data-root-space", here, policy=policy, data_root=[root(here)],
                    files=Files())  # fmt: skip
    assert found.status == expected, found.reason


@pytest.mark.parametrize(
    ("driver", "expected"),
    [("overlay2", "pass"), ("btrfs", "pass"), ("vfs", "fail"), ("aufs", "fail"),
     ("devicemapper on a loop device", "fail")],
)  # fmt: skip
def test_driver_of_docker(driver: str, expected: str) -> None:
    here = host()
    told(here, data_root=[root(here, driver=driver)])
    assert verdict("host.storage-driver", here).status == expected


@pytest.mark.parametrize(
    ("listing", "expected"),
    [
        ("/g/overlay-containers/containers.json\n/g/overlay-images/images.json\n", "pass"),
        ("/g/overlay\n/g/vfs-images/images.json\n", "fail"),
        ("/g/io.containerd.snapshotter.v1.native/snapshots\n", "fail"),
        ("/g/libpod\n", "not-applicable"),
        ("/g/overlay-images/images.json", "unknown"),
        ("rubbish\n", "unknown"),
        (None, "unknown"),
    ],
)
def test_driver_of_a_store(listing: str | None, expected: str) -> None:
    text = "" if listing is None else f"{listing}{END}\n"
    here = host_with({root(None, "/g").needs.command: text})
    found = [root(here, "/g", driver="")]
    assert verdict("host.storage-driver", here, data_root=found).status == expected


class TestRoots:
    ENGINES = ("docker", "containerd", "crio", "podman_stores")

    def roots(self, stat: Any, **given: Any) -> list[Any]:
        here = host_with({HELD.command: stat})
        for name in self.ENGINES:
            value = given.get(name, [])
            session_of(here).recall(("provider", name), lambda value=value: value)
        return list(data_root(here))

    def test_what_lies_inside_another_is_part_of_it(self) -> None:
        daemon = SimpleNamespace(directories=("/var/lib/rancher/k3s/agent/containerd", "/run/k"),
                                 process=SimpleNamespace(uids=(0, 0, 0, 0)))  # fmt: skip
        found = self.roots("directory:5:/var/lib/rancher\n", containerd=[daemon])
        assert [each.path for each in found] == ["/var/lib/rancher"]

    def test_fixed_places(self) -> None:
        """An empty one, as packages make it, holds nothing."""
        out = "directory:2:/var/lib/lxc\ndirectory:9:/var/lib/kubelet\n"
        missing = "stat: cannot statx '/var/lib/k0s': No such file or directory\n"
        found = self.roots((1, out, missing))
        assert [each.owner for each in found] == ["kubelet"]
        denied = "stat: cannot statx '/var/snap/microk8s/common': Permission denied\n"
        assert isinstance(self.roots((1, out, denied))[-1], Unseen)
        assert isinstance(self.roots((0, "rubbish\n"))[-1], Unseen)

    def test_stores(self) -> None:
        stores = [
            SimpleNamespace(owner="bob", exists=True, graphroot="/home/bob/s", uid=1000, doubt=""),
            SimpleNamespace(owner="eve", exists=False, graphroot="/home/eve/s", uid=1001, doubt=""),
            SimpleNamespace(owner="joe", exists=False, graphroot="/home/joe/s", uid=1002,
                            doubt="denied"),
        ]  # fmt: skip
        found = self.roots((1, "", ""), podman_stores=stores)
        assert [str(each.object.name) for each in found] == ["/home/bob/s", "/home/joe/s"]
        assert found[0].uid == 1000
        assert len(FIXED) > 3


EXPORTS = r"""# comment
/srv/data  10.0.0.0/8(rw,sync,no_root_squash) *.example.com(ro) # tail
"/srv/with space" -sync,subtree_check host1 \
    host2(rw)
/srv/oct\040al
"""


def test_exports_of_a_file() -> None:
    found = list(parse_exports(EXPORTS, "/etc/exports"))
    assert [(each.path, each.clients) for each in found] == [
        ("/srv/data", "10.0.0.0/8"), ("/srv/data", "*.example.com"),
        ("/srv/with space", "host1"), ("/srv/with space", "host2"), ("/srv/oct al", "everybody"),
    ]  # fmt: skip
    assert [each.whole for each in found] == [True, False, False, False, False]
    assert "subtree_check" in found[3].options
    with pytest.raises(Unknown):
        list(parse_exports("relative host(rw)\n", "x"))
    with pytest.raises(Unknown):
        list(parse_exports("/x host((rw)\n", "x"))


SIGNED = "/proc/sys/kernel/ostype:Linux\n"
TAB = "/var/lib/nfs/etab:"
SQUASHED = "rw,sync,wdelay,hide,nocrossmnt,secure,root_squash,no_all_squash,no_subtree_check"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("", "pass"),
        (f"{TAB}/srv\t*({SQUASHED})\n", "pass"),
        (f"{TAB}/var/lib\t*({SQUASHED})\n", "fail"),
        ("/etc/exports:/var/lib/docker/volumes/a/_data 10.0.0.2(ro)\n", "fail"),
        ("/etc/exports.d/a.exports:/ *(ro)\n", "fail"),
        ("/etc/exports:/link *(rw)\n", "fail"),
        ("/etc/exports:/bound *(rw)\n", "fail"),
        ("/etc/exports:/mnt/same 10.0.0.0/8(rw,no_root_squash)\n", "fail"),
        ("/etc/exports:/mnt/same 10.0.0.0/8(rw,no_root_squash,subtree_check)\n", "pass"),
        ("/etc/exports:/srv 10.0.0.0/8(rw,no_root_squash)\n", "pass"),
        ("/etc/exports:rubbish\n", "unknown"),
        ("/sys/kernel/config/target/core/iblock_0/d/udev_path:/dev/vg/data\n", "fail"),
        ("/sys/kernel/config/target/core/iblock_0/d/udev_path:/dev/sda\n", "fail"),
        ("/sys/kernel/config/target/core/iblock_0/d/udev_path:/dev/sdc\n", "pass"),
        ("/sys/kernel/config/target/core/fileio_0/d/udev_path:/var/lib/docker/x.img\n", "fail"),
        ("/sys/kernel/config/nvmet/subsystems/a/namespaces/1/device_path:/dev/dm-1\n", "fail"),
    ],
)
def test_what_other_machines_reach(lines: str, expected: str) -> None:
    table = ROOT + (
        "40 22 253:1 /docker /var/lib/docker rw - xfs /dev/mapper/vg-data rw\n"
        "41 22 253:1 /docker/volumes /bound rw - xfs /dev/mapper/vg-data rw\n"
        "42 22 253:1 /other /mnt/same rw - xfs /dev/mapper/vg-data rw\n"
    )
    here = host_with({
        MOUNTS: table, FILES.command: (2, SIGNED + lines), CLOSED.command: "",
        TEXTS.command: (2, DISKS), BELOW.command: "/sys/block/dm-1/slaves/sda2\n",
    })  # fmt: skip
    files = Files(links={"/link": "/var/lib/docker", "/dev/vg/data": "/dev/dm-1"})
    said = verdict("host.data-root-exports", here, data_root=[root(here)], files=files)
    assert said.status == expected, said.reason


def test_exports_that_cannot_be_seen() -> None:
    for files, closed in (((2, SIGNED, "grep: /etc/exports: Permission denied\n"), ""),
                          ((2, SIGNED), "/etc/exports.d\n")):  # fmt: skip
        here = host_with({FILES.command: files, CLOSED.command: closed})
        assert exports(here).doubt
    for mute in ((1, ""), (0, ""), (1, "", "it: Permission denied\n")):
        with pytest.raises(Unknown):
            exports(host_with({FILES.command: mute, CLOSED.command: ""}))


DISKS = """\
/sys/block/dm-0/dm/uuid:CRYPT-PLAIN-swap
/sys/block/dm-0/dm/name:swap
/sys/block/dm-0/dev:253:0
/sys/block/dm-1/dm/uuid:LVM-abc
/sys/block/dm-1/dm/name:vg-data
/sys/block/dm-1/dev:253:1
/sys/block/dm-2/dm/uuid:LVM-def
/sys/block/dm-2/dm/name:vg-swap
/sys/block/dm-2/dev:253:2
/sys/block/sda/dev:8:0
/sys/block/sda/sda1/dev:8:1
/sys/block/sda/sda2/dev:8:2
/sys/block/zram0/backing_dev:none
/sys/block/zram1/backing_dev:/dev/sda2
"""


@pytest.mark.parametrize(
    ("options", "wanted", "expected"),
    [
        ("rw", None, "not-applicable"), ("rw,hidepid=2", None, "manual"),
        ("rw", True, "fail"), ("rw,hidepid=2,gid=4", True, "pass"),
        ("rw,hidepid=invisible", True, "pass"), ("rw,hidepid=0", True, "fail"),
        ("rw", False, "pass"), ("rw,hidepid=1", False, "fail"),
    ],
)  # fmt: skip
def test_hidden_processes(options: str, wanted: bool | None, expected: str) -> None:
    here = host(mounts=f"{ROOT}30 22 0:4 / /proc rw,nosuid - proc proc {options}\n")
    policy = Policy(hidden_processes=wanted)
    assert verdict("host.hidden-processes", here, policy=policy).status == expected


def test_a_second_proc_undoes_it() -> None:
    both = "30 22 0:4 / /proc rw - proc proc rw,hidepid=2\n31 22 0:5 / /srv/p rw - proc proc rw\n"
    said = verdict("host.hidden-processes", host(mounts=ROOT + both),
                   policy=Policy(hidden_processes=True))  # fmt: skip
    assert (said.status, "/srv/p" in said.reason) == ("fail", True)


def test_data_roots_that_cannot_be_seen() -> None:
    unseen = Unseen(Object("data root", "(of any docker)"), "needs root")
    for control in ("partition", "space", "owner", "exports"):
        here = host(mounts=ROOT)
        told(here, data_root=[unseen], files=Files(), exports=Exports((), ()), disks=None)
        assert verdict(f"host.data-root-{control}", here).status == "unknown"
    assert DataRoots((), "x").paths() == []
