"""What a host is for: declared, or seen, and never by what a container says of itself."""

from __future__ import annotations

from typing import Any

import pytest

from hullcheck import facts
from hullcheck.control import Unknown
from hullcheck.facts.role import FOUND, PLACES, Role, role
from hullcheck.inventory.roles import BUILD_HOST, KUBERNETES_NODE, ROOTFUL, ROOTLESS
from hullcheck.judge import Site
from tests.unit.container_fake import APP, INIT, Fake, fake_host

ABSENT = "".join(f"stat: cannot statx '{each}': No such file or directory\n" for each in PLACES)


def host_of(
    *running: Fake,
    places: tuple[int, str, str] = (1, "", ABSENT),
    programs: dict[int, str] | None = None,
    docker: Any = (),
    podman: Any = (),
) -> Any:
    answers: dict[str, Any] = {FOUND.command: places}
    for process in (INIT, Fake(50), *running):
        path = (programs or {}).get(process.pid, f"/usr/bin/{process.name}")
        answers[f"readlink -nv /proc/{process.pid}/exe"] = path
        answers[f"head -c 1048577 -- /proc/{process.pid}/cmdline"] = f"{process.name}\0"
    answers["readlink -nv /proc/50/exe"] = "/usr/sbin/dockerd"
    seeds = {"docker": list(docker), "podman": list(podman)}
    return fake_host([], *running, answers=answers, seeds=seeds)


def kubelet(**parts: Any) -> Fake:
    return Fake(70, name="kubelet", uid=0, nested=False, **parts)


@pytest.mark.parametrize(
    ("processes", "programs", "names"),
    [
        ((), {}, {ROOTFUL}),
        ((kubelet(),), {}, {ROOTFUL, KUBERNETES_NODE}),
        ((Fake(70, name="gitlab-runner", nested=False),), {}, {ROOTFUL, BUILD_HOST}),
        (
            (Fake(70, name="drone-runner-do", nested=False),),
            {70: "/usr/local/bin/drone-runner-docker"},
            {ROOTFUL, BUILD_HOST},
        ),
        # A program that calls itself so, and a container's.
        ((kubelet(),), {70: "/usr/bin/sleep"}, {ROOTFUL}),
        ((Fake(70, APP, name="kubelet"),), {}, {ROOTFUL}),
    ],
)
def test_what_runs_gives_a_role(processes: Any, programs: Any, names: set[str]) -> None:
    assert role(host_of(*processes, programs=programs)).names == names


def test_what_is_installed_gives_a_role_though_it_does_not_run() -> None:
    there = "/var/lib/kubelet/config.yaml"
    rest = "".join(line for line in ABSENT.splitlines(True) if there not in line)
    found = role(host_of(places=(1, f"{there}\n", rest)))
    assert KUBERNETES_NODE in found
    assert BUILD_HOST not in found
    assert str(found) == "engine-rootful, kubernetes-node"


def test_a_place_that_is_hidden_makes_its_role_doubtful_and_no_other() -> None:
    hidden = "stat: cannot statx '/etc/gitlab-runner/config.toml': Permission denied\n"
    rest = "".join(line for line in ABSENT.splitlines(True) if "gitlab" not in line)
    found = role(host_of(places=(1, "", rest + hidden)))
    assert KUBERNETES_NODE not in found
    with pytest.raises(Unknown, match=r"build-host.*Permission denied"):
        _ = BUILD_HOST in found


def test_a_process_whose_namespace_is_hidden_makes_a_role_doubtful() -> None:
    host = host_of(kubelet())
    session = facts.get(host, "processes")
    session.get(70).spaces.pop("mnt")
    with pytest.raises(Unknown, match="may need root"):
        _ = KUBERNETES_NODE in role(host)


def test_engines_of_users() -> None:
    class Own:
        rootless = True

    assert role(host_of(podman=[Own()])).names == {ROOTFUL, ROOTLESS}


def test_an_inventory_decides() -> None:
    given = Site("h", role=(BUILD_HOST,)).input("role")
    assert isinstance(given, Role)
    assert (BUILD_HOST in given, ROOTFUL in given) == (True, False)
    assert Site("h").input("role") is None


def test_a_sweep_that_failed_leaves_its_roles_open() -> None:
    found = role(host_of(places=(126, "", "stat: cannot execute")))
    assert ROOTFUL in found
    for name in (KUBERNETES_NODE, BUILD_HOST):
        with pytest.raises(Unknown, match="cannot execute"):
            _ = name in found
