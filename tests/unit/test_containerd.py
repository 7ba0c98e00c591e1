"""containerd: its settings in all formats, and the controls of them."""

from __future__ import annotations

import pytest

from checks.engine import test_containerd, test_cri, test_daemon, test_remotes
from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts import get
from hullcheck.facts.bundles import LIST
from hullcheck.facts.hosts_toml import inline, parse_hosts
from hullcheck.facts.toml_daemon import parse_arguments
from hullcheck.transport import read
from tests.unit.docker_fake import BOOT
from tests.unit.runtime_fake import daemon_host, status, verdict

FILE = "/etc/containerd/config.toml"
V1 = '[plugins.cri]\n{0}\n[plugins.cri.containerd.runtimes.runc]\nx = ""\n'
V2 = """version = 2
[plugins."io.containerd.grpc.v1.cri"]
{0}
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
"""
# The parts of format 3 are those of docs/cri/config.md in containerd 2.
V3 = """version = 3
[plugins.'io.containerd.cri.v1.runtime']
{0}
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = 'io.containerd.runc.v2'
"""


def with_file(text, **more):
    files = {FILE: text, **more.pop("files", {})}
    return daemon_host(("containerd", *more.pop("flags", ())), files, **more)


def engine_of(host):
    return get(host, "containerd")[0]


def test_no_containerd():
    with pytest.raises(NotApplicable, match="no containerd runs"):
        get(daemon_host(("sleep",), {}), "containerd")


def test_without_a_file_the_defaults_hold():
    engine = engine_of(daemon_host(("containerd",), {}))
    assert engine.serves_cri
    assert engine.default_seccomp.value == "unconfined"
    assert engine.runtimes == {"runc": {}}
    assert engine.directories == ("/var/lib/containerd", "/run/containerd")
    assert engine.log_level.value == "info"


@pytest.mark.parametrize("form", [V1, V2, V3])
@pytest.mark.parametrize(
    ("said", "profile"),
    [
        ("", "unconfined"), ('unset_seccomp_profile = ""', "unconfined"),
        ('unset_seccomp_profile = "unconfined"', "unconfined"),
        ('unset_seccomp_profile = "runtime/default"', "default"),
        ('unset_seccomp_profile = "localhost//etc/s.json"', "/etc/s.json"),
    ],
)  # fmt: skip
def test_seccomp_for_who_names_none_in_each_format(form, said, profile):
    assert engine_of(with_file(form.format(said))).default_seccomp.value == profile


def test_seccomp_control():
    host = with_file(V3.format("unset_seccomp_profile = 'runtime/default'"))
    assert status(test_daemon.test_seccomp_default, host) == "pass"
    assert status(test_daemon.test_seccomp_default, with_file(V2.format(""))) == "fail"


@pytest.mark.parametrize(
    ("text", "serves"),
    [
        ('disabled_plugins = ["cri"]', False),  # as Docker's package has it
        ('version = 1\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]', False),
        ('version = 2\ndisabled_plugins = ["cri"]', True),  # no plugin of this format
        ('version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]', False),
        ('version = 3\ndisabled_plugins = ["io.containerd.cri.v1.runtime"]', False),
        ('version = 3\ndisabled_plugins = ["io.containerd.cri.v1.images"]', True),
    ],
)
def test_whether_the_cri_plugin_is_loaded(text, serves):
    host = with_file(text)
    assert engine_of(host).serves_cri is serves
    expected = "fail" if serves else "not-applicable"
    assert status(test_containerd.test_containerd_host_devices, host) == expected


def test_a_plugin_that_nobody_uses():
    """Debian loads the CRI plugin beside Docker, where nothing speaks to it."""
    host = with_file(V2.format(""), kubelet=False)
    assert status(test_daemon.test_seccomp_default, host) == "not-applicable"
    assert status(test_cri.test_cri_stream_server, host) == "not-applicable"
    root = "/run/containerd/io.containerd.runtime.v2.task"
    pod = f"root 0:5 0 {root}\n{root}/k8s.io/abc/config.json\n"
    also = {LIST.command: pod, read(f"{root}/k8s.io/abc/config.json").command: "{}"}
    host = with_file(V2.format(""), kubelet=False, also=also)
    assert status(test_daemon.test_seccomp_default, host) == "fail"
    denied = {LIST.command: (0, "", f"find: '{root}': Permission denied\n")}
    host = with_file(V2.format(""), kubelet=False, also=denied)
    assert status(test_daemon.test_seccomp_default, host) == "unknown"


@pytest.mark.parametrize("form", [V1, V2, V3])
def test_devices_of_privileged_pods(form):
    sound = form.format("") + "privileged_without_host_devices = true\n"
    assert status(test_containerd.test_containerd_host_devices, with_file(sound)) == "pass"
    more = sound + "[plugins.'{0}'.containerd.runtimes.kata]\n"
    name = {V1: "cri", V2: "io.containerd.grpc.v1.cri", V3: "io.containerd.cri.v1.runtime"}[form]
    found = verdict(test_containerd.test_containerd_host_devices, with_file(more.format(name)))
    assert found.findings[0].observed == ["kata"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "pass"),
        ('[grpc]\ntcp_address = ""', "pass"),
        ('[grpc]\ntcp_address = "127.0.0.1:9000"', "fail"),
        ("[grpc]\ntcp_address = 7", "unknown"),
        ("[grpc", "unknown"),
    ],
)
def test_api_on_tcp(text, expected):
    assert status(test_containerd.test_containerd_tcp_api, with_file(text)) == expected


def test_a_file_that_changed_since_the_start():
    host = with_file("", changed=BOOT + 5000)
    found = verdict(test_containerd.test_containerd_tcp_api, host)
    assert (found.status.value, "restart" in found.reason) == ("unknown", True)


TLS = '[plugins."io.containerd.grpc.v1.cri"]\nenable_tls_streaming = true\n'


@pytest.mark.parametrize(
    ("text", "tcp", "expected"),
    [
        ("", [("127.0.0.1", 1338)], "pass"),
        ("", [("0.0.0.0", 1338)], "fail"),
        ("version = 2\n" + TLS, [("10.0.0.1", 10010)], "pass"),
        (f'version = 2\n[metrics]\naddress = ":1338"\n{TLS}', [("10.0.0.1", 1338)], "fail"),
        ('disabled_plugins = ["cri"]', [("10.0.0.1", 10010)], "fail"),
    ],
)
def test_what_it_really_listens_on(text, tcp, expected):
    host = with_file(text, tcp=tcp)
    assert status(test_containerd.test_containerd_listeners, host) == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("", "pass"),
        ('stream_server_address = "::1"', "pass"),
        ('stream_server_address = "0.0.0.0"', "fail"),
        ('stream_server_address = ""', "fail"),
        ('stream_server_address = ""\nenable_tls_streaming = true', "pass"),
    ],
)
def test_stream_server(said, expected):
    assert status(test_cri.test_cri_stream_server, with_file(V2.format(said))) == expected


def test_apparmor_and_selinux_of_each_format():
    for form in (V1, V2, V3):
        engine = engine_of(with_file(form.format("disable_apparmor = true\nenable_selinux = true")))
        assert (engine.apparmor.value, engine.selinux.value) == (False, True)
        engine = engine_of(with_file(form.format("")))
        assert (engine.apparmor.value, engine.selinux.value) == (True, False)


def test_debugging_server():
    control = test_containerd.test_containerd_debug_socket
    assert status(control, with_file("")) == "pass"
    assert status(control, with_file('[debug]\naddress = "127.0.0.1:6060"')) == "fail"


def test_imports_count_more_and_may_be_patterns():
    more = "/etc/containerd/more/a.toml"
    host = with_file(
        'imports = ["more/*.toml"]\nroot = "/a"\n[grpc]\ntcp_address = ""\n',
        files={more: 'root = "/b"\n[grpc]\ntcp_address = "0.0.0.0:1"\n'},
        folders={"/etc/containerd/more": [more, "/etc/containerd/more/readme"]},
    )
    engine = engine_of(host)
    assert engine.directories[0] == "/b"
    assert [each.path for each in engine.settings.files] == [FILE, more]
    found = verdict(test_containerd.test_containerd_tcp_api, host)
    assert more in found.reason


def test_what_releases_merge_in_their_own_way_is_unknown():
    """containerd 1 replaces a plugin's table, containerd 2 merges it."""
    more = "/etc/containerd/a.toml"
    text = 'imports = ["a.toml"]\n' + V2.format('unset_seccomp_profile = "runtime/default"')
    host = with_file(text, files={more: V2.format("enable_selinux = true")})
    with pytest.raises(Unknown, match="depends on the release"):
        _ = engine_of(host).default_seccomp
    assert engine_of(host).selinux.value is True


def test_drop_ins_that_only_later_releases_read():
    more = "/etc/containerd/conf.d/a.toml"
    folders = {"/etc/containerd/conf.d": [more]}
    host = with_file("", files={more: '[grpc]\ntcp_address = "x:1"'}, folders=folders)
    assert status(test_containerd.test_containerd_tcp_api, host) == "unknown"
    host = with_file("imports = []", files={more: "no TOML"}, folders=folders)
    assert status(test_containerd.test_containerd_tcp_api, host) == "pass"


@pytest.mark.parametrize(
    ("argv", "flags", "subcommand"),
    [
        (["c", "--config", "/x", "-l=debug"], {"config": ["/x"], "l": ["debug"]}, ""),
        (["c", "-config=/x"], {"config": ["/x"]}, ""),
        (["c", "--config", "/x", "publish", "--topic"], {"config": ["/x"]}, "publish"),
        (["c", "--v", "--config", "/x"], {"v": ["true"], "config": ["/x"]}, ""),
    ],
)
def test_arguments(argv, flags, subcommand):
    assert parse_arguments(argv, {"v"}) == (flags, subcommand)


def test_flags_count_more_than_the_file():
    text = '[debug]\nlevel = "info"\n[grpc]\naddress = "/a"\n'
    flags = ("--config", "/srv/c.toml", "--address=/b", "-l", "debug", "--state", "/s")
    engine = engine_of(daemon_host(("containerd", *flags), {"/srv/c.toml": text}))
    assert (engine.address, engine.log_level.value) == ("/b", "debug")
    assert engine.directories == ("/var/lib/containerd", "/s")
    assert str(engine) == "containerd /srv/c.toml"


HOSTS = """
server = "https://registry.example"
[host."https://mirror.example"]
  capabilities = ["pull"]
[host."http://10.0.0.9:5000"]
[host."https://odd.example/v2/x"]
  skip_verify = true
"""


def test_hosts_toml():
    found = parse_hosts("/etc/containerd/certs.d/docker.io/hosts.toml", HOSTS)
    assert found.insecure == ()
    assert found.mirrors == (
        "https://mirror.example", "http://10.0.0.9:5000", "http://odd.example/v2/x",
    )  # fmt: skip
    for text in ('server = "http://a"', 'server = "https://a"\nskip_verify = true'):
        assert parse_hosts("/c/own:5000/hosts.toml", text).insecure == ("own:5000",)
    with pytest.raises(Unknown):
        parse_hosts("/c/a/hosts.toml", "host = 1")


def test_old_tables_of_registries():
    found = inline({
        "configs": {"a:5000": {"tls": {"insecure_skip_verify": True}}, "b": {"auth": {}}},
        "mirrors": {"docker.io": {"endpoint": ["http://m:5000", "https://n"]}},
    })  # fmt: skip
    assert found.insecure == ("a:5000",)
    assert found.mirrors == ("http://m:5000", "https://n")


@pytest.mark.parametrize(
    ("hosts", "insecure", "mirrors"),
    [(HOSTS, "pass", "fail"), ("skip_verify = true", "fail", "pass"), ("", "pass", "pass")],
)
def test_registries_below_config_path(hosts, insecure, mirrors):
    path = "/c/docker.io/hosts.toml"
    table = '[plugins."io.containerd.cri.v1.images".registry]\nconfig_path = "/none:/c"\n'
    host = with_file(
        V3.format("") + table,
        folders={"/none": [], "/c": ["/c/docker.io", path, "/c/docker.io/ca.crt"]},
        also={read(path).command: hosts},
    )
    assert status(test_remotes.test_insecure_registries, host) == insecure
    assert status(test_remotes.test_registry_mirrors, host) == mirrors


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [("skip_verify = true", "fail"), ("", "pass"), (None, "not-applicable")],
)
def test_registries_of_clients_beside_the_cri_plugin(hosts, expected):
    """nerdctl looks in the usual folder, whatever the plugin is told."""
    folder = "/etc/containerd/certs.d"
    path = f"{folder}/r.example/hosts.toml"
    host = with_file(
        'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]',
        folders={folder: [path] if hosts is not None else None},
        also={read(path).command: hosts or ""},
    )
    assert status(test_remotes.test_insecure_registries, host) == expected
