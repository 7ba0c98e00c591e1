"""Repairs of the distribution that are known to a host and not installed.

What the package manager last fetched is read, and the manager itself is not run: apt takes
seconds and writes a cache, dnf and zypper write logs even for a question. apt keeps its lists in
``/var/lib/apt/lists`` (Release files, deb822 indexes), dnf, yum and zypper keep ``updateinfo.xml``
of each repository, apk its index.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.distribution import OS_RELEASE
from hullcheck.facts.packages import Package, Packages
from hullcheck.facts.registry import get, provide
from hullcheck.facts.texts import lines_of
from hullcheck.facts.versions import COMPARE, compare_rpm, newest
from hullcheck.transport import Answer, session_of, want

__all__ = ["APK", "APT", "RPM", "Archive", "Pending", "Updates", "updates"]

APT = want(
    "cd /var/lib/apt/lists || exit 3; stat -c '@ %Y %n' . ../periodic/update-success-stamp"
    " ../periodic/update-stamp 2>/dev/null; for f in *Release; do [ -r $f ] || continue;"
    ' echo "# $f"; sed -n -e "/^\\(SHA256\\|MD5Sum\\|SHA1\\):/q" -e'
    ' "/^\\(Origin\\|Label\\|Suite\\|Codename\\|Valid-Until\\): /p" $f; done;'
    " { dpkg-query -W -f '${db:Status-Status} ${Package} ${Architecture}\\n'; echo '=='; "
    "for f in *Release; do sed -n -e '/^SHA256:/q' -e p $f | "
    "grep -qiE '^(Label|Suite|Codename): .*security' || continue; "
    "for p in ${f%%InRelease}*_Packages* ${f%%_Release}_*_Packages*; do [ -r $p ] || continue;"
    ' echo "@@ $p"; case $p in *_Packages) cat $p;; *) /usr/lib/apt/apt-helper cat-file $p;; esac'
    ' || echo "!! $p"; echo; done; done; }'
    " | awk '!h{if($0==\"==\"){h=1;print \"=\",NR-1}"
    "else if($1==\"installed\")have[$2\" \"$3]=1;next}"
    "/^(@@|!!) /{print;next}/^Package: /{p=$2}/^Version: /{v=$2}/^Architecture: /{a=$2}"
    '!NF{if((p" "a) in have)print p,v,a;p=""}\'',
    meaning=(0, 1, 3), seconds=60,
)  # fmt: skip
"""``@`` when lists were fetched, ``#`` each archive with its fields, ``@@`` a security archive's
index, then what it has of the installed packages; ``!!`` an index that cannot be read; ``=`` how
many packages are known."""

RPM = want(
    "rpm --version >/dev/null 2>&1 || exit 3; grep -sHE '^ *(\\[|enabled *=)'"
    " /etc/yum.repos.d/*.repo /etc/zypp/repos.d/*.repo;"
    " grep -sHE '^(name|stream|state|profiles) *=' /etc/dnf/modules.d/*.module;"
    " for d in /var/cache/dnf/*/repodata /var/cache/libdnf5/*/repodata"
    " /var/cache/zypp/raw/*/repodata /var/cache/yum/*/*/*/repomd.xml; do [ -e $d ] || continue;"
    " [ -d $d ] || d=${d%/*}; stat -c '@ %Y %n' $d/* $d/../cookie 2>/dev/null; done;"
    " { rpm -qa --qf '%{NAME}\\n'; echo '=='; for u in /var/cache/dnf/*/repodata/*updateinfo*"
    " /var/cache/libdnf5/*/repodata/*updateinfo* /var/cache/zypp/raw/*/repodata/*updateinfo*"
    " /var/cache/yum/*/*/*/*updateinfo*; do [ -e $u ] || continue; echo; echo \"@@ $u\"; {"
    " case $u in *.gz) gzip -dc $u;; *.xz) xz -dc $u;; *.zst) zstd -dc $u;; *.bz2) bzip2 -dc $u;;"
    " *.zck) unzck --stdout $u;; *) cat $u;; esac || printf '>!! %s>' $u; } | tr '\\n>' ' \\n';"
    " done; } | awk 'function at(n, s){if(!match($0,\" \" n \"=\\\"[^\\\"]*\\\"\"))return \"-\";"
    "s=substr($0,RSTART+length(n)+3,RLENGTH-length(n)-4);return s==\"\"?\"-\":s}"
    "!h{if($0==\"==\"){h=1;print \"=\",NR-1}else have[$1]=1;next}/^ *(@@|!!) /{print;next}"
    "/<update /{sec=at(\"type\")==\"security\";id=\"-\"}/<\\/collection/{m=\"-\"}"
    "i{id=$0;sub(/<.*/,\"\",id);i=0}/<id *$/{i=1}/<collection/{m=\"-\"}"
    "/<module /{m=at(\"name\")\":\"at(\"stream\")}"
    "sec&&/<package /{n=at(\"name\");if(n in have)print id,n,at(\"epoch\"),at(\"version\"),"
    "at(\"release\"),at(\"arch\"),m}'",
    meaning=(0, 1, 3), seconds=90,
)  # fmt: skip
"""Repositories and modules that are switched on, ``@`` when metadata was fetched, ``@@`` a list of
advisories, then each package that a security advisory repairs and that is installed."""

APK = want(
    "[ -e /lib/apk/db/installed ] || exit 3; stat -c '@ %Y %n' /var/cache/apk/APKINDEX.*"
    " /etc/apk/cache/APKINDEX.* 2>/dev/null; apk --no-network version -l '<'",
    meaning=(0, 1, 3), seconds=60,
)  # fmt: skip

_RELEASE = re.compile(r"(Origin|Label|Suite|Codename|Valid-Until): (.*)")
OFFICIAL = ("debian", "ubuntu")
"""Whose security archive has their own name as its origin; a derivative's may have another."""

_STAMP = re.compile(r"@ ([0-9]{1,12}) (.*)")
_APK = re.compile(r"(\S+?)-([0-9]\S*) +< +(\S+)(?: .*)?")
_REPOSITORY = re.compile(r"/var/cache/(?:dnf|libdnf5|zypp/raw)/([^/]+)/repodata/|/var/cache/yum/"
                         r"[^/]+/[^/]+/([^/]+)/")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pending:
    """A repair that is known and not installed.

    :param advisory: its name, where the distribution's lists give one.
    """

    package: Package
    available: str
    advisory: str = ""

    def __str__(self) -> str:
        about = f" ({self.advisory})" if self.advisory else ""
        return f"{self.package} < {self.available}{about}"


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive that apt fetches from: the fields of its Release file, and the server's name."""

    origin: str = ""
    label: str = ""
    suite: str = ""
    codename: str = ""
    valid_until: str = ""
    site: str = ""

    @property
    def security(self) -> bool:
        """Whether it brings security updates: Debian-Security, noble-security …"""
        return any("security" in each.lower() for each in (self.label, self.suite, self.codename))


@dataclass(frozen=True, slots=True)
class Updates:
    """What a host knows of repairs.

    :param fetched: when the oldest of its lists was last fetched, in seconds since the epoch.
    :param doubt: why the lists do not tell of every repair; empty if they do.
    :param expires: when those of the security archive are no longer to be believed; 0 is never.
    """

    pending: tuple[Pending, ...]
    fetched: float
    doubt: str = ""
    archives: tuple[Archive, ...] = field(default=(), repr=False)
    expires: float = 0


@provide
def updates(host: Host) -> Updates:
    """The repairs that are known and not installed.

    :raises NotApplicable: the system comes as one image. :raises Unknown: no lists, or damaged.
    """
    session = session_of(host)
    session.foresee(APT, RPM, APK, OS_RELEASE)
    installed: Packages = get(host, "packages")
    makers = {"dpkg": (APT, _apt), "rpm": (RPM, _rpm), "apk": (APK, _apk)}
    if installed.manager not in makers:
        raise Unknown(f"{installed.manager} does not tell which updates are repairs")
    asked, make = makers[installed.manager]
    answer = session.ask(asked)[0]
    if answer.exit == 3:
        raise Unknown(f"the lists of {installed.manager} are not there: {answer.complaint}")
    return make(host, answer, installed)


def _counted(lines: Iterable[str], installed: Packages) -> None:
    """See that the lists were looked through for what is installed. :raises Unknown: not so."""
    count = next((line[2:] for line in lines if re.fullmatch("= [0-9]{1,9}", line)), "0")
    if int(count) < len(installed.found):
        raise Unknown(f"{installed.manager} did not list what is installed for its updates")


def _stamps(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    for line in lines:
        found = _STAMP.fullmatch(line)
        if found:
            yield int(found[1]), found[2]


def _apt(host: Host, answer: Answer, installed: Packages) -> Updates:
    lines = lines_of(answer)
    _counted(lines, installed)
    archives = _archives(lines)
    if not archives:
        raise Unknown("apt has fetched no lists of packages")
    indexes = [line[3:] for line in lines if line.startswith("@@ ")]
    unread = [line[3:] for line in lines if line.startswith("!! ")]
    doubt = f"{unread[0]} cannot be read" if unread else ""
    name = get(host, "distribution").id
    repairs = [each for each in archives if each.security and each.origin.lower() == name]
    if name not in OFFICIAL:
        repairs = [each for each in archives if each.security]
    if not indexes or not repairs:
        doubt = "none of the archives that apt fetches from is one of security updates"
    offered: dict[tuple[str, str], list[str]] = {}
    for line in lines[lines.index(f"@@ {indexes[0]}") :] if indexes else []:
        fields = line.split(" ")
        if line.startswith(("@@ ", "!! ")):
            continue
        if len(fields) != 3:
            raise Unknown(f"apt's lists: cannot understand {line[:80]!r}")
        offered.setdefault((fields[0], fields[2]), []).append(fields[1])
    fetched = max((stamp for stamp, _ in _stamps(lines)), default=0)
    expires = max((_moment(each.valid_until) for each in repairs), default=0)
    return Updates(tuple(_older(installed, offered)), fetched, doubt, archives, expires)


def _moment(text: str) -> float:
    """Return a moment of a Release file in seconds since the epoch; 0 if it has none."""
    try:
        return parsedate_to_datetime(text).timestamp() if text else 0
    except (ValueError, OverflowError):
        raise Unknown(f"an archive is valid until {text[:40]!r}") from None


def _archives(lines: Iterable[str]) -> tuple[Archive, ...]:
    found: list[dict[str, str]] = []
    for line in lines:
        field_ = _RELEASE.fullmatch(line)
        if line.startswith("# "):
            found.append({"site": line[2:].partition("_")[0]})
        elif field_ and found:
            found[-1].setdefault(field_[1].lower().replace("-", "_"), field_[2].strip())
    return tuple(Archive(**each) for each in found)


def _older(installed: Packages, offered: dict[tuple[str, str], list[str]]) -> Iterator[Pending]:
    for each in installed.every:
        versions = offered.get((each.name, each.architecture))
        if versions:
            best = newest(versions, installed.manager)
            if COMPARE[installed.manager](best, each.version) > 0:
                yield Pending(each, best)


def _rpm(host: Host, answer: Answer, installed: Packages) -> Updates:
    lines = lines_of(answer)
    _counted(lines, installed)
    enabled = _repositories(lines)
    fetched: dict[str, int] = {}
    for stamp, path in _stamps(lines):
        name = _repository(path, enabled)
        fetched[name] = max(stamp, fetched.get(name, 0))
    modules = _modules(lines)
    found: dict[str, Pending] = {}
    known, doubt, name = set(), "", ""
    for line in lines:
        stripped = line.strip()
        if stripped.startswith("@@ "):
            name = _repository(stripped[3:], enabled)
            known.add(name)
        elif stripped.startswith("!! ") and name:
            doubt = f"{stripped[3:]} cannot be read"
        elif name and (pending := _advised(line, installed, modules)):
            old = found.get(pending.package.name)
            if old is None or compare_rpm(pending.available, old.available) > 0:
                found[pending.package.name] = pending
    known.discard("")
    if not known:
        doubt = "no repository that is in use has told which updates are repairs"
    oldest = min((fetched.get(each, 0) for each in known), default=0)
    return Updates(tuple(found[each] for each in sorted(found)), oldest, doubt)


def _repositories(lines: Iterable[str]) -> frozenset[str]:
    """Return the repositories that are switched on, by the files that describe them."""
    found: dict[str, bool] = {}
    section = ""
    for line in lines:
        path, _, text = line.partition(":")
        if not path.endswith(".repo"):
            continue
        if text.strip().startswith("["):
            section = text.strip().strip("[]")
            found[section] = True
        elif section:
            value = text.partition("=")[2].strip().lower()
            found[section] = value in ("1", "yes", "true", "on")
    return frozenset(name for name, on in found.items() if on)


def _repository(path: str, enabled: frozenset[str]) -> str:
    """Return the repository in use whose cache a file is of: dnf adds 16 digits to the name."""
    found = _REPOSITORY.match(path)
    name = (found[1] or found[2]) if found else ""
    plain = re.sub("-[0-9a-f]{16}$", "", name)
    return next((each for each in (name, plain) if each in enabled), "")


def _modules(lines: Iterable[str]) -> frozenset[str]:
    """Return the streams of modules that are in use, ``name:stream``."""
    values: dict[str, dict[str, str]] = {}
    for line in lines:
        path, _, text = line.partition(":")
        if path.endswith(".module"):
            name, _, value = text.partition("=")
            values.setdefault(path, {})[name.strip()] = value.strip()
    return frozenset(
        f"{each.get('name')}:{each.get('stream')}"
        for each in values.values()
        if each.get("state") == "enabled"
    )


def _advised(line: str, installed: Packages, modules: frozenset[str]) -> Pending | None:
    fields: Sequence[str] = line.split(" ")
    if len(fields) != 7:
        raise Unknown(f"an advisory's line makes no sense: {line[:80]!r}")
    advisory, name, epoch, version, release, architecture, module = fields
    mine = [each for each in installed.every
            if each.name == name and architecture in (each.architecture, "noarch")]  # fmt: skip
    if not mine:
        return None
    best = max(mine, key=lambda each: [each.version == newest([e.version for e in mine], "rpm")])
    modular = ".module" in best.version
    if modular != (module != "-") or (modular and module not in modules):
        return None
    offered = f"{'0' if epoch == '-' else epoch}:{version}-{release}"
    return Pending(best, offered, advisory) if compare_rpm(offered, best.version) > 0 else None


def _apk(host: Host, answer: Answer, installed: Packages) -> Updates:
    lines = lines_of(answer)
    stamps = [stamp for stamp, _ in _stamps(lines)]
    found = []
    for line in lines:
        row = _APK.fullmatch(line)
        if row:
            package = installed.get(row[1]) or Package(row[1], row[2])
            found.append(Pending(package, row[3]))
        elif line and not line.startswith(("@ ", "Installed:", "WARNING:")):
            raise Unknown(f"apk version: cannot understand {line[:80]!r}")
    complaint = answer.complaint if answer.exit or "WARNING" in answer.complaint else ""
    doubt = complaint or ("" if stamps else "apk has fetched no index of packages")
    return Updates(tuple(found), min(stamps, default=0), doubt)
