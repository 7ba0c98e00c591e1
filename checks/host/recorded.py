"""Whether the kernel records accesses to files, for controls of any engine's files."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from hullcheck.control import NotApplicable, Unknown, expect
from hullcheck.facts.audit import Audit
from hullcheck.facts.files import File

__all__ = ["CHANGES", "USE", "expect_recorded"]

CHANGES = "wa"
USE = "wax"


def expect_recorded(
    audit: Audit, files: Sequence[File], need: str, none: str, exempt: Collection[str] = ()
) -> None:
    """Expect that the kernel records some accesses to all of the files that exist."""
    there = [file for file in files if file.exists]
    if not there:
        raise NotApplicable(none)
    if audit.state.trouble:
        others = f" and {len(there) - 1} more" if len(there) > 1 else ""
        expect([audit.state.trouble], equals=[], what=f"audit of {there[0]}{others}")
        return
    audit.look_up(there)
    doubts = []
    for file in there:
        try:
            found = audit.gaps(file, need, exempt)
        except Unknown as doubt:
            doubts.append(doubt)
        else:
            expect(found, equals=[], what=f"audit of {file}")
    if doubts:
        raise doubts[0]
