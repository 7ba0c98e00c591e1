"""The parser of mountinfo, and finding a place under its names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hullcheck.control import Unknown
from hullcheck.facts.mounts import Place, covering, names_of, parse_mountinfo, place_of

HOST = """\
20 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
21 20 0:25 / /run rw,nosuid shared:5 - tmpfs tmpfs rw,size=1k
22 20 8:1 /srv/data /mnt/with\\040space ro - ext4 /dev/sda1 rw
23 20 0:25 /docker.sock /srv/renamed rw master:5 - tmpfs tmpfs rw
"""


def test_a_line_is_taken_apart():
    mount = parse_mountinfo(HOST)[2]
    assert (mount.id, mount.parent, mount.device, mount.fstype) == (22, 20, "8:1", "ext4")
    assert (mount.root, mount.target) == ("/srv/data", "/mnt/with space")
    assert mount.read_only
    assert mount.shared is None
    assert parse_mountinfo(HOST)[0].shared == 1


def test_a_place_is_the_same_under_every_name():
    mounts = parse_mountinfo(HOST)
    socket = place_of(mounts, "/run/docker.sock")
    assert socket == Place("0:25", "/docker.sock")
    assert list(names_of(mounts, socket)) == ["/run/docker.sock", "/srv/renamed"]


def test_the_last_mount_on_a_path_covers_it():
    mounts = parse_mountinfo(HOST + "24 20 0:30 / /run ro - tmpfs over rw\n")
    found = covering(mounts, "/run/docker.sock")
    assert found is not None
    assert found.id == 24
    sibling = covering(mounts, "/running")
    assert sibling is not None
    assert sibling.target == "/"


@pytest.mark.parametrize(
    "text", ["", "garbage", "20 1 8:1 / / rw -", "20 1 8 / / rw - ext4 x rw", "x" * 100]
)
def test_a_damaged_list_is_unknown(text):
    with pytest.raises(Unknown):
        parse_mountinfo(text)


@given(st.text())
def test_any_text_is_mounts_or_unknown(text):
    try:
        found = parse_mountinfo(text)
    except Unknown:
        return
    assert found


@given(st.integers(min_value=0, max_value=len(HOST) - 1))
def test_a_cut_list_never_grows_a_read_only_mount(length):
    try:
        found = parse_mountinfo(HOST[:length])
    except Unknown:
        return
    whole = parse_mountinfo(HOST)
    assert [mount.target for mount in found] == [mount.target for mount in whole[: len(found)]]
