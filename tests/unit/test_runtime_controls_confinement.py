"""AppArmor, SELinux, seccomp, masked paths where no live host goes, and the mistakes of peers."""

from types import SimpleNamespace

import pytest

from checks.runtime.test_confinement import (
    test_apparmor_profile as apparmor_profile,
)
from checks.runtime.test_confinement import (
    test_masked_paths as masked_paths,
)
from checks.runtime.test_confinement import (
    test_read_only_paths as read_only_paths,
)
from checks.runtime.test_confinement import (
    test_seccomp as seccomp,
)
from checks.runtime.test_confinement import (
    test_selinux_categories as selinux_categories,
)
from checks.runtime.test_confinement import (
    test_selinux_label as selinux_label,
)
from tests.unit.container_fake import (
    APP,
    OWN_MOUNTS,
    Fake,
    fake_host,
    findings,
    inspect,
    number,
    running,
    status,
    stopped,
)  # fmt: skip

PRESENT = ("/proc/keys", "/proc/sys", "/sys")


KERNEL_FILES = SimpleNamespace(
    all=lambda paths: [SimpleNamespace(path=each, exists=each in PRESENT) for each in paths]
)


def modules(apparmor=False, selinux=False):
    return {
        "lsm": SimpleNamespace(
            apparmor=SimpleNamespace(enabled=apparmor), selinux=SimpleNamespace(enabled=selinux)
        )
    }


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("docker-default (enforce)", "pass"),
        ("docker-default (complain)", "fail"),
        ("unconfined", "fail"),
        ("", "unknown"),
    ],
)
def test_apparmor(label, expected):
    """Peer mistake 44: what is enforced is judged, and only where there is AppArmor."""
    text = f"100/attr/current:{label}\n" if label else ""
    host = running(confinement=text, seeds=modules(apparmor=True), AppArmorProfile="docker-default")
    assert status(apparmor_profile, host) == expected
    assert status(apparmor_profile, running(seeds=modules())) == "not-applicable"


def test_apparmor_asked_for_otherwise():
    host = stopped(seeds=modules(apparmor=True), SecurityOpt=["apparmor:unconfined"])
    assert status(apparmor_profile, host) == "fail"


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("system_u:system_r:container_t:s0:c1,c2", "pass"),
        ("system_u:system_r:spc_t:s0", "fail"),
        ("system_u:system_r:container_t:s0", "fail"),
        ("", "unknown"),
    ],
)
def test_selinux(label, expected):
    """Peer mistake 44: any security option passes there, whatever it says."""
    text = f"100/attr/current:{label}\n" if label else ""
    host = running(confinement=text, seeds=modules(selinux=True), SecurityOpt=["seccomp=x"])
    assert status(selinux_label, host) == expected
    assert status(selinux_label, running(seeds=modules())) == "not-applicable"


def two(first: str, second: str, name: str = "other"):
    """Two containers under SELinux, with these levels."""
    labels = {"app": first, name: second}
    label = "{}/attr/current:system_u:system_r:container_t:{}\n"
    text = "".join(
        label.format(pid, level) for pid, level in zip((100, 200), labels.values(), strict=True)
    )
    described = [inspect(each, pid) for each, pid in zip(labels, (100, 200), strict=True)]
    processes = [Fake(100, number("app")), Fake(200, number(name))]
    host = fake_host(described, *processes, confinement=text, seeds=modules(selinux=True))
    return {name: str(each.status) for name, each in findings(selinux_categories, host).items()}


def test_selinux_categories_are_one_containers():
    assert two("s0:c1,c2", "s0:c1,c3") == {"app": "pass", "other": "pass"}
    assert two("s0:c1,c2", "s0:c1,c2") == {"app": "fail", "other": "fail"}
    assert two("s0", "s0") == {"app": "pass", "other": "pass"}, "the label's own control fails"


@pytest.mark.parametrize(
    ("line", "secrets", "settings"),
    [
        ("", "pass", "pass"),
        ("104 100 0:21 / /host/proc ro - proc proc rw\n", "fail", "pass"),
        ("104 100 0:21 / /host/proc rw - proc proc rw\n", "fail", "fail"),
        ("104 100 0:21 /sys /srv/settings rw - proc proc rw\n", "fail", "fail"),
        ("104 103 0:56 /kernel /sys/kernel rw - sysfs sysfs rw\n", "pass", "fail"),
    ],
)
def test_kernel_files_under_another_name(line, secrets, settings):
    """What is masked at /proc may lie open where the host's /proc is mounted once more."""
    masks = "".join(
        f"{number} 101 0:57 /null {path} ro - tmpfs tmpfs rw\n"
        for number, path in enumerate(("/proc/keys", "/proc/sys"), 110)
    )
    host = running(mounts=OWN_MOUNTS + masks + line, seeds={"files": KERNEL_FILES})
    assert status(masked_paths, host) == secrets
    assert status(read_only_paths, host) == settings


@pytest.mark.parametrize(
    ("mode", "options", "expected"),
    [
        (2, [], "pass"),
        (1, [], "pass"),
        (0, [], "fail"),
        (0, ['seccomp={"defaultAction":"SCMP_ACT_ERRNO"}'], "fail"),
        (2, ["seccomp:unconfined"], "fail"),
        (2, ['seccomp={"defaultAction":"SCMP_ACT_ALLOW"}'], "fail"),
        (2, ['seccomp={"defaultAction":"SCMP_ACT_ERRNO"}'], "pass"),
        (2, ["seccomp={nonsense"], "unknown"),
    ],
)
def test_seccomp_is_a_filter_on_every_process(mode, options, expected):
    host = running(Fake(100, APP, seccomp=mode), SecurityOpt=options)
    assert status(seccomp, host) == expected


def test_seccomp_of_stopped_containers_follows_the_engine():
    off = {"security_options": {"seccomp": {"profile": "unconfined"}}}
    assert status(seccomp, stopped(engine=off)) == "fail"
    assert status(seccomp, stopped(engine={"security_options": {}})) == "fail"
    assert status(seccomp, stopped()) == "pass"
