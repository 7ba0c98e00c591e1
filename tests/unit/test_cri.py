"""What containerd and CRI-O are asked alike, and where their files are found."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from checks.engine import test_containerd, test_cri
from hullcheck.control import NotApplicable, expectations
from hullcheck.facts import get
from hullcheck.facts.engines import Told
from tests.unit.runtime_fake import PID, daemon_host, status, verdict

FILE = "/etc/containerd/config.toml"


def modules(apparmor=False, selinux=False):
    return SimpleNamespace(
        apparmor=SimpleNamespace(enabled=apparmor), selinux=SimpleNamespace(enabled=selinux)
    )


@pytest.mark.parametrize(
    ("control", "name"),
    [(test_cri.test_cri_apparmor, "apparmor"), (test_cri.test_cri_selinux, "selinux")],
)
def test_security_modules_count_where_the_kernel_has_them(control, name):
    for on in (True, False):
        daemon = SimpleNamespace(**{name: Told(on, FILE)})
        with expectations() as stated:
            control(daemon, modules(**{name: True}))
        assert [each.holds for each in stated] == [on]
        with pytest.raises(NotApplicable):
            control(daemon, modules())


def test_which_daemons_start_pods():
    found = get(daemon_host(("containerd",), {FILE: ""}), "cri")
    assert [str(each) for each in found] == [f"containerd {FILE}"]
    with pytest.raises(NotApplicable):
        get(daemon_host(("containerd",), {FILE: 'disabled_plugins = ["cri"]'}), "cri")
    with pytest.raises(NotApplicable):
        get(daemon_host(("sleep",), {}), "cri")


def test_a_daemon_whose_file_cannot_be_read_hides_no_other():
    host = daemon_host(("containerd",), {FILE: "[broken"})
    assert status(test_cri.test_cri_stream_server, host) == "unknown"
    assert status(test_cri.test_runtime_config_mode, host) == "unknown"


def test_files_with_their_folder():
    host = daemon_host(("containerd",), {FILE: ""})
    found = verdict(test_cri.test_runtime_config_mode, host)
    assert found.status.value == "pass"
    assert [each.object.name for each in found.findings] == [FILE, "/etc/containerd"]


def test_a_daemon_with_a_root_of_its_own():
    place = f"/proc/{PID}/root{FILE}"
    listing = {f"/proc/{PID}/root/etc/containerd/conf.d": []}
    host = daemon_host(("containerd",), {place: '[grpc]\ntcp_address = ":1"'}, listing, mnt=300)
    assert status(test_containerd.test_containerd_tcp_api, host) == "fail"
