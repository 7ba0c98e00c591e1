"""The run directory: what an audit leaves, written so that an interrupted run is valid."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import secrets
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from hullcheck import __version__
from hullcheck.benchmarks import Reference, references
from hullcheck.control import Control
from hullcheck.run.site import SiteRecord, site_document
from hullcheck.transport.recording import dumps, load
from hullcheck.transport.want import Evidence
from hullcheck.verdict import Finding, HostRecord, Object, Run, Status, Verdict

__all__ = [
    "PackedHost", "RunDirectory", "new_id", "pack", "read_document", "read_evidence", "read_run",
    "read_verdicts", "replace_text", "replacing",
]  # fmt: skip

SCHEMA = "hullcheck.run/1"
VERDICTS = "verdicts.jsonl"
JOURNAL = "hosts.jsonl"
"""A line for each finished host of a run that is not finished."""

TARGETS = "targets.json"
"""How the hosts of a run that is not finished are reached; see run/resume.py."""

FEW = 20
SELDOM = 20
"""Beyond a few hosts, ``run.json`` is written at most a twentieth of the time."""

_encoded = json.JSONEncoder(ensure_ascii=False).encode


def new_id(started: datetime) -> str:
    """Return a run id that sorts by time: 20261123T163005Z-3fa9."""
    return f"{started:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


class RunDirectory:
    """A run directory that is being written.

    ``verdicts.jsonl`` and ``evidence/`` grow as each host finishes, then ``hosts.jsonl`` gets
    the host's line: what has one is finished, whatever stops the run. ``run.json`` is replaced
    whole, now and then while the run goes on, and at its end, when ``hosts.jsonl`` goes.
    """

    def __init__(self, path: Path, run: Run, controls: Iterable[Control], site: SiteRecord) -> None:
        """Make the directory.

        :raises FileExistsError: it already holds something.
        :raises OSError: it cannot be written.
        """
        self._know(path, run, controls)
        path.mkdir(parents=True, exist_ok=True)
        if any(path.iterdir()):
            raise FileExistsError(f"{path} is not empty; name a directory that holds no run yet")
        (path / "evidence").mkdir()
        (path / VERDICTS).touch()
        (path / JOURNAL).touch()
        replace_text(path / "site.json", json.dumps(site_document(site), indent=1))
        self.write()

    @classmethod
    def reopen(cls, path: Path, controls: Iterable[Control]) -> RunDirectory:
        """Go on with a run that was interrupted; what was half written is taken out.

        :raises ValueError: it is damaged, or it is finished.
        :raises OSError: it cannot be written.
        """
        run = read_run(path)
        if run.finished or not (path / JOURNAL).is_file():
            raise ValueError(f"{path} is finished: there is nothing to go on with")
        directory = cls.__new__(cls)
        directory._know(path, run, controls)
        _keep_whole(path, run)
        directory.write()
        return directory

    def _know(self, path: Path, run: Run, controls: Iterable[Control]) -> None:
        self.path = path
        self.run = run
        self._controls = json.dumps(
            [_control(each) for each in controls], ensure_ascii=False, indent=1
        )
        self._hosts = [_line(each) for each in run.hosts]
        self._next_write = 0.0

    def add(
        self, record: HostRecord, verdicts: Iterable[Verdict], evidence: Iterable[Evidence]
    ) -> None:
        """Add a host that is finished."""
        self.add_packed(pack(record, verdicts, evidence))

    def add_packed(self, host: PackedHost) -> None:
        """Add a host that is finished, as another process has packed it."""
        if host.record.recording:
            (self.path / host.record.recording).write_bytes(host.recording)
        _append(self.path / VERDICTS, host.verdicts)
        self.run.hosts.append(host.record)
        self._hosts.append(_line(host.record))
        _append(self.path / JOURNAL, self._hosts[-1].encode() + b"\n")
        if len(self._hosts) <= FEW or time.monotonic() >= self._next_write:
            self.write()

    def finish(self, at: datetime) -> None:
        """Note that the run is whole, and when it was."""
        self.run.finished = rfc3339(at)
        self.write()
        for name in (JOURNAL, TARGETS):
            (self.path / name).unlink(missing_ok=True)

    def write(self) -> None:
        """Replace ``run.json``; the more this takes, the longer until it is done unasked."""
        begun = time.monotonic()
        head = {key: value for key, value in asdict(replace(self.run, hosts=[])).items()
                if key != "hosts" and (key != "shard" or value)}  # fmt: skip
        head["tool"] = {"name": "hullcheck", "version": __version__}
        parts = {
            "schema": json.dumps(SCHEMA),
            "run": json.dumps(head, ensure_ascii=False, indent=1),
            "hosts": ",\n".join(self._hosts).join(("[\n", "\n]")),
            "controls": self._controls,
            "totals": json.dumps(_totals(each.totals for each in self.run.hosts)),
        }
        text = ",\n".join(f'"{name}": {value}' for name, value in parts.items())
        replace_text(self.path / "run.json", f"{{\n{text}\n}}")
        self._next_write = time.monotonic() + SELDOM * (time.monotonic() - begun)


@dataclass(frozen=True, slots=True)
class PackedHost:
    """One host's outcome as it is written: lines of ``verdicts.jsonl``, a gzipped recording."""

    record: HostRecord
    verdicts: bytes
    recording: bytes


def pack(
    record: HostRecord, verdicts: Iterable[Verdict], evidence: Iterable[Evidence]
) -> PackedHost:
    """Return a host's outcome as it is written."""
    lines = "".join(_encoded(_document(each)) + "\n" for each in verdicts)
    recording = dumps(evidence) if record.recording else b""
    return PackedHost(record, lines.encode("utf-8", "backslashreplace"), recording)


def _document(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as JSON data: asdict would copy all of it."""
    findings = [{**_fields(each), "object": _fields(each.object)} for each in verdict.findings]
    return {**_fields(verdict), "findings": findings}


def _fields(thing: Verdict | Finding | Object) -> dict[str, Any]:
    return {name: getattr(thing, name) for name in thing.__slots__}


def _append(path: Path, data: bytes) -> None:
    with path.open("ab", buffering=0) as file:
        while data:
            data = data[file.write(data) :]


def _line(record: HostRecord) -> str:
    text = json.dumps(asdict(record), ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace").decode()


def _totals(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    found: Counter[str] = Counter()
    for each in counts:
        found.update(each)
    return {str(each): found[each] for each in Status if each in found}


def _keep_whole(path: Path, run: Run) -> None:
    """Rewrite the files that grow, with what is whole: lines of hosts that are finished."""
    finished = {host.name for host in run.hosts}
    with replacing(path / VERDICTS) as file, (path / VERDICTS).open("rb") as lines:
        for line in lines:
            if line.endswith(b"\n") and json.loads(line)["host"] in finished:
                file.write(line)
    with replacing(path / JOURNAL) as file:
        file.writelines(_line(host).encode() + b"\n" for host in run.hosts)


def rfc3339(at: datetime) -> str:
    """Return a UTC time as RFC 3339, to the second."""
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def recording_name(host: str) -> str:
    """Return where, in the run directory, a host's recording lies."""
    return f"evidence/{quote(host, safe='@:')}.jsonl.gz"


def replace_text(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old one or the new one, never a part."""
    with replacing(path) as file:
        file.write(f"{text}\n".encode("utf-8", "backslashreplace"))


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Give a file that takes the place of another when it is whole, and not before."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def point_latest(path: Path) -> None:
    """Point ``latest``, beside a run directory, at it."""
    fresh = path.parent / f".latest.{os.getpid()}"
    fresh.symlink_to(path.name)
    fresh.replace(path.parent / "latest")


def _control(control: Control) -> dict[str, Any]:
    known = references(control.id)
    return {
        "id": control.id,
        "title": control.title,
        "severity": control.severity,
        "level": control.level,
        "area": control.area,
        "fix": control.fix,
        "rationale": control.rationale,
        "references": _items(known, confirmed=True),
        "proposed_references": _items(known, confirmed=False),
    }


def _items(known: Mapping[str, Sequence[Reference]], *, confirmed: bool) -> dict[str, list[str]]:
    """Return the items by benchmark that are confirmed, or those that are not."""
    chosen = {
        name: [each.item for each in found if each.confirmed == confirmed]
        for name, found in known.items()
    }
    return {name: items for name, items in chosen.items() if items}


def read_document(path: Path) -> dict[str, Any]:
    """Read ``run.json``; of a run that is not finished, with every host that is.

    :raises ValueError: it is missing, or not JSON of our schema.
    """
    try:
        # First the journal: it goes when run.json holds all that was in it.
        hosts = _journal(path)
        document: dict[str, Any] = json.loads((path / "run.json").read_text(encoding="utf-8"))
        if document["schema"] != SCHEMA:
            raise ValueError(f"its schema is {document['schema']!r}, not {SCHEMA}")
        if document["run"]["finished"] is None and hosts:
            document["hosts"] = hosts
            document["totals"] = _totals(each["totals"] for each in hosts)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no readable run directory: {error}") from error
    return document


def _journal(path: Path) -> list[dict[str, Any]]:
    """Return the hosts of a run that is not finished; a line that was cut off is none."""
    try:
        lines = (path / JOURNAL).read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in lines if line.endswith(b"\n")]


def read_run(path: Path) -> Run:
    """Read ``run.json`` of a run directory.

    :raises ValueError: it is no run directory, or it is damaged.
    """
    try:
        document = read_document(path)
        head = document["run"]
        hosts = [HostRecord(**host) for host in document["hosts"]]
        return Run(
            head["id"], head["started"], head["finished"], head["controls_digest"],
            head["policy_digest"], head["previous"], hosts, head.get("shard"),
        )  # fmt: skip
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path}/run.json is damaged: {error}") from error


def read_verdicts(path: Path, holding: str = "") -> Iterator[Verdict]:
    """Yield the verdicts of a run directory, in the order they were written.

    :param holding: only those whose lines hold this; to read most of them is most of the work.
    :raises ValueError: a line is damaged; the text names it.
    """
    going_on = (path / JOURNAL).exists()
    with (path / VERDICTS).open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if going_on and not line.endswith("\n"):
                return
            if holding not in line:
                continue
            try:
                yield _verdict(json.loads(line))
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"{path}/verdicts.jsonl:{number}: {error}") from error


def _verdict(record: dict[str, Any]) -> Verdict:
    findings = tuple(
        Finding(
            Object(**each["object"]),
            Status(each["status"]),
            each["expected"],
            each["observed"],
            each["reason"],
        )
        for each in record["findings"]
    )
    return Verdict(
        record["host"], record["control"], Status(record["status"]), record["reason"], findings,
        tuple(record["evidence"]), record["waiver"], record.get("attestation"),
    )  # fmt: skip


def read_evidence(path: Path) -> Callable[[str], list[Evidence]]:
    """Return a function that reads the recording of a host by its name, when it is asked for."""
    recordings = {host.name: host.recording for host in read_run(path).hosts}

    @functools.lru_cache(maxsize=1)
    def of(host: str) -> list[Evidence]:
        recording = recordings.get(host)
        return load(path / recording) if recording else []

    return of
