"""Job runners on a real host: their files and processes, made wrong and right again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from hullcheck.catalogue import all_controls
from hullcheck.inventory.policy import Policy
from hullcheck.judge import Site, gather, judge
from hullcheck.transport import session_of
from hullcheck.transport.connect import connect
from hullcheck.transport.redact import Redactor
from hullcheck.transport.target import parse_spec
from tests.live.hosts.overlay import OverlayHost
from tests.recordings.parts.build_runners import ROTTEN, SOUND, TOKEN, UNIT, start

pytestmark = pytest.mark.live

CONFIG = "/etc/gitlab-runner/config.toml"
NAMES = tuple(
    f"build.runner-{name}"
    for name in ("privileged", "engine-socket", "host-mounts", "host-namespaces", "rights",
                 "host-jobs", "allowed-images", "pull-policies", "tls", "files", "secrets",
                 "debug-port", "shared-cache")
)  # fmt: skip


def statuses(host: OverlayHost, *names: str, user: str = "root") -> tuple[dict[str, str], bytes]:
    """Judge some controls in one session; return what each says, and all that came of the host."""
    target = replace(parse_spec(f"paramiko://{user}@{host.name}"), ssh_config=host.ssh_config)
    there = connect(target, redact=Redactor(b"salt"))
    try:
        controls = [all_controls()[name] for name in names or NAMES]
        site = Site(host.name, Policy())
        gather(controls, there, site)
        found = {each.id: str(judge(each, there, site).status) for each in controls}
        came = b"".join(each.stdout + each.stderr for each in session_of(there).recording)
        return found, came
    finally:
        session_of(there).close()


@pytest.fixture(scope="module")
def builder(overlay_host: OverlayHost) -> Iterator[OverlayHost]:
    """A host with room for runners; all of them are gone afterwards."""
    overlay_host.run("useradd -r -m -d /srv/ci ci")
    overlay_host.add_user("watcher")
    yield overlay_host
    stop(overlay_host)
    overlay_host.run(
        "userdel -r ci; userdel -r watcher; rm -rf /etc/gitlab-runner /run/runners /run/wait"
        " /srv/ci /etc/systemd/system/gitlab-runner.service /usr/local/bin/act_runner"
        " /usr/local/bin/woodpecker-agent /usr/local/bin/gitlab-runner",
        check=False,
    )


def stop(host: OverlayHost) -> None:
    host.run("touch /run/runners; for p in $(cat /run/runners); do kill -KILL $p; done; "
             ": >/run/runners")  # fmt: skip


@pytest.fixture(autouse=True)
def stopped(builder: OverlayHost) -> Iterator[None]:
    yield
    stop(builder)


def test_a_config_of_gitlab(builder: OverlayHost) -> None:
    builder.write(CONFIG, SOUND, 0o600)
    builder.write("/etc/systemd/system/gitlab-runner.service", UNIT.format("ci"))
    found, came = statuses(builder)
    assert set(found.values()) == {"pass"}, found
    assert TOKEN.encode() not in came
    builder.write(CONFIG, ROTTEN, 0o644)
    found, came = statuses(builder)
    assert {name for name in found if found[name] != "fail"} == {"build.runner-host-jobs"}, found
    assert TOKEN.encode() not in came
    assert b"not-a-real-one" not in came


def test_the_process_says_which_file_is_in_use(builder: OverlayHost) -> None:
    """And whose rights jobs on the host have. In a container or a unit with a view of its own,
    another file has the usual name."""
    builder.write("/srv/ci/inner/config.toml", ROTTEN)
    builder.write(CONFIG, "concurrent = 1\n", 0o600)
    builder.run("rm -f /etc/systemd/system/gitlab-runner.service")
    some = tuple(f"build.runner-{name}" for name in ("privileged", "files", "host-jobs"))
    assert set(statuses(builder, *some)[0].values()) == {"not-applicable"}
    start(builder, "gitlab-runner", "run", cwd="/srv/ci",
          apart="mount --bind /srv/ci/inner /etc/gitlab-runner")  # fmt: skip
    found, _ = statuses(builder, *some)
    assert set(found.values()) == {"fail"}, found
    builder.write("/srv/ci/inner/config.toml", SOUND, 0o600)
    found, _ = statuses(builder, *some)
    assert found.pop("build.runner-host-jobs") == "fail"
    assert set(found.values()) == {"pass"}, found
    stop(builder)
    builder.write("/srv/ci/inner/config.toml", ROTTEN)
    words = ("run", "--config", "/srv/ci/inner/config.toml")
    start(builder, "gitlab-runner", *words, user="ci", cwd="/srv/ci")
    found, _ = statuses(builder, "build.runner-host-jobs", "build.runner-privileged")
    assert tuple(found.values()) == ("pass", "fail")


def test_agents_that_run(builder: OverlayHost) -> None:
    start(builder, "woodpecker-agent", variables=[
        "WOODPECKER_SERVER=ci.example:9000", "WOODPECKER_BACKEND=docker",
        "WOODPECKER_AGENT_SECRET=not-a-real-one", "WOODPECKER_BACKEND_DOCKER_VOLUMES=/:/host",
    ])  # fmt: skip
    some = ("build.runner-engine-socket", "build.runner-host-mounts", "build.runner-tls")
    found, came = statuses(builder, *some)
    assert set(found.values()) == {"fail"}
    assert b"not-a-real-one" not in came
    assert set(statuses(builder, *some, user="watcher")[0].values()) == {"unknown"}


def test_an_actions_runner(builder: OverlayHost) -> None:
    token = "0123abcd" * 5
    registered = f'{{"name": "r", "token": "{token}", "address": "https://git.example", '
    builder.write("/srv/ci/.runner", registered + '"labels": ["a:docker://b"]}', 0o600)
    builder.write("/srv/ci/config.yaml", "container:\n  privileged: true\n  docker_host: '-'\n")
    builder.run("chown ci /srv/ci/.runner /srv/ci/config.yaml")
    start(builder, "act_runner", "daemon", "--config", "config.yaml", user="ci", cwd="/srv/ci")
    both = ("build.runner-privileged", "build.runner-engine-socket")
    found, came = statuses(builder, *both)
    assert tuple(found.values()) == ("fail", "pass")
    assert token.encode() not in came
    builder.write("/srv/ci/config.yaml", "container:\n  docker_host: ''\n")
    assert tuple(statuses(builder, *both)[0].values()) == ("pass", "fail")
    builder.run("ln -sf /etc/shadow /srv/ci/config.yaml")
    found, came = statuses(builder, *both)
    assert set(found.values()) == {"unknown"}
    assert b"\nroot:" not in came
