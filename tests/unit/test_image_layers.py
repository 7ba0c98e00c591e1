"""What lies in the layers of images, from what find said of them."""

import hashlib
import re
import subprocess
from types import SimpleNamespace

import pytest

from checks.build.test_image_files import (
    test_image_packages as image_packages,
)
from checks.build.test_image_files import (
    test_image_secrets as image_secrets,
)
from checks.build.test_image_files import (
    test_image_setuid as image_setuid,
)
from hullcheck.control import Unknown, control_of
from hullcheck.facts import image_layers
from hullcheck.facts.image_layers import _above_want, files_of
from hullcheck.facts.image_stores.docker import DockerImages
from hullcheck.facts.images import Image
from hullcheck.facts.suspects import TEST
from hullcheck.facts.tree_sweep import Entry, sweep, swept
from hullcheck.inventory.policy import Policy
from hullcheck.judge import Site, judge
from hullcheck.transport import session_of, want
from hullcheck.transport.redact import Redactor
from hullcheck.verdict import Object
from tests.unit.container_fake import APP
from tests.unit.container_fake import running as one_running
from tests.unit.fake import host_with

LOW, HIGH = "/store/low/diff", "/store/high/diff"
END = "end 0\n//\n"


def told(path, mode="81ed", inode=1, size=9, uid=0, gid=0):
    return f"{mode} {inode} {size} {uid} {gid} {path}\n//\n"


def image_of(engine, name="app", layers=(HIGH, LOW), driver="overlay2", running=True, **more):
    top, *lower = layers or ("",)
    described = {
        "Id": f"sha256:{name}",
        "RepoTags": [f"{name}:1"],
        "RootFS": {"Layers": [f"sha256:{each}" for each in reversed(layers)]},
        "GraphDriver": {
            "Name": driver, "Data": {"UpperDir": top, "LowerDir": ":".join(lower)} if top else None,
        },
    } | more  # fmt: skip
    users = [{"State": {"Running": running}}]
    return Image(engine.host, DockerImages(engine), described, users)


def host_of(found, *images, above="end\n//\n", answers=None, exit_code=0, err="", groups=None):
    """Return a host whose images hold what find told, and have what is above in later layers."""
    roots = sorted({each for one in images for each in one.get("layers", (HIGH, LOW))})
    host = host_with({
        **({sweep(roots, TEST).command: (0, found, err)} if roots else {}),
        **({_above_want(groups).command: above} if groups else {}),
        "inspect": "",
        **(answers or {}),
    })  # fmt: skip
    engine = SimpleNamespace(
        host=host,
        object=Object("engine", "x"),
        root_dir="/var/lib/docker",
        info={},
        seen=lambda path: path,
    )
    made = [image_of(engine, **each) for each in images]
    seen = session_of(host)
    for each in ("container", "containerd"):
        seen.recall(("provider", each), list)
    seen.recall(("provider", "image"), lambda: [seen.ask(want("inspect")), made][1])
    return host


def finding(function, host, policy=None, at=0):
    return judge(control_of(function), host, Site("h", policy or Policy())).findings[at]


ONE = {"layers": (LOW,)}
SU = told(f"{LOW}/usr/bin/su", "89ed")


def test_a_setuid_program_fails_and_names_whose_rights_it_gives():
    found = finding(image_setuid, host_of(SU + told(f"{LOW}/x", "85ed", gid=42) + END, ONE))
    assert found.status == "fail"
    assert found.observed == ["/usr/bin/su runs as root (setuid)", "/x runs as gid 42 (setgid)"]


@pytest.mark.parametrize("mode", ["89a4", "85e4", "41ed", "a1ff"])
def test_bits_that_the_kernel_does_not_heed_give_no_rights(mode):
    """No execute bit; setgid without the group's; a directory, a link."""
    assert finding(image_setuid, host_of(told(f"{LOW}/x", mode) + END, ONE)).status == "pass"


@pytest.mark.parametrize("allowed", ["su", "/usr/bin/su"])
def test_the_site_may_allow_a_setuid_program(allowed):
    policy = Policy(image_setuid_allowed=(allowed,))
    assert finding(image_setuid, host_of(SU + END, ONE), policy).status == "pass"
    other = Policy(image_setuid_allowed=("/bin/su", "s"))
    assert finding(image_setuid, host_of(SU + END, ONE), other).status == "fail"


@pytest.mark.parametrize("place", ["/usr/bin/su", "/usr/bin", "/usr"])
def test_what_a_later_layer_hides_gives_no_rights(place):
    groups = [([HIGH], ["/usr/bin/su"])]
    above = f"{HIGH}/{place}\n//\nend\n//\n"
    host = host_of(SU + END, {}, above=above, groups=groups)
    assert finding(image_setuid, host).status == "pass"
    elsewhere = f"{HIGH}//usr/bin/sudo\n//\n{LOW}//usr/bin/su\n//\nend\n//\n"
    host = host_of(SU + END, {}, above=elsewhere, groups=groups)
    assert finding(image_setuid, host).status == "fail"


def test_each_image_has_the_layers_it_is_made_of():
    groups = [([HIGH], ["/usr/bin/su"])]
    above = f"{HIGH}//usr/bin/su\n//\nend\n//\n"
    host = host_of(SU + END, {"name": "child"}, ONE | {"name": "base"}, above=above, groups=groups)
    assert str(finding(image_setuid, host, at=0).status) == "pass"
    assert str(finding(image_setuid, host, at=1).status) == "fail"


def test_a_deleted_secret_is_still_in_the_image():
    found = told(f"{LOW}/root/.aws/credentials", "8180", size=31) + END
    above = f"{HIGH}//root/.aws\n//\nend\n//\n"
    groups = [([HIGH], ["/root/.aws/credentials"])]
    host = host_of(found, {}, above=above, groups=groups)
    observed = finding(image_secrets, host).observed
    (told_of,) = observed
    assert told_of == (
        "/root/.aws/credentials (cloud credentials, 31 bytes, deleted or replaced later)"
    )


@pytest.mark.parametrize(("path", "secret"), [
    ("/app/.env", True), ("/app/.env.production", True), ("/app/.env.example", False),
    ("/root/.ssh/id_ed25519", True), ("/root/.ssh/id_ed25519.pub", False),
    ("/etc/ssh/ssh_host_rsa_key", True), ("/srv/tls.pem", True), ("/src/.git/config", True),
    ("/root/.docker/config.json", True), ("/etc/docker/config.json", False),
    ("/usr/lib/python3/site-packages/x/tests/key.pem", False), ("/tests/key.pem", True),
    ("/opt/py/lib/python3.13/test/certdata/key.pem", False),
    ("/home/a/.netrc", True), ("/x/my-service-account.json", True), ("/etc/shadow", True),
])  # fmt: skip
def test_what_counts_as_a_secret(path, secret):
    found = finding(image_secrets, host_of(told(f"{LOW}{path}", "8180") + END, ONE))
    assert found.status == ("fail" if secret else "pass")


@pytest.mark.parametrize(("path", "harmful"), [
    ("/usr/bin/apt-get", True), ("/sbin/apk", True), ("/usr/bin/gcc-12", True), ("/x/bin/go", True),
    ("/usr/bin/x86_64-linux-gnu-g++-12", True), ("/usr/sbin/sshd", True), ("/bin/nc", True),
    ("/usr/bin/nc.openbsd", True), ("/usr/bin/ssh", False), ("/usr/share/apt", False),
    ("/usr/bin/gccx", False), ("/usr/bin/npm", False),
])  # fmt: skip
def test_what_serves_an_intruder(path, harmful):
    found = finding(image_packages, host_of(told(f"{LOW}{path}") + END, ONE))
    assert found.status == ("fail" if harmful else "pass")


def test_what_busybox_is_as_well_is_not_counted_apart():
    box = told(f"{LOW}/bin/busybox", inode=7)
    linked, other = told(f"{LOW}/bin/nc", inode=7), told(f"{LOW}/bin/dpkg", inode=8)
    assert finding(image_packages, host_of(box + linked + END, ONE)).status == "pass"
    assert finding(image_packages, host_of(box + other + END, ONE)).status == "fail"


def test_programs_of_images_that_run_and_that_the_site_has_not_allowed():
    found = told(f"{LOW}/usr/bin/apt") + END
    assert finding(image_packages, host_of(found, ONE | {"running": False})).status == (
        "not-applicable"
    )
    for allowed in ("apt", "/usr/bin/apt", "package manager"):
        policy = Policy(image_programs_allowed=(allowed,))
        assert finding(image_packages, host_of(found, ONE), policy).status == "pass"
    policy = Policy(image_programs_allowed=("compiler", "/bin/apt"))
    assert finding(image_packages, host_of(found, ONE), policy).status == "fail"


@pytest.mark.parametrize("damaged", [
    "", "end 0\n", SU, "end 124\n//\n", "end 127\n//\n", "end 1\n//\n", f"x{END}", END + "x",
    f"89ed 1 9 0 0 {LOW}/usr/bin/su\n//end 0\n//\n", f"nonsense\n//\n{END}",
    told("/elsewhere/su", "89ed") + END, told(LOW + "er/su", "89ed") + END,
])  # fmt: skip
def test_what_is_damaged_or_cut_is_unknown(damaged):
    for control in (image_setuid, image_secrets, image_packages):
        assert str(finding(control, host_of(damaged, ONE)).status) == "unknown"


def test_a_layer_that_is_not_seen_makes_its_own_images_unknown():
    err = f"find: '{HIGH}': No such file or directory\n"
    host = host_of("end 1\n//\n", {"name": "child"}, ONE | {"name": "base"}, err=err)
    assert str(finding(image_setuid, host, at=0).status) == "unknown"
    assert str(finding(image_setuid, host, at=1).status) == "pass"


@pytest.mark.parametrize("said", ["", "end", f"{HIGH}//usr/bin/su\n//\n", "end\n//\nx"])
def test_what_later_layers_hide_must_be_told_whole(said):
    host = host_of(SU + END, {}, above=said, groups=[([HIGH], ["/usr/bin/su"])])
    assert str(finding(image_setuid, host).status) == "unknown"


@pytest.mark.parametrize("change", [
    {"driver": "btrfs"}, {"driver": "overlayfs"}, {"GraphDriver": None},
    {"GraphDriver": {"Name": "overlay2", "Data": None}},
    {"GraphDriver": {"Name": "overlay2", "Data": {"UpperDir": LOW}}},
    {"GraphDriver": {"Name": "overlay2", "Data": {"UpperDir": LOW, "LowerDir": "../x"}}},
])  # fmt: skip
def test_a_store_that_is_not_known_is_unknown(change):
    host = host_of(END, {"name": "odd", **change}, {"name": "plain"})
    assert str(finding(image_setuid, host, at=0).status) != "pass"
    assert str(finding(image_setuid, host, at=1).status) == "pass"


def test_the_layers_of_vfs_are_found_by_chain_id_and_hold_all_below_them():
    digests = ["sha256:" + "1" * 64, "sha256:" + "2" * 64]
    chain = hashlib.sha256(f"{digests[0]} {digests[1]}".encode()).hexdigest()
    ids = {"1" * 64: "a" * 64, chain: "b" * 64}
    low, high = f"/var/lib/docker/vfs/dir/{'a' * 64}", f"/var/lib/docker/vfs/dir/{'b' * 64}"
    base = "/var/lib/docker/image/vfs/layerdb/sha256"
    answers = {f"head -c 65 -- {base}/{each}/cache-id": ids[each] for each in ids}
    found = (
        told(f"{low}/usr/bin/su", "89ed") + told(f"{low}/root/.pgpass")
        + told(f"{low}/bin/su", "89ed") + told(f"{high}/bin/su", "89ed") + END
    )  # fmt: skip
    answers[sweep([low, high], TEST).command] = found
    image = {"driver": "vfs", "layers": (), "RootFS": {"Layers": digests}}
    host = host_of(END, image, answers=answers)
    assert finding(image_setuid, host).observed == ["/bin/su runs as root (setuid)"]
    assert finding(image_secrets, host).observed == [
        "/root/.pgpass (stored password, 9 bytes, deleted or replaced later)"
    ]
    answers[f"head -c 65 -- {base}/{chain}/cache-id"] = ""
    assert str(finding(image_setuid, host_of(END, image, answers=answers)).status) == "unknown"


SNAPSHOTS = "/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots"


@pytest.mark.parametrize(("lower", "status"), [
    ("3/fs:2/fs:1/fs", "fail"), (f"{SNAPSHOTS}/3/fs:{SNAPSHOTS}/2/fs:{SNAPSHOTS}/1/fs", "fail"),
    (f"{SNAPSHOTS}/2/fs:{SNAPSHOTS}/1/fs", "fail"), ("5/fs:4/fs:2/fs:1/fs", "unknown"),
    ("2/fs", "unknown"), ("", "unknown"),
])  # fmt: skip
def test_layers_in_containerds_store_are_those_that_a_container_has_mounted(lower, status):
    """As containerd 1.7 mounts them, short and long; Docker's own layer on top of them is none."""
    root = (
        f"100 99 0:50 / / rw - overlay overlay rw,lowerdir={lower},upperdir={SNAPSHOTS}/9/fs,"
        f"workdir={SNAPSHOTS}/9/work\n"
    )
    fake = one_running(mounts=root, answers={
        sweep([f"{SNAPSHOTS}/1/fs", f"{SNAPSHOTS}/2/fs"], TEST).command: (
            told(f"{SNAPSHOTS}/1/fs/bin/su", "89ed") + END
        ),
        _above_want([([f"{SNAPSHOTS}/2/fs"], ["/bin/su"])]).command: "end\n//\n",
    })  # fmt: skip
    engine = SimpleNamespace(
        host=fake,
        object=Object("engine", "x"),
        info={"Driver": "overlayfs"},
        seen=lambda path: path,
    )
    image = image_of(engine, GraphDriver=None)
    image.containers = [{"Id": APP}]
    session_of(fake).recall(("provider", "image"), lambda: [image])
    assert str(finding(image_setuid, fake).status) == status


def test_find_and_its_answer_on_real_files(tmp_path):
    """Odd names come through, and no name can pose as another file's record."""
    root = tmp_path / "layer"
    forged = root / "a" / "\n" / "\n89ed 1 9 0 0 " / "x"
    for path, mode, text in [
        (root / "usr/bin/su", 0o4755, "x"), (root / "usr/bin/plain", 0o755, "x"),
        (forged, 0o4755, "x"),
        (root / "--token=x\udcff", 0o4755, "x"), (root / "bin/gcc-12", 0o755, "x"),
        (root / "a.pem", 0o600, "-----BEGIN EC PRIVATE KEY-----\n"), (root / "b.pem", 0o600, "y"),
        (root / ".env", 0o600, "A=1\nDB_PASSWORD=x\n"), (root / "c/.env", 0o600, "PORT=80\n"),
        (root / "d/.env", 0o600, "DB_PASSWORD=\n"), (root / "e/.npmrc", 0o600, "registry=x\n"),
        (root / "f/.npmrc", 0o600, "//r/:_authToken=abc\n"),
        (root / "etc/shadow", 0o600, "r:*:1\n"),
        (root / "g/.git/config", 0o600, "url = https://example.org/x\n"),
        (root / "h/.git/config", 0o600, "url = git@example.org:x\n"),
        (root / "i/config.json", 0o600, '{"auths": {"x": {"auth": "eDp5"}}}'),
        (root / "i/.docker/config.json", 0o600, '{"auths": {"x": {"auth": "eDp5"}}}'),
        (root / "j/.docker/config.json", 0o600, '{"auths": {}, "credsStore": "pass"}'),
        (root / "k-key.json", 0o600, '{"private_key": "-----BEGIN PRIVATE KEY-----\\nMII"}'),
    ]:  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
    command = sweep([str(root)], TEST).command
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, check=True)
    host = host_with({command: (0, done.stdout, done.stderr)})
    entries, broken = swept(session_of(host).ask(sweep([str(root)], TEST))[0], [str(root)])
    assert broken == {}
    assert {each.path for each in entries} == {
        "/usr/bin/su", "/a/\n/\n89ed 1 9 0 0 /x", "/--token=x\udcff", "/bin/gcc-12", "/a.pem",
        "/.env", "/f/.npmrc", "/h/.git/config", "/i/.docker/config.json", "/k-key.json",
    }  # fmt: skip


def test_what_lies_above_on_real_files(tmp_path):
    up = tmp_path / "up"
    (up / "usr/bin").mkdir(parents=True)
    (up / "usr/bin/su").write_text("")
    (up / "etc").symlink_to("/nowhere")
    (up / "dir").mkdir()
    groups = [([str(up)], ["/usr/bin/su", "/usr/bin/not", "/etc/shadow", "/dir/x"])]
    command = ["/bin/sh", "-c", _above_want(groups).command]
    said = subprocess.run(command, capture_output=True, check=True)
    assert said.stdout.decode() == f"{up}//usr/bin/su\n//\n{up}//etc\n//\nend\n//\n"


def test_redaction_leaves_the_questions_as_they_are():
    command = sweep([LOW], TEST).command.encode()
    assert Redactor(b"salt").clean(command) == command


def test_redaction_cannot_swallow_a_record():
    names = ["--password", "token=", "password: ", "'secret': '", "-----BEGIN RSA PRIVATE KEY-----",
             "authorization: bearer ", "x\nsecret\n", "://user:"]  # fmt: skip
    for name in names:
        text = told(f"{LOW}/a/{name}", "89ed") + SU + END
        clean = Redactor(b"salt").clean(text.encode()).decode()
        host = host_with({sweep([LOW], TEST).command: clean})
        entries, _ = swept(session_of(host).ask(sweep([LOW], TEST))[0], [LOW])
        assert entries[1:] == [Entry(LOW, "/usr/bin/su", 0o104755, 1, 9, 0, 0)], name
        assert re.match(r"/a/", entries[0].path)


def test_the_question_itself_looks_like_no_secret():
    assert Redactor(b"salt").clean(TEST.encode()).decode() == TEST


def test_an_image_that_came_later_is_unknown():
    host = host_of(END, ONE)
    late = image_of(SimpleNamespace(host=host, object=Object("engine", "x")), name="late")
    with pytest.raises(Unknown):
        files_of(late)


def test_one_walk_that_does_not_end_spoils_only_its_own_images(monkeypatch):
    """Of images in use and of new ones first; one that is big is walked apart."""
    monkeypatch.setattr(image_layers, "TOGETHER", 1)
    monkeypatch.setattr(image_layers, "WALKS", 9)
    roots = {"used": "/s/1", "new": "/s/2", "old": "/s/3", "big": "/s/4"}
    created = {"used": "2019", "new": "2026", "old": "2020", "big": "2026"}
    images = [
        {"name": name, "layers": (root,), "running": name == "used",
         "Created": f"{created[name]}-01-01T00:00:00Z", "Size": 2 * 10**9 if name == "big" else 9}
        for name, root in roots.items()
    ]  # fmt: skip
    seconds = 150 // 4
    ends = {"/s/1": END, "/s/2": END, "/s/3": "end 124\n//\n", "/s/4": END[:3]}
    host = host_of(END, *images, answers={
        sweep([root], TEST, seconds).command: end for root, end in ends.items()
    })  # fmt: skip
    found = judge(control_of(image_setuid), host, Site("h", Policy())).findings
    told = {each.object.name: str(each.status) for each in found}
    assert told == {"used:1": "pass", "new:1": "pass", "old:1": "unknown", "big:1": "unknown"}
