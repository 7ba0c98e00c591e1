"""The run directory: what an audit leaves, written so that an interrupted run is valid."""

from __future__ import annotations

import functools
import json
import os
import secrets
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hullcheck import __version__
from hullcheck.benchmarks import Reference, references
from hullcheck.control import Control
from hullcheck.run.site import SiteRecord, site_document
from hullcheck.transport.recording import dump, load
from hullcheck.transport.want import Evidence
from hullcheck.verdict import Finding, HostRecord, Object, Run, Status, Verdict

__all__ = ["RunDirectory", "new_id", "read_document", "read_evidence", "read_run", "read_verdicts"]

SCHEMA = "hullcheck.run/1"


def new_id(started: datetime) -> str:
    """Return a run id that sorts by time: 20261123T163005Z-3fa9."""
    return f"{started:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


class RunDirectory:
    """A run directory that is being written.

    ``verdicts.jsonl`` and ``evidence/`` grow as each host finishes; ``run.json`` is replaced
    whole each time, so that what is on disk is a valid run at any moment.
    """

    def __init__(self, path: Path, run: Run, controls: Iterable[Control], site: SiteRecord) -> None:
        """Make the directory.

        :raises FileExistsError: it already holds something.
        :raises OSError: it cannot be written.
        """
        self.path = path
        self.run = run
        self._controls = [_control(each) for each in controls]
        path.mkdir(parents=True, exist_ok=True)
        if any(path.iterdir()):
            raise FileExistsError(f"{path} is not empty; name a directory that holds no run yet")
        (path / "evidence").mkdir()
        (path / "verdicts.jsonl").touch()
        replace_text(path / "site.json", json.dumps(site_document(site), indent=1))
        self._write()

    def add(
        self, record: HostRecord, verdicts: Iterable[Verdict], evidence: Iterable[Evidence]
    ) -> None:
        """Add a host that is finished."""
        if record.recording:
            dump(evidence, self.path / record.recording)
        with (self.path / "verdicts.jsonl").open(
            "a", encoding="utf-8", errors="backslashreplace"
        ) as lines:
            for verdict in verdicts:
                lines.write(json.dumps(asdict(verdict), ensure_ascii=False) + "\n")
        self.run.hosts.append(record)
        self._write()

    def finish(self, at: datetime) -> None:
        """Note that the run is whole, and when it was."""
        self.run.finished = rfc3339(at)
        self._write()

    def _write(self) -> None:
        run = asdict(self.run)
        hosts = run.pop("hosts")
        counts: dict[str, int] = {}
        for host in hosts:
            for status, count in host["totals"].items():
                counts[status] = counts.get(status, 0) + count
        document = {
            "schema": SCHEMA,
            "run": {**run, "tool": {"name": "hullcheck", "version": __version__}},
            "hosts": hosts,
            "controls": self._controls,
            "totals": {str(each): counts[each] for each in Status if each in counts},
        }
        replace_text(self.path / "run.json", json.dumps(document, ensure_ascii=False, indent=1))


def rfc3339(at: datetime) -> str:
    """Return a UTC time as RFC 3339, to the second."""
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def recording_name(host: str) -> str:
    """Return where, in the run directory, a host's recording lies."""
    return f"evidence/{quote(host, safe='@:')}.jsonl.gz"


def replace_text(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old one or the new one, never a part."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text + "\n")
    Path(name).chmod(0o644)
    Path(name).replace(path)


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
    """Read ``run.json`` as it is.

    :raises ValueError: it is missing, or not JSON of our schema.
    """
    try:
        document: dict[str, Any] = json.loads((path / "run.json").read_text(encoding="utf-8"))
        if document["schema"] != SCHEMA:
            raise ValueError(f"its schema is {document['schema']!r}, not {SCHEMA}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no readable run directory: {error}") from error
    return document


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
            head["policy_digest"], head["previous"], hosts,
        )  # fmt: skip
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path}/run.json is damaged: {error}") from error


def read_verdicts(path: Path) -> Iterator[Verdict]:
    """Yield the verdicts of a run directory, in the order they were written.

    :raises ValueError: a line is damaged; the text names it.
    """
    with (path / "verdicts.jsonl").open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
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

    @functools.cache
    def of(host: str) -> list[Evidence]:
        recording = recordings.get(host)
        return load(path / recording) if recording else []

    return of
