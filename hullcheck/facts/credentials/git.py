"""What git is told by its configuration files, those of the system and of every home.

git-config(1). The files are cut on the host: only settings that controls judge leave it, and in
their addresses nothing of what stands before an @.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.accounts import Accounts
from hullcheck.facts.credentials.sweep import ABOUT, ACCOUNTS
from hullcheck.facts.registry import Unseen, get, provide_each
from hullcheck.facts.texts import END, lines_of
from hullcheck.transport import Answer, CannotAnswer, Want, session_of, want
from hullcheck.verdict import Object

__all__ = [
    "CUT",
    "CUT_SHORT",
    "GitConfig",
    "Setting",
    "git_config",
    "more_want",
    "parse_git",
    "read_git",
]

CUT, CUT_SHORT = "cut-hidden", "cut-user"
"""Stand for a user with a password, or of 20 characters and more, and for a shorter user."""

SYSTEM = ("/etc/gitconfig", "/usr/local/etc/gitconfig", "/usr/etc/gitconfig")
_OWN = (".gitconfig", ".config/git/config")

_CUTTER = r"""
function addresses(v,    r, u) {
    r = ""
    while (match(v, /:\/\/[^\/@ \t"]*@/)) {
        u = substr(v, RSTART + 3, RLENGTH - 4)
        r = r substr(v, 1, RSTART + 2) \
            (u ~ /:./ || length(u) > 19 ? "cut-hidden" : "cut-user") "@"
        v = substr(v, RSTART + RLENGTH)
    }
    return r v
}
function value(key, v) {
    if (key ~ /^(sslverify|directory|insteadof|pushinsteadof|hookspath|templatedir|path)$/)
        return addresses(v)
    if (key == "fsmonitor" && v ~ /^[ \t]*(true|false|yes|no|on|off|0|1)[ \t]*$/) return v
    if (key ~ /^(helper|fsmonitor|sshcommand|askpass)$/) {
        if (v ~ /^[ \t"]*![^A-Za-z0-9_.\/~-]/ || v ~ /[Pp][Aa][Ss][Ss][Ww][Oo][Rr][Dd]=/)
            return (v ~ /=/ ? "!inline-hidden" : "!inline")
        match(v, /^[ \t"]*!?["\047 ]*[A-Za-z0-9_.\/~-]*/)
        return "\"" unquoted(substr(v, 1, RLENGTH)) "\""
    }
    return v ~ /[Aa][Uu][Tt][Hh]|[Tt][Oo][Kk][Ee][Nn]/ ? "hidden" : "header"
}
function commented(v) {
    gsub(/\\./, "", v)
    gsub(/"[^"]*"/, "", v)
    sub(/".*$/, "", v)
    return v ~ /[#;]/
}
function unquoted(v) { gsub(/["\047 \t]/, "", v); return v }
function over() {
    if (line != "" || broken) print "L\t" last "\t?"
    if (last != "") print "R\t" last
}
FNR == 1 { over(); last = FILENAME; line = ""; broken = 0 }
length($0) > 8192 { broken = 1 }
broken { next }
END { over() }
{
    sub(/\r$/, "")
    gsub(/\t/, " ")
    line = line $0
    if (!commented(line) && match(line, /\\+$/) && RLENGTH % 2) {
        line = substr(line, 1, length(line) - 1)
        if (length(line) > 8192) broken = 1
        next
    }
    text = line
    line = ""
    while (1) {
        sub(/^ +/, "", text)
        if (!match(text, /^\[ *[A-Za-z0-9.-]+ *("([^"\\]|\\.)*")? *\]/)) break
        header = substr(text, 1, RLENGTH)
        text = substr(text, RLENGTH + 1)
        print "L\t" FILENAME "\t" addresses(header)
    }
    if (text == "" || text ~ /^[#;]/) next
    if (!match(text, /^[A-Za-z][A-Za-z0-9-]*/)) { print "L\t" FILENAME "\t?"; next }
    key = substr(text, 1, RLENGTH)
    low = tolower(key)
    rest = substr(text, RLENGTH + 1)
    sub(/^ +/, "", rest)
    if (rest == "" || rest ~ /^[#;]/) { print "L\t" FILENAME "\t" key; next }
    if (rest !~ /^=/) { print "L\t" FILENAME "\t?"; next }
    rest = substr(rest, 2)
    if (low == "sslverify" || low ~ /^(directory|insteadof|pushinsteadof|hookspath|templatedir)$/ ||
        low ~ /^(path|fsmonitor|helper|sshcommand|askpass|extraheader)$/)
        print "L\t" FILENAME "\t" key " = " value(low, rest)
}
"""

_READ = (
    "of() { for p; do case $p in *'\n'*) continue ;; esac;"
    ' if [ ! -e "$p" ]; then [ ! -L "$p" ] || printf \'D\\t%s\\n\' "$p";'
    ' elif [ ! -f "$p" ]; then :;'
    ' elif [ ! -r "$p" ]; then printf \'X\\t%s\\n\' "$p";'
    ' elif [ -s "$p" ]; then printf \'F\\t%s\\n\' "$p"; fi; done; }\n'
    'seen() { q=$1; while [ "$q" ]; do [ ! -d "$q" ] || [ -x "$q" ] || '
    "{ printf 'H\\t%s\\n' \"$q\"; break; }; q=${q%/*}; done; }\n"
)
_CUT = (
    '\nprintf \'= uid %s\\n%s\\n\' "$(id -u)" "$list"\n'
    "printf '%s\\n' \"$list\" | sed -n 's/^F.//p' | tr '\\n' '\\0' |"
    ' xargs -0 sh -c \'[ $# = 0 ] || find -L "$@" -maxdepth 0 -type f -size -2049'
    ' -exec awk "$G" {} +\' sh\n'
)


def _want(listing: str) -> Want:
    return want(
        f"{ABOUT}G={shlex.quote(_CUTTER)}; export G\n"
        f"{_READ}list=$(\n{listing}\n){_CUT}echo '{END}'",
        seconds=30,
    )


_PLACED = " ".join(f'"$h"/{each}' for each in _OWN)
_HOMES = (
    f'{ACCOUNTS} | while IFS= read -r h; do seen "$h";'
    ' [ ! -d "$h/.config" ] || seen "$h/.config/git";'
    f" of {_PLACED}; done\n"
)
GIT = _want(f"{_HOMES}of {' '.join(SYSTEM)}")


def more_want(paths: Sequence[str]) -> Want:
    names = " ".join(map(shlex.quote, paths))
    return _want(f'for p in {names}; do seen "${{p%/*}}"; of "$p"; done')


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting.

    :param section: in small letters; ``part`` its subsection, as it is written.
    :param value: None for a key without =, which is true.
    """

    section: str
    part: str
    key: str
    value: str | None

    def __str__(self) -> str:
        return ".".join(each for each in (self.section, self.part, self.key) if each)

    @property
    def false(self) -> bool:
        """Whether it is git's false."""
        return self.value is not None and self.value.lower() in ("false", "no", "off", "0", "")


@dataclass(frozen=True, eq=False)
class GitConfig:
    """One file, and what it includes, in the order in which git reads it.

    :param home: of whom it is; empty for the system's.
    :param settings: with the file that each stands in.
    :param includes: the files that it names, whether they exist or not.
    """

    host: Host = field(repr=False)
    path: str
    home: str
    settings: tuple[tuple[str, Setting], ...]
    includes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def object(self) -> Object:
        return Object("file", self.path)

    def of(self, section: str, key: str) -> list[tuple[str, Setting]]:
        """Return the settings of a key in all subsections of a section."""
        return [
            (path, each) for path, each in self.settings
            if each.section == section and each.key == key
        ]  # fmt: skip

    def last(self, section: str, key: str) -> dict[str, tuple[str, Setting]]:
        """Return what counts of a key, by subsection: the last one does."""
        return {each.part: (path, each) for path, each in self.of(section, key)}

    def need(self) -> None:
        """:raises Unknown: a part of it could not be read."""
        if self.doubts:
            raise Unknown(self.doubts[0])


_HEADER = re.compile(r'\[\s*([A-Za-z0-9.-]+)\s*(?:"((?:[^"\\]|\\.)*)")?\s*\]\Z', re.DOTALL)
_SETTING = re.compile(r"([A-Za-z][A-Za-z0-9-]*)(?:\s*=\s*(.*))?\Z", re.DOTALL)


def parse_git(lines: Sequence[str]) -> list[Setting]:
    """Read a file's lines, one to a header or setting, continued ones joined.

    :raises Unknown: git would not understand one either.
    """
    found, section, part = [], "", ""
    for line in lines:
        if header := _HEADER.match(line):
            section, _, old = header[1].lower().partition(".")
            part = re.sub(r"\\(.)", r"\1", header[2]) if header[2] is not None else old
        elif setting := _SETTING.match(line):
            value = None if setting[2] is None else _value(setting[2])
            found.append(Setting(section, part, setting[1].lower(), value))
        else:
            raise Unknown("a line of it is none that git understands")
    return found


def _value(text: str) -> str:
    """Return a value without quotes and comments: a quote begins and ends anywhere in it."""
    out, kept, quoted, at = [], 0, False, 0
    while at < len(text):
        letter = text[at]
        if letter == "\\" and at + 1 < len(text):
            at += 1
            out.append({"n": "\n", "t": "\t", "b": "\b"}.get(text[at], text[at]))
            kept = len(out)
        elif letter == '"':
            quoted = not quoted
            kept = len(out)
        elif letter in "#;" and not quoted:
            break
        else:
            out.append(letter)
            if quoted or not letter.isspace():
                kept = len(out)
        at += 1
    return "".join(out[:kept]).lstrip()


@dataclass(frozen=True, slots=True)
class _Read:
    files: dict[str, list[Setting] | Unknown]
    hidden: list[str]


def read_git(answer: Answer) -> _Read:
    lines = lines_of(answer)
    if len(lines) < 2 or lines[-1] != END or not re.fullmatch(r"= uid \d+", lines[0]):
        raise CannotAnswer("git's configuration was not read to the end")
    raw: dict[str, list[str]] = {}
    listed, unread, hidden, read = [], {}, [], set()
    for line in filter(None, lines[1:-1]):
        tag, _, rest = line.partition("\t")
        path, _, text = rest.partition("\t")
        if tag == "F":
            listed.append(path)
        elif tag == "X" or (tag == "D" and lines[0] != "= uid 0"):
            unread[path] = Unknown(f"{path} cannot be read; it needs root")
        elif tag == "H":
            hidden.append(path)
        elif tag == "R":
            read.add(path)
        elif tag == "L":
            raw.setdefault(path, []).append(text)
        elif tag != "D":
            raise CannotAnswer("a line of git's configuration is none")
    files: dict[str, list[Setting] | Unknown] = dict(unread)
    for path in listed:
        try:
            if path not in read:
                raise Unknown(f"{path} cannot be read, or is too long")
            files[path] = parse_git(raw.get(path, []))
        except Unknown as reason:
            files[path] = Unknown(f"{path}: {reason}")
    return _Read(files, hidden)


def _included(host: Host, path: str, home: str, settings: Sequence[Setting]) -> Iterator[str]:
    """Yield the files that a file includes; git-config(1), Includes."""
    for each in settings:
        if each.section in ("include", "includeif") and each.key == "path" and each.value:
            place = each.value
            if place == "~" or place.startswith("~/"):
                place = home + place[1:]
            elif place.startswith("~"):
                name, _, rest = place[1:].partition("/")
                known: Accounts = get(host, "accounts")
                user = known.user(name)
                place = f"{user.home}/{rest}" if user else ""
            full = posixpath.normpath(posixpath.join(posixpath.dirname(path), place))
            if place and full.startswith("/") and not {"\n", "\t", "\0"} & set(full):
                yield full


def _home_of(path: str) -> str:
    own = next((each for each in _OWN if path.endswith(f"/{each}")), "")
    return path[: -len(own) - 1] if own else ""


@provide_each
def git_config(host: Host) -> list[GitConfig | Unseen]:
    """Each file of git's configuration, of the system and of homes, with what it includes.

    :raises NotApplicable: there is none.
    """
    first = read_git(session_of(host).ask(GIT)[0])
    included: dict[str, list[str]] = {}
    for path, known in first.files.items():
        if isinstance(known, list):
            included[path] = list(dict.fromkeys(_included(host, path, _home_of(path), known)))
    paths = sorted({each for some in included.values() for each in some})[:500]
    more = read_git(session_of(host).ask(more_want(paths))[0]) if paths else _Read({}, [])
    found: list[GitConfig | Unseen] = []
    for path, known in first.files.items():
        if isinstance(known, Unknown):
            found.append(Unseen(Object("file", path), str(known)))
        else:
            found.append(_with(host, path, known, included[path], more))
    found += [
        Unseen(Object("folder", each), f"{each} cannot be looked into; it needs root")
        for each in dict.fromkeys(first.hidden)
    ]
    if not found:
        raise NotApplicable("git has no configuration, neither the system's nor a user's")
    return found


def _with(host: Host, path: str, own: list[Setting], included: list[str], more: _Read) -> GitConfig:
    doubts = []
    settings: list[tuple[str, Setting]] = [(path, each) for each in own]
    for each in included:
        inner = more.files.get(each, [])
        if isinstance(inner, Unknown):
            doubts.append(str(inner))
        else:
            settings += [(each, one) for one in inner]
            if any(one.section in ("include", "includeif") for one in inner):
                doubts.append(f"{each} includes further files, which are not read")
        doubts += [
            f"{folder} cannot be looked into; it needs root"
            for folder in more.hidden
            if each.startswith(f"{folder}/")
        ]
    return GitConfig(host, path, _home_of(path), tuple(settings), tuple(included), tuple(doubts))
