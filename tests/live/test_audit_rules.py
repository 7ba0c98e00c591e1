"""Audit rules on a host with a real dockerd and containerd, over SSH.

The kernel lists its rules to no pid namespace but the first, so a script stands in for auditctl;
what it prints is what the real one printed of such rules on a kernel that had them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from checks.host import test_audit_rules as checks
from hullcheck.control import Control, control_of
from hullcheck.judge import Site, gather, judge
from hullcheck.transport import session_of
from hullcheck.transport.connect import connect
from hullcheck.transport.target import parse_spec
from hullcheck.verdict import Verdict
from tests.live.hosts.systemd import SystemdHost
from tests.recordings.parts.audit_rules import EVERYTHING, LOOKALIKES, install

pytestmark = pytest.mark.live

CONTROLS: list[Control] = [made for each in vars(checks).values() if (made := control_of(each))]
STARTED = "/usr/sbin/auditctl"


@pytest.fixture
def host(systemd_v1: SystemdHost) -> Iterator[SystemdHost]:
    systemd_v1.run("install -D /dev/null /etc/containerd/config.toml")
    systemd_v1.run("install -D /dev/null /etc/docker/daemon.json")
    yield systemd_v1
    systemd_v1.run(
        "kill $(sed -n 's/^pid //p' /usr/local/share/audit/status | grep -v '^0$') || true;"
        " rm -rf /etc/audit /usr/local/share/audit /usr/sbin/auditctl /etc/containerd/config.toml"
        " /etc/docker/daemon.json"
    )


def audited(host: SystemdHost) -> dict[str, Verdict]:
    """Return every audit control's verdict over SSH, and see that the host stays as it is."""
    target = replace(parse_spec(f"paramiko://{host.name}"), ssh_config=host.ssh_config)
    there = connect(target)
    before = host.mark()
    try:
        gather(CONTROLS, there, Site(host.name))
        found = {
            each.id.removeprefix("host.audit-"): judge(each, there, Site(host.name))
            for each in CONTROLS
        }
        assert not session_of(there).late
    finally:
        session_of(there).close()
    assert host.written(before) == []
    return found


def statuses(found: dict[str, Verdict]) -> dict[str, str]:
    return {name: str(verdict.status) for name, verdict in found.items()}


ABSENT = {"sysconfig-file": "not-applicable"}


def test_rules_for_everything_pass(host: SystemdHost) -> None:
    written = [rule for rule in EVERYTHING if "sysconfig" not in rule]
    install(host, written, written)
    usual = dict.fromkeys((each.id.removeprefix("host.audit-") for each in CONTROLS), "pass")
    assert statuses(audited(host)) == {**usual, **ABSENT}


def test_rules_that_only_look_right_fail(host: SystemdHost) -> None:
    """Each of these passes where the list of rules is searched for a path."""
    install(host, LOOKALIKES, EVERYTHING, lost=12, daemon=False)
    usual = dict.fromkeys((each.id.removeprefix("host.audit-") for each in CONTROLS), "fail")
    found = audited(host)
    assert statuses(found) == {**usual, **ABSENT, "data-root": "pass"}
    assert "path=/usr/sbin/dockerd -F key=docker hides" in found["engine-program"].reason
    assert "is not loaded" in found["runc"].reason
    assert "records only some execution" in found["containerd-program"].reason


def test_rules_count_only_while_auditing_is_on(host: SystemdHost) -> None:
    install(host, EVERYTHING, EVERYTHING, enabled=0)
    found = statuses(audited(host))
    for name in ("rules-loaded", *ABSENT):
        del found[name]
    assert set(found.values()) == {"fail"}


def test_rules_that_nobody_can_list_are_unknown(host: SystemdHost) -> None:
    install(host, EVERYTHING, EVERYTHING)
    said = "Error sending rule list data request (Operation not permitted)"
    host.write(STARTED, f"#!/bin/sh\necho '{said}' >&2; exit 255\n", 0o755)
    found = statuses(audited(host))
    assert {**found, **ABSENT} == {**dict.fromkeys(found, "unknown"), **ABSENT}
    host.run(f"rm {STARTED}")
    found = statuses(audited(host))
    assert {**found, **ABSENT} == {**dict.fromkeys(found, "unknown"), **ABSENT}
