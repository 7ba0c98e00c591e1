"""Which of the documents that lie on the host are about an image, and may be believed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.accounts import Accounts
from hullcheck.facts.files import File, Files
from hullcheck.facts.images import Image
from hullcheck.facts.registry import get
from hullcheck.facts.scans.attestations import provenance_of, sbom_of
from hullcheck.facts.scans.attested import attested, foresee_attested
from hullcheck.facts.scans.evidence import EvidenceFile, evidence
from hullcheck.facts.scans.reports import Subject, report_of, text_of, when
from hullcheck.transport import CannotAnswer, session_of

__all__ = ["Found", "Stated", "Trivys", "provenances", "reports", "sboms", "trivys"]


class About(Protocol):
    @property
    def subject(self) -> Subject: ...


Kind = TypeVar("Kind", bound=About)


@dataclass(frozen=True, slots=True)
class Stated(Generic[Kind]):
    """What a file of the host says."""

    file: EvidenceFile
    what: Kind

    def __str__(self) -> str:
        return self.file.path


@dataclass(frozen=True, slots=True)
class Found(Generic[Kind]):
    """The documents of one kind that may be about an image.

    :param good: those that are, and that only trusted accounts can have written.
    :param refused: what else there is that seems to be about it, and why it does not count.
    :param unread: what could not be looked at.
    :param broken: what is no JSON, and why.
    """

    good: tuple[Stated[Kind], ...]
    refused: tuple[str, ...]
    unread: tuple[str, ...]
    broken: tuple[str, ...] = ()


def reports(image: Image, folders: Sequence[str], writers: Collection[str]) -> Found[Any]:
    """Return the reports of scanners. :raises CannotAnswer: the host did not tell them."""
    return _found(image, report_of, folders, writers)


def sboms(image: Image, folders: Sequence[str], writers: Collection[str]) -> Found[Any]:
    """Return the bills of materials. Raises like :func:`reports`."""
    return _found(image, sbom_of, folders, writers)


def provenances(image: Image, folders: Sequence[str], writers: Collection[str]) -> Found[Any]:
    """Return what tells of how it was built. Raises like :func:`reports`."""
    return _found(image, provenance_of, folders, writers)


def _found(
    image: Image,
    read: Callable[[Any], Any],
    folders: Sequence[str],
    writers: Collection[str],
) -> Found[Any]:
    if not image.containers:
        raise NotApplicable("no container was made from it")
    host = image.host
    foresee_attested(host)
    seen = evidence(host, folders)
    stated = session_of(host).recall(
        ("stated", read.__name__, tuple(folders)), lambda: _stated(host, read, folders)
    )
    kept, why = ([], "") if read is report_of else _kept(host, read)
    stated = [*stated, *kept]
    fitting = [each for each in stated if each.what.subject.fits(image)]
    loose = _loose(host, [each.file.path for each in fitting], writers)
    refused = [f"{each}: {loose[each.file.path]}" for each in fitting if loose[each.file.path]]
    refused += [
        f"{each} is about another image of that name ({each.what.subject})"
        for each in stated
        if each not in fitting and each.what.subject.resembles(image)
    ]
    good = tuple(each for each in fitting if not loose[each.file.path])
    broken = tuple(f"{each.path} ({each.broken})" for each in seen.files if each.broken)
    return Found(good, tuple(refused), (*seen.unread, *filter(None, [why])), broken)


def _stated(host: Host, read: Callable[[Any], Any], folders: Sequence[str]) -> list[Stated[Any]]:
    return [
        Stated(file, what)
        for file in evidence(host, folders).files
        for document in file.documents
        if (what := read(document)) is not None
    ]


def _kept(host: Host, read: Callable[[Any], Any]) -> tuple[list[Stated[Any]], str]:
    """Return what the content store keeps, or why that cannot be told.

    The subject of a statement is a manifest of the index by which the engine knows the image.
    """
    try:
        return [
            Stated(file, replace(what, subject=Subject(digests=frozenset([digest]))))
            for digest, file in attested(host)
            if (what := read(file.documents[0])) is not None
        ], ""
    except (CannotAnswer, Unknown) as reason:
        return [], str(reason)


def _loose(host: Host, paths: Sequence[str], writers: Collection[str]) -> dict[str, str]:
    """Return for each file how others than trusted accounts could have written it.

    :raises Unknown: that cannot be seen.
    """
    if not paths:
        return {}
    accounts: Accounts = get(host, "accounts")
    files: Files = get(host, "files")
    trusted = {0, *(user.uid for each in writers if (user := accounts.user(each)))}
    return {each.path: _doubt(each, trusted) for each in files.all(paths)}


def _doubt(file: File, trusted: Collection[int]) -> str:
    if not file.exists:
        return "it has gone since it was read"
    return next(iter(file.writable_by_others(trusted)), "")


@dataclass(frozen=True, slots=True)
class Trivys:
    """What Trivy keeps of its database: cache/db/metadata.json (trivy-db, pkg/metadata)."""

    file: EvidenceFile
    built: Any
    fetched: Any


def trivys(host: Host, folders: Sequence[str]) -> list[Trivys]:
    """Return the states of Trivy's databases on the host, by the file that tells."""
    found = []
    for file in evidence(host, folders).files:
        for each in file.documents:
            if file.path.endswith("/db/metadata.json") and isinstance(each, dict):
                built = when(each.get("UpdatedAt"))
                fetched = when(each.get("DownloadedAt"))
                if built and text_of(each.get("UpdatedAt")):
                    found.append(Trivys(file, built, fetched or built))
    return found
