"""Law 1 over a whole host: whatever fact is taken away, what failed does not pass.

The recording is of a real host with as many faults as fit on one, see
``tests/recordings/make_populated.py``. Each piece of evidence in it is spoilt in every way in
turn, and every control that consulted it is judged again. Then each value that a daemon answers
becomes one of another kind. What facts made of other evidence is kept meanwhile.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hullcheck.catalogue import all_controls
from hullcheck.control import Control
from hullcheck.judge import Site, judge
from hullcheck.transport import Evidence, Session, host_of
from hullcheck.transport.recording import Replay, load
from hullcheck.verdict import Object, Status, Verdict
from tests.recordings.make_populated import POLICY

RECORDING = Path(__file__).parents[1] / "recordings/populated.jsonl.gz"
CLEAN = (Status.PASS, Status.NOT_APPLICABLE)
KEPT = ("provider", "fact", "file")
GARBAGE = b'\xff\x00\x1b[2J{"a":[null,1e999]}\n%s 18446744073709551616 : - \xe2\x80\xae\n'

SPOILT: dict[str, Callable[[Evidence], Evidence]] = {
    "missing": lambda e: replace(e, exit=127, stdout=b"", stderr=b"sh: 1: it: not found\n"),
    "denied": lambda e: replace(e, exit=1, stdout=b"", stderr=b"it: Permission denied\n"),
    "mute": lambda e: replace(e, exit=1, stdout=b"", stderr=b""),
    "hung": lambda e: replace(e, exit=None, trouble="timed out after 20 s"),
    "cut": lambda e: replace(e, stdout=e.stdout[: len(e.stdout) // 2]),
    "empty": lambda e: replace(e, exit=0, stdout=b"", stderr=b""),
    "garbage": lambda e: replace(e, exit=0, stdout=GARBAGE * 3, stderr=b""),
}

TRUE_ANSWERS: dict[tuple[str, str], str] = {
    ("garbage", "engine.log-level"): "other words of a command line name no file of settings",
}
"""(way, control) -> why what was made of the evidence is a true answer after all."""


@functools.cache
def evidence() -> tuple[Evidence, ...]:
    return tuple(load(RECORDING))


class Whole(Session):
    """The session of the recording, all judged once; then with one line spoilt, again and again."""

    def __init__(self, recording: Sequence[Evidence]) -> None:
        super().__init__(Replay(recording))
        self.preload(recording)
        self.host = host_of(self, "populated", "recording")
        started = datetime.fromtimestamp(evidence()[0].started, UTC)
        self.site = Site("populated", POLICY, started=started)

    def keep(self) -> None:
        """Judge all controls, and keep what was made of the evidence."""
        self.verdicts = self.judged(all_controls().values())
        # What else is remembered may rest on an answer that was asked for before.
        facts = {key: each for key, each in self._memory.items() if key[0] in KEPT}
        self.kept = facts, self._lines, self.recording
        self.resting: dict[int, list[Hashable]] = {}
        for key, remembered in facts.items():
            for line in remembered.consulted.lines:
                self.resting.setdefault(line, []).append(key)

    def judged(self, controls: Iterable[Control]) -> dict[str, Verdict]:
        return {each.id: judge(each, self.host, self.site) for each in controls}

    def spoilt(self, line: int, after: Evidence, controls: Iterable[Control]) -> dict[str, Verdict]:
        """Judge controls with other evidence on one line; all that rested on it is forgotten."""
        memory, lines, recording = self.kept
        self._memory, self._lines, self.recording = dict(memory), dict(lines), list(recording)
        self.recording[line] = after
        for key in self.resting.get(line, ()):
            del self._memory[key]
        return self.judged(controls)


@functools.cache
def whole() -> Whole:
    made = Whole(evidence())
    made.keep()
    return made


def true_verdicts() -> dict[str, Verdict]:
    return whole().verdicts


@functools.cache
def consulting() -> dict[int, list[Control]]:
    """Return the controls that consulted each line of the recording."""
    found: dict[int, list[Control]] = {}
    for name, verdict in true_verdicts().items():
        for line in verdict.evidence:
            found.setdefault(line, []).append(all_controls()[name])
    return found


def rejudged(spoil: Callable[[Evidence], Evidence]) -> Iterator[tuple[Evidence, Verdict, Verdict]]:
    """Yield (evidence before, verdict before, verdict after) for each that is spoilt."""
    for line, controls in consulting().items():
        before = evidence()[line]
        after = spoil(before)
        if after != before:
            for name, verdict in whole().spoilt(line, after, controls).items():
                yield before, true_verdicts()[name], verdict


def acquitted(before: Verdict, after: Verdict) -> list[str]:
    """Return what failed, and now passes or is nothing to judge."""
    if before.status is Status.FAIL and after.status in CLEAN:
        return [after.control]
    failed = {known(each.object) for each in before.findings if each.status is Status.FAIL}
    found = [f"{after.control} of {each.object.name}" for each in after.findings
             if known(each.object) in failed and each.status in CLEAN]  # fmt: skip
    seen = {known(each.object) for each in before.findings}
    new = [each for each in after.findings if known(each.object) not in seen]
    # What stands for things that could not be seen is unknown beside those that still fail.
    unseen = any(each.status is Status.UNKNOWN for each in new)
    if after.status not in (Status.UNKNOWN, Status.ERROR) and not unseen:
        left = failed - {known(each.object) for each in after.findings}
        found += [f"{after.control} without {each}" for each in left]
    return found


def known(thing: Object) -> str:
    """Return what a thing is known by: its id, or the name where it has none."""
    return thing.id or thing.name


def test_the_recording_has_faults_to_hide() -> None:
    statuses = [each.status for each in true_verdicts().values()]
    assert statuses.count(Status.FAIL) > 70
    assert statuses.count(Status.ERROR) == 0
    assert statuses.count(Status.UNKNOWN) < 4


def test_what_is_kept_changes_no_verdict() -> None:
    for line, controls in list(consulting().items())[::20]:
        spoilt = SPOILT["mute"](evidence()[line])
        anew = Whole((*evidence()[:line], spoilt, *evidence()[line + 1 :]))
        assert whole().spoilt(line, spoilt, controls) == anew.judged(controls)


@pytest.mark.parametrize("way", SPOILT)
def test_nothing_is_acquitted_for_want_of_evidence(way: str) -> None:
    wrong, broken = [], []
    for asked, before, after in rejudged(SPOILT[way]):
        if (way, after.control) not in TRUE_ANSWERS:
            wrong += [f"{each}: {asked.command[:90]}" for each in acquitted(before, after)]
        if after.status is Status.ERROR:
            broken.append(f"{after.control}: {after.reason}: {asked.command[:90]}")
    assert (wrong, broken) == ([], [])


OTHER_KIND: dict[type, tuple[Any, ...]] = {
    str: (7, ["x"]), bool: ("x", [None]), int: ("x", {"x": None}), float: ("x",),
    list: ({"x": 1}, -1, [[[]]]), dict: ([1], "x"),
}  # fmt: skip


def documents(text: str) -> list[Any]:
    """Return the JSON documents that stand one after another in a daemon's answer."""
    decoder, found = json.JSONDecoder(), []
    while text := text.strip():
        document, end = decoder.raw_decode(text)
        found.append(document)
        text = text[end:]
    return found


def paths(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], type]]:
    """Yield where each value is, and its kind; [] is every member of a list."""
    yield path, type(value)
    for key, inner in value.items() if isinstance(value, dict) else ():
        yield from paths(inner, (*path, key))
    for inner in value if isinstance(value, list) else ():
        yield from paths(inner, (*path, "[]"))


def changed(value: Any, path: tuple[str, ...], new: Any) -> Any:
    """Return a document with another value at a path."""
    if not path:
        return new
    if path[0] == "[]" and isinstance(value, list):
        return [changed(inner, path[1:], new) for inner in value]
    if isinstance(value, dict) and path[0] in value:
        return {**value, path[0]: changed(value[path[0]], path[1:], new)}
    return value


@pytest.mark.parametrize(
    "question", [" version ", " info ", " network inspect ", " --type container "]
)
def test_an_answer_of_another_kind_breaks_and_acquits_nobody(question: str) -> None:
    wrong, broken, tried = [], [], 0
    for line, controls in consulting().items():
        asked = evidence()[line]
        if question not in asked.command or "/var/run/docker.sock" not in asked.command:
            continue
        answer = documents(asked.stdout.decode())
        for path, kind in sorted(set(paths(answer)) - {((), list)}, key=str):
            choices = OTHER_KIND.get(kind, ())
            # One of the kinds for each value: which one is chance, but always the same.
            for new in choices[len("".join(path)) % len(choices) :][:1] if choices else ():
                text = "\n".join(json.dumps(each) for each in changed(answer, path, new))
                spoilt = replace(asked, stdout=text.encode())
                tried += 1
                where = f"{'.'.join(path)} = {new!r}"
                for name, after in whole().spoilt(line, spoilt, controls).items():
                    wrong += [
                        f"{each}: {where}" for each in acquitted(true_verdicts()[name], after)
                    ]
                    if after.status is Status.ERROR:
                        broken.append(f"{name}: {after.reason}: {where}")
    assert (wrong, broken) == ([], [])
    assert tried > 10
