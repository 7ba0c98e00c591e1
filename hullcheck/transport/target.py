"""Of whom: one host as a person writes it, read once and strictly."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote

from testinfra.backend import BACKENDS

__all__ = ["CLUSTER", "SCHEMES", "SSH_SCHEMES", "Target", "home_path", "parse_spec"]

SSH_SCHEMES = ("paramiko", "ssh", "safe-ssh")
CLUSTER = "kubernetes"
SCHEMES = (*BACKENDS, "recording", CLUSTER)
DEFAULT_PORT = 22


@dataclass(frozen=True, slots=True)
class Target:
    """One host to audit, and how to reach it.

    :param address: what comes after the scheme: a host name or an alias of ``~/.ssh/config``, a
        container, a directory (chroot), a recording's file, a context of a kubeconfig.
    :param port: None: what ``~/.ssh/config`` says, else 22.
    :param identity_file: private keys to try before those of ``~/.ssh/config``; a single path
        is taken too.
    :param password: for paramiko only; sudo's is never part of a target.
    :param timeout: seconds for connecting; None: what ``~/.ssh/config`` says, else the caller.
    :param options: whatever else testinfra's backend of this scheme understands.
    :param ssh_options: what goes before ssh's own configuration; see transport/ssh_options.py.
    :param name: the host's name in verdicts and files. Default: the address, with the port
        unless it is 22, so that two hosts behind one address are two.
    """

    scheme: str = "local"
    address: str = ""
    port: int | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    sudo: bool = False
    sudo_user: str | None = None
    ssh_config: Path | None = None
    identity_file: tuple[Path, ...] = ()
    timeout: float | None = None
    options: tuple[tuple[str, str], ...] = ()
    ssh_options: tuple[tuple[str, str], ...] = ()
    role: tuple[str, ...] = ()
    name: str = ""

    def __post_init__(self) -> None:
        """Refuse what ssh would take for an option, and give a name to what has none."""
        for part in (self.address, self.user or "", self.sudo_user or ""):
            if part.startswith("-"):
                raise ValueError(f"{part!r} cannot name a host or a user: it starts with '-'")
        if isinstance(self.identity_file, str | Path):
            object.__setattr__(self, "identity_file", (Path(self.identity_file).expanduser(),))
        if isinstance(self.ssh_config, str):
            object.__setattr__(self, "ssh_config", Path(self.ssh_config).expanduser())
        if not self.name:
            object.__setattr__(self, "name", self._plain_name)

    @property
    def _plain_name(self) -> str:
        if self.scheme == "local":
            return "localhost"
        if self.scheme == "recording":
            return re.sub(r"(\.jsonl)?(\.gz)?$", "", Path(self.address).name) or "recording"
        if self.scheme == CLUSTER:
            return self.address or dict(self.options).get("context") or CLUSTER
        if self.port in (None, DEFAULT_PORT):
            return self.address
        return f"{_bracketed(self.address)}:{self.port}"

    @property
    def display(self) -> str:
        """The spec without its password and options, for people and ``run.json``."""
        if self.scheme == "recording":
            return f"recording://{self.address}"
        if self.scheme == CLUSTER:
            return f"{CLUSTER}://{self.address}"
        user = f"{quote(self.user)}@" if self.user else ""
        port = f":{self.port}" if self.port is not None else ""
        return f"{self.scheme}://{user}{_bracketed(self.address)}{port}"

    def __str__(self) -> str:
        return self.display


def _bracketed(address: str) -> str:
    return f"[{address}]" if re.fullmatch(r"[0-9A-Fa-f:.]*:[0-9A-Fa-f:.%\w]*", address) else address


def parse_spec(text: str) -> Target:
    """Read a host spec of testinfra's, ``recording://FILE`` or ``kubernetes://[CONTEXT]``.

    ``[SCHEME://][USER[:PASSWORD]@]HOST[:PORT][?KEY=VALUE&…]``; without a scheme it is paramiko.
    User, password and host may be percent-escaped, an IPv6 address stands in brackets.

    :raises ValueError: it is not one; the text is one sentence that says what to write.
    """
    scheme, rest = _scheme(text.strip())
    if scheme == "recording":
        return _recording(rest)
    authority, _, query = rest.partition("?")
    options = _options(query, text)
    if scheme == "local":
        where: dict[str, str | int | None] = {}
    elif scheme in SSH_SCHEMES:
        where = _remote(authority.rstrip("/"), _hidden(text))
        if where["password"] is not None and scheme != "paramiko":
            raise ValueError(
                f"{_hidden(text)}: {scheme}:// takes no password; use a key, or paramiko://"
            )
    else:
        where = {"address": unquote(authority) or None}
    if scheme not in ("local", "ansible", CLUSTER) and not where.get("address"):
        raise ValueError(f"{_hidden(text)!r} names no host")
    where = {key: value for key, value in where.items() if value is not None}
    return Target(scheme=scheme, **where, **options)  # type: ignore[arg-type]


def _scheme(text: str) -> tuple[str, str]:
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "paramiko", text
    if scheme not in SCHEMES:
        nearest = get_close_matches(scheme, SCHEMES, 1, 0.5)
        advice = f"did you mean {nearest[0]}://?" if nearest else "use one of " + ", ".join(SCHEMES)
        raise ValueError(f"unknown kind of host {scheme!r} in {_hidden(text)!r}: {advice}")
    if not separator and not rest:
        raise ValueError("an empty host spec names no host")
    return scheme, rest


def _recording(rest: str) -> Target:
    if not rest:
        raise ValueError("recording:// names no file: write recording://evidence/HOST.jsonl.gz")
    return Target(scheme="recording", address=rest)


def _hidden(text: str) -> str:
    """Return a spec with the password cut out."""
    return re.sub(r"^((?:[^:/@]*://)?[^:@/?]*):[^?]*@", r"\1:***@", text)


def _remote(authority: str, shown: str) -> dict[str, str | int | None]:
    login, at, place = authority.rpartition("@")
    user, colon, password = login.partition(":")
    found = re.fullmatch(
        r"\[(?P<six>[^]]+)\](?::(?P<p>.*))?|(?P<host>[^:[\]]*)(?::(?P<q>[^:]*))?", place
    )
    if not found:
        raise ValueError(f"{shown!r}: write an IPv6 address in brackets, as in ssh://[fe80::1]:22")
    host = unquote(found["six"] or found["host"] or "")
    if re.search(r"[\s\x00-\x1f\x7f/@]", host):
        raise ValueError(f"{shown!r}: {host!r} cannot be the name of a host")
    if at and not user:
        raise ValueError(f"{shown!r} has an '@' but no user before it")
    return {
        "address": host,
        "port": _port(found["p"] if found["six"] else found["q"], shown),
        "user": unquote(user) if at else None,
        "password": unquote(password) if colon else None,
    }


def _port(text: str | None, shown: str) -> int | None:
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 0 < int(text) < 65536:
        raise ValueError(f"{shown!r}: {text!r} is not a port between 1 and 65535")
    return int(text)


def home_path(text: str) -> Path:
    """Return a path that may begin with ``~``. :raises ValueError: there is no such home."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise ValueError(f"{text!r}: there is no such home") from None


def _flag(value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise ValueError("say true or false")
    return value.lower() == "true"


def _seconds(value: str) -> float:
    if not re.fullmatch(r"\d+(\.\d+)?", value) or not float(value):
        raise ValueError("say how many seconds")
    return float(value)


_FIELDS: dict[str, tuple[str, Callable[[str], object]]] = {
    "sudo": ("sudo", _flag),
    "sudo_user": ("sudo_user", str),
    "timeout": ("timeout", _seconds),
    "ssh_config": ("ssh_config", home_path),
    "ssh_identity_file": ("identity_file", lambda value: (home_path(value),)),
}
_FLAGS = ("ssl", "no_ssl", "no_verify_ssl", "force_ansible")
_TEXTS = (
    "namespace", "container", "read_timeout_sec", "operation_timeout_sec", "controlpersist",
    "kubeconfig", "context", "ansible_inventory",
)  # fmt: skip


def _options(query: str, text: str) -> dict[str, object]:
    """Return the fields that a query sets; what only testinfra knows goes to ``options``."""
    fields: dict[str, object] = {}
    rest: dict[str, str] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        known = [*_FIELDS, *_FLAGS, *_TEXTS]
        if key not in known:
            nearest = get_close_matches(key, known, 1, 0.4)
            advice = f"did you mean {nearest[0]}?" if nearest else "known are " + ", ".join(known)
            raise ValueError(f"{_hidden(text)!r}: unknown option {key!r}: {advice}")
        try:
            if key in _FIELDS:
                name, read = _FIELDS[key]
                fields[name] = read(value)
            elif key in _FLAGS:
                rest.update({key: "true"} if _flag(value) else {})
            else:
                rest[key] = value
        except ValueError as error:
            raise ValueError(f"{_hidden(text)!r}: {key}={value}: {error}") from error
    return {**fields, "options": tuple(sorted(rest.items()))}
