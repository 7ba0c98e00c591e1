"""Damaged answers acquit nobody: controls that fail on a host, each with the answer that shows why.

That answer is cut in the midst of a line, gets a byte that no tool prints, or loses a field or a
line; what failed must then not pass, nor break. test_law_one.py takes whole answers away instead.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from testinfra.host import Host

from checks.build import test_image_recipes as recipes
from checks.build import test_images as images
from checks.engine import test_daemon as daemon
from checks.engine import test_podman as podman
from checks.engine import test_remotes as remotes
from checks.host import test_audit_rules as audit_rules
from checks.orchestrator import test_swarm as swarm
from checks.orchestrator import test_swarm_keys as swarm_keys
from checks.runtime import test_behaviour as behaviour
from checks.runtime import test_confinement as confinement
from checks.runtime import test_limits as limits
from checks.runtime import test_mounts as mounts
from checks.runtime import test_namespaces as namespaces
from checks.runtime import test_privileges as privileges
from hullcheck import facts
from hullcheck.control import control_of
from hullcheck.facts.audit import WANTS as AUDIT
from hullcheck.facts.cgroups import limits_want, trees
from hullcheck.facts.confinement import confinement_want
from hullcheck.facts.descriptors import descriptors_want
from hullcheck.facts.docker.api import Api
from hullcheck.facts.environment import environ_want
from hullcheck.facts.podman.places import CONFIGURATION
from hullcheck.facts.processes import CGROUP, SPACES, STATUS
from hullcheck.facts.swarm_api import nodes_want
from hullcheck.judge import Site, judge
from hullcheck.transport import session_of, want
from hullcheck.verdict import Status, Verdict
from tests.unit import container_fake, podman_fake, swarm_fake
from tests.unit.audit_fake import host_like
from tests.unit.container_fake import ALL, APP, HOST_SPACES, Fake, running
from tests.unit.docker_fake import SOCKET, WHEN, Daemon, docker_answers, dockerd
from tests.unit.fake import host_with
from tests.unit.image_fake import ADDRESS, image_host, used
from tests.unit.image_fake import described as image
from tests.unit.image_fake import number as image_number
from tests.unit.test_fuzz import MARK, damages
from tests.unit.test_runtime_controls_confinement import modules

Answers = dict[str, Any]


@dataclass(frozen=True)
class Fault:
    """A control that fails, a host on which it does, and the answer that shows the fault.

    :param make: the host, with some answers in place of its own.
    :param kinds: see :func:`damages`: no line where one alone is all of an object, and no field
        where an empty one is as good as another value.
    """

    control: Any
    make: Callable[[Answers], Host]
    command: str
    kinds: str = "cfel"


def container(first: Fake, known: Mapping[str, Any] | None = None, **parts: Any) -> Any:
    return lambda answers: running(first, answers={**(known or {}), **answers}, **parts)


def over(answers: Mapping[str, Any]) -> Callable[[Answers], Host]:
    return lambda others: host_with({**answers, **others})


def engine(config: Any = None, **said: Any) -> Callable[[Answers], Host]:
    text = json.dumps(config or {}, indent=1)
    return over(docker_answers([dockerd()], {f"unix://{SOCKET}": Daemon(**said)}, text))


LOOSE = Fake(100, APP, uid=0, caps=ALL, bounding=ALL, nnp=0, seccomp=0)
LIKE_HOST = Fake(100, APP, spaces=HOST_SPACES)
OPEN_FILES = "100/oom_score_adj:0\n100/limits:Max open files    1024     1073741816     files\n"
WRITABLE = container_fake.OWN_MOUNTS.replace("/ / ro", "/ / rw").replace("overlay ro", "overlay rw")
SECRET = f"{MARK}\n{MARK} 100\nDB_PASSWORD set\n{MARK} end\n"
FOREIGN = "100 cwd 100 cwd\n100 root 100 root\n100 8 20 more\n100 seen - seen\nend\n"
LEADS = {"readlink -nv /proc/100/fd/8": "/x", "stat -L -c %F /proc/100/fd/8": "directory\n"}
COMPLAINING = "100/attr/current:docker-default (complain)\n"
HELD = {"CapDrop": ["ALL"]}
VAST = {"memory.limit_in_bytes": "9223372036854771712", "pids.max": "4194304"}
DOCKER = Api(None, f"unix://{SOCKET}", True)  # type: ignore[arg-type]
_, INFO, NETWORKS = (each.command for each in DOCKER.wants())
IMAGES = Api(None, ADDRESS, True)  # type: ignore[arg-type]
HISTORY = IMAGES.history_wants([image_number("app")])[0].command
INSECURE = {"RegistryConfig": {"InsecureRegistryCIDRs": ["10.0.0.0/8"], "IndexConfigs": {}}}
NODES = [swarm_fake.node(1, "reachable"), swarm_fake.node(2, "reachable")]
TWO = 'unqualified-search-registries = ["a.example", "b.example"]\n'
SHORT = podman_fake.Files({"/etc/containers/registries.conf": TWO})


def limits_command() -> str:
    host = running(LOOSE)
    first = facts.get(host, "container")[0].init
    return limits_want(trees(facts.get(host, "mounts"), first.cgroups)).command


LIMITS, CONFINEMENT = limits_command(), confinement_want([100]).command
ENVIRON, DESCRIPTORS = environ_want([100]).command, descriptors_want([100]).command

FAULTS = {
    "capabilities": Fault(privileges.test_capabilities, container(LOOSE, **HELD), STATUS.command),
    "new privileges": Fault(privileges.test_no_new_privileges, container(LOOSE), STATUS.command),
    "root": Fault(privileges.test_root_user, container(LOOSE), STATUS.command),
    "seccomp": Fault(confinement.test_seccomp, container(LOOSE), STATUS.command),
    "network": Fault(namespaces.test_host_network, container(LIKE_HOST), SPACES.command),
    "pids": Fault(namespaces.test_host_pid, container(LIKE_HOST), SPACES.command),
    "users": Fault(
        namespaces.test_host_user_namespace,
        container(Fake(100, APP, uid_map="         0          0 4294967295")),
        "cat /proc/100/uid_map", "cf",
    ),
    "memory": Fault(limits.test_memory_limit, container(LOOSE, limits=VAST), LIMITS, "cfl"),
    "processes": Fault(limits.test_pids_limit, container(LOOSE, limits=VAST), LIMITS, "cfl"),
    "cgroup": Fault(
        limits.test_memory_limit, container(LOOSE, limits=VAST), CGROUP.command, "cfl"
    ),
    "root file system": Fault(
        mounts.test_read_only_root, container(LOOSE, mounts=WRITABLE), "cat /proc/100/mountinfo",
        "cf",
    ),
    "open files": Fault(
        limits.test_ulimits, container(LOOSE, {CONFINEMENT: OPEN_FILES}), CONFINEMENT
    ),
    "AppArmor": Fault(
        confinement.test_apparmor_profile,
        container(LOOSE, confinement=COMPLAINING, seeds=modules(apparmor=True)), CONFINEMENT, "cfe",
    ),
    "environment": Fault(
        behaviour.test_secrets_in_environment, container(LOOSE, {ENVIRON: SECRET}), ENVIRON, "cfe"
    ),
    "descriptors": Fault(
        behaviour.test_foreign_descriptors, container(LOOSE, {DESCRIPTORS: FOREIGN, **LEADS}),
        DESCRIPTORS, "cfe",
    ),
    "info": Fault(daemon.test_live_restore, engine(), INFO),
    "registries": Fault(remotes.test_insecure_registries, engine(info=INSECURE), INFO, "cl"),
    "networks": Fault(daemon.test_inter_container_traffic, engine(), NETWORKS, "cf"),
    "configuration": Fault(
        daemon.test_packet_filter, engine({"iptables": False, "x": [1]}),
        "head -c 1048577 -- /etc/docker/daemon.json", "c",
    ),
    "managers": Fault(
        swarm.test_swarm_managers, over(swarm_fake.in_swarm(nodes=NODES)),
        nodes_want(swarm_fake.ADDRESS, True).command, "cf",
    ),
    "unlocked key": Fault(
        swarm_keys.test_swarm_autolock,
        over(swarm_fake.in_swarm(key=swarm_fake.header("PRIVATE KEY"))),
        swarm_fake.key_want().command,
    ),
    "audit state": Fault(
        audit_rules.test_audit_recording, host_like, AUDIT[1].command, "cfe"
    ),
    "history": Fault(
        recipes.test_package_index,
        lambda more: image_host(
            [image("app")], histories={"app": ["RUN /bin/sh -c apt-get update"]}, answers=more
        ),
        HISTORY, "c",
    ),
    "images": Fault(
        images.test_image_health_check,
        lambda more: image_host([image("app")], [used("app")], answers=more),
        IMAGES.images_want().command, "c",
    ),
    "podman": Fault(
        podman.test_podman_short_names, over(podman_fake.podman_answers(SHORT)),
        CONFIGURATION.command, "cl",
    ),
}  # fmt: skip


def verdict(fault: Fault, answers: Answers) -> Verdict:
    control = control_of(fault.control)
    assert control is not None
    return judge(control, fault.make(answers), Site("fake", started=WHEN))


@pytest.mark.parametrize("name", FAULTS)
@settings(max_examples=25, deadline=None)
@given(st.data())
def test_damage_acquits_nobody(name: str, data: st.DataObject) -> None:
    fault = FAULTS[name]
    evidence = session_of(fault.make({})).ask(want(fault.command))[0].evidence
    whole = evidence.stdout.decode()
    damaged = data.draw(damages(whole, fault.kinds))
    reply = (evidence.exit, damaged.encode("utf-8", "surrogateescape"), evidence.stderr)
    found = verdict(fault, {fault.command: reply})
    assert found.status not in (Status.PASS, Status.NOT_APPLICABLE, Status.ERROR), found.reason


@pytest.mark.parametrize("name", FAULTS)
def test_undamaged_they_fail(name: str) -> None:
    found = verdict(FAULTS[name], {})
    assert found.status is Status.FAIL, found.reason
