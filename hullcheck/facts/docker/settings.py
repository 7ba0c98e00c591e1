"""A daemon's settings in effect: what it says itself, else its command line, else its file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hullcheck.control import Unknown
from hullcheck.facts.docker.command_line import Flags, boolean

if TYPE_CHECKING:
    from hullcheck.facts.docker.engine import DockerEngine

__all__ = ["OPTIONS", "Option", "Setting", "configured", "security_options"]


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a daemon.

    :param value: bool, str, list of str, or dict; what is in effect as far as it can be known.
    :param source: "daemon", "command line", "file", "environment" or "default".
    """

    name: str
    value: Any
    source: str

    def __str__(self) -> str:
        return f"{self.name} ({self.source})"


@dataclass(frozen=True, slots=True)
class Option:
    """How a setting is written and read.

    :param kind: bool, str, list or dict (a repeated ``key=value`` flag).
    :param key: its name in daemon.json, where that is not the flag's.
    :param daemon: what the daemon itself says of it; None if it does not say.
    """

    kind: type
    default: Any
    key: str = ""
    daemon: Callable[[DockerEngine], Any] | None = None


def security_options(info: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return the daemon's security options: name -> its other fields.

    ``name=seccomp,profile=builtin`` becomes ``{"seccomp": {"profile": "builtin"}}``; engines
    before 1.13 gave bare names.
    """
    found: dict[str, dict[str, str]] = {}
    for option in info.get("SecurityOptions") or []:
        fields = dict(part.partition("=")[::2] for part in str(option).split(","))
        name = fields.pop("name", "")
        found[name or str(option)] = fields
    return found


def _icc(engine: DockerEngine) -> bool | None:
    bridge = engine.default_bridge
    if bridge is None:
        return None
    text = (bridge.get("Options") or {}).get("com.docker.network.bridge.enable_icc")
    return None if text is None else boolean(str(text))


def _userns(engine: DockerEngine) -> bool:
    return "userns" in security_options(engine.info)


def _seccomp(engine: DockerEngine) -> str | None:
    return security_options(engine.info).get("seccomp", {}).get("profile")


def _no_new_privileges(engine: DockerEngine) -> bool | None:
    """Newer engines list it when it is on; that it is not listed says nothing."""
    return True if "no-new-privileges" in security_options(engine.info) else None


def _experimental(engine: DockerEngine) -> bool | None:
    if isinstance(engine.info.get("ExperimentalBuild"), bool):
        return bool(engine.info["ExperimentalBuild"])
    said = engine.version.get("Experimental")
    return said if isinstance(said, bool) else None


def _from_info(key: str) -> Callable[[DockerEngine], Any]:
    return lambda engine: engine.info.get(key)


def _authorization(engine: DockerEngine) -> list[str]:
    return list((engine.info.get("Plugins") or {}).get("Authorization") or [])


OPTIONS: dict[str, Option] = {
    "authorization-plugin": Option(list, [], "authorization-plugins", _authorization),
    "bridge": Option(str, ""),
    "cgroup-parent": Option(str, ""),
    "config-file": Option(str, ""),
    "data-root": Option(str, "", daemon=_from_info("DockerRootDir")),
    "debug": Option(bool, False, daemon=_from_info("Debug")),
    "default-ulimit": Option(dict, {}, "default-ulimits"),
    "exec-opt": Option(list, [], "exec-opts"),
    "experimental": Option(bool, False, daemon=_experimental),
    "group": Option(str, "docker"),
    "host": Option(list, [], "hosts"),
    "icc": Option(bool, True, daemon=_icc),
    "insecure-registry": Option(list, [], "insecure-registries"),
    "ip6tables": Option(bool, False),
    "iptables": Option(bool, True),
    "live-restore": Option(bool, False, daemon=_from_info("LiveRestoreEnabled")),
    "log-driver": Option(str, "json-file", daemon=_from_info("LoggingDriver")),
    "log-level": Option(str, "info"),
    "log-opt": Option(dict, {}, "log-opts"),
    "no-new-privileges": Option(bool, False, daemon=_no_new_privileges),
    "registry-mirror": Option(list, [], "registry-mirrors"),
    "seccomp-profile": Option(str, "", daemon=_seccomp),
    "selinux-enabled": Option(bool, False),
    "storage-driver": Option(str, "", daemon=_from_info("Driver")),
    "storage-opt": Option(list, [], "storage-opts"),
    "tls": Option(bool, False),
    "tlscacert": Option(str, ""),
    "tlscert": Option(str, ""),
    "tlskey": Option(str, ""),
    "tlsverify": Option(bool, False),
    "userland-proxy": Option(bool, True),
    "userns-remap": Option(str, ""),
}
"""The settings that controls ask for, by the name of their flag (dockerd(8))."""


def configured(name: str, flags: Flags | None, values: Mapping[str, Any] | None) -> tuple[Any, Any]:
    """Return what the command line and what the file say of a setting; None if nothing.

    :param flags: the parsed command line, or None to leave it out; ``values`` likewise.
    :raises Unknown: a value is not of the kind that the setting has.
    """
    option = OPTIONS[name]
    on_line = _of_flags(name, option, flags) if flags is not None and name in flags else None
    key = option.key or name
    in_file = _of_file(name, option, values[key]) if values and key in values else None
    return on_line, in_file


def _of_flags(name: str, option: Option, flags: Flags) -> Any:
    if option.kind is bool:
        return boolean(flags.last(name) or "")
    if option.kind is list:
        return [part for value in flags.every(name) for part in _split(name, value)]
    if option.kind is dict:
        return dict(value.partition("=")[::2] for value in flags.every(name))
    return flags.last(name)


def _split(name: str, value: str) -> list[str]:
    """Of the list flags only plugins take several values at once."""
    parts = value.split(",") if name == "authorization-plugin" else [value]
    return [part for part in parts if part]


def _of_file(name: str, option: Option, value: Any) -> Any:
    if option.kind is list and value is None:
        return []
    if not isinstance(value, option.kind):
        raise Unknown(
            f"{name} in the engine's file is {str(value)[:40]!r}, not a {_KINDS[option.kind]}"
        )
    return value


_KINDS = {bool: "truth value", str: "string", list: "list", dict: "table"}
