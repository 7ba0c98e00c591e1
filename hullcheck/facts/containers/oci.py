"""An OCI runtime specification (config.json) in the words of Docker's descriptions.

Podman, containerd, CRI-O and runc keep one for every container: what was asked for, after all
defaults (opencontainers/runtime-spec, config.md and config-linux.md).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from hullcheck.control import Unknown
from hullcheck.facts.docker.shapes import misfit

__all__ = ["described"]

_TEXTS, _NUMBER = [str], {"limit?": int}
_SHAPE: dict[str, Any] = {
    "process?": {
        "user?": {"uid?": int, "additionalGids?": [int]}, "capabilities?": {"bounding?": _TEXTS},
        "env?": _TEXTS, "rlimits?": [{"type": str, "hard": int}], "noNewPrivileges?": bool,
        "apparmorProfile?": str, "oomScoreAdj?": int,
    },
    "linux?": {
        "namespaces?": [{"type": str}], "devices?": [{"path": str}], "seccomp?": dict,
        "maskedPaths?": _TEXTS, "readonlyPaths?": _TEXTS,
        "resources?": {
            "memory?": {**_NUMBER, "disableOOMKiller?": bool}, "pids?": _NUMBER,
            "cpu?": {"quota?": int, "shares?": int},
        },
    },
    "root?": {"readonly?": bool},
    "mounts?": [{"destination": str, "type?": str, "source?": str, "options?": _TEXTS}],
}  # fmt: skip
"""What is read of a specification; what is of another kind makes it none."""

MODES = {
    "pid": "PidMode", "network": "NetworkMode", "ipc": "IpcMode", "uts": "UTSMode",
    "cgroup": "CgroupnsMode",
}  # fmt: skip


def described(spec: Mapping[str, Any], number: str, name: str, pid: int) -> dict[str, Any]:
    """Return what a specification says as Docker's ``inspect`` would say it.

    What a specification has no word for is left out: ports, restarts, health.

    :param spec: {} where nothing is known.
    :param pid: of its first process; 0 if it does not run.
    :raises Unknown: it is no specification.
    """
    wrong = misfit(spec, _SHAPE)
    if wrong:
        raise Unknown(f"the description of container {name} is no OCI specification: {wrong}")
    host, config = (_host_config(spec), _config(spec)) if spec else ({}, {})
    mounts = list(_mounts(spec))
    return {
        "Id": number, "Name": name, "State": {"Running": pid > 0, "Pid": pid},
        "HostConfig": host, "Config": config, "Mounts": mounts,
        "AppArmorProfile": (spec.get("process") or {}).get("apparmorProfile") or "",
    }  # fmt: skip


def _host_config(spec: Mapping[str, Any]) -> dict[str, Any]:
    linux, process = spec.get("linux") or {}, spec.get("process") or {}
    capabilities = process.get("capabilities") or {}
    limits = process.get("rlimits") or []
    return {
        **_namespaces(linux), **_resources(linux.get("resources") or {}),
        "CapDrop": ["ALL"], "CapAdd": sorted(capabilities.get("bounding") or []),
        "SecurityOpt": list(_security(linux, process)),
        "MaskedPaths": linux.get("maskedPaths") or [],
        "ReadonlyPaths": linux.get("readonlyPaths") or [],
        "ReadonlyRootfs": bool((spec.get("root") or {}).get("readonly")),
        "Devices": [{"PathOnHost": str(each["path"])} for each in linux.get("devices") or []],
        "OomScoreAdj": process.get("oomScoreAdj") or 0,
        "GroupAdd": [str(each) for each in (process.get("user") or {}).get("additionalGids") or []],
        "Ulimits": [
            {"Name": str(each["type"]).removeprefix("RLIMIT_").lower(), "Hard": each["hard"]}
            for each in limits
        ],
    }  # fmt: skip


def _namespaces(linux: Mapping[str, Any]) -> dict[str, str]:
    """Return which namespaces are the host's: those that the specification does not list."""
    own = {str(each["type"]) for each in linux.get("namespaces") or []}
    modes = {key: "private" if kind in own else "host" for kind, key in MODES.items()}
    return {**modes, "UsernsMode": "" if "user" in own else "host"}


def _resources(resources: Mapping[str, Any]) -> dict[str, Any]:
    memory, cpu = resources.get("memory") or {}, resources.get("cpu") or {}
    return {
        "Memory": max(0, memory.get("limit") or 0),
        "CpuQuota": max(0, cpu.get("quota") or 0),
        "CpuShares": cpu.get("shares") or 0,
        "PidsLimit": (resources.get("pids") or {}).get("limit") or 0,
        "OomKillDisable": bool(memory.get("disableOOMKiller")),
    }


def _security(linux: Mapping[str, Any], process: Mapping[str, Any]) -> Iterator[str]:
    seccomp = linux.get("seccomp")
    yield f"seccomp={json.dumps(seccomp)}" if seccomp else "seccomp=unconfined"
    yield f"no-new-privileges={str(bool(process.get('noNewPrivileges'))).lower()}"


def _config(spec: Mapping[str, Any]) -> dict[str, Any]:
    process = spec.get("process") or {}
    return {
        "User": str((process.get("user") or {}).get("uid", 0)),
        "Env": [str(each) for each in process.get("env") or []],
    }


def _mounts(spec: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for each in spec.get("mounts") or []:
        options = each.get("options") or []
        bound = each.get("type") == "bind" or {"bind", "rbind"} & set(options)
        propagation = [option for option in options if option.endswith(("shared", "slave"))]
        if bound and not each.get("source"):
            raise Unknown(f"a specification binds nothing to {each['destination']}")
        if bound:
            yield {
                "Type": "bind", "Source": each["source"],
                "Destination": each["destination"], "RW": "ro" not in options,
                "Propagation": propagation[0] if propagation else "",
            }  # fmt: skip
