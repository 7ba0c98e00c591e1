"""The summary: short, narrow, what matters first, and nothing in it that a chat would act on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hullcheck.report import summary
from hullcheck.report.formats import write
from hullcheck.report.source import Source
from hullcheck.report.text import width
from tests.unit.hostile import NASTY, hostile_run
from tests.unit.november import CRITICAL, HIGH, MEDIUM, night

GOOD = {HIGH: "pass"}


def told(path: Path) -> list[str]:
    lines = write("summary", Source(path)).read_text(encoding="utf-8").splitlines()
    assert len(lines) <= summary.LINES
    assert max(map(width, lines)) <= summary.COLUMNS
    return lines


def test_what_matters_comes_first(tmp_path: Path) -> None:
    night(tmp_path, 1, {"web1": {HIGH: "fail", MEDIUM: "pass"}, "web2": GOOD})
    made = night(tmp_path, 2, {
        "web1": {HIGH: "fail", MEDIUM: "fail", CRITICAL: "waived"}, "web2": {HIGH: "fail"},
        "db1": "partial: took too long", "db2": "unreachable: refused",
    })  # fmt: skip
    lines = told(made.path)
    text = "\n".join(lines)
    assert lines[0] == "Hullcheck: 2 of 4 hosts lost; 2 controls fail (2 new)"
    assert lines[1] == "Run 20261102T021500Z-aaaa, 2026-11-02 02:15 to 02:20 UTC"
    assert lines[2:5] == ["Lost or cut off (2):", "  db2, unreachable: refused",
                          "  db1, partial: took too long"]  # fmt: skip
    assert "Hosts: 2 audited, 1 partial, 1 unreachable" in lines
    assert "Verdicts: 3 fail, 1 waived" in lines
    assert "New since each host's last audit (2 hosts for the first time) (2):" in lines
    new, fails = text.index("New since"), text.index("Fails, the worst first (2):")
    assert new < fails
    assert "high, web2: " in text[new:fails]
    assert "high, 2 hosts: " in text[fails:]
    assert text.index("high, 2 hosts") < text.index("medium, web1", fails)
    assert f"Evidence: {made.path}" in "".join(lines[-3:-1])
    assert "hullcheck verify" in lines[-1]


@pytest.mark.parametrize(
    ("hosts", "finished", "first"),
    [
        ({"web1": GOOD}, True, "Hullcheck: all clear on 1 host"),
        ({"web1": {HIGH: "unknown", MEDIUM: "error"}}, True,
         "Hullcheck: nothing fails, but 2 verdicts not known"),
        ({"web1": "unreachable: r", "web2": GOOD}, True, "Hullcheck: 1 of 2 hosts lost"),
        ({}, True, "Hullcheck: 0 of 0 hosts lost"),
        ({"web1": GOOD}, False, "Hullcheck INTERRUPTED: nothing fails so far"),
        ({"web1": {HIGH: "fail"}}, False, "Hullcheck INTERRUPTED: 1 control fails (1 new)"),
    ],
)  # fmt: skip
def test_the_first_line(
    tmp_path: Path, hosts: dict[str, dict[str, str] | str], finished: bool, first: str
) -> None:
    assert told(night(tmp_path, 1, hosts, finished=finished).path)[0] == first


def test_a_fleet_fits(tmp_path: Path) -> None:
    lost = {f"{number}" * 60: f"unreachable: {'why ' * 90}" for number in range(60)}
    bad = {f"web{number}": dict.fromkeys((MEDIUM, HIGH, CRITICAL), "fail") for number in range(60)}
    place = tmp_path / ("x" * 120)
    lines = told(night(place, 2, {**lost, **bad}).path)
    assert "Lost or cut off, 3 of 60:" in lines
    assert "hullcheck verify" in lines[-1]


ACTIVE = re.compile(
    r"[@<>*`~\[\]|#!&\\\x00-\x08\x0b-\x1f\u202e\u200b]|://|www\.\w|evil\.com|:smile:"
)


@pytest.mark.parametrize(
    "said",
    ["@here", "<!channel>", "<@U123>", "@room: x", "*bold* _it_ ~no~ `x`", "[a](http://evil.com)",
     "https://evil.com/x", "www.evil.com", "see evil.com now", "evil.com", "#general", "&lt;b&gt;",
     "> quote", "```code", ":smile:", "a@evil.com", "\n# heading", "\r\n- list\n", "\x1b[2J", NASTY,
     "\u202eab", "||spoiler||", "![x](y)"],
)  # fmt: skip
def test_what_hosts_say_is_words_and_no_more(tmp_path: Path, said: str) -> None:
    lines = told(night(tmp_path, 1, {"web1": f"unreachable: {said}"}).path)
    line = next(each for each in lines if each.startswith("  web1"))
    assert not ACTIVE.search(line), line
    assert "_it_" not in line
    named = told(night(tmp_path, 2, {said: "unreachable: r"}).path)
    assert not re.search(r"[@<>*`~\[\]|#!&\\\x00-\x1f\u202e]|://", "".join(named)), named


@pytest.mark.parametrize(
    "text",
    ["web_1", "db-2.example", "connection refused", "127.0.0.1 port 22: no route (timeout)",
     "took more than 900 s, cut off", "it isn't there"],
)  # fmt: skip
def test_ordinary_words_stay(text: str) -> None:
    assert summary.plain(text).replace("(.)", ".") == text


def test_a_hostile_run(tmp_path: Path) -> None:
    told(hostile_run(tmp_path / "run"))
