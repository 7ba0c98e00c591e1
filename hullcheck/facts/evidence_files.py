"""What scanners, builders and their like left on the host as JSON, from one bounded sweep.

Such documents grow to tens of megabytes, most of it prose. The host takes them apart and leaves
the prose out: an awk program reads them string by string (a quotation mark ends a record), keeps
the structure, and puts a number in the place of each value whose key is of no use here. What
arrives is parsed here, whole. What is in base64 (DSSE) is unpacked on the host, so that secrets
in it are seen and cut like any other.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from testinfra.host import Host

from hullcheck.transport import CannotAnswer, Want, session_of, want

__all__ = ["LEFT_OUT", "PLACES", "Evidence", "EvidenceFile", "evidence", "evidence_want", "parsed"]

PLACES = (
    "/var/lib/trivy", "/var/log/trivy", "/var/lib/grype", "/var/log/grype", "/var/lib/syft",
    "/var/lib/sbom", "/var/lib/scans", "/var/lib/hullcheck", "/var/reports", "/srv/reports",
    "/srv/scans",
)  # fmt: skip
"""Looked at beside the folders that the site names: no scanner has a place of its own for them."""

NAMES = ("*.json", "*.jsonl", "*.intoto", "*.att", "*.sigstore")
DEPTH = 6
MOST = 200
"""Files that are read, the newest first."""
LARGEST = 64_000_000
TOGETHER = 128_000_000
KEPT = 6_000_000
BYTES = 7_500_000
SECONDS = 45

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


_LOOP = (
    r"""IFS='
'; set -f
for h in $({ getent passwd || cat /etc/passwd; } 2>/dev/null | cut -d: -f6 | sort -u); do
m=$h/.cache/trivy/db/metadata.json; [ ! -f "$m" ] || set -- "$@" "$m"; done
f=$(find -H "$@" -maxdepth DEPTH -type f \( NAMES \) ! -name '*
*' -exec stat -c '%Y %s %u %n' {} + | sort -rn | awk '{
    size = substr($0, index($0, " ") + 1) + 0
    if (n < MOST && size <= LARGEST && sum + size <= TOGETHER) { n++; sum += size; print }
    else left++
} END { print "= left " left + 0 }')
printf '%s\n' "$f"; set --
for l in $f; do case $l in =*) continue;; esac
p=/${l#*/}; if [ -r "$p" ]; then set -- "$@" "$p"; else echo "= denied $p"; fi; done
[ $# = 0 ] || awk -v most=KEPT -v LEFT="$L" -v COUNT="$C" "$P" "$@" || exit
echo '= end'"""
    .replace("NAMES", " -o ".join(f"-name '{each}'" for each in NAMES))
    .replace("DEPTH", str(DEPTH)).replace("MOST", str(MOST)).replace("KEPT", str(KEPT))
    .replace("LARGEST", str(LARGEST)).replace("TOGETHER", str(TOGETHER))
)  # fmt: skip


def evidence_want(folders: Iterable[str] = ()) -> Want:
    """Return the want for the documents below some folders, the known places, and the state of
    the databases of scanners in homes."""
    roots = [each.rstrip("/") or "/" for each in dict.fromkeys((*folders, *PLACES))]
    words = " ".join(shlex.quote(each) for each in roots if each.startswith("/"))
    set_ = f"L={shlex.quote(LEFT_OUT)}; C={shlex.quote(COUNTED)}; P={shlex.quote(_AWK)}"
    return want(
        f"set -- {words}; {set_}; export L C P;"
        f" timeout {SECONDS} sh -c {shlex.quote(_LOOP)} sh \"$@\" | head -c {BYTES}",
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
        return _evidence(answer.text.split("\n"), stderr)

    return session_of(host).recall(("evidence", asked), read)


_LISTED = re.compile(r"(\d+) (\d+) (\d+) (/.*)")
_SAID = re.compile(r"= (left|denied|read|none|cut|payload|more|end)(?: (.*))?")


def _evidence(lines: Sequence[str], stderr: str) -> Evidence:
    listed: dict[str, tuple[int, int, int]] = {}
    texts: dict[str, list[str]] = {}
    unread = [*_complaints(stderr)]
    path, said, hidden = "", set(), set()
    for line in lines:
        row, told = _LISTED.fullmatch(line), _SAID.fullmatch(line)
        if row:
            listed[row[4]] = int(row[1]), int(row[3]), int(row[2])
        elif line.startswith(" ") and path:
            texts[path].append(line)
        elif told:
            said.add(told[1])
            path = told[2] if told[1] in ("read", "payload") else path
            texts.setdefault(path, [])
            if told[1] in ("denied", "more", "cut"):
                hidden.add(told[2] or path)
            if told[1] == "left" and told[2] != "0":
                unread.append(f"{told[2]} further files are too many or too large to look at")
        elif line:
            raise CannotAnswer("what came of the documents on the host is damaged")
    if "left" not in said:
        raise CannotAnswer("the documents on the host were not listed to the end")
    if "end" not in said:
        unread.append(f"looking at documents took more than {SECONDS} s or {BYTES} bytes")
    hidden |= {path for path, (_, _, size) in listed.items() if size and path not in texts}
    unread += [f"{each} cannot be read as a whole; it may need root" for each in sorted(hidden)]
    files = [
        _file(each, *listed[each][:2], texts[each])
        for each in listed
        if each in texts and each not in hidden
    ]
    if "end" not in said and files and files[-1].broken:
        files.pop()
    return Evidence(tuple(files), tuple(unread))


def _file(path: str, written: int, uid: int, lines: Iterable[str]) -> EvidenceFile:
    try:
        found = [parsed(line) for line in lines if line.strip()]
    except ValueError as error:
        return EvidenceFile(path, written, uid, broken=str(error)[:100])
    return EvidenceFile(path, written, uid, tuple(found))


def _complaints(stderr: str) -> Iterable[str]:
    for line in stderr.splitlines():
        if line.strip() and "No such file or directory" not in line:
            root = "; it needs root" if "ermission denied" in line else ""
            yield f"{line.strip()[:200]}{root}"


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
