"""The operating-system benchmark on two live hosts: one all in order, one with every fault at once.

Each verdict of every host control is held: it passes on the first and fails on the second, but
for what is told here. The third host, a plain Debian, is judged from its recording:
``tests/unit/test_plain_debian.py``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import yaml

from hullcheck.catalogue import all_controls
from tests.live.hosts.overlay import OverlayHost
from tests.recordings.book import INDEX
from tests.recordings.parts import add_parts
from tests.recordings.scenes import rotten, sound

pytestmark = pytest.mark.live
ROOT = Path(__file__).parents[2]

NO_MODULES = "the kernel of this machine has neither AppArmor nor SELinux"
NO_SETTING = "this kernel has no such setting"
NODE = "another part of the host makes it a Kubernetes node, where a person must look"

NOT_PASSING = {
    "host.ptrace-scope": ("fail", "this kernel has no Yama"),
    "host.cgroup-version": ("fail", "this machine's v1 controllers are in use"),
    "host.separate-partitions": ("fail", "one disk serves all hosts of the machine"),
    "host.engine-program-versions": ("fail", "Debian 12's runc has no repair yet"),
    "host.lsm-enforcing": ("fail", NO_MODULES),
    "host.apparmor-profiles": ("not-applicable", NO_MODULES),
    "host.selinux-enforcing": ("not-applicable", NO_MODULES),
    "host.selinux-exceptions": ("not-applicable", NO_MODULES),
    "host.ssh-privileged-keys": ("manual", "the policy of the host names no keys"),
    "host.published-ports-filtered": ("not-applicable", "nothing is published"),
    "host.packet-forwarding": ("not-applicable", "containers need it"),
    "host.bridge-filter": ("not-applicable", "no pods on a bridge"),
    "host.unprivileged-user-namespaces": ("not-applicable", "remapped users need them"),
    "host.kexec": ("not-applicable", NO_SETTING),
    "host.sysrq": ("not-applicable", NO_SETTING),
    "host.cluster-ports": ("not-applicable", "nothing listens on one"),
    "host.remote-mounts": ("not-applicable", "no file system of another machine"),
    "host.hidden-processes": ("not-applicable", "the site does not want it"),
}  # fmt: skip

NOT_FAILING = {
    "host.apparmor-profiles": ("not-applicable", NO_MODULES),
    "host.selinux-enforcing": ("not-applicable", NO_MODULES),
    "host.selinux-exceptions": ("not-applicable", NO_MODULES),
    "host.seccomp-supported": ("pass", "the kernel is the machine's"),
    "host.cgroup-controllers": ("pass", "the kernel is the machine's"),
    "host.data-root-space": ("pass", "the disk is the machine's"),
    "host.swap-encrypted": ("not-applicable", "a node's swap is node-swap's matter"),
    "host.bridge-filter": ("pass", "this machine filters bridged traffic"),
    "host.password-age": ("manual", "the policy does not say how old passwords may be"),
    "host.sudo-users": ("manual", "the policy does not say who may become root"),
    "host.ssh-privileged-keys": ("manual", "the policy names no keys"),
    "host.core-dumps": ("manual", "a handler that nobody knows gets them"),
    "host.forward-denied": ("manual", NODE),
    "host.route-localnet": ("manual", NODE),
    "host.published-ports-filtered": ("not-applicable", "a node's network plugin publishes"),
    "host.packet-forwarding": ("not-applicable", "containers need it"),
    "host.unprivileged-user-namespaces": ("not-applicable", "a rootless engine needs them"),
    "host.kexec": ("not-applicable", NO_SETTING),
    "host.sysrq": ("not-applicable", NO_SETTING),
    "host.remote-mounts": ("not-applicable", "no file system of another machine"),
    "host.hidden-processes": ("not-applicable", "the site does not want it"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "scene", "usual", "others"),
    [("sound", sound, "pass", NOT_PASSING), ("rotten", rotten, "fail", NOT_FAILING)],
)
def test_every_verdict(
    tmp_path: Path,
    name: str,
    scene: Callable[[str], AbstractContextManager[OverlayHost]],
    usual: str,
    others: dict[str, tuple[str, str]],
) -> None:
    with scene(name) as host:
        add_parts(host, name)
        before = host.mark()
        found = audited(host, name, tmp_path)
        assert host.written(before) == []
    expected = {each: usual for each in all_controls() if each.startswith("host.")}
    expected |= {control: status for control, (status, _) in others.items()}
    differ = {
        control: (found[control], status)
        for control, status in expected.items()
        if found[control]["status"] != status
    }
    assert differ == {}, "control: (what was said, what is right)"


def audited(host: OverlayHost, name: str, place: Path) -> dict[str, dict[str, Any]]:
    """Audit a host over SSH as an operator would; return its verdicts by control."""
    policy = yaml.safe_load(INDEX.read_text())["recordings"][name]["policy"]
    (place / "policy.yml").write_text(yaml.safe_dump(policy))
    done = subprocess.run(
        [sys.executable, "-m", "hullcheck", "audit", f"ssh://{host.name}", "--ssh-config",
         str(host.ssh_config), "--policy", str(place / "policy.yml"), "--report-dir",
         str(place / "run")],
        cwd=ROOT, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout[-2000:] + done.stderr[-2000:]
    lines = (place / "run" / "verdicts.jsonl").read_text().splitlines()
    return {each["control"]: each for each in map(json.loads, lines)}
