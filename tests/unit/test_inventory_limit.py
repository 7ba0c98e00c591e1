"""``--limit`` and ``--tag``."""

from __future__ import annotations

from pathlib import Path

import pytest

from hullcheck.inventory.host import InventoryHost
from hullcheck.inventory.limit import limited

HOSTS = [
    InventoryHost("web1", "f", 1, groups=("web", "prod"), tags=("blue", "old")),
    InventoryHost("web2", "f", 2, groups=("web",), tags=("blue",)),
    InventoryHost("web10", "f", 3, groups=("web", "prod")),
    InventoryHost("db", "f", 4, groups=("prod",), tags=("old",)),
    InventoryHost("[::1]:22", "f", 5),
    InventoryHost("app:2222", "f", 6),
]


def names(limit: str | None, tags: str | None = None) -> str:
    return " ".join(host.name for host in limited(HOSTS, limit, tags))


@pytest.mark.parametrize(
    ("limit", "left"),
    [
        ("web?", "web1 web2"),
        ("web:!prod", "web2"),
        ("web,&prod", "web1 web10"),
        ("&prod:!db", "web1 web10"),
        ("prod:&web:!web1", "web10"),
        ("all:!web:!app*", "db [::1]:22"),
        ("~web[0-9]$", "web1 web2"),
        ("~(web|d)$", "web1 web2 web10"),
        ("db,!~we(?:b1|b2)", "db"),
        ("web[12]", "web1 web2"),
        ("web[!2]:db", "web1 db"),
        ("app:2222", "app:2222"),
        ("[::1]:22,db", "db [::1]:22"),
        ("!app:2222,!web", "db [::1]:22"),
        (" web1 , db ", "web1 db"),
        ("app:2222,web1:db", "web1 db app:2222"),
    ],
)
def test_limit(limit: str, left: str) -> None:
    assert names(limit) == left


@pytest.mark.parametrize(
    ("tags", "left"),
    [
        ("blue", "web1 web2"),
        ("blue,old", "web1 web2 db"),
        ("blue:&old", "web1"),
        ("!old", "web2 web10 [::1]:22 app:2222"),
        ("b*:!old", "web2"),
    ],
)
def test_tag(tags: str, left: str) -> None:
    assert names(None, tags) == left


def test_both_must_fit() -> None:
    assert names("prod", "blue") == "web1"


def test_patterns_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "failed"
    file.write_text("# last night\nweb1\napp:2222 # slow\n\n!web1\n")
    assert names(f"@{file},db") == "db app:2222"


@pytest.mark.parametrize(
    ("limit", "tags", "sentence"),
    [
        ("wbe1", None, "--limit: no host or group fits 'wbe1'; did you mean web1"),
        ("web:&prd", None, "no host or group fits 'prd'; did you mean prod?"),
        ("blue", None, "no host or group fits 'blue'"),
        (None, "blu", "--tag: no tag fits 'blu'; did you mean blue?"),
        (None, "web", "--tag: no tag fits 'web'"),
        ("web2", "old", "no tag fits 'old'"),
        ("web2:&prod", None, "--limit 'web2:&prod' leaves no host"),
        ("~web(", None, "'~web(' is no regular expression: missing )"),
        ("@/nowhere/x", None, "--limit @/nowhere/x cannot be read: No such file"),
        ("", None, "leaves no host"),
        ("!,&,~", None, "leaves no host"),
    ],
)
def test_what_fits_nothing_is_refused(limit: str | None, tags: str | None, sentence: str) -> None:
    with pytest.raises(ValueError, match="--") as caught:
        names(limit, tags)
    assert sentence in str(caught.value)
