"""Who wants his container taken for another's, and what only looks like a container."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping

import pytest

from hullcheck.facts.containers.membership import BIRTH
from tests.live.hosts.docker import DockerHost
from tests.live.hosts.runc import ROOT, ctr, runc, unpack
from tests.live.hosts.systemd import SystemdHost
from tests.live.test_evasion import audit

pytestmark = pytest.mark.live

GHOST = "cd" * 32
STORE = "/home/eve/.local/share/containers/storage/overlay-containers"
PLANTED = json.dumps([{
    "id": GHOST, "names": ["web"], "metadata": json.dumps({"name": "web", "image-name": "app"}),
}])  # fmt: skip
CLAIM = f"""cat >/tmp/planted && su eve -c '
mkdir -p {STORE}/{GHOST}/userdata && cp /tmp/planted {STORE}/containers.json
echo "{{\\"linux\\": {{}}}}" >{STORE}/{GHOST}/userdata/config.json'
"""
HEADLESS = """import ctypes, threading, time
threading.Thread(target=lambda: time.sleep(1000000)).start()
ctypes.CDLL(None).syscall(60, 0)
"""
UNSEEN = """
setsid unshare -p -f --kill-child python3 /srv/headless.py </dev/null >/dev/null 2>&1 &
setsid su eve -c 'exec unshare -U -p -f --map-current-user sleep 3000003' \\
    </dev/null >/dev/null 2>&1 &
"""


def registered(host: DockerHost) -> Mapping[str, str]:
    findings = audit(host, "runtime.registered").findings
    return {each.object.name: str(each.status) for each in findings}


def test_what_hides_behind_another(docker_host: DockerHost) -> None:
    """A user's store claims what root's runc has started; ctr works in a kubelet's namespace; the
    first thread of a process ends, and the others go on. A user's sandbox is none of it."""
    host = docker_host
    unpack(host)
    host.add_user("eve")
    host.write("/srv/headless.py", HEADLESS)
    host.run(CLAIM, stdin=PLANTED.encode())
    runc(host, "ghost", state="/run/hidden", cgroup=f"/docker/{GHOST}")
    ctr(host, "evil", namespace="k8s.io")
    host.run(UNSEEN)
    time.sleep(BIRTH + 1)
    found = dict(registered(host))
    assert (found.pop("web"), found.pop(GHOST[:12]), found.pop("evil")) == ("pass", "fail", "fail")
    ((name, status),) = found.items()
    assert (name.endswith("(python3)"), status) == (True, "fail")


def test_services_with_a_root_of_their_own(systemd_v2: SystemdHost) -> None:
    host = systemd_v2
    unpack(host)
    run = "systemd-run --quiet -p KillSignal=SIGKILL --unit"
    try:
        host.run(
            f"{run} inside -p RootDirectory={ROOT} /bin/sh -c 'sleep 1000000 & wait' && "
            f"{run} empty -p TemporaryFileSystem=/:ro -p 'BindReadOnlyPaths=/usr /lib -/lib64'"
            " /usr/bin/sleep 1000000 && "
            f"{run} odd unshare -p -f -m /usr/bin/sleep 1000000"
        )
        time.sleep(BIRTH + 1)
        found = registered(host)
    finally:
        host.systemctl("stop", "inside", "empty", "odd")
    assert [name.endswith("(sleep)") for name in found] == [True], found
    assert set(found.values()) == {"fail"}
