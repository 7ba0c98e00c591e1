"""What a file of an image is that should not be in it, by its name, mode, or a line it holds."""

from __future__ import annotations

import re
import shlex
import stat
from collections.abc import Iterable
from dataclasses import dataclass

from hullcheck.facts.tree_sweep import Entry, path_test

__all__ = ["PROGRAMS", "SECOND_ROOT", "SETUID", "TEST", "Stored", "classified", "gains"]

SETUID = "setuid program"
SECOND_ROOT = "account of root's number"
"""A name other than root that is root all the same: no secret, but it makes a USER worthless."""

# Read by find as well as by Python: no operator beyond . [ ] * and |.
PROGRAMS = {
    "package manager": (
        "apt|apt-get|aptitude|dpkg|rpm|dnf|dnf-[0-9]|dnf5|microdnf|tdnf|yum|zypper|apk|opkg|pacman"
        "|xbps-install|emerge|urpmi"
    ),
    "compiler": (
        "[^/]*gcc|[^/]*gcc-[0-9.]*|[^/]*g[+][+]|[^/]*g[+][+]-[0-9.]*|clang|clang-[0-9.]*|tcc"
        "|rustc|gfortran|[^/]*gfortran-[0-9.]*|javac|go|ghc|ghc-[0-9.]*|gccgo|ldc2|dmd"
    ),
    "debugger": "gdb|gdbserver|lldb|lldb-[0-9.]*|strace|ltrace|tcpdump|tshark",
    "login server": (
        "sshd|dropbear|dropbearmulti|tinysshd|telnetd|in[.]telnetd|utelnetd|rlogind|in[.]rlogind"
        "|rshd|in[.]rshd|ttyd|shellinaboxd|x11vnc|Xvnc|Xtigervnc|Xtightvnc"
    ),
    "network tool": "nc|netcat|nc[.]openbsd|nc[.]traditional|ncat|socat|nmap",
}
TOOLBOXES = "busybox|busybox[.]static|toybox"

CREDENTIALS = {
    "cloud credentials": (
        "[.]aws/credentials|[.]boto|[.]s3cfg|[.]databrickscfg|application_default_credentials[.]json"
        "|[.]config/gcloud/credentials[.]db|[.]config/gcloud/access_tokens[.]db"
        "|[.]azure/accessTokens[.]json|[.]azure/msal_token_cache[.][a-z]*"
        "|[.]azure/service_principal_entries[.]json|[.]oci/config|[.]config/doctl/config[.]yaml"
        "|[.]pulumi/credentials[.]json|[.]terraform[.]d/credentials[.]tfrc[.]json|[.]cf/config[.]json"
    ),
    "credentials of a cluster": "[.]kube/config|etc/kubernetes/[^/]*[.]conf",
    "stored password": (
        "[.]git-credentials|[.]config/git/credentials|[.]pgpass|[.]vault-token|[.]htpasswd"
        "|[^/]*[.]kdbx|[.]mylogin[.]cnf|[.]config/rclone/rclone[.]conf|[.]smbcredentials"
    ),
    "credentials of a registry": (
        "[.]cargo/credentials|[.]cargo/credentials[.]toml|[.]gem/credentials|[.]config/gh/hosts[.]yml"
        "|[.]ivy2/[.]credentials|[.]sbt/[.]credentials|[.]config/hub|[.]config/glab-cli/config[.]yml"
    ),
    "host key": "ssh_host_[a-z0-9]*_key",
    "store of keys": "[^/]*[.]pfx|[^/]*[.]p12",
    "state of an infrastructure": "terraform[.]tfstate|terraform[.]tfstate[.]backup",
}
"""What a file is that is a secret by its name."""

_SECRET = (
    '\\(passw\\|passphrase\\|secret\\|token\\|_auth\\|"auth"\\|api_*key\\|access_*key'
    "\\|private_*key\\|signing_*key\\|encryption_*key\\)[^=: >]*[=: >] *[^ =:>]"
    "\\|://[^/@ ]*:[^/@ ]*@"
)
HOLDING = {  # [x] keeps a pattern from looking like a secret itself, which would be cut out.
    "private key": (
        "id_[^/.]*|identity|[^/]*[.]pem|[^/]*[.]key|[^/]*[.]asc|[^/]*account[^/]*[.]json"
        "|[^/]*key[^/]*[.]json|[^/]*credentials[^/]*[.]json|[^/]*firebase[^/]*[.]json",
        "BEGIN .*PRIVATE KEY",
    ),
    "file with passwords or tokens": (
        "[.]env|[.]env[.][^/]*|[.]npmrc|[.]yarnrc[.]yml|[.]pypirc|pip[.]conf|[.]netrc|_netrc"
        "|[.]docker/config[.]json|[.]dockercfg|[.]m2/settings[.]xml|[.]my[.]cnf|auth[.]json"
        "|[.]gradle/gradle[.]properties|[.]bundle/config|[.]terraformrc|[^/]*[.]tfvars"
        "|[.]nuget/NuGet/NuGet[.]Config|client_secret[^/]*[.]json|[.]condarc|[.]bash_history",
        _SECRET,
    ),
    "credentials in a kubeconfig": (
        "[^/]*kubeconfig|[^/]*kubeconfig[.]ya*ml|etc/rancher/k3s/k3s[.]yaml",
        "client-key-dat[a]: *[^ ]\\|^ *toke[n]: *[^ ]\\|^ *passwor[d]: *[^ ]",
    ),
    "git repository of a private origin": (
        "[.]git/config", "extraheader\\|url *= *[a-z+]*://[^/ ]*@\\|url *= *[^/ ]*@\\|url *= *ssh:",
    ),
    "password of an account": ("etc/shadow", "^[^:]*:[$]"),
    "password of a group": ("etc/gshadow", "^[^:]*:[$]"),
    SECOND_ROOT: (
        "etc/passwd",
        "^\\([^r:]\\|r[^o:]\\|ro[^o:]\\|roo[^t:]\\|root[^:]\\)[^:]*:[^:]*:0*:\\|^roo*:[^:]*:0*:",
    ),
}  # fmt: skip
"""What a file is by its name, if a line of it is as the second pattern says; the host reads it,
and says no more than that."""

_TEMPLATE = re.compile(r".*[.](example|sample|template|tmpl|dist|defaults?|pub)$", re.DOTALL)
_SHIPPED = re.compile(
    r"/(node_modules|site-packages|lib/python[0-9.]+|dist-packages|gems|usr/lib|usr/share|usr/local/go|pkg/mod)/"
    r"(.*/)?(tests?|testdata|testing|test_data|fixtures|examples?|__tests__|spec|specs|doc|docs)/",
    re.DOTALL,
)
"""Where packages keep keys for tests of their own, which everybody has."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A file of an image that matters.

    :param kind: what it is: :data:`SETUID`, or a kind of program or credential.
    :param deleted: whether a later layer hides it: containers do not see it, who has the image
        does.
    """

    kind: str
    path: str
    size: int
    gains: str = ""
    deleted: bool = False

    def __str__(self) -> str:
        return self.path


def _test() -> str:
    held = (
        f"{path_test(names)} -size -2048 -exec grep -aqi -e {shlex.quote(line)} {{}} \\;"
        for names, line in HOLDING.values()
    )
    named = path_test(*PROGRAMS.values(), TOOLBOXES, below="s*bin/")
    parts = ["-perm -4000", "-perm -2010", named, path_test(*CREDENTIALS.values()), *held]
    return f"-type f \\( {' -o '.join(parts)} \\)"


TEST = _test()


def _python(*patterns: str, below: str = "") -> re.Pattern[str]:
    return re.compile(f".*/{below}(?:{'|'.join(patterns)})", re.DOTALL)


_PROGRAM = {kind: _python(names, below="s?bin/") for kind, names in PROGRAMS.items()}
_TOOLBOX = _python(TOOLBOXES, below="s?bin/")
_SECRETS = {kind: _python(names) for kind, names in CREDENTIALS.items()} | {
    kind: _python(names) for kind, (names, _) in HOLDING.items()
}


def gains(entry: Entry) -> str:
    """Return whose rights one gains by running a file: "root (setuid)", or "" (execve(2))."""
    found = []
    if entry.mode & stat.S_ISUID and entry.mode & 0o111:
        found.append(f"{'root' if entry.uid == 0 else f'uid {entry.uid}'} (setuid)")
    if entry.mode & stat.S_ISGID and entry.mode & 0o010:
        found.append(f"gid {entry.gid} (setgid)")
    return " and ".join(found) if entry.regular else ""


def classified(entries: Iterable[Entry]) -> list[Stored]:
    """Return what the files of one layer are; one may be several things."""
    known = [each for each in entries if each.regular]
    boxes = {each.inode for each in known if _TOOLBOX.fullmatch(each.path)}
    found = []
    for each in known:
        if rights := gains(each):
            found.append(Stored(SETUID, each.path, each.size, rights))
        if each.inode not in boxes and each.mode & 0o111:
            kinds = (kind for kind, names in _PROGRAM.items() if names.fullmatch(each.path))
            found += [Stored(kind, each.path, each.size) for kind in kinds]
        if not (_TEMPLATE.fullmatch(each.path) or _SHIPPED.search(each.path)) and each.size:
            kinds = (kind for kind, names in _SECRETS.items() if names.fullmatch(each.path))
            found += [Stored(kind, each.path, each.size) for kind in list(kinds)[:1]]
    return found
