"""The engine's controls on real daemons: misconfigure, audit, repair, audit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from testinfra.host import Host

from hullcheck import facts
from hullcheck.catalogue import all_controls
from hullcheck.facts.docker import DockerEngine
from hullcheck.inventory.policy import Policy
from hullcheck.judge import Site, gather, judge
from hullcheck.transport import session_of
from hullcheck.transport.connect import connect
from hullcheck.transport.target import parse_spec
from hullcheck.verdict import Verdict, worst
from tests.live.hosts.docker import DockerHost
from tests.live.hosts.overlay import OverlayHost
from tests.live.hosts.systemd import SystemdHost

pytestmark = pytest.mark.live

MODULES = ("test_daemon", "test_api", "test_remotes")
PLUGIN = """
import http.server, json, os, socketserver
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        active = self.path == "/Plugin.Activate"
        body = json.dumps({"Implements": ["authz"]} if active else {"Allow": True}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def address_string(self):
        return "engine"
    def log_message(self, *_):
        pass
class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
os.makedirs("/run/docker/plugins", exist_ok=True)
Server("/run/docker/plugins/gate.sock", Handler).serve_forever()
"""
CERTIFICATES = """
mkdir -p /etc/docker/tls && cd /etc/docker/tls &&
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.pem &&
openssl req -newkey rsa:2048 -nodes -subj /CN=engine -keyout key.pem -out csr.pem &&
openssl x509 -req -in csr.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out cert.pem
"""
TLS = {
    "tlscacert": "/etc/docker/tls/ca.pem", "tlscert": "/etc/docker/tls/cert.pem",
    "tlskey": "/etc/docker/tls/key.pem",
}  # fmt: skip
ALLOW_ALL = '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []}'

FAULTY: dict[str, Any] = {
    "debug": True, "log-level": "debug", "insecure-registries": ["10.0.0.0/8", "reg.example:5000"],
    "registry-mirrors": ["http://mirror.example"], "cgroup-parent": "/odd", "experimental": True,
    "userland-proxy": True, "no-new-privileges": False, "live-restore": False,
    "default-ulimits": {"nofile": {"Name": "nofile", "Soft": -1, "Hard": -1}},
    "seccomp-profile": "/etc/docker/allow.json", "log-driver": "json-file",
}  # fmt: skip
SOUND: dict[str, Any] = {
    "log-level": "info", "no-new-privileges": True, "live-restore": True, "userland-proxy": False,
    "insecure-registries": ["127.0.0.1:5000"], "experimental": False, "log-driver": "syslog",
    "log-opts": {"syslog-address": "udp://10.99.0.1:514"}, "tlsverify": True, **TLS,
    "default-ulimits": {"nofile": {"Name": "nofile", "Soft": 1024, "Hard": 4096}},
    "authorization-plugins": ["gate"],
}  # fmt: skip
FLIPPED = {
    "log-level", "insecure-registries", "registry-mirrors", "api-tls", "api-refuses-strangers",
    "default-ulimits", "cgroup-parent", "authorization-plugin", "log-driver",
    "no-new-privileges-default", "live-restore", "userland-proxy", "seccomp-default",
    "experimental",
}  # fmt: skip


@pytest.fixture(scope="module")
def host() -> Iterator[DockerHost]:
    with DockerHost("engines", bridge=False) as made:
        made.run(CERTIFICATES)
        made.write("/etc/docker/allow.json", ALLOW_ALL)
        made.write("/opt/gate.py", PLUGIN)
        made.run(
            "python3 /opt/gate.py >/dev/null 2>&1 </dev/null & "
            "until [ -S /run/docker/plugins/gate.sock ]; do sleep 0.05; done"
        )
        yield made


def reached(host: OverlayHost, user: str = "root") -> Host:
    spec = parse_spec(f"paramiko://{user}@{host.name}")
    return connect(replace(spec, ssh_config=host.ssh_config))


def audited(host: OverlayHost, site: Site | None = None, user: str = "root") -> dict[str, Verdict]:
    """Judge the engine's own controls, by their names without the area."""
    there, site = reached(host, user), site or Site()
    controls = [
        each for each in all_controls().values()
        if each.area == "engine" and each.function.__module__.rpartition(".")[2] in MODULES
    ]  # fmt: skip
    gather(controls, there, site)
    verdicts = {each.id.partition(".")[2]: judge(each, there, site) for each in controls}
    assert session_of(there).late == 0
    session_of(there).close()
    return verdicts


def statuses(verdicts: dict[str, Verdict]) -> dict[str, str]:
    """Return what is said of Docker, leaving out the Podman that is installed beside it."""
    found = {}
    for name, verdict in verdicts.items():
        told = [each.status for each in verdict.findings if "podman" not in each.object.name]
        found[name] = str(worst(told) if verdict.findings else verdict.status)
    return found


def engines(host: OverlayHost) -> list[DockerEngine]:
    found: list[DockerEngine] = facts.get(reached(host), "docker")
    return found


def api(*hosts: str) -> list[str]:
    return [f"--host={each}" for each in ("unix:///var/run/docker.sock", *hosts)]


def test_every_setting_flips(host: DockerHost) -> None:
    host.restart(FAULTY, api("tcp://127.0.0.1:23750"))
    faulty = statuses(audited(host))
    assert {name for name in FLIPPED if faulty[name] != "fail"} == set(), faulty
    assert faulty["inter-container-traffic"] == "not-applicable", "there is no default bridge"
    host.restart(SOUND, api("tcp://127.0.0.1:23760"))
    sound = audited(host)
    assert {name: sound[name].reason for name in FLIPPED if sound[name].status != "pass"} == {}
    assert str(sound["configuration-drift"].status) == "pass", sound["configuration-drift"].reason


def test_the_same_settings_on_the_command_line(host: DockerHost) -> None:
    """Weaknesses 2, 3, 18 and 22, on a daemon that was started with flags alone."""
    flags = [
        *api("tcp://0.0.0.0:23751"), "-l", "debug", "--iptables=false",
        "--no-new-privileges=false", "--live-restore=false", "--userland-proxy=true", "--tls=false",
        "--userns-remap=", "--insecure-registry", "reg.example:5000",
    ]  # fmt: skip
    host.restart(None, flags)
    found = statuses(audited(host))
    wrong = (
        "log-level", "packet-filter", "no-new-privileges-default", "live-restore",
        "userland-proxy", "api-tls", "api-refuses-strangers", "authorization-plugin",
        "insecure-registries", "user-namespace", "rootless",
    )  # fmt: skip
    assert {name: found[name] for name in wrong if found[name] != "fail"} == {}
    ca, cert, key = (f"--{name}={path}" for name, path in TLS.items())
    right = ["-l=info", "--tlsverify", ca, cert, key, "--no-new-privileges", "--live-restore"]
    host.restart(None, [*api("tcp://[::1]:23761"), *right, "--userland-proxy=false"])
    found = statuses(audited(host))
    fixed = {*wrong} - {"authorization-plugin", "user-namespace", "rootless"}
    assert {name: found[name] for name in fixed if found[name] != "pass"} == {}


def test_tls_without_a_clients_certificate_is_open(host: DockerHost) -> None:
    ca, cert, key = (f"--{name}={path}" for name, path in TLS.items())
    host.restart(None, [*api("tcp://127.0.0.1:23762"), "--tlsverify=false", ca, cert, key])
    found = audited(host)
    assert str(found["api-tls"].status) == str(found["api-refuses-strangers"].status) == "fail"
    assert "tlsverify" in found["api-tls"].reason


def test_users_are_remapped(host: DockerHost) -> None:
    host.run("id dockremap >/dev/null 2>&1 || useradd -r -s /usr/sbin/nologin dockremap")
    host.run("for f in subuid subgid; do echo dockremap:165536:65536 >>/etc/$f; done")
    host.restart({"userns-remap": "default"})
    found = statuses(audited(host))
    assert (found["user-namespace"], found["rootless"]) == ("pass", "manual")
    assert found["configuration-drift"] == "pass"
    host.restart({"userns-remap": ""})
    found = statuses(audited(host))
    assert (found["user-namespace"], found["rootless"]) == ("fail", "fail")


def test_traffic_on_the_default_bridge(host: DockerHost) -> None:
    host.run("ip link add hcicc0 type bridge && ip addr add 10.213.0.1/24 dev hcicc0")
    try:
        host.restart({"icc": True, "bridge": "hcicc0"})
        assert statuses(audited(host))["inter-container-traffic"] == "fail"
        host.restart({"icc": False, "bridge": "hcicc0"})
        found = audited(host)["inter-container-traffic"]
        filtered = host.run("cat /proc/sys/net/bridge/bridge-nf-call-iptables").stdout.strip()
        assert str(found.status) == ("pass" if filtered == "1" else "fail"), found.reason
    finally:
        host.restart()
        host.run("ip link del hcicc0")


def test_a_file_changed_since_the_start_is_told(host: DockerHost) -> None:
    host.restart({"live-restore": False})
    host.write("/etc/docker/daemon.json", json.dumps({"live-restore": True, "iptables": True}))
    host.run("touch -d '+60 sec' /etc/docker/daemon.json")
    found = audited(host)
    drift = found["configuration-drift"]
    assert str(drift.status) == "fail" and "live-restore" in drift.reason
    assert str(found["live-restore"].status) == "fail", "the daemon counts, not the file"
    assert str(found["packet-filter"].status) == "unknown"
    assert "restart" in found["packet-filter"].reason
    host.restart({"live-restore": True})
    assert statuses(audited(host))["configuration-drift"] == "pass"


def test_a_broken_file_is_unknown_and_hides_nothing(host: DockerHost) -> None:
    host.restart()
    host.write("/etc/docker/daemon.json", '{"icc": false,')
    found = statuses(audited(host))
    assert (found["configuration-drift"], found["packet-filter"]) == ("unknown", "unknown")
    assert (found["live-restore"], found["insecure-registries"]) == ("fail", "pass")
    host.run("rm /etc/docker/daemon.json")


def test_what_only_looks_like_an_engine(host: DockerHost) -> None:
    """Weakness 1, and a daemon under another name, which is one."""
    host.restart(None, ["--icc=true"])
    host.run(
        "bash -c \"exec -a 'dockerd --icc=false --userns-remap=default' sleep 60\""
        " >/dev/null 2>&1 & echo $! >/run/vim"
    )
    (engine,) = engines(host)
    assert engine.command_line.last("icc") == "true" and engine.socket == "/var/run/docker.sock"
    host.run("cp /usr/sbin/dockerd /usr/local/sbin/hauler; kill $(cat /run/vim)")
    host.run(
        "hauler --data-root=/srv/data/h --exec-root=/run/h --pidfile=/run/h.pid --bridge=none"
        " -H unix:///run/hauler.sock >/run/h.log 2>&1 </dev/null & n=0;"
        " until docker -H unix:///run/hauler.sock version >/dev/null 2>&1;"
        " do sleep 0.1; n=$((n+1)); [ $n -lt 100 ] || { cat /run/h.log; exit 1; }; done"
    )
    found = engines(host)
    assert [each.socket for each in found] == ["/run/hauler.sock", "/var/run/docker.sock"]
    assert found[0].root_dir == "/srv/data/h"
    pid = found[0].pid
    host.run(f"kill {pid}; while [ -d /proc/{pid} ]; do sleep 0.05; done")
    assert len(engines(host)) == 1


def test_two_daemons_and_one_in_a_container(host: DockerHost) -> None:
    second = host.second_daemon("two", {"live-restore": True})
    host.run(
        "unshare -p -m --fork --mount-proc --kill-child=KILL dockerd --data-root=/srv/data/in"
        " --exec-root=/run/in --pidfile=/run/in.pid --bridge=none -H unix:///run/in.sock"
        " >/run/in.log 2>&1 </dev/null & echo $! >/run/in.parent; n=0;"
        " until docker -H unix:///run/in.sock version >/dev/null 2>&1;"
        " do sleep 0.1; n=$((n+1)); [ $n -lt 100 ] || { cat /run/in.log; exit 1; }; done"
    )
    found = audited(host)
    by_engine = {each.object.name: str(each.status) for each in found["live-restore"].findings}
    assert by_engine == {
        "docker /run/docker-two.sock": "pass", "docker /var/run/docker.sock": "fail",
    }  # fmt: skip
    assert str(found["no-nested-engine"].status) == "fail"
    host.run("kill -KILL $(cat /run/in.parent)")
    second.stop()
    assert str(audited(host)["no-nested-engine"].status) == "pass"


def test_the_versions_age_and_the_policy(host: DockerHost) -> None:
    later = Site(started=datetime(2036, 1, 1, tzinfo=UTC))
    assert statuses(audited(host, later))["version"] == "fail"
    for minimum, expected in (("99.0", "fail"), ("20.10", "pass")):
        site = Site(policy=Policy(minimum_engine_version=minimum))
        assert statuses(audited(host, site))["version"] == expected


def test_without_root_nothing_passes_unseen(host: DockerHost) -> None:
    host.add_user("reader")
    found = statuses(audited(host, user="reader"))
    assert set(found.values()) == {"unknown"}, found
    host.run("usermod -aG docker reader")
    found = statuses(audited(host, user="reader"))
    assert found["live-restore"] in ("fail", "pass") and found["api-tls"] == "unknown"


def known_of(engine: DockerEngine) -> list[Any]:
    names = sorted(str(each["Name"]) for each in engine.networks)
    images = sorted(str(each["Id"]) for each in engine.images())
    said = [engine.info[key] for key in ("ID", "DockerRootDir", "SecurityOptions", "Driver")]
    return [engine.containers(), names, images, said, engine.version["Version"]]


def test_containers_come_whole_and_with_one_command(host: DockerHost) -> None:
    host.start("one")
    host.docker("create", "--name", "two", "busybox:1")
    (engine,) = engines(host)
    names = {each["Name"]: each["State"]["Status"] for each in engine.containers()}
    assert names == {"/one": "running", "/two": "created"}
    assert {tag for image in engine.images() for tag in image["RepoTags"]} >= {"busybox:1"}
    known = known_of(engine)
    host.run("mv /usr/bin/docker /usr/bin/docker.away")
    try:
        (bare,) = engines(host)
        assert known_of(bare) == known, "curl tells the same as docker"
    finally:
        host.run("mv /usr/bin/docker.away /usr/bin/docker")
        host.remove("one", "two")


def test_an_audit_writes_nothing(host: DockerHost) -> None:
    mark = host.mark()
    audited(host)
    assert host.written(mark) == []


@pytest.mark.parametrize("layout", ["systemd_v1", "systemd_v2"])
def test_units_and_drop_ins(layout: str, request: pytest.FixtureRequest) -> None:
    host: SystemdHost = request.getfixturevalue(layout)
    (engine,) = engines(host)
    assert engine.unit == "docker.service"
    assert engine.service is not None and engine.service.loaded
    assert any(path.endswith("/docker.service") for path in engine.unit_files)
    drop_in = "/etc/systemd/system/docker.service.d/zz-test.conf"
    host.write(drop_in, "[Service]\nEnvironment=X=1\n")
    try:
        drift = audited(host)["configuration-drift"]
        assert str(drift.status) == "fail" and "daemon-reload" in drift.reason
        host.run("systemctl daemon-reload")
        (again,) = engines(host)
        assert drop_in in again.unit_files
        assert str(audited(host)["configuration-drift"].status) == "pass"
    finally:
        host.run(f"rm {drop_in}; systemctl daemon-reload")


def test_without_an_engine_nothing_applies(overlay_host: OverlayHost) -> None:
    found = audited(overlay_host)
    assert str(found.pop("no-nested-engine").status) == "pass"
    assert set(statuses(found).values()) == {"not-applicable"}
    assert "no Docker engine on this host" in found["live-restore"].reason


def test_an_engine_that_waits_for_its_socket_is_not_woken(systemd_v1: SystemdHost) -> None:
    systemd_v1.run("systemctl stop docker.service; systemctl start docker.socket")
    try:
        found = audited(systemd_v1)["live-restore"]
        assert (str(found.status), "systemd would start" in found.reason) == ("unknown", True)
        state = systemd_v1.run("systemctl is-active docker.service", check=False).stdout.strip()
        assert state == "inactive"
    finally:
        systemd_v1.run("systemctl start docker.service")
