"""Whether a host's log outlives a restart and the host, and what containers print is bounded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from testinfra.host import Host

from checks.host import test_logging as checks
from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.conf_files import ConfFiles, settings_of
from hullcheck.facts.container_logs import docker_bound, limit_of, new_bound
from hullcheck.facts.engines import Told
from hullcheck.facts.journal import FILES, MACHINE
from hullcheck.facts.loggers import CONFIGURED, NAME
from hullcheck.facts.podman.engine import Podman
from hullcheck.facts.podman.settings import Settings
from hullcheck.facts.services import BOOTED
from tests.unit.container_fake import APP, Fake, running, status
from tests.unit.fake import Reply, host_with
from tests.unit.running_fake import MOUNTS, NO_FILE, Proc, conf_reply, host_running, judged, said

ID = "0123456789abcdef0123456789abcdef"
KEPT, LOST = f"/var/log/journal/{ID}/system.journal", f"/run/log/journal/{ID}/system.journal"
JOURNALD = Proc(
    20, "/usr/lib/systemd/systemd-journald", cgroup="/system.slice/systemd-journald.service"
)
RSYSLOG = Proc(21, "/usr/sbin/rsyslogd", argv=("/usr/sbin/rsyslogd", "-n", "-iNONE"),
               cgroup="/system.slice/rsyslog.service")  # fmt: skip
MAIN, AUTH = "/etc/rsyslog.conf", "auth,authpriv.* /var/log/auth.log\n"
CONTAINER = f"/system.slice/docker-{'a' * 64}.scope"


def host(
    *procs: Proc,
    journals: Sequence[str] = (KEPT,),
    conf: Mapping[str, str] | Reply | None = None,
    also: Mapping[str, Reply] | None = None,
    **more: Any,
) -> Host:
    given = conf_reply(conf or {}) if conf is None or isinstance(conf, Mapping) else conf
    answers: dict[str, Reply] = {
        FILES.command: (1, "".join(f"{each}\n" for each in journals), f"find: 'x': {NO_FILE}\n"),
        MACHINE.command: f"{ID}\n", NAME.command: "web1\n", CONFIGURED.command: given,
    }  # fmt: skip
    return host_running(procs, {**answers, **(also or {})}, **more)


def journald(text: str, path: str = "/etc/systemd/journald.conf") -> dict[str, str]:
    return {path: f"[Journal]\n{text}\n"}


TMPFS = f"{MOUNTS}30 20 0:40 / /var/log rw - tmpfs tmpfs rw\n"
THERE = {"/var/log/auth.log": "81a0", "/var/log/messages": "81a0"}
BUSYBOX = Proc(30, "/bin/busybox", "syslogd", ("syslogd", "-t"), cgroup="/openrc.syslog")

PERSISTENT: dict[str, tuple[Host, str]] = {
    "auto, and it lies on the disk": (host(JOURNALD), "pass"),
    "persistent": (host(JOURNALD, conf=journald("Storage=persistent")), "pass"),
    "auto without the directory": (host(JOURNALD, journals=[LOST]), "fail"),
    "persistent, and still in memory": (
        host(JOURNALD, journals=[KEPT, LOST], conf=journald("Storage=persistent")), "fail"),
    "volatile from the next start on": (host(JOURNALD, conf=journald("Storage=volatile")), "fail"),
    "none": (host(JOURNALD, conf=journald("Storage=none"), journals=[]), "fail"),
    "a drop-in takes it back": (
        host(JOURNALD, conf={**journald("Storage=volatile"),
             **journald("Storage=", "/etc/systemd/journald.conf.d/z.conf")}), "pass"),
    "a drop-in of the vendor counts more than the main file": (
        host(JOURNALD, conf={**journald("Storage=persistent"),
             **journald("Storage=volatile", "/usr/lib/systemd/journald.conf.d/a.conf")}), "fail"),
    "a vendor's drop-in that is masked": (
        host(JOURNALD, conf={"/etc/systemd/journald.conf.d/a.conf": "",
             **journald("Storage=volatile", "/usr/lib/systemd/journald.conf.d/a.conf")}), "pass"),
    "another section": (
        host(JOURNALD, conf={"/etc/systemd/journald.conf": "[X]\nStorage=none\n"}), "pass"),
    "another machine's journal": (
        host(JOURNALD, journals=[f"/var/log/journal/{'f' * 32}/system.journal"]), "fail"),
    "a disk in memory": (host(JOURNALD, mounts=TMPFS), "fail"),
    "files of rsyslog": (
        host(JOURNALD, RSYSLOG, journals=[LOST], conf={MAIN: AUTH}, there=THERE), "pass"),
    "files of rsyslog in memory": (
        host(RSYSLOG, conf={MAIN: AUTH}, there=THERE, mounts=TMPFS), "fail"),
    "rsyslog is installed and does not run": (host(conf={MAIN: AUTH}, there=THERE), "fail"),
    "rsyslog keeps mail only": (
        host(RSYSLOG, conf={MAIN: "mail.* /var/log/auth.log\n"}, there=THERE), "fail"),
    "rsyslog's file is not there": (host(RSYSLOG, conf={MAIN: AUTH}), "fail"),
    "a program of that name in a container": (
        host(Proc(21, "/usr/sbin/rsyslogd", cgroup=CONTAINER), conf={MAIN: AUTH}, there=THERE),
        "fail"),
    "a user's program of that name": (
        host(Proc(21, "/home/joe/rsyslogd", uid=1000, cgroup="/user.slice/x.scope"),
             conf={MAIN: AUTH}, there=THERE), "fail"),
    "busybox": (host(BUSYBOX, systemd=False, there=THERE), "pass"),
    "busybox into memory": (
        host(Proc(30, "/bin/busybox", "syslogd", ("syslogd", "-C1024")), there=THERE), "fail"),
    "nobody": (host(), "fail"),
    "the settings cannot be read": (
        host(JOURNALD, journals=[LOST], conf=conf_reply({}, ["/etc/systemd/journald.conf.d"])),
        "unknown"),
    "the sweep was cut": (host(JOURNALD, conf="= 0 644 1 /etc/systemd/journald.conf\n"), "unknown"),
    "the journal cannot be seen": (
        host(JOURNALD, also={FILES.command: (1, "", "find: '/var/log': Permission denied\n")}),
        "unknown"),
    "no machine id": (host(JOURNALD, also={MACHINE.command: "uninitialized\n"}), "unknown"),
    "a program that only root sees": (
        host(Proc(21, "", "rsyslogd", cgroup="/x"), conf={MAIN: AUTH}, there=THERE), "unknown"),
    "a unit's program that only root sees": (
        host(Proc(21, "", "systemd-journal", cgroup=JOURNALD.cgroup)), "pass"),
}  # fmt: skip


@pytest.mark.parametrize("name", PERSISTENT)
def test_the_log_outlives_a_restart(name: str) -> None:
    made, wanted = PERSISTENT[name]
    verdict = judged(checks.test_logs_persistent, made)
    assert verdict.status == wanted, verdict.reason


def agent(path: str, **more: Any) -> Proc:
    return Proc(40, path, **more)


WITH_LOGS = f"{MOUNTS}40 20 8:1 /var/log /host/log ro - ext4 /dev/sda1 rw\n"
OWN_FILES = "40 1 0:50 / / rw - overlay overlay rw\n41 40 8:1 /var/lib/docker/containers/x/hosts /etc/hosts rw - ext4 /dev/sda1 rw\n"  # noqa: E501
INSIDE = {"cat /proc/40/mountinfo": "40 1 0:50 / / rw - overlay overlay rw\n"}
MOUNTED = {"cat /proc/40/mountinfo": f"{INSIDE['cat /proc/40/mountinfo']}{WITH_LOGS}"}
BIT = "/fluent-bit/bin/fluent-bit"
UPLOAD = Proc(41, "/usr/lib/systemd/systemd-journal-upload",
              cgroup="/system.slice/systemd-journal-upload.service")  # fmt: skip
URL = {"/etc/systemd/journal-upload.conf": "[Upload]\nURL=https://log.example:19532\n"}

REMOTE: dict[str, tuple[Host, str]] = {
    "nobody": (host(JOURNALD), "fail"),
    "rsyslog": (host(RSYSLOG, conf={MAIN: "*.* @@log.example\n"}), "pass"),
    "rsyslog to itself": (host(RSYSLOG, conf={MAIN: "*.* @@127.0.0.1\n"}), "fail"),
    "rsyslog to its own name": (host(RSYSLOG, conf={MAIN: "*.* @@web1.example\n"}), "fail"),
    "rsyslog, mail only": (host(RSYSLOG, conf={MAIN: "mail.* @@log.example\n"}), "manual"),
    "rsyslog does not run": (host(conf={MAIN: "*.* @@log.example\n"}), "fail"),
    "another file": (
        host(Proc(21, "/usr/sbin/rsyslogd", argv=("rsyslogd", "-f", "/srv/x.conf")),
             conf={MAIN: "*.* @@log.example\n"}), "unknown"),
    "journal-upload": (host(UPLOAD, conf=URL), "pass"),
    "journal-upload does not run": (host(conf=URL), "fail"),
    "busybox": (
        host(Proc(30, "/bin/busybox", "syslogd", ("syslogd", "-R", "log.example:514"))), "pass"),
    "the first syslogd": (
        host(Proc(30, "/sbin/syslogd"), conf={"/etc/syslog.conf": "*.*\t@log.example\n"}), "pass"),
    "an agent": (host(agent("/usr/bin/vector", cgroup="/system.slice/vector.service")), "manual"),
    "an agent in a container that sees the logs": (
        host(agent(BIT, cgroup=CONTAINER), also=MOUNTED), "manual"),
    "a container that calls itself an agent": (
        host(agent(BIT, cgroup=CONTAINER), also=INSIDE), "fail"),
    "an agent behind the local syslog": (
        host(RSYSLOG, agent("/usr/bin/vector"), conf={MAIN: "*.* @@127.0.0.1:6000\n"}), "manual"),
    "a script's agent": (host(agent("/usr/bin/ruby3.1", comm="fluentd")), "manual"),
    "unreadable": (host(RSYSLOG, conf=conf_reply({}, ["/etc/rsyslog.conf"])), "unknown"),
}  # fmt: skip


@pytest.mark.parametrize("name", REMOTE)
def test_the_log_leaves_the_host(name: str) -> None:
    made, wanted = REMOTE[name]
    verdict = judged(checks.test_logs_remote, made)
    assert verdict.status == wanted, verdict.reason


def test_the_site_names_its_forwarder() -> None:
    def named(process: Proc, also: Mapping[str, Reply]) -> str:
        made = host(process, also=also)
        return said(checks.test_logs_remote, made, log_forwarders=("fluent-bit",))

    assert named(agent("/opt/fluent-bit"), {}) == "pass"
    assert named(agent(BIT, cgroup=CONTAINER), MOUNTED) == "pass"
    assert named(agent(BIT, cgroup=CONTAINER), INSIDE) == "fail"
    bound = {"cat /proc/40/mountinfo": OWN_FILES}
    assert named(agent(BIT, cgroup=CONTAINER), bound) == "fail"
    assert named(agent("/home/joe/fluent-bit", uid=1000, cgroup="/user.slice/x"), {}) == "manual"


def test_drop_ins_of_systemd() -> None:
    files = ConfFiles({
        "/usr/lib/systemd/journald.conf": "[Journal]\nStorage=none\nSeal=no\n",
        "/etc/systemd/journald.conf.d/b.conf": "[Journal]\n# Storage=x\nStorage = \\\n volatile\n",
        "/usr/lib/systemd/journald.conf.d/a.conf": "[Journal]\nStorage=auto\n",
    })  # fmt: skip
    places = ("/etc/systemd", "/usr/lib/systemd")
    found = files.layered("journald.conf", places)
    assert [path.rpartition("/")[2] for path, _ in found] == ["journald.conf", "a.conf", "b.conf"]
    assert settings_of(found, "Journal") == {"Storage": "volatile", "Seal": "no"}


@pytest.mark.parametrize(
    ("driver", "options", "wanted"),
    [
        ("json-file", {}, "unlimited"), ("json-file", {"max-file": "3"}, "unlimited"),
        ("json-file", {"max-size": "-1"}, "unlimited"), ("json-file", {"max-size": "10m"}, "10m"),
        ("json-file", {"max-size": "1.5 GiB"}, "1.5 GiB"),
        ("json-file", {"max-size": "ten"}, Unknown),
        ("local", {}, "bounded"), ("journald", {}, NotApplicable), ("none", {}, NotApplicable),
    ],
)  # fmt: skip
def test_the_size_of_dockers_logs(driver: str, options: dict[str, str], wanted: Any) -> None:
    if isinstance(wanted, str):
        assert docker_bound(driver, options) == wanted
    else:
        with pytest.raises(wanted):
            docker_bound(driver, options)


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        ({"Type": "json-file", "Config": {}}, "fail"), ({"Type": "json-file"}, "fail"),
        ({"Type": "json-file", "Config": {"max-size": "1m"}}, "pass"),
        ({"Type": "local", "Config": {}}, "pass"), ({"Type": "syslog"}, "not-applicable"),
        ({}, "unknown"), (None, "unknown"),
    ],
)  # fmt: skip
def test_a_container_keeps_what_it_was_made_with(config: Any, wanted: str) -> None:
    made = running(Fake(100, APP), LogConfig=config)
    assert status(checks.test_container_log_bounded, made) == wanted


K8S = ("-l", "k8s-file:/var/lib/containers/ctr.log")


@pytest.mark.parametrize(
    ("options", "kind", "wanted"),
    [
        (K8S, "podman", "unlimited"), ((*K8S, "--log-size-max", "1024"), "podman", "1024"),
        (("-l", "journald"), "podman", NotApplicable), (K8S, "", "unlimited"),
        (("-l", "k8s-fi"), "podman", Unknown), ((), "podman", Unknown),
        (K8S, "cri-o", NotApplicable),
    ],
)  # fmt: skip
def test_podmans_containers(options: tuple[str, ...], kind: str, wanted: Any) -> None:
    conmon = Proc(60, "/usr/bin/conmon", argv=("/usr/bin/conmon", "-c", APP, *options))
    made = host_running([conmon])
    first = SimpleNamespace(ppid=60)
    container = SimpleNamespace(
        host=made, id=APP, docker=None, keeper=SimpleNamespace(kind=kind), init=first,
        need_running=lambda: None,
    )  # fmt: skip
    if isinstance(wanted, str):
        assert limit_of(container) == wanted  # type: ignore[arg-type]
    else:
        with pytest.raises(wanted):
            limit_of(container)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "systemd", "wanted"),
    [
        ({"log_size_max": 1 << 20}, True, "1048576"),
        ({"log_driver": "k8s-file"}, True, "unlimited"),
        ({"log_driver": "journald"}, True, NotApplicable), ({}, True, NotApplicable),
        ({}, False, "unlimited"), ({"log_size_max": "1m"}, True, Unknown),
    ],
)  # fmt: skip
def test_podmans_default(values: dict[str, Any], systemd: bool, wanted: Any) -> None:
    gone = (1, "", f"stat: x: {NO_FILE}")
    made = host_with({BOOTED.command: "/run/systemd/system\n" if systemd else gone})
    engine = Podman(made, SimpleNamespace(name="root", uid=0, home="/root"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Podman, "settings", Settings({"containers": values}, {}))
        if isinstance(wanted, str):
            assert new_bound(engine) == wanted
        else:
            with pytest.raises(wanted):
                new_bound(engine)


def test_told_is_what_settings_give() -> None:
    assert Settings({}, {}).get("log_size_max", -1) == Told(-1, "default")
