"""Retention: which old runs are pruned, and how that is done without breaking the chain.

Of a pruned run are left its seal, its summary (``run.json``), what it was judged by
(``site.json``), the checksums of the run before it, and a note, see run/pruned.py. So the seal
of what is left can still be checked, the next run still finds it, and it is seen what was taken
out, when and by which rule.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from hullcheck.run.directory import VERDICTS, rfc3339
from hullcheck.run.heads import Head, places, read_head
from hullcheck.run.pruned import NOTE, NOTE_SIGNATURE, Pruned, read_pruned, write_pruned
from hullcheck.run.seal import SIGNATURE, SUMS, digest_of, files, sign
from hullcheck.run.verify import checksums

__all__ = ["Decision", "Rules", "decide", "prune"]

STAYS = ("run.json", "site.json", NOTE, NOTE_SIGNATURE)


@dataclass(frozen=True, slots=True)
class Rules:
    """What is kept whole, counted back from the newest run: a pause of audits prunes nothing.

    :param within: every run so young. ``weekly``: the last run of each of so many weeks, of each
        set of hosts and controls. ``monthly``: likewise, of months.
    :param evidence_only: of the others, keep the verdicts all the same.
    :param named: prune also runs in directories that somebody named.
    """

    within: timedelta
    weekly: int = 0
    monthly: int = 0
    evidence_only: bool = False
    named: bool = False

    def __str__(self) -> str:
        """What is kept, in words."""
        parts = [f"kept: {self.within.days} days"]
        parts += [f"{self.weekly} weekly"] if self.weekly else []
        parts += [f"{self.monthly} monthly"] if self.monthly else []
        return ", ".join(parts) + (" and all verdicts" if self.evidence_only else "")


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to become of a run.

    :param why: why it is kept; empty: it is to be pruned.
    :param remove: the files to take out of it.
    """

    path: Path
    head: Head
    why: str
    remove: tuple[Path, ...] = ()

    @property
    def size(self) -> int:
        """How many bytes that frees."""
        return sum(each.lstat().st_size for each in self.remove)

    @property
    def signed(self) -> bool:
        """Whether the run is signed."""
        return (self.path / SIGNATURE).exists()


def decide(home: Path, rules: Rules) -> list[Decision]:
    """Return what is to become of each run in a directory, the oldest first.

    Runs of which nothing is left to take out are not among them.

    :raises ValueError: a run cannot be read; nothing is decided then.
    :raises OSError: likewise.
    """
    runs = sorted(((read_head(path), path) for path in places(home)), key=lambda run: run[0].order)
    whole = [head for head, _ in runs if head.finished and head.sealed]
    if not whole:
        return [Decision(path, head, _unfit(head)) for head, path in runs]
    chosen = _chosen(whole, rules)
    found = []
    for head, path in runs:
        why = _unfit(head) or chosen.get(head.directory, "")
        if not why and head.directory != head.id and not rules.named:
            why = "somebody named it; --named"
        remove = tuple(_removable(path, rules)) if not why else ()
        if why or remove:
            found.append(Decision(path, head, why, remove))
    return found


def _unfit(head: Head) -> str:
    if not head.finished:
        return "not finished, or still going on"
    return "" if head.sealed else "not sealed"


def _chosen(heads: Sequence[Head], rules: Rules) -> dict[str, str]:
    """Return why runs are kept, by directory."""
    newest = _started(heads[-1])
    found = {each.directory: "the newest" for each in heads if each.id == heads[-1].id}
    periods: set[tuple[str, str]] = set()
    for head in reversed(heads):
        started = _started(head)
        if newest - started <= rules.within:
            found.setdefault(head.directory, f"not older than {rules.within.days} days")
        for name, number, limit in (
            ("week", _weeks(newest.date()) - _weeks(started.date()), rules.weekly),
            ("month", _months(newest.date()) - _months(started.date()), rules.monthly),
        ):
            period = f"{name} {number}", head.subject
            if number < limit and head.verdicts and period not in periods:
                found.setdefault(head.directory, f"the last of its {name}")
                periods.add(period)
    return found


def _started(head: Head) -> datetime:
    return datetime.strptime(head.started, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def _weeks(day: date) -> int:
    """Return the number of a day's week; weeks begin on Mondays."""
    return (day.toordinal() - 1) // 7


def _months(day: date) -> int:
    return day.year * 12 + day.month


def _removable(path: Path, rules: Rules) -> Iterator[Path]:
    for each in files(path):
        name = each.relative_to(path).as_posix()
        if name in STAYS or name.endswith((SUMS, SIGNATURE)):
            continue
        if not (rules.evidence_only and name in (VERDICTS, "table.txt")):
            yield each


def prune(decision: Decision, rules: Rules, now: datetime, key: str | None = None) -> None:
    """Take out of a run what was decided; the note is written first, so it can be done again.

    :param key: what to sign the note with, see run/seal.py.
    :raises ValueError: the run is not as it was sealed: what was tampered with is no waste.
    :raises SealError: the note cannot be signed; nothing is taken out.
    :raises OSError: something cannot be written or removed.
    """
    path = decision.path
    if bad := [each.told for each in checksums(path) if each.good is False]:
        raise ValueError(f"{path} is kept, for it is not as it was sealed: {bad[0]}")
    before = read_pruned(path)
    names = {each.relative_to(path).as_posix() for each in decision.remove}
    removed = names.union(before.removed if before else ())
    note = Pruned(
        decision.head.id, f"sha256:{digest_of(path / SUMS)}", rfc3339(now), str(rules),
        tuple(sorted(removed)),
    )  # fmt: skip
    (path / NOTE_SIGNATURE).unlink(missing_ok=True)
    write_pruned(path, note)
    if key is not None:
        sign(path / NOTE, key)
    for each in decision.remove:
        each.unlink(missing_ok=True)
    for folder in sorted({each.parent for each in decision.remove} - {path}, reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()
