"""What controls of a node's files ask of each: who else may read it, change it or replace it."""

from __future__ import annotations

from hullcheck.control import expect
from hullcheck.facts.kubernetes.places import NodeFile

from ..build.closed import expect_closed

__all__ = ["expect_kept", "expect_private"]


def expect_private(each: NodeFile) -> None:
    """Expect that nobody but root and its own user reads or writes a file that exists.

    The way to it counts: behind a directory that others cannot pass, a mode of 644 shows nothing.

    :raises NotApplicable: there is no such file. :raises Unknown: it cannot be seen.
    """
    _ = each.file.present
    if each.public:
        expect_kept(each)
    else:
        expect_closed([each.file], each.trusted)


def expect_kept(each: NodeFile) -> None:
    """Expect that nobody else can change or replace a file. Raises like :func:`expect_private`."""
    _ = each.file.present
    ways = each.file.writable_by_others(each.trusted)
    expect(ways, equals=[], what=f"what lets others change {each}")
