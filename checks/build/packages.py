"""What commands of a build do with packages and with what they fetch."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import pairwise, takewhile

from hullcheck.facts.shell import SHELLS, Command, script_of

__all__ = ["OFF", "PLAIN", "only_updates_index", "unchecked", "unverified", "unverified_setting"]

APT = frozenset({"apt", "apt-get", "aptitude"})
RPM = frozenset({"dnf", "dnf5", "microdnf", "tdnf", "yum"})
NPM = frozenset({"npm", "pnpm", "yarn"})
PIP = re.compile(r"pip[0-9.]*|uv")
INTERPRETERS = re.compile(r"(python|perl|ruby|node|php|lua)[0-9.]*")
FETCHERS = frozenset({"aria2c", "axel", "curl", "fetch", "http", "wget", "wget2"})

# Which of a manager's commands bring nothing but an index, by its name.
INDEX: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(APT, frozenset({"update"})),
    **dict.fromkeys(RPM, frozenset({"check-update", "makecache"})),
    "apk": frozenset({"update"}), "opkg": frozenset({"update"}),
    "zypper": frozenset({"ref", "refresh"}),
}  # fmt: skip

# What surely takes nothing out of an index that was just brought.
BYSTANDERS = frozenset({
    ":", "[", "add-apt-repository", "apt-key", "cat", "cd", "chmod", "chown", "cp", "curl", "date",
    "dpkg", "echo", "exit", "export", "false", "find", "gpg", "grep", "install", "ln", "ls",
    "mkdir", "mv", "printf", "rm", "rpm", "sed", "set", "sleep", "tee", "test", "touch", "true",
    "unset", "wget",
})  # fmt: skip
CLEANING = frozenset({"autoclean", "autoremove", "clean"})
TAKING_A_WORD = frozenset({
    "-o", "-t", "-c", "-a", "-X", "-p", "--option", "--config-file", "--repo", "--repository",
    "--target-release",
})  # fmt: skip

OFF = frozenset({"0", "false", "no", "off", "without", "disable"})

FLAGS: Sequence[tuple[Callable[[str], object], frozenset[str]]] = [
    (APT.__contains__, frozenset({
        "--allow-unauthenticated", "--force-yes", "--allow-insecure-repositories",
        "--allow-downgrade-to-insecure-repositories",
    })),
    ("dpkg".__eq__, frozenset({"--force-bad-verify"})),
    (RPM.__contains__, frozenset({"--nogpgcheck", "--no-gpgchecks"})),
    ("rpm".__eq__, frozenset({"--nosignature", "--nodigest"})),
    ("zypper".__eq__, frozenset({"--no-gpg-checks", "--no-gpgcheck", "--allow-unsigned-rpm"})),
    ("apk".__eq__, frozenset({"--allow-untrusted"})),
    ("opkg".__eq__, frozenset({"--no-check-certificate", "--force-signature"})),
    (PIP.fullmatch, frozenset({"--trusted-host", "--allow-insecure-host"})),
    (NPM.__contains__, frozenset({"--no-strict-ssl"})),
    ("snap".__eq__, frozenset({"--dangerous"})),
    ("helm".__eq__, frozenset({"--insecure-skip-tls-verify"})),
    ("conda".__eq__, frozenset({"--insecure"})),
]  # fmt: skip
"""Options that install what nobody has vouched for."""

SETTINGS: Sequence[tuple[Callable[[str], object], re.Pattern[str]]] = [
    (APT.__contains__, re.compile(
        r"(?i)APT::Get::AllowUnauthenticated=(true|yes|1|on)"
        r"|Acquire::Allow(Downgrade(ToInsecure|ToWeak)|Insecure|Weak)Repositories=(true|yes|1|on)"
        r"|Acquire::https?::(.*::)?Verify-(Peer|Host)=(false|no|0|off)")),
    ((RPM | {"yum-config-manager"}).__contains__,
     re.compile(r"(?i)(--setopt=)?(\S*\.)?(gpgcheck|sslverify)=(0|false|no|off)")),
    ("git".__eq__, re.compile(r"(?i)http\.(.*\.)?sslVerify=(false|0|no|off)")),
    (NPM.__contains__, re.compile(r"(?i)(--)?strict-ssl=(false|0)")),
    (PIP.fullmatch, re.compile(r"(--(extra-)?index-url|--find-links)=http://(?!localhost|127\.).*")),
]  # fmt: skip
"""The same as values: of an option, of a key after ``config`` or ``-c``."""

WRITTEN = re.compile(
    r"\bdeb(-src)?[ \t]+\[[^\]]{0,200}\btrusted=yes"
    r"|^Trusted:[ \t]*yes"
    r"|(?<![\w-])gpgcheck[ \t]*=[ \t]*(0|no|false)\b"
    r"|(APT::Get::AllowUnauthenticated|Acquire::AllowInsecureRepositories)[ \t]+\"?(true|1|yes)"
    r"|^[ \t]*SigLevel[ \t]*=[ \t]*(Never|.*TrustAll)",
    re.MULTILINE | re.IGNORECASE,
)
"""The same, written into a manager's configuration."""
READERS = frozenset({"awk", "egrep", "fgrep", "grep", "rm"})

VARIABLES: Mapping[str, re.Pattern[str]] = {
    "GIT_SSL_NO_VERIFY": re.compile("(?i)1|true|yes"),
    "NODE_TLS_REJECT_UNAUTHORIZED": re.compile("0"),
    "NPM_CONFIG_STRICT_SSL": re.compile("(?i)false|0"),
    "PYTHONHTTPSVERIFY": re.compile("0"),
    "PIP_TRUSTED_HOST": re.compile(".+", re.DOTALL),
    "UV_INSECURE_HOST": re.compile(".+", re.DOTALL),
    "GOSUMDB": re.compile("off"),
    "GOINSECURE": re.compile(".+", re.DOTALL),
    "GOFLAGS": re.compile(r"(?s)(.*\s)?-insecure(\s.*)?"),
    "BUNDLE_SSL_VERIFY_MODE": re.compile("0"),
    "CONDA_SSL_VERIFY": re.compile("(?i)false|no|0"),
    "YARN_ENABLE_STRICT_SSL": re.compile("(?i)false|0"),
}

VERIFIERS = re.compile(
    r"(sha\d+sum|shasum|md5sum|b2sum|gpg2?|gpgv2?|sqv|minisign|signify|cosign|slsa-verifier)"
)
PLAIN = re.compile(r"(?:http|ftp)://(?!localhost\b|127\.|\[::1\])", re.IGNORECASE)


def verb(command: Command) -> str:
    """Return the first argument that is no option, nor belongs to one."""
    words = iter(command.arguments)
    for word in words:
        if word in TAKING_A_WORD:
            next(words, None)
        elif not word.startswith("-"):
            return word
    return ""


def only_updates_index(commands: Sequence[Command]) -> bool:
    """Whether all that commands do is to bring an index of packages, and none is taken."""
    updates = [each for each in commands if _updates(each)]
    return bool(updates) and all(_updates(each) or _stands_by(each) for each in commands)


def _updates(command: Command) -> bool:
    if command.program in ("pacman", "yay"):
        short = "".join(word[1:] for word in command.arguments if re.match("-[A-Za-z]", word))
        packages = [word for word in command.arguments if not word.startswith("-")]
        return "S" in short and "y" in short and "u" not in short and not packages
    return verb(command) in INDEX.get(command.program, frozenset())


def _stands_by(command: Command) -> bool:
    if command.program in INDEX:
        return verb(command) in CLEANING
    if command.program in SHELLS and (script_of(command.words) is not None or command.stdin):
        return True
    return not command.words or command.program in BYSTANDERS


def unverified(commands: Sequence[Command]) -> Iterator[str]:
    """Yield what commands install, run or fetch without anything having vouched for it."""
    verified = any(_verifies(each) for each in commands)
    for command in commands:
        for told in (_flagged(command), _written(command), _run_unseen(command)):
            if told:
                yield told
        for name, value in command.assignments.items():
            if unverified_setting(name, value):
                yield f"{name}={value}"
        if command.program == "export":
            for name, _, value in (word.partition("=") for word in command.arguments):
                if unverified_setting(name, value):
                    yield f"{name}={value}"
        if not verified and (told := _fetches_blindly(command)):
            yield told
    fetched = set() if verified else {name for each in commands for name in _fetched(each)}
    for command in commands:
        yield from (
            f"{command.program} {name}, as it was fetched" for name in _uses(command, fetched)
        )


def unverified_setting(name: str, value: str) -> bool:
    """Whether a variable of the environment turns off verification."""
    pattern = VARIABLES.get(name.upper())
    return pattern is not None and pattern.fullmatch(value) is not None


def _flagged(command: Command) -> str:
    for is_it, flags in FLAGS:
        if is_it(command.program):
            for word in command.arguments:
                name, equals, value = word.partition("=")
                if name in flags and not (equals and value.lower() in OFF and "host" not in name):
                    return f"{command.program} {name}"
    for is_it, pattern in SETTINGS:
        if is_it(command.program):
            for said in _said(command.arguments):
                if pattern.fullmatch(said):
                    return f"{command.program} {said}"
    return ""


def _said(words: Sequence[str]) -> Iterator[str]:
    """Yield every key=value among arguments, however it is written: ``-oA=b``, ``a b``."""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        yield word
        yield word.removeprefix("-o").removeprefix("-c").removeprefix("--option=")
        yield f"{word}={following}"


def _written(command: Command) -> str:
    if command.program in READERS:
        return ""
    for text in (*command.arguments, " ".join(command.arguments), command.stdin):
        found = WRITTEN.search(text.replace("\\n", "\n"))
        if found:
            return f"{command.program} … {found[0].strip()}"
    return ""


def _run_unseen(command: Command) -> str:
    """Say what is run as it comes from the network."""
    runs = command.program in SHELLS or INTERPRETERS.fullmatch(command.program)
    if not runs and command.program not in ("eval", ".", "source"):
        return ""
    before = command.after
    while before is not None and runs:
        if before.program in FETCHERS and not _has_script(command):
            return f"{before.program} … | {command.program}"
        before = before.after
    for each in command.inner:
        if each.program in FETCHERS:
            return f"{command.program} of what {each.program} brings"
    return ""


def _has_script(command: Command) -> bool:
    """Whether an interpreter is told what to run, and only reads its data from a pipe."""
    # After these come the arguments of what is read.
    ends = ("-", "/dev/stdin", "--") if command.program == "php" else ("-", "/dev/stdin")
    words = list(takewhile(lambda word: word not in ends, command.arguments))
    words = [word for word in words if word != "--"]
    if any(re.fullmatch("-[a-z]*s", word) for word in words) and command.program in SHELLS:
        return False
    return bool([word for word in words if not word.startswith("-") or re.match("-[cemnp]", word)])


def _fetches_blindly(command: Command) -> str:
    if command.program not in FETCHERS:
        return ""
    for word in command.arguments:
        if unchecked(command.program, word):
            return f"{command.program} {word}"
        if plain := PLAIN.match(word):
            return f"{command.program} {plain[0]}…"
    return ""


def _fetched(command: Command) -> Iterator[str]:
    """Yield the names, without directories, of files that a command fetches."""
    if command.program not in FETCHERS:
        return
    words = command.arguments
    told = [each for word, each in pairwise(words) if re.fullmatch("-[a-zA-Z]*[oO]|--output", word)]
    told += [word.partition("=")[2] for word in words if re.match("--output(-document)?=", word)]
    told += [word for word in words if "://" in word]
    for name in (*told, *command.outputs):
        if base := name.partition("?")[0].rpartition("/")[2]:
            yield base


def _uses(command: Command, names: Collection[str]) -> Iterator[str]:
    """Yield which of some files a command runs, or installs without a signature to check."""
    program, words = command.words[0] if command.words else "", command.arguments
    runs = [program] if "/" in program else []
    if command.program in (*SHELLS, ".", "source") or INTERPRETERS.fullmatch(command.program):
        runs += [word for word in words if not word.startswith("-")][:1]
    elif command.program == "dpkg" and _installs(words):
        runs += words
    elif command.program in APT and verb(command) in ("install", "reinstall"):
        runs += [word for word in words if word.endswith(".deb")]
    for word in runs:
        base = word.rpartition("/")[2]
        if any(fnmatchcase(name, base) for name in names):
            yield base


def _installs(words: Sequence[str]) -> bool:
    return any(re.fullmatch("-[a-zA-Z]*i[a-zA-Z]*|--install", word) for word in words)


def unchecked(program: str, word: str) -> bool:
    """Whether an option of curl or wget leaves the other side's certificate unread."""
    if program == "curl":
        short = re.fullmatch("-([A-Za-z#0]+)", word)
        # Options of curl that take a value end a group of short ones.
        flags = re.split("[AbcCdDeEFhHKmoPQrtTuUwXxyYz]", short[1])[0] if short else ""
        return word == "--insecure" or "k" in flags
    return word in ("--no-check-certificate", "--check-certificate=off", "--check-certificate=0")


def _verifies(command: Command) -> bool:
    if not VERIFIERS.fullmatch(command.program):
        return False
    if command.program.endswith("sum"):
        return any(re.match("-[a-z]*c|--check", word) for word in command.arguments)
    return command.program not in ("gpg", "gpg2") or any(
        word in ("--verify", "--verify-files") for word in command.arguments
    )
