"""Finding engines: what is one, what only looks like one, and what cannot be told."""

from __future__ import annotations

import json

import pytest

from hullcheck import facts
from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.docker import units
from tests.unit.docker_fake import (
    SOCKET,
    Daemon,
    Program,
    docker_answers,
    docker_host,
    dockerd,
)
from tests.unit.fake import host_with

ROOTLESS = "/run/user/1000/docker.sock"
DENIED = (1, "", "Got permission denied while trying to connect to the Docker daemon socket")


def names(host):
    return [engine.object.name for engine in facts.get(host, "docker")]


def test_a_daemon_is_found_by_its_socket():
    host = docker_host([dockerd()])
    (engine,) = facts.get(host, "docker")
    assert (engine.socket, engine.pid, engine.root_dir) == (SOCKET, 50, "/var/lib/docker")


def test_an_editor_and_a_log_reader_are_no_engines():
    """Weakness 1: any command line with dockerd in it was taken for the daemon."""
    editor = Program(60, "/usr/bin/vim", ("vim", "notes-dockerd.txt", "--icc=false"))
    reader = Program(61, "/usr/bin/journalctl", ("journalctl", "-fu", "dockerd"))
    with pytest.raises(NotApplicable, match="no Docker engine"):
        facts.get(docker_host([editor, reader]), "docker")
    host = docker_host([editor, dockerd("--icc=true"), reader])
    assert facts.get(host, "docker")[0].arguments == ["dockerd", "--icc=true"]


def test_two_daemons_are_two_engines_with_their_own_flags():
    """Weakness 1: with two daemons the newest was judged for both."""
    second = dockerd("--log-level=debug", pid=51, unix=("/run/two/docker.sock",))
    host = docker_host([dockerd("--log-level=info"), second])
    found = {each.socket: each.command_line.last("log-level") for each in facts.get(host, "docker")}
    assert found == {SOCKET: "info", "/run/two/docker.sock": "debug"}


def test_a_renamed_daemon_is_found_and_a_program_on_a_like_named_socket_is_not():
    renamed = Program(52, "/opt/engine", ("/opt/engine",), ("/run/docker.sock",))
    assert names(docker_host([renamed])) == ["docker /run/docker.sock"]
    other = Daemon(version={"Components": [{"Name": "Podman Engine"}], "ApiVersion": "1.41"})
    host = docker_host([renamed], {f"unix://{SOCKET}": other})
    with pytest.raises(NotApplicable, match=r"/run/docker.sock belongs to another program"):
        facts.get(host, "docker")


def test_a_daemon_under_names_of_no_meaning_is_found_by_the_sockets_that_every_daemon_has():
    paths = ("/run/e/api.sock", "/run/e/libnetwork/0123456789ab.sock", "/run/e/metrics.sock")
    hidden = Program(52, "/srv/engine", ("/srv/engine", "--config-file=/etc/e.json"), paths)
    assert names(docker_host([hidden])) == ["docker /run/e/api.sock"]


def test_podmans_shim_is_named():
    """Weakness 36: a host with Podman's shim looked fine."""
    with pytest.raises(NotApplicable, match="Podman"):
        facts.get(docker_host(link="/run/podman/podman.sock"), "docker")


def test_an_engine_of_a_snap_is_an_engine_with_its_own_file():
    """Weaknesses 4 and 36: of a snap nothing was found, and nothing was said of that."""
    path = "/var/snap/docker/2963/config/daemon.json"
    daemon = dockerd(
        "--config-file", path, exe="/snap/docker/2963/bin/dockerd", mnt=201,
        cgroup="/system.slice/snap.docker.dockerd.service",
    )  # fmt: skip
    where = {"config_file": f"/proc/50/root{path}"}
    (engine,) = facts.get(docker_host([daemon], None, '{"iptables": false}', **where), "docker")
    assert (engine.config_file, engine.unit) == (path, "snap.docker.dockerd.service")
    assert engine.setting("iptables").value is False


def test_a_deleted_program_is_still_a_daemon():
    updated = Program(50, "/usr/bin/dockerd (deleted)", ("dockerd",), (SOCKET,))
    assert names(docker_host([updated])) == ["docker /run/docker.sock"]


def test_a_rootless_daemon_is_an_engine_although_it_has_its_own_namespaces():
    """Weakness 4: rootless engines were not found, their file neither."""
    kit = Program(70, "/usr/bin/rootlesskit", ("rootlesskit", "dockerd-rootless.sh"), uid=1000)
    daemon = dockerd(
        pid=71, ppid=70, uid=1000, unix=(ROOTLESS,), net=101, mnt=201,
        cgroup="/user.slice/user-1000.slice/user@1000.service/app.slice/docker.service",
    )  # fmt: skip
    answers = {
        f"unix://{ROOTLESS}": Daemon(
            {"SecurityOptions": ["name=seccomp,profile=builtin", "name=rootless"]},
            env="HOME=/home/eve\n",
        )
    }
    path = "/proc/71/root/home/eve/.config/docker/daemon.json"
    host = docker_host([kit, daemon], answers, '{"icc": false}', config_file=path)
    (engine,) = facts.get(host, "docker")
    assert engine.rootless and engine.unit == "docker.service"
    assert engine.config_file == "/home/eve/.config/docker/daemon.json"
    assert engine.configuration.values == {"icc": False}


@pytest.mark.parametrize(
    "inside",
    [
        {"nspid": "55\t1"},
        {"cgroup": f"/system.slice/docker-{'a' * 64}.scope"},
        {"cgroup": f"/docker/{'0' * 64}/init"},
    ],
)
def test_a_daemon_in_a_container_is_not_the_hosts(inside):
    host = docker_host([dockerd(pid=55, unix=("/run/docker.sock",), net=103, **inside)])
    with pytest.raises(NotApplicable, match=r"55 \(dockerd\) runs inside a container"):
        facts.get(host, "docker")
    assert [each.process.pid for each in facts.get(host, "engines").nested] == [55]


def test_a_daemon_that_only_listens_on_tcp_is_asked_there():
    host = docker_host(
        [dockerd(unix=(), tcp=[("127.0.0.1", 2375)])], {"tcp://127.0.0.1:2375": Daemon()}
    )
    (engine,) = facts.get(host, "docker")
    assert engine.address == "tcp://127.0.0.1:2375" and engine.info["Driver"] == "overlay2"


def test_the_port_of_a_published_container_is_not_asked():
    proxy = Program(80, "/usr/bin/docker-proxy", ("docker-proxy",), tcp=[("0.0.0.0", 80)])
    assert names(docker_host([dockerd(), proxy])) == ["docker /run/docker.sock"]


def test_the_dns_of_a_container_is_no_listener_of_the_api():
    pause = Program(90, "/pause", ("/pause",), net=300)
    answers = docker_answers([dockerd(tcp=[("127.0.0.1", 2376)]), pause])
    from hullcheck.facts.sockets import EVERYWHERE, HOLDERS

    line = "0: 0B00007F:A1B2 00000000:0000 0A 0:0 0:0 0 0 0 7777 1"
    code, text = answers[EVERYWHERE.command]
    answers[EVERYWHERE.command] = code, text + f"/proc/90/net/tcp:{line}\n"
    answers[HOLDERS.command] += "50 7777\n"
    (engine,) = facts.get(host_with(answers), "docker")
    assert engine.tcp == ("tcp://127.0.0.1:2376",)


def test_a_socket_that_only_systemd_holds_is_no_engine_and_no_proof_of_none():
    host = docker_host([Program(40, "/usr/lib/systemd/systemd", (), (SOCKET,))])
    with pytest.raises(Unknown, match="systemd would start one"):
        facts.get(host, "docker")


def test_a_child_of_systemd_does_not_make_the_audit_wake_an_engine():
    """It holds, for a moment, what systemd holds; seen on a host at the auditor's own login."""
    from hullcheck.facts.sockets import HOLDERS

    init = Program(40, "/usr/lib/systemd/systemd", (), (SOCKET,))
    answers = docker_answers([init], {})
    held = next(line for line in answers[HOLDERS.command].splitlines() if line.startswith("40 1"))
    answers[HOLDERS.command] += f"99 {held.split()[1]}\n"
    with pytest.raises(Unknown, match="systemd would start one"):
        facts.get(host_with(answers), "docker")


def test_a_daemon_that_does_not_listen_is_no_proof_of_none():
    with pytest.raises(Unknown, match="does not listen"):
        facts.get(docker_host([dockerd(unix=())]), "docker")


def test_without_root_an_engine_that_denies_access_is_unknown_not_absent():
    daemon = dockerd()
    answers = docker_answers([daemon], uid=1000, hidden=[1, 50], pid_files="50 /run/docker.pid\n")
    for command in [each for each in answers if "docker -H" in each]:
        answers[command] = DENIED
    (engine,) = facts.get(host_with(answers), "docker")
    assert engine.pid == 50
    with pytest.raises(Unknown, match="needs root"):
        _ = engine.info
    with pytest.raises(Unknown, match="needs root"):
        _ = engine.tcp


def test_without_root_a_socket_that_may_wake_an_engine_is_not_asked():
    init = Program(40, "/usr/lib/systemd/systemd", (), (SOCKET,))
    answers = docker_answers([init], {}, uid=1000, hidden=[1, 40])
    with pytest.raises(Unknown, match="needs root"):
        facts.get(host_with(answers), "docker")


def test_without_root_no_engine_in_sight_is_unknown():
    """Law 3: what cannot be seen is not absent."""
    with pytest.raises(Unknown, match="needs root"):
        facts.get(docker_host(uid=1000, hidden=[1]), "docker")


def test_an_engine_that_answers_nonsense_is_unknown():
    answers = docker_answers([dockerd()])
    for command in list(answers):
        if " info " in command:
            answers[command] = "<html>hello</html>"
        if " version " in command:
            answers[command] = json.dumps({"Server": ["x"]})
    (engine,) = facts.get(host_with(answers), "docker")
    for name in ("info", "version"):
        with pytest.raises(Unknown, match=r"unix:///run/docker\.sock"):
            getattr(engine, name)


def test_a_socket_of_the_same_name_elsewhere_does_not_hide_the_real_one():
    """A user can bind any path in a root of his own, and be first in the list."""
    decoy = Program(20, "/home/eve/dockerd", ("dockerd", "--iptables=true"), (SOCKET,), mnt=777)
    host = docker_host([decoy, dockerd("--iptables=false")], {f"unix://{SOCKET}": Daemon()})
    found = {each.pid: each.setting("iptables").value for each in facts.get(host, "docker")}
    assert found == {20: True, 50: False}


def test_a_child_that_inherited_the_socket_is_no_second_engine():
    from hullcheck.facts.sockets import HOLDERS

    answers = docker_answers([dockerd(), dockerd(pid=58, ppid=50, unix=())])
    inherited = next(line for line in answers[HOLDERS.command].splitlines() if "50 1" in line)
    answers[HOLDERS.command] += f"58 {inherited.split()[1]}\n"
    assert [each.pid for each in facts.get(host_with(answers), "docker")] == [50]


def test_the_unit_of_a_rootless_engine_is_its_users():
    cgroup = "/user.slice/user-1000.slice/user@1000.service/app.slice/docker.service"
    kit = Program(70, "/usr/bin/rootlesskit", ("rootlesskit",), uid=1000)
    daemon = dockerd(pid=71, ppid=70, uid=1000, cgroup=cgroup)
    answers = docker_answers([kit, daemon], {f"unix://{SOCKET}": Daemon(env="HOME=/home/eve\n")})
    places = units.user_directories("/home/eve/.config", "/home/eve")
    listing = units._listing("docker.service", places)
    path = "/home/eve/.config/systemd/user/docker.service"
    (engine,) = facts.get(host_with({**answers, listing.command: f"{path}\n"}), "docker")
    assert engine.unit_files == [path]


def test_a_crowd_of_decoys_does_not_hide_the_engine_and_is_told():
    crowd = [
        Program(pid, "/home/eve/x", ("x", "docker"), (f"/tmp/{pid}.sock",), uid=1000)
        for pid in range(100, 120)
    ]
    renamed = Program(500, "/opt/engine", ("engine", "--pidfile=/docker"), ("/run/e.sock",))
    silent = {f"unix:///tmp/{each.pid}.sock": Daemon(version={"Components": []}) for each in crowd}
    host = docker_host([*crowd, renamed], {**silent, "unix:///run/e.sock": Daemon()})
    assert names(host) == ["docker /run/e.sock"]
    assert "21 processes look like" in facts.get(host, "engines").doubt
