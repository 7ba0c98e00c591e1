"""The user's own SSH configuration, as OpenSSH itself resolves it (``ssh -G``)."""

from __future__ import annotations

import getpass
import os
import re
import socket
import subprocess
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hullcheck.transport.target import Target, parse_spec
from hullcheck.transport.want import Unreachable

__all__ = ["Settings", "expand", "own_options", "resolve", "route"]


@dataclass(frozen=True, slots=True)
class Settings:
    """What ssh_config(5) says of one host, with tokens and ``~`` expanded.

    :param alias: the name that was asked for; ``hostname`` is where it leads.
    :param identity_agent: "" for what SSH_AUTH_SOCK says, "none", or a socket's path.
    :param proxy_jump: the hops, nearest to us first, each ``[user@]host[:port]``.
    :param known_hosts: the user's and the global files, in the order they are read.
    """

    alias: str
    hostname: str
    port: int
    user: str
    identity_files: tuple[Path, ...] = ()
    certificate_files: tuple[Path, ...] = ()
    identities_only: bool = False
    identity_agent: str = ""
    proxy_jump: tuple[str, ...] = ()
    proxy_command: str = ""
    known_hosts: tuple[Path, ...] = ()
    host_key_alias: str = ""
    connect_timeout: float | None = None
    config: Path | None = None

    @property
    def place(self) -> str:
        """Host and port, for messages."""
        return f"{self.hostname} port {self.port}"

    @property
    def key_names(self) -> tuple[str, ...]:
        """Under which names known_hosts may hold the host's key, the right one first."""
        if self.host_key_alias:
            return (self.host_key_alias.lower(),)
        name = self.hostname.lower()
        return (name,) if self.port == 22 else (f"[{name}]:{self.port}", name)


def resolve(target: Target) -> Settings:
    """Ask OpenSSH what the user's configuration says of a target.

    :raises Unreachable: there is no ssh client, or the configuration is wrong.
    """
    command = ["ssh", "-G"]
    if target.ssh_config is not None:
        command += ["-F", str(target.ssh_config)]
    if target.port is not None:
        command += ["-p", str(target.port)]
    if target.user is not None:
        command += ["-l", target.user]
    command += own_options(target)
    try:
        done = subprocess.run(
            [*command, "--", target.address],
            check=False, capture_output=True, timeout=60, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except FileNotFoundError:
        raise Unreachable(
            "name",
            "there is no ssh on this machine to read the SSH configuration with: install the "
            "OpenSSH client (openssh-client on Debian, openssh-clients on Fedora)",
        ) from None
    except subprocess.TimeoutExpired:
        raise Unreachable("timeout", f"{target.address}: ssh -G did not end in 60 s") from None
    if done.returncode != 0:
        said = " ".join(done.stderr.decode("utf-8", "replace").split())
        raise Unreachable("name", f"{target.address}: the SSH configuration is wrong: {said}")
    return _settings(target, done.stdout.decode("utf-8", "surrogateescape"))


def own_options(target: Target) -> list[str]:
    """Return what ssh is told of a target's keys and options, before its configuration.

    Unlike ``-i``, an IdentityFile is kept that is not there.
    """
    paths = [str(file).replace("%", "%%") for file in target.identity_file]
    options = [f'IdentityFile="{path}"' for path in paths]
    options += [f"{keyword}={value}" for keyword, value in target.ssh_options]
    return [flag for option in options for flag in ("-o", option)]


def _settings(target: Target, text: str) -> Settings:
    said: dict[str, list[str]] = defaultdict(list)
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        said[key.lower()].append(value.strip())

    def one(key: str) -> str:
        value = said[key][0] if said[key] else ""
        return "" if value.lower() == "none" else value

    settings = Settings(
        alias=target.address,
        hostname=one("hostname") or target.address,
        port=int(one("port") or 22),
        user=one("user"),
        identities_only=one("identitiesonly") == "yes",
        proxy_jump=tuple(hop.strip() for hop in one("proxyjump").split(",") if hop.strip()),
        proxy_command=one("proxycommand"),
        host_key_alias=one("hostkeyalias"),
        connect_timeout=_seconds(one("connecttimeout")),
        config=target.ssh_config,
    )

    def paths(*keys: str, split: bool = False) -> tuple[Path, ...]:
        values = [value for key in keys for value in said[key]]
        parts = [part for value in values for part in (value.split() if split else [value])]
        return tuple(
            Path(expand(part, settings)).expanduser() for part in parts if part.lower() != "none"
        )

    agent = said["identityagent"][0] if said["identityagent"] else ""
    if agent == "SSH_AUTH_SOCK":
        agent = ""
    elif agent.lower() != "none":
        agent = str(Path(expand(agent, settings)).expanduser()) if agent else ""
    else:
        agent = "none"
    return replace(
        settings,
        identity_files=paths("identityfile"),
        certificate_files=paths("certificatefile"),
        known_hosts=paths("userknownhostsfile", "globalknownhostsfile", split=True),
        identity_agent=agent,
    )


def _seconds(text: str) -> float | None:
    return float(text) if re.fullmatch(r"[1-9]\d*", text) else None


def expand(text: str, settings: Settings) -> str:
    """Replace the ``%`` tokens of ssh_config(5), and ``${NAME}`` or a leading ``$NAME``."""
    here = socket.gethostname()
    tokens = {
        "%": "%",
        "h": settings.hostname,
        "n": settings.alias,
        "p": str(settings.port),
        "r": settings.user,
        "k": settings.host_key_alias or settings.alias,
        "d": str(Path.home()),
        "i": str(os.getuid()),
        "u": getpass.getuser(),
        "l": here,
        "L": here.partition(".")[0],
    }
    named = re.sub(
        r"\$\{(\w+)\}|^\$(\w+)$", lambda found: os.environ.get(found[1] or found[2], ""), text
    )
    return re.sub(r"%(.)", lambda found: tokens.get(found[1], found[0]), named)


def route(settings: Settings, via: Sequence[Settings] = ()) -> list[Settings]:
    """Return the hops to a host, nearest to us first, and the host itself last.

    As in OpenSSH, the first hop's own ProxyJump and ProxyCommand count, the others' do not.

    :raises Unreachable: a hop cannot be read, or leads back to itself.
    """
    if not settings.proxy_jump:
        return [settings]
    seen = [*via, settings]
    hops = [resolve(_hop(text, settings)) for text in settings.proxy_jump]
    for hop in hops:
        known = [(each.hostname, each.port, each.user) for each in seen]
        if (hop.hostname, hop.port, hop.user) in known:
            names = " -> ".join(each.alias for each in [*seen, hop])
            raise Unreachable("name", f"{seen[0].alias}: its ProxyJump leads in a circle: {names}")
    first, *others = hops
    return [
        *route(first, seen),
        *(replace(each, proxy_jump=(), proxy_command="") for each in others),
        settings,
    ]


def _hop(text: str, settings: Settings) -> Target:
    try:
        hop = parse_spec(text if text.startswith("ssh://") else f"ssh://{text}")
        return replace(hop, ssh_config=settings.config)
    except ValueError as error:
        raise Unreachable("name", f"{settings.alias}: ProxyJump {text}: {error}") from error
