"""What each etcd is set to.

A file of ``--config-file``, or of ETCD_CONFIG_FILE where that flag is not given, is all that
counts: other flags and the environment are then ignored. Else a flag counts more than its
variable, ETCD_ and its name in capitals (server/etcdmain/config.go, pkg/flags). An empty variable
is none. Keys of the file are matched in any case, as Go's encoding/json does.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts import foreign_yaml as yaml
from hullcheck.facts.kubernetes.components import Component
from hullcheck.facts.kubernetes.flags import truth
from hullcheck.facts.kubernetes.places import text_of
from hullcheck.facts.kubernetes.programs import ETCD
from hullcheck.facts.texts import END, lines_of
from hullcheck.transport import Want, session_of, want

__all__ = ["EtcdSettings", "Url", "environ_want", "settings_of"]

SECURITY = {
    "cert-file": "", "key-file": "", "client-cert-auth": "false", "trusted-ca-file": "",
    "auto-tls": "false",
}  # fmt: skip
DEFAULTS = {
    "name": "default", "data-dir": "", "wal-dir": "", "enable-pprof": "false",
    "listen-client-urls": "http://localhost:2379", "listen-peer-urls": "http://localhost:2380",
    "listen-metrics-urls": "", "listen-client-http-urls": "",
    **SECURITY, **{f"peer-{name}": value for name, value in SECURITY.items()},
}  # fmt: skip
"""server/embed/config.go, the same from 3.3 on."""

_TABLES = {"client-transport-security": "", "peer-transport-security": "peer-"}
_VARIABLES = {f"ETCD_{name.upper().replace('-', '_')}": name for name in DEFAULTS}
_CONFIG = "ETCD_CONFIG_FILE"
_WORDS = {"true": "true", "yes": "true", "on": "true", "y": "true",
          "false": "false", "no": "false", "off": "false", "n": "false"}  # fmt: skip


def environ_want(pid: int) -> Want:
    """Return a want for those variables of an etcd that are settings; none of them is secret."""
    names = "|".join(each.removeprefix("ETCD_") for each in (_CONFIG, *_VARIABLES))
    return want(
        f"tr '\\n\\0' ' \\n' </proc/{pid}/environ | grep -aE '^ETCD_({names})='; echo '{END}'"
    )


@dataclass(frozen=True, slots=True)
class Url:
    """An address on which an etcd was told to listen."""

    scheme: str
    host: str
    port: int | None

    @property
    def local(self) -> bool:
        """Whether only this host reaches it."""
        if self.scheme.startswith("unix") or self.host == "localhost":
            return True
        return _address(self.host).is_loopback

    @property
    def any(self) -> bool:
        """Whether it is every address of the host."""
        local = self.scheme.startswith("unix") or self.host == "localhost"
        return not local and _address(self.host).is_unspecified

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return an address: etcd takes no name but localhost to listen on."""
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        raise Unknown(f"etcd is told to listen on {text[:80]!r}, which is no address") from None


@dataclass(frozen=True)
class EtcdSettings:
    """:param config: the file that is all that counts; empty if there is none."""

    component: Component = field(repr=False)
    values: Mapping[str, str] = field(repr=False)
    config: str = ""

    def text(self, name: str) -> str:
        return self.values.get(name) or DEFAULTS[name]

    def flag(self, name: str) -> bool:
        """:raises Unknown: it is no truth value."""
        return truth(self.text(name), f"{name} of {self.component}")

    def urls(self, name: str) -> list[Url]:
        """:raises Unknown: one is no URL."""
        return [_url(each) for each in map(str.strip, self.text(name).split(",")) if each]

    @property
    def data(self) -> str:
        """Where it keeps its data: a directory of its name where it was started, if not told."""
        return self.text("data-dir") or f"{self.text('name')}.etcd"


def _url(text: str) -> Url:
    try:
        made = urlsplit(text)
        return Url(made.scheme.lower(), made.hostname or "", made.port)
    except ValueError:
        raise Unknown(f"etcd is told to listen on {text[:80]!r}, which is no URL") from None


def settings_of(etcd: Component) -> EtcdSettings:
    """Return what an etcd is set to. :raises Unknown: that cannot be seen."""
    word = "".join(etcd.program.words[1:2])
    if etcd.program.name == ETCD and word in ("gateway", "grpc-proxy"):
        raise Unknown(f"it is etcd's {word}, which keeps nothing and has other settings")
    config = etcd.flags.last("config-file") or ""
    variables: Mapping[str, str] = {}
    if not config:
        variables = _environment(etcd.host, etcd.program.process.pid)
        config = variables.get(_CONFIG, "")
    if config:
        return EtcdSettings(etcd, _of_file(etcd, config), config)
    values = {name: variables[each] for each, name in _VARIABLES.items() if variables.get(each)}
    told = {name: etcd.flags.last(name) for name in DEFAULTS}
    values |= {name: value for name, value in told.items() if value is not None}
    return EtcdSettings(etcd, values)


def _environment(host: Host, pid: int) -> dict[str, str]:
    answer = session_of(host).ask(environ_want(pid))[0]
    *lines, end = lines_of(answer) or [""]
    if end != END or answer.complaint:
        raise Unknown(f"the environment of etcd (process {pid}) cannot be read; it needs root")
    return dict(each.partition("=")[::2] for each in lines)


def _of_file(etcd: Component, path: str) -> dict[str, str]:
    content = text_of(etcd.program, path)
    if content is None:
        raise Unknown(f"{path}, which {etcd} was started with, is gone")
    documents = yaml.documents(content, path)
    found: dict[str, str] = {}
    for key, node in yaml.keys(documents[0] if documents else None).items():
        table = _TABLES.get(key.lower())
        if table is None:
            found[key.lower()] = _text(yaml.text(node))
            continue
        for name, value in yaml.keys(node).items():
            found[table + name.lower()] = _text(yaml.text(value))
    return {name: value for name, value in found.items() if name in DEFAULTS}


def _text(raw: str) -> str:
    """Return a value; of one of YAML 1.1's truth values, the usual word."""
    bare = raw.strip()
    if bare[:1] in "'\"" and bare[-1:] == bare[:1]:
        bare = bare[1:-1]
    return _WORDS.get(bare.lower(), "" if bare in ("~", "null") else bare)
