"""Every verdict on the populated host, each checked by hand on it, pinned one by one.

A new control has no row here yet: look at what it says of this host, then write the row. What is
asked of the operating system alone ``test_host_benchmark.py`` holds.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from hullcheck.catalogue import all_controls
from tests.live.first_light import CONTAINERS, OTHERS
from tests.live.hosts.docker import DockerHost
from tests.live.hosts.population import populate

pytestmark = pytest.mark.live
ROOT = Path(__file__).parents[2]

# What the machine decides, asked of it in other words than the audit's: each line "NAME VALUE".
ASK = r"""
sysctl() { echo "$1 $(cat "/proc/sys/$(echo "$1" | tr . /)" 2>/dev/null)"; }
for name in kernel.randomize_va_space kernel.dmesg_restrict kernel.kptr_restrict \
    kernel.unprivileged_bpf_disabled kernel.yama.ptrace_scope fs.protected_symlinks \
    fs.protected_hardlinks fs.protected_fifos fs.protected_regular fs.suid_dumpable \
    kernel.core_pattern kernel.threads-max user.max_user_namespaces \
    kernel.unprivileged_userns_clone kernel.apparmor_restrict_unprivileged_userns \
    kernel.seccomp.actions_avail net.bridge.bridge-nf-call-iptables
do sysctl $name; done
echo "controllers $(ls /sys/fs/cgroup | tr '\n' ' ')"
echo "cmdline $(cat /proc/cmdline)"
echo "lockdown $(cat /sys/kernel/security/lockdown 2>/dev/null)"
echo "flaws $(cat /sys/devices/system/cpu/vulnerabilities/* 2>/dev/null | grep -c ^Vulnerable)"
echo "spaces $(readlink /proc/[0-9]*/ns/user | sort -u | wc -l)"
echo "modules $(cat /sys/module/apparmor/parameters/enabled /sys/fs/selinux/enforce 2>/dev/null)"
echo "devices $(stat -c %d / /var/lib/docker | tr '\n' ' ')"
echo "full $(df --output=pcent,ipcent /var/lib/docker | tail -1 | tr -d %)"
echo "swaps $(grep -vc '^Filename\|^/dev/zram' /proc/swaps)"
echo "built $(docker version -f '{{.Server.BuildTime}}')"
echo "warnings $(docker info 2>&1 | grep -c WARNING)"
"""


SYSTEMD_SOCKET = "/run/docker.sock"
"""Where a systemd host of another test may listen: the list of sockets is the machine's. This
host's own engine listens on /var/run/docker.sock, the same file."""


@pytest.fixture(scope="module")
def host() -> Iterator[DockerHost]:
    with DockerHost("first") as made:
        populate(made, quiet=True)
        yield made


@pytest.fixture(scope="module")
def verdicts(host: DockerHost, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    directory = tmp_path_factory.mktemp("first") / "run"
    done = subprocess.run(
        [sys.executable, "-m", "hullcheck", "audit", f"ssh://{host.name}", "--ssh-config",
         str(host.ssh_config), "--report-dir", str(directory)],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    return [json.loads(line) for line in (directory / "verdicts.jsonl").read_text().splitlines()]


def short(status: str) -> str:
    return "n/a" if status == "not-applicable" else status


def expected_of_containers(host: DockerHost) -> dict[tuple[str, str], str]:
    header, *rows = CONTAINERS.strip().splitlines()
    found = {}
    for control, *cells in map(str.split, rows):
        for name, status in zip(header.split(), cells, strict=True):
            found[f"runtime.{control}", name] = status
    if host.cgroup_layout == "v2":  # where own cgroup namespaces are Docker's default
        found |= {key: "pass" for key in found if key[0] == "runtime.host-cgroup-namespace"}
    return {key: each for key, each in found.items() if host.bridge or key[1] != "front"}


def expected_of_the_machine(host: DockerHost) -> dict[tuple[str, str], str]:
    """Return what holds for the kernel under the host, from the machine itself."""
    pairs = (line.split(" ", 1) for line in host.run(ASK).stdout.strip().splitlines())
    said = {name: value.strip() for name, value in pairs}

    def among(name: str, *right: str) -> str:
        return "pass" if said[name] in right else "fail"

    links = [among(f"fs.protected_{name}", "1") for name in ("symlinks", "hardlinks")]
    links += [among(f"fs.protected_{name}", "1", "2") for name in ("fifos", "regular")]
    clone = said["kernel.unprivileged_userns_clone"]
    restricted = said["kernel.apparmor_restrict_unprivileged_userns"]
    if not clone and not restricted:
        every = "n/a" if int(said["spaces"]) > 1 else among("user.max_user_namespaces", "0")
    else:
        every = "pass" if clone == "0" or restricted == "1" else "fail"
    allowed = int(said["user.max_user_namespaces"])
    bound = max(int(said["kernel.threads-max"]) // 2, 1 << 20)
    wanted = {"cpu", "memory", "pids", "blkio"}
    first, second = said["devices"].split()
    age = datetime.now(UTC) - datetime.fromisoformat(said["built"][:19] + "+00:00")
    lockdown = re.search(r"\[(\w+)\]", said["lockdown"])
    found = {
        "host.aslr": among("kernel.randomize_va_space", "2"),
        "host.dmesg-restrict": among("kernel.dmesg_restrict", "1"),
        "host.kptr-restrict": among("kernel.kptr_restrict", "1", "2"),
        "host.unprivileged-bpf": among("kernel.unprivileged_bpf_disabled", "1", "2"),
        "host.ptrace-scope": among("kernel.yama.ptrace_scope", "1", "2", "3"),
        "host.protected-links": "fail" if "fail" in links else "pass",
        "host.suid-dumpable": among("fs.suid_dumpable", "0"),
        "host.core-pattern": among("kernel.core_pattern", "core"),
        "host.seccomp-supported": "pass" if said["kernel.seccomp.actions_avail"] else "fail",
        "host.cgroup-version": "pass" if host.cgroup_layout == "v2" else "fail",
        "host.cgroup-controllers": "pass" if wanted <= set(said["controllers"].split()) else "fail",
        "host.kernel-lockdown": "unknown" if not lockdown else
                                "fail" if lockdown[1] == "none" else "pass",
        "host.cpu-vulnerabilities": "pass" if said["flaws"] == "0" else "fail",
        "host.mitigations-on": "fail" if "=off" in said["cmdline"] else "pass",
        "host.user-namespaces": "pass" if allowed <= bound else "fail",
        "host.unprivileged-user-namespaces": every,
        "host.lsm-enforcing": "fail",
        "host.apparmor-profiles": "n/a",
        "host.selinux-enforcing": "n/a",
        "host.data-root-partition": "pass" if first != second else "fail",
        "host.data-root-space": "fail" if max(map(int, said["full"].split())) > 85 else "pass",
        "host.swap-encrypted": "pass" if said["swaps"] in ("", "0") else "fail",
        "engine.version": "manual" if age.days <= 365 else "fail",
        "engine.warnings": "pass" if said["warnings"] == "0" else "manual",
        "engine.inter-container-traffic": "fail" if host.bridge else "n/a",
    }  # fmt: skip
    if said["modules"] not in ("", "N"):
        pytest.skip("a machine with AppArmor or SELinux: these tables are of one without")
    roots = ("host.data-root-partition", "host.data-root-space")
    engines = {name: "engine" for name in found if name.startswith("engine.")}
    about = engines | dict.fromkeys(roots, "/var/lib/docker")
    return {(name, about.get(name, "host")): status for name, status in found.items()}


def test_every_verdict(host: DockerHost, verdicts: list[dict[str, Any]]) -> None:
    expected = expected_of_containers(host) | expected_of_the_machine(host)
    for row in OTHERS.strip().splitlines():
        control, status, name = row.split()
        expected[control, name] = status
    rows = {control for control, _ in expected}
    others = set(all_controls()) - rows
    assert rows <= set(all_controls())
    quiet = {each["control"] for each in verdicts if each["status"] in ("pass", "not-applicable")}
    lacking = {each for each in others if not each.startswith("host.")} - quiet
    assert lacking == set(), "a row for each control that has something to say"
    patterns = [name for _, name in expected if "*" in name]
    seen = {}
    for verdict in verdicts:
        for finding in verdict["findings"]:
            about = finding["object"]
            name = "host" if about["kind"] == "host" else about["name"]
            if about["kind"] == "engine":
                name = name.split()[0].replace("docker", "engine")
            name = next((each for each in patterns if fnmatchcase(name, each)), name)
            if name == SYSTEMD_SOCKET:
                continue
            if verdict["control"] in rows:
                seen[verdict["control"], name] = short(finding["status"])
    differ = {
        key: (seen.get(key), expected.get(key))
        for key in seen.keys() | expected.keys()
        if seen.get(key) != expected.get(key)
    }
    assert differ == {}, "of (control, object): (what was said, what is right)"


def test_what_is_said_of_the_one_that_hides(verdicts: list[dict[str, Any]]) -> None:
    """Its reasons name what it hides behind."""
    reasons = {
        verdict["control"]: finding["reason"]
        for verdict in verdicts
        for finding in verdict["findings"]
        if finding["object"]["name"] == "vanilla-app" and finding["status"] == "fail"
    }
    for control, told in (
        ("host-network", "its net namespace is the host's"),
        ("shared-namespaces", "container whose processes it asked for: helper"),
        ("engine-socket", "/run at /data (read-only) leads to /run/docker.sock"),
        ("capabilities", "CAP_DAC_READ_SEARCH, CAP_NET_ADMIN, CAP_SYS_ADMIN"),
        ("seccomp", "the seccomp profile asked for is one that allows everything"),
        ("memory-limit", "bytes of memory allowed is 1099511627776"),
        ("entered-process", "(sleep) beyond the first's: every one"),
        ("entered-process", "seccomp filter, uts namespace"),
    ):
        assert told in reasons[f"runtime.{control}"]


def test_sentences_are_short_and_plain(verdicts: list[dict[str, Any]]) -> None:
    for verdict in verdicts:
        for finding in verdict["findings"]:
            assert len(finding["reason"]) < 500, verdict["control"]
            if not verdict["control"].startswith("engine."):
                assert not re.search(r"is (true|false), expected", finding["reason"])
