"""Podman of root and of an ordinary user, on a real host: found, judged, and left untouched."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from hullcheck import facts
from hullcheck.catalogue import all_controls
from hullcheck.facts.podman.store import Stored
from hullcheck.judge import Site, gather, judge
from hullcheck.transport import session_of
from hullcheck.transport.connect import connect
from hullcheck.transport.target import parse_spec
from tests.live.hosts.images import busybox_tar
from tests.live.hosts.overlay import OverlayHost

pytestmark = pytest.mark.live

PODMAN = "podman --runtime=runc --cgroup-manager=cgroupfs"
# Podman would raise these limits, for which root lacks a capability here.
LIMITS = "--network=none --ulimit=nofile=1024:1024 --ulimit=nproc=1024:1024"
IMAGE = "localhost/busybox:1"

# Without subordinate ids a user's Podman maps the user alone, and needs no newuidmap.
USER = """
useradd -m bob && sed -i /^bob:/d /etc/subuid /etc/subgid
install -d -m 700 -o bob /run/user/$(id -u bob)
"""

STATES = "find /var/lib/containers /srv/odd /home/bob -printf '%p %s %T@ %C@\\n' | sort"

LOOSE = {
    "/etc/containers/containers.conf": """
[containers]
privileged = true
pids_limit = 0
default_capabilities = ["SYS_ADMIN"]
pidns = "host"
""",
    "/etc/containers/registries.conf.d/a.conf": """
unqualified-search-registries = ["a.example", "b.example"]
[[registry]]
location = "r.example"
insecure = true
[[registry.mirror]]
location = "m.example"
insecure = true
""",
    "/etc/systemd/system/podman.socket.d/tcp.conf": "[Socket]\nListenStream=8080\n",
    "/etc/containers/systemd/app.container": """
[Container]
Image=r.example/app
PodmanArgs=--privileged
Volume=/run/podman/podman.sock:/run/podman.sock
""",
    "/etc/subuid": "bob:100000:65536\neve:120000:65536\n",
}
FAILING = (
    "insecure-registries", "registry-mirrors", "default-pids-limit", "default-capabilities",
    "seccomp-default", "signatures", "podman-short-names", "podman-api-socket",
    "podman-default-isolation", "podman-quadlet-privileges", "podman-quadlet-image",
    "podman-subordinate-ids",
)  # fmt: skip


def by(user: str, command: str) -> str:
    return f'su {user} -c "cd; XDG_RUNTIME_DIR=/run/user/$(id -u {user}) {command}"'


@pytest.fixture(scope="module")
def host() -> Iterator[OverlayHost]:
    with OverlayHost("podman1") as made:
        made.run("mkdir -p /var/lib/containers && mount -t tmpfs none /var/lib/containers" + USER)
        odd = f"{PODMAN} --root /srv/odd --runroot /run/odd --storage-driver=vfs"
        users = f"{PODMAN} --storage-driver=vfs"
        load, sleep = f"import - {IMAGE}", f"{IMAGE} sleep 1000000"
        for each in (f"{PODMAN} {load}", f"{odd} {load}", by("bob", f"{users} {load}")):
            made.run(each, stdin=busybox_tar())
        made.run(f"{PODMAN} run -d --name=web {LIMITS} --cap-add=SYS_ADMIN {sleep}")
        made.run(f"{PODMAN} run -d --rm --name=brief {LIMITS} {sleep}")
        made.run(f"{PODMAN} create --name=next --privileged {sleep}")
        made.run(f"{odd} run -d --name=odd {LIMITS} {sleep}")
        made.run(by("bob", f"{users} run -d --name=bobs --pid=host {LIMITS} {sleep}"))
        yield made


def statuses(host: OverlayHost, *names: str) -> dict[str, str]:
    there = connect(replace(parse_spec(f"paramiko://{host.name}"), ssh_config=host.ssh_config))
    try:
        controls = [all_controls()[f"engine.{name}"] for name in names]
        gather(controls, there, Site(host.name))
        found = [judge(each, there, Site(host.name)) for each in controls]
        assert session_of(there).late == 0
        return {name: str(each.status) for name, each in zip(names, found, strict=True)}
    finally:
        session_of(there).close()


def stored(host: OverlayHost) -> dict[str, Stored]:
    there = connect(replace(parse_spec(f"paramiko://{host.name}"), ssh_config=host.ssh_config))
    try:
        return {each.name: each for each in facts.get(there, "stored")}
    finally:
        session_of(there).close()


def test_every_store_is_read_and_none_is_written(host):
    before, mark = host.run(STATES).stdout, host.mark()
    found = stored(host)
    assert host.run(STATES).stdout == before
    assert host.written(mark) == []
    assert sorted(found) == ["bobs", "brief", "next", "odd", "web"]
    for name in ("bobs", "brief", "odd", "web"):
        pid = found[name].pid
        running = host.run(f"tr '\\0' ' ' </proc/{pid}/cmdline").stdout
        assert "1000000" in running, name
        assert found[name].spec["process"]["args"], name
    assert found["next"].pid is None
    assert found["bobs"].owner == "bob" and found["bobs"].rootless
    assert found["odd"].graphroot == "/srv/odd" and not found["odd"].rootless
    assert "CAP_SYS_ADMIN" in found["web"].spec["process"]["capabilities"]["bounding"]


def test_a_stopped_container_has_no_process(host):
    host.run(f"{PODMAN} run -d --name=over {LIMITS} {IMAGE} sleep 9 && {PODMAN} stop -t 0 over")
    found = stored(host)["over"]
    host.run(f"{PODMAN} rm over")
    assert found.pid is None and found.spec["process"]["args"]


def test_settings_as_installed_and_as_loose_as_can_be(host):
    shipped = statuses(host, *FAILING)
    assert {name for name, status in shipped.items() if status == "fail"} == {"signatures"}
    kept = host.run("cat /etc/subuid").stdout
    try:
        for path, text in LOOSE.items():
            host.write(path, text)
        assert set(statuses(host, *FAILING).values()) == {"fail"}
    finally:
        host.run(f"rm -r {' '.join(path for path in LOOSE if path != '/etc/subuid')}")
        host.write("/etc/subuid", kept)
