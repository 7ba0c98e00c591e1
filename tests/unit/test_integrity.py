"""Whether a changed program would be noticed, and whether somebody watches."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from testinfra.host import Host

from checks.host import test_integrity as checks
from hullcheck.control import Unknown
from hullcheck.facts import engine_paths as places
from hullcheck.facts.aide import parse_aide
from hullcheck.facts.conf_files import ConfFiles
from hullcheck.facts.integrity import (
    APPRAISED,
    CONFIGURED,
    CRON,
    INSTALLED,
    MAPPED,
    parse_syscheck,
)
from tests.unit.fake import Reply
from tests.unit.running_fake import (
    MOUNTS,
    NO_FILE,
    SYS_ADMIN,
    Proc,
    conf_reply,
    host_running,
    judged,
    said,
)

CONF, DATABASE = "/etc/aide/aide.conf", "/var/lib/aide/aide.db"
ABSENT: Reply = (2, "", f"grep: x: {NO_FILE}\n")

RHEL = """\
@@define DBDIR /var/lib/aide
@@define LOGDIR /var/log/aide
database_in=file:@@{DBDIR}/aide.db.gz
database_out=file:@@{DBDIR}/aide.db.new.gz
gzip_dbout=yes
FIPSR = p+i+n+u+g+s+m+c+acl+selinux+xattrs+sha256
NORMAL = sha512
DIR = p+i+n+u+g+acl+selinux+xattrs
PERMS = p+u+g+acl+selinux+xattrs
CONTENT_EX = NORMAL+ftype+p+u+g+n+acl+selinux+xattrs
/boot   CONTENT_EX
/usr/sbin CONTENT_EX
/usr/bin CONTENT_EX
!/etc/mtab$
!/etc/.*~
/etc    PERMS
/etc/docker CONTENT_EX
=/home DIR
"""
DEBIAN = """\
database_in=file:/var/lib/aide/aide.db
Checksums = sha256+sha512
InodeData = p+ftype+u+g+i+n+l+s
Full = InodeData+m+c+Checksums
@@ifndef RUN
@@define RUN run
@@endif
@@include /etc/aide/aide.conf.d ^[a-zA-Z0-9_-]+$
!/@@{RUN}$
/ 0 Full
"""


def aide(text: str, **more: str) -> Any:
    files = {CONF: text, **{f"/etc/aide/aide.conf.d/{name}": value for name, value in more.items()}}
    return parse_aide(ConfFiles(files), CONF)


@pytest.mark.parametrize(
    ("text", "path", "wanted"),
    [
        (RHEL, "/usr/bin/containerd", True), (RHEL, "/etc/docker/daemon.json", True),
        (RHEL, "/etc/containers/policy.json", False), (RHEL, "/opt/bin/kubelet", False),
        (RHEL, "/etc/docker/x~", False), (DEBIAN, "/opt/bin/kubelet", True),
        (f"{DEBIAN}!/opt\n", "/opt/bin/kubelet", False),
        (f"{DEBIAN}!/opt$\n", "/opt/bin/kubelet", False),
        (f"{DEBIAN}!/opt/.* d\n", "/opt/bin/kubelet", True),
        (f"{DEBIAN}!/opt/bin/x\n", "/opt/bin/kubelet", True),
        (f"{DEBIAN}!/usr/bin/docker\n", "/usr/bin/dockerd", False),
        ("X = p+sha256-sha256\n/ X\n", "/usr/bin/x", False), ("/ p+i+n\n", "/usr/bin/x", False),
        ("/ R\n", "/usr/bin/x", True),
        ("/ R-md5\n", "/usr/bin/x", False),
        ("/ H\n", "/x", True), ("/usr$ H\n", "/usr/bin/x", False),
        ("=/usr H\n", "/usr/bin/x", False), ("/usr d H\n", "/usr/bin/x", False),
        ("/usr f H\n", "/usr/bin/x", True), ("#/ H\n", "/usr/bin/x", False),
        ("@@ifdef NO\n/ H\n@@endif\n", "/usr/bin/x", False),
        ("@@ifdef NO\n@@else\n/ H\n@@endif\n", "/usr/bin/x", True),
    ],
)  # fmt: skip
def test_what_aide_looks_at(text: str, path: str, wanted: bool) -> None:
    assert aide(text).covers(path) is wanted


def test_what_aide_includes() -> None:
    assert not aide(DEBIAN, engines="!/usr/bin\n").covers("/usr/bin/x")
    assert aide(DEBIAN, **{"no.thing": "!/usr/bin\n"}).covers("/usr/bin/x")
    assert "is a program" in aide(DEBIAN, script="#!/bin/sh\necho\n").doubt
    assert aide(RHEL).database == "/var/lib/aide/aide.db.gz"
    assert aide("database_in=https://x/y\n").database == ""
    for text in ("@@include /srv/x\n", f"@@include {CONF}\n", "!/[ H\n"):
        with pytest.raises(Unknown):
            aide(text)


PROGRAM, SETTINGS = "/usr/bin/podman", "/etc/containers"
FILES = {PROGRAM: "81ed", SETTINGS: "41ed", DATABASE: "81a0", "/etc/docker": "41ed"}
TIMER = "dailyaidecheck.timer loaded active waiting Daily AIDE check\n"
CRONTAB = "/etc/crontab:0 5 * * * root /usr/bin/aide --check\n"


def host(
    *procs: Proc,
    conf: Mapping[str, str] | Reply | None = None,
    installed: str = "",
    cron: Reply = ABSENT,
    there: Mapping[str, str] = FILES,
    found: tuple[str, str] = (PROGRAM, SETTINGS),
    mapped: Reply = ABSENT,
    appraised: Reply = ABSENT,
    **more: Any,
) -> Host:
    files = conf_reply(conf or {}) if conf is None or isinstance(conf, Mapping) else conf
    also: dict[str, Reply] = {
        CONFIGURED.command: files, INSTALLED.command: (1, f"/\n{installed}"), CRON.command: cron,
        MAPPED.command: mapped, APPRAISED.command: appraised,
        places.INSTALLED.command: f"{found[0]}\n{places.END}\n".lstrip("\n"),
        places.CONFIGURED.command: f"{found[1]}\n{places.END}\n".lstrip("\n"),
    }  # fmt: skip
    return host_running(procs, also, there=there, **more)


AIDE: dict[str, Any] = {"installed": "/usr/bin/aide\n", "conf": {CONF: DEBIAN}, "units": TIMER}
DENIED = (2, "", "grep: /var/spool/cron/crontabs/root: Permission denied\n")
OSSEC = """\
<ossec_config><!-- <syscheck><directories>/</directories></syscheck> -->
  <syscheck><disabled>no</disabled><frequency>43200</frequency>
    <directories>/etc,/usr/bin,/usr/sbin</directories><directories>/bin,/sbin,/boot</directories>
    <ignore>/etc/mtab</ignore><ignore type="sregex">.log$</ignore>
  </syscheck></ossec_config>
"""
SYSCHECK = Proc(50, "/var/ossec/bin/wazuh-syscheckd", cgroup="/system.slice/wazuh-agent.service")


def wazuh(text: str) -> dict[str, Any]:
    return {"conf": {"/var/ossec/etc/ossec.conf": text}}


VERITY = (
    2,
    "/sys/block/dm-0/dev:254:0\n/sys/block/dm-0/dm/uuid:CRYPT-VERITY-0123-usr\n"
    "/sys/block/dm-1/dev:254:1\n/sys/block/dm-1/dm/uuid:LVM-abc\n",
)
USR = f"{MOUNTS}40 20 254:{{}} / /usr {{}} shared:5 - btrfs /dev/mapper/usr {{}}\n"
IMA = "/sys/kernel/security/ima/policy:"

CASES: dict[str, tuple[Host, str]] = {
    "AIDE": (host(**AIDE), "pass"),
    "AIDE by cron": (host(**{**AIDE, "units": "", "cron": CRONTAB}), "pass"),
    "AIDE by a script of cron": (
        host(**{**AIDE, "units": "", "cron": "/etc/cron.daily/aide:exec aide.wrapper --check\n"}),
        "pass"),
    "AIDE by a comment": (
        host(**{**AIDE, "units": "", "cron": "/etc/crontab:#0 5 * * * root aide --check\n"}),
        "fail"),
    "its directory is cleaned by cron": (
        host(**{**AIDE, "units": "", "cron": "/etc/crontab:0 5 * * * root rm -r /var/log/aide\n"}),
        "fail"),
    "AIDE never": (host(**{**AIDE, "units": ""}), "fail"),
    "AIDE's timer does not wait": (
        host(**{**AIDE, "units": TIMER.replace("active waiting", "inactive dead")}), "fail"),
    "AIDE, the crontab is hidden": (host(**{**AIDE, "units": "", "cron": DENIED}), "unknown"),
    "AIDE without a database": (
        host(**AIDE, there={k: v for k, v in FILES.items() if k != DATABASE}), "fail"),
    "AIDE elsewhere": (host(**{**AIDE, "conf": {CONF: RHEL.replace(".gz", "")}}), "fail"),
    "AIDE without a configuration": (host(**{**AIDE, "conf": {}}), "fail"),
    "AIDE is configured and not installed": (host(conf={CONF: DEBIAN}, units=TIMER), "fail"),
    "AIDE cannot be read": (
        host(**{**AIDE, "conf": conf_reply({}, ["/etc/aide/aide.conf"])}), "unknown"),
    "Wazuh": (host(SYSCHECK, **wazuh(OSSEC)), "pass"),
    "Wazuh off": (host(SYSCHECK, **wazuh(OSSEC.replace(">no<", ">yes<"))), "fail"),
    "Wazuh leaves it out": (host(SYSCHECK, **wazuh(OSSEC.replace("/etc/mtab", "/etc"))), "fail"),
    "Wazuh does not run": (host(**wazuh(OSSEC)), "fail"),
    "Wazuh, unreadable": (host(SYSCHECK), "unknown"),
    "a container's Wazuh": (
        host(Proc(50, SYSCHECK.exe, cgroup=f"/docker/{'a' * 64}"), **wazuh(OSSEC)), "fail"),
    "dm-verity": (host(mapped=VERITY, mounts=USR.format(0, "ro", "ro")), "pass"),
    "dm-verity, writable": (host(mapped=VERITY, mounts=USR.format(0, "rw", "rw")), "fail"),
    "a plain volume": (host(mapped=VERITY, mounts=USR.format(1, "ro", "ro")), "fail"),
    "composefs": (
        host(mounts=f"{MOUNTS}40 20 0:50 / /usr ro - overlay composefs ro,verity=require\n"),
        "pass"),
    "IMA of all that is root's": (host(appraised=f"{IMA}appraise fowner=0\n"), "pass"),
    "IMA of what runs": (host(appraised=f"{IMA}appraise func=BPRM_CHECK fowner=0\n"), "fail"),
    "IMA that only looks": (
        host(appraised=f"{IMA}appraise fowner=0\n", boot="ima_appraise=log"), "fail"),
    "IMA, which this kernel shows to nobody": (
        host(appraised=(2, "", "grep: /sys/kernel/security/ima/policy: Permission denied\n")),
        "fail"),
    "IMA from the boot line": (
        host(appraised=(2, "", "grep: /sys/kernel/security/ima/policy: Permission denied\n"),
             boot="ima_policy=tcb|appraise_tcb"), "pass"),
    "IMA from a file, unseen": (
        host(appraised=(2, "/etc/ima/ima-policy:appraise fowner=0\n",
                        "grep: /sys/kernel/security/ima/policy: Permission denied\n")), "unknown"),
    "IMA measures": (host(appraised=f"{IMA}measure func=BPRM_CHECK\n"), "fail"),
    "osquery": (host(Proc(60, "/opt/osquery/bin/osqueryd")), "manual"),
    "tripwire": (host(installed="/usr/sbin/tripwire\n"), "manual"),
    "nothing": (host(), "fail"),
    "no engine": (host(found=("", ""), there={}), "not-applicable"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_changes_are_noticed(name: str) -> None:
    made, wanted = CASES[name]
    found = judged(checks.test_file_integrity, made)
    assert found.status == wanted, found.reason


def test_the_site_knows_its_tool() -> None:
    made = host(Proc(60, "/opt/osquery/bin/osqueryd"))
    assert said(checks.test_file_integrity, made, integrity_tools=("osqueryd",)) == "pass"
    assert said(checks.test_file_integrity, host(), integrity_tools=("osqueryd",)) == "fail"


def test_syscheck_leaves_out_what_is_limited() -> None:
    text = '<syscheck><directories restrict="x">/a</directories><directories>/b, /c</directories>'
    assert parse_syscheck(f"{text}</syscheck>") == (("/b", "/c"), (), False)


CONTAINER = f"/system.slice/docker-{'a' * 64}.scope"
SENSORS: dict[str, tuple[list[Proc], str]] = {
    "nobody": ([], "fail"),
    "a service": ([Proc(40, "/usr/bin/falco", caps=SYS_ADMIN)], "pass"),
    "a container with rights": (
        [Proc(40, "/usr/bin/tetragon", cgroup=CONTAINER, nspid="40\t1")], "pass"),
    "a container that calls itself so": (
        [Proc(40, "/usr/bin/falco", cgroup=CONTAINER, nspid="40\t1", caps=0)], "fail"),
    "one in a user namespace": ([Proc(40, "/usr/bin/falco", user=99)], "fail"),
    "a process that calls itself so": ([Proc(40, "/usr/bin/python3", "falco")], "fail"),
    "seen by a user": ([Proc(40, "", "falco", cgroup="/x")], "unknown"),
    "a unit's, seen by a user": ([Proc(40, "", "falco")], "pass"),
}  # fmt: skip


@pytest.mark.parametrize("name", SENSORS)
def test_somebody_watches(name: str) -> None:
    procs, wanted = SENSORS[name]
    found = judged(checks.test_runtime_sensor, host_running(procs))
    assert found.status == wanted, found.reason


def test_the_site_names_its_sensor() -> None:
    made = host_running([Proc(40, "/opt/acme/watchd")])
    assert said(checks.test_runtime_sensor, made) == "fail"
    assert said(checks.test_runtime_sensor, made, runtime_sensors=("watchd",)) == "pass"


@given(
    st.text(alphabet="/!=@@ifdefincludeH sha256+-\n #{}[]()", max_size=80) | st.text(max_size=50)
)
def test_any_text_is_read_or_refused(text: str) -> None:
    parse_syscheck(text)
    with suppress(Unknown):
        aide(text).covers("/usr/bin/x")
