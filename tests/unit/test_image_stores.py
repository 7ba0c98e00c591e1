"""Images in the stores of Podman and of containerd, from what their files and ctr would say."""

from __future__ import annotations

import base64
import json

import pytest

from checks.build import test_image_files as files
from checks.build import test_images as controls
from checks.engine import test_sprawl as sprawl
from checks.runtime import test_image_versions as versions
from hullcheck import facts
from hullcheck.control import Unknown, control_of
from hullcheck.facts.containerd import Containerd
from hullcheck.facts.containers import Container
from hullcheck.facts.image_layers import layers_of
from hullcheck.facts.image_stores.containerd import blobs_want, names_want
from hullcheck.facts.image_stores.podman import _groups
from hullcheck.facts.image_stores.snapshots import chains
from hullcheck.facts.image_stores.storage import contents_want, listing_of, listing_want
from hullcheck.facts.keepers import Keeper
from hullcheck.facts.podman.places import ROOT_STORE
from hullcheck.facts.podman.roots import ROOT_RUN, Roots
from hullcheck.inventory.policy import Policy
from hullcheck.judge import Site, judge
from hullcheck.transport import session_of, want
from tests.unit.fake import host_with
from tests.unit.podman_fake import Files, podman_host

USER_STORE = "/home/bob/.local/share/containers/storage"
LOW, HIGH, OTHER = "1" * 64, "2" * 64, "3" * 64
IMAGE, CONTAINER = "a" * 64, "c" * 64
DIGEST = f"sha256:{'d' * 64}"
PACKED, OPEN = (DIGEST,), (f"sha256:{LOW}", f"sha256:{HIGH}")


def config(layers=(LOW, HIGH), **more):
    return json.dumps({
        "created": "2026-11-20T10:00:00Z", "architecture": "amd64", "os": "linux",
        "config": {"User": "10001"} | more,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{each}" for each in layers]},
        "history": [{"created_by": "ADD x /"}, {"created_by": "ENV A=b", "empty_layer": True}],
    })  # fmt: skip


def manifest(*digests):
    return json.dumps({"layers": [{"digest": each} for each in digests or [DIGEST]]})


def listed(number=IMAGE, names=("quay.io/acme/app:1",), top=HIGH):
    return {
        "id": number, "digest": DIGEST, "names": list(names), "layer": top,
        "created": "2026-11-20T10:00:00Z", "big-data-names": [f"sha256:{number}", "manifest"],
        "big-data-sizes": {f"sha256:{number}": 400, "manifest": 300},
    }  # fmt: skip


LAYERS = [{"id": LOW}, {"id": HIGH, "parent": LOW}]
USED = [{"id": CONTAINER, "image": IMAGE, "names": ["web"],
         "metadata": json.dumps({"image-name": "quay.io/acme/app:1", "name": "web"})}]  # fmt: skip


def podman(
    images,
    text=None,
    made=None,
    *,
    layers=LAYERS,
    used=(),
    store=ROOT_STORE,
    hidden=(),
    driver="overlay",
):
    """Return a host whose Podman keeps these images."""
    uid = 1001 if store == USER_STORE else 0
    run = f"/run/user/{uid}/containers" if uid else ROOT_RUN
    lists = Files({
        f"{store}/{driver}-images/images.json": json.dumps(images),
        f"{store}/{driver}-layers/layers.json": json.dumps(layers),
        f"{store}/{driver}-containers/containers.json": json.dumps(list(used)),
    }, hidden=hidden)  # fmt: skip
    also = {listing_want(store, run).command: lists.reply()}
    answer = "".join(
        f"{store}/{driver}-images/{each['id']}/{name}:{content}\n"
        for each in images
        for name, content in (
            ("=" + base64.b64encode(f"sha256:{each['id']}".encode()).decode(), text or config()),
            ("manifest", made or manifest()),
        )
    )
    try:
        kept = listing_of(store, session_of(probe := host_with(also)).ask(want(*also))[0]).images
        assert probe
    except Unknown:
        kept = ()
    for group in _groups(sorted(kept, key=lambda each: each.id, reverse=True)):
        also[contents_want(group).command] = f"{answer}= end\n"
    host = podman_host(
        also, stores={store: uid},
        kept={Roots(store, run, uid): Files({f"{store}/overlay-containers/containers.json": "[]"})},
    )  # fmt: skip
    seen = session_of(host)
    seen.recall(("provider", "docker_images"), list)
    seen.recall(("provider", "containerd_images"), list)
    seen.recall(("provider", "crio"), list)
    return host


def running(host, *numbers, docker=None):
    """Let containers of these ids run."""
    keeper = Keeper("podman", "podman of root")
    parts = {"HostConfig": {}, "Config": {}, "Name": "web"}
    made = [
        Container(host, keeper, {"Id": each, "State": {"Running": True, "Pid": 7}, **parts}, {})
        for each in numbers
    ]
    session_of(host).recall(("provider", "container"), lambda: made)
    return host


def finding(control, host, **policy):
    (found,) = judge(control_of(control), host, Site("h", Policy(**policy))).findings
    return str(found.status), found.reason


@pytest.mark.parametrize("store", [ROOT_STORE, USER_STORE])
def test_podmans_image_is_what_its_files_say(store):
    (image,) = facts.get(running(podman([listed()], store=store, used=USED), CONTAINER), "images")
    assert (image.id, image.name) == (f"sha256:{IMAGE}", "quay.io/acme/app:1")
    assert image.digests == [f"quay.io/acme/app@{DIGEST}"]
    assert layers_of(image) == [f"{store}/overlay/{each}/diff" for each in (HIGH, LOW)]
    assert [(each.created_by, each.empty_layer) for each in image.history] == [
        ("ADD x /", False), ("ENV A=b", True),
    ]  # fmt: skip
    assert (image.config("User"), image.running, len(image.containers)) == ("10001", True, 1)


def test_a_vfs_store_has_whole_trees():
    (image,) = facts.get(podman([listed()], driver="vfs"), "images")
    assert layers_of(image) == [f"{ROOT_STORE}/vfs/dir/{each}" for each in (HIGH, LOW)]
    (image,) = facts.get(podman([listed()], driver="btrfs"), "images")
    with pytest.raises(Unknown, match="btrfs"):
        layers_of(image)


@pytest.mark.parametrize("layers", [[], [{"id": HIGH}], [{"id": HIGH, "parent": HIGH}],
                                    [{"id": HIGH, "parent": OTHER}]])  # fmt: skip
def test_layers_that_do_not_add_up_are_unknown(layers):
    (image,) = facts.get(podman([listed()], layers=layers), "images")
    with pytest.raises(Unknown):
        layers_of(image)


@pytest.mark.parametrize(("layers", "names", "status"), [
    (PACKED, ["quay.io/acme/app:1"], "pass"), (PACKED, ["evil.example/app:1"], "fail"),
    (PACKED, ["quay.io/acme/app:1", "evil.example/x:1"], "fail"),
    # Built here and given an approved name: it came from no registry.
    (OPEN, ["quay.io/acme/app:1"], "not-applicable"),
    (PACKED, ["localhost/app:1"], "not-applicable"), (PACKED, [], "not-applicable"),
])  # fmt: skip
def test_where_podmans_image_comes_from(layers, names, status):
    host = podman([listed(names=names)], made=manifest(*layers))
    assert finding(controls.test_approved_origin, host, registries=("quay.io",))[0] == status


def test_a_user_is_root_by_many_names():
    roots = ("", "0", "root", "0:0", "00", "+0", "root:app")
    for user, status in [*((each, "fail") for each in roots), ("10001", "pass"), ("7:0", "pass")]:
        host = podman([listed()], config(User=user), used=USED)
        assert finding(files.test_image_user, host)[0] == status, user
    assert finding(files.test_image_user, podman([listed()]))[0] == "not-applicable"


def test_a_tag_that_moved_is_seen():
    new = listed("b" * 64)
    old = listed(names=[])
    for images, status in (
        ([listed()], "pass"),
        ([old, new], "fail"),
        ([old], "fail"),
        ([], "fail"),
    ):
        host = running(podman(images, used=USED), CONTAINER)
        assert finding(versions.test_image_current, host)[0] == status, images
    assert (
        finding(versions.test_pinned_image, running(podman([listed()], used=USED), CONTAINER))[0]
        == "fail"
    )
    lost = running(podman([listed()]), CONTAINER)
    assert finding(versions.test_image_current, lost)[0] == "not-applicable"


def test_what_piles_up_is_counted():
    many = [listed(f"{each:064x}", names=[]) for each in range(3)]
    assert finding(sprawl.test_image_sprawl, podman(many), maximum_unused_images=3)[0] == "pass"
    assert finding(sprawl.test_image_sprawl, podman(many), maximum_unused_images=2)[0] == "fail"


@pytest.mark.parametrize("text", ["[]", "{", "null", '{"rootfs": 1}', '{"config": []}', "[" * 9999,
                                  '{"rootfs": {"diff_ids": [1]}}'])  # fmt: skip
def test_a_damaged_configuration_is_unknown(text):
    (image,) = facts.get(podman([listed()], text), "images")
    for ask in (lambda: image.config("User"), lambda: image.history):
        with pytest.raises(Unknown):
            ask()
    assert finding(controls.test_secrets_in_configuration, podman([listed()], text))[0] == "unknown"


def test_what_cannot_be_read_is_unknown():
    host = podman([listed()], hidden=[f"{ROOT_STORE}/overlay-images"])
    assert finding(controls.test_image_age, host)[0] == "unknown"
    for broken in ([{"id": "x"}], {"a": 1}, [1]):
        assert finding(controls.test_image_age, podman(broken and []))[0] == "not-applicable"
    too_long = listed() | {"big-data-sizes": {f"sha256:{IMAGE}": 10_000_000}}
    status, reason = finding(controls.test_secrets_in_configuration, podman([too_long]))
    assert (status, "10000000 bytes" in reason) == ("unknown", True)


def test_groups_are_bounded_and_the_first_are_kept():
    made = [listed(f"{each:064x}") | {"big-data-sizes": {f"sha256:{each:064x}": 200_000}}
            for each in range(120)]  # fmt: skip
    store = Files({f"{ROOT_STORE}/overlay-images/images.json": json.dumps(made)})
    asked = want("list")
    answer = session_of(host_with({"list": store.reply()})).ask(asked)[0]
    kept = listing_of(ROOT_STORE, answer).images
    groups = list(_groups(kept))
    told = [each for group in groups for each in group]
    assert told == list(kept[: len(told)])
    assert (len(told), {len(each) for each in groups[:-1]}) == (82, {10})


# containerd.

SOCKET, ROOT = "/run/containerd/containerd.sock", "/var/lib/containerd"
TOP = chains([f"sha256:{each}" for each in (LOW, HIGH)])[-1]
CONFIG = f"sha256:{IMAGE}"
INDEX, MANIFEST = f"sha256:{'e' * 64}", f"sha256:{'f' * 64}"
LABELS = (
    f"containerd.io/gc.ref.content.m.0={MANIFEST},"
    "containerd.io/distribution.source.quay.io=acme/app,acme/other,x=y"
)
NAMES = f"""= namespace k8s.io
= images
REF                  TYPE                                    DIGEST    SIZE     PLATFORMS   LABELS
quay.io/acme/app:1   application/vnd.oci.image.index.v1+json {INDEX} 21.0 KiB linux/amd64 -
{CONFIG} application/vnd.oci.image.index.v1+json {INDEX} 21.0 KiB linux/amd64 x=y
= users
CONTAINER    IMAGE                 RUNTIME
{CONTAINER}    quay.io/acme/app:1    io.containerd.runc.v2
= snapshots
{CONTAINER}    {TOP} Active
= content
{INDEX}	577B	2 days	{LABELS}
= end
"""
BLOBS = {
    INDEX: {"manifests": [{"digest": MANIFEST}, {"digest": f"sha256:{'0' * 64}"}]},
    MANIFEST: {"config": {"digest": CONFIG}, "layers": []},
    CONFIG: json.loads(config()),
}


def containerd(names=NAMES, blobs=BLOBS, complaint="", docker=False):
    text = "".join(f"/{key[7:]}:{json.dumps(value)}\n" for key, value in blobs.items())
    host = host_with({
        names_want(SOCKET).command: (0, names, complaint), blobs_want(ROOT).command: text,
    })  # fmt: skip
    daemon = Containerd.__new__(Containerd)
    vars(daemon).update(host=host, kind="containerd", label="containerd", flags={
        "address": [SOCKET], "root": [ROOT], "state": ["/run/x"]})  # fmt: skip
    vars(daemon)["seen"] = lambda path: path
    seen = session_of(host)
    seen.recall(("provider", "containerd"), lambda: [daemon])
    for kind in ("docker_images", "podman_images"):
        seen.recall(("provider", kind), list)
    seen.recall(("provider", "docker"), lambda: ["x"] if docker else [])
    seen.recall(("fact", id(daemon), "unused_cri"), lambda: (daemon, ""))
    return running(host, CONTAINER)


def test_containerds_image_is_what_its_blobs_say():
    (image,) = facts.get(containerd(), "images")
    assert (image.id, image.name, image.tags) == (
        CONFIG,
        "quay.io/acme/app:1",
        ["quay.io/acme/app:1"],
    )
    assert image.digests == [f"quay.io/acme/app@{INDEX}", f"quay.io/acme/other@{INDEX}"]
    assert (image.config("User"), image.running, len(image.history)) == ("10001", True, 2)


def test_a_container_of_containerd_runs_what_lies_below_it():
    assert finding(versions.test_image_current, containerd())[0] == "pass"
    moved = NAMES.replace(f"    {TOP} Active", f"    sha256:{'9' * 64} Active")
    assert finding(versions.test_image_current, containerd(moved))[0] == "fail"


@pytest.mark.parametrize(("names", "blobs", "complaint"), [
    ("= end\n", BLOBS, "ctr: permission denied"), ("= broken\n= end\n", BLOBS, ""), ("", BLOBS, ""),
    (NAMES[:200], BLOBS, ""),
    (NAMES.replace("= end", "= broken\n= end"), BLOBS, "x"), (NAMES, {}, ""),
    (NAMES, {INDEX: BLOBS[INDEX]}, ""), (NAMES, BLOBS | {CONFIG: {}}, ""),
    (NAMES, BLOBS | {INDEX: {"manifests": [{"digest": MANIFEST}] * 2}}, ""),
    (NAMES.replace("application/", "nonsense/"), BLOBS, ""),
])  # fmt: skip
def test_what_containerd_does_not_tell_is_unknown(names, blobs, complaint):
    host = containerd(names, blobs, complaint)
    assert finding(controls.test_secrets_in_configuration, host)[0] == "unknown"


def test_without_ctr_images_are_judged_and_their_names_are_unknown():
    host = containerd("= none\n= end\n")
    assert finding(controls.test_secrets_in_configuration, host)[0] == "pass"
    for control in (
        controls.test_approved_origin,
        files.test_image_setuid,
        controls.test_approved_base,
    ):
        assert (
            finding(control, containerd("= none\n= end\n"), registries=("quay.io",))[0] == "unknown"
        )


def test_dockers_namespace_is_dockers():
    names = NAMES.replace("= namespace k8s.io", "= namespace moby")
    assert [each.name for each in facts.get(containerd(names), "images")] == ["quay.io/acme/app:1"]
    status, _ = finding(controls.test_image_age, containerd(names, docker=True))
    assert status == "not-applicable"
