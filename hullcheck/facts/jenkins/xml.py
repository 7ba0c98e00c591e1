"""XML of Jenkins without its secrets: the shape of a file, and harmless values alone.

Jenkins writes XML 1.1, which expat refuses, and keeps passwords, scripts and variables of jobs in
the same file as its settings. So the host sends elements with their class, and of few elements
the text; no comment, no other attribute. A document type or CDATA, which Jenkins never writes,
leaves a mark that is no XML.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from hullcheck.control import Unknown
from hullcheck.transport import Answer, Want, want

__all__ = ["Element", "parse_shape", "shape_want"]

LARGEST = 4096
"""Blocks of 512 bytes that a file may have."""

DEEPEST, MOST = 100, 100_000

_KEPT = (
    "useSecurity|numExecutors|slaveAgentPort|denyAnonymousReadAccess|disableSignup|permission|sid|"
    "allowAnonymousReadPermission|excludeClientIPFromCrumb|version|mode|enabled|"
    "disableSandbox|forceSandbox"
)
_AWK = rf"""
BEGIN {{ RS = "<"; print "<shape>" }}
NR == 1 {{ next }}
hidden {{ if (index($0, "-->")) hidden = 0; next }}
/^!--/ {{ if (!index(substr($0, 4), "-->")) hidden = 1; next }}
/^[?]/ {{ next }}
/^!/ {{ print "<!>"; next }}
{{
    at = index($0, ">")
    if (!at) {{ print "<!>"; next }}
    tag = substr($0, 1, at - 1); text = substr($0, at + 1); name = tag
    sub(/[ \t\r\n].*/, "", name); sub(/\/$/, "", name)
    close_ = tag ~ /\/$/ ? "/" : ""; class_ = ""
    if (match(tag, /[ \t\r\n]class="[A-Za-z0-9_.$-]*"/))
        class_ = " " substr(tag, RSTART + 1, RLENGTH - 1)
    gsub(/^[ \t\r\n]+|[ \t\r\n]+$/, "", text)
    if (name !~ /^({_KEPT})$/) text = ""
    else if (text !~ /^[A-Za-z0-9_.:@ -]*$/ || length(text) > 200) text = "?"
    print "<" name class_ close_ ">" text
}}
END {{ if (hidden) print "<!>"; print "</shape>" }}
"""


def shape_want(path: str) -> Want:
    """Return a want for the shape of a file; exit 1: there is none, or it cannot be read."""
    return want(
        "f=%s; [ -n \"$(find -H \"$f\" -size -" + str(LARGEST) + " -type f)\" ] && cat -- \"$f\""
        " >/dev/null && awk '" + _AWK.replace("%", "%%") + "' \"$f\" || { stat -L -- \"$f\""
        " >/dev/null && echo 'not read: too long, or no permission' >&2; exit 1; }",
        path, meaning=(0, 1),
    )  # fmt: skip


@dataclass(slots=True)
class Element:
    """One element.

    :param kind: its class, as Jenkins names it; empty if that follows from its name.
    """

    name: str
    kind: str = ""
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def find(self, name: str) -> Element | None:
        """Return the last child of this name, or None: it is the one that XStream keeps."""
        return next((each for each in reversed(self.children) if each.name == name), None)

    def value(self, name: str) -> str | None:
        """Return the text of a child, or None."""
        found = self.find(name)
        return None if found is None else found.text

    def all(self, name: str) -> Iterator[Element]:
        """Yield every element of this name, however deep."""
        todo = [self]
        while todo:
            here = todo.pop()
            todo += here.children
            if here.name == name:
                yield here


def parse_shape(path: str, answer: Answer) -> Element | None:
    """Return the root of what a host sent of a file; None if there is no such file.

    :raises Unknown: it cannot be read, or is no XML of Jenkins.
    """
    if answer.exit:
        complaint = answer.complaint
        if complaint.endswith(("No such file or directory", "Not a directory")):
            return None
        raise Unknown(f"{path} cannot be read: {complaint or 'no reason given'}; it may need root")
    top = Element("")
    stack, count = [top], 0

    def begin(name: str, attributes: dict[str, str]) -> None:
        nonlocal count
        count += 1
        if len(stack) > DEEPEST or count > MOST:
            raise Unknown(f"{path} has too many elements")
        made = Element(name, attributes.get("class", ""))
        stack[-1].children.append(made)
        stack.append(made)

    def text(data: str) -> None:
        stack[-1].text += data.strip("\n")

    def refuse(*_: object) -> None:
        raise Unknown(f"{path} declares a type of document")

    parser = expat.ParserCreate("utf-8")
    parser.StartElementHandler, parser.CharacterDataHandler = begin, text
    parser.EndElementHandler = lambda _: stack.pop()
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(answer.output, True)
    except expat.ExpatError as error:
        raise Unknown(f"{path} is no XML of Jenkins: {error}") from None
    shape = top.children[0]
    if shape.name != "shape" or len(shape.children) != 1:
        raise Unknown(f"{path} is no XML of Jenkins")
    return shape.children[0]
