"""What memory is written to, and whether in the clear."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from hullcheck.control import Unknown
from hullcheck.facts.role import Role
from hullcheck.facts.swaps import BELOW, TEXTS, Swap, parse_swaps, swaps
from hullcheck.inventory.roles import KUBERNETES_NODE, ROOTFUL
from tests.unit.fake import host_with
from tests.unit.kernels import MOUNTS, host, verdict
from tests.unit.test_storage import DISKS, ROOT, told

HEADING = "/proc/swaps:Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("", "pass"),
        ("/dev/sda2 partition 1 0 -2", "fail"),
        ("/dev/dm-0                               partition\t8388604\t\t0\t\t-2", "pass"),
        ("/dev/zram0 partition 8388604 0 100", "pass"),
        ("/dev/zram1 partition 8388604 0 100", "fail"),
        ("/dev/dm-2 partition 8388604 0 100", "pass"),
        ("/dev/dm-1 partition 8388604 0 100", "fail"),
        ("/swapfile file 2097148 0 -2", "fail"),
        ("/crypt/swap\\040file file 2097148 0 -2", "pass"),
        ("rubbish", "unknown"),
    ],
)
def test_swap(lines: str, expected: str) -> None:
    text = HEADING + "".join(f"/proc/swaps:{each}\n" for each in [lines] if each) + DISKS
    below = "/sys/block/dm-2/slaves/dm-0\n/sys/block/dm-1/slaves/sda2\n"
    table = ROOT + "41 22 0:44 / /crypt rw - btrfs /dev/mapper/swap rw\n"
    here = host_with({TEXTS.command: (2, text), BELOW.command: below, MOUNTS: table})
    role = Role(frozenset({ROOTFUL}), "test")
    assert verdict("host.swap-encrypted", here, role=role).status == expected


def test_swap_of_a_kernel_without_and_of_a_mute_one() -> None:
    gone = "grep: /proc/swaps: No such file or directory\n"
    for err, unknown in ((gone, False), ("grep: /proc/swaps: Permission denied\n", True),
                         ("", True)):  # fmt: skip
        here = host_with({TEXTS.command: (2, "", err), BELOW.command: "", MOUNTS: ROOT})
        if unknown:
            with pytest.raises(Unknown):
                swaps(here)
        else:
            assert swaps(here) == []
    with pytest.raises(Unknown):
        parse_swaps("no heading")


@pytest.mark.parametrize(
    ("where", "kubelet", "expected"),
    [
        ([], True, "pass"), ([], False, "pass"), (["encrypted"], True, "pass"),
        (["encrypted"], False, "fail"), (["in the clear"], True, "fail"),
    ],
)  # fmt: skip
def test_swap_of_a_node(where: list[str], kubelet: bool, expected: str) -> None:
    node, other = Role(frozenset({KUBERNETES_NODE}), "test"), Role(frozenset(), "test")
    processes = [SimpleNamespace(name="kubelet")] if kubelet else []
    for role, right in ((node, expected), (other, "not-applicable")):
        here = host()
        told(here, swaps=[Swap("/dev/x", each) for each in where], role=role)
        assert verdict("host.node-swap", here, processes=processes).status == right
