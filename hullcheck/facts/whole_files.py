"""Text files of which every line counts: what was cut on its way is no answer.

What is read loses its secrets, so that its length does not tell whether it is whole; a last line
does.
"""

from __future__ import annotations

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.texts import END
from hullcheck.transport import Want, session_of, want
from hullcheck.transport.want import FILE_LIMIT

__all__ = ["whole_text", "whole_want"]

_ABSENT = ("No such file or directory", "Not a directory")


def whole_want(path: str) -> Want:
    """Return a want for a file's text."""
    return want(
        f"head -c {FILE_LIMIT + 1} -- %s && printf '\\n{END}\\n'", path, meaning=(0, 1)
    )  # fmt: skip


def whole_text(host: Host, path: str) -> str | None:
    """Return a file's text; None if there is no such file. :raises Unknown: it cannot be read."""
    answer = session_of(host).ask(whole_want(path))[0]
    if answer.exit:
        if answer.complaint.endswith(_ABSENT):
            return None
        raise Unknown(
            f"{path} cannot be read: {answer.complaint or 'no reason given'}; it may need root"
        )
    text, end, rest = answer.text.rpartition(f"\n{END}\n")
    if not end or rest or len(answer.output) > FILE_LIMIT:
        raise Unknown(f"{path} was not read to its end")
    return text
