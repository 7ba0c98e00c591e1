"""Options of ssh_config(5) that a host may be given beside the user's own configuration.

Some are honoured by both ways over SSH, some by the OpenSSH client only. No other can be given:
least of all one that loosens how host keys are checked, forwards an agent or runs a command here.
"""

from __future__ import annotations

import difflib
import getopt
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from hullcheck.transport.target import home_path

__all__ = ["Arguments", "Options", "checked_option", "client_only", "parse_arguments"]

Options: TypeAlias = tuple[tuple[str, str], ...]
"""Keywords of ssh_config(5), each with its value; the first of a keyword counts."""

_BOTH = (
    "ProxyJump", "ProxyCommand", "ConnectTimeout", "IdentityFile", "CertificateFile",
    "IdentitiesOnly", "IdentityAgent", "HostKeyAlias", "UserKnownHostsFile", "GlobalKnownHostsFile",
)  # fmt: skip
_CLIENT = (
    "AddressFamily", "BindAddress", "BindInterface", "CASignatureAlgorithms", "Ciphers",
    "GSSAPIAuthentication", "HostKeyAlgorithms", "HostbasedAuthentication", "IPQoS",
    "KexAlgorithms", "MACs", "PKCS11Provider", "PreferredAuthentications",
    "PubkeyAcceptedAlgorithms", "PubkeyAcceptedKeyTypes", "PubkeyAuthentication", "RekeyLimit",
    "RequiredRSASize", "SecurityKeyProvider",
)  # fmt: skip
_KNOWN = {each.lower(): each for each in (*_BOTH, *_CLIENT)}
_ELSEWHERE = {"hostname": "address", "port": "port", "user": "user"}
_STRICT = {
    "stricthostkeychecking": "host keys are always checked",
    "forwardagent": "no agent is forwarded",
    "forwardx11": "no display is forwarded",
    "forwardx11trusted": "no display is forwarded",
}
# What changes nothing for us: how ssh talks to a person, shares connections and stays alive.
_IDLE = (
    "addkeystoagent", "batchmode", "challengeresponseauthentication", "checkhostip",
    "clearallforwardings", "compression", "connectionattempts", "controlmaster", "controlpath",
    "controlpersist", "escapechar", "exitonforwardfailure", "hashknownhosts",
    "kbdinteractiveauthentication", "loglevel", "numberofpasswordprompts",
    "passwordauthentication", "requesttty", "serveralivecountmax", "serveraliveinterval",
    "tcpkeepalive", "updatehostkeys", "visualhostkey",
)  # fmt: skip
_FLAGS = {
    "-J": "ProxyJump", "-i": "IdentityFile", "-c": "Ciphers", "-m": "MACs", "-p": "Port",
    "-l": "User", "-b": "BindAddress", "-B": "BindInterface",
}  # fmt: skip
_WORDS = {
    "-4": ("AddressFamily", "inet"), "-6": ("AddressFamily", "inet6"),
    "-A": ("ForwardAgent", "yes"), "-X": ("ForwardX11", "yes"), "-Y": ("ForwardX11Trusted", "yes"),
}  # fmt: skip
_IDLE_FLAGS = [f"-{letter}" for letter in "CqvTtxaknMSEey"]
_ALL_FLAGS = "46AaCfGgKkMNnqsTtVvXxYyB:b:c:D:E:e:F:I:i:J:L:l:m:O:o:P:p:Q:R:S:W:w:"
_LOOSE = re.compile(r"StrictHostKeyChecking[\s='\"]*(?!yes\b|true\b|ask\b)\w", re.IGNORECASE)


def checked_option(keyword: str, value: str) -> tuple[str, str]:
    """Return an option as ssh_config(5) spells it.

    :raises ValueError: it cannot be given here; the text is one sentence.
    """
    lower = keyword.lower()
    if lower in _ELSEWHERE:
        raise ValueError(f"{keyword} is no ssh option here; say it as {_ELSEWHERE[lower]}")
    if lower in _STRICT:
        raise ValueError(f"{keyword} is not to be said: {_STRICT[lower]}; leave it out")
    if lower in _IDLE:
        raise ValueError(f"{keyword} would change nothing here; leave it out")
    if lower not in _KNOWN:
        near = [_KNOWN[each] for each in difflib.get_close_matches(lower, _KNOWN, 3, 0.6)]
        advice = f"did you mean {' or '.join(near)}?" if near else f"they are {', '.join(_BOTH)}"
        raise ValueError(f"{keyword!r} is no ssh option that can be given here; {advice}")
    if not value.strip() or re.search(r"[\x00-\x1f\x7f]", value):
        raise ValueError(f"{keyword} is {value!r}; write one line of text")
    if lower == "connecttimeout" and not re.fullmatch("[1-9][0-9]{0,4}", value):
        raise ValueError(f"{keyword} is {value!r}; write how many seconds")
    if lower in ("proxycommand", "proxyjump") and _LOOSE.search(value):
        raise ValueError(
            f"{keyword} turns off the check of a jump host's key; connect to it once by hand, "
            "so that its key is known, and say ProxyJump"
        )
    return _KNOWN[lower], value.strip()


def client_only(options: Iterable[tuple[str, str]]) -> str:
    """Return the first option that only the OpenSSH client honours, or nothing."""
    return next((key for key, _ in options if key in _CLIENT), "")


@dataclass(frozen=True, slots=True)
class Arguments:
    """What a command line of ssh's says of a host.

    :param config: the file to read instead of ``~/.ssh/config``.
    :param left_out: sentences about what is said there and not done here.
    """

    options: Options = ()
    config: Path | None = None
    left_out: tuple[str, ...] = ()


def parse_arguments(text: str) -> Arguments:
    """Read ssh's options as they stand on a command line: ``-J bastion -o ConnectTimeout=5``.

    :raises ValueError: it says what cannot be done here; the text is one sentence.
    """
    try:
        flags, words = getopt.getopt(shlex.split(text), _ALL_FLAGS)
    except getopt.GetoptError as error:
        raise ValueError(f"ssh has no such argument: {error.msg}") from None
    if words:
        raise ValueError(f"{words[0]!r} is no option of ssh's")
    options: list[tuple[str, str]] = []
    left_out: list[str] = []
    for keyword, value in _options(flags):
        if refusal := _refusal(keyword, value):
            left_out.append(f"{keyword}={value} is not done: {refusal}")
        elif keyword.lower() in _ELSEWHERE:
            options.append(_place(keyword, value))
        elif keyword.lower() not in (*_IDLE, *_STRICT):
            options.append(checked_option(keyword, value))
    config = next((home_path(value) for flag, value in flags if flag == "-F"), None)
    return Arguments(tuple(options), config, tuple(left_out))


def _options(flags: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield the keywords and values that flags stand for."""
    for flag, value in flags:
        if flag == "-o":
            found = re.fullmatch(r"\s*(\w+)(?:\s*=\s*|\s+)(.*?)\s*", value, re.DOTALL)
            if not found:
                raise ValueError(f"-o {value!r} is not KEYWORD=VALUE")
            yield found[1], found[2]
        elif flag in _FLAGS:
            yield _FLAGS[flag], f'"{value}"' if flag == "-i" else value
        elif flag in _WORDS:
            yield _WORDS[flag]
        elif flag not in _IDLE_FLAGS and flag != "-F":
            raise ValueError(f"{flag} cannot be done here; say what it is for in ~/.ssh/config")


def _refusal(keyword: str, value: str) -> str:
    """Return why an option is left out that others may have had reason to give."""
    lower, plain = keyword.lower(), value.strip('"').lower()
    if lower in ("userknownhostsfile", "globalknownhostsfile") and plain == "/dev/null":
        return _STRICT["stricthostkeychecking"]
    harmless = ("yes", "true", "ask") if lower == "stricthostkeychecking" else ("no", "false")
    return "" if plain in harmless else _STRICT.get(lower, "")


def _place(keyword: str, value: str) -> tuple[str, str]:
    """Return an option that says where a host is, or as whom to log in."""
    port = keyword.lower() == "port"
    if port and not (re.fullmatch("[0-9]{1,5}", value) and 0 < int(value) < 65536):
        raise ValueError(f"{value!r} is not a port between 1 and 65535")
    if not re.fullmatch(r"[^\s\x00-\x1f\x7f-][^\s\x00-\x1f\x7f]*", value):
        raise ValueError(f"{keyword} is {value!r}, which is no name")
    return keyword, value
