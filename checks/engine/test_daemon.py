"""What an engine is set to: as it says itself, else as it was started or as its files say."""

from __future__ import annotations

import json
from typing import Any

from hullcheck.control import Manual, NotApplicable, Unknown, control, expect
from hullcheck.facts.docker import DockerEngine
from hullcheck.facts.engines import DEFAULT_PROFILE, UNCONFINED, UNLIMITED, Engine
from hullcheck.facts.kernel import Kernel
from hullcheck.facts.processes import Processes
from hullcheck.inventory.policy import Policy


def expect_setting(engine: DockerEngine, name: str, wanted: Any) -> bool:
    """Expect a setting in effect to have a value, naming where it was read."""
    setting = engine.setting(name)
    return expect(setting.value, equals=wanted, what=f"{name} ({setting.source})")


@control(
    title="The engine itself runs without root",
    severity="medium",
    level=1,
    fix="Where the workload allows it, install the rootless engine (dockerd-rootless-setuptool.sh) "
    "and stop the one that runs as root; or at least set userns-remap.",
)
def test_rootless(docker: DockerEngine) -> None:
    """Whoever escapes from a container or misuses the API becomes what the daemon is. A rootless
    daemon is an ordinary user; with userns-remap the daemon is root, but its containers are not.
    Rootless mode cannot do everything, so with remapping in place a person decides."""
    uid = docker.process.uids[1]
    if uid == 0 and "userns" in docker.security_options and not docker.rootless:
        facts = {"uid of the daemon": uid, "security options": sorted(docker.security_options)}
        raise Manual(
            "the daemon runs as root with its containers remapped: could it run rootless?", facts
        )
    expect(uid, at_least=1, what="the daemon's uid")


@control(
    title="Containers on the default bridge cannot reach each other",
    severity="medium",
    level=1,
    fix='Set "icc": false in daemon.json and restart the engine; join what must talk by networks.',
)
def test_inter_container_traffic(docker: DockerEngine, kernel: Kernel) -> None:
    """Every container that names no network lands on the default bridge. With traffic between
    them open, one that is taken over can attack all others there. The rule is enforced by packet
    filters, which see traffic on a bridge only if the kernel is told to show it to them."""
    bridge = docker.default_bridge
    if bridge is None:
        raise NotApplicable("the engine has no default bridge")
    if expect_setting(docker, "icc", False) and not docker.rootless:
        name = "net.bridge.bridge-nf-call-iptables"
        expect(kernel.sysctl(name), equals="1", what=f"sysctl {name}")


@control(
    title="The engine logs at level info",
    severity="low",
    level=1,
    fix='Remove "debug" and set "log-level": "info" in daemon.json (or remove it: info is the '
    "default); level in [debug] of containerd's config.toml, log_level of crio.conf. Restart it.",
)
def test_log_level(engine: Engine) -> None:
    """Below info the events that an investigation needs are lost; debug writes request bodies,
    with the secrets in them, and so much that the rest is not read."""
    level = engine.log_level
    expect(level.value, equals="info", what=f"log level ({level.source})")


@control(
    title="The engine manages the packet filter",
    severity="medium",
    level=1,
    fix='Remove "iptables": false from daemon.json or the command line and restart the engine.',
)
def test_packet_filter(docker: DockerEngine) -> None:
    """Without its own rules, published ports, the separation of networks and icc=false are left
    to hand-written rules that do not follow the containers as they come and go."""
    expect_setting(docker, "iptables", True)


def _no_storage_driver(engine: DockerEngine, name: str, last: int) -> None:
    driver = engine.info.get("Driver")
    if driver != name and engine.release[0] > last:
        raise NotApplicable(f"Docker {engine.release[0]} has no {name} driver any more")
    expect([driver], without={name}, what="the storage driver")


@control(
    title="The aufs storage driver is not in use",
    severity="medium",
    level=1,
    fix='Move to "storage-driver": "overlay2"; images and containers must be made anew.',
)
def test_storage_driver_aufs(docker: DockerEngine) -> None:
    """aufs never became part of Linux: it is a patch set that nobody repairs any more, with
    crashes of the kernel on record."""
    _no_storage_driver(docker, "aufs", 23)


@control(
    title="The devicemapper storage driver is not in use",
    severity="medium",
    level=1,
    fix='Move to "storage-driver": "overlay2"; images and containers must be made anew.',
)
def test_storage_driver_devicemapper(docker: DockerEngine) -> None:
    """devicemapper was deprecated for years and then removed; as it was usually set up, on loop
    devices, it loses data when it runs full. Who still runs it, runs an engine without repairs."""
    _no_storage_driver(docker, "devicemapper", 24)


@control(
    title="Containers get a limit of open files by default",
    severity="low",
    level=1,
    fix='Set "default-ulimits": {"nofile": {"Name": "nofile", "Soft": 1024, "Hard": 65536}} in '
    'daemon.json and restart the engine; default_ulimits = ["nofile=1024:65536"] in '
    "containers.conf or crio.conf.",
)
def test_default_ulimits(engine: Engine) -> None:
    """A container without limits of its own inherits those of the runtime, which are made for a
    service with thousands of files. A default holds where nobody thought of one."""
    limits = engine.default_ulimits
    if expect(sorted(limits.value), contains="nofile", what=f"what is limited ({limits.source})"):
        hard = limits.value["nofile"]
        limit = "unlimited" if hard == UNLIMITED else str(hard)
        expect([limit], without=("unlimited",), what="the hard limit of nofile")


@control(
    title="Root in a container is nobody on the host",
    severity="high",
    level=2,
    fix='Docker: set "userns-remap": "default" in daemon.json and restart the engine (images and '
    'containers are made anew under the remapped root). Podman: set userns = "auto" in '
    "containers.conf. Or run the engine rootless.",
)
def test_user_namespace(engine: Engine) -> None:
    """With a user namespace, uid 0 of a container is an unprivileged id of the host: a mistake in
    the kernel or in a mount does not hand out root."""
    remapped = engine.remapped
    root = "nobody" if remapped.value else "root"
    what = f"what a container's root is on the host ({remapped.source})"
    expect(root, equals="nobody", what=what)


@control(
    title="Containers live under the cgroup that is meant for them",
    severity="medium",
    level=2,
    fix="Remove cgroup-parent from daemon.json and the command line, or add it to cgroup_parents "
    "in the policy if it is meant.",
)
def test_cgroup_parent(docker: DockerEngine, policy: Policy) -> None:
    """Limits are inherited from the parent. Another parent may be one without limits, or one that
    a user controls."""
    setting = docker.setting("cgroup-parent")
    usual = {"", "docker", *(["system.slice"] if not docker.rootless else ["user.slice"])}
    allowed = usual | {each.strip("/") for each in policy.cgroup_parents}
    expect(setting.value.strip("/"), one_of=allowed, what=f"cgroup-parent ({setting.source})")


@control(
    title="The base device of devicemapper has its usual size",
    severity="low",
    level=2,
    fix="Remove dm.basesize from storage-opts; better, move to overlay2.",
)
def test_base_device_size(docker: DockerEngine) -> None:
    """Once enlarged, the base device cannot shrink, and every container may fill as much: a few
    of them fill the pool, and then all stop."""
    if docker.info.get("Driver") != "devicemapper":
        raise NotApplicable(f"the storage driver is {docker.info.get('Driver')}")
    options = docker.setting("storage-opt").value
    given = [each for each in options if each.partition("=")[0].strip() == "dm.basesize"]
    expect(given, equals=[], what="options that change the base device")


@control(
    title="An authorization plugin decides who may do what",
    severity="medium",
    level=2,
    fix="Install an authorization plugin and name it in authorization-plugins in daemon.json.",
)
def test_authorization_plugin(docker: DockerEngine, policy: Policy) -> None:
    """Without one, whoever reaches the API may do everything, which is to be root. A plugin can
    grant reading without running, or running without mounting the host."""
    plugins = docker.setting("authorization-plugin").value
    wanted = policy.authorization_plugins
    if wanted:
        found = sorted(set(plugins) & set(wanted)) or plugins
        expect(found, within=set(wanted), what="authorization plugins in use")
    expect(len(plugins), at_least=1, what="the number of authorization plugins in use")


@control(
    title="Processes in containers cannot gain privileges by default",
    severity="medium",
    level=1,
    fix='Set "no-new-privileges": true in daemon.json and restart the engine.',
)
def test_no_new_privileges_default(engine: Engine) -> None:
    """A setuid program in an image hands its owner's rights to whoever runs it. With this default
    the kernel refuses that in every container that does not ask otherwise."""
    default = engine.no_new_privileges
    expect(default.value, equals=True, what=f"no-new-privileges ({default.source})")


@control(
    title="Containers survive a restart of the engine",
    severity="low",
    level=1,
    fix='Set "live-restore": true in daemon.json and reload the engine.',
)
def test_live_restore(docker: DockerEngine) -> None:
    """If updating the engine stops every container, it is not updated. Swarm keeps its services
    alive in its own way and excludes the setting."""
    swarm = (docker.info.get("Swarm") or {}).get("LocalNodeState", "")
    if swarm not in ("", "inactive"):
        raise NotApplicable(f"the engine is part of a swarm ({swarm})")
    expect_setting(docker, "live-restore", True)


@control(
    title="Published ports need no user-space proxy",
    severity="low",
    level=1,
    fix='Set "userland-proxy": false in daemon.json and restart the engine.',
)
def test_userland_proxy(docker: DockerEngine, processes: Processes) -> None:
    """One more program that faces the network, for each published port, and that hides the real
    sender's address from the container. The kernel forwards ports by itself."""
    pid = docker.process.pid
    proxies = [each for each in processes if each.ppid == pid and each.name == "docker-proxy"]
    expect([str(each) for each in proxies], equals=[], what="running proxies of the engine")
    if not proxies:
        expect_setting(docker, "userland-proxy", False)


@control(
    title="Containers are confined by a seccomp profile by default",
    severity="high",
    level=1,
    fix='Remove "seccomp-profile": "unconfined" from daemon.json, seccomp_profile from '
    "containers.conf, or name a profile that refuses what it does not list.",
)
def test_seccomp_default(engine: Engine) -> None:
    """The engine's built-in profile keeps some fifty dangerous system calls from containers. A
    site's own profile can be stricter or looser, so a person looks at it; one that allows
    everything by default is none."""
    told = engine.default_seccomp
    profile = str(told.value)
    what = f"the default seccomp profile ({told.source})"
    if not expect([profile], without=(UNCONFINED,), what=what) or profile == DEFAULT_PROFILE:
        return
    expect_refusing(profile, engine.profile(profile))


def expect_refusing(path: str, text: str) -> None:
    """Expect a seccomp profile to refuse what it does not list; then a person must look."""
    try:
        parsed = json.loads(text)
        default, rules = parsed["defaultAction"], parsed.get("syscalls") or []
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Unknown(f"{path} is not a seccomp profile") from None
    allows = {"SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE"}
    if not expect([default], without=allows, what=f"the default action of {path}"):
        return
    facts = {"profile": path, "default action": default, "rules": len(rules)}
    raise Manual("see that this site's own seccomp profile is no looser than the built-in", facts)


@control(
    title="The engine runs without experimental features",
    severity="low",
    level=1,
    fix='Remove "experimental": true from daemon.json and the command line, and restart it.',
)
def test_experimental(docker: DockerEngine) -> None:
    """Experimental code has not been reviewed as the rest has, and may change or vanish with the
    next version."""
    expect_setting(docker, "experimental", False)
