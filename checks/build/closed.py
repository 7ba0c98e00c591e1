"""Files that hold secrets, and that nobody but those meant may touch."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from hullcheck.control import Unknown, expect
from hullcheck.facts.files import File
from hullcheck.facts.readers import readers_of

__all__ = ["expect_closed"]


def expect_closed(files: Iterable[File], trusted: Collection[int]) -> None:
    """Expect that nobody beside root and trusted users reads or writes those files that exist.

    :raises Unknown: one cannot be seen, once all others are judged.
    """
    hidden = []
    for file in files:
        if file.state == "denied":
            hidden.append(file.reason)
        elif file.exists:
            expect(readers_of(file, trusted), equals=[], what=f"who else may read {file}")
            expect(file.writable_by_others(trusted), equals=[], what=f"who else may write {file}")
    if hidden:
        raise Unknown(hidden[0])
