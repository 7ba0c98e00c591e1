"""kube-bench's wrong verdicts, each held against a test in which ours is right.

``tests/peers/kube_bench.yaml`` names them; ``docs/kubernetes-nodes.md`` shows them.
"""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.unit.test_peers import LONGEST, TESTS, named_in

ENTRIES: dict[str, dict[str, Any]] = yaml.safe_load((TESTS / "peers/kube_bench.yaml").read_text())


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_an_entry_says_in_a_line_what_goes_wrong_and_names_tests_that_exist(name: str) -> None:
    entry = ENTRIES[name]
    assert set(entry) == {"about", "wrong", "right"}
    assert 20 < len(entry["wrong"]) <= LONGEST
    assert entry["about"]
    assert entry["right"]
    for each in entry["right"]:
        file, _, test = each.partition("::")
        assert (TESTS / file).is_file(), each
        assert test in named_in(file), each
