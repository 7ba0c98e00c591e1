"""Users, capabilities and namespaces where no live host here can go, and the mistakes of peers."""

from types import SimpleNamespace

import pytest

from checks.runtime.test_namespaces import (
    test_host_network as host_network,
)
from checks.runtime.test_namespaces import (
    test_host_user_namespace as host_user_namespace,
)
from checks.runtime.test_privileges import (
    test_capabilities as capabilities,
)
from checks.runtime.test_privileges import (
    test_entered_process as entered_process,
)
from checks.runtime.test_privileges import (
    test_no_new_privileges as no_new_privileges,
)
from checks.runtime.test_privileges import (
    test_privileged as privileged,
)
from checks.runtime.test_privileges import (
    test_root_user as root_user,
)
from checks.runtime.test_privileges import (
    test_supplementary_groups as supplementary_groups,
)
from hullcheck.inventory.policy import Policy
from tests.unit.container_fake import (
    ALL,
    APP,
    Fake,
    fake_host,
    findings,
    inspect,
    running,
    status,
    stopped,
)

DOCKER = 0xA80425FB


def test_capabilities_are_what_the_kernel_says():
    """Peer mistake 45: the default set passes there, and a privileged container too."""
    assert status(capabilities, running(CapDrop=["ALL"])) == "pass"
    default = Fake(100, APP, uid=0, caps=DOCKER, bounding=DOCKER)
    assert status(capabilities, running(default)) == "fail"
    assert status(capabilities, running(default, CapDrop=["net_raw"])) == "fail"
    assert status(capabilities, stopped(CapDrop=["net_raw"])) == "pass"
    assert status(capabilities, stopped(CapAdd=["sys_Admin"], CapDrop=["all"])) == "fail"
    assert status(capabilities, stopped(CapDrop=["ALL"], Privileged=True)) == "fail"
    lifted = Policy(capabilities=("net_raw",))
    assert status(capabilities, running(default), policy=lifted) == "pass"


def test_what_no_program_can_give_is_not_held_against_it():
    bounded = Fake(100, APP, bounding=ALL)
    assert status(capabilities, running(bounded, CapDrop=["ALL"])) == "pass"
    free = Fake(100, APP, bounding=ALL, nnp=0)
    assert status(capabilities, running(free, CapDrop=["ALL"])) == "fail"


def test_a_sandbox_of_its_own_is_not_the_hosts():
    """A browser has every capability in a user namespace that it made."""
    sandbox = Fake(101, APP, ppid=100, caps=ALL, bounding=ALL, nnp=0,
                   spaces={"mnt": 10002, "pid": 10004, "net": 10003, "user": 77})  # fmt: skip
    host = running(None, sandbox, CapDrop=["ALL"])
    assert status(capabilities, host) == "pass"
    assert status(privileged, host) == "pass"


def test_what_is_said_of_many_processes_is_short():
    """One sentence for those that are alike; one that hides what it is hides no other's fault."""
    own = {"user": 10005}
    many = [Fake(pid, APP, ppid=100, nnp=0, caps=DOCKER, spaces=own) for pid in range(101, 140)]
    found = findings(no_new_privileges, running(None, *many))["app"]
    assert found.reason == (
        "no_new_privs of 101 (app), 102 (app), 103 (app) and 36 more is not set, expected set"
    )
    hidden = Fake(140, APP, ppid=100)
    hidden.ns = lambda: ""  # type: ignore[method-assign]
    assert status(capabilities, running(None, hidden, CapDrop=["ALL"])) == "unknown"
    assert status(capabilities, running(None, hidden, many[0], CapDrop=["ALL"])) == "fail"


def test_who_enters_with_every_right_makes_no_privileged_container():
    """It is the intruder that is wrong, not what the container was started with."""
    entered = Fake(101, APP, caps=ALL, bounding=ALL, nnp=0, spaces={"user": 4026531835})
    host = running(None, entered, CapDrop=["ALL"])
    assert status(capabilities, host) == "fail"
    assert status(entered_process, host) == "fail"
    assert status(privileged, host) == "pass"


def test_another_container_in_the_same_cgroup_is_no_process_of_this_one():
    """Raw runc with the cgroup of a container that an engine knows, and no more rights."""
    first = {"mnt": 10002, "net": 10003, "pid": 10004, "user": 10005}
    assert status(entered_process, running(None, Fake(101, APP, spaces=first))) == "pass"
    assert status(entered_process, running(None, Fake(101, APP))) == "fail"
    nested = Fake(102, APP, ppid=100)
    deeper = nested.status().replace("102\t1", "102\t7\t1")
    nested.status = lambda: deeper  # type: ignore[method-assign]
    assert status(entered_process, running(None, nested)) == "pass"


def test_privileged_by_other_means():
    """All capabilities are those of this kernel, not a literal mask."""
    assert status(privileged, running(Fake(100, APP, caps=ALL, bounding=ALL))) == "fail"
    assert status(privileged, stopped(CapAdd=["All"])) == "fail"
    assert status(privileged, stopped(Privileged=True)) == "fail"
    assert status(privileged, stopped()) == "pass"


@pytest.mark.parametrize(
    ("options", "default", "expected"),
    [
        (["no-new-privileges"], False, "pass"),
        (["no-new-privileges:true"], False, "pass"),
        (["no-new-privileges=false"], True, "fail"),
        ([], True, "pass"),
        ([], False, "fail"),
    ],
)
def test_no_new_privileges_is_a_value(options, default, expected):
    """Peer mistake 3: its presence is taken for its being on."""
    host = stopped(engine={"no-new-privileges": default}, SecurityOpt=options)
    assert status(no_new_privileges, host) == expected


@pytest.mark.parametrize(
    ("user", "expected"),
    [("", "fail"), ("0", "fail"), ("00:5", "fail"), ("root:app", "fail"), ("1000", "pass"),
     ("app", "unknown")],
)  # fmt: skip
def test_root_is_who_the_host_takes_for_root(user, expected):
    """Peers look at the name alone: a program that dropped root fails there, and one that became
    root again passes."""
    assert status(root_user, stopped(Config={"User": user})) == expected
    assert status(root_user, running(Fake(100, APP, uid=1000), Config={"User": user})) == "pass"
    assert status(root_user, running(Fake(100, APP, uid=0), Config={"User": user})) == "fail"
    assert status(root_user, stopped({"rootless": True}, Config={"User": user})) == "pass"


@pytest.mark.parametrize(
    ("group", "expected"), [("6", "fail"), ("06", "fail"), ("66", "pass"), ("disk", "unknown")]
)
def test_groups_are_numbers_and_a_name_is_the_images(group, expected):
    groups = SimpleNamespace(groups=[SimpleNamespace(gid=6, name="disk")])
    host = stopped(seeds={"accounts": groups}, GroupAdd=[group])
    assert status(supplementary_groups, host) == expected


def test_user_namespaces_are_not_assumed():
    """Peer mistake 57: without remapping every container is in the host's."""
    shared = Fake(100, APP, spaces={"user": 4026531835})
    assert status(host_user_namespace, running(shared)) == "fail"
    assert status(host_user_namespace, running()) == "pass"
    identity = Fake(100, APP, uid_map="         0          0 4294967295")
    assert status(host_user_namespace, running(identity)) == "fail", "a namespace of its own only"
    assert status(host_user_namespace, stopped()) == "fail"
    remap = {"security_options": {"userns": {}}}
    assert status(host_user_namespace, stopped(remap)) == "pass"
    assert status(host_user_namespace, stopped(remap, UsernsMode="host")) == "fail"
    assert status(host_user_namespace, stopped({"rootless": True})) == "pass"


def test_a_namespace_that_cannot_be_seen_is_unknown():
    hidden = Fake(100, APP)
    hidden.ns = lambda: ""  # type: ignore[method-assign]
    assert status(host_network, running(hidden)) == "unknown"
    assert status(host_network, running(hidden, NetworkMode="host")) == "fail"


def test_no_container_leaves_the_audit():
    """Peer mistakes 37, 38 and 39: a name, a label or a state do not hide a container."""
    described = [
        inspect("vanilla-app", Privileged=True),
        inspect("optout", Config={"Labels": {"docker.bench.security": "1"}}, Privileged=True),
        inspect("created", State={"Status": "created"}, Privileged=True),
    ]
    host = fake_host(described)
    for each in ("vanilla-app", "optout", "created"):
        assert status(privileged, host, each) == "fail"
