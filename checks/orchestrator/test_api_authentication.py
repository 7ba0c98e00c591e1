"""How the API server learns who asks."""

from __future__ import annotations

import re

from hullcheck.control import Manual, NotApplicable, Unknown, control, expect
from hullcheck.facts.kubernetes.api_files import named
from hullcheck.facts.kubernetes.authentication import anonymous, issuers
from hullcheck.facts.kubernetes.certificates import certificates
from hullcheck.facts.kubernetes.components import Component

SYSTEM = "system:"
HEALTH = re.compile(r"/(?:healthz|livez|readyz)(?:/[\w-]+)*")


@control(
    title="Requests without credentials reach nothing of the API but its health",
    severity="high",
    fix="Set --anonymous-auth=false; where probes need it, name a file with "
    "--authentication-config in which anonymous.enabled is true and anonymous.conditions lists "
    "/livez, /readyz and /healthz only.",
)
def test_api_anonymous(api_server: Component) -> None:
    """An anonymous request is a user like any other: one careless binding of a role to
    system:unauthenticated or system:anonymous, and the whole network may do what it grants. Flaws
    in the API server itself are open to whoever gets past its door. It is on unless it is
    turned off."""
    found = anonymous(api_server)
    if not found.enabled or found.paths is None:
        expect(found.enabled, equals=False, what=f"anonymous requests ({found.source})")
        return
    beyond = [each for each in found.paths if not HEALTH.fullmatch(each)]
    expect(beyond, equals=[], what=f"paths open to anonymous requests ({found.source})")


@control(
    title="The API server takes no passwords or tokens from a file",
    severity="high",
    fix="Remove --token-auth-file and --basic-auth-file; give programs service accounts and "
    "people an identity provider.",
)
def test_api_static_tokens(api_server: Component) -> None:
    """Such a file holds every credential in the clear, none of them ends, and to take one back the
    API server must be restarted."""
    for flag in ("token-auth-file", "basic-auth-file"):
        expect(named(api_server, flag) or "not set", equals="not set", what=f"--{flag}")


@control(
    title="The API server knows clients by certificates of the cluster's authority",
    severity="high",
    fix="Set --client-ca-file to the cluster's CA, such as /etc/kubernetes/pki/ca.crt.",
)
def test_api_client_ca(api_server: Component) -> None:
    """Kubelets and the control plane prove with certificates who they are. Without an authority to
    check them by, they need tokens that everybody who sees them can use."""
    path = named(api_server, "client-ca-file")
    expect("set" if path else "not set", equals="set", what="--client-ca-file")


@control(
    title="An identity provider cannot name users and groups of Kubernetes itself",
    severity="medium",
    fix="Set --oidc-groups-prefix (and --oidc-username-prefix, not to -), or prefix under "
    "claimMappings in the AuthenticationConfiguration; bind roles to the new names.",
)
def test_api_identity_prefixes(api_server: Component) -> None:
    """Whoever may put a group into a token may put system:masters there, and is the cluster's
    administrator past every role. A prefix before all names from outside keeps them apart."""
    found = issuers(api_server)
    if not found:
        raise NotApplicable("the API server takes no tokens of an identity provider")
    told = [each for each in found if not each.rules]
    bare = [f"groups of {each.url}" for each in told if _reserved(each.groups)]
    # An address has no colon before its @, so the usual way of flags is left alone.
    named_by = [each for each in told if each.claim != "email" or each.users]
    bare += [f"users of {each.url}" for each in named_by if _reserved(each.users)]
    expect(bare, equals=[], what="names that are taken as they come")
    ruled = [each.url for each in found if each.rules]
    if ruled:
        raise Manual("see that the expressions let nobody be called system:…", ruled)


def _reserved(prefix: str | None) -> bool:
    """Whether what begins so can be a name that begins with system:."""
    return prefix is not None and (prefix.startswith(SYSTEM) or SYSTEM.startswith(prefix))


@control(
    title="People log in to the cluster through an identity provider",
    severity="medium",
    level=2,
    fix="Name an issuer under jwt in the file of --authentication-config (or --oidc-issuer-url), "
    "or a webhook with --authentication-token-webhook-config-file.",
)
def test_api_user_logins(api_server: Component) -> None:
    """A client certificate cannot be taken back before it ends; tokens of service accounts and of
    bootstrapping are for programs and nodes. Where nothing else is there, people use these, and
    who leaves keeps the key."""
    ways = [each.url for each in issuers(api_server)]
    hook = named(api_server, "authentication-token-webhook-config-file")
    ways += [f"webhook of {hook}"] if hook else []
    expect("some" if ways else "none", equals="some", what="ways in that are made for people")


@control(
    title="Only the front proxy may tell the API server who a user is",
    severity="critical",
    fix="Set --requestheader-allowed-names=front-proxy-client, and make a CA for "
    "--requestheader-client-ca-file that signs nothing else.",
)
def test_api_front_proxy(api_server: Component) -> None:
    """Whoever shows a certificate of the authority for front proxies is believed any user name
    and group in the headers of its requests. If it is the authority that signs clients as well,
    and no name is demanded, every client can be the administrator."""
    proxy = named(api_server, "requestheader-client-ca-file")
    if proxy is None:
        raise NotApplicable("no front proxy is trusted")
    if api_server.flags.listed("requestheader-allowed-names"):
        names = api_server.flags.listed("requestheader-allowed-names")
        expect(names, without=("*",), what="--requestheader-allowed-names")
        return
    client = named(api_server, "client-ca-file")
    if client is None:
        raise NotApplicable("no authority signs clients' certificates")
    what = "the authority of front proxies, of whom no name is demanded"
    if proxy == client:
        expect("shared with clients", equals="its own", what=what)
        return
    places = {path: api_server.program.seen(path) for path in (proxy, client)}
    found = certificates(api_server.host, places.values())
    keys = []
    for path, place in places.items():
        told = found.get(place)
        if not isinstance(told, list) or not told:
            raise told if isinstance(told, Unknown) else Unknown(f"{path} holds no certificate")
        keys.append({each.spki for each in told})
    shared = keys[0] & keys[1]
    expect("shared with clients" if shared else "its own", equals="its own", what=what)
