"""Live tests: skipped, with the reason, for a newcomer; a failure where CI skips one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator
from pathlib import Path

import pytest

PACKAGES = {
    "sshd": "openssh-server", "ssh": "openssh-client", "dockerd": "docker.io", "runc": "runc",
    "busybox": "busybox-static", "systemd": "systemd", "dbus-daemon": "dbus", "sudo": "sudo",
    "unshare": "util-linux", "ip": "iproute2", "iptables": "iptables",
}  # fmt: skip


def missing() -> str | None:
    """Return what live tests lack here, in one line; None when nothing."""
    if os.geteuid() != 0:
        return "live tests make real hosts: run as root on Debian"
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    lacking = [package for name, package in PACKAGES.items() if not shutil.which(name, path=path)]
    if not any(Path("/lib").glob("*/security/pam_systemd.so")):
        lacking.append("libpam-systemd")
    return f"live tests need: apt-get install {' '.join(lacking)}" if lacking else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    live = [item for item in items if item.get_closest_marker("live")]
    reason = missing() if live else None
    if reason:
        for item in live:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    in_ci = os.environ.get("CI", "").lower() in {"1", "true", "yes"}
    if (
        in_ci
        and report.skipped
        and not hasattr(report, "wasxfail")
        and item.get_closest_marker("live")
    ):
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome, report.longrepr = "failed", f"CI must run every live test: {why}"
    return report
