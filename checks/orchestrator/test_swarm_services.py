"""What a swarm's services are made of, and how their traffic goes from node to node."""

from __future__ import annotations

import json
import posixpath
import re
from typing import Any

from hullcheck.control import Manual, NotApplicable, control, expect
from hullcheck.facts.capabilities import DOCKER_DEFAULT, names
from hullcheck.facts.host_trees import sensitive
from hullcheck.facts.mounts import within
from hullcheck.facts.swarm_parts import Overlay, Service
from hullcheck.inventory.policy import Policy
from hullcheck.transport.redact import PLACEHOLDER, Redactor, looks_secret

DIGEST = re.compile(r"(\A|@)sha256:[0-9a-f]{64}\Z")

WAYS = (
    "/run/docker.sock", "/run/containerd/containerd.sock", "/run/podman/podman.sock",
    "/run/crio/crio.sock", "/run/docker/swarm/control.sock", "/run/dbus/system_bus_socket",
    "/var/lib/docker/swarm", "/var/lib/kubelet", "/etc", "/proc", "/sys", "/dev", "/root", "/boot",
    "/home",
)  # fmt: skip
"""Of the host: with one of them, or a directory that contains it, a container is the host, or has
its secrets."""

SECRET = ("/proc", "/root", "/etc/docker", "/etc/kubernetes", "/etc/shadow", "/etc/gshadow",
          "/etc/ssh", "/etc/sudoers", "/etc/sudoers.d", "/dev/mem", "/dev/kmem", "/dev/mapper",
          "/dev/disk", "/dev/block")  # fmt: skip
"""What in them is not to be read either."""

DISK = re.compile(r"/dev/(sd|vd|xvd|hd|nvme|dm-|md|mmcblk|loop|sr|zd|nbd|rbd)")
"""Block devices by the names that the kernel gives them (Documentation/admin-guide/devices.txt)."""

KERNELS = {"proc": "/proc", "sysfs": "/sys", "devtmpfs": "/dev", "debugfs": "/sys/kernel/debug",
           "tracefs": "/sys/kernel/tracing", "cgroup": "/sys/fs/cgroup", "bpf": "/sys/fs/bpf",
           "cgroup2": "/sys/fs/cgroup", "securityfs": "/sys/kernel/security"}  # fmt: skip
"""Kinds of file systems that are the kernel's own, wherever a volume mounts them."""

SOCKETS = frozenset({"docker.sock", "podman.sock", "containerd.sock", "crio.sock"})


@control(
    title="Overlay networks are encrypted between nodes",
    severity="medium",
    fix="Make the network anew with docker network create --driver overlay --opt encrypted.",
)
def test_overlay_encryption(overlay_network: Overlay) -> None:
    """Without it, whoever is on the network between the nodes reads what containers say to each
    other, and can send packets into their midst: VXLAN itself asks nobody who they are."""
    if overlay_network.ingress:
        raise NotApplicable("it carries published ports, which a control of its own looks at")
    expect(overlay_network.encrypted, equals=True, what="encrypted")


@control(
    title="Published ports go encrypted from node to node",
    severity="low",
    level=2,
    fix="Remove the services that publish, then the network ingress, and make it anew: docker "
    "network create --driver overlay --ingress --opt encrypted NAME.",
)
def test_ingress_encryption(overlay_network: Overlay) -> None:
    """The routing mesh takes a request on any node and passes it on to one that runs the service.
    What came in over TLS stays so; everything else goes on in the clear, unless the mesh's own
    network is encrypted, which it is not when a swarm is made."""
    if not overlay_network.ingress:
        raise NotApplicable("it does not carry published ports")
    expect(overlay_network.encrypted, equals=True, what="encrypted")


@control(
    title="Services get their secrets from the swarm",
    severity="high",
    level=2,
    fix="docker secret create, give it to the service with --secret, and let the program read "
    "/run/secrets/NAME; remove the variable, argument or config. A variable that only seems to "
    "hold one goes into plain_variables in the policy.",
)
def test_service_secrets(swarm_service: Service, policy: Policy) -> None:
    """A secret in a service's environment or arguments is shown to whoever may inspect the service
    or one of its containers, and inherited by every process; a config is shown likewise. The swarm
    keeps real secrets encrypted and gives them only to the nodes that need them, in memory."""
    plain = set(policy.plain_variables)
    names = {each.partition("=")[0] for each in swarm_service.variables if _secret(each)}
    expect(sorted(names - plain), equals=[], what="variables that hold secrets")
    if swarm_service.plugin:
        return
    container = swarm_service.container
    words = [*(container.get("Command") or []), *(container.get("Args") or [])]
    shown = "with secrets" if _secret(json.dumps(words)) else "without"
    expect(shown, equals="without", what="the command and its arguments")
    configs = sorted(each["ConfigName"] for each in container.get("Configs") or [])
    named = [each for each in configs if looks_secret(each.encode("utf-8", "surrogateescape"))]
    expect(named, equals=[], what="configs that are named like secrets")


def _secret(text: str) -> bool:
    """Whether a secret stands in NAME=value or the like; one that was cut out before is cut out
    again."""
    clean = Redactor(b"services").clean(text.encode("utf-8", "surrogateescape"))
    return PLACEHOLDER.search(clean) is not None


@control(
    title="Services name their image by digest",
    severity="medium",
    fix="docker service update --image NAME@sha256:… SERVICE; without --no-resolve-image the "
    "client looks the digest up itself, where it can reach the registry.",
)
def test_service_image_digest(swarm_service: Service) -> None:
    """A tag is what the registry says it is today. Nodes that start a task at different times run
    different images, and whoever can push to the registry chooses what runs next."""
    plugin = swarm_service.plugin
    image = str(plugin.get("remote") or "") if plugin else swarm_service.container["Image"]
    pinned = image if DIGEST.search(image) else f"{image} (by tag)"
    expect([pinned], without=(f"{image} (by tag)",), what="the image")


@control(
    title="Services ask for no more rights than containers have anyway",
    severity="high",
    fix="docker service update --cap-rm NAME SERVICE, and take out what turns off seccomp, "
    "AppArmor or SELinux; name capabilities that are needed in the policy.",
)
def test_service_privileges(swarm_service: Service, policy: Policy) -> None:
    """A service's rights are given on whatever node its tasks land, and again at every restart.
    One that installs a plugin, which only the API can make, grants it what it asks for, be it the
    node's disk or network; it is no container, and no list of containers shows it."""
    allowed = DOCKER_DEFAULT | names(policy.capabilities)
    if swarm_service.plugin:
        expect(_granted(swarm_service.plugin, allowed, policy), equals=[],
               what="rights of the node that the plugin is granted")  # fmt: skip
        return
    container = swarm_service.container
    asked = names(container.get("CapabilityAdd"))
    expect(asked - allowed, equals=frozenset(), what="capabilities asked for beyond the usual ones")
    expect(_lifted(container.get("Privileges") or {}), equals=[], what="confinement turned off")


def _granted(plugin: dict[str, Any], allowed: frozenset[str], policy: Policy) -> list[str]:
    """Return what a plugin is granted beyond a container's usual rights, as ``docker plugin
    install`` asks for it (moby, plugin/backend_linux.go)."""
    found = []
    for each in plugin.get("privileges") or []:
        name, values = str(each.get("name") or ""), each.get("value") or []
        if name == "capabilities":
            values = sorted(names(values) - allowed)
        elif name == "mount":
            values = [value for value in values if value not in policy.host_paths]
        elif name == "device":
            values = [value for value in values if value not in policy.devices]
        if values:
            found.append(f"{name}: {', '.join(map(str, values))}")
    return found


def _lifted(privileges: dict[str, Any]) -> list[str]:
    """Return what is turned off; see Privileges in swarm's ContainerSpec (Engine API)."""
    off = {
        "seccomp": (privileges.get("Seccomp") or {}).get("Mode") == "unconfined",
        "AppArmor": (privileges.get("AppArmor") or {}).get("Mode") == "disabled",
        "SELinux": (privileges.get("SELinuxContext") or {}).get("Disable") is True,
    }
    return [name for name, lifted in off.items() if lifted]


@control(
    title="Services are not handed the nodes they run on",
    severity="critical",
    fix="docker service update --mount-rm TARGET SERVICE; give it a volume or a config instead, or "
    "name the path in host_paths in the policy.",
)
def test_service_mounts(swarm_service: Service, policy: Policy) -> None:
    """With an engine's socket or a node's root a service owns every node that its tasks can land
    on; on a manager, the swarm. A volume can be a directory of the host by another name, its disk,
    or a layer over it."""
    mounts = swarm_service.container.get("Mounts") or []
    allowed = {_plain(each) for each in policy.host_paths}
    root = swarm_service.swarm.engine.root_dir
    found = [
        f"{source} at {each['Target']}"
        for each in mounts
        for source in _sources(each)
        if not any(within(_plain(source), each) for each in allowed)
        and _dangerous(source, writable=each.get("ReadOnly") is not True, root=root)
    ]
    expect(found, equals=[], what="places of the node")


def _sources(mount: dict[str, Any]) -> list[str]:
    """Return the places of the host that are mounted; none if it is a volume or memory."""
    if mount.get("Type") == "bind":
        return [str(mount.get("Source") or "")]
    driver = (mount.get("VolumeOptions") or {}).get("DriverConfig") or {}
    options = driver.get("Options") or {}
    device, kind = str(options.get("device") or ""), str(options.get("type") or "")
    words = re.split(r"[,\s]+", str(options.get("o") or ""))
    layers = [
        path
        for word in words
        if word.startswith(("lowerdir=", "upperdir="))
        for path in word.partition("=")[2].split(":")
    ]
    if kind in KERNELS:
        return [KERNELS[kind]]
    return [*layers, device] if {"bind", "rbind"} & set(words) or device[:5] == "/dev/" else layers


def _plain(path: str) -> str:
    """Return a path without dots and doubled slashes, /var/run by its real name."""
    plain = posixpath.normpath(f"/{path.lstrip('/')}")
    return re.sub(r"^/var/run(?=/|\Z)", "/run", plain)


def _dangerous(path: str, *, writable: bool, root: str) -> bool:
    """Whether a place of the node makes its container the node's master, or shows its secrets.

    :param root: where the engine keeps its data.
    """
    plain = _plain(path)
    if posixpath.basename(plain) in SOCKETS or DISK.match(plain):
        return True
    if any(within(plain, each) for each in (*SECRET, f"{root}/swarm")):
        return True
    if any(within(each, plain) for each in (*WAYS, f"{root}/swarm")):
        return True
    return writable and sensitive(plain, writable=True)


@control(
    title="Services have a network of their own on the nodes",
    severity="high",
    fix="docker service update --network-rm host SERVICE; give it an overlay network, and publish "
    "the ports it needs.",
)
def test_service_host_network(swarm_service: Service) -> None:
    """In the network of its node a task reaches what listens on loopback only, may open any port
    past what the swarm publishes, and sniffs and spoofs with the rights that it has: on every node
    that it lands on."""
    if swarm_service.plugin:
        raise NotApplicable("the service runs no containers; its plugin's rights are asked apart")
    wanted = swarm_service.networks
    named = wanted & {"host"}
    hosts = named or (wanted & swarm_service.swarm.host_networks if wanted else named)
    shown = "the node's" if hosts else "its own"
    expect(shown, equals="its own", what="the network of its containers")


@control(
    title="Services open on the nodes only the ports that are meant to be",
    severity="medium",
    fix="List the ports in published_ports in the policy, and docker service update --publish-rm "
    "those that are not.",
)
def test_service_ports(swarm_service: Service, policy: Policy) -> None:
    """What a service publishes is open on every node of the swarm, be there a container of it or
    not, on every address; in host mode, on each node that it lands on."""
    ports = {each.get("PublishedPort") or 0 for each in swarm_service.ports}
    if ports and policy.published_ports is None:
        shown = [_port(each) for each in swarm_service.ports]
        raise Manual(
            f"the policy does not say which ports may be published: {', '.join(shown)}", shown
        )
    expect(ports - {0}, within=policy.published_ports or (), what="ports published")
    loose = [_port(each) for each in swarm_service.ports if not each.get("PublishedPort")]
    expect(loose, equals=[], what="ports published on any free port of the nodes")


def _port(each: dict[str, Any]) -> str:
    number = each.get("PublishedPort") or f"any for {each['TargetPort']}"
    return f"{number}/{each.get('Protocol') or 'tcp'} ({each.get('PublishMode') or 'ingress'})"
