"""The nightly audit as the examples start it, on a machine that booted a real systemd."""

from __future__ import annotations

import json
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.live.hosts.systemd import SystemdHost

pytestmark = pytest.mark.live
ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
INVENTORY = """\
hosts: {self: {address: %s, user: root, port: %d}, gone: {address: 127.0.0.250}}
"""
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
START = f"""\
#!/bin/sh
export PYTHONHOME=/opt/python PYTHONPATH=/opt/source:/opt/packages LD_LIBRARY_PATH=/opt/python/lib
exec /opt/python/bin/{PYTHON} -m hullcheck "$@"
"""
PLACES = {"/opt/python": sys.base_prefix, "/opt/source": ROOT, "/opt/packages":
          sysconfig.get_path("purelib")}  # fmt: skip


class Auditor(SystemdHost):
    """A machine that has this interpreter and clone where everybody may read them."""

    def binds(self) -> list[tuple[Path, str]]:
        return [*super().binds(), *((Path(outside), inside) for inside, outside in PLACES.items())]


@pytest.fixture(scope="module")
def auditor() -> Iterator[Auditor]:
    """A machine set up as the example's comment says, that audits itself over SSH."""
    with Auditor("auditor1") as host:
        _set_up(host)
        yield host


def _set_up(host: Auditor) -> None:
    host.run("useradd --system --home-dir /var/lib/hullcheck --shell /usr/sbin/nologin hullcheck")
    host.write("/opt/hullcheck/bin/hullcheck", START, 0o755)
    host.write("/etc/hullcheck/inventory.yml", INVENTORY % (host.address, host.port))
    host.write("/etc/hullcheck/ssh_config", (EXAMPLES / "ssh_config").read_text())
    host.write("/etc/hullcheck/known_hosts", host.known_hosts.read_text())
    host.write("/etc/hullcheck/key", host.key.read_text(), 0o400)
    host.run("chown hullcheck /etc/hullcheck/key")
    for name in ("hullcheck.service", "hullcheck.timer"):
        host.write(f"/etc/systemd/system/{name}", (EXAMPLES / name).read_text())
    host.systemctl("daemon-reload")


def test_systemd_takes_the_units_and_finds_them_tight(auditor: Auditor) -> None:
    unit = "/etc/systemd/system/hullcheck"
    done = auditor.run(f"systemd-analyze verify {unit}.service {unit}.timer 2>&1")
    assert done.stdout == ""
    auditor.run(f"systemd-analyze security --offline=true --threshold=20 {unit}.service")


def test_an_audit_lands_in_the_state_directory(auditor: Auditor) -> None:
    done = auditor.run("systemctl start hullcheck.service", check=False, timeout=170)
    log = auditor.run("journalctl -u hullcheck.service --no-pager -o cat").stdout
    assert "hullcheck: exit code 1: " in log, log
    assert done.returncode == 0, "what fails on a host is no failure of the unit"
    state = "/var/lib/hullcheck"
    run = json.loads(auditor.run(f"cat {state}/reports/latest/run.json").stdout)
    assert {each["name"]: each["status"] for each in run["hosts"]} == {
        "self": "audited", "gone": "unreachable"
    }  # fmt: skip
    made = auditor.run(f"ls {state}/reports/latest/").stdout.split()
    assert {"SHA256SUMS", "report.html", "summary.txt", "table.txt"} <= set(made)
    read = "setpriv --reuid nobody --clear-groups cat"
    metrics = auditor.run(f"{read} {state}/metrics/hullcheck.prom").stdout
    names = {each.name for each in text_string_to_metric_families(metrics)}
    assert "hullcheck_host_last_audit_timestamp_seconds" in names
    hidden = auditor.run(f"{read} {state}/reports/latest/run.json", check=False)
    assert hidden.returncode, "the evidence is for nobody else"


def test_the_timer_is_due_every_night(auditor: Auditor) -> None:
    auditor.systemctl("start", "hullcheck.timer")
    due = auditor.systemctl("list-timers", "hullcheck.timer", "--no-legend")
    auditor.systemctl("stop", "hullcheck.timer")
    assert "hullcheck.service" in due
    assert " 02:" in due


def test_a_night_without_an_audit_is_a_failed_unit(auditor: Auditor) -> None:
    good = auditor.run("cat /etc/hullcheck/inventory.yml").stdout
    auditor.write("/etc/hullcheck/inventory.yml", "hots: {}\n")
    done = auditor.run("systemctl start hullcheck.service", check=False)
    auditor.write("/etc/hullcheck/inventory.yml", good)
    auditor.systemctl("reset-failed", "hullcheck.service")
    assert done.returncode == 1
    assert "inventory.yml:1" in auditor.run("journalctl -u hullcheck -o cat -n 5").stdout
