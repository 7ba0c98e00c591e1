"""User namespaces: which users of the host they are, and whether two are the same ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.runtime.test_namespaces import test_user_ranges as user_ranges
from hullcheck.control import Unknown
from hullcheck.facts.bundles import Bundle
from hullcheck.facts.user_maps import IdRange, overlaps, parse_map
from tests.unit.container_fake import APP, HOST_SPACES, Fake, fake_host, findings, inspect, number


def test_a_map_of_a_rootless_engine():
    one, rest = parse_map("         0       1000          1\n         1     100000      65536\n")
    assert (one.outer(0), one.outer(1), rest.outer(1)) == (1000, None, 100000)
    assert parse_map("") == ()


@pytest.mark.parametrize("text", ["0 0\n", "0 0 1", "a b c\n", "0 0 1 1\n", "0 -1 5\n", "\n"])
def test_damage_is_unknown(text):
    with pytest.raises(Unknown):
        parse_map(text)


@given(st.text("0123456789 \n-x", max_size=100))
def test_any_text(text):
    try:
        found = parse_map(text)
    except Unknown:
        return
    assert len(found) == text.count("\n")


@pytest.mark.parametrize(
    ("start", "count", "meets"),
    [(1000, 1, True), (999, 1, False), (1001, 9, False), (0, 5000, True)],
)
def test_overlaps(start, count, meets):
    some = IdRange(0, 1000, 1)
    assert list(overlaps([some], [IdRange(0, start, count)])) == ([some] if meets else [])


def ranges(first: str, second: str, namespace: str = "k8s.io"):
    """What is said of one container of Docker's, and one of containerd's."""
    other = Bundle(number("pod"), namespace, "containerd", "/b", 200, "/run/containerd")
    host = fake_host(
        [inspect("app", 100)], Fake(100, APP, uid_map=first),
        Fake(200, number("pod"), uid_map=second), seeds={"bundles": [other]},
    )  # fmt: skip
    return {name: str(each.status) for name, each in findings(user_ranges, host).items()}


def test_ranges_of_two_engines():
    one, same, apart = "0 100000 65536", "0 165535 1", "0 165536 65536"
    assert ranges(one, same) == {"app": "fail", number("pod"): "fail"}
    assert ranges(one, apart) == {"app": "pass", number("pod"): "pass"}


def test_without_a_user_namespace_there_is_nothing_to_compare():
    shared = Fake(100, APP, spaces={"user": HOST_SPACES["user"]})
    told = findings(user_ranges, fake_host([inspect("app", 100)], shared))
    assert str(told["app"].status) == "not-applicable"


def test_one_engine_may_map_all_its_containers_alike():
    described = [inspect("app", 100), inspect("other", 200)]
    host = fake_host(described, Fake(100, APP), Fake(200, number("other")))
    told = findings(user_ranges, host)
    assert {str(each.status) for each in told.values()} == {"pass"}
