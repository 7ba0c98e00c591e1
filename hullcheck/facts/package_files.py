"""Where package managers, download tools and builders are told what to verify: one sweep over the
files that are known, of the system and of every home.

Only lines that may decide are brought: in such files stand tokens too. The paths are those of the
tools' own documentation: sources.list(5), dnf.conf(5), zypper(8), pacman.conf(5), pip, npm, Yarn,
Go (``go help environment``), Cargo, Maven, Composer, Bundler, RubyGems, conda, Helm, curl(1),
wget(1), BuildKit, buildx, containers-registries.d(5) and notation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.registry import provide
from hullcheck.facts.texts import END, lines_of
from hullcheck.transport import CannotAnswer, session_of, want

__all__ = ["NAMES", "SWEEP", "PackageFile", "PackageFiles", "kind_of", "package_files", "program"]

NAMES = (
    "GIT_SSL_NO_VERIFY", "NODE_TLS_REJECT_UNAUTHORIZED", "NPM_CONFIG_STRICT_SSL",
    "NPM_CONFIG_REGISTRY", "YARN_ENABLE_STRICT_SSL", "PYTHONHTTPSVERIFY", "PIP_TRUSTED_HOST",
    "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INSECURE_HOST", "UV_EXTRA_INDEX_URL",
    "UV_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_STRATEGY", "GOSUMDB", "GOINSECURE", "GOFLAGS",
    "GOPROXY", "GONOSUMDB", "GOPRIVATE", "BUNDLE_SSL_VERIFY_MODE", "CONDA_SSL_VERIFY",
    "DOCKER_CONTENT_TRUST", "DOCKER_CONTENT_TRUST_SERVER",
)  # fmt: skip
"""Variables of the environment that decide it."""

SYSTEM: Mapping[str, str] = {
    "apt": "/etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources",
    "rpm": "/usr/share/dnf5/libdnf.conf.d/*.conf /etc/dnf/libdnf5.conf.d/*.conf /etc/yum/yum.conf"
    " /etc/yum.conf /etc/dnf/dnf.conf /etc/tdnf/tdnf.conf /usr/share/dnf5/repos.d/*.repo"
    " /etc/yum/repos.d/*.repo /etc/distro.repos.d/*.repo /etc/yum.repos.d/*.repo"
    " /usr/share/dnf5/repos.override.d/*.repo /etc/dnf/repos.override.d/*.repo",
    "zypp": "/usr/etc/zypp/zypp.conf /etc/zypp/zypp.conf /usr/etc/zypp/zypp.conf.d/*.conf"
    " /etc/zypp/zypp.conf.d/*.conf /etc/zypp/repos.d/*.repo",
    "pacman": "/etc/pacman.conf /etc/pacman.d/*.conf",
    "apk": "/etc/apk/repositories /lib/apk/config /etc/apk/config",
    "pip": "/etc/pip.conf /etc/xdg/pip/pip.conf",
    "uv": "/etc/uv/uv.toml",
    "npm": "/etc/npmrc /usr/etc/npmrc /usr/local/etc/npmrc /etc/yarnrc",
    "go": "/usr/lib/go*/go.env /usr/local/go/go.env",
    "cargo": "/usr/local/cargo/config.toml",
    "maven": "/etc/maven/settings.xml /usr/share/maven/conf/settings.xml"
    " /opt/maven/conf/settings.xml",
    "gem": "/etc/gemrc",
    "conda": "/etc/conda/.condarc /etc/conda/condarc /opt/conda/.condarc /opt/miniconda3/.condarc"
    " /var/lib/conda/.condarc",
    "wget": "/etc/wgetrc /usr/local/etc/wgetrc",
    "buildkitd": "/etc/buildkit/buildkitd.toml",
    "lookaside": "/etc/containers/registries.d/*.yaml",
    "env": "/etc/environment /etc/environment.d/*.conf /etc/profile /etc/profile.d/*.sh"
    " /etc/bash.bashrc /etc/bashrc /etc/zshenv /etc/zsh/zshenv /etc/default/* /etc/sysconfig/*"
    " /etc/systemd/system.conf /etc/systemd/system.conf.d/*.conf /etc/systemd/system/*.service"
    " /etc/systemd/system/*.d/*.conf /etc/gitlab-runner/config.toml",
}  # fmt: skip
"""Patterns of paths, by what reads them; of one kind, in the order in which they count."""

OF_HOMES: Mapping[str, str] = {
    "pip": ".pip/pip.conf .config/pip/pip.conf",
    "uv": ".config/uv/uv.toml",
    "npm": ".npmrc .yarnrc .config/pnpm/rc",
    "yarn": ".yarnrc.yml",
    "go": ".config/go/env",
    "cargo": ".cargo/config.toml .cargo/config",
    "maven": ".m2/settings.xml",
    "composer": ".config/composer/config.json .composer/config.json",
    "bundle": ".bundle/config",
    "gem": ".gemrc .config/gem/gemrc",
    "conda": ".condarc .conda/.condarc .conda/condarc .config/conda/.condarc .mambarc",
    "helm": ".config/helm/repositories.yaml",
    "curl": ".curlrc .config/curlrc .config/.curlrc",
    "wget": ".wgetrc",
    "buildkitd": ".config/buildkit/buildkitd.toml",
    "buildx": ".docker/buildx/instances/*",
    "lookaside": ".config/containers/registries.d/*.yaml",
    "notation": ".config/notation/trustpolicy.json .config/notation/trustpolicy.oci.json"
    " .config/notation/trustpolicy.blob.json",
    "env": ".profile .bash_profile .bash_login .bashrc .zshenv .zprofile .zshrc .pam_environment"
    " .gitlab-runner/config.toml .config/environment.d/*.conf",
}  # fmt: skip
"""The same below a home."""

LARGEST = 2048
"""Files of more blocks of 512 bytes are not read."""

_OWN = r"\( ! -user root -o -perm -004 -o -path '/root/*' -o -path '/etc/*' -o -path '/usr/*' \)"
"""What a user may have linked into a place of theirs is not read for them."""

_KEPT: Mapping[str, str] = {
    "rpm": r"^ *(\[|[a-z_]*gpgcheck|gpgkey|reposdir|enabled|sslverify|baseurl|mirrorlist|metalink)"
    r"|^[ \t]+[a-z]+:",
    "pacman": r"^ *(\[|siglevel|server|include)",
    "npm": r"^ *\"?(strict-ssl|(@[^ =:]*:)?registry)",
    "yarn": r"^ *(enablestrictssl|npmregistryserver|unsafehttpwhitelist) *:|^ *- *[^:]*$|@KEY@",
    "go": "^ *(gosumdb|goinsecure|goflags|goproxy|gonosumdb|goprivate)=",
    "cargo": r"^ *\[|^ *[a-z0-9\".-]*(registry|index)\"? *=",
    "gem": r"ssl_verify_mode|sources|^ *- |@KEY@",
    "bundle": "^ *bundle_(ssl_verify_mode|mirror)",
    "conda": r"^ *(ssl_verify|channels|default_channels|channel_alias)|^ *- |@KEY@",
    "curl": r"insecure|^ *-[a-z0-9#]*k",
    "wget": "check.?certificate",
}  # fmt: skip
_KEY = r"^ *:?[^ :#-][^:]*: *([|>][-+0-9]*)? *(#.*)?$"
"""A key of YAML with nothing after it: without it, its list would belong to the key before."""

_KEPT = {**_KEPT, "zypp": _KEPT["rpm"]}
"""What lines decide, in small letters; of kinds that are not here, all do."""

_AWK = r"""
BEGIN { Q = sprintf("%c", 39)
    E = "(^|[^a-z0-9_])(@NAMES@)=(\"[^\"]*|" Q "[^" Q "]*|[^ \t\"" Q ";,]*)"
    T = "^<(url|id|blocked|mirrorOf)>$" }
FNR == 1 { t = r = ""; k = 0 }
{ sub(/\r$/, ""); gsub(/:\/\/[^\/@ \t"]+@/, "://x@") }
c == "conda" { gsub(/\/t\/[^\/ "]+/, "/t/x") }
{ low = tolower($0) }
c == "env" {
    if (low ~ /^[ \t]*[#;]/) next
    at = 1
    while (match(substr(low, at), E)) {
        print FILENAME ":" substr($0, at + RSTART - 1, RLENGTH)
        at += RSTART + RLENGTH - 1
    }
    next
}
c == "helm" {
    if (low ~ /^[- ] *(name|url|insecure_skip_tls_verify):/ || low ~ /^repositories:/)
        print FILENAME ":" $0
    else if (low ~ /^ *- /) print FILENAME ":- other: x"
    next
}
c == "composer" || c == "buildx" {
    s = $0; o = ""
    while (match(s, /"([^"\\]|\\.)*"/)) {
        v = substr(s, RSTART, RLENGTH); o = o substr(s, 1, RSTART - 1)
        s = substr(s, RSTART + RLENGTH)
        if (s ~ /^[ \t]*:/) t = v
        else if (c == "buildx" ? length(v) > 300 && t != "\"buildkitd.toml\"" : v !~ /^"https?:/)
            v = "\"x\""
        o = o v
    }
    print FILENAME ":" o s; next
}
c == "maven" {
    s = r $0; r = ""; o = ""
    while (1) {
        if (k) { i = index(s, "-->"); if (!i) { s = ""; break } s = substr(s, i + 3); k = 0 }
        e = index(s, "<!--"); m = match(s, /<[^>]*>/)
        if (e && (!m || e <= m)) { m = 0; k = 1 } else e = 0
        if (!e && !m) break
        if (t ~ T) o = o substr(s, 1, e + m - 1)
        if (e) { s = substr(s, e + 4); continue }
        t = substr(s, RSTART, RLENGTH); s = substr(s, RSTART + RLENGTH)
        o = o (t ~ /^<!/ ? "<!>" : t)
    }
    i = index(s, "<"); if (i && length(s) < 4000) { r = substr(s, i) " "; s = substr(s, 1, i - 1) }
    if (t ~ T) o = o s
    if (o ~ /[^ \t]/) print FILENAME ":" o
    next
}
low ~ /^[ \t]*#/ { next }
@KEPT@
{ print FILENAME ":" $0 }
"""


def program() -> str:
    kept = "\n".join(
        f'c == "{kind}" && low !~ /{pattern.replace("@KEY@", _KEY)}/ {{ next }}'
        for kind, pattern in _KEPT.items()
    )  # fmt: skip
    names = "|".join(each.lower() for each in NAMES)
    return _AWK.replace("@NAMES@", names).replace("@KEPT@", kept)


_LOOK = (
    ": settings of package managers and builders\n"
    "N='\n'; F=; U=\n"
    'look() { if [ -f "$2" ]; then'
    ' if [ -n "$3" ] && [ -L "$2" ]; then case $(readlink -f "$2") in'
    ' "$3"/*|/usr/*|/etc/*|/nix/store/*) ;; *) echo "= link $2"; return;; esac; fi;'
    ' if [ -r "$2" ]; then F="$F$1 $2$N"; U="$U$2$N"; else echo "= denied $2"; fi;'
    ' elif [ -e "$2" ] && [ ! -d "$2" ] && [ ! -c "$2" ]; then echo "= denied $2"; fi; }\n'
    'dir() { [ ! -d "$1" ] || { [ -x "$1" ] && [ -r "$1" ]; } || echo "= hidden $1"; }\n'
    'way() { [ ! -d "$1" ] || [ -x "$1" ] || echo "= hidden $1"; }\n'
)


def _folders(patterns: Mapping[str, str], globs: bool) -> list[str]:
    paths = [path for listed in patterns.values() for path in listed.split()]
    meant = [path for path in paths if ("*" in path.rpartition("/")[2]) is globs]
    return sorted({path.rpartition("/")[0] for path in meant if "/" in path} - {""})


def _script() -> str:
    system = "\n".join(f"for f in {paths}; do look {kind} $f; done".replace(" $f", ' "$f"')
                       for kind, paths in SYSTEM.items())  # fmt: skip
    homes = " ".join(
        f'for f in {" ".join(_below(path) for path in paths.split())}; do look {kind} "$f" "$h";'
        " done;"
        for kind, paths in OF_HOMES.items()
    )  # fmt: skip
    globbed = [path for path in _folders(SYSTEM, True) if "*" not in path]
    ways = sorted({path for path in _folders(SYSTEM, False) if "*" not in path})
    within = " ".join(_below(path) for path in _folders(OF_HOMES, False))
    listed = " ".join(_below(path) for path in _folders(OF_HOMES, True))
    return (
        _LOOK
        + f"for d in {' '.join(ways)}; do way $d; done\n"
        + f"for d in {' '.join(globbed)}; do dir $d; done\n"
        + system
        + "\nH=$({ { getent passwd || cat /etc/passwd; } 2>/dev/null | cut -d: -f6;"
        " printf '%s\\n' /home/*; } | sed -n 's|//*|/|g;s|/$||;/^\\/./p' | sort -u)\n"
        'IFS=$N; for h in $H; do unset IFS; [ -d "$h" ] || continue; echo "= home $h";'
        ' if [ ! -x "$h" ]; then echo "= hidden $h"; continue; fi;'
        f' for d in {within}; do way "$d"; done; for d in {listed}; do dir "$d"; done;'
        f" {homes} done\n"
        "set -f; IFS=$N; set -- $U; unset IFS; [ $# -gt 0 ] || set -- /dev/null\n"
        f'S=$N$(find -L "$@" -maxdepth 0 -size -{LARGEST + 1} {_OWN})$N; set --\n'
        'IFS=$N; for l in $F; do p=${l#* }; case $S in *"$N$p$N"*) echo "= file $l";'
        ' set -- "$@" "c=${l%% *}" "$p";; *) echo "= barred $p";; esac; done; unset IFS\n'
        f"awk '{program()}' \"$@\" /dev/null; echo '{END}'"
    )


def _below(path: str) -> str:
    return f'"$h"/{path}'


SWEEP = want(_script(), seconds=40)
"""``= file KIND PATH`` of each file that is there, and what of its lines decides, after its name;
``= home PATH`` of each home. What could not be looked at: ``denied``, ``hidden``, ``link``, a link
of a user's that leads to what need not be theirs; ``barred``, what is too large or root's own."""

_WHY = {
    "denied": "cannot be read; it needs root", "hidden": "cannot be looked into; it needs root",
    "barred": "is too large, or not its user's to show",
    "link": "is a link of a user's, and is not followed",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class PackageFile:
    """One file.

    :param kind: what reads it: apt, rpm, pip, env …
    :param text: those of its lines that may decide.
    """

    path: str
    kind: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class PackageFiles:
    """:param hidden: what could not be looked at, and why, by path."""

    files: tuple[PackageFile, ...]
    homes: tuple[str, ...]
    hidden: Mapping[str, str]

    def of(self, *kinds: str) -> Iterator[PackageFile]:
        """Yield the files of some kinds, in the order in which they count."""
        return (each for each in self.files if each.kind in kinds)

    def need(self, *kinds: str) -> None:
        """Make sure that all files of some kinds were looked at. :raises Unknown: some were not."""
        for path, why in self.hidden.items():
            known = kind_of(path)
            if known in kinds or (not known and any(self._below(path, kind) for kind in kinds)):
                raise Unknown(f"{path} {why}")

    def _below(self, folder: str, kind: str) -> bool:
        """Whether files of a kind may lie below a folder; of what is no folder, whether at all."""
        if not folder.startswith("/"):
            return True
        owned = any(folder == home or folder.startswith(f"{home}/") for home in self.homes)
        system = (each.startswith(f"{folder}/") for each in SYSTEM.get(kind, "").split())
        return (owned and kind in OF_HOMES) or any(system)


def kind_of(path: str) -> str:
    """Return what reads a file of this path; empty if that is not known."""
    for kind, listed in SYSTEM.items():
        for pattern in listed.split():
            if re.fullmatch(re.escape(pattern).replace(r"\*", "[^/]*"), path):
                return kind
    for kind, listed in OF_HOMES.items():
        for pattern in listed.split():
            if re.search("/" + re.escape(pattern).replace(r"\*", "[^/]*") + r"\Z", path):
                return kind
    return ""


@provide
def package_files(host: Host) -> PackageFiles:
    """The files by which package managers and download tools are set on the host.

    :raises CannotAnswer: the sweep did not come to its end.
    """
    answer = session_of(host).ask(SWEEP)[0]
    lines = lines_of(answer)
    if lines[-1:] != [END]:
        raise CannotAnswer("the sweep over files of package managers did not come to its end")
    kinds: dict[str, str] = {}
    texts: dict[str, list[str]] = {}
    homes: list[str] = []
    hidden: dict[str, str] = {}
    for line in lines[:-1]:
        mark, _, rest = line.removeprefix("= ").partition(" ")
        path, colon, text = line.partition(":")
        if line.startswith("= ") and mark == "file":
            kind, _, path = rest.partition(" ")
            kinds[path] = kind
        elif line.startswith("= ") and mark == "home":
            homes.append(rest)
        elif line.startswith("= ") and mark in _WHY:
            hidden[rest] = _WHY[mark]
        elif colon and path in kinds:
            texts.setdefault(path, []).append(text)
        else:
            raise CannotAnswer(f"what came is no line of a file of packages: {line[:60]!r}")
    for line in answer.evidence.stderr.decode("utf-8", "replace").splitlines():
        if line.strip():
            hidden.setdefault(line.strip()[:160], "was said while files were read")
    files = tuple(
        PackageFile(path, kind, "".join(f"{each}\n" for each in texts.get(path, ())))
        for path, kind in kinds.items()
    )
    return PackageFiles(files, tuple(homes), hidden)
