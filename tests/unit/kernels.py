"""Hosts with kernels of several kinds, for unit tests, and verdicts on them."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from testinfra.host import Host

from hullcheck.catalogue import all_controls
from hullcheck.facts.docker import Engines
from hullcheck.facts.kernel import (
    OPTIONS,
    RELEASE,
    STATE,
    VULNERABILITIES,
    config_want,
)
from hullcheck.facts.sysctl import SYSCTLS, sysctl_path
from hullcheck.facts.texts import sweep
from hullcheck.inventory.policy import Policy
from hullcheck.judge import Site, judge
from hullcheck.transport import session_of
from hullcheck.verdict import Object, Verdict
from tests.unit.fake import Reply, host_with
from tests.unit.sysctl_fake import after_boot

MOUNTS = "cat /proc/1/mountinfo 2>/dev/null || cat /proc/self/mountinfo"
SYS = "21 1 0:20 / /sys rw - sysfs sysfs rw\n"
V2 = SYS + "30 21 0:26 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = SYS + (
    "30 21 0:26 / /sys/fs/cgroup ro shared:9 - tmpfs tmpfs ro,mode=755\n"
    "31 30 0:27 / /sys/fs/cgroup/systemd rw shared:10 - cgroup cgroup rw,xattr,name=systemd\n"
    "32 30 0:28 / /sys/fs/cgroup/memory rw shared:11 - cgroup cgroup rw,memory\n"
    "33 30 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:12 - cgroup cgroup rw,cpu,cpuacct\n"
)
HYBRID = V1 + "34 30 0:30 / /sys/fs/cgroup/unified rw shared:13 - cgroup2 cgroup2 rw\n"
PROC_CGROUPS = (
    "#subsys_name\thierarchy\tnum_cgroups\tenabled\n"
    "cpu\t1\t1\t1\ncpuacct\t1\t1\t1\nmemory\t0\t1\t0\npids\t3\t1\t1\n"
)
STATUS = "Name:\tgrep\nNoNewPrivs:\t0\nSeccomp:\t0\nSeccomp_filters:\t0"
SETTINGS = {
    "kernel.ostype": "Linux",
    "kernel.core_pattern": "|/usr/share/apport/apport -p%p %P",
    "kernel.dmesg_restrict": "1",
    "user.max_user_namespaces": "63432",
}
FILES = {
    "/proc/cmdline": 'BOOT_IMAGE=/vmlinuz root=/dev/vda1 ro mitigations=off dyndbg="a b" -- x=1',
    "/proc/cgroups": PROC_CGROUPS,
    "/proc/filesystems": "nodev\tsysfs\nnodev\tsecurityfs\n\text4",
    "/proc/self/status": STATUS,
    "/sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory pids",
    "/sys/fs/cgroup/cgroup.subtree_control": "cpu memory pids",
    "/sys/kernel/security/lsm": "lockdown,capability,landlock,yama,apparmor",
    "/sys/kernel/security/lockdown": "none [integrity] confidentiality",
}


def grepped(
    files: Mapping[str, str], asked: list[str], denied: tuple[str, ...] = ()
) -> tuple[int, str, str]:
    """What ``grep -H ''`` gives for some files."""
    out = "".join(f"{path}:{line}\n" for path, text in files.items() for line in text.split("\n"))
    missing = [path for path in asked if path not in files]
    err = "".join(
        f"grep: {path}: {'Permission denied' if path in denied else 'No such file or directory'}\n"
        for path in missing
    )
    return (2 if missing else 0, out, err)


def host(
    files: Mapping[str, str] | None = None,
    settings: Mapping[str, str] | None = None,
    *,
    without: tuple[str, ...] = (),
    denied: tuple[str, ...] = (),
    mounts: str = V2,
    release: str = "6.1.0-13-amd64",
    vulnerabilities: str = "",
    config: Reply = "",
    more: Mapping[str, Reply] | None = None,
) -> Host:
    """A host with the usual files and settings, some added, some left out."""
    state = {**FILES, **(files or {})}
    values = {**SETTINGS, **(settings or {})}
    for name in (*without, *denied):
        state.pop(name, None)
        values.pop(name, None)
    paths = [sysctl_path(name) for name in SYSCTLS]
    by_path = {sysctl_path(name): value for name, value in values.items()}
    secret = (*denied, *map(sysctl_path, denied))
    return host_with(
        {
            sweep(STATE).command: grepped(state, list(STATE), secret),
            sweep(paths).command: grepped(by_path, paths, secret),
            RELEASE.command: f"{release}\n",
            VULNERABILITIES.command: vulnerabilities,
            config_want(OPTIONS).command: config,
            MOUNTS: mounts,
            **after_boot(),
            **(more or {}),
        }
    )


def engine(**values: Any) -> SimpleNamespace:
    """A rootful Docker engine, as far as host controls look at one."""
    usual = {
        "rootless": False,
        "security_options": {"seccomp": {}, "cgroupns": {}},
        "root_dir": "/var/lib/docker",
        "info": {},
        "sockets": ("/run/docker.sock",),
        "setting": lambda name: SimpleNamespace(value={"group": "docker"}[name]),
        "object": Object("engine", "docker /run/docker.sock"),
    }
    return SimpleNamespace(**{**usual, **values})


def verdict(
    control: str, here: Host, *engines: SimpleNamespace, policy: Policy | None = None, **facts: Any
) -> Verdict:
    """Judge a host control, with these engines on the host, and these facts instead of its own."""
    found = Engines(tuple(engines), (), (), "")  # type: ignore[arg-type]
    given = {"engines": found, "docker": list(engines), "processes": [], **facts}
    for name, value in given.items():
        session_of(here).recall(("provider", name), lambda value=value: value)
    return judge(all_controls()[control], here, Site(policy=policy or Policy()))
