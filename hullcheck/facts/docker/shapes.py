"""What a Docker daemon's answers look like, so that nothing else is taken for one.

A daemon that was broken into, or a proxy before it, may answer anything. Of each answer only what
controls read is described; what is missing or of another kind makes the answer unusable.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["CONTAINER", "IMAGE", "INFO", "NETWORK", "STEP", "VERSION", "misfit"]


@dataclass(frozen=True, slots=True)
class Maybe:
    """null, or this."""

    shape: Any


@dataclass(frozen=True, slots=True)
class Each:
    """An object whose values, whatever their names, are this."""

    shape: Any


def _address(value: str) -> bool:
    try:
        ipaddress.ip_address(value.strip("[]"))
    except ValueError:
        return not value
    return True


def _port(value: str) -> bool:
    return re.fullmatch(r"[0-9]{0,5}(-[0-9]{1,5})?", value) is not None


def _some(value: str) -> bool:
    return bool(value)


def _part(value: str) -> bool:
    """Whether it is one of the states of an engine's part in a swarm (moby, api/types/swarm)."""
    return value in ("", "inactive", "pending", "active", "error", "locked")


_TEXTS = Maybe([str])
_PORTS = Maybe(Each(Maybe([{"HostIp?": _address, "HostPort?": _port}])))

CONTAINER: dict[str, Any] = {
    "Id": _some, "Name": str, "Image?": str, "Created?": str, "AppArmorProfile?": str,
    "State": {"Running": bool, "Pid": int, "FinishedAt?": str, "Health?": {"Status?": str}},
    "HostConfig": {
        "CapAdd": _TEXTS, "CapDrop": _TEXTS, "CgroupParent?": str, "CgroupnsMode?": str,
        "CpuQuota?": int, "CpuShares?": int, "DeviceCgroupRules?": [str],
        "DeviceRequests?": [{"Driver?": str}], "Devices?": [{"PathOnHost": str}],
        "GroupAdd?": [str], "IpcMode?": str, "MaskedPaths?": [str], "Memory": int, "NanoCpus?": int,
        "NetworkMode": str, "OomKillDisable?": bool, "OomScoreAdj": int, "PidMode": str,
        "PidsLimit?": int, "PortBindings": _PORTS, "Privileged": bool, "PublishAllPorts?": bool,
        "ReadonlyPaths?": [str], "ReadonlyRootfs": bool,
        "RestartPolicy": {"Name": str, "MaximumRetryCount": int}, "SecurityOpt": _TEXTS,
        "UTSMode?": str, "Ulimits": Maybe([{"Name": str, "Hard": int}]), "UsernsMode?": str,
    },
    "Config": {
        "Env?": [str], "ExposedPorts?": Each(dict), "Healthcheck?": {"Test?": [str]},
        "Image?": str, "User?": str,
    },
    "Mounts": [{"Type": str, "Source?": str, "Destination": str, "RW": bool, "Propagation?": str}],
    "NetworkSettings": {"Ports?": _PORTS, "Networks?": Each(Maybe({"NetworkID?": str}))},
}  # fmt: skip

INFO: dict[str, Any] = {
    "Containerd?": {"Address?": str}, "Debug": bool, "DockerRootDir": _some, "Driver": str,
    "DriverStatus?": [[str]], "LiveRestoreEnabled": bool, "LoggingDriver": str,
    "Plugins?": {"Authorization?": [str]},
    "RegistryConfig?": {
        "InsecureRegistryCIDRs": _TEXTS, "Mirrors?": [str],
        "IndexConfigs": Maybe(Each({"Secure": bool, "Mirrors?": [str]})),
    },
    "SecurityOptions": _TEXTS, "Swarm?": {"LocalNodeState?": _part}, "Warnings?": [str],
}  # fmt: skip

IMAGE: dict[str, Any] = {
    "Id": _some, "RepoTags?": [str], "RepoDigests?": [str], "Created?": str, "Parent?": str,
    "Config?": {
        "Env?": [str], "Healthcheck?": {"Test?": [str]}, "Labels?": Each(str), "User?": str,
    },
    "RootFS?": {"Layers?": [str]},
    "Identity?": {
        "Pull?": [{"Repository?": str}], "Build?": [dict],
        "Signature?": [{"Error?": str, "Name?": str, "Signer?": dict}],
    },
}  # fmt: skip

STEP: dict[str, Any] = {"CreatedBy?": str, "Comment?": str}

VERSION: dict[str, Any] = {
    "ApiVersion": str, "BuildTime?": str, "Version": str,
    "Components?": [{"Name?": str, "Version?": str}],
}  # fmt: skip

NETWORK: dict[str, Any] = {
    "Id": _some, "Name": str, "Driver": str, "Options": Maybe(Each(str)),
}  # fmt: skip


def misfit(value: Any, shape: Any, name: str = "") -> str:
    """Say what in a value is not as a shape wants it, as a path of names; empty if all is.

    A shape is a type; a predicate of a string; ``[shape]``; an object's names with their shapes,
    where ``name?`` may be missing or null; :class:`Maybe` or :class:`Each`.
    """
    if isinstance(shape, Maybe):
        return "" if value is None else misfit(value, shape.shape, name)
    if isinstance(shape, list):
        return _first([(value, list, name)], [(each, shape[0], name) for each in _listed(value)])
    if isinstance(shape, Each):
        pairs = value.items() if isinstance(value, dict) else ()
        parts = [(each, shape.shape, f"{name}.{key}") for key, each in pairs]
        return _first([(value, dict, name)], parts)
    if isinstance(shape, dict):
        return _first([(value, dict, name)], _members(value, shape, name))
    return "" if _is(value, shape) else name or "answer"


def _is(value: Any, kind: type | Callable[[str], bool]) -> bool:
    if not isinstance(kind, type):
        return isinstance(value, str) and kind(value)
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _members(value: Any, shape: dict[str, Any], name: str) -> list[tuple[Any, Any, str]]:
    if not isinstance(value, dict):
        return []
    found = []
    for key, inner in shape.items():
        wanted = key.removesuffix("?")
        optional = Maybe(inner) if wanted != key or isinstance(inner, Maybe) else inner
        missing = wanted not in value and wanted == key
        path = f"{name}.{wanted}".removeprefix(".")
        found.append((value.get(wanted), _never if missing else optional, path))
    return found


def _never(_: str) -> bool:
    return False


def _first(*groups: list[tuple[Any, Any, str]]) -> str:
    wrong = (misfit(*each) for group in groups for each in group)
    return next((each for each in wrong if each), "")
