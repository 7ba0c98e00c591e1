"""Quadlets: units of which Podman makes services."""

from __future__ import annotations

import pytest

from checks.engine import test_podman
from hullcheck import facts
from hullcheck.control import NotApplicable
from hullcheck.inventory.policy import Policy
from tests.unit.podman_fake import (
    Files,
    findings,
    podman_host,
)

QUADLET = "/etc/containers/systemd/app.container"
DIGEST = "r.example/app@sha256:" + "0" * 64


def quadlet(*lines: str, path: str = QUADLET, **more: str) -> Files:
    return Files({path: "\n".join(["[Container]", f"Image={DIGEST}", *lines, ""]), **more})


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("PublishPort=80:80", "pass"),
        ("PodmanArgs=--privileged", "fail"),
        ("PodmanArgs=--memory 1g '--privileged'", "fail"),
        ("PodmanArgs=--privileged=false", "pass"),
        ("PodmanArgs=--memory=1g \\\n  --pid host", "fail"),
        ("PodmanArgs=--security-opt seccomp=unconfined", "fail"),
        ("PodmanArgs=--cap-add SYS_ADMIN", "fail"),
        ("PodmanArgs=-v /:/host", "fail"),
        ("PodmanArgs=--privileged 'open", "unknown"),
        ("AddCapability=CHOWN NET_ADMIN", "fail"),
        ("AddCapability=CHOWN", "pass"),
        ("AddCapability=NET_ADMIN\nAddCapability=", "pass"),
        ("SecurityLabelDisable=true", "fail"),
        ("SecurityLabelDisable=false", "pass"),
        ("#SecurityLabelDisable=true", "pass"),
        ("SeccompProfile=unconfined", "fail"),
        ("Network=host", "fail"),
        ("AddDevice=/dev/sda", "fail"),
        ("Volume=/run/podman/podman.sock:/s", "fail"),
        ("Volume=%t/podman/podman.sock:/s", "fail"),
        ("Volume=/etc:/e:ro", "fail"),
        ("Volume=/srv/../etc:/e", "fail"),
        ("Volume=//etc:/e", "fail"),
        ("Volume=%h:/e", "fail"),
        ("Volume=/etc/localtime:/etc/localtime:ro", "pass"),
        ("Volume=/srv/data:/d", "pass"),
        ("Volume=named:/d", "pass"),
        ("Mount=type=bind,source=/,destination=/h", "fail"),
        ("Mount=type=tmpfs,destination=/h", "pass"),
        ("[Service]\nAddCapability=SYS_ADMIN", "pass"),
    ],
)
def test_quadlet_privileges(line, expected):
    found = findings(test_podman.test_podman_quadlet_privileges, files=quadlet(line))
    assert found == {QUADLET: expected}


def test_quadlet_privileges_that_the_site_allows():
    policy = Policy(devices=("/dev/fuse",), capabilities=("NET_ADMIN",), host_paths=("/etc/app",))
    lines = ("AddDevice=/dev/fuse", "AddCapability=NET_ADMIN", "Volume=/etc/app:/etc/app")
    found = findings(test_podman.test_podman_quadlet_privileges, policy, files=quadlet(*lines))
    assert found == {QUADLET: "pass"}


@pytest.mark.parametrize(
    ("line", "expected"),
    [("Volume=%h/.ssh:/k", "fail"), ("Volume=%h/data:/d", "pass"), ("Volume=%h:/h", "fail")],
)
def test_quadlets_of_users(line, expected):
    path = "/home/bob/.config/containers/systemd/a.container"
    found = findings(test_podman.test_podman_quadlet_privileges, files=quadlet(line, path=path))
    assert found == {path: expected}


def test_drop_ins_of_quadlets_count():
    drop_in = {f"{QUADLET}.d/x.conf": "[Container]\nPodmanArgs=--privileged\n"}
    files = quadlet(**drop_in)
    assert findings(test_podman.test_podman_quadlet_privileges, files=files) == {QUADLET: "fail"}


@pytest.mark.parametrize(
    ("path", "owner"),
    [
        (QUADLET, "root"),
        ("/etc/containers/systemd/users/1001/a.container", "bob"),
        ("/etc/containers/systemd/users/a.container", "every user"),
        ("/home/bob/.config/containers/systemd/a.container", "bob"),
        ("/run/user/1001/containers/systemd/a.container", "bob"),
    ],
)
def test_whose_a_quadlet_is(path, owner):
    found = facts.get(podman_host(files=quadlet(path=path)), "quadlet")
    assert [each.owner for each in found] == [owner]


def test_a_quadlet_whose_name_hides_its_text_is_unknown():
    path = "/home/bob/.config/containers/systemd/a:b.container"
    files = quadlet("PodmanArgs=--privileged", path=path)
    assert findings(test_podman.test_podman_quadlet_privileges, files=files) == {path: "unknown"}


@pytest.mark.parametrize(
    ("image", "expected"),
    [(DIGEST, "pass"), ("r.example/app:1", "fail"), ("app.image", "manual"), ("", "manual")],
)
def test_quadlet_image(image, expected):
    files = Files({QUADLET: f"[Container]\nImage={image}\n"})
    assert findings(test_podman.test_podman_quadlet_image, files=files) == {QUADLET: expected}


def test_no_quadlet_is_not_applicable():
    with pytest.raises(NotApplicable):
        facts.get(podman_host(), "quadlet")
