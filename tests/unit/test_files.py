"""Files as a host's own stat, readlink, getfacl and find tell of them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from testinfra.host import Host

from hullcheck import facts
from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.accounts import Accounts
from hullcheck.facts.acl import parse_acl
from hullcheck.facts.files import Files
from hullcheck.facts.way import FORMAT, parse_status
from hullcheck.transport import CannotAnswer, session_of
from tests.unit.fake import host_with
from tests.unit.here import host_here

ME = os.getuid()
SHELLS = [("/bin/sh",), ("busybox", "sh")]


@pytest.fixture(params=SHELLS, ids=["coreutils", "busybox"])
def here(request: pytest.FixtureRequest) -> Host:
    if not shutil.which(request.param[0]):
        pytest.skip(f"{request.param[0]} is not installed")
    return host_here(*request.param)


@pytest.fixture
def files(here: Host) -> Files:
    found: Files = facts.get(here, "files")
    return found


def made(path: Path, mode: int = 0o644, text: str = "text") -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_file_is_what_the_kernel_says(files: Files, tmp_path: Path) -> None:
    path = made(tmp_path / "with space and 'quote'\n-c", 0o4751)
    status = path.stat()
    file = files.get(str(path))
    assert (file.kind, file.mode, file.uid, file.gid) == ("file", 0o4751, ME, status.st_gid)
    assert (file.size, file.mtime, file.user) == (4, int(status.st_mtime), path.owner())
    assert file.present.inode == status.st_ino
    assert file.present.device == status.st_dev
    assert (file.data, file.text, file.links) == (b"text", "text", ())
    assert [each.path for each in file.ancestors] == [str(each) for each in [*path.parents][::-1]]


def test_every_kind_has_a_name(files: Files, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        os.chdir(tmp_path)
        listener.bind("socket")
    names = ["fifo", "socket"]
    kinds = [each.kind for each in files.all(str(tmp_path / name) for name in names)]
    assert kinds == names
    assert [each.kind for each in files.get("/dev/null", "/")] == ["character device", "directory"]


def test_absent_dangling_looping_and_below_a_file_are_told_apart(
    files: Files, tmp_path: Path
) -> None:
    made(tmp_path / "file")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    names = ("nothing", "dangling", "loop", "file/below")
    nothing, dangling, loop, below = files.all(str(tmp_path / name) for name in names)
    assert not any(each.exists for each in (nothing, dangling, loop, below))
    assert [each.dangling for each in (nothing, dangling, loop, below)] == [
        False,
        True,
        True,
        False,
    ]
    assert dangling.reason.endswith("/dangling leads to nowhere)")
    assert "loop of symbolic links" in loop.reason
    assert nothing.reason == f"no such file: {tmp_path}/nothing"
    with pytest.raises(NotApplicable, match="no such file"):
        _ = nothing.mode


def test_links_are_followed_as_the_kernel_does(files: Files, tmp_path: Path) -> None:
    (tmp_path / "real" / "deep").mkdir(parents=True)
    made(tmp_path / "real" / "file", 0o600)
    (tmp_path / "way").symlink_to("real/deep")
    (tmp_path / "file").symlink_to(tmp_path / "way" / ".." / "file")
    file = files.get(f"{tmp_path}/file")
    assert (file.resolved, file.mode) == (f"{tmp_path}/real/file", 0o600)
    assert [link.path for link in file.links] == [f"{tmp_path}/file", f"{tmp_path}/way"]
    assert f"{tmp_path}/real/deep" in [each.path for each in file.ancestors]
    # "way/.." is the parent of where the link leads, not of the link.
    assert files.get(f"{tmp_path}/way/../file").resolved == f"{tmp_path}/real/file"


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("abcd"),
            st.sampled_from(["a", "../b", "./c/../d", "/ROOT/a", "b/c", ".", ".."]),
        ),
        unique_by=lambda pair: pair[0],
    ),
    st.lists(st.sampled_from(["a", "b", "c", "d", "..", "f"]), min_size=1, max_size=4),
)
def test_the_way_ends_where_the_kernel_ends(
    tmp_path_factory: pytest.TempPathFactory, links: list[tuple[str, str]], names: list[str]
) -> None:
    root = tmp_path_factory.mktemp("way")
    (root / "f").write_text("")
    for name, target in links:
        (root / name).symlink_to(target.replace("/ROOT", str(root)))
    path = "/".join([str(root), *names])
    file: Files = facts.get(host_here(), "files")
    seen = file.get(path)
    assert seen.exists == os.path.exists(path)  # noqa: PTH110 - Path would tidy the path
    if seen.exists:
        assert seen.resolved == os.path.realpath(path)


def test_a_directory_that_others_may_write_makes_all_below_it_writable(
    files: Files, tmp_path: Path
) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    made(tmp_path / "open" / "file")
    (tmp_path / "link").symlink_to("open/../shut")
    made(tmp_path / "shut")
    behind, linked, shut = files.all(f"{tmp_path}/{name}" for name in ("open/file", "link", "shut"))
    everybody = [f"everybody may write {tmp_path}/open"]
    assert behind.writable_by_others((0, ME)) == everybody
    assert linked.writable_by_others((0, ME)) == everybody
    assert shut.writable_by_others((0, ME)) == []
    (tmp_path / "open").chmod(0o1777)
    assert facts.get(host_here(), "files").get(behind.path).writable_by_others((0, ME)) == []
    assert f"{shut} belongs to {shut.user}" in shut.writable_by_others((ME + 1,))


def test_an_acl_that_widens_is_beyond_the_mode(here: Host, tmp_path: Path) -> None:
    if not shutil.which("setfacl"):
        pytest.skip("setfacl is not installed")
    path = made(tmp_path / "file", 0o640)
    subprocess.run(["setfacl", "-m", "u:12345:r,g:54321:r", path], check=True)
    file = facts.get(here, "files").get(str(path))
    assert [str(entry) for entry in file.acl] == ["user 12345 r--", "group 54321 r--"]
    assert file.acl_beyond(0o644) == []
    assert file.acl_beyond(0o640) == [
        "the ACL gives user 12345 r--",
        "the ACL gives group 54321 r--",
    ]
    assert file.acl_beyond(0o640, groups=(54321,)) == ["the ACL gives user 12345 r--"]
    assert len(file.acl_beyond(0o600, groups=(54321,))) == 2


def test_an_acl_that_lets_a_user_write_is_seen(here: Host, tmp_path: Path) -> None:
    if not shutil.which("setfacl"):
        pytest.skip("setfacl is not installed")
    path = made(tmp_path / "file", 0o600)
    subprocess.run(["setfacl", "-m", "u:65534:rw", path], check=True)
    file = facts.get(here, "files").get(str(path))
    assert file.writable_by_others((0, ME)) == [f"the ACL of {path} lets nobody write it"]
    subprocess.run(["setfacl", "-m", "m::r", path], check=True)
    again = facts.get(host_here(), "files").get(str(path))
    assert again.writable_by_others((0, ME)) == []


def test_lists_are_exact(files: Files, tmp_path: Path) -> None:
    names = {"a b", "new\nline", "é", "-x", ".hidden"}
    for name in names:
        (tmp_path / name).mkdir()
        made(tmp_path / name / "c.crt")
    (tmp_path / "a b" / "linked").symlink_to("../é")
    assert files.list(str(tmp_path)) == sorted(f"{tmp_path}/{name}" for name in names)
    tree = files.tree(str(tmp_path))
    assert f"{tmp_path}/a b/linked/c.crt" in tree
    assert len(tree) == 2 * len(names) + 2
    assert files.list(f"{tmp_path}/nothing") == []
    with pytest.raises(Unknown, match="nested deeper"):
        files.tree(str(tmp_path), depth=1)


def test_below_the_root_of_a_process_links_stay_below_it(files: Files, tmp_path: Path) -> None:
    made(tmp_path / "file", 0o640)
    (tmp_path / "link").symlink_to(tmp_path / "file")
    root = f"/proc/{os.getpid()}/root"
    file = files.get(f"{root}{tmp_path}/link")
    assert (file.resolved, file.mode, file.text) == (f"{root}{tmp_path}/file", 0o640, "text")
    assert root in [each.path for each in file.ancestors]
    assert "/tmp" not in [each.path for each in file.ancestors]
    assert not files.get(f"{root}/nowhere").exists
    assert files.get(f"{root}/../../{tmp_path}/file").exists


def test_several_files_are_asked_for_in_one_round(here: Host, tmp_path: Path) -> None:
    paths = [str(made(tmp_path / str(number))) for number in range(3)]
    facts.get(here, "files").get(*paths)
    assert session_of(here).rounds == 1


def test_a_long_file_is_no_answer(files: Files, tmp_path: Path) -> None:
    path = made(tmp_path / "long", text="x" * (1024 * 1024 + 1))
    with pytest.raises(Unknown, match="longer than"):
        _ = files.get(str(path)).data


def stat_of(path: str, raw: str = "81a4", who: str = "0 0", names: str = "root:root") -> str:
    assert path.startswith("/")
    return f"{raw} {who} 5 1700000000 64 1 1 {names}\n"


def canned(path: str, last: tuple[int, str, str], **more: tuple[int, str, str]) -> Host:
    """A host with the directories / and /d, and one answer for a file in /d."""
    lstat = f"stat -c '{FORMAT}' -- "
    directory = "41ed 0 0 5 1700000000 64 1 1 root:root\n"
    answers = {f"{lstat}/": directory, f"{lstat}/d": directory, f"{lstat}{path}": last}
    answers[f"getfacl -cpn -- {path}"] = (127, "", "getfacl: not found")
    return host_with({**answers, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "complaint",
    [
        "stat: cannot statx '/d/x': Permission denied",
        "stat: can't stat '/d/x': Permission denied",
        "stat: cannot statx '/d/x': Input/output error",
    ],
)
def test_what_cannot_be_seen_is_neither_there_nor_absent(complaint: str) -> None:
    file = facts.get(canned("/d/x", (1, "", complaint)), "files").get("/d/x")
    assert file.state == "denied"
    for read in ("exists", "mode", "uid", "data"):
        with pytest.raises((Unknown, CannotAnswer), match=r"/d/x|recording"):
            getattr(file, read)


@pytest.mark.parametrize(
    ("ls", "outcome"),
    [
        ("-rw-r-----  1 root root 5", []),
        ("-rw-r-----. 1 root root 5", []),
        ("-rw-r-----+ 1 root root 5", "has an ACL"),
        (None, "cannot be told"),
    ],
)
def test_without_getfacl_an_acl_is_never_overlooked(ls: str | None, outcome: object) -> None:
    version = (0, "ls (GNU coreutils) 9.1", "") if ls else (1, "", "BusyBox")
    host = canned(
        "/d/x",
        (0, stat_of("/d/x", "81a0"), ""),
        **{"ls --version": version, "ls -ldL -- /d/x": (0, ls or "-rw-r----- 1 root", "")},
    )
    file = facts.get(host, "files").get("/d/x")
    if outcome == []:
        assert file.acl_beyond(0o640) == []
    else:
        with pytest.raises(Unknown, match=str(outcome)):
            file.acl_beyond(0o640)
    assert file.acl_beyond(0o644) == []


def test_names_with_spaces_and_without_a_name() -> None:
    status = parse_status("/x", stat_of("/x", names="UNKNOWN:domain users"))
    assert (status.user, status.group) == ("", "domain users")
    with pytest.raises(CannotAnswer):
        parse_status("/x", "81a4 0\n")


def test_defaults_and_masks_of_an_acl() -> None:
    text = "user::rw-\nuser:7:rwx\t#effective:r--\ngroup::r--\nmask::r--\nother::---\n"
    (entry,) = parse_acl(text + "default:user:8:rwx\n\n")
    assert (entry.of_group, entry.id, entry.granted, entry.effective) == (False, 7, 7, 4)
    with pytest.raises(CannotAnswer):
        parse_acl("nonsense\n")


PASSWD = "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n+::::::\n"
GROUP = "root:x:0:\nann:x:1000:\ndocker:x:998:bob, ann\nalias:x:998:eve\n"


@pytest.mark.parametrize("with_getent", [True, False])
def test_members_of_a_group(with_getent: bool) -> None:
    missing = (127, "", "sh: getent: not found")
    host = host_with(
        {
            "getent passwd": PASSWD if with_getent else missing,
            "getent group": GROUP if with_getent else missing,
            "head -c 1048577 -- /etc/passwd": PASSWD,
            "head -c 1048577 -- /etc/group": GROUP,
            "getent group nope": (2, ""),
            "getent passwd dave": (0, "dave:x:70:70::/:/bin/sh\n"),
        }
    )
    known: Accounts = facts.get(host, "accounts")
    assert known.members("docker") == {"bob", "ann", "eve"}
    assert known.members(1000) == {"ann"}
    assert known.members("nope") == frozenset()
    assert (str(known.user(1000)), str(known.group(998))) == ("ann", "docker")
    assert (known.user("dave") is not None) is with_getent
