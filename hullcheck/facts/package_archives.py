"""The archives that a system's package manager installs from, and whether it verifies what comes.

apt verifies the signed list of an archive, whatever brings it (apt-secure(8)): plain HTTP is no
fault. dnf(8) and yum verify each package (``gpgcheck``; a repository's own word counts more than
that of ``[main]``), zypper(8) the list or each package, pacman(8) each package (``SigLevel``),
apk(8) always, unless it is told not to.
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.automatic import APT_CONFIG, AptSettings, parse_apt_config
from hullcheck.facts.package_files import SWEEP, PackageFile, PackageFiles
from hullcheck.facts.registry import get, provide
from hullcheck.facts.texts import lines_of
from hullcheck.transport import session_of

__all__ = ["Archives", "Unverified", "package_archives"]

MANAGERS = ("apt", "rpm", "zypp", "pacman", "apk")
LOCAL = ("file:", "copy:", "cdrom:", "dir:", "cd:", "dvd:", "hd:", "iso:", "/")
TRUE = frozenset({"1", "yes", "true", "on", "enabled", "enable", "with"})
FALSE = frozenset({"0", "no", "false", "off", "disabled", "disable", "without", "never"})

APT_SWITCHES = (
    "apt::get::allowunauthenticated", "acquire::allowinsecurerepositories",
    "acquire::allowweakrepositories", "acquire::allowdowngradetoinsecurerepositories",
)  # fmt: skip
APT_PLACES = {
    "dir": ("/",), "dir::etc": ("etc/apt", "etc/apt/", "/etc/apt", "/etc/apt/"),
    "dir::etc::sourcelist": ("sources.list", "/etc/apt/sources.list"),
    "dir::etc::sourceparts": ("sources.list.d", "/etc/apt/sources.list.d"),
}  # fmt: skip
"""Where apt looks for its sources, as it comes."""

REPOSITORIES = frozenset({
    "/etc/yum.repos.d", "/etc/yum/repos.d", "/etc/distro.repos.d", "/usr/share/dnf5/repos.d",
    "/etc/zypp/repos.d",
})  # fmt: skip
_PEER = re.compile(r"acquire::https?::(?:.*::)?verify-(?:peer|host)")
_ONE_LINE = re.compile(r"(deb(?:-src)?)\s+(?:\[([^\]]*)\]\s*)?(\S+)")


@dataclass(frozen=True, slots=True)
class Unverified:
    """Something that lets packages in without a proof of where they are from.

    :param local: whether they come from this host's own disks.
    """

    path: str
    what: str
    local: bool = False

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"


@dataclass(frozen=True, slots=True)
class Archives:
    """:param doubts: why more may be unverified than is known."""

    managers: tuple[str, ...]
    unverified: tuple[Unverified, ...]
    doubts: tuple[str, ...]


def _local(urls: Iterable[str]) -> bool:
    found = list(urls)
    return bool(found) and all(each.lower().startswith(LOCAL) for each in found)


def apt_switches(settings: AptSettings) -> Iterator[Unverified]:
    """Yield what apt's merged configuration turns off."""
    for name, values in settings.items():
        said = values[-1].strip().lower() if values else ""
        if name in APT_SWITCHES and said in TRUE:
            yield Unverified("apt-config", f'{name} "{said}"')
        if _PEER.fullmatch(name) and said in FALSE:
            yield Unverified("apt-config", f'{name} "{said}"')


def apt_elsewhere(settings: AptSettings) -> Iterator[str]:
    """Yield why apt's sources may lie where nobody has looked."""
    for name, usual in APT_PLACES.items():
        values = settings.get(name)
        if values and values[-1] not in usual:
            yield f"apt looks for its sources elsewhere: {name} is {values[-1]!r}"


def _elsewhere(main: Mapping[str, str]) -> Iterator[str]:
    folders = re.split(r"[\s,]+", main.get("reposdir", "").strip())
    if odd := [each for each in folders if each and each.rstrip("/") not in REPOSITORIES]:
        yield f"repositories are looked for in {', '.join(odd)}"


def apt_sources(file: PackageFile) -> Iterator[Unverified]:
    """Yield the sources of a file, in either format, that are trusted unsigned."""
    if file.path.endswith(".sources"):
        yield from _deb822(file)
        return
    for line in file.text.splitlines():
        row = _ONE_LINE.match(line.strip())
        for option in (row[2] or "").split() if row else ():
            name, _, value = option.partition("=")
            if row and _trusting(name.rstrip("+-"), value):
                yield Unverified(file.path, f"{row[3]} [{option}]", _local([row[3]]))


def _trusting(name: str, value: str) -> bool:
    names = ("trusted", "allow-insecure", "allow-weak", "allow-downgrade-to-insecure")
    return name.lower() in names and value.strip().lower() in TRUE


def _deb822(file: PackageFile) -> Iterator[Unverified]:
    for stanza in re.split(r"\n[ \t]*\n", file.text):
        fields: dict[str, str] = {}
        name = ""
        for line in stanza.splitlines():
            key, colon, value = line.partition(":")
            if line[:1] in (" ", "\t"):
                fields[name] = f"{fields.get(name, '')} {line.strip()}"
            elif colon:
                name = key.strip().lower()
                fields[name] = value.strip()
        if fields.get("enabled", "yes").lower() in FALSE:
            continue
        uris = fields.get("uris", "").split()
        for key, value in fields.items():
            if _trusting(key, value):
                shown = " ".join(uris)
                yield Unverified(file.path, f"{shown} ({key}: {value})", _local(uris))


def parse_ini(file: PackageFile) -> dict[str, dict[str, str]]:
    """Return the sections of a file; keys in small letters, later ones counting more.

    :raises Unknown: it is none.
    """
    reader = configparser.RawConfigParser(
        strict=False, interpolation=None, allow_no_value=True, default_section="",
        delimiters=("=",), comment_prefixes=("#", ";"), empty_lines_in_values=False,
    )  # fmt: skip
    try:
        reader.read_string(file.text)
    except configparser.Error as error:
        raise Unknown(f"{file.path} cannot be understood: {str(error)[:80]!r}") from None
    return {
        name: {key: value or "" for key, value in reader.items(name)} for name in reader.sections()
    }


def _said(value: str | None) -> bool | None:
    """Return a truth value as dnf and zypper read it; None if it is none."""
    # What follows on further lines is of another key, whose own line was left out.
    lowered = next(iter((value or "").lower().split()), "")
    return True if lowered in TRUE else False if lowered in FALSE else None


Sections = Mapping[str, Mapping[str, str]]


def _repositories(files: Iterable[PackageFile]) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Return what is set for all, and each repository with its settings and the ``path``."""
    main: dict[str, str] = {}
    found: dict[str, dict[str, str]] = {}
    overrides: list[tuple[str, dict[str, str]]] = []
    for file in files:
        for name, values in parse_ini(file).items():
            if name == "main":
                main.update(values)
            elif "/repos.override.d/" in file.path:
                overrides.append((name, values))
            elif file.path.endswith(".repo"):
                found[name] = {**values, "path": file.path}
    for pattern, values in overrides:
        for name, known in found.items():
            if fnmatchcase(name, pattern):
                known.update(values)
    return main, found


def rpm_repositories(files: Iterable[PackageFile]) -> Iterator[Unverified | str]:
    """Yield the repositories whose packages dnf or yum takes unsigned; a text is a doubt."""
    main, found = _repositories(files)
    yield from _elsewhere(main)
    for name, values in found.items():
        if _said(values.get("enabled", "1")) is False:
            continue
        urls = values.get("baseurl", "").split()
        own, general = _said(values.get("gpgcheck")), _said(main.get("gpgcheck"))
        own = _said(values.get("pkg_gpgcheck")) if own is None else own
        general = _said(main.get("pkg_gpgcheck")) if general is None else general
        checked = general if own is None else own
        # A signed list names the digest of every package.
        listed = _said(values.get("repo_gpgcheck", main.get("repo_gpgcheck")))
        if checked is False and not listed:
            yield Unverified(values["path"], f"[{name}] gpgcheck is off", _local(urls))
        elif checked is None and not listed:
            yield (f"neither {values['path']} nor [main] sets gpgcheck for [{name}], and releases "
                   "of dnf differ")  # fmt: skip
        if _said(values.get("sslverify", main.get("sslverify"))) is False:
            yield Unverified(values["path"], f"[{name}] sslverify is off")


def zypp_repositories(files: Iterable[PackageFile]) -> Iterator[Unverified | str]:
    """Yield the repositories whose packages zypper takes unsigned; a text is a doubt."""
    main, found = _repositories(files)
    yield from _elsewhere(main)
    for name, values in found.items():
        if _said(values.get("enabled", "1")) is False:
            continue
        told = {key: _said(values.get(key, main.get(key)))
                for key in ("gpgcheck", "repo_gpgcheck", "pkg_gpgcheck")}  # fmt: skip
        general = told["gpgcheck"] is not False
        listed = general if told["repo_gpgcheck"] is None else told["repo_gpgcheck"]
        if not (listed or told["pkg_gpgcheck"] or (general and told["pkg_gpgcheck"] is None)):
            urls = values.get("baseurl", "").split()
            yield Unverified(values["path"], f"[{name}] gpgcheck is off", _local(urls))
        if any("ssl_verify=no" in each for each in values.get("baseurl", "").split()):
            yield Unverified(values["path"], f"[{name}] ssl_verify=no")


def pacman_repositories(file: PackageFile) -> Iterator[Unverified]:
    """Yield the repositories, or ``options`` for all, whose packages pacman takes unsigned."""
    section, levels, servers = "", {"": list[str]()}, dict[str, list[str]]()
    for line in file.text.splitlines():
        stripped = line.strip()
        if stripped.startswith("[") and stripped.endswith("]"):
            section = stripped[1:-1]
        key, _, value = (each.strip() for each in stripped.partition("="))
        if key == "SigLevel":
            levels.setdefault(section, []).extend(value.split())
        elif key == "Server":
            servers.setdefault(section, []).append(value)
    for name, words in levels.items():
        state = {"when": "", "who": ""}
        for word in words:
            bare = word.removeprefix("Package")
            if bare in ("Never", "Optional", "Required"):
                state["when"] = bare
            elif bare in ("TrustAll", "TrustedOnly"):
                state["who"] = bare
        bad = [each for each in state.values() if each in ("Never", "Optional", "TrustAll")]
        if bad:
            local = _local(servers.get(name, ()))
            yield Unverified(file.path, f"[{name}] SigLevel {' '.join(bad)}", local)


def apk_switches(file: PackageFile) -> Iterator[Unverified]:
    """Yield what the options that apk always takes turn off."""
    if file.path.endswith("/config"):
        for line in file.text.splitlines():
            word = line.strip().removeprefix("--").split("=")
            if word[0] in ("allow-untrusted", "no-check-certificate") and word[-1] != "no":
                yield Unverified(file.path, word[0])


@provide
def package_archives(host: Host) -> Archives:
    """What the system's package managers take without verifying it.

    :raises NotApplicable: there is none that is known.
    """
    session_of(host).foresee(SWEEP, APT_CONFIG)
    files: PackageFiles = get(host, "package_files")
    config = session_of(host).ask(APT_CONFIG)[0]
    by_kind = {kind: list(files.of(kind)) for kind in MANAGERS}
    managers = [kind for kind, listed in by_kind.items() if listed]
    doubts: list[str] = []
    found: list[Unverified] = []
    try:
        files.need(*MANAGERS)
    except Unknown as reason:
        doubts.append(str(reason))
    for each in _each(by_kind, doubts):
        if isinstance(each, str):
            doubts.append(each)
        else:
            found.append(each)
    if config.exit == 0:
        managers = sorted({*managers, "apt"})
        settings = parse_apt_config(lines_of(config))
        found += apt_switches(settings)
        doubts += apt_elsewhere(settings)
    elif by_kind["apt"]:
        doubts.append("apt-config does not tell what apt is set to")
    if not managers and not doubts:
        raise NotApplicable("no package manager of those that are known is set up here")
    return Archives(tuple(managers), tuple(found), tuple(doubts))


def _each(
    by_kind: Mapping[str, list[PackageFile]], doubts: list[str]
) -> Iterator[Unverified | str]:
    for file in by_kind["apt"]:
        yield from apt_sources(file)
    for kind, read in (("rpm", rpm_repositories), ("zypp", zypp_repositories)):
        try:
            yield from read(by_kind[kind])
        except Unknown as reason:
            doubts.append(str(reason))
    for file in by_kind["pacman"]:
        yield from pacman_repositories(file)
    for file in by_kind["apk"]:
        yield from apk_switches(file)
