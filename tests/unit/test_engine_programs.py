"""Engine programs: whose they are, what was changed, how old they are; old services, compilers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from testinfra.host import Host

from checks.host.test_packages import test_engine_program_versions as versions_control
from checks.host.test_packages import test_engine_programs_intact as intact_control
from checks.host.test_services import test_compilers as compilers_control
from checks.host.test_services import test_legacy_services as legacy_control
from checks.host.test_updates import test_engine_restarted as restarted_control
from hullcheck.control import Unknown
from hullcheck.facts import engine_programs as facts
from hullcheck.facts.compilers import FOUND, Compilers
from hullcheck.facts.engine_programs import (
    EnginePrograms,
    Running,
    parse_rpm_verify,
)
from hullcheck.facts.floors import AS_OF, FLOORS, EngineProgram, Repair, parse_versions
from hullcheck.facts.legacy import Legacy, Service
from hullcheck.facts.role import BUILD_HOST, ROOTFUL, Role
from hullcheck.inventory.policy import Policy
from hullcheck.transport import CannotAnswer
from tests.unit.fake import Reply, host_with
from tests.unit.judged import outcome

SUM = "0f98d335c5fbdfcf61dc43cbb0af2f68"
OTHER = SUM[::-1]
DPKG = """docker.io.list:/usr/sbin/dockerd
runc.list:/usr/sbin/runc
runc.list:/usr/bin/runc
"""
DOCKERD = f"{SUM} docker.io /usr/sbin/dockerd\t/usr/sbin/dockerd\n"
RUNC = f"{SUM} runc /usr/sbin/runc\t/usr/sbin/runc\n"


def sums(noted: str = DOCKERD + RUNC, **seen: str) -> str:
    """What the checksums of dpkg's packages and of their files are, the latter by name."""
    found = {"dockerd": SUM, "runc": SUM} | seen
    return f"{noted}\n==\n" + "".join(f"{found[each]}  /usr/sbin/{each}\n" for each in found)


SUMS = sums()
DENIED = "md5sum: /usr/sbin/dockerd: Permission denied\n"
GONE = "md5sum: /usr/sbin/dockerd: No such file or directory\n"
HALF = f"{DOCKERD}{RUNC}==\n{SUM}  /usr/sbin/runc\n"
DIVERTED = DOCKERD.replace("\t/usr/sbin/dockerd", "\t/usr/sbin/distrib")
LINK = "/usr/bin/runc /usr/sbin/runc\n"
NO: Reply = (1, "")


def programs(**answers: Reply) -> Host:
    base: dict[str, Reply] = {"there": (1, "/usr/sbin/dockerd\n/usr/bin/runc\n"), "links": LINK,
        "dpkg": NO, "sums": NO, "rpm": NO, "rpm_verify": NO, "apk": ""}  # fmt: skip
    wants = {
        "there": facts.THERE, "links": facts.LINKS, "dpkg": facts.DPKG_FILES, "sums":
        facts.DPKG_SUMS, "rpm": facts.RPM_FILES, "rpm_verify": facts.RPM_VERIFY, "apk":
        facts.APK_FILES,
    }  # fmt: skip
    return host_with({wants[name].command: reply for name, reply in (base | answers).items()})


def seen(host: Host, running: tuple[Any, ...] = (), unseen: tuple[str, ...] = ()) -> Any:
    """The facts of a host, with what runs there given by hand."""
    found = EnginePrograms(host)
    there = found.installed - set(found.owners)
    paths = {each.path for each in running} | {found.links.get(each, each) for each in there}
    return SimpleNamespace(
        running=(list(running), list(unseen)), owners=found.owners, installed=found.installed,
        changed=found.changed, unowned=sorted(paths - set(found.owners)),
    )  # fmt: skip


RPM = "containerd.io /usr/bin/runc\ndocker-ce /usr/sbin/dockerd\n"


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({"dpkg": DPKG, "sums": SUMS}, "pass"),
        ({"dpkg": DPKG, "sums": sums(dockerd=OTHER)}, "fail"),
        ({"dpkg": DPKG, "sums": sums(runc=OTHER)}, "fail"),
        ({"dpkg": DPKG, "sums": (123, HALF, GONE)}, "fail"),
        ({"dpkg": DPKG, "sums": (123, HALF, "md5sum: can't open '/usr/sbin/dockerd': No such file "
                                 "or directory\n")}, "fail"),
        ({"dpkg": DPKG, "sums": (123, HALF, DENIED)}, "unknown"),
        ({"dpkg": DPKG, "sums": (123, HALF)}, "unknown"),
        ({"dpkg": DPKG, "sums": (127, HALF, "xargs: md5sum: No such file or directory\n")},
         "unknown"),
        ({"dpkg": DPKG, "sums": SUMS.replace("==", "")}, "unknown"),
        ({"dpkg": DPKG, "sums": SUMS[:-1]}, "unknown"),
        ({"dpkg": DPKG, "sums": sums("nonsense\n")}, "unknown"),
        ({"dpkg": DPKG, "sums": ""}, "unknown"),
        ({"dpkg": DPKG, "sums": (1, "")}, "unknown"),
        ({"dpkg": DPKG, "sums": (123, sums(RUNC), "cat: docker.io.md5sums: No such file\n")},
         "unknown"),
        ({"dpkg": DPKG, "sums": sums(DIVERTED + RUNC, dockerd=OTHER, distrib=SUM)}, "pass"),
        ({"dpkg": DPKG, "sums": sums(DIVERTED + RUNC, distrib=OTHER)}, "fail"),
        ({"dpkg": DPKG, "sums": SUMS, "links": "/usr/bin/runc /tmp/runc\n"}, "unknown"),
        ({"dpkg": DPKG, "sums": SUMS, "there": "/usr/local/bin/dockerd\n"}, "unknown"),
        ({"dpkg": DPKG.replace("/usr/sbin/d", "/sbin/d"), "sums": SUMS}, "pass"),
        ({"dpkg": (2, DPKG, "grep: x.list: Permission denied\n"), "sums": SUMS}, "unknown"),
        ({"dpkg": "nonsense\n", "sums": SUMS}, "unknown"),
        ({"rpm": RPM}, "unknown"),
        ({"rpm": RPM, "rpm_verify": ""}, "pass"),
        ({"rpm": RPM, "rpm_verify": (1, "S.5....T.    /usr/bin/runc\n")}, "fail"),
        ({"rpm": RPM, "rpm_verify": (1, ".......T.    /usr/bin/runc\n")}, "pass"),
        ({"rpm": RPM, "rpm_verify": (1, "S.5....T.  c /etc/docker/daemon.json\n")}, "pass"),
        ({"rpm": RPM, "rpm_verify": (1, ".M.......    /usr/bin/runc\n")}, "fail"),
        ({"rpm": RPM, "rpm_verify": (1, "missing     /usr/bin/runc\n")}, "fail"),
        ({"rpm": RPM, "rpm_verify": (1, "..?......    /usr/bin/runc\n")}, "unknown"),
        ({"rpm": RPM + "file /usr/bin/crun is not owned by any package\n", "rpm_verify": ""},
         "pass"),
        ({"there": (1, ""), "links": ""}, "not-applicable"),
        ({"there": (1, "", "stat: cannot statx '/usr/sbin/runc': Permission denied\n")}, "unknown"),
    ],
)  # fmt: skip
def test_what_was_changed(answers: Mapping[str, Reply], expected: str) -> None:
    """Settings are meant to be changed. What has no checksum, leads elsewhere, cannot be read or
    has no owner is not known to be right."""
    try:
        found = seen(programs(**answers))
    except (Unknown, CannotAnswer):
        assert expected == "unknown"
    else:
        assert outcome(intact_control, found) == expected


def test_apk() -> None:
    """Its database holds the SHA-1 of each file; ``Q2`` is of a later kind."""
    text = "runc /usr/bin/runc Q1{0} {1}\n"
    right, sha = "qZk+NkcGgWq6PiVxeFDCbJzQ2J0=", "a9993e364706816aba3e25717850c26c9cd0d89d"
    where: dict[str, Reply] = {"there": "/usr/bin/runc\n", "links": ""}
    for line, expected in (
        (text.format(right, sha), "pass"),
        (text.format(right, sha.replace("a", "b")), "fail"),
        (text.format(right, sha).replace("Q1", "Q2"), "unknown"),
        (text.format("!", sha), "unknown"),
    ):
        assert outcome(intact_control, seen(programs(apk=line, **where))) == expected


def test_a_program_that_was_replaced_while_it_runs() -> None:
    def running(*replaced: bool) -> Any:
        process: Any = SimpleNamespace()
        made = [Running(process, "/usr/sbin/dockerd", each) for each in replaced]
        return SimpleNamespace(running=(made, []))

    assert outcome(restarted_control, running(False)) == "pass"
    assert outcome(restarted_control, running(False, True)) == "fail"
    assert outcome(restarted_control, running()) == "not-applicable"
    hidden = SimpleNamespace(running=([], ["needs root"]))
    assert outcome(restarted_control, hidden) == "unknown"


def test_damaged_verification() -> None:
    with pytest.raises(Unknown):
        parse_rpm_verify(["Unsatisfied dependencies for docker-ce"])


SAYS = """@ /usr/sbin/runc /usr/sbin/runc
runc version 1.1.5+ds1
commit: 1.1.5+ds1-1+deb12u1
@ /usr/bin/runc /usr/sbin/runc
runc version 9.9.9
@ /usr/bin/containerd /usr/bin/containerd
containerd github.com/containerd/containerd v1.7.22 7f7fdf5fed64eb6a7caf99b3e12efcf9d60e311c
@ /usr/sbin/dockerd /usr/sbin/dockerd
Docker version 20.10.24+dfsg1, build 5d6db84
@ /usr/bin/crio /usr/bin/crio
crio version 1.28.1
@ /usr/bin/kubelet /usr/bin/kubelet
Kubernetes v1.31.6
@ /usr/bin/buildkitd /usr/bin/buildkitd
buildkitd github.com/moby/buildkit v0.12.5 bac3f2b673f3f9d33e79046008e7a38e856b3dc6
@ /usr/bin/crun /usr/bin/crun
crun version 1.8.1
@ /usr/bin/podman /usr/bin/podman
! /usr/local/bin/runc
"""


def test_what_programs_say_of_themselves() -> None:
    found = {path: version for path, version, _ in parse_versions(SAYS.splitlines())}
    assert found == {
        "/usr/sbin/runc": "1.1.5+ds1", "/usr/bin/containerd": "1.7.22",
        "/usr/sbin/dockerd": "20.10.24+dfsg1", "/usr/bin/crio": "1.28.1",
        "/usr/bin/kubelet": "1.31.6", "/usr/bin/buildkitd": "0.12.5", "/usr/bin/crun": "1.8.1",
        "/usr/bin/podman": "", "/usr/local/bin/runc": "",
    }  # fmt: skip


NEVER, LATER = Repair("", "x"), Repair("1.1.15+ds1-2+deb13u1", "x")
FRESH = datetime.combine(AS_OF, datetime.min.time(), UTC)


def runc(version: str, package: str = "", packaged: str = "", repair: Repair | None = None) -> Any:
    return EngineProgram("runc", "/usr/sbin/runc", version, package, packaged, "dpkg", repair)


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (runc("1.2.8"), "pass"),
        (runc("1.3.2"), "fail"),
        (runc("1.3.3"), "pass"),
        (runc("1.4.0-rc.2"), "fail"),
        (runc("1.4.0"), "pass"),
        (runc("1.5.1"), "pass"),
        (runc("2.0.0"), "pass"),
        (runc("1.1.15"), "fail"),
        (runc(""), "unknown"),
        (runc("unknown"), "unknown"),
        (runc("1.2.5", "containerd.io", "1.7.27-1"), "fail"),
        (runc("1.3.3", "runc", "1.3.3-0ubuntu1~24.04.3"), "pass"),
        (runc("1.2.5", "runc", "4:1.2.5-2.el9_6"), "manual"),
        (runc("1.1.5", "runc", "1.1.5+ds1-1+deb12u1", NEVER), "fail"),
        (runc("1.1.15", "runc", "1.1.15+ds1-2+deb13u1", LATER), "pass"),
        (runc("1.1.15", "runc", "1.1.15+ds1-2+b4", LATER), "fail"),
    ],
)
def test_known_escapes(program: EngineProgram, expected: str) -> None:
    """A number of the makers' own tells; one of a distribution, which repairs under old numbers,
    only where it is known."""
    assert outcome(versions_control, program, FRESH) == expected


def test_the_table_does_not_rot_unseen() -> None:
    old = FRESH + timedelta(days=181)
    assert outcome(versions_control, runc("1.4.1"), old) == "unknown"
    assert outcome(versions_control, runc("1.1.1"), old) == "fail"
    assert all(floor.branches == tuple(sorted(floor.branches)) for floor in FLOORS.values())


def test_old_services() -> None:
    tftp = Legacy((Service("tftp", "tftpd-hpa.service runs"),), ())
    for legacy, allowed, expected in (
        (Legacy((), ()), (), "pass"),
        (tftp, (), "fail"),
        (tftp, ("tftp",), "pass"),
        (Legacy((), ("no init system was found",)), (), "unknown"),
        (Legacy(tftp.services, ("no init system was found",)), (), "fail"),
    ):
        policy = Policy(services_allowed=allowed)
        assert outcome(legacy_control, legacy, policy) == expected


def test_compilers() -> None:
    gcc = Compilers(("/usr/bin/gcc",), modules=False)
    plain, build = Role(frozenset({ROOTFUL}), "x"), Role(frozenset({BUILD_HOST}), "x")
    for found, role, expected in (
        (gcc, plain, "fail"),
        (gcc, build, "not-applicable"),
        (Compilers(gcc.paths, modules=True), plain, "manual"),
        (Compilers((), modules=False), plain, "pass"),
    ):
        assert outcome(compilers_control, found, role) == expected
    assert "/usr/bin" in FOUND.command
