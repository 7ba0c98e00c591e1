"""Whose a cgroup is, by paths of real hosts (container-host.md, section 2a)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hullcheck.facts.containers.cgroup_names import CgroupName, container_of

ID = "3f" * 32
OTHER = "a0" * 32
POD = "kubepods-besteffort-pod0a1b_2c.slice"
USER = "/user.slice/user-1000.slice/user@1000.service"


@pytest.mark.parametrize(
    ("path", "runtime", "number"),
    [
        (f"/system.slice/docker-{ID}.scope", "docker", ID),
        (f"/docker/{ID}", "docker", ID),
        (f"/odd-parent/{ID}", "", ID),
        (f"/actions_job/{ID}", "docker", ID),
        (f"{USER}/user.slice/docker-{ID}.scope", "docker", ID),
        (f"/machine.slice/libpod-{ID}.scope", "podman", ID),
        (f"/machine.slice/libpod-{ID}.scope/container", "podman", ID),
        (f"/machine.slice/machine-libpod_pod_{OTHER}.slice/libpod-{ID}.scope", "podman", ID),
        (f"/libpod_parent/libpod-{ID}", "podman", ID),
        (f"/system.slice/web.service/libpod-payload-{ID}", "podman", ID),
        (f"/kubepods.slice/kubepods-besteffort.slice/{POD}/cri-containerd-{ID}.scope",
         "containerd", ID),
        (f"/kubepods/besteffort/pod0a1b-2c/{ID}", "containerd", ID),
        (f"/system.slice/containerd.service/kubepods-besteffort-pod0a.slice:cri-containerd:{ID}",
         "containerd", ID),
        (f"/kubepods.slice/{POD}/crio-{ID}.scope/container", "cri-o", ID),
        (f"/system.slice/nerdctl-{ID}.scope", "containerd", ID),
        (f"/default/{ID}", "", ID),
        (f"/docker/{OTHER}/docker/{ID}", "docker", ID),
        (f"/docker/{OTHER}/kubepods/besteffort/pod1/{ID}", "containerd", ID),
        ("/lxc.payload.web", "lxc", "web"),
        ("/lxc.payload.web/system.slice/ssh.service", "lxc", "web"),
        ("/lxc/web", "lxc", "web"),
        ("/machine.slice/systemd-nspawn@web.service/payload/init.scope", "nspawn", "web"),
        ("/machine.slice/machine-web.scope", "nspawn", "web"),
        ("/system.slice/buildkit.service/buildkit/x1y2", "buildkit", "x1y2"),
    ],
)  # fmt: skip
def test_a_container(path: str, runtime: str, number: str) -> None:
    assert container_of(path) == CgroupName(runtime, number)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/init.scope",
        "/system.slice/docker.service",
        "/system.slice/containerd.service",
        f"/machine.slice/libpod-conmon-{ID}.scope",
        f"/kubepods.slice/{POD}/crio-conmon-{ID}.scope",
        "/machine.slice/machine-qemu-1-vm.scope",
        "/machine.slice/systemd-nspawn@web.service/supervisor",
        "/lxc.monitor.web",
        f"/system.slice/x{ID}",
        f"/docker/{ID[:63]}",
        "/user.slice/user-1000.slice/session-3.scope",
    ],
)
def test_no_container(path: str) -> None:
    assert container_of(path) is None


@given(st.text("0123456789abcdef/:.-dockerlibpnx", max_size=300))
def test_any_path(path: str) -> None:
    """No path of a kernel breaks it; what is found stands in the path."""
    found = container_of(path)
    assert found is None or found.id in path
