"""Sealing a run: checksums of every file, chained to the run before it, and a signature.

``SHA256SUMS`` is what ``sha256sum -c`` reads. Among the files is a copy of the ``SHA256SUMS`` of
the run before, named after that run, so that a run cannot be taken out of the middle unseen.
The signature is made by ``ssh-keygen -Y sign`` over ``SHA256SUMS``, in the namespace
``hullcheck`` (ssh-keygen(1)): with a private key in a file, or with a key of an agent.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hullcheck.run.directory import read_document, replace_text

__all__ = [
    "NAMESPACE", "SIGNATURE", "SUMS", "Before", "SealError", "before", "digest_of", "files",
    "keep_before", "previous_file", "read_sums", "seal", "sign",
]  # fmt: skip

SUMS, SIGNATURE = "SHA256SUMS", "SHA256SUMS.sig"
NAMESPACE = "hullcheck"
SECONDS = 120
"""How long a signature may take: a key in hardware waits for a finger."""

_LINE = re.compile(r"([0-9a-f]{64}) [ *]([^\n\\]+)")
_BEFORE = re.compile(r"previous-(?P<id>[0-9A-Za-z.-]+)\.SHA256SUMS")


class SealError(Exception):
    """A run could not be sealed or signed; the text is one sentence with the remedy."""


@dataclass(frozen=True, slots=True)
class Before:
    """The run before: its id, and what its SHA256SUMS holds."""

    id: str
    sums: bytes

    @property
    def digest(self) -> str:
        """What ``run.json`` calls it by: sha256:…"""
        return f"sha256:{hashlib.sha256(self.sums).hexdigest()}"


def before(path: Path) -> Before | None:
    """Return the last sealed run beside a run directory, by the time that their ids tell."""
    found = []
    for place in path.resolve().parent.glob(f"*/{SUMS}"):
        if place.parent.is_symlink() or place.parent.resolve() == path.resolve():
            continue
        try:
            found.append((str(read_document(place.parent)["run"]["id"]), place))
        except (ValueError, KeyError, TypeError):
            continue
    if not found:
        return None
    last, place = max(found)
    return Before(last, place.read_bytes())


def previous_file(run: Path) -> tuple[str, Path] | None:
    """Return the id of the run before, as a run directory names it, and the copy of its sums."""
    for place in sorted(run.glob(f"previous-*.{SUMS}")):
        name = _BEFORE.fullmatch(place.name)
        if name:
            return name["id"], place
    return None


def keep_before(path: Path, run: Before) -> None:
    """Put the copy of the sums of the run before into a run directory."""
    (path / f"previous-{run.id}.{SUMS}").write_bytes(run.sums)


def seal(path: Path, key: str | None = None) -> None:
    """Write the checksums of all files of a run, and sign them if a key is given.

    :param key: a private key's file, or a public one's whose private key an agent holds.
    :raises SealError: they could not be signed; the checksums are there all the same.
    """
    (path / SIGNATURE).unlink(missing_ok=True)
    lines = (f"{digest_of(each)}  {each.relative_to(path).as_posix()}\n" for each in files(path))
    replace_text(path / SUMS, "".join(lines).rstrip("\n"))
    if key is not None:
        sign(path / SUMS, key)


def files(path: Path) -> Iterator[Path]:
    """Yield the files of a run directory that checksums cover, sorted by name."""
    for each in sorted(path.rglob("*")):
        if each.is_file() and each.relative_to(path).as_posix() not in (SUMS, SIGNATURE):
            yield each


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_sums(path: Path) -> dict[str, str]:
    """Return the checksums in a SHA256SUMS, by file.

    :raises ValueError: a line is not as sha256sum(1) writes it, or a file stands twice.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match = _LINE.fullmatch(line)
        if match is None or match[2] in found:
            raise ValueError(f"{path}:{number}: is no line of sha256sum, or a second one of a file")
        found[match[2]] = match[1]
    return found


def sign(file: Path, key: str) -> None:
    """Sign a file, beside it: ``FILE.sig``. :raises SealError: ssh-keygen does not."""
    place = Path(key).expanduser()
    if not place.is_file():
        raise SealError(f"--sign {key}: there is no such file; name a key as ssh-keygen made it")
    argv = ["ssh-keygen", "-q", "-Y", "sign", "-n", NAMESPACE, "-f", str(place), str(file)]
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, errors="replace", timeout=SECONDS, check=False
        )
    except FileNotFoundError:
        raise SealError("--sign needs ssh-keygen of OpenSSH 8.2 or newer; install it") from None
    except subprocess.TimeoutExpired:
        raise SealError(f"--sign {key}: the key did not sign within {SECONDS} seconds") from None
    if done.returncode or not file.with_name(f"{file.name}.sig").exists():
        raise SealError(f"--sign {key}: {_said((done.stderr, done.stdout))}")


def _said(texts: Iterable[str]) -> str:
    lines = [line for text in texts for line in text.splitlines() if line.strip()]
    return lines[0] if lines else "ssh-keygen gave no reason"
