"""``hullcheck history``: how runs went, one after the other."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from hullcheck import catalogue
from hullcheck.commands._shared import Commands, command, page_of, say
from hullcheck.report.trend import (
    marks_of,
    overview_json,
    overview_table,
    tracks_json,
    tracks_table,
)
from hullcheck.run.heads import Head
from hullcheck.run.history import FLAPS, WINDOW, Overview, Track, overview, tracks
from hullcheck.run.index import NAME, Index, indexed
from hullcheck.run.options import UsageError

__all__ = ["declare"]

LAST = 30

TEXT = f"""\
Tells how the runs in a directory went: what failed in each, what was new and what was fixed since
the run before. --host and --control tell since when something fails, how long fixes took, and what
flaps: {FLAPS} or more changes of status in the last {WINDOW} runs that judged it.

Time to fix goes from the run that first failed to the run that passed. What failed already in the
first run counts for nothing there, and neither does what was waived.

Runs are read once, into {NAME} beside them; it may be deleted at any time.
"""


def declare(commands: Commands) -> None:
    """Declare the command."""
    one = command(commands, "history", _history, "how runs went, one after the other", TEXT)
    one.add_argument(
        "directory", nargs="?", metavar="DIR", type=Path, default=Path("reports"),
        help="where the runs lie (default: reports)",
    )  # fmt: skip
    one.add_argument("--host", metavar="NAME", help="what changed on this host, or fails")
    one.add_argument(
        "--control", metavar="ID", help="on which hosts this control changed, or fails"
    )
    one.add_argument(
        "--last", metavar="N", type=_count,
        help=f"only the last N runs (default: {LAST}, or all with --since)",
    )  # fmt: skip
    one.add_argument(
        "--since", metavar="DAY", type=_day, help="only runs that started on this day, YYYY-MM-DD, "
        "or later",
    )  # fmt: skip
    one.add_argument("--json", action="store_true", help="as JSON, complete")
    one.add_argument("-v", "--verbose", action="store_true", help="every row, however many")


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _day(text: str) -> date:
    return date.fromisoformat(text)


_count.__name__, _day.__name__ = "number above 0", "day"


def _history(options: argparse.Namespace) -> int:
    try:
        if options.host or options.control:
            _tell_tracks(options, indexed(options.directory, lambda i: _tracks(options, i), say))
        else:
            _tell(options, indexed(options.directory, lambda i: _overview(options, i), say))
    except ValueError as error:
        raise UsageError(str(error)) from error
    except OSError as error:
        raise UsageError(f"{error.filename}: {error.strerror}") from error
    return 0


def _wanted(options: argparse.Namespace, heads: Sequence[Head]) -> int:
    """Return how many of the last runs are asked for."""
    since = options.since.isoformat() if options.since else ""
    wanted = [each for each in heads if each.started >= since]
    last = options.last or (None if since else LAST)
    count = min(len(wanted), last or len(wanted))
    if not count:
        raise UsageError(f"{options.directory} holds no run" + (f" since {since}" * bool(since)))
    return count


def _overview(options: argparse.Namespace, index: Index) -> Overview:
    heads = index.heads()
    wanted = _wanted(options, heads)
    chosen = heads[-wanted - 1 :]
    index.read(chosen)
    return overview(index, chosen, len(chosen) - wanted)


def _tell(options: argparse.Namespace, found: Overview) -> None:
    if options.json:
        print(json.dumps(overview_json(found), indent=1))
    else:
        print(
            overview_table(found, page_of(options.verbose), marks_of(sys.stdout.encoding)), end=""
        )


def _tracks(options: argparse.Namespace, index: Index) -> tuple[list[Track], list[Head]]:
    heads = index.heads()
    heads = [each for each in heads[-_wanted(options, heads) :] if each.finished]
    index.read(heads)
    ids = _ids(options.control) if options.control else ()
    found = tracks(index, heads, host=options.host, controls=ids)
    if not found:
        _explain(options, index)
    return found, heads


def _ids(name: str) -> frozenset[str]:
    """Return all ids that a control has and had."""
    for each in catalogue.all_controls().values():
        names = {each.id, *each.aliases}
        if name in names:
            return frozenset(names)
    return frozenset({name})


def _explain(options: argparse.Namespace, index: Index) -> None:
    """Refuse names that no run knows; that nothing changed is no mistake."""
    hosts = index.hosts()
    if options.host and options.host not in hosts:
        near = catalogue.nearest(options.host, hosts)
        raise UsageError(f"no run in {options.directory} has a host {options.host!r}{near}")
    if options.control:
        known = catalogue.all_controls()
        if options.control not in known:
            near = catalogue.nearest(options.control, known)
            raise UsageError(f"no run judged a control {options.control!r}{near}")


def _tell_tracks(options: argparse.Namespace, told: tuple[Sequence[Track], Sequence[Head]]) -> None:
    found, heads = told
    if options.json:
        print(json.dumps(tracks_json(found, heads), indent=1))
        return
    title = " on ".join(each for each in (options.control, options.host) if each)
    by_host = options.control and not options.host
    print(
        tracks_table(
            title, found, heads, page_of(options.verbose), marks_of(sys.stdout.encoding),
            by=(lambda each: each.host) if by_host else (lambda each: each.control),
        ),
        end="",
    )  # fmt: skip
