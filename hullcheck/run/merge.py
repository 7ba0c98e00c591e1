"""Putting the runs of shards together: one of the whole inventory, what is missing named."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hullcheck import catalogue
from hullcheck.run.directory import (
    VERDICTS,
    PackedHost,
    RunDirectory,
    new_id,
    read_document,
    read_run,
)
from hullcheck.run.seal import SIGNATURE, SUMS, before, keep_before
from hullcheck.run.shard import Shard
from hullcheck.run.site import SiteRecord, read_site
from hullcheck.run.verify import verify
from hullcheck.verdict import HostRecord, Run

__all__ = ["merge"]


@dataclass(frozen=True, slots=True)
class _Part:
    path: Path
    run: Run
    site: SiteRecord
    shard: Shard
    hosts: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.path} (shard {self.shard})"


def merge(paths: Sequence[Path], destination: Path | None) -> tuple[RunDirectory, list[str]]:
    """Return the run of a whole inventory, and a sentence for each thing that is missing of it.

    A host of a shard that is lost, or that a shard did not come to, is a record: unreachable.

    :param destination: where to; None: ``reports/RUN-ID``.
    :raises ValueError: a run cannot be read, is no shard, was changed, or they do not belong
        together.
    :raises OSError: the run cannot be written.
    """
    parts = sorted((_part(each) for each in paths), key=lambda each: each.shard.number)
    _belong(parts)
    lost = _lost(parts)
    directory = _made(parts, destination)
    for part in parts:
        _add(part, directory)
    _keep_seals(parts, directory.path)
    for name, why in lost.items():
        directory.add(HostRecord(name, name, "unreachable", why), (), ())
    if all(each.run.finished for each in parts):
        directory.finish(datetime.now(UTC))
    directory.write()
    return directory, list(dict.fromkeys(lost.values()))


def _part(path: Path) -> _Part:
    run = read_run(path)
    if run.shard is None:
        raise ValueError(f"{path} is no shard: it was made without --shard")
    shard = Shard(run.shard["number"], run.shard["of"])
    if (path / SUMS).exists():
        for check in verify(path, judge=False):
            if check.good is False and check.what in ("checksums", "signature"):
                raise ValueError(f"{path} (shard {shard}) is not as it was sealed: {check.told}")
    return _Part(path, run, read_site(path), shard, tuple(run.shard["hosts"]))


def _belong(parts: Sequence[_Part]) -> None:
    """Refuse parts of different wholes."""
    first = parts[0]
    for one, other in itertools.pairwise(parts):
        if one.shard == other.shard:
            raise ValueError(f"{one.path} and {other.path} are the same shard, {one.shard}")
    for each in parts[1:]:
        for what, theirs, ours in (
            ("the number of shards", each.shard.of, first.shard.of),
            ("the inventory", each.hosts, first.hosts),
            ("the controls", each.run.controls_digest, first.run.controls_digest),
            ("the policy", each.run.policy_digest, first.run.policy_digest),
            ("the waivers", each.site.waivers, first.site.waivers),
            ("the attestations", each.site.attestations, first.site.attestations),
        ):
            if theirs != ours:
                raise ValueError(f"{each} and {first} differ in {what}: they are not of one run")


def _lost(parts: Sequence[_Part]) -> dict[str, str]:
    """Return the hosts that nobody audited, and why."""
    found = {part.shard.number: part for part in parts}
    first = parts[0]
    lost = {}
    for number in range(1, first.shard.of + 1):
        part, shard = found.get(number), Shard(number, first.shard.of)
        done = {host.name for host in part.run.hosts} if part else set()
        why = f"shard {shard} was not finished" if part else f"shard {shard} is missing"
        lost.update({name: why for name in shard.pick(first.hosts) if name not in done})
    return lost


def _made(parts: Sequence[_Part], destination: Path | None) -> RunDirectory:
    started = min(each.run.started for each in parts)
    head = parts[0].run
    run = Run(
        new_id(datetime.strptime(started, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)), started,
        controls_digest=head.controls_digest, policy_digest=head.policy_digest,
    )  # fmt: skip
    path = destination or Path("reports") / run.id
    last = before(path)
    run.previous = last.digest if last else None
    site = SiteRecord(
        {name: value for each in parts for name, value in each.site.policies.items()},
        {name: value for each in parts for name, value in each.site.roles.items()},
        parts[0].site.waivers,
        parts[0].site.attestations,
        {host.name: each.run.started for each in parts for host in each.run.hosts},
    )
    known = catalogue.all_controls()
    names = [each["id"] for each in read_document(parts[0].path)["controls"]]
    controls = [known[each] for each in names if each in known]
    if catalogue.digest(controls) != head.controls_digest:
        raise ValueError(f"{parts[0]} was judged by other controls than these; merge with those")
    directory = RunDirectory(path, run, controls, site)
    if last:
        keep_before(path, last)
    return directory


def _add(part: _Part, directory: RunDirectory) -> None:
    """Take over the hosts of a part, in its order: their verdicts stand together."""
    with (part.path / VERDICTS).open("rb") as lines:
        line = lines.readline()
        for host in part.run.hosts:
            verdicts = []
            while line and _host(line) == host.name:
                verdicts.append(line)
                line = lines.readline()
            recording = (part.path / host.recording).read_bytes() if host.recording else b""
            directory.add_packed(PackedHost(host, b"".join(verdicts), recording))


def _host(line: bytes) -> str:
    return str(json.loads(line)["host"])


def _keep_seals(parts: Sequence[_Part], path: Path) -> None:
    """Keep what was sealed of each part, so that its signature can be shown."""
    for part in parts:
        for name in (SUMS, SIGNATURE):
            if (part.path / name).exists():
                number = f"{part.shard.number:0{len(str(part.shard.of))}}"
                shutil.copyfile(part.path / name, path / f"shard-{number}.{name}")
