"""Builders, package managers and signatures on a real host: made wrong, audited, repaired."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import replace

import pytest

from hullcheck.catalogue import all_controls
from hullcheck.judge import Site, gather, judge
from hullcheck.transport import session_of
from hullcheck.transport.connect import connect
from hullcheck.transport.target import parse_spec
from tests.live.hosts.overlay import OverlayHost
from tests.recordings.parts import build_builders as parts

pytestmark = pytest.mark.live

CONTROLS = (
    "build.verified-archives", "build.verified-fetching", "build.single-package-index",
    "build.no-content-trust", "build.build-entitlements", "build.buildkit-api",
    "build.build-cache-bounded", "build.notation-trust", "engine.signature-keys",
)  # fmt: skip
SECRET = "hunter2planted"


@pytest.fixture(scope="module")
def made() -> Iterator[OverlayHost]:
    """A host of this module's own: it gets files in many places."""
    with OverlayHost("hostbk") as host:
        host.add_user("auditor")
        yield host


def audited(host: OverlayHost, *controls: str, user: str = "root") -> tuple[dict[str, str], bytes]:
    """Return what controls say, and all that came back of the host."""
    target = replace(parse_spec(f"paramiko://{user}@{host.name}"), ssh_config=host.ssh_config)
    there = connect(target)
    session = session_of(there)
    try:
        meant = [all_controls()[each] for each in controls]
        gather(meant, there, Site(host.name))
        found = {each.id: str(judge(each, there, Site(host.name)).status) for each in meant}
        assert session.late == 0
        return found, b"".join(each.stdout + each.stderr for each in session.recording)
    finally:
        session.close()


def test_everything_flips(made: OverlayHost) -> None:
    parts.builder_rotten(made)
    before = made.mark()
    bad, told = audited(made, *CONTROLS)
    assert set(bad.values()) == {"fail"}, bad
    assert SECRET.encode() not in told
    assert made.written(before) == []
    made.run(": >/etc/environment")
    trusting, _ = audited(made, "build.no-content-trust")
    assert trusting == {"build.no-content-trust": "fail"}, "the builder's own environment"
    made.run(
        "kill $(cat /run/bk.pid); rm -r /root/.docker /root/.curlrc;"
        " rm /etc/apt/sources.list.d/x.list /etc/apt/apt.conf.d/99x"
    )
    parts.builder_sound(made)
    made.run(f"chmod 644 {parts.KEY}")
    good, _ = audited(made, *CONTROLS)
    assert set(good.values()) == {"pass"}, good


def test_an_ordinary_user_decides_what_it_can(made: OverlayHost) -> None:
    """The system's archives are world-readable; what is in root's home, it cannot see."""
    made.run("chmod 700 /root")
    found, _ = audited(made, "build.verified-archives", "build.verified-fetching", user="auditor")
    assert found == {"build.verified-archives": "pass", "build.verified-fetching": "unknown"}
    made.write("/etc/wgetrc", "check_certificate = off\n")
    made.write("/etc/apt/sources.list.d/y.list", "deb [trusted=yes] http://y.example ./\n")
    try:
        found, _ = audited(made, *CONTROLS[:2], user="auditor")
        assert set(found.values()) == {"fail"}
    finally:
        made.run("rm /etc/wgetrc /etc/apt/sources.list.d/y.list")


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        ("ln -s dot/npmrc /home/bob/.npmrc", "fail"),
        ("ln -s /proc/kmsg /home/bob/.npmrc", "unknown"),
        ("mkdir ~/.pip; ln -s /etc/shadow ~/.pip/pip.conf", "unknown"),
        ("ln -s /dev/null /home/bob/.npmrc", ""),
        ("mkfifo /home/bob/.npmrc", "unknown"),
        ("head -c 9000000 /dev/zero >/home/bob/.npmrc", "unknown"),
        ("printf 'strict-ssl=\\0false\\n\\377\\n' >/home/bob/.npmrc", ""),
    ],
)
def test_what_users_leave_in_their_homes(made: OverlayHost, make: str, expected: str) -> None:
    made.run("useradd -m bob; su bob -c 'mkdir ~/dot; echo strict-ssl=false >~/dot/npmrc'")
    try:
        made.run(f"su bob -c {shlex.quote(make)}")
        found, told = audited(made, "build.verified-fetching")
        status = found["build.verified-fetching"]
        assert status == expected or (not expected and status in ("pass", "fail", "unknown"))
        assert b":$y$" not in told
    finally:
        made.run("userdel -r bob 2>/dev/null")
