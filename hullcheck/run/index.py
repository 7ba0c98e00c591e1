"""The index of runs, ``history.sqlite`` beside them: derived, and built again when it is not there.

A host's condensed state is kept once, however many nights it stays as it is; a night is a row
for each host that points at one. A run is read when it is new, and again when it has changed;
what has gone is forgotten. Of a run that retention has pruned its states stay, as long as the
index does.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import sqlite3
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from hullcheck.run.directory import read_document
from hullcheck.run.heads import Head, mark_of, places, read_head
from hullcheck.run.states import State, condense

__all__ = ["NAME", "Index", "Tell", "alike_until", "at_home", "indexed", "remember"]

NAME = "history.sqlite"
VERSION = 1
OURS = 0x48756C6C
"""What sqlite's application_id says of our files."""

WAIT_SECONDS = 60
FEW = 3
"""More runs than this to read are worth a line."""

_TABLES = """
CREATE TABLE run (id INTEGER PRIMARY KEY, directory TEXT UNIQUE NOT NULL, mark TEXT NOT NULL,
                  rest TEXT NOT NULL, head TEXT NOT NULL, read INTEGER NOT NULL DEFAULT 0);
CREATE TABLE host (id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL);
CREATE TABLE roster (id INTEGER PRIMARY KEY, controls TEXT UNIQUE NOT NULL);
CREATE TABLE state (id INTEGER PRIMARY KEY, digest BLOB UNIQUE NOT NULL,
                    roster INTEGER NOT NULL, data BLOB NOT NULL);
CREATE TABLE seen (host INTEGER NOT NULL, run INTEGER NOT NULL, state INTEGER,
                   PRIMARY KEY (host, run)) WITHOUT ROWID;
CREATE INDEX seen_run ON seen (run);
"""
_CANNOT = ("BUSY", "LOCKED", "READONLY", "CANTOPEN", "PERM", "AUTH", "FULL", "IOERR", "NOLFS")

Tell = Callable[[str], None]
"""Takes a sentence for the person who asked."""

T = TypeVar("T")


def at_home(home: Path) -> bool:
    """Whether runs are kept in a directory as a history: it has an index, or a latest one."""
    return (home / NAME).exists() or (home / "latest").is_symlink()


def indexed(home: Path, use: Callable[[Index], T], tell: Tell, *, make: bool = True) -> T:
    """Return what a function makes of the index of a directory of runs.

    A damaged or older index is built anew, and one that cannot be written is built in memory;
    both are told. The function may be called twice.

    :param make: whether an index may be made where there is none.
    :raises OSError: the directory cannot be read.
    :raises ValueError: it is a run itself.
    """
    path = home / NAME
    if "run.json" in {each.name for each in home.iterdir()}:
        raise ValueError(f"{home} is a run; name the directory in which it lies")
    if not make and not path.exists():
        return _used(home, ":memory:", use, tell)
    try:
        return _used(home, str(path), use, tell)
    except _Foreign:
        tell(f"{path} is not Hullcheck's, and left alone: the runs are read anew each time")
        return _used(home, ":memory:", use, tell)
    except sqlite3.DatabaseError as error:
        name = getattr(error, "sqlite_errorname", "")
        if any(name.startswith(f"SQLITE_{each}") for each in _CANNOT):
            tell(f"{path} cannot be used ({error}): the runs are read anew")
            return _used(home, ":memory:", use, tell)
    tell(f"{path} was damaged, or of another version: it is built anew from the runs")
    for name in (NAME, f"{NAME}-wal", f"{NAME}-shm"):
        (home / name).unlink(missing_ok=True)
    return _used(home, str(path), use, tell)


def remember(path: Path) -> str:
    """Take a run that has just finished into the index, where there is a history.

    :return: what went wrong, as a sentence; empty if nothing did.
    """
    home, told = path.resolve().parent, list[str]()
    if at_home(home):
        try:
            indexed(home, lambda index: index.read(index.heads([path.resolve()])), told.append)
        except (OSError, ValueError, sqlite3.Error) as error:
            told.append(f"{home / NAME}: the run is not in the history yet: {error}")
    return "; ".join(told)


def alike_until(path: Path, limit: int) -> list[Head]:
    """Return the last runs of the same hosts and controls until one, that one last.

    No index is made for it where there is no history.

    :raises OSError: they cannot be read. :raises ValueError: likewise.
    :raises sqlite3.Error: the index cannot be used.
    """
    place = path.resolve()
    home = place.parent
    heads = indexed(home, lambda index: index.heads(), lambda _told: None, make=at_home(home))
    this = next((each for each in heads if each.directory == place.name), None)
    if this is None:
        return []
    alike = [
        each for each in heads
        if each.subject == this.subject and each.finished and each.order < this.order
    ]  # fmt: skip
    return [*alike, this][-limit:]


class _Foreign(Exception):
    pass


def _used(home: Path, database: str, use: Callable[[Index], T], tell: Tell) -> T:
    with contextlib.closing(
        sqlite3.connect(database, timeout=WAIT_SECONDS, isolation_level=None)
    ) as connection:
        _prepare(connection)
        return use(Index(home, connection, tell))


def _prepare(connection: sqlite3.Connection) -> None:
    """Make the tables, if there are none.

    :raises sqlite3.DatabaseError: it is damaged, or of another version.
    """
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    with _transaction(connection):
        tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        if tables and application != OURS:
            raise _Foreign
        if not tables:
            for each in _TABLES.split(";"):
                connection.execute(each)
            connection.execute(f"PRAGMA application_id = {OURS}")
            connection.execute(f"PRAGMA user_version = {VERSION}")
    if connection.execute("PRAGMA user_version").fetchone()[0] != VERSION:
        raise sqlite3.DatabaseError("of another version")


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


class Index:
    """What the runs in one directory said, as far as it was asked for."""

    def __init__(self, home: Path, connection: sqlite3.Connection, tell: Tell) -> None:
        self.home = home
        self._connection = connection
        self._tell = tell
        self._rosters: dict[int, tuple[str, ...]] = {}

    def heads(self, only: Sequence[Path] | None = None) -> list[Head]:
        """Return the runs that lie there now, the oldest first.

        :param only: look at these, and at no others.
        """
        known = self._known()
        found, fresh = [], dict[str, tuple[tuple[str, str], Head]]()
        paths = list(places(self.home)) if only is None else only
        for path in paths:
            mark = mark_of(path)
            before = known.pop(path.name, None)
            if before and before[0] == mark:
                found.append(before[1])
                continue
            try:
                head = read_head(path)
            except ValueError as error:
                self._tell(f"left out: {error}")
                continue
            found.append(head)
            if head.finished:
                fresh[path.name] = (mark, head)
        gone = [] if only is not None else list(known)
        if fresh or gone:
            self._replace(fresh, gone)
        return sorted(found, key=lambda head: head.order)

    def _known(self) -> dict[str, tuple[tuple[str, str], Head]]:
        rows = self._connection.execute("SELECT directory, mark, rest, head FROM run")
        return {name: ((mark, rest), _head(text)) for name, mark, rest, text in rows}

    def _replace(self, fresh: dict[str, tuple[tuple[str, str], Head]], gone: list[str]) -> None:
        with _transaction(self._connection):
            for name in gone:
                self._forget(name)
            for name, ((mark, rest), head) in fresh.items():
                row = self._connection.execute(
                    "SELECT mark FROM run WHERE directory = ?", (name,)
                ).fetchone()
                if not (row and head.pruned and row[0] == mark):
                    self._forget(name)
                self._connection.execute(
                    "INSERT INTO run (directory, mark, rest, head) VALUES (?, ?, ?, ?) "
                    "ON CONFLICT (directory) DO UPDATE SET rest = excluded.rest, "
                    "head = excluded.head",
                    (name, mark, rest, json.dumps(asdict(head))),
                )
            self._connection.execute(
                "DELETE FROM state WHERE id NOT IN (SELECT state FROM seen WHERE state NOTNULL)"
            )

    def _forget(self, directory: str) -> None:
        self._connection.execute(
            "DELETE FROM seen WHERE run = (SELECT id FROM run WHERE directory = ?)", (directory,)
        )
        self._connection.execute("DELETE FROM run WHERE directory = ?", (directory,))

    def read(self, heads: Sequence[Head]) -> None:
        """Take in what finished runs said of their hosts, as far as it is not there.

        A run whose verdicts cannot be read is told, and left out.
        """
        there = self.known()
        missing = [
            each for each in heads
            if each.finished and each.verdicts and each.directory not in there
        ]  # fmt: skip
        if len(missing) > FEW:
            self._tell(f"{self.home}: {len(missing)} runs are read into {NAME}")
        for head in missing:
            path = self.home / head.directory
            mark = mark_of(path)
            try:
                hosts = [str(each["name"]) for each in read_document(path)["hosts"]]
                states = dict(condense(path))
            except (ValueError, OSError) as error:
                self._tell(f"left out: {error}")
                continue
            self._store(head.directory, mark, hosts, states)

    def _store(
        self, directory: str, mark: tuple[str, str], hosts: list[str], states: dict[str, State]
    ) -> None:
        ask = self._connection.execute
        with _transaction(self._connection):
            row = ask(
                "SELECT id FROM run WHERE directory = ? AND mark = ? AND rest = ? AND NOT read",
                (directory, *mark),
            ).fetchone()
            if row is None:
                return
            for name in hosts:
                ask("INSERT OR IGNORE INTO host (name) VALUES (?)", (name,))
                state = self._kept(states[name]) if name in states else None
                ask(
                    "INSERT INTO seen SELECT id, ?, ? FROM host WHERE name = ?",
                    (row[0], state, name),
                )
            ask("UPDATE run SET read = 1 WHERE id = ?", row)

    def _kept(self, state: State) -> int:
        ask = self._connection.execute
        text = json.dumps(state.controls)
        ask("INSERT OR IGNORE INTO roster (controls) VALUES (?)", (text,))
        (roster,) = ask("SELECT id FROM roster WHERE controls = ?", (text,)).fetchone()
        data = state.pack()
        digest = hashlib.blake2b(b"%d " % roster + data, digest_size=16).digest()
        ask(
            "INSERT OR IGNORE INTO state (digest, roster, data) VALUES (?, ?, ?)",
            (digest, roster, data),
        )
        return int(ask("SELECT id FROM state WHERE digest = ?", (digest,)).fetchone()[0])

    def known(self) -> set[str]:
        """Return the directories of the runs that were read."""
        rows = self._connection.execute("SELECT directory FROM run WHERE read")
        return {name for (name,) in rows}

    def hosts(self) -> list[str]:
        """Return the names of all hosts that were ever seen, sorted."""
        return [name for (name,) in self._connection.execute("SELECT name FROM host ORDER BY name")]

    def states(
        self, heads: Sequence[Head], host: str | None = None
    ) -> Iterator[tuple[str, dict[str, State | None]]]:
        """Yield host by host what it was in each run, by directory; None where it was lost.

        A state that did not change is the same object.

        :param host: only this one.
        """
        wanted = json.dumps([each.directory for each in heads])
        rows = self._connection.execute(
            "SELECT host.name, run.directory, state.id, state.roster, state.data FROM seen "
            "JOIN host ON host.id = seen.host JOIN run ON run.id = seen.run "
            "LEFT JOIN state ON state.id = seen.state "
            "WHERE run.directory IN (SELECT value FROM json_each(?1)) "
            "AND (?2 IS NULL OR host.name = ?2) ORDER BY seen.host",
            (wanted, host),
        )
        for name, group in itertools.groupby(rows, key=lambda row: str(row[0])):
            states: dict[int | None, State | None] = {None: None}
            found = {}
            for _, directory, number, roster, data in group:
                if number not in states:
                    states[number] = self._state(roster, data)
                found[directory] = states[number]
            yield name, found

    def _state(self, roster: int, data: bytes) -> State:
        if roster not in self._rosters:
            (text,) = self._connection.execute(
                "SELECT controls FROM roster WHERE id = ?", (roster,)
            ).fetchone()
            self._rosters[roster] = tuple(json.loads(text))
        try:
            return State.unpack(self._rosters[roster], data)
        except (zlib.error, ValueError) as error:
            raise sqlite3.DatabaseError(str(error)) from error


def _head(text: str) -> Head:
    try:
        return Head(**json.loads(text))
    except (ValueError, TypeError) as error:
        raise sqlite3.DatabaseError(f"a head is damaged: {error}") from error
