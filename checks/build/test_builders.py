"""What builders let builds do, and who may start one."""

from __future__ import annotations

import ipaddress

from hullcheck.control import NotApplicable, Unknown, control, expect
from hullcheck.facts.buildkit import Buildkit
from hullcheck.facts.engines import Engine
from hullcheck.facts.files import Files
from hullcheck.facts.signing import NotationPolicy
from hullcheck.inventory.policy import Policy

CHECKS = frozenset({"integrity", "authenticity", "expiry"})
"""What notation verifies; that a certificate's revocation is only logged may be the site's."""


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


@control(
    title="notation refuses images without a signature that it trusts",
    severity="medium",
    level=1,
    fix="Set signatureVerification.level to strict in trustpolicy.json for every policy whose "
    "images are run, name a trust store, and put its certificates into truststore/x509.",
)
def test_notation_trust(notation_policy: NotationPolicy, files: Files) -> None:
    """skip verifies nothing, audit only writes down that a signature is bad, permissive takes
    images whose signer was revoked or has expired. A trust store that is not there makes every
    image fail, until somebody chooses skip."""
    if not notation_policy.policies:
        raise NotApplicable("it has no policy: notation refuses everything")
    for each in notation_policy.policies:
        scopes = ", ".join(each.scopes)
        expect(each.level, one_of=("strict",), what=f"level of {each.name} ({scopes})")
        weaker = sorted(
            f"{check}: {action}"
            for check, action in each.overrides.items()
            if action in ("skip", "log") and check in CHECKS
        )
        expect(weaker, equals=[], what=f"checks that {each.name} only logs or skips")
    names = sorted({name for each in notation_policy.policies for name in each.stores
                    if each.level != "skip"})  # fmt: skip
    folders = files.all(notation_policy.store(name) for name in names)
    gone = [name for name, each in zip(names, folders, strict=True) if not each.exists]
    expect(gone, equals=[], what="trust stores that are not there")
