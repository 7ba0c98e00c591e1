"""Secrets are cut out of evidence as it arrives, before anything sees or stores it.

A secret leaves ``[redacted:LENGTH:FINGERPRINT]``: its length in bytes, and the first 12 hex digits
of an HMAC-SHA256 under a key of the run, so that equal secrets can still be told to be equal. What
is cut out stays inside the quotes it stood in, so JSON stays JSON. All work is linear in the text.
"""

from __future__ import annotations

import functools
import hmac
import json
import re
import shlex
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from urllib.parse import quote

from hullcheck.transport.secret_shapes import SHAPES
from hullcheck.transport.want import Evidence

__all__ = ["PLACEHOLDER", "Redactor", "looks_secret"]

PLACEHOLDER = re.compile(rb"\[redacted:\d+:[0-9a-f]{12}\]")

_BEGIN = re.compile(rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_TEXT = re.compile(
    rb"(?:(?:\s|\\[nrt])*+(?:(?:Proc-Type|DEK-Info|Version|Comment): [\w,. ()-]++"
    rb"|[A-Za-z0-9+/=]{16,}+(?=[\s\\\"'<\0-]|\Z)"
    rb"|[A-Za-z0-9+/=]++(?=(?:\s|\\[nrt]|\"\s*+,\s*+\")*+-----END )"
    rb"|\"\s*+,\s*+\"(?=[A-Za-z0-9+/=]++(?:\\n)?\"|-----END )))*+"
)
"""What a key is made of, and no more: a forged beginning must not swallow what comes after it."""

_PATTERNS = (
    # user:password@ in a URL; an image's @sha256: is no host.
    (b"://", re.compile(
        rb"(?P<kept>://[^\s/@:\"'\\\0]{0,256}+:)(?P<secret>[^\s/\"'\\\0]{1,1024})@(?!sha(?:256|512):)"
    )),
    (b"authorization", re.compile(
        rb"(?i)(?P<kept>authorization\\{0,7}[\"']?[ \t]{0,8}[:=,][ \t]{0,8}\[?\\{0,7}[\"']?"
        rb"(?:bearer|basic|token|digest|negotiate|apikey)[ \t]{1,8})"
        rb"(?P<secret>(?:[^\s\"'\\\0]++|\\++(?![\"']))++)"
    )),
    (b"chpasswd", re.compile(
        rb"(?P<kept>[ \t\"'][a-z_][\w.-]{0,32}:)(?P<secret>(?!\$)[^\s\"'\\|\0]{1,256})"
        rb"(?=\\{0,7}[\"']?[ \t]{0,8}\|[^\n|;]{0,64}chpasswd)"
    )),
    (b"bearer", re.compile(
        rb"(?i)(?P<kept>\bbearer[ \t]{1,8})(?P<secret>(?=[^\s\"'\\]{0,64}\d)[\w+/.=~-]{16,}+)"
    )),
)  # fmt: skip
"""What secrets stand in, and the small letters without which a pattern fits nothing."""

_COMMANDS = (
    (b"curl", re.compile(
        rb"(?P<kept>[ \t](?:-[a-zA-Z#]{0,16}[uU]|--(?:proxy-)?user)[ \t=]{0,8}\\{0,7}[\"']?"
        rb"[^\s:\"'\\$\0-][^\s:\"'\\\0]{0,128}:)(?P<secret>(?!\$)[^\s\"'\\\0]{1,512})"
    )),
    *((program, re.compile(
        rb"(?P<kept>[ \t]-p[ \t=]{0,8}\\{0,7}[\"']?)"
        rb"(?P<secret>(?!\$|\d{1,5}\b)[^\s\"'\\\0-][^\s\"'\\\0]{0,512})"
    )) for program in (b" login ", b"sshpass ")),
)  # fmt: skip
"""Programs, and the option after them, on the same line, that is followed by a secret."""

_NEAR = 512

_KEYWORDS = (b"pass", b"pwd", b"secret", b"token", b"cred", b"auth", b"key")
_KEYWORD = re.compile(rb"(?i)" + b"|".join(_KEYWORDS))
_NAME_CHARACTERS = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")
_REST = re.compile(rb"[\w.-]*+")
_AFTER_NAME = re.compile(
    rb"(?P<key>\\*+[\"'])\s*+[:=]\s*+(?P=key)"
    rb"|(?P<pair>\\*+\")\s*+,\s*+(?P=pair)value(?P=pair)\s*+:\s*+(?P=pair)"
    rb"|(?P<argument>\\*+[\"'])\s*+,\s*+(?P=argument)(?!-)"
    rb"|(?P<quoted>[\"'])[ \t]*+(?:\\\n(?:/[^\s:\"']{1,256}+:)?+[ \t]*+)?+(?P=quoted)(?!-)"
    rb"|(?P<bare>\\*+[\"']:[ \t]++)(?![\s\"'\\\[{])"
    rb"|(?P<line>:?[ \t\r]*+\n(?:/[^\n:]*+:)?\s*+value:[ \t]++)"
    rb"|(?P<flow>[ \t]*+,[ \t]*+value:[ \t]++)"
    rb"|(?P<equals>[ \t]{0,8}=[ \t]{0,8})"
    rb"|(?P<colon>:[ \t]++)"
    rb"|(?P<space>[ \t]++|\0)(?!-)"
)
_LITERAL = re.compile(rb"(?i)(?:true|false|null|none|-?\d[\d.e+-]*+)\s*+(?:[,}\]]|\Z)")
_QUOTE = re.compile(rb"\\*+[\"']")
_QUOTE_BEFORE = re.compile(rb"\\*[\"']\Z")
_WORD, _LISTED, _QUERY, _FLOW = (
    # A backslash belongs to the word, unless it belongs to a quote after it.
    re.compile(rb"[^\s\"'\0\\%s]*+(?:\\++(?![\"'])[^\s\"'\0\\%s]*+)*+" % (ends, ends))
    for ends in (b"", b",", b"&", b",}")
)
_LINE = re.compile(rb"[^\n\r\0]*+")
_BARE = re.compile(rb"[^\n\r\0\"'\\]*+(?:\\++(?![\"'])[^\n\r\0\"'\\]*+)*+")
_IN_DOUBLE = re.compile(rb"[^\"\\\n\0]*+(?:\\[^\n\0][^\"\\\n\0]*+)*+")
_JSON_LINE = re.compile(rb"(?:/[^\s:\"]++:)?[ \t]*+[\[{\"]")
"""A line of JSON; grep may have written the name of its file before it."""

_CAMEL = re.compile(rb"(?<=[a-z0-9])(?=[A-Z])")
_SECRET_WORD = re.compile(rb"PASSW|PASSPHRASE|SECRET|CREDENTIAL|APIKEY|TOKEN\d*$|^PASS$")
_KEYS = frozenset(
    b"API ACCESS PRIVATE SECRET ENCRYPTION SIGNING MASTER SHARED SESSION ACCOUNT STORAGE "
    b"UNLOCK DEPLOY LICENSE".split()
)
_HARMLESS_END = frozenset(
    b"FILE FILES PATH DIR DIRECTORY NAME TYPE TTL EXPIRY EXPIRES EXPIRATION LIFETIME AGE LENGTH "
    b"SIZE COUNT POLICY URL URI ENDPOINT ENABLED DISABLED MODE VERSION ALGORITHM DRIVER PROVIDER "
    b"METHOD HEADER VARIABLE PLUGIN PLUGINS STDIN "
    b"REQUIRED AUTHENTICATION STORE HELPER HELPERS".split()
)
_NAMING = ([b"KEY", b"ID"], [b"CREDENTIALS", b"ID"], [b"CREDENTIAL", b"ID"])
_REFUSED = frozenset([b"DISABLED", b"DISABLE", b"NO", b"WITHOUT"])
"""``adduser --disabled-password web``: the next word is a name."""
_HARMLESS_VALUE = frozenset(
    b"true false yes no y n m on off null none nil enabled disabled | > |- >- |+ >+ read write "
    b"inherit".split()
)
_PATH = re.compile(
    rb"(?:file://)?/(?:etc|run|var|usr|opt|home|root|srv|tmp|mnt|data|app|secrets?|certs?|vault|proc"
    rb"|dev|snap)/[\w./@:-]*"
)
_COMPLAINTS = frozenset((
    b"No such file or directory", b"Permission denied", b"Not a directory", b"Is a directory",
    b"Too many levels of symbolic links", b"No such process", b"Input/output error",
))  # fmt: skip
"""What tools say of a file after its name (errno(3)), be it called .credentials."""

_TABLES = rb"(?:files|compat|db|nis|ldap|sss|systemd|winbind|extrausers|altfiles)"
_NSSWITCH = re.compile(
    rb"%s(?:[ \t]++(?:%s|\[[!A-Za-z=]*+\])(?=[ \t]|\Z))*+[ \t]*+" % (_TABLES, _TABLES)
)
"""Where nsswitch.conf(5) finds the table called passwd."""
_REFERENCE = re.compile(
    rb"\$\{[A-Za-z_]\w*(?::?\?[^}\"'\n]*+|:?-)?\}|\$\([A-Za-z_][\w.]*\)"
    rb"|\$[A-Z][A-Z_]++|\$[a-z_]*(?:token|password|passwd|secret|pass|pwd|key)"
    rb"|(?:\$?\{\{(?:[=!]= ?'[^'\"\n]*'|''|[^'\"{}\n])*+\}\}[ :/@._-]*+)++|credentials\("
    rb"|\$\{\{|`[A-Za-z_./-]*+"
    rb"|\$\((?:base64|\\*+[\"'](?:\$\{?\w+\}?|%s|:|\\n)*+\\*+[\"']|[A-Za-z_./-]++"
    rb"|\$\{?\w+\}?|[ :|])*+\)?"
)
"""What a shell, a compose file or a pipeline puts something in the place of, or computes; of what
has spaces, the first word. With a digit in it, what begins with a dollar may be a password."""
_STAND_IN = re.compile(rb"(?:[a-z]++[_-])*+(?:placeholder|dummy)(?:[_-][a-z]++)*+")
"""What says itself that it stands for a secret: ``SECRET_KEY_BASE=precompile_placeholder``."""
_ENV = re.compile(rb"(?i)(?:\A|[\s:])ENV[ \t]{1,4}\Z")
"""Before a name of Dockerfile's ``ENV NAME value``."""


_TELLING_NOTHING = frozenset(["root", "docker", "admin", "user", "sudo", "password", "test"])
"""What every host says of itself: to cut it out would hide no secret, but change verdicts."""


@functools.lru_cache(maxsize=4096)
def looks_secret(name: bytes) -> bool:
    """Tell whether something of this name (DB_PASSWORD, apiKey, --token) is a secret itself."""
    words = re.split(rb"[_.\W]+", _CAMEL.sub(b"_", name).upper().strip(b"_.-"))
    if words[0] in _REFUSED or words[-1] in _HARMLESS_END or words[-2:] in _NAMING:
        return False
    if any(_SECRET_WORD.search(word) for word in words) or words[-1] == b"AUTH":
        return True
    if words[-1] == b"PWD" and len(words) > 1:
        return words[0] != b"OLD"
    if words[-3:] == [b"CLIENT", b"KEY", b"DATA"]:
        return True
    return any(pair[1] == b"KEY" and pair[0] in _KEYS for pair in pairwise(words))


class Redactor:
    """Cuts secrets out of evidence.

    :param salt: the key of the fingerprints; a new one for each run.
    :param secrets: secrets that are known to the auditor, such as a sudo password; a word that
        every host says, or one of up to three characters, cannot be told from the rest.
    """

    def __init__(self, salt: bytes, secrets: Iterable[str] = ()) -> None:
        self._salt = salt
        telling = {each for each in secrets if each not in _TELLING_NOTHING and len(each) > 3}
        known = sorted({way for each in telling for way in _ways(each)}, key=len)[::-1]
        alternatives = b"|".join(_known(each) for each in known)
        self._known = re.compile(b"(?P<kept>)(?P<secret>%s)" % alternatives) if known else None

    def __call__(self, evidence: Evidence) -> Evidence:
        """Return the same evidence without secrets; its exit code and times stay."""
        return replace(
            evidence,
            command=_cleaned(self, evidence.command),
            stdout=self.clean(evidence.stdout),
            stderr=self.clean(evidence.stderr),
        )

    def __eq__(self, other: object) -> bool:
        """Two are equal that cut out the same."""
        return isinstance(other, Redactor) and self._same == other._same

    def __hash__(self) -> int:
        return hash(self._same)

    @property
    def _same(self) -> tuple[bytes, re.Pattern[bytes] | None]:
        return self._salt, self._known

    def clean(self, data: bytes) -> bytes:
        """Return text without secrets; doing it twice changes nothing more."""
        if not data:
            return data
        if self._known:
            data = self._around(self._known, data)
        low = data.lower()
        if b"private key" in low:
            data = self._private_keys(data)
        for telling, pattern in _PATTERNS:
            if telling in low:
                data = pattern.sub(self._replaced, data)
        for program, pattern in _COMMANDS:
            if program in low:
                data = pattern.sub(functools.partial(self._given, program), data)
        if any(each in low for each in _KEYWORDS):
            data = self._named(data)
        for telling_ones, pattern in SHAPES:
            if any(each in low for each in telling_ones):
                data = pattern.sub(self._replaced, data)
        return data

    def _mark(self, secret: bytes) -> bytes:
        fingerprint = hmac.digest(self._salt, secret, "sha256").hex()[:12]
        return b"[redacted:%d:%s]" % (len(secret), fingerprint.encode())

    def _replaced(self, found: re.Match[bytes]) -> bytes:
        secret = found["secret"]
        if PLACEHOLDER.fullmatch(secret) or _REFERENCE.fullmatch(secret):
            return found[0]
        return found["kept"] + self._mark(secret) + found[0][len(found["kept"]) + len(secret) :]

    def _given(self, program: bytes, found: re.Match[bytes]) -> bytes:
        """Replace what a program is given, if it stands before it on the line."""
        before = found.string[max(0, found.start() - _NEAR) : found.start() + 1]
        line = before[before.rfind(b"\n") + 1 :]
        return self._replaced(found) if program in line else found[0]

    def _around(self, pattern: re.Pattern[bytes], data: bytes) -> bytes:
        """Replace everywhere but in what has been replaced before."""
        parts = []
        position = 0
        for mark in PLACEHOLDER.finditer(data):
            parts += [pattern.sub(self._replaced, data[position : mark.start()]), mark[0]]
            position = mark.end()
        return b"".join([*parts, pattern.sub(self._replaced, data[position:])])

    def _private_keys(self, data: bytes) -> bytes:
        parts, position = [], 0
        for begin in _BEGIN.finditer(data):
            found = _KEY_TEXT.match(data, begin.end())
            body = found[0] if found else b""
            if body.strip() and begin.start() >= position:
                parts += [data[position : begin.end()], self._mark(body)]
                position = begin.end() + len(body)
        return b"".join([*parts, data[position:]])

    def _named(self, data: bytes) -> bytes:
        """Cut out the values of names that look secret: NAME=value, "name": "value", --name x."""
        parts, kept, position, bounds = [], 0, 0, _Bounds(data)
        while keyword := _KEYWORD.search(data, position):
            start = keyword.start()
            while start > position and data[start - 1] in _NAME_CHARACTERS:
                start -= 1
            rest = _REST.match(data, keyword.end())
            position = rest.end() if rest else keyword.end()
            name = data[start:position]
            after = _AFTER_NAME.match(data, position)
            before = data[max(0, start - 8) : start]
            if not after or not looks_secret(name) or not _fits(name, after, before):
                continue
            if after["bare"] and _LITERAL.match(data, after.end()):
                continue
            bounds.enter(after.end())
            first, last = _value(data, start, after, bounds)
            if _harmless(data[first:last]):
                continue
            parts += [data[kept:first], self._mark(data[first:last])]
            kept = position = last
        return b"".join([*parts, data[kept:]])


@functools.lru_cache(maxsize=4096)
def _cleaned(redactor: Redactor, command: str) -> str:
    """Return a command without secrets: most are the same on every host."""
    cleaned = redactor.clean(command.encode("utf-8", "surrogateescape"))
    return cleaned.decode("utf-8", "surrogateescape")


def _ways(secret: str) -> set[bytes]:
    """Return the ways in which a known secret may be written."""
    written = {secret, json.dumps(secret)[1:-1], quote(secret, safe=""), shlex.quote(secret)}
    return {each.encode("utf-8", "surrogateescape") for each in written}


def _known(secret: bytes) -> bytes:
    """Return a pattern for a known secret; a short word must stand alone to be meant."""
    pattern = re.escape(secret)
    if len(secret) >= 8 or not secret.isalnum():
        return pattern
    return rb"(?<![\w.-])%s(?![\w.-])" % pattern


def _fits(name: bytes, after: re.Match[bytes], before: bytes) -> bool:
    """Tell whether what follows a name can be its value: a flag's, only after a flag."""
    if after["space"] and _ENV.search(before):
        return True
    return name.startswith(b"-") or not (after["argument"] or after["quoted"] or after["space"])


def _harmless(value: bytes) -> bool:
    return bool(
        not value.strip()
        or value.strip().lower() in _HARMLESS_VALUE
        or value.strip() in _COMPLAINTS
        or PLACEHOLDER.fullmatch(value)
        or _PATH.fullmatch(value)
        or _REFERENCE.fullmatch(value)
        or _NSSWITCH.fullmatch(value)
        or _STAND_IN.fullmatch(value)
    )


def _value(data: bytes, start: int, after: re.Match[bytes], bounds: _Bounds) -> tuple[int, int]:
    """Return where the value of the name that starts at ``start`` begins and ends.

    It ends on its line, and in JSON in its string: what a host's user writes must not be able to
    take anything else out of the evidence.
    """
    first = after.end()
    mark = after["key"] or after["pair"] or after["argument"] or after["quoted"]
    if mark:
        return first, bounds.closing(first, mark)
    if after["line"] or after["bare"]:
        return first, _end(_LINE if after["line"] else _BARE, data, first)
    before = data[max(0, start - 8) : start]
    opened = _QUOTE_BEFORE.search(before)
    if opened:
        return first, bounds.closing(first, opened[0])
    own = _QUOTE.match(data, first)
    if own:
        closing = bounds.closing(own.end(), own[0])
        return (own.end(), closing) if closing > own.end() else (first, closing)
    return first, _end(_extent(data, start, before, after), data, first)


def _extent(data: bytes, start: int, before: bytes, after: re.Match[bytes]) -> re.Pattern[bytes]:
    """Return how far a value without quotes reaches, by what stands before its name."""
    if after["space"]:
        return _LINE if after["space"] == b"\0" or _ENV.search(before) else _WORD
    if before.endswith(b"\0") or (not start and b"\0" in data):
        return _LINE
    line = data[max(0, data.rfind(b"\n", max(0, start - 64), start) + 1, start - 64) : start]
    if not (after["flow"] or line.strip(b" \t-")):
        return _LINE
    if after["flow"] or (after["colon"] and before.rstrip(b" ")[-1:] in (b"{", b",")):
        return _FLOW
    if before.endswith(b","):
        return _LISTED
    return _QUERY if before.endswith((b"?", b"&")) else _WORD


def _end(pattern: re.Pattern[bytes], data: bytes, first: int) -> int:
    found = pattern.match(data, first)
    return found.end() if found else first


class _Bounds:
    """How far a value may reach, asked for positions that only grow; each byte is read once."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._line_end = self._string_end = -1
        self.in_json = False

    def enter(self, start: int) -> None:
        """Go on to the line that a name stands in."""
        if start > self._line_end:
            begin = self._data.rfind(b"\n", max(self._line_end, 0), start) + 1
            self.in_json = bool(_JSON_LINE.match(self._data, begin))
            self._line_end = _end(_LINE, self._data, start)

    def closing(self, first: int, mark: bytes) -> int:
        """Return where a quoted text ends, on its line; in JSON, within its string."""
        limit = max(self._line_end, first)
        if self.in_json:
            if first > self._string_end:
                self._string_end = _end(_IN_DOUBLE, self._data, first)
            limit = min(limit, self._string_end)
        if mark == b'"':
            return min(limit, _end(_IN_DOUBLE, self._data, first))
        last = self._data.find(mark, first, limit)
        return limit if last < 0 else last
