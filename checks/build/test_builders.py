"""What builders let builds do, and who may start one."""

from __future__ import annotations

import ipaddress

from hullcheck.control import Unknown, control, expect
from hullcheck.facts.buildkit import Buildkit
from hullcheck.facts.engines import Engine
from hullcheck.inventory.policy import Policy


@control(
    title="Builds cannot ask for the rights of the host",
    severity="high",
    level=1,
    fix="Remove security.insecure, network.host and device from insecure-entitlements in "
    "buildkitd.toml and from --allow-insecure-entitlement (buildx: make the builder anew), and "
    "security-insecure from builder.entitlements in daemon.json.",
)
def test_build_entitlements(engine: Engine, policy: Policy) -> None:
    """With security.insecure a line of a Dockerfile is root with all capabilities, with
    network.host it speaks with what listens on the host's loopback. Whoever can have something
    built, by a pull request for one, has it. buildx gives network.host to builders in containers
    by itself: there it is the container's network, and harmless."""
    told = engine.entitlements
    beyond = sorted(set(told.value) - set(policy.build_entitlements))
    expect(beyond, equals=[], what=f"entitlements that builds can ask for ({told.source})")


@control(
    title="BuildKit's API is open to those with a certificate only",
    severity="critical",
    level=1,
    fix="Let [grpc] address in buildkitd.toml, or --addr, name a Unix socket; for TCP set cert, "
    "key and ca under [grpc.tls], and give the same to clients. Remove debugAddress.",
)
def test_buildkit_api(buildkit: Buildkit) -> None:
    """Who reaches the API builds what he likes, reads the cache of all other builds and has the
    builder's rights. Over TCP only a client's certificate keeps him away: TLS without a CA for
    clients lets everybody in. The debug address serves the process's memory to all comers."""
    tcp = [each for each in buildkit.addresses if each.lower().startswith("tcp")]
    asked = "a certificate" if buildkit.asks_clients else "nothing"
    if tcp:
        expect(asked, equals="a certificate", what=f"what {', '.join(tcp)} asks of clients")
    debug = buildkit.debug_address
    open_to = [debug] if debug and not _own(debug) else []
    expect(open_to, equals=[], what="where the profiler listens for others")
    try:
        beyond = [str(each) for each in buildkit.listeners if not each.loopback]
    except Unknown:
        if any(each.lower().startswith("fd") for each in buildkit.addresses):
            raise
        return
    if beyond and not tcp:
        expect(asked, equals="a certificate", what=f"what {', '.join(beyond)} asks of clients")


def _own(address: str) -> bool:
    """Whether an address is reached from this host alone."""
    if address.startswith(("/", "unix:")):
        return True
    name = address.rpartition("://")[2].rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


@control(
    title="The cache of builds is tidied up",
    severity="low",
    level=1,
    fix="Remove gc = false from [worker.oci] and [worker.containerd] in buildkitd.toml and "
    '"gc": {"enabled": false} from builder in daemon.json.',
)
def test_build_cache_bounded(engine: Engine) -> None:
    """A cache that only grows fills the disk that containers and logs live on, and whoever may
    build can make it do so. What lies in it for years is also what later builds are made of."""
    told = engine.cache_bounded
    done = "tidied up" if told.value else "kept for ever"
    expect(done, equals="tidied up", what=f"what of the cache is not used ({told.source})")
