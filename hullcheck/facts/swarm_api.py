"""What a Docker daemon tells of its swarm, beside what ``docker info`` says.

Only nodes and services are listed. ``docker swarm inspect`` (GET /swarm) would hand out the join
tokens, ``config inspect`` what configs hold; neither is ever asked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from hullcheck.control import Unknown
from hullcheck.facts.docker.api import client_of, version_want
from hullcheck.facts.docker.shapes import Each, misfit
from hullcheck.transport import Answer, Want, want

__all__ = [
    "NODE", "PLUGIN", "SERVICE", "SERVICE_NETWORK", "SWARM", "checked", "listed", "nodes_want",
    "service_networks_want", "services_want",
]  # fmt: skip

SWARM: dict[str, Any] = {
    "LocalNodeState": str, "NodeAddr?": str, "NodeID?": str, "ControlAvailable?": bool,
    "Error?": str, "RemoteManagers?": [{"Addr?": str}],
    "Cluster?": {
        "ID?": str, "DataPathPort?": int, "RootRotationInProgress?": bool,
        "CreatedAt?": str, "UpdatedAt?": str,
        "Spec?": {
            "CAConfig?": {
                "NodeCertExpiry?": int, "ExternalCAs?": [{"Protocol?": str, "URL?": str}],
            },
            "EncryptionConfig?": {"AutoLockManagers?": bool},
            "Raft?": {"KeepOldSnapshots?": int},
        },
        "TLSInfo?": {"TrustRoot?": str},
    },
}  # fmt: skip
"""``.Swarm`` of docker info: Swarm and ClusterInfo of the Engine API."""

NODE: dict[str, Any] = {
    "ID": str, "Spec": {"Role": str, "Availability": str}, "Status": {"State": str},
    "ManagerStatus?": {"Reachability": str}, "Description?": {"Hostname?": str},
}  # fmt: skip

SERVICE: dict[str, Any] = {
    "ID": str,
    "Spec": {
        "Name": str,
        "TaskTemplate": {
            "ContainerSpec?": {
                "Image": str, "Env?": [str], "CapabilityAdd?": [str], "Command?": [str],
                "Args?": [str],
                "Mounts?": [{
                    "Type?": str, "Source?": str, "Target": str, "ReadOnly?": bool,
                    "VolumeOptions?": {"DriverConfig?": {"Options?": Each(str)}},
                }],
                "Privileges?": {
                    "Seccomp?": {"Mode?": str}, "AppArmor?": {"Mode?": str},
                    "SELinuxContext?": {"Disable?": bool},
                },
                "Configs?": [{"ConfigName": str}],
            },
            "PluginSpec?": dict,
            "Networks?": [{"Target": str}],
        },
        "Networks?": [{"Target": str}],
        "EndpointSpec?": {"Ports?": [{
            "Protocol?": str, "TargetPort": int, "PublishedPort?": int, "PublishMode?": str,
        }]},
    },
}  # fmt: skip

PLUGIN: dict[str, Any] = {
    "remote?": str, "env?": [str], "privileges?": [{"name?": str, "value?": [str]}],
}  # fmt: skip
"""A plugin that a service installs, its keys in small letters: engines write them so, and the
Engine API's own description large, with PluginPrivilege for privileges."""

SERVICE_NETWORK: dict[str, Any] = {"Id": str, "Driver": str}

_FAILS = (0, 1, 2, 7, 22, 28, 52, 56, 124, 125, 126, 127)
"""Exit codes of docker and curl that their complaint explains; see docker.api."""

_GONE = re.compile(
    r"no such (node|service|network)\b|\b(node|service|network) \S+ not found", re.IGNORECASE
)

_NODE = (
    '{"ID":{{json .ID}},"Spec":{{json .Spec}},"Status":{{json .Status}},'
    '"ManagerStatus":{{json .ManagerStatus}},'
    '"Description":{"Hostname":{{json .Description.Hostname}}}}'
)
_SERVICE = '{"ID":{{json .ID}},"Spec":{{json .Spec}}}'
_TARGETS = "{{range .Spec.TaskTemplate.Networks}}{{.Target}} {{end}}"
_OLD_TARGETS = "{{range .Spec.Networks}}{{.Target}} {{end}}"
"""Where services name networks; the second place is deprecated, and a client may not know it."""

_NETWORK = '{"Id":{{json .ID}},"Driver":{{json .Driver}}}'


def nodes_want(address: str, client: bool) -> Want:
    """Return the want for every node of a daemon's swarm; only a manager knows them.

    :param address: see :class:`hullcheck.facts.docker.api.Api`; ``client`` likewise.
    """
    return _members(address, client, "node", _NODE)


def services_want(address: str, client: bool) -> Want:
    """Return the want for every service of a daemon's swarm. See :func:`nodes_want`."""
    return _members(address, client, "service", _SERVICE)


def service_networks_want(address: str, client: bool) -> Want:
    """Return the want for the networks that services are in; see :func:`nodes_want`.

    A list of networks leaves out those that stand for the nodes' own, host and bridge (moby,
    daemon/cluster, filterPredefinedNetworks). By its id, or in the scope of the swarm, host is
    told, and so are the others by the client.
    """
    if not client:
        asked = version_want(address, client).command
        return want(f"{asked.removesuffix('/version')}/networks/host?scope=swarm", meaning=_FAILS)
    docker = client_of(address)
    return want(
        f"ids=$({docker} service ls -q) && "
        f"nets=$([ -z \"$ids\" ] || {docker} service inspect --format '{_TARGETS}' $ids) && "
        f"more=$([ -z \"$ids\" ] || {docker} service inspect --format '{_OLD_TARGETS}' $ids "
        "2>/dev/null || true) && nets=$(echo $nets $more) && "
        f"if [ -n \"$nets\" ]; then {docker} network inspect --format '{_NETWORK}' $nets; "
        "else echo '[]'; fi",
        meaning=_FAILS,
        seconds=60,
    )


def _members(address: str, client: bool, kind: str, shape: str) -> Want:
    if not client:
        asked = version_want(address, client).command
        return want(f"{asked.removesuffix('/version')}/{kind}s", meaning=_FAILS)
    docker = client_of(address)
    # One that goes meanwhile is complained of, and left out.
    return want(
        f"ids=$({docker} {kind} ls -q) && "
        f"{{ if [ -n \"$ids\" ]; then {docker} {kind} inspect --format '{shape}' $ids; "
        "else echo '[]'; fi; }",
        meaning=_FAILS,
        seconds=60,
    )


def listed(answer: Answer, shape: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the members that came. :raises Unknown: not all came, or they are nonsense."""
    if not answer.text.strip() or (answer.exit and not _only_gone(answer)):
        raise Unknown(f"the engine does not tell of its swarm: {answer.complaint or answer.exit}")
    found: list[dict[str, Any]] = []
    try:
        for line in answer.text.splitlines():
            parsed = json.loads(line)
            found += parsed if isinstance(parsed, list) else [parsed]
    except (ValueError, RecursionError):
        raise Unknown("what the engine tells of its swarm is no JSON") from None
    for each in found:
        checked(each, shape)
    return found


def _only_gone(answer: Answer) -> bool:
    lines = answer.evidence.stderr.decode("utf-8", "replace").splitlines()
    return bool(lines) and all(map(_GONE.search, lines))


def checked(value: Any, shape: Mapping[str, Any]) -> Any:
    """Return a value that has a shape. :raises Unknown: it has another."""
    wrong = misfit(value, dict(shape))
    if wrong:
        raise Unknown(f"what the engine tells of its swarm is nonsense: {wrong}")
    return value
