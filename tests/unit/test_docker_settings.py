"""A daemon's settings: the command line, the file, the daemon itself, and their order."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hullcheck import facts
from hullcheck.control import Unknown
from hullcheck.facts.docker.command_line import boolean, parse_flags
from hullcheck.facts.docker.configuration import parse_configuration, read_configuration
from hullcheck.facts.docker.configuration import wants as file_wants
from hullcheck.facts.docker.settings import OPTIONS
from hullcheck.facts.docker.units import unit_named, wants
from hullcheck.transport import session_of
from tests.unit.docker_fake import SOCKET, STARTED, Daemon, docker_host, dockerd
from tests.unit.fake import host_with
from tests.unit.here import host_here


def flags(*words: str):
    return parse_flags(["dockerd", *words])


def engine(*words: str, config: object = None, info: dict | None = None, **more):
    text = config if isinstance(config, str) else json.dumps(config or {})
    daemons = {f"unix://{SOCKET}": Daemon(info or {}, env=more.pop("env", ""))}
    (found,) = facts.get(docker_host([dockerd(*words)], daemons, text, **more), "docker")
    return found


@pytest.mark.parametrize(
    "words",
    [
        ["--log-level=debug"], ["--log-level", "debug"], ["-l", "debug"], ["-ldebug"],
        ["-l=debug"], ["-Dl", "debug"], ["--log-level=info", "--log-level=debug"],
        ["--icc", "--log-level", "debug"],
    ],
)  # fmt: skip
def test_every_way_to_write_a_value(words):
    """Weaknesses 2 and 22: only "flag space value" of four short flags was understood."""
    assert flags(*words).last("log-level") == "debug"


@pytest.mark.parametrize(
    ("words", "value"),
    [
        (["--icc=false"], False), (["--icc"], True), (["--icc=0"], False),
        (["--icc", "false"], True),
        (["--icc=true", "--icc=F"], False), (["-D"], None), (["--", "--icc=false"], None),
    ],
)  # fmt: skip
def test_a_truth_value_takes_no_word_after_it(words, value):
    """Weakness 3: presence was taken for the value."""
    found = flags(*words).last("icc")
    assert (found if found is None else boolean(found)) is value


def test_repeated_flags_are_a_list():
    assert flags("-H", "fd://", "-Htcp://:2375", "--host=unix:///x").every("host") == [
        "fd://", "tcp://:2375", "unix:///x",
    ]  # fmt: skip


@given(st.lists(st.text(max_size=12), max_size=8))
def test_any_command_line_can_be_read(words):
    for name in parse_flags(["dockerd", *words]):
        assert isinstance(name, str)


@given(st.text(max_size=60))
def test_any_file_is_parsed_or_unknown(text):
    try:
        values, _ = parse_configuration("/d.json", text)
    except Unknown:
        return
    assert isinstance(values, dict)


def test_the_file_that_a_flag_names_counts():
    """Weaknesses 2 and 4: --config-file with a space was ignored."""
    for words in (["--config-file", "/opt/d.json"], ["--config-file=/opt/d.json"]):
        found = engine(*words, config={"icc": False, "iptables": False}, config_file="/opt/d.json")
        assert found.config_file == "/opt/d.json"
        assert found.setting("iptables").value is False
        assert found.setting("iptables").source == "file"


@pytest.mark.parametrize("shell", [["dash"], ["bash"], ["bash", "--posix"], ["busybox", "sh"]])
def test_every_shell_reads_the_same_file(shell, tmp_path):
    """Weakness 7: under dash, which has no [[, the file was not read at all."""
    path = tmp_path / "daemon.json"
    path.write_text('{\n "iptables": false,\n "insecure-registries": ["reg.example:5000"]\n}')
    answers = session_of(host_here(*shell)).ask(*file_wants(str(path)))
    found = read_configuration(str(path), *answers)
    assert found.values == {"iptables": False, "insecure-registries": ["reg.example:5000"]}
    assert found.changed == path.stat().st_ctime // 1
    path.unlink()
    absent = session_of(host_here(*shell)).ask(*file_wants(str(path)))
    assert not read_configuration(str(path), *absent).exists


def test_nested_keys_and_prefixes_do_not_collide():
    """Weakness 6: a key was looked for as text: tls in tlsverify, icc in a label."""
    config = {"tlsverify": False, "labels": ['"icc": false'], "runtimes": {"x": {"iptables": 1}}}
    found = engine(config=config)
    assert found.setting("tls").value is False and found.setting("tls").source == "default"
    assert found.setting("iptables").source == "default"


@pytest.mark.parametrize("text", ['{"icc": false', "[]", '"x"', "icc: false"])
def test_a_broken_file_is_unknown(text):
    with pytest.raises(Unknown, match=r"/etc/docker/daemon\.json is not"):
        engine(config=text).setting("iptables")


def test_an_empty_file_is_an_empty_configuration():
    assert engine(config=" \n").setting("iptables").source == "default"


def test_keys_written_twice_are_noticed_and_the_last_counts():
    values, twice = parse_configuration("/d.json", '{"icc": false, "mtu": 1, "icc": true}')
    assert (values["icc"], twice) == (True, ("icc",))


@pytest.mark.parametrize("value", ["false", 0, None, [], {}])
def test_a_value_of_a_wrong_kind_is_unknown(value):
    """Weakness 5 of the same sort: "false" in quotes is a string, and the daemon refuses it."""
    with pytest.raises(Unknown, match="truth value"):
        engine(config={"iptables": value}).setting("iptables")


def test_the_daemon_counts_before_the_command_line_and_that_before_the_file():
    """Weakness 5: the daemon was never asked."""
    found = engine("--log-level=warn", config={"log-level": "debug", "live-restore": True})
    assert (found.setting("live-restore").value, found.setting("live-restore").source) == (
        False, "daemon",
    )  # fmt: skip
    assert (found.setting("log-level").value, found.setting("log-level").source) == (
        "warn", "command line",
    )  # fmt: skip
    assert found.sources("log-level") == {"command line": "warn", "file": "debug"}


def test_a_file_changed_after_the_start_says_nothing_of_what_runs():
    found = engine(config={"iptables": True}, changed=STARTED + 30)
    with pytest.raises(Unknown, match="changed after the engine started"):
        found.setting("iptables")
    assert found.setting("live-restore").value is False
    assert engine("--iptables=true", changed=STARTED + 30).setting("iptables").value is True


def test_a_file_that_may_have_been_removed_since_the_start_says_nothing_either():
    (found,) = facts.get(docker_host([dockerd()], changed=STARTED + 500), "docker")
    with pytest.raises(Unknown, match="the folder of"):
        found.setting("iptables")
    (fresh,) = facts.get(docker_host([dockerd()], changed=STARTED + 5), "docker")
    assert fresh.setting("iptables").source == "default"


def test_a_file_that_may_not_be_read_is_unknown():
    denied = (1, "", "head: cannot open '/etc/docker/daemon.json' for reading: Permission denied")
    (found,) = facts.get(docker_host([dockerd()], config=denied), "docker")
    with pytest.raises(Unknown, match="needs root"):
        found.setting("iptables")


def test_lists_merge_and_plugins_split():
    found = engine("--storage-opt", "a=1", config={"storage-opts": ["b=2"]})
    assert found.setting("storage-opt").value == ["a=1", "b=2"]


def test_the_environment_is_the_default_of_tlsverify():
    found = engine(env="DOCKER_TLS_VERIFY=1\n")
    assert (found.setting("tlsverify").value, found.setting("tlsverify").source) == (
        True, "environment",
    )  # fmt: skip


def test_every_option_can_be_asked():
    found = engine()
    for name, option in OPTIONS.items():
        assert isinstance(found.setting(name).value, option.kind), name


def test_units_as_systemd_loaded_them():
    """Weakness 8: the fragment was looked for with find, and drop-ins not at all."""
    shown = (
        "LoadState=loaded\nFragmentPath=/lib/systemd/system/docker.service\n"
        "DropInPaths=/etc/systemd/system/docker.service.d/a.conf /run/x\\x20y.conf\n"
        "NeedDaemonReload=yes\n"
    )
    show, disk = (each.command for each in wants("docker.service"))
    unit = unit_named(host_with({show: shown, disk: ""}), "docker.service")
    assert unit is not None and unit.loaded and unit.stale
    assert unit.files == [
        "/lib/systemd/system/docker.service",
        "/etc/systemd/system/docker.service.d/a.conf",
        "/run/x y.conf",
    ]


def test_units_on_disk_where_systemd_does_not_answer():
    show, disk = (each.command for each in wants("docker.service"))
    found = (
        "/etc/systemd/system/docker.service\n/usr/lib/systemd/system/docker.service\n"
        "/etc/systemd/system/docker.service.d/b.conf\n/usr/lib/systemd/system/docker.service.d/a.conf\n"
        "/usr/lib/systemd/system/docker.service.d/b.conf\n"
    )
    unit = unit_named(host_with({show: (127, ""), disk: found}), "docker.service")
    assert unit is not None and not unit.loaded
    assert unit.files == [
        "/etc/systemd/system/docker.service",
        "/usr/lib/systemd/system/docker.service.d/a.conf",
        "/etc/systemd/system/docker.service.d/b.conf",
    ]
    assert (
        unit_named(host_with({show: "LoadState=not-found\n", disk: ""}), "docker.service") is None
    )
