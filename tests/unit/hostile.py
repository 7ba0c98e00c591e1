"""A run whose every text is hostile, for tests of what is made of runs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from hullcheck.catalogue import all_controls
from hullcheck.run.directory import RunDirectory
from hullcheck.run.site import SiteRecord
from hullcheck.transport.want import Evidence
from hullcheck.verdict import Finding, HostRecord, Object, Run, Status, Verdict

NASTY = (
    "\x1b[2J\x1b]0;owned\x07<script>alert(1)</script>\"'&=cmd|' /C calc'!A0 @SUM(1) | `x` [a](b) "
    "\u202eevil\u200b\x00\ud800\ufffe]]> -- ${jndi} {{7*7}}\r\n| row |"
)
FORMULAS = ("=cmd|' /C calc'!A0", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "  =1+1")
LONG = "x" * 3_000_000
ALIVE = ("<script>alert", "\x1b", "\u202e", "\u200b", "\x00")
"""What no report may hold as it is."""

CONTROLS = ("runtime.no-new-privileges", "host.aslr", "engine.version", "build.image-setuid")


def hostile_run(path: Path) -> Path:
    """Make a run directory with every status, and hostile texts wherever a host has a say."""
    started = datetime(2026, 11, 28, tzinfo=UTC)
    run = Run("20261128T000000Z-aaaa", "2026-11-28T00:00:00Z", controls_digest="sha256:0")
    chosen = [all_controls()[name] for name in CONTROLS]
    made = RunDirectory(path, run, chosen, SiteRecord())
    texts = [NASTY, *FORMULAS, LONG]
    things = [
        Finding(Object("container", text, text), Status.FAIL, {text: text}, [text], text)
        for text in texts
    ]
    waiver = {"control": "build.*", "reason": NASTY, "owner": NASTY, "expires": "2027-01-01"}
    name = "=evil<b>\u202e"
    verdicts = [
        Verdict(name, CONTROLS[0], Status.FAIL, NASTY, tuple(things), (0, 1)),
        Verdict(name, CONTROLS[1], Status.UNKNOWN, NASTY, (things[0],), (0,)),
        Verdict(name, CONTROLS[2], Status.MANUAL, NASTY, (things[0],), (1,)),
        Verdict(name, CONTROLS[3], Status.WAIVED, NASTY, (things[0],), (1,), waiver),
    ]
    evidence = [
        Evidence("cat /etc/passwd", 0, NASTY.encode("utf-8", "surrogatepass"), b"\xff\x00", 1.0),
        Evidence(f"cat {NASTY}", 1, LONG.encode(), NASTY.encode("utf-8", "surrogatepass"), 1.0),
    ]
    record = HostRecord(
        name, "ssh://=evil", "audited", facts={"os": NASTY, "kernel": NASTY, "engines": []},
        recording="evidence/evil.jsonl.gz", rounds=3, commands=2, seconds=1.0,
        totals={"fail": 1, "unknown": 1, "manual": 1, "waived": 1},
    )  # fmt: skip
    made.add(record, verdicts, evidence)
    calm = HostRecord("calm", "ssh://calm", "audited", recording="evidence/calm.jsonl.gz",
                      totals={"pass": 2, "error": 1, "not-applicable": 1})  # fmt: skip
    about = Finding(Object("host", "calm"), Status.PASS, 2, 2)
    made.add(
        calm,
        [
            Verdict("calm", CONTROLS[0], Status.ERROR, "the control broke: KeyError", (), (0,)),
            Verdict("calm", CONTROLS[1], Status.PASS, "holds", (about,), (0,)),
            Verdict("calm", CONTROLS[2], Status.NOT_APPLICABLE, "no engine", (), (0,)),
            Verdict("calm", CONTROLS[3], Status.PASS, "holds", (about,), (0,)),
        ],
        evidence[:1],
    )
    made.add(HostRecord("dead", "ssh://dead", "unreachable", f"refused {NASTY}"), [], [])
    made.finish(started)
    return path
