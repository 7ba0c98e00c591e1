"""What an engine sends to and takes from other machines: registries, mirrors, logs."""

from __future__ import annotations

import ipaddress

from hullcheck.control import Manual, control, expect
from hullcheck.facts.docker import DockerEngine
from hullcheck.facts.engines import Engine
from hullcheck.inventory.policy import Policy

OFF_HOST = frozenset({"awslogs", "gcplogs", "logentries", "splunk"})
"""Log drivers that can only send to a service elsewhere."""

FORWARDERS = {"syslog": "syslog-address", "gelf": "gelf-address", "fluentd": "fluentd-address"}
"""Log drivers that send where an option says, and that option."""

ON_HOST = frozenset({"json-file", "local", "none"})


@control(
    title="No registry is spoken to without TLS",
    severity="high",
    level=1,
    fix="Give the registry a certificate, put its CA into certs.d/NAME/ of the engine, and remove "
    "it from insecure-registries in daemon.json, insecure = true in registries.conf, skip_verify "
    "in hosts.toml, or http and insecure in buildkitd.toml.",
)
def test_insecure_registries(engine: Engine, policy: Policy) -> None:
    """From an insecure registry, whoever is on the path can hand over any image, and reads the
    credentials. Docker always treats the loopback networks so; those do not leave the host."""
    beyond = {name for name in engine.insecure_registries if not _loopback(name)}
    allowed = {name for name in beyond if _host(name) in policy.insecure_registries}
    expect(beyond - allowed, within=set(policy.insecure_registries), what="insecure registries")


@control(
    title="Registry mirrors are spoken to with TLS",
    severity="high",
    level=1,
    fix="Give the mirror a certificate and write it as https:// in registry-mirrors or hosts.toml; "
    "remove insecure = true of the mirror in registries.conf, http = true in buildkitd.toml.",
)
def test_registry_mirrors(engine: Engine, policy: Policy) -> None:
    """A mirror is asked before the registry that an image is named after. Over plain HTTP, whoever
    is on the path answers for it, and decides what a tag means."""
    plain = {each for each in engine.mirrors if each.lower().startswith("http://")}
    beyond = {each for each in plain if not _loopback(each[7:].strip("/"))}
    allowed = {each for each in beyond if _host(each[7:]) in policy.insecure_registries}
    expect(beyond - allowed, within=set(policy.insecure_registries), what="mirrors without TLS")


def _host(name: str) -> str:
    """Return the host, with its port, of a registry or a namespace of one."""
    return name if _network(name) else name.partition("/")[0]


def _loopback(name: str) -> bool:
    """Whether a registry, ``host``, ``host:port`` or a network, is this host itself."""
    host = name.partition("/")[0] if name.count("/") and not _network(name) else name
    if _network(host):
        network = ipaddress.ip_network(host, strict=False)
        whole = ipaddress.ip_network("127.0.0.0/8" if network.version == 4 else "::1/128")
        return network.subnet_of(whole)  # type: ignore[arg-type]
    if host.startswith("["):
        return host[1:].partition("]")[0] == "::1"
    bare = host.rpartition(":")[0] or host
    return bare == "localhost" or (_network(bare) and _loopback(bare))


def _network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


@control(
    title="Container logs leave the host",
    severity="medium",
    level=2,
    fix="Set a log driver that sends to a central service (syslog with a remote syslog-address, "
    "fluentd, gelf, …) in daemon.json; name your own in log_drivers in the policy.",
)
def test_log_driver(docker: DockerEngine, policy: Policy) -> None:
    """Logs that lie only on the host are gone with it, and whoever takes it over rewrites them.
    A driver that hands them to this host's own syslog, journal or agent is only as good as what
    that does with them, so a person looks at it."""
    driver = docker.setting("log-driver").value
    if driver in policy.log_drivers:
        expect(driver, one_of=set(policy.log_drivers), what="the default log driver")
        return
    if driver in FORWARDERS:
        option = FORWARDERS[driver]
        target = docker.setting("log-opt").value.get(option, "")
        if target and not _stays(target):
            expect("elsewhere", equals="elsewhere", what=f"where {option} {target} is")
            return
        raise Manual(
            f"{driver} hands logs to this host's own service: see that it sends them on",
            {"log driver": driver, option: target or "default"},
        )
    if driver in ON_HOST:
        expect(driver, one_of=OFF_HOST | set(FORWARDERS), what="the default log driver")
        return
    if driver not in OFF_HOST:
        raise Manual(
            f"see that log driver {driver} sends logs off the host", {"log driver": driver}
        )
    expect(driver, one_of=OFF_HOST, what="the default log driver")


def _stays(target: str) -> bool:
    """Whether a log target, ``scheme://host:port`` or ``host:port``, is this host itself."""
    scheme, _, rest = target.rpartition("://")
    if scheme.startswith("unix"):
        return True
    host = rest.partition("/")[0]
    return not host or host.startswith(":") or _loopback(host)
