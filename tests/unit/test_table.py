from __future__ import annotations

import re
import time
import unicodedata
from collections.abc import Sequence
from types import SimpleNamespace

import pytest
import tabulate

from hullcheck.benchmarks import Benchmark, Item
from hullcheck.control import SEVERITIES, Control
from hullcheck.report import text as module
from hullcheck.report.table import render
from hullcheck.report.text import padded, safe, shown, unpadded, width, wrap
from hullcheck.transport.want import Evidence
from hullcheck.verdict import Finding, HostRecord, Object, Run, Status, Verdict, totals

HOSTILE = (
    "\x1b[2J\x1b]0;owned\x07", "a\nPASS", "\r\x1b[A", "nul\x00", "\x9b31m", "\u202egnp.exe",
    "\u2066x\u2069", "zero\u200bwidth", "\u2028line", "zalgo\u0301\u0302\u0303", "\udcff\udc80",
    "\ue000", "\U000e0041tag", "\u3164", "soft\xadhyphen", "no\xa0break", "\x7f", "\ufeff",
)  # fmt: skip

CIS = Benchmark(
    "ours-1",
    "Ours 1",
    "1",
    {"2": "The daemon", "4": "Images"},
    (
        Item("2.2", "2", "Containers cannot talk to each other", 1, ("engine.icc",)),
        Item("2.10", "2", "Users are mapped", 1, ("engine.map", "engine.map-files")),
        Item("2.11", "2", "People decide", 1, (), "Compare the list with the contract."),
        Item("4.1", "4", "Images run as a user", 1, (), "", "Nobody has written it."),
        Item("4.2", "4", "Images are small", 1, ("build.small",)),
    ),
)


def control(name, severity="medium"):
    return Control(
        name, name.split(".")[0], f"Title of {name}", "Why.", "Fix.", severity, 1, lambda: None
    )


CONTROLS = {
    "engine.icc": control("engine.icc", "low"),
    "engine.map": control("engine.map", "critical"),
    "engine.map-files": control("engine.map-files"),
    "runtime.no-new-privileges": control("runtime.no-new-privileges", "high"),
}


def verdict(host, name, status, reason="", thing="db"):
    reason = reason or f"{name} is {status}"
    found = Finding(Object("container", thing), Status(status), True, [False, None], reason)
    return Verdict(host, name, Status(status), reason, (found,), (0, 1))


def run_of(**hosts):
    """Return a run and its verdicts: by host the statuses of the controls; None: unreachable."""
    run = Run("run-1", "2026-11-23T16:30:05Z", "2026-11-23T16:31:05Z")
    verdicts = []
    for name, statuses in hosts.items():
        state = "audited" if statuses else "unreachable"
        record = HostRecord(name, f"ssh://{name}", state, "" if statuses else "connection refused")
        mine = [
            verdict(name, each, status)
            for each, status in zip(CONTROLS, statuses or (), strict=False)
        ]
        record.totals = totals(each.status for each in mine)
        run.hosts.append(record)
        verdicts += mine
    return run, verdicts


def table(run, verdicts, columns=80, **options):
    return render(run, verdicts, benchmark=CIS, controls=CONTROLS, width=columns, **options)


def row(printed, start):
    """Return the line that starts with a word."""
    return next(line for line in printed.splitlines() if line.split()[:1] == [start])


def columns_of(line):
    wide = sum(unicodedata.east_asian_width(each) in "WF" for each in line)
    return len(line) + wide


def test_a_host_is_grouped_by_section_with_status_and_reason():
    printed = table(*run_of(web1=["fail", "pass", "unknown", "pass"]))
    assert re.fullmatch(
        "2.2 +Containers cannot talk to +! fail +engine.icc is fail", row(printed, "2.2")
    )
    assert row(printed, "2.10").endswith("? unknown  engine.map-files is unknown")
    assert "? manual" in row(printed, "2.11")
    assert printed.index("2 The daemon") < printed.index("2.2  ") < printed.index("4 Images")
    assert printed.index("4 Images") < printed.index("Beyond Ours 1: runtime")
    assert "  pass  " in row(printed, "no-new-privileges")
    assert "web1: 1 fail, 1 unknown, 2 pass" in printed.splitlines()
    assert "Controls: 1 fail, 1 unknown, 2 pass" in printed.splitlines()


def test_what_is_not_answered_is_said():
    printed = table(*run_of(web1=["pass"]))
    assert "Not covered yet: 1 item (4.1)." in printed
    assert "Not part of this run: 2 items (2.10)." not in printed
    assert "Not part of this run: 1 item (2.10)." in printed
    assert "Not part of this run: 1 item (4.2)." in printed
    assert "of 5 items, controls answer 3, a person 1; 1 are not covered" in printed
    assert "Not covered yet: 4.1 Images run as a user: Nobody has written it." in table(
        *run_of(web1=["pass"]), verbose=True
    )


def test_numbers_in_a_row_are_folded():
    ids = ("4.1", "4.2", "4.3", "4.5", "4.9", "4.10", "4.11", "A")
    items = tuple(Item(each, "4", "A title", 1, (), "", "Not yet.") for each in ids)
    printed = render(
        *run_of(web1=["pass"]), benchmark=Benchmark("o", "O", "1", {"4": "I"}, items),
        controls=CONTROLS,
    )  # fmt: skip
    assert "Not covered yet: 8 items (4.1 to 4.3, 4.5, 4.9 to 4.11, A)." in printed


def test_at_the_end_stand_the_failures_most_severe_first():
    printed = table(*run_of(web1=["fail", "fail", "pass", "fail"]))
    last = printed[printed.index("What fails (3)") :]
    assert re.findall(r"^(\w+) +Title of (\S+)", last, re.M) == [
        ("critical", "engine.map"), ("high", "runtime.no-new-privileges"), ("low", "engine.icc"),
    ]  # fmt: skip
    assert "(2.10, engine.map)" in last
    printed = table(*run_of(web1=["pass", "unknown", "error"]))
    assert "What fails" not in printed
    assert "Not known (2): engine.map, engine.map-files." in printed


def test_plain_unless_colour_is_asked_for():
    run, verdicts = run_of(web1=["fail", "unknown", "error", "pass"], web2=["waived"], db=None)
    plain, coloured = table(run, verdicts), table(run, verdicts, colour=True)
    assert "\x1b" not in plain
    assert "\x1b[1;31m! fail\x1b[0m" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain


def test_several_hosts_are_compared_worst_first_and_the_lost_stand_first_and_last():
    run, verdicts = run_of(
        good=["pass", "pass", "pass", "not-applicable"],
        dead=None,
        bad=["fail", "pass", "unknown", "fail"],
    )
    printed = table(run, verdicts)
    lines = printed.splitlines()
    assert lines[0] == "! dead UNREACHABLE: connection refused"
    assert printed.count("! dead UNREACHABLE: connection refused") == 2
    assert printed.rindex("UNREACHABLE") > printed.index("Hosts, the worst first")
    assert row(printed, "control").split() == ["control", "bad", "good", "fails"]
    assert row(printed, "runtime.no-new-privileges").split()[1:] == ["!", "fail", "n/a", "1"]
    first = lines.index("Controls by hosts, the worst first") + 3
    order = [line.split()[0] for line in lines[first : first + 3]]
    assert order == ["runtime.no-new-privileges", "engine.icc", "engine.map-files"]
    assert "Controls that pass or do not apply everywhere: 1." in printed
    hosts = printed[printed.index("Hosts, the worst first") :].splitlines()[3:6]
    assert [line.split()[0] for line in hosts] == ["dead", "bad", "good"]


def test_of_several_hosts_only_what_needs_somebody_is_printed_unless_verbose():
    run, verdicts = run_of(a=["fail", "pass", "pass"], b=["pass", "pass", "pass"])
    assert "engine.map is pass" not in table(run, verdicts)
    assert "engine.map is pass" in table(run, verdicts, verbose=True)
    assert "Not covered yet" not in table(run, verdicts)
    assert "1 are not covered yet" in table(run, verdicts)
    assert "engine.icc is fail" in table(run, verdicts)


def test_hosts_that_do_not_fit_as_columns_are_counted_instead():
    run, verdicts = run_of(**{f"host-{number:02}": ["fail", "pass"] for number in range(30)})
    printed = table(run, verdicts)
    line = row(printed, "engine.icc").split()
    assert line[1:3] == ["30", "0"]
    assert "and 25 more" in printed
    assert max(map(len, printed.splitlines())) <= 80


def test_a_partial_host_is_prominent_and_keeps_its_verdicts():
    run, verdicts = run_of(web1=["fail", "pass"])
    run.hosts[0].status, run.hosts[0].reason = "partial", "connection lost"
    run.finished = None
    printed = table(run, verdicts)
    assert printed.startswith("! web1 PARTIAL: connection lost\n")
    assert "engine.icc is fail" in printed
    assert "The run was not finished" in printed


def test_a_run_of_nothing_can_be_printed():
    printed = table(Run("run-1", "2026-11-23T16:30:05Z"), [])
    assert "Hosts: none." in printed
    assert "Controls: nothing was judged" in printed
    assert "UNREACHABLE: connection refused" in table(*run_of(dead=None))


def test_verbose_shows_what_a_pass_rests_on():
    recording = [
        Evidence("docker info", 0, b"", b""),
        Evidence("cat /x", None, b"", b"", trouble="timed out"),
    ]
    asked = []

    def recordings(host) -> Sequence[Evidence]:
        asked.append(host)
        return recording

    printed = table(*run_of(web1=["pass"]), verbose=True, recordings=recordings)
    assert "2.2 engine.icc: pass" in printed
    assert "    container db: pass; expected true; observed false, absent" in printed
    assert "    evidence: 0, 1" in printed
    assert "[0] $ docker info -> exit 0" in printed.splitlines()
    assert "[1] $ cat /x -> timed out" in printed.splitlines()
    assert asked == ["web1"]
    assert "docker info" not in table(*run_of(web1=["pass"]), recordings=recordings)
    assert "    evidence: 0, 1" in table(*run_of(web1=["pass"]), verbose=True)


@pytest.mark.parametrize("columns", [72, 80, 100, 200])
@pytest.mark.parametrize("verbose", [False, True])
def test_no_line_is_wider_than_the_page(columns, verbose):
    run, verdicts = run_of(
        **{"a-very-long-host-name.in.a.long.domain.example.com": ["fail", "unknown", "error"],
           "short": ["pass", "fail", "manual", "waived"], "dead": None}
    )  # fmt: skip
    run.hosts[2].reason = "word " * 60
    run.hosts[0].facts = {"os": "Debian " * 30, "kernel": "k" * 100, "engines": []}
    verdicts.append(
        verdict("short", f"runtime.{'very-' * 12}long", "fail", "漢字 x" * 300, "漢" * 99)
    )
    for hosts in (run.hosts, run.hosts[1:2]):
        run.hosts = hosts
        printed = table(run, verdicts, columns, verbose=verbose)
        assert [line for line in printed.splitlines() if columns_of(line) > columns] == []


@pytest.mark.parametrize("known", [False, True])
def test_wide_characters_do_not_move_the_columns(known, monkeypatch):
    """Whether or not tabulate finds the package wcwidth, which counts columns itself."""
    monkeypatch.setattr(module, "_COUNTS_COLUMNS", known)
    monkeypatch.setattr(
        tabulate, "wcwidth", SimpleNamespace(wcswidth=columns_of) if known else None
    )
    monkeypatch.setattr(tabulate, "WIDE_CHARS_MODE", known)
    run, verdicts = run_of(web1=["fail", "pass"])
    verdicts.append(verdict("web1", "runtime.a", "fail", "容器 is bad"))
    verdicts.append(verdict("web1", "runtime.容器", "fail", "plain"))
    printed = table(run, verdicts)
    lines = [row(printed, "a"), row(printed, "容器")]
    assert len({columns_of(line[: line.index("! fail")]) for line in lines}) == 1


@pytest.mark.parametrize("hostile", HOSTILE)
def test_nothing_from_a_host_reaches_the_terminal_alive(hostile):
    run, verdicts = run_of(web1=["pass"], web2=["fail"])
    bad = f"x{hostile}y"
    found = Finding(Object(bad, bad, bad), Status.FAIL, {bad: bad}, [bad], bad)
    verdicts.append(Verdict("web1", "engine.map", Status.FAIL, bad, (found,), (0,)))
    for host in run.hosts:
        host.facts = {"os": bad, "kernel": bad, "engines": [{"name": bad, "version": bad}]}
        host.status, host.reason, host.target = "partial", bad, bad
    recording = [Evidence(bad, None, b"", b"", trouble=bad)]
    for verbose in (False, True):
        printed = table(run, verdicts, verbose=verbose, recordings=lambda _: recording)
        printed.encode()
        for character in printed:
            assert character == "\n" or unicodedata.category(character)[0] in "LNPSZ", hex(
                ord(character)
            )
            assert character not in "\u2028\u2029\xa0\u3164"
        assert "\nPASS" not in printed


def test_megabytes_are_cut_quickly():
    run, verdicts = run_of(web1=["pass"])
    huge = "\x1b" * 3_000_000
    found = Finding(Object("container", huge), Status.FAIL, huge, [huge] * 3, huge)
    verdicts.append(
        Verdict("web1", "engine.map", Status.FAIL, huge, (found,) * 5000, tuple(range(9999)))
    )
    started = time.process_time()
    printed = table(run, verdicts, verbose=True)
    assert time.process_time() - started < 5
    assert len(printed) < 200_000
    assert "more characters" in printed
    assert "... and 4980 more findings" in printed


@pytest.mark.parametrize(
    ("raw", "visible"),
    [
        ("plain /etc/docker", "plain /etc/docker"),
        ("\x1b[31m", r"\x1b[31m"),
        ("a\tb\r\nc\x00", r"a\tb\r\nc\x00"),
        ("\u202e", r"\u202e"),
        ("\udcff", r"\xff"),
        ("\ud800", r"\ud800"),
        ("e\u0301 é", r"e\u0301 é"),
        ("漢字 ー", "漢字 ー"),
        ("\U000e0041", r"\U000e0041"),
    ],
)
def test_what_cannot_be_seen_is_made_visible(raw, visible):
    assert safe(raw) == visible


def test_a_text_is_cut_and_says_so():
    assert safe("a" * 12, 10) == "aaaaaaaaaa... (2 more characters)"
    assert safe("a" * 10, 10) == "a" * 10
    assert shown([True, None, ""]) == "true, absent, empty"


@pytest.mark.parametrize(
    ("raw", "columns", "lines"),
    [
        ("one two three", 7, ["one two", "three"]),
        ("abcdefghij", 4, ["abcd", "efgh", "ij"]),
        ("a abcdefgh", 4, ["a", "abcd", "efgh"]),
        ("漢字漢字", 5, ["漢字", "漢字"]),
        ("漢字 ab", 7, ["漢字 ab"]),
        ("", 5, [""]),
        ("漢", 1, ["漢"]),
    ],
)
def test_wrapping_counts_columns(raw, columns, lines):
    assert wrap(raw, columns) == lines


def test_padding_makes_length_and_width_the_same(monkeypatch):
    monkeypatch.setattr(module, "_COUNTS_COLUMNS", False)
    assert len(padded("漢a字")) == width("漢a字") == 5
    assert unpadded(padded("漢a字")) == "漢a字"


def test_severities_are_the_ones_that_are_sorted():
    assert {each.severity for each in CONTROLS.values()} == set(SEVERITIES)
