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


def whole_want(path: str, without: str = "") -> Want:
    """Return a want for a file's text, but for the lines that a basic regular expression fits."""
    read = f"head -c {FILE_LIMIT + 1} -- %s"
    if without:
        read = f"{{ {read} >/dev/null && sed '/{without}/d' %s | head -c {FILE_LIMIT + 1}; }}"
    paths = (path, path) if without else (path,)
    return want(f"{read} && printf '\\n{END}\\n'", *paths, meaning=(0, 1))


def whole_text(host: Host, path: str, without: str = "") -> str | None:
    """Return such a text; None if there is no such file. :raises Unknown: it cannot be read."""
    answer = session_of(host).ask(whole_want(path, without))[0]
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
