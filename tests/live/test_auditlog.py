"""Audit, logs, clock, integrity and sensors on real hosts: right, wrong, right again.

auditctl, auditd, rsyslogd, chronyd, aide and falco are not on this machine: copies of sleep(1) run
under their names, and scripts print what the real ones print (tests/recordings/parts/auditlog.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from hullcheck.inventory.policy import Policy
from tests.live.hosts.docker import DockerHost
from tests.live.hosts.overlay import OverlayHost
from tests.live.hosts.systemd import SystemdHost
from tests.live.test_host import audit, over, status
from tests.recordings.parts.audit_rules import EVERYTHING, STATUS, install
from tests.recordings.parts.auditlog import KNOWN, aide, chronyc, load, rules

pytestmark = pytest.mark.live

RULES = (
    "audit-runtime-programs", "audit-runtime-config", "audit-modules", "audit-escapes",
    "audit-privileged-programs", "audit-rules-locked",
)  # fmt: skip
DAEMON = ("audit-log-file", "audit-space-warning", "audit-full-disk", "audit-log-kept")


def verdicts(host: OverlayHost, *controls: str, policy: Policy | None = None) -> set[str]:
    """Return the statuses of some controls, and see that the audit writes nothing."""
    before = host.mark()
    found = {str(each.status) for each in audit(host, *controls, policy=policy)}
    assert host.written(before) == []
    return found


@contextmanager
def programs(host: OverlayHost, *paths: str, user: str = "root") -> Iterator[None]:
    """Let programs run that do nothing."""
    pids = []
    try:
        for path in paths:
            run = f"setsid runuser -u {user} -- {path} infinity" if user != "root" else (
                f"setsid {path} infinity"
            )  # fmt: skip
            host.run(f"install -D /bin/sleep {path}; {{ {run} >/dev/null 2>&1 </dev/null & }}")
            pids += host.run(f"until pgrep -f '^{path} inf'; do sleep 0.02; done").stdout.split()
        yield
    finally:
        host.run(f"kill {' '.join(pids)}; rm -f {' '.join(paths)}", check=False)


def test_rules(systemd_v1: SystemdHost) -> None:
    host = systemd_v1
    try:
        whole = (*EVERYTHING, *rules(host))
        install(host, (), daemon=False)
        status_file = "/usr/local/share/audit/status"
        host.write(status_file, STATUS.format(enabled=2, pid=0, lost=0))
        load(host, whole, (*whole, "-e 2"))
        assert verdicts(host, *RULES) == {"pass"}
        limited = tuple(f"{each} -F auid>=1000" for each in whole if not each.startswith("-w"))
        host.write(status_file, STATUS.format(enabled=1, pid=0, lost=0))
        load(host, limited, limited)
        assert verdicts(host, *RULES) == {"fail"}
        host.run("rm /usr/sbin/auditctl")
        assert verdicts(host, *RULES) == {"unknown"}
    finally:
        host.run("rm -rf /etc/audit /usr/local/share/audit /usr/sbin/auditctl")


def test_the_boot_line(overlay_host: OverlayHost) -> None:
    for words, expected in (("audit=1 audit_backlog_limit=8192", "pass"), ("quiet", "fail")):
        with over(overlay_host, **{"/proc/cmdline": f"BOOT_IMAGE=/vmlinuz {words}\n"}):
            assert status(overlay_host, "audit-boot") == expected


def test_the_audit_daemon(overlay_host: OverlayHost) -> None:
    host = overlay_host
    assert verdicts(host, *DAEMON) == {"not-applicable"}
    try:
        with programs(host, "/usr/sbin/auditd"):
            host.write("/etc/audit/auditd.conf", KNOWN, 0o640)
            host.run("install -d -m 700 /var/log/audit; install -m 600 /dev/null"
                     " /var/log/audit/audit.log")  # fmt: skip
            assert verdicts(host, *DAEMON) == {"pass"}
            wrong = KNOWN.replace("email", "ignore").replace("halt", "suspend")
            host.write("/etc/audit/auditd.conf", wrong.replace("keep_logs", "suspend"), 0o640)
            host.run("chmod 644 /var/log/audit/audit.log")
            assert verdicts(host, *DAEMON) == {"fail"}
            host.write("/etc/audit/auditd.conf", KNOWN.replace("keep_logs", "rotate"))
            policy = Policy(audit_log_megabytes=41)
            assert verdicts(host, "audit-log-kept") == {"manual"}
            assert verdicts(host, "audit-log-kept", policy=policy) == {"fail"}
            host.run("rm /etc/audit/auditd.conf")
            assert verdicts(host, *DAEMON) == {"unknown"}
    finally:
        host.run("rm -rf /etc/audit /var/log/audit")


def test_the_journal_of_a_real_systemd(systemd_v2: SystemdHost) -> None:
    """In memory at first; then flushed to the disk; then told to forget from now on."""
    host = systemd_v2
    drop_in = "/etc/systemd/journald.conf.d/zz.conf"
    restart = "systemctl reset-failed; systemctl restart systemd-journald"
    try:
        host.run(f"rm -rf /var/log/journal; {restart}")
        assert status(host, "logs-persistent") == "fail"
        host.run(f"mkdir -p /var/log/journal; {restart}; journalctl --flush")
        assert status(host, "logs-persistent") == "pass"
        host.write(drop_in, "[Journal]\nStorage=volatile\n")
        assert status(host, "logs-persistent") == "fail"
    finally:
        host.run(f"rm -rf {drop_in} /var/log/journal; {restart}")


def test_rsyslog_and_agents(overlay_host: OverlayHost) -> None:
    host = overlay_host
    logs = ("logs-persistent", "logs-remote")
    text = "auth,authpriv.* /var/log/auth.log\n*.* @@log.example:514\n"
    assert verdicts(host, *logs) == {"fail"}
    try:
        host.write("/etc/rsyslog.conf", text)
        host.write("/var/log/auth.log", "")
        assert verdicts(host, *logs) == {"fail"}, "rsyslogd does not run"
        with programs(host, "/usr/sbin/rsyslogd"):
            assert verdicts(host, *logs) == {"pass"}
            host.write("/etc/rsyslog.conf", "mail.* /var/log/auth.log\n*.* @@127.0.0.1\n")
            assert verdicts(host, *logs) == {"fail"}
        with programs(host, "/usr/bin/vector"):
            named = Policy(log_forwarders=("vector",))
            assert status(host, "logs-remote") == "manual"
            assert status(host, "logs-remote", named) == "pass"
        with programs(host, "/srv/vector", user="nobody"):
            assert status(host, "logs-remote", named) == "manual"
    finally:
        host.run("rm -f /etc/rsyslog.conf /var/log/auth.log")


def judged_logs(host: DockerHost) -> set[str]:
    """Return what is said of Docker's default and of a new container."""
    host.docker("create", "--name=logs", "busybox:1")
    judged = audit(host, "container-log-bounded", "engine-log-bounded")
    host.remove("logs")
    findings = [each for verdict in judged for each in verdict.findings]
    return {str(each.status) for each in findings if each.object.name[:4] in ("dock", "logs")}


def test_logs_of_containers(docker_host: DockerHost) -> None:
    assert judged_logs(docker_host) == {"fail"}
    docker_host.restart({"log-driver": "json-file", "log-opts": {"max-size": "10m"}})
    assert judged_logs(docker_host) == {"pass"}


def test_the_clock(overlay_host: OverlayHost) -> None:
    host = overlay_host
    clock = ("clock-keeper", "clock-synchronised")
    assert [str(each.status) for each in audit(host, *clock)] == ["fail", "not-applicable"]
    try:
        with programs(host, "/usr/sbin/chronyd"):
            chronyc(host)
            assert verdicts(host, *clock) == {"pass"}
            chronyc(host, "Not synchronised")
            assert status(host, "clock-synchronised") == "fail"
            with programs(host, "/usr/sbin/ntpd"):
                assert status(host, "clock-keeper") == "fail"
        with programs(host, "/usr/sbin/chronyd", user="nobody"):
            assert status(host, "clock-keeper") == "fail", "it may not set the clock"
    finally:
        host.run("rm -f /usr/bin/chronyc")


def test_integrity_and_sensors(overlay_host: OverlayHost) -> None:
    host = overlay_host
    assert verdicts(host, "file-integrity", "runtime-sensor") == {"fail"}
    try:
        aide(host)
        with programs(host, "/usr/bin/falco"):
            assert verdicts(host, "file-integrity", "runtime-sensor") == {"pass"}
        with programs(host, "/srv/falco", user="nobody"):
            assert status(host, "runtime-sensor") == "fail"
        host.run("sed -i 's/^/#/' /etc/cron.d/aide")
        assert status(host, "file-integrity") == "fail"
    finally:
        host.run("rm -rf /etc/aide /usr/bin/aide /var/lib/aide /etc/cron.d/aide")
