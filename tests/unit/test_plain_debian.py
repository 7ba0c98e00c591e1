"""No false alarm on a plain Debian with Docker: each failure there is defended in docs/hosts.md."""

from __future__ import annotations

import re
from pathlib import Path

from tests.recordings.book import index

PAGE = Path(__file__).parents[2] / "docs" / "hosts.md"
FOR_A_PERSON = {
    "host.published-ports-filtered", "host.listeners", "host.router-advertisements",
    "host.ssh-privileged-keys",
}  # fmt: skip
OPEN = {"host.binfmt-handlers"}


def test_each_failure_is_defended_and_no_other() -> None:
    found: dict[str, set[str]] = {}
    for verdict in index()["debian-kernel"].judged():
        if verdict.control.startswith("host."):
            found.setdefault(str(verdict.status), set()).add(verdict.control)
    rows = re.findall(r"^\| `(host\.[a-z0-9-]+)` \| [12] \| (.+) \|$", PAGE.read_text(), re.M)
    assert {name for name, _ in rows} == found["fail"]
    assert all(len(why) > 5 for _, why in rows)
    assert found["manual"] == FOR_A_PERSON
    assert found["unknown"] == OPEN
    assert "error" not in found
