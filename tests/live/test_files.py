"""The files of a real dockerd under a real systemd: break them, audit, repair, audit."""

from __future__ import annotations

import base64
import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hullcheck.catalogue import all_controls
from hullcheck.judge import Site, gather, judge
from hullcheck.transport import session_of
from hullcheck.transport.connect import connect
from hullcheck.transport.target import parse_spec
from hullcheck.verdict import Status, Verdict
from tests.live.hosts.systemd import SystemdHost

pytestmark = pytest.mark.live

ROOT = Path(__file__).parents[2]
AUTHS = b'{"auths": {"registry.example": {"auth": "c2VjcmV0OnNlY3JldA=="}}}'
MODULES = ("test_files", "test_keys_and_sockets")
TLS = "/etc/docker/tls"
FLAGS = [
    "--tlsverify", f"--tlscacert={TLS}/ca.pem", "--tlscert", f"{TLS}/cert.pem",
    "--tlskey", f"{TLS}/key.pem",
]  # fmt: skip
CERTIFICATES = f"""set -e
mkdir -p {TLS}; cd {TLS}
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9 -subj /CN=web1 \\
    -keyout key.pem -out cert.pem 2>/dev/null
cp cert.pem ca.pem; chmod 444 cert.pem ca.pem; chmod 400 key.pem
mkdir -p '/etc/docker/certs.d/registry.example:5000/a b'; cd /etc/docker/certs.d/registry*
cp {TLS}/ca.pem ca.crt; cp {TLS}/cert.pem 'a b/client.cert'; cp {TLS}/key.pem 'a b/client.key'
chmod 444 ca.crt a*/*.cert; chmod 400 a*/*.key
mkdir -p /etc/sysconfig; echo A=b >/etc/sysconfig/docker; chmod 644 /etc/sysconfig/docker
"""

FILES = {
    "unit-file": "/etc/systemd/system/docker.service.d/more.conf",
    "socket-unit-file": "/lib/systemd/system/docker.socket",
    "registry-certificates": "/etc/docker/certs.d/registry.example:5000/a b/client.cert",
    "tls-ca": f"{TLS}/ca.pem",
    "tls-certificate": f"{TLS}/cert.pem",
    "tls-key": f"{TLS}/key.pem",
    "api-socket": "/run/docker.sock",
    "config-file": "/etc/docker/daemon.json",
    "default-file": "/etc/default/docker",
    "sysconfig-file": "/etc/sysconfig/docker",
    "containerd-socket": "/run/containerd/containerd.sock",
}
BELOW = {f"engine.{name}-owner" for name, path in FILES.items() if path.startswith("/etc/docker/")}


@pytest.fixture(scope="module")
def host() -> Iterator[SystemdHost]:
    """A host whose engine has every file that there is a control for, all of them in order."""
    with SystemdHost("files1", layout="v1") as made:
        made.run(CERTIFICATES)
        made.drop_in("docker.service", "more", "[Service]\nEnvironment=A=b\n")
        made.engine.restart({"live-restore": False}, FLAGS)
        made.add_user("ann")
        made.add_user("bob", sudo=True)
        yield made


def audit(host: SystemdHost, user: str = "root", *, sudo: bool = False) -> dict[str, Verdict]:
    """Judge the controls of files over a new connection."""
    target = parse_spec(f"paramiko://{user}@{host.name}")
    remote = connect(replace(target, ssh_config=host.ssh_config, sudo=sudo))
    site = Site(host.name)
    known = all_controls().values()
    controls = [each for each in known if each.function.__module__.endswith(MODULES)]
    gather(controls, remote, site)
    try:
        return {each.id: judge(each, remote, site) for each in controls}
    finally:
        session_of(remote).close()


def failing(verdicts: dict[str, Verdict]) -> set[str]:
    odd = {each.control: each.reason for each in verdicts.values() if each.status.rank < 5}
    unsure = {each for each in odd if verdicts[each].status is not Status.FAIL}
    assert not unsure, {each: odd[each] for each in unsure}
    return set(odd)


def everywhere(command: str, paths: Iterator[str] | None = None) -> str:
    return "\n".join(f"{command} '{path}'" for path in paths or FILES.values())


def modes(host: SystemdHost) -> str:
    """Return the script that gives every file its mode back."""
    shown = host.run(everywhere("stat -L -c 'chmod %a'")).stdout.splitlines()
    return "\n".join(f"{one} '{path}'" for one, path in zip(shown, FILES.values(), strict=True))


def test_all_is_well_to_begin_with(host: SystemdHost) -> None:
    verdicts = audit(host)
    assert len(verdicts) == 24
    assert {each.status for each in verdicts.values()} == {Status.PASS}, verdicts
    looked_at = verdicts["engine.registry-certificates-mode"].findings
    assert sorted(each.object.name.rpartition("/")[2] for each in looked_at) == [
        "ca.crt", "client.cert", "client.key",
    ]  # fmt: skip
    units = {each.object.name for each in verdicts["engine.unit-file-mode"].findings}
    drop_in = FILES["unit-file"]
    assert units >= {drop_in, drop_in.rpartition("/")[0], "/etc/systemd/system"}


def test_every_owner_counts(host: SystemdHost) -> None:
    owners = {f"engine.{name}-owner" for name in FILES}
    host.run(everywhere("chown ann"))
    assert failing(audit(host)) == owners
    host.run(everywhere("chown root:ann"))
    assert failing(audit(host)) == owners
    host.run(everywhere("chown root:root"))
    assert failing(audit(host)) == set()
    host.run("chgrp docker /run/docker.sock")


def test_every_mode_counts(host: SystemdHost) -> None:
    all_modes = {f"engine.{name}-mode" for name in FILES}
    back = modes(host)
    host.run(everywhere("chmod o+w"))
    assert failing(audit(host)) == all_modes
    host.run(f"{back}\n{everywhere('chmod u+s')}")
    assert failing(audit(host)) == all_modes
    # Tighter than asked for is as good; so is a mode of another shape.
    host.run(everywhere("chmod 0400"))
    assert failing(audit(host)) == set()
    host.run(back)


def test_every_access_list_counts(host: SystemdHost) -> None:
    back = modes(host)
    host.run(everywhere("setfacl -m u:ann:rw"))
    assert failing(audit(host)) == {f"engine.{name}-mode" for name in FILES}
    host.run(f"{everywhere('setfacl -b')}\n{back}")
    # No mode shows this one: the group may use the socket anyway.
    host.run("setfacl -m u:ann:rw /run/docker.sock")
    assert failing(audit(host)) == {"engine.api-socket-mode"}
    host.run("setfacl -b /run/docker.sock; chmod 660 /run/docker.sock")
    assert failing(audit(host)) == set()


def test_a_directory_on_the_way_counts(host: SystemdHost) -> None:
    host.run("chmod 1775 /etc/docker; chgrp ann /etc/docker")
    directory = {"engine.config-directory-mode", "engine.config-directory-owner"}
    assert failing(audit(host)) == directory
    host.run("chmod 777 /etc/docker; chgrp root /etc/docker")
    found = audit(host)
    assert failing(found) == {"engine.config-directory-mode", *BELOW}
    assert "everybody may write /etc/docker" in found["engine.config-file-owner"].reason
    host.run("chmod 755 /etc/docker")
    assert failing(audit(host)) == set()


def test_a_place_for_another_unit_counts(host: SystemdHost) -> None:
    """Nothing of this unit lies there yet: a user could put a stronger one there."""
    host.run("install -d -o ann /etc/systemd/system/docker.socket.d")
    assert failing(audit(host)) == {"engine.socket-unit-file-owner"}
    host.run("chown root /etc/systemd/system/docker.socket.d; chmod 777 /etc/systemd/system/*.d")
    found = failing(audit(host))
    assert found == {f"engine.{each}unit-file-mode" for each in ("", "socket-")} | {
        "engine.unit-file-owner"
    }
    host.run("chmod 755 /etc/systemd/system/*.d; rmdir /etc/systemd/system/docker.socket.d")
    assert failing(audit(host)) == set()


def test_a_link_is_judged_at_its_end_and_on_its_way(host: SystemdHost) -> None:
    host.run(
        "mkdir -p /srv/conf; chown ann /srv/conf; cd /etc/docker; mv daemon.json /srv/conf/d.json;"
        "ln -s /srv/conf/d.json daemon.json"
    )
    found = audit(host)
    assert failing(found) == {"engine.config-file-owner"}
    assert "/srv/conf belongs to ann" in found["engine.config-file-owner"].reason
    host.run("chown root /srv/conf; chmod 666 /srv/conf/d.json")
    assert failing(audit(host)) == {"engine.config-file-mode"}
    host.run("chmod 644 /srv/conf/d.json")
    assert failing(audit(host)) == set()
    host.run("cd /etc/docker; rm daemon.json; mv /srv/conf/d.json daemon.json; rmdir /srv/conf")


def test_what_is_not_there_does_not_apply(host: SystemdHost) -> None:
    host.run("cd /etc; mv sysconfig/docker x; mv default/docker y; mv docker/certs.d z")
    found = audit(host)
    none = {each.control for each in found.values() if each.status is Status.NOT_APPLICABLE}
    names = ("sysconfig-file", "default-file", "registry-certificates")
    assert none == {f"engine.{name}-{what}" for name in names for what in ("owner", "mode")}
    assert "no such file: /etc/default/docker" in found["engine.default-file-mode"].reason
    host.run("cd /etc; mv x sysconfig/docker; mv y default/docker; mv z docker/certs.d")


def test_who_cannot_see_does_not_pass(host: SystemdHost) -> None:
    host.run(f"chmod 700 {TLS} /etc/docker/certs.d; chmod 755 /etc/docker")
    found = audit(host, "ann")
    for name in ("tls-key", "tls-ca", "tls-certificate", "registry-certificates"):
        for what in ("owner", "mode"):
            verdict = found[f"engine.{name}-{what}"]
            assert verdict.status is Status.UNKNOWN, verdict
    assert Status.ERROR not in {each.status for each in found.values()}
    as_root = audit(host, "bob", sudo=True)
    assert {each.status for each in as_root.values()} == {Status.PASS}
    host.run(f"chmod 755 {TLS} /etc/docker/certs.d")


def test_no_secret_lands_in_a_run(host: SystemdHost, tmp_path: Path) -> None:
    """Law 8, of a container that shows its secrets wherever one can."""
    plain = "hunter2-Plain"
    token = "glpat-" + "aB3_" * 5
    host.start(
        "leaky", "-e", f"DB_PASSWORD={plain}", "-e", f"X={token}", "--label", f"api_key={plain}",
        "-e", f"URL=postgres://u:{plain}@db/x", "-e", f"JSON={json.dumps({'secret': plain})}",
        command=["sh", "-c", f"sleep 9999; : --token={plain} --password {plain}"],
    )  # fmt: skip
    host.run("mkdir -p /root/.docker; cp /dev/stdin /root/.docker/config.json", stdin=AUTHS)
    argv = [sys.executable, "-m", "hullcheck", "audit", f"paramiko://root@{host.name}"]
    argv += ["--ssh-config", str(host.ssh_config), "--report-dir", str(tmp_path / "run")]
    done = subprocess.run(argv, capture_output=True, cwd=ROOT, check=False, timeout=120)
    host.remove("leaky")
    assert done.returncode in (1, 3), done.stderr
    landed = [path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()]
    unpacked = [gzip.decompress(each) for each in landed if each[:2] == b"\x1f\x8b"]
    text = b"".join([*landed, *unpacked, done.stdout, done.stderr])
    assert b"[redacted:13:" in text, "the container was looked at"
    for secret in (plain, token, "c2VjcmV0OnNlY3JldA==", base64.b64encode(plain.encode()).decode()):
        assert secret.encode() not in text


def test_a_second_engine_is_judged_by_its_own_files(host: SystemdHost) -> None:
    """Its own socket, in a directory of its own, for a group of its own; its own daemon.json."""
    host.run("groupadd -f ops")
    second = host.second_daemon("two", {"group": "ops", "debug": True})
    try:
        found = audit(host)
        assert failing(found) == set()
        sockets = {each.object.name for each in found["engine.api-socket-owner"].findings}
        assert sockets == {"/run/docker.sock", "/run/docker-two.sock"}
        configs = {each.object.name for each in found["engine.config-file-mode"].findings}
        assert configs == {"/etc/docker/daemon.json", "/etc/docker/two.json"}
        host.run("chgrp docker /run/docker-two.sock; chmod 666 /etc/docker/two.json")
        assert failing(audit(host)) == {"engine.api-socket-owner", "engine.config-file-mode"}
    finally:
        second.stop()
