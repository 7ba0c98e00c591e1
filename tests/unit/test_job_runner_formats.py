"""What runners' settings say, in the forms their documentation and real files have."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hullcheck.control import Unknown
from hullcheck.facts.runners.actions import (
    ActionsConfig,
    actions,
    config_option,
    parse_registration,
)
from hullcheck.facts.runners.environments import (
    drone,
    env_file,
    flags_of,
    parse_env,
    woodpecker,
    woodpecker_server,
)
from hullcheck.facts.runners.gitlab import config_path, job_user, parse_gitlab, runs_jobs
from hullcheck.facts.runners.jobs import HOST, MACHINES, Mount, mount_of, options_of, peer
from hullcheck.facts.runners.typed_tables import Table, parse_yaml

CUT = "[redacted:20:0123456789ab]"


def gitlab(docker="", runner="", executor="docker", more=""):
    text = (
        f'concurrent = 1\n[[runners]]\n  name = "r"\n  url = "https://gitlab.example"\n'
        f'  token = "{CUT}"\n  executor = "{executor}"\n{runner}\n'
        f"  [runners.docker]\n    tls_verify = false\n{docker}\n{more}\n"
    )
    (found,) = parse_gitlab("/c", text)
    return found


@pytest.mark.parametrize(
    ("docker", "privileged"),
    [
        ("", ()),
        ("privileged = false", ()),
        ("privileged = true", ("**",)),
        ("Privileged = true", ("**",)),
        ('privileged = true\nallowed_privileged_images = ["a:*"]', ("a:*", "**")),
        ('privileged = true\nservices_privileged = false\nallowed_privileged_images = ["a"]',
         ("a",)),
        ('services_privileged = true\nallowed_privileged_services = ["docker:*-dind"]',
         ("docker:*-dind",)),
        ("services_privileged = true", ("**",)),
        ("privileged = true\nallowed_privileged_images = []", ("**",)),
    ],
)  # fmt: skip
def test_gitlab_privileged(docker, privileged):
    assert gitlab(docker).privileged == privileged


def test_gitlab_in_full():
    found = gitlab(
        'volumes = ["/cache", "/var/run/docker.sock:/var/run/docker.sock", "v:/x:ro", "$HOST/a:/b",'
        ' "/srv/$CI_PROJECT_ID/x:/c"]\nnetwork_mode = "host"\nuserns_mode = "host"\nipcmode = "x"\n'
        'cap_add = ["NET_ADMIN"]\nsecurity_opt = ["no-new-privileges", "apparmor:unconfined",'
        ' "seccomp=/etc/s.json", "label:disable"]\ndevices = ["/dev/kvm:/dev/kvm"]\ngpus = "all"\n'
        'allowed_images = ["a/**"]\npull_policy = "if-not-present"\nhost = "tcp://10.0.0.5:2375"\n',
        runner='environment = ["A=b", "X=[redacted:5:0123456789ab]", "GIT_SSL_NO_VERIFY=1"]\n'
        f'pre_build_script = "login {CUT}"\nclone_url = "http://git.example/"',
        more="  [runners.cache]\n    Shared = true\n    [runners.cache.s3]\n      Insecure = true\n"
        '      ServerAddress = "minio.example:9000"\n',
    )
    assert found.mounts == (
        Mount("/var/run/docker.sock", "/var/run/docker.sock"), Mount("v", "/x", read_only=True),
        Mount("/", "/b"), Mount("/srv", "/c"),
    )  # fmt: skip
    assert found.namespaces == ("network", "user")
    assert found.capabilities == ("NET_ADMIN",)
    assert found.rights == ("security_opt apparmor:unconfined", "security_opt label:disable")
    assert found.devices == ("/dev/kvm", "gpus")
    assert found.images == (("allowed_images", ("a/**",)), ("allowed_services", None))
    assert found.pull_policies == ("if-not-present",)
    assert found.any_entrypoint
    assert not gitlab("disable_entrypoint_overwrite = true").any_entrypoint
    assert found.secrets == ("X", "pre_build_script")
    assert found.shared_cache
    assert len(found.plain) == 4, found.plain


@pytest.mark.parametrize(
    ("executor", "more", "where", "fresh"),
    [
        ("shell", "", HOST, False),
        ("docker+machine", "[runners.machine]\nMaxBuilds = 1", "containers", True),
        ("docker+machine", "[runners.machine]\nMaxBuilds = 100", "containers", False),
        ("docker-autoscaler", "[runners.autoscaler]\ncapacity_per_instance = 1\nmax_use_count = 1",
         "containers", True),
        ("docker-autoscaler", "[runners.autoscaler]\nmax_use_count = 9", "containers", False),
        ("instance", "[runners.autoscaler]\nmax_use_count = 1", MACHINES, True),
        ("virtualbox", "[runners.virtualbox]\ndisable_snapshots = true", MACHINES, False),
        ("kubernetes", "", "pods of a cluster", False),
    ],
)  # fmt: skip
def test_gitlab_executors(executor, more, where, fresh):
    found = gitlab(executor=executor, more=more)
    assert (found.where, found.fresh) == (where, fresh)


def test_gitlab_pods():
    found = gitlab(
        executor="kubernetes",
        more="[runners.kubernetes]\nprivileged = true\n[[runners.kubernetes.volumes.host_path]]\n"
        'name = "d"\nmount_path = "/var/run/docker.sock"\n'
        "[runners.kubernetes.build_container_security_context.capabilities]\nadd = ['SYS_ADMIN']\n"
        "[[runners.kubernetes.pod_spec]]\npatch = '{}'\n",
    )
    assert found.privileged == ("**",)
    assert found.mounts == (Mount("/var/run/docker.sock", "/var/run/docker.sock"),)
    assert found.capabilities == ("SYS_ADMIN",)
    assert found.pull_policies == ("the cluster's own",)
    assert "pod_spec" in found.unread


@pytest.mark.parametrize(
    "text",
    ["[[runners]]\nexecutor = 'docker'\n[runners.docker]\nprivileged = 'yes'", "runners = 1",
     "[[runners]",
     "[[runners]]\nexecutor = 'docker'\n[runners.docker]\nprivileged = false\nPrivileged = true",
     "[[runners]]\nexecutor = 'docker'\n[runners.docker]\nvolumes = [1]", "a = " + "[" * 5000],
)  # fmt: skip
def test_gitlab_damaged(text):
    with pytest.raises(Unknown):
        parse_gitlab("/c", text)


def test_an_engine_over_tcp():
    assert gitlab('host = "tcp://docker:2375"').near == ("docker",)
    assert gitlab('host = "tcp://10.0.0.1:2375"').plain == ("the engine 10.0.0.1 without TLS",)
    assert gitlab('host = "tcp://10.0.0.1:2376"\ntls_cert_path = "/c"').plain == ()


def test_the_token_of_a_job_is_no_secret_of_the_runner():
    script = f'pre_clone_script = "git config url.https://gitlab-ci-token:{CUT}@git.example/"'
    assert gitlab(runner=script).secrets == ()


def test_gitlab_without_runners_has_none():
    assert parse_gitlab("/c", "concurrent = 1\ncheck_interval = 0\n") == []
    (odd,) = parse_gitlab("/c", '[[runners]]\nexecutor = "new"\n')
    assert "not known" in odd.unread


def test_gitlab_command_lines():
    words = ["/usr/bin/gitlab-runner", "--debug", "run", "--config=/x.toml", "-user", "ci"]
    assert (runs_jobs(words), config_path(words, {}, 0), job_user(words)) == (
        "run",
        "/x.toml",
        "ci",
    )
    assert runs_jobs(["gitlab-runner", "cache-extractor"]) == "cache-extractor"
    assert config_path(["r", "run"], {"HOME": "/h"}, 1000) == "/h/.gitlab-runner/config.toml"
    assert config_path(["r", "run"], {"CONFIG_FILE": "/e"}, 0) == "/e"
    assert config_path(["r", "run"], None, 0) == "/etc/gitlab-runner/config.toml"
    with pytest.raises(Unknown):
        config_path(["r", "run"], None, 1000)


def test_drone():
    found = drone("drone-runner-docker", parse_env(
        'DRONE_RPC_HOST=drone.example\nexport DRONE_RPC_SKIP_VERIFY="true"\n'
        "DRONE_RUNNER_NAME=n # x\n"
        "DRONE_RUNNER_PRIVILEGED_IMAGES=plugins/docker,acme/x\nDRONE_RUNNER_NETWORKS=ci,host\n"
        "DRONE_RUNNER_VOLUMES=/run/docker.sock:/s,/etc:/etc:ro\nDRONE_RUNNER_DEVICES=/dev/kvm:/d\n"
        "DRONE_RUNNER_ENVIRON=A_TOKEN:,B:\nDRONE_REGISTRY_SKIP_VERIFY=1\n"
    ))  # fmt: skip
    assert found.name == "n"
    assert found.privileged == ("plugins/docker", "acme/x")
    assert found.mounts == (Mount("/run/docker.sock", "/s"), Mount("/etc", "/etc", read_only=True))
    assert (found.namespaces, found.devices, found.secrets) == (
        ("network",), ("/dev/kvm",), ("A_TOKEN",))  # fmt: skip
    assert [each.partition(" ")[0] for each in found.plain] == [
        "the", "DRONE_RPC_SKIP_VERIFY", "DRONE_REGISTRY_SKIP_VERIFY",
        "DRONE_REGISTRY_PLUGIN_SKIP_VERIFY"]  # fmt: skip
    assert drone("drone-runner-exec", {}).where == HOST
    sound = {"DRONE_RPC_PROTO": "https", "DRONE_RPC_HOST": "drone.example"}
    assert drone("drone-runner-docker", sound).plain == ()
    near = {"DRONE_RPC_PROTO": "http", "DRONE_RPC_HOST": "drone"}
    assert drone("drone-runner-docker", near).near == ("drone",)
    assert env_file(["/bin/drone-runner-docker", "daemon", "/etc/d.env"]) == "/etc/d.env"
    assert env_file(["drone-runner-exec", "service", "run"]) == "/etc/drone-runner-exec/config"


def test_woodpecker():
    told = {"WOODPECKER_SERVER": "ci.example:9000", "WOODPECKER_BACKEND_DOCKER_VOLUMES": "/a:/a:ro"}
    found = woodpecker(told, "docker")
    assert (len(found.plain), found.mounts) == (1, (Mount("/a", "/a", read_only=True),))
    flags = flags_of(["woodpecker-agent", "--grpc-secure", "--backend-engine=local"])
    assert woodpecker(told | flags, "local").plain == ()
    assert woodpecker(told | flags, "local").where == HOST
    off = {"WOODPECKER_GRPC_SECURE": "true", "WOODPECKER_GRPC_VERIFY": "false"}
    assert woodpecker(told | off, "docker").plain == ("WOODPECKER_GRPC_VERIFY is off",)
    assert woodpecker(told, "odd").unread
    assert woodpecker_server({"WOODPECKER_ESCALATE": "a,b"}).privileged == ("a", "b")


def registered(*labels, address="https://git.example"):
    text = json.dumps({"name": "n", "token": CUT, "address": address, "labels": labels})
    return parse_registration("/r", text)


def of_actions(kind, config, *labels, words=(), settings=None, **more):
    known = registered(*labels, **more)
    return actions(kind, ActionsConfig("/c", config), known, list(words), settings or {})


@pytest.mark.parametrize(
    ("kind", "host", "settings", "socket"),
    [
        ("gitea", '""', {}, "/var/run/docker.sock"),
        ("gitea", '"-"', {}, ""),
        ("gitea", "unix:///run/user/7/docker.sock", {}, "/run/user/7/docker.sock"),
        ("gitea", "tcp://dind:2376", {}, ""),
        ("gitea", '""', {"DOCKER_HOST": "tcp://dind:2376"}, ""),
        ("gitea", '""', {"DOCKER_HOST": "unix:///x.sock"}, "/x.sock"),
        ("forgejo", '"-"', {}, ""),
        ("forgejo", '""', {}, ""),
        ("forgejo", "automount", {}, "/var/run/docker.sock"),
        ("forgejo", "unix:///run/podman/podman.sock", {}, "/run/podman/podman.sock"),
    ],
)
def test_actions_socket(kind, host, settings, socket):
    (found,) = of_actions(kind, f"container:\n  docker_host: {host}\n", "a:docker://b",
                          settings=settings)  # fmt: skip
    assert [each.source for each in found.mounts] == ([socket] if socket else [])


def test_actions_in_full():
    config = (
        "runner:\n  insecure: y\n  envs: {A_TOKEN: '" + CUT + "', B: x}\n"
        "container:\n  network: host\n  docker_host: '-'\n"
        "  valid_volumes: ['**', data, /src/*.json]\n"
        "  options: >-\n    --cap-add=SYS_ADMIN --pid host -v /srv:/srv:ro --security-opt"
        " seccomp=unconfined --privileged=false --device /dev/fuse --mount src=/e,dst=/f\n"
    )
    containers, host = of_actions("gitea", config, "a:docker://b", "plain", "x:host")
    assert host.where == HOST
    assert containers.privileged == ()
    assert containers.mounts == (
        Mount("/srv", "/srv", read_only=True), Mount("/e", "/f"), Mount("/", "", offered=True),
        Mount("data", "", offered=True), Mount("/src", "", offered=True),
    )  # fmt: skip
    assert containers.namespaces == ("network", "process")
    assert (containers.capabilities, containers.devices) == (("SYS_ADMIN",), ("/dev/fuse",))
    assert containers.rights == ("security-opt seccomp=unconfined",)
    assert containers.secrets == ("A_TOKEN",)
    assert "insecure" in containers.plain[0]


def test_actions_labels():
    said = of_actions(
        "gitea", "", "a:host", words=["act_runner", "daemon", "--labels", "b:docker://c"]
    )
    assert [each.where for each in said] == ["containers"]
    config = "runner:\n  labels: ['a:docker://b']\n"
    assert [each.where for each in of_actions("forgejo", config, "x:host")] == ["containers"]
    with pytest.raises(Unknown, match="labels"):
        of_actions("gitea", "")
    assert of_actions("gitea", "", "a:host", address="http://localhost:3000")[0].plain == ()
    both = of_actions("gitea", "", "a:host", settings={"GITEA_RUNNER_LABELS": "b:docker://c"})
    assert [each.where for each in both] == ["containers", HOST]
    config = "server:\n  connections:\n    one: {url: http://git.example, labels: [plain]}\n"
    (found,) = actions("forgejo", ActionsConfig("/c", config), ("", (), ""), [], {})
    assert (found.where, len(found.plain)) == ("containers", 1)
    assert config_option(["act_runner", "-c", "x.yaml", "daemon"]) == "x.yaml"
    assert config_option(["act_runner", "daemon", "--config=/y"]) == "/y"


@pytest.mark.parametrize(
    "text", ["a: [1", "container: 5\n", "container: {privileged: maybe}\n", "x: &a [b]\ny: *a\n",
             "container:\n  options: \"'\"\n", "[" * 3000, "runner: {labels: {a: b}}\n"]
)  # fmt: skip
def test_actions_damaged(text):
    with pytest.raises(Unknown):
        of_actions("gitea", text, "a:docker://b")


@given(st.text(max_size=80))
def test_options_are_never_an_error(text):
    try:
        options_of(f"--privileged {text}")
    except Unknown:
        return


@given(st.text(max_size=200))
def test_any_text_is_understood_or_unknown(text):
    for parse in (parse_yaml, parse_gitlab, parse_registration):
        try:
            parse("/x", text)
        except Unknown:
            continue
    parse_env(text)
    mount_of(text)
    peer(text)


def test_tables():
    table = Table({"A": 1, "b": {"c": ["d"]}, "e": "y"}, "/x", fold=True)
    assert (table.number("a"), table.table("B").texts("C"), table.flag("e")) == (1, ("d",), True)
    for ask in (lambda: table.flag("a"), lambda: table.text("b"), lambda: table.tables("a")):
        with pytest.raises(Unknown):
            ask()


@pytest.mark.parametrize(
    ("url", "fault", "near"),
    [("http://a.b/", True, ""), ("https://a.b", False, ""), ("http://[::1]:80", False, ""),
     ("http://localhost:1", False, ""), ("http://127.9.9.9", False, ""), ("http://gitlab/", False,
     "gitlab"), ("unix:///x", False, ""), ("", False, ""), ("HTTP://10.0.0.1", True, "")],
)  # fmt: skip
def test_peers(url, fault, near):
    found = peer(url)
    assert (bool(found[0]), found[1]) == (fault, near)
