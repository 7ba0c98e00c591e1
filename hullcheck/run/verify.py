"""Verifying a run: checksums, signature, chain, and the verdicts judged again."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hullcheck.catalogue import all_controls
from hullcheck.catalogue import digest as controls_digest
from hullcheck.run.directory import read_document, read_run, recording_name
from hullcheck.run.pruned import NOTE, NOTE_SIGNATURE, Pruned, read_pruned
from hullcheck.run.replay import replay
from hullcheck.run.seal import (
    NAMESPACE,
    SIGNATURE,
    SUMS,
    digest_of,
    files,
    previous_file,
    read_sums,
)
from hullcheck.verdict import Run

__all__ = ["Check", "checksums", "verify"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was verified, and what came of it; ``good`` None: it was not looked at."""

    what: str
    good: bool | None
    told: str


def verify(path: Path, signers: Path | None = None, *, judge: bool = True) -> list[Check]:
    """Verify a run directory.

    :param signers: an allowed_signers file of ssh-keygen(1): who may have signed.
    :param judge: whether to judge the recordings again.
    :raises ValueError: the signers cannot be read, or there is no ssh-keygen to ask.
    """
    try:
        document = read_document(path)
        read_run(path)
        note = read_pruned(path)
    except ValueError as error:
        return [Check("run", False, str(error))]
    checks = [*checksums(path), _signature(path, signers)]
    checks += [_retention(path, note, signers)] if note else []
    checks += _chain(path, document["run"], signers)
    if note:
        return [*checks, Check("verdicts", None, f"cannot be judged again: {note.told}")]
    hosts = list(_hosts(path))
    if judge and all(each.good for each in hosts):
        judged = list(_judged(path, document))
    else:
        judged = [Check("verdicts", None, "not judged again")]
    return [*checks, *hosts, *judged]


def checksums(path: Path) -> Iterator[Check]:
    """Check that the files of a run directory are those that were sealed, as they were.

    :raises ValueError: a note of retention is there, and is damaged.
    """
    note = read_pruned(path)
    try:
        wanted = read_sums(path / SUMS)
    except FileNotFoundError:
        yield Check("checksums", False, f"there is no {SUMS}: the run was interrupted, or stripped")
        return
    except (ValueError, OSError) as error:
        yield Check("checksums", False, str(error))
        return
    there = {each.relative_to(path).as_posix(): each for each in files(path)}
    removed: set[str] = set()
    if note:
        there = {name: at for name, at in there.items() if name not in (NOTE, NOTE_SIGNATURE)}
        removed = wanted.keys() & set(note.removed) - there.keys()
    wrong = [f"{name} is missing" for name in sorted(wanted.keys() - there.keys() - removed)]
    wrong += [f"{name} is in no checksum" for name in sorted(there.keys() - wanted.keys())]
    wrong += [
        f"{name} was changed"
        for name in sorted(wanted.keys() & there.keys())
        if digest_of(there[name]) != wanted[name]
    ]
    for each in wrong:
        yield Check("checksums", False, each)
    if not wrong:
        pruned = f", {len(removed)} more were pruned" if removed else ""
        yield Check("checksums", True, f"{len(there)} files are as they were sealed{pruned}")


def _signature(path: Path, signers: Path | None) -> Check:
    if (path / SIGNATURE).exists():
        return Check("signature", *_signed(path / SUMS, signers))
    if signers:
        return Check("signature", False, f"there is no {SIGNATURE}")
    return Check("signature", None, "the run is not signed")


def _retention(path: Path, note: Pruned, signers: Path | None) -> Check:
    """Check who says that it was retention that took something out of a run."""
    if (path / NOTE_SIGNATURE).exists():
        good, told = _signed(path / NOTE, signers)
        return Check("retention", good, f"{note.told}: {told}")
    if signers or (path / SIGNATURE).exists():
        told = (
            f"says that it was {note.told}, but nobody signed that: anybody could have written it"
        )
        return Check("retention", False, told)
    return Check("retention", None, f"{note.told}; the note is not signed")


def _signed(file: Path, signers: Path | None) -> tuple[bool | None, str]:
    """Return whether a file's signature is good, and what is to be told of it."""
    signature = str(file.with_name(f"{file.name}.sig"))
    if signers is None:
        done = _keygen(file, "check-novalidate", "-s", signature)
        if done.returncode:
            return False, f"does not fit {file.name}"
        return None, "sound, but by whom is not known: name the allowed signers with --signers FILE"
    if not signers.is_file():
        raise ValueError(f"--signers {signers}: there is no such file")
    given = ("-s", signature, "-f", str(signers))
    named = _keygen(file, "find-principals", *given)
    who = named.stdout.splitlines()[0].strip() if named.stdout.strip() else ""
    done = _keygen(file, "verify", "-I", who, *given) if who else named
    if who and done.returncode == 0:
        return True, f"by {who}"
    said = (done.stderr or done.stdout).strip().splitlines()
    why = said[-1] if said else "no reason given"
    return False, f"not by anybody in {signers}: {why}"


def _keygen(file: Path, action: str, *args: str) -> subprocess.CompletedProcess[str]:
    data = file.read_bytes() if file.exists() else b""
    argv = ["ssh-keygen", "-Y", action, "-n", NAMESPACE, *args]
    try:
        done = subprocess.run(argv, input=data, capture_output=True, timeout=60, check=False)
    except FileNotFoundError:
        raise ValueError("a signature is checked with ssh-keygen of OpenSSH 8.2 or newer") from None
    out, err = (each.decode("utf-8", "replace") for each in (done.stdout, done.stderr))
    return subprocess.CompletedProcess(argv, done.returncode, out, err)


def _chain(path: Path, run: dict[str, Any], signers: Path | None) -> Iterator[Check]:
    """Check that the run before is the one that was there; beside it, if it is kept there."""
    said, kept = run["previous"], previous_file(path)
    if said is None and kept is None:
        yield Check("chain", None, "no run came before")
        return
    if kept is None or said != f"sha256:{digest_of(kept[1])}":
        yield Check("chain", False, "run.json and the copy of the run before do not agree")
        return
    name, copy = kept
    beside = {each.name: each for each in _runs_beside(path)}
    same = [each for each in beside.values() if digest_of(each / SUMS) == digest_of(copy)]
    if same:
        yield Check("chain", True, f"the run before is {name}, beside it in {same[0].name}")
        yield from _kept(same[0], name, signers)
    elif any(_id(each) == name for each in beside.values()):
        yield Check("chain", False, f"the run before, {name}, is not as it was")
    elif any(_id(each) < name for each in beside.values()):
        yield Check("chain", False, f"the run before, {name}, was taken out from between others")
    else:
        yield Check("chain", None, f"the run before, {name}, is not kept beside it")


def _kept(path: Path, name: str, signers: Path | None) -> Iterator[Check]:
    """Check, of the run before, that what is missing of it was taken out by retention."""
    try:
        note = read_pruned(path)
    except ValueError as error:
        yield Check("retention", False, str(error))
        return
    if note:
        check = _retention(path, note, signers)
        yield Check(
            "retention",
            check.good,
            f"the run before, {name}, was {check.told}"
            if check.good is not False
            else f"the run before, {name}, {check.told}",
        )


def _runs_beside(path: Path) -> Iterator[Path]:
    here = path.resolve()
    for place in sorted(here.parent.glob(f"*/{SUMS}")):
        if place.parent != here and not place.parent.is_symlink():
            yield place.parent


def _id(path: Path) -> str:
    try:
        return str(read_document(path)["run"]["id"])
    except (ValueError, KeyError, TypeError):
        return "~"


def _hosts(path: Path) -> Iterator[Check]:
    """Check that verdicts and recordings are of the run's hosts and of no others."""
    run = read_run(path)
    known = {host.name for host in run.hosts}
    wrong = []
    try:
        with (path / "verdicts.jsonl").open(encoding="utf-8") as lines:
            judged = {json.loads(line)["host"] for line in lines}
    except FileNotFoundError:
        yield Check("hosts", False, "there is no verdicts.jsonl")
        return
    wrong += [f"{name} has verdicts, but is not in run.json" for name in sorted(judged - known)]
    for host in run.hosts:
        if host.recording is None:
            continue
        if host.recording != recording_name(host.name):
            wrong.append(f"the recording of {host.name} is another host's: {host.recording}")
        elif not (path / host.recording).is_file():
            wrong.append(f"the recording of {host.name} is missing")
        if host.name not in judged:
            wrong.append(f"{host.name} has a recording and no verdicts")
    if not run.finished:
        wrong.append("the run was not finished: hosts may be missing")
    for each in wrong:
        yield Check("hosts", False, each)
    if not wrong:
        yield Check("hosts", True, f"{len(known)} hosts, each with its verdicts")


def _judged(path: Path, document: dict[str, Any]) -> Iterator[Check]:
    """Judge all recordings again, and compare the verdicts line by line."""
    run, known = read_run(path), all_controls()
    names = [each["id"] for each in document["controls"]]
    chosen = [known[name] for name in names if name in known]
    if len(chosen) != len(names) or controls_digest(chosen) != run.controls_digest:
        version = document["run"]["tool"]["version"]
        told = f"judged by other controls: install hullcheck {version} to judge again"
        yield Check("verdicts", False, told)
        return
    with tempfile.TemporaryDirectory() as place:
        try:
            again = replay(path, Path(place) / "again", chosen).path
        except (ValueError, OSError) as error:
            yield Check("verdicts", False, f"cannot be judged again: {error}")
            return
        differing = list(_differing(path / "verdicts.jsonl", again / "verdicts.jsonl"))
        differing += _miscounted(run, read_run(again))
    for each in differing[:20]:
        yield Check("verdicts", False, each)
    if not differing:
        yield Check("verdicts", True, "judged again from the recordings, byte for byte the same")


def _miscounted(run: Run, again: Run) -> Iterator[str]:
    for told, counted in zip(run.hosts, again.hosts, strict=True):
        if told.totals != counted.totals:
            yield f"run.json says of {told.name} {told.totals}, its recording {counted.totals}"


def _differing(first: Path, second: Path) -> Iterator[str]:
    old, new = (each.read_text(encoding="utf-8").splitlines() for each in (first, second))
    for before, after in zip(old, new, strict=False):
        if before != after:
            verdict = json.loads(after)
            yield (
                f"{verdict['control']} on {verdict['host']} is {verdict['status']} by its "
                "recording, and not what verdicts.jsonl says"
            )
    if len(old) != len(new):
        yield f"verdicts.jsonl has {len(old)} verdicts; its recordings give {len(new)}"
