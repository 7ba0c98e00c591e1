"""JSON documents of any size, taken apart on the host.

Reports of scanners grow to tens of megabytes, most of it prose. An awk program reads them string
by string (a quotation mark ends a record), keeps the structure, and puts a number in the place of
each value whose key is of no use here. What arrives is parsed here, whole. What is in base64
(DSSE) is unpacked on the host, so that secrets in it are seen and cut like any other.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from typing import Any

from hullcheck.transport import CannotAnswer

__all__ = ["LEFT_OUT", "Told", "parsed", "program", "told"]

LEFT_OUT = (
    "Description Title References CVSS CweIDs DataSource Layer Layers PrimaryURL VendorSeverity"
    " VendorIDs PkgIdentifier PkgID PkgPath SeveritySource ImageConfig DiffIDs Secrets"
    " Misconfigurations Licenses MisconfSummary CustomResources Fingerprint"
    " dataSource urls cvss epss cwes advisories description relatedVulnerabilities matchDetails"
    " locations licenses cpes cpe upstreams knownExploited layers manifest config labels"
    " artifactRelationships schema files relationships dependencies hasExtractedLicensingInfos"
    " copyrightText licenseComments licenseConcluded licenseDeclared downloadLocation supplier"
    " originator sourceInfo homepage hasFiles services rules results details links message"
    " materials resolvedDependencies internalParameters externalParameters parameters environment"
    " buildConfig byproducts verificationMaterial signatures signature Bundle Cert Chain"
)
"""Keys whose values do not arrive: prose, links, licences, and what builds were given."""

COUNTED = "Packages components artifacts"
"""Values of which only the number of the strings in them arrives."""

_AWK = r"""
function out(s) {
    if (mute) return
    if (buf) { B = B s; return }
    printf "%s", s
    told += length(s)
    if (told > most) { printf "\n= cut\n"; mute = 1 }
}
BEGIN {
    RS = "\""
    n = split(LEFT, a, " "); for (i = 1; i <= n; i++) D[a[i]] = 1
    n = split(COUNT, a, " "); for (i = 1; i <= n; i++) D[a[i]] = 2
}
FNR == 1 {
    if (NR > 1) printf "\n"
    instr = have = skip = buf = d = more = told = mute = 0
    key = s = B = ""
    if (!nested) printf "= read %s\n", FILENAME
    sub(/^\357\273\277/, "")
    if ($0 !~ /^[ \t\r\n]*[[{]/) { mute = 1; printf "= none\n" } else printf " "
}
mute { next }
instr {
    if (!more) s = $0
    else if (length(s) < 20000) s = s "\"" $0
    more = match($0, /\\+$/) && RLENGTH % 2
    if (!more) { instr = 0; have = 1 }
    next
}
{
    t = $0
    gsub(/[ \t\r\n]+/, " ", t)
    instr = 1
    if (have) {
        have = 0
        if (skip) count++
        else {
            if (index(s, "\n")) gsub(/\n/, "\001", s)
            if (t ~ /^ ?:/) {
                key = s
                if (key in D || (key == "metadata" && d > 3)) {
                    out(D[key] == 2 ? "\"" s "\":" : "\"-\":")
                    skip = 1; base = d; count = 0
                    sub(/^ ?:/, "", t)
                }
            }
            else if (key == "payload") { pay[++np] = s; src[np] = FILENAME; s = "" }
            else if (s ~ /^(CONTAINER|container|SpdxDocument|CreationInfo)$/) keep = 1
            else if (s ~ /^(pkg:(oci|docker)\/|SPDXRef-DocumentRoot)/) keep = 1
            if (!skip) out("\"" s "\"")
        }
    }
    if (skip && d > base && t !~ /[]{}[]/) next
    if (!skip && t ~ /^ ?[:,] ?$/) { out(t ~ /:/ ? ":" : ","); next }
    n = length(t)
    for (i = 1; i <= n; i++) {
        c = substr(t, i, 1)
        if (skip) {
            if (d == base && (c == "," || c == "}" || c == "]")) { skip = 0; out(count) }
            else {
                if (c == "{" || c == "[") d++
                else if (c == "}" || c == "]") d--
                continue
            }
        }
        if (c == "{" || c == "[") {
            kind[++d] = c; of[d] = key; key = ""
            if (d > 60) { printf "\n= cut\n"; mute = 1; next }
            if (!buf && c == "{" && kind[d - 1] == "[" && of[d - 1] ~ /^(packages|@graph)$/) {
                buf = d; B = ""; keep = 0
            }
            out(c)
        } else if (c == "}" || c == "]") {
            out(c)
            if (buf && d == buf) { buf = 0; out(keep ? B : "0") }
            if (--d < 1) { d = 0; out("\n ") }
        } else out(c)
    }
}
END {
    printf "\n"
    if (nested) exit
    for (i = 1; i <= np && i <= 50; i++) {
        printf "= payload %s\n", src[i]; system("")
        cmd = "base64 -d | awk -v nested=1 -v most=" most " -v LEFT=\"$L\" -v COUNT=\"$C\" \"$P\""
        print pay[i] | cmd; close(cmd)
    }
    for (i = 51; i <= np; i++) printf "= more %s\n", src[i]
}
"""


def program(most: int, left_out: str = LEFT_OUT) -> tuple[str, str]:
    """Return shell code that prepares to take documents apart, and code that does so with those
    that are the arguments, if there are any; it exits where that fails.

    :param most: how many bytes of one may arrive.
    """
    words = (shlex.quote(each) for each in (left_out, COUNTED, _AWK))
    before = "L={}; C={}; P={}; export L C P;".format(*words)
    run = f'awk -v most={most} -v LEFT="$L" -v COUNT="$C" "$P" "$@"'
    return before, f"[ $# = 0 ] || {run} || exit; echo '= end'"


@dataclass
class Told:
    """What the program told.

    :param texts: of each file that it read, the documents as text.
    :param hidden: files that it could not read whole.
    :param others: the lines that are none of its own.
    """

    texts: dict[str, list[str]] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    others: list[str] = field(default_factory=list)
    ended: bool = False

    def documents(self, path: str) -> list[Any]:
        """Return what is in a file. :raises ValueError: it is no JSON."""
        return [parsed(text) for text in self.texts[path] if text.strip()]


_SAID = re.compile(r"= (denied|read|none|cut|payload|more|end)(?: (.*))?")


def told(text: str) -> Told:
    """Return what the program told. :raises CannotAnswer: it is damaged."""
    found, path = Told(), ""
    for line in text.split("\n"):
        said = _SAID.fullmatch(line)
        if line.startswith(" ") and path:
            found.texts[path].append(line)
        elif said is None:
            found.others += [line] if line else []
        elif said[1] in ("read", "payload"):
            path = said[2] or ""
            found.texts.setdefault(path, [])
        elif said[1] in ("denied", "more", "cut"):
            found.hidden.add(said[2] or path)
        elif said[1] == "end":
            found.ended = True
    if "" in found.texts:
        raise CannotAnswer("what came of the documents on the host is damaged")
    return found


def parsed(text: str) -> Any:
    """Return a JSON document. :raises ValueError: it is none, is too deep, or has a key twice."""
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_refused)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found and key != "-":
            raise ValueError(f"it has the key {key[:40]!r} twice")
        found[key] = value
    return found


def _refused(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
