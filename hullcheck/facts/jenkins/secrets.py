"""Secrets that lie in clear in the XML files of Jenkins; their kind, file and name alone.

What Jenkins encrypts stands in braces, ``{AQAA…}``, before 2016 as bare base64. The rest is classed
on the host: an element named after a secret, a parameter's default, a variable, an assignment in a
script, and what has the shape of a known token or key. No value leaves the host.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.texts import END, lines_of
from hullcheck.transport import Answer, CannotAnswer, Want, session_of, want

__all__ = ["Leak", "leaks", "leaks_want", "parse_leaks"]

SECONDS = 30
LARGEST = 4096
"""Blocks of 512 bytes that a file may have to be read."""

_NAME = "[A-Za-z_][A-Za-z0-9_.]*"
_KEYWORD = "pass|secret|token|apikey|api_key|accesskey|access_key|privatekey|private_key|credential"

_AWK = r"""
function bare(t) { gsub(/^[ \t\r\n]+|[ \t\r\n]+$/, "", t); return t }
function clear(t) {
    if (t == "" || t ~ /^[$\/{*#]/ || t ~ /[$][{(]/) return 0
    if (t ~ /^(true|false|null|none|[0-9]+)$/) return 0
    return !(length(t) >= 24 && length(t) % 4 == 0 && t ~ /^[A-Za-z0-9+\/]+==?$/)
}
function tell(kind, name, size) {
    print FILENAME "\t" kind "\t" substr(name, 1, 80) "\t" size; told++
}
function named(n) { return tolower(n) ~ /@WORDS@/ && tolower(n) !~ /@ENDS@/ }
function shapes(t, p) {
    while (match(t, /(AKIA|ASIA|ghp_|gho_|ghs_|github_pat_|glpat-|xoxb-|npm_)[A-Za-z0-9_-]+/)) {
        if (RLENGTH > 18) tell("shape", substr(t, RSTART, 4), RLENGTH)
        t = substr(t, RSTART + RLENGTH)
    }
    if (p && index(t, "PRIVATE KEY-----")) tell("shape", "private key", length(t))
}
function script(t, n, v) {
    while (match(t, /@ASSIGNMENT@/)) {
        n = substr(t, RSTART, RLENGTH); t = substr(t, RSTART + RLENGTH)
        sub(/^[^A-Za-z0-9_.]/, "", n); v = n; sub(/=.*/, "", n); sub(/^[^=]*=/, "", v)
        gsub(/^(['"]|&quot;)|(['"]|&quot;)$/, "", v)
        if (named(n) && clear(v) && length(v) > 3) tell("script", n, length(v))
    }
}
BEGIN { RS = "<" }
FNR == 1 { label = before = "" }
told > 500 { exit }
/^[\/?!]/ || !/>/ { next }
{
    at = index($0, ">"); tag = substr($0, 1, at - 1); text = bare(substr($0, at + 1))
    sub(/[ \t\r\n\/].*/, "", tag)
    if (text == "") next
    if (tag == "name") label = text
    plain = clear(text)
    if (tag == "defaultValue") {
        if (plain && named(label)) tell("parameter", label, length(text))
    } else if (tag == "string") {
        if (plain && before ~ /^@NAME@$/ && named(before)) tell("variable", before, length(text))
        before = text
    } else if (tag ~ /^(command|commands|script|scriptText|propertiesContent)$/) script(text)
    else if (plain && named(tag)) tell("element", tag, length(text))
    shapes(text, tag !~ /^(description|publicKey)$/)
}
"""
_ENDS = (
    "(id|ids|variable|name|names|field|macro|type|length|path|file|regexp?|url|description|policy"
    "|parameter|parameters|expiration|enabled|required|store|provider|scope|header|prefix|suffix"
    "|binding|key_id|keyid|domain|username|user|kind|tokens?credential)$|^passed|bypass|compass"
)
_ASSIGNMENT = (
    "(^|[^A-Za-z0-9_.])[A-Za-z_][A-Za-z0-9_]*="
    r"""('[^'$\n]+'|"[^"$\n]+"|&quot;[^&$\n]+&quot;|[^ \t\r\n$;&|()`'"<]+)"""
)
_PROGRAM = _AWK.replace("@ASSIGNMENT@", _ASSIGNMENT)
for _mark, _text in (("WORDS", _KEYWORD), ("ENDS", _ENDS), ("NAME", _NAME)):
    _PROGRAM = _PROGRAM.replace(f"@{_mark}@", _text)


def leaks_want(folder: str) -> Want:
    """Return the want for the clear secrets of a Jenkins home."""
    program = _PROGRAM.replace("%", "%%").replace("'", "'\\''")
    return want(
        "h=%s; { find -H \"$h\" -maxdepth 1 -type f -name '*.xml' -size -" + f"{LARGEST} -print0;"
        ' for d in jobs nodes; do [ ! -d "$h/$d" ] ||'
        " find \"$h/$d\" -type d \\( -name builds -o -name workspace -o -name '*@*' \\) -prune"
        f" -o -type f -name config.xml -size -{LARGEST} -print0 || echo bad >&2; done; }}"
        f" | timeout {SECONDS} xargs -0 awk '{program}' /dev/null && echo '{END}'",
        folder, seconds=SECONDS + 10,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Leak:
    """:param kind: element, parameter, variable, script or shape."""

    file: str
    kind: str
    name: str
    length: int

    def __str__(self) -> str:
        return f"{self.file}: {self.kind} {self.name}"


_LINE = re.compile(r"(/[^\t]*)\t([a-z]+)\t([^\t]*)\t(\d+)")


def parse_leaks(answer: Answer) -> list[Leak]:
    """Return what was found. :raises Unknown: a part was not read, or the answer is damaged."""
    try:
        *lines, end = lines_of(answer) or [""]
    except CannotAnswer:
        raise Unknown("Jenkins' files could not be looked through to the end") from None
    if end != END:
        raise Unknown("Jenkins' files could not be looked through to the end; it may need root")
    found = []
    for line in lines:
        row = _LINE.fullmatch(line)
        if row is None:
            raise Unknown(f"what was told of Jenkins' files is damaged: {line[:60]!r}")
        found.append(Leak(row[1], row[2], row[3], int(row[4])))
    return found


def leaks(host: Host, folder: str) -> tuple[list[Leak], str]:
    """Return the clear secrets of a Jenkins home, and why not all could be read, or nothing."""
    answer = session_of(host).ask(leaks_want(folder))[0]
    return parse_leaks(answer), answer.complaint
