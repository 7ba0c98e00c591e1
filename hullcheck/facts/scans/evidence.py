"""What scanners, builders and their like left on the host as JSON, from one bounded sweep."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from testinfra.host import Host

from hullcheck.facts.scans.documents import Told, program, told
from hullcheck.transport import CannotAnswer, Want, session_of, want

__all__ = ["PLACES", "Evidence", "EvidenceFile", "complaints", "evidence", "evidence_want"]

PLACES = (
    "/var/lib/trivy", "/var/log/trivy", "/var/lib/grype", "/var/log/grype", "/var/lib/syft",
    "/var/lib/sbom", "/var/lib/scans", "/var/lib/hullcheck", "/var/reports", "/srv/reports",
    "/srv/scans", "/var/cache/trivy",
)  # fmt: skip
"""Looked at beside the folders that the site names: no scanner has a place of its own for them."""

NAMES = ("*.json", "*.jsonl", "*.intoto", "*.att", "*.sigstore")
STATE = "/.cache/trivy/db/metadata.json"
"""Below the home of an account: what Trivy tells of its database. Any user may write his own, and
must not be able to hide anything by it."""

DEPTH = 6
MOST = 200
"""Files that are read, the newest first."""
LARGEST = 64_000_000
TOGETHER = 128_000_000
KEPT = 6_000_000
BYTES = 7_500_000
SECONDS = 45
LAST = 2**32
"""No file was written after the year 2106."""

_LOOP = (
    r"""IFS='
'; set -f
for h in $({ getent passwd || cat /etc/passwd; } 2>/dev/null | cut -d: -f6 | sort -u); do
m=${h}STATE; [ ! -f "$m" ] || set -- "$@" "$m"; done
for p in PLACES; do [ ! -e "$p" ] || set -- "$@" "$p"; done
[ $# = 0 ] || f=$(find -H "$@" -maxdepth DEPTH -type f \( NAMES \) ! -name '*
*' -exec stat -c '%Y %s %u %n' {} + | sort -rn | awk -v m=STATE '{
    size = substr($0, index($0, " ") + 1) + 0
    if (size > 9999 && substr($0, length($0) - length(m) + 1) == m) next
    if (n < MOST && size <= LARGEST && sum + size <= TOGETHER) { n++; sum += size; print }
    else left++
} END { print "= left " left + 0 }')
f=${f:-= left 0}
printf '%s\n' "$f"; set --
for l in $f; do case $l in =*) continue;; esac
p=/${l#*/}; if [ -r "$p" ]; then set -- "$@" "$p"; else echo "= denied $p"; fi; done
"""
    .replace("NAMES", " -o ".join(f"-name '{each}'" for each in NAMES))
    .replace("STATE", STATE).replace("PLACES", " ".join(PLACES))
    .replace("DEPTH", str(DEPTH)).replace("MOST", str(MOST))
    .replace("LARGEST", str(LARGEST)).replace("TOGETHER", str(TOGETHER))
)  # fmt: skip


def evidence_want(folders: Iterable[str] = ()) -> Want:
    """Return the want for the documents below some folders, the known places, and the state of
    the databases of scanners in homes."""
    roots = [each.rstrip("/") or "/" for each in dict.fromkeys(folders)]
    words = " ".join(shlex.quote(each) for each in roots if each.startswith("/"))
    before, run = program(KEPT)
    return want(
        f"set -- {words}; {before}"
        f' timeout {SECONDS} sh -c {shlex.quote(_LOOP + run)} sh "$@" | head -c {BYTES}',
        seconds=SECONDS + 10,
    )


@dataclass(frozen=True)
class EvidenceFile:
    """A file that may hold JSON.

    :param written: when it was last written, in seconds since the epoch.
    :param documents: what is in it, and in what of it is packed in base64.
    :param broken: why it is no JSON; empty if it is.
    """

    path: str
    written: int
    uid: int
    documents: tuple[Any, ...] = field(repr=False, default=())
    broken: str = ""


@dataclass(frozen=True)
class Evidence:
    """What was found.

    :param unread: what could not be looked at, and why, one sentence each.
    """

    files: tuple[EvidenceFile, ...] = ()
    unread: tuple[str, ...] = ()


def evidence(host: Host, folders: Sequence[str] = ()) -> Evidence:
    """Return the documents that lie on the host.

    :raises CannotAnswer: what came is damaged.
    """
    asked = evidence_want(folders)

    def read() -> Evidence:
        answer = session_of(host).ask(asked)[0]
        stderr = answer.evidence.stderr.decode("utf-8", "replace")
        return _evidence(told(answer.text), [*complaints(stderr)])

    return session_of(host).recall(("evidence", asked), read)


_LISTED = re.compile(r"(-?\d+) (\d+) (\d+) (/.*)")


def _evidence(found: Told, unread: list[str]) -> Evidence:
    if not found.others or not (left := re.fullmatch(r"= left (\d+)", found.others[-1])):
        raise CannotAnswer("the documents on the host were not listed to the end")
    rows = [_LISTED.fullmatch(line) for line in found.others[:-1]]
    listed = [row for row in rows if row]
    if len(listed) < len(rows):
        raise CannotAnswer("what came of the documents on the host is damaged")
    if left[1] != "0":
        unread.append(f"{left[1]} further files are too many or too large to look at")
    if not found.ended:
        unread.append(f"looking at documents took more than {SECONDS} s or {BYTES} bytes")
    hidden = found.hidden | {row[4] for row in listed if int(row[2]) and row[4] not in found.texts}
    hidden = {each for each in hidden if not each.endswith(STATE)}
    unread += [f"{each} cannot be read as a whole; it may need root" for each in sorted(hidden)]
    files = [
        _file(row[4], max(0, min(int(row[1]), LAST)), int(row[3]), found)
        for row in listed
        if row[4] in found.texts and row[4] not in hidden
    ]
    whole = [each for each in files if found.ended or not each.broken]
    return Evidence(tuple(whole), tuple(unread))


def _file(path: str, written: int, uid: int, found: Told) -> EvidenceFile:
    try:
        return EvidenceFile(path, written, uid, tuple(found.documents(path)))
    except ValueError as error:
        return EvidenceFile(path, written, uid, broken=str(error)[:100])


def complaints(stderr: str) -> Iterable[str]:
    """Yield what could not be looked at."""
    for line in stderr.splitlines():
        if line.strip() and "No such file or directory" not in line and STATE not in line:
            root = "; it needs root" if "ermission denied" in line else ""
            yield f"{line.strip()[:200]}{root}"
