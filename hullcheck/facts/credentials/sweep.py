"""One bounded sweep over the places where credentials lie; what they hold is judged on the host.

What leaves it are paths, the names of settings, and of what kind something is; see
:mod:`hullcheck.facts.credentials.scripts`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from hullcheck.facts.credentials.places import HOMES, KEY_NAMES, PLACES, Place
from hullcheck.facts.credentials.scripts import JSON_SHAPE, KEY_KIND, NAMES_SET, UNIT_NAMES
from hullcheck.facts.texts import END, lines_of
from hullcheck.transport import Answer, CannotAnswer, Want, want

__all__ = ["ACCOUNTS", "SWEEP", "Found", "Swept", "below_want", "extra_want", "swept"]

SECONDS = 40
MOST_HOMES = 1000
MOST = 4000

ACCOUNTS = (
    "{ getent passwd || cat /etc/passwd; } 2>/dev/null | awk -F: '$6 ~ /^\\/./"
    " && $6 !~ /^\\/(bin|sbin|usr|dev|proc|sys|run|nonexistent)(\\/|$)/"
    ' { sub(/\\/+$/, "", $6); print $6 }\' | sort -u'
)
"""The homes of all accounts: runners may have no shell to log in with."""

_FUNCTIONS = r"""
nl='
'
tab=$(printf '\t')
one() {
    t=$1 n=$2
    shift 2
    for p; do
        case $p in
        *"$nl"*|*"$tab"*) printf 'X\t%s\t%s\n' "$n" "${p%%[$nl$tab]*}"; continue ;;
        esac
        if [ ! -e "$p" ]; then [ ! -L "$p" ] || printf 'D\t%s\t%s\n' "$n" "$p"
        elif [ ! -f "$p" ]; then :
        elif [ $t = W ]; then [ ! -s "$p" ] || printf 'W\t%s\t%s\n' "$n" "$p"
        elif [ ! -r "$p" ]; then printf 'X\t%s\t%s\n' "$n" "$p"
        elif [ -s "$p" ]; then printf '%s\t%s\t%s\n' "$t" "$n" "$p"
        fi
    done
}
seen() {
    for p; do
        [ ! -d "$p" ] || { [ -x "$p" ] && [ -r "$p" ]; } || printf 'H\t0\t%s\n' "$p"
        while p=${p%/*}; [ "$p" ]; do
            [ ! -d "$p" ] || [ -x "$p" ] || { printf 'H\t0\t%s\n' "$p"; break; }
        done
    done
}
"""

_LOOK = r"""
printf '= uid %s\n' "$(id -u)"
printf '%s\n' "$list"
of() { printf '%s\n' "$list" | sed -n "s/^$1$tab[0-9]*$tab//p" | tr '\n' '\0'; }
each() {
    xargs -0 sh -c '[ $# = 0 ] || find -L "$@" -maxdepth 0 -type f -size -$Z -exec awk "$A" {} +' sh
}
has() { case $nl$list in *"$nl$1$tab"*) ;; *) false ;; esac; }
! has J || of J | Z=257 A=$S each
! has N || of N | Z=2049 A=$N each
! has K || of K | Z=2049 A=$K each
! has U || of U | Z=257 A=$U each
"""


def _quoted(pattern: str, base: str) -> str:
    """Return a pattern as a word of the shell: only ``*`` and brackets of it are special."""
    parts = re.split(r"([*]|\[0-9\])", pattern)
    plain = "".join(each if at % 2 else shlex.quote(each) * bool(each)
                    for at, each in enumerate(parts))  # fmt: skip
    return base + plain


def _candidates(places: Iterable[tuple[int, Place]], *, of_homes: bool) -> str:
    lines = []
    for number, place in places:
        own = [each for each in place.patterns if each.startswith(f"{HOMES}/") == of_homes]
        if own:
            base = '"$h"' if of_homes else ""
            words = " ".join(_quoted(each.removeprefix(HOMES), base) for each in own)
            lines.append(f"one {place.scan} {number} {words}")
    return "\n".join(lines)


ABOUT = (
    ": files of credentials in homes and other places, looked at on the host so that no value of "
    "them leaves it;\n"
)
"""How commands begin, so that a person who reads of one knows what it is."""

_NUMBERED = tuple(enumerate(PLACES, 1))
_FOLDERS = sorted(
    {
        each.removeprefix(HOMES).rpartition("/")[0]
        for place in PLACES
        for each in place.patterns
        if each.startswith(HOMES) and "*/" not in each
    }
    | {"/.config"}
)


def _script(homes: str, rest: str) -> Want:
    folders = " ".join(f'"$h"{each}' for each in _FOLDERS)
    each = _candidates(_NUMBERED, of_homes=True)
    programs = " ".join(
        f"{name}={shlex.quote(text)}"
        for name, text in (("S", JSON_SHAPE), ("N", NAMES_SET), ("K", KEY_KIND), ("U", UNIT_NAMES))
    )
    return want(
        f"{ABOUT}{programs}; Z= A=; export Z A{_FUNCTIONS}"
        f"list=$(\ni=0\n{homes} | while IFS= read -r h; do\n"
        f"i=$((i + 1)); [ $i -le {MOST_HOMES} ] || "
        "{ printf 'H\\t0\\t%s\\n' 'more homes than are looked at'; break; }\n"
        f'[ -d "$h" ] || {{ seen "$h"; continue; }}\n'
        f"seen {folders}\n{each}\ndone\n{rest}\n)\n{_LOOK}echo '{END}'",
        seconds=SECONDS,
    )


SWEEP = _script(
    ACCOUNTS,
    "seen /etc/default/x /etc/sysconfig/x /etc/profile.d/x /run/containers/0/x\n"
    + _candidates(_NUMBERED, of_homes=False),
)
"""The sweep over all homes and the system's places."""


def extra_want(homes: Sequence[str], files: Sequence[tuple[int, str]]) -> Want:
    """Return a want for more homes, and files of some places, by the place's number."""
    listed = " ".join(map(shlex.quote, homes))
    named = "\n".join(
        f"seen {shlex.quote(path)}\none {PLACES[number - 1].scan} {number} {shlex.quote(path)}"
        for number, path in files
    )
    return _script(f"printf '%s\\n' {listed}" if homes else "true", named)


FOLDER_PLACES = (
    Place((), "N", "checkout", "an environment file or a token"),
    Place((), "K", "key", "a key"),
    Place((), "W", "key", "a key store"),
)
_BELOW = len(PLACES) + 1
_WORK = (
    "/home/gitlab-runner/builds", "/var/lib/gitlab-runner/builds", "/builds",
    "/var/lib/jenkins/workspace", "/var/lib/buildkite-agent/builds", "/opt/*/_work",
    "/home/*/actions-runner/_work", "/home/*/_work", "/srv/*/_work",
)  # fmt: skip
_STORES = ("*.p12", "*.pfx", "*.jks", "*.keystore")


def below_want(folders: Sequence[str]) -> Want:
    """Return a want for what lies below folders of builds, and the usual ones of runners' jobs."""
    asked = " ".join(map(shlex.quote, folders))
    keys = " -o ".join(f"-name {shlex.quote(each)}" for each in KEY_NAMES)
    tokens = (
        "-name .env -o -name '.env.*' -o -name '*.env' -o -name .npmrc -o -name .pypirc"
        " -o -name pip.conf -o -path '*/.git/config'"
    )
    stores = "".join(f"{each}|" for each in _STORES).rstrip("|")
    walk = (
        f'timeout 20 find "$@" -xdev -maxdepth 8 -type d -name node_modules -prune -o'
        f" -type f \\( {tokens} -o {keys} \\) -print"
    )
    rest = (
        f'set --; for w in {asked} {" ".join(_WORK)}; do seen "$w/x"; [ ! -d "$w" ] ||'
        ' set -- "$@" "$w"; done\n'
        f'[ $# = 0 ] || {{ {walk} 2>&1; printf "end %s\\n" $?; }} | head -n {MOST} |'
        " { last=; while IFS= read -r p; do last=$p; case $p in\n"
        "'end 0') ;;\nend*|find:*) printf 'H\\t0\\t%s\\n' \"$p\" ;;\n"
        "*.example|*.sample|*.template|*.dist|*.tmpl) ;;\n"
        f'{stores}) one W {_BELOW + 2} "$p" ;;\n'
        f'*.key|*.rsa) one K {_BELOW + 1} "$p" ;;\n'
        f'/*) one N {_BELOW} "$p" ;;\n'
        "*) printf 'H\\t0\\t%s\\n' 'a file whose name has a newline' ;;\nesac; done\n"
        "case $last in end*) ;; *)"
        " printf 'H\\t0\\t%s\\n' 'more files than are looked at' ;; esac; }"
    )
    return _script("true", rest)


@dataclass(frozen=True, slots=True)
class Found:
    """One file that may hold credentials.

    :param place: what of; ``read`` whether it could be looked at.
    :param names: of the settings in it that hold something; one that was cut has more.
    :param shape: its JSON without values; None if it was not looked at so.
    :param kind: of what kind a key it is; empty if it is none.
    :param whole: whether all of it is a secret.
    """

    path: str
    place: Place
    read: bool
    names: tuple[str, ...] = ()
    shape: str | None = None
    kind: str = ""
    whole: bool = False
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep found.

    :param hidden: places that could not be looked into.
    :param pointers: (file, variable, path): where else credentials are, by the environment.
    """

    found: tuple[Found, ...] = field(repr=False)
    hidden: tuple[str, ...] = ()
    pointers: tuple[tuple[str, str, str], ...] = ()

    def of(self, *topics: str) -> list[Found]:
        """Return the files of some topics."""
        return [each for each in self.found if each.place.topic in topics]


_TAGS = {"S": 2, "R": 1, "N": 2, "L": 1, "T": 2, "P": 3}


def swept(answer: Answer) -> Swept:
    """Read what a sweep says.

    :raises CannotAnswer: it is not whole, or damaged.
    """
    lines = lines_of(answer)
    if len(lines) < 2 or lines[-1] != END or not re.fullmatch(r"= uid \d+", lines[0]):
        raise CannotAnswer("the places of credentials were not swept to the end")
    root = lines[0] == "= uid 0"
    candidates: dict[str, tuple[str, Place]] = {}
    hidden: list[str] = []
    told: dict[str, dict[str, list[str]]] = {tag: {} for tag in _TAGS}
    pointers: list[tuple[str, str, str]] = []
    places = (*PLACES, *FOLDER_PLACES)
    for line in filter(None, lines[1:-1]):
        tag, *rest = line.split("\t")
        if (
            tag in ("J", "N", "W", "K", "U", "X", "D", "H")
            and len(rest) == 2
            and rest[0].isdecimal()
        ):
            number = int(rest[0])
            if tag == "H" or not 0 < number <= len(places):
                hidden.append(rest[1])
            elif tag != "D" or not root:
                candidates.setdefault(rest[1], (tag, places[number - 1]))
        elif tag == "P" and len(rest) == 3:
            pointers.append((rest[0], rest[1], rest[2]))
        elif tag in _TAGS and len(rest) == _TAGS[tag]:
            told[tag].setdefault(rest[0], []).append(rest[-1])
        else:
            raise CannotAnswer(f"a line of the sweep over credentials is none: {line[:60]!r}")
    return Swept(
        tuple(_found(path, *known, told) for path, known in candidates.items()),
        tuple(dict.fromkeys(hidden)), tuple(pointers),
    )  # fmt: skip


def _found(path: str, tag: str, place: Place, told: Mapping[str, Mapping[str, list[str]]]) -> Found:
    shape = told["S"].get(path, [None])[0] if tag == "J" else None
    seen = path in told["R"]
    read = {"J": shape is not None, "N": seen, "K": seen, "U": seen, "W": True}.get(tag, False)
    return Found(
        path, place, read, tuple(told["N"].get(path, ())), shape,
        told["T"].get(path, [""])[0], tag == "W", path in told["L"],
    )  # fmt: skip
