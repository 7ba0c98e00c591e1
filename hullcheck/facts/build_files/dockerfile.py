"""Dockerfiles as BuildKit reads them: directives, continued lines, heredocs, flags and stages.

Rules: BuildKit, frontend/dockerfile/parser (parser.go, directives.go) and docs/reference.md. The
parsers on PyPI read the lines of a heredoc as instructions (dockerfile-parse 2.0.1, its issue 145)
or are archived (dockerfile, a build of Go), so this is our own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from hullcheck.facts.recipes import KEYWORDS

__all__ = ["Base", "Line", "NoDockerfile", "Recipe", "Stage", "assigned", "expand",
           "parse_dockerfile"]  # fmt: skip

_DIRECTIVE = re.compile(r"(?:#|//)\s*([A-Za-z][A-Za-z0-9]*)\s*=\s*(.+?)\s*")
_DIRECTIVES = ("syntax", "escape", "check")
_HEREDOC = re.compile(r"(?<![<\w])\d*<<(-?)([\"']?)([A-Za-z0-9_.-]+)\2(?=\s|$|[;&|)>])")
_TAKING_HEREDOCS = ("RUN", "COPY", "ADD")
_FLAG = re.compile(r"--([a-z][a-z-]*)(?:=(.*))?", re.DOTALL)
_WORD = re.compile(r"(?:[^\s\"'\\]|\\.|\"(?:[^\"\\]|\\.)*\"|'[^']*')+", re.DOTALL)
_VARIABLE = re.compile(
    r"\\\$|\$(?:(?P<bare>[A-Za-z_]\w*)|\{(?P<name>[A-Za-z_]\w*)(?P<how>:?[-+?])?(?P<word>[^{}]*)\})"
)
MOST = 5_000
"""Lines that a Dockerfile may have."""
FLAGS = 50
LONGEST = 1_000
"""Letters of a directive."""


class NoDockerfile(ValueError):
    """A text is no Dockerfile; says why."""


@dataclass(frozen=True, slots=True)
class Line:
    """An instruction.

    :param number: the line it begins on.
    :param text: what follows the keyword and its flags, lines joined.
    :param flags: its flags in order, ``("chmod", "755")``.
    :param heredocs: the texts that follow it, by name.
    """

    number: int
    keyword: str
    text: str
    flags: tuple[tuple[str, str], ...] = ()
    heredocs: Mapping[str, str] = field(default_factory=dict)

    def flag(self, name: str) -> list[str]:
        return [value for each, value in self.flags if each == name]

    @property
    def words(self) -> list[str]:
        """Its words, of the JSON form too; heredocs' marks left out."""
        listed = self.listed
        if listed is not None:
            return listed
        return [_unquoted(each) for each in _WORD.findall(_HEREDOC.sub(" ", self.text))]

    @property
    def listed(self) -> list[str] | None:
        """The words of its JSON form; None if it has another."""
        if not self.text.startswith("["):
            return None
        try:
            found = json.loads(self.text)
        except (ValueError, RecursionError):
            return None
        return found if all(isinstance(each, str) for each in found) else None

    @property
    def script(self) -> str:
        """What a RUN gives to the shell; a heredoc alone is a script itself."""
        listed = self.listed
        if listed is not None:
            return " ".join(map(_shell_word, listed))
        marks = _HEREDOC.sub("", self.text).strip()
        if self.heredocs and not marks:
            first = next(iter(self.heredocs.values()))
            return first if not first.startswith("#!") else _of_interpreter(first)
        bodies = (f"{body}\n{name}" for name, body in self.heredocs.items())
        return "\n".join((self.text, *bodies))

    def __str__(self) -> str:
        text = " ".join(f"{self.keyword} {self.text}".split())
        return f"line {self.number}: {text if len(text) <= 90 else text[:87] + '...'}"


@dataclass(frozen=True, slots=True)
class Base:
    """What a stage is built on, or files are taken from.

    :param name: with arguments put in; empty if one has no default.
    :param written: as it stands in the file.
    """

    name: str
    written: str
    number: int


@dataclass(frozen=True, slots=True)
class Stage:
    """:param lines: its instructions after FROM."""

    name: str
    base: Base
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Recipe:
    """A Dockerfile.

    :param syntax: the image of the frontend that is to read it; empty if the builder's own is.
    :param before: the ARGs before the first stage.
    """

    syntax: str
    before: tuple[Line, ...]
    stages: tuple[Stage, ...]

    @property
    def lines(self) -> Iterator[Line]:
        yield from self.before
        for each in self.stages:
            yield from each.lines

    def chain(self, stage: Stage) -> list[Stage]:
        """Return a stage and those of the file that it is built on, the last one first."""
        found = [stage]
        while (
            index := self.index_of(found[-1].base.name, self.stages.index(found[-1]))
        ) is not None:
            found.append(self.stages[index])
        return found

    def index_of(self, name: str, before: int | None = None) -> int | None:
        """Return which earlier stage is called so, by name or (COPY --from) number."""
        limit = len(self.stages) if before is None else before
        for index in range(limit - 1, -1, -1):
            if self.stages[index].name and self.stages[index].name == name.lower():
                return index
        return None

    def outside(self) -> list[Base]:
        """Return all images from elsewhere: bases, and what files are taken or mounted from."""
        found = []
        for place, stage in enumerate(self.stages):
            if self.index_of(stage.base.name, place) is None and stage.base.name != "scratch":
                found.append(stage.base)
            for line in stage.lines:
                for name in _sources(line):
                    known = name.isdecimal() or self.index_of(name) is not None
                    if not known and name not in ("scratch", ""):
                        shown = "" if "$" in name else name
                        found.append(Base(shown, name, line.number))
        return list({(each.name, each.written): each for each in reversed(found)}.values())[::-1]


def _sources(line: Line) -> Iterator[str]:
    if line.keyword in ("COPY", "ADD"):
        yield from line.flag("from")
    if line.keyword == "RUN":
        for value in line.flag("mount"):
            for part in value.split(","):
                name, _, told = part.partition("=")
                if name.strip().lower() == "from":
                    yield told.strip()


def parse_dockerfile(content: str) -> Recipe:
    """Return what a Dockerfile says. :raises NoDockerfile: it is none."""
    lines = content.removeprefix("\ufeff").split("\n")
    if len(lines) > MOST:
        raise NoDockerfile(f"it has more than {MOST} lines")
    directives = _directives(lines)
    escape = directives.get("escape", "\\")
    if escape not in ("\\", "`"):
        raise NoDockerfile(f"its escape character is {escape[:20]!r}")
    made = list(_instructions(lines, escape))
    return _staged(directives.get("syntax", "").partition(" ")[0], made)


def _directives(lines: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, line in enumerate(lines):
        if number == 0 and line.startswith("#!"):
            continue
        told = _DIRECTIVE.fullmatch(line.strip()) if len(line) < LONGEST else None
        if told is None or told[1].lower() not in _DIRECTIVES:
            break
        found.setdefault(told[1].lower(), told[2])
    return found


def _instructions(lines: list[str], escape: str) -> Iterator[Line]:
    ends = re.compile(rf"(?:(?<!{re.escape(escape)})|^){re.escape(escape)}[ \t\r]*$")
    at = 0
    while at < len(lines):
        number, whole, continued = 0, list[str](), True
        while at < len(lines) and continued:
            line = lines[at].rstrip("\r")
            at += 1
            bare = line.strip()
            if not bare or bare.startswith("#") or (at == 1 and bare.startswith("//")):
                continued = bool(whole)
                continue
            number = number or at
            shortened = ends.sub("", line)
            continued = shortened != line
            whole.append(shortened if whole else shortened.lstrip())
        if not whole:
            continue
        made = _instruction("".join(whole), number)
        if _may_have_heredocs(made):
            heredocs, at = _heredocs(made.text, lines, at)
            made = Line(made.number, made.keyword, made.text, made.flags, heredocs)
        yield made


def _may_have_heredocs(made: Line) -> bool:
    keyword = made.text.partition(" ")[0].upper() if made.keyword == "ONBUILD" else made.keyword
    return keyword in _TAKING_HEREDOCS and "<<" in made.text and made.listed is None


def _heredocs(text: str, lines: list[str], at: int) -> tuple[dict[str, str], int]:
    found: dict[str, str] = {}
    for dash, _, name in _HEREDOC.findall(text):
        body = []
        while at < len(lines):
            line = lines[at].lstrip("\t") if dash else lines[at]
            at += 1
            if line.rstrip("\r") == name:
                break
            body.append(line)
        else:
            raise NoDockerfile(f"a heredoc does not come to its end: {name[:40]}")
        found[name] = "\n".join(body)
    return found, at


def _instruction(text: str, number: int) -> Line:
    parts = text.split(None, 1)
    keyword, rest = parts[0].upper(), parts[1].strip() if len(parts) > 1 else ""
    if keyword not in KEYWORDS:
        raise NoDockerfile(f"line {number}: there is no instruction {parts[0][:40]!r}")
    flags = []
    while rest.startswith("--") and keyword not in ("CMD", "ENTRYPOINT", "ONBUILD"):
        word = _WORD.match(rest)
        told = _FLAG.fullmatch(_unquoted(word[0])) if word else None
        if word is None or told is None:
            break
        flags.append((told[1], told[2] or ""))
        if len(flags) > FLAGS:
            raise NoDockerfile(f"line {number}: it has more than {FLAGS} flags")
        rest = rest[word.end() :].lstrip()
    return Line(number, keyword, rest, tuple(flags))


def _staged(syntax: str, made: list[Line]) -> Recipe:
    before: list[Line] = []
    stages: list[Stage] = []
    known: dict[str, str | None] = {}
    for line in made:
        if line.keyword == "FROM":
            words = line.words
            if not words:
                raise NoDockerfile(f"line {line.number}: FROM names nothing")
            named = len(words) > 2 and words[1].lower() == "as"
            base = Base(expand(words[0], known) or "", words[0], line.number)
            stages.append(Stage(words[2].lower() if named else "", base, ()))
        elif stages:
            last = stages[-1]
            stages[-1] = Stage(last.name, last.base, (*last.lines, line))
        elif line.keyword == "ARG":
            before.append(line)
            known |= {name: expand(value or "", known) if value else value
                      for name, value in assigned(line)}  # fmt: skip
        else:
            raise NoDockerfile(f"line {line.number}: {line.keyword} stands before FROM")
    if not stages:
        raise NoDockerfile("it has no FROM")
    return Recipe(syntax, tuple(before), tuple(stages))


def assigned(line: Line) -> list[tuple[str, str | None]]:
    """Return what an ARG, ENV or LABEL sets: ``A=b C=d``, or ``A b`` to the line's end."""
    words = _WORD.findall(line.text)
    if not words:
        return []
    if line.keyword != "ARG" and "=" not in words[0]:
        name, _, value = line.text.partition(" ")
        return [(_unquoted(name), value.strip())]
    pairs = (each.partition("=") for each in words)
    return [
        (_unquoted(name), _unquoted(value) if equals else None) for name, equals, value in pairs
    ]


def expand(word: str, known: Mapping[str, str | None]) -> str | None:
    """Return a word with variables put in; None if one has no value that is known.

    ``$A``, ``${A}``, ``${A:-word}`` and ``${A:+word}``; any other form is not known.
    """
    missing = False

    def put_in(found: re.Match[str]) -> str:
        nonlocal missing
        if found[0] == "\\$":
            return "$"
        value, how = known.get(found["bare"] or found["name"]), (found["how"] or "")[-1:]
        if how == "+":
            return (found["word"] or "") if value else ""
        if how == "-" and not value:
            return found["word"] or ""
        if value is None or (found["word"] and not how):
            missing = True
        return value or ""

    made = _VARIABLE.sub(put_in, word)
    return None if missing or "$" in made else made


def _unquoted(word: str) -> str:
    return re.sub(r"\\(.)|[\"']", lambda found: found[1] or "", word)


def _shell_word(word: str) -> str:
    return word if re.fullmatch(r"[\w./:=@%+,-]+", word) else "'" + word.replace("'", "'\\''") + "'"


def _of_interpreter(script: str) -> str:
    """Return a heredoc that names its interpreter as a script for it, on its stdin."""
    first, _, rest = script.partition("\n")
    return f"{first[2:].strip()} <<'hullcheck heredoc'\n{rest}\nhullcheck heredoc"
