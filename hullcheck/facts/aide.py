"""AIDE: which files its rules look at, with a checksum (aide.conf(5))."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from hullcheck.control import Unknown
from hullcheck.facts.conf_files import ConfFiles

__all__ = ["Aide", "parse_aide"]

CHECKSUMS = frozenset({
    "md5", "sha1", "sha256", "sha512", "rmd160", "tiger", "haval", "gost", "whirlpool",
    "stribog256", "stribog512", "sha512_256", "sha3_256", "sha3_512",
})  # fmt: skip
"""What tells that the content has changed."""

GROUPS = {"R": frozenset({"md5", "p", "i", "n", "u", "g", "s", "m", "c"}), "H": CHECKSUMS}
"""The groups with a checksum that need no definition (``aide --version``)."""

OPTIONS = frozenset({
    "database", "database_in", "database_out", "database_new", "database_attrs", "verbose",
    "log_level", "report_url", "report_level", "report_format", "gzip_dbout", "root_prefix",
    "acl_no_symlink_follow", "warn_dead_symlinks", "grouped", "summarize_changes", "syslog_format",
    "report_detailed_init", "report_base16", "report_quiet", "report_append", "report_grouped",
    "report_summarize_changes", "report_ignore_added_attrs", "report_ignore_removed_attrs",
    "report_ignore_changed_attrs", "report_force_attrs", "report_ignore_e2fsattrs",
    "database_add_metadata", "config_version", "config_check_warn_unrestricted_rules",
    "num_workers",
})  # fmt: skip

_DEEPEST = 10
_SETTING = re.compile(r"([A-Za-z_]\w*)\s*=\s*(.*)")
_WORDS = re.compile(r"(?:\\.|\S)+")


@dataclass(frozen=True, slots=True)
class _Rule:
    kind: str
    pattern: re.Pattern[str]
    types: str


@dataclass(slots=True)
class Aide:
    """What a configuration says.

    :param options: its settings by name. ``doubt``: why it may say more than was understood.
    """

    options: dict[str, str] = field(default_factory=dict)
    groups: dict[str, frozenset[str]] = field(default_factory=lambda: dict(GROUPS))
    rules: list[_Rule] = field(default_factory=list)
    defines: dict[str, str] = field(default_factory=dict)
    doubt: str = ""

    @property
    def database(self) -> str:
        """The file with what is known; empty if it is no file or is not named."""
        text = self.options.get("database_in") or self.options.get("database") or ""
        found = re.fullmatch(r"file:/*(/.*)", text)
        return found[1] if found else ""

    def covers(self, path: str, kind: str = "f") -> bool:
        """Whether a change of a file's content is noticed.

        A rule that begins with ``!`` or ``-`` takes out what it matches, and what lies below
        unless it is for some kinds of file only.
        """
        parts = path.split("/")
        above = ["/".join(parts[:count]) or "/" for count in range(1, len(parts))]
        for rule in self.rules:
            if rule.kind in "!-":
                own = (not rule.types or kind in rule.types) and rule.pattern.match(path)
                over = not rule.types and any(rule.pattern.fullmatch(each) for each in above)
                if own or over:
                    return False
        return any(
            rule.pattern.fullmatch(path) if rule.kind == "=" else rule.pattern.match(path)
            for rule in self.rules
            if rule.kind in "/=" and (not rule.types or kind in rule.types)
        )


def parse_aide(files: ConfFiles, first: str) -> Aide:
    """Return what a configuration and all that it includes say.

    :raises Unknown: a part of it cannot be read.
    """
    made = Aide()
    _read(made, files, first, 0)
    return made


def _read(made: Aide, files: ConfFiles, path: str, depth: int) -> None:
    if depth > _DEEPEST:
        raise Unknown(f"{path} includes itself")
    text = files.text(path)
    if text is None:
        raise Unknown(f"{path} is included, and was not read")
    if text.startswith("#!"):
        made.doubt = f"{path} is a program that writes rules"
        return
    skipping: list[bool] = []
    for line in text.replace("\\\n", "").splitlines():
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        if stripped.startswith("@@") and not stripped.startswith("@@{"):
            _macro(made, files, stripped, skipping, depth)
        elif not any(skipping):
            _line(made, _filled(made, stripped))


def _filled(made: Aide, text: str) -> str:
    return re.sub(r"@@\{(\w+)\}", lambda found: made.defines.get(found[1], found[0]), text)


def _macro(made: Aide, files: ConfFiles, line: str, skipping: list[bool], depth: int) -> None:
    word, _, rest = line.partition(" ")
    rest = rest.strip()
    if word in ("@@ifdef", "@@ifndef"):
        skipping.append((rest in made.defines) != (word == "@@ifdef"))
    elif word.startswith("@@if"):
        made.doubt = made.doubt or f"{line[:60]} was taken to hold"
        skipping.append(False)
    elif word == "@@else" and skipping:
        skipping[-1] = not skipping[-1]
    elif word == "@@endif" and skipping:
        skipping.pop()
    elif any(skipping):
        return
    elif word == "@@define":
        name, _, value = rest.partition(" ")
        made.defines[name] = value.strip()
    elif word == "@@undef":
        made.defines.pop(rest, None)
    elif word in ("@@include", "@@x_include"):
        for path in _included(made, files, _filled(made, rest)):
            _read(made, files, path, depth + 1)


def _included(made: Aide, files: ConfFiles, text: str) -> Iterable[str]:
    place, *pattern = text.split()[:2] or [""]
    if not pattern:
        return [place]
    try:
        named = re.compile(pattern[0])
    except re.error:
        made.doubt = f"what {text[:60]} includes is not understood"
        return []
    found = files.matching(f"{place.rstrip('/')}/*")
    return [path for path in found if named.search(path.rpartition("/")[2])]


def _line(made: Aide, line: str) -> None:
    if line[0] in "/=!-":
        _rule(made, line)
        return
    setting = _SETTING.fullmatch(line)
    if setting and setting[1].lower() in OPTIONS:
        made.options.setdefault(setting[1].lower(), setting[2].strip())
    elif setting:
        made.groups[setting[1]] = frozenset(_attributes(setting[2], made.groups))


def _rule(made: Aide, line: str) -> None:
    kind = line[0] if line[0] in "=!-" else "/"
    words = _WORDS.findall(line[1:].strip() if kind != "/" else line)
    if not words:
        return
    negative = kind in "!-"
    types = words[1] if len(words) == (2 if negative else 3) else ""
    types = "" if types == "0" else types.partition("=")[0]
    if not negative and not (
        len(words) > 1 and set(_attributes(words[-1], made.groups)) & CHECKSUMS
    ):
        return
    try:
        made.rules.append(_Rule(kind, re.compile(words[0].replace("\\ ", " ")), types))
    except re.error:
        made.doubt = f"the rule {line[:60]} is not understood"
        if negative:
            raise Unknown(made.doubt) from None


def _attributes(text: str, groups: Mapping[str, frozenset[str]]) -> Iterator[str]:
    """Yield what is left of an expression such as ``NORMAL+sha512-md5``."""
    found: set[str] = set()
    for sign, name in re.findall(r"([+-]?)\s*([\w>]+)", text):
        more = groups.get(name, frozenset({name}))
        found = found - more if sign == "-" else found | more
    yield from found
